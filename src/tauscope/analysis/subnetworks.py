"""Whether a network has broken up into parts: clusters of its recurrent weights, and what each part is there for."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from tauscope.analysis.balance import input_map
from tauscope.analysis.checked import checked
from tauscope.errors import InputError, NotApplicableError
from tauscope.models.model import Model
from tauscope.tasks.base import OUT

Array = NDArray[np.float64]

_STARTS = 10


def subnetworks(weights: ArrayLike, n_clusters: int, *, seed: int = 0) -> xr.Dataset:
    """Group units by the recurrent weights that they send, and measure the weights within and between groups.

    Parameters
    ----------
    weights : array [to, from]
        Recurrent weights without self-connections, such as `tauscope.analysis.balance.single_matrix` returns.
    n_clusters : int
        Number of groups; for a network that tracks S signals, S.
    seed : int
        Of the random starts of the algorithm, of which the best is kept.

    Returns
    -------
    Dataset [unit, to, from]
        ``cluster [unit]``, numbered by size, the largest as 0; ``size`` of each; ``block_mean [to, from]``, the mean
        weight that the units of one group receive from those of another; ``within`` and ``between``, the mean weight of
        all pairs of units in one group and in different groups, and ``ratio``, the former over the latter. Weights of
        units to themselves count nowhere. What has no pair is NaN.

    Raises
    ------
    InputError
        If the weights are no finite square matrix, or there are not so many different units.

    Notes
    -----
    Source: Engelken & Goedeke, NeurIPS 2022, published code, where k-means groups the columns of J too; there the means
    count 100 units whatever their number, and the empty diagonal as weights within. Any matrix can be cut into groups:
    without subnetworks the ratio is near 1.

    Examples
    --------
    >>> W = -np.kron(np.eye(2), np.ones((3, 3)))
    >>> result = subnetworks(W, 2)
    >>> result["size"].values, result.within.item(), result.between.item()
    (array([3, 3]), -1.0, 0.0)
    """
    # Its import takes as long as that of torch.
    from sklearn.cluster import KMeans

    W = np.asarray(weights, dtype=float)
    if W.ndim != 2 or W.shape[0] != W.shape[1] or not np.isfinite(W).all():
        raise InputError(f"weights have shape {W.shape}: expected a finite square matrix [to, from]")
    different = len(np.unique(W, axis=1).T)
    if not 1 <= n_clusters <= different:
        raise InputError(
            f"{n_clusters} clusters: expected 1 ... {different}, as many as units that differ "
            f"(nearest valid value: {min(max(n_clusters, 1), different)})"
        )
    found = KMeans(n_clusters, n_init=_STARTS, random_state=seed).fit(W.T).labels_
    sizes = np.bincount(found, minlength=n_clusters)
    order = np.argsort(-sizes, kind="stable")
    cluster = np.argsort(order)[found]
    return _dataset(W, cluster, sizes[order])


def _dataset(W: Array, cluster: NDArray[np.int64], sizes: NDArray[np.int64]) -> xr.Dataset:
    member = np.eye(len(sizes))[cluster].T
    sums = member @ (W - np.diag(np.diag(W))) @ member.T
    pairs = np.outer(sizes, sizes) - np.diag(sizes)
    same = np.eye(len(sizes), dtype=bool)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums / pairs
        within, between = sums[same].sum() / pairs[same].sum(), sums[~same].sum() / pairs[~same].sum()
        ratio = within / between
    weight = {"units": "1"}
    return xr.Dataset(
        {
            "cluster": ("unit", cluster, {"long_name": "group of a unit", **weight}),
            "size": ("to", sizes, {"long_name": "units in a group", "units": "units"}),
            "block_mean": (("to", "from"), means, {"long_name": "mean recurrent weight", **weight}),
            "within": ((), within, {"long_name": "mean recurrent weight within groups", **weight}),
            "between": ((), between, {"long_name": "mean recurrent weight between groups", **weight}),
            "ratio": ((), ratio, {"long_name": "mean weight within over between groups", **weight}),
        },
        coords={"to": np.arange(len(sizes)), "from": np.arange(len(sizes))},
    )


@checked
@torch.no_grad()
def alignment(model: Model, head: str = OUT) -> xr.Dataset:
    """Measure whether the units that receive a channel of the input are those that an output reads.

    Parameters
    ----------
    model : Model
        A balanced, leaky or rectified network of one layer.
    head : str
        Name of the head.

    Returns
    -------
    Dataset [unit, channel, output]
        ``input_weight [unit, channel]`` and ``output_weight [unit, output]``, and their Pearson ``correlation [channel,
        output]`` over units; NaN where one does not vary.

    Raises
    ------
    NotApplicableError
        If the network has several layers, or its input is not multiplied with one matrix.

    Notes
    -----
    Source: Engelken & Goedeke, NeurIPS 2022, published code. In a network that has broken up, the correlation of a
    channel with its own output is near 1, and with the others negative.

    Examples
    --------
    >>> from tauscope.models import BalancedRNN
    >>> result = alignment(BalancedRNN(20, n_inputs=2, generator=torch.Generator().manual_seed(0)))
    >>> result.correlation.shape, bool((abs(result.correlation) < 1).all())
    ((2, 2), True)
    """
    if len(model.layers) != 1:
        raise NotApplicableError(f"a network of {len(model.layers)} layers: expected one, which is both shown and read")
    into, _ = input_map(model.layers[0])
    (linear,) = model.heads.asked([head])
    weights = [matrix.detach().double().cpu().numpy() for matrix in (into, linear.weight.t())]
    centred = [matrix - matrix.mean(axis=0) for matrix in weights]
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = [matrix / np.linalg.norm(matrix, axis=0) for matrix in centred]
    units = {"units": "1"}
    return xr.Dataset(
        {
            "input_weight": (("unit", "channel"), weights[0], {"long_name": "input weight", **units}),
            "output_weight": (("unit", "output"), weights[1], {"long_name": "read-out weight", **units}),
            "correlation": (
                ("channel", "output"),
                scaled[0].T @ scaled[1],
                {"long_name": "correlation of input and read-out weights", **units},
            ),
        },
        coords={
            name: 1 + np.arange(matrix.shape[1]) for name, matrix in zip(("channel", "output"), weights, strict=True)
        },
    )
