"""Which encoders a run of this process has trained: a later run of theirs goes on where that one ended, and says so."""

from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from infomax.errors import warn
from infomax.learner import Learner
from infomax.parallel import is_shard
from infomax.words import many

_TRAINED: WeakKeyDictionary[nn.Module, tuple[str, list[Tensor]]] = WeakKeyDictionary()
"""What is said of the last run of each, and a few of its weights then: who has put back others begins with those."""


def trained(learner: Learner, updates: int) -> None:
    """Note that a run has trained an encoder.

    Args:
        learner: of the run.
        updates: how many it had.
    """
    if updates:
        _TRAINED[learner.encoder] = (f"{learner.name}, {many(updates, 'update')}", _some(learner.encoder))


def earlier_run(learner: Learner) -> str | None:
    """By which method the last run trained the encoder that another begins with; None: by none of this process.

    Warns:
        UserWarning: that there was one, and what to do.
    """
    told, then = _TRAINED.get(learner.encoder, ("", []))
    now = _some(learner.encoder) if then else []
    if not now or len(now) != len(then) or not all(map(torch.equal, now, then)):
        return None
    warn(
        f"the encoder of {learner.name!r} was trained by an earlier run ({told}), and this one begins with those weights: for "
        "one of its own build the encoder anew (learners made of one encoder share it, as edit's do its branch)"
    )
    return told


def _some(encoder: nn.Module) -> list[Tensor]:
    return [p.detach().flatten()[:16].float().cpu().clone() for p in encoder.parameters() if not is_shard(p)]
