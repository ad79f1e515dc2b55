from infomax.training.optim import *  # TEMPORARY shim, never committed: the package is infomax.training
