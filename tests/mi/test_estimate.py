import json
import math

import numpy as np
import pytest
import torch

from infomax.cli import main
from infomax.errors import ConfigError, DataError, NumericsError
from infomax.mi import Estimate, estimate_mi, tasks
from infomax.mi.estimate import METHODS
from infomax.mi.estimators.critics import BOUNDS
from infomax.mi.estimators.discrete import CHANCE, plugin
from infomax.mi.estimators.limits import upper


def sample(task, n, seed=0):
    return task.sample(n, seed)


def test_the_gaussian_is_read_and_covered():
    found = estimate_mi(*tasks.gaussian(5, 1.5).sample(400, 0))
    assert found.method == "gaussian"
    assert found.lo < 1.5 < found.hi
    assert found.hi - found.lo < 0.5
    assert not found.flags


@pytest.mark.parametrize(
    ("task", "n", "tolerance"),
    [
        # four standard errors of the reading that wins, and its known downward bias at this n
        (tasks.five_gaussians(), 800, 0.10),
        (tasks.cross(), 800, 0.15),
        (tasks.student(3, 1.0), 800, 0.15),
        (tasks.shared_sign(6, 1.5), 600, 0.12),
        (tasks.sphere_clusters(8, 20), 600, 0.06),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_what_is_not_gaussian_is_read_by_something_else(task, n, tolerance):
    found = estimate_mi(*task.sample(n, 1), seed=1)
    assert abs(found.mi - task.mi) < tolerance
    assert 0 < found.lo <= task.mi
    assert found.hi is None
    assert any("not Gaussian" in flag for flag in found.flags)


@pytest.mark.parametrize(("dof", "rho", "seed"), [(3, 0.6, 1), (3, 0.6, 4), (2, 0.5, 0), (2, 0.5, 4)])
def test_a_scale_that_both_sides_share_gets_no_upper_limit(dof, rho, seed):
    # of each of these samples the Gaussian's upper limit is below the truth, 0.266 and 0.227, and nothing else doubts it
    rng = np.random.default_rng(90_000 + seed)
    z = rng.normal(size=(500, 2))
    z[:, 1] = rho * z[:, 0] + math.sqrt(1 - rho**2) * z[:, 1]
    z /= np.sqrt(rng.chisquare(dof, 500) / dof)[:, None]
    found = estimate_mi(z[:, :1], z[:, 1:])
    assert found.hi is None
    assert any("large together" in flag for flag in found.flags)


def test_gaussians_of_many_columns_are_believed():
    # a trained critic learns 0.27 nats more than the Gaussian fitted to these: from simulated Gaussian data, too
    rng = np.random.default_rng(7001)
    rho = math.sqrt(-math.expm1(-2 / 40))
    x = rng.normal(size=(500, 40))
    y = rho * x + math.sqrt(1 - rho**2) * rng.normal(size=(500, 40))
    found = estimate_mi(x, y)
    assert found.method == "gaussian" and found.lo < 1.0 < found.hi


@pytest.mark.parametrize("margins", ["gaussian", "cauchy", "discrete"])
def test_nothing_is_found_where_nothing_is(margins):
    found = estimate_mi(*tasks.independent(3, margins).sample(300, 2), seed=2)
    assert found.mi == 0.0
    assert found.lo == 0.0
    assert "no dependence found" in found.flags


def test_two_columns_of_levels_are_counted():
    task = tasks.categories(4, 0.7)
    x, y = task.sample(2000, 0)
    found = estimate_mi(x, y)
    assert found.method == "discrete"
    assert found.lo < task.mi < found.hi
    names = np.array(list("abcd"))
    named = estimate_mi(names[x[:, 0].astype(int)], names[y[:, 0].astype(int)])
    assert named.mi == pytest.approx(found.mi)
    same = estimate_mi(x, x)
    assert same.mi == pytest.approx(math.log(4), abs=0.01)
    assert same.readings[0].saturated


def test_levels_against_numbers():
    # Y = class + uniform noise of twice its spacing: h(Y) - h(Y | X), both by hand
    rng = np.random.default_rng(0)
    x = rng.integers(2, size=800)
    y = x + rng.uniform(0, 2, size=800)  # on [0, 1) and [2, 3) the class is known, on [1, 2) not
    found = estimate_mi(x, y)
    assert found.mi == pytest.approx(math.log(2) / 2, abs=0.08)
    assert found.mi <= math.log(2)


def test_ties_and_wide_data_are_said():
    x, y = tasks.gaussian(1, 1.0).sample(400, 0)
    found = estimate_mi(x.round(1), y.round(1))
    assert any("values repeat" in flag for flag in found.flags)
    assert found.mi == pytest.approx(1.0, abs=0.2)
    rng = np.random.default_rng(0)
    wide = np.concatenate([x[:200], rng.normal(size=(200, 70))], 1)
    found = estimate_mi(wide, y[:200])
    assert any("71 columns projected on 20" in flag for flag in found.flags)
    assert found.hi is None and any("what projection left out" in flag for flag in found.flags)


@pytest.mark.parametrize("method", list(BOUNDS))
def test_every_bound_reads_two_correlated_numbers(method):
    found = estimate_mi(*tasks.gaussian(1, 0.5).sample(600, 0), method=method)
    (reading,) = found.readings
    assert abs(found.mi - 0.5) < 4 * reading.se + (0.15 if method == "xi_jsd" else 0.0)
    if BOUNDS[method].lower:
        assert found.lo < 0.5 and found.hi is None
    else:
        assert found.lo is None and found.hi is None


@pytest.mark.parametrize("critic", ["separable", "cosine", "bilinear", "concatenated"])
def test_every_critic_reads_a_lower_bound(critic):
    task = tasks.gaussian(2, 0.6)
    found = estimate_mi(*task.sample(500, 0), method="infonce", critic=critic)
    (reading,) = found.readings
    assert 0.2 < found.mi < 0.6 + 4 * reading.se
    assert reading.ceiling is not None and reading.value < reading.ceiling


def test_a_bilinear_critic_sees_correlation_only():
    x, y = tasks.cross().sample(600, 0)
    assert estimate_mi(x, y, method="infonce", critic="bilinear").lo == 0.0
    assert estimate_mi(x, y, method="infonce").lo > 0.1


def test_a_ceiling_reached_is_said():
    x = np.random.default_rng(0).normal(size=(300, 1))
    found = estimate_mi(x, x, method="infonce", critic="cosine")
    assert found.mi <= found.readings[0].ceiling
    assert any("saturated" in flag for flag in estimate_mi(x, x, method="ksg").flags)


def test_ids_and_copies_head_with_what_is_known_of_them_and_not_with_where_a_float_ends():
    ids = np.random.default_rng(0).permutation(400)[:, None]
    for x, y, method in ((ids, ids, "auto"), (ids, ids.astype(float) ** 3, "gaussian"), (ids, ids, "ksg")):
        found = estimate_mi(x, y, method=method)
        head = found.as_text().splitlines()[0]
        known = "" if found.lo is None else f"is above {found.lo:.3f} nats (97.5 %), and how far above "
        assert head == f"I(x; y) {known}cannot be told from 400 pairs; by {found.method} it reads {found.mi:.3f}"
        assert found.open_ended and found.as_json()["open_ended"]
    assert estimate_mi(ids, ids).lo > 4
    in_order = estimate_mi(np.arange(400), np.arange(400))  # as a series, without limits
    assert in_order.as_text().startswith("I(x; y) cannot be told from 400 pairs; by gaussian it reads")
    other = estimate_mi(ids, np.random.default_rng(1).permutation(400))
    assert not other.open_ended and other.as_text().startswith("I(x; y) = 0.000 nats (no upper limit)")


def test_a_row_says_no_more_than_the_headline_by_its_name():
    x, noise = np.random.default_rng(44).normal(size=(2, 50, 5))
    found = estimate_mi(x, 0.35 * x + noise)
    (row,) = (r for r in found.readings if r.name == found.method == "gaussian")
    assert found.mi == 0.0 and "no dependence found" in found.flags
    assert row.value - 1.96 * row.se > 0.05 and row.lo == 0.0
    assert any("counts as 0, and so does its lower limit: shuffled pairs read as much" in flag for flag in found.flags)
    assert found.as_text().startswith("I(x; y) = 0.000 nats (no upper limit), by gaussian")


def test_equal_levels_have_an_entropy_which_is_no_open_end():
    x = np.random.default_rng(0).integers(4, size=600)
    for method in ("auto", "discrete"):
        found = estimate_mi(x, x, method=method)
        assert found.readings[0].saturated and not found.open_ended
        assert found.as_text().startswith(f"I(x; y) = {found.mi:.3f} nats (95 % interval ")
        assert not any("anything above" in flag for flag in found.flags)


def test_the_same_seed_gives_the_same_estimate_and_threads_are_left_alone():
    x, y = tasks.cross().sample(200, 0)
    torch.set_num_threads(1)
    assert estimate_mi(x, y, seed=3) == estimate_mi(torch.from_numpy(x), y.tolist(), seed=3)
    assert torch.get_num_threads() == 1


def test_rows_in_any_order_and_sides_exchanged():
    x, y = tasks.gaussian(3, 1.0).sample(300, 0)
    order = np.random.default_rng(0).permutation(300)
    value = estimate_mi(x, y, method="gaussian").mi
    assert estimate_mi(x[order], y[order], method="gaussian").mi == pytest.approx(value)
    assert estimate_mi(y, np.exp(x), method="gaussian").mi == pytest.approx(value)


def test_few_pairs_give_no_upper_limit_unless_the_gaussian_is_asked_for():
    x, y = tasks.gaussian(2, 1.0).sample(150, 0)
    found = estimate_mi(x, y)
    assert found.method == "gaussian" and found.hi is None
    assert any("cannot tell Gaussian data" in flag for flag in found.flags)
    assert estimate_mi(x, y, method="gaussian").hi is not None


def test_rare_levels_make_no_dependence_and_no_upper_limit():
    alarms = 0
    for seed in range(20):
        x, y = np.minimum(np.random.default_rng(seed).zipf(1.5, size=(2, 2000)), 60)
        found = estimate_mi(x, y, method="discrete", seed=seed)
        assert found.hi is None and any("too rare" in flag for flag in found.flags)
        assert found.mi < 0.02
        alarms += found.lo > 0
    assert alarms <= 3  # at 2.5 % each, more has probability 0.002


@pytest.mark.parametrize(("count", "agreement", "n"), [(8, 0.95, 200), (4, 0.999, 500), (8, 0.6, 400), (2, 0.9, 100)])
def test_limits_of_counts_hold(count, agreement, n):
    task = tasks.categories(count, agreement)
    found = [estimate_mi(*task.sample(n, seed), method="discrete") for seed in range(40)]
    missed = sum(f.lo > task.mi or f.hi < task.mi for f in found)
    assert missed <= 6  # of 40: at 5 % each, more has probability 0.003


@pytest.mark.parametrize("n", [300, 1500, 100_000])
def test_sides_that_are_one_have_limits(n):
    y = np.random.default_rng(0).permutation(
        np.arange(n) % 3
    )  # even counts: the delta method has no error but rounding
    found = estimate_mi(y, (2 * y) % 3, method="discrete")
    assert math.log(3) - 0.05 < found.mi <= found.hi < math.log(3) + 0.05
    assert 1.1 <= upper(1.1, 0.0, 4.7e-10, n, 4) < 1.1001
    assert upper(1.0, 0.0, 1e-4, n, 4) == pytest.approx(upper(1.0, 0.0, 1.0001e-4, n, 4), rel=1e-5)


@pytest.mark.parametrize("table", [[[0.28, 0.22], [0.22, 0.28]], [[0.93, 0.02], [0.03, 0.02]]], ids=["even", "skewed"])
def test_the_upper_limit_of_counts_holds_where_dependence_is_weak(table):
    table = np.array(table)
    truth = float((table * np.log(table / table.sum(0) / table.sum(1, keepdims=True))).sum())
    missed = 0
    for seed in range(40):
        x, y = np.divmod(np.random.default_rng(seed).choice(4, size=300, p=table.ravel()), 2)
        missed += estimate_mi(x, y, method="discrete", seed=seed).hi < truth
    assert missed <= 4  # of 40: at 2.5 % each, more has probability 0.003


def test_a_table_shows_no_dependence_where_its_shuffles_show_as_much():
    found = []
    for seed in range(12):  # weak: the test finds it in some samples, and a lower limit of 0 comes with some of these
        table = np.random.default_rng(seed).choice(4, size=1000, p=[0.28, 0.22, 0.22, 0.28])
        x, y = np.divmod(table, 2)
        found.append((estimate_mi(x, y, seed=seed), plugin(x, y, seed=seed).p <= CHANCE))
    assert any(seen and f.lo == 0 for f, seen in found) and not all(seen for _, seen in found)
    for f, seen in found:
        assert seen == (f.mi > 0) == ("no dependence found" not in f.flags)


@pytest.mark.parametrize(("levels", "n"), [(20, 1000), (15, 1000), (10, 60), (4, 40)])
def test_equal_sides_of_many_levels_are_read_as_their_entropy(levels, n):
    for seed in range(5):
        x = np.random.default_rng(seed).integers(0, levels, n)
        found = estimate_mi(x, x, method="discrete", seed=seed)
        assert found.mi == pytest.approx(math.log(levels), abs=0.08)
        assert found.lo < math.log(levels) and (found.hi is None or found.hi > math.log(levels))


def test_copies_are_no_evidence():
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(2, 100, 2))
    rows = np.repeat(np.arange(100), 3)
    found = estimate_mi(x[rows], y[rows], seed=1)
    assert "200 of 300 pairs are copies of others: one of each was kept" in found.flags
    assert found.lo == 0.0 and found.n == 300
    assert found.mi == estimate_mi(x, y, seed=1).mi
    rounded = estimate_mi(x.round(1), y.round(1), method="gaussian")
    assert not any("copies" in flag for flag in rounded.flags)


@pytest.mark.parametrize("n", [20, 50, 87])
def test_few_pairs_are_read(n):
    found = estimate_mi(*tasks.gaussian(2, 1.0).sample(n, 3))
    assert 0 <= found.lo <= found.mi < 3
    assert any(f"{n} pairs only" in flag for flag in found.flags)


def test_numbers_kept_as_objects_are_numbers():
    x, y = tasks.gaussian(2, 1.0).sample(100, 0)
    expected = estimate_mi(x, y, method="gaussian").mi
    assert estimate_mi((10 * x).astype(object), y.astype(str), method="gaussian").mi == pytest.approx(expected)
    mixed = x.astype(object)
    mixed[:, 1] = np.where(x[:, 1] > 0, "a", "b")
    named = np.stack([x[:, 0], x[:, 1] <= 0], 1)
    assert estimate_mi(mixed, y, method="gaussian").mi == estimate_mi(named, y, method="gaussian").mi
    mixed[3, 0] = None
    with pytest.raises(DataError, match="x: 1 of 200 entries are None"):
        estimate_mi(mixed, y)


@pytest.mark.parametrize("scale", [1e200, 1e-200])
def test_units_change_nothing(scale):
    x, y = tasks.gaussian(2, 1.0).sample(200, 0)
    for method in ("gaussian", "ksg"):
        expected = estimate_mi(x, y, method=method, margins="standard").mi
        assert estimate_mi(scale * x, y, method=method, margins="standard").mi == pytest.approx(expected)
    assert estimate_mi(scale * x, y).mi == pytest.approx(estimate_mi(x, y).mi, abs=1e-3)


def test_very_heavy_tails_are_read():
    x, y = tasks.gaussian(2, 1.0).sample(200, 0)
    assert estimate_mi(np.exp(200 * x), y).mi == pytest.approx(1.0, abs=0.3)


NAMES = ["a", "b"] * 50


@pytest.mark.parametrize(
    "names",
    [
        [*NAMES[:-1], float("nan")],
        np.array([*NAMES[:-1], float("nan")], dtype=object),
        np.array([*NAMES[:-1], np.datetime64("NaT", "s")], dtype=object),
    ],
    ids=["list", "objects", "no time"],
)
def test_missing_names_are_no_names(names):
    with pytest.raises(DataError, match="x: 1 of 100 entries are None or NaN; drop those rows"):
        estimate_mi(names, GOOD)


def test_tensors_are_read_wherever_they_stand():
    expected = estimate_mi(GOOD, GOOD[:, :1] ** 3, method="gaussian").mi
    whole = torch.from_numpy(GOOD).requires_grad_()
    turned = torch._neg_view(-whole.detach())
    for x in (whole, turned, list(whole), tuple(whole.detach()), whole.T.contiguous().T):
        assert estimate_mi(x, GOOD[:, :1] ** 3, method="gaussian").mi == pytest.approx(expected)
    narrow = whole.detach().bfloat16()
    assert estimate_mi(list(narrow), GOOD, method="ksg").mi == estimate_mi(narrow, GOOD, method="ksg").mi


def test_masked_entries_are_no_data():
    masked = np.ma.masked_array(GOOD, mask=GOOD > 2)
    with pytest.raises(DataError, match=rf"y: {(GOOD > 2).sum()} of 200 entries are masked; drop those rows"):
        estimate_mi(GOOD, masked)
    whole = np.ma.masked_array(GOOD)
    assert estimate_mi(whole, whole, method="ksg").mi == estimate_mi(GOOD, GOOD, method="ksg").mi


GOOD = np.random.default_rng(0).normal(size=(100, 2))
ROWS = np.empty(100, dtype=object)
ROWS[:] = list(GOOD)
HOLED = np.where(np.arange(200).reshape(100, 2) == 7, np.nan, GOOD)


@pytest.mark.parametrize(
    ("x", "y", "options", "error", "said"),
    [
        (HOLED, GOOD, {}, NumericsError, "x: 1 of 200 entries are NaN or infinite, the first in row 3, column 1"),
        (GOOD, np.full((100, 1), np.inf), {}, NumericsError, "y: 100 of 100"),
        (GOOD, GOOD[:99], {}, DataError, "x has 100 rows and y 99"),
        (GOOD[:10], GOOD[:10], {}, DataError, "10 pairs are too few"),
        (GOOD[:0], GOOD[:0], {}, DataError, "need N rows"),
        ([[1.0, 2.0], [3.0]] * 50, GOOD, {}, DataError, "x: rows of unequal length"),
        (GOOD[:50], GOOD[:50], {"method": "dv"}, DataError, "at least 80"),
        (GOOD, GOOD, {"method": "discrete"}, DataError, "100 different rows"),
        (GOOD + 1j, GOOD, {}, DataError, "complex"),
        (GOOD, GOOD, {"method": "infonse"}, ConfigError, "did you mean 'infonce'"),
        (GOOD, GOOD, {"margins": "ranks"}, ConfigError, "did you mean 'rank'"),
        (GOOD, GOOD, {"margins": ["rank"]}, ConfigError, "no margins"),
        (GOOD, GOOD, {"seed": 1.5}, ConfigError, "estimate_mi: seed=1.5: give a whole number"),
        (GOOD, GOOD, {"method": "ksg", "k": 2.5}, ConfigError, "estimate_mi: k=2.5: give a whole number"),
        ({1, 2}, GOOD, {}, DataError, "x: need N rows of numbers, got a single set"),
        (np.array(3.0), GOOD, {}, DataError, r"x: need N rows of numbers, got shape \(\)"),
        (GOOD, ROWS, {}, DataError, "y: entries that are arrays"),
        (torch.from_numpy(GOOD).to_sparse(), GOOD, {}, DataError, "x: a tensor that is no plain array"),
        (GOOD, GOOD, {"method": "dv", "critic": "joint"}, ConfigError, "separable"),
        (
            GOOD,
            GOOD,
            {"method": "gaussian", "critic": "cosine"},
            ConfigError,
            r"\(infonce, dv, .*, and 'gaussian' does not",
        ),
        (GOOD, GOOD, {"critic": "separable"}, ConfigError, "and 'auto' does not; leave one out"),
        (GOOD, GOOD, {"margins": "rank"}, ConfigError, "'auto' tries its own; leave one out"),
        (GOOD, GOOD, {"method": "discrete", "margins": "none"}, ConfigError, "'discrete' counts levels; leave one out"),
        (GOOD, GOOD, {"k": 3}, ConfigError, "k=3 are the neighbours of method 'ksg', and 'auto' does not take it"),
    ],
)
def test_what_cannot_be_read_says_so(x, y, options, error, said):
    with pytest.raises(error, match=said):
        estimate_mi(x, y, **options)


def test_constant_columns_are_dropped_and_said():
    padded = np.concatenate([GOOD, np.ones((100, 1))], 1)
    found = estimate_mi(padded, GOOD, method="ksg")
    assert "x: 1 constant columns dropped" in found.flags
    assert found.mi == estimate_mi(GOOD, GOOD, method="ksg").mi


@pytest.mark.parametrize("method", ["auto", "gaussian", "discrete", "infonce"])
def test_a_constant_side_tells_nothing(method):
    found = estimate_mi(GOOD, np.ones((100, 2)), method=method)
    assert (found.mi, found.lo, found.hi, found.method, found.readings) == (0.0, 0.0, None, method, ())
    assert found.flags == ("y: constant in all 100 rows, so that its mutual information with anything is 0",)
    assert found.as_text().splitlines()[1:] == [f"  ! {found.flags[0]}"]  # and no table of no readings
    assert found.as_text().startswith("I(x; y) = 0.000 nats (no upper limit)")
    assert estimate_mi(np.zeros(100), np.ones((100, 2)), method=method).mi == 0.0


def test_all_axes_but_the_first_are_columns():
    cubes = np.random.default_rng(0).normal(size=(100, 2, 2))
    flat = cubes.reshape(100, 4)
    found = estimate_mi(cubes, flat[:, :1] ** 3, method="gaussian")
    assert found.dims == (4, 1) and found.mi == estimate_mi(flat, flat[:, :1] ** 3, method="gaussian").mi
    assert estimate_mi.__doc__ is not None and "N x C x H x W as N rows of C H W columns" in estimate_mi.__doc__


def test_json_is_strict():
    found = Estimate(mi=0.5, lo=0.1, hi=math.inf, method="dv")
    assert found.as_json()["hi"] is None
    assert float(found) == 0.5


def saved(folder, n=120):
    for name, side in zip("xy", tasks.gaussian(2, 1.0).sample(n, 0), strict=True):
        np.save(folder / f"{name}.npy", side)
    return [str(folder / "x.npy"), str(folder / "y.npy")]


@pytest.mark.parametrize("method", ["auto", "gaussian", "ksg", "infonce"])
def test_command_line(tmp_path, capsys, method):
    files = saved(tmp_path)
    assert main(["mi", *files, "--method", method, "--seed", "1", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {"mi", "lo", "hi", "method", "flags", "readings"} <= set(printed)
    x, y = (np.load(file) for file in files)
    assert printed["mi"] == pytest.approx(estimate_mi(x, y, method=method, seed=1).mi)
    assert {"name", "value", "lo", "hi", "ceiling", "seconds", "saturated"} <= set(printed["readings"][0])
    assert main(["mi", *files, "--method", "gaussian"]) == 0
    assert "nats (95 % interval" in capsys.readouterr().out


def test_command_line_errors_are_one_line(tmp_path, capsys):
    files = saved(tmp_path)
    (tmp_path / "text.npy").write_text("1 2 3\n")
    np.savez(tmp_path / "many.npz", a=GOOD, b=GOOD)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "many.npz").read_bytes()[:500])
    np.savez(tmp_path / "none.npz")
    np.save(tmp_path / "objects.npy", np.array([{}] * 100, dtype=object))
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000, 4), }"
    (tmp_path / "huge.npy").write_bytes(b"\x93NUMPY\x01\x00v\x00" + header.ljust(117) + b"\n")
    (tmp_path / "damaged.npy").write_bytes(b"\x93NUMPY\x01\x00v\x00" + b"{no dict".ljust(117) + b"\n" + 100 * b"0")
    for arguments, said in (
        ([files[0], str(tmp_path / "none.npy")], "no such file"),
        ([files[0], str(tmp_path / "text.npy")], "not a readable .npy"),
        ([files[0], str(tmp_path / "cut.npz")], "not a readable .npy"),
        ([files[0], str(tmp_path / "damaged.npy")], "not a readable .npy"),
        ([files[0], str(tmp_path / "objects.npy")], "of plain arrays"),
        ([files[0], str(tmp_path / "huge.npy")], "does not fit in memory"),
        ([files[0], str(tmp_path / "none.npz")], "holds no array"),
        ([*files, "--seed", "-1"], "a seed of -1: give 0 or more"),
        ([files[0], str(tmp_path / "many.npz")], "several arrays"),
        ([*files, "--method", "magic"], "no method 'magic'"),
        (
            [*files, "--critic", "cosine"],
            "critic 'cosine' is for a method that trains the critic it is told to (infonce,",
        ),
    ):
        assert main(["mi", *arguments]) == 2
        complaint = capsys.readouterr().err
        assert said in complaint and complaint.count("\n") == 1


def test_an_archive_of_one_array_is_that_array(tmp_path, capsys):
    files = saved(tmp_path)
    np.savez(tmp_path / "one.npz", np.load(files[0]))
    printed = []
    for first in (files[0], str(tmp_path / "one.npz")):
        assert main(["mi", first, files[1], "--method", "gaussian"]) == 0
        printed.append(capsys.readouterr().out.splitlines()[0])
    assert printed[0] == printed[1]


def test_an_archive_of_several_has_its_arrays_by_name(tmp_path, capsys):
    x, y = tasks.gaussian(2, 1.0).sample(120, 0)
    two, more = str(tmp_path / "two.npz"), str(tmp_path / "more.npz")
    np.savez(two, x=x, y=y)
    np.savez(more, a=x, b=y, c=y)
    shadow = tmp_path / "more.npz:a"  # a path that exists as written wins
    asked = (
        ["mi", two],
        ["mi", f"{two}:x", f"{two}:y"],
        ["mi", f"{more}:a", f"{more}:b"],
        ["mi", f"{more}:a", f"{two}:y"],
    )
    for arguments in asked:
        assert main([*arguments, "--method", "gaussian", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["mi"] == estimate_mi(x, y, method="gaussian").mi
    with shadow.open("wb") as file:
        np.save(file, y)
    assert main(["mi", f"{more}:a", f"{two}:x", "--method", "gaussian", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["mi"] == estimate_mi(y, x, method="gaussian").mi
    for arguments, said in (
        (["mi", f"{more}:d", two], f"{more}: no array 'd': give one of: a, b, c"),
        (["mi", f"{tmp_path}/none.npz:x", two], f"{tmp_path}/none.npz: no such file"),
        (["mi", f"{tmp_path}/none.npz"], f"{tmp_path}/none.npz: no such file"),
        (["mi", more, two], f"{more}: holds several arrays (a, b, c); name one: {more}:a"),
        (["mi", more], f"holds a, b, c, and not x and y alone; name two: infomax mi {more}:a {more}:b"),
        (["mi", str(tmp_path), "--layer", "f"], "mi: Y, the second argument, is missing: infomax mi X Y"),
        (["mi", two, "--layer", "f"], f"--layer: for two runs, and {two} is a file"),
    ):
        assert main(arguments) == 2
        complaint = capsys.readouterr().err
        assert said in complaint and complaint.count("\n") == 1


def test_a_torch_file_is_called_one(tmp_path, capsys):
    files = saved(tmp_path)
    torch.save({"z": torch.zeros(120, 2)}, tmp_path / "z.pt")
    assert main(["mi", str(tmp_path / "z.pt"), files[1]]) == 2
    assert f"{tmp_path}/z.pt: a torch file: save it as .npy (np.save(f, t.numpy()))\n" in capsys.readouterr().err


def test_every_method_is_in_the_docstring():
    assert estimate_mi.__doc__ is not None
    for method in METHODS:
        assert method in estimate_mi.__doc__


@pytest.mark.parametrize("method", ["gaussian", "infonce"])
def test_windows_of_two_series_get_no_limits(method):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 400, 1))
    for t in range(1, 400):
        x[t], y[t] = 0.95 * x[t - 1] + 0.3 * x[t], 0.95 * y[t - 1] + 0.3 * y[t]
    found = estimate_mi(x, y, method=method)
    assert found.lo is None and found.hi is None and any("rows before them" in f for f in found.flags)
    assert all(r.lo is None and r.hi is None for r in found.readings)
    order = rng.permutation(400)
    kept = estimate_mi(x[order], y[order], method="gaussian")
    assert kept.hi is not None and not any("rows before them" in f for f in kept.flags)


def test_a_lower_bound_below_nothing_says_so(tmp_path, capsys):
    noise = torch.Generator().manual_seed(0)
    x, y = (torch.randn(64, 4, generator=noise).numpy() for _ in range(2))
    np.savez(tmp_path / "apart.npz", x=x, y=y)
    assert main(["mi", str(tmp_path / "apart.npz"), "--tau", "0.1"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()[2:]}
    assert all("below 0: says nothing" in lines[name] for name in ("infonce", "nwj"))
    assert "says nothing" not in lines["jsd"], "which is never above 0"
