import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from infomax import (
    Alignment,
    Bilinear,
    Chord,
    Clock,
    ConfigError,
    Cosine,
    DonskerVaradhan,
    Dot,
    Euclidean,
    InfoNCE,
    NumericsError,
    TaylorDonskerVaradhan,
)

seeds, temperatures = st.integers(0, 2**20), st.floats(0.02, 5.0)


def pair(seed, n=6, d=3, noise=1.0, lead=()):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(*lead, n, d))
    return torch.from_numpy(a), torch.from_numpy(a + noise * rng.normal(size=a.shape))


TERMS = {
    "dv": lambda c: DonskerVaradhan(c),
    "dv_all_pairs": lambda c: DonskerVaradhan(c, all_pairs=True),
    "infonce": lambda c: InfoNCE(c),
    "infonce_own_view": lambda c: InfoNCE(c, own_view=True),
    "taylor": lambda c: TaylorDonskerVaradhan(c),
}


@pytest.fixture(params=TERMS)
def make(request):
    return TERMS[request.param]


@pytest.mark.parametrize("critic", [Cosine(0.3), Dot(2.0)], ids=["cosine", "dot"])
def test_gradients(make, critic):
    a, b = (z.requires_grad_() for z in pair(0, n=4))
    assert torch.autograd.gradcheck(make(critic).penalty, (a, b))


def test_gradients_with_a_queue():
    torch.manual_seed(0)
    a, b = (z.requires_grad_() for z in pair(0, n=4))
    assert torch.autograd.gradcheck(InfoNCE(Cosine(0.3), queue=7, width=3).double().penalty, (a, b))


@settings(deadline=None, max_examples=25)
@given(seed=seeds, t=temperatures)
@pytest.mark.parametrize("name", TERMS)
def test_the_order_of_samples_does_not_matter(name, seed, t):
    a, b = pair(seed)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(6))
    term = TERMS[name](Cosine(t))
    torch.testing.assert_close(term.penalty(a[order], b[order]), term.penalty(a, b))


def test_leading_dimensions_equal_a_loop(make):
    a, b = pair(0, lead=(2, 3))
    term = make(Cosine(0.2))
    found = term.penalty(a, b)
    assert found.shape == (2, 3)
    for i, j in np.ndindex(2, 3):
        torch.testing.assert_close(found[i, j], term.penalty(a[i, j], b[i, j]))


@settings(deadline=None, max_examples=25)
@given(seed=seeds, t=temperatures, shift=st.floats(-3, 3))
def test_a_constant_added_to_the_critic_is_added_to_the_partition(seed, t, shift):
    class Shifted(Cosine):
        def paired(self, a, b):
            return super().paired(a, b) + shift

        def crossed(self, a, b):
            return super().crossed(a, b) + shift

    a, b = pair(seed)
    for name in ("dv", "dv_all_pairs", "infonce", "infonce_own_view"):
        plain, moved = TERMS[name](Cosine(t)).penalty(a, b), TERMS[name](Shifted(t)).penalty(a, b)
        torch.testing.assert_close(moved, plain + shift)


def bound(term, a, b):
    return Alignment(term.critic)(a, b) - term.penalty(a, b)


@settings(deadline=None, max_examples=40)
@given(seed=seeds, t=temperatures, n=st.integers(2, 12), noise=st.floats(0, 2))
def test_infonce_never_exceeds_the_log_of_its_candidates(seed, t, n, noise):
    a, b = pair(seed, n=n, noise=noise)
    torch.manual_seed(seed)
    for term in (
        InfoNCE(Cosine(t)),
        InfoNCE(Cosine(t), own_view=True),
        InfoNCE(Cosine(t), queue=9, width=3).double(),
        InfoNCE(Dot(t)),
        InfoNCE(Euclidean()),
    ):
        assert bound(term, a, b) <= term.offset(n) + 1e-9
        assert term.offset(n) == pytest.approx(math.log(term.count(n)))


@settings(deadline=None, max_examples=40)
@given(seed=seeds, t=temperatures, n=st.integers(2, 12), noise=st.floats(0, 2))
def test_cosine_dv_never_exceeds_its_batch_ceiling(seed, t, n, noise):
    a, b = pair(seed, n=n, noise=noise)
    assert bound(DonskerVaradhan(Cosine(t)), a, b) <= n / ((n - 1) * t) + 1e-9


def test_the_dv_ceiling_is_reached_by_a_simplex():
    simplex = torch.eye(5, dtype=torch.float64) - 0.2
    assert bound(DonskerVaradhan(Cosine(0.1)), simplex, simplex).item() == pytest.approx(5 / 4 / 0.1)


@settings(deadline=None, max_examples=40)
@given(seed=seeds, t=st.floats(0.1, 5), n=st.integers(2, 9))
def test_taylor_moments_are_those_of_the_matrix(seed, t, n):
    a, b = pair(seed, n=n)
    for critic in (Cosine(t), Dot(t)):
        scores = critic.crossed(a, b)
        off = scores[~torch.eye(n, dtype=torch.bool)]
        mean, variance = TaylorDonskerVaradhan(critic).moments(a, b)
        torch.testing.assert_close(mean, off.mean())
        torch.testing.assert_close(variance, off.var(correction=0), atol=1e-9 / t**2, rtol=1e-9)
        for coefficient in (0.5, 1.0):
            penalty = TaylorDonskerVaradhan(critic, coefficient=coefficient).penalty(a, b)
            torch.testing.assert_close(penalty, mean + coefficient * variance)


def test_taylor_is_the_expansion_of_dv():
    a, b = pair(0, n=20)
    gaps = [
        DonskerVaradhan(Dot(t)).penalty(a, b) - TaylorDonskerVaradhan(Dot(t)).penalty(a, b) for t in (1000.0, 3000.0)
    ]
    assert (gaps[0] / gaps[1]).item() == pytest.approx(27, rel=0.1)  # what is left out is of third order


def test_which_pairs_stand_in_the_partition():
    a, b = pair(0, n=3)
    t = Cosine(0.5).crossed(a, b)
    off = [t[i, j] for i in range(3) for j in range(3) if i != j]
    dv = DonskerVaradhan(Cosine(0.5)).penalty(a, b)
    assert dv.item() == pytest.approx(math.log(np.mean(np.exp([float(x) for x in off]))))
    everything = DonskerVaradhan(Cosine(0.5), all_pairs=True).penalty(a, b)
    assert everything.item() == pytest.approx(math.log(t.exp().mean()))


def test_scores_too_large_for_exp_are_no_matter():
    a, b = (z.float() for z in pair(0))
    for name, make in TERMS.items():
        assert torch.isfinite(make(Cosine(1e-4)).penalty(a, b)), name


def test_the_queue_goes_round():
    term = InfoNCE(Cosine(0.5), queue=5, width=2)
    before = term.queue.clone()
    keys = torch.tensor([[2.0, 0.0], [0.0, 3.0]])
    term.observe({1: keys}, Clock())
    assert torch.equal(term.queue[:2], torch.eye(2))
    assert torch.equal(term.queue[2:], before[2:])
    term.observe({1: keys}, Clock())
    assert term.pointer == 4
    term.observe({1: -keys}, Clock())  # one at the end, one at the beginning
    assert term.pointer == 1
    assert torch.equal(term.queue[[4, 0]], -torch.eye(2))
    assert torch.equal(term.queue[1], torch.tensor([0.0, 1.0]))


@pytest.mark.parametrize(
    "critic", [Cosine(0.5), Chord(), Dot(0.5), Euclidean(), Bilinear(3)], ids=lambda c: type(c).__name__
)
def test_a_remembered_row_scores_as_it_would_in_the_batch(critic):
    a, b = (z.float() for z in pair(0, n=6))
    remembered = 5 * pair(1, n=4)[1].float()
    term = InfoNCE(critic, queue=4, width=3)
    term.observe({1: remembered}, Clock())
    expected = torch.cat([critic.paired(a, b).unsqueeze(1), critic.crossed(a, remembered)], 1)
    torch.testing.assert_close(term.candidates(a, b), expected)


def test_more_keys_than_places_leave_the_newest():
    term = InfoNCE(Cosine(0.5), queue=3, width=2)
    term.observe({0: torch.tensor([[1.0, 0], [1, 0]]), 1: torch.tensor([[0.0, 1], [0, 1], [0, 1]])}, Clock())
    assert torch.equal(term.queue, torch.tensor([[0.0, 1.0]] * 3))
    assert term.pointer == 0


def test_a_queue_may_be_overwritten_before_the_backward_pass():
    a, b = (z.float().requires_grad_() for z in pair(0))
    term = InfoNCE(Cosine(0.5), queue=8, width=3)
    value = term.penalty(a, b)
    term.observe({0: b.detach()}, Clock())
    value.backward()
    assert torch.isfinite(a.grad).all()


def test_the_candidates_are_counted():
    a, b = pair(0, n=4)
    torch.manual_seed(0)
    for term in (InfoNCE(Cosine()), InfoNCE(Cosine(), own_view=True), InfoNCE(Cosine(), queue=9, width=3).double()):
        counted = torch.isfinite(term.candidates(a, b)).sum(1)
        assert counted.eq(term.count(4)).all()


@pytest.mark.parametrize("queue", [9, 300])
def test_a_queue_takes_embeddings_of_64_bits(queue):
    a, b = pair(0, n=4)
    term = InfoNCE(Cosine(), queue=queue, width=3)
    assert a.dtype == torch.float64 and term.queue.dtype == torch.float32
    exact = InfoNCE(Cosine(), queue=queue, width=3).double()
    exact.queue.copy_(term.queue)
    torch.testing.assert_close(term.penalty(a, b), exact.penalty(a, b))


def test_one_row_has_no_false_pair():
    with pytest.raises(NumericsError, match=r"1 row holds no pair i != j; give at least two"):
        DonskerVaradhan(Cosine()).penalty(torch.ones(1, 3), torch.ones(1, 3))
    assert DonskerVaradhan(Cosine(), all_pairs=True).penalty(torch.ones(1, 3), torch.ones(1, 3)).isfinite()
    with pytest.raises(NumericsError, match=r"1 row holds no pair i != j; give at least two"):
        TaylorDonskerVaradhan(Cosine()).penalty(torch.ones(1, 3), torch.ones(1, 3))


def test_what_cannot_be_built():
    with pytest.raises(ConfigError, match="needs width=D"):
        InfoNCE(Cosine(), queue=5)
    with pytest.raises(ConfigError, match="queue alone"):
        InfoNCE(Cosine(), queue=5, width=3, own_view=True)
    with pytest.raises(ConfigError, match=r"a product .* not Bilinear"):
        TaylorDonskerVaradhan(Bilinear(3))


class Halved(Cosine):
    """A critic of one's own that is derived from a product, and is no longer the product of its factors."""

    def paired(self, a, b):
        return super().paired(a, b) / 2

    def crossed(self, a, b):
        return super().crossed(a, b) / 2


@pytest.mark.parametrize("n", [20, 300])  # on either side of where the kernels, which read factors, take over
@pytest.mark.parametrize(
    "term",
    [DonskerVaradhan, InfoNCE, lambda c: InfoNCE(c, own_view=True)],
    ids=["dv", "infonce", "own_view"],
)
def test_a_critic_that_derives_from_a_product_is_read_as_it_was_written_at_any_batch(term, n):
    a, b = pair(0, n=n)
    torch.testing.assert_close(term(Halved(0.1)).penalty(a, b), term(Cosine(0.2)).penalty(a, b))


def test_so_it_is_beside_a_queue():
    a, b = pair(0, n=8)
    own, known = (InfoNCE(c, queue=300, width=3).double() for c in (Halved(0.1), Cosine(0.2)))
    known.load_state_dict(own.state_dict())
    torch.testing.assert_close(own.penalty(a, b), known.penalty(a, b))


def test_taylor_refuses_it_for_its_moments_would_be_those_of_the_factors():
    with pytest.raises(ConfigError, match="not Halved, whose paired or crossed is its own: change factors instead"):
        TaylorDonskerVaradhan(Halved(0.1))
