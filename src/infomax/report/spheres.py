"""Cluster centres moving over unit spheres, epoch by epoch."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from infomax.errors import DataError
from infomax.report.figures import Array
from infomax.report.looks import CLASSES, NEUTRAL, style, template

if TYPE_CHECKING:
    from plotly.graph_objects import Figure, Scatter3d


def spheres(
    trajectories: Mapping[str, Array],
    *,
    epochs: Sequence[float] | None = None,
    class_names: Sequence[str] | None = None,
    columns: int = 4,
    max_frames: int = 60,
    title: str = "",
) -> "Figure":
    """Draw cluster centres moving over the unit sphere, one sphere per method; it can be rotated, played and scrubbed.

    Args:
        trajectories: method -> E C 3, the C centres after each of E epochs; vectors of other lengths than 1 are
            projected to the sphere. Browsers draw about 16 three-dimensional scenes per page, so show no more methods
            than that.
        epochs: E numbers for the slider; 0, 1, ... by default.
        class_names: C names for the hover text.
        columns: spheres per row.
        max_frames: maximum number of frames of the animation; epochs in between are left out (never the first and the
            last).
        title: title of the figure.

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
