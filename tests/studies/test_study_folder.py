"""A study that is stopped keeps what it ran, and goes on there."""

import io
import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from infomax import ConfigError
from infomax.cli import main
from infomax.data import load
from infomax.evaluate.splits import known_by
from infomax.studies import claims, collapse, curves, periodic, pool
from infomax.studies import folder as study_folder
from infomax.studies.folder import Kept, finished, going_on
from infomax.studies.periodic.grammar import Sentence
from infomax.training.interrupt import Stopped


@dataclass(frozen=True)
class Doubled:
    number: float
    log: str = ""


def double(job: Doubled) -> float:
    if job.log:
        with open(job.log, "a") as file:
            file.write(f"{job.number}\n")
    if job.number < 0:
        raise ValueError("below 0")
    return 2 * job.number


@pytest.mark.parametrize("workers", [1, 2])
def test_what_was_answered_is_not_asked_again(tmp_path, workers):
    log = tmp_path / "log"
    jobs = [Doubled(n, str(log)) for n in (0.1, -1.0, 3.0)]
    with pytest.raises(RuntimeError), going_on(tmp_path / "out", {"seeds": 3}) as kept:
        assert pool.run_all(double, jobs[:2], workers, kept=kept)[0].value == 0.2
        raise RuntimeError("stopped")
    assert not finished(tmp_path / "out")
    told = []
    with going_on(tmp_path / "out", {"seeds": 3}) as kept:
        answers = pool.run_all(double, jobs, workers, lambda: told.append(1), kept)
        kept.write({"sum": sum(a.value or 0 for a in answers)})
    assert [a.value for a in answers] == [0.2, None, 6.0] and "below 0" in answers[1].error
    assert len(told) == 2  # of what was run now
    assert sorted(log.read_text().split()) == ["-1.0", "-1.0", "0.1", "3.0"]  # the failed one is tried again
    assert finished(tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["results.json"]
    with (
        pytest.raises(ConfigError, match=r"has ended.*results\.json: nothing is overwritten"),
        going_on(tmp_path / "out", {}),
    ):
        pass


def test_the_bar_of_a_study_that_goes_on_begins_where_it_was_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stderr", io.StringIO())  # a file
    seen = []

    def stop(job):
        seen.append(sys.stderr.getvalue())
        if job.number == 3.0 and len(seen) == 2:
            raise KeyboardInterrupt
        return job.number

    jobs = [Doubled(n) for n in (1.0, 3.0, 5.0)]
    with pytest.raises(Stopped), going_on(tmp_path / "out", {"seeds": 3}) as kept:
        pool.run_kept(stop, jobs, 1, kept, "fig2")
    assert len(seen) == 2 and all("fig2:" in said and "0/3" in said for said in seen)  # at once, in a file too
    with going_on(tmp_path / "out", {"seeds": 3}) as kept:
        assert [a.value for a in pool.run_kept(stop, jobs, 1, kept, "fig2")] == [1.0, 3.0, 5.0]
        kept.write({})
    assert "fig2:  33%" in seen[2] and "1/3" in seen[2] and "1 run kept from before" in seen[2]


def test_a_study_that_has_ended_says_what_it_has_and_what_to_do_for_more_seeds(tmp_path):
    out, asked = tmp_path / "out", {"seeds": 1, "data": "digits", "worlds": {"digits": 1}}
    with going_on(out, asked) as kept:
        kept.write({"settings": asked})
    said = "the same command with another --out runs all of them"
    for more, other in (({"seeds": 3}, r" \(seeds 1, not 3\)"), ({"worlds": {}}, ""), ({"first": 1}, "")):
        with (
            pytest.raises(ConfigError, match=f"a study that has ended{other}, its.*{said}"),
            going_on(out, asked | more),
        ):
            pass
    where = {"root": "given", "device": "cuda"}  # as results name them
    (out / "results.json").write_text(json.dumps({"settings": asked | where}))
    with (
        pytest.raises(ConfigError, match="has ended, its numbers"),
        going_on(out, asked | {"root": "data", "device": "cuda:0"}),
    ):
        pass
    (out / "results.json").write_text("[")
    with pytest.raises(ConfigError, match=f"has ended, its numbers.*{said}"), going_on(out, asked):
        pass


def test_another_study_is_never_mixed_in(tmp_path):
    with pytest.raises(RuntimeError), going_on(tmp_path / "out", {"seeds": 3, "data": "digits"}) as kept:
        kept.keep(Doubled(1), 2)
        with (
            pytest.raises(ConfigError, match="is being run in it"),
            going_on(tmp_path / "out", {"seeds": 3, "data": "digits"}),
        ):
            pass
        raise RuntimeError
    with (
        pytest.raises(ConfigError, match="seeds 3, not 4; choose another --out"),
        going_on(tmp_path / "out", {"seeds": 4, "data": "digits"}),
    ):
        pass
    assert Kept(tmp_path / "out").found(Doubled(1)) == 2  # nothing was lost by asking


def test_an_edited_package_is_another_study_and_a_damaged_file_is_said_or_made_again(tmp_path, monkeypatch):
    out = tmp_path / "out"
    with pytest.raises(RuntimeError), going_on(out, {}) as kept:
        kept.keep(Doubled(1), 2)
        kept.keep(Doubled(2), 4)
        raise RuntimeError
    with monkeypatch.context() as edited:
        edited.setattr(study_folder, "_sources", lambda: "other")
        with pytest.raises(ConfigError, match=r"sources [0-9a-f]{12}, not other"), going_on(out, {}):
            pass
    (file,) = (f for f in (out / "cells").iterdir() if json.loads(f.read_text())["value"] == 2)
    file.write_text("")  # as a loss of power leaves it
    with going_on(out, {}) as kept:
        assert pool.run_all(double, [Doubled(1), Doubled(2)], 1, kept=kept)[0].value == 2
        kept.write({"rows": [float("nan"), (1.0,)]})
    assert json.loads((out / "results.json").read_text()) == {"rows": [None, [1.0]]}

    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "study.json").write_text("")
    with pytest.raises(ConfigError, match=r"study\.json is damaged"), going_on(tmp_path / "other", {}):
        pass


def test_results_without_a_verdict_are_no_finished_study(tmp_path):
    with pytest.raises(ZeroDivisionError), going_on(tmp_path / "out", {}) as kept:
        kept.write({"claims": []})
        raise ZeroDivisionError
    assert not finished(tmp_path / "out")
    with going_on(tmp_path / "out", {}) as kept:
        kept.write({"claims": [1]})
    assert finished(tmp_path / "out")


def test_a_stopped_ledger_goes_on(tmp_path, monkeypatch):
    ran, stop = [], ["theory"]

    def study(name):
        def run(path):
            ran.append(name)
            path.mkdir()
            (path / "figure.png").touch()
            if name in stop:
                raise KeyboardInterrupt
            (path / "results.json").write_text(json.dumps({"name": name}))

        return run

    monkeypatch.setattr(claims, "_studies", lambda *_: {name: study(name) for name in ("toy", "theory", "fig2")})
    monkeypatch.setattr(claims, "ledger", lambda given, kept: [])
    with pytest.raises(Stopped, match="the same command goes on"):
        claims.run(tmp_path / "out")
    stop.clear()
    claims.run(tmp_path / "out")
    assert ran == ["toy", "theory", "theory", "fig2"] and finished(tmp_path / "out")
    assert (tmp_path / "out" / "toy" / "results.json").is_file()


def test_a_study_that_kept_nothing_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt) as stopped, going_on(tmp_path / "out", {}):
        raise KeyboardInterrupt
    assert not isinstance(stopped.value, Stopped) and not (tmp_path / "out").exists()
    with pytest.raises(Stopped, match="the same command goes on"), going_on(tmp_path / "out", {}) as kept:
        kept.keep(Doubled(1), 2)
        raise KeyboardInterrupt


STUDIES = {
    "collapse": lambda out: collapse.run(
        out, worlds=["digits, fast"], names=["simclr", "simclr without guard"], workers=1, progress=False
    ),
    "fig7": lambda out: curves.fig7(out, seeds=1, epochs=2, samples=300, workers=1, progress=False),
    "periodic": lambda out: periodic.run(
        out,
        seeds=1,
        best_seeds=1,
        epochs=1,
        samples=300,
        workers=1,
        progress=False,
        only=[Sentence("Shared", "cos", ("DonskerVaradhan",)), Sentence("Shared", "cos", ())],
    ),
}
UNLIKE = ("seconds", "cpu_seconds", "environment")


def same(value):
    if isinstance(value, dict):
        return {k: same(v) for k, v in value.items() if k not in UNLIKE}
    return [same(v) for v in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", STUDIES)
def test_a_stopped_study_ends_as_one_that_was_not(tmp_path, monkeypatch, name):
    study, module = STUDIES[name], {"collapse": collapse, "fig7": curves, "periodic": periodic}[name]
    whole, run_cell, ran = study(tmp_path / "whole"), module.run_cell, []

    def cell(job):
        if len(ran) == 1:
            raise KeyboardInterrupt
        ran.append(job)
        return run_cell(job)

    monkeypatch.setattr(module, "run_cell", cell)
    with pytest.raises(Stopped):
        study(tmp_path / "stopped")
    monkeypatch.setattr(module, "run_cell", lambda job: ran.append(job) or run_cell(job))
    again = study(tmp_path / "stopped")
    assert same(json.loads(json.dumps(again))) == same(json.loads(json.dumps(whole)))
    assert len(ran) == len(set(ran)) and finished(tmp_path / "stopped")


def split_data(path, seed=0, labels=0):
    """40 images, the first ten of them the test split, their labels moved."""
    rng, y = np.random.default_rng(seed), np.arange(40) % 2
    x = rng.integers(0, 256, (40, 8, 8), np.uint8)
    np.savez(path, x_train=x, y_train=y, x_test=x[:10], y_test=(y[:10] + labels) % 2)
    return str(path)


def test_a_stopped_study_does_not_go_on_with_other_data(tmp_path, monkeypatch):
    data, out, ran = tmp_path / "d.npz", tmp_path / "out", []

    def study():
        return curves.fig7(out, data=str(data), seeds=1, epochs=2, samples=16, workers=1, progress=False)

    def cell(job):
        if len(ran) == 1:
            raise KeyboardInterrupt
        ran.append(job)
        return {"name": job.name, "seed": job.seed}

    monkeypatch.setattr(curves, "run_cell", cell)
    split_data(data)
    with pytest.raises(Stopped):
        study()
    kept = sorted(p.name for p in out.rglob("*"))
    for changes, said in (({"seed": 1}, "other train samples"), ({"labels": 1}, "other test labels")):
        split_data(data, **changes)
        with pytest.raises(ConfigError, match=rf"d\.npz has changed since \({said}"):
            study()
    assert sorted(p.name for p in out.rglob("*")) == kept
    split_data(data)
    with pytest.raises(Stopped):
        study()


@pytest.mark.parametrize("name", ["periodic", "claims"])
def test_every_study_on_data_knows_them_again(tmp_path, monkeypatch, name):
    seen = []

    def stop(out, settings, content=None):
        seen.append(content)
        raise KeyboardInterrupt

    module = {"periodic": periodic, "claims": claims}[name]
    monkeypatch.setattr(module, "going_on", stop)
    monkeypatch.setattr(periodic, "names", dict)  # which takes half a minute
    with pytest.raises(KeyboardInterrupt):
        module.run(tmp_path / "out", progress=False)
    assert seen == [{"digits": known_by(load("digits"))}]


def test_a_killed_study_goes_on(tmp_path, capsys):
    words = ["study", "collapse", "--out", str(tmp_path / "out"), "--worlds", "digits, fast", "--workers", "1"]
    words += ["--sentences", "simclr", "--sentences", "jmi", "--sentences", "byol"]
    child = subprocess.Popen([sys.executable, "-m", "infomax.cli", *words], stderr=subprocess.DEVNULL)
    cells, began = tmp_path / "out" / "cells", time.monotonic()
    while not list(cells.glob("*.json")):
        assert child.poll() is None and time.monotonic() - began < 300
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    first = {file: file.read_text() for file in cells.glob("*.json")}
    assert main(words) == 0
    rows = json.loads((tmp_path / "out" / "results.json").read_text())["rows"]
    assert [r["name"] for r in rows] == ["simclr", "jmi", "byol"]
    kept = [json.loads(text)["value"]["cpu_seconds"] for text in first.values()]
    assert set(kept) <= {r["cpu_seconds"] for r in rows}
    assert not Path(cells).exists()
