"""Two views of an image on one core: ours against the transforms of others, in images a second.

    OMP_NUM_THREADS=1 python benchmarks/views.py --json benchmarks/results/views.json

All contestants run in this process, one after another in every round, so that a slow minute of the machine falls on all
of them; the figure is the median over rounds, in images per second of processor time (what one core does in a second when it
does nothing else; all are held to one thread). Each gets bytes in the form it likes best (PIL images, arrays, a
batch) and must give two normalised float tensors. Peers that are not installed are left out, with a word.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import torch
from origin import origin
from PIL import Image

import infomax

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
BATCH = 256
JITTER, SIGMA = (0.8, 0.8, 0.8, 0.2), (0.1, 2.0)


@dataclass(frozen=True)
class Setting:
    name: str
    image: int
    size: int
    blur: float
    kernel: int


SETTINGS = (
    Setting("32 px", 32, 32, 0.5, 13),
    Setting("224 px from 256", 256, 224, 0.0, 23),
    Setting("224 px from 256, blur", 256, 224, 0.5, 23),
)


class Missing(Exception):
    """A peer is not installed."""


def pictures(n: int, side: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(n, 3, side // 8, side // 8, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=side, mode="bicubic")
    noisy = smooth + 0.05 * torch.randn(smooth.shape, generator=generator)
    return (noisy.clamp(0, 1) * 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


Run = Callable[[], object]


def ours(setting: Setting, images: torch.Tensor, *, fused: bool) -> Run:
    spec = replace(infomax.views.recipe("simclr", size=setting.size).specs[0], blur=setting.blur)
    views = infomax.views.Views((spec, spec), MEAN, STD, fused=fused)
    batches = list(zip(images.split(BATCH), torch.arange(len(images)).split(BATCH), strict=True))
    return lambda: [views(batch, index) for batch, index in batches]


def pil(setting: Setting, images: torch.Tensor) -> Run:
    from torchvision import transforms as T

    blur = [T.RandomApply([T.GaussianBlur(setting.kernel, SIGMA)], p=setting.blur)] if setting.blur else []
    chain = T.Compose(
        [
            T.RandomResizedCrop(setting.size),
            T.RandomHorizontalFlip(),
            T.RandomApply([T.ColorJitter(*JITTER)], p=0.8),
            T.RandomGrayscale(0.2),
            *blur,
            T.ToTensor(),
            T.Normalize(MEAN, STD),
        ]
    )
    listed = [Image.fromarray(image) for image in images.numpy()]
    return lambda: [(chain(image), chain(image)) for image in listed]


def lightly(setting: Setting, images: torch.Tensor) -> Run:
    from lightly.transforms import SimCLRTransform

    chain = SimCLRTransform(
        input_size=setting.size,
        gaussian_blur=setting.blur,
        sigmas=SIGMA,
        normalize={"mean": list(MEAN), "std": list(STD)},
    )
    listed = [Image.fromarray(image) for image in images.numpy()]
    return lambda: [chain(image) for image in listed]


def albumentationsx(setting: Setting, images: torch.Tensor) -> Run:
    import albumentations as A
    import cv2
    from albumentations.pytorch import ToTensorV2

    cv2.setNumThreads(0)
    b, c, s, h = JITTER
    blur = [A.GaussianBlur(blur_limit=setting.kernel, sigma_limit=SIGMA, p=setting.blur)] if setting.blur else []
    chain = A.Compose(
        [
            A.RandomResizedCrop((setting.size, setting.size), scale=(0.08, 1.0)),
            A.HorizontalFlip(p=0.5),
            A.ColorJitter((1 - b, 1 + b), (1 - c, 1 + c), (1 - s, 1 + s), (-h, h), p=0.8),
            A.ToGray(p=0.2),
            *blur,
            A.Normalize(MEAN, STD),
            ToTensorV2(),
        ]
    )
    listed = list(images.numpy())
    return lambda: [(chain(image=image)["image"], chain(image=image)["image"]) for image in listed]


def kornia(setting: Setting, images: torch.Tensor) -> Run:
    import kornia.augmentation as K

    k = setting.kernel
    blur = [K.RandomGaussianBlur((k, k), SIGMA, p=setting.blur)] if setting.blur else []
    chain = torch.nn.Sequential(
        K.RandomResizedCrop((setting.size, setting.size), scale=(0.08, 1.0)),
        K.RandomHorizontalFlip(),
        K.ColorJitter(*JITTER, p=0.8),
        K.RandomGrayscale(p=0.2),
        *blur,
        K.Normalize(MEAN, STD),
    )

    def run(batch: torch.Tensor) -> object:
        x = batch.permute(0, 3, 1, 2).float() / 255
        return chain(x), chain(x)

    return lambda: [run(batch) for batch in images.split(BATCH)]


def installed(package: str) -> None:
    try:
        version(package)
    except ImportError as error:
        raise Missing(f"{package} is not installed (uv sync --group peers)") from error


def contestants(setting: Setting, largest: int) -> dict[str, tuple[int, Run] | str]:
    """Name -> (images a round, what to run), or why it is left out."""
    many = largest if setting.size == 32 else largest // 32
    few = many // 8 if setting.size == 32 else many // 2
    images = pictures(many, setting.image)
    table: dict[str, tuple[int, Run] | str] = {
        "infomax": (many, ours(setting, images, fused=True)),
        "infomax, eager torch": (few, ours(setting, images[:few], fused=False)),
        "torchvision on PIL": (few, pil(setting, images[:few])),
    }
    for package, make in (("lightly", lightly), ("albumentationsx", albumentationsx), ("kornia", kornia)):
        try:
            installed(package)
            table[package] = (few, make(setting, images[:few]))
        except (Missing, ImportError) as error:
            table[package] = f"left out: {error}"
    return table


def race(setting: Setting, rounds: int, largest: int) -> dict[str, float | str]:
    """Median images a second of each contestant."""
    table = contestants(setting, largest)
    times: dict[str, list[float]] = {name: [] for name, entry in table.items() if not isinstance(entry, str)}
    for attempt in range(rounds + 1):  # the first round warms up
        for name in times:
            n, run = table[name]
            start = time.process_time()
            run()
            if attempt:
                times[name].append((time.process_time() - start) / n)
    return {
        name: entry if isinstance(entry, str) else 1.0 / statistics.median(times[name]) for name, entry in table.items()
    }


def share_of_training(rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds of processor time of a batch's views and of the update on them, medians: SimCLR on ResNet-8."""
    from infomax.learner import step
    from infomax.optim import build_optimizer

    found = {}
    for name, side, channels in (("28 px, 1 channel", 28, 1), ("32 px, 3 channels", 32, 3)):
        torch.manual_seed(0)
        images = pictures(BATCH, 32)[:, :side, :side, :channels].contiguous()
        views = infomax.views.recipe("simclr", side, MEAN[:channels], STD[:channels])
        learner = infomax.methods.simclr(infomax.encoders.get("resnet8", channels=channels, size=side))
        learner.to(memory_format=torch.channels_last).train()
        optimizer = build_optimizer(learner.parameters(), "adamw", lr=1e-3, weight_decay=1e-4)
        times: dict[str, list[float]] = {"views": [], "update": []}
        for attempt in range(rounds + 1):
            start = time.process_time()
            made = [
                view.to(memory_format=torch.channels_last) for view in views(images, torch.arange(BATCH), epoch=attempt)
            ]
            between = time.process_time()
            step(learner, made, optimizer, infomax.Clock(attempt, 1, rounds + 1))
            if attempt:
                times["views"].append(between - start)
                times["update"].append(time.process_time() - between)
        made_in, updated_in = (1000 * statistics.median(times[part]) for part in ("views", "update"))
        found[name] = {"views_ms": made_in, "update_ms": updated_in, "share": made_in / (made_in + updated_in)}
    return found


START = """
import json, time, torch, infomax
images = torch.zeros(4, 32, 32, 3, dtype=torch.uint8)
wall, cpu = time.perf_counter(), time.process_time()
infomax.views.recipe("simclr", size=32)(images, range(4))
print(json.dumps({"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}))
"""


def first_use() -> dict[str, dict[str, float]]:
    """Seconds to the first views, numba's import included: with empty caches (of Python too), then with them filled."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", START]
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder, "PYTHONPYCACHEPREFIX": folder}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        return {
            name: json.loads(
                subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
            )
            for name in ("empty cache", "filled cache")
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--images", type=int, default=2048, help="images a round of the fastest at 32 px")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--training", action="store_true", help="the share of a training step instead")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # the peers' own
    torch.set_num_threads(1)
    if options.training:
        for name, part in share_of_training(options.rounds).items():
            print(f"{name}: views {part['views_ms']:.2f} ms, update {part['update_ms']:.0f} ms: {part['share']:.2%}")
        return

    start = first_use()
    for name, seconds in start.items():
        print(f"first views, {name}: {seconds['wall_s']:.2f} s ({seconds['cpu_s']:.2f} s of CPU)")
    results: dict[str, dict[str, float | str]] = {}
    for setting in SETTINGS:
        results[setting.name] = rates = race(setting, options.rounds, options.images)
        print(f"\n{setting.name}, two views, one core\n{'':24}{'images/s':>10}{'infomax is':>12}")
        for name, rate in rates.items():
            if isinstance(rate, str):
                print(f"{name:24}{rate}")
            else:
                print(f"{name:24}{rate:>10.0f}{float(rates['infomax']) / rate:>11.1f}x")
    if options.json:
        packages = ("torch", "torchvision", "numpy", "numba", "lightly", "albumentationsx", "kornia")
        record = origin() | {
            "platform": platform.platform(),
            "versions": {p: version(p) for p in packages if p not in _absent(packages)},
            "rounds": options.rounds,
            "first_use": start,
            "images_per_second": results,
        }
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(record, indent=1) + "\n")


def _absent(packages: tuple[str, ...]) -> set[str]:
    absent = set()
    for package in packages:
        try:
            installed(package)
        except Missing:
            absent.add(package)
    return absent


if __name__ == "__main__":
    main()
