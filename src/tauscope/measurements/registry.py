"""Every measurement by name: how it is made of a trained network, drawn, and put in a few numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

import xarray as xr
from torch import Tensor

from tauscope.analysis.connectivity import connectivity, recurrent_matrices
from tauscope.errors import InputError
from tauscope.measurements import WHAT, making, numbers
from tauscope.measurements.subject import Subject

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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


def _figure(
    where: str, arguments: Callable[[xr.Dataset, Subject], tuple[Any, ...]] = lambda result, _: (result,)
) -> Callable[[xr.Dataset, Subject], Axes]:
    """Return a function of `tauscope.plotting` by "module:name", imported when it draws: no figure keeps from measuring."""
    module, name = where.split(":")

    def draw(result: xr.Dataset, subject: Subject) -> Axes:
        function: Callable[..., Axes] = getattr(import_module(f"tauscope.plotting.{module}"), name)
        return function(*arguments(result, subject))

    return draw


def _first_weights(_: xr.Dataset, subject: Subject) -> tuple[Tensor]:
    return (next(iter(recurrent_matrices(subject.model.layers[0]).values())).detach(),)


def _plot_sequence_weights(result: xr.Dataset, subject: Subject) -> Axes:
    if "weight" in result:
        return _figure("sequentiality:plot_weights_by_peak_difference")(result, subject)
    from tauscope.plotting.style import new_axes, note

    ax = new_axes()
    ax.set(xlabel="peak of receiving - peak of sending unit (steps)", ylabel="recurrent weight")
    note(ax, "the cell's recurrent weights are not known")
    return ax


def _perturbation(which: str, lacks: Callable[[Subject], str]) -> Measurement:
    return Measurement(
        partial(making.measure_perturbation, which=which),
        {"": _figure("interventions:plot_perturbation")},
        numbers.perturbation_numbers,
        lacks,
    )


MEASUREMENTS: dict[str, Measurement] = {
    "performance": Measurement(
        making.measure_performance,
        {"": _figure("performance:plot_performance")},
        numbers.performance_numbers,
        making.lacks_trials,
    ),
    "timescales": Measurement(
        making.measure_timescales,
        {
            "autocorrelation": _figure("timescales:plot_autocorrelations"),
            "distribution": _figure("timescales:plot_timescale_distribution"),
        },
        numbers.timescale_numbers,
    ),
    "dimensionality": Measurement(
        making.measure_dimensionality,
        {"": _figure("dimensionality:plot_variance_spectrum")},
        numbers.dimensionality_numbers,
    ),
    "sequentiality": Measurement(
        making.measure_sequentiality,
        {"peaks": _figure("sequentiality:plot_peak_order"), "weights": _plot_sequence_weights},
        numbers.sequentiality_numbers,
    ),
    "connectivity": Measurement(
        lambda subject, **options: connectivity(subject.model, **options),
        {
            "eigenvalues": _figure("connectivity:plot_eigenvalues"),
            "weights": _figure("connectivity:plot_weights", _first_weights),
        },
        numbers.connectivity_numbers,
    ),
    "balance": Measurement(
        making.measure_balance,
        {"": _figure("currents:plot_input_balance")},
        numbers.balance_numbers,
        making.lacks_weighted_sums,
    ),
    "lyapunov": Measurement(
        making.measure_lyapunov,
        {"": _figure("lyapunov:plot_lyapunov_spectrum")},
        numbers.lyapunov_numbers,
    ),
    "fixed_points": Measurement(
        making.measure_fixed_points,
        {"points": _figure("fixed_points:plot_fixed_points"), "modes": _figure("fixed_points:plot_modes")},
        numbers.fixed_point_numbers,
    ),
    "ablation": Measurement(
        making.measure_ablation,
        {"": _figure("interventions:plot_ablation")},
        numbers.ablation_numbers,
        making.lacks_Ns,
    ),
    "perturbation_recurrent": _perturbation("recurrent", making.lacks_Ns),
    "perturbation_tau": _perturbation("tau", _lacks_tau),
    "perturbation_error": Measurement(
        making.measure_perturbation_error,
        {"": _figure("stability:plot_perturbation_error")},
        numbers.perturbation_error_numbers,
        making.lacks_question,
    ),
    "memory_function": Measurement(
        making.measure_memory_function,
        {"": _figure("stability:plot_memory_function")},
        numbers.memory_numbers,
        making.lacks_question,
    ),
    "retraining": Measurement(
        making.measure_retraining,
        {"": _figure("memory:plot_retraining")},
        numbers.numbers_by_N("relative_accuracy", "relative accuracy after retraining"),
        making.lacks_Ns,
    ),
    "forgetting": Measurement(
        making.measure_forgetting,
        {"": _figure("memory:plot_forgetting", lambda result, s: (result["accuracy"], s.trained))},
        numbers.forgetting_numbers,
        making.lacks_Ns,
    ),
    "generalisation": Measurement(
        making.measure_generalisation,
        {"": _figure("memory:plot_generalisation", lambda result, s: (result, s.trained))},
        numbers.generalisation_numbers,
        making.lacks_Ns,
    ),
    "resolution": Measurement(
        making.measure_resolution,
        {"": _figure("resolution:plot_resolution", lambda result, s: (result, (making.asked_bits(s).repeat,)))},
        numbers.resolution_numbers,
        _lacks_time_steps,
    ),
    "reactivation": Measurement(
        making.measure_reactivation,
        {"positions": _figure("reactivation:plot_trajectories"), "runs": _figure("reactivation:plot_divergences")},
        numbers.reactivation_numbers,
        making.lacks_noise,
    ),
    "parallelizability": Measurement(
        making.measure_parallelizability,
        {"": _figure("parallel:plot_iterations"), "residual": _figure("parallel:plot_residuals")},
        numbers.parallelizability_numbers,
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
    ['performance', 'resolution', 'reactivation', 'all']
    """
    kept = {
        what: tuple(name for name in names if not MEASUREMENTS[name].lacks(subject))
        for what, names in WHAT.items()
        if what != "all"
    }
    return {what: names for what, names in kept.items() if names}
