"""Views of signals and tables: what is drawn keeps to its range, and a view depends on its sample alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from infomax.data import Dataset
from infomax.errors import DataError, InfomaxError
from infomax.views import Corruption, Gaussian, Signals, SignalView, rng
from infomax.views.signal import apply_signal, draw_signal

STILL = SignalView(crop=(1.0, 1.0), stretch=0.0, flip=0.0, scale=0.0, noise=0.0, mask=0.0)
RICH = SignalView(crop=(0.3, 0.9), stretch=0.7, flip=0.5, scale=0.4, noise=0.3, mask=0.4)


def waves(n: int, channels: int = 2, length: int = 60, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    time = torch.linspace(0, 6, length, dtype=dtype)
    phase = torch.arange(n * channels, dtype=dtype).reshape(n, channels, 1)
    return torch.sin(time * (1 + phase % 3) + phase)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9), st.integers(1, 3), st.integers(1, 70), st.integers(0, 2**40), st.integers(1, 4))
def test_signal_bytes_depend_on_the_sample_alone(n: int, channels: int, length: int, seed: int, part: int) -> None:
    x, ids = waves(n, channels, length), torch.arange(n) * 7
    views = Signals((RICH, replace(RICH, flip=0.0)), mean=[0.1] * channels, std=[0.7] * channels)
    whole = views(x, ids, seed=seed, epoch=3)
    pieces = [views(a, b, seed=seed, epoch=3) for a, b in zip(x.split(part), ids.split(part), strict=True)]
    for k in range(2):
        assert torch.equal(whole[k], torch.cat([p[k] for p in pieces]))
    backwards = views(x.flip(0), ids.flip(0), seed=seed, epoch=3)
    assert torch.equal(backwards[0].flip(0), whole[0])


@pytest.mark.parametrize("length", [1, 2, 3, 50, 1000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nothing_drawn_is_the_identity(length: int, dtype: torch.dtype) -> None:
    x = waves(4, 3, length, dtype)
    a, b = Signals((STILL, STILL))(x, torch.arange(4))
    assert a.dtype == dtype and torch.equal(a, x) and torch.equal(b, x)


@pytest.mark.parametrize("length", [1, 2, 17, 400])
def test_what_is_drawn_keeps_to_its_range(length: int) -> None:
    n, size = 4000, max(1, length * 3 // 4)
    p = draw_signal(RICH, torch.arange(n), (1, length, size), seed=5)
    assert (p.span.min() >= 1 and p.span.max() <= round(0.9 * size)) or size == 1
    assert p.start.min() >= 0 and (p.start + p.span).max() <= length
    assert p.tempo.abs().max() <= 0.7 and (p.factor - 1).abs().max() <= 0.4 + 1e-6
    assert p.hidden.min() >= 0 and p.hidden.sum(dim=1).max() <= size and p.hidden[:, 1].max() <= 0.4 * size
    assert abs(p.flip.float().mean() - 0.5) < 0.03 and abs(p.tempo.mean()) < 0.03
    assert p.noise is not None and abs(p.noise.std() - 1) < 0.05


def test_a_crop_is_numpys_linear_interpolation() -> None:
    x, ids = waves(6, 2, 80, torch.float64), torch.arange(6)
    spec = replace(STILL, crop=(0.2, 0.8), stretch=0.9, flip=0.5)
    p = draw_signal(spec, ids, (2, 80, 64), seed=1)
    assert p.flip.any() and not p.flip.all()
    ours = apply_signal(spec, x, p, 64)
    u = np.arange(64) / 63
    for i in range(6):
        place = p.start[i].item() + (p.span[i].item() - 1) * (u + p.tempo[i].item() * u * (1 - u))
        place = place[::-1] if p.flip[i] else place
        for c in range(2):
            np.testing.assert_allclose(ours[i, c], np.interp(place, np.arange(80), x[i, c]), atol=1e-12)


def test_the_mask_is_the_mean_and_noise_has_its_strength() -> None:
    x = 5.0 + 2.0 * torch.randn(500, 1, 200, generator=torch.Generator().manual_seed(0))
    (masked,) = Signals((replace(STILL, mask=0.5),), mean=[5.0], std=[2.0])(x, torch.arange(500))
    zeros = (masked == 0).float().mean(dim=2)[:, 0]
    assert zeros.max() <= 0.5 and 0.2 < zeros.mean() < 0.3
    assert torch.equal(masked[masked != 0], ((x - 5.0) / 2.0)[masked != 0])
    (noisy,) = Signals((replace(STILL, noise=0.25),), mean=[5.0], std=[2.0])(x, torch.arange(500))
    assert abs((noisy - (x - 5.0) / 2.0).std() - 0.25) < 0.005


def test_single_precision_noise_has_its_law() -> None:
    e = rng.noise(rng.key(torch.arange(2000), 1), 201).double()
    assert abs(e.mean()) < 0.01 and abs(e.var() - 1) < 0.01 and abs((e**4).mean() - 3) < 0.05
    assert abs((e[:, :100] * e[:, 101:]).mean()) < 0.01 and abs((e[:-1] * e[1:]).mean()) < 0.01
    assert (e.abs() > 3).double().mean() == pytest.approx(0.0027, abs=0.0004)


def table(n: int = 300, d: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, d, generator=generator) * torch.arange(1, d + 1) + 100 * torch.arange(d)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 2**40), st.floats(0, 1))
def test_corruption_bytes_depend_on_the_row_alone(n: int, part: int, seed: int, rate: float) -> None:
    rows, ids = table(), torch.arange(n) * 3
    views = Corruption(rows, (rate, rate), mean=[1.0] * 6, std=[2.0] * 6)
    whole = views(rows[ids], ids, seed=seed)
    pieces = [views(rows[i], i, seed=seed) for i in ids.split(part)]
    for k in range(2):
        assert torch.equal(whole[k], torch.cat([p[k] for p in pieces]))


def test_corruption_draws_each_entry_from_its_column() -> None:
    rows = table()
    ids = torch.arange(20_000)
    x = torch.full((20_000, 6), -1e6)
    kept, some, every = Corruption(rows, (0.0, 0.3, 1.0))(x, ids, seed=2)
    assert torch.equal(kept, x)
    replaced = some != -1e6
    assert (replaced.float().mean(dim=0) - 0.3).abs().max() < 0.02
    assert abs((replaced[:, 0] & replaced[:, 1]).float().mean() - 0.09) < 0.01
    for j in range(6):
        assert torch.isin(every[:, j], rows[:, j]).all()
        share = torch.stack([(every[:, j] == v).float().mean() for v in rows[:, j]])
        assert share.max() < 2.0 / 300 and share.min() > 0.3 / 300  # every row gives, and evenly
    standard = (every - rows.mean(dim=0)) / rows.std(dim=0)
    assert (torch.cov(standard.T) - torch.eye(6)).abs().max() < 0.05  # entries come from different rows


def test_corruption_of_a_data_set_is_standardised() -> None:
    data = Dataset(table(), name="mine")
    whole, _ = Corruption.of(data)(table(), torch.arange(300))
    assert whole.mean(dim=0).abs().max() < 1e-4 and (whole.std(dim=0) - 1).abs().max() < 0.01
    (noisy,) = Gaussian(0.0, n=1, mean=data.mean, std=data.std)(table(), torch.arange(300))
    assert torch.equal(noisy, whole)
    with pytest.raises(DataError, match="'pictures' is no table"):
        Corruption.of(Dataset([torch.zeros(2, 2, 1, dtype=torch.uint8)], name="pictures"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SignalView(crop=(0.0, 1.0)), "crop="),
        (lambda: SignalView(mask=1.5), "mask=1.5"),
        (lambda: SignalView(scale=1.0), "scale=1.0"),
        (lambda: SignalView(noise=-1.0), "not negative"),
        (lambda: Signals(()), "at least one"),
        (lambda: Signals(length=0), "at least 1 reading"),
        (lambda: Signals(mean=[0.0]), "give both or neither"),
        (lambda: Signals()(torch.zeros(3, 5), [0, 1, 2]), "give N x C x L floats"),
        (lambda: Signals()(torch.zeros(3, 1, 5), [0, 1]), "one int64 id a signal"),
        (lambda: Signals(length=9)(torch.zeros(3, 1, 5), [0, 1, 2]), "at most as many"),
        (
            lambda: Signals(mean=[0.0], std=[1.0])(torch.zeros(3, 2, 5), [0, 1, 2]),
            "2 channels, the normalisation has 1",
        ),
        (lambda: Corruption(torch.zeros(0, 2)), "give M x D floats"),
        (lambda: Corruption(torch.zeros(2, 2), (1.5,)), "one probability"),
        (lambda: Corruption(torch.zeros(2, 2), mean=[0.0]), "give both or neither"),
        (lambda: Corruption(torch.zeros(2, 2))(torch.zeros(2, 3), [0, 1]), "give N x 2 floats"),
        (lambda: Corruption(torch.zeros(2, 2))(torch.zeros(2, 2), [0]), "one int64 id a point"),
        (lambda: Gaussian(0.1, std=[1.0]), "give both or neither"),
    ],
)
def test_impossible_requests_say_what_to_do(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(InfomaxError, match=message):
        make()
