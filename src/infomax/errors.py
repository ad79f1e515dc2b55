"""Errors that say what was asked, of what, and what to do; the command line prints them as one line."""

import difflib
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
