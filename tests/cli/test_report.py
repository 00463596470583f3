"""``tauscope report`` from the command line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tauscope import TrainConfig
from tauscope.cli import main
from tauscope.runs.checkpoints import save_weights
from tauscope.runs.published import to_published
from tauscope.runs.run import Run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = TrainConfig(num_neurons=8, seed=0)
    run = tmp_path_factory.mktemp("runs") / config.name
    with Run(run, config) as opened:
        opened.begin()
    save_weights(run / "rnn_N2_N2", to_published(config.model()))
    return run


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / trained.name)


def error_of(capsys, *arguments: object) -> str:
    assert main(["report", *map(str, arguments)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_the_page_lies_in_the_run_and_is_made_again(run, capsys):
    assert main(["report", str(run)]) == 0
    page = run / "report.html"
    assert f"wrote {page}" in capsys.readouterr().out
    assert "analyze all" in page.read_text()
    assert main(["analyze", "connectivity", str(run)]) == 0
    assert main(["report", str(run)]) == 0
    assert "Connectivity of rnn_N2_N2: eigenvalues" in page.read_text()
    assert {path.name for path in run.glob("*.tmp")} == set()


def test_the_run_may_be_the_working_folder(run, monkeypatch):
    monkeypatch.chdir(run / "..")
    assert main(["report", run.name, "-o", f"{run.name}/here.html"]) == 0
    monkeypatch.chdir(run)
    assert main(["report", ".", "-o", "there.html"]) == 0
    assert Path("here.html").read_text() == Path("there.html").read_text()
    assert f"<title>{run.name}</title>" in Path("here.html").read_text()


def test_results_and_page_may_lie_elsewhere(run, tmp_path):
    results = tmp_path / "results"
    assert main(["analyze", "connectivity", str(run), "-o", str(results)]) == 0
    page = tmp_path / "new" / "page.html"
    assert main(["report", str(run), "--results", str(results), "-o", str(page)]) == 0
    assert f'href="../results/{run.name}/analysis/rnn_N2_N2_connectivity.nc"' in page.read_text()
    assert "report.html" not in {path.name for path in run.iterdir()}
    assert "analysis" not in {path.name for path in run.iterdir()}


def test_only_an_earlier_report_is_overwritten(run, capsys):
    before = (run / "config.json").read_bytes()
    assert "is not a report of tauscope" in error_of(capsys, run, "-o", run / "config.json")
    assert (run / "config.json").read_bytes() == before


def test_what_is_no_run_is_refused_by_name(run, tmp_path, capsys):
    assert "nowhere does not exist: expected a run folder" in error_of(capsys, tmp_path / "nowhere")
    assert f"nearest valid value: {run}" in error_of(capsys, run / "rnn_N2_N2")
    assert (
        f"holds no run: expected a config.json or checkpoints such as rnn_N2_N10 (nearest valid value: {run})"
        in error_of(capsys, tmp_path)
    )


def test_folders_that_do_not_serve_are_refused(run, tmp_path, capsys):
    assert "is a folder: expected a file" in error_of(capsys, run, "-o", tmp_path)
    assert f"holds no results of {run.name}" in error_of(capsys, run, "--results", tmp_path / "none")
    blocked = tmp_path / "file"
    blocked.touch()
    assert "cannot" in error_of(capsys, run, "-o", blocked / "report.html")
