"""What a network loses when units are ablated or parameters perturbed: sweeps of accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from tauscope.analysis.checked import checked, plain
from tauscope.analysis.simulation import warm_up_for
from tauscope.analysis.transforms import PERTURBED, ablate, perturb
from tauscope.analysis.variants import run_variants
from tauscope.errors import InputError, require_at_least, require_choice, require_instance
from tauscope.models.cell import State
from tauscope.models.model import Model
from tauscope.models.weights import sharing_copy
from tauscope.tasks.binary import BinaryMemoryTask, head_name

GROUPS = ("slowest", "fastest", "random")
EPSILONS: dict[str, tuple[float, ...]] = {
    which: (0.0, *np.geomspace(1e-3, 10, 13).tolist())
    if which == "tau"
    else (0.0, *np.geomspace(1e-2, 10, 10).tolist())
    for which in PERTURBED
}
"""Sizes of the perturbations of Khajehabdollahi et al. (ICLR 2024); those of W serve read-out and input too."""


@dataclass(frozen=True)
class Protocol:
    """How the accuracy of a network that was interfered with is measured; the defaults are the published ones.

    Each trial has a stream of bits and an initial state of its own, which all variants of a network share, so that
    what differs between them is the intervention alone. The head is read at every bit.

    Attributes
    ----------
    n_trials : int
        Number of trials.
    n_steps : int
        Bits that are scored.
    warm_up : int, optional
        Bits before them that are not; by default 100, or the N - 1 that an answer needs where those are more.
    p : float
        Probability of a 1.

    Examples
    --------
    >>> Protocol(n_trials=2).n_steps
    1000
    """

    n_trials: int = 10
    n_steps: int = 1000
    warm_up: int | None = None
    p: float = 0.5

    def __post_init__(self) -> None:
        require_at_least("number of trials", self.n_trials, 1)
        require_at_least("number of steps", self.n_steps, 1)
        if self.warm_up is not None:
            require_at_least("warm-up", self.warm_up, 0)


def select_units(
    groups: Sequence[str], n: int, n_units: int, tau: ArrayLike | None, generator: torch.Generator
) -> dict[str, list[int]]:
    """Choose the slowest and fastest units, and as many random ones of the rest.

    Parameters
    ----------
    groups : sequence of {"slowest", "fastest", "random"}
        What is chosen.
    n : int
        Units of each group.
    n_units : int
        Units to choose from.
    tau : float array [unit], optional
        Timescales; needed for the slowest and fastest.
    generator : torch.Generator
        Source of the random units; it also decides between units of equal timescale.

    Returns
    -------
    dict of list of int
        Units of every group, the slowest by descending and the fastest by ascending timescale; no unit is in two.

    Raises
    ------
    InputError
        If a group is unknown, there are not enough units, or there are no timescales to tell them by.

    Examples
    --------
    >>> select_units(["slowest", "fastest"], 1, 3, [2.0, 1.0, 3.0], torch.Generator())
    {'slowest': [2], 'fastest': [1]}
    """
    for group in groups:
        require_choice("group of units", group, GROUPS)
    require_at_least("number of units", n, 1)
    if n * len(set(groups)) > n_units:
        most = n_units // len(set(groups))
        raise InputError(f"{len(set(groups))} groups of {n} of {n_units} units: expected at most {most} a group")
    shuffled = torch.randperm(n_units, generator=generator, device=generator.device).cpu().numpy()
    ordered = shuffled
    if set(groups) - {"random"}:
        if tau is None:
            raise InputError("the network has no timescales to tell slow from fast: expected tau, or group 'random'")
        ordered = shuffled[np.argsort(np.asarray(tau)[shuffled], kind="stable")]
    chosen = {"slowest": ordered[::-1][:n], "fastest": ordered[:n]}
    taken = {unit for group in set(groups) - {"random"} for unit in chosen[group].tolist()}
    chosen["random"] = np.array([unit for unit in shuffled if unit not in taken][:n])
    return {group: chosen[group].tolist() for group in groups}


@checked
def ablation(
    model: Model,
    task: BinaryMemoryTask,
    N: int,
    *,
    groups: Sequence[str] | Mapping[str, Sequence[int]] = GROUPS,
    n: int = 20,
    together: bool = False,
    mode: str = "silence",
    tau: ArrayLike | None = None,
    protocol: Protocol | None = None,
    generator: torch.Generator | None = None,
) -> xr.Dataset:
    """Measure the accuracy that a network keeps without some of its units.

    Parameters
    ----------
    model : Model
        The network, run with its private noise where it has any, the same in all variants.
    task : BinaryMemoryTask
        Its coding is used; N and p are those given here.
    N : int
        Memory demand, and label of the head that is read.
    groups : sequence of {"slowest", "fastest", "random"}, or mapping of names to units
        Units to ablate; a random group is a control of the same size from the other units.
    n : int
        Units of each named group.
    together : bool
        Ablate each group at once, instead of one unit at a time.
    mode : {"silence", "published"}
        As in `ablate`.
    tau : float array [unit], optional
        Timescales by which slow and fast are told, such as τ_net; the network's own if not given.
    protocol : Protocol, optional
        How accuracy is measured.
    generator : torch.Generator, optional
        Source of units, bits and initial states; seeded with 0 if not given.

    Returns
    -------
    Dataset [unit, trial] or, with ``together``, [group, trial]
        ``accuracy`` and ``relative_accuracy`` = (accuracy - chance) / (mean baseline - chance), and the ``baseline
        [trial]`` of the intact network, with ``group`` and ``tau`` of every unit (with ``together``, ``units [group,
        member]``, filled up with -1). The attribute ``n_fastest_tied`` counts the units that share the smallest τ: where
        they exceed ``n``, the fastest are a random choice of equals. Trials of one network are not independent
        samples; the sample size over networks is their number.

    Raises
    ------
    InputError
        If there is no such head, unit or group, or the warm-up is shorter than the memory demand.

    Notes
    -----
    Source: Khajehabdollahi et al., ICLR 2024, section 4.3, which draws bits anew for every ablation.

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.LeakyRNN(8, generator=torch.Generator().manual_seed(0))
    >>> result = ablation(model, ts.Parity([2]), 2, n=2, protocol=Protocol(n_trials=3, n_steps=50))
    >>> dict(result.accuracy.sizes), result.group.values.tolist()
    ({'unit': 6, 'trial': 3}, ['slowest', 'slowest', 'fastest', 'fastest', 'random', 'random'])
    """
    generator = generator or torch.Generator().manual_seed(0)
    seed = generator.initial_seed()
    timescales = _timescales(model.tau if tau is None else tau, model.n_units)
    if isinstance(groups, Mapping):
        for name, units in groups.items():
            plain(f"group {name}", "Sequence[int]", units)
    else:
        groups = select_units(plain("groups", "Sequence[str]", groups), n, model.n_units, timescales, generator)
    sets = list(groups.values()) if together else [[unit] for units in groups.values() for unit in units]
    if not sets:
        raise InputError("no units to ablate: expected at least one")
    tested = _with_head(model, N)
    variants = [ablate(tested, units, mode) for units in ([], *sets)]
    trials = _Trials.draw(model, task, N, protocol, generator)
    state = tuple(tuple(tensor.expand(len(variants), *tensor.shape) for tensor in layer) for layer in trials.state)
    inputs, noise = trials.inputs[:, None].expand(-1, len(variants), -1, -1), trials.noise
    if noise is not None:
        noise = noise[:, None].expand(-1, len(variants), -1, -1)
    logits = run_variants(variants, inputs, state, head_name(N), noise=noise)
    accuracy = trials.accuracy(logits)
    result = trials.dataset(accuracy[1:], accuracy[0], "group" if together else "unit")
    tied = 0 if timescales is None else int((timescales == timescales.min()).sum())
    return _with_units(result, groups, together, timescales).assign_attrs(
        N=N, mode=mode, n_fastest_tied=tied, seed=str(seed)
    )


@checked
def perturbation(
    model: Model,
    task: BinaryMemoryTask,
    N: int,
    which: str = "recurrent",
    *,
    epsilons: Sequence[float] | None = None,
    protocol: Protocol | None = None,
    generator: torch.Generator | None = None,
) -> xr.Dataset:
    """Measure the accuracy that a network keeps when its parameters are moved in random directions.

    Parameters
    ----------
    model : Model
        The network, run with its private noise where it has any, the same in all variants.
    task : BinaryMemoryTask
        Its coding is used; N and p are those given here.
    N : int
        Memory demand, and label of the head that is read.
    which : {"recurrent", "tau", "readout", "input"}
        What is perturbed, as in `perturb`, in a fresh direction for every size and trial.
    epsilons : sequence of float, optional
        Sizes of the perturbation, relative to the norm of what is perturbed; 0, the intact network, is always one of
        them. By default `EPSILONS`.
    protocol : Protocol, optional
        How accuracy is measured.
    generator : torch.Generator, optional
        Source of bits, initial states and directions; seeded with 0 if not given.

    Returns
    -------
    Dataset [epsilon, trial]
        ``accuracy``, ``relative_accuracy`` = (accuracy - chance) / (mean baseline - chance), and the ``baseline
        [trial]``, that at ε = 0. A network that a large perturbation makes diverge answers 0. Trials of one network
        are not independent samples; the sample size over networks is their number.

    Raises
    ------
    InputError
        If there is no such head, the network has no such parameters, or the warm-up is shorter than the memory demand.

    Notes
    -----
    Source: Khajehabdollahi et al., ICLR 2024, section 4.3, which draws bits anew for every size.

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.LeakyRNN(8, generator=torch.Generator().manual_seed(0))
    >>> result = perturbation(model, ts.Parity([2]), 2, epsilons=[0.1, 1.0], protocol=Protocol(n_trials=3, n_steps=50))
    >>> dict(result.accuracy.sizes), result.epsilon.values.tolist()
    ({'epsilon': 3, 'trial': 3}, [0.0, 0.1, 1.0])
    """
    require_choice("what is perturbed", which, PERTURBED)
    generator = generator or torch.Generator().manual_seed(0)
    seed = generator.initial_seed()
    sizes = sorted({0.0, *(EPSILONS[which] if epsilons is None else epsilons)})
    trials = _Trials.draw(model, task, N, protocol, generator)
    tested, n_trials = _with_head(model, N), trials.protocol.n_trials
    variants = [perturb(tested, which, size, generator) for size in sizes for _ in range(n_trials)]
    # Every trial of every size is a variant of its own, with one stream.
    state = tuple(tuple(torch.cat([tensor[:, None]] * len(sizes)) for tensor in layer) for layer in trials.state)
    inputs, noise = trials.inputs[:, :, None].repeat(1, len(sizes), 1, 1), trials.noise
    if noise is not None:
        noise = noise[:, :, None].repeat(1, len(sizes), 1, 1)
    logits = run_variants(variants, inputs, state, head_name(N), noise=noise)
    accuracy = trials.accuracy(logits.reshape(len(logits), len(sizes), n_trials, -1))
    return (
        trials.dataset(accuracy, accuracy[0], "epsilon")
        .assign_coords(epsilon=("epsilon", sizes, {"units": f"norm of the {which} parameters"}))
        .assign_attrs(N=N, which=which, seed=str(seed))
    )


@dataclass(frozen=True)
class _Trials:
    """The streams and initial states that all variants of a network are given.

    Attributes
    ----------
    inputs : Tensor [time, trial, channel]
    targets : Tensor [time, trial]
    counted : Tensor [time] of bool
        Steps at which answers are scored.
    state : tuple of layer states
    chance : float
    noise : Tensor [time, trial, unit], optional
    """

    protocol: Protocol
    inputs: Tensor
    targets: Tensor
    counted: Tensor
    state: tuple[State, ...]
    chance: float
    noise: Tensor | None

    @classmethod
    def draw(
        cls, model: Model, task: BinaryMemoryTask, N: int, protocol: Protocol | None, generator: torch.Generator
    ) -> _Trials:
        protocol = Protocol() if protocol is None else protocol
        require_instance("protocol", protocol, Protocol, "a Protocol, such as Protocol(n_trials=20)")
        warm_up = warm_up_for(N) if protocol.warm_up is None else protocol.warm_up
        if warm_up < N - 1:
            raise InputError(f"warm-up is {warm_up}: expected at least N - 1 = {N - 1}, to know every answer")
        protocol, length = replace(protocol, warm_up=warm_up), warm_up + protocol.n_steps
        asked = task.replace(Ns=(N,), p=protocol.p, labels="every", length=length)
        batch = asked.sample(protocol.n_trials, generator)
        state = model.initial_state(protocol.n_trials, generator)
        # The last step of every bit after the warm-up.
        step = torch.arange(1, len(batch.inputs) + 1, device="cpu")
        counted = (step > warm_up * task.repeat) & (step % task.repeat == 0)
        noise = model.draw_noise(len(batch.inputs), protocol.n_trials, generator)
        inputs = batch.inputs.to(model.hidden(state))
        return cls(protocol, inputs, batch.targets[..., 0], counted, state, asked.chance(N), noise)

    def accuracy(self, logits: Tensor) -> NDArray[np.float64]:
        """Return the accuracy ``[variant, trial]`` of ``logits [time, variant, trial, output]``."""
        right = logits.argmax(dim=-1) == self.targets[:, None]
        share: NDArray[np.float64] = right[self.counted].double().mean(dim=0).cpu().numpy()
        return share

    def dataset(self, accuracy: NDArray[np.float64], baseline: NDArray[np.float64], dim: str) -> xr.Dataset:
        """Return the results of a sweep along ``dim``."""
        # Undefined where the intact network is at chance.
        span = (baseline.mean() - self.chance) or np.nan
        relative = (accuracy - self.chance) / span
        units = {"units": "fraction of answers"}
        return xr.Dataset(
            {
                "accuracy": ((dim, "trial"), accuracy, {"long_name": "accuracy", **units}),
                "relative_accuracy": ((dim, "trial"), relative, {"long_name": "relative accuracy", "units": "1"}),
                "baseline": ("trial", baseline, {"long_name": "accuracy of the intact network", **units}),
            },
            coords={"trial": np.arange(self.protocol.n_trials)},
            attrs={"chance": self.chance, **asdict(self.protocol)},
        )


def _timescales(tau: ArrayLike | Tensor | None, n_units: int) -> NDArray[np.float64] | None:
    """Return a timescale for every unit, ``[unit]``, or refuse what is none."""
    if tau is None:
        return None
    values = tau.detach().cpu().numpy() if isinstance(tau, Tensor) else np.asarray(tau)
    if values.dtype.kind not in "iuf" or values.shape != (n_units,):
        raise InputError(
            f"tau is of shape {values.shape} and type {values.dtype}: expected {n_units} numbers, one a unit"
        )
    return values.astype(np.float64)


def _with_head(model: Model, N: int) -> Model:
    """Return a network that shares all parameters but has only the head for N, and the first.

    The first is what a published ablation cuts.
    """
    kept = sorted({0, model.heads.index(head_name(N))})
    twin, heads = sharing_copy(model), sharing_copy(model.heads)
    heads.linears = nn.ModuleList(heads.linears[i] for i in kept)
    heads.names = tuple(heads.names[i] for i in kept)
    twin.heads = heads
    return twin


def _with_units(
    result: xr.Dataset, groups: Mapping[str, Sequence[int]], together: bool, tau: NDArray[np.float64] | None
) -> xr.Dataset:
    """Say which units were ablated."""
    if together:
        widest = max(len(units) for units in groups.values())
        units = np.array([[*map(int, units), *[-1] * (widest - len(units))] for units in groups.values()])
        return result.assign_coords(group=list(groups), units=(("group", "member"), units))
    units = np.array([unit for units in groups.values() for unit in units], dtype=int)
    result = result.assign_coords(unit=units, group=("unit", [name for name, units in groups.items() for _ in units]))
    values = np.full(len(units), np.nan) if tau is None else tau[units]
    return result.assign(tau=("unit", values, {"long_name": "single-unit timescale", "units": "steps"}))
