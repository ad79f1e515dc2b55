"""The paper's joint prototype: one encoder, one gradient, the cosine Donsker-Varadhan bound (Algorithm 2)."""

from torch import nn

from infomax.critic import Cosine
from infomax.heads import Branch, Head
from infomax.joint import Alignment
from infomax.learner import Learner
from infomax.marginal import DonskerVaradhan
from infomax.methods.registry import method
from infomax.target import Shared


@method
def jmi(encoder: nn.Module, *, projector: Head = (2048, 256), temperature: float = 0.1) -> Learner:
    """JMI: maximise DV(f(x1), f(x2); T = cos/temperature), with both views through one encoder (paper, Algorithm 2, eq. 15).

    loss = -[mean_i T_ii - log mean_{i != j} e^T_ij]

    Args:
        encoder: view -> N x width.
        projector: widths of its layers, with batch norm between them.
        temperature: temperature of the cosine critic, in both terms.

    Where sources differ: the paper does not say where the temperature enters. With a cosine critic DV is symmetric, so
    the two orders that Algorithm 2 averages give the same number.

    Example:
        >>> jmi(nn.Linear(8, 16), projector=(4,)).target
        Shared(views=None, one_way=False)
    """
    cos = Cosine(temperature)
    return Learner(Branch(encoder, projector), Shared(), Alignment(cos), DonskerVaradhan(cos), name="jmi")
