import math

import pytest
import yaml

from infomax.errors import ConfigError
from infomax.sweep import Cell, Folder, Row, command, read
from infomax.sweep.cell import record
from infomax.sweep.command import grid_of
from infomax.sweep.run import _samples
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


def test_cells_that_are_known_are_computed_where_the_grid_says_now():
    rows = searched(read(ASKED | {"samples": 2, "root": "/a", "checkpoint_every": 5}))
    asked = TPE(read(ASKED | {"samples": 2, "root": "/b", "checkpoint_every": 7}), rows).ask(2)
    assert [cell.name for cell in asked] == [row.name for row in rows]
    assert {(cell.options["root"], cell.options["checkpoint_every"]) for cell in asked} == {("/b", "7")}


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


@pytest.mark.parametrize(
    "drawn",
    [
        {"lr": ["1e-3", "1e-2"]},  # as YAML reads 1e-3
        {"accumulate": [1, 2]},
        {"accumulate": {"from": 1, "to": 4}},
        {"projector": ["64,32", "128-64", [8]]},
        {"method": ["moco-v2", "simclr"]},
        {"size": [None, 8]},
    ],
)
def test_cells_are_known_again_however_their_choices_are_written(drawn):
    asked = {"method": "jmi", "data": "gaussians", "sampler": "tpe", "samples": 6}
    grid = read(
        {k: v for k, v in asked.items() if k not in drawn} | {"random": {**drawn, "lr_batch": {"from": 64, "to": 999}}}
    )
    if "lr" in drawn:
        assert grid.random["lr"] == ["1e-3", "1e-2"]
    first = known(grid, {}, 4)
    assert len(first) == 4 and [cell.name for cell in TPE(grid, list(first.values())).ask(1)] == list(first)
    whole = known(grid, first, 99)
    assert len(whole) == 6 and known(grid, whole, 99) == whole


def known(grid, rows, most):
    """The cells of a folder after a call, those of before first; at most so many are run."""
    search, rows = TPE(grid, list(rows.values())), dict(rows)
    while len(rows) < most and (asked := search.ask(1)):
        for cell in asked:
            rows.setdefault(
                cell.name, Row(cell.name, "finished", cell.options, {"linear": -cell.options["lr"]}, 1, 0.0)
            )
            search.tell(rows[cell.name])
    return rows


def test_a_cell_of_another_grid_whose_option_is_off_is_not_taken_for_one_of_these():
    grid = read(ASKED | {"samples": 2, "random": {"clip_norm": {"from": 0.1, "to": 5.0}}})
    off, on = (Cell.of({"method": "jmi", "data": "gaussians", **o}) for o in ({}, {"clip_norm": 1}))
    rows = {cell.name: Row(cell.name, "finished", cell.options, {"linear": 1.0}, 1, 0.0) for cell in (off, on)}
    assert off.options["clip_norm"] is None
    search = TPE(grid, list(rows.values()))
    assert [cell.name for cell in search.ask(1)] == [on.name]


@pytest.mark.parametrize(("samples", "cells"), [(8, 8), (9, 9), (20, 9)])
def test_of_few_choices_a_search_has_as_many_cells_as_were_asked_for_and_then_none(samples, cells):
    drawn = {"lr": [0.1, "1e-1", 0.01, 0.001], "epochs": {"from": 1, "to": 3}}
    grid = read(ASKED | {"samples": samples, "random": drawn})
    rows = known(grid, {}, 99)
    assert len(rows) == TPE(grid, []).total == cells
    assert list(known(grid, rows, 99)) == list(rows)


def test_a_cell_without_a_finite_metric_is_told_as_failed():
    search = TPE(read(ASKED | {"samples": 3}), [])
    for metrics in ({"knn": 1.0}, {"linear": math.nan}):
        (cell,) = search.ask(1)
        search.tell(Row(cell.name, "finished", cell.options, metrics, 1, 0.0))
    assert {trial.state for trial in search.study.trials} == {optuna.trial.TrialState.FAIL}


def test_a_search_that_is_begun_again_says_how_many_cells_had_ended(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "run", lambda grid, out, **_: [])
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(ASKED | {"samples": 3}))

    def said():
        command.start(str(tmp_path / "grid.yaml"), str(tmp_path / "out"), (), {"retry": False})
        return capsys.readouterr().out

    assert "earlier" not in said()
    grid, folder = grid_of(str(tmp_path / "grid.yaml")), Folder(tmp_path / "out")
    cells = [*TPE(grid, []).ask(2), Cell.of({"method": "jmi", "data": "digits"})]  # the last is of another grid
    folder.begin(cells, grid.evaluate)
    assert "earlier" not in said()  # begun, and not ended
    for cell in cells[1:]:
        record(folder.cell(cell.name), MemoryError("no memory"))
    assert "1 of 3 ended earlier; 1 of them failed, and --retry runs such again" in said()


def test_what_tpe_could_draw_and_no_cell_can_have_is_said_before_it_draws():
    for drawn in ({"lr": {"from": -1, "to": 1}}, {"temperature": [0.1, 0]}):
        with pytest.raises(ConfigError, match="must be"):
            TPE(read({**ASKED, "random": drawn}), [])


@pytest.mark.parametrize("epochs", [[10, 100], [100, 10]])
def test_choices_that_only_some_others_go_with_are_drawn_however_they_are_listed(epochs):
    asked = {k: v for k, v in ASKED.items() if k != "random"} | {"random": {"epochs": epochs, "warmup_epochs": [5, 50]}}
    for seed in range(4):  # of which some draw 10 and 50 first
        assert TPE(read({**asked, "sampler_seed": seed}), []).choices == {
            "epochs": epochs,
            "warmup_epochs": [5.0, 50.0],
        }
    with pytest.raises(ConfigError, match="warmup_epochs=200"):
        TPE(read({**asked, "random": {"epochs": epochs, "warmup_epochs": [5, 200]}}), [])


def test_values_that_do_not_go_together_fail_their_cell_and_not_the_search():
    drawn = {"epochs": [1, 20], "warmup_epochs": [0, 5]}
    for seed in range(4):  # whichever is drawn first
        grid = read(ASKED | {"random": drawn, "samples": 4, "sampler_seed": seed})
        search = TPE(grid, [])
        assert "not all that is drawn goes together (warmup_epochs=5.0: longer than the run" in search.apart
        assert search.total == 4 and len(_samples(grid)) == 1
        cells = search.ask(4)
        assert sorted((c.options["epochs"], c.options["warmup_epochs"]) for c in cells)[1] == (1, 5)
    with pytest.raises(ConfigError, match="warmup_epochs=50"):
        TPE(read(ASKED | {"random": drawn | {"warmup_epochs": [0, 50]}}), [])
