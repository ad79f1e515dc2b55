"""A collapse is said while it happens, within the first fifth of a run, and a healthy run is left alone."""

import re
import warnings

import pytest
import torch
from torch import nn

import infomax as im
from infomax import Clock
from infomax.training.monitor import Watch

SMALL = {"projector": (64, 32), "predictor": (32,), "queue": 512}


def fit(name, bare, **options):
    torch.manual_seed(0)
    known = im.methods.options(name)
    learner = im.methods.build(
        name, im.encoders.get("mlp", channels=1, size=8, hidden=64), **{k: v for k, v in SMALL.items() if k in known}
    )
    if bare:
        with pytest.warns(im.CollapseWarning, match="no marginal"):
            learner = learner.edit(marginals=())
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        im.train(learner, "digits", epochs=30, lr=3e-3, progress=False, gauge_samples=64, **options)
    return [str(w.message) for w in said if w.category is im.CollapseWarning]


def test_a_collapse_is_said_in_the_first_fifth_and_a_healthy_run_is_left_alone():
    assert fit("simclr", bare=False) == []
    (message,) = fit("simclr", bare=True)
    assert int(re.search(r"is collapsing in epoch (\d+)", message).group(1)) <= 6
    assert "std 0.0" in message


def rows(spread, dimensions=16, n=64):
    torch.manual_seed(0)
    z = torch.ones(dimensions) + spread * torch.randn(n, dimensions)
    return {0: z, 1: z}


def test_one_reading_alone_says_nothing_and_two_in_a_row_do():
    watch = Watch("mine", total=100)
    for step, spread, warns in (
        (0, 1.0, False),
        (5, 0.01, False),
        (10, 1.0, False),
        (15, 0.01, False),
        (20, 0.01, True),
    ):
        clock, z = Clock(step, 10, 100), rows(spread)
        gauges = watch.see(z, z, clock)
        if warns:
            with pytest.warns(
                im.CollapseWarning, match=r"'mine' is collapsing in epoch 3, at update 20 of 100: std 0.0"
            ):
                assert watch.warn(gauges, clock)
        else:
            assert not watch.warn(gauges, clock)


def test_directions_that_vanish_behind_a_batch_norm_are_seen_early_and_not_late():
    def thin(step):
        watch = Watch("mine", total=1000)
        wide = nn.functional.batch_norm(torch.randn(64, 32), None, None, training=True)
        watch.see({0: wide}, {1: wide}, Clock(0, 10, 1000))
        line = torch.randn(64, 1) * torch.ones(32) + 0.01 * torch.randn(64, 32)
        for k in (step, step + 5):
            gauges = watch.see({0: line}, {1: line}, Clock(k, 10, 1000))
        assert gauges["std"] > 0.9
        return watch.suspicious == 2

    torch.manual_seed(0)
    assert thin(100)
    assert not thin(500)


def test_the_bar_says_where_the_run_stands_within_an_epoch(capsys, monkeypatch):
    import infomax.training.loop as loop

    seen = []

    class Bar(loop.tqdm):
        def set_postfix_str(self, text="", refresh=True):
            seen.append((self.n, text))

    monkeypatch.setattr(loop, "tqdm", Bar)
    learner = im.methods.simclr(im.encoders.get("mlp", channels=1, size=8, hidden=16), projector=(16,))
    im.train(learner, "digits", epochs=2, batch_size=128, gauge_samples=64)
    assert [n for n, _ in seen] == [0, 5, 10, 15, 20][: len(seen)] and len(seen) > 3
    assert all(word in seen[-1][1] for word in ("bound", "mi", "rank", "std", "lr"))
