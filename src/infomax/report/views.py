"""A page of views: each beside what it was made from, with what was drawn for it."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from infomax.data import Dataset, gather
from infomax.errors import ConfigError
from infomax.report.looks import CLASSES, png
from infomax.report.markdown import literal
from infomax.report.page import Page
from infomax.training.defaults import check_names, dataset, read_for, view_function
from infomax.views import Corruption, Gaussian, Params, Signals, Views
from infomax.words import many

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_OPERATIONS = ("brightness", "contrast", "saturation", "hue")
_MOST_COLUMNS = 12
_A_ROW = 5  # pictures side by side


def views_page(
    data: Any,
    out: str | Path,
    recipe: str = "auto",
    *,
    count: int = 8,
    size: int | None = None,
    local_views: int | None = None,
    seed: int = 0,
    epoch: int = 0,
    root: str | None = None,
) -> Path:
    """Write a page that shows the views of some samples beside their sources.

    They are the views that a run with these data, this recipe and this seed makes of these samples in this epoch;
    images are shown before the normalisation.

    Args:
        data: a name, path, `Dataset` or tensor, as `infomax.train` takes them.
        out: the page; an existing file is never overwritten.
        recipe: name of the views.
        count: samples, spread over the data.
        size: side of image views in pixels, or readings of a signal's.
        local_views: of the recipes with multi-crop.
        seed: of the run.
        epoch: of the run, counted from 0.
        root: where named data sets lie.

    Returns:
        The page.

    Raises:
        ConfigError: a file that exists, a count below 1, a recipe that these data do not have, or a graph.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> views_page("digits", Path(folder) / "views.html", "byol", count=2).name
        'views.html'
    """
    path = Path(out)
    if path.exists():
        raise ConfigError(f"{path} exists: nothing is overwritten; choose another --out or remove it")
    if count < 1:
        raise ConfigError(f"count={count}: give at least 1")
    check_names(views=recipe)
    samples = dataset(data, root, how=read_for(size) | {"hold": False})
    views = view_function(samples, recipe, size, local_views)
    shown = torch.linspace(0, len(samples) - 1, min(count, len(samples))).long()
    sources = gather(samples.images, shown)
    page = Page(
        f"Views of {samples.name}",
        f"Recipe `{recipe}`: {len(shown)} of {many(len(samples), 'sample')}, seed {seed}, epoch {epoch}. "
        "What is drawn depends on the seed, the epoch, the view and the sample's number alone.",
    )
    if isinstance(views, Views):
        _images(page, views, sources, shown, samples.names(shown.tolist()), seed, epoch)
    elif isinstance(views, Signals) and isinstance(sources, Tensor):
        _signals(page, views, sources, shown, seed, epoch)
    elif isinstance(views, Corruption | Gaussian) and isinstance(sources, Tensor):
        _rows(page, views, sources, shown, samples, seed, epoch)
    else:
        raise ConfigError(f"{samples.name!r} is a graph, whose views are no pictures: give images, signals or a table")
    return page.write(path)


def _images(
    page: Page,
    views: Views,
    sources: Tensor | Sequence[Tensor],
    shown: Tensor,
    names: Sequence[str] | None,
    seed: int,
    epoch: int,
) -> None:
    plain = replace(views, mean=None, std=None)
    drawn = plain.draw(sources, shown, seed=seed, epoch=epoch)
    made = plain.apply(sources, drawn)
    for i, number in enumerate(shown.tolist()):
        page.section(f"Sample {number}")
        picture = _row_of_images(sources[i], [v[i] for v in made], [p.crop[i].tolist() for p in drawn])
        name = "" if names is None else literal(names[i])
        page.image(picture, name, alt=f"sample {number} and its {len(made)} views")
        height, width = sources[i].shape[:2]
        page.table([_said(k, p, i, height, width) for k, p in enumerate(drawn)])


def _said(view: int, p: Params, i: int, height: int, width: int) -> dict[str, object]:
    """What was drawn for one view, in words."""
    top, left, h, w = p.crop[i].tolist()
    jitter = []
    for which in p.order[i].tolist():
        factor = p.factor[i, which].item()
        if which == 3 and factor != 0:
            jitter.append(f"hue {factor:+.3f}")
        elif which < 3 and factor != 1:
            jitter.append(f"{_OPERATIONS[which]} {factor:.2f}")
    switched = [("flipped", p.flip), ("grey", p.gray), ("solarized", p.solarize)]
    sigma = p.sigma[i].item()
    return {
        "view": f"{view + 1}",
        "crop (height x width at top, left)": f"{h} x {w} at {top}, {left}: {h * w / (height * width):.0%} of the image",
        "colour, in order": ", ".join(jitter) or None,
        "blur": f"{sigma:.2f} px" if sigma > 0 else None,
        "also": ", ".join(name for name, on in switched if on[i]) or None,
    }


def _row_of_images(source: Tensor, views: Sequence[Tensor], boxes: Sequence[Sequence[int]]) -> bytes:
    """The source with a box for each view, then the views, each framed in the colour of its box."""
    from matplotlib.patches import Rectangle

    figure, axes = _grid(1 + len(views), 2.3)
    axes[0].imshow(_picture(source), cmap="gray", vmin=0, vmax=255)
    axes[0].set_title("source")
    for k, (view, (top, left, h, w)) in enumerate(zip(views, boxes, strict=True)):
        colour = CLASSES[k % len(CLASSES)]
        axes[0].add_patch(Rectangle((left - 0.5, top - 0.5), w, h, fill=False, edgecolor=colour, linewidth=2))
        seen = (view.permute(1, 2, 0).cpu() * 255).round().to(torch.uint8)
        axes[k + 1].imshow(_picture(seen), cmap="gray", vmin=0, vmax=255)
        axes[k + 1].set_title(f"view {k + 1} ({view.shape[-1]} px)")
        for side in axes[k + 1].spines.values():
            side.set(edgecolor=colour, linewidth=3)
    for axis in axes:
        axis.set(xticks=[], yticks=[])
    return png(figure)


def _picture(image: Tensor) -> Any:
    """H x W x C bytes as something that can be shown: colours, or the mean of any other number of channels."""
    return image.numpy() if image.shape[-1] == 3 else image.float().mean(dim=-1).numpy()


def _signals(page: Page, views: Signals, sources: Tensor, shown: Tensor, seed: int, epoch: int) -> None:
    drawn = views.draw(sources, shown, seed=seed, epoch=epoch)
    made = views(sources, shown, seed=seed, epoch=epoch)
    for i, number in enumerate(shown.tolist()):
        figure, axes = _grid(1 + len(made), 3.4, a_row=3)
        axes[0].plot(sources[i].T.numpy(), linewidth=0.8)
        axes[0].set_title("source")
        rows: list[dict[str, object]] = []
        for k, (view, p) in enumerate(zip(made, drawn, strict=True)):
            start, span = int(p.start[i]), int(p.span[i])
            at, hidden = p.hidden[i].tolist()
            colour = CLASSES[k % len(CLASSES)]
            axes[0].axvspan(start, start + span - 1, color=colour, alpha=0.15)
            axes[k + 1].plot(view[i].T.numpy(), linewidth=0.8)
            axes[k + 1].set_title(f"view {k + 1}", color=colour)
            if hidden:
                axes[k + 1].axvspan(at, at + hidden - 1, color="gray", alpha=0.3)
            row: dict[str, object] = {"view": f"{k + 1}", "segment": f"{span} readings from {start}"}
            row |= {"tempo": f"{1 + p.tempo[i]:.2f} to {1 - p.tempo[i]:.2f}", "factor": f"{p.factor[i]:.2f}"}
            rows.append(
                row
                | {"noise": f"{views.specs[k].noise:g}", "masked": f"{hidden} from {at}" if hidden else None}
                | {"backwards": bool(p.flip[i])}
            )
        page.section(f"Sample {number}").image(png(figure), alt=f"sample {number} and its views").table(rows)


def _rows(
    page: Page, views: Corruption | Gaussian, sources: Tensor, shown: Tensor, data: Dataset, seed: int, epoch: int
) -> None:
    plain = replace(views, mean=None, std=None)
    if isinstance(plain, Gaussian):  # the noise is of the standardised columns; shown in the columns' own units
        std = torch.ones(1) if views.std is None else torch.tensor(views.std)
        shifts = plain(torch.zeros_like(sources), shown, seed=seed, epoch=epoch)
        made = [sources + std.to(sources) * shift for shift in shifts]
    else:
        made = plain(sources, shown, seed=seed, epoch=epoch)
    columns = min(data.channels, _MOST_COLUMNS)
    page.section("Views")
    if data.channels == 2:
        page.image(_cloud(data, sources, made), alt="the data, the sources and their views")
    rows: list[dict[str, object]] = []
    for i, number in enumerate(shown.tolist()):
        for name, values in [(f"{number}", sources), *((f"{number}, view {k + 1}", v) for k, v in enumerate(made))]:
            changed = values[i] != sources[i]
            cells = [
                f"**{v:.4g}**" if c else f"{v:.4g}" for v, c in zip(values[i].tolist(), changed.tolist(), strict=True)
            ]
            row: dict[str, object] = {"sample": name}
            rows.append(row | {f"column {j}": cells[j] for j in range(columns)})
    more = f" The first {columns} of {data.channels} columns." if data.channels > columns else ""
    page.table(rows, f"Each sample and its views; what was changed is in bold.{more}")


def _cloud(data: Dataset, sources: Tensor, made: Sequence[Tensor]) -> bytes:
    figure, axes = _grid(1, 5.0)
    some = torch.linspace(0, len(data) - 1, min(2000, len(data))).long()
    background = torch.stack([data.images[i] for i in some.tolist()]).numpy()
    axes[0].scatter(background[:, 0], background[:, 1], s=3, color="lightgray")
    for i, (x, y) in enumerate(sources.tolist()):
        colour = CLASSES[i % len(CLASSES)]
        axes[0].scatter(x, y, s=25, color=colour)
        for u, w in (view[i].tolist() for view in made):
            axes[0].plot([x, u], [y, w], color=colour, linewidth=0.8, marker=".")
    axes[0].set_aspect("equal")
    return png(figure)


def _grid(n: int, side: float, a_row: int = _A_ROW) -> tuple["Figure", list[Any]]:
    from matplotlib.figure import Figure

    across = min(n, a_row)
    down = math.ceil(n / across)
    figure = Figure(figsize=(side * across, (side + 0.3) * down), layout="constrained")
    axes = figure.subplots(down, across, squeeze=False).ravel().tolist()
    for spare in axes[n:]:
        spare.set_axis_off()
    return figure, axes[:n]
