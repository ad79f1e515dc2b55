"""Train jobs in processes of their own, one thread each: small operations do not share a process well.

The workers are plain children that read jobs from their input and write results to their output, so that, unlike with
multiprocessing, the user's own script is not run again in every child.
"""

import contextlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

import torch

from infomax.errors import InfomaxError
from infomax.studies.toy.jobs import Job
from infomax.studies.toy.train import Arrays, train

Child = subprocess.Popen[bytes]


def run_all(jobs: Iterable[Job], workers: int, tell: Callable[[Job], None]) -> dict[Job, Arrays]:
    """Train every job, the dearest first.

    Args:
        jobs: what to train; equal ones once.
        workers: processes; 1: in this one.
        tell: called after every epoch of any job, in this thread.

    Raises:
        NumericsError: as the job's own `train` raised it. RuntimeError: a worker died.
    """
    waiting = sorted(set(jobs), key=lambda job: -job.cost)
    if min(workers, len(waiting)) <= 1:
        return {job: train(job, lambda job=job: tell(job)) for job in waiting}  # type: ignore[misc]
    results: dict[Job, Arrays] = {}
    messages: queue.Queue[tuple[int, Any]] = queue.Queue()
    total = len(waiting)
    children = [_start() for _ in range(min(workers, total))]
    try:
        for k, child in enumerate(children):
            threading.Thread(target=_listen, args=(k, child, messages), daemon=True).start()
            _send(child, waiting.pop(0))
        while len(results) < total:
            k, (kind, job, content) = messages.get()
            if kind == "epoch":
                tell(job)
            elif kind == "done":
                results[job] = content
                if waiting:
                    _send(children[k], waiting.pop(0))
            elif kind == "failed":
                raise content
            else:
                raise RuntimeError(f"a worker of the toy study ended early, with status {children[k].wait()}")
    finally:
        for child in children:
            child.kill()
        for child in children:
            child.wait()
            if child.stdin is not None:
                with contextlib.suppress(BrokenPipeError):  # a job that it did not live to read
                    child.stdin.close()
    return results


def _start() -> Child:
    return subprocess.Popen(
        [sys.executable, "-c", "from infomax.studies.toy.worker import main; main()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        start_new_session=True,  # Ctrl-C is answered by the parent alone, which then ends its children
    )


def _send(child: Child, job: Job) -> None:
    assert child.stdin is not None
    pickle.dump(job, child.stdin)
    child.stdin.flush()


def _listen(k: int, child: Child, messages: "queue.Queue[tuple[int, Any]]") -> None:
    assert child.stdout is not None
    with child.stdout, contextlib.suppress(EOFError, pickle.UnpicklingError):  # both: the child has ended
        while True:
            messages.put((k, pickle.load(child.stdout)))
    messages.put((k, ("ended", None, None)))


def main() -> None:
    """Train what comes in on the standard input until that ends."""
    torch.set_num_threads(1)
    if hasattr(signal, "SIGPIPE"):  # the parent is gone: end quietly
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    jobs, results = sys.stdin.buffer, sys.stdout.buffer

    def say(*message: Any) -> None:
        pickle.dump(message, results)
        results.flush()

    while True:
        try:
            job = pickle.load(jobs)
        except EOFError:
            return
        try:
            say("done", job, train(job, lambda job=job: say("epoch", job, None)))  # type: ignore[misc]
        except InfomaxError as error:
            say("failed", job, error)
