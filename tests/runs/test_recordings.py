"""Recordings from files: the same activity in every format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from tauscope import DamagedFileError, InputError
from tauscope.runs.recordings import load_recording

ACTIVITY = np.random.default_rng(0).standard_normal((3, 8, 2))


def save_table(path: Path, activity: np.ndarray = ACTIVITY, **columns: Any) -> None:
    _, n_steps, n_units = activity.shape
    table = pd.DataFrame(activity.reshape(-1, n_units), columns=[f"neuron {i}" for i in range(n_units)])
    table.insert(0, "trial", np.repeat([5, 2, 9], n_steps)[: len(table)])
    table.assign(**columns).to_csv(path, index=False)


def test_numpy_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", activity=ACTIVITY, weights=np.eye(2), dt=0.5)
    np.savez(tmp_path / "b.npz", weights=np.eye(2), rates=ACTIVITY)
    np.save(tmp_path / "c.npy", ACTIVITY[0])
    recording = load_recording(tmp_path / "a.npz")
    np.testing.assert_array_equal(recording.activity, ACTIVITY)
    assert (recording.dt, recording.time_unit) == (0.5, None)
    np.testing.assert_array_equal(load_recording(tmp_path / "b.npz", variable="rates").activity, ACTIVITY)
    np.testing.assert_array_equal(load_recording(tmp_path / "c.npy").activity, ACTIVITY[:1])


def test_a_table_has_a_column_for_every_unit_and_trials_in_their_order(tmp_path: Path) -> None:
    save_table(tmp_path / "a.csv", time=np.tile(np.arange(8) * 0.25 + 3, 3))
    recording = load_recording(tmp_path / "a.csv")
    np.testing.assert_allclose(recording.activity, ACTIVITY)
    assert recording.dt == 0.25
    pd.DataFrame(ACTIVITY[0]).to_csv(tmp_path / "b.csv", index=False)
    np.testing.assert_allclose(load_recording(tmp_path / "b.csv").activity, ACTIVITY[:1])


@pytest.mark.parametrize("engine", ["h5netcdf", "scipy"])
def test_netcdf_with_dimensions_in_any_order(tmp_path: Path, engine: Any) -> None:
    time = ("time", np.arange(8) * 20.0, {"units": "ms"})
    rates = xr.DataArray(ACTIVITY, dims=("trial", "time", "unit"), coords={"time": time})
    data = xr.Dataset({"rates": rates.transpose("unit", "trial", "time"), "depth": ("unit", [1.0, 2.0])})
    data.to_netcdf(tmp_path / "a.nc", engine=engine)
    recording = load_recording(tmp_path / "a.nc")
    np.testing.assert_array_equal(recording.activity, ACTIVITY)
    assert (recording.dt, recording.time_unit) == (20, "ms")


def write_nwb(path: Path, spikes: list[list[float]], trials: list[tuple[float, float]]) -> None:
    """Write a session with units and trials by pynwb, or skip where it is not installed."""
    from datetime import datetime, timezone

    pynwb = pytest.importorskip("pynwb", reason="pynwb is not installed: pip install 'tauscope[nwb]'")
    session = pynwb.NWBFile("a session", "made", datetime(2026, 1, 1, tzinfo=timezone.utc))
    for times in spikes:
        session.add_unit(spike_times=times)
    for start, stop in trials:
        session.add_trial(start_time=start, stop_time=stop)
    with pynwb.NWBHDF5IO(str(path), "w") as file:
        file.write(session)


@pytest.mark.extras
@pytest.mark.filterwarnings("ignore")  # of pynwb and hdmf, about themselves
def test_spike_times_of_nwb_are_counted_in_bins_of_the_trials(tmp_path: Path) -> None:
    path = tmp_path / "a.nwb"
    write_nwb(path, [[0.05, 0.06, 1.15], [0.25]], [(0.0, 0.4), (1.0, 1.3)])
    recording = load_recording(path, bin_width=0.1)
    nan = float("nan")
    np.testing.assert_array_equal(recording.activity[..., 0], [[2, 0, 0, 0], [0, 1, 0, nan]])
    np.testing.assert_array_equal(recording.activity[..., 1], [[0, 0, 1, 0], [0, 0, 0, nan]])
    assert (recording.dt, recording.time_unit) == (0.1, "s")


@pytest.mark.filterwarnings("ignore")
def test_a_session_without_trials_is_one_trial(tmp_path: Path) -> None:
    path = tmp_path / "a.nwb"
    write_nwb(path, [[1.0, 1.05, 2.0]], [])
    assert load_recording(path, bin_width=0.25).activity.tolist() == [[[2.0], [0.0], [0.0], [0.0]]]
    with pytest.raises(InputError, match="width of bins"):
        load_recording(path)


def test_nwb_without_pynwb_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pynwb", None)
    (tmp_path / "a.nwb").write_bytes(b"")
    with pytest.raises(InputError, match=r"pip install 'tauscope\[nwb\]'"):
        load_recording(tmp_path / "a.nwb", bin_width=0.1)


@pytest.mark.parametrize("name", ["a.npz", "a.npy", "a.nc", "a.csv"])
@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n\x00", b"PK\x03\x04 torn", b"\xff\xfe\x00"])
def test_damaged_files_are_refused_in_a_line(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_recording(tmp_path / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pickled_arrays_are_not_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", activity=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DamagedFileError, match="allow_pickle"):
        load_recording(tmp_path / "a.npz")


def test_trials_of_a_table_may_have_unequal_numbers_of_rows(tmp_path: Path) -> None:
    pd.DataFrame({"trial": [1, 1, 2], "a": [1.0, 2, 3]}).to_csv(tmp_path / "ragged.csv", index=False)
    np.testing.assert_array_equal(load_recording(tmp_path / "ragged.csv").activity, [[[1.0], [2.0]], [[3.0], [np.nan]]])


def test_what_holds_no_recording_is_refused_with_what_was_expected(tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", rates=ACTIVITY, spikes=ACTIVITY)
    np.save(tmp_path / "flat.npy", ACTIVITY[0, 0])
    np.save(tmp_path / "words.npy", np.array([["a"]]))
    (tmp_path / "words.csv").write_text("trial,a\n1,left\n")
    (tmp_path / "empty.csv").write_text("trial,time\n1,2\n")
    save_table(tmp_path / "uneven.csv", time=np.tile(np.arange(8) ** 2, 3))
    save_table(tmp_path / "back.csv", time=np.tile(np.arange(8)[::-1], 3))
    xr.Dataset({"rates": (("trial", "channel"), np.eye(2))}).to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    (tmp_path / "a.mat").write_bytes(b"")
    refusals = {
        "two.npz": "holds 2 arrays: expected one of rates, spikes",
        "flat.npy": r"expected \[trial, time, unit\] or \[time, unit\]",
        "words.npy": "expected real numbers",
        "words.csv": "words in the column 'a'",
        "empty.csv": "0 columns of units",
        "uneven.csv": "expected evenly spaced",
        "back.csv": "from past to future",
        "a.nc": r"no variable \[trial, time, unit\]: it has rates \[trial, channel\]",
        "a.mat": r"ends in '.mat': expected one of .npz",
        "nothing.npz": "does not exist",
    }
    for name, message in refusals.items():
        with pytest.raises(InputError, match=message):
            load_recording(tmp_path / name)
    for options, message in (({"variable": "b"}, "of a .npz"), ({"bin_width": 1.0}, "for spike times")):
        with pytest.raises(InputError, match=message):
            load_recording(tmp_path / "flat.npy", **options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="did you mean 'rates'"):
        load_recording(tmp_path / "two.npz", variable="rate")
