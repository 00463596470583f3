"""One or two decaying exponentials fitted to many autocorrelations at once.

Both models are written with λ = exp(-1/τ), so that lag k decays as λ^k: polynomials without a singularity at τ = 0.
For given λ the amplitudes follow in closed form (variable projection), which leaves a search over one or two numbers
per series. A grid over them finds the right valley, damped Newton steps for all series together its bottom.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tauscope.analysis.checked import real_array
from tauscope.errors import InputError, require_positive

Array = NDArray[np.float64]

TAU_MAX = 100.0
# Beyond these λ = exp(-1/τ) is 0 or 1 in double precision, or all but that.
_SHORTEST, _LONGEST = 0.01, 1e9
# A root-mean-square residual below the rounding of float32 activity is a perfect fit: no model can improve on it.
_PERFECT_MEAN_SQUARE = 1e-14
# The rounding of residual sums of order one: a step that promises less cannot be told from none.
_NO_GAIN = 1e-16
_MAX_ITERATIONS = 100
_CHUNK = 64


@dataclass(frozen=True)
class ExponentialFits:
    """Least-squares fits of one and of two exponentials; every array starts with the shape of the batch.

    Attributes
    ----------
    n_exponentials : int array [...]
        Number of exponentials with the smaller AIC; 0 where the series was not finite and nothing was fitted.
    tau : float array [...]
        Timescale of the chosen fit in lags, the slower one of two.
    at_bound : int array [...]
        1 where `tau` lies on its upper bound, -1 where it is 0, and 0 elsewhere.
    aic, rss : float array [..., 2]
        Akaike information criterion and residual sum of squares of the fits with one and with two exponentials.
    single_tau, single_amplitude : float array [...]
        The fit with one exponential.
    double_tau : float array [..., 2]
        Timescales of the fit with two exponentials, the slower first; NaN where the amplitude is zero.
    double_amplitude : float array [..., 2]
        Amplitude of each of the two; they are not negative and sum to at most 1.
    """

    n_exponentials: NDArray[np.int64]
    tau: Array
    at_bound: NDArray[np.int64]
    aic: Array
    rss: Array
    single_tau: Array
    single_amplitude: Array
    double_tau: Array
    double_amplitude: Array


def fit_exponentials(
    autocorrelation: NDArray[np.floating], tau_max: float = TAU_MAX, standard_error: NDArray[np.floating] | None = None
) -> ExponentialFits:
    """Fit one and two exponentials to each autocorrelation and choose between them by AIC.

    Parameters
    ----------
    autocorrelation : float array [..., lag]
        Autocorrelation at lags 0, 1, 2, ..., normalised to 1 at lag 0; at least five lags.
    tau_max : float
        Upper bound of every timescale, in lags.
    standard_error : float array [...], optional
        Sampling error of the autocorrelation. Where given, one exponential is kept as long as its root-mean-square
        residual is below twice this error: the AIC takes the errors of neighbouring lags as independent, which they
        are not, and would fit a second exponential to their common drift.

    Returns
    -------
    ExponentialFits
        Parameters, residuals and AIC of both fits, and the choice, for every series.

    Raises
    ------
    InputError
        If there are fewer than five lags or `tau_max` is not between 0.01 and 1e9 lags.

    Notes
    -----
    (a) A λ^k and (b) A [c λ_1^k + (1-c) λ_2^k], 0 ≤ A, c ≤ 1, 0 ≤ τ ≤ `tau_max`; AIC = 2K + n ln(RSS/n) with K = 2
    and 4 parameters and n lags (Zeraati et al., Nature Comput. Sci. 2, 193 (2022), use the same family). Variable
    projection: Golub & Pereyra, SIAM J. Numer. Anal. 10, 413 (1973).

    Examples
    --------
    >>> lags = np.arange(31)
    >>> fits = fit_exponentials(np.stack([np.exp(-lags / 5), 0.5 * np.exp(-lags / 2) + 0.5 * np.exp(-lags / 20)]))
    >>> fits.n_exponentials.tolist(), fits.tau.round(3).tolist()
    ([1, 2], [5.0, 20.0])
    """
    data = real_array("autocorrelation", autocorrelation)
    if data.ndim == 0 or data.shape[-1] < 5:
        raise InputError(f"autocorrelation has shape {data.shape}: expected [..., lag] with at least 5 lags")
    require_positive("tau_max", tau_max)
    if not _SHORTEST <= tau_max <= _LONGEST:
        valid = min(max(tau_max, _SHORTEST), _LONGEST)
        raise InputError(
            f"tau_max is {tau_max}: expected {_SHORTEST} to {_LONGEST:g} lags (nearest valid value: {valid:g})"
        )
    series = data.reshape(-1, data.shape[-1])
    finite = np.isfinite(series).all(-1)
    errors = np.zeros(len(series)) if standard_error is None else np.broadcast_to(standard_error, data.shape[:-1])
    solved = _fit_finite(series[finite], errors.reshape(-1)[finite], tau_max)
    return ExponentialFits(
        **{name: _spread(values, finite, data.shape[:-1]) for name, values in solved.items()}  # type: ignore[arg-type]
    )


def _spread(values: NDArray[Any], finite: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[Any]:
    """Put the values of the finite series back in their places."""
    empty = np.nan if values.dtype == np.float64 else 0
    full = np.full((finite.size, *values.shape[1:]), empty, dtype=values.dtype)
    full[finite] = values
    return full.reshape((*shape, *values.shape[1:]))


def _fit_finite(series: Array, errors: Array, tau_max: float) -> dict[str, NDArray[Any]]:
    decay_max = float(np.exp(-1 / tau_max))
    single, double = _grid_starts(series, decay_max)
    single, single_weights = _polish(series, single, decay_max)
    double, double_weights = _polish(series, double, decay_max)
    # A small second component next to a strong first one slips through the grid, but not through its optimum.
    other, other_weights = _polish(series, _added_component(series, single, decay_max), decay_max)
    better = (_rss(series, other, other_weights) < _rss(series, double, double_weights))[:, None]
    double, double_weights = np.where(better, other, double), np.where(better, other_weights, double_weights)
    double = np.where(double_weights > 0, double, np.nan)
    order = np.argsort(-double, axis=-1)
    double, double_weights = (np.take_along_axis(values, order, -1) for values in (double, double_weights))
    rss = np.stack([_rss(series, single, single_weights), _rss(series, double, double_weights)], -1)
    n_lags = series.shape[-1]
    aic = 2 * np.array([2, 4]) + n_lags * np.log(np.maximum(rss / n_lags, _PERFECT_MEAN_SQUARE))
    inadequate = rss[:, 0] > n_lags * (2 * errors) ** 2
    n_exponentials = 1 + ((aic[:, 1] < aic[:, 0]) & inadequate).astype(np.int64)
    chosen = np.where(n_exponentials == 1, single[:, 0], double[:, 0])
    return {
        "n_exponentials": n_exponentials,
        "tau": _timescale(chosen),
        "at_bound": (chosen >= decay_max).astype(np.int64) - (chosen <= 0),
        "aic": aic,
        "rss": rss,
        "single_tau": _timescale(single[:, 0]),
        "single_amplitude": single_weights[:, 0],
        "double_tau": _timescale(double),
        "double_amplitude": double_weights,
    }


def _timescale(decay: Array) -> Array:
    with np.errstate(divide="ignore"):
        return -1 / np.log(decay)


def _rss(series: Array, decay: Array, weights: Array) -> Array:
    powers = np.nan_to_num(decay)[..., None] ** np.arange(series.shape[-1])
    return np.square(series - np.einsum("sj,sjk->sk", weights, powers)).sum(-1)


def _grid(n_lags: int, decay_max: float) -> tuple[NDArray[Any], ...]:
    """Decays, their powers and, for each pair (slow, fast) of them, indices and inner products."""
    tau_max = -1 / np.log(decay_max)
    fastest = min(0.3, tau_max / 4)
    decays = np.exp(-1 / np.append(np.geomspace(tau_max, fastest, 40), fastest / 20))
    powers = decays[:, None] ** np.arange(n_lags)
    slow, fast = np.triu_indices(decays.size, 1)
    gram = powers @ powers.T
    return decays, powers, slow, fast, gram[slow, slow], gram[slow, fast], gram[fast, fast]


def _grid_starts(series: Array, decay_max: float) -> tuple[Array, Array]:
    decays, powers, slow, fast, g11, g12, g22 = _grid(series.shape[-1], decay_max)
    single, double = np.empty((len(series), 1)), np.empty((len(series), 2))
    for start in range(0, len(series), _CHUNK):
        part = slice(start, start + _CHUNK)
        overlap = series[part] @ powers.T
        norm = np.square(powers).sum(-1)
        amplitude = np.clip(overlap / norm, 0, 1)
        single[part, 0] = decays[np.argmax(amplitude * (2 * overlap - amplitude * norm), -1)]
        first, second = overlap[:, slow], overlap[:, fast]
        best = np.argmax(_pair_gain(first, second, g11, g12, g22), -1)
        double[part] = np.stack([decays[slow[best]], decays[fast[best]]], -1)
    return single, double


def _added_component(series: Array, single: Array, decay_max: float) -> Array:
    """The fitted single decay, and the decay of the grid that improves most on it as a second component."""
    decays, powers = _grid(series.shape[-1], decay_max)[:2]
    fitted = single ** np.arange(series.shape[-1])
    gain = _pair_gain(
        np.einsum("sk,sk->s", fitted, series)[:, None],
        series @ powers.T,
        np.square(fitted).sum(-1)[:, None],
        fitted @ powers.T,
        np.square(powers).sum(-1),
    )
    return np.stack([single[:, 0], decays[np.argmax(gain, -1)]], -1)


def _pair_gain(b1: Array, b2: Array, g11: Array, g12: Array, g22: Array) -> Array:
    """How much a pair lowers the residual sum; -inf where one of its amplitudes would be zero or the two coincide."""
    det = g11 * g22 - g12 * g12
    apart = det > 1e-12 * g11 * g22
    det = np.where(apart, det, 1)
    w1, w2 = (g22 * b1 - g12 * b2) / det, (g11 * b2 - g12 * b1) / det
    inside = w1 + w2 <= 1
    w1 = np.where(inside, w1, (b1 - b2 - g12 + g22) / np.where(apart, g11 - 2 * g12 + g22, 1))
    w2 = np.where(inside, w2, 1 - w1)
    gain = w1 * (2 * b1 - w1 * g11) + w2 * (2 * b2 - w2 * g22) - 2 * w1 * w2 * g12
    return np.where((w1 > 0) & (w2 > 0) & apart, gain, -np.inf)


@dataclass(frozen=True)
class _Point:
    """The objective at given decays: residual sum, best amplitudes, gradient and Hessian, per series."""

    rss: Array
    weights: Array
    gradient: Array
    hessian: Array
    scale: Array


def _polish(series: Array, start: Array, decay_max: float) -> tuple[Array, Array]:
    """Damped Newton iterations in the box 0 ≤ λ ≤ `decay_max`, on the series that still move."""
    decay, weights = np.clip(start, 0, decay_max), np.empty_like(start)
    moving = np.arange(len(series))
    damping = np.full(len(series), 1e-3)
    point = _evaluate(series, decay)
    weights[:] = point.weights
    for _ in range(_MAX_ITERATIONS):
        if not moving.size:
            break
        current = decay[moving]
        proposed = np.clip(current + _step(point, current, damping, decay_max), 0, decay_max)
        expected = np.abs(point.gradient * (proposed - current)).sum(-1)
        trial = _evaluate(series[moving], proposed)
        better = trial.rss <= point.rss
        point = _merge(better, trial, point)
        decay[moving] = np.where(better[:, None], proposed, current)
        weights[moving] = point.weights
        damping = np.where(better, damping / 10, damping * 10)
        still = (np.abs(proposed - current).max(-1) > 1e-10) & (expected > _NO_GAIN) & (damping < 1e10)
        moving, damping = moving[still], damping[still]
        point = _Point(*(getattr(point, field.name)[still] for field in fields(_Point)))
    return decay, weights


def _merge(better: NDArray[np.bool_], new: _Point, old: _Point) -> _Point:
    pairs = ((getattr(new, field.name), getattr(old, field.name)) for field in fields(_Point))
    return _Point(*(np.where(better.reshape(-1, *(1,) * (ours.ndim - 1)), ours, other) for ours, other in pairs))


def _step(point: _Point, decay: Array, damping: Array, decay_max: float) -> Array:
    """Damped Newton step with the curvature's absolute value, so that saddles repel (Dauphin et al., 2014)."""
    blocked = (decay <= 0) & (point.gradient <= 0) | (decay >= decay_max) & (point.gradient >= 0) | (point.scale <= 0)
    unit = np.where(blocked, 0.0, 1 / np.sqrt(np.where(blocked, 1.0, point.scale)))
    curvature, axes = np.linalg.eigh(unit[:, :, None] * point.hessian * unit[:, None, :])
    along = np.einsum("sij,si->sj", axes, unit * point.gradient) / (np.abs(curvature) + damping[:, None])
    return unit * np.einsum("sij,sj->si", axes, along)


def _evaluate(series: Array, decay: Array) -> _Point:
    n = decay.shape[-1]
    products = _inner_products(series, decay)
    gram, overlap, energy = products[:, :n, :n], products[:, :n, -1], products[:, -1, -1]
    weights, directions = _amplitudes(gram, overlap)
    rss = energy - 2 * (weights * overlap).sum(-1) + np.einsum("si,sij,sj->s", weights, gram, weights)
    # Σ_k φ^(m)_k r_k for the m-th derivatives of the basis, with the residual r = y - Σ w φ
    slope, bend = (
        products[:, m * n : (m + 1) * n, -1] - np.einsum("sij,sj->si", products[:, m * n : (m + 1) * n, :n], weights)
        for m in (1, 2)
    )
    # Joint Hessian in (decay, amplitude), from which the freely moving amplitudes are then eliminated.
    eye = np.eye(n)
    tangent = weights[:, :, None] * products[:, n : 2 * n, n : 2 * n] * weights[:, None, :]
    mixed = weights[:, :, None] * products[:, n : 2 * n, :n] - eye * slope[:, None]
    hessian = _eliminate(tangent - eye * (weights * bend)[:, None], mixed, gram, directions)
    return _Point(rss, weights, weights * slope, hessian, np.einsum("sii->si", tangent))


def _inner_products(series: Array, decay: Array) -> Array:
    """Gram matrix of [λ^k, its first and its second derivatives, the series]."""
    lags = np.arange(series.shape[-1])
    n = decay.shape[-1]
    rows = np.zeros((len(series), 3 * n + 1, lags.size))
    powers = rows[:, :n]
    powers[..., 0], powers[..., 1:] = 1, decay[..., None]
    np.cumprod(powers, axis=-1, out=powers)
    rows[:, n : 2 * n, 1:] = lags[1:] * powers[..., :-1]
    rows[:, 2 * n : 3 * n, 2:] = lags[2:] * lags[1:-1] * powers[..., :-2]
    rows[:, -1] = series
    return rows @ rows.transpose(0, 2, 1)


def _amplitudes(gram: Array, overlap: Array) -> tuple[Array, Array]:
    """Best amplitudes ≥ 0 with a sum ≤ 1, and the directions [series, direction, amplitude] they are free to move in."""
    if overlap.shape[-1] == 1:
        weights = np.clip(overlap / gram[:, 0], 0, 1)
        return weights, ((weights > 0) & (weights < 1)).astype(float)[:, None]
    b1, b2 = overlap.T
    g11, g12, g22 = gram[:, 0, 0], gram[:, 0, 1], gram[:, 1, 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        det = g11 * g22 - g12 * g12
        inside = np.stack([(g22 * b1 - g12 * b2) / det, (g11 * b2 - g12 * b1) / det], -1)
        feasible = (det > 1e-14 * g11 * g22) & (inside > 0).all(-1) & (inside.sum(-1) < 1)
        along = np.nan_to_num(np.clip((b1 - b2 - g12 + g22) / (g11 - 2 * g12 + g22), 0, 1), nan=0.5)
    zero = np.zeros_like(b1)
    sides = np.stack(
        [np.stack([np.clip(b1 / g11, 0, 1), zero], -1), np.stack([zero, np.clip(b2 / g22, 0, 1)], -1),
         np.stack([along, 1 - along], -1)], 1,
    )  # fmt: skip
    gain = 2 * np.einsum("sci,si->sc", sides, overlap) - np.einsum("sci,sij,scj->sc", sides, gram, sides)
    weights = np.take_along_axis(sides, np.argmax(gain, -1)[:, None, None], 1)[:, 0]
    weights = np.where(feasible[:, None], inside, weights)
    mixed = ((weights > 0).all(-1) & ~feasible)[:, None, None]
    free = (feasible[:, None] | (weights > 0) & (weights < 1)).astype(float)[:, None] * np.eye(2)
    return weights, np.where(mixed, np.array([[1.0, -1.0], [0.0, 0.0]]), free)


def _eliminate(tangent: Array, mixed: Array, gram: Array, directions: Array) -> Array:
    """Schur complement of the Hessian with respect to each free direction of the amplitudes in turn."""
    n = tangent.shape[-1]
    joint = np.concatenate(
        [np.concatenate([tangent, mixed], -1), np.concatenate([mixed.transpose(0, 2, 1), gram], -1)], 1
    )
    for direction in directions.transpose(1, 0, 2):
        column = np.einsum("sij,sj->si", joint[:, :, n:], direction)
        pivot = np.einsum("si,si->s", column[:, n:], direction)
        usable = pivot > 1e-14
        inverse = np.where(usable, 1 / np.where(usable, pivot, 1), 0)
        joint = joint - inverse[:, None, None] * column[:, :, None] * column[:, None, :]
    return joint[:, :n, :n]
