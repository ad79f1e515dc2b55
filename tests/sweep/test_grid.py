import inspect
import math
import os
import random
import re
from pathlib import Path

import pytest
import torch
import yaml

from infomax import cli, encoders, methods, recipes
from infomax.errors import ConfigError
from infomax.sweep import Cell, Range, read
from infomax.sweep.command import grid_of
from infomax.sweep.grid import OURS, resolved

FIXED = {"method": "jmi", "data": "gaussians", "projector": "8"}


def test_a_grid_is_every_combination_and_each_cell_is_resolved_to_the_last_default():
    grid = read({**FIXED, "grid": {"lr": ["1e-3", 0.01], "temperature": [0.1, 0.2, 0.5]}})
    cells = grid.cells()
    assert len(grid) == len(cells) == 6
    assert {(c.options["lr"], c.options["temperature"]) for c in cells} == {
        (lr, t) for lr in (0.001, 0.01) for t in (0.1, 0.2, 0.5)
    }
    own = {n for n, p in inspect.signature(cli.train.train).parameters.items() if p.kind is p.KEYWORD_ONLY} - {"out"}
    assert set(cells[0].options) == own | set(methods.options("jmi"))
    assert cells[0].options["projector"] == [8]


def test_a_name_is_that_of_what_is_computed_not_of_where_nor_of_how_it_was_written():
    name = Cell.of(FIXED).name
    assert (
        Cell.of({**FIXED, "projector": [8], "batch-size": 256, "keep": 9, "root": "elsewhere", "wandb": "x"}).name
        == name
    )
    others = [
        {"seed": 1},
        {"epochs": 7},
        {"projector": "8-4"},
        {"views": "none"},
        {"temperature": 0.3},
        {"encoder": "toy"},
    ]
    assert len({name, *(Cell.of({**FIXED, **other}).name for other in others)}) == 7


def test_a_path_is_the_same_from_any_folder(tmp_path, monkeypatch):
    (tmp_path / "x.npy").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    for name, found in (
        ("x.npy", f"{tmp_path}/x.npy"),
        ("shards/*.tar#png", f"{tmp_path}/shards/*.tar#png"),
        ("hf:./mine:part@main", f"hf:{tmp_path}/mine:part@main"),
        ("hf:user/name", "hf:user/name"),
        ("https://host/part-{0..9}.parquet", "https://host/part-{0..9}.parquet"),
        ("digits", "digits"),
        ("digitz", "digitz"),
    ):
        assert Cell.of({**FIXED, "data": name}).options["data"] == found
        assert read({**FIXED, "evaluate": {"data": name}}).evaluate["data"] == found


def test_a_root_is_the_same_from_any_folder_and_no_part_of_the_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cell = Cell.of({**FIXED, "root": "sets"})
    assert cell.options["root"] == f"{tmp_path}/sets" and cell.name == Cell.of(FIXED).name
    assert Cell.of({**FIXED, "root": "~/sets"}).options["root"] == os.path.expanduser("~/sets")


def test_weights_to_begin_with_are_the_same_from_any_folder_and_part_of_the_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cell = Cell.of({**FIXED, "init": "runs/a"})
    assert cell.options["init"] == f"{tmp_path}/runs/a" and cell.name != Cell.of(FIXED).name
    assert Cell.of({**FIXED, "init": "pretrained", "encoder": "torchvision/resnet18"}).options["init"] == "pretrained"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"temprature": 0.1}, "no option 'temprature' of 'jmi': did you mean 'temperature'"),
        ({"grid": {"momentum": [0.9]}}, "the grid: jmi has no momentum"),
        ({"method": None, "bugdet": "5min"}, "the grid: no option 'bugdet': did you mean 'budget'"),
        ({"method": None, "temperature": 0.1}, "the grid: give a method, fixed or in the grid"),
        ({"config": ["a.yaml"]}, "config: give a file of options, or a recipe's name, not "),
        ({"config": "nothing.yaml"}, "the grid: config nothing.yaml: no such file"),
        ({"config": "cpu/simclr-cifr10"}, "no recipe 'cpu/simclr-cifr10': did you mean 'cpu/simclr-cifar10'"),
        ({"config": "cpu/byol-cifar10"}, "the grid: config cpu/byol-cifar10: jmi has no predictor"),
        ({"grid": {"config": ["a.yaml"]}}, "grid: config is no option of a cell"),
        ({"grid": {"method": ["jmi", "simclear"]}, "method": None}, "did you mean 'simclr'"),
        ({"method": ["jmi", "simclr"]}, "method: .*several stand under 'grid'"),
        ({"lr": [0.1, 0.2]}, "lr: .*several stand under 'grid'"),
        ({"grid": {"lr": 0.1}}, "grid: lr: give a list"),
        ({"grid": {"lr": []}}, "grid: lr: give a list"),
        ({"grid": [0.1]}, "grid: give a mapping"),
        ({"lr": 0.1, "grid": {"lr": [0.1]}}, "lr is given twice"),
        ({"weight-decay": 0.1, "weight_decay": 0.2}, "weight_decay is given twice, as weight-decay too"),
        ({"grid": {"weight-decay": [0.1], "weight_decay": [0.2]}}, "grid: weight_decay is given twice"),
        (
            {"random": {"weight-decay": [0.1], "weight_decay": [0.2]}, "samples": 2},
            "random: weight_decay is given twice",
        ),
        ({"grid": {"epochs": [1.5]}}, "1.5"),
        ({"grid": {"lr": ["fast"]}}, "fast"),
        ({"lr": "nan"}, "lr must be zero or more, got nan"),
        ({"grid": {"lr": [0.1, -1]}}, "lr must be zero or more, got -1"),
        ({"lr": "inf"}, "lr must be zero or more, got inf"),
        ({"epochs": 0}, "epochs=0: give at least 1"),
        ({"grid": {"temperature": [0.1, 0]}}, "a temperature must be > 0, not 0"),
        ({"temperature": "nan"}, "a temperature must be > 0, not nan"),
        ({"method": "byol", "momentum": 2}, "lies in .0, 1., not 2"),
        ({"checkpoint_every": "1epoch"}, "checkpoint_every='1epoch'"),
        ({"keep": 0}, "keep=0"),
        ({"batch_size": 1}, "a batch of 1"),
        ({"size": 0}, "size=0"),
        ({"local_views": -1}, "local_views=-1"),
        ({"accumulate": "halves"}, "accumulate='halves'"),
        ({"budget": "5 parsecs"}, "budget='5 parsecs'"),
        ({"warmup_epochs": 200}, "longer than the run"),
        ({"rules": {"bais": {"lr": 1}}}, "did you mean 'bias'"),
        ({"encoder": "resnet81"}, "did you mean 'resnet8'"),
        ({"views": "simclear"}, "did you mean 'simclr'"),
        ({"init": "pretrained"}, "without published weights"),
        ({"random": {"lr": {"from": -1, "to": 1}}, "samples": 9}, "lr must be zero or more"),
        ({"out": "x"}, "--out"),
        ({"data": None}, "give data"),
        ({"devices": 2}, "--gpus"),
        ({"samples": 3}, "`random` and `samples` together.*leave `samples` out"),
        ({"random": {"lr": [1, 2]}}, "`random` and `samples` together: what is drawn, and how often$"),
        ({"random": {"lr": [1, 2]}, "samples": 0}, "whole number from 1 on"),
        ({"random": {"lr": {"from": 1}}, "samples": 2}, "give two numbers"),
        ({"random": {"lr": {"from": 1, "too": 2}}, "samples": 2}, "did you mean 'to'"),
        ({"random": {"lr": {"from": 0, "to": 2, "log": True}}, "samples": 2}, "is no range"),
        (
            {"random": {"lr": {"from": 1, "to": 2, "log": "false"}}, "samples": 2},
            "lr: log: 'false': give true or false",
        ),
        ({"random": {"lr": {"from": 1, "to": 10**400}}, "samples": 2}, "lr: an end of the range.*308 digits"),
        ({"random": {"lr": [1, 2]}, "samples": 2, "sampler": "tpee"}, "did you mean 'tpe'"),
        ({"sampler": "tpe", "grid": {"lr": [1]}}, "under `random`"),
        ({"evaluate": {"metrik": "knn"}}, "did you mean 'metric'"),
        ({"evaluate": {"goal": "up"}}, "one of: max, min"),
    ],
)
def test_what_cannot_be_is_said_at_once(asked, said):
    whole = {k: v for k, v in {**FIXED, **asked}.items() if v is not None}
    with pytest.raises(ConfigError, match=said.replace("(", r"\(")):
        read(whole).cells()


def test_values_that_do_not_go_together_are_a_cell_and_one_that_none_can_have_is_refused():
    both = {"epochs": [1, 20], "warmup_epochs": [0, 5]}
    grid = read({**FIXED, "grid": both})
    (name,) = grid.impossible
    assert [c.name for c in grid.cells() if (c.options["epochs"], c.options["warmup_epochs"]) == (1, 5)] == [name]
    assert len(grid.cells()) == 4 and "longer than the run" in grid.impossible[name]
    assert not read({**FIXED, "grid": {"epochs": [5, 20], "warmup_epochs": [0, 5]}}).impossible
    drawn = {**FIXED, "random": {**both, "lr": {"from": 1e-4, "to": 1e-1, "log": True}}, "samples": 20}
    assert 0 < len(read(drawn).impossible) < 20 == len(read(drawn).cells())  # each with a rate that no other has
    for varied in (both | {"warmup_epochs": [0, 50]}, both | {"warmup_epochs": [50, 60]}, both | {"lr": [0.1, -1]}):
        with pytest.raises(
            ConfigError, match=r"the grid: (warmup_epochs=50\.0: longer than the run|.*lr must be zero)"
        ):
            read({**FIXED, "grid": varied}).cells()
    with pytest.raises(ConfigError, match=r"the grid: .*lr must be zero"):
        read({**drawn, "random": drawn["random"] | {"lr": {"from": -1, "to": 1}}}).cells()


def test_values_are_checked_without_drawing_a_number_or_building_what_is_large(monkeypatch):
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    seen = []
    monkeypatch.setattr(
        "infomax.encoders.get", lambda *asked, _get=encoders.get, **o: seen.append(asked) or _get(*asked, **o)
    )
    Cell.of({**FIXED, "method": "byol", "encoder": "resnet50", "projector": "64"})
    assert torch.equal(torch.rand(1), expected) and {name for name, *_ in seen} <= {"mlp"}


def test_a_recipe_is_the_base_of_a_grid_as_if_it_were_written_out():
    own = {"data": "digits", "seed": 3, "grid": {"lr": [0.1, 0.2]}, "random": {"temperature": [0.3, 0.4]}, "samples": 2}
    options = dict(recipes.get("cpu/simclr-cifar10").options)
    written = {k: v for k, v in options.items() if k not in ("lr", "temperature")} | own
    cells = read({"config": "cpu/simclr-cifar10", **own}).cells()
    assert [c.name for c in cells] == [c.name for c in read(written).cells()] and len(cells) > 1
    assert {c.options["budget"] for c in cells} == {"5min"} and {c.options["data"] for c in cells} == {"digits"}
    (cell,) = read({"config": "reference/simclr-cifar100"}).cells()  # what the recipe has for the data set, too
    assert cell.name == Cell.of(recipes.get("reference/simclr-cifar100").options).name


def test_the_grids_of_the_page_on_sweeps_are_taken_as_they_are_written():
    page = (Path(__file__).parents[2] / "docs" / "sweeps.md").read_text("utf-8")
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", page, re.S)]
    grids = [read(block).cells() for block in blocks if {"method", "config"} & set(block)]
    assert [len(cells) for cells in grids] == [12, 6] and {c.options["budget"] for c in grids[1]} == {"1min"}


def test_a_file_of_options_is_the_base_of_a_grid_too(tmp_path, capsys):
    assert cli.main(["train", "--config", "cpu/simclr-cifar10", "--print-config"]) == 0
    (tmp_path / "run.yaml").write_text(capsys.readouterr().out.replace("out: null", "out: runs/a"))
    grid, asked = tmp_path / "grid.yaml", f"config: {tmp_path / 'run.yaml'}\n"
    grid.write_text(asked)
    (cell,) = grid_of(str(grid)).cells()
    assert cell.name == Cell.of(recipes.get("cpu/simclr-cifar10").options).name
    (cell,) = grid_of(str(grid), ("epochs=3",)).cells()  # as beside `infomax train --config`
    assert cell.options["epochs"] == 3 and cell.options["budget"] is None
    grid.write_text(asked + "bugdet: 1min\n")
    with pytest.raises(ConfigError, match="no option 'bugdet' of 'simclr': did you mean 'budget'"):
        grid_of(str(grid)).cells()
    (tmp_path / "run.yaml").write_text("method: simclr\ntemprature: 0.1\n")
    with pytest.raises(
        ConfigError, match=r"grid\.yaml: config .*run\.yaml: no option 'temprature': did you mean 'temp"
    ):
        grid_of(str(grid)).cells()


def test_draws_depend_on_seed_number_and_name_alone():
    random_part = {"lr": {"from": "1e-4", "to": 0.1, "log": True}, "temperature": [0.1, 0.2]}
    few, many = (read({**FIXED, "random": random_part, "samples": n}) for n in (3, 6))
    names = [c.name for c in many.cells()]
    assert [c.name for c in few.cells()] == names[:3]
    alone = read({**FIXED, "random": {"lr": random_part["lr"]}, "samples": 3})
    assert [c.options["lr"] for c in alone.cells()] == [c.options["lr"] for c in few.cells()]
    other = read({**FIXED, "random": random_part, "samples": 3, "sampler_seed": 1})
    assert not {c.name for c in other.cells()} & set(names)
    rates = [c.options["lr"] for c in many.cells()]
    assert all(1e-4 <= lr <= 0.1 for lr in rates) and len(set(rates)) == 6


def test_every_combination_gets_the_same_draws():
    grid = read({**FIXED, "grid": {"epochs": [1, 2]}, "random": {"lr": {"from": 0.1, "to": 0.2}}, "samples": 3})
    by_epochs = {e: {c.options["lr"] for c in grid.cells() if c.options["epochs"] == e} for e in (1, 2)}
    assert len(grid) == 6 and by_epochs[1] == by_epochs[2] and len(by_epochs[1]) == 3


def test_draws_are_uniform_in_the_logarithm():
    values = Range(1e-4, 1.0, log=True)
    drawn = [values.draw(random.Random(k)) for k in range(4000)]
    below = [sum(x < edge for x in drawn) / 4000 for edge in (1e-3, 1e-2, 1e-1)]
    assert below == pytest.approx([0.25, 0.5, 0.75], abs=0.03)


def test_whole_numbers_by_their_logarithm_are_drawn_as_often_as_optuna_draws_them():
    values = Range(1, 4, log=True)
    drawn = [values.draw(random.Random(k)) for k in range(8000)]
    share = [math.log((n + 0.5) / (n - 0.5)) / math.log(9) for n in (1, 2, 3, 4)]
    assert [drawn.count(n) / 8000 for n in (1, 2, 3, 4)] == pytest.approx(share, abs=0.02)
    optuna = pytest.importorskip("optuna", reason="Optuna is not installed: infomax[tpe]")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    tried = [study.ask({"n": optuna.distributions.IntDistribution(1, 4, log=True)}).params["n"] for _ in range(1000)]
    assert [tried.count(n) / 1000 for n in (1, 2, 3, 4)] == pytest.approx(share, abs=0.05)


def test_no_option_of_training_hides_a_key_of_a_grid():
    taken = set(inspect.signature(cli.train.train).parameters).union(*(methods.options(m) for m in methods.METHODS))
    assert not taken & set(OURS)


def test_cells_are_resolved_once(monkeypatch):
    grid = read({**FIXED, "grid": {"lr": [0.1, 0.2], "seed": [0, 1]}})
    asked = []
    monkeypatch.setattr("infomax.sweep.grid.resolved", lambda *given: asked.append(given) or resolved(*given))
    assert [c.name for c in grid.cells()] == [c.name for c in grid.cells()] and len(asked) == 4


def test_what_is_set_in_place_of_all_that_was_drawn_leaves_samples_to_be_taken_out(tmp_path):
    path = tmp_path / "grid.yaml"
    path.write_text("method: jmi\ndata: gaussians\nrandom: {lr: [0.1, 0.2]}\nsamples: 2\n")
    with pytest.raises(ConfigError, match="--set samples=null"):
        grid_of(str(path), ("lr=0.05",))
    (cell,) = grid_of(str(path), ("lr=0.05", "samples=null")).cells()
    assert cell.options["lr"] == 0.05


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("evaluate.metric=", "'evaluate' is set as a whole: --set 'evaluate={metric: VALUE}'"),
        ("evaluate.metric=knn", "'evaluate' is set as a whole: --set 'evaluate={metric: knn}'"),
        ("lr=", "--set lr=: give a value; null takes out what the file says of 'lr'"),
        ("=3", "give option=value"),
        ("lr", "give option=value"),
        ("lr=[", "--set lr=[: its value cannot be read"),
    ],
)
def test_what_cannot_be_set_is_said_in_a_line(tmp_path, change, said):
    path = tmp_path / "grid.yaml"
    path.write_text("method: jmi\ndata: gaussians\nlr: 0.1\n")
    with pytest.raises(ConfigError, match=re.escape(said)) as refused:
        grid_of(str(path), (change,))
    assert "\n" not in str(refused.value)
    assert grid_of(str(path), ("evaluate={metric: knn}", "lr=null")).evaluate["metric"] == "knn"


def test_a_change_of_what_is_no_mapping_says_what_it_should_be(tmp_path):
    for text in ("method: jmi\ndata: digits\ngrid: [1, 2]\n", "method: jmi\ndata: digits\nrandom: much\n"):
        (tmp_path / "grid.yaml").write_text(text)
        with pytest.raises(ConfigError, match="give a mapping of names"):
            grid_of(str(tmp_path / "grid.yaml"), ("lr=0.1",))
