"""Kernels and the metric: time and memory against the formula as one writes it, and against lightly's NT-Xent.

    OMP_NUM_THREADS=1 python benchmarks/mi.py --rounds 5 --json mi.json

Contestants take turns in one process, so that a slow minute of the machine falls on all of them; the figure is the median CPU
time of forward and backward. Memory is what one call needs beyond its inputs: the peak of torch's allocator, counted
allocation by allocation. A contestant that is not installed is left out, with a word.
"""

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from infomax import Cosine, mi

D, TAU = 256, 0.1
MIB = 2**20
Call = Callable[[], object]


def rows(n: int, *, grad: bool = True) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(n, D, generator=generator)
    b = a + torch.randn(n, D, generator=generator)
    return a.requires_grad_(grad), b.requires_grad_(grad)


def scores(a: Tensor, b: Tensor) -> Tensor:
    return F.normalize(a, dim=1) @ F.normalize(b, dim=1).T / TAU


def filled(a: Tensor, b: Tensor) -> Tensor:
    """cos-DV with -inf on the diagonal."""
    t, n = scores(a, b), len(a)
    t_off = t.masked_fill(torch.eye(n, dtype=torch.bool), -math.inf)
    return t.diagonal().mean() - (t_off.logsumexp((0, 1)) - math.log(n * (n - 1)))


def indexed(a: Tensor, b: Tensor) -> Tensor:
    """cos-DV with the false pairs picked by a mask."""
    t, n = scores(a, b), len(a)
    return t.diagonal().mean() - (t[~torch.eye(n, dtype=torch.bool)].logsumexp(0) - math.log(n * (n - 1)))


def climbs(function: Callable[[Tensor, Tensor], Tensor], n: int) -> Call:
    a, b = rows(n)

    def run() -> None:
        a.grad = b.grad = None
        function(a, b).backward()

    return run


def in_turn(contestants: dict[str, Call], rounds: int) -> dict[str, float]:
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for k in range(rounds + 1):
        for name, run in contestants.items():
            start = time.process_time()
            run()
            if k:  # the first round warms up
                seconds[name].append(time.process_time() - start)
    return {name: statistics.median(s) for name, s in seconds.items()}


def peak(run: Call) -> float:
    """The most that torch holds during a call beyond what it held before, MiB."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as seen:
        run()
    held = highest = 0
    for event in seen.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            highest = max(highest, held)
    return highest / MIB


def compare(title: str, contestants: dict[str, Call], rounds: int) -> dict[str, object]:
    seconds = in_turn(contestants, rounds)
    memory = {name: peak(run) for name, run in contestants.items()}
    ours = next(iter(contestants))
    print(f"\n{title}")
    found: dict[str, object] = {}
    for name in contestants:
        times, leaner = seconds[name] / seconds[ours], memory[name] / memory[ours]
        print(
            f"  {name:22s} {seconds[name]:8.3f} s ({times:5.2f}x)  {memory[name]:9.1f} MiB ({leaner:6.1f}x)", flush=True
        )
        found[name] = {"seconds": seconds[name], "mib": memory[name], "times_ours": times, "memory_over_ours": leaner}
    return found


def nt_xent(n: int, rounds: int) -> dict[str, object]:
    contestants: dict[str, Call] = {
        "infomax": climbs(lambda a, b: -mi.cos_infonce(a, b, tau=TAU, own_view=True, two_sided=True), n)
    }
    try:
        from lightly.loss import NTXentLoss
    except ImportError:
        print("lightly is not installed (uv sync --group peers): left out")
    else:
        theirs = NTXentLoss(temperature=TAU)
        contestants["lightly"] = climbs(theirs, n)
        a, b = rows(64, grad=False)
        ours = math.log(127) - mi.cos_infonce(a, b, tau=TAU, own_view=True, two_sided=True)
        torch.testing.assert_close(ours, theirs(a, b))  # the same loss, or the comparison says nothing
    return compare(f"NT-Xent, N = {n} pairs, D = {D}", contestants, rounds)


def metric(n: int, rounds: int) -> dict[str, object]:
    a, b = rows(n, grad=False)

    def product() -> None:
        left, right = F.normalize(a, dim=1) / TAU, F.normalize(b, dim=1).T.contiguous()
        out = torch.empty(128, n)
        for i in range(0, n, 128):
            torch.mm(left[i : i + 128], right, out=out[: len(left[i : i + 128])])

    def read() -> None:
        found = mi.MIMetric("cosine", tau=TAU, sync=False)
        found._a, found._b = [a], [b]  # the metric's own copy of its inputs is not part of the pass
        found.compute()

    return compare(
        f"MIMetric, N = {n}, D = {D}: all readings with intervals",
        {"its products alone": product, "metric": read},
        rounds,
    )


def coverage(repeats: int, n: int = 300, d: int = 20) -> dict[str, object]:
    """How often the 95 % interval holds the reading's population value."""

    class LogRatio(mi.metric.Critic):
        def __init__(self, rho: float) -> None:
            super().__init__()
            self.rho, self.offset = rho, -d / 2 * math.log(1 - rho**2)

        def crossed(self, x: Tensor, y: Tensor) -> Tensor:
            squares = x.square().sum(-1)[:, None] + y.square().sum(-1)[None, :]
            return self.offset + (self.rho * (x @ y.T) - self.rho**2 / 2 * squares) / (1 - self.rho**2)

        def paired(self, x: Tensor, y: Tensor) -> Tensor:
            squares = x.square().sum(-1) + y.square().sum(-1)
            return self.offset + (self.rho * (x * y).sum(-1) - self.rho**2 / 2 * squares) / (1 - self.rho**2)

    def normals(truth: float) -> tuple[mi.metric.Critic, Callable[[torch.Generator], tuple[Tensor, Tensor]]]:
        rho = math.sqrt(1 - math.exp(-2 * truth / d))

        def draw(generator: torch.Generator) -> tuple[Tensor, Tensor]:
            x, e = torch.randn(2, n, d, generator=generator, dtype=torch.float64)
            return x, rho * x + math.sqrt(1 - rho**2) * e

        return LogRatio(rho), draw

    def sphere(noise: float, width: int) -> tuple[mi.metric.Critic, Callable[[torch.Generator], tuple[Tensor, Tensor]]]:
        def draw(generator: torch.Generator) -> tuple[Tensor, Tensor]:
            x, e = torch.randn(2, n, width, generator=generator, dtype=torch.float64)
            x = F.normalize(x, dim=1)
            return x, x + noise * e

        return Cosine(TAU), draw

    names = ("dv", "infonce", "nwj", "jsd", "jsd_lower", "smile", "taylor_dv")

    def said(critic: mi.metric.Critic, draw: Callable[..., tuple[Tensor, Tensor]], seed: int) -> dict[str, mi.Reading]:
        found = mi.MIMetric(critic, tau=1.0, readings=names, sync=False)
        found.update(*draw(torch.Generator().manual_seed(seed)))
        return found.compute()

    worlds = {
        "20-d normals, MI 2, optimal critic": (normals(2.0), {"dv": 2.0, "nwj": 2 - 1 / math.e, "jsd_lower": 2.0}),
        "20-d normals, MI 4, optimal critic": (normals(4.0), {"dv": 4.0, "nwj": 4 - 1 / math.e, "jsd_lower": 4.0}),
        "3-d sphere, cosine, tau 0.1": (sphere(0.2, 3), {}),
        "50-d sphere, cosine, tau 0.1": (sphere(0.25, 50), {}),
    }
    report: dict[str, object] = {}
    for title, ((critic, draw), known) in worlds.items():
        # the readings' expectation at this N, from samples of their own, where no closed form is known
        others = [said(critic, draw, 10**6 + seed) for seed in range(3 * repeats)]
        target = {name: statistics.fmean(o[name].value for o in others) for name in names} | known
        mine = [said(critic, draw, seed) for seed in range(repeats)]
        hits = {name: sum(m[name].lo <= target[name] <= m[name].hi for m in mine) / repeats for name in names}
        print(f"\n{title}: " + "  ".join(f"{name} {100 * share:.1f}" for name, share in hits.items()), flush=True)
        report[title] = {"coverage": hits, "target": target}
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", choices=("dv", "nt_xent", "large", "metric", "coverage"))
    parser.add_argument("--metric-n", type=int, default=50_000)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    wanted = options.only or ("dv", "nt_xent", "large", "metric", "coverage")
    found: dict[str, object] = {"torch": torch.__version__, "d": D, "tau": TAU}
    if "dv" in wanted:
        for n in (4096, 16384):
            contestants: dict[str, Call] = {
                "infomax": climbs(lambda a, b: mi.cos_dv(a, b, tau=TAU), n),
                "naive, filled": climbs(filled, n),
                "naive, indexed": climbs(indexed, n),
            }
            found[f"cos_dv {n}"] = compare(
                f"cos-DV forward and backward, N = {n}, D = {D}", contestants, options.rounds
            )
    if "nt_xent" in wanted:
        found["nt_xent 4096"] = nt_xent(4096, options.rounds)
    if "large" in wanted:
        run = climbs(lambda a, b: mi.cos_dv(a, b, tau=TAU), 131_072)
        start = time.process_time()
        mib = peak(run)
        found["cos_dv 131072"] = {"seconds": time.process_time() - start, "mib": mib}
        print(
            f"\ncos-DV forward and backward, N = 131072: {time.process_time() - start:.0f} s, {mib:.0f} MiB beyond the inputs"
        )
    if "metric" in wanted:
        found[f"metric {options.metric_n}"] = metric(options.metric_n, min(options.rounds, 2))
    if "coverage" in wanted:
        found["coverage"] = coverage(options.repeats)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
