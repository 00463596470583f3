"""How far back a gradient reaches, drawn."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from tauscope.plotting.credit import plot_credit


def result(cosines: list[float]) -> xr.Dataset:
    curves = {"cosine": ("window", cosines), "norm_ratio": ("window", [0.5 for _ in cosines])}
    return xr.Dataset(curves, {"window": [2**i for i in range(len(cosines))]}, {"n_trials": 32, "n_answers": 1})


def test_cosine_and_norm_are_drawn_against_the_steps_of_credit() -> None:
    ax = plot_credit(result([0.2, -0.1, 1.0]).assign(rtrl_cosine=0.7))
    lines = {str(line.get_label()): line for line in ax.lines}
    np.testing.assert_array_equal(lines["cosine with the full gradient"].get_data(), [[1, 2, 4], [0.2, -0.1, 1.0]])
    assert list(lines["cosine of RTRL"].get_ydata()) == [0.7, 0.7]
    assert ax.get_xscale() == "log"
    legend = ax.get_legend()
    assert legend is not None
    assert legend.get_title().get_text() == "1 network, 32 trials, 1 answer of each"


@pytest.mark.parametrize(("cosines", "said"), [([np.nan, np.nan], True), ([np.nan, 1.0], False)])
def test_a_gradient_of_zero_is_said(cosines: list[float], said: bool) -> None:
    assert bool(plot_credit(result(cosines)).texts) == said
