r"""Mutual information read as that of a Gaussian: canonical correlations, their bias known exactly."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from infomax.errors import DataError
from infomax.mi.estimators.limits import null_se

Array = NDArray[np.float64]

EXACT = 1 - 1e-9
"""A squared correlation above it is that of functions."""


class Canonical(NamedTuple):
    """Canonical analysis of two sides: in the coordinates $u = (x - m_x) W_x$, $v = (y - m_y) W_y$ only pairs correlate.

    `correlations` has min(dx, dy) entries, falling; u and v have unit variance and as many columns.
    """

    correlations: Array
    mean_x: Array
    mean_y: Array
    weights_x: Array
    weights_y: Array
    rank_x: int
    rank_y: int

    def project(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Canonical coordinates of both sides: N x r each."""
        return (x - self.mean_x) @ self.weights_x, (y - self.mean_y) @ self.weights_y


def canonical(x: Array, y: Array) -> Canonical:
    """Canonical correlation analysis; directions in which a side does not vary are left out.

    Args:
        x: N x dx.
        y: N x dy.

    Raises:
        DataError: too few rows for that many columns.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(50, 2))
        >>> canonical(x, x[:, :1]).correlations.round(6)
        array([1.])
    """
    n = len(x)
    mean_x, mean_y = x.mean(0), y.mean(0)
    (q_x, w_x), (q_y, w_y) = _whitened(x - mean_x), _whitened(y - mean_y)
    if n < q_x.shape[1] + q_y.shape[1] + 2:
        raise DataError(
            f"a Gaussian fit of {q_x.shape[1]} + {q_y.shape[1]} columns needs more than {n} rows: every direction would "
            "seem to correlate; give more rows or fewer columns"
        )
    left, r, right = np.linalg.svd(q_x.T @ q_y, full_matrices=False)
    return Canonical(
        np.minimum(r, 1.0),
        mean_x,
        mean_y,
        w_x @ left * math.sqrt(n),
        w_y @ right.T * math.sqrt(n),
        q_x.shape[1],
        q_y.shape[1],
    )


def _whitened(z: Array) -> tuple[Array, Array]:
    """An orthonormal basis of the columns, and the weights that lead to it."""
    left, s, right = np.linalg.svd(z, full_matrices=False)
    kept = s > s[0] * max(z.shape) * np.finfo(np.float64).eps
    return left[:, kept], right[kept].T / s[kept]


def squared_lengths(z: Array) -> Array:
    """Of each row about the mean, in coordinates of unit covariance (Mahalanobis).

    Example:
        >>> squared_lengths(np.array([[1.0], [3.0], [1.0], [3.0]]))
        array([1., 1., 1., 1.])
    """
    found: Array = len(z) * np.square(_whitened(z - z.mean(0))[0]).sum(1)
    return found


class Fit(NamedTuple):
    """MI of a fitted Gaussian: value, standard error, and the bias that was taken off, in nats."""

    value: float
    se: float
    bias: float


def gaussian(fit: Canonical, n: int) -> Fit:
    r"""$-\tfrac12 \sum_i \log(1 - r_i^2)$ of a canonical analysis, less its bias under Gaussian data.

    The bias is exact: $\tfrac12 [f(d_x) + f(d_y) - f(d_x + d_y)]$ with $f(d) = \sum_{i<d} \psi(\tfrac{n - 1 - i}{2})$, the
    mean log-determinant of Wishart matrices. The standard error is $\sqrt{\sum r_i^2 / n}$.

    Args:
        fit: from `canonical`, of n rows.
        n: rows.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x, y = rng.normal(size=(2, 2000, 10))  # independent, and yet the plain value is 0.025
        >>> found = gaussian(canonical(x, y), 2000)
        >>> abs(found.value) < 2 * found.se, round(found.bias, 3)
        (True, 0.025)
    """
    plain = float(information(fit.correlations).sum())
    bias = wishart_bias(fit.rank_x, fit.rank_y, n)
    return Fit(plain - bias, math.sqrt(float(np.square(fit.correlations).sum()) / n), bias)


class Ranked(NamedTuple):
    """A Gaussian fitted to ranks, with what ranks lose given back; its correlations; whether ranks resolve them at all.

    `lo`, `hi`: limits of 97.5 % each by simulation, where the normal law of the fit does not hold for ranks; else None.
    """

    fit: Fit
    correlations: Array
    resolved: bool
    lo: float | None = None
    hi: float | None = None


def information(correlations: Array) -> Array:
    """Of each canonical pair, nats."""
    # data that are exact functions of each other have no density to speak of: infinite, and said to be so
    found: Array = -0.5 * np.log1p(-np.minimum(np.square(correlations), 1 - 1e-15))
    return found


def exact(fit: Canonical) -> bool:
    """Whether some direction of one side is a function of the other as far as 64-bit numbers and these rows tell."""
    return bool(fit.correlations[0] ** 2 > EXACT)


def calibrated(fit: Canonical, n: int, *, seed: int = 0, draws: int = 8, rounds: int = 8) -> Ranked:
    r"""The Gaussian reading of ranks, with what ranks of n rows lose on average added.

    Ranks move every point by about its share of 1 / n, which drowns the little noise that high information leaves: 0.16 of
    4 nats between two numbers with n = 1000. The loss is that of simulated Gaussian data, $I_k(\text{data}) -
    I_k(\text{ranks})$ for each canonical pair, sought at the correlations that it leads to.

    Args:
        fit: of ranks made Gaussian, n rows.
        n: rows.
        seed: of the simulated data, the same in each round.
        draws: simulated data sets.
        rounds: corrections, at most.

    Example:
        >>> from infomax.mi.estimators.inputs import rank_gaussian
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 300, 1))
        >>> fit = canonical(rank_gaussian(x), rank_gaussian(x + 0.02 * noise))  # log 50 = 3.9
        >>> gaussian(fit, 300).value < 3.75 < calibrated(fit, 300).fit.value < 4.05
        True
    """
    from infomax.mi.estimators.inputs import rank_gaussian

    plain, r = gaussian(fit, n), shrunk(fit, n)
    if exact(fit):
        return Ranked(plain, r, False)
    start, seen = information(r), []
    found = start
    for _ in range(rounds):
        rng = np.random.default_rng(seed)
        lost = []
        for _ in range(draws):
            x, y = correlated(np.sqrt(-np.expm1(-2 * found)), (fit.rank_x, fit.rank_y), n, rng)
            ranks = canonical(rank_gaussian(x), rank_gaussian(y))
            lost.append(information(canonical(x, y).correlations) - information(ranks.correlations))
        loss, spread = np.mean(lost, 0), float(np.sum(lost, 1).std(ddof=1))
        seen.append((float(found.sum()), float(loss.sum())))
        found = np.maximum(0.0, start + loss)
        if abs(seen[-1][1] - (seen[-2][1] if len(seen) > 1 else 0.0)) < 0.1 * plain.se:
            break
    (at, less), (then, lesser) = seen[-1], (seen[-2] if len(seen) > 1 else (0.0, 0.0))
    # how much of each further nat the ranks lose: that much less does a reading tell; of a loss within sampling's error, which
    # is never less than at independence, the slope is rounding over rounding
    matters = less > max(plain.se, null_se(n, fit.rank_x * fit.rank_y))
    slope = (less - lesser) / (at - then) if at > then and matters else 0.0
    if matters and (spread > 0.5 * plain.se or slope > 0.5) and n * (fit.rank_x + fit.rank_y) <= SIMULATED:
        return _simulated(fit, plain, found, n, seed=seed)
    if slope > 0.5 or (matters and float(loss.max()) > LOST):
        return Ranked(plain, r, False)
    value = plain.value + float(loss.sum())
    se = math.hypot(plain.se, spread) / (1 - max(0.0, slope))
    return Ranked(Fit(value, se, plain.bias - float(loss.sum())), np.sqrt(-np.expm1(-2 * found)), True)


def _simulated(fit: Canonical, plain: Fit, start: Array, n: int, *, seed: int) -> Ranked:
    """A reading and limits from the law that readings of ranks have at every MI, where what ranks lose varies as much as MI.

    Few swapped ranks in the tails decide such a reading: its law is skewed, and wider than a normal one, and a sample that
    reads high is no less to be believed than one that reads low. So a limit is where the reading would be one of the lowest
    or highest 2 %. Draws whose ranks agree throughout are left out, as such samples are given no limits.

    Args:
        fit: of ranks. plain: its reading. start: nats of each pair, about where to look. n: rows. seed: of the draws.
    """
    draws, about = 199, float(start.sum())
    reading = plain.value + plain.bias
    first = _readings_of_ranks(fit, start, n, draws, seed)
    if first is None:
        return Ranked(plain, shrunk(fit, n), False)
    step, seen = max(plain.se, float(first.of_ranks.std(ddof=1))), {0: first}

    def at(place: int) -> float:
        return about + place * step

    def law(place: int) -> _Law | None:
        if place not in seen:
            nats = at(place)
            known = _readings_of_ranks(fit, start * (nats / about), n, draws, seed) if nats > 0 else None
            if known is None:
                return None
            seen[place] = known
        return seen[place]

    def where(of: Callable[[_Law], float]) -> float | None:
        """At what MI such a number is read; None: not as far as was looked."""
        a = of(first)
        toward = 1 if a < reading else -1
        for place in range(toward, toward * FARTHEST, toward):
            if (there := law(place)) is None:
                return None
            b = of(there)
            if (reading - b) * toward <= 0:
                return at(place) - toward * step * ((b - reading) / (b - a) if b != a else 0.0)
            a = b
        return None

    value = where(lambda law: law.mean)
    if value is None:
        return Ranked(plain, shrunk(fit, n), False)
    lo, hi = where(lambda law: law.tail(high=True)), where(lambda law: law.tail(high=False))
    below, above = law(-1), law(1)
    slope = 1.0 if below is None else (first.mean - below.mean) / step
    if above is not None:
        slope = min(slope, (above.mean - first.mean) / step)
    se = max(plain.se, float(first.of_ranks.std(ddof=1))) / max(slope, 0.1)
    nats = start * (value / about)
    return Ranked(
        Fit(value, se, reading - value), np.sqrt(-np.expm1(-2 * nats)), hi is not None, 0.0 if lo is None else lo, hi
    )


SIMULATED = 4000
"""Numbers in a sample, up to which its law is simulated: of more that takes minutes."""
LOST = 0.25
"""Nats that ranks lose of a pair, from which on a reading that is not simulated gets no upper limit."""
FARTHEST = 24
"""Steps of one deviation of a reading, as far as limits are sought."""


class _Law(NamedTuple):
    """What ranks read at one MI: in the mean, and draw by draw."""

    mean: float
    of_ranks: Array

    def tail(self, *, high: bool) -> float:
        """What 2 % of the draws read less than, or more than."""
        found = np.sort(self.of_ranks)[:: -1 if high else 1]
        return float(found[max(1, int(0.02 * (len(found) + 1))) - 1])


def _readings_of_ranks(fit: Canonical, nats: Array, n: int, draws: int, seed: int) -> _Law | None:
    """Of Gaussian data of so many nats a pair; None: the ranks of most draws are functions of each other."""
    from scipy.special import ndtri

    rng, quantiles = np.random.default_rng(seed), ndtri((np.arange(n) + 0.5) / n)
    r, dims = np.sqrt(-np.expm1(-2 * nats)), (fit.rank_x, fit.rank_y)
    at_once = max(1, 2**21 // (n * sum(dims)))
    lost, read = [], []
    for first in range(0, draws, at_once):
        some = min(at_once, draws - first)
        x, y = (z.reshape(some, n, -1) for z in correlated(r, dims, some * n, rng))
        of_data = _correlations(x, y)
        of_ranks = _correlations(*(quantiles[z.argsort(1).argsort(1)] for z in (x, y)))
        apart = np.square(of_ranks[:, 0]) <= EXACT
        read.append(information(of_ranks[apart]).sum(1))
        lost.append(information(of_data[apart]).sum(1) - read[-1])
    readings, losses = np.concatenate(read), np.concatenate(lost)
    if len(readings) < draws / 2:
        return None
    # data read their MI and a bias that is known: the mean loss is told better than the mean reading
    mean = float(nats.sum()) + wishart_bias(*dims, n) - float(losses.mean())
    return _Law(mean, readings)


def _correlations(x: Array, y: Array) -> Array:
    """Canonical ones of each of many data sets: draws x n x columns each."""
    q_x, q_y = (np.linalg.qr(z - z.mean(1, keepdims=True))[0] for z in (x, y))
    found: Array = np.minimum(np.linalg.svd(q_x.swapaxes(1, 2) @ q_y, compute_uv=False), 1.0)
    return found


def correlated(r: Array, dims: tuple[int, int], n: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """n pairs of Gaussian rows whose first columns correlate by r in turn."""
    x, y = rng.normal(size=(n, dims[0])), rng.normal(size=(n, dims[1]))
    y[:, : len(r)] = r * x[:, : len(r)] + np.sqrt(1 - r**2) * y[:, : len(r)]
    return x, y


def shrunk(fit: Canonical, n: int) -> Array:
    """Canonical correlations made smaller by a common factor, so that their MI is the one with its bias taken off."""
    goal = gaussian(fit, n).value
    r = np.minimum(fit.correlations, 1 - 1e-7)
    if goal <= 0:
        return np.zeros_like(r)
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        if -0.5 * np.log1p(-np.square(middle * r)).sum() < goal:
            low = middle
        else:
            high = middle
    return low * r


def by_chance(x: Array, y: Array, *, draws: int = 199, seed: int = 0) -> float:
    """How often shuffled pairs correlate as much as the true ones: a test that heavy tails within a side do not fool.

    Args:
        x: N x dx. y: N x dy.
        draws: shuffles.
        seed: of them.

    Returns:
        The p-value, at least 1 / (draws + 1).

    Example:
        >>> x, y = np.random.default_rng(1).normal(size=(2, 200, 2))
        >>> by_chance(x, y) > 0.05, by_chance(x, x + y)
        (True, 0.005)
    """
    rng = np.random.default_rng(seed)
    q_x, q_y = (_whitened(z - z.mean(0))[0] for z in (x, y))

    def plain(order: NDArray[np.intp]) -> float:
        r2 = np.square(np.linalg.svd(q_x.T @ q_y[order], compute_uv=False))
        return -float(np.log1p(-np.minimum(r2, 1 - 1e-15)).sum())

    true = plain(np.arange(len(x)))
    return (1 + sum(plain(rng.permutation(len(x))) >= true for _ in range(draws))) / (1 + draws)


def wishart_bias(dx: int, dy: int, n: int) -> float:
    """How far the plain estimate is above the truth on average, nats.

    Example:
        >>> round(wishart_bias(20, 20, 5000), 4)
        0.0402
    """
    from scipy.special import digamma

    def f(d: int) -> float:
        return float(digamma((n - 1 - np.arange(d)) / 2).sum())

    return 0.5 * (f(dx) + f(dy) - f(dx + dy))


def log_ratio(u: Array, v: Array, correlations: Array) -> tuple[Array, Array, Array, Array]:
    r"""log p(u, v) / p(u) p(v) of Gaussian canonical coordinates, in parts: T(i, j) = left_i . right_j + a_i + b_j.

    $T = \sum_k \frac{r_k u_k v_k}{1 - r_k^2} - \frac{r_k^2 (u_k^2 + v_k^2)}{2 (1 - r_k^2)} - \tfrac12 \log(1 - r_k^2)$.

    Args:
        u: N x r. v: M x r. correlations: r.

    Returns:
        left N x r, right M x r, a N, b M.

    Example:
        >>> one = np.ones((1, 1))
        >>> left, right, a, b = log_ratio(one, one, np.array([0.6]))
        >>> round(float((left @ right.T)[0, 0] + a[0] + b[0]), 4)
        0.5981
    """
    r2 = np.square(correlations)
    free = 1 - r2
    a = -0.5 * (np.square(u) @ (r2 / free)) - 0.5 * float(np.log(free).sum())
    return u * (correlations / free), v, a, -0.5 * (np.square(v) @ (r2 / free))
