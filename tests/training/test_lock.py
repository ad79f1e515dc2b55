"""File systems with no locks, or with some."""

import errno
import os
import subprocess
import sys
import warnings

import pytest

from infomax.errors import ConfigError, DataError
from infomax.training.folder import LOCK, alone

fcntl = pytest.importorskip("fcntl")


def refuses(monkeypatch, code):
    def flock(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.mark.parametrize("code", sorted({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP}))
def test_a_run_goes_on_without_a_lock_where_there_are_none(tmp_path, monkeypatch, code):
    refuses(monkeypatch, code)
    with pytest.warns(UserWarning, match="has no locks") as said, alone(tmp_path / "run"):
        (tmp_path / "run" / "config.json").touch()
    assert len(said) == 1 and [p.name for p in (tmp_path / "run").iterdir()] == ["config.json"]


def test_another_failure_of_a_lock_is_one(tmp_path, monkeypatch):
    refuses(monkeypatch, errno.EIO)
    with pytest.raises(DataError, match=r"cannot write .*run\.lock"), alone(tmp_path):
        raise AssertionError


def test_a_lock_that_outlived_its_process_on_another_machine_is_named(tmp_path, monkeypatch):
    refuses(monkeypatch, errno.ENOSYS)  # filelock then takes the file itself for the lock
    ended = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    (tmp_path / LOCK).write_text(f"{ended.stdout.strip()}\nanother-machine\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ConfigError, match=r"if none does .*remove .*run\.lock"), alone(tmp_path):
            raise AssertionError
        (tmp_path / LOCK).unlink()
        with alone(tmp_path):
            pass
