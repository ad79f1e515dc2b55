import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from infomax import Bilinear, Chord, ConfigError, Cosine, Critic, DataError, Dot, Euclidean

CRITICS = {
    "dot": lambda d: Dot(0.3),
    "cosine": lambda d: Cosine(0.2),
    "chord": lambda d: Chord(),
    "euclidean": lambda d: Euclidean(),
    "bilinear": lambda d: skewed(Bilinear(d, temperature=0.5)),
}


def skewed(critic):
    torch.manual_seed(3)
    torch.nn.init.normal_(critic.weight)
    return critic


def rows(seed, *shape):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


@pytest.fixture(params=CRITICS)
def make(request):
    return lambda d: CRITICS[request.param](d).double()


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**20), n=st.integers(1, 6), d=st.integers(1, 5))
@pytest.mark.parametrize("name", CRITICS)
def test_the_diagonal_of_crossed_is_paired(name, seed, n, d):
    critic, a, b = CRITICS[name](d).double(), rows(seed, n, d), rows(seed + 1, n, d)
    torch.testing.assert_close(critic.crossed(a, b).diagonal(), critic.paired(a, b))


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**20), scale=st.floats(1e-3, 1e3), other=st.floats(1e-3, 1e3))
@pytest.mark.parametrize("critic", [Cosine(0.1), Chord()], ids=["cosine", "chord"])
def test_a_score_of_directions_ignores_length(critic, seed, scale, other):
    a, b = rows(seed, 4, 3), rows(seed + 1, 5, 3)
    torch.testing.assert_close(critic.crossed(scale * a, other * b), critic.crossed(a, b))


def test_a_score_of_directions_is_declared_as_one(make):
    a, b = rows(0, 4, 3), rows(1, 5, 3)
    critic = make(3)
    assert torch.allclose(critic.crossed(2 * a, 3 * b), critic.crossed(a, b)) is critic.of_directions


def test_leading_dimensions_are_independent_problems(make):
    a, b = rows(0, 2, 3, 5, 4), rows(1, 2, 3, 6, 4)
    critic = make(4)
    crossed, paired = critic.crossed(a, b), critic.paired(a, b[..., :5, :])
    assert crossed.shape == (2, 3, 5, 6)
    assert paired.shape == (2, 3, 5)
    for i, j in np.ndindex(2, 3):
        torch.testing.assert_close(crossed[i, j], critic.crossed(a[i, j], b[i, j]))
        torch.testing.assert_close(paired[i, j], critic.paired(a[i, j], b[i, j, :5]))


def test_gradients(make):
    a, b = rows(0, 3, 4).requires_grad_(), rows(1, 3, 4).requires_grad_()
    critic = make(4)
    assert torch.autograd.gradcheck(critic.paired, (a, b))
    assert torch.autograd.gradcheck(critic.crossed, (a, b))


def test_symmetry_is_as_declared(make):
    a, b = rows(0, 3, 4), rows(1, 3, 4)
    critic = make(4)
    same = torch.allclose(critic.crossed(a, b), critic.crossed(b, a).T)
    assert same is critic.symmetric


def test_values():
    a, b = torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0, 0.0]])
    assert Dot(0.5).paired(a, b).item() == pytest.approx(6.0)
    assert Cosine(0.5).paired(a, b).item() == pytest.approx(1.2)
    assert Chord().paired(a, b).item() == pytest.approx(0.6)
    assert Euclidean().paired(a, b).item() == pytest.approx(-(4 + 16) / 2)


def test_chord_and_cosine_differ_at_a_zero_row_only():
    a, b = rows(0, 4, 3), rows(1, 4, 3)
    torch.testing.assert_close(Chord().paired(a, b), Cosine().paired(a, b))
    a[2] = 0
    assert Chord().paired(a, b)[2] == pytest.approx(0.5)
    assert Cosine().paired(a, b)[2] == 0


def test_a_factored_critic_is_the_product_of_its_factors():
    a, b = rows(0, 4, 3), rows(1, 5, 3)
    for critic in (Dot(0.3), Cosine(0.3)):
        left, right = critic.factors(a, b)
        torch.testing.assert_close(left @ right.T, critic.crossed(a, b))


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_is_positive(temperature):
    with pytest.raises(ConfigError, match="temperature must be > 0"):
        Cosine(temperature)


def test_a_temperature_that_learns_is_shown():
    critic = Cosine(0.25)
    del critic.temperature
    critic.temperature = torch.nn.Parameter(torch.tensor(0.25))
    assert "temperature=0.25" in repr(critic)


def test_a_critic_of_ones_own_says_what_it_lacks():
    with pytest.raises(NotImplementedError, match="Critic defines no crossed"):
        Critic().crossed(torch.zeros(2, 2), torch.zeros(2, 2))


def test_combinations_are_not_stretched_over_each_other(make):
    with pytest.raises(
        (DataError, RuntimeError), match=r"of one width, not \(4, 3\) and \(6, 1\)|shapes|width 3, and given 3 and 1"
    ):
        make(3).crossed(rows(0, 4, 3), rows(1, 6, 1))


@pytest.mark.parametrize("shape", [(4, 1), (1, 3), (4, 2), (5, 3)])
def test_pairs_are_not_stretched_over_each_other(make, shape):
    with pytest.raises(DataError, match=r"pairs of embeddings are N x D on both sides, not \(4, 3\) and"):
        make(3).paired(rows(0, 4, 3), rows(1, *shape))


def test_a_bilinear_critic_names_its_width_and_the_one_that_it_is_given():
    critic, z = Bilinear(8), torch.ones(4, 32)
    for read in (critic.paired, critic.crossed):
        with pytest.raises(DataError, match=r"^Bilinear: made for embeddings of width 8, and given 32 and 32$"):
            read(z, z)
    with pytest.raises(DataError, match=r"given 8 and 32$"):
        critic.crossed(z[:, :8], z)
