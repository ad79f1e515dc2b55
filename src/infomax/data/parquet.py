"""Parquet files with a column of encoded images, as Hugging Face `datasets` writes them."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from infomax.data import index
from infomax.data.encoded import AS_USUAL, IMAGE_KEYS, Scale
from infomax.data.folder import OnError
from infomax.data.labels import LABEL_KEYS, of_numbers, of_one_kind, of_words, some_missing
from infomax.data.machine import readers
from infomax.data.sets import Dataset
from infomax.data.shards import Block, Shards, as_dataset, identities, opened
from infomax.errors import DataError, warn
from infomax.extras import getting
from infomax.progress import meter

if TYPE_CHECKING:
    import pyarrow


class Parquets(Shards):
    """Parquet files, a row group a block.

    Args:
        files: the shards.
        groups: row groups of each shard.
        lengths: rows of each row group.
        column: of the images.
        scale, on_error: see `Shards`.
    """

    def __init__(
        self,
        files: Sequence[str],
        groups: Sequence[int],
        lengths: Tensor,
        column: str,
        scale: Scale = AS_USUAL,
        on_error: OnError = "skip",
    ) -> None:
        super().__init__(files, lengths, scale, on_error)
        self.column = column
        self.places = [(shard, group) for shard, count in enumerate(groups) for group in range(count)]
        self.shard_starts = [self._first[block] for block, (_, group) in enumerate(self.places) if group == 0]

    @property
    def shaped(self) -> str:
        """How images are decoded, and of which column."""
        return super().shaped + self.column

    def read(self, block: int) -> Block:
        """The image column of one row group."""
        import pyarrow as pa

        shard, group = self.places[block]
        try:
            with opened(self.files[shard]) as raw, _arrow().ParquetFile(raw) as file:
                kind = file.schema_arrow.field(self.column).type
                asked = f"{self.column}.bytes" if pa.types.is_struct(kind) else self.column
                column = file.read_row_group(group, columns=[asked]).column(self.column)
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{self.files[shard]}: row group {group} cannot be read ({error})") from error
        parts = (chunk.field("bytes") if pa.types.is_struct(kind) else chunk for chunk in column.chunks)
        return [image for part in parts for image in part.to_pylist()]

    def place(self, row: int) -> str:
        """Shard and row of a sample."""
        shard = int(np.searchsorted(self.shard_starts, row, side="right")) - 1
        return f"{self.files[shard]}, row {row - self.shard_starts[shard]}"


def read_parquets(
    files: list[str],
    train: list[str],
    name: str,
    image_key: str | None = None,
    scale: Scale = AS_USUAL,
    on_error: OnError = "skip",
) -> Dataset:
    """Read parquet files: images as bytes (or `datasets`' struct with bytes), labels where there is a column of them.

    Args:
        files: the shards of the split asked for.
        train: those of the train split, whose statistics and classes count.
        name: what was asked for.
        image_key: the column of the images; by default the first of `IMAGE_KEYS`.
        scale: at which size images are read.
        on_error: `skip` or `stop` at what cannot be decoded.

    Raises:
        DataError: no such column, naming those seen; a file that is not parquet; no pyarrow.
    """
    schema = _schema(train[0])
    column = _image_column(schema, image_key, name)
    named = [key for key in LABEL_KEYS if key in schema.names and key != column]
    label = next((key for key in named if _is_label(schema.field(key).type)), None)
    if named and label is None:
        warn(
            f"{name}: no labels: the column {named[0]!r} is of type {schema.field(named[0]).type}; labels are whole numbers or "
            "words"
        )
    found = _index(files, column, label)
    shards = Parquets(files, found["groups"].tolist(), torch.from_numpy(found["lengths"]), column, scale, on_error)
    of_train = None if train == files else read_parquets(train, train, name, image_key, scale, on_error)
    known = None if of_train is None else of_train.classes
    values = found.get("labels")
    if of_train is not None and of_train.labels is not None and values is not None:
        of_one_kind(_index(train, column, label)["labels"], values, name)
    labels, classes = _labels(values, _names(schema, label), known, name)
    return as_dataset(shards, labels, classes, name, of_train)


def _arrow() -> Any:
    """pyarrow.parquet, or one line on how to get it."""
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise DataError(f"parquet files need pyarrow: {getting('streams')}") from error
    return pyarrow.parquet


def _schema(file: str) -> "pyarrow.Schema":
    with opened(file) as raw, _parquet(raw, file) as parquet:
        return parquet.schema_arrow


def _parquet(raw: Any, file: str) -> Any:
    parquet = _arrow()
    import pyarrow as pa

    try:
        return parquet.ParquetFile(raw)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file}: not a whole parquet file ({' '.join(str(error).split())})") from error


def _image_column(schema: "pyarrow.Schema", image_key: str | None, name: str) -> str:
    import pyarrow as pa

    def fits(key: str) -> bool:
        kind = schema.field(key).type
        if pa.types.is_struct(kind):
            return "bytes" in {kind.field(i).name for i in range(kind.num_fields)}
        return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))

    wanted = [image_key] if image_key else [*IMAGE_KEYS, *(key for key in schema.names if fits(key))]
    for key in wanted:
        if key in schema.names and fits(key):
            return key
    seen = ", ".join(f"{field.name} ({field.type})" for field in schema)
    asked = f"no column {image_key!r} of encoded images" if image_key else "no column of encoded images"
    raise DataError(f"{name}: {asked} (seen: {seen}): name it behind a #, as in {name.split('#')[0]}#COLUMN")


def _is_label(kind: "pyarrow.DataType", words: bool = False) -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):  # as categories are written
        kind = kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return True
    return not words and bool(pa.types.is_integer(kind) or pa.types.is_boolean(kind))


def _index(files: list[str], column: str, label: str | None) -> index.Arrays:
    """Row groups of every shard, their rows, and the labels."""

    def look(file: str) -> tuple[list[int], np.ndarray | None]:
        with opened(file) as raw, _parquet(raw, file) as parquet:
            missing = [key for key in (column, label) if key and key not in parquet.schema_arrow.names]
            if missing:
                raise DataError(f"{file}: no column {missing[0]!r}, which {files[0]} has")
            told = parquet.metadata
            rows = [told.row_group(group).num_rows for group in range(told.num_row_groups)]
            if label is None:
                return rows, None
            values = parquet.read(columns=[label]).column(label)
            none: Any = "" if _is_label(values.type, words=True) else -1
            return rows, np.array([none if value is None else value for value in values.to_pylist()])

    def make() -> index.Arrays:
        reading = readers().map(look, files)
        parts = list(meter(reading, total=len(files), desc="index", unit="shard", delay=2, leave=False))
        found = {
            "groups": np.array([len(rows) for rows, _ in parts], np.int64),
            "lengths": np.array([n for rows, _ in parts for n in rows], np.int64),
        }
        labels = [values for _, values in parts if values is not None and len(values)]
        for file, (_, values) in zip(files, parts, strict=True):
            if values is not None and len(values):
                of_one_kind(labels[0], values, file)
        return found | ({"labels": np.concatenate(labels)} if labels else {})

    _arrow()
    found = index.cached("parquet", [column, label, *identities(files)], make)
    if found["lengths"].sum() == 0:
        raise DataError(f"{files[0]}: no rows in its {len(files)} parquet files")
    return found


def _names(schema: "pyarrow.Schema", label: str | None) -> list[str] | None:
    """The names of the labels, as `datasets` leaves them in the file."""
    told = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    names = told.get("info", {}).get("features", {}).get(label, {}).get("names")
    return None if names is None else [str(one) for one in names]


def _labels(
    values: np.ndarray | None, names: list[str] | None, known: list[str] | None, name: str
) -> tuple[Tensor | None, list[str] | None]:
    """Labels and classes; see `infomax.data.labels`."""
    if values is None:
        return None, None
    if values.dtype.kind == "U":
        return (None, None) if some_missing(values == "", name) else of_words(values, known, name)
    labels = of_numbers(values, name)
    return labels, None if labels is None else names
