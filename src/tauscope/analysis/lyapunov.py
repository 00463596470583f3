"""How fast nearby states part or meet: Lyapunov exponents from the Jacobian of the pure step."""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
import xarray as xr
from torch import Tensor
from torch.func import jvp, vmap

from tauscope._draws import normal
from tauscope.analysis.checked import checked
from tauscope.analysis.simulation import probabilities, random_bits
from tauscope.errors import InputError, require_at_least
from tauscope.models.cell import State
from tauscope.models.kernels.subnormals import flushing
from tauscope.models.model import Model

_TRACE_POINTS = 100
_BLOCK_STEPS = 1024


@checked
@flushing()
@torch.no_grad()
def lyapunov(
    model: Model,
    n_exponents: int = 10,
    *,
    n_trials: int = 10,
    n_steps: int = 1000,
    burn_in: int = 200,
    p: float | Sequence[float] | str | None = None,
    repeat: int = 1,
    plus_minus: bool = False,
    generator: torch.Generator | None = None,
) -> xr.Dataset:
    """Measure the leading Lyapunov exponents of a network under random bits.

    Parameters
    ----------
    model : Model
        The network, run with its private noise where it has any; its state is all tensors of all layers. In double precision, strongly contracting directions are
        resolved further: exponents below the logarithm of the rounding (-16 in float32) are not resolved.
    n_exponents : int
        Number of exponents, at most the size of the state.
    n_trials : int
        Trials, each with its own initial state and input.
    n_steps, burn_in : int
        Steps over which the exponents are averaged, and steps before them that let the state reach its attractor and
        the tangent vectors their directions.
    p : float, sequence of float, "quantiles" or "uniform", optional
        Probability of a 1, for all trials or each, or how it is drawn from U(0, 1): as the midpoints of equal parts in
        random order ("quantiles", the default), or freely for every trial ("uniform").
    repeat : int
        Number of steps for which each bit is shown.
    plus_minus : bool
        Code the bits as -1 and +1 instead of 0 and 1.
    generator : torch.Generator, optional
        Source of p, initial states, inputs and tangent vectors; seeded with 0 if not given.

    Returns
    -------
    Dataset [trial, exponent, step]
        ``exponents [trial, exponent]`` in nats a step, the largest first, -inf along a direction that a step
        collapses; ``trace [trial, exponent, step]``, the same after fewer steps; and every trial's ``p``. The input
        is part of the system: the exponents are those of the driven network.

    Raises
    ------
    InputError
        If an option is out of range or the state does not stay finite.

    Notes
    -----
    λ_i = 1/T Σ_t ``ln |R_t,ii|`` with Q_t R_t = J_t Q_{t-1}, J_t the Jacobian of the step. Source: Benettin et al.,
    Meccanica 15, 9 (1980), in the form of Engelken, Wolf & Abbott, Phys. Rev. Research 5, 043044 (2023).

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.LeakyRNN(8, generator=torch.Generator().manual_seed(0))
    >>> result = lyapunov(model, 3, n_trials=2, n_steps=100)
    >>> result.exponents.dims, bool((result.exponents < 0).all())
    (('trial', 'exponent'), True)
    """
    require_at_least("number of exponents", n_exponents, 1)
    require_at_least("number of steps", n_steps, 1)
    require_at_least("burn-in", burn_in, 0)
    require_at_least("repeat", repeat, 1)
    if generator is None:
        generator = torch.Generator().manual_seed(0)
    seed = generator.initial_seed()
    chances = probabilities(p, n_trials, generator)
    state = model.initial_state(n_trials, generator)
    inputs = _inputs(chances, burn_in + n_steps, model.n_inputs, generator, repeat, plus_minus)
    noise = _noise(model, burn_in + n_steps, n_trials, generator)
    result = exponents_along(
        model, state, inputs, n_exponents, burn_in=burn_in, n_steps=n_steps, generator=generator, noise=noise
    )
    return result.assign(p=("trial", chances.cpu().numpy(), {"units": "1"})).assign_attrs(
        repeat=repeat, plus_minus=int(plus_minus), seed=str(seed)
    )


@flushing()
@torch.no_grad()
def exponents_along(
    model: Model,
    state: tuple[State, ...],
    inputs: Iterable[Tensor],
    n_exponents: int,
    *,
    burn_in: int,
    n_steps: int,
    generator: torch.Generator,
    hold: Tensor | None = None,
    noise: Iterable[Tensor | None] | None = None,
) -> xr.Dataset:
    """Measure the leading Lyapunov exponents of a network along given inputs.

    Parameters
    ----------
    model : Model
        The network.
    state : tuple of layer states
        Before the first step, tensors [trial, ...].
    inputs : iterable of Tensor [trial, channel]
        Of every step; drawn one by one, after the tangent vectors.
    n_exponents : int
        Number of exponents.
    burn_in, n_steps : int
        Steps that are not counted, and steps after them over which the exponents are averaged.
    generator : torch.Generator
        Source of the tangent vectors.
    hold : Tensor [time, trial] of bool, optional
        Steps at which the state stays as it is, and which are not counted; no trial is held at the first step that
        would be.
    noise : iterable of Tensor [trial, unit], optional
        Private noise of every step, drawn one by one after the input of the step.

    Returns
    -------
    Dataset [trial, exponent, step]
        ``exponents`` and ``trace``, as `lyapunov` gives them.

    Raises
    ------
    InputError
        If there are not so many exponents, or the state does not stay finite.

    Examples
    --------
    >>> import tauscope as ts
    >>> generator = torch.Generator().manual_seed(0)
    >>> model = ts.LeakyRNN(8, generator=generator)
    >>> result = exponents_along(
    ...     model, model.initial_state(2), torch.ones(9, 2, 1), 3, burn_in=4, n_steps=5, generator=generator
    ... )
    >>> result.exponents.shape, result.step.values
    ((2, 3), array([1, 2, 3, 4, 5]))
    """
    z, flat_step = flatten(model, state)
    if n_exponents > z.shape[1]:
        raise InputError(f"{n_exponents} exponents of a state of size {z.shape[1]}: expected at most {z.shape[1]}")
    start = normal((*z.shape, n_exponents), generator)
    Q = torch.linalg.qr(start.to(z)).Q
    series = (itertools.repeat(None) if tensor is None else tensor for tensor in (noise, hold))
    shown = zip(inputs, *series, strict=False)
    with forward_derivatives():
        trace = _trace(flat_step, z, Q, shown, burn_in, n_steps)
    return _dataset(trace).assign_attrs(units="nats/step", n_steps=n_steps, burn_in=burn_in)


@contextlib.contextmanager
def forward_derivatives() -> Iterator[None]:
    """Keep torch from warning, at the first forward derivative of a process, of what it does itself."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit", category=DeprecationWarning)
        yield


def flatten(model: Model, state: tuple[State, ...]) -> tuple[Tensor, Callable[..., Tensor]]:
    """Write a network's step as a function of one vector.

    Parameters
    ----------
    model : Model
        The network.
    state : tuple of layer states
        A state, tensors [trial, ...].

    Returns
    -------
    z : Tensor [trial, coordinate]
        The state, all tensors of all layers side by side.
    step : callable
        ``step(x [trial, channel], z, noise=None) -> z`` after one step.

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.build_model("lstm", 4, generator=torch.Generator().manual_seed(0))
    >>> z, step = flatten(model, model.initial_state(3))
    >>> z.shape, step(torch.zeros(3, 1), z).shape
    (torch.Size([3, 8]), torch.Size([3, 8]))
    """
    shapes = [tensor.shape for layer in state for tensor in layer]
    sizes = [shape[1:].numel() for shape in shapes]
    ends = np.cumsum([0, *(len(layer) for layer in state)]).tolist()

    def step(x: Tensor, z: Tensor, noise: Tensor | None = None) -> Tensor:
        tensors = [part.reshape(shape) for part, shape in zip(z.split(sizes, dim=1), shapes, strict=True)]
        state = tuple(tuple(tensors[low:high]) for low, high in itertools.pairwise(ends))
        return _side_by_side(model.step(x, state, noise))

    return _side_by_side(state), step


def _side_by_side(state: tuple[State, ...]) -> Tensor:
    return torch.cat([tensor.flatten(1) for layer in state for tensor in layer], dim=1)


def advance(
    step: Callable[..., Tensor], x: Tensor, z: Tensor, Q: Tensor, noise: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Take a step, and a frame of tangent vectors with it.

    Parameters
    ----------
    step : callable
        From an input, a state ``[trial, coordinate]`` and noise to the next state, trial by trial, such as of `flatten`.
    x : Tensor [trial, channel]
        The input.
    z : Tensor [trial, coordinate]
        The state.
    Q : Tensor [trial, coordinate, exponent]
        Orthonormal tangent vectors.
    noise : Tensor [trial, unit], optional
        Private noise.

    Returns
    -------
    tuple of Tensor
        The next state, the next frame, and ln of how far each of its vectors was stretched, ``[trial, exponent]``.

    Examples
    --------
    >>> _, _, grown = advance(lambda x, z, noise: 2 * z, torch.ones(1, 1), torch.ones(1, 1), torch.ones(1, 1, 1))
    >>> grown.exp()
    tensor([[2.]], dtype=torch.float64)
    """
    moved, stretched = push(step, x, z, Q, noise)
    Q, R = torch.linalg.qr(stretched)
    return moved, Q, R.diagonal(dim1=1, dim2=2).abs().double().log()


def push(
    step: Callable[..., Tensor], x: Tensor, z: Tensor, directions: Tensor, noise: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Take a step, and tangent vectors with it: as `advance`, with what becomes of ``directions [trial, coordinate, vector]``.

    Examples
    --------
    >>> push(lambda x, z, noise: 2 * z, torch.ones(1, 1), torch.ones(1, 1), torch.ones(1, 1, 1))[1]
    tensor([[[2.]]])
    """

    def along(direction: Tensor) -> tuple[Tensor, Tensor]:
        moved, pushed = jvp(lambda point: step(x, point, noise), (z,), (direction,))[:2]
        return moved, pushed

    moved, pushed = vmap(along, in_dims=2, out_dims=(None, 2))(directions)  # type: ignore[arg-type]
    return moved, pushed


def _inputs(
    chances: Tensor, n_steps: int, n_channels: int, generator: torch.Generator, repeat: int, plus_minus: bool
) -> Iterator[Tensor]:
    """Yield the input ``[trial, channel]`` of every step."""
    block = repeat * max(_BLOCK_STEPS // repeat, 1)
    for start in range(0, n_steps, block):
        length = min(block, n_steps - start)
        yield from random_bits(chances, length, n_channels, generator, repeat=repeat, plus_minus=plus_minus)


def _noise(model: Model, n_steps: int, n_trials: int, generator: torch.Generator) -> Iterator[Tensor | None]:
    """Yield the private noise ``[trial, unit]`` of every step."""
    for start in range(0, n_steps, _BLOCK_STEPS):
        length = min(_BLOCK_STEPS, n_steps - start)
        block = model.draw_noise(length, n_trials, generator)
        yield from itertools.repeat(None, length) if block is None else block


def _trace(
    step: Callable[..., Tensor],
    z: Tensor,
    Q: Tensor,
    shown: Iterable[tuple[Tensor, Tensor | None, Tensor | None]],
    burn_in: int,
    n_steps: int,
) -> dict[int, Tensor]:
    """Return the exponents ``[trial, exponent]`` after some numbers of steps, the last of which is ``n_steps``."""
    marks = set(np.linspace(1, n_steps, min(n_steps, _TRACE_POINTS)).round().astype(int).tolist())
    growth = torch.zeros(Q.shape[0], Q.shape[2], dtype=torch.float64, device=z.device)
    counted = torch.zeros(Q.shape[0], 1, dtype=torch.float64, device=z.device)
    trace = {}
    for done, (x, noise, held) in enumerate(shown, start=1 - burn_in):
        before = z, Q
        z, Q, logarithms = advance(step, x.to(z), z, Q, noise)
        free = torch.ones_like(counted, dtype=torch.bool)
        if held is not None:
            free = ~held[:, None]
            z, Q = torch.where(free, z, before[0]), torch.where(free[..., None], Q, before[1])
        if done > 0:
            growth += torch.where(free, logarithms, 0.0)
            counted += free
        if done in marks:
            trace[done] = growth / counted
        if not z.isfinite().all():
            raise InputError(f"the network diverged within {done + burn_in} steps: expected finite states")
    return trace


def _dataset(trace: dict[int, Tensor]) -> xr.Dataset:
    running = torch.stack(list(trace.values()), dim=-1).cpu().numpy()
    # Exponents closer than their statistical error may come out of the frame in the wrong order.
    order = np.argsort(-running[..., -1], axis=1, kind="stable")
    running = np.take_along_axis(running, order[..., None], axis=1)
    return xr.Dataset(
        {
            "exponents": (
                ("trial", "exponent"),
                running[..., -1],
                {"long_name": "Lyapunov exponent", "units": "nats/step"},
            ),
            "trace": (
                ("trial", "exponent", "step"),
                running,
                {"long_name": "Lyapunov exponent after fewer steps", "units": "nats/step"},
            ),
        },
        coords={
            "trial": np.arange(len(running)),
            "exponent": 1 + np.arange(running.shape[1]),
            "step": ("step", list(trace), {"units": "steps"}),
        },
    )
