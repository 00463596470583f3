"""What real-time recurrent learning carries forward: how the state depends on the parameters, a unit at a time."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tauscope.errors import InputError
from tauscope.models.cell import State
from tauscope.models.two_parts import TwoPartCell

Parameters = Mapping[str, Tensor]


@dataclass(frozen=True)
class Sensitivities:
    """Derivatives of an element-wise state with respect to the parameters of its layer.

    Attributes
    ----------
    drive : Tensor [batch, unit, part, row, channel + 1]
        Of every part of a unit's state with respect to the weights of its own rows of z, and behind the channels to their bias.
    own : dict of Tensor [batch, unit, part, entry]
        With respect to the entries of each parameter that `pointwise` uses, by its name.
    """

    drive: Tensor
    own: dict[str, Tensor]


@dataclass(frozen=True)
class Segment:
    """A segment as an element-wise layer went through it.

    Attributes
    ----------
    inputs, z : Tensor [time, batch, ...]
        Input of every step, and the rows that the layer makes of it.
    states : tuple of Tensor [time, batch, ...]
        State before every step.
    own : dict of Tensor
        The parameters that `pointwise` used, by their names.
    noise, hold : Tensor, optional
        As `tauscope.Cell.sequence` takes them.
    """

    inputs: Tensor
    z: Tensor
    states: State
    own: dict[str, Tensor]
    noise: Tensor | None
    hold: Tensor | None


class Layer:
    """The recurrence of an element-wise layer, with its derivatives taken by automatic differentiation.

    As every c_i depends on rows, state and parameters of its own unit only, the gradient of Σ c with respect to these *is* the
    diagonal of the Jacobian (Irie, Gopalakrishnan & Schmidhuber, ICLR 2024, need a formula for each cell).

    Parameters
    ----------
    core : TwoPartCell
        With an element-wise `pointwise` and no recurrent weights.

    Raises
    ------
    InputError
        If a parameter that `pointwise` uses has no entries for each unit.
    """

    def __init__(self, core: TwoPartCell) -> None:
        self.core, self.n = core, core.n_units
        maps, state = core.maps(), core.initial_state(1)
        self.n_rows = len(maps.bias) // self.n
        self.n_parts = sum(part.shape[1] for part in state) // self.n
        self.names = _used(core, maps.bias, state)
        for name in self.names:
            parameter = core.get_parameter(name)
            if not parameter.dim() or parameter.shape[-1] % self.n:
                raise InputError(
                    f"{name} of {type(core).__name__} has shape {list(parameter.shape)} for {self.n} units: expected "
                    "[…, unit], so that each unit has entries of its own"
                )
        self._judge_own(state)

    @torch.no_grad()
    def _judge_own(self, state: State) -> None:
        """Refuse a parameter of which an entry of the first unit moves another unit."""
        generator, bias = torch.Generator().manual_seed(0), self.core.maps().bias
        z, *drawn = (
            torch.randn(1, n, generator=generator, dtype=torch.float32, device=generator.device).to(bias)
            for n in (len(bias), *(p.shape[1] for p in state))
        )
        state = tuple(drawn)
        own = {name: self.core.get_parameter(name) for name in self.names}
        kept = torch.cat(_pointwise(self.core, own, z, state, None), dim=1)
        for name, parameter in own.items():
            moved = parameter.clone()
            moved[..., :: self.n] += 1
            found = torch.cat(_pointwise(self.core, {**own, name: moved}, z, state, None), dim=1)
            others = [part.unflatten(1, (-1, self.n))[:, :, 1:].nan_to_num() for part in (kept, found)]
            if not torch.equal(*others):
                raise InputError(
                    f"{name} of {type(self.core).__name__} mixes units: expected entries of which each unit uses its own"
                )

    def zero(self, n_trials: int) -> Sensitivities:
        """Return the sensitivities of a state that depends on no parameter."""
        like, shape = self.core.maps().bias.detach(), (n_trials, self.n, self.n_parts)
        entries = {name: self.core.get_parameter(name).numel() // self.n for name in self.names}
        drive = like.new_zeros(*shape, self.n_rows, self.core.n_inputs + 1)
        return Sensitivities(drive, {name: like.new_zeros(*shape, n) for name, n in entries.items()})

    @torch.no_grad()
    def segment(
        self, inputs: Tensor, state: State, noise: Tensor | None, hold: Tensor | None, outputs: Tensor | None = None
    ) -> Segment:
        """Return what `after` needs of a segment, with the parameters of now.

        Parameters
        ----------
        inputs : Tensor [time, batch, channel]
            Input of every step.
        state : tuple of Tensor [batch, ...]
            State before the first step.
        noise, hold : Tensor, optional
            As `tauscope.Cell.sequence` takes them.
        outputs : Tensor [time, batch, unit], optional
            The first part of the state after every step, where it is known.
        """
        maps = self.core.maps()
        z = torch.nn.functional.linear(inputs, maps.input, maps.bias)
        if outputs is not None and self.n_parts == 1:
            states: State = (torch.cat([state[0][None], outputs[:-1]]),)
        else:
            states = self._states(z, state, noise, hold)
        own = {name: self.core.get_parameter(name).detach().clone() for name in self.names}
        return Segment(inputs, z, states, own, noise, hold)

    @torch.no_grad()
    def after(self, before: Sensitivities, segment: Segment) -> Sensitivities:
        """Return the sensitivities after a segment, for those at its start.

        With P_t = Π_{k>t} J_k they are (Π J) Ŝ + Σ_t P_t ψ_t x_tᵀ: one batched product for all steps.
        """
        J, psi, own = self._derivatives(segment)
        if segment.hold is not None:
            held = segment.hold[..., None, None, None]
            J = torch.where(held, torch.eye(self.n_parts, dtype=J.dtype, device=J.device), J)
            psi = psi.masked_fill(held, 0.0)
            own = {name: part.masked_fill(held, 0.0) for name, part in own.items()}
        whole, P = _products(J)
        drive = _times(P, psi).flatten(2).permute(1, 2, 0)
        shown = torch.cat([segment.inputs, torch.ones_like(segment.inputs[..., :1])], dim=-1).transpose(0, 1)
        carried = _times(whole, before.drive.flatten(3)).flatten(1).view(*drive.shape[:2], -1)
        return Sensitivities(
            carried.baddbmm_(drive, shown).view_as(before.drive),
            {name: _times(whole, before.own[name]) + _times(P, part).sum(dim=0) for name, part in own.items()},
        )

    def carry(self, sensitivities: Sensitivities, delta: State) -> list[tuple[Tensor, Tensor]]:
        """Return what the parameters make and the carry term Σ_batch δ Ŝ of each, for the gradient δ of the segment's loss.

        Parameters
        ----------
        sensitivities : Sensitivities
            At the segment's start.
        delta : tuple of Tensor [batch, ...]
            Gradient of the loss with respect to the state there.
        """
        by_unit = torch.cat([part.unflatten(1, (-1, self.n)) for part in delta], dim=1)
        maps, D = self.core.maps(), self.core.n_inputs
        by_unit = by_unit.transpose(1, 2).unsqueeze(-1)
        # An einsum multiplies unit by unit, which takes ten times as long.
        drive = (by_unit.unsqueeze(-1) * sensitivities.drive).sum(dim=(0, 2)).transpose(0, 1).flatten(0, 1)
        terms = [(maps.input, drive[:, :D]), (maps.bias, drive[:, D])]
        for name, part in sensitivities.own.items():
            parameter = self.core.get_parameter(name)
            terms.append((parameter, (by_unit * part).sum(dim=(0, 2)).t().reshape(parameter.shape)))
        return [(made, term) for made, term in terms if made.requires_grad]

    def _states(self, z: Tensor, state: State, noise: Tensor | None, hold: Tensor | None) -> State:
        """Return the state before every step, ``[time, batch, ...]``."""
        before = []
        for t, drive in enumerate(z.unbind(0)):
            before.append(state)
            moved = self.core.pointwise(drive, state, None if noise is None else noise[t])
            if hold is not None:
                moved = tuple(map(torch.where, itertools.repeat(hold[t][:, None]), state, moved))
            state = moved
        return tuple(map(torch.stack, zip(*before, strict=True)))

    def _derivatives(self, segment: Segment) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return J ``[time, batch, unit, part, part]``, ψ ``[…, part, row]`` and those of the own parameters ``[…, part, entry]``."""
        z, noise = segment.z, segment.noise

        def after_of(z: Tensor, state: State, own: Parameters, noise: Tensor | None) -> Tensor:
            trial = (z[None], tuple(part[None] for part in state), None if noise is None else noise[None])
            after = _pointwise(self.core, own, *trial)
            return torch.cat([part.unflatten(1, (-1, self.n)) for part in after], dim=1)[0]

        with torch.enable_grad():
            # Each sample has parameters of its own, so that one backward pass gives the derivatives of all.
            flat = z.flatten(0, 1).requires_grad_()
            state = tuple(part.flatten(0, 1).requires_grad_() for part in segment.states)
            own = {name: part.expand(len(flat), *part.shape).requires_grad_() for name, part in segment.own.items()}
            private = None if noise is None else noise.flatten(0, 1)
            in_dims = (0, 0, 0, None if noise is None else 0)
            after = torch.func.vmap(after_of, in_dims)(flat, state, own, private)
            whole = [flat, *state, *own.values()]
            found = [
                torch.autograd.grad(part.sum(), whole, retain_graph=True, allow_unused=True, materialize_grads=True)
                for part in after.unbind(1)
            ]

        def of_unit(gradients: Iterable[Tensor]) -> Tensor:
            rows = [gradient.reshape(*z.shape[:2], -1, self.n).transpose(2, 3) for gradient in gradients]
            return rows[0].unsqueeze(3) if len(rows) == 1 else torch.stack(rows, dim=3)

        by_z, *by_state = (
            of_unit(gradients) for gradients in itertools.islice(zip(*found, strict=True), 1 + len(state))
        )
        by_own = list(zip(*found, strict=True))[1 + len(state) :]
        J = by_state[0] if len(by_state) == 1 else torch.cat(by_state, dim=-1)
        return J, by_z, {name: of_unit(gradients) for name, gradients in zip(own, by_own, strict=True)}


def _times(left: Tensor, right: Tensor) -> Tensor:
    """Return the product of matrices ``[…, part, part]`` and ``[…, part, …]``; most cells have one part."""
    return left * right if left.shape[-1] == 1 else left @ right


def _products(J: Tensor) -> tuple[Tensor, Tensor]:
    """Return the product of all J ``[time, …, part, part]``, the last one first, and for every step that of those behind it."""
    later = [torch.eye(J.shape[-1], dtype=J.dtype, device=J.device).expand_as(J[0])]
    for step in J[1:].flip(0).unbind(0):
        later.append(_times(later[-1], step))
    return _times(later[-1], J[0]), torch.stack(later[::-1])


def _pointwise(core: TwoPartCell, own: Parameters, z: Tensor, state: State, noise: Tensor | None) -> State:
    named = {f"core.{name}": value for name, value in own.items()}
    after: State = torch.func.functional_call(_Called(core), named, (z, state, noise))
    return after


class _Called(nn.Module):
    """A module that is called where a cell's pointwise part is."""

    def __init__(self, core: nn.Module) -> None:
        super().__init__()
        self.core: Any = core

    def forward(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        after: State = self.core.pointwise(z, state, noise)
        return after


def _used(core: TwoPartCell, bias: Tensor, state: State) -> tuple[str, ...]:
    """Return the names of the trained parameters that `pointwise` itself uses."""
    named = {name: parameter for name, parameter in core.named_parameters() if parameter.requires_grad}
    if not named:
        return ()
    z = bias.detach()[None].clone().requires_grad_()
    with torch.enable_grad():
        after = core.pointwise(z, tuple(part.detach() for part in state), None)
        found = torch.autograd.grad(torch.cat(after, dim=1).sum(), [z, *named.values()], allow_unused=True)
    return tuple(name for name, gradient in zip(named, found[1:], strict=True) if gradient is not None)
