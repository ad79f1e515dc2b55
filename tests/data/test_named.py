import gzip
import pickle
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch

from infomax.data import Dataset, Graph, batches, gather, gaussians, load, sbm
from infomax.data.index import default_root
from infomax.errors import ConfigError, DataError

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="needs the data sets in ../shared/data")


def test_digits_are_split_evenly_and_without_overlap() -> None:
    train, test = load("digits"), load("digits", split="test")
    assert isinstance(train.images, torch.Tensor) and isinstance(test.images, torch.Tensor)
    assert train.images.max() == 255 and train.images.min() == 0
    assert train.mean == test.mean
    assert train.labels is not None and test.labels is not None
    share = test.labels.bincount() / (train.labels.bincount() + test.labels.bincount())
    assert share.min() > 0.19 and share.max() < 0.21
    assert len(train) + len(test) == 1797


def test_data_are_shown_in_one_line() -> None:
    assert repr(load("digits", split="test")) == "Dataset('digits', test, 355 images of 8 x 8 x 1, 10 classes)"
    nodes = Graph(torch.eye(3), torch.tensor([[0], [1]]), torch.tensor([0, -1, 1]), train=torch.tensor([0, 2]))
    assert repr(nodes) == "Graph('graph', 3 nodes of 3, edge_index 2 x 1, 2 classes, 2 train)"
    pictures = [torch.zeros(4, 4, 3, dtype=torch.uint8)] * 2
    assert repr(Dataset(pictures)) == "Dataset('data', 2 images of 4 x 4 x 3, no labels)"
    several = Dataset([*pictures, torch.zeros(5, 4, 3, dtype=torch.uint8)], skipped=("a.png", "b.png"), name="mine")
    assert repr(several) == "Dataset('mine', 3 images of several sizes, no labels, 2 skipped)"
    assert repr(Dataset(torch.zeros(1, 2, 9))) == "Dataset('data', 1 signal of 2 x 9, no labels)"


def test_gaussians_are_the_papers() -> None:
    data = gaussians(n=25_000, sigma=0.05)
    assert isinstance(data.images, torch.Tensor) and data.labels is not None
    for k in range(5):
        points = data.images[data.labels == k].double()
        angle = 2 * torch.pi * torch.tensor((k + 1) / 5, dtype=torch.float64)
        assert (points.mean(dim=0) - torch.stack([angle.cos(), angle.sin()])).abs().max() < 5 * 0.05 / 5000**0.5
        assert (torch.cov(points.T) / 0.05**2 - torch.eye(2)).abs().max() < 0.1
    assert len(load("gaussians")) == 2500
    assert not torch.equal(gaussians(split="test").images, gaussians().images)  # type: ignore[arg-type]
    assert not torch.equal(gaussians(seed=1).images, gaussians().images)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="multiple of 5"):
        gaussians(n=7)
    with pytest.raises(ConfigError, match="not negative"):
        gaussians(sigma=-0.1)


def write_idx(path: Path, array: np.ndarray, packed: bool) -> None:
    raw = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    if packed:
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(raw))
    else:
        path.write_bytes(raw)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("below", ["FashionMNIST/raw", "."])
def test_fashion_mnist_reads_the_official_files_where_they_lie(tmp_path: Path, below: str, packed: bool) -> None:
    images = np.arange(2 * 28 * 28, dtype=np.uint8).reshape(2, 28, 28)
    for part in ("train", "t10k"):
        write_idx(tmp_path / below / f"{part}-images-idx3-ubyte", images if part == "train" else images[:1], packed)
        write_idx(
            tmp_path / below / f"{part}-labels-idx1-ubyte",
            np.array([3, 9] if part == "train" else [9], np.uint8),
            packed,
        )
    train, test = load("fashion-mnist", root=tmp_path), load("fashion-mnist", root=tmp_path, split="test")
    assert isinstance(train.images, torch.Tensor) and np.array_equal(train.images[..., 0].numpy(), images)
    assert train.labels is not None and train.labels.tolist() == [3, 9] and train.labels.dtype == torch.int64
    assert len(test) == 1 and test.mean == train.mean
    assert train.classes is not None and train.classes[9] == "Ankle boot"


def test_a_cut_idx_file_is_named(tmp_path: Path) -> None:
    for part in ("train", "t10k"):
        for kind, shape in (("images-idx3", (2, 28, 28)), ("labels-idx1", (2,))):
            write_idx(tmp_path / f"{part}-{kind}-ubyte", np.zeros(shape, np.uint8), packed=False)
    file = tmp_path / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DataError, match="train-images-idx3-ubyte: not a whole IDX file"):
        load("fashion-mnist", root=tmp_path)
    file.unlink()
    file.with_name(file.name + ".gz").write_bytes(b"\x1f\x8b cut")
    with pytest.raises(DataError, match="cannot be read"):
        load("fashion-mnist", root=tmp_path)
    raw = bytearray(gzip.compress(np.random.default_rng(0).bytes(2000)))
    raw[10:60] = b"\xff" * 50
    file.with_name(file.name + ".gz").write_bytes(raw)
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz: cannot be read"):
        load("fashion-mnist", root=tmp_path)


@pytest.mark.parametrize("name", ["fashion-mnist", "cifar10", "cifar100"])
def test_missing_official_files_and_no_network(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import cifar, mnist

    def offline(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(cifar, "download_and_extract_archive", offline)
    monkeypatch.setattr(mnist, "download_and_extract_archive", offline)
    with pytest.raises(DataError) as caught:
        load(name, root=tmp_path)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(DataError, match="or allow a download"):
        load(name, root=tmp_path, download=False)


def test_cifar10_comes_from_the_official_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import CIFAR10

    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for i, file in enumerate([*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]):
        rows = np.full((2, 3072), i, np.uint8)
        rows[:, :1024] = 250
        (folder / file).write_bytes(pickle.dumps({"data": rows, "labels": [i, i]}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": [f"class {c}" for c in range(10)]}))
    monkeypatch.setattr(CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    train, test = load("cifar10", root=tmp_path), load("cifar10", root=tmp_path, split="test")
    assert isinstance(train.images, torch.Tensor) and train.images.shape == (10, 32, 32, 3)
    assert train.images[0, 0, 0].tolist() == [250, 0, 0] and test.images[0][0, 0].tolist() == [250, 5, 5]
    assert test.labels is not None and test.labels.tolist() == [5, 5] and test.mean == train.mean


def test_the_default_root_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFOMAX_DATA", str(tmp_path))
    assert default_root() == tmp_path
    monkeypatch.delenv("INFOMAX_DATA")
    assert default_root() == Path.home() / ".cache" / "infomax"


def test_sbm_has_communities() -> None:
    graph = sbm(nodes=600, within=0.1, between=0.01)
    assert isinstance(load("sbm"), Graph) and graph.labels is not None
    a, b = graph.edge_index
    assert {(i, j) for i, j in graph.edge_index.T.tolist()} == {(j, i) for i, j in graph.edge_index.T.tolist()}
    same = graph.labels[a] == graph.labels[b]
    within = same.sum() / (3 * 200 * 199)
    between = (~same).sum() / (3 * 2 * 200 * 200)
    assert abs(within - 0.1) < 0.01 and abs(between - 0.01) < 0.002
    ids = torch.cat([graph.train, graph.val, graph.test])
    assert ids.sort().values.tolist() == list(range(600))
    with pytest.raises(ConfigError, match="needs at least as many"):
        sbm(communities=40)
    with pytest.raises(ConfigError, match="probabilities"):
        sbm(within=2.0)


def cora_like(path: Path, **change: np.ndarray) -> None:
    arrays = {
        "feat_row_col": np.array([[0, 1], [2, 0]], np.uint16),
        "n_nodes": np.array(3),
        "n_feat": np.array(2),
        "labels": np.array([0, 1, 0], np.uint8),
        "edges": np.array([[0, 1, 2], [1, 2, 2]], np.int32),
        "train": np.array([0]),
        "val": np.array([1]),
        "test": np.array([2]),
    }
    np.savez(path, **{k: v for k, v in (arrays | change).items() if v is not None})


def test_cora_from_an_npz(tmp_path: Path) -> None:
    cora_like(tmp_path / "cora.npz")
    graph = load("cora", root=tmp_path)
    assert isinstance(graph, Graph)
    assert graph.x.tolist() == [[0, 1], [0, 0], [1, 0]]
    assert graph.edge_index.tolist() == [[0, 1, 1, 2], [1, 2, 0, 1]]
    assert graph.test.tolist() == [2]


def test_cora_that_is_not_there_or_not_whole(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cora: not found; looked for cora_planetoid\.npz"):
        load("cora", root=tmp_path)
    np.savez(tmp_path / "cora.npz", edges=np.zeros((2, 0)))
    with pytest.raises(DataError, match=r"no array named feat_row_col, .* \(seen: edges\)"):
        load("cora", root=tmp_path)
    cora_like(tmp_path / "cora.npz", edges=np.array([[0], [7]]))
    with pytest.raises(DataError, match="names node 7"):
        load("cora", root=tmp_path)
    for change in (
        {"feat_row_col": np.array([[0, 9]])},
        {"feat_row_col": np.zeros((2, 3), int)},
        {"labels": np.array([0, 1])},
        {"labels": np.array(["a", "b", "c"])},
        {"edges": np.array([0, 1])},
        {"test": np.array([3])},
        {"n_nodes": np.array([3, 3])},
        {"n_nodes": np.array(-3)},
    ):
        cora_like(tmp_path / "cora.npz", **change)
        with pytest.raises(DataError, match=r"cora\.npz: its arrays do not make a graph"):
            load("cora", root=tmp_path)
    (tmp_path / "cora.npz").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(DataError, match=r"cora\.npz: not a readable"):
        load("cora", root=tmp_path)


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(DataError, match="did you mean 'fashion-mnist'"):
        load("fashon-mnist")
    with pytest.raises(ConfigError, match="did you mean 'train'"):
        load("digits", split="trian")


def test_batches_cover_everything_once_and_follow_the_key_alone() -> None:
    first = [b.tolist() for b in batches(103, 10, seed=1, epoch=2, drop_last=False)]
    assert [len(b) for b in first] == [10] * 10 + [3]
    assert sorted(i for b in first for i in b) == list(range(103))
    assert first == [b.tolist() for b in batches(103, 10, seed=1, epoch=2, drop_last=False)]
    assert first[:10] == [b.tolist() for b in batches(103, 10, seed=1, epoch=2)]
    orders = {tuple(torch.cat(list(batches(103, 103, seed=s, epoch=e))).tolist()) for s in range(3) for e in range(3)}
    assert len(orders) == 9
    with pytest.raises(ConfigError, match="at most 5"):
        batches(5, 6)
    with pytest.raises(ConfigError, match="at least 1"):
        batches(5, 0)


def test_gather_takes_from_lists_and_tensors_alike() -> None:
    images = torch.arange(12).reshape(4, 3)
    index = torch.tensor([2, 0])
    assert torch.equal(torch.stack(list(gather(list(images), index))), gather(images, index))  # type: ignore[arg-type]


@needs_shared
@pytest.mark.shared
def test_real_fashion_mnist_and_cora() -> None:
    data = load("fashion-mnist", root=SHARED)
    assert (
        len(data) == 60_000
        and data.mean == pytest.approx((0.2860,), abs=1e-4)
        and data.std == pytest.approx((0.3530,), abs=1e-4)
    )
    graph = load("cora", root=SHARED)
    assert isinstance(graph, Graph) and graph.labels is not None
    assert graph.x.shape == (2708, 1433) and graph.edge_index.shape == (2, 10556)
    assert (len(graph.train), len(graph.val), len(graph.test)) == (140, 500, 1000)
    assert graph.labels[graph.train].bincount().tolist() == [20] * 7
