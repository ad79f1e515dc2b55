"""A run's log for TensorBoard, where its package is installed; nothing here needs it."""

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path


def scalars(folder: Path | None) -> Callable[[Mapping[str, float]], None]:
    """A function that logs one row of a run's history; without the package, or a folder, it does nothing.

    Args:
        folder: of the run.
    """
    if folder is None or importlib.util.find_spec("tensorboard") is None:
        return lambda row: None
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder / "tensorboard"))

    def log(row: Mapping[str, float]) -> None:
        for name, value in row.items():
            writer.add_scalar(name, value, int(row["epoch"]))
        writer.flush()

    return log
