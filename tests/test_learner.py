import copy
import warnings

import pytest
import torch
from torch import nn

import infomax as im
from infomax import Alignment, Clock, CollapseWarning, ConfigError, Cosine, DataError, DonskerVaradhan, Learner, Shared
from infomax.training.watch.collapse import unguarded


def two_views(n=16, count=2):
    torch.manual_seed(1)
    return [torch.randn(n, 12) for _ in range(count)]


def jmi(**others):
    torch.manual_seed(0)
    cos = Cosine(0.5)
    return Learner(nn.Linear(12, 4), Shared(), Alignment(cos), DonskerVaradhan(cos), **others)


def test_loss_is_scale_times_offset_minus_bound():
    output = jmi(scale=3.0, offset=2.0)(two_views())
    torch.testing.assert_close(output.loss, 3 * (2 - output.bound))


def test_the_bound_is_the_mean_over_directed_pairs():
    learner, views = jmi(), two_views(count=3)
    z = {i: learner.f(v) for i, v in enumerate(views)}
    pairs = [learner.score({i: z[i]}, {j: z[j]}) for i in z for j in z if i != j]
    torch.testing.assert_close(learner(views).bound, torch.stack(pairs).mean())


def test_half_of_the_pairs_are_enough_where_both_halves_agree():
    seen = []

    class Counting(Alignment):
        symmetric = True

        def forward(self, a, b):
            seen.append(1)
            return super().forward(a, b)

    cos, views = Cosine(0.5), two_views(count=3)
    Learner(nn.Linear(12, 4), Shared(), Counting(cos), DonskerVaradhan(cos))(views)
    assert len(seen) == 3
    Learner(nn.Linear(12, 4), Shared(), Counting(cos), im.InfoNCE(cos))(views)
    assert len(seen) == 3 + 6


def test_leading_dimensions_equal_a_loop():
    torch.manual_seed(0)
    a, b = torch.randn(5, 8, 4), torch.randn(5, 8, 4)
    for name in ("jmi", "simclr", "barlow_twins", "vicreg", "taylor_jmi"):
        learner = im.methods.build(name, nn.Linear(4, 4), projector=())
        learner.f = nn.Identity()
        found = learner([a, b])
        assert found.loss.shape == (5,)
        torch.testing.assert_close(found.loss, torch.stack([learner([x, y]).loss for x, y in zip(a, b, strict=True)]))


def test_edit_changes_words_and_keeps_the_branch():
    learner = im.methods.byol(nn.Linear(12, 4), projector=(4,), predictor=(8,))
    with pytest.warns(CollapseWarning, match="'bare' has no marginal") as said:
        bare = learner.edit(marginals=(), name="bare")
    assert [warning.filename for warning in said] == [__file__], "the user's line, not one of the package"
    assert bare.f is learner.f
    assert bare.g is not learner.g
    assert len(bare.marginals) == 0
    assert len(learner.marginals) == 1
    assert (bare.scale, bare.offset, bare.target) == (learner.scale, learner.offset, learner.target)
    other = learner.edit(target=im.StopGradient(), joint=Alignment(Cosine()), scale=1.0)
    assert other.g is None
    assert other.marginals[0] is learner.marginals[0]
    known = r"\(one of: joint, marginals, name, offset, rules, scale, target\)$"
    with pytest.raises(ConfigError, match=rf"^a learner has no 'tarjet' to edit: did you mean 'target'\? {known}"):
        learner.edit(tarjet=im.EMA())
    with pytest.raises(ConfigError, match=rf"no 'marginal' to edit: did you mean 'marginals'\? {known}"):
        learner.edit(marginal=())


def test_a_learner_without_marginal_warns_and_one_with_it_does_not():
    with pytest.warns(CollapseWarning, match="nothing keeps its embedding from collapsing"):
        Learner(nn.Linear(2, 2), Shared(), Alignment(Cosine()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        jmi()


def test_parts_in_the_wrong_order_are_named():
    with pytest.raises(ConfigError, match="expected a Target, got Alignment"):
        Learner(nn.Linear(2, 2), Alignment(Cosine()), Shared())
    with pytest.raises(ConfigError, match="expected a Marginal, got Cosine"):
        Learner(nn.Linear(2, 2), Shared(), Alignment(Cosine()), Cosine())


def test_what_cannot_be_compared():
    learner = jmi()
    with pytest.raises(DataError, match="give at least 2, not 1"):
        learner(two_views()[:1])
    with pytest.raises(DataError, match="a batch of 1"):
        learner(two_views(n=1))
    with pytest.raises(DataError, match=r"differ in their number of rows: \[15, 16\]"):
        learner([two_views()[0], two_views(n=15)[1]])
    with pytest.raises(DataError, match="no pair of different views"):
        learner.score({0: torch.ones(2, 2)}, {0: torch.ones(2, 2)})


class PerSample(im.Marginal):
    def penalty(self, a, b):
        return (a - b).square().sum(-1)


class Returnless(im.Marginal):
    def penalty(self, a, b):
        (a - b).square().mean()


class OneSide(im.Marginal):
    def constrain(self, z, k, clock):
        return z


class PerSampleJoint(im.Joint):
    def forward(self, a, b):
        return -(a - b).square().sum(-1)


@pytest.mark.parametrize("target", [Shared(), im.EMA()], ids=["at once", "view by view"])
@pytest.mark.parametrize(
    ("joint", "marginal", "said"),
    [
        (Alignment(Cosine(0.5)), PerSample(), r"PerSample.penalty gives a tensor of shape \(16,\) .*\(16, 4\).*mean"),
        (Alignment(Cosine(0.5)), Returnless(), "Returnless.penalty gives NoneType"),
        (Alignment(Cosine(0.5)), OneSide(), "OneSide.constrain gives dict: return both sides"),
        (PerSampleJoint(), DonskerVaradhan(Cosine(0.5)), r"PerSampleJoint.forward gives a tensor of shape \(16,\)"),
    ],
    ids=["penalty by sample", "no penalty", "one side", "joint by sample"],
)
def test_a_part_that_gives_another_thing_than_it_should_is_named(target, joint, marginal, said):
    learner = Learner(nn.Linear(12, 4), target, joint, marginal)
    with pytest.raises(ConfigError, match=said):
        im.step(learner, two_views(), torch.optim.SGD(learner.parameters(), 0.1))


@pytest.mark.parametrize("target", [Shared(), im.EMA()], ids=["at once", "view by view"])
def test_whole_numbers_are_no_embedding(target):
    cos = Cosine(0.5)
    learner = im.Learner(nn.Identity(), target, Alignment(cos), im.InfoNCE(cos), name="mine")
    whole = [torch.ones(4, 2, dtype=torch.int64)] * 2
    sides = dict(enumerate(whole))
    for look in (lambda: learner(whole), lambda: learner.climb(whole), lambda: learner.score(sides, sides)):
        with pytest.raises(DataError, match=r"^'mine': an embedding of torch\.int64: an encoder gives floating-point"):
            look()


@pytest.mark.parametrize("target", [Shared(), im.EMA()], ids=["at once", "view by view"])
def test_views_of_two_types_are_refused_by_their_names(target):
    cos = Cosine(0.5)
    learner = im.Learner(nn.Identity(), target, Alignment(cos), im.InfoNCE(cos), name="mine")
    views = [torch.randn(4, 2), torch.randn(4, 2, dtype=torch.float64)]
    sides = dict(enumerate(views))
    for look in (lambda: learner(views), lambda: learner.climb(views), lambda: learner.score(sides, sides)):
        with pytest.raises(
            DataError, match=r"^'mine': embeddings of torch\.float32 and torch\.float64: bring the views"
        ):
            look()


@pytest.mark.parametrize("target", [Shared(), im.EMA()], ids=["at once", "view by view"])
def test_an_embedding_without_columns_is_refused(target):
    cos = Cosine(0.5)
    learner = Learner(nn.Sequential(nn.Linear(12, 1), nn.Flatten(0)), target, Alignment(cos), DonskerVaradhan(cos))
    for look in (learner, learner.climb):
        with pytest.raises(DataError, match=r"'own': an embedding of shape \(16,\): an encoder gives N x D"):
            look(two_views())


def test_a_step_climbs():
    learner, views = jmi(), two_views()
    optimizer = torch.optim.SGD(learner.parameters(), lr=0.5)
    bounds = [im.step(learner, views, optimizer).bound.item() for _ in range(20)]
    assert bounds[-1] > bounds[0] + 0.1


@pytest.mark.parametrize("method", ["jmi", "byol"])
def test_one_tensor_in_place_of_views_is_refused(method):
    learner = im.methods.build(method, nn.Linear(12, 4), projector=(4,))
    optimizer = torch.optim.SGD(learner.parameters(), lr=0.1)
    for views in (torch.randn(16, 12), torch.stack(two_views())):
        for look in (learner, learner.climb, lambda given: im.step(learner, given, optimizer)):
            with pytest.raises(DataError, match=r"a list of tensors, one a view, .*shape \(.*give views\.unbind\(\)"):
                look(views)
    im.step(learner, torch.stack(two_views()).unbind(), optimizer)


class OfBytes(nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, x):
        return self.encoder(x.float() / 255)


@pytest.mark.parametrize("method", ["jmi", "byol"])
def test_views_of_whole_numbers_are_refused_in_a_line(method):
    more = {"predictor": (4,)} if method == "byol" else {}
    learner = im.methods.build(method, nn.Linear(5, 4), projector=(), **more)
    views = list(torch.randint(0, 9, (2, 16, 5)))
    optimizer = torch.optim.SGD(learner.parameters(), lr=0.1)
    for look in (lambda: learner(views), lambda: im.step(learner, views, optimizer)):
        with pytest.raises(DataError, match=r"views of torch\.int64: views are floating point: v\.float\(\) \(torch: "):
            look()


@pytest.mark.parametrize("layers", [(nn.Conv2d(3, 4, 3),), (nn.Flatten(), nn.Linear(192, 4)), (nn.BatchNorm2d(3),)])
@pytest.mark.parametrize("method", ["jmi", "byol"])
def test_images_in_bytes_are_refused_unless_the_encoder_scales_them(method, layers):
    encoder = nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(4))
    encoder(torch.randn(2, 3, 8, 8))
    views = list(torch.randint(0, 256, (2, 16, 3, 8, 8), dtype=torch.uint8))
    learner = im.methods.build(method, encoder, projector=(), **{"predictor": (4,)} if method == "byol" else {})
    with pytest.raises(DataError, match=r"image views of torch\.uint8: views are floating point: v\.float\(\) / 255"):
        im.step(learner, views, torch.optim.SGD(learner.parameters(), lr=0.1))
    learner = im.methods.build(
        method, OfBytes(encoder), projector=(), **{"predictor": (4,)} if method == "byol" else {}
    )
    im.step(learner, views, torch.optim.SGD(learner.parameters(), lr=0.1))
    tokens = im.methods.jmi(nn.Sequential(nn.Embedding(9, 4), nn.Flatten()), projector=())
    im.step(tokens, [torch.randint(0, 9, (16, 5)) for _ in range(2)], torch.optim.SGD(tokens.parameters(), lr=0.1))


def test_an_optimizer_of_other_parameters_is_refused_until_it_has_the_learners():
    learner, other = jmi(), jmi()
    optimizer = torch.optim.SGD(other.parameters(), lr=0.1)
    im.step(other, two_views(), optimizer)
    with pytest.raises(ConfigError, match=r"holds none of the parameters of .*: make it from learner\.parameters\(\)"):
        im.step(learner, two_views(), optimizer)
    optimizer.add_param_group({"params": learner.parameters()})
    before = learner.f.weight.clone()
    im.step(learner, two_views(), optimizer)
    assert not torch.equal(before, learner.f.weight)

    class Wrapped:
        zero_grad, step = optimizer.zero_grad, optimizer.step

    before = learner.f.weight.clone()
    im.step(learner, two_views(), Wrapped())
    assert not torch.equal(before, learner.f.weight), "a wrapper need not tell what it holds"
    outside, loss = nn.Linear(12, 4), im.methods.simclr(nn.Identity(), projector=())
    before = outside.weight.clone()
    im.step(loss, [outside(v) for v in two_views()], torch.optim.SGD(outside.parameters(), lr=0.1))
    assert not torch.equal(before, outside.weight), "a learner may be the loss alone"


def test_a_frozen_second_encoder_is_refused_where_it_is_to_climb_and_before_a_run_begins():
    cos, other = Cosine(0.5), nn.Linear(12, 4).requires_grad_(False)
    learner = Learner(nn.Linear(12, 4), im.Twin(other=other), Alignment(cos), DonskerVaradhan(cos))
    optimizer = torch.optim.SGD(learner.parameters(), lr=0.1)
    im.step(learner, two_views(), optimizer, Clock(total=2))  # a teacher that stands still
    said = r"'own': the second encoder is to climb, and all its parameters are frozen: learner.g.requires_grad_\(True\)"
    with pytest.raises(ConfigError, match=said):
        im.step(learner, two_views(), optimizer, Clock(1, total=2, phase=1))
    seen = []
    with pytest.raises(ConfigError, match=said):
        im.train(learner, torch.randn(64, 12), views=lambda batch, *_, **__: seen.append(1) or [batch, batch])
    assert not seen
    frozen = jmi()
    frozen.requires_grad_(False)
    with pytest.raises(ConfigError, match=r"'own': the encoder is to climb, .* learner\.f\.requires_grad_"):
        im.step(frozen, two_views(), torch.optim.SGD(frozen.parameters(), lr=0.1))


@pytest.mark.parametrize(
    "clocks", [[Clock()] * 101, [Clock(k, total=4) for k in range(6)]], ids=["no clock", "phase 0"]
)
def test_a_second_encoder_that_never_has_its_turn_is_told_of_once(clocks):
    learner, views = im.methods.sdmi(nn.Linear(12, 4), projector=()), two_views()
    optimizer = torch.optim.SGD(learner.parameters(), lr=0.01)
    with pytest.warns(UserWarning, match="all updates so far had phase 0: the second one has not moved") as said:
        for clock in clocks:
            im.step(learner, views, optimizer, clock)
    assert len(said) == 1
    other = im.methods.sdmi(nn.Linear(12, 4), projector=())  # this one has its turns, and another a teacher
    taught = im.methods.sdmi(nn.Linear(12, 4), projector=())
    taught.g.requires_grad_(False)
    im.step(other, views, torch.optim.SGD(other.parameters(), lr=0.01), Clock(phase=1))
    for one in (other, taught):
        optimizer = torch.optim.SGD(one.parameters(), lr=0.01)
        for clock in clocks:
            im.step(one, views, optimizer, clock)


def test_the_branch_that_rests_does_not_move_even_with_weight_decay_and_momentum():
    learner, views = im.methods.sdmi(nn.Linear(12, 4), projector=(8, 4)), two_views()
    optimizer = torch.optim.SGD(learner.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    for phase, climbs, rests in ((0, learner.f, learner.g), (1, learner.g, learner.f), (0, learner.f, learner.g)):
        held, moved = ([p.clone() for p in m.parameters()] for m in (rests, climbs))
        im.step(learner, views, optimizer, Clock(phase=phase))
        assert all(torch.equal(p, q) for p, q in zip(held, rests.parameters(), strict=True))
        assert not any(torch.equal(p, q) for p, q in zip(moved, climbs.parameters(), strict=True))


def test_a_loss_that_is_not_finite_leaves_the_weights_alone_and_says_where():
    learner, views = jmi(), two_views()
    optimizer = torch.optim.SGD(learner.parameters(), lr=0.5)
    before = learner.f.weight.clone()
    spoiled = [views[0], views[1].clone()]
    spoiled[1][[3, 7], 5] = float("nan")
    with pytest.raises(
        im.NumericsError, match=r"step 4: view 1 of the input holds NaN or infinity, in rows \[3, 7\] of 16"
    ):
        im.step(learner, spoiled, optimizer, Clock(step=4))
    assert torch.equal(learner.f.weight, before)
    with torch.no_grad():
        learner.f.weight.fill_(float("inf"))
    with pytest.raises(im.NumericsError, match="student's embedding of view 0 is not finite, though the input is"):
        im.step(learner, views, optimizer)


def test_a_nan_in_a_view_of_single_numbers_is_named_by_its_row():
    cos = Cosine(0.5)
    branch = nn.Sequential(nn.Unflatten(0, (-1, 1)), nn.Linear(1, 4))
    learner = Learner(branch, Shared(), Alignment(cos), DonskerVaradhan(cos))
    views = [torch.randn(16), torch.randn(16)]
    views[0][2] = float("nan")
    with pytest.raises(im.NumericsError, match=r"view 0 of the input holds NaN or infinity, in rows \[2\] of 16"):
        im.step(learner, views, torch.optim.SGD(learner.parameters(), lr=0.1))


def test_a_critic_that_overflows_is_told_apart():
    class Wild(im.Critic):
        def paired(self, a, b):
            return (a * b).sum(-1) / 0

        crossed = None

    learner = jmi().edit(joint=Alignment(Wild()))
    with pytest.raises(im.NumericsError, match=r"the loss of 'own' is .*, from finite embeddings"):
        im.step(learner, two_views(), torch.optim.SGD(learner.parameters(), lr=0.1))


def test_prototypes_rest_in_the_first_epochs():
    for name in ("swav", "dino"):
        torch.manual_seed(0)
        learner = im.methods.build(name, nn.Linear(12, 4), projector=(4,), prototypes=6, freeze_epochs=2)
        prototypes = next(m for m in learner.modules() if isinstance(m, im.Prototypes))
        optimizer = torch.optim.SGD(learner.parameters(), lr=0.1, weight_decay=0.1)
        for epoch, moves in ((0, False), (1, False), (2, True)):
            before = prototypes.weight.clone()
            im.step(learner, two_views(), optimizer, Clock(step=3 * epoch, steps_per_epoch=3, total=9))
            moved = (before - prototypes.weight).abs().max() > 1e-6  # SwAV's are normalised, to the last bit
            assert bool(moved) is moves, name


def test_looking_twice_before_the_backward_pass(tiny):
    """Gradient accumulation over two batches: nothing that a look changes may belong to the graph of the other."""
    for name in im.methods.METHODS:
        torch.manual_seed(0)
        learner = im.methods.build(name, nn.Linear(12, 16), **tiny(name))
        first, second = two_views(n=32), [v + 1 for v in two_views(n=32)]
        (learner(first).loss + learner(second).loss).backward()
        assert all(torch.isfinite(p.grad).all() for p in learner.f.parameters() if p.grad is not None), name


def normed():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(12, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 4), nn.BatchNorm1d(4))
    return net.double()


def test_the_gradients_of_sdmi_are_those_of_algorithm_1_to_the_bit():
    learner, views = im.methods.sdmi(normed(), projector=()).double(), [v.double() for v in two_views(64)]
    f, g, (x1, x2) = copy.deepcopy(learner.f), copy.deepcopy(learner.g), views

    def dv(a, b):
        cos = Cosine(0.1)
        return cos.paired(a, b).mean() - DonskerVaradhan(cos).penalty(a, b)

    for phase, (climbs, rests) in enumerate([(f, g), (g, f)]):
        z1, z2, k1, k2 = climbs(x1), climbs(x2), rests(x1), rests(x2)
        naive = -(dv(z1, k2.detach()) + dv(z2, k1.detach())) / 2
        climbs.zero_grad()
        naive.backward()
        learner.zero_grad()
        torch.testing.assert_close(learner.climb(views, Clock(phase=phase)).loss, naive.detach(), rtol=0, atol=1e-14)
        mine, other = (learner.f, learner.g) if phase == 0 else (learner.g, learner.f)
        for (name, p), q in zip(mine.named_parameters(), climbs.parameters(), strict=True):
            assert torch.equal(p.grad, q.grad), name
        assert all(p.grad is None for p in other.parameters())
    for part, whole in ((learner.f, f), (learner.g, g)):
        assert all(torch.equal(b, c) for b, c in zip(part.buffers(), whole.buffers(), strict=True))


@pytest.mark.parametrize("crops", [2, 4])
@pytest.mark.parametrize("name", sorted(im.methods.METHODS))
def test_climbing_view_by_view_is_climbing_at_once(name, crops, tiny):
    torch.manual_seed(0)
    ways = {"both_ways": True} if name in ("moco_v1", "moco_v2") else {}
    learner = im.methods.build(name, normed(), **tiny(name), **ways).double()
    other, views = copy.deepcopy(learner), [v.double() for v in two_views(64, crops)]
    assert learner.by_view is (name in {"sdmi", "byol", "bgrl", "moco_v1", "moco_v2", "moco_v3", "dino"})
    for phase in (0, 1) if name == "sdmi" else (0,):
        found = []
        for one in (learner, other):
            one.zero_grad()
            torch.manual_seed(5)  # of the whitening's cuts
            found.append(one.climb(views, Clock(phase=phase)) if one is learner else one(views, Clock(phase=phase)))
        found[1].loss.backward()
        assert torch.equal(found[0].loss, found[1].loss) and torch.equal(found[0].bound, found[1].bound)
        for n, p in learner.named_parameters():
            q = other.get_parameter(n)
            assert (p.grad is None) is (q.grad is None), n
            if p.grad is not None and crops == 2 and name != "dino":
                assert torch.equal(p.grad, q.grad), n
            elif p.grad is not None:  # sums of more than two (or of DINO's weight norm) round by their order
                torch.testing.assert_close(p.grad, q.grad, rtol=0, atol=1e-14)
        for n, b in learner.named_buffers():
            assert torch.equal(b, other.get_buffer(n)), n


def test_only_one_views_activations_live_where_views_are_apart():
    alive = []

    class Watched(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            alive.append("held" if x.requires_grad else "looked")
            return x.clone()

        @staticmethod
        def backward(ctx, g):
            alive.append("let go")
            return g

    class Net(nn.Linear):
        def forward(self, x):
            return Watched.apply(super().forward(x))

    learner = im.methods.sdmi(Net(12, 4), projector=())
    learner.climb(two_views())
    assert alive == ["looked", "looked", "held", "let go", "held", "let go"]


def test_a_cut_that_would_change_the_numbers_is_refused_where_it_is_asked_for():
    learner = im.methods.jmi(nn.Linear(12, 8), projector=(6, 4))  # a batch norm in it
    with pytest.raises(ConfigError, match=r"accumulate=2: batch norm .* accumulate='views'"):
        learner.accumulate = 2
    learner.accumulate = "views"
    assert learner.edit(name="another").accumulate == "views"
    with pytest.raises(ConfigError, match="accumulate=0"):
        learner.accumulate = 0


def test_a_loss_of_ones_own_is_what_is_climbed():
    class Squared(Learner):
        def loss(self, bound, n):
            return super().loss(bound, n) ** 2

    torch.manual_seed(0)
    cos, views = Cosine(0.5), two_views()
    learner = Squared(nn.Linear(12, 4), im.EMA(), Alignment(cos), im.InfoNCE(cos))
    learner.climb(views)
    (expected,) = torch.autograd.grad(learner(views).loss, [learner.f.weight])
    torch.testing.assert_close(learner.f.weight.grad, expected)


@pytest.mark.parametrize("name", im.methods.METHODS)
@pytest.mark.parametrize("narrow", [torch.bfloat16, torch.float16])
def test_branches_go_to_16_bits_and_what_compares_them_stays_in_32(name, narrow, tiny):
    learner = im.methods.build(name, nn.Linear(12, 24), **tiny(name)).to(narrow)
    for part, module in learner.named_children():
        expected = narrow if part in ("f", "g") else torch.float32
        assert {t.dtype for t in module.state_dict().values() if t.is_floating_point()} <= {expected}
    output = learner([v.to(narrow) for v in two_views(n=32)])
    output.loss.backward()
    learner.after_step(output, Clock())
    assert output.loss.dtype == torch.float32 and output.loss.isfinite()
    assert {t.dtype for t in learner.double().state_dict().values() if t.is_floating_point()} == {torch.float64}


def test_what_changes_the_views_together_keeps_them_together():
    class Joined(im.Predictor):
        def constrain(self, z, k, clock):
            mean = sum(z.values()) / len(z)
            return {i: v - mean for i, v in z.items()}, k

    class Own(im.EMA):
        def look(self, f, g, views, clock):
            return super().look(f, g, views[::-1], clock)

    class Bent(Learner):
        def score(self, z, k, clock=None):
            return super().score(z, k) + sum(v.mean() for v in z.values())

    cos = Cosine(0.5)
    assert Learner(nn.Linear(12, 4), im.EMA(), Alignment(cos), DonskerVaradhan(cos)).by_view
    assert not Learner(nn.Linear(12, 4), im.EMA(), Alignment(cos), Joined(nn.Identity())).by_view
    assert not Learner(nn.Linear(12, 4), im.EMA(), Alignment(cos), im.Whitening()).by_view
    assert not Learner(nn.Linear(12, 4), Own(), Alignment(cos), DonskerVaradhan(cos)).by_view
    assert not Bent(nn.Linear(12, 4), im.EMA(), Alignment(cos), DonskerVaradhan(cos)).by_view


def test_the_encoder_is_what_is_kept():
    encoder = nn.Linear(12, 4)
    assert im.methods.jmi(encoder, projector=(4,)).encoder is encoder
    bare = jmi()
    assert bare.encoder is bare.f


EMBEDDED = {
    "simclr": lambda e: im.methods.simclr(e, projector=(), temperature=0.05),
    "moco_v2": lambda e: im.methods.moco_v2(e, projector=(), queue=64, temperature=0.05),
    "vicreg": lambda e: im.methods.vicreg(e, projector=()),
    "barlow_twins": lambda e: im.methods.barlow_twins(e, projector=()),
    "swav": lambda e: im.methods.swav(e, projector=(), prototypes=16),
    "dino": lambda e: im.methods.dino(e, projector=(), prototypes=0),
}


@pytest.mark.parametrize("name", EMBEDDED)
def test_score_reads_16_bits_in_32_under_autocast_too(name):
    embedding = nn.Identity()
    embedding.width = 8
    learner = EMBEDDED[name](embedding)
    torch.manual_seed(0)
    z, k = ({i: torch.randn(32, 8).bfloat16() for i in range(2)} for _ in range(2))
    if learner.target.one_way:
        z, k = {0: z[0]}, {1: k[1]}
    wide = learner.score(*({i: v.float() for i, v in side.items()} for side in (z, k)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under = learner.score(z, k)
    for bound in (learner.score(z, k), under):
        torch.testing.assert_close(bound, wide, rtol=0, atol=0)


class OneSided(Cosine):
    def factors(self, a, b):
        return super().factors(a.relu(), b)


class Leaning(im.CorrelationDiagonal):
    def forward(self, a, b):
        return super().forward(a.relu(), b)


class Heavy(im.Decorrelation):
    def penalty(self, a, b):
        return super().penalty(a.relu(), b)


class LeaningAlignment(Alignment):
    def forward(self, a, b):
        return super().forward(a.relu(), b)


class HeavyPartition(DonskerVaradhan):
    def penalty(self, a, b):
        return super().penalty(a.relu(), b)


@pytest.mark.parametrize(
    "words",
    [
        (Alignment(OneSided(0.5)), DonskerVaradhan(OneSided(0.5))),
        (Leaning(), im.Decorrelation()),
        (im.CorrelationDiagonal(), Heavy()),
        (LeaningAlignment(Cosine(0.5)), DonskerVaradhan(Cosine(0.5))),
        (Alignment(Cosine(0.5)), HeavyPartition(Cosine(0.5))),
    ],
    ids=["critic", "joint", "marginal", "joint of a critic", "marginal of a critic"],
)
def test_symmetry_is_not_inherited_by_what_writes_its_own_verbs(words):
    learner = Learner(nn.Identity(), Shared(), *words)
    z = dict(enumerate(two_views()))
    both = [learner.score({i: z[i]}, {j: z[j]}) for i, j in ((0, 1), (1, 0))]
    assert not torch.isclose(*both)
    torch.testing.assert_close(learner.score(z, z), sum(both) / 2)


def test_an_update_of_several_batches_fills_the_queue_with_each_and_moves_the_slow_copy_once():
    learner = im.methods.moco_v2(nn.Linear(12, 4), projector=(4,), queue=64)
    torch.nn.init.zeros_(learner.f.encoder.weight)
    slow, momentum = learner.g.encoder.weight.clone(), learner.target.momentum
    outputs = [learner(two_views()) for _ in range(3)]
    for output in outputs[:-1]:
        learner.observe(output, Clock())
    learner.after_step(outputs[-1], Clock())
    assert int(learner.marginals[0].pointer) == 3 * 16
    torch.testing.assert_close(learner.g.encoder.weight, momentum * slow)


def test_a_term_of_one_entry_or_of_a_plain_number_is_a_number():
    class Weighted(im.Marginal):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def penalty(self, a, b):
            return self.weight * a.square().mean()

    class Flat(im.Joint):
        def forward(self, a, b):
            return -(a - b).square().mean()

    class Nothing(im.Joint):
        def forward(self, a, b):
            return 0.0

    learner = Learner(nn.Linear(12, 4), Shared(), Alignment(Cosine(0.5)), Weighted())
    assert learner(two_views()).bound.shape == ()
    cut = Learner(nn.Linear(12, 4), Shared(), Flat(), im.Whitening(16, iterations=2))  # two leading cuts
    assert cut(two_views(32)).bound.shape == ()
    assert Learner(nn.Linear(12, 4), Shared(), Nothing(), im.Predictor(nn.Linear(4, 4)))(two_views()).bound == 0
    z = {0: torch.randn(1, 16, 4), 1: torch.randn(3, 16, 4)}
    assert jmi().score(z, z).shape == (3,), "leading indices are broadcast"


def test_an_edit_takes_one_marginal_as_it_is_and_refuses_a_scale_that_is_none():
    cos = im.Cosine(temperature=0.1)
    learner = im.Learner(nn.Linear(4, 3), im.Shared(), im.Alignment(cos), im.DonskerVaradhan(cos))
    edited = learner.edit(marginals=im.InfoNCE(cos))
    assert [type(m).__name__ for m in edited.marginals] == ["InfoNCE"]
    with pytest.raises(ConfigError, match="a learner's scale must be > 0, not 'x'"):
        learner.edit(scale="x")
    with pytest.raises(ConfigError, match="a learner's offset must be a finite number, not nan"):
        learner.edit(offset=float("nan"))


def test_whole_numbers_of_a_table_are_not_told_to_be_fractions():
    class Words(nn.Module):
        width = 8

        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(50, 8)

        def forward(self, x):
            return self.table(x).mean(1)

    learner, tokens = im.methods.simclr(Words(), projector=(4,)), torch.randint(0, 50, (6, 5), dtype=torch.uint8)
    with pytest.raises(RuntimeError, match="indices") as error:
        learner([tokens, tokens])
    assert not isinstance(error.value, DataError)
    assert learner([tokens.long(), tokens.long()]).loss.isfinite()


def test_a_marginal_that_does_nothing_is_refused_naming_the_verb():
    class Misspelt(im.Marginal):
        def penality(self, a, b):
            return -a.std(0).mean()

    class Other(im.Marginal):
        def forward(self, a, b):
            return a.square().mean()

    class Second(Misspelt):
        pass

    for kind, said in (
        (Misspelt, r"^Misspelt has no verb .*; of its 'penality': did you mean 'penalty'\? \(one of: constrain, obs"),
        (Second, r"^Second has no verb .*did you mean 'penalty'"),
        (Other, r"^Other has no verb .*; write constrain, penalty, observe, or some of them$"),
        (im.Marginal, "^Marginal has no verb"),
    ):
        with pytest.raises(ConfigError, match=said):
            Learner(nn.Linear(12, 4), Shared(), Alignment(Cosine(0.5)), kind())
        with pytest.raises(ConfigError, match=said):
            im.methods.jmi(nn.Linear(12, 4)).edit(marginals=kind())


def test_a_marginal_that_only_looks_on_guards_against_nothing():
    class Looks(im.Marginal):
        def observe(self, k, clock):
            self.seen = len(k)

    with pytest.warns(im.CollapseWarning, match="no marginal with a penalty or a constraint: nothing keeps"):
        learner = Learner(nn.Linear(12, 4), Shared(), Alignment(Cosine(0.5)), Looks())
    assert unguarded(learner) == ("point", "directions", "nothing")
    im.methods.jmi(nn.Linear(12, 4)).edit(marginals=(im.DonskerVaradhan(Cosine(0.5)), Looks()))
    own = Looks()
    own.penalty = lambda a, b: a.square().mean((-2, -1))
    Learner(nn.Linear(12, 4), Shared(), Alignment(Cosine(0.5)), own)
