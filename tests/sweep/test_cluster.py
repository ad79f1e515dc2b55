import importlib.util
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from infomax.errors import ConfigError
from infomax.sweep import Folder, read
from infomax.sweep.cell import complete
from infomax.sweep.runners import Work, runner

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed: infomax[ray]"),
    pytest.mark.skipif(not Path("/proc/self").exists(), reason="which node a process is of is read off /proc"),
]

ASKED = {
    "method": "jmi",
    "data": "gaussians",
    "projector": "8",
    "batch_size": 100,
    "epochs": 30,
    "checkpoint_every": 20,
}
ASKED |= {"grid": {"temperature": [0.2, 0.5, 1e-300], "seed": [0]}}


def wait_until(true, seconds=240.0):
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)


def under_way(folder, raylet):
    """The cells that a node is in the middle of: begun by a child of its raylet, with more than their first checkpoint."""
    found = []
    for log in folder.path.glob("logs/*.txt"):
        said = re.search(r"process (\d+)", log.read_text())
        out = folder.cell(log.stem)
        if said and len(list(out.glob("checkpoints/*"))) == 2 and not (out / "result.json").exists():
            status = Path(f"/proc/{said[1]}/stat")
            if status.exists() and status.read_text().split()[3] == raylet:
                found.append(log.stem)
    return found


@pytest.fixture
def cluster():
    """Two nodes of one CPU each, in a process of their own: what Ray leaves open is not this one's."""
    script = Path(__file__).with_name("two_nodes.py")
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    address = ""
    while not address.startswith("address"):
        address = process.stdout.readline()
        assert address, "no cluster could be started"

    def kill():
        process.stdin.write("kill\n")
        process.stdin.flush()
        assert process.stdout.readline() == "killed\n"

    yield address.split()[1], address.split()[2], kill
    process.communicate(timeout=60)


def test_an_address_without_a_cluster_is_said_at_once(tmp_path):
    with pytest.raises(ConfigError, match="no Ray cluster there"):
        runner("ray", Work(tmp_path, address="127.0.0.1:1"))


def test_ray_that_does_not_start_here_is_one_line(tmp_path, monkeypatch):
    import ray

    def fails(**_):
        raise Exception("The current node timed out during startup.\nThis could happen because ...")

    monkeypatch.setattr(ray, "init", fails)
    with pytest.raises(
        ConfigError, match=r"Ray does not start on this machine \(The current node timed .*--runner local"
    ) as said:
        runner("ray", Work(tmp_path))
    assert "\n" not in str(said.value)


@pytest.mark.slow
def test_a_node_that_dies_loses_only_its_cell_which_goes_on_elsewhere(tmp_path, cluster, same_results):
    address, second, kill = cluster
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(ASKED))
    command = [sys.executable, "-m", "infomax.cli", "sweep", "grid.yaml", "--out", "ray", "--runner", "ray"]
    sweep = subprocess.Popen(
        [*command, "--address", address], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    folder = Folder(tmp_path / "ray")
    lost = []
    wait_until(lambda: lost.extend(under_way(folder, second)) or lost)
    kill()
    said, _ = sweep.communicate(timeout=240)
    assert sweep.returncode == 0 and "3 cells: 2 finished, 1 failed" in said, said
    for path in folder.path.glob("cells/*/environment.json"):
        assert len(json.loads(path.read_text()).get("continued", [])) == (path.parent.name == lost[0])

    grid = read(ASKED)
    here = Folder(tmp_path / "here")
    here.begin(grid.cells(), grid.evaluate)
    for cell in grid.cells():
        complete(here.path, cell.name)
    assert (
        {row.error for row in folder.rows()}
        == {row.error for row in here.rows()}
        == {"", "step 0: the loss of 'jmi' is nan, from finite embeddings"}
    )
    assert same_results(folder.path, here.path, failed=1)
