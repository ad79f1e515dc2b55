"""The periodic table: which sentences can be said, which have a name, and a cell that fails stops no other."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from infomax import methods
from infomax.errors import ConfigError, DataError
from infomax.report.looks import NEUTRAL
from infomax.studies import periodic
from infomax.studies.origin import commit
from infomax.studies.periodic import draw, train
from infomax.studies.periodic.grammar import (
    JOINTS,
    MARGINALS,
    TARGETS,
    Sentence,
    build,
    invalid,
    known_as,
    names,
    sentences,
    signature,
)
from infomax.studies.periodic.train import Cell, encoder_of, few_shot, min_gap, run_cell


def test_every_sentence_is_listed_once():
    every = sentences()
    assert len(every) == len(set(every)) == len(TARGETS) * len(JOINTS) * (1 + 9 + 36)
    assert sum(invalid(s) is None for s in every) == 344


def test_every_valid_sentence_takes_a_step_and_says_what_it_says():
    views = [torch.randn(32, 8), torch.randn(32, 8)]
    for s in sentences():
        if invalid(s) is not None:
            continue
        learner = build(s, nn.Linear(8, 16), (8, 4))
        assert signature(learner) == (s.target, s.joint, frozenset(s.marginals))
        output = learner.climb(views)
        assert torch.isfinite(output.loss), s


def test_an_invalid_sentence_says_why():
    for joint, marginals, says in (
        ("cos", ("DonskerVaradhan", "InfoNCE"), "one log-partition"),
        ("C_ii", ("DonskerVaradhan",), "C_ii has none"),
        ("-d²", ("TaylorDonskerVaradhan",), "cos or dot"),
        ("cos", ("Sinkhorn",), "cross-entropy"),
        ("dot", ("Sinkhorn", "VarianceCovariance"), "read codes"),
        ("dot", ("Sinkhorn", "Centering"), "twice"),
        ("cos", ("Whitening", "VarianceCovariance"), "constant"),
        ("cos", ("Predicto",), "no 'Predicto': did you mean 'Predictor'"),
        ("cosin", (), "no 'cosin'"),
        ("cos", ("InfoNCE", "InfoNCE"), "said twice"),
    ):
        with pytest.raises(ConfigError, match=says):
            build(Sentence("Shared", joint, marginals), nn.Linear(8, 16), (8, 4))


def test_known_methods_stand_where_they_belong():
    known = names()
    for method in methods.METHODS.values():
        with torch.device("meta"):
            target, joint, marginals = signature(method(nn.Linear(8, 256)))
        s = Sentence(target, joint, tuple(m for m in MARGINALS if m in marginals))
        assert known_as(s, known) is not None and invalid(s) is None
    assert known_as(Sentence("StopGradient", "cos", ()), known) == "SimSiam, no predictor"
    assert known_as(Sentence("Twin", "cos", ("DonskerVaradhan",)), known) == "SDMI"
    assert known_as(Sentence("Twin", "C_ii", ("Decorrelation",)), known) is None


def test_views_of_another_size(tmp_path, monkeypatch):
    seen = []
    judged = train.features
    monkeypatch.setattr(
        train, "features", lambda net, part, size, **how: seen.append(size) or judged(net, part, size, **how)
    )
    sizes = []
    monkeypatch.setattr(train, "encoder_of", lambda *of: sizes.append(of[2]) or encoder_of(*of))
    asked = {"seeds": 1, "best_seeds": 1, "epochs": 1, "samples": 300, "workers": 1, "progress": False}
    only = [Sentence("Shared", "cos", ("DonskerVaradhan",))]
    found = periodic.run(tmp_path / "out", **asked, size=6, only=only)
    assert set(seen) == set(sizes) == {6} and found["settings"]["size"] == 6 and " --size 6" in found["command"]
    assert [len(cell["runs"]) for cell in found["cells"]] == [1] and "few" in found["cells"][0]["runs"][0]
    with pytest.raises(ConfigError, match="size=6: gaussians are no images"):
        periodic.run(tmp_path / "points", data="gaussians", size=6)
    assert not (tmp_path / "points").exists()


def test_few_labels_tell_good_features_from_noise():
    labels = torch.arange(200) % 10
    good = nn.functional.one_hot(labels, 10).float()
    assert few_shot(good, labels, good, labels) == 100.0
    noise = torch.randn(200, 10, generator=torch.Generator().manual_seed(0))
    assert few_shot(noise, labels, noise.flip(0), labels) < 30


def test_the_best_are_not_chosen_on_the_test_images(monkeypatch):
    """The first round, by which the best unnamed sentences are picked, does not see what the second is judged on."""
    plain = train.halves

    def spoiled(data):
        fit, test = plain(data)
        test.labels = torch.zeros_like(test.labels)
        return fit, test

    job = Cell(SOME[1], 0, "digits", 1, samples=300)
    first = {k: run_cell(job)[k] for k in ("few", "knn")}
    last = run_cell(replace(job, final=True))
    monkeypatch.setattr(train, "halves", spoiled)
    assert {k: run_cell(job)[k] for k in first} == first
    assert run_cell(replace(job, final=True))["few"] != last["few"]


def test_the_min_gap_is_that_of_the_closest_centres():
    assert min_gap(nn.Identity()) == pytest.approx(72.0, abs=1e-3)


SOME = [
    Sentence("Shared", "cos", ()),
    Sentence("Shared", "cos", ("DonskerVaradhan",)),
    Sentence("Twin", "cos", ("Predictor", "DonskerVaradhan")),
    Sentence("Shared", "cos", ("Sinkhorn",)),
    Sentence("EMA", "-d²", ("InfoNCE", "VarianceCovariance")),
]


def test_the_table_end_to_end_and_a_cell_that_fails(tmp_path, monkeypatch):
    broken = SOME[4]

    def cell(job: Cell):
        return 1 / 0 if job.sentence == broken else run_cell(job)

    monkeypatch.setattr(periodic, "run_cell", cell)
    options = {"epochs": 1, "samples": 300, "best": 2, "best_seeds": 2, "workers": 1, "only": SOME, "progress": False}
    found = periodic.run(tmp_path / "out", **options)
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == json.loads(json.dumps(found))
    cells = {periodic.sentence_of(c): c for c in found["cells"]}
    assert cells[SOME[1]]["name"] == "JMI" and cells[SOME[2]]["name"] is None
    assert [r["seed"] for r in cells[SOME[1]]["runs"]] == [0, 1]
    assert cells[SOME[3]]["invalid"] and cells[SOME[3]]["runs"] == []
    assert [r["error"] for r in cells[broken]["runs"]] == ["ZeroDivisionError: division by zero"] * 2
    again = {periodic.sentence_of(c): c for c in found["again"]}
    assert set(again) == {SOME[0], SOME[1], SOME[2]} - ({SOME[0]} if periodic.collapsed(cells[SOME[0]]) else set())
    assert {r["seed"] for r in again[SOME[1]]["runs"]} == {periodic.FRESH, periodic.FRESH + 1}
    assert all("linear" in r for r in again[SOME[1]]["runs"])
    assert not any("same test images" in c["note"] for c in found["claims"])
    assert {c["name"] for c in found["claims"]} >= {
        "joint_alone_collapses",
        "partition_holds_open",
        "unnamed_beats_named",
    }
    page = (tmp_path / "out" / "index.html").read_text()
    assert "ZeroDivisionError" in page and "cross-entropy" in page and "Plotly" in page
    assert (tmp_path / "out" / "periodic_table.png").read_bytes().startswith(b"\x89PNG")
    assert "1 cannot be said" in periodic.as_text(found)
    with pytest.raises(ConfigError, match="nothing is overwritten"):
        periodic.run(tmp_path / "out", **options)


def test_on_the_gaussians_the_gap_counts(tmp_path):
    found = periodic.run(
        tmp_path / "out",
        data="gaussians",
        epochs=1,
        seeds=1,
        best=1,
        best_seeds=1,
        only=SOME[1:3],
        workers=1,
        progress=False,
    )
    assert all(0 <= r["min_gap"] <= 180 for c in found["cells"] for r in c["runs"])
    assert found["settings"]["score"] == "min gap, degrees" and found["commit"] == commit()


def test_fashion_mnist_lies_where_it_is_said_to(tmp_path):
    for part, n in (("train", 300), ("t10k", 60)):
        for kind, array in (
            ("images-idx3", torch.randint(256, (n, 28, 28), dtype=torch.uint8)),
            ("labels-idx1", torch.arange(n, dtype=torch.uint8) % 10),
        ):
            head = bytes([0, 0, 8, array.dim()]) + b"".join(m.to_bytes(4, "big") for m in array.shape)
            (tmp_path / f"{part}-{kind}-ubyte").write_bytes(head + array.numpy().tobytes())
    options = {"data": "fashion-mnist", "epochs": 1, "seeds": 1, "best": 1, "best_seeds": 1, "workers": 1}
    options |= {"samples": 256, "only": [SOME[1]], "progress": False}
    found = periodic.run(tmp_path / "out", root=str(tmp_path), **options)
    assert all(0 <= r["few"] <= 100 for c in (*found["cells"], *found["again"]) for r in c["runs"])
    assert found["settings"]["encoder"] == "resnet8" and found["settings"]["samples"] == 256
    assert "--data fashion-mnist" in found["command"] and str(tmp_path) not in json.dumps(found)
    with pytest.raises(DataError):
        periodic.run(tmp_path / "none", root=str(tmp_path / "elsewhere"), **options)
    assert not (tmp_path / "none").exists()


def test_budgets_name_their_data_and_numbers(tmp_path):
    with pytest.raises(ConfigError, match="--budget minuets: did you mean 'minutes'"):
        periodic.run(tmp_path / "out", budget="minuets")
    with pytest.raises(DataError):  # an hour's data are Fashion-MNIST, and lie elsewhere
        periodic.run(tmp_path / "out", budget="hour", root=str(tmp_path / "none"), device="cpu")
    assert not (tmp_path / "out").exists()
    options = {"only": [SOME[1]], "epochs": 1, "samples": 64, "workers": 1, "progress": False}
    found = periodic.run(tmp_path / "out", budget="paper", data="digits", best_seeds=1, device="cpu", **options)
    assert found["settings"]["seeds"] == 3 and found["settings"]["samples"] == 64
    assert "--data digits --budget paper --epochs 1" in found["command"]


def cell(marginals, name=None, joint="cos", again=False, **numbers):
    runs = [{"seed": k, "collapsed": v[0] < 0.1} | {"std": v[0], "few": v[1], "effective_rank": 5.0}
            for k, v in enumerate(zip(numbers["std"], numbers["few"], strict=True))]  # fmt: skip
    return {
        "target": "Shared",
        "joint": joint,
        "marginals": list(marginals),
        "name": name,
        "invalid": None,
        "runs": runs,
    }


def test_the_table_judges_by_its_figures():
    bare = cell((), std=[0.01, 0.02], few=[80.0, 81.0])
    held = cell(("InfoNCE",), "SimCLR", std=[0.9, 0.91], few=[85.0, 85.2])
    new = cell(("Predictor", "InfoNCE"), std=[0.8, 0.81], few=[88.0, 88.1])
    verdicts = {c["name"]: c["verdict"] for c in periodic.claims([bare, held, new], [held, new], "few")}
    assert set(verdicts.values()) == {"holds"} and len(verdicts) == 3
    open_ = cell((), std=[0.5, 0.52], few=[80.0, 81.0])
    worse = cell(("Predictor", "InfoNCE"), std=[0.8, 0.81], few=[80.0, 80.1])
    verdicts = {c["name"]: c["verdict"] for c in periodic.claims([open_, held, worse], [held, worse], "few")}
    assert verdicts["joint_alone_collapses"] == verdicts["unnamed_beats_named"] == "does not hold"
    for chosen_on, told in (
        (None, True),
        ("a held-out fifth of train", False),
    ):  # the first tables chose on the test images
        *_, best = periodic.claims([held, new], [held, new], "few", chosen_on)
        assert ("judged on the same test images" in best["note"]) == told
    assert [periodic.sentence_of(c) for c in periodic.unnamed([bare, held, new, worse], "few")] == [
        periodic.sentence_of(new), periodic.sentence_of(worse)
    ]  # fmt: skip


@pytest.mark.parametrize("wrong", [{"seeds": 0}, {"best": 0}, {"data": "cifar10"}])
def test_what_cannot_be_is_said_before_anything_is_made(tmp_path, wrong):
    with pytest.raises(ConfigError):
        periodic.run(tmp_path / "out", **wrong)
    assert not (tmp_path / "out").exists()


def test_cells_hold_their_names_and_both_pictures_share_their_colours():
    results = json.loads((Path(__file__).parents[2] / "results" / "periodic-table-digits.json").read_text())
    figure = draw._heat(results, "few")
    heat, names = figure.data
    lines = max(text.count("<br>") + 1 for text in names.text)
    assert figure.layout.height / len(heat.y) > 12 * lines > 36
    shade = [v for row in heat.z for v in row if v is not None]
    assert (heat.zmin, heat.zmax) == draw._shades(np.array(shade)) and heat.zmin > min(shade)
    assert set(names.textfont.color) == {"#ffffff", "#222222", NEUTRAL} and len(names.text) == len(names.textfont.color)
    assert heat.colorbar.title.text == results["settings"]["score"]
