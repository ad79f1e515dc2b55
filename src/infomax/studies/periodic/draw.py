"""The table as a picture and as a page."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from infomax.finite import finite_or_none
from infomax.report import Page, looks
from infomax.studies.curves.page import RULE, claim_row
from infomax.studies.page import with_settings
from infomax.studies.periodic import collapsed, failed, sentence_of, values
from infomax.studies.periodic.grammar import JOINTS, TARGETS, marginals_of
from infomax.studies.verdict import shown
from infomax.words import many

SHORT = {
    "TaylorDonskerVaradhan": "Taylor-DV",  # before the name that it contains
    "DonskerVaradhan": "DV",
    "VarianceCovariance": "Var/Cov",
    "Decorrelation": "Decorr.",
}


def _grid(results: Mapping[str, Any]) -> tuple[list[str], list[str], dict[tuple[str, str], Mapping[str, Any]]]:
    """Rows, columns, and the cells by both; rows that cannot be said at all are left out."""
    cells = list(results["cells"])
    sayable = {marginals_of(sentence_of(c)) for c in cells if c["invalid"] is None}
    rows = [r for r in dict.fromkeys(marginals_of(sentence_of(c)) for c in cells) if r in sayable]
    columns = [f"{j} {t}" for j in JOINTS for t in TARGETS]
    return rows, columns, {(marginals_of(sentence_of(c)), f"{c['joint']} {c['target']}"): c for c in cells}


def short(row: str) -> str:
    """A row's name where there is little room."""
    for name, brief in SHORT.items():
        row = row.replace(name, brief)
    return row


def png(results: Mapping[str, Any], score: str) -> bytes:
    """Rows: marginals; columns: joint and target. Colour: the score; a name where there is one."""
    from matplotlib.figure import Figure

    rows, columns, cells = _grid(results)
    shade = np.array([[_mean(cells.get((r, c)), score) for c in columns] for r in rows], dtype=float)
    figure = Figure(figsize=(21, 2.2 + 0.42 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    low, high = _shades(shade)
    drawn = axes.imshow(np.ma.masked_invalid(shade), cmap="YlGnBu", vmin=low, vmax=high, aspect="auto")
    for i, r in enumerate(rows):
        for j, c in enumerate(columns):
            text, look = _text(cells.get((r, c)), score)
            ink = _ink(finite_or_none(shade[i, j]), low, high)
            axes.text(j, i, text, ha="center", va="center", fontsize=7.5, color=ink, **look)
    axes.set_yticks(range(len(rows)), [short(r) for r in rows])
    axes.set_xticks(range(len(columns)), [c.split()[1] for c in columns], rotation=30, ha="right")
    for k, joint in enumerate(JOINTS):
        axes.text(len(TARGETS) * k + 1.5, -1.1, f"joint: {joint}", ha="center", fontsize=12)
        axes.axvline(len(TARGETS) * k - 0.5, color="white", linewidth=4)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    figure.colorbar(drawn, ax=axes, label=results["settings"]["score"], shrink=0.5, pad=0.01)
    axes.set_title(
        "bold: a method that has a name; number: one that has none; ×: the embedding collapsed; !: failed; ·: cannot be said",
        pad=46, fontsize=11,
    )  # fmt: skip
    return looks.png(figure, 80)


def _shades(shade: Any) -> tuple[float, float]:
    """The ends of the colours: the lowest tenth shares one, or the collapsed cells would take them all."""
    known = shade[np.isfinite(shade)]
    low, high = np.quantile(known, [0.1, 1.0]) if known.size else (0.0, 1.0)
    return float(low), float(high)


def _ink(value: float | None, low: float, high: float) -> str:
    """Of what is written on a colour: what stands on none is read on light and on dark pages."""
    if value is None:
        return looks.NEUTRAL
    return "#ffffff" if value > low + 0.6 * (high - low) else "#222222"


def _mean(cell: Mapping[str, Any] | None, score: str) -> float:
    found = [] if cell is None else values(cell, score)
    return float(np.mean(found)) if found else float("nan")


def _text(cell: Mapping[str, Any] | None, score: str) -> tuple[str, dict[str, Any]]:
    if cell is None or cell["invalid"] is not None:
        return "·", {}
    mark = "!" if failed(cell) else "×" if collapsed(cell) else ""
    mean = _mean(cell, score)
    number = f"{mark}{mean:.1f}" if np.isfinite(mean) else mark
    if cell["name"] is None:
        return number, {}
    name = cell["name"].replace(", ", "\n").replace(" with ", "\nwith ")
    return f"{name}\n{number}", {"weight": "bold", "linespacing": 0.95}


def page(results: Mapping[str, Any], score: str, picture: bytes) -> Page:
    """Lay the study out.

    Args:
        results: what `results.json` holds.
        score: what cells are coloured by.
        picture: the table as a PNG.
    """
    settings, cells = results["settings"], results["cells"]
    valid = [c for c in cells if c["invalid"] is None]
    out = Page(
        "The periodic table of methods",
        f"{len(valid)} sentences of target x joint x marginals on {settings['data']}, {many(settings['seeds'], 'seed')} of "
        f"{many(settings['epochs'], 'epoch')} each: {sum(c['name'] is not None for c in valid)} have a name.",
    )
    out.section("The table").text(
        "A method is a target, a joint term and the marginals that keep its embedding open. Every sentence was trained alike "
        "and untuned, so a cell shows how it does at once, not the best it can. A cell **without a name** is no method of this "
        "package and no ablation of the paper; the literature may know it. Collapse is that of the embedding behind the "
        "projector; the accuracy is the encoder's, which can stay high where the embedding closes."
    )
    out.figure(
        _heat(results, score),
        f"Colour: {settings['score']}. ×: the embedding collapsed; !: failed; ·: cannot be said. Point at a cell for all its "
        "numbers, or for the reason why it cannot be said.",
    )
    out.image(picture, "The same as one picture: open it by itself for its full size.")
    out.section("The best, again").table(
        [_row(c) for c in sorted(results["again"], key=lambda c: -np.nan_to_num(_mean(c, score)))],
        f"{settings['best']} unnamed sentences, chosen in the first round, and all named ones: {settings['best_seeds']} "
        "fresh seeds. Mean ± sd.",
    )
    if results["claims"]:
        out.section("Claims").table([claim_row(c) for c in results["claims"]], RULE)
    out.section("Named cells").table(
        [_row(c) for c in valid if c["name"] is not None] or [{"": "none"}], "First round."
    )
    wrong = [{"sentence": str(sentence_of(c)), "error": r["error"]} for c in valid for r in c["runs"] if "error" in r]
    if wrong:
        out.section("Failed cells").table(wrong, "Runs that ended in an error; the others went on.")
    reasons: dict[str, int] = {}
    for c in cells:
        if c["invalid"] is not None:
            reasons[c["invalid"]] = reasons.get(c["invalid"], 0) + 1
    if reasons:
        out.section("What cannot be said").table([{"reason": k, "sentences": n} for k, n in reasons.items()])
    return with_settings(out, results)


def _row(cell: Mapping[str, Any]) -> dict[str, str]:
    row = {"sentence": str(sentence_of(cell)), "name": cell["name"] or "new"}
    keys = {"few": "5 labels a class, %", "linear": "linear, %", "knn": "kNN, %", "min_gap": "min gap", "std": "std",
            "effective_rank": "effective rank", "mi_dv": "cos-DV", "mi_infonce": "InfoNCE"}  # fmt: skip
    for key, said in keys.items():
        if found := values(cell, key):
            row[said] = shown(found)
    return row | {"collapsed": f"{sum(values(cell, 'collapsed')):.0f} of {len(cell['runs'])}"}


def _heat(results: Mapping[str, Any], score: str) -> Any:
    from plotly.graph_objects import Figure, Heatmap, Scatter

    rows, columns, cells = _grid(results)
    shade = [[finite_or_none(_mean(cells.get((r, c)), score)) for c in columns] for r in rows]
    said = [[_hover(cells.get((r, c))) for c in columns] for r in rows]
    written = [[_text(cells.get((r, c)), score)[0] for c in columns] for r in rows]
    text = [[t.replace("\n", "<br>") for t in line] for line in written]
    lines = max((t.count("\n") + 1 for line in written for t in line), default=1)
    low, high = _shades(np.array(shade, dtype=float))
    heat = Heatmap(
        z=shade, x=columns, y=[short(r) for r in rows], customdata=said,
        hovertemplate="%{customdata}<extra></extra>", colorscale="YlGnBu", xgap=1, ygap=1,
        zmin=low, zmax=high, colorbar={"title": {"text": results["settings"]["score"], "side": "right"}},
    )  # fmt: skip
    inks = [_ink(value, low, high) for line in shade for value in line]
    names = Scatter(
        x=[c for _ in rows for c in columns], y=[short(r) for r in rows for _ in columns], mode="text", hoverinfo="skip",
        text=[t for line in text for t in line], textfont={"size": 9, "color": inks}, showlegend=False,
    )  # fmt: skip
    figure = Figure([heat, names])
    figure.update_layout(
        template=looks.template(), height=120 + max(34, 13 * lines) * len(rows), meta={"min_width": 1300},
        xaxis={"range": [-0.5, len(columns) - 0.5]}, yaxis={"range": [len(rows) - 0.5, -0.5]},
    )  # fmt: skip
    return figure


def _hover(cell: Mapping[str, Any] | None) -> str:
    if cell is None:
        return "not asked for"
    head = f"<b>{sentence_of(cell)}</b><br>{cell['name'] or 'no name'}"
    if cell["invalid"] is not None:
        return f"{head}<br>cannot be said: {cell['invalid']}"
    errors: Sequence[str] = [r["error"] for r in cell["runs"] if "error" in r]
    numbers = [f"{k}: {v}" for k, v in _row(cell).items() if k not in ("sentence", "name")]
    return "<br>".join([head, *numbers, *errors])
