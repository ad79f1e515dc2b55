"""What is done beside an update and moves no weight: the watch over a collapse, the online probe, the gauges of an epoch."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from infomax.clock import Clock
from infomax.errors import ConfigError, NumericsError
from infomax.learner import Output
from infomax.parallel import rank
from infomax.training.checkpoint import MACHINE, Position
from infomax.training.own_views import looked_at
from infomax.training.prepare import Job
from infomax.training.watch import monitor
from infomax.training.watch.collapse import Watch, reads_lengths, unguarded
from infomax.training.watch.online import Online


class Beside:
    """The onlookers of one run; what they have seen is part of its position, so that it outlives a stop.

    Args:
        job: the run.
        position: where it stands.

    Raises:
        DataError: an online accuracy of data without labels. ConfigError: or of an encoder in shards.
    """

    def __init__(self, job: Job, position: Position) -> None:
        self.job, self.position, self.options = job, position, job.options
        learner = job.learner
        self.watch = Watch(
            learner.name, unguarded=unguarded(learner), lengths=reads_lengths(learner), seen=position.watched
        )
        if position.warned and self.watch.state["said"] is None:
            self.watch.state["said"] = {}  # off the gauges of an epoch, or by an earlier version: where is not known
        with torch.random.fork_rng(devices=[]):  # a view function of the user's may draw: what it draws moves nothing
            torch.manual_seed(self.options.seed)
            self.views: list[Any] = job.feed.fixed(self.options.gauge_samples)
        looked_at(job, self.views, begins=position.step == 0)
        self.online: Online | None = None
        if self.options.online_probe or self.options.online_knn:
            if job.run.config[MACHINE].get("strategy") == "fsdp":
                raise ConfigError(
                    "online probe and neighbours encode by the encoder alone, which strategy='fsdp' holds in shards: leave "
                    "them out, or take strategy='ddp'"
                )
            self.online = Online(
                learner,
                job.feed,
                probe=self.options.online_probe,
                knn=self.options.online_knn,
                gauged=self.options.gauge_samples,
                size=job.run.config["views"]["size"],
            )
            self.online.load(position.beside)

    @contextmanager
    def listening(self) -> Iterator[list[Tensor]]:
        """What the encoder puts out meanwhile, where somebody asked."""
        if self.online is None:
            yield []
            return
        with self.online.listening() as heard:
            yield heard

    def after(self, output: Output, heard: list[Tensor], sweep: int, batch: int, clock: Clock) -> dict[str, float]:
        """Look at an update that was made.

        Returns:
            The gauges of its batch, where it was one of those that are watched; else nothing.
        """
        if self.online is not None:
            self.online.learn(heard, self.job.feed.index(sweep, batch))
            self.position.beside = self.online.state()
        if rank() > 0 or not self.watch.due(clock):
            return {}
        seen = self.watch.see(output.z, output.k, clock)
        self.position.watched = self.watch.state
        if seen and not self.position.warned:
            self.position.warned = self.watch.warn(seen, clock)
        return seen

    def gauges(self) -> tuple[dict[str, float], Tensor]:
        """Read the run at the end of an epoch: its gauges, and the embedding of the samples that they are read off, N x D."""
        with self.listening() as heard:
            a, b = monitor.two_sides(self.job.learner, self.views)
        if not (torch.isfinite(a).all() and torch.isfinite(b).all()):  # the update before it was the first to go so far
            raise NumericsError(
                f"after step {self.position.step - 1}: the embedding of {len(a):,} samples, off which the gauges are read, is "
                f"not finite: the weights of {self.job.learner.name!r} have diverged. Lower the learning rate"
            )
        row = monitor.gauges(a, b, intervals=self.options.intervals)
        return (row if self.online is None else row | self.online.read(heard)), a

    def close(self) -> None:
        """Leave the encoder as it was."""
        if self.online is not None:
            self.online.close()
