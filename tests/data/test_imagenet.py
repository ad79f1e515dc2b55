import io
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import sparse

from infomax.data import Graph, load
from infomax.data.content import content
from infomax.data.imagenet import imagenet100_classes
from infomax.errors import DataError
from infomax.sweep.same import _content


def paint(path: Path, level: int, size: int = 8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (size, size), (level, level, level)).save(path)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    base = tmp_path / "tiny-imagenet-200"
    for i, name in enumerate(("n02", "n01")):  # classes are numbered as wnids.txt has them
        for k in range(3):
            paint(base / "train" / name / "images" / f"{name}_{k}.png", 100 * i)
        (base / "train" / name / f"{name}_boxes.txt").write_text("")
    paint(base / "val" / "images" / "val_1.png", 100)
    paint(base / "val" / "images" / "val_0.png", 0)
    (base / "val" / "val_annotations.txt").write_text("val_1.png\tn01\t0\t0\t8\t8\nval_0.png\tn02\t0\t0\t8\t8\n")
    paint(base / "test" / "images" / "test_0.png", 9)
    (base / "wnids.txt").write_text("n02\nn01\n")
    return base


def test_tiny_imagenet_is_read_as_its_archive_unpacks(tiny: Path) -> None:
    for root in (tiny, tiny.parent):
        train, test = (load("tiny-imagenet", root=root, split=split) for split in ("train", "test"))
        assert train.classes == test.classes == ["n02", "n01"] and train.name == "tiny-imagenet"
        assert train.labels is not None and train.labels.tolist() == [0, 0, 0, 1, 1, 1]
        assert isinstance(train.images, torch.Tensor) and train.images[:, 0, 0, 0].tolist() == [0, 0, 0, 100, 100, 100]
        assert test.labels is not None and test.labels.tolist() == [0, 1]
        assert isinstance(test.images, torch.Tensor) and test.images[:, 0, 0, 0].tolist() == [0, 100]
        assert test.mean == train.mean


def test_they_are_known_without_decoding_an_image(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = content(load("tiny-imagenet", root=tiny))

    def decoded(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr("infomax.data.imagenet.read_files", decoded)
    assert _content("tiny-imagenet", str(tiny), "skip") == {"images": now["images"]}
    assert _content("imagenet100", str(tiny), "skip") == {}


def test_a_file_that_cannot_be_decoded_is_no_part_of_them(tiny: Path) -> None:
    then = content(load("tiny-imagenet", root=tiny))
    (tiny / "train" / "n01" / "images" / "n01_9.png").write_bytes(b"junk")
    assert (
        content(load("tiny-imagenet", root=tiny)) == then == _content("tiny-imagenet", str(tiny), "skip", decode=True)
    )
    assert _content("tiny-imagenet", str(tiny), "skip") != then


def test_what_may_not_be_looked_into_counts_as_what_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("infomax.sweep.same.load", closed)
    assert _content("fashion-mnist", "closed", "skip") == {}


def test_tiny_imagenet_says_what_is_missing_and_where_it_comes_from(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no tiny-imagenet-200/wnids\.txt in .*tiny-imagenet-200\.zip"):
        load("tiny-imagenet", root=tmp_path / "nowhere")
    (tiny / "val" / "images" / "val_0.png").unlink()
    whole = load("tiny-imagenet", root=tiny, split="test")
    assert whole.skipped == (str(Path("val/images/val_0.png")),) and whole.names([0]) == [
        str(Path("val/images/val_1.png"))
    ]
    with pytest.raises(DataError, match=r"val_0\.png: cannot be decoded"):
        load("tiny-imagenet", root=tiny, split="test", on_error="stop")
    (tiny / "val" / "val_annotations.txt").write_text("val_1.png\tn77\n")
    with pytest.raises(DataError, match=r"the line 'val_1\.png n77' names no image and one of the classes"):
        load("tiny-imagenet", root=tiny, split="test")
    (tiny / "val" / "val_annotations.txt").unlink()
    with pytest.raises(DataError, match=r"val_annotations\.txt is missing"):
        load("tiny-imagenet", root=tiny, split="test")
    (tiny / "wnids.txt").write_text("n02\nn01\nn05\n")
    with pytest.raises(DataError, match="1 of 3 classes are missing, the first n05"):
        load("tiny-imagenet", root=tiny)


@pytest.mark.parametrize("below", ["imagenet", "."])
def test_imagenet100_is_the_hundred_classes_of_an_imagenet_folder(tmp_path: Path, below: str) -> None:
    names = imagenet100_classes()
    for i, name in enumerate([*names, "n00000001", "n99999999"]):
        paint(tmp_path / below / "train" / name / f"{name}_1.JPEG", i)
        paint(tmp_path / below / "val" / name / "ILSVRC2012_val_1.JPEG", i)
    train, test = (load("imagenet100", root=tmp_path, split=split) for split in ("train", "test"))
    assert len(train) == len(test) == 100 and train.classes == names == sorted(names)
    assert train.labels is not None and torch.equal(train.labels, torch.arange(100))
    assert isinstance(train.images, torch.Tensor) and train.images.float().mean((1, 2, 3))[7] == 7
    with pytest.raises(DataError, match=r"no imagenet/train/n01558993 in .*image-net\.org"):
        load("imagenet100", root=tmp_path / "nowhere")


@pytest.mark.shared
def test_the_hundred_classes_are_the_customary_ones() -> None:
    listed = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "imagenet100_classes.txt"
    if not listed.is_file():
        pytest.skip("needs the list of classes in ../shared/data")
    assert imagenet100_classes() == sorted(listed.read_text().split())


def planetoid(raw: Path, name: str) -> None:
    """508 nodes as the official files have them: 2 to train on, 503 more known, 2 to test, and 506, which they leave out."""
    raw.mkdir(parents=True)
    x, y = np.eye(508, 4, dtype=np.float32), np.eye(2, dtype=np.int32)[np.arange(508) % 2]
    for key, value in (
        ("x", sparse.csr_matrix(x[:2])), ("tx", sparse.csr_matrix(x[:2])), ("allx", sparse.csr_matrix(x[:505])),
        ("y", y[:2]), ("ty", y[:2]), ("ally", y[:505]), ("graph", {0: [1, 507], 1: [0, 505], 505: [1], 507: [0]}),
    ):  # fmt: skip
        (raw / f"ind.{name}.{key}").write_bytes(pickle.dumps(value, protocol=2))
    (raw / f"ind.{name}.test.index").write_text("507\n505\n")


def test_citeseer_is_read_from_the_planetoid_files(tmp_path: Path) -> None:
    pytest.importorskip("torch_geometric", reason="Planetoid files need torch-geometric")
    with pytest.raises(DataError, match=r"citeseer: not found; .*github\.com/kimiyoung/planetoid"):
        load("citeseer", root=tmp_path)
    planetoid(tmp_path / "CiteSeer" / "raw", "citeseer")
    graph = load("citeseer", root=tmp_path)
    assert isinstance(graph, Graph) and len(graph) == 508 and graph.name == "citeseer"
    assert graph.train.tolist() == [0, 1] and graph.test.tolist() == [505, 507] and len(graph.val) == 500
    assert graph.x[506].sum() == 0, "an isolated node that the files leave out"
    assert graph.labels is not None and graph.labels[[505, 507]].tolist() == [1, 0]
    pairs = set(map(tuple, graph.edge_index.T.tolist()))
    assert pairs == {(0, 1), (1, 0), (1, 505), (505, 1), (0, 507), (507, 0)}
    (tmp_path / "CiteSeer" / "raw" / "ind.citeseer.graph").write_bytes(b"cut")
    with pytest.raises(DataError, match=r"its ind\.citeseer\.\* are not whole"):
        load("citeseer", root=tmp_path)


@pytest.mark.shared
def test_a_pack_of_jpegs_becomes_an_npz_that_is_a_data_set(tmp_path: Path) -> None:
    pack = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "cifar10_jpeg_all.npz"
    if not pack.is_file():
        pytest.skip("needs the pack of JPEGs in ../shared/data")
    z = np.load(pack)
    head, ends, body = z["header"].tobytes(), z["offsets"].tolist(), z["body"].tobytes()
    rows = range(0, 50_000, 2_500)
    images = [np.asarray(Image.open(io.BytesIO(head + body[ends[i] : ends[i + 1]])).convert("RGB")) for i in rows]
    np.savez(tmp_path / "mine.npz", images=np.stack(images), labels=z["labels"][list(rows)].astype(int))
    data = load(tmp_path / "mine.npz")
    assert isinstance(data.images, torch.Tensor) and data.images.shape == (20, 32, 32, 3) and data.labels is not None
    assert 0.3 < min(data.mean) < max(data.mean) < 0.6 and data.size == 32
