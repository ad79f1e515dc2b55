"""Where cells are computed: processes of this machine, a Ray cluster, SLURM. All run the same `complete`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

from infomax.errors import ConfigError, nearest
from infomax.extras import getting, installed

RunnerName = Literal["local", "ray", "submitit"]


class Runner(Protocol):
    """Runs cells.

    Attributes:
        slots: cells that may be asked for before one has ended, for a sampler that learns from them.
    """

    slots: int

    def submit(self, names: Sequence[str]) -> None:
        """Take cells on."""

    def wait(self, seconds: float) -> list[str]:
        """The cells that have ended, however, since this was last asked; waits so long for the first."""

    def stop(self) -> None:
        """Stop every cell at its next update, its checkpoint written; return once all have stopped."""

    def close(self) -> None:
        """Give back what was taken."""


@dataclass(frozen=True)
class Work:
    """What a runner needs to know.

    Args:
        folder: of the sweep.
        workers: cells at once; None: as the runner sees fit.
        threads: CPU threads a cell.
        gpus: a cell's share of GPUs, such as 0.25 for four cells on one; None: one where there are any.
        address: of a Ray cluster; None: one is started here. Of submitit: slurm, local or debug.
        retries: how often a cell goes on whose process or machine died, or whose time SLURM said was up.
        retry: run failed cells again.
        slurm: parameters of submitit's executor.
    """

    folder: Path
    workers: int | None = None
    threads: int = 1
    gpus: float | None = None
    address: str | None = None
    retries: int = 3
    retry: bool = False
    slurm: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        for name, value, least in (
            ("workers", self.workers, 1),
            ("threads", self.threads, 1),
            ("retries", self.retries, 0),
        ):
            if value is not None and value < least:
                raise ConfigError(f"{name}={value}: give a whole number from {least} on")
        if self.gpus is not None and not (0 <= self.gpus <= 1 or (self.gpus > 1 and float(self.gpus).is_integer())):
            raise ConfigError(f"gpus={self.gpus}: give a share of one GPU, such as 0.25, or a whole number from 0 on")


def room(gpus: float, share: float) -> int:
    """Cells that the GPUs of one machine hold; a share of one lies on one, so that what is left of two holds nothing.

    Example:
        >>> room(2, 0.25), room(2, 0.6), room(3, 2), room(1, 2)
        (8, 2, 1, 0)
    """
    return int(gpus) * int(1 / share) if share <= 1 else int(gpus // share)


def available(name: str) -> None:
    """See that there is a runner of a name, and that what it needs is installed: asked before anything is made.

    Raises:
        ConfigError: where there is not, naming the nearest, or it is not.
    """
    if name not in get_args(RunnerName):
        raise ConfigError(f"no runner {name!r}: {nearest(name, get_args(RunnerName))}")
    if name == "ray" and not installed("ray"):
        raise ConfigError(f"--runner ray needs Ray: {getting('ray')}; or take --runner local")
    if name == "submitit" and not installed("submitit"):
        raise ConfigError(f"--runner submitit needs submitit: {getting('slurm')}; or take --runner local")


def runner(name: str, work: Work) -> Runner:
    """A runner by name.

    Raises:
        ConfigError: no runner of that name, or one that is not installed or cannot be reached.
    """
    available(name)
    match name:
        case "ray":
            from infomax.sweep.runners.cluster import Ray

            return Ray(work)
        case "submitit":
            from infomax.sweep.runners.slurm import Submitit

            return Submitit(work)
        case _:
            from infomax.sweep.runners.local import Local

            return Local(work)
