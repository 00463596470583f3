from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

from tauscope.analysis.dimensionality import dimensionality
from tauscope.plotting.dimensionality import plot_variance_spectrum
from tauscope.plotting.style import new_axes


@pytest.fixture(scope="module")
def result(model):
    return dimensionality(model, n_trials=3, n_steps=400, generator=torch.Generator().manual_seed(1))


def test_shares_of_the_variance_are_drawn(result, shade, readable):
    ax = plot_variance_spectrum(result)
    spectra = result["variance"].values
    shares = spectra / spectra.sum(axis=1, keepdims=True)
    each, cumulative, fraction, count = ax.lines
    assert np.array_equal(each.get_xdata(), np.arange(1, 13))
    assert np.allclose(each.get_ydata(), shares.mean(axis=0))
    assert np.allclose(cumulative.get_ydata(), np.cumsum(shares, axis=1).mean(axis=0))
    assert list(fraction.get_ydata()) == [0.9, 0.9]
    assert list(count.get_xdata()) == [result["n_components"].values.mean()] * 2
    low, high = shade(ax)[0][1.0]
    assert (low, high) == pytest.approx((shares[:, 0].min(), shares[:, 0].max()))
    readable(ax)


def test_what_is_drawn_is_said(result):
    ax = plot_variance_spectrum(result)
    legend = ax.get_legend()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("principal component", "share of the variance")
    assert legend.get_title().get_text() == "1 network, 3 trials: mean, shaded: range"
    mean = float(result["n_components"].mean())
    assert [text.get_text() for text in legend.get_texts()][2:] == [
        "90% of the variance",
        f"{mean:.3g} components hold it (mean over trials)",
    ]


def test_the_covariance_of_all_trials_together_has_no_range(result, readable):
    together = result.isel(trial=[0]).assign_attrs(n_trials=300)
    ax = plot_variance_spectrum(together)
    assert ax.get_legend().get_title().get_text() == "1 network, 300 trials together"
    assert ax.get_legend().get_texts()[-1].get_text() == f"{int(together['n_components'][0])} components hold it"
    assert not ax.collections
    readable(ax)


def test_trials_without_variance_are_left_out():
    variance = xr.DataArray([[3.0, 1.0], [0.0, 0.0]], dims=("trial", "component"), coords={"component": [1, 2]})
    result = xr.Dataset({"variance": variance, "n_components": ("trial", [2, 0])}, attrs={"fraction": 0.9})
    ax = plot_variance_spectrum(result)
    assert np.array_equal(ax.lines[0].get_ydata(), [0.75, 0.25])
    assert list(ax.lines[3].get_xdata()) == [2.0, 2.0]
    assert ax.get_legend().get_title().get_text().startswith("1 network, 1 trial:")


def test_number_of_components_is_a_mean_over_trials():
    variance = xr.DataArray([[8.0, 1.0, 1.0], [10.0, 0.0, 0.0]], dims=("trial", "component"))
    data = {"variance": variance.assign_coords(component=[1, 2, 3]), "n_components": ("trial", [3, 1])}
    assert list(plot_variance_spectrum(xr.Dataset(data, attrs={"fraction": 0.95})).lines[3].get_xdata()) == [2.0, 2.0]


def test_a_silent_network_gives_a_note(readable):
    variance = xr.DataArray(np.zeros((2, 3)), dims=("trial", "component"), coords={"component": [1, 2, 3]})
    result = xr.Dataset({"variance": variance, "n_components": ("trial", [0, 0])}, attrs={"fraction": 0.9})
    ax = plot_variance_spectrum(result)
    assert [text.get_text() for text in ax.texts] == ["the activity has no variance"]
    assert not ax.lines
    readable(ax)


def test_given_axes_are_drawn_on(result):
    ax = new_axes()
    assert plot_variance_spectrum(result, ax) is ax
