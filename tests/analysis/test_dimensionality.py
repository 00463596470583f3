from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from problems import linear_model
from rounding import tolerance
from tauscope import InputError, load
from tauscope.analysis.dimensionality import StreamingCovariance, dimensionality, spectrum_summary
from tauscope.analysis.simulation import probabilities, simulate
from tauscope.models.wrapped import wrap
from zoo import N_UNITS, ZOO


@settings(max_examples=25, deadline=None)
@given(
    cuts=st.lists(st.integers(1, 30), min_size=1, max_size=6),
    offset=st.floats(-1e3, 1e3),
    seed=st.integers(0, 2**31),
)
def test_streamed_covariance_is_that_of_numpy(cuts: list[int], offset: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    series = random.normal(size=(sum(cuts) + 1, 2, 3)) @ random.normal(size=(3, 3)) + offset
    stream = StreamingCovariance()
    for block in torch.from_numpy(series).split([*cuts, 1]):
        stream.update(block)
    expected = np.stack([np.cov(series[:, trial], rowvar=False) for trial in range(2)])
    np.testing.assert_allclose(stream.result(), expected, rtol=1e-9, atol=1e-9)


def test_a_large_mean_does_not_drown_the_covariance(generator: torch.Generator) -> None:
    series = 100 + 0.01 * torch.randn(5000, 1, 3, generator=generator)
    stream = StreamingCovariance()
    for block in series.split(500):
        stream.update(block)
    np.testing.assert_allclose(stream.result()[0], np.cov(series[:, 0].double().numpy(), rowvar=False), atol=1e-9)


def test_a_single_sample_has_no_covariance() -> None:
    stream = StreamingCovariance()
    stream.update(torch.zeros(1, 1, 2))
    with pytest.raises(InputError, match="1 samples: expected at least 2"):
        stream.result()


@pytest.mark.parametrize(
    ("fraction", "count"), [(0.39, 1), (0.4, 1), (0.41, 2), (0.7, 2), (0.71, 3), (0.9, 3), (0.91, 4), (1.0, 4)]
)
def test_components_are_counted_from_one(fraction: float, count: int) -> None:
    """Of 4 + 3 + 2 + 1, one component holds 40 %, two hold 70 %, three 90 %."""
    result = spectrum_summary(np.array([[4.0, 3.0, 2.0, 1.0]]), fraction)
    assert result.n_components.item() == count
    assert result.participation_ratio.item() == pytest.approx(100 / 30)


def test_n_equal_components_have_participation_ratio_n() -> None:
    result = spectrum_summary(np.array([[2.0, 2.0, 2.0, 0.0, 0.0]]), 0.9)
    assert result.participation_ratio.item() == pytest.approx(3)
    assert result.n_components.item() == 3


def test_without_variance_there_is_no_dimension() -> None:
    result = dimensionality(wrap(lambda _, h: 0 * h, 1, 3), n_trials=2, n_steps=50)
    assert result.n_components.values.tolist() == [0, 0]
    assert result.participation_ratio.isnull().all()


@pytest.mark.parametrize("rank", [1, 3, 5])
@pytest.mark.parametrize("split", [1, 4])
def test_planted_rank_is_found(rank: int, split: int) -> None:
    """h = V x with independent bits x: covariance p (1 - p) V Vᵀ, of the rank of V."""
    V = np.linalg.qr(np.random.default_rng(rank).normal(size=(20, rank)))[0] * np.linspace(2, 1, rank)
    model = linear_model(np.zeros((20, 20)), V)
    result = dimensionality(model, fraction=1 - 1e-9, n_trials=3, n_steps=20_000, burn_in=2, p=0.3, split=split)
    assert result.n_components.values.tolist() == [rank] * 3
    spectrum = np.linspace(2, 1, rank) ** 2 * 0.3 * 0.7
    np.testing.assert_allclose(result.variance.mean("trial")[:rank], spectrum, rtol=0.03)
    assert result.variance[:, rank:].max() < 1e-12
    np.testing.assert_allclose(result.participation_ratio, spectrum.sum() ** 2 / (spectrum**2).sum(), rtol=0.03)


@pytest.mark.parametrize("name", ZOO)
def test_spectrum_is_that_of_the_recorded_activity(name: str, generator: torch.Generator) -> None:
    model = ZOO[name](generator)
    options = {"burn_in": 20, "repeat": 2, "plus_minus": True}
    result = dimensionality(
        model, n_trials=2, n_steps=300, split=1, **options, generator=torch.Generator().manual_seed(3)
    )
    again = torch.Generator().manual_seed(3)
    states = torch.cat(list(simulate(model, probabilities(None, 2, again), 300, **options, generator=again)))
    for trial in range(2):
        covariance = np.cov(states[:, trial].double().numpy(), rowvar=False)
        expected = np.linalg.eigvalsh(covariance)[::-1]
        # The products are sums in float32 over 300 steps: their error is one of all components alike.
        atol = tolerance(torch.float32, length=300) * expected[0]
        np.testing.assert_allclose(result.variance[trial], expected, rtol=1e-4, atol=atol)
    assert result.variance.sizes == {"trial": 2, "component": N_UNITS}


def test_segments_of_a_trial_share_its_p_and_its_mean() -> None:
    """With p = 0 or 1 nothing varies: only a mix-up of trials or a mean of each segment could show a variance."""
    model = linear_model(np.zeros((1, 1)), np.ones((1, 1)))
    result = dimensionality(model, n_trials=3, n_steps=400, burn_in=1, p=[0.0, 0.5, 1.0], split=4)
    np.testing.assert_allclose(result.variance[:, 0], [0, 0.25, 0], atol=0.01)
    assert result.attrs["n_steps"] == 400
    assert result.p.values.tolist() == [0.0, 0.5, 1.0]


@pytest.mark.parametrize("fraction", [0, -1, 1.1, float("nan")])
def test_a_fraction_outside_the_unit_interval_is_refused(fraction: float, generator: torch.Generator) -> None:
    with pytest.raises(InputError, match="expected a share of the variance"):
        dimensionality(ZOO["default"](generator), fraction=fraction)


@pytest.mark.reference
@pytest.mark.parametrize(
    ("run", "checkpoint", "published"),
    [
        ("cumulative", "rnn_N2_N2", 3),
        ("cumulative", "rnn_N2_N5", 8),
        ("single", "rnn_N2_N2", 3),
        ("single", "rnn_N5_N5", 5.6),
    ],
)
def test_published_networks_have_their_dimensionality(
    run: str, checkpoint: str, published: float, reference: Path
) -> None:
    """Spec section 3, p = 0.5. There single N = 5 is a mean over networks; this one has 6 in every trial."""
    model = load(reference / "trained_models" / f"{run}_parity_network_1" / checkpoint)
    measured = dimensionality(model, n_trials=2, n_steps=2000, p=0.5).n_components.mean().item()
    assert measured == pytest.approx(published, abs=0.5)
