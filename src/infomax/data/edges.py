"""A graph by the names that torch_geometric gives to its parts: `x`, `edge_index`, `y`, `train_mask`."""

import re
from collections.abc import Mapping
from typing import Any

from infomax.data.sets import Graph
from infomax.errors import DataError, warn

_FEATURES, _LABELS = ("x", "X", "features"), ("y", "Y", "labels", "label")
_UNUSED = ("edge_attr", "edge_weight")
_OF_A_SPLIT = re.compile(r"(?:^|_)(?:train|val|valid|test)(?:_|$)")
"""In a name: that it may be of a part of a split."""


def of_parts(parts: Mapping[str, Any], name: str) -> Graph:
    """A graph of its parts; of the nodes to learn from, to choose by and to report on, masks or ids.

    Args:
        parts: `x` and `edge_index`; where known `y` (or `labels`), `classes`, and `train_mask`, `val_mask`, `test_mask` (or
            `train`, `val`, `test`).
        name: what was asked for.

    Raises:
        DataError: no features of the nodes, or what `Graph` refuses.

    Warns:
        UserWarning: weights of edges, or parts of a split by other names, which are not used.

    Example:
        >>> import numpy as np
        >>> of_parts({"x": np.eye(3), "edge_index": np.array([[0, 1], [1, 0]]), "train_mask": np.eye(3)[0] > 0}, "mine")
        Graph('mine', 3 nodes of 3, edge_index 2 x 2, no labels, 1 train)
    """

    def part(*names: str) -> Any:
        return next((parts[one] for one in names if parts.get(one) is not None), None)

    x, edges, y, classes = part(*_FEATURES), part("edge_index"), part(*_LABELS), part("classes")
    if edges is None:
        raise DataError(f"{name}: a graph without edges: give edge_index, 2 x E whole numbers (of none 2 x 0)")
    if x is None:
        raise DataError(
            f"{name}: edge_index, but no features of the nodes: name them x, N x F numbers (of nodes without any, their "
            "degrees, say), or make an infomax.data.Graph(x, edge_index, y)"
        )
    masks = ("train_mask", "val_mask", "test_mask")
    if several := [one for one in masks if getattr(parts.get(one), "ndim", 1) == 2]:
        count = parts[several[0]].shape[1]
        raise DataError(f"{name}: {', '.join(several)} of {count} splits: give one of them, as {several[0]}[:, 0]")
    if unused := [one for one in _UNUSED if parts.get(one) is not None]:
        warn(f"{name}: {' and '.join(unused)} of a graph is not used: its edges are there or not")
    known = {one for name in ("train", "val", "test") for one in (name, f"{name}_mask")}
    if others := [one for one in parts if _OF_A_SPLIT.search(one) and one not in known and parts[one] is not None]:
        warn(
            f"{name}: {' and '.join(others)} of a graph {'is' if len(others) == 1 else 'are'} not used: call the nodes to "
            "learn from, to choose by and to report on train, val and test (or train_mask, val_mask, test_mask), ids or masks"
        )
    return Graph(
        x,
        edges,
        y.reshape(-1) if getattr(y, "ndim", 1) == 2 and y.shape[1] == 1 else y,
        part("train_mask", "train"),
        part("val_mask", "val"),
        part("test_mask", "test"),
        None if classes is None else [str(one) for one in classes],
        name,
    )
