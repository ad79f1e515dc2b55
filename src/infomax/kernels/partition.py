r"""Log-partitions of a product critic, value and gradient in one pass over blocks that stay in the cache.

Naive autograd walks some ten times over an N x N matrix that does not fit the cache. Here every block of
T = left @ right^T is made, exponentiated and used up before the next one:

log_mean_exp       Z = sum_{i != j} e^T_ij is one scalar, so that the gradients of Z can be summed up un-normalised and
                   divided at the end: d log Z / d left_i = sum_j e^T_ij right_j / Z. Three matrix products in all.
mean_log_sum_exp   Z_i = sum_j e^T_ij is complete within a block of whole rows: d log Z_i / d left_i = sum_j e^T_ij
                   right_j / Z_i. Three matrix products again, and room for 128 rows of scores.

Everything is written D x N. With few columns it is laid out so as well: a matrix product wants its long side in memory order,
and a row of ones below a narrow `right` gives the row sums in the same product.

From some thousand pairs on, a processor for which it pays hands the first of the two to a compiled loop
(`infomax.kernels.fused`).

The readable references are `DonskerVaradhan` and `InfoNCE` of `infomax.marginal`, which call these above a size.
"""

import math
from typing import Any

import torch
from torch import Tensor

from infomax.compiled import missing
from infomax.errors import NumericsError
from infomax.kernels.blocks import (
    WIDE,
    by_formula,
    check,
    columns_of,
    diagonal,
    exact,
    largest_score,
    panels,
    room,
    tame,
    tiles,
    traced,
    without_true_pairs,
)

COMPILED_FROM = 4096
"""Pairs from which on the compiled loop is worth its loading (half a second; some seven, once, where it is not on disk)."""

_WIDEST = 1024  # columns of an embedding up to which the compiled loop's blocks stay in the cache


def log_mean_exp(left: Tensor, right: Tensor) -> Tensor:
    r"""log mean_{i != j} exp(left_i . right_j): the marginal of Donsker-Varadhan, without an N x N matrix.

    Args:
        left: ... N D, one factor of the scores (`critic.factors(a, b)`); 16 bits are computed in 32.
        right: ... N D, the other; a side that needs no gradient costs none.

    Returns:
        `...`, nats.

    Raises:
        DataError: shapes that do not pair.
        NumericsError: fewer than two rows.

    Example:
        >>> log_mean_exp(torch.zeros(4, 3), torch.zeros(4, 3))
        tensor(0.)
    """
    left, right = check("log_mean_exp", left, right)
    if left.shape[-2] < 2:
        raise NumericsError(f"log_mean_exp: {left.shape[-2]} row holds no pair i != j; give at least two")
    if traced(left, right):
        with exact(left):
            return _log_mean_exp(left, right)
    value: Tensor = _LogMeanExp.apply(left, right, torch.is_grad_enabled())
    return value


def mean_log_sum_exp(left: Tensor, right: Tensor, own: Tensor | None = None) -> Tensor:
    r"""mean_i log [sum_j exp(left_i . right_j) + sum_{j != i} exp(left_i . own_j)]: the partition of InfoNCE.

    Args:
        left: ... N D, the anchors; 16 bits are computed in 32.
        right: ... N D, their candidates, including the partner i.
        own: ... N D, candidates of the anchors' own view, without the anchor itself (SimCLR); None: none.

    Returns:
        `...`, nats.

    Raises:
        DataError: shapes that do not pair.

    Example:
        >>> mean_log_sum_exp(torch.zeros(4, 3), torch.zeros(4, 3)).exp().round()
        tensor(4.)
    """
    if own is not None:
        _, own = check("mean_log_sum_exp", left, own)
    left, right = check("mean_log_sum_exp", left, right)
    if traced(left, right):
        with exact(left):
            return _mean_log_sum_exp(left, right, own)
    value: Tensor = _MeanLogSumExp.apply(left, right, own, torch.is_grad_enabled())
    return value


def _log_mean_exp(left: Tensor, right: Tensor) -> Tensor:
    """The formula."""
    t, n = left @ right.mT, left.shape[-2]
    return t.masked_fill(diagonal(t), -math.inf).flatten(-2).logsumexp(-1) - math.log(n * (n - 1))


def _mean_log_sum_exp(left: Tensor, right: Tensor, own: Tensor | None) -> Tensor:
    """The formula."""
    t = left @ right.mT
    if own is not None:
        t = torch.cat([t, (left @ own.mT).masked_fill(diagonal(t), -math.inf)], -1)
    return t.logsumexp(-1).mean(-1)


def _with_ones(t: Tensor) -> Tensor:
    """N D -> (D+1) N, the last row 1; D N where D is large, as a row more would then cost more than a sum."""
    return torch.cat([t.T, t.new_ones(1, len(t))]) if t.shape[1] < WIDE else t.T


def _weighted(t: Tensor, ones_t: Tensor, d: int) -> tuple[Tensor, Tensor]:
    """sum_j t_ij right_j, D R, and sum_j t_ij, R."""
    if len(ones_t) == d:
        return (t @ ones_t.T).T, t.sum(1)
    sums = ones_t @ t.T
    return sums[:d], sums[d]


class _LogMeanExp(torch.autograd.Function):
    """log mean_{i != j} e^T_ij."""

    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor, track: bool) -> Tensor:
        *lead, n, d = left.shape
        grads = [room(t, need and track) for t, need in zip((left, right), ctx.needs_input_grad[:2], strict=True)]
        with exact(left):
            values = [
                sum_up(x, y, *(None if g is None else g[p] for g in grads))
                for p, (x, y) in enumerate(zip(left.reshape(-1, n, d), right.reshape(-1, n, d), strict=True))
            ]
        ctx.save_for_backward(left, right, *(None if g is None else g.mT.reshape(left.shape) for g in grads))
        # in float64 up to here: log Z and log N(N-1) are both large where their difference is small
        return (torch.stack(values) - math.log(n * (n - 1))).reshape(lead).to(left.dtype)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        left, right, *grads = ctx.saved_tensors
        if torch.is_grad_enabled():  # the gradient is to be differentiated in its turn: by the formula as it reads
            with exact(left):
                a, b = by_formula(_log_mean_exp, upstream, left, right)
            return a, b, None
        a, b = (None if g is None else g * upstream[..., None, None] for g in grads)
        return a, b, None


def sum_up(
    left: Tensor, right: Tensor, of_left: Tensor | None, of_right: Tensor | None, *, largest: float | None = None
) -> Tensor:
    """log Z of one problem, N D each; its gradients are added to `of_left` and `of_right`, D N each.

    Sides that lie as `columns_of` would lay them are read where they are; `largest`: a bound of |T|, where one is known.
    """
    n, d = left.shape
    left_t, ones_t = columns_of(left), _with_ones(right)
    right_t = ones_t[:d]
    small = tame(largest_score(left, right) if largest is None else largest, left.dtype)
    if small and _compiled(left, right):
        from infomax.kernels import fused

        sides = [None if g is None else g.T for g in (of_left, of_right)]
        total = fused.sum_up(left.contiguous(), right.contiguous(), *sides)
        for g in sides:
            if g is not None:
                g /= total
        return total.log()
    total = torch.zeros((), dtype=torch.float64, device=left.device)
    top = left.new_tensor(0.0 if small else -math.inf)  # what is subtracted from T: the largest score so far
    buffer = left.new_empty(0)
    for rows, columns in tiles(left, n):
        shape = rows.stop - rows.start, columns.stop - columns.start
        buffer = buffer if buffer.numel() else left.new_empty(math.prod(shape))
        t = torch.mm(left[rows], right_t[:, columns], out=buffer[: math.prod(shape)].view(shape))
        without_true_pairs(t, rows, columns, -math.inf)
        if not small:
            higher = torch.maximum(top, t.amax())
            if higher > top:
                shrink = (top - higher).exp()  # 0 at first, where nothing has been summed yet
                total *= shrink
                for g in (of_left, of_right):
                    if g is not None:
                        g *= shrink
                top = higher
            t.sub_(top)
        t.exp_()
        if of_left is None or len(ones_t) == d:
            total += t.sum(1).sum(dtype=torch.float64)
            if of_left is not None:
                of_left[:, rows].addmm_(right_t[:, columns], t.T)
        else:
            sums, weights = _weighted(t, ones_t[:, columns], d)
            of_left[:, rows] += sums
            total += weights.sum(dtype=torch.float64)
        if of_right is not None:
            of_right[:, columns].addmm_(left_t[:, rows], t)
    for g in (of_left, of_right):
        if g is not None:
            g /= total
    return total.log() + top


def _compiled(left: Tensor, right: Tensor) -> bool:
    """Whether the compiled loop takes a problem, N D each, none of whose e^T overflows."""
    n, d = left.shape
    return (
        left.device.type == "cpu"
        and left.dtype == torch.float32
        and n >= COMPILED_FROM
        and WIDE <= d <= _WIDEST
        # with vectors of sixteen numbers torch's library is the faster one, and elsewhere than on x86 nobody has looked
        and torch.backends.cpu.get_cpu_capability() == "AVX2"
        and not torch.compiler.is_compiling()
        and not missing()
        and bool((left.sum() + right.sum()).isfinite())  # its exponential does not know NaN
    )


class _MeanLogSumExp(torch.autograd.Function):
    """mean_i log Z_i."""

    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor, own: Tensor | None, track: bool) -> Tensor:
        *lead, n, d = left.shape
        grads = [room(left, need and track) for need in ctx.needs_input_grad[:3]]
        sides = [right] if own is None else [right, own]
        values = []
        with exact(left):
            for p, x in enumerate(left.reshape(-1, n, d)):
                candidates = [side.reshape(-1, n, d)[p] for side in sides]
                values.append(_sum_up_rows(x, candidates, [None if g is None else g[p] for g in grads]))
        ctx.save_for_backward(left, right, own, *(None if g is None else (g.mT / n).reshape(left.shape) for g in grads))
        return torch.stack(values).reshape(lead).to(left.dtype)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        left, right, own, *grads = ctx.saved_tensors
        if torch.is_grad_enabled():
            with exact(left):
                a, b, c = by_formula(_mean_log_sum_exp, upstream, left, right, own)
            return a, b, c, None
        a, b, c = (None if g is None else g * upstream[..., None, None] for g in grads)
        return a, b, c, None


def _sum_up_rows(left: Tensor, sides: list[Tensor], grads: list[Tensor | None]) -> Tensor:
    """mean_i log Z_i of one problem; the gradients of sum_i log Z_i are added to `grads`, D N each."""
    n, d = left.shape
    left_t = columns_of(left)
    ones_t = [_with_ones(side) for side in sides]
    small = tame(largest_score(left, *sides), left.dtype)
    buffers: list[Tensor] = []
    of_left, of_sides = grads[0], grads[1 : 1 + len(sides)]
    mean = torch.zeros((), dtype=torch.float64, device=left.device)
    for some in panels(left, n * len(sides)):
        rows = some.stop - some.start
        buffers = buffers or [left.new_empty(rows, n) for _ in sides]
        blocks = [torch.mm(left[some], o[:d], out=b[:rows]) for o, b in zip(ones_t, buffers, strict=True)]
        if len(blocks) > 1:
            blocks[1].diagonal(some.start).fill_(-math.inf)
        if not small:
            top = torch.stack([t.amax(1) for t in blocks]).amax(0)
            for t in blocks:
                t.sub_(top[:, None])
            mean += top.sum(dtype=torch.float64)
        for t in blocks:
            t.exp_()
        if of_left is None:
            z = torch.stack([t.sum(1) for t in blocks]).sum(0)
        else:
            parts = [_weighted(t, o, d) for t, o in zip(blocks, ones_t, strict=True)]
            z = torch.stack([weights for _, weights in parts]).sum(0)
            of_left[:, some] = torch.stack([sums for sums, _ in parts]).sum(0) / z
        mean += z.double().log().sum()
        weighted = left_t[:, some] / z
        for g, t in zip(of_sides, blocks, strict=True):
            if g is not None:
                g.addmm_(weighted, t)
    return mean / n
