import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import infomax as im
from infomax import Centering, Clock, ConfigError, NumericsError, Predictor, Prototypes, Sinkhorn, Whitening
from infomax.marginal import Marginal, sinkhorn


def views(n=8, d=3, count=2, seed=0):
    torch.manual_seed(seed)
    return {i: torch.randn(n, d, dtype=torch.float64) for i in range(count)}


# ---- the three verbs -------------------------------------------------------------------------------------------------
def test_a_bare_marginal_does_nothing():
    z = views()
    term = Marginal()
    assert term.constrain(z, z, Clock()) == (z, z)
    assert term.penalty(z[0], z[1]) == term.offset(8) == 0.0
    assert term.observe(z, Clock()) is None


# ---- predictor -------------------------------------------------------------------------------------------------------
def test_a_predictor_touches_the_student_only():
    net, z, k = nn.Linear(3, 3).double(), views(), views(seed=1)
    student, target = Predictor(net).constrain(z, k, Clock())
    assert target is k
    torch.testing.assert_close(student[1], net(z[1]))


def test_twin_predictors_take_turns():
    term, z = Predictor(nn.Linear(3, 3), twin=True).double(), views()
    first, second = (term.constrain(z, z, Clock(phase=p))[0][0] for p in (0, 1))
    torch.testing.assert_close(first, term.net(z[0]))
    torch.testing.assert_close(second, term.twin(z[0]))
    assert not torch.allclose(first, second)


# ---- whitening -------------------------------------------------------------------------------------------------------
@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**20), d=st.integers(1, 4), groups=st.integers(1, 3))
def test_each_sub_batch_is_white(seed, d, groups):
    torch.manual_seed(seed)
    z = torch.randn(8 * groups, d, dtype=torch.float64) @ torch.randn(d, d, dtype=torch.float64) + 5
    z = z + 0.1 * torch.randn_like(z)
    term, order = Whitening(8), torch.randperm(8 * groups)
    for group in term.whiten(z, order)[order].view(groups, 8, d):
        torch.testing.assert_close(group.mean(0), torch.zeros(d).double(), atol=1e-7, rtol=0)
        torch.testing.assert_close(group.T.cov().view(d, d), torch.eye(d).double(), atol=1e-6, rtol=0)


def test_whitening_leaves_rows_in_their_places():
    z = views(n=8)[0]
    whole = Whitening(8).whiten(z, torch.randperm(8))
    torch.testing.assert_close(whole, Whitening(8).whiten(z, torch.arange(8)))  # one group: its order is no matter
    order = torch.tensor([6, 0, 3, 4, 1, 2, 5, 7])
    halves = Whitening(4).whiten(z, order)
    torch.testing.assert_close(halves[order[:4]], Whitening(4).whiten(z[order[:4]], torch.arange(4)))


def test_whitening_gradients():
    z = views(n=8)[0].requires_grad_()
    order = torch.randperm(8)
    assert torch.autograd.gradcheck(lambda x: Whitening(8).whiten(x, order), (z,))
    assert torch.autograd.gradcheck(lambda x: Whitening(4, eps=0.1).whiten(x, order), (z,))


def test_whitening_of_leading_dimensions_equals_a_loop():
    z = torch.stack([*views(n=8).values()])
    order = torch.randperm(8)
    each = torch.stack([Whitening(4).whiten(v, order) for v in z])
    torch.testing.assert_close(Whitening(4).whiten(z, order), each)


def test_every_view_is_cut_alike_and_cuts_are_stacked():
    z = views(n=8)
    z[1] = z[0].clone()
    students, targets = Whitening(4, iterations=3).constrain(z, z, Clock())
    assert students is targets
    assert students[0].shape == (3, 8, 3)
    assert torch.equal(students[0], students[1])
    assert not torch.allclose(students[0][0], students[0][1])
    apart, k = Whitening(4, iterations=3).constrain({0: z[0]}, {1: z[1]}, Clock())
    assert torch.equal(apart[0], k[1])


def test_several_cuts_are_the_mean_of_their_objectives_with_any_other_marginal():
    cos = im.Cosine(0.5)
    z = {i: torch.randn(16, 3, dtype=torch.float64) for i in range(2)}
    cuts = [torch.randperm(16) for _ in range(2)]
    learner = im.Learner(nn.Identity(), im.Shared(), im.Alignment(cos), Whitening(8, iterations=2), im.InfoNCE(cos))
    left = iter(cuts)
    learner.marginals[0].permutation = lambda n: next(left)
    output = learner(list(z.values()))
    each = []
    for cut in cuts:
        one = im.Learner(nn.Identity(), im.Shared(), im.Alignment(cos), Whitening(8), im.InfoNCE(cos))
        one.marginals[0].permutation = lambda n, cut=cut: cut
        each.append(one(list(z.values())))
    torch.testing.assert_close(output.loss, torch.stack([o.loss for o in each]).mean())
    torch.testing.assert_close(output.loss, math.log(16) - output.bound)


def test_what_cannot_be_whitened_says_why():
    z = views(n=8)[0]
    with pytest.raises(NumericsError, match=r"more rows than columns: 3 rows \(batch 3, size 8\) of width 3"):
        Whitening(8).whiten(z[:3], torch.arange(3))
    with pytest.raises(NumericsError, match="batch of 8 does not divide into whitening sub-batches of 5"):
        Whitening(5).whiten(z, torch.arange(8))
    with pytest.raises(NumericsError, match="8 x 3 embeddings is singular: they have collapsed"):
        Whitening(8).whiten(torch.ones_like(z), torch.arange(8))
    with pytest.raises(NumericsError, match=r"embeddings up to \d\.\de\+30 overflows"):
        Whitening(8).whiten(1e30 * z.float(), torch.arange(8))


# ---- sinkhorn --------------------------------------------------------------------------------------------------------
@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 2**20),
    n=st.integers(2, 9),
    k=st.integers(2, 6),
    eps=st.floats(0.05, 2),
    rounds=st.integers(1, 5),
)
def test_sinkhorn_rows_sum_to_one(seed, n, k, eps, rounds):
    torch.manual_seed(seed)
    codes = sinkhorn(torch.randn(n, k, dtype=torch.float64) / eps, rounds)
    torch.testing.assert_close(codes.sum(1), torch.ones(n).double())
    assert (codes >= 0).all()


def test_sinkhorn_columns_come_to_balance():
    torch.manual_seed(0)
    codes = sinkhorn(torch.randn(30, 6, dtype=torch.float64), 200)
    torch.testing.assert_close(codes.sum(0), torch.full((6,), 5.0).double())


def test_sinkhorn_cannot_overflow_and_ignores_a_constant():
    scores = torch.tensor([[9000.0, 8990.0], [8995.0, 9000.0]])
    assert torch.isfinite(sinkhorn(scores, 3)).all()
    torch.testing.assert_close(sinkhorn(scores, 3), sinkhorn(scores - 8990, 3))


def test_codes_carry_no_gradient_and_prototypes_are_unit_rows():
    term, z = Sinkhorn(Prototypes(3, 5)).double(), views()
    z = {i: v.requires_grad_() for i, v in z.items()}
    students, codes = term.constrain(z, z, Clock())
    assert students[0].requires_grad
    assert not codes[0].requires_grad
    torch.testing.assert_close(students[0].exp().sum(1), torch.ones(8).double())


def test_prototypes_return_to_unit_rows_after_the_step_and_not_before():
    term = Sinkhorn(Prototypes(3, 5)).double()
    with torch.no_grad():
        term.prototypes.weight.mul_(3)
    long = term.prototypes.weight.detach().clone()
    term.constrain(views(), views(), Clock())
    assert torch.equal(term.prototypes.weight, long)  # looking changes nothing
    term.observe(views(), Clock())
    torch.testing.assert_close(term.prototypes.weight, long / 3)


def test_student_probabilities_gradients():
    term = Sinkhorn(Prototypes(3, 5), temperature=0.5).double()
    assert torch.autograd.gradcheck(lambda v: term.constrain({0: v}, {}, Clock())[0][0], (views()[0].requires_grad_(),))
    center = Centering(3, temperature=0.5).double()
    assert torch.autograd.gradcheck(
        lambda v: center.constrain({0: v}, {}, Clock())[0][0], (views()[0].requires_grad_(),)
    )


def test_the_queue_counts_once_it_is_full():
    torch.manual_seed(0)
    term, z = Sinkhorn(Prototypes(3, 5), queue=12).double(), views()

    def codes():
        return term.constrain({}, {0: z[0]}, Clock())[1][0]

    alone = codes()
    term.observe(z, Clock())  # 8 of 12 rows
    torch.testing.assert_close(codes(), alone)
    term.observe(z, Clock())
    assert term.queue[:, -1].any()
    assert not torch.allclose(codes(), alone)
    torch.testing.assert_close(term.queue[1, :8], nn.functional.normalize(z[1], dim=1))
    torch.testing.assert_close(term.queue[1, 8:], nn.functional.normalize(z[1], dim=1)[:4])


def test_more_target_views_than_queues_are_refused_only_where_there_are_queues():
    z = views(count=3)
    _, codes = Sinkhorn(Prototypes(3, 5)).double().constrain(z, z, Clock())
    assert list(codes) == [0, 1, 2]
    with pytest.raises(ConfigError, match=r"3 views give targets, and 2 have a queue: take Sinkhorn\(views=3\)"):
        Sinkhorn(Prototypes(3, 5), queue=4).double().constrain(z, z, Clock())
    with pytest.raises(ConfigError, match="views 0 >= 1"):
        Sinkhorn(Prototypes(3, 5), views=0)


def test_the_queue_waits_for_its_epoch():
    term = Sinkhorn(Prototypes(3, 5), queue=4, queue_epoch=2).double()
    term.observe(views(), Clock(step=19, steps_per_epoch=10))
    assert not term.queue.any()
    term.observe(views(), Clock(step=20, steps_per_epoch=10))
    assert term.queue.any()


# ---- centring --------------------------------------------------------------------------------------------------------
def test_centring_and_sharpening():
    term, z = Centering(3, temperature=0.2, target_temperature=0.1, momentum=0.8).double(), views()
    term.center.copy_(torch.tensor([1.0, 0.0, -1.0]))
    student, target = term.constrain(z, z, Clock())
    torch.testing.assert_close(student[0], (z[0] / 0.2).log_softmax(1))
    torch.testing.assert_close(target[1], ((z[1] - term.center) / 0.1).softmax(1))
    before = term.center.clone()
    term.observe(z, Clock())
    torch.testing.assert_close(term.center, 0.8 * before + 0.2 * torch.cat([z[0], z[1]]).mean(0))


def test_the_targets_temperature_warms_up():
    term = Centering(3, target_temperature=0.08, warmup_temperature=0.04, warmup_epochs=5).double()
    k = views(count=1)
    for epoch, expected in ((0, 0.04), (2, 0.06), (4, 0.08), (9, 0.08)):
        found = term.constrain({}, k, Clock(step=10 * epoch + 3, steps_per_epoch=10))[1][0]
        torch.testing.assert_close(found, (k[0] / expected).softmax(1))


def test_temperatures_are_positive():
    with pytest.raises(ConfigError, match="temperatures must be > 0"):
        Centering(3, target_temperature=0.0)
