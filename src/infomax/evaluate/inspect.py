"""What can be seen in features that a file holds already: `infomax inspect`, and the last lines of `infomax embed`."""

import json
import math
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from infomax.data.arrays import read_arrays
from infomax.errors import ConfigError, DataError, warn
from infomax.evaluate.embed import KINDS
from infomax.evaluate.neighbours import duplicates, outliers
from infomax.extras import getting
from infomax.words import many

SHOWN = 20
"""Near-duplicates that are printed where nobody asked for another number, the closest."""


def read_features(path: str | Path) -> tuple[Tensor, list[str]]:
    """Features and names of a file that `infomax embed` wrote; rows without names are told by their numbers.

    Args:
        path: an `.npz` with `features`, N x D, or a `.parquet` with a column `feature`.

    Raises:
        DataError: a file that is not there, cannot be read, or holds no finite features. ConfigError: one of another kind.
    """
    path = Path(path)
    if path.suffix not in KINDS:
        raise ConfigError(f"{path}: give features as infomax embed writes them, {' or '.join(KINDS)}")
    if not path.is_file():
        raise DataError(f"no file {path}: make one by infomax embed RUN DATA --out {path}")
    z, names = _of_arrays(path) if path.suffix == ".npz" else _of_parquet(path)
    if z.ndim != 2 or z.dtype.kind not in "fiu" or not z.size or not np.isfinite(z).all():
        raise DataError(f"{path}: features of shape {z.shape}, type {z.dtype}: need N x D finite numbers")
    if names is not None and len(names) != len(z):
        raise DataError(f"{path}: {len(z)} rows of features but {len(names)} names")
    return torch.from_numpy(z.astype(np.float32)), names or [str(row) for row in range(len(z))]


def _words(names: Iterable[Any]) -> list[str]:
    return [name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name) for name in names]


def _of_arrays(path: Path) -> tuple[Any, list[str] | None]:
    arrays = read_arrays(path)
    if "features" not in arrays:
        raise DataError(f"{path}: no array named features (seen: {', '.join(sorted(arrays)) or 'none'})")
    return arrays["features"], _words(np.atleast_1d(arrays["names"])) if "names" in arrays else None


def _of_parquet(path: Path) -> tuple[Any, list[str] | None]:
    try:
        from pyarrow import parquet
    except ImportError:
        raise ConfigError(f"{path}: a .parquet file takes pyarrow: {getting('streams')}") from None
    try:
        seen = parquet.read_schema(path).names
        table = parquet.read_table(path, columns=[c for c in ("name", "feature") if c in seen])
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a readable parquet file ({' '.join(str(error).split())})") from error
    if "feature" not in seen:
        raise DataError(f"{path}: no column named feature (seen: {', '.join(seen) or 'none'})")
    names = _words(table["name"].to_pylist()) if "name" in seen else None
    try:
        rows = [
            np.asarray(row.values) for chunk in table["feature"].chunks for row in chunk
        ]  # without a copy, as lists are
        return np.array(rows, dtype=np.float32), names
    except (AttributeError, TypeError, ValueError):
        raise DataError(f"{path}: the column feature holds no lists of numbers of one length") from None


def check(lonely: int | None, twins: float | None, most: int | None) -> None:
    """Refuse numbers that cannot be, before anything is encoded or read."""
    if lonely is not None and lonely < 1:
        raise ConfigError(f"--outliers {lonely}: give how many, at least 1")
    if twins is not None and not 0 < twins <= 1:
        raise ConfigError(f"--duplicates {twins}: give a cosine similarity in (0, 1]")
    if most is not None and most < 1:
        raise ConfigError(f"--pairs {most}: give how many, at least 1")
    if most is not None and twins is None:
        raise ConfigError(f"--pairs {most}: say from which cosine on as well, such as --duplicates 0.99")


def say(z: Tensor, names: list[str], lonely: int | None, twins: float | None, most: int | None) -> None:
    """Print the samples that stand alone, and those that come twice, quoted as a shell takes them: a name may hold blanks."""
    if len(z) == 1 and (lonely is not None or twins is not None):
        print("one sample has no neighbours: nothing to compare it with")
        return
    _warn_of_zeros(z)
    if lonely is not None:
        print(f"farthest from neighbour {min(10, len(z) - 1)}, counted from the nearest (cosine, sample):")
        for row, near in outliers(z, lonely):
            print(f"  {near:.3f}  {shlex.quote(names[row])}")
    if twins is not None:
        shown = most or SHOWN
        pairs = duplicates(z, twins, most=shown)
        few = f", the {shown:,} closest" if pairs.total > shown else ""
        print(
            f"{pairs.total:,} {'pair' if pairs.total == 1 else 'pairs'} of cosine {twins:g} or more"
            + (f"{few} (cosine, samples):" if pairs else "")
        )
        for i, j, near in pairs:
            print(f"  {_floored(near):.4f}  {shlex.quote(names[i])}  {shlex.quote(names[j])}")
        if pairs.total > shown:
            print(
                f"  and {pairs.total - shown:,} more: --pairs {pairs.total} prints all, a higher --duplicates leaves fewer"
            )


def _warn_of_zeros(z: Tensor) -> None:
    if zeros := int((z == 0).all(1).sum()):
        are = "row is" if zeros == 1 else "rows are"
        warn(
            f"{zeros:,} of {many(len(z), 'row')}: {are} all zero, of no direction and so like no other, not even among each "
            "other: look whether the encoder is dead"
        )


def _floored(cosine: float) -> float:
    """Down to four digits, as a threshold that finds the pair; half of what `duplicates` forgives is rounding.

    Example:
        >>> _floored(0.99988), _floored(0.9999999)
        (0.9998, 1.0)
    """
    return math.floor(1e4 * (cosine + 5e-7)) / 1e4


def as_json(z: Tensor, names: list[str], lonely: int | None, twins: float | None, most: int | None) -> dict[str, Any]:
    """What `say` prints, as an object: of each part that is asked for its samples with their cosines, none of them rounded."""
    _warn_of_zeros(z)
    told: dict[str, Any] = {"rows": z.shape[0], "width": z.shape[1]}
    if lonely is not None:
        found = outliers(z, lonely) if len(z) > 1 else []
        told["outliers"] = [{"sample": names[row], "cosine": near} for row, near in found]
    if twins is not None:
        pairs = duplicates(z, twins, most=most or SHOWN)
        listed = [{"samples": [names[i], names[j]], "cosine": near} for i, j, near in pairs]
        told["duplicates"] = {"threshold": twins, "total": pairs.total, "pairs": listed}
    return told


def inspected(
    path: str, lonely: int | None, twins: float | None, most: int | None = None, *, json_alone: bool = False
) -> None:
    """`infomax inspect FILE`."""
    check(lonely, twins, most)
    z, names = read_features(path)
    asked = (10, 0.99) if lonely is None and twins is None else (lonely, twins)
    if json_alone:
        print(json.dumps({"file": path} | as_json(z, names, *asked, most), indent=2))
        return
    print(f"{path}: {many(z.shape[0], 'row')} of {z.shape[1]}")
    say(z, names, *asked, most)
