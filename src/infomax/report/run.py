"""The page of a run, or of several side by side: configuration, history and embedding, in figures."""

import math
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from infomax.errors import ConfigError, warn
from infomax.extras import getting, installed
from infomax.report import accuracies, explorer, gallery, pictures
from infomax.report.collapse import READ_BY_THE_WATCH, readings, seen, state, verdicts
from infomax.report.curves import mi_and_gauges, spectra, within_epochs
from infomax.report.explorer import Map, Pane, Shown
from infomax.report.kinds import named_apart
from infomax.report.looks import style
from infomax.report.markdown import literal
from infomax.report.page import Page
from infomax.report.samples import CLUSTERS, MOST_POINTS, Samples, clusters, samples_of
from infomax.report.subject import Subject, find_data
from infomax.training.watch.frames import principal
from infomax.training.watch.state import collapsed, lower_bound
from infomax.words import many

if TYPE_CHECKING:
    from infomax.training.run import Run


def report(run: "Run", path: Path, data: Any = None, *, root: str | None = None, umap: bool = False) -> Path:
    """Write the page of one run.

    Args:
        run: the run as it is; the page of a run that has not completed an epoch says so.
        path: path of the page.
        data: data for thumbnails, neighbours and view pairs; by default the data that the run was trained on, if found.
        root: folder of the named data sets.
        umap: also show the features projected by UMAP.

    Raises:
        DataError, ConfigError: data that were given cannot be used.
    """
    return write([Subject.of(run)], path, data, root=root, umap=umap)


def write(
    subjects: Sequence[Subject], path: Path, data: Any = None, *, root: str | None = None, umap: bool = False
) -> Path:
    """Write the page of several runs; see `report`."""
    if umap and not installed("umap"):
        raise ConfigError(f"--umap needs the package umap-learn: {getting('umap')}")
    looks = named_apart(subjects)
    find_data(subjects, data, root)
    page = Page(*_title(subjects))
    _verdicts(page.section("At a glance"), subjects)
    page.table(
        [_glance(s) for s in subjects],
        "The last row of each log, read off samples that stay the same: the numbers to quote.",
    )
    if judged := accuracies.rows(subjects):
        page.table(judged, accuracies.caption(subjects))
    if watched := [row for s in subjects for row in seen(s)]:
        page.table(watched, READ_BY_THE_WATCH)
    place = len(page.body)
    histories = {s.name: s.history for s in subjects}
    mi_and_gauges(page.section("Curves"), histories, looks)
    within_epochs(page, histories, {s.name: readings(s) for s in subjects}, looks)
    known = samples_of(subjects)
    if known:
        page.block("", style=pictures.STYLE + gallery.used_sheets(known))
    _embedding(page, subjects, known)
    _spectrum(page, subjects)
    _features(page, known, umap=umap)
    for number, samples in enumerate(known):
        of = _of(samples) if len(known) > 1 else ""
        if samples.features:
            near = page.section(f"Nearest neighbours{of}")
            if len(samples.rows) > 1:
                gallery.neighbours(near, samples)
            else:
                near.text("One sample has no neighbours.")
        gallery.pairs(page.section(f"View pairs{of}"), samples, number)
    missing = [(s.name, said) for s in subjects for said in s.missing]
    if missing:
        alone = len(subjects) == 1
        lines = "\n".join(f"- {said if alone else f'{literal(name)}: {said}'}" for name, said in missing)
        page.insert(place, f"Not on this page:\n\n{lines}")
        told = " ".join(said if alone else f"{name}: {said}" for name, said in missing)
        warn(f"this is not on the page: {told}")
    _settings(page.section("Settings"), subjects)
    differ, equal = _beside(subjects, {s.name: _environment(s) for s in subjects}, "what", 400)
    page.section("Environment").table(differ + equal)
    return page.write(path)


def _title(subjects: Sequence[Subject]) -> tuple[str, str]:
    if len(subjects) > 1:
        data = sorted({s.asked_for for s in subjects})
        return f"{len(subjects)} runs on {', '.join(data)}", ", ".join(literal(s.name) for s in subjects)
    s = subjects[0]
    title = f"{style(s.method).label} on {s.asked_for}"
    if not s.history:
        return title, "Not one epoch has ended yet: there is only what was asked."
    last = s.last
    done, time, budget = s.epochs.partition(" (")
    mi = f"{_number(last, 'mi_infonce')} of at most {_number(last, 'ceiling_infonce')} nats"
    return title, (
        f"After {done} epoch{'' if done == '1' else 's'}{time}{budget}: InfoNCE {lower_bound(last.get('mi_infonce'), mi)}, "
        f"effective rank {_number(last, 'effective_rank', 1)}, std "
        f"{_number(last, 'std')}{'' if collapsed(last) is None else f': {state(s)}'}."
    )


def _number(row: Mapping[str, Any], key: str, digits: int = 2) -> str:
    value = row.get(key)
    return f"{value:z.{digits}f}" if isinstance(value, int | float) and math.isfinite(value) else "?"


def _verdicts(page: Page, subjects: Sequence[Subject]) -> None:
    """Whether each run has collapsed, before any of its numbers."""
    said = verdicts(subjects)
    if len(subjects) == 1:
        page.text("".join(text for _, text in said))
    else:
        page.text("\n".join(f"- {', '.join(literal(s.name) for s in same)}: {text}" for same, text in said))


def _glance(s: Subject) -> dict[str, object]:
    last = s.last
    between = ""
    if "mi_infonce_lo" in last and "mi_infonce_hi" in last:
        between = f" [{_number(last, 'mi_infonce_lo')}, {_number(last, 'mi_infonce_hi')}]"
    called = literal(s.name) + (f" in {literal(s.folder)}" if s.folder else "")
    row: dict[str, object] = {"run": called, "method": style(s.method).label, "data": literal(s.asked_for)}
    row["epochs"] = s.epochs
    if last:
        mi = f"{_number(last, 'mi_infonce')}{between} of {_number(last, 'ceiling_infonce')}"
        row["InfoNCE, nats"] = lower_bound(last.get("mi_infonce"), mi)
        row["effective rank"] = _number(last, "effective_rank", 1)
        row["std"] = _number(last, "std")
        row["state"] = state(s)
    return row


def _embedding(page: Page, subjects: Sequence[Subject], known: Sequence[Samples]) -> None:
    """The embedding by epoch: an explorer for all runs that watched the same samples."""
    samples_of_run = {s.name: group for group in known for s in group.subjects if s.own}
    groups: dict[Any, list[Subject]] = {}
    for s in subjects:
        if s.frames is not None:
            data = id(s.data) if s.name in samples_of_run else s.asked_for
            groups.setdefault((data, s.frames.points[0].shape, tuple(s.frames.rows.tolist())), []).append(s)
    if not groups:
        return
    page.section("Embedding over training")
    for group in groups.values():
        first = group[0].frames
        assert first is not None
        samples = samples_of_run.get(group[0].name)
        if samples is not None and int(first.rows.max()) < len(samples.data):
            places = samples.places(first.rows)
            shown = Shown.of(samples, places)
        else:
            places = []
            shown = Shown([f"sample {row}" for row in first.rows.tolist()], first.labels, first.classes)
        panes = [_pane(s, samples, places) for s in group]
        sphere = first.points[0].shape[1] == 3
        what = (
            "The embedding itself, unit vectors in three dimensions"
            if sphere
            else "Unit vectors of the embedding on its two principal axes, turned from epoch to epoch no more than it turns"
        )
        explorer.add(
            page,
            [Map("embedding", panes)],
            shown,
            f"{what}: {many(len(first.rows), 'sample')} in views that stay the same, behind the projector; epoch 0 is the "
            "untrained network. Point at a sample, or step through them by the arrow keys, to see it"
            f"{' in every run' if len(group) > 1 else ''}; click a name below to see it alone. "
            + ("" if shown.labels is None else "Labels are those of the data, which training never saw. ")
            + "Clusters are k-means of "
            + ("the features." if samples is not None and samples.features else "these points at the end."),
        )


def _pane(s: Subject, samples: Samples | None, places: Sequence[int]) -> Pane:
    frames = s.frames
    assert frames is not None
    if samples is not None and places and s.name in samples.clusters:
        found = [samples.clusters[s.name][k] for k in places]
    else:
        many = CLUSTERS if frames.labels is None else len(torch.unique(frames.labels))
        found = clusters(frames.points[-1].float() + 1e-9, many)
    flat = frames.points[0].shape[1] == 2
    note = [f"{share:.0%} of the variance on these axes" for share in frames.shares] if flat else ()
    return Pane(s.name, frames.points, note, frames.epochs, found)


def _spectrum(page: Page, subjects: Sequence[Subject]) -> None:
    kept = {s.name: s.frames for s in subjects if s.frames is not None}
    if kept:
        page.section("Spectrum over training").figure(
            spectra(kept),
            "Eigenvalues of the covariance of the unit embedding, largest first, on those samples; later epochs are warmer "
            "(of runs of other lengths: by how much of each is done). "
            "Normal is a line that grows steeper: an untrained network spreads noise over many directions, a trained one keeps "
            "those that the two views share. A collapse leaves one direction, or a handful, before the cliff; one to a point "
            "lowers the whole line, its first eigenvalues too.",
        )


def _features(page: Page, known: Sequence[Samples], *, umap: bool) -> None:
    """What the encoder makes of the samples at the end: an explorer for each data set."""
    for samples in known:
        if not samples.features:
            continue
        page.section("Features" + (_of(samples) if len(known) > 1 else ""))
        maps = []
        if all(z.shape[1] == 3 for z in samples.features.values()):
            maps.append(
                Map("sphere", [_still(samples, name, F.normalize(z, dim=-1)) for name, z in samples.features.items()])
            )
        flat = []
        for name, z in samples.features.items():
            points, share, _ = principal(z)
            flat.append(_still(samples, name, points.float(), f"{share:.0%} of the variance on these axes"))
        maps.append(Map("PCA", flat))
        if umap:
            spread = [_still(samples, name, _umap(z)) for name, z in samples.features.items()]
            maps.append(Map("UMAP", spread, ("", ""), fixed=False))
        explorer.add(
            page,
            maps,
            Shown.of(samples, range(len(samples.rows))),
            f"Features of the frozen encoder at the end, as unit vectors: {len(samples.rows):,} of "
            f"{many(len(samples.data), 'sample')}{_few(samples)}, whole and without augmentation. Clusters are k-means of all "
            "dimensions.",
        )


def _few(samples: Samples) -> str:
    """Why not all samples are shown."""
    watched = any(s.own and s.frames is not None for s in samples.subjects)
    which = "those of the embedding by epoch, and others spread evenly" if watched else "spread evenly"
    return f" ({which}: about {MOST_POINTS:,} at most)" if len(samples.rows) < len(samples.data) else ""


def _of(samples: Samples) -> str:
    """Which data, as the rest of the page calls them."""
    return " of " + literal(", ".join(dict.fromkeys(s.asked_for for s in samples.subjects)))


def _still(samples: Samples, name: str, points: Tensor, note: str = "") -> Pane:
    return Pane(name, [points], [note], clusters=samples.clusters.get(name))


def _umap(z: Tensor) -> Tensor:
    with warnings.catch_warnings(action="ignore"):  # its import, too, tells of what it could use
        import umap

        near = min(15, len(z) - 1)
        points = umap.UMAP(n_neighbors=near, metric="cosine", random_state=0, n_jobs=1).fit_transform(z.numpy())
    return torch.as_tensor(points - points.mean(0))


def _settings(page: Page, subjects: Sequence[Subject]) -> None:
    """What was asked: of several runs what differs, and folded what does not, once."""
    differ, equal = _beside(subjects, {s.name: _asked(s) for s in subjects}, "setting")
    if len(subjects) == 1:
        page.table(equal)
        return
    if differ:
        page.table(differ, "What differs between the runs.")
    if equal:
        once = [dict(zip(("setting", "value"), row.values(), strict=False)) for row in equal]
        page.table(once, folded=f"{many(len(once), 'setting')} that all runs share")


def _asked(s: Subject) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for part in ("method", "encoder", "data", "views", "training", "machine"):
        inner = s.config.get(part) or {}
        if isinstance(inner, Mapping):
            flat |= {f"{part}: {key}": value for key, value in inner.items()}
        else:
            flat[part] = inner
    if (s.config.get("training") or {}).get("budget"):
        flat.pop("training: epochs", None)  # it had the time in their place
    return flat


def _environment(s: Subject) -> dict[str, Any]:
    told = {key: value for key, value in s.environment.items() if key != "continued" and value is not None}
    again = s.environment.get("continued") or []
    if again:
        told["continued"] = "; ".join(f"at update {part.get('step')}" for part in again if isinstance(part, Mapping))
    seconds = [row["seconds"] for row in s.history if isinstance(row.get("seconds"), int | float)]
    if seconds:
        told["seconds of training"] = f"{sum(seconds):.1f}"
    if s.path is not None:
        told["folder"] = str(s.path)
    return told


def _beside(
    subjects: Sequence[Subject], columns: Mapping[str, Mapping[str, Any]], head: str, most: int = 160
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows of a table with a column a run: those in which the runs differ, in bold, and the others."""
    keys = list(dict.fromkeys(key for column in columns.values() for key in column))
    if not keys:
        return [], [{head: "nothing is known"}]
    if len(subjects) == 1:
        only = next(iter(columns.values()))
        return [], [{head: key, "value": _cell(only[key], 4, most)} for key in keys]
    rows: list[dict[str, Any]] = []
    differ: list[dict[str, Any]] = []
    for key in keys:
        values = {name: column.get(key) for name, column in columns.items()}
        different = len({_exact(value) for value in values.values()}) > 1
        cells = {literal(name): _cell(v, 9 if different else 4, most) for name, v in values.items()}
        (differ if different else rows).append({head: f"**{key}**" if different else key, **cells})
    return differ, rows


def _exact(value: Any) -> str:
    """A setting whole, by which it is compared: statistics but for how another machine rounds."""
    return _short(value, 9, sys.maxsize)


def _cell(value: Any, digits: int, most: int) -> str | None:
    text = _short(value, digits, most)
    return literal(text) if text else None


def _short(value: Any, digits: int, most: int) -> str:
    """A setting as it stands in a table: of a thousand statistics the first few."""
    text = "" if value is None else str(_rounded(value, digits) if isinstance(value, list | tuple) else value)
    return text if len(text) <= most else f"{text[:most]} ... ({len(text)} characters)"


def _rounded(value: Any, digits: int) -> Any:
    """A list with its numbers to some digits: statistics of data are read by four."""
    if isinstance(value, list | tuple):
        return [_rounded(one, digits) for one in value]
    return float(f"{value:.{digits}g}") if isinstance(value, float) else value
