"""Small pictures of samples, many in one file: a page holds a sheet once and shows any part of it anywhere."""

import base64
import html
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from infomax.data import Dataset, Graph, gather
from infomax.report.looks import CLASSES
from infomax.words import many

SIDE = 40  # of a thumbnail, at most: a thousand photographs stay below a megabyte
LARGE = 96  # where a few are looked at, one by one
BLOCK = 32  # full-size pictures in memory at once
QUALITY = 82
GREY = 128  # around a picture that is not square


@dataclass(frozen=True)
class Sheet:
    """Pictures side by side in one file.

    Args:
        uri: the file, as the page holds it.
        side: of each in pixels.
        columns: in a row of the sheet.
        count: how many.
    """

    uri: str
    side: int
    columns: int
    count: int

    def css(self, name: str) -> str:
        """The style of a class whose elements show parts of the sheet."""
        return f".{name} {{ --columns: {self.columns}; background-image: url({self.uri}); }}"

    def part(self, name: str, number: int, said: str, kind: str = "") -> str:
        """HTML of one picture.

        Args:
            name: of the class.
            number: of the picture.
            said: in words, for who cannot see it and for who points at it.
            kind: further classes.
        """
        words = html.escape(said, quote=True)
        place = f"--x:{number % self.columns};--y:{number // self.columns}"
        classes = " ".join(["thumb", name, *(["soft"] if self.side >= 20 else []), *([kind] if kind else [])])
        return f'<span class="{classes}" role="img" aria-label="{words}" title="{words}" style="{place}"></span>'


STYLE = """
.thumb { --size: 56px; display: inline-block; width: var(--size); height: var(--size); border-radius: 3px;
  background-size: calc(var(--size) * var(--columns)) auto; background-repeat: no-repeat; image-rendering: pixelated;
  background-position: calc(var(--size) * -1 * var(--x)) calc(var(--size) * -1 * var(--y)); vertical-align: middle;
  print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.thumb.soft { image-rendering: auto; }
.thumb.large { --size: 96px; }
"""


def sheet(pictures: Sequence[Image.Image]) -> Sheet:
    """Lay pictures of one size out as one file, a JPEG or a PNG, whichever is smaller."""
    side, columns = pictures[0].width, math.ceil(math.sqrt(len(pictures)))
    mode = "L" if all(p.mode == "L" for p in pictures) else "RGB"
    whole = Image.new(mode, (columns * side, math.ceil(len(pictures) / columns) * side))
    for number, picture in enumerate(pictures):
        whole.paste(picture.convert(mode), (number % columns * side, number // columns * side))
    written = []
    for kind, options in (("png", {"optimize": True}), ("jpeg", {"quality": QUALITY, "subsampling": 0})):
        file = io.BytesIO()
        whole.save(file, kind, **options)
        written.append((len(file.getvalue()), kind, file.getvalue()))
    _, kind, data = min(written)
    return Sheet(f"data:image/{kind};base64,{base64.b64encode(data).decode()}", side, columns, len(pictures))


def thumbnails(data: Dataset, rows: Tensor, most: int = SIDE) -> Sheet | None:
    """Small pictures of some samples: images fitted into squares, signals as lines; of other data there are none.

    Args:
        data: the data set.
        rows: of it, n.
        most: pixels on a side, of images; smaller ones stay as they are.

    Example:
        >>> data = Dataset(torch.zeros(5, 8, 8, 1, dtype=torch.uint8))
        >>> made = thumbnails(data, torch.tensor([0, 3]))
        >>> (made.side, made.columns, made.count), made.uri[:22]
        ((8, 2, 2), 'data:image/png;base64,')
    """
    if isinstance(data, Graph) or not (data.is_images or data.is_signals):
        return None
    blocks = [gather(data.images, part) for part in torch.split(rows, BLOCK)]
    if data.is_signals:
        return sheet([lines(sample) for block in blocks for sample in block])
    first = blocks[0][0]
    side = min(most, max(first.shape[:2]))
    return sheet([fitted(sample, side) for block in blocks for sample in block])


def fitted(image: Tensor, side: int) -> Image.Image:
    """An image H x W x C uint8 in a square, its shape kept."""
    shown: Any = image.cpu()
    if image.shape[-1] == 1:
        picture = Image.fromarray(shown[..., 0].numpy())
    elif image.shape[-1] == 3:
        picture = Image.fromarray(shown.contiguous().numpy())
    else:
        picture = Image.fromarray(shown.float().mean(-1).round().to(torch.uint8).numpy())
    if picture.size == (side, side):
        return picture
    scale = side / max(picture.size)
    picture = picture.resize(
        (max(1, round(picture.width * scale)), max(1, round(picture.height * scale))),
        Image.Resampling.NEAREST if scale > 2 else Image.Resampling.BILINEAR,
    )
    square = Image.new(picture.mode, (side, side), GREY if picture.mode == "L" else (GREY,) * 3)
    square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return square


def lines(signal: Tensor, side: int = 64) -> Image.Image:
    """A signal C x L as lines, each channel over its own range."""
    picture = Image.new("RGB", (side, side), "white")
    pen = ImageDraw.Draw(picture)
    for number, channel in enumerate(signal.float().cpu()):
        low, high = float(channel.min()), float(channel.max())
        y = (side - 5) - (channel - low) / ((high - low) or 1.0) * (side - 9)
        x = torch.linspace(2, side - 3, len(channel))
        pen.line(list(zip(x.tolist(), y.tolist(), strict=True)), fill=CLASSES[number % len(CLASSES)], width=1)
    return picture


def names(data: Dataset, rows: Tensor) -> list[str]:
    """What samples are called: their files, or their numbers."""
    what = "node" if isinstance(data, Graph) else "sample"
    return data.names(rows.tolist()) or [f"{what} {row}" for row in rows.tolist()]


def words(data: Dataset, rows: Tensor, most: int = 4) -> list[str] | None:
    """Samples in numbers, where they have no picture."""
    if isinstance(data, Graph):
        degree = torch.bincount(data.edge_index[1], minlength=len(data))[rows].tolist()
        return [many(d, "neighbour") for d in degree]
    if data.is_images or data.is_signals:
        return None
    values = gather(data.images, rows)
    return [
        "(" + ", ".join(f"{v:.3g}" for v in row[:most].tolist()) + (", ..." if len(row) > most else "") + ")"
        for row in values
    ]
