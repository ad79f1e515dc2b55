"""Two nodes, on one machine: two torchrun agents that find each other by an address compute what one process does."""

import os
import socket
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

TRAIN = [
    *("train", "--method", "byol", "--data", "digits", "--projector", "16-8", "--predictor", "16", "--epochs", "2"),
    *("--batch-size", "360", "--device", "cpu", "--precision", "64-true"),
]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


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
