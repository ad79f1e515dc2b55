"""What is chosen, by what, and of what: sweeps whose results are made up."""

import json
import re

import pytest

import infomax as im
from infomax.cli import main
from infomax.errors import ConfigError
from infomax.sweep import Cell, Folder, read
from infomax.sweep.folder import Row
from infomax.sweep.metrics import GAUGES
from infomax.sweep.page import marginals, write
from infomax.sweep.ranking import mixed
from infomax.sweep.run import _stands

FIXED = {"method": "jmi", "data": "gaussians"}


def made_up(path, results, beside=None, **evaluate):
    """A sweep of cells with these options, and their metrics; of a text that error; of None nothing yet; beside them in the
    result of each."""
    folder, cells = Folder(path), [Cell.of({**FIXED, **options}) for options, _ in results]
    folder.begin(cells, read({**FIXED, "evaluate": evaluate}).evaluate)
    for cell, (_, found) in zip(cells, results, strict=True):
        out = folder.cell(cell.name)
        out.mkdir(parents=True)
        if isinstance(found, str):
            (out / "error.json").write_text(json.dumps({"error": found}))
        elif found is not None:
            result = {"metrics": found, "evaluate": evaluate.get("data"), **(beside or {})}
            (out / "result.json").write_text(json.dumps(result))
    return str(path)


@pytest.fixture
def tell(capsys):
    """The exit status of a command, and what it prints."""

    def run(*command):
        code = main(["sweep", *command])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return run


def test_a_misspelt_metric_is_refused_before_a_cell_is_trained():
    with pytest.raises(ConfigError, match=r"grid\.yaml: evaluate: no metric 'liner': did you mean 'linear'"):
        read({**FIXED, "evaluate": {"metric": "liner"}}, "grid.yaml")


def test_the_gauges_are_those_of_a_log():
    run = im.train(im.methods.jmi(im.encoders.get("toy"), projector=()), "gaussians", epochs=1, progress=False)
    assert set(GAUGES) == set(run.history[-1]) - {"epoch", "lr", "seconds", "skipped"}


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


def test_how_many_rows_a_choice_is_made_on_and_files_that_could_not_be_read_are_told_once(tmp_path, tell):
    found = [({"lr": lr}, {"linear": 90.0 + lr, "loss": 1.0}) for lr in (1, 2)]
    path = made_up(tmp_path / "a", found, {"held": 203, "skipped": {"cut *a* short": 2}})
    said = "linear on 203 held-out rows of train, never the test set"
    for command in ("best", "table"):
        text = tell(command, path)[1]
        assert said in text and text.count("could not be read: 2 files of cut *a* short (") == 1
        assert "held-out" not in tell(command, path, "--by", "loss")[1]
    page = write(path).read_text()
    assert said in page and page.count("could not be read: 2 files of <code>cut *a* short</code> (") == 1
    bare = made_up(tmp_path / "b", found, {"skipped": {"whole": 0}})
    assert "on a held-out part of train" in tell("best", bare)[1] and "be read" not in tell("table", bare)[1]


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


def test_settings_that_tie_are_named_beside_the_best(tmp_path, tell):
    found = [({"lr": lr}, {"linear": value}) for lr, value in ((0.1, 90.0), (0.2, 90.0), (0.3, 80.0))]
    said = tell("best", made_up(tmp_path / "two", found))[1]
    assert "best: lr=0.1: " in said and "as good, and behind it by the order of the grid alone: lr=0.2\n" in said
    assert "as good" not in tell("best", made_up(tmp_path / "one", found[1:]))[1]
    two, one = (json.loads(tell("best", str(tmp_path / name), "--json")[1]) for name in ("two", "one"))
    assert [options["lr"] for options in two["tied"]] == [0.2] and two["options"]["lr"] == 0.1 and one["tied"] == []
    seeds = [({"lr": lr, "seed": seed}, {"linear": 90.0}) for lr in (0.1, 0.2) for seed in (0, 1)]
    failed = [*seeds[:3], (seeds[3][0], "NaN")]
    assert "alone: lr=0.2\n" in tell("best", made_up(tmp_path / "seeds", seeds))[1]
    assert "as good" not in tell("best", made_up(tmp_path / "failed", failed))[1]
    shares = [[89.16666666666667, 90.0, 90.27777777777777], [90.0, 90.27777777777777, 89.16666666666667 + 1e-14]]
    apart = [({"lr": k, "seed": seed}, {"linear": v}) for k, of in enumerate(shares, 1) for seed, v in enumerate(of)]
    assert "as good" in tell("best", made_up(tmp_path / "apart", apart))[1]
    many = [({"lr": lr / 10}, {"linear": 90.0}) for lr in range(1, 7)]
    assert "alone: lr=0.2; lr=0.3; lr=0.4, and 2 more\n" in tell("best", made_up(tmp_path / "many", many))[1]


def test_a_head_without_layers_is_named(tmp_path, tell):
    path = made_up(tmp_path, [({"projector": p}, {"linear": 90.0 - len(p)}) for p in ([], [64, 32])])
    assert "best: projector=none: " in tell("best", path)[1]
    said = tell("table", path)[1]
    assert [line.split()[0] for line in said.splitlines()[1:3]] == ["none", "64-32"]


def test_a_setting_of_which_seeds_failed_says_so_and_stands_behind_whole_ones(tmp_path, tell):
    lucky = [({"lr": 2, "seed": 0}, {"linear": 99.0}), *(({"lr": 2, "seed": k}, "NaN") for k in (1, 2))]
    whole = [({"lr": 1, "seed": k}, {"linear": 90.0 + k}) for k in range(3)]
    path = made_up(tmp_path, [*lucky, *whole, ({"lr": 3, "seed": 0}, {"linear": 95.0}), ({"lr": 3, "seed": 1}, None)])
    code, said = tell("table", path)
    assert code == 0 and [line.split()[0] for line in said.splitlines()[1:4]] == ["1", "2", "3"]
    assert "99.00 (1 of 3 seeds; 2 failed)" in said and "95.00 (1 of 2 seeds; 1 waiting)" in said
    said = tell("best", path)[1]
    assert "91.00 ± 1.00 (sd of 3 seeds)" in said
    (line,) = (line for line in said.splitlines() if line.startswith("the test set, once, for "))
    names = line.removeprefix("the test set, once, for ").split(": ")[0].split(", ")
    cells = line.split("infomax evaluate ")[1].split(" ")[:3]
    assert len(names) == 3 and [cell.rsplit("/", 1)[1] for cell in cells] == names
    found = json.loads(tell("best", path, "--json")[1])
    assert (found["options"]["lr"], found["n"], found["asked"]) == (1, 3, 3)
    text = write(path).read_text()
    assert "99.00 (1 of 3 seeds; 2 failed)" in text and text.index("lr 1") < text.index("lr 2")

    path = made_up(tmp_path / "alone", lucky)  # where none is whole, what there is
    assert "99.00 (1 of 3 seeds; 2 failed)" in tell("best", path)[1]
    assert json.loads(tell("best", path, "--json")[1])["asked"] == 3


def test_seeds_that_are_computed_in_several_places_are_one_setting(tmp_path, tell):
    where = ({"root": "/a"}, {"root": "/b", "keep": 5}, {})
    path = made_up(tmp_path, [({"seed": k, **o}, {"linear": 90.0 + k}) for k, o in enumerate(where)])
    code, said = tell("table", path)
    assert code == 0 and said.splitlines()[:2] == ["linear", "91.00 ± 1.00 (sd of 3 seeds)"]
    text = write(path).read_text()
    assert '"label":"seed"' not in text and '"label":"root"' not in text, "which are no options to choose"


def test_precisions_that_machines_settled_otherwise_are_said_below_the_table(tmp_path, tell):
    folder = Folder(made_up(tmp_path, [({"seed": k, "precision": "auto"}, {"linear": 90.0 + k}) for k in range(3)]))
    names = [row.name for row in folder.rows()]

    def settle(*precisions):
        for name, precision in zip(names, precisions, strict=True):
            asked = {"precision": precision} | dict.fromkeys(("method", "encoder", "data", "views"))
            (folder.cell(name) / "config.json").write_text(json.dumps(asked | {"training": asked}))

    assert "auto" not in tell("table", str(tmp_path))[1]  # of results alone nothing is known
    settle("32-true", "32-true", "32-true")
    assert "auto" not in tell("table", str(tmp_path))[1]
    settle("bf16-mixed", "32-true", "bf16-mixed")
    line = f"precision auto came to 32-true in 1 cell, bf16-mixed in 2 cells, by the machine (32-true: {names[1]})"
    for command in ("table", "best"):
        assert f"  {line}: means and settings mix them" in tell(command, str(tmp_path))[1].splitlines()
    assert line.replace("precision", "Precision", 1) in write(tmp_path).read_text()


@pytest.mark.parametrize(
    ("options", "listed", "stands"), [({"budget": "5min"}, False, "epoch 2"), ({"epochs": 7}, True, "epoch 2 of 7")]
)
def test_epochs_are_told_where_they_decide_the_length(tmp_path, tell, options, listed, stands):
    path = made_up(tmp_path, [({**options, "lr": 1}, {"linear": 1.0}), ({**options, "lr": 2}, None)])
    begun = next(row.name for row in Folder(path).rows() if row.state != "finished")
    with Folder(path).lock(begun):  # in its first epoch there is no log yet
        line = next(line for line in tell("status", path)[1].splitlines() if begun in line)
    assert line.startswith("  running") and line.endswith(stands.replace("2", "0"))
    (Folder(path).cell(begun) / "log.jsonl").write_text('{"epoch": 1, "seconds": 1}\n{"epoch": 2, "seconds": 1}\n')
    shared = write(path).read_text().split("What all cells share")[-1]
    assert ('"row">epochs<' in shared, '"row">batch_size<' in shared) == (listed, True)
    assert next(line for line in tell("status", path)[1].splitlines() if begun in line).endswith(stands)


@pytest.fixture
def judged_at(tmp_path, tell):
    """What is said below the table of cells (here seeds) whose whole images were judged at sizes; of None nothing was kept."""

    def say(*sizes, views=4, **options):
        path = tmp_path / str(len(list(tmp_path.iterdir())))
        folder = Folder(made_up(path, [({"seed": k, **options}, {"linear": 90.0 + k}) for k in range(len(sizes))]))
        names = [row.name for row in folder.rows()]
        for name, size in zip(names, sizes, strict=True):
            asked = {part: {} for part in ("method", "encoder", "data", "training")} | {"views": {"size": views}}
            (folder.cell(name) / "config.json").write_text(json.dumps(asked))
            kept = json.loads((folder.cell(name) / "result.json").read_text())
            kept |= {} if size is None else {"size": size}
            (folder.cell(name) / "result.json").write_text(json.dumps(kept))
        said = [tell(command, str(path))[1] for command in ("table", "best")] + [write(path).read_text()]
        assert len({"ot comparable" in text for text in said}) == 1
        return next((line.strip() for line in said[0].splitlines() if "not comparable" in line), ""), names

    return say


def test_cells_whose_whole_images_were_judged_at_another_size_are_said_not_to_be_comparable(judged_at):
    said, names = judged_at(4, 8, 4)
    why = "not comparable, since whole images were judged at another size than the"
    assert said == f"{why} 4 px of {names[0]}: {names[1]} (8 px)"
    assert judged_at(8, 8, 8)[0] == ""
    said, names = judged_at(None, 8, 8)  # of older sources, which judged at the views' size
    assert said == f"{why} 4 px of {names[0]}: {names[1]} (8 px), {names[2]} (8 px)"
    assert judged_at(None, 4, 4)[0] == judged_at(None, None)[0] == ""
    said, names = judged_at(8, None, views=None)
    assert said == f"{why} 8 px of {names[0]}: {names[1]} (size not known)"


def test_cells_of_other_views_are_judged_at_sizes_of_their_own():
    rows = [
        Row(f"{px}-{v}", "finished", {"data": "d", "size": px, "views": v}, {}, 1, 0.0, size=px * times)
        for px in (4, 8)
        for v, times in (("simclr", 1), ("small", 2))
    ]
    assert mixed(rows) == ""
    by_size = [  # of the data trained on: what views are by default follows it
        Row(name, "finished", {"data": name, "size": None}, {}, 1, 0.0, judged_by="c", size=px)
        for name, px in (("a", 16), ("b", 32))
    ]
    assert mixed(by_size) == ""


def test_cells_without_the_metric_are_left_out_and_named(tmp_path, tell):
    path = made_up(tmp_path, [({"lr": 1}, {"linear": 1.0, "knn": 2.0}), ({"lr": 2}, {"linear": 3.0})])
    bare = next(row.name for row in Folder(path).rows() if "knn" not in row.metrics)
    for command in ("best", "table"):
        code, said = tell(command, path, "--by", "knn")
        assert (
            code == 0
            and f"left out, for want of knn: {bare}" in said
            and "knn 2.00" in said.replace("knn\n1   ", "knn ")
        )
    assert f"Left out, for want of knn: {bare}." in write(path, by="knn").read_text()
    assert "left out" not in tell("table", path)[1]
    code, said = tell("table", path, "--by", "knm")
    assert code == 2 and "did you mean 'knn'" in said


def test_where_nothing_is_finite_there_is_no_best(tmp_path, tell):
    path = made_up(tmp_path, [({"lr": lr}, {"linear": float("nan"), "knn": lr}) for lr in (1, 2)])
    for command in (["best", path], ["best", path, "--json"], ["table", path], ["page", path]):
        code, said = tell(*command)
        assert code == 2 and "nothing has a finite 'linear'" in said and "best: " not in said.replace("no best: ", "")
    code, said = tell("best", path, "--by", "knn")
    assert code == 0 and "knn 2.00" in said
    code, said = tell("status", path, "--json")
    assert code == 0 and json.loads(said, parse_constant=pytest.fail)[0]["metrics"] == {"linear": None, "knn": 1}
    code, said = tell("table", path, "--csv")
    assert code == 0 and said.count("nan") == 2
    assert said.splitlines()[0].startswith("cell,state,collapsing,") and said.count(",finished,False,") == 2


def test_results_beyond_all_numbers_are_passed_by(tmp_path, tell):
    huge = [({"lr": 1, "seed": s}, {"linear": v}) for s, v in enumerate((1e308, 1.2e308))]
    beyond = [({"lr": 2, "seed": s}, {"linear": v}) for s, v in enumerate((float("inf"), float("-inf")))]
    path = made_up(tmp_path, [*huge, *beyond, ({"lr": 3, "seed": 0}, {"linear": float("nan")})])
    code, said = tell("best", path, "--json")
    assert code == 0 and json.loads(said)["mean"] == 1.1e308
    assert tell("table", path)[0] == 0 and tell("page", path)[0] == 0
    rows = {row.name: row for row in Folder(path).rows()}
    assert _stands(rows, "linear", "min").startswith("best linear (held out) 1000")


def test_the_best_says_on_which_data_it_is_probed(tmp_path, tell):
    """What was trained on may have no labels: the command would be refused."""
    results = [({"lr": 0.1}, {"linear": 90.0, "effective_rank": 3.0})]
    path = made_up(tmp_path / "a folder", results, data="digits", metric="linear")
    assert re.search(r"infomax probe '[^']*a folder/cells/\w+' --data digits$", tell("best", path)[1], re.M)
    path = made_up(tmp_path / "gauge", results, metric="effective_rank")
    assert "--data LABELLED" in tell("best", path)[1]
    path = made_up(tmp_path / "own", results)
    assert "--data" not in tell("best", path)[1]


def test_what_a_method_alone_has_is_no_column(tmp_path, tell):
    asked = [{"method": m, "lr": lr} for m in ("vicreg", "simclr", "byol") for lr in (0.1, 0.2)]
    path = made_up(tmp_path, [(one, {"linear": 90.0 + one["lr"]}) for one in asked])
    code, said = tell("table", path)
    assert code == 0 and said.splitlines()[0].split() == ["method", "lr", "linear"]
    assert "left out, as each method has one value of it: " in said and "temperature" in said
    code, said = tell("best", path)
    assert code == 0 and "best: method=vicreg, lr=0.2: linear 90.20" in said
    code, said = tell("table", path, "--csv")
    assert code == 0 and {"method", "lr", "temperature", "momentum"} <= set(said.splitlines()[0].split(","))
    text = write(path).read_text()
    assert "What each method has" in text and ">method <code>vicreg</code>, lr 0.2<" in text


def test_the_bar_of_a_sweep_tells_what_was_held_out_from_a_gauge(tmp_path):
    path = made_up(tmp_path, [({"lr": lr}, {"linear": 90.0 + lr, "bound": lr}) for lr in (1.0, 2.0)])
    rows = {row.name: row for row in Folder(path).rows()}
    assert _stands(rows, "linear", "max") == "best linear (held out) 92.00"
    assert _stands(rows, "bound", "max") == "best bound 2.00"


def test_the_text_of_an_option_stands_on_a_page_as_it_is(tmp_path):
    names = ("/shards/*/train/*.tar", "/data/<b>bold</b>.npz")
    path = made_up(tmp_path, [*(({"data": n}, {"linear": 1.0}) for n in names), ({"lr": 1}, "no */one/* here")])
    text = write(path).read_text()
    assert "<code>/shards/*/train/*.tar</code>" in text and "no */one/* here" in text and "<em>" not in text
    done = [row for row in Folder(path).rows() if row.state == "finished"]
    drawn = marginals(done, ["data"], "linear").data[0]
    assert list(drawn.x) == ["/shards/*/train/*.tar", "/data/&lt;b&gt;bold&lt;/b&gt;.npz"]  # plotly reads a small HTML
    path = made_up(tmp_path / "alike", [({"data": names[0], "lr": lr}, {"linear": 1.0}) for lr in (1, 2)])
    assert "<code>/shards/*/train/*.tar</code>" in write(path).read_text()


def test_labels_that_changed_make_cells_incomparable_only_where_they_are_judged_by():
    def rows(use, *known, judged_by=None):
        return [
            Row(str(k), "finished", {"data": "d.npz"}, {}, 1, 0.0, "", {use: c}, judged_by) for k, c in enumerate(known)
        ]

    a, b = ({"images": "same", "labels": version} for version in "ab")
    assert mixed(rows("trained", a, b)) == ""
    assert mixed(rows("judged", a, b)).endswith(": 1")
    assert mixed(rows("trained", None, {"images": "x"}, {"images": "y"})).endswith(": 2")


def test_the_best_of_a_sweep_that_has_not_finished_is_said_not_to_be_final(tmp_path, tell):
    done = [({"lr": lr}, {"linear": 90.0 + lr}) for lr in (1, 2)]
    path = made_up(tmp_path / "begun", [*done, ({"lr": 3}, None)])
    final = "so the choice is not final"
    said = tell("best", path)[1].splitlines()
    told = f"3 cells: 2 finished, 1 waiting; chosen of the cells that are finished so far, {final}"
    assert said.index(told) < next(n for n, line in enumerate(said) if line.startswith("the test set"))
    found = json.loads(tell("best", path, "--json")[1])
    assert (found["cells"], found["finished"]) == (3, 2)
    said = tell("best", made_up(tmp_path / "failed", [*done, ({"lr": 3}, "NaN")]))[1]
    assert "3 cells: 2 finished, 1 failed; chosen of the cells that are finished" in said and final not in said
    assert "cells: 2 finished" not in tell("best", made_up(tmp_path / "whole", done))[1]


def test_cells_that_the_grid_no_longer_names_are_not_waited_for(tmp_path, tell):
    done = [({"lr": lr, "seed": 0}, {"linear": 90.0 + lr}) for lr in (1, 2)]
    path = made_up(tmp_path, [*done, ({"lr": 3}, None), ({"lr": 2, "seed": 1}, None), ({"lr": 4}, "NaN")])
    folder, names = Folder(path), [Cell.of({**FIXED, **options}).name for options, _ in done]
    assert "2 waiting" in tell("status", path)[1]
    with folder.lock(other := next(row.name for row in folder.rows() if row.state == "waiting")):
        folder.begin([], folder.read()["evaluate"], names)  # beside a sweep of the other cells
        assert sorted(row.state for row in folder.rows() if row.state not in ("finished", "failed")) == [
            "running",
            "waiting",
        ]
    folder.begin([], folder.read()["evaluate"], names)
    assert "5 cells: 2 finished, 1 failed, 2 dropped" in tell("status", path)[1]
    said = tell("best", path)[1]
    assert "3 cells: 2 finished, 1 failed; chosen of the cells that are finished" in said and "final" not in said
    assert "lr=2: linear 92.00" in said and "1 of 2 seeds" not in said
    found = json.loads(tell("best", path, "--json")[1])
    assert (found["cells"], found["finished"], found["asked"]) == (3, 2, 1)
    assert "dropped" not in tell("table", path)[1] and "2 of 3 cells have finished" in write(path).read_text()
    folder.begin([cell for cell in [Cell.of({**FIXED, "lr": 3})] if cell.name == other], folder.read()["evaluate"])
    assert "1 waiting, 1 dropped" in tell("status", path)[1]  # asked for again


def test_signs_of_collapse_are_told_of_settings_and_cells(tmp_path, tell):
    cells = [({"lr": lr, "seed": k}, {"linear": 90.0 + lr}) for lr in (1, 2, 3) for k in (0, 1)]
    folder = Folder(path := made_up(tmp_path, cells))
    *_, other, few, flagged, ended = names = [row.name for row in folder.rows()]

    def watched(name, said, rank):
        (folder.cell(name) / "watch.json").write_text(json.dumps({"said": said, "phases": {"0": {"rank": 40.0}}}))
        row = {"epoch": 1, "std": 0.9, "effective_rank": rank, "seconds": 1.0}
        (folder.cell(name) / "log.jsonl").write_text(json.dumps(row) + "\n")

    collapsed = {"epoch": 1, "std": 0.01, "effective_rank": 1.0, "seconds": 1.0}
    (folder.cell(names[0]) / "log.jsonl").write_text(json.dumps(collapsed) + "\n")  # no watch was kept
    for command in ("table", "best", "status", "page"):
        assert "sign of collapse" not in tell(command, path)[1]
    assert "a sign of collapse" not in (tmp_path / "index.html").read_text()

    watched(other, None, 20.0), watched(few, None, 4.0), watched(flagged, {"epoch": 1}, 20.0), watched(ended, None, 1.4)
    lines = tell("table", path)[1].splitlines()
    assert lines[1].endswith("(sd of 2 seeds); a sign of collapse in 2 of 2 seeds")
    assert not any("sign of collapse" in line for line in lines[2:])
    assert f"  a sign of collapse in 2 cells: {flagged}, {ended}" in tell("status", path)[1].splitlines()
    said = tell("best", path)[1]
    assert (
        "  a sign of collapse in 2 of 2 seeds: look at it" in said and f"infomax report {folder.cell(flagged)}" in said
    )
    assert json.loads(tell("best", path, "--json")[1])["collapsing"] == 2
    assert "sign of collapse" not in tell("best", path, "--goal", "min")[1]
    page = write(path).read_text()
    assert (
        "<strong>a sign of collapse in 2 of 2 seeds</strong>" in page and page.count("<td>a sign of collapse</td>") == 2
    )
