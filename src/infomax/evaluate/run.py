"""Evaluation of a trained encoder: one procedure for runs, the demo and the command line."""

import os
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from infomax import __version__
from infomax.data import NAMES, Dataset
from infomax.data.content import NAMED, changed, content
from infomax.data.folder import holds_images, unlabelled_for_sure
from infomax.data.sets import no_labels
from infomax.data.streams import is_stream
from infomax.errors import ConfigError, DataError, warn
from infomax.evaluate.baselines import baseline_lines, baselines
from infomax.evaluate.cache import kept, key
from infomax.evaluate.embedding import embedding_gauges, gauge_lines, gauges_alone
from infomax.evaluate.features import features, fits, unseen
from infomax.evaluate.findings import TESTED_ON, is_own, weights_of
from infomax.evaluate.finetune import check as check_finetunes
from infomax.evaluate.finetune import finetuned
from infomax.evaluate.finetune import line as finetune_line
from infomax.evaluate.gauges import effective_rank
from infomax.evaluate.gauges import spread as feature_spread
from infomax.evaluate.protocols import (
    BASELINES,
    FINETUNE,
    GAUGES,
    PROTOCOLS,
    QUICK,
    chosen,
    lines,
    named,
    probed,
    statement,
)
from infomax.evaluate.splits import AS_GIVEN, as_given, one_of_two, some_classes, some_held, splits, test_of, whole_rows
from infomax.learner import Learner
from infomax.progress import meter
from infomax.target import Twin
from infomax.training.completion import line as unfinished_line
from infomax.training.completion import stands
from infomax.training.defaults import begun_by, dataset, read_like, source_of, unchanged
from infomax.training.watch.state import lower_bound
from infomax.words import many

if TYPE_CHECKING:
    from infomax.training.run import Run


class Findings(dict[str, Any]):
    """The results of an evaluation: a mapping that prints as a few lines."""

    def __str__(self) -> str:
        return as_text(self)


def evaluate(
    run: "Run",
    data: Any = None,
    *,
    test: Any = None,
    root: str | None = None,
    protocols: str | tuple[str, ...] = QUICK,
    size: int | None = None,
    seed: int = 0,
    progress: bool = True,
    rescue: Callable[[Findings], object] | None = None,
) -> Findings:
    """Evaluate a run's frozen encoder on labelled data.

    Features are encoded once and kept in the run's folder. Whatever a protocol chooses, it chooses on a held-out fifth
    of the training data; see `infomax.evaluate.protocols`.

    Args:
        run: a run with its learner.
        data: a data set, name or path, an array and its labels `(x, y)`, or anything else that training takes; None:
            the data that the run was trained on. Labels are needed for everything but "gauges".
        test: other labelled data as test set, in any form that `data` may have. All of `data` is then used for fitting,
            and all of `test` for testing; classes are matched by name if both have names. None: the test split of
            `data`, or every fifth sample of each class.
        root: folder of the named data sets.
        protocols: names, including "baselines", "gauges" and "finetune". "all" is all but "finetune", and also without
            "gauges" if the run's views were a function.
        size: side in pixels at which whole images are shown to the encoder. Images of a folder or of shards that are
            not in memory are read for this size. None: the size at which objects appear about as large as in the run's
            views, at most the images' own (`infomax.evaluate.features.whole_size`).
        seed: random seed of every split and draw.
        progress: show progress bars.
        rescue: function called with the findings so far if a protocol fails or is interrupted; by default they are
            added to the error as a note.

    Returns:
        Accuracies in percent by protocol (`linear`, its binomial standard error `linear_se`, `knn`, ...); under `g`
            those of a second trained encoder (SDMI's), under `baselines` those to compare with; how they were measured
            (`protocol`); gauges of the features; gauges of the embedding at the run's last epoch, from its log
            (`gauges`); how far the run has come (`trained`); the `size` at which images were shown (and `default_size`,
            the one used by default); and whether the data are those the run was trained on (`own`), or what has changed
            in them since (`changed`).

    Raises:
        DataError: data without labels, with labels of a single class, or of a kind that the encoder cannot take; a
            class in `test` that `data` does not have.
        ConfigError: an unknown protocol; "gauges" named for a run whose views were a function; two data sets as `data`.
    """
    names = _asked_for(run, protocols)
    one_of_two(data)
    if test is not None and set(names) == {GAUGES}:
        raise ConfigError(f"{GAUGES} alone look at data and test on none: leave test out")
    if set(names) != {GAUGES}:
        _check_folder(run, data)
        _check_test_folder(test)
    train, source = _loaded(run, data, root, size)
    _check_labels(run, data, train, names)
    like = read_like(run.config["data"], size)
    size, usual = _sizes(run, train, size)
    tested, known_by = _tested(run, train, test, root, size, like)
    # by the labels as they are told, before decoding replaces any: as sweeps split
    fit, held, how = splits(train, tested) if test is None else splits(train, tested, AS_GIVEN)
    if train.labels is not None and set(names) != {GAUGES}:
        some_held(train, held, tested)
        some_classes(train, fit, gauges_alone(run, data))
    halves = _Halves(run, train, fit, train if tested is None else tested, held, size, progress)
    encoder, second = run.learner.encoder, second_encoder(run.learner)
    z, z_test = halves.encoded(encoder)
    halves.leave_out_undecoded()
    known = halves.known(z, z_test)
    of_what = {
        "infomax": __version__,
        "weights": weights_of(encoder),
        "trained": stands(run.config["training"], run.history, run.path),
        "run": None if run.path is None else str(run.path),
        "method": run.learner.name,
        "data": train.name,
        **source,
        "content_of_test": known_by,
        **({} if test is None or tested is None else {TESTED_ON: _place(test, tested)}),
        "samples": len(train),
        "train": len(halves.fit),
        "test": len(halves.held),
        "how": None if train.labels is None else how,
        "size": size if train.is_images else None,
        "default_size": usual if train.is_images else None,
        "seed": seed,
    }
    seen = _gauged(run, train, z)
    found: dict[str, Any] = {}

    def made() -> Findings:
        return Findings({**of_what, **found, **seen, "protocol": statement({**of_what, **found})})

    def judged(name: str) -> dict[str, Any]:
        parts = (run, train, halves.fit, halves.test, halves.held)
        if name == GAUGES:
            return {"embedding": embedding_gauges(run, train)}
        if name == FINETUNE:
            return finetuned(*parts, size=size, seed=seed, progress=progress)
        if name == BASELINES:
            return {BASELINES: baselines(*parts, size=size, seed=seed, progress=progress)}
        return PROTOCOLS[name](*known, seed)

    try:
        for name in meter(names, desc="judge", unit="protocol", delay=2, leave=False, disable=not progress):
            found |= judged(name)
        if second is not None:
            known_g = halves.known(*halves.encoded(second))
            for name in names:
                if name in PROTOCOLS:
                    found["g"] = found.get("g", {}) | PROTOCOLS[name](*known_g, seed)
    except BaseException as error:
        if not found:
            raise
        if rescue is None:
            error.add_note(f"found before it:\n{made()}")
        else:
            rescue(made())
        raise
    return made()


def _asked_for(run: "Run", protocols: str | tuple[str, ...]) -> tuple[str, ...]:
    """The names of the protocols, without the gauges where they were not asked for by name and cannot be read."""
    names = chosen(protocols)
    if GAUGES not in names or not (why_not := unseen(run.config)):
        return names
    if GAUGES in named(protocols):
        raise ConfigError(f"{GAUGES} take the views of a run, and {why_not}: leave {GAUGES} out of the protocols")
    warn(f"{GAUGES} are left out: they take the views of a run, and {why_not}")
    return tuple(name for name in names if name != GAUGES)


def _loaded(run: "Run", data: Any, root: str | None, size: int | None = None) -> tuple[Dataset, dict[str, Any]]:
    """The data, and what is to be said of where they are from: above all, whether they are what the run was trained on."""
    asked = run.config["data"]
    source = data if data is not None else run.data if run.data is not None else source_of(asked, root)
    try:
        train = dataset(source, root or asked.get("root"), how=read_like(asked, size))
    except DataError as error:
        if data is not None:
            raise
        raise DataError(
            f"{error}. It was trained on these: say where they lie now, or others with labels: --data DATA"
        ) from error
    origin = None if train.origin is None else train.origin[0]
    now = content(train)
    then = asked.get("content") or {}
    known = then.get("images") is not None and now["images"] is not None  # their number alone says nothing
    given_again = asked.get("source", "") is None and known and unchanged(train, asked, now)
    own = data is None or is_own(origin, asked) or given_again
    if own and train is not source:
        train.name = asked["name"]  # however it was asked for
    since = [NAMED[part] for part in _changed(asked, train, now)] if own else []
    return train, {"source": origin, "own": own and not since, "changed": since, "content": now}


def _changed(asked: Mapping[str, Any], train: Dataset, now: Mapping[str, Any]) -> list[str]:
    """The parts of the run's data that have changed since it was begun.

    Pictures beside folders of classes are left out for the labels' sake, of runs that were begun with them, too.
    """
    parts = changed(asked.get("content"), now)
    if not parts or train.origin is None or not begun_by(asked).get("stray") or train.read_by.get("stray"):
        return parts
    with warnings.catch_warnings(action="ignore"):  # that they cost the labels
        whole = dataset(*train.origin, how=train.read_by | {"stray": True, "hold": False})
    return changed(asked.get("content"), content(whole))


def _check_folder(run: "Run", data: Any) -> None:
    """Refuse a folder of images that surely has no labels before they are decoded, which may take minutes."""
    asked = run.config["data"]
    source = data if data is not None else run.data if run.data is not None else asked.get("source")
    if (why := _surely_unlabelled(source)) is not None:
        path = Path(os.fsdecode(source)).expanduser()
        own = data is None or is_own(str(path.resolve()), asked)
        raise _nothing_to_probe(asked["name"] if own else str(path), no_labels(why), run, data)


def _check_test_folder(test: Any) -> None:
    """Likewise of a folder to test on."""
    if (why := _surely_unlabelled(test, tested=True)) is not None:
        raise DataError(
            f"test {os.fsdecode(test)!r} {no_labels(why)}, so nothing can be tested on it: give labelled data, of images one "
            "folder a class"
        )


def _surely_unlabelled(data: Any, *, tested: bool = False) -> str | None:
    """Why data that are given by a path have no labels; None: they may have some, or are of another kind."""
    if not isinstance(data, str | os.PathLike):
        return None
    name, path = os.fsdecode(data), Path(os.fsdecode(data)).expanduser()
    if name in NAMES or is_stream(name) or not path.is_dir() or not holds_images(path):
        return None
    return unlabelled_for_sure(path, tested=tested)


def _nothing_to_probe(name: str, lacks: str, run: "Run", data: Any) -> DataError:
    return DataError(
        f"{name!r} {lacks}, so nothing can be probed: give labelled data (--data; of images: one folder a class)"
        f"{gauges_alone(run, data)}"
    )


def _check_labels(run: "Run", data: Any, train: Dataset, names: tuple[str, ...]) -> None:
    """Refuse protocols that need labels, where there are none, and fine-tuning of what cannot be cut into batches."""
    if train.labels is None and set(names) != {GAUGES}:
        raise _nothing_to_probe(train.name, train.no_labels, run, data)
    if FINETUNE in names:
        check_finetunes(train)


def _tested(
    run: "Run", train: Dataset, asked: Any, root: str | None, size: int | None, how: Mapping[str, Any]
) -> tuple[Dataset | None, dict[str, Any] | None]:
    """What is tested on, where it is no part of what is learnt from, and what it is known by."""
    if asked is not None:
        test, known = as_given(train, asked, root or run.config["data"].get("root"), how)
        fits(run, test, size if test.is_images else None)
        return test, known
    split = None if train.labels is None else test_of(train)
    return split, None if split is None else content(split)


def _place(asked: Any, test: Dataset) -> str:
    """Where what was tested on lies, or its name."""
    lies = isinstance(asked, str | os.PathLike) and os.fsdecode(asked) not in NAMES
    path = Path(os.fsdecode(asked)).expanduser() if lies else None
    return test.name if path is None or not path.exists() else str(path.resolve())


def _sizes(run: "Run", train: Dataset, asked: int | None) -> tuple[int | None, int | None]:
    """The side in pixels at which images are seen, and the one at which they would be if none were asked for."""
    size = usual = fits(run, train, asked)
    if asked is not None:
        with suppress(DataError):  # an encoder that takes this size alone
            usual = fits(run, train)
    return size, usual


@dataclass
class _Halves:
    """What is learnt from, rows `fit` of `train`, and what is tested on, rows `held` of `test`, which may be the same data."""

    run: "Run"
    train: Dataset
    fit: Tensor
    test: Dataset
    held: Tensor
    size: int | None
    progress: bool

    def encoded(self, net: nn.Module) -> tuple[Tensor, Tensor]:
        """The features of all of both, kept for the next time."""
        z = self._features(net, self.train)
        return z, z if self.test is self.train else self._features(net, self.test)

    def _features(self, net: nn.Module, part: Dataset) -> Tensor:
        asked = self.run.config["data"]
        statistics = (asked["mean"], asked["std"])

        def make() -> Tensor:
            return features(net, part, self.size, statistics=statistics, progress=self.progress)

        return kept(self.run.path, key(net, part, self.size, *statistics), part, make)

    def leave_out_undecoded(self) -> None:
        """What stands in for a sample that cannot be decoded is another sample, and might be of the other half."""
        self.fit, self.held = whole_rows(self.train, self.fit), whole_rows(self.test, self.held)
        for part in (self.train,) if self.test is self.train else (self.train, self.test):
            if told := part.undecoded("left out"):
                warn(told)

    def known(self, z: Tensor, z_test: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Rows and labels to learn from, and to be tested on."""
        labels, of_test = (
            torch.zeros(len(part), dtype=torch.int64) if part.labels is None else part.labels
            for part in (self.train, self.test)
        )
        return z[self.fit], labels[self.fit], z_test[self.held], of_test[self.held]


def _gauged(run: "Run", train: Dataset, z: Tensor) -> dict[str, Any]:
    """Gauges of the features, and those of the embedding at the run's last epoch, from its log."""
    last = run.history[-1] if run.history else {}
    decoded = z[whole_rows(train, torch.arange(len(z)))] if train.replaced else z
    # spread over all: rows may lie by class
    some = torch.linspace(0, len(decoded) - 1, min(10 * z.shape[1], len(decoded))).long()
    return {
        "width": z.shape[1],
        "feature_rank": float(effective_rank(decoded[some])),
        "feature_std": float(feature_spread(decoded)),
        "gauges": {k: v for k, v in last.items() if k not in ("loss", "seconds", "lr")},
    }


def second_encoder(learner: Learner) -> nn.Module | None:
    """The encoder of a second branch that is trained too; None if there is none, or if it only follows the first.

    Example:
        >>> import infomax as im
        >>> second_encoder(im.methods.sdmi(nn.Linear(8, 4), projector=())), second_encoder(im.methods.byol(nn.Linear(8, 4)))
        (Linear(in_features=8, out_features=4, bias=True), None)
    """
    if not isinstance(learner.target, Twin) or learner.g is None:
        return None
    found: nn.Module = getattr(learner.g, "encoder", learner.g)
    return found


def judge(train: Tensor, train_labels: Tensor, test: Tensor, test_labels: Tensor, seed: int = 0) -> dict[str, float]:
    """Linear probe and nearest neighbours of some features, in percent; the test rows are used once each."""
    known = (train, train_labels, test, test_labels, seed)
    return {k: v for name in QUICK for k, v in PROTOCOLS[name](*known).items()}


def as_text(found: Mapping[str, Any]) -> str:
    """The findings as a few lines for a terminal."""
    gauges, unfinished = found["gauges"], unfinished_line(found["trained"])
    since = " and ".join(found.get("changed", ()))
    on = f", tested on {found[TESTED_ON]}" if TESTED_ON in found else ""
    split = f"{found['train']} train, {found['test']} test" if probed(found) else many(found["samples"], "sample")
    said = [
        *([unfinished] if unfinished else []),
        *([f"{found['data']} has changed since the run was begun: other {since}"] if since else []),
        f"{found['data']}{on}: {split}; {found['protocol']}",
        *lines(found),
        *(f"of g: {line}" for line in lines(found.get("g", {}))),
        *([finetune_line(found)] if FINETUNE in found else []),
        *baseline_lines(found.get(BASELINES, {})),
        *(gauge_lines(found["embedding"]) if "embedding" in found else []),
        f"features        {found['width']} wide, effective rank {found['feature_rank']:.1f}, std {found['feature_std']:.2f}",
    ]
    if gauges:
        mi = f"{gauges['mi_infonce']:z.2f} of at most {gauges['ceiling_infonce']:.2f} nats (cos/0.1)"
        said.append(
            f"training log    epoch {gauges['epoch']:g}: embedding of effective rank {gauges['effective_rank']:.1f}, std "
            f"{gauges['std']:.2f}; InfoNCE {lower_bound(gauges['mi_infonce'], mi)}"
        )
    return "\n".join(said)
