"""infomax: self-supervised representation learning as mutual-information maximisation."""

from infomax import data, encoders, methods, mi, optim, recipes, views
from infomax.clock import Clock
from infomax.contract import check
from infomax.critic import Bilinear, Chord, Cosine, Critic, Dot, Euclidean
from infomax.errors import ConfigError, DataError, InfomaxError, NumericsError
from infomax.heads import Branch, Prototypes, mlp
from infomax.joint import Alignment, CorrelationDiagonal, Joint
from infomax.learner import CollapseWarning, Learner, Output, step
from infomax.marginal import (
    Centering,
    Decorrelation,
    DonskerVaradhan,
    InfoNCE,
    Marginal,
    Predictor,
    Sinkhorn,
    TaylorDonskerVaradhan,
    VarianceCovariance,
    Whitening,
)
from infomax.target import EMA, Shared, StopGradient, Target, Twin
from infomax.training import Run, train

__version__ = "0.1.0"

__all__ = [
    "EMA",
    "Alignment",
    "Bilinear",
    "Branch",
    "Centering",
    "Chord",
    "Clock",
    "CollapseWarning",
    "ConfigError",
    "CorrelationDiagonal",
    "Cosine",
    "Critic",
    "DataError",
    "Decorrelation",
    "DonskerVaradhan",
    "Dot",
    "Euclidean",
    "InfoNCE",
    "InfomaxError",
    "Joint",
    "Learner",
    "Marginal",
    "NumericsError",
    "Output",
    "Predictor",
    "Prototypes",
    "Run",
    "Shared",
    "Sinkhorn",
    "StopGradient",
    "Target",
    "TaylorDonskerVaradhan",
    "Twin",
    "VarianceCovariance",
    "Whitening",
    "check",
    "data",
    "encoders",
    "methods",
    "mi",
    "mlp",
    "optim",
    "recipes",
    "step",
    "train",
    "views",
]
