import math

import pytest

from infomax.errors import ConfigError
from infomax.sweep import Folder, Row, read
from infomax.sweep.search import TPE, Everything

optuna = pytest.importorskip("optuna", reason="Optuna is not installed: infomax[tpe]")

ASKED = {"method": "jmi", "data": "gaussians", "sampler": "tpe", "samples": 60}
ASKED |= {"random": {"lr": {"from": 1e-4, "to": 1.0, "log": True}, "projector": [[8], "16-8"]}}


def searched(grid, known=(), count=60):
    """Every cell that TPE asks for, one at a time, of a problem whose best rate is 0.01."""
    search, rows = TPE(grid, list(known)), []
    while len(rows) < count and (asked := search.ask(1)):
        for cell in asked:
            error = (cell.options["lr"] / 0.01 - 1) ** 2 + (cell.options["projector"] == [8])
            rows.append(Row(cell.name, "finished", cell.options, {"linear": -error}, 1, 0.0))
            search.tell(rows[-1])
    return rows


def test_tpe_draws_where_good_cells_are():
    rows = searched(read(ASKED))
    assert len(rows) == 60
    far = [sorted(abs(math.log10(row.options["lr"] / 0.01)) for row in part) for part in (rows[:10], rows[-20:])]
    assert far[1][10] < far[0][5] / 2  # medians; the first ten are drawn at random
    assert sum(row.options["projector"] == [16, 8] for row in rows[-20:]) > 14


def test_tpe_begins_again_with_what_is_known_and_draws_only_what_is_missing():
    grid = read(ASKED | {"samples": 8})
    first = searched(grid, count=5)
    again = searched(grid, known=first)
    assert [row.name for row in again[:5]] == [row.name for row in first] and len(again) == 8
    assert [row.name for row in searched(grid)][:5] == [row.name for row in first]


def test_a_cell_that_failed_is_told_as_such():
    search = TPE(read(ASKED | {"samples": 2}), [])
    (cell,) = search.ask(1)
    search.tell(Row(cell.name, "failed", cell.options, {}, 0, 0.0, "no"))
    assert search.study.trials[0].state is optuna.trial.TrialState.FAIL
    assert len(search.ask(1)) == 1 and not search.ask(1)


def test_a_grid_asks_for_everything_once(tmp_path):
    search = Everything(read({"method": "jmi", "data": "gaussians", "grid": {"seed": [0, 1, 1]}}))
    assert search.total == 2 and len(search.ask(1)) == 2 and not search.ask(1)
    with pytest.raises(ConfigError, match="is no sweep"):
        (tmp_path / "x").write_text("")
        Folder(tmp_path).begin([], {})
