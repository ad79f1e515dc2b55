"""The real images that stand in for the paper's data, from packs of JPEG files to arrays that `--data` takes.

    python benchmarks/packs.py ../shared/data OUT    # writes OUT/cifar10-jpeg-copy.npz and others

A pack is an .npz with one JPEG header, the bodies back to back, their offsets, labels and the classes' names. CIFAR-10 is a
JPEG copy of quality 75, not the official images; Tiny-ImageNet is brought to 32 px, Imagenette to 128 px.
"""

import argparse
import io
from pathlib import Path

import numpy as np
from PIL import Image

PACKS = {
    "cifar10-jpeg-copy": "cifar10_jpeg_all.npz",
    "tiny-imagenet-32": "tinyimagenet32_jpeg.npz",
    "imagenette-128": "imagenette128_jpeg.npz",
}


def unpacked(path: Path, step: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Every `step`-th image of a pack, its label, whether it is for training, and the names of the classes."""
    with np.load(path) as pack:
        head, ends, body = pack["header"].tobytes(), pack["offsets"], pack["body"].tobytes()
        rows = np.arange(0, len(ends) - 1, step)
        files = (io.BytesIO(head + body[ends[i] : ends[i + 1]]) for i in rows)
        images = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
        return images, pack["labels"][rows].astype(np.int64), rows < int(pack["n_train"]), pack["classes"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("packs", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", nargs="*", choices=list(PACKS), default=list(PACKS))
    parser.add_argument("--step", type=int, default=1, help="take every so-many-th image, for less memory and time")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    for name in asked.only:
        images, labels, train, classes = unpacked(asked.packs / PACKS[name], asked.step)
        parts = {"x_train": images[train], "y_train": labels[train], "x_test": images[~train], "y_test": labels[~train]}
        np.savez(asked.out / f"{name}.npz", classes=classes.astype(str), **parts)
        print(f"{asked.out / name}.npz: {train.sum():,} + {(~train).sum():,} images of {images.shape[1]} px")


if __name__ == "__main__":
    main()
