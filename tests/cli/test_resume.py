import json
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tests.cli.command import SMALL, run

import infomax as im
from infomax import cli
from infomax.cli import resume
from infomax.cli.said import ended
from infomax.errors import ConfigError
from infomax.training import checkpoint
from infomax.training.folder import LOCK
from infomax.training.run import Run
from infomax.training.watch import monitor


@pytest.mark.parametrize("at", ["infomax.training.defaults.dataset", "infomax.training.loop.Loop.run"])
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
    assert resume.goes_on(out) == f"{out}: its last checkpoint is of update 3, 1 of 4 epochs done"
    (out / LOCK).touch()
    (last,) = [path for path in checkpoint.written(out) if checkpoint.step_of(path) == 3]
    os.utime(last, (time.time() - 600,) * 2)
    config = json.loads((out / "config.json").read_text())
    config["machine"]["wandb"] = "mine"
    (out / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr("infomax.training.wandb.installed", lambda _: False)
    code, _, err = run(capsys, "train", *same, "--resume", out)
    assert code == 2 and "wandb='mine': the package is not installed" in err and "--wandb none" in err
    code, said, _ = run(
        capsys, "train", *same, "--resume", out, "--checkpoint-every", "1", "--keep", "4", "--wandb", "none"
    )
    assert code == 0 and "infomax evaluate" in said and len(checkpoint.written(out)) == 4
    lost = "it was killed, and what came since, 10 min ago, is lost"
    assert said.splitlines()[0] == f"{out}: its last checkpoint is of update 3, 1 of 4 epochs done; {lost}"
    assert (out / "learner.safetensors").read_bytes() == (whole / "learner.safetensors").read_bytes()
    environment = json.loads((out / "environment.json").read_text())
    assert [part["step"] for part in environment["continued"]] == [3]
    code, said, _ = run(capsys, "train", "--resume", out)
    longer = f"to train longer, begin a new run from its encoder: infomax train --init {out} --out NEW"
    assert code == 0 and f"{out} had ended: nothing was done; {longer}" in said and "LABELLED" not in said
    assert "goes on" not in said
    assert "--data" not in said
    code, said, _ = run(capsys, "train", "--resume", out, "--data", tmp_path / "other")
    assert code == 0 and f"--data {tmp_path / 'other'} was not looked at" in said
    for option in ("--budget=2min", "--epochs=9"):
        code, _, err = run(capsys, "train", "--resume", out, option)
        assert code == 2 and f"now ({longer}" in err
    code, _, err = run(capsys, "train", "--resume", tmp_path / "nowhere")
    assert code == 2 and "no run" in err and err.count("\n") == 1


def test_a_run_for_a_time_says_how_much_of_it_is_left(tmp_path, monkeypatch):
    position = checkpoint.Position(step=111, spent=42.0, foreseen=330)
    learner = im.methods.jmi(torch.nn.Linear(2, 2), projector=())
    checkpoint.save(tmp_path, learner, torch.optim.SGD(learner.parameters()), position, {}, {})
    monkeypatch.setattr(resume, "read_config", lambda folder: {"training": {"budget": "2min"}})
    assert (
        resume.goes_on(tmp_path) == f"{tmp_path}: its last checkpoint is of update 111 of about 330, 78 s of 2min left"
    )
    (tmp_path / "checkpoints" / "000000112.safetensors").write_bytes(b"half")
    assert "of update 111 of" in resume.goes_on(tmp_path)
    assert resume.goes_on(tmp_path / "nowhere") == ""


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


@pytest.mark.parametrize(("typed", "meant"), [("--devce", "--device"), ("--confg", "--config")])
def test_an_option_beside_resume_that_no_run_has_is_told_the_nearest(monkeypatch, capsys, typed, meant):
    config = {part: {} for part in ("machine", "training", "method", "encoder")}
    config |= {"data": {"name": "digits", "root": None}, "views": {"recipe": "auto"}}
    monkeypatch.setattr(resume, "read_config", lambda folder: config)
    code, _, err = run(capsys, "train", "--resume", "run", typed, "cpu")
    assert (code, err) == (2, f"infomax: train has no option {typed}: did you mean {meant}?\n")
    with pytest.raises(ConfigError, match="--epochs: nothing then, 3 now"):
        resume.resumed(["train", "--resume", "run", "--epochs", "3"])


@pytest.mark.parametrize("read_back", [False, True])
@pytest.mark.parametrize("labels", ["hash", None])
@pytest.mark.parametrize("kind", ["images", "signals"])
def test_what_judges_a_run_is_said_alike_when_it_ends_and_when_it_had_ended(capsys, read_back, labels, kind):
    row = {"epoch": 1, "mi_infonce": 1.0, "ceiling_infonce": 6.0, "bound": 1.0, "effective_rank": 9.0, "std": 0.9}
    has = {"history": [row], "watched": {}, "updates": 3, "data": None if read_back else "photos"}
    config = {"data": {"content": {"labels": labels}, "kind": kind}, "views": {"size": None}}
    ended(SimpleNamespace(learner=SimpleNamespace(name="jmi"), config=config, size=None, **has), "runs/a")
    said = capsys.readouterr().out.replace("uv run ", "").splitlines()
    if labels is None:
        how = "one folder a class" if kind == "images" else "an .npz of x and labels"
        assert said[-1] == f"with labelled data, {how}: infomax evaluate runs/a --data LABELLED"
        assert said[-2].endswith("next: infomax report runs/a")
    else:
        judged = "infomax evaluate runs/a"
        assert said[-1].endswith(f"next: {judged}, or infomax report runs/a" if read_back else f"next: {judged}")


def said_at_the_end(capsys, best=1.0, data="photos"):
    row = {
        "epoch": 1,
        "mi_infonce": min(best, 1.0),
        "ceiling_infonce": 6.0,
        "bound": 1.0,
        "effective_rank": 9.0,
        "std": 0.9,
    }
    watched = {"said": None, "suspicious": 0, "phases": {"0": {"rank": 10.0, "best": best}}}
    config = {"data": {"content": {"labels": "hash"}, "kind": "rows"}, "views": {"size": None}}
    has = {"history": [row], "watched": watched, "updates": 3, "data": data, "config": config, "size": None}
    ended(SimpleNamespace(learner=SimpleNamespace(name="jmi"), **has), "runs/a")
    return capsys.readouterr().out.replace("uv run ", "").splitlines()


def test_the_end_of_a_run_says_that_hardly_any_information_is_read(capsys):
    clause = ": no sign of collapse, but hardly any information read between the views"
    assert said_at_the_end(capsys, best=0.1)[0].endswith(f"std 0.90{clause}")
    assert said_at_the_end(capsys)[0].endswith("std 0.90")


def test_a_run_on_one_class_is_not_told_to_evaluate_on_it(capsys):
    said = said_at_the_end(capsys, data=SimpleNamespace(labels=torch.zeros(9)))
    assert said[-2] == "wrote runs/a; next: infomax report runs/a"
    assert said[-1].startswith("all its labels are one, and an accuracy needs two classes; with labelled data, an .npz")
    assert said[-1].endswith(": infomax evaluate runs/a --data LABELLED")
    assert said_at_the_end(capsys, data=SimpleNamespace(labels=torch.arange(9)))[-1].endswith("evaluate runs/a")
