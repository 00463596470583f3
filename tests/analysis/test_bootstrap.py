"""Resampled trials: what may stand for what, and the spread that follows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import tauscope as ts
from problems import linear_model
from tauscope.analysis.bootstrap import resamples
from tauscope.analysis.simulation import probabilities
from tauscope.analysis.timescales import timescales, timescales_summary
from tauscope.measurements.numbers import timescale_numbers


@given(n=st.integers(2, 15), seed=st.integers(0, 2**31), neighbours=st.booleans())
def test_weights_are_those_of_as_many_trials(n: int, seed: int, neighbours: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    p = probabilities("quantiles", n, generator)
    weights = resamples(p, 20, generator, neighbours=neighbours)
    np.testing.assert_allclose(weights.sum(1), n)
    assert (weights >= 0).all()
    if neighbours:
        # Groups of two, and one of three of an odd number: each keeps its weight, so that no part of (0, 1) is lost.
        sizes = [3] * (n % 2) + [2] * (n // 2 - n % 2)
        grouped = np.split(weights[:, p.argsort().numpy()], np.cumsum(sizes)[:-1], axis=1)
        np.testing.assert_allclose([group.sum(1) for group in grouped], np.transpose([sizes] * 20))


@pytest.mark.parametrize("n", [2, 6, 7])
def test_the_spread_of_a_mean_over_neighbours_is_the_textbook_one(n: int) -> None:
    """The variance of a stratified mean is Σ (size of the group)² · (variance in it) / (size of the group) / n²."""
    values = np.random.default_rng(0).normal(size=n) + 10 * np.arange(n)
    p = torch.arange(n) / n
    means = resamples(p, 40_000, torch.Generator().manual_seed(0), neighbours=True) @ values / n
    sizes = [3] * (n % 2) + [2] * (n // 2 - n % 2)
    groups = np.split(values, np.cumsum(sizes)[:-1])
    expected = sum(len(group) * group.var(ddof=1) for group in groups) / n**2
    assert means.var() == pytest.approx(expected, rel=0.03)
    assert means.mean() == pytest.approx(values.mean(), abs=4 * (expected / 40_000) ** 0.5)


def test_without_neighbours_any_trial_stands_for_any() -> None:
    values = np.random.default_rng(0).normal(size=6)
    means = resamples(torch.full((6,), 0.5), 40_000, torch.Generator().manual_seed(0)) @ values / 6
    assert means.var() == pytest.approx(values.var() / 6, rel=0.03)


def _network() -> ts.Model:
    """A network whose autocorrelations depend on p: strong weights under a nonlinearity."""
    model = ts.LeakyRNN(30, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        model.layers[0].recurrent.weight.mul_(1.8)
    return model


def test_midpoints_take_the_luck_of_the_drawn_p_from_a_mean() -> None:
    model, options = _network(), {"n_trials": 8, "n_steps": 3000, "max_lag": 40, "method": "published"}

    def means(p: str) -> np.ndarray:
        generators = [torch.Generator().manual_seed(seed) for seed in range(12)]
        results = [timescales(model, p=p, generator=generator, **options) for generator in generators]
        return np.array([result.autocorrelation.values[:, 1:6] for result in results])

    free, stratified = means("uniform"), means("quantiles")
    assert stratified.var(0).mean() < 0.3 * free.var(0).mean()
    # Both measure the same: they differ by no more than the free draws scatter.
    np.testing.assert_allclose(stratified.mean(0), free.mean(0), atol=4 * free.std(0).max() / 12**0.5)


def test_the_error_of_a_mean_is_the_spread_of_repeated_measurements() -> None:
    decays = np.random.default_rng(0).uniform(0.5, 0.9, 30)
    model = linear_model(np.diag(decays), np.ones((30, 1)))
    options = {"n_trials": 8, "n_steps": 1500, "burn_in": 100, "max_lag": 40, "bootstrap": 30}
    results = [timescales(model, generator=torch.Generator().manual_seed(seed), **options) for seed in range(10)]
    summaries = xr.concat([timescales_summary(result) for result in results], dim="repeat")
    spread, error = summaries.tau_net_mean.std("repeat", ddof=1), summaries.tau_net_error.mean("repeat")
    assert results[0].tau_net_resampled.dims == ("resample", "unit")
    assert ((0.5 * spread < error) & (error < 2 * spread)).all()
    numbers = timescale_numbers(results[0])
    assert numbers["its standard error over trials (steps)"] == pytest.approx(float(summaries.tau_net_error[0, 1]))
    alone = timescales(model, generator=torch.Generator().manual_seed(0), **options | {"bootstrap": 0})
    assert "tau_net_error" not in timescales_summary(alone)
    assert not any("standard error over trials" in name for name in timescale_numbers(alone))
