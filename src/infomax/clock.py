"""Where a run stands: the only thing besides the views that a step may depend on."""

from typing import NamedTuple


class Clock(NamedTuple):
    """The position of one update within a run.

    Args:
        step: updates done before this one.
        steps_per_epoch: updates an epoch (for the two-encoder prototype: its E- and its M-pass together).
        total: updates of the whole run. Schedules have ended from there on: give it wherever `step` counts.
        phase: which block of parameters climbs: 0 = E-step (f), 1 = M-step (g).

    Example:
        >>> Clock(step=25, steps_per_epoch=10, total=100).epoch
        2
    """

    step: int = 0
    steps_per_epoch: int = 1
    total: int = 1
    phase: int = 0

    @property
    def epoch(self) -> int:
        """Whole epochs done."""
        return self.step // self.steps_per_epoch

    @property
    def progress(self) -> float:
        """Share of the run that is done, in [0, 1]."""
        return min(self.step / self.total, 1.0)
