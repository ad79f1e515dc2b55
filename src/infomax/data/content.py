"""What the content of data is known by, wherever they lie: a run and a sweep see by it that theirs have changed.

| data | known by |
|---|---|
| bytes in memory: images, labels, edges | a hash |
| floats in memory | their size and two weighted sums, which another machine may round otherwise |
| a folder's images that can be decoded; shards of this machine | names, lengths, and the first bytes of some files; not times |
| behind an address; asked for one by one from their owner | nothing: such data count as what they were |
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from infomax.data.encoded import LOOKED_AT, Encoded, Replacing
from infomax.data.sets import Dataset, Graph
from infomax.views import rng

_FIRST, _SUMS = 4096, 0xC0DE
_AT_ONCE = 1 << 22  # numbers
_NEAR = 1e-5
"""How far sums may be apart of floats that are the same but for their last digits; two samples that change places move them
by about 1 over the root of how many there are."""

NAMED = {"images": "samples", "labels": "labels", "edges": "edges", "weights": "weights"}
"""The parts, and what they are called; weights are those that an encoder begins with."""


def content(data: Dataset) -> dict[str, Any]:
    """What data are known by, part by part; None: not known.

    Example:
        >>> x, y = torch.arange(6, dtype=torch.uint8).reshape(3, 1, 2, 1), torch.tensor([0, 1, 0])
        >>> then, now = content(Dataset(x, y)), content(Dataset(x[[1, 0, 2]], y))
        >>> changed(then, now)
        ['images']
    """
    labels = data.labels
    if labels is not None and isinstance(data.images, Replacing) and data.images.told:  # as they were before that
        labels = labels.clone()
        labels[list(data.images.told)] = torch.tensor(list(data.images.told.values()))
    found = {"images": data.files_known_by or _of_images(data.images), "labels": None}
    if isinstance(data, Graph):
        found["edges"] = _hash([data.edge_index])
        found["labels"] = None if labels is None else _hash([labels, data.train, data.val, data.test])
    elif labels is not None:
        found["labels"] = _hash([labels])
    return found


def changed(then: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> list[str]:
    """The parts that are known of both and differ.

    Example:
        >>> changed({"images": "a", "labels": "b"}, {"images": "c", "labels": None}), changed(None, {"images": "c"})
        (['images'], [])
        >>> changed({"images": [0.5, 1.0]}, {"images": [0.5, 1.0000001]})
        []
    """
    both = [(part, (then or {}).get(part), (now or {}).get(part)) for part in NAMED]
    return [part for part, a, b in both if a is not None and b is not None and not _same(a, b)]


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, list) and isinstance(b, list):
        return _near(a, b, [max(1.0, abs(x)) for x in a])
    return bool(a == b)


def same_statistics(then: Mapping[str, Any], now: Mapping[str, Any], *, near: float = _NEAR) -> bool:
    """Whether the mean and standard deviation of each channel are the same, but for how another machine rounds.

    Args:
        then, now: with `mean` and `std`, numbers each; without them alike.
        near: the largest difference, in standard deviations.

    Example:
        >>> table = {"mean": [1e-17, 2.0], "std": [1.0, 0.5]}
        >>> same_statistics(table, {"mean": (-3e-17, 2.0), "std": (1.0, 0.5)})
        True
        >>> same_statistics(table, {"mean": (0.001, 2.0), "std": (1.0, 0.5)}), same_statistics(table, {})
        (False, False)
    """
    (mean, std), (other_mean, other_std) = ((one.get("mean") or (), one.get("std") or ()) for one in (then, now))
    if len({len(mean), len(std), len(other_mean), len(other_std)}) > 1:
        return False
    # a mean near 0 is rounded by what was summed, as large as the deviation, not by what it came to
    scales = [s + 0.01 * abs(m) for m, s in zip(mean, std, strict=True)]
    return _near(mean, other_mean, scales, near) and _near(std, other_std, scales, near)


def _near(a: Sequence[float], b: Sequence[float], scales: Sequence[float], near: float = _NEAR) -> bool:
    return len(a) == len(b) and all(abs(x - y) <= near * s for x, y, s in zip(a, b, scales, strict=True))


def of_files(files: Sequence[str | Path], root: str | Path) -> str | None:
    """What files are known by, in their order; None where one lies behind an address.

    Args:
        files: of the samples.
        root: the folder below which their names are told.
    """
    if any("://" in str(file) for file in files):
        return None
    told, below = hashlib.sha256(), os.path.join(str(root), "")
    for one in map(str, files):
        # relpath takes most of the time, of which a million files have enough
        name = one[len(below) :] if one.startswith(below) else os.path.relpath(one, root)
        told.update(json.dumps([name.replace(os.sep, "/"), _length(one)]).encode())
    for row in torch.linspace(0, len(files) - 1, min(LOOKED_AT, len(files))).long().tolist():
        if not os.path.isfile(files[row]):  # a pipe would be waited for
            continue
        try:
            with open(files[row], "rb") as file:
                told.update(file.read(_FIRST))
        except OSError:  # who decodes it says so
            continue
    return told.hexdigest()[:32]


def _length(file: str | Path) -> int | None:
    try:
        return os.stat(file).st_size
    except OSError:
        return None


def _of_images(images: Tensor | list[Tensor] | Encoded) -> Any:
    if isinstance(images, Encoded):
        return None
    if isinstance(images, Tensor) and images.is_floating_point():
        return _sums(images)
    return _hash([images] if isinstance(images, Tensor) else images)


def _hash(tensors: Iterable[Tensor]) -> str:
    told = hashlib.sha256()
    for t in tensors:
        told.update(f"{tuple(t.shape)} {t.dtype}".encode())
        told.update(t.detach().cpu().contiguous().numpy().data)
    return told.hexdigest()[:32]


def _sums(samples: Tensor) -> list[float]:
    """Two sums of all numbers, standardised, each by the weights of its sample and its column; and how large those were."""
    rows = samples.detach().cpu().flatten(1)
    n, columns = rows.shape
    weights = torch.cat([torch.ones(n, 1, dtype=torch.float64), _weights(n, 0)], 1)
    sums, squares = torch.zeros(3, columns, dtype=torch.float64), torch.zeros(columns, dtype=torch.float64)
    step = max(1, _AT_ONCE // max(columns, 1))
    for part, weight in zip(torch.split(rows, step), torch.split(weights, step), strict=True):
        part = part.to(torch.float64)
        sums += weight.T @ part
        squares += (part * part).sum(0)
    mean = sums[0] / n
    scale = (squares / n - mean**2).clamp(min=0).sqrt() + 0.01 * mean.abs()
    scale[scale == 0] = 1.0
    centred = (sums[1:] - weights[:, 1:].sum(0)[:, None] * mean) / scale
    found = 12 * (centred * _weights(columns, 1).T).sum(1) / (n * columns) ** 0.5
    units = torch.stack([mean.norm(), scale.norm()])  # what was standardised away
    return [round(float(s), 7) for s in found] + [float(f"{float(s):.7g}") for s in units]


def _weights(count: int, of: int) -> Tensor:
    """Two numbers in (-0.5, 0.5) for each of so many, the same everywhere."""
    return rng.uniform(rng.key(torch.arange(count), _SUMS, of), 2) - 0.5
