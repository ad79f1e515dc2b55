"""The compiled loop gives what the formula gives, whatever the sizes, the threads and the processor it was written for."""

import math
import os
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from infomax import mi
from infomax.compiled import pool
from infomax.kernels import fused, log_mean_exp, partition

SIZES = [
    (2, 32),
    (5, 33),  # rows and columns that fill no tile
    (192, 48),
    (193, 40),  # a block of one row
    (1152, 32),
    (1201, 64),  # a band of 49 columns
    (300, 700),
]


def sides(n: int, d: int, tau: float) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(n + d)
    a, b = torch.nn.functional.normalize(torch.randn(2, n, d, generator=generator, dtype=torch.float64), dim=-1)
    return a / tau, b


def formula(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    a, b = a.clone().requires_grad_(), b.clone().requires_grad_()
    total = (a @ b.T).fill_diagonal_(-math.inf).exp().sum()
    return total.detach(), *torch.autograd.grad(total, (a, b))


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("n, d", SIZES)
@pytest.mark.parametrize("tau", [1.0, 0.05])
def test_sums_and_gradients_are_the_formulas(n, d, tau, threads, monkeypatch):
    monkeypatch.setattr(pool._State, "asked", threads)
    a, b = sides(n, d, tau)
    total, of_a, of_b = formula(a, b)
    x, y = a.float(), b.float()
    left, right = torch.zeros(2, n, d)
    found = fused.sum_up(x, y, left, right)
    assert found.dtype == torch.float64 and found.item() == pytest.approx(total.item(), rel=1e-6)
    for mine, theirs in ((left, of_a), (right, of_b)):
        assert (mine - theirs).abs().max() <= 1e-5 * theirs.abs().max()
    alone = torch.zeros(n, d)
    assert torch.equal(fused.sum_up(x, y, alone, None), found) and torch.equal(alone, left)
    alone = torch.zeros(n, d)
    assert torch.equal(fused.sum_up(x, y, None, alone), found) and torch.equal(alone, right)
    assert torch.equal(fused.sum_up(x, y, None, None), found)


def test_what_is_there_is_added_to():
    x, y = (t.float() for t in sides(50, 32, 1.0))
    once, twice = torch.zeros(2, 2, 50, 32)
    fused.sum_up(x, y, *once)
    for _ in range(2):
        fused.sum_up(x, y, *twice)
    torch.testing.assert_close(twice, 2 * once)


def test_rounding_does_not_grow_with_the_pairs():
    n, d = 8000, 32
    x = torch.nn.functional.normalize(torch.ones(n, d), dim=1)  # collapsed: every row gives the same
    left, right = torch.zeros(2, n, d)
    total = fused.sum_up(x, x, left, right).item()
    exact = (n - 1) * math.exp((x[0].double() @ x[0].double()).item())
    assert total == pytest.approx(n * exact, rel=1e-6)
    for side in (left, right):
        assert (side / (exact * x) - 1).abs().max() <= 1e-5


@pytest.fixture
def asked(monkeypatch) -> list[int]:
    """Send every problem that the loop can take to it, on any processor, and count them."""
    calls: list[int] = []
    loop = fused.sum_up
    monkeypatch.setattr(partition, "COMPILED_FROM", 2)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    monkeypatch.setattr(fused, "sum_up", lambda left, *rest: (calls.append(len(left)), loop(left, *rest))[1])
    return calls


@pytest.mark.parametrize("tau", [0.5, 0.03])
def test_the_bounds_do_not_change_where_it_takes_over(tau, asked):
    a, b = sides(400, 50, 1.0)
    leaves = [t.clone().requires_grad_() for t in (a, b)]
    exact = mi.bounds.dv(mi.cosine_scores(*leaves, tau=tau))
    exact.backward()
    for problem in (
        lambda x, y: mi.cos_dv(x, y, tau=tau),
        lambda x, y: (x * y).sum(1).mean() / tau - log_mean_exp(x / tau, y),
    ):
        mine = [t.float().requires_grad_() for t in (a, b)]
        value = problem(*(torch.nn.functional.normalize(t, dim=1) for t in mine))
        value.backward()
        assert value.item() == pytest.approx(exact.item(), rel=1e-6, abs=1e-6)
        for x, y in zip(mine, leaves, strict=True):
            assert (x.grad - y.grad).abs().max() <= 1e-5 * y.grad.abs().max()
    assert asked == [400, 400]


def test_several_problems_and_rows_that_lie_apart(asked):
    a, b = (
        torch.stack([t, t.flip(0)], 1).float() for t in sides(60, 32, 0.5)
    )  # N 2 D: a problem's rows are no neighbours
    leaves = [t.transpose(0, 1).requires_grad_() for t in (a, b)]
    values = log_mean_exp(*leaves)
    (values * torch.tensor([1.0, 2.0])).sum().backward()
    assert asked == [60, 60] and values[0].item() == pytest.approx(values[1].item(), rel=1e-6)
    total, *gradients = formula(a[:, 0].double(), b[:, 0].double())
    for leaf, gradient in zip(leaves, gradients, strict=True):
        for mine, expected in ((leaf.grad[0], gradient / total), (leaf.grad[1].flip(0), 2 * gradient / total)):
            assert (mine - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_left_to_the_other_loop(value, asked):
    left, right = (t.float() for t in sides(60, 32, 0.5))
    right[7, 3] = value
    assert not log_mean_exp(left, right).isfinite() and asked == []


def test_scores_whose_exponential_overflows_are_left_to_the_other_loop(asked):
    left, right = (t.float() for t in sides(60, 32, 0.002))
    expected = (left @ right.T).fill_diagonal_(-math.inf).flatten().logsumexp(0) - math.log(60 * 59)
    assert log_mean_exp(left, right).item() == pytest.approx(expected.item(), rel=1e-6) and asked == []


def test_without_numba_the_other_loop_serves(asked, monkeypatch):
    monkeypatch.setattr(partition, "missing", lambda: "no numba here")
    left, right = (t.float() for t in sides(60, 32, 0.5))
    assert log_mean_exp(left, right).isfinite() and asked == []


def test_a_compiled_step_takes_the_other_loop(asked):
    torch.compiler.reset()
    left, right = (t.float() for t in sides(60, 32, 0.5))
    expected = log_mean_exp(left, right)
    found = torch.compile(log_mean_exp, backend="eager")(left, right)
    assert asked == [60]
    # the formula takes log N(N-1) from log Z in 32 bits: two numbers of 8
    assert found.item() == pytest.approx(expected.item(), abs=1e-6)


DIGEST = """
import hashlib, torch
from infomax.kernels import fused
torch.set_num_threads(1)
a, b = torch.randn(2, 700, 50, generator=torch.Generator().manual_seed(0)) / 7
of_a, of_b = torch.zeros(2, 700, 50)
total = fused.sum_up(a.contiguous(), b.contiguous(), of_a, of_b)
print(hashlib.sha256(b"".join(t.numpy().tobytes() for t in (total, of_a, of_b))).hexdigest())
"""


@pytest.mark.slow
def test_a_fresh_compilation_and_a_cached_one_give_the_same_bytes(tmp_path):
    # a run that goes on in another process has to find the same gradients
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    fresh, cached = (
        subprocess.run([sys.executable, "-c", DIGEST], env=environment, capture_output=True, text=True, check=True)
        for _ in range(2)
    )
    assert "compiling" in fresh.stderr and "compiling" not in cached.stderr
    assert fresh.stdout == cached.stdout and len(fresh.stdout.strip()) == 64
