"""Two nodes, on one machine: two torchrun agents that find each other by an address compute what one process does; and who
starts the processes in a job of SLURM."""

import os
import socket
import subprocess
import sys

import lightning_fabric
import pytest
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from safetensors.torch import load_file

from infomax.errors import ConfigError
from infomax.training.devices import place

TRAIN = [
    *("train", "--method", "byol", "--data", "digits", "--projector", "16-8", "--predictor", "16", "--epochs", "2"),
    *("--batch-size", "360", "--device", "cpu", "--precision", "64-true"),
]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Asked(Exception):
    pass


@pytest.mark.parametrize(
    ("of_slurm", "ours"),
    [
        ({"SLURM_NTASKS": "4"}, True),  # of sbatch, or of salloc: one process, which starts the others
        ({"SLURM_NTASKS": "4", "SLURM_STEP_NUM_TASKS": "1"}, True),
        ({"SLURM_NTASKS": "2", "SLURM_STEP_NUM_TASKS": "2"}, False),  # of srun: the tasks are the processes
        ({}, False),
    ],
)
def test_a_job_of_slurm_whose_only_task_is_this_starts_the_others_itself(of_slurm, ours, monkeypatch):
    for name in ("SLURM_NTASKS", "SLURM_STEP_NUM_TASKS", "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in of_slurm.items():
        monkeypatch.setenv(name, value)

    def fabric(**options):
        raise Asked(options["devices"], options["plugins"])

    monkeypatch.setattr(lightning_fabric, "Fabric", fabric)
    with pytest.raises(Asked) as asked:
        place("cpu", 2)
    devices, plugins = asked.value.args
    assert devices == 2
    assert [type(plugin) for plugin in plugins or ()] == [LightningEnvironment] * ours


def test_as_many_processes_as_were_asked_for_or_none(monkeypatch):
    class Fabric:
        world_size = 1

        def __init__(self, **_):
            pass

        def launch(self):
            pass

    monkeypatch.setattr(lightning_fabric, "Fabric", Fabric)
    with pytest.raises(ConfigError, match="devices=2, but this process is one of 1: give"):
        place("cpu", 2)


@pytest.mark.slow
def test_two_nodes_equal_one_process(tmp_path):
    here = os.environ | {"OMP_NUM_THREADS": "1", "INFOMAX_DATA": str(tmp_path / "root")}
    infomax, port = ["-m", "infomax.cli", *TRAIN], str(free_port())

    def started(*words):
        return subprocess.Popen([sys.executable, *words], cwd=tmp_path, env=here, stderr=subprocess.PIPE, text=True)

    agents = [
        started(
            "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1", "--node-rank", node,
            "--master-addr", "127.0.0.1", "--master-port", port, *infomax, "--out", "two",
        )
        for node in ("0", "1")
    ]  # fmt: skip
    for process in (started(*infomax, "--out", "one"), *agents):
        _, said = process.communicate(timeout=600)
        assert process.returncode == 0, said
    one, two = (load_file(tmp_path / run / "learner.safetensors") for run in ("one", "two"))
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-9, atol=1e-9)
