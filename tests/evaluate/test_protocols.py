import importlib.util
import io
import json
import os
import shlex
import shutil
import sys
import tarfile
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from PIL import Image

import infomax as im
from infomax.cli import main
from infomax.data import Dataset, Graph, load
from infomax.data.encoded import Scale
from infomax.data.parquet import read_parquets
from infomax.data.tar import read_tars
from infomax.errors import ConfigError, DataError
from infomax.evaluate import lidar, linear_probe, sgd_probe, sgd_probes, spectrum
from infomax.evaluate.cache import key
from infomax.evaluate.embed import KINDS, embed
from infomax.evaluate.features import features
from infomax.evaluate.finetune import finetuned, shown
from infomax.evaluate.neighbours import duplicates, neighbours, outliers
from infomax.evaluate.pairing import two_runs
from infomax.evaluate.protocols import PROTOCOLS, chosen, lines, spread_of
from infomax.evaluate.run import evaluate
from infomax.evaluate.seeds import kind_lines, summary
from infomax.evaluate.splits import splits
from infomax.training import Run


def clusters(n=600, width=12, classes=3, noise=1.3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    means = torch.randn(classes, width, generator=generator)
    labels = torch.arange(n) % classes
    x = means[labels] + noise * torch.randn(n, width, generator=generator)
    return x[: n // 2], labels[: n // 2], x[n // 2 :], labels[n // 2 :]


def test_a_probe_by_sgd_is_as_good_as_a_converged_one():
    for seed in range(3):
        known = clusters(2000, seed=seed)
        a, b = sgd_probe(*known), linear_probe(*known)
        assert abs(a.accuracy - b.accuracy) < 3 * b.stderr


def test_the_error_of_sgd_is_none_of_zero_where_every_sample_is_right():
    x, y = torch.cat([torch.randn(40, 3) - 9, torch.randn(40, 3) + 9]), torch.arange(2).repeat_interleave(40)
    a, b = (probe(x[::2], y[::2], x[1::2], y[1::2]) for probe in (sgd_probe, linear_probe))
    assert a.accuracy == b.accuracy == 1.0 and a.stderr == b.stderr > 0


def test_probes_trained_at_once_are_those_trained_alone():
    x, y, *_ = clusters()
    both = sgd_probes(x, y, rates=(0.01, 0.3), decays=(0.0, 1e-2), epochs=3)
    for probe, rate, decay in zip(both, (0.01, 0.3), (0.0, 1e-2), strict=True):
        (alone,) = sgd_probes(x, y, rates=(rate,), decays=(decay,), epochs=3)
        torch.testing.assert_close(probe.weight, alone.weight)
        torch.testing.assert_close(probe.bias, alone.bias)


def test_one_probe_takes_the_steps_of_torch_sgd():
    x, y, *_ = clusters(100)
    x = x.double()
    (ours,) = sgd_probes(x, y, rates=(0.2,), decays=(0.03,), epochs=2, batch=len(x))
    net = torch.nn.Linear(x.shape[1], 3).double()
    torch.nn.init.zeros_(net.weight), torch.nn.init.zeros_(net.bias)
    groups = [{"params": [net.weight], "weight_decay": 0.03}, {"params": [net.bias]}]
    optimizer = torch.optim.SGD(groups, lr=0.2, momentum=0.9)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 2)
    standard = (x - x.mean(0)) / x.std(0, correction=0)
    for _ in range(2):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(standard), y).backward()
        optimizer.step()
        rate.step()
    torch.testing.assert_close(ours.weight, net.weight.detach())
    torch.testing.assert_close(ours.bias, net.bias.detach())


def test_a_rate_that_diverges_is_not_chosen():
    known = clusters()
    found = sgd_probe(*known, rates=(1e30, 0.1))
    assert found.penalty == 0.1 and found.accuracy > 0.6
    x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    mostly = (torch.arange(200) % 10 == 0).long()  # nine in ten are of the first class, which NaNs would name
    assert sgd_probe(x, mostly, x, mostly, rates=(1e30, 1e-6)).penalty == 1e-6


def test_nothing_is_chosen_on_the_test_set():
    train, labels, test, test_labels = clusters()
    for name, protocol in PROTOCOLS.items():
        a = protocol(train, labels, test, test_labels, 0)
        b = protocol(train, labels, test[:3], test_labels[:3], 0)
        for choice in ("penalty", "k", "knn_tau"):
            assert a.get(choice) == b.get(choice), name
        if name == "sgd":
            assert a["sgd"]["rates"] == b["sgd"]["rates"]


def test_few_labels_are_few():
    train, labels, test, test_labels = clusters(1200)
    found = PROTOCOLS["few"](train, labels, test, test_labels, 0)
    assert found["few_1"]["labels"] == 6 and found["few_10"]["labels"] == 60  # two of a class at the least
    assert found["few_1"]["mean"] < found["few_10"]["mean"] and found["few_1"]["n"] == 3


def test_of_few_rows_nothing_is_said_that_they_cannot_tell():
    """A spread is of fits that differ, draws are of more than they take, neighbours of as many as there are."""
    draw = torch.Generator().manual_seed(0)
    labels, test_labels = torch.arange(60) % 3, torch.arange(90) % 3
    train, test = (torch.randn(len(y), 8, generator=draw) + 0.7 * F.one_hot(y, 8) for y in (labels, test_labels))
    found = PROTOCOLS["sgd"](train, labels, test, test_labels, 0)["sgd"]
    assert found["n"] == 3 and found["sd"] > 0
    six = (train[:6], labels[:6], test, test_labels, 0)
    said = PROTOCOLS["few"](*six) | PROTOCOLS["knn"](*six)
    assert said["few_1"]["n"] == 1 and said["few_1"]["labels"] == 6 and said["knn_k"] == 6
    shown = lines(said)
    assert "k = 6, all there are" in shown[0] and "% (one draw), 6 labels" in shown[1]
    assert "knn_k" not in PROTOCOLS["knn"](train, labels, test, test_labels, 0)


def test_protocols_are_named():
    with pytest.raises(ConfigError, match="did you mean 'knn'"):
        chosen("kn")


def test_lidar_counts_what_tells_samples_apart():
    generator = torch.Generator().manual_seed(0)
    means = torch.zeros(400, 8)
    means[:, :3] = torch.randn(400, 3, generator=generator)
    noise = torch.randn(400, 10, 8, generator=generator)
    noise[..., :3] *= 0.01
    noise[..., 3:] *= 2.0  # the embedding's rank counts these dimensions, which only carry the views
    z = means[:, None] + noise
    assert 2.8 < float(lidar(z)) < 3.3
    turned = z @ torch.linalg.qr(torch.randn(8, 8, generator=generator)).Q
    assert float(lidar(turned)) == pytest.approx(float(lidar(z)), rel=1e-3)


def test_the_spectrum_sums_to_the_variance():
    z = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    assert float(spectrum(z).sum()) == pytest.approx(float(z.double().var(0, correction=0).sum()))


def test_neighbours_duplicates_outliers():
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(1, 16, generator=generator) + 0.2 * torch.randn(1500, 16, generator=generator)
    z[1400] = z[7] * 2.0
    z[33] = -z[34]
    near, which = neighbours(z, 3)
    assert int(which[7, 0]) == 1400 and float(near[7, 0]) == pytest.approx(1.0, abs=1e-5)
    assert [pair[:2] for pair in duplicates(z, 0.9999)] == [(7, 1400)]
    assert outliers(z, 1)[0][0] == 33


def test_the_duplicates_of_a_collapsed_embedding_are_counted_and_not_held():
    z = torch.ones(2500, 8)
    z[:1200] += 0.01 * torch.randn(1200, 8, generator=torch.Generator().manual_seed(0))
    z[2400] = -z[0]
    found = duplicates(z, 0.99, most=50)
    assert found.total == 2499 * 2498 // 2 and len(found) == 50
    assert all(i < j and near > 0.9999 for i, j, near in found) and len({pair[:2] for pair in found}) == 50


def test_the_duplicates_that_are_kept_are_the_closest():
    z = torch.randn(1500, 4, generator=torch.Generator().manual_seed(0))
    unit = F.normalize(z, dim=-1)
    whole = (unit @ unit.T).triu(1)
    close = whole[whole >= 0.9 - 1e-6]
    for most in (7, 20_000, 10_000_000):
        found = duplicates(z, 0.9, most)
        assert found.total == len(close)
        assert [near for *_, near in found] == pytest.approx(
            close.sort(descending=True).values[:most].tolist(), abs=1e-6
        )
        assert all(float(whole[i, j]) == pytest.approx(near, abs=1e-6) for i, j, near in found)
    with pytest.raises(im.ConfigError, match="at least 1"):
        duplicates(z, 0.9, 0)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for seed in range(2):
        torch.manual_seed(seed)
        learner = im.methods.jmi(im.encoders.get("mlp", channels=1, size=8), projector=(8,))
        im.train(learner, "digits", epochs=1, seed=seed, out=folder / str(seed), progress=False)
    return folder


def test_the_command_evaluates_several_runs_and_keeps_what_it_found(runs, capsys):
    names = [str(runs / "0"), str(runs / "1")]
    assert main(["evaluate", *names, "--protocols", "linear,knn-best", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    values = [f["linear"] for f in told["runs"]]
    assert told["over_runs"]["linear"]["mean"] == pytest.approx(np.mean(values), abs=1e-4)
    assert told["over_runs"]["linear"]["sd"] == pytest.approx(np.std(values, ddof=1), abs=1e-4)
    assert main(["evaluate", names[0], "--protocols", "knn"]) == 0
    assert "k = 20" in capsys.readouterr().out
    kept = json.loads((runs / "0" / "evaluation.json").read_text())["digits"]
    assert kept["linear"] == values[0] and "knn" in kept and "knn_best" in kept


def test_features_are_encoded_once_and_again_only_for_other_weights(runs):
    run = im.Run.load(runs / "1")
    first = evaluate(run, protocols="linear", progress=False)
    files = {p.name: p.stat().st_mtime_ns for p in (runs / "1" / "features").iterdir()}
    assert len(files) == 2 and evaluate(run, protocols="linear", progress=False) == first
    assert {p.name: p.stat().st_mtime_ns for p in (runs / "1" / "features").iterdir()} == files
    with torch.no_grad():
        next(run.learner.encoder.parameters()).mul_(-1.0)
    assert evaluate(run, protocols="linear", progress=False)["linear"] != first["linear"]
    assert len(list((runs / "1" / "features").iterdir())) == 4


def test_a_damaged_cache_is_made_anew(runs):
    run = im.Run.load(runs / "0")
    first = evaluate(run, protocols="linear", progress=False)
    for path in (runs / "0" / "features").iterdir():
        path.write_bytes(b"no tensors")
    assert evaluate(run, protocols="linear", progress=False) == first
    assert all(len(path.read_bytes()) > 100 for path in (runs / "0" / "features").iterdir()), "and kept again"


def test_a_cache_that_another_process_removes_meanwhile_is_made_anew(runs, monkeypatch):
    run = im.Run.load(runs / "0")
    first = evaluate(run, protocols="linear", progress=False)
    load = safetensors.torch.load_file

    def removed(path):
        Path(path).unlink()
        return load(path)

    monkeypatch.setattr("safetensors.torch.load_file", removed)
    assert evaluate(run, protocols="linear", progress=False) == first


def test_embed_writes_a_new_file_and_names_what_it_saw(runs, tmp_path, capsys):
    out = tmp_path / "emb.npz"
    asked = ["embed", str(runs / "0"), "digits", "--split", "test", "--out", str(out)]
    assert main([*asked, "--outliers", "3", "--duplicates", "0.9999"]) == 0
    said = capsys.readouterr().out
    assert "355 rows of 256, the test split of digits (the other: --split train)" in said
    assert "pairs of cosine 0.9999" in said
    assert main([*asked[:-1], str(tmp_path / "again.npz"), "--duplicates", "0.1"]) == 0
    said = capsys.readouterr().out.splitlines()
    pairs = int(said[1].split()[0].replace(",", ""))
    assert "the 20 closest" in said[1] and len(said) == 23 and said[-1].startswith(f"  and {pairs - 20:,} more")
    with np.load(out) as read:
        assert (
            read["names"][7] == "7"
            and read["features"].shape == (355, 256)
            and read["labels"].shape == (355,)
            and len(read["classes"]) == 10
        )
    assert main(asked) == 2 and "nothing is overwritten" in capsys.readouterr().err
    assert main([*asked[:-1], str(tmp_path / "emb.csv")]) == 2 and ".npz or .parquet" in capsys.readouterr().err


def test_embed_says_which_of_two_splits_it_took(tmp_path, capsys):
    from PIL import Image

    x = np.random.default_rng(0).integers(0, 256, (24, 8, 8, 3), dtype=np.uint8)
    np.savez(tmp_path / "two.npz", x_train=x[:16], x_test=x[16:])
    for name, rows in (("train", x[:16]), ("valid", x[16:])):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for k, image in enumerate(rows):
            Image.fromarray(image).save(tmp_path / "photos" / name / f"{k}.png")
    torch.manual_seed(0)
    learner = im.methods.jmi(im.encoders.get("mlp", channels=3, size=8), projector=(8,))
    im.train(learner, tmp_path / "two.npz", epochs=1, out=tmp_path / "run", progress=False)
    for data in ("two.npz", "photos"):
        for asked, many, split, other in (([], 16, "train", "test"), (["--split", "test"], 8, "test", "train")):
            out = tmp_path / f"{data}-{split}.npz"
            capsys.readouterr()
            assert main(["embed", str(tmp_path / "run"), str(tmp_path / data), "--out", str(out), *asked]) == 0
            said = capsys.readouterr().out
            assert f"{many} rows of 256, the {split} split of {tmp_path / data} (the other: --split {other})" in said


def test_embed_leaves_no_half_of_a_file(runs, tmp_path, capsys, monkeypatch):
    there = []

    def full(half, path):
        there.extend(tmp_path.iterdir())
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("infomax.files.os.replace", full)
    for kind in KINDS:
        if kind == ".npz" or importlib.util.find_spec("pyarrow"):
            assert main(["embed", str(runs / "0"), "digits", "--out", str(tmp_path / f"emb{kind}")]) == 2
            assert "cannot write" in capsys.readouterr().err and not list(tmp_path.iterdir())
            assert there.pop().match(f"emb{kind}.{os.getpid()}-*.tmp"), "of this process alone"


def test_what_is_found_is_said_though_it_cannot_be_kept(runs, capsys, monkeypatch):
    def full(path, data, **_):
        raise DataError(f"cannot write {path}: the disk is full")

    monkeypatch.setattr("infomax.evaluate.findings.write_bytes", full)
    assert main(["evaluate", str(runs / "0"), "--protocols", "knn", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["runs"][0]["knn"] > 50 and "not kept in the run's folder: cannot write" in said.err


def test_gauges_need_no_labels_and_protocols_do(capsys, tmp_path):
    torch.manual_seed(0)
    learner = im.methods.sdmi(im.encoders.get("mlp", channels=6, size=1), projector=(8,))
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(200, 6)))
    run = im.train(learner, tmp_path / "x.npy", epochs=1, progress=False)
    found = run.evaluate(protocols="gauges")
    assert found["embedding"]["mi"]["infonce"]["n"] == 200
    assert "x.npy: 200 samples; frozen encoder, offline; no labels" in str(found)
    with pytest.raises(DataError, match=r'has no labels.*, or ask for gauges alone \(protocols="gauges"\)$'):
        run.evaluate(protocols="gauges,knn")


def small(out, data, views="auto"):
    torch.manual_seed(0)
    learner = im.methods.jmi(im.encoders.get("mlp", channels=3, size=8), projector=(8,))
    return im.train(learner, data, views=views, epochs=1, out=out, progress=False)


@pytest.mark.parametrize("command", ["probe", "evaluate"])
@pytest.mark.parametrize("own", [False, True])
def test_what_is_advised_where_labels_are_missing_is_a_command_that_works(tmp_path, capsys, monkeypatch, command, own):
    draw = np.random.default_rng(0)
    for k in range(8):
        (tmp_path / "my photos" / "cats").mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (8, 8, 3), np.uint8)).save(tmp_path / "my photos" / "cats" / f"{k}.png")
    small(tmp_path / "run", tmp_path / "my photos" if own else torch.randint(0, 256, (8, 8, 8, 3), dtype=torch.uint8))
    given = [] if own else ["--data", str(tmp_path / "my photos")]
    with monkeypatch.context() as patched:  # before any is decoded
        patched.setattr("infomax.data.folder.decoded_at", lambda *_: pytest.fail("decoded"))
        assert main([command, str(tmp_path / "run"), *given]) == 2
    said = capsys.readouterr().err
    assert "has no labels (all its images lie in one folder, 'cats': one class tells nothing apart), so nothing" in said
    advised = shlex.split(said.strip().partition("or ask for gauges alone: ")[2])
    assert advised[-2:] == ["--protocols", "gauges"] and ("--data" in advised) is not own
    assert main(advised[advised.index("infomax") + 1 :]) == 0


def test_gauges_are_not_advised_where_they_cannot_be_read(tmp_path):
    images = torch.randint(0, 256, (8, 8, 8, 3), dtype=torch.uint8)
    run = small(None, images, views=lambda batch, index, *, seed, epoch: [batch.permute(0, 3, 1, 2) / 255.0] * 2)
    with pytest.raises(DataError, match=r"give labelled data \(--data; of images: one folder a class\)$"):
        run.evaluate(protocols="knn")


def test_features_come_to_python_without_a_file(runs, tmp_path):
    run = Run.load(runs / "0")
    z, names = run.embed("digits", split="test")
    assert z.shape == (355, run.learner.encoder.width) and len(names) == 355
    again, _ = run.embed("digits", tmp_path / "z.npz", split="test")
    assert torch.equal(again, z) and np.array_equal(np.load(tmp_path / "z.npz")["features"], z.numpy())
    assert run.embed("digits", head=True)[0].shape[1] == 8


def test_embed_as_parquet(runs, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow (the extra streams)")
    out = tmp_path / "emb.parquet"
    assert main(["embed", str(runs / "0"), "digits", "--split", "test", "--head", "--out", str(out)]) == 0
    table = parquet.read_table(out)
    assert table.num_rows == 355 and len(table["feature"][0].as_py()) == 8 and "label" in table.column_names


def test_embed_looks_for_pyarrow_before_it_encodes(tmp_path, monkeypatch):
    def encoded(*_, **__):
        raise AssertionError("encoded first")

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr("infomax.evaluate.embed.features", encoded)
    with pytest.raises(ConfigError, match="takes pyarrow: uv sync --inexact --extra streams"):
        embed(None, "digits", tmp_path / "emb.parquet")


def test_a_summary_is_of_what_all_runs_have():
    found = [{"linear": 90.0, "sgd": {"mean": 80.0}}, {"linear": 92.0}]
    assert summary(found) == {"linear": {"mean": 91.0, "sd": pytest.approx(2**0.5), "n": 2}}


def test_a_kind_without_an_accuracy_in_common_says_so():
    kind = {"name": "jmi", "runs": ["a", "b"], "over_runs": summary([{"knn": 90.0}, {"sgd": 80.0}])}
    said = kind_lines([kind], {name: {"trained": {"epoch": 1}} for name in "ab"})
    assert said == ["jmi: a, b", "  no mean over runs: no accuracy that each has"]


def test_equal_accuracies_have_no_deviation():
    assert spread_of([0.971] * 3) == {"mean": 97.1, "sd": 0.0, "n": 3}  # not 2e-14, which a page would show


def test_gauges_of_the_embedding_come_with_intervals_and_ceilings(runs, capsys):
    assert main(["evaluate", str(runs / "0"), "--protocols", "gauges", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["runs"][0]["embedding"]
    mi = found["mi"]["infonce"]
    assert mi["lo"] < mi["value"] < mi["hi"] <= mi["ceiling"] and mi["n"] == 1000 and mi["kind"] == "lower bound"
    assert 1 <= found["rankme"] <= 8 and 1 < found["lidar"] < 256
    assert sum(found["spectrum"]) == pytest.approx(1.0, abs=1e-6) and found["spectrum"][0] == max(found["spectrum"])
    log = [json.loads(row) for row in (runs / "0" / "log.jsonl").read_text().splitlines()]
    assert mi["value"] == pytest.approx(
        log[-1]["mi_infonce"], abs=1e-4
    )  # the very views that the run's curve was read off
    assert main(["evaluate", str(runs / "0"), "--protocols", "gauges"]) == 0
    said = capsys.readouterr().out
    assert "LiDAR" in said and " samples; frozen encoder, offline; gauges alone" in said


def jmi_on_digits():
    torch.manual_seed(0)
    learner = im.methods.jmi(im.encoders.get("mlp", channels=1, size=8), projector=(8,))
    return im.train(learner, "digits", epochs=1, progress=False)


@pytest.fixture
def quick(monkeypatch):
    """Of the protocols only the quick ones."""
    for name in set(PROTOCOLS) - {"linear", "knn"}:
        monkeypatch.delitem(PROTOCOLS, name)


def test_views_that_no_folder_holds_are_said(quick, monkeypatch):
    data = im.data.load("digits")
    torch.manual_seed(0)
    learner = im.methods.jmi(im.encoders.get("mlp", channels=1, size=8), projector=(8,))
    view = im.views.recipe("simclr", size=8, mean=data.mean, std=data.std)
    run = im.train(learner, data, views=lambda *batch, **k: view(*batch, **k), epochs=1, progress=False)
    with pytest.warns(
        UserWarning, match="gauges are left out: they take the views of a run, and its views were a funct"
    ):
        found = run.evaluate(protocols="all")
    assert {"linear", "knn"} <= set(found) and "embedding" not in found
    monkeypatch.setattr("infomax.evaluate.run.fits", lambda *_: pytest.fail("it encodes"))
    for asked in ("gauges", "knn,gauges", "all,gauges"):
        with pytest.raises(ConfigError, match=r"were a function, .*: leave gauges out of the protocols"):
            run.evaluate(protocols=asked)


def test_what_was_found_before_an_error_is_told_and_kept(runs, capsys, monkeypatch):
    def bad(*_):
        raise DataError("there is no such thing")

    monkeypatch.setitem(PROTOCOLS, "sgd", bad)
    folder = runs / "1"
    (folder / "evaluation.json").unlink(missing_ok=True)
    assert main(["evaluate", str(folder), "--protocols", "knn,sgd,linear"]) == 2
    said = capsys.readouterr()
    assert "there is no such thing" in said.err and "kNN " in said.out and "linear probe" not in said.out
    kept = json.loads((folder / "evaluation.json").read_text())["digits"]
    assert kept["knn"] > 50 and kept["protocol"].endswith("nothing chosen") and "linear" not in kept
    with pytest.raises(DataError) as error:
        im.Run.load(folder).evaluate(protocols="knn,sgd")
    assert f"kNN             {kept['knn']:.2f} %" in error.value.__notes__[0]
    with pytest.raises(DataError) as error:
        im.Run.load(folder).evaluate(protocols="sgd,knn")
    assert not hasattr(error.value, "__notes__")


def test_an_evaluation_that_is_interrupted_says_what_is_kept(runs, capsys, monkeypatch):
    def stops(*_, **__):
        raise KeyboardInterrupt

    folder = runs / "1"
    monkeypatch.setattr("infomax.evaluate.run.finetuned", stops)
    said = f"infomax: stopped: nothing is kept of the protocol under way; {folder} keeps "
    assert main(["evaluate", str(folder), "--protocols", "knn,finetune"]) == 130
    told = capsys.readouterr()
    assert told.err == f"{said}what the protocols before it found and the features that are encoded\n"
    assert "kNN " in told.out
    assert main(["evaluate", str(folder), "--protocols", "finetune"]) == 130
    assert capsys.readouterr().err == f"{said}the features that are encoded\n"


def test_of_a_second_encoder_too(tmp_path, monkeypatch):
    learner = im.methods.sdmi(im.encoders.get("mlp", channels=1, size=8), projector=(8,))
    run = im.train(learner, "digits", epochs=1, progress=False)
    asked, rescued = [], []

    def once(*_):
        asked.append(1)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return {"sgd": {"mean": 1.0}}

    monkeypatch.setitem(PROTOCOLS, "sgd", once)
    with pytest.raises(KeyboardInterrupt):
        evaluate(run, protocols="sgd,knn", progress=False, rescue=rescued.append)
    (found,) = rescued
    assert found["sgd"] == {"mean": 1.0} and found["knn"] > 50 and "g" not in found


def test_what_a_cache_cannot_tell_apart_is_not_taken_for_the_same():
    net = torch.nn.Linear(2, 3)
    x = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    changed = x.clone()
    changed[123] += 1.0
    assert key(net, Dataset(x)) == key(net, Dataset(x.clone())) != key(net, Dataset(changed))
    edges = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    assert key(net, Graph(x, edges)) != key(net, Graph(x, edges[:, :2]))


@pytest.mark.parametrize("kind", ["parquet", "tar"])
def test_a_cache_tells_apart_how_shards_are_decoded(tmp_path, kind):
    def picture(value):
        Image.new("RGB", (32, 32), (value, 0, 0)).save(raw := io.BytesIO(), "png")
        return raw.getvalue()

    rows = [{"image": picture(10 * k), "photo": picture(10 * k + 5), "png": picture(k)} for k in range(4)]
    if kind == "parquet":
        arrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        parquet.write_table(arrow.Table.from_pylist(rows), tmp_path / "x.parquet")
    else:
        with tarfile.open(tmp_path / "x.tar", "w") as file:
            for k, row in enumerate(rows):
                for column, raw in row.items():
                    member = tarfile.TarInfo(f"{k}.{column}.png")
                    member.size = len(raw)
                    file.addfile(member, io.BytesIO(raw))
    columns = ("image", "photo") if kind == "parquet" else ("image.png", "photo.png")
    net, path, shards = torch.nn.Linear(2, 3), tmp_path / f"x.{kind}", read_parquets if kind == "parquet" else read_tars
    made = [
        key(net, shards([str(path)], [str(path)], "x", column, scale))
        for scale in (Scale(28), Scale(4), Scale(), Scale(shrink=16), Scale(28))
        for column in columns
    ]
    assert len(set(made)) == 8 and made[:2] == made[8:] and None not in made


def test_a_cache_that_cannot_be_written_costs_time_only(runs, monkeypatch):
    def refuse(path, data):
        raise DataError(f"cannot write {path}")

    run = im.Run.load(runs / "0")
    for path in (runs / "0" / "features").glob("*"):
        path.unlink()
    monkeypatch.setattr("infomax.evaluate.cache.write_bytes", refuse)
    with pytest.warns(UserWarning, match="not kept"):
        assert evaluate(run, protocols="knn", progress=False)["knn"] > 50


def test_train_and_test_are_seen_at_the_size_of_training(tmp_path, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    small, large = (torch.randint(0, 255, (40, s, s, 1), generator=generator, dtype=torch.uint8) for s in (8, 16))
    np.savez(tmp_path / "both.npz", x_train=small, y_train=np.arange(40) % 2, x_test=large, y_test=np.arange(40) % 2)
    torch.manual_seed(0)
    learner = im.methods.jmi(im.encoders.get("mlp", channels=1, size=8), projector=(8,))
    run = im.train(learner, tmp_path / "both.npz", epochs=1, batch_size=20, progress=False)
    seen = []
    learner.encoder.register_forward_hook(lambda module, inputs, out: seen.append(inputs[0].shape[-1]))
    run.evaluate(protocols="knn")
    assert set(seen) == {8}


@pytest.mark.parametrize(("method", "precision"), [("jmi", "64-true"), ("jmi", "bf16-true"), ("byol", "bf16-true")])
def test_gauges_in_the_numbers_of_the_weights(tmp_path, method, precision):
    torch.manual_seed(0)
    learner = im.methods.build(method, im.encoders.get("mlp", channels=1, size=8), projector=(8,))
    run = im.train(learner, "digits", epochs=1, precision=precision, progress=False)
    assert run.evaluate(protocols="gauges")["embedding"]["mi"]["infonce"]["n"] == 1000
    assert len(two_runs(run, run, samples=50)[0]) == 50
    assert "cosine" in run.report(tmp_path / "page.html").read_text()


@pytest.mark.parametrize("precision", ["64-true", "bf16-true"])
def test_a_graph_is_judged_in_the_numbers_of_the_weights(precision):
    torch.manual_seed(0)
    data = load("sbm")
    learner = im.methods.bgrl(im.encoders.get("gcn", channels=data.channels), predictor=(8,))
    run = im.train(learner, data, epochs=1, precision=precision, progress=False)
    found = run.evaluate(protocols="knn,baselines")
    assert 0 <= found["knn"] <= 100
    assert set(found["baselines"]) == {"untrained", "raw"}


def test_gauges_see_other_data_as_training_saw_its_own():
    x = torch.randn(400, 6, generator=torch.Generator().manual_seed(0))
    y = torch.arange(400) % 2
    torch.manual_seed(0)
    learner = im.methods.jmi(im.encoders.get("mlp", channels=6, size=1), projector=(8,))
    run = im.train(learner, Dataset(x, y), epochs=1, progress=False)
    own, other = (run.evaluate(Dataset(d, y), protocols="gauges")["embedding"]["alignment"] for d in (x, 10 * x + 50))
    assert own != pytest.approx(other, rel=1e-3)


def test_two_runs_leave_a_part_that_is_held_in_evaluation_there():
    torch.manual_seed(0)
    learner = im.methods.jmi(im.encoders.get("toy"), projector=(8,))
    run = im.train(learner, "gaussians", epochs=1, progress=False)
    run.learner.train().f.eval()
    two_runs(run, run, samples=50)
    assert run.learner.training and not run.learner.f.training


def test_samples_of_a_folder_are_named_by_their_files(runs, tmp_path, capsys):
    from PIL import Image

    generator = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for i in range(12):
        grey = generator.integers(0, 255, (8, 8, 1), dtype=np.uint8).repeat(3, -1)
        Image.fromarray(grey).save(tmp_path / "photos" / f"{i:02d}.png")
    shutil.copy(tmp_path / "photos" / "03.png", tmp_path / "photos" / "copy.png")
    torch.manual_seed(0)
    learner = im.methods.jmi(im.encoders.get("mlp", channels=3, size=8), projector=(8,))
    im.train(learner, tmp_path / "photos", epochs=1, out=tmp_path / "run", progress=False)
    capsys.readouterr()
    asked = ["embed", str(tmp_path / "run"), str(tmp_path / "photos"), "--out", str(tmp_path / "e.npz")]
    assert main([*asked, "--duplicates", "2"]) == 2 and not (tmp_path / "e.npz").exists()
    assert main([*asked, "--duplicates", "0.99999"]) == 0
    said = capsys.readouterr().out
    assert "03.png  copy.png" in said
    assert said.splitlines()[0] == f"wrote {tmp_path / 'e.npz'}: 13 rows of 256"  # there are no two splits
    with np.load(tmp_path / "e.npz") as read:
        assert list(read["names"][-2:]) == ["11.png", "copy.png"]


def test_gauges_of_too_few_samples_say_how_many_are_needed(runs):
    run = Run.load(runs / "0")
    few = Dataset(load("digits").images[:2], mean=(0.5,), std=(0.25,), name="few")
    with pytest.raises(DataError, match=r"gauges need at least 3 samples, and 'few' has 2: give more by --data, or"):
        evaluate(run, few, protocols="gauges", progress=False)


@pytest.mark.parametrize("out", ["/proc/x.npz", "d.npz/x.npz", "d.npz/new/x.npz"])
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_encoded(runs, tmp_path, monkeypatch, out):
    if out.startswith("/proc") and not Path("/proc").exists():
        pytest.skip("no folder here in which nobody may write")
    (tmp_path / "d.npz").write_text("a file")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("infomax.evaluate.embed.features", lambda *_, **__: pytest.fail("encoded"))
    with pytest.raises(DataError, match=f"cannot write {out}"):
        embed(Run.load(runs / "0"), "digits", out)
    assert os.listdir(tmp_path) == ["d.npz"]


def test_fine_tuning_moves_a_copy_and_tells_its_spread(runs, monkeypatch):
    run = Run.load(runs / "0")
    before = {k: v.clone() for k, v in run.learner.state_dict().items()}
    data = load("digits")
    fit, held, _ = splits(data, load("digits", split="test"))
    seen = []

    def noted(**options):
        seen.append((options["total"], options["unit"], options["disable"]))
        return nullcontext(SimpleNamespace(update=lambda: seen.append("epoch")))

    monkeypatch.setattr("infomax.evaluate.finetune.meter", noted)
    found = finetuned(run, data, fit, load("digits", split="test"), held, epochs=6, progress=True)["finetune"]
    assert seen == [(30, "epoch", False)] + ["epoch"] * 30  # two trainings choose, three count
    assert found["n"] == 3
    assert found["mean"] > 60
    assert set(found["held_out"]) == {"0.0001", "0.001"}
    for name, value in run.learner.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_fine_tuning_draws_by_its_seed_alone_and_leaves_the_callers_generator():
    source = torch.Generator().manual_seed(0)
    data = Dataset(torch.randn(60, 6, generator=source), torch.randint(0, 3, (60,), generator=source))
    encoder = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 4))
    learner = im.methods.jmi(encoder, projector=im.mlp(4, 4))
    run = im.train(learner, data, epochs=1, batch_size=30, progress=False)
    fit, held, _ = splits(data, None)
    learn, weights = torch.nn.Linear.forward, []

    def tried():
        found = finetuned(run, data, fit, data, held, epochs=2)["finetune"]
        return found["held_out"], found["mean"], weights[-1]

    def noted(layer, x):
        if layer.out_features == 3:
            weights.append((layer.weight.detach().clone(), layer.bias.detach().clone()))
        return learn(layer, x)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(torch.nn.Linear, "forward", noted)
        then = torch.get_rng_state()
        first = tried()
        assert torch.equal(then, torch.get_rng_state())
        assert not weights[0][0].any() and not weights[0][1].any(), "the head starts from zero"
        torch.rand(7)
        second = tried()
    assert first[:2] == second[:2]
    assert all(torch.equal(a, b) for a, b in zip(first[2], second[2], strict=True))


@pytest.mark.parametrize(("rows", "updates"), [(40, 2 * 4 + 3 * 5), (200, 5 * 16), (2560, 2 * 16 + 3 * 20)])
def test_fine_tuning_of_few_labels_makes_updates_of_small_batches(rows, updates, monkeypatch):
    source = torch.Generator().manual_seed(0)
    data = Dataset(torch.randn(rows + 40, 6, generator=source), torch.arange(rows + 40) % 2)
    learner = im.methods.jmi(torch.nn.Linear(6, 4), projector=im.mlp(4, 4))
    run = im.train(learner, data, epochs=1, batch_size=40, progress=False)
    made, step = [], torch.optim.AdamW.step
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda *args, **given: (made.append(1), step(*args, **given))[1])
    finetuned(run, data, torch.arange(rows), data, torch.arange(rows, rows + 40), epochs=1)
    assert len(made) == updates, "of two rates on four fifths, and of three seeds on all"


def test_fine_tuning_shows_crops_and_flips_of_images_alone():
    x = torch.randint(0, 256, (6, 16, 16, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    data, rows = Dataset(x, mean=(0.5,) * 3, std=(0.25,) * 3), torch.arange(6)
    words, views = shown(data, 8, flip=0.5)
    spec = im.views.ImageView(size=8, scale=(0.08, 1.0), flip=0.5)
    (expected,) = im.views.Views((spec,), data.mean, data.std)(x, rows, seed=3, epoch=2)
    assert words == "random crops and flips" and torch.equal(views(x, rows, 3, 2), expected)
    one = torch.full((6, 16, 16, 3), 200, dtype=torch.uint8)
    made = views(one, rows, 0, 0)
    assert made.max() - made.min() < 1e-5, "neither colours nor brightness change"
    for shape in ((6, 3), (6, 5), (6, 2, 40)):
        x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        data = Dataset(x)
        words, views = shown(data)
        z = features(torch.nn.Flatten(), data, progress=False)
        assert words == "the samples themselves" and torch.equal(views(x, rows, 0, 0).flatten(1), z), (
            "as the frozen encoder sees them"
        )


def test_fine_tuning_mirrors_what_the_runs_own_views_mirror(monkeypatch):
    class Looked(Exception):
        pass

    def looked(data, size, flip):
        raise Looked(shown(data, size, flip)[0], flip)

    monkeypatch.setattr("infomax.evaluate.finetune.shown", looked)
    own = tuple(im.views.ImageView(size=8, flip=chance) for chance in (0.0, 0.25))

    def mine(batch, index, *, seed, epoch):
        return [(batch.permute(0, 3, 1, 2) / 255 - 0.305) / 0.376] * 2

    for views, words in (
        ("simclr", ("random crops and flips", 0.5)),
        ("auto", ("random crops and flips", 0.5)),
        ("gentle", ("random crops", 0.0)),
        (im.views.Views(own, (0.305,), (0.376,)), ("random crops and flips", 0.25)),
        (mine, ("random crops", 0.0)),
    ):
        torch.manual_seed(0)
        learner = im.methods.jmi(im.encoders.get("mlp", channels=1, size=8, hidden=8), projector=(8,))
        run = im.train(learner, "digits", views=views, epochs=1, batch_size=700, progress=False, gauge_samples=16)
        with pytest.raises(Looked) as seen:
            run.evaluate(protocols="finetune")
        assert seen.value.args == words


def test_fine_tuning_is_asked_for_by_name():
    assert "finetune" not in chosen("all")
    assert chosen("all,finetune")[-1] == "finetune"


def test_the_untrained_encoder_and_the_pixels_stand_beside_the_trained_one(quick):
    run = jmi_on_digits()
    before = run.evaluate(protocols="baselines", seed=3)
    assert "penalty chosen" in before["protocol"]
    torch.manual_seed(3)
    drawn = im.encoders.get("mlp", channels=1, size=8)
    as_drawn = im.Run(im.methods.jmi(drawn, projector=()), run.config, data=run.data).evaluate(seed=3)
    untrained, raw = before["baselines"]["untrained"], before["baselines"]["raw"]
    assert {k: untrained[k] for k in ("linear", "knn")} == {k: as_drawn[k] for k in ("linear", "knn")}
    test = im.data.load("digits", split="test")
    pixels = [(d.images.flatten(1) / 255 - d.mean[0]) / d.std[0] for d in (run.data, test)]
    assert raw["knn"] == pytest.approx(
        100 * im.evaluate.knn_accuracy(pixels[0], run.data.labels, pixels[1], test.labels)
    )
    assert raw["size"] == 8
    found = run.evaluate(protocols="all", seed=3)
    assert found["baselines"] == before["baselines"]
    assert untrained["linear"] != found["linear"]
    assert f"untrained       linear probe {untrained['linear']:.2f} %" in str(found)
    assert "(binomial), at 8 px" in str(found)


def test_a_run_that_began_with_given_weights_is_measured_by_those(quick, runs, tmp_path):
    shutil.copytree(runs / "0", first := tmp_path / "first")
    encoder = im.encoders.get("mlp", channels=1, size=8, init=first)
    encoder.recipe["init_known_by"] = im.encoders.weights.known_by(first)  # as a sweep notes it
    run = im.train(im.methods.jmi(encoder, projector=(8,)), "digits", epochs=1, progress=False)
    as_begun = im.Run.load(first).evaluate()
    found = run.evaluate(protocols="baselines")
    assert set(found["baselines"]) == {"init", "raw"} and found["baselines"]["init"]["weights"] == str(first)
    assert {k: found["baselines"]["init"][k] for k in ("linear", "knn")} == {k: as_begun[k] for k in ("linear", "knn")}
    said = next(line for line in str(found).splitlines() if line.startswith("as it began     linear probe"))
    assert said.endswith(f"(binomial): this encoder, weights of {first}")
    shutil.copy(runs / "1" / "learner.safetensors", first)
    for why in ("has changed since", "no weights"):
        with pytest.warns(UserWarning, match=f"baseline is of weights drawn anew, for want of .* with: .*{why}"):
            assert set(run.evaluate(protocols="baselines")["baselines"]) == {"untrained", "raw"}
        shutil.rmtree(first, ignore_errors=True)


def test_baselines_are_encoded_once(runs, monkeypatch):
    run = im.Run.load(runs / "0")
    found = run.evaluate(protocols="baselines")["baselines"]
    monkeypatch.setattr("infomax.evaluate.baselines.features", lambda *_, **k: pytest.fail("it encodes again"))
    assert run.evaluate(protocols="baselines")["baselines"] == found
    assert found["raw"]["knn"] != found["untrained"]["knn"]


@pytest.mark.parametrize(("channels", "side"), [(1, 32), (3, 16)])
def test_raw_images_are_judged_small(channels, side):
    images = torch.randint(
        0, 256, (40, 40, 40, channels), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    torch.manual_seed(0)
    learner = im.methods.jmi(im.encoders.get("resnet8", channels=channels, size=40), projector=())
    run = im.train(learner, Dataset(images, torch.arange(40) % 2), epochs=1, batch_size=20, progress=False)
    assert run.evaluate(protocols="baselines")["baselines"]["raw"]["size"] == side


def test_an_encoder_that_no_name_builds_has_no_untrained_one(quick):
    torch.manual_seed(0)
    learner = im.methods.jmi(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 8)), projector=())
    run = im.train(learner, "digits", epochs=1, progress=False)
    assert set(run.evaluate(protocols="all")["baselines"]) == {"raw"}


def test_a_table_has_baselines_too(quick):
    table = Dataset(torch.randn(60, 5, generator=torch.Generator().manual_seed(0)), torch.arange(60) % 3)
    learner = im.methods.jmi(im.encoders.get("mlp", channels=5, size=1), projector=())
    run = im.train(learner, table, epochs=1, batch_size=20, progress=False)
    assert "raw samples     linear probe" in str(run.evaluate(protocols="baselines"))


def test_every_accuracy_of_one_look_has_its_error():
    torch.manual_seed(0)
    z, y = torch.randn(60, 4), torch.arange(60) % 3
    for name in ("linear", "knn", "knn-best"):
        found, key = PROTOCOLS[name](z[:40], y[:40], z[40:], y[40:], 0), name.replace("-", "_")
        p = found[key] / 100
        assert found[f"{key}_se"] == pytest.approx(100 * (p * (1 - p) / 20) ** 0.5)
        (line,) = lines(found)
        assert "(binomial)" in line
