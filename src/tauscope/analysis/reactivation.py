"""Reactivation: does a network that is left without input revisit the states of its task, and is that more than persistence?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple, cast

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from tauscope.analysis.checked import checked
from tauscope.analysis.density import Array, divergence
from tauscope.analysis.motion import LAGS, drift_cosine, motion, spread
from tauscope.analysis.silence import Decoder, Noise, Silence, decoder_of, perform, rest, start_states, summed
from tauscope.errors import InputError, require_at_least, require_count, require_instance, require_positive
from tauscope.models.model import Model, require_model
from tauscope.models.trace import generator_for
from tauscope.tasks.base import Batch, Task

FRACTION = 0.9
"""Share of the variance of the task's states that the components of the task hold."""

_TRAJECTORIES, _SHOWN_STEPS, _SHOWN_STATES, _COMPONENTS = 6, 400, 600, 3
"""What is kept for figures of every run."""
_FIGURES = {
    "trajectories": ("time", "trajectory", "coordinate"),
    "scores": ("state", "component"),
    "scores_at": ("state", "coordinate"),
}


class Run(NamedTuple):
    """A silent run: where it starts, by how much the variance of the noise is multiplied over k, and whether it is trained."""

    start: str
    factor: float
    trained: bool = True


RUNS: Mapping[str, Run] = {
    "active": Run("active", 1.0),
    "common": Run("common", 1.0),
    "rest": Run("rest", 1.0),
    "shuffled": Run("shuffled", 1.0),
    "narrow": Run("active", 0.5),
    "wide": Run("active", 2.0),
    "still": Run("active", 0.0),
    "untrained": Run("active", 1.0, trained=False),
}
"""The silent runs by name; before them stands ``task``, the network at its task."""

_UNITS = {
    "kl": ("KL divergence of decoded positions from those of the task", "nats"),
    "kl_late": ("KL divergence of the later half from the task", "nats"),
    "stationarity": ("KL divergence of the last quarter from the one before", "nats"),
    "variance": ("variance of positions within a run, later half", "unit^2"),
    "pooled_variance": ("variance of positions of all runs, later half", "unit^2"),
    "step": ("mean distance of successive positions", "unit"),
    "velocity": ("mean step on the ring, with its sign", "unit"),
    "turning": ("mean cosine between successive steps", "1"),
    "exponent": ("exponent of the mean squared displacement", "1"),
    "norm_ratio": ("norm of the states over that in the task", "1"),
    "output_ratio": ("largest output over that in the task", "1"),
    "share": ("share of the variance in the components of the task", "1"),
    "drift": ("cosine of drift and gradient of the log density of the task", "1"),
}


@checked
@torch.no_grad()
def reactivation(
    model: Model,
    task: Task,
    *,
    k: float = 2.0,
    sigma: float | None = None,
    n_steps: int = 400,
    n_trajectories: int = 60,
    n_samples: int = 4000,
    decoder: Decoder | None = None,
    untrained: Model | None = None,
    generator: torch.Generator | None = None,
) -> xr.Dataset:
    """Measure what a network does without input, beside what it does at its task.

    Parameters
    ----------
    model : Model
        The network; nothing of it is changed.
    task : Task
        Its trials give the behaviour that silent runs are compared with, and the codes that they start from.
    k : float
        Factor of the variance of the noise in silence, above 0; a Langevin sampler of the states of the task needs 2.
    sigma : float, optional
        Size of the noise of a step in the place of the network's own, such as that with which others were trained.
    n_steps : int
        Steps of a silent run, at least 20; what is said of "late" is of the second half.
    n_trajectories : int
        Runs of each kind, at least 2.
    n_samples : int
        Positions of which densities are estimated, the same number on both sides.
    decoder : Decoder, optional
        How positions are read; by default by the task, or where it decodes nothing, as the first two principal components of
        the task's states.
    untrained : Model, optional
        The same network before its training; without it there is no run of that name.
    generator : torch.Generator, optional
        Source of all chance; seeded with 0 if not given.

    Returns
    -------
    Dataset [run, ...]
        By run, of `RUNS` and the task itself: ``kl``, ``kl_late``, ``stationarity``, ``variance``, ``pooled_variance``, ``step``,
        ``velocity`` (angles alone), ``turning``, ``msd [run, lag]`` and its ``exponent``, ``norm_ratio``, ``output_ratio``,
        ``share`` and ``drift``. Of the network: ``score`` and ``score_noisy`` of the task, under its own noise and under that of
        silence at k = 1; ``signal_to_noise``, ``n_components`` and ``kl_uniform``, of uniform positions. For figures and for comparisons
        of networks ``positions [run, sample, coordinate]``, ``trajectories [run, trajectory, time, coordinate]``, ``scores
        [run, state, component]`` and ``scores_at [run, state, coordinate]``.

    Raises
    ------
    InputError
        If an option is out of range, or the activity does not stay finite.

    Notes
    -----
    Source: Krishna et al., ICLR 2024, published code, with controls of our own. A silent run begins at states of the task, so that
    a network that does not move at all has a divergence near 0. What tells reactivation from persistence: the run without
    noise (``still``), runs from ``common`` states, from ``rest`` and from ``shuffled`` units, and the variance within a run. The
    most active cells tell a position also of activity that has died down or grows without bound: a network whose
    ``norm_ratio`` leaves [0.5, 2] does not reactivate. The variance of angles is 1 - R², with R the length of the mean unit
    vector. The drift is the mean step in bins of positions in the later half; it means something where the run is stationary,
    and beside that of an untrained network, because jumps between places that are decoded at random point back to the middle.

    Examples
    --------
    >>> from tauscope.runs.setups.navigation import Noisy
    >>> from tauscope.tasks import HeadDirection
    >>> task, generator = HeadDirection(n_cells=16, n_steps=10), torch.Generator().manual_seed(0)
    >>> model = Noisy(num_neurons=8, sigma=0.1).build(task, task.heads, generator)
    >>> result = reactivation(model, task, n_steps=20, n_trajectories=4, n_samples=40)
    >>> result["run"].values.tolist()
    ['task', 'active', 'common', 'rest', 'shuffled', 'narrow', 'wide', 'still']
    >>> bool(result["step"].sel(run="active") > 0), result.attrs["periodic"]
    (True, 1)
    """
    _require(k, sigma, n_steps, n_trajectories, n_samples, decoder)
    generator = generator_for(model, generator)
    seed, heads = generator.initial_seed(), list(task.heads)
    n_trials = max(n_trajectories, -(-n_samples // len(task.sample(1, generator).inputs)))
    batch = task.sample(n_trials, generator)
    own, noise = Noise(model, None), Noise(model, sigma)
    states, outputs, final = perform(model, batch, heads, own, generator)
    decoder = decoder or decoder_of(task, states)
    done = {"task": summed(states, outputs, _decoded(decoder, states, outputs))}
    for name, run in RUNS.items():
        network = model if run.trained else untrained
        if network is None:
            continue
        require_model(network)
        state = start_states(network, run.start, batch, final, n_trajectories, generator)
        drawn = Noise(network, sigma)

        def private(length: int, drawn: Noise = drawn, factor: float = k * run.factor) -> Tensor | None:
            return drawn.draw(length, n_trajectories, factor, generator)

        done[name] = rest(network, state, heads, decoder, private, n_steps)
    noisy = perform(model, batch, heads, noise, generator)[1]
    size = noise.std(generator)
    about = {
        "score": _score(task, outputs, batch),
        "score_noisy": _score(task, noisy, batch),
        "signal_to_noise": _signal_to_noise(model, done["task"], size),
    }
    result = _described(done, decoder, n_samples, np.random.default_rng(_seed_of(generator)))
    result = result.assign({name: ((), value) for name, value in about.items()})
    return result.assign_attrs(
        task=type(task).__name__, unit=decoder.unit, periodic=int(decoder.periodic), k=k, sigma=size, n_steps=n_steps,
        n_trajectories=n_trajectories, n_samples=n_samples, seed=str(seed),
    )  # fmt: skip


def _require(
    k: float, sigma: float | None, n_steps: int, n_trajectories: int, n_samples: int, decoder: Decoder | None
) -> None:
    require_positive("k", k, finite=True)
    require_at_least("sigma", 0.0 if sigma is None else sigma, 0.0)
    require_count("n_steps", n_steps, 20)
    require_count("n_trajectories", n_trajectories, 2)
    require_count("n_samples", n_samples, 10)
    if decoder is not None:
        require_instance(
            "decoder", decoder, Decoder, "a Decoder, such as Decoder(lambda states, outputs: states[..., :2])"
        )


def _decoded(decoder: Decoder, states: Tensor, outputs: Tensor) -> Tensor:
    positions = decoder.decode(states, outputs)
    fits = isinstance(positions, Tensor) and positions.dim() == 3 and positions.shape[:2] == states.shape[:2]
    if not fits or (decoder.periodic and positions.shape[2] != 1):
        told = tuple(positions.shape) if isinstance(positions, Tensor) else type(positions).__name__
        raise InputError(
            f"positions have shape {told}: expected {(*states.shape[:2], 1 if decoder.periodic else 'coordinate')}"
        )
    return positions


def _described(done: Mapping[str, Silence], decoder: Decoder, n_samples: int, rng: np.random.Generator) -> xr.Dataset:
    """Return the numbers of all runs, compared with those of the task."""
    active, periodic = done["task"], decoder.periodic
    variances, axes = torch.linalg.eigh(active.covariance)
    variances, axes = variances.flip(0).clamp(min=0), axes.flip(1)
    n_kept = min(1 + int((variances.cumsum(0) < FRACTION * variances.sum()).sum()), len(variances))
    reference = _sample(active.positions.double().numpy(), n_samples, rng)
    rows, samples = [], []
    for silence in done.values():
        positions = silence.positions.double().numpy()
        samples.append(_sample(positions, n_samples, rng))
        rows.append(
            _of_positions(positions, samples[-1], reference, periodic, rng)
            | {
                "norm_ratio": _ratio(silence.norm, active.norm),
                "output_ratio": _ratio(silence.peak, active.peak),
                "share": _share(silence.covariance, axes[:, :n_kept]),
            }
        )
    numbers = {
        what: ("run", [row[what] for row in rows], {"long_name": said, "units": unit.replace("unit", decoder.unit)})
        for what, (said, unit) in _UNITS.items()
    }
    shown = [_shown(silence, axes[:, :_COMPONENTS]) for silence in done.values()]
    of_uniform = {"long_name": "KL divergence of uniform positions from those of the task", "units": "nats"}
    return xr.Dataset(
        {
            **numbers,
            "msd": (("run", "lag"), np.stack([row["msd"] for row in rows]), {"units": f"{decoder.unit}^2"}),
            "positions": (("run", "sample", "coordinate"), _stacked(samples)),
            **{
                name: (("run", *dims), _stacked([measured[name] for measured in shown]))
                for name, dims in _FIGURES.items()
            },
            "n_components": ((), n_kept, {"long_name": f"components for {FRACTION:.0%} of the variance in the task"}),
            "kl_uniform": ((), _of_uniform(reference, periodic, rng), of_uniform),
        },
        coords={"run": list(done), "lag": ("lag", list(LAGS), {"units": "steps"})},
    )


def _of_positions(
    positions: Array, sample: Array, reference: Array, periodic: bool, rng: np.random.Generator
) -> dict[str, Any]:
    """Return what is said of the positions ``[time, run, coordinate]`` of a run alone."""
    half, quarter = len(positions) // 2, 3 * len(positions) // 4
    late = positions[half:]
    far = partial(divergence, periodic=periodic, generator=rng)
    n_samples = min(len(sample), positions[quarter:, :, 0].size, positions[half:quarter, :, 0].size)
    parts = [_sample(part, n_samples, rng) for part in (positions[quarter:], positions[half:quarter])]
    return motion(positions, periodic) | {
        "kl": far(sample, reference),
        "kl_late": far(_sample(late, len(sample), rng), reference),
        "stationarity": far(*parts),
        "variance": float(np.mean([spread(late[:, i], periodic) for i in range(late.shape[1])])),
        "pooled_variance": spread(late.reshape(-1, late.shape[-1]), periodic),
        "drift": drift_cosine(late, reference, periodic),
    }


def _sample(positions: Array, n_samples: int, rng: np.random.Generator) -> Array:
    """Return so many positions ``[sample, coordinate]`` of all; fewer where there are not as many."""
    flat = positions.reshape(-1, positions.shape[-1])
    return cast(Array, rng.choice(flat, min(n_samples, len(flat)), replace=False))


def _of_uniform(reference: Array, periodic: bool, rng: np.random.Generator) -> float:
    """Return the divergence of as many positions that are uniform over the range of a sample."""
    low, high = (-math.pi, math.pi) if periodic else (reference.min(axis=0), reference.max(axis=0))
    return divergence(rng.uniform(low, high, reference.shape), reference, periodic=periodic, generator=rng)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _share(covariance: Tensor, axes: Tensor) -> float:
    """Return the share of the variance that lies in the space of some axes."""
    return _ratio(float((axes.t() @ covariance @ axes).trace()), float(covariance.trace()))


def _shown(silence: Silence, axes: Tensor) -> dict[str, Array]:
    """Return what figures show of a run."""
    states = silence.shown.double() @ axes
    return {
        "trajectories": silence.positions[:_SHOWN_STEPS, :_TRAJECTORIES].numpy(),
        "scores": states[-_SHOWN_STATES:].cpu().numpy(),
        "scores_at": silence.shown_at[-_SHOWN_STATES:].numpy(),
    }


def _stacked(several: list[Array]) -> NDArray[np.float32]:
    """Return arrays of different lengths one beside the other, filled up with what is not a number."""
    shape = np.max([array.shape for array in several], axis=0)
    found = np.full((len(several), *shape), np.nan, dtype=np.float32)
    for room, array in zip(found, several, strict=True):
        room[tuple(slice(size) for size in array.shape)] = array
    return found


def _signal_to_noise(model: Model, active: Silence, size: float) -> float:
    """Return the spread of units in the task over that of noise that each unit alone would have, by its timescale."""
    tau = model.tau
    if tau is None or not size:
        return math.nan
    alone = size / (1 - (1 - 1 / tau.double()).square()).sqrt()
    return float((active.covariance.diagonal().clamp(min=0).sqrt() / alone.to(active.covariance.device)).mean())


def _score(task: Task, outputs: Tensor, batch: Batch) -> float:
    return float(task.score(outputs[-len(batch.targets) :], batch).mean())


def _seed_of(generator: torch.Generator) -> int:
    return int(torch.randint(2**62, (), generator=generator, device=generator.device))
