import numpy as np
import pytest

from infomax.mi.estimators.auto import PLAIN, SUSPECT
from infomax.mi.estimators.gaussian import calibrated, canonical
from infomax.mi.estimators.inputs import rank_gaussian
from infomax.mi.estimators.moments import departure


def departs(x, y):
    a, b = rank_gaussian(x), rank_gaussian(y)
    fit = canonical(a, b)
    return departure(a, b, fit, calibrated(fit, len(x)).correlations)


@pytest.mark.parametrize(
    ("dims", "rho", "n"), [((1, 1), 0.2, 500), ((1, 1), 0.999, 500), ((3, 2), 0.7, 400), ((20, 20), 0.4, 300)]
)
def test_gaussians_with_margins_of_any_kind_do_not_depart(dims, rho, n):
    found = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        x, y = rng.normal(size=(n, dims[0])), rng.normal(size=(n, dims[1]))
        few = min(dims)
        y[:, :few] = rho * x[:, :few] + np.sqrt(1 - rho**2) * y[:, :few]
        found.append(departs(np.exp(3 * x), y**3))
    assert max(max(f) for f in found) < PLAIN + 1
    assert sum(f.scale > SUSPECT for f in found) <= 2  # at 2.5 % each, more has probability 0.002


def test_a_side_of_heavy_tails_alone_does_not_depart():
    found = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        x, y = rng.normal(size=(2, 500, 3))
        found.append(departs(x / np.abs(rng.normal(size=(500, 1))), y).scale)  # multivariate Cauchy, and nothing shared
    assert sum(f > SUSPECT for f in found) <= 2


@pytest.mark.parametrize("dims", [(1, 1), (2, 1), (5, 8)])
def test_a_shared_scale_departs(dims):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        z = rng.normal(size=(500, sum(dims))) / np.sqrt(rng.chisquare(3, (500, 1)) / 3)
        assert departs(z[:, : dims[0]], z[:, dims[0] :]).scale > PLAIN


def test_a_variance_or_a_mean_that_follows_the_other_side_departs():
    x, noise = np.random.default_rng(0).normal(size=(2, 500, 1))
    for y in (np.exp(x) * noise, x**2 + noise):
        for sides in ((x, y), (y, x)):
            assert departs(*sides).shape > PLAIN
