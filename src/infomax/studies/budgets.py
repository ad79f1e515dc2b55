"""What a study costs, by name: minutes on two CPU cores, an hour on one GPU, or the paper's own."""

from collections.abc import Mapping
from typing import TypeVar

from infomax.errors import ConfigError, nearest

B = TypeVar("B")


def budget_of(name: str, budgets: Mapping[str, B]) -> B:
    """A study's row of numbers by the name of its budget.

    Raises:
        ConfigError: naming the nearest.

    Example:
        >>> budget_of("minuets", {"minutes": 60, "hour": 20})
        Traceback (most recent call last):
        infomax.errors.ConfigError: --budget minuets: did you mean 'minutes'? (one of: hour, minutes)
    """
    if name not in budgets:
        raise ConfigError(f"--budget {name}: {nearest(name, budgets)}")
    return budgets[name]
