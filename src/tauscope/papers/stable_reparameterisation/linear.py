"""Studies of linear networks: trained on their exact loss, without data, and perturbed.

Networks of a size begin alike under every map and for every memory: what differs is the map alone. All of them are trained side
by side, in float64, with Adam and gradients that are clipped network by network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import xarray as xr
from torch import Tensor

from tauscope._draws import normal, uniform
from tauscope.analysis.linear_memory import linear_loss, linear_memory
from tauscope.analysis.perturbation_error import BETAS
from tauscope.models.residual import FASTEST, SLOWEST
from tauscope.models.timescales import TauMap

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
    """Networks of one size under several maps, side by side.

    Attributes
    ----------
    tau_maps : tuple of TauMap
        How decay rates are parametrised.
    rho : str
        The memory that is asked.
    parameters : dict of Tensor [map, ..., network, unit]
        ``w``, ``input``, ``bias``, ``readout``, and ``offset [map, ..., network, 1]``.
    largest_gradient, largest_ratio : Tensor [map, ..., network]
        The largest |∂L/∂w| and |∂L/∂w| / |w| of any unit in the course of training.
    n_steps : int
        Of a trial.
    """

    tau_maps: tuple[TauMap, ...]
    rho: str
    parameters: dict[str, Tensor]
    largest_gradient: Tensor
    largest_ratio: Tensor
    n_steps: int = 100

    @classmethod
    def start(cls, tau_maps: Sequence[TauMap], rho: str, initial: Mapping[str, Tensor]) -> LinearNetworks:
        """Return networks at the start of their training, with the same decay rates whatever the map.

        Parameters
        ----------
        tau_maps : sequence of TauMap
            Maps.
        rho : str
            As in `tauscope.tasks.functional.Functional`.
        initial : dict of Tensor [..., network, unit]
            From `initial_values`.
        """
        parameters = {name: torch.stack([value] * len(tau_maps)) for name, value in initial.items() if name != "rate"}
        w = torch.stack([tau_map.raw(1 / initial["rate"]) for tau_map in tau_maps])
        none = torch.zeros(w.shape[:-1], dtype=torch.float64, device="cpu")
        return cls(tuple(tau_maps), rho, {"w": w, **parameters}, none, none)

    def rate(self, w: Tensor | None = None) -> Tensor:
        """Return the decay rates λ of w ``[map, ..., unit]``, by default the networks' own."""
        w = self.parameters["w"] if w is None else w
        return torch.stack([tau_map.rate(own) for tau_map, own in zip(self.tau_maps, w, strict=True)])

    def loss(self, parameters: Mapping[str, Tensor] | None = None) -> Tensor:
        """Return the exact loss of every network, ``[map, ..., network]``, also with other parameters."""
        of = self.parameters if parameters is None else parameters
        rate, offset = self.rate(of["w"]), of["offset"].squeeze(-1)
        return linear_loss(rate, of["input"], of["bias"], of["readout"], offset, self.rho, self.n_steps)

    def train(
        self,
        n_updates: int,
        lr: float | Tensor,
        *,
        clip: float = 0.5,
        margin: float = 0.01,
        stop_below: float | Tensor | None = None,
    ) -> Tensor:
        """Train every network in place, and return after how many updates each stopped, ``[map, ..., network]``.

        Parameters
        ----------
        n_updates : int
            Updates at most.
        lr : float or Tensor [map, ..., network]
            Learning rate of Adam.
        clip : float
            Largest norm of a network's gradient; infinite for none.
        margin : float
            Factor of relu(1 - smallest positive λ), which is added to the loss.
        stop_below : float or Tensor [map, ..., network], optional
            Loss below which a network stops.
        """
        adam = _Adam(self.parameters, lr)
        stopped = torch.full(self.largest_ratio.shape, n_updates, dtype=torch.int64, device="cpu")
        going = torch.ones(self.largest_ratio.shape, dtype=torch.bool, device="cpu")
        for update in range(n_updates):
            wanted = {name: value.requires_grad_() for name, value in self.parameters.items()}
            loss = self.loss(wanted)
            if stop_below is not None:
                reached = going & (loss.detach() < stop_below)
                stopped[reached], going = update, going & ~reached
                if not going.any():
                    break
            total = loss + margin * (1 - smallest_rate(self.rate(wanted["w"]))).relu() if margin else loss
            gradients = torch.autograd.grad(total.sum(), list(wanted.values()))
            self.parameters = {name: value.detach() for name, value in wanted.items()}
            self._note(gradients[0])
            self.parameters = adam.step(self.parameters, _clipped(gradients, clip), going)
            for tau_map, own in zip(self.tau_maps, self.parameters["w"], strict=True):
                tau_map.project(own)
        self.parameters = {name: value.detach() for name, value in self.parameters.items()}
        return stopped

    def _note(self, gradient: Tensor) -> None:
        size = gradient.abs().nan_to_num(nan=math.inf, posinf=math.inf)
        ratio = (size / self.parameters["w"].abs()).nan_to_num(nan=0.0, posinf=math.inf)
        self.largest_gradient = torch.maximum(self.largest_gradient, size.amax(-1))
        self.largest_ratio = torch.maximum(self.largest_ratio, ratio.amax(-1))

    @torch.no_grad()
    def errors(self, generator: torch.Generator, n_draws: int = 30) -> Tensor:
        """Return E(β), the largest loss of all draws of perturbations up to β, ``[map, part, network, beta]``.

        As `tauscope.analysis.perturb` with the norm "largest" in the space "raw" moves them: every tensor by Gaussian noise whose
        largest entry is β.
        """
        found = [torch.stack([self.loss()] * len(PARTS), dim=1)]
        for beta in BETAS[1:]:
            d = {name: _direction(value, n_draws, generator) for name, value in self.parameters.items()}
            largest = [
                self.loss({name: own.unsqueeze(1) + beta * d[name] * (name in moved) for name, own in self.parameters.items()})
                .nan_to_num(nan=math.inf, posinf=math.inf).amax(1)
                for moved in (tuple(d), ("w",), ("input", "bias", "readout", "offset"))
            ]  # fmt: skip
            found.append(torch.stack(largest, dim=1))
        return torch.stack(found, dim=-1).cummax(-1).values


class _Adam:
    """Adam with a learning rate for each network, as `torch.optim.Adam` moves them; networks that have stopped stay."""

    def __init__(self, parameters: Mapping[str, Tensor], lr: float | Tensor) -> None:
        self.lr = lr.unsqueeze(-1) if isinstance(lr, Tensor) else lr
        self.moments = [(torch.zeros_like(value), torch.zeros_like(value)) for value in parameters.values()]
        self.n_updates = 0

    def step(self, parameters: Mapping[str, Tensor], gradients: Sequence[Tensor], going: Tensor) -> dict[str, Tensor]:
        self.n_updates += 1
        first, second = (1 - beta**self.n_updates for beta in _BETAS)
        moved = {}
        for (name, value), gradient, (m, v) in zip(parameters.items(), gradients, self.moments, strict=True):
            m.lerp_(gradient, 1 - _BETAS[0])
            v.lerp_(gradient.square(), 1 - _BETAS[1])
            after = value - self.lr * (m / first) / ((v / second).sqrt() + _EPS)
            moved[name] = torch.where(going.unsqueeze(-1), after, value)
        return moved


_BETAS, _EPS = (0.9, 0.999), 1e-8


def _clipped(gradients: Sequence[Tensor], clip: float) -> list[Tensor]:
    """Return gradients, those of every network scaled to a norm of ``clip`` at most."""
    norm = torch.stack([gradient.square().sum(-1) for gradient in gradients]).sum(0).sqrt()
    factor = (clip / (norm + 1e-6)).clamp(max=1.0).unsqueeze(-1)
    return [gradient * factor for gradient in gradients]


def smallest_rate(rate: Tensor) -> Tensor:
    """Return the smallest positive decay rate of every network."""
    return torch.where(rate > 0, rate, math.inf).amin(-1)


def _direction(value: Tensor, n_draws: int, generator: torch.Generator) -> Tensor:
    """Return Gaussian noise ``[map, draw, network, unit]``, the same under every map, its largest entry in size 1."""
    d = normal((n_draws, *value.shape[1:]), generator).to(value)
    return d / d.abs().amax(-1, keepdim=True)


def dataset(
    columns: Mapping[str, tuple[tuple[str, ...], Tensor]], coordinates: Mapping[str, Sequence[object]]
) -> xr.Dataset:
    """Return tensors with the names of their dimensions as a Dataset, with units."""
    units = {"error": "loss", "updates": "updates", "smallest_rate": "1/step"}
    return xr.Dataset(
        {name: (dims, values.detach().numpy(), {"units": units.get(name, "1")}) for name, (dims, values) in columns.items()},
        coords={name: list(values) for name, values in coordinates.items()},
    )  # fmt: skip


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
    errors, rates, memories = [], [], []
    for rho in RHOS:
        for m in n_units:
            networks = LinearNetworks.start(tuple(MAPS.values()), rho, initial[m])
            networks.train(n_updates, lr)
            errors.append(networks.errors(generator, n_draws))
            rates.append(smallest_rate(networks.rate()))
            if m == n_units[0]:
                gain = networks.parameters["readout"] * networks.parameters["input"]
                memories.append(linear_memory(networks.rate(), gain, LONGEST).abs())
    shape = (len(RHOS), len(n_units))
    return dataset(
        {
            "error": (("rho", "units", "map", "part", "network", "beta"), torch.stack(errors).unflatten(0, shape)),
            "smallest_rate": (("rho", "units", "map", "network"), torch.stack(rates).unflatten(0, shape)),
            "memory": (("rho", "map", "network", "lag"), torch.stack(memories)),
        },
        {"rho": RHOS, "map": tuple(MAPS), "units": n_units, "part": PARTS, "beta": BETAS},
    )


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
    networks = LinearNetworks.start(tuple(MAPS.values()), "pol", initial_values(n_networks, n_units, generator))
    updates = networks.train(n_updates, lr, stop_below=stop_below)
    errors = networks.errors(generator, n_draws)
    result = dataset(
        {"error": (("map", "part", "network", "beta"), errors), "updates": (("map", "network"), updates)},
        {"map": tuple(MAPS), "part": PARTS, "beta": BETAS},
    )
    result["updates"].attrs["most"] = n_updates
    return result
