"""How many cells machines hold, by their CPUs and GPUs, and which GPUs a cell sees."""

import os
import sys
import types

import pytest

from infomax.errors import ConfigError
from infomax.sweep.runners import Work, cluster, runner
from infomax.sweep.runners.local import Local


class Cluster(types.ModuleType):
    """Stands for Ray: machines of these CPUs and GPUs, which run a task as soon as it is asked for."""

    def __init__(self, *machines):
        super().__init__("ray")
        self.machines, self.ended = machines, 0

    def init(self, **_):
        pass

    def shutdown(self):
        self.ended += 1

    def nodes(self):
        made = [{"Alive": True, "Resources": {"CPU": float(c), "GPU": float(g)}} for c, g in self.machines]
        return [*made, {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}}]

    def remote(self, **asked):
        self.asked = asked
        return lambda function: types.SimpleNamespace(remote=lambda *given: (function(*given), given)[1])


@pytest.fixture
def ray(monkeypatch, tmp_path):
    def made(*machines, **asked):
        monkeypatch.setitem(sys.modules, "ray", Cluster(*machines))
        return runner("ray", Work(tmp_path, **asked))

    return made


@pytest.fixture
def local(monkeypatch, tmp_path):
    def made(count, **asked):
        monkeypatch.setattr("infomax.sweep.runners.local._gpus", lambda: [str(n) for n in range(count)])
        return Local(Work(tmp_path, **asked))

    return made


@pytest.mark.parametrize("asked", [{"threads": 10, "gpus": 0}, {"gpus": 2}, {"gpus": 0.5, "threads": 2}])
def test_what_no_machine_of_a_cluster_has_is_refused_though_all_have_it_together(ray, asked):
    with pytest.raises(ConfigError, match=r"of one machine; those of the cluster have 1 and 1 \(2 times\), 9 and 0"):
        ray((1, 1), (1, 1), (9, 0), **asked)
    assert sys.modules["ray"].ended == 1


@pytest.mark.parametrize(
    ("machines", "asked", "slots"),
    [
        ([(8, 1)], {}, 1),
        ([(8, 0)], {}, 8),
        ([(8, 1), (3, 4), (16, 0)], {}, 4),
        ([(8, 1), (3, 4), (16, 0)], {"gpus": 0, "threads": 2}, 13),
        ([(8, 3), (8, 1)], {"gpus": 0.4}, 8),
        ([(8, 3), (8, 1)], {"gpus": 2}, 1),
        ([(8, 3)], {"workers": 5}, 5),
    ],
)
def test_a_cluster_holds_what_each_of_its_machines_does(ray, machines, asked, slots):
    assert ray(*machines, **asked).slots == slots


@pytest.mark.parametrize(("asked", "seen"), [({"gpus": 0}, ""), ({"gpus": 0.5}, "3")])
def test_a_task_of_no_gpu_sees_none(ray, monkeypatch, asked, seen):
    saw = []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    monkeypatch.setattr(cluster, "complete", lambda *_, **__: saw.append(os.environ["CUDA_VISIBLE_DEVICES"]))
    ray((8, 4), **asked).submit(["cell"])
    assert saw == [seen]


@pytest.mark.parametrize(
    ("count", "share", "slots"),
    [(2, 0.6, 2), (3, 0.4, 6), (8, 0.3, 24), (2, 0.25, 8), (4, 1, 4), (5, 2, 2), (4, 4, 1)],
)
@pytest.mark.parametrize("workers", [None, 100])
def test_cells_of_this_machine_never_take_more_of_a_gpu_than_there_is(local, count, share, slots, workers):
    runner = local(count, gpus=share, workers=workers)
    assert runner.slots == slots
    taken = dict.fromkeys(map(str, range(count)), 0.0)
    for slot in range(runner.slots):
        seen = runner._visible(slot).split(",")
        assert len(set(seen)) == len(seen) == max(1, share)
        for gpu in seen:
            taken[gpu] += min(share, 1)
    assert max(taken.values()) <= 1


@pytest.mark.parametrize(("count", "share"), [(2, 4), (0, 0.25)])
def test_more_gpus_a_cell_than_this_machine_has_are_refused(local, count, share):
    with pytest.raises(ConfigError, match=f"asks for {share} GPUs; this machine has {count}"):
        local(count, gpus=share)
