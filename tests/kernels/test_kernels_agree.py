"""Every kernel, at any size, block, scale and type, gives what its one-line reference gives; value and gradient."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from infomax import kernels
from infomax.errors import DataError, NumericsError
from infomax.kernels import blocks


def off(t: Tensor) -> Tensor:
    return t.masked_fill(blocks.diagonal(t), -math.inf)


def dv(left, right):
    n = left.shape[-2]
    return off(left @ right.mT).flatten(-2).logsumexp(-1) - math.log(n * (n - 1))


def cos_dv(a, b, tau=0.1):
    t, n = F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).mT / tau, a.shape[-2]
    return t.diagonal(dim1=-2, dim2=-1).mean(-1) - off(t).flatten(-2).logsumexp(-1) + math.log(n * (n - 1))


def softplus(left, right):
    n = left.shape[-2]
    return F.softplus(off(left @ right.mT), threshold=700.0).sum((-2, -1)) / (n * (n - 1))


def weighted(rows, columns):
    """A scalar that every partition enters with a weight of its own."""
    u, v = (torch.linspace(1, 2, x.shape[-1], dtype=x.dtype) for x in (rows, columns))
    return (u * rows).mean(-1) - 0.3 * (v * columns).mean(-1)


def partitions(left, right):
    t = left @ right.mT
    return weighted(t.logsumexp(-1), t.logsumexp(-2))


def false_partitions(left, right):
    t = off(left @ right.mT)
    return weighted(t.logsumexp(-1), t.logsumexp(-2))


def nce(left, right):
    return (left @ right.mT).logsumexp(-1).mean(-1)


def own(left, right):
    return torch.cat([left @ right.mT, off(left @ left.mT)], -1).logsumexp(-1).mean(-1)


def nt_xent(left, right):
    z = torch.cat([left, right], -2)
    return off(z @ z.mT).logsumexp(-1).mean(-1)


PAIRS = {
    "log_mean_exp": (kernels.log_mean_exp, dv),
    "cosine_dv": (lambda x, y: kernels.cosine_dv(x, y, 0.1), cos_dv),
    "mean_softplus": (kernels.mean_softplus, softplus),
    "mean_log_sum_exp": (kernels.mean_log_sum_exp, nce),
    "own view": (lambda x, y: kernels.mean_log_sum_exp(x, y, x), own),
    "log_sum_exp": (lambda x, y: weighted(*kernels.log_sum_exp(x, y)), partitions),
    "log_sum_exp, false pairs": (lambda x, y: weighted(*kernels.log_sum_exp(x, y, true_pairs=False)), false_partitions),
    "self": (lambda x, y: kernels.self_mean_log_sum_exp(torch.cat([x, y], -2)), nt_xent),
}
each_kernel = pytest.mark.parametrize("name", PAIRS)


def draw(n, d, *, scale, seed, m=None, lead=()):
    generator = torch.Generator().manual_seed(seed)
    sides = [torch.randn(*lead, k, d, dtype=torch.float64, generator=generator) for k in (n, m or n)]
    return [F.normalize(s, dim=-1) * math.sqrt(scale) for s in sides]


def value_and_gradients(function, *tensors):
    leaves = [t.detach().clone().requires_grad_() for t in tensors]
    value = function(*leaves)
    (value * torch.arange(1, value.numel() + 1, dtype=value.dtype).view(value.shape)).sum().backward()
    return value.detach(), [leaf.grad for leaf in leaves]


@each_kernel
@settings(deadline=None, max_examples=25)
@given(
    n=st.integers(2, 40),
    d=st.sampled_from([1, 3, 33]),
    block=st.integers(1, 2000),
    tau=st.sampled_from([2.0, 0.5, 0.1, 0.02, 0.002]),
    seed=st.integers(0, 999),
)
def test_equal_the_reference(name, n, d, block, tau, seed):
    tiled, reference = PAIRS[name]
    tensors = draw(n, d, scale=1 / tau, seed=seed)
    value, gradients = value_and_gradients(reference, *tensors)
    size = max(4.0, 1 / tau)  # scores are this large, and log sums of 40 of them up to 4 larger
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(blocks.BLOCK, "cpu", block)
        value64, gradients64 = value_and_gradients(tiled, *tensors)
        value32, gradients32 = value_and_gradients(tiled, *(t.float() for t in tensors))
    assert (value64 - value).abs() <= 1e-12 * size
    assert (value32 - value).abs() <= 1e-6 * size
    assert value32.dtype == torch.float32
    for mine, narrow, theirs in zip(gradients64, gradients32, gradients, strict=True):
        # an entry is a difference of terms as large as the inputs, sqrt(1 / tau): where they cancel to nothing, what is left is
        # their own rounding in float32, 1e-7 of them
        largest = max(theirs.abs().max(), 1e-2 * math.sqrt(1 / tau))
        assert (mine - theirs).abs().max() <= 1e-12 * max(1.0, largest)
        # beyond, the rounding of T itself (1e-7 / tau) is larger than the tolerance; a line has no directions, only rounding
        if tau >= 0.02 and (name, d) != ("cosine_dv", 1):
            assert (narrow - theirs).abs().max() <= 1e-5 * largest


@each_kernel
@pytest.mark.parametrize("d", [3, 64])
def test_equal_the_reference_at_size(name, d):
    tiled, reference = PAIRS[name]
    tensors = draw(1300, d, scale=10.0, seed=0)
    value, gradients = value_and_gradients(reference, *tensors)
    value32, gradients32 = value_and_gradients(tiled, *(t.float() for t in tensors))
    assert (value32 - value).abs() <= 1e-6 * max(1.0, abs(value))
    for mine, theirs in zip(gradients32, gradients, strict=True):
        assert (mine - theirs).abs().max() <= 1e-5 * theirs.abs().max()


@each_kernel
def test_gradcheck(name):
    tiled, _ = PAIRS[name]
    for scale in (3.0, 300.0):
        tensors = [t.requires_grad_() for t in draw(5, 3, scale=scale, seed=1, lead=(2,))]
        assert torch.autograd.gradcheck(tiled, tensors)
    assert torch.autograd.gradgradcheck(tiled, [t.requires_grad_() for t in draw(4, 2, scale=2.0, seed=1)])


@each_kernel
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sixteen_bits_are_summed_in_thirty_two(name, dtype):
    tiled, reference = PAIRS[name]
    tensors = [t.to(dtype) for t in draw(300, 16, scale=4.0, seed=2)]
    value, gradients = value_and_gradients(reference, *(t.double() for t in tensors))
    mine, own_gradients = value_and_gradients(tiled, *tensors)
    assert mine.dtype == torch.float32 and (mine - value).abs() <= 2e-6 * max(1.0, abs(value))
    for got, expected in zip(own_gradients, gradients, strict=True):
        assert got.dtype == dtype
        assert (got - expected).abs().max() <= torch.finfo(dtype).eps * expected.abs().max()


@each_kernel
def test_autocast_changes_nothing(name):
    tiled, _ = PAIRS[name]
    tensors = [t.float() for t in draw(60, 16, scale=4.0, seed=2)]
    plain = value_and_gradients(tiled, *tensors)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(value_and_gradients(tiled, *tensors), plain, rtol=0, atol=0)


@each_kernel
@pytest.mark.parametrize("stopped", [0, 1])
def test_a_stopped_side_gets_none_and_changes_nothing(name, stopped):
    tiled, _ = PAIRS[name]
    tensors = draw(30, 3, scale=4.0, seed=3)
    _, both = value_and_gradients(tiled, *tensors)
    leaves = [t.clone().requires_grad_(k != stopped) for k, t in enumerate(tensors)]
    tiled(*leaves).backward()
    assert leaves[stopped].grad is None
    torch.testing.assert_close(leaves[1 - stopped].grad, both[1 - stopped], rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("tiled", [kernels.log_mean_exp, kernels.mean_softplus, kernels.log_sum_exp])
def test_a_stopped_side_is_not_worked_for(tiled, monkeypatch):
    """Matrix products counted: a gradient that nobody wants costs none."""

    def products(*needed):
        leaves = [t.requires_grad_(need) for t, need in zip(draw(40, 3, scale=1.0, seed=0), needed, strict=True)]
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
            value = tiled(*leaves)
            if any(needed):
                (value[0].sum() if isinstance(value, tuple) else value).backward()
        return sum(e.count for e in seen.key_averages() if e.key in ("aten::mm", "aten::addmm_"))

    recomputed = tiled is kernels.log_sum_exp
    assert products(False, False) == 1
    assert products(True, False) == products(False, True) == 2 + recomputed
    assert products(True, True) == 3 + recomputed


@each_kernel
def test_nan_is_handed_on(name):
    tensors = draw(8, 3, scale=1.0, seed=0)
    tensors[0][3, 1] = math.nan
    assert PAIRS[name][0](*tensors).isnan()


@pytest.mark.parametrize("tau", [0.5, 0.05, 0.002])
@pytest.mark.parametrize(
    "needed", [(True, True, True), (False, False, True), (False, True, True), (True, False, False)]
)
def test_cos_dv_at_a_temperature_that_learns(tau, needed):
    tensors = [*(7 * t for t in draw(20, 3, scale=1.0, seed=5, lead=(2,))), torch.tensor(tau, dtype=torch.float64)]
    tensors[0][0, 4] = 0.0  # no direction
    leaves, copies = ([t.clone().requires_grad_(need) for t, need in zip(tensors, needed, strict=True)] for _ in "ab")
    weights = torch.tensor([1.0, 2.0])
    (kernels.cosine_dv(*leaves) * weights).sum().backward()
    (cos_dv(*copies) * weights).sum().backward()
    for mine, theirs in zip(leaves, copies, strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-9, atol=1e-11)


def test_cos_dv_of_shared_embeddings_and_twice():
    a, _ = draw(30, 3, scale=1.0, seed=6)
    mine, theirs = a.clone().requires_grad_(), a.clone().requires_grad_()
    for function, leaf in ((lambda x, y: kernels.cosine_dv(x, y, 0.3), mine), (lambda x, y: cos_dv(x, y, 0.3), theirs)):
        value = function(leaf, 2 * leaf.roll(1, 0))
        value.backward(retain_graph=True)
        (3 * value).backward()
    torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-11, atol=1e-14)


def test_a_queue_is_a_side_of_another_length():
    left, queue = draw(7, 3, m=19, scale=5.0, seed=4)
    left.requires_grad_()
    rows, columns = kernels.log_sum_exp(left, queue)
    t = left @ queue.mT
    torch.testing.assert_close(rows, t.logsumexp(-1))
    torch.testing.assert_close(columns, t.logsumexp(-2))
    mine = torch.autograd.grad(rows.sum(), left)
    torch.testing.assert_close(mine, torch.autograd.grad(t.logsumexp(-1).sum(), left))


def test_refusals():
    with pytest.raises(DataError, match=r"mean_softplus.*\(4, 3\).*\(5, 3\)"):
        kernels.mean_softplus(torch.zeros(4, 3), torch.zeros(5, 3))
    with pytest.raises(DataError, match=r"M D.*\(4, 3\).*\(5, 2\)"):
        kernels.log_sum_exp(torch.zeros(4, 3), torch.zeros(5, 2))
    with pytest.raises(NumericsError, match="at least two"):
        kernels.mean_softplus(torch.zeros(1, 3), torch.zeros(1, 3))


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:FutureWarning")  # torch's own, of its jvp
@each_kernel
def test_torch_transforms_them_as_it_does_the_formula(name):
    tiled, reference = PAIRS[name]
    left, right = draw(6, 3, scale=2.0, seed=1, lead=(2,))
    torch.testing.assert_close(torch.func.vmap(tiled)(left, right), reference(left, right))
    sides = left[0], right[0]
    found, expected = (torch.func.grad(f, argnums=(0, 1))(*sides) for f in (tiled, reference))
    torch.testing.assert_close(found, expected)
    found, expected = (torch.func.jvp(f, sides, sides) for f in (tiled, reference))
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.func.hessian(tiled)(*sides), torch.func.hessian(reference)(*sides))


@each_kernel
def test_the_compiler_takes_them_whole(name):
    torch.compiler.reset()
    tiled, reference = PAIRS[name]
    tensors = draw(6, 3, scale=2.0, seed=1)
    value, gradients = value_and_gradients(torch.compile(tiled, fullgraph=True, backend="aot_eager"), *tensors)
    expected, theirs = value_and_gradients(reference, *tensors)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradients, theirs)


def test_the_compiler_goes_round_scores_of_too_many_pairs(monkeypatch):
    torch.compiler.reset()
    monkeypatch.setattr(blocks, "BLOCK_ELSEWHERE", 35)
    tensors = draw(6, 3, scale=2.0, seed=1)
    with pytest.raises(torch._dynamo.exc.TorchDynamoException):
        torch.compile(kernels.log_mean_exp, fullgraph=True, backend="eager")(*tensors)
    torch.compiler.reset()
    torch.testing.assert_close(torch.compile(kernels.log_mean_exp, backend="eager")(*tensors), dv(*tensors))
