"""Joint terms E_p(a,b)[T]: they pull the two views of a sample together.

A joint term maps `... N D, ... N D -> ...`, in nats, and is maximised.
"""

from typing import Any

from torch import Tensor, nn

from infomax.critic import Critic, paired_scores, unsaid
from infomax.errors import check_number, check_part
from infomax.moments import standardize


class Joint(nn.Module):
    """E_p(a,b)[T]; subclass it and define `forward(a, b)`.

    Example:
        >>> class Closest(Joint):
        ...     symmetric = True
        ...     def forward(self, a, b): return -(a - b).abs().sum(-1).mean(-1)
        >>> import torch
        >>> Closest()(torch.zeros(2, 3), torch.ones(2, 3))
        tensor(-3.)
    """

    symmetric = False  # forward(a, b) = forward(b, a)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        unsaid(cls, "forward")

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """... N D, ... N D -> ... ."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward(a, b)")


class Alignment(Joint):
    """weight * mean_i T(a_i, b_i), the joint term of eq. 14.

    Args:
        critic: the critic T, which scores the true pairs.
        weight: factor of the mean (VICReg: 25); with 1 it is in nats.

    Raises:
        ConfigError: an argument that is not a critic, or a weight that is negative or not a number; when it is called,
            a critic whose `paired` returns another shape than N.

    Example:
        >>> import torch
        >>> from infomax import Cosine
        >>> Alignment(Cosine(temperature=0.5))(torch.eye(3), torch.eye(3))
        tensor(2.)
    """

    symmetric = True  # where the critic is

    def __init__(self, critic: Critic, weight: float = 1.0) -> None:
        super().__init__()
        check_part("Alignment", critic, Critic, "im.Cosine(0.1)")
        check_number("Alignment: weight", weight)
        self.critic, self.weight = critic, weight
        self.symmetric = self.symmetric and critic.symmetric

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """... N D, ... N D -> ... ."""
        return self.weight * paired_scores(self.critic, a, b).mean(-1)


class CorrelationDiagonal(Joint):
    """-scale * sum_i (1 - C_ii)^2, with C the correlation matrix between the views (arXiv:2103.03230, eq. 1).

    Args:
        scale: factor of the sum.

    Example:
        >>> import torch
        >>> z = torch.randn(64, 4, dtype=torch.float64)
        >>> bool(CorrelationDiagonal()(z, z) > -1e-6)
        True
    """

    symmetric = True

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        check_number("CorrelationDiagonal: scale", scale)
        self.scale = scale

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """... N D, ... N D -> ... ."""
        diagonal = (standardize(a) * standardize(b)).mean(-2)
        return -self.scale * (1 - diagonal).square().sum(-1)
