"""Locks on open files that end with their process, however that ends, on every system that has such locks."""

from __future__ import annotations

import errno
import time
import warnings
from pathlib import Path
from typing import IO

from tauscope.runs.files import is_lacking

# Seconds, for which nobody holds a lock only to look.
_GLANCE = 0.002


class NoLocksError(OSError):
    """The file system, or the Python, has no locks."""


def take(file: IO[bytes]) -> bool:
    """Lock an open file until it is closed, and return whether that was possible.

    Parameters
    ----------
    file : file
        Open for writing: network disks lock no other for one process alone.

    Returns
    -------
    bool
        ``False`` where another process, or another file of this one, holds the lock.

    Raises
    ------
    NoLocksError
        Where there are no locks.
    OSError
        If the disk fails.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file, open(file.name, "r+b") as again:
    ...     take(file), take(again)
    (True, False)
    """
    with warnings.catch_warnings():
        # Of a Python without locks; whoever takes one is told below.
        warnings.simplefilter("ignore")
        from filelock import lock_descriptor

    try:
        if lock_descriptor(file.fileno(), blocking=False):
            return True
        # A process that only looks, as `is_taken` does, holds it for a moment.
        time.sleep(_GLANCE)
        return lock_descriptor(file.fileno(), blocking=False)
    except OSError as error:
        if is_lacking(error):
            raise NoLocksError(error.errno, error.strerror) from error
        raise


def is_taken(path: Path) -> bool:
    """Return whether a process holds the lock of a file; where there is no file, or no locks, none does.

    Examples
    --------
    >>> is_taken(Path("nowhere"))
    False
    """
    try:
        file = path.open("rb", buffering=0)
    except OSError:
        return False
    with file:
        try:
            return not _look(file)
        except OSError as error:
            return error.errno in (errno.EACCES, errno.EAGAIN)


def _look(file: IO[bytes]) -> bool:
    """Return whether nobody holds a lock, or raise an error if somebody does."""
    try:
        import fcntl
    except ImportError:  # Windows
        return take(file)
    # Shared, so that those who look do not see each other; the library has no such lock.
    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return True
