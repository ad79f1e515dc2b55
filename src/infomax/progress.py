"""Progress bars: quick ones for eyes, and slow ones for a file."""

import os
import sys
from typing import Any

from tqdm.auto import tqdm

SELDOM = 30.0
"""Seconds between two states of a bar that nobody watches: a night's log is then a few hundred lines, and not a million."""


def watched() -> bool:
    """Whether the error stream, where bars are drawn, is a terminal or a notebook."""
    return sys.stderr.isatty() or "ipykernel" in sys.modules


def _without_width() -> bool:
    """Whether bars are drawn on a terminal that gives its width as 0, as those of some containers and programs do."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns == 0
    except (AttributeError, OSError, ValueError):  # no terminal
        return False


def say(line: str) -> None:
    """Write a line on the error stream, above the bars that are drawn there."""
    tqdm.write(line, file=sys.stderr)
    sys.stderr.flush()


def meter(*args: Any, **options: Any) -> "tqdm[Any]":
    """A bar as tqdm makes it of these arguments; where nobody watches it is drawn every half a minute at most, once it shows.

    On a terminal that does not know its size it takes 80 columns.

    One that goes on (`initial`) is drawn at once, without its delay, so that where it goes on is seen.

    Example:
        >>> with meter(total=3, disable=True) as bar:
        ...     bar.update()
    """
    if not watched():
        options |= {
            "mininterval": SELDOM,
            "maxinterval": SELDOM,
            "smoothing": 0,
        }  # the mean rate: few states, far apart
    if _without_width():
        options = {"ncols": 80, "nrows": 24} | options
    if options.get("initial"):
        options["delay"] = 0
    bar, delay = tqdm(*args, **options), options.get("delay", 0)
    if delay and not watched() and not bar.disable:  # it shows after its delay, and not half a minute later
        bar.last_print_t = bar.start_t + delay - SELDOM
    return bar


def whole(bar: "tqdm[Any]", delay: float) -> None:
    """Draw the last state of a bar that is cleared as it ends, where it shows: in a file an earlier one would be the last."""
    if not bar.disable and bar.last_print_t >= bar.start_t + delay:
        bar.refresh()


def lasts(bar: "tqdm[Any]", total: int) -> None:
    """Give a bar another length; in a notebook it is a widget's, too, which keeps the one that it was made with."""
    bar.total = total
    if (widgets := getattr(bar, "container", None)) is not None:
        drawn = widgets.children[1]
        drawn.max, drawn.bar_style = total, ""
