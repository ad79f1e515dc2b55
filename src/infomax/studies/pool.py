"""Many small trainings side by side, each in a process that lives on: one that fails is an answer, and stops no other.

The children are plain ones that read jobs from their input and write answers to their output, so that, unlike with
multiprocessing, the user's own script is not run again in every child.
"""

import contextlib
import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Any, NamedTuple

from infomax.data.machine import cores
from infomax.errors import ConfigError
from infomax.progress import meter, watched
from infomax.studies.folder import Kept
from infomax.words import many

Child = subprocess.Popen[bytes]


class Answer(NamedTuple):
    """What a job gave, or the error that it ended with."""

    value: Any = None
    error: str | None = None


def answer(function: Callable[[Any], Any], job: Any) -> Answer:
    """Do one job; whatever goes wrong in it is written down.

    Example:
        >>> answer(lambda x: 1 / x, 0)
        Answer(value=None, error='ZeroDivisionError: division by zero')
    """
    try:
        return Answer(function(job))
    except Exception as error:
        return Answer(error=f"{type(error).__name__}: {' '.join(str(error).split())}")


def run_kept(
    function: Callable[[Any], Any],
    jobs: Sequence[Any],
    workers: int | None,
    kept: Kept,
    what: str,
    progress: bool = True,
) -> list[Answer]:
    """`run_all` beside a bar of that name, which begins where an earlier life of the study ended."""
    known = kept.count(jobs)
    before = f"{many(known, 'run')} kept from before" if known else None
    delay = 2 if watched() else 0  # a file shows at once what is begun: the first run may take minutes
    with meter(
        total=len(jobs), initial=known, postfix=before, disable=not progress, desc=what, unit="run", delay=delay
    ) as bar:
        return run_all(function, jobs, workers, bar.update, kept)


def run_all(
    function: Callable[[Any], Any],
    jobs: Sequence[Any],
    workers: int | None = None,
    tell: Callable[[], object] = lambda: None,
    kept: Kept | None = None,
) -> list[Answer]:
    """Do every job, the first ones first, and give the answers in the order of the jobs.

    Args:
        function: of a job; one that can be imported, as its name is what a child is told.
        jobs: what can be pickled.
        workers: processes; None: one a core. 1: in this one.
        tell: called after every job that is done, in this thread.
        kept: answers of an earlier life, which are taken from there; the others are written to it.

    Raises:
        ConfigError: fewer than one process.
    """
    if workers is not None and workers < 1:
        raise ConfigError(f"workers={workers}: give at least 1, or leave it out for one a core")
    answers: dict[int, Answer] = {}
    for k, job in enumerate(jobs):
        if kept is not None and (value := kept.found(job)) is not None:
            answers[k] = Answer(value)
    open_ = {k: job for k, job in enumerate(jobs) if k not in answers}

    def done(k: int, found: Answer) -> None:
        if kept is not None and found.error is None:
            kept.keep(jobs[k], found.value)
        answers[k] = found
        tell()

    workers = min(workers or cores(), len(open_))
    if workers <= 1:
        for k, job in open_.items():
            done(k, answer(function, job))
        return [answers[k] for k in range(len(jobs))]
    with _children(workers) as idle, _threads(workers) as threads:

        def do(job: Any) -> Answer:
            child = idle.get()
            try:
                pickle.dump((function, job), child.stdin)
                child.stdin.flush()
                found: Answer = pickle.load(child.stdout)
            except (EOFError, BrokenPipeError, pickle.UnpicklingError):
                found = Answer(error=f"its process ended early, with status {child.wait()}")
                child = idle.begin()
            idle.put(child)
            return found

        waiting = {threads.submit(do, job): k for k, job in open_.items()}
        for ended in as_completed(waiting):
            done(waiting[ended], ended.result())
    return [answers[k] for k in range(len(jobs))]


class _Idle(queue.SimpleQueue[Any]):
    """Children that wait for a job."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[Child] = []
        self.lock, self.closed = threading.Lock(), False

    def begin(self) -> Child:
        """Another child."""
        with self.lock:
            if self.closed:
                raise RuntimeError("the pool is closed: no child is begun")
            child = subprocess.Popen(
                [sys.executable, "-c", "from infomax.studies.pool import main; main()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                start_new_session=True,  # Ctrl-C is answered by the parent alone, which then ends its children
            )
            self.all.append(child)
        return child


@contextmanager
def _children(count: int) -> Iterator[_Idle]:
    idle = _Idle()
    try:
        for _ in range(count):
            idle.put(idle.begin())
        yield idle
    finally:
        with idle.lock:
            idle.closed = True
        for child in idle.all:
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):  # a job that it did not live to read
                        pipe.close()


@contextmanager
def _threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that, where the parent is stopped, begin nothing more and are not waited for."""
    threads = ThreadPoolExecutor(count)
    try:
        yield threads
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


def main() -> None:
    """Do what comes in on the standard input until that ends."""
    import torch

    torch.set_num_threads(1)
    jobs, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # what a job prints must not fall among the answers
    while True:
        try:
            function, job = pickle.load(jobs)
        except EOFError:
            return
        pickle.dump(answer(function, job), answers)
        answers.flush()
