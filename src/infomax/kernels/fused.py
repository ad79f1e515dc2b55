r"""Donsker-Varadhan's partition on the CPU, compiled: scores, e^T and both gradients of a block while it lies in the cache.

torch hands every block to three matrix products, and each of them packs its factors anew; on a processor with vectors of eight
numbers its library then reaches half of what the processor can do. Here the factors are packed once a band of columns, and
a block's products read them from the cache (one core of an AMD EPYC: 1.2 to 1.3 times as fast in all):

    for a band of columns j:   pack right_j, as rows (for the gradient of left) and turned (for the scores)
        for a block of rows i: pack left_i;  T = left_i right_j^T;  E = e^T;  of_left_i += E right_j;  of_right_j += E^T left_i

The readable reference is the loop of `infomax.kernels.partition.sum_up`, which also serves where this does not: elsewhere than
on such a processor, in float64, with few pairs, narrow rows or very wide ones, under torch.compile, without numba, and where
e^T would overflow.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from infomax.compiled.compiler import Floats, constant, entry, fingerprint, floats, kernel, ready, shift
from infomax.compiled.exponentials import LOG2_E, NOTHING, exp2
from infomax.compiled.pool import split, threads
from infomax.compiled.vectors import LANES, fused, load, plus, spread, store

_DOWN, _ACROSS = 6, constant(2 * LANES)  # a tile: 12 registers of sums, and of the 4 left two hold a row, one a number
_UNIT = 48  # what both divide: a block's columns are the rows of the gradient of right
_HEIGHT, _WIDTH, _BAND = 192, 192, 1152  # rows and columns of a block, columns of a band: whole units
_PITCH = _WIDTH + 16  # an odd number of cache lines a row: a column's numbers are not to share one place in the cache
_ONE = constant(1)
_ZERO, _UNCHANGED, _LOG2_E, _NOTHING = np.float32(0), np.float32(1), np.float32(LOG2_E), np.float32(NOTHING)


@kernel
def add(c: Floats, x: Any, y: Any) -> None:
    """Add sixteen numbers to those at c."""
    store(c, plus(load(c), x))
    c = shift(c, LANES)
    store(c, plus(load(c), y))


@kernel
def tile(a: Floats, down: int, along: int, b: Floats, c: Floats, pitch: int, depth: int) -> None:
    """Add to 6 x 16 numbers of C: sum_k a[i down + k along] b[16 k + j]."""
    c1 = shift(c, pitch)
    c2 = shift(c1, pitch)
    c3 = shift(c2, pitch)
    c4 = shift(c3, pitch)
    c5 = shift(c4, pitch)
    # from 0, and added at the end: one after another from the first block on, the rounding would grow with the pairs
    x0 = x1 = x2 = x3 = x4 = x5 = spread(_ZERO)
    y0 = y1 = y2 = y3 = y4 = y5 = spread(_ZERO)
    for _ in range(depth):
        p, q = load(b), load(shift(b, LANES))
        s = spread(a[0])
        x0, y0 = fused(s, p, x0), fused(s, q, y0)
        s = spread(a[down])
        x1, y1 = fused(s, p, x1), fused(s, q, y1)
        s = spread(a[2 * down])
        x2, y2 = fused(s, p, x2), fused(s, q, y2)
        s = spread(a[3 * down])
        x3, y3 = fused(s, p, x3), fused(s, q, y3)
        s = spread(a[4 * down])
        x4, y4 = fused(s, p, x4), fused(s, q, y4)
        s = spread(a[5 * down])
        x5, y5 = fused(s, p, x5), fused(s, q, y5)
        a, b = shift(a, along), shift(b, _ACROSS)
    add(c, x0, y0)
    add(c1, x1, y1)
    add(c2, x2, y2)
    add(c3, x3, y3)
    add(c4, x4, y4)
    add(c5, x5, y5)


@kernel
def add_product(
    a: Floats, down: int, along: int, b: Floats, panel: int, c: Floats, pitch: int, rows: int, columns: int, depth: int
) -> None:
    """C += A B, whole tiles: A's number i, k at a[i down + k along]; B in panels of 16 columns, `panel` numbers apart."""
    for j in range(0, columns, _ACROSS):
        for i in range(0, rows, _DOWN):
            tile(shift(a, i * down), down, along, b, shift(c, i * pitch + j), pitch, depth)
        b = shift(b, panel)


@kernel
def pack(x: Floats, d: int, count: int, height: int, start: int, columns: int, gain: np.float32, out: Floats) -> None:
    """Copy some columns of rows of d numbers; zeros beyond the d columns, and beyond the `count` rows."""
    inside = min(columns, d - start)
    for i in range(height):
        row = shift(x, i * d + start)
        for k in range(columns):
            out[k] = gain * row[k] if i < count and k < inside else _ZERO
        out = shift(out, columns)


@kernel
def pack_rows(x: Floats, d: int, wide: int, count: int, height: int, out: Floats) -> None:
    """Rows as panels of 16 columns."""
    for k in range(0, wide, _ACROSS):
        pack(x, d, count, height, k, _ACROSS, _UNCHANGED, shift(out, k * height))


@kernel
def pack_turned(x: Floats, d: int, wide: int, count: int, height: int, out: Floats) -> None:
    """Rows as panels of 16 rows, turned: the 16 numbers of a column one after another."""
    for i in range(height):
        row, place = shift(x, i * d), shift(out, i // _ACROSS * _ACROSS * wide + i % _ACROSS)
        for k in range(wide):
            place[k * _ACROSS] = row[k] if i < count and k < d else _ZERO


@kernel
def clear(x: Floats, n: int) -> None:
    """Write zeros."""
    for k in range(n):
        x[k] = _ZERO


@kernel
def exponentiate(x: Floats, n: int) -> float:
    """Replace T / log 2 by e^T; their sum, always in one order. The eight numbers behind the row are written over."""
    for k in range(n):
        x[k] = exp2(x[k])
    a = b = spread(_ZERO)
    for k in range(0, n, _ACROSS):
        a, b = plus(a, load(shift(x, k))), plus(b, load(shift(x, k + LANES)))
    behind = shift(x, n)
    store(behind, plus(a, b))
    total = 0.0
    for k in range(LANES):
        total += behind[k]
    return total


@kernel
def sweep(
    left: Floats, start: int, stop: int, d: int, wide: int, first: int, count: int, width: int,
    rows: Floats, turned: Floats, scratch: Floats, of_left: Floats, of_right: Floats, climbs: int,
) -> float:  # fmt: skip
    """Pass over rows start..stop with a band of columns; `climbs`: 1 for the gradient of left, 2 of right, 3 of both."""
    scaled, panels = scratch, shift(scratch, _HEIGHT * wide)
    sums = shift(panels, _HEIGHT * wide)
    t = shift(sums, _HEIGHT * wide)
    total = 0.0
    for i in range(start, stop, _HEIGHT):
        many = min(_HEIGHT, stop - i)
        height = (many + _DOWN - 1) // _DOWN * _DOWN
        here = shift(left, i * d)
        pack(here, d, many, height, 0, wide, _LOG2_E, scaled)
        if climbs & 2:
            pack_rows(here, d, wide, many, height, panels)
        clear(sums, height * wide)
        for j in range(0, width, _WIDTH):
            some = min(_WIDTH, width - j)
            clear(t, height * _PITCH)
            add_product(scaled, wide, _ONE, shift(turned, j * wide), _ACROSS * wide, t, _PITCH, height, some, wide)
            for r in range(many):  # the rows that fill up the last tile stay 0
                row, partner = shift(t, r * _PITCH), i + r - first - j
                if 0 <= partner < some:
                    row[partner] = _NOTHING
                for q in range(max(0, count - j), some):
                    row[q] = _NOTHING
                total += exponentiate(row, some)
            if climbs & 1:
                add_product(t, _PITCH, _ONE, shift(rows, j * _ACROSS), _ACROSS * width, sums, wide, height, wide, some)
            if climbs & 2:
                add_product(
                    t, _ONE, _PITCH, panels, _ACROSS * height, shift(of_right, j * wide), wide, some, wide, height
                )
        if climbs & 1:
            for r in range(many):
                out, row = shift(of_left, (i + r) * d), shift(sums, r * wide)
                for k in range(d):
                    out[k] += row[k]
    return total


class Program(NamedTuple):
    """The compiled entry points."""

    pack: Callable[..., int]
    sweep: Callable[..., int]


def _declared(*, cache: bool, what: str) -> Program:
    mark = fingerprint(__file__)

    def pack_band(right: int, d: int, wide: int, count: int, width: int, rows: int, turned: int) -> int:
        pack_rows(floats(right), d, wide, count, width, floats(rows))
        pack_turned(floats(right), d, wide, count, width, floats(turned))
        return mark

    def sweep_band(
        left: int, start: int, stop: int, d: int, wide: int, first: int, count: int, width: int,
        rows: int, turned: int, scratch: int, of_left: int, of_right: int, climbs: int, total: NDArray[np.float64],
    ) -> int:  # fmt: skip
        total[0] += sweep(
            floats(left), start, stop, d, wide, first, count, width,
            floats(rows), floats(turned), floats(scratch), floats(of_left), floats(of_right), climbs,
        )  # fmt: skip
        return mark

    return Program(entry(pack_band, cache=cache, what=what), entry(sweep_band, cache=cache, what=what))


@lru_cache(maxsize=1)
def _loaded() -> Program:
    def run(program: Program) -> None:
        program.pack(0, 1, 0, 0, 0, 0, 0)
        program.sweep(0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, np.zeros(1))

    return ready(_declared, run, "the loop of the log-partition", 7)


def sum_up(left: Tensor, right: Tensor, of_left: Tensor | None, of_right: Tensor | None) -> Tensor:
    """Sum e^T over the pairs i != j, and add the sums' gradients to `of_left` and `of_right`.

    A sum's last bits depend on the number of threads, and on nothing else.

    Args:
        left, right: N D, float32, finite, rows one after another in memory; |T| at most 40, as `blocks.tame` has it.
        of_left, of_right: N D likewise; None where no gradient is wanted.

    Returns:
        A scalar in float64.
    """
    n, d = left.shape
    across = int(_ACROSS)
    wide = -(-d // across) * across
    blocks = -(-n // _HEIGHT)
    pieces = min(threads(), blocks)
    edges = [n if k == pieces else blocks * k // pieces * _HEIGHT for k in range(pieces + 1)]
    rows, turned = left.new_empty(2, _BAND * wide)
    sums = left.new_empty(pieces, _BAND, wide)
    scratch = left.new_empty(pieces, _HEIGHT * (3 * wide + _PITCH))
    total = np.zeros(pieces)
    program, climbs = _loaded(), (of_left is not None) + 2 * (of_right is not None)
    for first in range(0, n, _BAND):
        count = min(_BAND, n - first)
        width = -(-count // _UNIT) * _UNIT
        program.pack(right[first:].data_ptr(), d, wide, count, width, rows.data_ptr(), turned.data_ptr())
        sums.zero_()

        def work(start: int, stop: int, first: int = first, count: int = count, width: int = width) -> None:
            for k in range(start, stop):
                program.sweep(
                    left.data_ptr(), edges[k], edges[k + 1], d, wide, first, count, width,
                    rows.data_ptr(), turned.data_ptr(), scratch[k].data_ptr(),
                    0 if of_left is None else of_left.data_ptr(), sums[k].data_ptr(), climbs, total[k : k + 1],
                )  # fmt: skip

        split(pieces, work)
        if of_right is not None:
            for part in sums:
                of_right[first : first + count] += part[:count, :d]
    return left.new_tensor(total.sum(), dtype=torch.float64)
