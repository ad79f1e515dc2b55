"""Data sets known by name."""

import gzip
import math
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from infomax.data.normalisation import statistics
from infomax.data.sets import Dataset
from infomax.errors import ConfigError, DataError
from infomax.views import rng

_T = TypeVar("_T")

_FASHION = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
]


def digits(split: str = "train") -> Dataset:
    """Load scikit-learn's 1,797 handwritten digits, 8 x 8 grey, values 0..16 scaled to 0..255.

    Every fifth image of each class is test data: 1,442 train, 355 test, the same on every machine.

    Args:
        split: `train` or `test`.

    Example:
        >>> data = digits()
        >>> tuple(data.images.shape), data.images.dtype, len(digits("test"))
        ((1442, 8, 8, 1), torch.uint8, 355)
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = torch.from_numpy(np.rint(bunch.images * (255 / 16)).astype(np.uint8))[..., None]
    labels = torch.from_numpy(bunch.target.astype(np.int64))
    rank = torch.zeros_like(labels)
    for c in range(10):
        rank[labels == c] = torch.arange(int((labels == c).sum()))
    test = rank % 5 == 4
    chosen = ~test if split == "train" else test
    mean, std = statistics(images[~test])
    return Dataset(images[chosen], labels[chosen], [str(c) for c in range(10)], "digits", mean, std)


def gaussians(n: int = 2500, sigma: float = 0.05, split: str = "train", seed: int = 0) -> Dataset:
    """Draw the paper's toy data: five Gaussians on the unit circle (section 4.2).

    `x ~ N(mu_k, sigma^2 I), mu_k = (cos 2 pi k / 5, sin 2 pi k / 5), k = 1..5`, n / 5 points each.

    Args:
        n: number of points, a multiple of 5.
        sigma: standard deviation of each Gaussian.
        split: `train` or `test`; the test split is an independent sample.
        seed: random seed of the sample.

    Raises:
        ConfigError: n is not a positive multiple of 5, or sigma is negative.

    Example:
        >>> data = gaussians(n=500)
        >>> data.images.shape, [round(v, 1) for v in data.images[data.labels == 4].mean(dim=0).tolist()]
        (torch.Size([500, 2]), [1.0, 0.0])
    """
    if n < 5 or n % 5:
        raise ConfigError(f"n={n}: the five Gaussians share the points evenly, give a multiple of 5")
    if sigma < 0:
        raise ConfigError(f"sigma={sigma}: a standard deviation is not negative")
    labels = torch.arange(5).repeat_interleave(n // 5)
    angle = 2 * math.pi * (labels + 1).to(torch.float64) / 5
    centre = torch.stack([angle.cos(), angle.sin()], dim=1)

    def sample(which: str) -> Tensor:
        noise = rng.normal(rng.key(torch.arange(n), seed, 0 if which == "train" else 1), 2)
        return (centre + sigma * noise).to(torch.float32)

    mean, std = statistics(sample("train"))
    return Dataset(sample(split), labels, [f"Gaussian {k}" for k in range(1, 6)], "gaussians", mean, std)


def fashion_mnist(root: Path, split: str = "train", download: bool = True) -> Dataset:
    """Read Fashion-MNIST: 60,000 + 10,000 grey images of 28 x 28, ten classes.

    Reads the four official files, packed or not, from `root/FashionMNIST/raw` or `root` itself; torchvision downloads
    them to `root` where they are missing.

    Args:
        root: the folder to look in.
        split: `train` or `test`.
        download: whether missing files may be downloaded.

    Raises:
        DataError: files that are not there and cannot be downloaded, or are not whole.

    Source: Xiao, Rasul & Vollgraf arXiv:1708.07747.
    """
    found = _find_idx(root)
    if found is None:
        from torchvision.datasets import FashionMNIST

        _download("fashion-mnist", root, download, lambda: FashionMNIST(str(root), download=True))
        found = _find_idx(root)
    if found is None:
        raise DataError(f"fashion-mnist: the download to {root} did not leave the official files; fetch them by hand")
    train = _read_idx(found["train-images-idx3-ubyte"])[..., None]
    mean, std = statistics(train)
    images = train if split == "train" else _read_idx(found["t10k-images-idx3-ubyte"])[..., None]
    labels = _read_idx(found["train-labels-idx1-ubyte" if split == "train" else "t10k-labels-idx1-ubyte"])
    return Dataset(images, labels.to(torch.int64), list(_FASHION), "fashion-mnist", mean, std)


def _find_idx(root: Path) -> dict[str, Path] | None:
    """Paths of the four files in the first folder that has them all."""
    stems = [f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
    for folder in (root / "FashionMNIST" / "raw", root):
        found = {stem: path for stem in stems for path in (folder / stem, folder / f"{stem}.gz") if path.is_file()}
        if len(found) == len(stems):
            return found
    return None


def _read_idx(path: Path) -> Tensor:
    """Read an IDX file of bytes: a magic number 0x000008nn with nn axes, their big-endian lengths, the values."""
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error}); fetch it again") from error
    axes = raw[3] if len(raw) > 4 and raw[:3] == b"\x00\x00\x08" else 0
    shape = tuple(int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(axes))
    head = 4 + 4 * axes
    if axes == 0 or len(raw) != head + math.prod(shape):
        raise DataError(f"{path}: not a whole IDX file of bytes; fetch it again")
    return torch.from_numpy(np.frombuffer(raw, np.uint8, offset=head).reshape(shape).copy())


def cifar(name: str, root: Path, split: str = "train", download: bool = True) -> Dataset:
    """Read CIFAR-10 or CIFAR-100 through torchvision: 50,000 + 10,000 RGB images of 32 x 32.

    Args:
        name: `cifar10` or `cifar100`.
        root: the folder that holds (or will hold) `cifar-10-batches-py` or `cifar-100-python`, or their official
            archive.
        split: `train` or `test`.
        download: whether missing files may be downloaded.

    Raises:
        DataError: files that are not there, whole and official, and cannot be downloaded.

    Source: Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
    """
    from torchvision import datasets

    kind = datasets.CIFAR10 if name == "cifar10" else datasets.CIFAR100
    try:
        train = kind(str(root), train=True, download=False)
    except RuntimeError:  # torchvision's word for files that are missing or whose checksum is wrong
        train = _download(name, root, download, lambda: kind(str(root), train=True, download=True))
    chosen = train if split == "train" else kind(str(root), train=False, download=False)
    mean, std = statistics(torch.from_numpy(train.data))
    return Dataset(torch.from_numpy(chosen.data), torch.tensor(chosen.targets), list(train.classes), name, mean, std)


def _download(name: str, root: Path, allowed: bool, fetch: Callable[[], _T]) -> _T:
    if not allowed:
        raise DataError(
            f"{name}: the official files are not in {root}: give the folder that has them as root, or allow a download"
        )
    try:
        root.mkdir(parents=True, exist_ok=True)
        return fetch()
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"{name}: the official files are not in {root}, and downloading them failed ({reason}): "
            "put them there, or give the folder that has them as root"
        ) from error
