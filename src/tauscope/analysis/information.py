"""How much a network tells of the signals that it is shown: information rates from coherence."""

from __future__ import annotations

import math

import numpy as np
import torch
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from tauscope.analysis.balance import mean_rates
from tauscope.analysis.checked import checked
from tauscope.errors import InputError
from tauscope.models.balanced import BalancedCell
from tauscope.models.model import Model
from tauscope.models.trace import generator_for, run
from tauscope.tasks.base import OUT
from tauscope.tasks.tracking import Tracking

Array = NDArray[np.float64]

SEGMENT = 256
"""Steps of the windows over which spectra are averaged."""

# Share of the variance of two Hann windows that overlap by half, which counts against the number of segments.
_OVERLAP = 1 / 36


def information_rate(signal: ArrayLike, response: ArrayLike, dt: float, *, segment: int = SEGMENT) -> xr.Dataset:
    """Measure the rate of information that a response carries about a signal, from their coherence.

    I = -∫ log2(1 - C(f)) df from 0 to the Nyquist frequency, with C(f) the squared coherence: what a linear channel with
    Gaussian signal and noise tells, and no more than what any channel tells of a Gaussian signal.

    Parameters
    ----------
    signal, response : array [time] or [time, trial]
        Both at the same steps; spectra are averaged over trials.
    dt : float
        Time step; its unit is the unit of time of the result.
    segment : int
        Steps of a window; a longer one resolves slower signals, and leaves fewer windows to average over.

    Returns
    -------
    Dataset [frequency]
        ``information_rate`` in bits per unit of time, the ``coherence [frequency]``, and ``bias``, the rate that would
        be found for a response independent of the signal, because coherence is estimated from a finite number of
        windows.

    Raises
    ------
    InputError
        If the two are not of one shape, finite, and at least two windows long.

    Notes
    -----
    Spectra are those of `scipy.signal.coherence`: Hann windows that overlap by half, each without its mean. Of n
    independent windows without any coherence, -ln(1 - C) has the mean 1 / (n - 1); windows that overlap by half count
    for 1 / (1 + 2/36) of their number (Welch, IEEE Trans. Audio Electroacoust. 15, 70, 1967). A coherence of 1 is counted
    as the largest number below 1, so that the rate of a response without noise stays finite.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=(2, 50_000))
    >>> result = information_rate(noise[0], noise[0] + noise[1], dt=1.0)
    >>> round(result.information_rate.item(), 1), round(result.bias.item(), 3)
    (0.5, 0.002)
    """
    # It imports all of scipy.stats, which takes half a second.
    import scipy.signal

    x, y = (_columns(series) for series in (signal, response))
    if x.shape != y.shape or not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InputError(f"signal {x.shape} and response {y.shape}: expected finite numbers of one shape [time, trial]")
    if not 2 <= segment <= len(x) // 2:
        raise InputError(f"a window of {segment} steps: expected 2 ... {len(x) // 2}, half the {len(x)} steps")
    options = {"fs": 1 / dt, "nperseg": segment, "axis": 0}
    frequency, cross = scipy.signal.csd(x, y, **options)
    powers = [scipy.signal.welch(series, **options)[1].mean(axis=1) for series in (x, y)]
    with np.errstate(invalid="ignore"):
        coherence = np.abs(cross.mean(axis=1)) ** 2 / (powers[0] * powers[1])
    # Where one does not vary at all, nothing is told.
    coherence = np.nan_to_num(coherence, nan=0.0).clip(max=1 - np.finfo(float).eps)
    rate = np.trapezoid(-np.log2(1 - coherence), frequency)
    n_windows = x.shape[1] * ((len(x) - segment) // (segment - segment // 2) + 1) / (1 + 2 * _OVERLAP)
    bias = frequency[-1] / ((n_windows - 1) * math.log(2))
    return xr.Dataset(
        {
            "information_rate": ((), rate, {"long_name": "information rate", "units": "bits per unit of time"}),
            "bias": ((), bias, {"long_name": "rate of an independent response", "units": "bits per unit of time"}),
            "coherence": ("frequency", coherence, {"long_name": "squared coherence", "units": "1"}),
        },
        coords={"frequency": ("frequency", frequency, {"long_name": "frequency", "units": "1 per unit of time"})},
        attrs={"dt": dt, "segment": segment, "n_steps": len(x), "n_trials": x.shape[1]},
    )


def linear_information_rate(std: ArrayLike, *, n_units: int, sigma: float, tau_signal: float, dt: float) -> Array:
    """Return the information rate of a linear balanced network about an Ornstein-Uhlenbeck signal, in bits per τ.

    Parameters
    ----------
    std : float or array
        Standard deviation s of the signal as every unit receives it; b times its contrast where the input grows with b.
    n_units : int
        N.
    sigma : float
        Strength σ of the private noise of a unit.
    tau_signal, dt : float
        Time constant of the signal and time step, in units of τ.

    Returns
    -------
    array
        Rates, of the shape of ``std``.

    Notes
    -----
    With J = -b/N and a slope of 1, the mean X of N units obeys X_t = X_{t-1} + dt (-(1 + b) X_{t-1} + h_t) + σ √(dt/N) ξ_t:
    it follows the common input h with the time constant τ / (1 + b), and private noise is averaged to the variance
    1/N. Signal and noise enter at one place and pass the same filter, so that it cancels from the coherence,
    C(f) = S(f) / (S(f) + σ²/N), S(f) = s² dt (1 - ρ²) / (1 - 2 ρ cos 2πf dt + ρ²), ρ = exp(-dt / tau_signal). Integrated up
    to 1 / 2dt, -log2(1 - C) gives log2((A + √(A² - 4ρ²)) / 2) / 2dt, A = 1 + ρ² + N s² dt (1 - ρ²) / σ², which for
    dt → 0 becomes (√(1 + 2 N s² tau_signal / σ²) - 1) / (2 tau_signal ln 2). What makes the rate grow is s: a network with
    tighter balance can take an input b times as strong at the same mean rate, and where the signal is well above the
    noise the rate is proportional to b. Rectification adds noise of its own, which the theory leaves out.

    Examples
    --------
    >>> linear_information_rate([0.2, 0.4], n_units=200, sigma=1.0, tau_signal=0.5, dt=0.05).round(2)
    array([2.87, 6.74])
    """
    rho = math.exp(-dt / tau_signal)
    drive = n_units * np.square(np.asarray(std, dtype=float)) * dt * (1 - rho**2) / sigma**2
    A = 1 + rho**2 + drive
    rates: Array = np.log2((A + np.sqrt(np.square(A) - 4 * rho**2)) / 2) / (2 * dt)
    return rates


@checked
@torch.no_grad()
def information(
    model: Model,
    task: Tracking,
    *,
    n_steps: int = 16_000,
    n_trials: int = 1,
    segment: int = SEGMENT,
    generator: torch.Generator | None = None,
) -> xr.Dataset:
    """Measure what the rates of a network and its outputs tell of the signals that it is shown.

    Parameters
    ----------
    model : Model
        A network with an input for every signal, run with its private noise where it has any; nothing of it is changed.
    task : Tracking
        The signals.
    n_steps, n_trials : int
        Length and number of the recordings.
    segment : int
        As of `information_rate`.
    generator : torch.Generator, optional
        Source of signals, initial states and noise; seeded with 0 if not given.

    Returns
    -------
    Dataset [signal, output, frequency]
        ``rate_information [signal]`` and ``rate_coherence [signal, frequency]`` of the population rate,
        ``output_information [signal, output]`` of what the head of the task says, all in bits per unit of time of the
        task, and their ``bias``.

    Raises
    ------
    InputError
        If the network has another number of inputs or another time step than the task, or is not finite.

    Examples
    --------
    >>> from tauscope.models import BalancedRNN
    >>> model = BalancedRNN(50, n_inputs=2, generator=torch.Generator().manual_seed(0))
    >>> information(model, Tracking(n_signals=2), n_steps=2000).output_information.shape
    (2, 2)
    """
    if model.n_inputs != task.n_signals:
        raise InputError(
            f"a network with {model.n_inputs} inputs: expected one for each of the {task.n_signals} signals"
        )
    for cell in model.layers:
        if isinstance(cell, BalancedCell) and cell.dt != task.dt:
            raise InputError(f"the network's dt is {cell.dt}, the task's {task.dt}: expected one time step for both")
    generator = generator_for(model, generator)
    seed = generator.initial_seed()
    signals = task.replace(n_steps=n_steps).sample(n_trials, generator).inputs
    states = noisy_states(model, signals, generator)
    rate, outputs = mean_rates(model, states), model.readout(states, OUT)
    responses = [output.double().cpu().numpy() for output in (rate, *outputs.unbind(-1))]
    told = [
        [information_rate(signal, response, task.dt, segment=segment) for response in responses]
        for signal in signals.double().cpu().unbind(-1)
    ]
    return _dataset(told).assign_attrs(n_steps=n_steps, n_trials=n_trials, segment=segment, seed=str(seed))


@torch.no_grad()
def noisy_states(model: Model, inputs: Tensor, generator: torch.Generator) -> Tensor:
    """Run a network with its private noise, where it has any.

    Parameters
    ----------
    model : Model
        The network.
    inputs : Tensor [time, trial, channel]
        What it is shown.
    generator : torch.Generator
        Source of initial states and noise.

    Returns
    -------
    Tensor [time, trial, unit]
        Finite states.

    Raises
    ------
    InputError
        If they do not stay finite.

    Examples
    --------
    >>> from tauscope.models import BalancedRNN
    >>> generator = torch.Generator().manual_seed(0)
    >>> noisy_states(BalancedRNN(8, generator=generator), torch.ones(5, 2, 1), generator).shape
    torch.Size([5, 2, 8])
    """
    states = run(model, inputs, generator).states
    if not states.sum().isfinite():
        raise InputError("the activity is not finite: expected a network that stays bounded on its input")
    return states


def _columns(values: ArrayLike) -> Array:
    """Return a recording as ``[time, trial]``."""
    array = np.asarray(values, dtype=float)
    return array[:, None] if array.ndim == 1 else array


def _dataset(told: list[list[xr.Dataset]]) -> xr.Dataset:
    """Gather what the population rate (first) and the outputs (others) tell of every signal."""
    bits = {"units": "bits per unit of time"}
    rates = np.array([[result.information_rate.item() for result in row] for row in told])
    first = told[0][0]
    return xr.Dataset(
        {
            "rate_information": ("signal", rates[:, 0], {"long_name": "information in the population rate", **bits}),
            "output_information": (
                ("signal", "output"),
                rates[:, 1:],
                {"long_name": "information in an output", **bits},
            ),
            "rate_coherence": (
                ("signal", "frequency"),
                np.stack([row[0].coherence.values for row in told]),
                {"long_name": "squared coherence of signal and population rate", "units": "1"},
            ),
            "bias": first["bias"],
        },
        coords={
            "signal": 1 + np.arange(len(rates)),
            "output": np.arange(1, rates.shape[1]),
            "frequency": first.frequency,
        },
    )
