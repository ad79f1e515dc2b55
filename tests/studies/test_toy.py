"""The toy study: an ensemble is its seeds trained one by one, and the whole runs from end to end."""

import io
import json
import math
import pickle
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from infomax.errors import ConfigError, NumericsError
from infomax.learner import step
from infomax.marginal import Predictor
from infomax.studies import toy
from infomax.studies.origin import commit
from infomax.studies.toy import figures, results, worker
from infomax.studies.toy.ensemble import MLP, BatchNorm, Draws
from infomax.studies.toy.jobs import ABLATIONS, METHODS, Job, build
from infomax.studies.toy.train import _Book, train
from infomax.studies.toy.world import TRUE_MI, draw, pass_over


def small(method: str, seeds: tuple[int, ...] = (0, 1), **changes) -> Job:
    return Job(**{"method": method, "seeds": seeds, "n": 100, "epochs": 3, "batch": 100} | changes)


def test_an_ensemble_is_its_networks():
    ensemble = MLP((2, 64, 3), Draws((4, 9)), last_norm=True)
    x = torch.randn(2, 50, 2, generator=torch.Generator().manual_seed(0))
    y = ensemble(x)
    y.square().sum((1, 2)).mul(torch.tensor([1.0, 2.0])).sum().backward()
    for s in range(2):
        plain = nn.Sequential(nn.Linear(2, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 3), nn.BatchNorm1d(3))
        for k, layer in ((0, ensemble.first), (3, ensemble.second)):
            plain[k].weight.data, plain[k].bias.data = layer.weight[s].data.clone(), layer.bias[s, :, 0].data.clone()
        out = plain(x[s])
        torch.testing.assert_close(y[s], out, rtol=1e-4, atol=1e-5)
        (out.square().sum() * (s + 1)).backward()
        torch.testing.assert_close(ensemble.second.weight.grad[s], plain[3].weight.grad, rtol=1e-3, atol=1e-4)
        for norm, mine in ((plain[1], ensemble.norm), (plain[4], ensemble.last_norm)):
            width = norm.num_features
            torch.testing.assert_close(mine.running_var[s * width : (s + 1) * width], norm.running_var)


def test_weights_are_drawn_as_torch_draws_a_linear_layer():
    layer = MLP((2, 64, 3), Draws(range(200)), last_norm=False).second
    for drawn in (layer.weight.detach(), layer.bias.detach()):
        assert drawn.abs().max() <= 1 / 8
        assert float(drawn.std()) == pytest.approx(1 / 8 / math.sqrt(3), rel=0.05)
        assert abs(drawn.mean()) < 0.01


@pytest.mark.parametrize("method", [*METHODS, "sdmi_nodv_pred"])
def test_a_seed_does_not_depend_on_its_company(method):
    batch = 40 if method in ("sdmi", "byol") else 100
    together, alone = (train(small(method, seeds, batch=batch)) for seeds in ((0, 1, 2, 3), (3,)))
    assert together.keys() == alone.keys()
    for name, values in together.items():
        own = values[:, 3:] if name.startswith("gaps") else values[3:]
        # float32 rounding differs with the size of a batched product, and a few steps of rate .5 enlarge it
        np.testing.assert_allclose(own, alone[name], rtol=2e-3, atol=2e-3, err_msg=name)


def test_seeds_differ():
    centres = train(small("jmi"))["centres_f"]
    assert np.abs(centres[0, 0] - centres[1, 0]).max() > 0.1


def test_the_second_encoder_has_weights_of_its_own():
    learner = build(small("sdmi"))
    assert (learner.f.encoder.first.weight != learner.g.encoder.first.weight).all()
    assert learner.f.encoder.first.draws is learner.g.encoder.first.draws
    target = build(small("byol"))
    assert torch.equal(target.f.encoder.first.weight, target.g.encoder.first.weight)


def test_the_world():
    world = draw(range(20), 1000)
    assert pytest.approx(1.6503, abs=1e-4) == TRUE_MI
    x1, x2 = (view - world.centres[:, torch.arange(5).repeat_interleave(200)] for view in world.views)
    assert x1.std() == pytest.approx(math.hypot(0.05, 0.1), rel=0.02)
    assert (x1 * x2).mean() == pytest.approx(0.05**2, rel=0.05)
    assert not torch.equal(world.views[0], world.validation[0])
    again = draw((7,), 1000)
    assert all(
        torch.equal(a[7], b[0])
        for a, b in zip(world.views + world.validation, again.views + again.validation, strict=True)
    )


def test_a_pass_visits_every_row_once_and_each_seed_in_its_own_order():
    rows = torch.arange(20.0).view(1, 20, 1).repeat(2, 1, 1)
    cut = pass_over([rows, -rows], (0, 1), 5, 0)
    assert len(cut) == 4
    assert all(torch.equal(a, -b) for a, b in cut)
    seen = torch.cat([a for a, _ in cut], 1).squeeze(-1)
    assert torch.equal(seen.sort(-1).values, rows.squeeze(-1))
    assert not torch.equal(seen[0], seen[1])
    assert not torch.equal(seen, torch.cat([a for a, _ in pass_over([rows, rows], (0, 1), 5, 1)], 1).squeeze(-1))


def test_the_ablations_are_what_they_are_called():
    words = {name: [type(m).__name__ for m in build(small(name)).marginals] for name in ABLATIONS}
    assert words == {
        "sdmi": ["DonskerVaradhan"],
        "sdmi_nodv": [],
        "sdmi_nodv_pred": ["Predictor"],
        "simsiam": ["Predictor"],
        "simsiam_no_predictor": [],
        "simsiam_sdmi": ["DonskerVaradhan"],
    }
    predictor = build(small("sdmi_nodv_pred")).marginals[0]
    assert isinstance(predictor, Predictor) and predictor.twin is not None
    assert not any(isinstance(m, BatchNorm) for m in [build(small("sdmi", last_norm=False)).f.encoder.last_norm])


def test_an_unknown_method_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'simsiam'"):
        build(small("simsam"))


@pytest.mark.parametrize("method", ["sdmi", "byol", "sdmi_nodv_pred"])
def test_reading_leaves_training_alone(method):
    job = small(method)
    world = draw(job.seeds, job.n)
    ends = []
    for read in (False, True):
        learner = build(job)
        optimizer = torch.optim.SGD(learner.parameters(), lr=0.5)
        book = _Book(job, learner, world)
        for _ in range(3):
            if read:
                book.read()
            step(learner, world.views, optimizer)
        assert all(module.training for module in learner.modules())
        ends.append([p.detach().clone() for p in learner.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))


def test_simsiam_is_read_against_the_epoch_before():
    found = train(small("simsiam"))
    assert np.isnan(found["mi_1_dv"][:, 0]).all()
    assert np.isfinite(found["mi_1_dv"][:, 1:]).all()
    assert np.isfinite(train(small("byol"))["mi_1_dv"]).all()


def test_a_better_run_separates_more():
    job = Job("jmi", (0, 1, 2), n=100, epochs=60, batch=100)
    gaps = train(job)["gaps_f"]
    assert gaps.shape == (4, 3)
    assert (gaps[1] > 75).all()
    assert (gaps[1] <= 90).all()


def test_share_of_epochs_that_do_not_fall():
    assert results._rising(np.array([[math.nan, 0.0, 1.0, 0.5, 0.5]])) == pytest.approx(2 / 3)


def test_turning_a_trajectory_keeps_its_angles():
    path = np.random.default_rng(0).normal(size=(4, 5, 3))
    turned = figures.facing(path)
    np.testing.assert_allclose(turned @ turned.transpose(0, 2, 1), path @ path.transpose(0, 2, 1))
    assert np.linalg.det(np.linalg.lstsq(path[-1], turned[-1], rcond=None)[0]) == pytest.approx(1.0)
    spread = np.linalg.svd((turned[-1] - turned[-1].mean(0)) @ figures._EYE[:, None])[1]
    assert spread[0] == pytest.approx(np.linalg.svd(path[-1] - path[-1].mean(0))[1][-1])


def test_workers_give_what_one_process_gives():
    jobs = [small("jmi"), small("vicreg"), small("jmi")]
    told: list[Job] = []
    beside = worker.run_all(jobs, 2, told.append)
    assert beside.keys() == set(jobs)
    assert len(told) == 6
    here = worker.run_all(jobs, 1, told.append)
    for job in set(jobs):
        np.testing.assert_allclose(beside[job]["centres_f"], here[job]["centres_f"], atol=1e-4)


def stand_ins(monkeypatch, program: str) -> list[subprocess.Popen[bytes]]:
    """Children that start at once, in place of the workers."""
    children: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-S", "-c", f"import sys, pickle, time\n{program}"]
        children.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        return children[-1]

    monkeypatch.setattr(worker, "_start", start)
    return children


SAY = "pickle.dump(({kind!r}, None, {content}), sys.stdout.buffer); sys.stdout.flush(); time.sleep(60)"


def test_an_interrupt_ends_the_workers(monkeypatch):
    children = stand_ins(monkeypatch, SAY.format(kind="epoch", content=None))

    def interrupt(job: Job) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        worker.run_all([small("vicreg"), small("jmi")], 2, interrupt)
    assert [child.poll() is None for child in children] == [False, False]


def test_a_failure_in_a_worker_is_told_and_ends_the_others(monkeypatch):
    children = stand_ins(monkeypatch, SAY.format(kind="failed", content="ArithmeticError('the loss')"))
    with pytest.raises(ArithmeticError, match="the loss"):
        worker.run_all([small("vicreg"), small("jmi")], 2, lambda job: None)
    assert [child.poll() is None for child in children] == [False, False]


def test_a_worker_that_dies_is_told(monkeypatch):
    stand_ins(monkeypatch, "sys.exit(3)")
    with pytest.raises(RuntimeError, match="status 3"):
        worker.run_all([small("vicreg"), small("jmi")], 2, lambda job: None)


def test_a_worker_reports_what_cannot_be_trained(monkeypatch):
    class Pipe:
        def __init__(self) -> None:
            self.buffer = io.BytesIO()

    jobs, answers = Pipe(), Pipe()
    for job in (small("vicreg", lr=1e30), small("barlow_twins")):
        pickle.dump(job, jobs.buffer)
    jobs.buffer.seek(0)
    monkeypatch.setattr(sys, "stdin", jobs)
    monkeypatch.setattr(sys, "stdout", answers)
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)
    monkeypatch.setattr(signal, "signal", lambda *args: None)
    worker.main()
    answers.buffer.seek(0)
    kinds = []
    while answers.buffer.tell() < len(answers.buffer.getvalue()):
        kind, job, content = pickle.load(answers.buffer)
        kinds.append((kind, job.method))
        if kind == "failed":
            assert isinstance(content, NumericsError) and "vicreg" in str(content)
    assert ("failed", "vicreg") in kinds
    assert kinds[-4:] == [("epoch", "barlow_twins")] * 3 + [("done", "barlow_twins")]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    out = tmp_path_factory.mktemp("study") / "toy"
    return out, toy.run(out, seeds=2, n=100, epochs=3, mini_batch=50, workers=1, progress=False)


def test_the_numbers(study):
    out, found = study
    assert json.loads((out / "results.json").read_text()) == json.loads(json.dumps(found))
    assert list(found["table3"]) == list(results.ROWS)
    for row in found["table3"].values():
        assert list(row) == list(results.COLUMNS)
        assert all(entry.keys() == {"mean", "sd", "n"} and entry["n"] == 2 for entry in row.values())
        assert row["min_gap"]["mean"] <= row["mean_gap"]["mean"] <= row["max_gap"]["mean"]
    assert list(found["mi"]) == ["full_batch", "mini_batch", "full_batch_tau_0.1", "mini_batch_tau_0.1"]
    for methods in found["mi"].values():
        assert list(methods) == list(METHODS)
        for method, estimators in methods.items():
            for curve in estimators.values():
                assert len(curve["mean"]) == len(curve["sd"]) == 4
                assert (curve["mean"][0] is None) == (method == "simsiam")
    for method in METHODS:
        for estimator in ("dv", "infonce", "jsd"):
            values = [v for v in found["mi"]["full_batch"][method][estimator]["mean"] if v is not None]
            assert max(values) <= found["ceilings"]["1"][estimator]
    assert found["truth"] == TRUE_MI
    assert found["settings"]["best"]["epochs"] == 12
    for variant in ("standard", "no_last_norm"):
        assert list(found["ablations"][variant]) == list(ABLATIONS)
    names = [claim["name"] for claim in found["claims"]]
    assert len(set(names)) == len(names) and "never_above_the_truth" in names
    assert found["commit"] == commit()


def test_the_files(study):
    out, _ = study
    pictures = sorted(path.name for path in out.glob("*.png"))
    assert len(pictures) == 8
    assert all((out / name).read_bytes().startswith(b"\x89PNG") for name in pictures)
    page = (out / "index.html").read_text()
    assert page.count('type="application/json"') == 6
    assert "never_above" not in page and "1.6503 nats" in page
    with np.load(out / "arrays.npz") as arrays:
        assert arrays["full_batch/sdmi/centres_g"].shape == (2, 4, 5, 3)


def test_nothing_is_overwritten(study):
    out, _ = study
    before = (out / "results.json").read_bytes()
    with pytest.raises(ConfigError, match="not empty"):
        toy.run(out, seeds=2, n=100, epochs=3)
    assert (out / "results.json").read_bytes() == before


@pytest.mark.parametrize("wrong", [{"n": 7}, {"n": 5}, {"seeds": 0}, {"epochs": 0}, {"mini_batch": 1}, {"workers": 0}])
def test_numbers_that_cannot_be(tmp_path, wrong):
    with pytest.raises(ConfigError, match=f"{next(iter(wrong))}="):
        toy.run(tmp_path / "new", **wrong)
    assert not (tmp_path / "new").exists()


def test_the_mini_batch_is_a_fifth_and_equal_jobs_are_trained_once():
    plan = toy._plan(2, 500, 10, 500)
    assert plan["mini_batch"] == plan["full_batch"]
    assert plan["standard"]["sdmi"] is plan["full_batch"]["sdmi"]
    assert {job.batch for job in toy._plan(2, 2500, 10, 500)["mini_batch"].values()} == {500}
