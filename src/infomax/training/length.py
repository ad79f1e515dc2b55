"""How long a run is: a number of updates, or as many as fit into some time."""

import re
import time

import torch

from infomax.compiled import Compiling
from infomax.errors import ConfigError
from infomax.parallel import by_rank, from_first, rank

UNITS = {"s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}
UNKNOWN = 1000  # updates that a run is taken to have until some of it has been timed
FEW = 10  # updates of a run by time below which its warm-up, a tenth, would not be one of them
PAST = 10  # updates before a stop that count in the pace of those after it, of which at first only one has been timed


def limit_of(budget: str) -> tuple[float, bool]:
    """A time as text: its seconds, and whether they are of the processor.

    Raises:
        ConfigError: for anything else.

    Example:
        >>> limit_of("5min"), limit_of("90s cpu")
        ((300.0, False), (90.0, True))
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|m|h)(\s*cpu)?", str(budget).strip())
    if found is None or float(found[1]) <= 0:
        raise ConfigError(
            f"budget={budget!r}: give a time such as '300s', '5min' or '2h', or of the processor, '300s cpu'"
        )
    return float(found[1]) * UNITS[found[2]], found[3] is not None


class Length:
    """How many updates a run has: known, or foreseen anew after each from the time that they take.

    With a time, updates done over updates foreseen is the share of the time that is spent, so that schedules end where
    the time does. A run ends before the update that would not fit; it has one at least.

    Of several processes the first one's clock counts, and all ask for `spent`, `last` and `total` together: they have one
    schedule, and end at one update. Time of the processor is that of all of them.

    Args:
        updates: of the whole run, where no time is given.
        budget: as in `limit_of`.

    Example:
        >>> ended = Length(0, "1h")
        >>> ended.take_up(7, 3600.0)
        >>> Length(30).total(7), ended.total(7)
        (30, 7)
    """

    def __init__(self, updates: int, budget: str | None = None) -> None:
        self.updates, self.limit, self._of_processor = updates, float("inf"), False
        if budget is not None:
            self.limit, self._of_processor = limit_of(budget)
        self._began = self._now()
        self._start, self._pace = 0, 0.0  # 0: not known
        self.paced = False
        """Whether totals rest on the time of updates; until then they hold a place."""
        self._first: tuple[int, float] | None = None  # the first update stands apart: what it compiles, others have

    def _now(self) -> float:
        """Seconds, but for those in which kernels were compiled: a run on a new machine is as long as on any other."""
        if self._of_processor:
            return time.process_time() - Compiling.processor
        return time.perf_counter() - Compiling.clock

    def take_up(self, step: int, spent: float, foreseen: int = 0) -> None:
        """Go on where so many updates are made and seconds gone.

        Args:
            step: updates made.
            spent: seconds gone.
            foreseen: the total as it last stood; 0: it is not known, and all updates take what those made took, unless that
                was the first alone.
        """
        if self.timed:
            past = spent if rank() == 0 or not self._of_processor else 0.0  # what all have spent is added up
            self._began, self._start, self._first = self._now() - past, step, None
            if foreseen > step:
                self._pace = (self.limit - spent) / (foreseen - step)
            else:
                self._pace = spent / step if step > 1 else 0.0
            self.paced = self._pace > 0

    @property
    def spent(self) -> float:
        """Seconds of the budget that are gone, the same in every process."""
        mine = self._now() - self._began
        if self._of_processor:
            return float(sum(by_rank(mine)))
        return from_first(torch.tensor([mine], dtype=torch.float64)).item()

    @property
    def timed(self) -> bool:
        """Whether a time was given."""
        return self.limit < float("inf")

    @property
    def known(self) -> bool:
        """Whether the total is one that can be shown, and no placeholder."""
        return not self.timed or self.paced

    @property
    def last(self) -> bool:
        """Whether no other update will fit after the one under way, told of the first two, which `total` cannot foresee."""
        if not self.timed or self.paced:
            return False
        spent = self.spent
        return spent + (spent / 10 if self._first is None else spent - self._first[1]) >= self.limit

    def total(self, step: int) -> int:
        """Updates of the whole run, as foreseen after `step` of them; `step` itself: it is at its end."""
        if not self.timed:
            return self.updates
        spent = self.spent
        if spent >= self.limit:
            return max(step, 1)
        if step == self._start:  # at least one more: it is an update that writes an epoch's row
            return max(step + round((self.limit - spent) / self._pace), step + 1) if self._pace else step + UNKNOWN
        if self._first is None:
            past = min(self._start, PAST) if self._pace else 0
            self._first = (step - past, spent - past * self._pace)
        before, then = self._first
        if step == before:
            return step + UNKNOWN
        self.paced = True
        return step + int((self.limit - spent) * (step - before) / max(spent - then, 1e-9))
