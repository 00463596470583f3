"""Studies of linear networks: trained on their exact loss, without data, and perturbed.

Networks of a size begin alike under every map and for every memory: what differs is the map alone. All of them are trained side
by side, in float64, with Adam and gradients that are clipped network by network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
import xarray as xr
from torch import Tensor

from tauscope._draws import normal, uniform
from tauscope.analysis.linear_memory import linear_loss, linear_memory
from tauscope.analysis.perturbation_error import BETAS
from tauscope.models.residual import FASTEST, SLOWEST
from tauscope.models.timescales import TauMap
from tauscope.tasks.functional import Functional

MAPS = {
    "direct": TauMap("direct"),
    "exp": TauMap("exp"),
    "softplus": TauMap("softplus"),
    "inverse": TauMap("inverse"),
    "sigmoid": TauMap("sigmoid"),
    "best": TauMap("best"),
    "best0.1": TauMap("best", b=0.1),
}
"""The maps that are compared; the last is the published ``best``, of which λ can be above 2."""

RHOS = ("exp", "pol")
PARTS = ("all", "rate", "rest")
LONGEST = 1024
"""Lags of the memory functions that are kept."""


@dataclass
class LinearNetworks:
    """Networks of one size, map and memory, side by side.

    Attributes
    ----------
    tau_map : TauMap
        How decay rates are parametrised.
    rho : str
        The memory that is asked.
    parameters : dict of Tensor [network, unit]
        ``w``, ``input``, ``bias``, ``readout``, and ``offset [network, 1]``.
    n_steps : int
        Of a trial.
    """

    tau_map: TauMap
    rho: str
    parameters: dict[str, Tensor]
    n_steps: int = 100
    largest_gradient: Tensor = field(default_factory=lambda: torch.zeros(0))
    largest_ratio: Tensor = field(default_factory=lambda: torch.zeros(0))

    def rate(self, w: Tensor | None = None) -> Tensor:
        """Return the decay rates, ``[network, unit]``."""
        return self.tau_map.rate(self.parameters["w"] if w is None else w)

    def loss(self, parameters: dict[str, Tensor] | None = None) -> Tensor:
        """Return the exact loss of every network, ``[..., network]``, also with other parameters."""
        of = self.parameters if parameters is None else parameters
        rate, offset = self.tau_map.rate(of["w"]), of["offset"].squeeze(-1)
        return linear_loss(rate, of["input"], of["bias"], of["readout"], offset, self.rho, self.n_steps)

    def train(
        self,
        n_updates: int,
        lr: float,
        *,
        clip: float = 0.5,
        margin: float = 0.01,
        stop_below: float | Tensor | None = None,
    ) -> Tensor:
        """Train every network in place, and return after how many updates each stopped, ``[network]``.

        Parameters
        ----------
        n_updates : int
            Updates at most.
        lr : float
            Learning rate of Adam.
        clip : float
            Largest norm of a network's gradient; infinite for none.
        margin : float
            Factor of relu(1 - smallest positive λ), which is added to the loss.
        stop_below : float or Tensor [network], optional
            Loss below which a network stops.
        """
        for parameter in self.parameters.values():
            parameter.requires_grad_()
        optimizer = torch.optim.Adam(self.parameters.values(), lr=lr)
        n_networks = len(self.parameters["w"])
        stopped = torch.full((n_networks,), n_updates, dtype=torch.int64, device="cpu")
        going = torch.ones(n_networks, dtype=torch.bool, device="cpu")
        self.largest_gradient = self.largest_ratio = torch.zeros(n_networks, dtype=torch.float64, device="cpu")
        for update in range(n_updates):
            optimizer.zero_grad()
            loss = self.loss()
            if stop_below is not None:
                reached = going & (loss.detach() < stop_below)
                stopped[reached], going = update, going & ~reached
                if not going.any():
                    break
            total = loss + margin * (1 - _margin(self.rate())).relu() if margin else loss
            total.sum().backward()
            self._note_gradients()
            self._step(optimizer, clip, going)
        for parameter in self.parameters.values():
            parameter.requires_grad_(False)
        return stopped

    def _note_gradients(self) -> None:
        w, gradient = self.parameters["w"].detach(), self.parameters["w"].grad
        assert gradient is not None
        size = gradient.abs().nan_to_num(nan=math.inf)
        self.largest_gradient = torch.maximum(self.largest_gradient, size.amax(-1))
        self.largest_ratio = torch.maximum(self.largest_ratio, (size / w.abs()).nan_to_num(nan=0.0).amax(-1))

    @torch.no_grad()
    def _step(self, optimizer: torch.optim.Optimizer, clip: float, going: Tensor) -> None:
        """Move the networks that have not stopped, each by its own clipped gradient."""
        parameters = list(self.parameters.values())
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        norm = torch.stack([gradient.square().sum(-1) for gradient in gradients]).sum(0).sqrt()
        factor = (clip / (norm + 1e-6)).clamp(max=1.0)[:, None]
        for gradient in gradients:
            gradient.mul_(factor)
        before = [parameter.clone() for parameter in parameters]
        optimizer.step()
        self.tau_map.project(self.parameters["w"])
        for parameter, old in zip(parameters, before, strict=True):
            parameter.copy_(torch.where(going[:, None], parameter, old))

    @torch.no_grad()
    def errors(self, generator: torch.Generator, n_draws: int = 30) -> Tensor:
        """Return E(β), the largest loss of all draws of perturbations up to β, ``[part, network, beta]``.

        As `tauscope.analysis.perturb` with the norm "largest" in the space "raw" moves them: every tensor by Gaussian noise whose
        largest entry is β.
        """
        found = [[self.loss() for _ in PARTS]]
        for beta in BETAS[1:]:
            d = {name: _direction(value, n_draws, generator) for name, value in self.parameters.items()}
            found.append([
                self.loss({name: value + beta * d[name] * (name in moved) for name, value in self.parameters.items()})
                .nan_to_num(nan=math.inf, posinf=math.inf).amax(0)
                for moved in (tuple(d), ("w",), ("input", "bias", "readout", "offset"))
            ])  # fmt: skip
        return torch.stack([torch.stack(of_size) for of_size in found], dim=-1).cummax(-1).values


def _margin(rate: Tensor) -> Tensor:
    """Return the smallest positive decay rate of every network."""
    return torch.where(rate > 0, rate, math.inf).amin(-1)


def _direction(value: Tensor, n_draws: int, generator: torch.Generator) -> Tensor:
    """Return Gaussian noise for every draw and network, its largest entry in size 1."""
    d = normal((n_draws, *value.shape), generator).to(value)
    return d / d.abs().amax(-1, keepdim=True)


def _dataset(
    columns: Mapping[str, tuple[tuple[str, ...], Tensor]], coordinates: Mapping[str, Sequence[object]]
) -> xr.Dataset:
    units = {"error": "loss", "updates": "updates", "smallest_rate": "1/step"}
    return xr.Dataset(
        {name: (dims, values.detach().numpy(), {"units": units.get(name, "1")}) for name, (dims, values) in columns.items()},
        coords={name: list(values) for name, values in coordinates.items()},
    )  # fmt: skip


def start(tau_map: TauMap, rho: str, initial: dict[str, Tensor]) -> LinearNetworks:
    """Return networks at the start of their training, with the decay rates that are given whatever the map."""
    parameters = {name: value.clone() for name, value in initial.items() if name != "rate"}
    return LinearNetworks(tau_map, rho, {"w": tau_map.raw(1 / initial["rate"]), **parameters})


def initial_values(n_networks: int, n_units: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Draw the initial values of networks: λ from 0.05 to 0.95 evenly in log λ, U, b ~ U(±1), c, c₀ ~ U(±1/√m).

    Examples
    --------
    >>> {name: tuple(value.shape) for name, value in initial_values(2, 3, torch.Generator().manual_seed(0)).items()}
    {'rate': (2, 3), 'input': (2, 3), 'bias': (2, 3), 'readout': (2, 3), 'offset': (2, 1)}
    """

    def drawn(width: int, bound: float) -> Tensor:
        return bound * (2 * uniform((n_networks, width), generator).double() - 1)

    low, high = math.log(SLOWEST), math.log(FASTEST)
    return {
        "rate": (low + (high - low) * uniform((n_networks, n_units), generator).double()).exp(),
        "input": drawn(n_units, 1.0),
        "bias": drawn(n_units, 1.0),
        "readout": drawn(n_units, 1 / math.sqrt(n_units)),
        "offset": drawn(1, 1 / math.sqrt(n_units)),
    }


def linear(
    generator: torch.Generator,
    *,
    n_networks: int = 5,
    n_units: Sequence[int] = (8, 32),
    n_updates: int = 2000,
    lr: float = 0.01,
    n_draws: int = 30,
) -> xr.Dataset:
    """Train linear networks of every map on a short and a long memory for as many updates, and perturb them.

    Parameters
    ----------
    generator : torch.Generator
        Source of initial values and perturbations.
    n_networks : int
        Networks of each size.
    n_units : sequence of int
        Sizes m.
    n_updates : int
        Updates of Adam.
    lr : float
        Its learning rate.
    n_draws : int
        Perturbations of each size.

    Returns
    -------
    Dataset [rho, map, units, network]
        ``error [.., part, beta]``, the largest loss after perturbations of all parameters, of w alone ("rate") or of the rest; ``smallest_rate``; and
        ``memory [.., lag]``, |ρ̂|, of the first size.
    """
    initial = {m: initial_values(n_networks, m, generator) for m in n_units}
    cells, memories = [], []
    for rho in RHOS:
        for tau_map in MAPS.values():
            for m in n_units:
                networks = start(tau_map, rho, initial[m])
                networks.train(n_updates, lr)
                cells.append((networks.errors(generator, n_draws), _margin(networks.rate())))
                if m == n_units[0]:
                    gain = networks.parameters["readout"] * networks.parameters["input"]
                    memories.append(linear_memory(networks.rate(), gain, LONGEST).abs())
    shape = (len(RHOS), len(MAPS), len(n_units))
    errors = torch.stack([error for error, _ in cells]).unflatten(0, shape).movedim(3, 4)
    return _dataset(
        {
            "error": (("rho", "map", "units", "network", "part", "beta"), errors),
            "smallest_rate": (("rho", "map", "units", "network"), torch.stack([rate for _, rate in cells]).unflatten(0, shape)),
            "memory": (("rho", "map", "network", "lag"), torch.stack(memories).unflatten(0, shape[:2])),
        },
        {"rho": list(RHOS), "map": list(MAPS), "units": list(n_units), "part": list(PARTS), "beta": list(BETAS)},
    )  # fmt: skip


def matched(
    generator: torch.Generator,
    *,
    n_networks: int = 5,
    n_units: int = 16,
    stop_below: float = 0.25,
    n_updates: int = 20_000,
    lr: float = 0.01,
    n_draws: int = 30,
) -> xr.Dataset:
    """Train linear networks of every map on the long memory until their loss is the same, and perturb them.

    Parameters
    ----------
    generator, n_networks, lr, n_draws
        As in `linear`.
    n_units : int
        Size m.
    stop_below : float
        Loss at which a network stops.
    n_updates : int
        Updates at most.

    Returns
    -------
    Dataset [map, network]
        ``error [.., part, beta]`` as in `linear`, and ``updates``, after how many each stopped.
    """
    initial, errors, updates = initial_values(n_networks, n_units, generator), [], []
    for tau_map in MAPS.values():
        networks = start(tau_map, "pol", initial)
        updates.append(networks.train(n_updates, lr, stop_below=stop_below))
        errors.append(networks.errors(generator, n_draws))
    result = _dataset(
        {
            "error": (("map", "network", "part", "beta"), torch.stack(errors).movedim(1, 2)),
            "updates": (("map", "network"), torch.stack(updates)),
        },
        {"map": list(MAPS), "part": list(PARTS), "beta": list(BETAS)},
    )
    result["updates"].attrs["most"] = n_updates
    return result


def sizes(
    generator: torch.Generator,
    *,
    n_networks: int = 5,
    n_units: Sequence[int] = (8, 16, 32, 64),
    first_updates: int = 500,
    n_updates: int = 20_000,
    lr: float = 0.01,
    n_draws: int = 30,
) -> xr.Dataset:
    """Train larger and larger linear networks, each until its loss is below that of the one before, as published.

    Parameters
    ----------
    generator, n_networks, lr, n_draws
        As in `linear`.
    n_units : sequence of int
        Sizes m, ascending.
    first_updates, n_updates : int
        Updates of the first size, as two published epochs, and of all others at most.

    Returns
    -------
    Dataset [rho, map, units, network]
        ``error [.., part, beta]`` as in `linear`, of the maps direct and softplus, and ``updates``, after how many each stopped.
    """
    names, errors, updates = ("direct", "softplus"), [], []
    initial = {m: initial_values(n_networks, m, generator) for m in n_units}
    for rho in RHOS:
        for name in names:
            below: Tensor | None = None
            for m in n_units:
                networks = start(MAPS[name], rho, initial[m])
                if below is None:
                    updates.append(networks.train(first_updates, lr))
                else:
                    updates.append(networks.train(n_updates, lr, stop_below=below))
                below = networks.loss()
                errors.append(networks.errors(generator, n_draws))
    shape = (len(RHOS), len(names), len(n_units))
    return _dataset(
        {
            "error": (
                ("rho", "map", "units", "network", "part", "beta"),
                torch.stack(errors).unflatten(0, shape).movedim(3, 4),
            ),
            "updates": (("rho", "map", "units", "network"), torch.stack(updates).unflatten(0, shape)),
        },
        {"rho": list(RHOS), "map": list(names), "units": list(n_units), "part": list(PARTS), "beta": list(BETAS)},
    )


def learning_rates(
    generator: torch.Generator,
    *,
    n_networks: int = 5,
    n_units: int = 16,
    rates: Sequence[float] = (5.0, 0.5, 0.05, 0.005, 0.0005),
    n_updates: int = 1000,
) -> xr.Dataset:
    """Train linear networks of every map on the long memory at several learning rates, without clipping or penalty.

    Parameters
    ----------
    generator, n_networks
        As in `linear`.
    n_units : int
        Size m.
    rates : sequence of float
        Learning rates of Adam.
    n_updates : int
        Updates at each.

    Returns
    -------
    Dataset [map, lr, network]
        ``loss`` at the end, in parts of that of answering 0, infinite where a network diverged; ``largest_ratio``, the largest
        |∂L/∂w| / |w| of any unit in the course of training, and ``largest_gradient``, the largest |∂L/∂w|.
    """
    initial, rows = initial_values(n_networks, n_units, generator), []
    for tau_map in MAPS.values():
        for lr in rates:
            networks = start(tau_map, "pol", initial)
            networks.train(n_updates, lr, clip=math.inf, margin=0.0)
            loss = (networks.loss() / Functional("pol").power).nan_to_num(nan=math.inf, posinf=math.inf)
            rows.append((loss, networks.largest_ratio, networks.largest_gradient))
    shape, names = (len(MAPS), len(rates)), ("loss", "largest_ratio", "largest_gradient")
    columns = [torch.stack(column).unflatten(0, shape) for column in zip(*rows, strict=True)]
    return _dataset(
        {name: (("map", "lr", "network"), column) for name, column in zip(names, columns, strict=True)},
        {"map": list(MAPS), "lr": list(rates)},
    )
