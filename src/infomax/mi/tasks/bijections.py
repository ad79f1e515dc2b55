"""Gaussian sides, and bijections of each side, which do not change mutual information."""

import math
from collections.abc import Callable

import numpy as np

from infomax.errors import ConfigError
from infomax.mi.tasks.task import Array, Task, each, paired, same


def gaussian(dim: int = 20, mi: float = 2.0, *, pairs: int | None = None, rotate: bool = False) -> Task:
    r"""Jointly Gaussian sides: the first m coordinates are paired with correlation $\rho$, $I = -\tfrac{m}{2} \log(1 -
    \rho^2)$.

    Args:
        dim: dimension of each side.
        mi: nats; it determines $\rho$.
        pairs: m, number of dependent coordinates; by default all. With fewer, the dependence is sparse.
        rotate: rotate and scale each side by a fixed random matrix, so that no coordinate stands out.

    Raises:
        ConfigError: a negative mi, or more pairs than coordinates.

    Example:
        >>> gaussian(dim=20, mi=6.0).mi
        6.0
    """
    m = dim if pairs is None else pairs
    draw = paired(dim, mi, m)
    name = f"gaussian {dim}d" + (f", {m} paired" if m < dim else "") + (", rotated" if rotate else "")
    if not rotate:
        return Task(f"{name}, {mi:g}", mi, draw)
    fixed = np.random.default_rng(dim)
    left, right = (fixed.normal(size=(dim, dim)) + np.eye(dim) for _ in range(2))
    return Task(f"{name}, {mi:g}", mi, lambda n, rng: each(draw(n, rng), lambda x: x @ left, lambda y: y @ right))


def cubed(dim: int = 20, mi: float = 4.0) -> Task:
    """Jointly Gaussian sides, with every coordinate of y cubed: a bijection, so the information stays the same.

    Args:
        dim: dimension of each side.
        mi: nats.

    Example:
        >>> cubed().mi
        4.0
    """
    draw = paired(dim, mi, dim)
    return Task(f"cubed {dim}d, {mi:g}", mi, lambda n, rng: each(draw(n, rng), same, lambda y: y**3))


def spiral(dim: int = 3, mi: float = 1.02, *, turn: float = 1.0, pairs: int | None = 2) -> Task:
    r"""Gaussian sides made uniform, then each turned into a spiral: $x \mapsto e^{t |x|^2 A} x$ with a fixed skew-symmetric A.

    A rotation by an angle that depends only on the radius keeps the radius, so the map is a bijection.

    Args:
        dim: dimension of each side, at least 2.
        mi: nats.
        turn: t, radians at radius 1.
        pairs: number of dependent coordinates.

    Raises:
        ConfigError: fewer than two coordinates.

    Example:
        >>> spiral().mi
        1.02
    """
    from scipy.special import ndtr

    if dim < 2:
        raise ConfigError(f"spiral: needs at least 2 coordinates a side, got {dim}")
    base = paired(dim, mi, dim if pairs is None else min(pairs, dim))

    def wind(first: int, second: int) -> Callable[[Array], Array]:
        def wound(x: Array) -> Array:
            u: Array = ndtr(x)
            angle = turn * np.square(u).sum(1)
            out = u.copy()
            out[:, first] = np.cos(angle) * u[:, first] - np.sin(angle) * u[:, second]
            out[:, second] = np.sin(angle) * u[:, first] + np.cos(angle) * u[:, second]
            return out

        return wound

    return Task(f"spiral {dim}d, {mi:g}", mi, lambda n, rng: each(base(n, rng), wind(0, 1), wind(dim - 1, 0)))


def warped(dim: int = 4, mi: float = 1.6, *, strength: float = 0.5, layers: int = 3) -> Task:
    r"""Gaussian sides, each through a fixed random bijection: rotations between additive couplings.

    In one layer: $x \leftarrow Rx$, then the second half of x is shifted by $s\, w\sin(Vx_{\text{first}} + c)$.

    Args:
        dim: dimension of each side, at least 2.
        mi: nats.
        strength: s, the size of the shift; 0 leaves a rotation.
        layers: number of layers.

    Raises:
        ConfigError: fewer than two coordinates.

    Example:
        >>> warped().mi
        1.6
    """
    if dim < 2:
        raise ConfigError(f"warped: needs at least 2 coordinates a side, got {dim}")
    base, half = paired(dim, mi, dim), dim // 2

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

    return Task(f"warped {dim}d, {mi:g}", mi, lambda n, rng: each(base(n, rng), bijection(1), bijection(2)))


def swiss_roll(mi: float = 0.75) -> Task:
    """One uniform number; and another, correlated with it, rolled up in the plane.

    Args:
        mi: nats, of the two numbers.

    Example:
        >>> swiss_roll().mi
        0.75
    """
    from scipy.special import ndtr

    base = paired(1, mi, 1)

    def roll(y: Array) -> Array:
        angle = 1.5 * math.pi * (1 + 2 * ndtr(y))
        return np.concatenate([angle * np.cos(angle), angle * np.sin(angle)], 1) / 21

    return Task(f"swiss_roll, {mi:g}", mi, lambda n, rng: each(base(n, rng), ndtr, roll))
