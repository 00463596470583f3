"""What is kept on disk: atomic writes, checksummed states, and weights that are never executed."""

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
# The first is there only if the process was killed between the two renames of `save_state`; it is the newest then.
STATES = NEW_STATE, STATE, PREVIOUS_STATE = "state.pt.new", "state.pt", "state.previous.pt"

# All that a pickle of plain tensors names. Torch allows more, with which a file can ask for any amount of memory.
_PLAIN = re.compile(r"collections OrderedDict|torch\._utils _rebuild_(tensor_v2|parameter)|torch \w+Storage")
# Weights that a cell of one's own uses at several places are stored once.
_MOST_SHARED = 10
_ARCHIVE = b"PK\x03\x04"
# In the form of older torch versions: magic number, protocol, system, content, keys of the storages that follow.
_LEGACY_PICKLES = 5


def checkpoint_name(stage: str) -> str:
    """Return the name of the file that keeps a network which solved the stage of this name, as published.

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
    """Save the state of a run under way with its checksum, and keep the one before it.

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
    """Make the new state the newest one and that one the previous; also what a process killed meanwhile left undone.

    Parameters
    ----------
    folder : Path
        Run folder; without a new state, nothing is done.

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
        ``None`` if there never was one.
    notices : list of str
        What was wrong with a newer file that was passed over.

    Raises
    ------
    DamagedFileError
        If there are states but none is intact.
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
    """Return what a file of `torch.save` holds, without executing anything or taking much more memory than the file."""
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
    except pickle.UnpicklingError as error:  # torch's own message tells how to execute what is in the file
        raise DamagedFileError(f"{path} is not {what}: it holds something else than plain tensors") from error
    except Exception as error:  # an altered pickle can raise anything
        raise DamagedFileError(f"{path} is not {what}: {_first_line(error)}") from error
    return content


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:160]


def _verified(file: IO[bytes], size: int) -> IO[bytes]:
    """Return a zip archive packed anew from data that match their checksums; any other file as it is.

    Torch's reader checks no checksums, and reads an entry whose flags are altered as uninitialised memory; of an
    archive packed anew it reads what was checked here.
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
        # Torch finds an entry whatever its case.
        if len({entry.filename.lower() for entry in entries}) < len(entries):
            raise ValueError("two entries of its archive have the same name")
        for entry in entries:
            packed.writestr(entry.filename, archive.read(entry))
    return fresh


def _require_plain(file: IO[bytes]) -> None:
    """Refuse pickles that name anything but tensors."""
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
    for one in pickles:
        for code, argument, _ in pickletools.genops(one):
            if code.name == "PROTO" and argument != 2:
                raise ValueError(f"its pickle is of protocol {argument}, expected 2, that of torch.save")
            if code.name == "GLOBAL" and not _PLAIN.fullmatch(str(argument)):
                raise ValueError(f"it asks for {str(argument).replace(' ', '.')}")


def _require_modest(content: Any, size: int) -> None:
    """Refuse views that repeat what a small file holds, and containers that hold themselves or each other many times."""
    waiting, n_bytes = [content], 0
    while waiting:
        one = waiting.pop()
        inner = [*one, *one.values()] if isinstance(one, dict) else one if isinstance(one, list | tuple | set) else []
        n_bytes += one.nbytes if isinstance(one, torch.Tensor) else len(inner)
        if n_bytes > _MOST_SHARED * size:
            raise ValueError("it unpacks to more than it holds")
        waiting += inner


def save_weights(path: Path, weights: dict[str, torch.Tensor]) -> None:
    """Save weights as the published code does: ``{"state_dict": …}`` by `torch.save`.

    Parameters
    ----------
    path : Path
        Target.
    weights : dict of Tensor
        Named tensors.
    """
    write_atomically(path, _dump({"state_dict": {key: value.detach().cpu() for key, value in weights.items()}}))


def load_weights(path: Path) -> dict[str, torch.Tensor]:
    """Load weights without executing anything.

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
        If there is no such file.
    DamagedFileError
        If it is truncated, altered, compressed, asks for code, or holds something else than finite tensors.
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
