"""What is read off a run while it trains: is it climbing, or collapsing?"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from infomax.learner import CollapseWarning, Learner

TAU = 0.1
"""Temperature of the critic cos/tau at which curves of the mutual information are read (nats)."""

BLOCK = 256  # images encoded at once

COLLAPSED_STD = 0.25
COLLAPSED_RANK = 2.0


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
        return _in_blocks(learner.f, views[0]), _in_blocks(learner.f if learner.g is None else learner.g, views[1])
    finally:
        learner.train(was)


def _in_blocks(branch: nn.Module, view: Any) -> Tensor:
    """A view of many images, without holding all their activations at once."""
    if not isinstance(view, Tensor) or view.ndim != 4:
        return cast(Tensor, branch(view))
    return torch.cat([branch(view[i : i + BLOCK]) for i in range(0, len(view), BLOCK)])


def read(learner: Learner, views: Sequence[Any]) -> dict[str, float]:
    """Gauges of one fixed batch of views.

    Args:
        learner: what is read.
        views: two views of N samples.

    Returns:
        mi_dv, mi_infonce, mi_jsd (nats, critic cos/TAU; the last is raw and below 0), their ceilings at this N as
        `ceiling_*`, effective_rank of the embedding, and std: sqrt(D) times the mean deviation of its unit rows, near 1
        where they fill the sphere and 0 where they have collapsed.
    """
    from infomax.evaluate.gauges import effective_rank, spread
    from infomax.mi import ceiling, readings

    a, b = two_sides(learner, views)
    said = {f"mi_{name}": float(value) for name, value in readings(a, b, tau=TAU).items()}
    said |= {f"ceiling_{name}": ceiling(name, tau=TAU, n=len(a)) for name in ("dv", "infonce", "jsd")}
    return {
        **said,
        "effective_rank": float(effective_rank(a)),
        "std": float(spread(a)),
    }


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
