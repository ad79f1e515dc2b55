"""A run's encoder as a file, and the size at which it sees whole images."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tests.evaluate.test_size import Flat, labelled, trained

import infomax as im
from infomax.data import Dataset
from infomax.errors import ConfigError, NumericsError
from infomax.evaluate import export
from infomax.evaluate.export import Exported
from infomax.extras import installed
from infomax.training.run import Run


def small(learner, data, **options):
    return im.train(learner, data, **{"epochs": 1, "batch_size": 20, "progress": False} | options)


def table():
    learner = im.methods.simclr(im.encoders.get("mlp", channels=5, size=1), projector=(8,))
    return small(learner, Dataset(3 + 2 * torch.randn(40, 5, generator=torch.Generator().manual_seed(0))))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Of views of 8 pixels, of images of 18: whole ones are seen at 16."""
    folder = tmp_path_factory.mktemp("size")
    np.savez(folder / "squares.npz", x=labelled().images.numpy(), y=labelled().labels.numpy())
    trained(data=str(folder / "squares.npz"), out=folder / "run")
    return Run.load(folder / "run")


def test_a_run_says_at_which_size_whole_images_are_seen(run):
    assert run.size == run.evaluate()["size"] == 16
    torch.testing.assert_close(run.embed(labelled())[0], run.embed(labelled(), size=run.size)[0], rtol=0, atol=0)
    assert trained("mlp").size == 8  # its encoder takes no other
    assert table().size is None


def test_of_images_of_several_sizes_it_is_what_the_crops_ask_for():
    mixed = Dataset([x[:side, :side] for x, side in zip(labelled().images, (18, 16) * 20, strict=True)])
    assert trained(data=mixed).size == 16
    assert trained(data=mixed, size=48).size == 88


def test_a_run_of_before_knows_it_from_its_data_and_without_them_from_its_views(run):
    known = {k: v for k, v in run.config["data"].items() if k not in ("kind", "shape")}
    before = Run(run.learner, run.config | {"data": known})
    assert before.size == 16
    before.config["data"] = known | {"source": "gone.npz"}
    assert before.size == 16
    narrow = {"views": run.config["views"] | {"size": 40}}
    assert Run(run.learner, run.config | narrow).size == 40  # as large as they are at most, and as the views at least
    assert Run(run.learner, before.config | narrow).size == 72


def test_a_program_needs_nothing_of_this_package_and_says_what_embed_says(run, tmp_path):
    done = run.export(tmp_path / "made" / "encoder.pt2")
    assert done == Exported(done.path, ("N", "3", "H", "W"), 128, 16, done.difference, done.largest, done.seen)
    assert done.difference < 1e-5 < done.largest and done.seen == "3 samples of noise, at 16 and 32 px"
    x = torch.rand(5, 3, 24, 24)
    torch.save(x, tmp_path / "x.pt")
    program = (
        "import sys, torch; torch.serialization.clear_safe_globals(); extra = {'infomax.json': ''}\n"
        "net = torch.export.load(sys.argv[1], extra_files=extra).module()\n"
        "torch.save(net(torch.load(sys.argv[2])).detach(), sys.argv[3]); print(extra['infomax.json'])\n"
        "assert 'infomax' not in sys.modules"
    )
    asked = [sys.executable, "-c", program, *map(str, (done.path, tmp_path / "x.pt", tmp_path / "z.pt"))]
    said = subprocess.run(asked, capture_output=True, text=True, check=True, cwd=tmp_path)
    mean, std = (torch.tensor(run.config["data"][k]).view(-1, 1, 1) for k in ("mean", "std"))
    expected = run.learner.encoder.eval()((x - mean) / std)
    torch.testing.assert_close(torch.load(tmp_path / "z.pt"), expected.detach(), rtol=1e-5, atol=1e-5)
    about = json.loads(said.stdout)
    assert (about["method"], about["encoder"], about["of"], about["size"]) == ("simclr", "resnet8", "f", "16")
    assert json.loads(about["mean"]) == pytest.approx(run.config["data"]["mean"])
    # no path of the machine that it was made on
    assert str(Path.home()).encode() not in done.path.read_bytes() and b"site-packages" not in done.path.read_bytes()


@pytest.mark.skipif(torch.__version__ < "2.7", reason="torch 2.6 writes no batch norm to ONNX")
def test_an_onnx_file_takes_any_batch_and_size(run, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    pytest.importorskip("onnxscript", reason="needs the extra onnx")
    done = run.export(tmp_path / "encoder.onnx")
    assert done.takes == ("N", "3", "H", "W") and done.difference < 1e-5
    session = onnxruntime.InferenceSession(done.path, providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["size"]) == 16 and about["normalisation"] == "inside"
    assert session.get_inputs()[0].shape == ["N", 3, "H", "W"] and session.get_outputs()[0].shape[0] == "N"
    images = labelled().images
    whole = Dataset(images[:, :16, :16])
    x = whole.images.permute(0, 3, 1, 2).float().numpy() / 255
    (z,) = session.run(None, {"samples": x})
    np.testing.assert_allclose(z, run.embed(whole, size=16)[0], rtol=1e-4, atol=1e-5)


def test_weights_have_the_names_of_their_library_and_begin_another_run(tmp_path):
    run = small(
        im.methods.simclr(im.encoders.get("resnet18", size=8), projector=(8,)), labelled(), views="small", size=8
    )
    done = run.export(tmp_path / "encoder.safetensors", size=8)
    assert done.difference == 0 and done.takes == () and "mean and std in its metadata" in str(done)
    from torchvision import models

    names = {name for name in models.resnet18(weights=None).state_dict() if not name.startswith("fc.")}
    assert set(load_file(done.path)) == names
    with safe_open(done.path, "pt") as file:
        about = file.metadata()
    assert json.loads(about["recipe"]) == {"name": "resnet18", "channels": 3, "size": 8}
    assert about["normalisation"] == "outside"
    assert json.loads(about["std"]) == pytest.approx(run.config["data"]["std"])
    again = im.encoders.get("resnet18", size=8, init=done.path)
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), run.learner.encoder.parameters(), strict=True))


def test_an_encoder_that_takes_one_size_alone_is_a_program_of_that_size(tmp_path):
    done = trained("mlp").export(tmp_path / "mlp.pt2")
    assert done.takes == ("N", "3", "8", "8") and done.size == 8
    learner = im.methods.simclr(Flat(), projector=(8,))
    flat = small(learner, labelled(), views="small", size=8)
    assert flat.export(tmp_path / "flat.pt2").takes == ("N", "3", "8", "8")


class Mirrored(torch.nn.Module):
    """Of square images alone."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 8, 3, padding=1)

    def forward(self, x):
        z = self.conv(x)
        return (z + z.transpose(-1, -2)).mean((2, 3))


def test_sides_that_must_be_equal_have_one_word(tmp_path):
    run = small(im.methods.simclr(Mirrored(), projector=(8,)), labelled(), views="small", size=8)
    assert run.export(tmp_path / "square.pt2").takes == ("N", "3", "H", "H")
    if torch.__version__ < "2.7" or not all(map(installed, export.NEEDED)):
        return
    import onnx

    (taken,) = onnx.load(run.export(tmp_path / "square.onnx").path).graph.input
    assert [dim.dim_param or dim.dim_value for dim in taken.type.tensor_type.shape.dim] == ["N", 3, "H", "H"]


def test_points_that_are_not_normalised_are_not_said_to_be(tmp_path):
    learner = im.methods.simclr(im.encoders.get("mlp", channels=2, size=1), projector=(8,))
    run = small(learner, torch.randn(40, 2, generator=torch.Generator().manual_seed(0)))
    for kind in ("pt2", "safetensors"):
        done = run.export(tmp_path / f"points.{kind}")
        assert "; not normalised\n" in str(done) and not done.normalised


def test_tables_and_signals_are_normalised_inside_too(tmp_path):
    run = table()
    done = run.export(tmp_path / "table.pt2")
    assert str(done).startswith(f"wrote {done.path}: float32 N x 5 to N x 256; normalised inside\n")
    x = 3 + 2 * torch.randn(7, 5)
    z = torch.export.load(done.path).module()(x)
    torch.testing.assert_close(z.detach(), run.embed(Dataset(x))[0], rtol=1e-5, atol=1e-5)
    waves = Dataset(1 + torch.randn(40, 2, 60, generator=torch.Generator().manual_seed(0)))
    run = small(im.methods.simclr(im.encoders.get("resnet1d", channels=2, base=8), projector=(8,)), waves)
    assert run.export(tmp_path / "waves.pt2").takes == ("N", "2", "L")
    if torch.__version__ >= "2.7" and all(installed(name) for name in export.NEEDED):
        import onnxruntime

        for made, axes in ((run, ["N", 2, "L"]), (table(), ["N", 5])):
            file = made.export(tmp_path / f"{len(axes)}.onnx").path
            assert onnxruntime.InferenceSession(file).get_inputs()[0].shape == axes
    with pytest.raises(ConfigError, match="only images are brought to a size"):
        run.export(tmp_path / "w.pt2", size=8)


def test_either_encoder_of_two_can_be_had(tmp_path):
    net = im.encoders.get("resnet8", size=8)
    sdmi = small(im.methods.sdmi(net, projector=(8,)), labelled(), views="small", size=8)
    for which, branch in (("f", sdmi.learner.f), ("g", sdmi.learner.g)):
        sdmi.export(tmp_path / f"{which}.safetensors", encoder=which)
        tensors = load_file(tmp_path / f"{which}.safetensors")
        assert torch.equal(tensors["stem.0.weight"], branch.encoder.stem[0].weight)
    with pytest.raises(ConfigError, match="give f or g"):
        sdmi.export(tmp_path / "h.safetensors", encoder="h")


class Asks(torch.nn.Module):
    """Which way its samples go hangs on their values, so that no program can be made of it."""

    width = 3

    def forward(self, x):
        return x.mean((2, 3)) if x.sum() > 0 else x.amax((2, 3))


def test_what_cannot_be_written_is_said_in_a_line_and_leaves_no_file(run, tmp_path, monkeypatch):
    out = tmp_path / "encoder.pt2"
    with pytest.raises(ConfigError, match=r"written as \.onnx, \.pt2 or \.safetensors"):
        run.export(tmp_path / "encoder.pt")
    with pytest.raises(ConfigError, match="simclr has one encoder"):
        run.export(out, encoder="g")
    graph = Run(run.learner, run.config | {"data": run.config["data"] | {"kind": "nodes"}})
    assert graph.size is None
    with pytest.raises(ConfigError, match="a graph's edges"):
        graph.export(out)
    asks = small(im.methods.simclr(Asks(), projector=(8,)), labelled(), views="small", size=8)
    with pytest.raises(
        ConfigError, match=r"torch cannot export the encoder Asks \(.*: its weights alone go into \.safet"
    ) as told:
        asks.export(out)
    assert "\n" not in str(told.value)
    monkeypatch.setattr(export, "_pt2", lambda exported, about: (b"", lambda x: torch.zeros(len(x), 128)))
    with pytest.raises(NumericsError, match=r"encoder.pt2 is not written: its features are .* from the encoder's"):
        run.export(out)
    with monkeypatch.context() as older:
        older.setattr(torch, "__version__", torch.torch_version.TorchVersion("2.6.1"))
        with pytest.raises(
            ConfigError, match=r"torch 2\.6\.1 writes no batch norm to ONNX, 2\.7 does; or name a \.pt2"
        ):
            run.export(tmp_path / "encoder.onnx")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ConfigError, match="pip install onnx onnxscript onnxruntime; or name"):
        run.export(tmp_path / "encoder.onnx")
    out.write_text("mine")
    with pytest.raises(ConfigError, match="nothing is overwritten"):
        run.export(out)
    assert out.read_text() == "mine" and len(list(tmp_path.iterdir())) == 1
