"""The ledger: rows come from what studies measured, verdicts from differences, and a folder that is no study is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from infomax.cli import main
from infomax.errors import ConfigError, DataError
from infomax.report import Page
from infomax.studies import claims, curves, toy
from infomax.studies.claims import toy as toy_claims
from infomax.studies.origin import commit
from infomax.studies.toy import judge as toy_judge
from infomax.studies.toy import page as toy_page
from infomax.studies.verdict import VERDICTS, above, between, claim

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def toy_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ledger") / "toy"
    with (
        pytest.MonkeyPatch.context() as patch
    ):  # its pictures take longer than its training, and no one reads them here
        patch.setattr(toy, "_draw", lambda *given: {})
        patch.setattr(toy_page, "page", lambda *given: Page("the toy study"))
        toy.run(folder, seeds=2, n=50, epochs=2, workers=1, progress=False)
    return folder


def theory_folder(path):
    found = {
        "text": "a bound is a bound",
        "source": "4.1",
        "holds": False,
        "seen": "1.0 +- 0.1",
        "verdict": "does not hold",
    }
    checks = {"bias": {"title": "A check", "claims": [found, found | {"source": "infomax", "holds": True}]}}
    return written(path, {"settings": {"seed": 3, "draws": 200}, "checks": checks})


def figure_folder(path, figure, rows=(), data="digits"):
    return written(
        path,
        {
            "settings": {"figure": figure, "data": data},
            "command": f"infomax study {figure} --out {figure}",
            "claims": list(rows),
        },
    )


def written(path, results):
    path.mkdir(parents=True)
    (path / "results.json").write_text(json.dumps(results))
    return path


def test_the_ledger_end_to_end(toy_folder, tmp_path, capsys):
    row = claim("x", "SDMI | JMI", "fig. 2", "2.0 ± 0.1", [between("a - b", [2.0, 2.1, 2.2], [1.0, 1.1, 1.0])])
    folders = {
        "toy": toy_folder,
        "theory": theory_folder(tmp_path / "theory"),
        "fig2": figure_folder(tmp_path / "fig2", "fig2", [row]),
        "fig7": figure_folder(tmp_path / "fig7", "fig7"),
    }
    out = tmp_path / "out"
    given = [f"--{name}={path}" for name, path in folders.items()]
    assert main(["study", "claims", "--out", str(out), *given]) == 0
    found = json.loads((out / "results.json").read_text())
    rows = {r["name"]: r for r in found["claims"]}
    assert len(rows) == len(found["claims"]) >= 20
    assert found["commit"] == commit()
    said = "".join(f" --{name} {folders[name].name}" for name in ("toy", "theory", "fig2", "fig7"))
    assert found["command"] == f"infomax study claims --out claims{said}"  # every study that was read, not run
    assert sum(found["counts"].values()) == len(rows) and set(found["counts"]) == set(VERDICTS)
    assert {r["verdict"] for r in rows.values()} <= set(VERDICTS)
    assert all(
        r["claim"] and r["source"] and r["measured"] and r["command"].startswith("infomax ") for r in rows.values()
    )
    assert rows["bias_1"]["verdict"] == "does not hold" and rows["bias_2"]["verdict"] == "holds"
    assert rows["bias_1"]["command"] == "infomax study theory --out theory --seed 3"
    assert rows["order"]["command"] == "infomax study toy --out toy --seeds 2 --n 50 --epochs 2"
    assert rows["x"]["verdict"] == "holds" and rows["x"]["study"] == "fig2"
    assert rows["table2"]["verdict"] == "does not hold" and "10 of 12 methods" in rows["table2"]["measured"]
    assert rows["memory"]["verdict"] == "not decidable"
    table = (out / "claims.md").read_text()
    assert rows["order"]["on"] == "five Gaussians, N = 50" and rows["bias_1"]["on"] == "known truths"
    assert "of the paper " in (out / "index.html").read_text()
    assert len(table.splitlines()) == 2 + len(rows) and "SDMI \\| JMI" in table
    assert "The ledger of claims" in (out / "index.html").read_text()
    assert f"{len(rows)} claims:" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="nothing is overwritten"):
        claims.run(out, **folders)


def test_what_is_not_given_is_run(toy_folder, tmp_path, monkeypatch):
    ran = []

    def study(name, make):
        def run(path):
            ran.append(name)
            make(path)

        return run

    made = {
        "theory": study("theory", theory_folder),
        "fig2": study("fig2", lambda path: figure_folder(path, "fig2")),
        "fig7": study("fig7", lambda path: figure_folder(path, "fig7")),
    }
    monkeypatch.setattr(claims, "_studies", lambda *options: made)
    found = claims.run(tmp_path / "out", toy=toy_folder, fig2=figure_folder(tmp_path / "own", "fig2"), progress=False)
    assert ran == ["theory", "fig7"]
    assert found["settings"]["read"] == ["fig2", "toy"]
    assert (tmp_path / "out" / "theory" / "results.json").is_file()


def test_every_claim_of_the_toy_study_has_numbers(toy_folder):
    results, runs = claims.read(toy_folder), toy_claims.read_arrays(toy_folder)
    rows = toy_claims.claims(results, runs)
    assert [r["name"] for r in rows] == [c["name"] for c in results["claims"]]
    assert all(r["judged_by"] for r in rows)
    assert {r["name"] for r in rows if r["source"] == "infomax"} == {
        c["name"] for c in results["claims"] if c["name"].startswith(toy_judge.OURS)
    }
    with pytest.raises(DataError, match="'news' has no numbers"):
        toy_claims.claims({"claims": [results["claims"][0] | {"name": "news"}]}, runs)


def test_a_difference_within_the_noise_is_not_decided(toy_folder):
    """MoCo v3 and BYOL overlap: the order of table 3 is right in the mean and not decided."""
    runs = {"full_batch": {}}
    for method, mean, side in (("sdmi", 72, "fg"), ("moco_v3", 50, "f"), ("byol", 49, "f"), ("simsiam", 35, "f")):
        gaps = np.stack([np.linspace(mean - 5, mean + 5, 10)] * 4)
        runs["full_batch"][method] = {f"gaps_{s}": gaps for s in side}
    found = {"name": "order", "paper": "an order", "ours": "means", "note": ""}
    (row,) = toy_claims.claims({"claims": [found]}, runs)
    assert row["verdict"] == "not decidable"
    runs["full_batch"]["byol"]["gaps_f"] = runs["full_batch"]["byol"]["gaps_f"] - 12
    (row,) = toy_claims.claims({"claims": [found]}, runs)
    assert row["verdict"] == "holds"


def test_a_toy_study_is_read_by_its_results_too(tmp_path):
    np.savez(tmp_path / "arrays.npz", **{"full_batch/jmi/gaps_f": np.zeros((1, 3))})
    for study in (tmp_path, tmp_path / "results.json"):
        assert set(toy_claims.read_arrays(study)) == {"full_batch"}


def test_a_folder_that_is_no_study_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no results\.json"):
        claims.run(tmp_path / "out", toy=tmp_path)
    (tmp_path / "results.json").write_text("{")
    with pytest.raises(DataError, match="damaged"):
        claims.run(tmp_path / "out", theory=tmp_path)
    assert not (tmp_path / "out").exists()
    other = figure_folder(tmp_path / "fig2", "fig2")
    with pytest.raises(DataError, match="is no theory study"):
        claims.ledger({"theory": other})
    with pytest.raises(DataError, match="is no toy study"):
        claims.ledger(
            {"toy": written(tmp_path / "bare", {"settings": {"seeds": 1, "n": 10, "epochs": 2}, "claims": []})}
        )
    published = tmp_path / "toy.json"
    published.write_text(json.dumps({"settings": {"seeds": 1, "n": 10, "epochs": 2}, "claims": []}))
    with pytest.raises(
        DataError, match=r"toy\.json holds the toy study's means alone.*give the study's folder, or .*--earlier"
    ):
        claims.run(tmp_path / "out", toy=published)  # at once, before another study runs
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match="no study 'fig9'"):
        claims.ledger({"fig9": other})
    with pytest.raises(ConfigError, match="minutes"):
        claims.run(tmp_path / "out", budget="minute")


def test_a_study_is_taken_under_its_own_name_alone(tmp_path):
    fig7 = figure_folder(tmp_path / "fig7", "fig7")
    others = ("toy", "theory", "fig2", "periodic", "table1", "collapse")
    for name in others:
        with pytest.raises(DataError, match=rf"fig7 is no {name} study, but one of fig7: --fig7 takes it"):
            claims.ledger({name: fig7})
        with pytest.raises(DataError, match=f"is no {name} study"):  # before others run for hours
            claims.run(tmp_path / "out", **{name: fig7})
    for file, kind in (
        ("table6", "table6"),
        ("periodic-table-digits", "periodic"),
        ("collapse-digits-wide", "collapse"),
    ):
        with pytest.raises(DataError, match=f"no fig2 study, but one of {kind}"):
            claims.ledger({"fig2": ROOT / f"results/{file}.json"})
    for name in ("fig2", "periodic", "table1"):
        with pytest.raises(DataError, match=r"first-look.* is no \w+ study"):
            claims.ledger({name: ROOT / "results/first-look-imagenette-128.json"})
    assert not (tmp_path / "out").exists()


def test_a_study_is_counted_once(tmp_path):
    a, b = (figure_folder(tmp_path / name, "fig7", data="digits") for name in "ab")
    for twice in ([a, a], [a, b]):
        with pytest.raises(DataError, match="two of the fig7 studies are on digits, which would count twice"):
            claims.ledger({"fig7": twice})
        with pytest.raises(DataError, match="two of the fig7 studies are on digits"):  # before others run for hours
            claims.run(tmp_path / "out", fig7=twice)
    assert not (tmp_path / "out").exists()


def test_several_data_sets_are_rows_of_their_own(tmp_path):
    row = claim("x", "SDMI leads", "fig. 2", "2.0 ± 0.1", [between("a - b", [2.0, 2.1, 2.2], [1.0, 1.1, 1.0])])
    folders = [figure_folder(tmp_path / data, "fig2", [row], data=data) for data in ("digits", "images.npz")]
    rows = [r for r in claims.ledger({"fig2": folders}) if r["name"] == "x"]
    assert [(r["on"], r["verdict"]) for r in rows] == [("digits", "holds"), ("images", "holds")]
    given = [f"--fig2={folder}" for folder in folders]
    kept = written(tmp_path / "kept", {"claims": [], "counts": {}})
    assert main(["study", "claims", "--out", str(tmp_path / "out"), "--earlier", str(kept), *given]) == 0
    found = json.loads((tmp_path / "out" / "results.json").read_text())
    assert found["command"].count("--fig2") == 2 and [r["on"] for r in found["claims"] if r["name"] == "x"] == [
        "digits",
        "images",
    ]


def test_the_ledger_judges_the_runs_by_the_rule_of_now():
    """Not by what a study said when it was run: `results/` holds runs of before the rule."""
    kept = json.loads((ROOT / "results/fig2-digits.json").read_text("utf-8"))
    stale = kept | {"claims": [c | {"verdict": "holds"} for c in kept["claims"]]}
    assert claims.judged_anew(stale) == curves.JUDGES["fig2"](kept["rows"]) != stale["claims"]
    for file, names in (("table1", {"competitive"}), ("periodic-table-digits", {"partition_holds_open"}),
                        ("collapse-digits-seed110", {"collapse_flagged"})):  # fmt: skip
        found = claims.judged_anew(json.loads((ROOT / f"results/{file}.json").read_text("utf-8")) | {"claims": []})
        assert names <= {c["name"] for c in found}


def test_what_the_paper_says_of_analogous_methods_is_not_held_against_others(toy_folder):
    """Fig. 3 and 4.3 compare SDMI with SimSiam, BYOL and MoCo; that it leads all methods is another sentence."""
    runs = {"full_batch": {}}
    means = {"sdmi": 72, "moco_v3": 50, "byol": 49, "simsiam": 35} | dict.fromkeys(
        ("jmi", "simclr", "barlow_twins", "vicreg"), 85
    )
    for method, mean in means.items():
        gaps = np.stack([np.linspace(mean - 3, mean + 3, 10)] * 4)
        runs["full_batch"][method] = {f"gaps_{s}": gaps for s in "fg"}
    found = {"paper": "it leads", "ours": "means", "note": ""}
    two = [found | {"name": name} for name in ("separates_most", "separates_most_of_all")]
    rows = toy_claims.claims({"claims": two}, runs)
    assert [r["verdict"] for r in rows] == ["holds", "does not hold"]
    assert [r["source"] for r in rows] == ["fig. 3, 4.3", "4.3, discussion"]


def test_less_spread_is_no_collapse(toy_folder):
    """The toy's ablations are held to the bar that fig. 7's are."""
    spread = {"sdmi": 0.99, "sdmi_nodv": 0.46, "sdmi_nodv_pred": 0.99}
    runs = {"no_last_norm": {m: {"std_f": v + np.linspace(-0.01, 0.01, 10)} for m, v in spread.items()}}
    found = [
        {"paper": "it collapses", "ours": "spreads", "note": "", "name": name} for name in ("fig7a", "fig7a_order")
    ]
    assert [r["verdict"] for r in toy_claims.claims({"claims": found}, runs)] == ["does not hold", "holds"]
    runs["no_last_norm"]["sdmi_nodv"]["std_f"] -= 0.44
    assert [r["verdict"] for r in toy_claims.claims({"claims": found}, runs)] == ["holds", "holds"]


def test_rows_of_one_ledger_can_be_told_apart(toy_folder):
    rows = toy_claims.claims(claims.read(toy_folder), toy_claims.read_arrays(toy_folder))
    assert len({r["claim"] for r in rows}) == len(rows)


def test_a_row_without_comparisons_decides_nothing():
    assert claim("a", "b", "c", "d", [])["verdict"] == "not decidable"
    assert claim("a", "b", "c", "d", [above("x", [1.0, 1.1, 1.0], 0.5)])["verdict"] == "holds"


def collapse_folder(path, seed, missed=0):
    """A method and its ablation in a world that is held out; of seeds that miss it the whole method is collapsed, too."""
    alike = {"world": "digits, wide", "seed": seed, "std": 1.0, "mi_infonce": 1.0}
    rows = [alike | {"name": name, "effective_rank": 30.0, "flagged": None} for name in ("simsiam", "byol", "simclr")]
    rows += [alike | {"name": "dino", "effective_rank": 7.0 if missed else 30.0, "flagged": None}]
    rows += [alike | {"name": "simsiam without guard", "effective_rank": 5.0, "flagged": 0.1, "by": "directions"}]
    return written(
        path,
        {"study": "collapse", "settings": {}, "rows": rows, "claims": [],
         "command": f"infomax study collapse --out collapse --first-seed {seed}"},
    )  # fmt: skip


def test_seeds_of_the_watch_are_judged_together(tmp_path):
    """One seed decides nothing; a whole method that is collapsed by its rank alone is named."""
    first, second = (collapse_folder(tmp_path / str(seed), seed) for seed in (110, 111))
    third = collapse_folder(tmp_path / "112", 112, missed=1)
    names = ("collapse_flagged", "healthy_left_alone", "ablations_flagged")

    def judged(folders):
        found = {r["name"]: r for r in claims.ledger({"collapse": folders})}
        return [found[name] for name in names]

    assert [r["verdict"] for r in judged(first)] == ["not decidable"] * 3
    assert [r["verdict"] for r in judged([first, second])] == ["holds"] * 3
    assert judged([first, second])[1]["measured"] == "0 of 8 (seeds 110, 111): none"
    row, healthy, ablations = judged([first, second, third])
    assert [r["verdict"] for r in (row, healthy, ablations)] == ["does not hold", "holds", "holds"]
    assert ablations["measured"] == "3 of 3 (seeds 110, 111, 112); missed: none"
    assert row["measured"] == "3 of 4 (seeds 110, 111, 112), 0 more later; missed: dino (digits, wide, seed 112)"
    assert row["note"].startswith("Missed with its guard: dino (digits, wide, seed 112), which ended with std 1.00")
    assert "by its rank alone" in row["note"] and row["note"].endswith("3 of 3 flagged in time.")
    assert row["command"].count("--out collapse-") == 3 and "--out collapse-2 --first-seed 111" in row["command"]
    with pytest.raises(DataError, match="seed 110 is in two"):
        judged([first, first])
    with pytest.raises(DataError, match="is no collapse study"):
        judged([first, figure_folder(tmp_path / "fig2", "fig2")])
    kept = written(tmp_path / "kept", {"claims": [], "counts": {}})
    given = [f"--collapse={folder}" for folder in (first, second)]
    assert main(["study", "claims", "--out", str(tmp_path / "out"), "--earlier", str(kept), *given]) == 0
    found = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [r["verdict"] for r in found["claims"] if r["study"] == "collapse"] == ["holds"] * 3
    assert found["command"].count("--collapse ") == 2
