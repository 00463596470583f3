"""How decoded positions move: steps, turns, spread, and drift against the gradient of a density."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tauscope.analysis.density import N_BINS, Array, bins_of, rise
from tauscope.errors import InputError

LAGS = (1, 2, 5, 10, 20, 50, 100, 200)
"""Lags in steps of the mean squared displacement."""

_CELLS = 10
"""Bins of each coordinate in which the mean drift is taken."""
_VISITS = 30
"""Steps that must begin in a bin for its mean drift to count."""


def spread(positions: Array, periodic: bool = False) -> float:
    """Return the trace of the covariance of positions; of angles, of their unit vectors, 1 - R².

    Parameters
    ----------
    positions : array [sample, coordinate]
        Positions, or angles in radians.
    periodic : bool
        Whether they are angles.

    Examples
    --------
    >>> spread(np.array([[0.0, 1.0], [0.0, -1.0]])), round(spread(np.array([[0.0], [np.pi]]), True), 6)
    (1.0, 1.0)
    """
    points = np.concatenate([np.cos(positions), np.sin(positions)], axis=-1) if periodic else positions
    return float(points.var(axis=0).sum())


def steps_of(positions: Array, periodic: bool = False) -> Array:
    """Return the successive steps of positions ``[time, run, coordinate]``; of angles, the shorter way round."""
    steps = np.diff(positions, axis=0)
    return np.pi - (np.pi - steps) % (2 * np.pi) if periodic else steps


def motion(positions: Array, periodic: bool = False, lags: Sequence[int] = LAGS) -> dict[str, float | Array]:
    """Describe how positions move.

    Parameters
    ----------
    positions : array [time, run, coordinate]
        Positions, or angles in radians.
    periodic : bool
        Whether they are angles.
    lags : sequence of int
        Lags of the mean squared displacement.

    Returns
    -------
    dict
        ``step``, the mean length of a step; ``velocity``, the mean of its angle (not a number for positions); ``turning``, the
        mean cosine between successive steps that are not 0 (1 straight on, -1 back and forth); ``msd [lag]``, the mean squared
        displacement, of angles along the way that was gone; and ``exponent``, its logarithmic slope up to 50 steps, 1 for
        diffusion and 2 for a straight line.

    Examples
    --------
    >>> found = motion(np.arange(300.0)[:, None, None])
    >>> found["step"], found["turning"], round(found["exponent"], 6)
    (1.0, 1.0, 2.0)
    """
    if positions.ndim != 3 or len(positions) < 3:
        raise InputError(
            f"positions have shape {positions.shape}: expected [time, run, coordinate] of at least 3 steps"
        )
    steps = steps_of(positions, periodic)
    lengths = np.linalg.norm(steps, axis=-1)
    moves = (lengths[1:] > 0) & (lengths[:-1] > 0)
    cosines = (steps[1:] * steps[:-1]).sum(axis=-1)[moves] / (lengths[1:] * lengths[:-1])[moves]
    path = np.concatenate([positions[:1], positions[:1] + steps.cumsum(axis=0)])
    msd = np.array([_displacement(path, lag) for lag in lags])
    return {
        "step": float(lengths.mean()),
        "velocity": float(steps.mean()) if periodic else math.nan,
        "turning": float(cosines.mean()) if len(cosines) else math.nan,
        "exponent": _slope(np.asarray(lags, dtype=float), msd),
        "msd": msd,
    }


def _displacement(path: Array, lag: int) -> float:
    return float(np.square(path[lag:] - path[:-lag]).sum(axis=-1).mean()) if lag < len(path) else math.nan


def _slope(lags: Array, msd: Array) -> float:
    fitted = (lags <= 50) & np.isfinite(msd) & (msd > 0)
    return float(np.polyfit(np.log(lags[fitted]), np.log(msd[fitted]), 1)[0]) if fitted.sum() > 1 else math.nan


def drift_cosine(positions: Array, sample: Array, periodic: bool = False) -> float:
    """Return the cosine between the mean drift of positions and the gradient of the log density of a sample.

    Parameters
    ----------
    positions : array [time, run, coordinate]
        Positions, or angles in radians.
    sample : array [sample, coordinate]
        What the density is of.
    periodic : bool
        Whether positions are angles.

    Returns
    -------
    float
        Σ n d · g / √(Σ n d² Σ n g²) over bins with n steps of the mean d, g the gradient where these began; not a number where
        no bin has 30 steps, or nothing moves.

    Notes
    -----
    10 bins of each coordinate over the range of the sample, 36 of angles. The greedy optimum of the theory has
    Δr = σ² ∇ log p(r).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> path = np.zeros((200, 500, 2))
    >>> for before, after in zip(path[:-1], path[1:]):
    ...     after[:] = 0.95 * before + 0.3 * rng.standard_normal(before.shape)
    >>> drift_cosine(path[100:], path[-8:].reshape(-1, 2)) > 0.9
    True
    """
    n_coordinates = positions.shape[-1]
    steps = steps_of(positions, periodic).reshape(-1, n_coordinates)
    before = positions[:-1].reshape(-1, n_coordinates)
    inside = np.ones(len(before), dtype=bool)
    if periodic:
        bins, n_bins = bins_of(before[:, 0]), N_BINS
    else:
        low, high = sample.min(axis=0), sample.max(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            cells = np.floor(_CELLS * (before - low) / (high - low))
        inside = ((cells >= 0) & (cells < _CELLS)).all(axis=-1)
        n_bins = _CELLS**n_coordinates
        weights = _CELLS ** np.arange(n_coordinates)
        bins = (np.where(inside[:, None], cells, 0) @ weights).astype(np.intp)
    number = np.bincount(bins[inside], minlength=n_bins)
    kept = number >= _VISITS
    if not kept.any():
        return math.nan

    def mean(of: Array) -> Array:
        sums = [np.bincount(bins[inside], of[inside, i], minlength=n_bins) for i in range(n_coordinates)]
        return np.stack(sums, axis=-1)[kept] / number[kept, None]

    middles = ((np.flatnonzero(kept) + 0.5) / N_BINS * 2 * math.pi - math.pi)[:, None]
    at = middles if periodic else mean(before)
    drift, gradient, weight = mean(steps), rise(sample, at, periodic=periodic), number[kept, None]
    norm = math.sqrt((weight * drift**2).sum() * (weight * gradient**2).sum())
    return float((weight * drift * gradient).sum() / norm) if norm > 0 else math.nan
