from __future__ import annotations

import numpy as np
import pytest
import torch

from tauscope.analysis.performance import performance
from tauscope.models import ReluRNN
from tauscope.plotting.performance import plot_performance
from tauscope.plotting.style import new_axes
from tauscope.tasks import DelayedEstimation, TwoAlternativeChoice


def measured(task):
    model = ReluRNN(8, n_inputs=50, generator=torch.Generator().manual_seed(0), lambda_0=0.9)
    return performance(model, task, n_trials=300)


@pytest.mark.parametrize(
    "task",
    [TwoAlternativeChoice(delay_steps=(5, 10, 40)), TwoAlternativeChoice(delay_steps=10), DelayedEstimation(delay_steps=9)],
    ids=["three delays", "one delay", "estimation"],
)  # fmt: skip
def test_the_loss_stands_between_chance_and_the_ideal_observer(task, readable):
    result = measured(task)
    ax = plot_performance(result)
    network, chance, ideal = ax.lines
    np.testing.assert_allclose(network.get_xydata(), np.stack([result.delay, result.loss_at_delay], axis=1))
    assert list(chance.get_ydata()) == [float(result.chance)] * 2
    assert list(ideal.get_ydata()) == [0, 0]
    low, high = ax.get_ylim()
    assert low < min(0, float(result.loss_at_delay.min()))
    assert high > max(float(result.chance), float(result.loss_at_delay.max()))
    assert ax.get_legend().get_title().get_text() == "1 network, 300 trials"
    readable(ax)


def test_bars_are_two_standard_errors():
    result = measured(TwoAlternativeChoice(delay_steps=(5, 10)))
    (bars,) = plot_performance(result).collections
    for segment, loss, error in zip(bars.get_segments(), result.loss_at_delay, result.error_at_delay, strict=True):
        np.testing.assert_allclose(segment[:, 1], [loss - 2 * error, loss + 2 * error])


def test_given_axes_are_drawn_on():
    ax = new_axes()
    assert plot_performance(measured(TwoAlternativeChoice(delay_steps=5)), ax) is ax
