"""Views: parameters are drawn for a sample, then applied.

Parameters are drawn by a counter-based generator keyed by (seed, epoch, view, sample id), then applied. So a view does
not depend on batch size, order or workers, and any implementation (the eager one here, a fused kernel, torchvision) can
be given the same parameters.

Everything here is a callable `(batch, index, seed, epoch) -> list of views`, and so can be your own.
"""

from infomax.views.fused import threads
from infomax.views.graph import GraphViews
from infomax.views.image import ImageView, Params, apply, draw
from infomax.views.points import Gaussian
from infomax.views.recipes import RECIPES, Views, own_recipe, recipe
from infomax.views.signal import Signals, SignalView
from infomax.views.tabular import Corruption
from infomax.views.transforms import PerSample, per_sample

__all__ = [
    "RECIPES",
    "Corruption",
    "Gaussian",
    "GraphViews",
    "ImageView",
    "Params",
    "PerSample",
    "SignalView",
    "Signals",
    "Views",
    "apply",
    "draw",
    "own_recipe",
    "per_sample",
    "recipe",
    "threads",
]
