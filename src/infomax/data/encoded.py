"""Images that are decoded when they are used, for sets that memory does not hold.

A set of these is a sequence of H x W x 3 uint8 tensors like any other; what is drawn from it is the same bytes as if all of
it lay in memory.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, NamedTuple, overload

import numpy as np
import torch
from torch import Tensor

from infomax.arrays import is_wide
from infomax.data.machine import decoders
from infomax.errors import DataError, warn

SPREAD = 32
"""Blocks off which a sample of the whole set is read: each costs a read, and that many places tell enough."""

SAMPLE = 2048
"""Images, spread over the set, off which the statistics of a set that is never gone through as a whole are taken."""

LOOKED_AT = 256
"""Images, spread over the set, off which the scale of wide grey values is taken."""

IMAGE_KEYS = ("image", "img", "jpg", "jpeg", "png", "webp", "images", "picture", "photo", "bytes")
"""What the Hub's data sets call an image, the likeliest first."""

SHRINK = 512
"""Pixels that the shorter side of a large picture keeps at least, when it is read at a part of its size; see `Scale`."""

_TRIES = 1000

WIDEST = 65535.0
"""The white of 16 bits."""


class Scale(NamedTuple):
    """At which size pictures are read.

    Args:
        resize: the shorter side is scaled to this many pixels, and the middle square cut out; None: neither.
        shrink: a picture is read at the least of 1, 1/2, 1/4 and 1/8 of its sides that leaves the shorter one at least so
            many pixels, whole: a camera's 4000 x 3000 at 1000 x 750, without decoding the rest of a JPEG. None: at 1.
    """

    resize: int | None = None
    shrink: int | None = SHRINK

    def part(self, width: int, height: int) -> int:
        """The k of the 1/k at which a picture of such sides is read.

        Example:
            >>> [Scale().part(*sides) for sides in ((4000, 3000), (1023, 2000), (1024, 1024), (20_000, 15_000))]
            [4, 1, 2, 8]
            >>> Scale(shrink=None).part(4000, 3000), Scale(resize=800).part(4000, 3000)
            (1, 2)
        """
        if self.shrink is None:
            return 1
        least = max(self.shrink, self.resize or 0)
        return next((k for k in (8, 4, 2) if min(width, height) // k >= least), 1)


AS_USUAL = Scale()


class Encoded(ABC):
    """Images on a disk or behind a network, decoded on use by a few threads.

    Args:
        n: how many there are.
        shape: H, W and C of every image, where they agree: batches are then tensors, else lists.

    `blocks` holds the lengths of the runs of samples that are read at once, where reading one alone would be wasteful;
    `None` where each stands alone. `replaced` names the samples that could not be decoded when they were used.
    """

    blocks: Tensor | None = None

    def __init__(self, n: int, shape: tuple[int, int, int] | None) -> None:
        self.n, self.shape = n, shape
        self.replaced: dict[int, str] = {}

    def __len__(self) -> int:
        """N, the number of images."""
        return self.n

    @overload
    def __getitem__(self, item: int) -> Tensor: ...

    @overload
    def __getitem__(self, item: slice) -> Tensor | list[Tensor]: ...

    def __getitem__(self, item: int | slice) -> Tensor | list[Tensor]:
        """One image, or the batch of a slice."""
        if isinstance(item, slice):
            return self.take(range(self.n)[item])
        return self.decode([range(self.n)[item]])[0]

    def take(self, rows: Sequence[int]) -> Tensor | list[Tensor]:
        """The images of some rows: a tensor B x H x W x 3 where all of the set agree in size, else a list."""
        images = self.decode(rows)
        same = self.shape is not None and all(image.shape == self.shape for image in images)
        return torch.stack(images) if same and images else images

    @abstractmethod
    def decode(self, rows: Sequence[int]) -> list[Tensor]:
        """The images of some rows, each H x W x 3 uint8."""

    def spread(self, count: int) -> Tensor:
        """Up to `count` rows spread evenly over the set; of what is read in blocks, over up to `SPREAD` blocks.

        Returns:
            Ascending int64 rows.
        """
        if self.blocks is None or count >= self.n:
            return torch.linspace(0, self.n - 1, min(count, self.n)).long()
        chosen = torch.linspace(0, len(self.blocks) - 1, min(SPREAD, len(self.blocks), count)).long()
        share, start, lengths = count // len(chosen), self.blocks.cumsum(0) - self.blocks, self.blocks.tolist()
        return torch.cat([start[b] + torch.linspace(0, lengths[b] - 1, min(share, lengths[b])).long() for b in chosen])

    def names(self, rows: Iterable[int]) -> list[str] | None:
        """What samples are called, where the set itself knows it."""
        return None

    @property
    def shaped(self) -> str:
        """What samples hang on beside the content of the files: which part of it they are, and how that is decoded."""
        return ""

    def expect(self, rows: Sequence[int]) -> None:  # noqa: B027  (most sets have nothing to begin)
        """Be told what is wanted soon; reading may begin."""


class Replacing(Encoded):
    """Images that are not gone through before they are used. One that cannot be decoded then is replaced by the next one that
    can: by which depends on the data alone, so that a run that is continued, or several processes, see the same.

    Args:
        n, shape: see `Encoded`.
        on_error: `skip` replaces what cannot be decoded and names it in `replaced`; `stop` raises.
    """

    def __init__(self, n: int, shape: tuple[int, int, int] | None, on_error: str) -> None:
        super().__init__(n, shape)
        self.on_error = on_error
        self.labels: Tensor | None = None
        self.told: dict[int, int] = {}
        """Labels of those that were replaced, as they were told."""

    @abstractmethod
    def one(self, row: int) -> Tensor | str:
        """An image, or why there is none."""

    @abstractmethod
    def place(self, row: int) -> str:
        """Where a sample lies, for error messages."""

    @abstractmethod
    def name(self, row: int) -> str:
        """What a sample is called among its own."""

    def next_whole(self, row: int, why: str) -> Tensor:
        """What takes the place of an image.

        Raises:
            DataError: with `on_error="stop"`, or where none of the thousand that follow can be decoded either.
        """
        if self.on_error == "stop":
            raise DataError(f"{self.place(row)}: cannot be decoded ({why}); mend it, or ask to skip such samples")
        for other in range(row + 1, row + 1 + min(_TRIES, self.n - 1)):
            image = self.one(other % self.n)
            if isinstance(image, Tensor):
                self.replaced[row] = self.name(row)
                if self.labels is not None:
                    self.told.setdefault(row, int(self.labels[row]))
                    self.labels[row] = self.labels[other % self.n]  # what is seen keeps the label that belongs to it
                return image
        raise DataError(f"{self.place(row)}: cannot be decoded ({why}), and none of the samples after it can")


def white(files: Iterable[Path | IO[bytes]]) -> float:
    """The value that is white in the images of more than 8 bits of a set: that of 8, 10, 12, 14 or 16 bits, the least that
    holds all of these files; 1 where they are floats of no more.

    One for a set: by its own maximum each image would be brighter or darker than the next one.

    Args:
        files: where some of the set's images lie, or their bytes.
    """
    found = [range_ for range_ in decoders().map(_brightest, files) if range_ is not None]
    top = max((most for _, most in found), default=WIDEST)
    if top <= 1 and all(mode == "F" for mode, _ in found):
        return 1.0
    return next((float(2**bits - 1) for bits in (8, 10, 12, 14) if top < 2**bits), WIDEST)


def _brightest(file: Path | IO[bytes]) -> tuple[str, float] | None:
    """Mode and greatest value of an image of more than 8 bits; of others, which cost no more than their header, None."""
    from PIL import Image

    try:
        with Image.open(_regular(file)) as image:
            values = np.asarray(image, dtype=np.float64) if is_wide(image.mode) else None
            return None if values is None or not np.isfinite(values).all() else (image.mode, float(values.max()))
    except MemoryError:
        raise
    except Exception:  # who decodes it says what is wrong
        return None


def _regular(file: Path | IO[bytes]) -> Path | IO[bytes]:
    """The same; who opens a pipe or a socket waits for ever."""
    if isinstance(file, Path) and not file.is_file() and file.exists():
        raise OSError("no regular file")
    return file


def decoded(file: Path | IO[bytes], scale: Scale = AS_USUAL, top: float = WIDEST) -> Tensor | str:
    """Decode one image to H x W x 3 uint8, or say why it cannot be.

    Args:
        file: where it lies, or its bytes.
        scale: at which size it is read.
        top: what becomes 255 in an image of more than 8 bits; see `white`.
    """
    found = decoded_at(file, scale, top)
    return found if isinstance(found, str) else found[0]


def decoded_at(file: Path | IO[bytes], scale: Scale, top: float) -> tuple[Tensor, int] | str:
    """The same, with the k of the 1/k of its sides at which it was read."""
    from PIL import Image, ImageOps

    try:
        with Image.open(_regular(file)) as opened:
            width, height = opened.size
            if (read_at := scale.part(width, height)) > 1:
                opened.draft(None, (width // read_at, height // read_at))  # of a JPEG: what is left out is not decoded
            part = 1 if opened.size != (width, height) else read_at
            image = ImageOps.exif_transpose(opened)
            if is_wide(image.mode):
                # Pillow clips wide grey values at 255; a 16-bit scan keeps its contrast this way.
                wide = np.asarray(image, dtype=np.float64)
                if not np.isfinite(wide).all():
                    raise ValueError("it holds NaN or infinite values")
                if wide.max() > top:
                    warn(
                        f"images of more than 8 bits hold values above {top:g}, which a sample of the set does not: "
                        "they are clipped there; scale them to 8 bits beforehand to have it otherwise"
                    )
                image = Image.fromarray(np.rint(wide.clip(0, top) * (255 / top)).astype(np.uint8))
            image = image.convert("RGBA").convert("RGB") if "transparency" in image.info else image.convert("RGB")
            if part > 1:
                image = image.reduce(part)
            if scale.resize is not None:
                image = ImageOps.fit(image, (scale.resize, scale.resize), method=Image.Resampling.BILINEAR)
            return torch.from_numpy(np.array(image)), read_at
    except MemoryError:
        raise
    except Exception as error:  # a damaged file makes Pillow raise almost anything, struct.error for broken EXIF
        return f"{type(error).__name__}: {error}"
