"""What is left of a trained memory when synapses are removed: rules of pruning side by side, at equal counts."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import xarray as xr

from tauscope.analysis.checked import checked
from tauscope.analysis.connectivity import recurrent_matrices
from tauscope.analysis.lyapunov import exponents_along
from tauscope.analysis.node_exponents import BURN_IN, node_exponents, without_traces
from tauscope.analysis.pruning import METHODS, RESCALES, LyapunovNoise, prune
from tauscope.analysis.pruning_rules import participation_of
from tauscope.analysis.transforms import SilencedCell
from tauscope.errors import InputError, require_choice, require_count
from tauscope.models.model import Model
from tauscope.models.trace import generator_for, run
from tauscope.tasks.base import Batch, Task

SHARES = (0.75, 0.5, 0.25, 0.1)
"""Shares of the synapses that are kept, beside all and none."""

_DRIVEN = 2
"""Trials along which exponents and activity are measured."""


@checked
@torch.no_grad()
def pruning_curves(
    model: Model,
    task: Task,
    *,
    methods: Sequence[str] = METHODS,
    shares: Sequence[float] = SHARES,
    keep_units: float = 1.0,
    rescale: str = "none",
    lnp_steps: Sequence[int] = (1, 2),
    n_draws: int = 3,
    n_trials: int = 500,
    generator: torch.Generator | None = None,
) -> xr.Dataset:
    """Prune a trained network by several rules, without any training after it, and measure what it still answers.

    Parameters
    ----------
    model : Model
        The network, with heads of the names that the task's have; nothing of it is changed.
    task : Task
        What is asked: the same trials of every variant, whose first ones drive the network where activity or exponents are measured.
    methods : sequence of str
        Rules, as `tauscope.analysis.prune` takes them.
    shares : sequence of float
        Shares of the synapses that are kept; 1, the network itself, and 0, the control without recurrent weights, are always among
        them.
    keep_units : float
        Share of the units that are kept, but at the share 1 of the synapses. Between fewer units there are fewer synapses; where more
        were asked, nothing is measured.
    rescale : {"none", "probability", "radius"}
        As of `tauscope.analysis.prune`.
    lnp_steps : sequence of int
        Steps of ``"lyapunov"``, see `tauscope.analysis.LyapunovNoise`. The third one computes all eigenvectors a hundred times.
    n_draws : int
        Networks that are drawn by each rule at each share, except by ``"magnitude"`` without removed units, which has no chance in it.
    n_trials : int
        Trials.
    generator : torch.Generator, optional
        Source of trials, initial states, noise and what is removed; seeded with 0 if not given.

    Returns
    -------
    Dataset [rule, share, draw, head]
        ``score [rule, share, draw, head]`` with the ``chance [head]``; ``exponent [rule, share, draw]``, the largest Lyapunov
        exponent along the trials, in nats a step; ``radius`` and ``participation``, the spectral radius of the recurrent weights of the
        first layer and the `inverse_participation` of their eigenvectors, of its first gate; ``tau_kept`` and ``tau_removed``, the mean τ
        of the units that are left and of the others, in steps.

    Raises
    ------
    InputError
        If an option is out of range, or a layer has no recurrent weights that are known.

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.LeakyRNN(8, n_heads=1, generator=torch.Generator().manual_seed(0))
    >>> result = pruning_curves(model, ts.Parity([2], length=20), methods=["random", "magnitude"], n_trials=20, n_draws=2)
    >>> dict(result.score.sizes), result.share.values.tolist()
    ({'rule': 2, 'share': 6, 'draw': 2, 'head': 1}, [1.0, 0.75, 0.5, 0.25, 0.1, 0.0])
    """
    asked, kept = list(methods), sorted({1.0, 0.0, *map(float, shares)}, reverse=True)
    for method in asked:
        require_choice("method", method, METHODS)
    if not asked:
        raise InputError(f"no methods: expected one or more of {', '.join(METHODS)}")
    if not 0 <= kept[-1] <= kept[0] <= 1:
        raise InputError(f"shares are {list(shares)}: expected shares of the synapses in [0, 1]")
    if not 0 < keep_units <= 1:
        raise InputError(f"keep_units is {keep_units}: expected a share of the units in (0, 1], such as 1.0")
    require_choice("rescale", rescale, RESCALES)
    require_count("number of draws", n_draws)
    require_count("number of trials", n_trials)
    generator = generator_for(model, generator)
    seed, batch = generator.initial_seed(), task.sample(n_trials, generator)
    seeds = [int(draw) for draw in torch.randint(2**31, (n_draws,), generator=generator, device=generator.device)]
    variants = _Variants(model, batch, keep_units, rescale, LyapunovNoise(tuple(lnp_steps)))
    sizes = (len(asked), len(kept), n_draws)
    score, numbers = np.full((*sizes, len(task.heads)), np.nan), np.full((*sizes, len(_NUMBERS)), np.nan)
    for (m, rule), (s, share), (d, draw) in itertools.product(enumerate(asked), enumerate(kept), enumerate(seeds)):
        place = (m, s, d)
        if (first := _first_alike(place, rule, share, keep_units)) != place:
            score[place], numbers[place] = score[first], numbers[first]
        elif (variant := variants.of(rule, share, draw)) is not None:
            score[place], numbers[place] = _score(variant, task, batch, seed), _numbers(variant, batch)
    dims = ("rule", "share", "draw")
    return xr.Dataset(
        {
            "score": ((*dims, "head"), score, {"long_name": task.metric.replace("_", " "), "units": task.unit}),
            **{name: (dims, numbers[..., i], about) for i, (name, about) in enumerate(_NUMBERS.items())},
            "chance": ("head", [head.chance for head in task.heads.values()]),
        },
        coords={"rule": asked, "share": kept, "head": list(task.heads)},
        attrs={"metric": task.metric, "keep_units": keep_units, "rescale": rescale, "n_trials": n_trials, "seed": str(seed)},
    )  # fmt: skip


_NUMBERS: dict[str, dict[str, str]] = {
    "exponent": {"long_name": "largest Lyapunov exponent", "units": "nats/step"},
    "radius": {"long_name": "spectral radius", "units": "1"},
    "participation": {"long_name": "inverse participation ratio", "units": "1"},
    "tau_kept": {"long_name": "mean τ of the units that are left", "units": "steps"},
    "tau_removed": {"long_name": "mean τ of the units that are removed", "units": "steps"},
}


def _first_alike(place: tuple[int, int, int], rule: str, share: float, keep_units: float) -> tuple[int, int, int]:
    """Return the first place ``(rule, share, draw)`` that has the same network: all synapses, none, or no chance."""
    m, s, _ = place
    if share == 1 or (share == 0 and keep_units == 1):
        return 0, s, 0
    return (m, s, 0) if rule == "magnitude" and keep_units == 1 else place


class _Variants:
    """Pruned networks, of which exponents and activity are measured once."""

    def __init__(self, model: Model, batch: Batch, keep_units: float, rescale: str, lnp: LyapunovNoise) -> None:
        self.model, self.keep_units, self.rescale, self.lnp = model, keep_units, rescale, lnp
        self.inputs = batch.inputs[:, :_DRIVEN]

    def of(self, method: str, share: float, seed: int) -> Model | None:
        """Return the network pruned by a rule; ``None`` where too few synapses are left between its units."""
        rule: str | LyapunovNoise = method
        if method == "lyapunov":
            if self.lnp.node_exponents is None:
                found = node_exponents(self.model, self.inputs)["node_exponents"].mean("trial").values
                self.lnp = replace(self.lnp, node_exponents=found)
            rule = self.lnp
        whole = share == 1
        rescale = "none" if whole or (self.rescale == "probability" and method == "magnitude") else self.rescale
        try:
            return prune(
                self.model, rule, share, 1.0 if whole else self.keep_units, rescale,
                torch.Generator().manual_seed(seed), self.inputs,
            )  # fmt: skip
        except InputError:
            if self.keep_units == 1:
                raise
            return None


def _score(model: Model, task: Task, batch: Batch, seed: int) -> np.ndarray:
    """Return the score of every head; not a number where the network diverges."""
    own = generator_for(model, None).manual_seed(seed)
    first = len(batch.inputs) - len(batch.targets)
    outputs = run(model, batch, own, heads=list(task.heads), first=first).outputs
    score: np.ndarray = task.score(outputs, batch).double().cpu().numpy()
    return score if outputs.isfinite().all() else np.full_like(score, np.nan)


def _numbers(model: Model, batch: Batch) -> list[float]:
    generator = generator_for(model, None)
    inputs, bare = batch.inputs[:, :_DRIVEN], without_traces(model)
    state, burn_in = bare.initial_state(inputs.shape[1], generator), len(inputs) // BURN_IN
    n_steps = len(inputs) - burn_in
    noise = bare.draw_noise(len(inputs), inputs.shape[1], generator)
    try:
        found = exponents_along(
            bare,
            state,
            inputs.to(bare.hidden(state)),
            1,
            burn_in=burn_in,
            n_steps=n_steps,
            generator=generator,
            noise=noise,
        )["exponents"]
        exponent = float(found.mean())
    except InputError:  # it diverges
        exponent = np.nan
    units = np.concatenate([_alive(cell) for cell in model.layers])
    matrix = next(iter(recurrent_matrices(model.layers[0]).values())).double().cpu().numpy()
    left = _alive(model.layers[0])
    matrix = matrix[np.ix_(left, left)]
    values, vectors = np.linalg.eig(matrix)
    radius, participation = float(np.abs(values).max()), participation_of(vectors) if matrix.any() else np.nan
    if model.tau is None:
        return [exponent, radius, participation, np.nan, np.nan]
    tau = model.tau.double().cpu().numpy()
    removed = float(tau[~units].mean()) if not units.all() else np.nan
    return [exponent, radius, participation, float(tau[units].mean()), removed]


def _alive(cell: Any) -> np.ndarray:
    alive: np.ndarray = (
        cell.mask.bool().cpu().numpy() if isinstance(cell, SilencedCell) else np.ones(cell.n_units, bool)
    )
    return alive
