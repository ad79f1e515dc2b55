"""What an encoder's accuracies are to be measured by: those of the same encoder untrained, and of the samples as they are."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from infomax.data import Dataset
from infomax.encoders import again
from infomax.evaluate.cache import kept, key
from infomax.evaluate.features import features
from infomax.evaluate.protocols import knn, linear

if TYPE_CHECKING:
    from infomax.training.run import Run

GREY, COLOUR = 32, 16
"""Largest side in pixels at which raw images are judged: some thousand numbers each, which a probe takes seconds for."""


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
        run: whose encoder is drawn anew.
        train: labelled data; `fit`, the rows of it to learn from.
        test: labelled data (it may be the same); `held`, the rows of it to be tried on.
        size: side in pixels at which the encoder sees whole images.
        seed: of the weights, and of the probe's split.
        progress: show a bar over two seconds.

    Returns:
        percents of the encoder with new weights (`untrained`; not where it has no name to be built by), and of the samples
        as they are (`raw`; images at `size` pixels, at most 32, of colour 16).
    """
    asked = run.config["data"]
    statistics = (asked["mean"], asked["std"])
    raw = min(size or COLOUR, GREY if train.channels == 1 else COLOUR) if train.is_images else None
    nets: dict[str, tuple[nn.Module, int | None]] = {"raw": (Raw(), raw)}
    if run.config["encoder"]:
        nets = {"untrained": (untrained(run, seed), size)} | nets
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
    return found


def untrained(run: "Run", seed: int) -> nn.Module:
    """The encoder of a run with weights drawn anew, where the run's own are."""
    trained = next(run.learner.encoder.parameters(), torch.empty(0))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return again(run.config["encoder"]).to(trained.device, trained.dtype)


def baseline_lines(found: dict[str, dict[str, Any]]) -> list[str]:
    """What was found, a line each, for a terminal.

    Example:
        >>> print(*baseline_lines({"raw": {"linear": 90.0, "linear_se": 1.0, "knn": 80.0, "knn_se": 2.0, "size": 16}}))
        raw pixels      linear probe 90.00 % +- 1.00, kNN 80.00 % +- 2.00 (binomial), at 16 px
    """
    said = []
    for name, one in found.items():
        size = one.get("size")
        what = "untrained" if name == "untrained" else "raw samples" if size is None else "raw pixels"
        of = ": this encoder, weights drawn anew" if name == "untrained" else "" if size is None else f", at {size} px"
        both = ", ".join(
            f"{p} {one[k]:.2f} % +- {one[f'{k}_se']:.2f}" for p, k in (("linear probe", "linear"), ("kNN", "knn"))
        )
        said.append(f"{what:15} {both} (binomial){of}")
    return said
