"""Whether both of two encoders that climb in turn have had a turn, in a loop of the user's own."""

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from infomax.clock import Clock
from infomax.errors import warn
from infomax.target import Twin

if TYPE_CHECKING:
    from infomax.learner import Learner

FIRST_ALONE = 100
"""Updates without a clock after which it is said that of two encoders the first one alone has climbed."""

_FIRST_ALONE: "WeakKeyDictionary[Learner, int]" = WeakKeyDictionary()
"""Updates without a clock of learners of two encoders while the first one alone has climbed; -1: nothing is to be said."""


def in_turn(learner: "Learner") -> None:
    """Note that a loop is driven by the order of the target, so that both of two encoders will have climbed."""
    _FIRST_ALONE[learner] = -1


def takes_turns(learner: "Learner", clock: Clock) -> None:
    """Warn where a second encoder that is to climb never does, since no clock has phase 1.

    Args:
        learner: of an update that is about to be made.
        clock: of that update.

    Warns:
        UserWarning: once, at the clock's end, or after `FIRST_ALONE` updates without a clock.
    """
    so_far = _FIRST_ALONE.get(learner, 0)
    if not isinstance(learner.target, Twin) or learner.g is None or so_far < 0:
        return
    if clock.phase or not any(p.requires_grad for p in learner.g.parameters()):  # a teacher that stands still
        in_turn(learner)
        return
    _FIRST_ALONE[learner] = so_far + (clock == Clock())
    if 1 < clock.total <= clock.step + 1 or _FIRST_ALONE[learner] == FIRST_ALONE:
        in_turn(learner)
        warn(
            f"{learner.name!r} has two encoders that climb in turn, and all updates so far had phase 0: the second one has not "
            "moved. Its turns are in learner.target.order(batches), the (batch, phase) of an epoch's updates: give "
            "im.Clock(number, total=..., phase=phase)"
        )
