"""Guards against collapse: the parts that stand for the marginal term log E_p(a)p(b)[e^T] of the bound."""

from infomax.marginal.base import Marginal, Views
from infomax.marginal.constraint import Centering, Predictor, Sinkhorn, Whitening, predictors, sinkhorn
from infomax.marginal.moments import Decorrelation, VarianceCovariance
from infomax.marginal.partition import DonskerVaradhan, InfoNCE, TaylorDonskerVaradhan

__all__ = [
    "Centering",
    "Decorrelation",
    "DonskerVaradhan",
    "InfoNCE",
    "Marginal",
    "Predictor",
    "Sinkhorn",
    "TaylorDonskerVaradhan",
    "VarianceCovariance",
    "Views",
    "Whitening",
    "predictors",
    "sinkhorn",
]
