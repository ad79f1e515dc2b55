"""Figs. 2 and 7 as pictures and as one page."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from infomax.report import Page, Panel, mi_panels, style
from infomax.report.looks import png
from infomax.studies.curves.judge import ESTIMATORS, Floats, curve, grouped, label, last
from infomax.studies.curves.plan import JMI_FAMILY, LABELS, SDMI_FAMILY
from infomax.studies.page import with_settings
from infomax.studies.verdict import FAILS, HOLDS, OPEN, VERDICTS, judged, shown
from infomax.words import many

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GAUGES = {"std": "std of the unit embedding x sqrt(D)", "effective_rank": "effective rank"}
READING = (
    "SDMI methods are read between f and g (the moving average of BYOL and MoCo v3), SimSiam between this epoch's encoder and "
    "that of the epoch before (paper, 4.2), JMI methods between f and f; critic cos/0.1 behind the projector, N = {n} "
    "samples with views that stay the same. Epoch 0 is the untrained network, its batch norms at these views' statistics."
)


RULE = (
    "A claim holds where every difference that it says is positive lies above 0 beyond its interval (Student's t, 95 %), and "
    "does not where one lies below by as much at a level divided by how many there are; else so many seeds cannot tell."
)


def claim_row(c: Mapping[str, Any]) -> dict[str, Any]:
    """A claim as it stands in a table."""
    row = {"claim": c["claim"], "where": c["source"], "verdict": c["verdict"], "measured": c["measured"]}
    return row | {"judged by": judged(c), "note": c["note"]}


COLUMNS = (
    ("linear", "linear", 2),
    ("linear_g", "linear, g", 2),
    ("knn", "kNN", 2),
    ("mi_dv", "cos-DV", 2),
    ("mi_infonce", "InfoNCE", 2),
    ("mi_jsd", "JSD", 2),
    ("mi_predicted", "InfoNCE through the predictor", 2),
    ("std", "std", 2),
    ("effective_rank", "effective rank", 1),
)


def fig2_png(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Three estimators by two families: mean ± sd over seeds under each ceiling."""
    runs = grouped(rows)
    figure, grid = _figure(15, 8.4, 2, 3)
    for r, family in enumerate((SDMI_FAMILY, JMI_FAMILY)):
        for axes, (key, name) in zip(grid[r], ESTIMATORS.items(), strict=True):
            for m in family:
                if m in runs:
                    _band(axes, m, curve(runs[m], f"mi_{key}"))
            some = next(iter(runs.values()))[0]["history"][-1]
            _ceiling(axes, some[f"ceiling_{key}"])
            axes.set_title(f"{name} ({'SDMI' if r == 0 else 'JMI'} methods)", fontsize=11)
            axes.set_ylabel("nats")
        grid[r][-1].legend(frameon=False, fontsize=9)
    return png(figure, 100)


def fig7_png(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Linear probe and gauges of every ablation, f and g, mean ± sd over seeds."""
    runs = grouped(rows)
    figure, (bars,) = _figure(15, 4.8, 1, 3)
    keys = {
        "linear": ("linear probe, %", "linear_g"),
        "std": (GAUGES["std"], "std_g"),
        "effective_rank": ("effective rank", "rank_g"),
    }
    for axes, (key, (title, key_g)) in zip(bars, keys.items(), strict=True):
        for k, (name, each) in enumerate(runs.items()):
            read = [which for which in (key, key_g) if which in each[0] or which in each[0]["history"][-1]]
            for n, which in enumerate(read):
                at = 0.4 * (n - (len(read) - 1) / 2)  # beside the name, whether there are two or one
                values = last(each, which)
                sd = float(values.std(ddof=1)) if len(values) > 1 else 0.0
                alpha = 1.0 if which == key else 0.45
                axes.barh(
                    k + at,
                    values.mean(),
                    0.38,
                    xerr=sd,
                    color=style(name.split("_")[0]).colour,
                    alpha=alpha,
                    ecolor="#333",
                )
                axes.text(
                    0.99,
                    k + at,
                    f"{values.mean():.2f}",
                    transform=axes.get_yaxis_transform(),
                    va="center",
                    ha="right",
                    fontsize=8,
                )
        axes.set_yticks(range(len(runs)), [label(n) for n in runs] if key == "linear" else [""] * len(runs))
        axes.invert_yaxis()
        axes.set_xlim(0, 1.2 * axes.get_xlim()[1])  # room for the numbers
        if key == "linear":
            axes.set_xticks(range(0, 101, 20))
        axes.set_title(title, fontsize=11)
    figure.suptitle("Solid: f; pale: g. Mean ± sd over seeds")
    return png(figure, 100)


def page(title: str, results: Mapping[str, Any], pictures: Mapping[str, bytes]) -> Page:
    """Lay a study out.

    Args:
        title: of the page.
        results: what `results.json` holds.
        pictures: name -> PNG.
    """
    runs, settings = grouped(results["rows"]), results["settings"]
    counts = {v: sum(c["verdict"] == v for c in results["claims"]) for v in VERDICTS}
    out = Page(
        title,
        f"{settings['data']}, {many(settings['epochs'], 'epoch')}, {many(settings['seeds'], 'seed')}: "
        f"of {many(len(results['claims']), 'claim')} "
        f"{counts[HOLDS]} hold, {counts[FAILS]} do not, {counts[OPEN]} are not decidable here.",
    )
    some = next(iter(runs.values()))[0]["history"]
    epochs = [row["epoch"] for row in some]
    panels = [
        Panel(
            {LABELS.get(m, m): curve(r, f"mi_{key}") for m, r in runs.items()},
            f"{name}, cos/0.1",
            {"ceiling": some[-1][f"ceiling_{key}"]},
        )
        for key, name in ESTIMATORS.items()
    ]
    panels += [
        Panel({LABELS.get(m, m): curve(r, key) for m, r in runs.items()}, said, unit="") for key, said in GAUGES.items()
    ]
    out.section("Over training").text(READING.format(n=settings["gauged"]))
    out.figure(
        mi_panels(panels, epochs=epochs),
        "Mean and one sd over seeds, under each estimate's ceiling. JSD is no estimate of MI: it is never positive.",
    )
    out.section("At the end").table(
        [_row(name, each) for name, each in runs.items()],
        "Accuracies of the frozen encoder in percent, mean ± sd over seeds; of SDMI also of g.",
    )
    failed = [r for r in results["rows"] if "error" in r]
    if failed:
        out.table(
            [{"failed": f"{r['name']}, seed {r['seed']}", "error": r["error"]} for r in failed],
            "Runs that ended in an error.",
        )
    if results["claims"]:
        out.section("Claims").table([claim_row(c) for c in results["claims"]], RULE)
    out.section("Pictures")
    for name, picture in pictures.items():
        out.image(picture, f"`{name}`")
    return with_settings(out, dict(results) | {"settings": settings_told(results)})


def settings_told(results: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as a reader takes them: `samples` by how many there were, where data have no more than were asked for.

    Example:
        >>> settings_told({"settings": {"samples": 2000}, "rows": [{"samples": 1442}]})
        {'samples': '1442 (all; at most 2000)'}
    """
    told = dict(results["settings"])
    asked, counts = told.get("samples"), [row["samples"] for row in results["rows"] if "samples" in row]
    there = told.pop("trained_on", max(counts, default=asked))
    if "samples" in told and asked != there:
        told["samples"] = f"{there} (all{'' if asked is None else f'; at most {asked}'})"
    return told


def _row(name: str, runs: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    row = {"": label(name)}
    for key, said, digits in COLUMNS:
        if key in runs[0] or key in runs[0]["history"][-1]:
            row[said] = shown(last(runs, key), digits)
    shares = [r["flagged"] for r in runs if r["flagged"] is not None]
    row["flagged as collapsing"] = f"{len(shares)} of {len(runs)}" + (
        f", after {max(shares):.0%} of the run" if shares else ""
    )
    return row


def _band(axes: "Axes", name: str, values: Floats) -> None:
    look, x, mean = style(name), np.arange(values.shape[1]), values.mean(0)
    sd = values.std(0, ddof=1) if len(values) > 1 else np.zeros_like(mean)
    axes.plot(x, mean, color=look.colour, label=f"{look.label} {mean[-1]:.2f}", linewidth=1.7)
    axes.fill_between(x, mean - sd, mean + sd, color=look.colour, alpha=0.18, linewidth=0)


def _ceiling(axes: "Axes", value: float) -> None:
    low, high = axes.get_ylim()
    if value <= high + (high - low) and math.isfinite(value):
        axes.axhline(value, color="#87919C", linestyle="--", linewidth=1.2)
        axes.text(0.01, value, f"ceiling {value:.2f}", transform=axes.get_yaxis_transform(), va="bottom", fontsize=8)
    else:
        axes.text(0.01, 0.98, f"↑ ceiling {value:.2f}", transform=axes.transAxes, va="top", fontsize=8)


def _figure(width: float, height: float, rows: int, columns: int) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlabel("epoch" if rows > 1 else "")
    return figure, grid
