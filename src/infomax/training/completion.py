"""How far a run has come, of how far it was asked to go."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from infomax.training.checkpoint import written
from infomax.training.length import limit_of


def stands(training: Mapping[str, Any], history: Sequence[Mapping[str, float]], path: Path | None) -> dict[str, Any]:
    """Where a run stands.

    Args:
        training: the options that it was asked.
        history: one row an epoch.
        path: its folder.

    Returns:
        `epoch`, the last one that its log has; `of`, how many were asked, or the time; `finished`, None where it is not known
        (a run for a time without a checkpoint).

    Example:
        >>> stands({"epochs": 500}, [{"epoch": 28}], None)
        {'epoch': 28, 'of': 500, 'finished': False}
    """
    done = history[-1].get("epoch", len(history)) if history else 0
    if training.get("budget") is not None:
        return {"epoch": done, "of": training["budget"], "finished": _time_is_up(training["budget"], path)}
    asked = training.get("epochs")
    return {"epoch": done, "of": asked, "finished": None if asked is None else done >= asked}


def line(found: Mapping[str, Any]) -> str | None:
    """What is to be said of a run that has not ended; None of one that has.

    Example:
        >>> line({"epoch": 28, "of": 500, "finished": False})
        'epoch 28 of 500: the run is not finished'
    """
    return f"epoch {found['epoch']:g} of {found['of']}: the run is not finished" if found["finished"] is False else None


def _time_is_up(budget: str, path: Path | None) -> bool | None:
    """Whether the newest checkpoint is of a run whose time was spent."""
    from safetensors import SafetensorError, safe_open

    for checkpoint in reversed(written(path) if path is not None else []):
        try:
            with safe_open(checkpoint, framework="pt") as file:
                position = json.loads(file.metadata()["infomax"])["position"]
            return bool(position["spent"] >= limit_of(budget)[0])
        except (SafetensorError, OSError, ValueError, KeyError, TypeError):
            continue
    return None
