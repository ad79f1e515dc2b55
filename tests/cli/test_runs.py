import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.cli.command import SMALL, run

from infomax.mi import MIMetric
from infomax.training.defaults import dataset, view_function
from infomax.training.feed import Feed
from infomax.training.run import Run
from infomax.training.watch.monitor import two_sides


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


def test_an_encoder_is_exported_and_never_over_a_file(trained, tmp_path, capsys):
    out = tmp_path / "encoder.safetensors"
    code, said, _ = run(capsys, "export", trained, "--out", out)
    assert code == 0 and said.splitlines() == [
        f"wrote {out}: weights; images in [0, 1], resized to 8 x 8; mean and std in its metadata",
        said.splitlines()[1],
    ]
    assert said.splitlines()[1].startswith("largest difference from the encoder: 0.0e+00, of features up to ")
    code, _, err = run(capsys, "export", trained, "--out", out)
    assert code == 2 and err == f"infomax: {out} exists: nothing is overwritten; name another file\n"
    code, _, err = run(capsys, "export", tmp_path / "nowhere", "--out", tmp_path / "encoder.pt2")
    assert code == 2 and "nowhere is no run" in err
    code, _, err = run(capsys, "export", trained, "--out", tmp_path / "encoder.pt2", "--encoder", "g")
    assert code == 2 and err == "infomax: jmi has one encoder, f: leave encoder='g' out (--encoder g)\n"
