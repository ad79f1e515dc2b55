"""The ledger: every claim of the paper and of our errata, the experiment, the figure with its spread, the verdict.

    infomax study claims --out runs/claims         # or infomax.studies.claims.run("runs/claims")

Nothing in it is typed: a row is what a study measured and judged, and a study that was run already can be read.
"""

import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from infomax.errors import DataError
from infomax.studies.budgets import budget_of
from infomax.studies.claims import toy as toy_claims
from infomax.studies.claims.page import as_markdown, as_text, page, told
from infomax.studies.claims.rows import GATHER, given_as, judged_anew, ledger, paths, read
from infomax.studies.folder import begun, finished, going_on
from infomax.studies.origin import origin, typed
from infomax.studies.verdict import VERDICTS

__all__ = ["as_markdown", "as_text", "judged_anew", "ledger", "page", "read", "run", "told"]


def run(
    out: str | Path,
    *,
    budget: str = "minutes",
    data: str | None = None,
    root: str | None = None,
    toy: str | Path | None = None,
    theory: str | Path | None = None,
    fig2: str | Path | Sequence[str | Path] | None = None,
    fig7: str | Path | Sequence[str | Path] | None = None,
    periodic: str | Path | None = None,
    table1: str | Path | None = None,
    collapse: str | Path | Sequence[str | Path] | None = None,
    earlier: str | Path | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Run the studies, or read those that are given, and collect their claims.

    Args:
        out: folder for results.json, claims.md, index.html, and a folder for each study that is run. A ledger that was
            stopped is continued in the same folder.
        budget: minutes (two CPU cores; the toy study on 500 samples), hour or paper.
        data: data of figs. 2 and 7; None: the budget's.
        root: folder of the named data sets.
        toy, theory, fig2, fig7, periodic, table1, collapse: folders of finished studies, or their JSON files (for toy
            its folder, which holds every seed). Several of fig2 and fig7, each on its own data, and several of
            collapse, each with its own seeds, which are judged together. The claims are judged again from their runs,
            by the present rules.
        earlier: an earlier ledger (its folder or results.json), from which rows of studies that are not given are
            taken; no study is run.
        workers: number of processes; None: one per core.
        progress: show progress bars.

    Returns:
        What results.json holds: `claims`, `counts`, `seconds` and `cpu_seconds` (of all processes; of a ledger
        that was stopped, since it went on), `environment`, `commit`.

    Raises:
        ConfigError: `out` holds something else, or the same study with other options.
        DataError: a folder that is not the study it was given as, or two on the same data.

    Example:
        >>> run("runs/claims", toy="no/such/folder")
        Traceback (most recent call last):
        infomax.errors.DataError: no/such/folder is no study: it holds no results.json
    """
    from infomax.evaluate.splits import known_by
    from infomax.files import write_text
    from infomax.studies.curves.plan import BUDGETS
    from infomax.training.defaults import dataset

    size = budget_of(budget, BUDGETS)  # one that there is not is said before anything is made
    folders = {"toy": toy, "theory": theory, "fig2": fig2, "fig7": fig7, "periodic": periodic, "table1": table1}
    folders |= {"collapse": collapse}
    asked = {name: paths(path) for name, path in folders.items() if path is not None}
    given = dict(asked)
    for name, some in given.items():
        given_as(name, some)
    if toy is not None:
        toy_claims.arrays_of(Path(toy))  # before others run for hours
    kept = _kept(read(Path(earlier)), given) if earlier is not None else []
    began, cpu = time.perf_counter(), _processor_seconds()
    settings: dict[str, Any] = {"budget": budget, "data": data or size.data, "read": sorted(given)}
    options = {"budget": budget, "data": data, **asked, "earlier": earlier}
    run = earlier is None and not {"fig2", "fig7"} <= given.keys()
    known = {settings["data"]: known_by(dataset(settings["data"], root))} if run else {}
    with going_on(out, settings | {"root": root, "earlier": earlier is not None}, known) as folder:
        for name, study in _studies(budget, data, root, workers, progress).items():
            if name not in given and earlier is None:
                at = folder.path / name
                given[name] = [at]
                if not finished(at):
                    if at.exists() and not begun(at):  # one that cannot go on: the pieces are in its way
                        shutil.rmtree(at)
                    study(at)
        rows = ledger(given, kept)
        results: dict[str, Any] = {
            "settings": settings | ({"earlier": sorted({r["study"] for r in kept})} if kept else {}),
            **origin(),
            "command": typed("claims", options, {"budget": "minutes"}),
            "claims": rows,
            "counts": {v: sum(r["verdict"] == v for r in rows) for v in VERDICTS},
            "seconds": time.perf_counter() - began,
            "cpu_seconds": _processor_seconds() - cpu,
        }
        folder.write(results)
        write_text(folder.path / "claims.md", as_markdown(rows))
        page(results).write(folder.path / "index.html")
    return results


def _studies(
    budget: str, data: str | None, root: str | None, workers: int | None, progress: bool
) -> dict[str, Callable[[Path], Any]]:
    """What runs each study into a folder."""
    from infomax.studies import curves
    from infomax.studies import theory as theory_study
    from infomax.studies import toy as toy_study

    options: dict[str, Any] = {"data": data, "root": root, "budget": budget, "workers": workers, "progress": progress}
    n = 500 if budget == "minutes" else 2500
    return {
        "toy": lambda path: toy_study.run(path, n=n, workers=workers, progress=progress),
        "theory": theory_study.run,
        "fig2": lambda path: curves.fig2(path, **options),
        "fig7": lambda path: curves.fig7(path, **options),
    }


def _processor_seconds() -> float:
    """Of this process and of the children that have ended."""
    t = os.times()
    return t.user + t.system + t.children_user + t.children_system


def _kept(before: Mapping[str, Any], given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of an earlier ledger, of studies that are not given anew."""
    if "claims" not in before or "counts" not in before:
        raise DataError("--earlier: this is no ledger; make one by infomax study claims --out DIR")
    return [dict(r) for r in before["claims"] if r["study"] in GATHER and r["study"] not in given]
