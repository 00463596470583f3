"""File systems that lack operations: what is only a precaution is passed over, and real failures stay failures."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tauscope as ts
from tauscope.runs.checkpoints import load_state, save_state, turn_states
from tauscope.runs.files import outdated, write_atomically

LACKING = ["EINVAL", "EBADF", "ENOSYS", "ENOTSUP", "EOPNOTSUPP", "EPERM"]
FAILING = ["EIO", "ENOSPC", "EDQUOT"]


def refusing(name: str, real: Callable[..., Any], when: Callable[..., bool] = lambda *_: True) -> Callable[..., Any]:
    """Return a function of the system that fails with an error of this name, in some cases."""

    def refuse(*arguments: Any, **more: Any) -> Any:
        if when(*arguments):
            number = getattr(errno, name)
            raise OSError(number, os.strerror(number))
        return real(*arguments, **more)

    return refuse


def is_folder(descriptor: int) -> bool:
    return stat.S_ISDIR(os.fstat(descriptor).st_mode)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("name", LACKING)
@pytest.mark.parametrize("call", ["fsync", "chmod", "fchmod", "link", "symlink"])
def test_precautions_that_a_file_system_lacks_are_passed_over(
    call: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_atomically(tmp_path / "file", b"old")
    monkeypatch.setattr(os, call, refusing(name, getattr(os, call)))
    write_atomically(tmp_path / "file", b"new")
    assert contents(tmp_path) == {"file": b"new"}


@pytest.mark.parametrize("name", ["EACCES", "EPERM", "EINVAL", "ENOTSUP"])
def test_a_folder_that_cannot_be_opened_can_be_written(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One that may be written and not read; Windows, which opens no folders.
    monkeypatch.setattr(os, "open", refusing(name, os.open, lambda path, *_: os.path.isdir(path)))
    write_atomically(tmp_path / "file", b"new")
    assert contents(tmp_path) == {"file": b"new"}


@pytest.mark.parametrize("name", FAILING)
def test_a_disk_that_fails_is_a_failure(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_atomically(tmp_path / "file", b"old")
    why = os.strerror(getattr(errno, name))
    monkeypatch.setattr(os, "fsync", refusing(name, os.fsync, lambda one: not is_folder(one)))
    with pytest.raises(ts.InputError, match=f"cannot write .*file: {why}; .*what was there is unchanged"):
        write_atomically(tmp_path / "file", b"new")
    assert contents(tmp_path) == {"file": b"old"}


def test_a_folder_that_does_not_reach_the_disk_is_told_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", refusing("EIO", os.fsync, is_folder))
    with pytest.raises(ts.InputError, match="file is written, but may not outlast a power cut: Input/output error"):
        write_atomically(tmp_path / "file", b"new")
    assert contents(tmp_path) == {"file": b"new"}


@pytest.mark.parametrize("name", ["EXDEV", "EBUSY", "EEXIST", "EPERM", "ENOTSUP"])
def test_where_no_file_can_take_the_place_of_another_its_content_does(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "replace", refusing(name, os.replace))
    for content in (b"old and longer", b"new"):
        write_atomically(tmp_path / "file", content)
        assert contents(tmp_path) == {"file": content}
    for step in (1, 2, 3):
        save_state(tmp_path, {"step": step})
    assert set(contents(tmp_path)) == {"file", "state.pt", "state.previous.pt"}
    assert load_state(tmp_path) == ({"step": 3}, [])


def test_a_copy_that_is_cut_short_loses_nothing_of_the_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_atomically(tmp_path / "file", b"old")
    monkeypatch.setattr(os, "replace", refusing("EXDEV", os.replace))
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", refusing("ENOSPC", os.fsync, lambda one: synced.append(one) or len(synced) == 2))
    with pytest.raises(
        ts.InputError, match=r"cannot write all of .*file: No space left on device; .*all of the new is in"
    ):
        write_atomically(tmp_path / "file", b"new")
    (kept,) = (path for path in tmp_path.iterdir() if path.name != "file")
    assert kept.read_bytes() == b"new"


def test_states_that_can_only_be_copied_survive_an_end_in_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_state(tmp_path, {"step": 1})
    save_state(tmp_path, {"step": 2})
    monkeypatch.setattr(
        os, "replace", refusing("EXDEV", os.replace, lambda *names: str(names[0]).endswith((".pt", ".new")))
    )
    unlink = Path.unlink
    for ends_at in (1, 2):
        calls: list[Path] = []

        def killed(path: Path, *_: object, ends_at: int = ends_at, calls: list[Path] = calls, **__: object) -> None:
            calls.append(path)
            if len(calls) == ends_at:
                raise KeyboardInterrupt
            unlink(path)

        monkeypatch.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            save_state(tmp_path, {"step": 2 + ends_at})
        monkeypatch.setattr(Path, "unlink", unlink)
        assert load_state(tmp_path) == ({"step": 2 + ends_at}, [])
        turn_states(tmp_path)
        assert load_state(tmp_path) == ({"step": 2 + ends_at}, [])


@pytest.mark.parametrize("fails", [True, False])
def test_outdated_files_go_with_the_new_and_stay_without(fails: bool, tmp_path: Path) -> None:
    picture, absent, data = tmp_path / "a.png", tmp_path / "b.png", tmp_path / "a.nc"
    picture.write_bytes(b"old")
    with contextlib.suppress(ts.InputError), outdated([picture, absent]):
        assert not picture.exists()
        if fails:
            raise ts.InputError("cannot write")
        write_atomically(data, b"new")
    left = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert left == ({"a.png": b"old"} if fails else {"a.nc": b"new"})
