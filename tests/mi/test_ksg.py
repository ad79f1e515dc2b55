import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import digamma

from infomax.errors import ConfigError, DataError
from infomax.mi import tasks
from infomax.mi.estimators import ksg as module
from infomax.mi.estimators.inputs import dithered, rank_gaussian, standardized
from infomax.mi.estimators.ksg import ksg


def by_definition(x, y, k):
    """Kraskov et al. 2004, eq. 8, one point at a time."""
    n, terms = len(x), []
    for i in range(n):
        d_x, d_y = np.abs(x - x[i]).max(1), np.abs(y - y[i]).max(1)
        others = np.arange(n) != i
        radius = np.sort(np.maximum(d_x, d_y)[others])[k - 1]
        counts = [(d[others] < radius).sum() for d in (d_x, d_y)]
        terms.append(digamma(k) + digamma(n) - sum(digamma(c + 1) for c in counts))
    return float(np.mean(terms))


@pytest.mark.parametrize(("dx", "dy", "k"), [(1, 1, 1), (1, 1, 5), (2, 1, 3), (3, 4, 4)])
def test_equals_its_definition(dx, dy, k):
    rng = np.random.default_rng(dx + dy)
    x = rng.normal(size=(80, dx))
    y = rng.normal(size=(80, dy)) + x[:, :1]
    assert ksg(x, y, k=k).value == pytest.approx(by_definition(x, y, k), abs=1e-12)


@pytest.mark.parametrize("power", [530, -530])
@pytest.mark.parametrize("one", [False, True])
def test_a_scale_whose_squares_are_no_numbers_changes_nothing_in_tiles(power, one):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 6))
    y = x[:, :4] + rng.normal(size=(60, 4))
    if one:  # the side that is far smaller says nothing in a common metric, as with any scale
        assert ksg(x * 2.0**power, y).value == ksg(x * 2.0 ** (power // 10), y).value
    else:
        assert ksg(x * 2.0**power, y * 2.0**power).value == ksg(x, y).value > 0.1


def test_tree_and_tiles_agree_where_their_distances_do(monkeypatch):
    # of one column the largest difference and the Euclidean distance are the same
    x, y = tasks.gaussian(1, 0.8).sample(300, seed=0)
    tree = ksg(x, y, k=4)
    monkeypatch.setattr(module, "_TREE", 0)
    monkeypatch.setattr(module, "_TILE", 7000)
    tiles = ksg(x, y, k=4)
    assert tiles == pytest.approx(tree, abs=1e-12)
    rounded = x.round(), y.round()
    tied = ksg(*rounded, k=4)
    monkeypatch.undo()
    assert tied == pytest.approx(ksg(*rounded, k=4), abs=1e-12)


@pytest.mark.parametrize("mi", [0.0, 0.5, 2.0])
def test_reads_two_correlated_numbers(mi):
    found = ksg(*tasks.gaussian(1, mi).sample(4000, seed=1))
    assert abs(found.value - mi) < 4 * found.se


def test_reads_what_has_no_correlation():
    task = tasks.cross()
    found = ksg(*task.sample(4000, seed=1))
    assert abs(found.value - task.mi) < 4 * found.se


def test_equal_pairs_make_it_the_plug_in_estimate():
    x = np.repeat(np.arange(4.0), 100)[:, None]
    assert ksg(x, x // 2).value == pytest.approx(math.log(2), abs=0.01)


def test_never_above_its_ceiling():
    x = np.random.default_rng(0).normal(size=(200, 1))
    assert ksg(x, x, k=3).value <= digamma(200) - digamma(3) + 1e-12


@given(st.integers(0, 1000), st.floats(0.1, 10), st.floats(-5, 5))
@settings(max_examples=8, deadline=None)
def test_invariances(seed, scale, shift):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(60, 2))
    y = x[:, :1] + rng.normal(size=(60, 1))
    value = ksg(standardized(x), standardized(y)).value
    order = rng.permutation(60)
    assert ksg(standardized(y), standardized(x)).value == pytest.approx(value, abs=1e-9)
    assert ksg(standardized(x)[order], standardized(y)[order]).value == pytest.approx(value, abs=1e-9)
    moved = standardized(scale * x + shift)
    assert ksg(moved, standardized(y)).value == pytest.approx(value, abs=0.05)  # rounding may swap two near neighbours
    assert ksg(rank_gaussian(np.exp(x)), rank_gaussian(y**3)).value == ksg(rank_gaussian(x), rank_gaussian(y)).value


@given(st.lists(st.integers(-3, 3), min_size=10, max_size=50))
@settings(max_examples=30, deadline=None)
def test_spreading_ties_can_be_undone(values):
    z = np.array(values, dtype=float)[:, None]
    spread, tied = dithered(z, np.random.default_rng(0))
    levels = np.unique(z)
    nearest = levels[np.abs(spread - levels).argmin(1)]
    assert np.array_equal(nearest, z[:, 0])
    assert tied == (1 < len(levels) <= 0.95 * len(z))


def test_an_offset_changes_nothing():
    x, y = tasks.gaussian(6, 2.0).sample(300, seed=0)
    assert ksg(x + 1e8, y - 1e8).value == pytest.approx(ksg(x, y).value, abs=1e-3)


def test_what_cannot_be_says_so():
    x = np.zeros((10, 1))
    with pytest.raises(ConfigError, match="k = 10 neighbours of 10"):
        ksg(x, x, k=10)
    with pytest.raises(DataError, match=r"\(10, 1\) and \(9, 1\)"):
        ksg(x, x[:9])
