import errno
import inspect
import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from infomax import cli, methods
from infomax.cli import main, resume
from infomax.errors import ConfigError, DataError
from infomax.mi import MIMetric
from infomax.mi.tasks import TASKS
from infomax.studies import curves
from infomax.studies.collapse.plan import METHODS, sentences
from infomax.studies.tables.printed import METHODS as PRINTED
from infomax.training import monitor
from infomax.training.devices import chosen
from infomax.training.feed import Feed, dataset, view_function
from infomax.training.folder import unclaimed
from infomax.training.monitor import two_sides
from infomax.training.run import Run
from infomax.words import many

SMALL = ["--method", "jmi", "--projector", "8", "--data", "digits", "--batch-size", "400"]


def run(capsys, *argv):
    code = main([str(a) for a in argv])
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.mark.parametrize("module", ["infomax", "infomax.cli"])
def test_the_package_is_its_command(capsys, monkeypatch, module):
    monkeypatch.setattr(sys, "argv", ["infomax", "methods"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(module, run_name="__main__")
    assert not ended.value.code and "simclr" in capsys.readouterr().out


def test_ctrl_c_while_torch_is_imported_is_one_line(tmp_path):
    (tmp_path / "torch.py").write_text("import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)\n")
    declared = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, function = declared["infomax"].partition(":")
    program = f"import sys; from {module} import {function}; sys.exit({function}())"
    path = os.pathsep.join([str(tmp_path), str(Path(cli.__file__).parents[2])])
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert (done.returncode, done.stderr, done.stdout) == (130, "infomax: stopped\n", "")


@pytest.mark.parametrize("at", ["infomax.training.feed.dataset", "infomax.training.loop._climb"])
def test_ctrl_c_before_the_first_update_says_that_there_is_nothing_to_resume(tmp_path, capsys, monkeypatch, at):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    def closed(*_):
        raise PermissionError(13, "Permission denied")

    out = tmp_path / "run"
    asked = ("train", *SMALL, "--epochs", 1, "--out", out)
    with monkeypatch.context() as patched:
        patched.setattr(at, interrupted)
        code, _, err = run(capsys, *asked)
    said = "infomax: stopped before the first update: nothing had been written, and the same command begins it\n"
    assert (code, err, out.exists()) == (130, said, False)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "is_dir", closed)
        assert cli._stopped(["train", "--out", str(out)]) == "stopped; what had been written stays"
    code, _, err = run(capsys, *asked)
    assert code == 0, err
    with monkeypatch.context() as patched:
        patched.setattr(Run, "load", interrupted)
        assert run(capsys, "train", "--resume", out) == (130, "", "infomax: stopped; what had been written stays\n")
        assert run(capsys, "probe", out) == (130, "", "infomax: stopped; what had been written stays\n")


def test_methods_prints_the_computed_table(capsys):
    code, out, _ = run(capsys, "methods")
    assert code == 0
    rows = {line.split("|")[0].strip(): line for line in out.splitlines() if "|" in line}
    assert set(methods.METHODS) <= set(rows)
    assert "the paper prints Joint, MI surrogate, JMI; computed EM, MI surrogate, SDMI" in out


def test_methods_json_is_a_list_of_objects(capsys):
    code, out, _ = run(capsys, "methods", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert code == 0
    assert set(rows) == set(methods.METHODS)
    assert rows["byol"]["optimisation"] == "EM" and rows["byol"]["paradigm"] == "SDMI"
    assert rows["simclr"]["optimisation"] == "Joint" and rows["simclr"]["objective"] == "explicit MI"
    assert rows["bgrl"]["paper"] == "Joint, MI surrogate, JMI" and rows["bgrl"]["differs"]


def test_no_option_of_a_method_hides_one_of_train():
    own = set(inspect.signature(cli.train).parameters)
    for name in methods.METHODS:
        assert not own & set(methods.options(name)), name


def test_train_probe_report(tmp_path, capsys):
    out = tmp_path / "run"
    code, said, _ = run(
        capsys, "train", "--method", "sdmi", "--temperature", "0.2", "--projector", "32-16", "--data", "digits",
        "--epochs", "2", "--out", out,
    )  # fmt: skip
    assert code == 0 and "infomax evaluate" in said
    ended = r"^sdmi after 2 epochs \(20 updates\): bound .*; of fixed samples InfoNCE .*, effective rank \d+\.\d, std \d\.\d\d$"
    assert re.search(ended, said, re.MULTILINE)  # and no word of a collapse
    config = json.loads((out / "config.json").read_text())
    assert config["method"] == {"method": "sdmi", "projector": [32, 16], "temperature": 0.2, "every": "epoch"}
    assert config["encoder"]["name"] == "mlp" and config["training"]["epochs"] == 2
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in log] == [1, 2]

    code, said, _ = run(capsys, "probe", out, "--json")
    found = json.loads(said)
    assert code == 0 and found["test"] == 355
    assert found["linear"] > 80 and found["knn"] > 80
    code, said, _ = run(capsys, "report", out)
    assert code == 0 and (out / "report.html").stat().st_size > 1e6


def test_the_last_line_of_a_run_and_its_folder_say_what_its_page_says(tmp_path, capsys, monkeypatch):
    out = tmp_path / "run"
    asked = (
        "train",
        "--method",
        "jmi",
        "--projector",
        "32",
        "--data",
        "digits",
        "--epochs",
        "2",
        "--lr",
        "0",
        "--out",
        out,
    )
    monkeypatch.setattr("infomax.training.state.few", lambda start: start)
    code, said, _ = run(capsys, *asked)
    (last,) = re.findall(r"^jmi after 2 epochs .*, std \d\.\d\d: few directions left$", said, re.MULTILINE)
    assert code == 0
    assert json.loads((out / "watch.json").read_text())["state"] == "few directions left"
    code, said, _ = run(capsys, "report", out)
    assert code == 0 and "<strong>few directions left</strong>" in (out / "report.html").read_text()
    code, said, _ = run(capsys, "train", "--resume", out)  # which had ended, so that it is read back
    assert code == 0 and said.splitlines()[0] == re.sub(r" \(\d+ updates\)", "", last)
    (out / "watch.json").write_text("{")
    code, said, err = run(capsys, "train", "--resume", out)
    assert code == 0 and "watch.json is damaged and left out" in err and "few directions" not in said


def test_a_run_by_time_says_where_it_ended(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("infomax.training.length.Length.total", lambda self, step: 12)  # of 5 an epoch
    asked = ("--method", "jmi", "--projector", "16", "--data", "digits", "--budget", "1h", "--out", tmp_path / "run")
    code, said, _ = run(capsys, "train", *asked)
    assert code == 0 and "jmi after 2.4 epochs, the last in part (12 updates): bound" in said
    code, said, _ = run(capsys, "report", tmp_path / "run")
    text = (tmp_path / "run" / "report.html").read_text()
    assert code == 0 and "The log ends within an epoch, after 2.4: loss, bound and seconds" in text
    assert "After 2.4 epochs (1h): InfoNCE" in text


def test_the_help_tells_readings_of_the_bar_from_those_of_the_log(capsys):
    said = shown(capsys, "train")["--gauge-samples"]
    assert "of the log and of the last line" in said and "those of the bar are of the batch under way" in said


def test_a_folder_of_unlabeled_images(tmp_path, capsys):
    rng = np.random.default_rng(0)
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(6):
        Image.fromarray(rng.integers(0, 255, (20 + i, 24, 3), dtype=np.uint8)).save(photos / f"{i}.png")
    (photos / "broken.png").write_bytes(b"not a picture")
    out = tmp_path / "run"
    code, _, err = run(
        capsys, "train", "--method", "vicreg", "--projector", "16", "--data", photos, "--epochs", "1", "--size", "16",
        "--batch-size", "4", "--out", out,
    )  # fmt: skip
    assert code == 0
    assert "broken.png" in err
    code, _, err = run(capsys, "probe", out)
    assert code == 2 and "no labels" in err


def test_bad_input_is_one_clear_line(tmp_path, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "something").touch()
    (tmp_path / "empty").mkdir()
    nan = tmp_path / "nan.npy"
    np.save(nan, np.full((64, 2), np.nan, np.float32))
    good = ["--method", "jmi", "--data", "digits", "--epochs", "1", "--out", tmp_path / "new"]

    def wrong(expected, *change):
        arguments = [str(a) for a in good]
        for option, value in zip(change[::2], change[1::2], strict=True):
            if option in arguments:
                arguments[arguments.index(option) + 1] = str(value)
            else:
                arguments += [option, str(value)]
        code, _, err = run(capsys, "train", *arguments)
        lines = [line for line in err.splitlines() if not line.startswith("warning:")]
        assert code == 2 and len(lines) == 1, err
        for text in expected:
            assert text in err
        assert not (tmp_path / "new").exists()

    wrong(["'simclr'"], "--method", "simclear")
    wrong(["--temperature"], "--temprature", "0.1")
    wrong(["did you mean 'digits'"], "--data", "digts")
    wrong(["'resnet8'"], "--encoder", "resnet9")
    wrong(["did you mean 'simclr'"], "--views", "simclear")
    wrong(["batch of 1"], "--batch-size", "1")
    wrong(["more rows than columns", "128"], "--method", "w_mse", "--projector", "128-256")
    wrong(["no images"], "--data", tmp_path / "empty")
    wrong(["not empty"], "--out", tmp_path / "full")
    wrong(["nan"], "--data", nan)
    wrong(["2048-256"], "--projector", "12x")
    wrong(["epochs=0"], "--epochs", "0")
    wrong(["no whole number"], "--epochs", "1.5")
    wrong(["64 bits"], "--seed", "99999999999999999999")
    wrong(["--seed"], "--seed", "-1")
    wrong(["warmup_epochs=nan"], "--warmup-epochs", "nan")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("train", "--method", "typo"), "no method 'typo'"),
        (("train", "--views", "typo"), "no views 'typo'"),
        (("train", "--encoder", "typo"), "no encoder 'typo'"),
        (("train", "--encoder", "torchvision/typo"), "torchvision has no classifier 'typo'"),
        (("train", "--init", "typo"), "no weights typo: name a run's folder or a file"),
        (("train", "--epochs", "0"), "epochs=0"),
        (("train", "--devices", "0"), "devices=0: give at least 1"),
        (("train", "--device", "cuda:77"), "torch sees"),
        (("train", "--budget", "5min", "--devices", "2"), "budget='5min' of 2 processes, whose clocks differ"),
        (("train", "--keep", "0"), "keep=0"),
        (("train", "--checkpoint-every", "soon"), "checkpoint_every='soon'"),
        (("views", "--recipe", "typo"), "no views 'typo'"),
        (("study", "fig2", "--encoder", "typo"), "no encoder 'typo'"),
        (("study", "table1", "--encoder", "typo"), "no encoder 'typo'"),
    ],
)
def test_names_are_looked_at_before_data_are(tmp_path, capsys, asked, said):
    given = {"--method": "jmi"} if asked[0] == "train" else {}
    given |= dict(zip(asked[1::2], asked[2::2], strict=True)) if asked[0] != "study" else dict([asked[-2:]])
    given |= {"--data": tmp_path / "nowhere", "--out": tmp_path / "out"}
    code, _, err = run(capsys, *asked[: 1 + (asked[0] == "study")], *(word for pair in given.items() for word in pair))
    assert code == 2 and said in err and "nowhere" not in err, err
    assert not (tmp_path / "out").exists()


def test_a_run_from_an_earlier_one_says_where_its_views_are_of_another_size(tmp_path, capsys):
    images = np.random.default_rng(0).integers(0, 255, (40, 24, 24, 1), dtype=np.uint8)
    np.savez(tmp_path / "x.npz", images=images)
    asked = ("train", "--method", "jmi", "--data", tmp_path / "x.npz", "--batch-size", 20, "--epochs", 1)
    first = tmp_path / "first"
    code, said, _ = run(capsys, *asked, "--size", 16, "--out", first)
    assert code == 0 and "was trained on views" not in said
    for at, init in enumerate((first, first / "learner.safetensors")):
        code, said, err = run(capsys, *asked, "--init", init, "--out", tmp_path / f"default{at}")
        assert code == 0, err
        line = f"{init} was trained on views of 16 px, and this run has 24 px: for views as then, give --size 16"
        assert line in said.splitlines()
    for size in (16, 24):  # asked for
        code, said, err = run(capsys, *asked, "--init", first, "--size", size, "--out", tmp_path / f"at{size}")
        assert code == 0 and "was trained on views" not in said, err
    code, said, err = run(capsys, *asked, "--init", tmp_path / "at24", "--out", tmp_path / "same")
    assert code == 0 and "was trained on views" not in said, err


@pytest.mark.parametrize(
    ("encoder", "said"),
    [
        (("auto",), "encoder auto is a small one, without published weights"),
        (("resnet8",), "encoder resnet8 has no published weights"),
        (("resnet18", "--size", "32"), "resnet18 at 32 px has the CIFAR stem, of which nobody publishes weights"),
        (("timm/coatnet_0_224",), "encoder timm/coatnet_0_224 has no published weights"),
        (("torchvision/resnet18",), "nowhere"),
        (("resnet18",), "nowhere"),  # how large the images are, is not known yet
    ],
)
def test_weights_that_nobody_publishes_are_refused_before_data_are_read(tmp_path, capsys, encoder, said):
    if encoder[0].startswith("timm/"):
        pytest.importorskip("timm")
    asked = ("--method", "jmi", "--data", tmp_path / "nowhere", "--out", tmp_path / "out", "--init", "pretrained")
    code, _, err = run(capsys, "train", *asked, "--encoder", *encoder)
    assert code == 2 and said in err and ("nowhere" in err) == (said == "nowhere"), err


def test_protocols_are_looked_at_before_data_are(tmp_path, capsys, trained):
    code, _, err = run(capsys, "evaluate", trained, "--data", tmp_path / "nowhere", "--protocols", "knn,typo")
    assert code == 2 and "no protocol 'typo'" in err and "nowhere" not in err


def test_unknown_command_and_missing_option(capsys):
    code, _, err = run(capsys, "trian")
    assert code == 2 and 'Did you mean "train"' in err and err.count("\n") == 1
    code, _, err = run(capsys, "train", "--method", "jmi", "--data", "digits")
    assert code == 2 and "--out" in err and err.count("\n") == 1
    code, _, err = run(capsys, "probe", "nowhere")
    assert code == 2 and "nowhere" in err and err.count("\n") == 1


PHOTOS = ("--method", "vicreg", "--data", "photos/")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("train", *PHOTOS), "train: --out is missing: infomax train --method METHOD --data DATA --out OUT"),
        (("train", *PHOTOS, "--out"), "train: --out is given without a value"),
        (("mi", "x.npy"), "mi: Y, the second argument, is missing: infomax mi X Y"),
        (("embed", "RUN"), "embed: DATA, the second argument, is missing: infomax embed RUN DATA --out OUT"),
        (("train", "--resume"), "train: --resume takes a run's folder: infomax train --resume RUN"),
        (("train", *PHOTOS, "--out", "r", "--resume"), "--resume takes a run's folder: infomax train --resume RUN"),
        (("train", "--methd", "vicreg", "--data", "photos/"), "train has no option --methd: did you mean --method?"),
        (("train", "--methd=vicreg", "--data", "photos/"), "train has no option --methd: did you mean --method?"),
        (("train", "-n", "jmi"), "train has no option -n: infomax train --help lists them"),
        (("study", "fig2", "--budgt", "hour"), "study fig2 has no option --budgt: did you mean --budget?"),
        (
            ("train", *PHOTOS, "labelled/", "--out", "r"),
            "train: 'labelled/' is too much: infomax train --method METHOD --data DATA --out OUT",
        ),
        (("train", *PHOTOS, "labelled/"), "train: --out is missing, and 'labelled/' is too much: infomax train"),
        (("methods", "foo", "bar"), "methods: 'foo' and 'bar' are too much: infomax methods"),
        (("recipes", "a", "b"), "recipes: 'b' is too much: infomax recipes [NAME]"),
        (
            ("train", *PHOTOS, "--out", "r", "--temprature", "0.1"),
            "train has no option --temprature: infomax train --help lists them",
        ),
        (
            ("train", *PHOTOS, "--out", "r", "--temperature", "0.2"),
            "vicreg has no --temperature (dino, jmi, moco_v1, moco_v2, moco_v3, sdmi, simclr, swav, taylor_jmi have)",
        ),
        (
            ("train", *PHOTOS, "--out", "r", "--variance=2", "--momentum-end=1"),
            "vicreg has no --momentum-end (moco_v2 has)",
        ),
        (("train", *PHOTOS, "--out", "r", "--epoch=3"), "train has no option --epoch: did you mean --epochs?"),
        (("evaluate", "RUN", "--prot", "knn"), "evaluate has no option --prot: did you mean --protocols?"),
        (("train", "--config"), "--config takes a file of options, or a recipe's name (infomax recipes lists them)"),
        (
            ("train", "--config", "nothing.yaml"),
            "--config nothing.yaml: no such file (infomax recipes lists the recipes)",
        ),
        (
            ("train", "--config", "cpu/simclr-cifr10.yaml"),
            "--config cpu/simclr-cifr10.yaml: no such file; did you mean 'cpu/simclr-cifar10'? (infomax recipes lists",
        ),
        (("sweep", "nothing.yaml", "--out", "r"), "no file and no grid 'nothing.yaml': give one of: paper/sweep1-"),
        (("train", *SMALL, "--out", "r", "--devices", "0"), "devices=0: give at least 1"),
    ],
)
def test_what_cannot_be_read_is_said_in_words_of_the_command(tmp_path, capsys, monkeypatch, asked, said):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, *asked)
    assert code == 2 and said in err and err.count("\n") == 1
    assert "requires an argument" not in err and "Did you mean" not in err and not list(tmp_path.iterdir())


def test_commands_in_messages_are_as_the_user_types_them(capsys, monkeypatch):
    for depth, typed in ((None, "(infomax recipes lists"), ("1", "(uv run infomax recipes lists")):
        if depth:
            monkeypatch.setenv("UV_RUN_RECURSION_DEPTH", depth)
        assert typed in run(capsys, "train", "--config", "nothing.yaml")[2]


def test_help_is_given_though_resume_has_no_run(capsys):
    code, said, _ = run(capsys, "train", "--resume", "--help")
    assert code == 0 and "Usage: infomax train" in said


def test_no_one_is_told_to_load_what_may_run_code(tmp_path, capsys):
    text, objects = tmp_path / "README.md", tmp_path / "objects.npy"
    text.write_text("# mine\n")
    np.save(objects, np.array([{}, []], dtype=object), allow_pickle=True)
    for file, said in ((text, "it is no array file"), (objects, "it holds Python objects")):
        code, _, err = run(capsys, "mi", file, file)
        assert code == 2 and said in err and "pickle" not in err, err


def shown(capsys, *argv):
    """The help of a command, each option's on a line of its own."""
    code, said, _ = run(capsys, *argv, "--help")
    assert code == 0
    words = " ".join(re.sub(r"[│╭╮╰╯─*]|--(empty|no)-[a-z-]+", " ", said).split())
    return dict(re.findall(r"(--[a-z-]+) (.*?)(?= --[a-z][a-z-]* [A-Z]|$)", words))


def test_the_help_of_studies_names_what_may_be_named(capsys):
    for figure in ("fig2", "fig7"):
        budget = shown(capsys, "study", figure)["--budget"]
        for name, one in curves.BUDGETS.items():
            seeds = many(one.seeds, "seed")
            assert re.search(rf"{name} \([^)]*{one.data}, {one.epochs} epochs, {seeds}\)", budget), budget
    told = shown(capsys, "study", "collapse")
    assert "every method but bgrl" in told["--sentences"] and set(METHODS) == set(methods.METHODS) - {"bgrl"}
    told_of = {f"{m} without guard" for m in METHODS if m not in ("swav", "dino", "w_mse")} | set(METHODS)
    for name in set(sentences()) ^ told_of:
        assert f'"{name}"' in told["--sentences"], name
    kept = Path(__file__).parents[1].glob("results/collapse-digits*-seed*.json")
    last = max(int(path.stem.rpartition("seed")[2]) for path in kept)
    assert f"seeds 1 to 24 and 100 to {last}" in told["--first-seed"]
    assert f"the default repeats one of these; a trial of your own takes one from {last + 1} on" in told["--first-seed"]
    assert "[default: 100]" in told["--first-seed"]  # kept results whose command names no seed are of it
    assert set(re.findall(r"[a-z_0-9]+", shown(capsys, "study", "mi")["--tasks"])) >= set(TASKS)
    assert set(re.findall(r"[a-z_0-9]+", shown(capsys, "study", "table1")["--methods"])) >= set(PRINTED)
    train = shown(capsys, "train")
    assert "at least 1" in train["--epochs"] and "Not beside a budget" in train["--epochs"]
    assert "in place of epochs" in train["--budget"]


def test_import_stays_light():
    heavy = [
        "lightning_fabric",
        "torchvision",
        "sklearn",
        "matplotlib",
        "plotly",
        "torch_geometric",
        "timm",
        "cyclopts",
        "scipy",
        "PIL",
    ]
    said = subprocess.run(
        [sys.executable, "-c", "import infomax, sys; print(*{m.split('.')[0] for m in sys.modules})"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert not set(heavy) & set(said.stdout.split())


@pytest.mark.parametrize("name", sorted(methods.METHODS))
def test_every_method_has_help_for_every_option(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        raise SystemExit(main(["train", "--method", name, "--help"]))
    assert stopped.value.code == 0
    said = capsys.readouterr().out
    about = cli.described_arguments(inspect.getdoc(methods.get(name)) or "")
    for option in methods.options(name):
        assert f"--{option.replace('_', '-')}"[:20] in said
        assert about.get(option), f"{name}: {option} is not described"


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


def test_a_misspelt_command_of_a_sweep_is_named(tmp_path, capsys, monkeypatch):
    code, _, err = run(capsys, "sweep", "statu", tmp_path)
    assert code == 2 and "no command 'sweep statu': did you mean 'status'?" in err
    monkeypatch.chdir(tmp_path)
    (tmp_path / "table.yaml").touch()
    for words in (("table.yaml", "--wrokers", "3"), ("table.yaml", "more"), ("tabel", "--wrokers", "3")):
        code, _, err = run(capsys, "sweep", *words)
        assert code == 2 and "no command" not in err


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
        ("method: jmi\nlearning_rate: 1\n", ["no option 'learning_rate'", "one of: ", " lr, "]),
        ("method: jmi\ntemprature: 1\n", ["no option 'temprature'", "did you mean 'temperature'"]),
        ("method: jmi\ntemperature: warm\ndata: digits\nout: x\n", ["--temperature", "warm"]),
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


def test_a_stopped_command_says_how_to_continue_and_does(tmp_path, capsys, monkeypatch):
    out, whole = tmp_path / "run", tmp_path / "whole"
    assert run(capsys, "train", *SMALL, "--epochs", "4", "--out", whole)[0] == 0
    gauges = monitor.gauges

    def stop(a, b, **options):
        signal.raise_signal(signal.SIGTERM)
        return gauges(a, b, **options)

    monkeypatch.setattr(monitor, "gauges", stop)
    code, _, err = run(capsys, "train", *SMALL, "--epochs", "4", "--out", out)
    monkeypatch.undo()
    assert code == 128 + signal.SIGTERM
    assert err.splitlines()[-1].startswith("infomax: stopped after update 3 of 12; to continue: ")
    assert err.splitlines()[-1].endswith(f"infomax train --resume {out}")
    code, _, err = run(capsys, "train", *SMALL, "--out", out)
    assert code == 2 and "--resume" in err
    code, _, err = run(capsys, "train", "--resume", out, "--lr", "0.5", "--batch-size", "400", "--projector", "8")
    assert code == 2 and "--lr: 0.001 then, 0.5 now" in err and "batch" not in err and "projector" not in err
    same = ("--lr", "1e-3", "--intervals", "--no-online-probe", "--views", "auto", "--no-compile", "--encoder=auto")
    code, _, err = run(capsys, "train", "--resume", out, *same, "--no-intervals")
    assert code == 2 and "--intervals: true then, false now" in err
    code, said, _ = run(capsys, "train", *same, "--resume", out)
    assert code == 0 and "infomax evaluate" in said
    assert (out / "learner.safetensors").read_bytes() == (whole / "learner.safetensors").read_bytes()
    environment = json.loads((out / "environment.json").read_text())
    assert [part["step"] for part in environment["continued"]] == [3]
    code, said, _ = run(capsys, "train", "--resume", out)
    longer = f"to train longer, begin a new run from its encoder: infomax train --init {out} --out NEW"
    assert code == 0 and f"{out} had ended: nothing was done; {longer}" in said and "LABELLED" not in said
    assert "--data" not in said
    code, said, _ = run(capsys, "train", "--resume", out, "--data", tmp_path / "other")
    assert code == 0 and f"--data {tmp_path / 'other'} was not looked at" in said
    for option in ("--budget=2min", "--epochs=9"):
        code, _, err = run(capsys, "train", "--resume", out, option)
        assert code == 2 and f"now ({longer}" in err
    code, _, err = run(capsys, "train", "--resume", tmp_path / "nowhere")
    assert code == 2 and "no run" in err and err.count("\n") == 1


def test_an_option_that_came_later_may_be_repeated_as_it_was_then(monkeypatch):
    data = {"name": "digits", "root": None, "samples": 100}
    old = {"data": data, "machine": {}, "training": {}, "method": {}, "views": {"recipe": "weak"}, "encoder": {}}
    monkeypatch.setattr(resume, "read_config", lambda folder: old)
    asked = ["train", "--resume", "run", "--last-norm", "none", "--no-online-probe"]
    assert resume.resumed(asked) == ["train", "--resume", "run"]
    with pytest.raises(ConfigError, match="--last-norm: none then, batch now"):
        resume.resumed(["train", "--resume", "run", "--last-norm", "batch"])


def test_auto_beside_resume_is_what_the_data_were_left_to_then_or_refused(monkeypatch):
    for encoder, size, views, option, refused in (
        ("resnet8", 32, "auto", "views", False),
        ("resnet8", 32, "simclr", "views", True),
        ("resnet8", 32, "weak", "encoder", False),
        ("resnet18", 32, "auto", "encoder", True),
        ("mlp", 8, "auto", "encoder", False),
        ("mlp", 32, "auto", "encoder", True),
        ("gcn", 1, "auto", "encoder", False),
        ("resnet8", 32, "auto", "method", True),
        ("resnet8", 32, "auto", "optimizer", True),
        ("resnet8", 32, "auto", "precision", False),
    ):
        config = {
            "data": {"name": "digits", "root": None},
            "machine": {},
            "training": {"optimizer": "sgd", "precision": "32-true"},
        }
        config |= {"method": {"method": "jmi"}, "views": {"recipe": views}, "encoder": {"name": encoder, "size": size}}
        monkeypatch.setattr(resume, "read_config", lambda folder, config=config: config)
        asked = ["train", "--resume", "run", f"--{option}", "auto"]
        if refused:
            with pytest.raises(ConfigError, match=rf"--{option}: \w+ then, auto now"):
                resume.resumed(asked)
        else:
            assert resume.resumed(asked) == ["train", "--resume", "run"]


def test_a_batch_that_makes_one_update_an_epoch_is_said(tmp_path, capsys):
    asked = ("--method", "simclr", "--data", "digits", "--projector", "8", "--batch-size", "100000", "--epochs", "1")
    said = run(capsys, "train", *asked, "--device", "cpu", "--out", tmp_path / "run")
    assert "all there are: one update an epoch, a smaller --batch-size makes more" in said[1] + said[2]


def test_two_processes_by_torchrun_train_as_one_does(tmp_path, capsys):
    asked = [*SMALL, "--epochs", "2", "--warmup-epochs", "0", "--optimizer", "sgd", "--lr", "0.1"]
    assert run(capsys, "train", *asked, "--out", tmp_path / "one")[0] == 0
    said = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "infomax.cli", "train",
         *asked, "--out", str(tmp_path / "two")],
        capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    assert said.stdout.count("wrote") == 1
    logs = [[json.loads(row) for row in (tmp_path / n / "log.jsonl").read_text().splitlines()] for n in ("one", "two")]
    for one, two in zip(*logs, strict=True):
        assert one["bound"] == pytest.approx(two["bound"], abs=1e-5)
        assert one["effective_rank"] == pytest.approx(two["effective_rank"], rel=1e-4)
    assert json.loads((tmp_path / "two" / "environment.json").read_text())["processes"] == 2


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", *SMALL, "--epochs", "1", "--out", str(out)]) == 0
    return out


def test_a_path_that_is_not_there_names_the_one_beside_it(trained, tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    for asked in (("report", trained.parent / "rum"), ("evaluate", trained.parent / "rum")):
        code, _, err = run(capsys, *asked)
        assert code == 2 and f"does not exist; did you mean '{trained}'?" in err
    code, _, err = run(capsys, "train", "--method", "jmi", "--data", tmp_path / "fotos", "--out", tmp_path / "run")
    assert code == 2 and f"fotos': did you mean '{tmp_path / 'photos'}'? (one of: cifar10" in err
    code, _, err = run(capsys, "evaluate", tmp_path / "zzz" / "run")
    assert code == 2 and err.rstrip().endswith("it does not exist")


def test_labelled_data_given_without_data_is_said_before_a_run_is_evaluated(trained, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("labelled").mkdir()
    for asked in ("labelled/", "cifar10"):
        code, _, err = run(capsys, "evaluate", trained, asked)
        assert code == 2 and err == f"infomax: {asked} is no run: did you mean --data {asked}?\n"
    code, _, err = run(capsys, "evaluate", trained, "nowhere")
    assert code == 2 and "nowhere is no run: it does not exist" in err


def test_a_folder_that_is_taken_is_said_before_data_are_read(trained, capsys):
    code, _, err = run(capsys, "train", "--method", "jmi", "--data", "nowhere", "--out", trained)
    assert code == 2 and "nothing is overwritten" in err and "nowhere" not in err


@pytest.mark.parametrize("place", ["file/run", "/proc/run", "/proc/some/run"])
def test_a_place_that_cannot_be_written_is_said_before_data_are_read(tmp_path, capsys, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    code, _, err = run(capsys, "train", "--method", "jmi", "--data", "nowhere", "--out", place)
    assert code == 2 and f"infomax: {place}: nothing can be written in {Path(place).parts[0]}" in err
    assert "nowhere" not in err and err.count("\n") == 1


def test_a_place_behind_a_folder_that_is_closed_is_said_as_such(tmp_path, monkeypatch):
    exists = Path.exists

    def refuses(path, **options):  # as Python before 3.14 does of what it may not look at
        if "closed" in path.parts[:-1]:
            raise PermissionError(errno.EACCES, "Permission denied")
        return exists(path, **options)

    monkeypatch.setattr(Path, "exists", refuses)
    with pytest.raises(
        DataError, match=r"closed/run: nothing can be written in .*\(Permission denied\): choose another"
    ):
        unclaimed(tmp_path / "closed" / "run")


def test_a_page_replaces_pages_and_nothing_else(trained, tmp_path, capsys):
    mine = tmp_path / "README.md"
    mine.write_text("mine")
    code, _, err = run(capsys, "report", trained, "--out", mine)
    assert code == 2 and "nothing is overwritten" in err and mine.read_text() == "mine"
    page = tmp_path / "page.html"
    assert run(capsys, "report", trained, "--out", page)[0] == 0
    assert run(capsys, "report", trained, "--out", page)[0] == 0


def test_a_report_needs_no_data_for_its_curves(trained, tmp_path, capsys):
    moved = tmp_path / "moved"
    shutil.copytree(trained, moved)
    config = json.loads((moved / "config.json").read_text())
    config["data"] |= {"name": "gone/", "source": str(tmp_path / "gone")}
    (moved / "config.json").write_text(json.dumps(config))
    code, _, err = run(capsys, "report", moved)
    page = (moved / "report.html").read_text()
    assert code == 0 and "gone" in err and "Curves" in page and "no data set and no file" in page


@pytest.mark.parametrize("data", ["gaussians", "wide.npy"])
def test_data_of_another_kind_are_refused_before_anything_is_encoded(trained, tmp_path, capsys, data):
    np.save(tmp_path / "wide.npy", np.zeros((20, 8, 8, 3), np.uint8))
    np.savez(tmp_path / "wide.npz", images=np.zeros((20, 8, 8, 3), np.uint8), labels=np.arange(20) % 2)
    code, _, err = run(capsys, "probe", trained, "--data", data if data == "gaussians" else tmp_path / "wide.npz")
    assert code == 2 and "an encoder trained on 'digits' cannot take" in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("config.json", b'{"method":', "config.json is damaged"),
        ("config.json", b"{}", "it lacks method"),
        ("log.jsonl", b'{"epoch": 1}\n{"epo\n', "line 2 is damaged"),
        ("learner.safetensors", b"\x10\x00", "learner.safetensors is damaged"),
    ],
)
def test_a_damaged_folder_is_one_clear_line(trained, tmp_path, capsys, file, content, expected):
    broken = tmp_path / "broken"
    shutil.copytree(trained, broken)
    (broken / file).write_bytes(content)
    code, _, err = run(capsys, "probe", broken)
    assert code == 2 and expected in err and err.count("\n") == 1


def test_weights_of_another_architecture_are_named(trained, tmp_path, capsys):
    other, mixed = tmp_path / "other", tmp_path / "mixed"
    wider = ["16" if a == "8" else a for a in SMALL]
    assert run(capsys, "train", *wider, "--epochs", "1", "--out", other)[0] == 0
    shutil.copytree(trained, mixed)
    shutil.copy(other / "learner.safetensors", mixed)
    code, _, err = run(capsys, "probe", mixed)
    assert code == 2 and "(16, 256) there and (8, 256) here" in err and err.count("\n") == 1


def test_what_was_found_is_said_before_training(trained, tmp_path, capsys):
    code, said, _ = run(capsys, "train", "--method", "jmi", "--projector", "8", "--data", "digits", "--epochs", "1",
                        "--batch-size", "2000", "--out", tmp_path / "run")  # fmt: skip
    assert code == 0 and "1,442 images, views of 8 px, 10 classes (not used)" in said and "batches of 1442" in said


def test_classes_that_are_looked_at_are_not_called_unused(tmp_path, capsys):
    for option in ("--online-probe", "--online-knn"):
        code, said, _ = run(capsys, "train", *SMALL, "--epochs", "1", "--out", tmp_path / option, option)
        assert code == 0 and "8 px, 10 classes; jmi" in said


def test_one_is_counted_as_one(tmp_path, capsys):
    np.savez(tmp_path / "one.npz", images=np.zeros((1, 8, 8, 3), np.uint8), labels=[0], classes=["cat"])
    asked = ["train", "--method", "jmi", "--data", tmp_path / "one.npz", "--out", tmp_path / "run"]
    assert ": 1 image, views of 8 px, 1 class (not used); " in run(capsys, *asked)[1]
    np.save(tmp_path / "row.npy", np.zeros((1, 5), np.float32))
    assert ": 1 sample; " in run(capsys, *asked[:4], tmp_path / "row.npy", *asked[5:])[1]


def test_mi_between_two_runs(trained, capsys):
    asked = ["mi", trained, trained, "--samples", "200", "--json", "--layer", "f"]
    code, out, _ = run(capsys, *asked, "--method", "gaussian")
    found = json.loads(out)
    assert code == 0 and (found["n"], found["dims"]) == (200, [8, 8])
    code, out, _ = run(capsys, *asked, "--tau", "0.1")
    fixed = json.loads(out)["readings"]
    # f on two views, as the gauges of training see them
    read = Run.load(trained)
    made = view_function(read_data := dataset("digits"), read.config["views"]["recipe"], 8)
    a, b = two_sides(read.learner, Feed(read_data, made, 200, read.config["training"]["seed"]).fixed(200))
    metric = MIMetric("cosine", tau=0.1)
    metric.update(a, b)
    assert code == 0 and fixed["dv"]["n"] == 200
    assert fixed["dv"]["value"] == pytest.approx(metric.compute()["dv"].value, abs=1e-4)
    _, out, _ = run(capsys, *asked, "--tau", "0.1", "--layer-b", "projector.0")
    assert json.loads(out)["readings"]["dv"]["n"] == 200


def test_mi_of_runs_says_what_is_wrong(trained, tmp_path, capsys):
    np.save(tmp_path / "x.npy", np.zeros((10, 2)))
    np.save(tmp_path / "hole.npy", np.array([[np.nan] + [0.0] * 19]).reshape(10, 2))
    np.save(tmp_path / "turn.npy", np.full((10, 2), 1j))
    for asked, words in (
        ((trained, tmp_path / "x.npy"), ["one is a folder", "two runs"]),
        ((trained, trained, "--layer", "featurs"), ["no layer 'featurs'", "did you mean 'features'"]),
        ((tmp_path / "x.npy", tmp_path / "x.npy", "--layer", "f"), ["--layer", "are files"]),
        ((trained, trained, "--samples", "2"), ["samples=2", "at least 3"]),
        ((trained, trained, "--samples", "0"), ["samples=0", "at least 3"]),
        ((tmp_path / "hole.npy", tmp_path / "x.npy", "--tau", "0.1"), ["x: 1 of 20 entries are NaN"]),
        ((tmp_path / "turn.npy", tmp_path / "x.npy", "--tau", "0.1"), ["real numbers"]),
        ((tmp_path / "x.npy", tmp_path / "x.npy", "--tau", "0.1", "--method", "ksg"), ["--method", "--tau"]),
    ):
        code, _, err = run(capsys, "mi", *asked)
        assert code == 2 and all(word in err for word in words), err
