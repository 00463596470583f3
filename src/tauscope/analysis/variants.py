"""Many variants of one network, run side by side as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from tauscope.analysis.transforms import SilencedCell
from tauscope.models.cell import Cell, State
from tauscope.models.kernels.activations import ACTIVATIONS
from tauscope.models.kernels.gemm import matmul_nt
from tauscope.models.leaky import LeakyCell, LeakyRNN
from tauscope.models.model import Model
from tauscope.models.readout import Heads

# Weights that differ between variants are read at every step; those of a chunk should stay in the cache.
_CHUNK_BYTES = 4 * 2**20


@torch.no_grad()
def run_variants(
    models: Sequence[Model],
    inputs: Tensor,
    state: tuple[State, ...],
    head: str,
    chunk_bytes: int = _CHUNK_BYTES,
    *,
    noise: Tensor | None = None,
) -> Tensor:
    """Run many variants of one network and read one head out at every step.

    Parameters
    ----------
    models : sequence of Model
        The variants, alike in structure. What they have in common is found by comparing their parameters, so that
        ablations, which differ in a mask alone, share one matrix product.
    inputs : Tensor [time, variant, trial, channel]
        Input of every variant and trial; may be expanded where variants share it.
    state : tuple of layer states
        State before the first step, tensors [variant, trial, unit].
    head : str
        Label of the head that is read.
    chunk_bytes : int
        Largest size of the parameters in which variants that run together differ.
    noise : Tensor [time, variant, trial, unit], optional
        Private noise; may be expanded where variants share it.

    Returns
    -------
    Tensor [time, variant, trial, output]
        Logits.

    Examples
    --------
    >>> import tauscope as ts
    >>> from tauscope.analysis.transforms import ablate
    >>> model = ts.LeakyRNN(8, generator=torch.Generator().manual_seed(0))
    >>> variants = [ablate(model, []), ablate(model, 3)]
    >>> state = (((torch.zeros(2, 4, 8)),),)
    >>> run_variants(variants, torch.ones(5, 2, 4, 1), state, "N2").shape
    torch.Size([5, 2, 4, 2])
    """
    run = _run_leaky if all(_is_leaky(model) for model in models) else _run_mapped
    differing = sum(tensor.nbytes for tensor in _differing(models, head).values())
    size = max(1, chunk_bytes // max(differing // len(models), 1))
    logits = []
    for start in range(0, len(models), size):
        own = slice(start, start + size)
        part = tuple(tuple(tensor[own] for tensor in layer) for layer in state)
        logits.append(run(models[own], inputs[:, own], part, head, None if noise is None else noise[:, own]))
    return torch.cat(logits, dim=1)


def _differing(models: Sequence[Model], head: str) -> dict[str, Tensor]:
    """Return the tensors, stacked over variants, in which these networks and the head of that name differ."""
    tensors = [{**dict(model.named_parameters()), **dict(model.named_buffers())} for model in models]
    unread = {f"heads.linears.{i}." for i in range(len(models[0].heads.linears))}
    unread.discard(f"heads.linears.{models[0].heads.index(head)}.")
    return {
        name: torch.stack([other[name] for other in tensors])
        for name, first in tensors[0].items()
        if not name.startswith(tuple(unread)) and not all(torch.equal(first, other[name]) for other in tensors[1:])
    }


class _Answering(nn.Module):
    """A network whose call runs its pure step over a sequence and reads one head out."""

    def __init__(self, model: Model, head: str) -> None:
        super().__init__()
        self.model = model
        self.head = head

    def forward(self, inputs: Tensor, state: tuple[State, ...], noise: Tensor | None) -> Tensor:
        # Read out at once: the states of all steps of all variants would take hundreds of times the room.
        logits = []
        for t, x in enumerate(inputs.unbind(0)):
            state = self.model.step(x, state, None if noise is None else noise[t])
            logits.append(self.model.readout(self.model.hidden(state), self.head))
        return torch.stack(logits)


def _run_mapped(
    models: Sequence[Model], inputs: Tensor, state: tuple[State, ...], head: str, noise: Tensor | None
) -> Tensor:
    """Run networks of any cell by mapping their step over the parameters in which they differ."""
    module = _Answering(models[0], head)
    stacked = {f"model.{name}": tensor for name, tensor in _differing(models, head).items()}

    def run(own: dict[str, Tensor], inputs: Tensor, state: tuple[State, ...], noise: Tensor | None) -> Tensor:
        logits: Tensor = functional_call(module, own, (inputs, state, noise))
        return logits

    dims = (0, 1, 0, None if noise is None else 1)
    logits: Tensor = vmap(run, in_dims=dims, out_dims=1)(stacked, inputs, state, noise)
    return logits


def _is_leaky(model: Model) -> bool:
    plain = type(model) in (Model, LeakyRNN) and type(model.heads) is Heads
    return plain and all(type(cell.intact) is LeakyCell for cell in model.layers)


def _run_leaky(
    models: Sequence[Model], inputs: Tensor, state: tuple[State, ...], head: str, noise: Tensor | None
) -> Tensor:
    """Run leaky networks; equal to `_run_mapped`, but what does not change is computed once, before the first step."""
    stacks = zip(*(model.layers for model in models), strict=True)
    layers = [_LeakyLayers(cells, layer[0]) for cells, layer in zip(stacks, state, strict=True)]
    heads = [cast(nn.Linear, model.heads.linears[model.heads.index(head)]) for model in models]
    weight = _shared_or_stacked([head.weight for head in heads])
    biases = [head.weight.new_zeros(len(head.weight)) if head.bias is None else head.bias for head in heads]
    bias = _shared_or_stacked(biases)[:, None]
    sizes = [cell.n_units for cell in models[0].layers]
    logits = []
    for t, x in enumerate(inputs.unbind(0)):
        private = [None] * len(layers) if noise is None else noise[t].split(sizes, dim=-1)
        below = layers[0].advance(x, private[0])
        for layer, own in zip(layers[1:], private[1:], strict=True):
            below = layer.advance(torch.cat([below, x], dim=-1) if models[0].skip_input else below, own)
        logits.append(_product(below, weight).add_(bias))
    return torch.stack(logits)


class _LeakyLayers:
    """The same layer of all variants, with its weights, timescales and masks."""

    def __init__(self, cells: Sequence[Cell], state: Tensor) -> None:
        leaky = [cast(LeakyCell, cell.intact) for cell in cells]
        weights, biases = zip(*(cell.input_map() for cell in leaky), strict=True)
        masks = [cell.mask if isinstance(cell, SilencedCell) else state.new_ones(cell.n_units) for cell in cells]
        self.inside = leaky[0].form == "default"
        self.phi = ACTIVATIONS[leaky[0].afunc].function
        self.recurrent = _shared_or_stacked([cell.recurrent_weights for cell in leaky])
        self.input = _shared_or_stacked(weights)
        self.bias = _shared_or_stacked(biases)[:, None]
        self.a = _shared_or_stacked([1 / cell.tau for cell in leaky])[:, None]
        self.mask = _shared_or_stacked(masks)[:, None]
        self.h = state * self.mask

    def advance(self, x: Tensor, noise: Tensor | None) -> Tensor:
        """Take one step with the input ``x [variant, trial, channel]`` and noise of the units; returns the states."""
        drive = _product(self.h, self.recurrent).add_(_product(x, self.input)).add_(self.bias)
        if noise is not None:
            drive.add_(noise)
        h = self.phi(self.h.lerp(drive, self.a)) if self.inside else self.h.lerp(self.phi(drive), self.a)
        self.h = h.mul_(self.mask)
        return self.h


def _shared_or_stacked(tensors: Sequence[Tensor]) -> Tensor:
    """Return tensors stacked, ``[variant, ...]``, or, where all are equal, only one, ``[1, ...]``."""
    first = tensors[0]
    alike = all(torch.equal(first, other) for other in tensors[1:])
    return first.unsqueeze(0) if alike else torch.stack(list(tensors))


def _product(x: Tensor, weight: Tensor) -> Tensor:
    """Return ``x [variant, trial, from] @ weight[variant].T``, as one product where the variants share the weight."""
    if len(weight) == 1:
        return matmul_nt(x.flatten(0, 1), weight[0]).unflatten(0, x.shape[:2])
    return torch.bmm(x, weight.mT)
