r"""The automatic reading. No single estimator is right everywhere; a rule that picks among several is, more often.

1. Two sides of few levels: counts.
2. Ranks made Gaussian, canonical correlations, their bias taken off: exact if the data are Gaussian after a change of each
   margin, and only believed where nothing speaks against that (`_doubts`).
3. Cross-fitted critics: a lower bound on MI that holds, from pairs the critics never saw.
4. Nearest neighbours in several coordinates, learned ones among them: no bound, mostly low.
5. Not Gaussian: the largest of 3 and 4; the lower limit always from 3. Nothing significant: 0.
"""

import math
import time
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from infomax.mi.estimators import inputs
from infomax.mi.estimators.discrete import CHANCE as CHANCE_COUNTS
from infomax.mi.estimators.discrete import plugin
from infomax.mi.estimators.folds import Folds, chunks, split, symmetric_infonce
from infomax.mi.estimators.gaussian import (
    Canonical,
    Fit,
    Ranked,
    by_chance,
    calibrated,
    canonical,
    correlated,
    exact,
    gaussian,
)
from infomax.mi.estimators.ksg import Ksg, ksg
from infomax.mi.estimators.limits import null_se, upper
from infomax.mi.estimators.moments import Departure, departure
from infomax.mi.estimators.result import RESOLUTION, SATURATION, TOGETHER, EstimatorReading
from infomax.mi.estimators.stack import Stack, fit_stack, gaussian_base

Array = NDArray[np.float64]

WIDEST = 64
"""Columns of a side: wider data are first projected on that many principal components, or a tenth of the rows."""
Z = 1.96
CLEAR = 3.0  # standard errors: above it a difference counts
SLACK = 0.03  # nats: below it no difference counts
SUSPECT, PLAIN = 2.0, 3.3  # deviations above simulated Gaussian data: no upper limit; not Gaussian
CHANCE_GAUSSIAN = 0.005  # above every one of 199 shuffles
CHANCE = 0.004  # a shuffled pairing scores as high this often: above it nothing was found
RARE = "no upper limit: most pairs of levels are too rare to be counted; fewer levels, or more samples, would tell more"
HIGH = 5.0  # nats: beyond it no reading of data that are not Gaussian is worth a number


class Outcome(NamedTuple):
    """What `estimate_mi` wraps."""

    mi: float
    lo: float | None
    hi: float | None
    method: str
    flags: list[str]
    readings: list[EstimatorReading]


def auto(x: Array, y: Array, *, seed: int) -> Outcome:
    """Read with all that suits and pick.

    Args:
        x: N x dx, checked by `inputs.sides`. y: N x dy.
        seed: of folds, weights and dither.
    """
    n = len(x)
    flags: list[str] = []
    readings: list[EstimatorReading] = []
    rng = np.random.default_rng(seed)
    classes = [inputs.levels(z) for z in (x, y)]
    if classes[0] is not None and classes[1] is not None:
        reading, chance = discrete_reading(classes[0], classes[1], seed=seed)
        cells = len(np.unique(np.stack([classes[0], classes[1]]), axis=1).T)
        if cells <= n / 5:
            return _counted(reading, chance)
        readings.append(reading)
        flags.append(f"{cells} pairs of levels in {n} samples: too many to count, so levels were read as numbers")
    ceiling = min([math.inf, *(entropy(c) for c in classes if c is not None)])
    series = bool(inputs.in_series(x, y))
    x, y = _prepared(x, "x", flags, rng), _prepared(y, "y", flags, rng)
    if n < 200:
        flags.append(f"{n} pairs only: expect little of what is not Gaussian")

    folds = split(n, seed)
    g_x, g_y = inputs.rank_gaussian(x), inputs.rank_gaussian(y)
    began = time.process_time()
    fit = canonical(g_x, g_y)
    ranked = calibrated(fit, n, seed=seed)
    normal = _gaussian_reading(ranked, fit, n, time.process_time() - began)
    readings.append(normal)
    near = _neighbours(x, y, classes, readings)
    stack, limit = _critics(x, y, folds, readings, seed)
    for d, each in enumerate(stack.embedded, 1):
        near[f"ksg, {d} learned"] = each
        readings.append(EstimatorReading(f"ksg, {d} learned", each.value, se=each.se, ceiling=_ksg_ceiling(n // 4, 3)))

    few = any(c is not None for c in classes)  # which speaks against a Gaussian by itself
    # of a series neighbouring rows agree by themselves: it lies outside of independent simulations, dependent or not
    beyond = (
        Departure(0.0, 0.0) if few or series or exact(fit) else departure(g_x, g_y, fit, ranked.correlations, seed=seed)
    )
    doubts = _doubts(
        ranked.correlations, (fit.rank_x, fit.rank_y), ranked.fit, near, beyond, stack, folds, n, seed, classes
    )
    significant = stack.p <= CHANCE and limit > 0
    neighbours = {name: each for name, each in near.items() if _beyond_chance(name, each, x, y, classes, rng)}
    best = max(neighbours, key=lambda name: neighbours[name].value) if neighbours else None
    found = significant or best is not None
    if not doubts:
        null = null_se(n, fit.rank_x * fit.rank_y)
        luck = _chance(normal.value, null, g_x, g_y, seed)
        if found or luck is None:
            return _of_gaussian(normal, limit, n, ranked.resolved, beyond, flags, readings)
        if normal.lo:  # the interval of a row does not know of the other tests
            readings[readings.index(normal)] = replace(normal, lo=0.0)
            flags.append(
                f"the Gaussian's reading of {normal.value:.3f} counts as 0, and so does its lower limit: {luck}, and no "
                "other reading is beyond chance"
            )
    if not found:
        flags.append("no dependence found")
        return Outcome(0.0, 0.0, None, "critics" if doubts else "gaussian", flags, readings)
    flags.append(f"not Gaussian, so its reading of {normal.value:.2f} is not believed: {doubts[0]}")
    lower = limit if significant else None
    return _of_others(stack, lower, None if best is None else (best, near[best]), n, ceiling, flags, readings)


def _chance(value: float, null: float, x: Array, y: Array, seed: int) -> str | None:
    """Why a Gaussian reading may be of independent sides; None: it may not. `null`: its deviation at independence."""
    if value < CLEAR * null:
        return f"it is below {CLEAR * null:.3f}, {CLEAR:g} deviations of such a reading of independent sides"
    if value < 10 * null and by_chance(x, y, seed=seed) > CHANCE_GAUSSIAN:
        return f"shuffled pairs read as much more often than once in {1 / CHANCE_GAUSSIAN:.0f}"
    return None


def _counted(reading: EstimatorReading, chance: float) -> Outcome:
    """Two sides of few levels; `chance`: how often shuffled pairs read as much."""
    value, flags = max(0.0, reading.value), []
    if chance > CHANCE_COUNTS:
        value = 0.0
        flags.append("no dependence found")
    if reading.hi is None:
        flags.append(RARE)
    return Outcome(value, reading.lo, reading.hi, "discrete", flags, [reading])


def _critics(x: Array, y: Array, folds: Folds, readings: list[EstimatorReading], seed: int) -> tuple[Stack, float]:
    """Cross-fitted critics, and the lower limit that they give."""
    began = time.process_time()
    stack = fit_stack(x, y, folds, seed=seed)
    seconds = time.process_time() - began
    limit = stack.infonce.value - Z * stack.infonce.se
    readings.append(
        EstimatorReading(
            "critics, InfoNCE",
            stack.infonce.value,
            "lower bound",
            stack.infonce.se,
            lo=max(0.0, limit),
            ceiling=math.log(stack.candidates),
            seconds=seconds,
        )
    )
    readings.append(EstimatorReading("critics, DV", stack.dv.value, "neither", stack.dv.se))
    return stack, limit


def _of_gaussian(
    normal: EstimatorReading,
    limit: float,
    n: int,
    resolved: bool,
    beyond: Departure,
    flags: list[str],
    readings: list[EstimatorReading],
) -> Outcome:
    """The Gaussian reading, as nothing speaks against it; `limit`: the lower one of the critics."""
    lo, hi = normal.lo, normal.hi
    for reason, holds in (
        (TOGETHER if normal.lo is None else RESOLUTION, not resolved),
        ("no upper limit: what projection left out may carry more", any("projected" in flag for flag in flags)),
        ("no upper limit: this few pairs cannot tell Gaussian data from others", n < 300),
        (
            "no upper limit: x and y are large together somewhat more often than in Gaussian data, which may be chance",
            beyond.scale > SUSPECT,
        ),
    ):
        if holds:
            hi = None
            flags.append(reason)
    return Outcome(max(0.0, normal.value), max(0.0, limit) if lo is None else lo, hi, "gaussian", flags, readings)


def _of_others(
    stack: Stack,
    limit: float | None,
    best: tuple[str, Ksg] | None,
    n: int,
    ceiling: float,
    flags: list[str],
    readings: list[EstimatorReading],
) -> Outcome:
    """The larger of critics and neighbours, of data that are not Gaussian.

    Args:
        stack: the critics.
        limit: their lower limit; None: they found nothing.
        best: the neighbours that read the most, by name; None: they found nothing.
        n: pairs.
        ceiling: the entropy of a side of few levels.
        flags, readings: so far.
    """
    flags.append("no upper limit: finite samples cannot exclude finer structure")
    value, lo, method = 0.0, 0.0, "critics, InfoNCE"
    if limit is not None:
        value, lo = stack.infonce.value, max(0.0, limit)
    if best is not None and best[1].value > value:
        method, near = best
        value = near.value
        if value - stack.infonce.value > SLACK + CLEAR * math.hypot(near.se, stack.infonce.se):
            flags.append(
                f"readings disagree: {method} reads {value:.2f}, held-out critics only {stack.infonce.value:.2f}"
            )
        flags.append("likely low: nearest neighbours miss more the more coordinates matter")
    if value > HIGH or stack.infonce.value > 0.9 * math.log(stack.candidates):
        flags.append(
            f"{SATURATION}: MI this high cannot be told from {n} samples that are not Gaussian; take it as a lower limit"
        )
    if value > ceiling:
        flags.append(f"reading of {value:.3f} was above the entropy of a side, and was cut to it")
        value, lo = ceiling, min(lo, ceiling)
    return Outcome(max(0.0, value), lo, None, method, flags, readings)


def entropy(classes: NDArray[np.intp]) -> float:
    """Entropy in nats, its Miller-Madow bias taken off: no MI with these classes is higher."""
    p = np.bincount(classes) / len(classes)
    p = p[p > 0]
    return float(-(p * np.log(p)).sum()) + (len(p) - 1) / (2 * len(classes))


def discrete_reading(x: NDArray[np.intp], y: NDArray[np.intp], *, seed: int) -> tuple[EstimatorReading, float]:
    """Counts, and how often shuffled pairs read as much.

    A lower limit only where shuffled pairs read less, an upper one only where levels are not too rare.

    The latter is the higher of the normal and of `upper`: above the truth in 96 to 100 % of samples, simulated with
    2 x 2 to 6 x 8 levels, even and skewed, from independent sides to equal ones. The lower one is normal, and below the truth
    less often where few pairs contradict a map (100 pairs of 2 x 2 levels, of which 2 or 3 are off).
    """
    began = time.process_time()
    found = plugin(x, y, seed=seed)
    scarce = found.rare or len(np.unique(np.stack([x, y]), axis=1).T) > len(x) / 5
    most = None
    if not scarce:
        by_law = upper(found.value, found.bias, found.own_se, len(x), int(x.max() * y.max()))
        most = max(found.value + Z * found.se, by_law)
    # a table too thin to simulate from: for the lower limit, take off the most that it can be
    least = min(found.least, found.value - max(0.0, found.largest_bias - found.bias if scarce else 0.0)) - Z * found.se
    reading = EstimatorReading(
        "discrete",
        found.value,
        se=found.se,
        lo=max(0.0, least) if found.p <= CHANCE_COUNTS else 0.0,
        hi=most,
        ceiling=min(entropy(x), entropy(y)),
        seconds=time.process_time() - began,
    )
    return reading, found.p


def gaussian_reading(x: Array, y: Array, *, ranks: bool, seed: int) -> EstimatorReading:
    """The Gaussian fit, with its two-sided interval; `ranks`: whether x and y are ranks made Gaussian."""
    began = time.process_time()
    fit, n = canonical(x, y), len(x)
    found = calibrated(fit, n, seed=seed) if ranks else Ranked(gaussian(fit, n), fit.correlations, not exact(fit))
    return _gaussian_reading(found, fit, n, time.process_time() - began)


def _gaussian_reading(ranked: Ranked, fit: Canonical, n: int, seconds: float) -> EstimatorReading:
    """`ranked`: the reading of `fit`; the upper limit is the highest of the normal one, of `upper`, and of that by simulation
    where ranks lose much: above the truth in 97 to 100 % of Gaussian samples, simulated with 1 to 20 columns a side, from 0 to
    6 nats."""
    found, hi = ranked.fit, None
    lo = max(0.0, found.value - Z * found.se)
    if ranked.lo is not None:
        lo = min(lo, ranked.lo)
    if ranked.resolved:
        own_se = math.sqrt(float(np.square(fit.correlations).sum()) / n)
        by_law = upper(found.value, found.bias, own_se, n, fit.rank_x * fit.rank_y)
        hi = max(found.value + Z * found.se, by_law, ranked.hi or 0.0)
    return EstimatorReading("gaussian", found.value, se=found.se, lo=None if exact(fit) else lo, hi=hi, seconds=seconds)


def ksg_reading(name: str, x: Array, y: Array, k: int) -> EstimatorReading:
    r"""Nearest neighbours; at most psi(N) - psi(k), since the k neighbours are near on both sides."""
    began = time.process_time()
    found = ksg(x, y, k=k)
    return EstimatorReading(
        name,
        found.value,
        se=found.se,
        ceiling=_ksg_ceiling(len(x), k),
        seconds=time.process_time() - began,
    )


def _prepared(z: Array, side: str, flags: list[str], rng: np.random.Generator) -> Array:
    """Dither what has ties, and project what is too wide."""
    dithered, tied = inputs.dithered(z, rng)
    if tied and inputs.levels(z) is None:
        flags.append(f"{side}: values repeat; spread evenly between neighbouring ones, which leaves MI as it is")
    most = max(2, min(WIDEST, len(z) // 10))
    if z.shape[1] <= most:
        return dithered
    flags.append(
        f"{side}: {z.shape[1]} columns projected on {most} principal components; MI of the whole can only be more"
    )
    scaled = inputs.standardized(dithered)
    _, _, directions = np.linalg.svd(scaled, full_matrices=False)
    projected: Array = scaled @ directions[:most].T
    return projected


def _ksg_ceiling(n: int, k: int) -> float:
    from scipy.special import digamma

    return float(digamma(n) - digamma(k))


def _coordinates(x: Array, y: Array, classes: list[NDArray[np.intp] | None]) -> dict[str, tuple[Array, Array]]:
    """Where neighbours are looked for; classes lie far apart, so that neighbours share them."""

    def seen(z: Array, c: NDArray[np.intp] | None, how: str) -> Array:
        if c is not None:
            return 1e6 * c[:, None].astype(np.float64)
        return {"standardised": inputs.standardized, "ranks": inputs.rank_gaussian, "log radius": inputs.log_radius}[
            how
        ](z)

    return {
        how: (seen(x, classes[0], how), seen(y, classes[1], how)) for how in ("standardised", "ranks", "log radius")
    }


def _neighbours(
    x: Array, y: Array, classes: list[NDArray[np.intp] | None], readings: list[EstimatorReading], k: int = 5
) -> dict[str, Ksg]:
    found = {}
    for how, (a, b) in _coordinates(x, y, classes).items():
        reading = ksg_reading(f"ksg, {how}", a, b, k)
        readings.append(reading)
        found[reading.name] = Ksg(reading.value, reading.se or 0.0)
    return found


def _beyond_chance(
    name: str, found: Ksg, x: Array, y: Array, classes: list[NDArray[np.intp] | None], rng: np.random.Generator
) -> bool:
    """Whether neighbours read more than they do of shuffled pairs; only asked where it is not plain."""
    if found.value < 0.01 or found.value < 4 * found.se:
        return False
    if found.value > 0.1 + 6 * found.se or "learned" in name:
        return found.value > 6 * found.se
    a, b = _coordinates(x, y, classes)[name.removeprefix("ksg, ")]
    null = np.array([ksg(a, b[rng.permutation(len(b))]).value for _ in range(6)])
    return bool(found.value > null.mean() + 6 * max(null.std(ddof=1), found.se / 2))


def _doubts(
    r: Array,
    dims: tuple[int, int],
    normal: Fit,
    near: dict[str, Ksg],
    beyond: Departure,
    stack: Stack,
    folds: Folds,
    n: int,
    seed: int,
    classes: list[NDArray[np.intp] | None],
) -> list[str]:
    """What speaks against a Gaussian; the dear test last, and only where the cheap ones found nothing."""
    if any(c is not None for c in classes):
        return ["a side has few levels"]
    found = []
    if beyond.scale > PLAIN:
        found.append(f"x and y are large together more often than in Gaussian data, by {beyond.scale:.0f} deviations")
    elif beyond.shape > PLAIN:
        found.append(f"what it leaves of one side depends on the other, by {beyond.shape:.0f} deviations")
    for name, each in near.items():
        if each.value > normal.value + SLACK + CLEAR * math.hypot(each.se, normal.se):
            found.append(f"{name} reads {each.value:.2f}")
    gain = stack.gain
    learned = gain.value > 0.01 + CLEAR * gain.se and stack.infonce.value > CLEAR * stack.infonce.se
    # of a Gaussian fitted to few pairs a critic mends what is overfitted: in simulations at most a twelfth of dx dy / n
    mended = learned and gain.value - CLEAR * gain.se < dims[0] * dims[1] / (4 * n)
    if learned and not mended:
        found.append(f"a critic learned {gain.value:.2f} nats more than the Gaussian's own")
    if found:
        return found
    expected, spread = simulated(r, dims, folds, n, seed)
    if abs(stack.base.value - expected) > 0.01 + 4 * math.hypot(spread, stack.base.se):
        found.append(
            f"its critic reads {stack.base.value:.2f} on held-out pairs, where Gaussian data give {expected:.2f}"
        )
    elif mended:
        usual = fit_stack(*correlated(r, dims, n, np.random.default_rng(seed)), folds, seed=seed).gain
        if gain.value > usual.value + 0.01 + CLEAR * math.hypot(gain.se, usual.se):
            found.append(
                f"a critic learned {gain.value:.2f} nats more than the Gaussian's own, where Gaussian data give "
                f"{usual.value:.2f}"
            )
    return found


def simulated(r: Array, dims: tuple[int, int], folds: Folds, n: int, seed: int, draws: int = 4) -> tuple[float, float]:
    """Mean and spread of held-out InfoNCE of a Gaussian critic fitted on ranks of Gaussian data of these correlations."""
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(draws):
        x, y = correlated(r, dims, n, rng)
        base = gaussian_base(inputs.rank_gaussian(x), inputs.rank_gaussian(y), folds)
        parts = [(v, rows) for v, held in enumerate(folds.held) for rows in chunks(held)]
        scores = [base.left[v, rows] @ base.right[v, rows].T for v, rows in parts]
        values.append(float(torch.stack([symmetric_infonce(s) for s in scores]).mean()))
    return float(np.mean(values)), float(np.std(values, ddof=1))
