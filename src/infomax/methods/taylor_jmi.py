"""Our own method: the joint prototype on the second-order expansion of DV, without an N x N matrix."""

from torch import nn

from infomax.critic import Cosine
from infomax.heads import Branch, Head
from infomax.joint import Alignment
from infomax.learner import Learner
from infomax.marginal import TaylorDonskerVaradhan
from infomax.methods.registry import method
from infomax.target import Shared


@method
def taylor_jmi(
    encoder: nn.Module, *, projector: Head = (2048, 256), temperature: float = 0.5, coefficient: float = 0.5
) -> Learner:
    """Taylor-JMI: JMI with log mean e^T replaced by mean T + coefficient Var T over i != j, computed exactly in O(N D^2).

    loss = -mean_i T_ii + mean_{i != j} T_ij + coefficient Var_{i != j} T_ij

    Args:
        encoder: view -> N x width.
        projector: widths of its layers, with batch norm between them.
        temperature: temperature of the cosine critic. The expansion is about T = 0, so it needs a higher temperature
            than JMI.
        coefficient: 1/2 is the expansion (paper, eq. 24), 1 the paper's eq. 11.

    The paper points at this objective (section 3.4, A.3) and derives Barlow Twins from it; see `TaylorDonskerVaradhan`
    for where that derivation fails. It is not a bound on the mutual information.

    Example:
        >>> from infomax.taxonomy import describe
        >>> describe(taylor_jmi(nn.Linear(8, 16), projector=(4,))).objective
        'MI surrogate'
    """
    cos = Cosine(temperature)
    marginal = TaylorDonskerVaradhan(cos, coefficient=coefficient)
    return Learner(Branch(encoder, projector), Shared(), Alignment(cos), marginal, name="taylor_jmi")
