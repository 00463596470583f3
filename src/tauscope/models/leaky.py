"""Leaky recurrent networks with a trainable timescale for every unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tauscope._draws import normal
from tauscope.errors import InputError, require_at_least, require_choice, require_count
from tauscope.models import init
from tauscope.models.cell import State, layer_sizes
from tauscope.models.kernels.activations import ACTIVATIONS
from tauscope.models.kernels.leaky import leaky_inside, leaky_matrix, leaky_outside
from tauscope.models.model import Model
from tauscope.models.names import FORMS, PRECISIONS
from tauscope.models.rate import RateCell
from tauscope.models.readout import Heads, numbered
from tauscope.models.timescales import TauMap
from tauscope.models.weights import Weight, sharing_copy

LARGEST_INITIAL_STATE = 0.1


class LeakyCell(RateCell):
    """A layer of leaky units; with a = 1 / max(k τ, 1) and the drive D = W h + b + W_in x + b_in + noise:

    - ``default``: h ← φ((1 - a) h + a D), k = 1;
    - ``mod`` and ``continuous``: h ← (1 - a) h + a φ(D), k = 1 for ``mod``.

    Source: Khajehabdollahi et al., ICLR 2024, section 2 and its published code. With ``tau=1``, ``afunc="tanh"``,
    ``bias=False`` and ``diagonal=True`` it is the plain network h ← tanh(W h + V x).

    Parameters
    ----------
    n_inputs, n_units : int
        Channels of the input, number of units.
    generator : torch.Generator
        Source of the initial weights.
    form : {"default", "mod", "continuous"}
        Where the nonlinearity stands.
    afunc : {"leakyrelu", "relu", "tanh", "sigmoid", "hardtanh", "identity"}
        φ.
    tau : float, optional
        Fixed timescale of every unit in steps (in bits for ``continuous``); ``None`` trains them from U[1, 2).
    below : int
        How many of the input channels come from the layer below, with weights and bias of their own.
    input_layer : nn.Linear, optional
        Projection of the other channels, to share one between layers.
    bias : bool
        Whether there are biases.
    diagonal : bool
        Whether units receive from themselves; published networks have no diagonal.
    sigma : float
        Standard deviation of the private noise that `draw_noise` gives; it is part of the drive, inside φ.
    start : float
        Initial states are drawn from U[0, start).
    tau_map : str
        How τ is parametrised, a name of `tauscope.models.TauMap`; trained is w with k τ(w) in the place of k τ above. All maps
        start from the same τ.

    Notes
    -----
    The clamp stops the gradient of a unit whose raw τ has fallen below 1; it stays at 1 from then on. That is so with the
    maps ``inverse``, as published, ``exp`` and ``softplus``; ``sigmoid`` and ``best`` do not reach below 1, and ``direct`` is
    kept in [1e-4, 1] by projection after every step of training. The published code zeroes the diagonal of W after the fact, so that its gradient still enters the clipped norm; here it does not.

    Examples
    --------
    >>> cell = LeakyCell(2, 4, torch.Generator().manual_seed(0), afunc="tanh", tau=1, bias=False, diagonal=True, start=0)
    >>> x, (h,) = torch.ones(1, 2), cell.initial_state(1)
    >>> torch.equal(cell.step(x, (h,))[0], torch.tanh(h @ cell.recurrent.weight.t() + x @ cell.input.weight.t()))
    True
    """

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
        *,
        bias: bool = True,
        diagonal: bool = False,
        sigma: float = 0.0,
        start: float = LARGEST_INITIAL_STATE,
        tau_map: str = "inverse",
    ) -> None:
        require_choice("model type", form, FORMS)
        require_choice("activation function", afunc, ACTIVATIONS)
        require_count("number of units", n_units)
        require_count("number of inputs", n_inputs)
        require_count("channels from below", below, 0)
        require_at_least("number of inputs", n_inputs, below)
        require_at_least("tau", 1.0 if tau is None else tau, 1.0)
        require_at_least("sigma", sigma, 0.0)
        require_at_least("start", start, 0.0)
        parametrised = TauMap(tau_map)
        if tau is not None and parametrised.name != "inverse":
            raise InputError(
                f"tau is fixed at {tau:g}, tau_map is {tau_map}: expected one of them, a map is of a trained tau"
            )
        raw_tau = init.uniform((n_units,), 1.0, 2.0, generator)
        input = input_layer or init.linear(n_inputs - below, n_units, generator, bias)
        super().__init__(n_inputs, n_units, input, init.linear(n_units, n_units, generator, bias), diagonal)
        self.form, self.afunc, self.sigma, self.start = form, afunc, sigma, start
        self.k = 1
        self.precision = "fp32"
        self.n_below = below
        self.tau_map = parametrised.name
        if tau is None:
            self.raw_tau = nn.Parameter(parametrised.raw(raw_tau))
        else:
            self.register_buffer("raw_tau", torch.full_like(raw_tau, tau))
        if not diagonal:
            with torch.no_grad():
                self.recurrent.weight.fill_diagonal_(0)
        self.from_below = init.linear(below, n_units, generator, bias) if below else None

    @property
    def tau(self) -> Tensor:
        """Timescales in steps, clamped at 1, ``[unit]``."""
        return TauMap(self.tau_map).steps(self.raw_tau, self.k)

    @property
    def inputs(self) -> dict[str, nn.Linear]:
        """What the layer below and the input are multiplied with."""
        below = {} if self.from_below is None else {"from_below": self.from_below}
        return below | super().inputs

    def weights(self) -> Mapping[str, Weight]:
        """Return W_in, W, the biases and τ."""
        tau_map = None if self.tau_map == "inverse" else TauMap(self.tau_map)
        tau = Weight("tau", self, "raw_tau", scale=self.k, least=1 / self.k, tau_map=tau_map)
        return {**super().weights(), "raw_tau": tau}

    def project(self) -> None:
        """Keep rates that are trained themselves in [1e-4, 1]."""
        TauMap(self.tau_map).project(self.raw_tau, 1.0)

    def initial_state(self, batch_size: int, generator: torch.Generator | None = None) -> State:
        """Return h_0 ~ U[0, start), or its mean without a generator."""
        like = self.recurrent.weight
        if generator is None or self.start == 0:
            return (like.new_full((batch_size, self.n_units), self.start / 2),)
        h = init.uniform((batch_size, self.n_units), 0.0, self.start, generator)
        return (h.to(like),)

    def draw_noise(self, n_steps: int, batch_size: int, generator: torch.Generator) -> Tensor | None:
        """Draw the private noise of a sequence, normal with the standard deviation ``sigma``, ``[time, batch, unit]``."""
        if self.sigma == 0:
            return None
        noise = normal((n_steps, batch_size, self.n_units), generator)
        return noise.mul_(self.sigma).to(self.recurrent.weight)

    def step(self, x: Tensor, state: State, noise: Tensor | None = None) -> State:
        """Return the next state, by the class's equation."""
        (h,) = state
        drive, a = self._drive(x, state, noise), 1 / self.tau
        phi = ACTIVATIONS[self.afunc].function
        if self.form == "default":
            return (phi((1 - a) * h + a * drive),)
        return ((1 - a) * h + a * phi(drive),)

    def _drive(self, x: Tensor, state: State, noise: Tensor | None) -> Tensor:
        """Return D, ``[batch, unit]``."""
        weight, bias = self.input_map()
        drive = state[0] @ self.recurrent_weights.t() + x @ weight.t() + bias
        return drive if noise is None else drive + noise

    def jacobian(self, x: Tensor, state: State, noise: Tensor | None = None) -> Tensor:
        """Return the Jacobian of the step, ``[batch, to, from]``: rows of W times the gains φ', and the leak on the diagonal."""
        gain, leak = self._gains(x, state, noise)
        J = gain.unsqueeze(2) * self.recurrent_weights
        J.diagonal(dim1=1, dim2=2).add_(leak)
        return J

    def jacobian_diagonal(self, x: Tensor, state: State, noise: Tensor | None = None) -> Tensor:
        """Return the diagonal of the `jacobian`, ``[batch, unit]``."""
        gain, leak = self._gains(x, state, noise)
        return gain * self.recurrent_weights.diagonal() + leak

    @torch.no_grad()
    def _gains(self, x: Tensor, state: State, noise: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return how every next state depends on the unit's drive and on its own state before, ``[batch, unit]``."""
        a, phi = 1 / self.tau, ACTIVATIONS[self.afunc]
        inside = self.form == "default"
        value = self.step(x, state, noise)[0] if inside else phi.function(self._drive(x, state, noise))
        slope = torch.empty_like(value)
        phi.backward(torch.ones_like(value), value, slope)
        return (a * slope, (1 - a) * slope) if inside else (a * slope, (1 - a).expand_as(slope))

    def sequence(
        self, inputs: Tensor, state: State, *, noise: Tensor | None = None, hold: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Run a sequence by the fast recurrence; where the nonlinearity stands outside, held states by the loop."""
        if hold is not None and self.form != "default":
            return super().sequence(inputs, state, noise=noise, hold=hold)
        weight, bias, inputs = self.matrix(noise, inputs)
        a = 1 / self.tau
        leak, low = 1 - a, self.precision == "bf16"
        dtype = torch.bfloat16 if low else weight.dtype
        if self.form == "default":
            diagonal = torch.zeros_like(leak) if low else leak
            M = self._stacked(weight, bias, a, diagonal).to(dtype)
            states, last = leaky_inside(M, state[0], inputs, self.afunc, leak if low else None, hold=hold)
        else:
            M = self._stacked(weight, bias, torch.ones_like(a), torch.zeros_like(a)).to(dtype)
            states, last = leaky_outside(M, a, state[0], inputs, self.afunc)
        return states, (last,)

    def at_resolution(self, k: int) -> LeakyCell:
        """Return this cell with time steps of 1/k of a bit (τ of k times as many steps), sharing its parameters."""
        if self.form != "continuous":
            raise InputError(f"model type {self.form!r} has no time resolution: expected 'continuous'")
        require_at_least("k", k, 1)
        twin = sharing_copy(self)
        twin.k = k
        return twin

    def _stacked(self, weight: Tensor, bias: Tensor, a: Tensor, leak: Tensor) -> Tensor:
        """Return a ⊙ [W | V | b] with ``leak`` on the diagonal, beside that of W where it counts."""
        if self.off_diagonal is not None:
            return leaky_matrix(self.recurrent.weight, weight, bias, a, leak)
        W = a[:, None] * self.recurrent.weight + torch.diag(leak)
        return torch.cat([W, a[:, None] * weight, (a * bias)[:, None]], dim=1)


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
    afunc : {"leakyrelu", "relu", "tanh", "sigmoid", "hardtanh", "identity"}
        Nonlinearity.
    tau : float, optional
        Fixed timescale; ``None`` trains one for every unit.
    precision : {"fp32", "bf16"}
        Of the matrix products; leak and state stay in float32.
    tau_map : str
        How trained timescales are parametrised, see `LeakyCell`.
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
        tau_map: str = "inverse",
    ) -> None:
        sizes = layer_sizes(n_units)
        require_choice("precision", precision, PRECISIONS)
        if len(set(sizes)) != 1:
            raise InputError(
                f"layers have sizes {list(sizes)}: expected equal sizes, such as {[sizes[0]] * len(sizes)}"
            )
        options: dict[str, Any] = {"form": form, "afunc": afunc, "tau": tau, "tau_map": tau_map}
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
