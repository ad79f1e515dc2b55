"""What figs. 2 and 7 say, judged by the runs: every claim by differences over seeds, never by eye."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from infomax.studies.collapsed import collapsed
from infomax.studies.curves.plan import FIG2, JMI_FAMILY, LABELS, SDMI_FAMILY
from infomax.studies.verdict import Comparison, above, below, between, claim, never, share_above, shown, within
from infomax.training.watch.collapse import EARLY
from infomax.training.watch.monitor import COLLAPSED_STD
from infomax.words import many

Floats = npt.NDArray[np.float64]
Runs = Mapping[str, Sequence[Mapping[str, Any]]]
"""The finished runs by name, one a seed."""

PROTOTYPES = ("sdmi", "jmi")
FAMILIES = {"SDMI": SDMI_FAMILY, "JMI": JMI_FAMILY}
ESTIMATORS = {"dv": "cos-DV", "infonce": "InfoNCE", "jsd": "JSD"}
OF_MI = ("dv", "infonce")
ONLY_MI = "Judged by the two that read mutual information; JSD, which is never positive, bounds another divergence."
RISES = 0.95
"""Share of epochs that must not fall for a curve to count as monotonic ("near-perfect", "consistently increasing")."""
COMPETITIVE = 3.3
"""Points of linear probe behind the best method: the paper's JMI on CIFAR-10 (88.01 against 91.28) is called competitive."""
RECOVERS = 1.25
"""Points that SimSiam with cos-DV may lie behind SimSiam: 88.43 against 89.68 is "nearly the original" (D.2.2)."""
SHORT = 100
"""Updates of an encoder below which that it did not collapse says nothing: there was hardly time for it."""
LOST = 0.5
"""Share of what training gave a linear probe, over the untrained encoder, that must be lost for a collapse to show in it."""


def label(name: str) -> str:
    """How a method or ablation is called in print."""
    from infomax.report.looks import style

    return LABELS.get(name, style(name).label)


def grouped(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Finished runs by name, seeds in order."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in sorted((r for r in rows if "history" in r), key=lambda r: r["seed"]):
        found.setdefault(row["name"], []).append(row)
    return found


def curve(runs: Sequence[Mapping[str, Any]], key: str) -> Floats:
    """S x E values of a gauge, NaN where there is no reading."""
    return np.array([[math.nan if row[key] is None else row[key] for row in run["history"]] for run in runs])


def rising(values: Floats) -> Floats:
    """Share of epochs that do not end lower than they began, a seed.

    Example:
        >>> rising(np.array([[math.nan, 0.0, 1.0, 0.5, 0.5]]))
        array([0.66666667])
    """
    change = np.diff(values, axis=1)
    known = [row[np.isfinite(row)] for row in change]
    return np.array([float((row >= -1e-6).mean()) if row.size else math.nan for row in known])


def steps(values: Floats) -> list[int]:
    """Of how many epochs `rising` is a share, a seed.

    Example:
        >>> steps(np.array([[math.nan, 0.0, 1.0, 0.5, 0.5]]))
        [3]
    """
    return [int(n) for n in np.isfinite(np.diff(values, axis=1)).sum(1)]


def last(runs: Sequence[Mapping[str, Any]], key: str) -> Floats:
    """The value at the end, a seed; of the run itself where it is no gauge of the history."""
    return np.array([run[key] if key in run else run["history"][-1][key] for run in runs], dtype=float)  # None: NaN


def gained(runs: Sequence[Mapping[str, Any]], end: str = "", share: float = 0.0) -> Floats:
    """The linear probe of the encoder that a run began with, and a share of what training added, a seed; NaN: not measured."""
    bare = np.array([run.get("linear_untrained", math.nan) for run in runs], dtype=float)
    return np.asarray(bare + share * (last(runs, f"linear{end}") - bare))


def rise(runs: Sequence[Mapping[str, Any]], key: str) -> Floats:
    """End minus the first reading, a seed."""
    values = curve(runs, key)
    known = [row[np.isfinite(row)] for row in values]
    return np.array([row[-1] - known[k][0] if known[k].size else math.nan for k, row in enumerate(values)])


def fig2(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The claims about MI over training, those whose methods are all there; a note on each says which runs failed.

    Each method is judged by the seeds that it finished; a family of methods by those that all of its methods did.
    """
    return _less_failed(_fig2(rows), rows)


def _less_failed(found: list[dict[str, Any]], rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Claims with a note on the runs that they could not be judged by, where some failed."""
    failed = [f"{label(row['name'])}, seed {row['seed']}" for row in rows if "error" in row]
    if not failed:
        return found
    said = f"Judged without the runs that failed: {'; '.join(failed)}."
    return [c | {"note": f"{c['note']} {said}".strip()} for c in found]


def _shared(runs: Runs, names: Sequence[str], of: Callable[[Sequence[Mapping[str, Any]]], Floats]) -> Floats:
    """The mean over some methods of a number, a seed that all of them finished; NaN where there is none such."""
    common = set.intersection(*({run["seed"] for run in runs[name]} for name in names))
    found = [of([run for run in runs[name] if run["seed"] in common]) for name in names] if common else []
    return np.mean(found, axis=0) if common else np.array([math.nan])


def _fig2(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    runs = grouped(rows)
    if any(name not in runs for name in FIG2):
        return []
    probed = all("linear" in run for name in FIG2 for run in runs[name])
    return [*_of_information(runs), *(_of_features(runs) if probed else [])]


def _of_information(runs: Runs) -> list[dict[str, Any]]:
    """How mutual information rises, and where it ends."""
    seeds = min(len(runs[m]) for m in FIG2)
    curves = {m: curve(runs[m], "mi_dv") for m in FIG2}
    share, of = ({m: f(values) for m, values in curves.items()} for f in (rising, steps))
    end = {e: {m: last(runs[m], f"mi_{e}") for m in FIG2} for e in ESTIMATORS}
    shares = ", ".join(f"{label(m)} {shown(share[m])}" for m in FIG2)

    def ends(estimator: str) -> dict[str, Floats]:
        return {k: _shared(runs, f, lambda some: last(some, f"mi_{estimator}")) for k, f in FAMILIES.items()}

    family = {e: ends(e) for e in ESTIMATORS}
    finals = "; ".join(
        f"{name}: " + ", ".join(f"{label(m)} {shown(end[e][m])}" for m in FIG2) for e, name in ESTIMATORS.items()
    )
    others = [m for m in SDMI_FAMILY if m != "sdmi"]
    uniform = {k: _shared(runs, f, lambda some: rising(curve(some, "mi_dv"))) for k, f in FAMILIES.items()}
    early, later = (
        _shared(runs, SDMI_FAMILY, part) for part in (lambda some: _parts(some)[0], lambda some: _parts(some)[1])
    )

    def over(them: Sequence[str], estimators: Sequence[str]) -> list[Comparison]:
        return [
            between(f"{ESTIMATORS[e]}, SDMI - {label(m)}", end[e]["sdmi"], end[e][m]) for e in estimators for m in them
        ]

    return [
        claim("sdmi_monotonic", "SDMI's MI rises near-perfectly monotonically over training", "4.3, fig. 2",
              f"share of epochs in which cos-DV does not fall: {shown(share['sdmi'])}",
              [share_above("share", share["sdmi"], RISES, of["sdmi"])]),
        claim("others_noisier", "SimSiam's, BYOL's and MoCo's MI is noisier than SDMI's", "4.3, fig. 2", shares,
              [between(f"SDMI - {label(m)}", share["sdmi"], share[m]) for m in others]),
        claim("sdmi_highest_of_its_family", "SimSiam, BYOL and MoCo end at lower MI than SDMI", "4.3, fig. 2", finals,
              over(others, OF_MI), ONLY_MI),
        claim("sdmi_highest", "SDMI reaches the highest MI under all three bounds", "4.3, discussion", finals,
              over([m for m in FIG2 if m != "sdmi"], tuple(ESTIMATORS)),
              "The caption of fig. 2 says the opposite of it: that the JMI estimates rise to much higher levels."),
        claim("jmi_higher", "JMI methods' MI rises to higher levels than SDMI methods'", "fig. 2, caption",
              "; ".join(f"{n}: JMI {shown(family[e]['JMI'])}, SDMI {shown(family[e]['SDMI'])}" for e, n in ESTIMATORS.items()),
              [between(f"{ESTIMATORS[e]}, JMI family - SDMI family", family[e]["JMI"], family[e]["SDMI"]) for e in OF_MI],
              ONLY_MI),
        claim("upward", "all methods show an overall upward MI trend", "4.3, fig. 2",
              ", ".join(f"{label(m)} {shown(rise(runs[m], 'mi_dv'))}" for m in FIG2)
              + " nats of cos-DV from the first reading to the end",
              [above(label(m), rise(runs[m], "mi_dv"), 0.0) for m in FIG2],
              "Two equal encoders (BYOL, MoCo, JMI) begin at a high MI whatever they show."),
        claim("jmi_smooth", "all JMI methods' MI rises smoothly and consistently", "4.3, fig. 2", shares,
              [share_above(label(m), share[m], RISES, of[m]) for m in JMI_FAMILY]),
        claim("jmi_more_uniform", "JMI methods' MI rises more uniformly than SDMI methods'", "fig. 2, caption", shares,
              [between("JMI family - SDMI family", uniform["JMI"], uniform["SDMI"])],
              "Of the families' means, as the caption has it; of the prototypes alone: "
              f"JMI {shown(share['jmi'])}, SDMI {shown(share['sdmi'])}."),
        claim("early_fluctuations", "SDMI methods fluctuate early, before they trend upward", "fig. 2, caption",
              "share of epochs that do not fall, first fifth and rest: " + ", ".join(
                  f"{label(m)} " + ", ".join("?" if np.isnan(p).all() else f"{p.mean():.2f}" for p in _parts(runs[m]))
                  for m in SDMI_FAMILY),
              [between("SDMI family, rest - first fifth", later, early)],
              "Of the family's mean, as the caption has it."),
        claim("below_ceilings", "no reading exceeds the ceiling of its estimate", "infomax",
              ", ".join(f"{n}: nearest {_room(runs, e).min():.3g} nats below" for e, n in ESTIMATORS.items()),
              [_below_ceiling(n, _room(runs, e), seeds) for e, n in ESTIMATORS.items()]),
    ]  # fmt: skip


def _of_features(runs: Runs) -> list[dict[str, Any]]:
    """What the features are worth beside it, and whether these runs, which are healthy, were left alone."""
    seeds = min(len(runs[m]) for m in FIG2)
    dv = {m: last(runs[m], "mi_dv") for m in FIG2}
    probe = {m: last(runs[m], "linear") for m in FIG2}
    began = gained(runs["sdmi"])
    probes = (
        "linear probe, %: "
        + f"untrained {shown(began)}, " * bool(np.isfinite(began).all())
        + ", ".join(f"{label(m)} {shown(probe[m])}" for m in FIG2)
    )
    most = max(FIG2, key=lambda m: dv[m].mean())
    best = max((m for m in FIG2 if m != most), key=lambda m: probe[m].mean())
    second = last(runs["sdmi"], "linear_g")
    flags = sum(run["flagged"] is not None for m in FIG2 for run in runs[m])
    return [
        claim("mi_is_not_accuracy", "the highest MI does not give the best features", "4.3, discussion",
              f"most cos-DV: {label(most)} {shown(dv[most])}; {probes}",
              [between(f"{label(best)} - {label(most)}", probe[best], probe[most], among=len(FIG2) - 1)],
              f"{label(best)} was picked for being the best of the {len(FIG2) - 1} others, which its interval allows for."),
        claim("prototypes_competitive", "the SDMI and JMI prototypes are competitive with the established methods",
              "4.3, table 1", f"{probes}; at most {COMPETITIVE} points behind each counts",
              [between(f"{label(p)} - ({label(m)} - {COMPETITIVE})", probe[p], probe[m], COMPETITIVE)
               for p in PROTOTYPES for m in FIG2 if m not in PROTOTYPES]
              + [between(f"{label(p)} - untrained encoder", probe[p], gained(runs[p])) for p in PROTOTYPES],
              "By the gap that the paper itself calls competitive, on other data than the paper's; and above the encoder that "
              "the runs began with, which can be as near."),
        claim("f_and_g_alike", "SDMI's two encoders are equally good (within a point)", "table 1",
              f"f {shown(probe['sdmi'])}, g {shown(second)} %",
              [within("|f - g|", probe["sdmi"], second, 1.0)], "Seed by seed."),
        claim("no_healthy_run_flagged", "the collapse detector leaves healthy runs alone", "infomax",
              f"{flags} of {many(sum(len(runs[m]) for m in FIG2), 'run')} flagged",
              [_had_time(never("runs flagged", flags, seeds), [run for m in FIG2 for run in runs[m]], stayed=True)]),
    ]  # fmt: skip


def _parts(runs: Sequence[Mapping[str, Any]]) -> tuple[Floats, Floats]:
    """Share of epochs that do not fall, in the first fifth (at least two readings) and in the rest."""
    values = curve(runs, "mi_dv")
    cut = max(2, values.shape[1] // 5)
    return rising(values[:, : cut + 1]), rising(values[:, cut:])


def _room(runs: Runs, estimator: str) -> Floats:
    """Ceiling minus reading, wherever there is one."""
    rows = [row for name in FIG2 for run in runs[name] for row in run["history"] if row[f"mi_{estimator}"] is not None]
    return np.array([row[f"ceiling_{estimator}"] - row[f"mi_{estimator}"] for row in rows])


def _below_ceiling(name: str, room: Floats, seeds: int) -> Comparison:
    """That no reading of an estimator exceeds its ceiling: one that does refutes it; of one seed, as by `never`."""
    least = float(room.min())
    return Comparison(f"{name}, ceiling - reading", least, 0.0 if least < 0 or seeds > 1 else math.nan)


def fig7(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The claims about ablations, those whose runs are all there; a note on each says which runs failed."""
    runs = grouped(rows)
    found: list[dict[str, Any]] = []
    if all(name in runs for name in ("sdmi", "sdmi_nodv", "sdmi_nodv_pred")):
        found += _fig7a(runs)
    if all(name in runs for name in ("simsiam", "simsiam_no_predictor", "simsiam_sdmi")):
        found += _fig7b(runs)
    if len(found) > 5:
        found.append(_flagged_early(runs))
    return _less_failed(found, rows)


def _flagged_early(runs: Runs) -> dict[str, Any]:
    """Whether the runs that collapsed were flagged in time; not decidable where none did."""
    pairs = {"sdmi_nodv": "sdmi", "simsiam_no_predictor": "simsiam"}
    whole = {name: [run["history"][-1] for run in runs[base]] for name, base in pairs.items()}
    bare = [run for name in pairs for run in runs[name] if collapsed(run["history"][-1], whole[name])]
    late = sum(run["flagged"] is None or run["flagged"] > EARLY for run in bare)
    listed = ", ".join("never" if run["flagged"] is None else f"{run['flagged']:.2f}" for run in bare)
    seeds = len({run["seed"] for run in bare})
    return claim(
        "collapse_flagged_early",
        "every collapsing ablation is flagged in the first fifth of training",
        "infomax",
        f"{len(bare) - late} of {len(bare)}; after shares of the run: {listed}" if bare else "no ablation collapsed",
        [never("runs not flagged in time", late, seeds)] if bare else [],
    )


def _gauges(runs: Sequence[Mapping[str, Any]], second: bool = False) -> str:
    std, rank = ("std_g", "rank_g") if second else ("std", "effective_rank")
    return f"std {shown(last(runs, std))}, effective rank {shown(last(runs, rank), 1)}"


def _probe_claims(
    names: tuple[str, str, str],
    words: tuple[str, str, str],
    where: str,
    margin: float,
    runs: Runs,
    sides: Sequence[str],
) -> list[dict[str, Any]]:
    """Whether the probe falls in the bare variant and comes back in the mended one."""
    whole, bare, mended = names
    if any("linear" not in run for name in names for run in runs[name]):
        return []
    probe = {(n, s): last(runs[n], f"linear{s}") for n in names for s in sides}
    of = {"": "f", "_g": "g"}
    bare_one = gained(runs[whole])
    said = f"untrained {shown(bare_one)}; " * bool(np.isfinite(bare_one).all()) + "; ".join(
        f"{label(n)} " + ", ".join((f"{of[s]} " if len(sides) > 1 else "") + shown(probe[n, s]) for s in sides)
        for n in names
    )
    return [
        claim(f"{words[0]}_probe_falls", f"{words[1]}: so says the linear probe", where, f"linear probe, %: {said}",
              [between(f"half of what training gives {label(whole)} - {label(bare)} ({of[s]})",
                       gained(runs[whole], s, LOST), probe[bare, s]) for s in sides],
              "Collapsed: more than half of what training gives the whole method over the untrained encoder is lost. The probe "
              "reads the encoder before the projector, which need not collapse with it."),
        claim(f"{words[0]}_probe_recovers", f"{words[2]} recovers its accuracy (within {margin:g} points)", where,
              f"linear probe, %: {said}",
              [between(f"{label(mended)} - ({label(whole)} - {margin:g}) ({of[s]})", probe[mended, s], probe[whole, s], margin)
               for s in sides]
              + [between(f"{label(mended)} - {label(bare)} ({of[s]})", probe[mended, s], probe[bare, s]) for s in sides],
              "And lies above what it mends: where nothing was lost, nothing recovers."),
    ]  # fmt: skip


def _stands(runs: Sequence[Mapping[str, Any]], whole: Sequence[Mapping[str, Any]]) -> Comparison:
    """That no run ended collapsed, as the bare variants do."""
    ends = [run["history"][-1] for run in whole]
    return never("runs that ended collapsed", sum(collapsed(run["history"][-1], ends) for run in runs), len(runs))


def _fell(bare: Sequence[Mapping[str, Any]], whole: Sequence[Mapping[str, Any]]) -> Comparison:
    """That most runs without the guard ended collapsed; where they did not, nothing was there to prevent."""
    ends = [run["history"][-1] for run in whole]
    most = sum(collapsed(run["history"][-1], ends) for run in bare) - len(bare) / 2
    return Comparison("collapses without it - half of its runs", most, 0.0 if most > 0 and len(bare) > 1 else math.nan)


def _had_time(comparison: Comparison, runs: Sequence[Mapping[str, Any]], stayed: bool = False) -> Comparison:
    """A comparison by which runs of too few updates do not say that nothing has happened: negative, or positive if `stayed`."""
    # results of before do not count them; those that are kept had 300 an encoder
    short = min(run.get("updates", math.inf) for run in runs) < SHORT
    if not short or (comparison.difference > 0) != stayed:
        return comparison
    return comparison._replace(error=math.nan, why=f"tells nothing: under {SHORT} updates of an encoder")


def _fig7a(runs: Runs) -> list[dict[str, Any]]:
    bare, mended = runs["sdmi_nodv"], runs["sdmi_nodv_pred"]
    g_too = "std_g" in bare[0]
    sides = ("", "_g") if "linear_g" in bare[0] else ("",)
    keys = ["std", "std_g"] if g_too else ["std"]
    return [
        claim("nodv_collapses", "SDMI without its marginal collapses, f and g", "fig. 7(a), D.2.2",
              f"f: {_gauges(bare)}" + (f"; g: {_gauges(bare, True)}" if g_too else "")
              + f"; SDMI itself: {_gauges(runs['sdmi'])}",
              [_had_time(below(f"{k} of {label('sdmi_nodv')}", last(bare, k), COLLAPSED_STD), bare) for k in keys],
              f"Of the embedding behind the projector; collapsed: std below {COLLAPSED_STD}. Fewer than {SHORT} updates "
              "of an encoder refute nothing."),
        claim("predictors_prevent", "predictors in the marginal's place prevent the collapse, f and g", "fig. 7(a), D.2.2",
              f"f: {_gauges(mended)}" + (f"; g: {_gauges(mended, True)}" if g_too else ""),
              [above(f"{k}", last(mended, k), COLLAPSED_STD) for k in keys]
              + [_stands(mended, runs["sdmi"]), _fell(bare, runs["sdmi"])]),
        *_probe_claims(("sdmi", "sdmi_nodv", "sdmi_nodv_pred"),
                       ("nodv", "SDMI without its marginal collapses", "SDMI with predictors in place of its marginal"),
                       "fig. 7(a)", COMPETITIVE, runs, sides),
    ]  # fmt: skip


def _fig7b(runs: Runs) -> list[dict[str, Any]]:
    whole, bare, mended = runs["simsiam"], runs["simsiam_no_predictor"], runs["simsiam_sdmi"]
    ranks = [last(each, "effective_rank") for each in (whole, bare)]
    ends = [run["history"][-1] for run in whole]
    still = sum(not collapsed(run["history"][-1], ends) for run in bare)
    return [
        claim("no_predictor_collapses", "SimSiam without its predictor collapses", "fig. 7(b), D.2.2",
              f"{_gauges(bare)}; SimSiam itself: {_gauges(whole)}",
              [_had_time(never("runs that did not end collapsed", still, len(bare)), bare)],
              f"Collapsed: std below {COLLAPSED_STD}, or std or effective rank below a quarter of SimSiam's own. The last "
              "batch norm of its projector keeps each column's variance, so that it can show in the effective rank alone."),
        claim("no_predictor_loses_rank", "SimSiam without its predictor loses directions of its embedding", "infomax",
              f"effective rank {shown(ranks[1], 1)}, SimSiam {shown(ranks[0], 1)}",
              [between("SimSiam - no predictor", ranks[0], ranks[1])]),
        claim("cos_dv_prevents", "cos-DV in place of the predictor prevents SimSiam's collapse", "fig. 7(b), D.2.2",
              _gauges(mended),
              [above("std", last(mended, "std"), COLLAPSED_STD), _stands(mended, whole), _fell(bare, whole)]),
        *_probe_claims(("simsiam", "simsiam_no_predictor", "simsiam_sdmi"),
                       ("no_predictor", "SimSiam without its predictor collapses", "SimSiam with cos-DV"),
                       "fig. 7(b)", RECOVERS, runs, ("",)),
    ]  # fmt: skip
