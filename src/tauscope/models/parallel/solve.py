"""A network's states at all steps of a sequence at once, and whether they are that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from tauscope.errors import (
    InputError,
    require_choice,
    require_count,
    require_instance,
    require_positive,
    require_probability,
)
from tauscope.models.cell import Cell, State
from tauscope.models.model import Model, own_precision, require_model
from tauscope.models.parallel.layer import Layer
from tauscope.models.parallel.newton import METHODS, SIGMA2, Found, Iteration, iterate, tolerance


@dataclass(frozen=True)
class Solution:
    """The states of a network over a sequence, found for all steps at once.

    Attributes
    ----------
    states : Tensor [time, batch, unit]
        Units of all layers; of a trial that did not converge, the guess with the smallest residual.
    state : tuple of layer states
        State after the last step.
    iterations : Tensor [batch] of int
        Corrections that every trial took, of the layer and window that took most.
    residual : Tensor [iteration, batch]
        Largest ``|f(y_{t-1}) - y_t|`` after 0, 1, 2, … corrections, relative where ``|f| > 1``; of several layers and windows the
        largest; inf where it was no number.
    converged : Tensor [batch] of bool
        Whether the residual is within the tolerance in all layers and windows.
    trajectory : tuple of Tensor [time, batch, coordinate]
        All tensors of the state of every layer, side by side, at all steps: a guess for a similar network or input.
    """

    states: Tensor
    state: tuple[State, ...]
    iterations: Tensor
    residual: Tensor
    converged: Tensor
    trajectory: tuple[Tensor, ...]


@torch.no_grad()
def solve(
    model: Model,
    inputs: Tensor,
    state: tuple[State, ...] | None = None,
    *,
    method: str = "newton",
    tol: float | None = None,
    max_iter: int = 100,
    damping: float = 0.0,
    sigma2: float | None = None,
    guess: Solution | Tensor | None = None,
    window: int | None = None,
    noise: Tensor | None = None,
    hold: Tensor | None = None,
) -> Solution:
    """Find the states of a network at all steps at once, by iteration.

    Parameters
    ----------
    model : Model
        The network; each layer is solved for itself, the first one first.
    inputs : Tensor [time, batch, channel]
        Input of every step.
    state : tuple of layer states, optional
        Before the first step; by default `Model.initial_state` without a generator.
    method : {"newton", "quasi", "jacobi", "elk", "quasi-elk"}
        What a correction of the guess is propagated by: the Jacobian of the step; its diagonal; nothing, so that a sweep
        makes one more step exact; the Jacobian or its diagonal damped by a Kalman filter that trusts the guess.
    tol : float, optional
        Largest residual of a solution: 1e-10 in float64 and 1e-5 in float32 if not given.
    max_iter : int
        Corrections at most.
    damping : float
        Share of the matrix that is left out, 0 … 1; with 1 every method is "jacobi".
    sigma2 : float, optional
        σ² of "elk" (1e6 if not given) and "quasi-elk" (1e2): infinite trusts the guess in nothing.
    guess : Solution or Tensor [time, batch, unit], optional
        States to begin with; by default the initial state at all steps.
    window : int, optional
        Steps that are solved at once, one window after the other; by default all of them.
    noise, hold
        As of `Model.solve`.

    Returns
    -------
    Solution
        States, without a graph, and how the iteration went.

    Raises
    ------
    InputError
        If an option is out of range, or a step cannot be differentiated.

    Notes
    -----
    With r_t = f(y_{t-1}) - y_t, a correction is Δ_t = M_t Δ_{t-1} + r_t from Δ_0 = 0. Whatever M is, y_1 … y_k are exact
    after k corrections (of the Kalman filters, they are approached), and the solution is the same. Newton's method converges
    fast if the largest Lyapunov exponent of the driven network is negative, and cannot well if it is positive. It takes
    3 batch · window · n² numbers for n numbers of a state, the diagonal methods a few batch · window · n. Sources: Lim et
    al., ICLR 2024 (arXiv 2309.12252); Gonzalez et al., NeurIPS 2024 (arXiv 2407.19115) and NeurIPS 2025 (arXiv 2508.16817).

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.build_model("gru", 4, generator=torch.Generator().manual_seed(0))
    >>> solution = solve(model, torch.ones(200, 3, 1))
    >>> bool(solution.converged.all()), bool(solution.iterations.max() < 10), solution.states.shape
    (True, True, torch.Size([200, 3, 4]))
    """
    require_model(model)
    require_instance("inputs", inputs, Tensor, "a tensor [time, batch, channel]")
    how = _iteration(model, method, tol, max_iter, damping, sigma2)
    if window is not None:
        require_count("window", window)
        if window > len(inputs):
            raise InputError(f"window is {window}: expected at most {len(inputs)}, the number of steps")
    found: list[Found] = []
    guesses = _guesses(model, guess, inputs)

    def solver(
        cell: Cell, inputs: Tensor, state: State, noise: Tensor | None, hold: Tensor | None
    ) -> tuple[Tensor, State, dict[str, Tensor]]:
        layer = Layer(cell, inputs, state, noise, hold)
        layer.require_parallel()
        found.append(in_windows(layer, how, window or len(inputs), next(guesses)))
        z = found[-1].z
        return layer.outputs(z), layer.state(z[-1]), {}

    with own_precision():
        states, final, _ = model.solve(inputs, state, noise=noise, hold=hold, solver=solver)
    together = _together(found)
    trajectory = tuple(solution.z for solution in found)
    return Solution(states, final, together.iterations, together.residual, together.converged, trajectory)


def in_windows(layer: Layer, how: Iteration, window: int, guess: Tensor | None = None) -> Found:
    """Solve a layer window by window, each from the last state of the one before; as `iterate`."""
    found, start = [], layer.start
    for first in range(0, len(layer), window):
        steps = slice(first, first + window)
        found.append(iterate(layer.cut(steps, start), how, None if guess is None else guess[steps]))
        start = found[-1].z[-1]
    together = _together(found)
    z = found[0].z if len(found) == 1 else torch.cat([solution.z for solution in found])
    return Found(z, together.iterations, together.residual, together.converged)


def _together(found: list[Found]) -> Found:
    """Return the most iterations and the largest residuals of several solutions of the same trials."""
    longest = max(len(solution.residual) for solution in found)
    residuals = [
        torch.cat([solution.residual, solution.residual[-1:].expand(longest - len(solution.residual), -1)])
        for solution in found
    ]
    return Found(
        found[0].z,
        torch.stack([solution.iterations for solution in found]).amax(dim=0),
        torch.stack(residuals).amax(dim=0),
        torch.stack([solution.converged for solution in found]).all(dim=0),
    )


def _iteration(
    model: Model, method: str, tol: float | None, max_iter: int, damping: float, sigma2: float | None
) -> Iteration:
    """Return how to iterate, or refuse an option."""
    require_choice("method", method, METHODS)
    require_count("max_iter", max_iter)
    require_probability("damping", damping)
    if sigma2 is not None:
        require_positive("sigma2", sigma2)
        if method not in SIGMA2:
            raise InputError(
                f"sigma2 is {sigma2} with method {method!r}: expected none, or method 'elk' or 'quasi-elk'"
            )
    chosen = SIGMA2.get(method, 1.0) if sigma2 is None else float(sigma2)
    dtype = model.hidden(model.initial_state(1)).dtype
    return Iteration(method, tolerance(tol, dtype), max_iter, float(damping), chosen)


def _guesses(model: Model, guess: Solution | Tensor | None, inputs: Tensor) -> Iterator[Tensor | None]:
    """Yield the guess of every layer."""
    if guess is None:
        for _ in model.layers:
            yield None
        return
    require_instance("guess", guess, (Solution, Tensor), "a Solution, or states [time, batch, unit]")
    given = guess.states if isinstance(guess, Solution) else guess
    expected = (*inputs.shape[:2], model.n_units)
    if given.shape != expected:
        raise InputError(f"guess has shape {tuple(given.shape)}: expected {expected}")
    if isinstance(guess, Solution):
        widths = [sum(part[0].numel() for part in layer) for layer in model.initial_state(1)]
        if [z.shape[-1] for z in guess.trajectory] != widths:
            raise InputError(
                "guess is a Solution of a network with other states: expected one of this network's, or its states"
            )
        yield from guess.trajectory
        return
    first = 0
    for cell, own in zip(model.layers, model.initial_state(inputs.shape[1]), strict=True):
        units, first = given[..., first : first + cell.n_units], first + cell.n_units
        rest = [part.flatten(1).expand(len(given), -1, -1) for part in own[1:]]
        yield torch.cat([units.to(own[0]), *rest], dim=-1)
