"""Figures with one look: a method has the same colour, dash and symbol wherever it appears.

Colours are those of Okabe and Ito (distinct under the common colour blindnesses) where they read on white and on black
alike; what shares a colour is of one family and differs in its dash.
"""

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from infomax.errors import DataError

if TYPE_CHECKING:
    from plotly.graph_objects import Figure, Scatter3d
    from plotly.graph_objs.layout import Template

Array = npt.ArrayLike

CLASSES = ("#D55E00", "#0072B2", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#8A8D2B", "#7B6FD0", "#A0703C", "#7F8A96")
NEUTRAL = "#87919C"


class Style(NamedTuple):
    """How a method is drawn: name in print, line colour, plotly dash, marker symbol."""

    label: str
    colour: str
    dash: str = "solid"
    symbol: str = "circle"


_STYLES = {
    "sdmi": Style("SDMI", "#D55E00"),
    "sdmi_f": Style("SDMI f", "#D55E00"),
    "sdmi_g": Style("SDMI g", "#D55E00", "dash", "circle-open"),
    "jmi": Style("JMI", "#0072B2"),
    "sdmi, no marginal": Style("SDMI, no marginal", "#7F8A96", "dot"),
    "taylor_jmi": Style("Taylor-JMI", "#0072B2", "dash", "circle-open"),
    "simclr": Style("SimCLR", "#56B4E9", "solid", "square"),
    "simsiam": Style("SimSiam", "#009E73", "solid", "diamond"),
    "byol": Style("BYOL", "#E69F00", "solid", "cross"),
    "bgrl": Style("BGRL", "#E69F00", "dash", "cross"),
    "moco": Style("MoCo", "#CC79A7", "solid", "x"),
    "moco_v1": Style("MoCo v1", "#CC79A7", "dot", "x"),
    "moco_v2": Style("MoCo v2", "#CC79A7", "dash", "x"),
    "moco_v3": Style("MoCo v3", "#CC79A7", "solid", "x"),
    "barlow_twins": Style("Barlow Twins", "#8A8D2B", "solid", "square"),
    "vicreg": Style("VICReg", "#7B6FD0", "solid", "diamond"),
    "w_mse": Style("W-MSE", "#7B6FD0", "dash", "diamond"),
    "swav": Style("SwAV", "#A0703C"),
    "dino": Style("DINO", "#A0703C", "dash"),
    "raw": Style("raw pixels", NEUTRAL, "dot"),
    "random": Style("random encoder", NEUTRAL, "dash"),
}


def style(method: str) -> Style:
    """Return how a method is drawn; a name of your own gets a style that stays the same from run to run.

    Example:
        >>> style("moco_v3").label, style("moco_v3").colour
        ('MoCo v3', '#CC79A7')
        >>> style("my_method") == style("my_method")
        True
    """
    if method in _STYLES:
        return _STYLES[method]
    return Style(method, CLASSES[zlib.crc32(method.encode()) % len(CLASSES)], "dashdot")


def template() -> "Template":
    """Return the plotly template of every figure: quiet grid, no box, room for the labels.

    Example:
        >>> template().layout.colorway[0]
        '#D55E00'
    """
    from plotly.graph_objects import layout

    axis = {"gridcolor": "#dfe4ea", "zeroline": False, "ticks": "outside", "ticklen": 4, "automargin": True}
    return layout.Template(
        layout={
            "font": {"family": 'system-ui, "Segoe UI", Roboto, "DejaVu Sans", Arial, sans-serif', "size": 14},
            "colorway": list(CLASSES),
            "paper_bgcolor": "#ffffff",
            "plot_bgcolor": "#ffffff",
            "xaxis": axis,
            "yaxis": axis,
            "margin": {"l": 60, "r": 20, "t": 50, "b": 50},
            "hovermode": "closest",
            "legend": {"orientation": "h", "yanchor": "top", "y": -0.16, "x": 0, "title": {"text": ""}},
        }
    )


@dataclass(frozen=True)
class Panel:
    """One set of axes of `mi_panels`.

    Attributes:
        curves: method -> E values, or S E values of several seeds; NaN is not drawn.
        title: what is read, with its temperature and N.
        ceilings: name -> the largest value that the estimate can take.
        truth: the true mutual information, nats.
        unit: of the vertical axis.
    """

    curves: Mapping[str, Array]
    title: str = ""
    ceilings: Mapping[str, float] = field(default_factory=dict)
    truth: float | None = None
    unit: str = "nats"


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
        ceilings: name -> height of a dashed line; one far above every curve is written at the top edge instead, so
            that the curves keep their shape.
        truth: height of the dotted line, nats.
        title: of the figure.
        unit: of the vertical axis.
        epochs: E numbers of the horizontal axis; 0, 1, ... by default.

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


def mi_panels(panels: Sequence[Panel], *, epochs: Sequence[float] | None = None, columns: int = 3) -> "Figure":
    """Draw several `mi_curves` side by side with one legend; clicking a method hides it in all of them.

    Args:
        panels: what to draw, left to right, top to bottom.
        epochs: E numbers of the horizontal axis; 0, 1, ... by default.
        columns: panels in a row.

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
    columns = min(columns, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = make_subplots(
        rows,
        columns,
        subplot_titles=[panel.title for panel in panels],
        horizontal_spacing=0.3 / columns if columns > 1 else 0,
        vertical_spacing=0.3 / rows if rows > 1 else 0,
    )
    shown: set[str] = set()
    for k, panel in enumerate(panels):
        row, column = k // columns + 1, k % columns + 1
        _draw_panel(figure, panel, epochs, row, column, shown)
        figure.update_yaxes(title_text=panel.unit, title_standoff=6, row=row, col=column)
        figure.update_xaxes(title_text="epoch", row=row, col=column)
    legend_lines = 1 + len(shown) // 6
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


def _draw_panel(
    figure: "Figure", panel: Panel, epochs: Sequence[float] | None, row: int, column: int, shown: set[str]
) -> None:
    from plotly.graph_objects import Scatter

    values = {method: np.atleast_2d(np.asarray(curve, dtype=float)) for method, curve in panel.curves.items()}
    lengths = {v.shape[-1] for v in values.values()} | ({len(epochs)} if epochs is not None else set())
    if len(lengths) != 1 or any(v.ndim != 2 for v in values.values()):
        shapes = {method: v.shape for method, v in values.items()}
        raise DataError(f"mi curves: every curve must be E or S E values of one E, got {shapes}")
    x = np.arange(lengths.pop(), dtype=float) if epochs is None else np.asarray(epochs, dtype=float)
    tops, bottoms = [], []
    for method, seeds in values.items():
        look = style(method)
        mean, sd = seeds.mean(0), seeds.std(0, ddof=1) if len(seeds) > 1 else np.zeros(seeds.shape[1])
        seen = np.isfinite(mean)
        if not seen.any():
            continue
        tops.append(float((mean + sd)[seen].max()))
        bottoms.append(float((mean - sd)[seen].min()))
        if len(seeds) > 1:
            band_x = np.concatenate([x[seen], x[seen][::-1]])
            band_y = np.concatenate([(mean + sd)[seen], (mean - sd)[seen][::-1]])
            figure.add_trace(
                Scatter(
                    x=band_x,
                    y=band_y,
                    fill="toself",
                    fillcolor=_faded(look.colour, 0.16),
                    line={"width": 0},
                    mode="lines",
                    hoverinfo="skip",
                    legendgroup=method,
                    showlegend=False,
                ),
                row,
                column,
            )
        figure.add_trace(
            Scatter(
                x=x,
                y=mean,
                name=look.label,
                mode="lines" if seen.sum() > 1 else "markers",  # a line of one point is nothing
                line={"color": look.colour, "dash": look.dash, "width": 2},
                legendgroup=method,
                showlegend=method not in shown,
                customdata=sd,
                hovertemplate=f"{look.label}, epoch %{{x}}: %{{y:.4f}} &#177; %{{customdata:.4f}}<extra></extra>",
            ),
            row,
            column,
        )
        shown.add(method)
    _draw_levels(figure, panel, x, max(tops, default=0.0), min(bottoms, default=0.0), row, column)


def _draw_levels(
    figure: "Figure", panel: Panel, x: npt.NDArray[np.float64], top: float, bottom: float, row: int, column: int
) -> None:
    levels = [(name, value, "dash") for name, value in panel.ceilings.items()]
    if panel.truth is not None:
        levels.append(("true MI", panel.truth, "dot"))
    span = max(top - bottom, 1e-3)
    # A line more than the curves' own span above them would press them flat.
    inside = [level for level in levels if level[1] <= top + 1.0 * span]
    high = max([top, *(value for _, value, _ in inside)])
    low = min([bottom, *(value for _, value, _ in inside)])
    pad = 0.08 * max(high - low, 1e-3)
    figure.update_yaxes(range=[low - pad, high + 1.6 * pad], row=row, col=column)
    for name, value, dash in inside:
        figure.add_hline(value, line={"color": NEUTRAL, "dash": dash, "width": 1.5}, row=row, col=column)
        figure.add_annotation(
            x=0.01,
            xref="x domain",
            y=value,
            text=f"{name} = {value:.5g}",
            showarrow=False,
            xanchor="left",
            yanchor="bottom",
            font={"size": 12},
            row=row,
            col=column,
        )
    above = [f"{name} = {value:.5g}" for name, value, _ in levels if value > top + 1.0 * span]
    if above:
        figure.add_annotation(
            x=1,
            xref="x domain",
            y=1,
            yref="y domain",
            text="\N{UPWARDS ARROW} " + ", ".join(above),
            showarrow=False,
            xanchor="right",
            yanchor="top",
            font={"size": 12},
            row=row,
            col=column,
        )


def spheres(
    trajectories: Mapping[str, Array],
    *,
    epochs: Sequence[float] | None = None,
    class_names: Sequence[str] | None = None,
    columns: int = 4,
    max_frames: int = 60,
    title: str = "",
) -> "Figure":
    """Draw cluster centres wandering over the unit sphere, one sphere a method, to be turned, played and scrubbed.

    Args:
        trajectories: method -> E C 3, the C centres after each of E epochs; other lengths than 1 are projected. Browsers
            draw some 16 three-dimensional scenes a page, so show no more methods than that.
        epochs: E numbers for the slider; 0, 1, ... by default.
        class_names: C names for the hover text.
        columns: spheres in a row.
        max_frames: of the animation; the epochs between are left out (the first and last never are).
        title: of the figure.

    Returns:
        A plotly figure with frames; it plays offline.

    Raises:
        DataError: no trajectory, or trajectories that are not E C 3 with one E.

    Example:
        >>> figure = spheres({"jmi": np.eye(3)[None].repeat(5, 0), "sdmi": np.eye(3)[None].repeat(5, 0)})
        >>> len(figure.frames), [annotation.text for annotation in figure.layout.annotations]
        (5, ['JMI', 'SDMI'])
    """
    from plotly.graph_objects import Frame
    from plotly.subplots import make_subplots

    paths = {method: np.asarray(path, dtype=np.float32) for method, path in trajectories.items()}
    steps = {path.shape[0] for path in paths.values() if path.ndim == 3 and path.shape[2] == 3}
    if len(steps) != 1 or any(path.ndim != 3 or path.shape[2] != 3 or path.size == 0 for path in paths.values()):
        shapes = {method: path.shape for method, path in paths.items()}
        raise DataError(f"spheres: every trajectory must be E C 3 with one E, got {shapes}")
    total = steps.pop()
    paths = {m: p / np.maximum(np.linalg.norm(p, axis=-1, keepdims=True), 1e-12) for m, p in paths.items()}
    names = [f"{e:g}" for e in (range(total) if epochs is None else epochs)]
    stride = math.ceil((total - 1) / max(max_frames - 1, 1)) or 1
    frames = sorted({*range(0, total, stride), total - 1})
    paths = {method: path[frames] for method, path in paths.items()}
    names = [names[k] for k in frames]

    columns = min(columns, len(paths))
    rows = math.ceil(len(paths) / columns)
    figure = make_subplots(
        rows,
        columns,
        specs=[[{"type": "scene"}] * columns for _ in range(rows)],
        subplot_titles=[style(method).label for method in paths],
        horizontal_spacing=0.01,
        vertical_spacing=0.06 if rows > 1 else 0,
    )
    moving: list[int] = []
    for k, path in enumerate(paths.values()):
        place = {"row": k // columns + 1, "col": k % columns + 1}
        figure.add_trace(_globe(), **place)
        for trace in _wander(path, len(frames) - 1, class_names):
            moving.append(len(figure.data))
            figure.add_trace(trace, **place)
    figure.frames = [
        Frame(
            name=name,
            data=[trace for path in paths.values() for trace in _wander(path, k, class_names)],
            traces=moving,
        )
        for k, name in enumerate(names)
    ]
    figure.update_scenes(
        xaxis={"visible": False, "range": [-1.05, 1.05]},
        yaxis={"visible": False, "range": [-1.05, 1.05]},
        zaxis={"visible": False, "range": [-1.05, 1.05]},
        aspectmode="cube",
        bgcolor="rgba(0,0,0,0)",
        camera={"eye": {"x": 1.0, "y": 1.0, "z": 0.65}},
        uirevision="keep",  # playing must not turn a sphere back
    )
    figure.update_layout(
        template=template(),
        title=title,
        height=300 * rows + 120 + (40 if title else 0),
        margin={"l": 0, "r": 0, "t": 90 if title else 56, "b": 80},
        showlegend=False,
        uirevision="keep",
        meta={"min_width": 240 * columns},
        updatemenus=[_buttons()],
        sliders=[_slider(names)],
    )
    return figure


def _globe() -> "Scatter3d":
    from plotly.graph_objects import Scatter3d

    turn = np.linspace(0, 2 * np.pi, 61, dtype=np.float32)
    gap = np.full((1, 3), np.nan, dtype=np.float32)
    rings = []
    for latitude in np.deg2rad([-60, -30, 0, 30, 60]):
        radius = np.cos(latitude)
        rings += [
            np.stack([radius * np.cos(turn), radius * np.sin(turn), np.full_like(turn, np.sin(latitude))], 1),
            gap,
        ]
    for longitude in np.deg2rad(np.arange(0, 180, 20)):
        rings += [
            np.stack([np.cos(turn) * np.cos(longitude), np.cos(turn) * np.sin(longitude), np.sin(turn)], 1),
            gap,
        ]
    x, y, z = np.concatenate(rings).astype(np.float32).T
    return Scatter3d(
        x=x, y=y, z=z, mode="lines", line={"color": NEUTRAL, "width": 1.5}, opacity=0.3, hoverinfo="skip", name="sphere"
    )


def _wander(path: npt.NDArray[np.float32], end: int, class_names: Sequence[str] | None) -> "list[Scatter3d]":
    """Trails up to one epoch, drawn as one broken line, and the centres at their heads."""
    from plotly.graph_objects import Scatter3d

    classes = path.shape[1]
    names = list(class_names or [f"cluster {c + 1}" for c in range(classes)])
    colours = [CLASSES[c % len(CLASSES)] for c in range(classes)]
    steps = [[(c + side) / classes, colours[c]] for c in range(classes) for side in (0, 1)]
    index = np.repeat(np.arange(classes, dtype=np.uint8), end + 2)
    gap = np.full((1, classes, 3), np.nan, dtype=np.float32)
    trail = np.concatenate([path[: end + 1], gap]).transpose(1, 0, 2).reshape(-1, 3)
    return [
        Scatter3d(
            x=trail[:, 0],
            y=trail[:, 1],
            z=trail[:, 2],
            mode="lines",
            # Class numbers on a scale of steps: a colour name for every point would be most of the file.
            line={"color": index, "colorscale": steps, "cmin": -0.5, "cmax": classes - 0.5, "width": 4},
            hoverinfo="skip",
        ),
        Scatter3d(
            x=path[end, :, 0],
            y=path[end, :, 1],
            z=path[end, :, 2],
            mode="markers",
            marker={"color": colours, "size": 6, "line": {"color": "#ffffff", "width": 1}},
            text=names,
            hovertemplate="%{text}<br>(%{x:.2f}, %{y:.2f}, %{z:.2f})<extra></extra>",
        ),
    ]


def _buttons() -> dict[str, object]:
    play = {"frame": {"duration": 80, "redraw": True}, "transition": {"duration": 0}, "fromcurrent": True}
    stop = {"frame": {"duration": 0, "redraw": False}, "transition": {"duration": 0}, "mode": "immediate"}
    return {
        "type": "buttons",
        "direction": "left",
        "showactive": False,
        "x": 0.0,
        "xanchor": "left",
        "y": 0,
        "yanchor": "top",
        "pad": {"t": 22, "l": 8},
        # plotly paints a pointed-at button near white: dark letters on light stay legible in either scheme.
        "bgcolor": "#eef1f4",
        "bordercolor": NEUTRAL,
        "font": {"color": "#1f2933", "size": 13},
        "buttons": [
            {"label": "Play", "method": "animate", "args": [None, {**play, "mode": "immediate"}]},
            {"label": "Pause", "method": "animate", "args": [[None], stop]},
        ],
    }


def _slider(names: Sequence[str]) -> dict[str, object]:
    jump = {"frame": {"duration": 0, "redraw": True}, "transition": {"duration": 0}, "mode": "immediate"}
    return {
        "active": len(names) - 1,
        "x": 0.16,
        "len": 0.82,
        "y": 0,
        "yanchor": "top",
        "pad": {"t": 18, "b": 8},
        "bgcolor": NEUTRAL,
        "bordercolor": NEUTRAL,
        "tickcolor": NEUTRAL,
        "currentvalue": {"prefix": "epoch ", "xanchor": "left", "font": {"size": 14}},
        "transition": {"duration": 0},
        "steps": [{"label": name, "method": "animate", "args": [[name], jump]} for name in names],
    }


def _faded(colour: str, alpha: float) -> str:
    red, green, blue = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"
