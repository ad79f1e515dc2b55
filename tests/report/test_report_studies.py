"""Studies and sweeps by the same command as runs: pages made again from what was kept."""

import json
import shutil
from pathlib import Path

import pytest
from tests_html import Tags, headings

from infomax.cli import main
from infomax.cli.pages import kind, reported
from infomax.errors import ConfigError, DataError
from infomax.studies.tables.work import Asked

RESULTS = Path(__file__).parents[2] / "results"


def folder(tmp_path: Path, results: object) -> Path:
    (tmp_path / "results.json").write_text(results if isinstance(results, str) else json.dumps(results))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "section"),
    [
        ("claims", "Printed in the paper"),
        ("fig2-digits", "Over training"),
        ("fig7-digits", "Claims"),
        ("periodic-table-digits", "The best, again"),
        ("collapse-digits-seed103", "How each run ended, and what was said of it"),
    ],
)
def test_what_was_kept_makes_the_page_again(tmp_path, name, section):
    shutil.copy(RESULTS / f"{name}.json", tmp_path / "results.json")
    assert kind(tmp_path) == "study"
    text = reported([tmp_path]).read_text()
    assert (tmp_path / "index.html").is_file() and section in headings(text) and "Settings" in headings(text)
    Tags(text)


def test_a_theory_study_has_a_page(tmp_path):
    results = json.loads((RESULTS.parent / "docs/results/theory.json").read_text("utf-8"))
    text = reported([folder(tmp_path, results)], tmp_path / "page.html").read_text()
    assert {check["title"] for check in results["checks"].values()} <= set(headings(text))
    assert len(headings(text)) == 1 + len(results["checks"]) and text.count("<table>") == 1 + 2 * len(results["checks"])
    verdicts = [c["verdict"] for check in results["checks"].values() for c in check["claims"]]
    assert len(verdicts) > 30 and all(text.count(v) >= verdicts.count(v) for v in set(verdicts))


def test_rows_of_the_demo_and_of_estimators_are_a_table(tmp_path):
    rows = {"raw <b>": {"linear": 96.9, "few": 84.3}, "jmi": {"linear": 97.5, "few": 86.8, "std": 0.98}}
    text = reported([folder(tmp_path, {"rows": rows, "seed": 0, "epochs": 3, "seconds": 1.0})]).read_text()
    assert "raw &lt;b&gt;" in text and "97.50" in text
    row = {"task": "t", "truth": 1.0, "method": "ksg", "mean": 0.9, "sd": None, "covered": 2, "limited": 3, "two_sided": 1,
           "seconds": 0.1}  # fmt: skip
    settings = {"seeds": 3, "n": 500}
    text = reported([folder(tmp_path, {"settings": settings, "rows": [row], "nulls": {}, "seconds": 1.0})]).read_text()
    assert "2 of 3" in text and "3 samples of 500 pairs" in text


def test_what_is_no_study_of_this_version_is_named(tmp_path, capsys):
    with pytest.raises(DataError, match="not as a study of this version"):
        reported([folder(tmp_path, {"checks": {"a": {}}})])
    with pytest.raises(DataError, match="is damaged"):
        reported([folder(tmp_path, "{")])
    with pytest.raises(DataError, match=r"arrays\.npz"):
        reported([folder(tmp_path, {"best": {}, "claims": []})])
    assert main(["report", str(tmp_path), "--data", "digits"]) == 2
    assert "is a study" in capsys.readouterr().err


def test_a_sweep_by_the_same_command(tmp_path, capsys):
    sweep = {"evaluate": {"data": "digits", "metric": "linear", "goal": "max"}, "cells": {}}
    names = []
    for k, lr in enumerate((0.1, 0.2)):
        name = f"cell{k}"
        sweep["cells"][name] = {"method": "jmi", "lr": lr, "seed": 0}
        (tmp_path / "cells" / name).mkdir(parents=True)
        result = {"evaluate": "digits", "metrics": {"linear": 90.0 + k}, "seconds": 1.0}
        (tmp_path / "cells" / name / "result.json").write_text(json.dumps(result))
        names.append(name)
    (tmp_path / "sweep.json").write_text(json.dumps(sweep))
    assert main(["report", str(tmp_path)]) == 0
    assert str(tmp_path / "index.html") in capsys.readouterr().out
    text = (tmp_path / "index.html").read_text()
    assert "Parallel coordinates" in headings(text) and all(name in text for name in names)
    with pytest.raises(ConfigError, match="or of one sweep"):
        reported([tmp_path, folder(tmp_path / "cells", {})])


def test_the_papers_tables_have_a_page(tmp_path, capsys):
    for number in (1, 6):
        shutil.copy(RESULTS / f"table{number}.json", tmp_path)
        assert kind(tmp_path) == "tables"
        assert main(["report", str(tmp_path)]) == 0
        assert str(tmp_path / "index.html") in capsys.readouterr().out
        text = (tmp_path / "index.html").read_text()
        Tags(text)
        parts = json.loads((tmp_path / f"table{number}.json").read_text())["parts"]
        assert len(headings(text)) > len(parts) and text.count("<table>") >= len([p for p in parts if p.get("lines")])
        assert f"infomax study table{number}" in text
    assert Asked(tmp_path).folder == tmp_path, "the study goes on beside its page"
    assert main(["report", str(tmp_path), "--data", "digits"]) == 2
    assert "is a study" in capsys.readouterr().err
    (tmp_path / "table6.json").write_text("{")
    with pytest.raises(DataError, match=r"study table6 --out .* makes it again"):
        reported([tmp_path])


@pytest.mark.parametrize("name", ["table4", "table5", "table6", "table7"])
def test_a_table_that_was_kept_as_the_results_of_a_study_has_its_page(tmp_path, name):
    shutil.copy(RESULTS / f"{name}.json", tmp_path / "results.json")
    text = reported([tmp_path]).read_text()
    parts = [part["heading"] for part in json.loads((tmp_path / "results.json").read_text())["parts"]]
    assert parts and set(parts) <= set(headings(text))


def test_tables_that_were_stopped_are_pointed_at(tmp_path):
    (tmp_path / "final").mkdir()
    (tmp_path / "final" / "sweep.json").write_text("{}")
    with pytest.raises(DataError, match=r"holds sweeps \(final\): .*infomax report .*final"):
        reported([tmp_path])
