"""Train one job and read it at every epoch."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from infomax.clock import Clock
from infomax.evaluate.gauges import angle_gaps, effective_rank
from infomax.learner import Learner, step
from infomax.marginal import Predictor
from infomax.mi import readings
from infomax.studies.toy.ensemble import BatchNorm
from infomax.studies.toy.jobs import Job, build
from infomax.studies.toy.world import World, draw, pass_over
from infomax.target import StopGradient

Arrays = dict[str, npt.NDArray[Any]]


def train(job: Job, tell: Callable[[], None] = lambda: None) -> Arrays:
    """Train all seeds of a job at once.

    Args:
        job: what to train.
        tell: called after every epoch.

    Returns:
        By name, S seeds and epochs 0..E (0: untrained):
        `centres_f`, `centres_g` (S E+1 5 3, unit; g where there is a second encoder), `gaps_f`, `gaps_g` (4 S: mean, min,
        max, sd in degrees, at the end), `rank_f`, `rank_g`, `std_f`, `std_g` (S, of the validation set at the end), and
        `mi_TAU_ESTIMATOR` (S E+1, nats; estimators dv, infonce, jsd).

    Raises:
        NumericsError: where a loss is not finite.

    Example:
        >>> result = train(Job("jmi", (0, 1), n=50, epochs=2, batch=50))
        >>> result["centres_f"].shape, result["mi_1_dv"].shape
        ((2, 3, 5, 3), (2, 3))
    """
    world, learner = draw(job.seeds, job.n), build(job)
    optimizer = torch.optim.SGD(learner.parameters(), lr=job.lr)
    batches = max(job.n // job.batch, 1)
    per_epoch = len(list(learner.target.order(batches)))
    book = _Book(job, learner, world)
    book.read()
    k = 0
    for epoch in range(job.epochs):
        for group in optimizer.param_groups:
            group["lr"] = job.lr * 0.5 * (1 + math.cos(math.pi * epoch / job.epochs))
        cuts: dict[int, list[list[Tensor]]] = {}
        for batch, phase in learner.target.order(batches):
            if phase not in cuts:
                cuts[phase] = pass_over(world.views, job.seeds, job.batch, 2 * epoch + phase)
            step(learner, cuts[phase][batch], optimizer, Clock(k, per_epoch, job.epochs * per_epoch, phase))
            k += 1
        book.read()
        tell()
    return book.close()


class _Book:
    """What is written down at every epoch."""

    def __init__(self, job: Job, learner: Learner, world: World) -> None:
        self.job, self.learner, self.world = job, learner, world
        self.f, self.g = learner.f, learner.g
        self.centres: dict[str, list[Tensor]] = {"f": [], "g": []}
        self.mi: dict[str, list[Tensor]] = {}
        self.before: Tensor | None = None

    @torch.no_grad()
    def read(self) -> None:
        """The centres of both encoders, and MI between the two right branches (paper, 4.2) on the validation set."""
        self.learner.eval()
        for branch in (self.f, self.g):
            if branch is not None:
                _settle(branch, self.world.views)
        for side, branch in (("f", self.f), ("g", self.g)):
            if branch is not None:
                self.centres[side].append(nn.functional.normalize(branch(self.world.centres), dim=-1))
        if self.job.taus:
            self._read_mi()
        self.learner.train()

    def _read_mi(self) -> None:
        x1, x2 = self.world.validation
        a, b = self.f(x1), (self.f if self.g is None else self.g)(x2)
        if self.job.method == "sdmi_nodv_pred":  # without its predictor, f is not what was aligned with g
            predictor = self.learner.marginals[0]
            assert isinstance(predictor, Predictor)
            _settle(predictor.net, [self.f(view) for view in self.world.views])
            a = predictor.net(a)
        if isinstance(self.learner.target, StopGradient):  # the M-branch is the encoder of one epoch before
            a, b, self.before = a, self.before, b
        for tau in self.job.taus:
            found = (
                readings(a, b, tau=tau)
                if b is not None
                else {name: torch.full((len(self.job.seeds),), math.nan).double() for name in ("dv", "infonce", "jsd")}
            )
            for name, value in found.items():
                self.mi.setdefault(f"mi_{tau:g}_{name}", []).append(value)

    @torch.no_grad()
    def close(self) -> Arrays:
        """Everything as arrays, with the gauges of the end."""
        self.learner.eval()
        out: dict[str, Tensor] = {name: torch.stack(values, -1) for name, values in self.mi.items()}
        for side, branch in (("f", self.f), ("g", self.g)):
            if branch is not None:
                out[f"centres_{side}"] = torch.stack(self.centres[side], 1)
                out[f"gaps_{side}"] = torch.stack(tuple(angle_gaps(self.centres[side][-1])))
                z = nn.functional.normalize(branch(self.world.validation[0]), dim=-1)
                out[f"rank_{side}"] = effective_rank(z)
                out[f"std_{side}"] = z.var(-2, correction=0).sum(-1).sqrt()
        return {name: np.asarray(value) for name, value in out.items()}


def _settle(branch: nn.Module, views: list[Tensor]) -> None:
    """Give every batch norm the statistics of the training views under the weights of now.

    The running averages lag some twenty epochs behind where an epoch is one batch, and an untrained network has none: the
    reading would be of a network that never was. Training itself never uses them.
    """
    norms = [m for m in branch.modules() if isinstance(m, BatchNorm)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the two views
        norm.train()
    for view in views:
        branch(view)
    for norm in norms:
        norm.eval()
