"""Local views, signals and tables through a run."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

import infomax as im
from infomax.cli import main
from infomax.data import Dataset, sbm
from infomax.errors import ConfigError
from infomax.training.defaults import VIEWS, encoder_for, view_function
from infomax.views import Corruption, Gaussian, Signals


def test_the_number_of_local_views_comes_from_the_command_line(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (24, 16, 16, 3), dtype=np.uint8)
    np.save(tmp_path / "a.npy", images)
    command = ["train", "--method", "swav", "--data", str(tmp_path / "a.npy"), "--views", "swav", "--local-views", "2"]
    command += ["--encoder", "resnet8", "--epochs", "1", "--batch-size", "12", "--prototypes", "8"]
    assert main([*command, "--device", "cpu", "--out", str(tmp_path / "run")]) == 0
    run = im.Run.load(tmp_path / "run")
    assert run.config["training"]["local_views"] == 2
    assert run.config["views"]["made"].count("ImageView(") == 4


def test_local_views_are_of_recipes_that_have_them() -> None:
    data = Dataset(torch.zeros(4, 32, 32, 3, dtype=torch.uint8))
    assert len(view_function(data, "dino", None, 5)) == 7  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="has no local views"):
        view_function(data, "simclr", None, 2)
    with pytest.raises(ConfigError, match="it makes its own views"):
        view_function(data, lambda *a, **k: [], None, 2)


def test_the_names_of_views_are_those_that_some_data_have() -> None:
    kinds = [Dataset(torch.randn(6, 2, 50)), Dataset(torch.randn(6, 4)), Dataset(torch.randn(6, 2)), sbm()]
    kinds.append(Dataset(torch.zeros(4, 32, 32, 3, dtype=torch.uint8)))
    known = set()
    for data in kinds:
        for name in VIEWS:
            try:
                view_function(data, name)
            except ConfigError:
                continue
            known.add(name)
        with pytest.raises(ConfigError) as refused:
            view_function(data, "typo")
        said = re.search(r"give (.*), or a function|one of: ([^)]*)", str(refused.value))
        assert said and {word for word in re.findall(r"[a-z-]+", said[1] or said[2]) if word != "or"} <= set(VIEWS)
    assert known == set(VIEWS)


def test_each_kind_of_data_has_its_views_and_encoder() -> None:
    signals, table, points = (Dataset(torch.randn(*shape)) for shape in ((6, 2, 50), (6, 4), (6, 3)))
    assert isinstance(view_function(signals), Signals) and encoder_for(signals).recipe["name"] == "resnet1d"  # type: ignore[index,union-attr]
    made = view_function(table)
    assert isinstance(made, Corruption) and made.mean == table.mean
    assert view_function(points) == Gaussian(0.1)
    assert view_function(table, "noise") == Gaussian(0.1, mean=table.mean, std=table.std)
    for data in (table, points):
        assert encoder_for(data).recipe["name"] == "mlp"  # type: ignore[index,union-attr]


@pytest.mark.parametrize("shape", [(60, 2, 50), (60, 6)])
def test_signals_and_tables_train_and_are_probed(tmp_path: Path, shape: tuple[int, ...]) -> None:
    labels = np.arange(60) % 2
    x = np.random.default_rng(0).normal(size=shape) + 3 * labels.reshape(-1, *[1] * (len(shape) - 1))
    np.savez(tmp_path / "a.npz", x=x.astype(np.float32) * 10, y=labels)
    command = ["train", "--method", "vicreg", "--data", str(tmp_path / "a.npz"), "--epochs", "2", "--batch-size", "30"]
    assert main([*command, "--device", "cpu", "--projector", "16-16", "--out", str(tmp_path / "run")]) == 0
    assert im.Run.load(tmp_path / "run").evaluate()["linear"] > 80
