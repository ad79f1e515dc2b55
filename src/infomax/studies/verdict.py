"""How a claim is judged: by differences that it says are positive, each with its standard error.

holds            every difference lies more than two standard errors above 0
does not hold    one of them lies more than two below
not decidable    otherwise: so many seeds, at this budget, cannot tell
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

HOLDS, FAILS, OPEN = "holds", "does not hold", "not decidable"
VERDICTS = (HOLDS, FAILS, OPEN)


class Comparison(NamedTuple):
    """A number that a claim says is positive, its standard error (NaN: of a single run, unknown), and what it is of."""

    what: str
    difference: float
    error: float

    @property
    def verdict(self) -> str:
        """By itself; a number without spread decides where it is not 0.

        Example:
            >>> [Comparison("", d, 1.0).verdict for d in (3.0, 1.0, -3.0)]
            ['holds', 'not decidable', 'does not hold']
            >>> Comparison("", 0.3, 0.1 + 0.05).verdict  # just two, but for rounding
            'not decidable'
        """
        # accuracies are multiples of one image: just two errors happen, and are not more than two
        least = 2 * self.error * (1 + 1e-9)
        if math.isnan(self.error) or math.isnan(self.difference) or abs(self.difference) <= least:
            return OPEN
        return HOLDS if self.difference > 0 else FAILS

    def __str__(self) -> str:
        error = "?" if math.isnan(self.error) else f"{self.error:.2g}"
        return f"{self.what} = {self.difference:.3g} ± {error}"


def mean_error(values: Any) -> tuple[float, float]:
    """Mean over seeds and its standard error.

    Example:
        >>> mean_error([1.0, 3.0])
        (2.0, 1.0)
    """
    v = np.asarray(values, dtype=float)
    return float(v.mean()), float(v.std(ddof=1) / math.sqrt(v.size)) if v.size > 1 else math.nan


def between(what: str, a: Any, b: Any, margin: float = 0.0) -> Comparison:
    """The claim that a exceeds b (less a margin): mean(a) - mean(b) + margin, a and b values over seeds.

    Example:
        >>> between("a - b", [2.0, 2.2], [1.0, 1.0]).verdict
        'holds'
    """
    (m, e), (n, f) = mean_error(a), mean_error(b)
    return Comparison(what, m - n + margin, math.hypot(e, f))


def above(what: str, values: Any, bar: float) -> Comparison:
    """The claim that the mean of some values over seeds lies above a bar.

    Example:
        >>> print(above("rank", [2.0, 2.2], 1.5))
        rank - 1.5 = 0.6 ± 0.1
    """
    mean, error = mean_error(values)
    return Comparison(f"{what} - {bar:g}", mean - bar, error)


def below(what: str, values: Any, bar: float) -> Comparison:
    """The claim that the mean of some values over seeds lies below a bar."""
    mean, error = mean_error(values)
    return Comparison(f"{bar:g} - {what}", bar - mean, error)


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
    """
    each = {c.verdict for c in comparisons}
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
            {"what": c.what, "difference": _plain(c.difference), "error": _plain(c.error)} for c in comparisons
        ],
        "verdict": verdict(comparisons),
        "note": note,
    }


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None


def judged(row: Mapping[str, Any]) -> str:
    """The numbers behind a verdict in words: those that decide it first."""
    parts = [
        Comparison(c["what"], *(math.nan if c[k] is None else c[k] for k in ("difference", "error")))
        for c in row["judged_by"]
    ]
    return "; ".join(str(c) for c in sorted(parts, key=lambda c: c.verdict != row["verdict"])[:4])


def shown(values: Any, digits: int = 2) -> str:
    """Mean ± sd over seeds.

    Example:
        >>> shown([1.0, 3.0]), shown([1.0])
        ('2.00 ± 1.41', '1.00')
    """
    v = np.asarray(values, dtype=float)
    spread = f" ± {v.std(ddof=1):.{digits}f}" if v.size > 1 else ""
    return f"{v.mean():.{digits}f}{spread}"
