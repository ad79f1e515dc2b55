"""The data of a table: named sets and paths, whole or so many rows of them."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from infomax.data import NAMES, Dataset
from infomax.data.arrays import read_arrays
from infomax.data.streams import absolute
from infomax.errors import ConfigError, DataError
from infomax.evaluate.embed import npz
from infomax.evaluate.splits import test_of
from infomax.files import write_bytes
from infomax.studies.tables.printed import label_of
from infomax.training.defaults import dataset


@dataclass(frozen=True)
class Source:
    """A data set of a table.

    Args:
        label: its name in the table.
        data: name or path, as of `infomax train`.
        root: where named sets lie.
        side: of its images in pixels.
        train, test: rows; no labelled test: a fifth of train is held out.
        of, of_test: rows of the whole sets.
    """

    label: str
    data: str
    root: str | None
    side: int
    train: int
    test: int | None
    of: int
    of_test: int | None = None

    @property
    def cut(self) -> str:
        """How many rows were taken of how many, where not all were; of the test set, too.

        Example:
            >>> Source("photos", "photos", None, 32, 3000, 1000, 50_000, 10_000).cut
            'photos: 3,000 of 50,000 training images, for encoder and probe alike, and 1,000 of 10,000 test images.'
        """
        if self.train == self.of:
            return ""
        tested = "" if self.test is None else f", and {self.test:,} of {self.of_test:,} test images"
        return f"{self.label}: {self.train:,} of {self.of:,} training images, for encoder and probe alike{tested}."


def source(name: str, root: str | None, samples: int | None, folder: Path) -> Source:
    """A data set, or `samples` rows of it and a third as many for the test, spread over both and kept in a file.

    Args:
        name: of a named set, or a path.
        root: where named sets lie.
        samples: rows at most; None: all.
        folder: where the file lies.

    Raises:
        DataError: no such data, or rows that were kept of others. ConfigError: data that are no images with labels.
    """
    whole, label = dataset(name, root), label_of(name)
    if not whole.is_images or whole.labels is None:
        raise ConfigError(f"--data {name}: a table compares images with labels")
    test = test_of(whole)
    side = whole.size or min(min(image.shape[:2]) for image in whole.images[:100])
    n_test = None if test is None else len(test)
    if samples is None or samples >= len(whole):
        data = name if name in NAMES else absolute(name)
        return Source(label, data, root if name in NAMES else None, side, len(whole), n_test, len(whole), n_test)
    path = folder / f"{label}-{samples}.npz"
    few = max(1, samples // 3)
    if not isinstance(whole.images, Tensor):
        raise ConfigError(f"--samples {samples}: rows are taken of arrays, and {name!r} is read from its files")
    parts = {"x_train": whole.images[_rows(whole, samples)], "y_train": whole.labels[_rows(whole, samples)]}
    if test is not None and test.labels is not None and isinstance(test.images, Tensor):
        parts |= {"x_test": test.images[_rows(test, few)], "y_test": test.labels[_rows(test, few)]}
    arrays = {k: v.numpy() for k, v in parts.items()}
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(path, npz(arrays))
    elif (kept := read_arrays(path)).keys() != arrays.keys() or any((kept[k] != v).any() for k, v in arrays.items()):
        raise DataError(
            f"{path} holds rows of other data than {name!r} is now: choose another --out, or remove its runs"
        )
    kept_test = len(arrays["x_test"]) if "x_test" in arrays else None
    return Source(label, str(path.resolve()), None, side, samples, kept_test, len(whole), n_test)


def _rows(data: Dataset, count: int) -> Tensor:
    """So many rows, of every class alike as far as it goes."""
    assert data.labels is not None
    if count >= len(data):
        return torch.arange(len(data))
    order = torch.argsort(data.labels, stable=True)
    at = spread_positions(len(order), count)
    return order[at].sort().values


def spread_positions(n: int, count: int) -> Tensor:
    """`count` of 0..n-1, evenly apart.

    Example:
        >>> spread_positions(10, 5).tolist()
        [0, 2, 4, 6, 8]
    """
    return (torch.arange(count) * n) // count
