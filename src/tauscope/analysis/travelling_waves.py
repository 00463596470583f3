"""Whether memories travel: what one place of a substrate held a step ago, the next place holds now."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from tauscope.analysis.checked import real_array
from tauscope.errors import InputError

Array = NDArray[np.float64]


def project(coordinates: ArrayLike, states: ArrayLike) -> xr.DataArray:
    """Return the activity of a network in other coordinates.

    Parameters
    ----------
    coordinates : array [lag, component, unit]
        Such as ``coordinates`` of `tauscope.analysis.wave_basis.readout_basis`.
    states : array [time, trial, unit]
        Activity.

    Returns
    -------
    DataArray [time, trial, lag, component]
        The substrate of every step and trial.

    Examples
    --------
    >>> project(np.eye(2)[:, None], np.arange(4.0).reshape(2, 1, 2))[0, 0, :, 0].values
    array([0., 1.])
    """
    D, h = real_array("coordinates", coordinates), real_array("states", states)
    if D.ndim != 3 or h.ndim != 3 or D.shape[2] != h.shape[2]:
        raise InputError(
            f"coordinates have shape {D.shape}, states {h.shape}: expected [lag, component, unit], [time, trial, unit]"
        )
    values = np.tensordot(h, D, axes=(2, 2))
    return xr.DataArray(
        values, dims=("time", "trial", "lag", "component"), attrs={"long_name": "substrate", "units": "1"}
    )


def travelling_waves(coordinates: ArrayLike, states: ArrayLike, boundary: ArrayLike | None = None) -> xr.Dataset:
    """Measure how well each place of a substrate foretells its neighbour, and whether single units are such places.

    Parameters
    ----------
    coordinates : array [lag, component, unit]
        Of at least two lags, such as ``coordinates`` of `tauscope.analysis.wave_basis.readout_basis`.
    states : array [time, trial, unit]
        Activity without input, such as that of the steps that a history task asks.
    boundary : array [component, lag · component], optional
        F of the task.

    Returns
    -------
    Dataset [lag, component, unit]
        ``correlation [lag, component]``, that of place ``lag`` one step later with place ``lag + 1``, over trials and
        time, and its mean ``wave_correlation``; ``boundary_correlation``, that of the last place one step later with
        F · substrate, a mean over components (NaN without F); ``unit_correlation``, the largest magnitude of a
        correlation of one unit a step later with another unit; ``alignment [unit]``, the largest magnitude of a
        correlation of each unit with a place at the same step. What does not vary has the correlation 0.

    Raises
    ------
    InputError
        If the shapes do not fit each other, or there are fewer than two lags or steps.

    Notes
    -----
    Hidden waves are waves in some coordinates that are none in single units: a large ``wave_correlation`` beside a
    smaller ``unit_correlation``. An ``alignment`` near 1 is a unit that is itself a place: the basis of the units is then
    privileged, because a rotation of the activity would hide the wave again.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> stream = rng.standard_normal(1000)
    >>> line = np.stack([stream[j : 900 + j] for j in range(3)], axis=-1)[:, None]
    >>> result = travelling_waves(np.eye(3)[:, None], line)
    >>> float(result.wave_correlation.round(6)), float(result.unit_correlation.round(6))
    (1.0, 1.0)
    """
    substrate, h = project(coordinates, states).values, real_array("states", states)
    n_lags, dim = substrate.shape[2:]
    if n_lags < 2 or len(h) < 2:
        raise InputError(f"{n_lags} lags, {len(h)} steps: expected at least 2 of each, to see something travel")
    before, after = substrate[:-1].reshape(-1, n_lags, dim), substrate[1:].reshape(-1, n_lags, dim)
    travels = _correlation(after[:, :-1], before[:, 1:])
    enters = np.nan
    if boundary is not None:
        F = real_array("boundary", boundary)
        if F.shape != (dim, n_lags * dim):
            raise InputError(f"boundary has shape {F.shape}: expected {(dim, n_lags * dim)}")
        enters = _correlation(after[:, -1], before.reshape(-1, n_lags * dim) @ F.T).mean()
    values = {
        "correlation": (("lag", "component"), travels, "correlation of a place with the next one a step before"),
        "wave_correlation": ((), travels.mean(), "mean correlation of a place with the next one a step before"),
        "boundary_correlation": ((), enters, "correlation of the last place with what the boundary gives it"),
        "unit_correlation": ((), _best_pair(h), "largest correlation of a unit with another one a step before"),
        "alignment": ("unit", _alignment(h, substrate), "largest correlation of a unit with a place"),
    }
    return xr.Dataset(
        {name: (dims, array, {"long_name": meaning, "units": "1"}) for name, (dims, array, meaning) in values.items()},
        coords={"lag": np.arange(n_lags - 1), "component": np.arange(dim)},
    )


def _standardised(values: Array) -> Array:
    """Return values over their first dimension with mean 0 and length 1, or 0 where they do not vary."""
    centred = values - values.mean(axis=0)
    length = np.linalg.norm(centred, axis=0)
    # Of what does not vary, rounding leaves something that must not be blown up.
    still = length <= 1e-12 * np.sqrt(len(values)) * np.abs(values).max(axis=0, initial=0.0)
    return np.where(still, 0.0, centred / np.where(still, 1.0, length))


def _correlation(a: Array, b: Array) -> Array:
    return (_standardised(a) * _standardised(b)).sum(axis=0)


def _best_pair(h: Array) -> float:
    after, before = (_standardised(part.reshape(-1, h.shape[-1])) for part in (h[1:], h[:-1]))
    correlation = np.abs(after.T @ before)
    np.fill_diagonal(correlation, 0.0)
    return float(correlation.max())


def _alignment(h: Array, substrate: Array) -> Array:
    n = h.shape[0] * h.shape[1]
    units, places = _standardised(h.reshape(n, -1)), _standardised(substrate.reshape(n, -1))
    largest: Array = np.abs(units.T @ places).max(axis=1)
    return largest
