"""Results of the emergent-timescales paper that nobody measured, built so that its claims hold, or do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from tauscope.analysis.interventions import EPSILONS
from tauscope.analysis.resolution import KS
from tauscope.papers.emergent_timescales.conditions import CONDITIONS, MEASURES, NO_CURRICULUM
from tauscope.papers.vocabulary import Results, Trained

STEPS_PER_EPOCH = 100
N_UNITS = 40


@dataclass(frozen=True)
class World:
    """How networks turn out.

    Attributes
    ----------
    agrees : bool
        Whether they turn out as the paper says, or the other way round.
    networks : int
        Networks of every condition.
    reached : dict
        Largest N of the main conditions, where it is not that of `REACHED`.
    left_out : tuple of str
        Conditions that are not there at all.
    """

    agrees: bool = True
    networks: int = 3
    reached: Mapping[str, int] | None = None
    left_out: tuple[str, ...] = ()

    def results(self) -> Results:
        """Return the results of this world."""
        networks = {
            one.name: [self._network(one.name, i) for i in range(self.networks)]
            for one in CONDITIONS
            if one.name not in self.left_out
        }
        return Results(networks, {one.name: one.label for one in CONDITIONS if one.name in networks})

    def _network(self, condition: str, i: int) -> Trained:
        history = self._history(condition, i)
        solved = max((record["Ns"][-1] for record in history if record["solved"]), default=1)
        measured = {
            (measure.what, N): MAKE[measure.what](self, condition, N, i)
            for measure in MEASURES
            if condition in measure.conditions
            for N in {solved, *(N for N in (8, 15, 20, 25) if measure.at == "each" and solved > N)}
        }
        return Trained(condition, i + 1, history, measured)

    def kind(self, condition: str) -> str:
        """Return whether a condition behaves as the paper's multi-head or single-head networks do."""
        multi = not condition.startswith("single")
        return "multi" if multi == self.agrees else "single"

    def _history(self, condition: str, i: int) -> tuple[dict[str, Any], ...]:
        if condition.startswith("nocurr"):
            N = int(condition.partition("_")[2])
            epochs = N**2 + i if self.agrees else 8 - i
            return _records({N: epochs}, epochs, never=self.agrees and N > 10)
        last = (self.reached or {}).get(condition, self._reach(condition)) - i % 2
        slowness = 1 if self.kind(condition) == "multi" else 2
        if condition.startswith("single_tau") and self.agrees:
            # A fixed τ harms single-head networks.
            slowness += 1
        return _records({N: slowness * (N - 1) for N in range(2, last + 1)}, 60)

    def _reach(self, condition: str) -> int:
        fixed = condition.partition("_tau")[2]
        if fixed:
            # τ = 1 helps multi-head networks, all else harms.
            far = 32 if condition == "multi_tau1" else 25 - int(fixed)
            return far if self.agrees else 57 - far
        return 30 if self.kind(condition) == "multi" or not self.agrees else 28


def _records(solved: Mapping[int, int], epochs: int, never: bool = False) -> tuple[dict[str, Any], ...]:
    at = {} if never else {epoch: N for N, epoch in solved.items()}
    N, records = min(solved), []
    for epoch in range(1, max(epochs, *at, 1) + 1):
        N = at.get(epoch, N)
        records.append(
            {"epoch": epoch, "stage": f"N{N}_N{N}", "Ns": [N], "solved": epoch in at, "loss": 0.5, "accuracy": [0.9], "seconds": 2.0,
             "steps_per_second": STEPS_PER_EPOCH / 2, "finished": False}
        )  # fmt: skip
    return tuple(records)


def _spread(mean: float, std: float, n: int = N_UNITS) -> np.ndarray:
    """Return numbers of this mean and standard deviation."""
    values = np.linspace(-1, 1, n)
    return mean + std * values / values.std()


def timescales(world: World, condition: str, N: int, i: int) -> xr.Dataset:
    rises = 1 if world.agrees else -1
    if world.kind(condition) == "multi":
        tau = _spread(1.5 - 0.005 * N + 0.01 * i, 0.3 if world.agrees else 0.3 - 0.001 * N)
    else:
        tau = _spread(1.6 + 0.01 * N * rises + 0.01 * i, 0.3 + 0.02 * (N if world.agrees else 30 - N))
    if not world.agrees and condition.startswith("multi"):
        tau = _spread(1.5 + 0.02 * N, 0.1 + 0.02 * N)
    net = _spread(8 + 0.1 * N * rises + 0.05 * i, 1 + 0.02 * (N if world.agrees else 40 - N))
    lags = np.arange(41)
    data = {
        "tau": ("unit", tau),
        "tau_net": ("unit", net),
        "autocorrelation": (("unit", "lag"), np.exp(-lags / net[:, None])),
        "n_exponentials": ("unit", np.ones(N_UNITS, dtype=int)),
        "single_tau": ("unit", net),
        "single_amplitude": ("unit", np.ones(N_UNITS)),
    }
    return xr.Dataset(data, coords={"lag": lags}, attrs={"fit_lags": 30})


def dimensionality(world: World, condition: str, N: int, i: int) -> xr.Dataset:
    del condition
    return xr.Dataset({"n_components": ("trial", [(N if world.agrees else 50 - N) + i, N if world.agrees else 50 - N])})


def connectivity(world: World, condition: str, N: int, i: int) -> xr.Dataset:
    del N
    return xr.Dataset({"mean": ("matrix", [-0.001 * (1 if world.kind(condition) == "multi" else 2) - 1e-5 * i])})


def ablation(world: World, condition: str, N: int, i: int) -> xr.Dataset:
    kept = {"slowest": 0.99 if world.kind(condition) == "multi" else 0.5, "fastest": 0.9, "random": 0.95}
    if not world.agrees and condition == "single":
        kept["fastest"] = 0.4
    groups = [group for group in kept for _ in range(3)]
    relative = np.array([[kept[group] + 0.01 * i] * 2 for group in groups])
    data = {"relative_accuracy": (("unit", "trial"), relative)}
    return xr.Dataset(data, coords={"group": ("unit", groups)}, attrs={"N": N})


def perturbation(which: str) -> Any:
    def make(world: World, condition: str, N: int, i: int) -> xr.Dataset:
        epsilons = np.array(EPSILONS[which])
        half = (0.4 if world.kind(condition) == "multi" else 0.1) * (1 + 0.05 * i)
        relative = 1 / (1 + (epsilons / half) ** 3)
        data = {"relative_accuracy": (("epsilon", "trial"), np.stack([relative] * 2, axis=1))}
        return xr.Dataset(data, coords={"epsilon": epsilons}, attrs={"N": N, "which": which})

    return make


def retraining(world: World, condition: str, N: int, i: int) -> xr.Dataset:
    decay = (0.05 if world.kind(condition) == "multi" else 0.2) + 0.005 * i
    return xr.Dataset({"relative_accuracy": ("N", 1 - decay * np.arange(5))}, coords={"N": N + np.arange(5)})


def forgetting(world: World, condition: str, N: int, i: int) -> xr.Dataset:
    Ns = np.arange(2, N + 4)
    smaller = (0.99 if world.kind(condition) == "multi" else 0.5) + 0.001 * i
    accuracy = np.where(Ns < N, smaller, np.where(Ns == N, 0.99, 0.5))
    trained = Ns <= N if condition == "multi" else Ns == N
    return xr.Dataset(
        {"accuracy": ("N", accuracy)}, {"N": Ns, "trained": ("N", trained), "chance": ("N", 0.5 + 0 * Ns)}
    )


def generalisation(world: World, condition: str, N: int, i: int) -> xr.Dataset:
    Ns = np.arange(2, N + 6)
    beyond = (0.8 if world.kind(condition) == "multi" else 0.6) + 0.01 * i
    data = {"accuracy": (("N", "trial"), np.stack([np.where(Ns <= N, 0.99, beyond)] * 2, axis=1)),
            "chance": ("N", 0.5 + 0 * Ns)}  # fmt: skip
    return xr.Dataset(data, coords={"N": Ns})


def resolution(world: World, condition: str, N: int, i: int) -> xr.Dataset:
    del condition
    ks, Ns = np.array(KS), np.arange(2, N + 1)
    finer = 0.98 if world.agrees else 0.7
    accuracy = np.where(ks < 4, 0.6, np.where(ks <= 10, 0.985, finer))[:, None] - 0.001 * (i + Ns[None])
    data = {"accuracy": (("k", "N"), accuracy), "chance": ("N", 0.5 + 0 * Ns)}
    return xr.Dataset(data, coords={"k": ks, "N": Ns})


MAKE = {
    "timescales": timescales,
    "dimensionality": dimensionality,
    "connectivity": connectivity,
    "ablation": ablation,
    "perturbation_recurrent": perturbation("recurrent"),
    "perturbation_tau": perturbation("tau"),
    "retraining": retraining,
    "forgetting": forgetting,
    "generalisation": generalisation,
    "resolution": resolution,
}


def without_networks(results: Results, keep: Sequence[int] = (1,)) -> Results:
    """Return the results of some networks alone; the others could not be trained."""
    networks = {
        name: [one if one.network in keep else Trained(name, one.network, (), {}, "diverged") for one in some]
        for name, some in results.networks.items()
    }
    return Results(networks, results.labels)


__all__ = ["NO_CURRICULUM", "STEPS_PER_EPOCH", "World", "without_networks"]
