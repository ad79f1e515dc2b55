"""`infomax study`: the paper's tables and figures, one command each."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from infomax.errors import InfomaxError

Several = Annotated[tuple[str, ...], Parameter(consume_multiple=False)]
"""An option that may be given several times."""


def _tell_page(out: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Say where the page of a study is.

    Args:
        out: its folder.
        rows: its runs.

    Raises:
        InfomaxError: every run failed; with the first one's error.
    """
    failed = [row["error"] for row in rows if "error" in row]
    if rows and len(failed) == len(rows):
        raise InfomaxError(
            f"every run failed, {len(rows)} in all (see {Path(out) / 'results.json'}); the first: {failed[0]}"
        )
    print(f"wrote {Path(out) / 'index.html'}")


def toy(
    *,
    out: str,
    seeds: int = 10,
    n: int = 2500,
    epochs: int = 100,
    mini_batch: int | None = None,
) -> None:
    """The five Gaussians: trajectories on the sphere, MI curves, angle gaps, ablations (figs. 3-7, table 3).

    Args:
        out: folder for results.json, figures and the page. It must be new or empty.
        seeds: number of independent repetitions of every method; all are trained at once.
        n: number of samples, a multiple of 5, at least 10.
        epochs: epochs of the full-batch and of the mini-batch runs, at least 2.
        mini_batch: samples per batch in the mini-batch runs; by default a fifth of n, 500 of 2500.
    """
    from infomax.studies.toy import run
    from infomax.studies.toy.judge import come_out

    found = run(out, seeds=seeds, n=n, epochs=epochs, mini_batch=mini_batch)
    print("mean gap between neighbouring centres, degrees (full batch):")
    for row, gaps in found["table3"].items():
        gap = gaps["mean_gap"]
        spread = "" if gap["sd"] is None else f" +- {gap['sd']:.1f}"
        print(f"  {row:14} {gap['mean']:5.1f}{spread}")
    less = " (a reduced run: verdicts are meant for 10 seeds, 500 samples, 100 epochs)"
    print(f"{come_out(found['claims'])}{less * (seeds < 10 or n < 500 or epochs < 100)}")
    print(f"wrote {Path(out) / 'index.html'}")


def theory(*, out: str, seed: int = 0, draws: int = 200) -> None:
    """Check by measurement what the paper proves or assumes (bounds, ceilings, surrogates, monotonicity), with verdicts.

    Args:
        out: folder for results.json and figures. It must be new or empty.
        seed: random seed of every sample and weight.
        draws: repetitions of a cheap check; more expensive checks use a fixed share of them. With few repetitions, an
            undecided claim reads "does not hold".
    """
    from infomax.studies.theory import run

    run(out, seed=seed, draws=draws)


def study_mi(
    *,
    out: str | None = None,
    seeds: int = 3,
    n: int = 5000,
    tasks: list[str] | None = None,
    methods: list[str] | None = None,
    nulls: int = 0,
) -> None:
    """Compare estimators of mutual information on tasks of known truth: mean, sd, coverage of the limits, seconds.

    Args:
        out: folder for results.json. It must be new or empty. By default nothing is kept.
        seeds: number of samples drawn of each task.
        n: pairs per sample.
        tasks: name of a task; may be given several times: gaussian, gaussian_6, gaussian_10, gaussian_sparse, cubed,
            student, spiral, warped, sphere_clusters, five_gaussians, shared_sign, swiss_roll, additive_noise, cross,
            categories, independent, independent_cauchy; by default all.
        methods: name of an estimator, as --method of `infomax mi`; may be given several times; by default auto,
            gaussian, ksg, infonce.
        nulls: number of independent data sets on which the false alarms of auto are counted.
    """
    from infomax.studies.mi import DEFAULT, run

    run(out, seeds=seeds, n=n, names=tasks or (), methods=methods or DEFAULT, nulls=nulls)


_FIGURE = """

    Args:
        out: folder for results.json, the figure and the page. A study that was stopped is continued in the same folder.
        data: as --data of `infomax train`; by default the budget's.
        root: folder of the named data sets.
        budget: minutes (two CPU cores: digits, 60 epochs, 3 seeds), hour (one GPU: cifar10, 20 epochs, 1 seed) or paper
            (cifar10, 1000 epochs, 3 seeds).
        seeds: number of seeds, instead of the budget's.
        epochs: number of epochs, instead of the budget's; at least 2, for a curve.
        samples: number of training samples, instead of the budget's; at least 8.
        encoder: encoder, instead of the budget's.
        size: side in pixels of the views, and of the images that are probed, at least 4; by default the images' own, at
            most 96.
        workers: number of runs at once; by default one per core, and 1 on a GPU.
        device: cpu, cuda, cuda:1 or auto.
    """


def _figure(name: str, says: str) -> Callable[..., None]:
    """A figure of MI over training as a command."""

    def command(
        *,
        out: str,
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
    ) -> None:
        from infomax.studies import curves

        asked: dict[str, Any] = {"data": data, "root": root, "budget": budget, "seeds": seeds, "epochs": epochs}
        asked |= {"samples": samples, "encoder": encoder, "size": size, "workers": workers, "device": device}
        found = getattr(curves, name)(out, **asked)
        print(curves.as_text(found))
        _tell_page(out, found["rows"])

    command.__name__, command.__doc__ = name, says + _FIGURE
    return command


fig2 = _figure(
    "fig2",
    "MI over training: eight methods, three estimators and their ceilings, and the claims judged by it (fig. 2).",
)
fig7 = _figure(
    "fig7",
    "MI curves of ablations: SDMI without marginal, or with predictors; SimSiam without predictor, or with cos-DV (fig. 7).",
)

_TABLE = """

    The paper's numbers are shown beside ours, with the differences. One folder serves all tables. Repeat the same command to
    continue a table that was stopped: what is finished is not run again.

    Args:
        out: folder of the tables; new, or that of the tables to continue.
        data: a named set, or a path, of images with labels; may be given several times; by default the budget's.
        methods: sdmi, simsiam, byol, moco_v3, jmi, simclr, barlow_twins or vicreg; may be given several times; by default
            all eight.
        budget: minutes (two CPU cores), hour (one GPU) or paper.
        seeds: number of runs of each method and data set (tables 1 and 7).
        root: folder of the named data sets.
        epochs: number of epochs, instead of the budget's.
        encoder: encoder, instead of the budget's.
        size: side of the views in pixels, instead of the budget's.
        samples: maximum number of training images; of the test set a third as many are used. By default the budget's.
        elsewhere: table1 only: a folder of runs that were trained and evaluated elsewhere, or a JSON file of rows; may be
            given several times.
        runner, workers, gpus, address: where cells run; as the same option of `infomax sweep`.
        device: cpu, cuda or auto.
        retry: run failed cells again.
    """


def _table(name: str, says: str) -> Callable[..., None]:
    """A table of the paper as a command."""

    def command(
        *,
        out: str,
        data: Several = (),
        methods: Several = (),
        budget: str = "minutes",
        seeds: int | None = None,
        root: str | None = None,
        epochs: int | None = None,
        samples: int | None = None,
        encoder: str | None = None,
        size: int | None = None,
        elsewhere: Several = (),
        runner: Literal["local", "ray", "submitit"] = "local",
        workers: int | None = None,
        gpus: float | None = None,
        address: str | None = None,
        device: str = "auto",
        retry: Annotated[bool, Parameter(negative="")] = False,
    ) -> None:
        from infomax.studies.tables import TABLES
        from infomax.studies.tables.work import as_text

        asked: dict[str, Any] = {"budget": budget, "seeds": seeds, "root": root, "epochs": epochs, "samples": samples}
        asked |= {"data": data or None, "methods": methods or None, "elsewhere": elsewhere or None, "encoder": encoder}
        asked |= {
            "size": size,
            "runner": runner,
            "workers": workers,
            "gpus": gpus,
            "address": address,
            "device": device,
        }
        print(as_text(TABLES[name](out, **asked, retry=retry)))
        print(f"wrote {Path(out) / name}.json, .md and .html")

    command.__name__, command.__doc__ = name, says + _TABLE
    return command


table1 = _table(
    "table1", "Linear probing: all methods and data sets, mean and standard deviation over seeds (table 1)."
)
table4 = _table("table4", "Sweep-1: the search space, run for every method (table 4).")
table5 = _table(
    "table5", "Sweep-1: number of configurations of each method, and how many are finished (table 5); trains nothing."
)
table6 = _table(
    "table6", "The settings that sweep-1 and sweep-2 select for each method, on held-out training samples (table 6)."
)
table7 = _table(
    "table7",
    "The settings for ImageNet100 and TinyImageNet, or the data in their place, and the accuracies they reach (table 7).",
)


def claims(
    *,
    out: str,
    budget: str = "minutes",
    data: str | None = None,
    root: str | None = None,
    toy: str | None = None,
    theory: str | None = None,
    fig2: list[str] | None = None,
    fig7: list[str] | None = None,
    periodic: str | None = None,
    table1: str | None = None,
    collapse: list[str] | None = None,
    earlier: str | None = None,
    workers: int | None = None,
) -> None:
    """The ledger: every claim of the paper and of our errata, with the experiment, the measured figure and the verdict.

    Args:
        out: folder for results.json, claims.md and the page, and for the studies that are run. A ledger that was
            stopped is continued in the same folder.
        budget: minutes (two CPU cores), hour (one GPU) or paper.
        data: data of figs. 2 and 7; by default the budget's.
        root: folder of the named data sets.
        toy: folder of a finished study to read (not a JSON file, since every seed is needed); if not given, it is run.
        theory: folder of a finished study to read, or its JSON file; if not given, it is run.
        fig2, fig7: folder of a finished study to read, or its JSON file; may be given several times, for different
            data; if not given, it is run.
        periodic, table1: folder of a finished study to read, or its JSON file; it is never run here.
        collapse: folder of a finished study to read, or its JSON file; may be given several times, for different seeds;
            it is never run here.
        earlier: an earlier ledger, its folder or results.json. Rows of studies that are not given are taken from it,
            and no study is run.
        workers: number of processes; by default one per core.
    """
    from infomax.studies import claims as ledger

    found = ledger.run(
        out,
        budget=budget,
        data=data,
        root=root,
        toy=toy,
        theory=theory,
        fig2=fig2,
        fig7=fig7,
        periodic=periodic,
        table1=table1,
        collapse=collapse,
        earlier=earlier,
        workers=workers,
    )
    print(ledger.as_text(found))
    print(f"wrote {Path(out) / 'index.html'}")


def periodic_table(
    *,
    out: str,
    data: str | None = None,
    root: str | None = None,
    budget: str = "minutes",
    seeds: int | None = None,
    epochs: int | None = None,
    samples: int | None = None,
    size: int | None = None,
    best: int | None = None,
    best_seeds: int | None = None,
    workers: int | None = None,
    device: str | None = None,
) -> None:
    """Train every valid sentence of target, joint term and marginals, named or new; then repeat the best unnamed ones.

    Args:
        out: folder for results.json, the table and the page. A study that was stopped is continued in the same folder.
        data: digits, gaussians, or fashion-mnist (a larger budget); by default the budget's.
        root: folder of the named data sets.
        budget: minutes (two CPU cores, digits), hour (one GPU, 2048 images of fashion-mnist) or paper (all of them).
        seeds: number of seeds of every sentence. By default the budget's, as for epochs, samples, best and best-seeds.
        epochs: passes over the data.
        samples: number of training samples.
        size: side in pixels of the views, and of the images on which the encoders are evaluated; by default the images'
            own.
        best: number of unnamed sentences to run again, along with all named ones.
        best_seeds: number of new seeds in that second round.
        workers: number of processes; by default one per core, and 1 on a GPU.
        device: cpu, cuda, cuda:1 or auto; by default auto, except with the budget minutes: cpu.
    """
    from infomax.studies import periodic

    found = periodic.run(
        out,
        data=data,
        root=root,
        budget=budget,
        seeds=seeds,
        epochs=epochs,
        samples=samples,
        size=size,
        best=best,
        best_seeds=best_seeds,
        workers=workers,
        device=device,
    )
    print(periodic.as_text(found))
    _tell_page(out, [row for cell in (*found["cells"], *found["again"]) for row in cell["runs"]])


def collapse(
    *,
    out: str,
    worlds: list[str] | None = None,
    sentences: list[str] | None = None,
    root: str | None = None,
    seeds: int = 1,
    first_seed: int = 100,
    workers: int | None = None,
) -> None:
    """Test the collapse watch on every method, with and without its guard: does it report all collapses, and in time?

    Args:
        out: folder for results.json and the page. A study that was stopped is continued in the same folder.
        worlds: name of a training setup; may be given several times: digits, points, "digits, fast", "digits, sgd",
            "digits, muon", "digits, batch 64", "digits, wide", fashion-mnist, cifar10; by default all but the last two.
        sentences: name of a method or ablation; may be given several times: every method but bgrl, such as simclr;
            "simclr without guard", and likewise for all others except swav, dino and w_mse; "swav without balance",
            "dino without centre", "dino without sharpening", "w_mse without whitening", "vicreg without variance",
            "vicreg without covariance"; and methods with another guard: "sdmi with predictors", "simsiam with cos-DV",
            "moco_v3 without predictor", "moco_v3 without InfoNCE"; by default all. With an ablation, its whole method
            is run too: the ablation is judged against it.
        root: folder of the named data sets.
        seeds: number of seeds of every sentence and world.
        first_seed: first seed. The thresholds were chosen on seed 0, and seeds 1 to 24 and 100 to 120 were looked at
            before the watch took its present form (docs/collapse_study.md): the default repeats one of these; a trial
            of your own takes one from 121 on.
        workers: number of processes; by default one per core.
    """
    from infomax.studies import collapse as study

    found = study.run(
        out,
        worlds=worlds or (),
        names=sentences or (),
        root=root,
        seeds=seeds,
        first_seed=first_seed,
        workers=workers,
    )
    print(study.as_text(found))
    _tell_page(out, found["rows"])
