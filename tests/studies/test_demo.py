import json

import torch

from infomax.report.demo import of_the_last
from infomax.studies import demo


def test_the_demo_end_to_end_in_small(tmp_path, capsys):
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        found = demo.run(tmp_path / "demo", epochs=2, progress=False)
        assert torch.get_num_threads() == 2, "the demo computes by one and gives back what it found"
    finally:
        torch.set_num_threads(threads)
    rows = found["rows"]
    assert {"raw pixels", "random encoder", "sdmi", "jmi", "sdmi, no marginal"} <= set(rows)
    assert len(rows) == 8
    assert json.loads((tmp_path / "demo" / "results.json").read_text())["rows"] == rows
    page = (tmp_path / "demo" / "demo.html").read_text()
    assert (
        "no marginal" in page and "Plotly" in page and "The last row has" in page and "probe* looks healthy" not in page
    )
    said = capsys.readouterr().out
    assert "raw pixels" in said and "next: your own images" in said
    assert all(row["linear"] > 80 for row in rows.values())


def test_a_second_demo_takes_the_next_free_name(tmp_path):
    for expected in ("demo", "demo-2", "demo-3"):
        assert demo._free(tmp_path / "demo") == tmp_path / expected


def test_the_sentence_on_the_collapse_follows_the_numbers():
    rest = {"linear": 97.0, "knn": 97.0, "few": 90.0}
    gone = {"std": 0.05, "effective_rank": 3.0}
    for last, said in (
        (
            {"linear": 98.0, "knn": 97.0, "few": 91.0},
            "is not the worst by the linear probe or by kNN or with five labels",
        ),
        (
            {"linear": 90.0, "knn": 91.0, "few": 70.0},
            "is the worst by the linear probe and by kNN and with five labels a class",
        ),
        (
            {"linear": 97.02, "knn": 91.0, "few": 70.0},
            "is the worst by kNN and with five labels a class, but not by the",
        ),
    ):
        assert said in of_the_last({"a": rest, "b": rest, "c": last | gone})
    assert "has not collapsed" in of_the_last({"a": rest, "b": rest | {"std": 0.9, "effective_rank": 30.0}})


def test_a_collapse_is_named_in_the_table():
    healthy = {"linear": 97.0, "knn": 97.0, "few": 90.0, "few_sd": 1.0, "mi_infonce": 3.0, "ceiling_infonce": 6.9}
    rows = {"a": healthy | {"effective_rank": 30.0, "std": 0.9}, "b": healthy | {"effective_rank": 3.0, "std": 0.05}}
    a, b = demo.as_text(rows).splitlines()[1:]
    assert "collapsed" not in a and b.endswith("<- collapsed")
