"""Curves over training, with ceilings and intervals."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from infomax.errors import DataError
from infomax.report.looks import NEUTRAL, Style, plain, style, template

if TYPE_CHECKING:
    from plotly.graph_objects import Figure, Scatter

Array = npt.ArrayLike
Floats = npt.NDArray[np.float64]

FEW = 10  # points below which each is marked
TEXT_LINES = 14  # of labels, one above the other, in a panel


@dataclass(frozen=True)
class Panel:
    """One set of axes of `mi_panels`.

    Attributes:
        curves: method -> E values, or S E values of several seeds; NaN is not drawn.
        title: the estimate, with its temperature and N.
        ceilings: name -> the largest value that the estimate can take.
        truth: the true mutual information, nats.
        unit: unit of the vertical axis.
        bands: method -> (lower, upper), E values each, instead of the standard deviation over seeds.
        log: whether the vertical axis is logarithmic.
        from_zero: whether the vertical axis starts at 0 (or below, if a curve does): for quantities whose distance from
            0 matters, and whose noise would otherwise fill the axis.
    """

    curves: Mapping[str, Array]
    title: str = ""
    ceilings: Mapping[str, float] = field(default_factory=dict)
    truth: float | None = None
    unit: str = "nats"
    bands: Mapping[str, tuple[Array, Array]] = field(default_factory=dict)
    log: bool = False
    from_zero: bool = False


def mi_curves(
    curves: Mapping[str, Array],
    *,
    ceilings: Mapping[str, float] | None = None,
    truth: float | None = None,
    title: str = "",
    unit: str = "nats",
    epochs: Sequence[float] | None = None,
) -> "Figure":
    """Draw estimates over training: mean over seeds, a band of one standard deviation, the ceiling and the truth.

    Args:
        curves: method -> E values, or S E values of several seeds.
        ceilings: name -> height of a dashed line; one far above every curve is written at the top edge instead, so that
            the curves keep their shape.
        truth: height of the dotted line, nats.
        title: title of the figure.
        unit: unit of the vertical axis.
        epochs: E numbers for the horizontal axis; 0, 1, ... by default.

    Returns:
        A plotly figure.

    Raises:
        DataError: no curve, or curves of unequal length.

    Example:
        >>> figure = mi_curves({"jmi": [[0.0, 0.5, 1.0], [0.1, 0.6, 1.1]]}, ceilings={"ceiling": 2.0}, truth=1.6503)
        >>> [trace.name for trace in figure.data if trace.showlegend]
        ['JMI']
    """
    return mi_panels([Panel(curves, title, ceilings or {}, truth, unit)], epochs=epochs)


def mi_panels(
    panels: Sequence[Panel],
    *,
    epochs: Sequence[float] | None = None,
    columns: int | None = None,
    styles: Mapping[str, Style] | None = None,
) -> "Figure":
    """Draw several `mi_curves` side by side with one legend; clicking a method hides it in all of them.

    Args:
        panels: the panels, left to right, top to bottom.
        epochs: E numbers for the horizontal axis; 0, 1, ... by default.
        columns: panels per row; by default three, and two where there are four panels.
        styles: how each curve is drawn, instead of its method's `style`.

    Returns:
        A plotly figure.

    Raises:
        DataError: no panel, no curve, or curves of unequal length.

    Example:
        >>> figure = mi_panels([Panel({"jmi": [0, 1]}, "cos-DV"), Panel({"jmi": [0, 2]}, "InfoNCE")])
        >>> [annotation.text for annotation in figure.layout.annotations]
        ['cos-DV', 'InfoNCE']
    """
    from plotly.subplots import make_subplots

    if not panels or not all(panel.curves for panel in panels):
        raise DataError("mi curves: there is nothing to draw; give at least one curve to every panel")
    columns = min(columns or in_a_row(len(panels)), len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = make_subplots(
        rows,
        columns,
        subplot_titles=[plain(panel.title) for panel in panels],
        horizontal_spacing=0.3 / columns if columns > 1 else 0,
        vertical_spacing=0.3 / rows if rows > 1 else 0,
    )
    shown: dict[str, str] = {}  # lines of the legend
    for k, panel in enumerate(panels):
        row, column = k // columns + 1, k % columns + 1
        _draw_panel(figure, panel, epochs, row, column, shown, styles or {})
        figure.update_yaxes(title_text=panel.unit, title_standoff=6, row=row, col=column)
        # From 0 on: of a run that ended a hair after an epoch the axis would else be that hair.
        figure.update_xaxes(
            title_text="epoch", title_standoff=4, dtick=_whole(epochs), rangemode="tozero", row=row, col=column
        )
    letters = sum(len(label) + 8 for label in shown.values())
    legend_lines = 1 + max(len(shown) // 6, letters // 110)
    height = 340 * rows + 60 + 24 * legend_lines
    figure.update_layout(
        template=template(),
        height=height,
        # Below the axis titles, in pixels whatever the height.
        legend={"y": -62 / (height - 110 - 24 * legend_lines)},
        margin={"t": 50, "b": 60 + 24 * legend_lines},
        meta={"min_width": 300 * columns},
    )
    return figure


def in_a_row(panels: int) -> int:
    """How many panels stand in a row: three at most, and four two by two.

    Example:
        >>> [in_a_row(panels) for panels in (1, 2, 3, 4, 5)]
        [1, 2, 3, 2, 3]
    """
    return 2 if panels == 4 else min(3, panels)


def _whole(epochs: Sequence[float] | None) -> float | None:
    """The step of an axis of few whole epochs, on which plotly would mark halves."""
    few = epochs is not None and len(epochs) > 1 and max(epochs) <= 8
    return 1.0 if epochs is not None and few and all(float(e).is_integer() for e in epochs) else None


def _draw_panel(
    figure: "Figure",
    panel: Panel,
    epochs: Sequence[float] | None,
    row: int,
    column: int,
    shown: dict[str, str],
    styles: Mapping[str, Style],
) -> None:
    values = {method: np.atleast_2d(np.asarray(curve, dtype=float)) for method, curve in panel.curves.items()}
    lengths = {v.shape[-1] for v in values.values()} | ({len(epochs)} if epochs is not None else set())
    if len(lengths) != 1 or any(v.ndim != 2 for v in values.values()):
        shapes = {method: v.shape for method, v in values.items()}
        raise DataError(f"mi curves: every curve must be E or S E values of one E, got {shapes}")
    x = np.arange(lengths.pop(), dtype=float) if epochs is None else np.asarray(epochs, dtype=float)
    tops, bottoms = [], []
    for method, seeds in values.items():
        mean = seeds.mean(0)
        if panel.log:
            mean = np.where(mean > 0, mean, np.nan)
        seen = np.isfinite(mean)
        if not seen.any():
            continue
        lower, upper, said = _band(panel, method, seeds, mean)
        tops.append(float(upper[seen].max()))
        bottoms.append(float(lower[seen].min()))
        look = styles.get(method) or style(method)
        group = look.group or method
        if said:
            figure.add_trace(_drawn_band(x[seen], lower[seen], upper[seen], look, group), row, column)
        figure.add_trace(_drawn_mean(x, mean, said, look, group, legend=group not in shown), row, column)
        shown[group] = look.group or look.label
    if panel.log:
        figure.update_yaxes(type="log", row=row, col=column)
    else:
        _draw_levels(figure, panel, max(tops, default=0.0), min(bottoms, default=0.0), row, column)


def _drawn_mean(x: Floats, mean: Floats, said: list[str], look: Style, group: str, *, legend: bool) -> "Scatter":
    from plotly.graph_objects import Scatter

    points, label = np.isfinite(mean).sum(), plain(look.label)
    return Scatter(
        x=x,
        y=mean,
        name=plain(look.group) or label,
        # a line of one point is nothing, and of two that lie close nearly so
        mode="markers" if points == 1 else "lines+markers" if points < FEW else "lines",
        connectgaps=True,  # at an epoch that only another run has a row of
        line={"color": look.colour, "dash": look.dash, "width": 2},
        legendgroup=group,
        showlegend=legend,
        text=said or None,
        hovertemplate=f"{label}, epoch %{{x}}: %{{y:.4f}}{' %{text}' if said else ''}<extra></extra>",
    )


def _drawn_band(x: Floats, lower: Floats, upper: Floats, look: Style, group: str) -> "Scatter":
    from plotly.graph_objects import Scatter

    return Scatter(
        x=np.concatenate([x, x[::-1]]),
        y=np.concatenate([upper, lower[::-1]]),
        fill="toself",
        fillcolor=_faded(look.colour, 0.16),
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        legendgroup=group,
        showlegend=False,
    )


def _band(panel: Panel, method: str, seeds: Floats, mean: Floats) -> tuple[Floats, Floats, list[str]]:
    """Lower and upper edge, and each place in words (none where there is no band)."""
    if method in panel.bands:
        lower, upper = (np.asarray(edge, dtype=float) for edge in panel.bands[method])
        known = np.isfinite(lower) & np.isfinite(upper)
        said = [f"[{a:.4f}, {b:.4f}]" if k else "" for a, b, k in zip(lower, upper, known, strict=True)]
        if known.any():
            return np.where(known, lower, mean), np.where(known, upper, mean), said
    if len(seeds) < 2:
        return mean, mean, []
    sd = seeds.std(0, ddof=1)
    return mean - sd, mean + sd, [f"&#177; {value:.4f}" for value in sd]


def _draw_levels(figure: "Figure", panel: Panel, top: float, bottom: float, row: int, column: int) -> None:
    levels = [(name, value, "dash") for name, value in panel.ceilings.items()]
    if panel.truth is not None:
        levels.append(("true MI", panel.truth, "dot"))
    # Rounding is no movement: nats are told apart to a thousandth, anything else to a thousandth of itself.
    least = 1e-3 if panel.unit.startswith("nats") else 1e-3 * max(abs(top), abs(bottom)) or 1e-3
    bottom = min(bottom, 0.0) if panel.from_zero else bottom
    span = max(top - bottom, least)
    # A line more than the curves' own span above them would press them flat.
    inside = [level for level in levels if level[1] <= top + 1.0 * span]
    above = [f"{plain(name)} = {value:.5g}" for name, value, _ in levels if value > top + 1.0 * span]
    high = max([top, *(value for _, value, _ in inside)])
    low = min([bottom, *(value for _, value, _ in inside)])
    pad = 0.08 * max(high - low, least) if high > low else 0.5 * max(abs(high), least)
    ends = (0.0 if panel.from_zero and low == 0.0 else low - pad, high + (0.6 + max(len(above), 1)) * pad)
    figure.update_yaxes(range=ends, row=row, col=column)
    for _, value, dash in inside:
        figure.add_hline(value, line={"color": NEUTRAL, "dash": dash, "width": 1.5}, row=row, col=column)
    for near in _near([(name, value) for name, value, _ in inside], (ends[1] - ends[0]) / TEXT_LINES):
        figure.add_annotation(
            x=0.01,
            xref="x domain",
            y=near[-1][1],
            text=_label(near),
            hovertext="<br>".join(_label([one]) for one in near) if len(near) > 1 else None,
            showarrow=False,
            xanchor="left",
            yanchor="bottom",
            font={"size": 12},
            row=row,
            col=column,
        )
    if above:
        figure.add_annotation(
            x=1,
            xref="x domain",
            y=1,
            yref="y domain",
            text="<br>".join(f"\N{UPWARDS ARROW} {name}" for name in above),
            showarrow=False,
            xanchor="right",
            yanchor="top",
            font={"size": 12},
            row=row,
            col=column,
        )


def _near(levels: Sequence[tuple[str, float]], line: float) -> list[list[tuple[str, float]]]:
    """Levels from the lowest on, together where their labels would stand in one line of text."""
    made: list[list[tuple[str, float]]] = []
    for level in sorted(levels, key=lambda level: level[1]):
        if made and level[1] - made[-1][-1][1] < line:
            made[-1].append(level)
        else:
            made.append([level])
    return made


def _label(levels: Sequence[tuple[str, float]]) -> str:
    """One label of levels from the lowest on: ceilings by their ends, anything else by its name."""
    ceilings = [f"{value:.5g}" for name, value in levels if "ceiling" in name]
    if len(ceilings) < 2:
        return ", ".join(f"{plain(name)} = {value:.5g}" for name, value in levels)
    ends = f"= {ceilings[0]}" if ceilings[0] == ceilings[-1] else f"{ceilings[0]} to {ceilings[-1]}"
    others = [level for level in levels if "ceiling" not in level[0]]
    return ", ".join(filter(None, (f"ceilings {ends}", _label(others))))


def _faded(colour: str, alpha: float) -> str:
    red, green, blue = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"
