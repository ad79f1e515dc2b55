"""Files that are written whole or not at all, whatever kills the process or fills the disk."""

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from infomax.errors import DataError, reason


@contextmanager
def written_whole(path: Path, *, durable: bool = False) -> Iterator[BinaryIO]:
    """A file to write to, which takes its name when all is written; till then, and after a failure, what stood there does.

    Args:
        path: where.
        durable: on the disk before this ends, so that it also outlives a loss of power.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "one.txt"
        >>> with written_whole(path) as file:
        ...     _ = file.write(b"all of it")
        >>> path.read_bytes()
        b'all of it'
    """
    # a number of a process is another's in another container, and its threads'
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
        if durable:
            _settle(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):  # of a file system that can only be read even this
            temporary.unlink(missing_ok=True)
        raise


def write_bytes(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Write a file whole or not at all.

    Args:
        path: where.
        data: its content.
        durable: see `written_whole`.

    Raises:
        DataError: where it cannot be written; what stood there before still does.
    """
    try:
        with written_whole(path, durable=durable) as file:
            file.write(data)
    except OSError as error:
        raise unwritable(path, data, error) from error


def write_text(path: Path, text: str, *, durable: bool = False) -> None:
    """Write a text file whole or not at all; see `write_bytes`."""
    write_bytes(path, text.encode(), durable=durable)


def unwritable(path: Path, data: bytes, error: OSError) -> DataError:
    """What is said where a file cannot be written."""
    return DataError(
        f"cannot write {path} ({len(data) / 1e6:.1f} MB): {reason(error)}. What was written before is intact"
    )


def _settle(folder: Path) -> None:
    """A new name outlives a loss of power once its folder is on the disk; some systems cannot be asked for that."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        except OSError as error:  # the file is there by now
            if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP):
                raise
        finally:
            os.close(handle)
