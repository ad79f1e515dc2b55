"""Graphs by the names that torch_geometric gives to their parts, from a file and at hand."""

import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import infomax as im
from infomax.errors import DataError

X, EDGES, Y = np.eye(4, dtype=np.float32), np.array([[0, 1, 1, 2], [1, 0, 2, 1]]), np.array([0, 1, 0, -1])


def test_an_npz_with_edges_is_a_graph_and_never_a_table(tmp_path: Path) -> None:
    mask = np.array([True, False, True, False])
    np.savez(
        tmp_path / "g.npz", x=X, edge_index=EDGES, y=Y[:, None], train_mask=mask, test_mask=~mask, val=np.array([3])
    )
    graph = im.data.load(tmp_path / "g.npz")
    assert isinstance(graph, im.data.Graph) and graph.edge_index.tolist() == EDGES.tolist()
    assert graph.labels is not None and graph.labels.tolist() == Y.tolist()
    assert [ids.tolist() for ids in (graph.train, graph.val, graph.test)] == [[0, 2], [3], [1, 3]]
    assert graph.origin is not None and len(im.data.load(graph.origin[0], split="test")) == 4
    np.savez(tmp_path / "g.npz", edge_index=EDGES, y=Y)
    with pytest.raises(DataError, match=r"g\.npz: edge_index, but no features of the nodes: name them x"):
        im.data.load(tmp_path / "g.npz")


def test_a_graph_of_torch_geometric_is_one() -> None:
    geometric = pytest.importorskip("torch_geometric.data", reason="needs torch-geometric (the extra graph)")
    mask = torch.tensor([True, False, True, False])
    data = geometric.Data(torch.from_numpy(X), torch.from_numpy(EDGES), y=torch.from_numpy(Y), test_mask=mask)
    graph = im.data.load(data)
    assert isinstance(graph, im.data.Graph) and graph.test.tolist() == [0, 2] and graph.train.tolist() == []
    with pytest.raises(DataError, match=r"a graph: its nodes are the samples; .* give that itself, data\[0\]"):
        im.data.load([data])
    with pytest.raises(DataError, match="Data: a graph without edges: give edge_index"):
        im.data.load(geometric.Data(torch.eye(3)))
    with pytest.warns(UserWarning, match="edge_attr of a graph is not used"):
        im.data.load(SimpleNamespace(x=X, edge_index=EDGES, edge_attr=np.ones(4)))


def test_masks_of_several_splits_are_told_to_be_one(tmp_path: Path) -> None:
    np.savez(tmp_path / "g.npz", x=X, edge_index=EDGES, y=Y, train_mask=np.zeros((4, 10), bool))
    with pytest.raises(DataError, match=r"train_mask of 10 splits: give one of them, as train_mask\[:, 0\]"):
        im.data.load(tmp_path / "g.npz")


def test_a_split_by_other_names_is_said_not_to_be_used(tmp_path: Path) -> None:
    parts = {"x": X, "edge_index": EDGES, "y": Y, "latest": Y}
    np.savez(tmp_path / "g.npz", **parts, idx_train=np.array([0, 1]), test_idx=np.array([2]), val=np.array([3]))
    with pytest.warns(
        UserWarning, match=r"idx_train and test_idx of a graph are not used: call the nodes to learn from"
    ):
        graph = im.data.load(tmp_path / "g.npz")
    assert isinstance(graph, im.data.Graph) and graph.val.tolist() == [3] and not len(graph.train)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        im.data.load(SimpleNamespace(**parts, train_mask=Y == 0, val_mask=None, test=Y == 1))


def test_a_set_of_graphs_is_told_to_give_its_graph() -> None:
    class Graphs:
        edge_index = EDGES

        def __len__(self) -> int:
            return 1

        def __getitem__(self, k: int) -> SimpleNamespace:
            return SimpleNamespace(x=X, edge_index=EDGES)

    with pytest.raises(DataError, match=r"data\[0\]"):
        im.data.load(Graphs())


def test_labels_beside_an_array_may_be_a_column_or_a_tuple() -> None:
    for labels in (Y[:, None] + 1, tuple(Y + 1)):
        assert im.data.load((X, labels)).labels.tolist() == (Y + 1).tolist()


class OfAGpu(torch.Tensor):
    """Numbers that numpy is refused, and that others lie beside only once they are on the CPU."""

    def __array__(self, *args: object) -> np.ndarray:
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu()")

    def cpu(self, *args: object) -> torch.Tensor:  # type: ignore[override]
        return self.as_subclass(torch.Tensor)


def test_tensors_of_a_gpu_are_brought_to_the_cpu_with_their_labels() -> None:
    x, edges, y, mask = (
        torch.as_tensor(one).as_subclass(OfAGpu) for one in (X, EDGES, Y + 1, np.array([True, False, True, False]))
    )
    for labels in (y, y[:, None]):
        data = im.data.load((x, labels))
        assert type(data.images) is type(data.labels) is torch.Tensor and data.labels.tolist() == (Y + 1).tolist()
    assert type(im.data.load([(one, 0) for one in x]).images) is torch.Tensor
    graph = im.data.load(SimpleNamespace(x=x, edge_index=edges, y=y, train_mask=mask, test=y[1:3] + 0))
    assert isinstance(graph, im.data.Graph) and graph.test.tolist() == [2, 1]
    held = (graph.x, graph.edge_index, graph.labels, graph.train, graph.test)
    assert {type(one) for one in held} == {torch.Tensor}
