"""Engines of training: states without a graph of many steps, and their exact gradient by one reverse affine recurrence.

Once the states are known, the gradients λ_t = g_t + J_{t+1}ᵀ λ_{t+1} of a loss with respect to what each step computes are an
affine recurrence, and one product of λ with the derivatives of all steps, side by side, gives those of parameters, inputs,
noise and initial state. Source: Lim et al., ICLR 2024, with the Jacobians of the last states, not of those before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tauscope.errors import require_count
from tauscope.models.kernels.kernel import is_transformed
from tauscope.models.parallel.affine import affine
from tauscope.models.parallel.layer import Layer
from tauscope.models.parallel.newton import Iteration, iterate, tolerance
from tauscope.models.solvers import loop
from tauscope.models.two_parts import TwoPartCell

if TYPE_CHECKING:
    from tauscope.models.cell import Cell, State

Solved = tuple[Tensor, "State", Mapping[str, Tensor]]

_MATRICES = 1 << 21
"""Numbers of the Jacobians of a block of steps of the reverse recurrence."""

_DENSE_BELOW = 1 << 14
"""Numbers of the Jacobians of a step, of all trials, above which each step is differentiated by itself."""


@dataclass(frozen=True)
class Adjoint:
    """States by the fastest sequence without a graph, gradients by one reverse recurrence; exact for every network.

    The answer of cells that have no kernel of their own: no graph of a step after the other is built. The derivative is that of
    `tauscope.models.Cell.step`, whatever a cell's own ``sequence`` clips. A gradient cannot be differentiated again.

    Examples
    --------
    >>> import tauscope as ts
    >>> generator = torch.Generator().manual_seed(0)
    >>> model = ts.build_model("gru", 4, generator=generator)
    >>> trace = ts.run(model, torch.ones(50, 2, 1), generator, solver=Adjoint())
    >>> trace.states[-1].sum().backward()
    >>> model.cells[0].rnn.weight_hh_l0.grad.shape
    torch.Size([12, 4])
    """

    def __call__(self, cell: Cell, inputs: Tensor, state: State, noise: Tensor | None, hold: Tensor | None) -> Solved:
        """Solve a sequence, as `tauscope.models.Solver` says."""
        if is_transformed((inputs, *state, *cell.parameters())):
            return *loop(cell, inputs, state, noise, hold), {}
        layer = Layer(cell, inputs, state, noise, hold)
        if isinstance(cell, TwoPartCell) and _is_large(layer):
            # Its recurrence is this method, with a product a step on the way back.
            return *TwoPartCell.sequence(cell, inputs, state, noise=noise, hold=hold), {}
        layer.require_parallel()
        return *_followed(layer, layer.loop()), {}


@dataclass(frozen=True)
class Parallel:
    """States by Newton's method in windows, gradients by one reverse recurrence; what does not converge runs as a loop.

    The answer never depends on convergence. For small layers and long sequences; see `Adjoint` for the gradient.

    Attributes
    ----------
    window : int
        Steps that are solved at once, from the exact last state of the window before.
    max_iter : int
        Corrections after which the trials of a window that have not converged run as a loop.
    tol : float, optional
        Largest residual of a solution: 1e-10 in float64 and 1e-5 in float32 if not given.

    Examples
    --------
    >>> import tauscope as ts
    >>> generator = torch.Generator().manual_seed(0)
    >>> model = ts.build_model("gru", 4, generator=generator)
    >>> trace = ts.run(model, torch.ones(600, 2, 1), generator, solver=Parallel(window=300))
    >>> trace.info["0.iterations"].shape, trace.info["0.fallback"]
    (torch.Size([2, 2]), tensor([[False, False],
            [False, False]]))
    """

    window: int = 1024
    max_iter: int = 12
    tol: float | None = None

    def __post_init__(self) -> None:
        require_count("window", self.window)
        require_count("max_iter", self.max_iter)
        tolerance(self.tol, torch.float64)

    def __call__(self, cell: Cell, inputs: Tensor, state: State, noise: Tensor | None, hold: Tensor | None) -> Solved:
        """Solve a sequence, as `tauscope.models.Solver` says, with iterations and fallbacks ``[window, batch]``."""
        if is_transformed((inputs, *state, *cell.parameters())):
            return *loop(cell, inputs, state, noise, hold), {}
        layer = Layer(cell, inputs, state, noise, hold)
        layer.require_parallel()
        states, info = self._states(layer)
        return *_followed(layer, states), info

    @torch.no_grad()
    def _states(self, layer: Layer) -> tuple[Tensor, dict[str, Tensor]]:
        """Return what is after every step, ``[time, batch, coordinate]``, and how it was found."""
        how = Iteration("newton", tolerance(self.tol, layer.start.dtype), self.max_iter)
        start, solved, iterations, looped = layer.start, [], [], []
        for first in range(0, len(layer), self.window):
            part = layer.cut(slice(first, first + self.window), start)
            found = iterate(part, how)
            z, missed = found.z, ~found.converged
            if bool(missed.any()):
                z = z.clone()
                z[:, missed] = part.trials(missed).loop()
            solved.append(z)
            iterations.append(found.iterations)
            looped.append(missed)
            start = z[-1]
        told = {"iterations": torch.stack(iterations), "fallback": torch.stack(looped)}
        return solved[0] if len(solved) == 1 else torch.cat(solved), told


def _is_large(layer: Layer) -> bool:
    """Return whether the Jacobians of all trials at a step are too large to be multiplied with."""
    n_trials, n = layer.start.shape
    return n_trials * n * n > _DENSE_BELOW


def _followed(layer: Layer, z: Tensor) -> tuple[Tensor, State]:
    """Return outputs and last state with the gradient of the whole sequence, given what is after every step."""
    before = layer.before(z)
    after = layer.step(before)
    if after.requires_grad:
        after = _Reverse.apply(after, lambda gradient: reverse(layer, before.detach(), gradient))
    else:
        after = z
    return layer.outputs(after), layer.state(after[-1])


class _Reverse(torch.autograd.Function):
    """Lets each step's own derivative pass for that of the sequence: gradients of all that came later are added to it."""

    @staticmethod
    def forward(ctx: Any, after: Tensor, gather: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.gather = gather
        return after.view_as(after)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.gather(gradient), None


@torch.no_grad()
def reverse(layer: Layer, before: Tensor, gradient: Tensor) -> Tensor:
    """Return λ_t = g_t + J_{t+1}ᵀ λ_{t+1}, the gradient of what each step computes through all later ones.

    Parameters
    ----------
    layer : Layer
        The recurrence.
    before, gradient : Tensor [time, batch, coordinate]
        States before every step; the gradient g of what is after it, of its own.

    Returns
    -------
    Tensor [time, batch, coordinate]
        λ.

    Examples
    --------
    >>> from tauscope.models.wrapped import WrappedCell
    >>> cell = WrappedCell(lambda x, h: 0.5 * h + x, 1, 1)
    >>> layer = Layer(cell, torch.ones(3, 1, 1), cell.initial_state(1), None, None)
    >>> reverse(layer, torch.zeros(3, 1, 1), torch.ones(3, 1, 1)).flatten()
    tensor([1.7500, 1.5000, 1.0000])
    """
    if _is_large(layer):
        return _step_by_step(layer, before, gradient)
    n_trials, n = layer.start.shape
    found, later = torch.empty_like(gradient), None
    together = max(1, _MATRICES // max(n_trials * n * n, 1))
    for end in range(len(layer), 0, -together):
        steps = slice(max(end - together, 0), end)
        own = gradient[steps]
        if later is not None:
            own = torch.cat([own[:-1], own[-1:] + later])
        J = layer.cut(steps, layer.start).jacobian(before[steps])
        found[steps] = affine(J, own, reverse=True)
        later = (J[0].mT @ found[steps.start].unsqueeze(-1)).squeeze(-1)
    return found


def _step_by_step(layer: Layer, before: Tensor, gradient: Tensor) -> Tensor:
    """Return λ as `reverse`, of large layers: a product with the derivative of one step after the other."""
    found, later = torch.empty_like(gradient), torch.zeros_like(gradient[0])
    for t in range(len(before) - 1, -1, -1):
        found[t] = gradient[t] + later
        with torch.enable_grad():
            z = before[t].detach().requires_grad_()
            after = layer.cut(slice(t, t + 1), layer.start).step(z.unsqueeze(0))[0]
            if t and after.requires_grad:
                (later,) = torch.autograd.grad(after, z, found[t], allow_unused=True, materialize_grads=True)
    return found
