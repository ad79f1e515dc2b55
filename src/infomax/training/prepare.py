"""From what was asked to a run that can begin: data, views, device, optimiser, and the configuration that says so."""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from infomax import encoders
from infomax.clock import Clock
from infomax.data import Dataset
from infomax.data.content import content
from infomax.encoders.width import measured_width, width_of
from infomax.errors import ConfigError, InfomaxError
from infomax.learner import Learner
from infomax.modes import resting
from infomax.optim import build_optimizer
from infomax.optim.rules import grouped, resolved
from infomax.parallel import by_rank, same_start, world
from infomax.target import Twin
from infomax.training import checkpoint, sharding
from infomax.training import wandb as weights_and_biases
from infomax.training.checkpoint import described
from infomax.training.defaults import auto_encoder, check_names, dataset, read_for, view_function, view_size
from infomax.training.devices import Place, checked, chosen, compile_branch, place, uncompiled
from infomax.training.feed import Feed
from infomax.training.interrupt import interval
from infomax.training.length import Length
from infomax.training.options import Options
from infomax.training.run import Run
from infomax.words import with_article


@dataclass
class Job:
    """All that a run needs to begin or to continue."""

    run: Run
    learner: Learner  # what climbs: the run's own, or shards of it
    feed: Feed
    optimizer: Optimizer
    place: Place
    options: Options
    length: Length


def check_machine(options: Options, machine: Mapping[str, Any]) -> None:
    """Refuse what cannot be of where and how a run is computed and kept: asked before data are read, which takes long.

    Args:
        options: of the run.
        machine: device, devices, strategy, checkpoint_every, keep; and cuda_graphs and wandb, where they are known.

    Raises:
        ConfigError: naming it.
    """
    check_kept(options, machine)
    weights_and_biases.check(machine.get("wandb"))
    precision = chosen(options.precision, machine["device"])
    sharding.check(machine["strategy"], precision, options.compile)
    checked(machine["device"], machine["devices"], precision)


def check_kept(options: Options, machine: Mapping[str, Any]) -> None:
    """The part of `check_machine` that asks nothing of the machine at hand."""
    interval(machine["checkpoint_every"])
    for name in ("keep", "devices"):
        if not isinstance(machine[name], int) or isinstance(machine[name], bool):
            raise ConfigError(f"{name}={machine[name]!r}: give a whole number")
    if machine["keep"] < 1:
        raise ConfigError(f"keep={machine['keep']}: a run keeps at least its last checkpoint")
    if machine.get("cuda_graphs") and not options.compile:
        raise ConfigError("cuda_graphs=True without compile=True: the graphs are of compiled branches; give both")


def _check_learner(asked: object) -> None:
    """Raise where it is none, as by its name or without a method around it."""
    from infomax.methods import METHODS

    if isinstance(asked, Learner):
        return
    said = repr(asked) if isinstance(asked, str) else with_article(type(asked).__name__)
    named = asked if isinstance(asked, str) and asked in METHODS else "simclr"
    raise ConfigError(
        f"train takes a learner, which is a method around an encoder, not {said}: such as "
        f"im.methods.{named}(im.encoders.get('resnet8'))"
    )


def prepare(
    learner: Learner, data: Any, views: Any, options: Options, root: str | None, machine: dict[str, Any]
) -> Job:
    """Everything at its place and tried out, and the configuration resolved, before the first update."""
    _check_learner(learner)
    if isinstance(learner.target, Twin):  # a whole pass would be made before the turn of the second encoder
        for phase in (0, 1):
            learner.refuse_frozen(Clock(phase=phase))
    check_machine(options, machine)
    precision, options = options.precision, replace(options, precision=chosen(options.precision, machine["device"]))
    asked = resolved(learner, options.rules)  # by the names of the parameters, which a branch that is compiled keeps
    where = place(machine["device"], machine["devices"], options.precision)
    if precision == "auto" and len(set(found := by_rank(options.precision))) > 1:
        raise ConfigError(
            f"precision='auto' is another one on other machines, {', '.join(found)} by process: say which"
        )
    check_names(views=views)
    samples = dataset(data, root, on_error=machine.get("on_error", "skip"), how=read_for(options.size))
    root = None if root is None else str(Path(root).expanduser().resolve())
    known = content(samples)
    if options.budget is not None:
        importlib.import_module("torch._dynamo")  # the first optimiser of a process does, which takes seconds
        if world() > 1:
            by_rank(None)  # the first process's clock is that of all: it begins when the last has read its data
    length = Length(0, options.budget)  # what is tried out below, and compiled by torch, is on the budget too
    made = view_function(samples, views, options.size, options.local_views)
    learner.accumulate = options.accumulate
    if where.dtype is not None:
        learner.to(where.dtype)
    # views come as the weights are: a function of the user's gives float64 as easily
    weights = next((p.dtype for p in learner.encoder.parameters() if p.is_floating_point()), where.dtype)
    feed = Feed(samples, made, options.batch_size, options.seed, where.device, weights)
    if machine["strategy"] == "fsdp" and world() > 1:
        same_start(learner.cpu().to(memory_format=torch.contiguous_format).train())
        climbs = sharding.sharded(learner, where.device)
    else:
        climbs = learner.to(where.device).to(memory_format=torch.channels_last).train()
        same_start(climbs)
    if isinstance(views, str):  # a function of the user's is called for the batches of the run and nothing else
        try_out(climbs, feed, feed.fixed(2))
    optimiser = build_optimizer(
        grouped(climbs, asked), options.optimizer, lr=options.peak(feed.batch_size), weight_decay=options.weight_decay
    )
    if options.compile:
        for branch in (climbs.f, climbs.g):
            if branch is not None:
                compile_branch(branch, graphs=bool(machine.get("cuda_graphs")) and where.device.type == "cuda")
    own = None if isinstance(views, str) else described(views)
    warmup = options.warmup if options.budget is None else options.warmup_epochs
    config = {
        "method": learner.recipe,
        "encoder": getattr(learner.encoder, "recipe", {}),
        "data": {"name": samples.name, "samples": len(samples), "root": root, "mean": samples.mean, "std": samples.std}
        | {"source": samples.origin[0] if samples.origin else None, "content": known}
        | {"kind": samples.kind, "shape": samples.shape, "read_by": samples.read_by},
        "views": {"recipe": None if own else views, "own": own, "made": described(made)}
        | {"size": view_size(samples, options.size) if samples.is_images else options.size},
        "training": options.plain() | {"batch_size": feed.batch_size, "warmup_epochs": warmup, "rules": asked},
        checkpoint.MACHINE: machine,
    }
    if not (config["method"] and config["encoder"]):
        config["learner"] = described(learner)
    config = checkpoint.plain(config)
    length.updates = options.epochs * len(list(learner.target.order(len(feed))))
    return Job(Run(learner, config, data=samples), climbs, feed, optimiser, where, options, length)


def _hint(learner: Learner, view: Any, data: Dataset) -> str:
    """What to do where an encoder cannot take a view, if that can be told."""
    encoder, what = learner.encoder, getattr(learner.encoder, "recipe", None)
    name = what.get("name") if isinstance(what, dict) else None
    if name is not None and data.kind not in (kinds := encoders.MADE_FOR.get(name, ("images",))):
        return f"; {name} is for {' or '.join(kinds)}: for {data.kind} take {auto_encoder(data)} (--encoder auto does)"
    if not isinstance(view, Tensor) or view.ndim != 4:
        return ""
    what = what if isinstance(what, dict) and "name" in what else {}  # else an attribute of the user's own
    if (made := what.get("channels", view.shape[1])) != view.shape[1]:
        return f"; it was made for {made} channels: im.encoders.get({what['name']!r}, channels={view.shape[1]})"
    if not view.is_floating_point():
        return (
            f"; they are {str(view.dtype).removeprefix('torch.')}: have your function of views give floats, normalised"
        )
    try:
        gives, says = measured_width(encoder, view), width_of(encoder)
    except ConfigError as error:
        return f"; {error}"
    except Exception:  # what it raised is said already
        return ""
    if gives == says:
        return ""
    return f"; it says {says} features and gives {gives}: take its classifier off (timm: num_classes=0), or set its `width`"


def try_out(learner: Learner, feed: Feed, views: Sequence[Any]) -> None:
    """Encode two samples, so that an encoder that cannot take these views is told at once, in our words.

    Args:
        learner: what is to be trained.
        feed: of its data, which are named.
        views: of at least two samples.

    Raises:
        ConfigError: an encoder that cannot take them, or gives no N x D.
    """
    views = [view[:2] if isinstance(view, Tensor) else view for view in views]
    others = {
        tuple(view.shape): view for view in views if isinstance(view, Tensor)
    }  # of multi-crop, the small ones too
    for view in others.values() or views[:1]:
        _try_out_one(learner, feed, view)


@torch.no_grad()
def _try_out_one(learner: Learner, feed: Feed, view: Any) -> None:
    shape = tuple(view.shape) if isinstance(view, Tensor) else type(view).__name__
    try:
        with resting(learner), uncompiled():  # a shape and a mode that come but once
            z = learner.f(view)
    except InfomaxError:
        raise
    except (RuntimeError, TypeError, ValueError, IndexError, AssertionError) as error:
        said = f"{str(error) or type(error).__name__}".splitlines()[0] + _hint(learner, view, feed.data)
        raise ConfigError(f"the encoder cannot take views of {feed.data.name!r} of shape {shape}: {said}") from error
    if not isinstance(z, Tensor) or z.ndim != 2 or (isinstance(view, Tensor) and len(z) != len(view)):
        got = f"embeddings of shape {tuple(z.shape)}" if isinstance(z, Tensor) else with_article(type(z).__name__)
        raise ConfigError(
            f"views of {feed.data.name!r} of shape {shape} became {got}: an encoder gives N x D; add pooling or flattening"
        )
