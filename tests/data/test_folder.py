import os
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from infomax.data import load
from infomax.data.folder import known_by, unlabelled_for_sure, why_unread
from infomax.errors import ConfigError, DataError, NoSuchSplit
from infomax.training import defaults


def paint(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (12, 10)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    for name, colour in (("blue", (0, 0, 200)), ("red", (200, 0, 0))):
        for i in range(3):
            paint(tmp_path / name / f"{i}.png", colour)
    return tmp_path


def test_one_folder_a_class_gives_labels(classes: Path) -> None:
    data = load(classes)
    assert data.classes == ["blue", "red"]
    assert data.labels is not None and data.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert isinstance(data.images, torch.Tensor) and data.images.shape == (6, 10, 12, 3)
    assert data.images[0, 0, 0].tolist() == [0, 0, 200]
    assert data.mean == pytest.approx((100 / 255, 0.0, 100 / 255))
    assert data.std == pytest.approx((100 / 255, 1.0, 100 / 255))
    assert data.n_skipped == 0


@pytest.mark.parametrize(
    "places",
    [["a.png", "b.png"], ["2024/05/a.png", "2024/06/b.png"], ["a.png", "x/b.png"], ["2024/a.png", "2024/b.png"]],
)
def test_flat_and_nested_folders_have_no_labels(tmp_path: Path, places: list[str]) -> None:
    for place in places:
        paint(tmp_path / place, (1, 2, 3))
    data = load(tmp_path)
    assert len(data) == 2 and data.labels is None and data.classes is None
    assert unlabelled_for_sure(tmp_path) == data.unlabelled


def test_sizes_may_differ_or_be_made_equal(tmp_path: Path) -> None:
    paint(tmp_path / "a.png", (10, 20, 30), size=(40, 20))
    paint(tmp_path / "b.png", (10, 20, 30), size=(16, 16))
    kept = load(tmp_path)
    assert isinstance(kept.images, list) and [tuple(i.shape) for i in kept.images] == [(20, 40, 3), (16, 16, 3)]
    assert kept.size is None and kept.channels == 3
    resized = load(tmp_path, resize=8)
    assert isinstance(resized.images, torch.Tensor) and resized.images.shape == (2, 8, 8, 3) and resized.size == 8


@pytest.mark.parametrize("kind", ["jpg", "png", "tif"])
def test_large_pictures_are_read_at_a_part_of_their_size(tmp_path: Path, kind: str) -> None:
    ramp = np.linspace(0, 255, 1601)[None, :] * np.ones((1200, 1))
    Image.fromarray(ramp.astype(np.uint8)).convert("RGB").save(tmp_path / f"a.{kind}")
    half, quarter, whole = (load(tmp_path, **how).images for how in ({}, {"shrink": 300}, {"shrink": None}))
    assert [tuple(i.shape) for i in (half, quarter, whole)] == [(1, 600, 801, 3), (1, 300, 401, 3), (1, 1200, 1601, 3)]
    exact = torch.from_numpy(ramp[0, :1600].reshape(-1, 4).mean(1))
    assert (quarter[0, 100, :400, 1] - exact).abs().max() < 2  # all of the picture, averaged
    assert load(tmp_path, resize=700).images.shape == (1, 700, 700, 3)  # not magnified after it was shrunk
    for side in (0, -3):
        with pytest.raises(ConfigError, match=f"shrink={side}: give a side in pixels"):
            load(tmp_path, shrink=side)


def test_a_picture_that_a_camera_turned_is_shrunk_and_turned(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 48, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise).save(tmp_path / "a.jpg", exif=exif)
    assert load(tmp_path, shrink=10).images.shape == (1, 12, 16, 3)
    assert load(tmp_path).images.shape == (1, 48, 64, 3)


def test_wide_grey_values_and_palettes_are_shrunk_as_they_look(tmp_path: Path) -> None:
    Image.fromarray(np.tile(np.array([[0, 40_000]], np.uint16), (8, 4))).save(tmp_path / "a.png")
    assert load(tmp_path, shrink=4).images[0, ..., 0].unique().tolist() == [round(40_000 * 255 / 65535 / 2)]
    stripes = Image.fromarray(np.tile(np.array([[0, 1]], np.uint8), (8, 4)), mode="P")
    stripes.putpalette([200, 0, 0, 0, 100, 0])
    stripes.save(tmp_path / "a.png")
    assert load(tmp_path, shrink=4).images.reshape(-1, 3).unique(dim=0).tolist() == [[100, 50, 0]]


def test_broken_files_are_skipped_counted_and_named(classes: Path) -> None:
    whole = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(whole).save(classes / "red" / "cut.jpg")
    file = classes / "red" / "cut.jpg"
    file.write_bytes(file.read_bytes()[:900])
    (classes / "blue" / "empty.png").write_bytes(b"")
    (classes / "blue" / "text.jpg").write_text("not an image")
    (classes / "blue" / "notes.txt").write_text("not meant to be one")
    data = load(classes)
    assert len(data) == 6 and data.n_skipped == 3
    assert sorted(data.skipped) == [str(Path("blue/empty.png")), str(Path("blue/text.jpg")), str(Path("red/cut.jpg"))]
    assert data.labels is not None and data.labels.tolist() == [0, 0, 0, 1, 1, 1]
    names = r"blue.empty\.png \(empty\), blue.text\.jpg \(not an image\), red.cut\.jpg \(cut short\)"
    with pytest.warns(UserWarning, match=rf"3 files could not be read, left out: {names}$"):
        defaults.dataset(str(classes))
    for k in range(3):
        (classes / "blue" / f"more{k}.png").write_bytes(b"")
    with pytest.warns(UserWarning, match=r"6 files could not .* \.\.\.; all of them: im\.data\.load\('.*'\)\.skipped$"):
        defaults.dataset(str(classes))
    with pytest.raises(DataError, match=r"empty\.png: cannot be decoded"):
        load(classes, on_error="stop")


def test_all_that_was_left_out_is_had_by_what_the_warning_says(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for k in range(6):
            paint(tmp_path / split / ("red", "blue")[k % 2] / f"{k}.png", (0, 0, 200))
            (tmp_path / split / "red" / f"{split}{k}.png").write_bytes(b"")
    for split in ("train", "test"):
        with pytest.warns(UserWarning, match="all of them") as seen:
            defaults.dataset(str(tmp_path), split=split)
        said = re.search(r"im\.data\.(load\(.*\)\.skipped)$", str(seen[-1].message))
        assert said is not None
        assert [Path(name).stem for name in eval(said[1], {"load": load})] == [f"{split}{k}" for k in range(6)]


def test_why_a_file_was_not_read_is_known_in_a_few_words() -> None:
    for said, why in (
        ("PermissionError: [Errno 13] Permission denied: '/a'", "no permission"),
        ("FileNotFoundError: [Errno 2] No such file or directory: '/a'", "a link to nothing"),
        ("OSError: [Errno 5] Input/output error", "input/output error"),
        ("OSError: Truncated File Read", "cut short"),
        ("OSError: no regular file", "no regular file"),
        ("SyntaxError: broken PNG file (chunk b'x')", "damaged"),
    ):
        assert why_unread(said) == why


def test_pictures_of_kinds_that_are_not_read_are_counted_and_what_is_none_is_not(classes: Path) -> None:
    for name in ("a.HEIC", "red/b.heic", "blue/c.dng", "d.txt", "e.json", "f.csv", ".DS_Store", ".g.heic", "h.mov"):
        (classes / name).write_bytes(b"")
    said = r"3 pictures of kinds that are not read \(2 \.heic, 1 \.dng\): convert .* mogrify -format jpg \*\.heic$"
    with pytest.warns(UserWarning, match=said):
        data = load(classes)
    assert len(data) == 6 and data.labels is not None and data.n_skipped == 0
    (classes / "blue" / "c.dng").rename(classes / "alone.dng")
    for part in ("red", "blue"):
        for file in (classes / part).glob("*.png"):
            file.unlink()
    with pytest.raises(DataError, match=r"no images in this folder .*; 3 pictures of kinds that are not read"):
        load(classes)


def test_grey_transparent_wide_and_turned_images_become_rgb(tmp_path: Path) -> None:
    Image.new("L", (4, 4), 7).save(tmp_path / "a_grey.png")
    Image.new("RGBA", (4, 4), (1, 2, 3, 128)).save(tmp_path / "b_alpha.png")
    Image.fromarray(np.full((4, 4), 25700, dtype=np.uint16)).save(tmp_path / "c_wide.png")
    turned = Image.new("RGB", (4, 4), (9, 9, 9))
    turned.putpixel((3, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    turned.save(tmp_path / "d_turned.png", exif=exif)
    data = load(tmp_path)
    assert data.n_skipped == 0 and isinstance(data.images, torch.Tensor)
    assert data.images[:3, 0, 0].tolist() == [[7, 7, 7], [1, 2, 3], [100, 100, 100]]
    assert data.images[3, 3, 0].tolist() == [255, 255, 255]


def test_a_broken_tag_in_a_picture_breaks_nothing_else(tmp_path: Path) -> None:
    paint(tmp_path / "a.png", (1, 2, 3))
    tags = {0x0112: "03 00000001 0006 0000", 0x010F: "0c 00000003 00000000"}  # turned; and a maker's name in numbers
    broken = "4d4d002a 00000008 0002" + "".join(f"{tag:04x} 00{said}" for tag, said in tags.items()) + "00" * 40
    Image.new("RGB", (4, 4)).save(tmp_path / "b.jpg", exif=b"Exif\0\0" + bytes.fromhex(broken))
    with warnings.catch_warnings(action="ignore"):  # Pillow's own, of the tag
        data = load(tmp_path)
    assert len(data) == 1 and data.skipped == ("b.jpg",)


def test_floats_in_a_picture_keep_their_contrast_and_nan_is_no_picture(tmp_path: Path) -> None:
    levels = np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4)
    Image.fromarray(levels).save(tmp_path / "a.tif")
    Image.fromarray(np.where(levels > 0.5, np.float32("nan"), levels)).save(tmp_path / "b.tif")
    data = load(tmp_path)
    assert data.images[0, :, :, 0].flatten().tolist() == [round(17 * k) for k in range(16)]
    assert data.skipped == ("b.tif",)


def test_the_wide_images_of_a_set_have_one_scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def grey(place: str, value: int) -> None:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), value, np.uint16)).save(tmp_path / place)

    for i, value in enumerate((255, 256, 4000)):  # 12 bits
        grey(f"train/a/{i}.png", value)
    grey("test/a/0.png", 4095)
    Image.new("L", (4, 4), 200).save(tmp_path / "train" / "a" / "8.png")
    for memory in ("1GB", "0", "0"):  # held, decoded on use, and by the index
        monkeypatch.setenv("INFOMAX_MEMORY", memory)
        train, test = load(tmp_path), load(tmp_path, split="test")
        assert [int(train.images[i].max()) for i in range(4)] == [16, 16, 249, 200]
        assert int(test.images[0].max()) == 255 and train.mean == test.mean
    grey("test/a/1.png", 5000)
    with pytest.warns(UserWarning, match="values above 4095, which a sample of the set does not: they are clipped"):
        assert int(load(tmp_path, split="test").images[1].max()) == 255
    grey("train/a/3.png", 256 * 256 - 1)
    assert [int(image.max()) for image in load(tmp_path).images] == [1, 1, 16, 255, 200]


def test_names_that_are_no_text_are_spelt_out(tmp_path: Path) -> None:
    paint(tmp_path / "a.png", (1, 2, 3))
    try:
        os.rename(tmp_path / "a.png", os.fsencode(tmp_path) + b"/a\xff.png")
    except OSError:
        pytest.skip("this system's files have names of text")
    data = load(tmp_path)
    assert data.files == ["a\\udcff.png"] and len(data) == 1
    for folder in (b"caf\xe9", b"tea"):
        os.mkdir(os.fsencode(tmp_path) + b"/" + folder)
        paint(Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + folder)) / "0.png", (1, 2, 3))
    os.remove(os.fsencode(tmp_path) + b"/a\xff.png")
    assert load(tmp_path).classes == ["caf\\udce9", "tea"], "classes too"


def test_splits_are_folders_and_statistics_are_of_train(tmp_path: Path) -> None:
    paint(tmp_path / "train" / "a" / "0.png", (0, 0, 0))
    paint(tmp_path / "train" / "b" / "0.png", (255, 255, 255))
    paint(tmp_path / "val" / "b" / "0.png", (255, 255, 255))
    test = load(tmp_path, split="test")
    assert test.labels is not None and test.labels.tolist() == [1] and test.classes == ["a", "b"]
    assert test.mean == pytest.approx((0.5, 0.5, 0.5)) == load(tmp_path).mean
    (tmp_path / "val" / "aa").mkdir()
    (tmp_path / "val" / "aa" / "0.png").write_bytes(b"no image")
    test = load(tmp_path, split="test")
    assert test.labels is not None and test.labels.tolist() == [1] and test.skipped == ("aa/0.png",)
    paint(tmp_path / "val" / "c" / "0.png", (0, 0, 0))
    with pytest.raises(DataError, match="class 'c' is not among the training classes"):
        load(tmp_path, split="test")


@pytest.mark.parametrize("name", ["validation", "valid", "dev"])
def test_a_held_out_folder_by_any_of_its_names_is_no_part_of_train(tmp_path: Path, name: str) -> None:
    for part, shade in (("train", 0), (name, 255)):
        for label in ("a", "b"):
            paint(tmp_path / part / label / "0.png", (shade, shade, shade))
    for split, shade in (("train", 0), ("test", 255)):
        data = load(tmp_path, split=split)
        assert data.labels is not None and data.labels.tolist() == [0, 1] and data.classes == ["a", "b"]
        assert int(data.images[0].max()) == shade
    paint(tmp_path / "test" / "b" / "0.png", (9, 9, 9))
    assert len(load(tmp_path, split="test")) == 1, "a folder `test` goes before"


@pytest.mark.parametrize("names", [("Train", "Test"), ("training", "testing"), ("TRAIN", "Val")])
def test_splits_go_by_longer_names_and_capitals_too(tmp_path: Path, names: tuple[str, str]) -> None:
    for name, n in zip(names, (2, 1), strict=True):
        for i in range(n):
            paint(tmp_path / name / f"{i}.png", (1, 2, 3))
    data = load(tmp_path)
    assert len(data) == 2 and data.labels is None and len(load(tmp_path, split="test")) == 1
    paint(tmp_path / names[0] / "a" / "0.png", (1, 2, 3))
    assert len(load(tmp_path)) == 3


@pytest.mark.parametrize("beside", ["unlabeled", "extra/more"])
def test_a_folder_train_beside_no_held_out_one_is_said_where_it_costs_the_labels(tmp_path: Path, beside: str) -> None:
    for place in ("train/a", "train/b", f"{beside}/a"):
        paint(tmp_path / place / "0.png", (1, 2, 3))
    with pytest.warns(
        UserWarning, match=r"its folder train and what lies beside it are taken together, without labels"
    ):
        data = load(tmp_path)
    assert len(data) == 3 and data.labels is None
    for vehicle in ("train", "plane"):
        paint(tmp_path / "vehicles" / vehicle / "0.png", (1, 2, 3))
    data = load(tmp_path / "vehicles")
    assert data.classes == ["plane", "train"], "a class by that name is no split"


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    paint(tmp_path / "a.png", (1, 2, 3))
    os.mkfifo(tmp_path / "b.png")
    (tmp_path / "c.png").symlink_to("nothing")
    data = load(tmp_path)
    assert data.files == ["a.png"] and data.skipped == ("b.png", "c.png")


def test_a_stray_picture_that_takes_the_labels_is_named(classes: Path) -> None:
    paint(classes / "preview.png", (1, 2, 3))
    with pytest.warns(UserWarning, match=r"1 picture directly in it left out, since the other 6 lie .*: preview\.png;"):
        assert load(classes).classes == ["blue", "red"]
    with pytest.warns(UserWarning, match=r"no labels, since 1 of 7 images does not .*\(the first: preview\.png\)"):
        assert load(classes, stray=True).labels is None
    paint(classes / "cover.png", (1, 2, 3))
    with pytest.warns(UserWarning, match=r"no labels, since 2 of 8 images do not .*\(the first: cover\.png\)"):
        data = load(classes)
    assert data.labels is None and data.classes is None
    (classes / "cover.png").unlink(), (classes / "preview.png").unlink()
    paint(classes / "red" / "old" / "a.png", (1, 2, 3))
    with pytest.warns(UserWarning, match="no labels, since 1 of 7 images does not"):
        assert load(classes).labels is None


def test_a_few_pictures_beside_the_folders_of_classes_are_left_out(classes: Path) -> None:
    for i in range(93):
        paint(classes / "red" / f"more{i}.png", (200, 0, 0), size=(2, 2))
    alone = load(classes)
    paint(classes / "preview.png", (1, 2, 3))
    with pytest.warns(
        UserWarning, match=r"1 picture directly in it left out, since the other 99 .* classes: preview\.png;"
    ):
        data = load(classes)
    assert data.classes == ["blue", "red"] and len(data) == 99 and data.files is not None
    assert data.files_known_by == known_by(classes) == alone.files_known_by, "data are the same with it and without"
    assert unlabelled_for_sure(classes) is None
    paint(classes / "cover.png", (1, 2, 3))
    with pytest.warns(UserWarning, match="no labels, since 2 of 101 images"):  # more than 1 %
        many = load(classes)
    assert len(many) == 101 and many.files_known_by == known_by(classes)
    (classes / "cover.png").unlink()
    paint(classes / "red" / "old" / "a.png", (1, 2, 3))
    with pytest.warns(UserWarning, match="no labels, since 2 of 101 images"):  # another layout
        assert len(load(classes)) == 101


def test_one_class_is_none_in_either_split_and_a_broken_one_stays_a_class(tmp_path: Path) -> None:
    for part in ("train", "test"):
        paint(tmp_path / part / "x" / "0.png", (1, 2, 3))
        one = load(tmp_path, split=part if part == "test" else "train")
        assert one.labels is None and one.no_labels.startswith("has no labels (all its images lie in one folder, 'x':")
        assert unlabelled_for_sure(tmp_path) == one.unlabelled
    for part in ("train", "test"):
        for name in ("w", "y"):
            paint(tmp_path / part / name / "0.png", (1, 2, 3))
    (tmp_path / "train" / "x" / "0.png").write_bytes(b"no image")
    with pytest.warns(UserWarning, match=r"train: class 'x' has no readable image, and a number all the same"):
        train = load(tmp_path)
    test = load(tmp_path, split="test")  # without a word more
    for data, labels in ((train, [0, 2]), (test, [0, 1, 2])):
        assert data.classes == ["w", "x", "y"] and data.labels is not None and data.labels.tolist() == labels
    (tmp_path / "train" / "v").mkdir()
    (tmp_path / "train" / "v" / "0.png").write_bytes(b"no image")
    with pytest.warns(UserWarning, match=r"train: 2 classes \('v', 'x'\) have no readable image"):
        load(tmp_path)


def test_what_a_mac_puts_into_a_zip_is_no_class(classes: Path) -> None:
    (classes / "__MACOSX").mkdir()
    (classes / "__MACOSX" / "a.jpg").write_text("x")
    data = load(classes)
    assert data.classes == ["blue", "red"] and data.n_skipped == 0
    (classes / "train").mkdir()
    for name in ("blue", "red"):
        (classes / name).rename(classes / "train" / name)
    assert load(classes).classes == ["blue", "red"], "nor does it cost a folder train its labels"


def test_folders_that_cannot_be_used_say_why(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no images in this folder"):
        load(tmp_path)
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"of 1 image none can be decoded \(the first: a.png\)"):
        load(tmp_path)
    with pytest.raises(DataError, match="no test split"):
        load(tmp_path, split="test")
    with pytest.raises(ConfigError, match="one of: skip, stop"):
        load(tmp_path, on_error="ignore")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="resize=0"):
        load(tmp_path, resize=0)


def test_links_are_followed_and_a_loop_multiplies_nothing(
    classes: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    paint(elsewhere / "0.png", (0, 200, 0))
    (classes / "amber").symlink_to(elsewhere, target_is_directory=True)
    (classes / "azure").symlink_to(classes / "blue", target_is_directory=True)
    (classes / "blue" / "up").symlink_to(classes, target_is_directory=True)
    data = load(classes)
    assert len(data) == 7 and data.classes == ["amber", "blue", "red"]


def test_a_train_folder_alone_keeps_its_labels(tmp_path: Path) -> None:
    for name in ("a", "b"):
        paint(tmp_path / "train" / name / "0.png", (0, 0, 0))
    (tmp_path / "README.txt").write_text("mine")
    data = load(tmp_path)
    assert data.classes == ["a", "b"] and data.labels is not None and data.labels.tolist() == [0, 1]
    with pytest.raises(NoSuchSplit, match="no test split"):
        load(tmp_path, split="test")
    paint(tmp_path / "plane" / "0.png", (0, 0, 0))
    paint(tmp_path / "train" / "0.png", (0, 0, 0))
    with pytest.warns(UserWarning, match="its folder train and what lies beside it are taken together"):
        assert len(load(tmp_path)) == 4, "here `train` is a folder like any other"
