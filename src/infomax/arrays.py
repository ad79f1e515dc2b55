"""NumPy's arrays and PIL's pictures as tensors."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from infomax.errors import DataError

if TYPE_CHECKING:
    from PIL import Image


def as_tensor(array: np.ndarray[Any, Any]) -> Tensor:
    """The same memory; a copy of what torch cannot hold: what is turned over, not to be written to, or of another byte order.

    Raises:
        TypeError: what is no number.

    Example:
        >>> as_tensor(np.arange(3)[::-1]).tolist()
        [2, 1, 0]
    """
    array = array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
    held = array.flags.writeable and min(array.strides, default=0) >= 0
    return torch.from_numpy(array if held else array.copy())


def is_wide(mode: str) -> bool:
    """Whether a picture of such a mode holds grey values of more than 8 bits."""
    return mode in ("I", "F") or mode.startswith("I;16")


def of_picture(picture: "Image.Image") -> Tensor:
    """What a picture shows: H x W x 1 uint8 of a grey or black-and-white one, H x W x 3 of any other, transparency left out.

    Raises:
        DataError: a picture of more than 8 bits, whose white is known of a whole set alone.

    Example:
        >>> from PIL import Image
        >>> [tuple(of_picture(Image.new(mode, (3, 2))).shape) for mode in ("L", "1", "RGBA")]
        [(2, 3, 1), (2, 3, 1), (2, 3, 3)]
    """
    if is_wide(picture.mode):
        raise DataError(
            f"a picture of mode {picture.mode}: bring it to 8 bits, all of the set alike, or give the files"
        )
    if picture.mode == "La":  # of premultiplied alpha, which Pillow turns into LA alone
        picture = picture.convert("LA")
    if picture.mode != "L":
        several = (
            picture.convert("RGBA") if "transparency" in picture.info else picture
        )  # of a palette Pillow warns else
        picture = several.convert("L" if picture.mode == "1" else "RGB")
    return torch.from_numpy(np.array(picture)).reshape(picture.height, picture.width, -1)
