"""Files that are never half written."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tauscope.errors import InputError

_UNFINISHED = ".tmp"


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that, whatever happens, either the old content or the new is there.

    Parameters
    ----------
    path : Path
        Target; its folder must exist.
    content : bytes
        All of it.

    Raises
    ------
    InputError
        If it cannot be written (no space, no permission); the old file is untouched.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "x"
    >>> write_atomically(path, b"1"), path.read_bytes()
    (None, b'1')
    """
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", suffix=_UNFINISHED, delete=False
        ) as file:
            temporary = Path(file.name)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # A temporary file is private; what it becomes has the permissions that the user's other files have.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise InputError(
            f"cannot write {path}: {error.strerror or error}; expected a writable folder with room for "
            f"{len(content)} bytes; what was there is unchanged"
        ) from error


def remove_unfinished(folder: Path, beginnings: Sequence[str]) -> None:
    """Remove what `write_atomically` left of files that it was writing when its process was killed.

    Parameters
    ----------
    folder : Path
        Where they are; no other process may be writing such files there now.
    beginnings : sequence of str
        How their names begin.

    Examples
    --------
    >>> remove_unfinished(Path("nowhere"), ["state.pt"])
    """
    for beginning in beginnings:
        for path in folder.glob(f".{beginning}*{_UNFINISHED}"):
            path.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def require_writable(folder: Path) -> None:
    """Refuse a folder that cannot be written, or made, before hours are spent on what belongs there.

    Raises
    ------
    InputError
        If it is a file or may not be written.
    """
    there = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
    if not there.is_dir():
        raise InputError(f"{there} is a file: expected a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"cannot write to {there}: expected a writable folder")
