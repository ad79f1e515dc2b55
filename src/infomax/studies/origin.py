"""What the numbers of a study come from: machine, versions, the revision of the sources, and the command line."""

import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def commit() -> str | None:
    """The revision of the package's sources, where they lie in a git repository; with + where they were changed since."""
    at = Path(__file__)

    def git(*words: str) -> str:
        said = ["git", "-C", str(at.parent), *words]
        return subprocess.run(said, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        git(
            "ls-files", "--error-unmatch", at.name
        )  # an installed package can lie within a repository of something else
        return git("rev-parse", "--short", "HEAD") + "+" * bool(git("status", "--porcelain", "--", str(at.parents[1])))
    except (OSError, subprocess.SubprocessError):
        return None


def origin(*, command: bool = False) -> dict[str, Any]:
    """`environment` and `commit`, as every study's results hold them.

    Args:
        command: whether the environment holds the command line as it was typed here.
    """
    from infomax.training.run import environment

    return {"environment": {k: v for k, v in environment().items() if command or k != "command"}, "commit": commit()}


def typed(study: str, given: Mapping[str, Any], plain: Mapping[str, Any], *, out: str | None = None) -> str:
    """The command line that does the same; paths of this machine by their last part.

    Args:
        study: its name.
        given: options by name; None: not given; of a list each by itself.
        plain: values that need not be said.
        out: the folder, by default called as the study.

    Example:
        >>> typed("fig2", {"data": "/here/my photos", "size": None, "seeds": 3, "first_seed": 5}, {"seeds": 3})
        "infomax study fig2 --out fig2 --data 'my photos' --first-seed 5"
    """
    said = [f"infomax study {study} --out {out or study}"]
    for name, value in given.items():
        if value is None or value == plain.get(name):
            continue
        for each in map(str, value if isinstance(value, list | tuple) else [value]):
            short = Path(each).name if Path(each).is_absolute() else each
            said.append(f"--{name.replace('_', '-')} {shlex.quote(short)}")
    return " ".join(said)
