"""Views by transforms of one picture, such as torchvision's."""

# ruff: noqa: NPY002  (what transforms of others draw from)

import json
import random

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torchvision import transforms

import infomax as im
from infomax.training.checkpoint import fingerprint

crop = transforms.Compose([
    transforms.RandomResizedCrop(16),
    transforms.RandomHorizontalFlip(),
    transforms.ColorJitter(0.4, 0.4),
    transforms.ToTensor(),
    transforms.Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
])  # fmt: skip


def draws(picture):
    """A transform that draws from every generator: those of Python and numpy, too."""
    size = torch.tensor(picture.size, dtype=torch.float32)
    drawn = torch.tensor([random.random(), np.random.rand(), float(torch.rand(()))])
    return torch.cat([drawn, size])[:, None, None]


@pytest.fixture
def folder(tmp_path):
    noise = np.random.default_rng(0)
    for i in range(12):
        shape = (20 + i, 36 - i, 3)
        place = tmp_path / "photos"
        place.mkdir(exist_ok=True)
        Image.fromarray(noise.integers(0, 256, shape, dtype=np.uint8)).save(place / f"{i:02}.png")
    return place


def learner():
    torch.manual_seed(0)
    return im.methods.simclr(im.encoders.get("resnet8", size=16), projector=(16,))


def array():
    return np.random.default_rng(0).integers(0, 256, (12, 24, 24, 3), dtype=np.uint8)


def fit(data, out, **options):
    # as the advice has it
    transform = crop
    return im.train(
        learner(),
        data,
        views=im.views.per_sample(transform),
        epochs=3,
        batch_size=4,
        out=out,
        progress=False,
        **options,
    )


@pytest.mark.parametrize("kind", ["folder", "array"])
def test_a_folder_of_many_sizes_and_an_array_train_and_a_run_that_goes_on_has_the_same_bits(kind, folder, tmp_path):
    data = folder if kind == "folder" else array()
    fit(data, tmp_path / "whole")
    random.seed(5), np.random.seed(5), torch.manual_seed(5)  # what else was drawn makes no difference
    fit(data, tmp_path / "stopped", on_epoch=lambda run: len(run.history) == 1)
    data = None if kind == "folder" else data
    with pytest.raises(im.ConfigError, match=r"views\.made|views\.own"):
        im.Run.resume(tmp_path / "stopped", data=data, views=im.views.per_sample(crop, crop), progress=False)
    im.Run.resume(tmp_path / "stopped", data=data, views=im.views.per_sample(crop), progress=False)
    one, other = (load_file(tmp_path / run / "learner.safetensors") for run in ("whole", "stopped"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_what_is_drawn_hangs_on_seed_epoch_view_and_sample_alone():
    views, images = im.views.per_sample(draws), torch.zeros(5, 8, 8, 3, dtype=torch.uint8)
    a, b = views(images, torch.arange(5), seed=1, epoch=2)
    again = views(images[[3, 1]], [3, 1], seed=1, epoch=2)
    assert torch.equal(again[0], a[[3, 1]]) and torch.equal(again[1], b[[3, 1]])
    drawn = torch.stack([a, b, views(images, range(5), 1, 3)[0], views(images, range(5), 2, 2)[0]])[:, :, :3]
    for generator in range(3):
        assert len(drawn[:, :, generator].unique()) == 20


def test_the_generators_of_the_caller_stay_as_they_were():
    def drawn():
        return random.random(), np.random.rand(), float(torch.rand(()))

    def seeded():
        random.seed(0), np.random.seed(0), torch.manual_seed(0)

    seeded()
    expected = drawn()
    seeded()
    im.views.per_sample(draws)(torch.zeros(2, 8, 8, 1, dtype=torch.uint8), [0, 1])
    assert drawn() == expected


def test_one_transform_a_view_and_one_that_makes_all_of_them():
    small = transforms.Compose([transforms.CenterCrop(8), transforms.ToTensor()])
    big = transforms.Compose([transforms.CenterCrop(16), transforms.ToTensor()])
    images = torch.from_numpy(array())
    assert [len(v[0, 0]) for v in im.views.per_sample(big, small, small)(images, range(12))] == [16, 8, 8]
    # as lightly's transforms give a list of views
    assert [len(v[0, 0]) for v in im.views.per_sample(lambda p: [big(p), small(p)])(images, range(12))] == [16, 8]
    a, _ = im.views.per_sample(big)(images, range(12))
    assert torch.equal(a[3], images[3, 4:20, 4:20].permute(2, 0, 1) / 255)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_a_transform_is_given_a_picture(channels, mode):
    modes = []

    def noted(picture):
        modes.append((picture.mode, picture.size))
        return transforms.functional.to_tensor(picture)

    im.views.per_sample(noted)(torch.zeros(2, 8, 6, channels, dtype=torch.uint8), [0, 1])
    assert modes == 4 * [(mode, (6, 8))]


def test_what_cannot_be_is_said():
    images = [torch.zeros(8 + i, 8, 3, dtype=torch.uint8) for i in range(2)]
    per_sample = im.views.per_sample
    with pytest.raises(im.ConfigError, match="per_sample of nothing: give a transform"):
        per_sample()
    with pytest.raises(im.ConfigError, match="per_sample of 'crop': give a transform"):
        per_sample("crop")
    with pytest.raises(im.ConfigError, match="CenterCrop gives an Image: let it end in ToTensor"):
        per_sample(transforms.CenterCrop(4))(images, [0, 1])
    with pytest.raises(im.ConfigError, match=r"PILToTensor gives a tensor of torch.uint8: let it end in ToTensor"):
        per_sample(transforms.PILToTensor())(images, [0, 1])
    with pytest.raises(im.ConfigError, match=r"several shapes, \(3, 8, 8\) and \(3, 9, 8\): .*RandomResizedCrop"):
        per_sample(transforms.ToTensor())(images, [0, 1])
    with pytest.raises(im.DataError, match="2 channels: PIL, whose"):
        per_sample(crop)(torch.zeros(2, 8, 8, 2, dtype=torch.uint8), [0, 1])
    with pytest.raises(im.DataError, match="and this is a graph"):
        im.train(im.methods.bgrl(im.encoders.get("gcn", channels=1433)), "sbm", views=per_sample(crop), progress=False)


def test_a_bare_transform_is_refused_with_what_makes_views_of_it():
    with pytest.raises(im.ConfigError, match=r"views=im\.views\.per_sample\(transform\) makes one"):
        im.train(learner(), array(), views=crop, progress=False)


def test_what_one_transform_draws_into_the_picture_the_next_does_not_see():
    def blackened(picture):
        ImageDraw.Draw(picture).rectangle((0, 0, 7, 15), fill=0)
        return transforms.functional.to_tensor(picture)

    white = torch.full((2, 16, 16, 3), 255, dtype=torch.uint8)
    dark, bright = im.views.per_sample(blackened, transforms.ToTensor())(white, torch.arange(2), seed=0, epoch=0)
    assert float(dark.mean()) == 0.5 and float(bright.min()) == 1.0 and int(white.min()) == 255


def normalised(side, *, local=None):
    """Crops of random bytes, as the data's own statistics have them."""
    ends = [transforms.ToTensor(), transforms.Normalize((0.5,) * 3, (0.289,) * 3)]
    made = [transforms.Compose([transforms.RandomCrop(s), *ends]) for s in (side, local or side)]
    return lambda picture: [made[0](picture), made[0](picture), *([made[1](picture)] if local else [])]


@pytest.mark.parametrize(("side", "local"), [(12, None), (112, None), (12, 8)])
def test_a_run_notes_the_side_of_the_views_that_a_function_makes_and_whole_images_are_seen_at_it(side, local, tmp_path):
    colours = torch.randint(0, 256, (20, 1, 1, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    data = im.data.Dataset(colours.repeat(1, max(24, side), max(24, side), 1), torch.arange(20) % 2)
    run = im.train(
        learner(), data, views=im.views.per_sample(normalised(side, local=local)), epochs=2, batch_size=4, progress=False,
        out=tmp_path / "run", online_knn=True,
    )  # fmt: skip
    assert run.config["views"]["size"] == run.size == run.evaluate(protocols="knn")["size"] == side
    assert im.Run.load(tmp_path / "run").size == side
    seen = []
    run.learner.encoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].shape[-1]))
    run.embed(data)
    assert set(seen) == {side}


def test_online_accuracies_see_images_at_the_side_of_the_views_of_a_function():
    data, seen = im.data.Dataset(torch.from_numpy(array()), torch.arange(12) % 2), []
    climbs = learner()
    climbs.encoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].shape[-1]))
    views = im.views.per_sample(normalised(12))
    im.train(climbs, data, views=views, epochs=1, batch_size=4, progress=False, online_knn=True)
    assert set(seen) == {12}


def test_another_size_than_a_function_makes_is_refused_as_a_run_begins(tmp_path):
    with pytest.raises(im.ConfigError, match=r"size=24, but views=PerSample makes views of 16 px: leave size out"):
        fit(array(), tmp_path / "run", size=24)
    assert not (tmp_path / "run").exists()
    assert fit(array(), tmp_path / "run", size=16).size == 16


def test_views_that_are_not_square_leave_the_size_as_it_is():
    def flat(batch, index, *, seed, epoch):
        x = (batch.permute(0, 3, 1, 2) / 255 - 0.5) / 0.289
        return x[..., :8], x[..., 8:16]

    run = im.train(learner(), array(), views=flat, epochs=1, batch_size=4, progress=False)
    assert run.config["views"]["size"] == 24


def as_before(folder, size):
    """A stopped run as an earlier version left it, which noted the images' own side."""
    config = json.loads((folder / "config.json").read_text())
    config["views"]["size"] = size
    (folder / "config.json").write_text(json.dumps(config))
    for path in (folder / "checkpoints").iterdir():
        tensors = load_file(path)
        with safe_open(path, "pt") as file:
            header = json.loads(file.metadata()["infomax"])
        header["config"] = config
        header["fingerprint"] = fingerprint(config)
        save_file(tensors, path, {"infomax": json.dumps(header)})


def test_a_run_of_before_goes_on_and_notes_the_side_of_its_views(tmp_path):
    fit(array(), tmp_path / "run", on_epoch=lambda run: True)
    as_before(tmp_path / "run", 24)
    assert im.Run.load(tmp_path / "run").size == 24
    views = im.views.per_sample(crop)
    run = im.Run.resume(tmp_path / "run", data=array(), views=views, progress=False)
    assert run.size == im.Run.load(tmp_path / "run").size == 16
    assert len(run.history) == 3


def test_a_run_that_goes_on_with_views_of_another_side_says_so_and_keeps_its_own(tmp_path):
    """Which some functions draw, so that it is no reason to refuse."""
    fit(array(), tmp_path / "run", on_epoch=lambda run: True)
    as_before(tmp_path / "run", 20)
    with pytest.warns(UserWarning, match=r"makes views of 16 px, and those of .* were of 20 px .* seen at 20 px"):
        run = im.Run.resume(tmp_path / "run", data=array(), views=im.views.per_sample(crop), progress=False)
    assert run.size == 20
