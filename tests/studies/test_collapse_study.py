"""The study of the watch: what counts as collapsed, what as missed, and that one command does it."""

import json

import pytest

import infomax as im
from infomax.cli import main
from infomax.errors import ConfigError
from infomax.studies import collapse
from infomax.studies.collapse.judge import claims, counted, ended, table
from infomax.studies.collapse.plan import ABLATIONS, METHODS, WORLDS, build, sentences
from infomax.studies.origin import commit


def row(name, std=1.0, rank=30.0, flagged=None, world="digits, wide", seed=100):
    found = {"name": name, "world": world, "seed": seed, "std": std, "effective_rank": rank, "mi_infonce": 1.0}
    return found | {"flagged": flagged, "by": None if flagged is None else "point"}


def test_a_run_is_measured_by_its_siblings_and_not_by_the_watch():
    rows = [row("simsiam"), row("byol", rank=28.0), row("simclr", rank=32.0), row("vicreg", rank=6.0)]
    rows += [
        row("simsiam without guard", rank=5.0),
        row("byol without guard", rank=9.0),
        row("jmi without guard", std=0.05),
    ]
    assert [ended(r, rows) for r in rows] == [False, False, False, True, True, False, True]
    for r in rows:
        r["flagged"] = 0.1
    assert [ended(r, rows) for r in rows] == [False, False, False, True, True, False, True]


def test_misses_and_false_alarms_are_counted_apart_by_part():
    rows = [row("simsiam"), row("byol", flagged=0.5), row("simclr")]
    rows += [row("simsiam without guard", rank=5.0, flagged=0.4), row("byol without guard", std=0.05, flagged=0.19)]
    rows += [
        row("simclr", world="digits", flagged=0.1, seed=0),
        row("simclr", world="digits"),
        row("jmi", world="points"),
    ]
    found = {p: {k: len(v) for k, v in each.items()} for p, each in counted(rows).items()}
    assert found["held out"] == {
        "healthy": 3,
        "alarms": 1,
        "collapsed": 2,
        "missed": 1,
        "late": 1,
        "open": 0,
        "warned": 0,
    }
    assert found["chosen on"] == {
        "healthy": 1,
        "alarms": 1,
        "collapsed": 0,
        "missed": 0,
        "late": 0,
        "open": 0,
        "warned": 0,
    }
    assert found["other seeds"] == found["chosen on"] | {"healthy": 2, "alarms": 0}
    assert [c["verdict"] for c in claims(rows)] == ["does not hold"] * 3
    good = [row("simsiam"), row("simsiam without guard", rank=5.0, flagged=0.2)]
    assert [c["verdict"] for c in claims(good)] == ["not decidable"] * 3  # of one seed
    twice = [*good, *(r | {"seed": 101} for r in good)]
    assert [c["verdict"] for c in claims(twice)] == ["holds"] * 3
    # a whole method that ends collapsed and unseen is a miss, and no ablation's
    whole = [row(name) for name in ("byol", "simclr")] + [row("dino", std=0.05)]
    assert [c["verdict"] for c in claims([*twice, *whole])] == ["holds", "does not hold", "holds"]
    assert [c["name"] for c in claims(whole)] == ["collapse_flagged", "healthy_left_alone"]
    assert "collapsed: std 1.00, rank 5.0, point at 20%" in table(good)[1]["digits, wide"]


def test_what_is_printed_names_the_seeds_that_were_held_out():
    rows = [row("simclr", world="digits", seed=100), row("simclr without guard", std=0.01, world="digits", flagged=0.1)]
    rows += [row("simsiam"), row("simsiam without guard", rank=9.0, flagged=0.2)]
    counts = {p: {k: len(v) for k, v in each.items()} for p, each in counted(rows).items()}
    said = collapse.as_text({"rows": rows, "counts": counts, "cpu_seconds": 7.0}).splitlines()[-1]
    assert said.startswith(
        "other seeds of digits and points: 1 of 1 collapsed runs flagged in the first fifth (0 more later)"
    )
    assert "other worlds: 0 of 0" in said and "chosen" not in said
    assert "1 of 1 that lack their guard and did not end collapsed flagged, too. 7 processor seconds" in said


@pytest.mark.parametrize("name", [*sentences(), "bgrl without guard"])
def test_every_sentence_can_be_built(name):
    learner = build(name, im.encoders.get("mlp", channels=1, size=8, hidden=16), WORLDS["digits"])
    assert learner.name == name
    assert set(METHODS) | set(ABLATIONS) >= {name} or learner.marginals


def test_one_command_trains_judges_and_writes(tmp_path, capsys, monkeypatch):
    small = collapse.plan.World("digits", 8, 256, batch_size=64)
    monkeypatch.setitem(WORLDS, "digits, wide", small)
    asked = [f"--sentences={n}" for n in ("simclr", "simclr without guard")]
    out = tmp_path / "collapse"
    assert main(["study", "collapse", "--out", str(out), "--worlds", "digits, wide", *asked, "--workers", "1"]) == 0
    said = capsys.readouterr().out
    assert "collapsed: " in said
    found = json.loads((out / "results.json").read_text())
    assert [r["collapsed"] for r in found["rows"]] == [False, True]
    assert found["commit"] == commit()
    assert found["rows"][0]["flagged"] is None
    assert found["rows"][1]["flagged"] <= 0.5
    assert found["rows"][1]["seen"].startswith("std ")
    assert (out / "index.html").is_file()
    alone = [*asked[1:], "--worlds", "digits, wide", "--workers", "1"]  # judged by the whole method, which runs along
    assert main(["study", "collapse", "--out", str(tmp_path / "alone"), *alone]) == 0
    found = json.loads((tmp_path / "alone" / "results.json").read_text())
    assert {r["name"]: r["collapsed"] for r in found["rows"]} == {"simclr without guard": True, "simclr": False}
    assert main(["study", "collapse", "--out", str(tmp_path / "no"), "--worlds", "digit"]) == 2
    assert "did you mean 'digits'" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [{"seeds": 0}, {"first_seed": -5}, {"worlds": ["digit"]}])
def test_what_cannot_be_is_said_before_anything_is_made(tmp_path, wrong):
    with pytest.raises(ConfigError):
        collapse.run(tmp_path / "out", **wrong)
    assert not (tmp_path / "out").exists()
