"""A run's log for Weights & Biases, for those who ask; its package is imported only then."""

import importlib
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from infomax.errors import ConfigError
from infomax.extras import installed


def check(project: str | None) -> None:
    """Refuse to begin what could not be logged.

    Raises:
        ConfigError: where a project is named and the package is missing.

    Example:
        >>> check(None)
    """
    if project is not None and not installed("wandb"):
        raise ConfigError(
            f"wandb={project!r}: the package is not installed; uv pip install wandb, or leave it out (--wandb none beside "
            "--resume)"
        )


@contextmanager
def rows(
    project: str | None, folder: Path | None, config: Mapping[str, Any], name: str, *, resumes: bool
) -> Iterator[Callable[[Mapping[str, float]], None]]:
    """A function that logs one row of a run's history; without a project it does nothing.

    It needs no network: with `WANDB_MODE=offline` the log lies in the run's folder, for `wandb sync` to send later.

    Args:
        project: of Weights & Biases.
        folder: of the run.
        config: what was asked.
        name: of the method.
        resumes: the run continues, under the id of before.
    """
    if project is None:
        yield lambda row: None
        return
    wandb = importlib.import_module("wandb")
    kept = None if folder is None else folder / "wandb.id"
    known = kept.read_text(encoding="utf-8") if kept is not None and resumes and kept.is_file() else None
    run = wandb.init(
        project=project,
        name=name if folder is None else folder.name,
        dir=None if folder is None else str(folder),
        config=dict(config),
        id=known,
        resume="allow" if known else None,
    )
    if kept is not None:
        kept.write_text(run.id, encoding="utf-8")
    try:
        yield lambda row: run.log(dict(row), step=math.ceil(row["epoch"]))
    finally:
        run.finish()
