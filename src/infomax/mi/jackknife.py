r"""Readings and their standard errors, by leaving out one pair at a time.

Pairs are independent, scores are not: N pairs make N(N-1) false ones, so the spread of the scores says nothing about that of
an estimate. Leaving out pair k removes a true pair, a row and a column. With v_k the reading without pair k
(of InfoNCE nearly: `sums` counts a small share x as x),

$$ \mathrm{se}^2 = \tfrac{N-1}{N} \sum_k (v_k - \bar v)^2. $$

Its square is not too small on average (Efron & Stein 1981), though of few pairs a normal interval of it is short, and up to
twice too large, where neither rows nor columns differ in their partition (an even sphere). It says how much the reading would
vary from sample to sample at this N, with this critic; not how far the reading lies below the mutual information.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from infomax.mi.bounds import LOG2, xi
from infomax.mi.sums import Sums


def standard_error(left_out: Tensor) -> Tensor:
    """The jackknife's standard error from the N values with one pair left out: N -> scalar.

    Example:
        >>> x = torch.tensor([1.0, 2.0, 3.0, 6.0])
        >>> standard_error((x.sum() - x) / 3)  # of a mean: the textbook's
        tensor(1.0801)
    """
    n = len(left_out)
    return ((n - 1) / n * (left_out - left_out.mean()).square().sum()).sqrt()


def with_and_without(s: Sums, *, coefficient: float) -> dict[str, tuple[Tensor, Tensor]]:
    """Every reading on all pairs, a scalar, and without each one of them, N; nats, float64."""
    n = len(s.positives)
    counts = n * (n - 1), (n - 1) * (n - 2)  # false pairs: of all, and without one

    def true(x: Tensor) -> tuple[Tensor, Tensor]:
        total = x.sum()
        return total / n, (total - x) / (n - 1)

    def false(both: Tensor) -> tuple[Tensor, Tensor]:
        total = both.sum() / 2
        return total / counts[0], (total - both) / counts[1]

    def of(formula: Callable[..., Tensor], *terms: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return formula(*(x for x, _ in terms)), formula(*(x for _, x in terms))

    joint = true(s.positives)
    marginal = s.log_rows.logsumexp(0) - math.log(counts[0]), s.log_others - math.log(counts[1])
    clipped = s.clipped.sum() / 2 / counts[0], s.clipped_others / counts[1]
    jsd = of(lambda p, q: p - q, true(F.logsigmoid(s.positives)), false(s.softplus))
    loss = s.positives - torch.logaddexp(s.log_rows, s.positives)
    mean, _ = true(loss)
    infonce = mean + math.log(n), (loss.sum() - loss + s.candidate) / (n - 1) + math.log(n - 1)
    return {
        "dv": of(lambda p, m: p - m, joint, marginal),
        "infonce": infonce,
        "nwj": of(lambda p, m: p - (m - 1).exp(), joint, marginal),
        "jsd": jsd,
        "jsd_lower": of(lambda p, m: 1 + p - m.exp(), joint, marginal),
        "jsd_shifted": of(lambda v: v + 2 * LOG2, jsd),
        "xi_jsd": of(xi, jsd),
        "smile": of(lambda p, c: p - c.log(), joint, clipped),
        "taylor_dv": of(
            lambda p, m, q: p - m - coefficient * (q - m.square()), joint, false(s.scores), false(s.squares)
        ),
    }
