"""One cell of the table: a sentence trained briefly, its embedding gauged, its features judged."""

import time
import warnings
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from infomax import encoders
from infomax.data import Dataset
from infomax.errors import ConfigError, nearest
from infomax.evaluate.features import features
from infomax.evaluate.gauges import angle_gaps
from infomax.evaluate.protocols import PROTOCOLS
from infomax.learner import CollapseWarning
from infomax.studies.curves.train import halves, view_of
from infomax.studies.periodic.grammar import Sentence, build
from infomax.training.defaults import dataset
from infomax.training.start import train
from infomax.training.watch.monitor import collapsed

SHOTS, DRAWS = 5, 50
"""Labels a class of the few-label accuracy, and how often they are drawn."""


@dataclass(frozen=True)
class World:
    """How everything is trained on some data; `samples`, `tested`: rows to train and to judge on, None: all."""

    epochs: int
    projector: tuple[int, ...]
    encoder: str = "mlp"
    samples: int | None = None
    tested: int | None = None


WORLDS = {
    "digits": World(12, (128, 32)),
    "gaussians": World(12, (64, 3)),
    "fashion-mnist": World(12, (128, 32), "resnet8", 2048, 2000),
}
"""By their data; those with a convolutional encoder are for a larger budget."""


@dataclass(frozen=True)
class Budget:
    """On which data, how many seeds, and what else is not the world's own."""

    data: str = "digits"
    seeds: int = 2
    best: int = 8
    best_seeds: int = 5
    epochs: int | None = None
    samples: int | None = None
    size: int | None = None


BUDGETS = {
    "minutes": Budget(),
    "hour": Budget("fashion-mnist"),
    "paper": Budget("fashion-mnist", seeds=3, epochs=100, samples=60_000),
}
"""minutes: two CPU cores; hour: one GPU; paper: as many images and seeds as its tables have, for days of a GPU."""


@dataclass(frozen=True)
class Cell:
    """A sentence, a seed, and how long; `size`: side of the views in pixels.

    `final`: judged on the test images, with the dearer linear probe. Otherwise on a held-out fifth of train, since the best are
    chosen by it.
    """

    sentence: Sentence
    seed: int
    data: str
    epochs: int
    final: bool = False
    samples: int | None = None
    root: str | None = None
    device: str = "cpu"
    size: int | None = None


def world(data: str) -> World:
    """How everything is trained on some data.

    Raises:
        ConfigError: data that the table is not made on.
    """
    if data not in WORLDS:
        raise ConfigError(f"--data {data} of the periodic table: {nearest(data, WORLDS)}")
    return WORLDS[data]


def encoder_of(data: Dataset, name: str = "mlp", size: int | None = None) -> nn.Module:
    """A small one; no batch norm of the features stands behind it, so that a collapse shows."""
    side = size or data.size or 8
    if name != "mlp":
        return encoders.get(name, channels=data.channels, size=side)
    if data.is_images:
        return encoders.get("mlp", channels=data.channels, size=side, hidden=128)
    return encoders.get("mlp", channels=data.channels, size=1, hidden=64, depth=1)


def few_shot(z: Tensor, labels: Tensor, test: Tensor, test_labels: Tensor) -> float:
    """Accuracy in percent of the nearest class mean (cosine) of SHOTS labels a class, a mean over DRAWS draws.

    Args:
        z, test: features, N x D and M x D.
        labels, test_labels: N and M.

    Example:
        >>> z = torch.eye(2).repeat(10, 1)
        >>> few_shot(z, torch.arange(20) % 2, z, torch.arange(20) % 2)
        100.0
    """
    z, test = (F.normalize(v - z.mean(0), dim=-1) for v in (z, test))
    classes, right = torch.unique(labels), []
    for draw in range(DRAWS):
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(draw))
        means = torch.stack([z[order[labels[order] == c][:SHOTS]].mean(0) for c in classes])
        nearest_class = classes[(test @ F.normalize(means, dim=-1).T).argmax(1)]
        right.append((nearest_class == test_labels).double().mean())
    return 100 * float(torch.stack(right).mean())


def held_out(n: int) -> tuple[Tensor, Tensor]:
    """Rows to fit on, and a fifth to choose by, the same for every sentence and seed.

    Example:
        >>> [len(rows) for rows in held_out(1442)]
        [1154, 288]
    """
    order = torch.randperm(n, generator=torch.Generator().manual_seed(0))
    return order[n // 5 :], order[: n // 5]


def run_cell(cell: Cell) -> dict[str, Any]:
    """Train one cell; its gauges of the embedding at the end, and accuracies of the encoder in percent."""
    from infomax.studies.curves.train import some_of

    began = time.process_time()
    whole, how = dataset(cell.data, cell.root), world(cell.data)
    data = some_of(whole, cell.samples)
    torch.manual_seed(cell.seed)
    with warnings.catch_warnings(action="ignore", category=CollapseWarning):  # the table says it
        learner = build(cell.sentence, encoder_of(data, how.encoder, cell.size), how.projector)
        run = train(
            learner, data, views=view_of(data, cell.size), size=cell.size, epochs=cell.epochs, lr=2e-3, seed=cell.seed,
            device=cell.device, progress=False, gauge_samples=500,
        )  # fmt: skip
    gauges = {k: run.history[-1][k] for k in ("std", "effective_rank", "mi_dv", "mi_infonce", "mi_jsd")}
    found: dict[str, Any] = {"collapsed": collapsed(gauges)} | gauges
    fit, test = halves(whole if cell.data == "gaussians" else data)
    assert test is not None and fit.labels is not None
    test = some_of(test, how.tested)
    assert test.labels is not None
    z = features(learner.encoder, fit, cell.size, progress=False)
    if cell.final:
        known = (z, fit.labels, features(learner.encoder, test, cell.size, progress=False), test.labels)
    else:
        rows, held = held_out(len(z))
        known = (z[rows], fit.labels[rows], z[held], fit.labels[held])
    found |= {"knn": PROTOCOLS["knn"](*known, cell.seed)["knn"], "few": few_shot(*known)}
    if cell.final:
        found["linear"] = PROTOCOLS["linear"](*known, cell.seed)["linear"]
    if cell.data == "gaussians":
        found["min_gap"] = min_gap(learner.f)
    return found | {"cpu_seconds": time.process_time() - began}


@torch.no_grad()
def min_gap(branch: nn.Module) -> float:
    """The smallest angle between the embeddings of two of the five true centres, degrees."""
    angle = 2 * torch.pi * torch.arange(1, 6) / 5
    z = branch.eval().cpu()(torch.stack([angle.cos(), angle.sin()], -1))
    return float(angle_gaps(F.normalize(z, dim=-1)).min)
