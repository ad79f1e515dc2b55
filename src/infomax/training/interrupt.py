"""Stopping a run between two updates, when to write a checkpoint, and what is said where another process is gone."""

import os
import re
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from types import FrameType

from infomax.errors import ConfigError, InfomaxError, Unreachable, full
from infomax.parallel import gone, rank
from infomax.progress import say
from infomax.training.checkpoint import step_of, written
from infomax.training.folder import again
from infomax.training.length import UNITS

SIGNALS = (signal.SIGINT, signal.SIGTERM)

ONE_REQUEST = 1.0
"""Seconds in which further signals mean the same: SLURM, `timeout` and shells send one to a process and to its group, or
SIGINT and SIGTERM together, and the checkpoint would be lost."""

UNWOUND = 1.0
"""Seconds that a command has, interrupted for the second time, to end by itself: less than it takes to ask again."""


class Stopped(KeyboardInterrupt):
    """A run was asked to stop by Ctrl-C or SIGTERM; its checkpoint is written.

    Args:
        message: where it stands and how it continues.
        number: of the signal.
        ended: whether the run had its last update all the same, and nothing of it is left to continue.
    """

    def __init__(self, message: str, number: int, *, ended: bool = False) -> None:
        super().__init__(message)
        self.number, self.ended = number, ended


class _Process:
    whole = False  # whether it is the command's own, which may be ended; a notebook's or a script's is not
    listens = False  # whether signals are heard by a thread


@contextmanager
def whole_process() -> Iterator[None]:
    """The process does nothing but this meanwhile, so that a second signal may end it in the middle of a call of C."""
    was, _Process.whole = _Process.whole, True
    try:
        yield
    finally:
        _Process.whole = was


def leave(number: int) -> None:
    """End the command's own process now, with the status of a signal: its own end may take seconds."""
    if _Process.whole:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(128 + number)


@contextmanager
def noted_signals(path: Path | None, *, said: bool = False) -> Iterator[list[int]]:
    """Note Ctrl-C and SIGTERM in a list, for the loop to see after its update; a second one, later, interrupts at once.

    Only the main thread can, and may, take signals over; elsewhere the list stays empty.

    Args:
        path: the folder in which what was asked to stop is kept; None: nothing is noted.
        said: of a run, whose updates may be long: say after a second that it will stop, in the first process; and where the
            process is the command's own, end it at the second signal although a call of C goes on.
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

    if path is None or threading.current_thread() is not threading.main_thread():
        yield seen
        return
    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        with _heard_at_once(path) if said else nullcontext():
            yield seen
    finally:
        for number, handler in before.items():
            if handler is not None:  # else it was set by no Python (in R, or Julia), which cannot set it back
                signal.signal(number, handler)


def _deaf() -> None:
    """In a process that is forked off a run: its signals are not the run's."""
    if _Process.listens:
        signal.set_wakeup_fd(-1)
        _Process.listens = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_deaf)


@contextmanager
def _heard_at_once(path: Path) -> Iterator[None]:
    """Answer signals from a thread: Python calls their handlers in the main one alone, between two calls of C."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    if (was := signal.set_wakeup_fd(ours.fileno(), warn_on_full_buffer=False)) != -1:  # somebody else listens
        signal.set_wakeup_fd(was)
        ours.close()
        theirs.close()
        yield
        return
    over = threading.Event()

    def answer() -> None:
        asked = False
        while heard := theirs.recv(64):
            if not any(number in SIGNALS for number in heard):
                continue
            if over.wait(UNWOUND if asked else ONE_REQUEST):
                return
            if asked and _Process.whole:
                _end(path, next(number for number in heard if number in SIGNALS))
            if not asked and rank() == 0:
                twice = "; Ctrl-C again ends it at once, as of the last checkpoint" if _Process.whole else ""
                say(f"infomax: stopping at the end of this update, with a checkpoint{twice}")
            asked = True
            if select.select([theirs], [], [], 0)[0]:  # what came within that second is the same request
                theirs.recv(64)

    thread = threading.Thread(target=answer, name="infomax-signals", daemon=True)
    thread.start()
    _Process.listens = True
    try:
        yield
    finally:
        signal.set_wakeup_fd(-1)
        _Process.listens = False
        over.set()
        ours.shutdown(
            socket.SHUT_RDWR
        )  # a process that was forked meanwhile holds it, too: to close it here is not enough
        ours.close()
        thread.join()
        theirs.close()


def _end(path: Path, number: int) -> None:
    """End the process. What it wrote is whole: files are put in place by their names, and a line of a log by one call."""
    if rank() == 0:
        on = f"to go on from its last checkpoint: {again(path)}"
        what = on if written(path) else "it had no checkpoint yet, and the same command begins it anew"
        print(f"\ninfomax: stopped at once; {what}", file=sys.stderr, flush=True)
    leave(number)


def interval(every: int | str) -> Callable[[int], bool]:
    """Whether a checkpoint is due after so many updates.

    Args:
        every: a number of updates (0: none in between), or a time such as "90s", "10min" or "1h".

    Raises:
        ConfigError: for anything else.

    Example:
        >>> due = interval(3)
        >>> [due(step) for step in (1, 2, 3, 4, 5, 6)]
        [False, False, True, False, False, True]
    """
    if (isinstance(every, int) and not isinstance(every, bool)) or str(every).isdecimal():
        steps = int(every)
        if steps < 0:
            raise ConfigError(f"checkpoint_every={every}: give a number of updates, or a time such as '90s' or '10min'")
        return lambda step: steps > 0 and step % steps == 0
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|m|h)", str(every))
    if found is None or not float(found[1]):
        raise ConfigError(f"checkpoint_every={every!r}: give a number of updates, or a time such as '90s' or '10min'")
    seconds, last = float(found[1]) * UNITS[found[2]], time.monotonic()

    def due(step: int) -> bool:
        nonlocal last
        if time.monotonic() - last < seconds:
            return False
        last = time.monotonic()
        return True

    return due


@contextmanager
def outliving(path: Path | None) -> Iterator[None]:
    """Say of a collective that fails which process is gone, and how the run in a folder goes on; of a full disk, too, how.

    Raises:
        Unreachable: with what torch raised as its cause.
    """
    try:
        yield
    except InfomaxError as error:
        if isinstance(error.__cause__, OSError) and full(error.__cause__) and path is not None and written(path):
            raise type(error)(f"{error}; free some space, then: {again(path)}") from error.__cause__
        raise
    except RuntimeError as error:
        if (other := gone(error)) is None:
            raise
        what = "the run had no checkpoint yet: begin it anew"
        if path is not None and (kept := written(path)):
            what = f"{path} holds the checkpoint of update {step_of(kept[-1])}; to go on: {again(path)}"
        raise Unreachable(
            f"{other} cannot be reached any more, as it was killed (out of memory, most often), has failed, or its machine is "
            f"gone; {what}"
        ) from error
