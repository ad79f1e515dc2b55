"""What a Gaussian copula rules out and correlations do not show: that what the fit leaves of one side depends on the other.

A scale that both sides share, as in multivariate t, is of this kind, and so are a variance that follows the other side and a
curved mean. Both statistics are held against those of simulated Gaussian data of the same size and correlations, ranks and all.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from infomax.mi.estimators.gaussian import Canonical, canonical, correlated, squared_lengths
from infomax.mi.estimators.inputs import rank_gaussian

Array = NDArray[np.float64]

FEWEST, MOST, NUMBERS = 12, 50, 1_000_000  # simulated data sets: as many as hold that many numbers, within limits


class Departure(NamedTuple):
    """How far data lie above simulated Gaussian ones, in standard deviations.

    `scale`: correlation of the squared length of one side with that of the other's residual. `shape`: all correlations between
    a side's canonical coordinates, plain and squared, and the other's residuals.
    """

    scale: float
    shape: float


def departure(x: Array, y: Array, fit: Canonical, r: Array, *, seed: int = 0) -> Departure:
    """Compare two sides with Gaussian ones.

    Args:
        x: N x dx, by ranks made Gaussian. y: N x dy, likewise.
        fit: of x and y.
        r: canonical correlations of the simulated data.
        seed: of these.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x, y = rng.normal(size=(2, 500, 1))
        >>> size = rng.chisquare(3, size=(500, 1)) ** 0.5  # divided by it, both are one bivariate t
        >>> sides = rank_gaussian(x / size), rank_gaussian(y / size)
        >>> departure(*sides, canonical(*sides), np.zeros(1)).scale > 4 > departure(x, y, canonical(x, y), np.zeros(1)).scale
        True
    """
    from scipy.special import ndtri, stdtr

    n, dims = len(x), (fit.rank_x, fit.rank_y)
    rng = np.random.default_rng(seed)
    found, null = _statistics(x, y, fit), []
    for _ in range(int(np.clip(NUMBERS / (n * sum(dims)), FEWEST, MOST))):
        a, b = (rank_gaussian(z) for z in correlated(r, dims, n, rng))
        null.append(_statistics(a, b, canonical(a, b)))
    count = len(null)
    off = (found - np.mean(null, 0)) / np.std(null, 0, ddof=1) / np.sqrt(1 + 1 / count)
    # few simulations tell their own deviation badly: the normal deviate that is as rare as this one of Student's t
    scale, shape = -ndtri(np.maximum(stdtr(count - 1, -off), 1e-300))
    return Departure(float(scale), float(shape))


def _statistics(x: Array, y: Array, fit: Canonical) -> Array:
    u, v = fit.project(x, y)
    r = fit.correlations
    left = np.sqrt(np.maximum(1 - np.square(r), np.finfo(np.float64).eps))
    residuals = (v - r * u) / left, (u - r * v) / left
    scale, shape = 0.0, 0.0
    # lengths of the whole side: its canonical coordinates and the columns beyond them, which the other side says nothing of
    lengths = [squared_lengths(z) for z in (x, y)]
    for here, there, (own, total), rest in zip((u, v), (v, u), (lengths, lengths[::-1]), residuals, strict=True):
        beyond = total - np.square(there).sum(1)
        scale += float(np.corrcoef(own, beyond + np.square(rest).sum(1))[0, 1]) / 2
        one, two, rest_two = _standard(here), _standard(np.square(here)), _standard(np.square(rest))
        for a, b in ((one, rest_two), (two, _standard(rest)), (two, rest_two)):
            shape += float(np.square(a.T @ b).sum())
    return np.array([scale, np.log(shape)])


def _standard(z: Array) -> Array:
    centred = z - z.mean(0)
    scaled: Array = centred / np.sqrt(np.square(centred).sum(0))
    return scaled
