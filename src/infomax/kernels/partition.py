r"""Log-partitions of a product critic, value and gradient in one pass over blocks that stay in the cache.

Naive autograd walks some ten times over an N x N matrix that does not fit the cache. Here every block of rows of
T = left @ right^T is made, exponentiated and used up before the next one:

log_mean_exp       Z = sum_{i != j} e^T_ij is one scalar, so that the gradients of Z can be summed up un-normalised and
                   divided at the end: d log Z / d left_i = sum_j e^T_ij right_j / Z.
mean_log_sum_exp   Z_i = sum_j e^T_ij is complete within a block of rows: d log Z_i / d left_i = sum_j e^T_ij right_j / Z_i.

Everything is channel-major (D x N): with the few columns of an embedding a matrix product wants its long side in memory
order, and a row of ones below `right` gives the row sums in the same product.

The readable references are `DonskerVaradhan` and `InfoNCE` of `infomax.marginal`, which call these above a size.
"""

import math
from typing import Any

import torch
from torch import Tensor

from infomax.errors import DataError, NumericsError

_BLOCK = {"cpu": 2**18}  # scores a block: 1 MiB of float32, which a core's second-level cache holds
_BLOCK_ELSEWHERE = 2**24


def log_mean_exp(left: Tensor, right: Tensor) -> Tensor:
    r"""log mean_{i != j} exp(left_i . right_j): the marginal of Donsker-Varadhan, without an N x N matrix.

    Args:
        left: ... N D, one factor of the scores (`critic.factors(a, b)`), float32 or float64.
        right: ... N D, the other; a side that needs no gradient costs none.

    Returns:
        `...`, nats.

    Raises:
        DataError: shapes that do not pair. NumericsError: fewer than two rows.

    Example:
        >>> log_mean_exp(torch.zeros(4, 3), torch.zeros(4, 3))
        tensor(0.)
    """
    n = _check("log_mean_exp", left, right)
    if n < 2:
        raise NumericsError(f"log_mean_exp: {n} row holds no pair i != j; give at least two")
    value: Tensor = _LogMeanExp.apply(left, right, torch.is_grad_enabled())
    return value


def mean_log_sum_exp(left: Tensor, right: Tensor, own: Tensor | None = None) -> Tensor:
    r"""mean_i log [sum_j exp(left_i . right_j) + sum_{j != i} exp(left_i . own_j)]: the partition of InfoNCE.

    Args:
        left: ... N D, the anchors, float32 or float64.
        right: ... N D, their candidates, the partner i among them.
        own: ... N D, candidates of the anchors' own view, the anchor itself left out (SimCLR); None: none.

    Returns:
        `...`, nats.

    Raises:
        DataError: shapes that do not pair.

    Example:
        >>> mean_log_sum_exp(torch.zeros(4, 3), torch.zeros(4, 3)).exp().round()
        tensor(4.)
    """
    _check("mean_log_sum_exp", left, right)
    if own is not None:
        _check("mean_log_sum_exp", left, own)
    value: Tensor = _MeanLogSumExp.apply(left, right, own, torch.is_grad_enabled())
    return value


def _check(name: str, left: Tensor, right: Tensor) -> int:
    if left.shape != right.shape or left.ndim < 2 or left.dtype != right.dtype:
        raise DataError(
            f"{name}: need two tensors ... N D of one shape and type, got {tuple(left.shape)} {left.dtype} and "
            f"{tuple(right.shape)} {right.dtype}"
        )
    return left.shape[-2]


def _rows(n: int, device: torch.device, beside: int = 1) -> int:
    return max(1, min(n, _BLOCK.get(device.type, _BLOCK_ELSEWHERE) // (n * beside)))


def _tame(left_t: Tensor, *rights_t: Tensor) -> bool:
    """Whether no e^T, nor a sum of N^2 of them, can leave the range of the type: |T| <= |left| |right|."""
    largest = [t.square().sum(0).amax() for t in (left_t, *rights_t)]
    return bool((largest[0] * torch.stack(largest[1:]).amax()).sqrt() <= math.log(torch.finfo(left_t.dtype).max) / 2.2)


def _gradient(t: Tensor, wanted: bool) -> Tensor | None:
    """Room for a gradient, channel-major: one D x N a problem."""
    *lead, n, d = t.shape
    return t.new_zeros(math.prod(lead), d, n) if wanted else None


def _with_ones(t: Tensor) -> Tensor:
    """N D -> (D+1) N, the last row 1."""
    return torch.cat([t.T, t.new_ones(1, len(t))])


class _LogMeanExp(torch.autograd.Function):
    """log mean_{i != j} e^T_ij."""

    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor, track: bool) -> Tensor:
        *lead, n, d = left.shape
        grads = [_gradient(left, need and track) for need in ctx.needs_input_grad[:2]]
        values = [
            _sum_up(x, y, *(None if g is None else g[p] for g in grads))
            for p, (x, y) in enumerate(zip(left.reshape(-1, n, d), right.reshape(-1, n, d), strict=True))
        ]
        ctx.save_for_backward(left, right, *(None if g is None else g.mT.reshape(left.shape) for g in grads))
        # in float64 up to here: log Z and log N(N-1) are both large where their difference is small
        return (torch.stack(values) - math.log(n * (n - 1))).reshape(lead).to(left.dtype)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        left, right, *grads = ctx.saved_tensors
        if torch.is_grad_enabled():  # the gradient is to be differentiated in its turn: by the formula as it reads
            t = (left @ right.mT).masked_fill(_diagonal(left), -math.inf)
            a, b = _by_formula(t.flatten(-2).logsumexp(-1), upstream, left, right)
            return a, b, None
        a, b = (None if g is None else g * upstream[..., None, None] for g in grads)
        return a, b, None


def _diagonal(t: Tensor) -> Tensor:
    return torch.eye(t.shape[-2], dtype=torch.bool, device=t.device)


def _by_formula(value: Tensor, upstream: Tensor, *inputs: Tensor | None) -> list[Tensor | None]:
    """The gradients of a value, themselves differentiable; None where an input wants none."""
    wanted = [x for x in inputs if x is not None and x.requires_grad]
    found = iter(torch.autograd.grad(value, wanted, upstream, create_graph=True))
    return [next(found) if x is not None and x.requires_grad else None for x in inputs]


def _sum_up(left: Tensor, right: Tensor, of_left: Tensor | None, of_right: Tensor | None) -> Tensor:
    """log Z of one problem, N D each; its gradients are written to `of_left` and added to `of_right`, D N each."""
    n, d = left.shape
    left_t, ones_t, right_t = left.T.contiguous(), _with_ones(right), right.T.contiguous()
    tame, rows = _tame(left_t, right_t), _rows(n, left.device)
    buffer = left.new_empty(rows, n)
    total = torch.zeros((), dtype=torch.float64, device=left.device)
    top = left.new_tensor(0.0 if tame else -math.inf)  # what is subtracted from T: the largest score so far
    for i in range(0, n, rows):
        some = slice(i, min(i + rows, n))
        t = torch.mm(left[some], right_t, out=buffer[: some.stop - i])
        if not tame:
            t.diagonal(i).fill_(-math.inf)
            higher = torch.maximum(top, t.amax())
            if higher > top:
                shrink = (top - higher).exp()  # 0 at first, where nothing has been summed yet
                total *= shrink
                for g in (of_left[:, :i] if of_left is not None else None, of_right):
                    if g is not None:
                        g *= shrink
                top = higher
            t.sub_(top)
        t.exp_()
        if tame:
            t.diagonal(i).zero_()
        if of_left is None:
            total += t.sum(1).sum(dtype=torch.float64)
        else:
            sums = ones_t @ t.T
            of_left[:, some] = sums[:d]
            total += sums[d].sum(dtype=torch.float64)
        if of_right is not None:
            of_right.addmm_(left_t[:, some], t)
    for g in (of_left, of_right):
        if g is not None:
            g /= total
    return total.log() + top


class _MeanLogSumExp(torch.autograd.Function):
    """mean_i log Z_i."""

    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor, own: Tensor | None, track: bool) -> Tensor:
        *lead, n, d = left.shape
        grads = [_gradient(left, need and track) for need in ctx.needs_input_grad[:3]]
        sides = [right] if own is None else [right, own]
        values = []
        for p, x in enumerate(left.reshape(-1, n, d)):
            candidates = [side.reshape(-1, n, d)[p] for side in sides]
            values.append(_sum_up_rows(x, candidates, [None if g is None else g[p] for g in grads]))
        ctx.save_for_backward(left, right, own, *(None if g is None else (g.mT / n).reshape(left.shape) for g in grads))
        return torch.stack(values).reshape(lead).to(left.dtype)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        left, right, own, *grads = ctx.saved_tensors
        if torch.is_grad_enabled():
            t = left @ right.mT
            if own is not None:
                t = torch.cat([t, (left @ own.mT).masked_fill(_diagonal(left), -math.inf)], -1)
            a, b, c = _by_formula(t.logsumexp(-1).mean(-1), upstream, left, right, own)
            return a, b, c, None
        a, b, c = (None if g is None else g * upstream[..., None, None] for g in grads)
        return a, b, c, None


def _sum_up_rows(left: Tensor, sides: list[Tensor], grads: list[Tensor | None]) -> Tensor:
    """mean_i log Z_i of one problem; the gradients of sum_i log Z_i are added to `grads`, D N each."""
    n, d = left.shape
    left_t = left.T.contiguous()
    ones_t = [_with_ones(side) for side in sides]
    right_t = [side.T.contiguous() for side in sides]
    tame, rows = _tame(left_t, *right_t), _rows(n, left.device, len(sides))
    buffers = [left.new_empty(rows, n) for _ in sides]
    of_left, of_sides = grads[0], grads[1 : 1 + len(sides)]
    mean = torch.zeros((), dtype=torch.float64, device=left.device)
    for i in range(0, n, rows):
        some = slice(i, min(i + rows, n))
        blocks = [torch.mm(left[some], r, out=b[: some.stop - i]) for r, b in zip(right_t, buffers, strict=True)]
        if not tame:
            if len(blocks) > 1:
                blocks[1].diagonal(i).fill_(-math.inf)
            top = torch.stack([t.amax(1) for t in blocks]).amax(0)
            for t in blocks:
                t.sub_(top[:, None])
            mean += top.sum(dtype=torch.float64)
        for t in blocks:
            t.exp_()
        if tame and len(blocks) > 1:
            blocks[1].diagonal(i).zero_()
        if of_left is None:
            z = torch.stack([t.sum(1) for t in blocks]).sum(0)
        else:
            sums = torch.stack([o @ t.T for o, t in zip(ones_t, blocks, strict=True)]).sum(0)
            z = sums[d]
            of_left[:, some] = sums[:d] / z
        mean += z.double().log().sum()
        weighted = left_t[:, some] / z
        for g, t in zip(of_sides, blocks, strict=True):
            if g is not None:
                g.addmm_(weighted, t)
    return mean / n
