"""Pictures of recurrences solved for all steps at once show the numbers that they are given."""

from __future__ import annotations

import numpy as np
import xarray as xr

from tauscope.plotting.parallel import plot_iterations, plot_residuals


def result(newton: list[float]) -> xr.Dataset:
    iterations = xr.DataArray(
        [[[value] for value in newton], [[20.0]] * len(newton)],
        {"solver": ["newton", "quasi"], "length": [10 * 10**i for i in range(len(newton))], "trial": [0]},
    )
    residual = xr.DataArray([[0.5], [1e-3], [0.0]], dims=("iteration", "trial"), coords={"iteration": [0, 1, 2]})
    exponent = xr.DataArray([-0.4], dims="trial")
    return xr.Dataset(
        {"iterations": iterations, "residual": residual, "largest_exponent": exponent}, attrs={"max_iter": 60}
    )


def test_iterations_are_drawn_where_all_trials_converged() -> None:
    ax = plot_iterations(result([3.0, np.nan]))
    drawn = {line.get_label(): line.get_ydata() for line in ax.lines}
    np.testing.assert_array_equal(drawn["Newton (Jacobian)"], [3.0, np.nan])
    np.testing.assert_array_equal(drawn["quasi-Newton (diagonal)"], [20.0, 20.0])
    assert "λ1 = -0.4" in ax.get_legend().get_title().get_text()


def test_nothing_converged_is_said() -> None:
    lost = result([3.0])
    lost["iterations"] = lost["iterations"] * np.nan
    assert plot_iterations(lost).texts[0].get_text() == "no method converged"
    nothing = result([3.0]).assign(residual=(("iteration", "trial"), [[np.inf]] * 3))
    assert plot_residuals(nothing).texts[0].get_text() == "no residual is finite and above 0"


def test_residuals_of_zero_are_left_out() -> None:
    (line,) = plot_residuals(result([3.0])).lines
    np.testing.assert_array_equal(line.get_ydata(), [0.5, 1e-3, np.nan])
