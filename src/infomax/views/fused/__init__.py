"""Views on the CPU in one compiled pass over each image: crop to normalisation without leaving the processor's cache.

    tables    ImageView and Params as records
    drawing   the draw, equal to the bit to `image.draw`
    resample  colour  blur    the operations, on planes of one image
    program   the two entry points

`infomax.views.image` stays the reference; this is what `Views` takes by itself for uint8 images with one or three channels
on the CPU. A view's bytes depend on the image and on what was drawn for it, not on batch size or threads.
"""

import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from infomax.compiled import missing
from infomax.compiled.pool import split, threads
from infomax.errors import DataError, warn
from infomax.views.fused import tables
from infomax.views.image import ImageView, Params

if TYPE_CHECKING:
    from infomax.views.fused.program import Program

__all__ = ["apply", "available", "draw", "make", "numbers", "serves", "threads"]

_CHANNELS = (1, 3)
_WORD = (1 << 64) - 1
_lock = threading.Lock()


@lru_cache(maxsize=1)
def available() -> bool:
    """Whether numba can be loaded; where not, a warning says once what that costs."""
    reason = missing()
    if reason is not None:
        warn(
            f"views run in eager torch, about 15 times slower: numba does not load ({reason}); "
            "install a numba that knows this Python and this numpy",
            RuntimeWarning,
        )
    return reason is None


def serves(batch: Tensor | list[Tensor]) -> bool:
    """Whether the compiled pass takes this batch: uint8, one or three channels, on the CPU, and numba at hand."""
    images = batch if isinstance(batch, list) else [batch]
    fits = all(i.dtype == torch.uint8 and i.device.type == "cpu" and i.shape[-1] in _CHANNELS for i in images)
    return fits and all(0 not in i.shape for i in images) and available()


def make(
    specs: Sequence[ImageView],
    batch: Tensor | list[Tensor],
    index: Tensor,
    *,
    seed: int = 0,
    epoch: int = 0,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    channels_last: bool = False,
    dtype: torch.dtype = torch.float32,
    out: Sequence[Tensor] | None = None,
) -> list[Tensor]:
    """Draw and apply every view of a batch that `serves` accepts; see `Views`."""
    images = _contiguous(batch)
    drawn = draw(specs, index, tables.images(images), seed=seed, epoch=epoch)
    return _run(specs, images, drawn, mean, std, channels_last, dtype, out)


def apply(
    specs: Sequence[ImageView],
    batch: Tensor | list[Tensor],
    params: Sequence[Params],
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    channels_last: bool = False,
    dtype: torch.dtype = torch.float32,
    out: Sequence[Tensor] | None = None,
) -> list[Tensor]:
    """Apply given parameters, one `Params` a view; see `Views.apply`."""
    images = _contiguous(batch)
    for p in params:
        if len(p.crop) != len(images):
            raise DataError(f"{len(images)} images but parameters for {len(p.crop)}: one set of parameters an image")
        _check_crops(p.crop, tables.images(images))
    drawn = np.stack([tables.pack(p) for p in params])
    return _run(specs, images, drawn, mean, std, channels_last, dtype, out)


def draw(
    specs: Sequence[ImageView], index: Tensor, images: NDArray[np.void], *, seed: int = 0, epoch: int = 0
) -> NDArray[np.void]:
    """Draw every view's parameters: records of shape views x images, equal to `image.draw`.

    Args:
        specs: one a view.
        index: N int64 sample ids.
        images: N records of `tables.IMAGE`; only the sizes matter.
        seed: of the run.
        epoch: of the run.

    Returns:
        Records of `tables.DRAWN`; `tables.unpack(drawn[k])` is view k's `Params`.
    """
    drawn = np.empty((len(specs), len(index)), tables.DRAWN)
    keys = np.array([_state(seed, epoch, view) for view in range(len(specs))], np.uint64)
    ids = index.to("cpu", torch.int64).contiguous().numpy()
    _program().draw(tables.rules(tuple(specs)), keys, ids, images, drawn)
    return drawn


def numbers(
    specs: Sequence[ImageView], index: Tensor, batch: Tensor, *, seed: int = 0, epoch: int = 0
) -> NDArray[np.float32]:
    """Draw every view of images of one size, wherever they lie: views x N x `dense.COLUMNS`."""
    return tables.numbers(draw(specs, index, tables.images(batch), seed=seed, epoch=epoch))


def _run(
    specs: Sequence[ImageView],
    images: Tensor | list[Tensor],
    drawn: NDArray[np.void],
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    channels_last: bool,
    dtype: torch.dtype,
    out: Sequence[Tensor] | None,
) -> list[Tensor]:
    n, channels = len(images), images[0].shape[-1]
    gain, bias = np.ones(channels, np.float32), np.zeros(channels, np.float32)
    if mean is not None and std is not None:
        scale = 1.0 / np.asarray([float(s) for s in std])
        gain[:], bias[:] = scale, -np.asarray([float(m) for m in mean]) * scale
    # A view in which nothing is drawn is made once, however often it is asked for.
    places = [specs.index(spec) if spec.fixed and out is None else k for k, spec in enumerate(specs)]
    chosen = sorted(set(places))
    if out is None:
        order = torch.channels_last if channels_last else torch.contiguous_format
        shapes = {k: (n, channels, specs[k].size, specs[k].size) for k in chosen}
        made = {k: torch.empty(shape, dtype=dtype, memory_format=order) for k, shape in shapes.items()}
    else:
        made = dict(enumerate(out))
    table, canvases = tables.images(images), tables.canvases([specs[k] for k in chosen], [made[k] for k in chosen])
    drawn = drawn[chosen]
    run = _program().apply
    split(n, lambda start, stop: run(table, channels, canvases, drawn, gain, bias, start, stop))
    return [made[k] for k in places]


def _contiguous(batch: Tensor | list[Tensor]) -> Tensor | list[Tensor]:
    return batch.contiguous() if isinstance(batch, Tensor) else [image.contiguous() for image in batch]


def _check_crops(crop: Tensor, images: NDArray[np.void]) -> None:
    top, left, h, w = crop.cpu().numpy().T
    inside = (top >= 0) & (left >= 0) & (h > 0) & (w > 0)
    inside &= (top + h <= images["height"]) & (left + w <= images["width"])
    if not inside.all():
        i = int(np.argmin(inside))
        raise DataError(
            f"crop {crop[i].tolist()} (top, left, height, width) leaves image {i} of "
            f"{images['height'][i]} x {images['width'][i]} pixels"
        )


def _state(*words: int) -> int:
    """The hash of the words before the sample id (see `rng.key`), in Python's own integers."""
    state = 0
    for word in words:
        state = (state + 0x9E3779B97F4A7C15 * (word + 1)) & _WORD
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & _WORD
        state = (state ^ state >> 27) * 0x94D049BB133111EB & _WORD
        state ^= state >> 31
    return state


_loaded: "list[Program]" = []


def _program() -> "Program":
    """The kernels, compiled or read from the cache before any thread needs them."""
    with _lock:
        if not _loaded:
            from infomax.compiled.compiler import ready
            from infomax.views.fused.program import program

            _loaded.append(ready(program, _warm, "the view kernels", 20))
    return _loaded[0]


def _warm(program: "Program") -> None:
    """Run both entry points on one pixel, with the types that every later call has."""
    spec, image, out = ImageView(size=1), torch.zeros(1, 1, 1, 1, dtype=torch.uint8), torch.empty(1, 1, 1, 1)
    images, drawn = tables.images(image), np.empty((1, 1), tables.DRAWN)
    program.draw(tables.rules((spec,)), np.zeros(1, np.uint64), np.zeros(1, np.int64), images, drawn)
    ones = np.ones(1, np.float32)
    program.apply(images, 1, tables.canvases([spec], [out]), drawn, ones, ones, 0, 1)
