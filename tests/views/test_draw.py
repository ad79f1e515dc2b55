import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from infomax.errors import ConfigError, DataError
from infomax.views import ImageView, Params, Views, draw, recipe, rng

RICH = ImageView(size=16, jitter=(0.8, 0.8, 0.8, 0.2), gray=0.2, blur=0.5, solarize=0.3)


def drawn(spec: ImageView, n: int, height: int = 32, width: int = 32, **key: int) -> Params:
    return draw(spec, torch.arange(n), torch.full((n,), height), torch.full((n,), width), **key)


def test_splitmix_gives_the_published_sequence() -> None:
    # The first outputs of splitmix64 seeded with 0: mix of 1, 2, 3 steps of the golden gamma.
    golden = 0x9E3779B97F4A7C15
    states = torch.tensor([(k * golden) % 2**64 - (2**64 if (k * golden) % 2**64 >= 2**63 else 0) for k in (1, 2, 3)])
    words = [value & 0xFFFFFFFFFFFFFFFF for value in rng.mix(states).tolist()]
    assert words == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


def test_uniform_numbers_are_uniform_and_uncorrelated() -> None:
    u = rng.uniform(rng.key(torch.arange(20_000), 7, 3, 1), 8)
    assert u.min() >= 0 and u.max() < 1
    counts = torch.stack([torch.histc(column.float(), 20, 0.0, 1.0) for column in u.T])
    chi_square = ((counts - 1000) ** 2 / 1000).sum(dim=1)
    assert chi_square.max() < 60  # 19 degrees of freedom: p < 1e-5 for one of eight
    correlation = torch.corrcoef(u.T) - torch.eye(8)
    assert correlation.abs().max() < 5 / 20_000**0.5


def test_neighbouring_keys_are_uncorrelated() -> None:
    index = torch.arange(20_000)
    base = rng.uniform(rng.key(index, 0, 0, 0), 1)[:, 0]
    others = [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
    for words in others:
        other = rng.uniform(rng.key(index, *words), 1)[:, 0]
        assert abs(torch.corrcoef(torch.stack([base, other]))[0, 1]) < 5 / 20_000**0.5
    shifted = rng.uniform(rng.key(index + 1, 0, 0, 0), 1)[:, 0]
    assert abs(torch.corrcoef(torch.stack([base, shifted]))[0, 1]) < 5 / 20_000**0.5


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=8), st.integers(0, 2**31), st.integers(0, 1000))
def test_a_draw_depends_on_its_key_alone(ids: list[int], seed: int, epoch: int) -> None:
    index = torch.tensor(ids)
    size = torch.full((len(ids),), 32)
    together = draw(RICH, index, size, size, seed=seed, epoch=epoch, view=1)
    backwards = draw(RICH, index.flip(0), size, size, seed=seed, epoch=epoch, view=1)
    for a, b in zip(together, backwards, strict=True):
        assert torch.equal(a, b.flip(0))
    for i in range(len(ids)):
        alone = draw(RICH, index[i : i + 1], size[:1], size[:1], seed=seed, epoch=epoch, view=1)
        for a, b in zip(together, alone, strict=True):
            assert torch.equal(a[i], b[0])


def test_every_word_of_the_key_matters() -> None:
    words = [dict(zip(("seed", "epoch", "view"), w, strict=True)) for w in itertools.product((0, 1), repeat=3)]
    draws = [tuple(drawn(RICH, 8, **key).factor.flatten().tolist()) for key in words]
    assert len(set(draws)) == 8


def test_probabilities_and_ranges_are_the_specs() -> None:
    p = drawn(RICH, 20_000)
    jittered = (p.factor[:, 0] != 1).float().mean()
    for share, probability in [
        (p.flip.float().mean(), 0.5),
        (jittered, 0.8),
        (p.gray.float().mean(), 0.2),
        ((p.sigma > 0).float().mean(), 0.5),
        (p.solarize.float().mean(), 0.3),
    ]:
        assert abs(share - probability) < 0.015
    assert p.factor[:, :3].min() >= 0.2 - 1e-6 and p.factor[:, :3].max() <= 1.8
    assert p.factor[:, 3].abs().max() <= 0.2
    assert p.sigma[p.sigma > 0].min() >= 0.1 and p.sigma.max() <= 2.0
    orders = torch.unique(p.order, dim=0, return_counts=True)[1]
    assert len(orders) == 24 and (orders.float() / 20_000 - 1 / 24).abs().max() < 0.01


@pytest.mark.parametrize(("height", "width"), [(32, 32), (224, 300), (20, 90), (300, 40), (1, 1), (3, 2)])
def test_crops_lie_inside_with_allowed_area_and_ratio(height: int, width: int) -> None:
    top, left, h, w = drawn(ImageView(size=8, scale=(0.2, 0.6)), 2000, height, width).crop.unbind(dim=1)
    assert (top >= 0).all() and (left >= 0).all() and (h > 0).all() and (w > 0).all()
    assert (top + h <= height).all() and (left + w <= width).all()
    if min(height, width) >= 200:
        share, ratio = h * w / (height * width), w / h
        assert share.min() > 0.19 and share.max() < 0.61
        assert ratio.min() > 0.74 and ratio.max() < 1.35
        assert abs(share.mean() - 0.4) < 0.01 and abs(ratio.log().mean()) < 0.01


@pytest.mark.parametrize(("height", "width", "expected"), [(10, 400, (0, 193, 10, 13)), (400, 10, (193, 0, 13, 10))])
def test_where_no_crop_fits_the_largest_allowed_one_is_centred(
    height: int, width: int, expected: tuple[int, ...]
) -> None:
    crops = drawn(ImageView(size=8, scale=(0.5, 1.0)), 20, height, width).crop
    assert crops.tolist() == [list(expected)] * 20


@pytest.mark.parametrize("batch", [1, 3, 16])
def test_pixels_do_not_depend_on_the_batch(batch: int) -> None:
    images = torch.randint(0, 256, (16, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    views = recipe("simclr", size=32)
    whole = views(images, torch.arange(16), seed=5, epoch=2)
    parts = [
        views(i, j, seed=5, epoch=2) for i, j in zip(images.split(batch), torch.arange(16).split(batch), strict=True)
    ]
    for view in range(2):
        joined = torch.cat([part[view] for part in parts])
        assert (joined - whole[view]).abs().max() < 1e-6


def test_unequal_sizes_give_the_same_views_as_one_by_one() -> None:
    generator = torch.Generator().manual_seed(0)
    images = [
        torch.randint(0, 256, (h, w, 3), dtype=torch.uint8, generator=generator)
        for h, w in [(20, 30), (32, 32), (50, 17)]
    ]
    views = recipe("weak", size=24)
    together = views(images, torch.tensor([4, 9, 2]))
    for i, index in enumerate([4, 9, 2]):
        alone = views(images[i][None], torch.tensor([index]))
        for a, b in zip(together, alone, strict=True):
            assert (a[i] - b[0]).abs().max() < 1e-6


def test_arrays_floats_and_bytes_agree() -> None:
    images = torch.randint(0, 256, (4, 16, 16, 3), dtype=torch.uint8)
    views = recipe("simclr", size=16)
    expected = views(images, torch.arange(4))
    for other in (images.numpy(), images / 255.0, list(images), list(images.numpy())):
        for a, b in zip(views(other, list(range(4))), expected, strict=True):
            assert (a - b).abs().max() < 1e-5


def test_the_none_recipe_normalises_only_and_does_it_once() -> None:
    images = torch.randint(0, 256, (4, 16, 16, 1), dtype=torch.uint8)
    a, b = recipe("none", size=16, mean=[0.5], std=[0.25])(images, torch.arange(4))
    assert a is b
    assert (a - (images.permute(0, 3, 1, 2) / 255.0 - 0.5) / 0.25).abs().max() < 1e-5


def test_recipes_are_the_published_ones() -> None:
    first, second = recipe("byol", size=32).specs
    assert first.jitter == (0.4, 0.4, 0.2, 0.1) and (first.solarize, second.solarize) == (0.0, 0.2)
    assert first.blur == second.blur == 0.0 and first.scale == (0.08, 1.0)
    first, second = recipe("byol", size=224).specs
    assert (first.blur, second.blur, first.kernel) == (1.0, 0.1, 23)
    assert [v.size for v in recipe("dino", size=224).specs] == [224, 224, *[96] * 8]
    assert [v.size for v in recipe("swav", size=224).specs] == [224, 224, *[96] * 6]
    assert recipe("swav", size=224).specs[2].scale == (0.05, 0.14)
    assert len(recipe("dino", size=32)) == 2
    sizes = [tuple(v.shape) for v in recipe("swav", size=32, local_views=3)(torch.zeros(2, 32, 32, 3), [0, 1])]
    assert sizes == [(2, 3, 32, 32)] * 2 + [(2, 3, 16, 16)] * 3
    for name in ("simclr", "weak", "vicreg", "w-mse", "small"):
        a, b = recipe(name, size=32).specs
        assert a == b and (a.gray, a.flip, a.jitter_p) == (0.2, 0.5, 0.8)
    small, _ = recipe("small", size=16).specs
    assert (small.scale, small.jitter, small.blur) == ((0.1, 0.6), (0.4, 0.4, 0.4, 0.1), 0.0)


def test_more_channels_than_three_keep_their_order_of_magnitude() -> None:
    images = torch.randint(0, 256, (16, 12, 12, 6), dtype=torch.uint8)
    view = ImageView(size=12, jitter=(0.4, 0.4, 0.4, 0.1), gray=0.5)
    (x,) = Views((view,))(images, torch.arange(16))
    assert x.shape == (16, 6, 12, 12) and x.min() >= 0 and x.max() <= 1
    p = Views((view,)).draw(images, torch.arange(16))[0]
    assert torch.equal(x[p.gray][:, 0], x[p.gray][:, 5])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: recipe("simclear"), "did you mean 'simclr'"),
        (lambda: recipe("simclr", local_views=2), "no local views"),
        (lambda: recipe("dino", local_views=-1), "0 or more"),
        (lambda: ImageView(size=0), "a whole number of pixels, at least 1"),
        (lambda: ImageView(size=8, flip=1.5), "flip=1.5 is a probability"),
        (lambda: ImageView(size=8, scale=(0.5, 0.2)), "low <= high"),
        (lambda: ImageView(size=8, ratio=(0.0, 1.0)), "ratio"),
        (lambda: ImageView(size=8, jitter=(0, 0, 0, 0.7)), "hue <= 0.5"),
        (lambda: ImageView(size=8, sigma=(0.0, 1.0)), "sigma"),
        (lambda: ImageView(size=8, kernel=4), "odd"),
        (lambda: Views(()), "at least one"),
        (lambda: Views((RICH,), mean=[0.5]), "both or neither"),
        (lambda: Views((RICH,), mean=[0.5], std=[0.1, 0.1]), "mean has 1 channels"),
        (lambda: Views((RICH,), mean=[0.5], std=[0.0]), "std > 0"),
        (
            lambda: recipe("weak", mean=[0.5], std=[1])(torch.zeros(1, 8, 8, 3), [0]),
            "3 channels, the normalisation has 1",
        ),
        (lambda: recipe("weak")(torch.zeros(2, 8, 8, 3), [0]), "2 images but ids of shape (1,)"),
    ],
)
def test_impossible_requests_say_what_to_do(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(ConfigError) as caught:
        make()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(4, 8, 8), "give N x H x W x C"),
        (torch.zeros(4, 8, 8, 3, dtype=torch.int64), "give uint8 in 0..255"),
        ([], "empty list"),
        ([torch.zeros(8, 8)], "image 0 of the list"),
        ([torch.zeros(8, 8, 3), torch.zeros(8, 8, 1)], "mixes [1, 3] channels"),
    ],
)
def test_wrong_images_say_what_to_do(images: object, message: str) -> None:
    with pytest.raises(DataError) as caught:
        recipe("weak")(images, [0, 1, 2, 3])  # type: ignore[arg-type]
    assert message in str(caught.value)
