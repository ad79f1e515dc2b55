"""Gaussian blur: two runs of a symmetric filter over planes whose edges are mirrored outwards."""

import math

import numpy as np

from infomax.views.fused.compiler import Floats, kernel, shift

_ZERO = np.float32(0)
_FIRST, _BLOCK = 3, 4
"""Taps a side in the first run over the data and in each further one."""


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
    """Round a reach up to what the unrolled filter takes: 3, 7, 11, ..."""
    return _FIRST + max(0, (reach - _FIRST + _BLOCK - 1) // _BLOCK) * _BLOCK


@kernel
def near_taps(x: Floats, step: int, taps: Floats, n: int, out: Floats) -> None:
    """Write the sum over the centre and the three nearest neighbours a side."""
    a1, b1 = shift(x, -step), shift(x, step)
    a2, b2 = shift(x, -2 * step), shift(x, 2 * step)
    a3, b3 = shift(x, -3 * step), shift(x, 3 * step)
    w0, w1, w2, w3 = taps[0], taps[1], taps[2], taps[3]
    for i in range(n):
        out[i] = w0 * x[i] + w1 * (a1[i] + b1[i]) + w2 * (a2[i] + b2[i]) + w3 * (a3[i] + b3[i])


@kernel
def far_taps(x: Floats, step: int, taps: Floats, k: int, n: int, out: Floats) -> None:
    """Add the sum over neighbours k to k + 3 a side."""
    a1, b1 = shift(x, -k * step), shift(x, k * step)
    a2, b2 = shift(x, -(k + 1) * step), shift(x, (k + 1) * step)
    a3, b3 = shift(x, -(k + 2) * step), shift(x, (k + 2) * step)
    a4, b4 = shift(x, -(k + 3) * step), shift(x, (k + 3) * step)
    w1, w2, w3, w4 = taps[k], taps[k + 1], taps[k + 2], taps[k + 3]
    for i in range(n):
        out[i] += w1 * (a1[i] + b1[i]) + w2 * (a2[i] + b2[i]) + w3 * (a3[i] + b3[i]) + w4 * (a4[i] + b4[i])


@kernel
def filter_line(x: Floats, step: int, taps: Floats, reach: int, n: int, out: Floats) -> None:
    """`out[i] = taps[0] x[i] + sum_k taps[k] (x[i - k step] + x[i + k step])`, k up to the padded reach."""
    # A few runs over data that stay in the cache, each a loop that vectorises, instead of one loop for every reach.
    near_taps(x, step, taps, n, out)
    for k in range(_FIRST + 1, reach + 1, _BLOCK):
        far_taps(x, step, taps, k, n, out)


@kernel
def blur(plane: Floats, size: int, taps: Floats, reach: int, wide: Floats, tall: Floats) -> None:
    """Blur one plane in place; `wide` and `tall` are scratch of (size + 2 padded(reach))^2 numbers."""
    # Lines lie end to end with their margins, so that one long loop filters them all; what it writes between the lines is
    # never read into the result. A margin may be wider than the image (its taps are zero): it then repeats the last pixel.
    reach = padded(reach)
    pitch, last = size + 2 * reach, size - 1
    for y in range(size):
        line, source = shift(wide, y * pitch + reach), shift(plane, y * size)
        for i in range(size):
            line[i] = source[i]
        for k in range(1, reach + 1):
            j = min(k, last)
            line[-k] = source[j]
            line[last + k] = source[last - j]
    n = size * pitch - 2 * reach
    middle = shift(tall, reach * pitch)
    filter_line(shift(wide, reach), 1, taps, reach, n, middle)
    for i in range(n, size * pitch):
        middle[i] = _ZERO
    for k in range(1, reach + 1):
        j = min(k, last)
        above, inside = shift(middle, -k * pitch), shift(middle, j * pitch)
        below, end = shift(middle, (last + k) * pitch), shift(middle, (last - j) * pitch)
        for i in range(size):
            above[i] = inside[i]
            below[i] = end[i]
        for i in range(size, pitch):
            above[i] = _ZERO
            below[i] = _ZERO
    filter_line(middle, pitch, taps, reach, n, wide)
    for y in range(size):
        line, target = shift(wide, y * pitch), shift(plane, y * size)
        for i in range(size):
            target[i] = line[i]
