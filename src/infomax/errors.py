"""Errors that say what was asked, of what, and what to do; the command line prints them as one line."""

import difflib
import functools
import inspect
import os
import sys
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
BETWEEN = ("infomax", "torch", "contextlib", "concurrent", "threading")
"""This package, and whose lines lie between its own: of none of them a warning shows a line."""


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


class Unreachable(InfomaxError, RuntimeError):
    """Another process of the same run is gone."""


def command(words: str) -> str:
    """A command of this package as it is typed here: by `uv run` where this one was.

    Example:
        >>> command("probe runs/photos").removeprefix("uv run ")
        'infomax probe runs/photos'
    """
    return ("uv run " if "UV_RUN_RECURSION_DEPTH" in os.environ else "") + f"infomax {words}"


def nearest(name: str, options: Iterable[str], otherwise: str = "") -> str:
    """Name the closest option, as the tail of an error message; where none is close, the hint `otherwise`.

    Example:
        >>> nearest("simclear", ["simclr", "byol"])
        "did you mean 'simclr'? (one of: byol, simclr)"
        >>> nearest("nothing", ["simclr", "byol"])
        'give one of: byol, simclr'
    """
    known = sorted(options)
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else otherwise
    listed = f"one of: {', '.join(repr(one) if ',' in one else one for one in known)}"
    return f"{hint}({listed})" if hint else f"give {listed}"


def beside(path: Path) -> str:
    """Name what is called nearly as a path that does not exist, in the same folder; nothing where there is none such.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     (Path(folder) / "photos").mkdir()
        ...     beside(Path(folder) / "fotos").replace(folder, "")
        "did you mean '/photos'? "
    """
    try:
        there = [p.name for p in path.parent.iterdir()]
    except OSError:
        return ""
    close = difflib.get_close_matches(path.name, there, n=1)
    return f"did you mean {str(path.parent / close[0])!r}? " if close else ""


def warn(said: str, category: type[Warning] = UserWarning) -> None:
    """Warn of what the user's own line has begun: that line stands below the warning, and none of this package's.

    Args:
        said: the warning.
        category: its class.
    """
    frame, level = sys._getframe(0).f_back, 2
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in BETWEEN:
        frame, level = frame.f_back, level + 1
    warnings.warn(said, category, stacklevel=level)  # in a thread there is no such line: Python then shows none


def known_options(function: Callable[P, R]) -> Callable[P, R]:
    """The same function, but that a keyword which it does not have is an error that names the nearest one.

    Example:
        >>> @known_options
        ... def train(data, *, epochs=1): ...
        >>> train("photos", epoch=2)
        Traceback (most recent call last):
            ...
        infomax.errors.ConfigError: 'train' has no option 'epoch': did you mean 'epochs'? (one of: data, epochs)
    """
    taken = inspect.signature(function).parameters
    known = [name for name, p in taken.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]

    @functools.wraps(function)
    def called(*args: P.args, **given: P.kwargs) -> R:
        for name in given:
            if name not in known:
                raise ConfigError(f"{function.__name__!r} has no option {name!r}: {nearest(name, known)}")
        return function(*args, **given)

    return called
