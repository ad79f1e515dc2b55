"""W-MSE: Ermolov et al. 2021, arXiv:2007.06346."""

from torch import nn

from infomax.critic import Cosine, Euclidean
from infomax.heads import Branch, Head
from infomax.joint import Alignment
from infomax.learner import Learner
from infomax.marginal import Whitening
from infomax.methods.registry import method
from infomax.target import Shared


@method
def w_mse(
    encoder: nn.Module,
    *,
    projector: Head = (1024, 64),
    whitening_size: int = 128,
    iterations: int = 1,
    eps: float = 0.0,
    normalize: bool = True,
) -> Learner:
    """W-MSE: minimise the distance between the whitened embeddings of the views (arXiv:2007.06346, eq. 5).

    loss = mean over pairs of views of mean_i (2 - 2 cos(w1_i, w2_i)), or of the mean square distance without `normalize`

    Args:
        encoder: view -> N x width.
        projector: widths of its layers, with batch norm between them; the last width is D, which must be smaller than
            `whitening_size`.
        whitening_size: number of rows of a whitening sub-batch; the batch size must be a multiple of it.
        iterations: number of random partitions into sub-batches, over which the loss is averaged.
        eps: shrinkage of the covariance, (1 - eps) cov + eps I.
        normalize: normalise the rows to length 1 after whitening.

    Where sources differ: solo-learn detaches the second view by default: the same value, but another gradient.

    Example:
        >>> w_mse(nn.Linear(8, 16), projector=(4,), whitening_size=32).marginals[0].size
        32
    """
    branch, whitening = Branch(encoder, projector), Whitening(whitening_size, iterations=iterations, eps=eps)
    if normalize:
        return Learner(branch, Shared(), Alignment(Cosine()), whitening, scale=2.0, offset=1.0, name="w_mse")
    return Learner(branch, Shared(), Alignment(Euclidean()), whitening, name="w_mse")
