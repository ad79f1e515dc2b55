"""A run and its folder: what was asked, what happened, the weights; everything readable without executing code.

| file | content |
|---|---|
| config.json | what was asked, resolved to the last default |
| environment.json | versions, machine, the exact command; the same again for each time it was continued |
| log.jsonl, log.csv | a line an epoch (also for TensorBoard, where that is installed) |
| checkpoints/ | what a stopped run continues from |
| nan.json | where the run ended, if it met a NaN: step, batch, samples |
| embedding.safetensors | a few samples' embedding and its spectrum by epoch; see `infomax.training.frames` |
| learner.safetensors | every parameter and buffer, both branches |
| report.html | the page, once it is asked for |
| run.lock | there while a process trains in the folder, or where one was killed; in nobody's way |
"""

import json
import platform
import re
import shlex
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from filelock import Timeout
from torch import Tensor

from infomax.data import Dataset
from infomax.errors import ConfigError, DataError, beside
from infomax.errors import command as typed
from infomax.learner import Learner
from infomax.locks import held, left
from infomax.parallel import rank, world
from infomax.training.checkpoint import FOLDER, distinct, fill, step_of, unwritable, write_bytes, written
from infomax.training.frames import FILE as FRAMES
from infomax.training.frames import Frames
from infomax.training.log import FILE as LOG
from infomax.training.log import Log
from infomax.training.sharding import Strategy
from infomax.training.stands import stands

PAGES = ("report.html", "comparison.html")
"""What `infomax report` writes into the folder of a run, of it alone and of several."""

LOCK = "run.lock"
"""Held by the process that trains in a folder. The system lets go of it when that one dies, though the file may stay."""


def unclaimed(out: str | Path, *, anew: bool = False) -> Path:
    """A folder that a run may be kept in, untouched: asked before data are read, which takes long.

    Args:
        out: the folder.
        anew: count what `never_begun` knows for nothing, too.

    Raises:
        ConfigError: where it exists and is not empty; what a run leaves that was killed before it began counts for nothing.
    """
    path = Path(out)
    if anew and never_begun(path):
        return path
    if path.exists() and (not path.is_dir() or any(not _of_no_run(p) for p in path.iterdir())):
        raise ConfigError(
            f"{path} exists and is not empty: nothing is overwritten; choose another --out or remove it{_of_the_run_in(path)}"
        )
    return path


def _of_the_run_in(path: Path) -> str:
    """What else can be done where a folder holds a run: one that has ended has nothing left to continue."""
    if not written(path):
        return ""
    try:
        ended = stands(read_config(path)["training"], read_log(path), path)["finished"]
    except DataError:  # `--resume` says what it is
        ended = False
    if ended and (path / "learner.safetensors").is_file():
        return f"; the run in it has ended: {typed(f'evaluate {shlex.quote(str(path))}')} judges it"
    return "; continue the run in it by --resume"


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


def write_atomically(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    write_bytes(path, text.encode())


def environment() -> dict[str, Any]:
    """What the numbers of a run depend on beside its configuration."""
    import numpy

    import infomax

    return {
        "infomax": infomax.__version__,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        "processes": world(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "command": shlex.join(sys.argv),
    }


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
        warnings.warn(str(error), stacklevel=2)
        return None


def begun(run: "Run", data: Dataset, watched: int, epoch: int | None) -> tuple[Frames, Tensor]:
    """Give a run what is kept of its embedding by epoch, as far as it stands; and where its samples lie among the watched.

    Args:
        run: which continues, or begins.
        data: of the run.
        watched: samples off which its gauges are read.
        epoch: how many have ended; None: it begins.
    """
    frames, places = Frames.of(data, watched)
    if epoch is not None and run.path is not None:
        known = read_frames(run.path)
        frames = frames if known is None else known.until(epoch)
    run.frames = frames
    return frames, places


def read_weights(path: Path, learner: Learner) -> None:
    """Fill a learner with the weights of a run.

    Raises:
        DataError: where the file is damaged. ConfigError: where it holds another architecture, naming the first difference.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise DataError(f"{path} is damaged ({error}): take a copy of it, or train again") from None
    fill(learner, tensors, path)


def rebuilt(folder: Path, config: dict[str, Any]) -> Learner:
    """The learner of a run, its weights drawn anew, from the names of its method and encoder.

    Raises:
        DataError: where it was put together by hand.
    """
    from infomax import encoders, methods

    if not config["method"] or not config["encoder"]:
        raise DataError(
            f"the learner of {folder} was put together by hand, so no command can build it again: in Python, give one like "
            f"it: Run.load({str(folder)!r}, learner=...) or Run.resume({str(folder)!r}, learner=...)"
        )
    if config["method"]["method"] not in methods.METHODS:
        raise DataError(
            f"{folder} is a run of the method {config['method']['method']!r}, which is not the package's: import the module "
            "that enters it by @im.methods.method first (on a command line by a command of your own: docs/methods.md)"
        )
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in config["method"].items() if k != "method"}
    return methods.build(config["method"]["method"], encoders.again(config["encoder"]), **options)


@dataclass
class Run:
    """A learner, what it was trained on, and how it went.

    Args:
        learner: the trained method.
        config: what was asked.
        history: one row an epoch.
        data: the data set it was trained on, where it is at hand.
        path: the run's folder, if it has one.
        frames: the embedding of a few samples by epoch, where it was kept.
    """

    learner: Learner
    config: dict[str, Any]
    history: list[dict[str, float]] = field(default_factory=list)
    data: Any = None
    path: Path | None = None
    frames: Frames | None = None
    _log: Log = field(default_factory=Log, init=False, repr=False, compare=False)

    def __str__(self) -> str:
        """What it is, and where it stands, in one line."""
        asked, last = self.config.get("data", {}).get("name", "?"), self.history[-1] if self.history else {}
        stands = f"epoch {last['epoch']}, bound {last['bound']:.3f}" if last else "not begun"
        return f"{self.learner.name} on {asked}, {stands}" + (f", in {self.path}" if self.path else "")

    @property
    def writes(self) -> bool:
        """Whether this process writes: there is a folder, and it is the first of its kind."""
        return self.path is not None and rank() == 0

    def start(self, continued: int | None = None) -> None:
        """Write down what was asked, before anything happens; or that the run continues, at which update."""
        if self.path is None or not self.writes:
            return
        here = environment()
        if continued is not None:
            known = self.path / "environment.json"  # which a run killed as it began does not have
            then = json.loads(known.read_text(encoding="utf-8")) if known.is_file() else {}
            here = then | {"continued": [*then.get("continued", []), {"step": continued, **here}]}
        else:
            write_bytes(self.path / "config.json", json.dumps(self.config, indent=2).encode() + b"\n", durable=True)
        write_bytes(self.path / "environment.json", json.dumps(here, indent=2).encode() + b"\n", durable=True)

    def abandon(self) -> None:
        """Take the folder away again, where nothing was learnt: what was asked could not work, and can be asked anew."""
        if self.path is None or not self.writes or self.history:
            return
        if any((self.path / name).exists() for name in ("nan.json", "log.jsonl", "learner.safetensors")):
            return
        if any(step_of(checkpoint) > 0 for checkpoint in written(self.path)):
            return
        shutil.rmtree(self.path)  # `claim` made it, or found it empty: all in it is this run's

    def save(self, *, durable: bool = False) -> None:
        """Write the weights, whole or not at all, and what is new of the log.

        Raises:
            DataError: where they cannot be written; what stood there before still does.
        """
        if self.path is None or not self.writes:
            return
        from safetensors.torch import save

        weights = save({n: t.detach().cpu().contiguous() for n, t in distinct(self.learner).items()})
        self.save_frames(durable=durable)
        write_bytes(self.path / "learner.safetensors", weights, durable=durable)
        self._log.write(self.path, self.history, durable=durable)

    def save_frames(self, *, durable: bool = False) -> None:
        """Write what was kept of the embedding by epoch, where there is any."""
        if self.path is not None and self.writes and self.frames is not None and self.frames.epochs:
            write_bytes(self.path / FRAMES, self.frames.to_bytes(), durable=durable)

    @classmethod
    def load(cls, path: str | Path, learner: Learner | None = None) -> "Run":
        """Read a run back from its folder.

        Args:
            path: the folder.
            learner: of the same architecture, for a run whose learner was put together by hand; a method and encoder that
                were built by name are built again.

        Raises:
            DataError: where the folder is no run, or its learner cannot be built again.
        """
        folder = Path(path)
        config = read_config(folder)
        if not (folder / "learner.safetensors").is_file():
            raise DataError(f"{folder} has no weights yet: its first epoch did not end")
        learner = rebuilt(folder, config) if learner is None else learner
        read_weights(folder / "learner.safetensors", learner)
        return cls(learner, config, read_log(folder), path=folder, frames=read_frames(folder))

    @classmethod
    def resume(
        cls,
        path: str | Path,
        *,
        learner: Learner | None = None,
        data: Any = None,
        views: Any = None,
        device: str | None = None,
        devices: int | None = None,
        strategy: Strategy | None = None,
        on_epoch: Callable[["Run"], object] | None = None,
        progress: bool = True,
    ) -> "Run":
        """Continue a run that was stopped, however it was; on CPU it ends in the same weights, bit for bit.

        Args:
            path: the run's folder.
            learner: one built in the same way, where it was put together by hand.
            data, views: given again, where they were no names.
            device, devices, strategy: where to compute from here on; by default where it was before.
            on_epoch: as in `train`.
            progress: show a bar.

        Returns:
            The finished run. One that had ended is read back.

        Raises:
            DataError: where there is nothing to continue from.
            ConfigError: where learner, data or views are not what the run was begun with, naming the keys that differ.
        """
        from infomax.training.loop import resume

        return resume(
            Path(path), learner=learner, data=data, views=views, device=device, devices=devices, strategy=strategy,
            on_epoch=on_epoch, progress=progress,
        )  # fmt: skip

    def evaluate(
        self, data: Any = None, *, root: str | None = None, protocols: str = "linear,knn", seed: int = 0
    ) -> dict[str, Any]:
        """Linear probe, nearest neighbours and gauges of the frozen encoder; see `infomax.evaluate.run.evaluate`."""
        from infomax.evaluate.run import evaluate

        return evaluate(self, data, root=root, protocols=protocols, seed=seed)

    def embed(
        self,
        data: Any,
        out: str | Path | None = None,
        *,
        root: str | None = None,
        split: str = "train",
        head: bool = False,
    ) -> tuple[Tensor, list[str]]:
        """Features of every sample of some data, and the samples' names; see `infomax.evaluate.embed.embed`.

        Args:
            data: a data set, name or path.
            out: also write them to this new `.npz` or `.parquet` file.
            root: where named data sets lie.
            split: `train` or `test`.
            head: the embedding behind the projector, in place of the encoder's features.
        """
        from infomax.evaluate.embed import embed

        return embed(self, data, out, root=root, split=split, head=head)

    def report(
        self, path: str | Path | None = None, data: Any = None, *, root: str | None = None, umap: bool = False
    ) -> Path:
        """Write one self-contained page of the run: curves, embedding by epoch, neighbours, view pairs, settings.

        Args:
            path: of the page; by default report.html in the run's folder.
            data: for thumbnails, neighbours and view pairs; by default what the run was trained on, where it is found.
            root: where named data sets lie.
            umap: lay the features out by UMAP as well.

        Raises:
            ConfigError: a run without a folder, and no path. DataError: data that cannot be used.
        """
        from infomax.report.run import report

        if path is None and self.path is None:
            raise ConfigError("this run has no folder: say where its page goes, run.report('page.html')")
        page = Path(path) if path is not None else Path(str(self.path)) / "report.html"
        return report(self, page, data, root=root, umap=umap)
