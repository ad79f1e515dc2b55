"""One seed, two seeds: the number beside a word is said in one place."""

import re
from pathlib import Path

from tests.sweep.test_choice import made_up

import infomax
from infomax.evaluate import seeds
from infomax.report.accuracies import spread
from infomax.studies.tables.columns import Column
from infomax.sweep.page import write

SEVERAL = {  # where one never is: other words stand between, or two are the fewest
    "report/run.py": "{len(subjects)} runs on",
    "sweep/runners/slurm.py": "{ARRAY} cells",
    "sweep/ranking.py": "of {self.asked} seeds;",
    "studies/theory/ascent.py": "{runs} runs, float64",
}


def test_no_number_stands_beside_a_word_of_several():
    package = Path(infomax.__file__).parent
    for path in sorted(package.rglob("*.py")):
        text, name = path.read_text(), path.relative_to(package).as_posix()
        found = re.findall(r".*\} (?:seeds|runs|cells|epochs each)\b.*", text)
        assert all(SEVERAL.get(name, "\n") in line for line in found), (name, found)


def test_one_is_one(tmp_path):
    assert seeds.lines({"knn": {"mean": 90.0, "sd": 1.0, "n": 1}}) == ["knn       90.00 % +- 1.00 (sd of 1 run)"]
    assert spread({"sgd": {"mean": 82.5, "sd": 0.3, "n": 1}}, "sgd") == "82.5 ± 0.3 (1 seed)"
    column = Column("digits", "cpu", "resnet8", 1, 8, 1, {"jmi": [90.0]}, {}, [])
    assert (column.seeds, column.said) == ("1 seed", "1 image, resnet8 at 8 px, 1 epoch, cpu")
    path = made_up(tmp_path, [({"lr": 0.1}, {"linear": 90.0})])
    assert "1 of 1 cell has finished" in write(path).read_text()
