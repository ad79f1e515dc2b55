"""Estimators behind `infomax.mi.estimate_mi`: Gaussian, neighbours, counts, trained critics, and the rule that picks."""
