"""SLURM, through submitit: arrays of jobs, one a cell. A job that is preempted, or runs out of time and has not done so too
often, is queued again by itself and goes on from its checkpoint.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from infomax.errors import ConfigError
from infomax.sweep.cell import complete, record
from infomax.sweep.folder import Folder
from infomax.sweep.runners import Work
from infomax.training.interrupt import Stopped
from infomax.words import many

ARRAY = 1000
"""Cells an array: SLURM takes no index above 1000 unless its MaxArraySize is raised."""


class Submitit:
    """Run cells as jobs of SLURM.

    Args:
        work: `address`: slurm (the default), or local and debug, which try the same on this machine; `slurm`: parameters of
            submitit's executor, such as slurm_partition and timeout_min; `retries`: also how often a cell is queued again whose
            time was up, unless slurm_max_num_timeout says so.

    Raises:
        ConfigError: there is no SLURM, or a parameter does not exist.
    """

    def __init__(self, work: Work) -> None:
        import submitit

        if work.gpus is not None and not float(work.gpus).is_integer():
            raise ConfigError(f"gpus={work.gpus}: SLURM gives whole GPUs; shares are for the runners local and ray")
        self.work, self.folder = work, Folder(work.folder)
        self.slots = work.workers or 1
        cluster = work.address or "slurm"
        asked: dict[str, Any] = {"name": "infomax", "cpus_per_task": work.threads, **dict(work.slurm)}
        if work.gpus:
            asked["gpus_per_node"] = int(work.gpus)
        if work.workers and cluster == "slurm":
            asked["slurm_array_parallelism"] = work.workers
        timeouts = asked.pop("slurm_max_num_timeout", work.retries)
        if not isinstance(timeouts, int) or timeouts < 0:
            raise ConfigError(f"slurm_max_num_timeout={timeouts!r}: give a whole number from 0 on")
        try:
            self.executor = submitit.AutoExecutor(
                folder=work.folder / "slurm", cluster=cluster, slurm_max_num_timeout=timeouts
            )
            self.executor.update_parameters(**asked)
        except (RuntimeError, ValueError, NameError, TypeError) as error:
            raise ConfigError(f"--runner submitit: {' '.join(str(error).split())}") from None
        self._left: list[str] = []
        self._jobs: dict[str, Any] = {}

    def submit(self, names: Sequence[str]) -> None:
        """Queue cells, as arrays; of `workers` at once one array, since each would run as many.

        Raises:
            ConfigError: SLURM refuses one; what was queued is cancelled.
        """
        self._left.extend(names)
        self._fill()

    def wait(self, seconds: float) -> list[str]:
        """The cells that have ended; see `Runner.wait`."""
        until = time.monotonic() + seconds
        while not (done := [name for name, job in self._jobs.items() if job.done()]) and time.monotonic() < until:
            time.sleep(0.1)
        for name in done:
            error = self._jobs.pop(name).exception()
            if error is not None:
                record(self.folder.cell(name), error)
        self._fill()
        return done

    def stop(self) -> None:
        """Cancel every job; a running one writes its checkpoint first."""
        self._left.clear()
        for job in self._jobs.values():
            job.cancel()
        self._jobs.clear()

    def close(self) -> None:
        """Nothing is left to give back."""

    def _fill(self) -> None:
        from submitit.core.utils import FailedJobError

        work = self.work
        while some := self._left[:ARRAY]:
            if work.workers and self._jobs and len(self._jobs) + len(some) > work.workers:
                return
            try:
                with self.executor.batch():
                    jobs = [self.executor.submit(Job(str(work.folder), n, work.threads, work.retry)) for n in some]
            except FailedJobError as error:
                self.stop()
                raise ConfigError(
                    f"--runner submitit: SLURM refused {many(len(some), 'cell')}: {' '.join(str(error).split())}; `slurm:` in "
                    f"the grid sets partition, account and time, and with --workers at most {ARRAY} cells are queued at a time"
                ) from None
            self._jobs.update(zip(some, jobs, strict=True))
            del self._left[: len(some)]


class Job:
    """A cell as submitit runs it: queued again by its own `checkpoint` when its time is up."""

    def __init__(self, path: str, name: str, threads: int, retry: bool) -> None:
        self.path, self.name, self.threads, self.retry = path, name, threads, retry

    def __call__(self) -> None:
        """Run the cell."""
        try:
            complete(Path(self.path), self.name, threads=self.threads, retry=self.retry)
        except Stopped:
            return  # cancelled: its checkpoint is written

    def checkpoint(self) -> Any:
        """The job that goes on after this one."""
        import submitit

        return submitit.helpers.DelayedSubmission(self)
