r"""Partitions one by one: log sum_j e^T_ij for every row, log sum_i e^T_ij for every column, of T = left @ right^T.

What is built of them (both directions of InfoNCE, a queue, per-sample estimates, TUBA, the interpolated bound) weighs every
partition as it likes, so the weights are not known before the backward pass. That makes the scores a second time:
dT_ij = u_i e^(T_ij - row_i) + v_j e^(T_ij - column_j). Four matrix products; memory O(N D).

The readable reference is `(left @ right.mT).logsumexp`.
"""

import math
from typing import Any

import torch
from torch import Tensor

from infomax.kernels.blocks import (
    by_formula,
    check,
    columns_of,
    diagonal,
    exact,
    largest_score,
    size,
    tame,
    tiles,
    traced,
    without_true_pairs,
)


def log_sum_exp(left: Tensor, right: Tensor, *, true_pairs: bool = True) -> tuple[Tensor, Tensor]:
    r"""Log-partitions of the rows and of the columns of T = left @ right^T.

    Args:
        left: ... N D, one factor of the scores; 16 bits are computed in 32.
        right: ... M D, the other; a side that needs no gradient (a queue) costs none.
        true_pairs: False leaves the entries i = j out.

    Returns:
        `(... N, ... M)`, nats: log sum_j exp T_ij and log sum_i exp T_ij.

    Raises:
        DataError: shapes that do not fit.

    Example:
        >>> rows, columns = log_sum_exp(torch.zeros(2, 3), torch.zeros(4, 3))
        >>> rows.exp(), columns.exp()
        (tensor([4., 4.]), tensor([2., 2., 2., 2.]))
    """
    left, right = check("log_sum_exp", left, right, rectangular=True)
    if traced(left, right):
        with exact(left):
            return _log_sum_exp(left, right, true_pairs)
    rows, columns = _LogSumExp.apply(left, right, true_pairs)
    return rows, columns


def self_mean_log_sum_exp(z: Tensor) -> Tensor:
    r"""mean_i log sum_{j != i} exp(z_i . z_j): the partition of NT-Xent, over both views at once.

    T is symmetric, so one half of its blocks is enough: half a matrix product forward, one and a half backward, where
    the two directions computed separately take three.

    Args:
        z: ... N D, the rows of both views; 16 bits are computed in 32.

    Returns:
        `...`, nats.

    Raises:
        DataError: not `... N D`.

    Example:
        >>> self_mean_log_sum_exp(torch.zeros(4, 3)).exp().round()
        tensor(3.)
    """
    z, _ = check("self_mean_log_sum_exp", z, z)
    if traced(z, z):
        with exact(z):
            return _self_log_sum_exp(z).mean(-1)
    rows: Tensor = _SelfLogSumExp.apply(z)
    return rows.mean(-1)


def _log_sum_exp(left: Tensor, right: Tensor, true_pairs: bool) -> tuple[Tensor, Tensor]:
    """The formula."""
    t = left @ right.mT
    t = t if true_pairs else t.masked_fill(diagonal(t), -math.inf)
    return t.logsumexp(-1), t.logsumexp(-2)


def _self_log_sum_exp(z: Tensor) -> Tensor:
    """The formula."""
    return _log_sum_exp(z, z, False)[0]


class _LogSumExp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor, true_pairs: bool) -> tuple[Tensor, Tensor]:
        (*lead, n, d), m = left.shape, right.shape[-2]
        with exact(left):
            found = [
                _partitions(x, y, true_pairs)
                for x, y in zip(left.reshape(-1, n, d), right.reshape(-1, m, d), strict=True)
            ]
        rows = torch.stack([r for r, _ in found]).reshape(*lead, n)
        columns = torch.stack([c for _, c in found]).reshape(*lead, m)
        ctx.save_for_backward(left, right, rows, columns)
        ctx.true_pairs = true_pairs
        ctx.set_materialize_grads(False)
        return rows, columns

    @staticmethod
    def backward(ctx: Any, u: Tensor | None, v: Tensor | None) -> tuple[Tensor | None, Tensor | None, None]:
        left, right, rows, columns = ctx.saved_tensors
        if u is None and v is None:
            return None, None, None
        with exact(left):
            if torch.is_grad_enabled():  # the gradient is to be differentiated in its turn: by the formula as it reads
                kept = [(k, w) for k, w in enumerate((u, v)) if w is not None]

                def formula(x: Tensor, y: Tensor) -> list[Tensor]:
                    both = _log_sum_exp(x, y, ctx.true_pairs)
                    return [both[k] for k, _ in kept]

                # the weights may come of the partitions, and so of the factors: they are no part of the formula
                a, b = by_formula(formula, [w for _, w in kept], left, right)
                return a, b, None
            (*lead, n, d), m = left.shape, right.shape[-2]
            of_left = torch.zeros_like(left).view(-1, n, d) if ctx.needs_input_grad[0] else None
            of_right = torch.zeros_like(right).view(-1, m, d) if ctx.needs_input_grad[1] else None
            for p, (x, y) in enumerate(zip(left.reshape(-1, n, d), right.reshape(-1, m, d), strict=True)):
                _weigh(
                    x,
                    y,
                    (rows.reshape(-1, n)[p], columns.reshape(-1, m)[p]),
                    (None if u is None else u.reshape(-1, n)[p], None if v is None else v.reshape(-1, m)[p]),
                    (None if of_left is None else of_left[p], None if of_right is None else of_right[p]),
                    ctx.true_pairs,
                )
        shaped = [None if g is None else g.view(*lead, -1, d) for g in (of_left, of_right)]
        return shaped[0], shaped[1], None


def _partitions(left: Tensor, right: Tensor, true_pairs: bool) -> tuple[Tensor, Tensor]:
    n, m = len(left), len(right)
    right_t = columns_of(right)
    small = tame(largest_score(left, right), left.dtype)
    rows, columns = (left.new_full((k,), 0.0 if small else -math.inf, dtype=torch.float64) for k in (n, m))
    for i, j in tiles(left, m):
        t = left[i] @ right_t[:, j]
        if not true_pairs:
            without_true_pairs(t, i, j, -math.inf)
        if small:
            t.exp_()
            rows[i] += t.sum(1)
            columns[j] += t.sum(0)
        else:
            rows[i] = torch.logaddexp(rows[i], t.logsumexp(1).double())
            columns[j] = torch.logaddexp(columns[j], t.logsumexp(0).double())
    return tuple((s.log_() if small else s).to(left.dtype) for s in (rows, columns))  # type: ignore[return-value]


def _weigh(
    left: Tensor,
    right: Tensor,
    partitions: tuple[Tensor, Tensor],
    weights: tuple[Tensor | None, Tensor | None],
    grads: tuple[Tensor | None, Tensor | None],
    true_pairs: bool,
) -> None:
    """Add sum_j dT_ij right_j to the first gradient and sum_i dT_ij left_i to the second, of one problem."""
    right_t = columns_of(right)
    small = tame(largest_score(left, right), left.dtype)
    # where no e^T overflows, u_i e^(T - row_i) + v_j e^(T - column_j) needs one exponential
    inverse = [None if w is None else w * (-p).exp() for w, p in zip(weights, partitions, strict=True)]
    for i, j in tiles(left, len(right)):
        t = left[i] @ right_t[:, j]
        if not true_pairs:
            without_true_pairs(t, i, j, -math.inf)
        if small:
            shares = [_share(w, k, i, j) for k, w in enumerate(inverse) if w is not None]
            d = t.exp_().mul_(shares[0] if len(shares) == 1 else shares[0] + shares[1])
        else:
            d = torch.zeros_like(t)
            for k, (w, p) in enumerate(zip(weights, partitions, strict=True)):
                if w is not None:
                    d += (t - _share(p, k, i, j)).exp_().mul_(_share(w, k, i, j))
        if grads[0] is not None:
            grads[0][i].addmm_(d, right[j])
        if grads[1] is not None:
            grads[1][j].addmm_(d.T, left[i])


def _share(w: Tensor, k: int, i: slice, j: slice) -> Tensor:
    """A vector's share of a block: of the rows (k = 0) as a column, of the columns as a row."""
    return w[i, None] if k == 0 else w[None, j]


class _SelfLogSumExp(torch.autograd.Function):
    """log sum_{j != i} exp(z_i . z_j) for every i."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        *lead, n, d = z.shape
        with exact(z):
            rows = torch.stack([_self_partitions(x) for x in z.reshape(-1, n, d)]).reshape(*lead, n)
        ctx.save_for_backward(z, rows)
        return rows

    @staticmethod
    def backward(ctx: Any, u: Tensor) -> Tensor | None:
        z, rows = ctx.saved_tensors
        n, d = z.shape[-2:]
        with exact(z):
            if torch.is_grad_enabled():
                return by_formula(_self_log_sum_exp, u, z)[0]
            grad = torch.zeros_like(z).view(-1, n, d)
            for p, x in enumerate(z.reshape(-1, n, d)):
                _self_weigh(x, rows.reshape(-1, n)[p], u.reshape(-1, n)[p], grad[p])
        return grad.view(z.shape)


def _upper(z: Tensor) -> list[slice]:
    """Cuts of the rows into equal sides of square blocks."""
    side = math.isqrt(size(z))
    count = -(-len(z) // side)
    side = -(-len(z) // count)
    return [slice(i, min(i + side, len(z))) for i in range(0, len(z), side)]


def _self_partitions(z: Tensor) -> Tensor:
    cuts = _upper(z)
    small = tame(largest_score(z, z), z.dtype)
    rows = z.new_full((len(z),), 0.0 if small else -math.inf, dtype=torch.float64)
    for p, i in enumerate(cuts):
        for j in cuts[p:]:
            t = z[i] @ z[j].T
            without_true_pairs(t, i, j, -math.inf)
            if small:
                t.exp_()
            for part, dim in [(i, 1)] if i == j else [(i, 1), (j, 0)]:
                if small:
                    rows[part] += t.sum(dim)
                else:
                    rows[part] = torch.logaddexp(rows[part], t.logsumexp(dim).double())
    return (rows.log_() if small else rows).to(z.dtype)


def _self_weigh(z: Tensor, rows: Tensor, u: Tensor, grad: Tensor) -> None:
    cuts = _upper(z)
    small = tame(largest_score(z, z), z.dtype)
    inverse = u * (-rows).exp()
    for p, i in enumerate(cuts):
        for j in cuts[p:]:
            t = z[i] @ z[j].T
            without_true_pairs(t, i, j, -math.inf)
            if small:
                t.exp_().mul_(inverse[i, None] + inverse[None, j])
            else:
                first = (t - rows[i, None]).exp_().mul_(u[i, None])
                t.sub_(rows[None, j]).exp_().mul_(u[None, j]).add_(first)
            grad[i].addmm_(t, z[j])
            if i != j:
                grad[j].addmm_(t.T, z[i])
