r"""cos-DV from embeddings to gradients in one pass: as `log_mean_exp`, with a third of its memory.

Asked in parts (unit rows, their scores, the true pairs, the log-partition), autograd keeps what every part needs until the
last one is done: seven N x D numbers. But the gradient is known in the forward pass; so are the norms, and

$$ \frac{\partial V}{\partial z} = \frac{1}{\tau \lVert z \rVert} \left( g - u \langle u, g \rangle \right), \qquad
   \frac{\partial V}{\partial \tau} = -\frac{1}{\tau} \sum_i \langle T_i, g_i \rangle, \qquad u = z / \lVert z \rVert, $$

with g the gradient with respect to u / tau. Both unit sides and both gradients are all that is ever held: four N x D numbers.

The readable reference is `infomax.mi.bounds.dv` of `infomax.mi.cosine_scores`.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from infomax.errors import NumericsError
from infomax.kernels.blocks import WIDE, by_formula, check, diagonal, exact, room, traced
from infomax.kernels.partition import sum_up

_EPS = 1e-12  # as `F.normalize` has it


def cosine_dv(z_a: Tensor, z_b: Tensor, tau: float | Tensor) -> Tensor:
    r"""Donsker-Varadhan bound with the critic cos / tau over false pairs i != j, without an N x N matrix.

    Args:
        z_a: ... N D, any scale; 16 bits are computed in 32.
        z_b: ... N D; a side that needs no gradient costs none.
        tau: temperature, > 0; a tensor of one element may be learned.

    Returns:
        `...`, nats.

    Raises:
        DataError: shapes that do not pair.
        NumericsError: fewer than two rows.

    Example:
        >>> z = torch.eye(4)
        >>> cosine_dv(z, z, 0.1)
        tensor(10.)
    """
    z_a, z_b = check("cosine_dv", z_a, z_b)
    if z_a.shape[-2] < 2:
        raise NumericsError(f"cosine_dv: {z_a.shape[-2]} row holds no pair i != j; give at least two")
    tau = tau.reshape(()) if isinstance(tau, Tensor) else z_a.new_tensor(tau)
    if traced(z_a, z_b):
        with exact(z_a):
            return _cosine_dv(z_a, z_b, tau)
    value: Tensor = _CosineDV.apply(z_a, z_b, tau, torch.is_grad_enabled())
    return value


def _cosine_dv(z_a: Tensor, z_b: Tensor, tau: Tensor) -> Tensor:
    """The formula."""
    n, t = z_a.shape[-2], F.normalize(z_a, dim=-1) @ F.normalize(z_b, dim=-1).mT / tau
    false = t.masked_fill(diagonal(t), -math.inf).flatten(-2).logsumexp(-1) - math.log(n * (n - 1))
    return t.diagonal(dim1=-2, dim2=-1).mean(-1) - false


class _CosineDV(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z_a: Tensor, z_b: Tensor, tau: Tensor, track: bool) -> Tensor:
        *lead, n, d = z_a.shape
        of_a, of_b, of_tau = (need and track for need in ctx.needs_input_grad[:3])
        grads = room(z_a, of_a or of_tau), room(z_a, of_b)
        with exact(z_a):
            values, slopes = zip(
                *(
                    _one(x, y, float(tau), *(None if g is None else g[p] for g in grads))
                    for p, (x, y) in enumerate(zip(z_a.reshape(-1, n, d), z_b.reshape(-1, n, d), strict=True))
                ),
                strict=True,
            )
        kept = [None if g is None else g.mT.reshape(z_a.shape) for g in grads]
        ctx.save_for_backward(z_a, z_b, tau, kept[0] if of_a else None, kept[1], torch.stack(slopes).reshape(lead))
        return torch.stack(values).reshape(lead).to(z_a.dtype)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        z_a, z_b, tau, *grads, slopes = ctx.saved_tensors
        if torch.is_grad_enabled():  # the gradient is to be differentiated in its turn: by the formula as it reads
            with exact(z_a):
                return *by_formula(_cosine_dv, upstream, z_a, z_b, tau), None
        # in the order of the rows, so that the leaf can take the tensor as its gradient
        a, b = (None if g is None else torch.mul(g, upstream[..., None, None], out=g.new_empty(g.shape)) for g in grads)
        of_tau = (slopes * upstream).sum().to(tau.dtype) if ctx.needs_input_grad[2] else None
        return a, b, of_tau, None


def _one(z_a: Tensor, z_b: Tensor, tau: float, of_a: Tensor | None, of_b: Tensor | None) -> tuple[Tensor, Tensor]:
    """One problem, N D each: the bound and its slope in tau; its gradients are written to `of_a` and `of_b`, D N each."""
    n = len(z_a)
    lengths = [torch.linalg.vector_norm(z, dim=1) for z in (z_a, z_b)]
    scales = [length.clamp_min(_EPS) * t for length, t in zip(lengths, (tau, 1.0), strict=True)]
    left_t, right_t = (_divided(z, s) for z, s in zip((z_a, z_b), scales, strict=True))
    log_z = sum_up(left_t.T, right_t.T, of_a, of_b, largest=1.01 / tau)
    true = _along(left_t, right_t).mean()
    slope = torch.zeros_like(true)
    for g, mine, other, length, scale, t in zip(
        (of_a, of_b), (left_t, right_t), (right_t, left_t), lengths, scales, (tau, 1.0), strict=True
    ):
        if g is not None:
            g.neg_().add_(other, alpha=1 / n)
            along = _along(mine, g)
            slope = along.sum() / -tau
            outward = (along * t**2).where(length >= _EPS, 0.0).to(g.dtype)  # a row of zeros has no direction to keep
            g.addcmul_(mine, outward, value=-1.0).div_(scale)
    return true - log_z + math.log(n * (n - 1)), slope


def _divided(z: Tensor, lengths: Tensor) -> Tensor:
    """Rows over their lengths, N D -> D N, laid out as `columns_of` has it."""
    if z.shape[1] < WIDE:
        return torch.div(z.T, lengths, out=z.new_empty(z.T.shape))
    return (z / lengths[:, None]).T


def _along(x: Tensor, y: Tensor) -> Tensor:
    """sum_d x_di y_di of D N and D N, in float64, a few columns at a time."""
    return torch.cat([(x[:, c] * y[:, c]).sum(0, dtype=torch.float64) for c in _cuts(x.shape[1])])


def _cuts(n: int) -> Iterator[slice]:
    for i in range(0, n, 4096):
        yield slice(i, i + 4096)
