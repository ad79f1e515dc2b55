"""BYOL: Grill et al. 2020, arXiv:2006.07733."""

from torch import nn

from infomax.critic import Chord
from infomax.heads import Branch, Head, LastNorm
from infomax.joint import Alignment
from infomax.learner import Learner
from infomax.marginal import predictors
from infomax.methods.registry import method
from infomax.target import EMA


@method
def byol(
    encoder: nn.Module,
    *,
    projector: Head = (4096, 256),
    predictor: Head = (4096,),
    momentum: float = 0.99,
    last_norm: LastNorm = "none",
) -> Learner:
    """BYOL: predict the embedding that a moving-average copy of the encoder gives to the other view (arXiv:2006.07733, eq. 2).

    loss = sum over both directions of mean_i |p_i/|p_i| - k_i/|k_i||^2 = 4 (1 - mean cos), in [0, 8]

    Args:
        encoder: view -> N x width.
        projector: widths of its layers, with batch norm between them.
        predictor: widths of its hidden layers; its output has the embedding's width. It is applied to the student only.
            `()`: no predictor; BYOL then collapses.
        momentum: momentum of the copy at the start (the authors': 0.996 for 1000 epochs, 0.99 for 300); annealed to 1
            along a cosine.
        last_norm: batch norm after the projector: none, as the authors have it; with affine part; or `plain`, without
            affine part, as in SimSiam and MoCo v3. It spreads the targets over all directions from the first update on,
            which short runs need.

    Where sources differ: BYOL, SimSiam and BGRL have the same loss in three scales, 4 + 4s, s and 2 + 2s. At a row of
    zeros the authors' |p - k|^2 gives 1, the cosine form 2; the value here is the authors'.

    Example:
        >>> byol(nn.Linear(8, 16), projector=(4,), predictor=(8,)).target.momentum
        0.99
    """
    branch = Branch(encoder, projector, last_norm=last_norm)
    return Learner(
        branch, EMA(momentum), Alignment(Chord()), *predictors(predictor, branch), scale=4.0, offset=1.0, name="byol"
    )
