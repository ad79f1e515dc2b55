"""Distributions whose mutual information has a closed form; and independent sides."""

import math
from typing import Literal

import numpy as np

from infomax.errors import ConfigError, nearest
from infomax.mi.tasks.task import Array, Pair, Task, each, paired

Margins = Literal["gaussian", "cauchy", "lognormal", "mixture", "discrete"]


def student(dim: int = 5, dof: float = 2.0, mi: float = 0.0) -> Task:
    r"""Multivariate t: Gaussian sides divided by one shared $\sqrt{\chi^2_\nu / \nu}$.

    $I = h_d + h_d - h_{2d} + I_{\text{gauss}}$, where $h_d = \log \frac{(\nu\pi)^{d/2} \Gamma(\nu/2)}{\Gamma((\nu +
    d)/2)} + \frac{\nu + d}{2} [\psi(\tfrac{\nu + d}{2}) - \psi(\tfrac{\nu}{2})]$.

    Args:
        dim: d, dimension of each side.
        dof: nu, degrees of freedom.
        mi: mutual information of the Gaussian that is divided, nats; with 0 only the shared radius is left.

    Raises:
        ConfigError: degrees of freedom that are not positive.

    Example:
        >>> round(student(dim=5, dof=2).mi, 4)
        0.4482

    Source: Arellano-Valle, Contreras-Reyes & Genton 2013, on the entropy of elliptical laws.
    """
    from scipy.special import digamma, gammaln

    if not dof > 0:
        raise ConfigError(f"student: degrees of freedom must be positive, got {dof}")

    def entropy(d: int) -> float:
        half = (dof + d) / 2
        volume = d / 2 * math.log(dof * math.pi) + gammaln(dof / 2) - gammaln(half)
        return float(volume + half * (digamma(half) - digamma(dof / 2)))

    base = paired(dim, mi, dim)

    def draw(n: int, rng: np.random.Generator) -> Pair:
        scale = np.sqrt(dof / rng.chisquare(dof, size=(n, 1)))
        return each(base(n, rng), lambda x: x * scale, lambda y: y * scale)

    truth = 2 * entropy(dim) - entropy(2 * dim) + mi
    return Task(f"student {dim}d, {dof:g} dof" + (f", {mi:g}" if mi else ""), truth, draw)


def additive_noise(width: float = 0.1, dim: int = 1) -> Task:
    r"""x uniform on [0, 1], y = x + noise uniform on [-w, w]: $I = d(w - \log 2w)$ for $w \le 1/2$, else $d / 4w$.

    Args:
        width: w.
        dim: d, number of independent coordinates.

    Raises:
        ConfigError: a width that is not positive.

    Example:
        >>> round(additive_noise(0.1).mi, 4)
        1.7094
    """
    if not width > 0:
        raise ConfigError(f"additive_noise: the noise needs a positive width, got {width}")

    def draw(n: int, rng: np.random.Generator) -> Pair:
        x = rng.uniform(size=(n, dim))
        return x, x + rng.uniform(-width, width, size=(n, dim))

    each = width - math.log(2 * width) if width <= 0.5 else 1 / (4 * width)
    return Task(f"additive_noise {dim}d, {width:g}", dim * each, draw)


def categories(levels: int = 8, agree: float = 0.6) -> Task:
    r"""Two uniform variables of K levels, equal with probability a, else y uniform among the others.

    $I = \log K + a \log a + (1 - a) \log \frac{1 - a}{K - 1}$. Levels are whole numbers, in one column each.

    Args:
        levels: K, at least 2.
        agree: a, in (0, 1).

    Raises:
        ConfigError: out of range.

    Example:
        >>> round(categories().mi, 4)
        0.6281
    """
    if levels < 2 or not 0 < agree < 1:
        raise ConfigError(f"categories: need at least 2 levels and 0 < agree < 1, got {levels} and {agree}")

    def draw(n: int, rng: np.random.Generator) -> Pair:
        x = rng.integers(levels, size=(n, 1))
        other = (x + rng.integers(1, levels, size=(n, 1))) % levels
        return x.astype(np.float64), np.where(rng.random((n, 1)) < agree, x, other).astype(np.float64)

    mi = math.log(levels) + agree * math.log(agree) + (1 - agree) * math.log((1 - agree) / (levels - 1))
    return Task(f"categories {levels}, {agree:g}", mi, draw)


def independent(dim: int = 5, margins: Margins = "gaussian") -> Task:
    """Two independent sides; the coordinates within a side may depend on each other.

    Args:
        dim: dimension of each side.
        margins: gaussian; cauchy (multivariate: one radius for a side's coordinates); lognormal; mixture (clusters on
            each side); discrete.

    Raises:
        ConfigError: unknown margins.

    Example:
        >>> independent(2, "cauchy").mi
        0.0
    """

    def side(n: int, rng: np.random.Generator) -> Array:
        normal = rng.normal(size=(n, dim))
        match margins:
            case "cauchy":
                return normal / np.abs(rng.normal(size=(n, 1)))
            case "lognormal":
                return np.exp(normal)
            case "mixture":
                return 0.1 * normal + np.random.default_rng(dim).normal(size=(8, dim))[rng.integers(8, size=n)]
            case "discrete":
                return rng.integers(5, size=(n, dim)).astype(np.float64)
            case _:
                return normal

    if margins not in (known := Margins.__args__):  # type: ignore[attr-defined]
        raise ConfigError(f"independent: no margins {margins!r}: {nearest(margins, known)}")
    return Task(f"independent {dim}d, {margins}", 0.0, lambda n, rng: (side(n, rng), side(n, rng)))
