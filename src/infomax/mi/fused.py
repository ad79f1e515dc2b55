r"""The inner loop of the metric's pass on the CPU, compiled: one sweep over a block of scores while it lies in the cache.

torch needs a sweep for each of e^T, the two sums of it, the clipped ones and softplus, and every sweep reads and writes the
block. Here a score is read once, exponentiated once, and everything is taken from that: SMILE's clip as
min(max(e^T, e^-c), e^c), softplus as log(1 + e^T). Polynomials in place of the library's functions let a processor work on
8 or 16 scores at a time; their relative error is below 2e-7, that of float32 itself.

The readable reference is `_tame_block` of `infomax.mi.sums`, which also serves where this does not: on a GPU, in float64, and
where e^T would overflow.
"""

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from infomax.views.fused.pool import split, threads

LOG2_E = 1 / math.log(2)
NOTHING = -125.0
"""The score, over log 2, of what is to be left out: 2^-125."""

_WIDTH = 2048  # columns a block: with 256 rows 2 MiB, which a core's second-level cache holds
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "boundscheck": False}

_ROUND, _ONE, _LN2 = np.float32(1.5 * 2**23), np.float32(1.0), np.float32(math.log(2))
_BITS, _MANTISSA = np.int32(23), np.int32(0x7FFFFF)
_ROOT_HALF = np.int32(0x3F3504F3)  # the bits of sqrt(1/2)
# minimax polynomials of 2^r on [-1/2, 1/2] and of log(1 + m) / m on [sqrt(1/2) - 1, sqrt(2) - 1]
_E = tuple(
    np.float32(c)
    for c in (
        *(1.0000000716546849, 0.6931469670647605, 0.24022119723840046),
        *(0.055507132734977614, 0.009675541334451691, 0.0013276471992602875),
    )
)
_L = tuple(
    np.float32(c * math.log(2))
    for c in (
        *(1.4426947734743076, -0.721357121420868, 0.4809393922576598, -0.36008812034651955),
        *(0.28670853201096336, -0.2500611715659197, 0.23688254026167996, -0.14575765048065115),
    )
)

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


def _compiled(function: Callable[..., None]) -> Callable[..., None]:
    """Compile, and keep the machine code on disk where a folder can be written; sums may be taken in any order."""
    options = _OPTIONS | {"fastmath": {"reassoc", "contract", "nsz"}}
    try:
        return njit(**options, cache=True)(function)  # type: ignore[no-any-return]
    except RuntimeError as error:
        warnings.warn(
            f"the metric's loop is compiled anew in every process ({error}): "
            "set NUMBA_CACHE_DIR to a folder that can be written",
            RuntimeWarning,
            stacklevel=2,
        )
        return njit(**options)(function)  # type: ignore[no-any-return]


# reordering is not allowed here: the rounding depends on adding the constant first
@njit(**_OPTIONS, fastmath={"contract"})  # type: ignore[untyped-decorator]
def _exp2(x: Any) -> Any:
    """2^x, |x| < 126."""
    shifted = np.float32(x + _ROUND)
    r = np.float32(x - (shifted - _ROUND))
    p = ((((_E[5] * r + _E[4]) * r + _E[3]) * r + _E[2]) * r + _E[1]) * r + _E[0]
    return np.int32(np.float32(p).view(np.int32) + np.int32(shifted.view(np.int32) << _BITS)).view(np.float32)


@njit(**_OPTIONS, fastmath={"contract"})  # type: ignore[untyped-decorator]
def _log(y: Any) -> Any:
    """log y, y >= 1."""
    b = np.int32(np.float32(y).view(np.int32) - _ROOT_HALF)
    m = np.int32((b & _MANTISSA) + _ROOT_HALF).view(np.float32) - _ONE
    p = ((((((_L[7] * m + _L[6]) * m + _L[5]) * m + _L[4]) * m + _L[3]) * m + _L[2]) * m + _L[1]) * m + _L[0]
    return np.float32(np.int32(b >> _BITS)) * _LN2 + p * m


@_compiled
def _sweep(
    t: Floats, start: int, stop: int, low: np.float32, high: np.float32, of_rows: Doubles, of_columns: Floats
) -> None:
    """Replace columns of T / log 2 by e^T, and add their sums of e^T, softplus and clipped e^T to 3 R and to 3 N."""
    exponential, soft, clipped = of_columns[0, start:stop], of_columns[1, start:stop], of_columns[2, start:stop]
    height = len(t)
    for i in range(0, height - 1, 2):  # two rows at once: the columns' sums are read and written half as often
        x, y = t[i, start:stop], t[i + 1, start:stop]
        a = b = c = d = e = f = np.float32(0.0)
        for j in range(stop - start):
            p, q = _exp2(x[j]), _exp2(y[j])
            x[j], y[j] = p, q
            u, v = _log(p + _ONE), _log(q + _ONE)
            r, s = min(max(p, low), high), min(max(q, low), high)
            a += p
            b += u
            c += r
            d += q
            e += v
            f += s
            exponential[j] += p + q
            soft[j] += u + v
            clipped[j] += r + s
        of_rows[0, i] += a
        of_rows[1, i] += b
        of_rows[2, i] += c
        of_rows[0, i + 1] += d
        of_rows[1, i + 1] += e
        of_rows[2, i + 1] += f
    if height % 2:
        x = t[height - 1, start:stop]
        a = b = c = np.float32(0.0)
        for j in range(stop - start):
            p = _exp2(x[j])
            x[j] = p
            u, r = _log(p + _ONE), min(max(p, low), high)
            a += p
            b += u
            c += r
            exponential[j] += p
            soft[j] += u
            clipped[j] += r
        of_rows[0, height - 1] += a
        of_rows[1, height - 1] += b
        of_rows[2, height - 1] += c


def sweep(score: Callable[[slice, Tensor], None], t: Tensor, clip: float) -> tuple[Tensor, Tensor]:
    """Score a panel of R rows and N columns a few blocks at a time, so that a block is still in the cache when it is used.

    Args:
        score: writes T / log 2 of some columns of the panel.
        t: R N, float32; becomes e^T.
        clip: of SMILE, nats.

    Returns:
        `(3 R, 3 N)` in float64: the sums over rows and over columns of e^T, softplus(T) and the clipped e^T.
    """
    height, n = t.shape
    low, high = np.float32(math.exp(-clip)), np.float32(math.exp(min(clip, 88.0)))
    at_once = threads()
    array, of_columns = t.numpy(), torch.zeros(3, n)
    columns = of_columns.numpy()
    of_rows = np.zeros((at_once, 3, height))
    for start in range(0, n, _WIDTH * at_once):
        group = slice(start, min(start + _WIDTH * at_once, n))
        score(group, t[:, group])
        edges = [*range(group.start, group.stop, _WIDTH), group.stop]

        def work(first: int, last: int, edges: list[int] = edges) -> None:
            for k in range(first, last):
                _sweep(array, edges[k], edges[k + 1], low, high, of_rows[k], columns)

        split(len(edges) - 1, work)
    return torch.from_numpy(of_rows.sum(0)), of_columns.double()
