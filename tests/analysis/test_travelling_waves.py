"""Waves through a substrate: delay lines, registers, rotations of both, and correlations against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from tauscope import InputError
from tauscope.analysis.travelling_waves import project, travelling_waves
from tauscope.tasks.history import boundary_matrix, continuation

DIM, LAGS, STEPS, TRIALS = 3, 4, 40, 30


def substrates(F: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return the substrates ``[time, trial, lag · component]`` of random streams."""
    past = np.random.default_rng(seed).choice([-1.0, 1.0], size=(TRIALS, F.shape[1]))
    steps = []
    for _ in range(STEPS):
        past = np.concatenate([past[:, len(F) :], past @ F.T], axis=1)
        steps.append(past)
    return np.stack(steps)


F = boundary_matrix(DIM, LAGS, "cyclic").numpy().astype(float)
Z = substrates(F)
PLACES = np.eye(DIM * LAGS).reshape(LAGS, DIM, -1)


def test_a_substrate_travels_and_its_rotation_is_hidden() -> None:
    open_waves = travelling_waves(PLACES, Z, F)
    np.testing.assert_allclose(open_waves.correlation, 1)
    assert float(open_waves.wave_correlation) == pytest.approx(1)
    assert float(open_waves.boundary_correlation) == pytest.approx(1)
    assert float(open_waves.unit_correlation) == pytest.approx(1)
    Q = np.linalg.qr(np.random.default_rng(1).standard_normal((DIM * LAGS, DIM * LAGS)))[0]
    hidden = travelling_waves(PLACES @ Q.T, Z @ Q.T, F)
    np.testing.assert_allclose(hidden.correlation, 1)
    assert float(hidden.boundary_correlation) == pytest.approx(1)
    assert float(hidden.unit_correlation) < 0.9
    np.testing.assert_allclose(open_waves.alignment, 1)
    assert hidden.alignment.max() < 0.95


def test_registers_do_not_travel() -> None:
    """Values that stay where they are: neighbours are independent, and every unit foretells itself alone."""
    held = np.random.default_rng(2).standard_normal((1, 4000, DIM * LAGS)).repeat(3, axis=0)
    result = travelling_waves(PLACES, held)
    assert np.abs(result.correlation).max() < 5 / np.sqrt(4000)
    assert float(result.unit_correlation) < 5 / np.sqrt(4000)
    assert np.isnan(result.boundary_correlation)


def test_a_wave_that_runs_backwards_is_no_wave() -> None:
    assert float(travelling_waves(PLACES, Z[::-1]).wave_correlation) < 0.5
    assert float(travelling_waves(PLACES, Z[::-1]).unit_correlation) == pytest.approx(1)


def test_correlations_are_those_of_numpy() -> None:
    rng = np.random.default_rng(3)
    states, D = rng.standard_normal((7, 5, 6)) + 2.0, rng.standard_normal((3, 2, 6))
    result = travelling_waves(D, states, rng.standard_normal((2, 6)))
    substrate = project(D, states)
    assert substrate.dims == ("time", "trial", "lag", "component")
    for lag in range(2):
        for i in range(2):
            after, before = substrate.values[1:, :, lag, i], substrate.values[:-1, :, lag + 1, i]
            expected = np.corrcoef(after.ravel(), before.ravel())[0, 1]
            assert float(result.correlation[lag, i]) == pytest.approx(expected)
            assert float(substrate[4, 3, lag, i]) == pytest.approx(D[lag, i] @ states[4, 3])
    assert float(result.wave_correlation) == pytest.approx(float(result.correlation.mean()))
    pairs = [
        abs(np.corrcoef(states[1:, :, a].ravel(), states[:-1, :, b].ravel())[0, 1])
        for a in range(6)
        for b in range(6)
        if a != b
    ]
    assert float(result.unit_correlation) == pytest.approx(max(pairs))
    for unit in range(6):
        own = states[:, :, unit].ravel()
        places = [abs(np.corrcoef(own, substrate.values[..., j, i].ravel())[0, 1]) for j in range(3) for i in range(2)]
        assert float(result.alignment[unit]) == pytest.approx(max(places))


def test_the_boundary_is_what_enters_the_last_place() -> None:
    wrong = boundary_matrix(DIM, LAGS, "copy").numpy()
    assert float(travelling_waves(PLACES, Z, wrong).boundary_correlation) < 0.5


def test_what_does_not_vary_has_no_correlation() -> None:
    still = travelling_waves(PLACES, np.full((5, 4, DIM * LAGS), 0.1))
    assert float(still.unit_correlation) == 0
    assert not still.alignment.any()
    assert not travelling_waves(PLACES, np.zeros((5, 4, DIM * LAGS)), F).correlation.any()


def test_later_steps_follow_from_the_continuation() -> None:
    powers = continuation(boundary_matrix(DIM, LAGS, "cyclic"), 6).numpy()
    for k, P in enumerate(powers[1:], start=1):
        np.testing.assert_array_equal(Z[k, :, -DIM:], Z[0] @ powers[k - 1].T)
        assert P.shape == F.shape


def test_bad_shapes_are_refused() -> None:
    with pytest.raises(InputError, match=r"coordinates have shape \(4, 3, 11\), states \(40, 30, 12\)"):
        project(PLACES[..., :11], Z)
    with pytest.raises(InputError, match="1 lags, 40 steps: expected at least 2"):
        travelling_waves(PLACES[:1], Z)
    with pytest.raises(InputError, match="4 lags, 1 steps"):
        travelling_waves(PLACES, Z[:1])
    with pytest.raises(InputError, match=r"boundary has shape \(3, 11\): expected \(3, 12\)"):
        travelling_waves(PLACES, Z, F[:, :11])
