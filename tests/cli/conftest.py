import pytest
from tests.cli.command import SMALL

from infomax.cli import main


@pytest.fixture(scope="package")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", *SMALL, "--epochs", "1", "--out", str(out)]) == 0
    return out
