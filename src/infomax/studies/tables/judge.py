"""What the paper says of table 1, judged by our columns, and by its own printed ones."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from infomax.studies.tables.columns import Column
from infomax.studies.tables.printed import LABELS, SETS, printed
from infomax.studies.verdict import FAILS, HOLDS, Comparison, apart, claim, known, mean_error, verdict, within

ESTABLISHED = ("simsiam", "byol", "moco_v3", "simclr", "barlow_twins", "vicreg")
PROTOTYPES = ("sdmi", "sdmi_g", "jmi")
MARGIN = 1.0
"""Points within which two encoders count as equally good."""


class Stat(NamedTuple):
    """A mean, its standard error and of how many runs; `values` where each is known, a seed."""

    mean: float
    error: float
    n: int
    values: tuple[float, ...] = ()


Table = Mapping[str, Mapping[str, Stat]]
"""Column -> row of table 1 -> mean and error."""


def measured(found: Sequence[Column]) -> Table:
    """Our columns in which every method has a number."""
    whole = [c for c in found if all(c.values.get(key) for key in LABELS)]
    return {c.head: {key: Stat(*mean_error(v := c.values[key]), len(v), tuple(v)) for key in LABELS} for c in whole}


def as_printed() -> Table:
    """The paper's table, its deviations over 3 runs as standard errors."""
    rows = printed()["table1"]
    return {
        said: {m: Stat(rows[m][name][0], rows[m][name][1] / math.sqrt(3), 3) for m in LABELS}
        for name, said in SETS.items()
    }


def _difference(what: str, a: Stat, b: Stat, among: int = 1) -> Comparison:
    freedom = apart(a.error, a.n, b.error, b.n)
    return Comparison(what, a.mean - b.mean, known(math.hypot(a.error, b.error)), freedom, among)


def none_wins(table: Table) -> list[Comparison]:
    """For each method the data set and the other method by which it is beaten most clearly, of so many."""
    made = []
    for m in LABELS:
        against = [
            _difference(f"{LABELS[o]} - {LABELS[m]}, {name}", column[o], column[m])
            for name, column in table.items()
            for o in LABELS
            if o != m and not {o, m} <= {"sdmi", "sdmi_g"}
        ]
        if against:
            most = max(against, key=lambda c: c.difference / c.error if c.error > 0 else -math.inf)
            made.append(most._replace(among=len(against)))
    return made


def competitive(table: Table) -> list[Comparison]:
    """Each prototype against the least of the six established methods, which is picked for that, on every data set."""
    made = []
    for name, column in table.items():
        least = min(ESTABLISHED, key=lambda m: column[m].mean)
        made += [
            _difference(f"{LABELS[p]} - {LABELS[least]}, {name}", column[p], column[least], len(ESTABLISHED))
            for p in PROTOTYPES
        ]
    return made


def alike(table: Table) -> list[Comparison]:
    """SDMI's two encoders within `MARGIN` of each other, seed by seed where seeds are known: the margin less their distance."""
    made = []
    for name, c in table.items():
        f, g = c["sdmi"], c["sdmi_g"]
        if f.values and len(f.values) == len(g.values):
            made.append(within(f"|f - g|, {name}", f.values, g.values, MARGIN))
        else:
            far = _difference(f"{MARGIN:g} - |f - g|, {name}", f, g)
            made.append(far._replace(difference=MARGIN - abs(far.difference)))
    return made


CLAIMS = {
    "no_method_wins": (
        "no single method outperforms all others consistently over the data sets", "4.3, table 1", none_wins,
        "of each method, where it is beaten most clearly, with the interval of one picked among so many",
    ),
    "competitive": (
        "the prototypes are competitive: on every data set each lies above the least of the six established methods",
        "4.3, table 1", competitive, "'competitive' is read so; the paper gives no measure",
    ),
    "f_equals_g": (
        f"SDMI's two encoders are equally good (within {MARGIN:g} point)", "table 1", alike,
        "seed by seed; of printed means, as if f and g were of other runs",
    ),
}  # fmt: skip


def claims(found: Sequence[Column]) -> list[dict[str, Any]]:
    """A row of the ledger for each claim of table 1; without a whole column, not decidable."""
    table, rows = measured(found), []
    for name, (says, source, compare, note) in CLAIMS.items():
        seen = "; ".join(f"{c.head}: {_span(c)}" for c in found if c.head in table) or "no data set with every method"
        printed_ones = compare(as_printed())
        means = HOLDS if all(c.difference > 0 for c in printed_ones) else FAILS
        theirs = f"by the paper's own printed means: {means}, by their spread over three runs: {verdict(printed_ones)}"
        rows.append(claim(name, says, source, seen, compare(table), f"{note}; {theirs}"))
    return rows


def _span(c: Column) -> str:
    """The prototypes and the best and the least established method of a column."""
    means = {key: mean_error(c.values[key])[0] for key in LABELS}
    best, least = (f(ESTABLISHED, key=lambda m: means[m]) for f in (max, min))
    own = ", ".join(f"{LABELS[p]} {means[p]:.1f}" for p in PROTOTYPES)
    return f"{own}, best {LABELS[best]} {means[best]:.1f}, least {LABELS[least]} {means[least]:.1f} ({c.seeds})"
