"""Crop, resize and mirror in one pass over the image's rows: bilinear and antialiased, with banded weights.

An output pixel reads `count` neighbouring pixels only (two where the crop is enlarged), so each axis has a band
of weights: `weight[k S + o]` of pixel `first[o] + k` in output pixel o.

The pass along a row has to gather, and is the dear one. A crop that is enlarged has fewer rows than the view: there each of its
rows is stretched once, and the view's rows are mixed from the last two. A crop that shrinks is mixed first.
"""

import math

import numpy as np

from infomax.views.fused.compiler import Floats, Octets, Words, fma, kernel, lines, shift
from infomax.views.fused.vectors import stretch_four

_ZERO, _HALF, _ONE = np.float32(0), np.float32(0.5), np.float32(1)
_OCTET = np.float32(1 / 255)


@kernel
def band(length: int, size: int) -> int:
    """Number of pixels that an output pixel can reach when `length` become `size`."""
    if length <= size:
        return min(2, length)
    return min(length, math.floor(2.0 * length / size) + 2)


@kernel
def weigh(length: int, size: int, mirrored: bool, gain: np.float32, first: Words, weight: Floats) -> None:
    """Fill one axis's band: a triangle as wide as one pixel of the coarser grid, cut at the crop's ends, normalised."""
    count = band(length, size)
    scale = np.float32(length) / np.float32(size)
    if count == 2 and length <= size:
        weigh_pairs(length, size, mirrored, gain, first, weight)
        return
    reach = max(scale, _ONE)
    for o in range(size):
        centre = scale * (np.float32(size - 1 - o if mirrored else o) + _HALF)
        start = min(max(int(centre - reach + _HALF), 0), length - count)
        total = _ZERO
        for k in range(count):
            w = max(_ONE - abs(np.float32(start + k) + _HALF - centre) / reach, _ZERO)
            weight[k * size + o] = w
            total += w
        share = gain / total
        for k in range(count):
            weight[k * size + o] *= share
        first[o] = start


@kernel
def weigh_pairs(length: int, size: int, mirrored: bool, gain: np.float32, first: Words, weight: Floats) -> None:
    """The same for the two pixels of an enlargement, without a branch."""
    scale = np.float32(length) / np.float32(size)
    step, start = (-_ONE, np.float32(size - 1)) if mirrored else (_ONE, _ZERO)
    second, last = shift(weight, size), np.int32(length - 2)
    for o in range(size):
        centre = scale * (start + step * np.float32(o) + _HALF)
        at = min(max(np.int32(centre - _HALF), np.int32(0)), last)
        distance = centre - np.float32(at) - _HALF
        w0, w1 = max(_ONE - abs(distance), _ZERO), max(_ONE - abs(_ONE - distance), _ZERO)
        share = gain / (w0 + w1)
        weight[o], second[o], first[o] = w0 * share, w1 * share, at


@kernel
def mix_rows(image: Octets, stride: int, weight: Floats, step: int, count: int, n: int, row: Floats) -> None:
    """`row[x] = sum_k weight[k step] image[k stride + x]`, at most four source rows at a time."""
    b, c, d = shift(image, stride), shift(image, 2 * stride), shift(image, 3 * stride)
    w0 = weight[0]
    if count == 1:
        for x in range(n):
            row[x] = w0 * np.float32(image[x])
        return
    w1 = weight[step]
    if count == 2:
        for x in range(n):
            row[x] = fma(w0, np.float32(image[x]), w1 * np.float32(b[x]))
        return
    w2 = weight[2 * step]
    if count == 3:
        for x in range(n):
            row[x] = fma(w0, np.float32(image[x]), fma(w1, np.float32(b[x]), w2 * np.float32(c[x])))
        return
    w3 = weight[3 * step]
    for x in range(n):
        row[x] = fma(
            w0, np.float32(image[x]), fma(w1, np.float32(b[x]), fma(w2, np.float32(c[x]), w3 * np.float32(d[x])))
        )
    for k in range(4, count):
        e, w = shift(image, k * stride), weight[k * step]
        for x in range(n):
            row[x] = fma(w, np.float32(e[x]), row[x])


@kernel
def mix_columns(row: Floats, channels: int, first: Words, weight: Floats, count: int, size: int, out: Floats) -> None:
    """`out[o] = sum_k weight[k size + o] row[(first[o] + k) channels]`, for one channel of one row."""
    w1, w2 = shift(weight, size), shift(weight, 2 * size)
    if count == 2:
        for o in range(size):
            at = first[o]
            out[o] = fma(weight[o], row[at], w1[o] * row[at + channels])
        return
    if count == 3:
        for o in range(size):
            at = first[o]
            out[o] = fma(weight[o], row[at], fma(w1[o], row[at + channels], w2[o] * row[at + 2 * channels]))
        return
    for o in range(size):
        out[o] = weight[o] * row[first[o]]
    for k in range(1, count):
        w, there = shift(weight, k * size), shift(row, k * channels)
        for o in range(size):
            out[o] = fma(w[o], there[first[o]], out[o])


@kernel
def shrink(
    corner: Octets,
    width: int,
    channels: int,
    w: int,
    down: int,
    across: int,
    size: int,
    planes: Floats,
    row: Floats,
    row_weight: Floats,
    column_weight: Floats,
    rows: Words,
    columns: Words,
) -> None:
    """Mix the crop's rows into one row of the view, then that row's columns."""
    stride = width * channels
    for y in range(size):
        mix_rows(shift(corner, rows[y] * stride), stride, shift(row_weight, y), size, down, w * channels, row)
        for c in range(channels):
            out = shift(planes, (c * size + y) * size)
            mix_columns(shift(row, c), channels, columns, column_weight, across, size, out)


@kernel
def enlarge(
    corner: Octets,
    width: int,
    channels: int,
    w: int,
    down: int,
    across: int,
    size: int,
    planes: Floats,
    row: Floats,
    row_weight: Floats,
    column_weight: Floats,
    rows: Words,
    columns: Words,
) -> None:
    """Stretch each row of the crop when it is first needed, then mix the last two into rows of the view."""
    line = lines(channels * size)
    stretched = shift(row, lines(w * channels + 1))  # two lines, the crop's even and odd rows
    ready = 0
    row[w * channels] = _ZERO  # read beside the last pixel, and not used
    for y in range(size):
        r = rows[y]
        for source in range(max(r, ready), r + down):
            pixels, into = shift(corner, source * width * channels), shift(stretched, (source & 1) * line)
            for x in range(w * channels):
                row[x] = np.float32(pixels[x])
            fours = size // 4 * 4 if channels == 3 and across == 2 else 0
            for o in range(0, fours, 4):
                at, w0, w1 = shift(columns, o), shift(column_weight, o), shift(column_weight, size + o)
                stretch_four(row, at, w0, w1, shift(into, o), size)
            if fours < size:
                for c in range(channels):
                    mix_columns(shift(row, c), channels, columns, column_weight, across, size, shift(into, c * size))
        ready = r + down
        upper, lower = shift(stretched, (r & 1) * line), shift(stretched, (r + 1 & 1) * line)
        w0, w1 = row_weight[y], row_weight[size + y] if down == 2 else _ZERO
        if down == 1:
            lower = upper
        for c in range(channels):
            out, a, b = shift(planes, (c * size + y) * size), shift(upper, c * size), shift(lower, c * size)
            for o in range(size):
                out[o] = fma(w0, a[o], w1 * b[o])


@kernel
def crop_resize(
    image: Octets,
    width: int,
    channels: int,
    top: int,
    left: int,
    h: int,
    w: int,
    mirrored: bool,
    size: int,
    planes: Floats,
    row: Floats,
    weights: Floats,
    first: Words,
) -> None:
    """Fill `planes` (channels x size x size, in [0, 1]) from a box of an image (H x W x channels, uint8)."""
    down, across = band(h, size), band(w, size)
    rows, columns = first, shift(first, size)
    row_weight, column_weight = weights, shift(weights, down * size)
    weigh(h, size, False, _OCTET, rows, row_weight)
    weigh(w, size, mirrored, _ONE, columns, column_weight)
    for o in range(size):
        columns[o] *= channels
    corner = shift(image, (top * width + left) * channels)
    if h <= size:
        enlarge(corner, width, channels, w, down, across, size, planes, row, row_weight, column_weight, rows, columns)
    else:
        shrink(corner, width, channels, w, down, across, size, planes, row, row_weight, column_weight, rows, columns)
