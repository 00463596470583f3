"""Pictures of sequences show the numbers they are given and can be read."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from tauscope.analysis.sequentiality import peak_order, weights_by_peak_difference
from tauscope.plotting.sequentiality import (
    plot_grid,
    plot_peak_order,
    plot_weights_by_peak_difference,
)


@pytest.fixture
def states():
    centres = np.random.default_rng(0).permutation(np.linspace(0, 39, 25))
    return 5 * np.exp(-0.5 * ((np.arange(40)[:, None, None] - centres) / 3) ** 2)


def test_a_sequence_is_a_diagonal_from_the_first_peak_above_to_the_last_below(states, readable):
    order = peak_order(states)
    ax = plot_peak_order(order)
    (image,) = ax.images
    picture = np.asarray(image.get_array())
    assert picture.shape == (25, 40)
    assert np.array_equal(picture.argmax(axis=1), order.peak_time.values)
    assert (np.diff(picture.argmax(axis=1)) >= 0).all()
    assert image.get_clim() == (0, 1)
    # The first row is drawn at the top, its pixels centred on whole steps and ranks.
    assert image.get_extent() == [-0.5, 39.5, 25.5, 0.5] or tuple(image.get_extent()) == (-0.5, 39.5, 25.5, 0.5)
    assert ax.get_title() == "mean of 1 trial"
    readable(ax)


def test_a_silent_network_has_an_empty_picture(readable):
    ax = plot_peak_order(peak_order(np.zeros((5, 2, 3))))
    assert ax.texts[0].get_text() == "no unit is active"
    assert not ax.images
    readable(ax)


def test_weights_are_drawn_with_their_spread_and_the_means_of_both_sides(states, readable, shade):
    rng = np.random.default_rng(1)
    result = weights_by_peak_difference(rng.standard_normal((25, 25)), states)
    ax = plot_weights_by_peak_difference(result)
    mean, forward, backward, _ = ax.lines
    known = result.isel(difference=np.flatnonzero(result.n_pairs.values > 0))
    assert np.array_equal(mean.get_xdata(), known.difference.values)
    assert np.array_equal(mean.get_ydata(), known.weight.values)
    (ranges,) = shade(ax)
    for difference in known.difference.values:
        one = known.sel(difference=difference)
        low, high = ranges[float(difference)]
        assert low == pytest.approx(float(one.weight - one["std"]))
        assert high == pytest.approx(float(one.weight + one["std"]))
    assert set(forward.get_ydata()) == {float(result.forward)}
    assert min(forward.get_xdata()) > 0
    assert set(backward.get_ydata()) == {float(result.backward)}
    assert max(backward.get_xdata()) < 0
    assert ax.get_legend().get_title().get_text() == "1 network, 1 trial"
    readable(ax)


def test_a_network_of_one_active_unit_has_no_weights_to_draw(readable):
    ax = plot_weights_by_peak_difference(weights_by_peak_difference(np.eye(2), np.ones((5, 1, 2)) * [1.0, 0.0]))
    assert ax.texts[0].get_text() == "fewer than two units are active"
    readable(ax)


def test_a_grid_shows_failed_networks_in_grey(readable):
    values = xr.DataArray(
        [[1.0, 2.0, 3.0], [4.0, np.nan, np.inf]],
        dims=("lambda_0", "sigma_0"),
        coords={"lambda_0": [0.8, 0.9], "sigma_0": [0.0, 0.1, 0.2]},
        attrs={"long_name": "sequentiality index (nats)"},
    )
    ax = plot_grid(values.transpose(), x="sigma_0", y="lambda_0")
    (image,) = ax.images
    assert np.ma.getmaskarray(image.get_array()).tolist() == [[False] * 3, [False, True, True]]
    assert tuple(image.get_extent()) == pytest.approx((-0.05, 0.25, 0.75, 0.95))
    assert image.origin == "lower"
    assert ax.get_title() == "6 networks, 2 failed (grey)"
    (colorbar,) = (one for one in ax.figure.axes if one is not ax)
    assert colorbar.get_ylabel() == "sequentiality index (nats)"
    readable(ax)
