from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from infomax.sweep import Folder


@pytest.fixture
def same_results():
    """Whether two sweeps have the same cells, with the same weights, bit for bit, and the same metrics."""

    def same(one: Path, other: Path, failed: int = 0) -> bool:
        a, b = Folder(one), Folder(other)
        states = {row.name: row.state for row in a.rows()}
        assert states == {row.name: row.state for row in b.rows()}
        assert sorted(states.values()) == ["failed"] * failed + ["finished"] * (len(states) - failed)
        names = [name for name, state in states.items() if state == "finished"]
        for name in names:
            x, y = (load_file(folder.cell(name) / "learner.safetensors") for folder in (a, b))
            assert x.keys() == y.keys() and all(torch.equal(x[k], y[k]) for k in x), name
            assert a.result(name)["metrics"] == b.result(name)["metrics"], name
        return True

    return same
