from __future__ import annotations

import io

import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_hex
from PIL import Image

from tauscope import InputError
from tauscope.analysis.reactivation import RUNS
from tauscope.plotting.reactivation import animate_silence, plot_divergences, plot_trajectories
from tauscope.plotting.style import COLOURS

NAMES = ["task", *RUNS]


def result(periodic: bool = False) -> xr.Dataset:
    rng = np.random.default_rng(0)
    n = 1 if periodic else 2
    paths = np.cumsum(0.3 * rng.standard_normal((len(NAMES), 40, 6, n)), axis=1)
    paths[0, 20:] = np.nan
    if periodic:
        paths = np.pi - (np.pi - 3 * paths) % (2 * np.pi)
    return xr.Dataset(
        {
            "trajectories": (("run", "time", "trajectory", "coordinate"), paths),
            "positions": (("run", "sample", "coordinate"), rng.uniform(-1, 1, (len(NAMES), 100, n))),
            "kl_late": ("run", np.linspace(0, 1, len(NAMES))),
            "kl_uniform": 0.4,
        },
        coords={"run": NAMES},
        attrs={"periodic": int(periodic), "unit": "rad" if periodic else "m"},
    )


def test_positions_without_input_lie_over_those_of_the_task(readable):
    found = result()
    ax = plot_trajectories(found, "common")
    dots, *lines = ax.lines
    np.testing.assert_allclose(dots.get_xydata(), found.positions.sel(run="task"))
    assert len(lines) == 6
    np.testing.assert_allclose(lines[2].get_xydata(), found.trajectories.sel(run="common", trajectory=2))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x (m)", "y (m)")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["task", "without input, common state"]
    readable(ax)


def test_angles_are_drawn_against_time_without_lines_across_the_ring(readable):
    ax = plot_trajectories(result(periodic=True))
    assert ax.get_ylabel() == "angle (rad)"
    assert {to_hex(line.get_color()) for line in ax.lines} == {COLOURS["grey"].lower(), COLOURS["blue"].lower()}
    for line in ax.lines:
        angles = line.get_ydata()
        assert np.nanmax(np.abs(np.diff(angles)), initial=0) <= np.pi
    readable(ax)


def test_a_run_that_was_not_made_is_refused():
    with pytest.raises(InputError, match="expected one of task, active"):
        plot_trajectories(result(), "activ")


def test_divergences_of_all_runs_stand_one_below_the_other(readable):
    ax = plot_divergences(result())
    points = ax.lines[0]
    np.testing.assert_allclose(points.get_xdata(), np.linspace(0, 1, len(NAMES))[1:])
    assert list(points.get_ydata()) == list(range(len(NAMES) - 1))[::-1]
    assert ax.lines[1].get_xdata()[0] == 0.4
    readable(ax)
    empty = result().assign(kl_late=("run", np.full(len(NAMES), np.nan)))
    assert plot_divergences(empty).texts[-1].get_text() == "no run has a density"


def test_an_animation_moves_from_the_first_step_to_the_last(tmp_path):
    both = {"box": result(), "ring": result(periodic=True)}
    animation = animate_silence(both, n_frames=5)
    animation.save(tmp_path / "moving.gif", writer="pillow")
    with Image.open(io.BytesIO((tmp_path / "moving.gif").read_bytes())) as image:
        assert image.n_frames == 5
    ring = animation._fig.axes[1]
    *_, heads = ring.lines
    # On the ring, at the angles of the last step.
    angles = both["ring"].trajectories.sel(run="active").values[-1, :, 0]
    np.testing.assert_allclose(heads.get_xydata(), np.stack([np.cos(angles), np.sin(angles)], axis=-1), atol=1e-6)
    with pytest.raises(InputError, match="nothing to animate"):
        animate_silence({})
