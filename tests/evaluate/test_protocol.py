import numpy as np
import pytest
import torch
from torch import nn

import infomax as im
from infomax.data import Dataset, load
from infomax.errors import DataError
from infomax.evaluate import run as protocol
from infomax.evaluate.protocols import lines
from infomax.evaluate.splits import some_held, splits


def points(n=40, classes=2):
    labels = torch.arange(n) * classes // n
    x = torch.randn(n, 8, generator=torch.Generator().manual_seed(0))
    x[:, :classes] += torch.nn.functional.one_hot(labels, classes)
    return x, labels


def trained(data, **options):
    torch.manual_seed(0)
    learner = im.methods.vicreg(nn.Linear(8, 4), projector=())
    return im.train(learner, data, epochs=1, batch_size=8, progress=False, **options)


def saved(path, **arrays):
    np.savez(path, **{k: v.numpy() for k, v in arrays.items()})
    return path


def test_every_class_is_held_out_in_part_and_learnt_from():
    labels = torch.tensor([0, 1, 1, 1, 1, 2] * 5 + [3, 3, 4])
    fit, held, how = splits(Dataset(torch.zeros(len(labels), 2), labels), None)
    assert how == "every 5th sample of each class held out as test (none of 1 class of one sample)"
    assert sorted([*fit.tolist(), *held.tolist()]) == list(range(len(labels)))
    assert labels[held].bincount().tolist() == [1, 4, 1, 1]
    assert set(labels[fit].tolist()) == {0, 1, 2, 3, 4}
    fit, held, _ = splits(Dataset(torch.zeros(10, 2)), None)
    assert held.tolist() == [0, 5]
    assert splits(Dataset(torch.zeros(4, 2), torch.tensor([0, 0, 1, 1])), None)[2].endswith("held out as test")


def test_few_labels_are_named_by_the_protocol_with_the_share_that_they_are():
    drawn = {"mean": 50.0, "sd": 1.0, "n": 3, "of": 63}  # of three classes of 21
    said = lines({"few_1": drawn | {"labels": 6}, "few_10": drawn | {"labels": 9}})
    assert said == [
        "few, 1 %        50.00 % +- 1.00 (sd of 3 draws), 6 labels, 10 % (two a class at the least)",
        "few, 10 %       50.00 % +- 1.00 (sd of 3 draws), 9 labels",
    ]


def test_a_class_of_one_sample_is_said_to_be_never_tested():
    labels = torch.tensor([0] * 10 + [1] * 10 + [2])
    x = torch.randn(21, 8, generator=torch.Generator().manual_seed(0))
    data = Dataset(x, labels, ["bus", "cat", "dog"])
    run = trained(data)
    with pytest.warns(UserWarning, match=r"a class of one sample .* of 'dog': give more samples") as seen:
        found = run.evaluate(protocols="knn,few")
    assert len(seen) == 1
    assert "held out as test (none of 1 class of one sample)" in found["protocol"]
    said = str(found).splitlines()
    assert (
        said[2].startswith("few, 1 %, 10 %  ")  # 5 of 17 at both
        and sum(line.startswith("few") for line in said) == 1
        and "(sd of 3 draws), 5 labels, 29 % (two a class at the least; of 1 class the" in said[2]
    )
    many = Dataset(x, torch.cat([torch.zeros(10, dtype=torch.int64), torch.arange(50, 61)]))
    with pytest.warns(UserWarning, match=r"of 50, 51, 52, 53, 54 and 6 more: give"):
        some_held(many, splits(many, None)[1])


def test_a_name_alone_is_no_origin(tmp_path, monkeypatch):
    x, y = points()
    monkeypatch.chdir(tmp_path)
    for split in ("train", "test"):
        for c in range(2):
            (tmp_path / "data" / split / str(c)).mkdir(parents=True)
    assert "each class held out" in trained(Dataset(x, y)).evaluate()["protocol"]
    assert "each class held out" in trained(Dataset(x, y, name="digits")).evaluate()["protocol"]


def test_the_test_split_is_found_where_the_data_were(tmp_path, monkeypatch):
    x, y = points()
    path = saved(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x[::4], y_test=y[::4])
    run = trained(load(path))
    monkeypatch.chdir("/")
    found = run.evaluate()
    assert (
        found["protocol"].startswith("frozen encoder, offline; the test split of the data set") and found["test"] == 10
    )
    assert "held out" in run.evaluate(load(path, split="test"))["protocol"], "a test split has no test split"


def test_only_a_split_that_is_not_there_is_held_out_instead(tmp_path):
    x, y = points()
    run = trained(Dataset(x, y))
    assert "held out" in run.evaluate(saved(tmp_path / "one.npz", x=x, y=y))["protocol"]
    bad = saved(tmp_path / "bad.npz", x_train=x, y_train=y, x_test=x[::4], y_test=y[::2])
    with pytest.raises(DataError, match="10 samples but labels of shape"):
        run.evaluate(bad)


def test_the_rank_is_of_all_classes(monkeypatch):
    x, y = points(400, 4)
    seen = []
    monkeypatch.setattr(protocol, "effective_rank", lambda z: seen.append(z) or torch.tensor(1.0))
    run = trained(Dataset(x, y))
    seen.clear()
    run.evaluate()
    z = protocol.features(run.learner.encoder, run.data)
    where = (torch.cdist(seen[0], z)).argmin(1)
    assert len(seen[0]) == 40 and y[where].bincount().tolist() == [10, 10, 10, 10]
