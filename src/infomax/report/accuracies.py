"""What a page says of a run's accuracies: each with its spread, on which data, of which weights where not those of now.

Below them stands what they are to be measured by.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from infomax.evaluate.findings import of_what, shown
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


def rows(subjects: Sequence[Subject]) -> list[dict[str, Any]]:
    """A table of accuracies: a row a run, then what they are to be measured by, what is the same for several runs once."""
    made = [{"run": literal(s.name), **cells} for s in subjects if (cells := accuracies(s))]
    beside: dict[str, dict[tuple[tuple[str, str], ...], list[str]]] = {}
    for s in subjects:
        for what, cells in baselines(s).items():
            beside.setdefault(what, {}).setdefault(tuple(cells.items()), []).append(literal(s.name))
    for what, same in sorted(beside.items(), reverse=True):  # untrained, then raw
        for row, names in same.items():
            of = f" ({', '.join(names)})" if len(same) > 1 else ""
            made.append({"run": f"{what}{of}", **dict(row)})
    heads = [head for head in ("run", *PROTOCOLS.values(), ON) if any(head in row for row in made)]
    return [{head: row.get(head) for head in heads} for row in made]


def accuracies(s: Subject) -> dict[str, str]:
    """The columns of a run, by the head of each; none where it was not evaluated."""
    kept = shown(s.evaluation, s.config["data"])
    if kept is None:
        return {}
    name, found, own = kept
    row = _cells(found)
    of_g = {"test": found.get("test"), **(found.get("g") or {})}
    row |= {
        said: f"{row[said]}; g: {cell}"
        for key, said in PROTOCOLS.items()
        if said in row and (cell := spread(of_g, key))
    }
    if row:
        of = of_what(found, None if s.learner is None else s.learner.encoder, s.last.get("epoch"))
        row[ON] = _on(name, found, own=own) + (f", **{of}**" if of else "")
    return row


def baselines(s: Subject) -> dict[str, dict[str, str]]:
    """Likewise of what its accuracies are to be measured by: the encoder untrained, the samples as they are."""
    kept = shown(s.evaluation, s.config["data"])
    if kept is None:
        return {}
    name, found, own = kept
    made = {}
    for of, one in (found.get(BASELINES) or {}).items():
        size = one.get("size")
        what = "untrained" if of == "untrained" else "raw samples" if size is None else f"raw pixels, at {size} px"
        at = found if of == "untrained" else {}
        made[what] = _cells({"test": found.get("test"), **one}) | {ON: _on(name, at, own=own)}
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
    second = any("; g: " in cell for s in subjects for cell in accuracies(s).values())
    beside = {what.partition(",")[0] for s in subjects for what in baselines(s)}
    said = [ABOUT + ("; g: the second encoder, which climbs too" if second else "")]
    if "untrained" in beside:
        said.append("untrained: the same encoder, its weights drawn anew")
    if raw := sorted(beside - {"untrained"}):
        said.append(f"{' and '.join(raw)}: the same protocols without an encoder")
    return "; ".join(said) + "."


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
