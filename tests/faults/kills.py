"""Killed at random moments, moved, and begun twice: a run ends with the weights of one that nothing happened to."""

from __future__ import annotations

import itertools
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faults.server import Command, Ended, Server
from faults.tally import Tally
from sweeping import plain
from tauscope.runs.checkpoints import PREVIOUS_STATE, load_state
from tauscope.runs.folder import read_metrics

MOST_KILLS = 3
"""Kills of one run, at most."""

_PATIENCE = 4

SIZE = "-nn 8 -s 0 --batch-size 4 --test-steps 1"
# One epoch for what has one stage.
EPOCHS, ONE_EPOCH = "--epochs 4 --steps-per-epoch 4", "--epochs 1 --steps-per-epoch 12"
MODELS = {
    "default": "",
    "mod": "-m mod -a tanh",
    "continuous": "-m continuous -a relu -dup 2,3",
    "τ fixed": "-T 2",
    "two layers": "--num-layers 2",
    "GRU": "--gru",
    "LSTM": "--lstm",
    "a cell of one's own": "--cell problems:LinearCell",
}
CURRICULA = {
    "multi-head": f"-c cumulative {EPOCHS}",
    "single-head": f"-c single {EPOCHS}",
    "sliding": f"-c sliding -ih 3 -fh 2 {EPOCHS}",
    "no curriculum": f"-c single_nocurr -ni 5 {ONE_EPOCH}",
}
TRIAL = "--stim-steps 3 --delay-steps 4 --resp-steps 5 --score-step -2"
OTHERS = {
    "recurrent memory, basic": f"-t de1 --sigma-val 0.1 {TRIAL} {EPOCHS}",
    "recurrent memory, orthogonal": f"-t comp --cell orthogonal {TRIAL} {EPOCHS}",
    "recurrent memory, GRU": f"-t 2afc --cell gru {TRIAL} {EPOCHS}",
    "recurrent memory, hebbian": f"-t cd --condition hebbian {TRIAL} {EPOCHS}",
    "recurrent memory, tethered": f"-t gde --condition tethered --rho-val 1e-4 {TRIAL} {EPOCHS}",
    "recurrent memory, dynamic": f"-t de2 --condition dynamic {TRIAL} {EPOCHS}",
    "recurrent memory, variable delay": f"-t cd2 --condition vardelay {TRIAL.replace('4', '2,4,6')} {EPOCHS}",
    "recurrent memory, two tasks": f"-t cd --condition multitask --then 2afc {TRIAL} {EPOCHS.replace('4', '2', 1)}",
    "recurrent memory, sine": f"-t sine {TRIAL} {EPOCHS}",
    "tracking": f"-t tracking --trial-steps 8 {EPOCHS}",
    "tracking, E and I": f"-t tracking --signals 2 --start ei --trial-steps 8 {EPOCHS}",
}
TASKS = ("-t parity --optimizer adam", "-t dms", "-t parity --labels every")
SAVING = ("--save-every 0", "--save-every 0.03", "--save-every 60")


@dataclass(frozen=True)
class Condition:
    """A kind of run: its name and its command line."""

    name: str
    line: str

    def command(self, base: Path, **options: Any) -> Command:
        return Command(("train", *SIZE.split(), *self.line.split(), "-b", str(base)), solved=True, **options)


def conditions() -> list[Condition]:
    """Return every model under every curriculum, and what else is trained; intervals between states take turns."""
    tasks, saving = itertools.cycle(TASKS), itertools.cycle(SAVING)
    binary = {
        f"{model}, {curriculum}": f"{network} {order} {next(tasks)}"
        for model, network in MODELS.items()
        for curriculum, order in CURRICULA.items()
    }
    return [Condition(name, f"{line} {next(saving)}") for name, line in (binary | OTHERS).items()]


def outcome(folder: Path) -> dict[str, Any]:
    """Return all that a run gave, without what depends on the clock or was measured of it."""
    state, notices = load_state(folder)
    # Whether a state was saved before the last one depends on how long the steps took.
    names = sorted(
        path.name for path in folder.iterdir() if not re.match(rf"analysis|evaluation_|{PREVIOUS_STATE}", path.name)
    )
    files = {name: (folder / name).read_bytes() for name in names if re.fullmatch(r"rnn_.*|stats\.npy", name)}
    return {**files, "state": plain(state), "metrics": plain(read_metrics(folder)), "names": names, "said": notices}


def differences(ours: dict[str, Any], expected: dict[str, Any]) -> str:
    """Name what differs between two outcomes; nothing if they are bitwise equal."""
    return ", ".join(sorted(key for key in {*ours, *expected} if ours.get(key) != expected.get(key)))


@dataclass(frozen=True)
class Straight:
    """A run that nothing happened to: its folder's name, what it gave, and its seconds."""

    name: str
    gave: dict[str, Any]
    seconds: float


def straight(server: Server, condition: Condition, base: Path) -> Straight:
    """Train without any fault."""
    (ended,) = server.run(condition.command(base))
    if ended.code != 0:
        raise RuntimeError(f"{condition.name} cannot be trained at all: {ended.err}")
    (folder,) = base.iterdir()
    return Straight(folder.name, outcome(folder), ended.seconds)


def kill(server: Server, base: Path, kinds: list[Condition], n_runs: int, draw: random.Random) -> Tally:
    """Kill runs at random moments, each several times, and let them end."""
    tally = Tally(
        "`kill -9` at a random moment of training, then the same command again",
        "weights, state and records bitwise those of an uninterrupted run",
    )
    for i, condition in enumerate(kinds):
        expected = straight(server, condition, base / f"{i}_straight")
        n_hit = 0
        for j in range(_PATIENCE * n_runs):
            there = base / f"{i}_{j}"
            n_kills = _kill_several_times(server, condition, there, expected, tally, draw)
            problem = differences(outcome(there / expected.name), expected.gave)
            for _ in range(n_kills):
                tally.judge(not problem, f"{condition.name}: {problem} differ after {n_kills} kills")
            # One that ended before its time came was not hit.
            n_hit += n_kills > 0
            if n_hit == n_runs:
                break
        shutil.rmtree(base)
    tally.count("kinds of runs", len(kinds))
    return tally


def _kill_several_times(
    server: Server, condition: Condition, base: Path, expected: Straight, tally: Tally, draw: random.Random
) -> int:
    """Kill a run and begin it again until it has ended, and return how often it was killed."""
    for n_kills in itertools.count():
        delay = draw.uniform(0, expected.seconds) if n_kills < MOST_KILLS else None
        (ended,) = server.run(condition.command(base, kill_after=delay))
        if not ended.killed:
            break
        _count_moment(base / expected.name, tally)
    if ended.code != 0 or ended.err:
        tally.judge(False, f"{condition.name}: exit code {ended.code} after {n_kills} kills: {ended.err}")
    return n_kills


def _count_moment(folder: Path, tally: Tally) -> None:
    """Count at what moment a run was killed, as far as its folder tells."""
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set[str]()
    if any(name.endswith(".tmp") for name in names):
        tally.count("while a file was being written")
    elif "state.pt.new" in names:
        tally.count("between the two renames of a state")
    elif "state.pt" in names or "state.previous.pt" in names:
        tally.count("after the first state")
    else:
        tally.count("before the first state")


LONG = Condition("the program", "--p 1.0 --lr 0.3 --epochs 60 --steps-per-epoch 10 --save-every 0.05")


def kill_program(server: Server, base: Path, n_kills: int, draw: random.Random) -> Tally:
    """Kill ``python -m tauscope`` itself, not a fork of it, after a random epoch and a random while."""
    tally = Tally("the same, of `python -m tauscope` started from nothing", "the same")
    (ended,) = server.run(_unpatched(LONG, base / "straight"))
    assert ended.code == 0, ended.err
    (folder,) = (base / "straight").iterdir()
    expected = outcome(folder)
    line = [sys.executable, "-m", "tauscope", *_unpatched(LONG, base / "killed").arguments]
    for _ in range(n_kills):
        with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(draw.randrange(1, 1 + 60 // n_kills)):
                process.stdout.readline()
            time.sleep(draw.uniform(0, 0.1))
            process.kill()
        tally.count("killed before its end", process.returncode == -signal.SIGKILL)
    (ended,) = server.run(_unpatched(LONG, base / "killed"))
    problem = ended.err or differences(outcome(base / "killed" / folder.name), expected)
    for _ in range(tally.counts["killed before its end"]):
        tally.judge(not problem, problem)
    return tally


def _unpatched(condition: Condition, base: Path) -> Command:
    return Command(condition.command(base).arguments)


def contend(server: Server, base: Path, n_rounds: int, draw: random.Random) -> Tally:
    """Begin three processes on one folder at nearly the same time; in every second round the folder holds half a run."""
    tally = Tally(
        "three processes started on the same run folder at nearly the same time",
        "one trains, the others are refused in one line; bitwise the weights of a run alone",
    )
    condition = Condition("contended", f"-c cumulative {EPOCHS} --save-every 0")
    expected = straight(server, condition, base / "straight")
    for i in range(n_rounds):
        there = base / str(i)
        if i % 2:
            server.run(condition.command(there, kill_after=draw.uniform(0.2, 0.8) * expected.seconds))
        starts = [draw.uniform(0, 0.02) for _ in range(3)]
        ended = server.run(*(condition.command(there, start_after=start) for start in starts))
        trained = [one for one in ended if one.code == 0]
        refused = [one for one in ended if _is_refused(one)]
        problem = differences(outcome(there / expected.name), expected.gave)
        tally.judge(
            len(trained) == 1 and len(refused) == 2 and not problem, f"{[one.err for one in ended]} {problem} differ"
        )
        shutil.rmtree(there)
    return tally


def _is_refused(ended: Ended) -> bool:
    return ended.refused("is being written by process")


def move(server: Server, base: Path, kinds: list[Condition], elsewhere: Path, draw: random.Random) -> Tally:
    """Kill a run, move its folder to another one and another name, and go on there."""
    tally = Tally(
        "run folder moved, or copied to another disk, after a kill and continued there with `--resume`",
        "weights, state and records bitwise those of an uninterrupted run",
    )
    for i, condition in enumerate(kinds):
        expected = straight(server, condition, base / f"{i}_straight")
        server.run(condition.command(base / str(i), kill_after=draw.uniform(0.3, 0.9) * expected.seconds))
        for there, transfer in _places(base / str(i) / expected.name, base / f"{i}_moved", elsewhere / str(i)):
            transfer(base / str(i) / expected.name, there)
            ended = server.call("train", "--resume", there, *_own_cell(condition), solved=True)
            problem = ended.err or differences(outcome(there), expected.gave)
            tally.judge(ended.code == 0 and not problem, f"{condition.name}: {problem}")
    return tally


def _own_cell(condition: Condition) -> tuple[str, ...]:
    """Return the flag without which the code of a cell of one's own is not imported."""
    found = re.search(r"--cell (\w+:\w+)", condition.line)
    return ("--cell", found[1]) if found else ()


def _places(source: Path, near: Path, far: Path) -> Iterator[tuple[Path, Any]]:
    """Yield places for a run's folder and how it gets there; none of a run that was killed before it had a folder."""
    if (source / "config.json").exists():
        far.mkdir(parents=True)
        yield far / "a new name", shutil.copytree
        near.mkdir()
        yield near / source.name, shutil.move
