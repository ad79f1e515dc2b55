"""The order in which samples are visited."""

from collections.abc import Iterator

import torch
from torch import Tensor

from infomax.data.encoded import Encoded
from infomax.errors import ConfigError
from infomax.views import rng
from infomax.words import many

_ORDER = 0x0BDE7

WINDOW_ROWS, WINDOW_BLOCKS = 4096, 8
"""Samples, and blocks, that are mixed with each other at the least, where samples are read in blocks."""


def batches(
    n: int,
    batch_size: int,
    seed: int = 0,
    epoch: int = 0,
    drop_last: bool = True,
    blocks: Tensor | None = None,
) -> Iterator[Tensor]:
    """Visit 0..n-1 once, in an order that depends only on (seed, epoch).

    Args:
        n: number of samples.
        batch_size: samples per batch.
        seed: seed of the run.
        epoch: epoch of the run.
        drop_last: leave out the last, smaller batch.
        blocks: numbers of samples that are read together; see `blockwise`.

    Returns:
        An iterator over int64 index tensors.

    Raises:
        ConfigError: a batch size below 1, or above n if the last batch is dropped.

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
        raise ConfigError(f"batch_size={batch_size} but only {many(n, 'sample')}: give a batch size of at most {n}")
    order = rng.permutation(n, _ORDER, seed, epoch) if blocks is None else blockwise(blocks, seed, epoch)
    parts = torch.split(order, batch_size)
    return iter(parts[: n // batch_size] if drop_last else parts)


def blockwise(blocks: Tensor, seed: int = 0, epoch: int = 0) -> Tensor:
    """Order samples that are read in blocks: shuffle the blocks, then the samples within a window of blocks.

    A window is as many blocks as hold at least `WINDOW_ROWS` samples, and at least `WINDOW_BLOCKS`. A set of one window
    is visited in exactly the same order as if it were in memory.

    Args:
        blocks: lengths of the blocks, in the order of the samples.
        seed: seed of the run.
        epoch: epoch of the run.

    Returns:
        A permutation of 0..N-1, N the sum of the lengths.

    Example:
        >>> order = blockwise(torch.tensor([3, 2]), seed=1)
        >>> order.sort().values.tolist(), bool((order == rng.permutation(5, _ORDER, 1, 0)).all())
        ([0, 1, 2, 3, 4], True)
    """
    visited = rng.permutation(len(blocks), _ORDER, seed, epoch)
    window, windows, rows, count = 0, [], 0, 0
    for length in blocks[visited].tolist():
        windows.append(window)
        rows, count = rows + length, count + 1
        if rows >= WINDOW_ROWS and count >= WINDOW_BLOCKS:
            window, rows, count = window + 1, 0, 0
    start = blocks.cumsum(0) - blocks
    lengths = blocks[visited]
    within = torch.arange(int(blocks.sum())) - (lengths.cumsum(0) - lengths).repeat_interleave(lengths)
    sample = start[visited].repeat_interleave(lengths) + within
    by_hash = torch.argsort(sample)  # so that equal hashes fall as they do in rng.permutation
    by_hash = by_hash[torch.argsort(rng.key(sample[by_hash], _ORDER, seed, epoch), stable=True)]
    of_window = torch.tensor(windows).repeat_interleave(lengths)
    return sample[by_hash[torch.argsort(of_window[by_hash], stable=True)]]


def spread(images: Tensor | list[Tensor] | Encoded, count: int) -> Tensor:
    """Indices of up to `count` samples, spread evenly over the data.

    Example:
        >>> spread(torch.zeros(10, 2), 4).tolist()
        [0, 3, 6, 9]
    """
    if isinstance(images, Encoded):
        return images.spread(count)
    return torch.linspace(0, len(images) - 1, min(count, len(images))).long()


def gather(images: Tensor | list[Tensor] | Encoded, index: Tensor) -> Tensor | list[Tensor]:
    """Get the samples of a batch, from a tensor, a list, or a disk.

    Example:
        >>> gather([torch.zeros(1), torch.ones(2)], torch.tensor([1]))
        [tensor([1., 1.])]
    """
    if isinstance(images, Encoded):
        return images.take(index.tolist())
    if not isinstance(images, Tensor):
        return [images[i] for i in index.tolist()]
    if images.is_cuda:  # from pinned memory, else the copy waits for the device
        index = index.pin_memory().to(images.device, non_blocking=True)
    return images[index.to(images.device)]
