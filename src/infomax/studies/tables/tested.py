"""What a trained cell is worth on the test set: linear probe and nearest neighbours of each of its encoders, once."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from infomax.evaluate.features import features
from infomax.evaluate.run import judge
from infomax.evaluate.splits import other_splits, splits, test_of
from infomax.files import write_text
from infomax.studies.tables.sources import Source
from infomax.training.defaults import dataset, encoder_for
from infomax.training.run import Run

KEPT = "test.json"


def tested(job: tuple[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Judge a cell, or read how it was judged, where that was on these data.

    Args:
        job: folder of its run, and what its data are known by (`infomax.evaluate.splits.known_by`).

    Returns:
        Accuracies in percent, `linear` and `knn`, of a second encoder `linear_g` and `knn_g`; rows of `train` and `test`;
        `protocol`; `cpu_seconds` of judging.
    """
    cell, now = job
    path = Path(cell) / KEPT
    if (row := _kept(path, now)) is not None:
        return row
    began = time.process_time()
    found = Run.load(cell).evaluate()
    row = {key: found[key] for key in ("linear", "linear_se", "knn", "train", "test", "protocol")}
    row |= {f"{key}_g": found["g"][key] for key in ("linear", "linear_se", "knn") if "g" in found}
    row["cpu_seconds"] = time.process_time() - began
    write_text(path, json.dumps(row | {"content": now}, indent=1) + "\n")
    return row


def _kept(path: Path, now: Mapping[str, Any]) -> dict[str, Any] | None:
    """How a cell was judged; None: not yet, on other data, or the file is damaged. An earlier version's names no data."""
    try:
        row = dict(json.loads(path.read_text(encoding="utf-8")))
        then = row.pop("content", now)
        return None if other_splits(then, now) or "linear" not in row else row
    except (OSError, ValueError, TypeError, KeyError):
        return None


def untrained(job: tuple[Source, str, int | None, int]) -> dict[str, float]:
    """Linear probe and nearest neighbours of an encoder before any training, in percent.

    Args:
        job: data, the encoder's name, side of the images, seed of the weights.
    """
    source, encoder, size, seed = job
    train = dataset(source.data, source.root)
    test = test_of(train)
    torch.manual_seed(seed)
    net = encoder_for(train, encoder, size)
    fit, held, _ = splits(train, test)
    z = features(net, train, size, progress=False)
    other = z if test is None else features(net, test, size, statistics=(train.mean, train.std), progress=False)
    labels = train.labels if test is None else test.labels
    assert train.labels is not None and labels is not None
    found = judge(z[fit], train.labels[fit], other[held], labels[held], seed=seed)
    return {key: found[key] for key in ("linear", "knn")}
