"""Neighbours, outliers and near-duplicates among features."""

import torch
from torch import Tensor

from infomax.errors import ConfigError, DataError
from infomax.evaluate.numbers import Rows, finite, tensors, unit

ROWS = 1024  # compared at once


@torch.no_grad()
def neighbours(z: Rows, k: int = 10) -> tuple[Tensor, Tensor]:
    """Cosine similarity to the k nearest other rows, and their indices: N x k each, nearest first.

    Args:
        z: features, N x D, any scale.
        k: number of neighbours per row; fewer if there are not enough rows.

    Raises:
        DataError: fewer than two rows.
        NumericsError: NaN or infinity in z.

    Example:
        >>> near, which = neighbours(torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]]), k=1)
        >>> near[:, 0].tolist(), which[:2, 0].tolist()
        ([1.0, 1.0, 0.0], [1, 0])
    """
    (z,) = tensors(z)
    if z.ndim != 2 or len(z) < 2:
        raise DataError(f"neighbours: need N D with at least two rows, got {tuple(z.shape)}")
    every = unit(finite(z, "neighbours").float())
    near, which = [], []
    for start in range(0, len(every), ROWS):
        block = every[start : start + ROWS] @ every.T
        block[torch.arange(len(block)), start + torch.arange(len(block))] = -2.0  # a row is no neighbour of itself
        values, rows = block.topk(min(k, len(every) - 1), dim=-1)
        near.append(values)
        which.append(rows)
    return torch.cat(near), torch.cat(which)


class Pairs(list[tuple[int, int, float]]):
    """Pairs of rows with their similarity, closest first; `total` is the number of all pairs, listed or not."""

    total: int = 0


@torch.no_grad()
def duplicates(z: Rows, threshold: float = 0.99, most: int = 1000) -> Pairs:
    """Pairs of rows whose cosine similarity is at least a threshold, closest first: all are counted, the closest are kept.

    A collapsed embedding has nearly N^2 / 2 such pairs; they are counted block by block and never stored.

    Args:
        z: features, N x D, any scale.
        threshold: smallest cosine similarity, in (0, 1].
        most: number of pairs to keep.

    Returns:
        Row, row, similarity, of at most that many pairs; `.total` counts all.

    Raises:
        ConfigError: a threshold outside (0, 1], or no pair to keep.
        NumericsError: NaN or infinity in z.

    Example:
        >>> found = duplicates(torch.tensor([[1.0, 0.0], [0.0, 1.0], [3.0, 0.01]]))
        >>> found[0][:2], found.total
        ((0, 2), 1)
    """
    (z,) = tensors(z)
    if not 0 < threshold <= 1:
        raise ConfigError(f"duplicates: a cosine similarity of at least {threshold}: give a threshold in (0, 1]")
    if most < 1:
        raise ConfigError(f"duplicates: {most} pairs to keep: give at least 1")
    every = unit(finite(z, "duplicates").float())
    found, least = Pairs(), threshold - 1e-6
    near, pairs = torch.zeros(0), torch.zeros(0, 2, dtype=torch.int64)
    for start in range(0, len(every), ROWS):
        block = every[start : start + ROWS] @ every[start:].T  # of a pair, the later row is the column
        close = (block >= least).triu_(1)
        found.total += int(close.count_nonzero())
        if len(near) == most:
            close &= block > near[-1]
        rows = close.any(dim=1).nonzero()[:, 0]
        if not len(rows):
            continue
        values, columns = block[rows].masked_fill_(~close[rows], -2.0).topk(min(most, block.shape[1]), dim=-1)
        i, at = (values > -2.0).nonzero(as_tuple=True)
        new = torch.stack([start + rows[i], start + columns[i, at]], dim=1).cpu()
        near, pairs = torch.cat([near, values[i, at].cpu()]), torch.cat([pairs, new])
        order = near.argsort(descending=True, stable=True)[:most]
        near, pairs = near[order], pairs[order]
    found += [(i, j, value) for (i, j), value in zip(pairs.tolist(), near.tolist(), strict=True)]
    found.sort(key=lambda pair: (-pair[2], *pair[:2]))
    return found


def outliers(z: Rows, count: int = 10, k: int = 10) -> list[tuple[int, float]]:
    """The rows farthest from their k-th nearest neighbour, with that similarity, farthest first.

    Args:
        z: features, N x D, any scale.
        count: number of rows to return.
        k: which neighbour counts.

    Returns:
        Row, similarity.

    Raises:
        DataError: fewer than two rows.
        NumericsError: NaN or infinity in z.

    Example:
        >>> outliers(torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]), count=1, k=1)[0][0]
        2
    """
    near = neighbours(z, k)[0][:, -1]
    order = near.argsort()[:count]
    return list(zip(order.tolist(), near[order].tolist(), strict=True))
