"""What is kept of an embedding by epoch: what it shows is the embedding, and a run that was stopped keeps the same."""

import signal

import pytest
import torch
import torch.nn.functional as F

import infomax as im
from infomax.data import Dataset, sbm
from infomax.errors import DataError
from infomax.evaluate.gauges import spectrum
from infomax.training import loop
from infomax.training.interrupt import Stopped
from infomax.training.watch.frames import FILE, MOST_FRAMES, MOST_SAMPLES, Frames


def frames(n: int = 40, seed: int = 0) -> Frames:
    return Frames.of(Dataset(torch.zeros(n, 2)), n)[0]


def fit(out, **options):  # type: ignore[no-untyped-def]
    torch.manual_seed(3)
    learner = im.methods.jmi(im.encoders.get("toy"), projector=())
    asked = {"epochs": 3, "batch_size": 500, "lr": 1e-2, "progress": False, "gauge_samples": 64, "checkpoint_every": 1}
    return im.train(learner, "gaussians", out=out, **(asked | options))


def stopped(out, monkeypatch, step: int) -> None:  # type: ignore[no-untyped-def]
    """A run that is sent a signal in some update."""
    update = loop.update

    def stopping(job, position, *rest):  # type: ignore[no-untyped-def]
        if position.step == step - 1:
            signal.raise_signal(signal.SIGTERM)
        return update(job, position, *rest)

    monkeypatch.setattr(loop, "update", stopping)
    with pytest.raises(Stopped):
        fit(out)
    monkeypatch.undo()


def draw(n: int, d: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("d", [2, 3])
def test_what_lies_on_a_sphere_is_kept_as_it_is(d: int) -> None:
    film, z = frames(), 5 * draw(40, d)
    film.see(3, z)
    torch.testing.assert_close(film.points[0].float(), F.normalize(z, dim=-1), atol=1e-3, rtol=0)
    assert film.epochs == [3] and film.shares == [1.0]


@pytest.mark.parametrize(("n", "d"), [(40, 16), (10, 64), (8, 1)])
def test_spectrum_share_and_distances_on_the_plane(n: int, d: int) -> None:
    film, z = frames(n), draw(n, d)
    film.see(0, z)
    unit = F.normalize(z.double(), dim=-1)
    whole = spectrum(unit)
    torch.testing.assert_close(film.spectra[0].double(), whole[: len(film.spectra[0])], atol=1e-7, rtol=1e-5)
    assert len(film.spectra[0]) == d
    assert film.shares[0] == pytest.approx(float(whole[:2].sum() / whole.sum()))
    centred = unit - unit.mean(0)
    _, _, axes = torch.linalg.svd(centred, full_matrices=False)
    plane = F.pad(centred @ axes[:2].T, (0, max(0, 2 - d)))
    torch.testing.assert_close(torch.cdist(film.points[0].double(), film.points[0].double()), torch.cdist(plane, plane),
                               atol=3e-3, rtol=0)  # fmt: skip


def test_a_plane_turns_only_as_the_embedding_does() -> None:
    film, z = frames(), draw(40, 16) * torch.linspace(3, 0.1, 16)
    film.see(0, z)
    turn, _ = torch.linalg.qr(draw(16, 16, seed=1))
    film.see(1, z @ turn)  # the same cloud, seen along other coordinates
    torch.testing.assert_close(film.points[1], film.points[0], atol=3e-3, rtol=0)


def test_what_cannot_be_shown_is_left_out() -> None:
    film = frames()
    film.see(0, draw(40, 4) * torch.nan)
    film.see(1, torch.zeros(2, 40, 4))
    assert film.epochs == []
    film.see(2, torch.ones(40, 4))  # collapsed to a point
    assert not film.points[0].any() and film.shares == [0.0]


def test_a_file_holds_them_and_a_damaged_one_is_named(tmp_path) -> None:  # type: ignore[no-untyped-def]
    data = Dataset(draw(40, 2), torch.arange(40) % 2, classes=["<b>", "é"])
    film, places = Frames.of(data, 30)
    assert len(places) == 30 and torch.equal(film.rows, torch.linspace(0, 39, 30).long())
    for epoch in (0, 2, 4.25):
        film.see(epoch, draw(30, 5, int(epoch)))
    (tmp_path / "a").write_bytes(film.to_bytes())
    read = Frames.load(tmp_path / "a")
    assert read.to_bytes() == film.to_bytes() and read.classes == ["<b>", "é"]
    assert read.until(3).epochs == [0, 2] and len(read.points) == len(read.spectra) == len(read.shares) == 2
    (tmp_path / "b").write_bytes(film.to_bytes()[:200])
    with pytest.raises(DataError, match="b is damaged"):
        Frames.load(tmp_path / "b")


@pytest.mark.parametrize("epochs", [1, 100, 101, 1000])
def test_the_first_the_last_and_not_too_many(epochs: int) -> None:
    kept = [e for e in range(epochs + 1) if frames().due(e, epochs)]
    assert kept[0] == 0 and kept[-1] == epochs and len(kept) <= MOST_FRAMES + 2


def test_of_a_run_whose_end_nobody_knows_they_are_thinned_out() -> None:
    film, z = frames(5), draw(5, 3)
    for epoch in range(1000):
        if film.due(epoch, None):
            film.see(epoch, z)
        assert film.epochs[-1] == epoch or not film.due(epoch, None)  # what was just seen is there
    assert film.epochs == list(range(0, 1000, 16)) and len(film.points) == len(film.spectra) == len(film.epochs)


def test_the_last_frame_of_a_run_by_time_is_never_thinned_out() -> None:
    for ends in range(95, 110):
        film, z = frames(5), draw(5, 3)
        for epoch in (*range(ends), ends - 0.5):  # the last is seen, due or not
            film.see(epoch, z)
        assert film.epochs[-1] == ends - 0.5


def test_a_run_keeps_the_embedding_of_its_watched_samples(tmp_path) -> None:  # type: ignore[no-untyped-def]
    run = fit(tmp_path / "run")
    assert run.frames is not None and run.frames.epochs == [0, 1, 2, 3]
    run.learner.eval()
    data = im.data.load("gaussians")
    z = run.learner.f(im.views.Gaussian(0.1)(data.images[run.frames.rows], run.frames.rows, seed=0, epoch=-1)[0])
    torch.testing.assert_close(run.frames.points[-1].float(), F.normalize(z, dim=-1), atol=1e-3, rtol=0)
    read = im.Run.load(tmp_path / "run")
    assert read.frames is not None and read.frames.to_bytes() == (tmp_path / "run" / FILE).read_bytes()
    assert torch.equal(read.frames.labels, data.labels[run.frames.rows])  # type: ignore[arg-type, index]
    (tmp_path / "run" / FILE).write_bytes(b"x" * 50)
    with pytest.warns(UserWarning, match="is damaged"):
        assert im.Run.load(tmp_path / "run").frames is None


@pytest.mark.parametrize("step", [2, 7, 10])
def test_a_stopped_run_keeps_the_same_frames(tmp_path, monkeypatch, step: int) -> None:  # type: ignore[no-untyped-def]
    whole = fit(tmp_path / "whole")
    stopped(tmp_path / "run", monkeypatch, step)
    run = im.Run.resume(tmp_path / "run", progress=False)
    assert run.frames.to_bytes() == whole.frames.to_bytes() == (tmp_path / "run" / FILE).read_bytes()  # type: ignore[union-attr]


def test_frames_after_the_checkpoint_are_made_anew(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    whole = fit(tmp_path / "whole", checkpoint_every=10**6)
    stopped(tmp_path / "run", monkeypatch, 7)
    (tmp_path / "run" / FILE).write_bytes(whole.frames.to_bytes())  # as if a longer life had ended without a word
    assert im.Run.resume(tmp_path / "run", progress=False).frames.to_bytes() == whole.frames.to_bytes()  # type: ignore[union-attr]


def test_an_older_run_goes_on_without(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    stopped(tmp_path / "run", monkeypatch, 7)
    (tmp_path / "run" / FILE).unlink()
    assert im.Run.resume(tmp_path / "run", progress=False).frames.epochs == [2, 3]  # type: ignore[union-attr]


def test_of_a_graph_some_nodes() -> None:
    graph = sbm(nodes=900)
    torch.manual_seed(0)
    learner = im.methods.bgrl(im.encoders.get("gcn", channels=graph.channels))
    run = im.train(learner, graph, epochs=2, progress=False)
    assert run.frames is not None and run.frames.points[-1].shape == (MOST_SAMPLES, 2)
    assert run.frames.rows[-1] == 899 and run.frames.epochs == [0, 1, 2]
