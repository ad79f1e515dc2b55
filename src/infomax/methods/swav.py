"""SwAV: Caron et al. 2020, arXiv:2006.09882."""

from torch import nn

from infomax.critic import Dot
from infomax.heads import Branch, Head, Prototypes
from infomax.joint import Alignment
from infomax.learner import Learner
from infomax.marginal import Sinkhorn
from infomax.methods.registry import method
from infomax.target import StopGradient


@method
def swav(
    encoder: nn.Module,
    *,
    projector: Head = (2048, 128),
    prototypes: int = 3000,
    temperature: float = 0.1,
    epsilon: float = 0.05,
    iterations: int = 3,
    queue: int = 0,
    queue_epoch: int = 15,
    freeze_epochs: int = 1,
) -> Learner:
    """SwAV: predict the balanced prototype codes of the two global views from every other view (arXiv:2006.09882, eq. 1).

    loss = mean over code views j and other views i of -mean_n sum_k q_nk(j) log softmax_k(p_k . z_n(i) / temperature)

    Args:
        encoder: view -> N x width.
        projector: widths of its layers, with batch norm between them.
        prototypes: K, the number of prototypes.
        temperature: temperature of the predicted probabilities.
        epsilon: temperature of the Sinkhorn codes; a smaller one gives sharper codes.
        iterations: number of Sinkhorn iterations.
        queue: number of remembered embeddings per global view, for batches smaller than K (0: none).
        queue_epoch: the epoch from which the queue is filled.
        freeze_epochs: number of epochs at the start in which the prototypes are not updated.

    Where sources differ: the paper prints SwAV as joint optimisation; its codes carry no gradient, so by the paper's
    own rule it alternates. The codes are computed in logarithms: the authors' exponential overflows in float32 if
    scores / epsilon exceed 88.

    Example:
        >>> learner = swav(nn.Linear(8, 16), projector=(4,), prototypes=10)
        >>> learner.marginals[0].prototypes.weight.shape
        torch.Size([10, 4])
    """
    branch = Branch(encoder, projector)
    codes = Sinkhorn(
        Prototypes(branch.width, prototypes, frozen_epochs=freeze_epochs),
        temperature=temperature,
        epsilon=epsilon,
        iterations=iterations,
        queue=queue,
        queue_epoch=queue_epoch,
    )
    return Learner(branch, StopGradient(views=2), Alignment(Dot()), codes, name="swav")
