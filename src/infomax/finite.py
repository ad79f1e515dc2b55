"""NaN and infinity: None for them where a file is written, and where the first of an update stands."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from infomax.clock import Clock
from infomax.parallel import by_rank, mine, rank, world

if TYPE_CHECKING:
    from infomax.learner import Learner, Output


def finite_or_none(value: Any) -> Any:
    """The same with None for what strict JSON cannot say: NaN and infinity.

    Example:
        >>> finite_or_none({"mi": [1.0, math.nan], "n": 3})
        {'mi': [1.0, None], 'n': 3}
    """
    match value:
        case Mapping():
            return {name: finite_or_none(item) for name, item in value.items()}
        case list() | tuple():
            return [finite_or_none(item) for item in value]
        case float():
            return value if math.isfinite(value) else None
        case _:
            return value


def not_finite(learner: "Learner", views: Sequence[Any], output: "Output", clock: Clock) -> str:
    """Say where the first NaN or infinity stands: in the data, in the embeddings, in the objective or its gradient."""
    # an embedding was gathered from everywhere, but a view lies in one process: the one that knows speaks
    for found in (*by_rank(_spoiled_rows(views)), _spoiled_embedding(learner, output)):
        if found:
            return f"step {clock.step}: {found}"
    if not torch.isfinite(output.loss).all():
        return f"step {clock.step}: the loss of {learner.name!r} is {output.loss.detach()}, from finite embeddings"
    graded = [(n, mine(p.grad)) for n, p in learner.named_parameters() if p.grad is not None]
    bad: list[str] = next(filter(None, by_rank([n for n, g in graded if not torch.isfinite(g).all()])), [])
    if not bad:
        sizes = ((float(g.abs().max()), n) for n, g in graded if g.numel())
        most, name = max(by_rank(max(sizes, default=(0.0, ""))))
        return (
            f"step {clock.step}: the gradient of {learner.name!r} is finite, but its length overflows: up to {most:.1e}, in "
            f"{name}. Look at the data for values far off, or lower the learning rate"
        )
    return f"step {clock.step}: the gradient of {learner.name!r} is not finite, though its loss is: at {', '.join(bad[:3])}"


def _spoiled_rows(views: Sequence[Any]) -> str:
    for i, view in enumerate(views):
        if isinstance(view, Tensor) and not torch.isfinite(view).all():
            first = rank() * len(view)
            bad = (~torch.isfinite(view)).reshape(len(view), -1).any(1).nonzero().flatten().add(first).tolist()
            return f"view {i} of the input holds NaN or infinity, in rows {bad[:5]} of {world() * len(view)}"
    return ""


def _spoiled_embedding(learner: "Learner", output: "Output") -> str:
    for side, embeddings in (("student", output.z), ("target", output.k)):
        for i, z in embeddings.items():
            if not torch.isfinite(z).all():
                return (
                    f"the {side}'s embedding of view {i} is not finite, though the input is: "
                    f"the weights of {learner.name!r} have diverged. Lower the learning rate"
                )
    return ""
