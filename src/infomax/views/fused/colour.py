"""Colour, pixel by pixel on planes that stay in the processor's cache; the formulas are those of `infomax.views.ops`."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from infomax.compiled.compiler import Floats, Halves, bits, fma, kernel, negative, shift
from infomax.compiled.vectors import LANES, fused, load, spread, stream

_RED, _GREEN, _BLUE = np.float32(0.2989), np.float32(0.587), np.float32(0.114)
_ZERO, _ONE, _TWO, _THREE, _FOUR, _SIX = (np.float32(v) for v in (0, 1, 2, 3, 4, 6))
_SIXTH, _TINY = np.float32(1 / 6), np.float32(2**-100)


@kernel
def blend(x: Floats, factor: np.float32, other: np.float32, n: int) -> None:
    """`clip(f x + (1 - f) other)`: towards black, or towards the mean grey."""
    rest = _ONE - factor
    for q in range(n):
        x[q] = min(max(fma(rest, other, x[q] * factor), _ZERO), _ONE)


@kernel
def luma(r: np.float32, g: np.float32, b: np.float32) -> np.float32:
    """The grey value of a pixel."""
    grey: np.float32 = fma(_BLUE, b, fma(_GREEN, g, _RED * r))
    return grey


@kernel
def fill_grey(planes: Floats, channels: int, n: int, grey: Floats) -> None:
    """Write the grey value of each pixel."""
    if channels == 1:
        for q in range(n):
            grey[q] = planes[q]
    else:
        green, blue = shift(planes, n), shift(planes, 2 * n)
        for q in range(n):
            grey[q] = luma(planes[q], green[q], blue[q])


@kernel
def turn_grey(planes: Floats, n: int) -> None:
    """The same in place of the reds: the compiler must see that it is one array, or it takes pixel by pixel."""
    green, blue = shift(planes, n), shift(planes, 2 * n)
    for q in range(n):
        planes[q] = luma(planes[q], green[q], blue[q])


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
        grey = luma(r, g, b)
        red[q] = min(max(fma(rest, grey, r * factor), _ZERO), _ONE)
        green[q] = min(max(fma(rest, grey, g * factor), _ZERO), _ONE)
        blue[q] = min(max(fma(rest, grey, b * factor), _ZERO), _ONE)


@kernel
def without_turn(h: np.float32) -> np.float32:
    """`h mod 1` for h in [0, 2)."""
    rest = h - _ONE
    return h if negative(rest) else rest


@kernel
def fill_hue(planes: Floats, turns: np.float32, n: int, hue: Floats) -> None:
    """Write the hue of each pixel, turned, in sixths of a turn."""
    # torchvision's has 23 bits after the point: brightness, contrast and saturation can make 3e-6 of that. So it is rounded
    # here where it is there, operation by operation.
    red, green, blue = planes, shift(planes, n), shift(planes, 2 * n)
    for q in range(n):
        r, g, b = red[q], green[q], blue[q]
        high = max(max(r, g), b)
        divisor = max(high - min(min(r, g), b), _TINY)  # a grey pixel has nothing but zeros to divide
        from_r, from_g, from_b = high - r, high - g, high - b
        reddest, greenest = high == r, high == g
        base = _ZERO if reddest else (_TWO if greenest else _FOUR)
        ahead = from_b if reddest else (from_r if greenest else from_g)
        behind = from_g if reddest else (from_b if greenest else from_r)
        h = (base + ahead / divisor) - behind / divisor
        h = h * _SIXTH + _ONE
        h = without_turn(h) + turns
        h = h + _ONE if negative(h) else h
        hue[q] = without_turn(h) * _SIX


@kernel
def turn_hue(planes: Floats, turns: np.float32, n: int, scratch: Floats) -> None:
    """Turn the hue h in HSV space: `low + (high - low) tent(h)`, a tent over the circle for each colour."""
    # In two loops: one has too long a chain of operations for several pixels to be in flight.
    fill_hue(planes, turns, n, scratch)
    red, green, blue = planes, shift(planes, n), shift(planes, 2 * n)
    for q in range(n):
        r, g, b, h = red[q], green[q], blue[q], scratch[q]
        low = min(min(r, g), b)
        width = max(max(r, g), b) - low
        red[q] = fma(width, min(max(abs(h - _THREE) - _ONE, _ZERO), _ONE), low)
        green[q] = fma(width, min(max(_TWO - abs(h - _TWO), _ZERO), _ONE), low)
        blue[q] = fma(width, min(max(_TWO - abs(h - _FOUR), _ZERO), _ONE), low)


@kernel
def solarize(planes: Floats, threshold: np.float32, n: int) -> None:
    """`1 - x where x >= t`."""
    for q in range(n):
        x = planes[q]
        planes[q] = _ONE - x if x >= threshold else x


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
    def finish(x: Floats, gain: np.float32, bias: np.float32, n: int, out: Any) -> None:
        for q in range(n):
            write(out, q, fma(x[q], gain, bias))

    @kernel
    def finish_interleaved(
        red: Floats,
        green: Floats,
        blue: Floats,
        gain: NDArray[np.float32],
        bias: NDArray[np.float32],
        n: int,
        out: Any,
    ) -> None:
        gain_r, gain_g, gain_b = gain[0], gain[1], gain[2]
        bias_r, bias_g, bias_b = bias[0], bias[1], bias[2]
        for q in range(n):
            write(out, 3 * q, fma(red[q], gain_r, bias_r))
            write(out, 3 * q + 1, fma(green[q], gain_g, bias_g))
            write(out, 3 * q + 2, fma(blue[q], gain_b, bias_b))

    return finish, finish_interleaved


finish, finish_interleaved = _finishers(put)
finish_half, finish_interleaved_half = _finishers(put_half)
"""Normalise, and write a view into the batch."""


@kernel
def finish_past_cache(x: Floats, gain: np.float32, bias: np.float32, n: int, out: Floats) -> None:
    """The same for whole vectors on their boundaries, without reading first what is to be overwritten."""
    gains, biases = spread(gain), spread(bias)
    for q in range(0, n, LANES):
        stream(shift(out, q), fused(load(shift(x, q)), gains, biases))
