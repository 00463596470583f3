"""``tauscope compare`` from the command line."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tauscope import TrainConfig
from tauscope.cli import main
from tauscope.runs.checkpoints import save_weights
from tauscope.runs.published import to_published
from tauscope.runs.run import Run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("runs")
    for number in (1, 2):
        config = replace(TrainConfig(num_neurons=8, seed=0), network_number=number, seed=number)
        with Run(base / config.name, config) as opened:
            opened.begin()
        save_weights(base / config.name / "rnn_N2_N2", to_published(config.model()))
    return base


@pytest.fixture
def runs(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two runs under the working folder, to be changed at will."""
    shutil.copytree(trained, tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    return [f"runs/cumulative_parity_size_8_network_{number}" for number in (1, 2)]


def error_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    before = sorted(Path.cwd().rglob("*"))
    assert main(["compare", *arguments]) == 2
    assert sorted(Path.cwd().rglob("*")) == before
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_the_page_is_written_and_written_again(runs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *runs]) == 0
    assert f"wrote {Path.cwd() / 'comparison.html'}" in capsys.readouterr().out
    first = Path("comparison.html").read_text()
    assert "tauscope analyze all cumulative_parity_size_8_network_2" in first
    for run in runs:
        assert main(["analyze", "connectivity", run]) == 0
    assert main(["compare", *runs]) == 0
    assert "spectral radius" in Path("comparison.html").read_text()


def test_results_and_page_may_lie_elsewhere(runs: list[str]) -> None:
    assert main(["analyze", "connectivity", runs[0], "-o", "results"]) == 0
    assert main(["compare", *runs, "--results", "results", "-o", "new/page.html"]) == 0
    assert "spectral radius" in Path("new/page.html").read_text()


def test_what_cannot_be_compared_is_refused(runs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.html").write_text("mine")
    assert "network_1: expected two or more to compare" in error_of(capsys, runs[0])
    assert "expected two or more to compare" in error_of(capsys, runs[0], f"{runs[0]}/../{Path(runs[0]).name}")
    assert "nowhere does not exist: expected a run folder" in error_of(capsys, runs[0], "nowhere")
    assert "runs holds no run: expected" in error_of(capsys, runs[0], "runs")
    assert "is not a report of tauscope" in error_of(capsys, *runs, "-o", "mine.html")
    assert "is a folder: expected a file" in error_of(capsys, *runs, "-o", "runs")
    assert "none holds no results of cumulative_parity_size_8_network_1" in error_of(capsys, *runs, "--results", "none")
    assert Path("mine.html").read_text() == "mine"
