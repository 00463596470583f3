from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from tauscope.plotting.style import (
    broken,
    draw_mean_and_range,
    integer_ticks,
    legend_below,
    log_axis,
    new_axes,
    note,
    relative_accuracy_axis,
    title,
)

_DRAW = """
import sys
import numpy as np, xarray as xr
import tauscope.plotting.accuracy, tauscope.plotting.dimensionality, tauscope.plotting.connectivity
import tauscope.plotting.lyapunov, tauscope.plotting.interventions, tauscope.plotting.memory
import tauscope.plotting.timescales, tauscope.plotting.summary, tauscope.plotting.training
import tauscope.plotting.performance, tauscope.plotting.sequentiality
import matplotlib
# Asking for the backend would choose one.
params = [key for key in matplotlib.rcParams if key != "backend"]
before = [matplotlib.rcParams[key] for key in params]
ax = tauscope.plotting.connectivity.plot_weights(np.eye(3))
ax = tauscope.plotting.training.plot_training([{"epoch": 1, "accuracy": [0.9], "loss": 0.8}])
ax.figure.savefig(sys.argv[1])
assert [matplotlib.rcParams[key] for key in params] == before
assert "matplotlib.pyplot" not in sys.modules
"""


def test_drawing_leaves_no_state_behind(tmp_path):
    target = tmp_path / "figure.png"
    done = subprocess.run([sys.executable, "-c", _DRAW, str(target)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert target.stat().st_size > 0


def test_figures_are_each_other_s_strangers():
    assert new_axes().figure is not new_axes().figure


@pytest.mark.parametrize("n_entries", [0, 1, 12])
def test_legend_stands_below_the_label(readable, n_entries):
    ax = new_axes(height=3 + 0.14 * n_entries)
    for i in range(n_entries):
        ax.plot([0, 1e-5], [0, -1000 - i], color="black", label=f"entry {i}")
    ax.set(xlabel="time (steps)", ylabel="activity")
    legend_below(ax, title="2 networks\nin two lines")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [f"entry {i}" for i in range(n_entries)]
    readable(ax)


def test_mean_and_range_pass_over_what_is_not_finite(shade):
    values = xr.DataArray(
        [[1.0, np.nan, np.nan], [2.0, np.inf, np.nan], [6.0, 4.0, np.nan]], dims=("trial", "N"), coords={"N": [2, 3, 4]}
    )
    ax = new_axes()
    draw_mean_and_range(ax, [2, 3, 4], values, "trial", "accuracy", "black")
    assert np.array_equal(ax.lines[0].get_ydata(), [3.0, 4.0, np.nan], equal_nan=True)
    assert shade(ax) == [{2.0: (1.0, 6.0), 3.0: (4.0, 4.0)}]


def test_one_sample_has_no_range():
    ax = new_axes()
    draw_mean_and_range(ax, [2], xr.DataArray([[1.0]], dims=("trial", "N")), "trial", "accuracy", "black")
    assert not ax.collections


@pytest.mark.parametrize("limits", [(0.2, 4), (0.2, 120), (1, 500), (1, 48), (0.9, 1.1)])
def test_numbers_of_a_logarithmic_axis_do_not_overlap(readable, limits):
    ax = new_axes()
    ax.plot(limits, [0, 1], color="black")
    ax.set(xlabel="timescale (steps)", ylabel="units")
    log_axis(ax)
    readable(ax)
    low, high = ax.get_xlim()
    shown = [tick.label1.get_text() for tick in ax.xaxis.get_major_ticks() if low <= tick.get_loc() <= high]
    assert shown
    assert all(f"{float(text):g}" == text for text in shown)


@pytest.mark.parametrize("values", [[3], [3, 4], [2, 101]])
def test_counted_things_have_ticks_at_integers_alone(values):
    ax = new_axes()
    ax.plot(values, values)
    integer_ticks(ax.xaxis, ax.yaxis)
    low, high = ax.get_xlim()
    for ticks in (ax.get_xticks(), ax.get_yticks()):
        shown = [tick for tick in ticks if low <= tick <= high]
        assert shown
        assert all(tick == round(tick) for tick in shown)


@settings(deadline=None)
@given(name=st.text("ab_ 0.", max_size=60), width=st.integers(1, 50))
def test_a_broken_name_is_the_name_and_no_line_is_too_long_that_could_be_broken(name, width):
    lines = broken(name, width).split("\n")
    assert "".join(lines) == name
    assert all(line.endswith("_") for line in lines[:-1])
    assert all(len(line) <= width or "_" not in line[:-1] for line in lines)


def test_the_longest_names_of_runs_fit_a_column(readable):
    ax = new_axes()
    ax.set(xlabel="lag", ylabel="autocorrelation of everything")
    title(ax, "multitask_comp_then_2afc_size_100_trial_10_40-50-60_10_lambda_0.98_sigma_0.0125_network_12", "rnn_N2_N2")
    readable(ax)


def test_note_stands_in_the_middle():
    ax = new_axes()
    note(ax, "nothing")
    (text,) = ax.texts
    assert text.get_position() == (0.5, 0.5)
    assert text.get_transform() is ax.transAxes


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-50, 50) | st.sampled_from([np.nan, np.inf, -np.inf]), max_size=4))
def test_relative_accuracy_axis_holds_every_finite_value_and_both_fixed_points(values):
    ax = new_axes(1, 1)
    relative_accuracy_axis(ax, np.array(values), "intact network", "chance")
    low, high = ax.get_ylim()
    known = [value for value in values if np.isfinite(value)]
    assert all(low < value < high for value in [0.0, 1.0, *known])
    assert [(line.get_ydata()[0], line.get_label()) for line in ax.lines] == [
        (1, "1: intact network"),
        (0, "0: chance"),
    ]
    assert len(ax.texts) == (not known)
