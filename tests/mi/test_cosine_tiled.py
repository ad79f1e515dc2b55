"""Above a size the cosine estimates are read by the kernels; nothing else changes."""

import math

import pytest
import torch

from infomax import mi
from infomax.errors import ConfigError, DataError, NumericsError
from infomax.mi import cosine

ESTIMATES = {
    "dv": mi.cos_dv,
    "dv_all_pairs": lambda a, b, tau: mi.cos_dv(a, b, tau=tau, all_pairs=True),
    "nwj": mi.cos_nwj,
    "infonce": mi.cos_infonce,
    "infonce_two_sided": lambda a, b, tau: mi.cos_infonce(a, b, tau=tau, two_sided=True),
    "infonce_literal": mi.cos_infonce_literal,
    "jsd": mi.cos_jsd,
    "jsd_all_pairs": lambda a, b, tau: mi.cos_jsd(a, b, tau=tau, all_pairs=True),
    "jsd_lower": mi.cos_jsd_lower,
    "xi_jsd": mi.cos_xi_jsd,
    "smile": mi.cos_smile,
    "smile_unclipped": lambda a, b, tau: mi.cos_smile(a, b, tau=tau, clip=math.inf),
    "taylor_dv": mi.cos_taylor_dv,
}
WITH_MORE_CANDIDATES = [name for name in ESTIMATES if "two_sided" not in name]
IN_PAIRS = {n: f for n, f in ESTIMATES.items() if n not in ("infonce", "infonce_two_sided")}


def sides(n=60, d=5, m=None, lead=(), noise=0.3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    a, b = (torch.randn(*lead, m or n, d, dtype=torch.float64, generator=generator) for _ in range(2))
    return [(2 * a)[..., :n, :].contiguous(), a + noise * b]


def value_and_gradients(estimate, tau, *views):
    leaves = [v.detach().clone().requires_grad_() for v in views]
    value = estimate(*leaves, tau=tau)
    value.sum().backward()
    return value.detach(), *(leaf.grad for leaf in leaves)


def both_ways(monkeypatch, estimate, tau, *views):
    monkeypatch.setattr(cosine, "TILED_ABOVE", 10**9)
    plain = value_and_gradients(estimate, tau, *views)
    monkeypatch.setattr(cosine, "TILED_ABOVE", 1)
    return plain, value_and_gradients(estimate, tau, *views)


def readable(monkeypatch, estimate, tau, *views):
    """The estimate by the formula, at any size."""
    with monkeypatch.context() as small:
        small.setattr(cosine, "TILED_ABOVE", 10**9)
        return estimate(*views, tau=tau)


@pytest.mark.parametrize("name", ESTIMATES)
@pytest.mark.parametrize("tau", [1.0, 0.1])
@pytest.mark.parametrize("lead", [(), (2,)], ids=["one", "ensemble"])
def test_tiled_equals_the_formula(name, tau, lead, monkeypatch):
    plain, tiled = both_ways(monkeypatch, ESTIMATES[name], tau, *sides(lead=lead))
    torch.testing.assert_close(tiled, plain, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", WITH_MORE_CANDIDATES)
def test_candidates_beyond_the_true_ones(name, monkeypatch):
    plain, tiled = both_ways(monkeypatch, ESTIMATES[name], 0.2, *sides(n=40, m=70))
    torch.testing.assert_close(tiled, plain, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", IN_PAIRS)
@pytest.mark.parametrize(("n", "m"), [(12, 10), (310, 300)])
def test_rows_without_a_partner_are_refused(name, n, m):
    a, b = torch.ones(n, 3), torch.ones(m, 3)
    called = "cos_" + name.removesuffix("_all_pairs").removesuffix("_unclipped")
    with pytest.raises(DataError, match=rf"^{called}: row i .* not fewer; got \({n}, 3\) and \({m}, 3\)$"):
        IN_PAIRS[name](a, b, tau=0.1)


@pytest.mark.parametrize("name", [n for n in IN_PAIRS if "all_pairs" not in n])
def test_one_pair_is_refused_by_the_name_that_was_called(name):
    with pytest.raises(NumericsError, match=f"^cos_{name.removesuffix('_unclipped')}: 1 pair holds no false pair"):
        IN_PAIRS[name](torch.ones(1, 3), torch.ones(1, 3), tau=0.1)
    for all_pairs in (mi.cos_dv, mi.cos_jsd):
        assert all_pairs(torch.ones(1, 3), torch.ones(1, 3), tau=0.1, all_pairs=True).isfinite()


@pytest.mark.parametrize("name", [n for n in ESTIMATES if n not in ("nwj", "jsd_lower")])  # whose value holds e^500
def test_a_temperature_of_two_thousandths(name, monkeypatch):
    a, b = (v.float() for v in sides(n=400))
    value, *gradients = value_and_gradients(ESTIMATES[name], 0.002, a, b)
    exact = readable(monkeypatch, ESTIMATES[name], 0.002, a.double(), b.double())
    assert value.item() == pytest.approx(exact.item(), rel=1e-5, abs=2e-4)
    assert all(g.isfinite().all() for g in gradients)


@pytest.mark.parametrize("name", ESTIMATES)
@pytest.mark.parametrize("n", [50, 300])
def test_a_temperature_may_learn(name, n):
    a, b = sides(n=n)
    tau = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    ESTIMATES[name](a, b, tau=tau).backward()
    with torch.no_grad():
        step = 1e-5
        up, down = (ESTIMATES[name](a, b, tau=0.5 + s) for s in (step, -step))
    if name.startswith("smile"):  # whose gradient is another's
        up, down = (mi.cos_jsd(a, b, tau=0.5 + s) for s in (step, -step))
    assert tau.grad.item() == pytest.approx(((up - down) / (2 * step)).item(), rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("name", ESTIMATES)
@pytest.mark.parametrize("n", [50, 300])
def test_sixteen_bits_and_autocast(name, n, monkeypatch):
    a, b = (v.bfloat16() for v in sides(n=n))
    exact = readable(monkeypatch, ESTIMATES[name], 0.1, a.double(), b.double())
    assert ESTIMATES[name](a, b, tau=0.1).item() == pytest.approx(exact.item(), rel=1e-5, abs=1e-5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert ESTIMATES[name](a.float(), b.float(), tau=0.1).item() == pytest.approx(exact.item(), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("n", [20, 300])
def test_negatives_of_ones_own_view_and_of_a_queue(n):
    a, b = sides(n=n)
    queue = sides(n=n + 30, seed=1)[0]
    t, aa, bb, keys = (mi.cosine_scores(x, y, tau=0.3) for x, y in ((a, b), (a, a), (b, b), (a, queue)))
    others = ~torch.eye(n, dtype=torch.bool)

    def reads(scores, *more):
        """The definition: the true pair among all candidates of its row."""
        rows = [torch.cat([scores[i], *(m[i][others[i]] if m.shape[1] == n else m[i] for m in more)]) for i in range(n)]
        return torch.stack([row[i] - row.logsumexp(0) + math.log(len(row)) for i, row in enumerate(rows)]).mean()

    torch.testing.assert_close(mi.cos_infonce(a, b, tau=0.3, own_view=True), reads(t, aa))
    nt_xent = (reads(t, aa) + reads(t.T, bb)) / 2
    torch.testing.assert_close(mi.cos_infonce(a, b, tau=0.3, own_view=True, two_sided=True), nt_xent)
    moco = torch.stack([t[i, i] - torch.cat([t[i, i, None], keys[i]]).logsumexp(0) for i in range(n)]).mean()
    torch.testing.assert_close(mi.cos_infonce(a, b, tau=0.3, queue=queue), moco + math.log(len(queue) + 1))


def test_a_queue_gets_no_gradient_and_ensembles_share_it():
    a, b = sides(n=300, lead=(2,))
    queue = sides(n=310, seed=1)[0].requires_grad_(False)
    shared = mi.cos_infonce(a, b, tau=0.3, queue=queue)
    torch.testing.assert_close(shared[1], mi.cos_infonce(a[1], b[1], tau=0.3, queue=queue))


@pytest.mark.parametrize("name", ESTIMATES)
@pytest.mark.parametrize("n", [20, 300])
def test_leading_dimensions_broadcast_and_may_be_none(name, n):
    a, b = sides(n=n, lead=(2,))
    shared = ESTIMATES[name](a, b[0], tau=0.3)
    torch.testing.assert_close(shared, ESTIMATES[name](a, torch.stack([b[0], b[0]]), tau=0.3))
    assert ESTIMATES[name](a[:0], b[:0], tau=0.3).shape == (0,)


def test_no_problem_at_all_has_a_queue():
    a, b = sides(n=20, lead=(2,))
    assert mi.cos_infonce(a[:0], b[:0], tau=0.3, queue=sides(n=300)[0]).shape == (0,)


@pytest.mark.parametrize("two_sided", [False, True])
@pytest.mark.parametrize("n", [20, 300])
def test_ones_own_view_broadcasts(two_sided, n):
    a, b = sides(n=n, lead=(2,))
    for x, y in ((a, b[0]), (a[0], b)):
        full = mi.cos_infonce(x.expand_as(a), y.expand_as(a), tau=0.3, own_view=True, two_sided=two_sided)
        torch.testing.assert_close(mi.cos_infonce(x, y, tau=0.3, own_view=True, two_sided=two_sided), full)


def test_refusals():
    a, b = sides(n=300)
    with pytest.raises(ConfigError, match="leave out own_view"):
        mi.cos_infonce(a, b, tau=1.0, queue=a, own_view=True)
    with pytest.raises(DataError, match="300 rows and then only 10"):
        mi.cos_infonce(a, b[:10], tau=1.0)  # the others are told by `_in_pairs`
    with pytest.raises(DataError, match="must be alike or broadcast"):
        mi.cos_nwj(a.expand(2, 300, 5), b.expand(3, 300, 5), tau=1.0)
    with pytest.raises(DataError, match="as many rows"):
        mi.cos_infonce(a[:20], b, tau=1.0, two_sided=True)


NAMED = {n: getattr(mi, n) for n in dir(mi) if n.startswith(("cos_", "cosine_"))}


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("n", [20, 300])
def test_types_are_refused_alike_below_and_above_the_size(name, n):
    a, b = sides(n=n)
    for x, y, got in (
        (a.long(), b.long(), "torch.int64 and torch.int64"),
        (a.float(), b, "torch.float32 and torch.float64"),
        (a, b.bfloat16(), "torch.float64 and torch.bfloat16"),
        (a + 0j, b + 0j, "torch.complex128 and torch.complex128"),
        (a, b.numpy(), "torch.float64 and ndarray"),
    ):
        with pytest.raises(DataError, match=f"^{name}: need tensors of one floating-point type, got {got}; cast them"):
            NAMED[name](x, y, tau=0.5)
    narrow, full = (NAMED[name](a.bfloat16().to(kind), b.float(), tau=0.5) for kind in (torch.bfloat16, torch.float32))
    torch.testing.assert_close(narrow, full)  # 16 bits are read as 32, beside which they may stand


@pytest.mark.parametrize("n", [20, 300])
def test_a_queue_is_of_the_same_type(n):
    a, b = sides(n=n)
    with pytest.raises(DataError, match=r"^cos_infonce: need .* got torch\.float64 and torch\.float32"):
        mi.cos_infonce(a, b, tau=0.5, queue=a.float())


@pytest.mark.parametrize("rows", [5, 300])
def test_one_anchor_has_a_queue_to_compare_with(rows):
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 1, 4, generator=generator, dtype=torch.float64)
    queue = torch.randn(rows, 4, generator=generator, dtype=torch.float64)
    expected = mi.infonce(mi.cosine_scores(a, torch.cat([b, queue]), tau=0.3))
    torch.testing.assert_close(mi.cos_infonce(a, b, tau=0.3, queue=queue), expected)
