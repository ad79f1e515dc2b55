"""n processes equal one: two gloo processes run every method, in float64, beside a single one."""

import subprocess
import sys

import processes
import pytest
import torch
import torch.multiprocessing as mp

import infomax as im
from infomax import parallel
from infomax.cli import main
from infomax.parallel import gather_rows, gone, synchronized, together
from infomax.training import loop, sharding

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
        assert "embeddings of shape (8, 8) in process 0, (10, 8) in process 1: give" in process["messages"]["uneven"]


def test_a_run_compares_no_slices_since_its_feed_cuts_them_alike(monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(parallel, "world", lambda: 2)
        patched.setattr(parallel, "_alike", lambda x: pytest.fail("compared"))
        patched.setattr(parallel._Gather, "apply", lambda x: x)
        with parallel.even_slices():
            gather_rows(torch.ones(2, 3))
        with pytest.raises(pytest.fail.Exception, match="compared"):
            gather_rows(torch.ones(2, 3))
    seen, update = [], loop.update
    monkeypatch.setattr(loop, "update", lambda *asked: seen.append(parallel._Slices.even) or update(*asked))
    im.train(im.methods.jmi(im.encoders.get("toy"), projector=()), "gaussians", epochs=1, progress=False)
    assert seen and all(seen) and not parallel._Slices.even


DIES = """
import os, signal, sys
import torch.distributed as dist
import infomax as im

folder = sys.argv[1]
rank = 0 if (child := os.fork()) else 1
dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)

def views(batch, index, seed=0, epoch=0):
    if rank == 1 and epoch == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return im.views.Gaussian(0.1)(batch, index, seed=seed, epoch=epoch)

learner = im.methods.jmi(im.encoders.get("toy"), projector=())
options = {"views": views, "epochs": 4, "batch_size": 500, "device": "cpu", "checkpoint_every": 1, "gauge_samples": 64}
try:
    im.train(learner, "gaussians", out=f"{folder}/run", progress=False, **options)
except im.InfomaxError as error:
    print(type(error).__name__, error, "from", type(error.__cause__).__name__, "gloo" in str(error.__cause__))
os._exit(0)
"""


@pytest.mark.parametrize(("epoch", "said"), [(2, "run holds the checkpoint of update"), (0, "begin it anew")])
def test_who_outlives_another_process_says_how_to_go_on(tmp_path, epoch, said):
    words = [sys.executable, "-c", DIES, str(tmp_path), str(epoch)]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=240)
    assert ended.stdout.startswith("Unreachable process 1 cannot be reached any more"), ended.stderr
    assert said in ended.stdout and ended.stdout.strip().endswith("from RuntimeError True")
    again = f"im.Run.resume({str(tmp_path / 'run')!r}, views=...)"  # a function, which no command knows
    assert (again in ended.stdout) == bool(epoch)


BY_TIME = """
import os, sys
import torch.distributed as dist
import infomax as im
from infomax import parallel
from infomax.training import length, loop

folder = sys.argv[1]
rank = 1 if os.fork() else 0
dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
update, rates = loop.update, []
length.Length._now = lambda self: len(rates) * (3.0 if rank else 1.0) + 1e5 * rank  # seconds at one and at three an update

def noted(job, *asked):
    rates.append(job.optimizer.param_groups[0]["lr"])
    return update(job, *asked)

loop.update = noted
for budget in ("21s", "84s cpu"):
    run = f"{folder}/{budget}"
    rates.clear()
    learner = im.methods.jmi(im.encoders.get("toy"), projector=())
    asked = {"batch_size": 500, "device": "cpu", "gauge_samples": 64, "budget": budget, "out": run, "progress": False}
    im.train(learner, "gaussians", on_epoch=lambda run: len(run.history) == 2, **asked)
    stopped = len(rates)
    im.Run.resume(run, progress=False)
    alike = parallel.by_rank(rates)
    if rank == 0:
        print(stopped, len(rates), alike[0] == alike[1], rates[-1] < 0.1 * max(rates), im.Run.resume(run).updates)
dist.barrier()
os._exit(0)
"""


def test_a_run_by_time_has_one_schedule_in_processes_whose_clocks_differ_and_stops_and_goes_on(tmp_path):
    ended = subprocess.run([sys.executable, "-c", BY_TIME, str(tmp_path)], capture_output=True, text=True, timeout=240)
    assert ended.stdout.splitlines() == ["10 21 True True None"] * 2, ended.stderr


def test_any_process_says_which_one_is_gone(monkeypatch, capsys):
    def lost(*_):
        raise im.errors.Unreachable("process 0 cannot be reached any more") from RuntimeError("closed by peer. Cheers")

    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr("infomax.cli.from_file", lost)
    assert main(["methods"]) == 2
    assert capsys.readouterr().err == "infomax: process 0 cannot be reached any more (torch: closed by peer)\n"


def test_an_error_that_names_gloo_is_no_lost_process(monkeypatch):
    monkeypatch.setattr("infomax.parallel.world", lambda: 2)
    monkeypatch.setattr("infomax.parallel.rank", lambda: 0)
    assert gone(RuntimeError("cannot decode /data/gloomy/7.jpg")) is None
    lost = "[../third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:5"
    assert gone(RuntimeError(lost)) == "process 1"


def test_what_one_process_alone_met_is_said_by_it(monkeypatch, capsys):
    def broken(*_):
        raise im.DataError("a.png cannot be decoded")

    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr("infomax.cli.from_file", broken)
    assert main(["methods"]) == 2 and capsys.readouterr().err == ""  # before there are several: the first one says it
    monkeypatch.setattr("infomax.parallel.world", lambda: 2)
    monkeypatch.setattr("infomax.parallel.rank", lambda: 1)
    assert main(["methods"]) == 2
    assert capsys.readouterr().err == "infomax: process 1: a.png cannot be decoded\n"


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
