"""What a page says of a run's accuracies: each with its spread, on which data, and of which weights where not those of now."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from infomax.evaluate.findings import of_what, shown
from infomax.report.markdown import literal
from infomax.report.subject import Subject
from infomax.words import many

PROTOCOLS = {"linear": "linear probe, %", "sgd": "SGD probe, %", "knn": "kNN, %"}


def accuracies(s: Subject) -> dict[str, str]:
    """The columns of a run, by the head of each; none where it was not evaluated."""
    kept = shown(s.evaluation, s.config["data"])
    if kept is None:
        return {}
    name, found, own = kept
    row = {said: cell for key, said in PROTOCOLS.items() if (cell := spread(found, key)) is not None}
    of_g = {"test": found.get("test"), **(found.get("g") or {})}
    row |= {
        said: f"{row[said]}; g: {cell}"
        for key, said in PROTOCOLS.items()
        if said in row and (cell := spread(of_g, key))
    }
    if row:
        of = of_what(found, None if s.learner is None else s.learner.encoder, s.last.get("epoch"))
        row["evaluated on"] = literal(name) + ("" if own else ", other data") + (f", **{of}**" if of else "")
    return row


def caption(subjects: Sequence[Subject]) -> str:
    """What is said of them below the table."""
    rows = [accuracies(s) for s in subjects]
    if not any(rows):
        return ""
    second = any("; g: " in cell for row in rows for cell in row.values())
    return (
        "; accuracies are those of `infomax evaluate`, ± the binomial standard error of n test samples, or the sd of n seeds "
        f"of the protocol, on one encoder{'; g: the second encoder, which climbs too' if second else ''}"
    )


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
