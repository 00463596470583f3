"""Files with a flipped bit or a missing end: what is noticed, and what comes of it."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from faults import kills
from faults.kills import Condition, Straight
from faults.server import Server
from faults.tally import Tally
from tauscope.errors import InputError
from tauscope.runs.asking import read_config
from tauscope.runs.checkpoints import load_weights
from tauscope.runs.folder import read_json, read_metrics
from tauscope.runs.published import read_stats
from tauscope.runs.results import load_result

CONDITION = Condition("damaged", "-c cumulative --epochs 4 --steps-per-epoch 3 --lr 0.05 --momentum 0.3 --save-every 0")
REFUSED, SAME, NOT_NOTICED = "refused", "read as it was", "not noticed"


@dataclass(frozen=True)
class Specimen:
    """A run that was killed half way, what it gives when it is continued, and results that were measured of it."""

    folder: Path
    whole: Straight

    def copy(self, there: Path) -> Path:
        shutil.rmtree(there, ignore_errors=True)
        return Path(shutil.copytree(self.folder, there / self.folder.name))


def specimen(server: Server, base: Path) -> Specimen:
    """Make a run that has two states, kept networks and a result."""
    whole = kills.straight(server, CONDITION, base / "straight")
    for step in range(7):
        (ended,) = server.run(_briefly(base / "half"))
        assert ended.code == 0, (step, ended.err)
    folder = base / "half" / whole.name
    ended = server.call("analyze", "connectivity", folder, "--last")
    assert ended.code == 0, ended.err
    return Specimen(folder, whole)


def _briefly(base: Path) -> Any:
    return Condition("", f"{CONDITION.line} --time-limit 0").command(base)


def harm(content: bytes, draw: random.Random, *, cut: bool) -> bytes:
    """Flip a random bit, or cut off the end at a random place."""
    place = draw.randrange(len(content))
    if cut:
        return content[:place]
    return content[:place] + bytes([content[place] ^ 1 << draw.randrange(8)]) + content[place + 1 :]


def harm_states(server: Server, base: Path, made: Specimen, n: int, draw: random.Random) -> Tally:
    """Damage the newest state and continue the run."""
    tally = Tally(
        "newest state truncated or with a flipped bit, at random places, then the run continued",
        "noticed; the previous state used; bitwise the weights of an undamaged run",
    )
    for i in range(n):
        folder = made.copy(base / "copy")
        state = folder / "state.pt"
        state.write_bytes(harm(state.read_bytes(), draw, cut=i % 2 == 0))
        ended = server.call("train", "--resume", folder, solved=True)
        noticed = "state.pt is damaged" in ended.out and "going on from state.previous.pt" in ended.out
        problem = kills.differences(kills.outcome(folder), made.whole.gave)
        tally.judge(
            ended.code == 0 and noticed and not problem, f"damage {i}: noticed: {noticed}; {ended.err} {problem} differ"
        )
    return tally


def harm_all_states(server: Server, base: Path, made: Specimen, n: int, draw: random.Random) -> Tally:
    """Damage both states: nothing is left to continue from."""
    tally = Tally("both states damaged", "refused in one line; nothing in the folder changed")
    for i in range(n):
        folder = made.copy(base / "copy")
        for state in folder.glob("state*.pt"):
            state.write_bytes(harm(state.read_bytes(), draw, cut=i % 2 == 0))
        before = contents(folder)
        ended = server.call("train", "--resume", folder)
        tally.judge(ended.refused("no intact state is left") and contents(folder) == before, ended)
    return tally


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files of a folder, but for the lock, which every process that tries signs."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "run.lock"
    }


def same_weights(ours: Any, expected: Any) -> bool:
    return ours.keys() == expected.keys() and all(torch.equal(ours[key], one) for key, one in expected.items())


def same_stats(ours: Any, expected: Any) -> bool:
    return [*map(str, ours["loss"]), *map(str, ours["accuracy"])] == [
        *map(str, expected["loss"]),
        *map(str, expected["accuracy"]),
    ]


def same_result(ours: Any, expected: Any) -> bool:
    return bool(ours[0].identical(expected[0])) and ours[1] == expected[1]


READERS: dict[str, tuple[str, Callable[[Path], Any], Callable[[Any, Any], bool]]] = {
    "network (`rnn_N2_N3`)": ("rnn_N2_N3", load_weights, same_weights),
    "result (netCDF)": ("analysis/*_connectivity.nc", load_result, same_result),
    "`stats.npy`": ("stats.npy", read_stats, same_stats),
    "`config.json`": ("config.json", lambda path: read_config(path.parent), lambda a, b: a == b),
    "`environment.json`": ("environment.json", read_json, lambda a, b: a == b),
    "`metrics.jsonl`": ("metrics.jsonl", lambda path: read_metrics(path.parent), lambda a, b: a == b),
}
"""Files of a run: where they are, what reads them, and what tells whether two contents are the same."""

SEALED = ("network (`rnn_N2_N3`)", "result (netCDF)")
"""Those in which nothing may pass unnoticed."""


def harm_file(made: Specimen, kind: str, n: int, draw: random.Random, *, cut: bool) -> Tally:
    """Damage a file and read it."""
    pattern, read, same = READERS[kind]
    tally = Tally(kind, "", counts=dict.fromkeys((REFUSED, SAME, NOT_NOTICED), 0))
    (path,) = made.folder.glob(pattern)
    content, expected = path.read_bytes(), read(path)
    try:
        for i in range(n):
            path.write_bytes(harm(content, draw, cut=cut))
            try:
                came = SAME if same(read(path), expected) else NOT_NOTICED
            except InputError:
                came = REFUSED
            except Exception as error:
                came = type(error).__name__
            tally.count(came)
            tally.judge(
                came in (REFUSED, SAME) or (came == NOT_NOTICED and kind not in SEALED), f"{kind}, damage {i}: {came}"
            )
    finally:
        path.write_bytes(content)
    return tally


def continue_with(server: Server, base: Path, made: Specimen, name: str, n: int, draw: random.Random) -> Tally:
    """Damage a file beside the states, continue the run, and see what it comes to."""
    tally = Tally(
        f"`{name}` damaged, then the run continued", "", counts=dict.fromkeys((REFUSED, SAME, NOT_NOTICED), 0)
    )
    for i in range(n):
        folder = made.copy(base / "copy")
        path = folder / name
        path.write_bytes(harm(path.read_bytes(), draw, cut=i % 4 == 0))
        ended = server.call("train", "--resume", folder, "--epochs", "4", solved=True)
        if ended.refused():
            came = REFUSED
        elif ended.code != 0:
            came = "failed"
        else:
            came = NOT_NOTICED if kills.differences(kills.outcome(folder), made.whole.gave) else SAME
        tally.count(came)
        tally.judge(came != "failed", f"{name}, damage {i}: {ended.err[-300:]}")
        told = server.call("status", folder)
        if told.code != 0:
            tally.lost.append(f"{name}, damage {i}: status: {told.err[-300:]}")
    return tally
