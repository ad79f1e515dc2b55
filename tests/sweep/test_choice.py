"""What is chosen, by what, and of what: sweeps whose results are made up."""

import json

import pytest

from infomax.cli import main
from infomax.errors import ConfigError
from infomax.sweep import Cell, Folder, read
from infomax.sweep.page import write

FIXED = {"method": "jmi", "data": "gaussians"}


def made_up(path, results, **evaluate):
    """A sweep of cells with these options, and their metrics; of a text that error; of None nothing yet."""
    folder, cells = Folder(path), [Cell.of({**FIXED, **options}) for options, _ in results]
    folder.begin(cells, read({**FIXED, "evaluate": evaluate}).evaluate)
    for cell, (_, found) in zip(cells, results, strict=True):
        out = folder.cell(cell.name)
        out.mkdir(parents=True)
        if isinstance(found, str):
            (out / "error.json").write_text(json.dumps({"error": found}))
        elif found is not None:
            (out / "result.json").write_text(json.dumps({"metrics": found, "evaluate": evaluate.get("data")}))
    return str(path)


@pytest.fixture
def tell(capsys):
    """The exit status of a command, and what it prints."""

    def run(*command):
        code = main(["sweep", *command])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return run


def test_nothing_is_chosen_by_what_was_measured_on_the_test_set(tmp_path, tell):
    with pytest.raises(
        ConfigError, match=r"evaluate: metric 'online_probe' is measured on the test set.*take linear or knn"
    ):
        read({**FIXED, "evaluate": {"metric": "online_probe"}}, "grid.yaml")
    path = made_up(tmp_path, [({"lr": lr}, {"linear": 90.0 + lr, "online_knn": 80.0 - lr}) for lr in (1, 2)])
    for command in ("best", "table", "page"):
        code, said = tell(command, path, "--by", "online_knn")
        assert code == 2 and "'online_knn' is measured on the test set" in said and "91" not in said
    assert not (tmp_path / "index.html").exists()

    asked = json.loads((tmp_path / "sweep.json").read_text())  # of a sweep that was begun before it was refused
    asked["evaluate"]["metric"] = "online_knn"
    (tmp_path / "sweep.json").write_text(json.dumps(asked))
    assert tell("best", path)[0] == 2 and tell("best", path, "--by", "linear")[0] == 0


def test_the_lead_of_a_page_says_what_the_choice_was_by(tmp_path):
    results = [({"lr": lr}, {"linear": 90.0 + lr, "effective_rank": 3.0}) for lr in (1, 2)]
    path = made_up(tmp_path, results)
    assert "Chosen by linear on a held-out part of train, never the test set." in write(path).read_text()
    text = write(path, by="effective_rank").read_text()
    assert "Chosen by effective_rank, a gauge of the last epoch, without labels." in text and "held-out" not in text


def test_of_losses_the_lowest_is_the_best_and_the_goal_may_be_said(tmp_path, tell):
    path = made_up(tmp_path, [({"lr": 1}, {"linear": 60.0, "loss": 1.0}), ({"lr": 2}, {"linear": 70.0, "loss": 2.0})])
    for options, first in (([], "70.00"), (["--by", "loss"], "1.00"), (["--by", "loss", "--goal", "max"], "2.00")):
        for command, line in (("best", 0), ("table", 1)):
            code, said = tell(command, path, *options)
            assert code == 0 and first in said.splitlines()[line]
    assert tell("best", path, "--goal", "up")[0] == 2
    text = write(path, by="loss", goal="max").read_text()
    assert text.index("2.00") < text.index("1.00") and text.index("lr 2") < text.index("lr 1")
    assert read({**FIXED, "evaluate": {"metric": "loss"}}).evaluate["goal"] == "min"
    assert read({**FIXED, "evaluate": {"metric": "loss", "goal": "max"}}).evaluate["goal"] == "max"
