import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import infomax as im
from infomax.data import folder, gather, load, machine
from infomax.data.encoded import Encoded
from infomax.errors import ConfigError, DataError
from infomax.report.views import views_page
from infomax.sweep.cell import judgeable
from infomax.training.defaults import dataset, read_for, view_function
from infomax.training.feed import Feed


def photographs(root: Path, n: int = 12, sizes: tuple[tuple[int, int], ...] = ((40, 36),)) -> Path:
    """Noise as JPEG, in two classes."""
    noise = np.random.default_rng(0)
    for i in range(n):
        path = root / ("blue" if i % 2 else "red") / f"{i:03}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        width, height = sizes[i % len(sizes)]
        Image.fromarray(noise.integers(0, 255, (height, width, 3), dtype=np.uint8)).save(path)
    return root


@pytest.fixture(autouse=True)
def own_index(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path_factory.mktemp("root")
    monkeypatch.setenv("INFOMAX_DATA", str(root))
    return root / "index"


@pytest.mark.parametrize("sizes", [((40, 36),), ((40, 36), (30, 50))])
@pytest.mark.parametrize(("resize", "shrink"), [(None, 512), (24, 512), (None, 10), (8, 10)])
def test_what_is_decoded_on_use_is_what_memory_would_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sizes: tuple[tuple[int, int], ...], resize: int | None, shrink: int
) -> None:
    photographs(tmp_path, sizes=sizes)
    (tmp_path / "red" / "cut.jpg").write_bytes((tmp_path / "red" / "000.jpg").read_bytes()[:500])
    held = load(tmp_path, resize=resize, shrink=shrink)
    for _ in range(2):  # gone through, then read from the index
        monkeypatch.setenv("INFOMAX_MEMORY", "0")
        lazy = load(tmp_path, resize=resize, shrink=shrink)
        assert isinstance(lazy.images, Encoded) and not isinstance(held.images, Encoded)
        assert (lazy.mean, lazy.std, lazy.size, lazy.channels) == (held.mean, held.std, held.size, 3)
        assert lazy.parts == held.parts and sum(held.parts.values()) == 12
        assert (len(lazy), lazy.skipped, lazy.classes) == (12, (str(Path("red/cut.jpg")),), held.classes)
        assert lazy.is_images and torch.equal(lazy.labels, held.labels)  # type: ignore[arg-type]
        index = torch.tensor([7, 0, 11, 7])
        one, other = gather(held.images, index), gather(lazy.images, index)
        assert type(one) is type(other) and all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
        assert torch.equal(held.images[-1], lazy.images[-1])
        views = [Feed(d, view_function(d, size=16), batch_size=4, seed=2)(1, 2) for d in (held, lazy)]
        assert all(torch.equal(a, b) for a, b in zip(*views, strict=True))


def test_it_prints_at_which_part_pictures_were_read(tmp_path: Path) -> None:
    for n, sides in enumerate(((20, 30), (40, 50), (90, 80), (90, 100))):
        for kind in ("jpg", "png"):  # the one is decoded at a part, the other reduced
            Image.new("RGB", sides).save(tmp_path / f"{n}.{kind}")
    asked = {shrink: repr(load(tmp_path, shrink=shrink)) for shrink in (20, 512)}
    assert asked[20].endswith(", no labels, 2 read at 1/2 of their sides, 4 read at 1/4 of their sides)")
    assert asked[512].endswith(", no labels)")


def test_a_bar_of_decoding_moves_with_every_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photographs(tmp_path, n=5)
    seen: list[int] = []
    meter = folder.meter

    def watched(**given: Any) -> Any:
        bar = meter(**given)
        update = bar.update
        monkeypatch.setattr(bar, "update", lambda n=1: (seen.append(n), update(n))[1])
        return bar

    monkeypatch.setattr(folder, "meter", watched)
    load(tmp_path)
    assert seen == [1] * 5


def test_a_page_decodes_of_many_files_those_alone_that_it_shows(
    tmp_path: Path, own_index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photographs(tmp_path)
    held = load(tmp_path, hold=False)
    assert isinstance(held.images, torch.Tensor) and not own_index.exists()  # of few files all
    monkeypatch.setattr(folder, "FEW", 4)
    load(tmp_path, shrink=256)  # as a run does; it notes what it found
    count: list[Path] = []
    for name in ("decoded", "decoded_at"):
        true = getattr(folder, name)
        monkeypatch.setattr(folder, name, lambda file, *how, true=true: (count.append(file), true(file, *how))[1])
    lazy = load(tmp_path, shrink=256, hold=False)
    assert (
        not count
        and len(lazy) == 12
        and (lazy.mean, lazy.std) == (held.mean, held.std)
        and lazy.read_by == {"shrink": 256}
    )
    assert torch.equal(lazy.images[5], held.images[5]) and len(count) == 1
    views_page(tmp_path, tmp_path / "views.html", "small", size=8, count=2)
    assert len(count) == 3


def test_what_a_sweep_finds_of_a_folder_before_it_begins_serves_its_cells(
    tmp_path: Path, own_index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photographs(tmp_path)
    monkeypatch.setenv("INFOMAX_MEMORY", "0")
    options = {"data": str(tmp_path), "root": None, "on_error": "skip", "size": 16}
    judgeable([options], {"data": None, "metric": "linear"})
    monkeypatch.setattr(folder, "_decode_all", lambda *_: pytest.fail("gone through again"))
    assert len(dataset(str(tmp_path), how=read_for(16))) == 12


def test_a_run_on_a_folder_that_memory_does_not_hold_ends_in_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photographs(tmp_path / "photos", n=24)
    ends = []
    for size in ("1GB", "0"):
        monkeypatch.setenv("INFOMAX_MEMORY", size)
        torch.manual_seed(0)
        learner = im.methods.simclr(im.encoders.get("resnet8", size=16), projector=(8,))
        run = im.train(learner, tmp_path / "photos", epochs=1, batch_size=8, size=16, progress=False)
        ends.append(torch.cat([p.detach().flatten() for p in run.learner.parameters()]))
        found = run.evaluate()
        assert found["train"] == 18 and found["test"] == 6
    assert torch.equal(*ends)


def test_the_second_time_nothing_is_decoded_until_it_is_used(
    tmp_path: Path, own_index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photographs(tmp_path)
    monkeypatch.setenv("INFOMAX_MEMORY", "10kb")
    first = load(tmp_path)
    assert len(list(own_index.iterdir())) == 1 and sorted(p.name for p in tmp_path.iterdir()) == ["blue", "red"]
    monkeypatch.setattr(folder, "_decode_all", lambda *_: pytest.fail("gone through again"))
    again = load(tmp_path)
    assert (again.mean, len(again)) == (first.mean, 12)
    (tmp_path / "red" / "000.jpg").write_bytes(b"changed")
    monkeypatch.undo()
    monkeypatch.setenv("INFOMAX_MEMORY", "0")
    monkeypatch.setenv("INFOMAX_DATA", str(own_index.parent))
    assert load(tmp_path).skipped == (str(Path("red/000.jpg")),)
    with pytest.raises(DataError, match=r"000\.jpg: cannot be decoded"):
        load(tmp_path, on_error="stop")


def test_a_link_to_nothing_is_left_out_and_takes_no_other_list_s_index(
    tmp_path: Path, own_index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photographs(tmp_path, n=6)
    (tmp_path / "red" / "004.jpg").write_bytes(b"no image")
    monkeypatch.setenv("INFOMAX_MEMORY", "0")
    assert load(tmp_path).skipped == (str(Path("red/004.jpg")),)
    (tmp_path / "blue" / "000.jpg").symlink_to(tmp_path / "nowhere")
    for again in (False, True):
        if again:
            monkeypatch.setattr(folder, "_decode_all", lambda *_: pytest.fail("gone through again"))
        data = load(tmp_path)
        assert data.skipped == (str(Path("blue/000.jpg")), str(Path("red/004.jpg")))
        assert len(data) == len(gather(data.images, torch.arange(len(data)))) == 5


@pytest.mark.skipif(os.name == "nt", reason="no time of change but the one that can be set")
def test_a_file_whose_length_and_time_are_set_back_is_gone_through_again(
    tmp_path: Path, own_index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = photographs(tmp_path, n=4) / "red" / "000.jpg"
    monkeypatch.setenv("INFOMAX_MEMORY", "0")
    assert load(tmp_path).skipped == ()
    told = file.stat()
    file.write_bytes(bytes(told.st_size))
    os.utime(file, ns=(told.st_atime_ns, told.st_mtime_ns))
    assert load(tmp_path).skipped == (str(Path("red/000.jpg")),)


def test_an_index_of_another_format_is_not_read(
    tmp_path: Path, own_index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photographs(tmp_path, n=4)
    monkeypatch.setenv("INFOMAX_MEMORY", "0")
    load(tmp_path)
    monkeypatch.setattr("infomax.data.index.FORMAT", 0)
    load(tmp_path)
    assert len(list(own_index.iterdir())) == 2


def test_a_file_that_breaks_under_a_run_stops_it_where_its_batch_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photographs(tmp_path, n=8)
    monkeypatch.setenv("INFOMAX_MEMORY", "0")
    data = load(tmp_path)
    feed = Feed(data, view_function(data, size=8), batch_size=2)
    bad = int(feed.index(0, 2)[1])
    assert isinstance(data.images, folder.Files)
    data.images.files[bad].write_bytes(b"")
    with feed.ahead([(0, b) for b in range(4)]):
        assert [len(feed(0, b)[0]) for b in (0, 1)] == [2, 2]
        with pytest.raises(DataError, match="changed since the run began"):
            feed(0, 2)
        assert len(feed(0, 3)[0]) == 2


def test_an_index_that_cannot_be_kept_or_is_cut_is_made_anew(
    tmp_path: Path, own_index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photographs(tmp_path)
    monkeypatch.setenv("INFOMAX_MEMORY", "0")
    first = load(tmp_path)
    kept = next(own_index.iterdir())
    kept.write_bytes(kept.read_bytes()[:100])
    assert load(tmp_path).mean == first.mean and len(kept.read_bytes()) > 100
    (tmp_path / "occupied").write_text("a file")
    monkeypatch.setenv("INFOMAX_DATA", str(tmp_path / "occupied"))
    with pytest.warns(UserWarning, match="cannot be kept .*set INFOMAX_DATA"):
        assert load(tmp_path).mean == first.mean


def test_what_the_system_refused_once_is_tried_again(
    tmp_path: Path, own_index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photographs(tmp_path)
    (tmp_path / "red" / "cut.jpg").write_bytes(b"no image")
    monkeypatch.setenv("INFOMAX_MEMORY", "0")
    closed = tmp_path / "red" / "000.jpg"
    opened = Image.open

    def refuses(file, *rest):  # type: ignore[no-untyped-def]
        if file == closed:
            raise PermissionError(13, "Permission denied", str(file))
        return opened(file, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(Image, "open", refuses)
        assert load(tmp_path).n_skipped == 2 and not own_index.exists()
    assert load(tmp_path).skipped == (str(Path("red/cut.jpg")),) and len(list(own_index.iterdir())) == 1


def test_a_folder_that_cannot_be_opened_is_named_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photographs(tmp_path)
    scandir = os.scandir

    def closed(path):  # type: ignore[no-untyped-def]
        if str(path).endswith("blue"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    data = load(tmp_path)
    assert (len(data), data.skipped) == (6, (f"blue{os.sep}",))
    with pytest.warns(UserWarning, match=r"1 folder could not be read, left out: blue. \(no permission\)"):
        im.training.defaults.dataset(str(tmp_path))
    with pytest.raises(DataError, match=r"blue: this folder cannot be opened \(Permission denied\)"):
        load(tmp_path, on_error="stop")


def test_the_budget_is_what_was_asked_or_a_share_of_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    for asked, size in (("0", 0), ("1.5GB", 1_500_000_000), ("20 kb", 20_000), ("7", 7), ("2M", 2_000_000)):
        monkeypatch.setenv("INFOMAX_MEMORY", asked)
        assert machine.budget() == size
    for asked in ("much", "inf", "-inf", "nan"):
        monkeypatch.setenv("INFOMAX_MEMORY", asked)
        with pytest.raises(ConfigError, match=f"INFOMAX_MEMORY='{asked}'"):
            machine.budget()
    monkeypatch.delenv("INFOMAX_MEMORY")
    one = machine.budget()
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert 10**6 < machine.budget() < one and machine.cores() >= 1


@pytest.mark.parametrize("limit", ["max", "5000"])
def test_a_container_s_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 100 kB\nMemAvailable:  10 kB\n")
    (tmp_path / "memory.max").write_text(limit + "\n")
    (tmp_path / "memory.current").write_text("1000\n")
    monkeypatch.setattr(machine, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    assert machine.free_memory() == (10240 if limit == "max" else 4000)


def test_no_name_is_no_folder() -> None:
    with pytest.raises(DataError, match="data=''"):
        load("")
