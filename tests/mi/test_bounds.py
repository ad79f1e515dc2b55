import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from infomax import mi
from infomax.errors import ConfigError, DataError, NumericsError

ORACLES = Path(__file__).resolve().parents[3] / "shared" / "oracles"

SCORED = {
    "dv": mi.dv,
    "dv_all_pairs": lambda t: mi.dv(t, all_pairs=True),
    "nwj": mi.nwj,
    "infonce": mi.infonce,
    "infonce_offdiag": lambda t: mi.infonce(t, positive_in_denominator=False),
    "infonce_literal": mi.infonce_literal,
    "jsd": mi.jsd,
    "jsd_all_pairs": lambda t: mi.jsd(t, all_pairs=True),
    "jsd_shifted": mi.jsd_shifted,
    "jsd_lower": mi.jsd_lower,
    "xi_jsd": mi.xi_jsd,
    "smile": lambda t: mi.smile(t, clip=1.0),
    "taylor_dv": mi.taylor_dv,
    "taylor_dv_eq11": lambda t: mi.taylor_dv(t, coefficient=1.0),
}

EMBEDDED = {
    "dv": mi.cos_dv,
    "nwj": mi.cos_nwj,
    "infonce": mi.cos_infonce,
    "infonce_literal": mi.cos_infonce_literal,
    "jsd": mi.cos_jsd,
    "jsd_lower": mi.cos_jsd_lower,
    "xi_jsd": mi.cos_xi_jsd,
    "smile": mi.cos_smile,
    "taylor_dv": mi.cos_taylor_dv,
}


def by_double_loop(name, t):
    """Every estimate from its definition, one score at a time."""
    n, m = t.shape
    pos = [t[i, i] for i in range(n)]
    neg = [t[i, j] for i in range(n) for j in range(m) if i != j]
    every = [t[i, j] for i in range(n) for j in range(m)]

    def mean(xs):
        return math.fsum(xs) / len(xs)

    def softplus(x):
        return math.log(1 + math.exp(x))

    def variance(xs):
        return mean([(x - mean(xs)) ** 2 for x in xs])

    def row(i, keep):
        return math.log(math.fsum(math.exp(t[i, j]) for j in range(m) if keep(i, j)))

    if name == "xi_jsd":
        target = 0.5 * by_double_loop("jsd", t) + math.log(2)
        low, high = 0.0, 1.0  # bisect a
        for _ in range(200):
            a = (low + high) / 2
            reached = math.log(2) - 0.5 * ((1 + a) * math.log(1 + a) - a * math.log(a))
            low, high = (a, high) if reached > target else (low, a)
        return -math.log(a)
    return {
        "dv": lambda: mean(pos) - math.log(mean([math.exp(x) for x in neg])),
        "dv_all_pairs": lambda: mean(pos) - math.log(mean([math.exp(x) for x in every])),
        "nwj": lambda: 1 + mean([x - 1 for x in pos]) - mean([math.exp(x - 1) for x in neg]),
        "infonce": lambda: math.log(m) + mean([t[i, i] - row(i, lambda i, j: True) for i in range(n)]),
        "infonce_offdiag": lambda: math.log(m - 1) + mean([t[i, i] - row(i, lambda i, j: i != j) for i in range(n)]),
        "infonce_literal": lambda: 2 * math.log(m) + mean([t[i, i] - row(i, lambda i, j: True) for i in range(n)]),
        "jsd": lambda: mean([-softplus(-x) for x in pos]) - mean([softplus(x) for x in neg]),
        "jsd_all_pairs": lambda: mean([-softplus(-x) for x in pos]) - mean([softplus(x) for x in every]),
        "jsd_shifted": lambda: by_double_loop("jsd", t) + 2 * math.log(2),
        "jsd_lower": lambda: 1 + mean(pos) - mean([math.exp(x) for x in neg]),
        "smile": lambda: mean(pos) - math.log(mean([math.exp(min(max(x, -1.0), 1.0)) for x in neg])),
        "taylor_dv": lambda: mean(pos) - mean(neg) - variance(neg) / 2,
        "taylor_dv_eq11": lambda: mean(pos) - mean(neg) - variance(neg),
    }[name]()


def some_scores(n=6, m=6, seed=0):
    scores = 1.5 * torch.randn(n, m, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return scores + 1.5 * torch.eye(n, m, dtype=torch.float64)


def some_views(*shape, seed=0, noise=0.5):
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(*shape, dtype=torch.float64, generator=generator)
    return a, a + noise * torch.randn(*shape, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("name", SCORED)
@pytest.mark.parametrize("size", [(2, 2), (6, 6), (3, 7)])
def test_values_by_double_loop(name, size):
    scores = some_scores(*size)
    np.testing.assert_allclose(SCORED[name](scores).item(), by_double_loop(name, scores.numpy()), rtol=1e-12)


@pytest.mark.parametrize("name", [n for n in SCORED if n != "smile"])
def test_gradients_of_scores(name):
    assert torch.autograd.gradcheck(SCORED[name], some_scores().requires_grad_())


@pytest.mark.parametrize("name", [n for n in EMBEDDED if n != "smile"])
def test_gradients_of_embeddings(name):
    a, b = some_views(5, 3)
    assert torch.autograd.gradcheck(
        lambda a, b: EMBEDDED[name](a, b, tau=0.7), (a.requires_grad_(), b.requires_grad_())
    )


def test_smile_climbs_jsd():
    scores = some_scores().requires_grad_()
    (climbed,) = torch.autograd.grad(mi.smile(scores, clip=0.5), scores)
    (expected,) = torch.autograd.grad(mi.jsd(scores), scores)
    assert torch.equal(climbed, expected)
    assert mi.smile(scores, clip=math.inf).item() == pytest.approx(mi.dv(scores).item(), rel=1e-14)


@pytest.mark.parametrize("name", SCORED)
def test_leading_dimensions_are_independent_problems(name):
    scores = torch.stack([some_scores(seed=s) for s in range(6)]).reshape(2, 3, 6, 6).requires_grad_()
    values = SCORED[name](scores)
    assert values.shape == (2, 3)
    values.sum().backward()
    for i in range(2):
        for j in range(3):
            one = scores[i, j].detach().requires_grad_()
            alone = SCORED[name](one)
            alone.backward()
            torch.testing.assert_close(values[i, j], alone, rtol=1e-13, atol=0)
            torch.testing.assert_close(scores.grad[i, j], one.grad, rtol=1e-12, atol=1e-15)


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(2, 12), d=st.integers(1, 6), tau=st.floats(0.02, 3.0), noise=st.floats(0, 2), seed=st.integers(0, 999)
)
def test_properties_of_cosine_estimates(n, d, tau, noise, seed):
    a, b = some_views(n, d, seed=seed, noise=noise)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    for name, estimate in EMBEDDED.items():
        value = estimate(a, b, tau=tau)
        slack = 1e-9 * (1 + abs(value.item()))
        assert torch.isfinite(value), name
        assert abs(estimate(a[order], b[order], tau=tau) - value) < slack, f"{name} depends on the order of the pairs"
        assert abs(estimate(3 * a, 0.1 * b, tau=tau) - value) < slack, f"{name} depends on the scale"
        if "infonce" not in name:
            assert abs(estimate(b, a, tau=tau) - value) < slack, f"{name} depends on which side is called a"
        if name != "smile":
            assert value <= mi.ceiling(name, tau=tau, n=n) + slack, f"{name} above its ceiling"
    assert mi.cos_infonce(a, b, tau=tau) <= math.log(n) + 1e-12
    assert mi.cos_jsd(a, b, tau=tau) < 0
    assert mi.cos_nwj(a, b, tau=tau) <= mi.cos_dv(a, b, tau=tau) + 1e-9, "e^x >= 1 + x puts NWJ below DV"


def gaussian_log_ratio(rho, n, seed=0):
    """Scores of the optimal critic, log p(x, y) / p(x) p(y), on n draws of correlated normals."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, dtype=torch.float64, generator=generator)
    y = rho * x + math.sqrt(1 - rho**2) * torch.randn(n, dtype=torch.float64, generator=generator)
    x, y = x[:, None], y[None, :]
    return -0.5 * math.log(1 - rho**2) - (rho**2 * (x**2 + y**2) - 2 * rho * x * y) / (2 * (1 - rho**2))


def test_the_optimal_critic_reads_the_truth():
    scores = gaussian_log_ratio(0.8, n=3000)
    truth = -0.5 * math.log(1 - 0.8**2)  # 0.511 nats
    for value in (mi.dv(scores), mi.nwj(scores + 1), mi.jsd_lower(scores), mi.infonce(scores), mi.smile(scores)):
        assert value.item() == pytest.approx(truth, abs=0.04)
    assert 0.1 < mi.xi_jsd(scores).item() < truth
    assert mi.infonce_literal(scores).item() == pytest.approx(truth + math.log(3000), abs=0.04)


def test_infonce_without_its_true_pair_is_an_upper_bound():
    scores = torch.stack([gaussian_log_ratio(0.8, n=6, seed=s) for s in range(2000)])
    truth, found = -0.5 * math.log(1 - 0.8**2), mi.infonce(scores, positive_in_denominator=False)
    error = found.std().item() / math.sqrt(2000)
    assert found.mean().item() > truth + 5 * error
    assert mi.infonce(scores).mean().item() < truth - 5 * error
    torch.testing.assert_close(
        found, mi.leave_one_out_upper(scores.mT)
    )  # T is log p(x | y) less a constant of its row, which cancels


def test_xi_is_attained():
    # p = q on a part of q of mass a: KL(p | q) = -log a, and their JSD is the argument of xi.
    for a in (1.0, 0.5, 1e-3, 1e-12, 1e-100):
        p, q = np.array([1.0, 0.0]), np.array([a, 1.0 - a])
        deficit = 0.5 * ((1 + a) * math.log1p(a) - a * math.log(a))  # log 2 - JSD(p, q)
        if a > 1e-3:
            m = (p + q) / 2
            kl = [sum(u * math.log(u / w) for u, w in zip(v, m, strict=True) if u > 0) for v in (p, q)]
            assert math.log(2) - sum(kl) / 2 == pytest.approx(deficit, rel=1e-9)
        assert mi.xi(torch.tensor(-2 * deficit, dtype=torch.float64)).item() == pytest.approx(-math.log(a), rel=1e-10)


def test_worse_than_chance_guarantees_nothing():
    scores = -3 * torch.eye(4, dtype=torch.float64)
    scores.requires_grad_()
    value = mi.xi_jsd(scores)
    value.backward()
    assert value.item() == pytest.approx(0.0, abs=1e-15)
    assert torch.equal(scores.grad, torch.zeros(4, 4, dtype=torch.float64))


@pytest.mark.parametrize("name", [n for n in SCORED if n not in ("nwj", "jsd_lower")])  # whose value holds e^T itself
def test_large_scores_stay_finite(name):
    scores = (800 * torch.eye(4) - 400).requires_grad_()
    value = SCORED[name](scores)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(scores.grad).all()


@pytest.mark.shared
@pytest.mark.skipif(not ORACLES.is_dir(), reason="needs ../shared/oracles")
@pytest.mark.parametrize("path", sorted(ORACLES.glob("mi_*.npz")), ids=lambda p: p.stem)
def test_estimates_equal_the_authors(path):
    data = np.load(path)
    meta = json.loads(str(data["meta"]))
    kind = meta["method"].removeprefix("mi_")
    name, options = ("smile", {"clip": float(kind.removeprefix("smile_clip"))}) if "smile" in kind else (kind, {})

    scores = torch.tensor(data["input_scores"], requires_grad=True)
    on_scores = getattr(mi, name)(scores, **options)
    z1, z2 = (torch.tensor(data[f"input_{z}"], requires_grad=True) for z in ("z1", "z2"))
    on_embeddings = EMBEDDED[name](z1, z2, tau=meta["temperature"], **options)
    (on_scores + on_embeddings).backward()
    for value in (on_scores, on_embeddings):
        np.testing.assert_allclose(value.item(), data["loss"], rtol=1e-10)
    for tensor, key in ((scores, "grad_scores"), (z1, "grad_z1"), (z2, "grad_z2")):
        largest = np.abs(data[key]).max()
        np.testing.assert_allclose(tensor.grad.numpy(), data[key], rtol=0, atol=1e-8 * largest)
    variants = {
        "out_literal_eq20": mi.infonce_literal,
        "out_offdiag_denominator": SCORED["infonce_offdiag"],
        "out_loss_eq19": lambda t: math.log(len(t)) - mi.infonce(t),
        "out_all_pairs_marginal": SCORED["jsd_all_pairs"],
        "out_with_2log2_shift": mi.jsd_shifted,
    }
    for key in data.files:
        if key.startswith("out_"):
            np.testing.assert_allclose(variants[key](scores).item(), data[key], rtol=1e-10)


@pytest.mark.shared
@pytest.mark.skipif(not ORACLES.is_dir(), reason="needs ../shared/oracles")
@pytest.mark.parametrize("path", sorted(ORACLES.glob("cosdv_jmi_*.npz")), ids=lambda p: p.stem)
def test_cosine_dv_equals_the_papers_objective(path):
    data = np.load(path)
    tau = json.loads(str(data["meta"]))["temperature"]
    z1, z2 = torch.tensor(data["input_z1"]), torch.tensor(data["input_z2"])
    for loss, value in {
        "loss": mi.cos_dv(z1, z2, tau=tau),
        "out_loss_all_pairs_marginal": mi.cos_dv(z1, z2, tau=tau, all_pairs=True),
        "out_taylor_dv_loss_eq11": mi.cos_taylor_dv(z1, z2, tau=tau, coefficient=1.0),
        "out_taylor_dv_loss_eq24": mi.cos_taylor_dv(z1, z2, tau=tau),
    }.items():
        np.testing.assert_allclose(-value.item(), data[loss], rtol=1e-10)


def test_errors_say_what_to_do():
    with pytest.raises(DataError, match=r"M >= N .* got \(3, 2\)"):
        mi.dv(torch.zeros(3, 2))
    with pytest.raises(DataError, match=r"got \(3,\)"):
        mi.infonce(torch.zeros(3))
    with pytest.raises(NumericsError, match="at least two rows"):
        mi.jsd(torch.zeros(1, 1))
    with pytest.raises(ConfigError, match="clip must be positive"):
        mi.smile(torch.zeros(3, 3), clip=0.0)
    with pytest.raises(ConfigError, match="tau must be positive"):
        mi.cos_dv(torch.eye(3), torch.eye(3), tau=0.0)
    with pytest.raises(DataError, match=r"got \(3, 3\) and \(3, 2\)"):
        mi.cos_dv(torch.eye(3), torch.eye(3)[:, :2], tau=1.0)
    with pytest.raises(TypeError, match="tau"):
        mi.cos_dv(torch.eye(3), torch.eye(3))
