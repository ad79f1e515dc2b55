import json
import sys
import types
from importlib.machinery import ModuleSpec

import pytest
import torch
from torch import nn

import infomax as im
from infomax import optim
from infomax.cli import main
from infomax.optim import build_optimizer
from infomax.optim.rules import PARTS, grouped, read_rules, resolved
from infomax.schedule import warmup_cosine
from infomax.training import wandb
from infomax.training.checkpoint import written


def learner(name="simsiam", **options):
    torch.manual_seed(3)
    encoder = im.encoders.get("mlp", channels=2, size=1, hidden=8)
    known = im.methods.options(name)
    small = {k: v for k, v in {"projector": (8, 8), "predictor": (4,), "prototypes": 5}.items() if k in known}
    return im.methods.build(name, encoder, **small, **options)


def fit(made, **options):
    asked = {"epochs": 2, "batch_size": 500, "progress": False, "gauge_samples": 64, "lr": 1e-2, "optimizer": "sgd"}
    return im.train(made, "gaussians", **(asked | options))


def names(made, part):
    """The parameters that a rule for this part would set apart."""
    by_id = {id(p): n for n, p in made.named_parameters()}
    groups = grouped(made, {part: {"lr": 0.5}})
    return {by_id[id(p)] for g in groups if g["factor"] == 0.5 for p in g["params"]}


def test_every_part_is_found_in_both_branches_and_nothing_else():
    made = learner()
    every = {n for n, _ in made.named_parameters()}
    assert names(made, "encoder") | names(made, "projector") | names(made, "predictor") == every
    assert all(n.startswith("f.encoder.") for n in names(made, "encoder"))
    assert all(n.startswith("marginals.0.net.") for n in names(made, "predictor"))
    assert all(n.endswith(".bias") for n in names(made, "bias"))
    assert all(dict(made.named_parameters())[n].ndim == 1 for n in names(made, "norm"))
    assert {n.split(".")[0] for n in names(learner("sdmi"), "projector")} == {"f", "g"}
    assert names(learner("dino"), "prototypes") == {"f.projector.1.weight", "g.projector.1.weight"}
    assert names(learner("swav"), "prototypes") == {"marginals.0.prototypes.weight"}
    assert names(made, "f.encoder.layers.0.*") == {"f.encoder.layers.0.weight"}
    assert set(PARTS) == {"encoder", "projector", "predictor", "prototypes", "critic", "bias", "norm"}
    bare = im.Learner(nn.Linear(2, 2), im.Shared(), im.Alignment(im.Bilinear(2)), im.InfoNCE(im.Bilinear(2)))
    assert names(bare, "encoder") == {"f.weight", "f.bias"}
    assert names(bare, "critic") == {"joint.critic.weight", "marginals.0.critic.weight"}


def test_biases_of_attention_and_recurrence_and_every_norm_of_torch_are_found():
    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention, self.norm = nn.MultiheadAttention(8, 2), nn.RMSNorm(8)
            self.gru = nn.GRU(8, 8)

    made = im.methods.jmi(Encoder(), projector=())
    assert {n.removeprefix("f.encoder.") for n in names(made, "bias")} == {
        "attention.in_proj_bias", "attention.out_proj.bias", "gru.bias_ih_l0", "gru.bias_hh_l0",
    }  # fmt: skip
    assert names(made, "norm") == {"f.encoder.norm.weight"}


def test_without_rules_there_is_one_group_in_the_learners_own_order():
    made = learner("jmi")
    (group,) = grouped(made, {})
    assert all(p is q for p, q in zip(group["params"], made.parameters(), strict=True))


def test_a_later_rule_counts_and_settings_add_up():
    groups = grouped(
        learner("jmi"), {"encoder": {"lr": 0.1, "weight_decay": 0.5}, "bias": {"lr": 2}, "norm": {"lr": 0}}
    )
    assert {(g["factor"], g.get("weight_decay")) for g in groups} == {
        (1.0, None),
        (0.1, 0.5),
        (0, 0.5),
        (0, None),
        (2, None),
    }


def test_the_optimizer_decays_and_moves_by_the_rules():
    made = learner("jmi")
    rules = {"projector": {"lr": 0}, "bias": {"weight_decay": 0}}
    run = fit(made, rules=rules, epochs=1)
    assert run.config["training"]["rules"] == rules
    still = learner("jmi")
    for (n, p), q in zip(made.named_parameters(), still.parameters(), strict=True):
        assert torch.equal(p, q) is (n in names(still, "projector")), n
    groups = build_optimizer(grouped(made, rules), "sgd", lr=0.1, weight_decay=0.3).param_groups
    assert sorted(g["weight_decay"] for g in groups) == [0, 0, 0.3, 0.3]


def test_the_predictor_of_simsiam_keeps_its_rate_and_may_be_told_not_to(monkeypatch):
    seen = []
    step = optim._SGD.step
    monkeypatch.setattr(
        optim._SGD, "step", lambda self: (seen.append([g["lr"] for g in self.param_groups]), step(self))
    )
    run = fit(learner())
    assert run.config["training"]["rules"] == {"predictor": {"lr": "constant"}}
    total = len(seen)
    schedule = [warmup_cosine(k, total, round(0.2 * total / 2), 1e-2) for k in range(total)]
    assert {constant for constant, _ in seen} == {1e-2}
    assert [rate for _, rate in seen] == pytest.approx(schedule)
    seen.clear()
    fit(learner(), rules={"predictor": {"lr": 1}})
    assert seen == [[pytest.approx(rate)] for rate in schedule]
    assert (
        resolved(learner().edit(marginals=learner("jmi").marginals), {}) == {}
    )  # a rule for what is not there any more


def test_a_run_with_rules_continues_exactly(tmp_path, monkeypatch):
    rules = {"norm": {"weight_decay": 0}, "f.encoder.*": {"lr": 0.3}}
    whole = fit(learner(), rules=rules, optimizer="adamw")
    step, count = optim._AdamW.step, []

    def stop(self):
        count.append(1)
        if len(count) == 7:
            raise KeyboardInterrupt
        return step(self)

    monkeypatch.setattr(optim._AdamW, "step", stop)
    with pytest.raises(KeyboardInterrupt):
        fit(learner(), rules=rules, optimizer="adamw", out=tmp_path / "run", checkpoint_every=1)
    monkeypatch.undo()
    run = im.Run.resume(tmp_path / "run", progress=False)
    for n, p in whole.learner.named_parameters():
        assert torch.equal(p, run.learner.get_parameter(n)), n


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"predictr": {"lr": 1}}, "did you mean 'predictor'"),
        ({"predictor": {"lr": 1}}, "'jmi' has no such parameter"),
        ({"f.nothing.*": {"lr": 1}}, "'jmi' has no such parameter"),
        ({"bias": {"wd": 0}}, "sets 'wd'"),
        ({"bias": {"lr": "slow"}}, "lr='slow': give a factor >= 0 of the learning rate, or 'constant'"),
        ({"bias": {"weight_decay": -1}}, "weight_decay=-1: give a number >= 0"),
        (read_rules("{bias: {weight_decay: inf}}"), "weight_decay=inf: give a number >= 0"),
        ({"bias": 0}, "give settings"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(rules, message):
    with pytest.raises(im.ConfigError, match=message):
        fit(learner("jmi"), rules=rules)


class Recorder(types.ModuleType):
    """Stands for the package of Weights & Biases."""

    def __init__(self):
        super().__init__("wandb")
        self.__spec__ = ModuleSpec("wandb", None)
        self.rows, self.asked, self.ended, self.id = [], [], 0, "abc"

    def init(self, **asked):
        self.asked.append(asked)
        return self

    def log(self, row, step):
        self.rows.append((step, row))

    def finish(self):
        self.ended += 1


def test_every_epoch_goes_to_weights_and_biases(tmp_path, monkeypatch):
    fake = Recorder()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    run = fit(learner("jmi"), wandb="mine", out=tmp_path / "run")
    assert [step for step, _ in fake.rows] == [1, 2]
    assert fake.rows[1][1] == run.history[1]
    assert (fake.asked[0]["project"], fake.asked[0]["name"], fake.ended) == ("mine", "run", 1)
    assert fake.asked[0]["config"]["training"]["lr"] == 1e-2
    assert json.loads((tmp_path / "run" / "config.json").read_text())["machine"]["wandb"] == "mine"
    with wandb.rows("mine", tmp_path / "run", {}, "jmi", resumes=True) as log:
        log({"epoch": 2.4})  # where a run by time ends
    assert fake.rows[-1][0] == 3
    assert (fake.asked[1]["id"], fake.asked[1]["resume"]) == ("abc", "allow")


def test_a_run_that_is_killed_while_weights_and_biases_begins_can_be_continued(tmp_path, monkeypatch):
    class Waiting(Recorder):
        def init(self, **asked):
            self.seen = [path.name for path in written(tmp_path / "run")]
            raise RuntimeError("no network")

    monkeypatch.setitem(sys.modules, "wandb", fake := Waiting())
    with pytest.raises(RuntimeError, match="no network"):
        fit(learner("jmi"), wandb="mine", out=tmp_path / "run")
    assert fake.seen == ["000000000.safetensors"]
    assert not (tmp_path / "run").exists(), "it failed, and was not killed: it can be asked anew"


def test_without_the_package_one_line_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(im.ConfigError, match="wandb='mine': the package is not installed"):
        fit(learner("jmi"), wandb="mine", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("text", ["1e-5", "1.0e-5", "0.00001", "'1e-5'"])
def test_small_numbers_are_numbers_however_they_are_written(text):
    rules = {"bias": {"weight_decay": 1e-5}, "norm": {"lr": "constant"}}
    read = read_rules(f"{{bias: {{weight_decay: {text}}}, norm: {{lr: constant}}}}")
    assert read == rules and resolved(learner(), read)["bias"] == {"weight_decay": 1e-5}
    assert read_rules(str(read)) == rules  # as a file's options become a command line, and a cell keeps them


def test_the_command_line_reads_rules(tmp_path, capsys):
    out = tmp_path / "run"
    asked = ["train", "--method", "jmi", "--data", "gaussians", "--epochs", "1", "--out", str(out), "--projector", "8"]
    assert main([*asked, "--rules", "{bias: {weight_decay: 0}}"]) == 0
    assert json.loads((out / "config.json").read_text())["training"]["rules"] == {"bias": {"weight_decay": 0}}
    capsys.readouterr()
    for text, message in (("{bias", "is no YAML"), ("bias", "give parts with settings")):
        assert main([*asked[:-4], "--out", str(tmp_path / "other"), "--rules", text]) == 2
        assert message in capsys.readouterr().err
