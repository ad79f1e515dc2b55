"""Where a run starts: `train` begins one, `resume` continues one; both end in the loop of `infomax.training.loop`."""

import shlex
from collections.abc import Mapping
from contextlib import suppress
from copy import copy
from pathlib import Path
from typing import Any, Literal

import torch

from infomax.data import NAMES, Dataset
from infomax.data.content import same_statistics
from infomax.data.folder import OnError
from infomax.errors import ConfigError, DataError, command, known_options, warn
from infomax.heap import give_back
from infomax.learner import Learner, Rules
from infomax.optim import OptimizerName
from infomax.parallel import launched_rank, rank
from infomax.pieces import Accumulate
from infomax.progress import say
from infomax.training import checkpoint
from infomax.training.checkpoint import Position
from infomax.training.completion import stands
from infomax.training.defaults import begun_by, dataset
from infomax.training.devices import PrecisionName
from infomax.training.earlier import earlier_run, trained
from infomax.training.feed import ViewFunction
from infomax.training.folder import (
    again,
    alone,
    claim,
    cleared,
    in_python,
    never_begun,
    read_config,
    read_log,
    unclaimed,
)
from infomax.training.interrupt import noted_signals, outliving
from infomax.training.loop import Loop, OnEpoch
from infomax.training.options import Options, own
from infomax.training.prepare import Job, prepare
from infomax.training.run import Run, rebuilt
from infomax.training.sharding import Strategy
from infomax.words import shortened


@known_options
def train(
    learner: Learner,
    data: Any,
    *,
    views: str | ViewFunction = "auto",
    epochs: int = 100,
    budget: str | None = None,
    batch_size: int = 256,
    optimizer: OptimizerName = "adamw",
    lr: float = 1e-3,
    lr_batch: int | None = None,
    weight_decay: float = 1e-4,
    warmup_epochs: float | None = None,
    clip_norm: float | None = None,
    rules: Rules | None = None,
    accumulate: Accumulate = 1,
    on_nan: Literal["stop", "skip"] = "stop",
    precision: PrecisionName = "32-true",
    compile: bool = False,
    cuda_graphs: bool = False,
    size: int | None = None,
    local_views: int | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    root: str | None = None,
    on_error: OnError = "skip",
    device: str = "auto",
    devices: int = 1,
    strategy: Strategy = "ddp",
    checkpoint_every: int | str = "2min",
    keep: int = 2,
    gauge_samples: int = 1000,
    intervals: bool = True,
    online_probe: bool = False,
    online_knn: bool = False,
    wandb: str | None = None,
    on_epoch: OnEpoch | None = None,
    progress: bool = True,
) -> Run:
    """Train a method on unlabelled data.

    Args:
        learner: the method. If an earlier run has trained its encoder, training starts from those weights, with a
            warning.
        data: name of a data set; path of a folder or array file; shards (`shards/*.tar`, `hf:user/name`; see
            `infomax.data.load`); a `Dataset` or a tensor; or anything that returns samples by index, such as torch's
            data sets or a list of pictures (`infomax.data.items.of_items`).
        views: name of an augmentation recipe, `auto`, or a function called as views(batch, index, seed=0, epoch=0) that
            returns two or more views of the batch; index holds the indices of its samples (None for a graph).
        epochs: passes over the data, at least 1. For a two-encoder method, an epoch is an E-pass and an M-pass.
        budget: training time; `epochs` is then ignored. "300s", "5min" or "2h" of wall-clock time, or "300s cpu" of
            processor time (all threads and processes together). The schedules are adjusted to end with it; a tenth of
            it is warm-up by default. Reading the data before training does not count, nor does compiling this package's
            kernels, once, on a new machine. With several processes, the first one's clock counts. How many updates fit
            depends on the machine, so a run with a budget is not reproducible bit for bit.
        batch_size: samples per batch, over all processes; a graph is always one batch.
        optimizer: sgd (momentum 0.9), lars, larc (LARS whose steps are never larger than those of sgd), adam, adamw or
            muon.
        lr: peak learning rate, for this batch size; or for `lr_batch`, if that is given.
        lr_batch: batch size that lr is meant for. The peak is then scaled linearly: lr batch_size / lr_batch (Goyal et
            al. 2017). None: lr is used as it is.
        weight_decay: weight decay, as the optimizer defines it.
        warmup_epochs: epochs over which the learning rate rises; it then falls to 0 along a cosine. Both change at
            every update. None: a tenth of the run, at most 10.
        clip_norm: maximum norm of the gradient, over all parameters; None: no clipping.
        rules: learning-rate factors and weight decays for some parameters, such as {"bias": {"weight_decay": 0}}; see
            `infomax.optim.rules`. A method may have rules of its own.
        accumulate: use less memory for more computation, with the same numbers. "views": hold the activations of one
            view at a time (7/6 of the computation for two views; no extra computation if the targets come from another
            branch, as in SDMI, BYOL, MoCo and DINO, which always do this). n > 1: hold those of an n-th of a view's
            rows at a time (4/3 of the computation), only for encoders without batch norm.
        on_nan: at a NaN or infinity in loss or gradient, `stop` (and say where, also in nan.json), or `skip` the
            update.
        precision: 32-true, bf16-mixed, 16-mixed (CUDA only), bf16-true or 64-true; auto: bf16-mixed if the hardware
            supports it (`infomax.training.devices.chosen`), else 32-true. The objective is computed in at least 32
            bits.
        compile: compile the branches with torch.compile.
        cuda_graphs: with `compile` on a GPU, use CUDA graphs, which take less of the host's time (new, and little
            tried).
        size: side of the views in pixels; None: that of the images, at most 96, or that of the views your function
            returns. For signals: time steps per view.
        local_views: number of small views in the recipes swav and dino; None: as published (none below 96 pixels, else
            6 and 8).
        seed: random seed of shuffling and views. The weights are drawn when the learner is built.
        out: folder of the run. It must be new or empty. None: nothing is written.
        root: folder of the named data sets.
        on_error: at an image that cannot be decoded, `skip` it and name it, or `stop`.
        device: cpu, cuda, cuda:1 or auto.
        devices: number of processes, one per GPU. n processes compute what one would. Under torchrun, its number is
            used.
        strategy: how the processes hold the learner: `ddp`: each holds all of it; `fsdp`: each holds a shard of its
            branches, for large encoders.
        checkpoint_every: interval of checkpoints: a number of updates, or a time such as "90s" or "10min". One is
            always written at the start and when the run is stopped.
        keep: number of checkpoints to keep, the most recent ones.
        wandb: Weights & Biases project to log to as well (with WANDB_MODE=offline: to disk only). Needs the wandb
            package.
        gauge_samples: number of samples, with views that stay the same for the run, on which the gauges of the log are
            computed after every epoch; those of the bar are of the batch under way.
        intervals: add confidence limits to the mutual information there; about 20 ms more per epoch, for 1000 samples.
        online_probe, online_knn: for labelled data: train a linear probe alongside the run, or look up nearest
            neighbours of the encoder's features, without affecting the run; both are tested after every epoch. They use
            test samples: do not choose anything by them (`infomax.training.watch.online`).
        on_epoch: function called with the run after every epoch (in the first process), to log, copy weights or plot.
            The epoch's row is then the last of `run.history`, and its weights are in the folder. If it returns True,
            the run ends there, with a checkpoint: early stopping. A run with a budget may end with part of an epoch,
            which counts as one.
        progress: show a progress bar, with speed and time left.

    Returns:
        The run, with its trained learner.

    Raises:
        ConfigError, DataError: something asked for does not exist or cannot work, or the disk is full.
        NumericsError: a NaN or infinity, with its location; the last complete epoch is saved.
        Stopped: on Ctrl-C or SIGTERM, if there is a folder. A checkpoint is written, and `Run.resume` continues the
            run. If the signal came with the last update, the run is complete, and the message says so.

    Example:
        >>> import infomax as im
        >>> learner = im.methods.jmi(im.encoders.get("toy"), projector=())
        >>> run = im.train(learner, "gaussians", epochs=1, progress=False)
        >>> sorted(run.history[0])[:3]
        ['bound', 'ceiling_dv', 'ceiling_infonce']
    """
    options = Options(
        epochs, batch_size, optimizer, lr, weight_decay, warmup_epochs, clip_norm, rules or {}, accumulate, on_nan, precision,
        compile, size, seed, gauge_samples, local_views, lr_batch, intervals, budget, online_probe, online_knn,
    )  # fmt: skip
    if on_epoch is not None and not callable(on_epoch):
        raise ConfigError(f"on_epoch={on_epoch!r}: give a function of the run, called after every epoch")
    machine = {"device": device, "devices": devices, "strategy": strategy, "checkpoint_every": checkpoint_every}
    machine |= {"keep": keep, "on_error": on_error, "wandb": wandb, "cuda_graphs": cuda_graphs}
    machine = _readable(machine)
    if out is not None and launched_rank() == 0:  # alone, for it takes the lock of a run that was killed to see
        try:
            unclaimed(out, anew=True, data=data)  # who typed --out was told by the command
        except (ConfigError, DataError) as error:
            raise type(error)(in_python(str(error), out)) from None
    path = None if out is None else Path(out)
    with outliving(path):
        job = prepare(learner, data, views, options, root, machine)
        if progress and rank() == 0 and not job.feed.whole and job.feed.batch_size < batch_size:
            say(
                f"infomax: batches of {job.feed.batch_size}, all there are: one update an epoch, a smaller batch_size than "
                f"{batch_size} makes more"
            )
        return _go(job, path, progress, on_epoch)


def resume(
    path: Path,
    *,
    learner: Learner | None,
    data: Any,
    views: Any,
    root: str | None,
    device: str | None,
    devices: int | None,
    strategy: Strategy | None,
    checkpoint_every: int | str | None,
    keep: int | None,
    wandb: str | None,
    on_epoch: OnEpoch | None,
    progress: bool,
) -> Run:
    """Continue a run; see `Run.resume`."""
    config = read_config(path)
    made, asked = rebuilt(path, config) if learner is None else learner, config["training"]
    if (ended := _ended(path, made, asked)) is not None:
        return ended
    if not checkpoint.written(path):
        raise checkpoint.none_of(path, anew=never_begun(path))
    if data is None and config["data"]["source"] is None:
        raise DataError(f"the data of {path} had no name: give them, {again(path, config)}")
    if views is None and config["views"]["own"]:
        raise DataError(
            f"the views of {path} were a function, {shortened(config['views']['own'])}: give it, {again(path, config)}"
        )
    machine = {"strategy": "ddp"} | config[checkpoint.MACHINE]
    here = {
        "device": device,
        "devices": devices,
        "strategy": strategy,
        "checkpoint_every": checkpoint_every,
        "keep": keep,
    }
    machine |= _readable({k: v for k, v in {**here, "wandb": wandb}.items() if v is not None})
    if wandb == "none":
        machine["wandb"] = None
    on_error, root = machine.get("on_error", "skip"), config["data"]["root"] if root is None else root
    if data is not None:
        source = dataset(data, root, on_error=on_error, how=begun_by(config["data"]))
    else:
        try:
            source = dataset(config["data"]["source"], root, on_error=on_error, how=begun_by(config["data"]))
        except DataError as error:
            where = "root" if config["data"]["source"] in NAMES else "data"
            raise DataError(
                f"{error}. The data of {path} were there when it was begun: put them back, or say where they lie now: "
                f"{command(f'train --resume {shlex.quote(str(path))} --{where} {where.upper()}')} "
                f"(Run.resume(path, {where}=...))"
            ) from error
        source.name = config["data"]["name"]
    source = _as_begun(source, config["data"])
    named = config["views"]["recipe"] if views is None else views
    with outliving(path):
        job = prepare(made, source, named, Options(**asked), root, machine)
        if config["views"]["own"]:  # how large its views are, the views told when it was begun
            job.run.config["views"]["size"] = config["views"].get("size", asked.get("size"))
        return _go(job, path, progress, on_epoch, continued=True)


def _readable(machine: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as a run's folder can hold and read them: a device by its name, numbers of numpy's as Python's."""
    return {k: str(v) if isinstance(v, torch.device) else own(v) for k, v in machine.items()}


def _ended(path: Path, learner: Learner, asked: Mapping[str, Any]) -> Run | None:
    """A run that has had all its epochs or its time, read back; None of any other, which needs but a whole checkpoint."""
    try:
        rows = read_log(path)
        whole = (
            len(rows) == asked["epochs"]
            if asked.get("budget") is None
            else rows and stands(asked, rows, path)["finished"]
        )
        return Run.load(path, learner) if whole else None
    except DataError as error:
        if not checkpoint.written(path):
            raise
        warn(f"{error}. The run goes on from its checkpoint, which writes it anew")
        return None


def _as_begun(data: Dataset, asked: Mapping[str, Any]) -> Dataset:
    """The data with the mean and standard deviation that a run was begun with, where another machine rounded otherwise.

    How a sum is rounded, threads and vector units decide; before sums were taken in an order of our own, ours too.
    """
    if not same_statistics(asked, vars(data), near=1e-6):
        return data  # other data: `restore` says so
    data = copy(data)
    data.mean, data.std = tuple(asked["mean"]), tuple(asked["std"])
    return data


def _go(
    job: Job, path: Path | None, progress: bool, on_epoch: OnEpoch | None = None, *, continued: bool = False
) -> Run:
    run, position = job.run, Position()
    earlier = None if continued else earlier_run(run.learner)
    # an update seeds torch's generators by its number: what the caller draws next is not to hang on that
    anew = path is not None and rank() == 0 and not continued and never_begun(path)  # the lock is this one's, soon
    drawn = torch.random.fork_rng(range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ())  # type: ignore[no-untyped-call]
    with drawn, noted_signals(path, said=True) as signals:  # from now on there is a folder, which can be continued
        try:
            with alone(path):
                if path is not None and rank() == 0 and not continued:
                    if anew:
                        cleared(path)
                    claim(path, "config.json")
                run.path = path
                if path is not None:
                    checkpoint.tidy(path)
                if continued and path is not None:
                    position, scaler = checkpoint.restore(path, job.learner, job.optimizer, run.config)
                    job.place.precision.load(scaler)
                run.history = position.history
                run.start(position.step if continued else None, earlier)
                run._under_way = True
                Loop(job, position, signals, progress, on_epoch).run()
        except BaseException:
            if not continued:
                run.abandon()
            raise
        finally:
            run._under_way = False
            with suppress(RuntimeError):  # of a device that has failed, which is what is to be said
                trained(run.learner, position.step)
            give_back()
    return run
