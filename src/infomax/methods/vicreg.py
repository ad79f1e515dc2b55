"""VICReg: Bardes et al. 2022, arXiv:2105.04906."""

from torch import nn

from infomax.critic import Euclidean
from infomax.heads import Branch, Head
from infomax.joint import Alignment
from infomax.learner import Learner
from infomax.marginal import VarianceCovariance
from infomax.methods.registry import method
from infomax.target import Shared


@method
def vicreg(
    encoder: nn.Module,
    *,
    projector: Head = (2048, 2048, 2048),
    invariance: float = 25.0,
    variance: float = 25.0,
    covariance: float = 1.0,
    eps: float = 1e-4,
) -> Learner:
    """VICReg: invariance between the views, variance and decorrelation within each (arXiv:2105.04906, eq. 6).

    loss = invariance mean |z1 - z2|^2 / D + variance 1/2 sum_views mean_d max(0, 1 - std_d) + covariance sum_views c(z)

    Args:
        encoder: view -> N x width.
        projector: widths of its layers, with batch norm between them.
        invariance, variance, covariance: weights of the three terms.
        eps: added to the variance under the root of std.

    Where sources differ: see `VarianceCovariance`.

    Example:
        >>> vicreg(nn.Linear(8, 16), projector=(4,)).joint.weight
        25.0
    """
    return Learner(
        Branch(encoder, projector),
        Shared(),
        Alignment(Euclidean(), invariance),
        VarianceCovariance(variance, covariance, eps),
        name="vicreg",
    )
