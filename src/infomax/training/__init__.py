"""From a learner and a data set to a trained encoder."""

from infomax.training.loop import train
from infomax.training.run import Run

__all__ = ["Run", "train"]
