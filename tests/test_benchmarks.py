"""Scripts of the benchmarks: what their results say of where they come from."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"
KEEPS = ("beside", "memory", "mi", "probe", "step", "time_to_accuracy", "views")


def ran(script, *words):
    done = subprocess.run(
        [sys.executable, script, *map(str, words)],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_origin_of_figures_names_no_folder_of_this_machine(tmp_path):
    script = tmp_path / "some.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(FOLDER)!r}); import json, origin; print(json.dumps(origin.origin()))"
    )
    said = json.loads(ran(script, "--out", tmp_path / "a b.json", f"--cells={tmp_path}/cells/", "--rows", 5))
    assert said["command"] == "python benchmarks/some.py --out 'a b.json' --cells=cells --rows 5"
    assert {"machine", "cores", "threads", "torch", "commit", "command"} <= set(said) and said["machine"]
    known = Path("/proc/cpuinfo")
    if known.exists() and "model name" in known.read_text():
        assert said["machine"] in known.read_text()
    assert said["commit"] is None or re.fullmatch(r"[0-9a-f]{7,}\+?", said["commit"])


@pytest.mark.parametrize("name", KEEPS)
def test_every_script_that_keeps_figures_keeps_their_origin(name):
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    assert re.search(r"^from origin import .*origin$", text, re.M) and "origin()" in text and "--json" in text


@pytest.mark.slow
def test_the_probes_are_held_against_scikit_learns_at_one_penalty_and_by_their_choice(tmp_path):
    pytest.importorskip("sklearn")
    said = ran(FOLDER / "probe.py", "--rows", 600, "--tests", 400, "--seeds", 2, "--json", tmp_path / "probe.json")
    assert " ± " in said and "at one penalty at most" in said
    found = json.loads((tmp_path / "probe.json").read_text())
    assert len(found["rows"]) == 2 and found["scikit-learn"] and found["command"].endswith("--json probe.json")
    for row in found["rows"]:
        for one in row["same_penalty"].values():
            assert abs(one["difference"]) < 1 and one["named_alike"] > 98 and not one["stopped"]
        assert set(row["sweeps"]["scikit-learn, 7 penalties"]["held_out"]) == set(
            row["sweeps"]["L-BFGS, 7 penalties"]["held_out"]
        )


def test_cells_of_the_gathered_file_are_taken_up_and_none_is_dropped(tmp_path):
    kept = json.loads((FOLDER / "results" / "time_to_accuracy-300.json").read_text())
    gathered = tmp_path / "gathered.json"
    gathered.write_text(json.dumps(kept))
    words = [
        "--seconds",
        300,
        "--seeds",
        3,
        "--methods",
        "byol",
        "--sets",
        "cifar10",
        "--contestants",
        "infomax-32,lightly",
    ]
    said = ran(
        FOLDER / "time_to_accuracy.py", *words, "--cells", tmp_path / "cells", "--gather", "--json", gathered
    )  # nothing is run
    ahead = [line for line in said.splitlines() if "| cifar10 | byol | 600.0 | lightly |" in line]
    assert len(ahead) == 1 and "±" in ahead[0]
    after = json.loads(gathered.read_text())
    assert sorted(map(repr, after["cells"])) == sorted(map(repr, kept["cells"]))
    assert after["cells_before"] == kept["cells_before"]
