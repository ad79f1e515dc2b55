"""What a page knows of a run: all that can be read, and in words what cannot, and how to give it."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from infomax.data.content import same_statistics
from infomax.errors import ConfigError, DataError, command
from infomax.training.checkpoint import written
from infomax.training.folder import never_begun, read_config, read_frames, read_log
from infomax.training.run import Run, read_weights, rebuilt
from infomax.training.watch.collapse import FILE as WATCH
from infomax.training.watch.frames import Frames

if TYPE_CHECKING:
    from infomax.data import Dataset
    from infomax.learner import Learner

Row = Mapping[str, float]


@dataclass
class Subject:
    """A run as a page shows it.

    Args:
        name: told apart from the others of the page by it.
        method: of the run.
        config: what was asked.
        history: one row an epoch.
        environment: where it was computed.
        evaluation: findings by data set, where it was evaluated.
        watched: what the watch over a collapse saw and said, where that was kept.
        frames: its embedding by epoch, where that was kept.
        learner: with its weights, where they can be read.
        data: what it was trained on, where that is at hand; `own` whether it is that, or other data.
        path: its folder.
        missing: what is not there, and what to do about it.
    """

    name: str
    method: str
    config: Mapping[str, Any]
    history: Sequence[Row]
    environment: Mapping[str, Any] = field(default_factory=dict)
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    watched: Mapping[str, Any] = field(default_factory=dict)
    frames: Frames | None = None
    learner: "Learner | None" = None
    data: "Dataset | None" = None
    own: bool = True
    path: Path | None = None
    missing: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, run: Run) -> Self:
        """A run that is at hand."""
        made = cls(run.learner.name, run.learner.name, run.config, run.history, frames=run.frames, learner=run.learner,
                   data=run.data, path=run.path, watched=run.watched)  # fmt: skip
        if run.path is not None:
            made._read_beside(run.path)
        else:
            from infomax.training.run import environment

            made.environment = environment()
        made._say_frames()
        return made

    @classmethod
    def at(cls, folder: Path) -> Self:
        """A run by its folder; one that cannot be built or filled again still has its curves.

        Raises:
            DataError: no run, or a damaged configuration or log.
        """
        config = read_config(folder)
        method = str((config["method"] or {}).get("method") or "a learner put together by hand")
        made = cls(folder.resolve().name, method, config, read_log(folder), path=folder)
        made._read_beside(folder)
        if not (folder / "learner.safetensors").is_file():
            made.missing.append(_begun(folder))
        else:
            try:
                learner = rebuilt(folder, config)
                read_weights(folder / "learner.safetensors", learner)
                made.learner = learner.eval()
            except (ConfigError, DataError) as error:
                made.missing.append(f"The encoder cannot be had, so there are no features and no neighbours: {error}")
        made.frames = read_frames(folder)
        made._say_frames()
        return made

    def _read_beside(self, folder: Path) -> None:
        for name, file in (("environment", "environment.json"), ("evaluation", "evaluation.json"), ("watched", WATCH)):
            path = folder / file
            if path.is_file():
                try:
                    setattr(self, name, dict(json.loads(path.read_text(encoding="utf-8"))))
                except (ValueError, TypeError, OSError) as error:
                    self.missing.append(f"{path.name} is damaged and left out: {error}")
            elif name == "environment" and (self.history or written(folder)):  # a run that begins has none yet
                self.missing.append("environment.json is not there.")

    def _say_frames(self) -> None:
        if self.frames is None or not self.frames.epochs:
            self.frames = None
            if self.path is not None and not self.history and not written(self.path):
                return  # a run writes it just before its first checkpoint
            self.missing.append(
                "The embedding by epoch was not kept (`embedding.safetensors`): the run is older than that, or its embedding "
                "was no N x D of finite numbers."
            )

    @property
    def last(self) -> Row:
        """The last row of the log, or nothing."""
        return self.history[-1] if self.history else {}

    @property
    def asked_for(self) -> str:
        """Name of its data."""
        return str(self.config["data"].get("name", "?"))

    @property
    def folder(self) -> str:
        """The name of its folder, where it is called otherwise, as a cell of a sweep is."""
        name = "" if self.path is None else self.path.resolve().name
        return "" if name in self.name else name

    @property
    def epochs(self) -> str:
        """How far it has come."""
        done, training = self.last.get("epoch", 0), self.config["training"]
        if training.get("budget"):
            return f"{done:g} ({training['budget']})"
        asked = training.get("epochs", "?")
        return f"{done:g}" if done == asked else f"{done:g} of {asked}"


def _begun(folder: Path) -> str:
    """Why a run has no weights, and what to do where it will never have any."""
    if never_begun(folder):
        return (
            "There are no weights: the run was killed before its first checkpoint. Begin it anew, in the same folder, by the "
            "command that began it."
        )
    return "There are no weights: not one epoch has ended."


def find_data(subjects: Sequence[Subject], given: Any = None, root: str | None = None) -> None:
    """Give every run its data: those that are given, or else its own where they are found, each set loaded once.

    Raises:
        DataError, ConfigError: data that are given, and cannot be loaded or are of another kind than a run's encoder takes.
    """
    from infomax.training.defaults import dataset, read_by, read_like, source_of

    known: dict[Any, Dataset | str] = {}
    if given is not None:
        known[None] = dataset(given, root, how=read_like(subjects[0].config["data"]) | {"hold": False})
    for subject in subjects:
        asked = subject.config["data"]
        if given is not None:
            subject.data = known[None]  # type: ignore[assignment]
            subject.own = _same(subject.data, asked)
        elif subject.data is None:
            how, place = read_by(asked), root or asked.get("root")
            source = (asked.get("source", asked.get("name")) or str(asked), place, *sorted(how.items()))
            if source not in known:
                try:
                    known[source] = dataset(source_of(asked, root), place, how=how | {"hold": False})
                except (DataError, ConfigError, OSError) as error:
                    known[source] = str(error)
            found = known[source]
            if isinstance(found, str):
                where = "RUN" if subject.path is None else shlex.quote(str(subject.path))
                asks, why = f"`{command(f'report {where} --data PATH')}`", f"were not found ({found})"
                if asked.get("source", "") is None:  # a run of before does not tell
                    why = "were given in Python"
                    in_python = "`im.Run.load(...).report(data=...)`"
                    if subject.path is not None:
                        in_python = f"`im.Run.load({str(subject.path)!r}).report(data=...)`"
                    # no file holds a graph of one's own
                    asks = in_python if asked.get("kind") == "nodes" else f"{in_python}, or, of a file, {asks}"
                subject.missing.append(
                    f"Thumbnails, features, neighbours and view pairs need the data, which {why}. Give them: {asks}."
                )
                continue
            subject.data, subject.own = found, _same(found, asked)
        _fit(subject, strict=given is not None)


def _same(data: "Dataset | None", asked: Mapping[str, Any]) -> bool:
    """Whether data are those that a run was trained on, by what it wrote down of them."""
    if data is None or len(data) != asked.get("samples", len(data)):
        return False
    return same_statistics(asked, vars(data))


def _fit(subject: Subject, *, strict: bool) -> None:
    """See that the encoder takes the data, before anything is drawn of them."""
    from infomax.evaluate.features import fits

    if subject.learner is None or subject.data is None:
        return
    try:
        fits(Run(subject.learner, dict(subject.config)), subject.data)
    except DataError as error:
        if strict:
            raise
        subject.data = None
        subject.missing.append(f"{error}.")
