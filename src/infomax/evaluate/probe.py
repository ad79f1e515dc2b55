r"""Linear probe: multinomial logistic regression on frozen, standardised features.

$$ \min_{W, c} \ \frac1N \sum_i -\log \mathrm{softmax}(W x_i + c)_{y_i} + \frac\lambda2 |W|^2 $$

The penalty is chosen on a held-out part of the training set; then the probe is fitted again on all of it, and the test
set is used once. (The best learning rate of an SGD probe varies by a factor of 300 between methods. L-BFGS on a convex
problem has no learning rate, only one penalty to choose.)
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from infomax.errors import ConfigError, DataError
from infomax.evaluate.numbers import Rows, binomial_error, finite, tensors, wide
from infomax.heap import keep_freed
from infomax.words import many

PENALTIES = (1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)


class ProbeResult(NamedTuple):
    """The result of a linear probe.

    Attributes:
        accuracy: accuracy on the test set, between 0 and 1.
        stderr: its binomial standard error (the sampling of the test set alone).
        penalty: the chosen weight of |W|^2 / 2 (for an SGD probe: its learning rate).
        held_out: accuracy on the held-out part of the training set, for every candidate.
        decay: the chosen weight decay of an SGD probe.
    """

    accuracy: float
    stderr: float
    penalty: float
    held_out: dict[Any, float]
    decay: float = 0.0


class LinearProbe(NamedTuple):
    """A fitted probe: x -> argmax W (x - mean) / scale + bias.

    Attributes:
        weight: C D.
        bias: C.
        mean: D.
        scale: D.
        classes: the C labels, ascending.
    """

    weight: Tensor
    bias: Tensor
    mean: Tensor
    scale: Tensor
    classes: Tensor

    def predict(self, features: Rows) -> Tensor:
        """Predict the class of each row: M D -> M.

        Raises:
            NumericsError: NaN or infinity in the features.
        """
        (features,) = tensors(features)
        x = (finite(features, "probe", "the features").to(self.mean) - self.mean) / self.scale
        return self.classes[F.linear(x, self.weight, self.bias).argmax(1)]


def standardise(features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The features with mean 0 and standard deviation 1, the mean, and the scale.

    Example:
        >>> x, mean, scale = standardise(torch.tensor([[1.0, 7.0], [3.0, 7.0]]))
        >>> x.tolist(), mean.tolist()
        ([[-1.0, 0.0], [1.0, 0.0]], [2.0, 7.0])
    """
    x = wide(features.detach())
    mean, scale = x.mean(0), x.std(0, correction=0)
    # A constant feature (a dead unit) carries nothing: leave it at zero rather than divide by its rounding.
    rounding, most = 8 * torch.finfo(x.dtype).eps, torch.maximum(x.amax(0), -x.amin(0))
    scale = torch.where(scale > rounding * most.clamp_min(1e-30), scale, math.inf)
    return (x - mean).div_(scale), mean, scale


def fit_probe(
    features: Rows, labels: Rows, *, penalty: float, start: LinearProbe | None = None, steps: int = 300
) -> LinearProbe:
    r"""Fit one probe with L-BFGS until no gradient is above 1e-6 nats, an iteration changes less than 1e-9, or `steps`.

    With a weak penalty and features of unequal scales it may stop some percent above the minimum; from there the
    accuracy changes by tenths of a point.

    Args:
        features: N D.
        labels: N integers.
        penalty: $\lambda$; scikit-learn's C is $1 / (\lambda N)$.
        start: start from this probe's weights (for a neighbouring penalty), if it has the same classes.
        steps: maximum number of iterations.

    Returns:
        The probe.

    Raises:
        ConfigError: a negative penalty.
        DataError: shapes that do not fit, or a single class.
        NumericsError: NaN or infinity in the features.

    Example:
        >>> x = torch.tensor([[-2.0], [-1.0], [1.0], [2.0]])
        >>> fit_probe(x, torch.tensor([3, 3, 5, 5]), penalty=1e-2).predict(torch.tensor([[-9.0], [9.0]]))
        tensor([3, 5])
    """
    features, labels = tensors(features, labels)
    if not penalty >= 0:
        raise ConfigError(f"probe: the penalty must be zero or more, got {penalty}")
    _check(features, labels, "training")
    classes, target = _classes(labels)
    keep_freed()
    x, mean, scale = standardise(features)
    if start is not None and torch.equal(start.classes, classes):
        weight, bias = start.weight.clone(), start.bias.clone()
    else:
        weight, bias = x.new_zeros(len(classes), x.shape[1]), x.new_zeros(len(classes))
    parameters = [weight.requires_grad_(), bias.requires_grad_()]
    optimizer = torch.optim.LBFGS(
        parameters, max_iter=steps, history_size=10, tolerance_grad=1e-6, line_search_fn="strong_wolfe"
    )

    def objective() -> Tensor:
        optimizer.zero_grad()
        with torch.enable_grad():
            loss = F.cross_entropy(F.linear(x, weight, bias), target) + 0.5 * penalty * weight.square().sum()
            loss.backward()  # type: ignore[no-untyped-call]
        return loss

    step: Callable[[Callable[[], Tensor]], Tensor] = optimizer.step
    step(objective)
    return LinearProbe(weight.detach(), bias.detach(), mean, scale, classes)


def linear_probe(
    train: Rows,
    train_labels: Rows,
    test: Rows,
    test_labels: Rows,
    *,
    penalties: Sequence[float] = PENALTIES,
    held_out: float = 0.2,
    seed: int = 0,
) -> ProbeResult:
    r"""Linear-probe accuracy, with the penalty chosen without the test set.

    Args:
        train: N D features of the frozen encoder.
        train_labels: N integers.
        test: M D.
        test_labels: M integers.
        penalties: candidates for $\lambda$; if several are equally good, the largest is taken.
        held_out: share of every training class that is held out to choose by.
        seed: random seed of that split.

    Returns:
        A `ProbeResult`.

    Raises:
        ConfigError: no penalty, or a share outside (0, 1).
        DataError: shapes that do not fit, or a single class.
        NumericsError: NaN or infinity in the features.

    Example:
        >>> x = torch.cat([torch.randn(40, 3) - 3, torch.randn(40, 3) + 3])
        >>> y = torch.arange(2).repeat_interleave(40)
        >>> linear_probe(x[::2], y[::2], x[1::2], y[1::2]).accuracy
        1.0
    """
    train, train_labels, test, test_labels = tensors(train, train_labels, test, test_labels)
    if not penalties or not 0 < held_out < 1:
        raise ConfigError(f"probe: needs penalties and 0 < held_out < 1, got {list(penalties)} and {held_out}")
    _check(train, train_labels, "training")
    _check(test, test_labels, "test")
    kept_apart = stratified(train_labels, held_out, seed)
    found: dict[float, float] = {}
    probe = None
    # From the strongest penalty down, each from the last one's solution: the path costs little more than its end.
    for penalty in sorted(penalties, reverse=True):
        probe = fit_probe(train[~kept_apart], train_labels[~kept_apart], penalty=penalty, start=probe)
        found[penalty] = _accuracy(probe, train[kept_apart], train_labels[kept_apart])
    best = max(found, key=lambda penalty: (found[penalty], penalty))
    accuracy = _accuracy(fit_probe(train, train_labels, penalty=best), test, test_labels)
    return ProbeResult(accuracy, binomial_error(accuracy, len(test)), best, found)


def _accuracy(probe: LinearProbe, features: Tensor, labels: Tensor) -> float:
    return (probe.predict(features) == labels).double().mean().item()


def stratified(labels: Tensor, share: float, seed: int) -> Tensor:
    """A mask over N labels that holds out a share of every class, drawn by the seed: for choosing a penalty or learning rate.

    Raises:
        DataError: one label per class, so that none can be held out.
    """
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for label in torch.unique(labels).cpu():
        members = (labels.cpu() == label).nonzero().squeeze(1)
        # A class of one sample stays wholly in the fit; any other lends at least one.
        count = min(max(1, round(share * len(members))), len(members) - 1)
        chosen[members[torch.randperm(len(members), generator=generator)[:count]]] = True
    if not chosen.any():
        raise DataError(
            f"{many(len(labels), 'label')} to learn from, and no class has two: none can be held out to choose a probe's "
            "penalty or fine-tuning's rate by; give a second labelled sample of some class, or take the protocol knn, which "
            "chooses nothing"
        )
    return chosen.to(labels.device)


def _check(features: Tensor, labels: Tensor, what: str) -> None:
    if features.ndim != 2 or labels.shape != features.shape[:1] or len(features) == 0:
        raise DataError(
            f"probe: {what} features must be N D with N labels, got {tuple(features.shape)} and {tuple(labels.shape)}"
        )
    finite(features, "probe", f"the {what} features")


def _classes(labels: Tensor) -> tuple[Tensor, Tensor]:
    """The classes, ascending, and the number of each label among them; of one every accuracy would be 100 %."""
    classes, target = torch.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise DataError(f"probe: all {len(labels)} training labels are {classes.tolist()}; two classes are needed")
    return classes, target
