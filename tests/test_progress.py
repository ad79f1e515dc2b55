"""Bars: many states where somebody watches, few in a file; and one place that decides it."""

import io
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

import infomax
from infomax import progress
from infomax.studies.folder import going_on
from infomax.studies.pool import run_kept


@dataclass(frozen=True)
class Job:
    seed: int


class Stream(io.StringIO):
    def __init__(self, terminal):
        super().__init__()
        self.terminal = terminal

    def isatty(self):
        return self.terminal


def drawn(monkeypatch, terminal, **options):
    monkeypatch.setattr(sys, "stderr", Stream(terminal))
    for _ in progress.meter(range(60), **options):
        time.sleep(0.01)
    return sys.stderr.getvalue().count("\r")


@pytest.mark.parametrize("options", [{}, {"mininterval": 0.05}])
def test_a_bar_in_a_file_is_drawn_at_its_begin_and_end_and_seldom_between(monkeypatch, options):
    assert drawn(monkeypatch, True, **options) >= 4
    assert drawn(monkeypatch, False, **options) <= 2
    assert drawn(monkeypatch, False, delay=5, **options) == 0


def test_a_bar_that_goes_on_is_drawn_at_once(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Stream(False))
    with progress.meter(total=10, initial=4, delay=2):
        assert "4/10" in sys.stderr.getvalue()


def test_a_bar_that_is_cleared_ends_at_its_full_count_where_it_shows(monkeypatch):
    for delay, shown in ((0.0, True), (60.0, False)):
        monkeypatch.setattr(sys, "stderr", Stream(False))
        with progress.meter(total=10, delay=delay, leave=False) as bar:
            for _ in range(10):
                bar.update()
            progress.whole(bar, delay)
        assert ("10/10" in sys.stderr.getvalue()) == shown


def test_a_bar_gets_its_length_later_in_a_notebook_too():
    drawn = SimpleNamespace(max=1, bar_style="info")
    with progress.meter(total=None, file=Stream(False)) as bar:
        bar.container = SimpleNamespace(children=(None, drawn, None))
        progress.lasts(bar, 40)
    assert bar.total == drawn.max == 40 and drawn.bar_style == ""


def test_a_bar_in_a_file_shows_after_its_delay_and_not_half_a_minute_later(monkeypatch):
    assert drawn(monkeypatch, False, delay=0.2) == 2  # and as it ends
    monkeypatch.setattr(sys, "stderr", Stream(False))
    with progress.meter(total=10, delay=0.1) as bar:
        bar.update()
        assert not sys.stderr.getvalue()
        time.sleep(0.15)
        bar.update()
        assert "2/10" in sys.stderr.getvalue()
        assert bar.format_dict["rate"] is None or bar.format_dict["rate"] > 2  # of 2 in .15 s, and not in half a minute
        bar.update()
        assert "3/10" not in sys.stderr.getvalue()
    assert progress.meter(total=10, delay=1, disable=True).disable


def test_a_terminal_without_a_width_has_a_bar(monkeypatch):
    pty = pytest.importorskip("pty")
    master, slave = pty.openpty()  # of 0 x 0
    with os.fdopen(slave, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with progress.meter(total=10, initial=4) as bar:
            bar.update()
        assert b"4/10" in os.read(master, 10_000)
    os.close(master)


def test_a_study_shows_in_a_file_before_its_first_run_has_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Stream(False))
    seen = []
    with going_on(tmp_path / "out", {}) as kept:
        run_kept(lambda job: seen.append(sys.stderr.getvalue()), [Job(1), Job(2)], 1, kept, "fig2")
    assert "fig2:   0%" in seen[0] and "0/2" in seen[0]


def test_a_notebook_has_eyes(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Stream(False))
    assert not progress.watched()
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    assert progress.watched()


def test_every_bar_is_made_there():
    package = Path(infomax.__file__).parent
    uses = [p.name for p in package.rglob("*.py") if "import tqdm" in p.read_text() or "tqdm(" in p.read_text()]
    assert uses == ["progress.py"]
