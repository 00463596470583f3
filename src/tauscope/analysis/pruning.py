"""Networks with fewer synapses and units: removed at random, by magnitude, by activity, by noise, or by Lyapunov exponents."""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from tauscope._draws import require_generator, uniform
from tauscope.analysis.checked import checked
from tauscope.analysis.connectivity import recurrent_matrices
from tauscope.analysis.node_exponents import node_exponents
from tauscope.analysis.pruning_rules import (
    EPSILON,
    MARGIN,
    Array,
    Mask,
    betweenness,
    delocalise,
    drawn,
    lyapunov_matrix,
    noise_probabilities,
)
from tauscope.analysis.transforms import SilencedCell, ablate
from tauscope.errors import InputError, require_choice, require_count, require_instance, require_positive
from tauscope.models.cell import Cell
from tauscope.models.model import Model
from tauscope.models.trace import run

METHODS = ("random", "magnitude", "activity", "noise", "lyapunov")
"""Rules by which a network can be pruned."""

RESCALES = ("none", "probability", "radius")
"""What becomes of the weights that are left."""

STEPS = (1, 2, 3)
"""Steps of Lyapunov noise pruning: synapses by noise, units by betweenness, new synapses."""


@dataclass(frozen=True)
class LyapunovNoise:
    """Lyapunov noise pruning, with its options.

    Attributes
    ----------
    steps : tuple of int
        Which of its steps are taken, of 1, 2 and 3. Without step 1 or 2, synapses or units are removed at random.
    iterations : int
        In how many equal parts step 1 removes synapses; the Lyapunov matrix and the covariance are computed anew in between,
        from the same exponents.
    added : float
        Share of the removed synapses that step 3 brings back elsewhere.
    epsilon, margin : float
        As of `lyapunov_matrix` and `noise_covariance`.
    n_exponents : int, optional
        Exponents that are measured; by default all.
    node_exponents : array [unit], optional
        Exponents of the units, where they are known; by default they are measured under the inputs.

    Notes
    -----
    Chakraborty, Kang, Kumar & Mukhopadhyay, ICLR 2024: (1) noise-prune on the Lyapunov matrix, (2) mask the units of the lowest
    betweenness, (3) add synapses that delocalise eigenvectors. Counts come out exact because the last draw of step 1 is made among the
    units that step 2 left. A fourth step, which tunes timescales on a task, is left out: it would need the same for every other
    rule.

    Examples
    --------
    >>> LyapunovNoise(steps=(1, 2)).added
    0.05
    """

    steps: tuple[int, ...] = STEPS
    iterations: int = 1
    added: float = 0.05
    epsilon: float = EPSILON
    margin: float = MARGIN
    n_exponents: int | None = None
    node_exponents: ArrayLike | None = None

    def __post_init__(self) -> None:
        for step in self.steps:
            require_choice("step", step, STEPS)
        require_count("number of iterations", self.iterations)
        require_positive("epsilon", self.epsilon, finite=True)
        require_positive("margin", self.margin, finite=True)
        if not 0 <= self.added < 1:
            raise InputError(f"added is {self.added}: expected a share of the removed synapses in [0, 1), such as 0.05")


@dataclass(frozen=True)
class _Layer:
    """A layer before it is pruned.

    Attributes
    ----------
    weights : array [to, from]
        Strengths of its synapses.
    known : array [unit], optional
        Activity or exponents of its units.
    alive : array [unit] of bool
        Units that are not silent already.
    """

    weights: Array
    known: Array | None
    alive: Mask

    def counts(self, keep_synapses: float, keep_units: float) -> tuple[int, int]:
        """Return how many synapses and units are kept."""
        n_synapses = _count("keep_synapses", keep_synapses, int((self.weights != 0).sum()), 0)
        return n_synapses, _count("keep_units", keep_units, int(self.alive.sum()), 1)

    def highest(self, scores: Array, n: int) -> Mask:
        """Return the living units of the highest scores."""
        kept = np.zeros(len(scores), dtype=bool)
        kept[np.argsort(np.where(self.alive, scores, -np.inf), kind="stable")[::-1][:n]] = True
        return kept


class Pruned(NamedTuple):
    """What is left of a layer."""

    weights: Array
    """Strengths of its synapses, ``[to, from]``, before any rescaling; new synapses are among them."""
    probabilities: Array
    """With which each of them was kept; 1 where there was no chance."""
    units: Mask
    """True where a unit is left."""


@checked
@torch.no_grad()
def prune(
    model: Model,
    method: str | LyapunovNoise,
    keep_synapses: float = 0.5,
    keep_units: float = 1.0,
    rescale: str = "none",
    generator: torch.Generator | None = None,
    inputs: Tensor | None = None,
) -> Model:
    """Return a network with fewer recurrent synapses, and fewer units if that is asked.

    Parameters
    ----------
    model : Model
        Any network whose layers have recurrent weights that are known. A synapse is a recurrent weight that is not 0; in a gated
        layer, those of all gates between two units together.
    method : {"random", "magnitude", "activity", "noise", "lyapunov"} or LyapunovNoise
        ``"random"`` removes any; ``"magnitude"`` keeps the largest weights; ``"activity"`` removes the units of the lowest mean
        activity, and any synapses of the others; ``"noise"`` is noise-prune on the weights (`noise_probabilities`);
        ``"lyapunov"`` is `LyapunovNoise` with its default options. Units go at random where a rule does not say which.
    keep_synapses, keep_units : float or int
        Share of the synapses and units of every layer that are kept, in [0, 1] and (0, 1]; or, as a whole number above 1, how many
        of each layer. The number of synapses is exact for every method.
    rescale : {"none", "probability", "radius"}
        ``"probability"`` divides each kept weight by the probability with which it was kept, so that its mean is the old
        weight, and ``"radius"`` multiplies all of them so that the recurrent matrix (of gated layers each gate's) has its old
        spectral radius.
    generator : torch.Generator, optional
        Source of chance; seeded with 0 if not given. Units that are removed at random are the same ones for all methods.
    inputs : Tensor [time, trial, channel], optional
        What drives the network where activity or exponents are measured, as ``"activity"`` and ``"lyapunov"`` need it.

    Returns
    -------
    Model
        A network of its own. Removed synapses stay 0 when it is trained; removed units are silent
        (`tauscope.analysis.ablate`), and keep their places.

    Raises
    ------
    InputError
        If a layer has no recurrent weights that are known, an option is out of range, there are no inputs where they are needed, or
        fewer synapses than asked are left between the units that are kept.

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.LeakyRNN(8, n_heads=1, generator=torch.Generator().manual_seed(0))
    >>> pruned = ts.prune(model, "magnitude", keep_synapses=0.25)
    >>> int((pruned.layers[0].weights()["recurrent.weight"].value != 0).sum()), 8 * 7 // 4
    (14, 14)
    """
    if not isinstance(method, LyapunovNoise):
        require_instance("method", method, str, f"one of {', '.join(METHODS)}, or LyapunovNoise(...)")
        require_choice("method", method, METHODS)
    rule = LyapunovNoise() if method == "lyapunov" else method
    require_choice("rescale", rescale, RESCALES)
    if rescale == "probability" and rule == "magnitude":
        raise InputError("rescale 'probability' of method 'magnitude', which has none: expected 'radius' or 'none'")
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    require_generator(generator)
    drive = _drive(model, rule, inputs)
    twin = ablate(model, [])
    for cell, own in zip(twin.layers, drive, strict=True):
        assert isinstance(cell, SilencedCell)
        layer = _Layer(_strengths(cell), own, cell.mask.bool().cpu().numpy())
        counts = layer.counts(keep_synapses, keep_units)
        _put(cell, layer.weights, _pruned(layer, rule, counts, generator), rescale)
    return twin


def _drive(model: Model, rule: str | LyapunovNoise, inputs: Tensor | None) -> list[Array | None]:
    """Return what the rule needs to know of the units of each layer: their activity or their exponents."""
    if isinstance(rule, LyapunovNoise):
        if rule.node_exponents is not None:
            found = np.asarray(rule.node_exponents, dtype=np.float64)
        elif rule.steps in ((), (3,)):
            return [None for _ in model.layers]
        else:
            driven = _required(inputs, "lyapunov")
            measured = node_exponents(model, driven, n_exponents=rule.n_exponents)
            found = measured["node_exponents"].mean("trial").values
    elif rule == "activity":
        states = run(model, _required(inputs, rule), torch.Generator().manual_seed(0)).states
        parts = states.split([cell.n_units for cell in model.layers], dim=-1)
        rates = [cell.rates(part) for cell, part in zip(model.layers, parts, strict=True)]
        found = torch.cat([rate.abs().double().mean(dim=(0, 1)) for rate in rates]).cpu().numpy()
    else:
        return [None for _ in model.layers]
    if found.shape != (model.n_units,):
        raise InputError(f"node_exponents are of shape {found.shape}: expected {model.n_units} numbers, one a unit")
    return list(np.split(found, np.cumsum([cell.n_units for cell in model.layers])[:-1]))


def _required(inputs: Tensor | None, method: str) -> Tensor:
    if inputs is None:
        raise InputError(
            f"method {method!r} has no inputs: expected those that drive the network, [time, trial, channel]"
        )
    require_instance(
        "inputs", inputs, Tensor, "a tensor [time, trial, channel], such as task.sample(8, generator).inputs"
    )
    return inputs


def _strengths(cell: Cell) -> Array:
    """Return how strong each synapse is, ``[to, from]``: its weight, of several gates their norm with the sign of the candidate's."""
    blocks = {name: block.double().cpu().numpy() for name, block in recurrent_matrices(cell).items()}
    for name, block in blocks.items():
        if block.shape != (cell.n_units, cell.n_units) or not np.isfinite(block).all():
            raise InputError(
                f"{name} weights of {type(cell.intact).__name__} have shape {block.shape}: expected finite ones between all "
                f"{cell.n_units} units"
            )
    if len(blocks) == 1:
        return next(iter(blocks.values()))
    sign = np.sign(blocks.get("new", blocks.get("cell", next(iter(blocks.values())))))
    return np.where(sign == 0, 1.0, sign) * np.sqrt(sum(np.square(block) for block in blocks.values()))


def _count(name: str, keep: float, total: int, least: int) -> int:
    whole = isinstance(keep, numbers.Integral) and keep > 1
    if not (isinstance(keep, numbers.Real) and 0 <= float(keep) <= (total if whole else 1)) or (least and not keep):
        raise InputError(
            f"{name} is {keep}: expected a share of at most 1, or a whole number of at most the {total} of a layer"
        )
    return int(keep) if whole else max(round(float(keep) * total), least)


def _pruned(layer: _Layer, rule: str | LyapunovNoise, counts: tuple[int, int], generator: torch.Generator) -> Pruned:
    """Return what is left of a layer by a rule."""
    n_synapses, n_units = counts
    # Drawn first, so that chance removes the same units whatever the rule.
    rank = uniform((len(layer.weights),), generator).double().cpu().numpy()
    if isinstance(rule, LyapunovNoise):
        return _lyapunov(layer, rule, counts, rank, generator)
    units = layer.highest(rank if layer.known is None else layer.known, n_units)
    left = _between(layer.weights, units)
    _require_enough(left, n_synapses)
    if rule == "magnitude":
        strongest = np.argsort(np.abs(left), axis=None, kind="stable")[::-1][:n_synapses]
        kept = np.zeros_like(left, dtype=bool)
        kept.flat[strongest] = True
        return Pruned(np.where(kept, left, 0.0), np.ones_like(left), units)
    p = noise_probabilities(left, n_synapses) if rule == "noise" else _evenly(left, n_synapses)
    return Pruned(np.where(drawn(p, generator), left, 0.0), np.where(p > 0, p, 1.0), units)


def _lyapunov(
    layer: _Layer, rule: LyapunovNoise, counts: tuple[int, int], rank: Array, generator: torch.Generator
) -> Pruned:
    """Return what Lyapunov noise pruning leaves of a layer."""
    n_synapses, n_units = counts
    weights, total, alive = layer.weights, int((layer.weights != 0).sum()), int(layer.alive.sum())
    n_added = min(round(rule.added * (total - n_synapses)), n_synapses) if 3 in rule.steps else 0
    target, p, left, units = n_synapses - n_added, np.ones_like(weights), weights, layer.alive
    if n_units < alive:
        # So many that about the target is left between the units that stay.
        before = min(total, round(target * (alive / n_units) ** 2))
        if 1 in rule.steps and 2 in rule.steps:
            left, p = _by_noise(left, rule, layer.known, before, generator)
        score = betweenness(_matrix_of(left, rule, layer.known)) if 2 in rule.steps else rank
        # Units on no shortest path are alike: chance decides.
        units = layer.highest(score + 1e-9 * rank, n_units)
        if (_between(left, units) != 0).sum() < target:
            left, p = weights, np.ones_like(weights)
        left = _between(left, units)
    _require_enough(left, target)
    if 1 in rule.steps:
        left, last = _by_noise(left, rule, layer.known, target, generator)
        p = p * last
    else:
        last = _evenly(left, target)
        left, p = np.where(drawn(last, generator), left, 0.0), p * np.where(last > 0, last, 1.0)
    if n_added:
        places = np.ix_(units, units)
        left = left.copy()
        left[places] = delocalise(left[places], n_added, generator)
    return Pruned(left, p, units)


def _by_noise(
    weights: Array, rule: LyapunovNoise, known: Array | None, keep: int, generator: torch.Generator
) -> tuple[Array, Array]:
    """Return step 1: the weights that are kept, and the probabilities with which they were."""
    left, p = weights, np.ones_like(weights)
    for count in np.linspace((weights != 0).sum(), keep, rule.iterations + 1).round().astype(int)[1:]:
        own = noise_probabilities(_matrix_of(left, rule, known), int(count), rule.margin)
        left = np.where(drawn(own, generator), left, 0.0)
        p = p * np.where(own > 0, own, 1.0)
    return left, p


def _matrix_of(weights: Array, rule: LyapunovNoise, known: Array | None) -> Array:
    assert known is not None
    return lyapunov_matrix(weights, known, rule.epsilon)


def _evenly(weights: Array, keep: int) -> Array:
    """Return probabilities that are equal for all synapses."""
    return np.where(weights != 0, keep / max((weights != 0).sum(), 1), 0.0)


def _between(weights: Array, units: Mask) -> Array:
    return np.where(units[:, None] & units, weights, 0.0)


def _require_enough(left: Array, n_synapses: int) -> None:
    if (there := int((left != 0).sum())) < n_synapses:
        raise InputError(
            f"{n_synapses} synapses are to be kept, and {there} are left between the units that are kept: expected a smaller "
            "keep_synapses or a larger keep_units"
        )


def _put(cell: Cell, before: Array, after: Pruned, rescale: str) -> None:
    """Give a layer, which may be changed, the weights that are left, and silence the units that are not."""
    fresh = (after.weights != 0) & (before == 0)
    for weight in [weight for weight in cell.intact.weights().values() if weight.role == "recurrent"]:
        tensor, n_gates = weight.tensor.detach(), max(len(weight.gates), 1)
        kept, new = (torch.as_tensor(mask, device=tensor.device) for mask in (after.weights != 0, fresh))
        added = torch.as_tensor(after.weights / n_gates**0.5, device=tensor.device).to(tensor)
        scales = (torch.ones_like(tensor) * weight.scale).chunk(n_gates)
        p = torch.as_tensor(after.probabilities, device=tensor.device).to(tensor)
        blocks = []
        for block, value, scale in zip(
            tensor.chunk(n_gates), weight.value.detach().chunk(n_gates), scales, strict=True
        ):
            left = torch.where(kept & ~new, block, 0.0)
            if rescale == "probability":
                left = left / p
            if rescale == "radius":
                grown = torch.where(new, added, torch.where(kept, value, 0.0))
                left, added_by_gate = left * (factor := _ratio(value, grown)), added * factor
            else:
                added_by_gate = added
            blocks.append(torch.where(new, added_by_gate / scale, left))
        weight.put(torch.cat(blocks))
        weight.restrict(kept.repeat(n_gates, 1))
    assert isinstance(cell, SilencedCell)
    cell.mask.copy_(torch.as_tensor(after.units, device=cell.mask.device))


def _ratio(before: Tensor, after: Tensor) -> float:
    """Return the spectral radius of a matrix over that of another one; 1 where the other has none."""
    radii = [float(np.abs(np.linalg.eigvals(matrix.double().cpu().numpy())).max()) for matrix in (before, after)]
    return radii[0] / radii[1] if radii[1] else 1.0
