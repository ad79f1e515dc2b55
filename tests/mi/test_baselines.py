import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from infomax import mi
from infomax.errors import ConfigError, DataError
from infomax.mi.baselines import LOCAL


def some_scores(n=6, m=6, seed=0, lead=()):
    generator = torch.Generator().manual_seed(seed)
    return 1.5 * torch.randn(*lead, n, m, dtype=torch.float64, generator=generator) + 1.5 * torch.eye(n, m).double()


def gaussians(n, rho=0.8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x, e = torch.randn(2, n, dtype=torch.float64, generator=generator)
    return x, rho * x + math.sqrt(1 - rho**2) * e, -0.5 * math.log(1 - rho**2)


def log_normal(x, mean, sd):
    return -0.5 * ((x - mean) / sd) ** 2 - math.log(sd) - 0.5 * math.log(2 * math.pi)


@pytest.mark.parametrize("size", [(2, 2), (6, 6), (4, 9)])
def test_ends_and_special_baselines(size):
    t = some_scores(*size)
    torch.testing.assert_close(mi.tuba(t, 1.0), mi.nwj(t))
    torch.testing.assert_close(mi.tuba(t, 0.0), mi.jsd_lower(t))
    q = torch.linspace(-1, 1, len(t), dtype=torch.float64)
    torch.testing.assert_close(mi.interpolated(t, alpha=1.0, log_baseline=q), mi.infonce(t))
    torch.testing.assert_close(mi.interpolated(t, alpha=0.0, log_baseline=q), mi.tuba(t, q))
    torch.testing.assert_close(mi.MINE(rate=0.3)(t), mi.dv(t))


@pytest.mark.parametrize("alpha", [0.0, 0.01, 0.3, 0.9, 1.0])
def test_interpolated_by_its_definition(alpha):
    t, q = some_scores(4, 5), [0.3, 1.0, 2.0, 0.1]
    total = 1.0
    for i in range(4):
        row = [math.exp(x) for x in t[i].tolist()]
        every, false = sum(row) / 5, (sum(row) - row[i]) / 4
        total += (t[i, i].item() - math.log(alpha * every + (1 - alpha) * q[i])) / 4
        total -= false / (alpha * false + (1 - alpha) * q[i]) / 4
    value = mi.interpolated(t, alpha=alpha, log_baseline=torch.tensor(q, dtype=torch.float64).log())
    assert value.item() == pytest.approx(total, rel=1e-12)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 999), alpha=st.floats(0.01, 1.0), n=st.integers(2, 12))
def test_interpolated_stays_below_its_ceiling(seed, alpha, n):
    t = 30 * some_scores(n, n, seed=seed)
    assert mi.interpolated(t, alpha=alpha) <= 1 + math.log(n / alpha) + 1e-9


@pytest.mark.parametrize(
    "function",
    [lambda t: mi.tuba(t, t.new_tensor(0.3)), lambda t: mi.interpolated(t, alpha=0.4), mi.leave_one_out_upper]
    + [lambda t, name=name: mi.local(name, t) for name in LOCAL if name != "smile"],
)
def test_gradients(function):
    assert torch.autograd.gradcheck(function, some_scores(lead=(2,)).requires_grad_())


def test_a_baseline_can_be_learned():
    t = some_scores()
    base = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    for _ in range(300):
        (slope,) = torch.autograd.grad(mi.tuba(t, base), base)
        base = (base + 2.0 * slope).detach().requires_grad_()
    # the best baseline is the row's mean of e^T over its false pairs
    best = mi.bounds._split(t, "")[1].logsumexp(-1) - math.log(5)
    torch.testing.assert_close(base.detach(), best, rtol=1e-4, atol=1e-4)


def test_known_densities_read_the_truth_from_both_sides():
    x, y, truth = gaussians(4000)
    sd, entropy = math.sqrt(1 - 0.8**2), 0.5 * math.log(2 * math.pi * math.e)
    tight = mi.barber_agakov(log_normal(x, 0.8 * y, sd), entropy=entropy).item()
    loose = mi.barber_agakov(log_normal(x, 0.4 * y, sd), entropy=entropy).item()
    assert tight == pytest.approx(truth, abs=0.05) and loose < truth - 0.1
    forward = log_normal(y, 0.8 * x, sd)
    above = mi.barber_agakov_upper(forward, log_normal(y, 1.0, 1.5)).item()
    assert mi.barber_agakov_upper(forward, log_normal(y, 0.0, 1.0)).item() == pytest.approx(truth, abs=0.05)
    assert above > truth + 0.1
    some = slice(0, 1000)
    matrix = log_normal(y[some][None, :], 0.8 * x[some][:, None], sd)
    assert mi.leave_one_out_upper(matrix).item() == pytest.approx(truth, abs=0.1)
    exact = [
        matrix[i, i] - (torch.cat([matrix[:i, i], matrix[i + 1 :, i]]).logsumexp(0) - math.log(999))
        for i in range(1000)
    ]
    assert mi.leave_one_out_upper(matrix).item() == pytest.approx(torch.stack(exact).mean().item(), rel=1e-12)


def test_mine_divides_by_the_average():
    mine, rate = mi.MINE(rate=0.25), 0.25
    batches = [some_scores(seed=s) for s in range(3)]
    average = None
    for t in batches:
        newest = mi.bounds._split(t, "")[1].exp().sum() / 30
        average = newest if average is None else (1 - rate) * average + rate * newest
        leaf = t.clone().requires_grad_()
        value = mine(leaf)
        value.backward()
        assert value.item() == pytest.approx(mi.dv(t).item(), rel=1e-12)
        eye = torch.eye(6, dtype=torch.float64)
        expected = eye / 6 - t.exp() * (1 - eye) / 30 / average
        torch.testing.assert_close(leaf.grad, expected)
    before = copy.deepcopy(mine.state_dict())
    mine.eval()(batches[0])
    assert mine.state_dict() == before  # reading moves nothing
    resumed = mi.MINE(rate=rate)
    resumed.load_state_dict(before)
    torch.testing.assert_close(resumed.log_mean, average.log())


def test_mine_of_a_kernel():
    from infomax.kernels import log_mean_exp

    a, b = torch.randn(2, 20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    first, second = mi.MINE(rate=0.5), mi.MINE(rate=0.5)
    torch.testing.assert_close(first(a @ b.T), second.of((a * b).sum(1).mean(), log_mean_exp(a, b)))


@pytest.mark.parametrize("name", LOCAL)
@pytest.mark.parametrize("size", [(2, 2), (6, 6), (3, 7)])
def test_shares_average_to_the_estimate(name, size):
    t = some_scores(*size, lead=(3,))
    shares = mi.local(name, t)
    assert shares.shape == (3, size[0])
    torch.testing.assert_close(shares.mean(-1), getattr(mi, name)(t))


def test_a_share_is_of_its_pair():
    t = torch.zeros(5, 5, dtype=torch.float64)
    t[2, 2] = 3.0
    for name in LOCAL:
        shares = mi.local(name, t)
        assert shares[2] > shares[[0, 1, 3, 4]].max(), name


def test_refusals():
    t = some_scores()
    with pytest.raises(ConfigError, match=r"0 \(TUBA\) and 1 \(InfoNCE\)"):
        mi.interpolated(t, alpha=1.5)
    with pytest.raises(ConfigError, match="did you mean 'infonce'"):
        mi.local("infonse", t)
    with pytest.raises(ConfigError, match="rate"):
        mi.MINE(rate=0.0)
    with pytest.raises(DataError, match=r"N N, got \(2, 3\)"):
        mi.leave_one_out_upper(torch.zeros(2, 3))
    with pytest.raises(DataError, match=r"problems \(2,\); take one MINE each"):
        mi.MINE()(some_scores(lead=(2,)))
