"""The study as one page: spheres to turn and play, curves under their ceilings, the tables, the verdicts."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from infomax.report import Page, Panel, mi_panels, spheres, style
from infomax.studies.toy.figures import ABLATION_NAMES, BOTTOM, TOP, facing, typical
from infomax.studies.toy.judge import come_out
from infomax.studies.toy.results import COLUMNS, ESTIMATORS, PAPER, ROWS, row_of
from infomax.studies.toy.train import Arrays
from infomax.studies.toy.world import TRUE_MI
from infomax.studies.verdict import FAILS, HOLDS
from infomax.words import many

Settings = Mapping[str, Mapping[str, Arrays]]
"""Setting -> method -> arrays."""

_HEAD = {"mean_gap": "mean gap", "min_gap": "min gap", "max_gap": "max gap", "sd_gap": "sd of the gaps"}


def page(results: Mapping[str, Any], runs: Settings, pictures: Mapping[str, bytes]) -> Page:
    """Lay the study out.

    Args:
        results: what `results.json` holds.
        runs: setting -> method -> arrays.
        pictures: name -> PNG.
    """
    settings = results["settings"]
    n, epochs, seeds = settings["n"], settings["epochs"], settings["seeds"]
    reduced = seeds < 10 or n < 500 or epochs < 100
    out = Page(
        "The five Gaussians",
        f"Eight methods as mutual-information maximisation, {many(seeds, 'seed')} each, {many(n, 'sample')}, "
        f"{many(epochs, 'epoch')}: {come_out(results['claims'])}."
        + (" A reduced run: its verdicts say little (they are meant for 10 seeds, 500 samples, 100 epochs)." * reduced),
    )
    _centres(out, results, runs)
    _gaps(out, results)
    _information(out, results, runs)
    _ablations(out, results)
    _claims(out, results)
    out.section("Pictures").text("The same figures as files, beside this page.")
    for name, picture in pictures.items():
        out.image(picture, f"`{name}`")
    out.section("Settings").table(
        [{"setting": key, "value": str(value)} for key, value in settings.items()]
        + [{"setting": f"seconds: {key}", "value": f"{value:.1f}"} for key, value in results["seconds"].items()]
        + [{"setting": key, "value": value} for key, value in results["versions"].items()]
    )
    return out


def _centres(out: Page, results: Mapping[str, Any], runs: Settings) -> None:
    full, best, setting = runs["full_batch"], runs["best"]["sdmi"], results["settings"]["best"]
    seed = typical(full)
    paths = {}
    for row in ROWS:
        arrays, side = row_of(row, full)
        paths[row] = facing(arrays[f"centres_{side}"][seed])
    out.section("The centres on the sphere").text(
        "Five Gaussians on a circle are embedded in the unit sphere of three dimensions. Each point is the embedding of a "
        "true cluster centre, each line its way from the untrained network. Turn a sphere by dragging; play the epochs below."
    )
    epochs = range(results["settings"]["epochs"] + 1)
    out.figure(
        spheres(paths, epochs=epochs, class_names=[f"Gaussian {k}" for k in range(1, 6)], columns=3),
        f"Fig. 3 of the paper, full batch, seed {seed} (the one nearest to the means). "
        "Each sphere was turned so that its last centres are seen from the front.",
    )
    steps = best["centres_f"].shape[1]
    out.figure(
        spheres(
            {f"sdmi_{side}": facing(best[f"centres_{side}"][seed]) for side in ("f", "g")},
            epochs=range(steps),
            columns=2,
        ),
        f"SDMI at its best setting (SGD {setting['lr']:g}, {steps - 1} epochs, batches of {setting['batch']}): "
        f"min gap {_shown(results['best']['min_gap_f'])} degrees, of the 90 that five points can have.",
    )


def _gaps(out: Page, results: Mapping[str, Any]) -> None:
    def cells(row: str) -> dict[str, str | None]:
        made: dict[str, str | None] = {"encoder": style(row).label}
        for k, column in enumerate(COLUMNS):
            made[_HEAD[column]] = _shown(results["table3"][row][column])
            made[f"paper: {_HEAD[column].split()[0]}"] = f"{PAPER[row][k]:.2f}" if row in PAPER else None
        return made

    out.section("Table 3: nearest-neighbour angle gaps").text(
        "Degrees between each centre and its nearest neighbour, over the five centres; mean ± sd over seeds. "
        "72 degrees is a pentagon on a great circle, 90 the *min* gap of the optimum (a triangular bipyramid, whose mean gap "
        "may be larger): score by the min gap."
    )
    out.table(
        [cells(row) for row in ROWS],
        f"Full batch, {results['settings']['optimizer']}. The paper prints one run, and none for the JMI family.",
    )


def _information(out: Page, results: Mapping[str, Any], runs: Settings) -> None:
    settings = results["settings"]
    out.section("Mutual information over training").text(
        f"Read at every epoch on {settings['n']} fresh points between the two right branches (section 4.2): f and g of SDMI, "
        "online and target encoder of BYOL and MoCo, this epoch's encoder and that of the epoch before of SimSiam, the one "
        f"encoder twice for the others. The views share log 5 - log(1 - .2²) = {TRUE_MI:.4f} nats, which no encoder can "
        "exceed. Each estimate has a ceiling of its own at each temperature. JSD is no estimate of MI: it is never positive."
    )
    for setting, curves in results["mi"].items():
        tau = curves["jmi"]["dv"]["tau"]
        base = "mini_batch" if setting.startswith("mini_batch") else "full_batch"
        drawn = mi_panels([_panel(results, runs[base], curves, estimator, tau) for estimator in ESTIMATORS])
        drawn.update_yaxes(range=[BOTTOM, TOP], col=1).update_yaxes(range=[BOTTOM, TOP], col=2)
        batch = f"mini-batches of {settings['mini_batch']}" if base == "mini_batch" else "full batch"
        figure = {"full_batch": "Fig. 5", "mini_batch": "Fig. 6"}.get(setting, "Beyond the paper: a sharper critic")
        out.figure(drawn, f"{figure}: {batch}, temperature {tau:g}, N = {settings['n']}; band: one sd over seeds.")
    out.table(
        [
            {"method": style(m).label}
            | {
                f"{s.replace('_', ' ')}, {name}": results["mi"][s][m][e]["non_decreasing"]
                for s in ("full_batch", "mini_batch")
                for e, name in ESTIMATORS.items()
            }
            for m in results["mi"]["full_batch"]
        ],
        "Share of epochs in which the estimate does not fall (temperature 1, mean over seeds).",
    )


def _panel(
    results: Mapping[str, Any], runs: Mapping[str, Arrays], methods: Iterable[str], estimator: str, tau: float
) -> Panel:
    """The curves of one estimator, under those of its levels that the panel has room for; the others are named above it."""
    known = {"ceiling": results["ceilings"][f"{tau:g}"][estimator]}
    if estimator == "dv":
        known["aligned, uniform sphere"] = results["ceilings"][f"{tau:g}"]["dv_sphere"]
    beyond = ", ".join(f"{label} {value:.3f}" for label, value in known.items() if value > TOP)
    return Panel(
        {method: runs[method][f"mi_{tau:g}_{estimator}"] for method in methods},
        f"{ESTIMATORS[estimator]}, temperature {tau:g}" + (f"<br><sup>↑ {beyond}</sup>" if beyond else ""),
        {label: value for label, value in known.items() if value <= TOP},
        TRUE_MI if estimator != "jsd" else None,
        "nats" if estimator != "jsd" else "JSD",
    )


def _ablations(out: Page, results: Mapping[str, Any]) -> None:
    out.section("Ablations").text(
        "Fig. 7 on this data. *Spread* is the standard deviation of the unit embeddings: 1 where they balance around the "
        "origin, 0 where they are one point. A last batch norm forces every column to vary and so hides a collapse from the "
        "spread, and mostly from the effective rank; the gaps between the centres still show it."
    )
    for variant, said in (("standard", "With the paper's encoder."), ("no_last_norm", "Without the last batch norm.")):
        table = results["ablations"][variant]
        out.table(
            [
                {"": ABLATION_NAMES[name]}
                | {
                    "spread": _shown(row["std_f"], 2),
                    "effective rank": _shown(row["effective_rank_f"], 2),
                    "min gap": _shown(row["min_gap_f"]),
                    "mean gap": _shown(row["mean_gap_f"]),
                    "cos-DV, tau 1": _shown(row["mi_dv"], 3),
                }
                for name, row in table.items()
            ],
            said,
        )


def _claims(out: Page, results: Mapping[str, Any]) -> None:
    out.section("What comes out of the paper's claims").table(
        [
            {
                "claim": claim["paper"],
                "here": claim["ours"],
                "verdict": HOLDS if claim["holds"] else FAILS,
                "note": claim["note"],
            }
            for claim in results["claims"]
        ]
    )


def _shown(entry: Mapping[str, Any], digits: int = 1) -> str:
    if not np.isfinite(entry["mean"]):
        return "–"
    spread = "" if entry["sd"] is None else f" ± {entry['sd']:.{digits}f}"
    return f"{entry['mean']:.{digits}f}{spread}"
