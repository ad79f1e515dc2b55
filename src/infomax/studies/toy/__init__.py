"""The paper's toy study: eight methods on five Gaussians (sections 4.2, 4.3, D.1, D.2), with error bars.

    infomax study toy --out runs/toy              # or infomax.studies.toy.run("runs/toy")

Settings, as the paper where it says and as found to match where it does not: encoder 2-64-3 with batch norm and ReLU (E.4),
SGD of rate .5 without momentum and weight decay, a cosine over 100 epochs, views drawn once, temperature .5 of the
explicit bounds (.2 of MoCo-v3), predictor 3-64-3, momentum .99 annealed to 1, VICReg 1/1/.04.
"""

import json
import platform
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from infomax.data.machine import cores
from infomax.errors import ConfigError
from infomax.files import write_text
from infomax.progress import meter
from infomax.studies.origin import commit
from infomax.studies.toy.jobs import ABLATIONS, METHODS, TEMPERATURE, Job
from infomax.studies.toy.train import Arrays
from infomax.studies.toy.worker import run_all
from infomax.studies.toy.world import TRUE_MI
from infomax.training.folder import leaving_nothing
from infomax.words import many

TAUS = (1.0, 0.1)
"""Temperatures at which MI is read: the paper's (eq. 14 has none, that is 1), and one sharp enough to tell clusters apart."""


def run(
    out: str | Path,
    *,
    seeds: int = 10,
    n: int = 2500,
    epochs: int = 100,
    mini_batch: int | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Reproduce the paper's toy study: figs. 3 to 7 and table 3, with the spread over seeds and the claims judged.

    Args:
        out: folder for `results.json`, `arrays.npz` (every seed), PNG figures and `index.html`. It must be new or
            empty.
        seeds: number of independent repetitions, each with its own data, views, weights and shuffling.
        n: samples per seed, a multiple of 5.
        epochs: passes over the data, at least 2; the best setting uses four times as many.
        mini_batch: samples per batch in fig. 6; None: a fifth of n, the paper's 500 of 2500. From n on it is the full
            batch.
        workers: number of processes that train at once; None: one per core.
        progress: show a progress bar.

    Returns:
        What `results.json` holds.

    Raises:
        ConfigError: `out` exists and is not empty, or an impossible number.
        NumericsError: a loss that is not finite.

    Example:
        >>> run("runs/toy", n=7)
        Traceback (most recent call last):
        infomax.errors.ConfigError: n=7: five Gaussians share the points evenly; give a multiple of 5, at least 10
    """
    folder = _prepare(Path(out), seeds, n, epochs, mini_batch, workers)
    with leaving_nothing(folder):
        return _run(folder, seeds, n, epochs, mini_batch, workers, progress)


def _run(
    folder: Path, seeds: int, n: int, epochs: int, mini_batch: int | None, workers: int | None, progress: bool
) -> dict[str, Any]:
    batch = min(n, mini_batch or max(n // 5, 2))
    start = time.perf_counter()
    plan = _plan(seeds, n, epochs, batch)
    arrays = _train(plan, workers or cores(), progress)
    runs = {setting: {name: arrays[job] for name, job in jobs.items()} for setting, jobs in plan.items()}
    trained = time.perf_counter()
    results = _results(plan, runs, seeds, n, epochs, batch)
    results["seconds"] = {"training": trained - start}
    pictures = _draw(results, runs, epochs)
    results["seconds"] |= {"figures": time.perf_counter() - trained, "all": time.perf_counter() - start}

    from infomax.studies.toy.page import page

    for name, picture in pictures.items():
        (folder / name).write_bytes(picture)
    page(results, runs, pictures).write(folder / "index.html")
    flat = {f"{s}/{m}/{k}": v for s, methods in runs.items() for m, found in methods.items() for k, v in found.items()}
    np.savez_compressed(folder / "arrays.npz", **flat)  # type: ignore[arg-type]
    write_text(folder / "results.json", json.dumps(results, indent=1, allow_nan=False))
    return results


def _prepare(folder: Path, seeds: int, n: int, epochs: int, mini_batch: int | None, workers: int | None) -> Path:
    if n < 10 or n % 5:
        raise ConfigError(f"n={n}: five Gaussians share the points evenly; give a multiple of 5, at least 10")
    for name, value, least in (
        ("seeds", seeds, 1),
        ("epochs", epochs, 2),  # whether a curve rises takes two readings of it
        ("mini_batch", mini_batch, 2),
        ("workers", workers, 1),
    ):
        if value is not None and value < least:
            raise ConfigError(f"{name}={value}: give at least {least}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} exists and is not empty: name a new folder, nothing is overwritten")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _plan(seeds: int, n: int, epochs: int, batch: int) -> dict[str, dict[str, Job]]:
    """Setting -> name -> job. Equal jobs are trained once: the mini-batch runs are the full ones where batch = n."""
    every = tuple(range(seeds))
    full = {m: Job(m, every, n, epochs, n, taus=TAUS) for m in METHODS}
    mini = {m: Job(m, every, n, epochs, batch, taus=TAUS) for m in METHODS}
    standard = {m: full.get(m, Job(m, every, n, epochs, n)) for m in ABLATIONS}
    bare = {m: Job(m, every, n, epochs, n, last_norm=False) for m in ABLATIONS}
    best = {"sdmi": Job("sdmi", every, n, 4 * epochs, min(n, 500), lr=0.05)}
    return {"full_batch": full, "mini_batch": mini, "standard": standard, "no_last_norm": bare, "best": best}


def _train(plan: dict[str, dict[str, Job]], workers: int, progress: bool) -> dict[Job, Arrays]:

    jobs = {job for group in plan.values() for job in group.values()}
    # in units of work, not of jobs or epochs, so that the time left is right: an epoch of one job costs ten of another
    each = {job: max(round(job.cost / job.epochs / 1e6), 1) for job in jobs}
    total = sum(each[job] * job.epochs for job in jobs)
    with meter(total=total, disable=not progress, smoothing=0.05, mininterval=0.5) as bar:
        bar.bar_format = "{desc}{percentage:3.0f}%|{bar}| {elapsed}, {remaining} left"

        def tell(job: Job) -> None:
            bar.set_description(
                f"{job.method}, batch {job.batch} of {job.n}, {many(len(job.seeds), 'seed')}", refresh=False
            )
            bar.update(each[job])

        return run_all(jobs, workers, tell)


def _results(
    plan: dict[str, dict[str, Job]], runs: dict[str, dict[str, Arrays]], seeds: int, n: int, epochs: int, batch: int
) -> dict[str, Any]:
    from infomax import __version__
    from infomax.studies.toy import judge
    from infomax.studies.toy import results as r

    best = plan["best"]["sdmi"]
    mi: dict[str, Any] = {}
    for tau in TAUS:
        for setting in ("full_batch", "mini_batch"):
            mi[setting if tau == TAUS[0] else f"{setting}_tau_{tau:g}"] = r.curves(runs[setting], tau)
    results: dict[str, Any] = {
        "settings": {
            "seeds": seeds,
            "n": n,
            "epochs": epochs,
            "mini_batch": batch,
            "optimizer": "SGD .5, no momentum, no weight decay, cosine by epoch",
            "temperature": f"{TEMPERATURE} (SDMI, JMI, SimCLR), .2 (MoCo-v3)",
            "momentum": ".99 annealed to 1 (BYOL, MoCo-v3)",
            "vicreg": "1/1/.04",
            "views": "x + N(0, .1^2 I), drawn once",
            "taus": list(TAUS),
            "best": {"method": "sdmi", "lr": best.lr, "epochs": best.epochs, "batch": best.batch},
            "reading": "frozen encoders, batch norms at the statistics of the training views",
        },
        "versions": {
            "infomax": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
            "machine": f"{platform.machine()}, {cores()} cores",
            "command": " ".join(sys.argv),
        },
        "commit": commit(),
        "truth": TRUE_MI,
        "ceilings": r.ceilings(TAUS, n),
        "table3": r.table3(runs["full_batch"]),
        "table3_mini_batch": r.table3(runs["mini_batch"]),
        "table3_paper": {row: dict(zip(r.COLUMNS, values, strict=True)) for row, values in r.PAPER.items()},
        "bands": judge.BANDS,
        "mi": mi,
        "highest_mi": r.highest(mi),
        "gauges": {setting: r.gauges(runs[setting]) for setting in ("full_batch", "mini_batch")},
        "ablations": {variant: r.gauges(runs[variant]) for variant in ("standard", "no_last_norm")},
        "best": r.gauges(runs["best"])["sdmi"],
    }
    results["claims"] = judge.claims(results)
    return results


def _draw(results: dict[str, Any], runs: dict[str, dict[str, Arrays]], epochs: int) -> dict[str, bytes]:
    from infomax.report.looks import png
    from infomax.studies.toy import figures as f

    full, n = runs["full_batch"], results["settings"]["n"]
    seed = f.typical(full)
    made = {
        "fig3_trajectories.png": f.trajectories(full, seed),
        "fig4_centres.png": f.centres(full, seed, epochs),
    }
    for setting, curves in results["mi"].items():
        number = "6" if setting.startswith("mini") else "5"
        said = f"mini-batches of {results['settings']['mini_batch']}" if number == "6" else "full batch"
        title = f"MI over training, {said} (mean ± sd over {many(results['settings']['seeds'], 'seed')}, N = {n})"
        tau = curves["jmi"]["dv"]["tau"]
        name = f"fig{number}_mi_{setting}.png"
        made[name] = f.mi(curves, results["ceilings"][f"{tau:g}"], title, n)
    made["fig7_ablations.png"] = f.ablations(results["ablations"])
    made["table3.png"] = f.bars(results["table3"])
    return {name: png(figure) for name, figure in made.items()}
