"""The folder of a study that can be stopped: every run's answer is a file as soon as it is there, and is not run again."""

import hashlib
import json
import shutil
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from infomax.errors import ConfigError
from infomax.studies.origin import commit
from infomax.training.interrupt import Stopped
from infomax.training.run import claim, environment, write_atomically

ABOUT, CELLS, RESULTS = "study.json", "cells", "results.json"


class Kept:
    """Answers by their jobs, in a folder.

    Args:
        path: of the study.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def _file(self, job: Any) -> Path:
        said = json.dumps(asdict(job), sort_keys=True)
        return self.path / CELLS / f"{hashlib.sha256(said.encode()).hexdigest()[:16]}.json"

    def found(self, job: Any) -> Any:
        """What an earlier life of the study found, or None."""
        file = self._file(job)
        return json.loads(file.read_text())["value"] if file.exists() else None

    def keep(self, job: Any, value: Any) -> None:
        """Write an answer down; what failed is not kept, and tried again."""
        write_atomically(self._file(job), json.dumps({"job": asdict(job), "value": value}) + "\n")

    @property
    def empty(self) -> bool:
        """Whether nothing would be lost: no answer, and no study within this one."""
        inside = (f"{CELLS}/*.json", f"*/{RESULTS}", f"*/{ABOUT}")
        return not any(file for words in inside for file in self.path.glob(words))

    def write(self, results: Mapping[str, Any]) -> None:
        """results.json, whole or not at all."""
        write_atomically(self.path / RESULTS, json.dumps(results, indent=1, allow_nan=False) + "\n")


@contextmanager
def going_on(out: str | Path, settings: Mapping[str, Any]) -> Iterator[Kept]:
    """The folder of a study: made anew, or entered again where the same study was stopped in it.

    Args:
        out: the folder.
        settings: all that the runs depend on but their machine.

    Raises:
        ConfigError: it holds something else, a finished study, or one that was begun with other settings or sources, or is
            being run. Stopped: by Ctrl-C, with what is kept.
    """
    path, about = Path(out), Path(out) / ABOUT
    made = {k: v for k, v in environment().items() if k in ("infomax", "torch")} | {"commit": commit()}
    mine: dict[str, Any] = json.loads(json.dumps({**settings, **made}))
    if about.exists():
        theirs: dict[str, Any] = json.loads(about.read_text())
        other = [f"{k} {theirs.get(k)}, not {mine.get(k)}" for k in {**theirs, **mine} if theirs.get(k) != mine.get(k)]
        if other:
            raise ConfigError(
                f"{path} holds a study that was stopped, and another: {'; '.join(other)}; choose another --out or remove it"
            )
    else:
        write_atomically(claim(path) / ABOUT, json.dumps(mine, indent=1) + "\n")
    kept = Kept(path)
    (path / CELLS).mkdir(exist_ok=True)
    with _alone(about):
        try:
            yield kept
        except BaseException as error:
            if kept.empty:
                _clear(path)
                with suppress(OSError):
                    path.rmdir()
            elif isinstance(error, KeyboardInterrupt):
                said = f"stopped; what was run is kept in {path}, and the same command goes on"
                raise Stopped(said, signal.SIGINT) from None
            raise
        _clear(path)


def finished(path: Path) -> bool:
    """Whether a folder holds a study that was run to its end."""
    return (path / RESULTS).is_file() and not (path / ABOUT).exists()


def _clear(path: Path) -> None:
    shutil.rmtree(path / CELLS)
    (path / ABOUT).unlink()


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Nobody else in this folder, where the system can tell."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with file.open() as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"{file.parent}: this study is being run in it; choose another --out") from None
        except OSError:  # a file system without locks
            pass
        yield
