"""A run and its folder: what was asked, what happened, the weights; everything readable without executing code.

| file | content |
|---|---|
| config.json | what was asked, resolved to the last default |
| environment.json | versions, machine, command |
| log.jsonl | a line an epoch |
| learner.safetensors | every parameter and buffer, both branches |
| report.html | the page, once it is asked for |
"""

import json
import os
import platform
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from infomax.errors import ConfigError, DataError
from infomax.learner import Learner


def claim(out: str | Path) -> Path:
    """Make the folder of a run or study; one that already holds something is never written into.

    Raises:
        ConfigError: where it exists and is not empty.
    """
    path = Path(out)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ConfigError(f"{path} exists and is not empty: nothing is overwritten; choose another --out or remove it")
    path.mkdir(parents=True, exist_ok=True)
    return path


def write_atomically(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def environment() -> dict[str, Any]:
    """What the numbers of a run depend on beside its configuration."""
    import numpy

    import infomax

    return {
        "infomax": infomax.__version__,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "command": sys.argv,
    }


@dataclass
class Run:
    """A learner, what it was trained on, and how it went.

    Args:
        learner: the trained method.
        config: what was asked.
        history: one row an epoch.
        data: the data set it was trained on, where it is at hand.
        path: the run's folder, if it has one.
    """

    learner: Learner
    config: dict[str, Any]
    history: list[dict[str, float]] = field(default_factory=list)
    data: Any = None
    path: Path | None = None

    def start(self) -> None:
        """Write down what was asked, before anything happens."""
        if self.path is not None:
            write_atomically(self.path / "config.json", json.dumps(self.config, indent=2, default=str) + "\n")
            write_atomically(self.path / "environment.json", json.dumps(environment(), indent=2, default=str) + "\n")

    def abandon(self) -> None:
        """Take the folder away again, where nothing was learnt: what was asked could not work, and can be asked anew."""
        if self.path is not None and not self.history:
            for name in ("config.json", "environment.json"):
                (self.path / name).unlink(missing_ok=True)
            self.path.rmdir()

    def save(self) -> None:
        """Write the log and the weights, each whole or not at all."""
        if self.path is None:
            return
        from safetensors.torch import save_model

        temporary = self.path / "learner.safetensors.tmp"
        save_model(self.learner, str(temporary))
        os.replace(temporary, self.path / "learner.safetensors")
        write_atomically(self.path / "log.jsonl", "".join(json.dumps(row) + "\n" for row in self.history))

    @classmethod
    def load(cls, path: str | Path, learner: Learner | None = None) -> "Run":
        """Read a run back from its folder.

        Args:
            path: the folder.
            learner: of the same architecture, for a run whose learner was put together by hand; a method and encoder that
                were built by name are built again.

        Raises:
            DataError: where the folder is no run, or its learner cannot be built again.
        """
        from safetensors.torch import load_model

        from infomax import encoders, methods

        folder = Path(path)
        if not (folder / "config.json").is_file():
            raise DataError(f"{folder} is no run: it holds no config.json")
        if not (folder / "learner.safetensors").is_file():
            raise DataError(f"{folder} has no weights yet: its first epoch did not end")
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if learner is None:
            if not config["method"] or not config["encoder"]:
                raise DataError(
                    f"the learner of {folder} was put together by hand: give one like it, Run.load(path, learner=...)"
                )
            options = {k: tuple(v) if isinstance(v, list) else v for k, v in config["method"].items() if k != "method"}
            learner = methods.build(config["method"]["method"], encoders.get(**config["encoder"]), **options)
        load_model(learner, str(folder / "learner.safetensors"))
        log = folder / "log.jsonl"
        history = [json.loads(row) for row in log.read_text(encoding="utf-8").splitlines()] if log.is_file() else []
        return cls(learner, config, history, path=folder)

    def evaluate(self, data: Any = None, *, root: str | None = None) -> dict[str, Any]:
        """Linear probe, nearest neighbours and gauges of the frozen encoder; see `infomax.evaluate.run.evaluate`."""
        from infomax.evaluate.run import evaluate

        return evaluate(self, data, root=root)

    def report(self, path: str | Path | None = None) -> Path:
        """Write one self-contained page of the run: what was asked, its curves, its gauges."""
        from infomax.report.run import report

        if path is None and self.path is None:
            raise ConfigError("this run has no folder: say where its page goes, run.report('page.html')")
        return report(self, Path(path) if path is not None else Path(str(self.path)) / "report.html")
