"""What tables 1 and 4 to 7 train: cells of sweeps, each with every option of `infomax train`; every budget a row of numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from infomax import recipes
from infomax.errors import ConfigError, nearest
from infomax.studies.tables.printed import METHODS, counterpart
from infomax.studies.tables.sources import Source
from infomax.sweep.command import grid_of
from infomax.sweep.folder import Row
from infomax.sweep.grid import Cell

TINY, TINY_EPOCHS = 16, 20
"""Images of at most so many pixels a side take an MLP, views that do not mirror them, and so many epochs when small."""


@dataclass(frozen=True)
class Budget:
    """How much is run.

    Args:
        data: by default.
        seeds: of table 1 and 7.
        epochs: in place of the recipes'; of a small run, of images beyond `TINY`.
        sweep_epochs: in place of the sweeps' 300.
        small: a small encoder and heads, AdamW.
        samples: training images, at most, spread over the data; a third as many test images. None: all.
        sweep_samples: the same of the sweeps.
    """

    data: tuple[str, ...]
    seeds: int
    epochs: int | None
    sweep_epochs: int | None
    small: bool
    samples: int | None
    sweep_samples: int | None


BUDGETS = {
    "minutes": Budget(("digits",), 3, 8, 8, True, 3000, 3000),
    "hour": Budget(("cifar10",), 1, 20, 4, False, None, 10_000),
    "paper": Budget(("cifar10", "cifar100", "tiny-imagenet", "imagenet100"), 3, None, None, False, None, None),
}
"""minutes: two CPU cores, a data set; hour: one GPU; paper: the paper's own, some thousand GPU-hours."""

_PLAIN, _WIDE, _SQUARE = [128, 64], [256, 64], [256, 256]
SMALL: Mapping[str, Mapping[str, Any]] = {
    "sdmi": {"projector": _PLAIN, "temperature": 0.1},
    "simsiam": {"projector": _WIDE, "predictor": [64]},
    "byol": {"projector": _WIDE, "predictor": [256], "momentum": 0.9},
    "moco_v3": {"projector": _WIDE, "predictor": [256], "temperature": 0.2, "momentum": 0.9},
    "jmi": {"projector": _PLAIN, "temperature": 0.1},
    "simclr": {"projector": _PLAIN, "temperature": 0.2},
    "barlow_twins": {"projector": _SQUARE},
    "vicreg": {"projector": _SQUARE},
}
"""Heads of the demo's size and its quick moving average, as in figs. 2 and 7."""


def chosen(methods: Sequence[str] | None) -> tuple[str, ...]:
    """Methods by name, in the order of table 1.

    Raises:
        ConfigError: one that the paper's table does not have, naming the nearest.

    Example:
        >>> chosen(["jmi", "barlow-twins"])
        ('jmi', 'barlow_twins')
    """
    asked = [m.replace("-", "_").lower() for m in methods or METHODS]
    for m in asked:
        if m not in METHODS:
            raise ConfigError(f"--methods {m}: {nearest(m, METHODS)}")
    return tuple(m for m in METHODS if m in asked)


def final(method: str, source: Source, size: Budget, seed: int, changes: Mapping[str, Any]) -> Cell:
    """A run of table 1 or 7: the method as the paper's recipe has it, or a small one."""
    if size.small:
        asked = _small(source) | {
            "method": method,
            **SMALL[method],
            "lr": 2e-3,
            "weight_decay": 1e-4,
            "batch_size": 128,
        }
        asked |= {"optimizer": "adamw", "epochs": TINY_EPOCHS if source.side <= TINY else size.epochs}
    else:
        like = counterpart(source.label) or "cifar10"
        asked = dict(recipes.get(f"paper/{method}-{like}").options)
        if size.epochs is not None:
            asked |= {"epochs": size.epochs, "warmup_epochs": asked["warmup_epochs"] * size.epochs / asked["epochs"]}
        if source.label != like:  # a stand-in keeps its own size
            asked.pop("size", None)
    return Cell.of({**asked, "data": source.data, "root": source.root, "seed": seed, **changes}, "table 1")


def sweep1(method: str, source: Source, size: Budget, changes: Mapping[str, Any]) -> list[Cell]:
    """The paper's grid of table 4, every combination."""
    grid = grid_of(f"paper/sweep1-{method.replace('_', '-')}")
    fixed = {**grid.fixed, "data": source.data, "root": source.root}
    if size.sweep_epochs is not None:
        fixed |= {"epochs": size.sweep_epochs}
    varied = dict(grid.grid)
    if size.small:
        fixed |= _small(source) | {"batch_size": 128} | ({"momentum": 0.9} if "momentum" in fixed else {})
        varied["projector"] = [p.replace("2048", "256") for p in varied["projector"]]
    for key, value in changes.items():
        varied.pop(key, None)
        fixed[key] = value
    return replace(grid, fixed=fixed, grid=varied).cells()


def deeper(row: Row) -> Cell:
    """A cell of sweep-2: the best one of sweep-1 with a projector of one layer more."""
    hidden, *rest = row.options["projector"]
    return Cell({**row.options, "projector": [hidden, hidden, *rest]})


def _small(source: Source) -> dict[str, Any]:
    tiny = source.side <= TINY
    return {"encoder": "auto", "views": "gentle" if tiny else "simclr", "size": None if tiny else TINY}
