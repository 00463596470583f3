"""What a look at many runs tells: the same as reading all of them, from their last lines alone."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeping import SMALL, keep, record
from tauscope.errors import DamagedFileError
from tauscope.jobs.training import note_failure
from tauscope.runs import survey as watching
from tauscope.runs.asking import asked_for
from tauscope.runs.config import Config, config_of
from tauscope.runs.run import Run
from tauscope.runs.survey import Planned, Sight, look, read_plan, survey, time_left


def plan(base: Path, *names: str, epochs: int = 9, **jobs: str) -> None:
    entries = {name: {"epochs": epochs, "options": SMALL | {"epochs": epochs}} for name in names}
    (base / "sweep.json").write_text(json.dumps({"runs": entries, "jobs": jobs}))


def by_name(base: Path) -> dict[str, Sight]:
    sights, notices = survey(base)
    assert notices == []
    return {one.name: one for one in sights}


CURRICULA = st.sampled_from(
    [
        {"curriculum_type": "cumulative"},
        {"curriculum_type": "cumulative", "init_heads": 2, "add_heads": 3},
        {"curriculum_type": "single"},
        {"curriculum_type": "single", "ns_init": 4},
        {"curriculum_type": "sliding"},
        {"curriculum_type": "sliding", "init_heads": 3, "forget_heads": 2},
        {"curriculum_type": "single_nocurr", "ns_init": 5},
        {"task": "cd", "condition": "multitask", "then": "2afc"},
        {"task": "sine"},
    ]
)


def trained(config: Config, qualities: list[bool]) -> list[dict[str, Any]]:
    """Return the records of a run whose epochs solve their stages or do not, until it is finished."""
    curriculum, metric, limit = config.curriculum(), config.template().metric, config.recipe().epochs
    records: list[dict[str, Any]] = []
    for epoch, good in enumerate(qualities, start=1):
        stage = curriculum.stage
        scores = [1.0 if good else 0.5] * len(stage.heads)
        solved = curriculum.update({metric: scores})
        finished = curriculum.finished or epoch >= limit
        one = record(epoch, 0, solved, stage=stage.name, finished=finished, epochs=limit)
        del one["accuracy"], one["Ns"]
        records.append(one | {metric: scores})
        if finished:
            break
    return records


@settings(max_examples=300, deadline=None)
@given(
    CURRICULA,
    st.lists(st.booleans(), min_size=1, max_size=12),
    st.sampled_from([3, 6, 12]),
    st.sampled_from([3, 6, 12]),
    st.sampled_from([7, 9, 12]),
    st.sampled_from([7, 9, 12]),
    st.booleans(),
)
def test_a_run_is_finished_if_and_only_if_its_records_say_so(
    tmp_path_factory: pytest.TempPathFactory,
    kind: dict[str, Any],
    qualities: list[bool],
    epochs: int,
    epochs_now: int,
    max_N: int,
    max_N_now: int,
    is_planned: bool,
) -> None:
    published = "task" not in kind
    if "then" in kind:
        epochs_now = epochs  # which a run with a second task cannot change
    then = config_of(kind | {"epochs": epochs} | ({"max_N": max_N} if published else {}))
    now = config_of(kind | {"epochs": epochs_now} | ({"max_N": max_N_now} if published else {}))
    records = trained(then, qualities)
    folder = keep(tmp_path_factory.mktemp("runs") / "run", then.to_dict(), records)
    planned = Planned("run", now.to_dict(), now.recipe().epochs) if is_planned else None
    sight, asked = look(folder, "run", planned), now if is_planned else then
    _, finished = asked_for(asked, records)
    assert sight.state == ("finished" if finished else "stopped")
    assert (sight.epoch, sight.epochs) == (len(records), asked.recipe().epochs)


def test_a_default_limit_is_that_of_the_cell(tmp_path: Path) -> None:
    options = config_of({"cell": "gru"}).to_dict()
    assert look(keep(tmp_path / "run", options, [record(99, 2, False)]), "run").epochs == 100
    done = look(keep(tmp_path / "done", options, [record(100, 2, False, finished=True)]), "done")
    assert (done.state, done.epochs) == ("finished", 100)


# --- states -----------------------------------------------------------------------------------------------------------


def test_every_state_of_a_planned_run_is_told(tmp_path: Path) -> None:
    options = config_of(SMALL | {"epochs": 9}).to_dict()
    keep(tmp_path / "done", options, [record(9, 2, False)])
    keep(tmp_path / "part", options, [record(3, 2, True), record(4, 3, False)])
    keep(tmp_path / "broken", options, [record(3, 2, True)])
    keep(tmp_path / "other", options, [record(5, 2, True)])
    keep(tmp_path / "bad", options, []).joinpath("config.json").write_text("{")
    plan(tmp_path, "done", "part", "broken", "refused", "waiting", "bad")
    note_failure(tmp_path / "broken", "training diverged\nat epoch 4")
    note_failure(tmp_path / "refused", "no room")
    note_failure(tmp_path / "done", "an earlier trial")
    found = by_name(tmp_path)
    assert {name: (one.state, one.epoch, one.epochs, one.solved, one.planned) for name, one in found.items()} == {
        "done": ("finished", 9, 9, "", True),
        "part": ("stopped", 4, 9, "2", True),
        "broken": ("failed", 3, 9, "2", True),
        "refused": ("failed", 0, 9, "", True),
        "waiting": ("pending", 0, 9, "", True),
        "other": ("stopped", 5, 9, "2", False),
        "bad": ("damaged", 0, 9, "", True),
    }
    assert (found["broken"].problem, found["refused"].problem) == ("training diverged at epoch 4", "no room")
    assert found["done"].problem == ""
    note_failure(tmp_path / "broken", "")
    assert by_name(tmp_path)["broken"].state == "stopped"


def test_what_others_wrote_does_no_harm(tmp_path: Path) -> None:
    options = config_of(SMALL | {"epochs": 9}).to_dict()
    for name, text in {
        "array": "[1]", "text": '"x"', "keys": "{}", "types": '{"epoch": [], "Ns": 3, "solved": 1, "finished": 0}',
        "null": '{"epoch": null, "solved": false, "finished": false}', "bytes": "\udcff",
    }.items():  # fmt: skip
        folder = keep(tmp_path / name, options, [])
        (folder / "metrics.jsonl").write_bytes(text.encode("utf-8", "surrogateescape"))
    keep(tmp_path / "list", options, []).joinpath("config.json").write_text("[]")
    keep(tmp_path / "unknown", options, []).joinpath("config.json").write_text('{"task": "what"}')
    keep(tmp_path / "folder", options, []).joinpath("metrics.jsonl").unlink()
    (tmp_path / "folder" / "metrics.jsonl").mkdir()
    keep(tmp_path / "failed", options, [])
    note_failure(tmp_path / "failed", "x")
    (tmp_path / ".sweep" / "failed" / "failed").write_bytes(b"\x1b[2J\xff" + b"a" * 10_000)
    found = by_name(tmp_path)
    states = {name: one.state for name, one in found.items()}
    # A line that is none is passed over, as one that a crash cut off.
    assert states.pop("bytes") == "stopped"
    assert states.pop("failed") == "failed"
    assert set(states.values()) == {"damaged"}
    assert len(states) == 8
    assert len(found["failed"].problem) <= 1000
    assert found["failed"].problem.isprintable()


def test_a_run_that_is_being_written_is_running(tmp_path: Path) -> None:
    plan(tmp_path, "one")
    note_failure(tmp_path / "one", "an earlier trial")
    with Run(tmp_path / "one", config_of(SMALL | {"seed": 0})) as run:
        assert by_name(tmp_path)["one"].state == "running"
        run.begin()
        assert by_name(tmp_path)["one"].state == "running"
    assert by_name(tmp_path)["one"].state == "failed"


def test_runs_are_found_at_any_depth_but_not_inside_runs(tmp_path: Path) -> None:
    for name in ("a", "deep/deeper/b", "a/analysis/c", ".hidden/d"):
        keep(tmp_path / name, config_of(SMALL).to_dict(), [])
    (tmp_path / "link").symlink_to(tmp_path / "deep")
    (tmp_path / "sweeps").mkdir()
    plan(tmp_path / "sweeps", "e")
    assert list(by_name(tmp_path)) == ["a", "deep/deeper/b", "sweeps/e"]
    assert list(by_name(tmp_path / "a")) == ["."]


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"runs": {}}',
        '{"runs": [], "jobs": {}}',
        '{"runs": {"a": {"epochs": "x", "options": {}}}, "jobs": {}}',
        '{"runs": {"a": {"epochs": 3, "options": 4}}, "jobs": {}}',
        '{"runs": {"a": 3}, "jobs": {}}',
        '{"runs": {"../a": {"epochs": 3, "options": {}}}, "jobs": {}}',
        '{"runs": {"..": {"epochs": 3, "options": {}}}, "jobs": {}}',
        '{"runs": {"": {"epochs": 3, "options": {}}}, "jobs": {}}',
        '{"runs": {"a\\u0000": {"epochs": 3, "options": {}}}, "jobs": {}}',
        '{"runs": {"a\\ud800": {"epochs": 3, "options": {}}}, "jobs": {}}',
        '{"runs": {"a\\u001b[2J": {"epochs": 3, "options": {}}}, "jobs": {}}',
        '{"runs": {"' + "a" * 256 + '": {"epochs": 3, "options": {}}}, "jobs": {}}',
        '{"runs": ' + "[" * 100_000,
        "\udcff",
    ],
)
def test_a_foreign_plan_is_refused_and_hides_no_runs(content: str, tmp_path: Path) -> None:
    keep(tmp_path / "run", config_of(SMALL).to_dict(), [])
    (tmp_path / "sweep.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(DamagedFileError, match=r"sweep\.json"):
        read_plan(tmp_path)
    sights, (notice,) = survey(tmp_path)
    assert [one.name for one in sights] == ["run"]
    assert "sweep.json" in notice


@pytest.mark.parametrize(
    ("queue", "states"),
    [
        ({"7_0": "PENDING", "7_1": "RUNNING"}, {"a": "pending", "b": "pending", "c": "stopped", "done": "finished"}),
        ({}, {"a": "stopped", "b": "stopped", "c": "stopped", "done": "finished"}),
        (None, {"a": "pending", "b": "stopped", "c": "stopped", "done": "finished"}),
    ],
)
def test_what_the_queue_of_slurm_knows_is_told_too(
    queue: dict[str, str] | None, states: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "queued_jobs", lambda: queue)
    options = config_of(SMALL | {"epochs": 9}).to_dict()
    for name in ("b", "c"):
        keep(tmp_path / name, options, [record(3, 2, True)])
    keep(tmp_path / "done", options, [record(9, 2, True)])
    plan(tmp_path, "a", "b", "c", "done", a="1/7_0", b="1/7_1", done="1/7_2")
    found = by_name(tmp_path)
    assert {name: one.state for name, one in found.items()} == states
    if queue == {}:
        assert found["a"].problem == ("job 7_0 is not in the queue any more: .sweep/slurm/1/7_0_0_log.err may say why")
        assert not found["a"].is_to_come
    assert found["c"].problem == ""


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo '12_0 RUNNING'; echo '12_1 PENDING'", {"12_0": "RUNNING", "12_1": "PENDING"}),
        ("", {}),
        ("echo no cluster >&2; exit 1", None),
        (None, None),
    ],
)
def test_the_queue_is_asked(
    script: str | None, expected: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if script is not None:
        (tmp_path / "squeue").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin" if script is not None else str(tmp_path))
    assert watching.queued_jobs() == expected


# --- time -------------------------------------------------------------------------------------------------------------


def test_the_time_left_is_that_of_the_epochs_left() -> None:
    def seen(name: str, state: str, epoch: int = 0, seconds: float | None = None, epochs: int | None = 100) -> Sight:
        about = {} if seconds is None else {"seconds": seconds}
        return Sight(name, state, epoch=epoch, epochs=epochs, record=about, planned=True)

    # Two at a time: 5 and 10 epochs are left of those that run, and 20 of one that has not begun, of 3 s on average.
    running = [seen("a", "running", 15, 2.0), seen("b", "running", 10, 4.0)]
    ended = [seen("c", "finished", 10, 3.0), seen("d", "finished", 30, 3.0)]
    assert time_left([*running, *ended, seen("e", "pending")]) == ({"a": 10.0, "b": 40.0}, (10.0 + 40.0 + 60.0) / 2)
    # The last one to end alone.
    assert time_left([*running, *ended])[1] == 40.0
    # What already took longer than is usual, or has nothing to be compared with, may go to its limit.
    assert time_left([seen("a", "running", 40, 2.0), *ended])[1] == 120.0
    assert time_left([seen("a", "running", 40, 2.0)])[1] == 120.0
    # Nothing is known of how long an epoch takes, or how many there may be, or nothing runs.
    assert time_left([seen("a", "running"), seen("b", "pending")]) == ({}, None)
    assert time_left([seen("a", "running", 1, 2.0, epochs=None)]) == ({}, None)
    assert time_left([*ended, seen("e", "pending")]) == ({}, None)
    # What failed does not come again by itself.
    assert time_left([*running, *ended, seen("e", "failed")])[1] == 40.0


@pytest.fixture
def many(tmp_path: Path) -> Callable[[int], Path]:
    """Return what makes a folder of finished runs with the files of real ones."""

    def make(n: int) -> Path:
        options = config_of(SMALL | {"seed": 0, "epochs": 40}).to_dict()
        records = [record(i, 2, True, finished=i == 40, epochs=40) for i in range(1, 41)]
        for i in range(n):
            folder = keep(tmp_path / f"cumulative_parity_size_6_network_{i}", options, records)
            for name in ("environment.json", "rnn_init", "run.lock", "state.pt", "stats.npy", "rnn_N2_N2"):
                (folder / name).touch()
        return tmp_path

    return make


def test_two_thousand_runs_are_looked_at_in_less_than_a_second(many: Callable[[int], Path]) -> None:
    base = many(2000)
    # Of this process, because others may keep the processors busy.
    start = time.process_time()
    sights, _ = survey(base)
    seconds = time.process_time() - start
    assert len(sights) == 2000
    assert {one.state for one in sights} == {"finished"}
    assert seconds < 1.0


def test_looking_changes_nothing(many: Callable[[int], Path]) -> None:
    base = many(2)

    def files() -> dict[str, tuple[int, int]]:
        return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in base.rglob("*")}

    before = files()
    survey(base)
    assert files() == before
