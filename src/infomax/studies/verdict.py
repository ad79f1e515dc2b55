"""How a claim is judged: by differences that it says are positive, each with its standard error over seeds.

holds            every difference lies above 0, beyond the interval that Student's t has for it
does not hold    one of them lies below by as much, at a level divided by how many there are: of twenty, one errs by chance
not decidable    otherwise: so many seeds, at this budget, cannot tell

A claim that needs them all may hold at the plain level: all of them would have to err. The standard errors of three seeds are
themselves uncertain, which is why the interval is Student's: 2.8 standard errors of two groups of three, and 4.3 of one.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from infomax.finite import finite_or_none

HOLDS, FAILS, OPEN = "holds", "does not hold", "not decidable"
VERDICTS = (HOLDS, FAILS, OPEN)
SPREAD = 1e-9
"""A standard error below this is rounding: the values were the same."""
LEVEL = 0.025
"""How often a difference that is 0 would be called positive; and, of all differences of a claim, one of them negative."""


class Comparison(NamedTuple):
    """A number that a claim says is positive, and what it is of.

    Args:
        what: it is of.
        difference: the number.
        error: its standard error (NaN: unknown, of a single run or of two groups whose runs all agree; 0: it has none, as
            a count).
        freedom: degrees of freedom of the error.
        among: of how many differences this one was picked for being the largest.
        why: it decides nothing, where that is not for want of a known error.
    """

    what: str
    difference: float
    error: float
    freedom: float = math.inf
    among: int = 1
    why: str = ""

    def of(self, count: int) -> str:
        """What it says by itself, as one of `count` differences of a claim; a count decides where it is not 0.

        Example:
            >>> [Comparison("", d, 1.0).of(1) for d in (3.0, 1.0, -3.0)]
            ['holds', 'not decidable', 'does not hold']
            >>> [Comparison("", d, 1.0, freedom=4).of(1) for d in (2.7, 2.8)]  # of two groups of three seeds
            ['not decidable', 'holds']
            >>> Comparison("", -3.0, 1.0).of(20)  # the lowest of twenty
            'not decidable'
        """
        if math.isnan(self.error) or math.isnan(self.difference) or self.difference == 0:
            return OPEN
        up = self.difference > 0
        least = self.error * quantile(LEVEL / (self.among if up else count), self.freedom) if self.error else 0.0
        # accuracies are multiples of one image: just as much happens, and is not more
        return OPEN if abs(self.difference) <= least * (1 + 1e-9) else HOLDS if up else FAILS

    @property
    def verdict(self) -> str:
        """What it says as a claim's only one."""
        return self.of(1)

    def __str__(self) -> str:
        if self.why and math.isnan(self.error):
            return f"{self.what} = {self.difference:.3g} ({self.why})"
        error = "?" if math.isnan(self.error) else f"{self.error:.2g}"
        return f"{self.what} = {self.difference:.3g} ± {error}"


def quantile(tail: float, freedom: float) -> float:
    """What Student's t exceeds with the probability `tail`.

    Example:
        >>> [round(quantile(0.025, freedom), 2) for freedom in (2, 4, 18, math.inf)]
        [4.3, 2.78, 2.1, 1.96]
    """
    from scipy.special import ndtri, stdtrit

    return float(-ndtri(tail) if math.isinf(freedom) else -stdtrit(freedom, tail))


def mean_error(values: Any) -> tuple[float, float]:
    """Mean over seeds and its standard error.

    Example:
        >>> mean_error([1.0, 3.0])
        (2.0, 1.0)
    """
    v = np.asarray(values, dtype=float)
    return float(v.mean()), float(v.std(ddof=1) / math.sqrt(v.size)) if v.size > 1 else math.nan


def apart(error: float, n: int, other: float, m: int) -> float:
    """Degrees of freedom of the difference of two means, by Welch and Satterthwaite.

    Example:
        >>> apart(1.0, 3, 1.0, 3), apart(1.0, 3, 0.0, 3)
        (4.0, 2.0)
    """
    a, b = error**2, other**2
    spread = a**2 / max(n - 1, 1) + b**2 / max(m - 1, 1)
    return (a + b) ** 2 / spread if spread > 0 else math.inf


def known(error: float) -> float:
    """A standard error of a difference over seeds, NaN where they all agree: accuracies are whole images, and three alike say
    little more of the next seed than one does.

    Example:
        >>> known(0.5), known(0.0)
        (0.5, nan)
    """
    return error if error > SPREAD else math.nan


def between(what: str, a: Any, b: Any, margin: float = 0.0, among: int = 1) -> Comparison:
    """The claim that a exceeds b (less a margin): mean(a) - mean(b) + margin, a and b values over seeds.

    Example:
        >>> between("a - b", [2.0, 2.2], [1.0, 1.0]).verdict  # two seeds: 12.7 standard errors
        'not decidable'
        >>> between("a - b", [2.0, 2.1, 2.2], [1.0, 1.0, 1.1]).verdict
        'holds'
        >>> between("a - b", [97.75] * 3, [97.46] * 3).verdict  # one test image, and no spread to weigh it by
        'not decidable'
    """
    (m, e), (n, f) = mean_error(a), mean_error(b)
    return Comparison(what, m - n + margin, known(math.hypot(e, f)), apart(e, np.size(a), f, np.size(b)), among)


def within(what: str, a: Any, b: Any, margin: float) -> Comparison:
    """The claim that two things of the same runs, seed by seed, differ by less than a margin in the mean.

    Example:
        >>> print(within("|f - g|", [2.0, 2.5], [2.0, 2.0], 1.0))
        1 - |f - g| = 0.75 ± 0.25
    """
    change = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    mean, error = mean_error(change)
    return Comparison(f"{margin:g} - {what}", margin - abs(mean), known(error), max(change.size - 1, 1))


def above(what: str, values: Any, bar: float) -> Comparison:
    """The claim that the mean of some values over seeds lies above a bar.

    Example:
        >>> print(above("rank", [2.0, 2.2], 1.5))
        rank - 1.5 = 0.6 ± 0.1
    """
    mean, error = mean_error(values)
    return Comparison(f"{what} - {bar:g}", mean - bar, error, max(np.size(values) - 1, 1))


def below(what: str, values: Any, bar: float) -> Comparison:
    """The claim that the mean of some values over seeds lies below a bar."""
    mean, error = mean_error(values)
    return Comparison(f"{bar:g} - {what}", bar - mean, error, max(np.size(values) - 1, 1))


def share_above(what: str, shares: Any, bar: float, steps: Any) -> Comparison:
    """The claim that the mean over seeds of a share of steps lies above a bar.

    Shares in which all seeds agree have no spread, and of a few steps all may have gone one way by chance. Then it is decided
    where so many steps, each taken with the bar's probability, would come out as far in fewer than `LEVEL` of all tries.

    Args:
        what: it is of.
        shares: of the steps, a seed.
        bar: above 0 and below 1.
        steps: how many each share is of.

    Example:
        >>> [share_above("rises", [1.0] * 3, 0.95, [steps] * 3).verdict for steps in (4, 60)]
        ['not decidable', 'holds']
        >>> [share_above("rises", [0.5] * 3, 0.95, [steps] * 3).verdict for steps in (2, 60)]
        ['does not hold', 'does not hold']
    """
    from scipy.special import bdtr, bdtrc

    found = above(what, shares, bar)
    if found.error > SPREAD or math.isnan(found.error):
        return found
    of = int(np.sum(steps))
    taken = round(float(np.dot(np.asarray(shares, dtype=float), np.asarray(steps, dtype=float))))
    chance = bdtrc(taken - 1, of, bar) if found.difference > 0 else bdtr(taken, of, bar)
    if chance <= LEVEL:
        return found
    return found._replace(error=math.nan, why=f"all seeds alike, and {of} steps together are too few to tell")


def never(what: str, count: int, seeds: int) -> Comparison:
    """The claim that something happened in no run, out of so many seeds: once refutes it; that it was not seen of a single
    seed has, like a mean of one, no spread to be judged by.

    Example:
        >>> [never("runs flagged", count, seeds).verdict for count, seeds in ((0, 3), (0, 1), (1, 1))]
        ['holds', 'not decidable', 'does not hold']
    """
    return Comparison(f"1/2 - {what}", 0.5 - count, 0.0 if count or seeds > 1 else math.nan)


def verdict(comparisons: Sequence[Comparison]) -> str:
    """Of a claim that needs all of its comparisons.

    Example:
        >>> verdict([Comparison("", 3.0, 1.0), Comparison("", 0.5, 1.0)])
        'not decidable'
        >>> [verdict([Comparison("", -2.2, 1.0), *more]) for more in ([], [Comparison("", 3.0, 1.0)] * 20)]
        ['does not hold', 'not decidable']
    """
    each = {c.of(len(comparisons)) for c in comparisons}
    return FAILS if FAILS in each else OPEN if OPEN in each or not each else HOLDS


def claim(
    name: str, says: str, source: str, seen: str, comparisons: Sequence[Comparison], note: str = ""
) -> dict[str, Any]:
    """A row of the ledger, without the command that measured it.

    Args:
        name: of the row.
        says: the claim in our words.
        source: where it is printed; infomax where it is ours.
        seen: the figures, with spread.
        comparisons: what it is judged by.
        note: what to know beside.
    """
    return {
        "name": name,
        "claim": says,
        "source": source,
        "measured": seen,
        "judged_by": [
            {
                "what": c.what,
                "difference": finite_or_none(c.difference),
                "error": finite_or_none(c.error),
                "freedom": finite_or_none(c.freedom),
                "among": c.among,
                **({"why": c.why} if c.why else {}),
            }
            for c in comparisons
        ],
        "verdict": verdict(comparisons),
        "note": note,
    }


def judged(row: Mapping[str, Any]) -> str:
    """The numbers behind a verdict in words: those that decide it first."""
    parts = [
        Comparison(
            c["what"],
            math.nan if c["difference"] is None else c["difference"],
            math.nan if c["error"] is None else c["error"],
            math.inf if c.get("freedom") is None else c["freedom"],  # the first ledgers had none
            c.get("among", 1),
            c.get("why", ""),
        )
        for c in row["judged_by"]
    ]
    return "; ".join(str(c) for c in sorted(parts, key=lambda c: c.of(len(parts)) != row["verdict"])[:4])


def shown(values: Any, digits: int = 2) -> str:
    """Mean ± sd over seeds.

    Example:
        >>> shown([1.0, 3.0]), shown([1.0])
        ('2.00 ± 1.41', '1.00')
    """
    v = np.asarray(values, dtype=float)
    spread = f" ± {v.std(ddof=1):.{digits}f}" if v.size > 1 else ""
    return f"{v.mean():.{digits}f}{spread}"
