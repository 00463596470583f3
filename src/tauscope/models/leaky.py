"""Leaky recurrent networks with a trainable timescale for every unit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from tauscope.errors import InputError, require_at_least, require_choice
from tauscope.models import init
from tauscope.models.base import Cell, Model, State, sharing_copy
from tauscope.models.kernels.activations import ACTIVATIONS
from tauscope.models.kernels.leaky import leaky_inside, leaky_matrix, leaky_outside
from tauscope.models.readout import Heads, numbered

FORMS = ("default", "mod", "continuous")
PRECISIONS = ("fp32", "bf16")
LARGEST_INITIAL_STATE = 0.1


class LeakyCell(Cell):
    """A layer of leaky units; with a = 1 / max(k τ, 1) and the drive D = W h + b + W_in x + b_in + noise:

    - ``default``: h ← φ((1 - a) h + a D), k = 1;
    - ``mod`` and ``continuous``: h ← (1 - a) h + a φ(D), k = 1 for ``mod``.

    W has no diagonal. Source: Khajehabdollahi et al., ICLR 2024, section 2 and its published code.

    Parameters
    ----------
    n_inputs, n_units : int
        Channels of the input, number of units.
    generator : torch.Generator
        Source of the initial weights.
    form : {"default", "mod", "continuous"}
        Where the nonlinearity stands.
    afunc : {"leakyrelu", "relu", "tanh", "sigmoid"}
        φ.
    tau : float, optional
        Fixed timescale of every unit in steps (in bits for ``continuous``); ``None`` trains them from U[1, 2).
    below : int
        How many of the input channels come from the layer below, with weights and bias of their own.
    input_layer : nn.Linear, optional
        Projection of the other channels, to share one between layers.

    Notes
    -----
    The clamp stops the gradient of a unit whose raw τ has fallen below 1; it stays at 1 from then on. The published
    code zeroes the diagonal of W after the fact, so that its gradient still enters the clipped norm; here it does not.
    """

    off_diagonal: Tensor

    def __init__(
        self,
        n_inputs: int,
        n_units: int,
        generator: torch.Generator,
        form: str = "default",
        afunc: str = "leakyrelu",
        tau: float | None = None,
        below: int = 0,
        input_layer: nn.Linear | None = None,
    ) -> None:
        super().__init__(n_inputs, n_units)
        require_choice("model type", form, FORMS)
        require_choice("activation function", afunc, ACTIVATIONS)
        self.form, self.afunc = form, afunc
        self.k = 1
        self.precision = "fp32"
        self.n_below = below
        start = init.uniform((n_units,), 1.0, 2.0, generator)
        if tau is None:
            self.raw_tau = nn.Parameter(start)
        else:
            require_at_least("tau", tau, 1.0)
            self.register_buffer("raw_tau", torch.full_like(start, tau))
        self.input = input_layer or init.linear(n_inputs - below, n_units, generator)
        self.recurrent = init.linear(n_units, n_units, generator)
        with torch.no_grad():
            self.recurrent.weight.fill_diagonal_(0)
        self.from_below = init.linear(below, n_units, generator) if below else None
        self.register_buffer("off_diagonal", 1 - torch.eye(n_units, device=generator.device), persistent=False)

    @property
    def tau(self) -> Tensor:
        """Timescales in steps, clamped at 1, ``[unit]``."""
        return (self.raw_tau * self.k).clamp(min=1.0)

    @property
    def recurrent_weights(self) -> Tensor:
        """W with its empty diagonal, ``[to, from]``."""
        return self.recurrent.weight * self.off_diagonal

    def initial_state(self, batch_size: int, generator: torch.Generator | None = None) -> State:
        """Return h_0 ~ U[0, 0.1), or its mean without a generator."""
        like = self.recurrent.weight
        if generator is None:
            return (like.new_full((batch_size, self.n_units), LARGEST_INITIAL_STATE / 2),)
        h = init.uniform((batch_size, self.n_units), 0.0, LARGEST_INITIAL_STATE, generator)
        return (h.to(like),)

    def step(self, x: Tensor, state: State, noise: Tensor | None = None) -> State:
        """Return the next state, by the class's equation."""
        (h,) = state
        weight, bias = self.input_map()
        drive = h @ self.recurrent_weights.t() + x @ weight.t() + bias
        if noise is not None:
            drive = drive + noise
        a = 1 / self.tau
        phi = ACTIVATIONS[self.afunc].function
        if self.form == "default":
            return (phi((1 - a) * h + a * drive),)
        return ((1 - a) * h + a * phi(drive),)

    def retention(self, x: Tensor, state: State) -> Tensor:
        """Return 1 - 1/τ for every sequence."""
        del x
        return (1 - 1 / self.tau).expand(len(state[0]), -1)

    def sequence(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Run a sequence by the fast recurrence."""
        weight, bias = self.input_map()
        a = 1 / self.tau
        leak, low = 1 - a, self.precision == "bf16"
        dtype = torch.bfloat16 if low else weight.dtype
        if self.form == "default":
            diagonal = torch.zeros_like(leak) if low else leak
            M = leaky_matrix(self.recurrent.weight, weight, bias, a, diagonal).to(dtype)
            states, last = leaky_inside(M, state[0], inputs, self.afunc, leak if low else None)
        else:
            one, zero = torch.ones_like(a), torch.zeros_like(a)
            M = leaky_matrix(self.recurrent.weight, weight, bias, one, zero).to(dtype)
            states, last = leaky_outside(M, a, state[0], inputs, self.afunc)
        return states, (last,)

    def at_resolution(self, k: int) -> LeakyCell:
        """Return this cell with time steps of 1/k of a bit (τ of k times as many steps), sharing its parameters."""
        if self.form != "continuous":
            raise InputError(f"model type {self.form!r} has no time resolution: expected 'continuous'")
        require_at_least("k", k, 1)
        twin = cast(LeakyCell, sharing_copy(self))
        twin.k = k
        return twin

    def input_map(self) -> tuple[Tensor, Tensor]:
        """Return the weights ``[unit, channel]`` of all input channels and the sum of all biases ``[unit]``."""
        weight, bias = self.input.weight, self.input.bias + self.recurrent.bias
        if self.from_below is not None:
            weight = torch.cat([self.from_below.weight, weight], dim=1)
            bias = bias + self.from_below.bias
        return weight, bias


class LeakyRNN(Model):
    """A leaky recurrent network of one or several layers with heads for N = 2, 3, ….

    Parameters
    ----------
    n_units : int or sequence of int
        Units of every layer; layers of a stack have equal sizes, because all share the input's projection.
    n_inputs, n_outputs : int
        Channels of the input; outputs of every head.
    n_heads : int
        Number of heads; head ``N - 2`` answers N.
    shared_head : bool
        Whether the first head answers every N (single-head training).
    form : {"default", "mod", "continuous"}
        Where the nonlinearity stands, see `LeakyCell`.
    afunc : {"leakyrelu", "relu", "tanh", "sigmoid"}
        Nonlinearity.
    tau : float, optional
        Fixed timescale; ``None`` trains one for every unit.
    precision : {"fp32", "bf16"}
        Of the matrix products; leak and state stay in float32.
    generator : torch.Generator
        Source of the initial weights.

    Examples
    --------
    >>> model = LeakyRNN(20, generator=torch.Generator().manual_seed(0))
    >>> states, last = model(torch.zeros(5, 3, 1))
    >>> states.shape, model.readout(states[-1], "N2").shape, model.readout(states, ["N2", "N3"]).shape
    (torch.Size([5, 3, 20]), torch.Size([3, 2]), torch.Size([5, 3, 2, 2]))
    """

    def __init__(
        self,
        n_units: int | Sequence[int] = 500,
        *,
        generator: torch.Generator,
        n_inputs: int = 1,
        n_outputs: int = 2,
        n_heads: int = 100,
        shared_head: bool = False,
        form: str = "default",
        afunc: str = "leakyrelu",
        tau: float | None = None,
        precision: str = "fp32",
    ) -> None:
        sizes = (n_units,) if isinstance(n_units, int) else tuple(n_units)
        require_at_least("number of layers", len(sizes), 1)
        require_choice("precision", precision, PRECISIONS)
        if len(set(sizes)) != 1:
            raise InputError(
                f"layers have sizes {list(sizes)}: expected equal sizes, such as {[sizes[0]] * len(sizes)}"
            )
        options: dict[str, Any] = {"form": form, "afunc": afunc, "tau": tau}
        cells = [LeakyCell(n_inputs, sizes[0], generator, **options)]
        for size in sizes[1:]:
            below = cells[-1].n_units
            cells.append(
                LeakyCell(below + n_inputs, size, generator, below=below, input_layer=cells[0].input, **options)
            )
        for cell in cells:
            cell.precision = precision
        heads = Heads(sizes[-1], numbered(n_heads), n_outputs, shared_head, generator)
        super().__init__(cells, heads, skip_input=True)
