"""Fitting on some pairs and reading on others, in turn; and how far such a reading may be off."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

MOST = 2048
"""Pairs read at once: more would cost their square in memory, and raise InfoNCE's ceiling by little."""


class Folds(NamedTuple):
    """V disjoint parts of N rows, and what is left to train on for each: V x (N - N/V)."""

    held: list[Tensor]
    train: Tensor


def split(n: int, seed: int, count: int = 4) -> Folds:
    """Cut n rows into parts at random, of equal length up to one.

    Example:
        >>> folds = split(10, seed=0)
        >>> [len(rows) for rows in folds.held], folds.train.shape
        ([3, 3, 2, 2], torch.Size([4, 7]))
    """
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    held = [order[v::count] for v in range(count)]
    train = [torch.cat([part for u, part in enumerate(held) if u != v]) for v in range(count)]
    fewest = min(map(len, train))
    return Folds(held, torch.stack([rows[:fewest] for rows in train]))


def chunks(rows: Tensor, most: int = MOST) -> list[Tensor]:
    """Cut held-out rows into equal parts small enough to be read against each other."""
    return list(rows.tensor_split(max(1, math.ceil(len(rows) / most))))


class Read(NamedTuple):
    """A value, nats, and its standard error."""

    value: float
    se: float


def jackknife(scores: Sequence[Tensor], bounds: Callable[[Tensor], Tensor], *, blocks: int = 10) -> list[Read]:
    r"""Mean of bounds over score matrices, with standard errors that know that pairs share their rows and columns.

    Of each matrix, blocks of pairs are left out in turn, row and column at once: $\text{se}^2 = \frac{B - 1}{B} \sum_b
    (\hat I_{-b} - \bar I)^2$.

    Args:
        scores: ... M M each, pairs on the diagonal, their order random.
        bounds: a matrix to several numbers.
        blocks: B.

    Returns:
        One for each number.
    """
    values, variances = [], []
    for matrix in scores:
        m = matrix.shape[-1]
        count = min(blocks, m // 2)
        left_out = []
        for b in range(count):
            kept = torch.arange(m)
            kept = kept[kept % count != b]
            left_out.append(bounds(matrix[..., kept, :][..., kept]).double())
        values.append(bounds(matrix).double())
        variances.append(torch.stack(left_out).var(0) * (count - 1) ** 2 / count)
    mean = torch.stack(values).mean(0)
    se = torch.stack(variances).sum(0).sqrt() / len(values)
    return [Read(float(v), float(s)) for v, s in zip(mean, se, strict=True)]


def symmetric_infonce(scores: Tensor) -> Tensor:
    r"""InfoNCE, the mean of both directions: $\log M + E_i[T_{ii} - \tfrac12 \log \sum_j e^{T_{ij}} - \tfrac12 \log \sum_j
    e^{T_{ji}}]$.

    Args:
        scores: ... M M.

    Example:
        >>> symmetric_infonce(torch.zeros(4, 4))
        tensor(0.)
    """
    positives = scores.diagonal(dim1=-2, dim2=-1)
    denominators = scores.logsumexp(-1) + scores.logsumexp(-2)
    return (positives - denominators / 2).mean(-1) + math.log(scores.shape[-1])
