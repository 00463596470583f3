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


NAMED = "a,b\n" + "0.5,1\n0.25,2\n" * 9


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (NAMED.removeprefix("a,b\n"), r"begins with the numbers 0.5, 1: expected the names of its columns"),
        (NAMED.replace("a,b", "-1,3"), "begins with the numbers -1, 3"),
        (NAMED.replace("a,b", "nan,inf"), "begins with the numbers"),
        # Counts of spikes without names: pandas tells equal ones apart.
        (NAMED.replace("a,b", "0,0"), "begins with the numbers"),
        # What a table's index leaves behind.
        (NAMED.replace("a,b", ",b"), "a column without a name: expected a name for every unit, and no index"),
        (NAMED.replace("a,b", "a, "), "a column without a name"),
        # More fields than names would be taken for an index, or left out.
        (NAMED.replace("a,b", "a"), "2 fields in its line 2 and 1 names in its first"),
        ("a;b\n" + "0,5;1,5\n" * 9, "3 fields in its line 2 and 1 names"),
        # Fewer would be samples that are none.
        (NAMED + "0.5\n", "1 fields in its line 20 and 2 names in its first: expected as many"),
        ('"the first\nunit",b\n' + "0.5,1\n" * 9 + "\n0.5\n", "1 fields in its line 13 and 2 names"),
        (
            "a;b\n" + "0.5;1.5\n" * 9,
            "words in the column 'a;b': expected numbers in every unit's column, separated by commas",
        ),
        # Rows without a trial would be left out.
        ("trial,a\n1,0.5\n,0.25\n1,0.5\n", "no trial in its row 3: expected a trial in every row"),
    ],
)
def test_a_table_that_would_be_read_as_another_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        load_recording(tmp_path / "a.csv")


def test_empty_lines_and_fields_of_a_table_are_read_as_such(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("\ufeff" + NAMED + "\n,3\n\n", encoding="utf-8")
    activity = load_recording(tmp_path / "a.csv").activity[0]
    np.testing.assert_array_equal(activity[-1], [np.nan, 3])
    assert len(activity) == 19


def test_columns_of_trials_and_times_are_known_however_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Trial, TIME ,a\n" + "".join(f"{i // 4},{i % 4 * 0.5},{i}\n" for i in range(8)))
    recording = load_recording(tmp_path / "a.csv")
    assert recording.activity[..., 0].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert recording.dt == 0.5
    # A unit can have a number for its name.
    (tmp_path / "b.csv").write_text(NAMED.replace("a,b", "12,7"))
    assert load_recording(tmp_path / "b.csv").activity.shape == (1, 18, 2)


@pytest.mark.parametrize("dt", [-1.0, 0.0, np.nan, np.inf, [0.1, 0.2], "fast", 1 + 2j, [], True])
def test_a_time_step_that_is_none_is_refused_with_its_file(tmp_path: Path, dt: Any) -> None:
    np.savez(tmp_path / "a.npz", activity=ACTIVITY, dt=dt)
    with pytest.raises(InputError, match=r"a.npz holds a dt of .*: expected one number above 0"):
        load_recording(tmp_path / "a.npz")


def test_a_time_step_may_be_an_array_of_one_number(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", activity=ACTIVITY, dt=np.array([[0.5]]))
    assert load_recording(tmp_path / "a.npz").dt == 0.5


def test_files_of_no_array_and_of_more_than_memory_holds_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "none.npz", dt=1.0)
    with pytest.raises(InputError, match=r"holds no array: expected one \[trial, time, unit\]"):
        load_recording(tmp_path / "none.npz")
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000000, 10, 10), }"
    (tmp_path / "huge.npy").write_bytes(b"\x93NUMPY\x01\x00\x76\x00" + header.ljust(117) + b"\n")
    with pytest.raises(InputError, match=r"huge.npy needs more memory than there is"):
        load_recording(tmp_path / "huge.npy")


def test_the_unit_of_times_since_a_date_is_that_of_a_step(tmp_path: Path) -> None:
    time = ("time", np.arange(8) * 0.5, {"units": "seconds since 2020-01-01"})
    xr.Dataset({"rates": (("trial", "time", "unit"), ACTIVITY)}, {"time": time}).to_netcdf(tmp_path / "a.nc")
    assert load_recording(tmp_path / "a.nc").time_unit == "seconds"
