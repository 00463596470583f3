"""The streamed autocovariance against a brute-force one and against closed forms."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tauscope.analysis.autocorrelation import (
    StreamingAutocovariance,
    autocovariance,
    finite_length_bias,
    standard_error,
)
from tauscope.errors import InputError


def brute_force(series: np.ndarray, max_lag: int) -> np.ndarray:
    """Autocovariance [..., lag] of series [time, ...], product by product."""
    n = len(series)
    centred = series - series.mean(0)
    products = [(centred[: n - k] * centred[k:]).sum(0) / (n - k) for k in range(max_lag + 1)]
    return np.stack(products, -1)


def autoregression(phi: float, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """x_t = φ x_{t-1} + ε_t with unit innovations, started from its stationary distribution."""
    series = torch.randn(*shape, generator=generator, dtype=torch.float64)
    series[0] /= (1 - phi**2) ** 0.5
    for before, now in itertools.pairwise(series):
        now += phi * before
    return series


def streamed(series: torch.Tensor, max_lag: int, sizes: list[int], **options: int) -> torch.Tensor:
    stream = StreamingAutocovariance(max_lag, **options)
    for block in series.split(sizes):
        stream.update(block)
    return stream.result().covariance


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.float64, 1e-12)])
@pytest.mark.parametrize("max_lag", [0, 1, 30, 200])
def test_equals_brute_force_however_it_is_cut(max_lag, dtype, tolerance, generator):
    # A mean far above the fluctuations is what a naive sum of squares in float32 would not survive.
    series = torch.randn(5003, 3, 7, generator=generator).to(dtype) + 30 * torch.rand(3, 7, generator=generator)
    expected = brute_force(series.double().numpy(), max_lag)
    for sizes in ([5003], [17, 1986, 3000], [100] * 50 + [3]):
        measured = streamed(series.to(dtype), max_lag, sizes)
        np.testing.assert_allclose(measured.numpy(), expected, atol=tolerance)


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(1, 400), min_size=1, max_size=6), max_lag=st.integers(0, 40), seed=st.integers(0, 99))
def test_does_not_depend_on_the_blocks(sizes, max_lag, seed):
    sizes = [*sizes, max_lag + 1]
    series = torch.randn(sum(sizes), 2, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    expected = brute_force(series.numpy(), max_lag)
    np.testing.assert_allclose(streamed(series, max_lag, sizes).numpy(), expected, atol=1e-11)


def test_does_not_depend_on_the_memory_layout(generator):
    units_first = torch.randn(700, 9, 4, generator=generator)
    series = units_first.transpose(1, 2)
    assert not series.is_contiguous()
    torch.testing.assert_close(streamed(series, 20, [700]), streamed(series.contiguous(), 20, [700]), atol=1e-6, rtol=0)


def test_many_units_need_no_more_than_their_own_numbers(generator):
    series = torch.randn(300, 2, 3000, generator=generator)
    expected = brute_force(series[:, :, ::500].double().numpy(), 10)
    np.testing.assert_allclose(streamed(series, 10, [300])[:, ::500].numpy(), expected, atol=2e-6)


def test_segments_share_their_trial_mean_and_no_products(generator):
    max_lag, n_segments = 12, 4
    series = torch.randn(250, 2 * n_segments, 3, generator=generator, dtype=torch.float64).cumsum(0)
    trials = series.numpy().reshape(250, 2, n_segments, 3)
    centred = trials - trials.mean((0, 2), keepdims=True)
    products = [(centred[: 250 - k] * centred[k:]).sum((0, 2)) / (n_segments * (250 - k)) for k in range(max_lag + 1)]
    measured = streamed(series, max_lag, [90, 160], n_segments=n_segments)
    np.testing.assert_allclose(measured.numpy(), np.stack(products, -1), rtol=1e-10)


def test_published_estimator(generator):
    series = torch.randn(400, 3, 2, generator=generator, dtype=torch.float64)
    n = len(series)
    padded = np.concatenate([(series - series.mean(0)).numpy(), np.zeros(series.shape)])
    circular = np.fft.ifft(np.abs(np.fft.fft(padded, axis=0)) ** 2, axis=0).real[: n - 1]
    published = circular / np.arange(n - 1, 0, -1)[:, None, None]
    measured = autocovariance(series, 50, normalization="published").covariance
    np.testing.assert_allclose(measured.permute(2, 0, 1).movedim(0, -1).numpy(), np.moveaxis(published[:51], 0, -1))


@pytest.mark.parametrize("phi", [0.5, 0.9, -0.6])
def test_autoregression(phi, generator):
    covariance = autocovariance(autoregression(phi, (20_000, 10, 2), generator), 10).covariance.mean((0, 1))
    expected = phi ** torch.arange(11) / (1 - phi**2)
    torch.testing.assert_close(covariance, expected.double(), rtol=0, atol=0.03 * expected[0].item())


def test_finite_length_bias_restores_short_autoregressions(generator):
    n_steps, phi = 400, 0.95
    covariance = autocovariance(autoregression(phi, (n_steps, 4000, 1), generator), 100).covariance.mean((0, 1))
    expected = (phi ** torch.arange(31) / (1 - phi**2)).double()
    lags = torch.arange(-(n_steps - 1), n_steps)
    variance_of_mean = ((1 - lags.abs() / n_steps) * phi ** lags.abs() / (1 - phi**2)).sum() / n_steps
    bias = finite_length_bias(covariance, n_steps)
    assert bias.item() == pytest.approx(variance_of_mean.item(), rel=0.05)
    before, after = (covariance[:31] - expected).abs().max(), (covariance[:31] + bias - expected).abs().max()
    assert after < 0.25 * before


def test_standard_error_is_the_scatter_of_short_recordings(generator):
    n_steps, n_trials = 2000, 5
    covariance = autocovariance(autoregression(0.8, (n_steps, n_trials, 400), generator), 60).covariance
    average = covariance.mean(0)
    scatter = (average / average[:, :1])[:, 30:].std()
    assert standard_error(covariance, n_steps).mean().item() == pytest.approx(scatter.item(), rel=0.1)


def test_a_constant_unit_has_no_variance():
    series = torch.full((5000, 1, 1), 0.3)
    assert autocovariance(series, 5).covariance.abs().max() < 1e-12


def test_a_unit_that_is_not_finite_leaves_the_others_alone(generator):
    series = torch.randn(500, 2, 3, generator=generator)
    broken = series.clone()
    broken[250, 1, 2] = torch.inf
    measured, expected = autocovariance(broken, 5).covariance, autocovariance(series, 5).covariance
    assert not measured[1, 2].isfinite().any()
    measured[1, 2] = expected[1, 2]
    torch.testing.assert_close(measured, expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: autocovariance(torch.zeros(5, 1, 1), 5), "max_lag 5 needs a series of at least 6 steps"),
        (lambda: autocovariance(torch.zeros(6, 1, 1), 5, normalization="published"), "at least 7 steps"),
        (lambda: autocovariance(torch.zeros(6, 1, 1), 5, normalization="unbiast"), "did you mean 'unbiased'"),
        (lambda: autocovariance(torch.zeros(5, 1), 2), r"expected \[time, batch, unit\]"),
        (lambda: autocovariance(torch.zeros(0, 1, 1), 2), "at least one step"),
        (lambda: StreamingAutocovariance(-1), "max_lag is -1"),
        (lambda: streamed(torch.zeros(5, 3, 1), 2, [5], n_segments=2), "a batch of 3 series does not divide"),
        (lambda: finite_length_bias(torch.ones(11), 20), "needs at least 22 steps"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_blocks_of_another_shape_are_refused():
    stream = StreamingAutocovariance(3)
    stream.update(torch.zeros(5, 2, 4))
    with pytest.raises(InputError, match=r"expected \[time, 2, 4\]"):
        stream.update(torch.zeros(5, 2, 3))


def test_result_needs_data():
    with pytest.raises(InputError, match="it has 0"):
        StreamingAutocovariance(3).result()
