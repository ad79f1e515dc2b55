import pytest
import torch
from torch import nn

import infomax as im
from infomax import Clock, ConfigError

METHODS = pytest.mark.parametrize("name", im.methods.METHODS)


def build(name, options, dtype=torch.float32):
    torch.manual_seed(0)
    return im.methods.build(name, nn.Linear(12, 16), **options).to(dtype)


def some_views(name="", n=32, dtype=torch.float32):
    torch.manual_seed(1)
    x = torch.randn(n, 12, dtype=dtype)
    return [x + 0.3 * torch.randn_like(x) for _ in range(4 if name in ("dino", "swav") else 2)]


def grads(module):
    return [p.grad is not None and bool(p.grad.any()) for p in module.parameters()]


@METHODS
def test_gradients_reach_the_branch_that_climbs_and_no_other(name, tiny):
    learner, views = build(name, tiny(name)), some_views(name)
    phases = (0, 1) if learner.target.m_step_is and name == "sdmi" else (0,)
    for phase in phases:
        learner.zero_grad()
        learner(views, Clock(phase=phase)).loss.backward()
        climbs, rests = (learner.f, learner.g) if phase == 0 else (learner.g, learner.f)
        assert any(grads(climbs))
        assert rests is None or not any(grads(rests))
        for marginal in learner.marginals:
            assert all(grads(marginal)), "every parameter of a marginal learns"


@METHODS
def test_the_order_of_samples_does_not_matter(name, tiny):
    options = tiny(name) | ({"whitening_size": 32} if name == "w_mse" else {})
    learner, views = build(name, options, torch.float64), some_views(name, dtype=torch.float64)
    order = torch.randperm(32)
    torch.testing.assert_close(learner([v[order] for v in views]).loss, learner(views).loss)


@METHODS
def test_two_steps_run_and_are_finite(name, tiny):
    learner, views = build(name, tiny(name)), some_views(name)
    optimizer = torch.optim.SGD(learner.parameters(), lr=0.01)
    for step, (_, phase) in enumerate(learner.target.order(1 if name == "sdmi" else 2)):
        output = im.step(learner, views, optimizer, Clock(step=step, total=2, phase=phase))
        assert torch.isfinite(output.loss)
        assert output.loss.item() == pytest.approx(learner.loss(output.bound, 32).item())
    assert output.z[0].shape == (32, 12 if name == "dino" else 16)


@METHODS
def test_a_nan_in_the_input_is_named_by_its_row(name, tiny):
    learner, views = build(name, tiny(name)), some_views(name)
    views[1][5, 2] = float("nan")
    with pytest.raises(
        im.NumericsError, match=r"step 3: view 1 of the input holds NaN or infinity, in rows \[5\] of 32"
    ):
        im.step(learner, views, torch.optim.SGD(learner.parameters(), lr=0.1), Clock(step=3))


@METHODS
def test_a_batch_of_one_is_refused(name, tiny):
    learner = build(name, tiny(name)).eval()  # a batch norm in training refuses by itself, in its own words
    with pytest.raises(im.DataError, match="a batch of 1"):
        learner(some_views(name, n=1))


@METHODS
def test_gradcheck_of_the_whole_loss(name, tiny):
    options = tiny(name, projector=()) if "projector" in im.methods.options(name) else tiny(name)
    if name == "dino":
        options["prototypes"] = 0
    if name == "w_mse":
        options["whitening_size"] = 6
    if "predictor" in options:
        options["predictor"] = nn.Linear(3, 3)
    torch.manual_seed(0)
    learner = im.methods.build(name, nn.Linear(12, 3), **options).double()
    if name == "w_mse":
        learner.marginals[0].permutation = torch.arange  # the same cut at every look
    learner.f = nn.Identity()
    learner.g = None if learner.g is None else nn.Linear(3, 3).double().requires_grad_(False)
    views = [torch.randn(6, 3, dtype=torch.float64) for _ in range(2)]

    def loss(x):
        # only the side that climbs: a target computed from x is not part of the gradient
        _, k = learner.target.look(learner.f, learner.g, views, Clock())
        z, _ = learner.target.look(learner.f, learner.g, [x, views[1]], Clock())
        return learner.score(z, z if learner.target.m_step_is is None else k)

    assert torch.autograd.gradcheck(loss, (views[0].clone().requires_grad_(),))


def test_names_may_be_written_with_a_hyphen():
    assert im.methods.get("Barlow-Twins") is im.methods.get("barlow_twins")


def test_an_unknown_method_or_option_names_the_nearest():
    with pytest.raises(
        ConfigError, match=r"no method 'vicregg': did you mean 'vicreg'.* entered by @im.methods.method"
    ):
        im.methods.get("vicregg")
    with pytest.raises(ConfigError, match="'simclr' has no option 'temprature': did you mean 'temperature'"):
        im.methods.build("simclr", nn.Linear(2, 2), temprature=0.1)


@METHODS
def test_the_recipe_builds_the_same_again(name, tiny):
    learner = build(name, tiny(name))
    recipe = dict(learner.recipe)
    assert recipe.pop("method") == name
    torch.manual_seed(0)
    again = im.methods.build(name, nn.Linear(12, 16), **recipe)
    assert again.state_dict().keys() == learner.state_dict().keys()
    assert all(torch.equal(v, learner.state_dict()[k]) for k, v in again.state_dict().items())


@pytest.mark.parametrize("name", ["byol", "simsiam", "bgrl"])
def test_without_its_predictor_a_method_warns(name, tiny):
    with pytest.warns(im.CollapseWarning, match=f"{name!r} has no marginal"):
        build(name, tiny(name, predictor=()))


@pytest.mark.parametrize(("last_norm", "affine"), [("plain", False), ("affine", True)])
def test_byols_projector_ends_on_a_batch_norm_where_asked_in_both_branches(last_norm, affine):
    learner = im.methods.byol(nn.Linear(12, 16), projector=(8, 4), predictor=(8,), last_norm=last_norm)
    for branch in (learner.f, learner.g):
        last = list(branch.projector)[-1]
        assert isinstance(last, nn.BatchNorm1d) and last.affine is affine
        z = branch(some_views()[0])
        torch.testing.assert_close(z.var(0, correction=0), torch.ones(4), atol=0.01, rtol=0)
    assert not isinstance(list(im.methods.byol(nn.Linear(12, 16)).f.projector)[-1], nn.BatchNorm1d)


def test_moco_writes_its_keys_after_the_step(tiny):
    learner, views = build("moco_v2", tiny("moco_v2")), some_views()
    term, keys = learner.marginals[0], nn.functional.normalize(learner.g(views[1]), dim=1)
    im.step(learner, views, torch.optim.SGD(learner.parameters(), lr=0.1))
    torch.testing.assert_close(term.queue[:32], keys)
    im.step(learner, views, torch.optim.SGD(learner.parameters(), lr=0.1))
    assert term.pointer == 24  # 64 keys into 40 places


def test_moco_both_ways_averages_the_directions(tiny):
    one, both = (build("moco_v2", tiny("moco_v2", both_ways=b)) for b in (False, True))
    views = some_views()
    both.load_state_dict(one.state_dict())
    expected = (one(views).loss + one(views[::-1]).loss) / 2
    torch.testing.assert_close(both(views).loss, expected)


def test_only_the_global_crops_give_targets():
    for name in ("dino", "swav"):
        learner = im.methods.build(name, nn.Linear(12, 16), projector=(16,), prototypes=5)
        output = learner([*some_views(), *some_views()[:1], *some_views()[:1]])
        assert (list(output.z), list(output.k)) == ([0, 1, 2, 3], [0, 1])


def test_three_views_of_w_mse_are_compared_pairwise(tiny):
    learner = build("w_mse", tiny("w_mse"))
    a, b = some_views()
    pairs = [learner([x, y]).loss for x, y in ((a, b), (a, a + 1), (b, a + 1))]
    torch.testing.assert_close(learner([a, b, a + 1]).loss, torch.stack(pairs).mean())


def test_a_misspelt_last_norm_names_the_nearest():
    with pytest.raises(im.ConfigError, match=r"no last norm 'afine': did you mean 'affine'\?"):
        im.methods.byol(im.encoders.get("mlp", channels=1, size=8, hidden=16), last_norm="afine")


@pytest.mark.parametrize("name", sorted(im.methods.METHODS))
def test_an_encoder_that_is_its_name_is_told_where_encoders_are_built(name):
    with pytest.raises(im.ConfigError, match=r"an encoder is a module.* not 'resnet8'.*im\.encoders\.get\('resnet8'\)"):
        im.methods.build(name, "resnet8")
