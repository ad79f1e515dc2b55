"""Colour, pixel by pixel on planes that stay in the processor's cache; the formulas are those of `infomax.views.ops`."""

import numpy as np
from numpy.typing import NDArray

from infomax.views.fused.compiler import Floats, kernel, shift

_RED, _GREEN, _BLUE = np.float32(0.2989), np.float32(0.587), np.float32(0.114)
_ZERO, _ONE, _TWO, _THREE, _FOUR, _SIX = (np.float32(v) for v in (0, 1, 2, 3, 4, 6))


@kernel
def scale_add(x: Floats, factor: np.float32, offset: np.float32, n: int) -> None:
    """`clip(f x + offset)`: brightness without an offset, contrast with (1 - f) times the mean grey."""
    for q in range(n):
        x[q] = min(max(x[q] * factor + offset, _ZERO), _ONE)


@kernel
def fill_grey(planes: Floats, channels: int, n: int, grey: Floats) -> None:
    """Write the grey value of each pixel."""
    if channels == 1:
        for q in range(n):
            grey[q] = planes[q]
    else:
        green, blue = shift(planes, n), shift(planes, 2 * n)
        for q in range(n):
            grey[q] = _RED * planes[q] + _GREEN * green[q] + _BLUE * blue[q]


@kernel
def mean(x: Floats, n: int) -> np.float32:
    """Average by folding the upper half onto the lower until one number is left (x is overwritten).

    The order of the sum is fixed by n alone, and still every fold is a vector operation: the same bytes for every number of
    threads and every vector width.
    """
    left = n
    while left > 1:
        half = left // 2
        upper = shift(x, left - half)
        for q in range(half):
            x[q] += upper[q]
        left -= half
    total: np.float32 = x[0]
    return total / np.float32(n)


@kernel
def saturate(planes: Floats, factor: np.float32, n: int) -> None:
    """`clip(f x + (1 - f) g)`, g the pixel's grey value."""
    red, green, blue = planes, shift(planes, n), shift(planes, 2 * n)
    rest = _ONE - factor
    for q in range(n):
        r, g, b = red[q], green[q], blue[q]
        grey = rest * (_RED * r + _GREEN * g + _BLUE * b)
        red[q] = min(max(r * factor + grey, _ZERO), _ONE)
        green[q] = min(max(g * factor + grey, _ZERO), _ONE)
        blue[q] = min(max(b * factor + grey, _ZERO), _ONE)


@kernel
def turn_hue(planes: Floats, turns: np.float32, n: int) -> None:
    """Turn the hue in HSV space: `low + (high - low) tent(h)`, a tent over the hue h (in sixths of a turn) for each colour."""
    red, green, blue = planes, shift(planes, n), shift(planes, 2 * n)
    sixths = _SIX * turns
    for q in range(n):
        r, g, b = red[q], green[q], blue[q]
        high, low = max(max(r, g), b), min(min(r, g), b)
        spread = high - low
        inverse = _ONE / (_ONE if spread == _ZERO else spread)
        h = (g - b) * inverse if high == r else (_TWO + (b - r) * inverse if high == g else _FOUR + (r - g) * inverse)
        h += sixths
        h = h + _SIX if h < _ZERO else h
        h = h - _SIX if h >= _SIX else h
        red[q] = low + spread * min(max(abs(h - _THREE) - _ONE, _ZERO), _ONE)
        green[q] = low + spread * min(max(_TWO - abs(h - _TWO), _ZERO), _ONE)
        blue[q] = low + spread * min(max(_TWO - abs(h - _FOUR), _ZERO), _ONE)


@kernel
def finish(x: Floats, threshold: np.float32, gain: np.float32, bias: np.float32, n: int, out: Floats) -> None:
    """Solarize (never, where the threshold is infinite), normalise, and write one channel into the batch."""
    for q in range(n):
        v = x[q]
        v = _ONE - v if v >= threshold else v
        out[q] = v * gain + bias


@kernel
def finish_interleaved(
    red: Floats,
    green: Floats,
    blue: Floats,
    threshold: np.float32,
    gain: NDArray[np.float32],
    bias: NDArray[np.float32],
    n: int,
    out: Floats,
) -> None:
    """The same for three channels that lie pixel by pixel (channels last)."""
    gain_r, gain_g, gain_b = gain[0], gain[1], gain[2]
    bias_r, bias_g, bias_b = bias[0], bias[1], bias[2]
    for q in range(n):
        r, g, b = red[q], green[q], blue[q]
        r = _ONE - r if r >= threshold else r
        g = _ONE - g if g >= threshold else g
        b = _ONE - b if b >= threshold else b
        out[3 * q] = r * gain_r + bias_r
        out[3 * q + 1] = g * gain_g + bias_g
        out[3 * q + 2] = b * gain_b + bias_b
