"""What a sweep file asks for: every combination once, each in a folder of its own, or one line that says why not."""

from __future__ import annotations

import contextlib
import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sweeping import SMALL, write
from tauscope.errors import InputError
from tauscope.jobs import sweep
from tauscope.jobs.sweep import read_sweep, write_plan
from tauscope.jobs.training import go_on
from tauscope.runs.config import config_of
from tauscope.runs.run import Run
from tauscope.runs.survey import Planned, read_plan


def names(file: Path) -> list[str]:
    return list(read_sweep(file, file.parent / "runs").runs)


# --- what is asked for ------------------------------------------------------------------------------------------------


def test_every_combination_and_every_further_setting_has_its_networks(tmp_path: Path) -> None:
    file = write(
        tmp_path / "sweep.toml",
        options=SMALL | {"epochs": 7},
        grid={"curriculum_type": ["cumulative", "single"], "task": ["parity", "dms"]},
        runs=[{"curriculum_type": "sliding", "init_heads": 2, "epochs": 8}, {"cell": "gru", "network_number": 9}],
        networks={"numbers": [1, 3], "seeds": [5, 6]},
    )
    found = read_sweep(file, tmp_path / "runs")
    kinds = ["cumulative_parity", "cumulative_dms", "single_parity", "single_dms", "sliding_2_1_parity"]
    assert list(found.runs) == [
        # The first networks of all settings come first, so that something of everything is there early.
        *(f"{kind}_size_6_network_{number}" for number in (1, 3) for kind in kinds),
        "cumulative_parity_size_6_gru_network_9",
    ]
    seeds = {name: config.seed for name, config in found.runs.items()}
    assert {number: {seed for name, seed in seeds.items() if name.endswith(f"_{number}")} for number in (1, 3, 9)} == {
        1: {5}, 3: {6}, 9: {None}
    }  # fmt: skip
    epochs = {name: config.recipe().epochs for name, config in found.runs.items()}
    assert {name for name, n in epochs.items() if n == 8} == {f"sliding_2_1_parity_size_6_network_{n}" for n in (1, 3)}
    assert set(epochs.values()) == {7, 8}
    assert not (tmp_path / "runs").exists()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from([11, 12, 13]), unique=True, max_size=3),
    st.lists(st.sampled_from(["parity", "dms"]), unique=True, max_size=2),
    st.lists(st.sampled_from([21, 22, 23]), unique=True, max_size=3),
    st.lists(st.integers(0, 9), unique=True, max_size=4),
)
def test_a_grid_is_the_product_of_its_lists(
    tmp_path: Path, sizes: list[int], tasks: list[str], further: list[int], numbers: list[int]
) -> None:
    lists = {"num_neurons": sizes, "task": tasks}
    file = write(
        tmp_path / "sweep.toml",
        grid={key: values for key, values in lists.items() if values},
        runs=[{"num_neurons": size} for size in further],
        networks={"numbers": numbers} if numbers else {},
    )
    # Without a list, the default is trained; without any, only what is named further, if something is.
    kinds = set(itertools.product(sizes or [6], tasks or ["parity"])) if sizes or tasks or not further else set()
    kinds |= {(size, "parity") for size in further}
    expected = {f"cumulative_{task}_size_{size}_network_{number}" for size, task in kinds for number in numbers or [1]}
    found = names(file)
    assert set(found) == expected
    assert len(found) == len(expected)


def test_the_numbers_of_networks_are_counted_where_only_seeds_are_given(tmp_path: Path) -> None:
    found = read_sweep(write(tmp_path / "sweep.toml", networks={"seeds": [4, 4, 7]}), tmp_path)
    assert [(one.network_number, one.seed) for one in found.runs.values()] == [(1, 4), (2, 4), (3, 7)]


def test_every_kind_of_run_can_be_swept(tmp_path: Path) -> None:
    file = write(tmp_path / "sweep.toml", options={"task": "cd"}, grid={"lambda_val": [0.9, 0.98], "sigma_val": [0.0]})
    assert names(file) == [f"basic_cd_lambda_{value}_sigma_0_network_1" for value in (0.9, 0.98)]


def test_the_folder_is_that_of_the_command_or_of_the_file_or_the_usual_one(tmp_path: Path) -> None:
    file = write(tmp_path / "sweep.toml", base_path="there")
    assert read_sweep(file).base == Path("there")
    assert read_sweep(file, tmp_path).base == tmp_path
    assert read_sweep(write(tmp_path / "other.toml")).base == Path("trained_models")


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[option]", "key 'option' is unknown: .*did you mean 'options'"),
        ("[options]\nnum_neuron = 8", "option 'num_neuron' is unknown: .*did you mean 'num_neurons'"),
        ("[grid]\ncuriculum_type = ['single']", "'curiculum_type' is unknown: .*did you mean 'curriculum_type'"),
        ("[networks]\nnumber = [1]", "networks: key 'number' is unknown: .*did you mean 'numbers'"),
        ("[options]\ntask = 'paritty'", "task 'paritty' is unknown: .*did you mean 'parity'"),
        ("[options]\ntau = 0.5", "tau is 0.5: expected at least 1"),
        ("[options]\ntau = nan", "tau is nan"),
        ("[options]\nlr = inf", "lr is inf: expected a finite number"),
        ("[options]\nnum_neurons = 'many'", "num_neurons is 'many': expected a whole number"),
        ("[options]\nnum_neurons = 8.0", r"num_neurons is 8\.0: expected a whole number"),
        ("[options]\nnum_neurons = true", "num_neurons is True: expected a whole number"),
        ("[options]\nplus_minus = 1", "plus_minus is 1: expected true or false"),
        ("[options]\nlr = 2024-01-01", r"lr is datetime\.date\(2024, 1, 1\): expected a number"),
        ("[options]\nduplicates = 7", "duplicates is 7: expected a list of whole numbers"),
        ("[options]\nduplicates = [7, 'x']\nmodel_type = 'continuous'", r"duplicates is \(7, 'x'\): expected a list"),
        ("[options]\ntask = ['parity']", "task .* is unknown|task is .*: expected str"),
        ("[options]\nlambda_val = 0.9", "lambda_val is an option of the tasks"),
        ("[options]\ncell = 'nowhere:Cell'", "module 'nowhere' cannot be imported"),
        ("[options]\ncell = 'problems:LinearCel'", "has no 'LinearCel'"),
        ("[options]\nnetwork_number = -1", "network_number is -1: expected at least 0"),
        (f"[options]\nnetwork_number = {'9' * 300}", "has a name of 326 letters: expected 255 at most"),
        (f"[options]\nnum_neurons = {'9' * 5000}", "cannot be read: .*; expected a sweep file in TOML"),
        ("[options]\nseed = -1", "seed is -1: expected at least 0"),
        ("options = 3", "options is 3: expected a table"),
        ("[[options]]", "expected a table"),
        ("[grid]\ntask = 'parity'", "grid: task is 'parity': expected a list of values"),
        ("[grid]\ntask = []", r"grid: task is \[\]: expected a list of values"),
        ("runs = [1]", r"runs has 1: expected tables \[\[runs\]\]"),
        ("[runs]", r"runs is {}: expected tables \[\[runs\]\]"),
        ("[networks]\nnumbers = 4", "numbers is 4: expected a list such as"),
        ("[networks]\nnumbers = []", r"numbers is \[\]: expected a list of whole numbers"),
        ("[networks]\nseeds = [0.5]", r"seeds is \[0.5\]: expected a list of whole numbers"),
        ("[networks]\nseeds = [0, 1]\nnumbers = [1]", "2 seeds for 1 numbers: expected as many of both"),
        ("[networks]\nseeds = [0]\n[options]\nseed = 3", "seed is given in networks and in options"),
        (
            "[networks]\nnumbers = [2, 2]",
            "two runs would share the folder cumulative_parity_network_2, and are the same",
        ),
        ("[grid]\nlr = [0.1, 0.2]", "would share the folder cumulative_parity_network_1, and differ in lr: expected"),
        ("[grid]\nseed = [0, 1]", "and differ in seed: expected each once, with a network_number of its own"),
        ("[[runs]]\n[[runs]]", "and are the same"),
        ("base_path = 3", "base_path is 3: expected a folder"),
        (
            "[grid]\nlr = [" + "1.0, " * 1000 + "]\nmomentum = [" + "0.1, " * 1000 + "]",
            "asks for 1000000 runs: expected",
        ),
        ("[options", "cannot be read: .*; expected a sweep file in TOML"),
        ("a = " + "[" * 10_000, "cannot be read"),
        ("\udcff", "cannot be read"),
        ("x = 1\n" * 2, "cannot be read"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "sweep.toml"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=message) as caught:
        read_sweep(file, tmp_path / "runs")
    assert str(caught.value).startswith(str(file))
    assert len(str(caught.value)) < 1200
    assert list(tmp_path.iterdir()) == [file]


def test_what_is_no_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (tmp_path, tmp_path / "nowhere", Path("/dev/zero"), tmp_path / ("x" * 300), Path("a\0b")):
        with pytest.raises(InputError, match="expected a sweep file"):
            read_sweep(path)
    monkeypatch.setattr(sweep, "LARGEST_FILE", 10)
    with pytest.raises(InputError, match="no sweep file: expected at most 10 bytes"):
        read_sweep(write(tmp_path / "sweep.toml"))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from([*config_of({}).to_dict(), *config_of({"task": "cd"}).to_dict()])
# Only what takes no memory: a curriculum lists the Ns that it begins with.
OPTIONS = st.dictionaries(KEYS.filter(lambda key: key not in ("init_heads", "forget_heads")) | st.text(), VALUES)
CONTENTS = st.fixed_dictionaries(
    {},
    optional={
        "options": OPTIONS | VALUES,
        "grid": st.dictionaries(KEYS, st.lists(VALUES, max_size=2), max_size=2) | VALUES,
        "runs": st.lists(OPTIONS, max_size=2) | VALUES,
        "networks": st.fixed_dictionaries({}, optional={"numbers": VALUES, "seeds": st.lists(st.integers())}) | VALUES,
        "base_path": VALUES,
    },
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CONTENTS)
def test_whatever_a_file_holds_it_is_accepted_or_refused(tmp_path: Path, content: dict[str, Any]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "_read_toml", lambda _: content)
        patch.chdir(tmp_path)
        try:
            found = read_sweep(Path("sweep.toml"))
        except InputError:
            pass
        else:
            assert len(found.runs) >= 1
            assert all("/" not in name for name in found.runs)
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60) | st.text(alphabet='[]{}=".#\n options grid 0123', max_size=60).map(str.encode))
def test_whatever_bytes_a_file_has_they_are_accepted_or_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "sweep.toml"
    file.write_bytes(content)
    with contextlib.suppress(InputError):
        read_sweep(file, tmp_path / "runs")


# --- what is there already --------------------------------------------------------------------------------------------


def train(folder: Path, options: dict[str, Any]) -> None:
    go_on(folder, config_of(options), "cpu", lambda _: None, lambda: False)


def test_a_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    config = config_of(SMALL | {"seed": 3})
    with Run(tmp_path / config.name, config) as run:
        run.begin()
    options: dict[str, Any]
    for options in ({"seed": 3}, {}, {"epochs": 9}, {"seed": 3, "max_N": 3}):
        assert names(write(tmp_path / "sweep.toml", base_path=str(tmp_path), options=SMALL | options)) == [config.name]
        read_sweep(tmp_path / "sweep.toml")
    for options, name in (({"seed": 4}, "seed is 3, not 4"), ({"lr": 0.5}, r"lr is None, not 0\.5")):
        file = write(tmp_path / "sweep.toml", base_path=str(tmp_path), options=SMALL | options)
        with pytest.raises(InputError, match=f"holds a different run: its {name}; expected another base_path"):
            read_sweep(file)


def test_a_run_is_finished_when_it_went_as_far_as_is_asked(tmp_path: Path) -> None:
    config = config_of(SMALL | {"seed": 0})
    train(tmp_path / config.name, SMALL | {"seed": 0})
    for epochs, finished in ((1, True), (2, True), (3, False)):
        found = sweep.Sweep(tmp_path, {config.name: replace(config, epochs=epochs)})
        assert found.is_finished(config.name) == finished
        assert found.unfinished() == ([] if finished else [config.name])
    (tmp_path / config.name / "metrics.jsonl").write_text('{"epoch": 1}\n')
    assert not found.is_finished(config.name)


def test_runs_that_others_are_training_come_last(tmp_path: Path) -> None:
    file = write(tmp_path / "sweep.toml", base_path=str(tmp_path / "runs"), networks={"seeds": [0, 1, 2]})
    found = read_sweep(file)
    first, second, third = found.runs
    with Run(tmp_path / "runs" / first, found.runs[first]):
        assert found.unfinished() == [second, third, first]
    assert found.unfinished() == [first, second, third]


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = write(
        tmp_path / "sweep.toml", base_path=str(tmp_path / "deep" / "runs"), runs=[{}, {"cell": "gru", "epochs": 5}]
    )
    found = read_sweep(file)
    first, second = found.runs
    write_plan(found, {second: "1/12_0"})
    assert read_plan(found.base) == {
        first: Planned(first, found.runs[first].to_dict(), 2),
        second: Planned(second, found.runs[second].to_dict(), 5, "1/12_0"),
    }
    assert [path.name for path in found.base.iterdir()] == ["sweep.json"]
    # Plain JSON, from which the same runs can be made again.
    content = json.loads((found.base / "sweep.json").read_text())
    assert [config_of(one["options"]) for one in content["runs"].values()] == list(found.runs.values())
    # The next one takes its place.
    write_plan(replace(found, runs={first: found.runs[first]}), {})
    assert list(read_plan(found.base)) == [first]


def test_a_plan_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = read_sweep(write(tmp_path / "sweep.toml"), tmp_path / "file" / "runs")
    with pytest.raises(InputError, match="cannot write to"):
        write_plan(found, {})
