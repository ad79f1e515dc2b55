"""What the tables share: their folder, the sweeps in it, and how a table is written down."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from infomax.errors import ConfigError
from infomax.files import write_text
from infomax.studies.budgets import budget_of
from infomax.studies.origin import commit, typed
from infomax.studies.tables import plan
from infomax.studies.tables.printed import label_of
from infomax.studies.tables.sources import Source, source
from infomax.sweep.folder import Folder, Row
from infomax.sweep.grid import Cell, Listed
from infomax.sweep.run import run as run_sweep
from infomax.sweep.runners import RunnerName, available
from infomax.training.defaults import check_names
from infomax.training.run import environment


@dataclass(frozen=True)
class Asked:
    """What the five tables are asked alike.

    Args:
        out: folder, made anew or gone on with.
        data: names or paths; by default the budget's.
        methods: of table 1; by default all eight.
        budget: minutes (two CPU cores), hour (one GPU) or paper.
        seeds: 0 to seeds - 1, of tables 1 and 7; by default the budget's. 0: nothing is run, `elsewhere` is shown alone.
        root: where named data sets lie.
        epochs, samples, encoder, size: in place of the budget's.
        elsewhere: of table 1: folders of evaluated runs, or JSON files of rows, made elsewhere; shown in columns of their own.
        runner, workers, gpus, address, device: where cells run; as of `infomax sweep`.
        retry: run failed cells again.
        progress: show bars.
    """

    out: str | Path
    data: Sequence[str] | None = None
    methods: Sequence[str] | None = None
    budget: str = "minutes"
    seeds: int | None = None
    root: str | None = None
    epochs: int | None = None
    samples: int | None = None
    encoder: str | None = None
    size: int | None = None
    elsewhere: Sequence[str] | None = None
    runner: RunnerName = "local"
    workers: int | None = None
    gpus: float | None = None
    address: str | None = None
    device: str = "auto"
    retry: bool = False
    progress: bool = True

    def __post_init__(self) -> None:
        budget_of(self.budget, plan.BUDGETS)
        plan.chosen(self.methods)
        available(self.runner)
        check_names(encoder=self.encoder or "auto")
        for name, least in (("seeds", 0 if self.elsewhere else 1), ("epochs", 1), ("samples", 16), ("size", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigError(f"{name}={value}: give at least {least}")
        held = {p.name for p in self.folder.iterdir()} if self.folder.is_dir() else set()
        ours = (
            "data",
            "final",
            "sweep1",
            "sweep2",
            "index.html",  # of `infomax report`
            *(f"table{n}{e}" for n in (1, 4, 5, 6, 7) for e in (".json", ".md", ".html")),
        )
        if held - set(ours):
            raise ConfigError(
                f"{self.folder} holds something else ({sorted(held - set(ours))[0]}): choose another --out"
            )

    @property
    def folder(self) -> Path:
        """Of all tables."""
        return Path(self.out)

    @property
    def size_of(self) -> plan.Budget:
        """The budget, with what takes its numbers' places."""
        known = budget_of(self.budget, plan.BUDGETS)
        given = {"seeds": self.seeds, "epochs": self.epochs, "sweep_epochs": self.epochs}
        given |= {"samples": self.samples, "sweep_samples": self.samples}
        return replace(known, **{k: v for k, v in given.items() if v is not None})  # type: ignore[arg-type]

    @property
    def changes(self) -> dict[str, Any]:
        """Options that stand in place of every cell's."""
        given = {"encoder": self.encoder, "size": self.size, "epochs": self.epochs, "device": self.device}
        return {k: v for k, v in given.items() if v is not None}

    def sources(self, samples: int | None, known: Sequence[str] | None = None) -> list[Source]:
        """The data sets, whole or so many rows of each."""
        names = self.data or known or self.size_of.data
        labels = [label_of(name) for name in names]
        twice = next((name for name, label in zip(names, labels, strict=True) if labels.count(label) > 1), None)
        if twice is not None:
            raise ConfigError(
                f"--data {twice}: another one has the same name, {label_of(twice)!r}, in the tables; rename it"
            )
        return [source(name, self.root, samples, self.folder / "data") for name in names]

    def sweep(self, stage: str, cells: Sequence[Cell]) -> dict[str, Row]:
        """Run cells that have not finished, and say how each of them stands, by name.

        Args:
            stage: final, sweep1 or sweep2.
            cells: to run.
        """
        grid = Listed({}, source=stage, given=tuple(cells))
        threads = max(1, int(os.environ.get("OMP_NUM_THREADS", "1")))
        rows = run_sweep(
            grid,
            self.folder / stage,
            runner_name=self.runner,
            workers=self.workers,
            threads=threads,
            gpus=self.gpus,
            address=self.address,
            retry=self.retry,
            progress=self.progress,
        )
        mine = {cell.name for cell in cells}
        return {row.name: row for row in rows if row.name in mine}

    def command(self, table: str) -> str:
        """The command line that does the same."""
        where = ("out", "root", "runner", "workers", "gpus", "address", "device", "retry", "progress")
        plain = {field.name: field.default for field in fields(self) if field.name not in where}
        return typed(table, {name: getattr(self, name) for name in plain}, plain, out="tables")


def cost(folder: Folder, rows: Sequence[Row]) -> dict[str, float]:
    """Seconds of training by the clock, and of all processes' processors, of some cells."""
    results = [folder.result(row.name) or {} for row in rows]
    return {
        "seconds": sum(row.seconds for row in rows),
        "cpu_seconds": sum(result.get("cpu_seconds", 0.0) for result in results),
    }


def here(device: str) -> str:
    """This machine in a word, for the head of a column.

    Example:
        >>> here("cpu")
        'CPU'
    """
    cuda = environment()["cuda"]
    return str(cuda) if cuda and device != "cpu" else "CPU"


def write(
    asked: Asked,
    table: str,
    title: str,
    results: dict[str, Any],
    parts: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write a table as numbers, as text and as a page.

    Args:
        asked: what was asked.
        table: its name.
        title: of the page.
        results: what its JSON holds beside the settings.
        parts: sections: `heading`, `lines` (of a table) and `text`.
        settings: beside budget and machine.

    Returns:
        What the JSON holds.
    """
    from infomax.report.page import Page
    from infomax.studies.tables.page import laid_out

    held = {
        "table": table,
        "command": asked.command(table),
        "commit": commit(),
        "settings": {"budget": asked.budget, "machine": here(asked.device), **(settings or {})},
        "environment": {k: v for k, v in environment().items() if k not in ("command", "processes")},
        "made": time.strftime("%F"),
        **results,
        "parts": [dict(part) for part in parts],
    }
    asked.folder.mkdir(parents=True, exist_ok=True)
    write_text(asked.folder / f"{table}.json", json.dumps(held, indent=1, allow_nan=False) + "\n")
    write_text(asked.folder / f"{table}.md", as_markdown(held))
    page = Page(title, f"`{held['command']}`, {held['settings']['machine']}")
    laid_out(page, parts).write(asked.folder / f"{table}.html")
    return held


def as_markdown(results: Mapping[str, Any]) -> str:
    """A table's sections as markdown.

    Example:
        >>> print(as_markdown({"parts": [{"heading": "Probe", "lines": [{"method": "JMI", "%": "88"}], "text": "One seed."}]}))
        **Probe**
        <BLANKLINE>
        | method | % |
        |---|---|
        | JMI | 88 |
        <BLANKLINE>
        One seed.
        <BLANKLINE>
    """
    said = []
    for part in results["parts"]:
        said.append(f"**{part['heading']}**\n")
        if part.get("lines"):
            heads = list(dict.fromkeys(key for line in part["lines"] for key in line))
            said += ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
            cells = ([str(line.get(h, "")).replace("|", "\\|") for h in heads] for line in part["lines"])
            said += ["| " + " | ".join(line) + " |" for line in cells]
            said.append("")
        if part.get("text"):
            said.append(part["text"] + "\n")
    return "\n".join(said)


def as_text(results: Mapping[str, Any]) -> str:
    """A table's sections for a terminal, columns aligned.

    Example:
        >>> print(as_text({"parts": [{"heading": "Probe", "lines": [{"method": "JMI", "%": "88"}]}]}))
        Probe
          method  %
          JMI     88
    """
    said = []
    for part in results["parts"]:
        said.append(part["heading"])
        if lines := part.get("lines"):
            heads = list(dict.fromkeys(key for line in lines for key in line))
            cells = [heads, *([str(line.get(h, "")) for h in heads] for line in lines)]
            widths = [max(len(row[k]) for row in cells) for k in range(len(heads))]
            said += ["  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells]
        said += [part["text"]] if part.get("text") else []
    return "\n".join(said)
