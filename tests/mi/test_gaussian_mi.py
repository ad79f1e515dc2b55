import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infomax.errors import DataError
from infomax.mi import estimate_mi, tasks
from infomax.mi.estimators.gaussian import calibrated, canonical, correlated, gaussian, log_ratio, wishart_bias
from infomax.mi.estimators.inputs import rank_gaussian
from infomax.mi.estimators.result import RESOLUTION, TOGETHER


def read(x, y):
    return gaussian(canonical(x, y), len(x))


@pytest.mark.parametrize(("dim", "mi", "n"), [(1, 0.5, 200), (5, 1.0, 300), (20, 6.0, 1000), (10, 0.0, 200)])
def test_no_bias_and_an_honest_error(dim, mi, n):
    found = [read(*tasks.gaussian(dim, mi).sample(n, seed)) for seed in range(60)]
    values, errors = np.array([f.value for f in found]), np.array([f.se for f in found])
    assert abs(values.mean() - mi) < 4 * values.std(ddof=1) / math.sqrt(60)
    # 60 draws know a standard deviation to 9 %; with weak correlations the formula is meant to be on the safe side
    assert values.std(ddof=1) < 1.4 * errors.mean()
    if mi:
        assert values.std(ddof=1) > 0.65 * errors.mean()


@pytest.mark.parametrize(("dim", "mi", "n"), [(1, 3.0, 300), (2, 6.0, 1000), (5, 1.0, 300)])
def test_what_ranks_lose_is_given_back(dim, mi, n):
    found = [
        calibrated(canonical(*map(rank_gaussian, tasks.gaussian(dim, mi).sample(n, seed))), n) for seed in range(20)
    ]
    values, errors = (np.array([getattr(f.fit, name) for f in found]) for name in ("value", "se"))
    assert all(f.resolved for f in found)
    assert abs(values.mean() - mi) < 3 * errors.mean() / math.sqrt(20)
    assert (abs(values - mi) > 1.96 * errors).sum() <= 4  # of 20: more has probability 0.003 where 1 is expected


@pytest.mark.parametrize(("dims", "mi", "n"), [((1, 1), 0.001, 1000), ((1, 1), 0.004, 300), ((1, 2), 0.004, 300)])
@pytest.mark.parametrize("margins", ["rank", "standard"])
def test_the_upper_limit_holds_where_correlations_are_weak(dims, mi, n, margins):
    missed = 0
    for seed in range(60):
        x, y = correlated(np.sqrt(-np.expm1(-2 * np.array([mi]))), dims, n, np.random.default_rng(seed))
        missed += estimate_mi(x, y, method="gaussian", margins=margins).hi < mi
    assert missed <= 5  # of 60: at 2.5 % each, more has probability 0.004


def test_limits_hold_where_ranks_lose_much_of_a_high_information():
    """Each sample has both limits: with those that read the most left out, 9 of 51 upper ones were below the truth."""
    rho, missed, values = 0.9999, 0, []
    truth = -0.5 * math.log1p(-(rho**2))
    for seed in range(60):
        x, y = correlated(np.array([rho]), (1, 1), 200, np.random.default_rng(1000 + seed))
        (found,) = estimate_mi(x, y, method="gaussian").readings
        assert found.lo is not None and found.hi is not None
        missed += not found.lo < truth < found.hi
        values.append(found.value)
    assert missed <= 7  # of 60, nominally 3: more has probability 0.01
    assert abs(np.mean(values) - truth) < 4 * np.std(values) / math.sqrt(60)


def test_readings_near_the_most_that_ranks_can_tell_have_no_upper_limit_and_say_why():
    x = np.random.default_rng(0).permutation(60)
    y = np.select(
        [x == 29, x == 30], [30, 29], x
    )  # two neighbours change places: ranks say 4.9, and would of anything higher
    found = estimate_mi(x, y, method="gaussian")
    assert found.hi is None and found.lo is not None and found.open_ended
    assert RESOLUTION in found.flags and TOGETHER not in found.flags


def test_functions_of_each_other_have_no_upper_limit():
    x = np.random.default_rng(0).normal(size=(100, 2))
    for margins in ("rank", "standard"):
        found = estimate_mi(x, 2 * x + 1, method="gaussian", margins=margins)
        assert found.hi is None and found.lo is None
        assert any("functions of each other" in flag for flag in found.flags)


@pytest.mark.parametrize("mi", [0.0, 0.0002, 0.01])
def test_sides_that_hardly_depend_are_no_functions_of_each_other(mi):
    for seed in range(20):
        x, y = tasks.gaussian(2, mi).sample(100, seed) if mi else tasks.independent(2).sample(100, seed)
        found = estimate_mi(x, y, method="gaussian")
        assert found.hi is not None and not any("functions of each other" in flag for flag in found.flags)


def test_the_bias_taken_off_is_that_of_independent_sides():
    rng = np.random.default_rng(0)
    plain = []
    for _ in range(300):
        r = canonical(rng.normal(size=(60, 3)), rng.normal(size=(60, 4))).correlations
        plain.append(-0.5 * np.log1p(-(r**2)).sum())
    assert np.mean(plain) == pytest.approx(wishart_bias(3, 4, 60), abs=4 * np.std(plain) / math.sqrt(300))


@given(st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_invariances(seed):
    rng = np.random.default_rng(seed)
    x, y = tasks.gaussian(3, 1.0).sample(60, seed)
    value = read(x, y).value
    order = rng.permutation(60)
    mix = rng.normal(size=(3, 3)) + 3 * np.eye(3)
    assert read(y, x).value == pytest.approx(value, abs=1e-9)
    assert read(x[order], y[order]).value == pytest.approx(value, abs=1e-9)
    assert read(x @ mix + 7, y).value == pytest.approx(value, abs=1e-8)


def test_canonical_coordinates_have_unit_variance_and_correlate_in_pairs():
    x, y = tasks.gaussian(4, 2.0, rotate=True).sample(500, 0)
    fit = canonical(x, y)
    u, v = fit.project(x, y)
    assert np.allclose(u.T @ u / 500, np.eye(4))
    assert np.allclose(u.T @ v / 500, np.diag(fit.correlations))


def test_columns_that_say_nothing_new_change_nothing():
    x, y = tasks.gaussian(3, 1.0).sample(200, 0)
    twice = np.concatenate([x, x[:, :1] + x[:, 1:2]], 1)
    assert read(twice, y) == pytest.approx(read(x, y))


def test_the_log_ratio_is_that_of_the_densities():
    from scipy.stats import multivariate_normal, norm

    rng = np.random.default_rng(0)
    u, v, r = rng.normal(size=(5, 2)), rng.normal(size=(6, 2)), np.array([0.8, 0.3])
    left, right, a, b = log_ratio(u, v, r)
    found = left @ right.T + a[:, None] + b
    for i in range(5):
        for j in range(6):
            expected = sum(
                multivariate_normal.logpdf([u[i, k], v[j, k]], cov=[[1, r[k]], [r[k], 1]])
                - norm.logpdf(u[i, k])
                - norm.logpdf(v[j, k])
                for k in range(2)
            )
            assert found[i, j] == pytest.approx(expected, abs=1e-9)


def test_too_few_rows_says_so():
    x = np.random.default_rng(0).normal(size=(10, 6))
    with pytest.raises(DataError, match="6 \\+ 6 columns needs more than 10 rows"):
        canonical(x, x[::-1])


@pytest.mark.parametrize(("nats", "told"), [(4.0, True), (10.0, False)])
def test_many_rows_have_an_upper_limit_only_where_ranks_lose_little(nats, told):
    """Of 10,000 rows the law is not simulated; at 10 nats a normal interval about 9.2 lay below the truth in every sample."""
    rho = math.sqrt(-math.expm1(-2 * nats))
    for seed in range(2):
        x, noise = np.random.default_rng(seed).normal(size=(2, 10_000, 1))
        found = estimate_mi(x, rho * x + math.sqrt(1 - rho**2) * noise, method="gaussian")
        assert found.lo < nats and (found.hi is not None) == told
