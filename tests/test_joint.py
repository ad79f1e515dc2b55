import pytest
import torch

from infomax import Alignment, Bilinear, Chord, CorrelationDiagonal, Cosine, Dot, Euclidean, Joint

TERMS = {
    "dot": Alignment(Dot(0.5)),
    "cosine": Alignment(Cosine(0.5)),
    "chord": Alignment(Chord()),
    "euclidean": Alignment(Euclidean(), weight=25.0),
    "bilinear": Alignment(Bilinear(3).double()),
    "correlation": CorrelationDiagonal(scale=0.5),
}


@pytest.fixture(params=TERMS)
def term(request):
    return TERMS[request.param]


@pytest.fixture
def sides():
    torch.manual_seed(0)
    return torch.randn(2, 6, 3, dtype=torch.float64), torch.randn(2, 6, 3, dtype=torch.float64)


def test_gradients(term, sides):
    a, b = (z[0].requires_grad_() for z in sides)
    assert torch.autograd.gradcheck(term, (a, b))


def test_leading_dimensions_equal_a_loop(term, sides):
    a, b = sides
    torch.testing.assert_close(term(a, b), torch.stack([term(x, y) for x, y in zip(a, b, strict=True)]))


def test_the_order_of_samples_does_not_matter(term, sides):
    a, b = sides
    order = torch.randperm(6)
    torch.testing.assert_close(term(a[:, order], b[:, order]), term(a, b))


def test_symmetry_is_as_declared(sides):
    a, b = sides
    skew = Bilinear(3).double()
    torch.nn.init.normal_(skew.weight)
    for term in (*TERMS.values(), Alignment(skew)):
        if term.symmetric:
            torch.testing.assert_close(term(a, b), term(b, a))
    assert not Alignment(skew).symmetric
    assert not torch.allclose(Alignment(skew)(a, b), Alignment(skew)(b, a))


def test_the_weight_multiplies(sides):
    a, b = sides
    torch.testing.assert_close(Alignment(Cosine(), weight=3.0)(a, b), 3 * Alignment(Cosine())(a, b))


def test_correlation_is_perfect_up_to_scale_and_shift(sides):
    a, _ = sides
    assert (CorrelationDiagonal()(100 * a, 300 * a + 7) > -1e-6).all()
    torch.testing.assert_close(
        CorrelationDiagonal()(100 * a, -100 * a), torch.full((2,), -12.0).double(), rtol=1e-4, atol=0
    )


def test_a_joint_term_of_ones_own_says_what_it_lacks():
    with pytest.raises(NotImplementedError, match="Joint defines no forward"):
        Joint()(torch.zeros(2, 2), torch.zeros(2, 2))
