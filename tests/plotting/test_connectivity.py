from __future__ import annotations

import numpy as np
import pytest
import torch

import tauscope as ts
from tauscope.analysis.connectivity import connectivity, recurrent_matrices
from tauscope.plotting.connectivity import plot_eigenvalues, plot_weights
from tauscope.plotting.style import COLOURS


def test_weights_are_drawn_white_at_zero(model, readable):
    weights = recurrent_matrices(model.layers[0])["recurrent"]
    ax = plot_weights(weights)
    (image,) = ax.images
    assert np.array_equal(image.get_array(), weights.double().numpy())
    assert image.norm.vmin == -image.norm.vmax < 0
    assert image.cmap(image.norm(0.0)) == pytest.approx((0.97, 0.97, 0.97, 1.0), abs=0.01)
    positive, negative = image.cmap(image.norm(image.norm.vmax)), image.cmap(image.norm(image.norm.vmin))
    assert positive[0] > positive[2]
    assert negative[2] > negative[0]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("from unit", "to unit")
    readable(ax)


def test_row_i_is_what_unit_i_receives():
    weights = np.zeros((3, 3))
    weights[2, 0] = 1.0
    ax = plot_weights(weights)
    x, y = ax.transData.inverted().transform(ax.transData.transform((0, 2)))
    assert ax.images[0].get_cursor_data(_At(ax, x, y)) == 1.0


class _At:
    """The position of a mouse over the axes."""

    def __init__(self, ax, x, y):
        self.inaxes, (self.x, self.y) = ax, ax.transData.transform((x, y))


def test_scale_ends_where_one_percent_of_the_weights_lie_beyond():
    weights = np.arange(1.0, 401.0).reshape(20, 20)
    weights[::2] *= -1
    ax = plot_weights(weights)
    limit = ax.images[0].norm.vmax
    assert np.mean(np.abs(weights) > limit) == 0.01
    (colorbar,) = (one for one in ax.figure.axes if one is not ax)
    assert colorbar.get_ylabel() == "recurrent weight (1.0% beyond the scale)"


@pytest.mark.parametrize(
    ("weights", "limit"),
    [(np.zeros((3, 3)), 1.0), ([[0.0, 2.0], [2.0, -2.0]], 2.0), (np.eye(200) * 3, 3.0), ([[np.nan]], 1.0)],
    ids=["none", "equal magnitudes", "sparse", "not finite"],
)
def test_scale_of_unusual_weights(weights, limit, readable):
    ax = plot_weights(weights)
    assert ax.images[0].norm.vmax == pytest.approx(limit)
    readable(ax)


def test_weights_that_are_not_finite_are_grey():
    ax = plot_weights([[np.nan, 1.0], [np.inf, -1.0]])
    (image,) = ax.images
    assert image.get_array().mask.tolist() == [[True, False], [True, False]]
    assert image.cmap.get_bad()[:3] == pytest.approx([int(COLOURS["grey"][i : i + 2], 16) / 255 for i in (1, 3, 5)])


def test_eigenvalues_of_weights_and_step_are_drawn(model, readable):
    ax = plot_eigenvalues(connectivity(model))
    circle, cloud, step = ax.lines
    W, tau = recurrent_matrices(model.layers[0])["recurrent"].double().numpy(), model.tau.detach().double().numpy()
    for line, matrix in ((cloud, W), (step, np.eye(12) + (W - np.eye(12)) / tau[:, None])):
        drawn = np.sort_complex(line.get_xdata() + 1j * line.get_ydata())
        assert np.allclose(drawn, np.sort_complex(np.linalg.eigvals(matrix)), atol=1e-6)
        assert line.get_linestyle() == "None"
        assert line.get_label().endswith(f"spectral radius {np.abs(drawn).max():.2f}")
    assert np.allclose(np.hypot(*circle.get_data()), 1)
    assert ax.get_aspect() == 1
    assert ax.get_legend().get_title().get_text() == "1 network, 12 units"
    readable(ax)


def test_eigenvalues_of_every_gate_and_layer_can_be_told_apart(readable):
    model = ts.build_model("lstm", [6, 4], generator=torch.Generator().manual_seed(0))
    ax = plot_eigenvalues(connectivity(model))
    clouds = ax.lines[1:]
    assert len(clouds) == 8
    assert clouds[5].get_label().startswith("W (layer 2, forget): spectral radius ")
    assert [int(np.isfinite(line.get_xdata()).sum()) for line in clouds] == [6] * 4 + [4] * 4
    assert len({(line.get_color(), line.get_marker()) for line in clouds}) == 8
    assert ax.get_legend().get_title().get_text() == "1 network, 6 + 4 units"
    readable(ax)


def test_layers_with_timescales_have_two_clouds_each():
    model = ts.LeakyRNN([5, 5], generator=torch.Generator().manual_seed(0))
    names = [line.get_label().split(":")[0] for line in plot_eigenvalues(connectivity(model)).lines[1:]]
    step = r"step $I + (W - I) / \tau$"
    assert names == ["W (layer 1)", f"{step} (layer 1)", "W (layer 2)", f"{step} (layer 2)"]
