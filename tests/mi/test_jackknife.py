"""The jackknife against leaving every pair out in turn, where few pairs or few candidates hold nearly all."""

import math

import pytest
import torch
import torch.nn.functional as F

from infomax import mi
from infomax.critic import Cosine, Dot
from infomax.mi import MIMetric
from infomax.mi.jackknife import standard_error, with_and_without
from infomax.mi.sums import sums

NAMES = ("dv", "infonce", "nwj", "jsd", "jsd_lower", "smile")


def draw(n, d, noise, seed=0):
    a, e = torch.randn(2, n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return a, a + noise * e


def one_by_one(scores, name):
    keep = ~torch.eye(len(scores), dtype=torch.bool)
    return torch.stack([getattr(mi, name)(scores[k][:, k]) for k in keep])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(
    "critic, n, d, noise",
    [
        (Dot(0.5), 33, 5, 0.5),
        (Dot(0.03), 100, 16, 1.0),
        (Dot(0.03), 40, 3, 2.0),
        (Cosine(0.02), 60, 4, 0.5),
        (Cosine(1.0), 3, 2, 0.5),
        (Cosine(0.01), 3, 1, 0.5),
    ],
    ids=str,
)
def test_without_each_pair(critic, n, d, noise, dtype):
    a, b = (z.to(dtype) for z in draw(n, d, noise))
    found = with_and_without(sums(critic, a, b, clip=5.0), coefficient=0.5)
    scores = critic.crossed(a.double(), b.double())
    unit = max(1.0, scores.abs().max().item())
    for name in NAMES:
        exact = one_by_one(scores, name)
        if name in ("nwj", "jsd_lower"):
            exact, got = (x.sign() * (1 + x.abs()).log() for x in (exact, found[name][1]))
            usable = exact.isfinite() & got.isfinite()
            exact, got = exact[usable], got[usable]
        else:
            got = found[name][1]
        bar = 0.02 if name == "infonce" else 0.0  # candidates below a share of 0.02 count to first order
        torch.testing.assert_close(got, exact, rtol=1e-5, atol=bar + (1e-9 if dtype == torch.float64 else 1e-5) * unit)


def test_a_row_that_comes_twice_leaves_an_interval():
    a = F.normalize(torch.randn(200, 64, generator=torch.Generator().manual_seed(0)), dim=1)
    a[1] = a[0]
    metric = MIMetric("cosine", tau=0.01, readings=("dv", "jsd_lower", "smile"), clip=30.0)
    metric.update(a, a)
    said = metric.compute()
    scores = mi.cosine_scores(a.double(), a.double(), tau=0.01)
    assert said["dv"].se == pytest.approx(standard_error(one_by_one(scores, "dv")).item(), rel=1e-4)
    assert all(math.isfinite(x) for reading in said.values() for x in (reading.lo, reading.hi, reading.se))


@pytest.mark.parametrize("critic, n, d", [(Dot(0.5), 33, 5), (Cosine(0.2), 3, 2), (Cosine(0.03), 300, 4)], ids=str)
@pytest.mark.parametrize("compiled", [False, True])
def test_infonce_where_candidates_hold_large_shares(critic, n, d, compiled, monkeypatch):
    from infomax.mi import sums as module

    if compiled:
        monkeypatch.setattr(module, "COMPILED_FROM", 3)
    a, b = (z.float() for z in draw(n, d, 0.5))
    found = with_and_without(sums(critic, a, b, clip=5.0), coefficient=0.5)["infonce"][1]
    exact = one_by_one(critic.crossed(a.double(), b.double()), "infonce")
    assert standard_error(found).item() == pytest.approx(standard_error(exact).item(), rel=0.01)


@pytest.mark.parametrize("tau", [0.1, 0.005])
def test_the_largest_clip(tau):
    a, b = (z.float() for z in draw(50, 4, 0.1))
    metric = MIMetric("cosine", tau=tau, readings=("smile",), clip=40.0)
    metric.update(a, b)
    said = metric.compute()["smile"]
    scores = mi.cosine_scores(a.double(), b.double(), tau=tau)
    assert said.value == pytest.approx(mi.smile(scores, clip=40.0).item(), rel=1e-5)
    each = torch.stack([mi.smile(scores[k][:, k], clip=40.0) for k in ~torch.eye(50, dtype=torch.bool)])
    assert said.se == pytest.approx(standard_error(each).item(), rel=1e-3)
