"""MoCo v3: Chen et al. 2021, arXiv:2104.02057."""

from torch import nn

from infomax.critic import Cosine
from infomax.heads import Branch, Head
from infomax.joint import Alignment
from infomax.learner import Learner
from infomax.marginal import InfoNCE, predictors
from infomax.methods.registry import method
from infomax.target import EMA


@method
def moco_v3(
    encoder: nn.Module,
    *,
    projector: Head = (4096, 256),
    predictor: Head = (4096,),
    temperature: float = 0.2,
    momentum: float = 0.99,
) -> Learner:
    """MoCo v3: InfoNCE between predictions and momentum keys, with negatives from the batch (arXiv:2104.02057, Algorithm 1).

    loss = 2 temperature * sum over both directions of [log N - bound], T = cos/temperature

    Args:
        encoder: view -> N x width.
        projector: widths of its layers, with batch norm between and after them (the last one without affine part).
        predictor: widths of its hidden layers; its output has the embedding's width. It is applied to the student only.
            `()`: no predictor.
        temperature: temperature of the cosine critic.
        momentum: momentum of the key encoder at the start; annealed to 1 along a cosine.

    Where sources differ: the predictor of the authors' ViT ends with a batch norm; that of their ResNet, and this one,
    does not. The factor 2 temperature is the authors' and solo-learn's; others leave it out. The authors update the key
    encoder at the start of the forward pass; here it is updated after the optimizer's step.

    Example:
        >>> learner = moco_v3(nn.Linear(8, 16), projector=(4,), predictor=(8,))
        >>> [type(m).__name__ for m in learner.marginals]
        ['Predictor', 'InfoNCE']
    """
    cos, branch = Cosine(temperature), Branch(encoder, projector, last_norm="plain")
    return Learner(
        branch,
        EMA(momentum),
        Alignment(cos),
        *predictors(predictor, branch),
        InfoNCE(cos),
        scale=4 * temperature,
        name="moco_v3",
    )
