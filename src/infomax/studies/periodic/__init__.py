"""The periodic table of methods: every valid sentence of target x joint x marginals, named or never tried, trained.

    infomax study periodic-table --out runs/table      # or infomax.studies.periodic.run("runs/table")

A method is a sentence of a small grammar, so the methods that nobody wrote down can be listed, and run. Every sentence is
trained alike (AdamW 2e-3, 12 epochs unless the budget says otherwise, temperature 0.2, heads of the demo's size, weights of
one choice): what a cell shows is how a sentence does untuned and at once, not the best it can.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from infomax.errors import ConfigError
from infomax.finite import finite_or_none
from infomax.studies.budgets import budget_of
from infomax.studies.folder import Kept, going_on
from infomax.studies.origin import origin, typed
from infomax.studies.periodic.grammar import Sentence, invalid, known_as, names, sentences
from infomax.studies.periodic.train import BUDGETS, Cell, run_cell, world
from infomax.studies.pool import Answer, run_kept
from infomax.studies.verdict import Comparison, between, claim, never, shown
from infomax.training.watch.monitor import COLLAPSED_STD
from infomax.words import many

__all__ = ["BUDGETS", "as_text", "run"]

FEW = ("few", "accuracy with 5 labels a class, %")
SCORES = {"digits": FEW, "gaussians": ("min_gap", "min gap, degrees"), "fashion-mnist": FEW}
Runs = dict[Sentence, list[dict[str, Any]]]

FRESH = 1000
"""The first seed of the second round: the ones by which the best were chosen would flatter them."""


def run(
    out: str | Path,
    *,
    data: str | None = None,
    root: str | None = None,
    budget: str = "minutes",
    seeds: int | None = None,
    epochs: int | None = None,
    best: int | None = None,
    best_seeds: int | None = None,
    samples: int | None = None,
    size: int | None = None,
    workers: int | None = None,
    device: str | None = None,
    only: Sequence[Sentence] | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Train every valid sentence, then the best unnamed ones and all named ones again with new seeds.

    Args:
        out: folder for results.json, periodic_table.png and index.html. A study that was stopped is continued in the
            same folder.
        data: digits, gaussians, or fashion-mnist (a larger budget); None: the budget's.
        root: folder of the named data sets.
        budget: minutes (two CPU cores, digits), hour (one GPU, 2048 images of fashion-mnist) or paper (all of them).
        seeds: number of seeds of the first round. None: the budget's, as for epochs, samples, best and best_seeds.
        epochs: passes over the data (for a Twin, an epoch is an E-pass and an M-pass).
        best: number of unnamed sentences to run again.
        best_seeds: number of seeds of the second round.
        samples: number of training samples.
        size: side in pixels of the views, and of the images on which the encoders are evaluated; None: the images' own.
        workers: number of processes; None: one per core, and 1 on a GPU.
        device: cpu, cuda, cuda:1 or auto; None: auto, except with the budget minutes: cpu, as its networks are too
            small for a GPU.
        only: some of the sentences; None: all.
        progress: show a progress bar.

    Returns:
        What results.json holds: `settings`, `environment`, `commit`, `cells` (a sentence each: name, or why it cannot
        be said, and its runs, of which one that failed has an `error`), `again`, `claims`, `seconds`, `cpu_seconds`.

    Raises:
        ConfigError: `out` holds something else, or the same study with other options; unknown data, budget or device,
            or a number below 1.
        DataError: the data do not exist.

    Example:
        >>> run("runs/table", data="digit")
        Traceback (most recent call last):
        infomax.errors.ConfigError: --data digit of the periodic table: did you mean 'digits'? (one of: ...)
    """

    from infomax.evaluate.splits import known_by
    from infomax.training.defaults import dataset
    from infomax.training.devices import place

    given = {"seeds": seeds, "epochs": epochs, "best": best, "best_seeds": best_seeds, "samples": samples, "size": size}
    for name, value in given.items():
        if value is not None and value < 1:
            raise ConfigError(f"{name}={value}: give at least 1")
    asks = budget_of(budget, BUDGETS)
    if data is not None and data != asks.data:  # epochs and samples of a budget are those of its own data
        asks = replace(asks, data=data, epochs=None, samples=None)
    numbers: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
    asks = replace(asks, **numbers)
    how, where = world(asks.data), place(device or ("cpu" if budget == "minutes" else "auto")).device
    most, rows = asks.epochs or how.epochs, asks.samples or how.samples
    # before anything is made: data that are not there are said at once
    found = dataset(asks.data, root)
    if asks.size is not None and not found.is_images:
        raise ConfigError(f"size={asks.size}: {asks.data} are no images")
    asked_for = {"data": data, "budget": budget, **given, "device": device}
    began, side_by_side = time.perf_counter(), 1 if where.type == "cuda" and workers is None else workers
    asked, known = sentences() if only is None else list(only), names()
    cells: list[dict[str, Any]] = [_plain(s) | {"name": known_as(s, known), "invalid": invalid(s)} for s in asked]
    score = SCORES[asks.data][0]
    settings = {
        "data": asks.data, "seeds": asks.seeds, "epochs": most, "best": asks.best, "best_seeds": asks.best_seeds,
        "samples": rows, "score": SCORES[asks.data][1], "optimizer": "AdamW 2e-3, batches of 256", "temperature": 0.2,
        "projector": list(how.projector), "ema": 0.9, "encoder": how.encoder, "tested": how.tested, "device": where.type,
        "size": asks.size,
    }  # fmt: skip

    def trained(some: Sequence[Sentence], seeds: range, what: str, kept: Kept, final: bool = False) -> Runs:
        jobs = [
            Cell(s, seed, asks.data, most, final, rows, root, str(where), asks.size)
            for seed in seeds
            for s in _dearest_first(some)
        ]
        return _by_sentence(jobs, run_kept(run_cell, jobs, side_by_side, kept, what, progress))

    apart = {"only": [str(s) for s in asked], "root": root, "device": str(where)}
    with going_on(out, settings | apart, {asks.data: known_by(found)}) as kept:
        said = [s for s in asked if invalid(s) is None]
        first = trained(said, range(asks.seeds), "periodic table", kept)
        for cell in cells:
            cell["runs"] = first.get(sentence_of(cell), [])
        chosen = [sentence_of(c) for c in unnamed(cells, score)[: asks.best]]
        named = [s for s in said if known_as(s, known) is not None]
        fresh = range(FRESH, FRESH + asks.best_seeds)
        second = trained([*chosen, *named], fresh, "the best again", kept, final=True)
        again = [_plain(s) | {"name": known_as(s, known), "runs": second[s]} for s in [*chosen, *named]]
        every = [r for c in (*cells, *again) for r in c["runs"]]
        results: dict[str, Any] = {
            "settings": settings,
            **origin(),
            "command": typed("periodic-table", asked_for, {"budget": "minutes"}, out="table"),
            "cells": cells,
            "again": again,
            "chosen_on": "a held-out fifth of train",
            "claims": [],
            "seconds": time.perf_counter() - began,
            "cpu_seconds": sum(r.get("cpu_seconds", 0.0) for r in every),
        }
        kept.write(results)  # before it is judged: what was run is kept, whatever the judge meets
        results["claims"] = claims(cells, again, score, results["chosen_on"])
        kept.write(results)

        from infomax.studies.periodic.draw import page, png

        picture = png(results, score)
        (kept.path / "periodic_table.png").write_bytes(picture)
        page(results, score, picture).write(kept.path / "index.html")
    return results


def _plain(sentence: Sentence) -> dict[str, Any]:
    return {"target": sentence.target, "joint": sentence.joint, "marginals": list(sentence.marginals)}


def sentence_of(cell: Mapping[str, Any]) -> Sentence:
    """The sentence of a cell."""
    return Sentence(cell["target"], cell["joint"], tuple(cell["marginals"]))


def _dearest_first(some: Sequence[Sentence]) -> list[Sentence]:
    return sorted(some, key=lambda s: s.target != "Twin")


def _by_sentence(jobs: Sequence[Cell], answers: Sequence[Answer]) -> Runs:
    """Runs of every sentence, seeds in order; numbers that are not finite stand as None."""
    found: Runs = {}
    for job, answer in zip(jobs, answers, strict=True):
        value = {"error": answer.error} if answer.error is not None else answer.value
        found.setdefault(job.sentence, []).append({"seed": job.seed} | finite_or_none(value))
    return found


def values(cell: Mapping[str, Any], key: str) -> list[float]:
    """A number of every run of a cell that ended."""
    return [r[key] for r in cell["runs"] if r.get(key) is not None]


def collapsed(cell: Mapping[str, Any]) -> bool:
    """Whether some run of a cell ended collapsed."""
    return any(values(cell, "collapsed"))


def failed(cell: Mapping[str, Any]) -> bool:
    """Whether some run of a cell ended in an error."""
    return any("error" in r for r in cell["runs"])


def unnamed(cells: Sequence[Mapping[str, Any]], score: str) -> list[Mapping[str, Any]]:
    """Cells without a name that neither failed nor collapsed, the best first."""
    able = [c for c in cells if c["name"] is None and values(c, score) and not failed(c) and not collapsed(c)]
    return sorted(able, key=lambda c: -float(np.mean(values(c, score))))


def claims(
    cells: Sequence[Mapping[str, Any]], again: Sequence[Mapping[str, Any]], score: str, chosen_on: str | None = None
) -> list[dict[str, Any]]:
    """What the table says of the paper's claim that a marginal is needed, and of the sentences that nobody wrote down.

    Args:
        cells: the first round.
        again: the second.
        score: the key of what is compared.
        chosen_on: what the first round was judged on; None: as the first tables, on the test images.
    """
    bare = [
        c
        for c in cells
        if c["invalid"] is None and not c["marginals"] and c["joint"] in ("cos", "-d²") and values(c, "std")
    ]
    sure = [
        c
        for c in cells
        if {"DonskerVaradhan", "InfoNCE"} & set(c["marginals"]) and c["joint"] == "cos" and values(c, "std")
    ]
    found = []
    if bare:
        said = ", ".join(f"{c['target']} x {c['joint']} {shown(values(c, 'std'))}" for c in bare)
        found.append(
            claim("joint_alone_collapses", "without a marginal, encoders converge to trivial solutions, whatever the target",
                  "D.2.2, 3.2", f"std of the unit embedding (1: open): {said}",
                  [_none("runs that ended with std above 0.1", bare, lambda std: std >= COLLAPSED_STD)],
                  "Of every run: one that stays open is not trivial, at the end of so short a training.")
        )  # fmt: skip
    if sure:
        least = min(sure, key=lambda c: np.mean(values(c, "std")))
        found.append(
            claim("partition_holds_open", "a log-partition holds the embedding open, whatever stands beside it", "3.2, 4.1",
                  f"{len(sure)} sentences (cos); the least open: {sentence_of(least)}, std {shown(values(least, 'std'))}, "
                  f"effective rank {shown(values(least, 'effective_rank'))}",
                  [_none("runs that ended with std below 0.1", sure, lambda std: std < COLLAPSED_STD)])
        )  # fmt: skip
    ours = [c for c in again if c["name"] is None and values(c, score)]
    theirs = [c for c in again if c["name"] is not None and values(c, score)]
    if ours and theirs:
        top, best = (max(some, key=lambda c: np.mean(values(c, score))) for some in (ours, theirs))
        found.append(
            claim("unnamed_beats_named", "the best sentence without a name beats the best method that has one", "infomax",
                  f"{sentence_of(top)}: {shown(values(top, score))}; {best['name']}: {shown(values(best, score))} "
                  f"({score}, fresh seeds)",
                  [between(f"{sentence_of(top)} - {best['name']}", values(top, score), values(best, score), among=len(ours))],
                  "Untuned, at one short budget; the best of each group was picked on these very seeds, and the interval is "
                  "that of one picked among the unnamed ones that were run again."
                  + " The first round, by which those were chosen, was judged on the same test images: that flatters them."
                  * (chosen_on is None and score != "min_gap"))
        )  # fmt: skip
    return found


def _none(what: str, some: Sequence[Mapping[str, Any]], is_one: Callable[[float], bool]) -> Comparison:
    """That no run of some cells is such a one, by its std at the end; of one seed each, that decides nothing."""
    found = never(what, sum(is_one(std) for c in some for std in values(c, "std")), 2)
    seeds = min(len(values(c, "std")) for c in some)
    return found if seeds > 1 else found._replace(error=np.nan)


def as_text(results: Mapping[str, Any]) -> str:
    """How many cells, the second round, and the verdicts, for a terminal."""
    from infomax.studies.periodic.train import SHOTS

    cells = results["cells"]
    valid = [c for c in cells if c["invalid"] is None]
    score = {said: key for key, said in SCORES.values()}[results["settings"]["score"]]
    lines = [
        f"{len(cells)} sentences: {len(cells) - len(valid)} cannot be said, {sum(c['name'] is not None for c in valid)} have a "
        f"name, {sum(c['name'] is None for c in valid)} do not; {sum(map(failed, valid))} failed, "
        f"{sum(map(collapsed, valid))} collapsed",
        f"again, {many(results['settings']['best_seeds'], 'fresh seed')} ({results['settings']['score']}; {SHOTS} labels):",
    ]
    for c in sorted((c for c in results["again"] if values(c, score)), key=lambda c: -float(np.mean(values(c, score)))):
        lines.append(
            f"  {shown(values(c, score)):16} linear {shown(values(c, 'linear')):14} {c['name'] or 'NEW':28} {sentence_of(c)}"
        )
    return "\n".join([*lines, *(f"  {c['verdict']:14} {c['claim']} ({c['source']})" for c in results["claims"])])
