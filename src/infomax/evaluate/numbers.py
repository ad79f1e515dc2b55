"""What features must be before anything is read off them: finite, and in a type that holds their lengths."""

import torch
from torch import Tensor

from infomax.errors import NumericsError


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
    if not torch.isfinite(z).all():
        raise NumericsError(
            f"{name}: NaN or infinity in {what} of shape {tuple(z.shape)}; look at the data, and at the loss before"
        )
    return wide(z)
