import io

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch.utils.data import ConcatDataset, DataLoader, Dataset, IterableDataset, Subset, TensorDataset

import infomax as im
from infomax.data.content import content
from infomax.data.encoded import Encoded
from infomax.data.items import of_items
from infomax.errors import ConfigError, DataError
from infomax.training.defaults import dataset


def picture(seed: int, size: int = 12, mode: str = "RGB") -> Image.Image:
    shape = (size, size) if mode == "L" else (size, size, 3)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8), mode)


class Mine(Dataset):
    """As a user writes one."""

    def __init__(self, n: int = 12, broken: int = -1, wild: bool = False) -> None:
        self.n, self.broken, self.wild, self.asked = n, broken, wild, 0
        self.targets = [i % 3 for i in range(n)]

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> tuple[Image.Image, int]:
        self.asked += 1
        if i == self.broken:
            raise OSError("the disk is gone")
        return picture(i + 1000 * self.asked * self.wild), self.targets[i]


def test_a_torch_data_set_is_its_images_and_labels() -> None:
    found = of_items(Mine())
    assert isinstance(found.images, torch.Tensor) and found.images.shape == (12, 12, 12, 3) and found.name == "Mine"
    assert (found.images[5].numpy() == np.asarray(picture(5))).all() and found.labels.tolist() == Mine().targets
    part = of_items(ConcatDataset([Subset(Mine(), [3, 1]), Mine(2)]))
    assert part.labels.tolist() == [0, 1, 0, 1] and (part.images[1].numpy() == np.asarray(picture(1))).all()


@pytest.mark.parametrize("by", [np.asarray, torch.as_tensor, lambda x: [Image.fromarray(one) for one in x]])
def test_load_takes_what_train_takes(by) -> None:
    pictures = np.stack([np.asarray(picture(i)) for i in range(3)])
    assert (im.data.load(by(pictures)).images.numpy() == pictures).all()
    assert im.data.load(mine := im.data.Dataset(pictures)) is mine
    for option, value in (("split", "test"), ("root", "data"), ("resize", 8)):
        with pytest.raises(ConfigError, match=f"^{option}='?{value}'? is of data given by name or path: leave it out"):
            im.data.load(by(pictures), **{option: value})


def test_load_takes_samples_with_labels_and_what_is_no_data_is_one_line() -> None:
    for given in (Mine(3), [(picture(i), i) for i in range(3)]):
        assert im.data.load(given).labels.tolist() == [0, 1, 2]
    assert im.data.load(Mine(broken=4)).skipped == ("sample 4 (OSError: the disk is gone)",)
    with pytest.raises(DataError, match="sample 4 cannot be had"):
        im.data.load(Mine(broken=4), on_error="stop")
    for given in ({"x": 1}, 5, None, b"photos"):
        with pytest.raises(DataError, match=f"^data of type {type(given).__name__}: give the name or path"):
            im.data.load(given)


def test_what_people_bring_from_elsewhere_is_told_what_to_give_instead() -> None:
    normalised = [torch.randn(3, 8, 8)] * 2
    with pytest.raises(DataError, match=r"floats over \[-.*where its transform normalises, leave that out"):
        of_items(normalised)
    with pytest.raises(DataError, match=r"one of its splits, data\['train'\]"):
        dataset({"train": Mine(), "test": Mine()})


def test_what_memory_does_not_hold_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = of_items(Mine())
    monkeypatch.setenv("INFOMAX_MEMORY", str(4 * 12 * 12 * 3))
    given = Mine(broken=2)
    found = of_items(given)
    assert (
        isinstance(found.images, Encoded)
        and len(found) == 11
        and found.skipped == ("sample 2 (OSError: the disk is gone)",)
    )
    kept = [i for i in range(12) if i != 2]
    assert torch.equal(found.images[:], whole.images[kept]) and found.labels.tolist() == [i % 3 for i in kept]
    given.broken = 7
    assert torch.equal(found.images[:], whole.images[[*kept[:6], 8, *kept[7:]]]), "the next one takes its place"
    assert found.replaced == [6] and found.labels[6] == 8 % 3 and "sample 7" in found.undecoded("left out")
    met = of_items(Mine(broken=7))  # already where the statistics are taken
    assert met.replaced == [7] and met.labels[7] == 8 % 3
    stopped = of_items(Mine(), "stop")
    stopped.images.given.broken = 7
    with pytest.raises(
        DataError, match=r"Mine: sample 7: cannot be decoded \(OSError: the disk is gone\); mend it, or"
    ):
        stopped.images[:]


def test_training_is_the_same_from_memory_and_not(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []
    for memory in ("1GB", "0"):
        monkeypatch.setenv("INFOMAX_MEMORY", memory)
        torch.manual_seed(0)
        learner = im.methods.simclr(im.encoders.get("resnet8"), projector=(8,))
        runs.append(im.train(learner, Mine(), size=12, epochs=2, batch_size=6, progress=False))
    ours, theirs = (run.learner.state_dict() for run in runs)
    assert runs[1].data.images.n == 12 and all(torch.equal(ours[k], theirs[k]) for k in ours)
    assert runs[1].evaluate(Mine(60), protocols="knn")["test"] == 12


@pytest.mark.parametrize(
    ("given", "shape", "labels"),
    [
        ([picture(0), picture(1)], (2, 12, 12, 3), None),
        ([picture(0, mode="L"), picture(1, mode="L")], (2, 12, 12, 1), None),
        ([picture(0, mode="L"), picture(1)], (2, 12, 12, 3), None),
        ([np.zeros((9, 7), np.uint8), np.ones((9, 7), np.uint8)], (2, 9, 7, 1), None),
        ([torch.rand(3, 9, 7), torch.rand(3, 9, 7)], (2, 9, 7, 3), None),
        ([(picture(0), "b"), (picture(1), "a")], (2, 12, 12, 3), [1, 0]),
        ([{"image": picture(0), "label": 1}, {"image": picture(1), "label": 0}], (2, 12, 12, 3), [1, 0]),
        ([{"photo": picture(0), "class": "b"}, {"photo": picture(1), "class": "a"}], (2, 12, 12, 3), [1, 0]),
        ([(picture(0), -1), (picture(1), -1)], (2, 12, 12, 3), None),
        (TensorDataset(torch.rand(5, 6), torch.arange(5)), (5, 6), [0, 1, 2, 3, 4]),
        ([np.zeros((2, 50), np.float32)] * 3, (3, 2, 50), None),
        ([[0.5, 1.5], [2.0, 1.0]], (2, 2), None),
        ([list(np.float32([0.5, 1.5]))] * 2, (2, 2), None),
        ([np.zeros((9, 7), np.uint8).tolist()] * 2, (2, 9, 7, 1), None),
        ([(picture(0), np.array([1])), (picture(1), torch.tensor([0]))], (2, 12, 12, 3), [1, 0]),
        ([(picture(0), True), (picture(1), np.False_)], (2, 12, 12, 3), [1, 0]),
    ],
)
def test_kinds_of_samples(given, shape, labels) -> None:
    found = dataset(given)
    assert tuple(found.images.shape) == shape
    assert labels is None if found.labels is None else found.labels.tolist() == labels


def test_labels_of_images_that_memory_does_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFOMAX_MEMORY", str(4 * 12 * 12 * 3))
    rows = [7, 2, 9, 4, 10, 0]
    assert of_items(Subset(Subset(Mine(), range(1, 12)), rows)).labels.tolist() == [(i + 1) % 3 for i in rows]
    assert of_items([(picture(i), i % 2) for i in range(6)]).labels.tolist() == [0, 1] * 3  # they stand there

    class Unlisted(Dataset):
        def __len__(self) -> int:
            return 12

        def __getitem__(self, i: int):
            return picture(i), i % 2

    with pytest.warns(
        UserWarning, match="Unlisted: no labels: memory does not hold all 12 images.*attribute 'targets'"
    ):
        assert of_items(Unlisted()).labels is None


@pytest.mark.parametrize("broken", [(), {"foo": 1}])
def test_an_item_of_a_list_that_memory_does_not_hold_may_be_none(tmp_path, monkeypatch, broken) -> None:
    paths = [str(tmp_path / f"{i}.png") for i in range(6)]
    for i, path in enumerate(paths):
        picture(i).save(path)
    monkeypatch.setenv("INFOMAX_MEMORY", "1000")
    found = of_items([*paths[:4], broken, paths[5]])
    assert len(found) == 6 and found.files is None


def test_paths_and_bytes_of_several_sizes(tmp_path) -> None:
    for i, size in enumerate((8, 10)):
        picture(i, size).save(tmp_path / f"{i}.png")
    data = io.BytesIO()
    picture(2, 9).save(data, "PNG")
    found = of_items([tmp_path / "0.png", str(tmp_path / "1.png"), data.getvalue(), tmp_path / "no.png"])
    assert [tuple(image.shape) for image in found.images] == [(8, 8, 3), (10, 10, 3), (9, 9, 3)]
    assert len(found.skipped) == 1 and "sample 3" in found.skipped[0]


def test_samples_that_are_paths_are_called_by_them(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [str(tmp_path / kind / f"{i}.png") for kind in ("ant", "bee") for i in range(2)]
    for i, path in enumerate(paths):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        picture(i).save(path)
    below = ["ant/0.png", "ant/1.png", "bee/0.png", "bee/1.png"]
    folder = torchvision.datasets.ImageFolder(str(tmp_path))
    for memory in ("1GB", str(2 * 12 * 12 * 3)):
        monkeypatch.setenv("INFOMAX_MEMORY", memory)
        assert of_items(paths).files == of_items([(path, None) for path in paths]).files == paths
        assert of_items(folder).files == below and of_items(folder).names([2]) == ["bee/0.png"]
        assert of_items(Subset(Subset(folder, [3, 1, 0]), [2, 0, 1])).files == [below[i] for i in (0, 3, 1)]
    assert of_items([paths[0], str(tmp_path / "no.png"), paths[2]]).files == [paths[0], paths[2]]
    assert of_items([paths[0], picture(1)]).files is None and of_items(Mine()).files is None
    assert content(of_items(paths))["images"] == content(of_items([picture(i) for i in range(4)]))["images"]
    encoder = im.methods.simclr(im.encoders.get("resnet8"), projector=(8,))
    run = im.train(encoder, paths, size=12, epochs=1, batch_size=4, progress=False)
    assert run.embed(folder)[1] == below


def test_a_list_of_labels_says_how_it_is_given(tmp_path) -> None:
    (tmp_path / "labels.csv").write_text("file,label\n0.png,cat\n")
    with pytest.raises(DataError, match=r"labels\.csv: .*\[\(path, label\), \.\.\.\]"):
        im.data.load(str(tmp_path / "labels.csv"))
    Image.new("RGB", (8, 8)).save(tmp_path / "0.png")
    assert dataset([(str(tmp_path / "0.png"), "cat")], None).classes == ["cat"]


def test_one_picture_is_no_data_and_says_what_is(tmp_path) -> None:
    picture(0).save(tmp_path / "one.JPG")
    with pytest.raises(
        DataError, match=r"one\.JPG: one picture: give its folder, or in Python a list: run\.embed\(\[path\]\)$"
    ):
        im.data.load(tmp_path / "one.JPG")
    assert len(im.data.load([tmp_path / "one.JPG"])) == 1


@pytest.mark.parametrize(
    "pair",
    [
        lambda i: (picture(i), picture(i + 50)),
        lambda i: (torch.rand(3, 9, 7), torch.rand(3, 9, 7))[: 2 + i],
        lambda i: [np.full((9, 7, 3), i, np.uint8)] * 2,
        lambda i: (np.zeros((9, 7), np.uint8), np.ones((9, 7), np.uint8), i, "name"),
    ],
)
def test_two_views_a_sample_are_told_and_the_second_is_no_label(pair) -> None:
    pairs = [pair(i) for i in range(4)]
    with pytest.warns(
        UserWarning, match="list: it gives two images a sample, views perhaps: the second is not used"
    ) as seen:
        found = of_items(pairs)
    assert len(seen) == 1 and found.labels is None and len(found) == 4
    assert torch.equal(found.images, of_items([one[0] for one in pairs]).images)


@pytest.mark.parametrize("views", [torch.rand(2, 3, 9, 7).unbind(), [picture(0), picture(1)]])
def test_a_list_of_views_in_place_of_a_sample_is_told(views) -> None:
    with pytest.raises(DataError, match=r"none can be had .*2 images a sample, views perhaps: give the picture itself"):
        of_items([(views, 0, "name")] * 4)


def test_a_random_transform_is_told() -> None:
    with pytest.warns(UserWarning, match="draws at random"):
        of_items(Mine(wild=True))


def test_a_transform_that_left_the_first_sample_as_it_was_is_told_too() -> None:
    class Mirrored(Mine):
        def __getitem__(self, i: int) -> tuple[Image.Image, int]:
            image, label = super().__getitem__(i)
            return (image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if i and self.asked > self.n else image), label

    with pytest.warns(UserWarning, match="Mirrored: sample 1 is another one"):
        of_items(Mirrored())


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([1, None], "1 of 2 samples have no label"),
        (["ant", None], "1 of 2 samples have no label"),
        ([0.5, 1.5], "no labels: what stands beside the samples is of type float;"),
        ([1, "ant"], "is of type int and str;"),
        ([torch.zeros(4), torch.ones(4)], "is of type Tensor;"),
    ],
)
def test_labels_that_are_none_are_told(labels, said) -> None:
    with pytest.warns(UserWarning, match=said):
        assert of_items([(picture(i), label) for i, label in enumerate(labels)]).labels is None


class Endless(IterableDataset):
    def __iter__(self):
        return iter([])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (DataLoader(Mine(), batch_size=4), r"of a DataLoader its \.dataset"),
        (Endless(), "what has a length"),
        ({"image": 1}, "data of type dict"),
        ([], "list: no samples"),
        ([object()], "an array of at most 3 dimensions"),
        ([{"foto": 1}], "call the image one of image"),
        ([picture(0), [0.5, 1.0]], "samples of several kinds"),
        ([[0.5, 1.0], [1.0]], "give all of one length"),
        ([Image.fromarray(np.zeros((4, 4), np.uint16))], "mode I;16"),
        ([torch.full((3, 4, 4), 2.0)], "scale them to"),
    ],
)
def test_what_cannot_be_samples_is_one_line(given, said) -> None:
    with pytest.raises(DataError, match=said):
        dataset(given)


def test_stop_at_the_first() -> None:
    with pytest.raises(DataError, match=r"Mine: sample 4 cannot be had .OSError: the disk is gone"):
        of_items(Mine(broken=4), on_error="stop")
    with pytest.warns(UserWarning, match="Mine: 1 sample could not be read, left out: sample 4"):
        assert len(dataset(Mine(broken=4))) == 11


def test_classes_by_name_of_torchvision_and_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    given = Mine()
    given.classes = ["ant", "bee", "cat"]
    assert of_items(given).classes == given.classes
    given.classes = ["ant", "bee"]  # not of these labels
    assert of_items(given).classes is None
    datasets = pytest.importorskip("datasets", reason="needs the extra infomax[streams]")
    features = datasets.Features({"img": datasets.Image(), "label": datasets.ClassLabel(names=["ant", "bee"])})
    hub = datasets.Dataset.from_dict({"img": [picture(i) for i in range(4)], "label": [0, 1, 1, 0]}, features=features)
    for memory in ("1GB", "0"):
        monkeypatch.setenv("INFOMAX_MEMORY", memory)
        found = of_items(hub)
        assert found.labels.tolist() == [0, 1, 1, 0] and found.classes == ["ant", "bee"]
        assert (found.images[3].numpy() == np.asarray(picture(3))).all()


def test_arrays_that_are_turned_over_or_of_another_byte_order() -> None:
    bytes_, floats = np.asarray(picture(0)), np.random.default_rng(0).random((6, 5, 3)).astype(np.float32)
    for array in (bytes_[:, :, ::-1], floats[:, ::-1], floats.astype(">f4")):
        found = of_items([array] * 2)
        expected = array if array.dtype == np.uint8 else np.rint(array * 255)
        assert (found.images[1].numpy() == expected).all()
    with pytest.raises(DataError, match="at least one"):
        of_items([np.zeros((3, 0, 4), np.float32)])
