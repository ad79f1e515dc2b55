"""Marginals that constrain the batch's own moments: surrogates of the log-partition (paper, section 3.4 and A.3)."""

import torch
from torch import Tensor

from infomax.errors import check_number
from infomax.marginal.base import Collapse, Marginal
from infomax.moments import off_diagonal_squares, standardize


class VarianceCovariance(Marginal):
    """Keep the standard deviation of every column above 1, and the columns uncorrelated (arXiv:2105.04906, eqs. 1-4).

    variance * 1/2 sum_views mean_d max(0, 1 - sqrt(var_d + eps)) + covariance * sum_views sum_{i != j} cov_ij^2 / D

    Args:
        variance: weight of the hinge (the authors': 25).
        covariance: weight of the covariances (the authors': 1).
        eps: added to the variance under the root.

    Raises:
        ConfigError: a setting that is negative or not a number.

    Where sources differ: the authors average the hinge over the two views; solo-learn sums it, which is twice the
    weight.

    Example:
        >>> import torch
        >>> z = torch.zeros(8, 3)
        >>> VarianceCovariance(variance=1.0, eps=0.0).penalty(z, z)
        tensor(1.)
    """

    symmetric = True

    def __init__(self, variance: float = 25.0, covariance: float = 1.0, eps: float = 1e-4) -> None:
        super().__init__()
        for name, value in {"variance": variance, "covariance": covariance, "eps": eps}.items():
            check_number(f"VarianceCovariance: {name}", value)
        self.variance, self.covariance, self.eps = variance, covariance, eps
        spread: tuple[Collapse, ...] = ("point", "nothing") if variance > 0 else ()
        self.guards = (*spread, "directions") if covariance > 0 else spread

    def _hinge(self, z: Tensor) -> Tensor:
        variance = (z.var(-2) + self.eps).clamp_min(torch.finfo(z.dtype).tiny)  # the slope of a root at 0 is infinite
        return (1 - variance.sqrt()).relu().mean(-1)

    def _correlated(self, z: Tensor) -> Tensor:
        centred = z - z.mean(-2, keepdim=True)
        return off_diagonal_squares(centred, centred) / ((z.shape[-2] - 1) ** 2 * z.shape[-1])

    def penalty(self, a: Tensor, b: Tensor) -> Tensor:
        """... N D, ... N D -> ... ."""
        hinge = (self._hinge(a) + self._hinge(b)) / 2
        correlated = self._correlated(a) + self._correlated(b)
        return self.variance * hinge + self.covariance * correlated


class Decorrelation(Marginal):
    """weight * sum_{i != j} C_ij^2, with C the correlation matrix between the views (arXiv:2103.03230, eq. 1).

    Args:
        weight: lambda times the method's scale (the authors': 0.0051).

    Raises:
        ConfigError: a weight that is negative or not a number.

    Where sources differ: the authors' code standardises with the biased variance and eps 1e-5 (a batch norm), as here;
    their pseudo-code with the unbiased variance and no eps.

    Example:
        >>> import torch
        >>> z = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
        >>> round(float(Decorrelation(weight=1.0).penalty(z, z)), 3)
        2.0
    """

    symmetric = True

    def __init__(self, weight: float = 0.0051) -> None:
        super().__init__()
        check_number("Decorrelation: weight", weight)
        self.weight = weight
        self.guards = Marginal.guards if weight > 0 else ()

    def penalty(self, a: Tensor, b: Tensor) -> Tensor:
        """... N D, ... N D -> ... ."""
        return self.weight * off_diagonal_squares(standardize(a), standardize(b)) / a.shape[-2] ** 2
