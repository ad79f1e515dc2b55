"""Figs. 2 and 7 of the paper: MI over training of eight methods, and the ablations; each with seeds, ceilings and verdicts.

infomax study fig2 --out runs/fig2             # or infomax.studies.curves.fig2("runs/fig2")
infomax study fig7 --out runs/fig7
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infomax.errors import ConfigError
from infomax.studies.budgets import budget_of
from infomax.studies.curves import judge
from infomax.studies.curves.plan import BUDGETS, FIG2, FIG7, cells
from infomax.studies.curves.train import GAUGED, run_cell
from infomax.studies.folder import going_on
from infomax.studies.origin import origin, typed
from infomax.studies.pool import run_kept

if TYPE_CHECKING:
    from infomax.report import Page

__all__ = ["BUDGETS", "FIG2", "FIG7", "LEAST", "fig2", "fig7"]

LEAST = {"seeds": 1, "epochs": 2, "samples": 8, "size": 4}
"""The fewest of each: one epoch is no curve."""


def fig2(out: str | Path, **options: Any) -> dict[str, Any]:
    """Fig. 2: mutual information over training, SDMI and JMI methods, three estimators with their ceilings.

    Args:
        out: folder for results.json, fig2.png and index.html. A study that was stopped is continued in the same folder.
        options: as in `study`.

    Example:
        >>> fig2("runs/fig2", budget="minuets")
        Traceback (most recent call last):
        infomax.errors.ConfigError: --budget minuets: did you mean 'minutes'? (one of: hour, minutes, paper)
    """
    return study(out, "fig2", FIG2, **options)


def fig7(out: str | Path, **options: Any) -> dict[str, Any]:
    """Fig. 7: SDMI without its marginal, SimSiam without its predictor, and both with replacements.

    Args:
        out: folder for results.json, fig7.png and index.html. A study that was stopped is continued in the same folder.
        options: as in `study`.
    """
    return study(out, "fig7", FIG7, **options)


def study(
    out: str | Path,
    figure: str,
    names: tuple[str, ...],
    *,
    data: str | None = None,
    root: str | None = None,
    budget: str = "minutes",
    seeds: int | None = None,
    epochs: int | None = None,
    samples: int | None = None,
    encoder: str | None = None,
    size: int | None = None,
    workers: int | None = None,
    device: str = "auto",
    progress: bool = True,
) -> dict[str, Any]:
    """Train every sentence with every seed, judge the claims, and write numbers, figure and page.

    Args:
        out: folder of the study. A study that was stopped is continued in the same folder.
        figure: fig2 or fig7.
        names: names of the sentences.
        data: name or path, as in `infomax.train`; None: the budget's.
        root: folder of the named data sets.
        budget: minutes (two CPU cores), hour (one GPU) or paper.
        seeds, epochs, samples, encoder: instead of the budget's; seeds at least 1, epochs 2 (for a curve) and samples
            8.
        size: side in pixels of the views, and of the images that are probed, at least 4; None: as in `infomax.train`.
        workers: number of processes; None: one per core, and 1 if there is a GPU.
        device: cpu, cuda, cuda:1 or auto.
        progress: show a progress bar.

    Returns:
        What results.json holds: `settings` (`samples` as asked for, `trained_on` as many as there were), `environment`,
            `commit`, `command`, `rows` (a run each; one that failed has `error`), `claims`, `seconds`, `cpu_seconds`.

    Raises:
        ConfigError: `out` holds something else, or the same study with other options; an impossible number, an unknown
            encoder or device.
        DataError: the data do not exist.
    """

    from infomax.evaluate.splits import known_by
    from infomax.training.defaults import check_names, dataset, encoder_for
    from infomax.training.devices import place

    asked = {"seeds": seeds, "epochs": epochs, "samples": samples, "size": size}
    for name, least in LEAST.items():
        if (value := asked[name]) is not None and value < least:
            raise ConfigError(f"{name}={value}: give at least {least}")
    given: dict[str, Any] = {k: v for k, v in (asked | {"encoder": encoder, "data": data}).items() if v is not None}
    plan = replace(budget_of(budget, BUDGETS), **given)
    where = place(device).device
    check_names(encoder=plan.encoder)
    whole = dataset(plan.data, root)
    if plan.size is not None and not whole.is_images:
        raise ConfigError(f"size={plan.size}: {plan.data} are no images")
    encoder_for(whole, plan.encoder, plan.size)  # before anything is made: no such data, no such encoder
    gauged = min(GAUGED, len(whole), plan.samples or len(whole))
    began = time.perf_counter()
    jobs = cells(names, plan.data, root, plan, str(where))
    lies = {} if root is None else {"root": "given"}  # where data lie is this machine's business
    settings = {"figure": figure, "data": plan.data, "budget": budget, "gauged": gauged} | lies | asdict(plan)
    known = {plan.data: known_by(whole)}
    with going_on(out, settings | {"names": list(names), "root": root, "device": str(where)}, known) as kept:
        side_by_side = 1 if where.type == "cuda" and workers is None else workers
        answers = run_kept(run_cell, jobs, side_by_side, kept, figure, progress)
        rows = [
            answer.value if answer.error is None else {"name": job.name, "seed": job.seed, "error": answer.error}
            for job, answer in zip(jobs, answers, strict=True)
        ]
        rows.sort(key=lambda r: (names.index(r["name"]), r["seed"]))
        results: dict[str, Any] = {
            "settings": settings | {"trained_on": min(len(whole), plan.samples or len(whole))},
            **origin(),
            "command": typed(figure, {"budget": budget, **given}, {"budget": "minutes"}),
            "rows": rows,
            "claims": [],
            "seconds": time.perf_counter() - began,
            "cpu_seconds": sum(row.get("cpu_seconds", 0.0) for row in rows),
        }
        kept.write(results)  # before it is judged: what was run is kept, whatever the judge meets
        results["claims"] = JUDGES[figure](rows)
        kept.write(results)
        _draw(kept.path, figure, results)
    return results


JUDGES: Mapping[str, Callable[[Sequence[Mapping[str, Any]]], list[dict[str, Any]]]] = {
    "fig2": judge.fig2,
    "fig7": judge.fig7,
}


def _draw(folder: Path, figure: str, results: Mapping[str, Any]) -> None:
    made = drawn(figure, results)
    if made is not None:
        page, pictures = made
        for name, picture in pictures.items():
            (folder / name).write_bytes(picture)
        page.write(folder / "index.html")


def drawn(figure: str, results: Mapping[str, Any]) -> "tuple[Page, dict[str, bytes]] | None":
    """The page and the pictures, or nothing where every run failed.

    Args:
        figure: fig2 or fig7.
        results: what `results.json` holds.
    """
    if not judge.grouped(results["rows"]):
        return None
    from infomax.studies.curves import page as pages

    draw, title = {
        "fig2": (pages.fig2_png, "Fig. 2: mutual information over training"),
        "fig7": (pages.fig7_png, "Fig. 7: what happens without the marginal"),
    }[figure]
    pictures = {f"{figure}.png": draw(results["rows"])}
    return pages.page(title, results, pictures), pictures


def as_text(results: Mapping[str, Any]) -> str:
    """The end of every run and the verdicts, for a terminal."""
    from infomax.studies.verdict import shown

    lines = []
    for name, runs in judge.grouped(results["rows"]).items():
        line = f"{judge.label(name):32}"
        if "linear" in runs[0]:
            line += f" linear {shown(judge.last(runs, 'linear'))} %"
        for key, said in (("mi_dv", "cos-DV"), ("std", "std"), ("effective_rank", "rank")):
            line += f", {said} {shown(judge.last(runs, key))}"
        lines.append(line)
    lines += [f"failed: {r['name']}, seed {r['seed']}: {r['error']}" for r in results["rows"] if "error" in r]
    lines += [f"  {c['verdict']:14} {c['claim']} ({c['source']})" for c in results["claims"]]
    return "\n".join(lines)
