r"""The largest value of each estimate with a cosine critic: the line to draw with every curve.

A cosine over $\tau$ spans only $2/\tau$ nats, and on a batch less: with $c$ the mean cosine of the true pairs and $o$
that of the false ones, $c - o \le N/(N-1)$, reached by a regular simplex whose two views coincide. All ceilings follow
from this inequality and Jensen's. Each is attained by some embedding of at least N dimensions, so none can be
lowered.
"""

import math
from functools import cache, lru_cache

import numpy as np
import torch
from torch import Tensor

from infomax.errors import ConfigError, check_number, nearest
from infomax.mi.bounds import xi

CEILINGS = ("dv", "taylor_dv", "nwj", "infonce", "infonce_literal", "jsd", "jsd_lower", "xi_jsd")


def ceiling(bound: str, *, tau: float, n: int | None = None) -> float:
    r"""The largest value that an estimate can take with the critic $\cos / \tau$ on a batch of n pairs.

    | bound | batch | population |
    |---|---|---|
    | dv, taylor_dv | $\frac{N}{(N-1)\tau}$ | $1/\tau$ |
    | infonce | $\log N - \log(1 + (N-1) e^{-N/((N-1)\tau)})$, below both $\log N$ and $1/\tau$ | $1/\tau$ |
    | infonce_literal | that + log N | $\infty$ |
    | nwj | $1/\tau - e^{-1/((N-1)\tau) - 1}$ | $1/\tau - e^{-1}$ |
    | jsd_lower | $1 + 1/\tau - e^{-1/((N-1)\tau)}$ | $1/\tau$ |
    | jsd | $\max_t -s(-\frac{1-2t}{\tau}) - s(-\frac{1 + t(N-2)}{(N-1)\tau})$, s the softplus | N to infinity |
    | xi_jsd | `xi` of the line above | likewise |

    (For `jsd` a share t of every vector's energy may go into opposite constant offsets of the two views, which lowers
    the false pairs' scores at the expense of the true ones'. The simpler $-2\,\mathrm{softplus}(-1/\tau)$ holds too,
    but nothing reaches it for N > 2.)

    Args:
        bound: one of the names above.
        tau: temperature the estimate is read at.
        n: pairs in the batch, at least 2; None for the limit of many.

    Returns:
        Nats (for `jsd` its own unit).

    Raises:
        ConfigError: unknown bound, tau not positive, or n below 2.

    Example:
        >>> [round(ceiling(name, tau=0.1, n=512), 3) for name in ("dv", "infonce", "jsd")]
        [10.02, 6.216, -0.066]
    """
    if bound not in CEILINGS:
        raise ConfigError(f"no ceiling is known for {bound!r}: {nearest(bound, CEILINGS)}")
    check_number("ceiling: tau", tau, above=True)
    if n is not None and n < 2:
        raise ConfigError(f"ceiling: a batch needs at least 2 pairs, got n={n}")
    rest = 0.0 if n is None else 1.0 / (n - 1)  # minus the mean cosine of a simplex's false pairs
    if bound in ("dv", "taylor_dv"):
        return (1.0 + rest) / tau
    if bound == "infonce":
        return 1.0 / tau if n is None else math.log(n) - math.log1p((n - 1) * math.exp(-(1.0 + rest) / tau))
    if bound == "infonce_literal":
        return math.inf if n is None else ceiling("infonce", tau=tau, n=n) + math.log(n)
    if bound == "nwj":
        return 1.0 / tau - math.exp(-rest / tau - 1.0)
    if bound == "jsd_lower":
        return 1.0 / tau - math.expm1(-rest / tau)
    if bound == "jsd":
        return _jsd(tau, rest)
    return float(xi(torch.tensor(_jsd(tau, rest), dtype=torch.float64)))


def uniform_dv(*, tau: float, dim: int) -> float:
    r"""DV of perfectly aligned views spread uniformly over the sphere, the best that a sphere of that dimension allows:

    $$ \frac1\tau - \log E[e^{u/\tau}], \qquad u = \cos\theta, \quad p(\theta) \propto \sin^{D-2} \theta. $$

    Args:
        tau: temperature.
        dim: D, width of the embedding, at least 2.

    Returns:
        Nats, in the limit of many pairs.

    Raises:
        ConfigError: tau not positive, or fewer than 2 dimensions.

    Example:
        >>> [round(uniform_dv(tau=t, dim=d), 3) for d, t in [(3, 1.0), (3, 0.1), (256, 1.0), (256, 0.1)]]
        [0.839, 2.996, 0.998, 9.805]
    """
    if not tau > 0 or dim < 2:
        raise ConfigError(f"uniform_dv: needs tau > 0 and at least 2 dimensions, got tau={tau}, dim={dim}")
    if dim == 3:  # u is uniform on [-1, 1], and E[e^(u/tau)] = tau sinh(1/tau)
        return math.log(2.0 / tau) - math.log(-math.expm1(-2.0 / tau))
    if dim % 2 == 0:
        # sin^(D-2) is smooth and even in theta: the midpoint rule of a periodic function converges faster than any power.
        theta = (torch.arange(4096, dtype=torch.float64) + 0.5) * (math.pi / 4096)
        u, log_weight = theta.cos(), (dim - 2) * theta.sin().log()
    else:
        # For odd D theta's density has a kink at the poles, but u's, (1 - u^2)^((D-3)/2), is a polynomial.
        u, log_weight = _legendre()
        log_weight = log_weight + (dim - 3) / 2 * torch.log1p(-u.square())
    return 1.0 / tau - float((log_weight + u / tau).logsumexp(0) - log_weight.logsumexp(0))


@cache
def _legendre() -> tuple[Tensor, Tensor]:
    u, weight = np.polynomial.legendre.leggauss(512)
    return torch.from_numpy(u), torch.from_numpy(weight).log()


@lru_cache(1024)  # a run reads on one number of pairs: found once, it need not be sought after every epoch
def _jsd(tau: float, rest: float) -> float:
    def true(t: float) -> float:
        return (1.0 - 2.0 * t) / tau

    def false(t: float) -> float:
        return -(rest + t * (1.0 - rest)) / tau

    low, high = 0.0, 1.0
    for _ in range(100):  # concave in t: bisect the sign of its slope
        t = (low + high) / 2.0
        if (1.0 - rest) * _sigmoid(false(t)) > 2.0 * _sigmoid(-true(t)):
            low = t
        else:
            high = t
    return -_softplus(-true(low)) - _softplus(false(low))


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def _sigmoid(x: float) -> float:
    return math.exp(-_softplus(-x))
