"""Targets: what g is, and its M-step. The only place where a gradient is stopped.

A target encodes the views with the student f and the second branch g, and returns both sides by view index: `z`, the
students, which are trained, and `k`, the targets that they are compared with. The bound is the mean over the pairs
(z_i, k_j), i != j.

| target | g | M-step | paper |
|---|---|---|---|
| `Shared` | f itself, with gradient | none: one joint update (JMI) | Algorithm 2 |
| `StopGradient` | f, without gradient | g becomes f after every update | eq. 8 |
| `EMA` | a moving average of f | xi <- tau xi + (1 - tau) theta | eq. 9 |
| `Twin` | a second encoder | g maximises the same bound in turn | eqs. 4-5, Algorithm 1 |
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from infomax.clock import Clock
from infomax.errors import ConfigError, warn
from infomax.heads import copied, drawn, reset
from infomax.marginal.base import Views
from infomax.parallel import mine
from infomax.pieces import InPieces
from infomax.schedule import ema_tau


def encode(branch: nn.Module, views: Sequence[Any], which: Sequence[int]) -> Views:
    """The embeddings of some of the views, each encoded by itself (so that batch norm sees one view at a time)."""
    if isinstance(branch, InPieces):
        return dict(zip(which, branch.all([views[i] for i in which]), strict=True))
    return {i: branch(views[i]) for i in which}


def held(branch: nn.Module, views: Sequence[Any], which: Sequence[int]) -> Views:
    """The embeddings of a branch that is not being trained: without a graph, and without one for the input either."""
    with torch.no_grad():
        return {i: z.detach() for i, z in encode(branch, views, which).items()}


class Target:
    """Where the second side of a pair comes from; subclass it and override what differs.

    Args:
        views: number of views that give targets (the first ones: the global crops of a multi-crop); None: all.
        one_way: compare view 0 with the target of view 1 only, and not the other way round (MoCo v1, v2); for two
            views.
    """

    m_step_is: str | None = None  # how g moves; None: it does not, f climbs jointly
    is_g = "f itself"

    def __init__(self, *, views: int | None = 2, one_way: bool = False) -> None:
        self.views, self.one_way = views, one_way

    def sides(self, n: int) -> tuple[list[int], list[int]]:
        """Which of n views are students, and which give targets."""
        if self.one_way:
            if n > 2:
                raise ConfigError(
                    f"a one-way {type(self).__name__} compares view 0 with view 1, and there are {n} views: "
                    "take a recipe of two, or one_way=False (both_ways=True of MoCo)"
                )
            return [0], [1]
        return list(range(n)), list(range(n if self.views is None else min(n, self.views)))

    def second(self, f: nn.Module) -> nn.Module | None:
        """Build g from f, once, when the learner is built."""
        return None

    def look(self, f: nn.Module, g: nn.Module | None, views: Sequence[Any], clock: Clock) -> tuple[Views, Views]:
        """Students z and targets k, by view index."""
        raise NotImplementedError(f"{type(self).__name__} defines no look(f, g, views, clock)")

    def m_step(self, f: nn.Module, g: nn.Module | None, clock: Clock) -> None:
        """Update g, after the optimizer's step on f."""

    def order(self, batches: int) -> Iterator[tuple[int, int]]:
        """The updates of one epoch as (batch, phase)."""
        return ((batch, 0) for batch in range(batches))

    def sweep(self, epoch: int, phase: int) -> int:
        """The pass over the data that an update belongs to; each pass has its own shuffling and its own views."""
        return epoch

    def __repr__(self) -> str:
        said = ", ".join(f"{name}={value!r}" for name, value in vars(self).items() if not isinstance(value, nn.Module))
        return f"{type(self).__name__}({said})"


class Shared(Target):
    """g = f, with gradients through both sides: joint optimisation (JMI).

    Example:
        >>> z, k = Shared().look(nn.Identity(), None, [torch.zeros(2, 3), torch.ones(2, 3)], Clock())
        >>> k is z, list(z)
        (True, [0, 1])
    """

    def __init__(self) -> None:
        super().__init__(views=None)

    def look(self, f: nn.Module, g: nn.Module | None, views: Sequence[Any], clock: Clock) -> tuple[Views, Views]:
        """Every view, on both sides."""
        z = encode(f, views, self.sides(len(views))[0])
        return z, z


class StopGradient(Target):
    """g = SG(f), paper eq. 8: the target is the student of this very update, detached from the gradient.

    Example:
        >>> z, k = StopGradient().look(nn.Linear(3, 3), None, [torch.zeros(2, 3)] * 3, Clock())
        >>> list(z), list(k), k[0].requires_grad
        ([0, 1, 2], [0, 1], False)
    """

    m_step_is = "copy"
    is_g = "f, without gradient"

    def look(self, f: nn.Module, g: nn.Module | None, views: Sequence[Any], clock: Clock) -> tuple[Views, Views]:
        """Every view as student; the first `views` of them, detached, as targets."""
        student, target = self.sides(len(views))
        z = encode(f, views, sorted({*student, *target}))
        return {i: z[i] for i in student}, {j: z[j].detach() for j in target}


class Apart(Target):
    """The targets come from another branch than the students, and without gradient.

    They are then known before any student is encoded, so that the views can have separate graphs: the gradients of one
    view are computed before the next is encoded (see `infomax.pieces`).
    """

    def branches(self, f: nn.Module, g: nn.Module | None, clock: Clock) -> tuple[nn.Module, nn.Module]:
        """The branch that encodes the students, and the one that encodes the targets."""
        raise NotImplementedError(f"{type(self).__name__} defines no branches(f, g, clock)")

    def look(self, f: nn.Module, g: nn.Module | None, views: Sequence[Any], clock: Clock) -> tuple[Views, Views]:
        """Targets from the branch that is not being trained, then students from the one that is."""
        climbs, rests = self.branches(f, g, clock)
        student, target = self.sides(len(views))
        k = held(rests, views, target)
        return encode(climbs, views, student), k


class EMA(Apart):
    """g is a moving average of f, paper eq. 9: xi <- tau xi + (1 - tau) theta, after the optimizer's step.

    Only parameters are averaged: each branch has its own batch-norm buffers, as in the official codes of BYOL, MoCo,
    DINO and BGRL.

    Args:
        momentum: tau; with `anneal`, tau at the start.
        anneal: raise tau to `final` over the run, with `ema_tau`.
        final: tau at the end of a run with `anneal`.
        start: `copy` of f, or `fresh` random weights (BGRL).
        views, one_way: as in `Target`.

    Raises:
        ConfigError: a momentum outside [0, 1], another `start`, or an encoder whose lazy layers have no weights yet.

    Warns:
        UserWarning: the momentum has annealed to 1 because the clock is at or past its `total` (which is 1 if it was
            not given).

    Example:
        >>> target, f = EMA(momentum=0.9, anneal=False), nn.Linear(1, 1, bias=False)
        >>> g = target.second(f)
        >>> with torch.no_grad(): _ = f.weight.fill_(1.0), g.weight.fill_(0.0)
        >>> target.m_step(f, g, Clock())
        >>> round(g.weight.item(), 6)
        0.1
    """

    m_step_is = "moving average"
    is_g = "a slow copy of f"

    def __init__(
        self,
        momentum: float = 0.996,
        *,
        anneal: bool = True,
        final: float = 1.0,
        start: Literal["copy", "fresh"] = "copy",
        views: int | None = 2,
        one_way: bool = False,
    ) -> None:
        super().__init__(views=views, one_way=one_way)
        for tau in (momentum, final):
            if not 0 <= tau <= 1:
                raise ConfigError(f"the momentum of a moving average lies in [0, 1], not {tau}")
        if start not in ("copy", "fresh"):
            raise ConfigError(f"an EMA target starts as a 'copy' or 'fresh', not {start!r}")
        self.momentum, self.anneal, self.final, self.start = momentum, anneal, final, start

    def second(self, f: nn.Module) -> nn.Module:
        """A copy that no optimizer sees."""
        g = copied(drawn(f))
        return (reset(g) if self.start == "fresh" else g).requires_grad_(False)

    def branches(self, f: nn.Module, g: nn.Module | None, clock: Clock) -> tuple[nn.Module, nn.Module]:
        """Students by f, targets by g."""
        if g is None:
            raise ConfigError("an EMA target looks with the copy that second(f) made")
        return f, g

    def tau(self, clock: Clock) -> float:
        """The momentum of this update."""
        return ema_tau(clock.step, clock.total, self.momentum, self.final) if self.anneal else self.momentum

    @torch.no_grad()
    def m_step(self, f: nn.Module, g: nn.Module | None, clock: Clock) -> None:
        """xi <- tau xi + (1 - tau) theta."""
        if g is not None and next(g.parameters(), None) is not None:
            if self.anneal and self.momentum < self.final == 1 and clock.step >= clock.total:
                warn(
                    f"Clock(step, total={clock.total}): the run has ended by its clock, the momentum of the moving average has "
                    "come to 1 and its target no longer moves; give total=, the updates of the whole run, or EMA(anneal=False)"
                )
            share = 1 - self.tau(clock)
            pairs = [(mine(p), mine(q)) for p, q in zip(g.parameters(), f.parameters(), strict=True)]  # cut alike
            wide = [pair for pair in pairs if pair[0].dtype != torch.bfloat16]
            if wide:
                torch._foreach_lerp_([slow for slow, _ in wide], [fast for _, fast in wide], share)
            for slow, fast in pairs:
                if slow.dtype == torch.bfloat16:
                    slow.copy_(rounded_by_chance(slow.float().lerp(fast.float(), share), clock.step))


def rounded_by_chance(x: Tensor, seed: int) -> Tensor:
    """Numbers of 32 bits in bfloat16, up or down by chance, so that they are right on average.

    A slow copy moves by a thousandth of a distance, where 16 bits tell apart what differs by a hundredth: to the nearest
    number it would never move. The chance is the same in every process.

    Example:
        >>> round(rounded_by_chance(torch.full((100_000,), 1.001), seed=0).float().mean().item(), 4)
        1.001
    """
    chance = torch.Generator(x.device).manual_seed(seed)
    low = torch.randint(1 << 16, x.shape, generator=chance, device=x.device, dtype=torch.int32)
    return ((x.view(torch.int32) + low) & -(1 << 16)).view(torch.float32).to(torch.bfloat16)


class Twin(Apart):
    """g is a second encoder that maximises the same bound in turn, paper eqs. 4-5 and Algorithm 1.

    Args:
        every: what alternates: a whole E-pass over the data, then a whole M-pass (`epoch`, Algorithm 1), or an E-update
            and an M-update on each batch (`batch`).
        other: the second encoder. It is trained like the first, so it must not be frozen. None: the first one's
            architecture with fresh random weights.

    Raises:
        ConfigError: another `every`, or an encoder whose lazy layers have no weights yet.

    Example:
        >>> list(Twin(every="epoch").order(2))
        [(0, 0), (1, 0), (0, 1), (1, 1)]
    """

    m_step_is = "gradient"
    is_g = "a second encoder"

    def __init__(self, every: Literal["epoch", "batch"] = "epoch", *, other: nn.Module | None = None) -> None:
        super().__init__(views=None)
        if every not in ("epoch", "batch"):
            raise ConfigError(f"the encoders alternate every 'epoch' or every 'batch', not {every!r}")
        self.every, self.other = every, other

    def second(self, f: nn.Module) -> nn.Module:
        """A second encoder, independently initialised."""
        return reset(copied(f)) if self.other is None else self.other

    def branches(self, f: nn.Module, g: nn.Module | None, clock: Clock) -> tuple[nn.Module, nn.Module]:
        """E-step: f is trained and g is held fixed; M-step: the other way round."""
        if g is None:
            raise ConfigError("a Twin looks with the second encoder that second(f) made")
        return (f, g) if clock.phase == 0 else (g, f)

    def order(self, batches: int) -> Iterator[tuple[int, int]]:
        """(batch, phase): 0 is the E-step, 1 the M-step."""
        if self.every == "epoch":
            return ((batch, phase) for phase in (0, 1) for batch in range(batches))
        return ((batch, phase) for batch in range(batches) for phase in (0, 1))

    def sweep(self, epoch: int, phase: int) -> int:
        """The M-pass of Algorithm 1 draws its own batches; with `every="batch"`, both steps see the same batch."""
        return 2 * epoch + phase if self.every == "epoch" else epoch
