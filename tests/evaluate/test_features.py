from contextlib import nullcontext

import pytest
import torch
from torch import nn

import infomax as im
from infomax.errors import ConfigError, DataError, NumericsError
from infomax.evaluate import encode
from infomax.evaluate.features import features


def test_batches_do_not_change_the_features_and_modes_come_back():
    torch.manual_seed(0)
    frozen = nn.BatchNorm2d(3).eval()
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout(0.5), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(2))
    module.append(nn.Conv2d(4, 3, 1)).append(frozen).train()
    frozen.eval()
    images = torch.randint(0, 256, (23, 3, 8, 8), dtype=torch.uint8)
    before = {k: v.clone() for k, v in module.state_dict().items()}
    modes = [m.training for m in module.modules()]
    z = encode(module, images, batch=5, views=lambda x: x.float() / 255)
    assert z.shape == (23, 12)
    assert not z.requires_grad
    torch.testing.assert_close(
        z, encode(module, images, batch=100, views=lambda x: x.float() / 255), rtol=1e-5, atol=1e-6
    )
    assert [m.training for m in module.modules()] == modes
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items()), "running statistics must not move"


def test_modes_come_back_after_a_failure():
    module = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5)).train()
    with pytest.raises(RuntimeError, match="shapes"):
        encode(module, torch.zeros(4, 5))
    assert all(m.training for m in module.modules())


def test_a_frozen_part_of_a_graphs_encoder_stays_frozen_after_a_failure_too():
    graph = im.data.load("sbm")

    class Net(nn.Module):
        def __init__(self, fails):
            super().__init__()
            self.lin, self.norm, self.fails = nn.Linear(graph.channels, 4), nn.BatchNorm1d(4).eval(), fails

        def forward(self, seen):
            if self.fails:
                raise RuntimeError("no more memory")
            return self.norm(self.lin(seen[0]))

    for net in (Net(False), Net(True)):
        with pytest.raises(RuntimeError, match="no more memory") if net.fails else nullcontext():
            assert len(features(net, graph, progress=False)) == len(graph)
        assert net.training and net.lin.training and not net.norm.training


def test_bad_input_is_named():
    with pytest.raises(DataError, match="no image"):
        encode(nn.Identity(), torch.zeros(0, 3))
    with pytest.raises(ConfigError, match="batch must be at least 1"):
        encode(nn.Identity(), torch.zeros(3, 3), batch=0)
    with pytest.raises(NumericsError, match="1 of 3 images"):
        encode(nn.Identity(), torch.tensor([[1.0], [float("nan")], [2.0]]))


def test_images_of_different_sizes_need_views_that_bring_them_to_one():
    images = [torch.full((4 + i, 3, 1), i, dtype=torch.uint8) for i in range(5)]

    def views(block):
        return torch.stack([image.float().mean((0, 1)) for image in block])

    assert encode(nn.Identity(), images, batch=2, views=views)[:, 0].tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(ConfigError, match="5 images in a list"):
        encode(nn.Identity(), images)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_images_come_in_the_numbers_of_the_weights(dtype):
    module = nn.Linear(4, 2).to(dtype)
    z = encode(module, torch.ones(5, 4))
    assert z.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(z[0].to(dtype), module(torch.ones(4, dtype=dtype)))
