"""Pictures of fixed points: what is told apart, and nothing drawn where nothing was found."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr

import tauscope as ts
from tauscope.analysis import fixed_points
from tauscope.plotting.fixed_points import plot_fixed_points, plot_modes
from tauscope.tasks.history import History


def bistable(n_units: int = 2) -> xr.Dataset:
    model = ts.wrap(lambda x, h: torch.tanh(2 * h + x[..., :n_units]), 2, n_units)
    return fixed_points(model, History(dim=2, lags=3, map="copy", horizon=12), n_starts=200)


def test_stable_and_unstable_points_are_drawn_where_they_lie() -> None:
    result = bistable()
    ax = plot_fixed_points(result)
    stable = result["n_unstable"].values == 0
    drawn = {line.get_label(): line.get_xydata() for line in ax.lines}
    np.testing.assert_allclose(drawn[f"{stable.sum()} stable fixed points"], result.projection[stable, :2])
    assert any(str(label).endswith(("unstable fixed point", "unstable fixed points")) for label in drawn)
    assert "200 starts" in ax.get_legend().get_title().get_text()
    circle, *kinds = plot_modes(result).lines
    assert np.allclose(np.hypot(*np.asarray(circle.get_data())), 1)
    assert sum(len(line.get_xdata()) for line in kinds) == 2 * result.sizes["point"]


def test_a_network_of_one_unit_and_a_result_without_points() -> None:
    assert plot_fixed_points(bistable(1)).get_xlabel() == "principal component 1"
    none = bistable().isel(point=slice(0, 0))
    assert [line.get_label() for line in plot_modes(none).lines] == ["unit circle"]
    assert plot_fixed_points(none).get_legend_handles_labels()[1] == ["8 trials"]
