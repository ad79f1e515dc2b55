"""What a page shows of an embedding while it is learnt: a few samples on a plane or sphere, and the spectrum, by epoch.

    runs/photos/embedding.safetensors

| tensor | content |
|---|---|
| rows | N rows of the data set |
| labels | N, where there are any; the names of the classes stand in the header |
| epochs | E float64; 0 is the untrained network |
| points | E N K float16: unit vectors themselves where D is 2 or 3, else on their two principal axes |
| share | E: of the variance on these axes |
| spectrum | E S: the largest eigenvalues of the unit rows' covariance |

Principal axes turn at will from one epoch to the next: each plane is turned (and mirrored) to lie as near to the one before
as it can, so that what moves on the page has moved in the embedding.
"""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from infomax.data import Dataset, Graph
from infomax.data.order import spread
from infomax.errors import DataError

FILE = "embedding.safetensors"
MOST_SAMPLES = 500
MOST_FRAMES = 100
MOST_VALUES = 128  # of a spectrum


@dataclass
class Frames:
    """The embedding of the same samples, in the same views, after some epochs.

    Args:
        rows: N rows of the data set.
        labels: N int64, or None.
        classes: name of each label, or None.
        epochs: E numbers, rising.
        points: E tensors N x K.
        shares: E shares of the variance.
        spectra: E tensors of eigenvalues, the largest first.
    """

    rows: Tensor
    labels: Tensor | None = None
    classes: list[str] | None = None
    epochs: list[float] = field(default_factory=list)
    points: list[Tensor] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    spectra: list[Tensor] = field(default_factory=list)

    @classmethod
    def of(cls, data: Dataset, watched: int) -> tuple[Self, Tensor]:
        """None yet, and where among a run's watched samples those lie that are kept.

        Args:
            data: of the run.
            watched: samples off which the run's gauges are read, spread over the data; a graph's are all of its nodes.
        """
        all_rows = torch.arange(len(data)) if isinstance(data, Graph) else spread(data.images, watched)
        places = torch.linspace(0, len(all_rows) - 1, min(MOST_SAMPLES, len(all_rows))).long()
        rows = all_rows[places]
        return cls(rows, None if data.labels is None else data.labels[rows], data.classes), places

    @torch.no_grad()
    def see(self, epoch: float, z: Tensor) -> None:
        """Keep a frame; of what is no N x D of finite numbers, none.

        Args:
            epoch: after how many.
            z: N x D, the embedding of `rows`.
        """
        if z.ndim != 2 or not torch.isfinite(z).all():
            return
        z, d = z.detach().cpu().double(), z.shape[1]
        points, share, values = principal(z)
        if d in (2, 3):
            points, share = F.normalize(z, dim=-1), 1.0
        elif self.points and self.points[-1].shape == points.shape:
            points = _turned(points, self.points[-1].double())
        self.epochs.append(epoch)
        self.points.append(points.half())
        self.shares.append(share)
        self.spectra.append(F.pad(values[:MOST_VALUES], (0, max(0, min(d, MOST_VALUES) - len(values)))).float())
        if (
            len(self.epochs) > MOST_FRAMES + 2
        ):  # of a run whose end nobody knew; an odd number, so that the newest stays
            for part in self._parts:
                del part[1::2]

    @property
    def _parts(self) -> tuple[list[Any], ...]:
        return self.epochs, self.points, self.shares, self.spectra

    def due(self, epoch: float, epochs: int | None) -> bool:
        """Whether a frame is kept after an epoch: of a run of any length about MOST_FRAMES at most.

        Args:
            epoch: after how many.
            epochs: of the run; None: it ends with the time that it was given. Its frames are thinned out as it goes on.

        Example:
            >>> film = Frames(torch.arange(3))
            >>> [epoch for epoch in range(251) if film.due(epoch, 250)][-4:]
            [243, 246, 249, 250]
        """
        if epochs is not None:
            return epoch % math.ceil(epochs / MOST_FRAMES) == 0 or epoch == epochs
        return len(self.epochs) < 2 or epoch - self.epochs[-1] >= self.epochs[1] - self.epochs[0]

    def until(self, epoch: float) -> Self:
        """Without what came after an epoch."""
        kept = sum(e <= epoch for e in self.epochs)
        for part in self._parts:
            del part[kept:]
        return self

    def to_bytes(self) -> bytes:
        """As a file."""
        from safetensors.torch import save

        tensors = {
            "rows": self.rows,
            "epochs": torch.tensor(self.epochs, dtype=torch.float64),
            "points": torch.stack(self.points).contiguous(),
            "share": torch.tensor(self.shares, dtype=torch.float32),
            "spectrum": torch.stack(self.spectra).contiguous(),
        }
        if self.labels is not None:
            tensors["labels"] = self.labels.contiguous()
        return save(tensors, {"infomax": json.dumps({"classes": self.classes})})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file back.

        Raises:
            DataError: where it is damaged.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as file:
                t = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
                classes = json.loads((file.metadata() or {})["infomax"])["classes"]
            return cls(
                t["rows"], t.get("labels"), classes,
                t["epochs"].tolist(), list(t["points"]), t["share"].tolist(), list(t["spectrum"]),
            )  # fmt: skip
        except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
            raise DataError(
                f"{path} is damaged ({error}): remove it; what it held, the embedding of past epochs, is lost"
            ) from None


def principal(z: Tensor) -> tuple[Tensor, float, Tensor]:
    """Unit rows on their two principal axes, the share of the variance there, and the eigenvalues of their covariance.

    Args:
        z: N x D.

    Returns:
        N x 2 float64, of each axis the row that lies farthest out on its positive side; the share; eigenvalues, the largest
        first.

    Example:
        >>> points, share, _ = principal(torch.tensor([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]]))
        >>> points.float().abs().tolist(), share
        ([[1.0, 0.0], [1.0, 0.0]], 1.0)
    """
    unit = F.normalize(z.double(), dim=-1)
    centred = unit - unit.mean(0)
    n, d = centred.shape
    # the smaller of the two matrices that share their eigenvalues
    values, vectors = torch.linalg.eigh((centred.T @ centred if d <= n else centred @ centred.T) / n)
    values, vectors = values.flip(0).clamp_min(0.0), vectors.flip(1)
    points = centred @ vectors[:, :2] if d <= n else vectors[:, :2] * (n * values[:2]).sqrt()
    largest = points.gather(0, points.abs().argmax(0, keepdim=True))
    points = F.pad(points * torch.where(largest < 0, -1.0, 1.0), (0, 2 - points.shape[1]))
    return points, float(values[:2].sum() / values.sum().clamp_min(torch.finfo(torch.float64).tiny)), values


def _turned(points: Tensor, before: Tensor) -> Tensor:
    """N x 2, turned or mirrored to lie as near as it can to the frame before (Procrustes)."""
    u, _, vh = torch.linalg.svd(points.T @ before)
    turned: Tensor = points @ (u @ vh)
    return turned
