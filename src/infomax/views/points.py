"""Views of points in R^D: the sample plus new noise."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from infomax.errors import ConfigError, DataError
from infomax.views import rng
from infomax.views.signal import standardised


@dataclass(frozen=True)
class Gaussian:
    """Add independent Gaussian noise to each view: `v_k = x + eps_k, eps_k ~ N(0, sigma^2 I)`.

    Args:
        sigma: standard deviation of the noise, in the units of x; with a mean and std, after `x = (x - mean) / std`.
        n: number of views.
        every_epoch: draw new noise every epoch; `False` keeps each sample's views fixed for the whole run.
        mean: mean of each dimension, or `None` to leave the units as they are.
        std: standard deviation of each dimension, or `None`.

    Raises:
        ConfigError: a negative sigma, no views, or a mean without a std.

    Example:
        >>> views = Gaussian(sigma=0.1)
        >>> a, b = views(torch.zeros(1000, 2), torch.arange(1000), seed=0, epoch=0)
        >>> a.shape, round(a.std().item(), 1), abs((a * b).mean().item()) < 0.001
        (torch.Size([1000, 2]), 0.1, True)
    """

    sigma: float
    n: int = 2
    every_epoch: bool = True
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if self.sigma < 0:
            raise ConfigError(f"sigma={self.sigma}: a standard deviation is not negative")
        if self.n < 1:
            raise ConfigError(f"n={self.n}: give at least one view")
        if (self.mean is None) != (self.std is None):
            raise ConfigError("a mean without a std, or a std without a mean: give both or neither")

    def __call__(
        self,
        points: Tensor | np.ndarray,
        index: Tensor | np.ndarray | Sequence[int],
        seed: int = 0,
        epoch: int = 0,
    ) -> list[Tensor]:
        """Return n noisy copies of N x D points; the noise of a sample depends on its id alone, not on its position."""
        x = torch.as_tensor(points)
        if x.ndim != 2 or not x.is_floating_point():
            raise DataError(f"points of shape {tuple(x.shape)} and type {x.dtype}: give N x D floats")
        ids = torch.as_tensor(index, dtype=torch.int64).cpu()
        if ids.shape != x.shape[:1]:
            raise DataError(f"{len(x)} points but ids of shape {tuple(ids.shape)}: give one int64 id a point")
        if self.mean is not None and self.std is not None:
            x = standardised(x, self.mean, self.std)
        epoch = epoch if self.every_epoch else 0
        noises = (rng.normal(rng.key(ids, seed, epoch, view), x.shape[1]) for view in range(self.n))
        return [x + self.sigma * noise.to(x) for noise in noises]
