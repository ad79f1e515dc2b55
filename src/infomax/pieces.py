"""A batch in pieces: less memory for the same numbers.

Objectives here compare the samples of a batch with each other, so that adding up the gradients of smaller batches would
be another method. Two things can be cut.

View by view (`Learner.climb`), at no price: where targets come from another branch without gradient (EMA, Twin), they are
all known before the first student is encoded, and the bound is a sum over students. Each view is encoded, its share of the
gradient taken, and its activations let go before the next one. This is done wherever it holds.

The encoding (`InPieces`), where students meet each other's embeddings (Shared, StopGradient): each piece forgets its
activations after the forward pass, and makes them again when its gradient arrives; the objective sees all rows. The
last piece keeps them, as its gradient comes first: for two views one forward pass more, 7/6 of the work.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from infomax.errors import ConfigError

Accumulate = int | Literal["views"]
"""How a batch's encoding is cut: 1 not at all; "views" each view by itself; n > 1 each view in n pieces of its rows."""


def check(accumulate: Accumulate, *branches: nn.Module | None) -> None:
    """Refuse pieces that would change the numbers.

    Raises:
        ConfigError: pieces of rows where a batch norm takes its moments over all of them; or a number below 1.

    Example:
        >>> check(2, nn.Linear(3, 3)); check("views", nn.BatchNorm1d(3))
    """
    if accumulate != "views" and (not isinstance(accumulate, int) or isinstance(accumulate, bool) or accumulate < 1):
        raise ConfigError(f"accumulate={accumulate!r}: give a number of pieces, or 'views'")
    norms = [m for b in branches if b is not None for m in b.modules() if isinstance(m, _BatchNorm)]
    if accumulate not in (1, "views") and norms:
        raise ConfigError(
            f"accumulate={accumulate}: batch norm takes its moments over the whole batch, so pieces of rows would train "
            "something else; take accumulate='views', which is exact with any encoder"
        )


class InPieces(nn.Module):
    """A branch that encodes a view in pieces, each of whose activations live only while its own gradient is taken.

    Args:
        branch: what encodes.
        accumulate: see `Accumulate`.

    Example:
        >>> branch, x = nn.Linear(3, 2), torch.randn(5, 3)
        >>> bool(torch.allclose(InPieces(branch, 2)(x), branch(x)))
        True
    """

    def __init__(self, branch: nn.Module, accumulate: Accumulate) -> None:
        super().__init__()
        self.branch, self.count = branch, 1 if accumulate == "views" else accumulate

    def forward(self, view: Any) -> Tensor:
        """One view -> N x D, none of its activations kept."""
        return self._joined([self._forgetful(part) for part in self._cut(view)])

    def all(self, views: Sequence[Any]) -> list[Tensor]:
        """Every view by itself, N x D each; the last piece of the last one keeps its activations."""
        if not views:
            return []
        before = [self(view) for view in views[:-1]]
        *first, last = self._cut(views[-1])
        return [*before, self._joined([*map(self._forgetful, first), self.branch(last)])]

    def _cut(self, view: Any) -> list[Any]:
        return list(view.chunk(self.count)) if isinstance(view, Tensor) and self.count > 1 else [view]

    def _forgetful(self, part: Any) -> Tensor:
        made: Tensor = checkpoint(
            self.branch, part, use_reentrant=False, context_fn=lambda: (nullcontext(), _unseen(self.branch))
        )
        return made

    @staticmethod
    def _joined(parts: list[Tensor]) -> Tensor:
        return parts[0] if len(parts) == 1 else torch.cat(parts)


def _unseen(module: nn.Module) -> AbstractContextManager[None]:
    """Running statistics see a batch once, and not again when it is encoded again."""

    @contextmanager
    def unseen() -> Iterator[None]:
        kept = [(b, b.clone()) for b in module.buffers()]
        try:
            yield
        finally:
            with torch.no_grad():
                for b, was in kept:
                    b.copy_(was)

    return unseen()
