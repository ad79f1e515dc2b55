"""Views of the rows of a table: some entries are replaced by those of other rows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from infomax.errors import ConfigError, DataError
from infomax.views import rng
from infomax.views.signal import standardised

if TYPE_CHECKING:
    from infomax.data import Dataset


@dataclass(frozen=True, eq=False)
class Corruption:
    """Replace entries by draws from their own column: `v_j = x_j`, or with probability p the entry j of a random row.

    A replaced entry has its column's marginal distribution and is independent of the rest of the row, so what two views
    share is the dependence between the columns. (SCARF replaces exactly floor(p D) entries of a row; here their number
    is binomial, which differs if D is small.)

    Args:
        rows: M x D floats to draw from, the training data.
        rates: p of each view; the published pair leaves the first view unchanged.
        mean: mean of each column, or `None` to leave the units as they are.
        std: standard deviation of each column, or `None`.

    Raises:
        ConfigError: no view, a rate that is not a probability, or a mean without a std.
        DataError: rows that are not M x D floats.

    Example:
        >>> rows = torch.arange(40.0).reshape(10, 4)
        >>> whole, corrupted = Corruption(rows)(rows, torch.arange(10), seed=0, epoch=0)
        >>> bool((whole == rows).all()), bool(((corrupted - rows) % 4 == 0).all())  # entries stay in their column
        (True, True)

    Source: Bahri et al. arXiv:2106.15147 (SCARF, Algorithm 1).
    """

    rows: Tensor = field(repr=False)
    rates: tuple[float, ...] = (0.0, 0.6)
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if self.rows.ndim != 2 or not self.rows.is_floating_point() or len(self.rows) == 0:
            raise DataError(f"rows of shape {tuple(self.rows.shape)} and type {self.rows.dtype}: give M x D floats")
        if not self.rates or not all(0.0 <= p <= 1.0 for p in self.rates):
            raise ConfigError(f"rates={self.rates}: give one probability in [0, 1] a view")
        if (self.mean is None) != (self.std is None):
            raise ConfigError("a mean without a std, or a std without a mean: give both or neither")

    @classmethod
    def of(cls, data: "Dataset", rates: tuple[float, ...] = (0.0, 0.6)) -> "Corruption":
        """Use the rows of a data set, and standardise its columns to mean 0 and standard deviation 1.

        Raises:
            DataError: the data are not a table.
        """
        if not isinstance(data.images, Tensor):
            raise DataError(f"{data.name!r} is no table of N x D floats, whose columns could be drawn from")
        return cls(data.images, rates, data.mean, data.std)

    def __len__(self) -> int:
        """Number of views."""
        return len(self.rates)

    def draw(self, index: Tensor, view: int, seed: int = 0, epoch: int = 0) -> tuple[Tensor, Tensor]:
        """Draw which entries of a view are replaced, N x D bool, and by which rows, N x D int64."""
        keys = rng.key(index, seed, epoch, view)
        chance, donor = rng.uniform(keys, 2 * self.rows.shape[1]).chunk(2, dim=1)
        return chance < self.rates[view], (donor * len(self.rows)).to(torch.int64)

    def __call__(
        self, points: Tensor | np.ndarray, index: Tensor | np.ndarray | Sequence[int], seed: int = 0, epoch: int = 0
    ) -> list[Tensor]:
        """Return one N x D copy per rate; what is drawn for a row depends on its id, not on its position in the batch.

        Raises:
            DataError: points of another width than the rows, or not as many as ids.
        """
        x, ids = torch.as_tensor(points), torch.as_tensor(index, dtype=torch.int64).cpu()
        if x.ndim != 2 or not x.is_floating_point() or x.shape[1] != self.rows.shape[1]:
            raise DataError(
                f"points of shape {tuple(x.shape)} and type {x.dtype}: give N x {self.rows.shape[1]} floats, as the rows are"
            )
        if ids.shape != x.shape[:1]:
            raise DataError(f"{len(x)} points but ids of shape {tuple(ids.shape)}: give one int64 id a point")
        views = []
        for view in range(len(self.rates)):
            replaced, donor = (d.to(x.device) for d in self.draw(ids, view, seed, epoch))
            mixed = torch.where(replaced, self.rows.to(x).gather(0, donor), x)
            views.append(mixed if self.mean is None or self.std is None else standardised(mixed, self.mean, self.std))
        return views
