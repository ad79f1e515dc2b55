"""A whole training step over the bare floor: two views forward and backward through the same backbone, and SGD.

    OMP_NUM_THREADS=1 python benchmarks/step.py --json benchmarks/results/step.json
    OMP_NUM_THREADS=1 python benchmarks/step.py --encoder resnet8 --batch 256 --heads small --rounds 15

A step is all that the engine does with a batch of views: forward passes, objective, backward, the look for NaNs, SGD with
momentum, the target's own move. All contestants run in this process, one after another in every round, so that a slow
minute of the machine falls on all of them; the figure is the median over rounds of the step over that round's floor, in
seconds of CPU. The two-encoder prototype is an E- and an M-step. lightly's parts are put together as its own examples
do, with heads of the same widths. solo-learn cannot be installed beside a torch of today (it asks for torch 1.9.1).
"""

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from origin import origin
from torch import Tensor, nn

import infomax as im

Views = list[Tensor]
Step = Callable[[Views], Any]
METHODS = ("simclr", "simsiam", "jmi", "barlow_twins", "vicreg", "byol", "moco_v3", "sdmi")
PEERS = ("simclr", "simsiam", "barlow_twins", "vicreg", "byol")
BARS = dict.fromkeys(METHODS[:5], 1.05) | {"byol": 1.38, "moco_v3": 1.38, "sdmi": 3.0}
SMALL: dict[str, tuple[int, ...]] = {"projector": (256, 256), "predictor": (256,)}


def sgd(module: nn.Module) -> torch.optim.Optimizer:
    return im.optim.build_optimizer(module.parameters(), "sgd", lr=1e-3, weight_decay=1e-4)


def floor(encoder: nn.Module) -> Step:
    optimizer = sgd(encoder)

    def step(views: Views) -> None:
        optimizer.zero_grad()
        sum(encoder(v).sum() for v in views).backward()
        optimizer.step()

    return step


def ours(name: str, encoder: nn.Module, heads: str) -> Step:
    known = im.methods.options(name)
    learner = im.methods.build(
        name, encoder, **({k: v for k, v in SMALL.items() if k in known} if heads == "small" else {})
    )
    learner.to(memory_format=torch.channels_last).train()
    optimizer, phases = sgd(learner), (0, 1) if name == "sdmi" else (0,)

    def step(views: Views) -> None:
        for phase in phases:
            im.step(learner, views, optimizer, im.Clock(0, 100, 1000, phase))

    return step


def widths(name: str, heads: str) -> dict[str, tuple[int, ...]]:
    known = im.methods.options(name)
    return {k: SMALL[k] if heads == "small" else known[k].default for k in ("projector", "predictor") if k in known}


def lightly(name: str, encoder: nn.Module, heads: str) -> Step:
    from lightly import loss as losses
    from lightly.models.utils import deactivate_requires_grad, update_momentum

    spec = widths(name, heads)
    branch = im.Branch(encoder, spec["projector"], norm=name != "simclr")
    width = spec["projector"][-1]
    predictor = im.mlp(width, *spec["predictor"], width) if "predictor" in spec else nn.Identity()
    model = nn.ModuleList([branch, predictor]).to(memory_format=torch.channels_last).train()
    slow = copy.deepcopy(branch)
    if name == "byol":
        deactivate_requires_grad(slow)
    criterion = {
        "simclr": lambda: losses.NTXentLoss(temperature=0.2),
        "simsiam": losses.NegativeCosineSimilarity,
        "byol": losses.NegativeCosineSimilarity,
        "barlow_twins": losses.BarlowTwinsLoss,
        "vicreg": losses.VICRegLoss,
    }[name]()
    optimizer = torch.optim.SGD(model.parameters(), 1e-3, momentum=0.9, weight_decay=1e-4)

    def step(views: Views) -> None:
        if name == "byol":
            update_momentum(branch, slow, 0.99)
        z = [branch(v) for v in views]
        if name in ("byol", "simsiam"):
            p = [predictor(v) for v in z]
            if name == "byol":
                with torch.no_grad():
                    k = [slow(v) for v in views]
            else:
                k = [v.detach() for v in z]
            loss = 0.5 * (criterion(p[0], k[1]) + criterion(p[1], k[0]))
        else:
            loss = criterion(*z)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="resnet18")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument(
        "--heads", choices=("default", "small"), default="default", help="small: 256-256, predictor 256"
    )
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures here")
    asked = parser.parse_args()
    torch.set_num_threads(1)

    views = [
        torch.randn(asked.batch, 3, asked.size, asked.size).contiguous(memory_format=torch.channels_last)
        for _ in range(2)
    ]

    def encoder() -> nn.Module:
        torch.manual_seed(0)
        return im.encoders.get(asked.encoder, size=asked.size).to(memory_format=torch.channels_last).train()

    steps: dict[str, Step] = {"floor": floor(encoder())}
    chosen = asked.methods.split(",")
    for name in chosen:
        steps[name] = ours(name, encoder(), asked.heads)
    if find_spec("lightly"):
        steps |= {f"lightly {name}": lightly(name, encoder(), asked.heads) for name in PEERS if name in chosen}
    else:
        print("lightly is not installed: left out")
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for done in range(asked.rounds + 1):
        for name, step in steps.items():
            began = time.process_time()
            step(views)
            if done:  # the first makes the momentum
                seconds[name].append(time.process_time() - began)
    base = seconds["floor"]
    rows = {}
    print(
        f"{asked.encoder}, {asked.size} px, batch {asked.batch}, {asked.heads} heads; floor {statistics.median(base):.3f} s"
    )
    for name, taken in seconds.items():
        ratios = sorted(t / b for t, b in zip(taken, base, strict=True))
        rows[name] = {"seconds": statistics.median(taken), "ratio": statistics.median(ratios), "ratios": ratios}
        method = name.removeprefix("lightly ")
        bar = f"bar {BARS[name]}" if name in BARS else ""
        heads = (
            " ".join(f"{k} {'-'.join(map(str, v))}" for k, v in widths(method, asked.heads).items())
            if method in METHODS
            else ""
        )
        print(f"  {name:22}{rows[name]['ratio']:6.3f}  ({ratios[0]:.3f} to {ratios[-1]:.3f})  {bar:9} {heads}")
    if asked.json:
        said = origin() | {"lightly": version("lightly") if find_spec("lightly") else None}
        said |= {k: v for k, v in vars(asked).items() if k != "json"} | {"rows": rows}
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        asked.json.write_text(json.dumps(said, indent=1) + "\n")


if __name__ == "__main__":
    main()
