"""Networks that multiply state and input: first order, multiplicative integration, CP terms, and the full tensor."""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tauscope.errors import require_count
from tauscope.models import init
from tauscope.models.cell import Cell, State
from tauscope.models.kernels.kernel import is_transformed
from tauscope.models.kernels.two_parts import looped
from tauscope.models.names import RANK
from tauscope.models.weights import Weight

_STEPS = 32
"""Steps whose inputs are multiplied at once; a matrix for each of them and each trial must fit into memory."""


class MultiplicativeCell(Cell):
    """A layer h ← tanh(M_x h + c_x (+ noise)): what the input is can decide what the state is multiplied with.

    A subclass says in `from_input` what a step computes of its input alone, and in `drive` what units receive then.

    Parameters
    ----------
    n_inputs, n_units : int
        Channels of the input, number of units.
    """

    @abc.abstractmethod
    def from_input(self, x: Tensor, characters: Tensor | None = None) -> tuple[Tensor, ...]:
        """Return what a step computes of its input alone.

        Parameters
        ----------
        x : Tensor [..., channel]
            Inputs.
        characters : Tensor [...] of int, optional
            Channels of their single 1, where they are one-hot: products are then rows that are looked up.

        Returns
        -------
        tuple of Tensor [..., ...]
            As `drive` takes it.
        """

    @abc.abstractmethod
    def drive(self, parts: tuple[Tensor, ...], h: Tensor) -> Tensor:
        """Return what units receive, ``[batch, unit]``, in states ``[batch, unit]``: an affine function of these."""

    def step(self, x: Tensor, state: State, noise: Tensor | None = None) -> State:
        """Return the next state, by the class's equation."""
        return _squashed(self.drive(self.from_input(x), state[0]), state, noise)

    def sequence(
        self, inputs: Tensor, state: State, *, noise: Tensor | None = None, hold: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Run a sequence with the products of inputs before the loop over steps."""
        blocks = ((some, _characters(some)) for some in inputs.split(_STEPS))
        parts = (
            now
            for some, characters in blocks
            for now in zip(*(part.unbind(0) for part in self.from_input(some, characters)), strict=True)
        )
        return looped(_squashed, lambda _, h: self.drive(next(parts), h), state, len(inputs), noise, hold)

    def transitions(self, x: Tensor) -> Tensor:
        """Return the matrices by which the state enters the drive under given inputs.

        Parameters
        ----------
        x : Tensor [input, channel]
            Inputs, such as one-hot vectors.

        Returns
        -------
        Tensor [input, to, from]
            M_x.

        Examples
        --------
        >>> cell = ElmanCell(2, 3, torch.Generator().manual_seed(0))
        >>> M = cell.transitions(torch.eye(2))
        >>> M.shape, torch.allclose(M[0], cell.recurrent.weight)
        (torch.Size([2, 3, 3]), True)
        """
        units = torch.eye(self.n_units, dtype=x.dtype, device=x.device)
        found = []
        for row in x:
            # No state, and then every unit alone at 1.
            driven = self.drive(self.from_input(row.expand(1 + len(units), -1)), torch.cat([0 * units[:1], units]))
            found.append((driven[1:] - driven[0]).t())
        return torch.stack(found)

    def _drawn(self, *shape: int, generator: torch.Generator) -> nn.Parameter:
        bound = 1 / math.sqrt(self.n_units)
        return nn.Parameter(init.uniform(shape, -bound, bound, generator))


class ElmanCell(MultiplicativeCell):
    """A first-order layer: h ← tanh(V h + U x + b (+ noise)).

    Parameters
    ----------
    n_inputs, n_units : int
        Channels of the input, number of units.
    generator : torch.Generator
        Source of the initial weights, U(±1/√n_units) all of them.

    Notes
    -----
    Source: Lizaire et al., ICML 2024 (arXiv 2406.05045), and published code, which initialises all cells so.

    Examples
    --------
    >>> cell = ElmanCell(3, 4, torch.Generator().manual_seed(0))
    >>> sum(parameter.numel() for parameter in cell.parameters())
    32
    """

    weighted_sum = True

    def __init__(self, n_inputs: int, n_units: int, generator: torch.Generator) -> None:
        super().__init__(n_inputs, n_units)
        self.recurrent = init.linear(n_units, n_units, generator, bias=False)
        self.input = init.linear_of(self._drawn(n_units, n_inputs, generator=generator).data)
        self.input.bias = self._drawn(n_units, generator=generator)

    def from_input(self, x: Tensor, characters: Tensor | None = None) -> tuple[Tensor, ...]:
        """Return U x + b."""
        return (_product(x, self.input.weight.t(), characters) + self.input.bias,)

    def drive(self, parts: tuple[Tensor, ...], h: Tensor) -> Tensor:
        """Return what units receive, ``[batch, unit]``, in states ``[batch, unit]``."""
        return torch.addmm(parts[0], h, self.recurrent.weight.t())

    def weights(self) -> Mapping[str, Weight]:
        """Return U, V and b."""
        return {
            "input.weight": Weight("input", self.input, "weight"),
            "recurrent.weight": Weight("recurrent", self.recurrent, "weight"),
            "input.bias": Weight("bias", self.input, "bias"),
        }


class CPCell(ElmanCell):
    """A second-order layer of rank R: h ← tanh(C [(Aᵀ h) ⊙ (Bᵀ x)] + V h + U x + b (+ noise)).

    Parameters
    ----------
    n_inputs, n_units : int
        Channels of the input, number of units.
    generator : torch.Generator
        Source of the initial weights, U(±1/√n_units) all of them, whatever the rank.
    rank : int
        Number R of terms; without any this is an `ElmanCell`.

    Attributes
    ----------
    A, B, C : Tensor [unit, term], [channel, term], [unit, term]
        What a term reads of the state and of the input, and where it writes.

    Notes
    -----
    Source: Lizaire et al., ICML 2024, CPRNN: the tensor of `SecondOrderCell` as a sum of R products, its CP decomposition.
    At R = n · min(n, number of channels) every tensor can be reached.

    Examples
    --------
    >>> cell = CPCell(3, 4, torch.Generator().manual_seed(0), rank=2)
    >>> sum(parameter.numel() for parameter in cell.parameters())
    54
    """

    weighted_sum = False

    def __init__(self, n_inputs: int, n_units: int, generator: torch.Generator, rank: int = RANK) -> None:
        super().__init__(n_inputs, n_units, generator)
        require_count("rank", rank, 0)
        self.rank = rank
        self.A, self.B, self.C = (self._drawn(size, rank, generator=generator) for size in (n_units, n_inputs, n_units))

    def from_input(self, x: Tensor, characters: Tensor | None = None) -> tuple[Tensor, ...]:
        """Return U x + b and, where there are terms, Bᵀ x."""
        first = super().from_input(x, characters)
        return (*first, _product(x, self.B, characters)) if self.rank else first

    def drive(self, parts: tuple[Tensor, ...], h: Tensor) -> Tensor:
        """Return what units receive, ``[batch, unit]``, in states ``[batch, unit]``."""
        first = super().drive(parts[:1], h)
        return torch.addmm(first, (h @ self.A) * parts[1], self.C.t()) if self.rank else first

    def weights(self) -> Mapping[str, Weight]:
        """Return U, V, b and the factors."""
        return {**super().weights(), **{name: Weight("second_order", self, name) for name in "ABC"}}


class MICell(ElmanCell):
    """A layer of multiplicative integration: h ← tanh(α ⊙ W x ⊙ U h + β₁ ⊙ U h + β₂ ⊙ W x + b (+ noise)).

    Parameters
    ----------
    n_inputs, n_units : int
        Channels of the input, number of units.
    generator : torch.Generator
        Source of the initial weights, U(±1/√n_units) all of them.

    Notes
    -----
    Source: Wu et al., NeurIPS 2016, as in Lizaire et al., ICML 2024. It is the `CPCell` of rank n_units with A = Uᵀ, B = Wᵀ,
    C = diag(α), recurrent weights diag(β₁) U and input weights diag(β₂) W.

    Examples
    --------
    >>> cell = MICell(3, 4, torch.Generator().manual_seed(0))
    >>> sum(parameter.numel() for parameter in cell.parameters())
    44
    """

    weighted_sum = False

    def __init__(self, n_inputs: int, n_units: int, generator: torch.Generator) -> None:
        super().__init__(n_inputs, n_units, generator)
        self.alpha, self.beta_recurrent, self.beta_input = (self._drawn(n_units, generator=generator) for _ in range(3))

    def from_input(self, x: Tensor, characters: Tensor | None = None) -> tuple[Tensor, ...]:
        """Return β₂ ⊙ W x + b and α ⊙ W x + β₁."""
        Wx = _product(x, self.input.weight.t(), characters)
        return self.beta_input * Wx + self.input.bias, self.alpha * Wx + self.beta_recurrent

    def drive(self, parts: tuple[Tensor, ...], h: Tensor) -> Tensor:
        """Return what units receive, ``[batch, unit]``, in states ``[batch, unit]``."""
        return torch.addcmul(parts[0], parts[1], h @ self.recurrent.weight.t())

    def weights(self) -> Mapping[str, Weight]:
        """Return W, U and b, the matrices as they act alone, and α."""
        own = dict(super().weights())
        own["input.weight"] = Weight("input", self.input, "weight", scale=self.beta_input[:, None])
        own["recurrent.weight"] = Weight("recurrent", self.recurrent, "weight", scale=self.beta_recurrent[:, None])
        return {**own, "alpha": Weight("second_order", self, "alpha")}


class SecondOrderCell(ElmanCell):
    """A full second-order layer: h ← tanh(Σ_c x_c T_cᵀ h + V h + U x + b (+ noise)).

    Parameters
    ----------
    n_inputs, n_units : int
        Channels of the input, number of units.
    generator : torch.Generator
        Source of the initial weights, U(±1/√n_units) all of them.

    Attributes
    ----------
    tensor : Tensor [channel, from, to]
        T.

    Notes
    -----
    Source: Lizaire et al., ICML 2024, 2RNN: h ← tanh(W ×₁ [h; 1] ×₂ [x; 1]) with W[:n, :V] = T, W[n, :V] = Uᵀ, W[:n, V] = Vᵀ
    and W[n, V] = b, as many parameters.

    Examples
    --------
    >>> cell = SecondOrderCell(3, 4, torch.Generator().manual_seed(0))
    >>> sum(parameter.numel() for parameter in cell.parameters()) == (4 + 1) * (3 + 1) * 4
    True
    """

    weighted_sum = False

    def __init__(self, n_inputs: int, n_units: int, generator: torch.Generator) -> None:
        super().__init__(n_inputs, n_units, generator)
        self.tensor = self._drawn(n_inputs, n_units, n_units, generator=generator)

    def from_input(self, x: Tensor, characters: Tensor | None = None) -> tuple[Tensor, ...]:
        """Return U x + b and Σ_c x_c T_c + Vᵀ."""
        V = self.recurrent.weight.t()
        # A sum over channels is dear, one of few numbers before they are looked up is not.
        matrices = (
            _product(x, self.tensor, None) + V if characters is None else _product(x, self.tensor + V, characters)
        )
        return (*super().from_input(x, characters), matrices)

    def drive(self, parts: tuple[Tensor, ...], h: Tensor) -> Tensor:
        """Return what units receive, ``[batch, unit]``, in states ``[batch, unit]``."""
        return torch.baddbmm(parts[0].unsqueeze(1), h.unsqueeze(1), parts[1]).squeeze(1)

    def weights(self) -> Mapping[str, Weight]:
        """Return U, V, b and T."""
        return {**super().weights(), "tensor": Weight("second_order", self, "tensor")}


class BilinearCell(MultiplicativeCell):
    """A layer of nothing but the second order: h ← tanh(Σ_c x_c T_cᵀ h (+ noise)).

    Parameters
    ----------
    n_inputs, n_units : int
        Channels of the input, number of units.
    generator : torch.Generator
        Source of the initial weights, U(±1/√n_units).

    Attributes
    ----------
    tensor : Tensor [channel, from, to]
        T.

    Notes
    -----
    Source: Lizaire et al., ICML 2024, BiRNN. A state of zeros, with which the published networks begin, would stay so: here
    every unit begins at 1/√n_units.

    Examples
    --------
    >>> cell = BilinearCell(3, 4, torch.Generator().manual_seed(0))
    >>> cell.step(torch.eye(3)[:1], cell.initial_state(1))[0].shape
    torch.Size([1, 4])
    """

    def __init__(self, n_inputs: int, n_units: int, generator: torch.Generator) -> None:
        super().__init__(n_inputs, n_units)
        self.tensor = self._drawn(n_inputs, n_units, n_units, generator=generator)

    def initial_state(self, batch_size: int, generator: torch.Generator | None = None) -> State:
        """Return states of 1/√n_units."""
        (zeros,) = super().initial_state(batch_size, generator)
        return (zeros + 1 / math.sqrt(self.n_units),)

    def from_input(self, x: Tensor, characters: Tensor | None = None) -> tuple[Tensor, ...]:
        """Return Σ_c x_c T_c."""
        return (_product(x, self.tensor, characters),)

    def drive(self, parts: tuple[Tensor, ...], h: Tensor) -> Tensor:
        """Return what units receive, ``[batch, unit]``, in states ``[batch, unit]``."""
        return torch.bmm(h.unsqueeze(1), parts[0]).squeeze(1)

    def weights(self) -> Mapping[str, Weight]:
        """Return T."""
        return {"tensor": Weight("second_order", self, "tensor")}


def _squashed(drive: Tensor, state: State, noise: Tensor | None) -> State:
    del state
    return (torch.tanh(drive if noise is None else drive + noise),)


def _characters(inputs: Tensor) -> Tensor | None:
    """Return the channels of the single 1 of inputs ``[..., channel]``, or nothing where not all are one-hot.

    Where a derivative for the inputs may be asked, none is: a row that is looked up has none.
    """
    if inputs.requires_grad or is_transformed((inputs,)):
        return None
    largest, characters = inputs.max(dim=-1)
    one_hot = inputs.count_nonzero() == characters.numel() and bool((largest == 1).all())
    return characters if one_hot else None


def _product(x: Tensor, weight: Tensor, characters: Tensor | None) -> Tensor:
    """Return the sum over channels of ``x [..., channel]`` with ``weight [channel, *]``: of one-hot inputs, its rows."""
    if characters is None:
        return (x @ weight.flatten(1)).unflatten(-1, weight.shape[1:])
    return nn.functional.embedding(characters, weight.flatten(1)).unflatten(-1, weight.shape[1:])


SECOND_ORDER: dict[str, type[MultiplicativeCell]] = {
    "elman": ElmanCell,
    "cp": CPCell,
    "mi": MICell,
    "second_order": SecondOrderCell,
    "bilinear": BilinearCell,
}
