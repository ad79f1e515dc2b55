"""Embeddings as clouds that stand still, several beside each other."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from infomax.report.looks import CLASSES, template
from infomax.training.watch.frames import principal

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

AXIS = (-1.05, 1.05)  # of unit vectors, whatever their spread: an embedding that closes shows as a dot


def scatter(z: Tensor, labels: Tensor | None, classes: Sequence[str] | None = None, title: str = "") -> "Figure":
    """The embedding's unit rows on their first two principal axes, coloured by label.

    Args:
        z: N x D.
        labels: N int64, or None.
        classes: name of each label.
        title: of the figure.
    """
    from plotly.graph_objects import Figure, Scattergl

    points, share, _ = principal(z)
    groups = [0] * len(z) if labels is None else labels.tolist()
    figure = Figure()
    for c in sorted(set(groups)):
        rows = [p for p, g in zip(points.tolist(), groups, strict=True) if g == c]
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
        title={"text": f"{title} ({share:.0%} of the variance)"},
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
