"""What a data set is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from infomax.data.encoded import SAMPLE, Encoded
from infomax.errors import DataError


@dataclass(eq=False)
class Dataset:
    """Samples, with what is known about them.

    Args:
        images: N x H x W x C uint8, or a list of N uint8 H x W x C where sizes differ, or floats: N x D
            for points and tables, N x C x L for signals; `Encoded` images are decoded on use.
        labels: N int64 from 0 on, or `None`.
        classes: name of each label, or `None`.
        name: what was asked for.
        mean: of each channel of the *train* split, images on the [0, 1] scale.
        std: of each channel of the *train* split, images on the [0, 1] scale.
        skipped: names of the files that could not be read.
        files: name of each sample's file, below the folder, where they lie in one.
        origin: name or path, and root, by which `load` found this train split; None: it came otherwise.

    Raises:
        DataError: no samples, not one label a sample, or labels below 0 (which those of a graph's nodes may be).

    Example:
        >>> data = Dataset(torch.zeros(2, 8, 8, 1, dtype=torch.uint8), torch.tensor([0, 1]), name="mine")
        >>> len(data), data.channels, data.size, data.mean
        (2, 1, 8, (0.0,))
    """

    images: Tensor | list[Tensor] | Encoded
    labels: Tensor | None = None
    classes: list[str] | None = None
    name: str = "data"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    skipped: tuple[str, ...] = field(default=(), repr=False)
    origin: tuple[str, str] | None = field(default=None, repr=False)
    files: list[str] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if len(self.images) == 0:
            raise DataError(f"{self.name}: no samples")
        if self.labels is not None and self.labels.shape != (len(self.images),):
            raise DataError(
                f"{self.name}: {len(self.images)} samples but labels of shape {tuple(self.labels.shape)}: give one a sample"
            )
        if self.labels is not None and not isinstance(self, Graph) and bool((self.labels < 0).any()):
            raise DataError(
                f"{self.name}: {int((self.labels < 0).sum()):,} labels below 0: number the classes from 0, and give samples "
                "without a label apart, as data with labels=None"
            )
        if not self.mean:
            some = self.images
            if isinstance(some, Encoded):
                some = some.take(some.spread(SAMPLE).tolist())
            self.mean, self.std = statistics(some)

    def __len__(self) -> int:
        """N, the number of samples."""
        return len(self.images)

    @property
    def n_skipped(self) -> int:
        """How many files could not be read."""
        return len(self.skipped)

    @property
    def replaced(self) -> list[int]:
        """Rows, ascending, whose place another took, because they could not be decoded; those that have been used so far.

        Of shards alone: a folder leaves such files out when it is gone through.
        """
        return sorted(self.images.replaced) if isinstance(self.images, Encoded) else []

    def undecoded(self, fate: str) -> str | None:
        """The samples that could not be decoded when they were used, counted and named, in one line; None: there are none.

        Args:
            fate: what became of them, such as "left out".
        """
        if not isinstance(self.images, Encoded) or not self.replaced:
            return None
        names = sorted(self.images.replaced.values())
        some = ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
        return f"{self.name}: {len(names)} sample{'' if len(names) == 1 else 's'} could not be decoded, {fate}: {some}"

    @property
    def is_images(self) -> bool:
        """Whether the samples are images (else points or nodes)."""
        return not isinstance(self.images, Tensor) or self.images.ndim == 4

    @property
    def is_signals(self) -> bool:
        """Whether the samples are signals, N x C x L floats."""
        return isinstance(self.images, Tensor) and self.images.ndim == 3

    @property
    def channels(self) -> int:
        """Channels of an image or a signal, or dimensions of a point."""
        return self.images[0].shape[0 if self.is_signals else -1]

    @property
    def size(self) -> int | None:
        """Shorter side of the images in pixels; `None` for points, and where sizes differ."""
        if isinstance(self.images, Encoded):
            return min(self.images.shape[:2]) if self.images.shape else None
        return min(self.images.shape[1:3]) if isinstance(self.images, Tensor) and self.images.ndim == 4 else None


class Graph(Dataset):
    """One graph: nodes are the samples.

    Args:
        x: N x F float features.
        edge_index: 2 x E int64; an undirected edge stands in it twice.
        labels: N int64, or `None`.
        train: int64 ids of the nodes whose labels may be learnt from.
        val: int64 ids of the nodes to choose by.
        test: int64 ids of the nodes to report on.
        classes: name of each label, or `None`.
        name: what was asked for.

    Raises:
        DataError: an edge to a node that is not there.

    Example:
        >>> graph = Graph(torch.eye(3), torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        >>> len(graph), graph.edge_index.shape[1]
        (3, 4)
    """

    def __init__(
        self,
        x: Tensor,
        edge_index: Tensor,
        labels: Tensor | None = None,
        train: Tensor | None = None,
        val: Tensor | None = None,
        test: Tensor | None = None,
        classes: list[str] | None = None,
        name: str = "graph",
    ) -> None:
        super().__init__(images=x, labels=labels, classes=classes, name=name)
        if edge_index.ndim != 2 or edge_index.shape[0] != 2:
            raise DataError(f"{name}: edge_index of shape {tuple(edge_index.shape)}: give 2 x E")
        if edge_index.numel() and not 0 <= int(edge_index.min()) <= int(edge_index.max()) < len(x):
            raise DataError(f"{name}: an edge names node {int(edge_index.max())}, but there are {len(x)} nodes")
        nothing = torch.zeros(0, dtype=torch.int64)
        self.x = x
        self.edge_index = edge_index
        self.train = nothing if train is None else train
        self.val = nothing if val is None else val
        self.test = nothing if test is None else test


def statistics(images: Tensor | Sequence[Tensor]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, images on the [0, 1] scale, each image of a list weighing by its
    pixels.

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
        mean = _summed(images, torch.zeros(channels, dtype=torch.float64), power=1) / n
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

    def halved(rows: Tensor) -> Tensor:
        while len(rows) > 1:
            half = len(rows) // 2
            rows = torch.cat((rows[:half] + rows[half : 2 * half], rows[2 * half :]))
        return rows[0]

    centre = centre.reshape(-1, *(1,) * (samples.ndim - 2))

    def off(part: Tensor) -> Tensor:
        x = part.to(torch.float64) - centre
        return x * x if power == 2 else x

    parts = torch.split(samples, max(1, 2**18 // max(1, samples[0].numel())))  # a copy of 2 MB at a time
    total = halved(torch.stack([halved(off(part)) for part in parts]))
    return halved(total.T) if samples.ndim == 3 else total


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
    for counts in levels.astype(
        np.int64
    ).tolist():  # whole numbers of any size: exact, and so the same on every machine
        n = sum(counts)
        first, second = (sum(level**power * count for level, count in enumerate(counts)) for power in (1, 2))
        found.append((first / (255 * n), (n * second - first**2) / (255 * n) ** 2))
    mean, variance = zip(*found, strict=True)
    return _as_tuples(mean, variance)


def _as_tuples(mean: Sequence[float], variance: Sequence[float]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return tuple(mean), tuple(math.sqrt(v) if v > 0 else 1.0 for v in variance)
