"""The partitions one by one may be differentiated twice, with weights that depend on the partitions themselves."""

import math

import pytest
import torch
import torch.nn.functional as F

from infomax import mi
from infomax.kernels import cosine_dv, log_mean_exp, log_sum_exp, mean_log_sum_exp, mean_softplus
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


def without_diagonal(t):
    return t.masked_fill(torch.eye(len(t), dtype=torch.bool), -math.inf)


MADE_OF_ONE = {
    "rows": (lambda z: log_sum_exp(2 * z, z)[0].square().sum(), lambda z: (2 * z @ z.mT).logsumexp(-1).square().sum()),
    "dv": (lambda z: log_mean_exp(z, z), lambda z: without_diagonal(z @ z.mT).flatten().logsumexp(0)),
    "own view": (
        lambda z: mean_log_sum_exp(2 * z, z.flip(0), z),
        lambda z: torch.cat([2 * z @ z.flip(0).mT, without_diagonal(2 * z @ z.mT)], 1).logsumexp(1).mean(),
    ),
    "softplus": (
        lambda z: 20 * mean_softplus(2 * z, z),
        lambda z: F.softplus(without_diagonal(2 * z @ z.mT)).sum(),
    ),
    "cosine": (lambda z: cosine_dv(z.exp(), z, 0.5), lambda z: mi.dv(mi.cosine_scores(z.exp(), z, tau=0.5))),
}


@pytest.mark.parametrize("name", MADE_OF_ONE)
def test_a_side_made_of_the_other_counts_once(name):
    kernel, plain = MADE_OF_ONE[name]
    for g, e in zip(twice(kernel, draw(5)), twice(plain, draw(5)), strict=True):
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
