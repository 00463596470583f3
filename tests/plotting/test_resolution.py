from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import xarray as xr
from matplotlib.axes import Axes

import tauscope as ts
from tauscope.analysis import resolution
from tauscope.plotting.resolution import few, plot_resolution


@pytest.fixture(scope="module")
def result() -> xr.Dataset:
    model = ts.LeakyRNN(8, form="continuous", n_heads=9, generator=torch.Generator().manual_seed(0))
    return resolution(model, ts.Parity([2]), range(2, 11), ks=[1, 3, 10, 200], n_sequences=64)


def test_accuracy_stands_over_the_time_step(result: xr.Dataset, readable: Callable[[Axes], None]) -> None:
    ax = plot_resolution(result, trained=[7, 8, 9, 10])
    readable(ax)
    curves = {line.get_label(): line for line in ax.lines}
    for N in (2, 5, 7, 10):
        np.testing.assert_array_equal(curves[f"N = {N}"].get_xdata(), [1, 1 / 3, 1 / 10, 1 / 200])
        np.testing.assert_array_equal(curves[f"N = {N}"].get_ydata(), result["accuracy"].sel(N=N))
    assert set(curves) == {"N = 2", "N = 5", "N = 7", "N = 10", "chance"}
    assert set(curves["chance"].get_ydata()) == {0.5}
    assert ax.get_xlabel() == r"time step $\Delta t$ (bits)"
    assert "64 sequences" in ax.get_legend().get_title().get_text()


def test_the_trained_time_steps_are_shaded(result: xr.Dataset) -> None:
    (shade,) = plot_resolution(result, trained=[7, 8, 9, 10]).patches
    low, high = shade.get_x(), shade.get_x() + shade.get_width()
    assert low < 1 / 10 < 1 / 7 < high
    assert low > 1 / 11
    assert high < 1 / 6
    assert not plot_resolution(result).patches


def test_bounds_are_shaded(result: xr.Dataset, shade: Callable) -> None:
    one = result.sel(N=[4])
    (band,) = shade(plot_resolution(one))
    low, high = one["low"].sel(N=4), one["high"].sel(N=4)
    assert band == {1 / k: (float(low.sel(k=k)), float(high.sel(k=k))) for k in (1, 3, 10, 200)}


@pytest.mark.parametrize(
    ("Ns", "shown"), [([5], [5]), ([2, 3, 4, 5], [2, 3, 4, 5]), (list(range(2, 102)), [2, 35, 68, 101])]
)
def test_few_memory_demands_are_shown_from_the_first_to_the_last(Ns: list[int], shown: list[int]) -> None:
    assert few(Ns) == shown
