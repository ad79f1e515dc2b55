import math

import pytest
import torch

from infomax import mi
from infomax.errors import ConfigError
from infomax.mi.ceilings import CEILINGS

ESTIMATES = {name: getattr(mi, f"cos_{name}") for name in CEILINGS}


def simplex(n):
    """n unit rows whose cosines are all -1 / (n - 1)."""
    return torch.eye(n, dtype=torch.float64) - 1.0 / n


@pytest.mark.parametrize("name", [n for n in CEILINGS if n not in ("jsd", "xi_jsd")])
@pytest.mark.parametrize("tau", [0.05, 0.5, 2.0])
@pytest.mark.parametrize("n", [2, 5, 40])
def test_a_simplex_reaches_the_ceiling(name, tau, n):
    reached = ESTIMATES[name](simplex(n), simplex(n), tau=tau).item()
    assert reached == pytest.approx(mi.ceiling(name, tau=tau, n=n), rel=1e-9)


@pytest.mark.parametrize("name", ["jsd", "xi_jsd"])
@pytest.mark.parametrize("tau", [0.05, 0.5, 2.0])
@pytest.mark.parametrize("n", [2, 5, 40])
def test_a_simplex_with_opposite_offsets_reaches_the_ceiling(name, tau, n):
    z = torch.nn.functional.normalize(simplex(n), dim=-1)
    reached = []
    for t in torch.linspace(0, 1, 201, dtype=torch.float64).tolist():
        offset = math.sqrt(t) * torch.ones(n, 1, dtype=torch.float64)
        a, b = (torch.cat([math.sqrt(1 - t) * z, sign * offset], dim=1) for sign in (1, -1))
        reached.append(ESTIMATES[name](a, b, tau=tau).item())
    top = mi.ceiling(name, tau=tau, n=n)
    assert max(reached) <= top + 1e-12
    assert max(reached) == pytest.approx(top, rel=5e-3)


@pytest.mark.parametrize("tau", [0.05, 0.5, 2.0])
def test_infonce_stays_below_both_familiar_limits(tau):
    for n in (2, 10, 1000):
        assert mi.ceiling("infonce", tau=tau, n=n) <= min(math.log(n), 1 / tau)
    assert mi.ceiling("jsd", tau=tau) < -2 * math.log1p(math.exp(-1 / tau))


@pytest.mark.parametrize("name", CEILINGS)
def test_batches_tend_to_the_population(name):
    limit = mi.ceiling(name, tau=0.7)
    if math.isinf(limit):
        assert mi.ceiling(name, tau=0.7, n=10**9) > 20
    else:
        assert mi.ceiling(name, tau=0.7, n=10**9) == pytest.approx(limit, rel=1e-6)


def test_small_temperatures_do_not_overflow():
    assert mi.ceiling("infonce", tau=1e-4, n=100) == pytest.approx(math.log(100))
    assert mi.ceiling("jsd", tau=1e-3, n=100) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("dim", [3, 4, 5, 7, 65, 255, 256, 1025])
@pytest.mark.parametrize("tau", [0.01, 0.1, 1.0])
def test_uniform_sphere_is_a_bessel_function(dim, tau):
    # E exp(u / tau) = Gamma(v + 1) (2 tau)^v I_v(1 / tau) with v = D / 2 - 1, as a power series in logarithms
    v, k = dim / 2 - 1, torch.arange(3000, dtype=torch.float64)
    series = (2 * k + v) * math.log(0.5 / tau) - torch.lgamma(k + 1) - torch.lgamma(k + v + 1)
    log_mean = math.lgamma(v + 1) + v * math.log(2 * tau) + series.logsumexp(0).item()
    assert mi.uniform_dv(tau=tau, dim=dim) == pytest.approx(1 / tau - log_mean, rel=1e-10)


def test_uniform_sphere():
    # In 3 dimensions the cosine is uniform on [-1, 1], and E exp(u / tau) = tau sinh(1 / tau).
    for tau in (0.05, 0.1, 0.5, 1.0):
        assert mi.uniform_dv(tau=tau, dim=3) == pytest.approx(1 / tau - math.log(tau * math.sinh(1 / tau)), rel=1e-12)
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(2000, 8, dtype=torch.float64, generator=generator)
    assert mi.cos_dv(z, z, tau=0.5).item() == pytest.approx(mi.uniform_dv(tau=0.5, dim=8), abs=5e-3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mi.ceiling("infonse", tau=1.0), "did you mean 'infonce'"),
        (lambda: mi.ceiling("dv", tau=-1.0), "tau must be > 0, not -1.0"),
        (lambda: mi.ceiling("dv", tau="0.1"), "tau must be > 0, not '0.1'"),
        (lambda: mi.ceiling("dv", tau=1.0, n=1), "at least 2 pairs"),
        (lambda: mi.uniform_dv(tau=1.0, dim=1), "at least 2 dimensions"),
    ],
)
def test_bad_settings_are_named(call, message):
    with pytest.raises(ConfigError, match=message):
        call()


def test_the_table_of_ceilings_is_a_table():
    rows = [line.strip() for line in mi.ceiling.__doc__.splitlines() if line.strip().startswith("|")]
    assert all(row.endswith("|") and row.count("|") == 4 for row in rows)
    assert {name for row in rows[2:] for name in row.split("|")[1].strip().split(", ")} == set(CEILINGS)
