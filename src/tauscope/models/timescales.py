"""How a timescale is parametrised: maps from what is trained to τ, and which of them are stable."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from tauscope.errors import InputError, require_at_least, require_choice, require_positive
from tauscope.models.names import MATCHED, TAU_MAPS

SMALLEST_RATE = 1e-4
"""Where training keeps a rate that is trained itself: at 0 it would have no gradient for ever, below it memory grows."""

MATCHED_AT = 1.5
"""Timescale at which a step of w moves τ as far under every matched map: the mean of the initial τ of leaky units."""

_Function = Callable[[Tensor, float, float], Tensor]

_RATE: dict[str, _Function] = {
    "inverse": lambda w, *_: 1 / w.clamp(min=1.0),
    "exp": lambda w, *_: w.exp(),
    "softplus": lambda w, *_: nn.functional.softplus(w, threshold=math.inf),
    "sigmoid": lambda w, *_: w.sigmoid(),
    "best": lambda w, a, b: 1 / (a * w.square() + b),
    "direct": lambda w, *_: w,
}
_TAU: dict[str, _Function] = {
    "inverse": lambda w, *_: w,
    "exp": lambda w, *_: (-w).exp(),
    "softplus": lambda w, *_: 1 / nn.functional.softplus(w, threshold=math.inf),
    "sigmoid": lambda w, *_: 1 + (-w).exp(),
    "best": lambda w, a, b: a * w.square() + b,
    "direct": lambda w, *_: 1 / w,
}
_RAW: dict[str, _Function] = {
    "inverse": lambda tau, *_: tau,
    "exp": lambda tau, *_: -tau.log(),
    "softplus": lambda tau, *_: 1 / tau + (-(-1 / tau).expm1()).log(),
    # A unit of τ = 1 has no finite w; the nearest number that has is taken.
    "sigmoid": lambda tau, *_: -(tau - 1).clamp(min=torch.finfo(tau.dtype).eps).log(),
    "best": lambda tau, a, b: ((tau - b) / a).clamp(min=0.0).sqrt(),
    "direct": lambda tau, *_: 1 / tau,
}
_SLOPE: dict[str, _Function] = {
    "inverse": lambda tau, *_: torch.ones_like(tau),
    "exp": lambda tau, *_: tau,
    "softplus": lambda tau, *_: -tau.square() * (-1 / tau).expm1(),
    "sigmoid": lambda tau, *_: tau - 1,
    "best": lambda tau, a, b: 2 * (a * (tau - b).clamp(min=0.0)).sqrt(),
    "direct": lambda tau, *_: tau.square(),
}
_CHANGE: dict[str, Callable[[float, float, float], float]] = {
    "inverse": lambda beta, *_: beta,
    "exp": lambda beta, *_: math.expm1(beta),
    "softplus": lambda beta, *_: math.expm1(beta),
    "sigmoid": lambda beta, *_: math.expm1(beta),
    "best": lambda beta, a, b: math.expm1(beta * math.sqrt(a / b)),
    "direct": lambda beta, *_: math.inf if beta else 0.0,
}


@dataclass(frozen=True)
class TauMap:
    """A map from a trained number w to a decay rate λ = f(w) a step, and to the timescale τ = 1/λ.

    =========  ================  =================  ==========================  =======
    name       λ = f(w)          τ(w)               size of dτ/dw, by τ         stable
    =========  ================  =================  ==========================  =======
    inverse    1 / max(w, 1)     w                  1                           yes
    exp        e^w               e^-w               τ                           yes
    softplus   log(1 + e^w)      1 / log(1 + e^w)   τ² (1 - e^(-1/τ))           yes
    sigmoid    1 / (1 + e^-w)    1 + e^-w           τ - 1                       yes
    best       1 / (a w² + b)    a w² + b           2 √(a (τ - b))              yes
    direct     w                 1 / w              τ²                          no
    =========  ================  =================  ==========================  =======

    Attributes
    ----------
    name : {"inverse", "exp", "softplus", "sigmoid", "best", "direct"}
        Which map; ``"clamp"``, the trained τ of leaky units that is clamped at 1, is another name of ``"inverse"``. All others exist
        as ``"matched_exp"``, … too, where λ = f(s w) with the scale s for which dτ/dw is 1 in size at τ = 1.5: they differ from
        ``"inverse"`` in their shape alone.
    a, b : float
        Of ``"best"`` alone; its smallest τ is b.

    Notes
    -----
    A mode of decay λ keeps (1 - λ)^s of an input after s steps. A change of λ to λ' costs ``λ Σ_s |(1 - λ')^s - (1 - λ)^s| =
    |λ / λ' - 1|`` in parts of the mode, so that a map is stable if and only if log f is uniformly continuous: a small change of
    w then changes every memory by a small part, however long it is. Source: Wang, Li & Li, ICLR 2024 (arXiv 2305.19190); Wang
    & Li, ICML 2024 (arXiv 2311.14495), ``best`` with a = 1, b = 0.1. With λ > 2, which ``exp``, ``softplus``, ``direct``, and
    ``best`` with b < 1/2 can reach, ``|1 - λ| > 1``: a memory that grows in discrete time.

    Examples
    --------
    >>> tau_map = TauMap("sigmoid")
    >>> tau_map.tau(torch.tensor([0.0])), tau_map.slope(torch.tensor([2.0])), tau_map.is_stable
    (tensor([2.]), tensor([1.]), True)
    """

    name: str = "inverse"
    a: float = 1.0
    b: float = 1.0

    def __post_init__(self) -> None:
        require_choice("tau_map", self.name, TAU_MAPS)
        require_positive("a", self.a)
        require_positive("b", self.b)
        if self.name == "clamp":
            object.__setattr__(self, "name", "inverse")
        if self.name == MATCHED + "best" and self.b >= MATCHED_AT:
            raise InputError(
                f"b of a matched map is {self.b:g}: expected a number below {MATCHED_AT}, where its slope is matched"
            )

    @cached_property
    def shape(self) -> str:
        """Name of the map whose w is scaled."""
        return self.name.removeprefix(MATCHED)

    @cached_property
    def scale(self) -> float:
        """Factor s of w, 1 unless the map is a matched one."""
        if self.shape == self.name:
            return 1.0
        at = torch.tensor(MATCHED_AT, dtype=torch.float64, device="cpu")
        return 1 / float(_SLOPE[self.shape](at, self.a, self.b))

    @property
    def is_stable(self) -> bool:
        """Whether a small change of w changes every memory by a small part."""
        return self.shape != "direct"

    def rate(self, w: Tensor) -> Tensor:
        """Return λ = f(w)."""
        return _RATE[self.shape](self._scaled(w), self.a, self.b)

    def tau(self, w: Tensor) -> Tensor:
        """Return τ(w) in steps, of ``inverse`` w itself: what has to be at least one step, `steps` clamps."""
        return _TAU[self.shape](self._scaled(w), self.a, self.b)

    def steps(self, w: Tensor, k: int = 1) -> Tensor:
        """Return max(k τ(w), 1), the timescales of units whose step must not exceed 1.

        A rate below 0, which no training keeps but a perturbation can give, stays one: such a unit's memory grows.
        """
        tau = self.tau(w) * k
        clamped = tau.clamp(min=1.0)
        return clamped if self.is_stable else torch.where(tau < 0, tau, clamped)

    def raw(self, tau: Tensor) -> Tensor:
        """Return w ≥ 0 or the only w with τ(w) = τ; of a τ that the map does not reach, that of the nearest."""
        w = _RAW[self.shape](tau, self.a, self.b)
        return w if self.scale == 1 else w / self.scale

    def slope(self, tau: Tensor) -> Tensor:
        """Return the size of dτ/dw where the timescale is τ: how far a step of w moves it."""
        return self.scale * _SLOPE[self.shape](tau, self.a, self.b)

    def largest_change(self, beta: float) -> float:
        """Return a bound of ``|f(w) / f(w + δ) - 1|`` over all w and all ``|δ| ≤ β``, by which the map is stable or not."""
        require_at_least("beta", beta, 0.0)
        return _CHANGE[self.shape](self.scale * beta, self.a, self.b)

    @torch.no_grad()
    def project(self, w: Tensor, largest: float = math.inf) -> None:
        """Bring rates that are trained themselves back into [1e-4, largest], in place; no other map needs it."""
        if not self.is_stable:
            w.clamp_(SMALLEST_RATE / self.scale, largest / self.scale)

    def _scaled(self, w: Tensor) -> Tensor:
        """Return s w; w itself where s is 1."""
        return w if self.scale == 1 else self.scale * w


class StableReparam(nn.Module):
    """A parametrisation of timescales, for `torch.nn.utils.parametrize`: τ = τ(w), w is trained in its place.

    Parameters
    ----------
    tau_map : str or TauMap
        The map.

    Raises
    ------
    InputError
        If there is no such map.

    Examples
    --------
    >>> from torch.nn.utils import parametrize
    >>> cell = nn.Module()
    >>> cell.timescales = nn.Parameter(torch.tensor([1.5, 20.0]))
    >>> _ = parametrize.register_parametrization(cell, "timescales", StableReparam("sigmoid"))
    >>> cell.timescales
    tensor([ 1.5000, 20.0000], grad_fn=<AddBackward0>)
    """

    def __init__(self, tau_map: str | TauMap = "sigmoid") -> None:
        super().__init__()
        self.tau_map = as_tau_map(tau_map)

    def forward(self, w: Tensor) -> Tensor:
        """Return τ."""
        return self.tau_map.tau(w)

    def right_inverse(self, tau: Tensor) -> Tensor:
        """Return w, where τ is given in its place."""
        return self.tau_map.raw(tau)


def as_tau_map(given: str | TauMap) -> TauMap:
    """Return a map itself, or the one of a name.

    Raises
    ------
    InputError
        If it is neither.

    Examples
    --------
    >>> as_tau_map("clamp").name
    'inverse'
    """
    if isinstance(given, TauMap):
        return given
    if not isinstance(given, str):
        raise InputError(f"tau_map is of type {type(given).__name__}: expected a name, such as 'sigmoid', or a TauMap")
    return TauMap(given)
