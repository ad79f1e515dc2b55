"""The loop: one for every method. A run is a function of its configuration; where it stands is a `Position`."""

import contextlib
import itertools
import shlex
import signal
import time
from collections.abc import Callable, Mapping
from copy import copy
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from infomax.clock import Clock
from infomax.compiled import Compiling
from infomax.data import NAMES, Dataset
from infomax.data.content import same_statistics
from infomax.data.folder import OnError
from infomax.errors import ConfigError, DataError, command, known_options, warn
from infomax.heap import give_back
from infomax.learner import Learner, Rules
from infomax.modes import modes_kept
from infomax.parallel import anywhere, even_slices, launched_rank, rank, synchronized
from infomax.pieces import Accumulate
from infomax.progress import lasts, meter
from infomax.schedule import warmup_cosine
from infomax.training import checkpoint, monitor
from infomax.training import wandb as weights_and_biases
from infomax.training.beside import Beside
from infomax.training.checkpoint import Position
from infomax.training.devices import PrecisionName
from infomax.training.feed import ViewFunction, dataset
from infomax.training.folder import alone, claim, cleared, never_begun, read_config, read_log, unclaimed
from infomax.training.interrupt import Stopped, interval, noted_signals, outliving
from infomax.training.length import FEW
from infomax.training.optim import OptimizerName
from infomax.training.options import Options
from infomax.training.prepare import Job, prepare, try_out
from infomax.training.rules import rate
from infomax.training.run import Run, begun, rebuilt
from infomax.training.sharding import Strategy, take_up
from infomax.training.stands import stands
from infomax.training.state import state_of
from infomax.training.tensorboard import scalars
from infomax.training.update import update
from infomax.words import many

LONG = 3600.0  # seconds of a run on a processor, from which on it is said before the first epoch has ended

BAR = "{l_bar}{bar}| {n_fmt}/{total_fmt} <{remaining}{postfix}; {rate_fmt}"
UNTIMED = "{{desc}}: update {{n_fmt}} of a run of {}{{postfix}}; {{rate_fmt}}"
"""Of a run by time, until it is known how many updates it has room for."""

OnEpoch = Callable[[Run], object]
"""Called after every epoch; what gives True ends the run there."""


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
    checkpoint_every: int | str = "10min",
    keep: int = 2,
    gauge_samples: int = 1000,
    intervals: bool = True,
    online_probe: bool = False,
    online_knn: bool = False,
    wandb: str | None = None,
    on_epoch: OnEpoch | None = None,
    progress: bool = True,
) -> Run:
    """Train a method on unlabeled data.

    Args:
        learner: the method.
        data: name of a data set, path of a folder or array file, shards (`shards/*.tar`, `hf:user/name`; see
            `infomax.data.load`), a `Dataset` or a tensor; or what gives samples by their numbers, such as torch's data sets
            or a list of pictures (`infomax.data.items.of_items`).
        views: name of a recipe, `auto`, or a function called as views(batch, index, seed=0, epoch=0), which gives two or more
            views of the batch; index holds the numbers of its samples (None for a graph).
        epochs: passes over the data, at least 1; of a two-encoder method an epoch is an E- and an M-pass.
        budget: train for this long instead, whatever `epochs` says: "300s", "5min", "2h" of the clock, or "300s cpu" of the
            processor, all threads (and processes) together. The schedules follow the time, so that they end where it does,
            a tenth of it being warm-up; reading the data is not on it, nor are kernels that a new machine compiles once. Of
            several processes the first one's clock counts. How many updates fit is the machine's: a run by time is not repeated
            to the bit.
        batch_size: samples a batch, of all processes together; a graph is always one batch.
        optimizer: sgd (momentum 0.9), lars, larc (never a larger step than sgd's), adam or adamw.
        lr: peak learning rate, at this batch size, or at one of `lr_batch`.
        lr_batch: the batch that lr is meant for: the peak is lr batch_size / lr_batch (linear scaling, Goyal et al. 2017);
            None: lr as it is.
        weight_decay: as the optimizer takes it.
        warmup_epochs: of the learning rate, which then falls by a cosine to 0, at every update; None: a tenth of the run,
            at most 10.
        clip_norm: the longest gradient, of all parameters together; None: any.
        rules: for some parameters another weight decay, or a factor of the learning rate, {"bias": {"weight_decay": 0}}; see
            `infomax.training.rules`. A method may bring its own.
        accumulate: less memory for more work, and the same numbers: "views" holds the activations of one view at a time
            (7/6 of the work for two views; none where targets are another branch's, as in SDMI, BYOL, MoCo and DINO, which
            do so anyway); n > 1 those of an n-th of a view's rows, for encoders without batch norm (4/3).
        on_nan: at a NaN or infinity in loss or gradient, `stop` (and say where, in nan.json too), or `skip` the update.
        precision: 32-true, bf16-mixed, 16-mixed (CUDA), bf16-true, 64-true; or auto: bf16-mixed where the hardware has it
            (`infomax.training.devices.chosen`), else 32-true. The objective is read in at least 32 bits.
        compile: compile the branches by torch.compile.
        cuda_graphs: with `compile` and on a GPU, into CUDA graphs, which need less of the host (new, and little tried).
        size: side of the views in pixels; None: that of the images, at most 96. Of signals: readings a view.
        local_views: small views of the recipes swav and dino; None: as published (none below 96 pixels, else 6 and 8).
        seed: of shuffles and views. Weights are drawn when the learner is built.
        out: folder of the run, made anew; None: nothing is written.
        root: where named data sets lie.
        on_error: at an image that cannot be decoded, `skip` it and name it, or `stop`.
        device: cpu, cuda, cuda:1, or auto.
        devices: processes, one a GPU; n of them compute what one does. Under torchrun its number counts.
        strategy: how they hold the learner: `ddp`, each all of it; `fsdp`, each a shard of the branches, for large encoders.
        checkpoint_every: a number of updates, or of minutes as in "10min"; always at the start and when stopped.
        keep: the last checkpoints to keep.
        wandb: project of Weights & Biases to log to as well, where its package is installed (WANDB_MODE=offline: to disk).
        gauge_samples: samples, with views fixed for the run, off which its gauges are read after every epoch, for the log;
            those of the bar are of the batch under way.
        intervals: read mutual information with its limits there: some 20 ms more an epoch, at 1000 samples.
        online_probe, online_knn: of labelled data, beside the run and off its gradient: a linear probe and nearest
            neighbours of the encoder's features, tried after every epoch on test samples: nothing is to be chosen by
            them (`infomax.training.online`).
        on_epoch: called with the run after every epoch (in the first process), when its row is the last of `run.history` and
            its weights are in the folder: to log, to keep a copy, to draw. Where it returns True the run ends there, with a
            checkpoint: early stopping. A part of an epoch, with which a run by time may end, counts as one.
        progress: show a bar, with rate and time left.

    Returns:
        The run, its learner trained.

    Raises:
        ConfigError, DataError: what was asked for does not exist or cannot work, or a disk is full.
        NumericsError: a NaN or infinity, with its place; the last whole epoch is saved.
        Stopped: on Ctrl-C or SIGTERM, where there is a folder; a checkpoint is written, and `Run.resume` continues. Where it
            came with the last update the run is whole, and says so.

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
    if out is not None and launched_rank() == 0:  # alone, for it takes the lock of a run that was killed to see
        unclaimed(out, anew=True)
    path = None if out is None else Path(out)
    with outliving(path):
        return _go(prepare(learner, data, views, options, root, machine), path, progress, on_epoch)


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
        raise DataError(f"the data of {path} had no name: give them, Run.resume(path, data=...)")
    if views is None and config["views"]["own"]:
        raise DataError(
            f"the views of {path} were a function, {config['views']['own']}: give it, Run.resume(path, views=...)"
        )
    machine = {"strategy": "ddp"} | config[checkpoint.MACHINE]
    here = {"device": device, "devices": devices, "strategy": strategy}
    machine |= {k: v for k, v in here.items() if v is not None}
    on_error, root = machine.get("on_error", "skip"), config["data"]["root"] if root is None else root
    if data is not None:
        source = dataset(data, root, on_error=on_error)
    else:
        try:
            source = dataset(config["data"]["source"], root, on_error=on_error)
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
        return _go(job, path, progress, on_epoch, continued=True)


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
                run.start(position.step if continued else None)
                _climb(job, position, signals, progress, on_epoch)
        except BaseException:
            if not continued:
                run.abandon()
            raise
        finally:
            give_back()
    return run


def _climb(job: Job, position: Position, signals: list[int], progress: bool, on_epoch: OnEpoch | None) -> None:
    run, feed, options = job.run, job.feed, job.options
    learner, target = job.learner, job.learner.target
    order, length = list(target.order(len(feed))), job.length
    if position.step > 0:
        length.take_up(position.step, position.spent, position.foreseen)
    total = length.total(position.step)
    peak = options.peak(feed.batch_size)
    frames, places = begun(
        run, feed.data, options.gauge_samples, position.step // len(order) if position.step else None
    )
    folder = run.path if run.writes else None
    project = run.config[checkpoint.MACHINE].get("wandb") if rank() == 0 else None
    log = scalars(folder)
    elsewhere = weights_and_biases.rows(project, folder, run.config, learner.name, resumes=position.step > 0)
    beside = Beside(job, position)
    run.watched, run.updates = beside.watch.state, position.step
    due, began = interval(run.config[checkpoint.MACHINE]["checkpoint_every"]), time.perf_counter() - position.seconds

    def save(ended: bool = False) -> None:
        position.seconds, position.spent = time.perf_counter() - began, length.limit if ended else length.spent
        position.foreseen = total if length.paced else 0
        if run.path is not None:
            keep = run.config[checkpoint.MACHINE]["keep"]
            checkpoint.save(
                run.path, learner, job.optimizer, position, run.config, job.place.precision.state(), keep=keep
            )

    lr = 0.0

    def at_rate(of: int, warmup: int) -> float:
        lr = warmup_cosine(position.step, of, warmup, peak)
        for group in job.optimizer.param_groups:
            group["lr"] = rate(group, lr, peak)
        return lr

    def in_time(*_: Any) -> None:  # the warm-up of a longer run was foreseen: it would be spent at its start, at rate 0
        nonlocal lr
        if length.last:
            lr = at_rate(position.step + 1, 0)

    if length.timed:
        job.optimizer.register_step_pre_hook(in_time)
    bar = meter(
        total=total if length.known else None, initial=position.step, desc=learner.name, unit="step",
        disable=not progress or rank() > 0,
        bar_format=BAR if length.known else UNTIMED.format(options.budget),
        postfix=None if position.step else "before its first update", leave=position.step > 0,
    )  # fmt: skip
    ahead = itertools.count(position.step) if length.timed else range(position.step, total)
    steps = ((step // len(order), *order[step % len(order)]) for step in ahead)
    plan = ((target.sweep(epoch, phase), batch) for epoch, batch, phase in steps)
    looking = contextlib.closing(beside)
    with (
        bar,
        synchronized(learner.f, learner.g),
        even_slices(),
        feed.ahead(plan),
        elsewhere as log_elsewhere,
        looking,
    ):
        if position.step == 0:
            if run.config["views"]["own"]:  # those of a recipe were tried before
                try_out(learner, feed, beside.views)
            frames.see(0, monitor.two_sides(learner, beside.views)[0][places])
            run.save_frames()  # before the checkpoint: what continues from it finds them
            save()
        elif position.step == total:  # it had ended, and what it wrote then was lost
            take_up(run.learner, learner)
            run.save(durable=True)
        while position.step < total:
            epoch, nth = divmod(position.step, len(order))
            batch, phase = order[nth]
            clock, enough = Clock(position.step, len(order), total, phase), False
            lr = at_rate(total, options.warmup_updates(total, len(order)))
            sweep, starts = target.sweep(epoch, phase), time.perf_counter() - Compiling.clock
            with beside.listening() as heard:
                output = update(job, position, clock, sweep, batch)
            if output is not None and (seen := beside.after(output, heard, sweep, batch, clock)):
                bar.set_postfix_str(
                    f"batch: mi {seen['mi_infonce']:.2f} rank {seen['rank']:.1f} std {seen['std']:.2f}; "
                    f"lr {lr:.2g} bound {float(output.bound.mean()):.3f}",  # what 80 columns may cut comes last
                    refresh=False,  # `update` draws it, where it is time to
                )
            position.step += 1
            run.updates = position.step
            if position.step == 1 and progress and rank() == 0:
                _warn_if_long(job, time.perf_counter() - Compiling.clock - starts, total)
            total = length.total(position.step)
            if length.known or position.step == total:
                lasts(bar, total)
                bar.bar_format = BAR
            bar.leave = True  # what is refused before is said in one line, without a bar above
            bar.update()
            if nth + 1 == len(order) or (position.step == total and position.losses):
                part = min(
                    max(round(position.step / len(order) - epoch, 3), 0.001), 0.999
                )  # of an epoch; none, nor a whole
                done = epoch + 1 if nth + 1 == len(order) else round(epoch + part, 3)
                row = {"epoch": done, "loss": _mean(position.losses), "bound": _mean(position.bounds), "lr": lr}
                row |= {"seconds": time.perf_counter() - began, "skipped": position.skipped}
                gauges, embedding = beside.gauges()
                row |= gauges
                if frames.due(done, None if length.timed else options.epochs) or position.step == total:
                    frames.see(done, embedding[places])
                position.history.append(row)
                # of rows before it one alone that was warned of is a collapse: a long run does not read all at each
                told = position.history if position.warned else position.history[-1:]
                run.watched["state"] = state_of(told, run.watched)
                position.losses, position.bounds, position.skipped = [], [], 0
                began = time.perf_counter()
                take_up(run.learner, learner)
                run.save(durable=position.step == total)
                log(row)
                log_elsewhere(row)
                position.warned = position.warned or monitor.warn_if_collapsed(learner.name, epoch + 1, row)
                if on_epoch is not None and rank() == 0:
                    paused = time.perf_counter()
                    enough = _heard(on_epoch, run)
                    began += time.perf_counter() - paused  # an epoch's seconds are those of the training
            stop, pause, enough = anywhere(bool(signals), due(position.step), enough, device=feed.device)
            ended = length.timed and position.step == total  # one that continues could not tell, if it were not saved
            if (stop and position.step < total) or pause or ended or enough:
                save(ended)
            if stop or enough:
                break
    if length.timed and position.step == total and total < FEW and rank() == 0:
        warn(
            f"budget {options.budget}: it had room for {many(total, 'update')} ({len(order)} make an epoch), too little to "
            f"learn from: give a longer one, smaller views (--size), or take a recipe for a CPU ({command('recipes')} lists "
            "cpu/...)",
            UserWarning,
        )
    if anywhere(bool(signals), device=feed.device)[0]:  # also one that came after the last update
        said = _said_of_stop(job, position.step, total)
        raise Stopped(said, signals[0] if signals else signal.SIGTERM, ended=position.step == total)


def _said_of_stop(job: Job, step: int, total: int) -> str:
    """Where a run was stopped, and how it goes on; all processes ask together."""
    path, length = job.run.path, job.length
    if step == total:
        return f"stopped after update {step}, the last: {path} is whole, and nothing is left to continue"
    of = f" of {total}"
    if length.timed:
        of = f", with {max(0.0, length.limit - length.spent):.0f} s of {job.options.budget} left"
    return f"stopped after update {step}{of}; to continue: {command(f'train --resume {shlex.quote(str(path))}')}"


def _warn_if_long(job: Job, seconds: float, updates: int) -> None:
    """Say how long a run without a GPU takes, after its first update, where that is long: its bar is not seen for minutes."""
    if job.feed.device.type == "cpu" and not job.length.timed and not job.options.compile and seconds * updates > LONG:
        warn(
            f"at the pace of its first update this run takes some {seconds * updates / 3600:.1f} processor hours, more "
            f"by the clock where others share the processor: --budget 1h is one of a given time; smaller views (--size) or "
            f"a recipe for a CPU ({command('recipes')} lists cpu/...) go further in it",
            UserWarning,
        )


def _heard(on_epoch: OnEpoch, run: Run) -> bool:
    """Whether the user's function ends the run; the learner that it may have put to evaluation trains on."""
    with modes_kept(run.learner):
        said = on_epoch(run)
    return isinstance(said, bool | np.bool_) and bool(said)  # not what else a function happens to give back


def _mean(values: list[Tensor]) -> float:
    return float(torch.stack(values).mean())
