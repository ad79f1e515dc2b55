"""The folder of a study that can be stopped: every run's answer is a file as soon as it is there, and is not run again."""

import hashlib
import json
import shutil
import signal
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import Timeout

import infomax
from infomax.errors import ConfigError
from infomax.evaluate.splits import other_splits
from infomax.files import write_text
from infomax.finite import finite_or_none
from infomax.locks import held
from infomax.training.folder import unclaimed
from infomax.training.interrupt import Stopped
from infomax.training.run import environment

ABOUT, LOCK, CELLS, RESULTS = "study.json", "study.lock", "cells", "results.json"
CONTENT = "content"
MACHINE = ("root", "device")
"""Settings that results name by their kind alone: where data lie is no matter of theirs, nor which of several GPUs it was."""


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
        try:
            return json.loads(self._file(job).read_text())["value"]
        except (OSError, ValueError, KeyError):  # none, or a damaged one
            return None

    def count(self, jobs: Iterable[Any]) -> int:
        """Of how many jobs there is an answer."""
        return sum(self.found(job) is not None for job in jobs)

    def keep(self, job: Any, value: Any) -> None:
        """Write an answer down; what failed is not kept, and tried again."""
        write_text(self._file(job), json.dumps({"job": asdict(job), "value": value}) + "\n")

    def write(self, results: Mapping[str, Any]) -> None:
        """results.json, whole or not at all; numbers that are not finite stand as null."""
        write_text(self.path / RESULTS, json.dumps(finite_or_none(results), indent=1, allow_nan=False) + "\n")

    @property
    def empty(self) -> bool:
        """Whether nothing would be lost."""
        return not any(p.is_file() and p.name not in (ABOUT, LOCK) for p in self.path.rglob("*"))


@contextmanager
def going_on(
    out: str | Path, settings: Mapping[str, Any], content: Mapping[str, Mapping[str, Any]] | None = None
) -> Iterator[Kept]:
    """The folder of a study: made anew, or entered again where the same study was stopped in it.

    Args:
        out: the folder.
        settings: all that the runs depend on but this package, torch and the data.
        content: what data are known by (`infomax.evaluate.splits.known_by`), by name.

    Raises:
        ConfigError: it holds something else, a finished study, or one that was begun with other settings, data or sources, or
            is being run. Stopped: by Ctrl-C, with what is kept.
    """
    path, about = Path(out), Path(out) / ABOUT
    versions = {k: v for k, v in environment().items() if k in ("torch", "numpy")}
    mine: dict[str, Any] = json.loads(
        json.dumps({**settings, **versions, "sources": _sources(), CONTENT: dict(content or {})})
    )
    _enterable(path, mine)
    path.mkdir(parents=True, exist_ok=True)
    with _alone(path):
        _enterable(path, mine)  # nobody else comes in any more
        if about.exists():
            _same(path, mine)
        else:
            write_text(about, json.dumps(mine, indent=1) + "\n")
        kept = Kept(path)
        (path / CELLS).mkdir(exist_ok=True)
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


def begun(path: Path) -> bool:
    """Whether a folder holds a study that goes on where it was stopped."""
    return (path / ABOUT).exists()


def _enterable(path: Path, mine: Mapping[str, Any]) -> None:
    inside = {p.name for p in path.iterdir()} if path.is_dir() else set()
    if finished(path):
        raise ConfigError(
            f"{path} holds a study that has ended{_otherwise(path, mine)}, its numbers in {path / RESULTS}: nothing is "
            "overwritten, and no run is added; the same command with another --out runs all of them, those that there are "
            "once more"
        )
    if ABOUT not in inside and inside != {LOCK}:
        unclaimed(path)


def _otherwise(path: Path, mine: Mapping[str, Any]) -> str:
    """In what a study that has ended is another than the one asked for: more seeds, most of all."""
    try:
        theirs = json.loads((path / RESULTS).read_text())["settings"]
        told = [k for k in theirs if k in mine and k not in MACHINE and not isinstance(mine[k], dict | list)]
        other = [f"{k} {theirs[k]}, not {mine[k]}" for k in told if theirs[k] != mine[k]]
    except (OSError, ValueError, TypeError, KeyError):  # it is refused all the same
        return ""
    return f" ({'; '.join(other)})" if other else ""


def _same(path: Path, mine: Mapping[str, Any]) -> None:
    try:
        theirs = dict(json.loads((path / ABOUT).read_text()))
    except (ValueError, TypeError):
        raise ConfigError(f"{path / ABOUT} is damaged: choose another --out, or remove the folder") from None
    then, now = theirs.pop(CONTENT, {}), mine[CONTENT]
    told = [k for k in {**theirs, **mine} if k != CONTENT]
    other = [f"{k} {theirs.get(k)}, not {mine.get(k)}" for k in told if theirs.get(k) != mine.get(k)]
    other += [f"{name} has changed since ({said})" for name in now if name in then
              for said in other_splits(then[name], now[name])]  # fmt: skip
    if other:
        raise ConfigError(
            f"{path} holds a study that was stopped, and another one: {'; '.join(other)}; choose another --out or remove it"
        )


def _sources() -> str:
    """A hash of the package: runs of two editions are never mixed."""
    root = Path(infomax.__file__).parent
    files = sorted(p.relative_to(root).as_posix() for p in root.rglob("*.py"))
    return hashlib.sha256(b"".join(f.encode() + (root / f).read_bytes() for f in files)).hexdigest()[:12]


def _clear(path: Path) -> None:
    (path / ABOUT).unlink(missing_ok=True)  # first: from now on it is finished
    shutil.rmtree(path / CELLS, ignore_errors=True)
    (path / LOCK).unlink(missing_ok=True)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Nobody else in this folder."""
    with ExitStack() as stack:
        try:
            stack.enter_context(held(path / LOCK))
        except Timeout:
            raise ConfigError(f"{path}: this study is being run in it; choose another --out") from None
        yield
