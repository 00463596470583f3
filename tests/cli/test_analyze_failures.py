"""What fails while networks are measured costs itself alone: pictures, networks, runs, measurements."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from matplotlib import rc_context
from matplotlib.figure import Figure

import tauscope as ts
from tauscope.cli import main
from tauscope.measurements import MEASUREMENTS
from tauscope.measurements import keeping as measuring
from tauscope.plotting import style
from tauscope.runs import published
from tauscope.runs.checkpoints import save_weights
from tauscope.runs.results import load_result

FIRST, SECOND = "cumulative_parity_size_12_network_1", "cumulative_parity_size_12_network_2"


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two runs, each with one checkpoint of an untrained network; the working directory is their folder."""
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate((FIRST, SECOND)):
        Path(name).mkdir()
        model = ts.LeakyRNN(12, generator=torch.Generator().manual_seed(seed), n_heads=4)
        save_weights(Path(name, "rnn_N2_N3"), published.to_published(model))
    return [FIRST, SECOND]


def kept(run: str, measurement: str = "connectivity") -> bool:
    """Whether a result is there, whole, with its table."""
    path = Path(run, "analysis", f"rnn_N2_N3_{measurement}.nc")
    return path.exists() and bool(load_result(path)[0].sizes) and path.with_suffix(".csv").exists()


def no_tex(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(style.RC, "text.usetex", True)
    monkeypatch.setenv("PATH", "")


def failing(error: Exception) -> Callable[..., NoReturn]:
    def fail(*_: Any, **__: Any) -> NoReturn:
        raise error

    return fail


def no_savefig(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Figure, "savefig", failing(RuntimeError("cannot start the backend")))


def no_font(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matplotlib.axes.Axes.set_title", failing(ValueError("no font was found")))


def broken_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tauscope.plotting.connectivity.plot_eigenvalues", failing(KeyError("eigenvalue")))


def no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tauscope.plotting.connectivity.plot_weights", failing(MemoryError()))


@pytest.mark.parametrize("harm", [no_tex, no_savefig, no_font, broken_figure, no_memory])
def test_no_picture_costs_a_result_or_the_next_network(
    harm: Callable[[pytest.MonkeyPatch], None],
    runs: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with monkeypatch.context() as context, rc_context():
        harm(context)
        assert main(["analyze", "connectivity", *runs]) == 3
    said = capsys.readouterr()
    assert all(kept(run) for run in runs)
    assert said.out.count("spectral radius") == 2
    lines = said.err.splitlines()
    assert lines
    assert all("cannot be drawn, its result is kept: " in line for line in lines)
    assert "Traceback" not in said.err
    # Once the cause is gone, the same command draws what is missing, and measures nothing again.
    before = [Path(run, "analysis", "rnn_N2_N3_connectivity.nc").read_bytes() for run in runs]
    assert main(["analyze", "connectivity", *runs]) == 0
    assert before == [Path(run, "analysis", "rnn_N2_N3_connectivity.nc").read_bytes() for run in runs]
    for run in runs:
        result = Path(run, "analysis", "rnn_N2_N3_connectivity.nc")
        for name in ("eigenvalues", "weights"):
            picture = result.with_name(f"rnn_N2_N3_connectivity_{name}.png")
            assert picture.stat().st_mtime <= result.stat().st_mtime, "the report takes it for a picture of this result"


def test_a_picture_of_an_earlier_result_does_not_outlive_it(runs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = Path(FIRST, "analysis")
    assert main(["analyze", "lyapunov", runs[0]]) == 0
    assert list(pictures.glob("*.png"))
    with monkeypatch.context() as context:
        no_savefig(context)
        assert main(["analyze", "lyapunov", runs[0], "--force", "--seed", "1"]) == 3
    assert not list(pictures.glob("*.png"))


def test_a_backend_that_does_not_exist_costs_nothing(runs: list[str]) -> None:
    command = [sys.executable, "-m", "tauscope", "analyze", "connectivity", *runs]
    done = subprocess.run(command, env=os.environ | {"MPLBACKEND": "none such"}, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(Path(run, "analysis", "rnn_N2_N3_connectivity_weights.png").is_file() for run in runs)


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_an_error_that_nobody_foresaw_costs_one_measurement(
    jobs: str, runs: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if jobs == "1":
        fails = replace(MEASUREMENTS["lyapunov"], measure=failing(ZeroDivisionError("by zero")))
        monkeypatch.setattr(measuring, "MEASUREMENTS", MEASUREMENTS | {"lyapunov": fails})
    else:
        # In processes of their own nothing can be replaced: a file that cannot be a network's.
        Path(FIRST, "rnn_N2_N3").write_bytes(b"no network")
    measured = ["connectivity", "lyapunov"] if jobs == "1" else ["connectivity"]
    assert main(["analyze", ",".join(measured), *runs, "--jobs", jobs]) == 3
    said = capsys.readouterr()
    assert kept(SECOND)
    assert "Traceback" not in said.err
    assert len(said.err.splitlines()) == (2 if jobs == "1" else 1)


def unsolved(folder: Path) -> None:
    folder.mkdir()


def a_file(folder: Path) -> None:
    folder.write_text("mine")


def damaged(folder: Path) -> None:
    folder.mkdir()
    (folder / "rnn_N2_N2").write_bytes(b"torn")


def absent(_: Path) -> None:
    pass


def of_another_task(folder: Path) -> None:
    folder.mkdir()
    (folder / "rnn_N2_N2").write_bytes(Path(FIRST, "rnn_N2_N3").read_bytes())


@pytest.mark.parametrize("spoil", [unsolved, a_file, damaged, absent, of_another_task])
def test_a_run_that_cannot_be_measured_is_one_line_and_the_others_are_measured(
    spoil: Callable[[Path], None], runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(Path("bad_network_3"))
    assert main(["analyze", "connectivity", runs[0], "bad_network_3", runs[1], "--last"]) == 3
    said = capsys.readouterr()
    assert all(kept(run) for run in runs)
    (line,) = said.err.splitlines()
    assert line.startswith("tauscope: error: ")
    assert "bad_network_3" in line


def test_where_no_run_can_be_measured_nothing_is_written(runs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty_network_3").mkdir()
    assert main(["analyze", "connectivity", "empty_network_3", "nowhere", "--last"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2
    assert not any(Path(run, "analysis").exists() for run in runs)


@pytest.mark.parametrize("spoil", [unsolved, a_file, absent])
def test_a_comparison_goes_on_without_a_run_that_is_none(
    spoil: Callable[[Path], None], runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(Path("bad_network_3"))
    assert main(["compare", runs[0], "bad_network_3", runs[1]]) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert "bad_network_3" in line
    page = Path("comparison.html").read_text()
    assert all(run in page for run in runs)
    assert main(["compare", runs[0], "bad_network_3"]) == 2


def test_pages_and_tables_are_written_without_their_pictures(
    runs: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", runs[0], "--sequences", "16"]) == 0
    assert all(main(["analyze", "connectivity", run]) == 0 for run in runs)
    assert main(["report", runs[0]]) == main(["compare", *runs]) == 0
    for picture in Path().rglob("*.png"):
        picture.unlink()
    capsys.readouterr()
    no_savefig(monkeypatch)
    assert main(["evaluate", runs[0], "--sequences", "16"]) == 3
    assert "evaluation_rnn_N2_N3.png cannot be drawn, its table is kept" in capsys.readouterr().err
    assert Path(FIRST, "evaluation_rnn_N2_N3.csv").exists()
    assert main(["report", runs[0]]) == 3
    assert "2 figures of report.html cannot be drawn" in capsys.readouterr().err
    page = Path(FIRST, "report.html").read_text()
    assert "cannot start the backend" in page
    assert "spectral radius" in page


def test_an_option_that_is_wrong_for_every_network_is_said_once(
    runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["analyze", "credit", *runs, "--windows", "0"]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert "a window is 0: expected at least 1 (nearest valid value: 1) (and so for 1 other network)" in line
    assert not any(Path(run, "analysis").exists() for run in runs)
