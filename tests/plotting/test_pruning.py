"""Pruned networks, drawn."""

from __future__ import annotations

import numpy as np
import xarray as xr

from tauscope.plotting.pruning import plot_pruning


def test_every_rule_has_a_line_over_the_shares_with_its_range() -> None:
    score = np.linspace(1, 0.5, 3)[None, :, None, None] + np.array([[0.0], [0.1]])[:, None, :, None] * [[[0.0], [1.0]]]
    result = xr.Dataset(
        {"score": (("rule", "share", "draw", "head"), score), "chance": ("head", [0.5])},
        {"rule": ["random", "noise"], "share": [1.0, 0.5, 0.0]},
        {"metric": "accuracy", "n_trials": 20},
    )
    ax = plot_pruning(result)
    lines = {str(line.get_label()): line for line in ax.lines}
    np.testing.assert_allclose(lines["random"].get_data(), [[1, 0.5, 0], [1, 0.75, 0.5]])
    np.testing.assert_allclose(lines["noise"].get_ydata(), [1.05, 0.8, 0.55])  # type: ignore[arg-type]
    assert len(ax.collections) == 2
    left, right = ax.get_xlim()
    assert left > right
    legend = ax.get_legend()
    assert legend is not None
    assert legend.get_title().get_text() == "1 network, 20 trials, 2 draws of each"
