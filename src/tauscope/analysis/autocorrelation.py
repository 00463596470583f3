"""Autocovariance of long recordings, block by block, in memory that does not grow with their length."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import scipy.fft
import torch
from torch import Tensor

from tauscope.errors import InputError, require_at_least, require_choice

NORMALIZATIONS = ("unbiased", "biased", "published")

_MIN_FFT, _MAX_FFT = 256, 4096
# A working set of 2^18 floats stays in a core's L2 cache; larger and smaller ones measured slower.
_CHUNK_FLOATS = 2**18


@dataclass(frozen=True)
class Autocovariance:
    """Autocovariance of each trial and unit.

    Attributes
    ----------
    covariance : Tensor [trial, unit, lag], float64
        Autocovariance at lags 0 ... `max_lag`, in squared units of the activity.
    mean : Tensor [trial, unit], float64
        Mean activity, removed before the products.
    n_steps : int
        Number of steps of a trial, over all its segments.
    """

    covariance: Tensor
    mean: Tensor
    n_steps: int


class StreamingAutocovariance:
    """Collect the exact autocovariance of a series that arrives in blocks.

    The result does not depend on how the series is cut into blocks. Each block, preceded by the last `max_lag`
    samples before it, is zero-padded and adds its power spectrum; the products among the preceding samples, which
    the block before has counted, are taken off again. One transform back to lags at the end suffices.

    Parameters
    ----------
    max_lag : int
        Largest lag, in steps.
    n_segments : int
        Segments per trial. With more than one, the batch holds `n_segments` consecutive series for each trial; they
        share the trial's mean, and no product crosses from one to the next.

    Raises
    ------
    InputError
        If `max_lag` is negative or `n_segments` is not positive.

    Notes
    -----
    C(k) = 1/(n-k) Σ_t (x_t - m)(x_{t+k} - m), with m the mean of the whole trial. Sectioned correlation after
    Rader, "An improved algorithm for high speed autocorrelation with applications to spectral estimation",
    IEEE Trans. Audio Electroacoust. 18, 439 (1970).

    Examples
    --------
    >>> series = torch.tensor([1.0, -1.0, 1.0, -1.0]).reshape(4, 1, 1)
    >>> stream = StreamingAutocovariance(max_lag=1)
    >>> stream.update(series[:3])
    >>> stream.update(series[3:])
    >>> [round(value, 6) for value in stream.result().covariance.flatten().tolist()]
    [1.0, -1.0]
    """

    def __init__(self, max_lag: int, *, n_segments: int = 1) -> None:
        require_at_least("max_lag", max_lag, 0)
        require_at_least("n_segments", n_segments, 1)
        self.max_lag = max_lag
        self.n_segments = n_segments
        self.n_steps = 0
        self._shape = torch.Size()

    @torch.no_grad()
    def update(self, block: Tensor) -> None:
        """Add the next block of the series.

        Parameters
        ----------
        block : Tensor [time, batch, unit]
            Activity that follows directly on the block before; at least one step.

        Raises
        ------
        InputError
            If the block is not three-dimensional, is empty, or differs in batch or unit from the ones before.
        """
        if block.ndim != 3 or block.shape[0] == 0:
            raise InputError(f"a block has shape {tuple(block.shape)}: expected [time, batch, unit], at least one step")
        if not self._shape:
            self._allocate(block)
        if block.shape[1:] != self._shape:
            raise InputError(
                f"a block has shape {tuple(block.shape)}: expected [time, {self._shape[0]}, {self._shape[1]}]"
            )
        n_piece = self._n_fft - 2 * self.max_lag
        for start in range(0, len(block), n_piece):
            piece = block[start : start + n_piece].unflatten(1, (-1, self.n_segments))
            for trials, units in self._chunks(piece):
                self._add(piece[:, trials, :, units], (trials, slice(None), units))
            self.n_steps += len(piece)

    def result(self, normalization: str = "unbiased") -> Autocovariance:
        """Autocovariance of everything seen so far.

        Parameters
        ----------
        normalization : {"unbiased", "biased", "published"}
            Divide the sum of products at lag k by n-k, by n, or, as the published code does, by n-1-k.

        Returns
        -------
        Autocovariance
            Covariance [trial, unit, lag] and mean [trial, unit], in float64.

        Raises
        ------
        InputError
            If the series is not longer than `max_lag` (by two steps for "published").
        """
        require_choice("normalization", normalization, NORMALIZATIONS)
        shortest = self.max_lag + (2 if normalization == "published" else 1)
        if self.n_steps < shortest:
            raise InputError(
                f"max_lag {self.max_lag} needs a series of at least {shortest} steps: it has {self.n_steps}"
            )
        lags = torch.arange(self.max_lag + 1, dtype=torch.float64, device=self._sum.device)
        pairs = self.n_steps - {"unbiased": lags, "biased": 0 * lags, "published": lags + 1}[normalization]
        sums, mean = self._centred_sums()
        return Autocovariance(sums / (self.n_segments * pairs), mean, self.n_steps * self.n_segments)

    def _allocate(self, block: Tensor) -> None:
        n_steps, n_batch, n_units = block.shape
        if n_batch % self.n_segments:
            raise InputError(f"a batch of {n_batch} series does not divide into trials of {self.n_segments} segments")
        lag, n_trials = self.max_lag, n_batch // self.n_segments
        wanted = min(max(n_steps + 2 * lag, _MIN_FFT), max(_MAX_FFT, 4 * lag))
        self._n_fft = scipy.fft.next_fast_len(wanted, real=True)
        self._n_fft_overlap = scipy.fft.next_fast_len(max(2 * lag, 1), real=True)
        self._shape = block.shape[1:]
        # A provisional mean keeps the float32 products free of cancellation; the exact one is put in at the end.
        self._shift = block[: self._n_fft].mean(0).reshape(n_trials, self.n_segments, n_units)
        self._sum = self._shift.new_zeros(self._shift.shape, dtype=torch.float64)
        self._head = block.new_zeros(*self._shift.shape, lag)
        self._tail = torch.zeros_like(self._head)
        self._power = self._sum.new_zeros(n_trials, n_units, self._n_fft // 2 + 1, 2)
        self._overlap_power = self._sum.new_zeros(n_trials, n_units, self._n_fft_overlap // 2 + 1, 2)

    def _chunks(self, piece: Tensor) -> Iterator[tuple[slice, slice]]:
        """Parts of the trials and units that fit the cache and lie close together in memory."""
        _, n_trials, n_segments, n_units = piece.shape
        n_series = max(1, _CHUNK_FLOATS // self._n_fft // n_segments)
        batch_is_contiguous = piece.stride(2) < piece.stride(3) or n_units == 1
        across_trials = min(n_trials, n_series) if batch_is_contiguous else 1
        across_units = max(1, min(n_units, n_series // across_trials))
        for trial, unit in itertools.product(range(0, n_trials, across_trials), range(0, n_units, across_units)):
            yield slice(trial, trial + across_trials), slice(unit, unit + across_units)

    def _add(self, piece: Tensor, part: tuple[slice, slice, slice]) -> None:
        """Add a piece [time, trial, segment, unit] of some trials and units."""
        lag, n_new = self.max_lag, len(piece)
        window = piece.new_zeros(*piece.shape[1:], self._n_fft)
        fresh = window[..., lag : lag + n_new]
        window[..., :lag] = self._tail[part]
        fresh.copy_(piece.permute(1, 2, 3, 0))
        fresh -= self._shift[part][..., None]
        self._sum[part] += fresh.sum(-1)
        missing = min(max(lag - self.n_steps, 0), n_new)
        self._head[part][..., self.n_steps : self.n_steps + missing] = fresh[..., :missing]
        row = (part[0], part[2])
        self._power[row] += _squared_spectrum(window, self._n_fft)
        if lag and self.n_steps:
            self._overlap_power[row] += _squared_spectrum(window[..., :lag], self._n_fft_overlap)
        self._tail[part] = window[..., n_new : n_new + lag]

    def _centred_sums(self) -> tuple[Tensor, Tensor]:
        """Σ (x_t - m)(x_{t+k} - m) over the segments of each trial, [trial, unit, lag], and m, [trial, unit]."""
        sums = _lag_products(self._power, self._n_fft, self.max_lag)
        if self.max_lag:
            sums[..., :-1] -= _lag_products(self._overlap_power, self._n_fft_overlap, self.max_lag - 1)
        mean = (self._shift + self._sum / self.n_steps).mean(1)
        # With y = x - shift and d = m - shift, each factor (y - d) leaves edge sums that lack the last or first k steps.
        offset = (mean[:, None] - self._shift)[..., None]
        n_pairs = self.n_steps - torch.arange(self.max_lag + 1, dtype=torch.float64, device=mean.device)
        for trial, segment in itertools.product(range(len(mean)), range(self.n_segments)):
            place = (trial, segment)
            edges = 2 * self._sum[place][:, None] - _leading_sums(self._head[place])
            edges -= _leading_sums(self._tail[place].flip(-1))
            sums[trial] += n_pairs * offset[place].square() - offset[place] * edges
        return sums, mean


def autocovariance(series: Tensor, max_lag: int, *, normalization: str = "unbiased") -> Autocovariance:
    """Autocovariance of recorded activity.

    Parameters
    ----------
    series : Tensor [time, trial, unit]
        Activity; its mean over time is removed per trial and unit.
    max_lag : int
        Largest lag, in steps; shorter than the series.
    normalization : {"unbiased", "biased", "published"}
        See `StreamingAutocovariance.result`.

    Returns
    -------
    Autocovariance
        Covariance [trial, unit, lag] and mean [trial, unit], in float64.

    Raises
    ------
    InputError
        If the series is not longer than `max_lag`.

    Notes
    -----
    C(k) = 1/(n-k) Σ_t (x_t - m)(x_{t+k} - m); see `StreamingAutocovariance`.

    Examples
    --------
    >>> ramp = torch.arange(4.0).reshape(4, 1, 1)
    >>> autocovariance(ramp, 1, normalization="biased").covariance.round(decimals=4).flatten().tolist()
    [1.25, 0.3125]
    """
    stream = StreamingAutocovariance(max_lag)
    stream.update(series)
    return stream.result(normalization)


def finite_length_bias(covariance: Tensor, n_steps: int) -> Tensor:
    """Variance of the sample mean, by which removing that mean lowers the autocovariance at every lag.

    Parameters
    ----------
    covariance : Tensor [..., lag]
        Measured autocovariance at lags 0, 1, ...; what lies beyond the last lag is taken as zero.
    n_steps : int
        Number of steps that entered the mean.

    Returns
    -------
    Tensor [...]
        Amount to add at every lag, in squared units of the activity; linear in the covariance, so that it may be
        averaged over trials, and below zero only by chance.

    Raises
    ------
    InputError
        If the covariance has more lags than half the series.

    Notes
    -----
    E[Ĉ(k)] ≈ C(k) - v with v = 1/n Σ_{|j|<n} (1-|j|/n) C(j) (Priestley, Spectral Analysis and Time Series, 1981). With C = Ĉ + v on the measured lags and w_j = 1-|j|/n, v = Σ w_j Ĉ(j) / (n - Σ w_j).

    Examples
    --------
    >>> round(finite_length_bias(torch.tensor([1.0, 0.0, 0.0]), 100).item(), 4)
    0.0105
    """
    n_lags = covariance.shape[-1]
    if 2 * n_lags > n_steps:
        raise InputError(f"a bias estimate from {n_lags} lags needs at least {2 * n_lags} steps: there are {n_steps}")
    weights = 2 * (1 - torch.arange(n_lags, dtype=covariance.dtype, device=covariance.device) / n_steps)
    weights[0] = 1
    return (covariance * weights).sum(-1) / (n_steps - weights.sum())


def standard_error(covariance: Tensor, n_steps: int) -> Tensor:
    """Sampling error of an autocorrelation averaged over trials, at lags where it has decayed.

    Parameters
    ----------
    covariance : Tensor [trial, ..., lag]
        Measured autocovariance of each trial at lags 0, 1, ...
    n_steps : int
        Number of steps of a trial.

    Returns
    -------
    Tensor [...]
        Standard error of Σ_trials C(k) / Σ_trials C(0).

    Notes
    -----
    Var ρ(k) ≈ 1/n Σ_j ρ(j)² (Bartlett, J. R. Stat. Soc. Suppl. 8, 27 (1946)), for each trial; the trials are
    independent and weigh as their variances. At short lags the error is smaller.

    Examples
    --------
    >>> white = torch.tensor([[1.0, 0.0, 0.0]]).expand(4, 3)
    >>> standard_error(white, 2500)
    tensor(0.0100)
    """
    squares = covariance.square()
    both_sides = 2 * squares.sum(-1) - squares[..., 0]
    return (both_sides.sum(0) / n_steps).sqrt() / covariance[..., 0].sum(0)


def _squared_spectrum(series: Tensor, n_fft: int) -> Tensor:
    """Squared real and imaginary parts, summed over segments: [trial, segment, unit, time] to [trial, unit, f, 2]."""
    squares = torch.view_as_real(torch.fft.rfft(series, n_fft)).square_()
    return squares[:, 0] if squares.shape[1] == 1 else squares.sum(1)


def _lag_products(power: Tensor, n_fft: int, max_lag: int) -> Tensor:
    return torch.fft.irfft(power.sum(-1), n_fft)[..., : max_lag + 1]


def _leading_sums(values: Tensor) -> Tensor:
    return torch.nn.functional.pad(values.double().cumsum(-1), (1, 0))
