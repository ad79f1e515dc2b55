"""Signals: what Ctrl-C and SIGTERM do to a run, at whatever moment they come."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest
import torch
from tests.training.test_checkpoint import assert_same_end, fit, own_views, stopping_views

import infomax as im
from infomax.training import checkpoint, interrupt, loop
from infomax.training.interrupt import Stopped, noted_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_update_and_writes_a_checkpoint(tmp_path, number):
    with pytest.raises(Stopped, match="stopped after update 7 of 15") as stopped:
        fit(tmp_path / "run", views=stopping_views(number, 7), checkpoint_every="10min")
    assert stopped.value.number == number
    assert [checkpoint.step_of(path) for path in checkpoint.written(tmp_path / "run")] == [0, 7]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("when", ["in the update", "after it"])
def test_a_signal_with_the_last_update_finds_the_run_whole_and_is_not_passed_over(tmp_path, monkeypatch, when):
    heard = {"views": stopping_views(signal.SIGTERM, 15)}
    if when == "after it":
        close, heard = loop.Beside.close, {"views": own_views}
        monkeypatch.setattr(loop.Beside, "close", lambda self: (close(self), signal.raise_signal(signal.SIGTERM)))
    with pytest.raises(
        Stopped, match=r"stopped after update 15, the last: .*run is whole, and nothing is left"
    ) as stopped:
        fit(tmp_path / "run", **heard)
    monkeypatch.undo()
    assert stopped.value.ended and stopped.value.number == signal.SIGTERM
    fit(tmp_path / "whole", views=own_views)
    assert_same_end(tmp_path / "whole", tmp_path / "run")
    assert im.Run.resume(tmp_path / "run", progress=False).history[-1]["epoch"] == 3


def test_a_signal_where_on_epoch_ends_the_run_is_not_passed_over(tmp_path):
    with pytest.raises(Stopped, match="stopped after update 5 of 15; to continue"):
        fit(tmp_path / "run", on_epoch=lambda run: signal.raise_signal(signal.SIGTERM) is None)


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ((), r"train --resume \S*run"),
        (("views",), r"im\.Run\.resume\('\S*run', views=\.\.\.\)"),
        (("learner", "data"), r"im\.Run\.resume\('\S*run', learner=\.\.\., data=\.\.\.\)"),
        (("method",), r"im\.Run\.resume\('\S*run'\)"),
        (("recipe",), r"im\.Run\.resume\('\S*run'\)"),
    ],
    ids=lambda part: "-".join(part) if isinstance(part, tuple) else "",
)
def test_a_run_that_stops_says_what_goes_on_with_it_and_that_does(tmp_path, own, said):
    """The command cannot, where a part of it was put together by hand."""
    torch.manual_seed(0)
    learner = im.methods.jmi(im.encoders.get("toy"), projector=())
    given = {"learner": learner.edit(name="mine"), "data": torch.randn(64, 2), "views": own_views}
    given = {part: given[part] for part in own if part in given}
    if "method" in own:

        @im.methods.method
        def of_my_own(encoder, *, temperature=0.5):
            return im.methods.jmi(encoder, projector=(), temperature=temperature)

        learner = of_my_own(im.encoders.get("toy"))
    asked = {"learner": learner, "data": "gaussians"} | given
    if "recipe" in own:

        @im.views.own_recipe
        def of_my_own_views(size):
            return (im.views.ImageView(size=size),) * 2

        asked = {"data": "digits", "views": "of_my_own_views"}
        asked["learner"] = im.methods.jmi(im.encoders.get("mlp", channels=1, size=8), projector=())

    try:
        with pytest.raises(Stopped, match=f"; to continue: (uv run infomax |infomax )?{said}$"):
            im.train(
                **asked, epochs=2, out=tmp_path / "run", progress=False, gauge_samples=64,
                on_epoch=lambda run: signal.raise_signal(signal.SIGTERM) is None,
            )  # fmt: skip
        assert len(im.Run.resume(tmp_path / "run", **given, progress=False).history) == 2
    finally:
        im.methods.METHODS.pop("of_my_own", None)
        im.views.RECIPES.pop("of_my_own_views", None)


def test_signals_at_once_are_one_request_and_a_later_one_interrupts(tmp_path, monkeypatch):
    """SLURM, timeout and shells may send both, or one to the process and to its group."""

    def views(batch, index, *, seed, epoch):
        if int(index[0]) >= 0 and not asked:
            asked.append(1)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
                os.kill(os.getpid(), number)
        return own_views(batch, index, seed=seed, epoch=epoch)

    asked = []
    with pytest.raises(Stopped, match="stopped after update") as stopped:
        fit(tmp_path / "run", views=views, checkpoint_every="10min")
    assert stopped.value.number == signal.SIGINT and len(checkpoint.written(tmp_path / "run")) == 2
    monkeypatch.setattr(interrupt, "ONE_REQUEST", 0.0)
    with pytest.raises(KeyboardInterrupt), noted_signals(tmp_path):
        for _ in range(2):
            signal.raise_signal(signal.SIGTERM)
            time.sleep(0.01)


IN_C = """
import contextlib, hashlib, os, pathlib, signal, sys
from infomax.training import interrupt
signal.signal(signal.SIGINT, signal.default_int_handler)
interrupt.ONE_REQUEST = interrupt.UNWOUND = 0.1
owned = interrupt.whole_process() if sys.argv[1] == "command" else contextlib.nullcontext()
with owned, interrupt.noted_signals(pathlib.Path("run"), said=True) as seen:
    print("begun", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", int(sys.argv[2]))  # no handler of Python's is called meanwhile
    print("ended", seen, flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_process_that_is_forked_off_a_run_neither_holds_it_up_nor_passes_its_signals_on(tmp_path):
    code = """
import os, pathlib, signal, time
from infomax.training.interrupt import noted_signals
with noted_signals(pathlib.Path("run"), said=True) as seen:
    child = os.fork()
    if not child:
        signal.signal(signal.SIGTERM, lambda *_: None)
        time.sleep(1)
        time.sleep(60)
        os._exit(0)
    time.sleep(0.3)
    os.kill(child, signal.SIGTERM)
    time.sleep(1.5)
print("left", seen, flush=True)
os.kill(child, signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=50)
    assert ended.stdout == "left []\n" and "stopping" not in ended.stderr, ended.stderr


@pytest.mark.skipif(os.name != "posix", reason="signals are sent")
def test_a_signal_in_a_long_call_of_c_is_answered_and_a_second_one_ends_the_command_at_once(tmp_path):
    def begun(*asked):
        process = subprocess.Popen(
            [sys.executable, "-c", IN_C, *asked],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        )
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        return process, process.stderr.readline()

    asked = "infomax: stopping at the end of this update, with a checkpoint"
    process, said = begun("command", str(2**31 - 1))  # minutes
    assert said == f"{asked}; Ctrl-C again ends it at once, as of the last checkpoint\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said == "\ninfomax: stopped at once; it had no checkpoint yet, and the same command begins it anew\n"
    process, said = begun("script", str(10**6))  # of which it is not ours to end the process
    out, err = process.communicate(timeout=60)
    assert (said, out, err, process.returncode) == (f"{asked}\n", f"ended [{signal.SIGINT:d}]\n", "", 0)


def test_what_stops_soon_says_nothing_of_it(tmp_path, capsys):
    with pytest.raises(Stopped):
        fit(tmp_path / "run", views=stopping_views(signal.SIGINT, 7))
    assert "stopping" not in capsys.readouterr().err and signal.set_wakeup_fd(-1) == -1
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        signal.set_wakeup_fd(ours.fileno())  # as an event loop does
        with noted_signals(tmp_path, said=True) as seen:
            signal.raise_signal(signal.SIGTERM)
        assert seen == [signal.SIGTERM] and signal.set_wakeup_fd(-1) == ours.fileno()
        assert theirs.recv(8) == bytes([signal.SIGTERM])


def test_a_handler_that_is_not_pythons_is_left_alone(tmp_path, monkeypatch):
    """In R or Julia a signal may have one that Python cannot name."""
    set_to = []
    monkeypatch.setattr(signal, "signal", lambda number, handler: set_to.append((number, handler)))
    with noted_signals(tmp_path):
        assert len(set_to) == 2
    assert len(set_to) == 2


def test_a_signal_before_the_first_update_leaves_a_run_that_continues(tmp_path, monkeypatch):
    begun = loop.begun

    def signalled(*asked):
        signal.raise_signal(signal.SIGTERM)
        return begun(*asked)

    monkeypatch.setattr(loop, "begun", signalled)
    with pytest.raises(Stopped, match="stopped after update 1 of 15"):
        fit(tmp_path / "run", views=own_views)
    monkeypatch.undo()
    im.Run.resume(tmp_path / "run", views=own_views, progress=False)
    fit(tmp_path / "whole", views=own_views)
    assert_same_end(tmp_path / "whole", tmp_path / "run")


def test_a_signal_in_the_first_epoch_keeps_the_run(tmp_path):
    with pytest.raises(Stopped):
        fit(tmp_path / "run", views=stopping_views(signal.SIGTERM, 2), checkpoint_every=0)
    assert [checkpoint.step_of(path) for path in checkpoint.written(tmp_path / "run")] == [0, 2]
