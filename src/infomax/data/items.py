"""Data sets of your own: anything that returns samples by index, such as the data sets of torch, torchvision and the
Hub, or a list of pictures, arrays or files.
"""

import io
import math
import os
from collections.abc import Mapping, Sequence
from numbers import Number
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Subset

from infomax.arrays import of_picture
from infomax.data.encoded import IMAGE_KEYS, SAMPLE, Encoded, Replacing, decoded
from infomax.data.folder import OnError, printable
from infomax.data.labels import LABEL_KEYS, of_numbers, of_words, some_missing
from infomax.data.machine import budget
from infomax.data.normalisation import statistics
from infomax.data.order import gather, spread
from infomax.data.samples import as_samples
from infomax.data.sets import Dataset
from infomax.errors import DataError, warn
from infomax.progress import meter
from infomax.words import many, with_article

SAMPLE_KEYS = (*IMAGE_KEYS, "x", "pixel_values")
TARGETS = ("targets", "labels")
"""Where torchvision's data sets hold all labels."""
ASKED_AGAIN = 8
"""Samples that are asked for twice."""


class Items(Replacing):
    """Images asked for by their numbers when they are used, one after the other, as only their owner knows whether it bears
    more than one thread.

    Args:
        given: gives a sample by its number.
        rows: the numbers, of each sample that is to be had.
        channels: of every image; a grey one among coloured ones is seen as equal parts of the colours.
        shape: H, W and C of every image, as far as they were looked at.
        of: the name of the set.
        on_error: see `Replacing`.
    """

    def __init__(
        self,
        given: Any,
        rows: Sequence[int],
        channels: int,
        shape: tuple[int, int, int] | None,
        of: str,
        on_error: OnError = "skip",
    ) -> None:
        super().__init__(len(rows), shape, on_error)
        self.given, self.rows, self.channels, self.of = given, rows, channels, of

    def name(self, row: int) -> str:
        """The number of a sample among those given."""
        return f"sample {self.rows[row]}"

    def place(self, row: int) -> str:
        """The same, and of which set."""
        return f"{self.of}: {self.name(row)}"

    def one(self, row: int) -> Tensor | str:
        """One image, or why there is none."""
        try:
            image = _sample(_parts(self.given[self.rows[row]])[0])
        except Exception as error:  # of the owner's: it may raise anything
            return _told(error)
        if image.ndim != 3 or image.shape[2] not in (1, self.channels):
            return f"it is of shape {tuple(image.shape)}; those before it had {self.channels} channels"
        return image.expand(-1, -1, self.channels).contiguous()

    def decode(self, rows: Sequence[int]) -> list[Tensor]:
        """The images of some rows.

        Raises:
            DataError: see `Replacing.next_whole`.
        """
        images = ((row, self.one(row)) for row in rows)
        return [self.next_whole(row, image) if isinstance(image, str) else image for row, image in images]


def of_items(given: Any, on_error: OnError = "skip") -> Dataset:
    """Make a data set of anything with a length that returns samples by index, with or without their labels.

    `given[i]` is a sample, or a sample and its label. All samples are read once. If they fit in memory they are kept
    there. Otherwise images are requested again when they are used, and labels are taken from `targets` or from the column
    of labels, if there is one.

    | a sample | is read as |
    |---|---|
    | a PIL image, a path, the bytes of a file | an image |
    | integers H x W (x C) or C x H x W, floats in [0, 1] C x H x W or H x W x C | an image |
    | floats C x L | a signal |
    | numbers D | a point, or the row of a table |
    | (sample, label, ...), {"image": sample, "label": label} | a sample with its label, a whole number or a word |

    Samples that are paths, or that the data set lists in `samples` or `imgs` as (path, label), as torchvision's
    `ImageFolder` does, are named by their paths (`Dataset.files`): as given, or relative to the data set's `root`.

    The augmentations are applied by infomax: give pictures without random transforms and without normalisation.

    Args:
        given: a map-style data set, or a list.
        on_error: `skip` leaves out samples that cannot be read, and names them in `Dataset.skipped`; if not all fit in
            memory, the next readable one replaces one that fails later (`Dataset.replaced`). `stop` raises at the
            first.

    Raises:
        DataError: no sample can be read, samples of several kinds, or of an unknown kind.

    Warns:
        UserWarning: a sample differs when it is requested again; or the labels are not labels, some are missing, or
            they cannot be had without reading all images.

    Example:
        >>> data = of_items([(np.zeros((8, 8), np.uint8), "a"), (np.ones((8, 8), np.uint8), "b")])
        >>> data.images.shape, data.labels.tolist(), data.classes
        (torch.Size([2, 8, 8, 1]), [0, 1], ['a', 'b'])
    """
    name, most, size = getattr(given, "name", None) or type(given).__name__, budget(), 0
    name = name if isinstance(name, str) else type(given).__name__
    samples: list[Tensor] = []
    labels: list[Any] = []
    rows: list[int] = []
    paths: list[Any] = []
    views: list[bool] = []
    skipped: list[str] = []
    for number in meter(range(len(given)), desc="read", unit="sample", delay=2, leave=False):
        try:
            raw, label = _parts(given[number])
            sample = _sample(raw)
        except Exception as error:
            if on_error == "stop":
                raise DataError(f"{name}: sample {number} cannot be had ({_told(error)})") from error
            skipped.append(f"sample {number} ({_told(error)})")
            continue
        size += sample.nbytes
        if size > most and samples and sample.ndim == 3 and sample.dtype == torch.uint8:
            break
        rows.append(number)
        samples.append(sample)
        labels.append(label)
        views.append(_of_one_kind(raw, label))
        paths.append(raw if isinstance(raw, str | os.PathLike) else None)
    if len(given) == 0:
        raise DataError(f"{name}: no samples")
    if not samples:
        raise DataError(f"{name}: of {many(len(given), 'sample')} none can be had (the first: {skipped[0]})")
    _same_again(given, rows, samples, name)
    images: Tensor | list[Tensor] | Encoded = _together(samples, name)
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    if size > most and len(rows) + len(skipped) < len(given):
        shape = tuple(images.shape[1:]) if isinstance(images, Tensor) else None
        rows = [*rows, *range(number, len(given))]
        images = Items(given, rows, images[0].shape[2], shape, name, on_error)  # type: ignore[arg-type]
        labels = _all_labels(given, rows, labels, name)
        # of a list they are there; what reads a picture where it is asked for a sample is not asked for its name
        paths = [_part(given[row], 0) for row in rows] if isinstance(given, list | tuple) else []
    found, classes = _labels(labels, views, given, name)
    if isinstance(images, Items):
        images.labels = found
    if samples[0].dtype == torch.uint8:
        # of the same samples, whether memory holds them all or not: a run may go on elsewhere
        mean, std = statistics(gather(images, spread(images, SAMPLE)))
    return Dataset(images, found, classes, name, mean, std, tuple(skipped), files=_files(given, rows, paths))


def _files(given: Any, rows: Sequence[int], paths: Sequence[Any]) -> list[str] | None:
    """What the files of samples are called; None where they lie in none, or it is not known."""
    held = _held_paths(given)
    found = list(paths) if held is None else [held[row] for row in rows]
    if not found or not all(isinstance(one, str | os.PathLike) for one in found):
        return None
    whole = given
    while isinstance(whole, Subset):
        whole = whole.dataset
    root = getattr(whole, "root", None)
    below = os.path.join(os.fspath(root), "") if isinstance(root, str | os.PathLike) else ""
    return [printable(str(os.fspath(one)).removeprefix(str(below))) for one in found]


def _part(item: Any, number: int) -> Any:
    """One of `_parts`, None of an item that has none: what cannot be read is met where it is read."""
    try:
        return _parts(item)[number]
    except (DataError, IndexError):  # a mapping without an image, an empty tuple
        return None


def _held_paths(given: Any) -> list[Any] | None:
    """The paths of all samples by number, where a data set of torchvision's kind holds them, or None."""
    if isinstance(given, Subset):
        whole = _held_paths(given.dataset)
        return None if whole is None else [whole[index] for index in given.indices]
    for pairs in (getattr(given, name, None) for name in ("samples", "imgs")):
        if isinstance(pairs, list | tuple) and len(pairs) == len(given):
            paths = [pair[0] if isinstance(pair, list | tuple) and pair else None for pair in pairs]
            if all(isinstance(path, str | os.PathLike) for path in paths):
                return paths
    return None


def _parts(item: Any) -> tuple[Any, Any]:
    """A sample and its label, None where it has none."""
    if isinstance(item, Mapping):
        key = next((k for k in SAMPLE_KEYS if k in item), None)
        if key is None:
            raise DataError(f"a mapping of {', '.join(map(str, item))}: call the image one of {', '.join(SAMPLE_KEYS)}")
        return item[key], next((item[k] for k in LABEL_KEYS if k in item), None)
    if isinstance(item, tuple) or (isinstance(item, list) and item and not isinstance(item[0], Number | list)):
        return item[0], item[1] if len(item) > 1 else None
    return item, None


def _of_one_kind(raw: Any, other: Any) -> bool:
    """Whether what stands beside an image is another one like it, as of a data set that makes two views."""
    from PIL import Image

    if isinstance(raw, Image.Image):
        return isinstance(other, Image.Image) and (raw.size, raw.mode) == (other.size, other.mode)
    arrays = isinstance(raw, Tensor | np.ndarray) and isinstance(other, type(raw))
    return arrays and raw.ndim in (2, 3) and raw.shape == other.shape and raw.dtype == other.dtype


def _sample(raw: Any) -> Tensor:
    """An image H x W x C uint8, a point D or a signal C x L."""
    from PIL import Image

    if isinstance(raw, str | os.PathLike | bytes):
        image = decoded(io.BytesIO(raw) if isinstance(raw, bytes) else Path(raw).expanduser())
        if isinstance(image, str):
            raise DataError(image)
        return image
    if isinstance(raw, Image.Image):
        return of_picture(raw)
    if (
        isinstance(raw, list | tuple)
        and raw
        and all(isinstance(one, Image.Image) or getattr(one, "ndim", 0) == 3 for one in raw)
    ):
        raise DataError(
            f"{len(raw)} images a sample, views perhaps: give the picture itself, views= makes the two"
        )  # lightly's transforms give a list of them
    if hasattr(raw, "edge_index"):  # of torch_geometric's data sets
        raise DataError("a graph: its nodes are the samples; of a set of one graph give that itself, data[0]")
    if isinstance(raw, list):
        raw = np.asarray(raw)
    if not isinstance(raw, Tensor | np.ndarray) or raw.ndim not in (1, 2, 3):
        shape = f" of shape {tuple(raw.shape)}" if hasattr(raw, "shape") else ""
        raise DataError(
            f"{with_article(type(raw).__name__)}{shape}: a sample is a picture, a path, or an array of at most 3 dimensions"
        )
    floats = raw.is_floating_point() if isinstance(raw, Tensor) else raw.dtype.kind == "f"
    if raw.ndim == 3 and floats and 0 not in raw.shape and (raw.min() < 0 or raw.max() > 1):
        raise DataError(
            f"an image of floats over [{float(raw.min()):g}, {float(raw.max()):g}]: scale them to [0, 1], or give bytes; where "
            "its transform normalises, leave that out, since views are normalised here"
        )
    if isinstance(raw, Tensor) and not raw.is_meta:
        raw = raw.cpu()
    return as_samples(raw[None], "it")[0].contiguous()


def _together(samples: list[Tensor], name: str) -> Tensor | list[Tensor]:
    """All samples as one tensor, or a list of images of several sizes."""
    kinds = {(one.dtype, one.ndim) for one in samples}
    if len(kinds) > 1:
        shapes = sorted({str(tuple(one.shape)) for one in samples})
        raise DataError(f"{name}: samples of several kinds, of shapes {', '.join(shapes[:3])}: give one kind")
    if samples[0].dtype == torch.uint8:
        channels = max(one.shape[2] for one in samples)
        if any(one.shape[2] not in (1, channels) for one in samples):
            raise DataError(f"{name}: images of {sorted({one.shape[2] for one in samples})} channels: give one number")
        samples = [one.expand(-1, -1, channels) for one in samples]
    elif len({one.shape for one in samples}) > 1:
        shapes = sorted({str(tuple(one.shape)) for one in samples})
        raise DataError(
            f"{name}: samples of shapes {', '.join(shapes[:3])}: give all of one length (cut or pad signals)"
        )
    same = len({one.shape for one in samples}) == 1
    return torch.stack(samples) if same else [one.contiguous() for one in samples]


def _same_again(given: Any, rows: Sequence[int], samples: Sequence[Tensor], name: str) -> None:
    """Warn of random transforms: by several samples, as one is not mirrored every other time."""
    for number, sample in zip(rows[:ASKED_AGAIN], samples, strict=False):
        again = _sample(_parts(given[number])[0])
        if again.shape != sample.shape or not torch.equal(again, sample):
            warn(
                f"{name}: sample {number} is another one when it is asked for again: its transform draws at random. Views are "
                "made here, so give the pictures as they are"
            )
            return


def _all_labels(given: Any, rows: Sequence[int], seen: Sequence[Any], name: str) -> list[Any]:
    """Labels of samples that were not looked at, where they are held beside them."""
    held = _held_labels(given)
    if held is not None:
        return [held[row] for row in rows]
    if any(one is not None for one in seen):
        warn(
            f"{name}: no labels: memory does not hold all {len(given):,} images, and to know a label its image would have to "
            f"be read: give the data set an attribute {TARGETS[0]!r} with all labels, or more memory (INFOMAX_MEMORY)"
        )
    return []


def _held_labels(given: Any) -> Any:
    """All labels by number, or None."""
    if isinstance(given, list | tuple):  # they stand there, and no image is read for them
        found = [_part(item, 1) for item in given]
        return None if any(label is None for label in found) else found
    if isinstance(given, Subset):
        whole = _held_labels(given.dataset)
        return None if whole is None else [whole[index] for index in given.indices]
    key = _label_column(given)
    for values in [getattr(given, name, None) for name in TARGETS] if key is None else [list(given[key])]:
        if isinstance(values, list | tuple | np.ndarray | Tensor) and len(values) == len(given):
            return values
    return None


def _label_column(given: Any) -> str | None:
    """The column of labels, of the Hub's data sets."""
    columns = getattr(given, "column_names", None)
    return next((k for k in LABEL_KEYS if k in columns), None) if isinstance(columns, list) else None


def _classes(given: Any, labels: Tensor) -> list[str] | None:
    """The names of the classes, where the data set has them, all of them."""
    key = _label_column(given)
    names = getattr(given, "classes", None) if key is None else getattr(given.features[key], "names", None)
    if not isinstance(names, list | tuple) or len(names) <= int(labels.max()):
        return None
    return list(map(str, names))


def _labels(
    labels: list[Any], of_views: Sequence[bool], given: Any, name: str
) -> tuple[Tensor | None, list[str] | None]:
    """Labels, of words or whole numbers, and the names of the classes; None where any sample has none, or has a view there."""
    plain = [_plain(one) for one in labels]
    if plain and all(of_views):
        warn(
            f"{name}: it gives two images a sample, views perhaps: the second is not used; give the picture itself, "
            "views= makes the two"
        )
        return None, None
    if not plain or some_missing(np.array([one is None for one in plain]), name):
        return None, None
    if all(isinstance(one, str) for one in plain):
        return of_words(np.array(plain), None, name)
    if all(isinstance(one, int) for one in plain):
        numbers = of_numbers(np.array(plain), name)
        return numbers, None if numbers is None else _classes(given, numbers)
    kinds = sorted({type(one).__name__ for one in plain})
    warn(
        f"{name}: no labels: what stands beside the samples is of type {' and '.join(kinds)}; labels are whole numbers or "
        "words"
    )
    return None, None


def _plain(label: Any) -> Any:
    """A label as Python has it, out of an array of one element too, as MedMNIST's are."""
    held = isinstance(label, Tensor | np.ndarray | np.generic) and math.prod(label.shape) == 1
    value = label.item() if held else label
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _told(error: Exception) -> str:
    said = " ".join(str(error).split())
    return said if isinstance(error, DataError) else f"{type(error).__name__}: {said}".rstrip(": ")
