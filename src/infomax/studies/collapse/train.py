"""One run of the study: trained, its warnings heard, its embedding judged at the end."""

import re
import time
import warnings
from typing import Any

import torch

from infomax import encoders
from infomax.learner import CollapseWarning
from infomax.studies.collapse.plan import WORLDS, Cell, build
from infomax.studies.curves.train import flagged, some_of, view_of
from infomax.training.defaults import dataset
from infomax.training.start import train
from infomax.training.watch.collapse import ADVICE


def run_cell(cell: Cell) -> dict[str, Any]:
    """Train one cell.

    Returns:
        `std`, `effective_rank` and `mi_infonce` of the last epoch, read off fixed samples; `flagged`, the share of the run
        after which a collapse was said, or None; `by`, as what: point or directions; `cpu_seconds`.
    """
    began, world = time.process_time(), WORLDS[cell.world]
    data = some_of(dataset(world.data, cell.root), world.samples)
    torch.manual_seed(cell.seed)
    encoder = encoders.get(
        world.encoder,
        channels=data.channels,
        size=data.size or 1,
        **dict[str, Any]({"hidden": 128} if world.encoder == "mlp" else {}),
    )
    learner = build(cell.name, encoder, world)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        run = train(
            learner,
            data,
            views=view_of(data),
            epochs=world.epochs,
            batch_size=world.batch_size,
            optimizer=world.optimizer,
            lr=world.lr,
            seed=cell.seed,
            device="cpu",
            progress=False,
            gauge_samples=500,
            intervals=False,
        )
    heard = [str(w.message) for w in said if issubclass(w.category, CollapseWarning)]
    # the gauges at an epoch's end, which may be the first to say it, know of a point only
    by = next((sign for sign, advice in ADVICE.items() if advice in heard[0]), "point") if heard else None
    seen = None if not heard else re.sub(r"^.*?: (std .*? nats).*$", r"\1", heard[0])
    end = {key: run.history[-1][key] for key in ("std", "effective_rank", "mi_infonce")}
    found = {"name": cell.name, "world": cell.world, "seed": cell.seed, **end, "seen": seen}
    return found | {
        "flagged": flagged(heard, world.epochs),
        "by": by,
        "cpu_seconds": time.process_time() - began,
    }
