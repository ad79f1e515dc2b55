"""A run's folder: who may have it, and what can be read of it, everything without executing code.

| file | content |
|---|---|
| config.json | what was asked, resolved to the last default |
| environment.json | versions, machine, the exact command; the same again for each time it was continued |
| log.jsonl, log.csv | a line an epoch (also for TensorBoard, where that is installed) |
| checkpoints/ | what a stopped run continues from |
| nan.json | where the run ended, if it met a NaN: step, batch, samples |
| embedding.safetensors | a few samples' embedding and its spectrum by epoch; see `infomax.training.watch.frames` |
| watch.json | what the watch over a collapse has seen and said; see `infomax.training.watch.collapse` |
| learner.safetensors | every parameter and buffer, both branches |
| report.html | the page, once it is asked for |
| run.lock | there while a process trains in the folder, or where one was killed; in nobody's way |
"""

import json
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from filelock import Timeout

from infomax.errors import ConfigError, DataError, beside, command, scripted, warn
from infomax.files import unwritable
from infomax.locks import held, left, taken
from infomax.parallel import rank
from infomax.training.checkpoint import FOLDER, written
from infomax.training.completion import stands
from infomax.training.log import FILE as LOG
from infomax.training.watch.collapse import FILE as WATCH
from infomax.training.watch.frames import FILE as FRAMES
from infomax.training.watch.frames import Frames

PAGES = ("report.html", "comparison.html")
"""What `infomax report` writes into the folder of a run, of it alone and of several."""

LOCK = "run.lock"
"""Held by the process that trains in a folder. The system lets go of it when that one dies, though the file may stay."""


def unclaimed(out: str | Path, *, anew: bool = False, data: Any = None) -> Path:
    """A folder that a run may be kept in, untouched: asked before data are read, which takes long.

    Args:
        out: the folder.
        anew: count what `never_begun` knows for nothing, too.
        data: of the run, whose own folder is not to be removed.

    Raises:
        ConfigError: where it exists and is not empty; what a run leaves that was killed before it began counts for nothing.
        DataError: where nothing can be written.
    """
    path = place = Path(out)
    try:
        if anew and never_begun(path):
            return path
        place = next(one for one in (path, *path.parents) if one.exists())
        with TemporaryFile(dir=place) if place != path or path.is_dir() else nullcontext():  # a file is said below
            pass
    except OSError as error:
        raise DataError(f"{path}: nothing can be written in {place} ({error.strerror}): choose another --out") from None
    if path.exists() and (not path.is_dir() or any(not _of_no_run(p) for p in path.iterdir())):
        if anew and taken(path / LOCK):  # later this process holds it
            raise ConfigError(
                f"{path} exists and is not empty: another process is training in it; choose another --out, or wait until that "
                "one has ended"
            )
        raise ConfigError(_occupied(path, data))
    return path


def by_hand(config: Mapping[str, Any]) -> list[str]:
    """What of a run no name builds again, so that it is to be given where the run goes on: learner, data, views.

    Example:
        >>> by_hand({"method": {}, "encoder": {}, "data": {"source": "digits"}, "views": {"own": "mine"}})
        ['learner', 'views']
    """
    made = config["method"] and config["encoder"]
    lacks = {"learner": not made, "data": config["data"]["source"] is None, "views": config["views"]["own"]}
    return [part for part, lacking in lacks.items() if lacking]


def again(path: str | Path, config: Mapping[str, Any] | None = None, *, python: bool = False) -> str:
    """How a run goes on: by the command, or in Python where a part of it has no name, or a name that is the user's own.

    Args:
        path: of the run.
        config: of the run; None: that in the folder.
        python: in Python in any case.

    Example:
        >>> named = {"method": {"method": "simclr"}, "encoder": {"name": "mlp"}, "data": {"source": "digits"}}
        >>> again("runs/a", named | {"views": {"own": None}}).removeprefix("uv run ")
        'infomax train --resume runs/a'
        >>> again("runs/a", named | {"views": {"own": "mine"}})
        "im.Run.resume('runs/a', views=...)"
    """
    from infomax.methods import METHODS
    from infomax.training.defaults import VIEWS

    needs, own = [], False
    with suppress(DataError, OSError, KeyError, TypeError):
        config = read_config(Path(path)) if config is None else config
        needs = by_hand(config)
        builds = METHODS.get((config["method"] or {}).get("method", ""))
        own = builds is not None and not builds.__module__.startswith("infomax.")
        own |= config["views"].get("recipe") not in (None, *VIEWS)
        own &= not scripted()
    if needs or own or python:
        return f"im.Run.resume({', '.join([repr(str(path)), *(f'{part}=...' for part in needs)])})"
    return command(f"train --resume {shlex.quote(str(path))}")


def in_python(said: str, out: str | Path) -> str:
    """What `unclaimed` says of a folder, to who called `im.train` with out=, and typed no option.

    Example:
        >>> in_python("runs/a exists: choose another --out; continue the run in it by --resume", "runs/a")
        "runs/a exists: choose another out=...; im.Run.resume('runs/a') continues the run in it"
    """
    said = said.replace("choose another --out", "choose another out=...")
    on = f"{again(out, python=True)} continues the run in it"
    return said.replace("continue the run in it by --resume", on)


def _occupied(path: Path, data: Any) -> str:
    """What is said of a place that is taken; to remove it is advised of what may be a run's alone, and never of the data."""
    if path.is_file():
        return f"{path} is a file, and a run is kept in a folder: choose another --out"
    with suppress(OSError, RuntimeError):
        source = Path(data).expanduser().resolve() if isinstance(data, str | Path) else None
        if source is not None and source.exists() and source.is_relative_to(path.resolve()):
            holds = "is where the data lie" if source == path.resolve() else f"holds the data ({data})"
            return f"{path} {holds}, and nothing is written there: choose another --out, outside of them"
    remove = ""
    with suppress(DataError, OSError):  # others keep a config.json, too
        read_config(path)
        remove = " or remove it"
    return f"{path} exists and is not empty: nothing is overwritten; choose another --out{remove}{_of_the_run_in(path)}"


def _of_the_run_in(path: Path) -> str:
    """What else can be done where a folder holds a run: one that has ended has nothing left to continue."""
    if not written(path):
        return ""
    try:
        config = read_config(path)
        if stands(config["training"], read_log(path), path)["finished"] and (path / "learner.safetensors").is_file():
            return f"; the run in it has ended: {judging(path, config)} judges it"
    except DataError:  # `--resume` says what it is
        pass
    return "; continue the run in it by --resume"


def labelled(config: Mapping[str, Any]) -> bool:
    """Whether the data of a run had labels when it was begun, as far as it knows."""
    content = config["data"].get("content") or {}
    return content.get("labels", True) is not None


def judging(path: str | Path, config: Mapping[str, Any]) -> str:
    """The command that judges a run: of data without labels it needs others.

    Example:
        >>> judging("runs/photos", {"data": {"content": {"labels": None}}}).removeprefix("uv run ")
        'infomax evaluate runs/photos --data LABELLED'
    """
    return command(f"evaluate {shlex.quote(str(path))}{'' if labelled(config) else ' --data LABELLED'}")


def _of_no_run(file: Path) -> bool:
    if file.name == LOCK or file.match("config.json.*.tmp"):  # killed while it was being written
        return True
    return file.name == "config.json" and file.is_file() and file.stat().st_size == 0


def never_begun(path: Path) -> bool:
    """Whether a folder holds what a run leaves that was killed before its first checkpoint, nothing else, and nobody is in it.

    Pages that `infomax report` made of it count for nothing. The lock must be there, as only a killed process leaves it: the
    options alone of some run may be somebody's record of it.
    """
    return _before_a_checkpoint(path) and left(path / LOCK)


def _before_a_checkpoint(path: Path) -> bool:
    def known(file: Path) -> bool:
        if file.is_symlink():
            return False
        if file.is_dir():
            ours = {FOLDER: "*.tmp", "tensorboard": "events.out.tfevents.*"}.get(file.name)
            return ours is not None and all(one.is_file() and one.match(ours) for one in file.iterdir())
        if file.name in PAGES:
            from infomax.report.page import is_page

            return is_page(file)
        if file.name == FRAMES:
            frames = read_frames(path)
            return frames is not None and frames.epochs == [0]
        return file.name == LOCK or any(
            file.name == name or file.match(f"{name}.*.tmp") for name in ("config.json", "environment.json", FRAMES)
        )

    try:
        read_config(path)
        return all(known(file) for file in path.iterdir())
    except (DataError, OSError):
        return False


def cleared(path: Path) -> None:
    """Take away what `never_begun` knew, for who is alone in the folder since; anything else stays, and all that is with it."""
    if _before_a_checkpoint(path):
        for file in sorted(
            path.iterdir(), key=lambda file: file.name == "config.json"
        ):  # last, for it is known by that
            if file.name != LOCK:
                shutil.rmtree(file) if file.is_dir() else file.unlink()


def claim(out: str | Path, mark: str | None = None) -> Path:
    """Make the folder of a run or study; one that already holds something is never written into.

    Args:
        out: the folder.
        mark: a file that a run writes first: of two that found the folder empty only one has it.

    Raises:
        ConfigError: where it exists and is not empty. DataError: where it cannot be made.
    """
    path = unclaimed(out)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path, b"", error) from error
    if mark is not None and (path / mark).is_file() and (path / mark).stat().st_size > 0:
        raise ConfigError(f"{path}: another run has just begun in it; choose another --out")
    return path


@contextmanager
def alone(path: Path | None) -> Iterator[None]:
    """No other process trains in this folder meanwhile; the first of several processes sees to it for all.

    Args:
        path: the folder, which is made where it is missing; None: there is none.

    Warns:
        UserWarning: where the file system has no locks, so that nobody sees to it.

    Raises:
        ConfigError: where one does. DataError: where nothing can be written.
    """
    if path is None or rank() > 0:
        yield
        return
    with ExitStack() as stack:
        try:
            path.mkdir(parents=True, exist_ok=True)
            stack.enter_context(held(path / LOCK))
        except Timeout:
            raise ConfigError(
                f"{path}: another process is training in it: wait until that one has ended, or stop it first; if none does "
                f"(one was killed where the file system has no locks), remove {path / LOCK}"
            ) from None
        except OSError as error:
            raise unwritable(path / LOCK, b"", error) from error
        try:
            yield
        finally:
            with suppress(OSError):
                (path / LOCK).unlink()


@contextmanager
def leaving_nothing(folder: Path) -> Iterator[None]:
    """Take an empty folder away again where what was to fill it is stopped or fails."""
    try:
        yield
    except BaseException:
        if not any(folder.iterdir()):
            folder.rmdir()
        raise


def read_config(folder: Path) -> dict[str, Any]:
    """What a run was asked.

    Raises:
        DataError: where the folder is no run.
    """
    path = folder / "config.json"
    if not path.is_file():
        if folder.exists():
            raise DataError(f"{folder} is no run: it holds no config.json")
        raise DataError(f"{folder} is no run: it does not exist; {beside(folder)}".rstrip("; "))
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty: the run was killed before it began; begin it anew, in the same folder")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        missing = [key for key in ("method", "encoder", "data", "views", "training") if key not in config]
    except (ValueError, TypeError) as error:
        raise DataError(f"{path} is damaged: {error}") from None
    if missing:
        raise DataError(f"{path} is no configuration of a run: it lacks {', '.join(missing)}")
    return dict(config)


def read_log(folder: Path) -> list[dict[str, float]]:
    """The rows of a run's log, one an epoch; none where there is no log yet. A last line that is cut is no row.

    Raises:
        DataError: where a line is damaged, naming it.
    """
    log, rows = folder / LOG, []
    if not log.is_file():
        return []
    lines = re.findall(r"[^\n]*\n|[^\n]+", log.read_text(encoding="utf-8", errors="replace"))
    for number, line in enumerate(lines, 1):
        try:
            rows.append(dict(json.loads(line)))
        except (ValueError, TypeError):
            if not line.endswith("\n"):  # of a process that was killed, or a full disk
                break
            raise DataError(
                f"{log}: line {number} is damaged ({line[:40]!r}): remove it, or take the log of a copy"
            ) from None
    return rows


def read_frames(folder: Path) -> Frames | None:
    """The embedding of a run's watched samples by epoch; None where there is none that can be read."""
    if not (folder / FRAMES).is_file():
        return None
    try:
        return Frames.load(folder / FRAMES)
    except DataError as error:  # for the eye alone: nothing else depends on it
        warn(str(error))
        return None


def read_watched(folder: Path) -> dict[str, Any]:
    """What the watch over a collapse saw and said of a run; empty where there is nothing that can be read."""
    path = folder / WATCH
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, OSError) as error:  # of what is said beside the numbers alone
        warn(f"{path} is damaged and left out: {error}")
        return {}
