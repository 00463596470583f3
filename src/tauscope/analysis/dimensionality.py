"""How many dimensions the activity fills: principal components of streamed covariances."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from tauscope.analysis.checked import checked
from tauscope.analysis.simulation import probabilities, segments, simulate
from tauscope.errors import InputError, require_at_least
from tauscope.models.kernels.gemm import matmul_nt
from tauscope.models.model import Model


class StreamingCovariance:
    """Collect the covariance of a series that arrives in blocks; the result does not depend on where they are cut.

    Products are taken about the mean of the first block, which keeps them free of cancellation; the exact mean is put
    in at the end.

    Examples
    --------
    >>> stream = StreamingCovariance()
    >>> stream.update(torch.tensor([[[1.0, 0.0]], [[0.0, 0.0]]]))
    >>> stream.update(torch.tensor([[[2.0, 0.0]]]))
    >>> stream.result().round(decimals=6)
    tensor([[[1., 0.],
             [0., 0.]]], dtype=torch.float64)
    """

    def __init__(self) -> None:
        self.n_samples = 0
        self._shift: Tensor | None = None

    @torch.no_grad()
    def update(self, block: Tensor) -> None:
        """Add the next samples of every trial.

        Parameters
        ----------
        block : Tensor [time, trial, unit]
            Activity, at least one step.
        """
        if self._shift is None:
            self._shift = block.mean(dim=0)
            n_trials, n_units = self._shift.shape
            self._sum = block.new_zeros(n_trials, n_units, dtype=torch.float64)
            self._products = block.new_zeros(n_trials, n_units, n_units, dtype=torch.float64)
        centred = (block - self._shift).permute(1, 2, 0).contiguous()
        self._sum += centred.sum(dim=2, dtype=torch.float64)
        for products, samples in zip(self._products, centred, strict=True):
            products += matmul_nt(samples, samples)
        self.n_samples += len(block)

    def result(self) -> Tensor:
        """Return the unbiased covariance ``[trial, unit, unit]`` of everything seen so far, in float64."""
        if self.n_samples < 2:
            raise InputError(f"a covariance of {self.n_samples} samples: expected at least 2")
        outer = self._sum[:, :, None] * self._sum[:, None, :]
        return (self._products - outer / self.n_samples) / (self.n_samples - 1)


@checked
def dimensionality(
    model: Model,
    *,
    fraction: float = 0.9,
    n_trials: int = 10,
    n_steps: int = 10_000,
    burn_in: int = 500,
    p: float | Sequence[float] | str | None = None,
    repeat: int = 1,
    plus_minus: bool = False,
    split: int | None = None,
    generator: torch.Generator | None = None,
) -> xr.Dataset:
    """Measure the dimensionality of a network's activity under random bits.

    Parameters
    ----------
    model : Model
        The network; nothing of it is changed.
    fraction : float
        Share of the variance that the counted components hold, in (0, 1].
    n_trials : int
        Trials, each with its own initial state and input.
    n_steps, burn_in : int
        Recorded steps of each trial, and steps before them that are not recorded. The published code records
        100 500; the counts of its networks are the same at 10 000.
    p : float, sequence of float, "quantiles" or "uniform", optional
        Probability of a 1, for all trials or each, or how it is drawn from U(0, 1): as the midpoints of equal parts in
        random order ("quantiles", the default), or freely for every trial ("uniform").
    repeat : int
        Number of steps for which each bit is shown.
    plus_minus : bool
        Code the bits as -1 and +1 instead of 0 and 1.
    split : int, optional
        Segments into which each trial is cut, run side by side with its p and pooled about its mean; each has a
        burn-in of its own. ``None`` takes what is fastest.
    generator : torch.Generator, optional
        Source of p, initial states and inputs; seeded with 0 if not given.

    Returns
    -------
    Dataset [trial, component]
        ``n_components`` and ``participation_ratio`` of every trial, ``variance`` of its principal components in
        squared units of the activity, the largest first, and its ``p``. The sample size of a statistic over networks
        is their number: average over trials first.

    Raises
    ------
    InputError
        If an option is out of range or the activity does not stay finite.

    Notes
    -----
    With λ_1 ≥ λ_2 ≥ … the eigenvalues of a trial's covariance, ``n_components`` is the smallest k with
    Σ_{i≤k} λ_i ≥ fraction · Σ λ_i, and the participation ratio (Σ λ_i)² / Σ λ_i². Source: Khajehabdollahi et al.,
    ICLR 2024, section 4.2; the published code returns k - 1. Without any variance they are 0 and NaN.

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.LeakyRNN(8, generator=torch.Generator().manual_seed(0))
    >>> result = dimensionality(model, n_trials=2, n_steps=1000)
    >>> dict(result.sizes), bool((result.n_components >= 1).all())
    ({'trial': 2, 'component': 8}, True)
    """
    if not 0 < fraction <= 1:
        raise InputError(f"fraction is {fraction}: expected a share of the variance in (0, 1], such as 0.9")
    if generator is None:
        generator = torch.Generator().manual_seed(0)
    seed = generator.initial_seed()
    chances = probabilities(p, n_trials, generator)
    n_segments = segments(n_trials, n_steps, burn_in) if split is None else split
    require_at_least("split", n_segments, 1)
    stream = StreamingCovariance()
    blocks = simulate(
        model,
        chances.repeat(n_segments),
        -(-n_steps // n_segments),
        burn_in=burn_in,
        repeat=repeat,
        plus_minus=plus_minus,
        generator=generator,
    )
    for block in blocks:
        # Segments of a trial stand n_trials apart, so this lines them up one behind the other.
        stream.update(block.reshape(-1, n_trials, model.n_units))
    variance = torch.linalg.eigvalsh(stream.result()).flip(-1).clamp(min=0).cpu().numpy()
    result = spectrum_summary(variance, fraction).assign(p=("trial", chances.cpu().numpy(), {"units": "1"}))
    return result.assign_attrs(
        units="activity^2",
        fraction=fraction,
        n_steps=stream.n_samples,
        burn_in=burn_in,
        split=n_segments,
        repeat=repeat,
        plus_minus=int(plus_minus),
        seed=str(seed),
    )


def spectrum_summary(variance: NDArray[np.float64], fraction: float) -> xr.Dataset:
    """Return what is counted from spectra of principal components.

    Parameters
    ----------
    variance : array [trial, component]
        Eigenvalues of the covariance in squared units of the activity, the largest first.
    fraction : float
        Share of the variance that the counted components hold.

    Returns
    -------
    Dataset [trial, component]
        ``n_components``, ``participation_ratio`` and ``variance``, as `dimensionality` gives them.

    Examples
    --------
    >>> result = spectrum_summary(np.array([[2.0, 2.0, 0.0]]), 0.9)
    >>> result.n_components.item(), result.participation_ratio.item()
    (2, 2.0)
    """
    total = variance.sum(axis=1)
    # The last sum may exceed the total by rounding; comparing sums with sums makes a fraction of 1 reachable.
    cumulative = variance.cumsum(axis=1)
    n_components = 1 + (cumulative < fraction * cumulative[:, -1:]).sum(axis=1)
    squares = np.square(variance).sum(axis=1)
    ratio = np.divide(np.square(total), squares, out=np.full_like(total, np.nan), where=squares > 0)
    return xr.Dataset(
        {
            "n_components": (
                "trial",
                np.where(total > 0, n_components, 0),
                {"long_name": f"principal components for {fraction:.0%} of the variance", "units": "1"},
            ),
            "participation_ratio": ("trial", ratio, {"long_name": "participation ratio", "units": "1"}),
            "variance": (
                ("trial", "component"),
                variance,
                {"long_name": "variance of a principal component", "units": "activity^2"},
            ),
        },
        coords={"trial": np.arange(len(variance)), "component": 1 + np.arange(variance.shape[1])},
    )
