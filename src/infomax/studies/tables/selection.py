"""Tables 4 to 6: the grid of sweep-1, how many cells it has, and what sweep-1 and sweep-2 select."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from infomax.studies.tables import plan
from infomax.studies.tables.printed import LABELS, SETS, counterpart, printed
from infomax.studies.tables.sources import Source
from infomax.studies.tables.work import Asked, cost, write
from infomax.sweep.folder import Folder, Row
from infomax.sweep.grid import Cell

Grids = dict[tuple[str, str], list[Cell]]
"""(method, label of the data) -> cells of sweep-1."""

SWEPT = ("lr", "weight_decay", "temperature")


def table4(out: str | Path, **options: Any) -> dict[str, Any]:
    """Table 4: the search space of sweep-1, as printed and as run here; it runs the sweep.

    Args:
        out: folder of the tables, made anew or gone on with.
        options: of `infomax.studies.tables.work.Asked`.

    Returns:
        What table4.json holds: `cells` (each with its metrics or its error), `parts`.

    Raises:
        ConfigError, DataError: what was asked for does not exist or cannot be.
    """
    asked = Asked(out, **options)
    grids = _grids(asked)
    stands = _swept(asked, grids)
    lines = _space(grids)
    best = [_line(method, data, _ranked(cells, stands)) for (method, data), cells in grids.items()]
    parts = [
        {"heading": "Table 4: search space of sweep-1", "lines": lines, "text": _note(asked)},
        {"heading": "The best of sweep-1, by a linear probe on held-out rows of train", "lines": best},
    ]
    results = {"cells": _cells(grids, stands), **cost(Folder(asked.folder / "sweep1"), list(stands.values()))}
    return write(asked, "table4", "Table 4: sweep-1", results, parts)


def table5(out: str | Path, **options: Any) -> dict[str, Any]:
    """Table 5: how many configurations sweep-1 has of each method, counted, and how many have been run in this folder.

    Args:
        out, options: as of `table4`; nothing is trained.
    """
    asked = Asked(out, **options)
    grids = _grids(asked)
    at = Folder(asked.folder / "sweep1")
    known = {row.name: row for row in at.rows()} if (at.path / "sweep.json").is_file() else {}
    lines = []
    for (method, data), cells in grids.items():
        o = [c.options for c in cells]
        factors = [len({str(x.get(key)) for x in o}) for key in (*SWEPT, "projector")]
        ended = sum(known[c.name].state == "finished" for c in cells if c.name in known)
        lines.append(
            {
                "method": _name(method), "data": data, "temperature": "yes" if "temperature" in o[0] else "no",
                "paper": str(printed()["table5"][method]),
                "here": f"{' x '.join(str(n) for n in factors if n > 1) or 1} = {len(cells)}", "finished": str(ended),
            }
        )  # fmt: skip
    parts = [{"heading": "Table 5: configurations of sweep-1, a data set each", "lines": lines}]
    return write(asked, "table5", "Table 5: configurations of sweep-1", {}, parts)


def table6(out: str | Path, **options: Any) -> dict[str, Any]:
    """Table 6: what is selected of each method after sweep-1 and sweep-2, beside the paper's; it runs both.

    Sweep-2 is taken for the best setting of sweep-1 with a third projection layer, and the better of the two is selected.
    The paper leaves open whether it repeats the whole grid with three layers.

    Args:
        out, options: as of `table4`.
    """
    asked = Asked(out, **options)
    grids = _grids(asked)
    first = _swept(asked, grids)
    ranked = {key: _ranked(cells, first) for key, cells in grids.items()}
    deep = {key: plan.deeper(rows[0]) for key, rows in ranked.items() if rows}
    then = asked.sweep("sweep2", list(deep.values())) if deep else {}
    lines, selected = [], []
    for (method, data), rows in ranked.items():
        cell = deep.get((method, data))
        more = then.get(cell.name) if cell is not None else None
        finalists = [*rows[:1], *([more] if more is not None and more.state == "finished" else [])]
        if not finalists:
            lines.append({"method": _name(method), "data": data, "here": "every cell failed"})
            continue
        chosen = max(finalists, key=lambda row: row.metrics["linear"])
        selected.append(
            {"method": method, "data": data, "options": dict(chosen.options), "metrics": dict(chosen.metrics)}
        )
        lines.append(_line(method, data, rows, chosen) | {"with a layer more, %": _linear(more)})
    text = (
        _note(asked)
        + " Selected by one seed on held-out rows: 'as good' counts the settings of sweep-1 whose accuracy lies within "
        "one binomial standard error of the best one's, among which the choice is luck."
    )
    parts = [{"heading": "Table 6: selected after sweep-2", "lines": lines, "text": text}]
    stages = [
        cost(Folder(asked.folder / stage), list(rows.values())) for stage, rows in (("sweep1", first), ("sweep2", then))
    ]
    spent = {key: sum(stage[key] for stage in stages) for key in stages[0]}
    cells = _cells(grids, first) + _cells({key: [cell] for key, cell in deep.items()}, then)
    return write(asked, "table6", "Table 6: selected settings", {"selected": selected, "cells": cells, **spent}, parts)


def _grids(asked: Asked) -> Grids:
    size, found = asked.size_of, {}
    sources: list[Source] = asked.sources(
        size.sweep_samples, [d for d in size.data if d in ("digits", "cifar10", "cifar100")]
    )
    for source in sources:
        for method in plan.chosen(asked.methods):
            cells = plan.sweep1(method, source, size, asked.changes)
            found[method, source.label] = cells
    return found


def _swept(asked: Asked, grids: Grids) -> dict[str, Row]:
    return asked.sweep("sweep1", [cell for cells in grids.values() for cell in cells])


def _ranked(cells: Sequence[Cell], stands: Mapping[str, Row]) -> list[Row]:
    """Finished cells, the best first."""
    done = [stands[cell.name] for cell in cells if stands[cell.name].state == "finished"]
    return sorted(done, key=lambda row: -row.metrics["linear"])


def _cells(grids: Grids, stands: Mapping[str, Row]) -> list[dict[str, Any]]:
    made = []
    for (method, data), cells in grids.items():
        for cell in cells:
            row = stands[cell.name]
            made.append(
                {"method": method, "data": data, "cell": cell.name, "state": row.state, **_setting(row.options)}
                | {key: row.metrics[key] for key in ("linear", "linear_se", "knn") if key in row.metrics}
                | ({"error": row.error} if row.error else {})
            )
    return made


def _setting(options: Mapping[str, Any]) -> dict[str, Any]:
    return {key: options[key] for key in SWEPT if key in options} | {
        "projection": options["projector"][-1],
        "layers": len(options["projector"]),
    }


def _line(method: str, data: str, ranked: Sequence[Row], chosen: Row | None = None) -> dict[str, str]:
    """A method's selected setting beside the paper's."""
    line = {"method": _name(method), "data": data}
    if not ranked:
        return line | {"here": "every cell failed"}
    row = chosen or ranked[0]
    like = counterpart(data)
    theirs = printed()["table6"][method].get(like) if like else None
    theirs = theirs or printed()["table6"][method]["cifar10"]
    best = ranked[0].metrics
    close = sum(r.metrics["linear"] >= best["linear"] - best["linear_se"] for r in ranked)
    return line | {
        f"paper, {SETS[like or 'cifar10']}": _text(theirs),
        "here": _text(_setting(row.options)),
        "held-out linear, %": _linear(row),
        "as good": f"{close} of {len(ranked)}",
    }


def _linear(row: Row | None) -> str:
    """A cell's accuracy, and its binomial standard error."""
    if row is None or row.state != "finished":
        return "failed"
    return f"{row.metrics['linear']:.2f} ± {row.metrics['linear_se']:.2f}"


def _text(setting: Mapping[str, Any]) -> str:
    """A setting in a few words.

    Example:
        >>> _text({"lr": 0.05, "weight_decay": 5e-4, "temperature": 0.1, "projection": 256, "layers": 3})
        'lr 0.05, wd 0.0005, tau 0.1, 256, 3 layers'
    """
    tau = f", tau {setting['temperature']:g}" if "temperature" in setting else ""
    return f"lr {setting['lr']:g}, wd {setting['weight_decay']:g}{tau}, {setting['projection']}, {setting['layers']} layers"


def _space(grids: Grids) -> list[dict[str, str]]:
    """Table 4's rows: printed, and what the cells here have."""
    options = [cell.options for cells in grids.values() for cell in cells]

    def have(key: str) -> str:
        return ", ".join(
            f"{v:g}" if isinstance(v, float) else str(v) for v in sorted({o[key] for o in options if key in o})
        )

    projectors = [o["projector"] for o in options]
    ours = {key: have(key) for key in ("encoder", "batch_size", "epochs", "seed", "lr", "weight_decay", "temperature")}
    ours |= {
        "projection layers": ", ".join(map(str, sorted({len(p) for p in projectors}))),
        "feature dimension": ", ".join(map(str, sorted({p[0] for p in projectors}))),
        "projection dimension": ", ".join(map(str, sorted({p[-1] for p in projectors}))),
        "prediction layers": ", ".join(
            map(str, sorted({len(o["predictor"]) + 1 for o in options if "predictor" in o}))
        ),
        "prediction dimension": ", ".join(map(str, sorted({o["predictor"][0] for o in options if "predictor" in o}))),
        "momentum coefficient": have("momentum"),
    }
    lines = []
    for key, values in printed()["table4"].items():
        theirs = ", ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in values)
        lines.append(
            {"parameter": key, "paper": theirs, "here": ours[key], "differs": "" if theirs == ours[key] else "yes"}
        )
    return lines


def _name(method: str) -> str:
    return LABELS[method].removesuffix(" (f)")


def _note(asked: Asked) -> str:
    return "" if asked.budget == "paper" else f"At the budget '{asked.budget}': the paper's grid, on less."
