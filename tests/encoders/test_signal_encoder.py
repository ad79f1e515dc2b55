import pytest
import torch

from infomax.encoders import ResNet1d, get, width_of


@pytest.mark.parametrize(("channels", "length"), [(1, 1), (2, 50), (12, 1000)])
def test_signals_of_any_length(channels: int, length: int) -> None:
    net = get("resnet1d", channels=channels, size=1, base=8)
    z = net(torch.randn(4, channels, length))
    assert z.shape == (4, 32) and net.width == 32
    z.square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())


def test_what_the_docstring_says() -> None:
    net = ResNet1d().eval()
    assert round(sum(p.numel() for p in net.parameters()) / 1e6, 2) == 0.18
    x = torch.randn(1, 1, 801, requires_grad=True)
    features = net.blocks(net.stem(x))
    features[0, :, features.shape[2] // 2].square().sum().backward()
    seen = x.grad[0, 0].nonzero()
    assert width_of(net) == 128 and 120 < int(seen.max() - seen.min()) + 1 <= 175


def test_what_moves_along_time_is_recognised() -> None:
    net = ResNet1d(base=8).eval()
    x = torch.zeros(1, 1, 512)
    x[..., 160:224] = torch.randn(64)
    torch.testing.assert_close(net(x), net(x.roll(64, dims=2)))
