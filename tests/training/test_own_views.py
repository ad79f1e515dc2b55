"""What is told of the first views by a function of the user's."""

import warnings
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from torchvision import transforms

import infomax as im
from infomax.data import gather
from infomax.data.order import spread
from infomax.evaluate.features import unseen
from infomax.training.own_views import unlike
from infomax.views import RECIPES, recipe

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@cache
def pictures(kind):
    """Smooth ones of many colours, as photos are; dark, bright or pale."""
    if kind == "digits":
        return im.data.load("digits")
    x = torch.rand(200, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    x = F.interpolate(x, size=32, mode="bicubic").clamp(0, 1)
    x = {"photos": x, "dark": x * 0.15, "skew": x**6, "bright": 1 - 0.2 * x, "pale": 0.5 + 0.05 * (x - 0.5)}[kind]
    return im.data.Dataset((x * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous())


def views_of(data, name, mean, std, count=100):
    index = spread(data.images, count)
    return recipe(name, size=data.size, mean=mean, std=std)(gather(data.images, index), index, seed=0, epoch=-1)


@pytest.mark.parametrize("kind", ["digits", "photos", "dark", "skew", "bright", "pale"])
def test_no_recipe_of_the_package_looks_as_if_it_were_normalised_otherwise(kind):
    data = pictures(kind)
    warned = [
        (name, count)
        for name in RECIPES
        for count in (16, 100)
        if unlike(views_of(data, name, data.mean, data.std, count), data.mean, data.std)
    ]
    assert warned == []


@pytest.mark.parametrize("name", ["simclr", "none"])
@pytest.mark.parametrize("kind", ["digits", "photos", "dark", "skew", "bright", "pale"])
def test_views_that_are_not_normalised_at_all_are_told_whatever_the_images(kind, name):
    data = pictures(kind)
    none = ((0.0,) * len(data.mean), (1.0,) * len(data.mean))
    assert unlike(views_of(data, name, *none), data.mean, data.std)


@pytest.mark.parametrize("kind", ["dark", "skew", "bright"])
def test_views_that_are_normalised_by_imagenet_are_told_where_the_images_are_not_like_it(kind):
    data = pictures(kind)
    assert unlike(views_of(data, "simclr", *IMAGENET), data.mean, data.std)
    photos = pictures("photos")
    assert not unlike(views_of(photos, "simclr", *IMAGENET), photos.mean, photos.std), "nearly their own"


def test_a_channel_that_never_varies_and_what_is_no_image_are_let_pass():
    x = torch.rand(32, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    x = (x - 0.5) / 0.289
    x[:, 1] = 0
    assert unlike([x, x], (0.5, 1.0), (0.289, 1.0)) is None
    flat = torch.zeros(32, 1, 8, 8)
    assert unlike([flat, flat], (0.5,), (0.2,))
    for other in (flat[:, :, 0], flat.to(torch.uint8), flat[:4], (flat, flat), flat.expand(-1, 3, -1, -1)):
        assert unlike([flat, other], (0.5,), (0.2,)) is None


def fit(views, **options):
    torch.manual_seed(0)
    learner = im.methods.simclr(im.encoders.get("mlp", size=32, channels=3), projector=(16,))
    asked = {"epochs": 1, "batch_size": 50, "progress": False, "gauge_samples": 50} | options
    return im.train(learner, pictures("photos"), views=views, **asked)


def ended(*last):
    return im.views.per_sample(transforms.Compose([transforms.RandomCrop(32), transforms.ToTensor(), *last]))


def test_a_run_warns_once_of_views_that_are_not_normalised_as_whole_images_are(tmp_path):
    data = pictures("photos")
    numbers = ", ".join(str(tuple(round(x, 4) for x in part)) for part in (data.mean, data.std))
    with pytest.warns(UserWarning, match=r"^views=PerSample makes views of mean 0\.\d+") as said:
        fit(ended(), epochs=2, out=tmp_path / "run", on_epoch=lambda run: True)
    assert len(said) == 1 and str(said[0].message).endswith(f": let them end in Normalize({numbers})")
    with pytest.warns(UserWarning, match=r"give Views\(\.\.\., \(0\.\d+"):
        fit(im.views.Views((im.views.ImageView(size=32),) * 2))
    with warnings.catch_warnings(action="error"):
        im.Run.resume(tmp_path / "run", data=data, views=ended(), progress=False)
        fit(ended(transforms.Normalize(data.mean, data.std)))


SIGNALS = im.data.Dataset(torch.randn(40, 3, 64, generator=torch.Generator().manual_seed(0)), torch.arange(40) % 2)


def of_signals(views="auto", encoder="resnet1d", precision="32-true", **options):
    torch.manual_seed(0)
    learner = im.methods.simclr(im.encoders.get(encoder, channels=3, **options), projector=(8,))
    asked = {"epochs": 1, "batch_size": 20, "progress": False, "precision": precision}
    return im.train(learner, SIGNALS, views=views, **asked)


def test_views_of_any_floats_are_brought_to_the_type_of_the_weights():
    def doubled(batch, index, *, seed, epoch):
        return batch.double(), batch.double() + 0.125

    def single(batch, index, *, seed, epoch):
        return batch, batch + 0.125

    one, other = (of_signals(views).learner.state_dict() for views in (doubled, single))
    assert all(torch.allclose(t, other[name]) for name, t in one.items())
    assert next(of_signals(single, precision="64-true").learner.parameters()).dtype == torch.float64


def test_views_that_are_numpy_arrays_are_refused_by_their_number():
    def mixed(batch, index, *, seed, epoch):
        return batch, batch.numpy()

    with pytest.raises(im.ConfigError, match=r"views=mixed: view 1 is a numpy array of float32: give torch tensors"):
        of_signals(mixed)


def test_views_of_neighbours_find_them_by_the_index():
    seen = []

    def adjacent(batch, index, *, seed, epoch):
        assert torch.equal(batch, SIGNALS.images[index]) and batch.dtype == torch.float32
        seen.extend(index.tolist())
        return batch, SIGNALS.images[(index + 1).clamp(max=len(SIGNALS) - 1)]

    of_signals(adjacent)
    assert set(seen) == set(range(40))


def test_an_encoder_for_other_data_is_told_which_takes_these():
    with pytest.raises(
        im.ConfigError, match=r"resnet8 is for images: for signals take resnet1d \(--encoder auto does\)"
    ):
        of_signals(encoder="resnet8")


def test_one_signal_is_told_how_it_is_given():
    run = of_signals()
    with pytest.raises(
        im.DataError, match=r"trained on 3 channels. Give signals N x 3 x L; one signal x, 3 x L, as x\[None\]"
    ):
        run.embed(SIGNALS.images[0])
    with pytest.raises(im.DataError, match=r"\(2 channels\): it was trained on 3 channels"):
        run.embed(SIGNALS.images[:, :2])
    assert run.embed(SIGNALS.images[0][None])[0].shape[0] == 1


def test_a_view_that_is_a_list_of_pictures_is_refused_before_the_encoder_sees_it():
    def listed(batch, index, *, seed, epoch):
        x = batch.permute(0, 3, 1, 2) / 255
        return [list(x), list(x)]

    with pytest.raises(
        im.ConfigError, match=r"views=listed: view 0 is a list of 50: .* tensor N x C x H x W.*torch\.stack"
    ):
        fit(listed)


def test_a_long_name_of_a_function_of_views_is_shortened_where_it_is_said():
    config = {"views": {"recipe": None, "own": "per_sample(" + "RandomCrop(32), " * 40}}
    assert unseen(config) == f"its views were a function, {config['views']['own'][:56]} ..., which no folder holds"
