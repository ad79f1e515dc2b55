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


def with_article(word: str) -> str:
    """A word with its article.

    Example:
        >>> with_article("Tensor"), with_article("Image")
        ('a Tensor', 'an Image')
    """
    return f"{'an' if word[:1].lower() in 'aeiou' else 'a'} {word}"


def with_dashes(widths: Iterable[Any]) -> str:
    """The widths of a head's layers as the command line has them.

    Example:
        >>> with_dashes([128, 64]), with_dashes([])
        ('128-64', 'none')
    """
    return "-".join(map(str, widths)) or "none"


def shortened(text: str, most: int = 60) -> str:
    """A text, its end left out where it is longer.

    Args:
        text: of anything, such as a function of the user's that says what it is made of.
        most: characters, with the dots that stand for the rest.

    Example:
        >>> shortened("per_sample(RandomCrop())"), shortened("per_sample(RandomCrop())", 14)
        ('per_sample(RandomCrop())', 'per_sample ...')
    """
    return text if len(text) <= most else f"{text[: most - 4]} ..."


def as_option(value: Any, digits: int = 6) -> str:
    """The value of an option as the command line has it.

    Args:
        value: of the option.
        digits: of a number with a point.

    Example:
        >>> as_option([128, 64]), as_option(1e-3), as_option("lars"), as_option(0.12345, 3)
        ('128-64', '0.001', 'lars', '0.123')
    """
    if isinstance(value, list):
        return with_dashes(value)
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)
