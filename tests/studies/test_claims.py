"""The ledger: rows come from what studies measured, verdicts from differences, and a folder that is no study is refused."""

import json

import numpy as np
import pytest

from infomax.cli import main
from infomax.errors import ConfigError, DataError
from infomax.report import Page
from infomax.studies import claims, toy
from infomax.studies.claims import toy as toy_claims
from infomax.studies.origin import commit
from infomax.studies.toy import page as toy_page
from infomax.studies.verdict import VERDICTS, above, between, claim


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


def figure_folder(path, figure, rows=()):
    return written(
        path,
        {"settings": {"figure": figure}, "command": f"infomax study {figure} --out {figure}", "claims": list(rows)},
    )


def written(path, results):
    path.mkdir(parents=True)
    (path / "results.json").write_text(json.dumps(results))
    return path


def test_the_ledger_end_to_end(toy_folder, tmp_path, capsys):
    row = claim("x", "SDMI | JMI", "fig. 2", "2.0 ± 0.1", [between("a - b", [2.0, 2.1], [1.0, 1.1])])
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
    assert rows["table2"]["verdict"] == "does not hold" and "10 of 12 rows" in rows["table2"]["measured"]
    assert rows["memory"]["verdict"] == "not decidable"
    table = (out / "claims.md").read_text()
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


def test_a_row_without_comparisons_decides_nothing():
    assert claim("a", "b", "c", "d", [])["verdict"] == "not decidable"
    assert claim("a", "b", "c", "d", [above("x", [1.0, 1.1], 0.5)])["verdict"] == "holds"
