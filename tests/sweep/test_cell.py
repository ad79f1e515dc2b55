import io
import json
import os
import re
import signal
import tarfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from infomax import cli
from infomax.data import load
from infomax.errors import ConfigError, DataError
from infomax.evaluate import linear_probe
from infomax.evaluate.splits import splits
from infomax.sweep import Cell, Folder, read, run, settings, varied
from infomax.sweep.cell import _Split, complete, record
from infomax.training import loop
from infomax.training.configured import configured
from infomax.training.interrupt import Stopped

FIXED = {"method": "jmi", "data": "gaussians", "projector": "8", "batch_size": 500, "epochs": 2}


def begun(path, *cells, **evaluate):
    folder = Folder(path)
    folder.begin(cells, {"data": None, "metric": "linear", "goal": "max", **evaluate})
    return folder


def test_a_cell_is_what_train_makes_of_the_same_options(tmp_path, capsys):
    cell = Cell.of(FIXED)
    folder = begun(tmp_path / "sweep", cell)
    complete(folder.path, cell.name)
    tokens = [cli.options.as_token(k, v) for k, v in FIXED.items()]
    assert cli.main(["train", *tokens, "--out", str(tmp_path / "run")]) == 0
    mine, theirs = (load_file(p / "learner.safetensors") for p in (folder.cell(cell.name), tmp_path / "run"))
    assert mine.keys() == theirs.keys() and all(torch.equal(mine[k], theirs[k]) for k in mine)
    configs = [json.loads((p / "config.json").read_text()) for p in (folder.cell(cell.name), tmp_path / "run")]
    assert configs[0] == configs[1]
    (row,) = folder.rows()
    assert f"({row.held} of " in folder.result(cell.name)["protocol"] and row.skipped == {cell.options["data"]: 0}


def test_a_cell_begins_with_the_weights_that_it_is_asked_to(tmp_path):
    first = Cell.of(FIXED)
    folder = begun(tmp_path / "sweep", first)
    complete(folder.path, first.name)
    second = Cell.of({**FIXED, "init": str(folder.cell(first.name)), "lr": 0.0, "warmup_epochs": 0})
    folder = begun(tmp_path / "more", second)
    complete(folder.path, second.name)
    mine, theirs = (
        {n: t for n, t in load_file(place / "learner.safetensors").items() if n.endswith("encoder.layers.0.weight")}
        for place in (folder.cell(second.name), tmp_path / "sweep" / "cells" / first.name)
    )
    assert mine and all(torch.equal(t, theirs[n]) for n, t in mine.items())


def test_a_finished_cell_is_left_alone_and_judged_again_only_on_other_data(tmp_path):
    cell = Cell.of(FIXED)
    folder = begun(tmp_path, cell)
    complete(tmp_path, cell.name)
    weights = folder.cell(cell.name) / "learner.safetensors"
    result = folder.cell(cell.name) / "result.json"
    first = weights.stat().st_mtime_ns, result.stat().st_mtime_ns
    complete(tmp_path, cell.name)
    assert (weights.stat().st_mtime_ns, result.stat().st_mtime_ns) == first

    x = load("gaussians")
    np.savez(tmp_path / "other.npz", x=x.images.numpy()[::2], y=x.labels.numpy()[::2])
    begun(tmp_path, data=str(tmp_path / "other.npz"))
    assert folder.rows()[0].state == "begun"
    complete(tmp_path, cell.name)
    assert folder.rows()[0].state == "finished"
    assert weights.stat().st_mtime_ns == first[0] and result.stat().st_mtime_ns > first[1]


def test_a_failed_cell_says_why_and_is_run_again_only_when_asked(tmp_path):
    cell = Cell({**Cell.of(FIXED).options, "temperature": -1.0})
    folder = begun(tmp_path, cell)
    complete(tmp_path, cell.name)
    (row,) = folder.rows()
    assert row.state == "failed" and row.error == "a temperature must be > 0, not -1.0"
    error = folder.cell(cell.name) / "error.json"
    assert "critic.py" in json.loads(error.read_text())["traceback"]
    before = error.stat().st_mtime_ns
    complete(tmp_path, cell.name)
    assert error.stat().st_mtime_ns == before
    complete(tmp_path, cell.name, retry=True)
    assert error.stat().st_mtime_ns > before


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"evaluate": '])
def test_a_cell_whose_result_or_error_is_damaged_is_not_ended_and_goes_on(tmp_path, capsys, content):
    cells = [Cell.of({**FIXED, "epochs": 1, "seed": seed}) for seed in (0, 1)]
    folder = begun(tmp_path, *cells)
    for cell in cells:
        complete(tmp_path, cell.name)
    files = [folder.cell(cell.name) / file for cell, file in zip(cells, ("result.json", "error.json"), strict=True)]
    whole = files[0].read_text()
    (folder.cell(cells[1].name) / "result.json").unlink()
    for file in files:
        file.write_text(content)
    assert cli.main(["sweep", "status", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert "2 cells: 2 begun" in said.out
    for file in files:
        assert said.err.count(f"warning: {file} is damaged: ") == 1
    for cell in cells:
        with pytest.warns(UserWarning, match="is damaged"):
            complete(tmp_path, cell.name)
    assert [row.state for row in folder.rows()] == ["finished"] * 2
    assert json.loads(whole)["metrics"] == folder.result(cells[0].name)["metrics"]


def test_a_failed_cell_that_is_begun_again_while_it_is_asked_for_has_a_row(tmp_path, monkeypatch):
    cell = Cell.of(FIXED)
    folder = begun(tmp_path, cell)
    record(folder.cell(cell.name), ValueError("it failed"))
    state = Folder.state

    def retried(self, *asked):
        found = state(self, *asked)
        (folder.cell(cell.name) / "error.json").unlink(missing_ok=True)
        return found

    monkeypatch.setattr(Folder, "state", retried)
    (row,) = folder.rows()
    assert (row.state, row.error) == ("waiting", "")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_cell_resumes_to_the_same_weights(tmp_path, sent):
    cell = Cell.of({**FIXED, "epochs": 12})
    whole, stopped = begun(tmp_path / "whole", cell), begun(tmp_path / "stopped", cell)
    complete(whole.path, cell.name)

    def stop():
        while not (stopped.cell(cell.name) / "log.jsonl").is_file():
            time.sleep(0.002)
        os.kill(os.getpid(), sent)

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(Stopped):
        complete(stopped.path, cell.name)
    thread.join()
    (row,) = stopped.rows()
    assert row.state == "begun" and 1 <= row.epochs < 12
    complete(stopped.path, cell.name)
    a, b = (load_file(f.cell(cell.name) / "learner.safetensors") for f in (whole, stopped))
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert whole.result(cell.name)["metrics"] == stopped.result(cell.name)["metrics"]


def test_a_stopped_cell_goes_on_with_data_at_the_root_that_is_asked_for_now(tmp_path):
    (tmp_path / "a").mkdir()
    source = np.random.default_rng(0)
    for part, n in (("train", 40), ("t10k", 20)):
        for kind, x in (("images-idx3", source.integers(0, 256, (n, 28, 28))), ("labels-idx1", np.arange(n) % 2)):
            head = bytes([0, 0, 8, x.ndim]) + b"".join(length.to_bytes(4, "big") for length in x.shape)
            (tmp_path / "a" / f"{part}-{kind}-ubyte").write_bytes(head + x.astype(np.uint8).tobytes())
    fixed = {
        "method": "jmi",
        "data": "fashion-mnist",
        "encoder": "mlp",
        "projector": "8",
        "batch_size": 40,
        "epochs": 9,
        "checkpoint_every": 2,
    }
    cell, moved = (Cell.of({**fixed, "root": str(tmp_path / name)}) for name in "ab")
    folder = begun(tmp_path / "sweep", cell)
    with pytest.MonkeyPatch.context() as patched:
        save = loop.checkpoint.save
        patched.setattr(loop.checkpoint, "save", lambda *a, **k: (save(*a, **k), signal.raise_signal(signal.SIGTERM)))
        with pytest.raises(Stopped):
            complete(folder.path, cell.name)
    assert folder.rows()[0].state == "begun"
    (tmp_path / "a").rename(tmp_path / "b")
    begun(folder.path, moved)
    complete(folder.path, cell.name)
    (row,) = folder.rows()
    assert (row.state, row.error) == ("finished", "")


def test_a_cell_that_is_stopped_with_its_last_update_is_finished(tmp_path, monkeypatch):
    cell = Cell.of({**FIXED, "epochs": 1})
    folder = begun(tmp_path, cell)
    close = loop.Beside.close
    monkeypatch.setattr(loop.Beside, "close", lambda self: (close(self), signal.raise_signal(signal.SIGTERM)))
    complete(tmp_path, cell.name)
    assert folder.rows()[0].state == "finished"


def test_what_died_before_its_first_checkpoint_begins_anew(tmp_path):
    cell = Cell.of({**FIXED, "epochs": 1})
    folder = begun(tmp_path, cell)
    folder.cell(cell.name).mkdir(parents=True)
    (folder.cell(cell.name) / "config.json").write_text("{}")
    complete(tmp_path, cell.name)
    assert folder.rows()[0].state == "finished"


def test_two_that_run_one_cell_take_turns(tmp_path):
    cell = Cell.of({**FIXED, "epochs": 1})
    folder = begun(tmp_path, cell)
    with folder.lock(cell.name):
        assert folder.rows()[0].state == "running"
        second = threading.Thread(target=complete, args=(tmp_path, cell.name))
        second.start()
        time.sleep(0.2)
        assert second.is_alive() and not folder.cell(cell.name).exists()
    second.join()
    assert folder.rows()[0].state == "finished"


def test_the_rows_to_choose_by_are_never_test_rows(tmp_path):
    data = load("gaussians")
    np.savez(tmp_path / "whole.npz", x=data.images.numpy(), y=data.labels.numpy())
    options = {**Cell.of(FIXED).options, "data": str(tmp_path / "whole.npz")}
    split = _Split.of(options, {"data": None, "metric": "linear"})
    whole = load(tmp_path / "whole.npz")
    _, test, _ = splits(whole, None)  # what `infomax probe` tests on, for data without a test split
    mine = torch.cat([split.fit, split.held])
    assert not set(mine.tolist()) & set(test.tolist()) and len(mine) + len(test) == len(whole) == 2500
    assert len(split.held) == 400 and not set(split.fit.tolist()) & set(split.held.tolist())
    known = _Split.of(Cell.of(FIXED).options, {"data": None, "metric": "linear"})  # a set with a test split of its own
    assert len(known.fit) + len(known.held) == len(data)
    np.savez(tmp_path / "bare.npz", x_train=whole.images.numpy(), y_train=whole.labels.numpy(), x_test=np.zeros((9, 2)))
    split = _Split.of({**options, "data": str(tmp_path / "bare.npz")}, {"data": None, "metric": "linear"})
    assert torch.equal(torch.cat([split.fit, split.held]).sort().values, mine.sort().values)


def test_rules_and_on_error_reach_the_run(tmp_path):
    rules = {"bias": {"weight_decay": 0}}
    cell = Cell.of({**FIXED, "epochs": 1, "rules": rules})
    folder = begun(tmp_path / "sweep", cell)
    complete(folder.path, cell.name)
    (row,) = folder.rows()
    assert row.state == "finished", row.error
    assert json.loads((folder.cell(cell.name) / "config.json").read_text())["training"]["rules"] == rules

    images = tmp_path / "photos"
    images.mkdir()
    for n in range(4):
        Image.new("RGB", (16, 16), (n, 0, 0)).save(images / f"{n}.png")
    (images / "cut.png").write_bytes((images / "0.png").read_bytes()[:40])
    options = {"method": "jmi", "data": str(images), "encoder": "mlp", "epochs": 1, "on_error": "stop"}
    skips = begun(tmp_path / "skips", Cell.of(options | {"on_error": "skip"}), metric="effective_rank")
    with pytest.warns(UserWarning, match="1 file could not be read"):
        complete(skips.path, next(iter(skips.read()["cells"])))
    assert [(row.state, row.skipped, row.held) for row in skips.rows()] == [("finished", {str(images): 1}, None)]

    cell = Cell.of(options)
    folder = begun(tmp_path / "stops", cell, metric="effective_rank")
    complete(folder.path, cell.name)
    (row,) = folder.rows()
    assert row.state == "failed" and "cut.png: cannot be decoded" in row.error


@pytest.mark.filterwarnings("ignore:.*1 sample could not be decoded")
def test_a_sample_that_another_stands_in_for_is_not_judged_on(tmp_path, monkeypatch):
    monkeypatch.setenv("INFOMAX_DATA", str(tmp_path / "root"))
    (tmp_path / "tars").mkdir()
    with tarfile.open(tmp_path / "tars" / "part.tar", "w") as tar:
        for n in range(40):
            image = io.BytesIO()
            Image.new("RGB", (8, 8), (5 * n, 0, 0)).save(image, "PNG")
            content = b"no image" if n == 10 else image.getvalue()
            for ending, part in (("png", content), ("cls", str(n % 2).encode())):
                member = tarfile.TarInfo(f"{n:02}.{ending}")
                member.size = len(part)
                tar.addfile(member, io.BytesIO(part))
    options = {"method": "jmi", "data": str(tmp_path / "tars"), "encoder": "mlp", "epochs": 1, "batch_size": 10}
    cell = Cell.of(options)
    folder = begun(tmp_path / "sweep", cell)
    seen = []

    def probe(*rows, seed):
        seen.append([len(part) for part in rows])
        return linear_probe(*rows, seed=seed)

    monkeypatch.setattr("infomax.evaluate.protocols.linear_probe", probe)
    complete(folder.path, cell.name)
    split = _Split.of(cell.options, {"data": None, "metric": "linear"})
    fit, held = len(split.fit) - (10 in split.fit), len(split.held) - (10 in split.held)
    assert folder.rows()[0].state == "finished", folder.rows()[0].error
    assert seen == [[fit, fit, held, held]] and fit + held == len(split.fit) + len(split.held) - 1


def test_a_cell_keeps_the_size_at_which_whole_images_were_judged(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "x.npz", images=rng.integers(0, 255, (40, 16, 16, 1), dtype=np.uint8), labels=np.arange(40) % 2)
    options = {"method": "jmi", "data": str(tmp_path / "x.npz"), "encoder": "resnet8", "batch_size": 20, "epochs": 1}
    cells = [Cell.of({**options, "size": 8, "views": views}) for views in ("simclr", "none")]
    points = Cell.of({**FIXED, "epochs": 1})
    folder = begun(tmp_path / "sweep", *cells, points)
    for cell in (*cells, points):
        complete(folder.path, cell.name)
    assert [folder.result(cell.name)["size"] for cell in cells] == [16, 8]
    assert "size" not in folder.result(points.name)
    assert [row.size for row in folder.rows()] == [16, 8, None]


def test_of_a_graph_the_validation_nodes_choose(tmp_path):
    cell = Cell.of({"method": "bgrl", "data": "sbm", "epochs": 1})
    folder = begun(tmp_path, cell)
    split = _Split.of(cell.options, {"data": None, "metric": "linear"})
    graph = load("sbm")
    assert torch.equal(split.held, graph.val) and torch.equal(split.fit, graph.train)
    complete(tmp_path, cell.name)
    assert folder.rows()[0].state == "finished", folder.rows()[0].error


def test_a_graph_is_chosen_by_nodes_of_its_validation_alone(tmp_path):
    graph, every = load("sbm"), torch.arange(300)
    labels = graph.labels.clone()
    labels[[0, 200]] = -1
    asked = {"data": None, "metric": "linear"}

    def split(**parts):
        np.savez(tmp_path / "g.npz", x=graph.x, edge_index=graph.edge_index, y=labels, **parts)
        return _Split.of(Cell.of({"method": "bgrl", "data": str(tmp_path / "g.npz"), "epochs": 1}).options, asked)

    made = split(train=every[:150], val=every[150:220], test=every[220:])
    assert made.fit.tolist() == every[1:150].tolist() and len(made.held) == 69 and 200 not in made.held
    for parts, said in (
        ({"train": every[:160], "val": every[150:220]}, "10 nodes in train and in val"),
        ({"train": every[:150], "val": every[150:220], "test": every[219:]}, "1 node in val and in test"),
    ):
        with pytest.raises(DataError, match=said):
            split(**parts)


@pytest.mark.parametrize("named", [(), ("train", "test")])
def test_of_a_graph_without_validation_nodes_a_fifth_of_train_chooses(tmp_path, named):
    graph = load("sbm")
    parts = {"x": graph.x, "edge_index": graph.edge_index, "y": graph.labels} | {n: getattr(graph, n) for n in named}
    np.savez(tmp_path / "graph.npz", **parts)
    cell = Cell.of({"method": "bgrl", "data": str(tmp_path / "graph.npz"), "epochs": 1})
    folder = begun(tmp_path / "sweep", cell)
    complete(folder.path, cell.name)
    (row,) = folder.rows()
    assert row.state == "finished", row.error
    split = _Split.of(cell.options, {"data": None, "metric": "linear"})
    train, test, _ = splits(load(str(tmp_path / "graph.npz")), None)  # as `evaluate` learns and tests
    assert sorted([*split.fit.tolist(), *split.held.tolist()]) == sorted(train.tolist())
    assert not {*split.held.tolist()} & {*test.tolist()} and 0.15 < len(split.held) / len(train) < 0.25
    assert row.held == len(split.held)
    assert f"({row.held} of {len(train)} nodes)" in folder.result(cell.name)["protocol"]


def test_nodes_without_a_label_choose_nothing(tmp_path):
    graph = load("sbm")
    labels = torch.where(torch.arange(300) % 2 == 0, graph.labels, -1)
    np.savez(tmp_path / "g.npz", x=graph.x, edge_index=graph.edge_index, y=labels, train=torch.arange(200))
    split = _Split.of(
        Cell.of({"method": "bgrl", "data": str(tmp_path / "g.npz")}).options, {"data": None, "metric": "knn"}
    )
    assert len(split.fit) + len(split.held) == 100 and bool((labels[torch.cat([split.fit, split.held])] >= 0).all())
    np.savez(tmp_path / "g.npz", x=graph.x, edge_index=graph.edge_index, y=labels, test=torch.arange(200))
    with pytest.raises(DataError, match="has no class of which a node could be held out of train"):
        _Split.of(Cell.of({"method": "bgrl", "data": str(tmp_path / "g.npz")}).options, {"data": None, "metric": "knn"})


def test_without_labels_a_gauge_may_choose_and_a_probe_may_not(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32))
    cell = Cell.of({**FIXED, "data": str(tmp_path / "x.npy"), "batch_size": 32, "epochs": 1})
    folder = begun(tmp_path / "a", cell, metric="effective_rank")
    complete(folder.path, cell.name)
    (row,) = folder.rows()
    assert row.state == "finished" and row.metrics["effective_rank"] >= 1 and "linear" not in row.metrics
    folder = begun(tmp_path / "b", cell)
    complete(folder.path, cell.name)
    (row,) = folder.rows()
    assert (
        row.state == "failed" and "has no labels" in row.error and not (folder.cell(cell.name) / "config.json").exists()
    )


def test_settings_are_gathered_over_seeds_and_ordered(tmp_path):
    folder = begun(tmp_path, *read({**FIXED, "grid": {"lr": [0.1, 0.2], "seed": [0, 1]}}).cells())
    values = {(0.1, 0): 90.0, (0.1, 1): 94.0, (0.2, 0): 93.0, (0.2, 1): 92.0}
    for row in folder.rows():
        out = folder.cell(row.name)
        out.mkdir(parents=True)
        found = values[row.options["lr"], row.options["seed"]]
        (out / "result.json").write_text(json.dumps({"metrics": {"linear": found, "linear_se": 1.0}, "evaluate": None}))
    rows = folder.rows()
    assert varied(rows) == ["lr", "seed"]
    first, second = settings(rows, "linear")
    assert first.options == {"lr": 0.2} and first.mean == 92.5 and first.sd == pytest.approx(0.5**0.5)
    assert second.shown == "92.00 ± 2.83 (sd of 2 seeds)"
    assert settings(rows, "linear", "min")[0].options == {"lr": 0.1}
    assert settings(rows[:1], "linear")[0].shown == "90.00 ± 1.00 (1 seed; binomial error of the held-out rows)"
    with pytest.raises(ConfigError, match="did you mean 'linear'"):
        settings(rows, "linaer")


def test_a_folder_that_is_no_sweep_is_not_written_into(tmp_path):
    (tmp_path / "photo.png").write_bytes(b"")
    with pytest.raises(ConfigError, match="is no sweep"):
        begun(tmp_path)
    assert [p.name for p in Path(tmp_path).iterdir()] == ["photo.png"]


def test_two_sweeps_that_enter_cells_into_one_folder_lose_none(tmp_path):
    cells = [Cell.of({**FIXED, "seed": seed}) for seed in range(24)]
    together = threading.Barrier(2)

    def enter(some):
        together.wait()
        for cell in some:
            begun(tmp_path / "sweep", cell)

    threads = [threading.Thread(target=enter, args=(cells[i::2],)) for i in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(Folder(tmp_path / "sweep").read()["cells"]) == {cell.name for cell in cells}


LABELS = {"every": np.arange(40), "alone": np.zeros(40, int), "good": np.arange(40) % 2}


def of_labels(path, kind, **options):
    """A cell on 40 points that have a class each, one class, or two."""
    rng = np.random.default_rng(0)
    np.savez(path / f"{kind}.npz", x=rng.normal(size=(40, 6)).astype(np.float32), y=LABELS[kind])
    return {**FIXED, "data": str(path / f"{kind}.npz"), "batch_size": 20, "epochs": 1, **options}


@pytest.mark.parametrize(
    ("kind", "why"), [("every", "no class of which a sample"), ("alone", r"one class alone .*\[0\]")]
)
def test_labels_that_no_accuracy_is_of_fail_a_cell_before_it_is_trained_and_leave_a_gauge(tmp_path, kind, why):
    cell = Cell.of(of_labels(tmp_path, kind))
    folder = begun(tmp_path / "a", cell)
    complete(folder.path, cell.name)
    (row,) = folder.rows()
    assert row.state == "failed" and re.search(f"{kind}.npz' has .*{why}.*'linear' cannot be judged", row.error)
    assert not (folder.cell(cell.name) / "config.json").exists()
    folder = begun(tmp_path / "b", cell, metric="effective_rank")
    complete(folder.path, cell.name)
    (row,) = folder.rows()
    assert row.state == "finished" and row.metrics["effective_rank"] >= 1 and "linear" not in row.metrics
    assert folder.result(cell.name)["protocol"].endswith(": gauges of training alone")


def test_a_cell_that_cannot_be_judged_leaves_the_others(tmp_path):
    both = [of_labels(tmp_path, kind)["data"] for kind in ("every", "good")]
    options = {k: v for k, v in of_labels(tmp_path, "every").items() if k != "data"}
    gauged = read({**options, "data": both[0], "evaluate": {"metric": "effective_rank"}})
    assert [row.state for row in run(gauged, tmp_path / "sweep", progress=False)] == ["finished"]
    rows = run(
        read({**options, "grid": {"data": both}}), tmp_path / "sweep", progress=False
    )  # the first has no 'linear'
    assert [row.state for row in rows] == ["finished", "finished"]
    (best,) = settings(rows, "linear")
    assert best.rows[0].options["data"] == both[1]
    rows = run(read({**options, "grid": {"data": both}}), tmp_path / "other", progress=False)
    assert [row.state for row in rows] == ["failed", "finished"]


@pytest.mark.parametrize("metric", ["linear", "knn"])
def test_one_seed_has_the_binomial_error_of_the_held_out_rows(tmp_path, metric):
    cell = Cell.of(of_labels(tmp_path, "good"))  # classes at random: neither all right nor all wrong
    folder = begun(tmp_path / "sweep", cell, metric=metric)
    complete(folder.path, cell.name)
    p, n = folder.rows()[0].metrics[metric] / 100, len(_Split.of(cell.options, {"data": None, "metric": metric}).held)
    (setting,) = settings(folder.rows(), metric)
    assert setting.stderr == pytest.approx(100 * (p * (1 - p) / n) ** 0.5) and 0 < p < 1
    assert setting.shown.endswith("(1 seed; binomial error of the held-out rows)")


def test_what_failed_in_judging_is_judged_again_by_other_data_and_what_failed_in_training_is_not(tmp_path):
    good, alone = (of_labels(tmp_path, kind)["data"] for kind in ("good", "alone"))
    asked = of_labels(tmp_path, "good", grid={"temperature": [0.2, 1e-300]})
    whole, broken = read(asked).cells()

    def errors(evaluate):
        rows = run(read({**asked, "evaluate": evaluate}), tmp_path / "sweep", progress=False)
        assert [row.name for row in rows] == [whole.name, broken.name]
        return [row.error for row in rows]

    assert all("one class alone" in error for error in errors({"data": alone}))
    first, second = errors({"data": good})
    assert not first
    assert "one class alone" not in second
    kept = [
        tmp_path / "sweep" / "cells" / c.name / f for c, f in ((whole, "learner.safetensors"), (broken, "error.json"))
    ]
    then = [path.stat().st_mtime_ns for path in kept]
    assert "one class alone" in errors({"data": alone})[0]
    assert errors({}) == ["", second]
    assert [path.stat().st_mtime_ns for path in kept] == then


def test_a_cell_of_before_is_judged_on_pictures_read_as_it_was_trained_on(tmp_path, monkeypatch):
    for n in range(12):
        (tmp_path / "photos" / str(n % 2)).mkdir(parents=True, exist_ok=True)
        image = np.random.default_rng(n).integers(0, 255, (520, 520, 3), dtype=np.uint8)
        Image.fromarray(image).save(tmp_path / "photos" / str(n % 2) / f"{n}.jpg")
    cell = Cell.of(
        {"method": "jmi", "data": str(tmp_path / "photos"), "size": 8, "projector": "8", "batch_size": 4, "epochs": 1}
    )
    folder, shapes = begun(tmp_path / "sweep", cell), []
    with monkeypatch.context() as before:  # which read them whole, and wrote nothing of it down
        before.setattr("infomax.training.configured.read_for", lambda size: {"shrink": None})
        configured(cell.options, folder.cell(cell.name), progress=False)
    path = folder.cell(cell.name) / "config.json"
    config = json.loads(path.read_text())
    del config["data"]["read_by"]
    path.write_text(json.dumps(config))
    monkeypatch.setattr(_Split, "judge", lambda self, run: shapes.append(self.data.shape) or {"linear": 0.0})
    complete(folder.path, cell.name)
    assert shapes == [(520, 520, 3)]


@pytest.mark.filterwarnings("ignore:.*no labels, since 1 of 12 images")
@pytest.mark.filterwarnings("ignore:.*left out, since the other 11")
def test_a_cell_of_before_is_judged_on_the_pictures_beside_folders_of_classes_too(tmp_path, monkeypatch):
    for n in range(12):
        (tmp_path / "photos" / str(n % 2)).mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(np.random.default_rng(n).integers(0, 255, (8, 8, 3), dtype=np.uint8))
        image.save(tmp_path / "photos" / ("cover.bmp" if n == 0 else f"{n % 2}/{n}.bmp"))
    cell = Cell.of(
        {"method": "jmi", "data": str(tmp_path / "photos"), "size": 8, "projector": "8", "batch_size": 4, "epochs": 1}
    )
    folder = begun(tmp_path / "sweep", cell, metric="loss", goal="min")
    with monkeypatch.context() as before:  # which left none out
        before.setattr("infomax.training.configured.read_for", lambda size: {"shrink": None, "stray": True})
        configured(cell.options, folder.cell(cell.name), progress=False)
    path = folder.cell(cell.name) / "config.json"
    config = json.loads(path.read_text())
    del config["data"]["read_by"]
    path.write_text(json.dumps(config))
    complete(folder.path, cell.name)
    assert folder.rows()[0].state == "finished", folder.rows()[0].error
