"""What was found out about files by going through all of them, kept so that it is found out once.

The index lies in `index/` under the data root (INFOMAX_DATA, else `~/.cache/infomax`), never among the user's files. Its name
is a hash of every file's name, length and times of change: a set that changed is gone through again.
"""

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from infomax.errors import warn
from infomax.files import written_whole

Arrays = dict[str, np.ndarray]

FORMAT = 3
"""Of what is kept, and of how it is found out: an index of another is not read."""


def default_root() -> Path:
    """The folder of data sets if no root is given: the environment variable INFOMAX_DATA, else `~/.cache/infomax`."""
    return Path(os.environ.get("INFOMAX_DATA") or Path.home() / ".cache" / "infomax")


def identity(file: str | Path) -> tuple[str, tuple[int, int, int] | None]:
    """Name of a local file, and its length and times of change; None: it is not there, or not to be asked."""
    try:
        told = os.stat(file)
    except OSError:
        return str(file), None
    # what sets the one time back (cp -p, rsync, tar) cannot set the other
    return str(file), (told.st_size, told.st_mtime_ns, told.st_ctime_ns)


def place(kind: str, identities: Iterable[Any]) -> Path:
    """Where the index of some files lies."""
    digest = hashlib.sha256(f"{kind} {FORMAT}".encode())
    for one in identities:
        digest.update(json.dumps(one).encode())
    return default_root() / "index" / f"{kind}-{digest.hexdigest()[:32]}.npz"


def read(path: Path) -> Arrays | None:
    """An index that was written before, if it was and is whole."""
    if not path.is_file():
        return None
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None  # cut or foreign: it is made again


def write(path: Path, arrays: Arrays) -> None:
    """Keep an index, whole or not at all; a place that cannot be written costs only that it is made again."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
    except OSError as error:
        warn(
            f"the index of the data cannot be kept in {path.parent} ({error.strerror}) and will be made anew each time: "
            "set INFOMAX_DATA to a folder that can be written"
        )


def cached(kind: str, identities: Iterable[Any], make: Callable[[], Arrays]) -> Arrays:
    """The index of some files, made where there is none yet.

    Args:
        kind: what the index is of.
        identities: of everything that it depends on; JSON.
        make: goes through the files.
    """
    path = place(kind, identities)
    found = read(path)
    if found is None:
        found = make()
        write(path, found)
    return found
