"""The command line: the package's functions, their signatures read as options."""

import functools
import inspect
import itertools
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter

from infomax.errors import ConfigError, InfomaxError, nearest
from infomax.errors import command as typed
from infomax.training import Run
from infomax.training.devices import PrecisionName
from infomax.training.interrupt import Stopped
from infomax.training.optim import OptimizerName
from infomax.training.run import read_config


def whole(type_: Any, tokens: Any) -> int | None:
    """Read a whole number; 1.5 epochs are none, and nothing is rounded in silence."""
    text = tokens[0].value
    if text.lower() in ("none", "null") and type_ is not int:
        return None
    try:
        number = int(text)
    except ValueError:
        raise ValueError(f"{text!r} is no whole number") from None
    if abs(number) >= 2**63:
        raise ValueError(f"{text} is beyond what 64 bits hold")
    return number


def methods(*, json: Annotated[bool, Parameter(negative="")] = False) -> None:
    """Print every method and its place in the paper's table 2, computed from its parts.

    Args:
        json: a list of objects instead of a table.
    """
    from infomax import taxonomy

    if json:
        import json as encoder

        print(encoder.dumps(taxonomy.as_json(), indent=2))
        return
    print(taxonomy.as_text())


def head(text: str) -> tuple[int, ...]:
    """Read a head as its layers' widths: 2048-256, or none.

    Example:
        >>> head("2048-256"), head("none")
        ((2048, 256), ())
    """
    if text in ("", "none"):
        return ()
    parts = text.replace(",", "-").split("-")
    if not all(part.isdigit() and int(part) > 0 for part in parts):
        raise ConfigError(f"a head is the widths of its layers, such as 2048-256, or none; not {text!r}")
    return tuple(int(part) for part in parts)


def train(
    *,
    method: str,
    data: str,
    out: str,
    encoder: str = "auto",
    views: str = "auto",
    epochs: int = 100,
    batch_size: int = 256,
    optimizer: OptimizerName = "adamw",
    lr: float = 1e-3,
    weight_decay: float = 1e-4,
    warmup_epochs: float | None = None,
    clip_norm: float | None = None,
    rules: str | None = None,
    accumulate: str = "1",
    on_nan: Literal["stop", "skip"] = "stop",
    precision: PrecisionName = "32-true",
    compile: bool = False,
    size: int | None = None,
    local_views: int | None = None,
    seed: int = 0,
    root: str | None = None,
    on_error: Literal["skip", "stop"] = "skip",
    device: str = "auto",
    devices: int = 1,
    checkpoint_every: str = "10min",
    keep: int = 2,
    wandb: str | None = None,
    **options: Any,
) -> None:
    """Train a method on unlabeled data and keep the run in a new folder.

    `--config FILE.yaml` takes options from a file, under the same names; those given beside it win. `--print-config` prints
    all of them, resolved, as such a file, and stops. `--resume RUN` continues a run that was stopped, however it was.

    Args:
        method: see `infomax methods`; its own options are listed below, after `--method NAME --help`.
        data: digits, gaussians, fashion-mnist, cifar10, cifar100, tiny-imagenet, imagenet100, cora, citeseer, sbm; a folder
            of images; a .npy file, or an .npz file with `images` or `x`; shards, .tar or .parquet: a folder, a pattern, or
            hf:user/name.
        out: folder of the run, made anew.
        encoder: resnet8, resnet18, resnet34, resnet50, mlp, toy, gcn, timm/NAME, torchvision/NAME; auto takes a small one.
        views: simclr, weak, byol, vicreg, w-mse, swav, dino, none of images; signals; tabular, noise; auto: by the data.
        epochs: passes over the data; of sdmi an epoch is an E- and an M-pass.
        batch_size: samples a batch, of all processes together.
        optimizer: sgd (momentum 0.9), lars, adam or adamw.
        lr: peak learning rate, at this batch size.
        weight_decay: as the optimizer takes it.
        warmup_epochs: of the learning rate; by default a tenth of the run, at most 10.
        clip_norm: the longest gradient, of all parameters together; by default any.
        rules: other rates or decays for some parameters, as YAML: "{bias: {weight_decay: 0}, predictor: {lr: constant}}".
        accumulate: views: hold one view's activations at a time; n > 1: those of an n-th of its rows, without batch norm.
        on_nan: at a NaN or infinity stop, saying where, or skip the update.
        precision: 32-true, bf16-mixed, 16-mixed (CUDA), bf16-true or 64-true.
        compile: compile the branches by torch.compile.
        size: side of the views in pixels; by default that of the images, at most 96. Of signals: readings a view.
        local_views: small views of swav and dino; by default none below 96 pixels, else 6 and 8.
        seed: of weights, shuffles and views.
        root: where named data sets lie; official files there are used before anything is downloaded.
        on_error: at an image that cannot be decoded, skip it and name it, or stop.
        device: cpu, cuda or auto.
        devices: processes, one a GPU; n of them compute what one does. Under torchrun its number counts.
        checkpoint_every: a number of updates, or of minutes as in 10min; always at the start and when stopped.
        keep: the last checkpoints to keep.
        wandb: project of Weights & Biases to log to as well (WANDB_MODE=offline: to disk); needs its package.
    """
    import torch

    import infomax as im
    from infomax.training.feed import dataset, encoder_for
    from infomax.training.rules import read_rules

    if seed < 0:
        raise ConfigError(f"--seed {seed}: give a whole number from 0 on")
    torch.manual_seed(seed)
    samples = dataset(data, root, on_error=on_error)
    learner = im.methods.build(method, encoder_for(samples, encoder, size), **options)
    if _rank() == 0:
        print(_begun(learner, samples, size, batch_size), flush=True)
    run = im.train(
        learner,
        samples,
        views=views,
        epochs=epochs,
        batch_size=batch_size,
        optimizer=optimizer,
        lr=lr,
        weight_decay=weight_decay,
        warmup_epochs=warmup_epochs,
        clip_norm=clip_norm,
        rules=read_rules(rules),
        accumulate=int(accumulate) if accumulate.isdigit() else accumulate,  # type: ignore[arg-type]
        on_nan=on_nan,
        precision=precision,
        compile=compile,
        size=size,
        local_views=local_views,
        seed=seed,
        out=out,
        root=root,
        on_error=on_error,
        device=device,
        devices=devices,
        checkpoint_every=checkpoint_every,
        keep=keep,
        wandb=wandb,
    )
    _ended(run, out)


def _begun(learner: Any, samples: Any, size: int | None, batch_size: int) -> str:
    """What was found, before anything is computed: data, encoder, batch."""
    from infomax.training.feed import view_size

    n, net = len(samples), learner.encoder.recipe
    what = f"{n:,} images, views of {view_size(samples, size)} px" if samples.is_images else f"{n:,} samples"
    known = f", {len(samples.classes)} classes (not used)" if samples.classes and samples.labels is not None else ""
    size_of = sum(p.numel() for p in learner.encoder.parameters()) / 1e6
    rest = sum(p.numel() for p in learner.f.parameters()) / 1e6 - size_of
    cut = f"; batches of {n}, all there are" if n < batch_size else ""
    return (
        f"{samples.name}: {what}{known}; {learner.name}: {net['name']}, {size_of:.2g} M parameters, and {rest:.2g} M of "
        f"heads{cut}"
    )


def _ended(run: Run, out: str) -> None:
    last = run.history[-1]
    if _rank() > 0:
        return
    mi, most = last["mi_infonce"], last["ceiling_infonce"]
    print(
        f"{run.learner.name}: bound {last['bound']:.3f}, InfoNCE {mi:.2f} of at most {most:.2f} nats, "
        f"effective rank {last['effective_rank']:.1f}"
    )
    print(f"wrote {out}; next: {typed(f'probe {out}')}")


def continued(*, resume: str, device: str | None = None, devices: int | None = None) -> None:
    """Continue a run that was stopped; on CPU it ends in the same weights, bit for bit, as one that never was.

    Args:
        resume: folder of the run.
        device, devices: where to compute from here on; by default where it was before.
    """
    _ended(Run.resume(resume, device=device, devices=devices), resume)


def probe(run: str, *, data: str | None = None, root: str | None = None, json: bool = False) -> None:
    """Judge a run's frozen encoder by a linear probe, nearest neighbours and gauges.

    Args:
        run: folder of a run.
        data: labelled data; by default what it was trained on.
        root: where named data sets lie.
        json: print one object instead of lines.
    """
    from infomax.evaluate.run import as_text

    found = Run.load(run).evaluate(data, root=root)
    if json:
        import json as encoder

        print(encoder.dumps(found, indent=2))
        return
    print(as_text(found))


def evaluate(
    *runs: str,
    data: str | None = None,
    root: str | None = None,
    protocols: str = "all",
    seed: int = 0,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Judge frozen encoders by every protocol, keep features and findings in their folders, and say the spread over runs.

    Args:
        runs: folders of runs; several of one method, such as its seeds, also give mean and deviation.
        data: labelled data; by default what each was trained on.
        root: where named data sets lie.
        protocols: linear, sgd, knn, knn-best, few, gauges (off views, without labels), several with commas between, or all.
        seed: of splits and draws.
        json: print one object instead of lines.
    """
    from infomax.evaluate.command import evaluated

    if not runs:
        raise ConfigError(f"name a run: {typed('evaluate RUN')}")
    evaluated(list(runs), data, root, protocols, seed, as_json=json)


def embed(
    run: str,
    data: str,
    *,
    out: str,
    root: str | None = None,
    split: Literal["train", "test"] = "train",
    head: Annotated[bool, Parameter(negative="")] = False,
    outliers: int | None = None,
    duplicates: float | None = None,
) -> None:
    """Write the features of every sample to a file; name the samples that stand alone, or come twice.

    Args:
        run: folder of a run.
        data: as in `infomax train`.
        out: a new .npz or .parquet file.
        root: where named data sets lie.
        split: of the data.
        head: the embedding behind the projector, in place of the encoder's features.
        outliers: print so many samples that are farthest from their neighbours.
        duplicates: print pairs of at least this cosine similarity, such as 0.99.
    """
    from infomax.evaluate.command import embedded

    embedded(run, data, out, root=root, split=split, head=head, lonely=outliers, twins=duplicates)


def report(run: str, *, out: str | None = None) -> None:
    """Write one self-contained page of a run.

    Args:
        run: folder of a run.
        out: the page; by default report.html in the run's folder.
    """
    print(f"wrote {Run.load(run).report(out)}")


def views(
    *,
    data: str,
    out: str,
    recipe: str = "auto",
    count: int = 8,
    size: int | None = None,
    local_views: int | None = None,
    seed: int = 0,
    epoch: int = 0,
    root: str | None = None,
) -> None:
    """Write a page that shows the views of some samples beside their sources, and what was drawn for each.

    Args:
        data: as of train.
        out: the page; an existing file is never overwritten.
        recipe: as --views of train.
        count: samples, spread over the data.
        size: as of train.
        local_views: as of train.
        seed: of the run whose views these are.
        epoch: of that run, counted from 0.
        root: where named data sets lie.
    """
    from infomax.report.views import views_page

    written = views_page(
        data, out, recipe, count=count, size=size, local_views=local_views, seed=seed, epoch=epoch, root=root
    )
    print(f"wrote {written}")


def demo(*, out: str = "runs/demo", seed: int = 0) -> None:
    """Train five methods on scikit-learn's digits, watch one collapse, and write a page: two minutes on two cores.

    Args:
        out: folder for the page and the numbers; a number is added where it exists.
        seed: of weights, shuffles and views.
    """
    from infomax.studies.demo import run

    run(out, seed=seed)


def mi(
    x: str,
    y: str,
    *,
    method: str = "auto",
    critic: Literal["separable", "cosine", "bilinear", "concatenated"] = "separable",
    margins: Literal["rank", "standard", "none"] = "rank",
    k: int = 5,
    seed: int = 0,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Estimate the mutual information between two files of samples, in nats, with what is known of its error.

    Args:
        x: a .npy file, one row a sample.
        y: a .npy file; row i belongs to row i of x.
        method: auto; gaussian, ksg or discrete; or a bound, read from a critic trained for it: infonce, dv, nwj, tuba,
            jsd_lower, xi_jsd, smile.
        critic: of a bound.
        margins: coordinates to read in: ranks made Gaussian, standardised, or as they are; auto tries its own.
        k: neighbours of ksg.
        seed: of folds and weights.
        json: one object {mi, lo, hi, method, flags, readings, ...} instead of a table; what is unknown is null.
    """
    from infomax.mi.command import run

    run(x, y, as_json=json, method=method, critic=critic, margins=margins, k=k, seed=seed)


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
        n: samples.
        epochs: of the full-batch and of the mini-batch runs.
        mini_batch: samples a batch in the mini-batch runs; by default a fifth of n, 500 of 2500.
    """
    from infomax.studies.toy import run

    found = run(out, seeds=seeds, n=n, epochs=epochs, mini_batch=mini_batch)
    print("mean gap between neighbouring centres, degrees (full batch):")
    for row, gaps in found["table3"].items():
        gap = gaps["mean_gap"]
        spread = "" if gap["sd"] is None else f" +- {gap['sd']:.1f}"
        print(f"  {row:14} {gap['mean']:5.1f}{spread}")
    right = sum(claim["holds"] for claim in found["claims"])
    less = " (a reduced run: verdicts are meant for 10 seeds, 500 samples, 100 epochs)"
    print(f"{right} of {len(found['claims'])} checked claims come out{less * (seeds < 10 or n < 500 or epochs < 100)}")
    print(f"wrote {Path(out) / 'index.html'}")


def theory(*, out: str, seed: int = 0, draws: int = 200) -> None:
    """Measure what the paper proves or assumes: bounds, ceilings, surrogates, monotonicity; a verdict for each.

    Args:
        out: folder for results.json and figures, made anew.
        seed: of every sample and weight.
        draws: repetitions of a cheap check; dearer ones take a share of them.
    """
    from infomax.studies.theory import run

    run(out, seed=seed, draws=draws)


def sweep(
    grid: str | None = None,
    *,
    out: str | None = None,
    runner: Literal["local", "ray", "submitit"] = "local",
    workers: int | None = None,
    threads: int = 1,
    gpus: float | None = None,
    address: str | None = None,
    retries: int = 3,
    retry: Annotated[bool, Parameter(negative="")] = False,
    set: Annotated[tuple[str, ...], Parameter(consume_multiple=False)] = (),
    list: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Train every cell of a grid, judge each on a held-out part of train, and keep them all in one folder.

    The same command goes on where it was stopped: finished cells are not run again, half-finished ones resume, and a cell
    that fails says why and does not stop the others.

    Args:
        grid: a YAML file, or a grid that the package brings, such as paper/sweep1-sdmi; see docs/sweeps.md.
        out: folder of the sweep, made anew or gone on with.
        runner: local (processes of this machine), ray (a cluster) or submitit (SLURM).
        workers: cells at once; by default as many as there are GPUs; without one, one. With ray: as many as have room.
        threads: CPU threads a cell.
        gpus: a cell's share of GPUs, such as 0.25 for four on one; by default one where there are any.
        address: of a Ray cluster, or auto for the one this machine belongs to; by default one is started here.
        retries: how often a cell goes on whose process or machine died.
        retry: run the failed cells again.
        set: a fixed option in place of the file's, as epochs=5; may be given several times.
        list: print the grids that the package brings.
    """
    from infomax.sweep import command

    if list:
        command.listed()
        return
    if grid is None or out is None:
        raise ConfigError("give a grid and a folder: infomax sweep GRID.yaml --out DIR (or --list)")
    options = {"workers": workers, "threads": threads, "gpus": gpus, "address": address}
    command.start(grid, out, set, {"runner_name": runner, "retries": retries, "retry": retry, **options})


def status(folder: str, *, json: Annotated[bool, Parameter(negative="")] = False) -> None:
    """Say how the cells of a sweep stand.

    Args:
        folder: of the sweep.
        json: every cell with its options and metrics.
    """
    from infomax.sweep import command

    command.status(folder, as_json=json)


def best(folder: str, *, by: str | None = None, json: Annotated[bool, Parameter(negative="")] = False) -> None:
    """Print the best setting of a sweep, chosen on a held-out part of train; over seeds, by its mean.

    Args:
        folder: of the sweep.
        by: metric; by default the grid's.
        json: one object {options, mean, sd, n}.
    """
    from infomax.sweep import command

    command.best(folder, by, as_json=json)


def table(folder: str, *, by: str | None = None, csv: Annotated[bool, Parameter(negative="")] = False) -> None:
    """Print the settings of a sweep, the best first, with their spread over seeds.

    Args:
        folder: of the sweep.
        by: metric; by default the grid's.
        csv: a line a cell, with all of its metrics.
    """
    from infomax.sweep import command

    command.table(folder, by, csv=csv)


def page(folder: str, *, out: str | None = None, by: str | None = None) -> None:
    """Write one self-contained page of a sweep: parallel coordinates, what each option does, every cell.

    Args:
        folder: of the sweep.
        out: the page; by default index.html in the folder.
        by: metric; by default the grid's.
    """
    from infomax.sweep.page import write

    print(f"wrote {write(folder, out, by)}")


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
        tasks: names, one option each; by default all.
        methods: names, one option each; by default auto, gaussian, ksg, infonce.
        nulls: independent data sets to count false alarms of auto on.
    """
    from infomax.studies.mi import DEFAULT, run

    run(out, seeds=seeds, n=n, names=tasks or (), methods=methods or DEFAULT, nulls=nulls)


def train_command(argv: list[str]) -> Callable[..., None]:
    """The command `train`, with the options of the method that argv names beside its own."""
    from infomax import methods as known

    own = inspect.signature(train)
    fixed = [p for p in own.parameters.values() if p.kind is p.KEYWORD_ONLY]
    name = _given(argv).get("method")
    chosen = known.options(name) if name else {}
    heads = {n for n, p in chosen.items() if is_head(p)}
    about = _arguments(inspect.getdoc(known.get(name)) or "") if name else {}
    extra = []
    for n, p in chosen.items():
        default = ("-".join(map(str, p.default)) or "none") if n in heads else p.default
        annotation: Any = str if n in heads else p.annotation
        shown = Parameter(help=about.get(n, ""), group=f"Options of {name}")
        extra.append(p.replace(default=default, annotation=Annotated[annotation, shown]))

    printed = "print_config" in _given(argv)  # then nothing is required: what is missing is left open
    if printed:
        fixed = [p.replace(default=None) if p.default is p.empty else p for p in fixed]

    def command(*, print_config: bool = False, **given: Any) -> None:
        if print_config:
            import yaml

            resolved = {p.name: given.get(p.name, p.default) for p in (*fixed, *extra)}
            print(yaml.safe_dump(resolved, sort_keys=False), end="")
            return
        arguments: dict[str, Any] = {n: head(v) if n in heads else v for n, v in given.items()}
        train(**arguments)

    command.__name__, command.__doc__ = "train", inspect.getdoc(train)
    shown = Parameter(negative="", help="Print all options, resolved, as a file for --config, and stop.")
    printing = inspect.Parameter(
        "print_config", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Annotated[bool, shown]
    )
    command.__signature__ = inspect.Signature([*fixed, printing, *extra])  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in (*fixed, printing, *extra)}
    return command


def _given(argv: list[str]) -> dict[str, str]:
    """The options on a command line, by name: a flag's value is empty.

    Example:
        >>> _given(["train", "--batch-size", "64", "--lr=-1", "--compile"])
        {'batch_size': '64', 'lr': '-1', 'compile': ''}
    """
    found = {}
    for token, after in itertools.pairwise([*argv, "--"]):
        if token.startswith("--"):
            name, equals, value = token[2:].partition("=")
            found[name.replace("-", "_")] = value if equals else "" if after.startswith("--") else after
    return found


def from_file(argv: list[str]) -> list[str]:
    """The command line with the options of its `--config FILE` written out, but for those that it has itself.

    Raises:
        ConfigError: a file that is no mapping, or a key that is no option, naming the nearest.
    """
    given = _given(argv)
    if argv[:1] != ["train"] or "config" not in given:
        return argv
    import yaml

    from infomax import methods as known

    path = Path(given["config"])
    try:
        asked = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"--config {path}: cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(asked, dict):
        raise ConfigError(f"--config {path}: give a mapping of options, such as 'method: simclr', not {asked!r}")
    asked = {str(key).replace("-", "_"): value for key, value in asked.items()}
    method = given.get("method") or asked.get("method")
    options = {n for n, p in inspect.signature(train).parameters.items() if p.kind is p.KEYWORD_ONLY}
    options |= set(known.options(str(method)) if method else {})
    for key in asked:
        if key not in options:
            raise ConfigError(f"--config {path}: no option {key!r}: {nearest(key, options)}")
    at = next(i for i, token in enumerate(argv) if token.split("=")[0] == "--config")
    tokens = [*argv[:at], *argv[at + (1 if "=" in argv[at] else 2) :]]
    for key, value in asked.items():
        if value is None or key in given or f"no_{key}" in given:
            continue
        tokens.append(as_token(key, value))
    return tokens


def as_token(name: str, value: Any) -> str:
    """An option of a file as the command line has it.

    Example:
        >>> as_token("projector", [64, 32]), as_token("compile", False)
        ('--projector=64-32', '--no-compile')
    """
    option = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{option}" if value else f"--no-{option}"
    return f"--{option}=" + (("-".join(map(str, value)) or "none") if isinstance(value, list) else str(value))


def is_head(parameter: inspect.Parameter) -> bool:
    """Whether an option of a method is the widths of a head's layers."""
    return "Head" in str(parameter.annotation) or "Module" in str(parameter.annotation)


def resume_command(argv: list[str]) -> Callable[..., None]:
    """The command `train --resume RUN`; options given beside it must be those that the run was begun with.

    Raises:
        ConfigError: naming the options that differ.
    """
    given = _given(argv)
    if "root" in given:
        given["root"] = str(Path(given["root"]).expanduser().resolve())
    config = read_config(Path(given["resume"]))
    begun = config["machine"] | config["training"] | config["method"]
    begun |= {"data": config["data"]["name"], "root": config["data"]["root"], "views": config["views"]["recipe"]}
    begun |= {"encoder": config["encoder"].get("name"), "out": given["resume"]}
    begun |= {name: str(value).lower() for name, value in begun.items() if isinstance(value, bool)}
    differ = []
    for name, value in given.items():
        then = begun.get(name, "nothing")
        said = ("-".join(map(str, then)) or "none") if isinstance(then, list) else str(then)
        same = (value or "true") == said or (isinstance(then, float | int) and _number(value) == then)
        if name not in inspect.signature(continued).parameters and not same:
            differ.append(f"--{name.replace('_', '-')}: {said} then, {value or 'true'} now")
    if differ:
        raise ConfigError(f"a run continues with the options that it was begun with: {'; '.join(differ)}")

    def command(*, resume: str, device: str | None = None, devices: int | None = None, **same: str) -> None:
        continued(resume=resume, device=device, devices=devices)

    command.__name__, command.__doc__ = "train", inspect.getdoc(continued)
    return command


def strict(command: Callable[..., None]) -> Callable[..., None]:
    """The command, its whole numbers read by `whole`."""
    signature = inspect.signature(command)

    def read(p: inspect.Parameter) -> inspect.Parameter:
        bare = p.annotation.__origin__ if hasattr(p.annotation, "__metadata__") else p.annotation
        if bare not in (int, int | None):
            return p
        return p.replace(annotation=Annotated[p.annotation, Parameter(converter=whole)])

    parameters = [read(p) for p in signature.parameters.values()]

    @functools.wraps(command)
    def asked(*args: Any, **given: Any) -> None:
        command(*args, **given)

    asked.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    asked.__annotations__ = {p.name: p.annotation for p in parameters}
    return asked


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _rank() -> int:
    """The number of this process, where torchrun or Fabric started several: the first one alone speaks."""
    return int(os.environ.get("RANK") or os.environ.get("LOCAL_RANK") or 0)


def _arguments(doc: str) -> dict[str, str]:
    """What a docstring says of each argument."""
    found: dict[str, str] = {}
    name, inside = "", False
    for line in doc.splitlines():
        if not line.startswith(" "):
            inside = line == "Args:"
        elif inside and line.startswith("    ") and not line.startswith("     ") and ":" in line:
            name, text = line.strip().split(":", 1)
            for one in name.split(", "):
                found[one] = text.strip()
        elif inside and name:
            for one in name.split(", "):
                found[one] += " " + line.strip()
    return found


def application(argv: list[str]) -> App:
    """Every command; `train` with the options of the method that argv names."""
    app = App(
        name="infomax",
        help="Self-supervised representation learning as mutual-information maximisation.",
        suppress_keyboard_interrupt=False,  # a stopped run has something to say
    )
    study = App(name="study", help="The paper's studies, each one command: numbers, figures and a page.")
    continues = argv[:1] == ["train"] and _given(argv).get("resume")
    for command in (
        demo,
        methods,
        resume_command(argv) if continues else train_command(argv if argv[:1] == ["train"] else []),
        probe,
        evaluate,
        embed,
        report,
        views,
        mi,
    ):
        app.command(strict(command))
    for each in (toy, theory):
        study.command(strict(each))
    study.command(strict(study_mi), name="mi")
    app.command(study)
    sweeps = App(name="sweep")
    sweeps.default(strict(sweep))
    for command in (status, best, table, page):
        sweeps.command(strict(command))
    app.command(sweeps)
    return app


def main(argv: list[str] | None = None) -> int:
    """Run one command; what a user can mend is one line on the error stream, with exit status 2."""
    tokens = sys.argv[1:] if argv is None else argv
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = lambda message, category, *_: print(f"warning: {message}", file=sys.stderr)
        return _run(tokens)


def _run(tokens: list[str]) -> int:
    try:
        tokens = from_file(tokens)
        application(tokens)(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        return _say(" ".join(str(error).split()), 2)
    except InfomaxError as error:
        return _say(str(error), 2)
    except Stopped as stopped:
        return _say(str(stopped), 128 + stopped.number)
    except BrokenPipeError:  # who read along, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:  # a path that cannot be made, read or written
        return _say(f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error), 2)
    except KeyboardInterrupt:
        return _say("stopped; what had been written stays", 130)
    return 0


def _say(message: str, status: int) -> int:
    if _rank() == 0:
        print(f"infomax: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
