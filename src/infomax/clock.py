"""The position within a run: the only thing besides the views that an update may depend on."""

from typing import NamedTuple


class Clock(NamedTuple):
    """The position of one update within a run.

    Args:
        step: number of updates made before this one.
        steps_per_epoch: number of updates per epoch (for the two-encoder prototype: its E-pass and M-pass together).
        total: number of updates in the whole run, at which schedules end. Give it whenever you count `step`.
        phase: which block of parameters is trained: 0 = E-step (f), 1 = M-step (g).

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
        """Number of complete epochs."""
        return self.step // self.steps_per_epoch

    @property
    def progress(self) -> float:
        """Share of the run that is done, in [0, 1]."""
        return min(self.step / self.total, 1.0)
