"""Networks that answer trials: systems whose timescales, dimensions and exponents are known in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor

import tauscope as ts
from problems import linear_model
from rounding import tolerance
from tauscope import InputError, Model
from tauscope.analysis.sequentiality import task_states
from tauscope.analysis.timescales import timescales, timescales_summary
from tauscope.analysis.trials import (
    trial_dimensionality,
    trial_gate_timescales,
    trial_lyapunov,
    trial_timescales,
)
from tauscope.errors import NotApplicableError
from tauscope.models import ReluRNN
from tauscope.models.wrapped import wrap
from tauscope.tasks import Comparison, TwoAlternativeChoice
from tauscope.tasks.delayed import DelayedResponseTask


@dataclass(frozen=True)
class WhiteNoise(DelayedResponseTask):
    """White noise at every step of a trial; in the stimulus as many times larger as asked."""

    louder: float = 1.0
    quieter: float = 1.0
    channels: ClassVar[int] = 4

    @property
    def n_inputs(self) -> int:  # type: ignore[override]
        return self.channels

    def chance(self, N: int) -> float:
        raise NotImplementedError

    def loss(self, outputs: Tensor, batch: ts.Batch) -> Tensor:
        raise NotImplementedError

    def excess(self, outputs: Tensor, batch: ts.Batch) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def _draw(self, batch_size: int, generator: torch.Generator) -> tuple[Tensor, Tensor, dict[str, Any]]:
        inputs = self.quieter * torch.randn(self.n_steps, batch_size, self.channels, generator=generator)
        inputs[: self.stim_steps] *= self.louder
        return inputs.double(), torch.zeros(batch_size, 1), {}


DECAYS = np.array([0.3, 0.6, 0.8, 0.9])
LONG = WhiteNoise(stim_steps=80, delay_steps=100, resp_steps=5)
VARIABLE = WhiteNoise(stim_steps=80, delay_steps=(10, 40, 100), resp_steps=5)


def independent() -> Model:
    """h_i ← λ_i h_i + x_i: under white noise, first-order autoregressions with ρ(k) = λ_i^k."""
    return linear_model(np.diag(DECAYS), np.eye(4))


def relu(**options: Any) -> ReluRNN:
    return ReluRNN(12, n_inputs=50, generator=torch.Generator().manual_seed(1), **options)


# --- timescales -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("task", "tolerance"), [(LONG, 0.05), (VARIABLE, 0.12)], ids=["one delay", "several"])
def test_independent_units_have_the_timescale_of_their_decay(task: WhiteNoise, tolerance: float) -> None:
    """The tolerance is three standard deviations of repeated measurements."""
    result = trial_timescales(independent(), task, n_trials=2000)
    assert result.n_exponentials.values.tolist() == [1] * 4
    np.testing.assert_allclose(result.tau_net, -1 / np.log(DECAYS), rtol=tolerance)
    deviation = np.abs(result.autocorrelation - DECAYS[:, None] ** np.arange(31))
    assert (deviation < 4 * result.standard_error).all()
    np.testing.assert_allclose(result.variance, 1 / (1 - DECAYS**2), rtol=0.06)
    assert not result.dead.any()


def test_coupled_units_have_the_timescale_of_the_slowest_mode() -> None:
    """Two modes of equal variance, each with its own input, and two units that show their sum and difference."""
    decays, modes = np.array([0.9, 0.2]), np.array([[1.0, 1.0], [1.0, -1.0]])
    V = np.pad(modes @ np.diag(np.sqrt(1 - decays**2)), ((0, 0), (0, 2)))
    result = trial_timescales(linear_model(modes @ np.diag(decays) @ np.linalg.inv(modes), V), LONG, n_trials=2000)
    assert result.n_exponentials.values.tolist() == [2, 2]
    np.testing.assert_allclose(result.tau_net, -1 / np.log(0.9), rtol=0.1)


def test_the_sampling_error_is_the_spread_of_repeated_measurements() -> None:
    model = independent()
    runs = [
        trial_timescales(model, VARIABLE, n_trials=60, generator=torch.Generator().manual_seed(i)) for i in range(60)
    ]
    spread = np.stack([one.autocorrelation for one in runs]).std(axis=0)
    expected = np.mean([np.square(one.standard_error) for one in runs], axis=0) ** 0.5
    np.testing.assert_allclose(np.sqrt(np.square(spread).mean(axis=1)), expected, rtol=0.15)


def brute_force(states: np.ndarray, counted: np.ndarray, max_lag: int) -> np.ndarray:
    """Autocorrelation ``[unit, lag]`` of ``states [time, trial, unit]``, pair by pair."""
    n_steps, n_trials = counted.shape
    covariance = np.zeros((states.shape[2], max_lag + 1))
    deviation = np.stack([states[t] - states[t][counted[t]].mean(axis=0) for t in range(n_steps)])
    for lag in range(max_lag + 1):
        pairs = [(t, i) for t in range(n_steps - lag) for i in range(n_trials) if counted[t, i] and counted[t + lag, i]]
        covariance[:, lag] = np.mean([deviation[t, i] * deviation[t + lag, i] for t, i in pairs], axis=0)
    return covariance / covariance[:, :1]


@pytest.mark.parametrize("delay", [12, (4, 8, 12)])
def test_the_autocorrelation_is_that_of_the_deviations_in_the_delay(delay: int | tuple[int, ...]) -> None:
    task = TwoAlternativeChoice(stim_steps=5, delay_steps=delay, resp_steps=6)
    model = relu(lambda_0=0.9, sigma_0=0.3)
    result = trial_timescales(model, task, n_trials=40)
    states, batch = task_states(model, task, 40, torch.Generator().manual_seed(0))
    held = np.zeros((23, 40), bool) if batch.hold is None else batch.hold.numpy()
    with np.errstate(invalid="ignore"):
        expected = brute_force(states[5:17].double().numpy(), ~held[5:17], 6)
    np.testing.assert_allclose(result.autocorrelation, expected, atol=1e-9)
    assert (result.attrs["fit_lags"], result.attrs["n_steps"]) == (6, 12)


def test_what_all_trials_have_in_common_is_no_fluctuation() -> None:
    """A clock that every trial runs through alike, beside an autoregression: a dead unit, and a known timescale."""
    model = linear_model(np.array([[1.0, 0.0], [0.0, 0.8]]), np.pad(np.eye(2)[1:], ((1, 0), (0, 2))))
    clock = wrap(lambda x, h: model.layers[0].step(x, (h,))[0] + torch.tensor([1.0, 0.0]), 4, 2,
                 initial=torch.zeros(2, dtype=torch.float64))  # fmt: skip
    result = trial_timescales(clock, LONG, n_trials=1000)
    assert result.dead.values.tolist() == [True, False]
    assert np.isnan(result.tau_net[0])
    assert result.n_exponentials[0] == 0
    assert float(result.tau_net[1]) == pytest.approx(-1 / np.log(0.8), rel=0.1)


def test_what_is_held_for_the_whole_delay_is_at_the_bound() -> None:
    task = WhiteNoise(stim_steps=20, delay_steps=60, resp_steps=5, louder=100.0, quieter=1e-3)
    result = trial_timescales(linear_model(np.diag([1.0, 0.5]), np.eye(2, 4)), task, n_trials=200, tau_max=70.0)
    assert result.at_bound.values.tolist() == [1, 0]
    assert float(result.tau_net[0]) == pytest.approx(70)


def test_silent_units_are_dead() -> None:
    model = relu(lambda_0=0.9)
    with torch.no_grad():
        model.layers[0].recurrent.bias[3] = -100
    result = trial_timescales(model, TwoAlternativeChoice(delay_steps=20), n_trials=30)
    assert bool(result.dead[3])
    assert not result.dead.all()
    np.testing.assert_array_equal(result.tau_net.isnull(), result.dead)


def test_a_result_has_the_variables_of_a_stationary_one_and_its_summary() -> None:
    model = ts.LeakyRNN(6, n_inputs=50, generator=torch.Generator().manual_seed(0))
    ours = trial_timescales(model, TwoAlternativeChoice(delay_steps=20), n_trials=30)
    theirs = timescales(ts.LeakyRNN(6, generator=torch.Generator().manual_seed(0)), n_trials=2, n_steps=500, max_lag=40)
    lacking = {"bias", "diverged", "p", "tau_net_resampled", "tau_net_std", "tau_net_low", "tau_net_high"}
    assert set(ours.variables) == set(theirs.variables) - lacking
    for name in ours.variables:
        assert ours[name].dims == theirs[name].dims
        assert ours[name].attrs.get("units") == theirs[name].attrs.get("units")
    np.testing.assert_allclose(ours.tau, model.tau.detach())
    assert float(timescales_summary(ours).n_units[0]) == 6


@pytest.mark.parametrize(
    ("delay", "options", "kind", "line"),
    [
        (7, {}, NotApplicableError, "a delay of 7 steps is too short to fit a timescale: expected at least 8"),
        (20, {"fit_lags": 3}, InputError, "fit_lags is 3"),
        (20, {"fit_lags": 20}, InputError, "fit_lags is 20: expected less than the 20 steps of the delay"),
        (20, {"n_trials": 1}, InputError, "number of trials is 1"),
    ],
)
def test_bad_options_are_named(delay: int, options: dict[str, int], kind: type[Exception], line: str) -> None:
    with pytest.raises(kind, match=line):
        trial_timescales(relu(), TwoAlternativeChoice(delay_steps=delay), **{"n_trials": 10} | options)


def test_exploding_networks_are_named() -> None:
    model = relu(lambda_0=30.0)
    for measure in (trial_timescales, trial_dimensionality):
        with pytest.raises(InputError, match="the activity is not finite"):
            measure(model, TwoAlternativeChoice(), n_trials=5)
    with pytest.raises(InputError, match="the network diverged"):
        trial_lyapunov(model, TwoAlternativeChoice(), 2, n_trials=5)


# --- dimensionality ---------------------------------------------------------------------------------------------------


def test_components_are_those_of_the_covariance_over_steps_and_trials() -> None:
    task = Comparison(stim_steps=5, delay_steps=(4, 12), resp_steps=6)
    model = relu(lambda_0=0.9, sigma_0=0.3)
    result = trial_dimensionality(model, task, n_trials=40, fraction=0.8)
    states, batch = task_states(model, task, 40, torch.Generator().manual_seed(0))
    assert batch.hold is not None
    samples = states.double().numpy()[~batch.hold.numpy()]
    assert len(samples) < 23 * 40
    expected = np.linalg.eigvalsh(np.cov(samples, rowvar=False))[::-1]
    atol = tolerance(torch.float32, length=len(samples)) * expected[0]
    np.testing.assert_allclose(result.variance[0], expected, rtol=1e-4, atol=atol)
    share = expected.cumsum() / expected.sum()
    assert result.n_components.item() == 1 + (share < 0.8).sum()
    assert result.participation_ratio.item() == pytest.approx(expected.sum() ** 2 / np.square(expected).sum(), rel=1e-4)


@pytest.mark.parametrize("rank", [1, 3])
def test_planted_rank_is_found(rank: int) -> None:
    """h = V x with independent x: covariance V Vᵀ, of the rank of V."""
    V = np.linalg.qr(np.random.default_rng(rank).normal(size=(20, rank)))[0]
    result = trial_dimensionality(linear_model(np.zeros((20, 20)), np.pad(V, ((0, 0), (0, 4 - rank)))), LONG)
    assert result.participation_ratio.item() == pytest.approx(rank, rel=0.02)
    assert (result.variance[0, rank:] < 1e-9).all()


def test_a_share_that_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match=r"fraction is 1\.5"):
        trial_dimensionality(relu(), LONG, fraction=1.5)


# --- Lyapunov exponents -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delay", [30, (5, 30)])
def test_linear_maps_have_the_logarithms_of_their_eigenvalues(delay: int | tuple[int, ...]) -> None:
    """Also where the state is held, which would pull the mean towards 0 if it counted."""
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0]
    W = rotation @ np.diag([1.1, 0.7, -0.4, 0.2]) @ rotation.T
    task = WhiteNoise(stim_steps=120, delay_steps=delay, resp_steps=5)
    result = trial_lyapunov(linear_model(W, np.eye(4)), task, 4, n_trials=6)
    expected = np.log([1.1, 0.7, 0.4, 0.2])
    np.testing.assert_allclose(result.exponents.values, np.tile(expected, (6, 1)), atol=1e-9)
    np.testing.assert_array_equal(result.trace[..., -1], result.exponents)
    assert result.step.values.tolist() == list(range(1, 31))


def test_exponents_of_a_rectified_network_are_those_of_its_masked_weights() -> None:
    """Σ λ = ⟨ln |det J|⟩ with J = W of a network in which every unit is active at all times."""
    model = relu(lambda_0=0.6, sigma_0=0.1).double()
    with torch.no_grad():
        model.layers[0].recurrent.bias.fill_(5)
    task = TwoAlternativeChoice(stim_steps=5, delay_steps=8, resp_steps=5)
    assert (task_states(model, task, 20)[0] > 0).all()
    result = trial_lyapunov(model, task, 12, n_trials=3)
    _, expected = np.linalg.slogdet(model.layers[0].recurrent_weights.detach().numpy())
    np.testing.assert_allclose(result.exponents.sum("exponent"), expected, rtol=1e-9)


def test_a_dead_direction_has_no_finite_exponent_however_it_is_rounded() -> None:
    model = relu(lambda_0=0.9).double()
    with torch.no_grad():
        model.layers[0].recurrent.bias[:10] = -100
        model.layers[0].recurrent.bias[10:] = 5
    result = trial_lyapunov(model, TwoAlternativeChoice(stim_steps=5, delay_steps=8, resp_steps=5), 4, n_trials=3)
    np.testing.assert_allclose(result.exponents[:, :2], np.log(0.9), atol=1e-6)
    assert (result.exponents[:, 2:] < -10).all()


# --- gates ------------------------------------------------------------------------------------------------------------


def test_leaky_units_keep_their_own_timescale_and_gates_theirs() -> None:
    task = TwoAlternativeChoice(stim_steps=5, delay_steps=(4, 20), resp_steps=6)
    leaky = ts.LeakyRNN(6, n_inputs=50, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(trial_gate_timescales(leaky, task), leaky.tau.detach(), rtol=1e-5)
    gated = relu(cell="relu_gru")
    batch = task.sample(100, torch.Generator().manual_seed(0))
    states, _ = gated(batch.inputs, hold=batch.hold)
    before = torch.cat([torch.zeros(1, 100, 12), states[:-1]])[5:25]
    cell = gated.layers[0]
    z = torch.sigmoid((cell.input(batch.inputs[5:25]) + cell.recurrent(before)).chunk(3, dim=-1)[1])
    expected = 1 / z[~batch.hold[5:25]].mean(dim=0)
    np.testing.assert_allclose(trial_gate_timescales(gated, task), expected.detach(), rtol=1e-4)
    with pytest.raises(InputError, match="do not say what a step keeps"):
        trial_gate_timescales(relu(), task)


# --- every task, on trials without a delay ----------------------------------------------------------------------------


def test_of_a_task_without_a_delay_whole_trials_are_looked_at() -> None:
    model, task = ts.LeakyRNN(8, generator=torch.Generator().manual_seed(0)), ts.Parity((2,), length=30)
    result: xr.Dataset = trial_timescales(model, task, n_trials=20)
    assert (result.attrs["n_steps"], result.attrs["fit_lags"], result.attrs["task"]) == (30, 15, "Parity")
    assert trial_lyapunov(model, task, 2, n_trials=3).step[-1] == 30
    assert trial_dimensionality(model, task, n_trials=20).attrs["n_steps"] == 30
