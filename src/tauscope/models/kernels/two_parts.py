"""The fast recurrence of cells in two parts: a whole sequence in one autograd function.

Units innermost, ``[time, batch, row]``: so `pointwise` finds what it expects, and the products of many steps are products
of matrices that lie there as they are. Forward, the inputs of a block of steps are multiplied at once, and one product with
the state is left of every step. Backward, the gradients with respect to z are kept for a block of steps, whose weight
gradients are one product each. How the pointwise part is computed and differentiated is the affair of a `UnitWise`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from tauscope.models.kernels.blocks import WeightGradients, add_product, driven, product
from tauscope.models.kernels.kernel import Given, Kernel, clip_gradient

State = tuple[Tensor, ...]
Pointwise = Callable[[Tensor, State, Tensor | None], State]

_PLAIN_BELOW = 1 << 22
"""Below this many multiply-adds a step, graphs of single steps cost more than they save: torch differentiates the loop."""


Back = tuple[Sequence[Tensor | None], Sequence[Tensor | None], Tensor | None]


class Step(NamedTuple):
    """What is known of a step on the way back.

    Attributes
    ----------
    z : Tensor [batch, row]
        As `UnitWise.forward` left it.
    state : tuple of Tensor [batch, ...]
        State before the step.
    noise : Tensor [batch, unit], optional
        Private noise.
    """

    z: Tensor
    state: State
    noise: Tensor | None


class UnitWise(Protocol):
    """How the pointwise part of a sequence is computed and differentiated; an object for each sequence."""

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """What the pointwise part uses beside its arguments and may get a gradient."""

    def plain(self, parameters: Sequence[Tensor]) -> Pointwise:
        """Return the pointwise part with these parameters, by operations that torch differentiates."""

    def forward(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        """Return the next state; z may be written over."""

    def backward(self, step: Step, gradients: Sequence[Tensor | None], delta: tuple[Tensor, ...]) -> Back:
        """Write the gradient of z to ``delta``, and return those of the state before, the parameters and the noise.

        ``delta`` is in two pieces where rows of z are the input's alone, these first. Steps come from the last to the first.
        """


class Differentiated:
    """A pointwise part that torch differentiates: computed once more at every step on the way back, with a graph.

    The numbers of one step are in the cache then, which graphs kept from the way there would not be.

    Parameters
    ----------
    cell : nn.Module
        With a method ``pointwise(z, state, noise)``.
    """

    def __init__(self, cell: nn.Module) -> None:
        self._cell: Any = cell
        named = {name: one for name, one in cell.named_parameters() if one.requires_grad}
        self._names, self.parameters = tuple(named), tuple(named.values())

    def plain(self, parameters: Sequence[Tensor]) -> Pointwise:
        """Return the cell's pointwise part, with these parameters in the place of its own."""
        if all(one is other for one, other in zip(parameters, self.parameters, strict=True)):
            pointwise: Pointwise = self._cell.pointwise
            return pointwise
        named = {f"cell.{name}": one for name, one in zip(self._names, parameters, strict=True)}
        module = _Called(self._cell)
        return lambda z, state, noise: torch.func.functional_call(module, named, (z, state, noise))

    def forward(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        """Return the next state, as `UnitWise` says."""
        after: State = self._cell.pointwise(z, state, noise)
        return after

    def backward(self, step: Step, gradients: Sequence[Tensor | None], delta: tuple[Tensor, ...]) -> Back:
        """Return gradients, as `UnitWise` says."""
        leaves = [part.detach().requires_grad_() for part in (step.z, *step.state)]
        if step.noise is not None:
            leaves.append(step.noise.detach().requires_grad_())
        n_states = 1 + len(step.state)
        with torch.enable_grad():
            after = self._cell.pointwise(
                leaves[0], tuple(leaves[1:n_states]), None if step.noise is None else leaves[-1]
            )
        followed = [
            (part, gradient)
            for part, gradient in zip(after, gradients, strict=True)
            if part.requires_grad and gradient is not None
        ]
        found: Sequence[Tensor | None] = [None] * (len(leaves) + len(self.parameters))
        if followed:
            outputs, incoming = zip(*followed, strict=True)
            found = torch.autograd.grad(outputs, (*leaves, *self.parameters), incoming, allow_unused=True)
        first = 0
        for piece in delta:
            last = first + piece.shape[1]
            _ = piece.zero_() if found[0] is None else piece.copy_(found[0][:, first:last])
            first = last
        return found[1:n_states], found[len(leaves) :], found[n_states] if step.noise is not None else None


class _Called(nn.Module):
    """A module that is called where another's pointwise part is."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell: Any = cell

    def forward(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        after: State = self.cell.pointwise(z, state, noise)
        return after


def joined(from_x: Tensor, from_h: Tensor, bias: Tensor) -> Tensor:
    """Return z: rows of the input first, rows of the units last, their sum where they overlap, and the bias.

    Parameters
    ----------
    from_x, from_h : Tensor [batch, input row], [batch, recurrent row]
        Products of the input and of the state.
    bias : Tensor [row]
        Of all rows.

    Returns
    -------
    Tensor [batch, row]
        z.

    Examples
    --------
    >>> joined(torch.tensor([[1.0, 2.0]]), torch.tensor([[10.0, 20.0]]), torch.zeros(3))
    tensor([[ 1., 12., 20.]])
    """
    alone, shared = len(bias) - from_h.shape[-1], from_x.shape[-1] + from_h.shape[-1] - len(bias)
    if alone == 0 and from_x.shape == from_h.shape:
        return from_x + from_h + bias
    both = from_x[..., alone:] + from_h[..., :shared]
    return torch.cat([from_x[..., :alone], both, from_h[..., shared:]], dim=-1) + bias


class _TwoParts(Kernel):
    """state_t = pointwise(W x_t + U h_{t-1} + b, state_{t-1}, noise_t), h the first tensor of the state."""

    @staticmethod
    def plain(
        rule: UnitWise,
        clip: float | None,
        n_states: int,
        W: Tensor,
        U: Tensor,
        bias: Tensor,
        inputs: Tensor,
        noise: Tensor | None,
        hold: Tensor | None,
        *others: Tensor,
    ) -> tuple[Tensor, ...]:
        pointwise, state, states = rule.plain(others[n_states:]), others[:n_states], []
        for t, from_x in enumerate((inputs @ W.t()).unbind(0)):
            z = clip_gradient(joined(from_x, state[0] @ U.t(), bias), clip)
            moved = pointwise(z, state, None if noise is None else noise[t])
            if hold is not None:
                held = hold[t, :, None]
                moved = tuple(torch.where(held, before, after) for before, after in zip(state, moved, strict=True))
            state = moved
            states.append(state[0])
        return torch.stack(states), *state

    @staticmethod
    def forward(
        ctx: Any,
        rule: UnitWise,
        clip: float | None,
        n_states: int,
        W: Tensor,
        U: Tensor,
        bias: Tensor,
        inputs: Tensor,
        noise: Tensor | None,
        hold: Tensor | None,
        *others: Tensor,
    ) -> tuple[Tensor, ...]:
        state, wanted = others[:n_states], any(ctx.needs_input_grad)
        # Of what no backward pass reads, the last alone is kept.
        rooms = [_room(part, len(inputs)) for part in (state if wanted else state[:1])]
        zs = []
        for t, z in enumerate(driven(W, bias, inputs)):
            add_product(z[:, len(bias) - len(U) :], state[0], U)
            before, held = state, None if hold is None else hold[t, :, None]
            moved = rule.forward(z, before, None if noise is None else noise[t])
            if held is not None:
                moved = tuple(torch.where(held, old, new) for old, new in zip(before, moved, strict=True))
            kept = tuple(room[t + 1].copy_(new) for room, new in zip(rooms, moved, strict=False))
            state = kept + moved[len(kept) :]
            if wanted:
                zs.append(z)
        arguments = (rule, clip, n_states, W, U, bias, inputs, noise, hold, *others)
        Kernel.keep(ctx, arguments, *rooms, *zs)
        ctx.set_materialize_grads(False)
        return rooms[0][1:], *[part.clone() for part in state]

    @staticmethod
    def first_derivative(given: Given, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        rule, clip, n_states, W, U, bias, inputs, noise, hold, *others = given.arguments
        rooms, zs = given.kept[:n_states], given.kept[n_states:]
        g_states, *last = gradients
        g: list[Any] = [None if part is None else part.clone() for part in last]
        weights = WeightGradients(W, U, bias, inputs, rooms[0], bool(given.wanted[6]))
        g_noise = torch.zeros_like(noise) if given.wanted[7] else None
        own: list[Tensor | None] = [None] * (len(others) - n_states)
        U_t = U.t().contiguous()
        for t in range(len(inputs) - 1, -1, -1):
            if g_states is not None:
                g[0] = g_states[t] if g[0] is None else g[0].add_(g_states[t])
            held = None if hold is None else hold[t, :, None]
            delta = weights.slot(t)
            step = Step(zs[t], tuple(room[t] for room in rooms), None if noise is None else noise[t])
            back, parts, from_noise = rule.backward(step, [_free(part, held) for part in g], delta)
            if clip is not None:
                for piece in delta:
                    piece.clamp_(-clip, clip)
            weights.add(t)
            own = [_sum(total, part) for total, part in zip(own, parts, strict=True)]
            if g_noise is not None and from_noise is not None:
                g_noise[t] = from_noise
            through = product(delta[-1], U, U_t, back[0])
            g = [_kept(old, new, held) for old, new in zip(g, (through, *back[1:]), strict=True)]
        return None, None, None, *weights.totals(), weights.g_inputs, g_noise, None, *g, *own


def _room(initial: Tensor, n_steps: int) -> Tensor:
    """Return room for a part of the state at all steps, with its initial value, ``[time + 1, batch, unit]``."""
    room = initial.new_empty(n_steps + 1, *initial.shape)
    room[0] = initial
    return room


def _free(gradient: Tensor | None, held: Tensor | None) -> Tensor | None:
    """Return the gradient of what a step computed: nothing of it was taken where the state was held."""
    return gradient if gradient is None or held is None else gradient.masked_fill(held, 0.0)


def _kept(before: Tensor | None, after: Tensor | None, held: Tensor | None) -> Tensor | None:
    """Return the gradient of the state before a step: that of the step, and where it was held, that of the state after."""
    if held is None or before is None:
        return after
    own = before.masked_fill(~held, 0.0)
    return own if after is None else after.masked_fill(held, 0.0).add_(own)


def _sum(total: Tensor | None, part: Tensor | None) -> Tensor | None:
    if part is None:
        return total
    return part if total is None else total + part


def two_parts(
    rule: UnitWise,
    maps: tuple[Tensor, Tensor, Tensor],
    inputs: Tensor,
    state: State,
    noise: Tensor | None = None,
    hold: Tensor | None = None,
    *,
    clip: float | None = None,
) -> tuple[Tensor, State]:
    """Run ``state_t = pointwise(W x_t + U h_{t-1} + b, state_{t-1}, noise_t)`` over a sequence.

    Parameters
    ----------
    rule : UnitWise
        How the pointwise part is computed and differentiated; used for this sequence alone.
    maps : tuple of Tensor [input row, channel], [recurrent row, unit], [row]
        W, U and b; see `joined` for which rows are whose.
    inputs : Tensor [time, batch, channel]
        x_1 … x_T.
    state : tuple of Tensor [batch, ...]
        State before the first step; its first tensor is h_0.
    noise : Tensor [time, batch, unit], optional
        What the pointwise part is given as noise.
    hold : Tensor [time, batch] of bool, optional
        Steps at which the state stays as it is.
    clip : float, optional
        Largest magnitude of the gradient with respect to z, element by element at every step.

    Returns
    -------
    states : Tensor [time, batch, unit]
        h_1 … h_T.
    state : tuple of Tensor [batch, ...]
        State after the last step.

    Examples
    --------
    >>> class Tanh(nn.Module):
    ...     def pointwise(self, z, state, noise):
    ...         return (torch.tanh(z),)
    >>> one = torch.ones(1, 1)
    >>> two_parts(Differentiated(Tanh()), (one, 0 * one, one[0]), torch.ones(2, 1, 1), (one,))[0].flatten()
    tensor([0.9640, 0.9640])
    """
    small = isinstance(rule, Differentiated) and inputs.shape[1] * maps[1].numel() < _PLAIN_BELOW
    run = _TwoParts.plain if small else _TwoParts.run
    states, *last = run(rule, clip, len(state), *maps, inputs, noise, hold, *state, *rule.parameters)
    return states, tuple(last)
