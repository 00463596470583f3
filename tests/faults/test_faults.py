"""The campaign in short: every kind of fault at least once. ``make test-faults`` runs all of it."""

from __future__ import annotations

import contextlib
import io
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import tauscope as ts
from faults import crafted, damage, disks, hostile, inputs, kills
from faults.damage import Specimen
from faults.page import page
from faults.server import Server
from faults.tally import Tally
from tauscope.cli import main
from tauscope.runs import run as runs
from tauscope.runs.asking import read_config
from tauscope.runs.checkpoints import load_state
from tauscope.runs.config import kind_of
from tauscope.runs.loading import load
from tauscope.runs.published import read_stats
from tauscope.runs.results import load_result
from tauscope.runs.run import Run

TrainConfig = kind_of("parity")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as started:
        yield started


@pytest.fixture(scope="module")
def made(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Specimen:
    return damage.specimen(server, tmp_path_factory.mktemp("specimen"))


@pytest.fixture
def draw() -> random.Random:
    return random.Random(0)


def nothing_lost(tally: Tally, tried: int) -> None:
    assert tally.lost == []
    assert tally.tried >= tried


def condition(name: str) -> kills.Condition:
    (found,) = (one for one in kills.conditions() if one.name == name)
    return found


def writer(name: str) -> disks.Writer:
    (found,) = (one for one in disks.WRITERS if one.name == name)
    return found


# --- killed, begun twice, moved ---------------------------------------------------------------------------------------


def test_runs_killed_at_random_moments_end_as_uninterrupted_ones(
    server: Server, tmp_path: Path, draw: random.Random
) -> None:
    nothing_lost(kills.kill(server, tmp_path, [condition("recurrent memory, hebbian")], 1, draw), 1)


def test_of_three_processes_on_one_folder_one_trains(server: Server, tmp_path: Path, draw: random.Random) -> None:
    nothing_lost(kills.contend(server, tmp_path, 1, draw), 1)


def test_a_moved_run_goes_on(server: Server, tmp_path: Path, draw: random.Random) -> None:
    nothing_lost(kills.move(server, tmp_path, [condition("LSTM, sliding")], tmp_path / "far", draw), 1)


def test_a_lock_that_was_taken_away_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The first process gives the folder up between the moments in which the second one opens the lock and takes it.
    config = TrainConfig(num_neurons=3, seed=0)
    tmp_path.joinpath("run").mkdir()
    first = Run(tmp_path / "run", config)
    take = runs.take
    third: list[Run] = []

    def interrupted(file: Any) -> bool:
        monkeypatch.setattr(runs, "take", take)
        first.close()
        third.append(Run(tmp_path / "run", config))
        return take(file)

    monkeypatch.setattr(runs, "take", interrupted)
    with pytest.raises(ts.InputError, match="is being written by process"):
        Run(tmp_path / "run", config)
    third[0].close()


# --- disks ------------------------------------------------------------------------------------------------------------


def test_a_full_disk_harms_no_result(server: Server, tmp_path: Path, draw: random.Random) -> None:
    nothing_lost(disks.fill(server, tmp_path, [writer("evaluate")], 1, draw), 1)


def test_a_folder_that_cannot_be_written_is_refused(server: Server, tmp_path: Path) -> None:
    writers = [writer("train"), writer("train, continued")]
    nothing_lost(disks.forbid(server, tmp_path, writers, disks.sealed), 2)


# --- damaged files ----------------------------------------------------------------------------------------------------


def test_damaged_states_are_noticed(server: Server, made: Specimen, tmp_path: Path, draw: random.Random) -> None:
    nothing_lost(damage.harm_states(server, tmp_path, made, 3, draw), 3)


def test_nothing_is_continued_from_damaged_states(
    server: Server, made: Specimen, tmp_path: Path, draw: random.Random
) -> None:
    nothing_lost(damage.harm_all_states(server, tmp_path, made, 2, draw), 2)


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("kind", damage.READERS)
def test_damaged_files_are_noticed_or_no_worse_than_before(
    kind: str, cut: bool, made: Specimen, draw: random.Random
) -> None:
    tally = damage.harm_file(made, kind, 60, draw, cut=cut)
    nothing_lost(tally, 60)
    assert kind not in damage.SEALED or tally.counts[damage.NOT_NOTICED] == 0


def test_a_changed_configuration_is_noticed_by_its_checksum(made: Specimen, tmp_path: Path) -> None:
    folder = made.copy(tmp_path)
    path = folder / "config.json"
    path.write_text(path.read_text().replace('"lr": 0.05', '"lr": 0.01'))
    with pytest.raises(ts.DamagedFileError, match=r"config\.json is damaged: its checksum does not match"):
        read_config(folder)


# --- hostile files ----------------------------------------------------------------------------------------------------


def refused(read: Callable[[Path], Any], path: Path, marker: Path) -> str:
    """Return the line in which a file is refused."""
    with pytest.raises(ts.InputError) as error, torch.no_grad():
        read(path)
    assert not marker.exists()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_crafted_networks_are_refused(tmp_path: Path) -> None:
    path, marker = tmp_path / "cumulative_parity_size_3_network_1" / "rnn_N2_N3", tmp_path / "executed"
    path.parent.mkdir()
    with inputs.bounded_memory():
        for what, content in crafted.networks(marker):
            path.write_bytes(content)
            if what in hostile.HONEST_TOO:
                load(path)
                assert not marker.exists()
            else:
                assert refused(load, path, marker)


def test_absurd_sizes_take_no_memory(server: Server, tmp_path: Path) -> None:
    judge = hostile.Judge(server, tmp_path / "executed")
    files = [(what, one) for what, one in crafted.networks(judge.marker) if "repeated" in what or "asked of" in what]
    nothing_lost(hostile.try_networks(judge, tmp_path, files), 4)


@pytest.mark.parametrize(
    ("files", "read"),
    [(crafted.statistics, read_stats), (lambda marker: crafted.netcdfs(marker, b"honest" * 99), load_result)],
)
def test_crafted_records_and_results_are_refused(files: Any, read: Callable[[Path], Any], tmp_path: Path) -> None:
    with inputs.bounded_memory():
        for _, content in files(tmp_path / "executed"):
            (tmp_path / "file").write_bytes(content)
            assert refused(read, tmp_path / "file", tmp_path / "executed").startswith(str(tmp_path / "file"))


def test_crafted_states_are_refused(made: Specimen, tmp_path: Path) -> None:
    honest, _ = load_state(made.folder)
    assert honest is not None
    folder = made.copy(tmp_path)
    config = read_config(folder)
    (folder / "state.previous.pt").unlink()
    with inputs.bounded_memory():
        for _, content in crafted.states(tmp_path / "executed", honest):
            (folder / "state.pt").write_bytes(content)
            with Run(folder, config) as run:
                assert refused(lambda _, run=run: run.begin(), folder, tmp_path / "executed")


@pytest.mark.parametrize(
    ("name", "files"), [("config.json", crafted.configurations), ("metrics.jsonl", crafted.records)]
)
def test_crafted_texts_are_told_in_the_table_of_runs(name: str, files: Any, made: Specimen, tmp_path: Path) -> None:
    folder = made.copy(tmp_path)
    for what, content in files():
        (folder / name).write_bytes(content)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as err:
            assert main(["status", str(tmp_path)]) == 0, what
        assert err.getvalue() == ""
        if name == "config.json":
            with contextlib.suppress(ts.InputError):
                read_config(folder)


@pytest.mark.parametrize(("name", "files"), [("plans", crafted.plans), ("sweeps", crafted.sweeps)])
def test_crafted_plans_and_sweep_files_are_refused_in_one_line(name: str, files: Any, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    file = tmp_path / ("runs/sweep.json" if name == "plans" else "sweep.toml")
    line = ["status", str(tmp_path / "runs")] if name == "plans" else ["sweep", str(file), "--dry-run"]
    with inputs.bounded_memory():
        for _, content in files():
            file.write_bytes(content)
            verdict = inputs.command_verdict(line)
            assert verdict == inputs.REFUSED or (verdict == inputs.ACCEPTED and name == "plans")


# --- random inputs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["lines", "configurations", "sweeps"])
def test_random_inputs_are_accepted_or_refused_in_one_line(kind: str, tmp_path: Path) -> None:
    inputs.make_folders(tmp_path)
    tally = inputs.explore(tmp_path, kind, 100, 0)
    nothing_lost(tally, 100)
    assert min(tally.counts.values()) > 10


# --- the campaign itself ----------------------------------------------------------------------------------------------


def test_a_loss_is_counted_and_told() -> None:
    tally = Tally("fault", "expected")
    tally.judge(True, "")
    tally.judge(False, "why\nso")
    assert (tally.tried, tally.survived, tally.lost) == (2, 1, ["why so"])
    text = page([tally], [(Tally("file", ""), Tally("file", ""), None)], "make test-faults", 60)
    assert "**Tried 2, survived 1, lost 1.**" in text


def test_the_campaign_sees_what_is_executed_and_what_takes_memory(server: Server, tmp_path: Path) -> None:
    judge = hostile.Judge(server, tmp_path / "executed")
    judge.usual("--version")
    tally = Tally("", "")
    judge.marker.touch()
    judge.try_on(tally, "", "--version", codes=(0,))
    judge.try_on(tally, "", "--version")
    assert tally.lost == [", --version: its code was executed", ", --version: exit code 0:"]
