import io
import os
import sys
import tarfile
import warnings
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
import shard_files as shards
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import infomax as im
from infomax.data import gather, load, order
from infomax.data.encoded import Encoded
from infomax.data.order import batches, blockwise
from infomax.data.parquet import Parquets
from infomax.data.shards import Shards
from infomax.errors import DataError, NoSuchSplit
from infomax.evaluate.embed import embed
from infomax.evaluate.neighbours import duplicates
from infomax.training.defaults import view_function
from infomax.training.feed import Feed
from infomax.views import rng

N = 60
MAKE = {"tar": shards.write_tars, "parquet": shards.write_parquets}
kinds = pytest.mark.parametrize("kind", sorted(MAKE))


@pytest.fixture(autouse=True)
def own_index(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFOMAX_DATA", str(tmp_path_factory.mktemp("root")))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=40).filter(lambda x: sum(x) > 0),
    st.integers(0, 5),
    st.integers(0, 3),
    st.integers(1, 200),
    st.integers(1, 4),
)
def test_every_sample_once_and_a_window_at_a_time(
    lengths: list[int], seed: int, epoch: int, rows: int, count: int
) -> None:
    n, blocks = sum(lengths), torch.tensor(lengths)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(order, "WINDOW_ROWS", rows)
        patch.setattr(order, "WINDOW_BLOCKS", count)
        visited = blockwise(blocks, seed, epoch)
        assert torch.equal(visited, blockwise(blocks, seed, epoch))
    assert visited.sort().values.tolist() == list(range(n))
    block_of = torch.arange(len(lengths)).repeat_interleave(blocks)[visited].tolist()
    first = {b: block_of.index(b) for b in set(block_of)}
    last = {b: n - 1 - block_of[::-1].index(b) for b in set(block_of)}
    most = max(rows, count * max(lengths)) + max(lengths)
    assert all(last[b] - first[b] < most for b in first)  # what has been read is soon done with
    assert torch.equal(blockwise(blocks, seed, epoch), rng.permutation(n, order._ORDER, seed, epoch))  # one window


def test_windows_mix_blocks_and_epochs_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order, "WINDOW_ROWS", 64)
    blocks = torch.full((100,), 8)
    one, other = (torch.cat(list(batches(800, 32, epoch=e, blocks=blocks))) for e in (0, 1))
    assert len(one) == 800 and not torch.equal(one, other)
    assert len((one[:32] // 8).unique()) >= 6
    assert len(set((one[:64] // 8).tolist()) & set((other[:64] // 8).tolist())) < 5


@kinds
def test_shards_hold_what_the_folder_holds(tmp_path: Path, kind: str) -> None:
    images = shards.pictures(N)
    folder = load(shards.write_folder(tmp_path / "folder", images))
    data = load(MAKE[kind](tmp_path / "shards", images))
    assert isinstance(data.images, Shards) and data.images.blocks.sum() == N == len(data)
    assert (data.mean, data.std, data.size, data.channels) == (folder.mean, folder.std, 18, 3)
    assert torch.equal(data.labels, folder.labels)  # type: ignore[arg-type]
    assert data.classes == (["zero", "one", "two"] if kind == "parquet" else None)
    index = torch.tensor([59, 0, 20, 19, 40, 0])
    assert torch.equal(gather(data.images, index), gather(folder.images, index))  # type: ignore[arg-type]
    assert torch.equal(data.images[18:45], folder.images[18:45])  # type: ignore[arg-type]
    for sweep, batch in ((0, 0), (3, 6)):
        views = [Feed(d, view_function(d), batch_size=8, seed=1)(sweep, batch) for d in (folder, data)]
        assert all(torch.equal(a, b) for a, b in zip(*views, strict=True))


@pytest.mark.filterwarnings("ignore::infomax.CollapseWarning")  # the pictures are noise
@kinds
def test_a_run_on_shards_ends_in_the_bits_of_one_on_the_folder_and_is_probed(tmp_path: Path, kind: str) -> None:
    images = shards.pictures(30)
    ends, found = [], []
    for path in (shards.write_folder(tmp_path / "folder", images), MAKE[kind](tmp_path / "shards", images)):
        torch.manual_seed(0)
        learner = im.methods.simclr(im.encoders.get("mlp", channels=3, size=8, hidden=8), projector=(8,))
        run = im.train(learner, path, epochs=2, batch_size=8, size=8, progress=False, gauge_samples=16)
        ends.append(torch.cat([p.detach().flatten() for p in run.learner.parameters()]))
        found.append(run.evaluate())
    assert torch.equal(*ends)
    assert found[0]["linear"] == found[1]["linear"] and found[0]["knn"] == found[1]["knn"]


@kinds
def test_what_cannot_be_decoded_is_replaced_by_the_next_and_named(tmp_path: Path, kind: str) -> None:
    images = shards.pictures(N)
    whole = load(MAKE[kind](tmp_path / "whole", images))
    for bad in (10, 11, 59):
        images[bad] = images[bad][:200] if bad != 11 else b""
    data = load(MAKE[kind](tmp_path / "broken", images))
    assert isinstance(data.images, Encoded)
    taken = gather(data.images, torch.tensor([59, 10, 11, 12]))
    expected = gather(whole.images, torch.tensor([0, 12, 12, 12]))
    assert torch.equal(taken, expected)  # type: ignore[arg-type]
    assert sorted(data.images.replaced) == data.replaced == [10, 11, 59]
    assert im.data.Dataset(torch.zeros(2, 3)).replaced == []
    where = {"tar": "part-002.tar/a/00059.jpg", "parquet": "part-002.parquet, row 19"}[kind]
    assert data.images.replaced[59] == where == data.names([59])[0]  # type: ignore[index]
    assert data.labels is not None and data.labels[59] == 0
    feed = Feed(data, view_function(data), batch_size=20)
    with (
        pytest.warns(UserWarning, match="3 samples could not be decoded, and the next whole one"),
        feed.ahead([(0, 0)]),
    ):
        feed(0, 0)
    first = {"tar": "part-000.tar/a/00010.jpg", "parquet": "part-000.parquet, row 10"}[kind]
    with pytest.raises(DataError, match=rf"{tmp_path / 'broken' / first}: cannot be decoded .*ask to skip"):
        load(tmp_path / "broken", on_error="stop")


def test_what_cannot_be_decoded_is_neither_embedded_nor_judged_but_named(tmp_path: Path) -> None:
    images = shards.pictures(30)
    images[4] = images[17] = b"no image"
    torch.manual_seed(0)
    learner = im.methods.simclr(im.encoders.get("mlp", channels=3, size=8, hidden=8), projector=(8,))
    path = shards.write_tars(tmp_path / "shards", images)
    with pytest.warns(UserWarning, match="2 samples could not be decoded, and the next"):
        run = im.train(learner, path, epochs=1, batch_size=8, size=8, progress=False, gauge_samples=16)
    with pytest.warns(
        UserWarning, match="2 samples could not be decoded, left out: part-000.tar/a/00004.jpg, part-001.tar/a/00017"
    ):
        z, names = embed(run, path, tmp_path / "z.npz", progress=False)
    assert len(z) == 28 and names == [
        f"part-{row // 10:03}.tar/a/{row:05}.jpg" for row in range(30) if row not in (4, 17)
    ]
    assert not duplicates(z, threshold=1.0)
    with np.load(tmp_path / "z.npz") as read:
        assert len(read["features"]) == len(read["labels"]) == len(read["names"]) == 28
    with pytest.warns(UserWarning, match="2 samples could not be decoded, left out: .*/00004.jpg, "):
        found = run.evaluate(protocols="knn")
    assert found["train"] + found["test"] == 28


def test_nothing_whole_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none of the samples after it can"):
        load(shards.write_tars(tmp_path, [b"no image"] * 5))


@kinds
def test_blocks_are_read_once_and_only_two_windows_are_held(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = shards.pictures(8) * 40
    for module in ("order", "shards"):
        monkeypatch.setattr(f"infomax.data.{module}.WINDOW_ROWS", 32)
        monkeypatch.setattr(f"infomax.data.{module}.WINDOW_BLOCKS", 2)
    monkeypatch.setattr("infomax.training.feed.WINDOW_ROWS", 32)
    monkeypatch.setattr("infomax.data.tar.BLOCK", 8)
    data = load(MAKE[kind](tmp_path, images, shards=4, **({"group": 8} if kind == "parquet" else {})))
    assert isinstance(data.images, Shards) and len(data.images.blocks) == 40
    seen: list[int] = []
    read = data.images.read
    monkeypatch.setattr(data.images, "read", lambda block: (seen.append(block), read(block))[1])
    data.images._held.clear()
    data.images._rows_held = 0
    feed = Feed(data, im.views.recipe("none", size=8), batch_size=16)
    plan = [(0, b) for b in range(20)]
    with feed.ahead(plan):
        for step in plan:
            feed(*step)
            with data.images._lock:
                assert data.images._rows_held <= 2 * 32 + 2 * 8
    assert sorted(seen) == list(range(40))


def test_the_start_reads_its_blocks_at_once_and_each_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for bound in ("WINDOW_ROWS", "WINDOW_BLOCKS"):
        monkeypatch.setattr(f"infomax.data.shards.{bound}", 1)
    shards.write_parquets(tmp_path, shards.pictures(72), group=6)
    read, all_begun = Parquets.read, Barrier(12)
    begun: list[int] = []

    def waiting(self: Parquets, block: int) -> list[bytes | None]:
        begun.append(block)
        all_begun.wait(timeout=5)
        return read(self, block)

    monkeypatch.setattr(Parquets, "read", waiting)
    assert len(load(tmp_path)) == 72 and sorted(begun) == list(range(12))


@kinds
def test_splits_are_read_off_the_names(tmp_path: Path, kind: str) -> None:
    images = shards.pictures(N)
    MAKE[kind](tmp_path, images[:40], name="train")
    MAKE[kind](tmp_path, images[40:], name="validation", shards=1)
    train, test = load(tmp_path), load(tmp_path, split="test")
    assert (len(train), len(test)) == (40, 20) and (train.split, test.split) == ("train", "test")
    assert (test.mean, test.classes) == (train.mean, train.classes)
    ending = {"tar": "tar", "parquet": "parquet"}[kind]
    alone = load(f"{tmp_path}/validation-*.{ending}")
    assert len(alone) == 20 and alone.mean != train.mean and alone.split is None
    with pytest.raises(NoSuchSplit, match="no test split"):
        load(f"{tmp_path}/validation-*.{ending}", split="test")


def test_patterns_name_shards_and_origins_hold_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shards.write_tars(tmp_path / "tars", shards.pictures(12), shards=3)
    monkeypatch.chdir(tmp_path)
    for name, n in (
        ("tars", 12), ("tars/*.tar", 12), ("tars/part-{001..002}.tar", 8), ("tars/part-{000,002}.tar#jpg", 8),
        ("tars/part-001.tar", 4), (tmp_path / "tars", 12),
    ):  # fmt: skip
        data = load(name)
        assert len(data) == n and data.origin is not None
        assert data.origin[0].startswith(str(tmp_path)) and data.origin[0].endswith(str(name)[-4:])
        with monkeypatch.context() as patch:
            patch.chdir("/")
            assert len(load(data.origin[0])) == n
    os.rename("tars/part-002.tar", "tars/a{1}[0].tar")
    assert len(load("tars/a{1}[0].tar")) == 4
    os.rename("tars/a{1}[0].tar", "tars/part-002.tar")
    for name, said in (
        ("tars/part-{001..007}.tar", r"no file .*part-003\.tar, of the pattern"),
        ("none-*.tar", "no file none-.*tar"),
        ("tars/part-{2..0}.tar", r"part-\{2\.\.0\}\.tar: \{2\.\.0\} names nothing: give the smaller number first"),
        ("tars#png", r"no images under 'png' in its 3 tar shards \(endings seen: cls, jpg, json\)"),
    ):
        with pytest.raises(DataError, match=said):
            load(name)


def test_samples_of_tar_shards_without_a_label_are_counted_and_said(tmp_path: Path) -> None:
    for name, labels in (("some", ["0", "", "2"]), ("none", ["", "", ""]), ("all", ["0", "1", "2"])):
        (tmp_path / name).mkdir()
        with tarfile.open(tmp_path / name / "part-0.tar", "w") as tar:
            for i, image in enumerate(shards.pictures(3)):
                for ending, content in (("jpg", image), *[("cls", labels[i].encode())] * bool(labels[i])):
                    member = tarfile.TarInfo(f"{i}.{ending}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
    with pytest.warns(UserWarning, match=r"some: 1 of 3 samples have no label .*, so these data count as unlabelled"):
        assert load(tmp_path / "some").labels is None
    with warnings.catch_warnings(action="error"):
        whole = load(tmp_path / "all").labels
        assert load(tmp_path / "none").labels is None and whole is not None and whole.tolist() == [0, 1, 2]


def tar_of(path: Path, names: list[str]) -> Path:
    """A tar of different pictures; a `.cls` holds its place among the members."""
    with tarfile.open(path, "w") as tar:
        for i, (name, image) in enumerate(zip(names, shards.pictures(len(names)), strict=True)):
            content = str(i).encode() if name.endswith(".cls") else image
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("labelled", [False, True])
def test_pictures_with_dots_in_their_names_are_samples_each(tmp_path: Path, labelled: bool) -> None:
    names = [f"trip/2024-05-01 {h:02}.{m:02}.33" for h in (9, 10) for m in range(4)]
    endings = ("png", "cls") if labelled else ("png",)
    path = tar_of(tmp_path / "camera.tar", [f"{name}.{ending}" for name in names for ending in endings])
    with warnings.catch_warnings(action="error"):
        data = load(path)
    pictures = [image.numpy().tobytes() for image in data.images]  # type: ignore[union-attr]
    assert len(set(pictures)) == len(data) == 8
    if labelled:
        assert data.labels is not None and data.labels.tolist() == list(range(1, 16, 2))
    with tarfile.open(path) as tar:
        last = tar.getmembers()[-1].offset_data
    path.write_bytes(path.read_bytes()[: last + 1])
    data = load(path)
    # without labels the last whole one goes too: its label may have been what is missing
    assert len(data) == (7 if labelled else 6) and data.n_skipped == 1 and (data.labels is not None) == labelled


def test_pictures_of_one_sample_share_its_label_and_what_is_beside_them_is_counted(tmp_path: Path) -> None:
    pair = tar_of(tmp_path / "pair.tar", [f"{i}.{end}" for i in range(2) for end in ("left.png", "right.png", "cls")])
    labels = load(pair).labels
    assert labels is not None and labels.tolist() == [2, 2, 5, 5] and len(load(f"{pair}#right.png")) == 2
    seg = tar_of(tmp_path / "seg.tar", [f"{i}.{end}" for i in range(2) for end in ("jpg", "seg.jpg", "png")])
    with pytest.warns(
        UserWarning, match=r"seg\.tar: 4 images beside another .* \(the first: 0\.seg\.jpg\): .* behind a #"
    ):
        assert len(load(seg)) == 2
    with warnings.catch_warnings(action="error"):
        assert len(load(f"{seg}#seg.jpg")) == 2


def test_a_sample_of_a_tar_is_named_by_its_shard_and_member_whatever_these_are_called(tmp_path: Path) -> None:
    for shard in ("b/x.tar", "a/x.tar"):
        (tmp_path / shard).parent.mkdir()
        tar_of(tmp_path / shard, ["./n\udcffe.jpg", f"{'long' * 40}.jpg"])
    data = load(tmp_path)
    told = [rf"{folder}/x.tar/{name}" for folder in "ab" for name in (r"./n\xffe.jpg", f"{'long' * 40}.jpg")]
    assert data.names(range(4)) == told and load(tmp_path / "b").names([1]) == [f"x.tar/{'long' * 40}.jpg"]
    cut = tar_of(tmp_path / "a" / "x.tar", ["1.jpg"])
    cut.write_bytes(cut.read_bytes()[:1000])
    assert load(tmp_path).skipped == (str(cut),), "nothing of it is whole"


@pytest.mark.parametrize("below", ["", "./", "photos/", "./my/photos/"])
def test_folders_side_by_side_in_a_tar_are_classes_as_in_a_folder(tmp_path: Path, below: str) -> None:
    tar_of(tmp_path / "train-0.tar", [f"{below}cat/1.jpg", f"{below}cat/._1.jpg", f"{below}dog/1.jpg"])
    tar_of(tmp_path / "train-1.tar", [f"{below}ant/1.jpg", f"{below}dog/2.jpg"])
    tar_of(tmp_path / "test.tar", ["dog/7.jpg"])
    data, test = load(tmp_path), load(tmp_path, split="test")
    assert data.labels is not None and data.labels.tolist() == [1, 2, 0, 2] and data.classes == ["ant", "cat", "dog"]
    assert test.labels is not None and test.labels.tolist() == [2] and test.classes == data.classes
    tar_of(tmp_path / "test.tar", ["gnu/7.jpg"])
    with pytest.raises(DataError, match="class 'gnu' is not among the training classes"):
        load(tmp_path, split="test")


def test_folders_in_a_tar_that_are_no_classes_are_said_and_cls_goes_first(tmp_path: Path) -> None:
    for i, astray in enumerate(("train/cat/1.jpg", "3.jpg")):
        path = tar_of(tmp_path / f"{i}.tar", ["cat/1.jpg", "dog/1.jpg", astray])
        with pytest.warns(UserWarning, match=r"\d\.tar: no labels: no sample has a \.cls, and the folders .* unlike '"):
            assert load(path).labels is None
    with warnings.catch_warnings(action="error"):
        one = load(tar_of(tmp_path / "one.tar", ["my/cat/1.jpg", "my/cat/2.jpg"]))
        assert one.labels is None and "(all its images lie in one folder, 'cat': one class" in one.no_labels
        assert load(tar_of(tmp_path / "flat.tar", ["1.jpg", "2.jpg"])).no_labels == "has no labels"
        data = load(tar_of(tmp_path / "cls.tar", ["cat/1.jpg", "cat/1.cls", "dog/1.jpg", "dog/1.cls"]))
    assert data.labels is not None and data.labels.tolist() == [1, 3] and data.classes is None


@kinds
def test_wide_images_in_shards_have_one_scale_that_of_train(tmp_path: Path, kind: str) -> None:
    images = []
    for value in (100, 1000, 16000, 200):
        buffer = io.BytesIO()
        Image.fromarray(np.full((4, 4), value, np.uint16)).save(buffer, "PNG")
        images.append(buffer.getvalue())
    MAKE[kind](tmp_path, images[:3], name="train")
    MAKE[kind](tmp_path, images[3:], name="test", shards=1)
    assert [int(image.max()) for image in load(tmp_path).images] == [2, 16, 249]  # type: ignore[union-attr]
    assert int(load(tmp_path, split="test").images[0].max()) == 3


def test_shards_of_training_and_testing_are_splits(tmp_path: Path) -> None:
    for name, n in (("training", 4), ("Testing", 2)):
        shards.write_tars(tmp_path, shards.pictures(n), shards=1, name=name)
    assert (len(load(tmp_path)), len(load(tmp_path, split="test"))) == (4, 2)


def test_a_column_is_found_or_named(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    images = shards.pictures(6)
    assert len(load(shards.write_parquets(tmp_path / "odd", images, column="Bild"))) == 6
    assert len(load(f"{tmp_path}/odd#Bild")) == 6
    with pytest.raises(
        DataError, match=r"no column 'foto' of encoded images \(seen: id \(int64\), Bild \(struct.*label"
    ):
        load(f"{tmp_path}/odd#foto")
    table = pa.table({"bytes": images, "label": ["cat", "dog", "ape", "dog", "cat", "ape"]})
    parquet.write_table(table, tmp_path / "plain.parquet")
    data = load(tmp_path / "plain.parquet")
    assert data.classes == ["ape", "cat", "dog"] and data.labels is not None
    assert data.labels.tolist() == [1, 2, 0, 2, 1, 0]
    parquet.write_table(pa.table({"text": ["a", "b"]}), tmp_path / "text.parquet")
    with pytest.raises(DataError, match=r"no column of encoded images \(seen: text \(string\)\): name it behind a #"):
        load(tmp_path / "text.parquet")
    parquet.write_table(pa.table({"image": images, "label": [0, 1, -1, 0, 0, 0]}), tmp_path / "hidden.parquet")
    with pytest.warns(UserWarning, match="1 of 6 samples have no label"):
        assert load(tmp_path / "hidden.parquet").labels is None


def parquet_of(path: Path, label: object, n: int = 3) -> Path:
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path.parent.mkdir(exist_ok=True)
    parquet.write_table(pa.table({"image": shards.pictures(n), "label": label}), path)
    return path


def test_labels_of_parquet_may_be_missing_categories_and_yes_or_no_but_not_silently_none(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    for values, found in (
        (pa.array(["b", "a", "b"]).dictionary_encode(), [1, 0, 1]),
        (pa.array([True, False, True]), [1, 0, 1]),
        (pa.array([None] * 3, pa.int64()), None),
        (pa.array([None] * 3, pa.string()), None),
    ):
        labels = load(parquet_of(tmp_path / "a.parquet", values)).labels
        assert found == (None if labels is None else labels.tolist())
    for some in ([0, None, 1], ["a", None, "b"]):
        with pytest.warns(UserWarning, match="1 of 3 samples have no label"):
            assert load(parquet_of(tmp_path / "a.parquet", some)).labels is None
    with pytest.warns(UserWarning, match="no labels: the column 'label' is of type double; labels are whole numbers"):
        assert load(parquet_of(tmp_path / "a.parquet", [0.0, 1.0, 2.0])).labels is None


def test_words_and_numbers_are_not_numbered_side_by_side(tmp_path: Path) -> None:
    for name in ("1", "test"):
        for first, second in ((["a", "b", "a"], [0, 1, 0]), ([0, 1, 0], ["a", "b", "a"])):
            parquet_of(tmp_path / "p" / "train-0.parquet", first)
            parquet_of(tmp_path / "p" / f"train-{name}.parquet".replace("train-test", "test"), second)
            with pytest.raises(DataError, match=r"labels of type .* in one part and .*: give numbers in all, or words"):
                load(tmp_path / "p", split="test" if name == "test" else "train")
        for file in (tmp_path / "p").iterdir():
            file.unlink()


@kinds
def test_damaged_shards_are_one_line(tmp_path: Path, kind: str) -> None:
    MAKE[kind](tmp_path, shards.pictures(12), shards=1)
    file = next(tmp_path.iterdir())
    content = file.read_bytes()
    file.write_bytes(b"no shard at all" * 100)
    with pytest.raises(DataError, match=r"not a (plain tar|whole parquet) file"):
        load(tmp_path)
    if kind == "tar":
        file.write_bytes(content[: len(content) // 2])
        data = load(tmp_path)
        assert 3 < len(data) < 9 and data.skipped == (f"what follows {file.name}/a/{len(data) - 1:05}.jpg",)
        with pytest.raises(DataError, match="is cut short"):
            load(tmp_path, on_error="stop")


@pytest.mark.parametrize("within", ["header", "content", "padding", "nothing"])
def test_a_cut_tar_loses_its_last_sample_and_no_label(tmp_path: Path, within: str) -> None:
    images = shards.pictures(12)
    shards.write_tars(tmp_path, images, shards=2)
    whole, file = load(tmp_path), tmp_path / "part-000.tar"
    with tarfile.open(file) as tar:
        label = tar.getmember("a/00004.cls")
    stop = {
        "header": label.offset + 100,
        "content": label.offset_data,
        "padding": label.offset_data + 5,
        "nothing": label.offset,  # as long as its members, but without the zeros that end an archive
    }[within]
    file.write_bytes(file.read_bytes()[:stop])
    data = load(tmp_path)
    assert len(data) == 10 and data.skipped == ("what follows part-000.tar/a/00003.jpg",) and whole.skipped == ()
    assert data.labels is not None and whole.labels is not None
    assert data.labels.tolist() == [*whole.labels[:4].tolist(), *whole.labels[6:].tolist()]
    with pytest.raises(DataError, match=r"part-000\.tar: the shard is cut short"):
        load(tmp_path, on_error="stop")


def test_a_compressed_tar_says_what_to_do(tmp_path: Path) -> None:
    shards.write_tars(tmp_path, shards.pictures(3), shards=1)
    plain = tmp_path / "part-000.tar"
    with tarfile.open(tmp_path / "part-000.tar.gz", "w:gz") as packed:
        packed.add(plain, "part")
    plain.unlink()
    with pytest.raises(DataError, match="gunzip"):
        load(tmp_path)


@kinds
def test_a_hugging_face_data_set_is_read_in_shards(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    images = shards.pictures(24)
    MAKE[kind](tmp_path / "mine" / "data", images[:16], name="train")
    MAKE[kind](tmp_path / "mine" / "data", images[16:], name="test")
    data = load("hf:./mine")
    assert len(data) == 16 and data.origin is not None and data.origin[0] == f"hf:{tmp_path / 'mine'}"
    assert len(load(data.origin[0], split="test")) == 8
    with pytest.raises(DataError, match=r"hf:\./nowhere: not found on the Hub, or not reached"):
        load("hf:./nowhere")


@kinds
def test_addresses_are_read_through_fsspec(tmp_path: Path, kind: str) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    images = shards.pictures(12)
    MAKE[kind](tmp_path, images)
    for file in tmp_path.iterdir():
        memory.pipe(f"/far/{file.name}", file.read_bytes())
    near, far = load(tmp_path), load(f"memory://far/part-{{000..002}}.{kind}")
    assert torch.equal(near.images[:], far.images[:]) and torch.equal(near.labels, far.labels)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="cannot be opened"):
        load(f"memory://far/nothing.{kind}")
    MAKE[kind](tmp_path, images[:5], shards=1)  # what changed under the same address is looked at anew
    memory.pipe(f"/far/part-000.{kind}", (tmp_path / f"part-000.{kind}").read_bytes())
    assert len(load(f"memory://far/part-{{000..002}}.{kind}")) == 5 + 8


@pytest.mark.parametrize(
    ("package", "name"), [("pyarrow.parquet", "x.parquet"), ("datasets", "hf:user/name"), ("fsspec", "s3://x/y.tar")]
)
def test_a_missing_package_is_one_line(
    tmp_path: Path, package: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.parquet").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DataError, match="uv sync --inexact --extra streams, or uv pip install datasets"):
        load(name)


def test_pictures_beside_parquet_and_archives_beside_pictures(tmp_path: Path) -> None:
    images = shards.pictures(6)
    shards.write_parquets(tmp_path / "set" / "data", images)
    (tmp_path / "set" / "logo.jpg").write_bytes(images[0])
    assert len(load(tmp_path / "set")) == 6
    shards.write_tars(tmp_path / "photos", images, shards=1)
    shards.write_folder(tmp_path / "photos" / "train", images[:3])
    assert len(load(tmp_path / "photos")) == 3


def test_a_table_about_pictures_is_no_shard_of_them(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    for part in ("train", "test"):
        shards.write_folder(tmp_path / part, shards.pictures(3))
        parquet.write_table(pa.table({"file_name": ["class 0/00000.jpg"]}), tmp_path / part / "metadata.parquet")
    assert len(load(tmp_path)) == len(load(tmp_path / "train")) == 3
