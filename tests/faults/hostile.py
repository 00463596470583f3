"""Hostile and wrong files in the place of a run's: refused in one line, nothing executed, memory bounded."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from faults import crafted
from faults.damage import Specimen
from faults.server import MEGABYTE, Command, Ended, Server
from faults.tally import Tally
from tauscope.runs.checkpoints import load_state

MOST_MEMORY = 200
"""Megabytes that a command may take beyond what it takes for an honest file."""

# More than a file claims, so that what takes it is seen, but not all memory.
_LIMIT = 8 << 30
_PATIENCE = 100.0
_EXPECTED = (
    "exit code 2 and one line (a page that names the file); nothing executed; memory within 200 MB of an honest file's"
)

# They are networks, too, and read as such.
HONEST_TOO = ("code in front of a network", "code behind a network")


class Judge:
    """Runs commands on crafted files and compares with what they take on an honest one.

    Parameters
    ----------
    server : Server
        Runs them.
    marker : Path
        What code in a file would make.
    """

    def __init__(self, server: Server, marker: Path) -> None:
        self.server, self.marker = server, marker
        self._usual: dict[str, int] = {}

    def usual(self, *arguments: str | Path) -> None:
        """Take down the memory that a command takes on honest files."""
        ended = self.server.call(*arguments)
        if ended.code != 0:
            raise RuntimeError(f"{arguments} does not work on honest files: {ended.err}")
        self._usual[str(arguments[0])] = ended.peak

    def try_on(
        self, tally: Tally, what: str, *arguments: str | Path, codes: tuple[int, ...] = (2,), folder: Path | None = None
    ) -> Ended:
        """Run a command on a crafted file, in a folder from which modules can be imported."""
        there = None if folder is None else str(folder)
        command = Command(tuple(map(str, arguments)), memory=_LIMIT, kill_after=_PATIENCE, folder=there)
        (ended,) = self.server.run(command)
        more = (ended.peak - self._usual[str(arguments[0])]) * 1024 // MEGABYTE
        problem = ""
        if self.marker.exists():
            self.marker.unlink()
            problem = "its code was executed"
        elif ended.code not in codes or (ended.code == 2 and not ended.refused()) or (ended.code == 0 and ended.err):
            problem = f"exit code {ended.code}: {ended.err[-300:]}"
        elif more > MOST_MEMORY:
            problem = f"took {more} MB"
        tally.judge(not problem, f"{what}, {arguments[0]}: {problem}")
        tally.counts["most megabytes taken"] = max(tally.counts.get("most megabytes taken", 0), more)
        return ended


def try_networks(judge: Judge, base: Path, files: Iterable[tuple[str, bytes]] | None = None) -> Tally:
    """Put crafted files in the place of a network."""
    tally = Tally("crafted networks (`rnn_N2_N3`): code, absurd sizes, zip bombs, wrong shapes, NaN", _EXPECTED)
    path = base / "cumulative_parity_size_3_network_1" / "rnn_N2_N3"
    path.parent.mkdir(parents=True)
    path.write_bytes(crafted.saved({"state_dict": crafted.small_weights()}))
    command = ("evaluate", path, "--Ns", "2", "--sequences", "10", "-o", base / "out")
    judge.usual(*command)
    for what, content in files or crafted.networks(judge.marker):
        path.write_bytes(content)
        judge.try_on(tally, what, *command, codes=(0,) if what in HONEST_TOO else (2,))
    return tally


def try_states(judge: Judge, base: Path, made: Specimen) -> Tally:
    """Put crafted files, with a right checksum, in the place of both states."""
    tally = Tally("crafted states (`state.pt`) with a right checksum", _EXPECTED)
    judge.usual("train", "--resume", made.copy(base / "honest"))
    honest, _ = load_state(made.folder)
    assert honest is not None
    for what, content in crafted.states(judge.marker, honest):
        folder = made.copy(base / "crafted")
        for name in ("state.pt", "state.previous.pt"):
            (folder / name).write_bytes(content)
        judge.try_on(tally, what, "train", "--resume", folder)
    return tally


def try_results(judge: Judge, base: Path, made: Specimen) -> Tally:
    """Put crafted files in the place of a result."""
    tally = Tally("crafted and foreign results (netCDF)", _EXPECTED)
    folder = made.copy(base)
    (path,) = (folder / "analysis").glob("*_connectivity.nc")
    for command in (("analyze", "connectivity", folder, "--last"), ("report", folder)):
        judge.usual(*command)
    for what, content in crafted.netcdfs(judge.marker, path.read_bytes()):
        path.write_bytes(content)
        judge.try_on(tally, what, "analyze", "connectivity", folder, "--last")
        _report(judge, tally, what, folder, path.name)
    return tally


def _report(judge: Judge, tally: Tally, what: str, folder: Path, *parts: str) -> None:
    """Make a page of a run with a crafted file; it names the file."""
    ended = judge.try_on(tally, what, "report", folder, codes=(0,))
    page = (folder / "report.html").read_text() if ended.code == 0 else " ".join(parts)
    for part in parts:
        if part not in page:
            tally.lost.append(f"{what}, report: does not name {part}")


def try_statistics(judge: Judge, base: Path, made: Specimen) -> Tally:
    """Put crafted files in the place of the published code's records."""
    tally = Tally("crafted `stats.npy`", _EXPECTED)
    folder = base / "cumulative_parity_size_8_network_1"
    folder.mkdir(parents=True)
    for name in ("rnn_N2_N2", "stats.npy"):
        shutil.copy(made.folder / name, folder)
    judge.usual("report", folder)
    for what, content in crafted.statistics(judge.marker):
        (folder / "stats.npy").write_bytes(content)
        _report(judge, tally, what, folder, "is no stats.npy")
    return tally


def try_texts(judge: Judge, base: Path, made: Specimen, name: str, files: Iterable[tuple[str, bytes]]) -> Tally:
    """Put crafted files in the place of one of the JSON files."""
    tally = Tally(f"crafted `{name}`", _EXPECTED)
    commands: dict[str, Callable[[Path], tuple[str | Path, ...]]] = {
        "status": lambda folder: ("status", folder),
        "report": lambda folder: ("report", folder),
        "evaluate": lambda folder: ("evaluate", folder, "--Ns", "2", "--sequences", "10"),
        "train": lambda folder: ("train", "--resume", folder),
    }
    for command in commands.values():
        judge.usual(*command(made.copy(base / "honest")))
    for what, content in files:
        folder = made.copy(base / "crafted")
        (folder / name).write_bytes(content)
        (folder / "evil.py").write_text(f"open({str(judge.marker)!r}, 'w')\n")
        for key, command in commands.items():
            codes = (0,) if key in ("status", "report") else (0, 2)
            judge.try_on(tally, what, *command(folder), codes=codes, folder=folder)
    return tally


def try_plans(judge: Judge, base: Path, made: Specimen) -> Tally:
    """Put crafted files in the place of what a sweep wrote down."""
    tally = Tally("crafted `sweep.json`", _EXPECTED)
    folder = made.copy(base)
    judge.usual("status", folder.parent)
    for what, content in crafted.plans():
        (folder.parent / "sweep.json").write_bytes(content)
        judge.try_on(tally, what, "status", folder.parent, codes=(0, 2))
    return tally


def try_sweeps(judge: Judge, base: Path) -> Tally:
    """Hand crafted files to ``tauscope sweep``."""
    tally = Tally("wrong and foreign sweep files (TOML)", _EXPECTED)
    file = base / "sweep.toml"
    base.mkdir()
    file.write_text("[options]\nnum_neurons = 3\n")
    judge.usual("sweep", file, "--dry-run")
    for what, content in crafted.sweeps():
        file.write_bytes(content)
        judge.try_on(tally, what, "sweep", file, "--dry-run")
    return tally
