"""Mutual information between any two data sets: one function, with every estimator available by name."""

import time
from collections.abc import Callable
from dataclasses import replace
from numbers import Integral
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from infomax.errors import ConfigError, DataError, nearest
from infomax.mi.estimators import inputs
from infomax.mi.estimators.auto import RARE, Z, auto, discrete_reading, gaussian_reading, ksg_reading
from infomax.mi.estimators.critics import BOUNDS, crossfit
from infomax.mi.estimators.folds import split
from infomax.mi.estimators.result import RESOLUTION, SATURATION, TOGETHER, Estimate, EstimatorReading
from infomax.mi.estimators.towers import CriticName
from infomax.threads import one_thread

__all__ = ["METHODS", "Estimate", "EstimatorReading", "Margins", "estimate_mi"]

Array = NDArray[np.float64]
Margins = Literal["rank", "standard", "none"]

MARGINS: dict[str, Callable[[Array], Array]] = {
    "rank": inputs.rank_gaussian,
    "standard": inputs.standardized,
    "none": lambda z: z,
}

NEIGHBOURS = 5
"""Of ksg, where none are named."""

SERIES = (
    "no limits: rows are like the rows before them on both sides, so the pairs count for fewer than they are, and what is read "
    "may be chance; of a time series give rows that lie far apart, of independent rows that were sorted shuffle the pairs"
)

METHODS = ("auto", "gaussian", "ksg", "discrete", *BOUNDS)
"""The methods of `estimate_mi`: the rule that selects one, three estimators without training, and the bounds."""


def estimate_mi(
    x: Any,
    y: Any,
    *,
    method: str = "auto",
    critic: CriticName | None = None,
    margins: Margins | None = None,
    k: int | None = None,
    seed: int = 0,
) -> Estimate:
    r"""Estimate I(X; Y) in nats from N pairs, with confidence limits and warnings.

    | method | based on | use it for |
    |---|---|---|
    | auto | all estimators that suit; one is selected by a rule, which is reported | anything; 10 to 40 s for 5000 pairs |
    | gaussian | $-\tfrac12 \sum \log(1 - r_i^2)$ of canonical correlations, bias removed | jointly Gaussian data; seconds |
    | ksg | nearest neighbours | up to about six coordinates together |
    | discrete | counts, bias removed | few levels on both sides |
    | infonce, interpolated, nwj, tuba, jsd_lower, xi_jsd | a critic on held-out pairs | a lower limit in high dimension |
    | dv, smile | the same | closer to the truth, but not a limit |

    Args:
        x: N or N x ..., an array, a tensor or lists, also of whole numbers or names. The first axis counts the pairs,
            and all others are flattened: N x C x H x W as N rows of C H W columns.
        y: N or N x ...; row i belongs to row i of x.
        method: one of the above.
        critic: critic of a bound: separable f(x).g(y) (by default), cosine (temperature 0.1), bilinear, or concatenated
            (slow).
        margins: transformation of the margins, for every method but auto and discrete: rank (to Gaussian, by rank,
            column by column; the default), standard (standardised), or none.
        k: number of neighbours of ksg, by default 5.
        seed: random seed of folds, weights, dither and the samples from which a bias is estimated: the same seed gives
            the same estimate on the same machine.

    Returns:
        The estimate with its limits, flags and readings. A limit is None if none can be justified. If a side is the
            same in all rows, it is taken for a constant: the estimate is 0, without upper limit or readings, with a
            flag.

    Raises:
        ConfigError: an unknown method, critic or margin, an option that the method does not use, a seed below 0, or a
            seed or k that is not a whole number.
        DataError: sides that do not pair, or too few rows.
        NumericsError: NaN or infinity.

    Example:
        >>> from infomax.mi import tasks
        >>> x, y = tasks.gaussian(dim=3, mi=1.0).sample(2000, seed=0)
        >>> found = estimate_mi(x, y, method="gaussian")
        >>> found.lo < 1.0 < found.hi
        True
    """
    for what, asked, known in (
        ("method", method, METHODS),
        ("margins", "rank" if margins is None else margins, tuple(MARGINS)),
        ("critic", "separable" if critic is None else critic, get_args(CriticName)),
    ):
        if asked not in known:
            raise ConfigError(f"no {what} {asked!r}: {nearest(asked, known)}")
    if critic is not None and method not in BOUNDS:
        raise ConfigError(
            f"critic {critic!r} is for a method that trains the critic it is told to ({', '.join(BOUNDS)}), and {method!r} "
            "does not; leave one out"
        )
    if margins is not None and method in ("auto", "discrete"):
        raise ConfigError(
            f"margins {margins!r} are for a method that reads in the coordinates it is told, and {method!r} "
            f"{'tries its own' if method == 'auto' else 'counts levels'}; leave one out"
        )
    if k is not None and method != "ksg":
        raise ConfigError(f"k={k} are the neighbours of method 'ksg', and {method!r} does not take it; leave one out")
    whole: dict[str, Any] = {"seed": seed, "k": NEIGHBOURS if k is None else k}
    for what, given in whole.items():
        if not isinstance(given, Integral):
            raise ConfigError(f"estimate_mi: {what}={given!r}: give a whole number")
    if seed < 0:
        raise ConfigError(f"a seed of {seed}: give 0 or more")
    began = time.process_time()
    a, b, flags = inputs.sides(x, y)
    n, name = len(a), method
    if not (a.shape[1] and b.shape[1]):
        return Estimate(
            mi=0.0,
            lo=0.0,
            hi=None,  # a column that varies rarely may be constant in a sample
            method=method,
            flags=tuple(flags),
            n=n,
            dims=(a.shape[1], b.shape[1]),
            seconds=time.process_time() - began,
        )
    if method != "discrete":  # there rows that repeat are what is counted
        a, b, repeated = inputs.once(a, b)
        flags += repeated
    series = inputs.in_series(a, b)
    with one_thread():
        if method == "auto":
            out = auto(a, b, seed=seed)
            mi, lo, hi, name, readings = out.mi, out.lo, out.hi, out.method, out.readings
            flags += out.flags
        else:
            reading = _one(a, b, method, critic or "separable", MARGINS[margins or "rank"], whole["k"], seed)
            mi, lo, hi, readings = max(0.0, reading.value), reading.lo, reading.hi, [reading]
            flags += _warnings(reading, method)
    if series:  # every limit and test above takes the pairs for independent
        lo, hi = None, None
        flags.append(SERIES)
        readings = [replace(r, lo=None, hi=None) for r in readings]
    return Estimate(
        mi=mi,
        lo=lo,
        hi=hi,
        method=name,
        flags=tuple(flags),
        readings=tuple(readings),
        n=n,
        dims=(a.shape[1], b.shape[1]),
        seconds=time.process_time() - began,
    )


def _one(
    a: Array, b: Array, method: str, critic: CriticName, margins: Callable[[Array], Array], k: int, seed: int
) -> EstimatorReading:
    if method == "discrete":
        classes = [np.unique(z, axis=0, return_inverse=True)[1].reshape(-1) for z in (a, b)]
        for side, found in zip("xy", classes, strict=True):
            if (count := int(found.max()) + 1) > len(found) / 2:
                raise DataError(
                    f"method 'discrete' counts levels, and {side} has {count} different rows in {len(found)}: nothing to "
                    "count; use 'ksg' or 'auto'"
                )
        return discrete_reading(*classes, seed=seed)[0]
    if method == "gaussian":
        return gaussian_reading(margins(a), margins(b), ranks=margins is inputs.rank_gaussian, seed=seed)
    if method == "ksg":
        rng = np.random.default_rng(seed)
        return ksg_reading("ksg", margins(inputs.dithered(a, rng)[0]), margins(inputs.dithered(b, rng)[0]), k)
    if len(a) < 4 * inputs.FEWEST:
        raise DataError(
            f"method {method!r} trains a critic on three quarters of the pairs: {len(a)} are too few, give at least "
            f"{4 * inputs.FEWEST} or use method 'gaussian'"
        )
    began = time.process_time()
    fitted = crossfit(margins(a), margins(b), split(len(a), seed), bound=method, critic=critic, seed=seed)
    lower = BOUNDS[method].lower
    return EstimatorReading(
        f"{method}, {critic} critic",
        fitted.read.value,
        "lower bound" if lower else "neither",
        fitted.read.se,
        lo=max(0.0, fitted.read.value - Z * fitted.read.se) if lower else None,
        ceiling=fitted.ceiling,
        seconds=time.process_time() - began,
    )


def _warnings(reading: EstimatorReading, method: str) -> list[str]:
    flags = []
    if reading.value < 0:
        flags.append(f"read {reading.value:.3f}, which no mutual information is: shown as 0")
    if reading.saturated and method != "discrete":  # whose ceiling is an entropy, and no MI is above it
        flags.append(
            f"{SATURATION}: {reading.value:.2f} of at most {reading.ceiling:.2f}; the truth may be anything above"
        )
    if method == "gaussian" and reading.hi is None:
        flags.append(TOGETHER if reading.lo is None else RESOLUTION)
    if method == "discrete" and reading.hi is None:
        flags.append(RARE)
    if method == "gaussian":
        flags.append("right only where ranks are jointly Gaussian; 'auto' checks that")
    if method == "ksg":
        flags.append("no interval: nearest neighbours are biased, mostly downward, by an unknown amount")
    if method in BOUNDS:
        lower = (
            "a lower bound: MI may be higher" if BOUNDS[method].lower else "no bound on a finite sample: no interval"
        )
        flags.append(lower)
    return flags
