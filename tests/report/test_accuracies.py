"""The page's table of accuracies: those of the runs, and what they are to be measured by."""

import pytest

from infomax.report.accuracies import ON, caption, rows
from infomax.report.subject import Subject

LINEAR, KNN = "linear probe, %", "kNN, %"


def of(linear, knn):
    return {"linear": linear, "linear_se": 1.0, "knn": knn, "knn_se": 2.0}


def run(name, **found):
    kept = {"own": True, "test": 50, "size": 32, "default_size": 32, **of(90.0, 80.0)} | found
    return Subject(name, "jmi", {"data": {"name": "d"}}, [], evaluation={"d": kept})


BESIDE = {"untrained": of(60.0, 50.0), "raw": of(70.0, 40.0) | {"size": 16}}


def test_a_run_stands_above_what_it_is_to_be_measured_by():
    one = run("a", baselines=BESIDE)
    said = [(row["run"], row[LINEAR], row[KNN], row[ON]) for row in rows([one])]
    assert said == [
        ("`a`", "90.0 ± 1.0 (n = 50)", "80.0 ± 2.0 (n = 50)", "`d`, at 32 px"),
        ("untrained", "60.0 ± 1.0 (n = 50)", "50.0 ± 2.0 (n = 50)", "`d`, at 32 px"),
        ("raw pixels, at 16 px", "70.0 ± 1.0 (n = 50)", "40.0 ± 2.0 (n = 50)", "`d`"),
    ]
    assert "untrained: the same encoder, its weights drawn anew; raw pixels: " in caption([one])
    assert [row["run"] for row in rows([run("a")])] == ["`a`"] and "untrained" not in caption([run("a")])


def test_a_run_that_began_with_given_weights_stands_above_those():
    ones = [
        run(f"r{k}", baselines={"init": of(60.0, 50.0) | {"weights": w}}) for k, w in enumerate(("a*b", "pretrained"))
    ]
    assert [row["run"] for row in rows(ones)][2:] == [
        "as it began, weights of `a*b`",
        "as it began, weights as published",
    ]
    assert rows(ones)[2][ON] == "`d`, at 32 px"
    assert "as it began: the same encoder, with the weights that the run began with" in caption(ones)
    assert "without an encoder" not in caption(ones)


def test_what_is_the_same_for_several_runs_stands_once():
    other = BESIDE | {"untrained": of(61.0, 50.0)}
    two = [run("a", baselines=BESIDE), run("b", baselines=BESIDE)]
    assert [row["run"] for row in rows(two)] == ["`a`", "`b`", "untrained", "raw pixels, at 16 px"]
    three = [*two, run("c", baselines=other)]
    assert [row["run"] for row in rows(three)][3:] == [
        "untrained (`a`, `b`)",
        "untrained (`c`)",
        "raw pixels, at 16 px",
    ]


def test_points_have_no_pixels_and_no_size():
    (_, raw) = rows([run("a", size=None, default_size=None, baselines={"raw": of(1.0, 2.0)})])
    assert (
        raw["run"] == "raw samples"
        and raw[ON] == "`d`"
        and "raw samples: " in caption([run("a", baselines={"raw": {}})])
    )


def test_the_size_that_was_asked_for_is_said_to_be():
    at_16 = {"own": True, "test": 50, "size": 16, "default_size": 32, **of(9.0, 8.0)}
    beside = run("a", sizes={"16": at_16})
    assert [row[ON] for row in rows([beside])] == ["`d`, at 32 px"]
    alone = Subject("a", "jmi", {"data": {"name": "d"}}, [], evaluation={"d": {"sizes": {"16": at_16}}})
    assert [row[ON] for row in rows([alone])] == ["`d`, at 16 px by `--size`"]


def test_baselines_alone_are_shown_and_a_run_that_was_not_evaluated_has_no_row():
    alone = run("a", baselines=BESIDE)
    for key in ("linear", "knn"):
        del alone.evaluation["d"][key]
    assert [row["run"] for row in rows([alone])] == ["untrained", "raw pixels, at 16 px"]
    assert rows([Subject("a", "jmi", {"data": {"name": "d"}}, [])]) == []


def test_a_run_of_other_protocols_alone_has_its_row_by_their_names():
    others = {
        "knn_best": 80.0,
        "knn_best_se": 2.0,
        "few_1": {"mean": 60.0, "sd": 3.0, "n": 3, "labels": 6, "of": 300},
        "few_10": {"mean": 70.0, "sd": 0.0, "n": 1, "labels": 30, "of": 300},
        "finetune": {"mean": 95.0, "sd": 0.5, "n": 3},
    }
    one = Subject("a", "jmi", {"data": {"name": "d"}}, [], evaluation={"d": {"own": True, "test": 50, **others}})
    (row,) = rows([one])
    assert row == {
        "run": "`a`",
        "kNN, chosen, %": "80.0 ± 2.0 (n = 50)",
        "1 % of labels, %": "60.0 ± 3.0 (3 draws of 6 labels)",
        "10 % of labels, %": "70.0 (1 draw of 30 labels)",
        "fine-tuned, %": "95.0 ± 0.5 (3 seeds)",
        ON: "`d`",
    }
    usual = run("b", **others)
    assert [*rows([usual])[0]] == ["run", LINEAR, KNN, ON], "as narrow as ever"
    missing = Subject("c", "jmi", {"data": {"name": "d"}}, [])
    assert [*rows([usual, missing])[0]] == ["run", LINEAR, KNN, ON]
    both = rows([one, usual])
    assert [r["kNN, chosen, %"] for r in both] == ["80.0 ± 2.0 (n = 50)"] * 2 and both[0][LINEAR] is None


OTHER = {"own": False, "test": 50, "knn": 30.0, "knn_se": 2.0}


def test_of_a_run_every_data_set_has_its_rows_and_the_last_evaluation_hides_none():
    one = run("a", baselines=BESIDE)
    one.evaluation |= {"/x/labelled": OTHER | {"baselines": BESIDE}, "/x/split": OTHER}
    said = [(row["run"], row[ON]) for row in rows([one])]
    assert said == [
        ("`a`", "`d`, at 32 px"),
        ("untrained", "`d`, at 32 px"),
        ("raw pixels, at 16 px", "`d`"),
        ("`a`", "`split`, not the training data"),
        ("`a`", "`labelled`, not the training data"),
        ("untrained", "`labelled`, not the training data"),
        ("raw pixels, at 16 px", "`labelled`, not the training data"),
    ]
    assert "Also evaluated" not in caption([one])


def test_of_several_runs_the_data_that_all_have_stand_together_and_others_are_named():
    a, b, c = run("a"), run("b"), Subject("c", "jmi", {"data": {"name": "d"}}, [])
    a.evaluation |= {"/x/split": OTHER, "/x/labelled": OTHER}
    b.evaluation = {"/x/split": OTHER}
    said = [(row["run"], row[ON]) for row in rows([a, b, c])]
    of_split = [
        ("`a`", "`split`, not the training data"),
        ("`b`", "`split`, not the training data"),
        ("`c`", "not evaluated"),
    ]
    assert said == [("`a`", "`d`, at 32 px"), *of_split]
    assert caption([a, b, c]).endswith("Also evaluated, on data that not all were: `labelled` (`a`).")


def test_what_one_run_was_trained_on_and_another_was_tried_on_is_one_data_set():
    a, b = run("a"), run("b")
    a.config["data"]["source"] = "/x/d.npz"
    b.config["data"]["name"] = "e"
    b.evaluation = {"e": b.evaluation["d"], "/x/d.npz": OTHER}
    said = [(row["run"], row[ON]) for row in rows([a, b])]
    assert said == [("`b`", "`e`, at 32 px"), ("`a`", "`d`, at 32 px"), ("`b`", "`d.npz`, not the training data")]


def seeded(name, of, linear, learner="there", tmp=None, **found):
    """One of several seeds, evaluated; a linear accuracy of None: it was not."""
    stands = {"method": "jmi", "data": "d", "source": "d", "trained": {"epoch": 6, "finished": True}, "weights": name}
    made = run(name, **stands | {"linear": linear, "seed": 0, "content": {"images": "x"}} | found)
    made.config.update(method={"method": "jmi"}, encoder={"name": "mlp"}, training={"seed": of, "lr": 0.1, "epochs": 6})
    made.evaluation = {} if linear is None else made.evaluation
    made.learner, made.path = learner, tmp
    return made


def means(*runs):
    return [(row["run"], row[LINEAR], row[ON]) for row in rows(runs) if "mean" in row["run"]]


def test_runs_that_differ_in_their_seed_alone_have_a_mean_with_its_sd_and_n():
    one, two, other = seeded("a", 0, 82.5), seeded("b", 1, 83.0), seeded("c", 0, 50.0)
    other.config["training"]["lr"] = 0.2
    for s in (one, two, other):
        s.learner = None  # whose weights are not asked for
    said = means(one, other, two)
    assert said == [("`JMI, lr 0.1`, mean over seeds", "82.8 ± 0.4 (sd of 2 runs)", "`d`, at 32 px")]
    assert [row["run"] for row in rows([one, other, two])][1:4] == ["`a`", "`c`", "`b`"]
    assert means(one, seeded("b", 1, 82.54, None))[0][1].startswith("82.5 ± 0.03"), "which is not 0"
    assert "mean over seeds: of runs that differ in their seed alone, ± the sd over them" in caption([one, other, two])
    assert "No mean" not in caption([one, other, two])
    assert means(one, other) == [] and "mean" not in caption([one, other])


def test_a_second_encoder_has_a_mean_too():
    runs = [seeded(n, k, 80.0 + k, None, g={"linear": 70.0 + 2 * k}) for k, n in enumerate("ab")]
    assert means(*runs)[0][1] == "80.5 ± 0.7 (sd of 2 runs); g: 71.0 ± 1.4 (sd of 2 runs)"


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ({"trained": {"epoch": 3, "finished": False}}, "epochs done (6, 3)"),
        ({"weights": "a"}, "`a` and `b` have the same weights"),
        ({"size": 16, "default_size": 16}, "different --size (32, 16)"),
        ({"seed": 1}, "different --seed (0, 1)"),
        ({"content": {"images": "y"}}, "the data have changed between their evaluations"),
    ],
)
def test_why_seeds_have_no_mean_is_said(found, why):
    runs = seeded("a", 0, 82.5, None), seeded("b", 1, 83.0, None, **found)
    assert means(*runs) == [] and why in caption(runs) and "No mean of `JMI`: " in caption(runs)


def test_what_an_earlier_version_found_has_no_mean():
    runs = seeded("a", 0, 82.5, None), seeded("b", 1, 83.0, None)
    del runs[0].evaluation["d"]["weights"]
    assert means(*runs) == [] and "an earlier version evaluated them" in caption(runs)


def test_a_run_that_was_not_evaluated_says_so_in_its_place_with_the_command(tmp_path):
    a, b, c = seeded("a", 0, 82.5, None), seeded("b", 1, None, tmp=tmp_path / "my runs"), seeded("c", 2, 83.0, None)
    said = rows([a, b, c])
    assert [row["run"] for row in said] == ["`JMI`, mean over seeds", "`a`", "`b`", "`c`"]
    assert said[2][LINEAR] is None and said[0][LINEAR].endswith("(sd of 2 runs)")
    assert said[2][ON].endswith(f"infomax evaluate '{tmp_path}/my runs'`") and said[2][ON].startswith(
        "not evaluated: `"
    )
    a.evaluation = c.evaluation = {"/x/other": a.evaluation["d"] | {"own": False, "source": "/x/other"}}
    assert rows([a, b, c])[1][ON].endswith("my runs' --data /x/other`")
    b.learner = None  # such as one put together by hand: the command could not build it
    assert rows([a, b, c])[1][ON] == "not evaluated"
    assert rows([b]) == []
