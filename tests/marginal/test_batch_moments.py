import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from infomax import Decorrelation, VarianceCovariance
from infomax.moments import covariance, off_diagonal, off_diagonal_squares, standardize

TERMS = {"variance_covariance": VarianceCovariance(25.0, 1.0), "decorrelation": Decorrelation(0.5)}


@pytest.fixture(params=TERMS)
def term(request):
    return TERMS[request.param]


@pytest.fixture
def sides():
    torch.manual_seed(0)
    return torch.randn(2, 6, 3, dtype=torch.float64), torch.randn(2, 6, 3, dtype=torch.float64)


def test_gradients(term, sides):
    a, b = ((0.5 * z[0]).requires_grad_() for z in sides)
    assert torch.autograd.gradcheck(term.penalty, (a, b))


def test_leading_dimensions_equal_a_loop(term, sides):
    a, b = sides
    torch.testing.assert_close(term.penalty(a, b), torch.stack([term.penalty(x, y) for x, y in zip(a, b, strict=True)]))


def test_both_sides_and_all_samples_are_alike(term, sides):
    a, b = sides
    order = torch.randperm(6)
    torch.testing.assert_close(term.penalty(a[:, order], b[:, order]), term.penalty(b, a))


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**20), n=st.integers(2, 9), d=st.integers(2, 5))
def test_moments_are_numpys(seed, n, d):
    z = np.random.default_rng(seed).normal(size=(n, d))
    cov = np.cov(z, rowvar=False)
    np.testing.assert_allclose(covariance(torch.from_numpy(z)), cov, atol=1e-12)
    np.testing.assert_array_equal(off_diagonal(torch.from_numpy(cov)), cov[~np.eye(d, dtype=bool)])
    expected = (z - z.mean(0)) / np.sqrt(z.var(0) + 1e-5)
    np.testing.assert_allclose(standardize(torch.from_numpy(z)), expected, atol=1e-12)


def test_standardized_columns_of_every_problem_and_what_does_not_vary():
    torch.manual_seed(0)
    z = torch.randn(2, 3, 6, 4, dtype=torch.float64)
    z[0, 1, :, 2] = 5.0
    by_hand = (z - z.mean(-2, keepdim=True)) / (z.var(-2, keepdim=True, correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(standardize(z), by_hand, rtol=0, atol=1e-12)
    assert standardize(z)[0, 1, :, 2].abs().max() < 1e-9
    one = z[0, 0].clone().requires_grad_()
    assert torch.autograd.gradcheck(standardize, one) and torch.autograd.gradgradcheck(standardize, one)
    torch.testing.assert_close(torch.func.vmap(standardize)(z[0]), standardize(z[0]))


@pytest.mark.parametrize("rows", [64, 4096, 100_000])
def test_standardized_columns_of_many_rows_are_exact_in_32_bits(rows):
    torch.manual_seed(0)
    for z, error in ((torch.randn(rows, 4), 2e-6), (torch.randn(rows, 4) + 1000, 5e-4)):
        torch.testing.assert_close(standardize(z), standardize(z.double()).float(), rtol=0, atol=error)
    constant = standardize(torch.full((rows, 8), 100.1))
    assert constant.abs().max() < 0.01  # and so no correlation is read of what does not vary


def test_off_diagonal_keeps_leading_dimensions():
    m = torch.arange(18).view(2, 3, 3)
    assert off_diagonal(m).tolist() == [[1, 2, 3, 5, 6, 7], [10, 11, 12, 14, 15, 16]]


def test_the_hinge_rests_above_one():
    z = torch.randn(64, 3, dtype=torch.float64)
    wide = 5 * standardize(z)
    assert VarianceCovariance(1.0, 0.0).penalty(wide, wide) == 0
    assert VarianceCovariance(1.0, 0.0).penalty(wide / 50, wide) == pytest.approx(0.45, abs=0.01)


def test_a_constant_column_without_eps_has_no_slope_and_no_nan():
    z = torch.randn(6, 3, dtype=torch.float64)
    z[:, 0] = 1.0
    z.requires_grad_()
    VarianceCovariance(1.0, 0.0, eps=0.0).penalty(z, z).backward()
    assert (z.grad[:, 0] == 0).all() and torch.isfinite(z.grad).all()


def test_decorrelated_columns_cost_nothing():
    z = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    assert Decorrelation(1.0).penalty(z, z) == pytest.approx(0, abs=1e-12)
    assert VarianceCovariance(0.0, 1.0).penalty(z, z) == 0


@pytest.mark.parametrize("lead", [(), (3,)])
def test_few_rows_of_many_columns_need_no_square_matrix(lead):
    torch.manual_seed(0)
    a, b = (torch.randn(*lead, 8, 40, dtype=torch.float64, requires_grad=True) for _ in range(2))
    found = off_diagonal_squares(a, b)
    expected = off_diagonal(a.mT @ b).square().sum(-1)
    torch.testing.assert_close(found, expected)
    for one, other in zip(
        torch.autograd.grad(found.sum(), [a, b]), torch.autograd.grad(expected.sum(), [a, b]), strict=True
    ):
        torch.testing.assert_close(one, other)
