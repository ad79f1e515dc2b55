"""Train and test data sets of one's own."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import infomax as im
from infomax.cli import main
from infomax.data import Dataset, Graph
from infomax.errors import ConfigError, DataError
from infomax.evaluate import knn_accuracy
from infomax.evaluate.findings import shown
from infomax.evaluate.run import _surely_unlabelled
from infomax.evaluate.splits import as_given


def points(n=60, classes=3, seed=0, shift=3.0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % classes
    x = torch.randn(n, 6, generator=generator)
    x[torch.arange(n), labels] += shift
    return x, labels


def trained(data, out=None):
    torch.manual_seed(0)
    return im.train(
        im.methods.vicreg(nn.Linear(6, 4), projector=()), data, epochs=1, batch_size=8, progress=False, out=out
    )


class Items(torch.utils.data.Dataset):
    def __init__(self, x, words):
        self.x, self.words = x, words

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i], self.words[i]


def test_all_of_data_is_learnt_from_and_all_of_test_tested_on():
    (x, y), (other, of_other) = points(), points(30, seed=1)
    data, test = Dataset(x, y), Dataset(other, of_other, name="held back")
    run = trained(data)
    found = run.evaluate(data, test=test, protocols="knn")
    assert (found["train"], found["test"], found["how"]) == (60, 30, "train and test as given")
    assert "; train and test as given; nothing chosen" in str(found).splitlines()[0]
    assert str(found).startswith("data, tested on held back: 60 train, 30 test")
    z, z_test = run.embed(data)[0], run.embed(test)[0]
    assert found["knn"] == pytest.approx(100 * knn_accuracy(z, y, z_test, of_other))
    assert run.evaluate(test=test, protocols="knn")["knn"] == found["knn"], "what it was trained on"


def test_an_array_and_its_labels_are_judged_as_they_are_trained_on():
    (x, y), (other, of_other) = points(), points(30, seed=1)
    run = trained((x, y))
    names = np.array(["ant", "bee", "cat"])
    wanted = run.evaluate(Dataset(x, y), test=Dataset(other, of_other), protocols="knn")["knn"]
    for data, test in (
        ((x, y), (other, of_other)),
        ((x.numpy(), y.numpy()[:, None]), (other.numpy(), of_other.tolist())),
        ((x, names[y]), (other, names[of_other].tolist())),
    ):
        found = run.evaluate(data, test=test, protocols="knn")
        assert found["knn"] == wanted and (found["train"], found["test"]) == (60, 30)
    assert run.evaluate((x, y), protocols="knn")["test"] == 12, "every fifth of a class"
    for two in ((x, other), ((x, y), (other, of_other))):
        with pytest.raises(ConfigError, match=r"data=\(train, test\) are two: give data=train, test=test"):
            run.evaluate(two)
    with pytest.raises(DataError, match=r"two arrays, of shapes \(60, 6\) and \(30,\)"):
        run.evaluate((x, of_other))


def test_classes_are_matched_by_their_names_and_the_users_labels_stay():
    (x, y), (other, of_other) = points(), points(30, seed=1)
    names = np.array(["ant", "bee", "cat"])
    train = Items(x.numpy(), names[y].tolist())
    run = trained(Dataset(x, y))
    whole = run.evaluate(train, test=Items(other.numpy(), names[of_other].tolist()), protocols="knn")
    some = of_other > 0  # which number bee 0 and cat 1
    part = Items(other[some].numpy(), names[of_other[some]].tolist())
    told = im.data.load(part)
    assert told.classes == ["bee", "cat"]
    found = run.evaluate(train, test=told, protocols="knn")
    assert found["knn"] > 80 and abs(found["knn"] - whole["knn"]) < 15
    assert told.labels.unique().tolist() == [0, 1]
    many = Dataset(x, y, ["cat", "ant", "bee"])  # other numbers altogether
    assert as_given(many, told, None, {})[0].labels.unique().tolist() == [0, 2]


def test_what_cannot_be_tested_on_is_refused_in_a_line():
    x, y = points()
    data = Dataset(x, y, ["ant", "bee", "cat"])
    run = trained(data)
    for test, message in (
        (
            Dataset(x, y, ["ant", "bee", "dog"], name="others"),
            r"20 samples of classes .* of class 'dog' \(there: 'ant', 'bee'",
        ),
        (
            Dataset(x, y + 1, name="numbers"),
            r"'numbers': 20 samples of classes that no sample of 'data' has, the first of class 3",
        ),
        (Dataset(x, name="bare"), r"test 'bare' has no labels, so nothing can be tested"),
        (Dataset(torch.zeros(4, 8, 8, 1, dtype=torch.uint8), torch.arange(4) % 2), r"are images, and 'data', .* rows"),
        (Dataset(x[:, :5], y), r"cannot take 'data' \(5 dimensions\)"),
        (Dataset(x, y, ["ant", "bee", "bee"]), r"two classes 'bee'"),
    ):
        with pytest.raises(DataError, match=message):
            run.evaluate(data, test=test)
    few = Dataset(x[y < 2], y[y < 2], ["ant", "bee", "cat"])
    with pytest.raises(DataError, match=r"of class 'cat' "):
        run.evaluate(few, test=data)
    with pytest.raises(ConfigError, match=r"data=train, test=test"):
        run.evaluate((data, data))
    with pytest.raises(ConfigError, match=r"test=data\['test'\]"):
        run.evaluate({"train": data, "test": data})
    with pytest.raises(ConfigError, match=r"gauges alone .* leave test out"):
        run.evaluate(data, test=data, protocols="gauges")
    with pytest.raises(ConfigError, match="is a graph"):
        as_given(Graph(torch.eye(3), torch.tensor([[0, 1], [1, 0]])), data, None, {})
    with pytest.warns(UserWarning, match="test are the data that are learnt from"):
        assert run.evaluate(data, test=Dataset(x.clone(), y.clone(), data.classes), protocols="knn")["test"] == 60


@pytest.mark.parametrize("protocol", ["linear", "finetune"])
def test_one_label_a_class_says_what_to_do(protocol):
    x, y = points()
    run, few = trained(Dataset(x)), Dataset(x[:3], y[:3])
    with pytest.raises(
        DataError, match=r"3 labels to learn from, and no class has two: .* give a second .* protocol knn"
    ):
        run.evaluate(few, test=Dataset(x, y), protocols=protocol)
    assert run.evaluate(few, test=Dataset(x, y), protocols="knn")["train"] == 3
    assert run.evaluate(Dataset(x[:4], y[:4]), test=Dataset(x, y), protocols=protocol)["train"] == 4


def test_a_folder_without_labels_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    for k in range(4):
        Image.fromarray(np.full((8, 8, 3), k, np.uint8)).save(tmp_path / f"{k}.png")
    data = Dataset(*points())
    run = trained(data)
    monkeypatch.setattr("infomax.data.folder.decoded_at", lambda *_: pytest.fail("decoded"))
    with pytest.raises(
        DataError, match=r"test '.*' has no labels, so nothing can be tested on it: .* one folder a class"
    ):
        run.evaluate(data, test=tmp_path)
    monkeypatch.undo()
    two = tmp_path / "two"  # whose train split has no labels, and whose test split may
    for k, place in enumerate(("train", "train", "test/x", "test/y")):
        (two / place).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), k, np.uint8)).save(two / place / f"{k}.png")
    assert _surely_unlabelled(str(two)) == "" and _surely_unlabelled(str(two), tested=True) is None


def test_folders_and_the_test_split_of_a_path(tmp_path):
    draw = np.random.default_rng(0)
    for folder in (
        "train/ant",
        "train/bee",
        "train/cat",
        "mine/bee",
        "mine/cat",
        "two/train/ant",
        "two/train/bee",
        "two/test/bee",
    ):
        (tmp_path / folder).mkdir(parents=True)
        for k in range(6):
            Image.fromarray(draw.integers(0, 256, (16, 16, 3), np.uint8)).save(tmp_path / folder / f"{k}.png")
    torch.manual_seed(0)
    learner = im.methods.simclr(im.encoders.get("resnet8"), projector=(8,))
    run = im.train(learner, tmp_path / "train", epochs=1, batch_size=9, progress=False)
    test, _ = as_given(im.data.load(tmp_path / "train"), tmp_path / "mine", None, {})
    assert test.labels.tolist() == [1] * 6 + [2] * 6
    found = run.evaluate(tmp_path / "train", test=tmp_path / "mine")
    assert (found["train"], found["test"], found["tested_on"]) == (18, 12, str((tmp_path / "mine").resolve()))
    assert run.evaluate(tmp_path / "train", test=tmp_path / "two", protocols="knn")["test"] == 6


def test_the_command_takes_one_too_and_keeps_it_beside_the_runs_own(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, seed in (("mine.npz", 0), ("held.npz", 1)):
        x, y = points(seed=seed)
        np.savez(name, x=x.numpy(), y=y.numpy())
    learner = im.methods.jmi(im.encoders.get("mlp", channels=6, size=1), projector=(8,))
    im.train(learner, "mine.npz", epochs=1, batch_size=30, out="run", progress=False)
    assert main(["evaluate", "run", "--protocols", "linear"]) == 0
    kept = len(list((tmp_path / "run" / "features").iterdir()))
    for _ in range(2):
        assert main(["evaluate", "run", "--test", "held.npz", "--protocols", "knn"]) == 0
        assert len(list((tmp_path / "run" / "features").iterdir())) == kept + 1
    said = capsys.readouterr()
    assert "train and test as given" in said.out and "dropped" not in said.err
    found = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    place = str((tmp_path / "held.npz").resolve())
    assert set(found) == {"mine.npz", f"mine.npz, tested on {place}"}
    assert "linear" in found["mine.npz"] and "linear" not in found[f"mine.npz, tested on {place}"]
    run = im.Run.load("run")
    assert [one.name for one in shown(found, run.config["data"])] == ["mine.npz", "mine.npz, tested on held.npz"]
    assert main(["probe", "run", "--test", "held.npz"]) == 0
    assert "mine.npz, tested on " in capsys.readouterr().out
    x, y = points(seed=2)
    np.savez("held.npz", x=x.numpy(), y=y.numpy())
    assert main(["evaluate", "run", "--test", "held.npz", "--protocols", "linear"]) == 0
    assert "has changed since: what was found before (knn) is dropped" in capsys.readouterr().err


class Nodes(nn.Module):
    """The features of the nodes as they are."""

    width = 8

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, graph):
        return self.scale * (graph.x if isinstance(graph, Graph) else graph[0])


def test_nodes_without_a_label_are_in_no_part_of_a_graphs_own_split():
    x, every = torch.randn(60, 8), torch.arange(60)
    x[every, every % 3] += 4
    bare, edges = torch.where(every < 30, -1, every % 3), torch.zeros(2, 0)
    x[:30] = x[30:]  # which would be the nearest, and of a class of their own
    whole = Graph(x, edges, bare, train=every[:50], test=every[50:])
    run = im.Run.of(Nodes(), whole)
    found = run.evaluate(whole, protocols="linear,knn")
    assert (found["train"], found["test"], found["how"]) == (
        20,
        10,
        "the graph's own split (without 30 nodes that have no label)",
    )
    known = run.evaluate(Graph(x, edges, bare, train=every[30:50], test=every[50:]), protocols="linear,knn")
    assert (found["linear"], found["knn"]) == (known["linear"], known["knn"]) and found["knn"] > 80
    assert known["how"] == "the graph's own split"
    learner = im.methods.bgrl(Nodes(), predictor=(8,))
    epoch = im.train(learner, whole, epochs=1, progress=False, online_knn=True, online_probe=True).history[-1]
    assert epoch["online_n"] == 10 and epoch["online_knn"] > 80


def test_a_node_to_learn_from_and_to_test_on_is_refused():
    every = torch.arange(40)
    graph = Graph(torch.randn(40, 8), torch.zeros(2, 0), every % 2, train=every[:30], test=every[25:], name="mine")
    run = im.Run.of(Nodes(), graph)
    with pytest.raises(
        DataError, match=r"'mine': 5 nodes in train and in test: no accuracy would say anything of other"
    ):
        run.evaluate(graph, protocols="knn")
