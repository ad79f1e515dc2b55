"""The mutual information between two trained runs, or two layers of them, off two views of the same samples."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from infomax.data import Dataset, Graph
from infomax.errors import ConfigError, DataError, nearest
from infomax.evaluate.features import feed_of, fits, unseen
from infomax.modes import resting
from infomax.training.defaults import dataset, read_by, read_like, source_of
from infomax.training.watch.monitor import BLOCK

if TYPE_CHECKING:
    from infomax.training.run import Run

SAMPLES = 1000


def layers(run: "Run") -> Mapping[str, nn.Module]:
    """What can be read of a run: `features`, `f`, `g` where there are two branches, and every submodule of f by its name."""
    learner = run.learner
    named = {"features": learner.encoder, "f": learner.f} | ({} if learner.g is None else {"g": learner.g})
    return named | {name: module for name, module in learner.f.named_modules() if name}


def two_runs(
    a: "Run",
    b: "Run",
    data: Any = None,
    *,
    root: str | None = None,
    split: str = "train",
    samples: int = SAMPLES,
    layer_a: str = "features",
    layer_b: str = "features",
) -> tuple[Tensor, Tensor]:
    """What two runs say of two views of the same samples, for `estimate_mi` or `MIMetric`.

    The views are independent, made as each run's were in training, and the modules are in evaluation mode. Two views, and not
    one: of one and the same image both sides would be functions, and their mutual information without limit.

    Args:
        a: a run; it sees the first view. b: another, or the same; it sees the second.
        data: a data set, name or path; by default what `a` was trained on.
        root: where named data sets lie.
        split: `train` or `test`, of named sets.
        samples: at most so many, spread over the data.
        layer_a: `features` (of the encoder), `f` or `g` (behind the projector), or a submodule of f by its name; flattened.
        layer_b: likewise.

    Returns:
        N x D and N x D', row i of the one belonging to row i of the other, in an order drawn once.

    Raises:
        ConfigError: no such layer, too few samples, or views that were a function of the user's. DataError: data that an
            encoder cannot take.
    """
    if samples < 3:
        raise ConfigError(f"samples={samples}: give at least 3 pairs to read, better 1000")
    for run in (a, b):
        if why_not := unseen(run.config):
            raise ConfigError(f"{run.path}: {why_not}")
    asked = a.config["data"]
    source = data if data is not None else a.data if a.data is not None else source_of(asked, root)
    found = dataset(source, root or asked.get("root"), split, how=(read_by if data is None else read_like)(asked))
    said = _said(a, found, samples, layer_a, 0), _said(b, found, samples, layer_b, 1)
    # data may lie sorted by class, which `estimate_mi` could not tell from a time series
    order = torch.randperm(len(said[0]), generator=torch.Generator().manual_seed(0))
    return said[0][order], said[1][order]


@torch.no_grad()
def _said(run: "Run", data: Dataset, samples: int, layer: str, view: int) -> Tensor:
    """N x D, what a layer of a run says of one view."""
    known = layers(run)
    if layer not in known:
        raise ConfigError(f"{run.path}: no layer {layer!r}: {nearest(layer, known)}; submodules of f have names too")
    fits(run, data)
    learner, seen = run.learner, feed_of(run, data).fixed(samples)[view]
    blocks = [seen] if isinstance(data, Graph) else list(seen.split(BLOCK))
    branch = known[layer] if layer in ("features", "f", "g") else learner.f
    outs: list[Tensor] = []
    hook = known[layer].register_forward_hook(lambda _module, _inputs, out: outs.append(out))
    try:
        said = []
        with resting(learner):
            for block in blocks:
                outs.clear()
                branch(block)
                if not outs or not isinstance(outs[-1], Tensor) or outs[-1].ndim < 2:
                    raise DataError(
                        f"{run.path}: layer {layer!r} puts out no rows that could be compared; name another"
                    )
                said.append(outs[-1].flatten(1).float().cpu())
    finally:
        hook.remove()
    return torch.cat(said)
