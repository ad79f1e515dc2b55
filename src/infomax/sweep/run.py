"""The loop of a sweep: ask for cells, give them to a runner, and collect how they end."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from infomax.encoders.weights import PRETRAINED, located
from infomax.errors import ConfigError, command, nearest, warn
from infomax.progress import meter
from infomax.sweep.cell import judgeable
from infomax.sweep.folder import Folder, Row
from infomax.sweep.grid import Cell, Grid
from infomax.sweep.metrics import JUDGED
from infomax.sweep.runners import Runner, RunnerName, Work, available, runner
from infomax.sweep.same import refuse_others
from infomax.sweep.search import TPE, Everything, Search, able
from infomax.training.interrupt import Stopped, noted_signals
from infomax.training.options import Options
from infomax.training.prepare import check_machine
from infomax.words import many


def run(
    grid: Grid,
    out: str | Path,
    *,
    runner_name: RunnerName = "local",
    workers: int | None = None,
    threads: int = 1,
    gpus: float | None = None,
    address: str | None = None,
    retries: int = 3,
    retry: bool = False,
    progress: bool = True,
) -> list[Row]:
    """Run the cells of a grid that have not finished; see `infomax sweep`.

    Args:
        grid: the cells; see `infomax.sweep.read`.
        out: folder of the sweep; an existing sweep is continued, and keeps its cells.
        runner_name: local, ray or submitit.
        workers: number of cells that run at once.
        threads: CPU threads per cell.
        gpus: share of GPUs per cell, such as 0.25.
        address: for ray: address of the cluster, or auto; for submitit: slurm, local or debug.
        retries: how often a cell is continued after its process or machine died.
        retry: run failed cells again.
        progress: show a progress bar, one step per cell.

    Returns:
        The state of every cell in the folder. Failed cells do not stop the others.

    Raises:
        ConfigError: an impossible grid or runner, or finished cells of other data than the present ones.
        DataError: data that cannot be read, a metric that needs labels for data without, or initial weights that do not
            exist.
        Stopped: on Ctrl-C or SIGTERM; the same command continues.
    """
    available(runner_name)
    folder = Folder(out)
    work = Work(
        folder.path.resolve(), workers, threads, gpus, address, retries, retry, tuple(sorted(grid.slurm.items()))
    )
    _at_hand([cell for cell in _samples(grid) if cell.name not in grid.impossible], here=runner_name == "local")
    rows, asked = known(folder), {"evaluate": grid.evaluate}
    samples = [cell.options for cell in _samples(grid)]
    refuse_others(folder.path, rows, samples, grid.evaluate["data"])
    met = {row.options.get("data") for row in rows if folder.finished(row.name, asked)}
    if met.isdisjoint(options["data"] for options in samples):  # else one has met the data
        judgeable(samples, grid.evaluate)
    search: Search = Everything(grid) if grid.sampler == "random" else TPE(grid, rows)
    if search.apart:
        warn(f"{grid.source}: {search.apart}: such cells fail, and the others run")
    folder.begin([], grid.evaluate, search.known if isinstance(search, TPE) else [cell.name for cell in grid.cells()])
    loop = _Loop(folder, grid, search, work, runner_name, progress)
    try:
        loop.run()
    finally:
        loop.close()
    return folder.rows()


def _at_hand(cells: Sequence[Cell], *, here: bool) -> None:
    """Refuse weights to begin with that are not there; and, where cells run here, what this machine does not have."""
    for init in dict.fromkeys(cell.options["init"] for cell in cells):
        if init not in (None, PRETRAINED):
            located(init)
    for one in (cell.options for cell in cells if here):
        precision: Any = "32-true" if one["precision"] == "auto" else one["precision"]  # to ask would take up a GPU
        check_machine(Options(precision=precision, compile=one["compile"]), one)


def _samples(grid: Grid) -> list[Cell]:
    """Cells on all data that a grid may draw."""
    if grid.sampler != "tpe":
        return grid.cells()
    data = grid.random.get("data")
    return [able(grid, **one) for one in ([{"data": name} for name in data] if isinstance(data, list) else [{}])]


def known(folder: Folder) -> list[Row]:
    """The state of the cells in a folder; none if it is not a sweep."""
    return folder.rows() if (folder.path / "sweep.json").is_file() else []


class _Loop:
    """The cells of a sweep that are under way, and how those stand that have ended.

    Args:
        folder: of the sweep.
        grid: which cells.
        search: in which order.
        work: what the runner needs to know.
        name: of the runner, which is made for the first cell that is to be computed.
        progress: show a bar.
    """

    def __init__(
        self, folder: Folder, grid: Grid, search: Search, work: Work, name: RunnerName, progress: bool
    ) -> None:
        self.folder, self.grid, self.search, self.work, self.name = folder, grid, search, work, name
        self.metric: str = grid.evaluate["metric"]
        self.runner: Runner | None = None
        self.running: set[str] = set()
        self.ended: dict[str, Row] = {}
        self.bar = meter(total=search.total, desc="sweep", unit="cell", disable=not progress)

    def run(self) -> None:
        """Compute all that are left.

        Raises:
            Stopped: on Ctrl-C or SIGTERM. ConfigError: no metric of that name.
        """
        with self.bar:
            names = self._more()
            if not names:
                return
            if self.ended:
                self.bar.refresh()  # where it goes on is seen at once, in a file too
            self.runner = runner(self.name, self.work)
            with noted_signals(self.folder.path) as signals:  # after the runner is made: Ray puts handlers of its own
                try:
                    while names or self.running:
                        self._round(self.runner, names)
                        if signals:
                            break
                        names = self._more()
                finally:
                    if self.running:
                        self.runner.stop()
                if signals:
                    raise Stopped(
                        f"stopped with {len(self.ended)} of {many(self.search.total, 'cell')} ended; what was computed is "
                        "kept, and the same command goes on; how it stands: "
                        f"{command(f'sweep status {self.folder.path}')}",
                        signals[0],
                    )

    def close(self) -> None:
        """Give back what the runner took."""
        if self.runner is not None:
            self.runner.close()

    def _more(self) -> list[str]:
        """Enter the next cells; those that have ended before are told at once."""
        begin: list[str] = []
        slots = 1 if self.runner is None else self.runner.slots
        while asked := self.search.ask(slots - len(self.running) - len(begin)):
            self.folder.begin(asked, self.grid.evaluate)
            sweep, before = self.folder.read(), len(self.ended)
            for cell in asked:
                done = self.folder.finished(cell.name, sweep) or (
                    self.folder.failed(cell.name, sweep) and not self.work.retry
                )
                self._end(cell.name, sweep) if done else begin.append(cell.name)
            self._show(len(self.ended) - before)
        return begin

    def _round(self, runner: Runner, names: list[str]) -> None:
        """Hand over the cells that were entered, and see which ones end meanwhile."""
        runner.submit(names)
        self.running.update(names)
        if just := runner.wait(0.5):
            sweep = self.folder.read()  # once a round: it grows with the number of cells
            for cell in just:
                self._end(cell, sweep)
                self.running.discard(cell)
            self._show(len(just))

    def _end(self, cell: str, sweep: Mapping[str, Any]) -> None:
        row = self.folder.row(cell, sweep)
        self.ended[cell] = row
        computed = row.state == "finished" and cell in self.running
        if computed and not any(self.metric in r.metrics for r in self.ended.values()):
            # of limits with `intervals` off, say, one cell is trained, and not all; that others have it is known by them
            raise ConfigError(
                f"{self.grid.source}: evaluate: no metric {self.metric!r}: {nearest(self.metric, row.metrics)}"
            )
        self.search.tell(row)

    def _show(self, more: int) -> None:
        self.bar.total = self.search.total  # of TPE it may turn out less
        # `update` shows both; a folder of finished cells would fill a log with a line each
        self.bar.set_postfix_str(_stands(self.ended, self.metric, self.grid.evaluate["goal"]), refresh=False)
        self.bar.update(more)


def _stands(ended: dict[str, Row], metric: str, goal: str) -> str:
    every = (row.metrics.get(metric, math.nan) for row in ended.values())
    values = [value for value in every if math.isfinite(value)]
    apart = " (held out)" if metric in JUDGED else ""  # what the tables of a study hold is of the test set
    best = f"best {metric}{apart} {(max if goal == 'max' else min)(values):.2f}" if values else ""
    failed = sum(row.state == "failed" for row in ended.values())
    return ", ".join(filter(None, (best, f"{failed} failed" if failed else "")))
