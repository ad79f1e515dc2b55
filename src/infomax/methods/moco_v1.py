"""MoCo v1: He et al. 2020, arXiv:1911.05722."""

from torch import nn

from infomax.critic import Cosine
from infomax.heads import Branch, Head
from infomax.joint import Alignment
from infomax.learner import Learner
from infomax.marginal import InfoNCE
from infomax.methods.registry import method
from infomax.target import EMA


@method
def moco_v1(
    encoder: nn.Module,
    *,
    projector: Head = (128,),
    temperature: float = 0.07,
    queue: int = 65536,
    momentum: float = 0.999,
    both_ways: bool = False,
) -> Learner:
    """MoCo v1: InfoNCE against a queue of keys from a moving-average encoder (arXiv:1911.05722, eq. 1).

    loss = mean_i -T(q_i, k_i) + log[e^T(q_i, k_i) + sum_m e^T(q_i, queue_m)] = log(1 + queue) - bound, T = cos/temperature

    Args:
        encoder: view -> N x width.
        projector: widths of its layers, without batch norm; by default one linear layer.
        temperature: temperature of the cosine critic.
        queue: number of remembered keys.
        momentum: momentum of the key encoder, constant.
        both_ways: also compare view 1 with the key of view 0, and average; the authors' code does not. The keys of both
            views then go into one queue (solo-learn keeps two).

    Where sources differ: lightly drops the keys that do not fit at the end of its queue; here the queue wraps around
    exactly. The batch shuffling of the authors' multi-GPU code is left out: it changes the statistics of batch norm,
    not the loss.

    Example:
        >>> learner = moco_v1(nn.Linear(8, 16), projector=(4,), queue=32)
        >>> learner.marginals[0].queue.shape
        torch.Size([32, 4])
    """
    cos, branch = Cosine(temperature), Branch(encoder, projector, norm=False)
    target = EMA(momentum, anneal=False, one_way=not both_ways)
    return Learner(branch, target, Alignment(cos), InfoNCE(cos, queue=queue, width=branch.width), name="moco_v1")
