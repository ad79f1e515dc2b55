"""Whether a run has collapsed, or hardly learnt, in words.

They are what the watch over it saw and said (docs/collapse.md), and the gauges of its log.
"""

import math
from collections.abc import Mapping
from typing import Any

from infomax.report.markdown import literal
from infomax.report.subject import Subject
from infomax.training.collapse import HEALTHY, LITTLE, few_left, flag, hardly_informed, state_of


def state(s: Subject) -> str:
    """A run's state in a few words, for a cell of a table: bold where it is a warning."""
    said = state_of(s.history, s.watched)
    return said if said == HEALTHY or said.startswith(("open", "unknown")) else f"**{said}**"


def verdict(s: Subject) -> str:
    """A run's verdict, in bold, and what follows from it; of one that has not ended an epoch, nothing."""
    if not s.history:
        return ""
    said_of, said = flag(s.history, s.watched), s.watched.get("said")
    if said_of and said:
        return f"**{said_of}**, at update {said['step']} of {said['total']}: {said['seen'].rstrip('.')}."
    if said_of:
        return f"**{said_of}**."
    if not s.watched:
        return "What the watch over a collapse said was not kept, as the run is older than that: see the gauges of its log."
    if s.watched["suspicious"]:
        return "**Not flagged as collapsing**, but its last reading alone has a sign of it."
    if few_left(s.history, s.watched):
        return (
            f"**Few directions left at the end**: effective rank {s.last['effective_rank']:.1f} of fixed samples. No alarm "
            "rang: it is no collapse where the classes need no more. Else take a smaller learning rate."
        )
    return _little(s.watched) if hardly_informed(s.history, s.watched) else "**No sign of collapse.**"


def _little(watched: Mapping[str, Any]) -> str:
    """Of a run that has hardly any information between its views: how much, and what may help."""
    been = max(watched["phases"].values(), key=lambda been: been["best"])
    untrained = f"; the untrained network had {been['best_random']:z.2f}" if "best_random" in been else ""
    return (
        f"**{LITTLE[0].upper()}{LITTLE[1:]}**: {been['best']:z.2f} nats by a cosine, at the temperature that reads most of a "
        f"batch{untrained}. It has learnt little that the two views share, yet or at all: take more epochs, gentler views, "
        "another learning rate, a larger batch."
    )


READ_BY_THE_WATCH = (
    "What the watch over a collapse read last, off batches under way, which it centres. Std is near 1 where the embedding is "
    "open, and 0 of a point; that the rank falls is normal."
)


def seen(s: Subject) -> list[dict[str, str]]:
    """What the watch read last of each encoder that climbs, as rows of a table."""
    phases = {phase: been for phase, been in s.watched.get("phases", {}).items() if "now" in been}
    rows = []
    for phase, been in phases.items():
        now, of = been["now"], f", {'fg'[int(phase)]}" if len(phases) > 1 else ""
        row = {"run": literal(s.name) + of}
        row["information between views, nats"] = (
            f"{been['level']:z.2f} ({been.get('random', math.nan):z.2f} at the start, {been['information']:z.2f} at most)"
        )
        row["effective rank"] = f"{now['effective_rank']:.1f} ({been['rank']:.1f} at the start)"
        row["std"] = f"{now['std']:.2f} ({been['std']:.2f} at most)"
        if "scale" in now:
            row["raw std"] = f"{now['scale']:.2g} (it was {been['scale']:.2g})"
        rows.append(row)
    return rows
