"""Gaussian blur: two runs of a symmetric filter over planes whose edges are mirrored outwards."""

import math

import numpy as np

from infomax.views.fused.compiler import Floats, fma, kernel, shift

_ZERO = np.float32(0)
_BLOCK = 4
"""Taps a side in each run over the data but the first, which takes two or three."""


@kernel
def gaussian(sigma: np.float32, radius: int, taps: Floats) -> int:
    """Write one side of the normalised kernel and tell how far it reaches: weights below 3e-8 are left out.

    Such weights cannot change a float32 result, and subnormal numbers are multiplied ten times slower.
    """
    total = 0.0
    for k in range(radius + 1):
        total += (1.0 if k == 0 else 2.0) * math.exp(-0.5 * (k / sigma) ** 2)
    reach = 0
    for k in range(radius + 1):
        w = math.exp(-0.5 * (k / sigma) ** 2) / total
        if w >= 3e-8:
            reach = k
            taps[k] = np.float32(w)
    for k in range(reach + 1, padded(reach) + 1):
        taps[k] = _ZERO
    return reach


@kernel
def padded(reach: int) -> int:
    """Round a reach up to what the unrolled filter takes: 2, 3, 6, 7, 10, 11, ..."""
    if reach <= 3:
        return max(reach, 2)
    return reach + (2 - reach % _BLOCK if reach % _BLOCK < 2 else 0)


@kernel
def nearest_taps(x: Floats, step: int, taps: Floats, n: int, out: Floats) -> None:
    """Write the sum over the centre and the two nearest neighbours a side."""
    a1, b1 = shift(x, -step), shift(x, step)
    a2, b2 = shift(x, -2 * step), shift(x, 2 * step)
    w0, w1, w2 = taps[0], taps[1], taps[2]
    for i in range(n):
        out[i] = fma(w2, a2[i] + b2[i], fma(w1, a1[i] + b1[i], w0 * x[i]))


@kernel
def near_taps(x: Floats, step: int, taps: Floats, n: int, out: Floats) -> None:
    """The same over the three nearest."""
    a1, b1 = shift(x, -step), shift(x, step)
    a2, b2 = shift(x, -2 * step), shift(x, 2 * step)
    a3, b3 = shift(x, -3 * step), shift(x, 3 * step)
    w0, w1, w2, w3 = taps[0], taps[1], taps[2], taps[3]
    for i in range(n):
        near = fma(w1, a1[i] + b1[i], w0 * x[i])
        out[i] = fma(w3, a3[i] + b3[i], fma(w2, a2[i] + b2[i], near))


@kernel
def far_taps(x: Floats, step: int, taps: Floats, k: int, n: int, out: Floats) -> None:
    """Add the sum over neighbours k to k + 3 a side."""
    a1, b1 = shift(x, -k * step), shift(x, k * step)
    a2, b2 = shift(x, -(k + 1) * step), shift(x, (k + 1) * step)
    a3, b3 = shift(x, -(k + 2) * step), shift(x, (k + 2) * step)
    a4, b4 = shift(x, -(k + 3) * step), shift(x, (k + 3) * step)
    w1, w2, w3, w4 = taps[k], taps[k + 1], taps[k + 2], taps[k + 3]
    for i in range(n):
        near = fma(w2, a2[i] + b2[i], fma(w1, a1[i] + b1[i], out[i]))
        out[i] = fma(w4, a4[i] + b4[i], fma(w3, a3[i] + b3[i], near))


@kernel
def filter_line(x: Floats, step: int, taps: Floats, reach: int, n: int, out: Floats) -> None:
    """`out[i] = taps[0] x[i] + sum_k taps[k] (x[i - k step] + x[i + k step])`, k up to the padded reach."""
    # A few runs over data that stay in the cache, each a loop that vectorises, instead of one loop for every reach.
    first = 2 if reach % _BLOCK == 2 else 3
    if first == 2:
        nearest_taps(x, step, taps, n, out)
    else:
        near_taps(x, step, taps, n, out)
    for k in range(first + 1, reach + 1, _BLOCK):
        far_taps(x, step, taps, k, n, out)


@kernel
def copy(x: Floats, n: int, out: Floats) -> None:
    """Copy n numbers."""
    for i in range(n):
        out[i] = x[i]


@kernel
def blur(plane: Floats, size: int, taps: Floats, reach: int, one: Floats, two: Floats) -> None:
    """Blur one plane in place; `one` and `two` are scratch of (size + 2 padded(reach))^2 numbers."""
    # A margin may be wider than the image (its taps are zero): it then repeats the last pixel.
    reach = padded(reach)
    pitch, last = size + 2 * reach, size - 1
    middle = shift(one, reach * size)
    copy(plane, size * size, middle)
    for k in range(1, reach + 1):
        j = min(k, last)
        copy(shift(plane, j * size), size, shift(middle, -k * size))
        copy(shift(plane, (last - j) * size), size, shift(middle, (last + k) * size))
    filter_line(middle, size, taps, reach, size * size, plane)
    # Rows lie end to end with their margins, so that one long loop filters them all; what it writes between them is not read.
    for y in range(size):
        line, source = shift(two, y * pitch + reach), shift(plane, y * size)
        copy(source, size, line)
        for k in range(1, reach + 1):
            j = min(k, last)
            line[-k] = source[j]
            line[last + k] = source[last - j]
    filter_line(shift(two, reach), 1, taps, reach, size * pitch - 2 * reach, one)
    for y in range(size):
        copy(shift(one, y * pitch), size, shift(plane, y * size))
