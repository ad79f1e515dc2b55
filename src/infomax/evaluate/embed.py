"""Features of a data set, as a file."""

import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from infomax.errors import ConfigError, warn
from infomax.evaluate.features import features, fits
from infomax.evaluate.splits import whole_rows
from infomax.extras import getting, installed
from infomax.files import unwritable, write_bytes
from infomax.training.defaults import dataset, read_like

if TYPE_CHECKING:
    from infomax.training.run import Run

KINDS = (".npz", ".parquet")


def embed(
    run: "Run",
    data: Any,
    out: str | Path | None = None,
    *,
    root: str | None = None,
    split: str = "train",
    head: bool = False,
    size: int | None = None,
    progress: bool = True,
) -> tuple[Tensor, list[str]]:
    """Compute the features of every sample of a data set, and write them to a new file if one is named.

    Samples of shards that cannot be decoded are left out; a warning counts and names them. Another warning says if the
    run is not finished.

    Args:
        run: a run with its learner.
        data: a data set, name or path.
        out: a new `.npz` file (`features` N x D float32, `names` of the samples, `labels` if there are any, `classes`),
            or a `.parquet` file (one row per sample: `name`, `label`, `feature`), which needs pyarrow; None: no file.
        root: folder of the named data sets.
        split: `train` or `test`.
        head: compute the embedding behind the projector instead of the encoder's features.
        size: side in pixels at which whole images are shown to the encoder; None: as in `evaluate`.
        progress: show a progress bar.

    Returns:
        N x D, and the names of the samples: files relative to the folder, shard and member of each, or row numbers.

    Raises:
        ConfigError: a file that exists or has another ending, or a `.parquet` file without pyarrow.
        DataError: data that the encoder cannot take.
    """
    path = None if out is None else new_file(out)
    if run.unfinished:
        warn(run.unfinished)
    asked = run.config
    samples = dataset(data, root or asked["data"].get("root"), split, how=read_like(asked["data"], size))
    size = fits(run, samples, size)
    branch = run.learner.f if head else run.learner.encoder
    statistics = (asked["data"]["mean"], asked["data"]["std"])
    z = features(branch, samples, size, statistics=statistics, progress=progress)
    rows = whole_rows(samples, torch.arange(len(samples)))
    z, names = z[rows], samples.names(rows.tolist()) or [str(row) for row in rows.tolist()]
    if told := samples.undecoded("left out"):
        warn(told)
    if path is None:
        return z, names
    path.parent.mkdir(parents=True, exist_ok=True)
    table: dict[str, Any] = {"features": z.numpy(), "names": np.array(names)}
    if samples.labels is not None:
        table["labels"] = samples.labels[rows].numpy()
    if samples.classes:
        table["classes"] = np.array(samples.classes)
    write_bytes(path, npz(table) if path.suffix == ".npz" else _parquet(table))
    return z, names


def new_file(out: str | Path) -> Path:
    """Check the file that features are to be written to, without touching it; called before the data are read.

    Raises:
        ConfigError: a file that exists or has another ending, or a `.parquet` file without pyarrow.
        DataError: a place where nothing can be written.
    """
    path = Path(out)
    if path.suffix not in KINDS:
        raise ConfigError(f"{path}: features are written as {' or '.join(KINDS)}: name such a file")
    if path.exists():
        raise ConfigError(f"{path} exists: nothing is overwritten; name another file")
    if path.suffix == ".parquet":
        _arrow(path)
    try:
        with tempfile.TemporaryFile(dir=next(folder for folder in path.absolute().parents if folder.exists())):
            return path
    except OSError as error:
        raise unwritable(path, b"", error) from error


def _arrow(path: Path) -> None:
    """Refuse a .parquet file where there is no pyarrow to write it."""
    if not installed("pyarrow"):
        raise ConfigError(f"{path}: a .parquet file takes pyarrow: {getting('streams')}; or name an .npz file")


def npz(table: dict[str, Any]) -> bytes:
    """The bytes of an .npz file."""
    buffer = io.BytesIO()
    np.savez(buffer, **table)
    return buffer.getvalue()


def _parquet(table: dict[str, Any]) -> bytes:
    import pyarrow as arrow
    from pyarrow import parquet

    rows = {"name": table["names"], "feature": list(table["features"])}
    rows |= {"label": table["labels"]} if "labels" in table else {}
    buffer = io.BytesIO()
    parquet.write_table(arrow.table(rows), buffer)
    return buffer.getvalue()
