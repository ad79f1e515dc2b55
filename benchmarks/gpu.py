"""One epoch on a GPU: CIFAR-10, ResNet-18, batch 512, bf16, data and views on the device; and the peak of its memory.

    python benchmarks/gpu.py --data cifar10.npz --json benchmarks/results/gpu.json
    python benchmarks/gpu.py --device cpu --encoder resnet8 --images 256 --batch 64 --precision 32-true --epochs 1  # a try

The images (an .npz with `images` or `x`, N x 32 x 32 x 3 uint8; without one, noise of CIFAR-10's shape, which costs the
same) lie on the device as bytes, the views are made there, and an epoch is what `infomax train` does between two readings of
the gauges. An epoch of the two-encoder prototype is an E- and an M-pass. Three figures a method:

seconds   of an epoch, median after one that warms up
waits     share of it that the device spends on anything but steps: 1 - (steps on a batch of views that is there) / epoch
peak      bytes that the allocator held at most, as `benchmarks/memory.py` counts them without a GPU
"""

import argparse
import json
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import infomax as im
from infomax.data import Dataset
from infomax.optim import build_optimizer
from infomax.schedule import warmup_cosine
from infomax.training.defaults import view_function
from infomax.training.devices import compile_branch, place
from infomax.training.feed import Feed

METHODS = ("simclr", "sdmi", "jmi", "simsiam", "byol", "moco_v3", "vicreg", "barlow_twins")
BARS = {"simclr": 1.5, "sdmi": 4.0}  # seconds an epoch on one H200
STATISTICS = {"mean": (0.4914, 0.4822, 0.4465), "std": (0.2470, 0.2435, 0.2616)}


def images(path: Path | None, count: int) -> tuple[Tensor, str]:
    if path is None:
        drawn = torch.randint(0, 256, (count, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        return drawn, "noise"
    with np.load(path) as file:
        key = next((k for k in ("images", "x") if k in file), None)
        if key is None:
            raise SystemExit(f"{path} holds {sorted(file)}: no array called images or x")
        return torch.from_numpy(file[key])[:count], path.name


class Bench:
    """One method, ready to run."""

    def __init__(self, name: str, data: Dataset, asked: argparse.Namespace) -> None:
        self.where = place(asked.device, 1, asked.precision)
        torch.manual_seed(0)
        self.learner = im.methods.build(name, im.encoders.get(asked.encoder, size=32))
        self.learner.to(self.where.device).to(memory_format=torch.channels_last).train()
        if self.where.dtype is not None:
            self.learner.to(self.where.dtype)
        if asked.compile != "no":
            torch._dynamo.reset()  # the methods before this one are not to be recognised again
            for branch in (self.learner.f, self.learner.g):
                if branch is not None:
                    compile_branch(branch, graphs=asked.compile == "graphs")
        self.optimizer = build_optimizer(self.learner.parameters(), "sgd", lr=0.1, weight_decay=1e-4)
        self.feed = Feed(data, view_function(data, "simclr"), asked.batch, 0, self.where.device, self.where.dtype)
        self.order = list(self.learner.target.order(len(self.feed)))

    def wait(self) -> None:
        if self.where.device.type == "cuda":
            torch.cuda.synchronize()

    def epoch(self, number: int, views: list[Any] | None = None) -> float:
        """Seconds of an epoch; with `views`, of its steps on one batch that is there."""
        sweep = self.learner.target.sweep
        total = 100 * len(self.order)
        plan = [(sweep(number, phase), batch) for batch, phase in self.order]
        self.wait()
        began = time.perf_counter()
        with self.feed.ahead(plan) if views is None else nullcontext():
            for k, (batch, phase) in enumerate(self.order):
                clock = im.Clock(number * len(self.order) + k, len(self.order), total, phase)
                for group in self.optimizer.param_groups:
                    group["lr"] = warmup_cosine(clock.step, total, 10 * len(self.order), 0.1)
                seen = self.feed(sweep(number, phase), batch) if views is None else views
                im.step(self.learner, seen, self.optimizer, clock, precision=self.where.precision)
        self.wait()
        return time.perf_counter() - began

    def peak(self, climb: Callable[..., Any] | None = None) -> int | None:
        """Bytes at most, over an E- and an M-step where there are two, in full precision as bar 5 has it."""
        if self.where.device.type != "cuda":
            return None
        views, phases = self.feed(0, 0), sorted({phase for _, phase in self.order})
        most = 0
        for turn in range(2):
            for phase in phases:
                torch.cuda.reset_peak_memory_stats()
                self.optimizer.zero_grad()
                clock = im.Clock(0, 100, 1000, phase)
                if climb is None:
                    self.learner.climb(views, clock)
                else:
                    climb(self.learner, views, clock)
                self.optimizer.step()
                self.wait()
                most = max(most, torch.cuda.max_memory_allocated()) if turn else 0
        return most


def at_once(learner: im.Learner, views: list[Tensor], clock: im.Clock) -> None:
    learner(views, clock).loss.backward()


def commit() -> str:
    found = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help=".npz of images; without it, noise")
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--encoder", default="resnet18")
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--epochs", type=int, default=3, help="after the one that warms up")
    parser.add_argument("--precision", default="bf16-mixed")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--compile", choices=("no", "yes", "graphs"), default="no", help="graphs: CUDA graphs as well")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--json", type=Path, help="write the figures here")
    asked = parser.parse_args()
    if asked.device.startswith("cuda") and not torch.cuda.is_available():
        raise SystemExit("torch sees no CUDA device: --device cpu with small sizes tries the script")
    pixels, source = images(asked.data, asked.images)
    data = Dataset(pixels.to(asked.device), name="cifar10", **STATISTICS)
    name = torch.cuda.get_device_name() if asked.device.startswith("cuda") else platform.machine()
    print(f"{name}, {asked.encoder}, {len(data)} images ({source}), batch {asked.batch}, {asked.precision}")
    rows: dict[str, dict[str, Any]] = {}
    for method in asked.methods.split(","):
        bench = Bench(method, data, asked)
        first = bench.epoch(0)
        epochs = [bench.epoch(1 + k) for k in range(asked.epochs)]
        there = bench.feed(0, 0)
        bench.epoch(0, there)
        steps = statistics.median(bench.epoch(1 + k, there) for k in range(asked.epochs))
        seconds = statistics.median(epochs)
        rows[method] = {
            "seconds": seconds,
            "epochs": epochs,
            "steps": steps,
            "waits": 1 - steps / seconds,
            "first": first,
        }
        del bench, there
        full = Bench(method, data, argparse.Namespace(**{**vars(asked), "precision": "32-true", "compile": "no"}))
        rows[method]["peak"] = full.peak()
        if full.learner.by_view:
            rows[method]["peak_at_once"] = full.peak(at_once)
        del full
        bar = f"bar {BARS[method]} s" if method in BARS and asked.device != "cpu" else ""
        peak = rows[method]["peak"]
        held = "" if peak is None else f"peak {peak / 2**30:.2f} GiB"
        print(
            f"  {method:14}{seconds:8.3f} s an epoch  {bar:10} waits {rows[method]['waits']:6.1%}  {held}", flush=True
        )
    if rows.get("sdmi", {}).get("peak") and rows.get("simsiam", {}).get("peak"):
        print(f"SDMI's peak over SimSiam's: {rows['sdmi']['peak'] / rows['simsiam']['peak']:.2f} (bar 0.60)")
    if asked.json:
        said = {k: str(v) if isinstance(v, Path) else v for k, v in vars(asked).items() if k != "json"}
        said |= {
            "gpu": name,
            "torch": torch.__version__,
            "cuda": torch.version.cuda,
            "commit": commit(),
            "source": source,
        }
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        asked.json.write_text(json.dumps(said | {"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
