"""What is asked of every figure, and the network that is drawn."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import tauscope as ts
from tauscope.plotting.style import COLOURS, COLUMN_WIDTH


@pytest.fixture(scope="session")
def model() -> ts.LeakyRNN:
    return ts.LeakyRNN(12, n_heads=6, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def readable() -> Callable[[Axes], None]:
    """Assert that a figure of column width says what it shows, and that none of its text is cut or covered."""
    return _assert_readable


@pytest.fixture
def shade() -> Callable[[Axes], list[dict[float, tuple[float, float]]]]:
    """Return the lower and upper end of every shaded range by position."""
    return _shades


def _assert_readable(ax: Axes) -> None:
    figure = ax.figure
    assert isinstance(figure, Figure)
    assert figure.get_figwidth() <= COLUMN_WIDTH
    # As a figure is saved: at a resolution of its own.
    figure.savefig(io.BytesIO(), dpi=200)
    renderer = FigureCanvasAgg(figure).get_renderer()
    drawn, (width, height) = figure.get_tightbbox(renderer), figure.get_size_inches()
    edge = 0.01
    assert drawn.x0 > -edge
    assert drawn.y0 > -edge
    assert drawn.x1 < width + edge
    assert drawn.y1 < height + edge
    assert ax.get_xlabel()
    assert ax.get_ylabel()
    for axis in (ax.xaxis, ax.yaxis):
        boxes = list(_tick_boxes(axis, renderer))
        assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    legend = ax.get_legend()
    if legend is not None:
        label = ax.xaxis.label.get_window_extent(renderer)
        assert legend.get_window_extent(renderer).y1 <= label.y0 + 1
        sizes = [text.get_fontsize() for text in [*legend.get_texts(), legend.get_title()]]
        assert min(sizes) >= 7
    known = {*COLOURS.values(), "black"}
    assert {to_hex(line.get_color()) for line in ax.lines} <= {to_hex(colour) for colour in known}


def _tick_boxes(axis: Axis, renderer: object) -> list:
    low, high = sorted(axis.get_view_interval())
    ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
    shown = [tick.label1 for tick in ticks if low <= tick.get_loc() <= high and tick.label1.get_text()]
    return [label.get_window_extent(renderer) for label in shown]


def _shades(ax: Axes) -> list[dict[float, tuple[float, float]]]:
    ranges = []
    for collection in ax.collections:
        x, y = np.concatenate([path.vertices for path in collection.get_paths()]).T
        ranges.append({float(one): (float(y[x == one].min()), float(y[x == one].max())) for one in np.unique(x)})
    return ranges
