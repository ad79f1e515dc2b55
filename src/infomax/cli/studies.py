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
        out: folder for results.json, figures and the page, made anew.
        seeds: independent repetitions of every method, trained at once.
        n: samples, a multiple of 5, at least 10.
        epochs: of the full-batch and of the mini-batch runs, at least 2.
        mini_batch: samples a batch in the mini-batch runs; by default a fifth of n, 500 of 2500.
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
    """Measure what the paper proves or assumes: bounds, ceilings, surrogates, monotonicity; a verdict for each.

    Args:
        out: folder for results.json and figures, made anew.
        seed: of every sample and weight.
        draws: repetitions of a cheap check; dearer ones take a share of them. With few the undecided reads "does not hold".
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
    """Estimators of mutual information against tasks of known truth: mean, sd, coverage of the limits, seconds.

    Args:
        out: folder for results.json, made anew; by default nothing is kept.
        seeds: samples of each task.
        n: pairs a sample.
        tasks: names, one option each: gaussian, gaussian_6, gaussian_10, gaussian_sparse, cubed, student, spiral, warped,
            sphere_clusters, five_gaussians, shared_sign, swiss_roll, additive_noise, cross, categories, independent,
            independent_cauchy; by default all.
        methods: names, one option each, as --method of infomax mi; by default auto, gaussian, ksg, infonce.
        nulls: independent data sets to count false alarms of auto on.
    """
    from infomax.studies.mi import DEFAULT, run

    run(out, seeds=seeds, n=n, names=tasks or (), methods=methods or DEFAULT, nulls=nulls)


_FIGURE = """

    Args:
        out: folder for results.json, the figure and the page; one in which the same was stopped goes on.
        data: as of train; by default the budget's.
        root: where named data sets lie.
        budget: minutes (two CPU cores: digits, 60 epochs, 3 seeds), hour (one GPU: cifar10, 20 epochs, 1 seed) or paper
            (cifar10, 1000 epochs, 3 seeds).
        seeds: in place of the budget's.
        epochs: likewise, at least 2, for one is no curve.
        samples: likewise, at least 8.
        encoder: in place of the budget's.
        size: side of the views, and of the images that are probed, in pixels, at least 4; by default the images' own, at
            most 96.
        workers: runs side by side; by default one a core.
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
    "fig2", "MI over training, eight methods, three estimators and their ceilings; the claims judged by it (fig. 2)."
)
fig7 = _figure(
    "fig7",
    "The ablations: SDMI without marginal, with predictors instead; SimSiam without predictor, with cos-DV (fig. 7).",
)

_TABLE = """

    The paper's numbers stand beside what came out here, and what differs. One folder serves all tables; the same command
    goes on where it was stopped, and what is finished is never run again.

    Args:
        out: folder of the tables, made anew or gone on with.
        data: a named set, or a path, of images with labels; may be given several times; by default the budget's.
        methods: of sdmi, simsiam, byol, moco_v3, jmi, simclr, barlow_twins and vicreg, one option each; by default all eight.
        budget: minutes (two CPU cores), hour (one GPU) or paper.
        seeds: runs of each method and data set (tables 1 and 7).
        root: where named data sets lie.
        epochs, encoder, size: in place of the budget's.
        samples: training images, at most, and a third as many of the test set; by default the budget's.
        elsewhere: of table1: a folder of runs that were trained and evaluated elsewhere, or a JSON file of rows; may be given
            several times.
        runner, workers, gpus, address: where cells run, as of infomax sweep.
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


table1 = _table("table1", "Linear probing: all methods, all data sets, mean and deviation over seeds (table 1).")
table4 = _table("table4", "Sweep-1: the search space, run over every method (table 4).")
table5 = _table(
    "table5", "Sweep-1: how many configurations each method has, and how many are finished (table 5); trains nothing."
)
table6 = _table("table6", "What sweep-1 and sweep-2 select of each method, on held-out rows of train (table 6).")
table7 = _table(
    "table7", "The settings of ImageNet100 and TinyImageNet, or what stands for them, and what they come to (table 7)."
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
    """The ledger: every claim of the paper and of our errata, the experiment, the measured figure, the verdict.

    Args:
        out: folder for results.json, claims.md and the page, with the studies that were run; one in which the same was stopped
            goes on.
        budget: minutes (two CPU cores), hour (one GPU) or paper.
        data: of figs. 2 and 7; by default the budget's.
        root: where named data sets lie.
        toy, theory, fig2, fig7, periodic, table1, collapse: folders of studies to read, or their JSON files (of toy its
            folder, for every seed is needed); fig2 and fig7 can be given again for other data, and collapse for other
            seeds. The first four are run where they are not given.
        earlier: a ledger, its folder or results.json: rows of studies that are not given are taken from it, and none is run.
        workers: processes; by default one a core.
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
    """Every valid sentence of target x joint x marginals, named or never tried, and the best unnamed ones again.

    Args:
        out: folder for results.json, the table and the page; one in which the same was stopped goes on.
        data: digits, gaussians, or fashion-mnist (a larger budget); by default the budget's.
        root: where named data sets lie.
        budget: minutes (two CPU cores, digits), hour (one GPU, 2048 images of fashion-mnist) or paper (all of them).
        seeds: of every sentence; by default the budget's, as of what follows.
        epochs: passes over the data.
        samples: rows of the data to train on.
        size: side of the views, and of the images that are judged, in pixels; by default the images' own.
        best: unnamed sentences to run again, beside all named ones.
        best_seeds: fresh seeds of that second round.
        workers: processes; by default one a core, and 1 on a GPU.
        device: cpu, cuda, cuda:1 or auto; by default auto, but the CPU for minutes.
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
    """Does the watch over a run see every collapse in time, and leave the rest alone? Every method, with and without its guard.

    Args:
        out: folder for results.json and the page; one in which the same was stopped goes on.
        worlds: names, one option each: digits, points, "digits, fast", "digits, sgd", "digits, muon", "digits, batch 64",
            "digits, wide", fashion-mnist, cifar10; by default all but the last two.
        sentences: names, one option each, as simclr: every method but bgrl; "simclr without guard", and so of all but swav,
            dino and w_mse; "swav without balance", "dino without centre", "dino without sharpening", "w_mse without whitening",
            "vicreg without variance", "vicreg without covariance"; and guarded otherwise, "sdmi with predictors", "simsiam with
            cos-DV", "moco_v3 without predictor", "moco_v3 without InfoNCE"; by default all. A whole method runs along with
            its ablation, which is judged by it.
        root: where named data sets lie.
        seeds: of every sentence and world.
        first_seed: the first of them. The thresholds were chosen on seed 0, and seeds 1 to 24 and 100 to 120 were looked at
            before the watch was as it is (docs/collapse_study.md): the default repeats one of these; a trial of your own takes
            one from 121 on.
        workers: processes; by default one a core.
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
