"""A folder of images, decoded once."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from infomax.data.sets import Dataset, statistics
from infomax.errors import ConfigError, DataError, NoSuchSplit

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".jp2"})

OnError = Literal["skip", "stop"]


def read_folder(path: Path, split: str = "train", resize: int | None = None, on_error: OnError = "skip") -> Dataset:
    """Read every image below a folder to uint8 RGB.

    Where every image lies in a folder directly below the top one, and there are several, these folders are the
    classes; any other layout, flat or nested, has no labels. Where there are folders `train` and `test` (or `val`),
    they are the splits; a folder `train` and nothing else is the whole. A real folder is read once, however many links
    lead to it.

    Args:
        path: the folder.
        split: `train` or `test`.
        resize: scale the shorter side to this many pixels and cut the middle square; `None` keeps the images as they
            are.
        on_error: `skip` leaves out files that cannot be decoded and names them in `Dataset.skipped`; `stop` raises at
            the first.

    Returns:
        A `Dataset` whose images are one tensor where all sizes agree, else a list.

    Raises:
        DataError: no images, none that can be decoded, or a corrupt file with `on_error="stop"`. NoSuchSplit: no such
            split.
    """
    if on_error not in ("skip", "stop"):
        raise ConfigError(f"on_error={on_error!r}: give 'skip' or 'stop'")
    if resize is not None and resize < 1:
        raise ConfigError(f"resize={resize}: give a side in pixels")
    train_root, root = _split_roots(path, split)
    files = list(_image_files(root))
    if not files:
        kinds = " ".join(sorted(EXTENSIONS))
        raise DataError(f"{root}: no images in this folder or below it (looked for {kinds})")
    images, kept, skipped = _decode_all(files, root, resize, on_error)

    labels, classes = _labels_by_folder(root, [files[i] for i in kept])
    if train_root == root and classes is not None and len(classes) == 1:
        labels, classes = None, None  # one folder of pictures inside another tells nothing apart
    if train_root != root:
        train_files = list(_image_files(train_root))
        train_images, train_kept, _ = _decode_all(train_files, train_root, resize, on_error)
        mean, std = statistics(train_images)
        known = _labels_by_folder(train_root, [train_files[i] for i in train_kept])[1]
        if labels is not None and classes is not None and known is not None:
            labels, classes = _renumber(labels, classes, known, root)
    else:
        mean, std = statistics(images)
    return Dataset(_stack(images), labels, classes, str(path), mean, std, tuple(skipped))


def _split_roots(path: Path, split: str) -> tuple[Path, Path]:
    """The folder of the train split and of the split asked for."""
    train = path / "train"
    tests = [path / name for name in ("test", "val") if (path / name).is_dir()]
    if train.is_dir() and tests:
        return train, train if split == "train" else tests[0]
    if split != "train":
        raise NoSuchSplit(f"{path}: no {split} split: needs folders train and {split} below it, or give another folder")
    if train.is_dir() and all(entry == train or _no_samples(entry) for entry in path.iterdir()):
        return train, train
    return path, path


def _no_samples(entry: Path) -> bool:
    return entry.name.startswith(".") or not (entry.is_dir() or entry.suffix.lower() in EXTENSIONS)


def _image_files(root: Path) -> Iterator[Path]:
    seen: set[str] = set()
    tops = [str(root)]
    for (
        top
    ) in tops:  # the real folders first, then those that links lead to: a link never takes the place of its target
        for folder, subfolders, names in os.walk(top):
            if os.path.realpath(folder) in seen:
                subfolders.clear()
                continue
            seen.add(os.path.realpath(folder))
            subfolders[:] = sorted(s for s in subfolders if not s.startswith("."))
            tops += [link for s in subfolders if os.path.islink(link := os.path.join(folder, s))]
            for name in sorted(names):
                if os.path.splitext(name)[1].lower() in EXTENSIONS and not name.startswith("."):
                    yield Path(folder) / name


def _labels_by_folder(root: Path, files: list[Path]) -> tuple[Tensor | None, list[str] | None]:
    below = [file.relative_to(root).parts[:-1] for file in files]
    if any(len(parts) != 1 for parts in below):
        return None, None
    names = [parts[0] for parts in below]
    classes = sorted(set(names))
    number = {name: i for i, name in enumerate(classes)}
    return torch.tensor([number[name] for name in names]), classes


def _renumber(labels: Tensor, classes: list[str], known: list[str], root: Path) -> tuple[Tensor, list[str]]:
    unknown = [c for c in classes if c not in known]
    if unknown:
        raise DataError(f"{root}: class {unknown[0]!r} is not among the training classes ({', '.join(known)})")
    return torch.tensor([known.index(c) for c in classes])[labels], known


def _decode_all(
    files: list[Path], root: Path, resize: int | None, on_error: OnError
) -> tuple[list[Tensor], list[int], list[str]]:
    images: list[Tensor] = []
    kept: list[int] = []
    skipped: list[str] = []
    waiting = iter(enumerate(files))
    with ThreadPoolExecutor(max_workers=min(16, os.cpu_count() or 1)) as pool:
        # In blocks, so that a stop comes at once and only a block of decoded images waits.
        while block := list(islice(waiting, 512)):
            for (i, file), result in zip(block, pool.map(lambda item: _decode(item[1], resize), block), strict=True):
                if isinstance(result, Tensor):
                    images.append(result)
                    kept.append(i)
                elif on_error == "stop":
                    raise DataError(
                        f"{file}: cannot be decoded ({result}); mend or remove it, or ask to skip such files"
                    )
                else:
                    skipped.append(str(file.relative_to(root)))
    if not images:
        raise DataError(f"{root}: none of its {len(files)} images can be decoded (the first: {skipped[0]})")
    return images, kept, skipped


def _decode(file: Path, resize: int | None) -> Tensor | str:
    """Decode one file to H x W x 3 uint8, or say why it cannot be."""
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as opened:
            image = ImageOps.exif_transpose(opened)
            if image.mode in ("I", "F") or image.mode.startswith("I;16"):
                # Pillow clips wide grey values at 255; a 16-bit scan keeps its contrast this way.
                wide = np.asarray(image, dtype=np.float64)
                top = 255.0 if wide.max() <= 255 else 65535.0
                image = Image.fromarray(np.rint(wide.clip(0, top) * (255 / top)).astype(np.uint8))
            image = image.convert("RGBA").convert("RGB") if "transparency" in image.info else image.convert("RGB")
            if resize is not None:
                image = ImageOps.fit(image, (resize, resize), method=Image.Resampling.BILINEAR)
            return torch.from_numpy(np.array(image))
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, Image.DecompressionBombError) as error:
        return f"{type(error).__name__}: {error}"


def _stack(images: list[Tensor]) -> Tensor | list[Tensor]:
    return torch.stack(images) if len({image.shape for image in images}) == 1 else images
