"""What the figures of a benchmark come from: machine, cores, torch, revision of the sources, command.

from origin import origin  # in a script beside this one, run as python benchmarks/NAME.py
"""

import platform
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from infomax.data.machine import cores
from infomax.data.machine import processor as machine

ROOT = Path(__file__).resolve().parents[1]


def commit() -> str | None:
    """The revision of the sources and the scripts, with + where they were changed since; None outside a repository."""

    def git(*words: str) -> str:
        said = ["git", "-C", str(ROOT), *words]
        return subprocess.run(said, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        return git("rev-parse", "--short", "HEAD") + "+" * bool(git("status", "--porcelain", "--", "src", "*.py"))
    except (OSError, subprocess.SubprocessError):
        return None


def command() -> str:
    """The command line; a path of this machine by its last part."""
    words = [re.sub("(^|=)/.*/", r"\1", word.rstrip("/")) for word in sys.argv[1:]]
    return shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *words])


def origin() -> dict[str, Any]:
    """All of it, by name, as the results of a benchmark hold it."""
    return {
        "machine": machine(),
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "commit": commit(),
        "command": command(),
    }
