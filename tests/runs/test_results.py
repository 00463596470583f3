import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tauscope as ts
from tauscope.runs import results
from tauscope.runs.results import current_result, load_result, provenance, save_result

HERE = {"tauscope": ts.__version__, "threads": 1}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "single_parity_network_1" / "rnn_N5_N5"
    path.parent.mkdir()
    path.write_bytes(b"weights")
    return path


def source(checkpoint: Path, **changes: Any) -> dict[str, Any]:
    options = {"analysis": "timescales", "options": {"seed": 0}, "environment": HERE} | changes
    return provenance(checkpoint, **options)


def result() -> xr.Dataset:
    return xr.Dataset({"tau": ("unit", np.array([1.0, np.nan]), {"units": "steps"})}, attrs={"fraction": 0.9})


def test_what_was_saved_is_loaded_with_its_provenance(checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.nc"
    save_result(path, result(), source(checkpoint))
    loaded, told = load_result(path)
    xr.testing.assert_identical(loaded, result())
    assert told == source(checkpoint)
    assert told["checkpoint"] == "single_parity_network_1/rnn_N5_N5"
    assert (
        told["sha256"] == "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c"
    )  # printf weights | sha256sum


def test_other_readers_of_netcdf_read_a_result_too(checkpoint: Path, tmp_path: Path) -> None:
    save_result(tmp_path / "a.nc", result(), source(checkpoint))
    with xr.open_dataset(tmp_path / "a.nc") as opened:
        xr.testing.assert_equal(opened, result())


def test_any_changed_byte_of_a_result_is_noticed_or_changes_nothing(checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.nc"
    save_result(path, result(), source(checkpoint))
    content = path.read_bytes()
    refused = 0
    for position in range(0, len(content), 7):
        path.write_bytes(content[:position] + bytes([content[position] ^ 1 << position % 8]) + content[position + 1 :])
        try:
            loaded, told = load_result(path)
        except ts.DamagedFileError:
            refused += 1
        else:
            xr.testing.assert_identical(loaded, result())
            assert told == source(checkpoint)
    assert refused > 0.9 * len(content) / 7


def test_a_result_of_an_early_version_has_no_checksum_and_is_read(checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.nc"
    save_result(path, result(), source(checkpoint))
    result().assign_attrs({results._PROVENANCE: json.dumps(source(checkpoint))}).to_netcdf(path, engine="h5netcdf")
    loaded, told = load_result(path)
    xr.testing.assert_identical(loaded, result())
    assert told == source(checkpoint)


def test_a_result_is_current_for_the_same_network_options_and_version_alone(checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.nc"
    assert current_result(path, source(checkpoint)) is None
    save_result(path, result(), source(checkpoint))
    assert current_result(path, source(checkpoint)) is not None
    assert current_result(path, source(checkpoint, environment=HERE | {"threads": 2})) is not None
    assert current_result(path, source(checkpoint, options={"seed": 1})) is None
    assert current_result(path, source(checkpoint, analysis="lyapunov")) is None
    assert current_result(path, source(checkpoint, environment={"tauscope": "0.0.0"})) is None
    checkpoint.write_bytes(b"other weights")
    assert current_result(path, source(checkpoint)) is None


def test_without_its_checkpoint_a_result_is_current_for_the_network_of_that_name(
    checkpoint: Path, tmp_path: Path
) -> None:
    path = tmp_path / "a.nc"
    save_result(path, result(), source(checkpoint))
    checkpoint.unlink()
    assert source(checkpoint)["sha256"] is None
    assert current_result(path, source(checkpoint)) is not None
    assert current_result(path, source(checkpoint, options={"seed": 1})) is None
    assert current_result(path, source(checkpoint.with_name("other"))) is None


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200))
def test_any_other_file_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "foreign.nc"
    path.write_bytes(content)
    with pytest.raises(ts.DamagedFileError, match="is not a result of tauscope") as refused:
        load_result(path)
    assert "\n" not in str(refused.value)


def test_a_foreign_netcdf_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "foreign.nc"
    result().to_netcdf(path, engine="h5netcdf")
    with pytest.raises(ts.DamagedFileError, match="provenance"):
        load_result(path)
