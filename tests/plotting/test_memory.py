from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

import tauscope as ts
from tauscope.analysis.generalisation import generalise
from tauscope.measurements.retraining import forgetting, retrain
from tauscope.plotting.memory import plot_forgetting, plot_generalisation, plot_retraining

TASK = ts.Parity([2])


def _labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def _title(ax):
    return ax.get_legend().get_title().get_text()


def _by_label(ax, start):
    (line,) = (line for line in ax.lines if line.get_label().startswith(start))
    return line


def _span(ax):
    (patch,) = ax.patches
    return patch.get_x(), patch.get_x() + patch.get_width()


@pytest.fixture(scope="module")
def accuracy(model):
    return ts.evaluate(model, ts.Parity([2], p=0.3), [1, 2, 4, 5, 9], n_sequences=64)


def test_retraining_is_drawn_with_its_fixed_points(model, readable):
    recipe = ts.Recipe(epochs=2, steps_per_epoch=3, batch_size=16, test_steps=2, lr=1e-4)
    result = retrain(model, TASK, [2, 3, 4], recipe=recipe)
    ax = plot_retraining(result)
    line, first = ax.lines[0], float(result["accuracy"][0, -1])
    assert np.array_equal(line.get_xdata(), [2, 3, 4])
    assert np.array_equal(line.get_ydata(), result["relative_accuracy"].values)
    assert _labels(ax) == [
        "retrained on N alone, 2 epochs",
        f"1: as at N = 2 (accuracy {first:.2f})",
        "0: accuracy 0.50",
    ]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("N (bits to remember)", "relative accuracy")
    assert _title(ax) == "1 network"
    readable(ax)


def test_retraining_from_chance_gives_a_note(readable):
    data = {"relative_accuracy": ("N", [np.nan, -np.inf]), "accuracy": (("N", "epoch"), np.full((2, 1), 0.5))}
    ax = plot_retraining(xr.Dataset(data, coords={"N": [16, 17]}))
    assert [text.get_text() for text in ax.texts] == ["no relative accuracy: 1 and 0 coincide"]
    readable(ax)


def test_generalisation_is_drawn_with_chance_and_trained_N(model, shade, readable):
    result = generalise(model, TASK, range(1, 7), n_trials=5, n_steps=80, p=0.2)
    ax = plot_generalisation(result, trained=(2, 3))
    accuracy = result["accuracy"].values
    line, chance = _by_label(ax, "fresh read-out"), _by_label(ax, "chance")
    assert np.array_equal(line.get_xdata(), np.arange(1, 7))
    assert np.allclose(line.get_ydata(), accuracy.mean(axis=1))
    assert shade(ax)[0][4.0] == pytest.approx((accuracy[3].min(), accuracy[3].max()))
    assert np.array_equal(chance.get_ydata(), result["chance"].values)
    assert _span(ax) == (1.5, 3.5)
    low, high = ax.get_ylim()
    assert low < accuracy.min()
    assert accuracy.max() < high
    assert "mean over 5 trials" in line.get_label()
    readable(ax)


def test_generalisation_without_trained_N_shades_nothing(model):
    result = generalise(model, TASK, [2, 3], n_trials=5, n_steps=40)
    assert not plot_generalisation(result).patches


def test_forgetting_is_drawn_with_its_interval(accuracy, readable):
    ax = plot_forgetting(accuracy, trained=(2, 4))
    known = accuracy.dropna("N")
    (bars,) = ax.containers
    assert np.array_equal(bars[0].get_xdata(), [2, 4, 5])
    assert np.array_equal(bars[0].get_ydata(), known.values)
    segments = np.array([segment[:, 1] for segment in bars[2][0].get_segments()])
    assert np.allclose(segments, np.stack([known["low"], known["high"]], axis=1))
    chance = _by_label(ax, "chance")
    assert np.array_equal(chance.get_xydata(), np.stack([accuracy["N"], accuracy["chance"]], axis=1))
    assert _span(ax) == (1.5, 4.5)
    low, high = ax.get_ylim()
    assert low < segments.min()
    assert segments.max() < high
    assert _title(ax) == "1 network, 64 sequences"
    assert "own head, 95 % interval over sequences" in _labels(ax)
    readable(ax)


def test_trained_N_are_taken_from_the_result(model):
    ax = plot_forgetting(forgetting(model, TASK, (3, 4), Ns=[2, 3, 4, 5], n_sequences=32))
    assert _span(ax) == (2.5, 4.5)
    ax = plot_forgetting(forgetting(model, TASK, (3, 4), Ns=[2, 5], n_sequences=32))
    assert not ax.patches


def test_a_single_head_is_named(readable):
    model = ts.LeakyRNN(8, n_heads=3, shared_head=True, generator=torch.Generator().manual_seed(0))
    accuracy = ts.evaluate(model, TASK, [2, 3, 4], heads=[3], n_sequences=32)
    ax = plot_forgetting(accuracy, (3, 3))
    assert np.array_equal(ax.containers[0][0].get_ydata(), accuracy.values[0])
    assert "head for N = 3, 95 % interval over sequences" in _labels(ax)
    readable(ax)


def test_N_without_a_head_give_a_note(model, readable):
    ax = plot_forgetting(ts.evaluate(model, TASK, [50, 60], n_sequences=32))
    assert [text.get_text() for text in ax.texts] == ["no accuracy: no N has a head"]
    readable(ax)


def test_forgetting_matrix_has_heads_in_rows(model, readable):
    accuracy = ts.evaluate(model, TASK, [2, 3, 4, 7], heads=[2, 3, 4], n_sequences=64)
    ax = plot_forgetting(accuracy, trained=(2, 3))
    (mesh,) = ax.collections
    assert np.array_equal(mesh.get_array(), accuracy.values)
    assert np.array_equal(mesh.get_coordinates()[0, :, 0], [1.5, 2.5, 3.5, 5.5, 7.5])
    assert np.array_equal(mesh.get_coordinates()[:, 0, 1], [1.5, 2.5, 3.5, 4.5])
    assert (mesh.norm.vmin, mesh.norm.vmax) == (0.5, 1.0)
    (box,) = ax.patches
    assert (box.get_xy(), box.get_width(), box.get_height()) == ((1.5, 1.5), 2, 2)
    (colorbar,) = (one for one in ax.figure.axes if one is not ax)
    # Chance over p ~ U(0, 1): 2/3 for N = 2, 0.6 for N = 4, 1/2 for odd N.
    assert colorbar.get_ylabel() == "accuracy (chance 0.5 – 0.67)"
    assert _title(ax) == "1 network, 64 sequences"
    readable(ax)


def test_forgetting_matrix_of_one_N_and_of_one_chance_level(model, readable):
    accuracy = ts.evaluate(model, ts.Parity([2], p=0.5), [3], heads=[2, 3], n_sequences=32)
    ax = plot_forgetting(accuracy)
    assert np.array_equal(ax.collections[0].get_coordinates()[0, :, 0], [2.5, 3.5])
    (colorbar,) = (one for one in ax.figure.axes if one is not ax)
    assert colorbar.get_ylabel() == "accuracy (chance 0.5)"
    assert not ax.patches
    readable(ax)
