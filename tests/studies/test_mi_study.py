import json

import pytest

from infomax.cli import main
from infomax.errors import ConfigError
from infomax.studies import mi


def test_a_table_and_a_file(tmp_path, capsys):
    out = tmp_path / "mi"
    asked = ["--seeds", "2", "--n", "300", "--tasks", "gaussian", "--tasks", "categories", "--methods", "gaussian"]
    assert main(["study", "mi", *asked, "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["task", "truth", "method", "mean", "sd", "covered", "limits", "seconds"]
    assert len([line for line in lines if " gaussian  " in line]) == 2
    rows = json.loads((out / "results.json").read_text())["rows"]
    assert [row["limited"] for row in rows] == [2, 2]
    assert rows[0]["two_sided"] == 2 and len(rows[0]["values"]) == 2
    assert main(["study", "mi", *asked, "--out", str(out)]) == 2
    assert "nothing is overwritten" in capsys.readouterr().err


def test_false_alarms_are_counted(monkeypatch):
    monkeypatch.setattr(mi, "NULLS", (("gaussian", 1, 100), ("cauchy", 2, 100)))
    found = mi.false_alarms(2)
    assert found["nulls"] == 2 and found["alarms"] == len(found["which"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"names": ["gausian"]}, "did you mean 'gaussian'"),
        ({"methods": ["otto"]}, "did you mean 'auto'"),
        ({"seeds": 0}, "0"),
    ],
)
def test_what_is_not_known_says_so(options, said):
    with pytest.raises(ConfigError, match=said):
        mi.run(progress=False, **options)
