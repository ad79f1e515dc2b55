"""Packages that are not always there: what brings them is said in one way, and before anything is made."""

import importlib.util
import sys
import tomllib
import types
from pathlib import Path

import pytest

from infomax.cli import main
from infomax.errors import ConfigError
from infomax.extras import PACKAGES, installed
from infomax.training.tensorboard import scalars
from infomax.training.wandb import check

ROOT = Path(__file__).parents[1]
GRID = "{method: jmi, data: gaussians, grid: {lr: [0.1, 0.2]}}"


def test_the_extras_are_those_of_the_project_and_the_readme_has_them_all():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {name: [package.split(">")[0] for package in brings] for name, brings in declared.items()} == {
        name: packages.split() for name, packages in PACKAGES.items()
    }
    readme = (ROOT / "README.md").read_text()
    listed = readme[readme.index("Extras: ") :]
    assert all(f"`{name}`" in listed or f"--extra {name}`" in listed for name in declared)


@pytest.mark.parametrize(("runner", "package", "extra"), [("ray", "ray", "ray"), ("submitit", "submitit", "slurm")])
def test_a_runner_that_is_not_installed_is_refused_before_anything_is_made(
    runner, package, extra, tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / "grid.yaml").write_text(GRID)
    asked = ["--out", str(tmp_path / "out"), "--runner", runner]
    for command in (["sweep", str(tmp_path / "grid.yaml")], ["study", "table1", "--samples", "64"]):
        assert main([*command, *asked]) == 2
        said = f"uv sync --inexact --extra {extra}, or uv pip install {package}; or take --runner local"
        assert said in capsys.readouterr().err
        assert not (tmp_path / "out").exists()


def test_a_folder_of_a_packages_name_is_not_the_package(tmp_path, monkeypatch):
    """Such as the logs that a run of Weights & Biases left in the working directory."""
    for name in ("no_such_logs", "a_package"):
        (tmp_path / name).mkdir()
    (tmp_path / "a_package" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    for _ in range(2):
        assert installed("a_package") and not installed("no_such_logs")
        for name in ("a_package", "no_such_logs"):  # once imported, too
            monkeypatch.setitem(sys.modules, name, importlib.import_module(name))
    monkeypatch.setitem(sys.modules, "a_stub", types.SimpleNamespace())
    assert installed("a_stub")


def test_a_folder_of_logs_is_neither_wandb_nor_tensorboard(tmp_path, monkeypatch):
    if any(importlib.util.find_spec(name) for name in ("wandb", "tensorboard")):
        pytest.skip("one of them is installed")
    for name in ("wandb", "tensorboard"):
        (tmp_path / name).mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match="wandb='mine': the package is not installed"):
        check("mine")
    scalars(tmp_path)({"epoch": 1.0})
    assert not (tmp_path / "tensorboard").exists() or not list((tmp_path / "tensorboard").iterdir())


@pytest.mark.parametrize("asked", [["--workers", "0"], ["--gpus", "1.5"], ["--retries", "-1"]])
def test_what_no_runner_takes_is_refused_before_anything_is_made(asked, tmp_path, capsys):
    (tmp_path / "grid.yaml").write_text(GRID)
    assert main(["sweep", str(tmp_path / "grid.yaml"), "--out", str(tmp_path / "out"), *asked]) == 2
    assert "give a " in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
