"""What a page says of a run's accuracies: each with its spread, on which data, of which weights where not those of now.

Below them stands what they are to be measured by.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from infomax.evaluate.baselines import INIT, UNTRAINED, of_source
from infomax.evaluate.findings import Shown, of_what, shown
from infomax.evaluate.protocols import BASELINES
from infomax.report.markdown import literal
from infomax.report.subject import Subject
from infomax.words import many

PROTOCOLS = {"linear": "linear probe, %", "sgd": "SGD probe, %", "knn": "kNN, %"}
ON = "evaluated on"
ABOUT = (
    "Accuracies are those of `infomax evaluate`, ± the binomial standard error of n test samples, or the sd of n seeds of the "
    "protocol, on one encoder"
)


Group = Sequence[tuple[Subject, Shown]]
"""Runs, each with what was found on one data set."""


def rows(subjects: Sequence[Subject]) -> list[dict[str, Any]]:
    """A table of accuracies: a row a run, then what they are to be measured by; so for each data set that all were tried on."""
    made = [row for group in _groups(subjects)[0] for row in _rows(group)]
    heads = [head for head in ("run", *PROTOCOLS.values(), ON) if any(head in row for row in made)]
    return [{head: row.get(head) for head in heads} for row in made]


def _groups(subjects: Sequence[Subject]) -> tuple[list[Group], dict[str, list[str]]]:
    """What is in the table, and the names of other data with the runs that were tried on them.

    In it are the data that all have which were evaluated, before them what says most of a run where it is of no such data.
    """
    known = [
        (s, {one.data: one for one in found}) for s in subjects if (found := shown(s.evaluation, s.config["data"]))
    ]
    common = [data for data in known[0][1] if all(data in of for _, of in known)] if known else []
    alone = [(s, one) for s, of in known if (one := next(iter(of.values()))).data not in common]
    groups: list[Group] = [alone, *([(s, of[data]) for s, of in known] for data in common)]
    there = {(s.name, one.data) for group in groups for s, one in group}
    rest: dict[str, list[str]] = {}
    for s, of in known:
        for one in of.values():
            if (s.name, one.data) not in there:
                rest.setdefault(one.name, []).append(s.name)
    return groups, rest


def _rows(group: Group) -> list[dict[str, str]]:
    """The rows of some runs, then of what they are to be measured by, what is the same for several runs once."""
    made = [{"run": literal(s.name), **cells} for s, one in group if (cells := accuracies(s, one))]
    beside: dict[str, dict[tuple[tuple[str, str], ...], list[str]]] = {}
    for s, one in group:
        for what, cells in baselines(one).items():
            beside.setdefault(what, {}).setdefault(tuple(cells.items()), []).append(literal(s.name))
    for what, same in sorted(beside.items(), reverse=True):  # untrained, then raw
        for row, names in same.items():
            of = f" ({', '.join(names)})" if len(same) > 1 else ""
            made.append({"run": f"{what}{of}", **dict(row)})
    return made


def accuracies(s: Subject, one: Shown) -> dict[str, str]:
    """The columns of a run on one data set, by the head of each; none where there are only others."""
    found = one.found
    row = _cells(found)
    of_g = {"test": found.get("test"), **(found.get("g") or {})}
    row |= {
        said: f"{row[said]}; g: {cell}"
        for key, said in PROTOCOLS.items()
        if said in row and (cell := spread(of_g, key))
    }
    if row:
        of = of_what(found, None if s.learner is None else s.learner.encoder, s.last.get("epoch"))
        row[ON] = _on(one.name, found, own=one.own) + (f", **{of}**" if of else "")
    return row


def baselines(on: Shown) -> dict[str, dict[str, str]]:
    """Likewise of what accuracies are to be measured by: the encoder untrained or as it began, the samples as they are."""
    found, made = on.found, {}
    for of, one in (found.get(BASELINES) or {}).items():
        size = one.get("size")
        what = "raw samples" if size is None else f"raw pixels, at {size} px"
        if of in (UNTRAINED, INIT):
            what = "untrained" if of == UNTRAINED else f"as it began, weights {of_source(one.get('weights'), literal)}"
        at = found if of in (UNTRAINED, INIT) else {}
        made[what] = _cells({"test": found.get("test"), **one}) | {ON: _on(on.name, at, own=on.own)}
    return made


def _cells(found: Mapping[str, Any]) -> dict[str, str]:
    return {said: cell for key, said in PROTOCOLS.items() if (cell := spread(found, key)) is not None}


def _on(name: str, found: Mapping[str, Any], *, own: bool) -> str:
    """On which data, and at which size of them."""
    size, usual = found.get("size"), found.get("default_size")
    at = f", at {size} px" if size else ""
    asked = " by `--size`" if size and usual and size != usual else ""
    return literal(name) + at + asked + ("" if own else ", other data")


def caption(subjects: Sequence[Subject]) -> str:
    """What is said of them below the table."""
    groups, rest = _groups(subjects)
    every = [row for group in groups for row in group]
    second = any("; g: " in cell for s, one in every for cell in accuracies(s, one).values())
    beside = {what.partition(",")[0] for _, one in every for what in baselines(one)}
    said = [ABOUT + ("; g: the second encoder, which climbs too" if second else "")]
    if "untrained" in beside:
        said.append("untrained: the same encoder, its weights drawn anew")
    if "as it began" in beside:
        said.append("as it began: the same encoder, with the weights that the run began with")
    if raw := sorted(beside - {"untrained", "as it began"}):
        said.append(f"{' and '.join(raw)}: the same protocols without an encoder")
    others = [f"{literal(name)} ({', '.join(map(literal, runs))})" for name, runs in rest.items()]
    also = f" Also evaluated, on data that not all were: {', '.join(others)}." if others else ""
    return "; ".join(said) + "." + also


def spread(found: Mapping[str, Any], key: str) -> str | None:
    """An accuracy with its spread and n; None where there is none.

    Example:
        >>> spread({"knn": 90.0, "test": 100}, "knn"), spread({"sgd": {"mean": 82.54, "sd": 0.31, "n": 3}}, "sgd")
        ('90.0 ± 3.0 (n = 100)', '82.5 ± 0.3 (3 seeds)')
    """
    value = found.get(key)
    if isinstance(value, Mapping) and "mean" in value:
        seeds = many(value["n"], "seed") if "n" in value else "? seeds"
        return f"{value['mean']:.1f} ± {value.get('sd', math.nan):.1f} ({seeds})"
    if not isinstance(value, int | float):
        return None
    n, error = found.get("test"), found.get(f"{key}_se")
    if error is None and n:  # of earlier versions
        error = math.sqrt(value * (100 - value) / n)
    return f"{value:.1f} ± {'?' if error is None else f'{error:.1f}'} (n = {n or '?'})"
