"""The operations of an image view, batched, with one parameter a sample; each equals torchvision's float path.

Axes: N samples, C channels, H x W the image, S x S the view. Values lie in [0, 1] throughout.
"""

from functools import lru_cache

import torch
from torch import Tensor

_LUMA = (0.2989, 0.587, 0.114)
_BRIGHTNESS, _CONTRAST, _SATURATION, _HUE = range(4)


def crop_resize(images: Tensor, crop: Tensor, flip: Tensor, size: int) -> Tensor:
    """Cut a box out of each image, resize it (bilinear, antialiased) and mirror it where told.

    Resizing is linear and separable, so each sample has two matrices: `view = R image K'`, R (S x H) for rows, K (S x W) for
    columns. Their entries outside the box are zero, and a mirrored view has its columns' matrix turned around.

    Args:
        images: N x H x W x C, uint8 or float in [0, 1].
        crop: N x 4 int64, top, left, height, width.
        flip: N bool.
        size: S.

    Returns:
        N x C x S x S float32 in [0, 1].

    Example:
        >>> images = torch.arange(4, dtype=torch.uint8).reshape(1, 2, 2, 1) * 85
        >>> whole, mirror = torch.tensor([[0, 0, 2, 2]]), torch.tensor([True])
        >>> crop_resize(images, whole, mirror, 2)[0, 0].tolist()
        [[0.333..., 0.0], [1.0, 0.666...]]
    """
    n, height, width, channels = images.shape
    top, left, h, w = crop.unbind(dim=1)
    rows = _interpolation(top, h, height, size)
    columns = _interpolation(left, w, width, size)
    columns = torch.where(flip[:, None, None], columns.flip(1), columns)
    if images.dtype == torch.uint8:
        rows = rows / 255.0
    x = torch.bmm(rows, images.reshape(n, height, width * channels).to(torch.float32))  # N x S x WC
    x = x.reshape(n, size, width, channels).permute(0, 3, 1, 2).reshape(n, channels * size, width)
    return torch.bmm(x, columns.transpose(1, 2)).reshape(n, channels, size, size)  # N x CS x W @ N x W x S


def _interpolation(start: Tensor, length: Tensor, pixels: int, size: int) -> Tensor:
    """Weights N x size x pixels of the antialiased bilinear filter that maps [start, start + length) to `size` pixels.

    A triangle whose half-width is one pixel of the coarser grid, centred at length / size * (i + 1/2), cut at the
    crop's ends and normalised.
    """
    # each rounded to 32 bits once, whatever a compiler makes of quotients and products: at 224 px a bit of them is 1.5e-5
    scale = (length.double() / size).to(torch.float32)[:, None, None]
    step = torch.arange(size, device=start.device, dtype=torch.float64)[None, :, None] + 0.5
    centre = (scale.double() * step).to(torch.float32)
    pixel = (torch.arange(pixels, device=start.device) - start[:, None])[:, None, :]
    inside = (pixel >= 0) & (pixel < length[:, None, None])
    weight = (1.0 - (pixel.to(torch.float32) + 0.5 - centre).abs() / scale.clamp(min=1.0)).clamp(min=0.0) * inside
    return weight / weight.sum(dim=2, keepdim=True)


def grey(x: Tensor) -> Tensor:
    """The grey value of each pixel, N x 1 x S x S: ITU-R 601 luma of RGB, else the mean of the channels."""
    if x.shape[1] != 3:
        return x.mean(dim=1, keepdim=True)
    r, g, b = x.unbind(dim=1)
    return (_LUMA[0] * r + _LUMA[1] * g + _LUMA[2] * b)[:, None]


def grayscale(x: Tensor) -> Tensor:
    """Replace every channel by the grey value.

    Example:
        >>> grayscale(torch.tensor([1.0, 0.0, 0.0]).reshape(1, 3, 1, 1)).flatten().tolist()
        [0.298..., 0.298..., 0.298...]
    """
    return grey(x).expand_as(x)


def brightness(x: Tensor, factor: Tensor) -> Tensor:
    """Scale the values: `clip(f x)`, one factor a sample."""
    return (x * factor[:, None, None, None]).clamp(0.0, 1.0)


def contrast(x: Tensor, factor: Tensor) -> Tensor:
    """Scale the distance from the mean grey value m of the whole view: `clip(f x + (1 - f) m)`."""
    # Row by row first: no sum is long enough to be split over threads, so the bytes do not depend on their number.
    mean = grey(x).mean(dim=3).mean(dim=2)[:, :, None, None]
    factor = factor[:, None, None, None]
    return (x * factor + mean * (1.0 - factor)).clamp(0.0, 1.0)


def saturation(x: Tensor, factor: Tensor) -> Tensor:
    """Scale the distance from each pixel's grey value g: `clip(f x + (1 - f) g)`; one channel stays as it is."""
    if x.shape[1] == 1:
        return x
    factor = factor[:, None, None, None]
    return (x * factor + grey(x) * (1.0 - factor)).clamp(0.0, 1.0)


def hue(x: Tensor, shift: Tensor) -> Tensor:
    """Turn the hue of RGB images in HSV space, exactly; images with other than three channels stay as they are.

    With V = max, D = max - min and the hue h in sixths of a turn, a pixel is `V - D + D tent(h)`, where the tents over the
    colour wheel are `clip(|h - 3| - 1)`, `clip(2 - |h - 2|)`, `clip(2 - |h - 4|)` for red, green, blue.

    Args:
        x: N x C x S x S in [0, 1].
        shift: N, in turns.

    Example:
        >>> red = torch.tensor([1.0, 0.0, 0.0]).reshape(1, 3, 1, 1)
        >>> hue(red, torch.tensor([1 / 3])).flatten().round(decimals=5).tolist()
        [0.0, 1.0, 0.0]

    Source: Smith, "Color gamut transform pairs", SIGGRAPH 1978.
    """
    if x.shape[1] != 3:
        return x
    r, g, b = x.unbind(dim=1)
    value, low = x.amax(dim=1), x.amin(dim=1)
    spread = value - low
    divisor = torch.where(spread == 0, 1.0, spread)
    h = torch.where(
        value == r,
        (g - b) / divisor,
        torch.where(value == g, 2.0 + (b - r) / divisor, 4.0 + (r - g) / divisor),
    )
    h = torch.remainder(h + 6.0 * shift[:, None, None], 6.0)
    tents = torch.stack([(h - 3.0).abs() - 1.0, 2.0 - (h - 2.0).abs(), 2.0 - (h - 4.0).abs()], dim=1)
    return low[:, None] + spread[:, None] * tents.clamp(0.0, 1.0)


def colour_jitter(x: Tensor, order: Tensor, factor: Tensor) -> Tensor:
    """Brightness, contrast, saturation and hue, in each sample's own order.

    Args:
        x: N x C x S x S in [0, 1].
        order: N x 4 int64, which operation comes first to last (brightness 0, contrast 1, saturation 2, hue 3).
        factor: N x 4, the three factors and the hue shift; a neutral one (1, 1, 1, 0) leaves the sample's bytes alone.

    Returns:
        N x C x S x S.

    Example:
        >>> x = torch.rand(2, 3, 4, 4)
        >>> neutral = torch.tensor([[1.0, 1.0, 1.0, 0.0]]).expand(2, 4)
        >>> bool((colour_jitter(x, torch.arange(4).expand(2, 4), neutral) == x).all())
        True
    """
    active = factor != torch.tensor([1.0, 1.0, 1.0, 0.0], dtype=torch.float32, device=factor.device)
    if not bool(active.any()):
        return x
    x = x.clone()
    operations = (brightness, contrast, saturation, hue)
    for slot in range(4):
        for which, operation in enumerate(operations):
            at = ((order[:, slot] == which) & active[:, which]).nonzero()[:, 0]
            if len(at):
                x[at] = operation(x[at], factor[at, which])
    return x


def gaussian_blur(x: Tensor, sigma: Tensor, kernel: int, mirror: Tensor | None = None) -> Tensor:
    """Blur each view with its own Gaussian, reflecting at the borders.

    `B image B'` with B (S x S) the banded matrix of the kernel, its reflected ends folded in.

    Args:
        x: N x C x S x S.
        sigma: N, standard deviations in pixels, > 0.
        kernel: length of the kernel, odd; shortened to 2 S - 1 on smaller views.
        mirror: `reflection(S, kernel)`, where it is at hand.

    Returns:
        N x C x S x S.

    Example:
        >>> dot = torch.zeros(1, 1, 5, 5)
        >>> dot[..., 2, 2] = 1
        >>> gaussian_blur(dot, torch.tensor([1.0]), 3)[0, 0, 2].tolist()
        [0.0, 0.123..., 0.204..., 0.123..., 0.0]
    """
    n, channels, size, _ = x.shape
    radius = min(kernel // 2, size - 1)
    distance = torch.arange(-radius, radius + 1, device=x.device, dtype=torch.float32)
    taps = torch.softmax(-0.5 * (distance / sigma[:, None]) ** 2, dim=1)  # N x (2r + 1)
    # Weights below float32's reach of the result are subnormal numbers, which processors multiply ten times slower.
    taps = torch.where(taps < 3e-8, torch.zeros_like(taps), taps)
    mirror = reflection(size, kernel, x.device) if mirror is None else mirror
    matrix = (taps @ mirror).reshape(n, size, size)
    x = torch.bmm(x.reshape(n, channels * size, size), matrix.transpose(1, 2))  # along the columns
    x = x.reshape(n, channels, size, size).transpose(2, 3).reshape(n, channels * size, size)
    x = torch.bmm(x, matrix.transpose(1, 2))
    return x.reshape(n, channels, size, size).transpose(2, 3).contiguous()


@lru_cache(maxsize=16)
def reflection(size: int, kernel: int, device: torch.device) -> Tensor:
    """(2r + 1) x S^2 zeros and ones: tap t of output pixel i reads pixel j of the mirrored line."""
    radius = min(kernel // 2, size - 1)
    out = torch.arange(size)[:, None]
    reads = (out + torch.arange(-radius, radius + 1)).abs()
    reads = (size - 1) - ((size - 1) - reads).abs()
    table = torch.zeros(2 * radius + 1, size, size, dtype=torch.float32)
    taps = torch.arange(2 * radius + 1)[None, :].expand(size, -1)
    table[taps, out.expand_as(taps), reads] = 1.0
    return table.reshape(2 * radius + 1, size * size).to(device)


def solarize(x: Tensor, threshold: float) -> Tensor:
    """Invert the values at or above the threshold: `1 - x where x >= t`.

    Example:
        >>> solarize(torch.tensor([0.25, 0.75]), 0.5).tolist()
        [0.25, 0.25]
    """
    return torch.where(x >= threshold, 1.0 - x, x)
