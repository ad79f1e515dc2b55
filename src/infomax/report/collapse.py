"""Whether a run has collapsed, or hardly learnt, in words.

They are what the watch over it saw and said (docs/collapse.md), and the gauges of its log.
"""

import math
from collections.abc import Mapping
from typing import Any

from infomax.report.subject import Subject
from infomax.training.collapse import HEALTHY, LITTLE, few_left, flag, hardly_informed, state_of

CLEAR = "**No sign of collapse.**"


def state(s: Subject) -> str:
    """A run's state in a few words, for a cell of a table: bold where it is a warning."""
    said = state_of(s.history, s.watched)
    return said if said == HEALTHY or said.startswith(("open", "unknown")) else f"**{said}**"


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
    elif hardly_informed(s.history, s.watched):
        head = _little(s.watched)
    else:
        head = CLEAR
    return " ".join([head, *_seen(s.watched, healthy=head == CLEAR)])


def _little(watched: Mapping[str, Any]) -> str:
    """Of a run that has hardly any information between its views: how much, and what may help."""
    been = max(watched["phases"].values(), key=lambda been: been["best"])
    untrained = f"; the untrained network had {been['best_random']:z.2f}" if "best_random" in been else ""
    return (
        f"**{LITTLE[0].upper()}{LITTLE[1:]}**: {been['best']:z.2f} nats by a cosine, at the temperature that reads most of a "
        f"batch{untrained}. It has learnt little that the two views share, yet or at all: take more epochs, gentler views, "
        "another learning rate, a larger batch."
    )


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
