"""A run: its learner, its configuration and its history; kept in a folder, and loaded from one."""

import json
import platform
import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from infomax.data import Dataset
from infomax.data.machine import cores, processor
from infomax.errors import ConfigError, DataError
from infomax.files import write_bytes
from infomax.learner import Learner
from infomax.parallel import rank, world
from infomax.training.checkpoint import distinct, fill, step_of, written
from infomax.training.completion import line, stands
from infomax.training.folder import again, read_config, read_frames, read_log, read_watched
from infomax.training.log import Log
from infomax.training.sharding import Strategy
from infomax.training.watch.collapse import FILE as WATCH
from infomax.training.watch.frames import FILE as FRAMES
from infomax.training.watch.frames import Frames
from infomax.training.watch.state import standing

if TYPE_CHECKING:
    from infomax.evaluate.export import Exported


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
        "machine": processor(),
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "processes": world(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "command": shlex.join(sys.argv),
    }


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
            f"it: im.Run.load({str(folder)!r}, learner=...) or {again(folder, config)}"
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
    """A trained learner, with its configuration and history.

    Args:
        learner: the trained method.
        config: configuration of the run.
        history: one row per epoch.
        data: the data set it was trained on, if available.
        path: the run's folder, if it has one.
        frames: the embedding of a few samples by epoch, if it was kept.
        updates: number of updates made; None for a run that was loaded from its folder.
        watched: what the collapse watch has seen and reported (watch.json in the folder); empty if it was not kept.
    """

    learner: Learner
    config: dict[str, Any]
    history: list[dict[str, float]] = field(default_factory=list)
    data: Any = None
    path: Path | None = None
    frames: Frames | None = None
    updates: int | None = None
    watched: dict[str, Any] = field(default_factory=dict)
    _log: Log = field(default_factory=Log, init=False, repr=False, compare=False)
    _under_way: bool = field(default=False, init=False, repr=False, compare=False)

    def __str__(self) -> str:
        """The method, the data and the state of the run, in one line."""
        asked, last = self.config.get("data", {}).get("name", "?"), self.history[-1] if self.history else {}
        told = "not begun" if self.config.get("training", True) else "not trained here"
        said = f"epoch {last['epoch']}, bound {last['bound']:.3f}" if last else told
        if {"effective_rank", "std"} <= last.keys():
            said += f", {standing(self.history, self.watched)}"
        said = f"{self.learner.name} on {asked}, {said}" + (f", in {self.path}" if self.path else "")
        return f"{said}; {self.unfinished}" if last and self.unfinished else said

    def __repr__(self) -> str:
        return f"<Run: {self}>"

    @property
    def unfinished(self) -> str | None:
        """A line that says how far the run has come, if it has not reached its end; None if it has, or while it is training.

        Example:
            >>> import infomax as im
            >>> learner = im.methods.jmi(im.encoders.get("toy"), projector=())
            >>> im.train(learner, "gaussians", epochs=9, progress=False, on_epoch=lambda run: True).unfinished
            'epoch 1 of 9: the run is not finished'
        """
        return None if self._under_way else line(stands(self.config.get("training", {}), self.history, self.path))

    @property
    def size(self) -> int | None:
        """Side in pixels at which whole images are shown to the encoder by default; None if the run was not trained on images.

        `evaluate` and `embed` use it for images as large as the run's own, and `export` writes it. It is the size at
        which objects appear about as large as in the views (`infomax.evaluate.features.whole_size`), or that of the
        views, if the encoder takes no other.
        """
        from infomax.evaluate.example_inputs import size_of

        return size_of(self)

    @property
    def writes(self) -> bool:
        """Whether this process writes: the run has a folder, and this is the first process."""
        return self.path is not None and rank() == 0

    def start(self, continued: int | None = None, earlier: str | None = None) -> None:
        """Write the configuration and the environment before anything else; or that the run continues, and at which update.

        Args:
            continued: the update at which it continues.
            earlier: what trained its encoder before this run.
        """
        if self.path is None or not self.writes:
            return
        here = environment()
        if continued is not None:
            known = self.path / "environment.json"  # which a run killed as it began does not have
            then = json.loads(known.read_text(encoding="utf-8")) if known.is_file() else {}
            here = then | {"continued": [*then.get("continued", []), {"step": continued, **here}]}
            asked, data = read_config(self.path), self.config["data"]
            lie = {key: data[key] for key in ("name", "source", "root")}
            if data["source"] is not None and not lie.items() <= asked["data"].items():  # the same data, elsewhere now
                asked["data"] |= lie
                write_bytes(self.path / "config.json", json.dumps(asked, indent=2).encode() + b"\n", durable=True)
        else:
            here |= {"encoder_trained_before": earlier} if earlier else {}
            write_bytes(self.path / "config.json", json.dumps(self.config, indent=2).encode() + b"\n", durable=True)
        write_bytes(self.path / "environment.json", json.dumps(here, indent=2).encode() + b"\n", durable=True)

    def note_size(self, side: int) -> None:
        """Record the size of the views, where only the views could tell it: those of a function of the user's."""
        if self.config["views"].get("size") == side:
            return
        self.config["views"]["size"] = side
        if self.path is not None and self.writes:
            asked = read_config(self.path)
            asked["views"]["size"] = side
            write_bytes(self.path / "config.json", json.dumps(asked, indent=2).encode() + b"\n", durable=True)

    def abandon(self) -> None:
        """Remove the folder of a run whose options cannot work, if it has learnt nothing, so that they can be corrected."""
        if self.path is None or not self.writes or self.history:
            return
        if any((self.path / name).exists() for name in ("nan.json", "log.jsonl", "learner.safetensors")):
            return
        if any(step_of(checkpoint) > 0 for checkpoint in written(self.path)):
            return
        shutil.rmtree(self.path)  # `claim` made it, or found it empty: all in it is this run's

    def save(self, *, durable: bool = False) -> None:
        """Write the weights, the state of the collapse watch (each file completely or not at all) and the new rows of the log.

        Raises:
            DataError: they cannot be written; the earlier files are still there.
        """
        if self.path is None or not self.writes:
            return
        from safetensors.torch import save

        weights = save({n: t.detach().cpu().contiguous() for n, t in distinct(self.learner).items()})
        self.save_frames(durable=durable)
        write_bytes(self.path / "learner.safetensors", weights, durable=durable)
        if self.watched:
            write_bytes(self.path / WATCH, json.dumps(self.watched).encode() + b"\n", durable=durable)
        self._log.write(self.path, self.history, durable=durable)

    def save_frames(self, *, durable: bool = False) -> None:
        """Write the embedding by epoch, if any was kept."""
        if self.path is not None and self.writes and self.frames is not None and self.frames.epochs:
            write_bytes(self.path / FRAMES, self.frames.to_bytes(), durable=durable)

    @classmethod
    def load(cls, path: str | Path, learner: Learner | None = None) -> "Run":
        """Load a run from its folder.

        Args:
            path: the folder.
            learner: a learner of the same architecture, for a run whose learner was composed by hand. A learner whose
                method and encoder have names is rebuilt from them.

        Raises:
            DataError: the folder holds no run, or its learner cannot be rebuilt.
        """
        folder = Path(path)
        config = read_config(folder)
        if not (folder / "learner.safetensors").is_file():
            raise DataError(f"{folder} has no weights yet: its first epoch did not end")
        learner = rebuilt(folder, config) if learner is None else learner
        read_weights(folder / "learner.safetensors", learner)
        history, frames = read_log(folder), read_frames(folder)
        return cls(learner, config, history, path=folder, frames=frames, watched=read_watched(folder))

    @classmethod
    def resume(
        cls,
        path: str | Path,
        *,
        learner: Learner | None = None,
        data: Any = None,
        views: Any = None,
        root: str | None = None,
        device: str | None = None,
        devices: int | None = None,
        strategy: Strategy | None = None,
        checkpoint_every: int | str | None = None,
        keep: int | None = None,
        wandb: str | None = None,
        on_epoch: Callable[["Run"], object] | None = None,
        progress: bool = True,
    ) -> "Run":
        """Continue a run that was stopped. On a CPU it ends with the same weights, bit for bit, as one never stopped.

        Args:
            path: folder of the run.
            learner: a learner built in the same way, if it was composed by hand.
            data, views: the same data and views again, if they were objects rather than names.
            root: folder of the named data sets, if it was moved.
            device, devices, strategy: where to compute this time; by default as before.
            checkpoint_every, keep: interval and number of checkpoints this time, as in `train`; by default as before.
            wandb: project to log to this time, or "none"; by default as before.
            on_epoch: as in `train`.
            progress: show a progress bar.

        Returns:
            The finished run. A run that had already ended is loaded.

        Raises:
            DataError: there is nothing to continue from.
            ConfigError: learner, data or views are not those of the run; the message names the keys that differ.
        """
        from infomax.training.start import resume

        return resume(
            Path(path), learner=learner, data=data, views=views, root=root, device=device, devices=devices,
            strategy=strategy, checkpoint_every=checkpoint_every, keep=keep, wandb=wandb, on_epoch=on_epoch, progress=progress,
        )  # fmt: skip

    @classmethod
    def of(
        cls,
        encoder: nn.Module,
        data: Any,
        *,
        size: int | None = None,
        mean: tuple[float, ...] | None = None,
        std: tuple[float, ...] | None = None,
        root: str | None = None,
    ) -> "Run":
        """A run around any encoder, or around the learner of your own training loop, to `evaluate`, `embed` and `export` it.

        Args:
            encoder: a module that maps a batch to N x D, or a learner. The object itself is used, not a copy.
            data: what it was trained on, or data of that kind: a data set, name or path.
            size: side in pixels at which whole images are shown to the encoder; None: their own, at most 96.
            mean, std: mean and standard deviation per channel by which samples are normalised, for images in [0, 1];
                None: those of `data`. Zeros and ones leave images in [0, 1] as they are.
            root: folder of the named data sets.

        Raises:
            ConfigError: not a module, one that cannot take such samples or does not return N x D, or impossible
                statistics.
            DataError: the data cannot be loaded.

        Example:
            >>> x = torch.cat([torch.randn(40, 6) - 2, torch.randn(40, 6) + 2])
            >>> data = Dataset(x, torch.arange(80) // 40)
            >>> run = Run.of(nn.Linear(6, 3), data)
            >>> run, run.embed(data)[0].shape
            (<Run: Linear on data, not trained here>, torch.Size([80, 3]))
        """
        from infomax.evaluate.bare import of

        return of(encoder, data, size, mean, std, root)

    def evaluate(
        self,
        data: Any = None,
        *,
        test: Any = None,
        root: str | None = None,
        protocols: str = "linear,knn",
        size: int | None = None,
        seed: int = 0,
    ) -> dict[str, Any]:
        """Evaluate the frozen encoder: linear probe, nearest neighbours, gauges; see `infomax.evaluate.run.evaluate`."""
        from infomax.evaluate.run import evaluate

        return evaluate(self, data, test=test, root=root, protocols=protocols, size=size, seed=seed)

    def embed(
        self,
        data: Any,
        out: str | Path | None = None,
        *,
        root: str | None = None,
        split: str = "train",
        head: bool = False,
        size: int | None = None,
    ) -> tuple[Tensor, list[str]]:
        """Compute the features of every sample, and the samples' names; see `infomax.evaluate.embed.embed`.

        Args:
            data: a data set, name or path.
            out: also write the features to this new `.npz` or `.parquet` file.
            root: folder of the named data sets.
            split: `train` or `test`.
            head: compute the embedding behind the projector instead of the encoder's features.
            size: side in pixels at which whole images are shown to the encoder; None: as in `evaluate`.
        """
        from infomax.evaluate.embed import embed

        return embed(self, data, out, root=root, split=split, head=head, size=size)

    def export(self, out: str | Path, *, encoder: str = "f", size: int | None = None) -> "Exported":
        """Write the encoder to a new file for use elsewhere, and compare the two; see `infomax.evaluate.export`.

        Args:
            out: a new file. `.onnx` or `.pt2`: a program that includes the normalisation; `.safetensors`: the weights.
            encoder: f, or g, the second encoder: SDMI trains it, and in other methods it follows f as a moving average.
            size: side in pixels at which whole images are to be shown to the encoder; None: `size` of this run.
        """
        from infomax.evaluate.export import export

        return export(self, out, encoder=encoder, size=size)

    def report(
        self, path: str | Path | None = None, data: Any = None, *, root: str | None = None, umap: bool = False
    ) -> Path:
        """Write one self-contained HTML page of the run: curves, embedding by epoch, neighbours, view pairs, settings.

        Args:
            path: path of the page; by default report.html in the run's folder.
            data: data for thumbnails, neighbours and view pairs; by default the data that the run was trained on, if
                found.
            root: folder of the named data sets.
            umap: also show the features projected by UMAP.

        Raises:
            ConfigError: the run has no folder and no path was given, or its encoder was not trained here.
            DataError: the data cannot be used.
        """
        from infomax.report.run import report

        if not self.config.get("training", True):
            raise ConfigError(
                f"{self.learner.name} was not trained here, so there is no log to make a page of: im.train makes one"
            )
        if path is None and self.path is None:
            raise ConfigError("this run has no folder: say where its page goes, run.report('page.html')")
        page = Path(path) if path is not None else Path(str(self.path)) / "report.html"
        return report(self, page, data, root=root, umap=umap)
