"""The body of `infomax mi`: two files in, one estimate out."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from infomax.errors import DataError
from infomax.mi.estimate import estimate_mi


def read(path: str | Path) -> Any:
    """Read an array from a .npy file.

    Raises:
        DataError: a file that holds no array. FileNotFoundError: no file.
    """
    try:
        array = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; give two .npy files with one row a pair") from None
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"{path}: is no .npy file: {' '.join(str(error).split())}") from None
    if not isinstance(array, np.ndarray):
        raise DataError(f"{path}: holds several arrays ({', '.join(array.files)}); save the one you mean as .npy")
    return array


def run(x: str, y: str, *, as_json: bool = False, **options: Any) -> None:
    """Estimate, and print a table or one line of JSON; options are those of `estimate_mi`."""
    found = estimate_mi(read(x), read(y), **options)
    print(json.dumps(found.as_json(), allow_nan=False) if as_json else found.as_text())
