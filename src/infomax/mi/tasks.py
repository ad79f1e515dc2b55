r"""Tasks of known truth: pairs of data sets whose mutual information is known, in nats.

| task | law | I(X; Y) |
|---|---|---|
| `gaussian` | jointly Gaussian, all or some coordinates paired | $-\tfrac{m}{2} \log(1 - \rho^2)$ |
| `cubed` | the same, $y \mapsto y^3$ | the same |
| `student` | multivariate t | closed form: one radius is shared, so it is positive even without correlation |
| `spiral` | Gaussian, each side wound up by a spiral | that of the Gaussian |
| `warped` | Gaussian, each side through a random smooth bijection | that of the Gaussian |
| `sphere_clusters` | one of K points on a sphere, noise on each side | log K |
| `five_gaussians` | the paper's toy: five clusters on a circle, views with noise | 1.6503 |
| `shared_sign` | one sign moves every coordinate: its Gaussian copula reads too much | quadrature, below log 2 |
| `swiss_roll` | one number, and another rolled up in the plane | that of the Gaussian |
| `additive_noise` | y = x + uniform noise | closed form |
| `cross` | a mixture of rho and -rho: no correlation at all | quadrature |
| `categories` | two discrete variables that agree more often than not | a finite sum |
| `independent` | no dependence; Gaussian, heavy-tailed, skewed or discrete margins | 0 |

Bijections of one side alone leave mutual information as it is: from there the hard tasks get their exact truth. Each
function returns a `Task`; `TASKS` names one of every kind.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from infomax.errors import ConfigError, nearest

Array = NDArray[np.float64]
Pair = tuple[Array, Array]
Draw = Callable[[int, np.random.Generator], Pair]


@dataclass(frozen=True)
class Task:
    """Two sides whose mutual information is known.

    Args:
        name: for tables.
        mi: I(X; Y), nats.
        draw: n and a generator to n x dx and n x dy.
        how: where the truth comes from.
        error: how far `mi` may be from the truth, nats; 0 for a closed form.

    Example:
        >>> task = gaussian(dim=3, mi=1.0)
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


def get(name: str) -> Task:
    """Look up one of `TASKS`.

    Raises:
        ConfigError: no such task, naming the nearest.

    Example:
        >>> round(get("five_gaussians").mi, 4)
        1.6503
    """
    if name not in TASKS:
        raise ConfigError(f"no task {name!r}: {nearest(name, TASKS)}")
    return TASKS[name]()


def gaussian(dim: int = 20, mi: float = 2.0, *, pairs: int | None = None, rotate: bool = False) -> Task:
    r"""Jointly Gaussian sides: the first m coordinates are paired with correlation $\rho$, $I = -\tfrac{m}{2} \log(1 -
    \rho^2)$.

    Args:
        dim: of each side.
        mi: nats; $\rho$ follows from it.
        pairs: m, how many coordinates depend; by default all. Fewer make it sparse.
        rotate: turn and stretch each side by a fixed random matrix, so that no coordinate stands out.

    Raises:
        ConfigError: a negative mi, or more pairs than coordinates.

    Example:
        >>> gaussian(dim=20, mi=6.0).mi
        6.0
    """
    m = dim if pairs is None else pairs
    draw = _gaussian(dim, mi, m)
    name = f"gaussian {dim}d" + (f", {m} paired" if m < dim else "") + (", rotated" if rotate else "")
    if not rotate:
        return Task(f"{name}, {mi:g}", mi, draw)
    fixed = np.random.default_rng(dim)
    left, right = (fixed.normal(size=(dim, dim)) + np.eye(dim) for _ in range(2))
    return Task(f"{name}, {mi:g}", mi, lambda n, rng: _each(draw(n, rng), lambda x: x @ left, lambda y: y @ right))


def cubed(dim: int = 20, mi: float = 4.0) -> Task:
    """Jointly Gaussian sides, every coordinate of y cubed: a bijection, so the information stays.

    Args:
        dim: of each side.
        mi: nats.

    Example:
        >>> cubed().mi
        4.0
    """
    draw = _gaussian(dim, mi, dim)
    return Task(f"cubed {dim}d, {mi:g}", mi, lambda n, rng: _each(draw(n, rng), _same, lambda y: y**3))


def student(dim: int = 5, dof: float = 2.0, mi: float = 0.0) -> Task:
    r"""Multivariate t: Gaussian sides divided by one shared $\sqrt{\chi^2_\nu / \nu}$.

    $I = h_d + h_d - h_{2d} + I_{\text{gauss}}$, where $h_d = \log \frac{(\nu\pi)^{d/2} \Gamma(\nu/2)}{\Gamma((\nu +
    d)/2)} + \frac{\nu + d}{2} [\psi(\tfrac{\nu + d}{2}) - \psi(\tfrac{\nu}{2})]$.

    Args:
        dim: d, of each side.
        dof: nu, degrees of freedom.
        mi: nats of the Gaussian that is divided; 0 leaves only the shared radius.

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

    base = _gaussian(dim, mi, dim)

    def draw(n: int, rng: np.random.Generator) -> Pair:
        scale = np.sqrt(dof / rng.chisquare(dof, size=(n, 1)))
        return _each(base(n, rng), lambda x: x * scale, lambda y: y * scale)

    truth = 2 * entropy(dim) - entropy(2 * dim) + mi
    return Task(f"student {dim}d, {dof:g} dof" + (f", {mi:g}" if mi else ""), truth, draw)


def spiral(dim: int = 3, mi: float = 1.02, *, turn: float = 1.0, pairs: int | None = 2) -> Task:
    r"""Gaussian sides made uniform, then each wound up: $x \mapsto e^{t |x|^2 A} x$ with a fixed skew A.

    A rotation by an angle that depends on the radius alone keeps the radius, so the map is a bijection.

    Args:
        dim: of each side, at least 2.
        mi: nats.
        turn: t, radians at radius 1.
        pairs: coordinates that depend.

    Raises:
        ConfigError: fewer than two coordinates.

    Example:
        >>> spiral().mi
        1.02
    """
    from scipy.special import ndtr

    if dim < 2:
        raise ConfigError(f"spiral: needs at least 2 coordinates a side, got {dim}")
    base = _gaussian(dim, mi, dim if pairs is None else min(pairs, dim))

    def wind(first: int, second: int) -> Callable[[Array], Array]:
        def wound(x: Array) -> Array:
            u: Array = ndtr(x)
            angle = turn * np.square(u).sum(1)
            out = u.copy()
            out[:, first] = np.cos(angle) * u[:, first] - np.sin(angle) * u[:, second]
            out[:, second] = np.sin(angle) * u[:, first] + np.cos(angle) * u[:, second]
            return out

        return wound

    return Task(f"spiral {dim}d, {mi:g}", mi, lambda n, rng: _each(base(n, rng), wind(0, 1), wind(dim - 1, 0)))


def warped(dim: int = 4, mi: float = 1.6, *, strength: float = 0.5, layers: int = 3) -> Task:
    r"""Gaussian sides, each through a fixed random bijection: rotations between additive couplings.

    One layer: $x \leftarrow Rx$, then the second half of x is moved by $s\, w\sin(Vx_{\text{first}} + c)$.

    Args:
        dim: of each side, at least 2.
        mi: nats.
        strength: s, how far a coupling moves a coordinate; 0 leaves a rotation.
        layers: how many.

    Raises:
        ConfigError: fewer than two coordinates.

    Example:
        >>> warped().mi
        1.6
    """
    if dim < 2:
        raise ConfigError(f"warped: needs at least 2 coordinates a side, got {dim}")
    base, half = _gaussian(dim, mi, dim), dim // 2

    def bijection(seed: int) -> Callable[[Array], Array]:
        rng = np.random.default_rng(seed)
        turns = [np.linalg.qr(rng.normal(size=(dim, dim)))[0] for _ in range(layers)]
        inner = [(rng.normal(size=(half, dim)), rng.normal(size=dim)) for _ in range(layers)]
        outer = [strength * rng.normal(size=(dim, dim - half)) / math.sqrt(dim / 2) for _ in range(layers)]

        def apply(x: Array) -> Array:
            for turn, (v, c), w in zip(turns, inner, outer, strict=True):
                x = x @ turn
                x[:, half:] += np.sin(x[:, :half] @ v + c) @ w
            return x

        return apply

    return Task(f"warped {dim}d, {mi:g}", mi, lambda n, rng: _each(base(n, rng), bijection(1), bijection(2)))


def sphere_clusters(clusters: int = 50, dim: int = 50, noise: float = 0.05) -> Task:
    r"""Two noisy views of one of K fixed random points on a sphere: $I = \log K$, as long as no two overlap.

    Both sides are put back on the sphere. Given the cluster they are independent.

    Args:
        clusters: K.
        dim: of the space.
        noise: standard deviation of each coordinate of each view.

    Raises:
        ConfigError: clusters so close, or noise so large, that more than one sample in 100,000 could be mistaken.

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
    r"""The paper's toy (4.2): five Gaussians on the unit circle, two views with independent noise.

    $I = \log 5 - \log(1 - \rho^2)$, $\rho = \sigma^2 / (\sigma^2 + \text{noise}^2)$: the cluster, and two correlated
    coordinates within it.

    Args:
        sigma: standard deviation of a cluster.
        noise: of each view.

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
    r"""One sign s moves every coordinate of both sides by $\pm$shift under unit noise. **The trap**: I < log 2.

    Every margin is nearly Gaussian and the two means over coordinates correlate by $r = da^2/(1 + da^2)$, so that a
    Gaussian copula reads $-\tfrac12 \log(1 - r^2)$, without limit as d grows. The truth is that of the two means, which
    are sufficient: a quadrature in two dimensions.

    Args:
        dim: d, of each side.
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
    mi, error = _quadrature([0.5, 0.5], [(-centre, -centre, 0.0), (centre, centre, 0.0)])
    return Task(f"shared_sign {dim}d", mi, draw, "quadrature", error)


def swiss_roll(mi: float = 0.75) -> Task:
    """One uniform number; and another, correlated with it, rolled up in the plane.

    Args:
        mi: nats, of the two numbers.

    Example:
        >>> swiss_roll().mi
        0.75
    """
    from scipy.special import ndtr

    base = _gaussian(1, mi, 1)

    def roll(y: Array) -> Array:
        angle = 1.5 * math.pi * (1 + 2 * ndtr(y))
        return np.concatenate([angle * np.cos(angle), angle * np.sin(angle)], 1) / 21

    return Task(f"swiss_roll, {mi:g}", mi, lambda n, rng: _each(base(n, rng), ndtr, roll))


def additive_noise(width: float = 0.1, dim: int = 1) -> Task:
    r"""x uniform on [0, 1], y = x + noise uniform on [-w, w]: $I = d(w - \log 2w)$ for $w \le 1/2$, else $d / 4w$.

    Args:
        width: w.
        dim: d, independent coordinates.

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


def cross(rho: float = 0.9) -> Task:
    r"""Two numbers that correlate by $\rho$ or by $-\rho$, evenly: uncorrelated, Gaussian margins, dependent.

    Args:
        rho: in (-1, 1).

    Example:
        >>> 0.2 < cross().mi < 0.9
        True
    """

    def draw(n: int, rng: np.random.Generator) -> Pair:
        x, e = rng.normal(size=(2, n, 1))
        return x, rng.choice([-rho, rho], size=(n, 1)) * x + math.sqrt(1 - rho**2) * e

    mi, error = _quadrature([0.5, 0.5], [(0.0, 0.0, rho), (0.0, 0.0, -rho)])
    return Task(f"cross, {rho:g}", mi, draw, "quadrature", error)


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


Margins = Literal["gaussian", "cauchy", "lognormal", "mixture", "discrete"]


def independent(dim: int = 5, margins: Margins = "gaussian") -> Task:
    """Two sides that have nothing to do with each other, though the coordinates within a side may.

    Args:
        dim: of each side.
        margins: gaussian; cauchy (multivariate: one radius for a side's coordinates); lognormal; mixture (clusters on
            each side); discrete.

    Raises:
        ConfigError: no such margins.

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


def _same(x: Array) -> Array:
    return x


def _each(pair: Pair, left: Callable[[Array], Array], right: Callable[[Array], Array]) -> Pair:
    return left(pair[0]), right(pair[1])


def _gaussian(dim: int, mi: float, pairs: int) -> Draw:
    if dim < 1 or not 0 <= pairs <= dim or not mi >= 0 or (pairs == 0 and mi > 0):
        raise ConfigError(f"gaussian sides: dim {dim}, mi {mi}, {pairs} paired coordinates cannot be")
    rho = np.zeros(dim)
    rho[:pairs] = math.sqrt(-math.expm1(-2 * mi / pairs)) if pairs else 0.0

    def draw(n: int, rng: np.random.Generator) -> Pair:
        x, e = rng.normal(size=(2, n, dim))
        return x, rho * x + np.sqrt(1 - rho**2) * e

    return draw


def _quadrature(weights: list[float], parts: list[tuple[float, float, float]]) -> tuple[float, float]:
    """I and its error for a mixture of Gaussians in the plane: unit variances, (mean x, mean y, correlation) each.

    The trapezoid rule on a grid that ends 9 standard deviations out; its error is the change when the grid is halved.
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

    fine, coarse = on(1601), on(801)
    return fine, abs(fine - coarse) + 1e-9


TASKS: dict[str, Callable[[], Task]] = {
    "gaussian": partial(gaussian, 20, 2.0),
    "gaussian_6": partial(gaussian, 20, 6.0),
    "gaussian_10": partial(gaussian, 20, 10.0),
    "gaussian_sparse": partial(gaussian, 20, 1.0, pairs=2, rotate=True),
    "cubed": cubed,
    "student": student,
    "spiral": spiral,
    "warped": warped,
    "sphere_clusters": sphere_clusters,
    "five_gaussians": five_gaussians,
    "shared_sign": shared_sign,
    "swiss_roll": swiss_roll,
    "additive_noise": additive_noise,
    "cross": cross,
    "categories": categories,
    "independent": independent,
    "independent_cauchy": partial(independent, 5, "cauchy"),
}
"""One task of every kind, by name: call it, or `get` it."""
