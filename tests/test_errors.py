"""Where a warning stands: at the line of the user's own that led to it, whatever lies between."""

import contextlib
import inspect
import math
import re
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import infomax as im
from infomax import errors
from infomax.files import write_bytes

ROOT = Path(errors.__file__).parent


def as_in_the_package(name: str, function: str):
    """A function as if a module of that name had it."""
    space = {"__name__": name, "contextlib": contextlib, "torch": torch, "warn": errors.warn}
    exec(function, space)
    return space["begin"]


@pytest.mark.parametrize(
    "begin",
    [
        "def begin(): warn('said')",
        "@torch.no_grad()\ndef begin(): warn('said')",
        "@contextlib.contextmanager\ndef held():\n    warn('said')\n    yield\ndef begin():\n    with held(): pass",
    ],
)
def test_a_warning_stands_at_the_users_line_through_torch_and_the_standard_library(begin):
    begin = as_in_the_package("infomax.training.loop", begin)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        begin()
        line = inspect.currentframe().f_lineno - 1
    assert [(one.filename, one.lineno, one.category) for one in said] == [(__file__, line, UserWarning)]


def test_a_warning_of_a_thread_shows_no_line_of_ours():
    begin = as_in_the_package("infomax.data.encoded", "def begin(): warn('said')")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        thread = threading.Thread(target=begin)
        thread.start()
        thread.join()
    assert len(said) == 1 and "sys" in said[0].filename


def test_a_folder_is_warned_of_at_the_users_line(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "b.heic").write_bytes(b"x")
    with pytest.warns(UserWarning, match="heic") as said:
        im.data.load(tmp_path)
    assert [one.filename for one in said] == [__file__]


def test_what_others_call_an_option_is_known():
    train = inspect.signature(im.train).parameters
    methods = {name for one in im.methods.METHODS for name in im.methods.options(one)}
    ours = {*train, *methods, "encoder", "init", "method", "tau"}
    assert errors.SYNONYMS.keys() <= ours
    for name, words in errors.SYNONYMS.items():
        assert all(errors.meant(word.upper(), [name]) == name for word in words)
        assert not set(words) & (ours - {"tau", "temperature"}), name
    with pytest.raises(im.ConfigError, match="'train' has no option 'learning_rate': did you mean 'lr'"):
        im.train(None, "digits", learning_rate=0.1)


def test_a_method_that_is_not_there_names_the_nearest():
    with pytest.raises(AttributeError, match=r"'infomax.methods' has no attribute 'vicregg': did you mean 'vicreg'\?"):
        im.methods.vicregg  # noqa: B018
    assert not hasattr(im.methods, "__wrapped__")


def test_every_warning_goes_by_it():
    files = [file for file in ROOT.rglob("*.py") if file.name != "errors.py"]
    assert [file.name for file in files if re.search(r"warnings\.warn\(", file.read_text(encoding="utf-8"))] == []


def test_commands_are_typed_as_this_one_was(monkeypatch):
    for script, typed in (("mine.py", "python mine.py"), ("my dir/mine.py", "python 'my dir/mine.py'")):
        errors.begun_as(script)
        assert errors.command("probe runs/a") == f"{typed} probe runs/a"
        monkeypatch.setenv("UV_RUN_RECURSION_DEPTH", "1")
        assert errors.command("probe runs/a") == f"uv run {typed} probe runs/a"
        monkeypatch.delenv("UV_RUN_RECURSION_DEPTH")
    for script in ("/venv/bin/infomax", "/src/infomax/__main__.py", "C:\\bin\\infomax-script.py"):
        errors.begun_as(script)
        assert errors.command("probe runs/a") == "infomax probe runs/a"


@pytest.mark.parametrize(
    "value",
    [True, np.True_, torch.tensor(True), "0.1", b"0.1", np.array(0.1), None, [0.1], math.nan, math.inf, -0.1, 10**400,
     torch.ones(2), torch.nn.Parameter(torch.ones(2, device="meta"))],
)  # fmt: skip
def test_a_number_is_one_that_can_be_reckoned_with(value):
    with pytest.raises(im.ConfigError, match=r"^a width must be .*, not .{1,60}$"):
        errors.check_number("a width", value)


@pytest.mark.parametrize(
    "value", [0, 1, 0.5, np.float32(0.5), np.int64(2), torch.tensor(0.5), torch.nn.Parameter(torch.tensor(0.5))]
)
def test_numbers_of_numpys_and_tensors_of_one_are_numbers(value):
    errors.check_number("a width", value)


def test_a_file_has_one_writer_at_a_time_or_all_of_them_whole(tmp_path):
    """Threads of one process have its number in common, as the first processes of two containers have."""
    path, whole = tmp_path / "one", {bytes([k]) * 3_000_000 for k in range(4)}

    def write(data: bytes) -> None:
        for _ in range(5):
            write_bytes(path, data)
            assert path.read_bytes() in whole

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, whole))
    assert [file.name for file in tmp_path.iterdir()] == ["one"]
