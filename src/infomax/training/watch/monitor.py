"""What is read off a run while it trains: is it climbing, or collapsing?"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from infomax.errors import warn
from infomax.learner import CollapseWarning, Learner
from infomax.modes import resting
from infomax.training.devices import uncompiled

TAU = 0.1
"""Temperature of the critic cos/tau at which curves of the mutual information are read (nats)."""

READINGS = ("dv", "infonce", "jsd")
BLOCK = 256  # images encoded at once

COLLAPSED_STD = (
    0.1  # healthy runs may start far below 1: a cosine critic at temperature 0.1 goes down to 0.15 on the digits
)
COLLAPSED_RANK = 1.5


def collapsed(gauges: Mapping[str, float]) -> bool:
    """Whether the embedding has lost its spread, or all but one of its dimensions."""
    return gauges["std"] < COLLAPSED_STD or gauges["effective_rank"] < COLLAPSED_RANK


@torch.no_grad()
def two_sides(learner: Learner, views: Sequence[Any]) -> tuple[Tensor, Tensor]:
    """The embeddings between which the mutual information is read: f and g where there are two branches, else f and f.

    In evaluation mode, so that a row does not depend on the batch around it.
    """
    with resting(learner), uncompiled():
        return _in_blocks(learner.f, views[0]), _in_blocks(learner.f if learner.g is None else learner.g, views[1])


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
        if value is not None
    }
    return {name: r.value for name, r in found.items()} | limits | ceilings | said


def warn_if_collapsed(name: str, epoch: int, gauges: dict[str, float]) -> bool:
    """Say so, with what was seen, as it happens."""
    if not collapsed(gauges):
        return False
    warn(
        f"{name!r} is collapsing in epoch {epoch}: std {gauges['std']:.3f} (open: near 1), "
        f"effective rank {gauges['effective_rank']:.1f}",
        CollapseWarning,
    )
    return True
