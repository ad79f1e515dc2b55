"""Which runs ended collapsed, by their end and their siblings alone; and what the watch said of them meanwhile."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from infomax.studies.collapse.plan import ABLATIONS, METHODS, WORLDS, base_of
from infomax.studies.collapsed import collapsed
from infomax.studies.verdict import claim, never
from infomax.training.watch.collapse import EARLY

Row = Mapping[str, Any]

CHOSEN_SEED = 0
"""The thresholds were chosen on this seed of the worlds that are not held out."""
PARTS = {
    "chosen on": "seed 0 of digits and points, on which the thresholds were chosen",
    "other seeds": "other seeds of digits and points",
    "held out": "other worlds",
}
"""What a run is to the thresholds, and how that is printed."""


def siblings(row: Row, rows: Sequence[Row]) -> list[Row]:
    """What a run is measured by: of a sentence without its guard the whole method; of any other all whole methods."""
    same = [r for r in rows if "error" not in r and (r["world"], r["seed"]) == (row["world"], row["seed"])]
    return [r for r in same if r["name"] == base_of(row["name"])] if row["name"] in ABLATIONS else [
        r for r in same if r["name"] in METHODS
    ]  # fmt: skip


def ended(row: Row, rows: Sequence[Row]) -> bool:
    """Whether a run ended `collapsed`, read off fixed samples after the last epoch, in evaluation mode.

    Example:
        >>> world = {"world": "digits", "seed": 0}
        >>> rows = [{"name": "simsiam", "std": 1.0, "effective_rank": 31.0, **world},
        ...         {"name": "simsiam without guard", "std": 0.84, "effective_rank": 4.8, **world}]
        >>> [ended(row, rows) for row in rows]
        [False, True]
    """
    return collapsed(row, siblings(row, rows))


def part_of(row: Row) -> str:
    """Which of `PARTS` a run belongs to.

    Example:
        >>> [part_of({"world": "digits", "seed": seed}) for seed in (0, 100)], part_of({"world": "digits, sgd", "seed": 0})
        (['chosen on', 'other seeds'], 'held out')
    """
    if WORLDS[row["world"]].held_out:
        return "held out"
    return "chosen on" if row["seed"] == CHOSEN_SEED else "other seeds"


def counted(rows: Sequence[Row]) -> dict[str, dict[str, list[Row]]]:
    """Runs by part, as `PARTS` has them, and kind.

    Returns:
        Of each part: `healthy`, guarded runs that did not end collapsed; `alarms`, those of them that were flagged;
        `collapsed`, runs that ended collapsed; `missed`, those of them not flagged in the first fifth; `late`, those of the
        missed that were flagged after it; `open`, runs without their guard that did not end collapsed; `warned`, those of
        them that were flagged: they lost much, and neither count as collapsed nor as healthy.
    """
    found: dict[str, dict[str, list[Row]]] = {}
    for part in PARTS:
        mine = [r for r in rows if "error" not in r and part_of(r) == part]
        fallen = [r for r in mine if ended(r, rows)]
        healthy = [r for r in mine if r["name"] not in ABLATIONS and not ended(r, rows)]
        bare = [r for r in mine if r["name"] in ABLATIONS and not ended(r, rows)]
        missed = [r for r in fallen if r["flagged"] is None or r["flagged"] > EARLY]
        found[part] = {
            "healthy": healthy,
            "alarms": [r for r in healthy if r["flagged"] is not None],
            "collapsed": fallen,
            "missed": missed,
            "late": [r for r in missed if r["flagged"] is not None],
            "open": bare,
            "warned": [r for r in bare if r["flagged"] is not None],
        }
    return found


def claims(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """What the watch is held to, on the worlds that are held out; rows of several studies may be given together."""
    part = counted(rows)["held out"]
    if not part["healthy"] or not part["collapsed"]:
        return []
    listed = {k: ", ".join(_said(r) for r in part[k]) or "none" for k in ("missed", "alarms")}
    drawn = {k: sorted({r["seed"] for r in part[k]}) for k in ("collapsed", "healthy")}
    of = {k: f"{'seed' if len(s) == 1 else 'seeds'} {', '.join(map(str, s))}" for k, s in drawn.items()}
    bare, unseen = ([r for r in part[k] if r["name"] in ABLATIONS] for k in ("collapsed", "missed"))
    ablations = claim(
        "ablations_flagged",
        "every collapsing ablation is flagged in the first fifth of training",
        "infomax",
        f"{len(bare) - len(unseen)} of {len(bare)} ({of['collapsed']}); missed: {', '.join(map(_said, unseen)) or 'none'}",
        [never("runs not flagged in time", len(unseen), len({r["seed"] for r in bare}))],
        "Of sentences without their guard; whole methods that ended collapsed are in the next claim.",
    )
    return [
        *([ablations] if bare else []),
        claim("collapse_flagged", "every run that ends collapsed is flagged in the first fifth of training", "infomax",
              f"{len(part['collapsed']) - len(part['missed'])} of {len(part['collapsed'])} ({of['collapsed']}), "
              f"{len(part['late'])} more later; missed: {listed['missed']}",
              [never("runs not flagged in time", len(part["missed"]), len(drawn["collapsed"]))],
              _note(part, rows)),
        claim("healthy_left_alone", "no healthy run is called a collapse", "infomax",
              f"{len(part['alarms'])} of {len(part['healthy'])} ({of['healthy']}): {listed['alarms']}",
              [never("healthy runs flagged", len(part["alarms"]), len(drawn["healthy"]))]),
    ]  # fmt: skip


def _said(row: Row) -> str:
    return f"{row['name']} ({row['world']}, seed {row['seed']})"


def _note(part: Mapping[str, Sequence[Row]], rows: Sequence[Row]) -> str:
    """The missed runs that have their guard, and by what they count as collapsed; how many of the others were flagged."""
    whole = []
    for r in part["missed"]:
        if r["name"] not in ABLATIONS:
            by_rank = not collapsed({**r, "effective_rank": math.inf}, siblings(r, rows))
            ends = f"std {r['std']:.2f}, effective rank {r['effective_rank']:.1f}"
            whole.append(f"{_said(r)}, which ended with {ends}{' and is collapsed by its rank alone' * by_rank}")
    bare = [r for r in part["collapsed"] if r["name"] in ABLATIONS]
    seen = len(bare) - sum(r["name"] in ABLATIONS for r in part["missed"])
    return (
        f"Missed with its guard: {'; '.join(whole)}. Without their guard {seen} of {len(bare)} flagged in time."
        if whole
        else ""
    )


def table(rows: Sequence[Row]) -> list[dict[str, str]]:
    """A line a sentence, a column a world: how it ended, and when it was flagged as what."""
    worlds = list(dict.fromkeys(r["world"] for r in rows))
    lines = []
    for name in dict.fromkeys(r["name"] for r in rows):
        line = {"sentence": name}
        for world in worlds:
            mine = [r for r in rows if (r["name"], r["world"]) == (name, world)]
            line[world] = "; ".join(_cell(r, rows) for r in mine)
        lines.append(line)
    return lines


def _cell(row: Row, rows: Sequence[Row]) -> str:
    if "error" in row:
        return "failed"
    how = f"std {row['std']:.2f}, rank {row['effective_rank']:.1f}"
    says = "" if row["flagged"] is None else f", {row['by'] or 'point'} at {row['flagged']:.0%}"
    return f"{'collapsed: ' if ended(row, rows) else ''}{how}{says}"
