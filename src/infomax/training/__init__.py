"""From a learner and a data set to a trained encoder."""

from infomax.training.run import Run
from infomax.training.start import train

__all__ = ["Run", "train"]
