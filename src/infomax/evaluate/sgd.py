r"""Many linear probes trained at once with SGD: one for every learning rate and weight decay, as columns of one product.

$$ \min_{W_p, c_p} \ \frac1N \sum_i -\log \mathrm{softmax}(W_p x_i + c_p)_{y_i}, \qquad
   v \leftarrow \mu v + \nabla + \lambda_p W_p, \quad W_p \leftarrow W_p - \eta_p \tfrac{1 + \cos \pi t}{2} v $$

This is the protocol of the papers (momentum 0.9, a cosine schedule, no augmentation). The choice that they leave to the
reader is made on a held-out part of the training set: the best learning rate of a probe varies by a factor of 300
between methods.
"""

import itertools
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F

from infomax.errors import ConfigError
from infomax.evaluate.numbers import Rows, binomial_error, tensors
from infomax.evaluate.probe import LinearProbe, ProbeResult, _accuracy, _check, _classes, standardise, stratified
from infomax.heap import keep_freed

RATES = tuple(0.003 * 10 ** (k / 4) for k in range(12))
"""Learning rates on standardised features, at batches of 512: 0.003 to 1.7."""


def sgd_probes(
    features: Rows,
    labels: Rows,
    *,
    rates: Sequence[float],
    decays: Sequence[float],
    epochs: int = 30,
    batch: int = 512,
    momentum: float = 0.9,
    seed: int = 0,
) -> list[LinearProbe]:
    """Train a probe for each pair of a learning rate and a weight decay, all on the same batches.

    Args:
        features: N D.
        labels: N integers.
        rates: learning rates, one per probe.
        decays: weight decays, one per probe.
        epochs: passes over the features.
        batch: rows per update.
        momentum: momentum of SGD.
        seed: random seed of the shuffling.

    Returns:
        The probes, in their order; the weights of one that diverged are not finite.

    Raises:
        ConfigError: no learning rate, or not one weight decay for each.
        DataError, NumericsError: as in `fit_probe`.

    Example:
        >>> x = torch.tensor([[-2.0], [-1.0], [1.0], [2.0]])
        >>> probes = sgd_probes(x, torch.tensor([3, 3, 5, 5]), rates=(0.1, 1.0), decays=(0.0, 0.0))
        >>> [p.predict(torch.tensor([[-9.0], [9.0]])).tolist() for p in probes]
        [[3, 5], [3, 5]]
    """
    features, labels = tensors(features, labels)
    if not rates or len(rates) != len(decays) or epochs < 1 or batch < 1:
        raise ConfigError(
            f"probes: need a decay for each of at least one rate, epochs and batch of 1 or more, got rates {list(rates)}, "
            f"decays {list(decays)}, epochs={epochs}, batch={batch}"
        )
    _check(features, labels, "training")
    classes, target = _classes(labels)
    keep_freed()
    x, mean, scale = standardise(features)
    n, width, count = len(x), len(classes), len(rates)
    # rows of the weights: probe by probe, class by class. Products of few rows are several times faster than of few columns.
    rate = x.new_tensor(rates).repeat_interleave(width)[:, None]
    decay = x.new_tensor(decays).repeat_interleave(width)[:, None]
    weight, bias = x.new_zeros(count * width, x.shape[1]), x.new_zeros(count * width, 1)
    slow_weight, slow_bias = torch.zeros_like(weight), torch.zeros_like(bias)
    generator = torch.Generator().manual_seed(seed)
    steps, step = epochs * -(-n // batch), 0
    with torch.no_grad():
        for _ in range(epochs):
            for rows in torch.split(torch.randperm(n, generator=generator).to(x.device), batch):
                seen = x.index_select(0, rows)  # twice as fast as by an index
                scores = torch.addmm(bias, weight, seen.T).view(count, width, -1)
                truth = F.one_hot(target[rows], width).T.to(x.dtype)
                error = scores.softmax(1).sub_(truth).view(count * width, -1)
                slow_weight.addmm_(error, seen, beta=momentum, alpha=1 / len(rows)).addcmul_(weight, decay)
                slow_bias.mul_(momentum).add_(error.mean(1, keepdim=True))
                now = rate * (0.5 + 0.5 * math.cos(math.pi * step / steps))
                weight.addcmul_(slow_weight, now, value=-1)
                bias.addcmul_(slow_bias, now, value=-1)
                step += 1
    found = zip(weight.view(count, width, -1), bias.view(count, width), strict=True)
    return [LinearProbe(w, c, mean, scale, classes) for w, c in found]


def sgd_probe(
    train: Rows,
    train_labels: Rows,
    test: Rows,
    test_labels: Rows,
    *,
    rates: Sequence[float] = RATES,
    decays: Sequence[float] = (0.0,),
    epochs: int = 30,
    batch: int = 512,
    held_out: float = 0.2,
    seed: int = 0,
) -> ProbeResult:
    """Accuracy of a linear probe trained with SGD, with learning rate and weight decay chosen without the test set.

    Args:
        train: N D features of the frozen encoder.
        train_labels: N integers.
        test: M D.
        test_labels: M integers.
        rates: learning rates to choose from.
        decays: weight decays to choose from, each combined with every learning rate.
        epochs: passes over the features.
        batch: rows per update.
        held_out: share of every training class that is held out to choose by.
        seed: random seed of that split and of the shuffling.

    Returns:
        A `ProbeResult`; its `penalty` is the chosen learning rate, `decay` the weight decay, and `held_out` has an
            accuracy for every (rate, decay).

    Raises:
        ConfigError, DataError, NumericsError: as in `linear_probe`.

    Example:
        >>> x = torch.cat([torch.randn(40, 3) - 3, torch.randn(40, 3) + 3])
        >>> y = torch.arange(2).repeat_interleave(40)
        >>> sgd_probe(x[::2], y[::2], x[1::2], y[1::2]).accuracy
        1.0
    """
    train, train_labels, test, test_labels = tensors(train, train_labels, test, test_labels)
    if not 0 < held_out < 1:
        raise ConfigError(f"probe: needs 0 < held_out < 1, got {held_out}")
    _check(train, train_labels, "training")
    _check(test, test_labels, "test")
    grid = list(itertools.product(rates, decays))
    apart = stratified(train_labels, held_out, seed)
    tried = sgd_probes(
        train[~apart], train_labels[~apart], rates=[r for r, _ in grid], decays=[d for _, d in grid],
        epochs=epochs, batch=batch, seed=seed,
    )  # fmt: skip
    # one that diverged names the first class for every row, and could win where that is the largest
    seen = [_accuracy(p, train[apart], train_labels[apart]) if p.weight.isfinite().all() else -1.0 for p in tried]
    scores = dict(zip(grid, seen, strict=True))
    rate, decay = max(scores, key=lambda pair: (scores[pair], -pair[0]))  # of equals the slower
    (probe,) = sgd_probes(train, train_labels, rates=[rate], decays=[decay], epochs=epochs, batch=batch, seed=seed)
    accuracy = _accuracy(probe, test, test_labels)
    return ProbeResult(accuracy, binomial_error(accuracy, len(test)), rate, scores, decay)
