"""Figures of several panels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tauscope.plotting.style import RC, legend_below

WIDTH = 7.0
"""Inches: two columns."""


@contextmanager
def panels(n_rows: int, n_columns: int, height: float, *, letters: bool = True) -> Iterator[tuple[Figure, list[Axes]]]:
    """Yield a figure of two columns' width in the common style, and its panels with letters, row by row.

    Examples
    --------
    >>> with panels(1, 2, 2.5) as (figure, axes):
    ...     [ax.get_title(loc="left") for ax in axes]
    ['a', 'b']
    """
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        figure.get_layout_engine().set(h_pad=0.08, w_pad=0.08)  # type: ignore[union-attr, call-arg]
        axes = list(figure.subplots(n_rows, n_columns, squeeze=False).ravel())
        for letter, ax in zip("abcdefghi", axes, strict=False):
            if letters:
                ax.set_title(letter, loc="left", fontweight="bold")
        yield figure, axes


def finish(ax: Axes, title: str | None = None, n_columns: int = 1) -> None:
    """Put the legend under a panel that has labelled artists or a title."""
    if ax.get_legend_handles_labels()[0] or title:
        legend_below(ax, title=title, n_columns=n_columns)
