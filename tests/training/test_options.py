import csv
import json
import os
import subprocess
import sys
import types
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.transforms import v2

import infomax as im
from infomax.training import devices
from infomax.training.devices import place
from infomax.training.feed import Feed
from infomax.training.tensorboard import scalars


def fit(method="jmi", **options):
    torch.manual_seed(3)
    learner = im.methods.build(method, im.encoders.get("mlp", channels=2, size=1, hidden=8), projector=(8,))
    asked = {"epochs": 2, "batch_size": 500, "progress": False, "seed": 5, "gauge_samples": 64, "lr": 1e-2}
    return im.train(learner, "gaussians", **(asked | options))


def weights(run):
    return torch.cat([p.detach().flatten().double() for p in run.learner.parameters()])


def spoiled(epoch_of_nan, rows=(7,)):
    made = im.views.Gaussian(0.1)

    def views(batch, index, seed=0, epoch=0):
        a, b = made(batch, index, seed=seed, epoch=epoch)
        if epoch == epoch_of_nan and int(index[0]) == first:
            b[list(rows)] = float("nan")
        return [a, b]

    first = int(Feed(im.data.load("gaussians"), made, 500, seed=5).index(epoch_of_nan, 2)[0])
    return views


def test_a_warm_up_longer_than_the_run_is_refused_before_data_are_read():
    with pytest.raises(im.ConfigError, match=r"warmup_epochs=3: longer than the run, of epochs=2"):
        im.train(im.methods.jmi(nn.Linear(2, 2), projector=()), "no such data", epochs=2, warmup_epochs=3)


def test_a_job_of_slurm_starts_its_processes_itself(tmp_path):
    """SLURM_NTASKS=1 would have Fabric start none, 2 wait for a second one; torchrun and srun are not meant."""
    script = tmp_path / "script.py"
    script.write_text(
        "from infomax.training.devices import place\nfrom infomax.parallel import by_rank, rank\n"
        "place('cpu', 2)\nranks = by_rank(rank())\nprint(ranks) if rank() == 0 else None\n"
    )
    named = ("PROCID", "LOCALID", "NODEID")
    job = {f"SLURM_{name}": "0" for name in named} | {"SLURM_NTASKS": "2", "SLURM_JOB_NAME": "train"}
    said = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=200, check=False,
        env=os.environ | job | {"OMP_NUM_THREADS": "1", "SLURM_JOB_ID": "1", "SLURM_NODELIST": "localhost"},
    )  # fmt: skip
    assert said.stdout.endswith("[0, 1]\n"), said.stderr


def test_a_gradient_is_shortened_to_the_norm_and_never_lengthened():
    torch.manual_seed(0)
    views = [torch.randn(16, 8), torch.randn(16, 8)]
    learner = im.methods.jmi(nn.Linear(8, 4), projector=())
    loss = learner(views).loss
    gradient = torch.autograd.grad(loss, list(learner.parameters()))
    norm = torch.cat([g.flatten() for g in gradient]).norm()
    for most, share in ((norm / 4, 0.25), (norm * 4, 1.0)):
        im.step(learner, views, torch.optim.SGD(learner.parameters(), lr=0.0), clip_norm=float(most))
        for p, g in zip(learner.parameters(), gradient, strict=True):
            torch.testing.assert_close(p.grad, g * share, rtol=1e-4, atol=1e-7)
    assert not torch.equal(weights(fit(clip_norm=1e-3, optimizer="sgd")), weights(fit(optimizer="sgd")))
    with pytest.raises(im.ConfigError, match=r"clip_norm=-1"):
        fit(clip_norm=-1)


def test_numbers_of_numpys_are_kept_as_pythons_and_the_run_goes_on(tmp_path):
    numbers = {"lr": np.float32(1e-3), "clip_norm": np.float32(1), "rules": {"bias": {"weight_decay": np.float32(0)}}}
    machine = {
        "checkpoint_every": np.int64(3),
        "keep": np.int64(2),
        "device": torch.device("cpu"),
    }  # a device by its name
    run = fit(out=tmp_path / "run", epochs=np.int64(2), size=np.int64(1), **machine, **numbers)
    (tmp_path / "run" / "log.jsonl").unlink()  # as if killed in its last epoch
    again = im.Run.resume(tmp_path / "run", progress=False)
    assert torch.equal(weights(run), weights(again)) and type(run.config["training"]["lr"]) is float


def test_a_gradient_too_long_for_its_norm_is_told_from_one_that_is_not_finite():
    class Steep(nn.Linear):
        def forward(self, x):
            return super().forward(x * 1e25) * 1e-25

    torch.manual_seed(0)
    learner = im.Learner(Steep(8, 4), im.Shared(), im.Alignment(im.Dot()), im.InfoNCE(im.Dot()), scale=1e20)
    with pytest.raises(
        im.NumericsError, match=r"is finite, but its length overflows: up to \d.*e\+\d+, in f\.weight\."
    ):
        im.step(learner, [torch.randn(16, 8), torch.randn(16, 8)], torch.optim.SGD(learner.parameters(), lr=0.1))


def test_the_rate_grows_with_the_batch_it_is_meant_for():
    whole, scaled = fit(lr=0.02, warmup_epochs=0), fit(lr=0.01, lr_batch=250, warmup_epochs=0)
    assert torch.equal(weights(whole), weights(scaled)) and not torch.equal(weights(whole), weights(fit(lr=0.01)))
    assert scaled.config["training"]["lr_batch"] == 250
    assert "lr_batch" not in whole.config["training"]  # so that runs begun before there was one still continue
    with pytest.raises(im.ConfigError, match=r"lr_batch=0: give the batch that lr is meant for"):
        fit(lr_batch=0)


@pytest.mark.parametrize("name", ["jmi", "sdmi", "simsiam", "moco_v2", "swav"])
def test_views_encoded_one_at_a_time_give_the_same_numbers(name):
    plain = fit(name, epochs=1)
    cut = fit(name, epochs=1, accumulate="views")
    for key, value in plain.learner.state_dict().items():
        torch.testing.assert_close(cut.learner.state_dict()[key], value, rtol=0, atol=0, msg=key)


def test_pieces_of_rows_give_the_same_numbers_and_the_same_dropout_twice():
    def gradient(accumulate, dropout):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(6, 12), nn.LayerNorm(12), nn.Tanh(), nn.Dropout(dropout)).double()
        learner = im.methods.jmi(net, projector=()).double()
        learner.accumulate = accumulate
        torch.manual_seed(1)
        loss = learner([torch.randn(20, 6, dtype=torch.float64) for _ in range(2)]).loss
        return loss, torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(learner.parameters()))])

    for one, other in zip(gradient(1, 0.0), gradient(3, 0.0), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
    for one, other in zip(gradient(1, 0.3), gradient("views", 0.3), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_only_one_view_is_held_at_a_time():
    alive = []

    class Watched(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            alive.append(x.shape[0])
            ctx.save_for_backward(x)
            return x.clone()

        @staticmethod
        def backward(ctx, g):
            alive.append(-ctx.saved_tensors[0].shape[0])
            return g

    class Net(nn.Linear):
        def forward(self, x):
            return Watched.apply(super().forward(x))

    learner = im.methods.jmi(Net(4, 4), projector=())
    learner.accumulate = "views"
    learner([torch.randn(8, 4), torch.randn(8, 4)]).loss.backward()
    assert alive == [
        8,
        8,
        -8,
        8,
        -8,
    ]  # twice forward; the last gives its gradient, then the first is made again for its own


def test_pieces_of_rows_are_refused_where_batch_norm_would_see_less():
    with pytest.raises(im.ConfigError, match=r"batch norm .* accumulate='views'"):
        fit(accumulate=2)
    with pytest.raises(im.ConfigError, match="accumulate='rows'"):
        fit(accumulate="rows")


def test_stopping_at_a_nan_keeps_the_very_batch(tmp_path):
    views = spoiled(1)
    with pytest.raises(im.NumericsError, match=r"step 7: view 1 .* rows \[7\]"):
        fit(views=views, out=tmp_path / "run")
    note = json.loads((tmp_path / "run" / "nan.json").read_text())
    assert (note["step"], note["epoch"], note["batch"], note["sweep"]) == (7, 1, 2, 1)
    again = views(im.data.load("gaussians").images[note["samples"]], torch.tensor(note["samples"]), seed=5, epoch=1)
    assert torch.isnan(again[1]).any(1).nonzero().flatten().tolist() == [7]


def test_a_nan_in_the_first_epoch_keeps_its_note(tmp_path):
    with pytest.raises(im.NumericsError):
        fit(views=spoiled(0), out=tmp_path / "run")
    assert (tmp_path / "run" / "nan.json").exists()


def test_skipping_a_nan_leaves_out_one_update_and_nothing_of_it_stays():
    with pytest.warns(UserWarning, match="skipped, .*rows"):
        run = fit("byol", views=spoiled(1), on_nan="skip")
    assert [row["skipped"] for row in run.history] == [0, 1]
    assert all(torch.isfinite(t).all() for t in run.learner.state_dict().values())
    with pytest.raises(im.ConfigError, match="did you mean 'skip'"):
        fit(on_nan="skp")


def test_an_epoch_of_nothing_but_nan_stops():
    def views(batch, index, seed=0, epoch=0):
        return [batch * float("nan") if epoch >= 0 else batch, batch]

    with pytest.raises(im.NumericsError, match="all updates of epoch 1"), pytest.warns(UserWarning, match="skipped"):
        fit(views=views, on_nan="skip")


def test_a_gradient_that_is_not_finite_is_seen_though_the_loss_is():
    class Root(nn.Linear):
        def forward(self, x):
            return super().forward(x) + (0 * self.weight.sum()).abs().sqrt()

    learner = im.methods.jmi(Root(8, 4), projector=())
    before = [p.clone() for p in learner.parameters()]
    views = [torch.randn(16, 8), torch.randn(16, 8)]
    with pytest.raises(im.NumericsError, match=r"gradient of 'jmi' is not finite.*f\.encoder\.weight"):
        im.step(learner, views, torch.optim.SGD(learner.parameters(), lr=0.1))
    assert all(torch.equal(a, b) for a, b in zip(before, learner.parameters(), strict=True))


def test_the_log_is_a_table_too(tmp_path):
    run = fit(out=tmp_path / "run")
    rows = list(csv.DictReader((tmp_path / "run" / "log.csv").read_text().splitlines()))
    assert [float(row["bound"]) for row in rows] == [row["bound"] for row in run.history]


def test_tensorboard_is_written_where_its_package_is(tmp_path, monkeypatch):
    said = []

    class Writer:
        def __init__(self, folder):
            said.append(folder)

        def add_scalar(self, name, value, epoch):
            said.append((name, epoch))

        def flush(self):
            pass

    fake = types.ModuleType("torch.utils.tensorboard")
    fake.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", fake)
    monkeypatch.setattr("infomax.training.tensorboard.installed", lambda name: name == "tensorboard")
    fit(out=tmp_path / "run")
    assert said[0] == str(tmp_path / "run" / "tensorboard")
    assert ("bound", 1) in said and ("mi_infonce", 2) in said
    scalars(tmp_path)({"epoch": 2.4, "bound": 1.0})  # where a run by time ends
    assert said[-1] == ("bound", 3)


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "64-true"])
def test_another_precision_trains_near_the_same(precision):
    run, full = fit(precision=precision), fit()
    expected = {"bf16-mixed": torch.float32, "bf16-true": torch.bfloat16, "64-true": torch.float64}[precision]
    assert {p.dtype for p in run.learner.parameters()} == {expected}
    close = 1e-4 if precision == "64-true" else 0.2
    assert abs(run.history[-1]["bound"] - full.history[-1]["bound"]) < close
    assert not torch.equal(weights(run), weights(full))


@pytest.mark.parametrize(("native", "comes_to"), [(True, "bf16-mixed"), (False, "32-true")])
def test_auto_takes_16_bits_where_the_processor_has_them_and_the_run_says_which(
    native, comes_to, monkeypatch, tmp_path
):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
    run = fit(precision="auto", device="cpu", out=tmp_path / "run")
    assert run.config["training"]["precision"] == comes_to
    assert json.loads((tmp_path / "run" / "config.json").read_text())["training"]["precision"] == comes_to
    assert torch.equal(weights(run), weights(fit(precision=comes_to, device="cpu")))


def test_auto_that_is_another_in_another_process_is_refused(monkeypatch):
    monkeypatch.setattr("infomax.training.prepare.by_rank", lambda mine: ["bf16-mixed", "32-true"])
    with pytest.raises(im.ConfigError, match="bf16-mixed, 32-true by process: say which"):
        fit(precision="auto", device="cpu")
    fit(precision="32-true", device=torch.device("cpu"))
    assert devices.chosen("auto", torch.device("cpu")) == devices.chosen("auto", "cpu")


def test_auto_asks_the_gpu_that_is_named(monkeypatch):
    """Of an old one and a new one: cuda:0 and cuda:1."""
    current = [0]

    @contextmanager
    def on(device):
        before, current[0] = current[0], current[0] if device.index is None else device.index
        yield
        current[0] = before

    monkeypatch.setattr(torch.cuda, "device", on)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: current[0] == 1)
    asked = ("cuda", "cuda:0", "cuda:1", torch.device("cuda:1"), "auto", "cuda:2", "cuda:x")
    native = [devices.chosen("auto", device) == "bf16-mixed" for device in asked]
    assert native == [False, False, True, True, False, False, False]


@pytest.mark.parametrize("method", ["byol", "moco_v2", "swav"])
def test_what_compares_embeddings_of_16_bits_has_32(method):
    run = fit(method, precision="bf16-true")
    assert {p.dtype for p in run.learner.f.parameters()} == {torch.bfloat16}
    assert {t.dtype for m in run.learner.marginals for t in m.state_dict().values() if t.is_floating_point()} == {
        torch.float32
    }
    assert run.history[-1]["bound"] == pytest.approx(fit(method).history[-1]["bound"], abs=0.3)


def test_the_objective_is_read_in_32_bits_whatever_the_encoder_runs_in():
    torch.manual_seed(0)
    learner = im.methods.w_mse(nn.Linear(8, 4), projector=(), whitening_size=32)
    views = [torch.randn(32, 8), torch.randn(32, 8)]
    with torch.autocast("cpu", torch.bfloat16):
        output = learner(views)
    assert output.z[0].dtype == torch.float32 and output.loss.dtype == torch.float32
    assert abs(output.bound - learner(views).bound) < 0.05


def test_a_device_or_precision_that_is_not_there_is_one_clear_line():
    with pytest.raises(im.ConfigError, match="did you mean 'bf16-true'"):
        place("cpu", precision="bf16_true")
    with pytest.raises(im.ConfigError, match="no device 'gpu0'"):
        place("gpu0")
    with pytest.raises(im.ConfigError, match="'meta' is none that runs are tried on"):
        place("meta")
    with pytest.raises(im.ConfigError, match="needs a CUDA device"):
        place("cpu", precision="16-mixed")
    with pytest.raises(im.ConfigError, match="devices=0"):
        place("cpu", devices=0)
    with pytest.raises(im.ConfigError, match="'10min'"):
        fit(checkpoint_every="10 hours")
    with pytest.raises(im.ConfigError, match="keep=0"):
        fit(keep=0)
    assert devices.launched_processes() is None


def test_a_compiled_run_keeps_the_names_of_its_weights(tmp_path, monkeypatch):
    compiled = []
    monkeypatch.setattr(nn.Module, "compile", lambda self, **_: compiled.append(type(self).__name__))
    run = fit("byol", compile=True, out=tmp_path / "run")
    assert compiled == ["Branch", "Branch"]
    assert torch.equal(weights(run), weights(im.Run.load(tmp_path / "run")))


def test_a_misspelt_keyword_names_the_nearest():
    learner = im.methods.jmi(im.encoders.get("toy"), projector=())
    with pytest.raises(im.ConfigError, match="'train' has no option 'epoch': did you mean 'epochs'"):
        im.train(learner, "gaussians", epoch=3)
    with pytest.raises(im.ConfigError, match="'simclr' has no option 'temprature': did you mean 'temperature'"):
        im.methods.simclr(nn.Linear(2, 2), temprature=0.5)


@pytest.mark.parametrize(
    ("views", "said"),
    [
        (lambda batch: [batch, batch], r"is called as views\(batch, index, seed=0, epoch=0\)"),
        (lambda batch, index, s, e: [batch, batch], "missing a required argument: 's'"),
        (3, "give a name, or a function"),
        (
            v2.Compose([v2.Identity()]),
            r"views=Compose.*argument 'seed'; of a .* views=im\.views\.per_sample\(transform\)",
        ),
    ],
)
def test_a_view_function_that_cannot_be_called_is_told_how_it_would_be(views, said):
    with pytest.raises(im.ConfigError, match=said):
        im.train(im.methods.jmi(im.encoders.get("toy"), projector=()), "gaussians", views=views)


@pytest.mark.parametrize(
    ("gives", "said"),
    [
        (lambda batch: None, "gave a NoneType: give a tuple or list of at least 2 views"),
        (lambda batch: batch, "gave a Tensor"),
        (lambda batch: [batch], "gave 1"),
        (lambda batch: [batch[:3], batch[:3]], "views of \\[3, 3\\] rows for"),
    ],
)
def test_what_a_view_function_gives_is_looked_at(gives, said):
    with pytest.raises(im.ConfigError, match=said):
        im.train(
            im.methods.jmi(im.encoders.get("toy"), projector=()),
            "gaussians",
            views=lambda batch, index, seed, epoch: gives(batch),
            progress=False,
        )


@pytest.mark.parametrize(
    ("gives", "said"),
    [
        (
            lambda x: x,
            "of shape \\(2, 3, 8, 8\\): .*; they are uint8: have your function of views give floats, normalised",
        ),
        (lambda x: x[:, :1] / 255, "it was made for 3 channels: im.encoders.get\\('resnet8', channels=1\\)"),
    ],
    ids=["bytes", "channels"],
)
def test_an_encoder_that_cannot_take_the_views_of_a_function_is_told_and_no_folder_is_left(gives, said, tmp_path):
    def mine(batch, index, *, seed, epoch):
        return [gives(batch.permute(0, 3, 1, 2))] * 2

    learner = im.methods.simclr(im.encoders.get("resnet8"), projector=(8,))
    images = torch.zeros(16, 8, 8, 3, dtype=torch.uint8)
    with pytest.raises(im.ConfigError, match=said):
        im.train(learner, images, views=mine, progress=False, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_views_of_a_function_are_tried_on_the_encoder_as_it_is_written(monkeypatch):
    """And not as it was compiled, for a shape and a mode that come but once."""
    tried, compiled = [], []

    @contextmanager
    def as_written():
        tried.append(len(compiled))
        yield

    monkeypatch.setattr("infomax.training.prepare.compile_branch", lambda branch, **_: compiled.append(branch))
    monkeypatch.setattr("infomax.training.prepare.uncompiled", as_written)
    learner = im.methods.simclr(im.encoders.get("mlp", channels=1, size=8), projector=(8,))

    def mine(batch, index, *, seed, epoch):
        return [(batch.permute(0, 3, 1, 2) / 255 - 0.305) / 0.376] * 2

    im.train(learner, "digits", views=mine, epochs=1, progress=False, gauge_samples=16, compile=True)
    assert tried == [1]


@pytest.mark.parametrize(
    "asked",
    [
        {"lr": "0.1"}, {"weight_decay": "0"}, {"warmup_epochs": "1"}, {"clip_norm": "1"}, {"keep": "2"}, {"devices": "2"},
        {"compile": "no"}, {"online_probe": "no"}, {"rules": [1]}, {"optimizer": None}, {"precision": 32}, {"on_nan": None},
        {"strategy": None}, {"size": 16.0}, {"size": True}, {"local_views": 2.0}, {"lr_batch": True}, {"lr_batch": 256.0},
        {"epochs": True}, {"seed": False}, {"gauge_samples": True}, {"lr": True}, {"clip_norm": True}, {"keep": True},
        {"devices": True}, {"accumulate": True}, {"checkpoint_every": True}, {"checkpoint_every": "0s"},
    ],
)  # fmt: skip
def test_an_option_of_another_type_is_named(asked):
    (name,) = asked
    with pytest.raises(im.ConfigError, match=name):
        fit(**asked)


@pytest.mark.parametrize(
    ("learner", "said"),
    [
        ("simclr", r"not 'simclr': such as im\.methods\.simclr\("),
        ("nothing", r"not 'nothing': such as im\.methods\.simclr\("),
        ("byol", r"such as im\.methods\.byol\("),
        (torch.nn.Linear(2, 2), "not a Linear"),
        (im.methods.simclr, "not a function"),
    ],
)
def test_what_is_no_learner_is_told_how_one_is_made(learner, said, tmp_path):
    with pytest.raises(im.ConfigError, match=f"train takes a learner.*{said}"):
        im.train(learner, "gaussians", out=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()
