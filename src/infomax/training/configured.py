"""A run by all options of `infomax train`, as a cell of a sweep and a recipe have them."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from infomax import methods
from infomax.data import Dataset
from infomax.encoders.weights import known_by
from infomax.training.defaults import check_names, dataset, encoder_for, read_for
from infomax.training.loop import OnEpoch
from infomax.training.options import Options, read_back
from infomax.training.prepare import check_machine
from infomax.training.run import Run
from infomax.training.start import train


def configured(
    options: Mapping[str, Any],
    out: Path | None,
    data: Dataset | None = None,
    *,
    progress: bool = True,
    on_epoch: OnEpoch | None = None,
) -> Run:
    """The run that `infomax train` makes of these options.

    Args:
        options: all of them, resolved (`infomax.sweep.grid.resolved`), but for `out`.
        out: folder of the run; None: it is kept nowhere.
        data: in place of what the options name.
        progress, on_epoch: as of `train`.
    """
    taken = {k: v for k, v in options.items() if k in inspect.signature(train).parameters and k not in ("data", "out")}
    asked = read_back(taken)
    own = {name: value for name, value in asked.items() if name in inspect.signature(Options).parameters}
    check_machine(Options(**own), options)  # what cannot be is said before data are read, which takes long
    named = {name: options[name] if isinstance(options[name], str) else "auto" for name in ("encoder", "views")}
    check_names(**named, init=options["init"], size=options["size"])
    torch.manual_seed(options["seed"])
    how = read_for(options["size"])
    samples = dataset(options["data"], options["root"], on_error=options["on_error"], how=how) if data is None else data
    heads = {
        k: tuple(v) if isinstance(v, list) else v for k, v in options.items() if k in methods.options(options["method"])
    }
    encoder = options["encoder"]
    if isinstance(encoder, str):
        encoder = encoder_for(samples, encoder, options["size"], options["init"])
        if options["init"] is not None and (known := known_by(options["init"])):  # a sweep asks whether they changed
            vars(encoder)["recipe"]["init_known_by"] = known
    learner = methods.build(options["method"], encoder, **heads)
    return train(learner, samples, out=out, progress=progress, on_epoch=on_epoch, **asked)
