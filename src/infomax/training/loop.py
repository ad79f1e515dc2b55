"""The loop: one for every method. A run is a function of its configuration; where it stands is a `Position`."""

import contextlib
import itertools
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from infomax.clock import Clock
from infomax.compiled import Compiling
from infomax.errors import command, warn
from infomax.modes import modes_kept
from infomax.optim.rules import rate
from infomax.parallel import anywhere, even_slices, rank, synchronized
from infomax.progress import lasts, meter
from infomax.schedule import warmup_cosine
from infomax.training import checkpoint
from infomax.training import wandb as weights_and_biases
from infomax.training.checkpoint import Position
from infomax.training.folder import again
from infomax.training.interrupt import Stopped, interval
from infomax.training.length import FEW
from infomax.training.prepare import Job, try_out
from infomax.training.run import Run, begun
from infomax.training.sharding import take_up
from infomax.training.tensorboard import scalars
from infomax.training.update import update
from infomax.training.watch import monitor
from infomax.training.watch.beside import Beside
from infomax.training.watch.state import state_of
from infomax.turns import in_turn
from infomax.words import many

LONG = 3600.0  # seconds of a run on a processor, from which on it is said before the first epoch has ended

BAR = "{l_bar}{bar}| {n_fmt}/{total_fmt} <{remaining}{postfix}; {rate_fmt}"
UNTIMED = "{{desc}}: update {{n_fmt}} of a run of {}{{postfix}}; {{rate_fmt}}"
"""Of a run by time, until it is known how many updates it has room for."""

OnEpoch = Callable[[Run], object]
"""Called after every epoch; what gives True ends the run there."""


class Loop:
    """The updates of one run, from where it stands to its end or to where it is stopped; a row of its log an epoch.

    Args:
        job: the run, and all that it needs.
        position: where it stands.
        signals: those that came, each of which asks for a stop.
        progress: show a bar.
        on_epoch: the user's function.
    """

    def __init__(
        self, job: Job, position: Position, signals: list[int], progress: bool, on_epoch: OnEpoch | None
    ) -> None:
        self.job, self.position, self.signals, self.progress, self.on_epoch = job, position, signals, progress, on_epoch
        run, self.length, self.target = job.run, job.length, job.learner.target
        self.order = list(self.target.order(len(job.feed)))
        in_turn(job.learner)
        if position.step > 0:
            self.length.take_up(position.step, position.spent, position.foreseen)
        self.total = self.length.total(position.step)
        self.lr, self.peak = 0.0, job.options.peak(job.feed.batch_size)
        ended = position.step // len(self.order) if position.step else None
        self.frames, self.places = begun(run, job.feed.data, job.options.gauge_samples, ended)
        self.log = scalars(run.path if run.writes else None)
        self.beside = Beside(job, position)
        run.watched, run.updates = self.beside.watch.state, position.step
        self.due = interval(run.config[checkpoint.MACHINE]["checkpoint_every"])
        self.began = time.perf_counter() - position.seconds  # the epoch under way
        if self.length.timed:
            job.optimizer.register_step_pre_hook(self._in_time)

    def run(self) -> None:
        """Make the updates that are left.

        Raises:
            Stopped: where a signal asked for it.
            NumericsError: a NaN or infinity.
        """
        learner, position = self.job.learner, self.position
        with (
            self._bar() as self.bar,
            synchronized(learner.f, learner.g),
            even_slices(),
            self.job.feed.ahead(self._plan()),
            contextlib.closing(self.beside),
        ):
            self._begin()  # first: what is killed while it waits for a network can be continued
            with self._elsewhere() as self.log_elsewhere:
                while position.step < self.total:
                    clock, batch = self._next()
                    self._update(clock, batch)
                    if self._stops(enough=self._epoch_ends() and self._end_epoch(clock.epoch)):
                        break
        self._say_how_it_ended()

    def _bar(self) -> Any:
        return meter(
            total=self.total if self.length.known else None, initial=self.position.step,
            desc=self.job.learner.name, unit="step", disable=not self.progress or rank() > 0,
            bar_format=BAR if self.length.known else UNTIMED.format(self.job.options.budget),
            postfix=None if self.position.step else "before its first update", leave=self.position.step > 0,
        )  # fmt: skip

    def _plan(self) -> Iterator[tuple[int, int]]:
        """The batches to come, as (sweep, batch); from where the run stands now, whenever they are asked for."""
        begins, n = self.position.step, len(self.order)
        ahead = itertools.count(begins) if self.length.timed else range(begins, self.total)
        steps = ((step // n, *self.order[step % n]) for step in ahead)
        return ((self.target.sweep(epoch, phase), batch) for epoch, batch, phase in steps)

    def _elsewhere(self) -> contextlib.AbstractContextManager[Callable[[dict[str, float]], None]]:
        run = self.job.run
        project = run.config[checkpoint.MACHINE].get("wandb") if rank() == 0 else None
        folder = run.path if run.writes else None
        return weights_and_biases.rows(
            project, folder, run.config, self.job.learner.name, resumes=self.position.step > 0
        )

    def _begin(self) -> None:
        """What is written before the first update, or was lost after the last."""
        job, run, position = self.job, self.job.run, self.position
        if position.step == 0:
            if run.config["views"]["own"]:  # those of a recipe were tried before
                try_out(job.learner, job.feed, self.beside.views)
            self.frames.see(0, monitor.two_sides(job.learner, self.beside.views)[0][self.places])
            run.save_frames()  # before the checkpoint: what continues from it finds them
            self._save()
        elif position.step == self.total:  # it had ended, and what it wrote then was lost
            take_up(run.learner, job.learner)
            run.save(durable=True)

    def _next(self) -> tuple[Clock, int]:
        """Where the next update stands, and its batch."""
        batch, phase = self.order[self.position.step % len(self.order)]
        return Clock(self.position.step, len(self.order), self.total, phase), batch

    def _update(self, clock: Clock, batch: int) -> None:
        """One update, whatever is read off it, and how many are left."""
        position = self.position
        self._set_lr(self.total, self.job.options.warmup_updates(self.total, len(self.order)))
        sweep, starts = self.target.sweep(clock.epoch, clock.phase), time.perf_counter() - Compiling.clock
        with self.beside.listening() as heard:
            output = update(self.job, position, clock, sweep, batch)
        if output is not None and (seen := self.beside.after(output, heard, sweep, batch, clock)):
            self.bar.set_postfix_str(
                f"batch: mi {seen['mi_infonce']:.2f} rank {seen['rank']:.1f} std {seen['std']:.2f}; "
                f"lr {self.lr:.2g} bound {float(output.bound.mean()):.3f}",  # what 80 columns may cut comes last
                refresh=False,  # `update` draws it, where it is time to
            )
        position.step += 1
        self.job.run.updates = position.step
        if position.step == 1 and self.progress and rank() == 0:
            _warn_if_long(self.job, time.perf_counter() - Compiling.clock - starts, self.total)
        self.total = self.length.total(position.step)
        if self.length.known or position.step == self.total:
            lasts(self.bar, self.total)
            self.bar.bar_format = BAR
        self.bar.leave = True  # what is refused before is said in one line, without a bar above
        self.bar.update()

    def _set_lr(self, of: int, warmup: int) -> None:
        self.lr = warmup_cosine(self.position.step, of, warmup, self.peak)
        for group in self.job.optimizer.param_groups:
            group["lr"] = rate(group, self.lr, self.peak)

    def _in_time(self, *_: Any) -> None:
        """Before the optimizer's step: an update that turns out to be the last has no warm-up.

        That of a longer run was foreseen, and the update would be spent at its start, at rate 0.
        """
        if self.length.last:
            self._set_lr(self.position.step + 1, 0)

    def _epoch_ends(self) -> bool:
        """Whether a row is due; a run by time may end within an epoch, which then has one too."""
        step = self.position.step
        return step % len(self.order) == 0 or (step == self.total and bool(self.position.losses))

    def _end_epoch(self, epoch: int) -> bool:
        """Write an epoch's row, and keep the weights.

        Args:
            epoch: how many had ended before.

        Returns:
            Whether the user's function ends the run here.
        """
        run, position, ended = self.job.run, self.position, self.position.step == self.total
        row, embedding = self._row(epoch)
        if self.frames.due(row["epoch"], None if self.length.timed else self.job.options.epochs) or ended:
            self.frames.see(row["epoch"], embedding[self.places])
        position.history.append(row)
        # of rows before it one alone that was warned of is a collapse: a long run does not read all at each
        told = position.history if position.warned else position.history[-1:]
        run.watched["state"] = state_of(told, run.watched)
        position.losses, position.bounds, position.skipped = [], [], 0
        self.began = time.perf_counter()
        take_up(run.learner, self.job.learner)
        run.save(durable=ended)
        self.log(row)
        self.log_elsewhere(row)
        position.warned = position.warned or monitor.warn_if_collapsed(self.job.learner.name, epoch + 1, row)
        if self.on_epoch is None or rank() > 0:
            return False
        paused = time.perf_counter()
        enough = _heard(self.on_epoch, run)
        self.began += time.perf_counter() - paused  # an epoch's seconds are those of the training
        return enough

    def _row(self, epoch: int) -> tuple[dict[str, float], Tensor]:
        """The row of the log, and the embedding off which its gauges were read."""
        position, n = self.position, len(self.order)
        done: float = epoch + 1
        if position.step % n:  # a part of an epoch: neither none nor a whole, however it rounds
            done = round(epoch + min(max(round(position.step / n - epoch, 3), 0.001), 0.999), 3)
        row = {"epoch": done, "loss": _mean(position.losses), "bound": _mean(position.bounds), "lr": self.lr}
        row |= {"seconds": time.perf_counter() - self.began, "skipped": position.skipped}
        gauges, embedding = self.beside.gauges()
        return row | gauges, embedding

    def _stops(self, enough: bool) -> bool:
        """Whether the run is left here, as all processes agree; with a checkpoint, which may also be due by itself."""
        position = self.position
        stop, pause, enough = anywhere(bool(self.signals), self.due(position.step), enough, device=self.job.feed.device)
        ended = self.length.timed and position.step == self.total  # what continues could not tell, if it were not saved
        if (stop and position.step < self.total) or pause or ended or enough:
            self._save(ended)
        return stop or enough

    def _save(self, ended: bool = False) -> None:
        job, run, position = self.job, self.job.run, self.position
        position.seconds = time.perf_counter() - self.began
        position.spent = self.length.limit if ended else self.length.spent
        position.foreseen = self.total if self.length.paced else 0
        if run.path is not None:
            keep = run.config[checkpoint.MACHINE]["keep"]
            checkpoint.save(
                run.path, job.learner, job.optimizer, position, run.config, job.place.precision.state(), keep=keep
            )

    def _say_how_it_ended(self) -> None:
        step, budget = self.position.step, self.job.options.budget
        if self.length.timed and step == self.total and self.total < FEW and rank() == 0:
            warn(
                f"budget {budget}: it had room for {many(self.total, 'update')} ({len(self.order)} make an epoch), too little "
                f"to learn from: give a longer one, smaller views (--size), smaller pictures, or take a recipe for a CPU "
                f"({command('recipes')} lists cpu/...)",
                UserWarning,
            )
        if anywhere(bool(self.signals), device=self.job.feed.device)[0]:  # also one that came after the last update
            said = _said_of_stop(self.job, step, self.total)
            raise Stopped(said, self.signals[0] if self.signals else signal.SIGTERM, ended=step == self.total)


def _said_of_stop(job: Job, step: int, total: int) -> str:
    """Where a run was stopped, and how it goes on; all processes ask together."""
    path, length = job.run.path, job.length
    assert path is not None  # else no signal is noted
    if step == total:
        return f"stopped after update {step}, the last: {path} is whole, and nothing is left to continue"
    of = f" of {total}"
    if length.timed:
        of = f", with {max(0.0, length.limit - length.spent):.0f} s of {job.options.budget} left"
    return f"stopped after update {step}{of}; to continue: {again(path, job.run.config)}"


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
    truth = isinstance(said, bool | np.bool_) or (
        isinstance(said, Tensor) and said.dtype == torch.bool and said.numel() == 1
    )
    return truth and bool(said)  # not what else a function happens to give back


def _mean(values: list[Tensor]) -> float:
    return float(torch.stack(values).mean())
