"""Time what is done beside an update, as a share of it: the watch over a collapse, the online probe, the gauges of an epoch.

    python benchmarks/beside.py --encoder resnet8 --size 32 --batch 256

Processor time, medians over interleaved rounds. A run of U updates and E epochs pays the watch 40 times in its first
fifth and 80 in the rest (every update of the first fifth where that is shorter), the probe U times, the gauges E times.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from origin import origin

import infomax as im
from infomax.clock import Clock
from infomax.data import Dataset
from infomax.training.defaults import view_function
from infomax.training.feed import Feed
from infomax.training.watch import monitor
from infomax.training.watch.collapse import Watch
from infomax.training.watch.online import Online


def main() -> None:
    """Measure and print."""
    ask = argparse.ArgumentParser()
    ask.add_argument("--encoder", default="resnet8")
    ask.add_argument("--size", type=int, default=32)
    ask.add_argument("--batch", type=int, default=256)
    ask.add_argument("--samples", type=int, default=50_000, help="of the data set, for the share of an epoch")
    ask.add_argument("--epochs", type=int, default=100)
    ask.add_argument("--rounds", type=int, default=5)
    ask.add_argument("--json", type=Path, help="write the figures here")
    a = ask.parse_args()
    torch.manual_seed(0)
    few = max(2 * a.batch, 1000)
    data = Dataset(torch.randint(0, 256, (few, a.size, a.size, 3), dtype=torch.uint8), torch.arange(few) % 10)
    learner = im.methods.simclr(im.encoders.get(a.encoder, channels=3, size=a.size), projector=(256, 128))
    feed = Feed(data, view_function(data), a.batch)
    online = Online(learner, feed, probe=True, knn=True, gauged=1000, size=a.size)
    watch, fixed = Watch("simclr"), feed.fixed(1000)
    optimizer = torch.optim.SGD(learner.parameters(), lr=0.01)
    views, index = feed(0, 0), feed.index(0, 0)
    with online.listening() as heard:
        output = im.step(learner, views, optimizer)
    with online.listening() as read:
        monitor.read(learner, fixed)
    online.learn(heard, index)
    held = len(online.truth)
    parts: dict[str, Callable[[], object]] = {
        "views": lambda: feed(0, 1),
        "step": lambda: im.step(learner, views, optimizer),
        "watch": lambda: watch.see(output.z, output.k, Clock(1, 10, 1000)),
        "probe": lambda: online.learn(heard, index),
        "gauges": lambda: monitor.read(learner, fixed),
        "gauges, no intervals": lambda: monitor.read(learner, fixed, intervals=False),
        f"online reading of {held}": lambda: online.read(read),
    }
    took: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(a.rounds):
        for name, part in parts.items():
            began = time.process_time()
            part()
            took[name].append(time.process_time() - began)
    ms = {name: 1e3 * statistics.median(t) for name, t in took.items()}
    for name, value in ms.items():
        print(f"{name:24} {value:9.2f} ms")
    updates = a.epochs * (a.samples // a.batch)
    early = min(41, updates // 5)
    readings = early + min(80, (updates - updates // 5) // 5)
    whole = updates * (ms["views"] + ms["step"])
    tried = min(1000, int(0.15 * a.samples)) / held
    shares = {
        "watch": readings * ms["watch"],
        "watch, in its first fifth": early * ms["watch"] * 5,
        "online probe, learning": updates * ms["probe"],
        "online probe and kNN, read": a.epochs * tried * ms[f"online reading of {held}"],
        "gauges of 1000 samples": a.epochs * ms["gauges"],
        "their intervals": a.epochs * (ms["gauges"] - ms["gauges, no intervals"]),
    }
    print(f"of a run of {updates} updates in {a.epochs} epochs:")
    for name, cost in shares.items():
        print(f"  {name:26} {cost / whole:8.2%}")
    if a.json:
        said = origin() | {k: v for k, v in vars(a).items() if k != "json"}
        said |= {"ms": ms, "updates": updates, "shares": {name: cost / whole for name, cost in shares.items()}}
        a.json.parent.mkdir(parents=True, exist_ok=True)
        a.json.write_text(json.dumps(said, indent=1) + "\n")


if __name__ == "__main__":
    main()
