"""The two entry points, compiled: draw every view of a batch; turn a range of its images into every view."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from infomax.compiled.compiler import (
    LINE,
    Floats,
    Words,
    entry,
    fingerprint,
    floats,
    halves,
    kernel,
    lines,
    octets,
    part,
    shift,
    words,
)
from infomax.compiled.vectors import LANES, settle, whole
from infomax.views.fused.blur import blur, framed, gaussian
from infomax.views.fused.colour import (
    blend,
    fill_grey,
    finish,
    finish_half,
    finish_interleaved,
    finish_interleaved_half,
    finish_past_cache,
    mean,
    saturate,
    solarize,
    turn_grey,
    turn_hue,
)
from infomax.views.fused.drawing import GOLDEN, draw_view, mix
from infomax.views.fused.resample import band, crop_resize

_ZERO, _ONE = np.float32(0), np.float32(1)


class Program(NamedTuple):
    """The compiled entry points."""

    draw: Callable[..., int]
    apply: Callable[..., int]


@kernel
def plane_of(size: int) -> int:
    """Numbers from one plane to the next: whole cache lines, and room for the last row's vectors."""
    return lines(size * size + LANES - 1)


@part
def jitter(planes: Floats, channels: int, size: int, drawn: np.record, scratch: Floats) -> None:
    """Brightness, contrast, saturation and hue in the order drawn; a neutral factor leaves the bytes alone."""
    n, plane = size * size, plane_of(size)
    for place in range(4):
        which = (drawn.order >> 2 * place) & 3
        if which == 0 and drawn.brightness != _ONE:
            blend(planes, drawn.brightness, _ZERO, channels * plane)
        elif which == 1 and drawn.contrast != _ONE:
            fill_grey(planes, channels, plane, scratch)
            blend(planes, drawn.contrast, mean(scratch, n), channels * plane)
        elif which == 2 and channels == 3 and drawn.saturation != _ONE:
            saturate(planes, drawn.saturation, plane)
        elif which == 3 and channels == 3 and drawn.hue != _ZERO:
            turn_hue(planes, drawn.hue, plane, scratch)


@part
def view(
    image: np.record,
    channels: int,
    canvas: np.record,
    drawn: np.record,
    gain: NDArray[np.float32],
    bias: NDArray[np.float32],
    place: int,
    planes: Floats,
    scratch: Floats,
    more_scratch: Floats,
    row: Floats,
    weights: Floats,
    first: Words,
) -> None:
    """Make one view of one image, and write it from the number `place` of the batch on."""
    size = canvas.size
    n, plane = size * size, plane_of(size)
    crop_resize(
        octets(image.address), image.height, image.width, channels, drawn.top, drawn.left, drawn.height, drawn.width,
        drawn.flip != 0, size, planes, plane, row, weights, first,
    )  # fmt: skip
    jitter(planes, channels, size, drawn, scratch)
    distinct = channels  # a grey view is blurred once
    if drawn.gray and channels == 3:
        distinct = 1
        turn_grey(planes, plane)
    if drawn.sigma > _ZERO:
        reach = gaussian(drawn.sigma, canvas.radius, weights)
        if reach > 0:
            for c in range(distinct):
                blur(shift(planes, c * plane), size, weights, reach, scratch, more_scratch)
    if drawn.solarize:
        solarize(planes, np.float32(canvas.threshold), distinct * plane)
    start = canvas.address + (2 if canvas.half else 4) * place
    green, blue = shift(planes, plane if distinct == 3 else 0), shift(planes, 2 * plane if distinct == 3 else 0)
    if canvas.channels_last and channels == 3:
        if canvas.half:
            finish_interleaved_half(planes, green, blue, gain, bias, n, halves(start))
        else:
            finish_interleaved(planes, green, blue, gain, bias, n, floats(start))
        return
    boundaries = start % (4 * LANES) == 0 and n % LANES == 0
    for c in range(channels):
        x = shift(planes, min(c, distinct - 1) * plane)
        if canvas.half:
            finish_half(x, gain[c], bias[c], n, shift(halves(start), c * n))
        elif boundaries:
            finish_past_cache(x, gain[c], bias[c], n, shift(floats(start), c * n))
        else:
            finish(x, gain[c], bias[c], n, shift(floats(start), c * n))


@part
def view_range(
    images: NDArray[np.void],
    channels: int,
    canvases: NDArray[np.void],
    drawn: NDArray[np.void],
    gain: NDArray[np.float32],
    bias: NDArray[np.float32],
    start: int,
    stop: int,
) -> int:
    """Make every view of images start to stop - 1, the views of one image after each other: its bytes are then at hand."""
    tallest = widest = 1
    for i in range(start, stop):
        tallest, widest = max(tallest, images[i].height), max(widest, images[i].width)
    plane = frame = weighed = largest = 1
    for v in range(len(canvases)):
        size, radius = canvases[v].size, canvases[v].radius
        plane, frame, largest = max(plane, plane_of(size)), max(frame, framed(size, radius)), max(largest, size)
        bands = whole(size) * (band(tallest, size) + band(widest, size))
        weighed = max(weighed, bands, radius + 1)

    # Every part starts at a cache line: vectors that lie across two are read at half the speed.
    frame = lines(max(frame, plane))
    rows = channels * (lines(widest + LANES + 1) + 2 * whole(largest))
    scratch = np.zeros(channels * plane + 2 * frame + rows + weighed + 3 * LINE, np.float32)
    first = np.empty(3 * whole(largest), np.int32)
    planes = floats((scratch.ctypes.data + 4 * LINE - 1) // (4 * LINE) * (4 * LINE))
    one = shift(planes, channels * plane)
    two = shift(one, frame)
    row = shift(two, frame)
    weights = shift(row, lines(rows))
    for i in range(start, stop):
        for v in range(len(canvases)):
            place = i * channels * canvases[v].size * canvases[v].size
            view(
                images[i], channels, canvases[v], drawn[v, i], gain, bias, place,
                planes, one, two, row, weights, words(first.ctypes.data),
            )  # fmt: skip
    settle()
    return len(scratch) + len(first)  # a use after the last pointer, which keeps the arrays alive until here


def program(*, cache: bool, what: str) -> Program:
    """Declare the entry points; they are compiled, or read from the cache, when first called."""
    mark = fingerprint(__file__)

    def draw(
        rules: NDArray[np.void],
        keys: NDArray[np.uint64],
        index: NDArray[np.int64],
        images: NDArray[np.void],
        drawn: NDArray[np.void],
    ) -> int:
        for v in range(len(rules)):
            for i in range(len(index)):
                key = mix(keys[v] + np.uint64(index[i] + 1) * GOLDEN)
                draw_view(rules[v], key, images[i].height, images[i].width, drawn[v, i])
        return mark

    def apply(
        images: NDArray[np.void],
        channels: int,
        canvases: NDArray[np.void],
        drawn: NDArray[np.void],
        gain: NDArray[np.float32],
        bias: NDArray[np.float32],
        start: int,
        stop: int,
    ) -> int:
        view_range(images, channels, canvases, drawn, gain, bias, start, stop)
        return mark

    return Program(entry(draw, cache=cache, what=what), entry(apply, cache=cache, what=what))
