"""Points that can be gone through: by epoch, by label or cluster, with a picture of whatever is pointed at.

One pane a run, all panes on the same axes and with the same samples, so that pointing at a sample marks it in every one.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from infomax.report.looks import CLASSES
from infomax.report.page import Page
from infomax.report.samples import Samples

LEAST_RANGE = 0.5  # of unit vectors: a collapsed embedding is a dot, not a cloud of its own rounding
MOST_SHOWN = 60  # epochs on the page


@dataclass
class Pane:
    """The points of one run.

    Args:
        title: its name.
        frames: N x K points, K = 2 for a plane and 3 for a sphere; by epoch.
        note: said below it, one for every frame.
        epochs: of the frames; none where nothing moves.
        clusters: N numbers, where they are known.
    """

    title: str
    frames: Sequence[Tensor]
    note: Sequence[str] = ()
    epochs: Sequence[float] = ()
    clusters: Sequence[int] | None = None


@dataclass
class Map:
    """One way to lay samples out, over several runs.

    Args:
        name: of the way.
        panes: one a run.
        axes: what the axes are.
        fixed: whether distances are those of unit vectors, so that a point in the middle means a collapse.
    """

    name: str
    panes: Sequence[Pane]
    axes: tuple[str, ...] = ("first axis", "second axis")
    fixed: bool = True


@dataclass
class Shown:
    """Who the points are.

    Args:
        names: N.
        labels: N int64, or None.
        classes: name of each label, or None.
        words: N, said beside the name where there is no picture.
        sheet: class of CSS, side and columns of the sheet of pictures, and the place of each point on it.
    """

    names: Sequence[str]
    labels: Tensor | None = None
    classes: Sequence[str] | None = None
    words: Sequence[str] | None = None
    sheet: Mapping[str, Any] | None = field(default=None)

    @classmethod
    def of(cls, samples: Samples, places: Sequence[int]) -> "Shown":
        """Some of a page's samples."""
        sheet = None
        if samples.sheet is not None:
            known = samples.sheet
            sheet = {"name": samples.style, "side": known.side, "columns": known.columns, "at": list(places)}
        return cls(
            [samples.names[k] for k in places],
            None if samples.labels is None else samples.labels[torch.tensor(places, dtype=torch.int64)],
            samples.data.classes,
            None if samples.words is None else [samples.words[k] for k in places],
            sheet,
        )


def add(page: Page, maps: Sequence[Map], shown: Shown, caption: str) -> Page:
    """Add an explorer to a page.

    Args:
        page: to which.
        maps: ways to lay the samples out, of one K each.
        shown: who they are.
        caption: markdown.
    """
    epochs = sorted({e for pane in maps[0].panes for e in pane.epochs})
    if len(epochs) > MOST_SHOWN:
        chosen = np.linspace(0, len(epochs) - 1, MOST_SHOWN).round().astype(int)
        epochs = [epochs[k] for k in sorted(set(chosen.tolist()))]
    labelled = shown.labels is not None
    clustered = any(pane.clusters is not None for each in maps for pane in each.panes)
    data = {
        "epochs": epochs,
        "maps": [_map(each, epochs) for each in maps],
        "names": list(shown.names),
        "labels": None if shown.labels is None else shown.labels.tolist(),
        "classes": None if shown.classes is None else [str(c) for c in shown.classes],
        "words": None if shown.words is None else list(shown.words),
        "sheet": shown.sheet,
        "palette": list(CLASSES),
    }
    controls = []
    if len(epochs) > 1:
        last = len(epochs) - 1
        controls.append(
            f'<label class="grow">Epoch <input type="range" name="epoch" min="0" max="{last}" value="{last}" step="1">'
            f'<output name="at">{epochs[-1]:g}</output></label><button type="button" name="play">Play</button>'
        )
    if len(maps) > 1:
        controls.append('<label>Map <select name="map"></select></label>')
    if labelled or clustered:
        ways = ["label"] * labelled + ["cluster"] * clustered
        options = "".join(f'<option value="{way}">{way}</option>' for way in [*ways, "none"])
        controls.append(f'<label>Colour by <select name="colour">{options}</select></label>')
    return page.widget(
        "explorer",
        data,
        f'<div class="controls">{"".join(controls)}</div>'
        '<div class="panes" tabindex="0" role="group" aria-label="Embedding; the arrow keys step through the samples"></div>'
        '<div class="legend"></div><p class="said" aria-live="polite"></p>'
        '<div class="tip" hidden></div>',
        caption,
    )


def _map(each: Map, epochs: Sequence[float]) -> dict[str, Any]:
    """A map as JSON: whole numbers of 16 bits, a frame for each epoch of the slider."""
    k = each.panes[0].frames[0].shape[1]
    every = torch.cat([frame.float() for pane in each.panes for frame in pane.frames])
    reach = max(float(every.abs().max()), 1.0 if k == 3 else 1e-6)
    low, high = every.amin(0), every.amax(0)
    side = 1.1 * max(float((high - low).max()), LEAST_RANGE if each.fixed else 1e-6)
    box = [[float(middle) - side / 2, float(middle) + side / 2] for middle in (low + high) / 2]
    panes = []
    for pane in each.panes:
        slots = [0] if not epochs else [max(sum(e <= epoch for e in pane.epochs) - 1, 0) for epoch in epochs]
        used = sorted(set(slots))
        frames = torch.stack([pane.frames[k].float() for k in used])
        numbers = (frames / reach * 32767).round().to(torch.int16).numpy().astype("<i2")
        panes.append(
            {
                "title": pane.title,
                "points": base64.b64encode(numbers.tobytes()).decode(),
                "slots": [used.index(k) for k in slots],
                "epochs": [pane.epochs[k] for k in used] if pane.epochs else [],
                "notes": [pane.note[k] for k in used] if pane.note else [],
                "clusters": None if pane.clusters is None else list(pane.clusters),
            }
        )
    return {"name": each.name, "dimensions": k, "reach": reach, "box": box, "axes": list(each.axes), "panes": panes}
