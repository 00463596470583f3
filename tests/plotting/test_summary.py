from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import tauscope as ts
from tauscope.plotting.summary import CURRICULUM_COLOURS, CURRICULUM_MARKERS, CURRICULUM_NAMES, looks_of, plot_against_N


def _curve(values, first=2):
    values = np.asarray(values, dtype=float)
    return xr.DataArray(values, dims=("network", "N"), coords={"N": first + np.arange(values.shape[1])})


def _legend(ax):
    legend = ax.get_legend()
    return legend.get_title().get_text(), [text.get_text() for text in legend.get_texts()]


def test_mean_and_range_over_networks_are_drawn(shade, readable):
    multi = np.array([[1.5, 1.4, 1.3], [1.3, 1.2, 1.25], [1.4, 1.3, 1.1]])
    ax = plot_against_N({"cumulative": _curve(multi), "single": _curve([[1.5, 1.6]], first=3)}, "mean τ (steps)")
    first, second = ax.lines
    assert np.allclose(first.get_xydata(), np.stack([[2, 3, 4], multi.mean(axis=0)], axis=1))
    assert second.get_xydata().tolist() == [[3, 1.5], [4, 1.6]]
    (ranges,) = shade(ax)
    assert ranges == {2.0: (1.3, 1.5), 3.0: (1.2, 1.4), 4.0: (1.1, 1.3)}
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("N (bits to remember)", "mean τ (steps)")
    title, labels = _legend(ax)
    assert title == "mean over networks, shaded: their range"
    assert labels == ["multi-head, 3 networks", "single-head, 1 network"]
    readable(ax)


def test_a_long_label_stays_beside_its_axes(readable):
    ax = plot_against_N(
        {name: _curve([[1.5, 1.6]]) for name in ("cumulative", "single")}, "components for 90 % of the variance"
    )
    assert ax.get_ylabel() == "components for 90 % of the\nvariance"
    readable(ax)


def test_networks_that_did_not_reach_N_are_left_out_and_this_is_said(shade, readable):
    ax = plot_against_N({"single": _curve([[1.0, 2.0, np.nan], [3.0, np.nan, np.nan]])}, "mean τ (steps)")
    assert np.array_equal(ax.lines[0].get_ydata(), [2.0, 2.0, np.nan], equal_nan=True)
    assert shade(ax) == [{2.0: (1.0, 3.0), 3.0: (2.0, 2.0)}]
    assert _legend(ax)[0] == "mean over networks that reached N, shaded: their range"
    readable(ax)


def test_every_curriculum_has_a_look_of_its_own(readable):
    curves = {name: _curve([[1.0, i]]) for i, name in enumerate(CURRICULUM_NAMES)}
    ax = plot_against_N(curves, "mean τ (steps)")
    assert len({line.get_color() for line in ax.lines}) == len({line.get_marker() for line in ax.lines}) == len(curves)
    assert set(CURRICULUM_COLOURS) == set(CURRICULUM_MARKERS) == set(CURRICULUM_NAMES)
    readable(ax)


def test_an_unknown_curriculum_is_refused():
    with pytest.raises(ts.InputError, match=r"curriculum 'singel' is unknown: .*did you mean 'single'"):
        plot_against_N({"singel": _curve([[1.0]])}, "mean τ (steps)")


def test_groups_of_any_name_have_looks_of_their_own(readable):
    names = [f"group {i}" for i in range(7)]
    looks = looks_of(names)
    assert len({(one.colour, one.marker) for one in looks.values()}) == len(names)
    ax = plot_against_N({name: _curve([[1.0, i]]) for i, name in enumerate(names)}, "mean τ (steps)", looks=looks)
    assert _legend(ax)[1] == [f"{name}, 1 network" for name in names]
    assert [line.get_marker() for line in ax.lines] == [one.marker for one in looks.values()]
    readable(ax)
