import pytest
import yaml
from tests.cli.command import SMALL, run

from infomax.training.devices import chosen
from infomax.training.options import Options


def test_options_from_a_file_are_those_of_the_command_line(tmp_path, capsys):
    file = tmp_path / "run.yaml"
    file.write_text(
        "method: moco_v2\ndata: digits\nprojector: [16, 8]\nlr: 1e-2\nboth-ways: true\nepochs: 3\nprecision: auto\n"
    )
    code, resolved, _ = run(
        capsys, "train", "--config", file, "--epochs", "5", "--out", tmp_path / "a", "--print-config"
    )
    assert code == 0 and not (tmp_path / "a").exists()
    said = yaml.safe_load(resolved)
    assert said["lr"] == 0.01 and said["epochs"] == 5 and said["projector"] == "16-8" and said["both_ways"] is True
    assert said["momentum"] == 0.99 and said["on_nan"] == "stop" and said["size"] is None
    told = {line.split(":")[0]: line.partition("# here ")[2] for line in resolved.splitlines()}
    assert (told["encoder"], told["views"], told["size"], told["warmup_epochs"]) == ("mlp", "simclr", "8", "0.5")
    assert said["precision"] == "auto" and told["precision"] == chosen("auto") and not told["lr"]
    (tmp_path / "whole.yaml").write_text(resolved)
    code, again, _ = run(capsys, "train", f"--config={tmp_path / 'whole.yaml'}", "--no-both-ways", "--print-config")
    assert code == 0 and yaml.safe_load(again) == said | {"both_ways": False}


def test_names_in_capitals_are_those_in_small_letters(tmp_path, capsys):
    words = ("--method", "SimCLR", "--optimizer", "AdamW", "--precision", "BF16-mixed", "--on-nan", "Skip")
    code, resolved, err = run(capsys, "train", *words, "--print-config")
    said = yaml.safe_load(resolved)
    assert code == 0, err
    assert [said[name] for name in ("method", "optimizer", "precision", "on_nan", "accumulate")] == [
        "simclr", "adamw", "bf16-mixed", "skip", 1,
    ]  # fmt: skip
    for name in ("CPU/simclr-cifar10", "cpu/SimCLR-CIFAR10"):
        assert run(capsys, "train", "--config", name, "--print-config")[0] == 0
    assert run(capsys, "recipes", "CPU/simclr-cifar10")[0] == 0
    code, _, err = run(capsys, "train", *words[:2], "--optimizer", "AdamZ", "--data", "digits", "--out", tmp_path / "a")
    assert code == 2 and 'Did you mean "adam"?' in err
    for option, name, near in (("--encoder", "RESNET8", "resnet8"), ("--views", "SimCLR", "simclr")):
        code, _, err = run(capsys, "train", *words[:2], option, name, "--data", "digits", "--out", tmp_path / "a")
        assert code == 2 and f"did you mean {near!r}?" in err
    assert Options(optimizer="AdamW", precision="32-True").plain()["optimizer"] == "adamw"


def test_a_method_is_needed_to_print_its_options(capsys):
    code, out, err = run(capsys, "train", "--data", "digits", "--print-config")
    assert code == 2 and not out and "train: --method is missing" in err


def test_a_near_name_is_said_alone_and_of_many_the_first(tmp_path, capsys):
    code, _, err = run(capsys, "recipes", "simclr")
    assert code == 2 and err.endswith("no recipe 'simclr': did you mean 'cpu/simclr-cifar10'?\n")
    (tmp_path / "run.yaml").write_text("method: simclr\nqqq: 1\n")
    code, _, err = run(capsys, "train", "--config", tmp_path / "run.yaml")
    assert code == 2 and "no option 'qqq': give one of: accumulate, " in err and " in all)" in err and len(err) < 250


@pytest.mark.parametrize("name", ["mae", "SimMIM", "i-jepa", "DINOv2", "deepcluster", "NNCLR", "vibcreg"])
def test_a_method_that_is_not_here_is_said_not_to_be(capsys, name):
    code, _, err = run(capsys, "train", "--method", name, "--data", "digits", "--out", "x")
    assert code == 2 and f"no method {name!r}: it is not here" in err and "did you mean" not in err
    assert ("examples/own_method.py" in err) == (name in ("NNCLR", "vibcreg"))


def test_a_length_beside_a_file_stands_for_the_other_that_is_in_it(tmp_path, capsys):
    for text, asked, epochs, budget in (
        ("budget: 5min", ("--epochs", "3"), 3, None),
        ("epochs: 7", ("--budget", "2h"), 100, "2h"),
        ("budget: 5min", (), 100, "5min"),
    ):
        (tmp_path / "run.yaml").write_text(f"method: jmi\n{text}\n")
        code, resolved, _ = run(capsys, "train", "--config", tmp_path / "run.yaml", *asked, "--print-config")
        said = yaml.safe_load(resolved)
        assert code == 0 and (said["epochs"], said["budget"]) == (epochs, budget)
    code, _, err = run(capsys, "train", *SMALL, "--out", tmp_path / "a", "--epochs", "3", "--budget=5min")
    assert code == 2 and "--epochs 3 and --budget 5min: a run is as long as one of them says" in err
    code, _, err = run(capsys, "train", *SMALL, "--out", tmp_path / "a", "--cuda-graphs")
    assert code == 2 and "cuda_graphs=True without compile=True" in err and not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("method: jmi\nlearning_rate: 1\n", ["no option 'learning_rate': did you mean 'lr'?\n"]),
        ("method: jmi\ntemprature: 1\n", ["no option 'temprature'", "did you mean 'temperature'"]),
        ("method: jmi\ntemperature: warm\ndata: digits\nout: x\n", ['run.yaml: temperature: unable to convert "warm"']),
        ("method: jmi\nepochs: 1.5\ndata: digits\nout: x\n", ["run.yaml: epochs: '1.5' is no whole number"]),
        ("method: jmi\noptimizer: muse\ndata: digits\nout: x\n", ["run.yaml: optimizer: Invalid value", "adamw"]),
        (
            "method: jmi\ndata: a: b\n",
            ["run.yaml: cannot be read: line 2, column 8: mapping values are not allowed here"],
        ),
        ("method: simclear\n", ["did you mean 'simclr'"]),
        ("- a\n", ["give a mapping"]),
        ("a: [\n", ["cannot be read"]),
        ("method: simclr\ndata: digits\nmomentum_end: 1.0\n", ["run.yaml: simclr has no momentum_end (moco_v2 has)"]),
        ("method: moco-v2\npredictor: 8\n", ["run.yaml: moco-v2 has no predictor (", "byol", " have)"]),
    ],
)
def test_a_file_of_options_that_cannot_be_is_one_clear_line(tmp_path, capsys, text, expected):
    file = tmp_path / "run.yaml"
    file.write_text(text)
    code, _, err = run(capsys, "train", "--config", file)
    assert code == 2 and err.count("\n") == 1
    for part in expected:
        assert part in err
    assert "unicode string" not in err


def test_a_value_beside_a_file_is_one_of_the_command_line(tmp_path, capsys):
    (tmp_path / "run.yaml").write_text("method: jmi\nlr: fast\ndata: digits\nout: x\n")
    code, _, err = run(capsys, "train", "--config", tmp_path / "run.yaml", "--lr", "slow")
    assert code == 2 and err == 'infomax: Invalid value for --lr: unable to convert "slow" into float.\n'
