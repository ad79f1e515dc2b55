"""Work on ranges over plain threads that wait between calls."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

from infomax.errors import ConfigError

_CHUNKS = 4
"""Ranges a thread: the slowest one then delays the others by little."""


class _State:
    asked: int | None = None
    pool: ThreadPoolExecutor | None = None
    pool_size = 0
    lock = threading.Lock()  # views may be made on a thread of their own while the other passes over scores


def threads(n: int | None = None) -> int:
    """Tell, and with `n` set, how many threads the compiled loops use on the CPU.

    No byte of a view depends on it; of a log-partition of thousands of rows the last bits do.

    Args:
        n: number of threads from now on; 0 goes back to the default, `torch.get_num_threads()`.

    Returns:
        The number in force.

    Raises:
        ConfigError: a negative number.

    Example:
        >>> threads(2), threads()
        (2, 2)
        >>> threads(0) == torch.get_num_threads()
        True
    """
    if n is not None:
        if n < 0:
            raise ConfigError(f"threads={n}: give 1 or more, or 0 for torch's number")
        _State.asked = n or None
    return _State.asked or torch.get_num_threads()


def split(n: int, work: Callable[[int, int], object]) -> None:
    """Call `work(start, stop)` on ranges that cover 0..n-1, over as many threads as `threads()` says."""
    workers = threads()
    if min(workers, n) <= 1:
        work(0, n)
        return
    pieces = min(n, workers * _CHUNKS)
    edges = [n * k // pieces for k in range(pieces + 1)]
    with _State.lock:
        if _State.pool is None or _State.pool_size != workers:
            forget()
            _State.pool, _State.pool_size = ThreadPoolExecutor(workers, "infomax"), workers
        # handed over under the lock, so that no other caller closes the pool before
        done = _State.pool.map(work, edges[:-1], edges[1:])
    for _ in done:
        pass


def forget() -> None:
    """Let the threads go."""
    if _State.pool is not None:
        _State.pool.shutdown(wait=False)
    _State.pool = None


def _after_fork() -> None:
    # The parent's threads do not exist in a forked loader worker, so there is nothing to shut down.
    _State.pool, _State.lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_after_fork)
