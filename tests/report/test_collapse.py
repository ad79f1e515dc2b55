"""What a page says of a run: whether it collapses, in the watch's own figures, and what is normal."""

import json
import math
import shutil

import pytest

import infomax as im
from infomax import Clock
from infomax.cli.pages import reported
from infomax.report import Page, mi_panels
from infomax.report.collapse import readings, seen, state, verdict, verdicts
from infomax.report.curves import _Logs, within_epochs
from infomax.report.figures import Panel
from infomax.report.subject import Subject
from infomax.training.watch.collapse import FILE, Watch

OPEN, CLOSED = {"epoch": 1, "std": 0.9, "effective_rank": 30.0}, {"epoch": 2, "std": 0.01, "effective_rank": 1.0}


def run(watched, *rows):
    return Subject("a", "jmi", {}, rows or [OPEN], watched=watched)


def watched(*readings, unguarded=(), phases=(0,), best=()):
    """What a watch has kept after readings of (std, rank, information), and of the most of it at any temperature."""
    watch = Watch("mine", unguarded=unguarded)
    for n, (std, rank, mi) in enumerate(readings):
        for phase in phases:
            clock = Clock(10 * n, 10, 100, phase)
            gauges = {"std": std, "effective_rank": rank, "mi_infonce": mi} | ({"mi_best": best[n]} if best else {})
            watch.note(gauges, clock)
    if watch.state["suspicious"] > 1:
        with pytest.warns(im.CollapseWarning):
            watch.warn(gauges, clock)
    return json.loads(json.dumps(watch.state))


def test_of_a_healthy_run_it_says_so_with_the_figures_of_the_watch():
    healthy = run(watched((0.9, 62.0, 0.0), (0.8, 15.0, 2.0)))
    assert verdict(healthy) == "**No sign of collapse.**" and state(healthy) == "no sign of collapse"
    assert seen(healthy) == [
        {
            "run": "`a`",
            "information between views, nats": "0.60 (0.00 at the start, 0.60 at most)",
            "effective rank": "15.0 (62.0 at the start)",
            "std": "0.80 (0.90 at most)",
        }
    ]
    both = seen(run(watched((0.9, 62.0, 0.0), (0.8, 15.0, 2.0), phases=(0, 1))))
    assert [row["run"] for row in both] == ["`a`, f", "`a`, g"]


@pytest.mark.parametrize(
    ("readings", "said"),
    [
        ((-1.5, -0.2), "below 0"),
        ((-1.0, 2.0, 2.0), "0.53 (below 0 at the start, 0.53 at most)"),
        ((0.5, -3.0), "below 0 (0.50 at the start, 0.50 at most)"),
    ],
)
def test_information_below_0_has_no_figure_in_the_watchs_table(readings, said):
    (row,) = seen(run(watched(*((0.9, 30.0, mi) for mi in readings))))
    assert row["information between views, nats"] == said


def test_runs_of_one_verdict_have_it_once_with_the_range_of_their_numbers():
    def ended(name, rank):
        last = {"epoch": 40, "std": 0.36, "effective_rank": rank}
        return Subject(name, "jmi", {}, [OPEN, last], watched=informed)

    informed = watched((0.7, 48.0, 0.0), *[(0.5, 4.6, 0.6)] * 8)
    healthy, new = run(watched((0.9, 62.0, 0.0), (0.8, 15.0, 2.0))), Subject("new", "jmi", {}, [])
    runs = [ended("a", 3.4), healthy, ended("b", 2.9), ended("c", 3.0), new]
    (few, first), (fine, second) = verdicts(runs)
    assert [s.name for s in few] == ["a", "b", "c"] and fine == [healthy] and second == verdict(healthy)
    assert first == verdict(runs[0]).replace("3.4", "2.9 to 3.4")
    assert verdicts(runs[:1]) == [(runs[:1], verdict(runs[0]))]


def test_of_a_collapse_it_has_the_epoch_what_was_seen_and_where_it_stands():
    few = [(1.0, 50.0, 0.5), (1.0, 20.0, 0.5), (1.0, 20.0, 0.5)]
    flagged = run(watched(*few, unguarded=("directions",)))
    said = verdict(flagged)
    assert said.startswith("**Flagged as collapsing in epoch 3**, at update 20 of 100: std 1.000")
    assert "its directions vanish" in said and "effective rank 20.0 (50.0 at the start)" in said
    assert state(flagged) == "**flagged as collapsing in epoch 3**"
    assert state(run(flagged.watched, OPEN, CLOSED)) == "**collapsed**"


def test_a_collapse_that_the_log_alone_shows_is_no_healthy_run():
    healthy = watched((0.9, 62.0, 0.0), (0.8, 15.0, 2.0))
    assert verdict(run(healthy, OPEN, CLOSED)).startswith("**Flagged as collapsing in epoch 2**.")
    assert state(run(healthy, OPEN, CLOSED, OPEN)) == "**flagged as collapsing in epoch 2**"
    assert state(run(healthy, OPEN | {"std": math.nan})).startswith("unknown")
    for damaged in (None, "NaN", math.nan):
        assert verdict(run(healthy, OPEN | {"effective_rank": damaged}))


def test_a_run_that_ends_with_hardly_a_direction_is_told_though_no_alarm_rang():
    informed = watched(
        (0.7, 48.0, 0.0), *[(0.5, 4.6, 0.6)] * 8
    )  # MoCo v1 by SGD: `few` directions that tell the views apart
    ended = {"epoch": 40, "std": 0.36, "effective_rank": 3.4}
    assert informed["said"] is None and state(run(informed, OPEN, ended)) == "**few directions left**"
    said = verdict(run(informed, OPEN, ended))
    assert said.startswith("**Few directions left at the end**: effective rank 3.4 of fixed samples.")
    assert "No sign" not in said
    assert state(run(informed, ended | {"effective_rank": 5.1})) == "no sign of collapse"
    narrow = watched((0.9, 9.0, 0.0), (0.9, 4.0, 1.0))  # of few dimensions from the start
    assert state(run(narrow, ended)) == "no sign of collapse"


LITTLE = "no sign of collapse, but hardly any information read between the views"


def test_a_run_that_learnt_next_to_nothing_is_told_so_beside_that_it_has_not_collapsed():
    readings = [(0.8, 26.0, -2.0), (0.3, 25.0, 0.0), (0.3, 25.0, 0.1)]
    ended = OPEN | {"mi_infonce": 0.09}
    nothing = run(watched(*readings, best=(-0.01, 0.05, 0.09)), ended)
    assert state(nothing) == f"**{LITTLE}**"
    said = verdict(nothing)
    assert said.startswith(
        "**No sign of collapse, but hardly any information read between the views**: 0.03 nats by a cos"
    )
    assert "the untrained network had -0.01. It has learnt little" in said
    for best, mi in (((0.0, 1.0, 1.2), 0.09), ((0.0, 0.1, 0.1), 0.25), ((0.0, 0.1, 0.1), None), ((), 0.09)):
        assert state(run(watched(*readings, best=best), OPEN | {"mi_infonce": mi})) == "no sign of collapse"
    assert state(run(nothing.watched, ended | CLOSED)) == "**collapsed**", "which is worse"


def test_a_distance_that_reads_below_nothing_at_one_temperature_has_learnt_all_the_same():
    healthy = watched((0.8, 26.0, -2.0), (0.8, 19.0, -1.7), (0.8, 19.0, -1.6), best=(0.1, 1.0, 1.2))
    assert state(run(healthy, OPEN | {"mi_infonce": -1.5})) == "no sign of collapse"


def test_of_two_encoders_the_one_that_reads_more_counts():
    both = watched((0.8, 26.0, -2.0), (0.3, 25.0, 0.0), phases=(0, 1), best=(0.0, 0.1))
    ended = OPEN | {"mi_infonce": 0.0}
    assert state(run(both, ended)) == f"**{LITTLE}**"
    both["phases"]["1"]["best"] = 0.9
    assert state(run(both, ended)) == "no sign of collapse"


def test_what_was_not_kept_is_not_guessed():
    assert "was not kept" in verdict(run({})) and state(run({})) == "open"
    assert verdict(run(watched() | {"said": {}})) == "**Flagged as collapsing; when was not kept**."
    assert "Not flagged" in verdict(run(watched((0.9, 62.0, 0.5), (0.01, 62.0, 0.5))))
    assert verdict(Subject("a", "jmi", {}, [])) == ""


def test_pages_say_it_before_any_number_and_their_figures_what_is_normal(tmp_path, runs):
    text = reported(runs[:1], tmp_path / "one.html").read_text()
    first = text.split('id="at-a-glance"')[1].split("<table>")[0]
    assert "<strong>No sign of collapse" in first
    log, watch = text.split('id="at-a-glance"')[1].split('id="curves"')[0].split("<figcaption")[1:]
    assert "the numbers to quote" in log and "at the start" in log
    assert "The watch&#x27;s own readings" in watch and "128 rows" in watch and "the one to quote" in watch
    assert f"{LITTLE}</strong>.</p>" in text.split("</header>")[0], "of an epoch or two"
    assert text.count("an untrained network spreads noise over many directions, a trained one keeps those that") == 2
    old = shutil.copytree(runs[1], tmp_path / "old")
    (old / FILE).unlink()
    text = reported([runs[0], old], tmp_path / "two.html").read_text()
    first = text.split('id="at-a-glance"')[1].split("<table>")[0]
    assert "<li><code>plain</code>: <strong>No sign" in first and "<li><code>old</code>: What the watch" in first


def test_a_run_is_drawn_through_at_an_epoch_that_only_another_has():
    figure = mi_panels([Panel({"a": [0.0, math.nan, 1.0], "b": [0.0, 0.5, math.nan]})], epochs=[1, 1.5, 2])
    assert all(trace.connectgaps for trace in figure.data)


def test_of_a_short_log_the_readings_of_the_watch_are_curves():
    short = run(watched((0.9, 62.0, 0.1), (0.8, 15.0, 2.0), phases=(0, 1)))
    assert [row["std"] for row in readings(short)] == [0.9, 0.8] and readings(run({})) == []  # of f

    def page(rows, read):
        return within_epochs(Page("t"), {"a": [OPEN] * rows, "b": []}, {"a": read, "b": []}).html()

    drawn = page(1, readings(short))
    figure = json.loads(drawn.split('id="data-0">')[1].split("</script>")[0])
    assert "Within the epochs" in drawn and [trace["name"] for trace in figure["data"]] == ["a"] * 3
    assert "InfoNCE, cos/0.1, of a batch" in {said["text"] for said in figure["layout"]["annotations"]}
    for rows, read in ((10, readings(short)), (1, []), (1, readings(short)[:1]), (0, readings(short))):
        assert "Within the epochs" not in page(rows, read)


def test_what_is_of_a_part_of_an_epoch_is_no_point_of_a_curve_of_epochs():
    part = {"epoch": 1.4, "seconds": 0.5, "loss": 9.0, "bound": -9.0, "std": 0.8, "probe": 60.0, "lr": 0.1}
    logs = _Logs({"run": [{"epoch": 1.0, "seconds": 3.0, "loss": 2.0, "bound": 1.0, "std": 0.9}, part]})
    left = pytest.approx(math.nan, nan_ok=True)
    assert [logs.column("run", key) for key in ("loss", "bound", "seconds")] == [[2.0, left], [1.0, left], [3.0, left]]
    assert [logs.column("run", key)[1] for key in ("std", "probe", "lr")] == [0.8, 60.0, 0.1], "read at its end"
    alone = _Logs({"run": [part], "other": [{"epoch": 1.0, "loss": 2.0}]})
    assert alone.column("run", "loss") == [left, 9.0] and not alone.has("seconds"), "no whole epoch of its own before"
