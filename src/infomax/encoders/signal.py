"""An encoder of signals: a residual network along time."""

import torch
from torch import Tensor, nn


class _Block(nn.Module):
    """Two convolutions of five readings and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(inputs, outputs, 5, stride, 2, bias=False)
        self.bn1 = nn.BatchNorm1d(outputs)
        self.conv2 = nn.Conv1d(outputs, outputs, 5, 1, 2, bias=False)
        self.bn2 = nn.BatchNorm1d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv1d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm1d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet1d(nn.Module):
    """A residual network for signals of any length: a stem and three blocks of stride 2, then the mean over time.

    With the standard width it has 0.18 M parameters; a feature depends on 175 time steps before the mean.

    Args:
        channels: channels of the signals.
        base: channels of the stem; the blocks have base, 2 base and 4 base.

    Example:
        >>> ResNet1d(channels=2)(torch.randn(4, 2, 300)).shape
        torch.Size([4, 128])

    Source: He et al. arXiv:1512.03385; along time as in Wang, Yan & Oates arXiv:1611.06455.
    """

    def __init__(self, channels: int = 1, base: int = 32) -> None:
        super().__init__()
        self.width = 4 * base
        self.stem = nn.Sequential(
            nn.Conv1d(channels, base, 7, 2, 3, bias=False), nn.BatchNorm1d(base), nn.ReLU(inplace=True)
        )
        self.blocks = nn.Sequential(_Block(base, base, 2), _Block(base, 2 * base, 2), _Block(2 * base, 4 * base, 2))
        for m in self.modules():
            if isinstance(m, nn.Conv1d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Map N x C x L to N x width."""
        out: Tensor = self.blocks(self.stem(x))
        return out.mean(dim=2)
