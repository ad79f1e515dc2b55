"""The chain of `infomax.views.image` for an accelerator: every operation on every sample, chosen by masks.

`image.apply` works on the samples that an operation is drawn for, and must ask the host how many those are: a GPU waits at
each such question. Here shapes do not depend on what was drawn, so nothing is asked; that is more arithmetic, which a GPU
has, and `torch.compile` makes a few kernels of it. What was drawn travels as one table of `COLUMNS` numbers a sample.

Axes: N samples, C channels, H x W the image, S x S the view.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

import torch
from torch import Tensor

from infomax.errors import warn
from infomax.views.image import ImageView, Params
from infomax.views.ops import crop_resize, gaussian_blur, grey, hue, reflection, solarize

_WIDTHS = {"crop": 4, "flip": 1, "order": 4, "factor": 4, "gray": 1, "sigma": 1, "solarize": 1}
COLUMNS = sum(_WIDTHS.values())
_HUE = 3
_NO_BLUR = 0.01  # pixels: the kernel's neighbours are e^-5000, exactly 0
_AT_ONCE = 1 << 27  # numbers of the images of one piece, as floats: half a GiB

Normalisation = tuple[Sequence[float], Sequence[float]]
"""Mean and standard deviation of each channel."""


def pack(params: Params) -> Tensor:
    """What was drawn as one table, N x COLUMNS float32 (whole numbers below 2^24 stay exact).

    Example:
        >>> from infomax.views.image import draw
        >>> sides = torch.full((2,), 8)
        >>> pack(draw(ImageView(size=4), torch.arange(2), sides, sides)).shape
        torch.Size([2, 16])
    """
    columns = [getattr(params, name).reshape(-1, width) for name, width in _WIDTHS.items()]
    return torch.cat([c.to(torch.float32) for c in columns], dim=1)


def unpack(table: Tensor) -> Params:
    """The parameters of a packed table, on its device."""
    crop, flip, order, factor, gray, sigma, inverted = torch.split(table, list(_WIDTHS.values()), dim=1)
    return Params(
        crop=crop.to(torch.int64),
        flip=flip[:, 0] > 0,
        order=order.to(torch.int64),
        factor=factor,
        gray=gray[:, 0] > 0,
        sigma=sigma[:, 0],
        solarize=inverted[:, 0] > 0,
    )


def apply(
    spec: ImageView,
    images: Tensor,
    table: Tensor,
    normalisation: Normalisation | None = None,
    *,
    dtype: torch.dtype = torch.float32,
    channels_last: bool = True,
    compiled: bool = True,
) -> Tensor:
    """One view of a batch of images on their device, without a question to the host.

    Args:
        spec: what may happen.
        images: N x H x W x C, uint8 or float in [0, 1].
        table: what was drawn, N x COLUMNS, on the images' device.
        normalisation: of the channels; None: the view stays in [0, 1].
        dtype: of the view; everything is computed in float32.
        channels_last: the view's layout in memory.
        compiled: whether `torch.compile` fuses the chain, where it can.

    Returns:
        N x C x S x S; within 1e-5 of `image.apply`, normalised.

    Example:
        >>> from infomax.views.image import draw
        >>> spec, sides = ImageView(size=4, gray=0.5), torch.full((2,), 8)
        >>> images = torch.randint(0, 256, (2, 8, 8, 3), dtype=torch.uint8)
        >>> apply(spec, images, pack(draw(spec, torch.arange(2), sides, sides)), compiled=False).shape
        torch.Size([2, 3, 4, 4])
    """
    channels = images.shape[3]
    mean, std = ((0.0,) * channels, (1.0,) * channels) if normalisation is None else normalisation
    moments = _constants(tuple(map(float, mean)), tuple(map(float, std)), images.device)
    mirror = reflection(spec.size, spec.kernel, images.device) if spec.blur else None
    run = _compiled(images.device) if compiled else _chain
    largest = max(images[0].numel(), channels * spec.size**2)
    rows = max(1, _AT_ONCE // largest)
    with _float32_products():
        pieces = [
            run(spec, some, part, moments, mirror, dtype, channels_last)
            for some, part in zip(torch.split(images, rows), torch.split(table, rows), strict=True)
        ]
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)


def _chain(
    spec: ImageView,
    images: Tensor,
    table: Tensor,
    moments: Tensor,
    mirror: Tensor | None,
    dtype: torch.dtype,
    channels_last: bool,
) -> Tensor:
    params = unpack(table)
    x = crop_resize(images, params.crop, params.flip, spec.size)
    if any(spec.jitter) and spec.jitter_p:
        for slot in range(4):
            x = _colour(x, params.order[:, slot], params.factor)
    if spec.gray:
        x = torch.where(_each(params.gray), grey(x), x)
    if spec.blur:
        x = gaussian_blur(x, params.sigma.clamp(min=_NO_BLUR), spec.kernel, mirror)
    if spec.solarize:
        x = torch.where(_each(params.solarize), solarize(x, spec.threshold), x)
    x = (x - moments[0, :, None, None]) / moments[1, :, None, None]
    return x.to(dtype, memory_format=torch.channels_last if channels_last else torch.contiguous_format)


def _colour(x: Tensor, which: Tensor, factor: Tensor) -> Tensor:
    """The operation that each sample has at this place of its order.

    Brightness, contrast and saturation are one formula, `clip(f x + (1 - f) r)`, with 0, the mean grey value of the view
    and the grey value of the pixel for r. A neutral factor gives the sample back as it was.
    """
    f = _each(factor.gather(1, which[:, None])[:, 0])
    luma = grey(x)
    rest = torch.where(_each(which == 2), luma, torch.where(_each(which == 1), luma.mean((2, 3), keepdim=True), 0.0))
    if x.shape[1] == 1:  # saturation has nothing to do on a grey image
        f = torch.where(_each(which == 2), 1.0, f)
    moved = (x * f + rest * (1.0 - f)).clamp(0.0, 1.0)
    turned = hue(x, factor[:, _HUE]) if x.shape[1] == 3 else x
    x = torch.where(
        _each((which == _HUE) & (factor[:, _HUE] == 0.0)), x, torch.where(_each(which == _HUE), turned, moved)
    )
    return x


def _each(values: Tensor) -> Tensor:
    """One value a sample, to stand beside N x C x S x S."""
    return values[:, None, None, None]


@lru_cache(maxsize=16)
def _constants(mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> Tensor:
    return torch.tensor([mean, std], dtype=torch.float32, device=device)


_lock = threading.Lock()


@contextmanager
def _float32_products() -> Iterator[None]:
    """Products in all of float32's bits, whatever a run has asked for its own: TF32 is off by 1e-3."""
    backend = torch.backends.cuda.matmul
    if not backend.allow_tf32:
        yield
        return
    with _lock:
        backend.allow_tf32 = False
        try:
            yield
        finally:
            backend.allow_tf32 = True


_runs: dict[str, Callable[..., Tensor]] = {}


def _compiled(device: torch.device) -> Callable[..., Tensor]:
    """The chain as a few kernels; where torch cannot compile (no Triton, no C compiler), the chain as it stands."""
    with _lock:
        if device.type not in _runs:
            _runs[device.type] = _or_as_it_stands(torch.compile(_chain, dynamic=False))
    return _runs[device.type]


def _or_as_it_stands(fused: Callable[..., Tensor]) -> Callable[..., Tensor]:
    works = [True]

    def run(*arguments: object) -> Tensor:
        if works[0]:
            try:
                return fused(*arguments)
            except torch.OutOfMemoryError:
                raise  # no fault of the compiler's
            except Exception as error:  # torch's compiler has no one class of errors
                works[0] = False
                warn(
                    f"views on the device run uncompiled, and slower: {str(error).partition(chr(10))[0] or repr(error)}",
                    RuntimeWarning,
                )
        return _chain(*arguments)  # type: ignore[arg-type]

    return run
