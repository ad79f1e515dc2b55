"""Estimators of mutual information on tasks of known truth: error, coverage of the limits, cost.

    infomax study mi --out runs/mi              # or infomax.studies.mi.run("runs/mi")

The figures and conclusions are in `docs/mi.md`.
"""

import itertools
import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np

from infomax.errors import ConfigError, nearest
from infomax.mi import estimate_mi, tasks
from infomax.mi.estimate import METHODS
from infomax.mi.tasks import Margins, Task
from infomax.progress import meter
from infomax.studies.origin import origin

DEFAULT = ("auto", "gaussian", "ksg", "infonce")

NULLS: tuple[tuple[Margins, int, int], ...] = tuple(
    itertools.product(get_args(Margins), (1, 4, 20), (150, 500))  # every kind of margin, columns, pairs
)


def run(
    out: str | Path | None = None,
    *,
    seeds: int = 3,
    n: int = 5000,
    names: Sequence[str] = (),
    methods: Sequence[str] = DEFAULT,
    nulls: int = 0,
    progress: bool = True,
) -> dict[str, Any]:
    """Estimate every task with every method, several times, and print the results.

    Args:
        out: folder for results.json. It must be new or empty. By default nothing is kept.
        seeds: number of samples of each task, with seeds 0, 1, ...
        n: pairs per sample.
        names: names of tasks; by default all of `infomax.mi.tasks.TASKS`.
        methods: methods of `estimate_mi`.
        nulls: number of independent data sets on which the false alarms of `auto` are counted; their kinds alternate
            (`NULLS`).
        progress: show a progress bar.

    Returns:
        What results.json holds: `rows`, one for each task and method, and `nulls`.

    Raises:
        ConfigError: an unknown task or method, no seed, or `out` exists and is not empty.

    Example:
        >>> rows = run(seeds=1, n=500, names=["gaussian"], methods=["gaussian"], progress=False)["rows"]
        task                               truth  method          mean      sd  covered   limits   seconds
        gaussian 20d, 2                    2.000  gaussian       ...
        >>> abs(rows[0]["mean"] - 2) < 0.3
        True
    """
    from infomax.files import write_text
    from infomax.training.folder import claim

    names = list(names) or list(tasks.TASKS)
    for kind, asked, known in (("task", names, tasks.TASKS), ("method", methods, METHODS)):
        for name in asked:
            if name not in known:
                raise ConfigError(f"no {kind} {name!r}: {nearest(name, known)}")
    if seeds < 1 or nulls < 0:
        raise ConfigError(f"seeds={seeds}, nulls={nulls}: at least one sample of each task, and no fewer than 0 nulls")
    folder = claim(out) if out is not None else None
    began = time.perf_counter()
    print(f"{'task':32} {'truth':>7}  {'method':12} {'mean':>7} {'sd':>7} {'covered':>8} {'limits':>8} {'seconds':>9}")
    rows = []
    with _bar(len(names) * len(methods) * seeds + nulls, progress) as bar:
        for name, method in itertools.product(names, methods):
            rows.append(row := measure(tasks.get(name), method, range(seeds), n, bar))
            bar.clear()
            print(as_text(row), flush=True)
        alarms = false_alarms(nulls, bar) if nulls else None
    if alarms:
        print(
            f"\nfalse alarms of auto: {alarms['alarms']} of {alarms['nulls']} independent data sets "
            f"({alarms['seconds']:.1f} s each)"
        )
    found = {
        "settings": {"seeds": seeds, "n": n, "tasks": names, "methods": list(methods), "nulls": nulls},
        **origin(command=True),
        "rows": rows,
        "nulls": alarms,
        "seconds": time.perf_counter() - began,
    }
    if folder is not None:
        write_text(folder / "results.json", json.dumps(found, indent=1, allow_nan=False) + "\n")
        print(f"\nwrote {folder / 'results.json'} after {found['seconds']:.0f} s")
    return found


def measure(task: Task, method: str, seeds: Iterable[int], n: int, bar: Any = None) -> dict[str, Any]:
    """Estimate fresh samples of a task: mean, sd, how often the limits held, processor seconds.

    Args:
        task: of known truth.
        method: of `estimate_mi`.
        seeds: one sample each; also the estimator's seed.
        n: pairs a sample.
        bar: has `update()`.
    """
    found = []
    for seed in seeds:
        found.append(estimate_mi(*task.sample(n, seed), method=method, seed=seed))
        if bar is not None:
            bar.update()
    values = np.array([e.mi for e in found])
    limited = [e for e in found if e.lo is not None]
    held = [e.lo <= task.mi + task.error and (e.hi is None or task.mi - task.error <= e.hi) for e in limited]  # type: ignore[operator]
    return {
        "task": task.name,
        "truth": task.mi,
        "method": method,
        "values": values.tolist(),
        "mean": float(values.mean()),
        "sd": float(values.std(ddof=1)) if len(values) > 1 else None,
        "covered": sum(held),
        "limited": len(limited),
        "two_sided": sum(e.hi is not None for e in limited),
        "seconds": float(np.mean([e.seconds for e in found])),
        "picked": [e.method for e in found],
        "limits": [[e.lo, e.hi] for e in found],
        "flags": [list(e.flags) for e in found],
    }


def false_alarms(count: int, bar: Any = None) -> dict[str, Any]:
    """How often `auto` sees a dependence between independent sides: a lower limit above 0, or more than 0.05 nats.

    Args:
        count: data sets, in turn of the kinds in `NULLS`.
        bar: has `update()`.
    """
    alarms, seconds = [], 0.0
    for seed, (margins, dim, n) in zip(range(count), itertools.cycle(NULLS), strict=False):
        found = estimate_mi(*tasks.independent(dim, margins).sample(n, seed), seed=seed)
        seconds += found.seconds
        if found.mi > 0.05 or (found.lo or 0.0) > 0:
            alarms.append(
                {"margins": margins, "dim": dim, "n": n, "seed": seed, "mi": found.mi, "method": found.method}
            )
        if bar is not None:
            bar.update()
    return {"nulls": count, "alarms": len(alarms), "which": alarms, "seconds": seconds / max(1, count)}


def as_text(row: dict[str, Any]) -> str:
    """A row for a terminal."""
    sd = "-" if row["sd"] is None else f"{row['sd']:.3f}"
    covered = f"{row['covered']}/{row['limited']}" if row["limited"] else "-"
    two = row["two_sided"]
    limits = "none" if not row["limited"] else "two" if two == row["limited"] else "mixed" if two else "lower"
    return (
        f"{row['task']:32} {row['truth']:7.3f}  {row['method']:12} {row['mean']:7.3f} {sd:>7} {covered:>8} {limits:>8} "
        f"{row['seconds']:9.2f}"
    )


def _bar(total: int, shown: bool) -> Any:

    return meter(total=total, delay=2, disable=not shown, unit="estimate", leave=False)
