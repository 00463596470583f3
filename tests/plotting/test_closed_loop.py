"""Clones that act, drawn."""

from __future__ import annotations

import numpy as np
import xarray as xr

from tauscope.plotting.closed_loop import plot_closed_loop


def test_every_shift_has_a_bar_its_episodes_and_the_experts_line() -> None:
    returns = np.array([[8.0, 6.0], [3.0, 1.0], [5.0, 9.0], [-2.0, 0.0]])
    result = xr.Dataset(
        {"return_": (("shift", "episode"), returns), "expert": (("shift", "episode"), returns + 1)},
        {"shift": ["none", "hold", "mass", "bias"], "kind": ("shift", ["none", "sensors", "body", "sensors"])},
        {"environment": "springs"},
    )
    ax = plot_closed_loop(result)
    bars = {round(bar.get_x() + bar.get_width() / 2): bar.get_height() for bar in ax.patches}  # type: ignore[attr-defined]
    assert bars == {0: 7.0, 1: 2.0, 2: 7.0, 3: -1.0}
    episodes, _ = ax.lines
    np.testing.assert_array_equal(episodes.get_xdata(), [0, 0, 1, 1, 2, 2, 3, 3])
    np.testing.assert_array_equal(episodes.get_ydata(), returns.ravel())
    (expert,) = [lines for lines in ax.collections if lines.get_label() == "expert"]
    heights = [float(segment[0, 1]) for segment in expert.get_segments()]  # type: ignore[attr-defined]
    assert heights == [8.0, 3.0, 8.0, 0.0]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["none", "hold", "mass", "bias"]
    legend = ax.get_legend()
    assert legend is not None
    assert legend.get_title().get_text() == "1 network, 2 episodes"
    kinds = [text.get_text() for text in legend.get_texts()]
    assert {"as it is", "shift of the sensors", "shift of the body", "expert"} == set(kinds)
