"""Disks that are full or cannot be written: every writer refuses in one line, and no finished file is damaged."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from faults import kills
from faults.damage import contents
from faults.kills import Condition
from faults.server import Ended, Server
from faults.tally import Tally
from tauscope.runs.checkpoints import load_state, load_weights
from tauscope.runs.published import read_stats
from tauscope.runs.results import load_result

CONDITION = Condition("starved", "-c cumulative --epochs 3 --steps-per-epoch 2 --save-every 0")
REPRODUCTION = ("reproduce", "tiny_paper:PAPER", "--scale", "smoke", "--jobs", "1", "-b")


@dataclass(frozen=True)
class Writer:
    """A command that writes: its arguments in a folder of runs, and the arguments that make what it starts from.

    One that ``goes_on`` does what else it can where something cannot be written, says what is missing, and ends with 3.
    """

    name: str
    arguments: Callable[[Path], tuple[str | Path, ...]]
    before: Callable[[Path], tuple[tuple[str | Path, ...], ...]] = lambda _: ()
    goes_on: bool = False


def _train(base: Path) -> tuple[str | Path, ...]:
    return CONDITION.command(base).arguments


def _run(base: Path) -> Path:
    return base / "cumulative_parity_size_8_network_1"


WRITERS = [
    Writer("train", _train),
    Writer("train, continued", _train, lambda base: ((*_train(base), "--time-limit", "0"),)),
    Writer("evaluate", lambda base: ("evaluate", _run(base), "--sequences", "20"), lambda base: (_train(base),)),
    Writer(
        "evaluate, again",
        lambda base: ("evaluate", _run(base), "--sequences", "20", "-s", "1"),
        lambda base: (_train(base), ("evaluate", _run(base), "--sequences", "20")),
    ),
    Writer("analyze", lambda base: ("analyze", "connectivity", _run(base), "--last"), lambda base: (_train(base),)),
    Writer(
        "analyze, again",
        lambda base: ("analyze", "lyapunov", _run(base), "--last", "--force", "-s", "1"),
        lambda base: (_train(base), ("analyze", "lyapunov", _run(base), "--last")),
    ),
    Writer(
        "report",
        lambda base: ("report", _run(base)),
        lambda base: (_train(base), ("evaluate", _run(base), "--sequences", "20")),
    ),
    Writer(
        "compare",
        lambda base: ("compare", _run(base), base / "other" / _run(base).name, "-o", base / "comparison.html"),
        lambda base: (_train(base), _train(base / "other")),
    ),
    Writer("reproduce, its networks", lambda base: (*REPRODUCTION, base), goes_on=True),
    Writer(
        "reproduce, its tables and figures",
        lambda base: (*REPRODUCTION, base, "-o", base / "again"),
        lambda base: ((*REPRODUCTION, base),),
    ),
]


def prepare(server: Server, writer: Writer, base: Path) -> Path:
    """Make what a writer starts from."""
    for arguments in writer.before(base):
        ended = server.call(*arguments, solved=True)
        if ended.code != 0:
            raise RuntimeError(f"{writer.name} cannot be prepared: {ended.err}")
    base.mkdir(parents=True, exist_ok=True)
    return base


def fill(server: Server, base: Path, writers: list[Writer], most: int, draw: random.Random) -> Tally:
    """Let every writer meet a disk that is full, once for each size of a file that it writes, and then go on."""
    tally = Tally(
        "disk full (limit on the size of files) in every writer",
        "exit code 2 and one line; every file as it was or whole, a figure of numbers that are written anew gone; the same "
        "command then does what it does otherwise",
    )
    for i, writer in enumerate(writers):
        start = prepare(server, writer, base / str(i) / "runs")
        whole = base / str(i) / "whole"
        shutil.copytree(start, whole)
        before = contents(start)
        # In the same folder, because some files name it.
        full = server.call(*writer.arguments(start), solved=True)
        after = contents(start)
        sizes = sorted({len(one) for name, one in after.items() if before.get(name) != one and one})
        for size in sorted(draw.sample(sizes, min(most, len(sizes)))):
            shutil.rmtree(start)
            shutil.copytree(whole, start)
            ended = server.call(*writer.arguments(start), solved=True, file_size=size - 1)
            problem = _unsaid(ended, writer) or _harmed(start, before)
            again = server.call(*writer.arguments(start), solved=True)
            problem = problem or (again.err if again.code != full.code else _unlike(start, after))
            tally.judge(not problem, f"{writer.name}, no room for {size} bytes: {problem}")
            tally.count(writer.name)
    return tally


def _unsaid(ended: Ended, writer: Writer) -> str:
    """Return what is wrong with how a starved command ended."""
    lines = ended.err.splitlines()
    told = all(line.startswith("tauscope: error: ") for line in lines) and "File too large" in ended.err
    fine = ended.refused("cannot write", "File too large") or (writer.goes_on and told and ended.code in (2, 3))
    return "" if fine else f"exit code {ended.code}: {ended.err}"


def _harmed(folder: Path, before: dict[str, bytes]) -> str:
    """Return what is wrong with the files that a starved command left."""
    for name, content in contents(folder).items():
        if before.get(name) != content:
            try:
                _read(folder / name)
            except Exception as error:
                return f"{name} is damaged: {error!r}"
    now = contents(folder)
    missing = sorted(name for name in set(before) - set(now) if not _is_outdated(name, before, now))
    return f"{missing[0]} is gone" if missing else ""


def _is_outdated(name: str, before: dict[str, bytes], now: dict[str, bytes]) -> bool:
    """Return whether a figure shows other numbers than the table beside it, which was written anew.

    Such a figure is removed even where there is no room for the new one: it would be taken for that of the new numbers.
    """
    table = str(Path(name).with_suffix(".csv"))
    return name.endswith(".png") and table in now and now[table] != before.get(table)


def _read(path: Path) -> None:
    """Read a file, raising what its reader does if it is not whole."""
    content = path.read_bytes()
    if path.name.startswith("."):
        raise ValueError("left unfinished")
    if path.name.startswith("state"):
        state, notices = load_state(path.parent)
        assert state is not None
        assert not notices
    elif path.name.startswith("rnn_") and not path.suffix:
        load_weights(path)
    elif path.suffix == ".json":
        json.loads(content)
    elif path.suffix == ".jsonl":
        [json.loads(line) for line in content.splitlines()]
    elif path.suffix == ".nc":
        load_result(path)
    elif path.suffix == ".npy":
        read_stats(path)
    else:
        end = {".png": b"IEND\xaeB`\x82", ".html": b"</html>", ".csv": b"\n", ".md": b"|\n"}[path.suffix]
        assert content.rstrip(b"" if end.endswith(b"\n") else b"\n").endswith(end)


def _unlike(folder: Path, expected: dict[str, bytes]) -> str:
    """Return what differs from what a command with room leaves, apart from times."""
    ours = contents(folder)
    if ours.keys() != expected.keys():
        return f"there are {sorted(ours.keys() ^ expected.keys())}"
    timed = (".json", ".jsonl", ".nc", ".html", "state.pt", "state.previous.pt", "training.csv", "networks.csv")
    different = [name for name, one in ours.items() if one != expected[name] and not name.endswith(timed)]
    return f"{', '.join(different)} differ" if different else ""


# --- folders that cannot be written -----------------------------------------------------------------------------------


@contextlib.contextmanager
def sealed(folder: Path) -> Iterator[None]:
    """Take the permission to write from everything in a folder."""
    paths = [folder, *folder.rglob("*")]
    modes = [path.stat().st_mode for path in paths]
    try:
        for path in reversed(paths):
            path.chmod(0o555 if path.is_dir() else 0o444)
        yield
    finally:
        for path, mode in zip(paths, modes, strict=True):
            path.chmod(mode)


def forbid(
    server: Server, base: Path, writers: list[Writer], close: Callable[[Path], contextlib.AbstractContextManager[None]]
) -> Tally:
    """Let every writer meet a folder that cannot be written."""
    tally = Tally("folder that cannot be written, for every writer", "exit code 2 and one line; nothing changed")
    for i, writer in enumerate(writers):
        start = prepare(server, writer, base / str(i) / "runs")
        before = contents(start)
        with close(start):
            ended = server.call(*writer.arguments(start), solved=True, powerless=True)
            told = server.call("status", start, powerless=True)
        problem = "" if ended.refused("cannot write") else f"exit code {ended.code}: {ended.err}"
        problem = problem or ("" if told.code == 0 or not writer.before(base) else f"status: {told.err}")
        tally.judge(not problem and contents(start) == before, f"{writer.name}: {problem or 'files changed'}")
    return tally


# --- disks of one's own, for root -------------------------------------------------------------------------------------


def private_mounts() -> bool:
    """Let this process and its children mount without anybody else noticing, and return whether that is allowed."""
    new_namespace = 0x00020000
    if ctypes.CDLL(None, use_errno=True).unshare(new_namespace) != 0:
        return False
    return subprocess.run(["mount", "--make-rprivate", "/"], stderr=subprocess.DEVNULL, check=False).returncode == 0


@contextlib.contextmanager
def disk(folder: Path, size: int) -> Iterator[Callable[[str], None]]:
    """Mount a disk of that many bytes, and yield a function that mounts it anew with other options."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield lambda options: _mount("remount," + options, folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _mount(options: str, folder: Path) -> None:
    subprocess.run(["mount", "-o", options, str(folder)], check=True)


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Mount a folder on itself, so that it can only be read."""
    subprocess.run(["mount", "--bind", str(folder), str(folder)], check=True)
    try:
        _mount("remount,bind,ro", folder)
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def outgrow(server: Server, base: Path, n: int, draw: random.Random) -> Tally:
    """Train on small disks until they are full, then give them room and go on."""
    tally = Tally(
        "training on a disk of random size (tmpfs) until it is full, then continued with room",
        "exit code 2 and one line; weights, state and records bitwise those of an uninterrupted run",
    )
    expected = kills.straight(server, CONDITION, base / "straight")
    needed = sum(len(one) for one in contents(base / "straight").values())
    for i in range(n):
        with disk(base / str(i), os.sysconf("SC_PAGESIZE") * 2 + draw.randrange(needed)) as remount:
            (starved,) = server.run(CONDITION.command(base / str(i)))
            remount("size=1G")
            (again,) = server.run(CONDITION.command(base / str(i)))
            problem = kills.differences(kills.outcome(base / str(i) / expected.name), expected.gave)
        full = starved.refused("cannot write", "No space left on device")
        tally.count("full before the end", full)
        tally.judge(
            (full or starved.code == 0) and again.code == 0 and not problem,
            f"exit codes {starved.code}, {again.code}: {starved.err} {again.err} {problem} differ",
        )
    return tally
