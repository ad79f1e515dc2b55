"""Labels as files hold them, whole numbers or words, as numbers of classes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from infomax.errors import DataError, warn

LABEL_KEYS = ("label", "labels", "cls", "class", "fine_label", "target", "y")
"""What the Hub's data sets call a label, the likeliest first."""


def of_words(values: np.ndarray, known: Sequence[str] | None, name: str) -> tuple[Tensor, list[str]]:
    """Numbers of words, and the classes: those that are known, else the words in alphabetical order, as folders do.

    Args:
        values: N words.
        known: the classes of train, or those that the file names.
        name: what was asked for.

    Raises:
        DataError: a word that is not among the known classes.

    Example:
        >>> of_words(np.array(["cat", "ant", "cat"]), None, "mine")
        (tensor([1, 0, 1]), ['ant', 'cat'])
    """
    words = [str(one) for one in values.tolist()]
    classes = sorted(set(words)) if known is None else list(known)
    number = {one: i for i, one in enumerate(classes)}
    if unknown := sorted(set(words) - set(number)):
        raise DataError(f"{name}: class {unknown[0]!r} is not among the training classes ({', '.join(classes)})")
    return torch.tensor([number[one] for one in words]), classes


def of_numbers(values: np.ndarray, name: str) -> Tensor | None:
    """Whole numbers as labels; None where any is below 0, which stands for none: then the set counts as one without labels.

    Args:
        values: N whole numbers.
        name: what was asked for, named in a warning where only some are below 0.

    Example:
        >>> of_numbers(np.array([2, 0]), "mine"), of_numbers(np.array([-1, -1]), "mine")
        (tensor([2, 0]), None)
    """
    values = values.astype(np.int64)
    return None if some_missing(values < 0, name) else torch.from_numpy(values)


def whole(values: Any) -> Any:
    """Labels as int64 that are yes and no, or floats and all whole (as `numpy.genfromtxt` reads them); others as they are.

    Args:
        values: an array or a tensor.

    Example:
        >>> whole(np.array([2.0, 0.0])).tolist(), whole(torch.tensor([True, False])).tolist(), whole(np.array([0.5])).tolist()
        ([2, 0], [1, 0], [0.5])
    """
    if isinstance(values, Tensor):
        floats = values.is_floating_point() and values.layout == torch.strided and not values.is_meta
        fits = values.dtype == torch.bool or (
            floats and bool(((values.trunc() == values) & (values.abs() < 2**53)).all())
        )
        return values.to(torch.int64) if fits else values
    fits = values.dtype == np.bool_ or (
        values.dtype.kind == "f" and bool(((np.trunc(values) == values) & (np.abs(values) < 2**53)).all())
    )
    return values.astype(np.int64) if fits else values


def some_missing(missing: np.ndarray, name: str) -> bool:
    """Whether samples have no label, so that the set counts as one without; warn where only some have none.

    Args:
        missing: of each sample, whether it has no label.
        name: what was asked for.
    """
    if missing.any() and not missing.all():
        warn(
            f"{name}: {missing.sum():,} of {len(missing):,} samples have no label (a number below 0 stands for none), so "
            "these data count as unlabelled: to judge by labels, give the labelled samples alone (evaluate --data)"
        )
    return bool(missing.any())


def of_one_folder(name: str) -> str:
    """Why images that all lie in one folder have no labels: a class by itself tells nothing apart.

    Args:
        name: of the folder.
    """
    return f"all its images lie in one folder, {name!r}: one class tells nothing apart"


def of_one_kind(first: np.ndarray, second: np.ndarray, name: str) -> None:
    """Refuse words beside numbers, which would each be numbered on their own.

    Raises:
        DataError: one is of words and the other is not.
    """
    if (first.dtype.kind == "U") != (second.dtype.kind == "U"):
        raise DataError(
            f"{name}: labels of type {first.dtype} in one part and {second.dtype} in another: give numbers in all, or words"
        )
