"""What `infomax train` prints before a run begins and once it has ended: what was found, how it went, the next command."""

import os
import shlex
from contextlib import suppress
from typing import Any

import numpy as np

from infomax.errors import InfomaxError
from infomax.errors import command as typed
from infomax.parallel import launched_rank, world
from infomax.training import Run
from infomax.training.folder import judging, labelled, read_config
from infomax.training.watch.online import as_text
from infomax.words import many

_NAMED = 6
"""Folders up to which they are named: who has one a year or camera, and not one a class, sees it there."""


def begun(learner: Any, samples: Any, size: int | None, batch_size: int, online: bool, folder: bool) -> str:
    """What was found, before anything is computed: data, encoder, batch."""
    from infomax.data import Graph
    from infomax.training.defaults import view_size

    n, net = len(samples), learner.encoder.recipe
    kind, views = ("image", f", views of {view_size(samples, size)} px") if samples.is_images else ("sample", "")
    what = f"{many(n, kind)}{views}"
    known = ""
    if samples.labels is not None:
        classes = len(samples.classes or samples.labels[samples.labels >= 0].unique())
        named = f": {', '.join(samples.classes)}" if folder and samples.classes and classes <= _NAMED else ""
        what_classes = f"{many(classes, 'folder')} as classes" if folder else many(classes, "class", "classes")
        known = f", {what_classes}{named}{'' if online else ' (not used)'}"
    size_of = sum(p.numel() for p in learner.encoder.parameters())
    rest = sum(p.numel() for p in learner.f.parameters()) - size_of
    whole = ", all there are" if n < batch_size else ""
    cut = f"; batches of {min(n, batch_size)}{whole}: one update an epoch, a smaller --batch-size makes more"
    few = 2 <= n < 2 * batch_size and not isinstance(samples, Graph)
    return (
        f"{samples.name}: {what}{known}; {learner.name}: {net['name']}, {_millions(size_of)} M parameters, and "
        f"{_millions(rest)} M of heads{cut if few else ''}"
    )


def by_folder(samples: Any, source: str | None) -> bool:
    """Whether classes are the folders that pictures lie in: perhaps years or cameras, and nothing to be judged by."""
    classes = getattr(samples, "classes", None)
    return bool(source and classes) and all(
        os.path.isdir(os.path.join(source or "", str(name))) for name in classes or ()
    )


def few_updates(samples: Any, batch_size: int) -> str:
    """How many batches there are, where they are few, and what they leave out; nothing from ten on."""
    from infomax.data import Graph

    each, rest = divmod(len(samples), batch_size)
    if isinstance(samples, Graph) or not 2 <= each < 10:  # of one it is said already
        return ""
    left = f" ({many(rest, 'sample')} left out, others each time)" if rest else ""
    return f"{each} batches of {batch_size} in each pass over the data{left}: a smaller --batch-size makes more updates"


def _millions(number: int) -> str:
    """A number in millions, to two digits.

    Example:
        >>> [_millions(n) for n in (0, 79, 11_173_962, 774_030_080)]
        ['0', '0.000079', '11', '770']
    """
    return np.format_float_positional(number / 1e6, precision=2, unique=False, fractional=False, trim="-")


def of_other_views(init: str, samples: Any) -> str:
    """That the run whose weights are taken had views of another size than these will have; nothing where it had not."""
    from infomax.encoders.weights import run_of
    from infomax.training.defaults import view_size

    run = run_of(init)
    if run is None or not (run / "config.json").is_file() or not samples.is_images:
        return ""
    then, now = (read_config(run)["views"] or {}).get("size"), view_size(samples)
    if then in (None, now):
        return ""
    return f"{init} was trained on views of {then} px, and this run has {now} px: for views as then, give --size {then}"


def _seen(run: Run) -> str:
    """At which size whole images are seen, where not at the views' own; of several processes each may hold a part alone."""
    size = None
    with suppress(InfomaxError):  # evaluate says it
        size = run.size if world() == 1 else None
    if size in (None, run.config["views"]["size"]):
        return ""
    return f"whole images are seen at {size} px from here on, its views were of {run.config['views']['size']}"


def ended(run: Run, out: str) -> None:
    """What is printed of a run that has ended: its figures, its state, the next command."""
    last = run.history[-1]
    if launched_rank() > 0:
        return
    from infomax.training.watch.state import lower_bound, standing

    mi = lower_bound(last["mi_infonce"], f"{last['mi_infonce']:z.2f} of at most {last['ceiling_infonce']:.2f} nats")
    epochs = f"{last['epoch']:g} epoch{'' if last['epoch'] == 1 else 's'}"
    epochs += "" if float(last["epoch"]).is_integer() else ", the last in part"
    epochs += "" if run.updates is None else f" ({many(run.updates, 'update')})"
    print(
        f"{run.learner.name} after {epochs}: "
        f"bound {last['bound']:.3f}; of fixed samples InfoNCE {mi}, {standing(run.history, run.watched)}"
    )
    if online := as_text(last):
        print(online)
    judge, look = judging(out, run.config), typed(f"report {shlex.quote(out)}")
    lone = _of_one_class(run)
    judged = labelled(run.config) and not lone
    if run.data is None:  # a run that had ended was read back, without its data
        print(f"{out} had ended: nothing was done; {longer(out)}")
        print(f"next: {f'{judge}, or {look}' if judged else look}")
    else:
        if seen := _seen(run):
            print(seen)
        print(f"wrote {out}; next: {judge if judged else look}")
    if not judged:
        images = run.config["data"].get("kind", "images") == "images"
        but = "all its labels are one, and an accuracy needs two classes; " if lone else ""
        other = f"{judge} --data LABELLED" if lone else judge
        print(f"{but}with labelled data, {'one folder a class' if images else 'an .npz of x and labels'}: {other}")
    elif run.data is not None and by_folder(run.data, run.config["data"].get("source")):
        print(f"its folders count as classes there; with other labelled data: {judge} --data LABELLED")


def _of_one_class(run: Run) -> bool:
    """Whether data at hand have labels, all of them the same, so that `evaluate` would refuse them."""
    labels = None if run.data is None else getattr(run.data, "labels", None)
    return labels is not None and len(labels[labels >= 0].unique()) == 1


def longer(run: str) -> str:
    """How to train longer than a run was asked to."""
    again = typed(f"train --init {shlex.quote(run)} --out NEW")
    return f"to train longer, begin a new run from its encoder: {again}, with the other options"
