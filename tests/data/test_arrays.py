import math
import re
import warnings
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from infomax.data import Dataset, Graph, load, statistics
from infomax.data.given import of_given
from infomax.errors import DataError, NoSuchSplit
from infomax.training.defaults import dataset

GENERATOR = np.random.default_rng(0)


def saved(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path / "data.npz", **arrays)
    return path / "data.npz"


@pytest.mark.parametrize("keys", [("images", "labels"), ("x", "y"), ("X", "Y"), ("x", "label"), ("data", "target")])
def test_npz_with_labels(tmp_path: Path, keys: tuple[str, str]) -> None:
    images = GENERATOR.integers(0, 256, (5, 8, 6, 3), dtype=np.uint8)
    data = load(saved(tmp_path, **{keys[0]: images, keys[1]: np.arange(5, dtype=np.int32)}))
    assert np.array_equal(np.asarray(data.images), images)
    assert data.labels is not None and data.labels.dtype == torch.int64 and data.labels.tolist() == list(range(5))
    assert data.mean == pytest.approx(images.mean(axis=(0, 1, 2)) / 255)
    assert data.std == pytest.approx(images.std(axis=(0, 1, 2)) / 255)


@pytest.mark.parametrize(
    ("array", "shape"),
    [
        (np.zeros((4, 8, 8), np.uint8), (4, 8, 8, 1)),
        (np.zeros((4, 3, 8, 8), np.uint8), (4, 8, 8, 3)),
        (np.zeros((4, 8, 8, 13), np.int64), (4, 8, 8, 13)),
        (np.ones((4, 8, 8, 3), np.float64), (4, 8, 8, 3)),
        (np.ones((4, 8, 8), np.bool_), (4, 8, 8, 1)),
        (np.zeros((4, 7), np.float64), (4, 7)),
    ],
)
def test_npy_of_any_sensible_shape(tmp_path: Path, array: np.ndarray, shape: tuple[int, ...]) -> None:
    np.save(tmp_path / "a.npy", array)
    data = load(tmp_path / "a.npy")
    assert isinstance(data.images, torch.Tensor) and tuple(data.images.shape) == shape and data.labels is None
    assert data.images.dtype == (torch.float32 if array.ndim == 2 else torch.uint8)
    if array.max() == 1 and array.ndim > 2:
        assert data.images.min() == 255


def test_npz_with_two_splits(tmp_path: Path) -> None:
    train, test = np.zeros((4, 2, 2), np.uint8), np.full((3, 2, 2), 255, np.uint8)
    path = saved(tmp_path, x_train=train, y_train=np.zeros(4, int), x_test=test, y_test=np.ones((3, 1), int))
    data = load(path, split="test")
    assert len(data) == 3 and data.mean == (0.0,) and data.labels is not None and data.labels.tolist() == [1, 1, 1]
    assert len(load(path)) == 4


def test_labels_may_be_words(tmp_path: Path) -> None:
    x, words = np.zeros((3, 2)), np.array(["cat", "ant", "cat"])
    data = load(saved(tmp_path, x=x, y=words))
    assert data.labels is not None and data.labels.tolist() == [1, 0, 1] and data.classes == ["ant", "cat"]
    data = load(saved(tmp_path, x=x, y=words[:, None], classes=np.array(["cat", "dog", "ant"])))
    assert data.labels is not None and data.labels.tolist() == [0, 2, 0] and data.classes == ["cat", "dog", "ant"]
    path = saved(tmp_path, x_train=x, y_train=words, x_test=x[:1], y_test=np.array(["cat"]))
    data = load(path, split="test")  # as train numbers them
    assert data.labels is not None and data.labels.tolist() == [1] and data.classes == ["ant", "cat"]
    path = saved(tmp_path, x_train=x, y_train=words, x_test=x[:1], y_test=np.array(["gnu"]))
    with pytest.raises(DataError, match="'gnu' is not among the training classes"):
        load(path, split="test")


def test_words_in_one_split_and_numbers_in_the_other_are_refused(tmp_path: Path) -> None:
    x, words, numbers = np.zeros((2, 2)), np.array(["a", "b"]), np.array([1, 0])
    for y_train, y_test in ((words, numbers), (numbers, words)):
        path = saved(tmp_path, x_train=x, y_train=y_train, x_test=x, y_test=y_test)
        with pytest.raises(
            DataError, match=r"data\.npz: labels of type .* in one part and .* in another: give numbers in all"
        ):
            load(path, split="test")


def test_a_file_that_memory_does_not_hold_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "a.npy", np.zeros((3, 2)))
    assert len(load((tmp_path / "a.npy").rename(tmp_path / "b.NPY"))) == 3
    monkeypatch.setattr("infomax.data.arrays.free_memory", lambda: 100)
    with pytest.raises(DataError, match=r"b\.NPY: .* GB of arrays, .* give images as a folder or as shards"):
        load(tmp_path / "b.NPY")


def test_labels_below_0_are_no_class(tmp_path: Path) -> None:
    x = np.zeros((3, 2))
    assert load(saved(tmp_path, x=x, y=np.full(3, -1))).labels is None
    with pytest.warns(UserWarning, match=r"1 of 3 samples have no label \(a number below 0"):
        assert load(saved(tmp_path, x=x, y=np.array([0, -1, 1]))).labels is None
    with pytest.raises(DataError, match="2 labels below 0: number the classes from 0"):
        Dataset(torch.zeros(3, 2), torch.tensor([-1, 1, -1]), name="mine")
    edges = torch.zeros(2, 0, dtype=torch.int64)
    assert Graph(torch.eye(2), edges, torch.tensor([-1, 0])).labels is not None  # a graph names its labelled nodes


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pixels": np.zeros((2, 2, 2))}, "no array named images or x (seen: pixels)"),
        ({"x": np.full((2, 2, 2, 1), 3.0)}, "float images range over [3, 3]"),
        (
            {"x": np.full((2, 2, 2), -1)},
            "integer images range over [-1, -1]: give values in 0..255; of signals N x C x L floats",
        ),
        ({"x": np.full((2, 2), np.nan)}, "NaN or infinite"),
        ({"x": np.array([[-1e300, 1e300]])}, "range over [-1e+300, 1e+300], beyond what 32 bits hold"),
        ({"x": np.zeros((2, 2, 2, 2, 2))}, "shape (2, 2, 2, 2, 2)"),
        ({"x": np.zeros((0, 2))}, "at least one"),
        ({"x": np.array([["a"]])}, "give numbers"),
        ({"x": np.zeros((3, 2)), "y": np.zeros(2, int)}, "3 samples but labels of shape (2,)"),
        ({"x": np.zeros((3, 2)), "y": np.full(3, 0.5)}, "labels of type float64"),
    ],
)
def test_arrays_that_do_not_fit_say_why(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(DataError) as caught:
        load(saved(tmp_path, **arrays))
    assert message in str(caught.value) and "data.npz" in str(caught.value)


def test_files_that_are_no_arrays_say_so(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(DataError, match="not a readable"):
        load(tmp_path / "a.npz")
    np.save(tmp_path / "b.npy", np.array([{"an": "object"}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"not a readable .* \(it holds Python objects, .* cut or pad them"):
        load(tmp_path / "b.npy")
    (tmp_path / "c.csv").write_text("1,2")
    with pytest.raises(
        DataError, match=r"give an .npy or .npz file; .* np\.genfromtxt\('c\.csv', delimiter=\",\", skip_h"
    ):
        load(tmp_path / "c.csv")
    (tmp_path / "recordings.csv").write_text("1,2")
    with pytest.raises(DataError, match=r"no file '.*recordings\.npy': give one of"):  # and not recordings.csv
        load(tmp_path / "recordings.npy")
    (tmp_path / "c.csv").with_name("photos").mkdir()
    with pytest.raises(DataError, match=r"did you mean '.*photos'"):
        load(tmp_path / "fotos")
    np.save(tmp_path / "d.npy", np.zeros((3, 2)))
    with pytest.raises(NoSuchSplit, match="no test split"):
        load(tmp_path / "d.npy", split="test")


def test_statistics_of_many_images_and_of_a_list_are_numpys() -> None:
    images = GENERATOR.integers(0, 256, (5000, 3, 3, 2), dtype=np.uint8)
    mean, std = statistics(torch.from_numpy(images))
    assert mean == pytest.approx(images.mean(axis=(0, 1, 2)) / 255, rel=1e-12)
    assert std == pytest.approx(images.std(axis=(0, 1, 2)) / 255, rel=1e-12)
    assert statistics(list(torch.from_numpy(images))) == (pytest.approx(mean), pytest.approx(std))


@pytest.mark.parametrize("shape", [(3001, 7), (200, 1, 1000), (130, 3, 100), (3, 2, 300_001)])
def test_statistics_of_floats_are_numpys_and_those_of_any_number_of_threads(shape: tuple[int, ...]) -> None:
    x = torch.from_numpy(GENERATOR.normal(7, 3, shape).astype(np.float32))
    axes = tuple(i for i in range(len(shape)) if i != 1)
    mean, std = statistics(x)
    wide = x.numpy().astype(np.float64)
    assert mean == pytest.approx(wide.mean(axes), rel=1e-14) and std == pytest.approx(wide.std(axes), rel=1e-14)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        assert statistics(x) == (mean, std)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("shape", [(5, 1, 2**17 + 3), (2, 2, 2**18), (9, 2**17 + 1)])
def test_statistics_of_long_samples_copy_little_at_a_time(shape: tuple[int, ...]) -> None:
    most = 0

    class Watched(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            nonlocal most
            made = func(*args, **(kwargs or {}))
            if isinstance(made, torch.Tensor) and made.dtype == torch.float64:
                most = max(most, made.numel())
            return made

    x = torch.rand(shape)
    with Watched():
        statistics(x)
    assert 0 < most <= 2**18


def test_statistics_are_taken_where_the_samples_lie() -> None:
    x = torch.rand(5, 3)
    with torch.device("meta"):  # stands for any device but theirs
        found = statistics(x)
    assert found == statistics(x)


def test_statistics_of_levels_are_the_nearest_numbers_to_the_exact_ones() -> None:
    images = torch.from_numpy(GENERATOR.integers(0, 256, (500, 5, 3, 3), dtype=np.uint8))
    for channel, (mean, std) in enumerate(zip(*statistics(images), strict=True)):
        x = [Fraction(level, 255) for level in images[..., channel].flatten().tolist()]
        exact = sum(x) / len(x)
        assert mean == float(exact) and std == math.sqrt(sum((v - exact) ** 2 for v in x) / len(x))


def test_a_dataset_of_ones_own_is_checked() -> None:
    with pytest.raises(DataError, match="2 samples but labels of shape"):
        Dataset(torch.zeros(2, 3), torch.zeros(3, dtype=torch.int64))
    with pytest.raises(DataError, match="mine: no samples"):
        Dataset([], name="mine")


def test_corrupt_archives_are_one_line(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", x=GENERATOR.integers(0, 256, (50, 8, 8), dtype=np.uint8))
    whole = (tmp_path / "a.npz").read_bytes()
    failed = 0
    for place in range(0, len(whole), max(1, len(whole) // 150)):
        (tmp_path / "a.npz").write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            load(tmp_path / "a.npz")
        except DataError as error:
            failed += 1
            assert "a.npz" in str(error) and "\n" not in str(error)
    assert failed > 100
    np.save(tmp_path / "b.npy", np.zeros((3, 2)))
    header = (tmp_path / "b.npy").read_bytes()
    for change in (b"{'descr'", b"(((((((("), (b"(3, 2)", b"(3, 2("), (b"'<f8'", b"'<f\n'"):
        assert change[0] in header
        (tmp_path / "b.npy").write_bytes(header.replace(*change))
        with pytest.raises(DataError, match=r"b\.npy: not a readable"):
            load(tmp_path / "b.npy")


def test_tensors_are_checked_as_arrays_are() -> None:
    assert dataset(torch.rand(4, 3, 32, 32)).channels == 3
    assert dataset(torch.zeros(4, 32, 32, 3, dtype=torch.uint8)).images.shape == (4, 32, 32, 3)  # type: ignore[union-attr]
    assert not dataset(torch.randn(4, 5, dtype=torch.bfloat16, requires_grad=True)).is_images
    with pytest.raises(DataError, match="images are N x H x W x C uint8"):
        dataset(torch.randn(4, 3, 32, 32))
    with pytest.raises(DataError, match="NaN or infinite"):
        dataset(torch.full((4, 2), float("nan")))
    with pytest.raises(DataError, match=r"shape \(4,\)"):
        dataset(torch.zeros(4))


@pytest.mark.parametrize(
    ("given", "dtype", "shape"),
    [
        (torch.randn(6, 5).double(), torch.float32, (6, 5)),
        (torch.randn(6, 5).bfloat16(), torch.float32, (6, 5)),
        (torch.arange(-15, 15).reshape(6, 5), torch.float32, (6, 5)),
        (np.zeros((6, 2, 9), np.float16), torch.float32, (6, 2, 9)),
        (torch.rand(6, 8, 8, 3), torch.uint8, (6, 8, 8, 3)),
        (torch.zeros(6, 8, 8, dtype=torch.uint8), torch.uint8, (6, 8, 8, 1)),
    ],
)
def test_a_dataset_of_ones_own_holds_any_numbers_as_those_of_files(
    given: torch.Tensor | np.ndarray, dtype: torch.dtype, shape: tuple[int, ...]
) -> None:
    images = Dataset(given).images  # type: ignore[arg-type]
    assert isinstance(images, torch.Tensor) and images.dtype == dtype and images.shape == shape
    if isinstance(given, torch.Tensor) and len(shape) == 2:
        assert torch.equal(images, given.float())


@pytest.mark.parametrize(
    "labels", [[2, 0, 1], np.array([2, 0, 1], np.int32), torch.tensor([2, 0, 1], dtype=torch.uint8)]
)
def test_labels_of_a_dataset_of_ones_own_may_be_any_whole_numbers(
    labels: list[int] | np.ndarray | torch.Tensor,
) -> None:
    data = Dataset(torch.zeros(3, 2), labels)  # type: ignore[arg-type]
    assert data.labels is not None and data.labels.dtype == torch.int64 and data.labels.tolist() == [2, 0, 1]
    words = Dataset(torch.zeros(3, 2), ["cat", "ant", "cat"])  # type: ignore[arg-type]
    assert words.labels is not None and words.labels.tolist() == [1, 0, 1] and words.classes == ["ant", "cat"]
    for objects, found in ((["cat", "ant", "cat"], [1, 0, 1]), ([2, np.int32(0), 1], [2, 0, 1])):
        data = Dataset(torch.zeros(3, 2), np.array(objects, dtype=object))  # type: ignore[arg-type]
        assert data.labels is not None and data.labels.dtype == torch.int64 and data.labels.tolist() == found
    held = torch.tensor([0, 1, 0])
    assert Dataset(torch.zeros(3, 2), held).labels is held  # what shards mend, the data set sees


NAN = float("nan")


class Frame:
    """As pandas' and others' tables are arrays."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.eye(3, 4)


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
@pytest.mark.parametrize(
    ("given", "said"),
    [
        (lambda: torch.rand(3, 0), r"an array of shape \(3, 0\): give .* at least one number each"),
        (lambda: torch.rand(0, 3), r"an array of shape \(0, 3\)"),
        (lambda: torch.rand(3, 2, 0), r"an array of shape \(3, 2, 0\)"),
        (lambda: torch.zeros(3, 0, 4, 3, dtype=torch.uint8), r"an array of shape \(3, 0, 4, 3\)"),
        (lambda: torch.zeros(3, 4, 4, 0, dtype=torch.uint8), r"an array of shape \(3, 4, 4, 0\)"),
        (lambda: torch.tensor(3.0), r"an array of shape \(\)"),
        (
            lambda: [torch.zeros(0, 4, 3, dtype=torch.uint8)],
            r"sample 0 of the list is torch.uint8 of shape \(0, 4, 3\)",
        ),
        (
            lambda: torch.tensor([[1.0, 2.0], [NAN, 2.0]]),
            "NaN or infinite values in 1 of 2 samples, the first 1; 25 % of the cells, in column 0: fill them, as by the col",
        ),
        (
            lambda: np.array([[1.0], [2.0], [np.inf]]),
            "NaN or infinite values in 1 of 3 samples, the first 2; 33 % of the cells, in col",
        ),
        (lambda: np.full((3, 9), NAN), r".* 100 % of the cells, in columns 0, 1, 2, 3, 4, \.\.\. \(9 in all\): fill"),
        (lambda: torch.full((3, 2, 9), NAN), "NaN or infinite values in 3 of 3 samples, the first 0: clean them, or"),
        (lambda: torch.rand(3, 4, dtype=torch.complex64), "an array of type torch.complex64: give numbers"),
        (lambda: torch.rand(3, 4).to(torch.float8_e4m3fn), "an array of type torch.float8_e4m3fn: give numbers"),
        (lambda: np.array([[1, "a"]], dtype=object), "an array of type object: give numbers .* cut or pad"),
        (lambda: np.array([["a"]]), "an array of type <U1: give numbers"),
        (lambda: np.ma.masked_array(np.ones((2, 2)), [[1, 0], [0, 0]]), "an array with masked entries: fill them"),
        (lambda: torch.eye(3).to_sparse(), "a sparse_coo tensor: give a dense one"),
        (lambda: torch.rand(3, 4, device="meta"), "a meta tensor: give a dense one"),
        (lambda: torch.quantize_per_tensor(torch.rand(3, 4), 0.1, 0, torch.quint8), "a quantized tensor"),
        (lambda: None, "samples of type NoneType: give one array or tensor, or a list"),
        (lambda: 3, "samples of type int: give one array or tensor, or a list"),
        (lambda: iter(()), "no samples"),
    ],
)
def test_samples_that_cannot_be_are_one_line_in_python_too(given: Any, said: str) -> None:
    with pytest.raises(DataError, match=f"mine: {said}"):
        Dataset(given(), name="mine")


def test_samples_that_can_be_are_taken_as_they_are() -> None:
    for constant in (torch.ones(5, 4), torch.zeros(5, 4, 4, 1, dtype=torch.uint8)):
        data = Dataset(constant)
        assert data.images is constant and set(data.std) == {1.0}
    assert not Dataset(torch.rand(3, 4, requires_grad=True)).images.requires_grad  # type: ignore[union-attr]
    planes = torch.randint(0, 256, (5, 3, 8, 8), dtype=torch.uint8)  # as torchvision's and the Hub's tensors are
    for data in (Dataset(planes), Dataset(planes.numpy()), dataset(list(planes)), dataset(planes)):
        assert torch.equal(data.images, planes.permute(0, 2, 3, 1))  # type: ignore[arg-type]
    for frame in (Dataset(Frame()), dataset(Frame())):  # type: ignore[arg-type]
        assert torch.equal(frame.images, torch.eye(3, 4))  # type: ignore[arg-type]
    with pytest.warns(UserWarning, match="taken for signals of 8 channels; grey images are uint8"):
        Dataset(torch.rand(3, 8, 8))


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([[1], [1, 2], [3]], "labels that make no array .*: give one whole number or word a sample"),
        (np.array([2**63 + 1, 0, 1], np.uint64), "labels up to 9223372036854775809: give whole numbers below"),
        (torch.tensor([0, 1, 2]).to_sparse(), "labels: a sparse_coo tensor"),
        ([0, 5, 1], "a label 5, but the names of 2 classes: number them from 0 to 1"),
    ],
)
def test_labels_that_cannot_be_are_one_line(labels: Any, said: str) -> None:
    with pytest.raises(DataError, match=f"mine: {said}"):
        Dataset(torch.zeros(3, 2), labels, ["a", "b"], name="mine")


def test_an_edge_from_nowhere_names_its_node() -> None:
    with pytest.raises(DataError, match=r"an edge names node -1, but the 3 nodes are 0\.\.2"):
        Graph(torch.eye(3), torch.tensor([[0, -1], [1, 2]]))


def test_a_dataset_of_ones_own_that_cannot_be_says_why() -> None:
    with pytest.raises(DataError, match=r"mine: labels of type torch\.float32: give whole numbers"):
        Dataset(torch.zeros(3, 2), torch.tensor([0.0, 1.0, NAN]), name="mine")
    with pytest.raises(DataError, match=r"labels of type float64: give whole numbers"):
        Dataset(torch.zeros(3, 2), [0.5, 1.0, 2.0])  # type: ignore[arg-type]
    for gap in (math.nan, None, 1):
        for labels in (words := ["cat", gap, "ant"], np.array(words, dtype=object)):
            with pytest.raises(DataError, match=r"labels of type object: give whole numbers, or words"):
                Dataset(torch.zeros(3, 2), labels)  # type: ignore[arg-type]
    mask = np.array([True, True, False])[::-1]
    turned = Graph(torch.eye(3), torch.tensor([[0], [1]]), train=mask, val=(True, False, False))  # type: ignore[arg-type]
    assert turned.train.tolist() == [1, 2] and turned.val.tolist() == [0]
    with pytest.raises(DataError, match=r"float images range over \[7, 7\]"):
        Dataset(torch.full((3, 8, 8, 3), 7.0))
    for second in (np.zeros((8, 8), np.uint8), torch.zeros(8, 8, 3), torch.zeros(8, 8, 1, dtype=torch.uint8), "b.png"):
        with pytest.raises(DataError, match=r"sample 1 of the list is .*: give a list of images H x W x C uint8"):
            Dataset([np.zeros((8, 8, 3), np.uint8), second])  # type: ignore[list-item]


def test_a_list_of_arrays_shares_their_memory_where_torch_can() -> None:
    image = GENERATOR.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    closed = image.copy()
    closed.setflags(write=False)
    given = [image, image[::-1], image[:, ::-1], closed]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = Dataset(given)  # type: ignore[arg-type]
    assert all(np.array_equal(found.numpy(), one) for found, one in zip(data.images, given, strict=True))
    assert np.shares_memory(data.images[0].numpy(), image) and not np.shares_memory(data.images[3].numpy(), closed)


def test_a_graph_takes_masks_and_any_whole_numbers() -> None:
    mask = torch.tensor([True, False, True])
    edges = np.array([[0, 1], [1, 2]], np.int32)
    graph = Graph(torch.eye(3).double(), edges, [0, 1, 0], train=mask, val=[1], test=mask.numpy())  # type: ignore[arg-type]
    assert graph.x is graph.images and graph.x.dtype == torch.float32 and graph.edge_index.dtype == torch.int64
    assert [ids.tolist() for ids in (graph.train, graph.val, graph.test)] == [[0, 2], [1], [0, 2]]
    old = mask.to(torch.uint8)
    every = torch.tensor([2, 0, 1], dtype=torch.uint8)
    of_bytes = Graph(torch.eye(3), edges, train=old, val=every, test=old.numpy())  # type: ignore[arg-type]
    assert [ids.tolist() for ids in (of_bytes.train, of_bytes.val, of_bytes.test)] == [[0, 2], [2, 0, 1], [0, 2]]
    for ids, said in ((mask[:2], "type torch.bool"), (torch.tensor([3]), r"shape \(1,\) names no nodes of 0\.\.2")):
        with pytest.raises(DataError, match=f"train of {said}"):
            Graph(torch.eye(3), torch.zeros(2, 0, dtype=torch.int64), train=ids)
    with pytest.raises(DataError, match=r"edge_index of type torch\.float32"):
        Graph(torch.eye(3), torch.zeros(2, 1))
    for none in (torch.zeros(2, 0), [[], []], np.zeros((2, 0))):
        graph = Graph(torch.eye(3), none, train=[], val=torch.tensor([]))  # type: ignore[arg-type]
        assert graph.edge_index.shape == (2, 0)
        assert {part.dtype for part in (graph.edge_index, graph.train, graph.val)} == {torch.int64}
    with pytest.raises(DataError, match="features of nodes of shape"):
        Graph(torch.zeros(3, 2, 4), torch.zeros(2, 0, dtype=torch.int64))


def test_what_stands_behind_a_mask_is_no_label() -> None:
    y = np.ma.array([0, 7, 1], mask=[False, True, False])
    x = torch.zeros(3, 2)
    for make in (lambda: Dataset(x, y), lambda: of_given((x, y)), lambda: of_given((x, y[:, None]))):
        with pytest.raises(DataError, match="labels with masked entries: leave samples without a label out"):
            make()
    assert Dataset(torch.zeros(2, 2), y[[0, 2]]).labels.tolist() == [0, 1]  # type: ignore[union-attr]


def test_a_mask_of_whole_numbers_is_no_list_of_ids_and_no_node_counts_twice() -> None:
    none = torch.zeros(2, 0, dtype=torch.int64)
    for mask in (torch.tensor([1, 0, 1, 0]), np.array([1, 0, 1, 0], np.uint64), [1, 0, 1, 0]):
        graph = Graph(torch.eye(4), none, train=mask, test=torch.tensor([0, 1]))  # type: ignore[arg-type]
        assert (graph.train.tolist(), graph.test.tolist()) == ([0, 2], [0, 1]), "two ids of four nodes are no mask"
    assert Graph(torch.eye(2), none, train=torch.tensor([0, 1])).train.tolist() == [0, 1], "both nodes, as they were"
    for ids in ([3, 1, 3], [1, 2, 2, 0]):
        with pytest.raises(DataError, match=r"train names node [23] more than once: give each id once, or a mask of 4"):
            Graph(torch.eye(4), none, train=ids)  # type: ignore[arg-type]


def test_columns_that_32_bits_round_to_few_steps_are_said(tmp_path: Path) -> None:
    noise = GENERATOR.normal(size=(50, 3))
    times = noise.copy()
    times[:, 1] = 1.7e9 + np.linspace(0, 60, 50)
    with pytest.warns(
        UserWarning, match=r"32 bits round 1 of 3 columns .* column 1, whose values of about 1\.7e\+09 span 60: sub"
    ):
        load(saved(tmp_path, x=times))
    with pytest.warns(UserWarning, match="1 of 2 channels .* channel 1, whose"):
        load(saved(tmp_path, x=np.stack([noise[:, :2], times[:, [1, 1]]], 1)))
    with warnings.catch_warnings(action="error"):
        years = np.stack([np.arange(2000, 2050), np.full(50, 2**40 + 1), 2**24 + 2 * np.arange(50)], 1)
        for x in (noise * 1e-30, noise * 1e30, times - [0, 1.7e9, 0], years):
            load(saved(tmp_path, x=x))


@pytest.mark.parametrize("of", [np.asarray, torch.as_tensor, list])
@pytest.mark.parametrize("labels", [[2.0, 0.0, 1.0], [True, False, True]])
def test_labels_of_whole_floats_and_of_yes_and_no_are_numbers(of: Any, labels: list[Any], tmp_path: Path) -> None:
    wanted = [int(one) for one in labels]
    pairs = load(list(zip(torch.zeros(3, 2), labels, strict=True)))
    for data in (
        Dataset(torch.zeros(3, 2), of(labels)),
        pairs,
        load(saved(tmp_path, x=np.zeros((3, 2)), y=np.array(labels))),
    ):
        assert data.labels is not None and data.labels.dtype == torch.int64 and data.labels.tolist() == wanted


@pytest.mark.parametrize("x", [np.zeros((5, 3), np.float32), torch.zeros(5, 2, 9), np.zeros((5, 8, 8, 3), np.uint8)])
@pytest.mark.parametrize("y", [[0, 1, 0, 1, 1], np.array(list("abaab")), torch.tensor([0, 1, 0, 1, 1])])
def test_a_pair_of_samples_and_labels_is_a_data_set(x: Any, y: Any) -> None:
    data = load((x, y))
    assert len(data) == 5 and data.labels is not None and len(set(data.labels.tolist())) == 2
    with pytest.raises(
        DataError,
        match=r"two arrays, of shapes \(4, .* and \(5,\): of images and labels .*infomax\.data\.Dataset\(x, y\)",
    ):
        load((x[:4], y))


def test_a_pair_of_train_and_test_is_refused_and_a_list_of_two_pictures_is_two_samples() -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    assert len(load([picture, picture])) == 2 and len(load(((picture, 0), (picture, 1)))) == 2
    with pytest.raises(
        DataError, match=r"two arrays, of shapes \(5, 3\) and \(2, 3\): .*\(of images and labels: infomax"
    ):
        load((np.zeros((5, 3)), torch.zeros(2, 3)))


def test_sparse_matrices_say_what_to_give() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    for make in (sparse.coo_matrix, sparse.csr_array):
        for call in (load, Dataset):
            with pytest.raises(
                DataError, match=r"a sparse matrix of shape \(3, 3\): of a table give x\.toarray\(\); of a gr"
            ):
                call(make(np.eye(3)))


def test_signals_whose_readings_stand_where_channels_do_are_said(tmp_path: Path) -> None:
    x = GENERATOR.normal(size=(6, 30, 3)).astype(np.float32)
    said = r"30 channels of 3 readings each: if it is N x L x C, transpose: x\.transpose\(0, 2, 1\)"
    for give in (lambda: load(saved(tmp_path, x=x)), lambda: Dataset(torch.from_numpy(x)), lambda: load(list(x))):
        with pytest.warns(UserWarning, match=said) as warned:
            give()
        assert len(warned) == 1
    with pytest.warns(UserWarning, match="12 channels of 1 reading each"):
        Dataset(np.zeros((5, 12, 1)))  # type: ignore[arg-type]
    Dataset(x.transpose(0, 2, 1))  # type: ignore[arg-type]
    Dataset(np.full((5, 3, 3), 7.0))  # type: ignore[arg-type]


@pytest.mark.parametrize(("n", "value"), [(40, 1e30), (6000, -3e38)])
def test_one_value_that_takes_its_channel_from_all_others_is_said(n: int, value: float, tmp_path: Path) -> None:
    x = GENERATOR.normal(size=(n, 3, 7)).astype(np.float32)
    x[5, 1, 4] = value
    said = re.escape(f"data.npz: sample 5 holds {value:g} in channel 1, where nine tenths of the values lie within")
    with pytest.warns(UserWarning, match=said):
        load(saved(tmp_path, x=x))
    with pytest.warns(UserWarning, match=r"sample 5 holds .* in column 1"):
        Dataset(x[:, :, 4])  # type: ignore[arg-type]


def test_of_a_wide_table_every_column_is_looked_at() -> None:
    x = GENERATOR.normal(size=(600, 3000)).astype(np.float32)
    x[17, 2999], x[599, 40] = -3e38, 1e20
    within = np.sort(np.abs(x[:, 40] - np.median(x[:, 40])))[539]
    with pytest.warns(UserWarning, match=r"sample 599 holds 1e\+20 in column 40, .* \(so it is in 2 columns\)") as said:
        Dataset(x)  # type: ignore[arg-type]
    told = re.search(r"lie within (\S+) of", str(said[0].message))
    assert told and abs(float(told[1]) - within) < 0.3


def test_statistics_wait_for_no_second_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    from infomax.data import normalisation

    seen, summed = [], normalisation._summed

    def watched(*given: Any, **more: Any) -> torch.Tensor:
        seen.append(torch.get_num_threads())
        return summed(*given, **more)

    monkeypatch.setattr(normalisation, "_summed", watched)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        statistics(torch.randn(40, 3))
        assert seen == [1, 1] and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_columns_that_are_rare_heavy_or_of_two_scales_are_no_lost_ones() -> None:
    rare = (GENERATOR.random(5000) < 0.01).astype(float)
    heavy = GENERATOR.standard_cauchy(5000)
    mixed = np.where(GENERATOR.random(5000) < 0.4, 1.0, 1e-9 * GENERATOR.normal(size=5000))
    Dataset(np.stack([rare, heavy, mixed], 1))  # type: ignore[arg-type]
