"""What is left of a run that fails: of a fresh one nothing, of one that had learnt all that it had."""

import shutil

import pytest
import torch

import infomax as im
from infomax.errors import ConfigError
from infomax.training import start


def learner():
    torch.manual_seed(0)
    return im.methods.jmi(im.encoders.get("mlp", channels=1, size=8), projector=(8,))


def test_a_resume_that_fails_takes_nothing_away(tmp_path):
    run = im.train(learner(), "digits", epochs=2, out=tmp_path / "run", checkpoint_every=0, progress=False)
    log = tmp_path / "run" / "log.jsonl"
    log.write_text(log.read_text().splitlines()[0] + "\n")  # as if killed in its second epoch
    before = sorted(p.name for p in (tmp_path / "run").rglob("*"))
    with pytest.raises(ConfigError, match="begun with other data"):
        im.Run.resume(tmp_path / "run", data=torch.zeros(400, 8, 8, 1, dtype=torch.uint8), progress=False)
    assert sorted(p.name for p in (tmp_path / "run").rglob("*")) == before
    assert im.Run.load(tmp_path / "run").learner.name == run.learner.name


def test_a_fresh_run_that_fails_at_once_leaves_nothing_and_says_why(tmp_path, monkeypatch):
    def fail(*_):
        (tmp_path / "run" / "of-another-logger").mkdir()
        raise MemoryError("out of memory")

    monkeypatch.setattr("infomax.training.loop.update", fail)
    with pytest.raises(MemoryError, match="out of memory"):
        im.train(learner(), "digits", epochs=1, out=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_a_fresh_run_that_is_interrupted_before_its_first_file_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("infomax.training.run.Run.start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        im.train(learner(), "digits", epochs=1, out=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_of_two_runs_begun_at_once_in_one_folder_one_is_refused_and_takes_nothing_away(tmp_path, monkeypatch):
    whole = start.alone

    def both_found_it_empty(out):
        monkeypatch.undo()
        im.train(learner(), "digits", epochs=1, out=out, progress=False, gauge_samples=50)
        for path in out.iterdir():
            if path.name != "config.json":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        monkeypatch.setattr("pathlib.Path.iterdir", lambda self: iter(()))  # as it was a moment ago
        return whole(out)

    monkeypatch.setattr(start, "alone", both_found_it_empty)
    with pytest.raises(ConfigError, match="another run has just begun in it"):
        im.train(learner(), "digits", epochs=1, out=tmp_path / "run", progress=False, gauge_samples=50)
    assert (tmp_path / "run" / "config.json").stat().st_size > 0


def test_a_view_function_that_draws_is_continued_exactly(tmp_path):
    class Stop(Exception):
        pass

    calls = []

    def noisy(batch, index, seed, epoch):
        calls.append(epoch)
        if len(calls) == stop_at:
            raise Stop
        x = (batch.float().permute(0, 3, 1, 2) / 255 - 0.305) / 0.376
        return x + 0.1 * torch.randn(x.shape), x + 0.1 * torch.randn(x.shape)

    stop_at = -1
    options = {"views": noisy, "epochs": 2, "batch_size": 400, "checkpoint_every": 1, "progress": False}
    whole = im.train(learner(), "digits", out=tmp_path / "whole", **options)
    calls.clear()
    stop_at = 5
    with pytest.raises(Stop):
        im.train(learner(), "digits", out=tmp_path / "cut", **options)
    stop_at = -1
    rest = im.Run.resume(tmp_path / "cut", views=noisy, progress=False)
    for a, b in zip(whole.learner.parameters(), rest.learner.parameters(), strict=True):
        assert torch.equal(a, b)
    assert [row["mi_dv"] for row in whole.history] == [row["mi_dv"] for row in rest.history]
