"""What is measured for this paper, and the numbers that the claims compare and the figures show."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes

from tauscope.analysis.autocorrelation import StreamingAutocovariance, standard_error
from tauscope.analysis.balance import balance, single_matrix
from tauscope.analysis.exponential_fits import fit_exponentials
from tauscope.analysis.information import information, noisy_states
from tauscope.analysis.modes import modes
from tauscope.analysis.subnetworks import alignment, subnetworks
from tauscope.analysis.untrained import information_against_balance
from tauscope.errors import InputError
from tauscope.measurements import Measurement, Subject
from tauscope.models import Model
from tauscope.papers.vocabulary import Results, Trained
from tauscope.plotting.balance import plot_alignment, plot_information, plot_modes
from tauscope.tasks import Tracking

Number = Callable[[xr.Dataset], float]

_RECORDED, _BURN_IN, _LAGS = 20_000, 200, 30
"""Steps of the recording that τ_net is fitted to, steps before it, and its largest lag."""


def tracked(subject: Subject) -> Tracking:
    """Return the task of a network that tracks signals, or refuse another."""
    if not isinstance(subject.task, Tracking):
        raise InputError("the network does not track signals: expected one that was trained on task 'tracking'")
    return subject.task


def median_tau_net(model: Model, task: Tracking, generator: torch.Generator) -> float:
    """Return the median τ_net over units, in steps, under the mean input and the network's own noise."""
    inputs = model.hidden(model.initial_state(1)).new_full((_BURN_IN + _RECORDED, 1, task.n_signals), task.mean)
    stream = StreamingAutocovariance(_LAGS)
    stream.update(noisy_states(model, inputs, generator)[_BURN_IN:])
    measured = stream.result()
    covariance = measured.covariance.double()
    error = standard_error(covariance, measured.n_steps).cpu().numpy()
    rho = (covariance[0] / covariance[0, :, :1]).cpu().numpy()
    return float(np.median(fit_exponentials(rho, standard_error=error).tau))


def course(subject: Subject) -> xr.Dataset:
    """Measure a network in the course of its training.

    Returns
    -------
    Dataset [epoch, eigenvalue, part]
        ``balance``, ``outlier``, ``within``, ``between`` and ``tau_net`` by epoch, ``eigenvalues`` of the feedback at the
        end of a trial, and at the end of training ``size [cluster]``, the ``weights [to, from]`` sorted by cluster, and
        what `tauscope.analysis.alignment` gives.
    """
    task, start, rows, spectra = tracked(subject), subject.course[0], [], []
    for model in subject.course.values():
        groups = subnetworks(single_matrix(model.layers[0]), task.n_signals)
        told = modes(model, task, n_trials=1, generator=subject.generator())
        grown = balance(model, start)
        rows.append((grown["balance"].item(), grown["feedback"].item(), told["outlier"].item(), groups["within"].item(),
                     groups["between"].item(), median_tau_net(model, task, subject.generator())))  # fmt: skip
        spectra.append(told["eigenvalues"].values[0])
    order = np.argsort(groups["cluster"].values, kind="stable")
    weights = single_matrix(model.layers[0])[np.ix_(order, order)]
    names = ("balance", "feedback", "outlier", "within", "between", "tau_net")
    columns = {name: ("epoch", column) for name, column in zip(names, np.array(rows).T, strict=True)}
    return xr.merge(
        [
            xr.Dataset(
                columns
                | {"eigenvalues": (("epoch", "eigenvalue", "part"), np.array(spectra)),
                   "weights": (("to", "from"), weights), "size": ("cluster", groups["size"].values)},
                coords={"epoch": list(subject.course)},
            ),
            alignment(model),
        ],
        combine_attrs="drop",
    )  # fmt: skip


def _information(subject: Subject, **options: Any) -> xr.Dataset:
    """Measure the information rate of the outputs about the signals, before and after training."""
    task, parts = tracked(subject), {}
    for name, model in (("before", subject.course[0]), ("after", subject.model)):
        told = information(model, task, generator=subject.generator(), **options)
        parts[name] = told["output_information"].values.diagonal().mean()
    return xr.Dataset({name: ((), value, {"units": "bits/τ"}) for name, value in parts.items()})


def _untrained(subject: Subject, **options: Any) -> xr.Dataset:
    return information_against_balance(generator=subject.generator(), **options)


def _plot_course(result: xr.Dataset, _: Subject) -> Axes:
    return plot_modes(result["eigenvalues"].rename(epoch="step"))


def _last(name: str) -> Number:
    return lambda result: float(result[name][-1])


MEASUREMENTS = {
    "course": Measurement(
        course,
        {"modes": _plot_course, "alignment": lambda result, _: plot_alignment(result)},
        lambda result: {
            "balance (parts of that at the start)": _last("balance")(result),
            "smallest balance in training": float(result["balance"].min()),
            "least real part of an eigenvalue": _last("outlier")(result),
            "mean weight within subnetworks": _last("within")(result),
            "mean weight between subnetworks": _last("between")(result),
            "median tau_net at the start (steps)": float(result["tau_net"][0]),
            "median tau_net (steps)": _last("tau_net")(result),
        },
    ),
    "information": Measurement(
        _information,
        {},
        lambda result: {f"information rate of the outputs {name} training (bits/tau)": float(result[name])
                        for name in ("before", "after")},
    ),
    "untrained": Measurement(
        _untrained,
        {"": lambda result, _: plot_information(result)},
        lambda result: {f"information rate at b = {b:g} (bits/tau)": float(result["information_rate"].sel(balance=b)[0])
                        for b in result["balance"].values},
    ),
}  # fmt: skip


# --- of networks ------------------------------------------------------------------------------------------------------


def dataset(network: Trained, what: str) -> xr.Dataset | None:
    """Return what was measured of a network last.

    Examples
    --------
    >>> dataset(Trained("one", 1, (), {}), "course") is None
    True
    """
    found = {N: one for (name, N), one in network.measured.items() if name == what}
    return found[max(found)] if found else None


def measured(results: Results, condition: str, what: str) -> list[xr.Dataset]:
    """Return what was measured of every network of a condition."""
    found = [dataset(one, what) for one in results.networks.get(condition, ())]
    return [one for one in found if one is not None]


def values(results: Results, condition: str, what: str, number: Number) -> list[float]:
    """Return a number of every network of a condition that has it."""
    found = [number(one) for one in measured(results, condition, what)]
    return [one for one in found if math.isfinite(one)]


def final(name: str) -> Number:
    """Return the function that gives a quantity at the end of training."""
    return _last(name)


def weight_ratio(result: xr.Dataset) -> float:
    """Return the mean weight within subnetworks over that between them, at the end of training."""
    return float(result["within"][-1] / result["between"][-1])


def own_correlation(result: xr.Dataset) -> float:
    """Return the smallest correlation of a signal's input weights with the read-out weights of its own output."""
    return float(result["correlation"].values.diagonal().min())


def other_correlation(result: xr.Dataset) -> float:
    """Return the largest correlation of a signal's input weights with the read-out weights of another output."""
    matrix = result["correlation"].values
    return float(matrix[~np.eye(len(matrix), dtype=bool)].max())


def doubling(first: float) -> Number:
    """Return the function that gives the information rate at 2 b over that at b."""
    return lambda result: float(result["information_rate"].sel(balance=2 * first)[0]
                                / result["information_rate"].sel(balance=first)[0])  # fmt: skip


def least_rise(result: xr.Dataset) -> float:
    """Return the smallest difference of the information rate from one balance to the next, in bits/τ."""
    return float(np.diff(result["information_rate"].values[0]).min())
