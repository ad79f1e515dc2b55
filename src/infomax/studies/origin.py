"""What the numbers of a study come from: machine, versions, and the revision of the sources."""

import subprocess
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
