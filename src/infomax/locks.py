"""One process at a time: a lock file that the system lets go of when its holder dies, however that ends."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from infomax.errors import warn

NONE = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP})
"""What file systems say that know no locks, some network ones for instance."""


def taken(path: Path) -> bool:
    """Whether another one holds a lock now; False where that cannot be told.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     lock = Path(folder) / "lock"
        ...     with held(lock):
        ...         meanwhile = taken(lock)
        ...     meanwhile, taken(lock)
        (True, False)
    """
    if not path.is_file():
        return False
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:  # of a file system without locks
        return False
    lock.release()
    return False


def left(path: Path) -> bool:
    """Whether a lock's file is there and nobody holds it, as one is that was killed; False where that cannot be told.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     lock = Path(folder) / "lock"
        ...     before = left(lock)
        ...     with held(lock):
        ...         meanwhile = left(lock)
        ...     before, meanwhile, left(lock)
        (False, False, True)
    """
    if not path.is_file():
        return False
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except OSError:  # held by another one, or of a file system without locks
        return False
    lock.release()
    return path.is_file()


@contextmanager
def held(path: Path, wait: float = 0.0) -> Iterator[None]:
    """Hold a lock meanwhile.

    Args:
        path: the lock's file; it stays.
        wait: seconds for another holder; below 0: for ever.

    Warns:
        UserWarning: where the file system has no locks, so that nobody sees to it.

    Raises:
        Timeout: another one holds it. OSError: its file cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, held(Path(folder) / "lock"):
        ...     pass
    """
    lock = FileLock(path)
    try:
        lock.acquire(timeout=wait)
    except Timeout:  # an OSError, too
        raise
    except OSError as error:
        if error.errno not in NONE:
            raise
        warn(
            f"{path.parent}: its file system has no locks ({error.strerror}): see to it yourself that no other process works "
            "in it"
        )
    try:
        yield
    finally:
        lock.release()
