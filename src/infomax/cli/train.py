"""`infomax train`: one option for every argument of `im.train` and of the method that is named; files of options."""

import inspect
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from infomax.cli.options import as_token, described_arguments, head, is_head, options_given
from infomax.cli.phrases import of_another
from infomax.cli.said import begun, by_folder, ended, few_updates, of_other_views
from infomax.errors import ConfigError, DataError, InfomaxError, beside, nearest, unreadable
from infomax.errors import command as typed
from infomax.optim import OptimizerName
from infomax.parallel import launched_rank
from infomax.training.devices import PrecisionName
from infomax.training.sharding import Strategy
from infomax.words import with_dashes


def train(
    *,
    method: str,
    data: str,
    out: str,
    encoder: str = "auto",
    init: str | None = None,
    views: str = "auto",
    epochs: int = 100,
    budget: str | None = None,
    batch_size: int = 256,
    optimizer: OptimizerName = "adamw",
    lr: float = 1e-3,
    lr_batch: int | None = None,
    weight_decay: float = 1e-4,
    warmup_epochs: float | None = None,
    clip_norm: float | None = None,
    rules: str | None = None,
    accumulate: str = "1",
    on_nan: Literal["stop", "skip"] = "stop",
    precision: PrecisionName = "32-true",
    compile: bool = False,
    cuda_graphs: bool = False,
    size: int | None = None,
    local_views: int | None = None,
    seed: int = 0,
    root: str | None = None,
    on_error: Literal["skip", "stop"] = "skip",
    device: str = "auto",
    devices: int = 1,
    strategy: Strategy = "ddp",
    checkpoint_every: str = "2min",
    keep: int = 2,
    gauge_samples: int = 1000,
    intervals: bool = True,
    online_probe: bool = False,
    online_knn: bool = False,
    wandb: str | None = None,
    **options: Any,
) -> None:
    """Train a method on unlabelled data and write the run to a new folder.

    `--config FILE.yaml` reads options from a file, under the same names. In place of a file it takes the name of a
    recipe of this package, such as reference/simclr-cifar10 (`infomax recipes` lists them). Options on the command line
    override those of the file. `--print-config` prints all options, resolved, as such a file and exits. `--resume RUN`
    continues a run that was stopped, for whatever reason.

    Args:
        method: a name from `infomax methods`. `--method NAME --help` also lists the method's own options.
        data: digits, gaussians, fashion-mnist, cifar10, cifar100, tiny-imagenet, imagenet100, cora, citeseer or sbm; a
            folder of images; a .npy file, or an .npz file with `images` or `x`; or shards (.tar or .parquet): a folder,
            a pattern, or hf:user/name.
        out: folder of the run. It must be new or empty.
        encoder: resnet8, resnet18, resnet34, resnet50, resnet1d, mlp, toy, gcn, timm/NAME or torchvision/NAME; auto: a
            small one that fits the data.
        init: initial weights of the encoder: pretrained (published by torchvision or timm), the folder of a run, or a
            weights file. By default they are random.
        views: augmentation recipe. For images: simclr, weak, byol, vicreg, w-mse, swav, dino, small, small-grey, gentle
            or none; for signals: signals; for tables: tabular; for points: noise; for graphs: graph; auto: chosen by
            the data.
        epochs: passes over the data, at least 1. An epoch of sdmi is an E-pass and an M-pass. Cannot be combined with
            --budget.
        budget: training time, in place of epochs: 300s, 5min or 2h of wall-clock time, or "300s cpu" of processor time
            (all threads and processes together). The schedules are adjusted to end with it. Reading the data before
            training does not count, nor does compiling this package's kernels, once, on a new machine. With several
            processes, the first one's clock counts.
        batch_size: samples per batch, over all processes.
        optimizer: sgd (momentum 0.9), lars, larc (LARS whose steps are never larger than those of sgd), adam, adamw or
            muon.
        lr: peak learning rate, for this batch size; or for --lr-batch, if that is given.
        lr_batch: batch size that lr is meant for. The learning rate is then scaled linearly: lr x batch_size /
            lr_batch.
        weight_decay: weight decay, as the optimizer defines it.
        warmup_epochs: epochs over which the learning rate rises; by default a tenth of the run, at most 10.
        clip_norm: maximum norm of the gradient, over all parameters; by default no clipping.
        rules: learning-rate factors and weight decays for some parameters, as YAML: "{bias: {weight_decay: 0}, encoder:
            {lr: 0.1}}".
        accumulate: use less memory. views: hold the activations of one view at a time; n > 1: those of an n-th of a
            view's rows at a time (only without batch norm).
        on_nan: at a NaN or infinity, stop and say where, or skip the update.
        precision: 32-true, bf16-mixed, 16-mixed (CUDA only), bf16-true or 64-true; auto: bf16-mixed if the hardware
            supports it, else 32-true.
        compile: compile the branches with torch.compile.
        cuda_graphs: with --compile on a GPU, use CUDA graphs, which take less of the host's time (new, and little
            tried).
        size: side of the views in pixels; by default that of the images, at most 96. For signals: time steps per view.
        local_views: number of small views in the recipes swav and dino; by default none below 96 pixels, else 6 (swav)
            and 8 (dino).
        seed: random seed of weights, shuffling and views.
        root: folder of the named data sets. Official files found there are used; only missing ones are downloaded.
        on_error: at an image that cannot be decoded, skip it and name it, or stop.
        device: cpu, cuda, cuda:1 or auto.
        devices: number of processes, one per GPU. n processes compute what one would. Under torchrun, its number is
            used.
        strategy: how the processes hold the learner: ddp: each holds all of it; fsdp: each holds a shard of its
            branches, for large encoders.
        checkpoint_every: interval of checkpoints: a number of updates, or a time such as 90s or 10min. One is always
            written at the start and when the run is stopped.
        keep: number of checkpoints to keep, the most recent ones.
        gauge_samples: number of samples, with views that stay the same for the run, on which the gauges of the log and
            of the last line are computed after every epoch; those of the bar are of the batch under way.
        intervals: add confidence limits to the mutual information there; about 20 ms more per epoch, for 1000 samples.
        online_probe: for labelled data: train a linear probe alongside the run, without affecting it, and test it after
            every epoch. It uses test samples: do not choose anything by it.
        online_knn: the same with nearest neighbours of the encoder's features.
        wandb: Weights & Biases project to log to as well (with WANDB_MODE=offline: to disk only). Needs the wandb
            package.
    """
    import torch

    import infomax as im
    from infomax.data import NAMES
    from infomax.data.folder import holds_images, unlabelled_for_sure
    from infomax.methods.registry import check
    from infomax.training.defaults import check_names, dataset, encoder_for, read_for
    from infomax.training.devices import chosen
    from infomax.training.folder import unclaimed
    from infomax.training.options import Options, read_back
    from infomax.training.prepare import check_machine

    if seed < 0:
        raise ConfigError(f"--seed {seed}: give a whole number from 0 on")
    torch.manual_seed(seed)
    if launched_rank() == 0:
        unclaimed(out, anew=True, data=data)
    given: dict[str, Any] = {
        "epochs": epochs,
        "budget": budget,
        "batch_size": batch_size,
        "optimizer": optimizer,
        "lr": lr,
        "lr_batch": lr_batch,
        "weight_decay": weight_decay,
        "warmup_epochs": warmup_epochs,
        "clip_norm": clip_norm,
        "rules": rules,
        "accumulate": accumulate,
        "on_nan": on_nan,
        "precision": precision,
        "compile": compile,
        "size": size,
        "local_views": local_views,
        "seed": seed,
        "gauge_samples": gauge_samples,
        "intervals": intervals,
        "online_probe": online_probe,
        "online_knn": online_knn,
    }
    asked = read_back(given)
    machine: dict[str, Any] = {
        "device": device,
        "devices": devices,
        "strategy": strategy,
        "checkpoint_every": checkpoint_every,
        "keep": keep,
        "wandb": wandb,
        "cuda_graphs": cuda_graphs,
    }
    check_machine(Options(**asked), machine)  # what cannot be is said before data are read, which takes long
    check_names(encoder=encoder, views=views, init=init, size=size)
    check(method, **options)
    if (
        (online_probe or online_knn)
        and data not in NAMES
        and holds_images(Path(data))
        and unlabelled_for_sure(Path(data)) is not None
    ):
        asked_for = " and ".join(
            f"--online-{n}" for n, wanted in (("probe", online_probe), ("knn", online_knn)) if wanted
        )
        raise DataError(
            f"{asked_for}: {data} has no labels, which are one folder a class; leave it out, or give data that have"
        )
    samples = dataset(data, root, on_error=on_error, how=read_for(size))
    learner = im.methods.build(method, encoder_for(samples, encoder, size, init), **options)
    if launched_rank() == 0:
        print(
            begun(learner, samples, size, batch_size, online_probe or online_knn, folder=by_folder(samples, data)),
            flush=True,
        )
        if said := few_updates(samples, batch_size):
            print(said, flush=True)
        if init is not None and size is None and (said := of_other_views(init, samples)):
            print(said, flush=True)
        if precision == "auto":
            print(f"precision {chosen(precision, device)}, as the hardware has it", flush=True)
    if batch_size > len(samples) > 1:  # which is said
        asked["batch_size"] = len(samples)
    run = im.train(
        learner,
        samples,
        views=views,
        **asked,
        **machine,
        out=out,
        root=root,
        on_error=on_error,
    )
    ended(run, out)


def train_command(argv: list[str]) -> Callable[..., None]:
    """The command `train`, with the options of the method that argv names beside its own."""
    from infomax import methods as known

    own = inspect.signature(train)
    fixed = [p for p in own.parameters.values() if p.kind is p.KEYWORD_ONLY]
    name = options_given(argv).get("method")
    chosen = known.options(name) if name else {}
    if taken := next((n for n in chosen if n in own.parameters or n in ("config", "resume", "print_config")), None):
        raise ConfigError(f"the method {name!r} has an option {taken!r}, which is one of every run: call it otherwise")
    heads = {n for n, p in chosen.items() if is_head(p)}
    about = described_arguments(inspect.getdoc(known.get(name)) or "") if name else {}
    extra = []
    for n, p in chosen.items():
        default = with_dashes(p.default) if n in heads else p.default
        annotation: Any = str if n in heads else p.annotation
        shown = Parameter(help=about.get(n, ""), group=f"Options of {name}")
        extra.append(p.replace(default=default, annotation=Annotated[annotation, shown]))

    printed = "print_config" in options_given(argv)  # then data and out may be left open
    if printed:
        fixed = [p.replace(default=None) if p.name in ("data", "out") else p for p in fixed]

    def command(*, print_config: bool = False, **given: Any) -> None:
        if print_config:
            print(_as_file({p.name: given.get(p.name, p.default) for p in (*fixed, *extra)}), end="")
            return
        arguments: dict[str, Any] = {n: head(v) if n in heads else v for n, v in given.items()}
        train(**arguments)

    command.__name__, command.__doc__ = "train", inspect.getdoc(train)
    shown = Parameter(negative="", help="Print all options, resolved, as a file for --config, and exit.")
    printing = inspect.Parameter(
        "print_config", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Annotated[bool, shown]
    )
    command.__signature__ = inspect.Signature([*fixed, printing, *extra])  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in (*fixed, printing, *extra)}
    return command


def _as_file(options: dict[str, Any]) -> str:
    """All options as a file for --config; what is left to the data or the machine stays so, with what it comes to beside it."""
    import yaml

    from infomax.methods import get

    told = _come_to(options)
    pieces = options["accumulate"]
    options |= {"method": get(options["method"]).__name__, "accumulate": int(pieces) if pieces.isdecimal() else pieces}
    lines = ((yaml.safe_dump({name: value}).rstrip("\n"), told.get(name)) for name, value in options.items())
    return "".join(line + ("" if what is None else f"  # here {what}") + "\n" for line, what in lines)


def _come_to(options: dict[str, Any]) -> dict[str, Any]:
    """What `auto`, and defaults left to data or machine, come to here; most can be told only where the data are at hand."""
    from infomax.data import NAMES, load
    from infomax.data.streams import is_stream
    from infomax.training.defaults import auto_encoder, auto_views, view_size
    from infomax.training.devices import chosen, place
    from infomax.training.options import Options

    found: dict[str, Any] = {}
    if options["device"] == "auto":
        found["device"] = place().device.type
    if options["precision"] == "auto":
        found["precision"] = chosen("auto", options["device"])
    if options["warmup_epochs"] is None and options["budget"] is None:
        found["warmup_epochs"] = Options(epochs=options["epochs"]).warmup
    if options["data"] is None or all(options[name] != "auto" for name in ("encoder", "views")):
        return found
    if options["data"] not in NAMES and is_stream(options["data"]):
        return found
    try:
        samples = load(options["data"], root=options["root"], on_error=options["on_error"], download=False)
    except InfomaxError:
        return found
    if options["encoder"] == "auto":
        found["encoder"] = auto_encoder(samples, options["size"])
    if options["views"] == "auto":
        found["views"] = auto_views(samples)
    if options["size"] is None and samples.is_images:
        found["size"] = view_size(samples)
    return found


INSTEAD = {"epochs": "budget", "budget": "epochs"}
"""A run's length is said in one of two ways: either, given beside a file, stands for whichever is in the file."""


def from_file(argv: list[str]) -> list[str]:
    """The command line with the options of its `--config FILE` or recipe written out, but for those that it has itself.

    Raises:
        ConfigError: a file that is no mapping, a key that is no option, naming the nearest, or two lengths of one run.
    """
    given = options_given(argv)
    if argv[:1] == ["train"] and set(INSTEAD) <= set(given):
        said = " and ".join(f"--{name} {given[name]}" for name in INSTEAD)
        raise ConfigError(f"{said}: a run is as long as one of them says; leave the other out")
    if argv[:1] != ["train"] or "config" not in given:
        return argv
    if not given["config"]:
        raise ConfigError(f"--config takes a file of options, or a recipe's name ({typed('recipes')} lists them)")
    asked = config_of(given["config"], given.get("method"))
    at = next(i for i, token in enumerate(argv) if token.split("=")[0] == "--config")
    tokens = [*argv[:at], *argv[at + (1 if "=" in argv[at] else 2) :]]
    for key, value in asked.items():
        if value is None or not {key, f"no_{key}", INSTEAD.get(key)}.isdisjoint(given):
            continue
        tokens.append(as_token(key, value))
    return tokens


def config_of(name: str, method: str | None = None, said: str = "--config") -> dict[str, Any]:
    """The options that a file or a recipe holds, their keys checked.

    Args:
        name: path of the file, or the recipe's name.
        method: the one to be trained, in place of what it says itself.
        said: what asks for it, for messages.

    Raises:
        ConfigError: no such file, one that is no mapping, or a key that is no option, naming the nearest.
    """
    import yaml

    path = Path(name)
    try:
        asked = _recipe(path) or yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{said} {path}: no such file{_near(path)} ({typed('recipes')} lists the recipes)") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{said} {path}: cannot be read: {unreadable(error)}") from None
    if not isinstance(asked, dict):
        raise ConfigError(f"{said} {path}: give a mapping of options, such as 'method: simclr', not {asked!r}")
    asked = {str(key).replace("-", "_"): value for key, value in asked.items()}
    options = options_of(method := method or asked.get("method"))
    for key in asked:
        if key not in options:
            why = of_another(method, key, key) or f"no option {key!r}: {nearest(key, options)}"
            raise ConfigError(f"{said} {path}: {why}")
    return asked


def options_of(method: str | None) -> set[str]:
    """The options of `infomax train` and of a method; of every method, where none is named."""
    from infomax import methods as known

    own = {n for n, p in inspect.signature(train).parameters.items() if p.kind is p.KEYWORD_ONLY}
    return own.union(*(known.options(str(one)) for one in ([method] if method else known.METHODS)))


def _near(path: Path) -> str:
    """The file beside it, else the recipe, that is called nearly so, as a question."""
    from infomax import recipes

    close = get_close_matches(path.with_suffix("").as_posix(), recipes.names(), n=1)
    near = beside(path) or (f"did you mean {close[0]!r}? " if close else "")
    return f"; {near}".rstrip("; ")


def _recipe(path: Path) -> dict[str, Any] | None:
    """The options of a recipe that the package brings; None: it is a file, or looks like one."""
    from infomax import recipes

    name = path.as_posix().lower()
    if path.exists() or path.suffix or name.split("/")[0] not in {known.split("/")[0] for known in recipes.names()}:
        return None
    return dict(recipes.get(name).options)
