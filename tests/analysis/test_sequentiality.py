"""The sequentiality index against loops, the values of planted sequences, and its published pitfalls."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tauscope import InputError, LeakyRNN, Parity
from tauscope.analysis.sequentiality import (
    peak_order,
    sequentiality,
    sequentiality_index,
    task_states,
    weights_by_peak_difference,
)
from tauscope.models import ReluRNN
from tauscope.tasks import POPULATION_TASKS

T, N = 150, 500


def index(activity: np.ndarray, mode: str = "reference") -> dict[str, float]:
    """Return the index of one trial ``[time, unit]`` and its parts."""
    result = sequentiality_index(activity[:, None], mode=mode)
    return {str(name): float(result[name][0]) for name in result}


def by_loops(activity: np.ndarray, mode: str) -> float:
    """Return the index of one trial ``[time, unit]``, unit by unit and bin by bin."""
    n_steps = len(activity)
    units = [u for u in range(activity.shape[1]) if activity[:, u].mean() > 0.1]
    peaks = [max(range(n_steps), key=lambda t, u=u: activity[t, u]) for u in units]
    low, high = (min(peaks), max(peaks)) if mode == "reference" else (0, n_steps)
    if low == high:
        low, high = low - 0.5, high + 0.5
    counts = [0.1] * 20
    for p in peaks:
        counts[min(int((p - low) / (high - low) * 20), 19)] += 1
    total = sum(counts)
    entropy = -sum(c / total * math.log(c / total) for c in counts)
    ratios = []
    for u, p in zip(units, peaks, strict=True):
        if mode == "reference":
            window = range(min(max(p - 2, 0), n_steps - 1), min(max(p + 2, 0), n_steps - 1))
        else:
            window = range(max(p - 2, 0), min(p + 2, n_steps - 1) + 1)
        ridge = np.mean([activity[t, u] for t in window])
        background = np.mean([activity[t, u] for t in range(n_steps) if t not in window])
        ratios.append(math.log(ridge) - math.log(background))
    return entropy + float(np.mean(ratios))


def bumps(n_steps: int = T, n_units: int = N, sd: float = 5.0) -> np.ndarray:
    """Return a sequence of Gaussian bumps over a background of 1 % of their height, ``[time, unit]``."""
    centres = np.linspace(0, n_steps - 1, n_units)
    return 10 * np.exp(-0.5 * ((np.arange(n_steps)[:, None] - centres) / sd) ** 2) + 0.1


def steady(noise: float) -> np.ndarray:
    return 1 + noise * np.random.default_rng(0).standard_normal((T, N))


@pytest.mark.parametrize(
    ("activity", "expected", "tolerance"),
    [
        (steady(0.0), 0.036, 5e-4),
        (bumps(), 5.67, 0.01),
        (np.linspace(0.085, 1, T)[:, None] * np.ones(N), 0.65, 0.005),
        (steady(0.01), 2.99, 0.01),
    ],
    ids=["constant", "Gaussian sequence", "ramps", "constant with noise"],
)
def test_the_published_index_of_synthetic_activity(activity: np.ndarray, expected: float, tolerance: float) -> None:
    assert index(activity)["sequentiality"] == pytest.approx(expected, abs=tolerance)


def test_a_sequence_stands_above_its_shuffled_control_and_persistence_does_not() -> None:
    sequence, noise, constant = (index(one, "robust") for one in (bumps(), steady(0.01), steady(0.0)))
    assert sequence["sequentiality"] > sequence["baseline"] + 1
    # Noise alone scores almost 3: only the control tells.
    assert noise["sequentiality"] == pytest.approx(2.98, abs=0.02)
    assert noise["baseline"] == pytest.approx(noise["sequentiality"], abs=0.02)
    assert constant["baseline"] == constant["sequentiality"] == pytest.approx(0.036, abs=5e-4)
    ramps = index(np.linspace(0.1, 1, T)[:, None] * np.ones(N), "robust")
    assert ramps["sequentiality"] < ramps["baseline"] - 2


@settings(deadline=None, max_examples=60)
@given(n_steps=st.integers(7, 40), n_units=st.integers(1, 12), seed=st.integers(0, 2**31), n_trials=st.integers(1, 3))
@pytest.mark.parametrize("mode", ["reference", "robust"])
def test_the_index_is_that_of_loops_over_units_and_bins(
    mode: str, n_steps: int, n_units: int, seed: int, n_trials: int
) -> None:
    rng = np.random.default_rng(seed)
    states = rng.gamma(0.5, size=(n_steps, n_trials, n_units)) + 0.01
    # At least one unit is active in every trial.
    states[:, :, 0] += 0.2
    result = sequentiality_index(states, mode=mode)
    expected = [by_loops(states[:, trial], mode) for trial in range(n_trials)]
    np.testing.assert_allclose(result.sequentiality, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(result.entropy + result.ridge_to_background, result.sequentiality)
    active = (states.mean(axis=0) > 0.1).sum(axis=1)
    assert result.n_units.values.tolist() == active.tolist()


def test_a_sequence_computed_by_hand() -> None:
    # Three units with peaks of 5 at steps 3, 10 and 17 of 20 over a background of 1; one silent unit is not counted.
    activity = np.ones((20, 4))
    activity[[3, 10, 17], [0, 1, 2]] = 5
    activity[:, 3] = 0.01
    q = np.array([1.1 / 5] * 3 + [0.1 / 5] * 17)
    entropy = -(q * np.log(q)).sum()
    # Four steps of the ridge hold the peak in the published window, five in the symmetric one.
    published, robust = index(activity), index(activity, "robust")
    assert published["sequentiality"] == pytest.approx(math.log(8 / 4) + entropy)
    assert robust["sequentiality"] == pytest.approx(math.log(9 / 5) + entropy)
    assert published["n_units"] == robust["n_units"] == 3


def test_peaks_within_a_few_steps_are_spread_out_by_the_published_histogram_alone() -> None:
    activity = np.ones((T, N))
    activity[70 + np.arange(N) % 5, np.arange(N)] = 2
    q = np.array([100.1] * 5 + [0.1] * 15) / 502
    assert index(activity)["entropy"] == pytest.approx(-(q * np.log(q)).sum())
    assert index(activity)["entropy"] > 1.58
    assert index(activity, "robust")["entropy"] == pytest.approx(0.036, abs=5e-4)


def test_a_peak_at_the_last_step_is_lost_by_the_published_window_alone() -> None:
    activity = np.zeros((20, 2))
    activity[:, 0] = 1
    activity[-1] = 30
    published, robust = index(activity), index(activity, "robust")
    assert published["sequentiality"] == -math.inf
    assert robust["ridge_to_background"] == pytest.approx(math.log(32 / 3))
    assert robust["n_left_out"] == 1


def test_a_unit_without_background_is_infinite_or_left_out() -> None:
    activity = np.ones((50, 3))
    activity[:, 1] = 0
    activity[20:22, 1] = 10
    assert index(activity)["sequentiality"] == math.inf
    robust = index(activity, "robust")
    assert robust["ridge_to_background"] == 0
    assert (robust["n_units"], robust["n_left_out"]) == (3, 1)


def test_infinities_of_both_signs_have_no_mean_in_the_published_mode() -> None:
    activity = np.zeros((30, 2))
    activity[5:7, 0] = activity[-1, 1] = 10
    activity[0, 1] = 1
    assert math.isnan(index(activity)["sequentiality"])


@pytest.mark.parametrize("mode", ["reference", "robust"])
def test_without_active_units_there_is_no_index(mode: str) -> None:
    found = index(np.full((30, 4), 0.09), mode)
    assert math.isnan(found["sequentiality"])
    assert found["n_units"] == found["n_left_out"] == 0


def test_the_control_keeps_what_each_unit_does_and_only_moves_it_in_time() -> None:
    activity = np.random.default_rng(1).gamma(0.3, size=(60, 40)) + 0.2
    result = sequentiality_index(activity[:, None], generator=torch.Generator().manual_seed(5))
    order = torch.rand(60, 40, generator=torch.Generator().manual_seed(5)).argsort(dim=0).numpy()
    assert np.array_equal(np.sort(order, axis=0), np.tile(np.arange(60)[:, None], 40))
    shuffled = np.take_along_axis(activity, order, axis=0)
    assert float(result.baseline[0]) == pytest.approx(by_loops(shuffled, "robust"))
    assert float(result.sequentiality[0]) == pytest.approx(by_loops(activity, "robust"))


def test_trials_are_measured_one_by_one() -> None:
    activity = np.random.default_rng(2).gamma(0.3, size=(40, 6, 10)) + 0.1
    whole = sequentiality_index(torch.from_numpy(activity))
    parts = [index(activity[:, trial], "robust")["sequentiality"] for trial in range(6)]
    np.testing.assert_allclose(whole.sequentiality, parts)
    assert whole.sequentiality.attrs["units"] == "nats"
    assert (whole.attrs["mode"], whole.attrs["n_steps"]) == ("robust", 40)


def test_units_are_sorted_by_the_peak_of_their_mean_activity() -> None:
    states = np.zeros((6, 2, 4))
    for unit, (first, second) in {0: (4, 4), 1: (0, 2), 3: (1, 1)}.items():
        states[first, 0, unit] += 8
        states[second, 1, unit] += 4
    order = peak_order(states)
    assert order.unit.values.tolist() == [1, 3, 0]
    assert order.peak_time.values.tolist() == [0, 1, 4]
    np.testing.assert_allclose(order.activity.sel(rank=0), [1, 0, 0.5, 0, 0, 0])
    assert float(order.activity.max()) == 1
    assert order.attrs["n_trials"] == 2
    one = peak_order(states[:, 1:])
    assert one.peak_time.values.tolist() == [1, 2, 4]
    assert peak_order(np.zeros((3, 1, 2))).sizes["rank"] == 0


def test_weights_are_averaged_over_pairs_of_all_trials() -> None:
    rng = np.random.default_rng(3)
    states, W = rng.gamma(0.4, size=(9, 4, 6)), rng.standard_normal((6, 6))
    states[:, 1, 2] = 0.01
    pairs: dict[int, list[float]] = {d: [] for d in range(-8, 9)}
    for trial in range(4):
        active = [u for u in range(6) if states[:, trial, u].mean() > 0.1]
        for to in active:
            for sender in active:
                if to != sender:
                    difference = states[:, trial, to].argmax() - states[:, trial, sender].argmax()
                    pairs[int(difference)].append(W[to, sender])
    result = weights_by_peak_difference(W, states)
    assert result.difference.values.tolist() == list(pairs)
    assert result.n_pairs.values.tolist() == [len(one) for one in pairs.values()]
    known = [d for d, one in pairs.items() if one]
    np.testing.assert_allclose(result.weight.sel(difference=known), [np.mean(pairs[d]) for d in known])
    np.testing.assert_allclose(result["std"].sel(difference=known), [np.std(pairs[d]) for d in known], atol=1e-7)
    assert bool(result.weight.isnull().sum() == len(pairs) - len(known))
    later = [w for d, one in pairs.items() if d > 0 for w in one]
    earlier = [w for d, one in pairs.items() if d < 0 for w in one]
    assert float(result.forward) == pytest.approx(np.mean(later))
    assert float(result.backward) == pytest.approx(np.mean(earlier))


def test_a_chain_has_its_weights_from_each_peak_to_the_next() -> None:
    chain = torch.eye(10).roll(1, 0)
    chain[0, -1] = 0
    result = weights_by_peak_difference(chain + 5 * torch.eye(10), 3 * torch.eye(10)[:, None])
    assert float(result.weight.sel(difference=1)) == 1
    others = result.weight.drop_sel(difference=[0, 1])
    assert float(np.abs(others).max()) == 0
    assert float(result.forward) > float(result.backward) == 0
    nothing = weights_by_peak_difference(chain, torch.zeros(10, 1, 10))
    assert bool(nothing.weight.isnull().all())
    assert math.isnan(float(nothing.forward))


def test_states_are_those_of_the_network_on_the_task_held_where_it_says() -> None:
    task = POPULATION_TASKS["de1"](stim_steps=3, delay_steps=(2, 6), resp_steps=5, n_in=4)
    model = ReluRNN(5, n_inputs=4, generator=torch.Generator().manual_seed(0), sigma_0=0.3)
    states, batch = task_states(model, task, 20, torch.Generator().manual_seed(1))
    assert states.shape == (14, 20, 5)
    assert not states.requires_grad
    assert torch.equal(batch.inputs, task.sample(20, torch.Generator().manual_seed(1)).inputs)
    torch.testing.assert_close(states, model(batch.inputs, hold=batch.hold)[0].detach())
    short = batch.info["delay"] == 2
    assert bool(short.any())
    torch.testing.assert_close(states[5:9, short], states[4, short].expand(4, -1, -1))


def test_any_network_on_any_task_can_be_measured_and_a_seed_repeats_it() -> None:
    model = LeakyRNN([6, 6], generator=torch.Generator().manual_seed(0))
    results = [sequentiality(model, Parity([2, 3], length=30), n_trials=5) for _ in range(2)]
    assert results[0].identical(results[1])
    assert results[0].sizes["trial"] == 5
    assert results[0].attrs["seed"] == "0"
    assert "baseline" not in sequentiality(model, Parity([2], length=30), n_trials=2, mode="reference")


@pytest.mark.parametrize(
    ("states", "options", "line"),
    [
        (np.ones((4, 3)), {}, r"states have shape \(4, 3\): expected \[time, trial, unit\]"),
        (np.ones((0, 3, 2)), {}, r"states have shape \(0, 3, 2\)"),
        (np.full((4, 1, 1), np.inf), {}, "the activity is not finite: expected a network that stays bounded"),
        (np.ones((4, 1, 1)), {"mode": "robst"}, "mode 'robst' is unknown: expected one of robust, reference"),
    ],
)
def test_bad_input_is_refused_in_one_line(states: np.ndarray, options: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError, match=line):
        sequentiality_index(states, **options)


def test_weights_of_another_network_are_refused() -> None:
    for weights in (np.eye(3), np.full((2, 2), np.nan)):
        with pytest.raises(InputError, match="expected finite weights"):
            weights_by_peak_difference(weights, np.ones((4, 1, 2)))
    with pytest.raises(InputError, match="number of trials is 0"):
        task_states(LeakyRNN(3, generator=torch.Generator()), Parity([2]), 0)
