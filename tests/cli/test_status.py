"""The table of runs: every state that a run can be in, read from its folder."""

from __future__ import annotations

import os
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import ConsoleDimensions

import tauscope as ts
from tauscope.cli import main
from tauscope.cli.console import PlainConsole
from tauscope.learning import curricula
from tauscope.runs.config import kind_of
from tauscope.runs.run import Run

TrainConfig = kind_of("parity")

CONFIG = TrainConfig(num_neurons=4, max_N=9, epochs=3, steps_per_epoch=2, batch_size=3, test_steps=1, seed=0)


@pytest.fixture(autouse=True)
def _all_solved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curricula.Criterion, "is_solved", lambda *_: True)


def go(run: Run, steps: int = 10**9) -> None:
    """Train for that many steps at most."""
    model, state, _ = run.begin()
    count = iter(range(1, steps + 1))
    config = run.config
    ts.train(
        model, config.template(), config.curriculum(), config.recipe(), state=state, store=run,
        stop=lambda: next(count) == steps,
    )  # fmt: skip


def train(folder: Path, config: TrainConfig = CONFIG, steps: int = 10**9) -> None:
    with Run(folder, config) as run:
        go(run, steps)


def table(folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, list[str]]:
    """Return the cells of every row by the name of its run; of cells of several lines, the first."""
    assert main(["status", str(folder)]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    lines = [line for line in captured.out.splitlines() if line.startswith("│")]
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]
    return {row[0]: row[1:] for row in rows if row[0]}


def test_every_state_of_a_run_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(tmp_path / "by_epochs")
    train(tmp_path / "by_curriculum", replace(CONFIG, max_N=3))
    train(tmp_path / "from_scratch", replace(CONFIG, curriculum_type="single_nocurr", ns_init=5))
    train(tmp_path / "deep" / "stopped", steps=5)
    train(tmp_path / "fresh", steps=1)
    train(tmp_path / "damaged")
    (tmp_path / "damaged" / "config.json").write_text("{")
    train(tmp_path / "records")
    (tmp_path / "records" / "metrics.jsonl").write_text('{"epoch": 1}\n')
    with Run(tmp_path / "running", CONFIG) as run:
        go(run, steps=3)
        rows = table(tmp_path, capsys)
    assert {name: (row[0], row[1], row[2]) for name, row in rows.items()} == {
        "by_epochs": ("finished", "4", "3/3"),
        "by_curriculum": ("finished", "3", "2/3"),
        "from_scratch": ("finished", "5", "1/3"),
        "deep/stopped": ("stopped", "3", "2/3"),
        "fresh": ("stopped", "-", "0/3"),
        "damaged": ("damaged", "", ""),
        "records": ("damaged", "", ""),
        "running": ("running", "2", "1/3"),
    }
    assert "config.json" in rows["damaged"][3]
    assert "metrics.jsonl" in rows["records"][3]
    last = rows["deep/stopped"]
    assert last[3].startswith("N 2: ")
    assert last[3].endswith(" %")
    assert float(last[4]) > 0
    assert re.fullmatch(r"\d:\d\d ago", last[5])


def test_a_finished_run_that_is_asked_for_more_is_not_finished(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path / "run")
    train(tmp_path / "run", replace(CONFIG, epochs=9), steps=1)
    assert table(tmp_path, capsys)["run"][:3] == ["stopped", "4", "3/9"]
    train(tmp_path / "short", replace(CONFIG, max_N=3))
    train(tmp_path / "short", replace(CONFIG, max_N=7), steps=1)
    assert table(tmp_path, capsys)["short"][:3] == ["stopped", "3", "2/3"]


def test_the_age_is_that_of_the_last_epoch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(tmp_path / "run")
    then = time.time() - 7265
    os.utime(tmp_path / "run" / "metrics.jsonl", (then, then))
    assert table(tmp_path, capsys)["run"][5] == "2:01 h ago"


def test_a_run_may_be_named_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(tmp_path / "run")
    assert list(table(tmp_path / "run", capsys)) == ["."]


def test_looking_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(tmp_path / "run")

    def files() -> dict[str, tuple[bytes, int]]:
        return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in (tmp_path / "run").iterdir()}

    before = files()
    table(tmp_path, capsys)
    assert files() == before
    with Run(tmp_path / "run", CONFIG):
        table(tmp_path, capsys)


@pytest.mark.parametrize("name", ["nowhere", "empty", "file"])
def test_a_folder_without_runs_is_refused_in_one_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    assert main(["status", str(tmp_path / name)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("tauscope: error: ")
    assert str(tmp_path / name) in line
    assert "expected" in line


def shown(folder: Path, columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return what a terminal of so many columns shows."""
    monkeypatch.setattr(PlainConsole, "size", ConsoleDimensions(columns, 25))
    assert main(["status", str(folder)]) == 0
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("columns", [30, 40, 80, 120, 160])
def test_no_terminal_is_too_narrow_for_whole_words(
    columns: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "a_long_condition_of_a_sweep_network_12"
    train(tmp_path / name)
    train(tmp_path / "damaged", steps=1)
    (tmp_path / "damaged" / "config.json").write_text("{")
    lines = shown(tmp_path, columns, monkeypatch, capsys)
    assert all(len(line) <= columns for line in lines)
    text = "".join(re.sub(r"[│┃ ]", "", line) for line in lines)
    assert "…" not in text
    assert name in text
    # Words of a cell may be wrapped, and those of a narrow terminal follow one another.
    words = [re.sub(r"[│┃]", " ", line) for line in lines]
    assert re.search(r"\bfinished\b.*\b3/3\b.* %", " ".join(words))
    assert {"config.json", "JSON", "file"} <= {word for line in words for word in re.split(r"[ /]+", line)}


@pytest.mark.parametrize(
    ("ahead", "ago"), [(-75, "1:15 ago"), (30, "0:00 ago"), (90 * 60, "in the future"), (10**9, "in the future")]
)
def test_a_clock_that_differs_is_told(
    ahead: int, ago: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path / "run")
    moment = time.time()
    monkeypatch.setattr(time, "time", lambda: moment)
    os.utime(tmp_path / "run" / "metrics.jsonl", (moment + ahead, moment + ahead))
    assert main(["status", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert ago in out
    assert "-" not in ago
    assert ("note: epochs in the future: the clock of this machine differs" in out) == (ahead > 60)


def test_links_are_followed_and_circles_are_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(tmp_path / "scratch" / "far")
    train(tmp_path / "scratch" / "farther" / "deep")
    train(tmp_path / "runs" / "near")
    train(tmp_path / "beside")
    links = {
        "linked": tmp_path / "scratch",  # a folder of runs
        "a_run": tmp_path / "beside",  # a run
        "alias": tmp_path / "runs" / "near",  # a run that is here already
        "again": tmp_path / "scratch" / "far",
        "here": Path("."),  # circles
        "up": Path(".."),
        "itself": Path("itself"),
        "nowhere": tmp_path / "gone",
    }
    for name, target in links.items():
        (tmp_path / "runs" / name).symlink_to(target)
    rows = table(tmp_path / "runs", capsys)
    found = set(rows) - {"run"}
    assert {"near", "a_run", "linked/farther/deep"} <= found
    assert len(found & {"again", "linked/far"}) == 1
    assert len(found) == 4
    (tmp_path / "shortcut").symlink_to(tmp_path / "runs")
    again = table(tmp_path / "shortcut", capsys)
    # A second may pass between the two tables, which the columns from the age on tell.
    assert {name: row[:5] for name, row in again.items()} == {name: row[:5] for name, row in rows.items()}


def test_a_run_whose_configuration_is_a_dangling_link_is_damaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path / "run")
    (tmp_path / "run" / "config.json").unlink()
    (tmp_path / "run" / "config.json").symlink_to("gone")
    assert table(tmp_path, capsys)["run"][0] == "damaged"
