"""Test of the collapse watch: does it report every collapse in time, without false alarms?

infomax study collapse --out runs/collapse             # or infomax.studies.collapse.run("runs/collapse")
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from infomax.errors import ConfigError, nearest
from infomax.studies.collapse.judge import PARTS, claims, counted, ended, table
from infomax.studies.collapse.plan import PLAIN, WORLDS, Cell, base_of, sentences
from infomax.studies.collapse.train import run_cell
from infomax.studies.folder import going_on
from infomax.studies.origin import origin, typed
from infomax.studies.pool import run_kept

__all__ = ["WORLDS", "as_text", "claims", "counted", "ended", "page", "run"]


def run(
    out: str | Path,
    *,
    worlds: Sequence[str] = (),
    names: Sequence[str] = (),
    root: str | None = None,
    seeds: int = 1,
    first_seed: int = 100,
    workers: int | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Train every sentence in every world, and count missed collapses and false alarms.

    Args:
        out: folder for results.json and index.html. A study that was stopped is continued in the same folder.
        worlds: names of training setups; by default those whose data come with the package.
        names: names of sentences; by default all. With an ablation, its whole method is run too: the ablation is judged
            against it.
        root: folder of the named data sets.
        seeds: number of seeds of every sentence and world.
        first_seed: first seed. The thresholds were chosen on seed 0, and seeds 1 to 24 and 100 to 120 were looked at
            before the watch took its present form (docs/collapse_study.md): the default repeats one of these; a trial
            of your own takes one from 121 on.
        workers: number of processes; None: one per core.
        progress: show a progress bar.

    Returns:
        What results.json holds: `settings`, `environment`, `commit`, `rows` (a run each, `collapsed` among its keys),
        `counts`, `claims`.

    Raises:
        ConfigError: an unknown world or sentence, or `out` holds something else, or the same study with other options.

    Example:
        >>> run("runs/collapse", worlds=["digit"])
        Traceback (most recent call last):
        infomax.errors.ConfigError: no world 'digit': did you mean 'digits'? (one of: ...)
    """

    worlds, names = list(worlds or PLAIN), list(names or sentences())
    for asked, known, what in ((worlds, WORLDS, "world"), (names, sentences(), "sentence")):
        for name in asked:
            if name not in known:
                raise ConfigError(f"no {what} {name!r}: {nearest(name, known)}")
    names += [base for base in dict.fromkeys(base_of(name) for name in names) if base not in names]
    for name, number, least in (("seeds", seeds, 1), ("first_seed", first_seed, 0)):
        if number < least:
            raise ConfigError(f"{name}={number}: give at least {least}")
    began = time.perf_counter()
    cells = [Cell(n, w, s, root) for w in worlds for s in range(first_seed, first_seed + seeds) for n in names]
    settings = {"seeds": seeds, "first_seed": first_seed, "worlds": {w: asdict(WORLDS[w]) for w in worlds}}
    given = {"worlds": worlds, "sentences": names, "seeds": seeds, "first_seed": first_seed}
    plain = {"worlds": list(PLAIN), "sentences": list(sentences()), "seeds": 1, "first_seed": 100}
    with going_on(out, settings | {"names": names, "root": root}) as kept:
        answers = run_kept(run_cell, cells, workers, kept, "collapse", progress)
        rows: list[dict[str, Any]] = [
            answer.value
            if answer.error is None
            else {"name": c.name, "world": c.world, "seed": c.seed, "error": answer.error}
            for c, answer in zip(cells, answers, strict=True)
        ]
        for row in rows:
            if "error" not in row:
                row["collapsed"] = ended(row, rows)
        results: dict[str, Any] = {
            "study": "collapse",
            "settings": settings,
            **origin(),
            "command": typed("collapse", given, plain),
            "rows": rows,
            "counts": {p: {k: len(v) for k, v in each.items()} for p, each in counted(rows).items()},
            "claims": [],
            "seconds": time.perf_counter() - began,
            "cpu_seconds": sum(row.get("cpu_seconds", 0.0) for row in rows),
        }
        kept.write(results)  # before it is judged: what was run is kept, whatever the judge meets
        results["claims"] = claims(rows)
        kept.write(results)
        page(results).write(kept.path / "index.html")
    return results


def page(results: Mapping[str, Any]) -> Any:
    """The study's page, of what `results.json` holds."""
    from infomax.report import Page
    from infomax.studies.curves.page import RULE, claim_row

    made = Page("Collapse, seen in time?", _counts(results))
    made.section("How each run ended, and what was said of it").table(
        table(results["rows"]),
        "std and effective rank at the end; then what the watch said, and after which share of the run. Collapsed: std below "
        "0.1, or std or effective rank below a quarter of the whole method's in the same world (of a whole method: of the "
        "median of all).",
    )
    if results["claims"]:
        made.section("Claims").table([claim_row(c) for c in results["claims"]], RULE)
    return made.section("Settings").table(
        [{"world": w, **{k: str(v) for k, v in each.items()}} for w, each in results["settings"]["worlds"].items()]
    )


def _counts(results: Mapping[str, Any]) -> str:
    said = []
    for part, c in results["counts"].items():
        if c["healthy"] + c["collapsed"]:
            said.append(
                f"{PARTS[part]}: {c['collapsed'] - c['missed']} of {c['collapsed']} collapsed runs flagged in the first fifth "
                f"({c['late']} more later), {c['alarms']} of {c['healthy']} healthy ones flagged, {c['warned']} of {c['open']} "
                "that lack their guard and did not end collapsed flagged, too"
            )
    return ". ".join(["; ".join(said) or "no run came to its end", f"{results['cpu_seconds']:.0f} processor seconds"])


def as_text(results: Mapping[str, Any]) -> str:
    """What was flagged, missed or called wrongly, for a terminal."""
    lines = []
    for line in table(results["rows"]):
        lines.append(line["sentence"])
        lines += [f"    {world:18} {line[world]}" for world in line if world != "sentence"]
    lines += [f"failed: {r['name']}, {r['world']}: {r['error']}" for r in results["rows"] if "error" in r]
    return "\n".join([*lines, _counts(results)])
