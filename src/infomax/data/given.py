"""Data that are at hand and lie under no name: an array, what gives samples by their numbers, a data set."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from infomax.data.folder import OnError
from infomax.data.items import of_items
from infomax.data.sets import Dataset
from infomax.errors import DataError


def of_given(data: Any, on_error: OnError = "skip") -> Dataset:
    """A data set of an array or tensor, of what gives samples by number, or as it is.

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
