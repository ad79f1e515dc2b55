"""Freed memory is kept for the next update, where the processor trains.

An update allocates what the one before has freed: activations, gradients. The C library hands much of it back to the
system, which takes the pages away and fills new ones with zeros when the next update asks: up to a tenth of the update's
time, or nothing, as the last block of the heap is free or not, which hangs on all that was allocated before.
"""

import ctypes
import functools
import os
import sys

KEPT = 2**31 - 1
"""Bytes that may lie free at the end of the heap before it shrinks; the most that can be said."""
ALONE = 32 * 2**20
"""Bytes from which on a piece is mapped by itself, and unmapped when freed; the most that is taken."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h


@functools.cache
def keep_freed() -> bool:
    """Have this process keep what it frees, up to two GiB, for what it allocates next; once, and for as long as it lives.

    The most that it holds at a time hardly changes. Only glibc is told, the C library of most Linux systems, and only where
    nobody else has told it how to allocate (`MALLOC_...`, `GLIBC_TUNABLES`).

    Returns:
        Whether it does.

    Example:
        >>> keep_freed() == keep_freed()
        True
    """
    told = any(name.startswith("MALLOC_") for name in os.environ)
    if told or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return False
    library = _glibc()
    return library is not None and bool(
        library.mallopt(M_MMAP_THRESHOLD, ALONE) and library.mallopt(M_TRIM_THRESHOLD, KEPT)
    )


def give_back() -> None:
    """Return to the system what lies free, where it was kept: at the end of a run."""
    library = _glibc() if keep_freed.cache_info().currsize and keep_freed() else None
    if library is not None:
        library.malloc_trim(0)


@functools.cache
def _glibc() -> ctypes.CDLL | None:
    library = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
    return library if hasattr(library, "gnu_get_libc_version") else None
