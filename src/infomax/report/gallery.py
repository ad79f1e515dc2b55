"""Samples as pictures: the nearest neighbours that a run finds, and the pairs of views that it was trained to match."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from infomax.data import Graph, gather
from infomax.errors import ConfigError, DataError, InfomaxError
from infomax.evaluate.features import views_of
from infomax.report.page import Page
from infomax.report.pictures import LARGE, SIDE, Sheet, fitted, lines, sheet, thumbnails
from infomax.report.samples import Samples
from infomax.training.watch.monitor import two_sides
from infomax.views import Signals, Views
from infomax.words import many

if TYPE_CHECKING:
    from infomax.report.subject import Subject

QUERIES = 10
NEAREST = {1: 8, 2: 8}  # by the number of runs beside each other; of more, ...
FEW = 5
PAIRS = 8
VIEW_SIDE = LARGE

STYLE = """
.rows tbody th { white-space: nowrap; } .rows thead th:not(:first-child) { min-width: 6rem; overflow-wrap: anywhere; }
.rows th, .rows td { vertical-align: middle; padding-right: .9rem; }
.rows .strip { display: flex; flex-wrap: wrap; gap: 6px; align-items: center; }  /* in as many lines as leave room for all */
.rows .strip:has(.chip) { max-width: 34rem; }
.rows figure { margin: 0; text-align: center; font-size: .78rem; color: var(--soft); max-width: 8rem; }
.rows th figure { width: max-content; max-width: 7rem; white-space: normal; }
.rows .label { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; line-clamp: 2; overflow: hidden;
  overflow-wrap: anywhere; }
.rows .thumb.same { outline: 3px solid #009E73; outline-offset: -1px; }
.rows .thumb.other { outline: 3px dashed #D55E00; outline-offset: -1px; }
.rows .chip { display: inline-block; border: 1px solid var(--line); border-radius: 4px; padding: .15rem .4rem;
  font-size: .85rem; color: var(--ink); }
.rows .chip.same { border: 2px solid #009E73; } .rows .chip.other { border: 2px dashed #D55E00; }
"""


def neighbours(page: Page, samples: Samples) -> Page:
    """Add the nearest neighbours of a few samples, a line for each run beside each other.

    Args:
        page: to which they are added.
        samples: with the features of at least one run.
    """
    from infomax.evaluate.neighbours import neighbours as nearest

    found, shares = {}, {}
    for name, z in samples.features.items():
        near, which = nearest(z, NEAREST.get(len(samples.features), FEW))
        found[name] = (near, which)
        if samples.labels is not None:
            same = samples.labels[which] == samples.labels[:, None]
            shares[name] = float(same.float().mean())
    body, asked = [], queries(samples)
    large = _Large.of(
        samples, [*asked, *(k for _, which in found.values() for k in which[asked].flatten().tolist())], "near"
    )
    for query in asked:
        cells = [f'<th scope="row">{_one(samples, query, large=large)}</th>']
        for near, which in found.values():
            strip = "".join(
                _one(samples, other, f"{value:z.2f}", query, large)
                for other, value in zip(which[query].tolist(), near[query].tolist(), strict=True)
            )
            cells.append(f'<td><div class="strip">{strip}</div></td>')
        body.append(f"<tr>{''.join(cells)}</tr>")
    of = many(len(samples.rows), "sample")
    said = f"The {which.shape[1]} nearest of {of} by the cosine of their features, which stands below."
    if shares:
        chance = float((samples.labels == samples.labels[:, None]).float().mean())  # type: ignore[index, union-attr]
        told = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
        said += (
            " A full frame is a neighbour of the same label, a broken one of another; training never saw them. Over all of "
            f"these samples so many neighbours share the label: {told} (by chance {chance:.0%})."
        )
    return page.block(_table(list(found), body), said, style=STYLE + (large.css if large else ""))


def _table(names: Sequence[str], body: Sequence[str]) -> str:
    runs = (f"run: {name}" for name in names)  # by itself a name such as "first" reads as a word of the table
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in ("sample", *runs))
    table = f'<table class="rows"><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table>'
    return f'<div class="wide">{table}</div>'


def queries(samples: Samples) -> list[int]:
    """A few samples, of as many labels as there are."""
    n = len(samples.rows)
    spread = torch.linspace(0, n - 1, min(QUERIES, n)).long().tolist()
    if samples.labels is None:
        return spread
    known = torch.unique(samples.labels)
    chosen = known[torch.linspace(0, len(known) - 1, min(QUERIES, len(known))).long()]
    first = [int((samples.labels == label).nonzero()[0, 0]) for label in chosen.unique()]
    return sorted({*first, *[k for k in spread if k not in first][: QUERIES - len(first)]})


@dataclass(frozen=True)
class _Large:
    """Pictures of some samples in a size to be looked at, where those of the sheet of all are smaller than the images.

    Args:
        sheet: the pictures.
        name: of the class of CSS.
        numbers: on the sheet, by the place among the samples.
    """

    sheet: Sheet
    name: str
    numbers: Mapping[int, int]

    @classmethod
    def of(cls, samples: Samples, places: Sequence[int], what: str) -> "_Large | None":
        if samples.sheet is None or not samples.data.is_images or samples.sheet.side < SIDE:
            return None
        some = sorted(set(places))
        made = thumbnails(samples.data, samples.rows[torch.tensor(some)], LARGE)
        name = f"{what}-{samples.style}"
        return None if made is None else cls(made, name, {place: number for number, place in enumerate(some)})

    @property
    def css(self) -> str:
        return self.sheet.css(self.name)


def _one(samples: Samples, place: int, below: str = "", query: int | None = None, large: _Large | None = None) -> str:
    """A sample as a picture, or in words where it has none."""
    label = samples.label(place)
    kind = "" if query is None or samples.labels is None else "same" if label == samples.label(query) else "other"
    said = ", ".join(part for part in (samples.names[place], label) if part)
    if samples.sheet is not None:
        shown = samples.sheet.part(samples.style, place, said, kind)
        if large is not None:
            shown = large.sheet.part(large.name, large.numbers[place], said, f"large {kind}".rstrip())
        under = below or f'<span class="label">{html.escape(label)}</span>'
        return f"<figure>{shown}<br>{under}</figure>"
    known = ": ".join([said, samples.words[place]]) if samples.words else said
    text = known if query is None else f"{samples.names[place]}, {below}"
    return f'<span class="chip {kind}" title="{html.escape(known, quote=True)}">{html.escape(text)}</span>'


def pairs(page: Page, samples: Samples, number: int) -> Page:
    """Add a few samples with the two views that each run was shown of them first, and how alike it finds these now.

    Args:
        page: to which they are added.
        samples: with the runs.
        number: of the samples on the page, for the names of their sheets.
    """
    if isinstance(samples.data, Graph):
        return page.text("The views of a graph are graphs, and no pictures.")
    rows = samples.rows[torch.linspace(0, len(samples.rows) - 1, min(PAIRS, len(samples.rows))).long()]
    places = samples.places(rows)
    columns: dict[str, tuple[str, Sheet | None, list[float] | None]] = {}
    style = STYLE
    for subject in samples.subjects:
        try:
            shown, cosines = _views(subject, samples, rows)
        except (ConfigError, DataError) as error:
            subject.missing.append(f"No view pairs of {subject.name}: {error}")
            continue
        kind = f"views-{number}-{len(columns)}"
        if shown is not None:
            style += shown.css(kind)
        columns[subject.name] = (kind, shown, cosines)
    if not columns:
        return page.text("There are no view pairs to show; see what is missing.")
    large = _Large.of(samples, places, "pairs")
    style += large.css if large else ""
    body = []
    for k, place in enumerate(places):
        cells = [f'<th scope="row">{_one(samples, place, large=large)}</th>']
        for kind, pictures, cosines in columns.values():
            said = "" if cosines is None else f"cosine {cosines[k]:z.2f}"
            if pictures is None:
                cells.append(f"<td>{said}</td>")
            else:
                as_large = "large" if pictures.side > SIDE else ""
                two = "".join(
                    pictures.part(kind, 2 * k + v, f"view {v + 1} of {samples.names[place]}", as_large) for v in (0, 1)
                )
                cells.append(f'<td><div class="strip">{two}<figure>{said}</figure></div></td>')
        body.append(f"<tr>{''.join(cells)}</tr>")
    return page.block(
        _table(list(columns), body),
        "The first two views of each sample in the run's first epoch, and the cosine of their two embeddings (behind the "
        "projector; of two branches, one from each) at the end: what the objective pulls together.",
        style=style,
    )


@torch.no_grad()
def _views(subject: "Subject", samples: Samples, rows: Tensor) -> tuple[Sheet | None, list[float] | None]:
    """Pictures of the two views of some samples, one after the other, and the cosines of their embeddings."""
    views = views_of(subject.config, samples.data)
    sources = gather(samples.data.images, rows)
    seed = int(subject.config["training"].get("seed", 0))

    def made(function: Any) -> list[Tensor]:
        return list(function(sources, rows, seed=seed, epoch=0))[:2]

    cosines = None
    if subject.learner is not None:
        weight = next((p for p in subject.learner.f.parameters() if p.is_floating_point()), None)
        try:
            sides = two_sides(subject.learner, [v if weight is None else v.to(weight) for v in made(views)])
            cosines = F.cosine_similarity(sides[0].float(), sides[1].float(), dim=-1).tolist()
        except (RuntimeError, TypeError, ValueError) as error:  # an encoder of the user's may say anything
            if isinstance(error, InfomaxError):
                raise
            raise DataError(f"the encoder cannot take them: {str(error).splitlines()[0]}") from error
    if isinstance(views, Views):
        seen = made(replace(views, mean=None, std=None))
        pixels = [(v.permute(0, 2, 3, 1).cpu() * 255).round().clamp(0, 255).to(torch.uint8) for v in seen]
        side = min(VIEW_SIDE, max(pixels[0].shape[1:3]))
        return sheet([fitted(v[k], side) for k in range(len(rows)) for v in pixels]), cosines
    if isinstance(views, Signals):
        drawn = made(views)
        return sheet([lines(v[k]) for k in range(len(rows)) for v in drawn]), cosines
    return None, cosines


def used_sheets(all_samples: Sequence[Samples]) -> str:
    """The style of the classes that show the samples of a page."""
    return "\n".join(s.sheet.css(s.style) for s in all_samples if s.sheet is not None)
