"""From arrays to the numbers that are reported."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from infomax.finite import finite_or_none
from infomax.mi import ceiling, uniform_dv
from infomax.studies.toy.train import Arrays
from infomax.studies.toy.world import TRUE_MI

ROWS = ("sdmi_f", "sdmi_g", "jmi", "simsiam", "byol", "moco_v3", "simclr", "barlow_twins", "vicreg")
COLUMNS = ("mean_gap", "min_gap", "max_gap", "sd_gap")
ESTIMATORS = {"dv": "cos-DV", "infonce": "InfoNCE", "jsd": "JSD"}
PAPER = {
    "sdmi_f": (74.47, 72.78, 77.60, 1.76),
    "sdmi_g": (73.77, 72.16, 75.06, 1.32),
    "simsiam": (40.62, 28.04, 71.86, 16.19),
    "moco_v3": (49.64, 47.90, 54.07, 2.29),
    "byol": (37.35, 31.26, 45.34, 5.42),
}
"""The paper's table 3, one run, degrees; its MoCo is taken to be v3."""
Floats = npt.NDArray[np.float64]


def row_of(row: str, runs: Mapping[str, Arrays]) -> tuple[Arrays, str]:
    """The arrays of a row of table 3, and which of its encoders the row is of."""
    return (runs["sdmi"], row[-1]) if row.startswith("sdmi_") else (runs[row], "f")


def summary(values: Any) -> dict[str, float | int | None]:
    """Mean and (sample) spread over seeds."""
    v = np.asarray(values, dtype=float)
    return {"mean": float(v.mean()), "sd": float(v.std(ddof=1)) if v.size > 1 else None, "n": int(v.size)}


def table3(runs: Mapping[str, Arrays]) -> dict[str, dict[str, Any]]:
    """Nearest-neighbour angle gaps in degrees: row -> column -> mean, sd and number of seeds."""
    table = {}
    for row in ROWS:
        arrays, side = row_of(row, runs)
        table[row] = {column: summary(arrays[f"gaps_{side}"][k]) for k, column in enumerate(COLUMNS)}
    return table


def curves(runs: Mapping[str, Arrays], tau: float) -> dict[str, dict[str, Any]]:
    """MI by method and estimator at one temperature: mean and sd an epoch (null where not defined), share of rising epochs."""
    found: dict[str, dict[str, Any]] = {}
    for method, arrays in runs.items():
        found[method] = {}
        for estimator in ESTIMATORS:
            seeds: Floats = arrays[f"mi_{tau:g}_{estimator}"]
            mean = seeds.mean(0)
            sd = seeds.std(0, ddof=1) if len(seeds) > 1 else np.full_like(mean, math.nan)
            found[method][estimator] = {
                "mean": finite_or_none(mean.tolist()),
                "sd": finite_or_none(sd.tolist()),
                "n": len(seeds),
                "tau": tau,
                "non_decreasing": _rising(seeds),
                "non_decreasing_of_mean": _rising(mean[None]),
            }
    return found


def _rising(values: Floats) -> float:
    """Share of epochs that do not end lower than they began, to the precision of the reading."""
    change = np.diff(values, axis=1)
    return float((change[np.isfinite(change)] >= -1e-6).mean()) if np.isfinite(change).any() else math.nan


def ceilings(taus: Sequence[float], n: int) -> dict[str, dict[str, float]]:
    """The largest value each estimate can take at each temperature on n points, and the best of an aligned sphere."""
    found = {}
    for tau in taus:
        found[f"{tau:g}"] = {e: ceiling(e, tau=tau, n=n) for e in ESTIMATORS} | {
            "dv_sphere": uniform_dv(tau=tau, dim=3)
        }
    return found


def gauges(runs: Mapping[str, Arrays], tau: float = 1.0) -> dict[str, Any]:
    """How far open each embedding is: of f, and of g where there is a second encoder."""
    found: dict[str, Any] = {}
    for name, arrays in runs.items():
        found[name] = {}
        for side in ("f", "g"):
            if f"gaps_{side}" in arrays:
                found[name] |= {
                    f"std_{side}": summary(arrays[f"std_{side}"]),
                    f"effective_rank_{side}": summary(arrays[f"rank_{side}"]),
                    f"mean_gap_{side}": summary(arrays[f"gaps_{side}"][0]),
                    f"min_gap_{side}": summary(arrays[f"gaps_{side}"][1]),
                }
        found[name]["mi_dv"] = summary(arrays[f"mi_{tau:g}_dv"][:, -1])
    return found


def highest(mi: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """The curve that comes closest to the true MI, or exceeds it most, beyond three standard errors of its mean."""
    top: dict[str, Any] = {"excess": -math.inf}
    for setting, methods in mi.items():
        for method, estimators in methods.items():
            for estimator in ("dv", "infonce"):  # JSD is no estimate of MI, and never positive
                curve = estimators[estimator]
                for epoch, (mean, sd) in enumerate(zip(curve["mean"], curve["sd"], strict=True)):
                    margin = 0.0 if sd is None else 3 * sd / math.sqrt(curve["n"])
                    if mean is not None and mean - margin - TRUE_MI > top["excess"]:
                        where = {"setting": setting, "method": method, "estimator": estimator, "epoch": epoch}
                        top = where | {"mean": mean, "margin": margin, "excess": mean - margin - TRUE_MI}
    return top
