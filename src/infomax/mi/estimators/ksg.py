r"""Nearest-neighbour estimates of mutual information: no model, no training, consistent, low in high dimension.

With $\epsilon_i$ the distance of pair i to its k-th neighbour (the larger of the distances on the two sides) and
$n_x, n_y$ the number of points nearer than that on each side alone,

$$ I = \psi(k) + \psi(N) - \tfrac1N \sum_i [\psi(n_x(i) + 1) + \psi(n_y(i) + 1)]. $$

Where pairs coincide, $\epsilon_i = 0$ and all coinciding pairs are counted, so that for discrete data the estimate turns
into the plug-in one.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from infomax.errors import ConfigError, DataError

Array = NDArray[np.float64]
Counts = NDArray[np.int64]

_TREE = 8  # coordinates of both sides together above which a tree visits most points anyhow
_TILE = 2**21  # distances a tile: 16 MiB


class Ksg(NamedTuple):
    """An estimate and the standard error of its mean over points; its bias is not in it."""

    value: float
    se: float


def ksg(x: Array, y: Array, *, k: int = 5) -> Ksg:
    r"""Kraskov, Stoegbauer & Grassberger's first estimator; ties as Gao et al. do.

    Distances are the largest difference of a coordinate up to 8 coordinates (a k-d tree), Euclidean above (all pairs,
    in tiles: O(N) memory, O(N^2) time). Scale the columns before: the estimate hears only what is as large as its
    neighbours.

    Args:
        x: N x dx.
        y: N x dy.
        k: neighbours. Fewer: less bias, more variance.

    Returns:
        `value` in nats (it can be negative) and `se`.

    Raises:
        ConfigError: k is no whole number in [1, N - 1]. DataError: sides that do not pair.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(1000, 1))
        >>> found = ksg(x, x + rng.normal(size=(1000, 1)))  # 1/2 log 2 = 0.347
        >>> abs(found.value - 0.347) < 3 * found.se
        True

    Source: Kraskov et al. 2004 (arXiv:cond-mat/0305641), eq. 8; Gao et al. 2017 (arXiv:1709.06212) for ties.
    """
    from scipy.special import digamma

    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y):
        raise DataError(f"ksg: need N x dx and N x dy, got {x.shape} and {y.shape}")
    n = len(x)
    if k % 1 or not 1 <= k < n:
        raise ConfigError(f"ksg: k = {k} neighbours of {n} points; take a whole number, 1 <= k < {n}")
    ties, n_x, n_y = (_by_tree if x.shape[1] + y.shape[1] <= _TREE else _by_tiles)(x, y, k)
    terms = digamma(np.where(ties > 0, ties, k)) + digamma(n)
    # a point at a tie counts itself in all three numbers
    terms -= np.where(ties > 0, digamma(np.maximum(n_x, 1)) + digamma(np.maximum(n_y, 1)), 0.0)
    terms -= np.where(ties > 0, 0.0, digamma(n_x + 1) + digamma(n_y + 1))
    return Ksg(float(terms.mean()), float(terms.std(ddof=1) / math.sqrt(n)))


def _by_tree(x: Array, y: Array, k: int) -> tuple[Counts, Counts, Counts]:
    """Of each point: how many pairs coincide with it (0: fewer than k others), and how many are near on each side."""
    from scipy.spatial import cKDTree

    both = np.concatenate([x, y], 1)
    tree = cKDTree(both)
    radius = tree.query(both, k=[k + 1], p=np.inf)[0][:, 0]
    tied = radius == 0
    inside = np.where(tied, 0.0, np.nextafter(radius, 0))
    near = [
        cKDTree(side).query_ball_point(side, inside, p=np.inf, return_length=True).astype(np.int64) for side in (x, y)
    ]
    ties = np.zeros(len(x), np.int64)
    if tied.any():
        ties[tied] = tree.query_ball_point(both[tied], 0.0, p=np.inf, return_length=True)
    n_x, n_y = (np.where(tied, count, count - 1) for count in near)
    return ties, n_x, n_y


def _by_tiles(x: Array, y: Array, k: int) -> tuple[Counts, Counts, Counts]:
    n, top = len(x), float(max(np.abs(x).max(initial=0.0), np.abs(y).max(initial=0.0)))
    if top and not 1e-100 < top < 1e100:  # squares would be no numbers: by a power of two, which changes no digit
        x, y = (np.ldexp(z, -math.frexp(top)[1]) for z in (x, y))
    # an offset would drown the distances in the rounding of the squares; a whole one leaves equal distances equal
    a, b = (torch.from_numpy(z - z.mean(0).round()) for z in (x, y))
    step = max(1, min(n, _TILE // n))
    found: list[tuple[torch.Tensor, ...]] = []
    for start in range(0, n, step):
        d_x, d_y = (_squared(z[start : start + step], z) for z in (a, b))
        own = torch.arange(len(d_x)), torch.arange(start, start + len(d_x))
        both = torch.maximum(d_x, d_y)
        both[own] = math.inf
        radius = both.topk(k, dim=1, largest=False).values[:, -1:]
        tied = radius == 0
        d_x[own], d_y[own] = math.inf, math.inf
        strict = [(d < radius).sum(1) + torch.where(tied[:, 0], (d == 0).sum(1) + 1, 0) for d in (d_x, d_y)]
        found.append((torch.where(tied[:, 0], (both == 0).sum(1) + 1, 0), *strict))
    ties, n_x, n_y = (torch.cat(parts).numpy() for parts in zip(*found, strict=True))
    return ties, n_x, n_y


def _squared(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Squared Euclidean distances, exactly 0 for equal rows, which the expansion of the square alone is not."""
    squares = a.square().sum(1)[:, None] + b.square().sum(1)
    distances = torch.addmm(squares, a, b.T, alpha=-2.0)
    return torch.where(distances <= 1e-13 * squares, 0.0, distances)
