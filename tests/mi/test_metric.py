import math
import os
import pickle
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from infomax import Cosine, Dot, Euclidean, mi
from infomax.critic import Bilinear, Critic
from infomax.errors import ConfigError, DataError, NumericsError
from infomax.mi import MIMetric, between
from infomax.mi.jackknife import standard_error, with_and_without
from infomax.mi.metric import KINDS
from infomax.mi.sums import sums

ALL = tuple(KINDS)


def pairs(n, d=6, noise=0.4, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(n, d, generator=generator, dtype=torch.float64)
    return a.to(dtype), (a + noise * torch.randn(n, d, generator=generator, dtype=torch.float64)).to(dtype)


def read(a, b, critic="cosine", tau=0.2, **options):
    metric = MIMetric(critic, tau=tau, readings=ALL, **options)
    metric.update(a, b)
    return metric.compute()


class Untold(Critic):
    """The cosine, without saying that it is a product."""

    def paired(self, a, b):
        return Cosine().paired(a, b)

    def crossed(self, a, b):
        return Cosine().crossed(a, b)


@pytest.mark.parametrize(
    "critic", ["cosine", "dot", Untold(), Euclidean()], ids=lambda c: getattr(c, "__name__", str(c))
)
@pytest.mark.parametrize("tau", [1.0, 0.1])
@pytest.mark.parametrize("n", [3, 40, 701])
def test_values_are_those_of_the_bounds(critic, tau, n):
    a, b = pairs(n)
    built = {"cosine": Cosine(tau), "dot": Dot(tau)}.get(critic) if isinstance(critic, str) else None
    scores = built.crossed(a, b) if built else critic.crossed(a, b) / tau
    said = read(a, b, critic, tau)
    assert tuple(said) == ALL
    for name, reading in said.items():
        assert reading.value == pytest.approx(getattr(mi, name)(scores).item(), rel=1e-9, abs=1e-9), name
        assert reading.n == n and reading.kind == KINDS[name]


def test_dv_of_few_pairs_is_not_called_a_bound_of_theirs():
    """Of 16 of 1000 centres, told apart by identical pairs, its interval lies above log 1000, the truth."""
    z = torch.randn(16, 256, generator=torch.Generator().manual_seed(0))
    said = read(z, z, "cosine", 0.1)
    assert said["dv"].lo > math.log(1000) and said["dv"].kind == "lower bound in the population, high on few pairs"
    assert said["infonce"].hi < math.log(1000) and said["infonce"].kind == "lower bound"


def test_a_reading_that_is_cut_off_has_no_limits():
    a, b = torch.randn(2, 200, 8, generator=torch.Generator().manual_seed(0))
    said = read(a, b, "cosine", 0.1)
    assert said["jsd"].value < -2 * math.log(2) and said["xi_jsd"].value == pytest.approx(0.0, abs=1e-9)
    assert said["xi_jsd"].lo is said["xi_jsd"].hi is None and said["jsd"].lo < said["jsd"].hi
    z = torch.randn(200, 64, generator=torch.Generator().manual_seed(0))
    said = read(z, z, "cosine", 0.5)["xi_jsd"]
    assert said.lo < said.value < said.hi


@pytest.mark.parametrize("tau, n", [(0.002, 30), (0.2, 30), (1.0, 200)])
def test_leaving_a_pair_out_is_leaving_it_out(tau, n):
    a, b = pairs(n)
    found = with_and_without(sums(Cosine(tau), a, b, clip=5.0), coefficient=0.5)
    for k in (0, n - 1):
        keep = torch.arange(n) != k
        scores = mi.cosine_scores(a[keep], b[keep], tau=tau)
        for name, (_, without) in found.items():
            exact = getattr(mi, name)(scores).item()
            # InfoNCE's other rows lose a candidate to first order only
            slack = 0.1 / tau / n if name == "infonce" else 1e-9 * max(1.0, abs(exact))
            if math.isfinite(exact):
                assert without[k].item() == pytest.approx(exact, abs=slack), name


def test_the_first_order_of_infonce_gives_the_same_interval():
    a, b = pairs(200)
    without = with_and_without(sums(Cosine(0.2), a, b, clip=5.0), coefficient=0.5)["infonce"][1]
    each = [torch.arange(200) != k for k in range(200)]
    exact = torch.stack([mi.cos_infonce(a[keep], b[keep], tau=0.2) for keep in each])
    assert standard_error(without) == pytest.approx(standard_error(exact).item(), rel=0.03)


@pytest.mark.parametrize("tau", [0.1, 0.002])
def test_float32_and_any_block(tau, monkeypatch):
    from infomax.kernels import blocks

    a, b = pairs(97)
    exact = read(a, b, tau=tau)
    for block in (1, 300, 2**18):
        monkeypatch.setitem(blocks.BLOCK, "cpu", block)
        for critic in ("cosine", Untold()):
            narrow = read(a.float(), b.float(), critic, tau)
            for name in ("dv", "infonce", "jsd", "smile"):
                for part in ("value", "se"):
                    expected = getattr(exact[name], part)
                    assert getattr(narrow[name], part) == pytest.approx(expected, rel=1e-4, abs=2e-6 / tau), name


@pytest.mark.parametrize(
    "n, d, tau, clip, threads",
    [(701, 6, 0.1, 5.0, 1), (300, 40, 0.026, 5.0, 1), (4200, 3, 1.0, 40.0, 3), (257, 2, 3.0, 0.1, 2)],
)
def test_the_compiled_loop_reads_the_same(n, d, tau, clip, threads, monkeypatch):
    from infomax.compiled import pool
    from infomax.mi import sums as module

    monkeypatch.setattr(pool._State, "asked", threads)
    a, b = pairs(n, d=d)
    exact = read(a, b, tau=tau, clip=clip)
    monkeypatch.setattr(module, "COMPILED_FROM", 3)
    narrow = read(a.float(), b.float(), tau=tau, clip=clip)
    monkeypatch.setattr(module, "_tame_block", None)  # it was not asked
    assert read(a.float(), b.float(), tau=tau, clip=clip) == narrow
    for name, reading in exact.items():
        unit = max(1.0, abs(reading.value))
        relative = 4e-6 / tau if name in ("nwj", "jsd_lower") else 2e-6  # e^T of the rounding of T
        assert narrow[name].value == pytest.approx(reading.value, abs=relative * unit), name
        assert narrow[name].se == pytest.approx(reading.se, rel=1e-3, abs=1e-6), name


FIRST = """
    import numpy as np
    from infomax.mi.fused import _loaded
    t = np.random.default_rng(0).normal(0, 3, (3, 70)).astype(np.float32)
    true, one, rows, columns = np.exp2(t.astype(float)), np.float32(1), np.zeros((3, 3)), np.zeros((3, 70), np.float32)
    _loaded()(t, 0, 70, one, one, rows, columns)
    print(max(abs(t / true - 1).max(), abs(rows[0] / true.sum(1) - 1).max()) < 1e-6)
"""


def test_the_compiled_loop_reads_the_same_where_nothing_was_compiled_before(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}  # in this process others may have compiled its parts
    said = [sys.executable, "-c", textwrap.dedent(FIRST)]
    assert subprocess.run(said, env=environment, capture_output=True, text=True, check=True).stdout.split() == ["True"]


def test_the_compiled_loop_leaves_nan_and_large_scores_to_the_other(monkeypatch):
    from infomax.mi import sums as module

    monkeypatch.setattr(module, "COMPILED_FROM", 3)
    a, b = pairs(50, dtype=torch.float32)
    assert read(a, b, tau=0.002)["dv"].value == pytest.approx(mi.cos_dv(a, b, tau=0.002).item(), rel=1e-5)
    a[3, 1] = math.nan
    assert all(v[0].isnan() for v in with_and_without(sums(Cosine(0.2), a, b, clip=5.0), coefficient=0.5).values())


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.uint8, bool])
def test_arrays_are_read_as_tensors_of_their_type(kind):
    a, b = ((3 * z).numpy().astype(kind) for z in pairs(50))
    dv = read(torch.from_numpy(a), torch.from_numpy(b))["dv"].value
    for x, y in ((a, b), (a, torch.from_numpy(b)), (a[::-1], b[::-1]), (a, np.asfortranarray(b))):
        assert read(x, y)["dv"].value == pytest.approx(dv, rel=1e-5)


def test_what_is_no_array_of_real_numbers_is_refused():
    a, b = (z.numpy() for z in pairs(50))
    for given, said in (
        (np.array([["a", "b"]] * 50), "got <U1"),
        (a.astype(object), "got object"),
        (a + 0j, "got complex128"),
        (torch.from_numpy(a) + 0j, "got torch.complex128"),
        ([[1.0, 2.0], [3.0]], "got list"),
        (np.ma.masked_array(a, mask=a > 2), "entries are masked"),
    ):
        with pytest.raises(DataError, match=f"^MIMetric: z_b: .*{said}"):
            MIMetric("cosine", tau=0.2).update(b, given)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_no_number_is_said_when_computing(bad):
    a, b = pairs(50)
    metric = MIMetric("cosine", tau=0.2)
    metric.update(a, b)
    b[3, 1] = bad
    metric.update(a, b)  # here nothing is asked of an accelerator
    said = r"MIMetric: z_b: 1 of 600 entries are NaN or infinite, the first in row 53, column 1; drop those rows"
    with pytest.raises(NumericsError, match=said):
        metric.compute()


def test_batches_do_not_matter_and_the_order_of_pairs_neither():
    a, b = pairs(300)
    once = read(a, b)
    metric = MIMetric("cosine", tau=0.2, readings=ALL)
    order = torch.randperm(300, generator=torch.Generator().manual_seed(1))
    for x, y in zip(a[order].split(70), b[order].split(70), strict=True):
        metric.update(x, y)
    again = metric.compute()
    assert metric.compute() == again  # computing forgets nothing
    for name, reading in once.items():
        for part in ("value", "lo", "hi", "se", "ceiling"):
            assert getattr(again[name], part) == pytest.approx(getattr(reading, part), rel=1e-9, abs=1e-10)


def test_reset_pickle_device_and_copies():
    a, b = pairs(50)
    metric = MIMetric("cosine", tau=0.2)
    batch = a.clone()
    metric.update(batch, b)
    batch.zero_()  # a loader's buffer
    said = metric.compute()
    assert said["dv"].value == pytest.approx(mi.cos_dv(a, b, tau=0.2).item(), rel=1e-12)
    assert pickle.loads(pickle.dumps(metric)).compute() == said
    assert metric.to("cpu") is metric and metric.compute() == said
    metric.reset()
    with pytest.raises(NumericsError, match="no pair"):
        metric.compute()
    metric.update(*pairs(60, d=3))  # another width is no matter after a reset
    assert metric.compute()["dv"].n == 60


def test_saturation_is_seen():
    a, _ = pairs(200, d=64)
    tight, loose = read(a, a, tau=0.05), read(*pairs(200, d=64, noise=3.0), tau=0.05)
    assert tight["infonce"].saturated and tight["infonce"].ceiling == mi.ceiling("infonce", tau=0.05, n=200)
    assert not any(reading.saturated for reading in loose.values())
    for name, reading in tight.items():
        assert reading.value <= reading.ceiling + 1e-9, name
    unbounded = read(a, a, Dot(1.0), tau=1.0)
    assert unbounded["dv"].ceiling == math.inf and not unbounded["dv"].saturated
    assert unbounded["infonce"].ceiling == math.log(200) and unbounded["infonce"].saturated


@pytest.mark.parametrize("critic", ["cosine", Untold()], ids=str)
def test_a_reading_does_not_depend_on_the_others(critic):
    a, b = pairs(80)
    for name, reading in read(a, b, critic).items():
        alone = MIMetric(critic, tau=0.2, readings=(name,))
        alone.update(a, b)
        assert alone.compute() == {name: reading}


class LogRatio(Critic):
    """log p(x, y) / p(x) p(y) of normals whose coordinates correlate by rho: the optimal critic."""

    def __init__(self, rho, d):
        super().__init__()
        self.rho, self.offset = rho, -d / 2 * math.log(1 - rho**2)

    def crossed(self, a, b):
        r = self.rho
        squares = a.square().sum(-1)[:, None] + b.square().sum(-1)[None, :]
        return self.offset + (r * (a @ b.mT) - r**2 / 2 * squares) / (1 - r**2)

    def paired(self, a, b):
        return torch.stack([self.crossed(x[None], y[None])[0, 0] for x, y in zip(a, b, strict=True)])


@pytest.mark.parametrize("truth", [2.0, 4.0])
def test_intervals_cover(truth):
    d, repeats = 20, 60
    rho = math.sqrt(1 - math.exp(-2 * truth / d))
    critic, covered = LogRatio(rho, d), {"dv": 0, "jsd_lower": 0}
    for seed in range(repeats):
        generator = torch.Generator().manual_seed(seed)
        x, e = torch.randn(2, 150, d, generator=generator, dtype=torch.float64)
        said = read(x, rho * x + math.sqrt(1 - rho**2) * e, critic, 1.0)
        for name in covered:
            covered[name] += said[name].lo < truth < said[name].hi
    for name, times in covered.items():  # 95 % of 60, less and more three standard deviations
        assert 52 <= times <= 60, name


def test_an_interval_is_as_wide_as_the_readings_spread():
    said = [read(*pairs(150, seed=seed)) for seed in range(60)]
    for name in ("dv", "infonce", "jsd", "smile", "taylor_dv"):
        spread = torch.tensor([s[name].value for s in said]).std().item()
        typical = torch.tensor([s[name].se for s in said]).mean().item()
        assert 0.75 < typical / spread < 1.6, name


def test_a_higher_level_is_a_wider_interval():
    a, b = pairs(60)
    narrow, wide = read(a, b, level=0.5)["dv"], read(a, b, level=0.99)["dv"]
    assert wide.lo < narrow.lo < narrow.value < narrow.hi < wide.hi
    assert (wide.hi - wide.value) / wide.se == pytest.approx(2.5758, abs=1e-4)


def work(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    a, b = pairs(90)
    mine = slice(0, 50) if rank == 0 else slice(50, 90)
    metric = MIMetric("cosine", tau=0.2, readings=ALL)
    metric.update(a[mine], b[mine])
    alone = MIMetric("cosine", tau=0.2, sync=False)
    alone.update(a[mine], b[mine])
    one_sided = MIMetric("cosine", tau=0.2, readings=ALL)
    if rank == 1:
        one_sided.update(a, b)
    torch.save((metric.compute(), alone.compute()["dv"].n, one_sided.compute()), folder / f"{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path):
    mp.spawn(work, (tmp_path,), nprocs=2)
    expected = read(*pairs(90))
    for rank in (0, 1):
        both, alone, one_sided = torch.load(tmp_path / f"{rank}.pt", weights_only=False)
        assert both == expected
        assert one_sided == expected  # a process without a pair still answers
        assert alone == (50, 40)[rank]


def test_between_two_modules():
    f = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)).double()
    g = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)).double()
    f[1].eval()
    x, y = pairs(120, d=4)
    batches = list(zip(x.split(50), y.split(50), strict=True))
    said = between(f, g, batches, critic="cosine", tau=0.3, readings=("dv",))
    assert (f.training, f[1].training, g[1].training) == (True, False, True)
    f.eval(), g.eval()
    assert said["dv"].value == pytest.approx(mi.cos_dv(f(x), g(y), tau=0.3).item(), rel=1e-12)
    hidden = between(f, f, batches, critic="cosine", tau=0.3, layer="1")
    assert hidden["dv"].value == pytest.approx(mi.cos_dv(f[:2](x), f[:2](y), tau=0.3).item(), rel=1e-12)
    assert not f[1]._forward_hooks
    with pytest.raises(ConfigError, match="no layer '7'"):
        between(f, g, batches, critic="cosine", tau=0.3, layer="7")


def test_bad_input_is_named():
    with pytest.raises(TypeError, match="tau"):
        MIMetric("cosine")
    with pytest.raises(TypeError, match="critic"):
        MIMetric(tau=1.0)
    for options, message in (
        ({"tau": 0.0}, "MIMetric: tau must be > 0, not 0.0"),
        ({"tau": "0.1"}, "MIMetric: tau must be > 0, not '0.1'"),
        ({"tau": 1.0, "level": "0.9"}, "MIMetric: level must be a finite number, not '0.9'"),
        ({"tau": 1.0, "clip": None}, "MIMetric: clip must be a finite number, not None"),
        ({"tau": 1.0, "coefficient": "1"}, "MIMetric: coefficient must be a finite number, not '1'"),
        ({"tau": 1.0, "readings": ("dw",)}, "did you mean 'dv'"),
        ({"tau": 1.0, "level": 1.0}, "0 < level < 1"),
        ({"tau": 1.0, "clip": math.inf}, "clip must be at most 40 nats, got inf"),
    ):
        with pytest.raises(ConfigError, match=message):
            MIMetric("cosine", **options)
    with pytest.raises(ConfigError, match="did you mean 'cosine'"):
        MIMetric("cosin", tau=1.0)
    with pytest.raises(ConfigError, match=r"of its own, and tau=0\.1 would again"):
        MIMetric(Cosine(0.1), tau=0.1)
    MIMetric(Cosine(0.1), tau=1.0), MIMetric(Cosine(), tau=0.1)
    learned = Dot(1.0)
    learned.temperature = torch.nn.Parameter(torch.tensor(0.5))
    with pytest.raises(ConfigError, match=r"temperature=0\.5"):
        MIMetric(learned, tau=0.1)
    with pytest.raises(ConfigError, match=r"Bilinear.* of its own, and tau=0\.1 would again"):
        MIMetric(Bilinear(4, temperature=0.1), tau=0.1)
    metric = MIMetric("cosine", tau=1.0)
    with pytest.raises(DataError, match=r"\(3, 2\) and \(4, 2\)"):
        metric.update(torch.zeros(3, 2), torch.zeros(4, 2))
    with pytest.raises(DataError, match=r"one width, got \(3, 2\) and \(3, 4\)"):
        metric.update(torch.zeros(3, 2), torch.zeros(3, 4))
    with pytest.raises(DataError, match=r"one type, got torch\.float32 and torch\.float64"):
        metric.update(torch.zeros(3, 2), torch.zeros(3, 2).double())
    metric.update(torch.ones(2, 2), torch.ones(2, 2))
    with pytest.raises(DataError, match="width 3 after rows of width 2"):
        metric.update(torch.zeros(3, 3), torch.zeros(3, 3))
    with pytest.raises(NumericsError, match="at least 3 pairs, got 2"):
        metric.compute()


class Halved(Cosine):
    """Derived from a product, and no longer the product of its factors."""

    def paired(self, a, b):
        return super().paired(a, b) / 2

    def crossed(self, a, b):
        return super().crossed(a, b) / 2


def test_a_critic_that_derives_from_a_product_is_read_as_it_was_written():
    a, b = pairs(40)
    own, known = (vars(sums(c, a, b, clip=5.0)) for c in (Halved(0.1), Cosine(0.2)))
    torch.testing.assert_close(own, known)
