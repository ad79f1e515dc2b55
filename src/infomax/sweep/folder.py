"""The folder of a sweep: its cells and their state. Everything is in files of this folder.

| path | content |
|---|---|
| sweep.json | every cell by name, with its resolved options; how cells are evaluated; which cells were asked for last |
| cells/NAME/ | the run of a cell |
| cells/NAME/result.json | its metrics, once it has finished |
| cells/NAME/error.json | why it failed, if it did |
| logs/NAME.txt | what it printed |
| locks/NAME | held by the process that runs it; the lock of sweep.json by the process that writes it |
"""

import json
from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from filelock import Timeout

from infomax.errors import ConfigError, DataError, warn
from infomax.files import write_text
from infomax.locks import held
from infomax.sweep.grid import Cell
from infomax.training.checkpoint import plain, written
from infomax.training.folder import read_config, read_log, read_watched
from infomax.training.watch.state import shows_collapse
from infomax.words import many

State = Literal["finished", "failed", "running", "begun", "waiting", "dropped"]
STATES: tuple[State, ...] = ("finished", "failed", "running", "begun", "waiting", "dropped")


@dataclass(frozen=True)
class Row:
    """The state of a cell.

    Args:
        name: name of the cell.
        state: finished, failed, running, begun (and stopped) or waiting; instead of the last two dropped, if the grid
            that was asked for last does not contain it.
        options: all options of `infomax train`, resolved.
        metrics: metrics of a finished cell.
        epochs: number of passes over the data so far.
        seconds: training time.
        error: error of a failed cell.
        content: for a finished cell: what identifies the data that it was trained and evaluated on, if recorded.
        judged_by: for a finished cell: the data that it was evaluated on, if not the training data.
        size: for a finished cell: the side in pixels at which whole images were shown to the encoder, if known.
        held: for a finished cell: the number of held-out samples it was evaluated on, if known.
        skipped: for a finished cell: how many files of its data could not be read, by the data.
        collapsing: whether the collapse watch has seen a sign of collapse in its run.
    """

    name: str
    state: State
    options: Mapping[str, Any]
    metrics: Mapping[str, float]
    epochs: int
    seconds: float
    error: str = ""
    content: Mapping[str, Any] = field(default_factory=dict)
    judged_by: str | None = None
    size: int | None = None
    held: int | None = None
    skipped: Mapping[str, int] = field(default_factory=dict)
    collapsing: bool = False


class Folder:
    """The folder of a sweep.

    Args:
        path: its path.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def begin(self, cells: Iterable[Cell], evaluate: Mapping[str, Any], named: Collection[str] | None = None) -> None:
        """Add cells to those that are there already; the evaluation is that which was asked for last.

        Args:
            cells: cells to be computed.
            evaluate: how they are evaluated.
            named: names of all cells of a grid that begins, as far as they are known. Cells that other grids had asked
                for, and that were not computed, are dropped, unless one of those cells is being computed. None: the
                grid is continued.

        Raises:
            ConfigError: the folder holds something that is not a sweep.
        """
        self.refuse_other()
        path = self.path / "sweep.json"
        with self.lock(path.name):  # else two sweeps that share a folder lose each other's cells
            before = self.read() if path.is_file() else {"cells": {}, "named": []}
            cells_before, others = before["cells"], before["named"]
            entered = {cell.name: plain(cell.options) for cell in cells}
            said: dict[str, Any] = {"evaluate": dict(evaluate), "cells": {**cells_before, **entered}}
            if named is not None and not any(self._locked(name) for name in cells_before.keys() - set(named)):
                others = []
            if others is not None:  # of an earlier version it is not known: all count
                said["named"] = list(dict.fromkeys([*others, *(named or ()), *entered]))
            write_text(path, json.dumps(said, indent=1) + "\n", durable=True)

    def refuse_other(self) -> None:
        """Refuse a path that exists and is not a sweep.

        Raises:
            ConfigError: the message says so.
        """
        held = _names(self.path)
        if held and not held & {
            "sweep.json",
            "locks",
        }:  # a lock alone: another process is about to begin the same sweep
            raise ConfigError(f"{self.path} exists, is not empty and is no sweep: choose another --out")

    def read(self) -> dict[str, Any]:
        """The content of sweep.json: {evaluate, cells, named}.

        Raises:
            DataError: it does not exist, or it is damaged.
        """
        path = self.path / "sweep.json"
        if not path.is_file():
            raise DataError(
                f"{self.path} is no sweep: it holds no sweep.json (on a cluster: a folder that every machine sees)"
            )
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
            named = said.get("named")
            return {
                "evaluate": dict(said["evaluate"]),
                "cells": dict(said["cells"]),
                "named": None if named is None else list(named),
            }
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(f"{path} is damaged: {error}") from None

    def cell(self, name: str) -> Path:
        """The folder of a cell's run."""
        return self.path / "cells" / name

    def log(self, name: str) -> Path:
        """The file of a cell's printed output."""
        return self.path / "logs" / f"{name}.txt"

    def lock(self, name: str, wait: float = -1.0) -> AbstractContextManager[None]:
        """The lock held by the process that runs a cell; see `infomax.locks.held`."""
        (self.path / "locks").mkdir(parents=True, exist_ok=True)
        return held(self.path / "locks" / name, wait)

    def result(self, name: str) -> dict[str, Any] | None:
        """The content of a cell's result.json; None if there is none, or (with a warning) if it is damaged."""
        return self._said(name, "result.json", "evaluate")

    def finished(self, name: str, sweep: Mapping[str, Any]) -> bool:
        """Whether a cell has been trained, and evaluated on the data that are asked for now."""
        found = self.result(name)
        return found is not None and found["evaluate"] == sweep["evaluate"]["data"]

    def failed(self, name: str, sweep: Mapping[str, Any]) -> bool:
        """Whether an error of the cell is recorded; one of its evaluation counts only if that is still asked for."""
        found = self._said(name, "error.json", "error")
        return found is not None and bool(found.get("evaluate", sweep["evaluate"]) == sweep["evaluate"])

    def state(self, name: str, sweep: Mapping[str, Any]) -> State:
        """The state of a cell."""
        if self.finished(name, sweep):
            return "finished"
        if self._locked(name):
            return "running"
        if self.failed(name, sweep):
            return "failed"
        if (named := sweep.get("named")) is not None and name not in named:
            return "dropped"
        return "begun" if written(self.cell(name)) else "waiting"

    def row(self, name: str, sweep: Mapping[str, Any]) -> Row:
        """The state of one cell, with its numbers."""
        state, out = self.state(name, sweep), self.cell(name)
        history = read_log(out)
        found = (self.result(name) or {}) if state == "finished" else {}
        failure = self._said(name, "error.json", "error") if state == "failed" else {}
        if failure is None:  # it has just been begun again, by --retry
            return self.row(name, sweep)
        seconds = sum(row["seconds"] for row in history)
        known, metrics = found.get("content", {}), found.get("metrics", {})
        judged_by, size, held = found.get("evaluate"), found.get("size"), found.get("held")
        if found and size is None:  # earlier versions judged at the views' size, and kept none
            with suppress(DataError):  # a cell whose result alone was kept
                size = (read_config(out).get("views") or {}).get("size")
        options = sweep["cells"][name]
        sign = shows_collapse(history, read_watched(out))
        error, skipped = failure.get("error", ""), found.get("skipped", {})
        return Row(
            name, state, options, metrics, len(history), seconds, error, known, judged_by, size, held, skipped, sign
        )

    def rows(self) -> list[Row]:
        """The state of every cell, in the order in which they were asked for."""
        sweep = self.read()
        return [self.row(name, sweep) for name in sweep["cells"]]

    def settled(self, rows: Iterable[Row]) -> str:
        """The precisions that `auto` chose in the finished ones of some cells, as a line; empty if there was only one."""
        found: dict[str, list[str]] = {}
        for row in rows:
            if row.state == "finished" and row.options.get("precision") == "auto":
                with suppress(DataError):  # a cell whose result alone was kept
                    precision = read_config(self.cell(row.name))["training"]["precision"]
                    found.setdefault(precision, []).append(row.name)
        if len(found) < 2:
            return ""
        few = min(found, key=lambda precision: len(found[precision]))
        named = ", ".join(found[few][:5]) + " ..." * (len(found[few]) > 5)
        counted = ", ".join(f"{precision} in {many(len(names), 'cell')}" for precision, names in sorted(found.items()))
        return f"precision auto came to {counted}, by the machine ({few}: {named}): means and settings mix them"

    def _said(self, name: str, file: str, key: str) -> dict[str, Any] | None:
        """What a cell's file of one object, which has some key, says; None where there is none, or it is damaged."""
        path = self.cell(name) / file
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
            return {key: said[key], **said}
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError):  # such as an empty one, after a loss of power
            warn(f"{path} is damaged: the cell counts as not ended, and the same sweep goes on with it")
            return None

    def _locked(self, name: str) -> bool:
        if not (self.path / "locks" / name).exists():
            return False
        try:
            with self.lock(name, 0.0):
                return False
        except Timeout:
            return True


def _names(path: Path) -> set[str]:
    """What a folder holds, asked once, since another process may be making it; a file holds itself."""
    try:
        return {p.name for p in path.iterdir()}
    except FileNotFoundError:
        return set()
    except NotADirectoryError:
        return {path.name}
