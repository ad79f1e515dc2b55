"""BGRL: Thakoor et al. 2022, arXiv:2102.06514."""

from torch import nn

from infomax.critic import Cosine
from infomax.heads import Branch, Head
from infomax.joint import Alignment
from infomax.learner import Learner
from infomax.marginal import predictors
from infomax.methods.registry import method
from infomax.target import EMA


@method
def bgrl(encoder: nn.Module, *, predictor: Head = (512,), momentum: float = 0.99) -> Learner:
    """BGRL: BYOL on the nodes of a graph, with two corrupted copies of the graph as views (arXiv:2102.06514, eq. 3).

    loss = 2 - mean cos(q1, y2) - mean cos(q2, y1), in [0, 4]; N is the number of nodes

    Args:
        encoder: a graph -> one row per node (N x width); there is no projector.
        predictor: widths of its hidden layers; its output has the embedding's width. It is applied to the student only.
            `()`: no predictor; BGRL then collapses.
        momentum: momentum of the copy at the start; annealed to 1 along a cosine. The copy starts from its own random
            weights.

    Where sources differ: the paper prints BGRL as joint optimisation; its target is a moving average behind a
    stop-gradient, so by the paper's own rule it alternates.

    Example:
        >>> bgrl(nn.Linear(8, 16), predictor=(32,)).target.start
        'fresh'
    """
    branch = Branch(encoder)
    target = EMA(momentum, start="fresh")
    return Learner(
        branch,
        target,
        Alignment(Cosine()),
        *predictors(predictor, branch, norm=False, activation=nn.PReLU),
        scale=2.0,
        offset=1.0,
        name="bgrl",
    )
