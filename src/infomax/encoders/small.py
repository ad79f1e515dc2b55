"""Small encoders: the network of the toy study, an MLP for tiny inputs, a residual network for CPUs."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from infomax.errors import ConfigError


class Toy(nn.Module):
    """The paper's toy encoder (E.4): Linear, batch norm, ReLU, Linear, batch norm, then normalisation to unit length.

    Args:
        inputs: dimensions of a point.
        hidden: units of the hidden layer.
        outputs: dimension of the space in which the sphere lies.
        final_norm: keep the last batch norm; without it a collapse shows in the spread of the outputs.

    Example:
        >>> z = Toy()(torch.randn(16, 2))
        >>> z.shape, bool((z.norm(dim=1) - 1).abs().max() < 1e-5)
        (torch.Size([16, 3]), True)
    """

    def __init__(self, inputs: int = 2, hidden: int = 64, outputs: int = 3, final_norm: bool = True) -> None:
        super().__init__()
        self.width = outputs
        self.layers = nn.Sequential(
            nn.Linear(inputs, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, outputs),
            nn.BatchNorm1d(outputs) if final_norm else nn.Identity(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map N x inputs to N x outputs on the unit sphere."""
        return F.normalize(self.layers(x), dim=1)


class MLP(nn.Module):
    """A multilayer perceptron with batch norm on flattened inputs, for points and tiny images.

    Args:
        inputs: numbers per sample.
        hidden: units of every layer.
        depth: number of layers.

    Example:
        >>> MLP(64, hidden=128)(torch.randn(4, 1, 8, 8)).shape
        torch.Size([4, 128])
    """

    def __init__(self, inputs: int, hidden: int = 256, depth: int = 2) -> None:
        super().__init__()
        if depth < 1:
            raise ConfigError(f"depth={depth}: an MLP has at least 1 layer")
        self.inputs = inputs
        self.width = hidden
        layers: list[nn.Module] = []
        for wide in [inputs] + [hidden] * (depth - 1):
            layers += [nn.Linear(wide, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Map N x ... with `inputs` numbers per sample to N x hidden."""
        flat = x.flatten(1)
        if flat.shape[1] != self.inputs:
            raise ConfigError(
                f"mlp takes {self.inputs} numbers a sample, a batch of shape {tuple(x.shape)} has {flat.shape[1]}: "
                "build it with the channels and size of the data"
            )
        out: Tensor = self.layers(flat)
        return out


class _Block(nn.Module):
    """Two 3 x 3 convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet8(nn.Module):
    """A residual network that a CPU can train: a stem of stride 2 and three blocks of 32, 64, 128 channels, 0.31 M
    parameters.

    Args:
        channels: channels of the images.
        base: channels of the stem; the features are four times as wide.

    Example:
        >>> net = ResNet8(channels=3)
        >>> net(torch.randn(2, 3, 32, 32)).shape
        torch.Size([2, 128])

    Source: He et al. arXiv:1512.03385 (section 4.2, n = 1).
    """

    def __init__(self, channels: int = 3, base: int = 32) -> None:
        super().__init__()
        self.width = 4 * base
        self.stem = nn.Sequential(
            nn.Conv2d(channels, base, 3, 2, 1, bias=False), nn.BatchNorm2d(base), nn.ReLU(inplace=True)
        )
        self.blocks = nn.Sequential(_Block(base, base, 1), _Block(base, 2 * base, 2), _Block(2 * base, 4 * base, 2))
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Map N x C x S x S to N x width."""
        out: Tensor = self.blocks(self.stem(x))
        return out.mean(dim=(2, 3))
