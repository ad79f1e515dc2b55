import math

import pytest
import torch

from infomax import mi
from infomax.errors import ConfigError, DataError, NumericsError

ONE_BY_ONE = {"dv": mi.cos_dv, "infonce": mi.cos_infonce, "jsd": mi.cos_jsd}


def views(*shape, dtype=torch.float64, seed=0, noise=0.3):
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(*shape, dtype=torch.float64, generator=generator)
    return a.to(dtype), (a + noise * torch.randn(*shape, dtype=torch.float64, generator=generator)).to(dtype)


# The last two temperatures leave the range of e^T, in float32 and in float64.
@pytest.mark.parametrize("tau", [2.0, 0.5, 0.1, 0.03, 0.01, 0.001])
@pytest.mark.parametrize("chunk", [None, 1, 7, 64, 1000])
def test_one_pass_equals_the_estimates(tau, chunk):
    a, b = views(131, 3)
    for dtype, tolerance in ((torch.float64, 1e-11), (torch.float32, 2e-6)):
        read = mi.readings(a.to(dtype), b.to(dtype), tau=tau, chunk=chunk)
        assert set(read) == set(ONE_BY_ONE)
        for name, value in read.items():
            assert value.dtype == torch.float64
            expected = ONE_BY_ONE[name](a, b, tau=tau).item()
            assert value.item() == pytest.approx(expected, abs=tolerance * (1 + 1 / tau)), name


def test_leading_dimensions_are_independent_problems():
    a, b = views(2, 3, 40, 4)
    read = mi.readings(a, b, tau=0.2, chunk=16)
    for name, value in read.items():
        assert value.shape == (2, 3)
        torch.testing.assert_close(value, ONE_BY_ONE[name](a, b, tau=0.2), rtol=1e-11, atol=1e-12)


def test_false_pairs_are_not_lost_beside_strong_true_ones():
    # e^20 on the diagonal against 1 off it: subtracting the diagonal from a total would leave nothing in float32.
    z = torch.eye(64)
    read = mi.readings(z, z, tau=0.05)
    assert read["dv"].item() == pytest.approx(20.0, rel=1e-6)
    assert read["jsd"].item() == pytest.approx(-math.log(2), rel=1e-6)


def test_embeddings_are_not_written_to_and_need_no_gradient():
    a, b = views(20, 3, dtype=torch.float32)
    before = a.clone(), b.clone()
    read = mi.readings(a.requires_grad_(), b, tau=0.5)
    assert not read["dv"].requires_grad
    assert torch.equal(a, before[0])
    assert torch.equal(b, before[1])


def test_half_precision_is_read_in_float32():
    a, b = views(50, 8, dtype=torch.bfloat16)
    read = mi.readings(a, b, tau=0.5)
    assert read["dv"].item() == pytest.approx(mi.cos_dv(a.double(), b.double(), tau=0.5).item(), abs=1e-5)


def test_an_undefined_embedding_reads_as_undefined():
    a, b = views(10, 3)
    a[2] = math.nan
    assert all(value.isnan() for value in mi.readings(a, b, tau=0.5).values())


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda z: mi.readings(z, z, tau=0.0), ConfigError, "tau must be > 0, not 0.0"),
        (lambda z: mi.readings(z, z, tau="0.1"), ConfigError, "tau must be > 0, not '0.1'"),
        (lambda z: mi.readings(z, z, tau=1.0, chunk=0), ConfigError, "chunk counts rows"),
        (lambda z: mi.readings(z, z[:3], tau=1.0), DataError, "one shape"),
        (lambda z: mi.readings(z[:1], z[:1], tau=1.0), NumericsError, "at least two rows"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call(torch.ones(4, 2))
