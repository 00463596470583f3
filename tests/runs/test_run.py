"""A run folder: what it holds, who may write to it, and what it refuses without leaving a trace."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tauscope as ts
from tauscope.learning import curricula
from tauscope.learning.state import Training
from tauscope.runs import checkpoints
from tauscope.runs.asking import asked_for, read_config, require_plausible
from tauscope.runs.config import Config, kind_of
from tauscope.runs.environment import environment
from tauscope.runs.folder import is_locked, read_metrics
from tauscope.runs.published import read_stats, to_published
from tauscope.runs.run import Run, free_number
from tauscope.runs.survey import look

MemoryConfig = kind_of("de1")
TrainConfig = kind_of("parity")

CONFIG = TrainConfig(
    num_neurons=4, max_N=4, epochs=2, steps_per_epoch=2, batch_size=3, test_steps=1, optimizer="adam", seed=0
)
FILES = {"config.json", "environment.json", "metrics.jsonl", "rnn_init", "run.lock"}


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return the content and the time of change of every file below a folder, and the folders themselves."""
    return {
        str(path.relative_to(folder)): (path.read_bytes() if path.is_file() else b"", path.stat().st_mtime_ns)
        for path in folder.rglob("*")
    }


def train(folder: Path, config: Config = CONFIG, stop: int = 10**9) -> Training:
    """Train a run in its folder, at most for that many steps."""
    with Run(folder, config) as run:
        model, state, _ = run.begin()
        steps = iter(range(1, stop + 1))
        return ts.train(
            model, run.config.template(), run.config.curriculum(), run.config.recipe(), state=state, store=run,
            stop=lambda: next(steps) == stop,
        )  # fmt: skip


@pytest.fixture
def all_solved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curricula.Criterion, "is_solved", lambda *_: True)


# --- what it holds ----------------------------------------------------------------------------------------------------


def test_a_run_writes_down_what_its_numbers_depend_on(tmp_path: Path) -> None:
    folder = tmp_path / "base" / CONFIG.name
    with Run(folder, CONFIG) as run:
        model, state, notices = run.begin()
    assert (state, notices) == (None, [])
    assert set(tree(folder)) == FILES
    assert read_config(folder) == CONFIG
    (session,) = json.loads((folder / "environment.json").read_text())
    assert session["torch"] == torch.__version__
    assert session["numpy"] == np.__version__
    assert (session["device"], session["threads"]) == ("cpu", torch.get_num_threads())
    assert session.keys() >= {"tauscope", "git_commit", "python", "processor", "capability", "system", "started"}
    weights = checkpoints.load_weights(folder / "rnn_init")
    assert all(torch.equal(weights[key], value) for key, value in to_published(model).items())
    assert all(torch.equal(weights[key], value) for key, value in to_published(CONFIG.model()).items())


@pytest.mark.usefixtures("all_solved")
def test_every_solved_stage_leaves_its_network(tmp_path: Path) -> None:
    config = replace(CONFIG, curriculum_type="sliding", init_heads=2, max_N=5, epochs=9)
    kept: dict[str, Any] = {}
    with Run(tmp_path / "run", config) as run:
        model, _, _ = run.begin()

        def keep(_: Training, record: dict[str, Any]) -> None:
            weights = {key: value.clone() for key, value in to_published(model).items()}
            kept[f"rnn_N{record['Ns'][0]}_N{record['Ns'][-1]}"] = weights

        training = ts.train(model, config.template(), config.curriculum(), config.recipe(), store=run, on_epoch=keep)
    assert list(kept) == ["rnn_N2_N3", "rnn_N3_N4", "rnn_N4_N5"]
    assert set(tree(tmp_path / "run")) == FILES | {*kept, "state.pt", "state.previous.pt", "stats.npy"}
    for name, weights in kept.items():
        written = checkpoints.load_weights(tmp_path / "run" / name)
        assert all(torch.equal(written[key], value) for key, value in weights.items())
    *before, last = training.history
    assert read_metrics(tmp_path / "run") == [*before, last | {"epochs": config.epochs}]
    stats = read_stats(tmp_path / "run" / "stats.npy")
    assert stats["loss"] == [record["loss"] for record in training.history]
    assert [one.tolist() for one in stats["accuracy"]] == [
        [100 * one for one in record["accuracy"]] for record in training.history
    ]


def test_an_unsolved_stage_leaves_none(tmp_path: Path) -> None:
    train(tmp_path / "run")
    assert {name for name in tree(tmp_path / "run") if name.startswith("rnn")} == {"rnn_init"}


def test_a_random_seed_is_drawn_once_and_kept(tmp_path: Path) -> None:
    unseeded = replace(CONFIG, seed=None)
    with Run(tmp_path / "a", unseeded) as a, Run(tmp_path / "b", unseeded) as b:
        seeds = [run.config.seed for run in (a, b)]
        for run in (a, b):
            run.begin()
    assert None not in seeds
    assert len(set(seeds)) == 2
    for name, seed in zip("ab", seeds, strict=True):
        assert read_config(tmp_path / name).seed == seed
        with Run(tmp_path / name, unseeded) as again:
            assert again.config.seed == seed
        with Run(tmp_path / name, replace(CONFIG, seed=seed)):
            pass
        with pytest.raises(ts.InputError, match=f"its seed is {seed}, not 0"):
            Run(tmp_path / name, CONFIG)


# --- going on ---------------------------------------------------------------------------------------------------------


def test_a_run_goes_on_from_its_state_and_drops_the_records_that_the_state_does_not_know(tmp_path: Path) -> None:
    train(tmp_path / "straight")
    # Stopped in epoch 2, then killed as if between the records of epoch 2 and the state that counts them.
    train(tmp_path / "run", stop=3)
    metrics = tmp_path / "run" / "metrics.jsonl"
    first = metrics.read_text()
    metrics.write_text(first + first.replace('"epoch": 1', '"epoch": 2'))
    with Run(tmp_path / "run", CONFIG) as run:
        _, state, _ = run.begin()
    assert state is not None
    assert (state["epoch"], state["step"]) == (1, 1)
    assert metrics.read_text() == first
    train(tmp_path / "run")
    ours, expected = (
        [
            {key: value for key, value in record.items() if "second" not in key}
            for record in read_metrics(tmp_path / one)
        ]
        for one in ("run", "straight")
    )
    assert ours == expected
    assert (tmp_path / "run" / "stats.npy").read_bytes() == (tmp_path / "straight" / "stats.npy").read_bytes()


TRIALS = {"num_neurons": 4, "stim_steps": 2, "delay_steps": (3,), "resp_steps": 5, "steps_per_epoch": 2, "batch_size": 3,
          "test_steps": 1, "epochs": 2, "seed": 0}  # fmt: skip
VERSION_0_1: list[tuple[Config, int]] = [
    (CONFIG, 3),
    (replace(CONFIG, curriculum_type="single"), 3),
    (replace(CONFIG, curriculum_type="sliding", init_heads=2, forget_heads=1), 3),
    (MemoryConfig(task="2afc", **TRIALS), 3),
    (MemoryConfig(task="cd", condition="multitask", then="2afc", **TRIALS), 5),
]


def as_version_0_1(folder: Path, config: Config) -> None:
    """Write the state and the records of a run anew as version 0.1 had them."""
    state, _ = checkpoints.load_state(folder)
    assert state is not None
    own = state["curriculum"]
    if config.curriculum().criterion.epochs is not None:
        state["curriculum"] = {"epoch": own["epoch"]}
    else:
        ask = next(dict(one.ask) for one in config.curriculum().stages if one.name == own["stage"])
        state["curriculum"] = {"Ns": list(ask["Ns"]), "finished": own["finished"]}
    for record in state["history"]:
        record["Ns"] = [int(N) for N in re.findall(r"\d+", record.pop("stage"))]
    state["best"] = {}
    checkpoints.save_state(folder, state)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in state["history"]))


@pytest.mark.usefixtures("all_solved")
@pytest.mark.parametrize(("config", "stop"), VERSION_0_1, ids=lambda value: getattr(value, "name", None))
def test_a_run_of_version_0_1_goes_on_as_if_nothing_had_changed(config: Config, stop: int, tmp_path: Path) -> None:
    straight = train(tmp_path / "straight", config)
    train(tmp_path / "run", config, stop=stop)
    as_version_0_1(tmp_path / "run", config)
    assert look(tmp_path / "run", "run").state == "stopped"
    end = train(tmp_path / "run", config)
    for name, value in straight.model.state_dict().items():
        assert torch.equal(end.model.state_dict()[name], value)
    assert [record["stage"] for record in end.history] == [record["stage"] for record in straight.history]
    assert look(tmp_path / "run", "run").state == "finished"
    as_version_0_1(tmp_path / "run", config)
    assert look(tmp_path / "run", "run").state == "finished"
    kept = [{path.name for path in (tmp_path / base).glob("rnn_*")} for base in ("straight", "run")]
    assert kept[0] == kept[1]


@pytest.mark.usefixtures("all_solved")
def test_a_state_of_a_stage_that_the_curriculum_lacks_is_refused(tmp_path: Path) -> None:
    train(tmp_path / "run")
    with pytest.raises(ts.InputError, match=r"stage N2_N4 is not one of the curriculum: expected N2_N2 … N2_N3"):
        train(tmp_path / "run", replace(CONFIG, max_N=3))


def test_a_network_that_no_file_has_room_for_is_refused_unless_the_files_have_just_gone(tmp_path: Path) -> None:
    huge, small, gone = replace(CONFIG, num_neurons=100_000), tmp_path / "state.pt", tmp_path / "state.pt.new"
    require_plausible(huge, gone)
    small.write_bytes(b"few")
    require_plausible(CONFIG, gone, small)
    with pytest.raises(ts.DamagedFileError, match=r"num_neurons is 100000, for which state\.pt has no room"):
        require_plausible(huge, gone, small)


def test_a_damaged_state_is_passed_over_with_a_notice(tmp_path: Path) -> None:
    train(tmp_path / "run")
    (tmp_path / "run" / "state.pt").write_bytes(b"damaged")
    with Run(tmp_path / "run", CONFIG) as run:
        _, state, notices = run.begin()
    assert state is not None
    assert state["epoch"] == 1
    assert len(read_metrics(tmp_path / "run")) == 1
    (notice,) = notices
    assert re.search(r"state\.pt is damaged: .*going on from state\.previous\.pt$", notice)


def test_a_run_without_an_intact_state_is_refused_and_left_alone(tmp_path: Path) -> None:
    train(tmp_path / "run")
    for name in ("state.pt", "state.previous.pt"):
        (tmp_path / "run" / name).write_bytes(b"damaged")
    before = tree(tmp_path / "run")
    with Run(tmp_path / "run", CONFIG) as run, pytest.raises(ts.DamagedFileError, match="no intact state"):
        run.begin()
    assert {key: value for key, value in tree(tmp_path / "run").items() if key != "run.lock"} == {
        key: value for key, value in before.items() if key != "run.lock"
    }


def test_the_state_of_another_network_is_refused_and_the_run_left_alone(tmp_path: Path) -> None:
    train(tmp_path / "run")
    train(tmp_path / "other", replace(CONFIG, num_neurons=5))
    (tmp_path / "run" / "state.pt").write_bytes((tmp_path / "other" / "state.pt").read_bytes())
    metrics = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    with Run(tmp_path / "run", CONFIG) as run, pytest.raises(ts.DamagedFileError, match="state of a different network"):
        run.begin()
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == metrics


def test_files_that_a_killed_process_was_writing_are_removed(tmp_path: Path) -> None:
    train(tmp_path / "run")
    half = [".state.pt.new.abc.tmp", ".rnn_N2_N3.abc.tmp", ".metrics.jsonl.abc.tmp", ".stats.npy.abc.tmp"]
    for name in (*half, ".evaluation_rnn_N2_N3.csv.abc.tmp"):
        (tmp_path / "run" / name).write_bytes(b"half")
    with Run(tmp_path / "run", CONFIG) as run:
        run.begin()
    assert [name for name in tree(tmp_path / "run") if name.startswith(".")] == [".evaluation_rnn_N2_N3.csv.abc.tmp"]


def test_a_changed_environment_is_noticed(tmp_path: Path) -> None:
    train(tmp_path / "run", stop=1)
    file = tmp_path / "run" / "environment.json"
    (session,) = json.loads(file.read_text())
    file.write_text(json.dumps([session | {"torch": "1.0", "threads": 64, "started": "then"}]))
    with Run(tmp_path / "run", CONFIG) as run:
        notices = run.begin()[2]
    assert notices == [
        f"torch was 1.0 and is {torch.__version__}: the result will not be bitwise the same",
        f"threads was 64 and is {torch.get_num_threads()}: the result will not be bitwise the same",
    ]
    assert [one["torch"] for one in json.loads(file.read_text())] == ["1.0", torch.__version__]


@pytest.mark.usefixtures("all_solved")
def test_epochs_and_max_N_may_change_and_are_written_down(tmp_path: Path) -> None:
    train(tmp_path / "run")
    more = replace(CONFIG, epochs=7, max_N=5)
    training = train(tmp_path / "run", more)
    assert read_config(tmp_path / "run") == more
    assert training.curriculum.finished
    assert "rnn_N2_N5" in tree(tmp_path / "run")


# --- what it refuses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": 0.5}, r"its lr is None, not 0\.5; give network number 2 for a new run, or lr None"),
        ({"seed": 1}, "its seed is 0, not 1"),
        ({"batch_size": 4}, "its batch_size is 3, not 4"),
        (
            {"max_N": 102},
            r"max_N is 102: the network in .* has heads for N = 2 \.\.\. 101 \(nearest valid value: 101\)",
        ),
    ],
)
def test_a_folder_with_a_different_run_is_refused_untouched(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    folder = tmp_path / CONFIG.name
    train(folder)
    before = tree(tmp_path)
    with pytest.raises(ts.InputError, match=message):
        Run(folder, replace(CONFIG, **change))
    assert tree(tmp_path) == before


def test_the_network_number_that_is_named_is_free(tmp_path: Path) -> None:
    for number in (1, 2, 4):
        (tmp_path / replace(CONFIG, network_number=number).name).mkdir()
    assert [free_number(tmp_path, replace(CONFIG, network_number=number)) for number in (1, 3, 4)] == [3, 3, 5]


def test_a_folder_with_checkpoints_of_other_origin_is_refused_untouched(tmp_path: Path) -> None:
    folder = tmp_path / CONFIG.name
    folder.mkdir()
    (folder / "rnn_N2_N5").write_bytes(b"published")
    before = tree(tmp_path)
    with pytest.raises(ts.InputError, match=r"holds rnn_N2_N5 but no config\.json: .*free network number is 2"):
        Run(folder, CONFIG)
    assert tree(tmp_path) == before


def test_a_second_process_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    with Run(tmp_path / "run", CONFIG) as run:
        run.begin()
        before = tree(tmp_path)
        assert is_locked(tmp_path / "run")
        with pytest.raises(ts.InputError, match=f"is being written by process {os.getpid()}"):
            Run(tmp_path / "run", CONFIG)
        assert tree(tmp_path) == before
        assert is_locked(tmp_path / "run")
    assert not is_locked(tmp_path / "run")
    with Run(tmp_path / "run", CONFIG):
        pass


def test_a_folder_that_nobody_writes_to_is_not_locked(tmp_path: Path) -> None:
    assert not is_locked(tmp_path)


@pytest.mark.parametrize("below", ["file", "file/below/more"])
def test_a_folder_that_cannot_be_made_leaves_nothing(below: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    before = tree(tmp_path)
    with pytest.raises(ts.InputError, match=r"cannot write to .*expected a writable folder"):
        Run(tmp_path / below, CONFIG)
    assert tree(tmp_path) == before


def test_a_name_that_is_too_long_leaves_no_folders_behind(tmp_path: Path) -> None:
    with pytest.raises(ts.InputError, match="cannot write to"):
        Run(tmp_path / "base" / ("x" * 300), CONFIG)
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("cell", ["no_such_module:Cell", "math:Cell", "collections:OrderedDict"])
def test_a_cell_that_cannot_be_used_leaves_nothing(cell: str, tmp_path: Path) -> None:
    with pytest.raises(ts.InputError, match=f"cell '{cell}'"):
        Run(tmp_path / "base" / "run", replace(CONFIG, cell=cell))
    assert tree(tmp_path) == {}


def test_a_run_that_was_never_begun_leaves_nothing(tmp_path: Path) -> None:
    with Run(tmp_path / "base" / "run", CONFIG):
        assert is_locked(tmp_path / "base" / "run")
    assert tree(tmp_path) == {}
    (tmp_path / "own").mkdir()
    with Run(tmp_path / "own", CONFIG):
        pass
    assert list(tree(tmp_path)) == ["own"]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"task": "parity", "tsk": 1}', b'{"num_neurons": "many"}', b"\xff\xfe", b'{"seed": -1}'],
)
def test_a_damaged_configuration_is_refused_untouched(content: bytes, tmp_path: Path) -> None:
    train(tmp_path / "run", stop=1)
    (tmp_path / "run" / "config.json").write_bytes(content)
    before = tree(tmp_path)
    with pytest.raises(ts.DamagedFileError, match=r"config\.json"):
        Run(tmp_path / "run", CONFIG)
    assert tree(tmp_path) == before


# --- small readers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tail", [b'{"epoch": 3, "lo', b"\xff\xff\n", b"}\n"])
def test_records_are_read_up_to_a_damaged_line(tail: bytes, tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_bytes(b'{"epoch": 1}\n{"epoch": 2}\n' + tail)
    assert read_metrics(tmp_path) == [{"epoch": 1}, {"epoch": 2}]


def test_a_folder_without_records_has_none(tmp_path: Path) -> None:
    assert read_metrics(tmp_path) == []


def test_the_environment_names_the_commit_only_inside_a_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    commit = environment("cpu")["git_commit"]
    assert commit is None or re.fullmatch("[0-9a-f]{40}", commit)
    monkeypatch.setenv("PATH", "")  # so that there is no git
    assert environment("cpu")["git_commit"] is None


# --- how much of it is asked for --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "kept", "finished"),
    [
        ({}, 5, False),
        ({"epochs": 5}, 5, True),
        ({"epochs": 3}, 3, True),
        ({"max_N": 3}, 3, True),
        ({"max_N": 4}, 5, True),
        ({"max_N": 3, "epochs": 2}, 2, True),
    ],
)
def test_a_run_that_went_further_is_cut_where_another_would_have_ended(
    options: dict[str, Any], kept: int, finished: bool
) -> None:
    accuracies = [[1.0], [1.0, 0.5], [1.0, 1.0], [1.0, 1.0, 0.5], [1.0, 1.0, 1.0]]
    solved = [True, False, True, False, True]
    records = [
        {"epoch": i, "stage": f"N2_N{1 + len(one)}", "accuracy": one, "solved": one_solved}
        for i, (one, one_solved) in enumerate(zip(accuracies, solved, strict=True), 1)
    ]
    assert asked_for(TrainConfig(**options), records) == (records[:kept], finished)
    assert asked_for(TrainConfig(**options), []) == ([], False)


def test_a_run_without_a_curriculum_ends_when_its_N_is_solved() -> None:
    records = [{"epoch": i, "stage": "N7_N7", "accuracy": [i / 3], "solved": i >= 3} for i in (1, 2, 3, 4)]
    assert asked_for(TrainConfig(curriculum_type="single_nocurr", ns_init=7), records) == (records[:3], True)
