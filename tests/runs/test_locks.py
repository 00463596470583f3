"""Locks where the file system, or Python, has none: a line says so, and the run goes on."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tauscope as ts
from tauscope import TrainConfig
from tauscope.cli import main
from tauscope.runs.folder import is_locked
from tauscope.runs.run import Run

fcntl = pytest.importorskip("fcntl")

CONFIG = TrainConfig(num_neurons=3, seed=0)
TRAIN = [
    "-nn",
    "3",
    "-s",
    "0",
    "--max-N",
    "3",
    "--epochs",
    "1",
    "--steps-per-epoch",
    "1",
    "--batch-size",
    "2",
    "--test-steps",
    "1",
    "--threads",
    "1",
]


def refuse(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def flock(*_: Any) -> None:
        raise OSError(getattr(errno, name), os.strerror(getattr(errno, name)))

    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.mark.parametrize("name", ["ENOLCK", "ENOSYS", "EOPNOTSUPP", "ENOTSUP", "EINVAL", "EBADF", "EPERM"])
def test_a_disk_without_locks_is_told_and_written(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, name)
    with Run(tmp_path / "run", CONFIG) as run:
        _, _, notices = run.begin()
        assert not is_locked(tmp_path / "run")
    (notice,) = notices
    assert notice.startswith(f"{tmp_path / 'run'} cannot be locked ({os.strerror(getattr(errno, name))}): ")


def test_training_on_a_disk_without_locks_ends_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refuse(monkeypatch, "ENOSYS")
    assert main(["train", *TRAIN, "-b", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert out.count("cannot be locked (") == 1
    assert "finished after 1 epochs" in out


@pytest.mark.parametrize("name", ["EACCES", "EAGAIN"])
def test_a_lock_that_another_holds_is_one(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, name)
    with pytest.raises(ts.InputError, match="is being written by process unknown: expected a run of one's own"):
        Run(tmp_path / "run", CONFIG)
    assert is_locked(tmp_path / "run")


def test_a_disk_that_fails_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, "EIO")
    with pytest.raises(ts.InputError, match=r"cannot write to .*run: Input/output error"):
        Run(tmp_path / "run", CONFIG)


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys, time; from tauscope.runs.locks import take; "
        "file = pathlib.Path(sys.argv[1]).open('ab+'); print(take(file), flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "run.lock")], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        assert is_locked(tmp_path)
        process.kill()
    assert not is_locked(tmp_path)


def test_those_who_only_look_do_not_see_each_other(tmp_path: Path) -> None:
    with (tmp_path / "run.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        assert not is_locked(tmp_path)
    program = (
        "import pathlib, sys; from tauscope.runs.folder import is_locked; "
        "print(sum(is_locked(pathlib.Path(sys.argv[1])) for _ in range(1000)))"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate()[0] for process in processes] == ["0\n"] * 2


def test_a_lock_of_another_user_is_seen(tmp_path: Path) -> None:
    with Run(tmp_path / "run", CONFIG):
        (tmp_path / "run" / "run.lock").chmod(0o444)
        assert is_locked(tmp_path / "run")
