"""Named sets that are folders of ImageNet: Tiny-ImageNet as its official archive unpacks, and ImageNet-100."""

from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

import torch

from infomax.data.content import of_files
from infomax.data.encoded import AS_USUAL, Scale
from infomax.data.folder import OnError, read_files
from infomax.data.sets import Dataset
from infomax.errors import DataError

_TINY_URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
_ENDINGS = (".jpeg", ".jpg", ".png")


def tiny_imagenet(root: Path, split: str = "train", scale: Scale = AS_USUAL, on_error: OnError = "skip") -> Dataset:
    """Read Tiny-ImageNet-200: 100,000 + 10,000 RGB images of 64 x 64; the official validation set is the test split.

    Args:
        root: the folder that holds `tiny-imagenet-200`, or is it: `wnids.txt`, `train/n*/images`, `val/images` and
            `val/val_annotations.txt`.
        split: `train` or `test`.
        scale, on_error: see `infomax.data.folder.read_folder`.

    Raises:
        DataError: files that are not there, saying where they are to be had, or are not whole.

    Source: Le & Yang, "Tiny ImageNet visual recognition challenge", 2015.
    """
    base, classes, train = _tiny(root)
    chosen = train if split == "train" else _annotated(base / "val", classes)
    return _read("tiny-imagenet", base, classes, train, chosen, scale, on_error)


def imagenet100(root: Path, split: str = "train", scale: Scale = AS_USUAL, on_error: OnError = "skip") -> Dataset:
    """Read ImageNet-100: the customary hundred classes out of an ImageNet folder, about 127,000 + 5,000 images.

    Args:
        root: the folder that holds `imagenet` (or `ILSVRC2012`, or `imagenet100`), or is it: `train/n*` and `val/n*`; the
            other classes may be there too.
        split: `train` or `test`, which is ImageNet's validation set.
        scale, on_error: see `infomax.data.folder.read_folder`.

    Raises:
        DataError: no such folder, or one without all hundred classes.

    Source: the list of Tian et al. arXiv:1906.05849.
    """
    base, classes, train = _hundred(root)
    chosen = train if split == "train" else _by_class(base / "val", classes)
    return _read("imagenet100", base, classes, train, chosen, scale, on_error)


def imagenet100_classes() -> list[str]:
    """The hundred classes, as WordNet ids, in order.

    Example:
        >>> classes = imagenet100_classes()
        >>> len(set(classes)), classes[0]
        (100, 'n01558993')
    """
    return sorted((files("infomax.data") / "imagenet100.txt").read_text().split())


def known_by(name: str, root: Path) -> str | None:
    """What the train split of one of these sets is known by if every image in it can be decoded, without decoding one; see
    `infomax.data.content`.

    Args:
        name: `tiny-imagenet` or `imagenet100`.
        root: as of their readers.

    Raises:
        DataError: as they do.
    """
    base, _, train = FOUND[name](root)
    return of_files([file for file, _ in train], base)


_Found = tuple[Path, list[str], list[tuple[Path, int]]]


def _tiny(root: Path) -> _Found:
    """Where Tiny-ImageNet lies, its classes, and its train split."""
    base = next((path for path in (root / "tiny-imagenet-200", root) if (path / "wnids.txt").is_file()), None)
    if base is None:
        raise DataError(
            f"tiny-imagenet: no tiny-imagenet-200/wnids.txt in {root}: fetch {_TINY_URL} and unpack it there, or give the "
            "folder that holds it as root"
        )
    classes = (base / "wnids.txt").read_text().split()
    return base, classes, _by_class(base / "train", classes, "images")


def _hundred(root: Path) -> _Found:
    """Where ImageNet-100 lies, its classes, and its train split."""
    classes = imagenet100_classes()
    places = [root / name for name in ("imagenet", "imagenet100", "ILSVRC2012")] + [root]
    base = next((path for path in places if (path / "train" / classes[0]).is_dir()), None)
    if base is None:
        raise DataError(
            f"imagenet100: no imagenet/train/{classes[0]} in {root}: ImageNet comes from https://image-net.org after "
            "signing its terms; unpack it to folders train/n* and val/n*, and give the folder that holds it as root"
        )
    return base, classes, _by_class(base / "train", classes)


FOUND = {"tiny-imagenet": _tiny, "imagenet100": _hundred}


def _by_class(folder: Path, classes: list[str], below: str = ".") -> list[tuple[Path, int]]:
    """The images of each class's folder, with its number."""
    missing = [name for name in classes if not (folder / name / below).is_dir()]
    if missing:
        raise DataError(
            f"{folder}: {len(missing)} of {len(classes)} classes are missing, the first {missing[0]}: unpack all"
        )
    return [(file, i) for i, name in enumerate(classes) for file in _images((folder / name / below).iterdir())]


def _images(found: Iterable[Path]) -> list[Path]:
    return sorted(file for file in found if file.suffix.lower() in _ENDINGS and not file.name.startswith("."))


def _annotated(folder: Path, classes: list[str]) -> list[tuple[Path, int]]:
    """The images of `images`, their classes by `val_annotations.txt`: name, class and a box on each line."""
    table = folder / "val_annotations.txt"
    if not table.is_file():
        raise DataError(f"{table} is missing: unpack the whole archive")
    number = {name: i for i, name in enumerate(classes)}
    rows = [line.split("\t") for line in table.read_text().splitlines() if line.strip()]
    bad = next((row for row in rows if len(row) < 2 or row[1] not in number), None)
    if bad is not None:
        raise DataError(f"{table}: the line {' '.join(bad)[:60]!r} names no image and one of the classes")
    return [(folder / "images" / row[0], number[row[1]]) for row in sorted(rows)]


def _read(
    name: str,
    base: Path,
    classes: list[str],
    train: list[tuple[Path, int]],
    chosen: list[tuple[Path, int]],
    scale: Scale,
    on_error: OnError,
) -> Dataset:
    if not train or not chosen:
        raise DataError(f"{name}: its folders in {base} hold no images")
    found = read_files([file for file, _ in chosen], base, scale, on_error, keep=True)
    of_train = found if chosen is train else read_files([file for file, _ in train], base, scale, on_error, keep=False)
    labels = torch.tensor([label for _, label in chosen])[torch.tensor(found.kept)]
    names = [str(chosen[i][0].relative_to(base)) for i in found.kept]
    made = Dataset(found.images, labels, classes, name, of_train.mean, of_train.std, tuple(found.skipped), files=names)
    made.why_skipped, made.parts = tuple(found.reasons), found.parts
    made.files_known_by = of_files([chosen[i][0] for i in found.kept], base)
    return made
