"""Estimation tasks: costs and scores from their definitions, ideal observers against every constant and noisy answer."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rounding import tolerance
from tauscope.tasks import POPULATION_TASKS, Batch
from tauscope.tasks.estimation import DelayedEstimation, DelayedSine, GatedDelayedEstimation, circular_error

NAMES = ["de1", "de2", "gde"]
SMALL = {"stim_steps": 2, "delay_steps": 2, "resp_steps": 6}


def small(name: str, **options: object) -> DelayedEstimation:
    task = POPULATION_TASKS[name](**(SMALL | options))  # type: ignore[arg-type]
    assert isinstance(task, DelayedEstimation)
    return task


def published_cost(difference: np.ndarray) -> np.ndarray:
    return np.mod(np.abs(difference), np.pi)


def said(task: DelayedEstimation, batch: Batch, answers: torch.Tensor) -> torch.Tensor:
    """Return outputs that give these answers ``[batch, output]`` at the scored step, and nonsense elsewhere."""
    outputs = torch.full(batch.targets.shape, 17.0, dtype=torch.float64)
    outputs[task.score_step, :, 0] = answers.double()
    return outputs


@settings(max_examples=200)
@given(difference=st.floats(-20, 20))
def test_the_circular_error_is_the_distance_to_the_nearest_multiple_of_pi(difference: float) -> None:
    found = float(circular_error(torch.tensor(difference, dtype=torch.float64)))
    assert found == pytest.approx(min(abs(difference - k * math.pi) for k in range(-8, 9)), abs=1e-12)


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_the_loss_is_the_published_error_over_the_response(
    name: str, reference: bool, generator: torch.Generator
) -> None:
    task = small(name, reference=reference)
    batch = task.sample(20, generator)
    outputs = 4 * torch.rand(batch.targets.shape, generator=generator)
    cost = published_cost((outputs - batch.targets).double().numpy())
    assert float(task.loss(outputs, batch)) == pytest.approx(cost.mean(), rel=1e-5)


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_the_score_is_the_published_formula_at_the_scored_step(
    name: str, reference: bool, generator: torch.Generator
) -> None:
    task = small(name, reference=reference, score_step=-3)
    batch = task.sample(50, generator)
    outputs = batch.targets + 0.3 * torch.randn(batch.targets.shape, generator=generator)
    s, opt, net = (one.double().numpy() for one in (batch.targets[0], batch.info["estimate"], outputs[-3]))
    s, net = s.squeeze(1), net.squeeze(1)
    cost = published_cost if reference else lambda e: np.abs(np.angle(np.exp(2j * e))) / 2
    expected = (cost(s - net).mean() - cost(s - opt).mean()) / cost(s - opt).mean()
    assert float(task.score(outputs, batch)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_ideal_observer_scores_0_and_none_of_its_neighbours_less(name: str, generator: torch.Generator) -> None:
    task = small(name)
    batch = task.sample(20_000, generator)
    ideal = batch.info["estimate"]
    assert float(task.score(said(task, batch, ideal), batch)) == pytest.approx(0, abs=1e-9)
    for shift in (-0.03, 0.03, math.pi / 2):
        assert float(task.score(said(task, batch, ideal + shift), batch)) > 0.01
    noise = 0.05 * torch.randn(ideal.shape, generator=generator)
    assert float(task.score(said(task, batch, ideal + noise), batch)) > 0.01
    # An orientation is the same after half a turn.
    assert float(task.score(said(task, batch, ideal - math.pi), batch)) == pytest.approx(0, abs=1e-6)


def test_by_the_published_cost_the_observer_can_be_beaten(generator: torch.Generator) -> None:
    task = small("de1", reference=True)
    batch = task.sample(20_000, generator)
    ideal = batch.info["estimate"]
    # An answer beyond π is near to both ends of the axis, because its error is wrapped where it exceeds π.
    near_0, near_pi = ideal < 0.1, ideal > math.pi - 0.1
    hedged = ideal + (math.pi + 0.3) * near_0 + 0.3 * near_pi
    assert float(task.score(said(task, batch, ideal), batch)) == pytest.approx(0, abs=1e-9)
    assert float(task.score(said(task, batch, hedged), batch)) < -0.05


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_chance_is_what_the_best_constant_scores(name: str, reference: bool, generator: torch.Generator) -> None:
    task = small(name, reference=reference)
    batch = task.sample(20_000, generator)
    constants = torch.linspace(0, math.pi, 9, dtype=torch.float64)
    scores = [float(task.score(said(task, batch, one.expand_as(batch.info["estimate"])), batch)) for one in constants]
    assert min(scores) == pytest.approx(task.chance(), rel=0.03)
    assert scores[4] == pytest.approx(min(scores), rel=0.03)


@pytest.mark.parametrize("name", NAMES)
def test_an_ideal_estimate_misses_by_what_its_posterior_says(name: str, generator: torch.Generator) -> None:
    # Given R, the error of the estimate is von Mises with concentration κ R about 0, at twice the angle.
    task = small(name)
    trials = task.trials(20_000, generator)
    counts = trials.shown.view(20_000, task.n_locations, task.n_in)
    concentration = 2.0 * task.tuning.resultant(counts)[0]
    mean_cosine = torch.special.i1e(concentration) / torch.special.i0e(concentration)
    if name == "gde":
        mean_cosine = mean_cosine.gather(1, trials.info["cued"][:, None])
    cosine = torch.cos(2 * (trials.info["estimate"] - trials.answers))
    assert float(cosine.mean() - mean_cosine.mean()) == pytest.approx(0, abs=0.005)


def test_the_cue_is_five_times_the_spontaneous_rate_at_the_location_that_is_asked(generator: torch.Generator) -> None:
    task = GatedDelayedEstimation()
    n = 3000
    trials = task.trials(n, generator)
    cued, counts = trials.info["cued"], trials.asked.view(n, 2, 50).sum(dim=-1)
    for location in (0, 1):
        here = cued == location
        assert 0.45 < float(here.float().mean()) < 0.55
        assert float(counts[here, location].mean()) == pytest.approx(25, rel=0.02)
        assert float(counts[here, 1 - location].mean()) == pytest.approx(5, rel=0.04)
        assert torch.equal(trials.answers[here, 0], trials.info["stimulus"][here, location])
        spikes = trials.shown.view(n, 2, 50)[here, location]
        # The estimates of all trials are another product than those of these alone, of sums over 50 neurons.
        difference = circular_error(trials.info["estimate"][here, 0] - task.tuning.estimate(spikes))
        assert float(difference.max()) < tolerance(torch.float64, length=50)
    mistaken = (counts.gather(1, cued[:, None]) <= counts.gather(1, 1 - cued[:, None])).sum()
    assert int(mistaken) <= 3


def test_a_sine_is_asked_after_a_noisy_delay(generator: torch.Generator) -> None:
    task = DelayedSine(delay_steps=(4, 30))
    batch = task.sample(400, generator)
    curve = np.sin(0.25 * np.linspace(0, np.pi, 25))
    expected = np.broadcast_to(curve[:, None, None, None], (25, 400, 1, 1))
    np.testing.assert_allclose(batch.targets.numpy(), expected, atol=1e-6)
    assert float(batch.inputs[:25].abs().sum() + batch.inputs[-25:].abs().sum()) == 0
    assert batch.hold is not None
    noise = batch.inputs[25:55][~batch.hold[25:55]]
    assert float(noise.mean()) == pytest.approx(0, abs=5e-4)
    assert float(noise.std()) == pytest.approx(0.1, rel=0.01)


def test_a_sine_is_scored_by_its_error_over_the_whole_response(generator: torch.Generator) -> None:
    task = DelayedSine()
    batch = task.sample(30, generator)
    outputs = torch.rand(batch.targets.shape, generator=generator)
    error = float((outputs - batch.targets).abs().mean())
    assert float(task.loss(outputs, batch)) == pytest.approx(error, rel=1e-5)
    assert float(task.score(outputs, batch)) == pytest.approx(error, rel=1e-5)
    assert float(task.score(batch.targets, batch)) == 0
    constants = [float(task.score(torch.full_like(outputs, c), batch)) for c in np.linspace(0, 0.71, 300)]
    assert min(constants) == pytest.approx(task.chance(), abs=1e-3)
