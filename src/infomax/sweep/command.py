"""What `infomax sweep` and its commands do and print."""

import json
import math
import shlex
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml

from infomax.errors import ConfigError, command, nearest, unreadable
from infomax.recipes import files
from infomax.sweep.folder import Folder, Row
from infomax.sweep.grid import OURS, Grid, read
from infomax.sweep.metrics import JUDGED, aim, judged
from infomax.sweep.ranking import (
    asked_for,
    counted,
    ranked,
    remarks,
    settings,
    so_far,
    telling,
    tied,
    unfinished,
    varied,
)
from infomax.sweep.run import known, run
from infomax.sweep.search import TPE
from infomax.words import as_option, many


def recipes() -> dict[str, Traversable]:
    """The grids that the package brings, by name: `paper/sweep1-sdmi` and others."""
    return {name: file for name, file in files().items() if "/sweep" in name}


def grid_of(name: str, changes: tuple[str, ...] = ()) -> Grid:
    """A grid from a file, or one that the package brings.

    Args:
        name: a path, or a name as `infomax sweep --list` has it.
        changes: fixed options that take the place of the file's, as lr=0.1.

    Raises:
        ConfigError: no such file or name, or one that is no grid.

    Example:
        >>> len(grid_of("paper/sweep1-sdmi").cells()), len(grid_of("paper/sweep1-byol").cells())
        (36, 12)
    """
    path, known = Path(name), recipes()
    if not path.is_file() and name not in known:
        raise ConfigError(f"no file and no grid {name!r}: {nearest(name, known)}")
    try:
        text = path.read_text(encoding="utf-8") if path.is_file() else known[name].read_text(encoding="utf-8")
        asked = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{name}: cannot be read: {unreadable(error)}") from None
    if not isinstance(asked, dict):
        raise ConfigError(f"{name}: give a mapping, such as 'method: simclr', not {asked!r}")
    for change in changes:
        key, value = _set(change)
        for part in ("grid", "random"):
            if isinstance(asked.get(part) or {}, dict):  # else `read` says what it should be
                asked[part] = _without(key, asked.get(part) or {})
        asked = _without(key, asked) | {key: value}
    return read({k: v for k, v in asked.items() if v != {}}, name)


def _without(key: str, given: dict[Any, Any]) -> dict[Any, Any]:
    return {k: v for k, v in given.items() if str(k).replace("-", "_") != key}


def _set(change: str) -> tuple[str, Any]:
    """An option and its value out of option=value."""
    key, equals, value = change.partition("=")
    key = key.strip().replace("-", "_")
    whole, _, part = key.partition(".")
    if whole in OURS and part:
        raise ConfigError(
            f"--set {change}: {whole!r} is set as a whole: --set '{whole}={{{part}: {value.strip() or 'VALUE'}}}'"
        )
    if not equals or not key:
        raise ConfigError(f"--set {change}: give option=value, such as --set epochs=5")
    if not value.strip():
        raise ConfigError(f"--set {change}: give a value; null takes out what the file says of {key!r}")
    try:
        return key, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {change}: its value cannot be read: {' '.join(str(error).split())}") from None


def start(grid: str, out: str, changes: tuple[str, ...], options: dict[str, Any]) -> None:
    """`infomax sweep GRID --out DIR`."""
    asked = grid_of(grid, changes)
    cells = asked.cells()
    total, by = len(cells) or asked.samples, judged(asked.evaluate["metric"], asked.evaluate["data"])
    print(f"{grid}: {many(total, 'cell')}, {by}", flush=True)
    folder, names = Folder(out), [cell.name for cell in cells]
    folder.refuse_other()
    if asked.sampler == "tpe" and (rows := known(folder)):  # its cells follow from one another: those that were drawn
        search = TPE(asked, rows)
        names, total = search.known, search.total
    if said := _earlier(folder, names, total, asked.evaluate, options["retry"]):
        print(said, flush=True)
    rows = run(asked, out, **options)
    mine = {cell.name for cell in cells}
    ended = [row for row in rows if row.name in mine or not mine]
    print(counted(ended))
    _print_failed(ended)
    if ended and not any(row.state == "finished" for row in ended):
        raise unfinished(out, ended, " of this grid" * (len(ended) < len(rows)))
    if ended:
        _print_best(out, asked_for(rows), asked.evaluate["metric"], asked.evaluate["goal"])
    print(f"wrote {out}; next: {command(f'sweep table {out}')}, {command(f'sweep page {out}')}")


def _earlier(folder: Folder, names: list[str], total: int, evaluate: Any, retry: bool) -> str:
    """How many cells have ended already, as a line; nothing where none has."""
    sweep = {"evaluate": evaluate}
    states = [
        "finished" if folder.finished(name, sweep) else "failed" if folder.failed(name, sweep) else "" for name in names
    ]
    failed, finished = 0 if retry else states.count("failed"), states.count("finished")
    if not (ended := finished + failed):
        return ""
    left = ": nothing is left to run" if ended >= total else ""
    again = f"; {failed} of them failed, and --retry runs such again" if failed else ""
    return f"{ended} of {total} ended earlier{left}{again}"


def listed() -> None:
    """`infomax sweep --list`."""
    for name in recipes():
        about = grid_of(name).about
        print(f"{name:26} {many(about['cells'], 'cell')}; {about['cost']}; {about['source']}")


def status(path: str, *, as_json: bool = False) -> None:
    """`infomax sweep status DIR`."""
    rows = Folder(path).rows()
    if as_json:
        finite = [
            {k: v if math.isfinite(v) else None for k, v in row.metrics.items()} for row in rows
        ]  # JSON has no NaN
        print(json.dumps([{**row.__dict__, "metrics": m} for row, m in zip(rows, finite, strict=True)], indent=2))
        return
    print(counted(rows))
    if signs := [row.name for row in rows if row.collapsing]:
        print(f"  a sign of collapse in {many(len(signs), 'cell')}: {', '.join(signs)}")
    keys = telling(rows)[0]
    for row in rows:
        if row.state != "finished":
            of = "" if row.options.get("budget") else f" of {row.options['epochs']}"
            where = f"epoch {row.epochs}{of}" if row.epochs or row.state in ("running", "begun") else ""
            print(f"  {row.state:8} {row.name}  {_options(row.options, keys)}  {row.error or where}".rstrip())


def best(path: str, by: str | None = None, goal: str | None = None, *, as_json: bool = False) -> None:
    """`infomax sweep best DIR`."""
    folder, rows = Folder(path), asked_for(Folder(path).rows())
    asked = folder.read()["evaluate"]
    metric, goal = aim(asked, by, goal)
    found, *_ = every = ranked(path, rows, metric, goal)
    if as_json:
        said = {"options": found.rows[0].options, "mean": found.mean, "sd": found.sd, "n": len(found.rows)}
        cells = {"cells": len(rows), "finished": sum(row.state == "finished" for row in rows)}
        collapsing = sum(row.collapsing for row in found.rows)
        alike = {"tied": [one.rows[0].options for one in tied(every)]}
        print(json.dumps({**said, "asked": found.asked, "collapsing": collapsing, **cells, **alike}))
        return
    _print_best(path, rows, metric, goal)
    print(f"judged by {judged(metric, asked['data'], (row.held for row in rows))}")
    if partly := so_far(rows):
        print(partly)
    data = f" --data {shlex.quote(asked['data'])}" if asked["data"] else ""
    unlabelled = "" if data or metric in JUDGED else " (of data without labels: --data LABELLED)"
    verb = "evaluate" if len(found.rows) > 1 else "probe"  # several: their mean and deviation too
    folders = " ".join(shlex.quote(str(folder.cell(row.name))) for row in found.rows)
    names = ", ".join(row.name for row in found.rows)
    print(f"the test set, once, for {names}: {command(f'{verb} {folders}{data}')}{unlabelled}")


def table(path: str, by: str | None = None, goal: str | None = None, *, csv: bool = False) -> None:
    """`infomax sweep table DIR`."""
    folder, rows = Folder(path), asked_for(Folder(path).rows())
    asked = folder.read()["evaluate"]
    metric, goal = aim(asked, by, goal)
    if not any(row.state == "finished" for row in rows):
        _print_failed(rows)
    found = settings(rows, metric, goal)
    if csv and found:
        import sys
        from csv import DictWriter

        keys = [*varied(rows), *dict.fromkeys(key for row in rows for key in row.metrics)]
        writer = DictWriter(sys.stdout, ["cell", "state", "collapsing", *keys], lineterminator="\n")
        writer.writeheader()
        for row in rows:
            shown = {k: as_option(row.options.get(k)) for k in varied(rows)}
            ours = {"cell": row.name, "state": row.state, "collapsing": row.collapsing}
            writer.writerow({**ours, **shown, **row.metrics})
        return
    found = ranked(path, rows, metric, goal)
    keys, bare = telling(rows)
    lines = [
        {
            **{k: as_option(v) for k, v in s.options.items() if k in keys},
            metric: "; ".join(filter(None, (s.shown, s.sign))),
        }
        for s in found
    ]
    heads = list(lines[0])
    widths = {h: max(len(h), *(len(line[h]) for line in lines)) for h in heads}
    for line in ({h: h for h in heads}, *lines):
        print("  ".join(line[h].ljust(widths[h]) for h in heads).rstrip())
    print(f"{counted(rows)}; {judged(metric, asked['data'], (row.held for row in rows))}")
    if bare:
        print(f"  left out, as each method has one value of it: {', '.join(bare)}; --csv has them")
    _print_failed(rows)
    for said in remarks(folder, rows, metric):
        print(f"  {said}")


def _print_failed(rows: list[Row]) -> None:
    for row in rows:
        if row.state == "failed":
            print(f"  failed: {row.name}: {row.error}")


def _print_best(path: str, rows: list[Row], metric: str, goal: str) -> None:
    found, *_ = every = ranked(path, rows, metric, goal)
    keys = [key for key in found.options if key in telling(rows)[0]]
    print(f"best: {_options(found.options, keys) or 'the only setting'}: {metric} {found.shown}")
    print(f"  cells {', '.join(row.name for row in found.rows)}")
    if named := [_options(one.options, keys) for one in tied(every)]:
        more = f", and {len(named) - 3} more" if len(named) > 3 else ""
        print(f"  as good, and behind it by the order of the grid alone: {'; '.join(named[:3])}{more}")
    if found.sign:
        one = Folder(path).cell(next(row.name for row in found.rows if row.collapsing))
        print(f"  {found.sign}: look at it before it is used: {command(f'report {shlex.quote(str(one))}')}")
    for said in remarks(Folder(path), rows, metric):
        print(f"  {said}")


def _options(options: Any, keys: list[str]) -> str:
    return ", ".join(f"{k}={as_option(options.get(k))}" for k in keys)
