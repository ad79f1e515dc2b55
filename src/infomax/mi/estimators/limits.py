"""How high mutual information may be where so little was read that no normal interval holds."""

import math


def null_se(n: int, df: int) -> float:
    """Of a likelihood ratio at independence: 2 n I is chi-squared with df degrees of freedom."""
    return math.sqrt(2 * df) / (2 * n)


def upper(value: float, bias: float, se: float, n: int, df: int) -> float:
    r"""The MI under which a reading this low has a probability of 2.5 %.

    A normal interval is too short at weak dependence: its error is read off the same reading near zero, and vanishes with it
    (of 2 x 2 counts, n = 300, 30 % of such limits were below a truth of 0.007). What holds there is Wilks's law,
    $2 n \hat I \sim \chi^2(df, \lambda = 2 n I)$, which has $\hat I$ vary by $\sqrt{2 I / n}$ where dependence is strong. It
    varies by `se` there: the law is taken as that of $I / \kappa$, $\kappa = n\,se^2 / 2 I$, which is 1 at weak dependence,
    and is left at 1 where it is so for some I between the reading and the reading with its bias.

    Args:
        value: of MI, nats, its bias taken off; below 0 it counts as 0.
        bias: what was taken off.
        se: standard error by the delta method.
        n: pairs.
        df: parameters that independence lacks: dx dy of a Gaussian, (r - 1)(c - 1) of counts.

    Example:
        >>> round(upper(0.0, 0.0, 0.0, 300, 1), 4)  # what 300 pairs cannot exclude
        0.0146
        >>> round(upper(1.0, 0.0, 0.03, 1000, 1), 3)  # 1.96 standard errors and a little
        1.06
    """
    from scipy.optimize import brentq
    from scipy.special import chndtr

    biased, value, spread, scale = value + bias, max(0.0, value), n * se**2 / 2, 1.0
    if spread < value:
        scale = spread / value
    elif spread > biased > 0:
        scale = spread / biased
    if scale == 0.0:
        return value
    size = 2 * n * value / scale
    seen = df + size
    if seen > 1e9:  # the law is normal there, and from 1e11 on `chndtr` is no number
        return scale * (size + 1.96 * math.sqrt(2 * df + 4 * size)) / (2 * n)
    far = (math.sqrt(seen) + 4.0) ** 2  # were MI that high, a reading this low would be four deviations away
    return scale * float(brentq(lambda at: chndtr(seen, df, at) - 0.025, 0.0, far)) / (2 * n)
