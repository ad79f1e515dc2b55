"""Rows of runs gathered into the columns of table 1: a data set as one setting and machine ran it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from infomax.errors import DataError
from infomax.studies.tables.printed import LABELS, SETS, counterpart, printed
from infomax.studies.verdict import shown
from infomax.words import as_option, many

Values = Mapping[str, list[float]]
"""Row of the table -> accuracies in percent, one a seed."""


@dataclass(frozen=True)
class Column:
    """One column of ours.

    Args:
        data: the data set's label.
        machine, encoder, epochs, size, train: what its runs share.
        values: of the linear probe.
        knn: of nearest neighbours.
        untrained: the probe on the untrained encoder, where that was run.
        apart: what tells it from another column of the same data and machine.
    """

    data: str
    machine: str
    encoder: str
    epochs: int
    size: int | None
    train: int | None
    values: Values
    knn: Values
    untrained: list[float]
    apart: str = ""

    @property
    def like(self) -> str | None:
        """The paper's data set beside it."""
        return counterpart(self.data)

    @property
    def head(self) -> str:
        """Its name in the table."""
        return f"{self.data} ({self.machine.split(',')[0]}{self.apart})"

    @property
    def said(self) -> str:
        """What its runs share, in words."""
        rows = "" if self.train is None else f"{many(self.train, 'image')}, "
        side = "" if self.size is None else f" at {self.size} px"
        return f"{rows}{self.encoder}{side}, {many(self.epochs, 'epoch')}, {self.machine}"

    @property
    def seeds(self) -> str:
        """How many runs stand behind its cells."""
        counts = sorted({len(v) for v in self.values.values()})
        most = many(counts[-1], "seed")
        return most if len(counts) == 1 else f"{counts[0]} to {most}"


def columns(rows: Sequence[Mapping[str, Any]], untrained: Mapping[str, Sequence[float]] | None = None) -> list[Column]:
    """Gather rows; those that ended in an error are left out.

    Args:
        rows: `method`, `data`, `seed`, `linear`, `machine` and what else there is.
        untrained: label of a data set -> accuracies of untrained encoders, on the machine of the study.

    Raises:
        DataError: a seed of a method twice in one column, or seeds of it that were trained by other options.
    """
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        if row.get("linear") is not None:
            shared = tuple(row.get(k) for k in ("data", "machine", "encoder", "epochs", "size", "train"))
            groups.setdefault(shared, []).append(row)
    made = []
    for (data, machine, encoder, epochs, size, train), group in groups.items():
        values: dict[str, list[float]] = {}
        knn: dict[str, list[float]] = {}
        _differ_in_seed_alone(group)
        for row in sorted(group, key=lambda r: r["seed"]):
            for key, end in ((row["method"], ""), (f"{row['method']}_g", "_g")):
                if row.get(f"linear{end}") is not None:
                    values.setdefault(key, []).append(float(row[f"linear{end}"]))
                if row.get(f"knn{end}") is not None:
                    knn.setdefault(key, []).append(float(row[f"knn{end}"]))
        bare = list((untrained or {}).get(data, ())) if all(not row.get("elsewhere") for row in group) else []
        made.append(Column(data, str(machine), str(encoder), int(epochs or 0), size, train, values, knn, bare))
    heads = [c.head for c in made]
    made = [
        replace(c, apart=f", {c.encoder}, {many(c.epochs, 'epoch')}, {c.train or '?'} images")
        if heads.count(c.head) > 1
        else c
        for c in made
    ]
    order = [*SETS, None]
    return sorted(made, key=lambda c: (order.index(c.like), c.data, c.machine))


def _differ_in_seed_alone(group: Sequence[Mapping[str, Any]]) -> None:
    """Else there is no mean over seeds of a method, or it has a run twice."""
    for method in {row["method"]: None for row in group}:
        rows = [row for row in group if row["method"] == method]
        seeds, where = [row["seed"] for row in rows], f"table 1: {method}, {rows[0]['data']} ({rows[0]['machine']})"
        if twice := [seed for seed in seeds if seeds.count(seed) > 1]:
            raise DataError(f"{where}, seed {twice[0]} is there twice: give each run once, and one setting of it")
        first, *others = rows
        for row in others:
            a, b = ({k: as_option(v) for k, v in (r.get("options") or {}).items()} for r in (first, row))
            if other := sorted(k for k in a.keys() & b.keys() if a[k] != b[k]):
                raise DataError(
                    f"{where}: seeds {first['seed']} and {row['seed']} differ in {other[0]} ({a[other[0]]}, {b[other[0]]}), so "
                    "they have no mean: give runs of one setting"
                )


def table(found: Sequence[Column]) -> list[dict[str, str]]:
    """Table 1 as lines: the paper's columns, each with ours that stand beside it, then ours alone; accuracies in percent."""
    lines = [{"method": said} for said in LABELS.values()]
    for like in [*SETS, None]:
        ours = [c for c in found if c.like == like]
        for key, line in zip(LABELS, lines, strict=True):
            if like is not None:
                mean, sd = printed()["table1"][key][like]
                line[f"{SETS[like]}, paper"] = f"{mean:.2f} ± {sd:.2f}"
            for c in ours:
                line[c.head] = shown(c.values[key]) if c.values.get(key) else ""
    if any(c.untrained for c in found):
        blank = dict.fromkeys(lines[0], "")
        lines.append(
            blank | {"method": "untrained encoder"} | {c.head: shown(c.untrained) for c in found if c.untrained}
        )
    return lines


def second(found: Sequence[Column]) -> list[dict[str, str]]:
    """The same of nearest neighbours, ours alone: the paper has none."""
    return [
        {"method": said} | {c.head: shown(c.knn[key]) if c.knn.get(key) else "" for c in found}
        for key, said in LABELS.items()
    ]
