import os

import pytest

from infomax.errors import ConfigError
from infomax.sweep import Folder, read
from infomax.sweep.runners import Work, runner, slurm
from infomax.sweep.runners.slurm import Job

submitit = pytest.importorskip("submitit", reason="submitit is not installed: infomax[slurm]")

ASKED = {"method": "jmi", "data": "gaussians", "projector": "8", "batch_size": 500, "epochs": 1}


@pytest.fixture
def sbatch(tmp_path, monkeypatch):
    """Stands for SLURM, which queues arrays up to a MaxArraySize; gives those that it was asked for."""
    asked = tmp_path / "asked"
    script = f"""#!/bin/sh
array=$(sed -n 's/.*--array=//p' "$1")
echo "$array" >> {asked}
last=${{array#0-}}; last=${{last%%%*}}
if [ "$last" -ge "$MAX_ARRAY_SIZE" ]; then echo "sbatch: error: Invalid job array specification" >&2; exit 1; fi
echo "Submitted batch job $(wc -l < {asked})"
"""
    (tmp_path / "bin").mkdir()
    for name, text in {
        "sbatch": script,
        "srun": "#!/bin/sh\n",
        "scancel": f'#!/bin/sh\necho "$@" >> {asked}\n',
    }.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("MAX_ARRAY_SIZE", "10")
    return lambda: asked.read_text().split("\n")[:-1]


def cells(count):
    return [f"cell{k}" for k in range(count)]


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # submitit leaves its processes to end by themselves
def test_jobs_are_cells(tmp_path):
    grid = read({**ASKED, "grid": {"temperature": [0.2, 1e-300]}})
    folder = Folder(tmp_path)
    folder.begin(grid.cells(), grid.evaluate)
    made = runner("submitit", Work(tmp_path, address="debug"))
    made.submit([cell.name for cell in grid.cells()])
    ended = []
    while len(ended) < 2:
        ended += made.wait(0.1)
    assert sorted(ended) == sorted(cell.name for cell in grid.cells())
    assert [row.state for row in folder.rows()] == ["finished", "failed"]


def test_cells_beyond_an_array_are_more_arrays(tmp_path, sbatch, monkeypatch):
    monkeypatch.setenv("MAX_ARRAY_SIZE", "1001")  # as it is by default
    made = runner("submitit", Work(tmp_path / "out"))
    made.submit(cells(1010))
    assert sbatch() == ["0-999%256", "0-9%10"] and list(made._jobs) == cells(1010)


def test_of_so_many_at_once_one_array_is_queued(tmp_path, sbatch, monkeypatch):
    monkeypatch.setattr(slurm, "ARRAY", 10)
    monkeypatch.setattr(submitit.SlurmJob, "done", lambda *_: True)
    monkeypatch.setattr(submitit.SlurmJob, "exception", lambda _: None)
    made = runner("submitit", Work(tmp_path / "out", workers=2))
    made.submit(cells(25))
    for queued, ended in enumerate((10, 10, 5), 1):
        assert sbatch() == ["0-9%2", "0-9%2", "0-4%2"][:queued] and len(made._jobs) == ended
        assert made.wait(0.0) == cells(25)[10 * queued - 10 :][:ended]
    made.submit(["one"])
    made.submit(["two"])  # as a sampler asks, which has room for no more than `workers`
    assert list(made._jobs) == ["one", "two"]


def test_what_slurm_refuses_is_said_in_its_words_and_leaves_nothing_queued(tmp_path, sbatch, monkeypatch, capfd):
    monkeypatch.setattr(slurm, "ARRAY", 11)
    made = runner("submitit", Work(tmp_path / "out"))
    made.submit(cells(3))
    with pytest.raises(ConfigError, match="SLURM refused 11 cells: sbatch: error: Invalid job array specification"):
        made.submit(cells(14)[3:])
    assert sbatch()[2:] == ["1_0", "1_1", "1_2"] and not made._jobs and not made._left


@pytest.mark.parametrize(("asked", "times"), [({}, 3), ({"retries": 10}, 10), ({"retries": 1, "slurm": 20}, 20)])
def test_how_often_a_cell_may_run_out_of_time(tmp_path, sbatch, asked, times):
    given = {"slurm": (("slurm_max_num_timeout", asked["slurm"]),)} if "slurm" in asked else {}
    made = runner("submitit", Work(tmp_path / "out", **asked | given))
    made.submit(["cell"])
    (pickled,) = (tmp_path / "out" / "slurm").glob("*_submitted.pkl")
    assert submitit.core.utils.DelayedSubmission.load(pickled)._timeout_countdown == times


def test_a_job_that_must_go_is_queued_again():
    job = Job("sweep", "cell", 1, False)
    again = job.checkpoint()
    assert isinstance(again, submitit.helpers.DelayedSubmission) and again.function is job


@pytest.mark.parametrize(
    ("work", "said"),
    [
        ({"gpus": 0.5}, "whole GPUs"),
        ({"slurm": (("slurm_partitoin", "gpu"),)}, "slurm_partitoin"),
        ({}, "slurm"),
        ({"slurm": (("slurm_max_num_timeout", -1),)}, "slurm_max_num_timeout=-1"),
        ({"slurm": (("slurm_max_num_timeout", "ten"),)}, "slurm_max_num_timeout='ten'"),
    ],
)
def test_what_cannot_be_is_said(tmp_path, work, said):
    address = {} if not work else {"address": "debug"}
    with pytest.raises(ConfigError, match=said):
        runner("submitit", Work(tmp_path, **work, **address))
