"""SimSiam: Chen & He 2021, arXiv:2011.10566."""

from torch import nn

from infomax.critic import Cosine
from infomax.heads import Branch, Head
from infomax.joint import Alignment
from infomax.learner import Learner
from infomax.marginal import predictors
from infomax.methods.registry import method
from infomax.target import StopGradient


@method
def simsiam(encoder: nn.Module, *, projector: Head = (2048, 2048, 2048), predictor: Head = (512,)) -> Learner:
    """SimSiam: predict the embedding of the other view, without gradient through the target (arXiv:2011.10566, Algorithm 1).

    loss = -1/2 [mean cos(p1, SG z2) + mean cos(p2, SG z1)], in [-1, 1]

    Args:
        encoder: view -> N x width.
        projector: widths of its layers, with batch norm between and after them (the last one without affine part).
        predictor: widths of its hidden layers; its output has the embedding's width. It is applied to the student only.
            `()`: no predictor; SimSiam then collapses.

    The predictor's learning rate does not follow the schedule, as in the authors' code (`--fix-pred-lr`). The rule
    {"predictor": {"lr": 1}} of a run makes it follow.

    Where the paper errs: its table 2 credits SimSiam to the SimCLR paper. Where sources differ: lightly's loss lets the
    gradient through to the target unless the caller detaches it.

    Example:
        >>> simsiam(nn.Linear(8, 16), projector=(4,), predictor=(2,)).scale
        1.0
    """
    branch = Branch(encoder, projector, last_norm="plain")
    return Learner(
        branch,
        StopGradient(),
        Alignment(Cosine()),
        *predictors(predictor, branch),
        name="simsiam",
        rules={"predictor": {"lr": "constant"}},
    )
