"""The rows of the ledger: what every study says of its claims, judged anew, with the command that measured it."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from infomax.errors import ConfigError, DataError
from infomax.studies.claims import toy as toy_claims
from infomax.studies.origin import typed
from infomax.studies.tables.printed import label_of
from infomax.studies.toy import judge as toy_judge
from infomax.studies.verdict import FAILS, HOLDS, Comparison, claim


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


def paths(given: str | Path | Sequence[str | Path]) -> list[Path]:
    """The folders of one study: one, or several."""
    return [Path(given)] if isinstance(given, str | Path) else [Path(each) for each in given]


def given_as(name: str, folders: Sequence[Path]) -> list[tuple[dict[str, Any], Path]]:
    """The results of one study's folders, each on its own data but for those of collapse.

    Raises:
        DataError: a folder that is another study, or none; two on the same data.
    """
    found = [(read(folder), folder) for folder in folders]
    for results, folder in found:
        if name in GATHER and (kind := _study_of(results)) != name:
            told = "" if kind is None else f", but one of {kind}" + f": --{kind} takes it" * (kind in GATHER)
            raise DataError(f"{folder} is no {name} study{told}")
    on = [_on(results) for results, _ in found]
    if name != "collapse" and (twice := next((data for data in on if on.count(data) > 1), None)):
        raise DataError(f"two of the {name} studies are on {twice}, which would count twice: give one on each data set")
    return found


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
        found = given_as(name, paths(given))
        folder = found[0][1]
        try:
            found = [(_together(found), folder)] if name == "collapse" and len(found) > 1 else found
            made = [row for results, folder in found for row in GATHER[name](results, folder)]
        except KeyError as error:
            raise (
                ConfigError(f"no study {name!r}")
                if name not in GATHER
                else DataError(f"{folder} is no {name} study: {error}")
            ) from None
        rows += made
    rows += map(dict, kept)
    known = {r["study"] for r in rows}
    rows += [_table2(), *([] if "table1" in known else _table1_unrun()), *_unrun()]
    order = list(GATHER)
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
    anew = dict(results) | {"claims": toy_judge.claims(results)} if "table3" in results else results
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
    return _commanded(judged_anew(results), results["command"], str(_study_of(results)), _on(results))


def _on(results: Mapping[str, Any]) -> str:
    """The data of a study."""
    data = results.get("settings", {}).get("data")
    return label_of(data) if data else "several sets" if _study_of(results) == "table1" else "the worlds held out"


def _study_of(results: Mapping[str, Any]) -> str | None:
    """Which study results are of, by what they hold; None: no one knows."""
    settings = results.get("settings", {})
    named = results.get("table") or settings.get("figure") or results.get("study")
    holds = {"theory": "checks" in results, "periodic": "cells" in results, "toy": "n" in settings}
    return str(named) if named else next((name for name, held in holds.items() if held), None)


def judged_anew(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a study says of its claims, by its runs and the rule of now; where it holds no runs, what it said.

    Args:
        results: of figs. 2 or 7, table 1, the periodic table or the collapse study.
    """
    where = str(_study_of(results))
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


GATHER: dict[str, Callable[[Mapping[str, Any], Path], list[dict[str, Any]]]] = {
    "toy": _toy,
    "theory": _theory,
    "fig2": _own,
    "fig7": _own,
    "periodic": _own,
    "table1": _own,
    "collapse": _own,
}
"""Study -> what reads its rows off its results and its folder."""


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
