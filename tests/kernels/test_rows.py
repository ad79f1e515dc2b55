"""The partitions one by one may be differentiated twice, with weights that depend on the partitions themselves."""

import math

import pytest
import torch

from infomax import mi
from infomax.kernels.rows import log_sum_exp
from infomax.mi import cosine


def draw(n, d=3, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def twice(function, *tensors):
    """The gradient and the gradient of its square, of every tensor."""
    leaves = [t.clone().requires_grad_() for t in tensors]
    first = torch.autograd.grad(function(*leaves), leaves, create_graph=True)
    second = torch.autograd.grad(sum(g.square().sum() for g in first), leaves)
    return *(g.detach() for g in first), *second


@pytest.mark.parametrize("true_pairs", [True, False])
@pytest.mark.parametrize("sides", ["rows", "columns", "both"])
def test_weights_that_come_of_the_partitions(true_pairs, sides):
    def weighed(rows, columns):
        parts = {"rows": [rows], "columns": [columns], "both": [rows, columns]}[sides]
        return sum(part.square().logsumexp(-1) for part in parts)

    def plain(left, right):
        t = left @ right.mT
        t = t if true_pairs else t.masked_fill(torch.eye(*t.shape, dtype=torch.bool), -math.inf)
        return weighed(t.logsumexp(-1), t.logsumexp(-2))

    factors = draw(5), draw(7, seed=1)
    got = twice(lambda x, y: weighed(*log_sum_exp(x, y, true_pairs=true_pairs)), *factors)
    for g, e in zip(got, twice(plain, *factors), strict=True):
        torch.testing.assert_close(g, e, rtol=1e-9, atol=1e-12)


def test_a_side_made_of_the_other_counts_once():
    plain = twice(lambda z: (2 * z @ z.mT).logsumexp(-1).square().sum(), draw(5))
    for g, e in zip(twice(lambda z: log_sum_exp(2 * z, z)[0].square().sum(), draw(5)), plain, strict=True):
        torch.testing.assert_close(g, e, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "estimate",
    [
        lambda a: mi.cos_dv(a, a.detach() + 1, tau=0.3, all_pairs=True),
        lambda a: mi.cos_dv(a[:29], a.detach() + 1, tau=0.3),
        lambda a: mi.cos_infonce(a, a.detach() + 1, tau=0.3, queue=a.detach().flip(0)),
    ],
    ids=["all pairs", "more columns", "queue"],
)
def test_estimates_built_of_them(estimate, monkeypatch):
    plain = twice(estimate, draw(30))
    monkeypatch.setattr(cosine, "TILED_ABOVE", 20)
    for g, e in zip(twice(estimate, draw(30)), plain, strict=True):
        torch.testing.assert_close(g, e, rtol=1e-9, atol=1e-12)
