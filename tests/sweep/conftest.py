from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from infomax.sweep import Folder


@pytest.fixture
def same_results():
    """Whether two sweeps have the same cells, with the same weights, bit for bit, and the same metrics."""

    def same(one: Path, other: Path) -> bool:
        a, b = Folder(one), Folder(other)
        names = {row.name for row in a.rows()}
        assert names == {row.name for row in b.rows()}
        assert {row.state for row in (*a.rows(), *b.rows())} == {"finished"}
        for name in names:
            x, y = (load_file(folder.cell(name) / "learner.safetensors") for folder in (a, b))
            assert x.keys() == y.keys() and all(torch.equal(x[k], y[k]) for k in x), name
            assert a.result(name)["metrics"] == b.result(name)["metrics"], name
        return True

    return same
