"""The order in which samples are visited."""

from collections.abc import Iterator

import torch
from torch import Tensor

from infomax.errors import ConfigError
from infomax.views import rng

_ORDER = 0x0BDE7


def batches(n: int, batch_size: int, seed: int = 0, epoch: int = 0, drop_last: bool = True) -> Iterator[Tensor]:
    """Visit 0..n-1 once, in an order that is a function of (seed, epoch) alone.

    Args:
        n: number of samples.
        batch_size: samples a batch.
        seed: of the run.
        epoch: of the run.
        drop_last: leave out the last, smaller batch.

    Returns:
        An iterator over int64 index tensors.

    Raises:
        ConfigError: a batch size below 1, or above n where the last batch is dropped.

    Example:
        >>> [len(index) for index in batches(10, 4, drop_last=False)]
        [4, 4, 2]
        >>> a, b = torch.cat(list(batches(8, 4, seed=1))), torch.cat(list(batches(8, 2, seed=1)))
        >>> bool((a == b).all())
        True
    """
    if batch_size < 1:
        raise ConfigError(f"batch_size={batch_size}: give at least 1")
    if drop_last and batch_size > n:
        raise ConfigError(f"batch_size={batch_size} but only {n} samples: give a batch size of at most {n}")
    order = rng.permutation(n, _ORDER, seed, epoch)
    parts = torch.split(order, batch_size)
    return iter(parts[: n // batch_size] if drop_last else parts)


def gather(images: Tensor | list[Tensor], index: Tensor) -> Tensor | list[Tensor]:
    """Take the samples of a batch, whether they lie in a tensor or a list.

    Example:
        >>> gather([torch.zeros(1), torch.ones(2)], torch.tensor([1]))
        [tensor([1., 1.])]
    """
    return images[index.to(images.device)] if isinstance(images, Tensor) else [images[i] for i in index.tolist()]
