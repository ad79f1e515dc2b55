"""SIGTERM to commands that keep no run: a word, and the status of the signal."""

import os
import signal
import subprocess
import sys
import time

import pytest


@pytest.mark.parametrize(
    ("asked", "begun", "said"),
    [
        (
            ("demo", "--out"),
            lambda out: out.is_dir(),
            "infomax: stopped; of a demo nothing is kept, and the same command",
        ),
        (
            ("study", "periodic-table", "--workers", "1", "--seeds", "1", "--epochs", "1", "--samples", "64", "--out"),
            lambda out: any(out.glob("cells/*")),
            "is kept in OUT, and the same command goes on",
        ),
    ],
)
def test_a_demo_and_a_study_say_that_they_were_stopped(tmp_path, asked, begun, said):
    out = tmp_path / "out"
    command = subprocess.Popen(
        [sys.executable, "-m", "infomax", *asked, str(out)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    until = time.monotonic() + 120
    while not begun(out) and command.poll() is None and time.monotonic() < until:
        time.sleep(0.1)
    command.send_signal(signal.SIGTERM)
    _, err = command.communicate(timeout=60)
    assert command.returncode == 143, err
    assert said.replace("OUT", str(out)) in err and "Traceback" not in err
