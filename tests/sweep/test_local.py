import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import infomax as im
from infomax.cli import main
from infomax.errors import ConfigError, DataError
from infomax.sweep import Folder, read, run, same
from infomax.sweep.cell import complete, judgeable
from infomax.sweep.run import _samples
from infomax.sweep.runners import Work, local
from infomax.sweep.runners.local import Local
from infomax.training.interrupt import Stopped

FIXED = {"method": "jmi", "data": "gaussians", "projector": "8", "batch_size": 500, "epochs": 2}
LONG = {**FIXED, "epochs": 12, "checkpoint_every": 7}


def wait_until(true, seconds=120.0):
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.01)


def in_this_process(path, grid):
    """The same cells, one after the other, by nothing but `complete`."""
    folder = Folder(path)
    folder.begin(grid.cells(), grid.evaluate)
    for cell in grid.cells():
        complete(path, cell.name)
    return path


def test_from_the_command_line_on_digits(tmp_path, capsys):
    def ask(**grid):
        asked = {"method": "jmi", "data": "digits", "epochs": 1, "projector": "16", "grid": grid}
        (tmp_path / "grid.yaml").write_text(yaml.safe_dump(asked))
        assert main(["sweep", str(tmp_path / "grid.yaml"), "--out", str(out), "--workers", "2"]) == 0
        return capsys.readouterr().out

    out = tmp_path / "sweep"
    said = ask(temperature=[0.2, 1e-300])
    assert "2 cells: 1 finished, 1 failed" in said and "the loss of 'jmi' is nan" in said
    assert "on a held-out part of train, never the test set" in said
    before = {path: path.stat().st_mtime_ns for path in out.glob("cells/*/*")}

    said = ask(temperature=[0.2], seed=[0, 1])  # more cells beside the old ones, which are not run again
    assert all(path.stat().st_mtime_ns == then for path, then in before.items())
    assert "2 cells: 2 finished" in said and "(sd of 2 seeds)" in said

    def tell(*command):
        code = main(["sweep", *command])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    code, said = tell("table", str(out))
    assert code == 0 and said.splitlines()[0].split() == ["temperature", "linear"] and "(sd of 2 seeds)" in said
    code, said = tell("best", str(out), "--by", "knn")
    assert code == 0 and "knn on 290 held-out rows of train, never the test set" in said and "infomax evaluate" in said
    code, said = tell("status", str(out), "--json")
    assert code == 0 and sorted(row["state"] for row in json.loads(said)) == ["failed", "finished", "finished"]
    code, said = tell("table", str(out), "--by", "kn")
    assert code == 2 and "did you mean 'knn'" in said
    code, said = tell("page", str(out))
    assert code == 0 and (out / "index.html").stat().st_size > 1e6


def test_a_second_sweep_says_what_had_ended(tmp_path, capsys):
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump({**FIXED, "epochs": 1, "grid": {"temperature": [0.2, 1e-300]}}))

    def said(*more):
        assert main(["sweep", str(tmp_path / "grid.yaml"), "--out", str(tmp_path / "out"), *more]) == 0
        return capsys.readouterr().out

    assert "earlier" not in said()
    once_more = said()
    assert "2 of 2 ended earlier: nothing is left to run; 1 of them failed, and --retry runs such again" in once_more
    assert "1 of 2 ended earlier\n" in said("--retry")
    assert "1 cell, " in (alone := said("--set", "temperature=0.2")) and "1 of 1 ended earlier: nothing" in alone


def test_a_process_that_is_killed_leaves_a_cell_that_goes_on_to_the_same_weights(tmp_path, same_results):
    grid = read({**LONG, "grid": {"seed": [0, 1]}})
    folder, (first, second) = Folder(tmp_path / "killed"), grid.cells()
    folder.begin(grid.cells(), grid.evaluate)
    runner = Local(Work(folder.path, workers=1))
    runner.submit([first.name, second.name])
    wait_until(lambda: len(list(folder.cell(first.name).glob("checkpoints/*"))) == 2)
    ((process, _),) = runner._live.values()
    os.kill(process.pid, signal.SIGKILL)
    ended = []
    wait_until(lambda: ended.extend(runner.wait(1.0)) or len(ended) == 2)
    assert sorted(ended) == sorted([first.name, second.name])
    assert "continued" in (folder.cell(first.name) / "environment.json").read_text()
    assert same_results(folder.path, in_this_process(tmp_path / "whole", grid))


def test_a_process_that_always_dies_is_a_failed_cell(tmp_path):
    grid = read({**LONG, "epochs": 10_000})
    folder, (cell,) = Folder(tmp_path), grid.cells()
    folder.begin(grid.cells(), grid.evaluate)
    runner = Local(Work(tmp_path, retries=1))
    runner.submit([cell.name])
    for _ in range(2):
        wait_until(lambda: folder.rows()[0].state == "running")
        ((process, _),) = runner._live.values()
        os.kill(process.pid, signal.SIGKILL)
        ended = runner.wait(60.0)
    (row,) = folder.rows()
    assert ended == [cell.name] and row.state == "failed" and "ended 2 times" in row.error and "SIGKILL" in row.error


def test_a_server_of_processes_that_is_gone_is_begun_again_and_not_for_ever(tmp_path, monkeypatch):
    grid = read(FIXED)
    folder, (cell,) = Folder(tmp_path), grid.cells()
    folder.begin(grid.cells(), grid.evaluate)
    runner = Local(Work(tmp_path))
    kind, tries = runner.context.Process, []

    def gone(process):
        tries.append(process)
        raise EOFError("unexpected EOF")

    with monkeypatch.context() as patched:
        patched.setattr(kind, "start", gone)
        runner.submit([cell.name])
        assert runner.wait(0.01) == [] and len(tries) == 2
    ended = []
    wait_until(lambda: ended.extend(runner.wait(1.0)) or ended)
    assert ended == [cell.name] and folder.rows()[0].state == "finished"
    monkeypatch.setattr(kind, "start", gone)
    runner.submit([cell.name])
    with pytest.raises(ConfigError, match=r"no process can be begun: .* gone 4 times in a row"):
        for _ in range(3):
            runner.wait(0.01)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_sweep_goes_on_by_the_same_call(tmp_path, same_results, sent):
    grid, folder = read({**LONG, "grid": {"seed": [0, 1]}}), Folder(tmp_path / "sweep")

    def stop():
        wait_until(lambda: list(folder.path.glob("cells/*/log.jsonl")))
        os.kill(os.getpid(), sent)

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(Stopped, match="the same command goes on") as stopped:
        run(grid, folder.path, workers=2, progress=False)
    thread.join()
    states = {row.state for row in folder.rows()}
    assert stopped.value.number == sent and states <= {"begun", "waiting", "finished"} and states != {"finished"}
    assert {row.state for row in run(grid, folder.path, workers=2, progress=False)} == {"finished"}
    assert same_results(folder.path, in_this_process(tmp_path / "whole", grid))


def test_cells_stop_when_the_sweep_is_gone(tmp_path):
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump({**LONG, "epochs": 10_000}))
    command = [sys.executable, "-m", "infomax.cli", "sweep", "grid.yaml", "--out", "sweep"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    folder = Folder(tmp_path / "sweep")
    wait_until(lambda: list(folder.path.glob("cells/*/log.jsonl")))
    process.kill()
    process.wait()
    wait_until(lambda: folder.rows()[0].state == "begun")  # its lock has fallen


def test_a_metric_that_there_is_not_stops_the_sweep_at_its_first_cell(tmp_path):
    grid = read({**FIXED, "epochs": 1, "intervals": False, "evaluate": {"metric": "mi_dv_lo"}})
    with pytest.raises(ConfigError, match="no metric 'mi_dv_lo': did you mean 'mi_dv'"):
        run(grid, tmp_path, progress=False)


def test_a_metric_that_needs_labels_is_refused_before_anything_runs_where_there_are_none(tmp_path, capsys):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32))
    asked = {**FIXED, "data": str(tmp_path / "x.npy"), "batch_size": 32, "epochs": 1, "grid": {"seed": [0, 1]}}
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(asked))
    assert main(["sweep", str(tmp_path / "grid.yaml"), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr()
    assert "has no labels, so 'linear' cannot be judged" in said.err and "effective_rank" in said.err
    assert not (tmp_path / "out").exists() and "next:" not in said.out
    drawn = {k: v for k, v in asked.items() if k != "grid"} | {"random": {"lr": [0.1]}, "samples": 1, "sampler": "tpe"}
    with pytest.raises(DataError, match="has no labels"):
        run(read(drawn), tmp_path / "out", progress=False)

    options = [
        {"data": name, "root": None, "on_error": "skip", "size": None} for name in (str(tmp_path / "x.npy"), "digits")
    ]
    judgeable(options, {"data": None, "metric": "linear"})  # one of them can be judged: the other's cells say why not
    with pytest.raises(DataError, match=r"x\.npy' has no labels"):
        judgeable(options[:1], {"data": None, "metric": "linear"})
    (tmp_path / "photos" / "cats").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "photos" / "cats" / "1.png")
    with pytest.raises(DataError, match=r"has no labels \(all its images lie in one folder, 'cats': .*, so 'linear'"):
        judgeable([options[0] | {"data": str(tmp_path / "photos")}], {"data": None, "metric": "linear"})
    choice = asked | {"grid": {}, "random": {"data": ["digits", asked["data"]]}, "samples": 1, "sampler": "tpe"}
    assert [
        c.options["data"] for c in _samples(read({k: v for k, v in choice.items() if k not in ("grid", "data")}))
    ] == [
        "digits",
        asked["data"],
    ]


def test_other_data_without_labels_are_refused_though_the_folder_has_finished_cells(tmp_path, capsys):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32))
    grid = tmp_path / "grid.yaml"
    words = ["sweep", str(grid), "--out", str(tmp_path / "out")]
    grid.write_text(yaml.safe_dump({**FIXED, "epochs": 1}))
    assert main(words) == 0
    grid.write_text(yaml.safe_dump({**FIXED, "epochs": 1, "batch_size": 32, "data": str(tmp_path / "x.npy")}))
    assert main(words) == 2
    assert "has no labels, so 'linear' cannot be judged" in capsys.readouterr().err
    assert [row.state for row in Folder(tmp_path / "out").rows()] == ["finished"]


def test_data_that_cannot_be_read_are_refused_before_anything_runs_where_no_cell_has_others(tmp_path):
    out, wrong = tmp_path / "out", {"data": str(tmp_path / "labeled")}
    for evaluate in (wrong, wrong | {"metric": "effective_rank"}):
        with pytest.raises(DataError, match=r"^evaluate: data: no data set and no file .*labeled"):
            run(read({**FIXED, "evaluate": evaluate}), out, progress=False)
    with pytest.raises(DataError, match=r"^data: no data set and no file .*labeled"):
        run(read({**FIXED, **wrong}), out, progress=False)
    assert not out.exists()
    assert [row.state for row in run(read({**FIXED, "epochs": 1}), out, progress=False)] == ["finished"]
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    with pytest.raises(DataError, match=r"^evaluate: data: "):  # in the folder of finished cells, too
        run(read({**FIXED, "epochs": 1, "evaluate": wrong}), out, progress=False)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_a_sweep_of_which_no_cell_finishes_says_so_with_status_2(tmp_path, capsys):
    asked = {**FIXED, "epochs": 1, "temperature": 1e-300, "grid": {"seed": [0, 1]}}
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(asked))
    out = str(tmp_path / "out")
    for command in (["sweep", str(tmp_path / "grid.yaml"), "--out", out], ["sweep", "table", out]):
        assert main(command) == 2
        said = capsys.readouterr()
        assert said.out.count("  failed: ") == 2 and "the loss of 'jmi' is nan" in said.out and "next:" not in said.out
        assert "no cell has finished: 2 cells: 2 failed" in said.err and "--retry" in said.err
    assert main(["sweep", "page", out]) == 2
    assert "2 failed" in (said := capsys.readouterr().err) and "the loss of 'jmi' is nan" in said


def test_a_folder_of_finished_cells_is_read_a_few_times_and_not_once_a_cell(tmp_path, monkeypatch):
    grid, folder = read({**FIXED, "grid": {"seed": list(range(12))}}), Folder(tmp_path)
    folder.begin(grid.cells(), grid.evaluate)
    for cell in grid.cells():
        folder.cell(cell.name).mkdir(parents=True)
        (folder.cell(cell.name) / "result.json").write_text(json.dumps({"metrics": {"linear": 1.0}, "evaluate": None}))
    reads, read_it = [], Folder.read
    monkeypatch.setattr(Folder, "read", lambda self: reads.append(self) or read_it(self))
    assert {row.state for row in run(grid, tmp_path, progress=False)} == {"finished"}
    assert len(reads) < 12


def test_a_file_in_the_place_of_a_sweep_is_said_to_be_none(tmp_path, capsys):
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(FIXED))
    (tmp_path / "d.npz").write_text("a file")
    assert main(["sweep", str(tmp_path / "grid.yaml"), "--out", str(tmp_path / "d.npz")]) == 2
    assert "d.npz exists, is not empty and is no sweep: choose another --out" in capsys.readouterr().err


def test_gpus_are_shared_out_by_slots(monkeypatch, tmp_path):
    monkeypatch.setattr("infomax.sweep.runners.local._gpus", lambda: ["0", "1"])
    quarter = Local(Work(tmp_path, gpus=0.25))
    assert quarter.slots == 8 and [quarter._visible(k) for k in range(4)] == ["0", "1", "0", "1"]
    assert Local(Work(tmp_path)).slots == 2
    both = Local(Work(tmp_path, gpus=2))
    assert both.slots == 1 and both._visible(0) == "0,1"
    none = Local(Work(tmp_path, gpus=0, workers=3))
    assert none.slots == 3 and none._visible(0) == ""


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"workers": 0}, "workers=0"),
        ({"gpus": 1.5}, "gpus=1.5"),
        ({"gpus": -1}, "gpus=-1: give .* from 0 on"),
        ({"retries": -1}, "retries=-1"),
    ],
)
def test_impossible_numbers_are_refused(tmp_path, asked, said):
    with pytest.raises(ConfigError, match=said):
        Work(tmp_path, **asked)


def test_what_cannot_be_had_here_is_said_before_a_cell_starts(tmp_path):
    for asked, kind, said in (
        ({"init": str(tmp_path / "nowhere")}, DataError, "no weights"),
        ({"device": "gpu"}, ConfigError, "no device 'gpu'"),
    ):
        with pytest.raises(kind, match=said):
            run(read({**FIXED, **asked}), tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


def test_finished_cells_of_data_that_have_changed_are_not_gone_on_with(tmp_path, capsys):
    def data(name, shift, labels=0):
        x = np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32)
        np.savez(tmp_path / f"{name}.npz", x=np.roll(x, shift, 0), y=(np.arange(60) + labels) % 2)
        return str(tmp_path / f"{name}.npz")

    fixed = {**FIXED, "data": data("d", 0), "batch_size": 30, "epochs": 1}
    rates = read({**fixed, "grid": {"lr": [0.001, 0.002]}})
    assert [row.state for row in run(read({**fixed, "lr": 0.001}), tmp_path / "out", progress=False)] == ["finished"]
    data("d", 1)
    with pytest.raises(
        ConfigError, match=r"d\.npz has changed \(other samples.*1 cell here was trained.*another --out"
    ):
        run(rates, tmp_path / "out", progress=False)
    data("d", 0, labels=1)
    with pytest.raises(ConfigError, match=r"d\.npz has changed \(other labels\).*judged.*result\.json"):
        run(rates, tmp_path / "out", progress=False)
    data("d", 0)
    folder = Folder(tmp_path / "out")
    assert [row.state for row in run(rates, folder.path, progress=False)] == ["finished"] * 2

    result = folder.cell(rates.cells()[1].name) / "result.json"
    kept = json.loads(result.read_text())
    kept["content"]["trained"]["images"] = [0.0, 0.0]  # as of a cell that met the data when they were others
    result.write_text(json.dumps(kept))
    assert main(["sweep", "table", str(folder.path)]) == 0
    assert "not comparable, since their data changed between cells: " in capsys.readouterr().out
    for cell in rates.cells():  # cells of before kept nothing of it
        result = folder.cell(cell.name) / "result.json"
        kept = json.loads(result.read_text())
        result.write_text(json.dumps({k: v for k, v in kept.items() if k != "content"}))
    data("d", 1)
    assert [row.state for row in run(rates, folder.path, progress=False)] == ["finished"] * 2


def test_finished_cells_begun_with_weights_that_have_changed_are_not_gone_on_with(tmp_path, capsys):
    def begin(seed):
        torch.manual_seed(seed)
        torch.save(im.encoders.get("mlp", channels=2, size=1).state_dict(), tmp_path / "w.pt")

    fixed = {**FIXED, "encoder": "mlp", "epochs": 1, "init": str(tmp_path / "w.pt")}
    rates, folder = read({**fixed, "grid": {"lr": [0.001, 0.002]}}), Folder(tmp_path / "out")
    begin(0)
    assert [row.state for row in run(read({**fixed, "lr": 0.001}), folder.path, progress=False)] == ["finished"]
    begin(1)
    with pytest.raises(
        ConfigError, match=r"w\.pt has changed \(other weights\) since 1 cell here was begun with it, .*--out"
    ):
        run(rates, folder.path, progress=False)
    begin(0)
    assert [row.state for row in run(rates, folder.path, progress=False)] == ["finished"] * 2
    assert [row.state for row in run(read({**fixed, "init": None}), folder.path, progress=False)][-1] == "finished"

    result = folder.cell(rates.cells()[1].name) / "result.json"
    result.write_text(json.dumps(json.loads(result.read_text()) | {"content": {"begun": {"weights": "others"}}}))
    assert main(["sweep", "table", str(folder.path)]) == 0
    said = f"not comparable, since the weights that they begin with changed between cells: {rates.cells()[1].name}"
    assert said in capsys.readouterr().out


def test_a_sweep_goes_on_where_files_that_cannot_be_decoded_have_come_or_gone(tmp_path, monkeypatch):
    photos, rng = tmp_path / "photos", np.random.default_rng(0)

    def picture(name):
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(photos / name)

    for k in range(20):
        (photos / "ab"[k % 2]).mkdir(parents=True, exist_ok=True)
        picture(f"{'ab'[k % 2]}/{k:02}.png")
    fixed = {**FIXED, "data": str(photos), "batch_size": 10, "epochs": 1}
    two = read({**fixed, "grid": {"lr": [0.001, 0.002]}})
    assert [row.state for row in run(read({**fixed, "lr": 0.001}), tmp_path / "out", progress=False)] == ["finished"]
    (photos / "a" / "zz.png").write_text("junk")
    assert [row.state for row in run(two, tmp_path / "out", progress=False)] == ["finished"] * 2
    (photos / "a" / "zz.png").unlink()
    monkeypatch.setattr(same, "load", lambda *_, **__: pytest.fail("decoded"))
    assert [row.state for row in run(two, tmp_path / "out", progress=False)] == ["finished"] * 2
    monkeypatch.undo()
    picture("a/zz.png")
    with pytest.raises(ConfigError, match=r"photos has changed \(other samples.*2 cells here were trained"):
        run(read({**fixed, "grid": {"lr": [0.001, 0.002, 0.003]}}), tmp_path / "out", progress=False)


def test_a_named_set_at_another_root_is_known_by_what_lies_there(tmp_path):
    def root(name, seed):
        (tmp_path / name).mkdir()
        source = np.random.default_rng(seed)
        for part, n in (("train", 40), ("t10k", 20)):
            for kind, x in (("images-idx3", source.integers(0, 256, (n, 28, 28))), ("labels-idx1", np.arange(n) % 2)):
                head = bytes([0, 0, 8, x.ndim]) + b"".join(length.to_bytes(4, "big") for length in x.shape)
                (tmp_path / name / f"{part}-{kind}-ubyte").write_bytes(head + x.astype(np.uint8).tobytes())
        return str(tmp_path / name)

    fixed = {**FIXED, "data": "fashion-mnist", "encoder": "mlp", "batch_size": 40, "epochs": 1}
    a, same, other = root("a", 0), root("same", 0), root("other", 1)
    assert [row.state for row in run(read({**fixed, "root": a}), tmp_path / "out", progress=False)] == ["finished"]
    two = {**fixed, "grid": {"lr": [0.001, 0.002]}}
    with pytest.raises(ConfigError, match=r"fashion-mnist has changed \(other samples\) since 1 cell here was trained"):
        run(read({**two, "root": other}), tmp_path / "out", progress=False)
    assert run(read({**fixed, "root": str(tmp_path / "none")}), tmp_path / "out", progress=False)  # nothing is read
    assert len(run(read({**two, "root": same}), tmp_path / "out", progress=False)) == 2


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_cells_that_cannot_be_are_told_before_and_fail_and_the_others_run(tmp_path, sampler):
    varied = {"epochs": [1, 2], "warmup_epochs": [0, 2]}
    how = {"grid": varied} if sampler == "random" else {"random": varied, "samples": 4, "sampler": "tpe"}
    told = (
        "1 of 4 cells cannot be.*longer than the run" if sampler == "random" else "not all that is drawn goes together"
    )
    with pytest.warns(UserWarning, match=told):
        rows = run(read({k: v for k, v in FIXED.items() if k != "epochs"} | how), tmp_path / "out", progress=False)
    failed = [row for row in rows if row.state == "failed"]
    assert len(rows) == 4 and [(r.options["epochs"], r.options["warmup_epochs"]) for r in failed] == [(1, 2)]
    assert "longer than the run, of epochs=1" in failed[0].error
    assert {row.state for row in rows if row not in failed} == {"finished"}


JUDGES = """
import multiprocessing, sys, time
from pathlib import Path
from infomax.progress import meter
from infomax.sweep.runners import local

def judges(path, *_, **__):
    with meter(total=1):
        Path(path).write_text("")
        time.sleep(60)

def cell(path):
    local.complete = judges
    local._run(path, "cell", 1, False, None)

if __name__ == "__main__":
    process = multiprocessing.get_context("spawn").Process(target=cell, args=sys.argv[1:])
    process.start()
    while not Path(sys.argv[1]).exists():
        time.sleep(0.05)
    process.terminate()
    process.join()
    print(process.exitcode)
"""


def test_a_cell_that_is_stopped_while_it_is_judged_leaks_no_semaphore(tmp_path):
    (tmp_path / "judges.py").write_text(JUDGES)
    command = [sys.executable, str(tmp_path / "judges.py"), str(tmp_path / "judging")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.stdout.split() == [str(128 + signal.SIGTERM)] and "leaked" not in ended.stderr


def test_the_server_of_processes_is_deaf_to_ctrl_c_from_its_first_moment(monkeypatch):
    said = []
    what = "import signal; print(signal.getsignal(signal.SIGINT) == signal.SIG_IGN)"
    monkeypatch.setattr(
        local.forkserver,
        "ensure_running",
        lambda: said.append(subprocess.run([sys.executable, "-c", what], capture_output=True, text=True).stdout),
    )
    before = signal.getsignal(signal.SIGINT)
    local._begin_server()
    assert said == ["True\n"] and signal.getsignal(signal.SIGINT) == before
