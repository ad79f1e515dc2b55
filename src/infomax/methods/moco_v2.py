"""MoCo v2: Chen et al. 2020, arXiv:2003.04297."""

from torch import nn

from infomax.critic import Cosine
from infomax.heads import Branch, Head
from infomax.joint import Alignment
from infomax.learner import Learner
from infomax.marginal import InfoNCE
from infomax.methods.registry import method
from infomax.target import EMA


@method
def moco_v2(
    encoder: nn.Module,
    *,
    projector: Head = (2048, 256),
    temperature: float = 0.2,
    queue: int = 65536,
    momentum: float = 0.99,
    momentum_end: float | None = None,
    both_ways: bool = False,
) -> Learner:
    """MoCo v2: MoCo with a two-layer projector and stronger views (arXiv:2003.04297).

    loss = mean_i -T(q_i, k_i) + log[e^T(q_i, k_i) + sum_m e^T(q_i, queue_m)] = log(1 + queue) - bound, T = cos/temperature

    Args:
        encoder: view -> N x width.
        projector: widths of its layers, without batch norm.
        temperature: temperature of the cosine critic.
        queue: number of remembered keys.
        momentum: momentum of the key encoder, constant unless `momentum_end` is given (the authors': 0.999 on ImageNet;
            0.99 on CIFAR).
        momentum_end: final momentum, reached along a cosine (reference recipe on CIFAR: from 0.99 to 0.999); None:
            constant.
        both_ways: also compare view 1 with the key of view 0, and average; the authors' code does not. The keys of both
            views then go into one queue (solo-learn keeps two).

    Where sources differ: lightly drops the keys that do not fit at the end of its queue; here the queue wraps around
    exactly. The batch shuffling of the authors' multi-GPU code is left out: it changes the statistics of batch norm,
    not the loss.

    Example:
        >>> learner = moco_v2(nn.Linear(8, 16), projector=(4,), queue=32)
        >>> learner.marginals[0].queue.shape
        torch.Size([32, 4])
    """
    cos, branch = Cosine(temperature), Branch(encoder, projector, norm=False)
    end = momentum if momentum_end is None else momentum_end
    target = EMA(momentum, anneal=momentum_end is not None, final=end, one_way=not both_ways)
    return Learner(branch, target, Alignment(cos), InfoNCE(cos, queue=queue, width=branch.width), name="moco_v2")
