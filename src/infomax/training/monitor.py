"""What is read off a run while it trains: is it climbing, or collapsing?"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from infomax.clock import Clock
from infomax.learner import CollapseWarning, Learner
from infomax.marginal.base import Views
from infomax.training.devices import uncompiled

TAU = 0.1
"""Temperature of the critic cos/tau at which curves of the mutual information are read (nats)."""

READINGS = ("dv", "infonce", "jsd")
BLOCK = 256  # images encoded at once

COLLAPSED_STD = (
    0.1  # healthy runs may start far below 1: a cosine critic at temperature 0.1 goes down to 0.15 on the digits
)
COLLAPSED_RANK = 1.5
EARLY = 0.2  # the share of a run in which ...
LOST_RANK = (
    0.2  # ... no healthy one falls to this share of the rank that it began with; later, classes may be all there is
)
ROWS = 128  # of a batch, which a reading of a few milliseconds looks at


def collapsed(gauges: Mapping[str, float]) -> bool:
    """Whether the embedding has lost its spread, or all but one of its dimensions."""
    return gauges["std"] < COLLAPSED_STD or gauges["effective_rank"] < COLLAPSED_RANK


@torch.no_grad()
def two_sides(learner: Learner, views: Sequence[Any]) -> tuple[Tensor, Tensor]:
    """The embeddings between which the mutual information is read: f and g where there are two branches, else f and f.

    In evaluation mode, so that a row does not depend on the batch around it.
    """
    was = learner.training
    learner.eval()
    try:
        with uncompiled():
            return _in_blocks(learner.f, views[0]), _in_blocks(learner.f if learner.g is None else learner.g, views[1])
    finally:
        learner.train(was)


def _in_blocks(branch: nn.Module, view: Any) -> Tensor:
    """A view of many images, without holding all their activations at once."""
    if not isinstance(view, Tensor) or view.ndim != 4:
        return cast(Tensor, branch(view))
    return torch.cat([branch(view[i : i + BLOCK]) for i in range(0, len(view), BLOCK)])


def read(learner: Learner, views: Sequence[Any], *, intervals: bool = True) -> dict[str, float]:
    """Gauges of one fixed batch of views; see `gauges`.

    Example:
        >>> import infomax as im
        >>> learner = im.methods.jmi(nn.Linear(4, 8), projector=())
        >>> x = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
        >>> said = read(learner, [x, x + 0.1])
        >>> said["mi_infonce_lo"] < said["mi_infonce"] < said["mi_infonce_hi"] < said["mi_infonce_ceiling"]
        True
    """
    return gauges(*two_sides(learner, views), intervals=intervals)


def gauges(a: Tensor, b: Tensor, *, intervals: bool = True) -> dict[str, float]:
    """Gauges of the embeddings of two views of N samples, N x D each.

    Args:
        a: of the one view, by f.
        b: of the other, by g where there is one.
        intervals: with the limits of every reading, which take some 20 ms more at N = 1000; they need 3 samples.

    Returns:
        `mi_dv`, `mi_infonce`, `mi_jsd` (nats, critic cos/TAU; the last is raw and below 0); with intervals of each `_lo` and
        `_hi`, its 95 % limits by the jackknife over pairs (of the reading's own expectation at this N), `_ceiling`, the most
        that it can read here, and `_saturated`, 1 where it lies above 90 % of that; the ceilings as `ceiling_*` too;
        `effective_rank` of the embedding, and `std`: sqrt(D) times the mean deviation of its unit rows, near 1 where they
        fill the sphere and 0 where they have collapsed.
    """
    from infomax.evaluate.gauges import effective_rank, spread
    from infomax.mi import MIMetric, ceiling, readings

    ceilings = {f"ceiling_{name}": ceiling(name, tau=TAU, n=len(a)) for name in READINGS}
    said = {"effective_rank": float(effective_rank(a)), "std": float(spread(a))}
    if not intervals or len(a) < 3:
        return {f"mi_{name}": float(v) for name, v in readings(a, b, tau=TAU).items()} | ceilings | said
    metric = MIMetric("cosine", tau=TAU, readings=READINGS, sync=False)  # every process reads the same views
    metric.update(a, b)
    found = {f"mi_{name}": r for name, r in metric.compute().items()}
    limits = {
        f"{name}_{key}": value
        for name, r in found.items()
        for key, value in (("lo", r.lo), ("hi", r.hi), ("ceiling", r.ceiling), ("saturated", float(r.saturated)))
    }
    return {name: r.value for name, r in found.items()} | limits | ceilings | said


class Watch:
    """Is a run collapsing? Read off its own batches, a hundred times a run, and said as it happens.

    The embedding has collapsed where its rows point one way (std), or, as a last batch norm hides that, where early in the
    run most of the directions that it began with are gone. Two readings in a row must say so.

    Args:
        name: of the method.
        total: updates of the run.

    Example:
        >>> watch = Watch("mine", total=100)
        >>> z = {0: torch.randn(32, 8), 1: torch.randn(32, 8)}
        >>> sorted(watch.see(z, z, Clock(step=5, total=100)))
        ['effective_rank', 'mi_infonce', 'std']
    """

    def __init__(self, name: str, total: int) -> None:
        self.name, self.every = name, max(5, total // 100)
        self.first: dict[int, float] = {}  # rank at the start, of each encoder that climbs
        self.suspicious = 0

    def due(self, step: int) -> bool:
        """Whether this update is looked at."""
        return step % self.every == 0

    @torch.no_grad()
    def see(self, z: Views, k: Views, clock: Clock) -> dict[str, float]:
        """Gauges of one batch: std, effective rank of the centred unit rows, and the InfoNCE reading between two views."""
        from infomax.evaluate.gauges import effective_rank, spread
        from infomax.mi import readings

        i, a = next(iter(z.items()))
        b = next((v for j, v in k.items() if j != i), a)
        a, b = (F.normalize(v[..., :ROWS, :].float().cpu(), dim=-1) for v in (a, b))
        if not (torch.isfinite(a).all() and torch.isfinite(b).all()):
            return {}
        rank = float(effective_rank(a, center=True))
        gauges = {
            "std": float(spread(a)),
            "effective_rank": rank,
            "mi_infonce": float(readings(a, b, tau=TAU)["infonce"]),
        }
        start = self.first.setdefault(clock.phase, rank)
        thin = rank < LOST_RANK * start and clock.progress <= EARLY
        self.suspicious = self.suspicious + 1 if thin or gauges["std"] < COLLAPSED_STD else 0
        return gauges

    def warn(self, gauges: Mapping[str, float], clock: Clock) -> bool:
        """Say so, with what was seen, once two readings in a row agree."""
        if self.suspicious < 2:
            return False
        warnings.warn(
            f"{self.name!r} is collapsing in epoch {clock.epoch + 1}, at update {clock.step} of {clock.total}: "
            f"std {gauges['std']:.3f} (open: near 1), effective rank {gauges['effective_rank']:.1f} "
            f"({self.first[clock.phase]:.1f} at the start)",
            CollapseWarning,
            stacklevel=2,
        )
        return True


def warn_if_collapsed(name: str, epoch: int, gauges: dict[str, float]) -> bool:
    """Say so, with what was seen, as it happens."""
    if not collapsed(gauges):
        return False
    warnings.warn(
        f"{name!r} is collapsing in epoch {epoch}: std {gauges['std']:.3f} (open: near 1), "
        f"effective rank {gauges['effective_rank']:.1f}",
        CollapseWarning,
        stacklevel=2,
    )
    return True
