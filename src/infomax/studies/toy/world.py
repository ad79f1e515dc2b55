"""The five Gaussians, drawn once a seed: what a seed sees does not depend on which other seeds run."""

import math
from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor

from infomax.data import batches, gaussians
from infomax.views.points import Gaussian

SIGMA, NOISE = 0.05, 0.1  # of the clusters and of the views (paper, 4.2)
TRUE_MI = math.log(5) - math.log(1 - (SIGMA**2 / (SIGMA**2 + NOISE**2)) ** 2)
"""I(x1; x2) in nats: log 5 for the cluster and -log(1 - rho^2) for the two coordinates within it, rho = .05^2/(.05^2 + .1^2).
By the data-processing inequality no pair of encoders can hold more."""


class World(NamedTuple):
    """What S seeds train and are judged on."""

    views: list[Tensor]  # two, S N 2, fixed for the whole run
    validation: list[Tensor]  # two, S N 2, of fresh samples
    centres: Tensor  # S 5 2, the true ones


def draw(seeds: Sequence[int], n: int) -> World:
    """Draw training and validation views of every seed.

    Args:
        seeds: S numbers.
        n: samples, a multiple of 5.

    Example:
        >>> world = draw((3, 8), 50)
        >>> world.views[0].shape, bool((world.views[0][1] == draw((8,), 50).views[0][0]).all())
        (torch.Size([2, 50, 2]), True)
    """
    look = Gaussian(NOISE, every_epoch=False)
    index = torch.arange(n)

    def views(split: str, first: int) -> list[Tensor]:
        each = [look(cast(Tensor, gaussians(n, SIGMA, split, seed).images), index + first, seed=seed) for seed in seeds]
        return [torch.stack(side) for side in zip(*each, strict=True)]

    angle = 2 * math.pi * torch.arange(1, 6) / 5
    centres = torch.stack([angle.cos(), angle.sin()], -1).expand(len(seeds), 5, 2)
    return World(views("train", 0), views("test", n), centres)


def pass_over(views: list[Tensor], seeds: Sequence[int], size: int, number: int) -> list[list[Tensor]]:
    """Cut one pass over the data into batches, each seed in an order of its own; the whole batch is never shuffled.

    Args:
        views: S N 2 each.
        seeds: S numbers.
        size: rows a batch; a rest too small for one is left out of this pass.
        number: of the pass.

    Example:
        >>> world = draw((0,), 50)
        >>> [len(pass_over(world.views, (0,), size, 0)) for size in (50, 20)]
        [1, 2]
    """
    n = views[0].shape[1]
    if size >= n:
        return [views]
    orders = torch.stack([torch.cat(list(batches(n, size, seed=seed, epoch=number))) for seed in seeds])
    rows = torch.arange(len(seeds))[:, None]
    shuffled = [view[rows, orders] for view in views]
    return [[view[:, i : i + size] for view in shuffled] for i in range(0, orders.shape[1], size)]
