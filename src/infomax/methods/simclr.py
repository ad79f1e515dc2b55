"""SimCLR: Chen et al. 2020, arXiv:2002.05709."""

from torch import nn

from infomax.critic import Cosine
from infomax.heads import Branch, Head
from infomax.joint import Alignment
from infomax.learner import Learner
from infomax.marginal import InfoNCE
from infomax.methods.registry import method
from infomax.target import Shared


@method
def simclr(encoder: nn.Module, *, projector: Head = (2048, 256), temperature: float = 0.2) -> Learner:
    """SimCLR: InfoNCE with negatives from both views (NT-Xent; arXiv:2002.05709, eq. 1).

    loss = 2 [log(2N - 1) - bound] = sum over both directions of mean_i [-T_ij + log sum_{m != i} e^T_im], T = cos/temperature

    Args:
        encoder: view -> N x width.
        projector: widths of its layers, without batch norm (the reference recipe on CIFAR).
        temperature: temperature of the cosine critic (the authors': 0.1 on ImageNet, 0.5 on CIFAR; reference recipe
            0.2).

    Where sources differ: the authors' code sums the two directions, as here; lightly and solo-learn average over the 2N
    anchors, which is half of it. With plain SGD that halves the effective learning rate.

    Example:
        >>> simclr(nn.Linear(8, 16), projector=(4,)).scale
        2.0
    """
    cos = Cosine(temperature)
    branch = Branch(encoder, projector, norm=False)
    return Learner(branch, Shared(), Alignment(cos), InfoNCE(cos, own_view=True), scale=2.0, name="simclr")
