"""The results of a sweep: the options in which cells differ, and settings over their seeds, best first."""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infomax.data.content import changed
from infomax.errors import ConfigError, command, nearest
from infomax.sweep.folder import STATES, Folder, Row
from infomax.sweep.grid import WHERE, Cell
from infomax.words import many


def varied(rows: Iterable[Row]) -> list[str]:
    """The options in which cells differ, in the order of `infomax train`; the seed last.

    Example:
        >>> rows = [Row(str(lr), "waiting", {"seed": 0, "lr": lr}, {}, 0, 0.0) for lr in (0.1, 0.2)]
        >>> varied(rows)
        ['lr']
    """
    rows = list(rows)
    keys = dict.fromkeys(key for row in rows for key in row.options)
    found = [k for k in keys if len({json.dumps(row.options.get(k)) for row in rows}) > 1]
    return sorted(found, key=lambda key: key == "seed")


def telling(rows: Iterable[Row]) -> tuple[list[str], list[str]]:
    """Of the options in which cells differ, those that say something beside the method; and those of which each method has one
    value, such as a temperature that one alone has.

    Example:
        >>> a, b = {"method": "vicreg", "lr": 0.1}, {"method": "simclr", "temperature": 0.2, "lr": 0.1}
        >>> telling([Row(str(k), "waiting", o, {}, 0, 0.0) for k, o in enumerate((a, b, a | {"lr": 0.2}))])
        (['method', 'lr'], ['temperature'])
    """
    rows = list(rows)
    keys = varied(rows)
    if "method" not in keys:
        return keys, []
    several = {
        key
        for of in ([r for r in rows if r.options.get("method") == m] for m in {r.options.get("method") for r in rows})
        for key in varied(of)
    }
    bare = set(keys) - several - {"method", "data", "seed"}
    return [key for key in keys if key not in bare], [key for key in keys if key in bare]


def counted(rows: Iterable[Row]) -> str:
    """How many cells there are, and how they stand.

    Example:
        >>> counted([Row("a", "failed", {}, {}, 0, 0.0), Row("b", "failed", {}, {}, 0, 0.0)])
        '2 cells: 2 failed'
    """
    rows = list(rows)
    return f"{many(len(rows), 'cell')}: {_states(rows)}"


def _states(rows: Iterable[Row]) -> str:
    count = Counter(row.state for row in rows)
    return ", ".join(f"{count[s]} {s}" for s in STATES if count[s])


def asked_for(rows: Iterable[Row]) -> list[Row]:
    """The cells among which there is a choice: all but those that no grid asks for any longer.

    Example:
        >>> rows = [Row("a", "finished", {}, {}, 0, 0.0), Row("b", "dropped", {}, {}, 0, 0.0)]
        >>> [row.name for row in asked_for(rows)]
        ['a']
    """
    return [row for row in rows if row.state != "dropped"]


def so_far(rows: Iterable[Row]) -> str:
    """That a choice among cells that have not all finished is of those that have, as a line; nothing where all have.

    Example:
        >>> so_far([Row("a", "finished", {}, {}, 0, 0.0), Row("b", "begun", {}, {}, 0, 0.0)])
        '2 cells: 1 finished, 1 begun; chosen of the cells that are finished so far, so the choice is not final'
    """
    rows = list(rows)
    states = {row.state for row in rows}
    if states <= {"finished"}:
        return ""
    final = (
        "that are finished"
        if states <= {"finished", "failed"}
        else "that are finished so far, so the choice is not final"
    )
    return f"{counted(rows)}; chosen of the cells {final}"


def unfinished(path: str | Path, rows: Iterable[Row], of: str = "") -> ConfigError:
    """The error of a sweep without a finished cell, or a part of it: how they stand, why the first one failed, what to do."""
    rows = list(rows)
    failed = [row for row in rows if row.state == "failed"]
    said = f"{path}: no cell{of} has finished: {counted(rows)}"
    if not failed:
        return ConfigError(f"{said}; how they stand: {command(f'sweep status {path}')}")
    return ConfigError(
        f"{said}; {failed[0].name} failed: {failed[0].error}; why each did: {command(f'sweep status {path}')}; once that is "
        "mended, `infomax sweep` with --retry runs them again"
    )


@dataclass(frozen=True)
class Setting:
    """Cells that differ only in their seed and in where they are computed.

    Args:
        options: their values of the options that vary.
        rows: the cells that have the metric.
        mean: mean of the metric.
        sd: standard deviation of the metric over seeds; None for one seed.
        stderr: binomial standard error, from the number of held-out samples; None if the metric is not an accuracy of a
            probe.
        missing: cells without the metric, or without it so far.
    """

    options: Mapping[str, Any]
    rows: tuple[Row, ...]
    mean: float
    sd: float | None
    stderr: float | None
    missing: tuple[Row, ...] = ()

    @property
    def asked(self) -> int:
        """Number of its seeds, whether they have ended or not."""
        return len(self.rows) + len(self.missing)

    @property
    def sign(self) -> str:
        """In how many of its runs there is a sign of collapse; empty if in none."""
        count, of = sum(row.collapsing for row in self.rows), len(self.rows)
        return f"a sign of collapse in {count} of {many(of, 'seed')}" if count else ""

    @property
    def shown(self) -> str:
        """The metric with its spread, what kind of spread it is, and the number of seeds behind it."""
        of = many(self.asked, "seed")
        if self.missing:
            bare = sum(row.state == "finished" for row in self.missing)
            others = _states(row for row in self.missing if row.state != "finished")
            why = ", ".join(filter(None, (f"{bare} without it" * bool(bare), others)))
            of = f"{len(self.rows)} of {self.asked} seeds; {why}"
        if self.sd is not None:
            return f"{self.mean:.2f} ± {self.sd:.2f} (sd of {of})"
        if self.stderr:
            return f"{self.mean:.2f} ± {self.stderr:.2f} ({of}; binomial error of the held-out rows)"
        return f"{self.mean:.2f} ({of})"


def settings(rows: Iterable[Row], metric: str, goal: str = "max") -> list[Setting]:
    """Group the cells that have the metric by setting, best first; equal settings keep their order.

    Settings with a missing seed come after those that have all of theirs, whatever their means: the seeds of a setting
    that did not fail are a lucky selection.

    Raises:
        ConfigError: no finished cell has such a metric; the message names the nearest.
    """
    rows = list(rows)
    known = {name for row in rows for name in row.metrics}
    if known and metric not in known:
        raise ConfigError(f"no metric {metric!r}: {nearest(metric, known)}")
    keys = [key for key in varied(rows) if key not in ("seed", *WHERE)]
    groups: dict[str, list[Row]] = {}
    for row in rows:
        alike = {k: v for k, v in Cell(row.options).what.items() if k != "seed"}
        groups.setdefault(json.dumps(alike, sort_keys=True), []).append(row)
    made = []
    for group in groups.values():
        found = [row for row in group if metric in row.metrics]
        if not found:
            continue
        values = [row.metrics[metric] for row in found]
        n, finite = len(values), all(map(math.isfinite, values))
        mean = math.fsum(v / n for v in values) if finite else math.nan
        sd = math.hypot(*(v - mean for v in values)) / math.sqrt(n - 1) if n > 1 else None
        options = {k: found[0].options.get(k) for k in keys}
        missing = tuple(row for row in group if metric not in row.metrics)
        made.append(Setting(options, tuple(found), mean, sd, found[0].metrics.get(f"{metric}_se"), missing))
    comparable = [s for s in made if math.isfinite(s.mean)]
    ordered = sorted(comparable, key=lambda s: (bool(s.missing), s.mean if goal == "min" else -s.mean))
    return ordered + [s for s in made if not math.isfinite(s.mean)]


def ranked(path: str | Path, rows: Iterable[Row], metric: str, goal: str = "max") -> list[Setting]:
    """`settings`, of which there is a best.

    Raises:
        ConfigError: where no cell has finished, none has the metric, or of no setting it is finite.
    """
    rows = list(rows)
    found = settings(rows, metric, goal)
    if not found:
        raise unfinished(path, rows)
    if not math.isfinite(found[0].mean):
        raise ConfigError(
            f"{path}: nothing has a finite {metric!r}, so there is no best: choose by another metric (--by); what each cell "
            f"has: {command(f'sweep table {path} --csv')}"
        )
    return found


def tied(found: Sequence[Setting]) -> list[Setting]:
    """Of settings, the best first, the others that are as good as it, and behind it by the order of the grid alone."""
    best, *others = found
    # means of the same shares may differ in their last bit
    alike = [one for one in others if math.isclose(one.mean, best.mean, rel_tol=1e-12)]
    return [one for one in alike if not one.missing and not best.missing and one.asked == best.asked]


def without(rows: Iterable[Row], metric: str) -> str:
    """Which finished cells lack a metric, as a line; nothing where none does."""
    names = [row.name for row in rows if row.state == "finished" and metric not in row.metrics]
    return f"left out, for want of {metric}: {', '.join(names)}" if names else ""


def mixed(rows: Iterable[Row]) -> str:
    """Which finished cells were of another version of their data, or begun with another one of their weights, than the first
    of them, or had their whole images judged at another size than the first of the same data, views and encoder, as a line;
    nothing where none was.

    Example:
        >>> a, b = ({"trained": {"images": version}} for version in "ab")
        >>> mixed([Row(str(k), "finished", {"data": "d.npz"}, {}, 1, 0.0, "", c) for k, c in enumerate((a, b, a))])
        'not comparable, since their data changed between cells: 1'
        >>> mixed([Row(f"{px}", "finished", {"data": "d.npz"}, {}, 1, 0.0, size=px) for px in (16, 32, 16)])
        'not comparable, since whole images were judged at another size than the 16 px of 16: 32 (32 px)'
    """
    first: dict[tuple[Any, str], Mapping[str, Any]] = {}
    sized: dict[tuple[Any, ...], Row] = {}
    names: dict[str, dict[str, None]] = {}  # a cell once, in however many uses its data changed
    others: dict[str, list[str]] = {}
    for row in rows:
        data = row.options.get("data")
        of = {
            "trained": (data, "their data"),
            "judged": (row.judged_by or data, "their data"),
            "begun": (row.options.get("init"), "the weights that they begin with"),
        }
        for use, known in row.content.items():
            source, what = of[use]
            parts = changed(first.setdefault((source, use), known), known) if known else []
            if any(part != "labels" or use == "judged" for part in parts):  # labels are judged by
                names.setdefault(what, {})[row.name] = None
        if row.state == "finished":
            alike = (data, row.judged_by or data, *(row.options.get(key) for key in ("views", "size", "encoder")))
            one = sized.setdefault(alike, row)
            if row.size != one.size:
                others.setdefault(f"{_px(one.size)} of {one.name}", []).append(f"{row.name} ({_px(row.size)})")
    said = [f"{what} changed between cells: {', '.join(cells)}" for what, cells in names.items()]
    said += [f"whole images were judged at another size than the {n}: {', '.join(rest)}" for n, rest in others.items()]
    return f"not comparable, since {'; since '.join(said)}" if said else ""


def unread(rows: Iterable[Row], name: Callable[[str], str] = str) -> str:
    """How many files of the cells' data could not be read, each counted once, as a line; nothing where all could.

    Args:
        rows: the cells.
        name: how data are named.

    Example:
        >>> unread([Row(str(k), "finished", {}, {}, 1, 0.0, skipped={"photos": 2}) for k in range(3)])
        'left out, since they could not be read: 2 files of photos (the log of a cell names them)'
    """
    count: dict[str, int] = {}
    for data, number in (item for row in rows for item in row.skipped.items()):
        count[data] = max(number, count.get(data, 0))
    said = ", ".join(f"{many(number, 'file')} of {name(data)}" for data, number in count.items() if number)
    return f"left out, since they could not be read: {said} (the log of a cell names them)" if said else ""


def remarks(folder: Folder, rows: Sequence[Row], metric: str, name: Callable[[str], str] = str) -> list[str]:
    """What is to be said below the numbers of a sweep: what they lack, and what makes them hard to compare, line by line.

    Args:
        folder: of the sweep.
        rows: its cells.
        metric: that is shown.
        name: how data are named.
    """
    said = (without(rows, metric), folder.settled(rows), mixed(rows), unread(rows, name))
    return [line for line in said if line]


def _px(size: int | None) -> str:
    return "size not known" if size is None else f"{size} px"
