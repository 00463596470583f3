from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_hex
from PIL import Image

from tauscope import InputError
from tauscope.analysis.travelling_waves import project
from tauscope.analysis.wave_basis import readout_basis
from tauscope.analysis.wave_operator import embedding, wave_operator
from tauscope.analysis.wave_spectrum import wave_spectrum
from tauscope.plotting.style import COLOURS
from tauscope.plotting.waves import animate_waves, plot_operator, plot_substrate, plot_wave_spectrum
from tauscope.tasks.history import boundary_matrix

F = boundary_matrix(4, 4, "cyclic").numpy().astype(float)


def substrate(n_steps: int = 9) -> xr.DataArray:
    z, steps = np.random.default_rng(0).choice([-1.0, 1.0], size=16), []
    for _ in range(n_steps):
        z = wave_operator(F) @ z
        steps.append(z)
    return project(np.eye(16).reshape(4, 4, 16), np.stack(steps)[:, None])


def test_theory_and_network_are_on_the_unit_circle(readable):
    result = wave_spectrum(1.02 * embedding(F, 20).recurrent, wave_operator(F))
    ax = plot_wave_spectrum(result)
    circle, network, theory = ax.lines
    assert np.hypot(*circle.get_data()) == pytest.approx(1)
    assert np.hypot(*network.get_data()) == pytest.approx(np.full(16, 1.02))
    assert np.hypot(*theory.get_data()) == pytest.approx(np.ones(16))
    assert (network.get_marker(), theory.get_marker()) == ("o", "x")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "unit circle",
        "network: 16 slow modes",
        "theory: 16",
    ]
    assert "random matrices" in ax.get_legend().get_title().get_text()
    readable(ax)


def test_a_network_without_slow_modes_is_said_to_have_none(readable):
    ax = plot_wave_spectrum(wave_spectrum(np.zeros((20, 20)), wave_operator(F)))
    assert ax.get_legend().get_title().get_text() == "1 network without slow modes"
    readable(ax)


def test_an_operator_has_lines_between_its_vectors(readable):
    weights = embedding(F, 20)
    result = readout_basis(weights.recurrent, weights.readout, F)
    for name in ("operator", "theory"):
        ax = plot_operator(result[name], 4)
        (image,) = ax.images
        assert np.asarray(image.get_array()) == pytest.approx(wave_operator(F))
        assert image.get_clim() == (-1, 1)
        assert sorted({line.get_ydata()[0] for line in ax.lines[::2]}) == [3.5, 7.5, 11.5]
        assert {to_hex(line.get_color()) for line in ax.lines} == {COLOURS["grey"].lower()}
        readable(ax)


def test_an_operator_of_other_blocks_is_refused():
    with pytest.raises(InputError, match="multiples of 3"):
        plot_operator(xr.DataArray(np.eye(4), dims=("to", "from")), 3)
    with pytest.raises(InputError, match=r"\{'to': 4, 'from': 2\}"):
        plot_operator(xr.DataArray(np.eye(4)[:, :2], dims=("to", "from")), 2)


def test_waves_are_stripes_over_time(readable):
    values = substrate()
    ax = plot_substrate(values, component=2)
    (image,) = ax.images
    drawn = np.asarray(image.get_array())
    assert drawn == pytest.approx(values.values[:, 0, :, 2].T)
    assert drawn[:-1, 1:] == pytest.approx(drawn[1:, :-1])
    assert image.origin == "lower"
    readable(ax)
    silent = plot_substrate(values * 0)
    assert silent.images[0].get_clim() == (-1, 1)


@pytest.mark.parametrize(
    ("which", "line"), [({"component": 4}, "component is 4: expected 0"), ({"trial": -1}, "trial is -1")]
)
def test_what_is_not_there_cannot_be_drawn(which, line):
    with pytest.raises(InputError, match=line):
        plot_substrate(substrate(), **which)


def test_the_animation_shows_substrate_and_units_at_every_step(tmp_path, readable):
    values = substrate(3)
    states = xr.DataArray(np.random.default_rng(1).normal(size=(3, 1, 7)), dims=("time", "trial", "unit"))
    animation = animate_waves(values, states)
    animation.save(tmp_path / "waves.gif", writer="pillow")
    with Image.open(tmp_path / "waves.gif") as image:
        assert image.n_frames == 3
    left, right = animation._fig.axes
    for frame in range(3):
        animation._func(frame)
        assert np.asarray(left.images[0].get_array()) == pytest.approx(values.values[frame, 0].T)
        shown = right.images[0].get_array()
        assert np.asarray(shown.compressed()) == pytest.approx(states.values[frame, 0])
        assert shown.mask.sum() == 2
        assert animation._fig.get_suptitle() == f"step {frame}"
    readable(left)


def test_steps_of_both_must_agree():
    with pytest.raises(InputError, match="3 and 2 steps"):
        animate_waves(substrate(3), xr.DataArray(np.zeros((2, 1, 7)), dims=("time", "trial", "unit")))
