import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import infomax as im
from infomax import files
from infomax.cli.pages import reported
from infomax.locks import held
from infomax.training import checkpoint, loop, start
from infomax.training.folder import cleared, labelled, unclaimed
from infomax.training.interrupt import Stopped

LIVES = Path(__file__).with_name("lives.py")


def fit(out, method="jmi", encoder=None, **options):
    torch.manual_seed(3)
    learner = im.methods.build(method, encoder or im.encoders.get("toy"), projector=())
    asked = {"epochs": 3, "batch_size": 500, "lr": 1e-2, "progress": False, "gauge_samples": 64, "checkpoint_every": 1}
    return im.train(learner, "gaussians", out=out, **(asked | options))


class Power(Exception):
    """Stands for whatever ends a run without a word."""


def broken_off(out, step, **options):
    """A run that ends without a word after some updates."""

    def views(batch, index, seed=0, epoch=0, made=im.views.Gaussian(0.1), seen=[]):  # noqa: B006, B008
        seen.append(1)
        if len(seen) > step + 1:  # one more for the gauges
            raise Power
        return made(batch, index, seed=seed, epoch=epoch)

    with pytest.raises(Power):
        fit(out, views=views, **options)


def test_data_that_have_changed_are_told_without_what_follows_from_them(tmp_path):
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 256, (12, 8, 8, 3), dtype=torch.uint8, generator=generator)
    learner = im.methods.build("simclr", im.encoders.get("mlp", size=8), projector=())
    out = tmp_path / "run"
    im.train(learner, pictures, out=out, epochs=2, progress=False, on_epoch=lambda run: True)
    with pytest.raises(
        im.ConfigError, match=r"other data .*data\.samples: 12 then, 9 now\. Put back .*--init"
    ) as refused:
        im.Run.resume(out, data=pictures[:9], progress=False)
    assert "mean" not in str(refused.value) and "Views(" not in str(refused.value)
    with pytest.raises(im.ConfigError, match=r"other data .*data\.mean: .*Put back") as refused:
        im.Run.resume(out, data=pictures // 2, progress=False)
    assert "Views(" not in str(refused.value)


def own_views(batch, index, seed=0, epoch=0):
    return im.views.Gaussian(0.1)(batch, index, seed=seed, epoch=epoch)


def assert_same_end(one: Path, other: Path) -> None:
    """The same weights, buffers, optimiser, generators and history, bit for bit."""
    last = f"checkpoints/{checkpoint.written(one)[-1].name}"
    # a life that ended between the last weights and the last checkpoint has nothing more to do
    for name in ("learner.safetensors", *([last] if (other / last).exists() else [])):
        a, b = load_file(one / name), load_file(other / name)
        a.pop("history", None), b.pop("history", None)  # it has the seconds too: the logs are compared instead
        assert a.keys() == b.keys()
        for key in a:
            assert torch.equal(a[key], b[key]), (name, key)
    logs = [[json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()] for run in (one, other)]
    for rows in logs:
        for row in rows:
            del row["seconds"]
    assert logs[0] == logs[1]


def killed(folder, seed, kills, *methods):
    said = subprocess.run(
        [sys.executable, LIVES, folder, str(seed), str(kills), *methods],
        capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    for method in methods:
        assert f"{method}: {kills} deaths" in said.stdout
        for run in (folder / method).glob("killed *"):
            assert_same_end(folder / method / "whole", run)


def test_a_run_killed_three_times_ends_in_the_same_bits(tmp_path):
    killed(tmp_path, 1, 3, "jmi", "sdmi", "moco_v2")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
def test_a_run_killed_twenty_times_ends_in_the_same_bits(tmp_path, seed):
    killed(tmp_path, seed, 20, "jmi", "sdmi", "moco_v2", "byol", "w_mse")


@pytest.mark.parametrize("optimizer", ["sgd", "lars", "larc", "adam", "adamw"])
def test_every_optimiser_continues(tmp_path, optimizer):
    fit(tmp_path / "whole", optimizer=optimizer, views=own_views)
    broken_off(tmp_path / "broken", 8, optimizer=optimizer)
    config = tmp_path / "broken" / "config.json"
    # the views that broke off stand in the configuration: what is tested here is what comes after it
    asked = json.loads((tmp_path / "whole" / "config.json").read_text())
    _begun_with(tmp_path / "broken", asked)
    assert json.loads(config.read_text()) == asked
    im.Run.resume(tmp_path / "broken", views=own_views, progress=False)
    assert (tmp_path / "broken" / "checkpoints" / "000000015.safetensors").exists()
    assert_same_end(tmp_path / "whole", tmp_path / "broken")


def _begun_with(run, asked):
    """Rewrite a run as if it had been begun with another configuration."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    (run / "config.json").write_text(json.dumps(asked))
    for path in checkpoint.written(run):
        with safe_open(path, "pt") as file:
            header = json.loads(file.metadata()["infomax"])
        header |= {"config": asked, "fingerprint": checkpoint.fingerprint(asked)}
        save_file(load_file(path), path, {"infomax": json.dumps(header)})


def test_a_place_that_can_only_be_read_is_named_for_what_was_to_be_written(tmp_path, monkeypatch):
    def only_read(self, *_, **__):
        raise OSError(errno.EROFS, "Read-only file system", str(self))

    for name in ("open", "unlink"):
        monkeypatch.setattr(Path, name, only_read)
    with pytest.raises(im.DataError, match=r"cannot write .*kept\.json \(0\.0 MB\): Read-only"):
        files.write_bytes(tmp_path / "kept.json", b"{}")


def test_a_run_in_a_place_that_cannot_be_written_is_one_clear_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(im.DataError, match=r"file/run: nothing can be written in .*file \(Not a directory\)"):
        fit(tmp_path / "file" / "run")


def stopping_views(number, step):
    def views(batch, index, seed=0, epoch=0, seen=[]):  # noqa: B006
        seen.append(1)
        if len(seen) == step + 1:
            os.kill(os.getpid(), number)
        return own_views(batch, index, seed=seed, epoch=epoch)

    return views


def test_the_last_checkpoints_are_kept(tmp_path):
    fit(tmp_path / "run", keep=3, checkpoint_every=2)
    assert [checkpoint.step_of(path) for path in checkpoint.written(tmp_path / "run")] == [10, 12, 14]


def test_a_full_disk_is_one_clear_line_and_the_last_checkpoint_is_intact(tmp_path, monkeypatch):
    opened, seen = Path.open, []

    class Full:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.file.close()

        def write(self, data):
            self.file.write(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")

    def full(self, mode="r", *more, **others):
        file = opened(self, mode, *more, **others)
        if self.parent.name == checkpoint.FOLDER and mode == "wb":
            seen.append(self)
        return Full(file) if len(seen) > 4 and "r" not in mode else file

    monkeypatch.setattr(Path, "open", full)
    again = rf"free some space, then: infomax train --resume {tmp_path / 'run'}$"
    with pytest.raises(im.DataError, match=rf"checkpoints/000000004.safetensors .*the disk is full.*intact; {again}"):
        fit(tmp_path / "run")
    monkeypatch.undo()
    assert sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir()) == [
        "000000002.safetensors", "000000003.safetensors",
    ]  # fmt: skip
    im.Run.resume(tmp_path / "run", progress=False)
    fit(tmp_path / "whole")
    assert_same_end(tmp_path / "whole", tmp_path / "run")


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path, monkeypatch):
    made = Path.mkdir

    def full(self, *more, **others):
        if self.name == checkpoint.FOLDER:
            raise OSError(errno.ENOSPC, "No space left on device")
        made(self, *more, **others)

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(im.DataError, match=r"cannot write .*000000000.safetensors .*the disk is full.*intact$"):
        fit(tmp_path / "run")


def test_a_nan_is_named_though_its_file_cannot_be_written(tmp_path, monkeypatch):
    def views(batch, index, seed=0, epoch=0):
        return [batch.float(), batch.float() * (float("nan") if epoch == 1 else 1)]

    whole = files.write_bytes

    def full(path, data, **how):
        if path.name == "nan.json":
            raise files.unwritable(path, data, OSError(errno.ENOSPC, ""))
        whole(path, data, **how)

    monkeypatch.setattr("infomax.training.update.write_bytes", full)
    with (
        pytest.warns(UserWarning, match="the disk is full"),
        pytest.raises(im.NumericsError, match="view 1 of the input"),
    ):
        fit(tmp_path / "run", views=views)


@pytest.mark.parametrize(("number", "goes"), [(errno.EINVAL, True), (errno.EIO, False)])
def test_a_file_system_that_settles_no_folders_is_none_that_cannot_be_written(tmp_path, monkeypatch, number, goes):
    settle = os.fsync

    def fsync(handle):
        if Path(f"/proc/self/fd/{handle}").resolve().is_dir():
            raise OSError(number, os.strerror(number))
        settle(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    if goes:
        files.write_bytes(tmp_path / "file", b"all", durable=True)
    else:
        with pytest.raises(im.DataError, match="cannot write"):
            files.write_bytes(tmp_path / "file", b"all", durable=True)
    assert (tmp_path / "file").read_bytes() == b"all"


@pytest.mark.parametrize("name", ["learner.safetensors", "log.jsonl"])
@pytest.mark.parametrize("at", [8, None])
def test_what_a_loss_of_power_took_beside_the_checkpoints_is_written_anew(tmp_path, monkeypatch, name, at):
    """Only checkpoints, and the end of a run, are on the disk for sure."""
    fit(tmp_path / "whole")
    die_at(monkeypatch, at)
    with pytest.raises(Power) if at else nullcontext():
        fit(tmp_path / "run")
    monkeypatch.undo()
    (tmp_path / "run" / name).write_bytes(b"\0" * 400 + b"\n")
    seen = at is None or name == "log.jsonl"  # the weights of a run that has not ended are not looked at
    with pytest.warns(UserWarning, match="damaged.*goes on from its checkpoint") if seen else nullcontext():
        run = im.Run.resume(tmp_path / "run", progress=False)
    assert len(run.history) == 3
    assert_same_end(tmp_path / "whole", tmp_path / "run")


def die_at(monkeypatch, step):
    """Let the next run end without a word before an update; None: let it be."""
    update = loop.update

    def until(job, position, *where):
        if position.step == step:
            raise Power
        return update(job, position, *where)

    monkeypatch.setattr(loop, "update", until)


def test_a_file_of_ones_own_among_the_checkpoints_is_left_alone(tmp_path, monkeypatch):
    folder = tmp_path / "run" / checkpoint.FOLDER
    die_at(monkeypatch, 4)
    with pytest.raises(Power):
        fit(tmp_path / "run")
    monkeypatch.undo()
    (folder / "best.safetensors").write_bytes(b"mine")
    im.Run.resume(tmp_path / "run", progress=False)
    assert (folder / "best.safetensors").read_bytes() == b"mine" and len(checkpoint.written(tmp_path / "run")) == 2


def test_another_configuration_never_resumes(tmp_path):
    broken_off(tmp_path / "run", 4)
    config = tmp_path / "run" / "config.json"
    asked = json.loads(config.read_text())
    asked["training"]["lr"] = 0.5
    asked["method"]["temperature"] = 0.3
    config.write_text(json.dumps(asked))
    with pytest.raises(
        im.ConfigError, match=r"method.temperature: 0.1 then, 0.3 now; .*training.lr: 0.01 then, 0.5 now"
    ):
        im.Run.resume(tmp_path / "run", views=own_views, progress=False)
    assert len(checkpoint.written(tmp_path / "run")) == 2


def test_data_that_are_gone_are_asked_for(tmp_path):
    import numpy as np

    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(64, 2)))
    torch.manual_seed(3)
    learner = im.methods.jmi(im.encoders.get("toy"), projector=())
    with pytest.raises(Stopped):
        im.train(
            learner, tmp_path / "x.npy", views=stopping_views(signal.SIGINT, 2), out=tmp_path / "run", progress=False
        )
    (tmp_path / "x.npy").rename(tmp_path / "y.npy")
    with pytest.raises(
        im.DataError, match=r"x\.npy.* put them back, or say where .*--data DATA \(Run\.resume\(path, data="
    ):
        im.Run.resume(tmp_path / "run", views=own_views, progress=False)


def test_other_data_or_views_never_resume(tmp_path):
    x = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    with pytest.raises(Stopped):
        torch.manual_seed(0)
        learner = im.methods.jmi(im.encoders.get("toy"), projector=())
        im.train(
            learner, x, views=stopping_views(signal.SIGTERM, 3), epochs=3, batch_size=16, out=tmp_path / "run",
            progress=False,
        )  # fmt: skip
    resume = im.Run.resume
    with pytest.raises(im.DataError, match="give them"):
        resume(tmp_path / "run")
    with pytest.raises(im.DataError, match="stopping_views"):
        resume(tmp_path / "run", data=x)
    with pytest.raises(im.ConfigError, match=r"views.own: .*stopping_views.* then, .*own_views now"):
        resume(tmp_path / "run", data=x, views=own_views)
    with pytest.raises(im.ConfigError, match=r"data.mean"):
        resume(tmp_path / "run", data=x + 1, views=own_views)


@pytest.mark.parametrize("off", [1e-7, 1e-5])
def test_a_run_goes_on_where_another_machine_rounded_the_statistics_otherwise(tmp_path, off):
    options = {"epochs": 2, "batch_size": 200, "progress": False, "gauge_samples": 20, "size": 8}

    def pictures(change=0.0):
        x = torch.randint(0, 256, (400, 8, 8, 1), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        data = im.data.Dataset(x)
        data.mean, data.std = (
            tuple(v + change * data.std[0] for v in data.mean),
            tuple(v + change * v for v in data.std),
        )
        return data

    def learner():
        torch.manual_seed(0)
        return im.methods.jmi(im.encoders.get("mlp", channels=1, size=8), projector=())

    im.train(learner(), pictures(), out=tmp_path / "whole", **options)
    im.train(learner(), pictures(), out=tmp_path / "run", checkpoint_every=3, **options)
    (tmp_path / "run" / "log.jsonl").unlink()  # as if killed in its last epoch
    here = pictures(off)
    as_here = here.mean, here.std
    if off > 1e-6:
        with pytest.raises(im.ConfigError, match=r"data\.mean"):
            im.Run.resume(tmp_path / "run", data=here, progress=False)
    else:
        im.Run.resume(tmp_path / "run", data=here, progress=False)
        assert_same_end(tmp_path / "whole", tmp_path / "run")
    assert (here.mean, here.std) == as_here


def test_a_finished_run_is_read_back_and_a_folder_without_a_run_is_refused(tmp_path):
    run = fit(tmp_path / "run")
    again = im.Run.resume(tmp_path / "run", progress=False)
    assert again.history == run.history
    with pytest.raises(im.DataError, match="no run"):
        im.Run.resume(tmp_path / "nowhere")
    with pytest.raises(im.ConfigError, match="not empty"):
        fit(tmp_path / "run")


def test_a_run_that_is_being_trained_is_not_taken_up_by_another_process_too(tmp_path):
    refused = []

    def views(batch, index, seed=0, epoch=0):
        if index is not None and len(index) == 500 and not refused:
            with pytest.raises(im.ConfigError, match="another process is training in it: wait") as caught:
                im.Run.resume(tmp_path / "run", views=views, progress=False)
            refused.append(caught)
        return own_views(batch, index, seed=seed, epoch=epoch)

    run = fit(tmp_path / "run", views=views)
    assert refused and len(run.history) == 3 and not (tmp_path / "run" / "run.lock").exists()


def test_a_killed_process_leaves_nothing_in_the_way(tmp_path):
    fit(tmp_path / "whole", views=own_views)
    with pytest.raises(Stopped):
        fit(tmp_path / "run", views=stopping_views(signal.SIGTERM, 7))
    _begun_with(tmp_path / "run", json.loads((tmp_path / "whole" / "config.json").read_text()))
    files = ("config.json", "environment.json", "learner.safetensors", "embedding.safetensors", "log.jsonl", "log.csv")
    halves = [tmp_path / "run" / f"{f}.7.tmp" for f in (*files, "watch.json", "checkpoints/000000008.safetensors")]
    others = [tmp_path / "run" / f for f in ("notes.tmp", "evaluation.json.7.tmp")]  # somebody else's
    for file in (*halves, *others, tmp_path / "run" / "run.lock"):
        file.write_bytes(b"")
    (tmp_path / "run" / "environment.json").unlink()
    im.Run.resume(tmp_path / "run", views=own_views, progress=False)
    assert_same_end(tmp_path / "whole", tmp_path / "run")
    assert not any(half.exists() for half in halves) and all(other.exists() for other in others)
    assert json.loads((tmp_path / "run" / "environment.json").read_text())["continued"][0]["step"] == 7


def test_a_folder_whose_run_was_killed_before_it_began_is_free(tmp_path):
    for name in ("config.json", "run.lock"):
        (tmp_path / name).touch()
    with pytest.raises(im.DataError, match="is empty: the run was killed before it began; begin it anew"):
        im.Run.resume(tmp_path, progress=False)
    assert len(fit(tmp_path, epochs=1).history) == 1


def test_a_folder_whose_run_was_killed_in_its_first_file_is_free(tmp_path):
    (tmp_path / "config.json.77.tmp").write_text("{")
    assert len(fit(tmp_path, epochs=1).history) == 1
    assert not list(tmp_path.glob("*.tmp"))


def test_an_unreadable_checkpoint_gives_way_to_the_one_before(tmp_path):
    fit(tmp_path / "whole")
    with pytest.raises(Stopped):
        fit(tmp_path / "run", views=stopping_views(signal.SIGTERM, 7))
    _begun_with(tmp_path / "run", json.loads((tmp_path / "whole" / "config.json").read_text()))
    last = checkpoint.written(tmp_path / "run")[-1]
    last.write_bytes(last.read_bytes()[:100])
    with pytest.warns(UserWarning, match="000000007.safetensors cannot be read"):
        im.Run.resume(tmp_path / "run", progress=False)
    assert_same_end(tmp_path / "whole", tmp_path / "run")


def test_of_one_kept_checkpoint_the_new_one_stays_beside_an_unreadable_later_one(tmp_path):
    out = tmp_path / "run"
    with pytest.raises(Stopped):
        fit(out, views=stopping_views(signal.SIGTERM, 3), keep=1)
    (out / "checkpoints" / "000000009.safetensors").write_bytes(
        b"cut short"
    )  # killed before the one before it was removed
    with (
        pytest.warns(UserWarning, match="000000009.safetensors cannot be read"),
        pytest.raises(Stopped),
    ):
        im.Run.resume(out, views=stopping_views(signal.SIGTERM, 3), progress=False)
    assert [checkpoint.step_of(path) for path in checkpoint.written(out)] == [6, 9]


def test_a_learner_put_together_by_hand_is_given_again(tmp_path):
    def make(temperature=0.5):
        torch.manual_seed(0)
        cos = im.Cosine(temperature)
        return im.Learner(nn.Linear(2, 3), im.Shared(), im.Alignment(cos), im.DonskerVaradhan(cos))

    options = {"epochs": 3, "batch_size": 500, "progress": False, "views": own_views}
    im.train(make(), "gaussians", out=tmp_path / "whole", **options, checkpoint_every=1)
    with pytest.raises(Stopped):
        stopping = options | {"views": stopping_views(signal.SIGTERM, 7)}
        im.train(make(), "gaussians", out=tmp_path / "run", **stopping, checkpoint_every=1)
    _begun_with(tmp_path / "run", json.loads((tmp_path / "whole" / "config.json").read_text()))
    with pytest.raises(im.DataError, match="put together by hand"):
        im.Run.resume(tmp_path / "run", views=own_views)
    with pytest.raises(im.ConfigError, match=r"learner: .*0\.5.* then, .*0\.3.* now"):
        im.Run.resume(tmp_path / "run", views=own_views, learner=make(0.3))
    im.Run.resume(tmp_path / "run", views=own_views, learner=make(), progress=False)
    assert_same_end(tmp_path / "whole", tmp_path / "run")


def test_tied_weights_are_held_once_and_state_that_is_no_tensor_is_refused():
    first = nn.Linear(3, 3)
    tied = nn.Sequential(first, nn.ReLU(), first)
    assert sorted(checkpoint.distinct(tied)) == ["0.bias", "0.weight"]

    class Extra(nn.Linear):
        def get_extra_state(self):
            return {"a": 1}

    with pytest.raises(im.ConfigError, match="_extra_state of the learner is a dict"):
        checkpoint.distinct(Extra(2, 2))


@pytest.fixture(scope="module")
def never_begun(tmp_path_factory):
    """What a run leaves that was killed in its first checkpoint."""
    out = tmp_path_factory.mktemp("killed") / "run"
    program = f"""
import os
import infomax as im
os.replace = lambda a, b, whole=os.replace: os.kill(os.getpid(), 9) if "checkpoints" in str(b) else whole(a, b)
im.train(im.methods.jmi(im.encoders.get("toy"), projector=()), "gaussians", epochs=1, out={str(out)!r}, progress=False)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    return out


def inside(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_run_killed_before_its_first_checkpoint_is_begun_anew_in_its_folder(tmp_path, never_begun):
    shutil.copytree(never_begun, tmp_path / "run")
    assert {"config.json", "environment.json", "embedding.safetensors", "run.lock"} <= set(inside(tmp_path / "run"))
    for _ in range(2):
        with pytest.raises(im.DataError, match=r"ended before its first one. Begin it anew, with the same --out"):
            im.Run.resume(tmp_path / "run", progress=False)
    assert inside(tmp_path / "run") == inside(never_begun)
    run = fit(tmp_path / "run", epochs=1)
    assert len(run.history) == 1 and im.Run.load(tmp_path / "run").config == run.config
    assert not any(name.endswith((".tmp", ".lock")) for name in inside(tmp_path / "run"))


@pytest.mark.parametrize(
    "also",
    [
        "notes.txt",
        "log.jsonl",
        "learner.safetensors",
        "checkpoints/000000000.safetensors",
        "checkpoints/mine",
        "more/x",
    ],
)
def test_a_folder_that_holds_anything_else_is_left_as_it_is(tmp_path, never_begun, also):
    shutil.copytree(never_begun, tmp_path / "run")
    (tmp_path / "run" / also).parent.mkdir(exist_ok=True)
    (tmp_path / "run" / also).write_text("")
    before = inside(tmp_path / "run")
    with pytest.raises(im.ConfigError, match="not empty: nothing is overwritten"):
        fit(tmp_path / "run")
    assert inside(tmp_path / "run") == before


def test_a_page_of_ours_is_no_reason_to_keep_a_folder_and_another_file_of_its_name_is(tmp_path, never_begun):
    for name in ("run", "mine"):
        shutil.copytree(never_begun, tmp_path / name)
    with pytest.warns(UserWarning, match="killed before its first checkpoint"):
        page = reported([tmp_path / "run"])
    assert fit(tmp_path / "run", epochs=1).history and not page.exists()
    (tmp_path / "mine" / page.name).write_text("<h1>what I saw</h1>")
    with pytest.raises(im.ConfigError, match="not empty: nothing is overwritten"):
        fit(tmp_path / "mine")


@pytest.mark.filterwarnings("ignore:budget")
def test_of_a_folder_that_is_taken_it_is_said_whether_its_run_can_go_on(tmp_path):
    fit(tmp_path / "ended", epochs=1)
    fit(tmp_path / "timed", budget="0.2s")
    broken_off(tmp_path / "cut", 3)
    for name in ("ended", "timed"):
        with pytest.raises(im.ConfigError, match=rf"the run in it has ended: .*infomax evaluate .*{name} judges it$"):
            fit(tmp_path / name)
    with pytest.raises(
        im.ConfigError, match=r"choose another out=.*im\.Run\.resume\('.*cut', views=\.\.\.\) continues the run in it$"
    ):
        fit(tmp_path / "cut")
    (tmp_path / "ended" / "learner.safetensors").unlink()  # --resume writes it again
    with pytest.raises(im.ConfigError, match=r"im\.Run\.resume\('.*ended'\) continues the run in it$"):
        fit(tmp_path / "ended")
    with pytest.raises(im.ConfigError, match=r"choose another --out .*continue the run in it by --resume$"):
        unclaimed(tmp_path / "cut", anew=True)  # as the command asks


def test_of_a_run_without_labels_it_is_said_that_others_judge_it(tmp_path):
    learner = im.methods.jmi(im.encoders.get("mlp", channels=2, size=1), projector=())
    run = im.train(
        learner, torch.rand(600, 2), views=own_views, epochs=1, out=tmp_path / "run", progress=False, gauge_samples=50
    )
    assert not labelled(run.config) and labelled(fit(None, epochs=1).config) and labelled({"data": {"name": "old"}})
    with pytest.raises(im.ConfigError, match=r"evaluate .*run --data LABELLED judges it$"):
        fit(tmp_path / "run")


def test_the_options_and_the_embedding_of_some_run_are_a_record_of_it(tmp_path, never_begun):
    shutil.copytree(never_begun, tmp_path / "run")
    (tmp_path / "run" / "run.lock").unlink()  # which only a killed process leaves
    fit(tmp_path / "ended", epochs=1)
    shutil.copytree(never_begun, tmp_path / "later")
    shutil.copy(tmp_path / "ended" / "embedding.safetensors", tmp_path / "later")
    for name in ("run", "later"):
        before = inside(tmp_path / name)
        with pytest.raises(im.ConfigError, match="not empty"):
            fit(tmp_path / name)
        assert inside(tmp_path / name) == before


def test_a_run_that_lives_is_not_begun_anew(tmp_path, never_begun):
    shutil.copytree(never_begun, tmp_path / "run")
    before = inside(tmp_path / "run")
    with (
        held(tmp_path / "run" / "run.lock"),
        pytest.raises(im.ConfigError, match="not empty: another process is training in it; choose another out="),
    ):
        fit(tmp_path / "run")
    assert inside(tmp_path / "run") == before


def test_what_was_written_since_a_folder_was_looked_at_stays(tmp_path, never_begun, monkeypatch):
    shutil.copytree(never_begun, tmp_path / "run")
    whole = start.alone

    def another_came_first(path):
        (path / "log.jsonl").write_text("{}")
        return whole(path)

    monkeypatch.setattr(start, "alone", another_came_first)
    with pytest.raises(im.ConfigError, match="not empty"):
        fit(tmp_path / "run")
    assert {"config.json", "environment.json", "log.jsonl"} <= set(inside(tmp_path / "run"))


def test_what_is_cleared_is_known_for_what_it_is_to_the_last(tmp_path, never_begun, monkeypatch):
    """Killed meanwhile, it is begun anew all the same."""
    shutil.copytree(never_begun, tmp_path / "run")
    gone, unlink = [], Path.unlink
    monkeypatch.setattr(Path, "unlink", lambda self: (gone.append(self.name), unlink(self)))
    cleared(tmp_path / "run")
    assert gone[-1] == "config.json" and len(gone) > 1


def test_of_several_processes_the_first_alone_looks_whether_a_folder_is_free(tmp_path, monkeypatch):
    """Looking takes the lock for a moment, in which another would take the run for one that lives."""
    looked = []
    monkeypatch.setattr("infomax.training.start.unclaimed", lambda *_, **__: looked.append(1))
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        learner = im.methods.jmi(im.encoders.get("toy"), projector=())
        im.train(learner, "gaussians", epochs=1, out=tmp_path / rank, device="cpu", progress=False)
    assert looked == [1]
