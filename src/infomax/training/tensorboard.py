"""A run's log for TensorBoard, where its package is installed; nothing here needs it."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path

from infomax.extras import installed


def scalars(folder: Path | None) -> Callable[[Mapping[str, float]], None]:
    """A function that logs one row of a run's history; without the package, or a folder, it does nothing.

    Args:
        folder: of the run.
    """
    if folder is None or not installed("tensorboard"):
        return lambda row: None
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder / "tensorboard"))

    def log(row: Mapping[str, float]) -> None:
        for name, value in row.items():
            # a run by time ends within an epoch, which is not to be the one before
            writer.add_scalar(name, value, math.ceil(row["epoch"]))
        writer.flush()

    return log
