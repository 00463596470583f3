"""Measurements of this paper, and the numbers that the claims compare and the figures show."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from tauscope.analysis.perturbation_error import TOLERANCE
from tauscope.errors import NotApplicableError
from tauscope.measurements import Measurement, Subject
from tauscope.papers.stable_reparameterisation.learning_rates import learning_rates
from tauscope.papers.stable_reparameterisation.linear import linear, matched
from tauscope.papers.stable_reparameterisation.sizes import optima, sizes
from tauscope.papers.vocabulary import Results, Study
from tauscope.tasks.functional import Functional

TRAINS = 0.1
"""Loss, in parts of that of answering 0, below which a network counts as trained."""

STUDIES = (
    Study("linear", linear),
    Study("matched", matched),
    Study("sizes", sizes),
    Study("optima", optima),
    Study("learning_rates", learning_rates),
)


def tau(subject: Subject) -> xr.Dataset:
    """Measure the timescales of a network's units.

    Parameters
    ----------
    subject : Subject
        A leaky network.

    Returns
    -------
    Dataset [unit]
        ``tau`` in steps.

    Raises
    ------
    NotApplicableError
        If the network has none.
    """
    if subject.model.tau is None:
        raise NotApplicableError("the network has no τ: expected a leaky one")
    values = subject.model.tau.detach().double().cpu().numpy()
    return xr.Dataset({"tau": ("unit", values, {"long_name": "timescale", "units": "steps"})})


MEASUREMENTS = {
    "tau": Measurement(
        tau,
        {},
        lambda result: {
            "mean tau (steps)": mean_tau(result),
            "STD tau (steps)": std_tau(result),
            "95th percentile of tau (steps)": slow_tau(result),
            "share of units at tau = 1": frozen(result),
        },
        lambda subject: "" if subject.model.tau is not None else "the network has no τ: expected a leaky one",
    )
}


def mean_tau(result: xr.Dataset) -> float:
    """Return the mean timescale of the units."""
    return float(result["tau"].mean())


def std_tau(result: xr.Dataset) -> float:
    """Return the standard deviation of the timescales of the units."""
    return float(result["tau"].std())


def slow_tau(result: xr.Dataset) -> float:
    """Return the 95th percentile of the timescales of the units: the slow tail alone, where units at 1 widen the STD too."""
    return float(result["tau"].quantile(0.95))


def frozen(result: xr.Dataset) -> float:
    """Return the share of units whose timescale is one step, where the clamp leaves no gradient."""
    return float((result["tau"] <= 1).mean())


# --- numbers of linear networks, by study ---------------------------------------------------------------------------------


def study(results: Results, name: str) -> xr.Dataset | None:
    """Return the result of a study; nothing if it failed or was not made."""
    return results.studies.get(name)


def borne(error: xr.DataArray, power: float) -> NDArray[np.float64]:
    """Return log10 β*, the largest perturbation after which the loss is at most E(0) + 0.1 ‖ρ‖²_W, of every network.

    Where not even the smallest is borne, half of it is taken.

    Examples
    --------
    >>> error = xr.DataArray([[1.0, 1.5, 3.0]], {"beta": [0.0, 0.01, 0.1]}, ("network", "beta"))
    >>> borne(error, 10.0)
    array([-2.])
    """
    within = (error <= error.isel(beta=0) + TOLERANCE * power).cumprod("beta").sum("beta").values - 1
    grid = error["beta"].values
    return np.log10(np.where(within > 0, grid[within], grid[1] / 2))


def power(rho: str) -> float:
    """Return the loss of answering 0.

    Examples
    --------
    >>> round(power("exp"), 4)
    2.0713
    """
    return Functional(rho).power


def crossing(small: xr.DataArray, large: xr.DataArray) -> NDArray[np.float64]:
    """Return log10 of the smallest perturbation at which a larger network's error is above that of a smaller one, of every pair.

    Where it is so without a perturbation, half of the smallest is taken; where it is nowhere so, the largest.

    Examples
    --------
    >>> small, large = (xr.DataArray([errors], {"beta": [0.0, 0.01, 0.1]}, ("network", "beta")) for errors in ([2.0, 2, 2], [1.0, 1, 3]))
    >>> crossing(small, large)
    array([-1.])
    """
    above = (large > small).transpose("network", "beta").values
    grid = small["beta"].values
    first = np.where(above.any(axis=-1), above.argmax(axis=-1), len(grid) - 1)
    return np.log10(np.maximum(grid[first], grid[1] / 2))


def log_error(error: xr.DataArray, beta: float) -> NDArray[np.float64]:
    """Return log10 E(β) of every network, at the nearest β of the grid; of what diverged, that of the largest number."""
    values = error.sel(beta=beta, method="nearest").values
    return np.log10(np.nan_to_num(values, posinf=1e300))


def largest_lr(result: xr.Dataset) -> NDArray[np.float64]:
    """Return log10 of the largest learning rate at which each network ends below a tenth of the loss of answering 0.

    Where none does, a tenth of the smallest is taken.

    Examples
    --------
    >>> result = xr.Dataset({"loss": (("lr", "network"), [[0.5], [0.05], [0.2]])}, {"lr": [1.0, 0.1, 0.01]})
    >>> largest_lr(result)
    array([-1.])
    """
    trains = result["loss"].transpose("lr", "network").values < TRAINS
    rates = result["lr"].values[:, None]
    found = np.where(trains, rates, 0.0).max(axis=0)
    return np.log10(np.where(found > 0, found, rates.min() / 10))


def geometric(logs: ArrayLike) -> str:
    """Return numbers, given by their log10, as geometric mean and range.

    Examples
    --------
    >>> geometric([-1.0, 0.0, 1.0])
    '1 (0.1 … 10)'
    """
    values = 10 ** np.asarray(logs, dtype=float)
    if not len(values):
        return "none"
    mean = 10 ** float(np.mean(np.asarray(logs, dtype=float)))
    return f"{mean:.2g} ({values.min():.2g} … {values.max():.2g})"


# --- numbers of trained networks ------------------------------------------------------------------------------------------


def last(results: Results, what: str, condition: str) -> list[xr.Dataset]:
    """Return the last result of every network of a condition."""
    return [found for network in results.of(condition) if (found := network.last(what)) is not None]


def perturbed(
    results: Results, condition: str, number: Callable[[xr.DataArray], NDArray[np.float64]], part: str
) -> list[float]:
    """Return a number of every network of a condition, made of its errors after perturbations of a part."""
    errors = (result["error"].sel(part=part) for result in last(results, "perturbation_error", condition))
    return [float(number(error.expand_dims("network"))[0]) for error in errors]


def steps_to_solve(results: Results, condition: str) -> dict[int, float]:
    """Return after how many steps of training N was solved, a mean over networks, for each N that most networks of a condition solved.

    Examples
    --------
    >>> from tauscope.papers.vocabulary import Trained
    >>> records = [{"Ns": [N], "epoch": epoch, "solved": solved} for N, epoch, solved in ((2, 1, True), (3, 2, False), (3, 3, True))]
    >>> networks = [Trained("single", 1, tuple(records[:n]), {}, options={"steps_per_epoch": 50}) for n in (1, 3, 3)]
    >>> steps_to_solve(Results({"single": networks}, {}), "single")
    {2: 50.0, 3: 150.0}
    """
    found: dict[int, list[float]] = {}
    networks = results.of(condition)
    for network in networks:
        for record in network.history:
            if record["solved"]:
                found.setdefault(record["Ns"][-1], []).append(record["epoch"] * network.options["steps_per_epoch"])
    return {N: float(np.mean(steps)) for N, steps in sorted(found.items()) if len(steps) > len(networks) / 2}


def at_common_N(
    results: Results, conditions: tuple[str, str], number: Callable[[xr.Dataset], float]
) -> tuple[list[float], list[float], int]:
    """Return a number of every network of two conditions at the largest N at which most of both were measured, and that N."""
    tables = [results.against_N("tau", condition, number) for condition in conditions]
    most = [
        {N for N in set().union(*map(set, table)) if sum(N in row for row in table) > len(table) / 2}
        for table in tables
    ]
    N = max(most[0] & most[1], default=0)
    first, second = ([row[N] for row in table if N in row] for table in tables)
    return first, second, N
