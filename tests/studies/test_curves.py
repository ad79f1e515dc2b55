"""Figs. 2 and 7: claims are judged by figures, a run that fails is recorded, and the whole runs from end to end."""

import itertools
import json
import math
import os
import re
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from infomax import encoders, methods
from infomax.cli import main
from infomax.data import load
from infomax.errors import ConfigError, DataError
from infomax.evaluate.features import features
from infomax.studies import collapse, curves, origin, periodic, pool, verdict
from infomax.studies.curves import judge, page
from infomax.studies.curves import train as curves_train
from infomax.studies.curves.plan import BUDGETS, FIG2, FIG7, JMI_FAMILY, PreviousEpoch, build, cells
from infomax.studies.curves.train import flagged, halves, run_cell, some_of, untrained_probe
from infomax.studies.origin import commit, typed
from infomax.studies.verdict import judged
from infomax.training import train
from infomax.training.defaults import dataset, encoder_for

CEILINGS = {"ceiling_dv": 10.0, "ceiling_infonce": 6.9, "ceiling_jsd": 0.0}


def history(values, std=0.9, rank=20.0):
    gauges = {"std": std, "effective_rank": rank} | CEILINGS
    return [
        {"epoch": e, "mi_dv": v, "mi_infonce": v, "mi_jsd": None if v is None else v - 20} | gauges
        for e, v in enumerate(values)
    ]


def synthetic(ends, wobble=(), linear=None, readings=41, **gauges):
    """Runs of three seeds that climb to `ends[name]`; those in `wobble` fall every second epoch."""
    rows = []
    for name, end in ends.items():
        for seed in range(3):
            values = np.linspace(0.0, end + 0.01 * seed, readings)
            if name in wobble:
                values[1 : readings - 2 * seed : 2] += 0.5
            accuracy = {"linear": 95.0 + 0.1 * seed} if linear is None else {"linear": linear[name] + 0.1 * seed}
            accuracy["linear_untrained"] = 15.0 + 0.1 * seed
            if name.startswith("sdmi"):
                accuracy["linear_g"] = accuracy["linear"] - 0.01 * seed
            rows.append(
                {"name": name, "seed": seed, "flagged": None}
                | accuracy
                | {"history": history(values.tolist(), **gauges)}
            )
    return rows


def verdicts(claims):
    return {c["name"]: c["verdict"] for c in claims}


def test_fig2_is_judged_by_its_curves():
    ends = dict.fromkeys(FIG2, 2.0) | {"sdmi": 3.0} | dict.fromkeys(JMI_FAMILY, 5.0)
    found = verdicts(judge.fig2(synthetic(ends, wobble=("simsiam", "byol", "moco_v3"))))
    assert found["sdmi_monotonic"] == "holds"
    assert found["others_noisier"] == "holds"
    assert found["sdmi_highest_of_its_family"] == "holds"
    assert found["sdmi_highest"] == "does not hold"
    assert found["jmi_higher"] == "holds"
    assert found["upward"] == "holds"
    assert found["jmi_smooth"] == "holds"
    assert found["below_ceilings"] == "holds"
    assert found["f_and_g_alike"] == "holds"

    turned = dict.fromkeys(FIG2, 5.0) | {"sdmi": 6.0, "byol": -1.0} | dict.fromkeys(JMI_FAMILY, 5.0)
    found = verdicts(judge.fig2(synthetic(turned, wobble=("sdmi", *JMI_FAMILY))))
    assert found["sdmi_monotonic"] == "does not hold"
    assert found["sdmi_highest"] == "holds"
    assert found["upward"] == "does not hold"
    assert found["jmi_smooth"] == "does not hold"


def test_curves_of_a_few_epochs_that_all_rise_are_not_called_monotonic():
    """Of three seeds of four steps each all twelve may rise by chance, of a curve that falls in every tenth, too."""
    ends = dict.fromkeys(FIG2, 2.0)
    (found,) = (c for c in judge.fig2(synthetic(ends, readings=5)) if c["name"] == "sdmi_monotonic")
    assert found["verdict"] == "not decidable" and found["judged_by"][0]["error"] is None
    assert judged(found) == "share - 0.95 = 0.05 (all seeds alike, and 12 steps together are too few to tell)"
    assert verdicts(judge.fig2(synthetic(ends, readings=5)))["jmi_smooth"] == "not decidable"
    assert verdicts(judge.fig2(synthetic(ends)))["jmi_smooth"] == "holds"


def test_what_lies_within_the_noise_is_not_decided():
    rows = synthetic(dict.fromkeys(FIG2, 2.0))
    assert verdicts(judge.fig2(rows))["sdmi_highest_of_its_family"] == "not decidable"
    alone = [r for r in synthetic(dict.fromkeys(FIG2, 2.0) | {"sdmi": 6.0}) if r["seed"] == 0]
    assert set(verdicts(judge.fig2(alone)).values()) == {"not decidable"}  # one seed has no spread
    flagged_once = [r | {"flagged": 0.1} if r["name"] == "byol" else r for r in alone]
    assert verdicts(judge.fig2(flagged_once))["no_healthy_run_flagged"] == "does not hold"
    above = [r for r in synthetic(dict.fromkeys(FIG2, 7.5)) if r["seed"] == 0]
    assert verdicts(judge.fig2(above))["below_ceilings"] == "does not hold"  # one case refutes what is said of all


def test_the_highest_mi_may_give_the_best_features():
    """The method that reads most is held against the best of the others: ahead of them it refutes the claim."""
    ends = dict.fromkeys(FIG2, 2.0) | {"jmi": 4.0}
    for jmi, said in ((99.0, "does not hold"), (90.0, "holds"), (95.0, "not decidable")):
        (row,) = (
            c
            for c in judge.fig2(synthetic(ends, linear=dict.fromkeys(FIG2, 95.0) | {"jmi": jmi}))
            if c["name"] == "mi_is_not_accuracy"
        )
        assert row["verdict"] == said


def test_a_reading_above_its_ceiling_is_noticed():
    assert verdicts(judge.fig2(synthetic(dict.fromkeys(FIG2, 7.5))))["below_ceilings"] == "does not hold"


def test_readings_that_are_missing_decide_nothing():
    rows = synthetic(dict.fromkeys(FIG2, 2.0))
    blank = [r | {"history": history([None] * 21)} if r["name"] == "byol" else r for r in rows]
    found = verdicts(judge.fig2(blank))
    assert found["upward"] == found["sdmi_highest_of_its_family"] == "not decidable"


def test_a_claim_whose_methods_failed_is_not_judged():
    rows = synthetic(dict.fromkeys(FIG2, 2.0))
    failed = [{"name": r["name"], "seed": r["seed"], "error": "NaN"} if r["name"] == "byol" else r for r in rows]
    assert judge.fig2(failed) == []


def failing(rows, *those):
    return [
        {"name": r["name"], "seed": r["seed"], "error": "NaN"} if (r["name"], r["seed"]) in those else r for r in rows
    ]


def test_seeds_that_failed_are_left_out_and_named():
    rows = synthetic(dict.fromkeys(FIG2, 2.0) | {"sdmi": 3.0} | dict.fromkeys(JMI_FAMILY, 5.0))
    some = judge.fig2(failing(rows, ("byol", 1), ("vicreg", 0)))
    assert verdicts(some) == verdicts(judge.fig2(rows))
    assert all(c["note"].endswith("runs that failed: BYOL, seed 1; VICReg, seed 0.") for c in some)
    assert not any("failed" in c["note"] for c in judge.fig2(rows))
    (family,) = (c for c in some if c["name"] == "jmi_higher")
    assert family["judged_by"][0]["difference"] == pytest.approx(5.015 - 2.26)  # JMI's: seeds 1 and 2; SDMI's: 0 and 2
    apart = judge.fig2(failing(rows, ("byol", 0), ("moco_v3", 1), ("simsiam", 2)))  # no seed that all four finished
    assert verdicts(apart)["jmi_higher"] == "not decidable" and verdicts(apart)["sdmi_highest"] == "does not hold"
    json.dumps(apart, allow_nan=False)
    found = judge.fig7(failing(ablations(0.02, 20.0, 0.1), ("sdmi", 2), ("simsiam_sdmi", 0)))
    assert set(verdicts(found).values()) == {"holds"} and "seed 2" in found[0]["note"]


def test_what_was_run_is_kept_whatever_its_judge_meets(tmp_path, monkeypatch):
    rows = failing(synthetic(dict.fromkeys(FIG2, 2.0)), ("byol", 1))
    monkeypatch.setattr(
        curves, "run_cell", lambda c: next(r for r in rows if (r["name"], r["seed"]) == (c.name, c.seed))
    )
    found = small(tmp_path / "some", curves.fig2, seeds=3)
    assert "failed: byol, seed 1: NaN" in curves.as_text(found) and found["claims"]
    assert found["commit"] == commit()
    assert {p.name for p in (tmp_path / "some").iterdir()} == {"results.json", "fig2.png", "index.html"}
    monkeypatch.setitem(curves.JUDGES, "fig2", lambda rows: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        small(tmp_path / "kept", curves.fig2, seeds=3)
    assert json.loads((tmp_path / "kept" / "results.json").read_text())["rows"] == found["rows"]


def ablations(bare_std, bare_linear, found_after):
    linear = dict.fromkeys(FIG7, 96.0) | {"sdmi_nodv": bare_linear, "simsiam_no_predictor": bare_linear}
    rows = []
    for r in synthetic(dict.fromkeys(FIG7, 2.0), linear=linear):
        bare = r["name"] in ("sdmi_nodv", "simsiam_no_predictor")
        noise = 0.001 * r["seed"]
        std = (bare_std if bare else 0.9) + noise
        shape = history([0.0, 1.0, 2.0], std=std, rank=(1.2 if bare else 20.0) + noise)
        rows.append(r | {"history": shape, "flagged": found_after if bare else None, "std_g": std, "rank_g": 5.0})
    return rows


def test_fig7_is_judged_by_its_gauges_and_probes():
    found = verdicts(judge.fig7(ablations(0.02, 20.0, 0.1)))
    assert set(found.values()) == {"holds"} and len(found) == 10
    found = verdicts(judge.fig7(ablations(0.5, 96.0, None)))
    assert found["nodv_collapses"] == found["nodv_probe_falls"] == "does not hold"
    assert (
        found["no_predictor_collapses"] == "holds"
    )  # as in `collapse_flagged_early`: its std stands, its directions are gone
    assert found["collapse_flagged_early"] == "does not hold"
    assert found["predictors_prevent"] == found["cos_dv_prevents"] == "holds"


def test_what_hardly_trained_refutes_no_collapse_and_prevents_none():
    open_ones = history([0.0, 1.0], std=0.5, rank=15.0)
    short = [row | {"updates": 2, "history": open_ones} for row in ablations(0.5, 96.0, None)]
    found = verdicts(judge.fig7(short))
    collapses = [name for name in found if "collapses" in name or "prevent" in name]
    assert len(collapses) == 4 and {found[name] for name in collapses} == {"not decidable"}
    (row,) = [c for c in judge.fig7(short) if c["name"] == "nodv_collapses"]
    assert judged(row).count("(tells nothing: under 100 updates of an encoder)") == 2 and "?" not in judged(row)
    found = verdicts(judge.fig7([row | {"updates": 300} for row in short]))
    assert found["nodv_collapses"] == "does not hold" and found["predictors_prevent"] == "not decidable"


def test_where_no_ablation_collapsed_nothing_is_said_of_its_flag():
    rows = [r | {"history": history([0.0, 1.0], std=0.5, rank=15.0)} for r in ablations(0.5, 96.0, None)]
    assert verdicts(judge.fig7(rows))["no_predictor_collapses"] == "does not hold"
    (found,) = (c for c in judge.fig7(rows) if c["name"] == "collapse_flagged_early")
    assert found["verdict"] == "not decidable" and found["measured"] == "no ablation collapsed"
    one = [r for r in ablations(0.02, 20.0, 0.1) if r["seed"] == 0]
    assert verdicts(judge.fig7(one))["collapse_flagged_early"] == "not decidable"
    late = [r for r in ablations(0.02, 20.0, 0.5) if r["seed"] == 0]
    assert verdicts(judge.fig7(late))["collapse_flagged_early"] == "does not hold"


@pytest.mark.parametrize("name", ["fig2-digits", "fig2-cifar10-jpeg-copy", "fig7-digits", "fig7-cifar10-jpeg-copy"])
def test_the_verdicts_that_are_kept_are_those_of_the_judge(name):
    kept = json.loads((Path(__file__).parents[2] / "results" / f"{name}.json").read_text())
    assert verdicts(curves.JUDGES[name[:4]](kept["rows"])) == verdicts(kept["claims"])


def test_what_mends_is_held_to_the_bar_of_what_it_mends():
    """A mended variant whose directions are gone has collapsed as the bare one has, whatever its std."""
    rows = [
        r | {"history": history([0.0, 1.0, 2.0], std=0.9, rank=3.0)}
        if r["name"] in ("sdmi_nodv_pred", "simsiam_sdmi")
        else r
        for r in ablations(0.02, 20.0, 0.1)
    ]
    found = verdicts(judge.fig7(rows))
    assert found["predictors_prevent"] == found["cos_dv_prevents"] == "does not hold"


def test_a_late_flag_is_too_late():
    assert verdicts(judge.fig7(ablations(0.02, 20.0, 0.5)))["collapse_flagged_early"] == "does not hold"


def test_verdicts():
    near = verdict.between("a - b", [1.0, 1.2, 0.8], [0.9, 1.1, 1.0])
    far = verdict.between("a - b", [3.0, 3.1, 3.2], [1.0, 1.1, 1.0])
    assert (near.verdict, far.verdict) == ("not decidable", "holds")
    assert verdict.verdict([far, near]) == "not decidable"
    assert verdict.verdict([far, near, verdict.below("b", [5.0, 5.1, 5.0], 1.0)]) == "does not hold"
    assert verdict.verdict([]) == "not decidable"
    row = verdict.claim("n", "says", "4.3", "seen", [verdict.above("x", [2.0], 1.0)])
    assert row["verdict"] == "not decidable" and row["judged_by"][0]["error"] is None
    assert "x - 1 = 1 ± ?" in verdict.judged(row)
    json.dumps(row, allow_nan=False)


def test_seeds_that_agree_decide_nothing_of_accuracies():
    """97.75 against 97.46 is one test image of 355; what was counted decides."""
    assert verdict.between("a - b", [97.75] * 3, [97.46] * 3).verdict == "not decidable"
    assert verdict.within("|f - g|", [97.75, 98.03, 97.46], [97.46, 97.74, 97.17], 1.0).verdict == "not decidable"
    assert verdict.between("a - b", [97.75] * 3, [90.0, 90.3, 90.0]).verdict == "holds"
    assert verdict.never("runs flagged", 0, 3).verdict == "holds"


def test_few_seeds_and_many_differences_do_not_refute_what_is_so():
    """Claims whose every difference is truly 0 or more: of one difference of two groups of three seeds, and of twenty."""
    draw = np.random.default_rng(0)

    def share(many, lead=0.0, trials=400):
        made = (
            [verdict.between("", lead + draw.normal(size=3), draw.normal(size=3)) for _ in range(many)]
            for _ in range(trials)
        )
        said = [verdict.verdict(some) for some in made]
        return said.count("does not hold") / trials, said.count("holds") / trials

    refuted, confirmed = share(1)
    assert refuted < 0.05 and confirmed < 0.05  # two standard errors of three seeds: 0.06 each
    assert share(20)[0] < 0.05  # two standard errors: two of three such claims
    assert share(20, lead=9.0)[1] > 0.9  # and what is far off is decided


def test_the_best_of_many_is_held_to_the_interval_of_one_that_was_picked():
    draw = np.random.default_rng(1)
    said = []
    for _ in range(300):
        groups = draw.normal(size=(9, 10))
        best = max(groups[1:], key=np.mean)
        said.append(verdict.between("best - first", best, groups[0], among=8).verdict)
    assert said.count("holds") / 300 < 0.05


def test_what_lost_nothing_recovers_nothing():
    """On saturated data an ablation that collapsed lies within the margin too: no recovery is to be seen."""
    found = verdicts(judge.fig7(ablations(0.02, 96.0, 0.1)))
    assert found["nodv_probe_falls"] == "does not hold"
    assert found["nodv_probe_recovers"] == found["no_predictor_probe_recovers"] == "not decidable"
    assert verdicts(judge.fig7(ablations(0.02, 20.0, 0.1)))["nodv_probe_recovers"] == "holds"


def test_a_probe_is_measured_from_the_untrained_encoder():
    """Where training gives a probe two points, a loss of ten cannot be asked for, and to be near the best says nothing."""
    near = [r | {"linear_untrained": 95.0} for r in ablations(0.02, 95.05, 0.1)]  # the whole method reads 96
    assert verdicts(judge.fig7(near))["nodv_probe_falls"] == "holds"
    unknown = [{k: v for k, v in r.items() if k != "linear_untrained"} for r in ablations(0.02, 20.0, 0.1)]
    assert verdicts(judge.fig7(unknown))["nodv_probe_falls"] == "not decidable"
    rows = synthetic(dict.fromkeys(FIG2, 2.0))
    assert verdicts(judge.fig2(rows))["prototypes_competitive"] == "holds"
    as_good = [r | {"linear_untrained": r["linear"]} for r in rows]
    assert verdicts(judge.fig2(as_good))["prototypes_competitive"] == "not decidable"


def test_the_probe_of_the_untrained_encoder_is_that_of_the_runs_beginning():
    data = some_of(dataset("digits", None), 200)
    torch.manual_seed(3)
    encoder = build("sdmi", encoder_for(data, "auto", None), small=True).encoder
    assert untrained_probe(data, "auto", None, 3) == curves_train.probed(encoder, *halves(data), 3)["linear"]


def test_no_method_is_compared_with_itself():
    rows = synthetic(dict.fromkeys(FIG2, 2.0), linear=dict.fromkeys(FIG2, 90.0) | {"sdmi": 95.0})
    (found,) = (c for c in judge.fig2(rows) if c["name"] == "prototypes_competitive")
    assert len(found["judged_by"]) == 14 and not any(c["what"].startswith("SDMI - (SDMI") for c in found["judged_by"])


def test_families_are_compared_as_families():
    """Fig. 2's caption speaks of its two rows of curves: one method that is as smooth as none refutes nothing."""
    ends = dict.fromkeys(FIG2, 3.0)
    found = verdicts(judge.fig2(synthetic(ends, wobble=("simsiam", "byol", "moco_v3"))))
    assert found["jmi_more_uniform"] == "holds"  # though SDMI itself rises as uniformly as JMI


def test_a_warning_says_when():
    assert flagged(["in epoch 2, at update 6 of 60: std", "'x' is collapsing in epoch 1: std"], 10) == 0.1


def test_simsiam_trains_as_ever_and_is_read_against_the_epoch_before():
    histories, ends = [], []
    for target in (None, PreviousEpoch()):
        torch.manual_seed(0)
        learner = methods.simsiam(encoders.get("toy"), projector=(4,), predictor=(8,))
        learner = learner if target is None else learner.edit(target=target)
        run = train(learner, "gaussians", epochs=3, batch_size=1024, progress=False)
        histories.append([row["mi_dv"] for row in run.history])
        ends.append([p.clone() for p in learner.f.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))
    assert all(a != b for a, b in zip(*histories, strict=True))


def test_the_second_branch_is_one_epoch_old():
    learner = methods.simsiam(encoders.get("toy"), projector=(4,), predictor=(8,)).edit(target=PreviousEpoch())
    seen = []
    untouched = learner.target.m_step

    def m_step(f, g, clock):
        untouched(f, g, clock)
        if (clock.step + 1) % clock.steps_per_epoch == 0:
            seen.append([{k: v.clone() for k, v in m.state_dict().items()} for m in (f, g)])

    learner.target.m_step = m_step
    train(learner, "gaussians", epochs=3, batch_size=1024, progress=False)
    for (before, _), (_, held) in itertools.pairwise(seen):
        assert all(torch.equal(before[k], held[k]) for k in before)


def test_the_ablations_are_what_they_are_called():
    words = {n: [type(m).__name__ for m in build(n, encoders.get("toy")).marginals] for n in FIG7}
    assert words["sdmi_nodv"] == words["simsiam_no_predictor"] == []
    assert words["sdmi_nodv_pred"] == words["simsiam"] == ["Predictor"]
    assert words["simsiam_sdmi"] == words["sdmi"] == ["DonskerVaradhan"]
    assert build("sdmi_nodv_pred", encoders.get("toy")).marginals[0].twin is not None
    assert all(build(n, encoders.get("toy"), small=False) for n in FIG2)
    with pytest.raises(ConfigError, match="did you mean 'simsiam'"):
        build("simsam", encoders.get("toy"))


def test_a_part_of_the_data_keeps_labels_and_test():
    whole = dataset("digits")
    part = some_of(whole, 100)
    assert len(part) == 100 and len(torch.unique(part.labels)) == 10 and part.mean == whole.mean
    assert len(halves(part)[1]) == 355
    assert some_of(whole, 10**6) is whole


def test_a_test_part_without_labels_is_none(tmp_path):
    from PIL import Image

    numbers = np.random.default_rng(0)
    for folder in ("train/a", "train/b", "test"):
        (tmp_path / folder).mkdir(parents=True)
        for k in range(10):
            Image.fromarray(numbers.integers(0, 256, (8, 8), np.uint8)).save(tmp_path / folder / f"{k}.png")
    data = dataset(str(tmp_path))
    assert halves(data) == (data, None)
    assert set(curves_train.probed(encoder_for(data), *halves(data), 0)) >= {"linear", "knn"}


def small(out, which=curves.fig7, **changes):
    return which(out, **{"seeds": 2, "epochs": 2, "samples": 200, "workers": 1, "progress": False} | changes)


def test_fig7_end_to_end_in_small(tmp_path, monkeypatch):
    broken = "simsiam_sdmi"
    monkeypatch.setattr(curves, "run_cell", lambda cell: 1 / 0 if cell.name == broken else run_cell(cell))
    found = small(tmp_path / "out")
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == json.loads(json.dumps(found))
    assert [(r["name"], r["seed"]) for r in found["rows"]] == [(n, s) for n in FIG7 for s in (0, 1)]
    errors = {r["name"] for r in found["rows"] if "error" in r}
    assert errors == {broken}
    whole = found["rows"][0]
    assert [row["epoch"] for row in whole["history"]] == [0, 1, 2]
    assert {"linear", "linear_g", "knn_g", "std_g", "cpu_seconds"} <= whole.keys()
    assert {c["name"] for c in found["claims"]} >= {"nodv_collapses", "nodv_probe_falls", "predictors_prevent"}
    assert not any(c["name"].startswith("no_predictor") for c in found["claims"])
    page = (tmp_path / "out" / "index.html").read_text()
    assert "ZeroDivisionError" in page and "Plotly" in page
    assert (tmp_path / "out" / "fig7.png").read_bytes().startswith(b"\x89PNG")
    assert "failed: simsiam_sdmi" in curves.as_text(found)
    with pytest.raises(ConfigError, match="nothing is overwritten"):
        small(tmp_path / "out")


@pytest.mark.parametrize(("name", "passes"), [("sdmi", 2), ("jmi", 1)])
def test_updates_are_those_of_an_encoder(monkeypatch, name, passes):
    steps = []
    monkeypatch.setattr(curves_train, "probed", lambda *_: {"linear": 0.0})
    plan = replace(BUDGETS["minutes"], epochs=2, samples=64, batch_size=32)
    cell = next(c for c in cells((name,), "digits", None, plan, "cpu") if c.seed == 0)
    hook = register_optimizer_step_post_hook(lambda *_: steps.append(1))
    try:
        found = curves_train.run_cell(cell)
    finally:
        hook.remove()
    assert found["updates"] == 4 and len(steps) == passes * found["updates"]


def test_a_page_says_how_many_samples_there_were(tmp_path, monkeypatch):
    monkeypatch.setattr(curves, "run_cell", lambda cell: 1 / 0)
    found = small(tmp_path / "out", seeds=1, samples=2000)
    assert found["settings"]["samples"] == 2000 and found["settings"]["trained_on"] == 1442
    told = page.settings_told(found)
    assert told["samples"] == "1442 (all; at most 2000)" and "trained_on" not in told
    kept = {"settings": {"samples": 2000}, "rows": [{"error": "no"}, {"samples": 1442}]}  # by an earlier version
    assert page.settings_told(kept) == {"samples": "1442 (all; at most 2000)"}
    assert page.settings_told({"settings": {"samples": 64, "trained_on": 64}, "rows": []}) == {"samples": 64}
    with pytest.raises(ConfigError, match=r"ended \(samples 2000, not 1500\)"):
        small(tmp_path / "out", seeds=1, samples=1500)


def test_fig2_draws_simsiam_from_epoch_1(tmp_path):
    found = small(tmp_path / "out", curves.fig2, seeds=1, samples=64)
    assert "2 epochs, 1 seed: of" in (tmp_path / "out" / "index.html").read_text()
    first = {r["name"]: r["history"][0]["mi_dv"] for r in found["rows"]}
    assert first["simsiam"] is None and all(math.isfinite(v) for m, v in first.items() if m != "simsiam")
    assert {c["verdict"] for c in found["claims"] if c["source"] != "infomax"} == {"not decidable"}  # one seed


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"budget": "minuets"}, "minutes"),
        ({"seeds": 0}, "at least 1"),
        ({"epochs": 1}, "at least 2"),
        ({"size": 3}, "size=3: give at least 4"),
        ({"size": 8, "data": "gaussians"}, "size=8: gaussians are no images"),
        ({"encoder": "resnet19"}, "no encoder 'resnet19'"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_made(tmp_path, options, says):
    with pytest.raises(ConfigError, match=says):
        curves.fig2(tmp_path / "out", **options)
    with pytest.raises(DataError):
        curves.fig2(tmp_path / "out", data="no-such-data")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("figure", ["fig2", "fig7"])
def test_the_help_says_what_the_least_is(capsys, figure):
    assert main(["study", figure, "--help"]) == 0
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for name, least in curves.LEAST.items():
        own = re.search(rf"--{name} (.*?)(?= --[a-z]|$)", said)
        assert least == 1 or f"at least {least}" in own[1], own[1]


def test_views_and_probe_have_the_size_that_is_asked(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(curves_train, "features", lambda *a, **k: seen.append(a[2]) or features(*a, **k))
    kept = {}
    for size in (None, 12):
        plan = replace(BUDGETS["minutes"], epochs=2, samples=64, size=size)
        cell = next(c for c in cells(("jmi",), "digits", None, plan, "cpu") if c.seed == 0)
        kept[size] = curves_train.run_cell(cell)["history"][-1]["mi_infonce"]
        view = curves_train.view_of(load("digits"), cell.size)(load("digits").images[:2], torch.arange(2))[0]
        assert view.shape[-2:] == (size or 8,) * 2
    assert seen == 4 * [None] + 4 * [12] and kept[None] != kept[12]


def test_the_command_that_is_kept_can_be_typed_again_and_tells_no_path_of_this_machine(tmp_path):
    given = {
        "data": str(tmp_path / "my photos.npz"),
        "elsewhere": ["a b.json", Path("c.json")],
        "size": 12,
        "seeds": None,
    }
    said = typed("fig2", given, {"size": 8})
    assert (
        said
        == "infomax study fig2 --out fig2 --data 'my photos.npz' --elsewhere 'a b.json' --elsewhere c.json --size 12"
    )
    assert "--size" not in typed("fig2", given, {"size": 12})


def test_where_every_run_fails_the_command_says_why_and_fails(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(curves, "run_cell", lambda cell: 1 / 0)
    assert main(["study", "fig7", "--out", str(tmp_path / "out"), "--seeds", "1", "--workers", "1"]) == 2
    said = capsys.readouterr()
    assert "every run failed, 6 in all" in said.err and "ZeroDivisionError: division by zero" in said.err
    assert "index.html" not in said.out and [p.name for p in (tmp_path / "out").iterdir()] == ["results.json"]


@pytest.mark.parametrize("device", ["cud", "cuda", "cuda:1"])
def test_a_device_that_is_not_there_trains_nothing(tmp_path, monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ConfigError, match=f"device '{device}'"):
        curves.fig2(tmp_path / "out", device=device)
    assert not (tmp_path / "out").exists()


def test_the_revision_is_that_of_the_sources_alone(tmp_path, monkeypatch):
    at = tmp_path / "infomax" / "studies" / "origin.py"  # as a package that is installed within another repository
    at.parent.mkdir(parents=True)
    at.touch()
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "of something else"], check=True)
    monkeypatch.setattr(origin, "__file__", str(at))
    assert commit() is None
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "ours"], check=True)
    clean = commit()
    at.write_text("changed")
    assert clean and not clean.endswith("+") and commit() == clean + "+"


def test_the_larger_budgets_are_for_the_papers_data(tmp_path):
    assert BUDGETS["minutes"].data == "digits"
    for name in ("hour", "paper"):
        assert BUDGETS[name].data == "cifar10" and BUDGETS[name].encoder == "resnet18"
        with pytest.raises(DataError, match="cifar"):
            curves.fig2(tmp_path / "out", budget=name, root=str(tmp_path / "none"), device="cpu")
    assert not (tmp_path / "out").exists()


def test_the_dearest_runs_begin_first():
    order = [c.name for c in cells(FIG2, "digits", None, BUDGETS["minutes"])]
    assert order[:3] == ["sdmi"] * 3 and len(order) == 24


def test_children_outlive_a_failure_and_are_replaced():
    answers = pool.run_all(math.sqrt, [4.0, -1.0, 9.0], 2)
    assert answers == pool.run_all(math.sqrt, [4.0, -1.0, 9.0], 1)
    assert answers[1].error.startswith("ValueError")
    answers = pool.run_all(os._exit, [3, 3], 2)
    assert [a.error for a in answers] == ["its process ended early, with status 3"] * 2
    assert pool.run_all(math.sqrt, [], None) == []


@pytest.mark.parametrize("workers", [0, -2])
def test_no_study_takes_fewer_than_one_worker(tmp_path, workers):
    for run in (curves.fig2, curves.fig7, periodic.run, collapse.run):
        with pytest.raises(ConfigError, match=f"workers={workers}: give at least 1"):
            run(tmp_path / "out", workers=workers, progress=False)
        assert not (tmp_path / "out").exists()


def test_an_interrupt_ends_the_children(monkeypatch):
    begun = []
    begin = pool._Idle.begin
    monkeypatch.setattr(pool._Idle, "begin", lambda self: begun.append(begin(self)) or begun[-1])

    def stop():
        raise KeyboardInterrupt

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        pool.run_all(time.sleep, [0, 600, 600], 2, stop)
    assert all(child.returncode == -signal.SIGKILL for child in begun)
    assert time.monotonic() - start < 300  # did not wait for who sleeps


def test_a_bar_of_fig7_lies_beside_its_name(monkeypatch):
    drawn = []
    monkeypatch.setattr(page, "png", lambda figure, dpi: drawn.append(figure) or b"")
    page.fig7_png(json.loads((Path(__file__).parents[2] / "results" / "fig7-digits.json").read_text())["rows"])
    (axes, *_) = drawn[0].axes
    middles = [bar.get_y() + bar.get_height() / 2 for bar in axes.patches]
    names = dict(zip([text.get_text() for text in axes.get_yticklabels()], axes.get_yticks(), strict=True))
    assert names["SimSiam"] in middles and names["SDMI"] not in middles
    assert [middle for middle in middles if abs(middle - names["SDMI"]) < 0.5] == pytest.approx([-0.2, 0.2])
