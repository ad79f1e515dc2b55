"""Whether a run has collapsed, in a few words: its last line, its page and its `watch.json` have them from here."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from infomax.training.watch import monitor
from infomax.training.watch.collapse import few

Row = Mapping[str, Any]
HEALTHY, FEW_LEFT = "no sign of collapse", "few directions left"
LITTLE = f"{HEALTHY}, but hardly any information read between the views"
HARDLY = 0.2  # nats: runs that tell classes no better than untrained read 0.1 at most, healthy ones 0.7 and more


def collapsed(row: Row) -> bool | None:
    """Whether a row of a log is of a collapsed embedding; None where it cannot be told.

    Example:
        >>> [collapsed({"std": std, "effective_rank": 12.0}) for std in (0.9, 0.01, math.nan)]
        [False, True, None]
    """
    read = [row.get(key) for key in ("std", "effective_rank")]
    known = all(isinstance(value, int | float) and math.isfinite(value) for value in read)
    return monitor.collapsed(row) if known else None


def lower_bound(value: Any, said: str, digits: int = 2, *, brief: bool = False) -> str:
    """What is said of a reading of a lower bound of mutual information: of one below 0 that alone.

    Args:
        value: of the reading, in nats; what is no number is said as it is.
        said: the reading as text.
        digits: behind its point; what they round to 0 is 0.
        brief: where what that means is said beside it.

    Example:
        >>> lower_bound(1.5, "1.50 of at most 5.55 nats"), lower_bound(-0.3, "-0.30 of at most 5.55 nats")
        ('1.50 of at most 5.55 nats', 'below 0 (says nothing)')
    """
    below = isinstance(value, int | float) and value < -0.5 / 10**digits
    return f"below 0{'' if brief else ' (says nothing)'}" if below else said


def flag(history: Sequence[Row], watched: Mapping[str, Any]) -> str:
    """When a collapse was said of a run; nothing: it was not."""
    said = watched.get("said")
    epoch = said["epoch"] if said else next((row.get("epoch") for row in history if collapsed(row)), None)
    if epoch is not None:
        return f"Flagged as collapsing in epoch {math.ceil(epoch)}"
    return "" if said is None else "Flagged as collapsing; when was not kept"


def shows_collapse(history: Sequence[Row], watched: Mapping[str, Any]) -> bool:
    """Whether a run that was watched was flagged, or collapsed at the end of some epoch; of others nothing is said.

    Example:
        >>> row = {"epoch": 3, "std": 0.05, "effective_rank": 12.0}
        >>> shows_collapse([row], {"said": None}), shows_collapse([row], {})
        (True, False)
    """
    return bool(watched) and bool(flag(history, watched))


def few_left(history: Sequence[Row], watched: Mapping[str, Any]) -> bool:
    """Whether a run ends with as few directions as the watch calls a collapse where they tell nothing; whatever they tell."""
    starts = [been["rank"] for been in watched.get("phases", {}).values()]
    ended = collapsed(history[-1]) if history and starts else None
    return ended is not None and history[-1]["effective_rank"] < few(max(starts))


def hardly_informed(history: Sequence[Row], watched: Mapping[str, Any]) -> bool:
    """Whether a run ends with hardly any information between its views: by the watch, of each encoder, and by the last row.

    Of a run of before the watch read it at several temperatures it is not said.
    """
    best = [been.get("best", math.inf) for been in watched.get("phases", {}).values()]
    ended = history[-1].get("mi_infonce", math.nan) if history else math.nan
    return bool(best) and max(best) < HARDLY and isinstance(ended, int | float) and ended < HARDLY


def state_of(history: Sequence[Row], watched: Mapping[str, Any]) -> str:
    """A run's state in a few words.

    Args:
        history: one row an epoch.
        watched: what the watch over it saw and said; empty where that was not kept.

    Example:
        >>> watched = {"said": None, "phases": {"0": {"rank": 47.7}}}
        >>> [state_of([{"epoch": 40, "std": std, "effective_rank": rank}], watched)
        ...  for std, rank in ((0.9, 27.0), (0.36, 3.4), (0.05, 12.0))]
        ['no sign of collapse', 'few directions left', 'collapsed']
    """
    ended = collapsed(history[-1]) if history else None
    if ended:
        return "collapsed"
    if said := flag(history, watched):
        return f"{said[0].lower()}{said[1:]}"
    if ended is None:
        return "unknown: a gauge is no finite number"
    if few_left(history, watched):
        return FEW_LEFT
    if hardly_informed(history, watched):
        return LITTLE
    return HEALTHY if watched else "open"


def standing(history: Sequence[Row], watched: Mapping[str, Any]) -> str:
    """What is said of a run's embedding where its last row is told in one line: two gauges, and its state where that is poor.

    Args:
        history: rows, at least one.
        watched: see `state_of`.

    Example:
        >>> standing([{"epoch": 40, "std": 0.05, "effective_rank": 12.0}], {})
        'effective rank 12.0, std 0.05: collapsed'
        >>> standing([{"epoch": 40, "std": 0.9, "effective_rank": 27.0}], {})
        'effective rank 27.0, std 0.90'
    """
    last, stands = history[-1], state_of(history, watched)
    poorly = "" if stands in (HEALTHY, "open") else f": {stands}"
    return f"effective rank {last['effective_rank']:.1f}, std {last['std']:.2f}{poorly}"
