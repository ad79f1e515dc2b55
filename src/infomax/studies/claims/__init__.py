"""The ledger: every claim of the paper and of our errata, the experiment, the figure with its spread, the verdict.

    infomax study claims --out runs/claims         # or infomax.studies.claims.run("runs/claims")

Nothing in it is typed: a row is what a study measured and judged, and a study that was run already can be read.
"""

import itertools
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from infomax.errors import ConfigError, DataError
from infomax.studies.budgets import budget_of
from infomax.studies.claims import toy as toy_claims
from infomax.studies.kept import begun, finished, going_on
from infomax.studies.origin import origin, typed
from infomax.studies.tables.printed import label_of
from infomax.studies.toy import results as toy_results
from infomax.studies.verdict import FAILS, HOLDS, OPEN, VERDICTS, Comparison, claim, judged

__all__ = ["as_markdown", "as_text", "judged_anew", "ledger", "run", "told"]


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
    """Run the studies, or read those that are given, and gather their claims.

    Args:
        out: folder to make: results.json, claims.md, index.html, and a folder for each study that was run; one in which the
            same was stopped goes on.
        budget: minutes (two CPU cores; the toy study on 500 samples), hour or paper.
        data: of figs. 2 and 7; None: the budget's.
        root: where named data sets lie.
        toy, theory, fig2, fig7, periodic, table1, collapse: folders of studies that were run already, or their JSON files (of
            toy its folder, which holds every seed); of fig2 and fig7 several, each on its own data, and of collapse several,
            with seeds of their own, which are judged together. What they say of the claims is judged anew from their runs,
            by the rule of now.
        earlier: a ledger (its folder or results.json), from which rows of studies that are not given are taken; none is run.
        workers: processes; None: one a core.
        progress: show bars.

    Returns:
        What results.json holds: `claims`, `counts`, `seconds` and `cpu_seconds` (of all processes; of a ledger
        that was stopped, since it went on), `environment`, `commit`.

    Raises:
        ConfigError: `out` holds something else, or the same study begun otherwise. DataError: a folder that is no study.

    Example:
        >>> run("runs/claims", toy="no/such/folder")
        Traceback (most recent call last):
        infomax.errors.DataError: no/such/folder is no study: it holds no results.json
    """
    from infomax.files import write_text
    from infomax.studies.curves.plan import BUDGETS

    size = budget_of(budget, BUDGETS)  # one that there is not is said before anything is made
    folders = {"toy": toy, "theory": theory, "fig2": fig2, "fig7": fig7, "periodic": periodic, "table1": table1}
    folders |= {"collapse": collapse}
    asked = {name: _paths(path) for name, path in folders.items() if path is not None}
    given = dict(asked)
    for path in itertools.chain.from_iterable(given.values()):
        read(path)
    if toy is not None:
        toy_claims.arrays_of(Path(toy))  # before others run for hours
    kept = _kept(read(Path(earlier)), given) if earlier is not None else []
    began, cpu = time.perf_counter(), _processor_seconds()
    settings = {"budget": budget, "data": data or size.data, "read": sorted(given)}
    options = {"budget": budget, "data": data, **asked, "earlier": earlier}
    with going_on(out, settings | {"root": root, "earlier": earlier is not None}) as folder:
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


def read(folder: Path) -> dict[str, Any]:
    """A study's results.

    Raises:
        DataError: where there are none, or they are damaged.
    """
    known = (folder, folder / "results.json", folder / "table1.json")
    path = next((file for file in known if file.is_file()), None)
    if path is None:
        raise DataError(f"{folder} is no study: it holds no results.json")
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise DataError(f"{path} is damaged: {error}") from None


def _paths(given: str | Path | Sequence[str | Path]) -> list[Path]:
    return [Path(given)] if isinstance(given, str | Path) else [Path(each) for each in given]


def _kept(before: Mapping[str, Any], given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of an earlier ledger, of studies that are not given anew."""
    if "claims" not in before or "counts" not in before:
        raise DataError("--earlier: this is no ledger; make one by infomax study claims --out DIR")
    return [dict(r) for r in before["claims"] if r["study"] in _GATHER and r["study"] not in given]


def ledger(
    folders: Mapping[str, str | Path | Sequence[str | Path]], kept: Sequence[Mapping[str, Any]] = ()
) -> list[dict[str, Any]]:
    """The rows of every study, each with the command that measures it and what it was measured `on`.

    Args:
        folders: of studies, by name: toy, theory, fig2, fig7, periodic, table1, collapse; of one name several, of which
            those of collapse are judged together.
        kept: rows of an earlier ledger, of other studies.

    Raises:
        DataError: a folder that is not the study it was given as. ConfigError: an unknown name.
    """
    rows: list[dict[str, Any]] = []
    for name, given in folders.items():
        found = [(read(path), path) for path in _paths(given)]
        folder = found[0][1]
        try:
            found = [(_together(found), folder)] if name == "collapse" and len(found) > 1 else found
            made = [row for results, folder in found for row in _GATHER[name](results, folder)]
        except KeyError as error:
            raise (
                ConfigError(f"no study {name!r}")
                if name not in _GATHER
                else DataError(f"{folder} is no {name} study: {error}")
            ) from None
        rows += made
    rows += map(dict, kept)
    known = {r["study"] for r in rows}
    rows += [_table2(), *([] if "table1" in known else _table1_unrun()), *_unrun()]
    order = list(_GATHER)
    rows.sort(key=lambda r: order.index(r["study"]) if r["study"] in order else len(order))
    return sorted(rows, key=lambda r: r["source"] == "infomax")


def _together(found: Sequence[tuple[Mapping[str, Any], Path]]) -> dict[str, Any]:
    """Several studies of collapse as one, with the runs of all."""
    rows = [row for results, _ in found for row in results["rows"]]
    runs = [(row["name"], row["world"], row["seed"]) for row in rows]
    if twice := next((run for run in runs if runs.count(run) > 1), None):
        raise DataError(f"{twice[0]}, {twice[1]}, seed {twice[2]} is in two of the collapse studies: give each once")
    said = [r["command"].replace("--out collapse", f"--out collapse-{k}") for k, (r, _) in enumerate(found, 1)]
    return dict(found[0][0]) | {"rows": rows, "command": "; ".join(said)}


def _toy(results: Mapping[str, Any], folder: Path) -> list[dict[str, Any]]:
    s = results["settings"]
    plain = {"seeds": 10, "n": 2500, "epochs": 100}
    command = typed("toy", {name: s[name] for name in plain}, plain)
    anew = dict(results) | {"claims": toy_results.claims(results)} if "table3" in results else results
    rows = toy_claims.claims(anew, toy_claims.read_arrays(folder))
    return _commanded(rows, command, "toy", f"five Gaussians, N = {s['n']}")


def _theory(results: Mapping[str, Any], folder: Path) -> list[dict[str, Any]]:
    """The theory study judges its own: by bounds that hold or fail beyond its sampling error."""
    s, rows = results["settings"], []
    for name, check in results["checks"].items():
        for k, c in enumerate(check["claims"], 1):
            row = claim(f"{name}_{k}", c["text"], c["source"], c["seen"], [])
            rows.append(row | {"verdict": HOLDS if c["holds"] else FAILS, "note": check["title"]})
    plain = {"seed": 0, "draws": 200}
    return _commanded(rows, typed("theory", {name: s[name] for name in plain}, plain), "theory", "known truths")


def _own(results: Mapping[str, Any], folder: Path) -> list[dict[str, Any]]:
    where = _study_of(results)
    data = results["settings"].get("data")
    on = label_of(data) if data else "several sets" if where == "table1" else "the worlds held out"
    return _commanded(judged_anew(results), results["command"], where, on)


def _study_of(results: Mapping[str, Any]) -> str:
    return str(results.get("table") or results["settings"].get("figure") or results.get("study", "periodic"))


def judged_anew(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a study says of its claims, by its runs and the rule of now; where it holds no runs, what it said.

    Args:
        results: of figs. 2 or 7, table 1, the periodic table or the collapse study.
    """
    where = _study_of(results)
    if where == "periodic" and results.get("cells"):
        from infomax.studies import periodic

        score = {said: key for key, said in periodic.SCORES.values()}[results["settings"]["score"]]
        return periodic.claims(results["cells"], results["again"], score, results.get("chosen_on"))
    if not results.get("rows"):
        return list(results["claims"])
    if where == "table1":
        from infomax.studies.tables.columns import columns
        from infomax.studies.tables.judge import claims

        return claims(columns(results["rows"], results["untrained"]))
    if where == "collapse":
        from infomax.studies.collapse import judge

        return judge.claims(results["rows"])
    from infomax.studies.curves import JUDGES

    return JUDGES[where](results["rows"])


_GATHER: dict[str, Callable[[Mapping[str, Any], Path], list[dict[str, Any]]]] = {
    "toy": _toy,
    "theory": _theory,
    "fig2": _own,
    "fig7": _own,
    "periodic": _own,
    "table1": _own,
    "collapse": _own,
}


def _commanded(rows: Sequence[Mapping[str, Any]], command: str, study: str, on: str) -> list[dict[str, Any]]:
    return [dict(row) | {"study": study, "on": on, "command": command} for row in rows]


def _table2() -> dict[str, Any]:
    """The paper's own rule, applied to the methods as they are built."""
    from infomax import taxonomy

    printed = [r for r in taxonomy.table() if r.name in taxonomy.PRINTED]
    odd = [r for r in printed if r.differs]
    row = claim(
        "table2",
        "the taxonomy of table 2 follows from the paper's rule",
        "table 2",
        f"{len(printed) - len(odd)} of {len(printed)} methods; "
        + "; ".join(f"{r.name}: printed {r.paper}, computed {r.optimisation}, {r.paradigm}" for r in odd),
        [Comparison("1/2 - methods that differ", 0.5 - len(odd), 0.0)],
        "; ".join(f"{r.name}: {r.differs}" for r in odd),
    )
    return row | {"study": "taxonomy", "on": "", "command": "infomax methods"}


def _table1_unrun() -> list[dict[str, Any]]:
    """The claims of table 1 where no table was given to be read."""
    from infomax.studies.tables.judge import CLAIMS

    return [
        claim(name, says, source, "not run", [], note)
        | {"study": "none", "on": "", "command": "infomax study table1 --out tables"}
        for name, (says, source, _, note) in CLAIMS.items()
    ]


def _unrun() -> list[dict[str, Any]]:
    """What the paper claims of experiments that no budget here pays for: there are no numbers to judge."""
    far = {
        "memory": (
            "SDMI takes about 15 GB of GPU memory where the other methods take 7",
            "E.1",
            "not run: needs a GPU, ResNet-18, batch 512; counted tensor by tensor by benchmarks/memory.py",
            "infomax study fig2 --out fig2 --data cifar10 --budget paper",
        ),
    }
    return [
        claim(name, says, source, seen, []) | {"study": "none", "on": "", "command": command}
        for name, (says, source, seen, command) in far.items()
    ]


def as_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The ledger as a table.

    Example:
        >>> row = claim("a", "x > y", "4.3", "x 2 | y 1", []) | {"command": "infomax", "study": "toy", "on": "digits"}
        >>> print(as_markdown([row]).splitlines()[-1])
        | 1 | x > y | 4.3 | digits | not decidable | x 2 \\| y 1 |  | `infomax` |
    """
    lines = ["| | claim | where | on | verdict | measured | judged by | command |", "|---|---|---|---|---|---|---|---|"]
    for k, r in enumerate(rows, 1):
        cells = [str(k), r["claim"], r["source"], r.get("on", ""), r["verdict"], r["measured"], judged(r)]
        lines.append("| " + " | ".join(c.replace("|", "\\|") for c in cells) + f" | `{r['command']}` |")
    return "\n".join(lines) + "\n"


def as_text(results: Mapping[str, Any]) -> str:
    """The verdicts for a terminal."""
    counts = results["counts"]
    lines = [
        f"{r['verdict']:14} {r['claim']} ({r['source']}; {r['study']}{', ' * bool(r.get('on'))}{r.get('on', '')})"
        for r in results["claims"]
    ]
    return "\n".join(
        [
            *lines,
            f"{len(lines)} claims: {counts[HOLDS]} hold, {counts[FAILS]} do not, {counts[OPEN]} are not decidable at this "
            f"budget ({told(results['claims'])}); {results['seconds']:.0f} s, {results['cpu_seconds']:.0f} processor seconds",
        ]
    )


def told(rows: Sequence[Mapping[str, Any]]) -> str:
    """How many of the paper's claims and how many of our own came to which verdict.

    Example:
        >>> rows = [{"source": "4.3", "verdict": "holds"}, {"source": "infomax", "verdict": "does not hold"}]
        >>> told(rows)
        'of the paper 1, 0 and 0; ours 0, 1 and 0'
    """
    counts = {
        ours: [sum((r["source"] == "infomax", r["verdict"]) == (ours, v) for r in rows) for v in VERDICTS]
        for ours in (False, True)
    }
    said = {ours: f"{a}, {b} and {c}" for ours, (a, b, c) in counts.items()}
    return f"of the paper {said[False]}; ours {said[True]}"


def page(results: Mapping[str, Any]) -> Any:
    """Lay the ledger out.

    Args:
        results: what `results.json` holds.
    """
    from infomax.report import Page
    from infomax.studies.curves.page import RULE, claim_row
    from infomax.studies.page import with_settings

    counts, rows = results["counts"], results["claims"]
    out = Page(
        "The ledger of claims",
        f"{len(rows)} claims of the paper and of our errata: {counts[HOLDS]} hold, {counts[FAILS]} do not, {counts[OPEN]} "
        f"are not decidable at this budget ({told(rows)}).",
    )
    parts = {"Printed in the paper": [r for r in rows if r["source"] != "infomax"],
             "Ours": [r for r in rows if r["source"] == "infomax"]}  # fmt: skip
    out.section("How they are judged").text(RULE + " The theory study judges its own, by bounds of known truth.")
    for heading, some in parts.items():
        if some:
            out.section(heading).table(
                [
                    claim_row(r) | {"study": r["study"], "on": r.get("on", ""), "command": f"`{r['command']}`"}
                    for r in some
                ]
            )
    return with_settings(out, results)
