"""What a log says, as figures: mutual information under its ceilings, gauges of collapse, whatever else was logged; spectra."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from infomax.report.figures import Panel, in_a_row, mi_panels
from infomax.report.looks import Style, plain, short, style, template
from infomax.report.markdown import literal
from infomax.report.page import Page
from infomax.training.watch.collapse import ROWS
from infomax.training.watch.frames import Frames
from infomax.training.watch.monitor import TAU

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

Histories = Mapping[str, Sequence[Mapping[str, float]]]
"""Rows of a run's log, one an epoch, by the name of the run."""

ESTIMATES = {"dv": "cos-DV", "infonce": "InfoNCE", "jsd": "JSD, raw"}
OPTIMISATION = {
    "loss": ("loss", "as the method defines it"),
    "lr": ("learning rate", ""),
    "seconds": ("seconds an epoch", "s"),
}
ONLINE = {"online_probe": "linear probe beside the run", "online_knn": "kNN beside the run"}
MEANS = ("loss", "bound")  # over the updates of an epoch
_DRAWN = {"epoch", "skipped", "bound", "effective_rank", "std", "online_n", *OPTIMISATION}
_DRAWN |= {f"{key}{end}" for key in ONLINE for end in ("", "_se")}
_DRAWN |= {f"{part}_{name}" for part in ("mi", "ceiling") for name in ESTIMATES}
SPECTRA = 6  # epochs of a spectrum
SHARES = {0.0: "start", 0.25: "a quarter", 0.5: "half", 0.75: "three quarters", 1.0: "end"}
"""Lines of the spectra of runs that have too few epochs in common, by how much of a run is done."""
SHORT = 10  # rows of a log, below which its curves tell little of how they ran


class _Logs:
    """Columns of several logs over the epochs of all of them; what a log lacks is NaN."""

    def __init__(self, histories: Histories) -> None:
        self.rows = {
            name: _of_whole({float(row["epoch"]): row for row in rows if "epoch" in row})
            for name, rows in histories.items()
        }
        self.epochs = sorted({epoch for rows in self.rows.values() for epoch in rows})

    def column(self, name: str, key: str) -> list[float]:
        return [_number(self.rows[name].get(epoch, {}).get(key)) for epoch in self.epochs]

    def has(self, key: str) -> bool:
        return any(key in row for rows in self.rows.values() for row in rows.values())

    def others(self) -> list[str]:
        """Columns that no figure knows, but for the edges of intervals."""
        keys = dict.fromkeys(key for rows in self.rows.values() for row in rows.values() for key in row)
        numbers = [k for k in keys if k not in _DRAWN and not k.endswith(("_lo", "_hi", "_ceiling", "_saturated"))]
        return [k for k in numbers if any(math.isfinite(v) for name in self.rows for v in self.column(name, k))]

    def panel(
        self, key: str, title: str, unit: str, ceilings: Mapping[str, float] | None = None, *, from_zero: bool = False
    ) -> Panel:
        edges = {
            name: (self.column(name, f"{key}_lo"), self.column(name, f"{key}_hi"))
            for name in self.rows
            if self.has(f"{key}_lo")
        }
        curves = {name: self.column(name, key) for name in self.rows}
        return Panel(curves, title, ceilings or {}, None, unit, edges, from_zero=from_zero)

    def accuracy(self, key: str) -> Panel:
        """An accuracy on test samples, with its binomial standard error as a band."""
        values = {name: self.column(name, key) for name in self.rows}
        errors = {name: self.column(name, f"{key}_se") for name in self.rows}
        edges = {
            name: (
                [v - e for v, e in zip(column, errors[name], strict=True)],
                [v + e for v, e in zip(column, errors[name], strict=True)],
            )
            for name, column in values.items()
        }
        return Panel(values, ONLINE[key], {}, None, "% of test samples", edges)

    def ceilings(self, key: str) -> dict[str, float]:
        """The last ceiling of every log: one where they agree, else each with its name."""
        last = {}
        for name in self.rows:
            known = [v for v in self.column(name, f"ceiling_{key}") if math.isfinite(v)]
            if known:
                last[name] = known[-1]
        if len({f"{v:.6g}" for v in last.values()}) <= 1:
            return dict.fromkeys(["ceiling"], next(iter(last.values()))) if last else {}
        if len(last) > 3:
            return {"lowest ceiling": min(last.values()), "highest ceiling": max(last.values())}
        return {f"ceiling, {short(style(name).label, 22)}": v for name, v in last.items()}


def mi_and_gauges(page: Page, histories: Histories, styles: Mapping[str, Style] | None = None) -> Page:
    """Add the curves: mutual information with its ceilings and intervals, the gauges of collapse, and what else there is.

    Args:
        page: to which they are added.
        histories: by name; what is no finite number is not drawn.
        styles: how each is drawn; by default as its method.
    """
    logs = _Logs(histories)
    if not logs.epochs:
        return page.text("There is no curve yet: not one epoch has ended.")

    def draw(panels: Sequence[Panel], caption: str) -> None:
        page.figure(mi_panels(panels, epochs=logs.epochs, styles=styles), caption)

    within = {name: max(rows) for name, rows in logs.rows.items() if rows and not max(rows).is_integer()}
    if within:
        who = " " if len(logs.rows) == 1 else " of " + ", ".join(literal(name) for name in within) + " "
        after = ", ".join(f"{epoch:g}" for epoch in within.values())
        page.text(
            f"The log{who}ends within an epoch, after {after}. Loss and bound are means over an epoch: of a part of one they "
            "are drawn only where no whole one came before."
        )
    shaded = " The shaded band is the reading's 95 % interval." if logs.has("mi_infonce_lo") else ""
    draw(
        [
            logs.panel(f"mi_{key}", f"{name}, cos/{TAU:g}", "nats", logs.ceilings(key))
            for key, name in ESTIMATES.items()
        ],
        f"Mutual information between the two branches, read with the critic cos/{TAU:g} on views that stay the same "
        f"throughout.{shaded} A curve at its ceiling says that the estimate is saturated, not that the information is. "
        "A bound below zero is loose, and says nothing against the run. JSD is no estimate: it is always below zero.",
    )
    draw(
        [
            logs.panel("effective_rank", "effective rank", "dimensions", from_zero=True),
            logs.panel("std", "std of the unit embedding x sqrt(D)", "", {"open": 1.0}, from_zero=True),
            logs.panel("bound", "the objective's own bound", "nats (weights included)"),
        ],
        "Gauges of collapse. That the rank falls, fastest in the first epochs, is normal: an untrained network spreads noise "
        "over many directions, a trained one keeps those that the two views share. A collapse takes std towards 0, or the "
        "rank to one or a handful while information is lost, or never comes. The bounds of different methods do not compare.",
    )
    more = [logs.panel(key, said, unit) for key, (said, unit) in OPTIMISATION.items() if logs.has(key)]
    online = [key for key in ONLINE if logs.has(key)]
    more += [logs.accuracy(key) for key in online]
    more += [logs.panel(key, key, "") for key in logs.others()]
    if more:
        error = (
            " The band of an accuracy is its binomial standard error: nothing is to be chosen by it." if online else ""
        )
        draw(more, f"Optimisation, and whatever else was logged.{error}")
    return page


def within_epochs(
    page: Page, histories: Histories, readings: Histories, styles: Mapping[str, Style] | None = None
) -> Page:
    """Add what the watch over a collapse read off batches under way, where the log of a run has few rows.

    Args:
        page: to which it is added.
        histories: rows of the logs, by name.
        readings: rows of the watch by name, in order; of a run that has none, nothing.
        styles: how each is drawn; by default as its method.
    """
    logs = _Logs({name: rows for name, rows in readings.items() if len(rows) > 1})
    if not logs.epochs or not any(0 < len(histories[name]) < SHORT for name in logs.rows):
        return page
    panels = [
        logs.panel("mi_infonce", f"InfoNCE, cos/{TAU:g}, of a batch", "nats"),
        logs.panel("effective_rank", "effective rank, centred", "dimensions", from_zero=True),
        logs.panel("std", "std of the unit embedding x sqrt(D)", "", {"open": 1.0}, from_zero=True),
    ]
    return page.figure(
        mi_panels(panels, epochs=logs.epochs, styles=styles),
        f"Within the epochs: what the watch over a collapse read, of {ROWS} samples at most of a batch under way, most densely "
        "in the first fifth of a run. Each is of other samples in new views, with batch norms as they train, so that they are "
        "noisy, and do not compare with the curves above. Of SDMI's two encoders it is the first.",
    )


def spectra(frames: Mapping[str, Frames]) -> "Figure":
    """Eigenvalues of the unit embedding's covariance, a panel a run, a line an epoch, early ones pale.

    Runs of other lengths that have many epochs between them have a line a share of the run in its place: its start, its half.

    Args:
        frames: by name.
    """
    from plotly.graph_objects import Scatter
    from plotly.subplots import make_subplots

    columns = in_a_row(len(frames))
    rows = -(-len(frames) // columns)
    named: set[str] = set()
    figure = make_subplots(
        rows,
        columns,
        subplot_titles=[plain(short(name)) for name in frames],
        shared_yaxes="all",
        vertical_spacing=0.3 / rows,
    )
    for k, (kept, lines) in enumerate(zip(frames.values(), _lines([f.epochs for f in frames.values()]), strict=True)):
        for place, (name, share) in lines.items():
            epoch = kept.epochs[place]
            values = kept.spectra[place].tolist()
            floor = max(values[0], 1e-12) * 1e-7  # below that lies rounding
            figure.add_trace(
                Scatter(
                    x=list(range(1, len(values) + 1)),
                    y=[v if v > floor else None for v in values],
                    name=name,
                    mode="lines+markers" if len(values) < 20 else "lines",
                    line={"color": _mixed(share), "width": 1.5 + 1.2 * share},
                    legendgroup=name,
                    legendrank=round(1000 * share) + 1,
                    showlegend=name not in named,
                    hovertemplate=f"epoch {epoch:g}, eigenvalue %{{x}}: %{{y:.3g}}<extra></extra>",
                ),
                k // columns + 1,
                k % columns + 1,
            )
            named.add(name)
    drawn = [v for trace in figure.data for v in trace.y if v is not None]
    wide = bool(drawn) and math.log10(max(drawn) / min(drawn)) >= 2.5
    # Left to itself plotly marks every digit of a decade, one on the other.
    figure.update_yaxes(type="log", tickformat="~g", dtick=1 if wide else "D2")
    figure.update_yaxes(title_text="eigenvalue", title_standoff=6, col=1)
    most = max(kept.spectra[0].numel() for kept in frames.values())
    figure.update_xaxes(title_text="eigenvalue number", title_standoff=4, dtick=1 if most < 12 else None)
    height = 340 * rows + 110
    return figure.update_layout(
        template=template(), height=height, legend={"y": -72 / (height - 154)}, margin={"t": 50, "b": 104},
        meta={"min_width": 300 * columns},
    )  # fmt: skip


def _lines(epochs: Sequence[Sequence[float]]) -> list[dict[int, tuple[str, float]]]:
    """Of each run the places among its epochs that are drawn, in order: their names in one legend, and their colours.

    Args:
        epochs: of each run, ascending.
    """
    known = sorted({epoch for of_run in epochs for epoch in of_run})
    if len(known) <= SPECTRA or all(list(of_run) == known for of_run in epochs):
        asked = [known[round(j * (len(known) - 1) / (SPECTRA - 1))] for j in range(SPECTRA)]
        span = max(known[-1] - known[0], 1e-9)
        return [
            {n: (f"epoch {e:g}", (e - known[0]) / span) for n, e in enumerate(of_run) if e in asked}
            for of_run in epochs
        ]
    made = []
    for of_run in epochs:
        drawn: dict[int, tuple[str, float]] = {}
        for share in sorted(SHARES, key=lambda s: s % 1):  # both ends first: of a short run they are all there is
            wanted = of_run[0] + share * (of_run[-1] - of_run[0])
            drawn.setdefault(min(range(len(of_run)), key=lambda n: abs(of_run[n] - wanted)), (SHARES[share], share))
        made.append(dict(sorted(drawn.items())))
    return made


def _mixed(share: float) -> str:
    """From grey to vermilion, legible on light and dark."""
    early, late = (150, 160, 170), (213, 94, 0)
    return "rgb({},{},{})".format(*(round(a + (b - a) * share) for a, b in zip(early, late, strict=True)))


def _of_whole(rows: Mapping[float, Mapping[str, float]]) -> dict[float, Mapping[str, float]]:
    """Rows by epoch; one of a part of an epoch, be it a single update, without what is a sum or a mean over an epoch.

    A spike or a drop at the end of such a curve would say nothing. A log without a whole epoch before keeps its means.
    """
    first = min((epoch for epoch in rows if epoch.is_integer() and epoch > 0), default=math.inf)
    made: dict[float, Mapping[str, float]] = {}
    for epoch, row in rows.items():
        out = () if epoch.is_integer() else ("seconds", *MEANS) if epoch > first else ("seconds",)
        made[epoch] = {key: value for key, value in row.items() if key not in out}
    return made


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
