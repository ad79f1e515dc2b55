"""Clusters and mixtures: what the sides share is mainly the cluster."""

import math

import numpy as np

from infomax.errors import ConfigError
from infomax.mi.tasks.task import Pair, Task, quadrature


def sphere_clusters(clusters: int = 50, dim: int = 50, noise: float = 0.05) -> Task:
    r"""Two noisy views of one of K fixed random points on a sphere: $I = \log K$, as long as no two overlap.

    Both sides are projected back to the sphere. Given the cluster they are independent.

    Args:
        clusters: K, number of clusters.
        dim: dimension of the space.
        noise: standard deviation of each coordinate of each view.

    Raises:
        ConfigError: clusters so close, or noise so large, that more than one sample in 100,000 could be assigned to
            another cluster.

    Example:
        >>> round(sphere_clusters().mi, 4)
        3.912
    """
    from scipy.special import ndtr

    centres = np.random.default_rng(clusters * 1000 + dim).normal(size=(clusters, dim))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    gaps = np.sqrt(np.maximum(2 - 2 * centres @ centres.T, 0.0))[~np.eye(clusters, dtype=bool)]
    confusion = float(ndtr(-gaps / (2 * noise)).sum()) / clusters if noise > 0 else 0.0
    if confusion > 1e-5:
        raise ConfigError(
            f"sphere_clusters: {clusters} points in {dim} dimensions overlap at noise {noise:g} "
            f"(confusion {confusion:.1g}), so log {clusters} is not the truth; take less noise or more dimensions"
        )

    def draw(n: int, rng: np.random.Generator) -> Pair:
        middle = centres[rng.integers(clusters, size=n)]
        x, y = (middle + noise * rng.normal(size=(n, dim)) for _ in range(2))
        return x / np.linalg.norm(x, axis=1, keepdims=True), y / np.linalg.norm(y, axis=1, keepdims=True)

    # Fano: H(K | X) <= h(p) + p log K
    p = max(confusion, 1e-300)
    loss = 2 * (-p * math.log(p) + p + p * math.log(clusters))
    return Task(f"{clusters} clusters, {dim}d", math.log(clusters), draw, "log K, overlap bounded", loss)


def five_gaussians(sigma: float = 0.05, noise: float = 0.1) -> Task:
    r"""The paper's toy data (4.2): five Gaussians on the unit circle, two views with independent noise.

    $I = \log 5 - \log(1 - \rho^2)$, $\rho = \sigma^2 / (\sigma^2 + \text{noise}^2)$: the cluster, and two correlated
    coordinates within it.

    Args:
        sigma: standard deviation of a cluster.
        noise: standard deviation of each view's noise.

    Raises:
        ConfigError: clusters that overlap.

    Example:
        >>> round(five_gaussians().mi, 4)
        1.6503
    """
    wide = math.hypot(sigma, noise)
    if wide > 0.16:  # neighbours stand 1.18 apart
        raise ConfigError(f"five_gaussians: clusters of width {wide:.2f} overlap, and the closed form does not hold")
    angle = 2 * math.pi * np.arange(5) / 5
    centres = np.stack([np.cos(angle), np.sin(angle)], 1)

    def draw(n: int, rng: np.random.Generator) -> Pair:
        middle = centres[rng.integers(5, size=n)] + sigma * rng.normal(size=(n, 2))
        return middle + noise * rng.normal(size=(n, 2)), middle + noise * rng.normal(size=(n, 2))

    return Task("five_gaussians", math.log(5) - math.log(1 - (sigma / wide) ** 4), draw, "closed form", 1e-3)


def shared_sign(dim: int = 6, shift: float = 1.5) -> Task:
    r"""One sign s moves every coordinate of both sides by $\pm$shift under unit noise. **A trap**: I < log 2.

    Every margin is nearly Gaussian and the two means over coordinates correlate by $r = da^2/(1 + da^2)$, so a Gaussian
    copula gives $-\tfrac12 \log(1 - r^2)$, which grows without limit in d. The truth is that of the two means, which
    are sufficient statistics: a quadrature in two dimensions.

    Args:
        dim: d, dimension of each side.
        shift: a.

    Example:
        >>> task = shared_sign()
        >>> round(task.mi, 3), round(-0.5 * math.log(1 - (13.5 / 14.5) ** 2), 3)
        (0.692, 1.008)
    """

    def draw(n: int, rng: np.random.Generator) -> Pair:
        sign = rng.choice([-shift, shift], size=(n, 1))
        return sign + rng.normal(size=(n, dim)), sign + rng.normal(size=(n, dim))

    centre = shift * math.sqrt(dim)  # of the sufficient statistic sum x / sqrt d, whose noise is 1
    mi, error = quadrature([0.5, 0.5], [(-centre, -centre, 0.0), (centre, centre, 0.0)])
    return Task(f"shared_sign {dim}d", mi, draw, "quadrature", error)


def cross(rho: float = 0.9) -> Task:
    r"""Two numbers that correlate by $\rho$ or by $-\rho$ with equal probability: uncorrelated, Gaussian margins, dependent.

    Args:
        rho: in (-1, 1).

    Example:
        >>> 0.2 < cross().mi < 0.9
        True
    """

    def draw(n: int, rng: np.random.Generator) -> Pair:
        x, e = rng.normal(size=(2, n, 1))
        return x, rng.choice([-rho, rho], size=(n, 1)) * x + math.sqrt(1 - rho**2) * e

    mi, error = quadrature([0.5, 0.5], [(0.0, 0.0, rho), (0.0, 0.0, -rho)])
    return Task(f"cross, {rho:g}", mi, draw, "quadrature", error)
