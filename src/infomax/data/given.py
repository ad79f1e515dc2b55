"""Data that are at hand and lie under no name: an array, what gives samples by their numbers, a data set."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from infomax.data.edges import of_parts
from infomax.data.folder import OnError
from infomax.data.items import of_items
from infomax.data.samples import not_sparse
from infomax.data.sets import Dataset
from infomax.errors import DataError


def of_given(data: Any, on_error: OnError = "skip") -> Dataset:
    """A data set of an array or tensor, of one and its labels, of what gives samples by number, or as it is.

    Args:
        data: what there is.
        on_error: see `infomax.data.items.of_items`.

    Raises:
        DataError: anything else, or samples that cannot be.
    """
    if isinstance(data, Dataset):
        return data
    if isinstance(data, Tensor):
        return Dataset(data if data.is_meta else data.cpu())
    not_sparse(data, type(data).__name__)
    if isinstance(data, tuple) and len(data) == 2 and getattr(data[0], "ndim", 0) >= 2 and _is_array(data[1]):
        return _labelled(*data)
    if hasattr(data, "edge_index") and (hasattr(data, "to_dict") or not hasattr(data, "__getitem__")):
        # torch_geometric's Data; its sets of graphs have the edges of all
        return of_parts(data.to_dict() if hasattr(data, "to_dict") else vars(data), type(data).__name__)
    if hasattr(data, "__array__"):
        return Dataset(data)
    if hasattr(data, "__getitem__") and hasattr(data, "__len__") and not isinstance(data, Mapping | bytes):
        return of_items(data, on_error)
    inside = ""
    if hasattr(data, "dataset"):
        inside = ": of a DataLoader its .dataset, since batches and views are made here"
    elif isinstance(data, Mapping) and "train" in data:  # a DatasetDict of the Hub
        inside = ": one of its splits, data['train']"
    raise DataError(
        f"data of type {type(data).__name__}: give the name or path of a data set, one array or tensor of N samples, what has "
        f"a length and gives samples by number (a torch Dataset, a list), or an infomax.data.Dataset{inside}"
    )


def _labelled(samples: Any, other: Any) -> Dataset:
    """A data set of an array and a vector of as many labels.

    Raises:
        DataError: of another number of labels, or two arrays of samples, as of train and test.
    """
    samples, other = (one.cpu() if isinstance(one, Tensor) and not one.is_meta else one for one in (samples, other))
    if np.ndim(other) == 2 and np.shape(other)[1] == 1:  # a column of a table
        other = np.asanyarray(other).ravel()
    shapes = f"two arrays, of shapes {tuple(samples.shape)} and {tuple(np.shape(other))}"
    if np.ndim(other) > 1:
        raise DataError(
            f"{shapes}: give one, and of train and test the second where it is tested on (of images and labels: "
            "infomax.data.Dataset(x, y), a whole number or word a sample)"
        )
    if len(samples) != len(other):
        raise DataError(f"{shapes}: of images and labels give as many of both, infomax.data.Dataset(x, y)")
    return Dataset(samples, other)


def with_labels(data: Any) -> bool:
    """Whether a pair is samples and their labels, and not two arrays of samples, as of train and test.

    Example:
        >>> x, y = np.zeros((4, 3)), np.zeros(4)
        >>> with_labels((x, y)), with_labels((x, ["cat"] * 4)), with_labels((x, x)), with_labels(x)
        (True, True, False, False)
    """
    if not isinstance(data, tuple) or len(data) != 2 or getattr(data[0], "ndim", 0) < 2 or not _is_array(data[1]):
        return False
    return np.ndim(data[1]) == 1 or (np.ndim(data[1]) == 2 and np.shape(data[1])[1] == 1)


def _is_array(given: Any) -> bool:
    """Whether this holds numbers or words along a dimension, a list or tuple of them too."""
    if isinstance(given, list | tuple):
        return all(isinstance(one, str) or np.ndim(one) == 0 for one in given)
    return getattr(given, "ndim", 0) >= 1
