"""Data: named sets, arrays, folders of images, shards, graphs; and the order in which samples are visited.

    data = infomax.data.load("photos/")           # or "digits", "cora", "mine.npz", "shards/*.tar", "hf:user/name"
    for index in infomax.data.batches(len(data), 256, seed=0, epoch=0): ...

Images are decoded once, to uint8, if they fit in memory, otherwise on use; the bytes are the same. The statistics for
normalisation are those of the training split of the same data.
"""

import os
from pathlib import Path
from typing import Any

from infomax.data.arrays import read_array
from infomax.data.encoded import SHRINK, Scale
from infomax.data.folder import EXTENSIONS, OnError, read_folder
from infomax.data.given import of_given
from infomax.data.graphs import citeseer, cora, sbm
from infomax.data.imagenet import imagenet100, tiny_imagenet
from infomax.data.index import default_root
from infomax.data.named import cifar, digits, fashion_mnist, gaussians
from infomax.data.normalisation import statistics
from infomax.data.order import batches, gather
from infomax.data.sets import Dataset, Graph
from infomax.data.streams import is_stream, read_stream
from infomax.errors import ConfigError, DataError, beside, nearest

NAMES = (
    "digits", "gaussians", "fashion-mnist", "cifar10", "cifar100", "tiny-imagenet", "imagenet100", "cora", "citeseer", "sbm",
)  # fmt: skip
"""The data sets known by name."""
_ARRAYS = (".npy", ".npz")

__all__ = ["NAMES", "Dataset", "Graph", "batches", "default_root", "gather", "gaussians", "load", "sbm", "statistics"]


def load(
    data: Any,
    root: str | Path | None = None,
    split: str = "train",
    *,
    resize: int | None = None,
    shrink: int | None = SHRINK,
    on_error: OnError = "skip",
    download: bool = True,
    seed: int = 0,
    hold: bool = True,
    stray: bool = False,
) -> Dataset:
    """Load a data set by name, from an array file, a folder of images or shards; or make one of objects in memory.

    Args:
        data: one of `NAMES`; or the path of an `.npy` or `.npz` file (`images` or `x`, and `labels` or `y`; with
            `edge_index` a graph); or a folder of images (with one folder per class there are labels; flat or nested
            folders give none); or shards, `.parquet` or WebDataset's `.tar`: a folder, a pattern such as
            `shards/train-{000..146}.tar`, or `hf:user/name`. Or an object in memory, as `infomax.train` takes them: an
            array or tensor, a pair `(x, y)` with labels, or anything with a length that returns samples by index (a
            torch Dataset, a list). Objects in memory cannot be combined with `root`, `split`, `resize`, `shrink` and
            `stray`.
        root: folder where the files of a named set are, or are downloaded to; by default the environment variable
            INFOMAX_DATA, else `~/.cache/infomax`.
        split: `train` or `test`. Graphs have a single split; their node ids are in `Graph.train`, `val` and `test`.
        resize: for a folder or shards: resize the shorter side to this many pixels and take the central square; by
            default neither.
        shrink: for a folder or shards: a picture whose shorter side is at least twice this many pixels is read at 1/2,
            1/4 or 1/8 of its sides: the smallest of these that leaves at least this many. It is still read whole; JPEGs
            load about six times as fast. None: full size.
        on_error: for folders, shards and samples by index: `skip` samples that cannot be decoded, and name them, or
            `stop`. A folder leaves such files out (`Dataset.skipped`). Shards are not checked beforehand; there the
            next sample that can be decoded is used instead (`Encoded.replaced`).
        download: whether missing files of fashion-mnist and cifar may be downloaded.
        seed: random seed of the generated sets (gaussians, sbm).
        hold: for a folder: True decodes all images at once if they fit in memory; False decodes the images of a large
            folder on use in any case.
        stray: for a folder of class folders: also keep the few pictures directly in it. There are then no labels.

    Returns:
        A `Dataset`; for cora, citeseer, sbm and data with an `edge_index` a `Graph`.

    Raises:
        DataError: nothing by this name or path, an object that is no data, or data that are missing, empty, corrupt or
            out of range. Its subclass NoSuchSplit: a folder or array file without the requested split.
        ConfigError: an impossible option, or one that cannot be combined with objects in memory.

    Example:
        >>> data = load("digits")
        >>> len(data), data.classes[:3], [round(m, 2) for m in data.mean]
        (1442, ['0', '1', '2'], [0.31])
    """
    if split not in ("train", "test"):
        raise ConfigError(f"split={split!r}: {nearest(split, ['train', 'test'])}")
    if on_error not in ("skip", "stop"):
        raise ConfigError(f"on_error={on_error!r}: {nearest(on_error, ['skip', 'stop'])}")
    if not isinstance(data, str | os.PathLike):
        _refuse_beside(
            root=root,
            split=None if split == "train" else split,
            resize=resize,
            shrink=None if shrink == SHRINK else shrink,
            stray=stray or None,
        )
        return of_given(data, on_error)
    for option, side in (("resize", resize), ("shrink", shrink)):
        if side is not None and side < 1:
            raise ConfigError(f"{option}={side}: give a side in pixels")
    scale = Scale(resize, shrink)
    name = os.fsdecode(data)
    if not name.strip():
        raise DataError("data='': give the name of a data set, or a path ('.' is the folder at hand)")
    folder = Path(root).expanduser() if root is not None else default_root()
    if name not in NAMES and is_stream(name):
        found, again = read_stream(name, split, scale, on_error)
    else:
        found = _read(name, folder, split, scale, on_error, download, seed, hold, stray)
        again = name if name in NAMES else str(Path(name).expanduser().resolve())
        if name in NAMES and not isinstance(found, Graph):
            found.split = split
    if split == "train":
        found.origin = (again, str(folder.resolve()))
        usual = {"resize": None, "shrink": SHRINK, "seed": 0, "stray": False}
        asked = {"resize": resize, "shrink": shrink, "seed": seed, "stray": stray}
        found.read_by = {option: value for option, value in asked.items() if value != usual[option]}
    return found


def _refuse_beside(**given: Any) -> None:
    """Refuse options of data under a name or path beside data that are at hand.

    Raises:
        ConfigError: naming the first.
    """
    for option, value in given.items():
        if value is not None:
            raise ConfigError(
                f"{option}={value!r} is of data given by name or path: leave it out beside data in memory"
            )


def _read(
    name: str,
    folder: Path,
    split: str,
    scale: Scale,
    on_error: OnError,
    download: bool,
    seed: int,
    hold: bool,
    stray: bool,
) -> Dataset:
    match name:
        case "digits":
            return digits(split)
        case "gaussians":
            return gaussians(split=split, seed=seed)
        case "fashion-mnist":
            return fashion_mnist(folder, split, download)
        case "cifar10" | "cifar100":
            return cifar(name, folder, split, download)
        case "cora":
            return cora(folder)
        case "citeseer":
            return citeseer(folder)
        case "tiny-imagenet":
            return tiny_imagenet(folder, split, scale, on_error)
        case "imagenet100":
            return imagenet100(folder, split, scale, on_error)
        case "sbm":
            return sbm(seed=seed)
    path = Path(name).expanduser()
    if path.is_dir():
        return read_folder(path, split, scale, on_error, hold, stray)
    if path.is_file() and path.suffix.lower() in _ARRAYS:
        return read_array(path, split)
    if path.is_file() and path.suffix.lower() in EXTENSIONS:
        raise DataError(f"{path}: one picture: give its folder, or in Python a list: run.embed([path])")
    if path.is_file() and path.suffix.lower() in (".csv", ".tsv", ".txt"):
        mark = "," if path.suffix.lower() == ".csv" else "\\t"
        raise DataError(
            f"{path}: text is not read: give an .npy or .npz file; of a table of numbers np.savez({path.stem + '.npz'!r}, "
            f'x=a[:, :-1], labels=a[:, -1]), a = np.genfromtxt({path.name!r}, delimiter="{mark}", skip_header=1), where '
            "the last column is the label; of labels of files pairs, in Python: im.train(learner, [(path, label), ...]), "
            "run.evaluate(the same)"
        )
    if path.is_file():
        raise DataError(
            f"{path}: a file of this kind is not known: give an .npy or .npz file, or a folder of images; files with labels "
            "in a list are given in Python, as pairs: im.train(learner, [(path, label), ...]), run.evaluate(the same)"
        )
    known = nearest(name, NAMES, beside(path, _is_read))
    raise DataError(f"no data set and no file {name!r}: {known}, or a folder of images or an .npy or .npz file")


def _is_read(path: Path) -> bool:
    """Whether `load` could read what lies here, by its name."""
    return path.is_dir() or path.suffix.lower() in (*_ARRAYS, ".tar", ".parquet")
