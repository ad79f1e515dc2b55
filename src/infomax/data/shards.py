"""Samples in shards: tar files of the WebDataset kind and parquet files, local or remote, read in blocks.

A shard is a stream only to who reads it as one. Here every sample has a number: an index, made once, says in which block of
which shard it lies (headers of a tar, footers of parquet; no pixels). An epoch visits the blocks at random and mixes the
samples of a window of blocks (`infomax.data.order.blockwise`), so that the order is a function of (seed, epoch), a run
continues at any sample by reading its block, and nothing about the position has to be stored.
"""

import io
import os
import re
from abc import ABC, abstractmethod
from bisect import bisect
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import IO, Any, cast

from torch import Tensor

from infomax.data import index
from infomax.data.content import of_files
from infomax.data.encoded import AS_USUAL, LOOKED_AT, SAMPLE, WIDEST, Replacing, Scale, decoded, white
from infomax.data.machine import decoders, readers
from infomax.data.normalisation import statistics
from infomax.data.order import WINDOW_BLOCKS, WINDOW_ROWS
from infomax.data.sets import Dataset
from infomax.errors import DataError
from infomax.extras import getting

Block = list[bytes | None]
"""The encoded images of one block; None: the sample has none."""

_COMMIT = re.compile(r"hf://[^@]+@[0-9a-f]{40}/")

_STAMPS = ("size", "etag", "content-md5", "mtime", "last-modified", "lastmodified", "updated", "created")
"""What servers, by way of fsspec, say of a file's version; each says some of it."""


class Shards(Replacing, ABC):
    """Samples that are read block by block; the blocks of the last two windows stay in memory, encoded.

    Args:
        files: the shards.
        lengths: samples of each block, in the order of the samples.
        scale: at which size images are read.
        on_error: see `Replacing`.
    """

    blocks: Tensor

    def __init__(self, files: Sequence[str], lengths: Tensor, scale: Scale = AS_USUAL, on_error: str = "skip") -> None:
        super().__init__(int(lengths.sum()), None, on_error)
        self.files = files
        same = os.path.commonprefix([*files])  # noqa: RUF071  (addresses are no paths)
        self.folder = same[: max(same.rfind("/"), same.rfind(os.sep)) + 1]
        self.blocks, self.scale = lengths, scale
        self.top = WIDEST
        self._first: list[int] = (lengths.cumsum(0) - lengths).tolist()
        self._ends: list[int] = lengths.cumsum(0).tolist()
        self._room = 2 * max(WINDOW_ROWS, WINDOW_BLOCKS * int(lengths.max())) + 2 * int(lengths.max())
        self._held: OrderedDict[int, Future[Block]] = OrderedDict()
        self._rows_held = 0
        self._lock = Lock()

    @property
    def shaped(self) -> str:
        """How images are decoded."""
        return repr((*self.scale, self.top))

    @abstractmethod
    def read(self, block: int) -> Block:
        """The encoded images of a block."""

    @abstractmethod
    def place(self, row: int) -> str:
        """Where a sample lies: its shard, and what it is called there."""

    def name(self, row: int) -> str:
        """The same below the folder that holds all the shards, as files of a folder are named."""
        return self.place(row)[len(self.folder) :]

    def names(self, rows: Iterable[int]) -> list[str]:
        """What samples are called."""
        return [self.name(row) for row in rows]

    def decode(self, rows: Sequence[int]) -> list[Tensor]:
        """The images of some rows, each H x W x 3 uint8.

        Raises:
            DataError: a shard that cannot be read; a sample that cannot be decoded, with `on_error="stop"`, or where none of
                the thousand that follow can be either.
        """
        return self.decode_raw(rows, self.raw(rows))

    def decode_raw(self, rows: Sequence[int], raw: Sequence[bytes | None]) -> list[Tensor]:
        """As `decode`, of encoded images that have been read."""
        images = list(decoders().map(self._decoded, raw))
        return [self.next_whole(row, i) if isinstance(i, str) else i for row, i in zip(rows, images, strict=True)]

    def expect(self, rows: Sequence[int]) -> None:
        """Begin to read the blocks of some rows."""
        for block in dict.fromkeys(self._block_of(row) for row in rows):
            self._block(block)

    def _block_of(self, row: int) -> int:
        return bisect(self._ends, row)

    def _block(self, block: int) -> Future[Block]:
        with self._lock:
            if block in self._held:
                self._held.move_to_end(block)
                return self._held[block]
            begun = self._held[block] = readers().submit(self.read, block)
            self._rows_held += int(self.blocks[block])
            while self._rows_held > self._room:
                oldest, _ = self._held.popitem(last=False)
                self._rows_held -= int(self.blocks[oldest])
            return begun

    def raw(self, rows: Sequence[int]) -> Block:
        """The encoded images of some rows; None: a row has none."""
        places = [self._block_of(row) for row in rows]
        begun = {block: self._block(block) for block in dict.fromkeys(places)}  # all, before the first is waited for
        return [begun[block].result()[row - self._first[block]] for row, block in zip(rows, places, strict=True)]

    def one(self, row: int) -> Tensor | str:
        """One image, or why there is none."""
        return self._decoded(self.raw([row])[0])

    def _decoded(self, raw: bytes | None) -> Tensor | str:
        return "the sample holds no image" if raw is None else decoded(io.BytesIO(raw), self.scale, self.top)


def as_dataset(
    shards: Shards,
    labels: Tensor | None,
    classes: list[str] | None,
    name: str,
    of_train: Dataset | None = None,
) -> Dataset:
    """A data set of shards; size and statistics are those of `SAMPLE` images spread over 32 blocks.

    Args:
        shards: the images.
        labels: one a sample, or `None`.
        classes: name of each label, or `None`.
        name: what was asked for.
        of_train: the train split, where this is another one: its statistics count.
    """
    shards.labels = labels
    rows, looked_at = shards.spread(SAMPLE).tolist(), shards.spread(LOOKED_AT).tolist()
    wanted = rows if of_train is not None else sorted({*rows, *looked_at})
    held = dict(zip(wanted, shards.raw(wanted), strict=True))  # for both: large blocks do not all stay in memory
    if of_train is not None:
        shards.top = cast(Shards, of_train.images).top
    else:
        shards.top = white([io.BytesIO(raw) for raw in map(held.__getitem__, looked_at) if raw])
    some = shards.decode_raw(rows, [held[row] for row in rows])
    shapes = {image.shape for image in some}
    if len(shapes) == 1:
        shards.shape = cast(tuple[int, int, int], tuple(shapes.pop()))
    mean, std = (of_train.mean, of_train.std) if of_train is not None else statistics(some)
    made = Dataset(shards, labels, classes, name, mean, std)
    made.files_known_by = of_files(shards.files, shards.folder)
    return made


def opened(file: str) -> IO[bytes]:
    """A file by its path, or by an address that fsspec knows (https, s3, hf, memory, ...).

    Raises:
        DataError: a file that cannot be opened, or an address and no fsspec.
    """
    with _one_line(file):
        return Path(file).open("rb") if "://" not in file else cast(IO[bytes], _fsspec(file).open(file, "rb").open())


def identities(files: Sequence[str]) -> list[Any]:
    """What tells whether files have changed: length and times of change, or, behind an address, what its server says.

    Raises:
        DataError: as `opened`.
    """

    def identity(file: str) -> Any:
        if "://" not in file:
            return index.identity(file)
        if _COMMIT.match(file):  # never changes, and asking takes a while
            return file
        with _one_line(file):
            system, path = _fsspec(file).core.url_to_fs(file)
            told = {str(key).lower().replace("_", "-"): str(value) for key, value in system.info(path).items()}
        return file, [told.get(key) for key in _STAMPS]

    return list(readers().map(identity, files))


def _fsspec(file: str) -> Any:
    try:
        import fsspec
    except ImportError as error:
        raise DataError(f"{file}: needs fsspec: {getting('streams')}") from error
    return fsspec


@contextmanager
def _one_line(file: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, ImportError) as error:
        raise DataError(f"{file}: cannot be opened ({' '.join(str(error).split())})") from error
