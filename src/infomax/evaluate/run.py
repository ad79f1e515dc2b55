"""What a trained encoder is worth: the protocol, written once for runs, the demo and the command line."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from infomax.data import Dataset, Graph
from infomax.errors import DataError, NoSuchSplit
from infomax.evaluate.features import encode
from infomax.evaluate.gauges import effective_rank, spread
from infomax.evaluate.knn import knn_accuracy
from infomax.evaluate.probe import linear_probe
from infomax.training.feed import dataset, standardises, view_size
from infomax.views import recipe
from infomax.views.signal import standardised

if TYPE_CHECKING:
    from infomax.training.run import Run

Statistics = tuple[Sequence[float], Sequence[float]]
"""Mean and std of each channel, images on the [0, 1] scale."""

HELD_OUT = 5  # every fifth sample of a class is the test set of data that come without one


def features(
    encoder: nn.Module,
    data: Dataset,
    size: int | None = None,
    *,
    statistics: Statistics | None = None,
    progress: bool = True,
) -> Tensor:
    """Features of every sample, in evaluation mode: the whole image, resized and normalised; N x width.

    Args:
        encoder: view -> features.
        data: what to encode.
        size: side of the images in pixels.
        statistics: mean and std of each channel that the encoder was trained with; by default those of `data`.
        progress: show a bar over two seconds.
    """
    device = next((p.device for p in encoder.parameters()), torch.device("cpu"))
    if isinstance(data, Graph):
        was = encoder.training
        encoder.eval()
        with torch.no_grad():
            z: Tensor = encoder((data.x.to(device), data.edge_index.to(device)))
        encoder.train(was)
        return z.cpu()
    if not standardises(data):
        return encode(encoder, data.images, progress=progress)
    mean, std = statistics or (data.mean, data.std)
    if not data.is_images:
        return encode(encoder, data.images, progress=progress, views=lambda x: standardised(x, mean, std))
    whole = recipe("none", size=view_size(data, size), mean=mean, std=std)

    def view(images: Any) -> Tensor:
        return whole(images, torch.arange(len(images)))[0].to(device, memory_format=torch.channels_last)

    return encode(encoder, data.images, progress=progress, views=view)


def fits(run: "Run", data: Dataset) -> None:
    """See that a run's encoder can take some data, by two samples of it, before all are encoded.

    Raises:
        DataError: naming both kinds of data, where it cannot.
    """
    asked = run.config["data"]

    def kind(channels: int, what: str) -> str:
        return f"{channels} {what}{'' if channels == 1 else 's'}"

    if isinstance(data, Graph):
        what = kind(data.channels, "feature") + " a node of a graph"
    else:
        what = kind(data.channels, "channel" if data.is_images else "dimension")
    cannot = f"an encoder trained on {asked['name']!r} cannot take {data.name!r} ({what})"
    if len(asked["mean"]) != data.channels:
        raise DataError(f"{cannot}: it was trained on {kind(len(asked['mean']), 'channel')}. Give data of its own kind")
    some = data if isinstance(data, Graph) else Dataset(data.images[:2], mean=data.mean, std=data.std)
    try:
        features(run.learner.encoder, some, run.config["training"]["size"], progress=False)
    except (RuntimeError, TypeError, ValueError) as error:  # an encoder of the user's may say anything
        raise DataError(f"{cannot}: {str(error).splitlines()[0]}") from error


def splits(data: Dataset, test: Dataset | None) -> tuple[Tensor, Tensor, str]:
    """Rows of train and test within their sets, and how the split came about."""
    if isinstance(data, Graph):
        return data.train, data.test, "the graph's public split"
    n = len(data)
    if test is not None:
        return torch.arange(n), torch.arange(len(test)), "the test split of the data set"
    if data.labels is None:
        held = torch.arange(n) % HELD_OUT == 0
    else:
        rank = torch.zeros_like(data.labels)
        for c in torch.unique(data.labels):
            members = data.labels == c
            rank[members] = torch.arange(int(members.sum()))
        held = (
            rank % HELD_OUT == 1
        )  # the second, seventh, ...: a class of one is learnt from, a class of two tested too
    which = "" if data.labels is None else " of each class"
    return (~held).nonzero()[:, 0], held.nonzero()[:, 0], f"every {HELD_OUT}th sample{which} held out as test"


def judge(train: Tensor, train_labels: Tensor, test: Tensor, test_labels: Tensor, seed: int = 0) -> dict[str, float]:
    """Linear probe and nearest neighbours of some features, in percent; the test rows are used once each."""
    probe = linear_probe(train, train_labels, test, test_labels, seed=seed)
    return {
        "linear": 100 * probe.accuracy,
        "linear_se": 100 * probe.stderr,
        "penalty": probe.penalty,
        "knn": 100 * knn_accuracy(train, train_labels, test, test_labels),
    }


class Findings(dict[str, Any]):
    """What an evaluation found: a mapping that prints as a few lines."""

    def __str__(self) -> str:
        return as_text(self)


def evaluate(run: "Run", data: Any = None, *, root: str | None = None) -> Findings:
    """Judge a run's frozen encoder on labelled data.

    Linear probe: L-BFGS logistic regression on standardised features, its penalty chosen on a held-out fifth of train,
    then fitted again on all of it. kNN: k = 20, cosine, weighted at temperature 0.07. The test set is used once for each.

    Args:
        run: a run with its learner.
        data: a data set, name or path; None: what the run was trained on.
        root: where named data sets lie.

    Returns:
        accuracies in percent (`linear`, `linear_se` its binomial standard error, `knn`), how they were measured
        (`protocol`), and the gauges of the run's last epoch.

    Raises:
        DataError: where the data have no labels, or are of a kind that the encoder cannot take.
    """
    asked = run.config["data"]
    source = data if data is not None else run.data if run.data is not None else asked.get("source") or asked["name"]
    root = root or asked.get("root")
    train = dataset(source, root)
    if train.labels is None:
        raise DataError(f"{train.name!r} has no labels, so nothing can be probed: give labelled data (--data)")
    fits(run, train)
    test = None
    if train.origin is not None and not isinstance(train, Graph):
        name, where = train.origin
        try:
            test = dataset(name, where, split="test")
        except NoSuchSplit:
            test = None  # `splits` holds rows out and says so
    if test is not None and test.labels is None:
        test = None
    size = run.config["training"]["size"]
    encoder, statistics = run.learner.encoder, (asked["mean"], asked["std"])
    z = features(encoder, train, size, statistics=statistics)
    fit, held, how = splits(train, test)
    if test is None or test.labels is None:
        z_test, y_test = z[held], train.labels[held]
    else:
        z_test, y_test = features(encoder, test, size, statistics=statistics), test.labels
    found = judge(z[fit], train.labels[fit], z_test, y_test)
    last = run.history[-1] if run.history else {}
    some = torch.linspace(0, len(z) - 1, min(10 * z.shape[1], len(z))).long()  # spread, since rows may lie by class
    return Findings(
        {
            "data": train.name,
            "train": len(fit),
            "test": len(y_test),
            "protocol": f"frozen encoder, offline; {how}; penalty chosen on a held-out fifth of train",
            **found,
            "width": z.shape[1],
            "feature_rank": float(effective_rank(z[some])),
            "feature_std": float(spread(z)),
            "gauges": {k: v for k, v in last.items() if k not in ("loss", "seconds", "lr")},
        }
    )


def as_text(found: dict[str, Any]) -> str:
    """The findings as a few lines for a terminal."""
    gauges = found["gauges"]
    lines = [
        f"{found['data']}: {found['train']} train, {found['test']} test; {found['protocol']}",
        f"linear probe  {found['linear']:.2f} % +- {found['linear_se']:.2f} (binomial), penalty {found['penalty']:g}",
        f"kNN (k = 20)  {found['knn']:.2f} %",
        f"features      {found['width']} wide, effective rank {found['feature_rank']:.1f}, std {found['feature_std']:.2f}",
    ]
    if gauges:
        lines.append(
            f"embedding     effective rank {gauges['effective_rank']:.1f}, std {gauges['std']:.2f}; InfoNCE "
            f"{gauges['mi_infonce']:.2f} of at most {gauges['ceiling_infonce']:.2f} nats (cos/0.1)"
        )
    return "\n".join(lines)
