"""A run: its learner, what it was asked, and how it went; kept in a folder, and read back from one."""

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
    """A learner, what it was trained on, and how it went.

    Args:
        learner: the trained method.
        config: what was asked.
        history: one row an epoch.
        data: the data set it was trained on, where it is at hand.
        path: the run's folder, if it has one.
        frames: the embedding of a few samples by epoch, where it was kept.
        updates: how many it has had; None of one that was read back.
        watched: what the watch over a collapse has seen and said, which the folder has as watch.json; empty where it was not
            kept.
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
        """What it is, and where it stands, in one line."""
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
        """That it has not come as far as it was asked to, as `evaluate` says it; None where it has, or is under way.

        Example:
            >>> import infomax as im
            >>> learner = im.methods.jmi(im.encoders.get("toy"), projector=())
            >>> im.train(learner, "gaussians", epochs=9, progress=False, on_epoch=lambda run: True).unfinished
            'epoch 1 of 9: the run is not finished'
        """
        return None if self._under_way else line(stands(self.config.get("training", {}), self.history, self.path))

    @property
    def size(self) -> int | None:
        """Side in pixels at which whole images are seen where no other is asked for; None where it was trained on none.

        By `evaluate` and `embed` of images as large as its own, and by what `export` writes: at which things are about as
        large as in its views (`infomax.evaluate.features.whole_size`), or its views' own, where its encoder takes no other.
        """
        from infomax.evaluate.example_inputs import size_of

        return size_of(self)

    @property
    def writes(self) -> bool:
        """Whether this process writes: there is a folder, and it is the first of its kind."""
        return self.path is not None and rank() == 0

    def start(self, continued: int | None = None, earlier: str | None = None) -> None:
        """Write down what was asked, before anything happens; or that the run continues, at which update.

        Args:
            continued: the update.
            earlier: by what its encoder was trained before it began.
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
        """Write down how large its views are, where only they could tell: those of a function of the user's."""
        if self.config["views"].get("size") == side:
            return
        self.config["views"]["size"] = side
        if self.path is not None and self.writes:
            asked = read_config(self.path)
            asked["views"]["size"] = side
            write_bytes(self.path / "config.json", json.dumps(asked, indent=2).encode() + b"\n", durable=True)

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
        """Write the weights and what the watch has seen, each whole or not at all, and what is new of the log.

        Raises:
            DataError: where they cannot be written; what stood there before still does.
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
        """Continue a run that was stopped, however it was; on CPU it ends in the same weights, bit for bit.

        Args:
            path: the run's folder.
            learner: one built in the same way, where it was put together by hand.
            data, views: given again, where they were no names.
            root: where named data sets lie now, if they were moved.
            device, devices, strategy: where to compute this time; by default where it began.
            checkpoint_every, keep: as in `train`, this time; by default as it began.
            wandb: project to log to this time, or "none"; by default as it began.
            on_epoch: as in `train`.
            progress: show a bar.

        Returns:
            The finished run. One that had ended is read back.

        Raises:
            DataError: where there is nothing to continue from.
            ConfigError: where learner, data or views are not what the run was begun with, naming the keys that differ.
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
        """A run around an encoder, or the learner of a loop of one's own, to `evaluate`, `embed` and `export` it.

        Args:
            encoder: a module that maps a batch to N x D, or a learner; it stays the same module.
            data: what it was trained on, or data of that kind: a data set, name or path.
            size: side in pixels at which whole images are seen; None: their own, at most 96.
            mean, std: of each channel, images on the [0, 1] scale, by which samples were normalised; None: those of `data`.
                Zeros and ones leave images in [0, 1] as they are.
            root: where named data sets lie.

        Raises:
            ConfigError: what is no module, cannot take such samples, or gives no N x D; statistics that cannot be.
            DataError: no data.

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
        """Linear probe, nearest neighbours and gauges of the frozen encoder; see `infomax.evaluate.run.evaluate`."""
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
        """Features of every sample of some data, and the samples' names; see `infomax.evaluate.embed.embed`.

        Args:
            data: a data set, name or path.
            out: also write them to this new `.npz` or `.parquet` file.
            root: where named data sets lie.
            split: `train` or `test`.
            head: the embedding behind the projector, in place of the encoder's features.
            size: side in pixels at which whole images are seen; None: as in `evaluate`.
        """
        from infomax.evaluate.embed import embed

        return embed(self, data, out, root=root, split=split, head=head, size=size)

    def export(self, out: str | Path, *, encoder: str = "f", size: int | None = None) -> "Exported":
        """Write the encoder to a new file for elsewhere, and hold it against this one; see `infomax.evaluate.export`.

        Args:
            out: a new `.onnx` or `.pt2` file, a program with the normalisation inside; or `.safetensors`, the weights.
            encoder: f, or g: the second one, which SDMI trains and others move slowly behind f.
            size: side in pixels at which whole images are to be seen; None: `size` of this run.
        """
        from infomax.evaluate.export import export

        return export(self, out, encoder=encoder, size=size)

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
            ConfigError: a run without a folder, and no path, or of an encoder that was not trained here. DataError: data that
                cannot be used.
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
