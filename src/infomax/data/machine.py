"""What this machine can hold and how many hands it has: nothing here changes a number, only where and when it is made."""

import os
import platform
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from infomax.errors import ConfigError

SHARE = 0.4
"""The part of the free memory that decoded images may take."""

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_MEMINFO, _CGROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")


def budget() -> int:
    """Bytes of decoded images that this process may keep: the environment's INFOMAX_MEMORY, such as `8GB` or `0`; else
    `SHARE` of the memory that is free now, divided among the processes of this machine.

    Raises:
        ConfigError: an INFOMAX_MEMORY that is no size.

    Example:
        >>> budget() > 0
        True
    """
    asked = os.environ.get("INFOMAX_MEMORY")
    if asked is None:
        return int(SHARE * free_memory()) // _processes()
    number = asked.strip().lower().removesuffix("b").strip()
    unit = number[-1:] if number[-1:] in "kmgt" else ""
    try:
        return int(float(number.removesuffix(unit)) * _UNITS[unit])
    except (ValueError, OverflowError):
        raise ConfigError(f"INFOMAX_MEMORY={asked!r}: give bytes, such as 0, 500MB or 8GB") from None


def free_memory() -> int:
    """Bytes that can be had without pushing others out, as far as the system and the container's limit say."""
    if _MEMINFO.is_file():
        lines = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines())
        free = int(lines["MemAvailable"].split()[0]) * 1024
    elif "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):
        free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    else:
        free = 4 * 10**9
    most, used = _CGROUP / "memory.max", _CGROUP / "memory.current"
    if most.is_file() and used.is_file() and most.read_text().strip() != "max":
        free = min(free, max(int(most.read_text()) - int(used.read_text()), 0))
    return free


def processor() -> str:
    """The processor by its model's name, where the system tells it; else its architecture."""
    with suppress(OSError), Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def cores() -> int:
    """Cores that this process may use."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(here // _processes(), 1)


@lru_cache(maxsize=1)
def decoders() -> ThreadPoolExecutor:
    """The threads that decode: one a core, up to 16, since Pillow lets go of the interpreter while it decodes."""
    return ThreadPoolExecutor(min(16, cores()), "infomax-decode")


@lru_cache(maxsize=1)
def readers() -> ThreadPoolExecutor:
    """The threads that wait for a disk or a network: they cost no core, and never keep a decoder waiting behind them."""
    return ThreadPoolExecutor(16, "infomax-read")


if hasattr(os, "register_at_fork"):  # a forked process has none of its parent's threads
    os.register_at_fork(after_in_child=decoders.cache_clear)
    os.register_at_fork(after_in_child=readers.cache_clear)


def _processes() -> int:
    return int(os.environ.get("LOCAL_WORLD_SIZE", 1))
