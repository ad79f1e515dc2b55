"""A run continues with the data that it was begun with, wherever they lie, and with no others of equal moments."""

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import mnist

import infomax as im
from infomax.cli import main
from infomax.data import Dataset, load
from infomax.data.content import changed, content, of_files
from infomax.evaluate.features import encode
from infomax.evaluate.run import _loaded
from infomax.report.subject import Subject, find_data
from infomax.training import checkpoint
from infomax.training.folder import read_config

BYTES = torch.randint(0, 256, (12, 8, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
FLOATS = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(12) % 2


def begun(out, data, **options):
    side, channels = (28, 1) if isinstance(data, str) and data == "fashion-mnist" else (8, 3)
    encoder = (
        im.encoders.get("mlp", channels=channels, size=side)
        if not isinstance(data, torch.Tensor) or data.ndim == 4
        else None
    )
    learner = im.methods.build("simclr", encoder or im.encoders.get("mlp", channels=6, size=1), projector=())
    im.train(learner, data, out=out, epochs=2, progress=False, on_epoch=lambda run: True, **options)
    return out


def resumed(out, data=None):
    return im.Run.resume(out, data=data, progress=False)


@pytest.mark.parametrize("data", [BYTES, FLOATS])
def test_rows_in_another_order_are_other_data(tmp_path, data):
    out = begun(tmp_path / "run", data)
    with pytest.raises(im.ConfigError, match=r"other data .*: other samples, or in another order\. Put back"):
        resumed(out, data.roll(1, 0))
    with pytest.raises(im.ConfigError, match="other samples"):
        swapped = data.clone()
        swapped[[0, 1]] = data[[1, 0]]
        resumed(out, swapped)
    assert len(resumed(out, data).history) == 2


def test_a_list_and_a_data_set_of_ones_own_are_told_apart(tmp_path):
    pictures = [(image.numpy(), int(y)) for image, y in zip(BYTES, LABELS, strict=True)]
    out = begun(tmp_path / "run", pictures)
    with pytest.raises(im.ConfigError, match="other samples"):
        resumed(out, pictures[::-1])
    assert len(resumed(out, pictures).history) == 2


def test_floats_that_another_machine_rounds_otherwise_are_the_same(tmp_path):
    out = begun(tmp_path / "run", FLOATS)
    assert len(resumed(out, FLOATS * (1 + 1e-7)).history) == 2


@pytest.mark.filterwarnings("ignore:collapse")
def test_other_labels_are_other_data_where_they_are_learnt_from_and_are_told_elsewhere(tmp_path):
    data, other = Dataset(BYTES, LABELS), Dataset(BYTES, 1 - LABELS)
    out = begun(tmp_path / "run", data)
    with pytest.warns(UserWarning, match="other labels than when it was begun; it trains without"):
        assert len(resumed(out, other).history) == 2
    out = begun(tmp_path / "probed", data, online_knn=True)
    with pytest.raises(im.ConfigError, match="other labels"):
        resumed(out, other)


def test_a_run_of_before_goes_on_and_so_does_one_whose_data_are_not_known_now(tmp_path):
    out = begun(tmp_path / "run", BYTES)
    config = json.loads((out / "config.json").read_text())
    assert set(config["data"].pop("content")) == {"images", "labels"}
    assert (config["data"].pop("kind"), config["data"].pop("shape")) == ("images", [8, 8, 3])
    assert config["data"].pop("read_by") == {}
    now = json.loads((out / "config.json").read_text())
    assert checkpoint.fingerprint(checkpoint._completed(config, now)) == checkpoint.fingerprint(now)
    unknown = {**now, "data": {**now["data"], "content": {"images": None, "labels": None}}}
    assert checkpoint.fingerprint(checkpoint._completed(now, unknown)) == checkpoint.fingerprint(unknown)


def photos(folder):
    for n in range(12):
        (folder / str(n % 2)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(BYTES[n].numpy()).save(folder / str(n % 2) / f"{n:02}.bmp")  # files of one length
    return folder


@pytest.mark.parametrize("memory", ["0", "8GB"])
def test_a_folder_is_known_wherever_it_lies_and_whether_or_not_memory_holds_it(tmp_path, monkeypatch, memory):
    monkeypatch.setenv("INFOMAX_DATA", str(tmp_path / "root"))
    there = photos(tmp_path / "photos")
    out = begun(tmp_path / "run", str(there))
    shutil.copytree(there, tmp_path / "copy", copy_function=shutil.copyfile)
    monkeypatch.setenv("INFOMAX_MEMORY", memory)
    shutil.copytree(out, tmp_path / "again")
    assert len(resumed(tmp_path / "again", str(tmp_path / "copy")).history) == 2
    a, b = there / "0" / "00.bmp", there / "0" / "02.bmp"
    first, second = a.read_bytes(), b.read_bytes()
    a.write_bytes(second), b.write_bytes(first)
    with pytest.raises(im.ConfigError, match="other samples"):
        resumed(out)


@pytest.mark.parametrize("memory", ["0", "8GB"])
def test_a_file_that_cannot_be_decoded_is_no_part_of_the_data(tmp_path, monkeypatch, memory):
    monkeypatch.setenv("INFOMAX_DATA", str(tmp_path / "root"))
    monkeypatch.setenv("INFOMAX_MEMORY", memory)
    there = photos(tmp_path / "photos")
    out = begun(tmp_path / "run", str(there))
    then = json.loads((out / "config.json").read_text())["data"]["content"]
    assert then["images"] == of_files(sorted(there.rglob("*.bmp")), there), "as it was before any was left out"
    (there / "0" / "zz_new.jpg").write_text("junk")
    with pytest.warns(UserWarning, match="1 file could not be read"):
        assert len(resumed(out).history) == 2
    shutil.copy(there / "0" / "00.bmp", there / "0" / "zz_new.jpg")
    with pytest.raises(im.ConfigError, match="12 then, 13 now"):
        im.Run.resume(begun(tmp_path / "again", str(photos(tmp_path / "others"))), data=str(there), progress=False)


def test_the_command_continues_with_the_same_data_elsewhere_and_with_no_others(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("INFOMAX_DATA", str(tmp_path / "root"))
    out = begun(tmp_path / "run", str(photos(tmp_path / "photos")))
    (tmp_path / "photos").rename(tmp_path / "moved here")
    assert main(["evaluate", str(out), "--protocols", "knn"]) == 2
    assert "say where they lie now, or others with labels: --data DATA" in capsys.readouterr().err
    assert main(["train", "--resume", str(out)]) == 2
    said = capsys.readouterr().err
    assert f"train --resume {out} --data DATA" in said
    (photos(tmp_path / "others") / "0" / "00.bmp").unlink()
    assert main(["train", "--resume", str(out), "--data", str(tmp_path / "others")]) == 2
    assert "data.samples: 12 then, 11 now" in capsys.readouterr().err
    (tmp_path / "cwd").mkdir()
    (tmp_path / "moved here").rename(tmp_path / "cwd" / "photos")  # under the name it had, from another folder
    monkeypatch.chdir(tmp_path / "cwd")
    assert main(["train", f"--data={Path('photos')}", "--resume", str(out)]) == 0
    assert len(im.Run.load(out).history) == 2


def idx(rows):
    bytes_of = rows.numpy().astype(np.uint8)
    return bytes([0, 0, 8, bytes_of.ndim]) + b"".join(n.to_bytes(4, "big") for n in bytes_of.shape) + bytes_of.tobytes()


def test_a_named_set_that_was_moved_is_found_by_root(tmp_path, monkeypatch, capsys):
    def offline(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr(mnist, "download_and_extract_archive", offline)
    there = tmp_path / "there"
    there.mkdir()
    for split, files in (("train", 40), ("t10k", 20)):
        images = torch.arange(files * 784).reshape(files, 28, 28) % 251
        (there / f"{split}-images-idx3-ubyte").write_bytes(idx(images))
        (there / f"{split}-labels-idx1-ubyte").write_bytes(idx(torch.arange(files) % 10))
    out = begun(tmp_path / "run", "fashion-mnist", root=str(there))
    there.rename(tmp_path / "here")
    assert main(["train", "--resume", str(out)]) == 2
    assert f"train --resume {out} --root ROOT" in capsys.readouterr().err
    assert main(["train", "--resume", str(out), "--root", str(tmp_path / "here")]) == 0
    assert json.loads((out / "config.json").read_text())["data"]["root"] == str(tmp_path / "here")
    assert len(im.Run.load(out).history) == 2
    assert main(["evaluate", str(out), "--protocols", "knn"]) == 0


def test_a_run_that_went_on_elsewhere_is_judged_there(tmp_path):
    there = photos(tmp_path / "photos")
    out = begun(tmp_path / "run", str(there))
    before = json.loads((out / "config.json").read_text())
    moved = there.rename(tmp_path / "moved")
    assert main(["train", "--resume", str(out), "--data", str(moved)]) == 0
    config = json.loads((out / "config.json").read_text())
    assert config["data"]["source"] == str(moved)
    assert config == before | {"data": before["data"] | {"source": str(moved), "name": config["data"]["name"]}}
    run = im.Run.load(out)
    assert not (found := run.evaluate(protocols="knn"))["changed"] and found["own"] and found["source"] == str(moved)


def test_data_at_no_new_place_leave_the_old_one_in_the_options(tmp_path):
    np.save(tmp_path / "x.npy", BYTES.numpy())
    out = begun(tmp_path / "run", str(tmp_path / "x.npy"))
    assert len(resumed(out, BYTES).history) == 2
    assert json.loads((out / "config.json").read_text())["data"]["source"] == str(tmp_path / "x.npy")


def test_what_is_known_of_a_set_of_data_depends_on_nothing_but_them(tmp_path):
    np.savez(tmp_path / "a.npz", x=BYTES.numpy(), y=LABELS.numpy())
    shutil.copyfile(tmp_path / "a.npz", tmp_path / "b.npz")
    a, b = (content(load(str(tmp_path / name))) for name in ("a.npz", "b.npz"))
    assert a == b and changed(a, content(Dataset(BYTES, LABELS))) == []
    graph = load("sbm")
    then = content(graph)
    graph.edge_index = graph.edge_index[:, 2:]
    assert changed(then, content(graph)) == ["edges"]


def test_floats_in_other_units_are_other_data():
    x = torch.randn(50, 5, generator=torch.Generator().manual_seed(0))
    then = content(Dataset(x, LABELS.repeat(50)[:50]))
    assert changed(then, content(Dataset(1000 * x))) == changed(then, content(Dataset(x + 3))) == ["images"]
    assert changed(then, content(Dataset(x * (1 + 1e-7)))) == []


def test_large_photos_are_read_as_the_run_began_with_them(tmp_path):
    for n in range(8):
        (tmp_path / "photos" / str(n % 2)).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (600, 520), (30 * n, 0, 0)).save(tmp_path / "photos" / str(n % 2) / f"{n}.jpg")
    there = str(tmp_path / "photos")

    def shapes(run):  # of its own data, of the same given by name, of those of its page, and as it goes on
        subject = Subject("run", "simclr", run.config, run.history, path=run.path)
        find_data([subject])
        return [
            data.shape
            for data in (
                _loaded(run, None, None)[0],
                _loaded(run, there, None)[0],
                subject.data,
                resumed(run.path).data,
            )
        ]

    data = {"half": there, "whole": load(there, shrink=None), "cut": load(there, resize=64, shrink=60)}
    for name, given in data.items():
        learner = im.methods.build("simclr", im.encoders.get("resnet8", size=8), projector=())
        im.train(learner, given, out=tmp_path / name, epochs=2, batch_size=4, size=8, progress=False, on_epoch=bool)
    read_by = [read_config(tmp_path / name)["data"]["read_by"] for name in ("half", "whole", "cut")]
    assert read_by == [{"shrink": 256}, {"shrink": None}, {"resize": 64, "shrink": 60}]
    # a run of before says nothing of it, and read pictures whole
    config = read_config(shutil.copytree(tmp_path / "whole", tmp_path / "before"))
    del config["data"]["read_by"]
    (tmp_path / "before" / "config.json").write_text(json.dumps(config))
    assert shapes(im.Run.load(tmp_path / "half")) == [(260, 300, 3)] * 4
    assert shapes(im.Run.load(tmp_path / "whole")) == [(520, 600, 3)] * 4
    assert shapes(im.Run.load(tmp_path / "cut")) == [(64, 64, 3)] * 4
    assert shapes(im.Run.load(tmp_path / "before")) == [(520, 600, 3)] * 4


@pytest.mark.filterwarnings("ignore:test are the data that are learnt from")
def test_pictures_are_read_as_large_as_they_are_asked_to_be_seen(tmp_path, monkeypatch):
    for n in range(20):
        (tmp_path / "photos" / str(n % 2)).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (600, 520), (12 * n, 0, 0)).save(tmp_path / "photos" / str(n % 2) / f"{n:02}.jpg")
    there, seen = str(tmp_path / "photos"), set()
    learner = im.methods.build("simclr", im.encoders.get("resnet8", size=8), projector=())
    im.train(learner, there, out=tmp_path / "run", epochs=1, batch_size=4, size=8, progress=False)
    run = im.Run.load(tmp_path / "run")

    def watched(module, images, **options):
        seen.add(tuple(images.shape[1:]))
        return encode(module, images, **options)

    monkeypatch.setattr("infomax.evaluate.features.encode", watched)
    for size, shape in ((None, (260, 300, 3)), (16, (260, 300, 3)), (132, (520, 600, 3))):
        seen.clear()
        for data, test in ((None, None), (there, None), (there, there)):
            run.evaluate(data, test=test, size=size, protocols="knn")
        run.embed(there, size=size)
        assert seen == {shape}


def test_a_run_of_before_goes_on_with_the_pictures_beside_its_folders_of_classes(tmp_path, monkeypatch):
    with monkeypatch.context() as before:  # which left none out
        before.setattr("infomax.data.folder._without_stray", lambda root, files: (files, []))
        there = photos(tmp_path / "photos")
        for n in range(88):
            Image.new("RGB", (8, 8), (n, 0, 0)).save(there / "0" / f"more{n}.bmp")
        Image.new("RGB", (8, 8)).save(there / "cover.bmp")
        with pytest.warns(UserWarning, match="no labels"):
            out = begun(tmp_path / "run", str(there))
    config = read_config(out)
    del config["data"]["read_by"]
    (out / "config.json").write_text(json.dumps(config))

    def judged(changed):
        for data in (None, there):
            with pytest.warns(UserWarning, match=r"left out.*cover\.bmp"):
                found = im.Run.load(out).evaluate(data, protocols="knn")
            assert (found["samples"], found["own"], found["changed"]) == (100, not changed, changed)

    judged([])
    with pytest.warns(UserWarning, match="no labels"):
        assert len(resumed(out).data) == 101
    judged([])  # which wrote down that it goes on with them
    (there / "1" / "01.bmp").rename(there / "1" / "other.bmp")
    judged(["samples"])
    with pytest.warns(UserWarning, match=r"left out.*cover\.bmp"):
        assert len(load(there)) == 100


@pytest.mark.filterwarnings("ignore:.*is collapsing")
def test_files_that_are_read_otherwise_are_told_as_that(tmp_path):
    (tmp_path / "photos").mkdir()
    rows = torch.randint(0, 256, (4, 1040, 1040, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for n, image in enumerate(rows):
        Image.fromarray(image.numpy()).save(tmp_path / "photos" / f"{n}.jpg")
    data = load(tmp_path / "photos", resize=8, shrink=None)
    out = begun(tmp_path / "run", data)
    said = r"same files, read otherwise: give data=infomax\.data\.load\(\.\.\., resize=8, shrink=None\)$"
    with pytest.raises(im.ConfigError, match=said):
        resumed(out, load(tmp_path / "photos", resize=8))
    assert len(resumed(out, data).history) == 2


def test_a_named_set_made_otherwise_in_python_is_asked_for_and_the_usual_one_is_found(tmp_path, capsys):
    def trained(graph, out):
        learner = im.methods.bgrl(im.encoders.get("gcn", channels=graph.channels))
        im.train(learner, graph, epochs=1, progress=False, out=out)
        return im.Run.load(out)

    graph, out = im.data.sbm(nodes=60), tmp_path / "other"
    run = trained(graph, out)
    with pytest.raises(
        im.DataError, match=r"'sbm' was given in Python, and is not the set of that name: give it again"
    ):
        run.evaluate(protocols="knn")
    found = run.evaluate(graph, protocols="knn")
    assert (found["samples"], found["own"]) == (60, True), "they are what it was trained on"
    assert not run.evaluate(im.data.sbm(nodes=60, seed=1), protocols="knn")["own"]
    with pytest.warns(UserWarning, match=r"need the data, which were given in Python\. Give them: `im\.Run\.load"):
        run.report()
    for asked in (["evaluate", str(out)], ["mi", str(out), str(out)]):
        assert main(asked) == 2
        said = capsys.readouterr().err
        assert "'sbm' was given in Python" in said and len(said.splitlines()) == 1
    usual = trained(im.data.sbm(), tmp_path / "usual")
    found = usual.evaluate(protocols="knn")
    assert (found["samples"], found["own"], found["changed"]) == (300, True, [])
    with warnings.catch_warnings(action="error"):
        usual.report()


def test_data_without_a_name_are_not_looked_for_in_the_folder_at_hand(tmp_path, monkeypatch):
    photos(tmp_path / "data")
    x = torch.randint(0, 256, (12, 8, 8, 3), dtype=torch.uint8)
    learner = im.methods.vicreg(im.encoders.get("mlp", channels=3, size=8), projector=(4,))
    im.train(learner, (x, torch.arange(12) % 2), epochs=1, batch_size=6, progress=False, out=tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(im.DataError, match="'data' was given in Python, and lies under no name: give it again"):
        im.Run.load("run").evaluate(protocols="knn")
