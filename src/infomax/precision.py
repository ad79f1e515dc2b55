"""In which numbers a step computes: the four places where that matters, as full precision has them; and what a step asks of
a GPU, which works through what the host has queued and is not to be waited for."""

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
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


def begins() -> None:
    """Tell what was compiled into CUDA graphs that the results of the step before may be overwritten."""
    if (
        "torch._inductor.cudagraph_trees" in sys.modules
    ):  # else nothing was (torch's optimizers load its compiler anyway)
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]


def held_back(optimizer: Optimizer, bad: Tensor) -> bool:
    """Have the device itself leave out the coming update of the weights where `bad` is true, if this optimizer can.

    The update may then be queued before the host has looked. Torch's fused optimizers can (with momentum, where
    `build_optimizer` made them: their own first update would make momenta of what it skips).
    """
    if not (bad.is_cuda and optimizer.state and all(group.get("fused") for group in optimizer.param_groups)):
        return False
    optimizer.found_inf = bad.to(torch.float32)  # type: ignore[attr-defined]  # read by every fused optimizer
    return True
