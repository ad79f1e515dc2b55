r"""Bounds with a baseline of their own, and bounds that use a known density (Poole et al. 2019, arXiv:1905.06922).

| function | estimate | of MI it is |
|---|---|---|
| `tuba` | 1 + E_p[T - log a] - E_q[e^T / a] | a lower bound, for any baseline a > 0 |
| `interpolated` | TUBA with a = alpha m + (1 - alpha) q, m the row's own partition | a lower bound, to O(1/M) |
| `barber_agakov` | H(X) + E_p[log q(x given y)] | a lower bound, where H(X) is known |
| `barber_agakov_upper` | E_p[log p(y given x) - log r(y)] | an upper bound, where p(y given x) is known |
| `leave_one_out_upper` | the same, r the mean of the other rows' conditionals | likewise |

A score matrix is as in `infomax.mi.bounds`: `scores[..., i, j] = T(a_i, b_j)`, true pairs on the diagonal.
"""

import math

import torch
from torch import Tensor, nn

from infomax.errors import ConfigError, DataError, nearest
from infomax.mi.bounds import _split


def tuba(scores: Tensor, log_baseline: Tensor | float) -> Tensor:
    r"""TUBA: $1 + E_p[T - \log a] - E_q[e^T / a]$, the tractable bound of Barber and Agakov with an unnormalised critic.

    It is a lower bound for every baseline a > 0 that does not depend on the scores of its own row, tight at T = log p/q
    + log a. a = e is `nwj`, a = 1 `jsd_lower`. A baseline is learned by maximising the same value. It is unbiased and
    has no ceiling; its variance grows as e^MI.

    Args:
        scores: T, `... N M`, true pairs on the diagonal.
        log_baseline: log a, nats: one number, or `... N`, one per row.

    Returns:
        `...`, nats.

    Raises:
        DataError: not a score matrix. NumericsError: no pair to compare with.

    Example:
        >>> tuba(torch.ones(3, 3), 1.0)
        tensor(0.)

    Source: Poole et al. 2019 (arXiv:1905.06922), eq. 6.
    """
    positives, marginal, pairs = _split(scores, "tuba")
    base = torch.as_tensor(log_baseline, dtype=scores.dtype, device=scores.device)
    marginal = marginal - (base[..., None] if base.ndim else base)
    return 1.0 + (positives - base).mean(-1) - marginal.exp().sum((-2, -1)) / pairs


def interpolated(scores: Tensor, *, alpha: float, log_baseline: Tensor | float = 0.0) -> Tensor:
    r"""The bound I_alpha between TUBA (alpha = 0) and InfoNCE (alpha = 1):

    $$ 1 + E_i\Big[T_{ii} - \log\big(\alpha m_i + (1 - \alpha) q_i\big)\Big]
       - E_i\Big[\frac{m'_i}{\alpha m'_i + (1 - \alpha) q_i}\Big], $$

    with m_i the mean of e^T over the M candidates of row i, m'_i that over its M - 1 false ones, q the baseline. On a
    batch it is never above 1 + log(M / alpha): with a smaller alpha it can be higher, and varies more. (The false mean
    is over M - 1 candidates, since a row has no more that are independent of it: the difference is of order 1/M.)

    Args:
        scores: T, `... N M`, true pairs on the diagonal.
        alpha: in [0, 1].
        log_baseline: log q, nats: one number, or `... N`, one per row.

    Returns:
        `...`, nats.

    Raises:
        ConfigError: alpha outside [0, 1].
        DataError: not a score matrix.
        NumericsError: no pair to compare with.

    Example:
        >>> scores = 100 * torch.eye(8)
        >>> [round(float(interpolated(scores, alpha=a)), 3) for a in (1.0, 0.5, 0.01)]  # log 8, and above
        [2.079, 2.773, 6.685]

    Source: Poole et al. 2019 (arXiv:1905.06922), eqs. 14 and 15.
    """
    if not 0 <= alpha <= 1:
        raise ConfigError(f"interpolated: alpha lies between 0 (TUBA) and 1 (InfoNCE), got {alpha}")
    positives, false, _ = _split(scores, "interpolated")
    m = scores.shape[-1]
    base = torch.as_tensor(log_baseline, dtype=scores.dtype, device=scores.device)
    log_alpha, log_rest = (math.log(x) if x > 0 else -math.inf for x in (alpha, 1 - alpha))

    def mixed(log_mean: Tensor) -> Tensor:
        return torch.logaddexp(log_alpha + log_mean, (log_rest + base).expand_as(log_mean))

    every, others = scores.logsumexp(-1) - math.log(m), false.logsumexp(-1) - math.log(m - 1)
    return 1.0 + (positives - mixed(every)).mean(-1) - (others - mixed(others)).exp().mean(-1)


def barber_agakov(log_conditional: Tensor, *, entropy: float | Tensor) -> Tensor:
    r"""Barber-Agakov: $I(X; Y) \ge H(X) + E_p[\log q(x | y)]$, for any decoder q; unbiased, and too low by KL(p, q).

    Its ceiling is H(X), if x is discrete.

    Args:
        log_conditional: log q(x_i given y_i) of the true pairs, `... N`.
        entropy: H(X), nats: known for labels, seldom for images.

    Returns:
        `...`, nats.

    Example:
        >>> barber_agakov(torch.zeros(5), entropy=math.log(10))  # a decoder that is always right about ten classes
        tensor(2.3026)

    Source: Barber & Agakov 2003; Poole et al. 2019 (arXiv:1905.06922), eq. 2.
    """
    return log_conditional.mean(-1) + entropy


def barber_agakov_upper(log_conditional: Tensor, log_marginal: Tensor) -> Tensor:
    r"""$I(X; Y) \le E_p[\log p(y | x) - \log r(y)]$, for any r: the rate of a variational autoencoder.

    Unbiased, and too high by KL(p(y), r); it has no ceiling.

    Args:
        log_conditional: log p(y_i given x_i), `... N`, of the *true* encoder: with another encoder this is not a bound.
        log_marginal: log r(y_i), `... N`.

    Returns:
        `...`, nats.

    Example:
        >>> barber_agakov_upper(torch.tensor([-1.0, -2.0]), torch.tensor([-3.0, -3.0]))
        tensor(1.5000)

    Source: Agakov 2006; Poole et al. 2019 (arXiv:1905.06922), eq. 1; Alemi et al. 2017 (arXiv:1612.00410).
    """
    return (log_conditional - log_marginal).mean(-1)


def leave_one_out_upper(log_conditionals: Tensor) -> Tensor:
    r"""$I(X; Y) \le E_i[\log p(y_i | x_i) - \log \tfrac{1}{N-1} \sum_{j \ne i} p(y_i | x_j)]$: other rows as the marginal.

    An upper bound on average; if N is far below e^MI it varies much.

    Args:
        log_conditionals: log p(y_j given x_i) at `[..., i, j]`, `... N N`, of the true encoder.

    Returns:
        `...`, nats.

    Raises:
        DataError: not square.

    Example:
        >>> leave_one_out_upper(torch.tensor([[0.0, -3.0], [-3.0, 0.0]]))
        tensor(3.)

    Source: Poole et al. 2019 (arXiv:1905.06922), section 2.1, the leave-one-out upper bound.
    """
    if log_conditionals.ndim < 2 or log_conditionals.shape[-1] != log_conditionals.shape[-2]:
        raise DataError(f"leave_one_out_upper: need log p(y_j | x_i), ... N N, got {tuple(log_conditionals.shape)}")
    positives, marginal, _ = _split(log_conditionals.mT, "leave_one_out_upper")
    return (positives - marginal.logsumexp(-1)).mean(-1) + math.log(marginal.shape[-1] - 1)


class MINE(nn.Module):
    r"""MINE: the *value* is `dv`, the *gradient* that of DV with its denominator averaged over the updates.

    The gradient of log E_q[e^T] on a batch, E_q[e^T dT] / E_q[e^T], is biased, since the numerator and the denominator
    share their samples. Here the denominator is an exponential moving average: $\bar m \leftarrow (1 - r) \bar m + r
    E_q[e^T]$.

    What it bounds, its ceiling and the bias of its value are those of `dv`; training varies less. One module keeps one
    average and so serves one problem: `N M`, without leading dimensions.

    Args:
        rate: r, the weight of the newest batch; 1 is plain `dv`.

    Raises:
        ConfigError: rate outside (0, 1].
        DataError: leading dimensions.

    Example:
        >>> mine = MINE(rate=0.1)
        >>> mine(torch.tensor([[2.0, 0.0], [0.0, 2.0]]))
        tensor(2.)

    Source: Belghazi et al. 2018 (arXiv:1801.04062), section 3.2.
    """

    log_mean: Tensor

    def __init__(self, *, rate: float = 0.01) -> None:
        super().__init__()
        if not 0 < rate <= 1:
            raise ConfigError(f"MINE: rate lies in (0, 1], got {rate}")
        self.rate = rate
        self.register_buffer("log_mean", torch.full((), math.nan, dtype=torch.float64))  # nan: no batch seen yet

    def forward(self, scores: Tensor) -> Tensor:
        """N M, true pairs on the diagonal -> scalar, nats; in training mode the average is updated."""
        positives, marginal, pairs = _split(scores, "mine")
        return self.of(positives.mean(-1), marginal.logsumexp((-2, -1)) - math.log(pairs))

    def of(self, joint: Tensor, log_marginal: Tensor) -> Tensor:
        """The same from E_p[T] and log E_q[e^T], scalars, which a kernel may have made."""
        if joint.ndim or log_marginal.ndim:
            raise DataError(
                f"MINE: keeps the average of one problem, N M, and got problems {tuple(log_marginal.shape)}; take one MINE each"
            )
        newest = log_marginal.detach().double()
        if self.training:
            old = newest if self.log_mean.isnan() else self.log_mean
            weight = math.log1p(-self.rate) if self.rate < 1 else -math.inf
            self.log_mean = torch.logaddexp(old + weight, newest + math.log(self.rate))
        average = newest if self.log_mean.isnan() else self.log_mean
        climbed = (newest - average).exp().to(log_marginal.dtype) * log_marginal
        return joint - (log_marginal.detach() + climbed - climbed.detach())


LOCAL = ("dv", "infonce", "nwj", "jsd", "jsd_lower", "smile", "taylor_dv")


def local(name: str, scores: Tensor, *, clip: float = 5.0, coefficient: float = 0.5) -> Tensor:
    r"""The contribution of every true pair to an estimate: `... N` whose mean is the estimate.

    If a pair's contribution is low, the critic does not tell it from a false one; if it is high, the pair is easily
    found. `dv`, `smile` and `taylor_dv` compare every pair with the one marginal of the batch, the others with that of
    its row:
    $T_{ii} - \log E_q[e^T]$, $T_{ii} - \log \tfrac1M \sum_j e^{T_{ij}}$, $T_{ii} - E_j[e^{T_{ij} - 1}]$ and so on. One
    contribution
    alone is not a bound on anything (it may be negative); only their mean is an estimate.

    Args:
        name: dv, infonce, nwj, jsd, jsd_lower, smile or taylor_dv.
        scores: T, `... N M`, true pairs on the diagonal.
        clip: clip of SMILE.
        coefficient: coefficient of Taylor-DV.

    Returns:
        `... N`, nats.

    Raises:
        ConfigError: another name.
        DataError: not a score matrix.
        NumericsError: no pair to compare with.

    Example:
        >>> local("infonce", torch.tensor([[9.0, 0.0], [0.0, 0.0]]))
        tensor([0.6930, 0.0000])

    Source: pointwise mutual information, Fano 1961; as an estimate per sample, Poole et al. 2019 (arXiv:1905.06922).
    """
    if name not in LOCAL:
        raise ConfigError(f"local: no share is defined for {name!r}: {nearest(name, LOCAL)}")
    positives, marginal, pairs = _split(scores, f"local {name}")
    per_row = scores.shape[-1] - 1
    whole = (-2, -1)
    if name == "infonce":
        return positives - scores.logsumexp(-1) + math.log(per_row + 1)
    if name == "nwj":
        return positives - (marginal - 1).exp().sum(-1) / per_row
    if name == "jsd_lower":
        return 1 + positives - marginal.exp().sum(-1) / per_row
    if name == "jsd":
        false = nn.functional.logsigmoid(-marginal).sum(-1) / per_row
        return nn.functional.logsigmoid(positives) + false
    if name == "smile":
        marginal = marginal.masked_fill(marginal.isfinite(), 0.0) + scores.clamp(-clip, clip)
    if name == "taylor_dv":
        false = marginal.isneginf()
        t = scores.masked_fill(false, 0.0)
        mean = t.sum(whole, keepdim=True) / pairs
        variance = (scores - mean).masked_fill(false, 0.0).square().sum(whole) / pairs
        return positives - (mean.squeeze(-1).squeeze(-1) + coefficient * variance)[..., None]
    return positives - (marginal.logsumexp(whole) - math.log(pairs))[..., None]
