"""What cells are judged by: which metrics need labels, which end of one is the better, and what may not be chosen by."""

from collections.abc import Iterable, Mapping
from typing import Any

from infomax.errors import ConfigError
from infomax.words import many

JUDGED = ("linear", "linear_se", "knn", "knn_se")
"""Metrics that need labels, measured on a held-out part of train."""

_READ = ("mi_dv", "mi_infonce", "mi_jsd")
GAUGES = (
    "loss", "bound", "effective_rank", "std", *_READ, *(f"ceiling_{name[3:]}" for name in _READ),
    *(f"{name}_{part}" for name in _READ for part in ("lo", "hi", "ceiling", "saturated")),
)  # fmt: skip
"""What the log of every run has in the end, without labels."""

LOWER = ("loss", "linear_se", "knn_se")
"""Metrics of which less is better."""


def goal_of(metric: str) -> str:
    """Which end of a metric is the best, where nobody says.

    Example:
        >>> goal_of("loss"), goal_of("linear")
        ('min', 'max')
    """
    return "min" if metric in LOWER else "max"


def choosable(metric: str) -> str:
    """The metric, unless it was measured on what nothing may be chosen by.

    Raises:
        ConfigError: saying why, and what to take.
    """
    if metric.startswith("online_"):
        raise ConfigError(
            f"{metric!r} is measured on the test set (of data without one, on the rows that `infomax probe` tests on), and "
            "nothing may be chosen by that: take linear or knn, on a held-out part of train, or a gauge without labels, such "
            "as effective_rank"
        )
    return metric


def aim(evaluate: Mapping[str, Any], by: str | None = None, goal: str | None = None) -> tuple[str, str]:
    """The metric to order by and its goal; the sweep's goal is of its own metric alone.

    Args:
        evaluate: how the sweep's cells are judged: data, metric, goal.
        by: another metric.
        goal: max or min, in place of what is known of the metric.

    Raises:
        ConfigError: a metric that nothing may be chosen by.

    Example:
        >>> [aim({"metric": "bound", "goal": "min"}, by) for by in (None, "linear", "loss")]
        [('bound', 'min'), ('linear', 'max'), ('loss', 'min')]
    """
    metric = choosable(by or evaluate["metric"])
    return metric, goal or (evaluate["goal"] if metric == evaluate["metric"] else goal_of(metric))


def judged(metric: str, data: str | None, held: Iterable[int | None] = ()) -> str:
    """A metric, and what it is measured on.

    Args:
        metric: its name.
        data: labelled data of its own; None: those trained on.
        held: on how many rows each cell was judged, where that is known.

    Example:
        >>> judged("knn", None)
        'knn on a held-out part of train, never the test set'
        >>> judged("knn", None, [1200, None, 800])
        'knn on 800 to 1,200 held-out rows of train, never the test set'
    """
    if metric not in JUDGED:
        return f"{metric}, a gauge of the last epoch, without labels"
    counts = sorted({n for n in held if n is not None})
    few = f"{counts[0]:,} to " if len(counts) > 1 else ""
    part = f"{few}{many(counts[-1], 'held-out row')}" if counts else "a held-out part"
    return f"{metric} on {part} of {data or 'train'}, never the test set"
