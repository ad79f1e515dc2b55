"""The tiled kernels give what the readable references give, value and gradient."""

import math

import pytest
import torch
from torch import Tensor

from infomax import Cosine, DonskerVaradhan, Dot, InfoNCE
from infomax.errors import DataError, NumericsError
from infomax.kernels import blocks as kernel
from infomax.kernels import log_mean_exp, mean_log_sum_exp
from infomax.marginal import partition as marginal


def reference_dv(left: Tensor, right: Tensor) -> Tensor:
    n = left.shape[-2]
    t = marginal.without_diagonal(left @ right.mT)
    return t.flatten(-2).logsumexp(-1) - math.log(n * (n - 1))


def reference_infonce(left: Tensor, right: Tensor, own: Tensor | None = None) -> Tensor:
    t = left @ right.mT
    if own is not None:
        t = torch.cat([t, marginal.without_diagonal(left @ own.mT)], -1)
    return t.logsumexp(-1).mean(-1)


def value_and_gradients(function, *tensors: Tensor) -> tuple[Tensor, list[Tensor]]:
    leaves = [t.detach().clone().requires_grad_() for t in tensors]
    value = function(*leaves)
    weights = torch.arange(1, value.numel() + 1, dtype=value.dtype).reshape(value.shape)
    (value * weights).sum().backward()
    return value.detach(), [leaf.grad for leaf in leaves]


def draw(*shape: int, sides: int = 2, scale: float = 1.0, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    unit = [torch.randn(*shape, dtype=torch.float64, generator=generator) for _ in range(sides)]
    unit = [u / u.norm(dim=-1, keepdim=True) for u in unit]
    return [unit[0] * scale, *unit[1:]]


PAIRS = [
    (log_mean_exp, reference_dv, 2),
    (mean_log_sum_exp, reference_infonce, 2),
    (mean_log_sum_exp, reference_infonce, 3),
]
CASES = ((2, 1), (7, 3), (300, 3), (97, 40))


@pytest.mark.parametrize("tau", [1.0, 0.5, 0.05, 0.005, 0.0005])
@pytest.mark.parametrize("n, d", CASES)
@pytest.mark.parametrize("tiled, reference, sides", PAIRS, ids=["dv", "infonce", "own view"])
def test_equals_the_reference(tiled, reference, sides, n, d, tau, monkeypatch):
    monkeypatch.setitem(kernel.BLOCK, "cpu", 16 * n)  # several blocks, the last one ragged
    tensors = draw(3, n, d, sides=sides, scale=1 / tau)
    value, gradients = value_and_gradients(reference, *tensors)
    tiled_value, tiled_gradients = value_and_gradients(tiled, *tensors)
    torch.testing.assert_close(tiled_value, value, rtol=1e-12, atol=1e-12)
    for mine, theirs in zip(tiled_gradients, gradients, strict=True):
        assert (mine - theirs).abs().max() <= 1e-12 * max(1.0, theirs.abs().max())

    value32, gradients32 = value_and_gradients(tiled, *(t.float() for t in tensors))
    assert (value32 - value).abs().max() <= 1e-6 * max(1.0, 1 / tau)
    if tau >= 0.05:  # beyond, the rounding of T itself (1e-7 / tau) is larger than the tolerance
        for mine, theirs in zip(gradients32, gradients, strict=True):
            assert (mine - theirs).abs().max() <= 1e-5 * theirs.abs().max()


@pytest.mark.parametrize("tiled, reference, sides", PAIRS, ids=["dv", "infonce", "own view"])
def test_float32_at_the_size_of_the_toy(tiled, reference, sides):
    tensors = draw(1500, 3, sides=sides, scale=2.0)
    value, gradients = value_and_gradients(reference, *tensors)
    value32, gradients32 = value_and_gradients(tiled, *(t.float() for t in tensors))
    assert abs(value32 - value) <= 1e-6 * max(1.0, abs(value))
    for mine, theirs in zip(gradients32, gradients, strict=True):
        assert (mine - theirs).abs().max() <= 1e-5 * theirs.abs().max()


def test_all_scores_far_below_their_bound():
    # cos = -1 for every false pair but the product bound says +1: e^(-2000) would vanish without the running maximum
    left, right = torch.full((300, 1), 1000.0), torch.full((300, 1), -1.0)
    assert log_mean_exp(left, right) == -1000.0
    assert mean_log_sum_exp(left, right) == pytest.approx(-1000 + math.log(300))


@pytest.mark.parametrize("needed", [(True, False), (False, True), (False, False)])
@pytest.mark.parametrize("tiled", [log_mean_exp, mean_log_sum_exp])
def test_a_side_without_gradient(tiled, needed):
    tensors = draw(2, 30, 3)
    _, both = value_and_gradients(tiled, *tensors)
    leaves = [t.clone().requires_grad_(need) for t, need in zip(tensors, needed, strict=True)]
    value = tiled(*leaves)
    assert value.requires_grad == any(needed)
    if any(needed):
        (value * torch.tensor([1.0, 2.0])).sum().backward()
    for leaf, need, gradient in zip(leaves, needed, both, strict=True):
        assert (leaf.grad is not None) == need
        if need:
            torch.testing.assert_close(leaf.grad, gradient, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("tiled, reference, sides", PAIRS, ids=["dv", "infonce", "own view"])
def test_gradcheck(tiled, reference, sides):
    assert torch.autograd.gradcheck(tiled, [t.requires_grad_() for t in draw(2, 6, 3, sides=sides, scale=3.0)])


def test_nan_is_handed_on():
    left = torch.zeros(8, 3)
    left[3, 1] = math.nan
    assert log_mean_exp(left, torch.ones(8, 3)).isnan()
    assert mean_log_sum_exp(left, torch.ones(8, 3)).isnan()


def test_refusals():
    with pytest.raises(DataError, match=r"\(4, 3\).*\(5, 3\)"):
        log_mean_exp(torch.zeros(4, 3), torch.zeros(5, 3))
    with pytest.raises(DataError, match="float64"):
        mean_log_sum_exp(torch.zeros(4, 3), torch.zeros(4, 3).double())
    with pytest.raises(NumericsError, match="at least two"):
        log_mean_exp(torch.zeros(1, 3), torch.zeros(1, 3))


@pytest.mark.parametrize("critic", [Cosine(0.3), Dot(2.0)], ids=["cosine", "dot"])
@pytest.mark.parametrize(
    "make", [DonskerVaradhan, InfoNCE, lambda c: InfoNCE(c, own_view=True)], ids=["dv", "infonce", "own"]
)
def test_the_marginals_do_not_change_where_the_kernel_takes_over(make, critic, monkeypatch):
    term = make(critic)
    a, b = (t * 3 for t in draw(2, marginal._TILED_ABOVE + 1, 4))
    tiled = value_and_gradients(term.penalty, a, b)
    assert marginal.tiled(a) and not marginal.tiled(a[:, :-1])
    monkeypatch.setattr(marginal, "_TILED_ABOVE", 10**9)
    plain = value_and_gradients(term.penalty, a, b)
    torch.testing.assert_close(tiled, plain, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("rows, queue", [(20, 400), (300, 40)])
def test_a_queue_does_not_change_where_the_kernel_takes_over(rows, queue, monkeypatch):
    torch.manual_seed(0)
    term = InfoNCE(Cosine(0.2), queue=queue, width=4).double()
    a, b = (t * 3 for t in draw(2, rows, 4))
    tiled = value_and_gradients(term.penalty, a, b)
    monkeypatch.setattr(marginal, "_TILED_ABOVE", 10**9)
    torch.testing.assert_close(tiled, value_and_gradients(term.penalty, a, b), rtol=1e-11, atol=1e-14)
