"""Whether a run has collapsed, or hardly learnt, in words.

They are what the watch over it saw and said (docs/collapse.md), and the gauges of its log.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from infomax.report.markdown import literal
from infomax.report.subject import Subject
from infomax.training.watch.collapse import ROWS
from infomax.training.watch.state import HEALTHY, LITTLE, few_left, flag, hardly_informed, lower_bound, state_of


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
    f"**The watch's own readings**, off its last batches of training (at most {ROWS} rows of each, centred): for spotting a "
    "collapse. They differ from those of the first table, which is the one to quote: it is of more samples, that stay the "
    "same. Std is near 1 where the embedding is open, and 0 of a point; that the rank falls is normal. Information is a lower "
    "bound: below 0 it says nothing."
)


def seen(s: Subject) -> list[dict[str, str]]:
    """What the watch read last of each encoder that climbs, as rows of a table."""
    phases = {phase: been for phase, been in s.watched.get("phases", {}).items() if "now" in been}
    rows = []
    for phase, been in phases.items():
        now, of = been["now"], f", {'fg'[int(phase)]}" if len(phases) > 1 else ""
        row = {"run": literal(s.name) + of}
        row["information between views, nats"] = _information(been)
        row["effective rank"] = f"{now['effective_rank']:.1f} ({been['rank']:.1f} at the start)"
        row["std"] = f"{now['std']:.2f} ({been['std']:.2f} at most)"
        if "scale" in now:
            row["raw std"] = f"{now['scale']:.2g} (it was {been['scale']:.2g})"
        rows.append(row)
    return rows


def readings(s: Subject) -> Sequence[Mapping[str, float]]:
    """All that the watch read of a run, of two encoders the first, in order; of a run of an earlier version nothing."""
    first: Mapping[str, Any] = next(iter(s.watched.get("phases", {}).values()), {})
    return list(first.get("readings", []))


def _information(been: Mapping[str, Any]) -> str:
    """What was read of the information between views: of the last where it is below 0 no figure, nor of the others."""
    now, start, most = (
        lower_bound(been.get(key, math.nan), f"{been.get(key, math.nan):z.2f}", brief=True)
        for key in ("level", "random", "information")
    )
    return now if now == start == most else f"{now} ({start} at the start, {most} at most)"


_NUMBER = re.compile(r"(?<![\w.-])-?\d+(?:\.\d+)?(?:e[-+]\d+)?")


def verdicts(subjects: Sequence[Subject]) -> list[tuple[list[Subject], str]]:
    """The verdicts of a page, each with the runs that it is of: once where they are equal, or but for their numbers.

    Those then have their least and their largest: `effective rank 2.9 to 3.4`.
    """
    alike: dict[str, list[Subject]] = {}
    for s in subjects:
        if text := verdict(s):
            alike.setdefault(_NUMBER.sub("#", text), []).append(s)
    made = []
    for same in alike.values():
        texts = [verdict(s) for s in same]
        ranges = iter([_range(column) for column in zip(*map(_NUMBER.findall, texts), strict=True)])
        made.append((same, _NUMBER.sub(lambda _, ranges=ranges: next(ranges), texts[0])))  # type: ignore[misc]
    return made


def _range(numbers: Sequence[str]) -> str:
    least, most = min(numbers, key=float), max(numbers, key=float)
    return least if least == most else f"{least} to {most}"
