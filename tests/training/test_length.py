"""Runs of a given time: schedules that end where it does, and what continues."""

import json
import re
import signal

import pytest
import torch

import infomax as im
from infomax.compiled.compiler import entry, ready
from infomax.errors import ConfigError
from infomax.training import length, loop, start
from infomax.training.interrupt import Stopped, interval
from infomax.training.length import Length, limit_of


class Watch:
    """A clock that moves when it is told to."""

    def __init__(self, monkeypatch):
        self.at = 0.0
        monkeypatch.setattr(length.time, "perf_counter", lambda: self.at)
        monkeypatch.setattr(length.time, "process_time", lambda: 1000 + 2 * self.at)
        monkeypatch.setattr(length.time, "thread_time", lambda: 100 + 2 * self.at)


def updates_of(watch, timed, seconds):
    """Totals foreseen by a run whose update n takes seconds(n)."""
    step, totals = 0, [timed.total(0)]
    while step < totals[-1]:
        watch.at += seconds(step)
        step += 1
        totals.append(timed.total(step))
    return totals


def test_a_run_ends_before_the_update_that_would_not_fit(monkeypatch):
    watch = Watch(monkeypatch)
    totals = updates_of(watch, Length(0, "60s"), lambda n: 7.0)
    assert totals[-1] == 8 and watch.at == 56.0 and set(totals[2:]) == {8}


def test_the_first_update_is_on_the_budget_but_not_in_the_forecast(monkeypatch):
    watch = Watch(monkeypatch)
    totals = updates_of(watch, Length(0, "1min"), lambda n: 20.0 if n == 0 else 1.0)
    assert totals[-1] == 41 and set(totals[2:]) == {41}


@pytest.mark.parametrize("pace", [lambda n: 1 + n / 50, lambda n: 1.0 if n < 20 else 3.0, lambda n: 1.5 - (n % 2)])
def test_progress_is_the_share_of_the_time_and_never_more_is_spent(monkeypatch, pace):
    watch = Watch(monkeypatch)
    timed, step, total = Length(0, "100s"), 0, 1
    while step < total:
        watch.at += pace(step)
        step += 1
        total = timed.total(step)
        if step > 10:
            assert step / total == pytest.approx(watch.at / 100, abs=0.1)
    assert 95 < watch.at <= 100


@pytest.mark.parametrize("foreseen", [596, 0])
@pytest.mark.parametrize("slow", [1.0, 15.0, 16.0])
def test_a_run_that_continues_keeps_its_schedule_however_slow_its_first_update_is(monkeypatch, slow, foreseen):
    watch = Watch(monkeypatch)
    timed, step = Length(0, "600s"), 570
    timed.take_up(step, 574.0, foreseen)
    totals = [timed.total(step)]
    while step < totals[-1]:
        watch.at += slow if step == 570 else 1.0
        step += 1
        totals.append(timed.total(step))
    assert max(totals) <= 596 and min(totals) >= 580
    assert step in range(571 + int(26 - slow) - (foreseen == 0), 572 + int(26 - slow)) and 574 + watch.at <= 600


def test_a_run_that_continues_at_another_pace_takes_it_up_and_its_schedule_does_not_jump(monkeypatch):
    watch = Watch(monkeypatch)
    timed, step = Length(0, "600s"), 100
    timed.take_up(step, 110.0, 591)
    totals = [timed.total(step)]
    while step < totals[-1]:
        watch.at += 3.0 if step % 2 else 5.0
        step += 1
        totals.append(timed.total(step))
    assert totals[0] == 591 and totals[1] in range(580, 592) and totals[2] > 350  # one update alone would say 196
    assert 590 < 110 + watch.at <= 600


def test_a_run_that_stopped_after_its_first_update_times_another_before_it_foresees(tmp_path, monkeypatch):
    watch = Watch(monkeypatch)
    update, peaks = loop.update, []

    def timed(job, position, clock, *asked):
        watch.at += 2.0 if position.step < 2 else 0.1
        peaks.append(clock.total)
        if len(peaks) in (1, 5):
            signal.raise_signal(signal.SIGINT)
        return update(job, position, clock, *asked)

    monkeypatch.setattr(loop, "update", timed)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "run", budget="1h")
    with pytest.raises(KeyboardInterrupt):
        im.Run.resume(tmp_path / "run", progress=False)
    assert peaks[1:3] == [1001, 1002] and peaks[3:] == pytest.approx([35_963, 35_963], abs=3)


def test_the_bar_shows_no_length_before_it_is_timed_and_a_stop_tells_the_time_that_is_left(
    tmp_path, monkeypatch, capsys
):
    watch = Watch(monkeypatch)
    update, make, bars = loop.update, loop.meter, []

    def timed(job, position, *asked):
        watch.at += 3.0
        if bars[-1].n == 4:
            signal.raise_signal(signal.SIGINT)
        return update(job, position, *asked)

    def meter(**options):
        bars.append(make(**options))
        bars[-1].mininterval = 0
        return bars[-1]

    monkeypatch.setattr(loop, "update", timed)
    monkeypatch.setattr(loop, "meter", meter)
    with pytest.raises(Stopped, match=r"^stopped after update 5, with 25 s of 40s left; to continue: "):
        fit(tmp_path / "run", budget="40s", progress=True)
    shown = [line.strip() for line in capsys.readouterr().err.split("\r") if line.strip()]
    assert shown[0].startswith("jmi: update 0 of a run of 40s, before its first update"), shown
    assert any(re.match(r"jmi: update 1 of a run of 40s, batch: ", line) for line in shown)
    assert any("| 2/13 <" in line for line in shown) and not any("1000" in line or "1001" in line for line in shown)


def test_a_run_by_time_that_continues_makes_every_update_at_the_rate_it_would_have_had(tmp_path, monkeypatch):
    watch = Watch(monkeypatch)
    update, rates, stops = loop.update, [], []

    def timed(job, position, *asked):
        watch.at += 20.0 if position.step == 0 else 1.0
        rates.append(job.optimizer.param_groups[0]["lr"])
        if position.step in stops:
            signal.raise_signal(signal.SIGINT)
        return update(job, position, *asked)

    monkeypatch.setattr(loop, "update", timed)
    fit(tmp_path / "whole", budget="60s")
    whole, stops = rates.copy(), [30]
    rates.clear()
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "run", budget="60s")
    im.Run.resume(tmp_path / "run", progress=False)
    assert rates == pytest.approx(whole, rel=1e-9) and len(rates) == 41


@pytest.mark.parametrize("budget", ["20s", "40s cpu"])
def test_kernels_are_compiled_once_a_machine_and_not_on_the_budget(monkeypatch, budget):
    def run(kernel):
        watch.at += 18.0
        assert kernel(1) == 2

    watch = Watch(monkeypatch)
    timed = Length(0, budget)
    kernel = ready(lambda cache, what: entry(lambda x: x + 1, cache=False, what=what), run, "a kernel", 1)
    assert timed.spent == 0
    ready(lambda cache, what: kernel, run, "a kernel", 1)  # it was there: to load it is on the budget
    assert timed.spent == (36.0 if "cpu" in budget else 18.0)


def test_seconds_of_the_processor_are_those_of_the_process(monkeypatch):
    watch = Watch(monkeypatch)  # on which the processor's time goes twice as fast
    assert len(updates_of(watch, Length(0, "60s cpu"), lambda n: 1.0)) - 1 == 30


def test_time_of_the_processor_is_that_of_all_processes_and_goes_on_with_any_number_of_them(monkeypatch):
    watch = Watch(monkeypatch)
    timed = [Length(0, "60s cpu") for _ in range(2)]
    monkeypatch.setattr(length, "by_rank", lambda mine: [mine, timed[1]._now() - timed[1]._began])
    watch.at += 5.0
    assert timed[0].spent == 20.0
    for number, one in enumerate(timed):
        monkeypatch.setattr(length, "rank", lambda number=number: number)
        one.take_up(10, 30.0)
    assert timed[0].spent == 30.0
    watch.at += 1.0
    assert timed[0].spent == 34.0


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("2m", 120), ("2 m", 120), ("2min", 120), ("1.5h", 5400), ("2m cpu", 120)]
)
def test_minutes_may_be_written_in_full_or_not(text, seconds):
    assert limit_of(text) == (seconds, "cpu" in text)
    if "cpu" not in text:
        assert interval(text)(1) is False  # of checkpoints, too


def test_checkpoints_come_after_the_seconds_that_were_asked(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("infomax.training.interrupt.time.monotonic", lambda: now[0])
    due = interval("90s")
    now[0] += 89
    assert not due(1)
    now[0] += 2
    assert due(2) and not due(3)


@pytest.mark.parametrize("text", ["", "²", "0s", "-1", "5 days", "nan s"])
def test_what_is_no_interval_is_refused(text):
    with pytest.raises(ConfigError, match="give a number of updates, or a time such as '90s'"):
        interval(text)


@pytest.mark.parametrize("text", ["", "5", "0s", "-3s", "5 days", "5min gpu", "nan s"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ConfigError, match=r"give a time such as '300s'"):
        fit(budget=text)


def fit(out=None, **options):
    torch.manual_seed(0)
    learner = im.methods.jmi(im.encoders.get("mlp", channels=2, size=1), projector=())
    return im.train(learner, "gaussians", batch_size=250, out=out, gauge_samples=50, **{"progress": False} | options)


def test_a_run_by_time_ends_in_the_middle_of_an_epoch_with_a_row_and_is_read_back(tmp_path, monkeypatch):
    seen = []

    class Counted(Length):
        def total(self, step):
            seen.append(step)
            return 25 if step < 25 else step  # as a clock would say

    monkeypatch.setattr("infomax.training.prepare.Length", Counted)
    run = fit(tmp_path / "run", budget="30s")
    assert [row["epoch"] for row in run.history] == [1, 2, 2.5] and max(seen) == 25
    assert run.history[-1]["lr"] < 0.02 * 1e-3  # the rate has come down
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["training"]["budget"] == "30s" and config["training"]["warmup_epochs"] is None
    monkeypatch.undo()
    monkeypatch.setattr(start, "_go", None)  # it is read back: nothing begins
    again = im.Run.resume(tmp_path / "run", progress=False)
    assert [row["epoch"] for row in again.history] == [1, 2, 2.5] and again.updates is None
    weights = ((a, b) for a, b in zip(run.learner.parameters(), again.learner.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in weights)


@pytest.mark.parametrize(
    ("seconds", "rates"),
    [([50.0], [1.0]), ([30.0, 30.0], [0.0, 0.5]), ([16.0, 11.0, 9.0], [0.0, 0.01, 0.25])],
)
def test_a_run_with_time_for_few_updates_makes_them_at_a_rate_that_moves_weights_and_says_so(
    monkeypatch, seconds, rates
):
    watch, made = Watch(monkeypatch), []
    update = loop.update

    def timed(job, *asked):
        watch.at += seconds[len(made)]
        output = update(job, *asked)
        made.append(job.optimizer.param_groups[0]["lr"])
        return output

    monkeypatch.setattr(loop, "update", timed)
    torch.manual_seed(0)
    begun = [p.clone() for p in im.methods.jmi(im.encoders.get("mlp", channels=2, size=1), projector=()).parameters()]
    with pytest.warns(
        UserWarning,
        match=rf"budget 40s: it had room for {len(rates)} updates? \(10 make an epoch\), too little to learn from",
    ):
        run = fit(budget="40s", lr=1.0, optimizer="sgd")
    assert made == pytest.approx(rates, abs=1e-4) and run.history[-1]["lr"] == made[-1] and run.updates == len(rates)
    assert not any(torch.equal(a, b) for a, b in zip(begun, run.learner.parameters(), strict=True) if a.any())


def test_reading_the_data_is_not_on_the_budget(monkeypatch):
    watch = Watch(monkeypatch)

    class Slow(torch.utils.data.Dataset):
        def __len__(self):
            return 100

        def __getitem__(self, i):
            watch.at += 1.0  # 100 s, of a budget of 40
            return torch.full((2,), float(i))

    update = loop.update

    def timed(*asked):
        watch.at += 3.0
        return update(*asked)

    monkeypatch.setattr(loop, "update", timed)
    learner = im.methods.jmi(im.encoders.get("mlp", channels=2, size=1), projector=())
    run = im.train(learner, Slow(), views="noise", batch_size=50, budget="40s", gauge_samples=50, progress=False)
    assert run.updates == 13


@pytest.mark.filterwarnings("ignore:budget 6.5s")
def test_a_run_by_time_has_ended_though_a_checkpoint_was_due_at_its_last_update(tmp_path, monkeypatch):
    watch = Watch(monkeypatch)
    update = loop.update

    def a_second(*asked):
        watch.at += 1.0
        return update(*asked)

    monkeypatch.setattr(loop, "update", a_second)
    run = fit(tmp_path / "run", budget="6.5s", checkpoint_every=1)
    again = im.Run.resume(tmp_path / "run", progress=False)
    assert [row["epoch"] for row in again.history] == [row["epoch"] for row in run.history]


def test_a_run_by_epochs_says_nothing_of_time():
    assert "budget" not in fit(epochs=1).config["training"]


def test_hours_on_a_processor_are_said_after_the_first_update(monkeypatch):
    monkeypatch.setattr(loop, "LONG", 0.0)
    with pytest.warns(
        UserWarning, match=r"this run takes some 0\.0 processor hours, more by the clock .*: --budget 1h"
    ):
        fit(epochs=1, progress=True)
    fit(epochs=1)  # in a sweep, say: nobody watches
