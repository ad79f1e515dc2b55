r"""Mutual-information estimates as functions of a score matrix: differentiable, in nats, to be maximised.

A score matrix holds a critic's T for every combination of the two sides: `scores[..., i, j] = T(a_i, b_j)`. Its
diagonal holds the N true pairs, drawn from the joint law; the other entries stand for the product of the margins.
Leading dimensions are a batch of independent problems: `... N M -> ...`. M may exceed N (candidates beyond the true
ones follow in the columns).

| function | estimate | of MI it is |
|---|---|---|
| `dv` | E_p[T] - log E_q[e^T] | a lower bound in the population, biased upward on a batch |
| `nwj` | 1 + E_p[T - 1] - E_q[e^(T - 1)] | a lower bound |
| `infonce` | log N + E_p[T - log sum_j e^T_ij] | a lower bound, never above log N; without its true pair none |
| `jsd` | E_p[-softplus(-T)] - E_q[softplus(T)] | no estimate at all: it bounds 2 JSD - 2 log 2 |
| `jsd_lower`, `xi_jsd` | readings of the JSD critic | lower bounds |
| `smile` | DV with a clipped marginal | neither bound, little variance |
| `taylor_dv` | E_p[T] - E_q[T] - Var_q[T] / 2 | no bound: it can exceed MI |

Compare estimates only at equal N and equal temperature. `infomax.mi.ceiling` says how high a cosine critic can reach.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from infomax.errors import ConfigError, DataError, NumericsError
from infomax.kernels.blocks import diagonal

LOG2 = math.log(2.0)


def dv(scores: Tensor, *, all_pairs: bool = False) -> Tensor:
    r"""Donsker-Varadhan: $E_p[T] - \log E_q[e^T]$ (paper, eqs. 14 and 15).

    On a batch this is *not* a lower bound: the logarithm of a sample mean lies below the logarithm of the mean on
    average, so the estimate is too high, and more so for smaller N (true MI 6.9: N = 16 gives 9.3, N = 512 gives 6.86).

    Args:
        scores: T, `... N M`, true pairs on the diagonal.
        all_pairs: take the marginal over all N M entries; the default leaves the true pairs out, as eq. 15 does.

    Returns:
        `...`, nats.

    Raises:
        DataError: not a score matrix. NumericsError: no pair to compare with.

    Example:
        >>> dv(torch.tensor([[2.0, 0.0], [0.0, 2.0]]))
        tensor(2.)

    Source: Donsker & Varadhan 1983; Belghazi et al. 2018, MINE (arXiv:1801.04062).
    """
    positives, marginal, pairs = _split(scores, "dv", all_pairs)
    return positives.mean(-1) - (marginal.logsumexp((-2, -1)) - math.log(pairs))


def nwj(scores: Tensor) -> Tensor:
    r"""Nguyen-Wainwright-Jordan: $1 + E_p[T - 1] - E_q[e^{T - 1}]$, a lower bound on a batch too; tight at T = 1 + log
    p/q.

    Args:
        scores: T, `... N M`, true pairs on the diagonal.

    Returns:
        `...`, nats.

    Raises:
        DataError: not a score matrix. NumericsError: no pair to compare with.

    Example:
        >>> nwj(torch.ones(3, 3))  # the optimum of independent sides
        tensor(0.)

    Source: Nguyen, Wainwright & Jordan 2010 (arXiv:0809.0853); Poole et al. 2019 (arXiv:1905.06922).
    """
    positives, marginal, pairs = _split(scores, "nwj")
    return positives.mean(-1) - (marginal - 1.0).exp().sum((-2, -1)) / pairs


def infonce(scores: Tensor, *, positive_in_denominator: bool = True) -> Tensor:
    r"""InfoNCE: $\log M + E_i[T_{ii} - \log \sum_j e^{T_{ij}}]$, j over all M candidates, including the true one.

    It is never above log M, and therefore useless for a larger MI. Rows are the anchors: it is not symmetric in the two
    sides.

    Args:
        scores: T, `... N M`, true pairs on the diagonal.
        positive_in_denominator: False leaves the true pair out of the sum (and out of the count: log (M - 1)). The
            value is then no longer bounded by log M, and is not a lower bound on MI: with the optimal critic it is
            `leave_one_out_upper`, which is above MI on average.

    Returns:
        `...`, nats.

    Raises:
        DataError: not a score matrix. NumericsError: no pair to compare with.

    Example:
        >>> print(f"{infonce(100 * torch.eye(8)):.4f}")  # told apart perfectly, and yet no more than log 8
        2.0794

    Source: van den Oord et al. 2018, CPC (arXiv:1807.03748); Poole et al. 2019 (arXiv:1905.06922).
    """
    positives, off_diagonal, _ = _split(scores, "infonce")
    if positive_in_denominator:
        return (positives - scores.logsumexp(-1)).mean(-1) + math.log(scores.shape[-1])
    return (positives - off_diagonal.logsumexp(-1)).mean(-1) + math.log(scores.shape[-1] - 1)


def infonce_literal(scores: Tensor) -> Tensor:
    r"""Eq. 20 of the paper to the letter: $\log M + E_i[T_{ii} - \log \tfrac1M \sum_j e^{T_{ij}}]$. **Too high by log
    M.**

    The printed equation has a *mean* inside the logarithm and also adds log N; only one of the two is
    right. At independence with N = 512 it gives 6.238 nats, where the truth is 0. It is here to redraw the paper's
    curves; use `infonce`.

    Args:
        scores: T, `... N M`, true pairs on the diagonal.

    Returns:
        `...`, nats: `infonce(scores) + log M`.

    Raises:
        DataError: not a score matrix. NumericsError: no pair to compare with.

    Example:
        >>> print(f"{infonce_literal(torch.zeros(512, 512)):.3f}")
        6.238
    """
    return infonce(scores) + math.log(scores.shape[-1])


def jsd(scores: Tensor, *, all_pairs: bool = False) -> Tensor:
    r"""Jensen-Shannon: $E_p[-\mathrm{softplus}(-T)] - E_q[\mathrm{softplus}(T)]$ (paper, A.2.2). **Not in units of
    MI.**

    It is the log-likelihood of telling true pairs from false ones. It bounds $2\,\mathrm{JSD} - 2 \log 2$ from below,
    so it is never positive; at T = 0 it is -1.386. It can *fall* as a temperature sharpens while MI rises. To estimate
    MI with the same critic use `jsd_lower`, `xi_jsd` or `smile`.

    Args:
        scores: T, `... N M`, true pairs on the diagonal.
        all_pairs: take the marginal over all N M entries.

    Returns:
        `...`.

    Raises:
        DataError: not a score matrix. NumericsError: no pair to compare with.

    Example:
        >>> print(f"{jsd(torch.zeros(4, 4)):.3f}")
        -1.386

    Source: Nowozin et al. 2016, f-GAN (arXiv:1606.00709); Hjelm et al. 2019, DIM (arXiv:1808.06670).
    """
    positives, marginal, pairs = _split(scores, "jsd", all_pairs)
    return F.logsigmoid(positives).mean(-1) + F.logsigmoid(-marginal).sum((-2, -1)) / pairs


def jsd_shifted(scores: Tensor) -> Tensor:
    r"""`jsd(scores)` $+ 2 \log 2$, as DIM reports it: a lower bound on twice the Jensen-Shannon divergence, 0 at T = 0.

    Args:
        scores: T, `... N M`, true pairs on the diagonal.

    Returns:
        `...`, nats of 2 JSD, at most 2 log 2.

    Raises:
        DataError: not a score matrix. NumericsError: no pair to compare with.

    Example:
        >>> jsd_shifted(torch.zeros(4, 4))
        tensor(0.)

    Source: Hjelm et al. 2019, DIM (arXiv:1808.06670).
    """
    return jsd(scores) + 2.0 * LOG2


def jsd_lower(scores: Tensor) -> Tensor:
    r"""MI from a JSD critic: $1 + E_p[T] - E_q[e^T]$, a lower bound, tight at T = log p/q, where `jsd` is largest.

    It is `nwj` of T + 1: the critic that `jsd` trains is the log-ratio itself, the one that `nwj` trains is 1 above
    it.

    Args:
        scores: T, `... N M`, true pairs on the diagonal.

    Returns:
        `...`, nats.

    Raises:
        DataError: not a score matrix. NumericsError: no pair to compare with.

    Example:
        >>> jsd_lower(torch.zeros(4, 4))
        tensor(0.)

    Source: Poole et al. 2019 (arXiv:1905.06922), section 2.5.
    """
    positives, marginal, pairs = _split(scores, "jsd_lower")
    return 1.0 + positives.mean(-1) - marginal.exp().sum((-2, -1)) / pairs


def xi_jsd(scores: Tensor) -> Tensor:
    r"""MI guaranteed by the value of JSD alone: $\Xi = -\log a$, where a solves

    $$ \mathrm{JSD} = \log 2 - \tfrac12 [(1 + a) \log (1 + a) - a \log a], \qquad \mathrm{JSD} = \tfrac12 \mathtt{jsd}
    + \log 2. $$

    This is the tight envelope: no larger MI follows from that JSD, since p = q on a part of q of mass a attains it. It
    is safe, but low: most laws with the same JSD have a larger MI. Differentiable; it is 0, without gradient, where JSD
    is negative.

    Args:
        scores: T, `... N M`, true pairs on the diagonal.

    Returns:
        `...`, nats.

    Raises:
        DataError: not a score matrix. NumericsError: no pair to compare with.

    Example:
        >>> xi_jsd(torch.zeros(4, 4))
        tensor(0.)
    """
    return xi(jsd(scores))


def xi(value: Tensor) -> Tensor:
    r"""Convert a raw `jsd` value (never positive) into the MI that it guarantees; see `xi_jsd`.

    Args:
        value: `...`, a value of `jsd`, or $2\,\mathrm{JSD} - 2 \log 2$ of the laws themselves.

    Returns:
        `...`, nats.

    Example:
        >>> print(f"{xi(torch.tensor(-1.0)):.4f}")
        0.6121
    """
    # With m = -log a the equation reads h(m) = -value, without cancellation at either end. log h is concave with slopes
    # between -1/2 and -1, so Newton from m = 0 overshoots once and then comes down monotonically.
    target = (-value).clamp(torch.finfo(value.dtype).tiny, 2.0 * LOG2).log()
    with torch.no_grad():
        m = torch.zeros_like(value)
        for _ in range(12):
            log_h, slope = _log_h(m)
            m = (m + (target - log_h) / slope).clamp_min(0.0)
    # One more step that autograd sees: its value changes nothing, its gradient is that of the implicit function.
    log_h, slope = _log_h(m)
    return m + (target - log_h) / slope


def _log_h(m: Tensor) -> tuple[Tensor, Tensor]:
    a = (-m).exp()
    log1p_a = a.log1p()
    # h = a (log1p(a) / a + log1p(a) + m), kept in logarithms: a alone underflows for large m.
    inner = torch.where(a > 1e-6, log1p_a / a.clamp_min(1e-6), 1.0 - a / 2) + log1p_a + m
    return inner.log() - m, -(log1p_a + m) / inner


def smile(scores: Tensor, *, clip: float = 5.0) -> Tensor:
    r"""SMILE: the *value* is DV with its marginal scores clipped to $\pm$clip, the *gradient* is that of `jsd`.

    So it trains stably and is in nats: $E_p[T] - \log E_q[e^{\mathrm{clamp}(T, -c, c)}]$. Clipping trades
    variance for bias, and the value may exceed MI by what the clipped tail contributes.

    Args:
        scores: T, `... N M`, true pairs on the diagonal.
        clip: c, nats; `math.inf` gives the value of `dv`.

    Returns:
        `...`, nats.

    Raises:
        ConfigError: clip is not positive.
        DataError: not a score matrix.
        NumericsError: no pair to compare with.

    Example:
        >>> scores = torch.tensor([[2.0, -9.0], [-9.0, 2.0]])
        >>> smile(scores, clip=5.0), dv(scores)
        (tensor(7.), tensor(11.))

    Source: Song & Ermon 2020 (arXiv:1910.06222).
    """
    if not clip > 0:
        raise ConfigError(f"smile: clip must be positive, got {clip}")
    trained = jsd(scores)
    with torch.no_grad():
        positives, _, pairs = _split(scores, "smile")
        marginal = scores.clamp(-clip, clip).masked_fill(diagonal(scores), -math.inf)
        value = positives.mean(-1) - (marginal.logsumexp((-2, -1)) - math.log(pairs))
    # trained - trained is exactly 0, so the value stays exact to the last bit.
    return value + (trained - trained.detach())


def taylor_dv(scores: Tensor, *, coefficient: float = 0.5) -> Tensor:
    r"""Second-order expansion of DV: $E_p[T] - E_q[T] - c\,\mathrm{Var}_q[T]$. **Not a bound**: it can exceed DV and
    MI.

    (100 clusters, tau = 0.1: MI 4.605, DV 4.601, this 9.495.) The variance is the population one, over the
    off-diagonal pairs.

    Args:
        scores: T, `... N M`, true pairs on the diagonal.
        coefficient: c, 1/2 for the expansion (eq. 24); eq. 11 prints 1.

    Returns:
        `...`, nats.

    Raises:
        DataError: not a score matrix. NumericsError: no pair to compare with.

    Example:
        >>> taylor_dv(torch.tensor([[2.0, 1.0], [-1.0, 2.0]]))
        tensor(1.5000)
    """
    positives, _, pairs = _split(scores, "taylor_dv")
    mask = diagonal(scores)
    mean = scores.masked_fill(mask, 0.0).sum((-2, -1)) / pairs
    # Centred before it is squared: E[T^2] - E[T]^2 loses all digits where the scores hardly vary.
    variance = (scores - mean[..., None, None]).masked_fill(mask, 0.0).square().sum((-2, -1)) / pairs
    return positives.mean(-1) - mean - coefficient * variance


def _split(scores: Tensor, name: str, all_pairs: bool = False) -> tuple[Tensor, Tensor, int]:
    """Positives `... N`; marginal scores `... N M` with what does not count at -inf; how many do count."""
    if scores.ndim < 2 or scores.shape[-1] < scores.shape[-2]:
        raise DataError(
            f"{name}: scores must be ... N M with M >= N and the true pairs on the diagonal, got {tuple(scores.shape)}; "
            "pass T(a_i, b_j) for all i, j"
        )
    n, m = scores.shape[-2:]
    pairs = n * m if all_pairs else n * (m - 1)
    if pairs == 0:
        raise NumericsError(f"{name}: {n} x {m} scores hold no false pair to compare with; give at least two rows")
    positives = scores.diagonal(dim1=-2, dim2=-1)
    return positives, scores if all_pairs else scores.masked_fill(diagonal(scores), -math.inf), pairs
