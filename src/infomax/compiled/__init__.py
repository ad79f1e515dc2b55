"""What the loops compiled by numba share: views (`views.fused`), partitions (`kernels.fused`), the metric's pass (`mi.fused`).

compiler      numba, its cache, memory as pointers
vectors       eight numbers at a time
exponentials  2^x and log y, of a vector's worth of numbers
pool          ranges of the work over threads
"""

import gc
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache


class Compiling:
    """Seconds in which this process has compiled, of the clock and of the processor: once a machine, so on no run's budget."""

    clock = processor = 0.0


@lru_cache(maxsize=1)
def missing() -> str | None:
    """Tell why numba does not load here; None: it does."""
    try:
        with uncollected():
            importlib.import_module("numba")
    except ImportError as error:
        return str(error)
    return None


@contextmanager
def uncollected() -> Iterator[None]:
    """Load without the garbage collector: there is no garbage, and each of its passes walks through all of torch."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
