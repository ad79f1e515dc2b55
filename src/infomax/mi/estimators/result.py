"""The result of an estimate: its number, the readings it is based on, and how far to trust it."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from infomax.finite import finite_or_none

Kind = Literal["estimate", "lower bound", "neither"]

SATURATED = 0.9  # of a ceiling
SATURATION = "saturated"
"""How a flag begins that says of a reading that it cannot go higher."""
TOGETHER = "x and y are functions of each other as far as these pairs tell: MI may be anything above, infinity included"
RESOLUTION = (
    "no upper limit: MI this high is near the most that ranks of so few pairs can tell; more pairs, or the margins 'standard' "
    "if the data are Gaussian as they stand, would tell more"
)


@dataclass(frozen=True)
class EstimatorReading:
    """The result of one estimator, in nats; `infomax.mi.Reading` is that of a fixed critic (`MIMetric`).

    Args:
        name: name of the estimator.
        value: the value as computed: it may be negative.
        kind: what its population value is: an estimate of MI, a lower bound on it, or neither.
        se: standard error by sampling; it does not include bias.
        lo: MI is above it (97.5 %), if that can be said.
        hi: MI is below it (97.5 %), if that can be said.
        ceiling: the largest value that this estimator could have given on these data.
        seconds: processor time.
    """

    name: str
    value: float
    kind: Kind = "estimate"
    se: float | None = None
    lo: float | None = None
    hi: float | None = None
    ceiling: float | None = None
    seconds: float = field(default=0.0, compare=False)

    @property
    def saturated(self) -> bool:
        """Whether the value is above 90 % of the ceiling: the truth may then be anything above it."""
        return self.ceiling is not None and self.value > SATURATED * self.ceiling


@dataclass(frozen=True)
class Estimate:
    """The result of `estimate_mi`, in nats.

    Args:
        mi: the estimate, never below 0.
        lo: MI is above it with 97.5 % confidence, if that can be said.
        hi: MI is below it with 97.5 % confidence. None if no upper limit can be justified, which is so for all but
            Gaussian and discrete data: a finite sample cannot exclude structure finer than it shows.
        method: the estimator that gave `mi`.
        flags: what to know before trusting it.
        readings: the results of all estimators.
        n: number of pairs.
        dims: number of columns of x and of y.
        seconds: processor time.
    """

    mi: float
    lo: float | None
    hi: float | None
    method: str
    flags: tuple[str, ...] = ()
    readings: tuple[EstimatorReading, ...] = ()
    n: int = 0
    dims: tuple[int, int] = (0, 0)
    seconds: float = field(default=0.0, compare=False)

    @property
    def open_ended(self) -> bool:
        """Whether the truth may be anything above: `mi` is then the most that the estimator can give, and not an estimate."""
        return any(flag in (TOGETHER, RESOLUTION) or flag.startswith(SATURATION) for flag in self.flags)

    @property
    def _above(self) -> str:
        """The lower limit in words, where it says anything: every MI is above 0."""
        return f"above {self.lo:.3f}" if self.lo is not None and self.lo >= 0.0005 else ""

    def __float__(self) -> float:
        return self.mi

    def as_json(self) -> dict[str, Any]:
        """A dictionary for strict JSON: unknown values are None, never NaN."""
        found: dict[str, Any] = finite_or_none(asdict(self))
        for shown, reading in zip(found["readings"], self.readings, strict=True):
            shown["saturated"] = reading.saturated
        return found | {"open_ended": self.open_ended}

    def as_text(self) -> str:
        """A table for a terminal."""
        limits = "no interval"
        if self.lo is not None:
            limits = self._above or "no upper limit"
            if self.hi is not None:
                limits = f"95 % interval {self.lo:.3f} to {self.hi:.3f}"
        head = f"I(x; y) = {self.mi:.3f} nats ({limits}), by {self.method}, from {self.n} pairs"
        if self.open_ended:  # what is known goes before what is read
            known = f"is {self._above} nats (97.5 %), and how far above " if self._above else ""
            head = f"I(x; y) {known}cannot be told from {self.n} pairs; by {self.method} it reads {self.mi:.3f}"
        lines = [head]
        lines += [f"  ! {flag}" for flag in self.flags]
        if self.readings:
            lines += ["", f"  {'reading':34} {'nats':>8} {'se':>7} {'interval':>18} {'ceiling':>8} {'seconds':>8}"]
        for r in self.readings:
            interval = "" if r.lo is None else f"{r.lo:.3f} .. " + ("" if r.hi is None else f"{r.hi:.3f}")
            name = f"{r.name}" + (f" ({r.kind})" if r.kind != "estimate" else "")
            lines.append(
                f"  {name:34} {r.value:8.3f} {_number(r.se):>7} {interval:>18} {_number(r.ceiling):>8} {r.seconds:8.2f}"
                + ("  saturated" if r.saturated else "")
            )
        return "\n".join(lines)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
