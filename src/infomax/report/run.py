"""Pages of runs: what was asked, what happened, what the embedding looks like."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from infomax.data import Dataset, Graph, gather
from infomax.errors import DataError
from infomax.report.figures import CLASSES, Panel, mi_panels, template
from infomax.report.page import Page
from infomax.training.monitor import TAU

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from infomax.training.run import Run

Histories = Mapping[str, Sequence[Mapping[str, float]]]
"""Rows of a run's log, one an epoch, by the name of the run."""

MOST_POINTS = 2000

AXIS = (-1.05, 1.05)  # of unit vectors, whatever their spread: an embedding that closes shows as a dot


def mi_and_gauges(page: Page, histories: Histories) -> Page:
    """Add the curves: mutual information with its ceilings, then the gauges of collapse."""
    any_row = next(iter(histories.values()))[-1]
    epochs = [row["epoch"] for row in next(iter(histories.values()))]

    def curves(key: str) -> dict[str, list[float]]:
        return {name: [row[key] for row in rows] for name, rows in histories.items()}

    names = {"dv": "cos-DV", "infonce": "InfoNCE", "jsd": "JSD, raw"}
    panels = [
        Panel(curves(f"mi_{key}"), f"{name}, cos/{TAU:g}", {"ceiling": any_row[f"ceiling_{key}"]})
        for key, name in names.items()
    ]
    page.figure(
        mi_panels(panels, epochs=epochs),
        f"Mutual information between the two branches, read with the critic cos/{TAU:g} on views that stay the same "
        "throughout. A curve at its ceiling says that the estimate is saturated, not that the information is. "
        "JSD is no estimate of it: it is always below zero.",
    )
    gauges = [
        Panel(curves("effective_rank"), "effective rank", unit="dimensions"),
        Panel(curves("std"), "std of the unit embedding x sqrt(D)", {"open": 1.0}, unit=""),
        Panel(curves("bound"), "the objective's own bound", unit="nats (weights included)"),
    ]
    return page.figure(
        mi_panels(gauges, epochs=epochs),
        "Gauges of collapse: an embedding that closes loses its rank, or its spread, or both. The bounds of different "
        "methods do not compare.",
    )


def scatter(z: Tensor, labels: Tensor | None, classes: Sequence[str] | None = None, title: str = "") -> "Figure":
    """The embedding's unit rows on their first two principal axes, coloured by label.

    Args:
        z: N x D.
        labels: N int64, or None.
        classes: name of each label.
        title: of the figure.
    """
    from plotly.graph_objects import Figure, Scattergl

    unit = torch.nn.functional.normalize(z.float(), dim=-1)
    centred = unit - unit.mean(0)
    values, axes = torch.linalg.eigh(centred.T @ centred)
    plane = (centred @ axes[:, -2:].flip(1)).tolist()
    share = values.clamp_min(0).flip(0)[:2].sum() / values.clamp_min(0).sum().clamp_min(1e-30)
    groups = [0] * len(z) if labels is None else labels.tolist()
    figure = Figure()
    for c in sorted(set(groups)):
        rows = [p for p, g in zip(plane, groups, strict=True) if g == c]
        figure.add_trace(
            Scattergl(
                x=[p[0] for p in rows],
                y=[p[1] for p in rows],
                mode="markers",
                name=str(classes[c] if classes else c) if labels is not None else "samples",
                marker={"size": 6, "color": CLASSES[c % len(CLASSES)], "opacity": 0.75},
            )
        )
    figure.update_layout(
        template=template(),
        height=460,
        title={"text": f"{title} ({float(share):.0%} of the variance)"},
        xaxis={"title": {"text": "first axis"}, "range": AXIS},
        yaxis={"title": {"text": "second axis"}, "range": AXIS, "scaleanchor": "x"},
        legend={"orientation": "v", "y": 1, "x": 1.02},
    )
    return figure


def scatters(parts: Mapping[str, Tensor], labels: Tensor, classes: Sequence[str] | None = None) -> "Figure":
    """Several embeddings side by side, three in a row, on axes of one scale: one that has collapsed is a point.

    Args:
        parts: name -> N x D.
        labels: N int64.
        classes: name of each label.
    """
    from plotly.subplots import make_subplots

    drawn = {name: scatter(z, labels, classes, name) for name, z in parts.items()}
    rows = -(-len(drawn) // 3)
    figure = make_subplots(rows, 3, subplot_titles=[f.layout.title.text for f in drawn.values()], vertical_spacing=0.1)
    for k, one in enumerate(drawn.values()):
        for trace in one.data:
            trace.update(legendgroup=trace.name, showlegend=k == 0, marker={"size": 4})
            figure.add_trace(trace, k // 3 + 1, k % 3 + 1)
    figure.update_xaxes(range=AXIS).update_yaxes(range=AXIS)
    return figure.update_layout(template=template(), height=390 * rows + 40, meta={"min_width": 900})


def report(run: "Run", path: Path) -> Path:
    """Write the page of one run.

    Args:
        run: with at least one epoch.
        path: of the page.

    Raises:
        DataError: where not one epoch has ended.
    """
    if not run.history:
        raise DataError("this run has not ended an epoch yet: there is nothing to draw")
    name, last, asked = run.learner.name, run.history[-1], run.config
    settings: list[dict[str, Any]] = [
        {"setting": f"{part}: {key}", "value": _short(value)}
        for part in ("method", "encoder", "data", "training")
        for key, value in dict(asked[part]).items()
    ] + [{"setting": "views", "value": str(asked["views"])}]
    page = Page(
        f"{name} on {asked['data']['name']}",
        f"After {last['epoch']} epochs: InfoNCE {last['mi_infonce']:.2f} of at most {last['ceiling_infonce']:.2f} nats, "
        f"effective rank {last['effective_rank']:.1f}, std {last['std']:.2f}.",
    )
    mi_and_gauges(page.section("Curves"), {name: run.history})
    try:
        _embedding(page.section("Features"), run)
    except DataError as error:  # the curves need no data, and are worth a page without them
        page.text(f"Not drawn, since the data are not at hand: {error}")
        warnings.warn(f"no features on the page: {error}", stacklevel=2)
    page.section("Settings").table(settings)
    return page.write(path)


def _short(value: Any, most: int = 160) -> str:
    """A setting as it stands in a table: of a thousand statistics the first few."""
    text = str(value)
    return text if len(text) <= most else f"{text[:most]} ... ({len(text)} characters)"


def _embedding(page: Page, run: "Run") -> None:
    from infomax.evaluate.features import run_size
    from infomax.evaluate.run import features
    from infomax.training.feed import dataset

    asked = run.config
    data = (
        run.data
        if run.data is not None
        else dataset(asked["data"].get("source") or asked["data"]["name"], asked["data"]["root"])
    )
    rows = torch.linspace(0, len(data) - 1, min(MOST_POINTS, len(data))).long()
    labels = None if data.labels is None else data.labels[rows]
    # A node's features depend on its neighbours: of a graph all are computed.
    some = data if isinstance(data, Graph) else Dataset(gather(data.images, rows), mean=data.mean, std=data.std)
    z = features(
        run.learner.encoder,
        some,
        run_size(run),
        statistics=(asked["data"]["mean"], asked["data"]["std"]),
        progress=False,
    )
    said = "" if labels is None else "; colours are labels, which training never saw"
    page.figure(
        scatter(z[rows] if isinstance(data, Graph) else z, labels, data.classes, f"{len(rows)} samples"),
        f"Features of the frozen encoder, as unit vectors on their first two principal axes{said}.",
    )
