"""Branches in shards: two gloo processes train what one trains, and each continues what the other began."""

import pytest
import shards
import torch
import torch.multiprocessing as mp
from safetensors.torch import load_file
from torch import nn

import infomax as im
from infomax.training import checkpoint, sharding
from infomax.training.folder import read_log

TOLERANCE = 1e-9


pytestmark = pytest.mark.filterwarnings("ignore::infomax.learner.CollapseWarning")  # nothing is to be learnt of noise


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    if not sharding.ON_CPUS:
        pytest.skip("this torch has no shards on CPUs: 2.7 and later do")
    folder = tmp_path_factory.mktemp("shards")
    data = shards.pictures(folder)
    for method in shards.CASES:
        shards.begin(method, data, folder / f"{method} one", "ddp")
        shards.begin(method, data, folder / f"{method} one, two", "ddp", stopped=True)
    mp.spawn(shards.work, (folder,), nprocs=2)
    for method in shards.CASES:
        assert checkpoint.step_of(checkpoint.written(folder / f"{method} two, one")[-1]) == shards.STOPPED_AT
        im.Run.resume(folder / f"{method} two, one", strategy="ddp", progress=False)
    return folder


@pytest.mark.parametrize("lives", ["two", "one, two", "two, one"])
@pytest.mark.parametrize("method", shards.CASES)
def test_shards_train_what_one_process_does(method, lives, runs):
    expected, found = (load_file(runs / f"{method} {who}" / "learner.safetensors") for who in ("one", lives))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(
            found[name], value, rtol=TOLERANCE, atol=TOLERANCE, msg=lambda t, n=name: f"{n}: {t}"
        )
    for row, other in zip(read_log(runs / f"{method} one"), read_log(runs / f"{method} {lives}"), strict=True):
        same = {key: pytest.approx(value, rel=1e-7) for key, value in row.items() if key != "seconds"}
        assert {key: value for key, value in other.items() if key != "seconds"} == same


def test_checkpoints_are_those_of_one_process(runs):
    one, two = (load_file(checkpoint.written(runs / f"moco_v2 {who}")[-1]) for who in ("one", "two"))
    one.pop("history"), two.pop("history")  # whose seconds are longer or shorter
    assert {name: t.shape for name, t in one.items()} == {name: t.shape for name, t in two.items()}
    assert any(name.startswith("optimizer.") for name in two)


def test_one_process_has_nothing_to_cut(tmp_path):
    run = im.train(
        im.methods.jmi(im.encoders.get("toy"), projector=()), "gaussians", epochs=1, strategy="fsdp", progress=False
    )
    assert run.config["machine"]["strategy"] == "fsdp"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"strategy": "fdsp"}, "no strategy 'fdsp': did you mean 'fsdp'"),
        (
            {"strategy": "fsdp", "compile": True},
            "does not compile its branches: leave compile out, or take strategy='ddp'",
        ),
    ],
)
def test_what_shards_cannot_do_is_said_before_anything_is_computed(asked, said, tmp_path):
    with pytest.raises(im.ConfigError, match=said):
        im.train(im.methods.jmi(im.encoders.get("toy"), projector=()), "gaussians", out=tmp_path / "run", **asked)
    assert not (tmp_path / "run").exists()


def test_a_torch_that_has_no_shards_on_cpus_is_told(monkeypatch):
    monkeypatch.setattr(sharding, "ON_CPUS", False)
    learner = im.methods.jmi(nn.Linear(2, 2), projector=())
    with pytest.raises(im.ConfigError, match="on CPUs needs torch"):
        sharding.sharded(learner, torch.device("cpu"))


def test_sixteen_bits_that_are_scaled_are_refused():
    with pytest.raises(im.ConfigError, match="take bf16-mixed"):
        sharding.check("fsdp", "16-mixed", False)


class Attention(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.attention = nn.MultiheadAttention(width, 4, batch_first=True)
        self.after = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, x):
        return self.after(self.attention(x, x, x)[0].mean(1))


def test_parts_are_modules_that_are_called(monkeypatch):
    monkeypatch.setattr(sharding, "UNIT", 1)
    branch = im.Branch(Attention(8), (4, 4))
    # neither the attention's last layer, whose weights it reads without calling it, nor a layer alone
    assert sharding.units(branch) == [branch.encoder.attention, branch.encoder, branch.projector, branch]


def test_a_weight_that_two_parts_share_is_gathered_with_the_whole(monkeypatch):
    monkeypatch.setattr(sharding, "UNIT", 1)
    branch = im.Branch(Attention(8), (8,))
    branch.projector[0].weight = branch.encoder.after[0].weight
    assert sharding.units(branch) == [branch]
