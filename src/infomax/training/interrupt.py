"""Stopping a run between two updates, when to write a checkpoint, and what is said where another process is gone."""

import re
import shlex
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from infomax.errors import ConfigError, InfomaxError, Unreachable, command
from infomax.parallel import gone
from infomax.training.checkpoint import step_of, written

SIGNALS = (signal.SIGINT, signal.SIGTERM)

ONE_REQUEST = 1.0
"""Seconds in which further signals mean the same: SLURM, `timeout` and shells send one to a process and to its group, or
SIGINT and SIGTERM together, and the checkpoint would be lost."""


class Stopped(KeyboardInterrupt):
    """A run was asked to stop by Ctrl-C or SIGTERM; its checkpoint is written.

    Args:
        message: where it stands and how it continues.
        number: of the signal.
    """

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.number = number


@contextmanager
def noted_signals(active: bool) -> Iterator[list[int]]:
    """Note Ctrl-C and SIGTERM in a list, for the loop to see after its update; a second one, later, interrupts at once.

    Only the main thread can, and may, take signals over; elsewhere the list stays empty.
    """
    seen: list[int] = []
    first = 0.0

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal first
        if not seen:
            first = time.monotonic()
            seen.append(number)
        elif time.monotonic() - first > ONE_REQUEST:
            raise KeyboardInterrupt

    if not active or threading.current_thread() is not threading.main_thread():
        yield seen
        return
    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield seen
    finally:
        for number, handler in before.items():
            if handler is not None:  # else it was set by no Python (in R, or Julia), which cannot set it back
                signal.signal(number, handler)


def interval(every: int | str) -> Callable[[int], bool]:
    """Whether a checkpoint is due after so many updates.

    Args:
        every: a number of updates (0: none in between), or of minutes, as in "10min".

    Raises:
        ConfigError: for anything else.

    Example:
        >>> due = interval(3)
        >>> [due(step) for step in (1, 2, 3, 4, 5, 6)]
        [False, False, True, False, False, True]
    """
    if isinstance(every, int) or str(every).isdigit():
        steps = int(every)
        if steps < 0:
            raise ConfigError(f"checkpoint_every={every}: give a number of updates, or of minutes as in '10min'")
        return lambda step: steps > 0 and step % steps == 0
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*m(?:in)?", str(every))
    if found is None:
        raise ConfigError(f"checkpoint_every={every!r}: give a number of updates, or of minutes as in '10min'")
    seconds, last = 60 * float(found[1]), time.monotonic()

    def due(step: int) -> bool:
        nonlocal last
        if time.monotonic() - last < seconds:
            return False
        last = time.monotonic()
        return True

    return due


@contextmanager
def outliving(path: Path | None) -> Iterator[None]:
    """Say of a collective that fails which process is gone, and how the run in a folder goes on.

    Raises:
        Unreachable: with what torch raised as its cause.
    """
    try:
        yield
    except InfomaxError:
        raise
    except RuntimeError as error:
        if (other := gone(error)) is None:
            raise
        kept = written(path) if path is not None else []
        what = "the run had no checkpoint yet: begin it anew"
        if kept:
            again = command(f"train --resume {shlex.quote(str(path))}")
            what = f"{path} holds the checkpoint of update {step_of(kept[-1])}; to go on: {again}"
        raise Unreachable(
            f"{other} cannot be reached any more, as it was killed (out of memory, most often), has failed, or its machine is "
            f"gone; {what}"
        ) from error
