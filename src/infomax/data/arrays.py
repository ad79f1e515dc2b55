"""Arrays from `.npy` and `.npz` files, checked."""

import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np
from torch import Tensor

from infomax.data.edges import of_parts
from infomax.data.labels import of_numbers, of_one_kind, of_words, whole
from infomax.data.machine import free_memory
from infomax.data.normalisation import statistics
from infomax.data.samples import as_samples, warn_of_odd
from infomax.data.sets import Dataset
from infomax.errors import DataError, NoSuchSplit

_IMAGE_KEYS = ("images", "x", "X", "data", "arr_0")
_LABEL_KEYS = ("labels", "label", "y", "Y", "targets", "target", "arr_1")

_UNREADABLE = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, tokenize.TokenError)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Every array of an `.npz` by its name; the one of an `.npy` as `images`.

    Raises:
        DataError: a file that is cut, corrupt, holds Python objects, or more than memory does.
    """
    if path.stat().st_size > (free := free_memory()):
        raise DataError(
            f"{path}: {path.stat().st_size / 1e9:.1f} GB of arrays, which are read as a whole, and {free / 1e9:.1f} GB of free "
            "memory: give images as a folder or as shards, which are decoded on use"
        )
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            return {"images": loaded} if isinstance(loaded, np.ndarray) else {key: loaded[key] for key in loaded.files}
    except _UNREADABLE as error:
        reason = " ".join(str(error).split())
        if "pickle" in reason:  # numpy's advice, of any file that it does not know, is to load what may run code
            reason = (
                "it holds Python objects, signals of unequal lengths, say: cut or pad them to one"
                if _is_array_file(path)
                else "it is no array file"
            )
        raise DataError(f"{path}: not a readable .npy or .npz file of plain arrays ({reason})") from error


def _is_array_file(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(6).startswith((b"\x93NUMPY", b"PK"))


def read_array(path: Path, split: str) -> Dataset:
    """Read a `.npy` array of samples, or an `.npz` with `images` (or `x`) and, where known, `labels` (or `y`), whole
    numbers or words, and `classes`, their names; an `.npz` with `edge_index` is a graph (see `of_parts`), of one split.

    An `.npz` with two splits names them `x_train`, `y_train`, `x_test`, `y_test` (or `images_...`, `labels_...`).

    Args:
        path: the file.
        split: `train` or `test`.

    Raises:
        DataError: an unreadable file, or no fitting key. NoSuchSplit: no such split.
    """
    arrays = read_arrays(path)
    if "edge_index" in arrays:
        return of_parts(arrays, str(path))
    x = _find(arrays, _IMAGE_KEYS, split)
    if x is None:
        if split != "train" and _find(arrays, _IMAGE_KEYS, "train") is not None:
            raise NoSuchSplit(
                f"{path}: no {split} split: name its arrays x_{split} and y_{split}, or give another file"
            )
        raise DataError(f"{path}: no array named images or x (seen: {', '.join(sorted(arrays)) or 'none'})")
    samples = as_samples(x, str(path))
    train = samples if split == "train" else None
    if train is None:
        of_train = _find(arrays, _IMAGE_KEYS, "train")
        train = samples if of_train is None else as_samples(of_train, str(path))
    mean, std = statistics(train)
    if train.is_floating_point():
        warn_of_odd(train, str(path))
    labels, classes = _labelled(arrays, split, len(samples), str(path))
    two = all(_find(arrays, _IMAGE_KEYS, each) is not None for each in ("train", "test"))
    return Dataset(samples, labels, classes, str(path), mean, std, split=split if two else None)


def _find(arrays: dict[str, np.ndarray], names: tuple[str, ...], split: str) -> np.ndarray | None:
    for name in names:
        if f"{name}_{split}" in arrays:
            return arrays[f"{name}_{split}"]
        if split == "train" and name in arrays:
            return arrays[name]
    return None


def _labelled(arrays: dict[str, np.ndarray], split: str, n: int, name: str) -> tuple[Tensor | None, list[str] | None]:
    """Labels and classes: those that the file names; of words else the words of train, in alphabetical order."""
    y, named = _find(arrays, _LABEL_KEYS, split), arrays.get("classes")
    classes = None if named is None else [str(c) for c in named]
    if y is None:
        return None, classes
    y = whole(_flat(y))
    if y.dtype.kind not in "iuU":
        raise DataError(f"{name}: labels of type {y.dtype}: give whole numbers, or words")
    if y.shape != (n,):
        raise DataError(f"{name}: {n} samples but labels of shape {y.shape}: give one label a sample")
    of_train = None if split == "train" else _find(arrays, _LABEL_KEYS, "train")
    if of_train is not None:
        of_one_kind(of_train, y, name)
    if y.dtype.kind != "U":
        return of_numbers(y, name), classes
    if classes is None and of_train is not None:
        classes = of_words(_flat(of_train), None, name)[1]
    return of_words(y, classes, name)


def _flat(y: np.ndarray) -> np.ndarray:
    return y.reshape(-1) if y.ndim == 2 and y.shape[1] == 1 else y
