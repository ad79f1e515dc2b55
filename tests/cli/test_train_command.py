import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from tests.cli.command import SMALL, run

from infomax.cli.said import by_folder
from infomax.data import Dataset
from infomax.training.run import Run
from infomax.training.watch.state import LITTLE


def test_train_probe_report(tmp_path, capsys):
    out = tmp_path / "run"
    code, said, _ = run(
        capsys, "train", "--method", "sdmi", "--temperature", "0.2", "--projector", "32-16", "--data", "digits",
        "--epochs", "2", "--out", out,
    )  # fmt: skip
    assert code == 0 and "infomax evaluate" in said
    ended = r"^sdmi after 2 epochs \(20 updates\): bound .*; of fixed samples InfoNCE .*, effective rank \d+\.\d, std \d\.\d\d"
    assert re.search(f"{ended}: {LITTLE}$", said, re.MULTILINE)  # of so few updates: they have taught it little
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
    monkeypatch.setattr("infomax.training.watch.state.few", lambda start: start)
    code, said, _ = run(capsys, *asked)
    (last,) = re.findall(r"^jmi after 2 epochs .*, std \d\.\d\d: few directions left$", said, re.MULTILINE)
    assert code == 0
    assert json.loads((out / "watch.json").read_text())["state"] == "few directions left"
    code, said, _ = run(capsys, "report", out)
    assert code == 0 and "<strong>few directions left</strong>" in (out / "report.html").read_text()
    code, said, _ = run(capsys, "train", "--resume", out)  # which had ended, so that it is read back
    assert code == 0 and said.splitlines()[0] == re.sub(r" \(\d+ updates\)", "", last)
    read = Run.load(out)
    end = last.partition(", effective")[2]
    assert str(read).endswith(f", effective{end}, in {out}") and repr(read) == f"<Run: {read}>"
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
    assert code == 0 and "The log ends within an epoch, after 2.4. Loss and bound are means" in text
    assert "After 2.4 epochs (1h): InfoNCE" in text


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


def test_a_batch_that_makes_one_update_an_epoch_is_said(tmp_path, capsys):
    asked = ("--method", "simclr", "--data", "digits", "--projector", "8", "--batch-size", "100000", "--epochs", "1")
    said = run(capsys, "train", *asked, "--device", "cpu", "--out", tmp_path / "run")
    assert "all there are: one update an epoch, a smaller --batch-size makes more" in said[1] + said[2]
    assert (said[1] + said[2]).count("all there are") == 1


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


def test_what_was_found_is_said_before_training(trained, tmp_path, capsys):
    code, said, _ = run(capsys, "train", "--method", "jmi", "--projector", "8", "--data", "digits", "--epochs", "1",
                        "--batch-size", "2000", "--out", tmp_path / "run")  # fmt: skip
    assert code == 0 and "1,442 images, views of 8 px, 10 classes (not used)" in said and "batches of 1442" in said


def test_folders_that_count_as_classes_are_named_and_no_judge_by_themselves(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for folder in ("2024", "2025"):
        (tmp_path / "photos" / folder).mkdir(parents=True)
        for k in range(9):
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(tmp_path / "photos" / folder / f"{k}.png")
    asked = ["train", "--method", "jmi", "--projector", "8", "--data", tmp_path / "photos", "--epochs", "1"]
    code, said, _ = run(capsys, *asked, "--batch-size", "8", "--out", tmp_path / "run")
    assert code == 0 and ", 2 folders as classes: 2024, 2025 (not used); " in said
    assert "2 batches of 8 in each pass over the data (2 samples left out, others each time): a smaller" in said
    assert (
        f"its folders count as classes there; with other labelled data: infomax evaluate {tmp_path / 'run'} --data"
        in said
    )
    code, said, _ = run(capsys, "train", *SMALL, "--epochs", "1", "--out", tmp_path / "digits")
    assert code == 0 and "folders count as" not in said and "folders as" not in said


def test_classes_whose_names_no_folder_could_have_are_no_folders(tmp_path):
    (tmp_path / "a").mkdir()
    labelled = Dataset(
        torch.zeros(4, 3), np.array(["a" * 300, "b"] * 2)
    )  # such as captions beside pictures in a parquet file
    assert not by_folder(labelled, str(tmp_path)) and by_folder(Dataset(torch.zeros(2, 3), ["a"] * 2), str(tmp_path))


def test_classes_that_are_looked_at_are_not_called_unused(tmp_path, capsys):
    for option in ("--online-probe", "--online-knn"):
        code, said, _ = run(capsys, "train", *SMALL, "--epochs", "1", "--out", tmp_path / option, option)
        assert code == 0 and "8 px, 10 classes; jmi" in said


def test_one_is_counted_as_one(tmp_path, capsys):
    np.savez(tmp_path / "one.npz", images=np.zeros((1, 8, 8, 3), np.uint8), labels=[0], classes=["cat"])
    asked = ["train", "--method", "jmi", "--data", tmp_path / "one.npz", "--out", tmp_path / "run"]
    assert ": 1 image, views of 8 px, 1 class (not used); " in run(capsys, *asked)[1]
    np.save(tmp_path / "row.npy", np.zeros((1, 5), np.float32))
    said = run(capsys, *asked[:4], tmp_path / "row.npy", *asked[5:])[1]
    assert ": 1 sample; " in said and "--batch-size" not in said


def test_labels_without_names_are_counted(tmp_path, capsys):
    np.savez(tmp_path / "x.npz", images=np.zeros((1, 8, 8, 3), np.uint8), labels=[3])
    np.savez(tmp_path / "y.npz", images=np.arange(192 * 4, dtype=np.uint8).reshape(4, 8, 8, 3), labels=[3, 1, 7, 3])
    for name, said in (("x", "8 px, 1 class (not used); "), ("y", "8 px, 3 classes (not used); ")):
        asked = ["train", "--method", "jmi", "--data", tmp_path / f"{name}.npz", "--epochs", "1"]
        assert said in run(capsys, *asked, "--out", tmp_path / name)[1]
