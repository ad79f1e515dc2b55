"""What cells of a sweep are called where they are shown as runs: by what tells them apart, where their folder is a hash."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from infomax.errors import DataError
from infomax.sweep.folder import Folder, Row
from infomax.sweep.ranking import telling
from infomax.words import as_option


def titles(runs: Sequence[Path]) -> list[str | None]:
    """Of each run its method and the options in which the cells of its sweep differ; None of one that is no cell.

    Args:
        runs: folders of runs.

    Example:
        >>> titles([Path("runs/a")])
        [None]
    """
    known = {sweep: _of(sweep) for sweep in {_sweep(run) for run in runs} if sweep is not None}
    found = [None if (sweep := _sweep(run)) is None else known[sweep].get(run.resolve().name) for run in runs]
    count = Counter(found)  # of two sweeps
    return [
        f"{title} ({run.resolve().parents[1].name}/{run.name})" if title and count[title] > 1 else title
        for run, title in zip(runs, found, strict=True)
    ]


def _sweep(run: Path) -> Path | None:
    folder = run.resolve().parent
    return folder.parent if folder.name == "cells" and (folder.parent / "sweep.json").is_file() else None


def _of(sweep: Path) -> Mapping[str, str]:
    """The cells of a sweep by their names."""
    cells: Mapping[str, Mapping[str, Any]] = {}
    with suppress(DataError, OSError):  # a damaged one: the runs are shown by their folders
        cells = {k: o for k, o in Folder(sweep).read()["cells"].items() if isinstance(o, Mapping) and "method" in o}
    varied, own = telling([Row(name, "waiting", options, {}, 0, 0.0) for name, options in cells.items()])
    keys = [key for key in varied if key != "method"]
    made = {name: [str(o["method"]), *_said(o, keys)] for name, o in cells.items()}
    alike = Counter(map(tuple, made.values()))
    return {
        name: ", ".join(made[name] + (_said(cells[name], own) if alike[tuple(made[name])] > 1 else [])) for name in made
    }


def _said(options: Mapping[str, Any], keys: Sequence[str]) -> list[str]:
    """Options by name and value, of a path its last part."""
    values = {key: options[key] for key in keys if options.get(key) is not None}
    return [f"{key} {Path(v).name if key == 'data' else as_option(v, digits=3)}" for key, v in values.items()]
