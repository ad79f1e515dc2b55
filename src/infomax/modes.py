"""Modules put into evaluation mode for a while, every part of them left as it was: some hold a batch norm there on purpose."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def modes_kept(*modules: nn.Module) -> Iterator[None]:
    """Leave every part of some modules in the mode it had, whatever is done to them.

    Example:
        >>> net = nn.Sequential(nn.BatchNorm1d(2).eval(), nn.Dropout())
        >>> with modes_kept(net):
        ...     _ = net.train()
        >>> [part.training for part in net]
        [False, True]
    """
    modes = {part: part.training for module in modules for part in module.modules()}
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode


@contextmanager
def resting(*modules: nn.Module) -> Iterator[None]:
    """Have modules in evaluation mode, and every part of them in its own mode again after that.

    Example:
        >>> net = nn.Sequential(nn.BatchNorm1d(2).eval(), nn.Dropout())
        >>> with resting(net):
        ...     net.training
        False
        >>> net.training, [part.training for part in net]
        (True, [False, True])
    """
    with modes_kept(*modules):
        for module in modules:
            module.eval()
        yield
