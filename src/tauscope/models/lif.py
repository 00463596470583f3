"""Leaky integrate-and-fire units with timescales of their own, and the sparse graphs that they are joined by."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from tauscope._draws import normal, uniform
from tauscope.errors import InputError, require_at_least, require_choice, require_count, require_positive
from tauscope.models import init
from tauscope.models.cell import Cell, State
from tauscope.models.init import linear_of
from tauscope.models.names import RESETS
from tauscope.models.rate import RateCell
from tauscope.models.weights import Weight

THRESHOLD = 1.0
"""θ, of all units."""

LEAST_TAU = 1.5
"""Where gamma-distributed timescales are cut, in steps."""

BIAS, BIAS_SPREAD = 0.8, 0.3
"""Mean and standard deviation of the initial biases: some units fire without input, most do not."""


def gamma_timescales(
    n_units: int, mean: float, shape: float, generator: torch.Generator, *, clusters: int = 1
) -> Tensor:
    """Draw timescales from a gamma distribution, cut at 1.5 steps.

    Parameters
    ----------
    n_units : int
        Number of units.
    mean : float
        Mean of the distribution before the cut, in steps; the cut raises it.
    shape : float
        Shape of the distribution; its standard deviation is mean / √shape.
    generator : torch.Generator
        Source of chance.
    clusters : int
        Number of groups of successive units, each with a distribution of its own: their means lie evenly in the logarithm, the
        largest four times the smallest, with the mean of all.

    Returns
    -------
    Tensor [unit]
        Timescales in steps.

    Raises
    ------
    InputError
        If a number is out of range.

    Examples
    --------
    >>> gamma_timescales(3, 4.0, 1.5, torch.Generator().manual_seed(0)).round(decimals=1)
    tensor([3.1000, 5.7000, 1.5000])
    """
    from scipy.special import gammaincinv

    require_count("number of units", n_units)
    require_positive("mean", mean, finite=True)
    require_positive("shape", shape, finite=True)
    require_count("number of clusters", clusters)
    if clusters > n_units:
        raise InputError(f"{clusters} clusters of {n_units} units: expected at most {n_units}")
    factors = torch.logspace(-1, 1, clusters, 2, dtype=torch.float64, device="cpu")
    cluster = torch.arange(n_units, device="cpu") * clusters // n_units
    means = mean * (factors / factors.mean())[cluster]
    quantiles = gammaincinv(shape, uniform((n_units,), generator).double().cpu().numpy()) / shape
    return (means * torch.as_tensor(quantiles, device="cpu")).clamp(min=LEAST_TAU).float().to(generator.device)


def small_world(n_units: int, n_neighbours: int, rewired: float, generator: torch.Generator) -> Tensor:
    """Draw a small-world graph: a ring in which every unit receives from its nearest, some of them replaced by random units.

    Parameters
    ----------
    n_units : int
        Number of units.
    n_neighbours : int
        Synapses into every unit, half of them from each side; even.
    rewired : float
        Probability with which a synapse is replaced by one from a unit that was no neighbour.
    generator : torch.Generator
        Source of chance.

    Returns
    -------
    Tensor [to, from]
        1 where there is a synapse, 0 elsewhere; no unit receives from itself.

    Raises
    ------
    InputError
        If the ring has no room for so many neighbours, or a number is out of range.

    Notes
    -----
    Watts & Strogatz, Nature 393, 440 (1998), with directed synapses, so that every unit keeps its number of inputs.

    Examples
    --------
    >>> small_world(5, 2, 0.0, torch.Generator())[0]
    tensor([0., 1., 0., 0., 1.])
    """
    require_count("number of units", n_units)
    require_count("number of neighbours", n_neighbours, 0)
    if n_neighbours % 2 or n_neighbours >= n_units:
        raise InputError(f"{n_neighbours} neighbours among {n_units} units: expected an even number below {n_units}")
    if not 0 <= rewired <= 1:
        raise InputError(f"rewired is {rewired}: expected a probability, such as 0.2")
    unit = torch.arange(n_units, device=generator.device)
    apart = (unit[:, None] - unit).abs()
    ring = torch.minimum(apart, n_units - apart)
    near = (ring > 0) & (ring <= n_neighbours // 2)
    # Kept neighbours come first, then units that were none in random order, then neighbours that were replaced.
    draws = uniform((n_units, n_units), generator)
    rank = torch.where(near, torch.where(draws < rewired, -1.0, 2.0), uniform((n_units, n_units), generator))
    rank.fill_diagonal_(-2.0)
    chosen = rank.topk(n_neighbours, dim=1).indices
    return torch.zeros_like(rank).scatter_(1, chosen, 1.0)


class LIFCell(RateCell):
    """A layer of leaky integrate-and-fire units with fixed timescales.

    With the spikes s = Θ(v - θ) of the state before, θ = 1, α = exp(-1/τ) and the input I = W s + W_in x + b (+ noise):

    - v ← α v + (1 - α) I - θ s, or, where units are reset to zero, v ← α (1 - s) v + (1 - α) I;
    - q ← α q + (1 - α) Θ(v - θ), the trace that read-outs and other layers see.

    Parameters
    ----------
    n_inputs, n_units : int
        Channels of the input, number of units.
    generator : torch.Generator
        Source of timescales and weights: W ~ N(0, 4/n_units) without a diagonal, W_in ~ U(±2), b ~ N(0.8, 0.3²).
    mean_tau : float
        Timescale of the membranes in steps: of all units, or the mean of the distribution before its cut.
    tau_shape : float
        Shape of the gamma distribution of the timescales, see `gamma_timescales`; 0 for one timescale.
    clusters : int
        Groups of units with distributions of their own.
    slope : float
        k of the surrogate derivative.
    reset : {"subtract", "zero"}
        What a spike does to the membrane.

    Notes
    -----
    The state is (q, v). A step jumps where a unit begins to fire; its derivative is that of soft(u) = u / (1 + k ``|u|``) in the
    place of Θ(u), 1 / (1 + k ``|u|``)² (Zenke & Ganguli, Neural Computation 30, 1514 (2018)), in training and in Jacobians: exponents
    depend on k, and are -1/τ where it is large. Equations of Chakraborty, Kang, Kumar & Mukhopadhyay, ICLR 2024, as far as they
    are known; the discretisation is ours.

    Examples
    --------
    >>> cell = LIFCell(1, 3, torch.Generator().manual_seed(0), tau_shape=0)
    >>> q, v = cell.step(torch.ones(2, 1), cell.initial_state(2))
    >>> q.shape, v.shape, cell.tau
    (torch.Size([2, 3]), torch.Size([2, 3]), tensor([4., 4., 4.]))
    """

    n_states = 2
    # What drives a unit are spikes, which are not the first tensor of a state.
    weighted_sum = False

    def __init__(
        self,
        n_inputs: int,
        n_units: int,
        generator: torch.Generator,
        *,
        mean_tau: float = 4.0,
        tau_shape: float = 1.5,
        clusters: int = 1,
        slope: float = 5.0,
        reset: str = "subtract",
    ) -> None:
        require_count("number of units", n_units)
        require_count("number of inputs", n_inputs)
        require_positive("mean_tau", mean_tau, finite=True)
        require_at_least("tau_shape", tau_shape, 0.0)
        require_positive("slope", slope, finite=True)
        require_choice("reset", reset, RESETS)
        if not tau_shape and clusters != 1:
            raise InputError(f"{clusters} clusters of one timescale: expected a tau_shape above 0, such as 1.5")
        input = linear_of(init.uniform((n_units, n_inputs), -2.0, 2.0, generator))
        recurrent = linear_of(2 / n_units**0.5 * normal((n_units, n_units), generator).fill_diagonal_(0), bias=False)
        with torch.no_grad():
            input.bias.copy_(BIAS + BIAS_SPREAD * normal((n_units,), generator))
        super().__init__(n_inputs, n_units, input, recurrent, diagonal=False)
        self.slope, self.reset = float(slope), reset
        tau = torch.full_like(input.bias.detach(), mean_tau)
        if tau_shape:
            tau = gamma_timescales(n_units, mean_tau, tau_shape, generator, clusters=clusters)
        self.register_buffer("raw_tau", tau)

    raw_tau: Tensor

    @property
    def tau(self) -> Tensor:
        """Timescales of the membranes in steps, ``[unit]``."""
        return self.raw_tau

    @property
    def alpha(self) -> Tensor:
        """Share of a membrane that a step keeps, ``[unit]``."""
        return torch.exp(-1 / self.raw_tau)

    def retention(self, x: Tensor, state: State) -> Tensor:
        """Return α for every sequence."""
        del x
        return self.alpha.expand_as(state[0])

    def weights(self) -> Mapping[str, Weight]:
        """Return W_in, W, b and τ."""
        return {**super().weights(), "raw_tau": Weight("tau", self, "raw_tau")}

    def spikes(self, membranes: Tensor) -> Tensor:
        """Return the spikes Θ(v - θ) of membranes ``[..., unit]``, with the surrogate derivative."""
        over = membranes - THRESHOLD
        soft = over / (1 + self.slope * over.abs())
        return soft + ((over >= 0).to(over.dtype) - soft).detach()

    def drive(self, x: Tensor, membranes: Tensor, noise: Tensor | None = None) -> Tensor:
        """Return I, ``[batch, unit]``, of an input and the membranes before the step."""
        weight, bias = self.input_map()
        drive = self.spikes(membranes) @ self.recurrent_weights.t() + x @ weight.t() + bias
        return drive if noise is None else drive + noise

    def integrate(self, drive: Tensor, membranes: Tensor) -> Tensor:
        """Return the membranes after a step with the input I, both ``[..., unit]``: unit by unit."""
        alpha, spikes = self.alpha, self.spikes(membranes)
        if self.reset == "zero":
            return alpha * (1 - spikes) * membranes + (1 - alpha) * drive
        return alpha * membranes + (1 - alpha) * drive - THRESHOLD * spikes

    def follow(self, traces: Tensor, membranes: Tensor) -> Tensor:
        """Return the traces after a step that ends with these membranes, both ``[..., unit]``."""
        alpha = self.alpha
        return alpha * traces + (1 - alpha) * self.spikes(membranes)

    def step(self, x: Tensor, state: State, noise: Tensor | None = None) -> State:
        """Return the next state, by the class's equation."""
        traces, membranes = state
        after = self.integrate(self.drive(x, membranes, noise), membranes)
        return self.follow(traces, after), after


class MembraneCell(Cell):
    """The membranes of a `LIFCell` without the traces, which no unit sees: the traces only add the exponents -1/τ.

    Parameters
    ----------
    cell : LIFCell
        The cell, whose parameters are shared.

    Examples
    --------
    >>> cell = LIFCell(1, 3, torch.Generator().manual_seed(0))
    >>> x, v = torch.ones(2, 1), torch.full((2, 3), 1.5)
    >>> bool((MembraneCell(cell).step(x, (v,))[0] == cell.step(x, (v, v))[1]).all())
    True
    """

    def __init__(self, cell: LIFCell) -> None:
        super().__init__(cell.n_inputs, cell.n_units)
        self.cell = cell

    @property
    def tau(self) -> Tensor:
        """Timescales of the membranes in steps, ``[unit]``."""
        return self.cell.tau

    def weights(self) -> Mapping[str, Weight]:
        """Return the weights of the cell."""
        return self.cell.weights()

    def step(self, x: Tensor, state: State, noise: Tensor | None = None) -> State:
        """Return the next membranes."""
        (membranes,) = state
        return (self.cell.integrate(self.cell.drive(x, membranes, noise), membranes),)
