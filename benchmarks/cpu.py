"""What a processor does in a second of training: with freed memory handed back or kept, and in 32 or 16 bits.

    OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/cpu.py --rounds 5 --json benchmarks/results/cpu.json

Images a second of processor time of `im.train` on random images of 32 pixels, views of 16, once seen (views, warm-up and
gauges included; compiled code on disk). Every figure is a process of its own, as an allocator is told once and for good;
the contestants take turns, and the table says the median of each and of its ratios to `handed back` of the same round.

| contestant | what |
|---|---|
| handed back | 32 bits; glibc as it is, which returns what is freed to the system (`infomax.heap` is told to leave it) |
| kept | 32 bits, as `im.train` does it |
| bf16-mixed | kept, products in 16 bits: as `precision="auto"` does it on processors that have them |
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path

import torch
from origin import origin

import infomax as im
from infomax import recipes
from infomax.training.devices import chosen

CONTESTANTS = {
    "handed back": (
        "32-true",
        {"GLIBC_TUNABLES": "glibc.malloc.check=0"},
    ),  # changes nothing, and is a word of one's own
    "kept": ("32-true", {}),
    "bf16-mixed": ("bf16-mixed", {}),
}


def trained(name: str, encoder: str, precision: str, seconds: float) -> float:
    """Images a second of processor time."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    images = torch.randint(0, 256, (10_000, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    options = recipes.get(f"cpu/{name}-cifar10").options
    heads = {k: tuple(int(w) for w in str(options[k]).split("-")) for k in ("projector", "predictor") if k in options}

    def run(budget: float) -> float:
        torch.manual_seed(0)
        learner = im.methods.build(options["method"], im.encoders.get(encoder, channels=3, size=32), **heads)
        taken = {k: options[k] for k in ("views", "size", "batch_size", "optimizer", "lr", "weight_decay")}
        began = time.process_time()
        done = im.train(
            learner,
            images,
            **taken,
            budget=f"{budget}s cpu",
            precision=precision,
            device="cpu",
            gauge_samples=200,
            progress=False,
        )
        updates = round(done.history[-1]["epoch"] * (len(images) // options["batch_size"]))
        return updates * options["batch_size"] / (time.process_time() - began)

    run(seconds / 4)
    return run(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", default="simclr,byol")
    parser.add_argument("--encoders", default="resnet8,resnet18")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)  # method, encoder, precision: print one figure
    asked = parser.parse_args()
    if asked.one:
        print(trained(*asked.one, asked.seconds))
        return
    rows, told = [], {"GLIBC_TUNABLES", *(name for name in os.environ if name.startswith("MALLOC_"))}
    plain = {name: value for name, value in os.environ.items() if name not in told}
    for encoder in asked.encoders.split(","):
        for method in asked.methods.split(","):
            rates: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
            for _ in range(asked.rounds):
                for name, (precision, environment) in CONTESTANTS.items():
                    words = ["--one", method, encoder, precision, "--seconds", str(asked.seconds)]
                    said = subprocess.run(
                        [sys.executable, __file__, *words],
                        env=plain | environment,
                        capture_output=True,
                        text=True,
                        check=True,
                    )
                    rates[name].append(float(said.stdout))
            for name, found in rates.items():
                ratios = [a / b for a, b in zip(found, rates["handed back"], strict=True)]
                row = {"encoder": encoder, "method": method, "contestant": name, "images_per_second": found}
                rows.append(row | {"ratio": statistics.median(ratios)})
                print(
                    f"{encoder:9} {method:7} {name:12} {statistics.median(found):7.0f} images/s  "
                    f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})",
                    flush=True,
                )
    if asked.json:
        about = origin() | {"native": chosen("auto", "cpu"), "rounds": asked.rounds, "seconds": asked.seconds}
        asked.json.write_text(json.dumps(about | {"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
