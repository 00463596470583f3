"""What real-time recurrent learning carries forward: how the state depends on the parameters, a unit at a time."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
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
            others = [one.unflatten(1, (-1, self.n))[:, :, 1:].nan_to_num() for one in (kept, found)]
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
    def after(
        self, before: Sensitivities, inputs: Tensor, state: State, noise: Tensor | None, hold: Tensor | None
    ) -> Sensitivities:
        """Return the sensitivities after a segment, at the parameters of now.

        With P_t = Π_{k>t} J_k they are (Π J) Ŝ + Σ_t P_t ψ_t x_tᵀ: one batched product for all steps.

        Parameters
        ----------
        before : Sensitivities
            At the segment's start.
        inputs : Tensor [time, batch, channel]
            Input of every step.
        state : tuple of Tensor [batch, ...]
            State before the first step.
        noise, hold : Tensor, optional
            As `tauscope.Cell.sequence` takes them.
        """
        maps = self.core.maps()
        z = torch.nn.functional.linear(inputs, maps.input, maps.bias)
        J, psi, own = self._derivatives(z, self._states(z, state, noise, hold), noise)
        if hold is not None:
            held = hold[..., None, None, None]
            J = torch.where(held, torch.eye(self.n_parts, dtype=J.dtype, device=J.device), J)
            psi = psi.masked_fill(held, 0.0)
            own = {name: part.masked_fill(held, 0.0) for name, part in own.items()}
        whole, P = _products(J)
        drive = _times(P, psi).flatten(2).permute(1, 2, 0)
        shown = torch.cat([inputs, torch.ones_like(inputs[..., :1])], dim=-1).transpose(0, 1)
        carried = _times(whole, before.drive.flatten(3)).flatten(1).view(*drive.shape[:2], -1)
        return Sensitivities(
            carried.baddbmm_(drive, shown).view_as(before.drive),
            {name: _times(whole, before.own[name]) + _times(P, part).sum(dim=0) for name, part in own.items()},
        )

    def carry(self, sensitivities: Sensitivities, delta: State) -> Tensor:
        """Return a number whose gradient is the carry term Σ_batch δ Ŝ, for the gradient δ of the segment's loss.

        Parameters
        ----------
        sensitivities : Sensitivities
            At the segment's start.
        delta : tuple of Tensor [batch, ...]
            Gradient of the loss with respect to the state there.
        """
        by_unit = torch.cat([part.unflatten(1, (-1, self.n)) for part in delta], dim=1)
        maps, D = self.core.maps(), self.core.n_inputs
        drive = torch.einsum("bkn,bnkrd->rnd", by_unit, sensitivities.drive).flatten(0, 1)
        total = (maps.input * drive[:, :D]).sum() + (maps.bias * drive[:, D]).sum()
        for name, part in sensitivities.own.items():
            parameter = self.core.get_parameter(name)
            total = total + (parameter * torch.einsum("bkn,bnke->en", by_unit, part).reshape(parameter.shape)).sum()
        return total

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

    def _derivatives(self, z: Tensor, states: State, noise: Tensor | None) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return J ``[time, batch, unit, part, part]``, ψ ``[…, part, row]`` and those of the own parameters ``[…, part, entry]``."""
        own = {name: self.core.get_parameter(name).detach() for name in self.names}

        def unit_sums(z: Tensor, state: State, own: Parameters, noise: Tensor | None) -> Tensor:
            trial = (z[None], tuple(part[None] for part in state), None if noise is None else noise[None])
            after = _pointwise(self.core, own, *trial)
            return torch.cat([part.unflatten(1, (-1, self.n)) for part in after], dim=1).sum(dim=(0, 2))

        found = torch.func.jacrev(unit_sums, argnums=(0, 1, 2))
        steps = z.shape[:2]
        flat = [z.flatten(0, 1), tuple(part.flatten(0, 1) for part in states), own]
        flat.append(None if noise is None else noise.flatten(0, 1))
        by_z, by_state, by_own = torch.func.vmap(found, in_dims=(0, 0, None, None if noise is None else 0))(*flat)

        def of_unit(part: Tensor) -> Tensor:
            return part.flatten(2).unflatten(2, (-1, self.n)).movedim(3, 1).unflatten(0, steps)

        J = torch.cat([of_unit(part) for part in by_state], dim=-1)
        return J, of_unit(by_z), {name: of_unit(part) for name, part in by_own.items()}


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
