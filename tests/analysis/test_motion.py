"""Motion of decoded positions: straight lines, diffusion and Langevin dynamics have closed forms."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from tauscope import InputError
from tauscope.analysis.motion import LAGS, drift_cosine, motion, spread, steps_of


def test_a_straight_line_goes_on_and_on() -> None:
    line = np.arange(400.0)[:, None, None] * np.array([0.3, 0.4])
    found = motion(line)
    assert found["step"] == pytest.approx(0.5)
    assert found["turning"] == pytest.approx(1)
    assert found["exponent"] == pytest.approx(2)
    np.testing.assert_allclose(found["msd"], np.square(0.5 * np.array(LAGS)))
    assert math.isnan(float(found["velocity"]))


def test_what_goes_back_and_forth_turns_and_gets_nowhere() -> None:
    path = np.tile([0.0, 1.0], 50)[:, None, None]
    found = motion(path, lags=(1, 2))
    assert found["turning"] == pytest.approx(-1)
    assert list(np.asarray(found["msd"])) == [1, 0]


def test_what_stands_still_has_no_direction() -> None:
    found = motion(np.ones((50, 3, 2)))
    assert found["step"] == 0
    assert math.isnan(float(found["turning"]))
    assert math.isnan(float(found["exponent"]))


def test_free_diffusion_has_the_exponent_1() -> None:
    path = np.random.default_rng(0).standard_normal((400, 500, 2)).cumsum(axis=0)
    found = motion(path)
    assert found["exponent"] == pytest.approx(1, abs=0.02)
    assert np.asarray(found["msd"])[0] == pytest.approx(2, rel=0.02)
    assert abs(float(found["turning"])) < 0.01


def test_a_ring_is_gone_round_the_shorter_way() -> None:
    turned = 0.2 * np.arange(300.0)
    angles = (np.pi - (np.pi - turned) % (2 * np.pi))[:, None, None]
    np.testing.assert_allclose(steps_of(angles, True), 0.2)
    found = motion(angles, True)
    assert found["velocity"] == pytest.approx(0.2)
    # Displacements are those of the way that was gone, many times round.
    np.testing.assert_allclose(found["msd"], np.square(0.2 * np.array(LAGS)))
    assert motion(-angles, True)["velocity"] == pytest.approx(-0.2)


def test_the_spread_of_angles_is_that_of_their_vectors() -> None:
    rng = np.random.default_rng(0)
    assert spread(rng.uniform(-np.pi, np.pi, (100_000, 1)), True) == pytest.approx(1, abs=0.001)
    narrow = 0.01 * rng.standard_normal((10_000, 1))
    assert spread(narrow, True) == pytest.approx(narrow.var(), rel=1e-3)
    assert spread(narrow + np.pi, True) == pytest.approx(narrow.var(), rel=1e-3)
    plane = rng.standard_normal((500, 2)) * [1.0, 2.0]
    assert spread(plane) == pytest.approx(plane[:, 0].var() + plane[:, 1].var())


def langevin(keep: float, n_runs: int = 400, n_steps: int = 300) -> np.ndarray:
    """Return runs of x ← keep x + noise from its stationary density of variance 1 each."""
    rng = np.random.default_rng(0)
    path = np.empty((n_steps, n_runs, 2))
    path[0] = rng.standard_normal((n_runs, 2))
    for before, after in pairwise(path):
        after[:] = keep * before + math.sqrt(1 - keep**2) * rng.standard_normal(before.shape)
    return path


def test_the_drift_of_a_langevin_sampler_points_up_its_log_density() -> None:
    path = langevin(0.9)
    sample = np.random.default_rng(1).standard_normal((4000, 2))
    assert drift_cosine(path, sample) > 0.93
    # A density that is elsewhere, or turned round, is not what it samples.
    assert drift_cosine(-path[::-1], sample) == pytest.approx(drift_cosine(path[::-1], -sample), abs=0.05)
    outward = 3 * path[0] + np.cumsum(0.02 * np.sign(path[0]) * np.ones((200, 1, 1)), axis=0) * 0.01
    assert drift_cosine(outward, 4 * sample) < 0


def test_a_drift_round_the_ring_has_no_part_in_a_potential() -> None:
    rng = np.random.default_rng(0)
    turning = (rng.uniform(-np.pi, np.pi, 400) + 0.1 * np.arange(200)[:, None])[..., None]
    angles = np.pi - (np.pi - turning) % (2 * np.pi)
    sample = rng.vonmises(0, 1, (40_000, 1))
    assert abs(drift_cosine(angles, sample, True)) < 0.1
    pulled = rng.uniform(-np.pi, np.pi, (1, 40_000, 1))
    pulled = np.concatenate([pulled, pulled - 0.1 * np.sin(pulled)])
    assert drift_cosine(pulled, sample, True) > 0.9


def test_what_never_moves_or_is_never_there_has_no_drift() -> None:
    sample = np.random.default_rng(0).standard_normal((100, 2))
    assert math.isnan(drift_cosine(np.zeros((50, 3, 2)) + sample[0], sample))
    assert math.isnan(drift_cosine(np.full((50, 3, 2), 99.0), sample))


@pytest.mark.parametrize("shape", [(2, 3, 2), (50, 2)])
def test_positions_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="time, run, coordinate"):
        motion(np.zeros(shape))
