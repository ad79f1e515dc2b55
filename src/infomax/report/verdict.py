"""Whether a run has collapsed, in words: what the watch over it saw and said (docs/collapse.md), and the gauges of its log."""

import math
from collections.abc import Mapping
from typing import Any

from infomax.report.subject import Subject
from infomax.training import monitor


def collapsed(row: Mapping[str, Any]) -> bool | None:
    """Whether a row of a log is of a collapsed embedding; None where it cannot be told.

    Example:
        >>> [collapsed({"std": std, "effective_rank": 12.0}) for std in (0.9, 0.01, math.nan)]
        [False, True, None]
    """
    read = [row.get(key) for key in ("std", "effective_rank")]
    known = all(isinstance(value, int | float) and math.isfinite(value) for value in read)
    return monitor.collapsed(row) if known else None


def state(s: Subject) -> str:
    """A run's verdict in a few words, for a cell of a table."""
    ended = collapsed(s.last)
    if ended:
        return "**collapsed**"
    if flag := _flag(s):
        return f"**{flag[0].lower()}{flag[1:]}**"
    if ended is None:
        return "unknown: a gauge is no finite number"
    return "no sign of collapse" if s.watched else "open"


def verdict(s: Subject) -> str:
    """A run's verdict with the figures that it rests on, as a paragraph; of one that has not ended an epoch, nothing."""
    if not s.history:
        return ""
    flag, said = _flag(s), s.watched.get("said")
    if flag and said:
        head = f"**{flag}**, at update {said['step']} of {said['total']}: {said['seen'].rstrip('.')}."
    elif flag:
        head = f"**{flag}**."
    elif not s.watched:
        return "What the watch over a collapse said was not kept, as the run is older than that: see the gauges of its log."
    elif s.watched["suspicious"]:
        head = "**Not flagged as collapsing**, but its last reading alone has a sign of it."
    else:
        head = "**No sign of collapse.**"
    return " ".join([head, *_seen(s.watched, healthy=not flag)])


def _flag(s: Subject) -> str:
    """When a collapse was said of a run; nothing: it was not."""
    said = s.watched.get("said")
    epoch = said["epoch"] if said else next((row.get("epoch") for row in s.history if collapsed(row)), None)
    if epoch is not None:
        return f"Flagged as collapsing in epoch {math.ceil(epoch)}"
    return "" if said is None else "Flagged as collapsing; when was not kept"


def _seen(watched: Mapping[str, Any], *, healthy: bool) -> list[str]:
    """What the watch read last, of each encoder that climbs, and how to read it."""
    phases = {phase: been for phase, been in watched.get("phases", {}).items() if "now" in been}
    told, fell = [], False
    for phase, been in phases.items():
        now, of = been["now"], f" of {'fg'[int(phase)]}" if len(phases) > 1 else ""
        lengths = f"scale {now['scale']:.2g} (it was {been['scale']:.2g}), " if "scale" in now else ""
        fell = fell or now["effective_rank"] < been["rank"]
        told.append(
            f"Read last off the batches{of}: information between views {been['level']:.2f} nats "
            f"({been.get('random', math.nan):.2f} at the start, {been['information']:.2f} at most), "
            f"std {now['std']:.2f} ({been['std']:.2f} at most), {lengths}"
            f"effective rank {now['effective_rank']:.1f} ({been['rank']:.1f} at the start)."
        )
    if told:
        normal = "; that the rank falls is normal" if healthy and fell else ""
        told.append(f"Std is near 1 where the embedding is open, and 0 of a point{normal}.")
    return told
