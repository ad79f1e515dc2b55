"""Many seeds of one small network as one module: each layer does the work of S independent layers.

Activations inside are channel-major, S x C x N: a batched matrix product a layer, and torch's own batch norm on
1 x (S C) x N (a step of ten seeds takes a third of the time of ten plain modules; `vmap` is slower than those). Outside,
rows are rows: S x N x D, which is what every term of a method works on.

Weights are a function of (seed, how many layers were drawn before), so that a seed's weights do not depend on which other
seeds train beside it.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from infomax.views import rng

_WEIGHTS = 101  # the word that keys weights, apart from those that key samples and views


class Draws:
    """The seeds of an ensemble and how many layers they have drawn; shared by all its modules, copies included."""

    def __init__(self, seeds: Sequence[int]) -> None:
        self.seeds, self.count = tuple(seeds), 0

    def __deepcopy__(self, memo: dict[int, object]) -> "Draws":
        return self

    def uniform(self, rows: int, columns: int) -> Tensor:
        """The next layer's numbers in [-1, 1): S x rows x columns."""
        self.count += 1
        keys = torch.stack([rng.key(torch.arange(rows), seed, _WEIGHTS, self.count) for seed in self.seeds])
        return (2 * rng.uniform(keys, columns) - 1).to(torch.get_default_dtype())


class Linear(nn.Module):
    """S linear layers: S x I x N -> S x O x N, drawn as torch draws its own: U(-1/sqrt(I), 1/sqrt(I)), bias too.

    Example:
        >>> Linear(2, 64, Draws(range(10)))(torch.randn(10, 2, 500)).shape
        torch.Size([10, 64, 500])
    """

    def __init__(self, inputs: int, outputs: int, draws: Draws) -> None:
        super().__init__()
        self.draws = draws
        self.weight = nn.Parameter(torch.empty(len(draws.seeds), outputs, inputs))
        self.bias = nn.Parameter(torch.empty(len(draws.seeds), outputs, 1))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw anew: the next numbers of every seed."""
        _, outputs, inputs = self.weight.shape
        numbers = self.draws.uniform(outputs, inputs + 1) / math.sqrt(inputs)
        self.weight.copy_(numbers[..., :-1])
        self.bias.copy_(numbers[..., -1:])

    def forward(self, x: Tensor) -> Tensor:
        """S x I x N -> S x O x N."""
        return torch.baddbmm(self.bias, self.weight, x)


class BatchNorm(nn.BatchNorm1d):
    """S batch norms over C channels: each seed by its own rows.

    Example:
        >>> y = BatchNorm(10, 3)(torch.randn(10, 3, 500) + 5)
        >>> bool(y.mean(2).abs().max() < 1e-5)
        True
    """

    def __init__(self, seeds: int, channels: int) -> None:
        super().__init__(seeds * channels)

    def forward(self, x: Tensor) -> Tensor:
        """S x C x N -> the same."""
        seeds, channels, n = x.shape
        return super().forward(x.reshape(1, seeds * channels, n)).view(seeds, channels, n)


class MLP(nn.Module):
    """S networks Linear, batch norm, ReLU, Linear (, batch norm): S x N x I -> S x N x O.

    Args:
        widths: input, hidden, output.
        draws: the seeds.
        last_norm: batch norm after the last layer (the paper's encoder, E.4); the predictor has none.

    Example:
        >>> MLP((2, 64, 3), Draws(range(10)), last_norm=True)(torch.randn(10, 500, 2)).shape
        torch.Size([10, 500, 3])
    """

    def __init__(self, widths: tuple[int, int, int], draws: Draws, *, last_norm: bool) -> None:
        super().__init__()
        seeds, (inputs, hidden, outputs) = len(draws.seeds), widths
        self.first, self.norm = Linear(inputs, hidden, draws), BatchNorm(seeds, hidden)
        self.second = Linear(hidden, outputs, draws)
        self.last_norm = BatchNorm(seeds, outputs) if last_norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """S x N x I -> S x N x O."""
        hidden = F.relu(self.norm(self.first(x.mT)))
        out: Tensor = self.last_norm(self.second(hidden))
        return out.mT.contiguous()  # a norm over strided rows of three takes twenty times as long
