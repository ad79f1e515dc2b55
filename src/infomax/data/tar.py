"""WebDataset shards: tar files in which the members of a sample share their name up to the first dot.

000017.jpg  000017.cls  000017.seg.png                  image and label of one sample; what else it has is left out
2024-05-01 09.03.33.png  2024-05-01 09.04.10.png        no image's name ends at the first dot: each is a sample
photos/cat/1.jpg  photos/dog/1.jpg                      no .cls anywhere: folders side by side are the classes
"""

import hashlib
import posixpath
import tarfile
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from infomax.data import index
from infomax.data.encoded import AS_USUAL, Scale
from infomax.data.folder import EXTENSIONS, OnError
from infomax.data.labels import of_numbers, of_one_folder, of_words
from infomax.data.machine import readers
from infomax.data.sets import Dataset
from infomax.data.shards import Block, Shards, as_dataset, identities, opened
from infomax.errors import DataError, warn
from infomax.progress import meter
from infomax.words import many

BLOCK = 64
"""Samples read at once: some megabytes in one piece, and 64 places of the data in a window."""

_NO_LABEL = -1


class Tars(Shards):
    """Tar shards, by their index.

    Args:
        files: the shards.
        shard: of each sample, its shard's number.
        offset: of each sample, where its image begins in the shard.
        size: of each sample, the bytes of its image; 0: it has none.
        members: of each sample, the name of its image; one after the other, each with a NUL behind it, in UTF-8.
        scale, on_error: see `Shards`.
    """

    def __init__(
        self,
        files: Sequence[str],
        shard: np.ndarray,
        offset: np.ndarray,
        size: np.ndarray,
        members: np.ndarray,
        scale: Scale = AS_USUAL,
        on_error: OnError = "skip",
    ) -> None:
        self.shard, self.offset, self.size = shard, offset, size
        self.members, self._member_ends = members, np.flatnonzero(members == 0)
        lengths = [
            min(BLOCK, count - start)
            for count in np.bincount(shard, minlength=len(files)).tolist()
            for start in range(0, count, BLOCK)
        ]
        super().__init__(files, torch.tensor(lengths), scale, on_error)

    @property
    def shaped(self) -> str:
        """How images are decoded, and of which members."""
        return super().shaped + hashlib.sha256(self.members.tobytes()).hexdigest()

    def read(self, block: int) -> Block:
        """One piece of one shard."""
        first = self._first[block]
        rows = slice(first, first + int(self.blocks[block]))
        offset, size = self.offset[rows], self.size[rows]
        there = size > 0
        if not there.any():
            return [None] * len(size)
        start, stop = int(offset[there].min()), int((offset + size)[there].max())
        name = self.files[self.shard[first]]
        try:
            with opened(name) as file:
                file.seek(start)
                piece = file.read(stop - start)
        except OSError as error:
            raise DataError(f"{name}: cannot be read at byte {start} ({error})") from error
        return [
            piece[a - start : a - start + n] if n else None for a, n in zip(offset.tolist(), size.tolist(), strict=True)
        ]

    def place(self, row: int) -> str:
        """Shard and member of a sample."""
        start = self._member_ends[row - 1] + 1 if row else 0
        member = self.members[start : self._member_ends[row]].tobytes().decode("utf-8", "backslashreplace")
        return f"{self.files[self.shard[row]]}/{member}"


def read_tars(
    files: list[str],
    train: list[str],
    name: str,
    image_key: str | None = None,
    scale: Scale = AS_USUAL,
    on_error: OnError = "skip",
) -> Dataset:
    """Read WebDataset shards: images under `jpg`, `png`, ..., labels, where every sample has one, under `cls`; where none has,
    the folders of the images are the classes, if there are several and all lie side by side.

    Args:
        files: the shards of the split asked for.
        train: those of the train split, whose statistics count.
        name: what was asked for.
        image_key: the ending of the images, such as `png`; by default any ending of an image.
        scale: at which size images are read.
        on_error: `skip` or `stop` at what cannot be read.

    Raises:
        DataError: a shard that is no plain tar file, no images, or a class that train does not have.
    """
    found = _index(files, image_key, on_error)
    if len(found["size"]) == 0:
        seen = ", ".join(found["endings"].tolist()) or "none"
        wanted = f"under {image_key!r}" if image_key else "of a known kind"
        raise DataError(f"{name}: no images {wanted} in its {len(files)} tar shards (endings seen: {seen})")
    places = found["shard"], found["offset"], found["size"]
    shards = Tars(files, *places, found["members"], scale, on_error)
    of_train = None if train == files else read_tars(train, train, name, image_key, scale, on_error)
    labels, classes, folders = of_numbers(found["label"], name), None, []
    if not any(ending.rpartition(".")[2] == "cls" for ending in found["endings"].tolist()):
        folders = found["folders"].tolist()
        labels, classes = _by_folder(folders, found["folder"], of_train, name)
    if count := int(found["beside"].sum()):
        warn(
            f"{name}: {many(count, 'image')} beside another of the same name up to the first dot, left out "
            f"(the first: {found['first'][0]}): to have these, name their ending behind a #"
        )
    some = as_dataset(shards, labels, classes, name, of_train)
    counts = np.bincount(found["shard"], minlength=len(files))
    if labels is None and len(folders) == 1 and folders[0]:
        some.unlabelled = of_one_folder(folders[0].rpartition("/")[2])
    some.skipped = tuple(
        f"what follows {shards.name(end - 1)}" if count else file
        for file, count, end, cut in zip(files, counts.tolist(), counts.cumsum().tolist(), found["cut"], strict=True)
        if cut
    )
    some.why_skipped = ("cut short",) * len(some.skipped)
    return some


def _by_folder(
    folders: list[str], folder: np.ndarray, of_train: Dataset | None, name: str
) -> tuple[torch.Tensor | None, list[str] | None]:
    """Labels and classes by the folders of the images; see `read_tars`."""
    known = None if of_train is None else of_train.classes
    if known is None and (of_train is not None or len(folders) < 2):
        return None, None
    beside = {parent for parent, _, _ in (path.rpartition("/") for path in folders)}
    if "" in folders or len(beside) > 1:
        if of_train is None:
            warn(
                f"{name}: no labels: no sample has a .cls, and the folders in the tar are classes only where all images lie in "
                f"folders side by side, unlike {folders[0] or 'the top'!r} and {folders[-1]!r}: pack it so, or give each image "
                "a .cls"
            )
        return None, None
    words, classes = of_words(np.array([path.rpartition("/")[2] for path in folders]), known, name)
    return words[torch.from_numpy(folder)], classes


def _index(files: list[str], image_key: str | None, on_error: OnError) -> index.Arrays:
    """Shard, offset, size, label, name and folder of every sample, read from the headers alone."""

    def make() -> index.Arrays:
        reading = readers().map(lambda file: _headers(file, image_key), files)
        parts = list(meter(reading, total=len(files), desc="index", unit="shard", delay=2, leave=False))
        samples = [(number, *sample) for number, part in enumerate(parts) for sample in part.samples]
        columns = np.array([sample[:4] for sample in samples], np.int64).reshape(-1, 4).T
        names = [sample[4] for sample in samples]
        folders, folder = np.unique([_folder(name) for name in names], return_inverse=True)
        return dict(zip(("shard", "offset", "size", "label"), columns, strict=True)) | {
            "members": np.frombuffer(
                "".join(f"{name}\0" for name in names).encode("utf-8", "surrogateescape"), np.uint8
            ),
            "folders": folders.astype(np.str_),
            "folder": folder.astype(np.int64),
            "endings": np.array(sorted({ending for part in parts for ending in part.endings}), np.str_),
            "cut": np.array([part.cut for part in parts], np.bool_),
            "beside": np.array([len(part.beside) for part in parts], np.int64),
            "first": np.array([one for part in parts for one in part.beside][:1], np.str_),
        }

    found = index.cached("tars", [image_key, *identities(files)], make)
    if found["cut"].any() and on_error == "stop":
        file = files[int(found["cut"].argmax())]
        raise DataError(f"{file}: the shard is cut short; fetch it again, or ask to skip what is missing")
    return found


class _Shard(NamedTuple):
    """What the headers of a shard tell: offset, size, label and name of every sample, the endings seen, names of images that
    are left out since they lie beside another, and whether the shard is cut short."""

    samples: list[tuple[int, int, int, str]]
    endings: set[str]
    beside: list[str]
    cut: bool


def _headers(file: str, image_key: str | None) -> _Shard:
    samples: list[tuple[int, int, int, str]] = []
    endings: set[str] = set()
    beside: list[str] = []
    key, cut = "", False
    images: list[tarfile.TarInfo] = []
    labels: dict[str, tuple[str, bytes]] = {}

    def chosen() -> list[tarfile.TarInfo]:
        """Images of the key: the one whose name is the key itself, else each, as in names with dots of their own."""
        own = [image for image in images if _stem(image) == key]
        beside.extend(image.name for image in images if own and image is not own[0])
        return own[:1] or images

    def end(chosen: list[tarfile.TarInfo]) -> None:
        for image in chosen:
            label = labels.get(_stem(image)) or labels.get(key)
            told = _label(file, *label) if label else _NO_LABEL
            samples.append((image.offset_data, image.size, told, image.name))

    with opened(file) as raw:
        length = raw.seek(0, 2)
        raw.seek(0)
        try:
            with tarfile.open(fileobj=raw, mode="r:") as tar:
                for member in _members(tar):
                    folder, slash, base = member.name.rpartition("/")
                    stem, _, ending = base.partition(".")
                    if not member.isfile() or not stem:
                        continue
                    if folder + slash + stem != key:
                        end(chosen())
                        key, images, labels = folder + slash + stem, [], {}
                    cut = member.offset_data + member.size > length
                    if cut:
                        break
                    ending = ending.lower()
                    endings.add(ending)
                    kind = ending.rpartition(".")[2]
                    if ending == image_key or (not image_key and f".{kind}" in EXTENSIONS):
                        images.append(member)
                    elif kind == "cls":
                        raw.seek(member.offset_data)
                        labels[_stem(member)] = member.name, raw.read(member.size)
                raw.seek(tar.offset)  # a cut within a header ends the members without a word
                cut = cut or raw.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE)
        except tarfile.TarError as error:
            if not endings:
                raise DataError(
                    f"{file}: not a plain tar file ({error}); one that is compressed cannot be read from its middle: unpack "
                    "it, gunzip for .gz"
                ) from error
            cut = True
        whole = chosen()
        if cut:  # the last may lack its label, and with it the whole set would
            labelled = bool(labels) or any(label != _NO_LABEL for _, _, label, _ in samples)
            whole = [image for image in whole[:-1] if not labelled or _stem(image) in labels]
        end(whole)
    return _Shard(samples, endings, beside, cut)


def _members(tar: tarfile.TarFile) -> Any:
    while (member := tar.next()) is not None:
        tar.members = []  # type: ignore[attr-defined]  # else it keeps every header
        yield member


def _folder(name: str) -> str:
    """The folder of a member, without what `tar` writes before it; undecodable bytes spelt out."""
    return posixpath.normpath(f"/{name}").rpartition("/")[0].lstrip("/").encode("utf-8", "backslashreplace").decode()


def _stem(member: tarfile.TarInfo) -> str:
    return member.name.rpartition(".")[0]


def _label(file: str, member: str, text: bytes) -> int:
    try:
        return int(text)
    except ValueError:
        raise DataError(f"{file}: {member} holds {text[:20]!r}: a .cls is a whole number") from None
