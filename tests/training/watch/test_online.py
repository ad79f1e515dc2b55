"""The online probe and neighbours: they tell accuracies while a run trains, move nothing, and outlive a stop."""

import signal

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from sklearn.linear_model import LogisticRegression

import infomax as im
from infomax.data import Dataset, Graph
from infomax.evaluate.features import features
from infomax.evaluate.numbers import binomial_error
from infomax.evaluate.splits import some_classes, some_held, splits
from infomax.parallel import local_slice
from infomax.training.feed import Feed
from infomax.training.watch.online import Online, OnlineProbe, as_text

ONLINE = {"online_probe": True, "online_knn": True}


def fit(out=None, method="jmi", data="gaussians", **options):
    torch.manual_seed(3)
    learner = im.methods.build(method, im.encoders.get("mlp", channels=2, size=1, hidden=32), projector=(16,))
    asked = {"epochs": 3, "batch_size": 250, "progress": False, "gauge_samples": 300, "lr": 3e-3, "checkpoint_every": 1}
    return im.train(learner, data, out=out, **(asked | options))


def weights(run):
    return torch.cat([t.detach().flatten().double() for t in run.learner.state_dict().values()])


@pytest.mark.parametrize("options", [{}, {"accumulate": "views"}])
def test_it_moves_no_weight_and_says_how_well_classes_are_named(options):
    plain, seen = fit(**options), fit(**options, **ONLINE)
    assert torch.equal(weights(plain), weights(seen))
    row = seen.history[-1]
    assert not any(key.startswith("online") for key in plain.history[-1])
    assert row["online_n"] == 375  # 0.15 of 2500
    assert row["online_probe"] > 90
    assert row["online_knn"] > 95
    p = row["online_probe"] / 100
    assert row["online_probe_se"] == pytest.approx(100 * binomial_error(p, 375))
    assert "online linear probe" in as_text(row)
    assert "on 375 test samples" in as_text(row)
    assert not seen.learner.encoder._forward_hooks


def test_the_probe_learns_from_training_batches_what_a_converged_one_knows():
    row = fit(epochs=12, online_probe=True).history[-1]
    run = fit(epochs=12)
    train = im.data.load("gaussians")
    test = im.data.load("gaussians", split="test")
    z, z_test = (features(run.learner.encoder, part, progress=False) for part in (train, test))
    best = LogisticRegression(max_iter=2000).fit(z, train.labels).score(z_test, test.labels)
    assert row["online_probe"] > 100 * best - 4


def test_a_sample_that_took_anothers_place_is_learnt_by_the_label_that_it_took(monkeypatch):
    data, learnt = im.data.load("gaussians"), []
    learn, update = Online.learn, OnlineProbe.update

    def replaced(self, heard, index):
        data.labels[index] = 2  # as shards do, in place, to what cannot be decoded
        learn(self, heard, index)

    monkeypatch.setattr(Online, "learn", replaced)
    monkeypatch.setattr(OnlineProbe, "update", lambda self, z, labels: learnt.append(labels) or update(self, z, labels))
    fit(data=data, epochs=1, online_probe=True)
    assert (torch.cat(learnt) == 2).all()


def replacing(rank, folder):
    if folder:
        dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    data, encoder = im.data.load("gaussians"), torch.nn.Linear(2, 3, bias=False)
    torch.nn.init.ones_(encoder.weight)
    learner = im.methods.jmi(im.encoders.get("mlp", channels=2, size=1), projector=())
    online = Online(learner, Feed(data, im.views.Gaussian(0.1), 200), probe=True, knn=False, gauged=50, size=None)
    index = torch.arange(200)
    mine = index[local_slice(200)]
    data.labels[mine] = (data.labels[mine] + 1) % 5  # as shards do, each in what it decodes
    online.learn([encoder(data.images[mine].flatten(1)).detach()], index)
    if not folder:
        return online.state()
    torch.save(online.state(), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_processes_learn_of_each_other_which_labels_were_taken(tmp_path):
    mp.spawn(replacing, (tmp_path,), nprocs=2)
    one = replacing(0, None)
    for rank in (0, 1):
        two = torch.load(tmp_path / f"{rank}.pt")
        assert all(torch.allclose(two[key], value) for key, value in one.items())


def test_a_stopped_run_continues_with_its_probe(tmp_path, monkeypatch):
    whole = fit(tmp_path / "whole", **ONLINE)
    count, update = 0, im.training.loop.update

    def stops(*arguments):
        nonlocal count
        count += 1
        if count == 16:
            signal.raise_signal(signal.SIGTERM)
        return update(*arguments)

    monkeypatch.setattr(im.training.loop, "update", stops)
    with pytest.raises(im.training.interrupt.Stopped):
        fit(tmp_path / "stopped", **ONLINE)
    monkeypatch.undo()
    again = im.training.Run.resume(tmp_path / "stopped", progress=False)
    assert torch.equal(weights(whole), weights(again))
    for a, b in zip(whole.history, again.history, strict=True):
        assert {k: v for k, v in a.items() if k != "seconds"} == {k: v for k, v in b.items() if k != "seconds"}


def test_data_without_labels_are_refused_by_the_option():
    with pytest.raises(im.DataError, match=r"--online-probe and --online-knn: .* has no labels"):
        fit(data=torch.rand(600, 2), **ONLINE)
    with pytest.raises(im.DataError, match=r"has no labels \(one folder\); leave it out"):
        fit(data=Dataset(torch.rand(600, 2), unlabelled="one folder"), **ONLINE)


def test_data_of_which_nothing_can_be_held_out_are_refused():
    x, every = torch.rand(600, 2), torch.arange(600)
    with pytest.raises(im.DataError, match=r"has no class of two samples.*nothing to test on"):
        fit(data=Dataset(x, every), **ONLINE)
    run = fit(data=Dataset(x, every), epochs=1)
    with pytest.raises(im.DataError, match=r"has no class of two samples.*nothing to test on"):
        run.evaluate(protocols="knn")
    edges = torch.zeros(2, 0, dtype=torch.int64)
    with pytest.raises(im.DataError, match=r"names no test nodes: there is nothing.*Graph\(\.\.\., test=\.\.\.\)"):
        some_held(Graph(x, edges, every % 2, train=every[:9]), torch.zeros(0))
    with pytest.raises(im.DataError, match="names no nodes to learn from: give"):
        some_classes(Graph(x, edges, every % 2, test=every[:9]), every[:0])


def test_nodes_of_a_graph_are_tried_on_its_test_split():
    pytest.importorskip("torch_geometric")
    data = im.data.load("sbm")

    def learner():
        return im.methods.bgrl(im.encoders.get("gcn", channels=data.channels), predictor=(16,))

    run = im.train(learner(), data, epochs=3, lr=1e-2, progress=False, **ONLINE)
    assert run.history[-1]["online_n"] == len(data.test)
    data.train = data.train[:0]
    with pytest.raises(im.DataError, match="names no nodes to learn from"):
        im.train(learner(), data, epochs=1, progress=False, **ONLINE)
    assert 0 <= run.history[-1]["online_probe"] <= 100


def test_of_a_graph_without_a_split_every_fifth_labelled_node_of_a_class_is_held_out():
    pytest.importorskip("torch_geometric")
    named = im.data.load("sbm")
    labels = named.labels.clone()
    labels[:7] = -1  # without one
    data = Graph(named.x, named.edge_index, labels)
    learner = im.methods.bgrl(im.encoders.get("gcn", channels=data.channels), predictor=(16,))
    run = im.train(learner, data, epochs=1, lr=1e-2, progress=False, **ONLINE)
    held = torch.cat([(labels == c).nonzero()[1::5, 0] for c in range(3)])
    fit, tested, how = splits(data, None)
    assert tested.tolist() == held.sort().values.tolist() and len(fit) == 293 - len(held) and min(fit) == 7
    assert run.history[-1]["online_n"] == len(held)
    found = run.evaluate(protocols="linear")
    assert (found["train"], found["test"], found["how"]) == (293 - len(held), len(held), how)
    assert how == "every 5th node of each class held out as test"
    assert splits(named, None)[2] == "the graph's own split"


def test_the_scale_of_features_does_not_matter():
    probe, rng = OnlineProbe(3, 2), torch.Generator().manual_seed(1)
    for _ in range(30):
        y = torch.randint(0, 2, (32,), generator=rng)
        probe.update(1e3 * (torch.randn(32, 3, generator=rng) + 3 * y[:, None]), y)
    assert probe.predict(torch.tensor([[0.0, 0.0, 0.0], [3e3, 3e3, 3e3]])).tolist() == [0, 1]
