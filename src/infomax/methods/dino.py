"""DINO: Caron et al. 2021, arXiv:2104.14294."""

from torch import nn

from infomax.critic import Dot
from infomax.heads import Branch, Head, Prototypes
from infomax.joint import Alignment
from infomax.learner import Learner
from infomax.marginal import Centering
from infomax.methods.registry import method
from infomax.target import EMA


@method
def dino(
    encoder: nn.Module,
    *,
    projector: Head = (2048, 256),
    prototypes: int = 4096,
    temperature: float = 0.1,
    target_temperature: float = 0.04,
    target_temperature_start: float = 0.04,
    target_temperature_epochs: int = 0,
    center_momentum: float = 0.9,
    momentum: float = 0.996,
    freeze_epochs: int = 1,
) -> Learner:
    """DINO: match the centred, sharpened output of a moving-average copy on the two global views (arXiv:2104.14294, eqs. 1-3).

    loss = mean over targets j and other views i of -mean_n sum_k q_nk(j) log softmax_k(s_n(i) / temperature),
    q = softmax((t - centre) / target_temperature)

    Args:
        encoder: view -> N x width.
        projector: widths of its layers, with GELU between them and without batch norm.
        prototypes: K, the number of rows of the weight-normalised last layer; 0: the projector's output is used as it
            is.
        temperature: temperature of the student.
        target_temperature: temperature of the target after its warm-up (the authors': 0.04; reference recipe on CIFAR
            0.07: without a warm-up, this value drifts to uniform outputs in short runs).
        target_temperature_start: temperature of the target at the start.
        target_temperature_epochs: epochs over which it rises linearly; 0: no warm-up.
        center_momentum: momentum of the centre.
        momentum: momentum of the copy at the start; annealed to 1 along a cosine.
        freeze_epochs: number of epochs at the start in which the last layer is not updated.

    Example:
        >>> import torch
        >>> dino(nn.Linear(8, 16), projector=(4,), prototypes=10)([torch.randn(4, 8)] * 3).k.keys()
        dict_keys([0, 1])
    """
    inner = Branch(encoder, projector, norm=False, activation=nn.GELU)
    last = Prototypes(inner.width, prototypes, unit=True, frozen_epochs=freeze_epochs) if prototypes else nn.Identity()
    branch = Branch(encoder, nn.Sequential(inner.projector, last))
    centering = Centering(
        prototypes or inner.width,
        temperature=temperature,
        target_temperature=target_temperature,
        warmup_temperature=target_temperature_start,
        warmup_epochs=target_temperature_epochs,
        momentum=center_momentum,
    )
    return Learner(branch, EMA(momentum), Alignment(Dot()), centering, name="dino")
