"""The log: lines are added, and what stands there is only written anew where it must be."""

import csv
import errno
import json

import pytest

from infomax.errors import DataError
from infomax.training import log
from infomax.training.folder import read_log
from infomax.training.log import Log


def rows(n, **more):
    return [{"epoch": i + 1, "loss": 0.1 * i} | more for i in range(n)]


def holds(folder, history):
    table = list(csv.DictReader((folder / "log.csv").read_text().splitlines()))
    columns = dict.fromkeys(key for row in history for key in row)
    return read_log(folder) == history and table == [{k: str(row.get(k, "")) for k in columns} for row in history]


@pytest.fixture
def whole(monkeypatch):
    """Names of the files that are written whole."""
    names, write = [], log.write_bytes
    monkeypatch.setattr(log, "write_bytes", lambda path, *a, **k: (names.append(path.name), write(path, *a, **k)))
    return names


def test_a_line_is_added_and_nothing_is_written_anew(tmp_path, whole):
    kept, history = Log(), []
    for row in rows(20):
        history.append(row)
        kept.write(tmp_path, history)
        assert holds(tmp_path, history)
    kept.write(tmp_path, history)  # with nothing new
    assert holds(tmp_path, history) and whole == ["log.csv", "log.jsonl"]


def test_all_is_written_anew_where_the_columns_change_or_the_files_are_not_its_own(tmp_path, whole):
    kept, history = Log(), rows(3)
    kept.write(tmp_path, history)
    for change in (
        lambda: history.append({"epoch": 4, "loss": 0.0, "probe": 61.5}),
        lambda: (tmp_path / "log.csv").unlink(),
        lambda: (tmp_path / "log.jsonl").write_text("{}\n"),
        lambda: history[-1].update(loss=9.0),
        lambda: history.pop(),
        lambda: history.__setitem__(slice(None), rows(5)),
    ):
        change()
        whole.clear()
        kept.write(tmp_path, history)
        assert holds(tmp_path, history) and whole == ["log.csv", "log.jsonl"]
    Log().write(tmp_path, rows(2))  # of a life that goes on from an earlier checkpoint
    assert holds(tmp_path, rows(2))


def test_a_line_that_was_cut_is_no_row_and_is_mended_by_the_next(tmp_path, monkeypatch):
    kept, history = Log(), rows(3)
    kept.write(tmp_path, history)
    append = log._append

    def full(path, data, *, durable):
        append(path, data[: len(data) // 2], durable=durable)
        if path.name == "log.jsonl":
            raise OSError(errno.ENOSPC, "No space left on device")

    history += rows(4)[3:]
    monkeypatch.setattr(log, "_append", full)
    with pytest.raises(OSError, match="No space"):
        kept.write(tmp_path, history)
    assert read_log(tmp_path) == rows(3)
    monkeypatch.undo()
    kept.write(tmp_path, history)
    assert holds(tmp_path, history)
    whole = (tmp_path / "log.jsonl").read_bytes()
    (tmp_path / "log.jsonl").write_bytes(whole + b"\xff\xfe")
    assert read_log(tmp_path) == history
    (tmp_path / "log.jsonl").write_bytes(b'{"epoch": 1, "lo\x0b\n' + whole)  # no end of a line, though Python's
    with pytest.raises(DataError, match="line 1 is damaged"):
        read_log(tmp_path)
    (tmp_path / "log.jsonl").write_bytes(whole)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"epoch": 5\n')
    with pytest.raises(DataError, match="line 5 is damaged"):
        read_log(tmp_path)


@pytest.mark.skipif(not log.Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_named(tmp_path):
    Log().write(tmp_path, rows(1))
    with pytest.raises(DataError, match=r"cannot write /dev/full .*the disk is full"):
        log._append(log.Path("/dev/full"), json.dumps({}).encode(), durable=False)
