"""The fractional loss of networks whose answers are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from problems import Accumulator
from tauscope import Heads, InputError, Model, run
from tauscope.analysis.performance import performance, scores
from tauscope.measurements.numbers import performance_numbers
from tauscope.models import ReluRNN
from tauscope.runs.setups.navigation import Noisy
from tauscope.tasks import ChangeDetection, DelayedEstimation, PathIntegration, Tracking, TwoAlternativeChoice


class Counting(Model):
    """A network that sums the spikes of every channel and answers with the 2AFC observer's log-odds, times a factor."""

    def __init__(self, task: TwoAlternativeChoice, factor: float) -> None:
        n = task.n_inputs
        super().__init__([Accumulator(n, n)], Heads(n, ["out"], 1, True, torch.Generator().manual_seed(0)))
        self.task, self.factor = task, factor

    def readout(self, states: Tensor, N: object) -> Tensor:
        del N
        return self.factor * self.task.log_odds(states.unsqueeze(-2))[..., None]


# Without spontaneous spikes, the sum over a trial is that of the stimulus.
TASK = TwoAlternativeChoice(stim_steps=5, delay_steps=(3, 9), resp_steps=6, spontaneous=0.0)


def test_the_ideal_observer_loses_nothing_at_any_delay() -> None:
    """But for the limit on the probabilities that can be stated."""
    result = performance(Counting(TASK, 1.0), TASK, n_trials=1200)
    assert result.fractional_loss.item() == pytest.approx(0, abs=1e-5)
    np.testing.assert_allclose(result.loss_at_delay, 0, atol=1e-5)
    assert result.delay.values.tolist() == [3, 9]
    assert int(result.n_at_delay.sum()) == 1200
    assert result.chance == 1


def test_always_perhaps_is_chance() -> None:
    result = performance(Counting(TASK, 0.0), TASK, n_trials=600)
    assert result.fractional_loss.item() == pytest.approx(result.chance.item(), abs=1e-9)
    assert result.standard_error.item() == pytest.approx(0, abs=1e-9)


def test_the_loss_is_a_ratio_of_sums_over_all_trials() -> None:
    """As of all trials at once; in float64, of batches that are drawn one after the other from one generator."""
    model = ReluRNN(8, n_inputs=50, generator=torch.Generator().manual_seed(0), lambda_0=0.8)
    result = performance(model, TASK, n_trials=700, generator=torch.Generator().manual_seed(3))
    generator, parts = torch.Generator().manual_seed(3), []
    for n in (500, 200):
        batch = TASK.sample(n, generator)
        states, _ = model(batch.inputs, hold=batch.hold)
        parts.append(torch.stack([*TASK.excess(model.readout(states[-6:], (1,)), batch), batch.info["delay"]]))
    excess, scale, delay = torch.cat(parts, dim=1).detach().numpy()
    assert result.fractional_loss.item() == pytest.approx(excess.sum() / scale.sum())
    for one in (3, 9):
        expected = excess[delay == one].sum() / scale[delay == one].sum()
        assert result.loss_at_delay.sel(delay=one).item() == pytest.approx(expected)


def test_the_standard_error_is_the_spread_of_repeated_measurements() -> None:
    task = replace(TASK, delay_steps=3, gain=0.1)
    runs = [
        performance(Counting(task, 0.5), task, n_trials=300, generator=torch.Generator().manual_seed(i))
        for i in range(200)
    ]
    spread = np.std([one.fractional_loss.item() for one in runs])
    assert spread == pytest.approx(np.mean([one.standard_error.item() for one in runs]), rel=0.15)


@pytest.mark.parametrize("task", [ChangeDetection(delay_steps=5), DelayedEstimation(delay_steps=5)], ids=["cd", "de1"])
def test_an_untrained_network_is_near_chance_or_worse(task: ChangeDetection | DelayedEstimation) -> None:
    model = ReluRNN(8, n_inputs=50, generator=torch.Generator().manual_seed(0), lambda_0=0.1)
    result = performance(model, task, n_trials=500)
    assert result.chance == task.chance()
    assert result.fractional_loss > 0.9 * result.chance


def test_bad_input_is_named() -> None:
    model = ReluRNN(8, n_inputs=50, generator=torch.Generator().manual_seed(0), lambda_0=30.0)
    with pytest.raises(InputError, match="number of trials is 0"):
        performance(model, TASK, n_trials=0)
    with pytest.raises(InputError, match="an answer is not finite"):
        performance(model, DelayedEstimation(delay_steps=100), n_trials=10)


class Following(Model):
    """A network that sums its inputs, and answers with a constant in the place of signals."""

    def __init__(self, answer: float) -> None:
        super().__init__([Accumulator(2, 2)], Heads(2, ["out"], 2, True, torch.Generator().manual_seed(0)))
        self.answer = answer

    def readout(self, states: Tensor, N: object) -> Tensor:
        del N
        return torch.full_like(states, self.answer).unsqueeze(-2)


@pytest.mark.parametrize("off", [0.0, 0.5])
def test_a_constant_answer_scores_its_variance_and_bias(off: float) -> None:
    task = Tracking(n_signals=2, mean=1.0)
    generator = torch.Generator().manual_seed(3)
    result = scores(Following(1.0 + off), task, n_trials=2000, generator=generator).sel(head="out")
    # E (r - s)² / Var s = 1 + off² / Var s, and the standard error says how near.
    assert abs(float(result["score"]) - (1 + off**2 / task.std**2)) < 5 * float(result["standard_error"])
    assert 0 < float(result["standard_error"]) < 0.1
    assert (float(result["chance"]), float(result["optimum"])) == (1.0, 0.0)


def test_fewer_trials_than_tell_an_error_are_refused() -> None:
    with pytest.raises(InputError, match="number of trials is 99: expected at least 100"):
        scores(Following(1.0), Tracking(n_signals=2), n_trials=99)


@torch.no_grad()
def test_an_error_with_a_unit_is_the_root_of_its_ratio_with_the_error_of_repeats() -> None:
    task = PathIntegration(n_cells=16, n_steps=10)
    model = Noisy(num_neurons=8).build(task, task.heads, torch.Generator().manual_seed(0))
    found = [scores(model, task, n_trials=1000, generator=torch.Generator().manual_seed(seed)) for seed in range(30)]
    assert found[0]["score"].attrs["units"] == "m"
    several = np.array([float(result["score"][0]) for result in found])
    batch = task.sample(20_000, torch.Generator().manual_seed(99))
    outputs = run(model, batch, torch.Generator().manual_seed(98), heads=["out"]).outputs
    assert abs(several.mean() - float(task.score(outputs, batch))) < 5 * several.std() / np.sqrt(20)
    said = np.mean([float(result["standard_error"][0]) for result in found])
    assert 0.7 < said / several.std(ddof=1) < 1.4
    assert performance_numbers(found[0])["error (out, m)"] == several[0]
