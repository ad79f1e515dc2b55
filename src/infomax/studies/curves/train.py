"""One run of fig. 2 or 7: trained by `infomax.train`, read before and after every epoch, judged at the end."""

import copy
import re
import time
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from infomax.data import Dataset, gather
from infomax.data.order import spread as spread_rows
from infomax.evaluate.features import features
from infomax.evaluate.gauges import effective_rank
from infomax.evaluate.gauges import spread as unit_spread
from infomax.evaluate.run import judge
from infomax.evaluate.splits import splits, test_of
from infomax.finite import finite_or_none
from infomax.learner import CollapseWarning, Learner
from infomax.marginal import Predictor
from infomax.mi import readings
from infomax.studies.curves.plan import Cell, PreviousEpoch, build
from infomax.target import Twin
from infomax.training.defaults import dataset, encoder_for, view_function, view_size
from infomax.training.devices import place
from infomax.training.feed import Feed, ViewFunction
from infomax.training.start import train
from infomax.training.watch.monitor import TAU, read, two_sides
from infomax.views import recipe

GAUGED = 1000
"""Rows on which MI is read: N of every estimate."""
KEPT = (
    "epoch",
    "mi_dv",
    "mi_infonce",
    "mi_jsd",
    "ceiling_dv",
    "ceiling_infonce",
    "ceiling_jsd",
    "std",
    "effective_rank",
)


def view_of(data: Dataset, size: int | None = None) -> ViewFunction:
    """The gentle views where images are as small as the digits (no flip: a 2 is none in the mirror); else `auto`."""
    if data.is_images and data.size is not None and data.size <= 16:
        return recipe("gentle", view_size(data, size), data.mean, data.std)
    return view_function(data, size=size)


def some_of(data: Dataset, samples: int | None) -> Dataset:
    """So many rows, spread over the data, with their labels; the data themselves where there are no more."""
    if samples is None or samples >= len(data):
        return data
    rows = spread_rows(data.images, samples)
    part = Dataset(gather(data.images, rows), mean=data.mean, std=data.std, name=data.name, classes=data.classes)
    part.labels, part.origin = None if data.labels is None else data.labels[rows], data.origin
    return part


def halves(data: Dataset) -> tuple[Dataset, Dataset | None]:
    """Labelled train and test data, where they have a labelled test part of their own."""
    return data, test_of(data)


def probed(
    encoder: nn.Module, train_part: Dataset, test_part: Dataset | None, seed: int, size: int | None = None
) -> dict[str, float]:
    """Linear probe and kNN of a frozen encoder, in percent."""
    z = features(encoder, train_part, size, progress=False)
    fit, held, _ = splits(train_part, test_part)
    assert train_part.labels is not None
    if test_part is None:
        return judge(z[fit], train_part.labels[fit], z[held], train_part.labels[held], seed=seed)
    assert test_part.labels is not None
    other = features(encoder, test_part, size, progress=False)
    return judge(z[fit], train_part.labels[fit], other, test_part.labels, seed=seed)


def untrained_probe(data: Dataset, encoder: str, size: int | None, seed: int) -> float:
    """The linear probe, in percent, of the encoder that every run of a seed begins with."""
    torch.manual_seed(seed)
    return probed(encoder_for(data, encoder, size), *halves(data), seed, size)["linear"]


@torch.no_grad()
def settled(learner: Learner, views: list[Any]) -> Learner:
    """A copy whose batch norms have the statistics of these views: an untrained network has none to be read with."""
    ready = copy.deepcopy(learner).train()
    norms = [m for m in ready.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the two views
    for branch in (ready.f, ready.g):
        for view in views:
            if branch is not None:
                branch(view)
    return ready


def run_cell(cell: Cell) -> dict[str, Any]:
    """Train one cell.

    Returns:
        `name`, `seed`, `samples`, `updates` (of each encoder: SDMI's two take turns, and make twice as many together),
        `history` (rows of `KEPT`, epoch 0 untrained), accuracies in percent (`linear`, `knn`, and of the second encoder
        `linear_g`, `knn_g`; `linear_untrained` of the encoder it began with), the embedding's gauges at the end (`std_g`,
        `rank_g` too), `flagged` (the share of the run after which a collapse was said, or None), `mi_predicted` (InfoNCE read
        through the predictor, where a Twin has one) and `cpu_seconds`.
    """
    began = time.process_time()
    whole = dataset(cell.data, cell.root)
    data = some_of(whole, cell.samples)
    torch.manual_seed(cell.seed)
    learner = build(cell.name, encoder_for(data, cell.encoder, cell.size), small=cell.small)
    views = view_of(data, cell.size)
    device = place(cell.device).device
    fixed = Feed(data, views, min(cell.batch_size, len(data)), cell.seed, device).fixed(GAUGED)
    learner.to(device)
    untrained: dict[str, Any] = {"epoch": 0} | read(settled(learner, fixed), fixed)
    if isinstance(learner.target, PreviousEpoch):  # before the first epoch there is none to be read against
        untrained |= {key: None for key in untrained if key.startswith("mi_")}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        run = train(
            learner,
            data,
            views=views,
            epochs=cell.epochs,
            batch_size=cell.batch_size,
            optimizer=cell.optimizer,
            lr=cell.lr,
            weight_decay=cell.weight_decay,
            seed=cell.seed,
            device=str(device),
            progress=False,
            gauge_samples=GAUGED,
        )
    found: dict[str, Any] = {
        "name": cell.name,
        "seed": cell.seed,
        "samples": len(data),
        # of each encoder: in an epoch of SDMI f passes over the data and then g
        "updates": cell.epochs * (len(data) // min(cell.batch_size, len(data))),
        "history": finite_or_none([{k: row[k] for k in KEPT} for row in (untrained, *run.history)]),
        "flagged": flagged([str(w.message) for w in said if issubclass(w.category, CollapseWarning)], cell.epochs),
    }
    if data.labels is not None:
        parts = halves(data)
        found |= {
            k: v for k, v in probed(learner.encoder, *parts, cell.seed, cell.size).items() if k in ("linear", "knn")
        }
        if isinstance(learner.target, Twin) and learner.g is not None:
            second = getattr(learner.g, "encoder", learner.g)
            found |= {
                f"{k}_g": v for k, v in probed(second, *parts, cell.seed, cell.size).items() if k in ("linear", "knn")
            }
        found["linear_untrained"] = untrained_probe(data, cell.encoder, cell.size, cell.seed)
    found |= finite_or_none(second_gauges(learner, fixed))
    return found | {"cpu_seconds": time.process_time() - began}


@torch.no_grad()
def second_gauges(learner: Learner, views: list[Any]) -> dict[str, float]:
    """Gauges of a second encoder that climbs, and MI through its predictor where the pair is aligned through one."""
    if not isinstance(learner.target, Twin):
        return {}
    a, b = two_sides(learner, views)
    unit: Tensor = nn.functional.normalize(b.float(), dim=-1)
    found = {"std_g": float(unit_spread(unit)), "rank_g": float(effective_rank(unit))}
    for marginal in learner.marginals:
        if isinstance(marginal, Predictor):
            net = marginal.net.eval()
            through = nn.functional.normalize(net(a).float(), dim=-1)
            found["mi_predicted"] = float(readings(through, unit, tau=TAU)["infonce"])
    return found


def flagged(messages: list[str], epochs: int) -> float | None:
    """The share of a run after which a collapse was first said.

    Example:
        >>> flagged(["'x' is collapsing in epoch 3, at update 12 of 120: std 0.03"], 10)
        0.1
        >>> flagged(["'x' is collapsing in epoch 3: std 0.03"], 10), flagged([], 10)
        (0.3, None)
    """
    shares = []
    for message in messages:
        if update := re.search(r"at update (\d+) of (\d+)", message):
            shares.append(int(update[1]) / int(update[2]))
        elif epoch := re.search(r"in epoch (\d+)", message):
            shares.append(int(epoch[1]) / epochs)
    return min(shares, default=None)
