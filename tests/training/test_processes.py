"""n processes equal one: two gloo processes run every method, in float64, beside a single one."""

import processes
import pytest
import torch
import torch.multiprocessing as mp

import infomax as im
from infomax.parallel import gather_rows, synchronized, together
from infomax.training import sharding

TOLERANCE = 1e-9
NAMES = [*sorted(im.methods.METHODS), "own"]
shards = pytest.mark.skipif(not sharding.ON_CPUS, reason="this torch has no shards on CPUs: 2.7 and later do")


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    mp.spawn(processes.work, (2, folder), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


@pytest.fixture(scope="module")
def one():
    return processes.everything()


@pytest.mark.parametrize("how", ["", pytest.param(" in shards", marks=shards)])
@pytest.mark.parametrize("name", NAMES)
def test_two_processes_equal_one(name, how, one, two):
    expected = one[name]
    kinds = {key.split()[0] for key in expected}
    assert kinds == {"loss", "bound", "grad", "state"}
    assert all(torch.isfinite(value).all() for value in expected.values())
    for process in two:
        found = process["found"][name + how]
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            torch.testing.assert_close(
                found[key], value, rtol=TOLERANCE, atol=TOLERANCE, msg=lambda text, key=key: f"{name}, {key}: {text}"
            )


def test_the_test_would_see_what_is_not_synchronised(one):
    """Each half of a batch by itself, as processes that do not talk would have it, is another number."""
    halves = [
        processes.learners()[name]([v[:24] for v in torch.randn(2, 48, 6, dtype=torch.float64)]).bound
        for name in ("jmi",)
    ]
    assert abs(halves[0] - one["jmi"]["bound 0"]) > 1e-3
    moved = [key for key in one["moco_v2"] if key.startswith("state") and "running_mean" in key]
    assert moved and all(one["moco_v2"][key].abs().max() > 1e-3 for key in moved)


def test_every_process_says_where_a_nan_stands(two):
    for process in two:
        assert process["messages"]["nan"] == "step 0: view 1 of the input holds NaN or infinity, in rows [46] of 48"
        assert "a batch of 5: it does not divide among 2 processes" in process["messages"]["odd"]


def test_all_processes_start_alike(two):
    assert torch.equal(two[0]["start"], two[1]["start"])


def test_buffers_of_every_type_start_alike(two):
    for process in two:
        assert len(process["types"]) == 6 and all((b == 1).all() for b in process["types"].values())


def test_a_layer_that_one_process_skipped_has_the_share_of_the_others(two):
    assert [process["skipped"] for process in two] == [[10.0, 5.5, 6.0, None]] * 2


def test_one_process_changes_nothing():
    z = {0: torch.zeros(2, 3)}
    assert together(z, z) == (z, z) and gather_rows(z[0]) is z[0]
    net = torch.nn.BatchNorm1d(3)
    with synchronized(net, None):
        assert "forward" not in vars(net)
