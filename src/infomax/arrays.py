"""NumPy's arrays as tensors."""

from typing import Any

import numpy as np
import torch
from torch import Tensor


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
