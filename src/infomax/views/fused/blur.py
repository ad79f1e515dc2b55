"""Gaussian blur: two runs of a symmetric filter over planes whose edges are mirrored outwards."""

import math

import numpy as np

from infomax.compiled.compiler import NEXT, Floats, kernel, part, shift
from infomax.compiled.vectors import LANES, fused, load, plus, spread, store, times, turned, whole

_BLOCK = 4 * LANES


@kernel
def gaussian(sigma: np.float32, radius: int, taps: Floats) -> int:
    """Write one side of the normalised kernel and tell how far it reaches: weights below 3e-8 are left out.

    Such weights cannot change a float32 result, and subnormal numbers are multiplied ten times slower.
    """
    # e^(-k^2 / 2 s^2) from one exponential: each quotient of neighbours is the last one times e^(-1 / s^2).
    first = math.exp(-0.5 / (float(sigma) * float(sigma)))
    total, w, quotient = 1.0, 1.0, first
    for _ in range(radius):
        w *= quotient
        quotient *= first * first
        total += 2.0 * w
    reach, w, quotient = 0, 1.0 / total, first
    taps[0] = np.float32(w)
    for k in range(1, radius + 1):
        w *= quotient
        quotient *= first * first
        if w < 3e-8:
            break
        taps[k] = np.float32(w)
        reach = k
    return reach


@kernel
def framed(size: int, radius: int) -> int:
    """Numbers of scratch that `blur` takes: a plane and its mirrored edges, in rows or in columns of whole vectors."""
    side = whole(size) + 2 * whole(radius)  # `side ** 2` would have numba compile a loop, for half a second
    return side * side + LANES


@kernel
def filter_line(x: Floats, step: int, taps: Floats, reach: int, n: int, out: Floats) -> None:
    """`out[i] = taps[0] x[i] + sum_k taps[k] (x[i - k step] + x[i + k step])`, k up to the reach."""
    i = 0
    while i + _BLOCK <= n:  # four vectors at a time share the loop, the tap, and hide each other's latency
        here = shift(x, i)
        w = spread(taps[0])
        a, b = times(w, load(here)), times(w, load(shift(here, LANES)))
        c, d = times(w, load(shift(here, 2 * LANES))), times(w, load(shift(here, 3 * LANES)))
        left, right = here, here
        for k in range(1, reach + 1):
            w, left, right = spread(taps[k]), shift(left, -step), shift(right, step)
            a = fused(w, plus(load(left), load(right)), a)
            b = fused(w, plus(load(shift(left, LANES)), load(shift(right, LANES))), b)
            c = fused(w, plus(load(shift(left, 2 * LANES)), load(shift(right, 2 * LANES))), c)
            d = fused(w, plus(load(shift(left, 3 * LANES)), load(shift(right, 3 * LANES))), d)
        there = shift(out, i)
        store(there, a)
        store(shift(there, LANES), b)
        store(shift(there, 2 * LANES), c)
        store(shift(there, 3 * LANES), d)
        i += _BLOCK
    while i < n:
        left = right = shift(x, i)
        a = times(spread(taps[0]), load(left))
        for k in range(1, reach + 1):
            left, right = shift(left, -step), shift(right, step)
            a = fused(spread(taps[k]), plus(load(left), load(right)), a)
        store(shift(out, i), a)
        i += LANES


@kernel
def copy(x: Floats, n: int, out: Floats) -> None:
    """Copy n numbers (and up to seven more)."""
    for i in range(0, n, LANES):
        store(shift(out, i), load(shift(x, i)))


@kernel
def frame(x: Floats, size: int, reach: int, out: Floats) -> None:
    """Copy a row and mirror its ends outwards: what a reach can read of it, in whole vectors where the row is long enough."""
    copy(x, size, out)
    if size > whole(reach):
        for k in range(0, reach, LANES):
            store(shift(out, -k - LANES), turned(load(shift(x, k + 1))))
            store(shift(out, size + k), turned(load(shift(x, size - 1 - k - LANES))))
    else:
        last = size - 1
        for k in range(1, reach + 1):  # the reach is below the size
            out[-k] = x[k]
            out[last + k] = x[last - k]


@part
def blur(plane: Floats, size: int, taps: Floats, reach: int, one: Floats, two: Floats) -> None:
    """Blur one plane in place; `one` and `two` are scratch of `framed(size, reach)` numbers."""
    side, width = whole(reach), whole(size)
    pitch = side + size + side
    for y in range(size):
        frame(shift(plane, y * size), size, reach, shift(one, y * pitch + side))
    middle = shift(two, reach * width)
    for y in range(size):
        filter_line(shift(one, y * pitch + side), NEXT, taps, reach, size, shift(middle, y * width))
    for k in range(1, reach + 1):
        copy(shift(middle, k * width), size, shift(middle, -k * width))
        copy(shift(middle, (size - 1 - k) * width), size, shift(middle, (size - 1 + k) * width))
    if width == size:
        filter_line(middle, size, taps, reach, size * size, plane)
    else:
        for y in range(size):
            filter_line(shift(middle, y * width), width, taps, reach, size, shift(plane, y * size))
