import copy
import warnings

import pytest
import torch
from torch import nn

import infomax as im
from infomax import EMA, Clock, ConfigError, Shared, StopGradient, Target, Twin
from infomax.target import rounded_by_chance


def branch():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4, bias=False), nn.BatchNorm1d(4), nn.Linear(4, 2))


def some_views(n=2):
    return [torch.randn(6, 3) for _ in range(n)]


def same(a, b):
    return all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


def graph(views):
    return [v.requires_grad for v in views.values()]


def test_shared_looks_once_and_lets_both_sides_climb():
    z, k = Shared().look(branch(), None, some_views(3), Clock())
    assert k is z
    assert list(z) == [0, 1, 2]
    assert graph(z) == [True] * 3
    assert Shared().second(branch()) is None


def test_stop_gradient_is_the_student_cut_off():
    z, k = StopGradient(views=2).look(branch(), None, some_views(4), Clock())
    assert list(z) == [0, 1, 2, 3]
    assert list(k) == [0, 1]
    assert all(graph(z))
    assert not any(graph(k))
    assert torch.equal(z[1], k[1])


@pytest.mark.parametrize("kind", [StopGradient, EMA])
def test_one_way_compares_the_first_with_the_second(kind):
    target, f = kind(one_way=True), branch()
    z, k = target.look(f, target.second(f), some_views(), Clock())
    assert (list(z), list(k)) == ([0], [1])


def test_one_way_does_not_drop_views_without_a_word():
    target, f = EMA(one_way=True), branch()
    with pytest.raises(ConfigError, match="compares view 0 with view 1, and there are 4 views"):
        target.look(f, target.second(f), some_views(4), Clock())


def test_an_ema_starts_as_a_copy_and_no_gradient_enters_it():
    target, f = EMA(0.9), branch()
    g = target.second(f)
    assert g is not f
    assert same(f, g)
    assert not any(p.requires_grad for p in g.parameters())
    z, k = target.look(f, g, some_views(3), Clock())
    assert (list(z), list(k)) == ([0, 1, 2], [0, 1])
    assert all(graph(z))
    assert not any(graph(k))


@pytest.mark.parametrize("target", [EMA(), Twin()], ids=["ema", "twin"])
def test_the_input_gets_no_gradient_through_a_branch_that_rests(target):
    """An identity returns its input itself, which `no_grad` alone would leave attached."""
    views = [v.requires_grad_() for v in some_views()]
    _, k = target.look(nn.Linear(3, 3), nn.Identity(), views, Clock())
    assert not any(graph(k))


def test_an_ema_can_start_fresh():
    target, f = EMA(start="fresh"), branch()
    g = target.second(f)
    assert not torch.equal(f[0].weight, g[0].weight)
    assert not torch.equal(f[2].weight, g[2].weight)


@pytest.mark.parametrize("target", [EMA(), EMA(start="fresh"), Twin()], ids=["copy", "fresh", "twin"])
def test_a_second_encoder_is_not_made_of_weights_that_are_not_there(target):
    with pytest.raises(ConfigError, match="LazyLinear has no weights yet: run the encoder on a batch first"):
        target.second(nn.Sequential(nn.LazyLinear(3)))


def test_an_ema_averages_parameters_and_leaves_buffers_alone():
    target, f = EMA(0.9, anneal=False), branch()
    g = target.second(f)
    f(torch.randn(6, 3))  # moves f's running statistics
    with torch.no_grad():
        for p in f.parameters():
            p.add_(1.0)
    before, statistics = copy.deepcopy(g), g[1].running_mean.clone()
    target.m_step(f, g, Clock())
    for old, new, online in zip(before.parameters(), g.parameters(), f.parameters(), strict=True):
        torch.testing.assert_close(new, 0.9 * old + 0.1 * online)
    assert torch.equal(g[1].running_mean, statistics)
    assert not torch.equal(f[1].running_mean, statistics)
    assert g[1].num_batches_tracked == 0


def test_the_momentum_anneals_to_one():
    target = EMA(0.9)
    taus = [target.tau(Clock(step=s, total=10)) for s in (0, 5, 10)]
    assert taus == pytest.approx([0.9, 0.95, 1.0])
    assert EMA(0.9, anneal=False).tau(Clock(step=9, total=10)) == 0.9
    assert EMA(0.9, final=0.99).tau(Clock(step=5, total=10)) == pytest.approx(0.945)


def test_at_momentum_one_the_target_stands_still():
    target, f = EMA(1.0), branch()
    g = target.second(f)
    held = copy.deepcopy(g)
    with torch.no_grad():
        f[0].weight.add_(1.0)
    target.m_step(f, g, Clock())
    assert same(g, held)


def test_twins_are_two_encoders_that_take_turns():
    target, f = Twin(), branch()
    g = target.second(f)
    assert not torch.equal(f[0].weight, g[0].weight)
    assert all(p.requires_grad for p in g.parameters())
    views = some_views()
    for phase, climbs, rests in ((0, f, g), (1, g, f)):
        z, k = target.look(f, g, views, Clock(phase=phase))
        assert all(graph(z))
        assert not any(graph(k))
        torch.testing.assert_close(z[0], climbs(views[0]))
        torch.testing.assert_close(k[1], rests(views[1]))


def test_a_twin_may_be_given():
    other = nn.Linear(3, 2)
    assert Twin(other=other).second(branch()) is other


def test_a_second_encoder_is_another_draw_of_the_same_law():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.token = nn.Parameter(torch.randn(64))
            self.layer = nn.Linear(32, 32)
            nn.init.normal_(self.layer.weight, std=0.01)
            nn.init.zeros_(self.layer.bias)
            self.norm = nn.BatchNorm1d(32)

        def forward(self, x):
            return self.norm(self.layer(x))

    f = Odd()
    f(torch.randn(8, 32))
    g = Twin().second(f)
    for name in ("token", "layer.weight"):
        one, other = f.get_parameter(name), g.get_parameter(name)
        assert not torch.equal(one, other)
        assert torch.equal(one.flatten().sort()[0], other.flatten().sort()[0])
    assert not g.layer.bias.any() and bool((g.norm.weight == 1).all())
    assert not g.norm.running_mean.any() and f.norm.running_mean.any()


def test_the_order_of_updates():
    assert list(Shared().order(2)) == [(0, 0), (1, 0)]
    assert list(Twin("epoch").order(3)) == [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1)]
    assert list(Twin("batch").order(2)) == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_what_has_an_m_step():
    assert Shared().m_step_is is None
    assert all(t.m_step_is for t in (StopGradient(), EMA(), Twin()))


def test_what_cannot_be_built():
    with pytest.raises(ConfigError, match=r"lies in \[0, 1\], not 1.5"):
        EMA(1.5)
    with pytest.raises(ConfigError, match="'copy' or 'fresh', not 'cold'"):
        EMA(start="cold")
    with pytest.raises(ConfigError, match="every 'epoch' or every 'batch', not 'hour'"):
        Twin("hour")
    for target in (EMA(), Twin()):
        with pytest.raises(ConfigError, match=r"second\(f\)"):
            target.look(branch(), None, some_views(), Clock())
    with pytest.raises(NotImplementedError, match="Target defines no look"):
        Target().look(branch(), None, some_views(), Clock())


def test_a_slow_copy_in_16_bits_moves_as_far_as_one_in_32():
    torch.manual_seed(0)
    f, left = nn.Linear(64, 64), {}
    for dtype in (torch.float32, torch.bfloat16):
        fast = copy.deepcopy(f).to(dtype)
        slow = EMA(0.99, anneal=False)
        g = slow.second(fast)
        with torch.no_grad():
            fast.weight.mul_(1.5)
        began = (fast.weight - g.weight).norm()
        for step in range(100):
            slow.m_step(fast, g, Clock(step, 10, 200))
        left[dtype] = float(((fast.weight - g.weight).norm() / began).detach())
    assert left[torch.float32] == pytest.approx(0.99**100, abs=1e-3)
    assert left[torch.bfloat16] == pytest.approx(left[torch.float32], abs=0.03)
    twice = [rounded_by_chance(torch.linspace(-3, 3, 999), seed=5) for _ in range(2)]
    assert torch.equal(*twice) and float((twice[0].float() - torch.linspace(-3, 3, 999)).abs().max()) < 2**-6


def test_a_moving_average_that_a_clock_without_a_total_has_stopped_says_so():
    target, f = EMA(0.9), branch()
    g = target.second(f)
    target.m_step(f, g, Clock(step=0))
    target.m_step(f, g, Clock(step=3, total=4))
    with pytest.warns(UserWarning, match=r"total=1.*no longer moves; give total=, the updates of the whole run"):
        target.m_step(f, g, Clock(step=3))
    EMA(0.9, anneal=False).m_step(f, g, Clock(step=3))
    EMA(0.9, final=0.99).m_step(f, g, Clock(step=3))


class WeightNormed(nn.Module):
    """A head that ends as lightly's and the authors' of DINO do, by the weight norm of torch's old kind."""

    def __init__(self, *widths):
        super().__init__()
        self.first, last = nn.Linear(*widths[:2]), nn.Linear(*widths[1:], bias=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            self.last_layer = nn.utils.weight_norm(last)
        self.last_layer.weight_g.data.fill_(1)
        self.last_layer.weight_g.requires_grad = False

    def forward(self, x):
        return self.last_layer(torch.nn.functional.normalize(self.first(x), dim=-1))


def test_a_head_with_weights_that_it_computes_of_its_parameters_has_a_slow_copy_and_a_twin():
    torch.manual_seed(0)
    head = WeightNormed(8, 4, 10)
    learner = im.methods.dino(nn.Linear(6, 8), projector=head, prototypes=0, momentum=0.5)
    slow = learner.g.projector[0].last_layer
    assert slow is not head.last_layer and torch.equal(slow.weight_v, head.last_layer.weight_v)
    before, optimizer = slow.weight_v.clone(), torch.optim.SGD(learner.parameters(), lr=10.0)
    x = torch.randn(16, 6)
    im.step(learner, [x, x + 0.1 * torch.randn_like(x)], optimizer, im.Clock(0, total=4))
    v, f = slow.weight_v, head.last_layer.weight_v
    assert not torch.equal(f, before)
    torch.testing.assert_close(v, 0.5 * before + 0.5 * f)
    k = learner.g(x)
    unit = v / v.norm(dim=1, keepdim=True)
    by_hand = torch.nn.functional.normalize(learner.g.projector[0].first(learner.g.encoder(x)), dim=-1) @ unit.T
    torch.testing.assert_close(k, by_hand)
    f = im.Branch(nn.Linear(6, 8), WeightNormed(8, 4, 10))
    g = im.Twin().second(f)
    a, b = (branch.projector.last_layer.weight_v.detach() for branch in (f, g))
    assert not torch.equal(a, b) and float(a.norm()) == pytest.approx(float(b.norm()), rel=0.3)
