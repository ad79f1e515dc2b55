"""Crop, resize and mirror in one pass over the image's rows: bilinear and antialiased, with banded weights.

An output pixel reads `count` neighbouring pixels only (two where the crop is enlarged), so each axis has a band
of weights: `weight[k S + o]` of pixel `first[o] + k` in output pixel o.

The pass along a row has to gather, and is the dear one. A crop that is enlarged has fewer rows than the view: there each of its
rows is stretched once, and the view's rows are mixed from the last two. A crop that shrinks is mixed first.
"""

import math
from typing import Any

import numpy as np

from infomax.compiled.compiler import NEXT, Floats, Octets, Words, fma, kernel, lines, part, shift
from infomax.compiled.vectors import LANES, fused, load, pick, spread, store, times, unpack, whole

_ZERO, _HALF, _ONE = np.float32(0), np.float32(0.5), np.float32(1)
_OCTET = np.float32(1 / 255)
_UPRIGHT: Any = np.bool_(False)  # as in `constant`


@kernel
def band(length: int, size: int) -> int:
    """Number of pixels that an output pixel can reach when `length` become `size`."""
    if length <= size:
        return min(2, length)
    return min(length, math.floor(2.0 * length / size) + 2)


@kernel
def weigh(length: int, size: int, mirrored: bool, gain: np.float32, first: Words, weight: Floats) -> None:
    """Fill one axis's band: a triangle as wide as one pixel of the coarser grid, cut at the crop's ends, normalised."""
    # Each operation is torch's, in its order, so that the weights are too.
    count, wide = band(length, size), whole(size)
    scale = np.float32(length) / np.float32(size)
    if count == 2 and length <= size:
        weigh_pairs(length, size, mirrored, gain, first, weight)
        return
    reach = max(scale, _ONE)
    narrowing = _ONE / reach
    for o in range(size):
        centre = scale * (np.float32(size - 1 - o if mirrored else o) + _HALF)
        start = min(max(int(centre - reach + _HALF), 0), length - count)
        total = _ZERO
        for k in range(count):
            w = max(_ONE - abs((np.float32(start + k) - centre + _HALF) * narrowing), _ZERO)
            weight[k * wide + o] = w
            total += w
        for k in range(count):
            weight[k * wide + o] = weight[k * wide + o] / total * gain
        first[o] = start


@kernel
def weigh_pairs(length: int, size: int, mirrored: bool, gain: np.float32, first: Words, weight: Floats) -> None:
    """The same for the two pixels of an enlargement, without a branch."""
    scale = np.float32(length) / np.float32(size)
    step, start = (-_ONE, np.float32(size - 1)) if mirrored else (_ONE, _ZERO)
    second, last = shift(weight, whole(size)), np.int32(length - 2)
    for o in range(size):
        centre = scale * (start + step * np.float32(o) + _HALF)
        at = min(max(np.int32(centre - _HALF), np.int32(0)), last)
        near = np.float32(at) - centre + _HALF
        far = np.float32(at + np.int32(1)) - centre + _HALF
        w0, w1 = max(_ONE - abs(near), _ZERO), max(_ONE - abs(far), _ZERO)
        total = w0 + w1
        weight[o], second[o], first[o] = w0 / total * gain, w1 / total * gain, at


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
    """`out[o] = sum_k weight[k, o] row[first[o] + k channels]`, for one channel of one row."""
    wide = whole(size)
    w1, w2 = shift(weight, wide), shift(weight, 2 * wide)
    if count == 2:
        for o in range(size):
            at = first[o]
            out[o] = fma(w1[o], row[at + channels], weight[o] * row[at])
        return
    if count == 3:
        for o in range(size):
            at = first[o]
            out[o] = fma(w2[o], row[at + 2 * channels], fma(w1[o], row[at + channels], weight[o] * row[at]))
        return
    for o in range(size):
        out[o] = weight[o] * row[first[o]]
    for k in range(1, count):
        w, there = shift(weight, k * wide), shift(row, k * channels)
        for o in range(size):
            out[o] = fma(w[o], there[first[o]], out[o])


@part
def shrink(
    corner: Octets,
    width: int,
    channels: int,
    w: int,
    down: int,
    across: int,
    size: int,
    planes: Floats,
    plane: int,
    row: Floats,
    row_weight: Floats,
    column_weight: Floats,
    rows: Words,
    columns: Words,
) -> None:
    """Mix the crop's rows into one row of the view, then that row's columns."""
    stride = width * channels
    for y in range(size):
        mix_rows(shift(corner, rows[y] * stride), stride, shift(row_weight, y), whole(size), down, w * channels, row)
        for c in range(channels):
            out = shift(planes, c * plane + y * size)
            mix_columns(shift(row, c), channels, columns, column_weight, across, size, out)


@kernel
def unpack_row(pixels: Octets, channels: int, w: int, left: int, out: Floats, pitch: int) -> None:
    """Take a row's colours apart, as numbers in [0, 1]; `left` bytes from the first on may be read."""
    done = 0
    if channels == 3:  # vectors may read over the crop's end, but not over the image's
        while done < w and 3 * (done + LANES) <= left:
            unpack(shift(pixels, 3 * done), shift(out, done), pitch, _OCTET)
            done += LANES
    for c in range(channels):
        colour = shift(out, c * pitch)
        for x in range(done, w):
            colour[x] = np.float32(pixels[channels * x + c]) * _OCTET


@kernel
def stretch_row(
    row: Floats, channels: int, pitch: int, base: Words, first: Words, weight: Floats, width: int, out: Floats
) -> None:
    """Mix the pairs of an enlargement, eight output pixels at a time: they read at most nine neighbours."""
    second = shift(weight, width)
    for o in range(0, width, LANES):
        at, w0, w1 = shift(first, o), load(shift(weight, o)), load(shift(second, o))
        for c in range(channels):
            x = shift(row, c * pitch + base[o])
            store(shift(out, c * width + o), fused(w1, pick(shift(x, 1), at), times(w0, pick(x, at))))


@part
def enlarge(
    corner: Octets,
    left: int,
    width: int,
    channels: int,
    w: int,
    down: int,
    across: int,
    size: int,
    planes: Floats,
    plane: int,
    row: Floats,
    row_weight: Floats,
    column_weight: Floats,
    rows: Words,
    columns: Words,
    base: Words,
) -> None:
    """Stretch each row of the crop when it is first needed, then mix the last two into rows of the view."""
    pitch, wide = lines(w + LANES + 1), whole(size)
    line = channels * wide
    stretched = shift(row, channels * pitch)  # two lines, the crop's even and odd rows
    pairs = across == 2 and w <= size
    if pairs:
        for o in range(0, size, LANES):
            base[o] = min(columns[o], columns[min(o + LANES, size) - 1])  # mirrored columns descend
            for k in range(o, o + LANES):
                columns[k] -= base[o]
    ready = 0
    for y in range(size):
        r = rows[y]
        for source in range(max(r, ready), r + down):
            skipped, into = source * width * channels, shift(stretched, (source & 1) * line)
            unpack_row(shift(corner, skipped), channels, w, left - skipped, row, pitch)
            if pairs:
                stretch_row(row, channels, pitch, base, columns, column_weight, wide, into)
            else:
                for c in range(channels):
                    x, out = shift(row, c * pitch), shift(into, c * wide)
                    mix_columns(x, NEXT, columns, column_weight, across, size, out)
        ready = r + down
        upper, lower = shift(stretched, (r & 1) * line), shift(stretched, (r + down - 1 & 1) * line)
        w0, w1 = spread(row_weight[y]), spread(row_weight[wide + y] if down == 2 else _ZERO)
        for c in range(channels):
            out, a, b = shift(planes, c * plane + y * size), shift(upper, c * wide), shift(lower, c * wide)
            for o in range(0, size, LANES):
                store(shift(out, o), fused(w1, load(shift(b, o)), times(w0, load(shift(a, o)))))


@part
def crop_resize(
    image: Octets,
    height: int,
    width: int,
    channels: int,
    top: int,
    left: int,
    h: int,
    w: int,
    mirrored: bool,
    size: int,
    planes: Floats,
    plane: int,
    row: Floats,
    weights: Floats,
    first: Words,
) -> None:
    """Fill `planes` (channels x size x size in [0, 1], a plane every `plane`) from a box of H x W x channels bytes."""
    down, across, wide = band(h, size), band(w, size), whole(size)
    rows, columns, base = first, shift(first, wide), shift(first, 2 * wide)
    row_weight, column_weight = weights, shift(weights, down * wide)
    skipped = (top * width + left) * channels
    corner, rest = shift(image, skipped), height * width * channels - skipped
    weigh(w, size, mirrored, _ONE, columns, column_weight)
    weigh(h, size, _UPRIGHT, _ONE if h <= size else _OCTET, rows, row_weight)
    if h <= size:
        enlarge(
            corner, rest, width, channels, w, down, across, size, planes, plane, row, row_weight, column_weight,
            rows, columns, base,
        )  # fmt: skip
    else:
        for o in range(size):
            columns[o] *= channels
        shrink(
            corner, width, channels, w, down, across, size, planes, plane, row, row_weight, column_weight, rows, columns
        )
