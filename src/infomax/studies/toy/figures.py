"""The paper's figures as PNG files."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from infomax.report import style
from infomax.report.looks import CLASSES, NEUTRAL
from infomax.studies.curves.plan import SDMI_FAMILY
from infomax.studies.toy.jobs import ABLATIONS
from infomax.studies.toy.results import COLUMNS, ESTIMATORS, PAPER, ROWS, row_of
from infomax.studies.toy.train import Arrays
from infomax.studies.toy.world import TRUE_MI
from infomax.words import many

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]

ABLATION_NAMES = {
    "sdmi": "SDMI",
    "sdmi_nodv": "SDMI-NoDV",
    "sdmi_nodv_pred": "SDMI-NoDV-Pred",
    "simsiam": "SimSiam",
    "simsiam_no_predictor": "SimSiam, no predictor",
    "simsiam_sdmi": "SimSiam-SDMI",
}
BOTTOM, TOP = -0.3, 1.9
"""Nats shown of an MI estimate: a curve may start far below, and a ceiling lie far above, and both would press it flat."""
_DASH = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-."}
_EYE = np.array([1.0, 1.0, 0.65]) / math.sqrt(1 + 1 + 0.65**2)  # where the interactive spheres are looked at from


def facing(path: npt.ArrayLike) -> Floats:
    """Turn a trajectory as one, so that the plane in which its last centres spread most is seen from the front.

    Args:
        path: E C 3.

    Example:
        >>> turned = facing(np.random.default_rng(0).normal(size=(4, 5, 3)))
        >>> turned.shape
        (4, 5, 3)
    """
    p = np.asarray(path, dtype=float)
    _, _, axes = np.linalg.svd(p[-1] - p[-1].mean(0))
    right = np.cross([0.0, 0.0, 1.0], _EYE)
    right /= np.linalg.norm(right)
    seen = np.stack([right, np.cross(_EYE, right), _EYE])
    turned: Floats = p @ axes.T @ seen
    return turned if (p[-1] @ axes.T @ seen @ _EYE).sum() >= 0 else p @ (axes * [[1], [-1], [-1]]).T @ seen


def typical(runs: Mapping[str, Arrays]) -> int:
    """The seed whose gaps lie nearest to the mean over seeds, summed over the rows of table 3."""
    away = np.zeros(runs["sdmi"]["gaps_f"].shape[1])
    for row in ROWS:
        arrays, side = row_of(row, runs)
        mean = arrays[f"gaps_{side}"][0]
        away += np.abs(mean - mean.mean())
    return int(away.argmin())


def snapshots(epochs: int) -> list[int]:
    """The paper's epochs 1, 5, 20, 70 and 100 of 100, in proportion.

    Example:
        >>> snapshots(100), snapshots(5)
        ([1, 5, 20, 70, 100], [1, 4, 5])
    """
    return sorted({max(1, round(epochs * share)) for share in (0.01, 0.05, 0.2, 0.7, 1.0)})


def trajectories(runs: Mapping[str, Arrays], seed: int) -> "Figure":
    """Fig. 3: the paths of the five centres on the sphere, fading in over training."""
    from matplotlib.colors import to_rgba
    from mpl_toolkits.mplot3d.art3d import Line3DCollection

    figure = _figure(15, 6.6)
    for k, row in enumerate(ROWS):
        arrays, side = row_of(row, runs)
        path = facing(arrays[f"centres_{side}"][seed])
        axes = figure.add_subplot(2, 5, k + 1, projection="3d")
        _globe(axes)
        for c in range(5):
            ways = [_arc(*path[e : e + 2, c]) for e in range(len(path) - 1)]
            shades = [to_rgba(CLASSES[c], alpha) for alpha in np.linspace(0.12, 1.0, len(ways))]
            axes.add_collection3d(Line3DCollection(ways, colors=shades, linewidths=1.6))
            axes.scatter(*path[-1, c], color=CLASSES[c], s=42, depthshade=False)
        gap = arrays[f"gaps_{side}"][:, seed]
        axes.set_title(f"{style(row).label}\nmean gap {gap[0]:.1f}°, min {gap[1]:.1f}°", fontsize=11, y=1.03)
    figure.suptitle(
        f"Trajectories of the five cluster centres, untrained to trained (seed {seed}; each sphere turned to face)"
    )
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=0.83, wspace=0.02, hspace=0.3)
    return figure


def centres(runs: Mapping[str, Arrays], seed: int, epochs: int) -> "Figure":
    """Fig. 4: the centres under both encoders of SDMI at five epochs."""
    shown = snapshots(epochs)
    figure = _figure(3 * len(shown), 6.4)
    arrays = runs["sdmi"]
    # one turn for both encoders, so that their agreement can be seen
    both = facing(np.concatenate([arrays["centres_g"][seed], arrays["centres_f"][seed]]))
    paths = {"g": both[: epochs + 1], "f": both[epochs + 1 :]}
    for r, side in enumerate(("f", "g")):
        for c, epoch in enumerate(shown):
            axes = figure.add_subplot(2, len(shown), r * len(shown) + c + 1, projection="3d")
            _globe(axes)
            for k in range(5):
                x, y, z = paths[side][epoch, k]
                axes.plot([0, x], [0, y], [0, z], color=CLASSES[k], linewidth=1.2, alpha=0.6)
                axes.scatter(x, y, z, color=CLASSES[k], s=50, depthshade=False)
            axes.set_title(f"encoder {side}, epoch {epoch}", fontsize=11, y=1.03)
    figure.suptitle(f"SDMI: the five centres under both encoders (seed {seed})")
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=0.85, wspace=0.02, hspace=0.2)
    return figure


def mi(curves: Mapping[str, Any], ceilings: Mapping[str, float], title: str, n: int) -> "Figure":
    """Figs. 5 and 6: MI over training by three estimators, SDMI family above, JMI family below."""
    figure = _figure(14, 7.6)
    tau = next(iter(curves.values()))["dv"]["tau"]
    grid = figure.subplots(2, 3, sharex=True, sharey="col")
    for r, family in enumerate((SDMI_FAMILY, tuple(m for m in curves if m not in SDMI_FAMILY))):
        for axes, (estimator, name) in zip(grid[r], ESTIMATORS.items(), strict=True):
            for method in family:
                _curve(axes, method, curves[method][estimator])
            levels = [(f"ceiling, N = {n}", ceilings[estimator], "--")]
            if estimator != "jsd":
                levels.append(("true MI", TRUE_MI, ":"))
            if estimator == "dv":
                levels.append(("aligned, uniform sphere", ceilings["dv_sphere"], "-."))
            means = np.array([curve[estimator]["mean"] for curve in curves.values()], dtype=float)
            low, high = (float(np.nanmin(means)), float(np.nanmax(means)))
            limits = (low, high + 0.25 * (high - low)) if estimator == "jsd" else (BOTTOM, TOP)
            _levels(axes, levels, *limits)
            axes.legend(frameon=False, fontsize=9, loc="lower right", title="at the end", title_fontsize=9)
            axes.set_title(f"{name}, temperature {tau:g}", fontsize=11)
            if r:
                axes.set_xlabel("epoch")
        grid[r][0].set_ylabel(("SDMI" if r == 0 else "JMI") + " family\nnats")
        grid[r][2].set_ylabel("JSD, its own unit")
    figure.suptitle(title)
    figure.tight_layout()
    return figure


def ablations(table: Mapping[str, Any]) -> "Figure":
    """Fig. 7 on this data: how far open the embedding stays, with and without the last batch norm."""
    figure = _figure(14, 7.4)
    gauges = {
        "std_f": "spread of the unit embeddings (1: open, 0: a point)",
        "effective_rank_f": "effective rank (of 3)",
        "min_gap_f": "min gap, degrees",
    }
    grid = figure.subplots(2, 3)
    for r, (variant, said) in enumerate(
        (("standard", "the paper's encoder"), ("no_last_norm", "without the last batch norm"))
    ):
        for axes, (gauge, label) in zip(grid[r], gauges.items(), strict=True):
            for k, name in enumerate(ABLATIONS):
                entry, look = table[variant][name][gauge], style(name.split("_")[0])
                full = name in ("sdmi", "simsiam")
                axes.barh(
                    k,
                    entry["mean"],
                    xerr=entry["sd"] or 0,
                    color=look.colour,
                    alpha=1.0 if full else 0.55,
                    ecolor="#333",
                )
                axes.text(0.985, k, f"{entry['mean']:.2f}" if gauge != "min_gap_f" else f"{entry['mean']:.1f}",
                          transform=axes.get_yaxis_transform(), va="center", ha="right", fontsize=9)  # fmt: skip
            axes.set_yticks(
                range(len(ABLATIONS)), [ABLATION_NAMES[a] for a in ABLATIONS] if gauge == "std_f" else [""] * 6
            )
            axes.invert_yaxis()
            axes.set_title(label if r == 0 else "", fontsize=11)
            axes.set_xlim(*{"std_f": (0, 1.25), "effective_rank_f": (1, 3.6), "min_gap_f": (0, 110)}[gauge])
        grid[r][0].set_ylabel(said)
    figure.suptitle("Ablations: taking out the marginal, and putting something in its place (mean ± sd over seeds)")
    figure.tight_layout()
    return figure


def bars(table: Mapping[str, Any]) -> "Figure":
    """Table 3 as bars, the paper's numbers beside."""
    figure = _figure(13, 6.4)
    axes = figure.add_subplot()
    width = 0.2
    for c, (column, shade) in enumerate(zip(COLUMNS, (1.0, 0.7, 0.45, 0.25), strict=True)):
        for k, row in enumerate(ROWS):
            entry, x = table[row][column], k + (c - 1.5) * width
            axes.bar(
                x,
                entry["mean"],
                width * 0.92,
                yerr=entry["sd"] or 0,
                color=style(row).colour,
                alpha=shade,
                ecolor="#333",
            )
            if row in PAPER:
                axes.plot(x, PAPER[row][c], "D", color="black", markersize=5.5, markerfacecolor="white", zorder=5)
    axes.set_xticks(range(len(ROWS)), [style(row).label for row in ROWS])
    axes.set_ylabel("nearest-neighbour angle gap, degrees")
    seeds = table["jmi"]["mean_gap"]["n"]
    legend = [
        (s, n)
        for s, n in zip((1.0, 0.7, 0.45, 0.25), ("mean gap", "min gap", "max gap", "sd of the gaps"), strict=True)
    ]
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [Patch(facecolor="#444", alpha=s, label=n) for s, n in legend]
    handles.append(
        Line2D([], [], marker="D", color="black", markerfacecolor="white", linestyle="", label="the paper, one run")
    )
    axes.legend(handles=handles, frameon=False, ncols=5, loc="upper center", bbox_to_anchor=(0.5, -0.07))
    axes.set_title(f"Table 3: angle from each centre to its nearest neighbour (mean ± sd over {many(seeds, 'seed')})")
    figure.tight_layout()
    return figure


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


def _globe(axes: Any) -> None:
    u, v = np.mgrid[0 : 2 * math.pi : 25j, 0 : math.pi : 13j]
    axes.plot_wireframe(
        np.cos(u) * np.sin(v), np.sin(u) * np.sin(v), np.cos(v), color=NEUTRAL, linewidth=0.3, alpha=0.45
    )
    axes.set_axis_off()
    axes.set_box_aspect((1, 1, 1), zoom=1.5)
    axes.set(xlim=(-1, 1), ylim=(-1, 1), zlim=(-1, 1))
    axes.view_init(elev=math.degrees(math.asin(_EYE[2])), azim=45)


def _arc(a: Floats, b: Floats) -> Floats:
    """Points of the great circle from a to b: a chord would cut through the sphere."""
    steps = max(2, math.ceil(math.acos(max(-1.0, min(1.0, float(a @ b)))) / 0.1) + 1)
    share = np.linspace(0, 1, steps)[:, None]
    line: Floats = (1 - share) * a + share * b
    line /= np.maximum(np.linalg.norm(line, axis=1, keepdims=True), 1e-9)
    return line


def _curve(axes: "Axes", method: str, curve: Mapping[str, Sequence[float | None]]) -> None:
    mean, sd = (np.array([math.nan if v is None else v for v in curve[k]]) for k in ("mean", "sd"))
    look, x = style(method), np.arange(len(mean))
    axes.plot(x, mean, _DASH[look.dash], color=look.colour, label=f"{look.label} {mean[-1]:.3f}", linewidth=1.8)
    axes.fill_between(x, mean - np.nan_to_num(sd), mean + np.nan_to_num(sd), color=look.colour, alpha=0.16, linewidth=0)


def _levels(axes: "Axes", levels: Iterable[tuple[str, float, str]], low: float, high: float) -> None:
    above = []
    for name, value, dash in levels:
        if value <= high:
            axes.axhline(value, color=NEUTRAL, linestyle=dash, linewidth=1.3)
            axes.text(
                0.01, value, f"{name}: {value:.4f}", transform=axes.get_yaxis_transform(), va="bottom", fontsize=8
            )
        else:
            above.append(f"{name}: {value:.4f}")
    if above:
        axes.text(0.01, 0.98, "↑ " + ", ".join(above), transform=axes.transAxes, ha="left", va="top", fontsize=8)
    axes.set_ylim(low, high)
