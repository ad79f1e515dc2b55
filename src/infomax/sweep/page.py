"""The page of a sweep: parallel coordinates, what each option does, every cell."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infomax.report.figures import in_a_row
from infomax.report.looks import plain, template
from infomax.report.markdown import literal
from infomax.report.page import Page
from infomax.sweep.folder import Folder, Row
from infomax.sweep.grid import WHERE
from infomax.sweep.metrics import aim, judged
from infomax.sweep.ranking import asked_for, ranked, remarks, settings, telling
from infomax.words import as_option, many

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

SCALE = ((0.0, "#3B7DD8"), (0.5, "#A08C9A"), (1.0, "#E68A00"))
"""Legible on light and on dark paper, from end to end, and to the colour-blind."""
LOGARITHMIC = 10.0
"""Positive values that span more than this are drawn by their logarithm."""


def write(path: str | Path, out: str | Path | None = None, by: str | None = None, goal: str | None = None) -> Path:
    """Write the page of a sweep.

    Args:
        path: folder of the sweep.
        out: the page; by default index.html in the folder.
        by: metric; by default the grid's.
        goal: max or min; by default what is known of the metric.

    Raises:
        ConfigError: where no cell has finished, or there is no such metric.
    """
    folder = Folder(path)
    asked, rows = folder.read()["evaluate"], asked_for(folder.rows())
    metric, goal = aim(asked, by, goal)
    found = ranked(path, rows, metric, goal)
    keys, own = telling(rows)
    axes, drawn = [key for key in keys if key not in ("seed", *WHERE)], [row for row in rows if metric in row.metrics]
    has = "has" if len(rows) == 1 else "have"
    ended = f"{sum(row.state == 'finished' for row in rows)} of {many(len(rows), 'cell')} {has} finished"
    by_what = judged(metric, asked["data"] and literal(asked["data"]), (row.held for row in rows))
    page = Page(f"Sweep: {metric}", f"{ended}. Chosen by {by_what}.")
    page.section("Best").table(
        [
            {
                "setting": _named({k: v for k, v in s.options.items() if k in keys}),
                metric: "; ".join(filter(None, (s.shown, s.sign and f"**{s.sign}**"))),
                "cells": ", ".join(r.name for r in s.rows),
            }
            for s in found[:10]
        ],
        "Cells that differ in their seed alone are one setting: the mean, and the standard deviation over its seeds. Settings "
        "of which a seed is missing stand behind those that have all.",
    )
    for said in remarks(folder, rows, metric, literal):
        page.text(f"{said[0].upper()}{said[1:]}.")
    if axes:
        page.section("Parallel coordinates").figure(
            coordinates(drawn, axes, metric),
            "A line a cell, spread a little where cells share a value. Drag along an axis to keep the cells that pass there; "
            "drag an axis's name to move it.",
        )
        page.section("One option at a time").figure(
            marginals(drawn, axes, metric),
            "Each point a setting, averaged over its seeds, the other options as they come; the line joins the means.",
        )
    lines = [
        {
            "cell": r.name,
            "state": r.state,
            **{k: _literal(r.options.get(k)) for k in keys},
            metric: r.metrics.get(metric),
        }
        | {"minutes": _minutes(r.seconds)}
        | {"watch": "a sign of collapse" if r.collapsing else None, "error": literal(r.error) if r.error else None}
        for r in rows
    ]
    bare = {key for key in ("watch", "error") if all(line[key] is None for line in lines)}
    page.section("Every cell").table([{k: v for k, v in line.items() if k not in bare} for line in lines])
    if own:
        by_method = {row.options["method"]: row.options for row in rows}
        page.section("What each method has").table(
            [{"method": m, **{k: _literal(options.get(k)) for k in own}} for m, options in by_method.items()],
            "Options of which a method has one value here, and another one, or none, another.",
        )
    idle = {"epochs"} if all(row.options.get("budget") for row in rows) else set[str]()  # what a time decides
    same = {k: v for k, v in rows[0].options.items() if k not in {*keys, *own, *idle}}
    page.section("What all cells share").table([{"option": k, "value": _literal(v)} for k, v in same.items()])
    return page.write(out if out is not None else folder.path / "index.html")


def coordinates(rows: Sequence[Row], keys: Sequence[str], metric: str) -> "Figure":
    """Parallel coordinates: an axis an option, the metric last, a line a cell.

    Args:
        rows: finished cells.
        keys: the options that vary.
        metric: which also colours the lines.
    """
    from plotly.graph_objects import Figure, Parcoords

    axes = [{"label": key, **_axis([row.options.get(key) for row in rows])} for key in keys]
    values = [row.metrics[metric] for row in rows]
    axes.append({"label": metric, "values": values})
    line = {"color": values, "colorscale": SCALE}
    grey = "#87919C"  # reads on light and dark; on a page these letters have the colour of its text
    figure = Figure(
        Parcoords(
            dimensions=axes,
            line=line,
            labelfont={"color": grey, "size": 17},
            tickfont={"color": grey, "size": 14},
            rangefont={"color": grey, "size": 14},
        )
    )
    figure.update_layout(
        template=template(),
        height=460,
        margin={"l": 90, "r": 90, "t": 70, "b": 40},
        meta={"min_width": 140 * len(axes) + 100},
    )
    return figure


def marginals(rows: Sequence[Row], keys: Sequence[str], metric: str) -> "Figure":
    """The metric against each option that varies, in panels, with the mean at each value; cells are averaged over seeds.

    Args:
        rows: finished cells.
        keys: the options that vary.
        metric: drawn upwards.
    """
    from plotly.graph_objects import Scatter
    from plotly.subplots import make_subplots

    points = settings(rows, metric)
    columns = in_a_row(len(keys))
    lines = math.ceil(len(keys) / columns)
    figure = make_subplots(
        lines,
        columns,
        shared_yaxes=True,
        subplot_titles=list(keys),
        horizontal_spacing=0.05,
        vertical_spacing=0.26 / lines,
    )
    for n, key in enumerate(keys):
        place = {"row": n // columns + 1, "col": n % columns + 1}
        drawn: list[Any] = [one.rows[0].options.get(key) for one in points]
        numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in drawn)
        order = sorted({json.dumps(v): v for v in drawn}.values(), key=lambda v: v if numbers else _text(v))
        x = [v if numbers else plain(_text(v)) for v in order]
        groups = [[p.mean for p, at in zip(points, drawn, strict=True) if at == v] for v in order]
        means = [math.fsum(v / len(g) for v in g) if all(map(math.isfinite, g)) else math.nan for g in groups]
        every = [v if numbers else plain(_text(v)) for v in drawn]
        said = [", ".join(row.name for row in one.rows) for one in points]
        figure.add_trace(
            Scatter(
                x=every,
                y=[one.mean for one in points],
                mode="markers",
                marker={"color": "#56B4E9", "size": 8, "opacity": 0.75},
                text=said,
                hovertemplate=f"{key} %{{x}}<br>{metric} %{{y:.2f}}<br>%{{text}}<extra></extra>",
            ),
            **place,
        )
        if len(order) < len(points):
            figure.add_trace(Scatter(x=x, y=means, mode="lines", line={"color": "#D55E00"}, hoverinfo="skip"), **place)
        figure.update_xaxes(
            type="log" if numbers and _by_logarithm(drawn) else "linear" if numbers else "category", **place
        )
        if numbers and len(order) <= 8:
            figure.update_xaxes(tickvals=x, ticktext=[_text(v) for v in x], **place)
    figure.update_layout(
        template=template(),
        height=300 * lines + 60,
        showlegend=False,
        margin={"l": 60, "r": 20, "t": 50, "b": 50},
        meta={"min_width": 260 * columns},
    )
    figure.update_yaxes(title_text=metric, col=1)
    return figure


def _axis(values: Sequence[Any]) -> dict[str, Any]:
    """Places on an axis, spread a little where cells share a value, and the names of those places."""
    if all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        known = sorted(set(values))
        shown = known if len(known) <= 8 else [known[round(k * (len(known) - 1) / 7)] for k in range(8)]
        place = math.log10 if _by_logarithm(values) else float
    else:
        shown = known = sorted({json.dumps(v): v for v in values}.values(), key=_text)
        place = known.index
    low, high = place(known[0]), place(known[-1])
    span = (high - low) or 1.0
    width = 0.08 * span if len(known) < len(values) else 0.0
    return {
        # multiples of the golden ratio are spread evenly, however many there are
        "values": [place(v) + width * (0.618034 * n % 1 - 0.5) for n, v in enumerate(values)],
        "range": [low - 0.06 * span, high + 0.06 * span],
        "tickvals": [place(v) for v in shown],
        "ticktext": [_text(v) for v in shown],
    }


def _by_logarithm(values: Sequence[float]) -> bool:
    return min(values) > 0 and max(values) / min(values) >= LOGARITHMIC


def _named(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{k} {_literal(v)}" for k, v in options.items()) or "the only one"


def _minutes(seconds: float) -> str | None:
    """As a clock would say it, not in four digits of a part of one."""
    return f"{seconds / 60:.2f}" if math.isfinite(seconds) else None


def _literal(value: Any) -> str | None:
    """A value in a table, a dash where there is none: a path may hold stars, which are no markdown."""
    if value is None:
        return None
    return literal(value) if isinstance(value, str) and value else _text(value)


def _text(value: Any) -> str:
    return as_option(value, digits=3)
