"""How a network that answers trials holds its memory; it starts anew in each, so that no long recording tells."""

from __future__ import annotations

import numpy as np
import scipy.fft
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from tauscope.analysis.checked import checked
from tauscope.analysis.dimensionality import StreamingCovariance, spectrum_summary
from tauscope.analysis.exponential_fits import TAU_MAX, fit_exponentials
from tauscope.analysis.lyapunov import exponents_along
from tauscope.analysis.sequentiality import task_states
from tauscope.analysis.timescales import fit_variables, with_units
from tauscope.errors import InputError, NotApplicableError, require_at_least
from tauscope.models.model import Model
from tauscope.models.trace import generator_for
from tauscope.tasks.base import Batch, Task
from tauscope.tasks.delayed import DelayedResponseTask

FIT_LAGS = 30
"""Largest lag that is fitted, in steps; half the delay where that is shorter."""

_FEWEST_LAGS = 4


@checked
@torch.no_grad()
def trial_timescales(
    model: Model,
    task: Task,
    *,
    n_trials: int = 300,
    fit_lags: int | None = None,
    tau_max: float = TAU_MAX,
    generator: torch.Generator | None = None,
) -> xr.Dataset:
    """Measure the timescale of every unit from how its activity in the delay differs from trial to trial.

    Parameters
    ----------
    model : Model
        The network; nothing of it is changed.
    task : Task
        Its trials are run. Of a task without a delay, whole trials are looked at. Held steps, of a shorter delay among
        variable ones, are left out, and with them every pair of steps that one of them belongs to: a unit that is held
        does not forget.
    n_trials : int
        Number of trials, at least 2.
    fit_lags : int, optional
        Largest lag of the autocorrelation, all of which is fitted, in steps; by default `FIT_LAGS`, or half the longest
        delay where that is shorter.
    tau_max : float
        Upper bound of the fitted timescales, in steps.
    generator : torch.Generator, optional
        Source of trials and initial states; seeded with 0 if not given.

    Returns
    -------
    Dataset [unit, lag]
        As `tauscope.analysis.timescales` gives it, without a bootstrap: ``tau``, ``tau_net`` and the fits,
        ``autocorrelation [unit, lag]``, ``mean``, ``variance``, ``standard_error`` and the flags ``at_bound`` and
        ``dead`` (the same activity in every trial). A unit that holds what it was shown for as long as the delay lasts
        has ``tau_net`` at its bound.

    Raises
    ------
    NotApplicableError
        If the delay is too short to fit anything.
    InputError
        If an option is out of range, or the activity is not finite.

    Notes
    -----
    With δ_i(t) the activity of trial i at step t less its mean over trials at that step,
    C(k) = ⟨δ_i(t) δ_i(t+k)⟩ over trials and all pairs of steps, and ρ(k) = C(k) / C(0), fitted as in
    `tauscope.analysis.timescales`; the sampling error is that of a ratio of sums over trials. What all trials have in
    common, such as a sequence in which the units take turns, is no part of δ. Source: Murray et al., Nature
    Neuroscience 17, 1661 (2014), who average the correlations of all pairs of steps instead of their covariances,
    which gives steps at which a unit is all but silent the weight of all others, and fit one exponential and a
    constant, for which a second exponential at its bound stands here.

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.models.ReluRNN(8, n_inputs=50, generator=torch.Generator().manual_seed(0), lambda_0=0.5)
    >>> result = trial_timescales(model, ts.tasks.TwoAlternativeChoice(delay_steps=20), n_trials=50)
    >>> dict(result.sizes)["lag"], result.tau_net.dims
    (11, ('unit',))
    """
    require_at_least("number of trials", n_trials, 2)
    states, batch, seed = _run(model, task, n_trials, generator)
    window, counted = _delay(task, batch)
    fit_lags = _fitted(fit_lags, len(counted))
    activity = states[window].double()
    weight = counted[..., None].to(activity)
    at_step = weight.sum(dim=1).clamp(min=1)
    mean = (activity * weight).sum(dim=1) / at_step
    numbers = _autocorrelation((activity - mean[:, None]) * weight, counted, fit_lags)
    dead = _is_dead(numbers["variance"], mean, at_step)
    rho, error = (np.where(dead[:, None], np.nan, numbers[name]) for name in ("rho", "error"))
    fits = fit_exponentials(rho, tau_max, np.sqrt(np.square(error).mean(axis=1)))
    tau = model.tau
    result = fit_variables(fits).assign(
        autocorrelation=(("unit", "lag"), rho),
        mean=("unit", ((mean * at_step).sum(dim=0) / at_step.sum()).cpu().numpy()),
        variance=("unit", numbers["variance"]),
        standard_error=("unit", np.sqrt(np.square(error).mean(axis=1))),
        dead=("unit", dead),
        tau=("unit", np.full(model.n_units, np.nan) if tau is None else tau.detach().double().cpu().numpy()),
    )
    result = with_units(result.assign_coords(lag=np.arange(fit_lags + 1), unit=np.arange(model.n_units)))
    result["dead"].attrs["long_name"] = "the same activity in every trial; not fitted"
    return result.assign_attrs(
        _attributes(task, seed), epoch=_epoch(task), units="steps", n_trials=n_trials, n_steps=len(counted), fit_lags=fit_lags,
        tau_max=tau_max,
    )  # fmt: skip


def _fitted(fit_lags: int | None, n_steps: int) -> int:
    """Return how many lags are fitted in a delay of so many steps."""
    if fit_lags is None:
        fit_lags = min(FIT_LAGS, n_steps // 2)
        if fit_lags < _FEWEST_LAGS:
            raise NotApplicableError(
                f"a delay of {n_steps} steps is too short to fit a timescale: expected at least {2 * _FEWEST_LAGS}"
            )
    require_at_least("fit_lags", fit_lags, _FEWEST_LAGS)
    if fit_lags >= n_steps:
        raise InputError(f"fit_lags is {fit_lags}: expected less than the {n_steps} steps of the delay")
    return fit_lags


def _autocorrelation(deviation: Tensor, counted: Tensor, max_lag: int) -> dict[str, NDArray[np.float64]]:
    """Return ``rho`` and its ``error``, ``[unit, lag]``, and the ``variance [unit]``, from what is 0 where not counted."""
    # Padded with zeros, so that no pair is formed around the end.
    n_fft = int(scipy.fft.next_fast_len(len(deviation) + max_lag, real=True))
    spectrum = torch.view_as_real(torch.fft.rfft(deviation, n_fft, dim=0)).square().sum(dim=-1)
    sums = torch.fft.irfft(spectrum, n_fft, dim=0)[: max_lag + 1]
    n_pairs = [int((counted[: len(counted) - lag] & counted[lag:]).sum()) for lag in range(max_lag + 1)]
    terms = (sums / sums.new_tensor(n_pairs)[:, None, None]).permute(1, 2, 0)
    covariance = terms.sum(dim=0)
    variance = covariance[:, :1]
    rho = covariance / variance
    error = (terms - rho * terms[..., :1]).square().sum(dim=0).sqrt() / variance
    return {"rho": rho.cpu().numpy(), "error": error.cpu().numpy(), "variance": variance[:, 0].cpu().numpy()}


def _is_dead(variance: NDArray[np.float64], mean: Tensor, at_step: Tensor) -> NDArray[np.bool_]:
    """Return which units differ between trials by no more than the rounding of float32."""
    smallest = torch.finfo(torch.float32)
    rounding = (8 * smallest.eps * mean).square() * at_step
    bound = (rounding.sum(dim=0) / at_step.sum()).clamp(min=smallest.tiny).cpu().numpy()
    return np.asarray(variance <= bound)


@checked
@torch.no_grad()
def trial_dimensionality(
    model: Model,
    task: Task,
    *,
    fraction: float = 0.9,
    n_trials: int = 300,
    generator: torch.Generator | None = None,
) -> xr.Dataset:
    """Measure the dimensionality of a network's activity over all steps of many trials.

    Parameters
    ----------
    model : Model
        The network; nothing of it is changed.
    task : Task
        Its trials are run; held steps are left out.
    fraction : float
        Share of the variance that the counted components hold, in (0, 1].
    n_trials : int
        Number of trials.
    generator : torch.Generator, optional
        Source of trials and initial states; seeded with 0 if not given.

    Returns
    -------
    Dataset [trial, component]
        As `tauscope.analysis.dimensionality` gives it, with one ``trial`` that stands for all of them: the covariance
        is that of the activity at all steps of all trials about its one mean.

    Raises
    ------
    InputError
        If an option is out of range, or the activity is not finite.

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.models.ReluRNN(8, n_inputs=50, generator=torch.Generator().manual_seed(0))
    >>> result = trial_dimensionality(model, ts.tasks.TwoAlternativeChoice(delay_steps=20), n_trials=50)
    >>> dict(result.sizes), 1 <= result.n_components.item() <= 8
    ({'trial': 1, 'component': 8}, True)
    """
    if not 0 < fraction <= 1:
        raise InputError(f"fraction is {fraction}: expected a share of the variance in (0, 1], such as 0.9")
    states, batch, seed = _run(model, task, n_trials, generator)
    free = states.flatten(0, 1) if batch.hold is None else states[~batch.hold]
    stream = StreamingCovariance()
    stream.update(free[:, None])
    variance = torch.linalg.eigvalsh(stream.result()).flip(-1).clamp(min=0).cpu().numpy()
    return spectrum_summary(variance, fraction).assign_attrs(
        _attributes(task, seed), units="activity^2", fraction=fraction, n_trials=n_trials, n_steps=len(states)
    )


@checked
@torch.no_grad()
def trial_lyapunov(
    model: Model, task: Task, n_exponents: int = 10, *, n_trials: int = 50, generator: torch.Generator | None = None
) -> xr.Dataset:
    """Measure the leading finite-time Lyapunov exponents of a network in the delay of its trials.

    Parameters
    ----------
    model : Model
        The network; its state is all tensors of all layers, see `tauscope.analysis.lyapunov`.
    task : Task
        Its trials drive the network. In the stimulus the tangent vectors turn into their directions, the delay is
        measured; of a task without a delay, the whole trial. Held steps do not count.
    n_exponents : int
        Number of exponents, at most the size of the state.
    n_trials : int
        Number of trials.
    generator : torch.Generator, optional
        Source of trials, initial states and tangent vectors; seeded with 0 if not given.

    Returns
    -------
    Dataset [trial, exponent, step]
        As `tauscope.analysis.lyapunov` gives it; ``step`` counts from the end of the stimulus. In a rectified network
        there are, up to rounding, no more finite exponents than the fewest units that were active together.

    Raises
    ------
    InputError
        If an option is out of range, or the state does not stay finite.

    Notes
    -----
    λ_i = 1/T Σ_t ``ln |R_t,ii|`` over the T steps of the delay, Q_t R_t = J_t Q_{t-1}: how fast states that differ by
    little at the end of the stimulus part or meet until the answer is asked.

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.models.ReluRNN(8, n_inputs=50, generator=torch.Generator().manual_seed(0), lambda_0=0.5)
    >>> result = trial_lyapunov(model, ts.tasks.TwoAlternativeChoice(delay_steps=20), 2, n_trials=3)
    >>> result.exponents.shape, result.step[-1].item(), bool((result.exponents < 0).all())
    ((3, 2), 20, True)
    """
    require_at_least("number of exponents", n_exponents, 1)
    require_at_least("number of trials", n_trials, 1)
    generator = generator_for(model, generator)
    batch = task.sample(n_trials, generator)
    window, counted = _delay(task, batch)
    state = model.initial_state(n_trials, generator, batch.start)
    result = exponents_along(
        model,
        state,
        batch.inputs[: window.stop],
        n_exponents,
        burn_in=window.start,
        n_steps=len(counted),
        generator=generator,
        hold=batch.hold,
        noise=model.draw_noise(window.stop, n_trials, generator),
    )
    return result.assign_attrs(_attributes(task, str(generator.initial_seed())), epoch=_epoch(task))


@checked
@torch.no_grad()
def trial_gate_timescales(
    model: Model, task: Task, *, n_trials: int = 100, generator: torch.Generator | None = None
) -> xr.DataArray:
    """Measure over how many steps each unit's own gate keeps its memory in the delay.

    Parameters
    ----------
    model : Model
        Any network whose cells say what a step keeps.
    task : Task
        Its trials are run; of one without a delay, whole trials are looked at. Held steps are left out.
    n_trials : int
        Number of trials.
    generator : torch.Generator, optional
        Source of trials and initial states; seeded with 0 if not given.

    Returns
    -------
    DataArray [unit]
        1 / (1 - ⟨f⟩) in steps, as `tauscope.analysis.gate_timescales` gives it.

    Raises
    ------
    InputError
        If a cell does not say what a step keeps.

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.LeakyRNN(2, n_inputs=50, tau=4.0, generator=torch.Generator().manual_seed(0))
    >>> trial_gate_timescales(model, ts.tasks.TwoAlternativeChoice(delay_steps=20), n_trials=3).round(3).values
    array([4., 4.])
    """
    generator = generator_for(model, generator)
    batch = task.sample(n_trials, generator)
    window, counted = _delay(task, batch)
    state = model.initial_state(n_trials, generator, batch.start)
    noise = model.draw_noise(window.stop, n_trials, generator)
    kept = torch.zeros(model.n_units, dtype=torch.float64, device=generator.device)
    for t, x in enumerate(batch.inputs[: window.stop].to(model.hidden(state))):
        share = model.retention(x, state)
        if share is None:
            raise InputError("this network's cells do not say what a step keeps: expected leaky, GRU or LSTM cells")
        if t >= window.start:
            kept += share.double()[counted[t - window.start]].sum(dim=0)
        # Where a trial is held nothing is counted any more, so that it need not be held here.
        state = model.step(x, state, None if noise is None else noise[t])
    timescale = 1 / (1 - kept / counted.sum())
    attributes = {"long_name": "gate timescale", "units": "steps", "n_trials": n_trials, "n_steps": len(counted)}
    return xr.DataArray(timescale.cpu().numpy(), dims="unit", name="gate_tau", attrs=attributes)


def _run(model: Model, task: Task, n_trials: int, generator: torch.Generator | None) -> tuple[Tensor, Batch, str]:
    """Return the finite activity ``[time, trial, unit]`` of fresh trials, the trials, and the seed."""
    generator = generator_for(model, generator)
    states, batch = task_states(model, task, n_trials, generator)
    if not states.isfinite().all():
        raise InputError("the activity is not finite: expected a network that stays bounded on its task")
    return states, batch, str(generator.initial_seed())


def _delay(task: Task, batch: Batch) -> tuple[slice, Tensor]:
    """Return the steps of the delay, of whole trials where a task has none, and which count, ``[time, trial]``."""
    window = slice(0, len(batch.inputs))
    if isinstance(task, DelayedResponseTask):
        window = slice(task.stim_steps, task.n_steps - task.resp_steps)
    held = torch.zeros(batch.inputs.shape[:2], dtype=torch.bool, device=batch.inputs.device)
    return window, ~(held if batch.hold is None else batch.hold)[window]


def _epoch(task: Task) -> str:
    """Return the name of what `_delay` gives."""
    return "delay" if isinstance(task, DelayedResponseTask) else "trial"


def _attributes(task: Task, seed: str) -> dict[str, str]:
    """Return what tells a result of trials from one of a long recording."""
    return {"task": type(task).__name__, "seed": seed}
