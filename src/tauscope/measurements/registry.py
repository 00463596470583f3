"""Every measurement by name: how it is made of a trained network, drawn, and put in a few numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import xarray as xr
from matplotlib.axes import Axes

from tauscope.analysis.connectivity import connectivity, recurrent_matrices
from tauscope.errors import InputError
from tauscope.measurements import WHAT, making, numbers
from tauscope.measurements.subject import Subject
from tauscope.plotting.connectivity import plot_eigenvalues, plot_weights
from tauscope.plotting.currents import plot_input_balance
from tauscope.plotting.dimensionality import plot_variance_spectrum
from tauscope.plotting.interventions import plot_ablation, plot_perturbation
from tauscope.plotting.lyapunov import plot_lyapunov_spectrum
from tauscope.plotting.memory import plot_forgetting, plot_generalisation, plot_retraining
from tauscope.plotting.performance import plot_performance
from tauscope.plotting.resolution import plot_resolution
from tauscope.plotting.sequentiality import plot_peak_order, plot_weights_by_peak_difference
from tauscope.plotting.style import new_axes, note
from tauscope.plotting.timescales import plot_autocorrelations, plot_timescale_distribution


@dataclass(frozen=True)
class Measurement:
    """How one thing is measured and shown.

    Attributes
    ----------
    measure : callable
        From a `Subject`, and further options as keywords, to a Dataset. The options of those in `MEASUREMENTS` are the
        keywords of their functions in `tauscope.analysis`, which for a network that answers trials are those of
        `tauscope.analysis.trials`; in the place of a ``protocol`` or ``recipe`` those of `tauscope.analysis.Protocol`
        and `tauscope.Recipe`, and in the place of ``Ns`` how many there are: ``n_Ns`` of retraining, ``beyond`` the
        trained ones of forgetting and generalisation.
    figures : dict
        Functions from the Dataset and the `Subject` to Axes, by the figure's name.
    numbers : callable
        From the Dataset to a few numbers by their names, units included.
    lacks : callable
        From a `Subject` to what it lacks to be measured so, in words; empty if it lacks nothing.
    """

    measure: Callable[..., xr.Dataset]
    figures: dict[str, Callable[[xr.Dataset, Subject], Axes]]
    numbers: Callable[[xr.Dataset], dict[str, float]]
    lacks: Callable[[Subject], str] = lambda _: ""


def _lacks_tau(subject: Subject) -> str:
    own = "" if subject.model.tau is not None else "the network has no τ to perturb: expected a leaky one"
    return making.lacks_Ns(subject) or own


def _lacks_time_steps(subject: Subject) -> str:
    try:
        subject.model.at_resolution(1)
    except InputError:
        return making.lacks_Ns(subject) or "the network has no time step to change: expected one in continuous time"
    return making.lacks_Ns(subject)


def _plot_first_weights(_: xr.Dataset, subject: Subject) -> Axes:
    return plot_weights(next(iter(recurrent_matrices(subject.model.layers[0]).values())).detach())


def _plot_sequence_weights(result: xr.Dataset, _: Subject) -> Axes:
    if "weight" in result:
        return plot_weights_by_peak_difference(result)
    ax = new_axes()
    ax.set(xlabel="peak of receiving - peak of sending unit (steps)", ylabel="recurrent weight")
    note(ax, "the cell's recurrent weights are not known")
    return ax


def _plot_resolution(result: xr.Dataset, subject: Subject) -> Axes:
    return plot_resolution(result, (making.asked_bits(subject).repeat,))


def _perturbation(which: str, lacks: Callable[[Subject], str]) -> Measurement:
    return Measurement(
        partial(making.measure_perturbation, which=which),
        {"": lambda result, _: plot_perturbation(result)},
        numbers.perturbation_numbers,
        lacks,
    )


MEASUREMENTS: dict[str, Measurement] = {
    "performance": Measurement(
        making.measure_performance,
        {"": lambda result, _: plot_performance(result)},
        numbers.performance_numbers,
        making.lacks_trials,
    ),
    "timescales": Measurement(
        making.measure_timescales,
        {
            "autocorrelation": lambda result, _: plot_autocorrelations(result),
            "distribution": lambda result, _: plot_timescale_distribution(result),
        },
        numbers.timescale_numbers,
    ),
    "dimensionality": Measurement(
        making.measure_dimensionality,
        {"": lambda result, _: plot_variance_spectrum(result)},
        numbers.dimensionality_numbers,
    ),
    "sequentiality": Measurement(
        making.measure_sequentiality,
        {"peaks": lambda result, _: plot_peak_order(result), "weights": _plot_sequence_weights},
        numbers.sequentiality_numbers,
    ),
    "connectivity": Measurement(
        lambda subject, **options: connectivity(subject.model, **options),
        {"eigenvalues": lambda result, _: plot_eigenvalues(result), "weights": _plot_first_weights},
        numbers.connectivity_numbers,
    ),
    "balance": Measurement(
        making.measure_balance,
        {"": lambda result, _: plot_input_balance(result)},
        numbers.balance_numbers,
        making.lacks_weighted_sums,
    ),
    "lyapunov": Measurement(
        making.measure_lyapunov,
        {"": lambda result, _: plot_lyapunov_spectrum(result)},
        numbers.lyapunov_numbers,
    ),
    "ablation": Measurement(
        making.measure_ablation,
        {"": lambda result, _: plot_ablation(result)},
        numbers.ablation_numbers,
        making.lacks_Ns,
    ),
    "perturbation_recurrent": _perturbation("recurrent", making.lacks_Ns),
    "perturbation_tau": _perturbation("tau", _lacks_tau),
    "retraining": Measurement(
        making.measure_retraining,
        {"": lambda result, _: plot_retraining(result)},
        numbers.numbers_by_N("relative_accuracy", "relative accuracy after retraining"),
        making.lacks_Ns,
    ),
    "forgetting": Measurement(
        making.measure_forgetting,
        {"": lambda result, s: plot_forgetting(result["accuracy"], s.trained)},
        numbers.forgetting_numbers,
        making.lacks_Ns,
    ),
    "generalisation": Measurement(
        making.measure_generalisation,
        {"": lambda result, s: plot_generalisation(result, s.trained)},
        numbers.generalisation_numbers,
        making.lacks_Ns,
    ),
    "resolution": Measurement(
        making.measure_resolution,
        {"": _plot_resolution},
        numbers.resolution_numbers,
        _lacks_time_steps,
    ),
}


def askable(subject: Subject) -> dict[str, tuple[str, ...]]:
    """Return what a network can be asked for, and the measurements that it means, but for "all".

    Examples
    --------
    >>> import torch
    >>> import tauscope as ts
    >>> model = ts.LeakyRNN(8, generator=torch.Generator().manual_seed(0))
    >>> [what for what in WHAT if what not in askable(Subject(model, ts.Parity(), (2, 3), seed=0))]
    ['performance', 'resolution', 'all']
    """
    kept = {
        what: tuple(name for name in names if not MEASUREMENTS[name].lacks(subject))
        for what, names in WHAT.items()
        if what != "all"
    }
    return {what: names for what, names in kept.items() if names}
