import pytest
import yaml

from infomax.cli import main
from infomax.errors import ConfigError
from infomax.sweep.command import grid_of, recipes

CELLS = {
    "sdmi": 36,
    "simsiam": 12,
    "byol": 12,
    "moco-v3": 36,
    "jmi": 36,
    "simclr": 36,
    "barlow-twins": 12,
    "vicreg": 12,
}
"""The paper's table 5."""


def test_the_papers_sweep_1_is_shipped():
    assert set(recipes()) >= {f"paper/sweep1-{method}" for method in CELLS}


@pytest.mark.parametrize(("method", "count"), CELLS.items())
def test_each_has_the_cells_of_table_5_and_the_settings_of_table_4(method, count):
    grid = grid_of(f"paper/sweep1-{method}")
    cells = grid.cells()
    assert len(cells) == len(grid) == grid.about["cells"] == count
    for cell in cells:
        o = cell.options
        assert (o["encoder"], o["batch_size"], o["epochs"], o["seed"]) == ("resnet18", 512, 300, 7349)
        assert o["lr"] in (0.01, 0.03, 0.05) and o["weight_decay"] in (1e-4, 5e-4)
        assert o["projector"] in ([2048, 128], [2048, 256]) and o.get("predictor", [256]) == [256]
        assert o.get("momentum", 0.996) == 0.996
        assert count == 12 or o["temperature"] in (0.05, 0.07, 0.1)
    assert grid.about["source"] == "tables 4 and 5" and "PFLOP" in grid.about["cost"]


@pytest.mark.parametrize("method", CELLS)
def test_what_table_6_selects_lies_in_the_grid(method):
    grid = grid_of(f"paper/sweep1-{method}")
    for chosen in grid.about["selected"].values():
        assert chosen["lr"] in grid.grid["lr"] and chosen["weight_decay"] in grid.grid["weight_decay"]
        assert f"2048-{chosen['projection']}" in grid.grid["projector"] and chosen["layers"] in (2, 3)
        assert chosen.get("temperature", 0.1) in grid.grid.get("temperature", [0.1])


def test_an_option_is_set_in_place_of_the_files():
    grid = grid_of("paper/sweep1-byol", ("data=cifar100", "lr=0.2", "weight-decay=1e-3", "epochs=2"))
    assert grid.fixed["data"] == "cifar100" and len(grid) == 2
    assert {(c.options["lr"], c.options["weight_decay"], c.options["epochs"]) for c in grid.cells()} == {(0.2, 1e-3, 2)}


def test_what_cannot_be_read_is_said(tmp_path, capsys):
    with pytest.raises(ConfigError, match="did you mean 'paper/sweep1-byol'"):
        grid_of("paper/sweep1-boyl")
    with pytest.raises(ConfigError, match="option=value"):
        grid_of("paper/sweep1-byol", ("epochs",))
    for text in ("- 1", "a: [", "\x00"):
        (tmp_path / "grid.yaml").write_text(text)
        with pytest.raises(ConfigError, match=r"grid\.yaml"):
            grid_of(str(tmp_path / "grid.yaml"))
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump({"method": "jmi", "data": "digits", "temprature": 0.1}))
    assert main(["sweep", str(tmp_path / "grid.yaml"), "--out", str(tmp_path / "out")]) == 2
    assert "did you mean 'temperature'" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_the_list_prints_each(capsys):
    assert main(["sweep", "--list"]) == 0
    said = capsys.readouterr().out
    assert "paper/sweep1-sdmi" in said and "36 cells" in said
    assert main(["sweep"]) == 2
    assert "give a grid and a folder" in capsys.readouterr().err
