import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.cli.command import SMALL

import infomax as im
from infomax.cli import main
from infomax.data.machine import cores

# under `uv run` commands in messages begin with it: the suite reads the same texts however it was started
os.environ.pop("UV_RUN_RECURSION_DEPTH", None)
torch.set_num_threads(1)  # the tensors here are small: more threads would only wait for each other


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Processes of `-n auto`: one a core for the whole suite, none where some files are named, which begin sooner so."""
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return min(cores(), 8) if whole else 0


@pytest.fixture
def tiny() -> Callable[..., dict[str, object]]:
    """Options that make a method small enough for a test: `tiny(name, **others)`, D = 16 where it has a projector."""

    def options(name: str, **others: object) -> dict[str, object]:
        known = im.methods.options(name)
        small: dict[str, object] = {"projector": (32, 16), "predictor": (8,), "prototypes": 12, "whitening_size": 32}
        if name in ("moco_v1", "moco_v2"):
            small["queue"] = 40
        return {n: v for n, v in small.items() if n in known} | others

    return options


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that the command has trained."""
    # not in a conftest of tests/cli: pytest imports each by its bare name, and that folder comes before this file
    out = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", *SMALL, "--epochs", "1", "--out", str(out)]) == 0
    return out
