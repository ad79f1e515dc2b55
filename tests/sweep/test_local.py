import os
import signal
import subprocess
import sys
import time

import pytest
import yaml

from infomax.cli import main
from infomax.errors import ConfigError
from infomax.sweep import Folder, read, run
from infomax.sweep.cell import complete
from infomax.sweep.runners import Work
from infomax.sweep.runners.local import Local

FIXED = {"method": "jmi", "data": "gaussians", "projector": "8", "batch_size": 500, "epochs": 2}
LONG = {**FIXED, "epochs": 40, "checkpoint_every": 7}


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
    asked = {
        "method": "jmi",
        "data": "digits",
        "epochs": 1,
        "projector": "16",
        "grid": {"lr": [0.001, 0.003], "temperature": [0.2, -1]},
    }
    asked["grid"] |= {"lr": [0.003]}
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(asked))
    out = tmp_path / "sweep"
    assert main(["sweep", str(tmp_path / "grid.yaml"), "--out", str(out), "--workers", "2"]) == 0
    said = capsys.readouterr().out
    assert "2 cells: 1 finished, 1 failed" in said and "a temperature must be > 0, not -1.0" in said
    assert "on a held-out part of train, never the test set" in said
    before = {path: path.stat().st_mtime_ns for path in out.glob("cells/*/*")}

    asked["grid"]["seed"] = [0, 1]  # more cells beside the old ones, which are not run again
    asked["grid"]["temperature"] = [0.2]
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(asked))
    assert main(["sweep", str(tmp_path / "grid.yaml"), "--out", str(out)]) == 0
    assert all(path.stat().st_mtime_ns == then for path, then in before.items())
    states = [row.state for row in Folder(out).rows()]
    assert sorted(states) == ["failed", "finished", "finished"]

    capsys.readouterr()
    assert main(["sweep", "table", str(out)]) == 0
    assert "(sd, n = 2)" in capsys.readouterr().out
    assert main(["sweep", "best", str(out), "--by", "knn"]) == 0
    assert "never the test set" in capsys.readouterr().out
    assert main(["sweep", "status", str(out)]) == 0
    assert "3 cells: 2 finished, 1 failed" in capsys.readouterr().out
    assert main(["sweep", "table", str(out), "--by", "kn"]) == 2
    assert "did you mean 'knn'" in capsys.readouterr().err
    assert main(["sweep", "page", str(out)]) == 0
    assert (out / "index.html").stat().st_size > 1e6


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


def test_ctrl_c_leaves_what_the_same_command_goes_on_with(tmp_path, same_results):
    asked = {**LONG, "grid": {"seed": [0, 1]}}
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(asked))
    command = [
        sys.executable,
        "-m",
        "infomax.cli",
        "sweep",
        str(tmp_path / "grid.yaml"),
        "--out",
        str(tmp_path / "sweep"),
    ]
    process = subprocess.Popen([*command, "--workers", "2"], stderr=subprocess.PIPE, text=True)
    folder = Folder(tmp_path / "sweep")
    wait_until(lambda: list((tmp_path / "sweep").glob("cells/*/log.jsonl")))
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130 and "the same command goes on" in said and "Traceback" not in said
    states = {row.state for row in folder.rows()}
    assert "running" not in states and "failed" not in states and states & {"begun", "waiting"}
    grid = read(asked)
    rows = run(grid, tmp_path / "sweep", workers=2, progress=False)
    assert [row.state for row in rows] == ["finished", "finished"]
    assert same_results(folder.path, in_this_process(tmp_path / "whole", grid))


def test_cells_stop_when_the_sweep_is_gone(tmp_path):
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump({**LONG, "epochs": 10_000}))
    command = [
        sys.executable,
        "-m",
        "infomax.cli",
        "sweep",
        str(tmp_path / "grid.yaml"),
        "--out",
        str(tmp_path / "sweep"),
    ]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    folder = Folder(tmp_path / "sweep")
    wait_until(lambda: list((tmp_path / "sweep").glob("cells/*/log.jsonl")))
    process.kill()
    process.wait()
    wait_until(lambda: folder.rows()[0].state == "begun")  # the lock has fallen, and there is a checkpoint


def test_a_metric_that_there_is_not_stops_the_sweep_at_its_first_cell(tmp_path):
    grid = read({**FIXED, "epochs": 1, "evaluate": {"metric": "lineer"}})
    with pytest.raises(ConfigError, match="did you mean 'linear'"):
        run(grid, tmp_path, progress=False)


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
    ("asked", "said"), [({"workers": 0}, "workers=0"), ({"gpus": 1.5}, "gpus=1.5"), ({"retries": -1}, "retries=-1")]
)
def test_impossible_numbers_are_refused(tmp_path, asked, said):
    with pytest.raises(ConfigError, match=said):
        Work(tmp_path, **asked)
