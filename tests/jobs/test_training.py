"""Runs done side by side: what harms one harms no other, and what was interrupted ends as if it had not been."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sweeping import SMALL, result
from tauscope.errors import InputError
from tauscope.jobs.pool import Outcome
from tauscope.jobs.sweep import Sweep
from tauscope.jobs.training import LEFT_ALONE, Progress, go_on, note_failure, run_sweep
from tauscope.runs.config import config_of
from tauscope.runs.run import Run
from tauscope.runs.survey import FAILED


def never() -> bool:
    return False


def ignore(_: Progress | str) -> None:
    pass


def sweep(base: Path, *further: dict[str, Any]) -> Sweep:
    configs = [config_of(SMALL | {"seed": 0} | one) for one in further]
    return Sweep(base, {one.name: one for one in configs})


def alone(folder: Path, **options: Any) -> dict[str, Any]:
    """Return what a run gives that nothing interrupts."""
    assert go_on(folder, config_of(SMALL | {"seed": 0} | options), "cpu", ignore, never) is not None
    return result(folder)


# --- one run ----------------------------------------------------------------------------------------------------------


def test_a_run_stopped_after_every_step_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    expected = alone(tmp_path / "alone")
    config = config_of(SMALL | {"seed": 0})
    for step in range(SMALL["epochs"] * SMALL["steps_per_epoch"]):
        training = go_on(tmp_path / "stopped", config, "cpu", ignore, lambda: True)
        assert training is not None
        # An epoch is finished, by its test, when the next step is to be taken.
        assert training.epoch * SMALL["steps_per_epoch"] + training.step == step + 1
    assert result(tmp_path / "stopped") != expected
    go_on(tmp_path / "stopped", config, "cpu", ignore, lambda: True)
    assert result(tmp_path / "stopped") == expected


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[Progress | str] = []
    go_on(tmp_path / "run", config_of(SMALL | {"seed": 0}), "cpu", told.append, never)
    # The first step, so that something is seen at once, and every epoch.
    assert told == [Progress(epoch, 2, "learning N2_N2") for epoch in (0, 1, 2)]


def test_what_a_run_notices_is_told(tmp_path: Path) -> None:
    config = config_of(SMALL | {"seed": 0})
    for _ in range(2):
        go_on(tmp_path / "run", config, "cpu", ignore, lambda: True)
    state = tmp_path / "run" / "state.pt"
    state.write_bytes(state.read_bytes()[:-7])
    told: list[Progress | str] = []
    go_on(tmp_path / "run", config, "cpu", told.append, never)
    assert told[0] == f"{state} is damaged: its checksum does not match its content; going on from state.previous.pt"


def test_a_run_that_another_process_is_training_is_waited_for_and_then_left_alone(tmp_path: Path) -> None:
    config = config_of(SMALL | {"seed": 0})
    with Run(tmp_path / "run", config) as other:
        start = time.monotonic()
        assert go_on(tmp_path / "run", config, "cpu", ignore, never, patience=0.5) is None
        assert time.monotonic() - start >= 0.5
        threading.Timer(0.5, other.close).start()
        training = go_on(tmp_path / "run", config, "cpu", ignore, never, patience=60)
    assert training is not None
    assert training.finished


def test_what_cannot_be_trained_is_refused(tmp_path: Path) -> None:
    go_on(tmp_path / "run", config_of(SMALL | {"seed": 0}), "cpu", ignore, never)
    with pytest.raises(InputError, match="holds a different run: its seed is 0, not 1"):
        go_on(tmp_path / "run", config_of(SMALL | {"seed": 1}), "cpu", ignore, never)


def test_a_failure_is_kept_in_a_line_until_it_is_taken_back(tmp_path: Path) -> None:
    note_failure(tmp_path / "run", "no room\n  on the disk")
    assert (tmp_path / FAILED / "run").read_text() == "no room on the disk\n"
    note_failure(tmp_path / "run", "")
    assert list((tmp_path / FAILED).iterdir()) == []
    # Nowhere to be kept, it harms nobody.
    (tmp_path / "file").touch()
    note_failure(tmp_path / "file" / "run", "no room")
    note_failure(tmp_path / "file" / "run", "")


# --- many -------------------------------------------------------------------------------------------------------------


def test_all_runs_end_as_alone_and_what_fails_harms_no_other(tmp_path: Path) -> None:
    runs = sweep(
        tmp_path / "runs",
        {},
        {"task": "dms"},
        {"network_number": 2, "lr": 1e30},
        {"network_number": 3, "cell": "sweeping:Dying"},
        {"network_number": 4},
    )
    one, two, diverged, killed, three = runs.runs
    seen: list[tuple[int, int]] = []
    started, ended = list[str](), dict[str, Outcome]()
    told: dict[str, list[Progress | str]] = {name: [] for name in runs.runs}
    outcomes = run_sweep(
        runs,
        2,
        on_plan=lambda *numbers: seen.append(numbers),
        on_start=started.append,
        on_progress=lambda name, progress: told[name].append(progress),
        on_end=lambda name, outcome: ended.update({name: outcome}),
    )
    assert outcomes is not None
    assert outcomes == ended
    assert seen == [(5, 5)]
    assert sorted(started) == sorted(runs.runs)
    assert told[two][-1] == Progress(2, 2, "learning N2_N2")
    problems = {name: outcome.problem for name, outcome in outcomes.items()}
    assert problems[diverged].startswith("training diverged at epoch 1, step")
    assert problems[killed] == "killed by signal 9 (SIGKILL, out of memory?)"
    assert {name for name, problem in problems.items() if not problem} == {one, two, three}
    assert {path.name: path.read_text() for path in (runs.base / FAILED).iterdir()} == {
        name: f"{problems[name]}\n" for name in (diverged, killed)
    }
    assert result(runs.base / two) == alone(tmp_path / two, task="dms")
    # Started again, what failed is tried again, and nothing else.
    again = run_sweep(replace(runs, runs={name: runs.runs[name] for name in (one, two, diverged)}), 1)
    assert again is not None
    assert list(again) == [diverged]
    assert again[diverged].problem


def test_runs_that_were_stopped_are_gone_on_with(tmp_path: Path) -> None:
    more = {"epochs": 40, "steps_per_epoch": 20}
    runs = sweep(tmp_path / "runs", more, more | {"network_number": 2}, more | {"network_number": 3})
    told: set[str] = set()
    outcomes = run_sweep(runs, 2, on_progress=lambda name, _: told.add(name), stop=lambda: len(told) == 2)
    assert outcomes is None
    first, second, third = runs.runs
    assert told == {first, second}
    assert not (runs.base / third).exists()
    assert not (runs.base / FAILED).exists()
    assert set(runs.unfinished()) == {first, second, third}
    outcomes = run_sweep(runs, 2)
    assert outcomes is not None
    assert [one.problem for one in outcomes.values()] == [""] * 3
    assert runs.unfinished() == []
    assert result(runs.base / second) == alone(tmp_path / second, **more, network_number=2)
    assert run_sweep(runs, 2) == {}


def test_a_run_that_another_process_is_training_is_left_to_it(tmp_path: Path) -> None:
    runs = sweep(tmp_path / "runs", {}, {"network_number": 2})
    first, second = runs.runs
    with Run(runs.base / first, runs.runs[first]) as other:
        other.begin()
        outcomes = run_sweep(runs, 1, patience=0.0)
    assert outcomes is not None
    assert {name: (one.value, one.problem) for name, one in outcomes.items()} == {
        first: (LEFT_ALONE, ""), second: ("", "")
    }  # fmt: skip
    assert not (runs.base / FAILED).exists()


def test_a_signal_that_hits_a_run_alone_is_told(tmp_path: Path) -> None:
    runs = sweep(tmp_path / "runs", {"epochs": 1000, "steps_per_epoch": 200})
    (name,) = runs.runs

    def end(*_: object) -> None:
        pid = int((runs.base / name / "run.lock").read_text())
        assert pid != os.getpid()
        os.kill(pid, signal.SIGTERM)

    outcomes = run_sweep(runs, 1, on_progress=end)
    assert outcomes is not None
    assert outcomes[name].problem.startswith("stopped by a signal in epoch ")
    assert (runs.base / FAILED / name).exists()
