from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from matplotlib.colors import to_hex
from PIL import Image

from tauscope.analysis import alignment, information_against_balance
from tauscope.models import BalancedRNN
from tauscope.plotting.balance import (
    animate_modes,
    plot_alignment,
    plot_information,
    plot_modes,
    plot_response_time,
)
from tauscope.plotting.style import COLOURS

STEPS = [0, 250, 1000, 100_001]


def eigenvalues(n_steps: int = 4) -> xr.DataArray:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(n_steps, 12, 2)) * 0.2
    values[:, 0] = [[-float(step), 0.0] for step in range(n_steps)]
    return xr.DataArray(values, dims=("step", "eigenvalue", "part"), coords={"step": STEPS[:n_steps]})


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
