"""What the loops compiled by numba share: views (`views.fused`), partitions (`kernels.fused`), the metric's pass (`mi.fused`).

compiler      numba, its cache, memory as pointers
vectors       eight numbers at a time
exponentials  2^x and log y, of a vector's worth of numbers
pool          ranges of the work over threads
"""

import importlib
from functools import lru_cache


@lru_cache(maxsize=1)
def missing() -> str | None:
    """Tell why numba does not load here; None: it does."""
    try:
        importlib.import_module("numba")
    except ImportError as error:
        return str(error)
    return None
