"""What the paper says of its toy study, judged by the means that came out here; by every seed: `studies.claims.toy`."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from infomax.report import style
from infomax.studies.curves.plan import JMI_FAMILY, SDMI_FAMILY
from infomax.studies.toy.jobs import METHODS
from infomax.studies.toy.results import ESTIMATORS, PAPER, ROWS
from infomax.training.watch.monitor import COLLAPSED_STD
from infomax.words import many

BANDS = {
    "sdmi_f": (68.0, 80.0),
    "sdmi_g": (68.0, 80.0),
    "moco_v3": (38.0, 62.0),
    "simsiam": (20.0, 55.0),
    "byol": (20.0, 55.0),
}
"""Where a mean of ten seeds of the mean gap is expected, degrees."""

MONOTONE, NEARLY = 0.8, 0.95
"""Share of epochs that must not fall for a curve to grow "approximately monotonically", and "nearly monotonically"."""
CONVERGED = 2.8
"""Effective rank above which five points have left the pentagon of a great circle for the optimum's 2.95."""
NEAR_IDEAL = 86.0
"""A min gap within four degrees of the ideal."""
SATURATED = 0.03
"""Nats from log 5, the most that five clusters have to tell."""

OURS = ("best", "never_above_the_truth", "saturates", "fig7a_order", "fig7b_order")
"""Claims of ours, by how their names begin; the others are the paper's."""

Claim = dict[str, Any]


def claims(results: Mapping[str, Any]) -> list[Claim]:
    """What the paper says, what came out here, and whether the one follows from the other."""
    settings, mi = results["settings"], results["mi"]
    distinct = settings["mini_batch"] < settings["n"]
    found = [*_bands(results), *_separation(results), _unfinished(results), _best(results)]
    for setting in ("full_batch", "mini_batch") if distinct else ("full_batch",):
        found += _monotone(results, setting) + _highest(results, setting) + [_upward(results, setting)]
    found.append(_never_above(results["highest_mi"]))
    found += [_saturates(name, mi[name]) for name in mi if name.startswith("full_batch_tau")]
    return found + _ablations(results)


def _claim(name: str, says: str, ours: str, holds: bool, note: str = "") -> Claim:
    return {"name": name, "paper": says, "ours": ours, "holds": bool(holds), "note": note}


def _mean_gaps(results: Mapping[str, Any], column: str = "mean_gap") -> dict[str, float]:
    return {row: results["table3"][row][column]["mean"] for row in ROWS}


def _bands(results: Mapping[str, Any]) -> list[Claim]:
    """Each row of table 3 within what is expected of ten seeds."""
    table = results["table3"]
    return [
        _claim(
            f"table3_{row}",
            f"mean gap of {style(row).label}: {PAPER[row][0]:.2f} degrees in one run (table 3)",
            f"{_of(table[row]['mean_gap'])}; expected of ten seeds: {low:g} to {high:g}",
            low <= table[row]["mean_gap"]["mean"] <= high,
            "The settings were sought so that table 3 comes out, and the band around what they gave: the number can be had, no "
            "more is said.",
        )
        for row, (low, high) in BANDS.items()
    ]


def _separation(results: Mapping[str, Any]) -> list[Claim]:
    """Which method separates the centres the most."""
    table, gap, least = results["table3"], _mean_gaps(results), _mean_gaps(results, "min_gap")
    found = [
        _claim(
            "order",
            "SDMI separates more than MoCo, and MoCo more than SimSiam and BYOL (table 3)",
            ", ".join(f"{style(r).label} {gap[r]:.1f}" for r in ("sdmi_f", "moco_v3", "byol", "simsiam")),
            gap["sdmi_f"] > gap["moco_v3"] > max(gap["byol"], gap["simsiam"]),
            _gap_note(table),
        )
    ]
    others = [row for row in ROWS if row not in ("sdmi_f", "sdmi_g")]
    for name, says, among, note in (
        (
            "separates_most",
            "SDMI separates the centres more distinctly than the analogous methods of table 3 (fig. 3, 4.3)",
            [row for row in others if row in PAPER],
            "SimSiam, BYOL and MoCo: the paper prints no others.",
        ),
        (
            "separates_most_of_all",
            "SDMI has the most separated clusters of all methods (4.3, discussion)",
            others,
            "The paper says so without a restriction, and prints no gap of the JMI family.",
        ),
    ):
        best = max(among, key=lambda row: gap[row])
        ours = (
            f"mean gap {gap['sdmi_f']:.1f}, min gap {least['sdmi_f']:.1f}; "
            f"{style(best).label} {gap[best]:.1f}, {least[best]:.1f}"
        )
        found.append(_claim(name, says, ours, gap["sdmi_f"] > gap[best], note))
    found.append(
        _claim(
            "77_against_54",
            "the average nearest-neighbour gap is about 77 degrees against 54 of the strongest analogous method (4.3)",
            f"mean {gap['sdmi_f']:.1f} against {max(gap['moco_v3'], gap['byol'], gap['simsiam']):.1f}; "
            f"max column {table['sdmi_f']['max_gap']['mean']:.1f} against {table['moco_v3']['max_gap']['mean']:.1f}",
            False,
            "77.60 and 54.07 are the paper's own *max* column; its means are 74.47 and 49.64.",
        )
    )
    return found


def _unfinished(results: Mapping[str, Any]) -> Claim:
    rank = results["gauges"]["full_batch"]["sdmi"]["effective_rank_f"]
    return _claim(
        "unfinished",
        "table 3 is 'at convergence', and 90 degrees the ideal (D.1.1)",
        f"effective rank {_of(rank, '')} of 3: near a pentagon on a great circle (72 degrees)",
        rank["mean"] > CONVERGED,
        "The optimum of five points is the triangular bipyramid: min gap 90, effective rank 2.95.",
    )


def _best(results: Mapping[str, Any]) -> Claim:
    top = results["best"]["min_gap_f"]
    return _claim(
        "best",
        "with other settings SDMI comes within four degrees of the ideal of 90",
        "min gap {} with rate {lr:g} and {epochs} epochs".format(_of(top), **results["settings"]["best"]),
        top["mean"] >= NEAR_IDEAL,
        f"Bar: a min gap of {NEAR_IDEAL:g} degrees.",
    )


def _how(results: Mapping[str, Any], setting: str) -> str:
    return "full batch" if setting == "full_batch" else f"mini-batches of {results['settings']['mini_batch']}"


def _monotone(results: Mapping[str, Any], setting: str) -> list[Claim]:
    """Whether the curves of figs. 5 and 6 grow, and whose the most evenly."""
    how = _how(results, setting)
    share = {m: results["mi"][setting][m]["dv"]["non_decreasing"] for m in METHODS}
    listed = ", ".join(f"{style(m).label} {share[m]:.2f}" for m in METHODS)
    uniform = {k: float(np.mean([share[m] for m in f])) for k, f in (("JMI", JMI_FAMILY), ("SDMI", SDMI_FAMILY))}
    return [
        _claim(
            f"monotone_{setting}",
            f"all curves grow approximately monotonically ({'fig. 5' if setting == 'full_batch' else 'fig. 6'})",
            f"share of epochs in which cos-DV does not fall: {listed}",
            min(share.values()) >= MONOTONE,
        ),
        _claim(
            f"sdmi_monotone_{setting}",
            f"on the toy, {how}: SDMI rises nearly monotonically (4.3)",
            f"share {share['sdmi']:.2f}",
            share["sdmi"] >= NEARLY,
        ),
        _claim(
            f"jmi_more_uniform_{setting}",
            f"on the toy, {how}: JMI methods' MI rises more uniformly than SDMI methods' (fig. 2)",
            f"share of epochs that do not fall: JMI methods {uniform['JMI']:.2f}, SDMI methods {uniform['SDMI']:.2f}; of the "
            f"prototypes JMI {share['jmi']:.2f}, SDMI {share['sdmi']:.2f}",
            uniform["JMI"] > uniform["SDMI"],
            "Of the families' means, as the caption has it.",
        ),
    ]


def _ends(results: Mapping[str, Any], setting: str) -> dict[str, dict[str, float]]:
    """The last reading of each estimator, by method."""
    return {e: {m: results["mi"][setting][m][e]["mean"][-1] for m in METHODS} for e in ESTIMATORS}


def _highest(results: Mapping[str, Any], setting: str) -> list[Claim]:
    """Whose mutual information ends the highest."""
    how, ends = _how(results, setting), _ends(results, setting)
    leader = {e: _largest(values, METHODS) for e, values in ends.items()}
    family = {e: _largest(values, SDMI_FAMILY) for e, values in ends.items()}
    return [
        _claim(
            f"highest_mi_{setting}",
            f"on the toy, {how}: SDMI has the highest MI under all three estimators",
            ", ".join(
                f"{ESTIMATORS[e]}: SDMI {ends[e]['sdmi']:.3f}, highest {style(leader[e]).label} {ends[e][leader[e]]:.3f}"
                for e in ends
            ),
            set(leader.values()) == {"sdmi"},
        ),
        _claim(
            f"highest_mi_of_its_family_{setting}",
            f"on the toy, {how}: SDMI has a higher MI than SimSiam, BYOL and MoCo (4.3)",
            ", ".join(f"{style(m).label} {ends['dv'][m]:.3f}" for m in SDMI_FAMILY) + " (cos-DV, tau 1)",
            set(family.values()) == {"sdmi"},
        ),
    ]


def _upward(results: Mapping[str, Any], setting: str) -> Claim:
    mi, last = results["mi"][setting], _ends(results, setting)["dv"]
    first = {m: next(v for v in mi[m]["dv"]["mean"] if v is not None) for m in METHODS}
    below = [m for m in METHODS if last[m] < first[m]]
    return _claim(
        f"upward_{setting}",
        f"on the toy, {_how(results, setting)}: all methods exhibit an overall upward MI trend (4.3)",
        "end below their first reading (cos-DV, tau 1): " + (", ".join(style(m).label for m in below) or "none"),
        not below,
        "Two equal encoders start with a high MI, whatever they show; SimSiam's first reading is after epoch 1.",
    )


def _never_above(peak: Mapping[str, Any]) -> Claim:
    return _claim(
        "never_above_the_truth",
        "no reading exceeds what the views share (data processing): 1.6503 nats",
        f"nearest: {peak['mean']:.4f} nats, {style(peak['method']).label}, {ESTIMATORS[peak['estimator']]}, {peak['setting']}, "
        f"epoch {peak['epoch']}; three standard errors of the mean: {peak['margin']:.4f}",
        peak["excess"] <= 0,
    )


def _saturates(name: str, mi: Mapping[str, Any]) -> Claim:
    sharpest = {m: mi[m]["infonce"]["mean"][-1] for m in METHODS}
    near = [m for m in METHODS if abs(sharpest[m] - math.log(5)) < SATURATED]
    return _claim(
        f"saturates_{name}",
        "read at tau .1, as tables 4 and 6 train, the curves rank no good method: more than one ends at log 5",
        f"within .03 of log 5 = 1.609: {', '.join(style(m).label for m in near) or 'none'}",
        len(near) > 1,
        "Who tells the five clusters apart at all reads log 5; what lies within a cluster (.04 nats) is hardly seen.",
    )


def _ablations(results: Mapping[str, Any]) -> list[Claim]:
    """Fig. 7: without its guard a method loses spread, and not with another in its place."""
    normed = results["ablations"]["standard"]
    return [
        *_ablation(
            results,
            "fig7a",
            {"SDMI": "sdmi", "NoDV-Pred": "sdmi_nodv_pred", "NoDV": "sdmi_nodv"},
            "without the marginal SDMI collapses; predictors in its place prevent it (fig. 7a)",
            "without the marginal SDMI loses spread, and not with predictors in its place",
            f" With the last batch norm neither gauge tells them apart; min gaps: {_min_gap(normed, 'sdmi')}, "
            f"{_min_gap(normed, 'sdmi_nodv_pred')}, {_min_gap(normed, 'sdmi_nodv')} degrees.",
        ),
        *_ablation(
            results,
            "fig7b",
            {"SimSiam": "simsiam", "SimSiam-SDMI": "simsiam_sdmi", "no predictor": "simsiam_no_predictor"},
            "SimSiam collapses without its predictor; cos-DV in its place prevents it (fig. 7b)",
            "without its predictor SimSiam loses spread, and not with cos-DV in its place",
        ),
    ]


def _ablation(
    results: Mapping[str, Any], name: str, three: Mapping[str, str], says: str, order: str, note: str = ""
) -> list[Claim]:
    """What the paper says of one ablation, and what follows from the order of the three alone.

    Args:
        results: of the study.
        name: of the claim.
        three: what is said -> the run: the whole method, the one with another guard, the one without.
        says: what the paper prints.
        order: the weaker statement.
        note: what else is to be known of the first.
    """
    normed = results["ablations"]["standard"]
    std = {m: float(results["ablations"]["no_last_norm"][m]["std_f"]["mean"]) for m in three.values()}
    whole, mended, bare = std.values()
    seen = (
        f"spread without the last batch norm: {', '.join(f'{said} {std[m]:.2f}' for said, m in three.items())}; "
        f"effective rank with it: {', '.join(_rank(normed, m) for m in three.values())}"
    )
    late = f" Within {results['settings']['epochs']} epochs it does not get there." * (bare >= COLLAPSED_STD)
    return [
        _claim(
            name,
            f"on the toy: {says}",
            seen,
            bare < COLLAPSED_STD < mended,
            f"Collapsed: a spread below {COLLAPSED_STD:g}.{late}{note}",
        ),
        _claim(f"{name}_order", f"on the toy: {order}", seen, min(whole, mended) > bare),
    ]


def come_out(found: Sequence[Mapping[str, Any]]) -> str:
    """How many of the paper's claims come out by the means, and how many of ours.

    Example:
        >>> come_out([{"name": "order", "holds": False}, {"name": "best", "holds": True}])
        '0 of 1 checked claims of the paper come out, and 1 of 1 of ours'
    """
    of = {ours: [c["holds"] for c in found if c["name"].startswith(OURS) == ours] for ours in (False, True)}
    said = f"{sum(of[False])} of {len(of[False])} checked claims of the paper come out"
    return f"{said}, and {sum(of[True])} of {len(of[True])} of ours"


def _largest(values: Mapping[str, float], among: Sequence[str]) -> str:
    return max(among, key=values.__getitem__)


def _of(entry: Mapping[str, Any], unit: str = " degrees") -> str:
    spread = "" if entry["sd"] is None else f" ± {entry['sd']:.2f}"
    return f"{entry['mean']:.2f}{spread}{unit} ({many(entry['n'], 'seed')})"


def _rank(table: Mapping[str, Any], name: str) -> str:
    return f"{table[name]['effective_rank_f']['mean']:.2f}"


def _min_gap(table: Mapping[str, Any], name: str) -> str:
    return f"{table[name]['min_gap_f']['mean']:.1f}"


def _gap_note(table: Mapping[str, Any]) -> str:
    a, b = table["moco_v3"]["mean_gap"], table["byol"]["mean_gap"]
    if a["sd"] is None or b["sd"] is None:
        return ""
    error = math.sqrt((a["sd"] ** 2 + b["sd"] ** 2) / a["n"])
    return f"MoCo-v3 - BYOL = {a['mean'] - b['mean']:.1f} ± {error:.1f} degrees (standard error)."
