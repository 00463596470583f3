"""Checkpoints on disk: states with checksums, and weights that are read without executing code."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import pickletools
import re
import zipfile
from pathlib import Path
from typing import IO, Any

from tauscope._lazy import torch
from tauscope.errors import DamagedFileError, InputError
from tauscope.runs.files import rename, sync_folder, write_atomically

_MAGIC = b"tauscope state 1\n"
# NEW_STATE exists only if the process was killed between the two renames of `save_state`; it is then the newest state.
STATES = NEW_STATE, STATE, PREVIOUS_STATE = "state.pt.new", "state.pt", "state.previous.pt"

# The globals in a pickle of plain tensors. Torch allows further globals, with which a file can fill the memory.
_PLAIN = re.compile(r"collections OrderedDict|torch\._utils _rebuild_(tensor_v2|parameter)|torch \w+Storage")
# A file may be so many times smaller than its tensors: weights that a user's cell shares are stored once.
_MOST_SHARED = 10
_ARCHIVE = b"PK\x03\x04"
# Files of older torch versions hold five pickles: magic number, protocol, system, content, keys of the storages.
_LEGACY_PICKLES = 5


def checkpoint_name(stage: str) -> str:
    """Return the name of a stage's checkpoint file, as in the published code.

    Examples
    --------
    >>> checkpoint_name("N2_N4")
    'rnn_N2_N4'
    """
    return f"rnn_{stage}"


def _dump(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def save_state(folder: Path, state: dict[str, Any]) -> None:
    """Save the state of an unfinished run with its checksum, and keep the previous state.

    Parameters
    ----------
    folder : Path
        Run folder.
    state : dict
        Tensors, numbers, strings, lists and dicts.
    """
    payload = _dump(state)
    content = _MAGIC + hashlib.sha256(payload).digest() + payload
    write_atomically(folder / NEW_STATE, content)
    turn_states(folder)


def turn_states(folder: Path) -> None:
    """Rename the newest state to the previous state and the new state to the newest, also after a killed process.

    Parameters
    ----------
    folder : Path
        Run folder; nothing happens without a new state.

    Examples
    --------
    >>> turn_states(Path("nowhere"))
    """
    newest, fresh = folder / STATE, folder / NEW_STATE
    if not fresh.exists():
        return
    try:
        if newest.exists():
            rename(newest, folder / PREVIOUS_STATE)
        rename(fresh, newest)
        sync_folder(folder)
    except OSError as error:
        raise InputError(f"cannot write {newest}: {error.strerror}; the state before it is unchanged") from error


def load_state(folder: Path) -> tuple[dict[str, Any] | None, list[str]]:
    """Load the newest intact state of a run.

    Parameters
    ----------
    folder : Path
        Run folder.

    Returns
    -------
    state : dict or None
        The state; ``None`` if the run has none.
    notices : list of str
        Problems of newer files that were skipped.

    Raises
    ------
    DamagedFileError
        If the run has states but none is intact.
    """
    problems: list[str] = []
    for name in STATES:
        path = folder / name
        if not path.exists():
            continue
        try:
            return _read_state(path), [f"{problem}; going on from {path.name}" for problem in problems]
        except DamagedFileError as error:
            problems.append(str(error))
    if problems:
        raise DamagedFileError(f"{'; '.join(problems)}; no intact state is left, expected one in {folder}")
    return None, []


def _read_state(path: Path) -> dict[str, Any]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DamagedFileError(f"{path} cannot be read: {error.strerror}") from error
    start = len(_MAGIC) + hashlib.sha256().digest_size
    payload = content[start:]
    if not content.startswith(_MAGIC) or hashlib.sha256(payload).digest() != content[len(_MAGIC) : start]:
        raise DamagedFileError(f"{path} is damaged: its checksum does not match its content")
    state = _load(io.BytesIO(payload), path, "a state")
    if not isinstance(state, dict):
        raise DamagedFileError(f"{path} is not a state: it holds a {type(state).__name__}")
    return state


def _load(file: IO[bytes], path: Path, what: str) -> Any:
    """Read a file of `torch.save` without executing code, in little more memory than the file's size."""
    try:
        size = file.seek(0, os.SEEK_END)
        verified = _verified(file, size)
    except Exception as error:  # zipfile raises many kinds of errors on altered headers
        raise DamagedFileError(f"{path} is damaged: {_first_line(error)}") from error
    try:
        _require_plain(verified)
        verified.seek(0)
        content = torch.load(verified, map_location="cpu", weights_only=True)
        _require_modest(content, size)
    except pickle.UnpicklingError as error:  # torch's own message tells how to execute code in the file
        raise DamagedFileError(f"{path} is not {what}: it holds something else than plain tensors") from error
    except Exception as error:  # an altered pickle can raise anything
        raise DamagedFileError(f"{path} is not {what}: {_first_line(error)}") from error
    return content


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:160]


def _verified(file: IO[bytes], size: int) -> IO[bytes]:
    """Return a zip archive repacked from entries that match their checksums; return any other file unchanged.

    Torch's reader compares no checksums, and reads an entry with altered flags as uninitialised memory; from the
    repacked archive it reads the verified entries.
    """
    file.seek(0)
    begins_as_archive = file.read(len(_ARCHIVE)) == _ARCHIVE
    if not zipfile.is_zipfile(file):
        if begins_as_archive:
            raise ValueError("the end of its archive is missing")
        return file
    fresh = io.BytesIO()
    with zipfile.ZipFile(file) as archive, zipfile.ZipFile(fresh, "w") as packed:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ValueError("it is compressed, expected the uncompressed archive that torch.save writes")
        if sum(entry.file_size for entry in entries) > size:
            raise ValueError("it unpacks to more than it holds")
        # Torch finds entries by name without regard to case.
        if len({entry.filename.lower() for entry in entries}) < len(entries):
            raise ValueError("two entries of its archive have the same name")
        for entry in entries:
            packed.writestr(entry.filename, archive.read(entry))
    return fresh


def _require_plain(file: IO[bytes]) -> None:
    """Refuse pickles with other globals than those of tensors."""
    file.seek(0)
    pickles = [file] * _LEGACY_PICKLES
    if file.read(len(_ARCHIVE)) == _ARCHIVE:
        with zipfile.ZipFile(file) as archive:
            names = [name for name in archive.namelist() if name.lower().endswith("data.pkl")]
            if any(name.lower().endswith("constants.pkl") for name in archive.namelist()):
                raise ValueError("it is a program, of TorchScript")
            pickles = [io.BytesIO(archive.read(name)) for name in names]
    else:
        file.seek(0)
    for pickled in pickles:
        for code, argument, _ in pickletools.genops(pickled):
            if code.name == "PROTO" and argument != 2:
                raise ValueError(f"its pickle is of protocol {argument}, expected 2, that of torch.save")
            if code.name == "GLOBAL" and not _PLAIN.fullmatch(str(argument)):
                raise ValueError(f"it asks for {str(argument).replace(' ', '.')}")


def _require_modest(content: Any, size: int) -> None:
    """Refuse views that expand a small file's data, and containers that contain themselves or each other many times."""
    waiting, n_bytes = [content], 0
    while waiting:
        value = waiting.pop()
        inner = (
            [*value, *value.values()]
            if isinstance(value, dict)
            else value
            if isinstance(value, list | tuple | set)
            else []
        )
        n_bytes += value.nbytes if isinstance(value, torch.Tensor) else len(inner)
        if n_bytes > _MOST_SHARED * size:
            raise ValueError("it unpacks to more than it holds")
        waiting += inner


def save_weights(path: Path, weights: dict[str, torch.Tensor]) -> None:
    """Save weights as the published code does: ``{"state_dict": …}`` by `torch.save`.

    Parameters
    ----------
    path : Path
        File to write.
    weights : dict of Tensor
        Named tensors.
    """
    write_atomically(path, _dump({"state_dict": {key: value.detach().cpu() for key, value in weights.items()}}))


def load_weights(path: Path) -> dict[str, torch.Tensor]:
    """Load weights without executing code.

    Parameters
    ----------
    path : Path
        A file written by `save_weights` or by the published code.

    Returns
    -------
    dict of Tensor
        Named tensors on the CPU, all finite.

    Raises
    ------
    InputError
        If the file does not exist.
    DamagedFileError
        If it is truncated, altered, compressed, asks for code, or holds other data than finite tensors.
    """
    if not path.is_file():
        raise InputError(f"no checkpoint at {path}: expected a file such as rnn_N2_N10")
    try:
        with path.open("rb") as file:
            content = _load(file, path, "a checkpoint of weights")
    except OSError as error:
        raise DamagedFileError(f"{path} cannot be read: {error.strerror}") from error
    weights = content.get("state_dict") if isinstance(content, dict) else None
    if not isinstance(weights, dict) or not all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in weights.items()
    ):
        raise DamagedFileError(f"{path} is not a checkpoint of weights: expected {{'state_dict': named tensors}}")
    for key, value in weights.items():
        if not torch.isfinite(value).all():
            raise DamagedFileError(f"{path} holds non-finite numbers in {key!r}: expected finite weights")
    return dict(weights)
