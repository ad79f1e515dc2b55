"""The toy study's claims with the numbers to decide them by: every seed's, from the study's arrays."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from infomax.errors import DataError
from infomax.report.looks import style
from infomax.studies.curves.judge import Floats, label, rising, steps
from infomax.studies.curves.plan import JMI_FAMILY, SDMI_FAMILY
from infomax.studies.toy.jobs import METHODS
from infomax.studies.toy.judge import BANDS, CONVERGED, MONOTONE, NEAR_IDEAL, NEARLY, SATURATED
from infomax.studies.toy.results import ESTIMATORS, PAPER, ROWS, row_of
from infomax.studies.toy.train import Arrays
from infomax.studies.verdict import Comparison, above, below, between, claim, share_above
from infomax.training.watch.monitor import COLLAPSED_STD

Settings = Mapping[str, Mapping[str, Arrays]]
"""Setting -> method -> arrays, as the study trained them."""

_Judge = Callable[[Mapping[str, Any], Settings, str], list[Comparison]]


def arrays_of(study: Path) -> Path:
    """The file of every seed's numbers of a toy study, given its folder or the results.json in it.

    Raises:
        DataError: where there is none; a JSON file alone holds means, which decide nothing.
    """
    folder = study.parent if study.name == "results.json" else study
    path = folder / "arrays.npz"
    if path.is_file():
        return path
    if study.is_file():
        raise DataError(
            f"{study} holds the toy study's means alone, and its claims are judged by every seed, which its arrays.npz holds: "
            "give the study's folder, or take its rows from an earlier ledger by --earlier"
        )
    raise DataError(f"{folder} is no toy study: it holds no arrays.npz; make one by infomax study toy --out DIR")


def read_arrays(study: Path) -> Settings:
    """The arrays of a toy study, given its folder or the results.json in it.

    Raises:
        DataError: one without them.
    """
    path = arrays_of(study)
    runs: dict[str, dict[str, Arrays]] = {}
    with np.load(path) as found:
        for key in found.files:
            setting, method, name = key.split("/", 2)
            runs.setdefault(setting, {}).setdefault(method, {})[name] = found[key]
    return runs


def claims(results: Mapping[str, Any], runs: Settings) -> list[dict[str, Any]]:
    """Every claim of the study, judged by differences over its seeds.

    Args:
        results: the study's `results.json`.
        runs: its arrays.

    Raises:
        DataError: a claim that is not known here.
    """
    rows = []
    for c in results["claims"]:
        numbers, source = _numbers(c["name"], results, runs)
        rows.append(claim(c["name"], c["paper"], source, c["ours"], numbers, c["note"]))
    return rows


def _numbers(name: str, results: Mapping[str, Any], runs: Settings) -> tuple[list[Comparison], str]:
    """What a claim is judged by, and where it is printed."""
    base = next((s for s in ("full_batch", "mini_batch") if name.endswith(s)), None)
    kind = name if base is None else name.removesuffix(f"_{base}")
    if kind.startswith("table3_"):
        return _band(kind.removeprefix("table3_"), runs), "table 3"
    if kind.startswith("saturates"):
        return [_saturated(results, name.removeprefix("saturates_"))], "infomax"
    if kind not in _JUDGES:
        raise DataError(f"the toy study's claim {name!r} has no numbers to be decided by here")
    judge, source = _JUDGES[kind]
    return judge(results, runs, base or "full_batch"), source


def _label(row: str) -> str:
    return style(row).label


def _gap(row: str, runs: Settings) -> Floats:
    arrays, side = row_of(row, runs["full_batch"])
    return np.asarray(arrays[f"gaps_{side}"][0], dtype=float)


def _band(row: str, runs: Settings) -> list[Comparison]:
    low, high = BANDS[row]
    gap = _gap(row, runs)
    return [above(f"mean gap, {_label(row)}", gap, low), below(f"mean gap, {_label(row)}", gap, high)]


def _share(method: str, runs: Settings, setting: str) -> Floats:
    return rising(runs[setting][method]["mi_1_dv"])


def _rises(what: str, method: str, runs: Settings, setting: str, bar: float) -> Comparison:
    return share_above(what, _share(method, runs, setting), bar, steps(runs[setting][method]["mi_1_dv"]))


def _end(method: str, estimator: str, runs: Settings, setting: str) -> Floats:
    return np.asarray(runs[setting][method][f"mi_1_{estimator}"][:, -1], dtype=float)


def _std(name: str, runs: Settings) -> Floats:
    return np.asarray(runs["no_last_norm"][name]["std_f"], dtype=float)


def _order(results: Mapping[str, Any], runs: Settings, setting: str) -> list[Comparison]:
    pairs = (("sdmi_f", "moco_v3"), ("moco_v3", "byol"), ("moco_v3", "simsiam"))
    return [between(f"mean gap, {_label(a)} - {_label(b)}", _gap(a, runs), _gap(b, runs)) for a, b in pairs]


def _separates_most(results: Mapping[str, Any], runs: Settings, setting: str) -> list[Comparison]:
    return _wider([row for row in ROWS if row in PAPER and not row.startswith("sdmi_")], runs)


def _separates_most_of_all(results: Mapping[str, Any], runs: Settings, setting: str) -> list[Comparison]:
    return _wider([row for row in ROWS if not row.startswith("sdmi_")], runs)


def _wider(others: Sequence[str], runs: Settings) -> list[Comparison]:
    return [between(f"mean gap, SDMI f - {_label(b)}", _gap("sdmi_f", runs), _gap(b, runs)) for b in others]


def _over(others: Sequence[str], runs: Settings, setting: str) -> list[Comparison]:
    return [
        between(f"{said}, SDMI - {_label(m)}", _end("sdmi", e, runs, setting), _end(m, e, runs, setting))
        for e, said in ESTIMATORS.items()
        for m in others
        if m != "sdmi"
    ]


def _upward(results: Mapping[str, Any], runs: Settings, setting: str) -> list[Comparison]:
    rise = {m: runs[setting][m]["mi_1_dv"] for m in METHODS}
    return [above(f"end - first, {_label(m)}", v[:, -1] - v[:, _first(v)], 0.0) for m, v in rise.items()]


def _first(values: Floats) -> int:
    """The first epoch with a reading: SimSiam has none at the start."""
    return int(np.isfinite(values).all(0).argmax())


def _uniform(results: Mapping[str, Any], runs: Settings, setting: str) -> list[Comparison]:
    jmi, sdmi = (np.mean([_share(m, runs, setting) for m in f], axis=0) for f in (JMI_FAMILY, SDMI_FAMILY))
    return [between("JMI family - SDMI family", jmi, sdmi)]


def _ablated(bare: str, mended: str, said: str) -> tuple[_Judge, str]:
    """That one embedding collapses and the other does not, by the bar of fig. 7's study."""

    def judge(results: Mapping[str, Any], runs: Settings, setting: str) -> list[Comparison]:
        return [
            below(f"spread, {label(bare)}", _std(bare, runs), COLLAPSED_STD),
            above(f"spread, {label(mended)}", _std(mended, runs), COLLAPSED_STD),
        ]

    return judge, said


def _truth(results: Mapping[str, Any], runs: Settings, setting: str) -> list[Comparison]:
    peak = results["highest_mi"]
    seeds = results["settings"]["seeds"]
    error = peak["margin"] / 3 if seeds > 1 else math.nan
    return [Comparison("truth - highest reading", results["truth"] - peak["mean"], error, seeds - 1)]


def _saturated(results: Mapping[str, Any], setting: str) -> Comparison:
    ends = {m: results["mi"][setting][m]["infonce"]["mean"][-1] for m in METHODS}
    near = sum(abs(v - math.log(5)) < SATURATED for v in ends.values())
    return Comparison("methods within .03 of log 5 - 1.5", near - 1.5, 0.0)


_JUDGES: dict[str, tuple[_Judge, str]] = {
    "order": (_order, "table 3"),
    "separates_most": (_separates_most, "fig. 3, 4.3"),
    "separates_most_of_all": (_separates_most_of_all, "4.3, discussion"),
    "77_against_54": (lambda r, runs, s: [above("mean gap, SDMI f", _gap("sdmi_f", runs), 76.0)], "4.3"),
    "unfinished": (
        lambda r, runs, s: [above("effective rank", runs["full_batch"]["sdmi"]["rank_f"], CONVERGED)],
        "table 3, D.1.1",
    ),
    "best": (lambda r, runs, s: [above("min gap", runs["best"]["sdmi"]["gaps_f"][1], NEAR_IDEAL)], "infomax"),
    "monotone": (
        lambda r, runs, s: [_rises(_label(m), m, runs, s, MONOTONE) for m in METHODS],
        "D.2, figs. 5, 6",
    ),
    "sdmi_monotone": (lambda r, runs, s: [_rises("share", "sdmi", runs, s, NEARLY)], "4.3"),
    "jmi_more_uniform": (_uniform, "fig. 2, caption"),
    "highest_mi": (lambda r, runs, s: _over(METHODS, runs, s), "4.3, discussion"),
    "highest_mi_of_its_family": (lambda r, runs, s: _over(SDMI_FAMILY, runs, s), "4.3"),
    "upward": (_upward, "4.3"),
    "never_above_the_truth": (_truth, "infomax"),
    "fig7a": _ablated("sdmi_nodv", "sdmi_nodv_pred", "fig. 7(a)"),
    "fig7b": _ablated("simsiam_no_predictor", "simsiam_sdmi", "fig. 7(b)"),
    "fig7a_order": (
        lambda r, runs, s: [
            between(f"spread, {said} - NoDV", _std(m, runs), _std("sdmi_nodv", runs))
            for m, said in (("sdmi", "SDMI"), ("sdmi_nodv_pred", "NoDV-Pred"))
        ],
        "infomax",
    ),
    "fig7b_order": (
        lambda r, runs, s: [
            between(f"spread, {said} - no predictor", _std(m, runs), _std("simsiam_no_predictor", runs))
            for m, said in (("simsiam", "SimSiam"), ("simsiam_sdmi", "SimSiam-SDMI"))
        ],
        "infomax",
    ),
}
