"""Pictures of connectivity: recurrent weights and their eigenvalues."""

from __future__ import annotations

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from tauscope.plotting.style import COLOURS, CYCLE, RC, integer_ticks, legend_below, new_axes

_CLIPPED = 0.99


@matplotlib.rc_context(RC)
def plot_weights(weights: ArrayLike, ax: Axes | None = None) -> Axes:
    """Plot the recurrent weights of a layer, white at zero.

    Parameters
    ----------
    weights : array [to, from]
        A matrix from `tauscope.analysis.connectivity.recurrent_matrices`. Colours saturate at the 99 % quantile of the
        magnitudes, so that a few large weights do not hide the others.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes drawn on. Weights that are not finite are grey.

    Examples
    --------
    >>> image = plot_weights([[0.0, -2.0], [1.0, 0.0]]).images[0]
    >>> image.norm.vmin == -image.norm.vmax
    True
    """
    ax = ax or new_axes(height=2.9)
    matrix = np.ma.masked_invalid(np.asarray(weights, dtype=float))
    magnitudes = np.abs(matrix.compressed())
    # The scale of a matrix of zeros does not matter.
    limit = float(np.quantile(magnitudes, _CLIPPED) or magnitudes.max() or 1) if magnitudes.size else 1.0
    colours = matplotlib.colormaps["RdBu_r"].with_extremes(bad=COLOURS["grey"])
    image = ax.imshow(matrix, cmap=colours, vmin=-limit, vmax=limit)
    beyond = float((magnitudes > limit).mean()) if magnitudes.size else 0.0
    colorbar = ax.figure.colorbar(image, ax=ax, extend="both" if beyond else "neither", shrink=0.85)
    colorbar.set_label(f"recurrent weight ({beyond:.1%} beyond the scale)" if beyond else "recurrent weight")
    ax.set(xlabel="from unit", ylabel="to unit")
    integer_ticks(ax.xaxis, ax.yaxis)
    return ax


@matplotlib.rc_context(RC)
def plot_eigenvalues(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Plot the eigenvalues of the recurrent weights W, and of the step at unit gain, diag(1 - 1/τ) + diag(1/τ) W.

    Parameters
    ----------
    result : Dataset
        From `tauscope.analysis.connectivity.connectivity`; matrices of all layers and gates are drawn.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes drawn on: the unit circle, then the eigenvalues of every matrix.

    Examples
    --------
    >>> import tauscope as ts
    >>> import torch
    >>> from tauscope.analysis.connectivity import connectivity
    >>> result = connectivity(ts.LeakyRNN(8, generator=torch.Generator().manual_seed(0)))
    >>> [len(cloud.get_xdata()) for cloud in plot_eigenvalues(result).lines[1:]]
    [8, 8]
    """
    matrices = [result.isel(matrix=i) for i in range(result.sizes["matrix"])]
    clouds = []
    for matrix in matrices:
        where = _place(matrix, int(result["layer"].max()))
        clouds.append((f"W{where}", matrix["eigenvalues"], matrix["spectral_radius"]))
        if np.isfinite(matrix["step_eigenvalues"]).any():
            clouds.append(
                (rf"step $I + (W - I) / \tau${where}", matrix["step_eigenvalues"], matrix["step_spectral_radius"])
            )
    ax = ax or new_axes(height=3.0 + 0.14 * len(clouds))
    angle = np.linspace(0, 2 * np.pi, 201)
    ax.plot(np.cos(angle), np.sin(angle), ls="--", lw=0.8, color="black", label="unit circle")
    for i, (name, values, radius) in enumerate(clouds):
        marker = "+" if name.startswith("step") else "os^"[i // len(CYCLE) % 3]
        label = f"{name}: spectral radius {float(radius):.2f}"
        ax.plot(*values.values.T, marker, ms=3, mew=0.6, alpha=0.8, color=CYCLE[i % len(CYCLE)], label=label)
    ax.set(xlabel="real part", ylabel="imaginary part")
    ax.set_aspect("equal", adjustable="datalim")
    units = {int(matrix["layer"]): int(matrix["eigenvalues"].isel(part=0).notnull().sum()) for matrix in matrices}
    legend_below(ax, title=f"1 network, {' + '.join(map(str, units.values()))} units")
    return ax


def _place(matrix: xr.Dataset, n_layers: int) -> str:
    """Return the layer and the gate of a matrix, in words; empty for a network with a single matrix."""
    gate = str(matrix["gate"].item())
    parts = [f"layer {int(matrix['layer'])}"] if n_layers > 1 else []
    parts += [gate] if gate != "recurrent" else []
    return f" ({', '.join(parts)})" if parts else ""
