"""Colour, pixel by pixel on planes that stay in the processor's cache; the formulas are those of `infomax.views.ops`."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from infomax.views.fused.compiler import Floats, Halves, bits, fma, kernel, shift

_RED, _GREEN, _BLUE = np.float32(0.2989), np.float32(0.587), np.float32(0.114)
_ZERO, _ONE, _TWO, _THREE, _FOUR, _SIX = (np.float32(v) for v in (0, 1, 2, 3, 4, 6))


@kernel
def scale_add(x: Floats, factor: np.float32, offset: np.float32, n: int) -> None:
    """`clip(f x + offset)`: brightness without an offset, contrast with (1 - f) times the mean grey."""
    for q in range(n):
        x[q] = min(max(fma(x[q], factor, offset), _ZERO), _ONE)


@kernel
def fill_grey(planes: Floats, channels: int, n: int, grey: Floats) -> None:
    """Write the grey value of each pixel."""
    if channels == 1:
        for q in range(n):
            grey[q] = planes[q]
    else:
        green, blue = shift(planes, n), shift(planes, 2 * n)
        for q in range(n):
            grey[q] = fma(_RED, planes[q], fma(_GREEN, green[q], _BLUE * blue[q]))


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
        grey = rest * fma(_RED, r, fma(_GREEN, g, _BLUE * b))
        red[q] = min(max(fma(r, factor, grey), _ZERO), _ONE)
        green[q] = min(max(fma(g, factor, grey), _ZERO), _ONE)
        blue[q] = min(max(fma(b, factor, grey), _ZERO), _ONE)


@kernel
def turn_hue(planes: Floats, turns: np.float32, n: int) -> None:
    """Turn the hue in HSV space: `low + (high - low) tent(h)`, a tent over the hue h (in sixths of a turn) for each colour."""
    # All in units of spread: neither a division nor a case for grey pixels, whose spread is zero.
    red, green, blue = planes, shift(planes, n), shift(planes, 2 * n)
    sixths = _SIX * turns
    for q in range(n):
        r, g, b = red[q], green[q], blue[q]
        high, low = max(max(r, g), b), min(min(r, g), b)
        spread = high - low
        h = g - b if high == r else (fma(_TWO, spread, b - r) if high == g else fma(_FOUR, spread, r - g))
        h = fma(sixths, spread, h)
        whole = _SIX * spread
        h = h + whole if h < _ZERO else h
        h = h - whole if h >= whole else h
        red[q] = low + min(max(abs(h - _THREE * spread) - spread, _ZERO), spread)
        green[q] = low + min(max(_TWO * spread - abs(h - _TWO * spread), _ZERO), spread)
        blue[q] = low + min(max(_TWO * spread - abs(h - _FOUR * spread), _ZERO), spread)


@kernel
def put(out: Floats, q: int, v: np.float32) -> None:
    """Write one number."""
    out[q] = v


@kernel
def put_half(out: Halves, q: int, v: np.float32) -> None:
    """Write one number as bfloat16, rounded to nearest, ties to even."""
    word = bits(v)
    out[q] = (word + np.uint32(0x7FFF) + ((word >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)


def _finishers(write: Any) -> tuple[Any, Any]:
    """The last step, for one kind of number in the batch: plane by plane, or pixel by pixel."""

    @kernel
    def finish(x: Floats, threshold: np.float32, gain: np.float32, bias: np.float32, n: int, out: Any) -> None:
        for q in range(n):
            v = x[q]
            v = _ONE - v if v >= threshold else v
            write(out, q, fma(v, gain, bias))

    @kernel
    def finish_interleaved(
        red: Floats,
        green: Floats,
        blue: Floats,
        threshold: np.float32,
        gain: NDArray[np.float32],
        bias: NDArray[np.float32],
        n: int,
        out: Any,
    ) -> None:
        gain_r, gain_g, gain_b = gain[0], gain[1], gain[2]
        bias_r, bias_g, bias_b = bias[0], bias[1], bias[2]
        for q in range(n):
            r, g, b = red[q], green[q], blue[q]
            r = _ONE - r if r >= threshold else r
            g = _ONE - g if g >= threshold else g
            b = _ONE - b if b >= threshold else b
            write(out, 3 * q, fma(r, gain_r, bias_r))
            write(out, 3 * q + 1, fma(g, gain_g, bias_g))
            write(out, 3 * q + 2, fma(b, gain_b, bias_b))

    return finish, finish_interleaved


finish, finish_interleaved = _finishers(put)
finish_half, finish_interleaved_half = _finishers(put_half)
"""Solarize (never, where the threshold is infinite), normalise, and write a view into the batch."""
