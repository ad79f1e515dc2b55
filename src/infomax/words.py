"""Numbers and the words beside them, for whatever is printed or stands on a page."""

from collections.abc import Iterable
from typing import Any


def many(number: int, word: str, words: str | None = None) -> str:
    """A number with its word, which is one of many where it should be.

    Args:
        number: how many.
        word: of one.
        words: of several, where that is not the word with an s.

    Example:
        >>> many(1, "seed"), many(12_000, "seed"), many(0, "class", "classes")
        ('1 seed', '12,000 seeds', '0 classes')
    """
    return f"{number:,} {word if number == 1 else words or word + 's'}"


def with_dashes(widths: Iterable[Any]) -> str:
    """The widths of a head's layers as the command line has them.

    Example:
        >>> with_dashes([128, 64]), with_dashes([])
        ('128-64', 'none')
    """
    return "-".join(map(str, widths)) or "none"
