"""Tables 1 and 4 to 7: what is planned, what is shown beside the paper's, what is judged, and that nothing is run twice."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import infomax as im
from infomax.cli import main
from infomax.errors import ConfigError, DataError
from infomax.evaluate.splits import known_by
from infomax.studies import claims as ledger
from infomax.studies.tables import elsewhere, judge, plan, table1, table5, table6
from infomax.studies.tables.columns import columns, table
from infomax.studies.tables.printed import LABELS, METHODS, counterpart, printed
from infomax.studies.tables.sources import source
from infomax.studies.tables.work import Asked
from infomax.studies.verdict import FAILS, HOLDS, OPEN, verdict
from infomax.sweep import Folder

ROOT = Path(__file__).parents[2]


def rows(data="digits", seeds=3, machine="CPU", **means):
    """Rows as if every method had come to 90 with a spread of 0.1 over seeds, but for those that are given."""
    found = []
    for method in METHODS:
        for seed in range(seeds):
            off = 0.1 * (seed - 1)
            row = {
                "method": method,
                "data": data,
                "seed": seed,
                "machine": machine,
                "encoder": "mlp",
                "epochs": 2,
                "size": 8,
            }
            row |= {"linear": means.get(method, 90.0) + off, "knn": 80.0, "train": 100, "options": {"lr": 0.1}}
            found.append(
                row | ({"linear_g": means.get("sdmi_g", 90.0) - off, "knn_g": 79.0} if method == "sdmi" else {})
            )
    return found


def test_the_cells_of_table_1_are_those_of_the_papers_recipes(tmp_path):
    here = source("digits", None, None, tmp_path)
    paper, hour, minutes = (plan.BUDGETS[name] for name in ("paper", "hour", "minutes"))
    for method in METHODS:
        o = plan.final(method, here, paper, 2, {}).options
        recipe = im.recipes.get(f"paper/{method}-cifar10").options
        assert o["data"] == "digits" and o["seed"] == 2 and o["epochs"] == 1000 and o["lr"] == recipe["lr"]
        short = plan.final(method, here, hour, 0, {"encoder": "mlp"}).options
        assert short["epochs"] == 20 and short["encoder"] == "mlp" and short["batch_size"] == 512
        small = plan.final(method, here, minutes, 0, {}).options
        assert small["optimizer"] == "adamw" and small["views"] == "gentle" and small["encoder"] == "auto"
    with pytest.raises(ConfigError, match="did you mean 'minutes'"):
        table1(tmp_path / "x", budget="minute")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("budget", ["minutes", "paper"])
def test_sweep_1_has_the_cells_of_table_5_and_sweep_2_one_layer_more(tmp_path, budget):
    here, size = source("digits", None, None, tmp_path), plan.BUDGETS[budget]
    for method in ("sdmi", "byol"):
        cells = plan.sweep1(method, here, size, {})
        assert len(cells) == printed()["table5"][method]
        assert {c.options["lr"] for c in cells} == {0.01, 0.03, 0.05} and {c.options["data"] for c in cells} == {
            "digits"
        }
        from infomax.sweep.folder import Row

        first = cells[0].options["projector"]
        deep = plan.deeper(Row("a", "finished", cells[0].options, {}, 1, 0.0)).options
        assert deep["projector"] == [first[0], *first] and {**deep, "projector": first} == dict(cells[0].options)


def test_the_papers_columns_stand_beside_what_stands_in_for_them():
    found = columns(
        [*rows("cifar10-jpeg-copy", byol=91.0), *rows("digits"), *rows("cifar10", 1, "NVIDIA H100", jmi=70.0)]
    )
    lines = table(found)
    heads = list(lines[0])
    assert (
        heads[1:4] == ["CIFAR-10, paper", "cifar10 (NVIDIA H100)", "cifar10-jpeg-copy (CPU)"]
        and heads[-1] == "digits (CPU)"
    )
    assert heads.index("TinyImageNet, paper") > 3 and [line["method"] for line in lines] == list(LABELS.values())
    by = {line["method"]: line for line in lines}
    assert by["BYOL"]["CIFAR-10, paper"] == "91.28 ± 0.16" and by["BYOL"]["cifar10-jpeg-copy (CPU)"] == "91.00 ± 0.10"
    assert by["JMI"]["cifar10 (NVIDIA H100)"] == "69.90" and by["SDMI (g)"]["digits (CPU)"] == "90.00 ± 0.10"
    assert counterpart("Tiny-ImageNet-32") == "tiny-imagenet" and counterpart("imagenette_128") == "imagenet100"


def test_a_column_holds_each_seed_once_and_one_setting_of_a_method(tmp_path):
    held = rows(seeds=2)
    columns([*held, *rows(seeds=2, machine="NVIDIA H100"), *rows("other", 2)])  # columns of their own
    with pytest.raises(DataError, match=r"^table 1: sdmi, digits \(CPU\), seed 0 is there twice: give each run once"):
        columns([*held, *held])
    with pytest.raises(DataError, match=r"byol, digits \(CPU\), seed 1 is there twice"):
        columns([*held, *(r | {"options": {"lr": 0.2}} for r in held if r["method"] == "byol" and r["seed"] == 1)])
    more = next(r for r in held if r["method"] == "byol") | {"seed": 7}
    columns([*held, more | {"options": {"lr": 0.1, "projector": [8]}}])  # of which the others say nothing
    with pytest.raises(DataError, match=r"byol, digits \(CPU\): seeds 0 and 7 differ in lr \(0\.1, 0\.2\)"):
        columns([*held, more | {"options": {"lr": 0.2}}])
    file = tmp_path / "rows.json"
    file.write_text(json.dumps(held))
    with pytest.raises(DataError, match="is there twice"):
        table1(tmp_path / "t", elsewhere=[str(file), str(file)], progress=False)
    assert not (tmp_path / "t").exists()


def test_claims_are_judged_by_every_data_set():
    def verdicts(*some):
        return {c["name"]: c["verdict"] for c in judge.claims(columns([r for part in some for r in part]))}

    assert verdicts(rows())["f_equals_g"] == HOLDS and verdicts(rows(sdmi_g=85.0))["f_equals_g"] == FAILS
    alone = verdicts(rows(byol=95.0), rows("other", byol=96.0))
    assert alone["no_method_wins"] == FAILS and alone["competitive"] == OPEN  # all others are equal
    assert verdicts(rows(byol=95.0), rows("other", jmi=96.0))["no_method_wins"] == HOLDS
    good, bad = rows(sdmi=92.0, sdmi_g=92.0, jmi=92.0), rows("other", sdmi=80.0, sdmi_g=80.0, jmi=92.0)
    assert verdicts(good)["competitive"] == HOLDS and verdicts(good, bad)["competitive"] == FAILS
    assert set(verdicts(rows(seeds=1)).values()) == {OPEN}  # one seed has no spread
    same = [
        r | {k: round(r[k]) for k in ("linear", "linear_g") if k in r} for r in rows(byol=91.0)
    ]  # nor have three alike
    assert verdicts(same)["no_method_wins"] == OPEN
    some = [r for r in rows() if r["method"] != "vicreg"]
    assert set(verdicts(some).values()) == {OPEN}


def test_the_papers_own_table_is_judged_too():
    by_their_means = judge.none_wins(judge.as_printed())
    assert (
        min(c.difference for c in by_their_means) > 0
    )  # BYOL, best on three sets of four, is 1.0 behind SimCLR on the other
    assert verdict(by_their_means) == OPEN  # which, picked of 32 and of three runs each, is within the noise
    (row,) = (c for c in judge.claims(columns(rows())) if c["name"] == "no_method_wins")
    assert "printed means: holds, by their spread over three runs: not decidable" in row["note"]
    assert (
        verdict(judge.competitive(judge.as_printed())) == FAILS
    )  # ImageNet100: JMI 73.41 under VICReg's least, SimCLR's 75.31


def test_rows_from_elsewhere_are_checked(tmp_path):
    file = tmp_path / "rows.json"
    row = {"method": "barlow-twins", "data": "data/cifar10.npz", "seed": 0, "linear": 80.5, "machine": "NVIDIA H100"}
    for held in ([row], {"rows": [row]}):
        file.write_text(json.dumps(held))
        (found,) = elsewhere.read(file)
        assert found["method"] == "barlow_twins" and found["data"] == "cifar10" and found["linear"] == 80.5
    for broken, said in (
        ([row | {"method": "dino"}], "no method of table 1"),
        ([{k: v for k, v in row.items() if k != "seed"}], "row 1: lacks seed"),
        ([row | {"linear": 120}], "give percent"),
        ({}, "give a list of rows"),
        ({"settings": 3}, "give a list of rows"),
        ([row, row | {"seed": "a"}], r"rows\.json, row 2: seed=a: give a whole number"),
        ([row | {"seed": 0.5}], "row 1: seed=0.5: give a whole number"),
        ([row | {"linear": "x"}], "row 1: linear=x: give percent"),
        ([row | {"epochs": "many"}], "row 1: epochs=many: give a whole number"),
        ([row | {"options": "x"}], "row 1: options=x: give a mapping"),
        ([row | {"machine": ["x"]}], r"row 1: machine=\['x'\]: give words"),
        ([row | {"knn": float("nan")}], "row 1: knn=nan: give percent"),
        ([row | {"options": {"lr": float("inf")}}], "row 1: holds a number that is not finite"),
    ):
        file.write_text(json.dumps(broken))
        with pytest.raises(DataError, match=said):
            elsewhere.read(file)
    with pytest.raises(DataError, match="holds no runs"):
        elsewhere.read(tmp_path)


def test_the_runs_of_fig_2_are_a_column_and_the_ledger_takes_it(tmp_path):
    found = table1(tmp_path / "t", seeds=0, elsewhere=[str(ROOT / "results" / "fig2-digits.json")], progress=False)
    lines = {line["method"]: line["digits (CPU)"] for line in found["parts"][0]["lines"]}
    runs = json.loads((ROOT / "results" / "fig2-digits.json").read_text())["rows"]
    mine = [r["linear_g"] for r in runs if r["name"] == "sdmi"]
    assert lines["SDMI (g)"] == f"{np.mean(mine):.2f} ± {np.std(mine, ddof=1):.2f}" and all(lines.values())
    assert len(found["rows"]) == 24 and not (tmp_path / "t" / "final").exists()
    kept = json.loads((ROOT / "results" / "claims.json").read_text())["claims"]
    told = ledger.run(tmp_path / "c", earlier=ROOT / "results" / "claims.json", table1=tmp_path / "t", progress=False)
    assert {c["name"] for c in told["claims"] if c["study"] == "table1"} == set(judge.CLAIMS)
    others = {c["name"] for c in kept if c["study"] not in ("none", "taxonomy", "table1")}
    assert others <= {c["name"] for c in told["claims"]} and "table1" not in told["settings"]["earlier"]
    with pytest.raises(DataError, match="no ledger"):
        ledger.run(tmp_path / "d", earlier=tmp_path / "t" / "table1.json")


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    out = tmp_path_factory.mktemp("elsewhere") / "runs" / "sdmi-0"
    torch.manual_seed(0)
    learner = im.methods.sdmi(im.encoders.get("mlp", channels=1, size=8, hidden=16), projector=(8,))
    im.train(learner, "digits", epochs=1, batch_size=721, seed=4, out=out, progress=False, gauge_samples=50)
    assert main(["evaluate", str(out), "--protocols", "linear,knn"]) == 0
    (out / "learner.safetensors").unlink()  # what is brought back need not have weights
    return out


def test_runs_that_were_evaluated_elsewhere_are_rows(evaluated, tmp_path):
    (row,) = elsewhere.read(evaluated.parents[1])
    assert (row["method"], row["data"], row["seed"], row["epochs"], row["encoder"]) == ("sdmi", "digits", 4, 1, "mlp")
    assert 50 < row["linear"] < 100 and 50 < row["linear_g"] < 100 and row["linear"] != row["linear_g"]
    assert row["train"] == 1442 and row["machine"] and row["options"]["projector"] == [8]
    (evaluated / "evaluation.json").rename(tmp_path / "kept.json")
    try:
        with pytest.raises(DataError, match="was not evaluated: infomax evaluate"):
            elsewhere.read(evaluated)
        said = json.loads((tmp_path / "kept.json").read_text())
        (evaluated / "evaluation.json").write_text(json.dumps({"gaussians": said["digits"]}))
        with pytest.raises(DataError, match="was evaluated on gaussians, not on digits"):
            elsewhere.read(evaluated)
        (evaluated / "evaluation.json").write_text(json.dumps({"digits": {"sizes": {"16": said["digits"]}}}))
        with pytest.raises(DataError, match="was evaluated at 16 px alone"):
            elsewhere.read(evaluated)
        for damaged in ("{", "[1]", '{"digits": 3}'):
            (evaluated / "evaluation.json").write_text(damaged)
            with pytest.raises(DataError, match=r"evaluation\.json is damaged: remove it"):
                elsewhere.read(evaluated)
        earlier = {"digits": said["digits"] | {"trained": {"epoch": 0.5, "of": 1, "finished": False}}}
        (evaluated / "evaluation.json").write_text(json.dumps(earlier))
        with pytest.raises(DataError, match=r"was evaluated at epoch 0\.5 and has gone on since"):
            elsewhere.read(evaluated)
    finally:
        (tmp_path / "kept.json").rename(evaluated / "evaluation.json")


@pytest.mark.slow
def test_table_1_runs_each_cell_once_and_shows_other_machines_beside(evaluated, tmp_path, capsys):
    out = tmp_path / "tables"
    asked = {"methods": ["sdmi", "jmi"], "samples": 200, "epochs": 1, "seeds": 2, "workers": 1, "device": "cpu"}
    found = table1(out, **asked, elsewhere=[str(evaluated.parent)], progress=False)
    ours = [r for r in found["rows"] if not r.get("elsewhere")]
    assert len(ours) == 4 and not any("error" in r for r in ours) and all(r["of"] == 1442 for r in ours)
    assert len([r for r in ours if "linear_g" in r]) == 2 and len(found["untrained"]["digits"]) == 2
    before = {p: p.stat().st_mtime_ns for p in (out / "final").rglob("*.json") if p.name != "sweep.json"}
    again = table1(out, **asked, elsewhere=[str(evaluated.parent)], progress=False)
    assert before == {p: p.stat().st_mtime_ns for p in (out / "final").rglob("*.json") if p.name != "sweep.json"}
    assert again["rows"] == found["rows"] and again["parts"] == found["parts"]
    assert found["settings"]["images"] == {"digits": {"train": 200, "of": 1442, "test": 66, "of_test": 355}}
    assert "and 66 of 355 test images." in found["parts"][0]["text"]
    heads = found["parts"][0]["lines"][0]
    assert len([h for h in heads if h.startswith("digits")]) == 2  # ours, of 200 images, and the other machine's
    held = ledger.ledger({"table1": out / "table1.json"})
    mine = {r["name"]: r for r in held if r["study"] == "table1"}
    assert set(mine) == set(judge.CLAIMS) and all(r["verdict"] == OPEN for r in mine.values())
    assert "study table1 --out tables" in mine["competitive"]["command"] and str(tmp_path) not in json.dumps(
        found["rows"]
    )


def test_a_cell_that_was_tested_on_other_data_is_tested_anew(tmp_path):
    from infomax.studies.tables.tested import tested

    cell, data = tmp_path / "cell", tmp_path / "d.npz"
    x, y = np.random.default_rng(0).integers(0, 256, (60, 8, 8), np.uint8), np.arange(60) % 2

    def found(**test):
        np.savez(data, x_train=x, y_train=y, **test)
        if not cell.exists():
            learner = im.methods.jmi(im.encoders.get("mlp", channels=1, size=8, hidden=16), projector=(8,))
            im.train(learner, str(data), epochs=1, batch_size=30, out=cell, progress=False, gauge_samples=50)
        return tested((str(cell), known_by(im.data.load(data))))

    test = {"x_test": x[:20], "y_test": y[:20]}
    first = found(**test)
    assert found(**test) == first and "content" not in first
    for other in (test | {"y_test": np.r_[y[:10], 1 - y[10:20]]}, {}):
        assert (changed := found(**other)) != first and found(**other) == changed
    (cell / "test.json").write_text(json.dumps(first | {"linear": 7.0}))
    assert found(**test)["linear"] == 7.0, "an earlier version named no data"
    for damaged in ("", "{", "[]", "{}"):
        (cell / "test.json").write_text(damaged)
        assert found(**test) | {"cpu_seconds": 0} == first | {"cpu_seconds": 0}


@pytest.mark.slow
def test_table_6_selects_by_both_sweeps_and_a_failed_cell_is_recorded(tmp_path, monkeypatch):
    kept = plan.sweep1

    def some(method, here, size, changes):
        from infomax.sweep import Cell

        cells = kept(method, here, size, changes)[:2]
        return [*cells, Cell({**cells[0].options, "batch_size": 1})]  # a batch that a contrast cannot take

    monkeypatch.setattr(plan, "sweep1", some)
    asked = {"methods": ["jmi"], "samples": 200, "epochs": 1, "workers": 1, "device": "cpu", "progress": False}
    with pytest.warns(UserWarning, match="1 of 3 cells cannot be .* such cells fail, and the others run"):
        found = table6(tmp_path / "tables", **asked)
    states = [c["state"] for c in found["cells"]]
    assert states == ["finished", "finished", "failed", "finished"] and "at least 2" in found["cells"][2]["error"]
    assert [c["layers"] for c in found["cells"]] == [2, 2, 2, 3]
    (line,) = found["parts"][0]["lines"]
    assert line["paper, CIFAR-10"] == "lr 0.05, wd 0.0005, tau 0.1, 128, 2 layers" and line["as good"].endswith("of 2")
    (second,) = Folder(tmp_path / "tables" / "sweep2").rows()
    assert len(second.options["projector"]) == 3
    assert line["with a layer more, %"].startswith(f"{second.metrics['linear']:.2f}")
    best = max([c["linear"] for c in found["cells"] if "linear" in c] + [second.metrics["linear"]])
    assert found["selected"][0]["metrics"]["linear"] == best
    (five,) = table5(tmp_path / "tables", **asked)["parts"][0]["lines"]
    assert five["paper"] == "36" and five["finished"] == "2"


def test_table_5_counts_without_training(tmp_path, capsys):
    assert main(["study", "table5", "--out", str(tmp_path / "t"), "--methods", "jmi", "--methods", "byol"]) == 0
    said = capsys.readouterr().out
    assert "3 x 2 x 3 x 2 = 36" in said and "3 x 2 x 2 = 12" in said
    found = json.loads((tmp_path / "t" / "table5.json").read_text())
    assert (
        found["command"].startswith("infomax study table5 --out tables --methods")
        and (tmp_path / "t" / "table5.html").exists()
    )


def test_table_7_says_which_data_it_has_and_what_stands_for_them(tmp_path, capsys):
    assert main(["study", "table7", "--out", str(tmp_path / "tables"), "--data", "digits"]) == 2
    said = capsys.readouterr().err
    assert "settings for ImageNet100 and TinyImageNet alone" in said and "cifar" not in said
    assert said.rstrip().endswith(
        "imagenet100 or imagenette for ImageNet100, tiny-imagenet or tinyimagenet for TinyImageNet"
    )
    assert not (tmp_path / "tables").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(ConfigError, match=r"holds something else \(mine.txt\)"):
        Asked(tmp_path)


def test_so_many_rows_of_a_data_set_are_of_every_class_alike(tmp_path):
    part = source("digits", None, 200, tmp_path)
    data, test = im.data.load(part.data), im.data.load(part.data, split="test")
    assert (len(data), len(test), part.of, part.label, part.side) == (200, 66, 1442, "digits", 8)
    assert part.cut.endswith("200 of 1,442 training images, for encoder and probe alike, and 66 of 355 test images.")
    assert np.bincount(data.labels.numpy()).min() >= 19 and source("digits", None, 200, tmp_path) == part
    held = dict(np.load(part.data))
    np.savez(part.data, **(held | {"y_train": held["y_train"][::-1]}))
    with pytest.raises(DataError, match="holds rows of other data than 'digits'"):
        source("digits", None, 200, tmp_path)
    with pytest.raises(ConfigError, match="same name, 'photos', in the tables"):
        Asked(tmp_path / "tables", data=["a/photos.npz", "b/photos.npz"]).sources(None)
    whole = source("digits", None, 5000, tmp_path)
    assert whole.data == "digits" and whole.train == 1442 and not whole.cut
    np.savez(tmp_path / "plain.npz", x=np.zeros((20, 8, 8), np.uint8))
    with pytest.raises(ConfigError, match="images with labels"):
        source(str(tmp_path / "plain.npz"), None, None, tmp_path)


def test_of_a_test_part_without_labels_no_row_is_counted(tmp_path):
    x, y = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), np.uint8), np.arange(40) % 2
    np.savez(tmp_path / "half.npz", x_train=x, y_train=y, x_test=x[:4])
    for samples in (None, 20):
        found = source(str(tmp_path / "half.npz"), None, samples, tmp_path)
        assert found.test is None and found.of_test is None


def test_the_encoder_of_a_row_is_that_which_auto_trained(tmp_path):
    from infomax.studies.tables.probing import _described
    from infomax.sweep.folder import Row

    x, y = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), np.uint8), np.arange(40) % 2
    np.savez(tmp_path / "sixteen.npz", x=x, y=y)
    here = source(str(tmp_path / "sixteen.npz"), None, None, tmp_path)
    for size, encoder in ((None, "resnet8"), (8, "mlp")):
        options = {"encoder": "auto", "size": size, "seed": 0, "epochs": 1}
        row = _described(Folder(tmp_path), Row("a", "finished", options, {}, 1, 0.0), here)
        assert (row["encoder"], row["size"]) == (encoder, size or 16)
    kept = json.loads((ROOT / "results" / "fig2-digits.json").read_text())
    for changes, encoder in (({}, "mlp"), ({"size": 16}, "resnet8"), ({"data": "cifar10", "size": 8}, "mlp")):
        (tmp_path / "fig2.json").write_text(json.dumps(kept | {"settings": kept["settings"] | changes}))
        assert {r["encoder"] for r in elsewhere.read(tmp_path / "fig2.json")} == {encoder}


def test_the_tables_of_the_page_are_those_of_the_results():
    spec = importlib.util.spec_from_file_location("tables_of_docs", ROOT / "docs" / "tools" / "tables.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    for name in tool.PAGES:
        page = (ROOT / "docs" / name).read_text("utf-8")
        assert tool.BLOCK.search(page) and tool.written(page) == page, "write them anew: python docs/tools/tables.py"
