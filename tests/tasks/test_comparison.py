"""Binary decisions: ideal observers against the likelihood summed over a grid of stimuli, scores from their formula."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tauscope.tasks import POPULATION_TASKS
from tauscope.tasks.comparison import (
    ChangeDetection,
    Comparison,
    DecisionTask,
    TwoAlternativeChoice,
    bernoulli_divergence,
)

NAMES = ["cd", "cd2", "2afc", "comp"]
SMALL = {"stim_steps": 2, "delay_steps": 2, "resp_steps": 6}


def small(name: str, **options: object) -> DecisionTask:
    task = POPULATION_TASKS[name](**(SMALL | options))  # type: ignore[arg-type]
    assert isinstance(task, DecisionTask)
    return task


def likelihoods(task: DecisionTask, counts: torch.Tensor, stimuli: np.ndarray) -> np.ndarray:
    """Return p(counts | stimulus), ``[trial, location, stimulus]``, up to what the stimulus does not change."""
    rates = task.gain * task.tuning.rates(torch.as_tensor(stimuli)).numpy()
    logs = np.array(
        [[[stats.poisson.logpmf(r, rate).sum() for rate in rates] for r in trial] for trial in counts.numpy()]
    )
    return np.exp(logs - logs.max(axis=-1, keepdims=True))


@pytest.mark.parametrize("gain", [1.0, 0.2])
@pytest.mark.parametrize("name", ["cd", "cd2"])
def test_the_odds_of_a_change_are_those_of_the_likelihood_on_a_grid(
    name: str, gain: float, generator: torch.Generator
) -> None:
    task, n = small(name, gain=gain), 20
    assert isinstance(task, ChangeDetection)
    trials = task.trials(n, generator)
    shown, asked = (one.view(n, task.n_locations, 50) for one in (trials.shown, trials.asked))
    grid = np.arange(180) * np.pi / 180
    first, second = likelihoods(task, shown, grid), likelihoods(task, asked, grid)
    same, changed = (first * second).mean(axis=-1), first.mean(axis=-1) * second.mean(axis=-1)
    # One location has changed, each with the same probability; the others have stayed.
    others = np.stack([np.delete(same, i, axis=1).prod(axis=1) for i in range(task.n_locations)], axis=1)
    odds = (changed * others).mean(axis=1) / same.prod(axis=1)
    np.testing.assert_allclose(trials.info["log_odds"].numpy(), np.log(odds), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(trials.info["probability"].numpy(), odds / (1 + odds), atol=1e-4)


@pytest.mark.parametrize("gain", [1.0, 0.1])
def test_the_odds_of_left_and_right_are_those_of_the_likelihood(gain: float, generator: torch.Generator) -> None:
    task = small("2afc", gain=gain)
    trials = task.trials(40, generator)
    likelihood = [
        stats.poisson.logpmf(trials.shown.numpy(), gain * np.exp(-0.5 * ((s - np.linspace(-40, 40, 50)) / 15) ** 2))
        for s in (-15, 15)
    ]
    expected = likelihood[1].sum(axis=1) - likelihood[0].sum(axis=1)
    np.testing.assert_allclose(trials.info["log_odds"].numpy(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("gain", [1.0, 0.2])
def test_the_odds_of_the_larger_are_those_of_the_likelihood_on_a_finer_grid(
    gain: float, generator: torch.Generator
) -> None:
    task, n = small("comp", gain=gain), 20
    trials = task.trials(n, generator)
    n_cells = 600
    grid = -40 + 80 / n_cells * (np.arange(n_cells) + 0.5)
    first, second = (likelihoods(task, one.view(n, 1, 50), grid)[:, 0] for one in (trials.shown, trials.asked))
    joint = first[:, :, None] * second[:, None, :]
    larger = np.tril(np.ones((n_cells, n_cells)), -1) + 0.5 * np.eye(n_cells)
    p = (joint * larger).sum(axis=(1, 2)) / joint.sum(axis=(1, 2))
    np.testing.assert_allclose(trials.info["probability"].numpy(), p, atol=2e-4)
    certain = np.minimum(p, 1 - p) < 1e-6
    log_odds = np.log(p[~certain]) - np.log1p(-p[~certain])
    np.testing.assert_allclose(trials.info["log_odds"].numpy()[~certain], log_odds, rtol=0.01, atol=2e-3)


@pytest.mark.parametrize("name", NAMES)
def test_probabilities_are_right_as_often_as_they_say(name: str, generator: torch.Generator) -> None:
    n = 20_000
    # At the published gain, left and right are hardly ever mistaken for each other.
    trials = small(name, gain=0.1 if name == "2afc" else 1.0).trials(n, generator)
    p, yes = trials.info["probability"].numpy(), trials.answers[:, 0].numpy()
    for low in np.linspace(0, 0.9, 10):
        here = (p >= low) & (p < low + 0.1)
        error = math.sqrt(0.25 / max(here.sum(), 1))
        assert yes[here].mean() == pytest.approx(p[here].mean(), abs=4 * error)


def test_changes_happen_in_half_of_the_trials_and_at_one_location(generator: torch.Generator) -> None:
    trials = small("cd2").trials(4000, generator)
    moved = trials.info["stimulus"][..., 0] != trials.info["stimulus"][..., 1]
    assert torch.equal(moved.any(dim=1), trials.answers[:, 0].bool())
    counts = [int((moved.sum(dim=1) == k).sum()) for k in range(3)]
    assert counts[2] == 0
    assert stats.binomtest(counts[1], 4000).pvalue > 1e-3
    assert stats.binomtest(int(moved[:, 0].sum()), counts[1]).pvalue > 1e-3
    anew = trials.info["stimulus"][..., 1][moved].numpy()
    assert stats.kstest(anew, "uniform", (0, np.pi)).pvalue > 1e-3


def test_stimuli_of_the_other_tasks(generator: torch.Generator) -> None:
    comp = small("comp").trials(4000, generator)
    stimulus = comp.info["stimulus"]
    assert stats.kstest(stimulus.flatten().numpy(), "uniform", (-40, 80)).pvalue > 1e-3
    assert torch.equal(comp.answers[:, 0].bool(), stimulus[:, 0] > stimulus[:, 1])
    choice = small("2afc").trials(4000, generator)
    assert torch.equal(choice.info["stimulus"], 30 * choice.answers[:, 0] - 15)
    assert stats.binomtest(int(choice.answers.sum()), 4000).pvalue > 1e-3


def published_change_odds(shown: np.ndarray, asked: np.ndarray) -> float:
    """Return the odds of the published observer for one trial of spikes ``[location, neuron]``, by sums over pairs."""
    phi, odds = np.linspace(0, np.pi, 50), []
    for one, other in zip(shown, asked, strict=True):
        kappa = [math.sqrt(sum(r[i] * r[j] * np.cos(phi[i] - phi[j]) for i in range(50) for j in range(50) if r[i] and r[j]))
                 for r in (one, other)]  # fmt: skip
        mu = [np.arctan2(r @ np.sin(2 * phi), r @ np.cos(2 * phi)) for r in (one, other)]
        both = np.sqrt(kappa[0] ** 2 + kappa[1] ** 2 + 2 * kappa[0] * kappa[1] * np.cos(mu[1] - mu[0]))
        odds.append(np.i0(kappa[0]) * np.i0(kappa[1]) / np.i0(both))
    return float(np.mean(odds))


@pytest.mark.parametrize("name", ["cd", "cd2"])
def test_the_published_observer_of_changes_is_there_and_worse(name: str, generator: torch.Generator) -> None:
    task, n = small(name, reference=True), 10
    assert isinstance(task, ChangeDetection)
    trials = task.trials(n, generator)
    shown, asked = (one.view(n, task.n_locations, 50).double().numpy() for one in (trials.shown, trials.asked))
    expected = [published_change_odds(*one) for one in zip(shown, asked, strict=True)]
    np.testing.assert_allclose(np.exp(trials.info["log_odds"].numpy()), expected, rtol=1e-5)

    # A network that knew what the right observer knows would lose less than nothing by the published measure.
    batch = task.sample(5000, generator)
    right = POPULATION_TASKS[name](**SMALL)  # type: ignore[arg-type]
    assert isinstance(right, ChangeDetection)
    counts = [one.sum(dim=0).view(5000, task.n_locations, 50) for one in (batch.inputs[:2], batch.inputs[-6:])]
    answers = batch.targets[0, :, 0, 0]
    losses = {}
    for label, log_odds in (("published", batch.info["log_odds"]), ("right", right.log_odds(*counts))):
        losses[label] = torch.nn.functional.binary_cross_entropy_with_logits(log_odds, answers.double())
    assert losses["right"] < losses["published"] - 0.02


def test_the_published_observer_of_the_larger_is_there_and_has_an_answer_without_spikes() -> None:
    task = Comparison(reference=True)
    generator = torch.Generator().manual_seed(1)
    trials = task.trials(30, generator)
    phi, r_1, r_2 = np.linspace(-50, 50, 50), trials.shown.numpy(), trials.asked.numpy()
    mu = [(r @ phi) / r.sum(axis=1) for r in (r_1, r_2)]
    spread = np.sqrt(100 / r_1.sum(axis=1) + 100 / r_2.sum(axis=1))
    expected = stats.norm.cdf(0.0, mu[1] - mu[0], spread)
    np.testing.assert_allclose(trials.info["probability"].numpy(), expected, rtol=1e-5, atol=1e-12)
    silence = torch.zeros(1, 1, 50)
    assert float(task.log_odds(silence, trials.asked[:1, None])) == 0
    assert abs(float(TwoAlternativeChoice().log_odds(silence))) == 0


def test_without_spikes_the_larger_is_told_from_the_silence() -> None:
    # Places near the ends are met with fewer spikes, on both sides alike; one silent epoch tells nothing of the order.
    silence = torch.zeros(1, 1, 50)
    assert float(Comparison().log_odds(silence, silence)) == pytest.approx(0, abs=1e-9)
    assert float(ChangeDetection().log_odds(silence, silence)) == 0


@given(p=st.floats(1e-12, 1 - 1e-12), q=st.floats(1e-6, 1 - 1e-6))
def test_the_divergence_of_two_probabilities(p: float, q: float) -> None:
    expected = p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
    odds = [torch.tensor(math.log(x) - math.log1p(-x), dtype=torch.float64) for x in (p, q)]
    assert float(bernoulli_divergence(*odds)) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_is_the_cross_entropy_of_clipped_probabilities(name: str, generator: torch.Generator) -> None:
    task = small(name)
    batch = task.sample(50, generator)
    outputs = (8 * torch.randn(batch.targets.shape, generator=generator, dtype=torch.float64)).requires_grad_()
    p, yes = 1 / (1 + np.exp(-outputs.detach().numpy())), batch.targets.numpy()
    clipped = np.clip(p, 1e-6, 1 - 1e-6)
    expected = -(yes * np.log(clipped) + (1 - yes) * np.log(1 - clipped)).mean()
    loss = task.loss(outputs, type(batch)(batch.inputs, batch.targets.double()))
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-9)
    (gradient,) = torch.autograd.grad(loss, outputs)
    beyond = (p < 1e-6) | (p > 1 - 1e-6)
    assert beyond.any()
    np.testing.assert_allclose(gradient.numpy(), np.where(beyond, 0, p - yes) / yes.size, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_the_ideal_observer_scores_0_and_no_answer_scores_1(name: str, generator: torch.Generator) -> None:
    task = small(name, gain=0.1 if name == "2afc" else 1.0)
    batch = task.sample(5000, generator)
    outputs = torch.full(batch.targets.shape, 3.0, dtype=torch.float64)
    outputs[-5, :, 0, 0] = batch.info["log_odds"]
    # Its probabilities beyond 1e-6 cannot be stated, which costs next to nothing.
    assert 0 <= float(task.score(outputs, batch)) < 2e-5
    for shift in (-0.2, 0.2):
        assert float(task.score(outputs + shift, batch)) > 2e-4
    silent = torch.zeros(batch.targets.shape)
    assert float(task.score(silent, batch)) == pytest.approx(1) == task.chance()


@pytest.mark.parametrize("name", NAMES)
def test_the_reference_score_is_the_published_formula(name: str, generator: torch.Generator) -> None:
    task = small(name, reference=True, score_step=-2)
    batch = task.sample(300, generator)
    outputs = 3 * torch.randn(batch.targets.shape, generator=generator)
    net = np.clip(1 / (1 + np.exp(-outputs[-2, :, 0, 0].double().numpy())), 1e-6, 1 - 1e-6)
    opt = batch.info["probability"].numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        lost = opt * np.log(opt / net) + (1 - opt) * np.log((1 - opt) / (1 - net))
        known = opt * np.log(2 * opt) + (1 - opt) * np.log(2 * (1 - opt))
    assert float(task.score(outputs, batch)) == pytest.approx(np.nanmean(lost) / np.nanmean(known), rel=1e-6)
    if name in ("2afc", "comp"):
        # Certain trials, which are those of the most information, are not a number there.
        assert np.isnan(lost).mean() > 0.1
