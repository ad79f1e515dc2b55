"""infomax: self-supervised representation learning as mutual-information maximisation."""

from infomax import methods
from infomax.clock import Clock
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
    "Shared",
    "Sinkhorn",
    "StopGradient",
    "Target",
    "TaylorDonskerVaradhan",
    "Twin",
    "VarianceCovariance",
    "Whitening",
    "methods",
    "mlp",
    "step",
]
