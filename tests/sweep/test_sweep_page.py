import json

import pytest

from infomax.errors import ConfigError
from infomax.report.run import _glance
from infomax.report.subject import Subject
from infomax.sweep import Folder, read
from infomax.sweep.command import table
from infomax.sweep.page import coordinates, marginals, write
from infomax.sweep.titles import titles

FIXED = {"method": "jmi", "data": "gaussians"}
GRID = {"lr": [1e-4, 1e-3, 1e-2], "projector": ["8", "16-8"], "compile": [True, False]}


@pytest.fixture
def folder(tmp_path):
    """A sweep of twelve cells whose results are made up: eleven have finished, one has failed."""
    made = Folder(tmp_path / "sweep")
    grid = read({**FIXED, "grid": GRID})
    made.begin(grid.cells(), grid.evaluate)
    for n, cell in enumerate(grid.cells()):
        made.cell(cell.name).mkdir(parents=True)
        found = {"metrics": {"linear": 90.0 + n}, "evaluate": None} if n else {"error": "NaN at step 3"}
        (made.cell(cell.name) / ("result.json" if n else "error.json")).write_text(json.dumps(found))
    return made


def test_the_page_shows_every_cell_and_what_failed(folder):
    text = write(folder.path).read_text()
    assert "11 of 12 cells have finished" in text and "never the test set" in text and "NaN at step 3" in text
    assert all(row.name in text for row in folder.rows())
    assert '"type":"parcoords"' in text


def test_axes_have_a_place_for_every_value(folder):
    done = [row for row in folder.rows() if row.state == "finished"]
    axes = coordinates(done, ["lr", "projector", "compile"], "linear").data[0].dimensions
    assert [axis.label for axis in axes] == ["lr", "projector", "compile", "linear"]
    assert list(axes[0].tickvals) == [-4, -3, -2] and list(axes[0].ticktext) == ["0.0001", "0.001", "0.01"]
    assert list(axes[1].ticktext) == ["16-8", "8"] and list(axes[2].ticktext) == ["False", "True"]
    for axis in axes[:3]:
        near = [min(abs(v - tick) for tick in axis.tickvals) for v in axis.values]
        assert max(near) <= 0.0401 * (axis.tickvals[-1] - axis.tickvals[0])
        assert len(set(axis.values)) == 11 and axis.range[0] < min(axis.values) and max(axis.values) < axis.range[1]
    assert list(axes[3].values) == [row.metrics["linear"] for row in done]


def test_means_are_of_the_cells_with_that_value(folder):
    done = [row for row in folder.rows() if row.state == "finished"]
    figure = marginals(done, ["lr"], "linear")
    line = next(trace for trace in figure.data if trace.mode == "lines")
    assert list(line.x) == [1e-4, 1e-3, 1e-2] and list(line.y) == [92.0, 95.5, 99.5]
    assert figure.layout.xaxis.type == "log"


def test_seeds_are_no_axis_and_their_mean_is_one_point(tmp_path):
    made, grid = Folder(tmp_path), read({**FIXED, "grid": {"lr": [0.1, 0.2], "temperature": [0.1], "seed": [0, 1]}})
    made.begin(grid.cells(), grid.evaluate)
    for cell in grid.cells():
        made.cell(cell.name).mkdir(parents=True)
        found = {"linear": 100 * cell.options["lr"] + 4 * cell.options["seed"]}
        (made.cell(cell.name) / "result.json").write_text(json.dumps({"metrics": found, "evaluate": None}))
    points = marginals(made.rows(), ["lr"], "linear").data[0]
    assert dict(zip(points.x, points.y, strict=True)) == {0.1: 12.0, 0.2: 22.0}
    assert all(len(names.split(", ")) == 2 for names in points.text)
    text = write(tmp_path).read_text()
    axes = json.loads(text.split('id="data-0">')[1].split("</script>")[0])["data"][0]["dimensions"]
    assert [axis["label"] for axis in axes] == ["lr", "linear"] and [len(axis["values"]) for axis in axes] == [4, 4]


def test_nothing_is_drawn_of_nothing(tmp_path):
    folder = Folder(tmp_path)
    folder.begin(read(FIXED).cells(), read(FIXED).evaluate)
    with pytest.raises(ConfigError, match="no cell has finished"):
        write(tmp_path)


def test_a_table_by_another_metric_than_the_sweep_s_own_has_the_highest_first(tmp_path, capsys):
    folder, grid = (
        Folder(tmp_path),
        read({**FIXED, "evaluate": {"metric": "loss", "goal": "min"}, "grid": {"lr": [1, 2]}}),
    )
    folder.begin(grid.cells(), grid.evaluate)
    for cell, found in zip(grid.cells(), ({"loss": 1.0, "linear": 60.0}, {"loss": 2.0, "linear": 70.0}), strict=True):
        folder.cell(cell.name).mkdir(parents=True)
        (folder.cell(cell.name) / "result.json").write_text(json.dumps({"metrics": found, "evaluate": None}))
    for by, first in ((None, "1.00"), ("loss", "1.00"), ("linear", "70.00")):
        table(str(tmp_path), by)
        assert first in capsys.readouterr().out.splitlines()[1]


def test_what_was_not_set_is_a_dash_and_minutes_are_a_clocks(folder):
    text = write(folder.path).read_text()
    assert "<td>None</td>" not in text and "<td>\N{EN DASH}</td>" in text
    assert "<td>0.00</td>" in text


def test_cells_shown_as_runs_are_called_by_what_tells_them_apart(folder, tmp_path):
    cells = {row.name: row.options for row in folder.rows()}
    found = titles([folder.cell(name) for name in cells])
    told = [
        f"jmi, compile {o['compile']}, lr {o['lr']:g}, projector {'-'.join(map(str, o['projector']))}"
        for o in cells.values()
    ]
    assert [sorted(title.split(", ")) for title in found] == [sorted(one.split(", ")) for one in told]
    other = Folder(tmp_path / "other")
    other.begin(read({**FIXED, "grid": GRID}).cells(), {})
    twice = next(iter(cells))
    both = titles([folder.cell(twice), other.cell(twice), tmp_path / "run"])
    assert both[:2] == [f"{found[0]} ({sweep}/{twice})" for sweep in ("sweep", "other")] and both[2] is None
    for damaged in ("damaged", [], {"evaluate": {}, "cells": {twice: {"lr": 1}, "b": None}}):
        (folder.path / "sweep.json").write_text(damaged if isinstance(damaged, str) else json.dumps(damaged))
        assert titles([folder.cell(twice)]) == [None]


def test_a_cell_that_is_shown_as_a_run_names_its_folder_too(tmp_path):
    def shown(name):
        made = Subject(name, "jmi", {"data": {}, "training": {}}, [], path=tmp_path / "4af1")
        return _glance(made)["run"]

    assert shown("jmi, lr 0.1") == "`jmi, lr 0.1` in `4af1`" and shown("4af1") == "`4af1`"
    assert shown("jmi, lr 0.1 (sweep/4af1)") == "`jmi, lr 0.1 (sweep/4af1)`"
