import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from infomax import evaluate as ev
from infomax.errors import DataError, NumericsError
from infomax.evaluate.embedding import gauge_lines
from infomax.evaluate.neighbours import neighbours
from infomax.mi.metric import KINDS


def rows(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(40, 5), (5, 40), (8, 8)])
@pytest.mark.parametrize("center", [False, True])
def test_effective_rank_by_numpy(shape, center):
    z = rows(*shape).numpy() * np.linspace(0.1, 3, shape[1]) + 1.0
    sigma = np.linalg.svd(z - z.mean(0) * center, compute_uv=False)
    sigma = sigma[sigma > 1e-9]
    p = sigma / sigma.sum()
    expected = math.exp(-sum(x * math.log(x) for x in p))
    assert ev.effective_rank(torch.tensor(z), center=center).item() == pytest.approx(expected, rel=1e-9)


@settings(max_examples=30, deadline=None)
@given(n=st.integers(2, 30), d=st.integers(1, 12), rank=st.integers(1, 5), seed=st.integers(0, 999))
def test_effective_rank_lies_between_one_and_the_rank(n, d, rank, seed):
    z = rows(n, rank, seed=seed) @ rows(rank, d, seed=seed + 1)
    value = ev.effective_rank(z).item()
    assert 1 - 1e-9 <= value <= min(n, d, rank) * (1 + 1e-4)
    rotation = torch.linalg.qr(rows(d, d, seed=seed + 2)).Q
    assert ev.effective_rank(3.0 * z @ rotation).item() == pytest.approx(value, rel=1e-3)


def test_effective_rank_in_float32_of_a_collapsed_batch():
    assert ev.effective_rank(torch.ones(500, 64)).item() == pytest.approx(1.0, abs=1e-6)
    assert ev.effective_rank(torch.zeros(5, 3)).item() == 1.0


def test_spread_tells_a_filled_sphere_from_a_point():
    assert ev.spread(rows(4000, 16)).item() == pytest.approx(1.0, abs=0.01)
    assert ev.spread(7.0 + 1e-6 * rows(4000, 16)).item() == pytest.approx(0.0, abs=1e-6)
    z = rows(50, 3)
    unit = (z / z.norm(dim=1, keepdim=True)).numpy()
    np.testing.assert_allclose(ev.std_per_dimension(z).numpy(), unit.std(0) * math.sqrt(3), rtol=1e-12)


@pytest.mark.parametrize("chunk", [1, 7, 1024])
def test_alignment_and_uniformity_by_double_loop(chunk):
    a, b = rows(20, 4), rows(20, 4, seed=1)
    u, v = ((z / z.norm(dim=1, keepdim=True)).numpy() for z in (a, b))
    distances = [np.linalg.norm(u[i] - v[i]) for i in range(20)]
    assert ev.alignment(a, b).item() == pytest.approx(np.mean(np.square(distances)), rel=1e-12)
    assert ev.alignment(a, b, power=1).item() == pytest.approx(np.mean(distances), rel=1e-12)
    potentials = [math.exp(-3 * np.sum((u[i] - u[j]) ** 2)) for i in range(20) for j in range(20) if i != j]
    assert ev.uniformity(a, t=3.0, chunk=chunk).item() == pytest.approx(math.log(np.mean(potentials)), rel=1e-11)


def test_what_has_collapsed_to_the_origin_is_as_bad_as_to_a_point():
    for z in (torch.zeros(50, 8), torch.full((50, 8), 1e-30), torch.ones(50, 8)):
        assert ev.uniformity(z, chunk=7).item() == pytest.approx(0.0, abs=1e-5)
    spread = torch.cat([torch.eye(2), -torch.eye(2)])
    some = torch.cat([spread, torch.zeros(2, 2)]).double()
    pairs = [math.exp(-2 * float((a - b).square().sum())) for i, a in enumerate(some) for b in some[:i]]
    assert ev.uniformity(some).item() == pytest.approx(math.log(np.mean(pairs)), rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_read_in_single(dtype):
    z = (100 * rows(60, 40)).to(dtype)  # lengths beyond 256, whose squares float16 does not hold
    z[3] = 0.0
    w, labels = z.flip(0), torch.arange(60) % 3
    for gauge in (
        ev.effective_rank,
        ev.std_per_dimension,
        ev.uniformity,
        lambda z: ev.alignment(z, w.to(z.dtype)),
        lambda z: ev.cluster_centres(z, labels),
        lambda z: ev.angle_gaps(z).mean,
        lambda z: ev.lidar(z.view(20, 3, 40)),
        ev.spectrum,
    ):
        assert torch.equal(gauge(z), gauge(z.float()))


def test_angle_gaps_of_known_figures():
    angles = torch.deg2rad(torch.tensor([0.0, 10.0, 40.0, 180.0], dtype=torch.float64))
    circle = torch.stack([angles.cos(), angles.sin()], dim=1)
    gaps = [10.0, 10.0, 30.0, 140.0]
    found = ev.angle_gaps(5 * circle)
    for value, expected in zip(found, (np.mean(gaps), 10.0, 140.0, np.std(gaps)), strict=True):
        assert value.item() == pytest.approx(expected, rel=1e-12)
    turns = torch.arange(3) * (2 * math.pi / 3)
    bipyramid = torch.cat(
        [torch.stack([turns.cos(), turns.sin(), 0 * turns], 1), torch.tensor([[0, 0, 1.0], [0, 0, -1.0]])]
    )
    assert ev.angle_gaps(bipyramid).min.item() == pytest.approx(90.0, abs=1e-5)
    assert ev.angle_gaps(bipyramid).mean.item() == pytest.approx(90.0, abs=1e-5)


def test_angle_gaps_keep_their_digits_near_zero():
    tiny = 1e-9
    gap = ev.angle_gaps(torch.tensor([[1.0, 0.0], [1.0, tiny]], dtype=torch.float64)).mean
    assert gap.item() == pytest.approx(math.degrees(tiny), rel=1e-6)
    assert ev.angle_gaps(torch.ones(3, 4)).max.item() == 0.0


def test_cluster_centres_are_class_means():
    z, labels = rows(30, 3), torch.arange(30) % 4 * 10
    unit = z / z.norm(dim=1, keepdim=True)
    for row, label in zip(ev.cluster_centres(z, labels), (0, 10, 20, 30), strict=True):
        mean = unit[labels == label].mean(0)
        torch.testing.assert_close(row, mean / mean.norm(), rtol=1e-12, atol=0)


def test_leading_dimensions_are_independent_problems():
    z, w, labels = rows(2, 3, 12, 4), rows(2, 3, 12, 4, seed=1), torch.arange(12) % 3
    gauges = {
        "effective_rank": ev.effective_rank(z),
        "spread": ev.spread(z),
        "alignment": ev.alignment(z, w),
        "uniformity": ev.uniformity(z),
        "gap": ev.angle_gaps(ev.cluster_centres(z, labels)).mean,
    }
    for i in range(2):
        for j in range(3):
            a, b = z[i, j], w[i, j]
            alone = {
                "effective_rank": ev.effective_rank(a),
                "spread": ev.spread(a),
                "alignment": ev.alignment(a, b),
                "uniformity": ev.uniformity(a),
                "gap": ev.angle_gaps(ev.cluster_centres(a, labels)).mean,
            }
            for name, value in alone.items():
                torch.testing.assert_close(gauges[name][i, j], value, rtol=1e-10, atol=1e-12)


def test_errors_say_what_was_given():
    with pytest.raises(DataError, match=r"must be \.\.\. N D, got \(3,\)"):
        ev.effective_rank(torch.zeros(3))
    with pytest.raises(NumericsError, match="NaN or infinity"):
        ev.spread(torch.tensor([[1.0, math.nan]]))
    with pytest.raises(NumericsError, match="at least 2 rows, got 1"):
        ev.angle_gaps(torch.ones(1, 3))
    with pytest.raises(DataError, match="one shape"):
        ev.alignment(torch.ones(2, 3), torch.ones(3, 3))
    with pytest.raises(DataError, match="2 rows need as many labels"):
        ev.cluster_centres(torch.ones(2, 3), torch.zeros(3))


def test_readings_that_look_odd_are_said_for_what_they_are():
    reading = {"lo": -3.0, "hi": -1.0, "ceiling": 10.0, "n": 200, "kind": "lower bound", "saturated": False}
    mi = {"jsd_lower": reading | {"value": -2.0}, "infonce": reading | {"value": 2.0}}
    mi["smile"] = reading | {"value": 4.6, "kind": "surrogate"}
    found = {"mi": mi} | dict.fromkeys(("alignment", "uniformity", "rankme"), 1.0)
    bad, good, high, _ = gauge_lines(found | {"lidar": None, "std": {"min": 0.0, "max": 1.0}})
    assert bad == "MI, jsd_lower  below 0 (says nothing), cos/0.1, N = 200; lower bound"
    mi["dv"] = mi.pop("jsd_lower") | {"kind": KINDS["dv"]}
    *_, dv, _ = gauge_lines(found | {"lidar": None, "std": {"min": 0.0, "max": 1.0}})
    assert "below 0 (says nothing)" in dv and dv.endswith("high on few pairs") and "-2.000" not in dv
    assert good.endswith("lower bound") and high.endswith("surrogate, neither a lower nor an upper bound")


@pytest.mark.parametrize("scale", [1e-30, 1e-13, 1e20, 1e36])
def test_gauges_do_not_see_how_long_rows_are(scale):
    """Nor do neighbours: `F.normalize` leaves what is shorter than 1e-12, and squares beyond 1e38 are infinite."""
    z, other = rows(200, 16).float(), rows(200, 16, seed=1).float()
    y = torch.arange(200) % 3
    for read in (
        ev.std_per_dimension,
        ev.spread,
        ev.uniformity,
        lambda z: ev.alignment(z, other * scale),
        lambda z: ev.cluster_centres(z, y),
        lambda z: ev.knn_predict(z, y, other * scale),
        lambda z: neighbours(z)[0],
    ):
        torch.testing.assert_close(read(z * scale), read(z), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-200, 1e-160, 1e160, 1e300])
@pytest.mark.parametrize("center", [False, True])
def test_the_effective_rank_of_float64_has_no_scale_either(scale, center):
    z = torch.randn(20, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    both = ev.effective_rank(torch.stack([z * scale, z]), center=center)
    torch.testing.assert_close(both[0], both[1], rtol=1e-10, atol=0.0)
