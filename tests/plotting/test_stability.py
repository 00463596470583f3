"""Pictures of how stable a memory is: what they draw is what was measured."""

from __future__ import annotations

import numpy as np
import xarray as xr

from tauscope.plotting.stability import draw_errors, plot_memory_function, plot_perturbation_error
from tauscope.plotting.style import new_axes


def memory(values: list[float]) -> xr.Dataset:
    return xr.Dataset({"memory": ("lag", values), "half_life": 3.0}, {"lag": np.arange(len(values))})


def test_memory_is_drawn_where_there_is_any_beside_what_is_asked() -> None:
    ax = plot_memory_function(memory([1.0, 0.0, np.nan, 0.25]).assign(target=("lag", [1.0, 0.5, 0.2, 0.1])))
    network, asked = ax.lines
    assert network.get_xdata().tolist() == [1, 4]  # type: ignore[union-attr]
    assert asked.get_ydata().tolist() == [1.0, 0.5, 0.2, 0.1]  # type: ignore[union-attr]
    assert ax.get_legend_handles_labels()[1] == ["network, half of it after 3 steps", "what is asked"]


def test_a_network_without_memory_has_a_note() -> None:
    ax = plot_memory_function(memory([0.0, 0.0]))
    assert [text.get_text() for text in ax.texts] == ["the answer does not depend on the input"]


def test_errors_are_drawn_up_to_where_they_diverge() -> None:
    sizes = {"part": ["all", "tau"], "beta": [0.0, 0.01, 0.1]}
    result = xr.Dataset(
        {"error": (("part", "beta"), [[0.1, 0.4, np.inf], [0.1, 0.1, 0.2]]), "beta_star": ("part", [0.0, 0.1])},
        sizes,
        {"n_draws": 3},
    )
    ax = plot_perturbation_error(result)
    assert [line.get_ydata().tolist() for line in ax.lines[:2]] == [[0.4], [0.1, 0.2]]  # type: ignore[union-attr]
    assert ax.lines[2].get_ydata()[0] == 0.1  # type: ignore[index]
    assert "tau: borne up to 0.1" in ax.get_legend_handles_labels()[1]


def test_what_comes_after_a_divergence_is_not_drawn() -> None:
    ax = new_axes()
    draw_errors(ax, [0.1, 0.2, 0.3], [1.0, np.nan, 2.0])
    assert ax.lines[0].get_xdata().tolist() == [0.1]  # type: ignore[union-attr]
