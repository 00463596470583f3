"""What is measured of pruned networks whose read-outs are fitted without any training of the rest."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from tauscope.analysis.node_exponents import node_exponents
from tauscope.analysis.pruning_rules import inverse_participation
from tauscope.analysis.ridge import RIDGES, Sums, ridge_weights
from tauscope.models import LIFCell, Model
from tauscope.models.weights import masked_copy
from tauscope.papers.lyapunov_noise_pruning import networks as made
from tauscope.papers.lyapunov_noise_pruning.networks import OF_UNITS, TIMESCALES, VARIANTS, Stack, Variant
from tauscope.papers.vocabulary import Study
from tauscope.tasks import Series

SYSTEMS = ("lorenz", "roessler")

SETTINGS: dict[str, tuple[float, float]] = {"A": (0.5, 1.0), "B": (0.15, 0.5), "C": (0.2, 1.0)}
"""Shares of the synapses and of the units that are kept."""

STEPS = (200, 2400, 600, 1495)
"""Steps that are dropped, fitted, used to choose the penalty, and tested."""

FRAME = 3
"""Tangent vectors that are followed for the largest exponent."""

SLOPES = (1.0, 5.0, 25.0, 1e9)
"""Slopes k of the surrogate derivative at which spectra are given."""

WHOLE, BARE = "dense", "no recurrent weights"
_ALL = Variant("random", "none")


def errors(traces: Tensor, targets: Tensor, alive: Tensor, steps: Sequence[int]) -> NDArray[np.float64]:
    """Fit a read-out of every variant, and return its error on the steps that follow.

    Parameters
    ----------
    traces : Tensor [time, variant, unit]
        From `networks.traces`.
    targets : Tensor [time, coordinate]
        What is asked at every step, in its standard deviations.
    alive : Tensor [variant, unit]
        Units that are read.
    steps : sequence of int
        As `STEPS`.

    Returns
    -------
    array [variant]
        Root of the mean squared error of the test steps (NRMSE).
    """
    first, fitted, chosen, last = np.cumsum(steps).tolist()
    found = []
    for variant, units in enumerate(alive.bool()):
        own = traces[:, variant, units]
        sums = []
        for low, high in ((first, fitted), (fitted, chosen)):
            part = Sums.zeros(own.shape[1], targets.shape[1])
            part.add(own[low:high], targets[low:high])
            sums.append(part)
        best = int(sums[1].squared_error(ridge_weights(sums[0], RIDGES)).sum(dim=1).argmin())
        weights = ridge_weights(sums[0] + sums[1], RIDGES)[best]
        told = own[chosen:last] @ weights[:-1] + weights[-1]
        found.append(float((told - targets[chosen:last]).square().mean().sqrt()))
    return np.array(found)


class _Network:
    """A network with timescales of one kind, what drives it, and the exponents of its units."""

    def __init__(self, model: Model, number: int, steps: Sequence[int], exponent_steps: Sequence[int]) -> None:
        self.model, self.number, self.steps, self.exponent_steps = model, number, steps, exponent_steps
        self.tasks = {system: Series(system=system, series_number=number) for system in SYSTEMS}
        # The network is pruned once for both tasks, while it is driven by the first.
        self.inputs = self.shown("lorenz")[: sum(exponent_steps), None]
        found = node_exponents(model, self.inputs, burn_in=exponent_steps[0])
        self.exponents = found["node_exponents"].values[0]

    def shown(self, system: str) -> Tensor:
        """Return the input of every step, ``[time, channel]``."""
        return self.tasks[system].series()[: sum(self.steps), :1]

    def measured(
        self, variants: dict[str, tuple[Variant, tuple[float, float]]], seed: int
    ) -> dict[str, NDArray[np.float64]]:
        """Return numbers of all variants: by task ``[variant, system]``, and of the network ``[variant]``."""
        models = [made.pruned(self.model, *variant, seed, self.inputs, self.exponents) for variant in variants.values()]
        stack = Stack.of(models)
        by_task: dict[str, list[NDArray[np.float64]]] = {"nrmse": [], "rate": [], "exponent": []}
        for system, task in self.tasks.items():
            inputs, horizon = self.shown(system), task.horizon
            traces = made.traces(stack, inputs)
            targets = task.series()[horizon : horizon + len(inputs)]
            by_task["nrmse"].append(errors(traces, targets, stack.alive, self.steps))
            # The mean of a trace is that of its spikes, but for the first and last steps.
            mean = traces[self.steps[0] :].mean(dim=0)
            by_task["rate"].append((mean.sum(dim=1) / stack.alive.sum(dim=1)).numpy())
            burn_in, counted = self.exponent_steps
            frame = made.exponents(
                stack, inputs[: burn_in + counted], FRAME, burn_in, torch.Generator().manual_seed(seed)
            )
            by_task["exponent"].append(frame[:, 0].numpy())
        found = {name: np.stack(values, axis=1) for name, values in by_task.items()}
        return found | _of_network(stack)


def _of_network(stack: Stack) -> dict[str, NDArray[np.float64]]:
    tau = stack.cell.tau.numpy()
    numbers: dict[str, list[float]] = {
        name: [] for name in ("participation", "tau_kept", "tau_removed", "synapses", "units")
    }
    for recurrent, alive in zip(stack.recurrent.numpy(), stack.alive.bool().numpy(), strict=True):
        left = recurrent[np.ix_(alive, alive)]
        numbers["participation"].append(inverse_participation(left) if left.any() else np.nan)
        numbers["tau_kept"].append(float(tau[alive].mean()))
        numbers["tau_removed"].append(np.nan if alive.all() else float(tau[~alive].mean()))
        numbers["synapses"].append(float((left != 0).sum()))
        numbers["units"].append(float(alive.sum()))
    return {name: np.array(values) for name, values in numbers.items()}


def prunings(
    generator: torch.Generator,
    *,
    n_networks: int = 10,
    n_units: int = 120,
    n_neighbours: int = 24,
    steps: Sequence[int] = STEPS,
    exponent_steps: Sequence[int] = (200, 1000),
) -> xr.Dataset:
    """Prune networks in every setting by every variant, and measure errors, rates and exponents.

    Parameters
    ----------
    generator : torch.Generator
        Source of the seeds of the networks.
    n_networks : int
        Networks; each is measured with timescales of both kinds and the same weights, on a series of its own.
    n_units, n_neighbours : int
        Size of the networks, synapses into every unit.
    steps : sequence of int
        Steps that are dropped, fitted, used to choose the penalty, and tested.
    exponent_steps : sequence of int
        Steps that are not counted and those that are, for exponents.

    Returns
    -------
    Dataset [network, timescales, setting, rule, system]
        ``nrmse``, ``rate`` in spikes a step and living unit, and ``exponent`` λ1 in nats a step at k = 5; of the network ``[network,
        timescales, setting, rule]`` the ``participation`` ratio, ``tau_kept``, ``tau_removed``, and how many ``synapses`` and
        ``units`` are left. NaN where a method is the same as another one because no unit is removed.
    """
    names = [WHOLE, BARE, *VARIANTS]
    found: dict[str, NDArray[np.float64]] = {}
    seeds = torch.randint(2**31, (n_networks,), generator=generator, device=generator.device).tolist()
    for i, (k, kind) in itertools.product(range(n_networks), enumerate(TIMESCALES)):
        model = made.spiking_network(n_units, n_neighbours, torch.Generator().manual_seed(seeds[i]))[kind]
        network = _Network(model, i, steps, exponent_steps)
        for s, shares in enumerate(SETTINGS.values()):
            variants = {WHOLE: (_ALL, (1.0, 1.0)), BARE: (_ALL, (0.0, shares[1]))}
            variants |= {
                name: (variant, shares) for name, variant in VARIANTS.items() if shares[1] < 1 or name not in OF_UNITS
            }
            numbers = network.measured(variants, seeds[i] + s)
            places = [names.index(name) for name in variants]
            for name, values in numbers.items():
                shape = (n_networks, len(TIMESCALES), len(SETTINGS), len(names), *values.shape[1:])
                found.setdefault(name, np.full(shape, np.nan))[i, k, s, places] = values
    return _dataset(found, ("setting", "rule"), {"setting": list(SETTINGS), "rule": names}, n_units, seeds)


UNITS = {"nrmse": "1", "rate": "spikes/step", "exponent": "nats/step", "participation": "1", "tau_kept": "steps",
         "tau_removed": "steps", "synapses": "1", "units": "1"}  # fmt: skip


def _dataset(
    found: dict[str, NDArray[np.float64]], dims: tuple[str, str], coords: dict[str, Any], n_units: int, seeds: list[int]
) -> xr.Dataset:
    every = ("network", "timescales", *dims, "system")
    return xr.Dataset(
        {name: (every[: values.ndim], values, {"units": UNITS[name]}) for name, values in found.items()},
        coords={"timescales": list(TIMESCALES), "system": list(SYSTEMS), **coords},
        attrs={"n_units": n_units, "seeds": ",".join(map(str, seeds))},
    )


DRAWN = ("random", "magnitude", "noise on W", made.LNP_1, made.LNP)
"""Methods whose errors are shown against the share that is kept."""


def shares(
    generator: torch.Generator,
    *,
    kept: Sequence[float] = (0.75, 0.5, 0.35, 0.2, 0.1, 0.05),
    n_networks: int = 5,
    n_units: int = 120,
    n_neighbours: int = 24,
    steps: Sequence[int] = STEPS,
    exponent_steps: Sequence[int] = (200, 600),
) -> xr.Dataset:
    """Measure errors against the share of the synapses that is kept, with all units and rescaled weights.

    Parameters
    ----------
    generator : torch.Generator
        Source of the seeds of the networks.
    kept : sequence of float
        Shares; all synapses and none are measured too.
    n_networks, n_units, n_neighbours, steps, exponent_steps
        As of `prunings`.

    Returns
    -------
    Dataset [network, timescales, share, rule, system]
        As `prunings` gives it.
    """
    every = [1.0, *kept, 0.0]
    found: dict[str, NDArray[np.float64]] = {}
    seeds = torch.randint(2**31, (n_networks,), generator=generator, device=generator.device).tolist()
    for i, (k, kind) in itertools.product(range(n_networks), enumerate(TIMESCALES)):
        model = made.spiking_network(n_units, n_neighbours, torch.Generator().manual_seed(seeds[i]))[kind]
        network = _Network(model, i, steps, exponent_steps)
        for s, share in enumerate(every):
            one = _ALL if share in (0.0, 1.0) else None
            variants = {name: (one or VARIANTS[name], (share, 1.0)) for name in (DRAWN[:1] if one else DRAWN)}
            for name, values in network.measured(variants, seeds[i] + s).items():
                shape = (n_networks, len(TIMESCALES), len(every), len(DRAWN), *values.shape[1:])
                found.setdefault(name, np.full(shape, np.nan))[i, k, s] = values
    return _dataset(found, ("share", "rule"), {"share": every, "rule": list(DRAWN)}, n_units, seeds)


def spectra(
    generator: torch.Generator,
    *,
    slopes: Sequence[float] = SLOPES,
    n_units: int = 120,
    n_neighbours: int = 24,
    exponent_steps: Sequence[int] = (200, 400),
) -> xr.Dataset:
    """Measure all exponents of one network, dense and with half of its synapses, at several slopes of the surrogate derivative.

    Parameters
    ----------
    generator : torch.Generator
        Source of the network's seed.
    slopes : sequence of float
        Slopes k; trajectories are the same for all.
    n_units, n_neighbours, exponent_steps
        As of `prunings`.

    Returns
    -------
    Dataset [slope, rule, exponent]
        ``exponents`` in nats a step along Lorenz's series, the largest first, and ``leak [exponent]``, the sorted -1/τ.
    """
    seed = int(torch.randint(2**31, (1,), generator=generator, device=generator.device))
    model = made.spiking_network(n_units, n_neighbours, torch.Generator().manual_seed(seed))["gamma"]
    network = _Network(model, 0, (sum(exponent_steps),), exponent_steps)
    chosen = {WHOLE: (_ALL, (1.0, 1.0)), **{name: (VARIANTS[name], SETTINGS["A"]) for name in (*made.RIVALS, made.LNP)}}
    models = [made.pruned(model, *variant, seed, network.inputs, network.exponents) for variant in chosen.values()]
    found = np.empty((len(slopes), len(chosen), n_units))
    for k, slope in enumerate(slopes):
        stack = Stack.of([_with_slope(own, slope) for own in models])
        frame = made.exponents(
            stack, network.shown("lorenz"), n_units, exponent_steps[0], torch.Generator().manual_seed(seed)
        )
        found[k] = frame.numpy()
    leak = np.sort(-1 / model.layers[0].weights()["raw_tau"].value.numpy())[::-1]
    return xr.Dataset(
        {
            "exponents": (("slope", "rule", "exponent"), found, {"units": "nats/step"}),
            "leak": ("exponent", leak, {"units": "1/step"}),
        },
        coords={"slope": list(slopes), "rule": list(chosen)},
        attrs={"n_units": n_units, "n_steps": exponent_steps[1], "seed": str(seed)},
    )


def _with_slope(model: Model, slope: float) -> Model:
    twin = masked_copy(model)
    cell = twin.layers[0].intact
    assert isinstance(cell, LIFCell)
    cell.slope = slope
    return twin


STUDIES = (Study("prunings", prunings), Study("shares", shares), Study("spectra", spectra))
