"""What a trained encoder is worth: the protocol, written once for runs, the demo and the command line."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from infomax import __version__
from infomax.data import Dataset
from infomax.data.content import NAMED, changed, content
from infomax.errors import ConfigError, DataError, warn
from infomax.evaluate.baselines import baseline_lines, baselines
from infomax.evaluate.embedding import embedding_gauges, gauge_lines, gauges_alone
from infomax.evaluate.features import features, fits, unseen
from infomax.evaluate.findings import is_own, weights_of
from infomax.evaluate.finetune import check as check_finetunes
from infomax.evaluate.finetune import finetuned
from infomax.evaluate.finetune import line as finetune_line
from infomax.evaluate.gauges import effective_rank
from infomax.evaluate.gauges import spread as feature_spread
from infomax.evaluate.kept import kept, key
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
from infomax.evaluate.splits import some_classes, some_held, splits, test_of, whole_rows
from infomax.learner import Learner
from infomax.progress import meter
from infomax.target import Twin
from infomax.training.feed import dataset
from infomax.training.stands import line as unfinished_line
from infomax.training.stands import stands
from infomax.training.state import lower_bound
from infomax.words import many

if TYPE_CHECKING:
    from infomax.training.run import Run


class Findings(dict[str, Any]):
    """What an evaluation found: a mapping that prints as a few lines."""

    def __str__(self) -> str:
        return as_text(self)


def evaluate(
    run: "Run",
    data: Any = None,
    *,
    root: str | None = None,
    protocols: str | tuple[str, ...] = QUICK,
    size: int | None = None,
    seed: int = 0,
    progress: bool = True,
    rescue: Callable[[Findings], object] | None = None,
) -> Findings:
    """Judge a run's frozen encoder on labelled data.

    Features are encoded once and kept in the run's folder. Whatever a protocol chooses, it chooses on a held-out fifth of
    train; see `infomax.evaluate.protocols`.

    Args:
        run: a run with its learner.
        data: a data set, name or path; None: what the run was trained on. Without labels for "gauges" alone.
        root: where named data sets lie.
        protocols: names, "baselines", "gauges" and "finetune" among them; "all" is all but "finetune", and where the run's
            views were a function all but "gauges", too.
        size: side in pixels at which whole images are seen; None: at which things are about as large as in the run's views, at
            most the images' own (`infomax.evaluate.features.whole_size`).
        seed: of every split and draw.
        progress: show bars.
        rescue: where a protocol raises, or is interrupted, is given what those before it found; by default the error notes it.

    Returns:
        accuracies in percent by protocol (`linear`, its binomial standard error `linear_se`, `knn`, ...), those of a second
        encoder that climbs too (SDMI's) under `g` and what they are to be measured by under `baselines`, how they were
        measured (`protocol`), gauges of the features, those of the embedding at the run's last epoch, from its log (`gauges`),
        how far the run has come (`trained`), at which `size` images were seen (`default_size` unless told), and whether the
        data are what it was trained on (`own`), or what of them has changed since (`changed`).

    Raises:
        DataError: where the data have no labels, or of one class only, or are of a kind that the encoder cannot take.
        ConfigError: an unknown protocol, or "gauges" by name of a run whose views were a function.
    """
    names = chosen(protocols)
    if GAUGES in names and (why_not := unseen(run.config)):
        if GAUGES in named(protocols):
            raise ConfigError(f"{GAUGES} take the views of a run, and {why_not}: leave {GAUGES} out of the protocols")
        warn(f"{GAUGES} are left out: they take the views of a run, and {why_not}")
        names = tuple(name for name in names if name != GAUGES)
    asked = run.config["data"]
    source = data if data is not None else run.data if run.data is not None else asked.get("source") or asked["name"]
    root = root or asked.get("root")
    try:
        train = dataset(source, root)
    except DataError as error:
        if data is not None:
            raise
        raise DataError(
            f"{error}. It was trained on these: say where they lie now, or others with labels: --data DATA"
        ) from error
    origin = None if train.origin is None else train.origin[0]
    own = data is None or is_own(origin, asked)
    if own and train is not source:
        train.name = asked["name"]  # however it was asked for
    now = content(train)
    since = [NAMED[part] for part in changed(asked.get("content"), now)] if own else []
    own = own and not since
    bare = train.labels is None
    if bare and set(names) != {GAUGES}:
        raise DataError(
            f"{train.name!r} {train.no_labels}, so nothing can be probed: give labelled data (--data; of images: one folder a "
            f"class){gauges_alone(run, data)}"
        )
    if FINETUNE in names:
        check_finetunes(train)
    asked_size, size = size, fits(run, train, size)
    usual = size
    if asked_size is not None:
        with suppress(DataError):  # an encoder that takes this size alone
            usual = fits(run, train)
    test = None if bare else test_of(train)
    encoder, second = run.learner.encoder, second_encoder(run.learner)

    def encoded(net: nn.Module, part: Dataset) -> Tensor:
        settings = (size, asked["mean"], asked["std"])

        def make() -> Tensor:
            return features(net, part, size, statistics=settings[1:], progress=progress)

        return kept(run.path, key(net, part, *settings), part, make)

    fit, held, how = splits(
        train, test
    )  # by the labels as they are told, before decoding replaces any: as sweeps split
    if train.labels is not None and set(names) != {GAUGES}:
        some_held(train, held)
        some_classes(train, fit, gauges_alone(run, data))
    z = encoded(encoder, train)
    z_other = z if test is None else encoded(encoder, test)
    # what stands in for a sample that cannot be decoded is another sample, and might be of the other part
    fit, held = whole_rows(train, fit), whole_rows(train if test is None else test, held)
    for part in (train,) if test is None else (train, test):
        if told := part.undecoded("left out"):
            warn(told)
    of_train = torch.zeros(len(train), dtype=torch.int64) if train.labels is None else train.labels
    labels = of_train if test is None or test.labels is None else test.labels
    known = (z[fit], of_train[fit], z_other[held], labels[held])
    last = run.history[-1] if run.history else {}
    decoded = z[whole_rows(train, torch.arange(len(z)))] if train.replaced else z
    some = torch.linspace(
        0, len(decoded) - 1, min(10 * z.shape[1], len(decoded))
    ).long()  # spread: rows may lie by class
    of_what = {
        "infomax": __version__,
        "weights": weights_of(encoder),
        "trained": stands(run.config["training"], run.history, run.path),
        "run": None if run.path is None else str(run.path),
        "method": run.learner.name,
        "data": train.name,
        "source": origin,
        "own": own,
        "changed": since,
        "content": now,
        "samples": len(train),
        "train": len(fit),
        "test": len(known[2]),
        "how": None if bare else how,
        "size": size if train.is_images else None,
        "default_size": usual if train.is_images else None,
        "seed": seed,
    }
    seen = {
        "width": z.shape[1],
        "feature_rank": float(effective_rank(decoded[some])),
        "feature_std": float(feature_spread(decoded)),
        "gauges": {k: v for k, v in last.items() if k not in ("loss", "seconds", "lr")},
    }
    found: dict[str, Any] = {}

    def made() -> Findings:
        return Findings({**of_what, **found, **seen, "protocol": statement({**of_what, **found})})

    try:
        for name in meter(names, desc="judge", unit="protocol", delay=2, leave=False, disable=not progress):
            if name == GAUGES:
                found["embedding"] = embedding_gauges(run, train)
            elif name == FINETUNE:
                found |= finetuned(run, train, fit, train if test is None else test, held, size=size, seed=seed)
            elif name == BASELINES:
                other = train if test is None else test
                found[BASELINES] = baselines(run, train, fit, other, held, size=size, seed=seed, progress=progress)
            else:
                found |= PROTOCOLS[name](*known, seed)
        if second is not None:
            z_g = encoded(second, train)
            other_g = z_g if test is None else encoded(second, test)
            known_g = (z_g[fit], of_train[fit], other_g[held], labels[held])
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


def second_encoder(learner: Learner) -> nn.Module | None:
    """The encoder of a second branch that climbs the same bound; None where there is none, or it only follows the first.

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
    split = f"{found['train']} train, {found['test']} test" if probed(found) else many(found["samples"], "sample")
    said = [
        *([unfinished] if unfinished else []),
        *([f"{found['data']} has changed since the run was begun: other {since}"] if since else []),
        f"{found['data']}: {split}; {found['protocol']}",
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
