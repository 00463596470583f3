"""Every measurement by name: how it is made of a trained network, drawn, and put in a few numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes

from tauscope.analysis.connectivity import connectivity, recurrent_matrices
from tauscope.analysis.dimensionality import dimensionality
from tauscope.analysis.gates import gate_timescales
from tauscope.analysis.generalisation import generalise
from tauscope.analysis.interventions import GROUPS, Protocol, ablation, perturbation
from tauscope.analysis.lyapunov import flatten, lyapunov
from tauscope.analysis.resolution import resolution
from tauscope.analysis.retraining import RETRAINING, forgetting, retrain
from tauscope.analysis.timescales import timescales, timescales_summary
from tauscope.models.base import Model
from tauscope.models.leaky import LeakyCell
from tauscope.plotting.connectivity import plot_eigenvalues, plot_weights
from tauscope.plotting.dimensionality import plot_variance_spectrum
from tauscope.plotting.interventions import plot_ablation, plot_perturbation
from tauscope.plotting.lyapunov import plot_lyapunov_spectrum
from tauscope.plotting.memory import plot_forgetting, plot_generalisation, plot_retraining
from tauscope.plotting.resolution import plot_resolution
from tauscope.plotting.timescales import plot_autocorrelations, plot_timescale_distribution
from tauscope.tasks.binary import BinaryMemoryTask

BEYOND = 10
"""How many N beyond the trained ones are looked at."""

EXPONENTS = 10
"""Lyapunov exponents; fewer in a network of fewer states."""

ABLATED = 20
"""Units of each group that are ablated; fewer in a network too small for so many of each."""

RETRAINED = 5
"""At how many N a network is retrained, from its largest on."""


@dataclass(frozen=True)
class Subject:
    """A trained network and what it was trained on.

    Attributes
    ----------
    model : Model
        The network, at its own time resolution.
    task : BinaryMemoryTask
        With the coding, p and steps a bit of its training.
    trained : (int, int)
        Smallest and largest N that it solved.
    seed : int
        Of the measurement.
    """

    model: Model
    task: BinaryMemoryTask
    trained: tuple[int, int]
    seed: int

    def generator(self) -> torch.Generator:
        """Return a fresh generator on the network's device."""
        return torch.Generator(next(self.model.parameters()).device).manual_seed(self.seed)

    def drive(self) -> dict[str, Any]:
        """Return the options of measurements that drive the network with random bits coded as in training."""
        return {"repeat": self.task.repeat, "plus_minus": self.task.plus_minus, "generator": self.generator()}

    def tau(self) -> xr.DataArray | None:
        """Return the units' own timescales: τ, the gates' for gated cells, ``None`` where a cell has neither."""
        if self.model.tau is not None:
            return xr.DataArray(self.model.tau.detach().double().cpu().numpy(), dims="unit")
        state = self.model.initial_state(1)
        if self.model.retention(self.model.hidden(state).new_zeros(1, self.model.n_inputs), state) is None:
            return None
        return gate_timescales(self.model, **self.drive())


@dataclass(frozen=True)
class Measurement:
    """How one thing is measured and shown.

    Attributes
    ----------
    measure : callable
        From a `Subject`, and further options as keywords, to a Dataset. The options of those in `MEASUREMENTS` are the
        keywords of their functions in `tauscope.analysis`; in the place of a ``protocol`` or ``recipe`` those of
        `tauscope.analysis.Protocol` and `tauscope.Recipe`, and in the place of ``Ns`` how many there are: ``n_Ns`` of
        retraining, ``beyond`` the trained ones of forgetting and generalisation.
    figures : dict
        Functions from the Dataset and the `Subject` to Axes, by the figure's name.
    numbers : callable
        From the Dataset to a few numbers by their names, units included.
    lacks : callable
        From a network to what it lacks to be measured so, in words; empty if it lacks nothing.
    """

    measure: Callable[..., xr.Dataset]
    figures: dict[str, Callable[[xr.Dataset, Subject], Axes]]
    numbers: Callable[[xr.Dataset], dict[str, float]]
    lacks: Callable[[Model], str] = lambda _: ""


def _timescales(subject: Subject, **options: Any) -> xr.Dataset:
    """Measure τ_net, and beside it what stands for τ in the network at hand."""
    result = timescales(subject.model, **(subject.drive() | options))
    own = subject.tau()
    return result if own is None or subject.model.tau is not None else result.assign(tau=own)


def _dimensionality(subject: Subject, **options: Any) -> xr.Dataset:
    return dimensionality(subject.model, **({"p": 0.5} | subject.drive() | options))


def _lyapunov(subject: Subject, n_exponents: int = EXPONENTS, **options: Any) -> xr.Dataset:
    n_states = flatten(subject.model, subject.model.initial_state(1))[0].shape[1]
    return lyapunov(subject.model, min(n_exponents, n_states), **(subject.drive() | options))


def _ablate(subject: Subject, n: int = ABLATED, **protocol: Any) -> xr.Dataset:
    own = subject.tau()
    groups = ("random",) if own is None else GROUPS
    return ablation(
        subject.model,
        subject.task,
        subject.trained[1],
        groups=groups,
        n=min(n, subject.model.n_units // len(groups)),
        tau=None if own is None else own.values,
        protocol=Protocol(**protocol),
        generator=subject.generator(),
    )


def _perturb(subject: Subject, which: str, epsilons: Sequence[float] | None = None, **protocol: Any) -> xr.Dataset:
    return perturbation(
        subject.model,
        subject.task,
        subject.trained[1],
        which,
        epsilons=epsilons,
        protocol=Protocol(**protocol),
        generator=subject.generator(),
    )


def _retrain(subject: Subject, n_Ns: int = RETRAINED, **recipe: Any) -> xr.Dataset:
    last = subject.trained[1]
    recipe = {"seed": subject.seed} | recipe
    return retrain(subject.model, subject.task, range(last, last + n_Ns), recipe=replace(RETRAINING, **recipe))


def _forget(subject: Subject, beyond: int = BEYOND, **options: Any) -> xr.Dataset:
    Ns = range(2, subject.trained[1] + beyond + 1)
    accuracy = forgetting(subject.model, subject.task, subject.trained, Ns=Ns, generator=subject.generator(), **options)
    return accuracy.to_dataset().assign_attrs(accuracy.attrs)


def _generalise(subject: Subject, beyond: int = BEYOND, **options: Any) -> xr.Dataset:
    Ns = range(2, subject.trained[1] + beyond + 1)
    return generalise(subject.model, subject.task, Ns, generator=subject.generator(), **options)


def _resolve(subject: Subject, **options: Any) -> xr.Dataset:
    Ns = range(subject.trained[0], subject.trained[1] + 1)
    return resolution(subject.model, subject.task, Ns, generator=subject.generator(), **options)


def _timescale_numbers(result: xr.Dataset) -> dict[str, float]:
    summary = timescales_summary(result)
    every, long = summary.isel(units=0), summary.isel(units=1)
    return {
        "mean tau (steps)": float(every["tau_mean"]),
        "STD tau (steps)": float(every["tau_std"]),
        "share of units at tau = 1": float((result["tau"] <= 1).mean()),
        "mean tau_net, all units (steps)": float(every["tau_net_mean"]),
        "mean tau_net, units > 1 (steps)": float(long["tau_net_mean"]),
        "STD tau_net, units > 1 (steps)": float(long["tau_net_std"]),
        "units fitted": float(every["n_units"]),
        "units with tau_net > 1": float(long["n_units"]),
    }


def _dimensionality_numbers(result: xr.Dataset) -> dict[str, float]:
    fraction = float(result.attrs["fraction"])
    return {
        f"components for {fraction:.0%} of the variance": float(result["n_components"].mean()),
        "participation ratio": float(result["participation_ratio"].mean()),
    }


_WEIGHT_NUMBERS = {
    "mean": "mean weight",
    "std": "STD of weights",
    "share_positive": "share of positive weights",
    "spectral_radius": "spectral radius",
}


def _connectivity_numbers(result: xr.Dataset) -> dict[str, float]:
    numbers = {}
    for i in range(result.sizes["matrix"]):
        one = result.isel(matrix=i)
        where = f"layer {int(one['layer'])}, {one['gate'].item()}"
        for name, quantity in _WEIGHT_NUMBERS.items():
            numbers[f"{quantity} ({where})"] = float(one[name])
    return numbers


def _ablation_numbers(result: xr.Dataset) -> dict[str, float]:
    relative = result["relative_accuracy"].mean("trial").groupby("group").mean()
    groups = {f"relative accuracy without one {group} unit": float(relative.sel(group=group))
              for group in relative["group"].values}  # fmt: skip
    return {"accuracy of the intact network": float(result["baseline"].mean())} | groups


def _perturbation_numbers(result: xr.Dataset) -> dict[str, float]:
    relative = result["relative_accuracy"].mean("trial")
    return {
        f"relative accuracy at epsilon {float(e):.3g}": float(relative.sel(epsilon=e)) for e in result["epsilon"].values
    }


def _forgetting_numbers(result: xr.Dataset) -> dict[str, float]:
    Ns, trained = result["N"], result["trained"]
    low, high = Ns[trained].min(), Ns[trained].max()
    parts = {"smaller": Ns < low, "trained": trained, "larger": Ns > high}
    return {
        f"mean accuracy on {name} N": float(result["accuracy"][part].mean())
        for name, part in parts.items()
        if part.any()
    }


def _resolution_numbers(result: xr.Dataset) -> dict[str, float]:
    accuracy = result["accuracy"].mean("N")
    return {f"mean accuracy at {int(k)} steps a bit": float(accuracy.sel(k=k)) for k in result["k"].values}


def _memory_numbers(variable: str, what: str) -> Callable[[xr.Dataset], dict[str, float]]:
    def numbers(result: xr.Dataset) -> dict[str, float]:
        return {f"{what} at N = {int(N)}": float(result[variable].sel(N=N).mean()) for N in result["N"].values}

    return numbers


def _perturbation(which: str, lacks: Callable[[Model], str] = lambda _: "") -> Measurement:
    return Measurement(
        partial(_perturb, which=which), {"": lambda result, _: plot_perturbation(result)}, _perturbation_numbers, lacks
    )


def _lacks_tau(model: Model) -> str:
    return "" if model.tau is not None else "the network has no τ to perturb: expected a leaky one"


def _lacks_time_steps(model: Model) -> str:
    continuous = all(isinstance(cell, LeakyCell) and cell.form == "continuous" for cell in model.layers)
    return "" if continuous else "the network has no time step to change: expected one in continuous time"


MEASUREMENTS: dict[str, Measurement] = {
    "timescales": Measurement(
        _timescales,
        {
            "autocorrelation": lambda result, _: plot_autocorrelations(result),
            "distribution": lambda result, _: plot_timescale_distribution(result),
        },
        _timescale_numbers,
    ),
    "dimensionality": Measurement(
        _dimensionality,
        {"": lambda result, _: plot_variance_spectrum(result)},
        _dimensionality_numbers,
    ),
    "connectivity": Measurement(
        lambda subject, **options: connectivity(subject.model, **options),
        {
            "eigenvalues": lambda result, _: plot_eigenvalues(result),
            "weights": lambda _, s: plot_weights(next(iter(recurrent_matrices(s.model.layers[0]).values())).detach()),
        },
        _connectivity_numbers,
    ),
    "lyapunov": Measurement(
        _lyapunov,
        {"": lambda result, _: plot_lyapunov_spectrum(result)},
        lambda result: {"largest Lyapunov exponent (nats/step)": float(result["exponents"].mean("trial")[0])},
    ),
    "ablation": Measurement(
        _ablate,
        {"": lambda result, _: plot_ablation(result)},
        _ablation_numbers,
    ),
    "perturbation_recurrent": _perturbation("recurrent"),
    "perturbation_tau": _perturbation("tau", _lacks_tau),
    "retraining": Measurement(
        _retrain,
        {"": lambda result, _: plot_retraining(result)},
        _memory_numbers("relative_accuracy", "relative accuracy after retraining"),
    ),
    "forgetting": Measurement(
        _forget, {"": lambda result, s: plot_forgetting(result["accuracy"], s.trained)}, _forgetting_numbers
    ),
    "generalisation": Measurement(
        _generalise,
        {"": lambda result, s: plot_generalisation(result, s.trained)},
        _memory_numbers("accuracy", "accuracy of a fresh read-out"),
    ),
    "resolution": Measurement(
        _resolve,
        {"": lambda result, s: plot_resolution(result, (s.task.repeat,))},
        _resolution_numbers,
        _lacks_time_steps,
    ),
}

WHAT: dict[str, tuple[str, ...]] = {name: (name,) for name in MEASUREMENTS if not name.startswith("perturbation")} | {
    "perturbation": ("perturbation_recurrent", "perturbation_tau"),
    "all": tuple(MEASUREMENTS),
}
"""What can be asked for, and the measurements that it means."""

SPECIAL = ("resolution",)
"""What few networks can be asked for, and is not proposed for others."""


def number_table(numbers: dict[str, float]) -> list[tuple[str, str]]:
    """Return numbers as they are printed.

    Examples
    --------
    >>> number_table({"units fitted": 500.0, "mean tau (steps)": 1.38912})
    [('units fitted', '500'), ('mean tau (steps)', '1.389')]
    """
    return [
        (name, f"{value:.0f}" if np.isfinite(value) and value == round(value) and abs(value) >= 2 else f"{value:.4g}")
        for name, value in numbers.items()
    ]
