"""A Ray cluster: `ray start --head` on one machine, `ray start --address=HEAD:6379` on the others; or this machine alone.

The sweep's folder lies where every machine sees it under one path. A cell is a task: when its process or its machine dies,
Ray gives it to another, where it goes on from its last checkpoint.
"""

import importlib
import os
import socket
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from infomax.errors import ConfigError
from infomax.sweep.cell import complete, record
from infomax.sweep.folder import Folder
from infomax.sweep.runners import Work, room
from infomax.training.interrupt import Stopped


class Ray:
    """Run cells as tasks of a Ray cluster.

    Args:
        work: `address` of the cluster, or auto; None: one is started here, for as long as the sweep lasts.

    Raises:
        ConfigError: there is no cluster, or it has no machine that could take a cell.
    """

    def __init__(self, work: Work) -> None:
        # else Ray would run a command begun by `uv run` by uv on every machine, with a copy of this folder
        os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        ray: Any = importlib.import_module("ray")
        self.ray, self.work, self.folder = ray, work, Folder(work.folder)
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        if work.address is None:
            cpus = work.workers * work.threads if work.workers else None
            try:
                ray.init(address="local", num_cpus=cpus, include_dashboard=False, **quiet)
            except Exception as error:  # of whatever its processes met
                said = " ".join(str(error).split()) or type(error).__name__
                raise ConfigError(
                    f"Ray does not start on this machine ({said}): take --runner local, or --address of a cluster; what "
                    "Ray wrote lies in ray/session_latest/logs of the folder for temporary files"
                ) from error
        else:
            try:
                host, colon, port = work.address.rpartition(":")
                if colon and port.isdigit() and "/" not in host:  # Ray itself would try for minutes
                    socket.create_connection((host, int(port)), timeout=10).close()
                ray.init(address=work.address, **quiet)
            except (OSError, ValueError, RuntimeError) as error:
                reason = " ".join(str(error).split())
                raise ConfigError(
                    f"--address {work.address}: no Ray cluster there: `ray start --head` ({reason})"
                ) from None
        machines: list[dict[str, float]] = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        self.gpus = work.gpus if work.gpus is not None else float(any(has.get("GPU", 0) >= 1 for has in machines))
        held = sum(_held(has, work.threads, self.gpus) for has in machines)
        if not held:  # Ray would wait for such a machine for ever
            self.close()
            have = Counter(f"{has.get('CPU', 0):g} and {has.get('GPU', 0):g}" for has in machines)
            raise ConfigError(
                f"a cell asks for {work.threads} CPUs and {self.gpus:g} GPUs of one machine; those of the cluster have "
                f"{', '.join(f'{each} ({n} times)' if n > 1 else each for each, n in have.items()) or 'gone'}: give fewer "
                "--threads or --gpus, or add a machine to the cluster"
            )
        self.slots = work.workers or held
        task = ray.remote(num_cpus=work.threads, num_gpus=self.gpus, max_retries=work.retries, max_calls=1)
        self._task = task(_run)
        self._left: list[str] = []
        self._live: dict[Any, str] = {}

    def submit(self, names: Sequence[str]) -> None:
        """Give cells to the cluster: at most `workers` at once, where that was said, else as many as have room."""
        self._left.extend(names)
        self._fill()

    def wait(self, seconds: float) -> list[str]:
        """The cells that have ended; see `Runner.wait`."""
        ready, _ = self.ray.wait(list(self._live), num_returns=len(self._live), timeout=seconds)
        ended = []
        for reference in ready:
            name = self._live.pop(reference)
            try:
                self.ray.get(reference)
            except self.ray.exceptions.RayError as error:
                record(self.folder.cell(name), _cause(error))
            ended.append(name)
        self._fill()
        return ended

    def stop(self) -> None:
        """Ask every task to stop at its next update, and wait for them."""
        self._left.clear()
        for reference in self._live:
            self.ray.cancel(reference)
        self.ray.wait(list(self._live), num_returns=len(self._live), timeout=60)
        self._live.clear()

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        with warnings.catch_warnings(action="ignore", category=ResourceWarning):  # Ray's own processes and files
            self.ray.shutdown()

    def _fill(self) -> None:
        while self._left and (self.work.workers is None or len(self._live) < self.work.workers):
            name = self._left.pop(0)
            work = self.work
            self._live[self._task.remote(str(work.folder), name, work.threads, work.retry, self.gpus)] = name


def _held(has: dict[str, float], threads: int, gpus: float) -> int:
    """Cells that a machine of these resources holds."""
    by_cpus = int(has.get("CPU", 0) // threads)
    return min(by_cpus, room(has.get("GPU", 0), gpus)) if gpus else by_cpus


def _run(path: str, name: str, threads: int, retry: bool, gpus: float) -> None:
    """What a task does."""
    if not gpus:  # to a task that asks for none, Ray leaves every one of the machine's in sight
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    try:
        complete(Path(path), name, threads=threads, retry=retry)
    except Stopped:
        return  # cancelled: its checkpoint is written


def _cause(error: BaseException) -> BaseException:
    """The error that a task raised, in place of Ray's account of it."""
    return getattr(error, "cause", None) or error
