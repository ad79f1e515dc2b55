"""Packages that are not always there: what brings them is said in one way, and before anything is made."""

import sys
import tomllib
from pathlib import Path

import pytest

from infomax.cli import main
from infomax.extras import PACKAGES

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


@pytest.mark.parametrize("asked", [["--workers", "0"], ["--gpus", "1.5"], ["--retries", "-1"]])
def test_what_no_runner_takes_is_refused_before_anything_is_made(asked, tmp_path, capsys):
    (tmp_path / "grid.yaml").write_text(GRID)
    assert main(["sweep", str(tmp_path / "grid.yaml"), "--out", str(tmp_path / "out"), *asked]) == 2
    assert "give a " in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
