"""What an encoder's accuracies are to be measured by: those of the same encoder untrained, or as it began where that was with
given weights, and of the samples as they are.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from infomax.data import Dataset
from infomax.encoders import again, get
from infomax.encoders.weights import PRETRAINED, known_by
from infomax.errors import DataError, InfomaxError, warn
from infomax.evaluate.cache import kept, key
from infomax.evaluate.features import features
from infomax.evaluate.protocols import knn, linear

if TYPE_CHECKING:
    from infomax.training.run import Run

GREY, COLOUR = 32, 16
"""Largest side in pixels at which raw images are judged: some thousand numbers each, which a probe takes seconds for."""


UNTRAINED, INIT = "untrained", "init"
"""The encoder with weights drawn anew, and with those that it began with."""


class Raw(nn.Module):
    """Samples as they are, flattened; of a graph the features of its nodes.

    Example:
        >>> Raw()(torch.zeros(5, 3, 2, 2)).shape
        torch.Size([5, 12])
    """

    def forward(self, x: Tensor | tuple[Tensor, Tensor]) -> Tensor:
        """B ... -> B D."""
        return (x if isinstance(x, Tensor) else x[0]).flatten(1)


def baselines(
    run: "Run",
    train: Dataset,
    fit: Tensor,
    test: Dataset,
    held: Tensor,
    *,
    size: int | None = None,
    seed: int = 0,
    progress: bool = True,
) -> dict[str, dict[str, Any]]:
    """Linear probe and nearest neighbours without what the run has learnt.

    Args:
        run: whose encoder is drawn anew, or given the weights that it began with (`init`).
        train: labelled data; `fit`, the rows of it to learn from.
        test: labelled data (it may be the same); `held`, the rows of it to be tried on.
        size: side in pixels at which the encoder sees whole images.
        seed: of the weights, and of the probe's split.
        progress: show a bar over two seconds.

    Returns:
        percents of the encoder with new weights (`untrained`; not where it has no name to be built by), in their place
            of a run that began with given weights those (`init`; `weights` says which), and of the samples as they are
            (`raw`; images at `size` pixels, at most 32, of colour 16).

    Warns:
        UserWarning: those weights have changed or cannot be had, so that new ones stand in their place.
    """
    asked = run.config["data"]
    statistics = (asked["mean"], asked["std"])
    raw = min(size or COLOUR, GREY if train.channels == 1 else COLOUR) if train.is_images else None
    nets: dict[str, tuple[nn.Module, int | None]] = {"raw": (Raw(), raw)}
    if run.config["encoder"]:
        name, net = before(run, seed)
        nets = {name: (net, size)} | nets
    found: dict[str, dict[str, Any]] = {}

    def encoded(net: nn.Module, side: int | None, part: Dataset, name: str) -> Tensor:
        def make() -> Tensor:
            return features(net, part, side, statistics=statistics, progress=progress)

        return kept(run.path, key(net, part, name, side, *statistics), part, make)

    for name, (net, side) in nets.items():
        z = encoded(net, side, train, name)
        other = z if test is train else encoded(net, side, test, name)
        assert train.labels is not None and test.labels is not None
        known = (z[fit], train.labels[fit], other[held], test.labels[held], seed)
        found[name] = linear(*known) | knn(*known)
    if raw is not None:
        found["raw"]["size"] = raw
    if INIT in found:
        found[INIT]["weights"] = given_weights(run.config["encoder"])
    return found


def before(run: "Run", seed: int) -> tuple[str, nn.Module]:
    """The encoder of a run before it learnt, where the run's own is, and by which name it goes: `init`, with the weights that
    it began with; `untrained`, with weights drawn anew, where these were.
    """
    recipe = run.config["encoder"]
    trained, name = next(run.learner.encoder.parameters(), torch.empty(0)), UNTRAINED
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = None
        if source := given_weights(recipe):
            try:
                name, encoder = INIT, _given(recipe, source)
            except (InfomaxError, OSError) as error:
                name = UNTRAINED
                warn(f"the baseline is of weights drawn anew, for want of those that the run began with: {error}")
        encoder = again(recipe) if encoder is None else encoder
        return name, encoder.to(trained.device, trained.dtype)


def given_weights(recipe: Mapping[str, Any]) -> str | None:
    """Which weights an encoder began with, by its recipe; None: they were drawn at random.

    Example:
        >>> given_weights({"name": "resnet8", "init": "runs/a"}), given_weights({"name": "timm/vit", "pretrained": True})
        ('runs/a', 'pretrained')
    """
    source = recipe.get("init") or (PRETRAINED if recipe.get("pretrained") else recipe.get("checkpoint_path"))
    return str(source) if source else None


def _given(recipe: Mapping[str, Any], source: str) -> nn.Module:
    """An encoder with those weights.

    Raises:
        DataError, ConfigError, OSError: they have changed since, or cannot be had.
    """
    known = recipe.get("init_known_by")
    if known is not None and known_by(source) != known:
        raise DataError(f"{source} has changed since")
    return get(**{key: value for key, value in recipe.items() if key != "init_known_by"})


def of_source(weights: str | None, as_path: Callable[[str], str] = str) -> str:
    """Which weights those are, in words.

    Args:
        weights: `pretrained`, or where they lie.
        as_path: how a path is written.

    Example:
        >>> of_source("pretrained"), of_source("runs/a")
        ('as published', 'of runs/a')
    """
    return "as published" if weights == PRETRAINED else f"of {as_path(str(weights))}"


def baseline_lines(found: dict[str, dict[str, Any]]) -> list[str]:
    """What was found, a line each, for a terminal.

    Example:
        >>> begun = {"linear": 85.0, "linear_se": 1.0, "knn": 80.0, "knn_se": 2.0, "weights": "runs/a"}
        >>> print(*baseline_lines({"init": begun}))
        as it began     linear probe 85.00 % +- 1.00, kNN 80.00 % +- 2.00 (binomial): this encoder, weights of runs/a
        >>> print(*baseline_lines({"raw": {"linear": 90.0, "linear_se": 1.0, "knn": 80.0, "knn_se": 2.0, "size": 16}}))
        raw pixels      linear probe 90.00 % +- 1.00, kNN 80.00 % +- 2.00 (binomial), at 16 px
    """
    said = []
    for name, one in found.items():
        size = one.get("size")
        what = {UNTRAINED: "untrained", INIT: "as it began"}.get(name, "raw samples" if size is None else "raw pixels")
        which = {UNTRAINED: "drawn anew", INIT: of_source(one.get("weights"))}.get(name)
        of = f": this encoder, weights {which}" if which else "" if size is None else f", at {size} px"
        both = ", ".join(
            f"{p} {one[k]:.2f} % +- {one[f'{k}_se']:.2f}" for p, k in (("linear probe", "linear"), ("kNN", "knn"))
        )
        said.append(f"{what:15} {both} (binomial){of}")
    return said
