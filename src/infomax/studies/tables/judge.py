"""What the paper says of table 1, judged by our columns, and by its own printed ones."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from infomax.studies.tables.columns import Column
from infomax.studies.tables.printed import LABELS, SETS, printed
from infomax.studies.verdict import Comparison, claim, mean_error, verdict

ESTABLISHED = ("simsiam", "byol", "moco_v3", "simclr", "barlow_twins", "vicreg")
PROTOTYPES = ("sdmi", "sdmi_g", "jmi")
MARGIN = 1.0
"""Points within which two encoders count as equally good."""


class Stat(NamedTuple):
    """A mean and its standard error."""

    mean: float
    error: float


Table = Mapping[str, Mapping[str, Stat]]
"""Column -> row of table 1 -> mean and error."""


def measured(found: Sequence[Column]) -> Table:
    """Our columns in which every method has a number."""
    whole = [c for c in found if all(c.values.get(key) for key in LABELS)]
    return {c.head: {key: Stat(*mean_error(c.values[key])) for key in LABELS} for c in whole}


def as_printed() -> Table:
    """The paper's table, its deviations over 3 runs as standard errors."""
    rows = printed()["table1"]
    return {
        said: {m: Stat(rows[m][name][0], rows[m][name][1] / math.sqrt(3)) for m in LABELS}
        for name, said in SETS.items()
    }


def _difference(what: str, a: Stat, b: Stat, more: float = 0.0) -> Comparison:
    return Comparison(what, a.mean - b.mean + more, math.hypot(a.error, b.error))


def none_wins(table: Table) -> list[Comparison]:
    """For each method the data set and the other method by which it is beaten most clearly."""
    made = []
    for m in LABELS:
        against = [
            _difference(f"{LABELS[o]} - {LABELS[m]}, {name}", column[o], column[m])
            for name, column in table.items()
            for o in LABELS
            if o != m and not {o, m} <= {"sdmi", "sdmi_g"}
        ]
        made += [max(against, key=lambda c: c.difference / c.error if c.error > 0 else -math.inf)] if against else []
    return made


def competitive(table: Table) -> list[Comparison]:
    """Each prototype against the least of the six established methods, on every data set."""
    made = []
    for name, column in table.items():
        least = min(ESTABLISHED, key=lambda m: column[m].mean)
        made += [_difference(f"{LABELS[p]} - {LABELS[least]}, {name}", column[p], column[least]) for p in PROTOTYPES]
    return made


def alike(table: Table) -> list[Comparison]:
    """SDMI's two encoders within `MARGIN` of each other: the margin less their distance."""
    return [
        Comparison(
            f"{MARGIN:g} - |f - g|, {name}",
            MARGIN - abs(c["sdmi"].mean - c["sdmi_g"].mean),
            math.hypot(c["sdmi"].error, c["sdmi_g"].error),
        )
        for name, c in table.items()
    ]


CLAIMS = {
    "no_method_wins": (
        "no single method outperforms all others consistently over the data sets", "4.3, table 1", none_wins,
        "of each method, where it is beaten most clearly (picked among many, so that weak cases look strong)",
    ),
    "competitive": (
        "the prototypes are competitive: on every data set each lies above the least of the six established methods",
        "4.3, table 1", competitive, "'competitive' is read so; the paper gives no measure",
    ),
    "f_equals_g": (
        f"SDMI's two encoders are equally good (within {MARGIN:g} point)", "table 1", alike,
        "the runs of one seed are taken as independent",
    ),
}  # fmt: skip


def claims(found: Sequence[Column]) -> list[dict[str, Any]]:
    """A row of the ledger for each claim of table 1; without a whole column, not decidable."""
    table, rows = measured(found), []
    for name, (says, source, compare, note) in CLAIMS.items():
        seen = "; ".join(f"{c.head}: {_span(c)}" for c in found if c.head in table) or "no data set with every method"
        theirs = verdict(compare(as_printed()))
        rows.append(
            claim(name, says, source, seen, compare(table), f"{note}; by the paper's own printed numbers: {theirs}")
        )
    return rows


def _span(c: Column) -> str:
    """The prototypes and the best and the least established method of a column."""
    means = {key: mean_error(c.values[key])[0] for key in LABELS}
    best, least = (f(ESTABLISHED, key=lambda m: means[m]) for f in (max, min))
    own = ", ".join(f"{LABELS[p]} {means[p]:.1f}" for p in PROTOTYPES)
    return f"{own}, best {LABELS[best]} {means[best]:.1f}, least {LABELS[least]} {means[least]:.1f} ({c.seeds})"
