"""Accuracy of the frozen encoder after some seconds of processor time: ours, and lightly's with as many and twice as many.

    OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/time_to_accuracy.py --cifar10 cifar10.npz --fashion-mnist FOLDER \\
        --seconds 300 --seeds 3 --cells cells --json benchmarks/results/time_to_accuracy.json

One backbone (ResNet-8 of width 32, stem of stride 2), the same starting weights, one evaluation: features of whole images
at their own size, logistic regression on `--labels` training images, its penalty chosen on a fifth of them, and nearest
neighbours (k = 20), on the official test set or its first `--tests` images.

| contestant | what |
|---|---|
| infomax | `im.train` with the recipe cpu/METHOD-SET, else cpu/METHOD-cifar10, `budget="Ns cpu"`: in 16 bits where there are |
| infomax-32 | the same in 32 bits everywhere |
| infomax-adamw | the same by AdamW, at the rate that was its best of three |
| lightly | the same of lightly's parts: transforms, losses, momentum; heads, schedule alike; by AdamW, as it has no Muon |
| lightly-16 | that under torch's autocast, its losses in 32 bits: in 16 where infomax is |
| lightly-muon | that of 32 bits with the optimiser of infomax handed to it: the whole recipe |
| lightly-full | that of 32 bits, its views at the images' own size, at the rate that is its best of three for SimCLR there |

Every cell (contestant, method, set, seed, seconds) is a process of its own, and a JSON file in `--cells`: those that are
there, or in the `--json` file, are not run again. The budget counts views, compilation and warm-up, not imports and loading;
schedules end where it does; our views' compiled code is found on disk, as after their first use on a machine (some 20 s more).
lightly's images lie in memory as PIL images, as its transforms take them; its network has the channels last, as ours.
`--pilot` judges on training rows (the last 5,000, of `--pilot N` so many, which no contestant trains on) instead of the test
set; `--lr A,B,C` tries these learning rates, `--change views=w-mse` another setting. `--epochs N` gives both the same images
in place of the same time.
"""

import argparse
import copy
import functools
import hashlib
import io
import itertools
import json
import multiprocessing
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numba  # noqa: F401  (imports are not on the budget, those of the first optimiser and of the first views neither)
import numpy as np
import torch
import torch._dynamo
import yaml
from origin import machine, origin
from torch import Tensor, nn

import infomax as im
from infomax import recipes
from infomax.evaluate.features import encode
from infomax.evaluate.knn import knn_accuracy
from infomax.evaluate.probe import linear_probe
from infomax.optim.muon import Muon
from infomax.schedule import warmup_cosine
from infomax.training.devices import chosen

METHODS = ("simclr", "byol", "barlow-twins", "vicreg")
SETS = ("fashion-mnist", "cifar10")
CONTESTANTS = ("infomax", "infomax-32", "infomax-adamw", "lightly", "lightly-16", "lightly-muon", "lightly-full")
OURS = ("infomax", "infomax-32", "infomax-adamw")
HELD_OUT = 5000
FULL: dict[str, dict[str, Any]] = {method: {"size": None, "lr": 2e-3} for method in METHODS}
"""What lightly's recipe at full size has in place of ours; nothing else was chosen for it."""
RATES = {"simclr": 5e-3, "byol": 5e-3, "barlow-twins": 2e-3, "vicreg": 2e-3}
"""Of AdamW, each the best of three pilots of ours with it."""
Cell = dict[str, Any]
ASKED = (
    "contestant",
    "method",
    "data",
    "seed",
    "seconds",
    "lr",
    "labels",
    "tests",
    "pilot",
    "epochs",
    "rows",
    "changed",
)


@functools.cache
def images_of(name: str, path: Path, split: str) -> tuple[Tensor, Tensor]:
    """N H W C bytes and N labels; of CIFAR-10 from a pack of JPEGs (header, offsets, body, labels; 50,000 train first)."""
    if name == "fashion-mnist":
        data = im.data.load(name, root=str(path), split=split)
        return data.images, data.labels
    from PIL import Image

    pack = np.load(path)
    header, offsets, body = pack["header"].tobytes(), pack["offsets"], pack["body"].tobytes()
    rows = range(50_000) if split == "train" else range(50_000, 60_000)
    decoded = (Image.open(io.BytesIO(header + body[offsets[i] : offsets[i + 1]])).convert("RGB") for i in rows)
    images = torch.from_numpy(np.stack([np.asarray(image) for image in decoded]))
    return images, torch.from_numpy(pack["labels"][list(rows)].astype(np.int64))


def recipe_of(cell: Cell) -> dict[str, Any]:
    own = f"cpu/{cell['method']}-{cell['data']}"
    options = dict(recipes.get(own if own in recipes.names() else f"cpu/{cell['method']}-cifar10").options)
    if cell["contestant"] not in ("infomax", "infomax-adamw", "lightly-16"):
        del options["precision"]  # torch's own, 32 bits
    if cell["contestant"] in ("infomax-adamw", "lightly", "lightly-16", "lightly-full"):
        options |= {"optimizer": "adamw", "lr": RATES[cell["method"]]}
    if cell["contestant"] == "lightly-full":
        options |= FULL[cell["method"]]
    if cell["lr"] is not None:
        options["lr"] = cell["lr"]
    return options | cell["changed"]


def learner_of(cell: Cell, options: dict[str, Any], data: im.data.Dataset) -> im.Learner:
    torch.manual_seed(cell["seed"])
    encoder = im.encoders.get(options["encoder"], channels=data.channels, size=options["size"] or 32)
    own = {k: v for k, v in options.items() if k in im.methods.options(options["method"])}
    heads = {
        k: tuple(int(w) for w in str(v).split("-")) if k in ("projector", "predictor") else v for k, v in own.items()
    }
    return im.methods.build(options["method"], encoder, **heads)


def ours(cell: Cell, data: im.data.Dataset) -> tuple[nn.Module, dict[str, Any]]:
    began, options = time.process_time(), recipe_of(cell)
    learner = learner_of(cell, options, data)
    taken = ("views", "size", "batch_size", "optimizer", "lr", "weight_decay", "precision")
    length: dict[str, Any] = {"budget": f"{cell['seconds'] - 0.5}s cpu"}  # half a second for the last gauges
    if cell["epochs"]:
        length = {"epochs": cell["epochs"]}
    run = im.train(
        learner,
        data,
        **{name: options[name] for name in taken if name in options},
        **length,
        seed=cell["seed"],
        gauge_samples=200,
        device="cpu",
        progress=False,
    )
    spent, batch = time.process_time() - began, options["batch_size"]
    updates = round(run.history[-1]["epoch"] * (len(data) // batch))
    precision = run.config["training"]["precision"]  # what `auto` came to
    return learner.encoder, {"images": updates * batch, "cpu_seconds": spent, "precision": precision}


def lightly_views(name: str, size: int, data: im.data.Dataset) -> Callable[[Any], list[Tensor]]:
    """Our recipe of that name in lightly's words."""
    from lightly.transforms import GaussianBlur, RandomSolarization, SimCLRTransform

    ours, other = im.views.RECIPES[name](size, None)
    assert ours == other, f"{name}: the two views differ, which these of lightly's cannot"
    views = SimCLRTransform(
        input_size=size,
        **dict(zip(("cj_bright", "cj_contrast", "cj_sat", "cj_hue"), ours.jitter, strict=True)),
        random_gray_scale=ours.gray,
        gaussian_blur=ours.blur,
        normalize={"mean": list(data.mean), "std": list(data.std)},
    )
    for steps in {
        id(view): view.transform.transforms for view in views.transforms
    }.values():  # both views are one object
        steps[0].scale = ours.scale  # of the crop; the option is for its lower end alone
        if ours.solarize:  # no option of these views: where lightly's BYOL has it, after the blur
            blurred = next(i for i, step in enumerate(steps) if isinstance(step, GaussianBlur))
            steps.insert(blurred + 1, RandomSolarization(ours.solarize))
    return views


class Pictures(torch.utils.data.Dataset[list[Tensor]]):
    def __init__(self, data: im.data.Dataset, views: Callable[[Any], list[Tensor]]) -> None:
        from PIL import Image

        self.views = views
        self.images = [Image.fromarray(a[..., 0] if a.shape[-1] == 1 else a) for a in data.images.numpy()]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> list[Tensor]:
        return self.views(self.images[i])


def lightly(cell: Cell, data: im.data.Dataset) -> tuple[nn.Module, dict[str, Any]]:
    """Put together as lightly's examples do."""
    from lightly import loss as losses
    from lightly.models.utils import deactivate_requires_grad, update_momentum

    options = recipe_of(cell)
    precision = chosen(options.get("precision", "32-true"), "cpu")
    size = options["size"] or int(data.images.shape[1])
    same = learner_of(cell, options, data)  # for the same starting weights, heads included
    branch, method = same.f, options["method"]
    predictor = same.marginals[0].net if method == "byol" else nn.Identity()
    model = nn.ModuleList([branch, predictor]).to(memory_format=torch.channels_last).train()
    criterion = {
        "simclr": lambda: losses.NTXentLoss(temperature=options["temperature"]),
        "byol": losses.NegativeCosineSimilarity,
        "barlow_twins": lambda: losses.BarlowTwinsLoss(lambda_param=options["redundancy"]),
        "vicreg": losses.VICRegLoss,
    }[method]()
    loader = torch.utils.data.DataLoader(
        Pictures(data, lightly_views(options["views"], size, data)),
        batch_size=options["batch_size"],
        shuffle=True,
        drop_last=True,
        generator=torch.Generator().manual_seed(cell["seed"]),
    )
    torch.manual_seed(cell["seed"])
    began, viewed, done, update = time.process_time(), 0.0, 0, 0.0
    slow = copy.deepcopy(branch)
    if method == "byol":
        deactivate_requires_grad(slow)
    kind = {"adamw": torch.optim.AdamW, "muon": Muon}[options["optimizer"]]
    optimizer = kind(model.parameters(), options["lr"], weight_decay=options["weight_decay"])

    def batches() -> Iterator[list[Tensor]]:
        while True:
            yield from loader

    passed, images = batches(), (cell["epochs"] or 0) * len(loader) * options["batch_size"]

    def gone(now: float) -> float:
        return done / images if images else (now - began) / cell["seconds"]

    while gone((start := time.process_time()) + update) < 1:
        share = gone(start)
        for group in optimizer.param_groups:
            group["lr"] = warmup_cosine(1000 * share, 1000, 100, options["lr"])
        views = [view.contiguous(memory_format=torch.channels_last) for view in next(passed)]
        viewed += time.process_time() - start
        if method == "byol":
            tau = 1 - (1 - options["momentum"]) * (np.cos(np.pi * share) + 1) / 2
            update_momentum(branch, slow, tau)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"):
            z = [branch(view) for view in views]
            p = [predictor(v) for v in z]
            with torch.no_grad():
                k = [slow(view) for view in views] if method == "byol" else []
        z, p, k = ([v.float() for v in some] for some in (z, p, k))
        loss = 0.5 * (criterion(p[0], k[1]) + criterion(p[1], k[0])) if method == "byol" else criterion(*z)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        done += len(views[0])
        update = time.process_time() - start
    spent = time.process_time() - began
    return branch.encoder, {
        "images": done,
        "cpu_seconds": spent,
        "views_share": viewed / spent,
        "precision": precision,
    }


def judge(features: Callable[[Tensor], Tensor], cell: Cell, train: Any, test: Any) -> dict[str, float]:
    (x, y), (u, v) = train, test
    x, y = x[: cell["labels"]], y[: cell["labels"]]
    fit, held = features(x), features(u)
    probe = linear_probe(fit, y, held, v, penalties=(1e-1, 1e-2, 1e-3, 1e-4))
    return {"linear": 100 * probe.accuracy, "knn": 100 * knn_accuracy(fit, y, held, v, k=20)}


def run(cell: Cell, path: Path) -> dict[str, Any]:
    train = images_of(cell["data"], path, "train")
    if cell["pilot"]:
        held = HELD_OUT if cell["pilot"] is True else cell["pilot"]
        test, train = tuple(t[-held:] for t in train), tuple(t[:-held] for t in train)
    else:
        test = tuple(t[: cell["tests"]] for t in images_of(cell["data"], path, "test"))
    data = im.data.Dataset(train[0][: cell["rows"]], name=cell["data"])
    encoder: nn.Module
    said: dict[str, Any] = {}
    if cell["contestant"] in CONTESTANTS:
        encoder, said = (ours if cell["contestant"] in OURS else lightly)(cell, data)
    else:
        torch.manual_seed(cell["seed"])
        encoder = nn.Flatten() if cell["contestant"] == "pixels" else im.encoders.get("resnet8", data.channels, 32)
    whole = im.views.recipe("none", size=int(data.images.shape[1]), mean=data.mean, std=data.std)

    def features(images: Tensor) -> Tensor:
        def batch(some: Tensor) -> Tensor:
            return whole(some, torch.arange(len(some)))[0].contiguous(memory_format=torch.channels_last)

        return encode(encoder, images, views=batch, progress=False)

    recipe = {"recipe": recipe_of(cell)} if cell["contestant"] in CONTESTANTS else {}
    return cell | said | judge(features, cell, train, test) | recipe | {"machine": machine()}


def write(cell: Cell, path: Path, out: Path) -> None:
    """Run a cell and keep it, whole or not at all."""
    found = run(cell, path)
    whole = out.with_suffix(".tmp")
    whole.write_text(json.dumps(found) + "\n")
    whole.replace(out)


def cells_of(asked: argparse.Namespace) -> Iterator[Cell]:
    """Seed by seed, and within one the contestants of a comparison one after another."""
    twice = (2, 1) if asked.equal else (2,)
    budgets = {
        **dict.fromkeys(OURS, (1,)),
        "lightly": twice,
        "lightly-16": twice,
        "lightly-muon": twice,
        "lightly-full": (2,),
    }
    kept = {name: getattr(asked, name) for name in ("labels", "tests", "pilot", "epochs", "rows")}
    changed = dict(word.split("=", 1) for word in asked.change)
    kept["changed"] = {key: yaml.safe_load(value) for key, value in changed.items()}
    plain = kept | {"seed": 0, "seconds": 0, "epochs": None, "rows": None, "changed": {}}
    for data in () if asked.pilot else asked.sets:
        for contestant in ("untrained", "pixels"):
            yield {"contestant": contestant, "method": None, "data": data, "lr": None} | plain
    for seed in range(asked.first_seed, asked.first_seed + asked.seeds):
        for data in asked.sets:
            for method in asked.methods:
                for contestant, lr in itertools.product(asked.contestants, asked.lr):
                    for times in (0,) if asked.epochs else budgets[contestant]:
                        cell = {"contestant": contestant, "method": method, "data": data, "seed": seed, "lr": lr}
                        yield cell | kept | {"seconds": times * asked.seconds}


def file_of(cell: Cell) -> str:
    named = ("data", "method", "contestant", "seconds", "epochs", "rows", "seed", "lr")
    said = [f"{k}{cell[k]:g}" if isinstance(cell[k], int | float) else cell[k] for k in named if cell[k] is not None]
    changed = [f"{k}={v}" for k, v in cell["changed"].items()]
    recipe = (
        json.dumps(cell.get("recipe") or recipe_of(cell), sort_keys=True) if cell["contestant"] in CONTESTANTS else ""
    )
    edition = hashlib.sha256(recipe.encode()).hexdigest()[:8]  # a recipe that was edited since is run anew
    pilot = [] if not cell["pilot"] else ["pilot" if cell["pilot"] is True else f"pilot{cell['pilot']}"]
    return "_".join([*said, *changed, *pilot, edition]) + ".json"


def identity(found: Cell) -> Cell:
    """What was asked of a cell, out of what it found."""
    return {key: found[key] for key in ASKED}


def taken_up(asked: argparse.Namespace) -> None:
    """Cells that the gathered file holds, and this folder does not, need not be run again; one of another recipe is another."""
    for one in json.loads(asked.json.read_text())["cells"] if asked.json and asked.json.exists() else ():
        cell = identity(one)
        kept = asked.cells / file_of(cell)
        if not kept.exists() and one.get("recipe") in (None, recipe_of(cell) if cell["method"] else None):
            kept.write_text(json.dumps(one) + "\n")


def spread(values: list[float]) -> str:
    """Mean and, of several, deviation."""
    return f"{statistics.mean(values):.2f}" + (f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else "")


def table(found: list[Cell]) -> str:
    """Mean and deviation over the seeds, of logistic regression and of nearest neighbours; and by how much ours is ahead,
    seed by seed."""
    rows: dict[tuple[str, str, float, str], list[Cell]] = {}
    for one in found:
        changed = {**({"lr": one["lr"]} if one["lr"] else {}), **one.get("changed", {})}
        named = ", ".join([one["contestant"], *(f"{k} {v}" for k, v in changed.items())])
        rows.setdefault((one["data"], one["method"] or "", one["seconds"], named), []).append(one)
    lines = [
        "| set | method | CPU-seconds | contestant | images | linear | kNN | infomax ahead by | seeds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    ours = next((one for one in OURS if any(c["contestant"] == one for c in found)), None)
    for (data, method, seconds, contestant), same in sorted(rows.items()):
        alike = [c for c in found if (c["data"], c["method"], c["contestant"]) == (data, method, ours)]
        mine = {c["seed"]: c["linear"] for c in alike}
        if len(mine) < len(alike):  # pilots of several rates: which of them would it be?
            mine = {}
        ahead = [mine[c["seed"]] - c["linear"] for c in same if c["seed"] in mine and c["contestant"] != ours]
        images = f"{statistics.mean(one['images'] for one in same):,.0f}" if "images" in same[0] else "-"
        linear, knn = (spread([one[key] for one in same]) for key in ("linear", "knn"))
        lines.append(
            f"| {data} | {method} | {seconds or '-'} | {contestant} | {images} | {linear} | {knn} "
            f"| {spread(ahead) if ahead else '-'} | {len(same)} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cifar10", type=Path, help="the pack of JPEGs")
    parser.add_argument("--fashion-mnist", type=Path, help="the folder of the official files")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--methods", type=lambda text: text.split(","), default=list(METHODS))
    parser.add_argument("--sets", type=lambda text: text.split(","), default=list(SETS))
    parser.add_argument(
        "--contestants", type=lambda text: text.split(","), default=["infomax", "lightly", "lightly-full"]
    )
    parser.add_argument("--epochs", type=int, help="equal images in place of a time: both see the set so often")
    parser.add_argument("--rows", type=int, help="train on so many images, the first, in place of all")
    parser.add_argument("--equal", action="store_true", help="lightly at equal seconds as well")
    parser.add_argument("--labels", type=int, default=10_000)
    parser.add_argument("--tests", type=int, default=10_000)
    parser.add_argument(
        "--pilot", nargs="?", type=int, const=True, default=False, help="judge on the last N training rows"
    )
    parser.add_argument("--lr", type=lambda text: [float(word) for word in text.split(",")], default=[None])
    parser.add_argument(
        "--change", action="append", default=[], help="an option of the recipe: views=w-mse; repeatable"
    )
    parser.add_argument("--cells", type=Path, default=Path("time_to_accuracy_cells"))
    parser.add_argument("--gather", action="store_true", help="run nothing: the table of the cells that are there")
    parser.add_argument("--json", type=Path, help="gather the cells here")
    asked = parser.parse_args()
    paths = {"cifar10": asked.cifar10, "fashion-mnist": asked.fashion_mnist}
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    asked.cells.mkdir(parents=True, exist_ok=True)
    taken_up(asked)
    wanted = list(cells_of(asked))
    for cell in wanted:
        kept = asked.cells / file_of(cell)
        if kept.exists() or asked.gather:
            continue
        # forked off a process that has imported and loaded, and computed nothing: each cell begins with cold caches
        images_of(cell["data"], paths[cell["data"]], "train"), images_of(cell["data"], paths[cell["data"]], "test")
        child = multiprocessing.get_context("fork").Process(target=write, args=(cell, paths[cell["data"]], kept))
        child.start()
        child.join()
        if child.exitcode:
            raise SystemExit(f"{kept.stem} ended with exit status {child.exitcode}")
        print(kept.read_text(), end="", flush=True)
        gather(asked, wanted)
    print(table(gather(asked, wanted)))


def gather(asked: argparse.Namespace, wanted: list[Cell]) -> list[Cell]:
    """The cells that are there, and the file of them all."""
    files = [asked.cells / file_of(cell) for cell in wanted]
    found: list[Cell] = [json.loads(file.read_text()) for file in files if file.exists()]
    if any(one[key] != getattr(asked, key) for one in found for key in ("labels", "tests")):
        raise SystemExit(f"{asked.cells} holds cells judged on other --labels or --tests: take another folder")
    if asked.json:
        earlier = json.loads(asked.json.read_text()) if asked.json.exists() else {}
        mine = {file.name for file in files}
        others = [one for one in earlier.get("cells", ()) if file_of(one) not in mine]
        about = origin() | (
            {"lightly": version("lightly")} if find_spec("lightly") else {}
        )  # of the gathering; each cell names the machine that ran it
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        asked.json.write_text(json.dumps(earlier | about | {"cells": found + others}, indent=1) + "\n")
    return found


if __name__ == "__main__":
    main()
