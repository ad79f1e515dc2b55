"""Views of a graph: some edges are dropped, some feature columns are set to zero."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from infomax.errors import ConfigError, DataError
from infomax.views import rng


class HasGraph(Protocol):
    """Anything with node features `x` (N x F) and `edge_index` (2 x E)."""

    @property
    def x(self) -> Tensor:
        """Node features, N x F."""
        ...

    @property
    def edge_index(self) -> Tensor:
        """Edges, 2 x E."""
        ...


@dataclass(frozen=True)
class GraphViews:
    """Drop each edge with probability p and set each feature column to zero with probability q, independently for each view.

    As in BGRL, a masked column is zero at every node, and the two directions of an undirected edge are dropped
    independently unless `undirected=True`.

    Args:
        edge_drop: p of each view.
        feature_mask: q of each view; as many as `edge_drop`.
        undirected: drop (i, j) and (j, i) together.

    Raises:
        ConfigError: a number that is not a probability in [0, 1), or tuples of unequal length.

    Example:
        >>> x, edge_index = torch.ones(4, 6), torch.tensor([[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]])
        >>> views = GraphViews(edge_drop=(0.2, 0.5), feature_mask=(0.0, 0.5), undirected=True)
        >>> (x1, e1), (x2, e2) = views((x, edge_index), seed=1)
        >>> bool((x1 == x).all()), e2.shape[1] <= 6
        (True, True)

    Source: Thakoor et al. arXiv:2102.06514 (BGRL), Zhu et al. arXiv:2006.04131 (the augmentations).
    """

    edge_drop: tuple[float, ...] = (0.2, 0.4)
    feature_mask: tuple[float, ...] = (0.3, 0.4)
    undirected: bool = False

    def __post_init__(self) -> None:
        if not self.edge_drop or len(self.edge_drop) != len(self.feature_mask):
            raise ConfigError(
                f"edge_drop={self.edge_drop} and feature_mask={self.feature_mask}: give one probability a view in each"
            )
        if not all(0.0 <= p < 1.0 for p in (*self.edge_drop, *self.feature_mask)):
            raise ConfigError(
                f"edge_drop={self.edge_drop}, feature_mask={self.feature_mask}: probabilities lie in [0, 1)"
            )

    def __call__(
        self,
        graph: tuple[Tensor, Tensor] | HasGraph,
        index: Tensor | Sequence[int] | None = None,
        seed: int = 0,
        epoch: int = 0,
    ) -> list[tuple[Tensor, Tensor]]:
        """Return one augmented graph per view.

        Args:
            graph: (x of N x F, edge_index of 2 x E int64), or anything with these two as attributes.
            index: not used (a graph is one sample); present so that all views have the same call.
            seed: seed of the run.
            epoch: epoch of the run.

        Returns:
            A list of (x, edge_index).

        Raises:
            DataError: tensors of the wrong shape.
        """
        x, edges = graph if isinstance(graph, tuple) else (graph.x, graph.edge_index)
        if x.ndim != 2 or edges.ndim != 2 or edges.shape[0] != 2:
            raise DataError(
                f"a graph of x {tuple(x.shape)} and edge_index {tuple(edges.shape)}: "
                "give x of N x F and edge_index of 2 x E"
            )
        views = []
        for view, (p, q) in enumerate(zip(self.edge_drop, self.feature_mask, strict=True)):
            columns = rng.key(torch.arange(x.shape[1], device=x.device), seed, epoch, view, 0)
            kept_columns = rng.uniform(columns, 1)[:, 0] >= q
            a, b = (edges.amin(dim=0), edges.amax(dim=0)) if self.undirected else (edges[0], edges[1])
            kept_edges = rng.uniform(rng.key(a * (1 << 31) + b, seed, epoch, view, 1), 1)[:, 0] >= p
            views.append((x * kept_columns.to(x.dtype), edges[:, kept_edges]))
        return views
