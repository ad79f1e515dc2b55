"""What a page says of a run's accuracies: each with its spread, on which data, of which weights where not those of now.

Below them stands what they are to be measured by.
"""

import math
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from infomax.errors import command
from infomax.evaluate.baselines import INIT, UNTRAINED, of_source
from infomax.evaluate.findings import TESTED_ON, Shown, is_own, of_what, shown
from infomax.evaluate.protocols import BASELINES
from infomax.evaluate.seeds import apart, lengths, summary
from infomax.report.kinds import kinds
from infomax.report.markdown import literal
from infomax.report.subject import Subject
from infomax.words import many

USUAL = {"linear": "linear probe, %", "sgd": "SGD probe, %", "knn": "kNN, %"}
LESS_USUAL = {
    "knn_best": "kNN, chosen, %",
    "few_1": "1 % of labels, %",
    "few_10": "10 % of labels, %",
    "finetune": "fine-tuned, %",
}
"""Columns only where a run would else have none."""
PROTOCOLS = USUAL | LESS_USUAL
ON = "evaluated on"
ABOUT = (
    "Accuracies are those of `infomax evaluate`, ± the binomial standard error of n test samples, or the sd of n seeds (draws "
    "of labels) of the protocol, on one encoder"
)


Group = Sequence[tuple[Subject, Shown]]
"""Runs, each with what was found on one data set."""


def rows(subjects: Sequence[Subject]) -> list[dict[str, Any]]:
    """A table of accuracies: means over seeds, a row a run, then what they are to be measured by.

    So for each data set that all were tried on; a run that was on none has a row where another was.
    """
    groups = [group for group in _groups(subjects)[0] if group]
    main = max(groups, key=len, default=None)
    made = [row for group in groups for row in _rows(group, subjects, all_named=group is main)]
    usual, others = USUAL.values(), LESS_USUAL.values()
    alone = any(row.keys() & set(others) and not row.keys() & set(usual) for row in made)
    heads = ["run", *usual, *(others if alone else ()), ON]
    heads = [head for head in heads if any(head in row for row in made)]
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


def _rows(group: Group, subjects: Sequence[Subject], *, all_named: bool) -> list[dict[str, str]]:
    """The means of some runs over seeds, the runs, then what they are to be measured by, the same for several runs once.

    Args:
        group: the runs, on one data set.
        subjects: all of the page.
        all_named: whether those of them that were not evaluated have a row that says so.
    """
    cells_of = {s.name: cells for s, one in group if (cells := accuracies(s, one))}
    if all_named and cells_of:
        bare = [s for s in subjects if not shown(s.evaluation, s.config["data"])]
        cells_of |= {s.name: {ON: _not_evaluated(s, group[0][1])} for s in bare}
    made = [
        {"run": f"{literal(name)}, mean over seeds", **cells} for name, cells in _over_seeds(group, subjects)[0].items()
    ]
    made += [{"run": literal(s.name), **cells_of[s.name]} for s in subjects if s.name in cells_of]
    beside: dict[str, dict[tuple[tuple[str, str], ...], list[str]]] = {}
    for s, one in group:
        for what, cells in baselines(one).items():
            beside.setdefault(what, {}).setdefault(tuple(cells.items()), []).append(literal(s.name))
    for what, same in sorted(beside.items(), reverse=True):  # untrained, then raw
        for row, names in same.items():
            of = f" ({', '.join(names)})" if len(same) > 1 else ""
            made.append({"run": f"{what}{of}", **dict(row)})
    return made


def _not_evaluated(s: Subject, other: Shown) -> str:
    """That a run was not evaluated, and how to evaluate it: where another was on data that are not its own, on those."""
    if s.path is None or s.learner is None:
        return "not evaluated"
    usual = other.own or is_own(other.data, s.config["data"]) or TESTED_ON in other.found
    on = "" if usual else f" --data {shlex.quote(other.data)}"
    return f"not evaluated: {literal(command(f'evaluate {shlex.quote(str(s.path))}{on}'))}"


def _over_seeds(group: Group, subjects: Sequence[Subject]) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """By kind of run: the columns of the mean over its seeds; or why there is none."""
    of = {s.name: (s, one) for s, one in group if _cells(one.found)}
    means: dict[str, dict[str, str]] = {}
    why: dict[str, str] = {}
    for name, kind in kinds(subjects):
        same = [of[s.name] for s in kind if s.name in of]
        found = [one.found for _, one in same]
        if len(same) < 2:
            continue
        if said := apart([literal(s.name) for s, _ in same], found, [s.config for s, _ in same]):
            why[name] = said
            continue
        over, came = summary(found), lengths(found)
        cells = {
            said: "; g: ".join(_mean(by[key], came) for by in (over, over.get("g", {})) if key in by)
            for key, said in PROTOCOLS.items()
            if key in over
        }
        on = dict.fromkeys(accuracies(s, one)[ON] for s, one in same)
        means[name] = cells | ({ON: "; ".join(on)} if cells else {})
    return means, why


def _mean(over: Mapping[str, Any], came: str) -> str:
    """With the decimals of single runs, but for a deviation that would be none."""
    sd = over["sd"]
    return f"{over['mean']:.1f} ± {sd:{'.1g' if 0 < sd < 0.05 else '.1f'}} (sd of {many(over['n'], 'run')}{came})"


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
    return literal(name) + at + asked + ("" if own else ", not the training data")


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
    all_means = [_over_seeds(group, subjects) for group in groups]
    if any(means for means, _ in all_means):
        said.append("mean over seeds: of runs that differ in their seed alone, ± the sd over them")
    none = {f" No mean of {literal(name)}: {reason}." for _, why in all_means for name, reason in why.items()}
    also = f" Also evaluated, on data that not all were: {', '.join(others)}." if others else ""
    return "; ".join(said) + "." + "".join(sorted(none)) + also


def spread(found: Mapping[str, Any], key: str) -> str | None:
    """An accuracy with its spread and n; None where there is none.

    Example:
        >>> spread({"knn": 90.0, "test": 100}, "knn"), spread({"sgd": {"mean": 82.54, "sd": 0.31, "n": 3}}, "sgd")
        ('90.0 ± 3.0 (n = 100)', '82.5 ± 0.3 (3 seeds)')
    """
    value = found.get(key)
    if isinstance(value, Mapping) and "mean" in value:
        seeds = many(value["n"], "seed") if "n" in value else "? seeds"
        if "labels" in value:  # of a share of them, at least two a class
            seeds = f"{many(value['n'], 'draw')} of {many(value['labels'], 'label')}"
            if value["n"] == 1:
                return f"{value['mean']:.1f} ({seeds})"
        return f"{value['mean']:.1f} ± {value.get('sd', math.nan):.1f} ({seeds})"
    if not isinstance(value, int | float):
        return None
    n, error = found.get("test"), found.get(f"{key}_se")
    if error is None and n:  # of earlier versions
        error = math.sqrt(value * (100 - value) / n)
    return f"{value:.1f} ± {'?' if error is None else f'{error:.1f}'} (n = {n or '?'})"
