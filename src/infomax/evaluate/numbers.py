"""What features must be before anything is read off them: finite, and in a type that holds their lengths."""

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from infomax.arrays import as_tensor
from infomax.errors import DataError, NumericsError

Rows = Tensor | np.ndarray[Any, Any]
"""Features or labels, from wherever they come."""


def tensors(*rows: Rows) -> list[Tensor]:
    """Arrays as tensors that share their memory; tensors as they are.

    Raises:
        DataError: what is none, such as labels that are words.

    Example:
        >>> [t.dtype for t in tensors(np.zeros(2, np.float32), torch.zeros(2))]
        [torch.float32, torch.float32]
    """
    try:
        return [as_tensor(each) if isinstance(each, np.ndarray) else torch.as_tensor(each) for each in rows]
    except (TypeError, ValueError) as error:
        raise DataError(f"features and labels are arrays or tensors of numbers, labels whole ones: {error}") from error


def wide(z: Tensor) -> Tensor:
    """Numbers in float32 at the least: in half precision lengths overflow, and what guards a row of zeros is itself zero.

    Example:
        >>> wide(torch.ones(1, dtype=torch.float16)).dtype, wide(torch.ones(1, dtype=torch.float64)).dtype
        (torch.float32, torch.float64)
    """
    return z.to(torch.promote_types(z.dtype, torch.float32))


def finite(z: Tensor, name: str, what: str = "an embedding") -> Tensor:
    """Features as `wide` has them.

    Args:
        z: features.
        name: of who asks.
        what: they are.

    Raises:
        NumericsError: NaN or infinity among them.
    """
    # a finite sum has finite terms, and is 30 times as fast as looking at each
    if not (z.sum().isfinite() or z.isfinite().all()):
        raise NumericsError(
            f"{name}: NaN or infinity in {what} of shape {tuple(z.shape)}; look at the data, and at the loss before"
        )
    return wide(z)


def unit(z: Tensor) -> Tensor:
    """Rows of length 1, however long they were: `... D`; a row of zeros stays.

    Each is divided by its largest number first: of rows beyond 1e19 the squares overflow, and `F.normalize` takes those below
    1e-12 for none.

    Example:
        >>> unit(torch.tensor([[3e30, 4e30], [3e-30, 4e-30], [0.0, 0.0]]))
        tensor([[0.6000, 0.8000],
                [0.6000, 0.8000],
                [0.0000, 0.0000]])
    """
    most = z.abs().amax(-1, keepdim=True)
    return F.normalize(z / torch.where(most > 0, most, 1.0), dim=-1)


def binomial_error(accuracy: float, n: int) -> float:
    """The standard error of a share of n test samples; of none or all of them, where that would be 0, Wilson's half-width.

    Args:
        accuracy: between 0 and 1.
        n: test samples.

    Example:
        >>> binomial_error(0.5, 25), binomial_error(1.0, 4)
        (0.1, 0.1)
    """
    return math.sqrt(accuracy * (1 - accuracy) / n) if 0 < accuracy < 1 else 0.5 / (n + 1)
