"""Barlow Twins: Zbontar et al. 2021, arXiv:2103.03230."""

from torch import nn

from infomax.heads import Branch, Head
from infomax.joint import CorrelationDiagonal
from infomax.learner import Learner
from infomax.marginal import Decorrelation
from infomax.methods.registry import method
from infomax.target import Shared


@method
def barlow_twins(
    encoder: nn.Module,
    *,
    projector: Head = (2048, 2048, 2048),
    redundancy: float = 0.0051,
    loss_scale: float = 1.0,
) -> Learner:
    """Barlow Twins: make the correlation matrix between the views the identity (arXiv:2103.03230, eq. 1).

    loss = loss_scale * [sum_i (1 - C_ii)^2 + redundancy * sum_{i != j} C_ij^2], C_ij = corr(z1_i, z2_j) over the batch

    Args:
        encoder: view -> N x width.
        projector: widths of its layers, with batch norm between them.
        redundancy: lambda, the weight of the off-diagonal terms.
        loss_scale: factor of the loss (the authors' code: 1; the CIFAR reference recipe with LARS: 0.1).

    Where sources differ: solo-learn multiplies the loss by 0.025 by default. The authors' pseudo-code standardises with
    the unbiased variance; their code, and this one, with a batch norm.

    Example:
        >>> barlow_twins(nn.Linear(8, 16), projector=(4,)).symmetric
        True
    """
    return Learner(
        Branch(encoder, projector),
        Shared(),
        CorrelationDiagonal(),
        Decorrelation(redundancy),
        scale=loss_scale,
        name="barlow_twins",
    )
