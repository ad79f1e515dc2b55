"""One view of an image: the augmentation (`ImageView`), the parameters drawn (`Params`), and their application.

    draw:  (spec, ids, image sizes, seed, epoch, view)  ->  Params        on the CPU, 10 numbers a view
    apply: (spec, images, Params)                       ->  N x C x S x S  batched, on any device

Drawing and applying are separate on purpose: the same `Params` can be given to this readable reference, to a fused
kernel or to torchvision (the tests do that), and all must agree.

Axes: N samples, C channels, H x W the image, S x S the view.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from infomax.arrays import as_tensor, of_picture
from infomax.errors import ConfigError, DataError
from infomax.views import rng
from infomax.views.ops import colour_jitter, crop_resize, gaussian_blur, grayscale, solarize
from infomax.words import with_article

Images = Tensor | np.ndarray | Sequence[Tensor] | Sequence[np.ndarray]

_ORDERS = torch.tensor(list(permutations(range(4))))
_AT_ONCE = 1 << 23  # numbers
_ROUNDING = 1e-3  # of what was resized or decoded in 16 bits
_TRIES = 10
_SLOTS = 2 * _TRIES + 13


@dataclass(frozen=True)
class ImageView:
    """The augmentation that turns an image into one view. Its operations are applied in this order:

    crop and resize -> flip -> colour jitter -> grayscale -> blur -> solarize (normalisation belongs to `Views`). A
    probability of 0 switches an operation off. The ranges have torchvision's meaning.

    Args:
        size: S, side of the view in pixels.
        scale: range of the crop's share of the image's area; `None` resizes the whole image instead of cropping.
        ratio: range of the crop's width / height, drawn log-uniformly.
        flip: probability of a horizontal flip.
        jitter: brightness, contrast, saturation (a factor in [max(0, 1 - j), 1 + j]) and hue (a shift in [-j, j] turns,
            j <= .5).
        jitter_p: probability of the colour jitter; the order of its four operations is drawn for each sample.
        gray: probability of grayscale.
        blur: probability of a Gaussian blur.
        sigma: range of the blur's standard deviation, in pixels of the view.
        kernel: length of the blur's kernel in pixels, odd.
        solarize: probability of solarization: inverting the values at or above `threshold`.
        threshold: threshold of solarization, on the [0, 1] scale.

    Raises:
        ConfigError: an impossible range or probability.

    Example:
        >>> view = ImageView(size=32, jitter=(0.4, 0.4, 0.4, 0.1), gray=0.2)
        >>> view.scale
        (0.08, 1.0)
    """

    size: int
    scale: tuple[float, float] | None = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5
    jitter: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    jitter_p: float = 0.8
    gray: float = 0.0
    blur: float = 0.0
    sigma: tuple[float, float] = (0.1, 2.0)
    kernel: int = 23
    solarize: float = 0.0
    threshold: float = 0.5

    def __post_init__(self) -> None:
        if int(self.size) != self.size or self.size < 1:
            raise ConfigError(f"view size {self.size}: give a whole number of pixels, at least 1")
        for name in ("flip", "jitter_p", "gray", "blur", "solarize"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigError(f"{name}={getattr(self, name)} is a probability: give a number in [0, 1]")
        if self.scale is not None and not 0.0 < self.scale[0] <= self.scale[1] <= 1.0:
            raise ConfigError(f"scale={self.scale}: give (low, high) with 0 < low <= high <= 1")
        # The drawn exponential is exact to |log ratio| = 4; nobody crops strips beyond 1:54.
        if not math.exp(-4) <= self.ratio[0] <= self.ratio[1] <= math.exp(4):
            raise ConfigError(f"ratio={self.ratio}: give (low, high) with 1/54 <= low <= high <= 54")
        if len(self.jitter) != 4 or min(self.jitter) < 0 or self.jitter[3] > 0.5:
            raise ConfigError(
                f"jitter={self.jitter}: give (brightness, contrast, saturation, hue), all >= 0, hue <= 0.5"
            )
        if not 0.0 < self.sigma[0] <= self.sigma[1]:
            raise ConfigError(f"sigma={self.sigma}: give (low, high) with 0 < low <= high")
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ConfigError(f"kernel={self.kernel}: a blur kernel has an odd length")

    @property
    def fixed(self) -> bool:
        """Whether nothing is random: every call gives the same view."""
        chances = (self.flip, self.gray, self.blur, self.solarize, self.jitter_p if any(self.jitter) else 0.0)
        return self.scale is None and not any(chances)


class Params(NamedTuple):
    """The parameters drawn for one view of N samples; a neutral value where an operation is not applied.

    Example:
        >>> params = draw(ImageView(size=8), torch.arange(3), heights=torch.full((3,), 16), widths=torch.full((3,), 16))
        >>> params.crop.shape, params.sigma.tolist()
        (torch.Size([3, 4]), [0.0, 0.0, 0.0])
    """

    crop: Tensor
    """N x 4 int64: top, left, height, width, in pixels of the image."""
    flip: Tensor
    """N bool."""
    order: Tensor
    """N x 4 int64: which of brightness 0, contrast 1, saturation 2, hue 3 is applied first, second, third, last."""
    factor: Tensor
    """N x 4 float32: brightness, contrast, saturation factors (neutral 1) and the hue shift in turns (neutral 0)."""
    gray: Tensor
    """N bool."""
    sigma: Tensor
    """N float32: standard deviation of the blur in pixels; 0 for none."""
    solarize: Tensor
    """N bool."""

    def to(self, device: torch.device | str) -> "Params":
        """Move every tensor to `device`."""
        return Params(*(t.to(device) for t in self))


def draw(
    spec: ImageView,
    index: Tensor,
    heights: Tensor,
    widths: Tensor,
    *,
    seed: int = 0,
    epoch: int = 0,
    view: int = 0,
) -> Params:
    """Draw one view's parameters as a pure function of (spec, seed, epoch, view, sample id, image size).

    The crop is torchvision's: up to ten draws of an area share uniform in `scale` and an aspect ratio log-uniform in
    `ratio`; if none fits in the image, the largest centred crop whose ratio is allowed.

    Args:
        spec: the augmentation.
        index: N int64 sample ids.
        heights: N int64, height of each image in pixels.
        widths: N int64, width of each image in pixels.
        seed: seed of the run.
        epoch: epoch of the run; every epoch draws other views.
        view: index of the view among those of a sample.

    Returns:
        `Params` on the CPU.

    Example:
        >>> sides = torch.full((4,), 32)
        >>> spec = ImageView(size=32, jitter=(0.8, 0.8, 0.8, 0.2))
        >>> together = draw(spec, torch.arange(4), sides, sides, seed=1)
        >>> alone = draw(spec, torch.tensor([2]), sides[:1], sides[:1], seed=1)
        >>> bool((together.factor[2] == alone.factor[0]).all())
        True

    Source: Szegedy et al. arXiv:1409.4842 (the crop), Chen et al. arXiv:2002.05709 (the chain).
    """
    index, heights, widths = (t.to("cpu", torch.int64) for t in (index, heights, widths))
    u = rng.uniform(rng.key(index, seed, epoch, view), _SLOTS)
    n, tail = len(index), u[:, 2 * _TRIES :]

    if spec.scale is None:
        zero = torch.zeros_like(heights)
        crop = torch.stack([zero, zero, heights, widths], dim=1)
    else:
        crop = _crop(spec.scale, spec.ratio, u[:, : 2 * _TRIES], tail[:, 0], tail[:, 1], heights, widths)

    jittered = (tail[:, 3] < spec.jitter_p)[:, None]
    strength = torch.tensor(spec.jitter, dtype=torch.float64)
    neutral = torch.tensor([1.0, 1.0, 1.0, 0.0], dtype=torch.float64)
    low = torch.cat([(1.0 - strength[:3]).clamp(min=0.0), -strength[3:]])
    high = neutral + strength
    factor = torch.where(jittered, low + (high - low) * tail[:, 4:8], neutral)
    order = _ORDERS[(tail[:, 8] * 24).to(torch.int64)]

    blurred = tail[:, 10] < spec.blur
    sigma = spec.sigma[0] + (spec.sigma[1] - spec.sigma[0]) * tail[:, 11]
    return Params(
        crop=crop,
        flip=tail[:, 2] < spec.flip,
        order=order,
        factor=factor.to(torch.float32),
        gray=tail[:, 9] < spec.gray,
        sigma=torch.where(blurred, sigma, torch.zeros(n, dtype=torch.float64)).to(torch.float32),
        solarize=tail[:, 12] < spec.solarize,
    )


def _crop(
    scale: tuple[float, float],
    ratio: tuple[float, float],
    tries: Tensor,
    down: Tensor,
    across: Tensor,
    heights: Tensor,
    widths: Tensor,
) -> Tensor:
    """Place a crop in each image: N x 4 int64 of top, left, height, width."""
    area = (heights * widths)[:, None] * (scale[0] + (scale[1] - scale[0]) * tries[:, 0::2])
    low, high = math.log(ratio[0]), math.log(ratio[1])
    aspect = rng.exp(low + (high - low) * tries[:, 1::2])
    w = torch.round(torch.sqrt(area * aspect)).to(torch.int64)
    h = torch.round(torch.sqrt(area / aspect)).to(torch.int64)
    fits = (w > 0) & (w <= widths[:, None]) & (h > 0) & (h <= heights[:, None])
    first = fits.to(torch.int8).argmax(dim=1, keepdim=True)
    w, h = w.gather(1, first)[:, 0], h.gather(1, first)[:, 0]

    # In float64, as everything drawn: whole numbers would otherwise be divided in the default type of the moment.
    exact_h, exact_w = heights.to(torch.float64), widths.to(torch.float64)
    shape = exact_w / exact_h
    narrow = torch.round(exact_w / ratio[0]).to(torch.int64)
    flat = torch.round(exact_h * ratio[1]).to(torch.int64)
    centred_h = torch.where(shape < ratio[0], narrow, heights)
    centred_w = torch.where(shape > ratio[1], flat, widths)

    found = fits.any(dim=1)
    h, w = torch.where(found, h, centred_h), torch.where(found, w, centred_w)
    top = torch.where(found, (down * (heights - h + 1)).to(torch.int64), (heights - h) // 2)
    left = torch.where(found, (across * (widths - w + 1)).to(torch.int64), (widths - w) // 2)
    return torch.stack([top, left, h, w], dim=1)


def apply(spec: ImageView, images: Images, params: Params) -> Tensor:
    """Turn each image into one view, with given parameters; equals torchvision's float path for equal parameters.

    Channels: one means a grey image (brightness and contrast act; saturation, hue and grayscale have no effect, as in
    torchvision), three means RGB. With any other number, the grey value that contrast, saturation and grayscale refer
    to is the plain mean over the channels, and hue, which only RGB has, is not changed.

    Args:
        spec: the augmentation: its size, the blur's kernel and the solarization threshold are used.
        images: N x H x W x C, uint8 or float in [0, 1]; or N arrays H x W x C whose sizes may differ.
        params: the parameters drawn for the same N samples.

    Returns:
        N x C x S x S float32 in [0, 1], on the images' device.

    Raises:
        DataError: images of the wrong rank or type, or not as many as parameters.

    Example:
        >>> images = torch.randint(0, 256, (4, 32, 32, 3), dtype=torch.uint8)
        >>> spec = ImageView(size=16, jitter=(0.8, 0.8, 0.8, 0.2), gray=0.2, blur=0.5, kernel=3)
        >>> sides = torch.full((4,), 32)
        >>> apply(spec, images, draw(spec, torch.arange(4), sides, sides)).shape
        torch.Size([4, 3, 16, 16])
    """
    batch = as_images(images)
    if len(batch) != len(params.crop):
        raise DataError(f"{len(batch)} images but parameters for {len(params.crop)}: one set of parameters an image")
    if isinstance(batch, Tensor):
        params = params.to(batch.device)
        # The float copies of a few images at a time: photographs would otherwise take four times their bytes.
        n = max(1, _AT_ONCE // batch[0].numel()) if len(batch) else 1
        pieces = zip(*(torch.split(part, n) for part in (batch, params.crop, params.flip)), strict=True)
        x = torch.cat([crop_resize(images, crop, flip, spec.size) for images, crop, flip in pieces])
    else:
        params = params.to(batch[0].device)
        one_by_one = zip(batch, params.crop[:, None], params.flip[:, None], strict=True)
        x = torch.cat([crop_resize(image[None], crop, flip, spec.size) for image, crop, flip in one_by_one])

    x = colour_jitter(x, params.order, params.factor)
    x = _on_rows(x, params.gray, lambda rows, _: grayscale(rows))
    x = _on_rows(x, params.sigma > 0, lambda rows, at: gaussian_blur(rows, params.sigma[at], spec.kernel))
    return _on_rows(x, params.solarize, lambda rows, _: solarize(rows, spec.threshold))


def as_images(images: Images) -> Tensor | list[Tensor]:
    """Check a batch of images and give it as one N x H x W x C tensor, or a list of H x W x C where sizes differ.

    N x C x H x W of 1, 3 or 4 channels is turned; pictures of PIL are taken for what they show.
    """
    if isinstance(images, np.ndarray):
        images = as_tensor(images)
    if isinstance(images, Tensor):
        if images.ndim != 4:
            raise DataError(f"images of shape {tuple(images.shape)}: give N x H x W x C (a grey image has C = 1)")
        _check_type(images)
        return images.permute(0, 2, 3, 1).contiguous() if plane_by_plane(images.shape) else images
    listed = [as_tensor(i) if isinstance(i, np.ndarray) else _pixels(i) for i in images]
    if not listed:
        raise DataError("an empty list of images: give at least one")
    for i, image in enumerate(listed):
        if image.ndim != 3:
            raise DataError(
                f"image {i} of the list has shape {tuple(image.shape)}: give H x W x C (a grey image has C = 1)"
            )
        _check_type(image)
    listed = [i.permute(1, 2, 0).contiguous() if plane_by_plane((1, *i.shape)) else i for i in listed]
    if len({image.shape for image in listed}) == 1:
        return torch.stack(listed)
    if len({image.shape[2] for image in listed}) > 1:
        raise DataError(
            f"a list that mixes {sorted({i.shape[2] for i in listed})} channels: convert the images to one kind"
        )
    return listed


def plane_by_plane(shape: Sequence[int]) -> bool:
    """Whether a shape is that of images N x C x H x W, as torch's encoders take them, and not N x H x W x C.

    Example:
        >>> plane_by_plane((8, 3, 32, 32)), plane_by_plane((8, 32, 32, 3)), plane_by_plane((8, 32, 32, 13))
        (True, False, False)
    """
    return len(shape) == 4 and shape[1] in (1, 3, 4) and shape[3] not in (1, 2, 3, 4)


def _pixels(image: Any) -> Tensor:
    """One image of a list as a tensor."""
    if isinstance(image, Tensor):
        return image
    if not hasattr(image, "convert"):  # of a PIL picture
        raise DataError(
            f"{with_article(type(image).__name__)} among the images: give H x W x C uint8, or pictures of PIL"
        )
    return of_picture(image)


def _check_type(image: Tensor) -> None:
    if image.dtype != torch.uint8 and not image.is_floating_point():
        raise DataError(f"images of type {image.dtype}: give uint8 in 0..255 or float in [0, 1]")
    if 0 in image.shape[-3:]:
        raise DataError(f"images of shape {tuple(image.shape)}: give at least one pixel of at least one channel")


def check_values(batch: Tensor | list[Tensor], index: Tensor) -> None:
    """Refuse float images with values outside [0, 1], NaN among them; those on a GPU are taken as they are, not to wait for it.

    Args:
        batch: N x H x W x C, or a list of H x W x C.
        index: N sample ids.

    Raises:
        DataError: naming the first such sample.
    """
    if isinstance(batch, Tensor) and not batch.is_floating_point():
        return
    for i, image in enumerate(batch):
        if image.is_floating_point() and image.device.type == "cpu":
            low, high = torch.stack(torch.aminmax(image.detach())).tolist()
            if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):  # so that NaN is refused, too
                raise DataError(
                    f"image {int(index[i])} of {image.dtype} goes from {low:g} to {high:g}: give uint8 in 0..255 or float "
                    "in [0, 1], such as x.clamp(0, 1)"
                )


def sides(batch: Tensor | list[Tensor]) -> tuple[Tensor, Tensor]:
    """Heights and widths of a batch, N int64 each."""
    shapes = (
        [tuple(batch.shape[1:3])] * len(batch) if isinstance(batch, Tensor) else [tuple(i.shape[:2]) for i in batch]
    )
    table = torch.tensor(shapes, dtype=torch.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _on_rows(x: Tensor, rows: Tensor, function: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Replace the chosen samples by `function(samples, which)`; the others keep their bytes."""
    at = rows.nonzero()[:, 0]
    return x.index_copy(0, at, function(x[at], at)) if len(at) else x
