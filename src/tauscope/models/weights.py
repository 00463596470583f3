"""What a weight is: where it is kept, what a step computes with, and how it is changed whatever stands in between."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from tauscope.errors import InputError

if TYPE_CHECKING:
    from tauscope.models.timescales import TauMap

Role = Literal["recurrent", "input", "bias", "tau", "readout", "second_order", "other"]
M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Weight:
    """A tensor of a cell or of a read-out, by what it does.

    The tensor may be a parameter, a buffer, parametrised (`torch.nn.utils.parametrize`) or masked
    (`torch.nn.utils.prune`): what is read and written here is always what a step computes with.

    Attributes
    ----------
    role : {"recurrent", "input", "bias", "tau", "readout", "second_order", "other"}
        What it does. ``"input"`` is what a layer is shown, from the layer below too; ``"second_order"`` belongs to what
        multiplies state and input; ``"other"`` is what a cell does not say.
    module : nn.Module
        The module that has it.
    name : str
        Its name there.
    pattern : Tensor or float
        0 where the cell ignores the tensor, 1 elsewhere; broadcastable.
    scale : Tensor or float
        What the step multiplies the tensor with; broadcastable.
    least : float, optional
        Smaller numbers act as this one.
    gates : tuple of str
        Names of the equal blocks of rows that are stacked in it; empty if it is one block.
    tau_map : TauMap, optional
        Of timescales: what the step makes of the tensor before all that; the tensor itself if not given.

    Examples
    --------
    >>> linear = nn.Linear(2, 2, bias=False)
    >>> weight = Weight("recurrent", linear, "weight", pattern=1 - torch.eye(2), scale=0.5)
    >>> weight.put(torch.ones(2, 2))
    >>> weight.value.tolist()
    [[0.0, 0.5], [0.5, 0.0]]
    """

    role: Role
    module: nn.Module
    name: str
    pattern: Tensor | float = 1.0
    scale: Tensor | float = 1.0
    least: float | None = None
    gates: tuple[str, ...] = ()
    tau_map: TauMap | None = None

    @property
    def parameters(self) -> tuple[nn.Parameter, ...]:
        """What an optimiser moves; none where the tensor is fixed."""
        if parametrize.is_parametrized(self.module, self.name):
            made = cast(nn.ModuleDict, self.module.parametrizations)[self.name]
            # The parameters of a parametrisation itself are its own affair.
            return tuple(made.parameters(recurse=False))
        kept = self.module.get_parameter(f"{self.name}_orig") if self._mask is not None else self.tensor
        return (kept,) if isinstance(kept, nn.Parameter) else ()

    @property
    def tensor(self) -> Tensor:
        """The tensor as the module has it, after parametrisation and mask."""
        # What pruning leaves under the name is refreshed by calls of the module alone, which a cell may do without.
        mask = self._mask
        tensor: Tensor = getattr(self.module, self.name if mask is None else f"{self.name}_orig")
        return tensor if mask is None else tensor * mask

    @property
    def value(self) -> Tensor:
        """What the step uses: the tensor with its map, pattern, least value and scale."""
        tensor = self.tensor if self.tau_map is None else self.tau_map.tau(self.tensor)
        tensor = tensor if self.least is None else tensor.clamp(min=self.least)
        return tensor * self.pattern * self.scale

    @property
    def movable(self) -> Tensor:
        """1 where a change of the tensor counts, 0 elsewhere, in the shape of the tensor."""
        masks = [mask for mask in (self._mask, *self._masks()) if mask is not None]
        movable = torch.ones_like(self.tensor) * self.pattern
        for mask in masks:
            movable = movable * mask
        return movable

    def blocks(self) -> dict[str, Tensor]:
        """Return the values of the blocks by the names of their gates; of one block by its role."""
        names = self.gates or (self.role,)
        return dict(zip(names, self.value.chunk(len(names)), strict=True))

    @torch.no_grad()
    def put(self, tensor: Tensor) -> None:
        """Make `tensor` what is given, in place; behind a parametrisation a constant is added for that.

        Raises
        ------
        InputError
            If the tensor is computed by something else, so that a change of it would be lost.
        """
        if parametrize.is_parametrized(self.module, self.name):
            parametrize.register_parametrization(self.module, self.name, _Shifted(tensor - self.tensor))
        elif self._mask is not None:
            self.module.get_parameter(f"{self.name}_orig").copy_(tensor)
            setattr(self.module, self.name, self.tensor)
        else:
            self._require_kept()
            self.tensor.copy_(tensor)

    def restrict(self, mask: Tensor) -> None:
        """Hold entries at 0 from now on, in training too: those where the mask, in the shape of the tensor, is 0."""
        if not parametrize.is_parametrized(self.module, self.name):
            self._require_kept()
        parametrize.register_parametrization(self.module, self.name, _Masked(mask.to(self.tensor)))

    def freeze(self) -> None:
        """Make the tensor a buffer, with the values that it has now."""
        tensor = self.tensor.detach().clone()
        if parametrize.is_parametrized(self.module, self.name):
            parametrize.remove_parametrizations(self.module, self.name)
        self._require_kept()
        delattr(self.module, self.name)
        self.module.register_buffer(self.name, tensor)

    def _require_kept(self) -> None:
        tensor = self.tensor
        if not any(kept.get(self.name) is tensor for kept in (self.module._parameters, self.module._buffers)):
            raise InputError(
                f"{self.name} of {type(self.module).__name__} is computed and cannot be changed: "
                "expected a parameter, a buffer, or a parametrisation by torch.nn.utils.parametrize"
            )

    @property
    def _mask(self) -> Tensor | None:
        """The mask that pruning keeps beside the tensor."""
        return dict(self.module.named_buffers(recurse=False)).get(f"{self.name}_mask")

    def _masks(self) -> list[Tensor]:
        """Return the masks of `masked_copy`."""
        if not parametrize.is_parametrized(self.module, self.name):
            return []
        made = cast(nn.ModuleDict, self.module.parametrizations)[self.name]
        return [child.mask for child in made.children() if isinstance(child, _Masked)]


class _Shifted(nn.Module):
    """Adds a constant to what is parametrised."""

    change: Tensor

    def __init__(self, change: Tensor) -> None:
        super().__init__()
        self.register_buffer("change", change)

    def forward(self, tensor: Tensor) -> Tensor:
        return tensor + self.change


class _Masked(nn.Module):
    """Multiplies what is parametrised with a mask."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, tensor: Tensor) -> Tensor:
        return tensor * self.mask


def masked_copy(module: M) -> M:
    """Return a deep copy in which the masks of `torch.nn.utils.prune` are parametrisations.

    Pruning leaves the product of parameter and mask on a module, which cannot be copied, and refreshes it only when
    that very module is called: a step that multiplies with it, or one mapped over many networks, would not see a change.

    Examples
    --------
    >>> linear = prune.l1_unstructured(nn.Linear(4, 4), "weight", amount=3)
    >>> twin = masked_copy(linear)
    >>> bool((twin.weight == linear.weight).all()), prune.is_pruned(twin)
    (True, False)
    """
    products = {
        id(value): value.detach().clone()
        for part in module.modules()
        for value in vars(part).values()
        if isinstance(value, Tensor) and not value.is_leaf
    }
    twin = copy.deepcopy(module, cast(dict[int, object], products))
    for part in twin.modules():
        for name, mask in list(part.named_buffers(recurse=False)):
            pruned = name.removesuffix("_mask")
            if name != pruned and f"{pruned}_orig" in dict(part.named_parameters(recurse=False)):
                prune.remove(part, pruned)
                parametrize.register_parametrization(part, pruned, _Masked(mask))
    return twin


def refresh(module: nn.Module) -> None:
    """Compute anew what hooks of `torch.nn.utils` (pruning, weight and spectral norm) keep under the name of a weight.

    Such a hook runs when its very module is called, which a cell that multiplies with the weight may never do: the
    weight would stay that of an earlier step of training.

    Examples
    --------
    >>> linear = prune.l1_unstructured(nn.Linear(2, 1, bias=False), "weight", amount=1)
    >>> with torch.no_grad():
    ...     _ = linear.weight_orig.fill_(3.0)
    >>> refresh(linear)
    >>> linear.weight.sum().item()
    3.0
    """
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, prune.BasePruningMethod | WeightNorm | SpectralNorm):
            hook(module, ())
    # `modules()` would take three times as long, and every step does this.
    for part in module._modules.values():
        if part is not None:
            refresh(part)


def sharing_copy(module: M) -> M:
    """Return a shallow copy of a module: attributes of its own, parameters and buffers shared."""
    twin = object.__new__(type(module))
    twin.__dict__ = dict(module.__dict__)
    for registry in ("_parameters", "_buffers", "_modules"):
        twin.__dict__[registry] = dict(module.__dict__[registry])
    return twin
