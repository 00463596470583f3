"""Pictures of networks that multiply state and input: lines are the numbers that were measured."""

from __future__ import annotations

import numpy as np
import xarray as xr

from tauscope.plotting.second_order import plot_bpc_by_terms, plot_singular_values


def directions(values: list[float], rank: int) -> xr.Dataset:
    return xr.Dataset({"singular_values": ("direction", values), "rank": rank, "effective_rank": 1.25})


def test_singular_values_that_are_not_zero_are_drawn() -> None:
    ax = plot_singular_values(directions([3.0, 1.0, 1e-17], 2))
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[1, 3], [2, 1]])
    assert ax.get_legend().get_texts()[0].get_text() == "effective rank 1.25 of 2"
    ax = plot_singular_values(directions([5.0], 1), ax, label="other")
    assert [line.get_label() for line in ax.lines] == ["effective rank 1.25 of 2", "other"]


def test_a_network_whose_input_changes_nothing_says_so() -> None:
    ax = plot_singular_values(directions([0.0, 0.0], 0))
    assert ax.texts[0].get_text() == "the input changes no matrix"


def test_the_bits_of_few_terms_stand_beside_entropies() -> None:
    levels = {"chance": 4.5, "bigram": 3.5}
    ax = plot_bpc_by_terms(
        xr.Dataset({"bpc_by_terms": ("terms", [4.0, 3.0, 2.5])}, {"terms": [0, 1, 2]}).assign(levels)
    )
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[0, 4], [1, 3], [2, 2.5]])
    assert [line.get_ydata()[0] for line in ax.lines[1:]] == [4.5, 3.5]
    assert plot_bpc_by_terms(xr.Dataset(levels)).texts[0].get_text() == "the network has no CP terms"
