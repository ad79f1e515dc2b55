"""Mean and standard deviation of samples, channel by channel, summed in an order of our own."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from infomax.threads import one_thread

_PART = 2**18
"""Numbers that are copied at a time to sum them: 2 MB."""


def statistics(images: Tensor | Sequence[Tensor]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, for images in [0, 1]; the images of a list are weighted by their
    number of pixels.

    Args:
        images: N x H x W x C uint8, a list of H x W x C uint8, or N x D or N x C x L floats.

    Returns:
        Two tuples of C (or D) numbers. A channel that never varies gets std 1, so that dividing by it is harmless.

    Example:
        >>> statistics(torch.tensor([0, 255], dtype=torch.uint8).reshape(2, 1, 1, 1))
        ((0.5,), (0.5,))
    """
    if isinstance(images, Tensor) and images.is_floating_point():
        images = images if images.ndim == 3 else images.flatten(0, -2)
        n, channels = images.numel() / images.shape[1], images.shape[1]
        centre = torch.zeros(channels, dtype=torch.float64, device=images.device)
        with one_thread():  # parts are small, and on a machine that is not idle several threads wait for each other
            mean = _summed(images, centre, power=1) / n
            return _as_tuples(mean.tolist(), (_summed(images, mean, power=2) / n).tolist())
    parts = torch.split(images, 4096) if isinstance(images, Tensor) else images
    levels = np.zeros((images[0].shape[-1], 256))
    for part in parts:
        levels += count_levels(part)
    return moments(levels)


def _summed(samples: Tensor, centre: Tensor, power: int) -> Tensor:
    """The sum of (x - centre)^power over the samples of each channel, N x C or N x C x L: the same bits on every machine.

    Additions of two numbers at a time are; a library's sum is taken in an order that threads and vector units decide.
    """

    def halved(x: Tensor, dim: int) -> Tensor:
        while (n := x.shape[dim]) > 1:
            pairs = x.narrow(dim, 0, n // 2) + x.narrow(dim, n // 2, n // 2)
            x = torch.cat((pairs, x.narrow(dim, n - 1, 1)), dim) if n % 2 else pairs
        return x.select(dim, 0)

    def sum_of(part: Tensor) -> Tensor:
        x = part.to(torch.float64) - centre
        x = halved(x * x if power == 2 else x, 0)
        return x if x.ndim == 1 else halved(x, 1)

    centre = centre.reshape(-1, *(1,) * (samples.ndim - 2))
    parts = torch.split(samples, max(1, _PART // max(1, samples[0].numel())))
    if samples.ndim == 3:
        length = max(1, _PART // samples.shape[1])
        parts = tuple(piece for part in parts for piece in torch.split(part, length, 2))
    sums: list[Tensor] = []  # of 2^k parts each, k falling: so few are held, whatever their number
    for count, part in enumerate(parts, 1):
        sums.append(sum_of(part))
        while count % 2 == 0:
            sums.append(sums.pop() + sums.pop())
            count //= 2
    while len(sums) > 1:
        sums.append(sums.pop() + sums.pop())
    return sums[0]


def count_levels(images: Tensor) -> NDArray[np.float64]:
    """How often each channel has each of the 256 levels: C x 256. Counting is exact, and needs no float copy of the data.

    Args:
        images: ... x C uint8.
    """
    array = images.numpy().reshape(-1, images.shape[-1])
    return np.stack([np.bincount(column, minlength=256) for column in array.T]).astype(np.float64)


def moments(levels: NDArray[np.float64]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel by the counts of its levels, C x 256; see `statistics`."""
    found = []
    # whole numbers of any size: exact, and so the same on every machine
    for counts in levels.astype(np.int64).tolist():
        n = sum(counts)
        first, second = (sum(level**power * count for level, count in enumerate(counts)) for power in (1, 2))
        found.append((first / (255 * n), (n * second - first**2) / (255 * n) ** 2))
    mean, variance = zip(*found, strict=True)
    return _as_tuples(mean, variance)


def _as_tuples(mean: Sequence[float], variance: Sequence[float]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return tuple(mean), tuple(math.sqrt(v) if v > 0 else 1.0 for v in variance)
