"""Samples like those that a run was trained on, for what can be asked of an encoder where its data are not at hand."""

from contextlib import suppress
from typing import TYPE_CHECKING

import torch

from infomax.data import Dataset, load
from infomax.data.streams import is_stream
from infomax.errors import InfomaxError
from infomax.evaluate.features import fits
from infomax.training.defaults import LARGEST_DEFAULT_SIZE, read_by
from infomax.training.devices import uncompiled

if TYPE_CHECKING:
    from infomax.training.run import Run

READINGS = 256
"""Length of signals of which none is known."""

_MADE = {"Signals": "signals", "GraphViews": "nodes"}
"""By what made the views of a run of before, whose folder does not say what its samples are."""


def kind_of(run: "Run") -> str:
    """What the samples are that a run was trained on: images, signals, rows or nodes."""
    asked, views = run.config["data"], run.config["views"]
    if "kind" in asked:
        return str(asked["kind"])
    made = next((kind for name, kind in _MADE.items() if str(views.get("made")).startswith(name)), None)
    return made or ("rows" if views.get("size") is None else "images")


def alike(run: "Run", n: int = 2, side: int | tuple[int, int] | None = None) -> Dataset:
    """Noise of the kind, the channels and the statistics of what a run was trained on; the same at every call.

    Args:
        run: trained on anything but a graph.
        n: samples.
        side: of images in pixels, or height and width; None: that of its own, at most that of the largest default views.
    """
    asked, kind = run.config["data"], kind_of(run)
    mean, std = tuple(asked["mean"]), tuple(asked["std"])
    draw, shape = torch.Generator().manual_seed(0), _shape(run)
    if kind == "images":
        own = min(*shape[:2], LARGEST_DEFAULT_SIZE) if shape else LARGEST_DEFAULT_SIZE
        height, width = side if isinstance(side, tuple) else (side or own,) * 2
        some = torch.randint(0, 256, (n, height, width, len(mean)), dtype=torch.uint8, generator=draw)
    else:
        length = () if kind == "rows" else ((shape[1] if shape else READINGS),)
        centre, spread = (torch.tensor(v).reshape(-1, *[1] * len(length)) for v in (mean, std))
        some = centre + spread * torch.randn((n, len(mean), *length), generator=draw)
    return Dataset(some, name=str(asked["name"]), mean=mean, std=std)


def size_of(run: "Run") -> int | None:
    """Side in pixels at which whole images like a run's own are seen; None where it was trained on none."""
    if kind_of(run) != "images":
        return None
    with uncompiled():
        return fits(run, alike(run))


def _shape(run: "Run") -> tuple[int, ...] | None:
    """Of every sample that a run was trained on; None where they differ, or a run of before does not say and they are gone."""
    asked = run.config["data"]
    if "shape" in asked:
        return None if asked["shape"] is None else tuple(asked["shape"])
    if isinstance(run.data, Dataset):
        return run.data.shape
    if asked.get("source") is not None and not is_stream(str(asked["source"])):
        with suppress(InfomaxError, OSError):
            return load(asked["source"], root=asked.get("root"), download=False, **read_by(asked)).shape
    return None
