r"""The inner loop of the metric's pass on the CPU, compiled: one sweep over a block of scores while it lies in the cache.

torch needs a sweep for each of e^T, the two sums of it, the clipped ones and softplus, and every sweep reads and writes the
block. Here a score is read once, exponentiated once, and everything is taken from that: SMILE's clip as
min(max(e^T, e^-c), e^c), softplus as log(1 + e^T). Polynomials in place of the library's functions let a processor work on
8 or 16 scores at a time; their relative error is below 2e-7, that of float32 itself.

The readable reference is `_tame_block` of `infomax.mi.sums`, which also serves where this does not: on a GPU, in float64, and
where e^T would overflow.
"""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from infomax.compiled.compiler import Floats, entry, fingerprint, ready, summing
from infomax.compiled.exponentials import exp2, log
from infomax.compiled.pool import split, threads

_WIDTH = 2048  # columns a block: with 256 rows 2 MiB, which a core's second-level cache holds
_ONE = np.float32(1.0)

Doubles = NDArray[np.float64]
Sweep = Callable[..., int]


@summing
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
            p, q = exp2(x[j]), exp2(y[j])
            x[j], y[j] = p, q
            u, v = log(p + _ONE), log(q + _ONE)
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
            p = exp2(x[j])
            x[j] = p
            u, r = log(p + _ONE), min(max(p, low), high)
            a += p
            b += u
            c += r
            exponential[j] += p
            soft[j] += u
            clipped[j] += r
        of_rows[0, height - 1] += a
        of_rows[1, height - 1] += b
        of_rows[2, height - 1] += c


def _declared(*, cache: bool, what: str) -> Sweep:
    mark = fingerprint(__file__)

    def sweep_block(
        t: Floats, start: int, stop: int, low: np.float32, high: np.float32, of_rows: Doubles, of_columns: Floats
    ) -> int:
        _sweep(t, start, stop, low, high, of_rows, of_columns)
        return mark

    return entry(sweep_block, cache=cache, what=what)


@lru_cache(maxsize=1)
def _loaded() -> Sweep:
    def run(sweep_block: Sweep) -> None:
        one = np.zeros((1, 1), np.float32)
        sweep_block(one, 0, 1, _ONE, _ONE, np.zeros((3, 1)), np.zeros((3, 1), np.float32))

    return ready(_declared, run, "the loop of the metric", 5)


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
    at_once, sweep_block = threads(), _loaded()
    array, of_columns = t.numpy(), torch.zeros(3, n)
    columns = of_columns.numpy()
    of_rows = np.zeros((at_once, 3, height))
    for start in range(0, n, _WIDTH * at_once):
        group = slice(start, min(start + _WIDTH * at_once, n))
        score(group, t[:, group])
        edges = [*range(group.start, group.stop, _WIDTH), group.stop]

        def work(first: int, last: int, edges: list[int] = edges) -> None:
            for k in range(first, last):
                sweep_block(array, edges[k], edges[k + 1], low, high, of_rows[k], columns)

        split(len(edges) - 1, work)
    return torch.from_numpy(of_rows.sum(0)), of_columns.double()
