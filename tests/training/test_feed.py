import threading
import time

import numpy as np
import pytest
import torch

import infomax as im
from infomax.data import Dataset
from infomax.errors import DataError
from infomax.training import feed as module
from infomax.training.defaults import dataset
from infomax.training.feed import Feed


@pytest.fixture(autouse=True)
def spare_core(monkeypatch):
    monkeypatch.setattr(module, "cores", lambda: 2)


@pytest.fixture
def pictures():
    noise = np.random.default_rng(0).integers(0, 256, (40, 12, 12, 3), dtype=np.uint8)
    return Dataset(torch.from_numpy(noise), name="noise")


class Noted(im.views.Gaussian):
    """Views of ours, that say in which thread they were made."""

    def __init__(self):
        super().__init__(0.1)
        self.made = []

    def __call__(self, batch, index, seed=0, epoch=0):
        self.made.append((epoch, threading.current_thread().name))
        return super().__call__(batch, index, seed=seed, epoch=epoch)


Noted.__module__ = "infomax.views.noted"


def test_batches_made_ahead_are_the_same_bytes(pictures):
    feed = Feed(pictures, im.views.recipe("simclr", size=8), batch_size=8, seed=3)
    plan = [(0, 0), (0, 1), (0, 1), (5, 4), (1, 2)]  # twice the same batch, and passes in any order
    apart = [feed(*step) for step in plan]
    with feed.ahead(plan):
        together = [feed(*step) for step in plan]
    for one, other in zip(apart, together, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_one_batch_is_made_ahead_by_another_thread_and_a_step_off_the_plan_at_once():
    views = Noted()
    feed = Feed(Dataset(torch.randn(8, 2)), views, batch_size=4)
    with feed.ahead([(0, 0), (0, 1), (1, 0), (1, 1)]):
        feed(0, 0)
        time.sleep(0.2)
        assert [epoch for epoch, _ in views.made] == [0, 0]
        feed(7, 0)
        assert views.made[-1] == (7, "MainThread")
        feed(0, 1)
    assert {name.split("_")[0] for epoch, name in views.made if epoch < 7} == {"infomax-feed"}
    assert not any("infomax-feed" in thread.name for thread in threading.enumerate())
    feed(1, 1)
    assert views.made[-1] == (1, "MainThread")


def test_without_a_core_to_spare_everything_is_made_where_it_is_asked_for(monkeypatch):
    monkeypatch.setattr(module, "cores", lambda: 1)
    views = Noted()
    feed = Feed(Dataset(torch.randn(8, 2)), views, batch_size=4)
    with feed.ahead([(0, 0), (0, 1)]):
        feed(0, 0)
    assert views.made == [(0, "MainThread")]


def test_a_user_s_own_views_are_made_in_the_main_thread_when_their_batch_is_asked_for():
    made = []

    def views(batch, index, seed=0, epoch=0):
        made.append((threading.current_thread().name, int(torch.randint(100, ()))))
        return [batch, batch]

    feed = Feed(Dataset(torch.randn(8, 2)), views, batch_size=4)
    with feed.ahead([(0, 0), (0, 1)]):
        feed(0, 0)
        time.sleep(0.1)
        assert [name for name, _ in made] == ["MainThread"]


def test_an_error_comes_out_where_its_batch_is_asked_for():
    class Broken(im.views.Gaussian):
        def __call__(self, batch, index, seed=0, epoch=0):
            if epoch == 2:
                raise im.DataError(f"rows {index.tolist()}")
            return super().__call__(batch, index, seed=seed, epoch=epoch)

    Broken.__module__ = "infomax.views.broken"
    feed = Feed(Dataset(torch.randn(8, 2)), Broken(0.1), batch_size=4)
    with feed.ahead([(0, 0), (2, 1), (3, 0)]):
        feed(0, 0)
        with pytest.raises(im.DataError, match=str(feed.index(2, 1).tolist()).replace("[", r"\[")):
            feed(2, 1)
        assert len(feed(3, 0)[0]) == 4


@pytest.mark.parametrize("method", ["jmi", "sdmi"])
def test_a_run_is_the_same_with_a_core_to_spare_and_without(method, monkeypatch):
    def weights(cores):
        monkeypatch.setattr(module, "cores", lambda: cores)
        torch.manual_seed(0)
        learner = im.methods.build(method, im.encoders.get("toy"), projector=())
        run = im.train(learner, "gaussians", epochs=2, batch_size=500, progress=False, gauge_samples=32)
        return torch.cat([p.detach().flatten() for p in run.learner.parameters()])

    assert torch.equal(weights(1), weights(2))


def test_the_other_thread_takes_as_many_threads_as_this_one():
    seen = []

    class Counting(im.views.Gaussian):
        def __call__(self, batch, index, seed=0, epoch=0):
            seen.append((threading.current_thread().name, torch.get_num_threads()))
            return super().__call__(batch, index, seed=seed, epoch=epoch)

    Counting.__module__ = "infomax.views.counting"
    feed = Feed(Dataset(torch.randn(8, 2)), Counting(0.1), batch_size=4)
    with feed.ahead([(0, 0)]):
        feed(0, 0)
    ((name, threads),) = seen
    assert name.startswith("infomax-feed") and threads == torch.get_num_threads()


@pytest.mark.parametrize("data", [{"x": torch.zeros(2, 3)}, None, 3])
def test_what_is_no_data_says_what_may_be(data):
    with pytest.raises(DataError, match=f"data of type {type(data).__name__}: give the name or path"):
        dataset(data)
