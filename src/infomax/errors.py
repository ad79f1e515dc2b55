"""Errors that say what was asked, of what, and what to do; the command line prints them as one line."""

import difflib
import os
from collections.abc import Iterable


class InfomaxError(Exception):
    """Base of every error that a user can mend."""


class ConfigError(InfomaxError, ValueError):
    """A name, option or combination of options that does not exist or cannot work."""


class DataError(InfomaxError, ValueError):
    """Data that is missing, empty, corrupt or of the wrong shape."""


class NoSuchSplit(DataError):
    """Whole data that have no part of the name asked for, such as `test`."""


class NumericsError(InfomaxError, ArithmeticError):
    """A NaN or infinity, or a batch on which an objective is not defined."""


def command(words: str) -> str:
    """A command of this package as it is typed here: by `uv run` where this one was.

    Example:
        >>> command("probe runs/photos").removeprefix("uv run ")
        'infomax probe runs/photos'
    """
    return ("uv run " if "UV_RUN_RECURSION_DEPTH" in os.environ else "") + f"infomax {words}"


def nearest(name: str, options: Iterable[str]) -> str:
    """Name the closest option, as the tail of an error message.

    Example:
        >>> nearest("simclear", ["simclr", "byol"])
        "did you mean 'simclr'? (one of: byol, simclr)"
    """
    known = sorted(options)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}(one of: {', '.join(known)})"
