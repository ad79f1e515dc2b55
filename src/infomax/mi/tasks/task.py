"""The class of a task, and what several kinds share."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infomax.errors import ConfigError

Array = NDArray[np.float64]
Pair = tuple[Array, Array]
Draw = Callable[[int, np.random.Generator], Pair]


@dataclass(frozen=True)
class Task:
    """Two sides with known mutual information.

    Args:
        name: name for tables.
        mi: I(X; Y), nats.
        draw: function of n and a generator that returns n x dx and n x dy.
        how: how the true value is known.
        error: error of `mi`, nats; 0 for a closed form.

    Example:
        >>> from infomax.mi import tasks
        >>> task = tasks.gaussian(dim=3, mi=1.0)
        >>> x, y = task.sample(100, seed=0)
        >>> x.shape, y.shape, task.mi
        ((100, 3), (100, 3), 1.0)
    """

    name: str
    mi: float
    draw: Draw
    how: str = "closed form"
    error: float = 0.0

    def sample(self, n: int, seed: int = 0) -> Pair:
        """Draw n independent pairs: n x dx, n x dy, float64; the same for the same seed.

        Raises:
            ConfigError: n is not positive.
        """
        if n < 1:
            raise ConfigError(f"{self.name}: sample at least one pair, not {n}")
        return self.draw(n, np.random.default_rng(seed))


def same(x: Array) -> Array:
    """The side as it is."""
    return x


def each(pair: Pair, left: Callable[[Array], Array], right: Callable[[Array], Array]) -> Pair:
    """Each side through its own map."""
    return left(pair[0]), right(pair[1])


def paired(dim: int, mi: float, pairs: int) -> Draw:
    """Draw Gaussian sides of that information, of which the first `pairs` coordinates correlate."""
    if dim < 1 or not 0 <= pairs <= dim or not mi >= 0 or (pairs == 0 and mi > 0):
        raise ConfigError(f"gaussian sides: dim {dim}, mi {mi}, {pairs} paired coordinates cannot be")
    rho = np.zeros(dim)
    rho[:pairs] = math.sqrt(-math.expm1(-2 * mi / pairs)) if pairs else 0.0

    def draw(n: int, rng: np.random.Generator) -> Pair:
        x, e = rng.normal(size=(2, n, dim))
        return x, rho * x + np.sqrt(1 - rho**2) * e

    return draw


def quadrature(weights: list[float], parts: list[tuple[float, float, float]]) -> tuple[float, float]:
    """I and its error for a mixture of Gaussians in the plane: unit variances, (mean x, mean y, correlation) each.

    The trapezoid rule on a grid that ends 9 standard deviations out; its error is the change when the grid is twice as coarse.
    """
    far = 9 + max(abs(m) for part in parts for m in part[:2])

    def on(points: int) -> float:
        t = np.linspace(-far, far, points)
        x, y = t[:, None], t[None, :]
        joint = np.zeros((points, points))
        for w, (a, b, r) in zip(weights, parts, strict=True):
            u, v = x - a, y - b
            form = (u * u - 2 * r * u * v + v * v) / (2 * (1 - r * r))
            joint += w * np.exp(-form) / (2 * math.pi * math.sqrt(1 - r * r))
        left, right = (
            sum(w * np.exp(-((t - p[i]) ** 2) / 2) for w, p in zip(weights, parts, strict=True))
            / math.sqrt(2 * math.pi)
            for i in range(2)
        )
        product = np.outer(left, right)
        kept = joint > 1e-300
        total = (joint[kept] * (np.log(joint[kept]) - np.log(product[kept]))).sum()
        return float(total * (t[1] - t[0]) ** 2)

    fine, coarse = on(601), on(301)
    return fine, abs(fine - coarse) + 1e-9
