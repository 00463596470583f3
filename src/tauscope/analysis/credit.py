"""How far back in time the gradient of a loss reaches: truncated gradients beside the exact one, on the same trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from tauscope.analysis.checked import checked
from tauscope.errors import InputError, NotApplicableError, require_at_most, require_count
from tauscope.models.cell import State
from tauscope.models.model import Model, own_precision
from tauscope.models.trace import generator_for
from tauscope.models.weights import masked_copy
from tauscope.tasks.base import Task

MOST = 1_000_000
"""Trials, answers or steps that can be asked for: more would take days."""

_AT_ONCE = 2**24
"""Numbers in the states of the windows that are run at a time: memory does not grow with the number of answers."""


@checked
def credit(
    model: Model,
    task: Task,
    *,
    windows: Sequence[int] | None = None,
    n_trials: int = 32,
    n_answers: int = 50,
    generator: torch.Generator | None = None,
) -> xr.Dataset:
    """Compare the gradient of a loss that is followed back for k steps only with the gradient of full backpropagation.

    Every answer is followed back from its own step, so that each has exactly k steps of credit, however the trial is cut into
    updates in training. One step is the immediate derivative, without credit for what the state has kept.

    Parameters
    ----------
    model : Model
        The network, with heads of the names that the task's have; nothing of it is changed.
    task : Task
        What is asked.
    windows : sequence of int, optional
        Steps k; by default 1, 2, 4, … up to the length of a trial. What is longer than a trial counts as its length.
    n_trials : int
        Trials of the loss, the same for all gradients.
    n_answers : int
        Steps of a trial whose answers count. Of a task that asks more, they are spread evenly, for all gradients alike.
    generator : torch.Generator, optional
        Source of trials, initial states and noise; seeded with 0 if not given.

    Returns
    -------
    Dataset [window]
        ``cosine`` of the angle between the truncated and the full gradient, of all trained parameters of the layers (NaN where one of
        them is 0), and ``norm_ratio``, the norm of the truncated over that of the full one. Read-outs are left out: their gradient
        does not go through time.

    Raises
    ------
    NotApplicableError
        If the layers have no parameter, or the loss does not depend on the answers.
    InputError
        If the network has no such heads, or an option is out of range.

    Notes
    -----
    ``g_k = Σ_t (∂L/∂y_t) Σ_{t-k < s <= t} ∂y_t/∂θ_s``, where ``θ_s`` are the parameters as step s uses them (truncated
    backpropagation with an update at every step; Williams & Peng, Neural Computation 2, 490, 1990).

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.LeakyRNN(8, n_heads=1, generator=torch.Generator().manual_seed(0))
    >>> result = credit(model, ts.Parity([2], length=9))
    >>> result.window.values, bool(abs(result.cosine[-1] - 1) < 1e-5)
    (array([1, 2, 4, 8, 9]), True)
    """
    for name, value in (("number of trials", n_trials), ("number of answers", n_answers)):
        require_count(name, value)
        require_at_most(name, value, MOST)
    lengths = None if windows is None else _lengths(windows)
    generator = generator_for(model, generator)
    seed, answered = generator.initial_seed(), Answered.of(model, task, n_trials, n_answers, generator)
    n_steps, full = len(answered.inputs), answered.full()
    lengths = _doubling(n_steps) if lengths is None else sorted({min(k, n_steps) for k in lengths})
    compared = [compare(full if k >= n_steps else answered.truncated(k), full) for k in lengths]
    cosines, ratios = np.array(compared).T
    return xr.Dataset(
        {
            "cosine": ("window", cosines, {"long_name": "cosine with the full gradient", "units": "1"}),
            "norm_ratio": ("window", ratios, {"long_name": "norm over that of the full gradient", "units": "1"}),
        },
        coords={"window": ("window", lengths, {"long_name": "steps of credit", "units": "steps"})},
        attrs={
            "n_trials": n_trials,
            "n_steps": n_steps,
            "n_answers": len(answered.steps),
            "n_parameters": len(full),
            "seed": str(seed),
        },
    )


def compare(gradient: Tensor, full: Tensor) -> tuple[float, float]:
    """Return the cosine of the angle between two gradients, and the norm of the first over that of the second.

    Examples
    --------
    >>> compare(torch.tensor([2.0, 0.0]), torch.tensor([1.0, 0.0])), compare(torch.zeros(1), torch.ones(1))
    ((1.0, 2.0), (nan, 0.0))
    """
    # In double precision, in which the squares of small numbers are not 0; 0 / 0 is no angle.
    gradient, full = gradient.double(), full.double()
    norm, whole = gradient.norm(), full.norm()
    return float((gradient / norm) @ (full / whole)), float(norm / whole)


@dataclass(frozen=True)
class Answered:
    """Trials that a network has answered, with all that a gradient of the loss of its answers is made of.

    Attributes
    ----------
    model : Model
        A copy of the network.
    parameters : list of Parameter
        Those of its layers that are trained; all of them where none is.
    heads : tuple of str
        The heads that answered.
    inputs : Tensor [time, batch, channel]
        Input of every step.
    noise, hold : Tensor, optional
        As `tauscope.models.Model.solve` takes them.
    initial : tuple of layer states
        State before the first step.
    steps : list of int
        Steps of the answers that count, in their order.
    by_output : Tensor [answer, batch, head, output]
        Gradient of the loss with respect to these answers.
    """

    model: Model
    parameters: list[nn.Parameter]
    heads: tuple[str, ...]
    inputs: Tensor
    noise: Tensor | None
    hold: Tensor | None
    initial: tuple[State, ...]
    steps: list[int]
    by_output: Tensor

    @classmethod
    def of(cls, model: Model, task: Task, n_trials: int, n_answers: int, generator: torch.Generator) -> Answered:
        """Let a network answer trials of a task, of which at most so many answers count."""
        twin, heads = masked_copy(model), tuple(task.heads)
        batch, parameters = task.sample(n_trials, generator), _trained(twin)
        with torch.enable_grad(), own_precision():
            initial = twin.initial_state(n_trials, generator, batch.start)
            noise = twin.draw_noise(len(batch.inputs), n_trials, generator)
            like, first = twin.hidden(initial), len(batch.inputs) - len(batch.targets)
            inputs = batch.inputs.to(like.device, like.dtype.to_real())
            with torch.no_grad():
                states, _, _ = twin.solve(inputs, initial, noise=noise, hold=batch.hold, first=first)
                outputs = twin.readout(states, heads)
            outputs = outputs.detach().requires_grad_()
            (by_output,) = torch.autograd.grad(task.loss(outputs, batch).sum(), outputs)
        asked = by_output.flatten(1).ne(0).any(dim=1).nonzero().flatten().tolist()
        if not asked:
            raise NotApplicableError(
                f"the loss of {type(task).__name__} has no gradient: expected an answer that counts, and is not perfect"
            )
        spread = np.linspace(0, len(asked) - 1, min(n_answers, len(asked))).round().astype(int)
        chosen = [asked[i] for i in spread]
        steps = [first + i for i in chosen]
        return cls(twin, parameters, heads, inputs, noise, batch.hold, initial, steps, by_output[chosen])

    def full(self) -> Tensor:
        """Return the gradient of full backpropagation, flat."""
        with torch.enable_grad(), own_precision():
            first = self.steps[0]
            states, _, _ = self.model.solve(self.inputs, self.initial, noise=self.noise, hold=self.hold, first=first)
            rows = [step - first for step in self.steps]
            return self._gradient(self.model.readout(states[rows], self.heads), self.by_output)

    def truncated(self, window: int) -> Tensor:
        """Return the gradient in which every answer is followed back for so many steps, flat."""
        n_trials = self.inputs.shape[1]
        total = torch.zeros((), dtype=self.by_output.dtype, device=self.by_output.device)
        n_at_once = max(_AT_ONCE // (window * n_trials * self.model.n_units), 1)
        before = self._before([max(step + 1 - window, 0) for step in self.steps])
        with torch.enable_grad(), own_precision():
            for i in range(0, len(self.steps), n_at_once):
                chosen = slice(i, i + n_at_once)
                ends = torch.tensor(self.steps[chosen], device=self.inputs.device)
                total = total + self._of_windows(ends, window, before[chosen], self.by_output[chosen])
        return total

    def _of_windows(self, ends: Tensor, window: int, before: list[tuple[State, ...]], by_output: Tensor) -> Tensor:
        """Return the gradient of answers, each through a window that ends with its step; all windows are run as one batch."""
        steps = ends + torch.arange(1 - window, 1, device=ends.device)[:, None]
        # A window that begins before the trial waits in the initial state.
        early = (steps < 0)[..., None].expand(*steps.shape, self.inputs.shape[1]).flatten(1)
        inside = steps.clamp(min=0)
        inputs, noise, hold = (
            None if series is None else series[inside].flatten(1, 2) for series in (self.inputs, self.noise, self.hold)
        )
        if early.any():
            hold = early if hold is None else hold | early
        state = tuple(
            tuple(torch.cat(parts) for parts in zip(*layers, strict=True)) for layers in zip(*before, strict=True)
        )
        assert inputs is not None
        states, _, _ = self.model.solve(inputs, state, noise=noise, hold=hold, first=window - 1)
        outputs = self.model.readout(states[0], self.heads)
        return self._gradient(outputs, by_output.flatten(0, 1))

    def _before(self, steps: list[int]) -> list[tuple[State, ...]]:
        """Return the state before each of some steps, of which only that before the first step depends on parameters."""
        kept, state = {0: self.initial}, self.initial
        with torch.no_grad(), own_precision():
            for t in range(max(steps)):
                noise, hold = (None if series is None else series[t : t + 1] for series in (self.noise, self.hold))
                _, state, _ = self.model.solve(self.inputs[t : t + 1], state, noise=noise, hold=hold)
                if t + 1 in steps:
                    kept[t + 1] = state
        return [kept[step] for step in steps]

    def _gradient(self, outputs: Tensor, by_output: Tensor) -> Tensor:
        # The graph of the initial state is gone through again for other windows.
        found = torch.autograd.grad(
            outputs, self.parameters, by_output, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        return torch.cat([gradient.flatten() for gradient in found])


def _trained(model: Model) -> list[nn.Parameter]:
    # Layers may share some, which count once.
    parameters = list(model.cells.parameters())
    if not parameters:
        raise NotApplicableError(
            "the layers of the network have no parameter: expected at least one, whose gradient is compared"
        )
    if not any(parameter.requires_grad for parameter in parameters):
        model.cells.requires_grad_()
    return [parameter for parameter in parameters if parameter.requires_grad]


def _lengths(windows: Sequence[int]) -> list[int]:
    if isinstance(windows, int) or not len(windows):
        raise InputError(f"windows are {windows}: expected one number of steps or more, such as (1, 2, 4)")
    for window in windows:
        require_count("a window", window)
        require_at_most("a window", window, MOST)
    return [int(window) for window in windows]


def _doubling(n_steps: int) -> list[int]:
    """Return 1, 2, 4, … and the number of steps itself.

    Examples
    --------
    >>> _doubling(5)
    [1, 2, 4, 5]
    """
    return [2**i for i in range((n_steps - 1).bit_length())] + [n_steps]
