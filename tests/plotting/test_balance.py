from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from matplotlib.colors import to_hex
from PIL import Image

from tauscope import InputError
from tauscope.analysis import alignment, information_against_balance, subnetworks
from tauscope.models import BalancedRNN
from tauscope.plotting.balance import (
    animate_modes,
    plot_alignment,
    plot_balance,
    plot_group_weights,
    plot_information,
    plot_modes,
    plot_response_time,
    plot_subnetworks,
)
from tauscope.plotting.style import COLOURS

STEPS = [0, 250, 1000, 100_001]


def over_training(*conditions: str) -> xr.DataArray:
    values = np.array([[1.0, 0.2, 0.9, 5.5], [1.0, 0.3, 1.1, 6.5]])
    one = xr.DataArray(values, dims=("network", "step"), coords={"step": STEPS})
    if not conditions:
        return one
    labels = xr.DataArray(list(conditions), dims="condition", name="condition")
    return xr.concat([one * (1 + i) for i in range(len(conditions))], labels)


def eigenvalues(n_steps: int = 4) -> xr.DataArray:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(n_steps, 12, 2)) * 0.2
    values[:, 0] = [[-float(step), 0.0] for step in range(n_steps)]
    return xr.DataArray(values, dims=("step", "eigenvalue", "part"), coords={"step": STEPS[:n_steps]})


def test_balance_over_training_is_mean_and_range(readable, shade):
    ax = plot_balance(over_training())
    mean, start = ax.lines
    assert mean.get_xdata().tolist() == STEPS
    assert mean.get_ydata() == pytest.approx([1.0, 0.25, 1.0, 6.0])
    assert set(start.get_ydata()) == {1}
    (ranges,) = shade(ax)
    assert ranges[100_001] == (5.5, 6.5)
    assert ax.get_yscale() == "log"
    assert ax.get_legend().get_title().get_text() == "2 networks a line; shaded: range"
    readable(ax)


def test_conditions_have_lines_of_their_own(readable):
    ax = plot_balance(over_training("1 signal", "2 signals", "3 signals"))
    assert [line.get_label() for line in ax.lines] == ["1 signal", "2 signals", "3 signals", "at the start"]
    assert ax.lines[2].get_ydata() == pytest.approx([3.0, 0.75, 3.0, 18.0])
    assert len({line.get_color() for line in ax.lines}) == 4
    readable(ax)


def test_dimensions_are_found_by_name():
    given = over_training("a", "b")
    first, second = (plot_balance(one).lines[1].get_ydata() for one in (given, given.transpose("step", ...)))
    assert first == pytest.approx(second)
    with pytest.raises(InputError, match=r"balance has dimensions \['step'\]: expected 'network', 'step'"):
        plot_balance(given.isel(network=0, condition=0))


def test_modes_are_points_coloured_by_step(readable):
    values = eigenvalues()
    ax = plot_modes(values)
    (points,) = ax.collections
    assert points.get_offsets().data == pytest.approx(values.values.reshape(-1, 2))
    assert points.get_array().tolist() == np.repeat(STEPS, 12).tolist()
    (limit,) = ax.lines
    assert set(limit.get_xdata()) == {1}
    (bar,) = (one for one in ax.figure.axes if one is not ax)
    assert bar.get_ylabel() == "training step"
    left, right = ax.get_xlim()
    assert left < values[..., 0].min()
    assert right > 1
    readable(ax)


def test_modes_of_one_step_can_be_drawn(readable):
    readable(plot_modes(eigenvalues(1)))


def test_the_animation_shows_every_step(tmp_path, readable):
    values = eigenvalues(3)
    animation = animate_modes(values)
    file = tmp_path / "modes.gif"
    animation.save(file, writer="pillow")
    with Image.open(file) as image:
        assert image.n_frames == 3
    ax = animation._fig.axes[0]
    limits = ax.get_xlim()
    for frame, step in enumerate(STEPS[:3]):
        now, _ = animation._func(frame)
        assert np.stack(now.get_data(), axis=1) == pytest.approx(values.values[frame])
        assert ax.get_title() == f"training step {step}"
        assert ax.get_xlim() == limits
    assert np.stack(ax.lines[0].get_data(), axis=1) == pytest.approx(values.values[0])
    readable(ax)


def planted() -> np.ndarray:
    groups = np.array([0, 1, 1, 0, 1])
    return np.where(groups[:, None] == groups, -1.0, 0.25) * (1 - np.eye(5))


def test_weights_are_drawn_group_by_group(readable):
    W = planted()
    ax = plot_subnetworks(W, subnetworks(W, 2))
    order = [1, 2, 4, 0, 3]
    assert ax.images[0].get_array().tolist() == W[np.ix_(order, order)].tolist()
    across, down = ax.lines
    assert set(across.get_ydata()) == {2.5}
    assert set(down.get_xdata()) == {2.5}
    assert ax.get_title() == "groups of 3, 2 units\nmean weight: within -1, between 0.25"
    readable(ax)


def test_weights_of_groups_over_training(readable, shade):
    values = over_training()
    ax = plot_group_weights(xr.Dataset({"within": -values, "between": -values / 4}))
    within, between, _ = ax.lines
    assert within.get_ydata() == pytest.approx([-1.0, -0.25, -1.0, -6.0])
    assert between.get_ydata() == pytest.approx([-0.25, -0.0625, -0.25, -1.5])
    assert len(shade(ax)) == 2
    readable(ax)


@pytest.mark.parametrize("n_signals", [1, 2, 3])
def test_alignment_tells_own_outputs_from_others(n_signals, readable):
    model = BalancedRNN(10, n_inputs=n_signals, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        model.heads.linears[0].weight.copy_(2 * model.layers[0].input.weight.t())
    result = alignment(model)
    ax = plot_alignment(result)
    assert len(ax.lines) == min(n_signals, 2)
    own = ax.lines[0]
    assert own.get_ydata() == pytest.approx(2 * n_signals * own.get_xdata(), rel=1e-5)
    assert own.get_label() == "own output: correlation 1.00"
    assert to_hex(own.get_color()) == COLOURS["vermilion"].lower()
    if n_signals > 1:
        other = ax.lines[1]
        assert len(other.get_xdata()) == 10 * n_signals * (n_signals - 1)
        expected = [
            (into, out)
            for k in range(n_signals)
            for i in range(n_signals)
            if k != i
            for into, out in zip(result.input_weight.values[:, k], result.output_weight.values[:, i], strict=True)
        ]
        np.testing.assert_allclose(sorted(zip(*other.get_data(), strict=True)), sorted(expected))
    readable(ax)


@pytest.fixture(scope="module")
def against_balance() -> xr.Dataset:
    return information_against_balance((1.0, 2.0, 16.0), n_units=20, n_steps=600, n_networks=2)


@pytest.mark.parametrize(
    ("plot", "measured", "theory", "label"),
    [
        (plot_information, "information_rate", "linear_rate", "information rate (bits/τ)"),
        (plot_response_time, "response_time", "linear_time", "population response time (τ)"),
    ],
)
def test_measured_values_stand_beside_the_theory(plot, measured, theory, label, against_balance, readable):
    ax = plot(against_balance)
    line, dashed, *rest = ax.lines
    assert line.get_ydata() == pytest.approx(against_balance[measured].mean("network").values)
    assert dashed.get_ydata() == pytest.approx(against_balance[theory].values)
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert ax.get_ylabel() == label
    assert len(rest) == (plot is plot_information)
    for one in rest:
        assert set(one.get_ydata()) == {against_balance.bias.item()}
    assert ax.get_legend().get_title().get_text() == "2 networks of 20 units a point; shaded: range"
    readable(ax)
