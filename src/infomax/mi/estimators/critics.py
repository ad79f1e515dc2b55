"""One variational bound, climbed by one kind of critic on some pairs and read on the others."""

import math
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from infomax.mi import bounds
from infomax.mi.baselines import interpolated, tuba
from infomax.mi.ceilings import CEILINGS, ceiling
from infomax.mi.estimators.folds import Folds, Read, chunks, jackknife, symmetric_infonce
from infomax.mi.estimators.towers import CriticName, Critics, Objective, Shape, train

Array = NDArray[np.float64]


class Bound(NamedTuple):
    """What is climbed, what is read, and whether the reading is a lower bound on MI on average."""

    climb: Objective
    read: Objective
    lower: bool


BOUNDS = {
    "infonce": Bound(symmetric_infonce, symmetric_infonce, True),
    "dv": Bound(bounds.dv, bounds.dv, False),
    "nwj": Bound(bounds.nwj, bounds.nwj, True),
    "tuba": Bound(partial(tuba, log_baseline=0.0), partial(tuba, log_baseline=0.0), True),
    "interpolated": Bound(partial(interpolated, alpha=0.5), partial(interpolated, alpha=0.5), True),
    "jsd_lower": Bound(bounds.jsd, bounds.jsd_lower, True),
    "xi_jsd": Bound(bounds.jsd, bounds.xi_jsd, True),
    "smile": Bound(bounds.smile, bounds.smile, False),
}
"""By name. `tuba` has baseline 1, which its critic may shift; `interpolated` lies half-way to InfoNCE.
DV of a sample is biased upward, SMILE has no sign: neither gives a limit."""

SHAPE = Shape()
SHAPES: dict[CriticName, Shape] = {
    "concatenated": Shape(batch=96, hidden=64, epochs=8),  # its time is the square of the batch
    "bilinear": Shape(rate=0.03, decay=0.03),  # one matrix, and a concave problem
}
FEW = 256  # held-out pairs that decide when to stop


class Fitted(NamedTuple):
    """A held-out reading; its ceiling, if any."""

    read: Read
    ceiling: float | None


def crossfit(x: Array, y: Array, folds: Folds, *, bound: str, critic: CriticName, seed: int) -> Fitted:
    """Train a critic on all folds but one, read it on that one, and so for each; stop each where the others' reading is
    highest.

    Args:
        x: N x dx, in the coordinates to learn from. y: N x dy.
        folds: of the N rows.
        bound: a name in `BOUNDS`.
        critic: separable, cosine, bilinear or concatenated.
        seed: of weights and batches.
    """
    climb, read, _ = BOUNDS[bound]
    shape, count = SHAPES.get(critic, SHAPE), len(folds.held)
    a, b = (torch.from_numpy(z).float().expand(count, -1, -1) for z in (x, y))
    critics = Critics(critic, count, x.shape[1], y.shape[1], shape, torch.Generator().manual_seed(seed))
    largest = FEW if critic == "concatenated" else None
    pieces = [chunks(held, largest) if largest else chunks(held) for held in folds.held]
    seen: list[tuple[list[float], list[list[torch.Tensor]]]] = []
    for _ in train(critics, a, b, folds.train, climb, seed=seed + 1):
        with torch.no_grad():
            scores = [_scores(critics, a[0], b[0], v, parts) for v, parts in enumerate(pieces)]
            seen.append(([float(torch.stack([climb(s) for s in fold]).mean()) for fold in scores], scores))
    chosen = [max(seen, key=lambda s, v=v: sum(s[0]) - s[0][v]) for v in range(count)]  # type: ignore[misc]
    matrices = [matrix for v, (_, scores) in enumerate(chosen) for matrix in scores[v]]
    found = jackknife(matrices, lambda s: read(s)[None])[0]
    candidates = min(map(len, matrices))
    highest = math.log(candidates) if bound == "infonce" else None
    if critic == "cosine" and bound in CEILINGS:
        highest = ceiling(bound, tau=shape.tau, n=candidates)
    return Fitted(found, highest)


def _scores(
    critics: Critics, x: torch.Tensor, y: torch.Tensor, v: int, parts: list[torch.Tensor]
) -> list[torch.Tensor]:
    """Score matrices of critic v alone on rows held out from it."""
    one = critics.only(v)
    return [one.scores(x[rows][None], y[rows][None])[0] for rows in parts]
