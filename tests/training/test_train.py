import copy
import json
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import infomax as im
from infomax.errors import ConfigError
from infomax.training.defaults import view_function
from infomax.training.feed import Feed
from infomax.training.watch import monitor


def weights(run):
    return torch.cat([p.detach().flatten() for p in run.learner.parameters()])


def fit(method="jmi", **options):
    torch.manual_seed(3)
    learner = im.methods.build(method, im.encoders.get("toy"), projector=())
    return im.train(learner, "gaussians", **({"epochs": 2, "progress": False, "seed": 5} | options))


def test_same_seed_same_weights_and_another_seed_others():
    once, again, other = fit(), fit(), fit(seed=6)
    assert torch.equal(weights(once), weights(again))
    assert not torch.equal(weights(once), weights(other))


def test_an_epoch_of_the_two_encoder_prototype_has_an_e_and_an_m_pass():
    seen = []

    class Watch(im.Learner):
        def after_step(self, output, clock):
            climbed = [p.grad is not None for p in (next(self.f.parameters()), next(self.g.parameters()))]
            seen.append((clock.epoch, clock.phase, *climbed))
            super().after_step(output, clock)

    cos = im.Cosine(0.5)
    learner = Watch(im.Branch(im.encoders.get("toy")), im.Twin(), im.Alignment(cos), im.DonskerVaradhan(cos))
    im.train(learner, "gaussians", epochs=2, batch_size=1250, progress=False)
    e_step, m_step = (True, False), (False, True)
    assert seen == [(e, p, *(m_step if p else e_step)) for e in (0, 1) for p in (0, 0, 1, 1)]


def test_the_m_pass_draws_its_own_batches_and_views():
    feed = Feed(im.data.load("gaussians"), im.views.Gaussian(0.1), batch_size=8)
    target = im.Twin("epoch")
    first, second = (feed(target.sweep(0, phase), 0)[0] for phase in (0, 1))
    assert not torch.equal(first, second)
    both = im.Twin("batch")
    assert torch.equal(*(feed(both.sweep(0, phase), 0)[0] for phase in (0, 1)))


def test_the_bound_rises_and_the_reading_stays_below_the_truth():
    run = fit(epochs=15)
    first, last = run.history[0], run.history[-1]
    assert last["bound"] > first["bound"]
    assert last["mi_infonce"] < 1.6503 + 0.1  # sampling error of 1000 points


def test_nan_says_which_view_and_row_and_keeps_the_last_epoch(tmp_path):
    data = im.data.load("gaussians")
    bad = view_function(data)

    def views(batch, index, seed=0, epoch=0):
        made = bad(batch, index, seed=seed, epoch=epoch)
        if epoch == 1:
            made[1][7] = float("nan")
        return made

    with pytest.raises(im.NumericsError, match=r"view 1 .* rows \[7\]"):
        fit(views=views, out=tmp_path / "run", epochs=3)
    torch.manual_seed(3)
    back = im.Run.load(tmp_path / "run")
    assert len(back.history) == 1


@pytest.mark.parametrize("on_nan", ["stop", "skip"])
def test_weights_that_diverge_in_the_last_update_of_an_epoch_say_so(on_nan):
    """The gauges after it are the first to see them, before any loss."""
    with pytest.raises(im.NumericsError, match=r"after step 0: .* diverged\. Lower the learning rate"):
        fit(epochs=2, batch_size=10**6, lr=1e38, optimizer="sgd", warmup_epochs=0, on_nan=on_nan)


def test_a_run_reads_back(tmp_path):
    run = fit(out=tmp_path / "run", method="byol")
    back = im.Run.load(tmp_path / "run")
    assert torch.equal(weights(run), weights(back))
    assert back.history == run.history
    for name, buffer in run.learner.named_buffers():
        assert torch.equal(buffer, dict(back.learner.named_buffers())[name]), name


def test_a_learner_put_together_by_hand_needs_one_like_it_to_read_back(tmp_path):
    cos = im.Cosine(0.5)

    def make():
        return im.Learner(nn.Linear(2, 3), im.Shared(), im.Alignment(cos), im.DonskerVaradhan(cos))

    run = im.train(make(), "gaussians", epochs=1, progress=False, out=tmp_path / "run")
    with pytest.raises(im.DataError, match="put together by hand"):
        im.Run.load(tmp_path / "run")
    assert torch.equal(weights(run), weights(im.Run.load(tmp_path / "run", make())))


def test_a_collapse_is_said_as_it_happens():
    with pytest.warns(im.CollapseWarning):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 8))
        learner = im.Learner(net, im.Shared(), im.Alignment(im.Cosine()))
    with pytest.warns(im.CollapseWarning, match="is collapsing in epoch") as said:
        im.train(learner, "gaussians", epochs=30, lr=1e-2, progress=False)
    assert [warning.filename for warning in said] == [__file__], "the user's line, not one of the package"
    with pytest.warns(im.CollapseWarning) as said:
        monitor.warn_if_collapsed("mine", 1, {"std": 0.0, "effective_rank": 1.0})
    assert said[0].filename == __file__
    with warnings.catch_warnings(action="error"):
        fit(epochs=5)


def test_every_reading_of_the_log_has_its_limits_its_ceiling_and_whether_it_is_saturated(tmp_path):
    torch.manual_seed(0)
    learner = im.methods.jmi(im.encoders.get("toy"), projector=(), temperature=0.5)
    asked = {"epochs": 2, "batch_size": 500, "progress": False, "gauge_samples": 200, "lr": 1e-2}
    run = im.train(learner, "gaussians", out=tmp_path / "run", **asked)
    a, b = monitor.two_sides(learner, Feed(run.data, view_function(run.data), 500).fixed(200))
    metric = im.mi.MIMetric("cosine", tau=0.1, readings=("dv", "infonce", "jsd"))
    metric.update(a, b)
    row = im.training.Run.load(tmp_path / "run", learner).history[-1]
    for name, reading in metric.compute().items():
        assert (row[f"mi_{name}"], row[f"mi_{name}_lo"], row[f"mi_{name}_hi"]) == (
            reading.value,
            reading.lo,
            reading.hi,
        )
        assert row[f"mi_{name}_lo"] < row[f"mi_{name}"] < row[f"mi_{name}_hi"]
        assert row[f"mi_{name}_ceiling"] == row[f"ceiling_{name}"] == reading.ceiling
        assert row[f"mi_{name}_saturated"] == reading.saturated
    header = (tmp_path / "run" / "log.csv").read_text().splitlines()[0].split(",")
    assert {"mi_infonce_lo", "mi_infonce_hi", "mi_infonce_ceiling", "mi_dv_lo"} <= set(header)

    plain = monitor.read(learner, Feed(run.data, view_function(run.data), 500).fixed(200), intervals=False)
    assert not any(key.endswith(("_lo", "_hi")) for key in plain)
    assert plain["mi_infonce"] == pytest.approx(row["mi_infonce"], abs=1e-5)


def test_mutual_information_is_read_between_the_two_branches():
    torch.manual_seed(0)
    views = [torch.randn(64, 2), torch.randn(64, 2)]
    twin = im.methods.sdmi(im.encoders.get("toy"), projector=())
    a, b = monitor.two_sides(twin, views)
    twin.eval()
    assert torch.equal(a, twin.f(views[0])) and torch.equal(b, twin.g(views[1]))
    twin.train().g.eval()
    monitor.two_sides(twin, views)
    assert twin.training and twin.f.training and not twin.g.training


def test_a_tensor_and_an_own_view_function():
    learner = im.methods.vicreg(nn.Linear(5, 8), projector=(4,))
    x = torch.randn(64, 5, generator=torch.Generator().manual_seed(0))

    def views(batch, index, seed=0, epoch=0):
        return [batch, 2 * batch]

    run = im.train(learner, x, views=views, epochs=2, batch_size=16, progress=False)
    assert len(run.history) == 2


def test_graph_nodes_are_one_batch(tmp_path):
    torch.manual_seed(0)
    graph = im.data.load("sbm")
    learner = im.methods.bgrl(
        im.encoders.get("gcn", channels=graph.images.shape[1], hidden=32, width=16), predictor=(16,)
    )
    run = im.train(learner, graph, epochs=30, lr=5e-3, progress=False)
    assert run.history[-1]["bound"] > run.history[0]["bound"]
    assert run.evaluate()["linear"] > 90


def test_what_the_caller_draws_next_does_not_hang_on_a_run():
    torch.manual_seed(8)
    state = torch.get_rng_state()
    fit()
    torch.manual_seed(8)  # `fit` seeds by itself
    learner = im.methods.jmi(im.encoders.get("toy"), projector=())
    before = torch.get_rng_state()
    im.train(learner, "gaussians", epochs=1, progress=False)
    assert torch.equal(torch.get_rng_state(), before) and not torch.equal(before, state)


def test_a_run_that_fails_before_its_first_update_leaves_no_hook(monkeypatch, tmp_path):
    def full(*_, **__):
        raise im.DataError("the disk is full")

    monkeypatch.setattr("infomax.training.checkpoint.save", full)
    learner = im.methods.jmi(im.encoders.get("toy"), projector=())
    with pytest.raises(im.DataError, match="the disk is full"):
        im.train(learner, "gaussians", epochs=1, out=tmp_path / "run", online_probe=True, progress=False)
    assert not learner.encoder._forward_hooks


class Gives(nn.Module):
    """An encoder of signals that gives something else than N x D."""

    width = 2

    def __init__(self, what):
        super().__init__()
        self.layer, self.what = nn.Linear(2, 2), what

    def forward(self, x):
        h = self.layer(x.mT)
        return {"a dict": {"x": h}, "a tuple": (h, h), "steps": h, "numbers": h.mean((1, 2))}[self.what]


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("a dict", "Gives gives a dict: an encoder gives one tensor, N x D"),
        ("a tuple", "Gives gives a tuple: an encoder gives one tensor, N x D"),
        ("steps", r"of shape \(2, 2, 20\) became embeddings of shape \(2, 20, 2\): an encoder gives N x D"),
        ("numbers", r"of shape \(2, 2, 20\) became embeddings of shape \(2,\): an encoder gives N x D"),
    ],
)
def test_an_encoder_that_gives_something_else_is_told_before_the_run(what, said):
    learner = im.methods.simclr(Gives(what), projector=())
    with pytest.raises(im.ConfigError, match=said):
        im.train(learner, torch.randn(32, 2, 20), epochs=1, progress=False)


def test_an_encoder_that_asks_for_more_than_a_view_is_told_before_the_run():
    class Asks(nn.Linear):
        def forward(self, x, *, mask):
            return super().forward(x)

    learner = im.methods.simclr(Asks(2, 3), projector=())
    with pytest.raises(im.ConfigError, match=r"cannot take views of 'gaussians' .*missing 1 required .*'mask'"):
        im.train(learner, "gaussians", epochs=1, progress=False)


def test_a_branch_that_gives_one_number_a_sample_is_told():
    learner = im.methods.simclr(Gives("numbers"), projector=())
    with pytest.raises(im.DataError, match=r"an embedding of shape \(8,\): an encoder gives N x D"):
        learner([torch.randn(8, 2, 20)] * 2)


def test_what_is_called_after_every_epoch_sees_the_run_as_it_stands_and_changes_nothing(tmp_path):
    seen = []

    def on_epoch(run):
        kept = im.Run.load(run.path)
        seen.append((len(run.history), run.history[-1]["epoch"], torch.equal(weights(kept), weights(run))))
        run.learner.eval()
        torch.rand(3)
        return {"accuracy": 1.0}  # what a function happens to give back ends nothing

    run, plain = fit("byol", on_epoch=on_epoch, out=tmp_path / "run"), fit("byol")
    assert seen == [(1, 1, True), (2, 2, True)]
    assert torch.equal(weights(run), weights(plain))
    assert run.learner.training == plain.learner.training


@pytest.mark.parametrize("true", [True, np.bool_(True), torch.tensor(True), torch.tensor([2.0]) > 1])
def test_true_after_an_epoch_ends_the_run_and_it_can_be_continued_to_the_same_bits(tmp_path, true):
    with pytest.raises(ConfigError, match="on_epoch='after': give a function"):
        fit(on_epoch="after")
    run = fit(epochs=3, out=tmp_path / "run", on_epoch=lambda run: true if len(run.history) == 2 else None)
    assert [row["epoch"] for row in run.history] == [1, 2]
    seen = []
    run = im.Run.resume(tmp_path / "run", on_epoch=lambda run: seen.append(run.history[-1]["epoch"]), progress=False)
    assert seen == [3]
    assert torch.equal(weights(run), weights(fit(epochs=3)))


def test_true_after_the_last_epoch_changes_nothing(tmp_path):
    run = fit(out=tmp_path / "run", on_epoch=lambda run: len(run.history) == 2)
    assert torch.equal(weights(im.Run.resume(tmp_path / "run")), weights(run))


def test_an_encoder_that_an_earlier_run_has_trained_is_told_of_and_one_that_was_put_back_is_not(tmp_path):
    encoder = im.encoders.get("toy")
    before = copy.deepcopy(encoder.state_dict())
    asked = {"epochs": 1, "progress": False}
    im.train(im.methods.jmi(encoder, projector=()), "gaussians", **asked)
    with pytest.warns(UserWarning, match=r"encoder of 'simclr' was trained by an earlier run \(jmi, \d+ updates\)"):
        im.train(im.methods.simclr(encoder, projector=()), "gaussians", out=tmp_path / "run", **asked)
    told = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert told["encoder_trained_before"].startswith("jmi, ")
    im.Run.resume(tmp_path / "run", progress=False)
    im.train(im.Run.load(tmp_path / "run").learner, "gaussians", **asked)  # as was asked for
    encoder.load_state_dict(before)
    im.train(im.methods.vicreg(encoder, projector=()), "gaussians", out=tmp_path / "anew", **asked)
    assert "encoder_trained_before" not in json.loads((tmp_path / "anew" / "environment.json").read_text())


def test_a_batch_that_is_cut_to_what_there_is_is_said_once(tmp_path, capsys):
    def fit(x, **options):
        learner = im.methods.jmi(nn.Linear(5, 8), projector=())
        return im.train(learner, x, epochs=2, on_epoch=lambda run: True, gauge_samples=16, **options)

    x = torch.randn(50, 5, generator=torch.Generator().manual_seed(0))
    fit(x, batch_size=4096, out=tmp_path / "run")
    said = "infomax: batches of 50, all there are: one update an epoch, a smaller batch_size than 4096 makes more\n"
    assert capsys.readouterr().err.count(said) == 1
    im.Run.resume(tmp_path / "run", learner=im.methods.jmi(nn.Linear(5, 8), projector=()), data=x)
    fit(x, batch_size=50)
    fit(x, batch_size=4096, progress=False)
    assert "all there are" not in capsys.readouterr().err
