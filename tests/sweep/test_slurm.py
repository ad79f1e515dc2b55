import pytest

from infomax.errors import ConfigError
from infomax.sweep import Folder, read
from infomax.sweep.runners import Work, runner
from infomax.sweep.runners.slurm import Job

submitit = pytest.importorskip("submitit", reason="submitit is not installed: infomax[slurm]")

ASKED = {"method": "jmi", "data": "gaussians", "projector": "8", "batch_size": 500, "epochs": 1}


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # submitit leaves its processes to end by themselves
def test_jobs_are_cells(tmp_path):
    grid = read({**ASKED, "grid": {"temperature": [0.2, -1]}})
    folder = Folder(tmp_path)
    folder.begin(grid.cells(), grid.evaluate)
    made = runner("submitit", Work(tmp_path, address="debug"))
    made.submit([cell.name for cell in grid.cells()])
    ended = []
    while len(ended) < 2:
        ended += made.wait(0.1)
    assert sorted(ended) == sorted(cell.name for cell in grid.cells())
    assert [row.state for row in folder.rows()] == ["finished", "failed"]


def test_a_job_that_must_go_is_queued_again():
    job = Job("sweep", "cell", 1, False)
    again = job.checkpoint()
    assert isinstance(again, submitit.helpers.DelayedSubmission) and again.function is job


@pytest.mark.parametrize(
    ("work", "said"),
    [({"gpus": 0.5}, "whole GPUs"), ({"slurm": (("slurm_partitoin", "gpu"),)}, "slurm_partitoin"), ({}, "slurm")],
)
def test_what_cannot_be_is_said(tmp_path, work, said):
    address = {} if not work else {"address": "debug"}
    with pytest.raises(ConfigError, match=said):
        runner("submitit", Work(tmp_path, **work, **address))
