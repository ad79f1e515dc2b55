r"""mean_{i != j} softplus(T_ij), the false pairs' part of the Jensen-Shannon objective, value and gradient in one pass.

Its gradient is sigmoid(T), entry by entry, so no normaliser has to be known first: three matrix products. The logarithm
is by far the most expensive step; sum log(1 + e^T) = log prod (1 + e^T) lets one logarithm serve up to 32 entries.

The readable reference is `infomax.mi.jsd`.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from infomax.errors import NumericsError
from infomax.kernels.blocks import (
    by_formula,
    check,
    columns_of,
    diagonal,
    exact,
    largest_score,
    room,
    tame,
    tiles,
    traced,
    without_true_pairs,
)


def softplus(t: Tensor) -> Tensor:
    """log(1 + e^T), which from 80 on is T itself, in double precision too; torch 2.6 fails at e to the 88 in single.

    Example:
        >>> softplus(torch.tensor([0.0, 87.9]))
        tensor([ 0.6931, 87.9000])
    """
    return F.softplus(t, threshold=80.0)


def mean_softplus(left: Tensor, right: Tensor) -> Tensor:
    r"""mean_{i != j} log(1 + exp(left_i . right_j)), without an N x N matrix.

    Args:
        left: ... N D, one factor of the scores (`critic.factors(a, b)`); 16 bits are computed in 32.
        right: ... N D, the other; a side that needs no gradient costs none.

    Returns:
        `...`.

    Raises:
        DataError: shapes that do not pair.
        NumericsError: fewer than two rows.

    Example:
        >>> mean_softplus(torch.zeros(4, 3), torch.zeros(4, 3))
        tensor(0.6931)
    """
    left, right = check("mean_softplus", left, right)
    if left.shape[-2] < 2:
        raise NumericsError(f"mean_softplus: {left.shape[-2]} row holds no pair i != j; give at least two")
    if traced(left, right):
        with exact(left):
            return _mean_softplus(left, right)
    value: Tensor = _MeanSoftplus.apply(left, right, torch.is_grad_enabled())
    return value


def _mean_softplus(left: Tensor, right: Tensor) -> Tensor:
    """The formula."""
    t, n = left @ right.mT, left.shape[-2]
    return softplus(t).masked_fill(diagonal(t), 0.0).sum((-2, -1)) / (n * (n - 1))


def foldings(largest: float, dtype: torch.dtype) -> int:
    """How often log(1 + e^T) may be summed as a product of pairs before the product leaves the range of the type."""
    return max(0, min(5, int(math.log2(math.log(torch.finfo(dtype).max) / (largest + math.log(2.0))))))


def folded_log_sum(factors: Tensor, times: int, dim: int) -> Tensor:
    """The sum of log(factors) along a dimension."""
    size = factors.shape[dim]
    folded = factors
    for k in range(times):
        half = size // 2
        last = folded.narrow(dim, size - half, half)
        size -= half
        folded = folded.narrow(dim, 0, size).clone() if k == 0 else folded.narrow(dim, 0, size)
        folded.narrow(dim, 0, half).mul_(last)
    return (folded.log_() if times else folded.log()).sum(dim)


class _MeanSoftplus(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor, track: bool) -> Tensor:
        *lead, n, d = left.shape
        grads = [room(t, need and track) for t, need in zip((left, right), ctx.needs_input_grad[:2], strict=True)]
        pairs = n * (n - 1)
        with exact(left):
            sums = [
                _sum_up(x, y, *(None if g is None else g[p] for g in grads))
                for p, (x, y) in enumerate(zip(left.reshape(-1, n, d), right.reshape(-1, n, d), strict=True))
            ]
        ctx.save_for_backward(left, right, *(None if g is None else (g.mT / pairs).reshape(left.shape) for g in grads))
        return (torch.stack(sums) / pairs).reshape(lead).to(left.dtype)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        left, right, *grads = ctx.saved_tensors
        if torch.is_grad_enabled():  # the gradient is to be differentiated in its turn: by the formula as it reads
            with exact(left):
                a, b = by_formula(_mean_softplus, upstream, left, right)
            return a, b, None
        a, b = (None if g is None else g * upstream[..., None, None] for g in grads)
        return a, b, None


def _sum_up(left: Tensor, right: Tensor, of_left: Tensor | None, of_right: Tensor | None) -> Tensor:
    """sum_{i != j} softplus(T_ij) of one problem; its gradients are added to `of_left` and `of_right`, D N each."""
    left_t, right_t = columns_of(left), columns_of(right)
    largest = largest_score(left, right)
    small = tame(largest, left.dtype)
    times = foldings(largest, left.dtype) if small else 0
    total = torch.zeros((), dtype=torch.float64, device=left.device)
    for rows, columns in tiles(left, len(left)):
        t = left[rows] @ right_t[:, columns]
        without_true_pairs(t, rows, columns, -math.inf)
        if small:
            e = t.exp_()
            factors = e + 1.0
            slope = e.div_(factors)
            total += folded_log_sum(factors.view(-1), times, 0)
        else:  # softplus by halves that cannot overflow
            total += softplus(t).sum(dtype=torch.float64)
            slope = t.sigmoid_()
        if of_left is not None:
            of_left[:, rows].addmm_(right_t[:, columns], slope.T)
        if of_right is not None:
            of_right[:, columns].addmm_(left_t[:, rows], slope)
    return total


@torch.no_grad()
def clipped_log_mean_exp(left: Tensor, right: Tensor, clip: float) -> Tensor:
    r"""log mean_{i != j} exp(clamp(T_ij, -clip, clip)): the value of SMILE's marginal, which needs no gradient.

    Args:
        left: ... N D, one factor of the scores.
        right: ... N D, the other.
        clip: nats.

    Returns:
        `...`, nats.

    Example:
        >>> clipped_log_mean_exp(torch.full((3, 1), 9.0), torch.ones(3, 1), 2.0)
        tensor(2.)
    """
    left, right = check("clipped_log_mean_exp", left, right)
    *lead, n, d = left.shape
    top = min(clip, 80.0)  # subtracted: an infinite clip is none, and e^T may then need it
    found = []
    with exact(left):
        for x, y in zip(left.reshape(-1, n, d), right.reshape(-1, n, d), strict=True):
            right_t = columns_of(y)
            total = torch.full((), -math.inf, dtype=torch.float64, device=left.device)
            for rows, columns in tiles(x, n):
                t = (x[rows] @ right_t[:, columns]).clamp_(-clip, clip)
                without_true_pairs(t, rows, columns, -math.inf)
                part = t.sub_(top).exp_().sum(dtype=torch.float64).log() + top if clip <= 80.0 else t.logsumexp((0, 1))
                total = torch.logaddexp(total, part)
            found.append(total - math.log(n * (n - 1)))
    return torch.stack(found).reshape(lead).to(left.dtype)
