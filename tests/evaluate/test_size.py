"""The size at which an encoder sees whole images."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import infomax as im
from infomax.cli import main
from infomax.cli.pages import reported
from infomax.data import Dataset
from infomax.errors import ConfigError, DataError
from infomax.evaluate.features import whole_size


def of(recipe, size):
    return SimpleNamespace(config={"views": {"recipe": recipe, "size": size}, "training": {"size": size}})


@pytest.mark.parametrize(
    ("recipe", "views", "own", "whole"),
    [
        ("small", 16, 32, 32),  # crops of .1 to .6 ask for 29
        ("small", 16, 28, 24),  # at most their own
        ("simclr", 32, 32, 32),
        ("small", 16, 20, 16),  # no multiple of 8 between
        ("simclr", 28, 28, 28),
        ("auto", 64, 128, 96),  # of images simclr
        ("simclr", 64, 128, 96),  # crops of .08 to 1 ask for 100
        ("simclr", 224, 256, 224),  # never smaller than the views
        ("none", 16, 32, 16),  # nothing is cropped
        (None, 16, 32, 16),  # a function of the user's
    ],
)
def test_things_are_shown_about_as_large_as_in_the_views(recipe, views, own, whole):
    images = Dataset(torch.zeros(2, own, own, 3, dtype=torch.uint8))
    assert whole_size(of(recipe, views), images) == whole


def test_it_is_the_mean_magnification_of_the_crops():
    scale = im.views.RECIPES["small"](40, None)[0].scale
    shares = torch.empty(200_000).uniform_(*scale, generator=torch.Generator().manual_seed(0))
    images = Dataset(torch.zeros(2, 96, 96, 3, dtype=torch.uint8))
    assert whole_size(of("small", 40), images) == 8 * round(float(40 * shares.rsqrt().mean()) / 8)


def labelled(side=18, n=40):
    images = torch.randint(0, 256, (n, side, side, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Dataset(images, torch.arange(n) % 2, name="squares")


def trained(encoder="resnet8", data=None, **options):
    torch.manual_seed(0)
    learner = im.methods.simclr(im.encoders.get(encoder, channels=3, size=8), projector=(8,))
    options = {"views": "small", "size": 8, "epochs": 1, "batch_size": 20, "progress": False} | options
    return im.train(learner, data or labelled(), **options)


def test_a_run_is_judged_at_that_size_unless_another_is_asked_for():
    run = trained()
    found = run.evaluate()
    assert found["size"] == 16
    assert "whole images at 16 px" in found["protocol"]
    assert run.evaluate(size=8)["size"] == 8
    z, _ = run.embed(labelled())
    torch.testing.assert_close(z, run.embed(labelled(), size=16)[0], rtol=0, atol=0)
    assert not torch.allclose(z, run.embed(labelled(), size=8)[0])


def test_the_last_lines_of_training_say_it_where_it_is_not_that_of_the_views(tmp_path, capsys):
    np.savez(tmp_path / "squares.npz", x=labelled().images.numpy())
    asked = [
        "--data",
        str(tmp_path / "squares.npz"),
        "--encoder",
        "resnet8",
        "--projector",
        "8",
        "--epochs",
        "1",
        "--size",
    ]
    for size, said in (("8", True), ("18", False)):
        out = str(tmp_path / size)
        assert (
            main(["train", "--method", "simclr", "--batch-size", "20", *asked, size, "--views", "small", "--out", out])
            == 0
        )
        line = "whole images are seen at 16 px from here on, its views were of 8"
        assert (line in capsys.readouterr().out.splitlines()) == said


def test_an_encoder_that_takes_one_size_alone_is_shown_that():
    run = trained("mlp")
    assert run.evaluate()["size"] == 8
    with pytest.raises(DataError, match=r"at 9 pixels.*; leave size out, and it sees 8 pixels"):
        run.evaluate(size=9)


class Asserts(torch.nn.Module):
    """As torchvision's transformers refuse a size."""

    width = 3

    def forward(self, x):
        assert x.shape[-1] == 8, "Wrong image height!"
        return x.mean((2, 3))


class Flat(torch.nn.Module):
    """As wide as its images are large."""

    width = 192

    def forward(self, x):
        return x.flatten(1)


@pytest.mark.parametrize(
    ("encoder", "said"), [(Asserts(), "Wrong image height"), (Flat(), "768 features in place of 192")]
)
def test_encoders_of_ones_own_see_what_they_were_trained_on(encoder, said):
    learner = im.methods.simclr(encoder, projector=(8,))
    run = im.train(learner, labelled(), views="small", size=8, epochs=1, batch_size=20, progress=False)
    assert run.evaluate()["size"] == 8
    assert run.embed(labelled(), head=True)[0].shape == (40, 8)
    with pytest.raises(DataError, match=said):
        run.evaluate(size=16)


def test_only_images_have_a_size():
    learner = im.methods.simclr(im.encoders.get("mlp", channels=5, size=1), projector=(8,))
    table = Dataset(torch.randn(40, 5, generator=torch.Generator().manual_seed(0)), torch.arange(40) % 2)
    run = im.train(learner, table, epochs=1, batch_size=20, progress=False)
    assert run.evaluate()["size"] is None
    assert "px" not in run.evaluate()["protocol"]
    with pytest.raises(ConfigError, match="only images"):
        run.evaluate(size=8)


def test_accuracies_at_two_sizes_are_kept_beside_each_other(tmp_path, capsys):
    data, out = labelled(), str(tmp_path / "run")
    np.savez(tmp_path / "squares.npz", x=data.images.numpy(), y=data.labels.numpy())
    trained(data=str(tmp_path / "squares.npz"), out=out)
    assert main(["evaluate", out, "--protocols", "linear"]) == 0
    said = capsys.readouterr().out
    assert "whole images at 16 px" in said and "kept for" not in said
    assert main(["evaluate", out, "--protocols", "knn", "--size", "8"]) == 0
    assert "kept for 8 px, beside what is found at 16" in capsys.readouterr().out
    (kept,) = json.loads((tmp_path / "run" / "evaluation.json").read_text()).values()
    assert "linear" in kept and "knn" not in kept and kept["size"] == 16
    assert "knn" in kept["sizes"]["8"] and "linear" not in kept["sizes"]["8"]
    assert ", at 16 px</td>" in reported([tmp_path / "run"], tmp_path / "page.html").read_text()
    assert main(["probe", out, "--size", "0"]) == 2
    assert "size of at least 1" in capsys.readouterr().err
    assert main(["embed", out, str(tmp_path / "squares.npz"), "--out", str(tmp_path / "z.npz"), "--size", "9"]) == 0
    assert np.load(tmp_path / "z.npz")["features"].shape[0] == len(data)
