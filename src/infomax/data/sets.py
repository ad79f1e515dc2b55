"""The classes of data sets."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from infomax.arrays import as_tensor
from infomax.data.encoded import SAMPLE, Encoded
from infomax.data.labels import of_words, whole
from infomax.data.normalisation import statistics
from infomax.data.samples import as_samples, dense, not_sparse, warn_of_odd
from infomax.errors import DataError
from infomax.words import many


def no_labels(why: str) -> str:
    """That data have no labels, and why where that is known; see `Dataset.no_labels`."""
    return "has no labels" + f" ({why})" * bool(why)


@dataclass(eq=False, repr=False)
class Dataset:
    """Samples, with what is known about them.

    Args:
        images: N x H x W x C uint8, or a list of N uint8 H x W x C if sizes differ, or floats: N x D for points and
            tables, N x C x L for signals. `Encoded` images are decoded on use. Arrays and tensors of other types are
            converted as those of files are.
        labels: N int64 from 0 on, or `None`; an array or a list, also of words, is converted.
        classes: name of each label, or `None`.
        name: the name that was asked for.
        mean: mean of each channel of the *training* split, for images in [0, 1].
        std: standard deviation of each channel of the *training* split, for images in [0, 1].
        skipped: names of the files that could not be read.
        files: name of each sample's file relative to the folder, if the samples are files.
        origin: name or path, and root, by which `load` found this training split; None: it has another origin.
        split: `train` or `test`, if the data have both; None: these are all samples.
        unlabelled: why there are no labels, if the layout looks as if there were; errors about missing labels say it.

    Warns:
        UserWarning: signals that seem to be N x L x C, or one value so large that its channel is lost.

    Raises:
        DataError: no samples, impossible samples, not one label per sample, labels that are not whole numbers, or
            labels below 0 (which are allowed for the nodes of a graph).

    Example:
        >>> data = Dataset(torch.zeros(2, 8, 8, 1, dtype=torch.uint8), torch.tensor([0, 1]), name="mine")
        >>> len(data), data.channels, data.size, data.mean
        (2, 1, 8, (0.0,))
        >>> data.kind, data.shape
        ('images', (8, 8, 1))
        >>> data
        Dataset('mine', 2 images of 8 x 8 x 1, 2 classes)
    """

    images: Tensor | list[Tensor] | Encoded
    labels: Tensor | None = None
    classes: list[str] | None = None
    name: str = "data"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    skipped: tuple[str, ...] = ()
    origin: tuple[str, str] | None = None
    files: list[str] | None = None
    split: str | None = None
    unlabelled: str = ""
    read_by: dict[str, Any] = field(default_factory=dict, init=False)
    """Options of `load`, if not the defaults, by which it found this training split: `resize`, `shrink`, `seed`, `stray`."""
    why_skipped: tuple[str, ...] = field(default=(), init=False)
    """Why each of `skipped` could not be read, in two or three words; empty: it is not known, or the names say it."""
    parts: dict[int, int] = field(default_factory=dict, init=False)
    """How many pictures of a folder were read at 1/k of their sides, by k (see `shrink` of `load`); empty: not known."""
    files_known_by: str | None = field(default=None, init=False)
    """What identifies the files of the samples, see `infomax.data.content`; None: the samples are in memory only."""

    def __post_init__(self) -> None:
        self.images = _as_images(self.images, self.name)
        if self.labels is not None:
            self.labels, self.classes = _as_labels(self.labels, self.classes, self.name)
        if self.labels is not None and self.labels.shape != (len(self.images),):
            raise DataError(
                f"{self.name}: {len(self.images)} samples but labels of shape {tuple(self.labels.shape)}: give one a sample"
            )
        if self.labels is not None and not isinstance(self, Graph) and bool((self.labels < 0).any()):
            raise DataError(
                f"{self.name}: {int((self.labels < 0).sum()):,} labels below 0: number the classes from 0, and give samples "
                "without a label apart, as data without labels"
            )
        if self.labels is not None and self.classes is not None and int(self.labels.max()) >= len(self.classes):
            raise DataError(
                f"{self.name}: a label {int(self.labels.max())}, but the names of {len(self.classes)} classes: number them "
                f"from 0 to {len(self.classes) - 1}, or name every class"
            )
        if not self.mean:
            some = self.images
            if isinstance(some, Encoded):
                some = some.take(some.spread(SAMPLE).tolist())
            self.mean, self.std = statistics(some)
            if isinstance(some, Tensor) and some.is_floating_point():
                warn_of_odd(some, self.name)

    def __len__(self) -> int:
        """N, the number of samples."""
        return len(self.images)

    def __repr__(self) -> str:
        shapes = {tuple(one.shape) for one in self.images} if isinstance(self.images, list) else {self.shape}
        shape = " x ".join(map(str, one)) if len(shapes) == 1 and (one := next(iter(shapes))) else "several sizes"
        samples = f"{many(len(self), self.kind[:-1], self.kind)} of {shape}"
        return f"{type(self).__name__}({', '.join([repr(self.name), *filter(None, (self.split, samples, *self._told()))])})"

    def _told(self) -> list[str]:
        """What else is to be said of the data in a few words: their classes, files read smaller, files not read."""
        known = self.classes or ([] if self.labels is None else {one for one in self.labels.tolist() if one >= 0})
        labels = "no labels" if self.labels is None else many(len(known), "class", "classes")
        reduced = [f"{count:,} read at 1/{k} of their sides" for k, count in self.parts.items() if k > 1]
        return [labels, *reduced] + [f"{self.n_skipped:,} skipped"] * bool(self.skipped)

    @property
    def no_labels(self) -> str:
        """A statement that there are no labels, and why, if known: for the errors of data that are to be evaluated.

        Example:
            >>> Dataset(torch.zeros(2, 3)).no_labels, Dataset(torch.zeros(2, 3), unlabelled="one class").no_labels
            ('has no labels', 'has no labels (one class)')
        """
        return no_labels(self.unlabelled)

    @property
    def n_skipped(self) -> int:
        """Number of files that could not be read."""
        return len(self.skipped)

    @property
    def replaced(self) -> list[int]:
        """Indices, ascending, of samples used so far that could not be decoded, so that another sample was used instead.

        For shards only: a folder leaves such files out when it is scanned.
        """
        return sorted(self.images.replaced) if isinstance(self.images, Encoded) else []

    def names(self, rows: Iterable[int]) -> list[str] | None:
        """Names of the samples: files relative to the folder, or shard and position; None: they have no names.

        Example:
            >>> Dataset(torch.zeros(2, 3)).names([0]), Dataset(torch.zeros(2, 3), files=["a.png", "b.png"]).names([1])
            (None, ['b.png'])
        """
        if self.files is not None:
            return [self.files[row] for row in rows]
        return self.images.names(rows) if isinstance(self.images, Encoded) else None

    def undecoded(self, fate: str) -> str | None:
        """The samples that could not be decoded on use, counted and named, in one line; None: there are none.

        Args:
            fate: what was done with them, such as "left out".
        """
        if not isinstance(self.images, Encoded) or not self.replaced:
            return None
        names = sorted(self.images.replaced.values())
        some = ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
        return f"{self.name}: {many(len(names), 'sample')} could not be decoded, {fate}: {some}"

    @property
    def is_images(self) -> bool:
        """Whether the samples are images (rather than points or nodes)."""
        return not isinstance(self.images, Tensor) or self.images.ndim == 4

    @property
    def is_signals(self) -> bool:
        """Whether the samples are signals, N x C x L floats."""
        return isinstance(self.images, Tensor) and self.images.ndim == 3

    @property
    def kind(self) -> str:
        """The kind of the samples: images, signals or rows (of a table, or points); for a graph nodes."""
        return "images" if self.is_images else "signals" if self.is_signals else "rows"

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Shape of every sample: H x W x C of an image, C x L of a signal, D of a row; None if images differ in shape."""
        if isinstance(self.images, Tensor):
            return tuple(self.images.shape[1:])
        return self.images.shape if isinstance(self.images, Encoded) else None

    @property
    def channels(self) -> int:
        """Number of channels of an image or a signal, or of dimensions of a point."""
        return self.images[0].shape[0 if self.is_signals else -1]

    @property
    def size(self) -> int | None:
        """Shorter side of the images in pixels; `None` for points, and if sizes differ."""
        if isinstance(self.images, Encoded):
            return min(self.images.shape[:2]) if self.images.shape else None
        return min(self.images.shape[1:3]) if isinstance(self.images, Tensor) and self.images.ndim == 4 else None


class Graph(Dataset):
    """One graph, whose nodes are the samples.

    Args:
        x: N x F features.
        edge_index: 2 x E whole numbers; an undirected edge is listed twice, once in each direction.
        labels: N whole numbers, or `None`.
        train: ids of the nodes whose labels are used for training, or a mask of N booleans (or whole numbers 0 and 1).
        val: ids of the nodes for validation, likewise.
        test: ids of the nodes for testing, likewise.
        classes: name of each label, or `None`.
        name: the name that was asked for.

    Raises:
        DataError: an edge to a node that does not exist, or an id of one; an id that is given twice.

    Example:
        >>> graph = Graph(torch.eye(3), torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        >>> len(graph), graph.edge_index.shape[1]
        (3, 4)
        >>> graph
        Graph('graph', 3 nodes of 3, edge_index 2 x 4, no labels)
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
        of_device = isinstance(x, Tensor) and not x.is_meta
        super().__init__(images=x.cpu() if of_device else x, labels=labels, classes=classes, name=name)
        if not isinstance(self.images, Tensor) or self.images.ndim != 2:
            raise DataError(f"{name}: features of nodes of shape {tuple(x.shape)}: give N x F numbers")
        self.x = self.images
        self.edge_index = _whole(edge_index, "edge_index", name)
        if self.edge_index.ndim != 2 or self.edge_index.shape[0] != 2:
            raise DataError(f"{name}: edge_index of shape {tuple(self.edge_index.shape)}: give 2 x E")
        edges = self.edge_index
        if edges.numel() and not 0 <= int(edges.min()) <= int(edges.max()) < len(self):
            wrong = int(edges.min() if int(edges.min()) < 0 else edges.max())
            raise DataError(f"{name}: an edge names node {wrong}, but the {len(self)} nodes are 0..{len(self) - 1}")
        self.train, self.val, self.test = (
            self._nodes(ids, what) for ids, what in ((train, "train"), (val, "val"), (test, "test"))
        )

    @property
    def kind(self) -> str:
        """Nodes."""
        return "nodes"

    def _told(self) -> list[str]:
        splits = {"train": self.train, "val": self.val, "test": self.test}
        named = [f"{len(ids):,} {name}" for name, ids in splits.items() if len(ids)]
        return [f"edge_index 2 x {self.edge_index.shape[1]:,}", *super()._told(), *named]

    def _nodes(self, given: Any, what: str) -> Tensor:
        """Ids of nodes, given as such or as a mask."""
        if given is None:
            return torch.zeros(0, dtype=torch.int64)
        if not isinstance(given, Tensor) and (array := np.asarray(given)).dtype.kind in "bui":
            given = as_tensor(array)
        if isinstance(given, Tensor) and given.shape == (len(self),) and _is_mask(given):
            return given.cpu().to(torch.bool).nonzero()[:, 0]
        ids = _whole(given, what, self.name)
        if ids.ndim != 1 or (len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < len(self)):
            raise DataError(
                f"{self.name}: {what} of shape {tuple(ids.shape)} names no nodes of 0..{len(self) - 1}: give their ids, or a "
                f"mask of {len(self)} booleans"
            )
        found, count = torch.unique(ids, return_counts=True)
        if len(found) < len(ids):
            raise DataError(
                f"{self.name}: {what} names node {int(found[count > 1][0])} more than once: give each id once, or a mask of "
                f"{len(self)} booleans"
            )
        return ids


def _is_mask(given: Tensor) -> bool:
    """Whether as many values as there are nodes say of each whether it is meant; 0 and 1 may be the ids of two nodes."""
    if given.dtype == torch.bool or given.is_floating_point() or given.is_complex():
        return given.dtype == torch.bool
    values = given.to(torch.int64)  # torch compares few kinds of unsigned numbers
    return (given.dtype == torch.uint8 or len(given) > 2) and bool(((values == 0) | (values == 1)).all())


def _as_images(given: Any, name: str) -> Tensor | list[Tensor] | Encoded:
    not_sparse(given, name)
    if isinstance(given, Tensor) or hasattr(given, "__array__"):  # of pandas, say
        return as_samples(given if isinstance(given, Tensor | np.ndarray) else np.asarray(given), name)
    if not isinstance(given, Iterable | Encoded):
        raise DataError(
            f"{name}: samples of type {type(given).__name__}: give one array or tensor, or a list of images"
        )
    images = given if isinstance(given, Encoded) else list(given)
    if len(images) == 0:
        raise DataError(f"{name}: no samples")
    if isinstance(images, Encoded):
        return images
    images = [as_tensor(one) if isinstance(one, np.ndarray) and one.dtype == np.uint8 else one for one in images]
    for i, one in enumerate(images):
        if (
            not isinstance(one, Tensor)
            or one.dtype != torch.uint8
            or one.ndim != 3
            or one.shape[2] != images[0].shape[2]
            or 0 in one.shape
        ):
            what = (
                f"{one.dtype} of shape {tuple(one.shape)}"
                if isinstance(one, Tensor | np.ndarray)
                else type(one).__name__
            )
            raise DataError(
                f"{name}: sample {i} of the list is {what}: give a list of images H x W x C uint8 of as many channels each, or "
                "all samples as one array"
            )
    return images


def _as_labels(given: Any, classes: list[str] | None, name: str) -> tuple[Tensor, list[str] | None]:
    if np.ma.is_masked(given):  # numpy would give what stands behind the mask
        raise DataError(f"{name}: labels with masked entries: leave samples without a label out")
    try:
        array = given if isinstance(given, Tensor) else np.asarray(given)
    except ValueError as error:  # lists of unequal lengths
        raise DataError(
            f"{name}: labels that make no array ({error}): give one whole number or word a sample"
        ) from None
    if isinstance(array, np.ndarray) and array.dtype.kind == "U" and not isinstance(given, np.ndarray):
        array = np.asarray(given, dtype=object)  # numpy makes a word of whatever stands among words
    if isinstance(array, np.ndarray) and array.dtype.kind == "O":  # pandas' words, say
        values = array.tolist()
        if any(all(isinstance(one, kind) for one in values) for kind in (str, int | np.integer)):
            array = np.array(values)
    if isinstance(array, np.ndarray) and array.dtype.kind == "U":
        return of_words(array, classes, name)
    return _whole(whole(array), "labels", name), classes


def _whole(given: Any, what: str, name: str) -> Tensor:
    """Whole numbers as int64 on the CPU, where all that asks for them computes: the same tensor, where they are."""
    if isinstance(given, Tensor):
        dense(given, f"{name}: {what}")
    else:
        array = np.asarray(given)
        if array.dtype == np.uint64 and array.size and array.max() >= 2**63:
            raise DataError(f"{name}: {what} up to {array.max()}: give whole numbers below 2^63")
        given = torch.from_numpy(array.astype(np.int64)) if array.dtype.kind in "iu" or array.size == 0 else array
    if isinstance(given, Tensor) and given.numel() == 0:  # floats, where nothing is said of their type
        return given.cpu().to(torch.int64)
    if (
        not isinstance(given, Tensor)
        or given.dtype.is_floating_point
        or given.dtype.is_complex
        or given.dtype == torch.bool
    ):
        words = ", or words" if what == "labels" else ""
        raise DataError(f"{name}: {what} of type {given.dtype}: give whole numbers{words}")
    return given.cpu().to(torch.int64)
