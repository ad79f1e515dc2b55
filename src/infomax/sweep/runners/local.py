"""Processes of this machine, one a cell: what one of them does to its memory or to a GPU ends with it."""

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Sequence
from multiprocessing import forkserver
from multiprocessing.connection import wait as wait_for
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from infomax.errors import ConfigError
from infomax.sweep.cell import complete, record
from infomax.sweep.folder import Folder
from infomax.sweep.runners import Work, room
from infomax.training.interrupt import Stopped
from infomax.words import many

LATEST = 10.0  # seconds that a process told to stop has to end in order, outside of training
SERVERS = 3
"""How often in a row the server of processes may be gone; each time another is begun, unless the sweep is told to stop, too."""


class Local:
    """Run cells in processes of this machine.

    A process that dies (killed, out of memory) leaves its checkpoint; its cell goes on in another, `retries` times.

    Args:
        work: `workers`: cells at once, by default as many as the GPUs hold; without one, one. Where `gpus` is said, never
            more than they hold.

    Raises:
        ConfigError: a cell asks for more GPUs than there are.
    """

    def __init__(self, work: Work) -> None:
        self.work, self.folder = work, Folder(work.folder)
        self.gpus = _gpus() if work.gpus != 0 else []
        share = work.gpus or 1.0
        held = room(len(self.gpus), share)
        if work.gpus and not held:
            raise ConfigError(
                f"a cell asks for {share:g} GPUs; this machine has {len(self.gpus)}: give a smaller --gpus"
            )
        self.slots = work.workers or max(1, held)
        if work.gpus:
            self.slots = min(self.slots, held)
        self._share = max(1, round(share)) if self.gpus else 0
        # a server that has imported torch forks a process a cell: seconds less for each, and nothing shared but code;
        # the first optimizer of a process imports torch._dynamo, which takes longer than all the rest
        method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
        self.context = multiprocessing.get_context(method)
        if method == "forkserver":
            self.context.set_forkserver_preload([__name__, "torch._dynamo"])
        self._queue: deque[str] = deque()
        self._live: dict[str, tuple[BaseProcess, int]] = {}
        self._deaths: dict[str, int] = {}
        self._refused = 0

    def submit(self, names: Sequence[str]) -> None:
        """Take cells on, and begin as many as there is room for."""
        self._queue.extend(names)
        self._fill()

    def wait(self, seconds: float) -> list[str]:
        """The cells that have ended; see `Runner.wait`."""
        ready = set(wait_for([process.sentinel for process, _ in self._live.values()], seconds))
        ended = []
        for name, (process, _) in list(self._live.items()):
            if process.sentinel in ready:
                process.join()
                del self._live[name]
                if process.exitcode == 0 or not self._again(name, process.exitcode):
                    ended.append(name)
        self._fill()
        return ended

    def stop(self) -> None:
        """Ask every process to stop at its next update, and wait for them; interrupted again, end them at once."""
        self._queue.clear()
        processes = [process for process, _ in self._live.values()]
        try:
            for process in processes:
                process.terminate()
            for process in processes:
                process.join()
        except KeyboardInterrupt:
            for process in processes:
                process.kill()
            raise
        finally:
            self._live.clear()

    def close(self) -> None:
        """Nothing is left to give back."""

    def _fill(self) -> None:
        while self._queue and len(self._live) < self.slots:
            name = self._queue.popleft()
            slot = min(set(range(self.slots)) - {taken for _, taken in self._live.values()})
            work = self.work
            arguments = (work.folder, name, work.threads, work.retry, self._visible(slot))
            process = self.context.Process(target=_run, args=arguments, name=f"infomax-{name}")  # type: ignore[attr-defined]
            try:
                if self.context.get_start_method() == "forkserver":
                    _begin_server()
                process.start()
            except (EOFError, ConnectionError):  # the server is gone, as where a whole group is told to stop
                self._refused += 1
                self._queue.appendleft(name)
                if self._refused > SERVERS:
                    raise ConfigError(
                        f"no process can be begun: the server that begins them was gone {many(self._refused, 'time')} in a row"
                    ) from None
                return
            self._refused = 0
            self._live[name] = (process, slot)

    def _visible(self, slot: int) -> str | None:
        """The GPUs of a slot, as CUDA_VISIBLE_DEVICES has them; None: as they are."""
        if not self.gpus:
            return "" if self.work.gpus == 0 else None
        if self._share > 1:
            return ",".join(self.gpus[slot * self._share : (slot + 1) * self._share])
        return self.gpus[slot % len(self.gpus)]

    def _again(self, name: str, code: int | None) -> bool:
        """Queue a cell once more whose process died; or write down that it died too often."""
        self._deaths[name] = self._deaths.get(name, 0) + 1
        if self._deaths[name] <= self.work.retries:
            self._queue.append(name)
            return True
        number = -code if code and code < 0 else code - 128 if code and code > 128 else 0  # the second: of `_leave`
        known = number in {one.value for one in signal.Signals}
        how = f"killed by {signal.Signals(number).name}" if known else f"exit status {code}"
        error = ChildProcessError(
            f"its process ended {many(self._deaths[name], 'time')} without a result, at last {how}: see "
            f"{self.folder.log(name)} (SIGKILL is most often the system, out of memory: fewer --workers, or a smaller batch)"
        )
        record(self.folder.cell(name), error)
        return False


def _run(path: Path, name: str, threads: int, retry: bool, visible: str | None) -> None:
    """What a process does: its cell, until it is done, told to stop, or alone."""
    if hasattr(os, "setsid"):
        os.setsid()  # Ctrl-C on a terminal is for the sweep, which passes it on once
    if visible is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which the server ignores
    # outside of training, which takes the signal over: killed by it, a process would leak the semaphore of its bars
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=_follow, daemon=True).start()
    try:
        complete(path, name, threads=threads, retry=retry)
    except Stopped as stopped:
        sys.exit(128 + stopped.number)


def _begin_server() -> None:
    """Begin the server that forks processes, where there is none, deaf to Ctrl-C: that is for the sweep, and would end the
    server by a traceback while it imports torch. What a process ignores as it is begun, it goes on to ignore.
    """
    if threading.current_thread() is not threading.main_thread():  # which alone may say so
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        forkserver.ensure_running()
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)


def _leave(number: int, _: Any) -> None:
    """Exit, soon at the latest: an exception within a destructor is passed over."""
    late = threading.Timer(LATEST, os._exit, (128 + number,))
    late.daemon = True
    late.start()
    sys.exit(128 + number)


def _follow() -> None:
    """Stop when the sweep is gone, however it went: nobody would tell this process to."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _gpus() -> list[str]:
    """The GPUs of this machine, by the names that CUDA_VISIBLE_DEVICES has for them."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()  # by the driver's library: no context is made here
    names = given.split(",") if given else [str(n) for n in range(count)]
    return names[:count]
