"""Distances between dynamics as a figure: every pair once, in the column of its groups."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from tauscope.plotting.similarity import plot_similarity


def result(groups: list[str], seed: int = 0) -> xr.Dataset:
    distance = np.random.default_rng(seed).uniform(0.1, 1, (len(groups),) * 2)
    distance = distance + distance.T
    np.fill_diagonal(distance, 0)
    return xr.Dataset({"distance": (("network", "other"), distance), "p_value": 0.25}, {"group": ("network", groups)})


@pytest.mark.parametrize("groups", [["a", "a", "b"], ["a", "b", "a", "b"], ["c", "a", "b", "a", "c"]])
def test_every_pair_is_drawn_once_among_those_of_its_groups(groups: list[str]) -> None:
    data = result(groups)
    ax = plot_similarity(data)
    dots = [line for line in ax.lines if line.get_linestyle() == "None"]
    means = [line for line in ax.lines if line.get_linestyle() != "None"]
    drawn = np.concatenate([np.asarray(line.get_ydata()) for line in dots])
    upper = np.triu_indices(len(groups), 1)
    assert sorted(drawn) == sorted(data.distance.values[upper])
    same = np.equal.outer(groups, groups)[upper]
    inside = [line for line in dots if str(line.get_label()).startswith("within")]
    assert sorted(np.concatenate([line.get_ydata() for line in inside])) == sorted(data.distance.values[upper][same])
    for line, mean in zip(dots, means, strict=True):
        assert np.asarray(mean.get_ydata()) == pytest.approx(np.mean(line.get_ydata()))
    ticks = [tick.get_text() for tick in ax.get_xticklabels()]
    assert ticks == ["within"] * len(inside) + ["between"] * (len(dots) - len(inside))
    assert "p = 0.25" in ax.get_legend().get_title().get_text()


def test_it_draws_on_given_axes() -> None:
    ax = plot_similarity(result(["a", "a", "b"]))
    before = len(ax.lines)
    assert plot_similarity(result(["a", "a", "b"], 1), ax) is ax
    assert len(ax.lines) == 2 * before
