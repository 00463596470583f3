"""``tauscope analyze timescales --data``."""

from pathlib import Path

import numpy as np
import pytest
import torch

import tauscope as ts
from tauscope.analysis import timescales_of
from tauscope.cli import main
from tauscope.runs.results import load_result

QUICK = ["--max_lag", "12", "--fit_lags", "8", "--bootstrap", "0"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    steps = torch.randn(6, 80, 3, generator=torch.Generator().manual_seed(0)).numpy()
    steps[:, 1:] += 0.8 * steps[:, :-1]
    np.savez(tmp_path / "session.npz", activity=steps, dt=0.02)
    return tmp_path / "session.npz"


def test_a_recording_is_measured_kept_and_not_measured_twice(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", "timescales", "--data", str(data), *QUICK]) == 0
    assert "median timescale (s)" in capsys.readouterr().out
    kept = data.parent / "analysis" / "session_timescales.nc"
    result, source = load_result(kept)
    expected = timescales_of(np.load(data)["activity"], 0.02, max_lag=12, fit_lags=8, bootstrap=0)
    np.testing.assert_allclose(result.timescale, expected.timescale)
    assert source["analysis"] == "timescales"
    names = {"nc", "csv"} | {f"{name}.png" for name in ("autocorrelation", "distribution")}
    assert {path.name for path in kept.parent.iterdir()} == {
        f"session_timescales{'_' if '.' in name else '.'}{name}" for name in names
    }
    before = kept.stat().st_mtime_ns
    assert main(["analyze", "timescales", "--data", str(data), *QUICK]) == 0
    assert kept.stat().st_mtime_ns == before
    assert main(["analyze", "timescales", "--data", str(data), "--dt", "3", *QUICK]) == 2
    assert "expected --force" in capsys.readouterr().err
    assert (
        main(["analyze", "timescales", "--data", str(data), "--dt", "3", "--time-unit", "ms", "--force", *QUICK]) == 0
    )
    assert load_result(kept)[0].attrs["dt"] == 3


def test_a_network_is_drawn_beside_the_recording(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = data.parent / "run"
    ts.save(ts.LeakyRNN(6, generator=torch.Generator().manual_seed(0)), run, task=ts.Parity([2]))
    assert main(["analyze", "timescales", str(run), "--data", str(data), *QUICK]) == 2
    assert "measured before" in capsys.readouterr().err
    assert not (data.parent / "analysis").exists()
    assert main(["analyze", "timescales", str(run), "--n_trials", "2", "--n_steps", "500", *QUICK]) == 0
    assert main(["analyze", "timescales", str(run), "--data", str(data), "--step", "0.01", *QUICK]) == 0
    assert (data.parent / "analysis" / "session_timescales_compared.png").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("balance --data {data}", "balance of a recording: expected timescales"),
        ("timescales --data {data}x", "does not exist"),
        ("timescales --data {data} --n_steps 5", "--n_steps is decided by a recording"),
        ("timescales --data {data} --dt -1", "dt is -1.0"),
        ("timescales --data {data} --dt inf", "dt is inf: expected a finite number above 0"),
        ("timescales --data {data} --tau_max 1e-300", "tau_max is 1e-300: expected 0.01"),
        ("timescales --data {data} --bin_width 0.1", "for spike times"),
        ("timescales --data {data} --step 1", "without a network"),
        ("timescales --data {data} --variable activ", "did you mean 'activity'"),
        ("timescales nowhere --data {data}", "nowhere"),
        ("timescales --dt 1 {data}", "--dt without a recording"),
        ("timescales --data {data} --jobs 4", "--jobs 4 with a recording: expected it with networks alone"),
        ("timescales --data {data} --device cpu", "--device cpu with a recording"),
    ],
)
def test_bad_lines_are_refused_and_write_nothing(
    data: Path, line: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["analyze", *line.format(data=data).split()]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert [path.name for path in data.parent.iterdir()] == ["session.npz"]
