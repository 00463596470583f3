"""Files that are never half written."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tauscope.errors import InputError

_UNFINISHED = ".tmp"
# How file systems say that they do not have an operation; those of networks and of memory cards lack many.
_LACKING = frozenset(
    getattr(errno, name)
    for name in ("EBADF", "EINVAL", "ENOLCK", "ENOSYS", "ENOTSUP", "EOPNOTSUPP", "EPERM")
    if hasattr(errno, name)
)
# What is said instead where a file cannot take the name of another.
_APART = _LACKING | {errno.EBUSY, errno.EEXIST, errno.EXDEV}


def is_lacking(error: OSError) -> bool:
    """Return whether an operation failed because the file system does not have it.

    Examples
    --------
    >>> is_lacking(OSError(errno.ENOSYS, "Function not implemented")), is_lacking(OSError(errno.EIO, "I/O error"))
    (True, False)
    """
    return error.errno in _LACKING


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

    Notes
    -----
    Bringing it to the disk is a precaution against a power cut, passed over where the file system cannot do it.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "x"
    >>> write_atomically(path, b"1"), path.read_bytes()
    (None, b'1')
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}{_UNFINISHED}")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            _sync(file.fileno())
        rename(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise InputError(
            f"cannot write {path}: {error.strerror or error}; expected a writable folder with room for "
            f"{len(content)} bytes; what was there is unchanged"
        ) from error
    try:
        sync_folder(path.parent)
    except OSError as error:
        raise InputError(
            f"{path} is written, but may not outlast a power cut: {error.strerror or error}; expected a sound disk"
        ) from error


def rename(path: Path, target: Path) -> None:
    """Give a file another name in its folder, in place of the file that has it.

    Some file systems join several disks into a folder, or cannot put a file in place of another. There the content is
    copied, which can be cut short, and leaves the old name until it is done.

    Raises
    ------
    OSError
        If the file system refuses; the file of that name is unchanged.
    InputError
        If its content could only be copied in part.
    """
    try:
        path.replace(target)
    except OSError as error:
        if error.errno not in _APART:
            raise
        content = path.read_bytes()
        with target.open("r+b" if target.exists() else "wb") as file:
            try:
                file.truncate(0)
                file.write(content)
                file.flush()
                _sync(file.fileno())
            except OSError as failure:
                raise InputError(
                    f"cannot write all of {target}: {failure.strerror or failure}; its file system cannot put a "
                    f"file in place of another, so that what was there is lost; all of the new is in {path}"
                ) from failure
        path.unlink()


@contextlib.contextmanager
def outdated(paths: Iterable[Path]) -> Iterator[None]:
    """Take away files that what is written meanwhile makes outdated, and put them back if it cannot be written.

    Parameters
    ----------
    paths : iterable of Path
        Files that may be there, such as the pictures of a result.

    Examples
    --------
    >>> import tempfile
    >>> picture = Path(tempfile.mkdtemp()) / "result.png"
    >>> picture.write_bytes(b"old")
    3
    >>> with contextlib.suppress(InputError), outdated([picture]):
    ...     raise InputError("cannot write result.nc: no space left on device")
    >>> picture.read_bytes()
    b'old'
    """
    aside = {path: path.with_name(f".{path.name}.old{_UNFINISHED}") for path in paths if path.exists()}
    moved = dict[Path, Path]()
    try:
        for path, kept in aside.items():
            # Where nothing can be renamed, nothing can be written either, which says why.
            with contextlib.suppress(OSError):
                path.replace(kept)
                moved[path] = kept
        yield
    except BaseException:
        for path, kept in moved.items():
            kept.replace(path)
        raise
    for kept in moved.values():
        kept.unlink(missing_ok=True)


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
    """Bring the names in a folder to the disk, where the system can.

    Raises
    ------
    OSError
        If the disk fails.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        # A folder may be written without being read, and Windows opens none.
        if isinstance(error, PermissionError) or is_lacking(error):
            return
        raise
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)


def _sync(descriptor: int) -> None:
    """Bring what is open to the disk, where the file system can."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not is_lacking(error):
            raise


def require_writable(folder: Path) -> None:
    """Refuse a folder that cannot be written, or made, before hours are spent on what belongs there.

    Raises
    ------
    InputError
        If it is a file or may not be written.
    """
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    if not there.is_dir():
        raise InputError(f"{there} is a file: expected a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"cannot write to {there}: expected a writable folder")
