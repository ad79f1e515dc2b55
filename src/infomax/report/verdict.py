"""Whether a run has collapsed, in words: what the watch over it saw and said (docs/collapse.md), and the gauges of its log."""

import math
from collections.abc import Mapping
from typing import Any

from infomax.report.subject import Subject
from infomax.training.state import HEALTHY, few_left, flag, state_of

CLEAR = "**No sign of collapse.**"


def state(s: Subject) -> str:
    """A run's state in a few words, for a cell of a table: bold where it is a warning."""
    said = state_of(s.history, s.watched)
    return said if said.startswith((HEALTHY, "open", "unknown")) else f"**{said}**"


def verdict(s: Subject) -> str:
    """A run's verdict with the figures that it rests on, as a paragraph; of one that has not ended an epoch, nothing."""
    if not s.history:
        return ""
    said_of, said = flag(s.history, s.watched), s.watched.get("said")
    if said_of and said:
        head = f"**{said_of}**, at update {said['step']} of {said['total']}: {said['seen'].rstrip('.')}."
    elif said_of:
        head = f"**{said_of}**."
    elif not s.watched:
        return "What the watch over a collapse said was not kept, as the run is older than that: see the gauges of its log."
    elif s.watched["suspicious"]:
        head = "**Not flagged as collapsing**, but its last reading alone has a sign of it."
    elif few_left(s.history, s.watched):
        head = (
            f"**Few directions left at the end**: effective rank {s.last['effective_rank']:.1f} of fixed samples. No alarm "
            "rang: it is no collapse where the classes need no more. Else take a smaller learning rate."
        )
    else:
        head = CLEAR
    return " ".join([head, *_seen(s.watched, healthy=head == CLEAR)])


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
