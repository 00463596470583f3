"""Response times against closed forms of linear networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from problems import linear_model
from tauscope import InputError, LeakyRNN
from tauscope.analysis import response_time
from tauscope.models import BalancedRNN


@pytest.mark.parametrize("dt", [0.2, 0.05])
@pytest.mark.parametrize("b", [0.0, 1.0, 4.0])
def test_the_population_of_a_linear_network_follows_with_tau_over_1_plus_b(
    b: float, dt: float, generator: torch.Generator
) -> None:
    n, mean = 40, 20.0 * (1 + b)
    model = BalancedRNN(n, generator=generator, balance=b, g=0.0, dt=dt, mean_input=mean).double()
    result = response_time(model, mean, step=0.5, dt=dt, burn_in=20, n_steps=round(20 / dt))
    expected = 1 / (1 + b * (n - 1) / n)
    assert result.response_time.item() == pytest.approx(expected, rel=1e-4)
    steps = np.arange(1, 6)
    np.testing.assert_allclose(result.response[1:6], 1 - (1 - dt / expected) ** steps, rtol=1e-4)
    assert result.response[0].item() == 0


@pytest.mark.parametrize("a", [0.0, 0.5, 0.95])
def test_time_is_counted_in_steps_unless_told_otherwise(a: float) -> None:
    model = linear_model(np.array([[a]]), np.ones((1, 1)))
    result = response_time(model, 1.0, burn_in=400, n_steps=2000)
    assert result.response_time.item() == pytest.approx(1 / (1 - a))
    assert result.time.values[-1] == 2000


def test_the_step_is_small_against_the_noise_but_found(generator: torch.Generator) -> None:
    """Both runs have the same noise, so that their difference has none in a linear network."""
    model = BalancedRNN(20, generator=generator, balance=2.0, g=0.0, mean_input=60.0).double()
    result = response_time(model, 60.0, step=1e-3, dt=0.2, n_trials=2)
    assert result.response_time.item() == pytest.approx(1 / (1 + 2 * 19 / 20), rel=1e-3)


def test_silent_units_do_not_feed_back(generator: torch.Generator) -> None:
    """With half of the units far below threshold, b is halved, and so is the response of the mean."""
    model = BalancedRNN(40, generator=generator, balance=4.0, g=0.0, mean_input=50.0).double()
    (cell,) = model.layers
    with torch.no_grad():
        cell.input.weight.fill_(1.0)
        cell.bias[20:] = -500.0
    model.settle()
    result = response_time(model, 50.0, dt=0.2)
    # An active unit hears the 19 other active ones.
    assert result.response_time.item() == pytest.approx(1 / (1 + 4 * 19 / 40), rel=1e-3)


def test_any_network_can_be_measured_if_it_responds(generator: torch.Generator) -> None:
    assert response_time(LeakyRNN(10, generator=generator), 0.5, n_steps=400).response_time.item() > 0
    deaf = linear_model(np.eye(2) / 2, np.zeros((2, 1)))
    with pytest.raises(InputError, match=r"the population rate changes by 0\.0 with the input"):
        response_time(deaf, 1.0)
    with pytest.raises(InputError, match="number of steps is 1: expected at least 2"):
        response_time(deaf, 1.0, n_steps=1)
