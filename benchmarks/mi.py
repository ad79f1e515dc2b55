"""Kernels and the metric: time and memory against the formula as one writes it, and against lightly's NT-Xent.

    OMP_NUM_THREADS=1 python benchmarks/mi.py --rounds 5 --json mi.json
    python benchmarks/mi.py --device cuda --quick --json gpu-mi.json  # below a minute; the agreement checks come first
    python benchmarks/mi.py --quick                                   # the same on a CPU, at small sizes: a try

Contestants take turns in one process, so that a slow minute of the machine falls on all of them; the figure is the median of
forward and backward: processor time on a CPU, time by the clock on a GPU. Memory is what one call needs beyond its inputs:
the peak of torch's allocator, counted allocation by allocation. A contestant that is not installed is left out, with a word.
"""

import argparse
import json
import math
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from agreement import agree
from origin import origin
from torch import Tensor

from infomax import Cosine, mi

D, TAU = 256, 0.1
PARTS = ("agree", "dv", "nt_xent", "large", "metric", "coverage")
MIB = 2**20
Call = Callable[[], object]


class Device:
    """Where the contestants run, and how their time and memory are taken there."""

    def __init__(self, name: str) -> None:
        self.name, self.cuda = name, name.startswith("cuda")

    def rows(self, n: int, *, grad: bool = True) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(0)
        a = torch.randn(n, D, generator=generator)
        b = a + torch.randn(n, D, generator=generator)
        return a.to(self.name).requires_grad_(grad), b.to(self.name).requires_grad_(grad)

    def now(self) -> float:
        if self.cuda:
            torch.cuda.synchronize()
        return time.perf_counter() if self.cuda else time.process_time()

    def peak(self, run: Call) -> float:
        """The most that torch holds during a call beyond what it held before, MiB."""
        if self.cuda:
            run()  # its libraries' workspaces are held from here on
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            run()
            torch.cuda.synchronize()
            return (torch.cuda.max_memory_allocated() - before) / MIB
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as seen:
            run()
        held = highest = 0
        for event in seen.profiler.kineto_results.events():
            if event.name() == "[memory]":
                held += event.nbytes()
                highest = max(highest, held)
        return highest / MIB

    def __str__(self) -> str:
        return torch.cuda.get_device_name() if self.cuda else f"{platform.machine()}, one thread"


def scores(a: Tensor, b: Tensor) -> Tensor:
    return F.normalize(a, dim=1) @ F.normalize(b, dim=1).T / TAU


def filled(a: Tensor, b: Tensor) -> Tensor:
    """cos-DV with -inf on the diagonal."""
    t, n = scores(a, b), len(a)
    t_off = t.masked_fill(torch.eye(n, dtype=torch.bool, device=a.device), -math.inf)
    return t.diagonal().mean() - (t_off.logsumexp((0, 1)) - math.log(n * (n - 1)))


def indexed(a: Tensor, b: Tensor) -> Tensor:
    """cos-DV with the false pairs picked by a mask."""
    t, n = scores(a, b), len(a)
    return t.diagonal().mean() - (
        t[~torch.eye(n, dtype=torch.bool, device=a.device)].logsumexp(0) - math.log(n * (n - 1))
    )


def climbs(function: Callable[[Tensor, Tensor], Tensor], n: int, device: Device) -> Call:
    a, b = device.rows(n)

    def run() -> None:
        a.grad = b.grad = None
        function(a, b).backward()

    return run


def in_turn(contestants: dict[str, Call], rounds: int, device: Device) -> dict[str, float]:
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for k in range(rounds + 1):
        for name, run in contestants.items():
            start = device.now()
            run()
            if k:  # the first round warms up
                seconds[name].append(device.now() - start)
    return {name: statistics.median(s) for name, s in seconds.items()}


def compare(title: str, contestants: dict[str, Call], rounds: int, device: Device) -> dict[str, object]:
    seconds = in_turn(contestants, rounds, device)
    memory = {name: device.peak(run) for name, run in contestants.items()}
    ours = next(iter(contestants))
    print(f"\n{title}")
    found: dict[str, object] = {}
    for name in contestants:
        times, leaner = seconds[name] / seconds[ours], memory[name] / memory[ours]
        print(
            f"  {name:22s} {seconds[name]:9.4f} s ({times:5.2f}x)  {memory[name]:9.1f} MiB ({leaner:6.1f}x)", flush=True
        )
        found[name] = {"seconds": seconds[name], "mib": memory[name], "times_ours": times, "memory_over_ours": leaner}
    return found


def cos_dv(n: int, rounds: int, device: Device) -> dict[str, object]:
    contestants: dict[str, Call] = {
        "infomax": climbs(lambda a, b: mi.cos_dv(a, b, tau=TAU), n, device),
        "naive, filled": climbs(filled, n, device),
        "naive, indexed": climbs(indexed, n, device),
    }
    return compare(f"cos-DV forward and backward, N = {n}, D = {D}", contestants, rounds, device)


def large(n: int, device: Device) -> dict[str, object]:
    """One pass from inputs to gradients, seen once: its memory is the question."""
    run = climbs(lambda a, b: mi.cos_dv(a, b, tau=TAU), n, device)
    start = device.now()
    mib = device.peak(run)
    seconds = (device.now() - start) / (2 if device.cuda else 1)
    print(f"\ncos-DV forward and backward, N = {n}: {seconds:.1f} s, {mib:.0f} MiB beyond the inputs", flush=True)
    return {"seconds": seconds, "mib": mib}


def nt_xent(n: int, rounds: int, device: Device) -> dict[str, object]:
    contestants: dict[str, Call] = {
        "infomax": climbs(lambda a, b: -mi.cos_infonce(a, b, tau=TAU, own_view=True, two_sided=True), n, device)
    }
    try:
        from lightly.loss import NTXentLoss
    except ImportError:
        print("lightly is not installed (uv sync --group peers): left out")
    else:
        theirs = NTXentLoss(temperature=TAU)
        contestants["lightly"] = climbs(theirs, n, device)
        a, b = device.rows(64, grad=False)
        ours = math.log(127) - mi.cos_infonce(a, b, tau=TAU, own_view=True, two_sided=True)
        torch.testing.assert_close(ours, theirs(a, b))  # the same loss, or the comparison says nothing
    return compare(f"NT-Xent, N = {n} pairs, D = {D}", contestants, rounds, device)


def metric(n: int, rounds: int, device: Device, tau: float) -> dict[str, object]:
    a, b = device.rows(n, grad=False)

    def product() -> None:
        left, right = F.normalize(a, dim=1) / tau, F.normalize(b, dim=1).T.contiguous()
        height = 4096 if device.cuda else 128
        out = torch.empty(height, n, device=a.device)
        for i in range(0, n, height):
            torch.mm(left[i : i + height], right, out=out[: len(left[i : i + height])])

    def read() -> None:
        found = mi.MIMetric("cosine", tau=tau, sync=False)
        found._a, found._b = [a], [b]  # the metric's own copy of its inputs is not part of the pass
        found.compute()

    return compare(
        f"MIMetric, N = {n}, D = {D}, tau = {tau:g}: all readings with intervals",
        {"its products alone": product, "metric": read},
        rounds,
        device,
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
    parser.add_argument("--only", nargs="*", choices=PARTS)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--quick", action="store_true", help="below a minute: fewer rounds, smaller sizes on a CPU")
    parser.add_argument("--metric-n", type=int)
    parser.add_argument("--metric-tau", type=float, nargs="*", default=[TAU])
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        raise SystemExit("torch sees no CUDA device; without --device the script runs on the CPU")
    torch.set_num_threads(1)
    device, small = Device(options.device), options.quick and not options.device.startswith("cuda")
    wanted = options.only or [p for p in PARTS if p != "coverage" or not (options.quick or device.cuda)]
    rounds = min(options.rounds, 2) if options.quick else options.rounds
    found: dict[str, object] = origin() | {
        "device": str(device),
        "cuda": torch.version.cuda,
        "d": D,
        "tau": TAU,
        "rounds": rounds,
    }
    print(f"{device}, torch {torch.__version__}")
    if "agree" in wanted:
        found["agreement"] = agree(options.device)
    if "dv" in wanted:
        for n in (1024, 2048) if small else (4096, 16384):
            found[f"cos_dv {n}"] = cos_dv(n, rounds, device)
    if "nt_xent" in wanted:
        n = 1024 if small else 4096
        found[f"nt_xent {n}"] = nt_xent(n, rounds, device)
    if "large" in wanted:
        n = 4096 if small else 131_072
        found[f"cos_dv {n}, once"] = large(n, device)
    if "metric" in wanted:
        n = options.metric_n or (8192 if small else 50_000)
        for tau in options.metric_tau:
            found[f"metric {n}, tau {tau:g}"] = metric(n, min(rounds, 2), device, tau)
    if "coverage" in wanted:
        found["coverage"] = coverage(options.repeats)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
