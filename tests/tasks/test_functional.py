"""Functions of white inputs: targets by brute force, norms by their closed form, losses with their weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import airy

from tauscope import InputError
from tauscope.learning.learners import BPTT
from tauscope.tasks import Filter, Functional
from tauscope.tasks.check import check_task
from tauscope.tasks.functional import RHOS, lag_weights, memory_kernel, time_weights


@settings(deadline=None, max_examples=30)
@given(rho=st.sampled_from(RHOS), n_steps=st.integers(1, 40), seed=st.integers(0, 2**31))
def test_targets_are_the_sums_written_out(rho: str, n_steps: int, seed: int) -> None:
    batch = Functional(rho, n_steps).sample(3, torch.Generator().manual_seed(seed))
    inputs, kernel = batch.inputs[..., 0].double().numpy(), memory_kernel(rho, n_steps).numpy()
    expected = [sum(kernel[s] * inputs[t - s] for s in range(t + 1)) for t in range(n_steps)]
    np.testing.assert_allclose(batch.targets[..., 0, 0].numpy(), expected, rtol=1e-4, atol=1e-5)


def test_memories_are_the_published_functions() -> None:
    t = np.arange(30.0)
    expected = {
        "exp": np.exp(-t),
        "pol": 1 / (1 + 0.1 * t) ** 1.1,
        "shift": ((t > 9) & (t < 11)).astype(float),
        "twoparts": np.exp(-t) + np.exp(-((t - 9.0) ** 2)),
        "airy": airy(t - 6.0)[0],
        "sin": np.sin(t),
    }
    assert set(expected) == set(RHOS)
    for rho, values in expected.items():
        np.testing.assert_allclose(memory_kernel(rho, 30).numpy(), values, rtol=1e-7, atol=1e-12)


def test_norms_are_known() -> None:
    assert float(lag_weights(100)[0]) == pytest.approx(1.790986, abs=5e-7)
    assert Functional("exp").power == pytest.approx(2.071307, abs=5e-7)
    assert Functional("pol").power == pytest.approx(14.785362, abs=5e-7)
    weights = time_weights(100)
    assert float(weights.sum()) == pytest.approx(100)
    np.testing.assert_allclose((weights / weights[-1]).numpy(), (np.arange(1, 101) / 100) ** 2)


def test_answering_0_scores_1_and_the_truth_0() -> None:
    task = Functional("pol")
    batch = task.sample(4000, torch.Generator().manual_seed(0))
    silence = torch.zeros_like(batch.targets)
    assert float(task.score(silence, batch)) == pytest.approx(1.0, abs=0.05)
    assert float(task.loss(silence, batch)) == pytest.approx(task.power, rel=0.05)
    assert float(task.score(batch.targets, batch)) == 0
    weighted = (time_weights(100)[:, None] * batch.targets[..., 0, 0]).square().mean()
    assert float(task.loss(silence, batch)) == pytest.approx(float(weighted))


def test_windows_of_a_trial_have_the_losses_of_their_steps() -> None:
    task = Functional("exp", 20)
    batch = task.sample(4, torch.Generator().manual_seed(0))
    parts = list(BPTT(window=5).parts(batch))
    losses = [task.loss(torch.zeros_like(part.targets), part) for part in parts]
    assert float(sum(losses) / 4) == pytest.approx(float(task.loss(torch.zeros_like(batch.targets), batch)))


@pytest.mark.parametrize("task", [Functional(), Filter(n_steps=20)])
def test_it_is_a_task_as_others_are(task: Functional | Filter) -> None:
    check_task(task)


def test_a_filter_answers_as_torchs_recurrent_network_of_its_weights_does() -> None:
    task = Filter(n_hidden=5, target_seed=3, n_steps=12)
    V, W, b, r, offset = task._weights
    with torch.random.fork_rng():
        rival = torch.nn.RNN(1, 5, dtype=torch.float64)
    with torch.no_grad():
        for kept, value in zip(rival.parameters(), (V.T, W.T, b, torch.zeros(5)), strict=True):
            kept.copy_(value)
        batch = task.sample(4, torch.Generator().manual_seed(0))
        expected = rival(batch.inputs.double())[0] @ r + offset
    torch.testing.assert_close(batch.targets[..., 0].double(), expected, rtol=1e-5, atol=1e-6)
    assert all(float(weight.abs().max()) <= 5**-0.5 for weight in (V, W, b, r, offset))


def test_the_mean_answer_to_a_filter_scores_1_and_its_memory_is_short() -> None:
    task = Filter()
    batch = task.sample(4000, torch.Generator().manual_seed(1))
    mean = batch.targets.mean(dim=1, keepdim=True).expand_as(batch.targets)
    assert float(task.score(mean, batch)) == pytest.approx(1.0, abs=0.05)
    moved = batch.inputs.double().clone()
    moved[0] += 1.0
    changes = (task.answers(moved) - task.answers(batch.inputs.double())).abs().mean(dim=(1, 2))
    assert float(changes[30]) < 1e-3 * float(changes[0])


def test_another_seed_is_another_filter_and_the_same_seed_the_same() -> None:
    inputs = torch.ones(9, 2, 1, dtype=torch.float64)
    assert torch.equal(Filter(n_steps=9).answers(inputs), Filter(n_steps=9).answers(inputs))
    assert not torch.allclose(Filter(n_steps=9).answers(inputs), Filter(target_seed=1, n_steps=9).answers(inputs))


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"rho": "poll"}, "rho 'poll' is unknown: .* did you mean 'pol'"),
        ({"n_steps": 0}, "number of steps is 0: expected at least 1"),
        ({"n_steps": 2.5}, "n_steps is of type float"),
        ({"rho": 3}, "rho is of type int: expected a text"),
        ({"n_hidden": 0}, "number of hidden units is 0: expected at least 1"),
        ({"target_seed": -1}, "target seed is -1: expected at least 0"),
        ({"n_hidden": 4, "n_steps": 0}, "number of steps is 0"),
        ({"n_steps": 10**20}, "number of steps is 100000000000000000000: expected at most 1000000"),
        ({"n_hidden": 10**9}, "number of hidden units is 1000000000: expected at most 10000"),
        ({"target_seed": 2**65}, "target seed is 36893488147419103232: expected at most 9223372036854775807"),
    ],
)
def test_bad_options_are_refused(options: dict[str, object], line: str) -> None:
    kind = Filter if {"n_hidden", "target_seed"} & set(options) else Functional
    with pytest.raises(InputError, match=line):
        kind(**options)  # type: ignore[arg-type]
