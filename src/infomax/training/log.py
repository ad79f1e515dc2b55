"""The log of a run, a line an epoch, as JSON and as a table: a line is added, and what stands there is not written anew."""

import csv
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path

from infomax.files import unwritable, write_bytes

FILE, TABLE = "log.jsonl", "log.csv"
Row = dict[str, float]


class Log:
    """What of a run's history stands in its folder, as far as this process wrote it."""

    def __init__(self) -> None:
        self._rows = 0
        self._last: Row | None = None
        self._was: Row = {}  # a copy of it: a row may be changed in place
        self._columns: list[str] = []
        self._sizes: dict[str, int] = {}

    def write(self, folder: Path, history: Sequence[Row], *, durable: bool = False) -> None:
        """Bring the files up to date: rows that are new are added, where what stands there is what was written last.

        Args:
            folder: of the run.
            history: all rows.
            durable: on the disk before this returns.

        Raises:
            DataError: where they cannot be written. A line may be cut then, which readers leave out.
        """
        new, columns = history[self._rows :], set(self._columns)
        grows = 0 < self._rows <= len(history) and history[self._rows - 1] is self._last and self._last == self._was
        grows = grows and all(row.keys() <= columns for row in new) and self._stands(folder)
        if not grows:
            new, self._columns = history, list(dict.fromkeys(key for row in history for key in row))
        lines = "".join(json.dumps(row) + "\n" for row in new).encode()
        self._rows = 0  # until all of it is there: what fails half-way is written whole the next time
        # the table first: a run has ended where its lines are all there
        for name, data in ((TABLE, self._table(new, head=not grows)), (FILE, lines)):
            if grows:
                _append(folder / name, data, durable=durable)
            else:
                write_bytes(folder / name, data, durable=durable)
            self._sizes[name] = len(data) + (self._sizes[name] if grows else 0)
        self._rows, self._last = len(history), history[-1] if history else None
        self._was = dict(self._last or {})

    def _stands(self, folder: Path) -> bool:
        """Whether nobody else has touched the files."""
        return all((folder / n).is_file() and (folder / n).stat().st_size == size for n, size in self._sizes.items())

    def _table(self, rows: Sequence[Row], *, head: bool) -> bytes:
        text = io.StringIO()
        table = csv.DictWriter(text, self._columns, lineterminator="\n")
        if head:
            table.writeheader()
        table.writerows(rows)
        return text.getvalue().encode()


def _append(path: Path, data: bytes, *, durable: bool) -> None:
    """Add to a file in one call of the system, which a killed process does or does not."""
    try:
        with path.open("ab", buffering=0) as file:
            written = file.write(data)
            while written < len(data):
                written += file.write(data[written:])
            if durable:
                os.fsync(file.fileno())
    except OSError as error:
        raise unwritable(path, data, error) from error
