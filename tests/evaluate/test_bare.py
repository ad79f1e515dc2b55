"""Encoders that no run here has trained."""

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch import nn

import infomax as im
from infomax import evaluate
from infomax.data import Dataset
from infomax.errors import ConfigError, DataError


class Colours(torch.utils.data.Dataset):
    """Pictures of one colour a class, as a data set of one's own has them."""

    def __init__(self, n, seed=0):
        draw = np.random.default_rng(seed)
        tones = draw.integers(0, 80, (n, 20, 24, 3))
        for k in range(n):
            tones[k, :, :, k % 3] += 150
        self.pictures = [Image.fromarray(one.astype(np.uint8)) for one in tones]

    def __len__(self):
        return len(self.pictures)

    def __getitem__(self, i):
        return self.pictures[i], ("red", "green", "blue")[i % 3]


def net(width=8):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, width, 3, 2), nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


def test_five_lines_judge_and_export_what_a_loop_of_ones_own_has_trained(tmp_path):
    train, test, encoder = Colours(30), Colours(12, seed=1), net().train()
    run = im.Run.of(encoder, train, size=16, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    found = run.evaluate(train, test=test, protocols="linear,knn,baselines,finetune")
    assert (
        found["linear"] > 90 and found["knn"] > 90 and found["size"] == 16 and found["how"] == "train and test as given"
    )
    assert encoder.training and run.learner.encoder is encoder and set(found["baselines"]) == {"raw"}
    z, _ = run.embed(test)
    whole = im.views.recipe("none", size=16, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    by_hand = evaluate.encode(encoder, im.data.load(test).images, views=whole)  # a recipe as it is
    torch.testing.assert_close(z, by_hand)
    for name in ("encoder.pt2", "encoder.safetensors"):
        assert run.export(tmp_path / name).size == 16
    program = torch.export.load(tmp_path / "encoder.pt2").module()
    batch = torch.rand(4, 3, 16, 16)
    mean, std = (torch.tensor(v).view(-1, 1, 1) for v in ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4)))
    with torch.no_grad():
        torch.testing.assert_close(program(batch), encoder.eval()((batch - mean) / std), rtol=1e-4, atol=1e-4)


def test_by_default_statistics_and_size_are_the_datas_own_and_a_learner_keeps_its_head():
    data = im.data.load(Colours(12))
    learner = im.methods.byol(net(), projector=(6,))
    run = im.Run.of(learner, data)
    assert run.learner is learner and run.size == 20 and tuple(run.config["data"]["mean"]) == data.mean
    assert run.embed(data, head=True)[0].shape == (12, 6)
    assert str(run).startswith("byol on ") and str(run).endswith(", not trained here")
    table = Dataset(torch.randn(30, 6), torch.arange(30) % 2)
    assert im.Run.of(nn.Linear(6, 4), table).evaluate(protocols="knn")["test"] == 6


def test_what_cannot_work_is_said_in_our_words():
    data, x = Colours(12), torch.randn(8, 3)

    class Named(nn.Module):
        def forward(self, x):
            return {"features": x}

    for encoder, given, options, message in (
        (
            net(),
            torch.zeros(4, 16, 16, 1, dtype=torch.uint8),
            {},
            r"at 16 pixels \(1 channel\) cannot be taken: .*in_chans=1",
        ),
        (net()[:-1], data, {}, r"become shape 2 x 8 x 1 x 1: an encoder gives N x D; add pooling or flattening"),
        (Named(), data, {}, "Named.* gives? a dict"),
        (torchvision.models.vit_b_16, data, {}, "an encoder is a module"),
        (net(), data, {"mean": (0.5,) * 3}, "both or neither"),
        (net(), data, {"mean": (0.5,), "std": (0.5,)}, "one of each a channel"),
        (net(), data, {"mean": (0.5,) * 3, "std": (0.5, 0.5, 0.0)}, "every std above 0"),
        (nn.Linear(3, 2), x, {"mean": (0.5,) * 3, "std": (0.5,) * 3}, "taken as they are"),
        (nn.Linear(3, 2), x, {"size": 8}, "only images are brought to a size"),
    ):
        with pytest.raises(ConfigError, match=message):
            im.Run.of(encoder, given, **options)
    run = im.Run.of(net(), data)
    with pytest.raises(ConfigError, match="was not trained here, so there is no log"):
        run.report("page.html")
    with pytest.raises(ConfigError, match="it was trained elsewhere, by views that are not known"):
        run.evaluate(protocols="gauges")
    for images, message in (
        (data, r"images of type Colours: .* infomax.Run.of\(encoder, data\).embed\(data\)"),
        (im.data.load(data), r"images of type Dataset: give a tensor of N; of a data set its .images"),
        ([data[0][0]], "a list of Image: give tensors; of pictures"),
    ):
        with pytest.raises(DataError, match=message):
            evaluate.encode(net(), images, views=lambda x: x)
    with pytest.raises(ConfigError, match=r"cannot take images of shape \(12, 20, 24, 3\) in bytes: give views"):
        evaluate.encode(net(), im.data.load(data).images[:12])
    with pytest.raises(ConfigError, match="views that are drawn"):
        evaluate.encode(net(), torch.zeros(2, 8, 8, 3, dtype=torch.uint8), views=im.views.recipe("simclr", size=8))
    with pytest.raises(ConfigError, match="Named gives a dict"):
        evaluate.encode(Named(), torch.rand(2, 3, 8, 8))


def test_what_fails_behind_a_good_encoder_is_raised(monkeypatch):
    def fails(encoder, data, *_, **__):
        encoder(data.images)
        raise RuntimeError("out of memory")

    monkeypatch.setattr("infomax.evaluate.bare.features", fails)
    with pytest.raises(RuntimeError, match="out of memory"):
        im.Run.of(torch.nn.Linear(6, 3), Dataset(torch.randn(8, 6), torch.arange(8) % 2))
