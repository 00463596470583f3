from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from tauscope.analysis.lyapunov import lyapunov
from tauscope.plotting.lyapunov import plot_lyapunov_spectrum


def _result(exponents):
    exponents = np.asarray(exponents, dtype=float)
    coords = {"exponent": 1 + np.arange(exponents.shape[1])}
    return xr.Dataset({"exponents": (("trial", "exponent"), exponents)}, coords=coords)


def _bars(ax):
    return [tuple(segment[:, 1]) for segment in ax.containers[0][2][0].get_segments()]


def test_mean_and_range_over_trials_are_drawn(model, readable):
    result = lyapunov(model, 4, n_trials=3, n_steps=60, burn_in=20)
    ax = plot_lyapunov_spectrum(result)
    exponents = result["exponents"].values
    points = ax.containers[0][0]
    assert np.array_equal(points.get_xdata(), [1, 2, 3, 4])
    assert np.allclose(points.get_ydata(), exponents.mean(axis=0))
    assert np.allclose(_bars(ax), np.stack([exponents.min(axis=0), exponents.max(axis=0)], axis=1))
    assert ax.get_ylabel() == f"Lyapunov exponent ({result['exponents'].attrs['units']})"
    assert ax.get_legend().get_title().get_text() == "1 network, 3 trials"
    readable(ax)


@pytest.mark.parametrize("exponents", [[[-1.0, -2.0]], [[0.3, 0.1], [0.2, -0.1]]])
def test_zero_is_in_the_picture(exponents):
    ax = plot_lyapunov_spectrum(_result(exponents))
    assert list(ax.lines[0].get_ydata()) == [0, 0]
    low, high = ax.get_ylim()
    assert low < 0 < high


def test_exponents_that_are_not_finite_in_some_trial_are_counted(readable):
    ax = plot_lyapunov_spectrum(_result([[-1.0, -2.0, -np.inf, -np.inf], [-1.5, -3.0, -4.0, -np.inf]]))
    assert ax.containers[0][0].get_xydata().tolist() == [[1.0, -1.25], [2.0, -2.5]]
    assert ax.get_legend().get_title().get_text() == "1 network, 2 trials; 2 exponents not finite"
    readable(ax)


def test_nothing_finite_gives_a_note(readable):
    ax = plot_lyapunov_spectrum(_result([[-np.inf, np.nan]]))
    assert [text.get_text() for text in ax.texts] == ["no exponent is finite"]
    assert not ax.containers
    readable(ax)
