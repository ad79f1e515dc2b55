r"""Accuracies while a run trains, outside its gradient: a linear probe and nearest neighbours, on features computed anyway.

The probe is trained on the encoder's outputs for the training batches, detached from their graph. It is a softmax
regression on standardised features, with one SGD step per update,

$$ x = (h - \mu) / \sigma, \qquad v \leftarrow 0.9\, v + \tfrac1B \sum_i (\mathrm{softmax}(W x_i + c) - y_i)\, x_i^\top, \qquad
   W \leftarrow W - \eta v. $$

After every epoch it is tested on held-out samples, at most 1000 and at most `SHARE` of the data, so that encoding them
is less than 3 % of the epoch's work. The neighbours are searched among the samples on which the run's gauges are
computed. The run's weights are the same bits with and without it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from infomax.data import Dataset, gather
from infomax.data.order import spread
from infomax.errors import DataError
from infomax.evaluate.knn import knn_predict
from infomax.evaluate.numbers import binomial_error
from infomax.learner import Learner
from infomax.parallel import gather_rows, local_slice, world
from infomax.training.feed import Feed

SHARE, MOST = 0.15, 1000
"""Of the data, and samples at most, that are held out to be tried on: an epoch of two views encodes 6 times as much."""
RATE, MOMENTUM = 0.05, 0.9
NEIGHBOURS = 20


class OnlineProbe:
    """A linear probe that learns one batch at a time.

    Args:
        width: D, the number of features.
        classes: number of classes C; labels are 0 to C - 1.
        device: device of the computation.

    Example:
        >>> probe, rng = OnlineProbe(2, 2), torch.Generator().manual_seed(0)
        >>> for _ in range(50):
        ...     y = torch.randint(0, 2, (64,), generator=rng)
        ...     probe.update(torch.randn(64, 2, generator=rng) + 4 * y[:, None], y)
        >>> probe.predict(torch.tensor([[0.0, 0.0], [4.0, 4.0]])).tolist()
        [0, 1]
    """

    def __init__(self, width: int, classes: int, device: torch.device | str = "cpu") -> None:
        def zeros(*shape: int) -> Tensor:
            return torch.zeros(*shape, device=device)

        self.state = {
            "weight": zeros(width + 1, classes),  # the last row is c
            "slow": zeros(width + 1, classes),
            "mean": zeros(width),
            "variance": zeros(width),
            "share": torch.zeros((), device=device),  # of the moving averages that is filled
        }

    @torch.no_grad()
    def update(self, features: Tensor, labels: Tensor) -> None:
        """Make one update on B x D features and B labels."""
        s, h = self.state, features.float()
        variance, mean = torch.var_mean(h, 0, correction=0)
        for key, now in (("mean", mean), ("variance", variance), ("share", torch.ones_like(s["share"]))):
            s[key].lerp_(now, 1 - MOMENTUM)
        x = F.pad((h - mean) * (variance + 1e-5).rsqrt(), (0, 1), value=1.0)
        error = (x @ s["weight"]).softmax(-1)
        error[torch.arange(len(h), device=h.device), labels] -= 1.0
        s["slow"].mul_(MOMENTUM).addmm_(x.T, error, alpha=1 / len(h))
        s["weight"].sub_(s["slow"], alpha=RATE)

    @torch.no_grad()
    def predict(self, features: Tensor) -> Tensor:
        """The class of each row: M D -> M."""
        s = self.state
        share = s["share"].clamp_min(1e-12)
        x = (features.float() - s["mean"] / share) * (s["variance"] / share + 1e-5).rsqrt()
        return F.linear(x, s["weight"][:-1].T, s["weight"][-1]).argmax(-1)


class Online:
    """Reads the encoder's outputs during a run, and computes after every epoch how accurately its features predict the labels.

    Args:
        learner: learner of the run; the outputs of f's encoder are used.
        feed: feed of the run, with labelled data.
        probe, knn: which accuracies are computed.
        gauged: number of samples on which the run's gauges are computed.
        size: side of the views in pixels.

    Raises:
        DataError: data without labels, with a single class, or of which none can be held out.
    """

    def __init__(self, learner: Learner, feed: Feed, *, probe: bool, knn: bool, gauged: int, size: int | None) -> None:
        from infomax.evaluate.splits import some_held, splits, test_of

        data = feed.data
        self.asked = [n for n, wanted in (("probe", probe), ("knn", knn)) if wanted]
        if data.labels is None:
            options = " and ".join(f"--online-{n}" for n in self.asked)
            raise DataError(f"{options}: {data.name!r} {data.no_labels}; leave it out, or give data that have")
        test = test_of(data)
        fit, held, self.how = splits(data, test)
        some_held(data, held, test)
        if not len(fit):
            raise DataError(f"{data.name!r} names no nodes to learn from: there is no online accuracy of it")
        classes = torch.unique(data.labels[data.labels >= 0])  # graphs mark nodes without a label
        if len(classes) < 2:
            options = " and ".join(f"--online-{n}" for n in self.asked)
            raise DataError(
                f"{options}: all labels of {data.name!r} are {classes.tolist()}, and an accuracy needs two; leave it out"
            )
        self.classes = classes
        self.learns = torch.zeros(len(data), dtype=torch.bool)
        self.learns[fit] = True
        self.bank = torch.arange(len(data)) if feed.whole else spread(data.images, gauged)  # as `Feed.fixed` has them
        # a graph's nodes are all encoded for its gauges, those of its test split too
        self.held = None if feed.whole else _some(data if test is None else test, held, len(data), data)
        self.tested = held  # of a graph; of other data `held` has them
        truth = data.labels[held] if self.held is None else self.held.labels
        assert truth is not None
        self.truth = torch.where(torch.isin(truth, classes), torch.searchsorted(classes, truth), -1)
        self.encoder, self.data, self.size = learner.encoder, data, size
        self.learner: OnlineProbe | None = None
        self._heard: list[Tensor] | None = None
        self._hook = self.encoder.register_forward_hook(self._hear)

    def _labels(self, rows: Tensor) -> Tensor:
        """Numbers of the classes of some samples as they are now: one that could not be decoded took another's label."""
        assert self.data.labels is not None
        return torch.searchsorted(self.classes, self.data.labels[rows])

    def _hear(self, module: nn.Module, inputs: Any, output: Any) -> None:
        if self._heard is not None:
            self._heard.append(output.detach().flatten(1))

    @contextmanager
    def listening(self) -> Iterator[list[Tensor]]:
        """Collect the encoder's outputs inside this context, in the order in which they are computed."""
        heard: list[Tensor] = []
        self._heard = heard
        try:
            yield heard
        finally:
            self._heard = None

    def close(self) -> None:
        """Stop collecting outputs."""
        self._hook.remove()

    def state(self) -> dict[str, Tensor]:
        """The state for a checkpoint."""
        return {} if self.learner is None else self.learner.state

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Restore the state from a checkpoint."""
        if state:
            device = next(self.encoder.parameters()).device
            self.learner = OnlineProbe(len(state["mean"]), len(self.classes), device)
            self.learner.state = {k: t.to(device, copy=True) for k, t in state.items()}

    def learn(self, heard: Sequence[Tensor], index: Tensor) -> None:
        """Train the probe on the first view of a global batch, the samples `index`; held-out samples are left out."""
        if "probe" not in self.asked:
            return
        h = gather_rows(_first(heard, len(index) // world()).contiguous())
        # of a sample that could not be decoded only the process that tried knows whose label it took
        labels = gather_rows(self._labels(index[local_slice(len(index))])[:, None].to(h.device))[:, 0]
        rows = self.learns[index].to(h.device)
        if self.learner is None:
            self.learner = OnlineProbe(h.shape[1], len(self.classes), h.device)
        if rows.sum() > 1:
            self.learner.update(h[rows], labels[rows])

    @torch.no_grad()
    def read(self, heard: Sequence[Tensor]) -> dict[str, float]:
        """Accuracies in percent, their binomial standard errors, and the number of held-out samples.

        Args:
            heard: the encoder's outputs on the samples of the run's gauges, in evaluation mode.
        """
        from infomax.evaluate.features import features

        z = _first(heard, len(self.bank))
        if self.held is None:
            queries, learns = z[self.tested.to(z.device)], self.learns
        else:
            queries, learns = features(self.encoder, self.held, self.size, progress=False).to(z), self.learns[self.bank]
        truth = self.truth.to(z.device)
        said: dict[str, Tensor] = {}
        if self.learner is not None:
            said["probe"] = self.learner.predict(queries)
        if "knn" in self.asked:
            rows = learns.to(z.device)
            said["knn"] = knn_predict(
                z[rows].float(), self._labels(self.bank).to(z.device)[rows], queries.float(), k=NEIGHBOURS
            )
        found: dict[str, float] = {}
        for name, predicted in said.items():
            p, n = float((predicted == truth).double().mean()), len(truth)
            found |= {f"online_{name}": 100 * p, f"online_{name}_se": 100 * binomial_error(p, n)}
        return found | {"online_n": len(truth)}


def _first(heard: Sequence[Tensor], rows: int) -> Tensor:
    """The first view's rows: the encoder is given a batch whole, or in pieces, view by view."""
    return torch.cat(list(heard))[:rows]


def _some(data: Dataset, held: Tensor, samples: int, whole: Dataset) -> Dataset:
    """Held-out samples, few enough, spread over those there are."""
    count = max(1, min(MOST, int(SHARE * samples), len(held)))
    rows = held[torch.linspace(0, len(held) - 1, count).long()]
    assert data.labels is not None
    return Dataset(gather(data.images, rows), data.labels[rows], mean=whole.mean, std=whole.std, name=data.name)


def as_text(row: Mapping[str, float]) -> str | None:
    """The accuracies in a row of the log, with the name of the protocol; None if none were asked for.

    Example:
        >>> as_text({"online_knn": 90.0, "online_knn_se": 3.0, "online_n": 100})
        'while training: kNN (k = 20) 90.0 % +- 3.0 (binomial), on 100 test samples'
    """
    names = {"online_probe": "online linear probe", "online_knn": f"kNN (k = {NEIGHBOURS})"}
    said = [
        f"{name} {row[key]:.1f} % +- {row[f'{key}_se']:.1f} (binomial)" for key, name in names.items() if key in row
    ]
    return f"while training: {', '.join(said)}, on {row['online_n']} test samples" if said else None
