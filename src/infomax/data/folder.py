"""A folder of images: gone through once, then held decoded where memory allows, else decoded on use."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from infomax.data import index
from infomax.data.content import of_files
from infomax.data.encoded import AS_USUAL, LOOKED_AT, WIDEST, Encoded, Scale, decoded, decoded_at, white
from infomax.data.labels import of_one_folder
from infomax.data.machine import budget, decoders
from infomax.data.normalisation import count_levels, moments
from infomax.data.sets import Dataset
from infomax.errors import DataError, NoSuchSplit, warn
from infomax.progress import meter, whole
from infomax.words import many

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".jp2"})

UNREAD = frozenset({
    ".heic", ".heif", ".avif", ".jxl", ".jpe", ".jfif", ".tga", ".psd", ".exr", ".hdr", ".dcm", ".nii",
    ".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw",
})  # fmt: skip
"""Endings of other pictures, which are not read: a folder that holds some says so."""

FEW = 4096
"""Files that are decoded at once even where only some are wanted: about as many as a page shows."""

DELAY = 5.0  # seconds, after which decoding shows a bar
TRAIN_FOLDERS = ("train", "training")
TEST_FOLDERS = ("test", "testing", "val", "validation", "valid", "dev")
"""Folders that are the splits, in small letters or capitals: the first of either that there is."""

STRAY = 0.01
"""Share of the images up to which those beside the folders of classes, directly in the top folder, are left out; one at any
rate."""

OnError = Literal["skip", "stop"]


class Files(Encoded):
    """Image files that were all decoded once, and are decoded again when they are used.

    Args:
        files: the images.
        shape: H, W and C of every image, where they agree.
        scale: at which size they are read.
        top: see `decoded`.
    """

    def __init__(
        self,
        files: Sequence[Path],
        shape: tuple[int, int, int] | None,
        scale: Scale = AS_USUAL,
        top: float = WIDEST,
    ) -> None:
        super().__init__(len(files), shape)
        self.files, self.scale, self.top = files, scale, top

    @property
    def shaped(self) -> str:
        """How files are decoded."""
        return repr((*self.scale, self.top))

    def decode(self, rows: Sequence[int]) -> list[Tensor]:
        """The images of some rows.

        Raises:
            DataError: a file that could be decoded when the folder was gone through, and no longer can.
        """
        images = []
        asked = (self.files[row] for row in rows)
        for row, image in zip(
            rows, decoders().map(lambda file: decoded(file, self.scale, self.top), asked), strict=True
        ):
            if isinstance(image, str):
                raise DataError(f"{self.files[row]}: changed since the run began, and cannot be decoded now ({image})")
            images.append(image)
        return images


class _Listing(NamedTuple):
    """What lies below a folder: images, folders that cannot be read and why, and pictures of other kinds."""

    files: list[Path]
    closed: dict[str, str]
    unread: Counter[str]


class Found(NamedTuple):
    """What going through the files of a split found."""

    images: Tensor | list[Tensor] | Files
    kept: list[int]
    skipped: list[str]
    reasons: list[str]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    parts: dict[int, int]


def holds_images(path: Path) -> bool:
    """Whether there is an image in a folder or below it."""
    return next(_image_files(path, [], Counter()), None) is not None


def read_folder(
    path: Path,
    split: str = "train",
    scale: Scale = AS_USUAL,
    on_error: OnError = "skip",
    hold: bool = True,
    stray: bool = False,
) -> Dataset:
    """Read every image below a folder as uint8 RGB.

    Where every image lies in a folder directly below the top one, and there are several, these folders are the
    classes; of images beside them, directly in the top folder, one, or up to 1 % of all, are left out and named in a
    warning, whatever the data are wanted for. Any other layout, flat or nested, has no labels. Where there are folders
    `train` (`training`) and `test` (or `testing`, `val`, `validation`, `valid`, `dev`: the first of them that there is), in
    capitals too, they are the splits; a folder `train` and nothing else is the whole. A real folder is read once, however
    many links lead to it. Pictures of other kinds (`UNREAD`: HEIC, raw) are left out, and counted in a warning.

    Every file is decoded once, to know which are whole and what the statistics are. Where all of them together fit
    `budget()` they stay in memory; else they are decoded again when they are used. What was found of many files, or of some
    that do not fit, is kept in an index, so that whoever decodes on use begins at once. Both give the same bytes.

    Args:
        path: the folder.
        split: `train` or `test`.
        scale: at which size the images are read.
        hold: whether all images are wanted; else those of more than `FEW` files are decoded on use whatever memory holds.
        stray: whether images beside folders of classes stay.
        on_error: `skip` leaves out files that cannot be decoded, and folders that cannot be opened, and names them in
            `Dataset.skipped`; `stop` raises at the first.

    Returns:
        A `Dataset` whose images are one tensor where all sizes agree, else a list; or `Files`.

    Raises:
        DataError: no images, none that can be decoded, or a corrupt file with `on_error="stop"`. NoSuchSplit: no such
            split.
    """
    train_root, root, two = _split_roots(path, split)
    files, closed, unread = _listing(root, on_error)
    if unread:
        warn(f"{root}: {_told(unread)}")
    files, left = (files, []) if stray else _without_stray(root, files)
    if left:
        told = ", ".join(printable(file.name) for file in left[:5]) + (" ..." if len(left) > 5 else "")
        warn(
            f"{root}: {many(len(left), 'picture')} directly in it left out, since the other {len(files):,} lie in folders of "
            f"classes: {told}; to have {'it' if len(left) == 1 else 'them'}, move {'it' if len(left) == 1 else 'them'} there"
        )
    train_files = files if train_root == root else _listing(train_root, on_error).files
    if train_root != root and not stray:
        train_files = _without_stray(train_root, train_files)[0]
    some = torch.linspace(0, len(train_files) - 1, min(LOOKED_AT, len(train_files))).long().tolist()
    top = white(train_files[i] for i in some)
    found = read_files(files, root, scale, on_error, keep=hold or len(files) <= FEW, top=top)

    labels, classes = _labels_by_folder(root, files, found.kept)
    mean, std, known = found.mean, found.std, classes
    if train_root != root:
        of_train = read_files(train_files, train_root, scale, on_error, keep=False, top=top)
        mean, std = of_train.mean, of_train.std
        known = _labels_by_folder(train_root, train_files, of_train.kept)[1]
    if root == train_root and classes is not None and labels is not None:
        _warn_of_empty(classes, labels, root)
    if classes is None and root == path and (train := _named(path, TRAIN_FOLDERS)):
        warn(
            f"{path}: its folder {train.name} and what lies beside it are taken together, without labels: call the held-out "
            f"folder test or val, or give {train}"
        )
    unlabelled = ""
    if known is not None and len(known) == 1:
        labels, classes, unlabelled = None, None, of_one_folder(known[0])
    elif labels is not None and classes is not None and known is not None:
        labels, classes = _renumber(labels, classes, known, root)
    names = [printable(os.path.relpath(files[i], root)) for i in found.kept]
    made = Dataset(found.images, labels, classes, str(path), mean, std, (*closed, *found.skipped), files=names,
                   split=split if two else None, unlabelled=unlabelled)  # fmt: skip
    made.why_skipped, made.parts = (*closed.values(), *found.reasons), found.parts
    made.files_known_by = of_files([files[i] for i in found.kept], root)
    return made


def known_by(path: Path) -> str | None:
    """What the train split of a folder is known by if every image in it can be decoded, without decoding one; see
    `infomax.data.content`.

    Raises:
        DataError: no images.
    """
    root = _split_roots(path, "train")[0]
    return of_files(_without_stray(root, _listing(root, "skip").files)[0], root)


def unlabelled_for_sure(path: Path, *, tested: bool = False) -> str | None:
    """Why a folder of images has no labels, whatever can be decoded of it, as `Dataset.unlabelled` says it: fewer than two
    folders of classes. None: it may have some.

    Args:
        path: the folder.
        tested: it is to be tested on: of one with two splits nothing is sure then, as the classes are those of the other.
    """
    root, _, two = _split_roots(path, "train")
    if tested and two:
        return None
    inside = [file.relative_to(root).parts for file in _image_files(root, [], Counter())]
    classes = {parts[0] for parts in inside if len(parts) == 2}
    if not inside or len(classes) > 1:
        return None
    return of_one_folder(printable(classes.pop())) if classes and all(len(parts) == 2 for parts in inside) else ""


def _split_roots(path: Path, split: str) -> tuple[Path, Path, bool]:
    """The folder of the train split and of the split asked for, and whether there are two."""
    train, test = _named(path, TRAIN_FOLDERS), _named(path, TEST_FOLDERS)
    if train and test:
        return train, train if split == "train" else test, True
    if split != "train":
        raise NoSuchSplit(f"{path}: no {split} split: needs folders train and {split} below it, or give another folder")
    if train and all(entry == train or _no_samples(entry) for entry in path.iterdir()):
        return train, train, False
    return path, path, False


def _named(path: Path, names: Sequence[str]) -> Path | None:
    """The folder of the first of some names that there is; as it is spelt, else in any letters."""
    try:
        folders = sorted(entry.name for entry in os.scandir(path) if entry.is_dir())
    except OSError:
        return None  # whoever lists it says why
    found = (
        [one for one in folders if one == name] or [one for one in folders if one.lower() == name] for name in names
    )
    return next((path / some[0] for some in found if some), None)


def _hidden(name: str) -> bool:
    """Whether a file or folder is no one's data: hidden, or what a Mac puts beside the files of a zip."""
    return name.startswith(".") or name == "__MACOSX"


def _no_samples(entry: Path) -> bool:
    return _hidden(entry.name) or not (entry.is_dir() or entry.suffix.lower() in EXTENSIONS)


def _listing(root: Path, on_error: OnError) -> _Listing:
    errors: list[OSError] = []
    unread: Counter[str] = Counter()
    files = list(_image_files(root, errors, unread))
    closed = {
        f"{Path(str(error.filename)).relative_to(root)}{os.sep}": why_unread(f"{type(error).__name__}: {error}")
        for error in errors
    }
    if errors and (on_error == "stop" or not files):
        raise DataError(
            f"{errors[0].filename}: this folder cannot be opened ({errors[0].strerror}); make it readable, or ask to skip "
            "such folders"
        )
    if not files:
        kinds = " ".join(sorted(EXTENSIONS))
        others = f"; {_told(unread)}" if unread else ""
        raise DataError(f"{root}: no images in this folder or below it (looked for {kinds}){others}")
    return _Listing(files, closed, unread)


def _told(unread: Counter[str]) -> str:
    """What is said of pictures of kinds that are not read, and what to do.

    Example:
        >>> _told(Counter({".heic": 2, ".dng": 1})).split(":")[0]
        '3 pictures of kinds that are not read (2 .heic, 1 .dng)'
    """
    kinds = ", ".join(f"{n:,} {kind}" for kind, n in unread.most_common())
    of = "a kind that is" if len(unread) == 1 else "kinds that are"
    how = f"magick mogrify -format jpg *{unread.most_common(1)[0][0]}"
    return f"{many(unread.total(), 'picture')} of {of} not read ({kinds}): convert them to JPEG or PNG, as by: {how}"


def _image_files(root: Path, errors: list[OSError], unread: Counter[str]) -> Iterator[Path]:
    seen: set[str] = set()
    tops = [str(root)]
    for (
        top
    ) in tops:  # the real folders first, then those that links lead to: a link never takes the place of its target
        for folder, subfolders, names in os.walk(top, onerror=errors.append):
            if os.path.realpath(folder) in seen:
                subfolders.clear()
                continue
            seen.add(os.path.realpath(folder))
            subfolders[:] = sorted(s for s in subfolders if not _hidden(s))
            tops += [link for s in subfolders if os.path.islink(link := os.path.join(folder, s))]
            for name in sorted(names):
                if _hidden(name):
                    continue
                kind = os.path.splitext(name)[1].lower()
                if kind in EXTENSIONS:
                    yield Path(folder) / name
                elif kind in UNREAD:
                    unread[kind] += 1


def _without_stray(root: Path, files: list[Path]) -> tuple[list[Path], list[Path]]:
    """The images, and those that are left out: one, or at most `STRAY` of them, directly in the top folder, where all others
    lie directly in folders of classes, two of them or more.

    By the names alone, whatever can be decoded: what data are known by must not hang on that.
    """
    depths = [len(file.relative_to(root).parts) for file in files]
    stray = [file for file, depth in zip(files, depths, strict=True) if depth == 1]
    classed = [file for file, depth in zip(files, depths, strict=True) if depth == 2]
    if len(stray) > max(1, STRAY * len(files)) or max(depths) > 2 or len({file.parent for file in classed}) < 2:
        return files, []
    return classed, stray


def _labels_by_folder(root: Path, files: list[Path], kept: list[int]) -> tuple[Tensor | None, list[str] | None]:
    """Labels of the files that are kept, and the classes of all: one whose every file is broken stays a class."""
    names = [
        printable(parts[0]) if len(parts) == 2 else None for parts in (file.relative_to(root).parts for file in files)
    ]
    elsewhere = [i for i in kept if names[i] is None]
    classes = sorted({name for name in names if name is not None})
    if elsewhere:
        if len(classes) > 1 and 2 * len(elsewhere) < len(kept):
            stray = printable(str(files[elsewhere[0]].relative_to(root)))
            lie = "does not lie" if len(elsewhere) == 1 else "do not lie"
            warn(
                f"{root}: no labels, since {len(elsewhere):,} of {len(kept):,} images {lie} directly in a class's folder "
                f"(the first: {stray}); move or remove what is astray, and the {len(classes)} folders are the classes"
            )
        return None, None
    number = {name: i for i, name in enumerate(classes)}
    return torch.tensor([number[name] for name in (names[i] for i in kept) if name is not None]), classes


def _warn_of_empty(classes: list[str], labels: Tensor, root: Path) -> None:
    """Name the classes of which no image is kept, which take a number all the same."""
    used = set(labels.tolist())
    empty = [repr(name) for i, name in enumerate(classes) if i not in used]
    if not empty:
        return
    names = ", ".join(empty[:5]) + (" ..." if len(empty) > 5 else "")
    said = f"class {names} has" if len(empty) == 1 else f"{len(empty)} classes ({names}) have"
    warn(
        f"{root}: {said} no readable image, and a number all the same: mend the files, or remove what is no class's folder"
    )


def _renumber(labels: Tensor, classes: list[str], known: list[str], root: Path) -> tuple[Tensor, list[str]]:
    number = {name: i for i, name in enumerate(known)}
    used = [classes[i] for i in sorted(set(labels.tolist()))]  # a folder of which nothing is kept asks for no class
    if unknown := [name for name in used if name not in number]:
        raise DataError(
            f"{root}: class {unknown[0]!r} is not among the training classes ({', '.join(known)}): "
            "rename or remove its folder, or give it images to be learnt from, too"
        )
    return torch.tensor([number.get(name, -1) for name in classes])[labels], known


def read_files(
    files: list[Path], root: Path, scale: Scale, on_error: OnError, *, keep: bool, top: float = WIDEST
) -> Found:
    """Decode every file once: keep the images while they fit, count their levels, note what is broken.

    What was found is read from the index instead, where the images are not to be kept or did not fit the last time either.

    Args:
        files: the images, in the order of the samples.
        root: what their names are told from.
        scale, on_error: see `read_folder`.
        keep: whether the images are wanted, or only what is known of them.
        top: see `decoded`.

    Raises:
        DataError: none that can be decoded, or a corrupt file with `on_error="stop"`.
    """
    most = budget()
    place = index.place("folder", [*scale, top, *map(index.identity, files)])
    known, images = index.read(place), None
    if known is None or _may_pass(known) or (keep and known["bytes"] <= most):
        images, known = _decode_all(files, scale, on_error, most if keep else 0, top)
    broken = known["broken"].tolist()
    if broken and on_error == "stop":
        raise DataError(
            f"{files[broken[0]]}: cannot be decoded ({known['reasons'][0]}); mend or remove it, or ask to skip such files"
        )
    if (known["bytes"] > most or len(files) > FEW) and not _may_pass(known):
        index.write(place, known)
    kept = sorted(set(range(len(files))) - set(broken))
    skipped = [printable(str(files[i].relative_to(root))) for i in broken]
    if not kept:
        raise DataError(f"{root}: of {many(len(files), 'image')} none can be decoded (the first: {skipped[0]})")
    shape = (*known["shape"].tolist(),) if len(known["shape"]) else None
    if images is None:
        held: Tensor | list[Tensor] | Files = Files([files[i] for i in kept], shape, scale, top)
    else:
        held = torch.stack(images) if shape else images
    reasons = [why_unread(why, files[i]) for i, why in zip(broken, known["reasons"].tolist(), strict=True)]
    parts = dict(known["parts"].tolist()) if "parts" in known else {}  # not there in an index of before
    return Found(held, kept, skipped, reasons, *moments(known["levels"]), parts)


def why_unread(error: str, file: Path | None = None) -> str:
    """Why a file or folder could not be read, in two or three words, by the error that was raised.

    Example:
        >>> why_unread("OSError: image file is truncated (7 bytes not processed)"), why_unread("error: 4 bytes are needed")
        ('cut short', 'damaged')
    """
    kind, _, said = error.partition(":")
    if kind == "PermissionError":
        return "no permission"
    if kind == "FileNotFoundError":
        return "a link to nothing"
    if kind == "UnidentifiedImageError":
        empty = file is not None and file.is_file() and file.stat().st_size == 0
        return "empty" if empty else "not an image"
    if kind == "EOFError" or "truncated" in said.lower():
        return "cut short"
    if of_system := re.search(r"\[(?:Errno|WinError) -?\d+\] ([^:']+)", said):
        return of_system[1].strip().lower()
    return "no regular file" if "no regular file" in said else "damaged"


def printable(name: str) -> str:
    r"""A file's name with its undecodable bytes spelt out, which no page, table or terminal would take as they are.

    Example:
        >>> printable(os.fsdecode(bytes([97, 255])))
        'a\\udcff'
    """
    return name.encode("utf-8", "backslashreplace").decode()


def _may_pass(known: index.Arrays) -> bool:
    """Whether the system refused a file (no permission, a disk that failed): the file itself may well be whole.

    Not of a link to nothing: that there was nothing is part of the index's name.
    """
    refused = re.compile(r"(?!FileNotFoundError)\w+: \[(Errno|WinError) ")
    return any(map(refused.match, known["reasons"].tolist()))


def _decode_all(
    files: list[Path], scale: Scale, on_error: OnError, most: int, top: float
) -> tuple[list[Tensor] | None, index.Arrays]:
    """Every image, or `None` where they are more than `most` bytes; and what was found of them."""

    images: list[Tensor] | None = []
    broken, reasons, size = [], [], 0
    shapes: set[torch.Size] = set()
    parts: Counter[int] = Counter()
    levels = np.zeros((3, 256))
    waiting = iter(enumerate(files))
    with meter(total=len(files), desc="decode", unit="image", delay=DELAY, leave=False) as bar:
        # In blocks, so that a stop comes at once and only a block of decoded images waits.
        while block := list(islice(waiting, 512)):
            for (i, _), found in zip(
                block, decoders().map(lambda item: decoded_at(item[1], scale, top), block), strict=True
            ):
                bar.update()
                if isinstance(found, str):
                    broken.append(i)
                    reasons.append(found)
                    continue
                image, part = found
                parts[part] += 1
                size += image.numel()
                shapes.add(image.shape)
                levels += count_levels(image)
                if images is not None:
                    images.append(image)
                    images = images if size <= most else None
            if broken and on_error == "stop":
                break
        whole(bar, DELAY)
    return images, {
        "broken": np.array(broken, np.int64),
        "reasons": np.array(reasons, np.str_),
        "shape": np.array(next(iter(shapes)) if len(shapes) == 1 else [], np.int64),
        "levels": levels,
        "bytes": np.array(size),
        "parts": np.array(sorted(parts.items()), np.int64),
    }
