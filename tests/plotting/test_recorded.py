import numpy as np
import pytest
import torch
import xarray as xr

from tauscope import InputError
from tauscope.analysis import timescales_of
from tauscope.plotting.recorded import plot_timescale_comparison


def network(taus: list[float]) -> xr.Dataset:
    return xr.Dataset({"tau_net": ("unit", taus)}, attrs={"fit_lags": 30})


def test_networks_and_recordings_share_the_axis_of_the_recordings_time() -> None:
    data = network([3.0, 1.0, 2.0]).assign_attrs(dt=20.0, time_unit="ms")
    ax = plot_timescale_comparison({"data": data, "model": network([4.0, np.nan, 8.0, 0.0])}, step=5.0)
    drawn = [np.asarray(line.get_xdata(), dtype=float) for line in ax.lines]
    np.testing.assert_allclose(drawn[0], [20, 20, 40, 60])
    np.testing.assert_allclose(drawn[1][2:], [20, 40])
    assert drawn[1][0] == drawn[1][1] < 20, "a timescale of 0 lies at the edge"
    assert [line.get_ydata()[-1] for line in ax.lines] == [1, 1]
    assert ax.get_xlabel() == "timescale (ms)"


def test_what_has_no_timescale_is_drawn_as_such_and_units_are_not_mixed() -> None:
    silent = timescales_of(torch.zeros(2, 30, 3), dt=0.1)
    ax = plot_timescale_comparison({"silent": silent})
    assert "no unit has a timescale" in [text.get_text() for text in ax.texts]
    with pytest.raises(InputError, match="one time unit"):
        plot_timescale_comparison({"a": silent, "b": silent.assign_attrs(time_unit="ms")})
    with pytest.raises(InputError, match="at least one result"):
        plot_timescale_comparison({})
