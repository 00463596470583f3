"""Chaotic series against the equations, and what simple answers score."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tauscope import InputError
from tauscope.tasks import Series
from tauscope.tasks.series import PARTS, STANDARD, SYSTEMS, Array, lorenz, roessler, runge_kutta


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_steps_are_those_of_another_solver() -> None:
    from scipy.integrate import solve_ivp

    for derivative, dt, start in SYSTEMS.values():
        found = runge_kutta(derivative, start + 1, dt, 30)
        times = dt * np.arange(30)
        expected = solve_ivp(
            lambda _, x, f=derivative: f(x), (0, times[-1]), start + 1, t_eval=times, rtol=1e-10, atol=1e-12
        )
        np.testing.assert_allclose(found, expected.y.T, rtol=0, atol=0.02)


def test_fixed_points_stay() -> None:
    at = np.sqrt(8 / 3 * 27)
    np.testing.assert_allclose(lorenz(np.array([at, at, 27.0])), 0, atol=1e-12)
    c = (5.7 - np.sqrt(5.7**2 - 4 * 0.2 * 0.2)) / 2
    np.testing.assert_allclose(roessler(np.array([c, -c / 0.2, c / 0.2])), 0, atol=1e-12)


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_series_is_standardised_on_the_steps_that_are_fitted(system: str) -> None:
    series = Series(system=system).series()
    part = series[slice(*STANDARD)]
    torch.testing.assert_close(part.mean(dim=0), torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-10)
    torch.testing.assert_close(part.std(dim=0, correction=0), torch.ones(3, dtype=torch.float64), rtol=0, atol=1e-10)
    assert not torch.equal(series, Series(system=system, series_number=1).series())
    assert torch.equal(series, Series(system=system).series())


@pytest.mark.parametrize("split", PARTS)
def test_a_trial_is_a_window_of_its_split(split: str) -> None:
    task = Series(shown="zx", horizon=7, n_steps=60, burn_in=10)
    batch, series = task.sample(50, generator(), split), task.series().float()
    low, high = PARTS[split]
    for trial, start in enumerate(batch.info["start"].tolist()):
        assert low <= start
        assert start + 60 + 7 <= high
        assert torch.equal(batch.inputs[:, trial], series[start : start + 60][:, [2, 0]])
        assert torch.equal(batch.targets[:, trial, 0], series[start + 17 : start + 67])


def test_scores_are_roots_of_ratios_of_sums() -> None:
    task = Series(n_steps=80)
    batch = task.sample(400, generator(1))
    mean = torch.zeros_like(batch.targets)
    assert float(task.score(mean, batch)) == pytest.approx(1, abs=0.05)
    assert float(task.score(batch.targets, batch)) == 0
    half = task.of_sums(
        *(a + b for a, b in zip(task.tally(mean, batch), task.tally(batch.targets, batch), strict=True))
    )
    assert float(half) == pytest.approx(float(task.score(mean, batch)) / 2**0.5)


def baselines(system: str) -> tuple[float, float]:
    """Return the errors of persistence, which sees all three coordinates, and of linear regression on 20 lags of x."""
    task = Series(system=system)
    series: Array = task.series().numpy()
    t = np.arange(3200, 4695)
    persistence = np.sqrt(np.square(series[t + task.horizon] - series[t]).mean())
    fitted = np.arange(200, 3200)

    def lags(steps: Array) -> Array:
        return np.stack([series[steps - lag, 0] for lag in range(20)] + [np.ones(len(steps))], axis=1)

    weights = np.linalg.lstsq(lags(fitted), series[fitted + task.horizon], rcond=1e-8)[0]
    return float(persistence), float(np.sqrt(np.square(lags(t) @ weights - series[t + task.horizon]).mean()))


BASELINES = {"lorenz": (0.71, 0.588), "roessler": (0.813, 0.46)}
"""Of series 0; rounding of another processor makes another series of a chaotic system, with errors like these."""


@pytest.mark.parametrize("system", SYSTEMS)
def test_simple_answers_have_their_errors(system: str) -> None:
    assert baselines(system) == pytest.approx(BASELINES[system], rel=0.15)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"system": "lorentz"}, "system 'lorentz' is unknown: .*did you mean 'lorenz'"),
        ({"shown": ""}, "shown is '': expected one or more of x, y and z"),
        ({"shown": "xx"}, "shown is 'xx'"),
        ({"shown": "w"}, "shown is 'w'"),
        ({"horizon": -1}, "horizon is -1"),
        ({"n_steps": 0}, "number of steps is 0"),
        ({"n_steps": 596}, "n_steps is 596 with horizon 5: expected at most 595"),
        ({"n_steps": 50}, "burn_in is 50 of 50 steps: expected at most 49"),
        ({"series_number": -1}, "series_number is -1"),
        ({"horizon": 2.5}, "horizon is of type float: expected a whole number"),
    ],
)
def test_what_is_no_series_is_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Series(**options)  # type: ignore[arg-type]


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(InputError, match=r"split 'tests' is unknown: .*did you mean 'test'"):
        Series().sample(2, generator(), "tests")
