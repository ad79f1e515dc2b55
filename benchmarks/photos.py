"""What a camera's photos cost: read whole, and at a part of their sides, as `infomax.data.load` reads them by default.

    OMP_NUM_THREADS=1 python benchmarks/photos.py --json benchmarks/results/photos.json

The photos are crops of the two that scikit-learn brings, enlarged to 4000 x 3000 with noise on them, as JPEGs of quality
90. Each `shrink` (`None` reads whole) has its turn in every round: seconds of processor time a photo, megabytes that it
takes decoded, and how many updates the recipe cpu/simclr-cifar10 makes of them in so much processor time.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from origin import origin
from PIL import Image
from sklearn.datasets import load_sample_images

from infomax import recipes
from infomax.data import load

SIDES = (4000, 3000)
SHRINKS = (None, 512, 256)


def take(folder: Path, count: int) -> None:
    """Photos as of a camera."""
    noise = np.random.default_rng(0)
    sources = [Image.fromarray(image) for image in load_sample_images().images]
    for k in range(count):
        source = sources[k % 2]
        width = int(noise.integers(320, source.width))
        height = width * 3 // 4 if width * 3 // 4 <= source.height else source.height
        left, top = (int(noise.integers(0, a - b + 1)) for a, b in zip(source.size, (width, height), strict=True))
        large = source.crop((left, top, left + width, top + height)).resize(SIDES, Image.Resampling.BICUBIC)
        grainy = np.asarray(large, np.int16) + noise.normal(0, 6, (SIDES[1], SIDES[0], 1)).astype(np.int16)
        Image.fromarray(grainy.clip(0, 255).astype(np.uint8)).save(folder / f"{k:03}.jpg", quality=90)


def once(folder: Path, shrink: int | None, seconds: int) -> dict[str, float]:
    """One turn."""
    began = time.process_time()
    data = load(folder, shrink=shrink)
    read = (time.process_time() - began) / len(data)
    height, width, channels = data.shape or (0, 0, 0)
    run = recipes.get("cpu/simclr-cifar10").train(data, budget=f"{seconds}s cpu", progress=False)
    return {
        "seconds a photo": read,
        "megabytes a photo": height * width * channels / 1e6,
        "updates": sum(row.get("updates", 1) for row in run.history),
    }


def main() -> None:
    """Print a table, and keep the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--photos", type=int, default=64)
    parser.add_argument("--seconds", type=int, default=20, help="of processor time to train for")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    rounds: dict[int | None, list[dict[str, Any]]] = {shrink: [] for shrink in SHRINKS}
    with tempfile.TemporaryDirectory() as made:
        take(Path(made), asked.photos)
        for _ in range(asked.rounds):
            for shrink in SHRINKS:
                rounds[shrink].append(once(Path(made), shrink, asked.seconds))
    found = [
        {"shrink": shrink, **{name: statistics.median(row[name] for row in rows) for name in rows[0]}, "rounds": rows}
        for shrink, rows in rounds.items()
    ]
    print("| read | seconds a photo | megabytes a photo | updates |\n|---|---|---|---|")
    for row in found:
        how = "whole" if row["shrink"] is None else f"shrink={row['shrink']}"
        print(f"| {how} | {row['seconds a photo']:.3f} | {row['megabytes a photo']:.2f} | {row['updates']:.0f} |")
    if asked.json:
        asked.json.write_text(json.dumps({**origin(), "photos": asked.photos, "cells": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
