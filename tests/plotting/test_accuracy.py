"""What is drawn is what was measured."""

from __future__ import annotations

import io
from typing import cast

import matplotlib
import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tauscope.plotting.accuracy import plot_accuracy
from tauscope.plotting.style import new_axes


@pytest.fixture
def own() -> xr.DataArray:
    """Accuracy of N = 1 … 6, where N = 1 has no head."""
    accuracy = np.array([np.nan, 1.0, 0.99, 0.95, 0.6, 0.5])
    return xr.DataArray(
        accuracy,
        dims="N",
        coords={
            "N": np.arange(1, 7),
            "low": ("N", accuracy - np.linspace(0.01, 0.06, 6)),
            "high": ("N", accuracy + np.linspace(0.005, 0.01, 6)),
            "chance": ("N", [0.5, 0.667, 0.5, 0.6, 0.5, 0.571]),
        },
        attrs={"n_sequences": 123},
    )


def png(ax: Axes) -> bytes:
    file = io.BytesIO()
    cast(Figure, ax.figure).savefig(file, format="png")
    return file.getvalue()


def texts(ax: Axes) -> list[str]:
    legend = ax.get_legend()
    assert legend is not None
    return [legend.get_title().get_text(), *(one.get_text() for one in legend.get_texts())]


def test_accuracy_interval_chance_and_trained_range_are_drawn(own: xr.DataArray) -> None:
    ax = plot_accuracy(own, trained=(2, 4))
    (chance,) = (line for line in ax.get_lines() if str(line.get_label()).startswith("chance"))
    np.testing.assert_array_equal(chance.get_xydata(), np.stack([own["N"], own["chance"]], axis=1))

    (bars,) = (one for one in ax.containers if isinstance(one, ErrorbarContainer))
    points, _, (intervals,) = bars.lines
    np.testing.assert_array_equal(points.get_xydata(), np.stack([own["N"][1:], own[1:]], axis=1))
    drawn = np.array(intervals.get_segments())
    np.testing.assert_allclose(drawn[:, 0, 1], own["low"][1:])
    np.testing.assert_allclose(drawn[:, 1, 1], own["high"][1:])

    (shade,) = (patch for patch in ax.patches if isinstance(patch, Rectangle))
    assert (shade.get_x(), shade.get_x() + shade.get_width()) == (1.5, 4.5)
    assert texts(ax) == [
        "1 network, 123 sequences", "trained N", "chance (best constant answer)", "own head, 95 % interval"
    ]  # fmt: skip
    assert ax.get_xlabel() == "N (bits to remember)"
    assert "accuracy" in ax.get_ylabel()
    assert png(ax).startswith(b"\x89PNG")


def test_without_a_trained_range_nothing_is_shaded(own: xr.DataArray) -> None:
    assert not plot_accuracy(own).patches


def test_given_axes_are_drawn_on(own: xr.DataArray) -> None:
    ax = new_axes()
    assert plot_accuracy(own, ax=ax) is ax


def test_a_network_without_any_of_the_heads_can_be_drawn(own: xr.DataArray) -> None:
    assert png(plot_accuracy(own.where(own["N"] > 9))).startswith(b"\x89PNG")


def test_the_user_s_settings_are_left_as_they_were(own: xr.DataArray) -> None:
    before = dict(matplotlib.rcParams)
    plot_accuracy(own)
    assert dict(matplotlib.rcParams) == before
