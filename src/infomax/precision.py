"""In which numbers a step computes: the four places where that matters, as full precision has them."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import Tensor
from torch.optim import Optimizer


class Precision:
    """Full precision; subclass it for another (see `infomax.training.devices`).

    Example:
        >>> with Precision().forward(): 1 + 1
        2
    """

    scales = False  # whether gradients are scaled, so that an overflow is expected, and repaired by the scaler

    def forward(self) -> AbstractContextManager[Any]:
        """The context of the forward pass."""
        return nullcontext()

    def backward(self, loss: Tensor) -> None:
        """Fill the gradients."""
        loss.backward()  # type: ignore[no-untyped-call]

    def unscale(self, optimizer: Optimizer) -> None:
        """Bring the gradients to the loss's own scale."""

    def step(self, optimizer: Optimizer) -> None:
        """Move the weights."""
        optimizer.step()

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold beside the weights: numbers by name."""
        return {}

    def load(self, state: dict[str, Any]) -> None:
        """Take up a state."""


FULL = Precision()
"""Full precision, which has no state."""
