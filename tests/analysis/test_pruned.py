"""Curves of pruned networks against networks that are pruned one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from cells import network
from tauscope import InputError, LeakyRNN, Parity, prune
from tauscope.analysis.connectivity import connectivity
from tauscope.analysis.pruned import pruning_curves
from tauscope.analysis.pruning import METHODS


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def model() -> LeakyRNN:
    return LeakyRNN(10, n_heads=2, generator=generator())


def test_all_and_none_are_the_network_and_the_control() -> None:
    result = pruning_curves(model(), Parity((2, 3), length=20), shares=[0.5], n_trials=40, n_draws=2)
    assert result.rule.values.tolist() == list(METHODS)
    assert result.share.values.tolist() == [1.0, 0.5, 0.0]
    assert result["head"].values.tolist() == ["N2", "N3"]
    for share in (1.0, 0.0):
        own = result.score.sel(share=share)
        assert float((own - own[0, 0]).max()) == 0
    assert result.radius.sel(share=1.0).values == pytest.approx(
        float(connectivity(model()).spectral_radius[0]), rel=1e-5
    )
    assert (result.radius.sel(share=0.0) == 0).all()
    assert result.exponent.notnull().all()
    assert result.tau_removed.isnull().all()
    np.testing.assert_allclose(result.tau_kept, float(model().tau.detach().mean()), rtol=1e-6)


def test_a_point_is_a_pruned_network() -> None:
    found = pruning_curves(model(), Parity((2, 3), length=20), methods=["magnitude"], shares=[0.4], n_trials=10)
    pruned = prune(model(), "magnitude", 0.4)
    radius = float(connectivity(pruned).spectral_radius[0])
    assert found.radius.sel(share=0.4).values == pytest.approx(radius, rel=1e-5)


@pytest.mark.parametrize("name", ["gru", "lstm", "layers", "noisy"])
def test_networks_of_every_kind_are_pruned(name: str) -> None:
    own = network(name)
    result = pruning_curves(own, Parity((2, 3), length=12), shares=[0.5], n_trials=8, n_draws=1, rescale="radius")
    assert result.score.notnull().all()
    assert result.exponent.notnull().all()


def test_fewer_units_are_pruned_where_there_is_room() -> None:
    result = pruning_curves(
        model(),
        Parity((2, 3), length=20),
        methods=["random", "activity"],
        shares=[0.9, 0.1],
        keep_units=0.5,
        n_trials=10,
    )
    assert result.score.sel(share=0.9).isnull().all(), "between half of the units there is a quarter of the synapses"
    assert result.score.sel(share=0.1).notnull().all()
    assert result.tau_removed.sel(share=0.1).notnull().all()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"methods": []}, "no methods: expected one or more of random"),
        ({"methods": ["randm"]}, "method 'randm' is unknown: .*did you mean 'random'"),
        ({"methods": "random"}, "methods is 'random': expected several texts"),
        ({"shares": [1.2]}, "shares are .*expected shares of the synapses in"),
        ({"shares": 0.5}, "shares is 0.5: expected several numbers"),
        ({"n_draws": 0}, "number of draws is 0"),
        ({"n_trials": 0}, "number of trials is 0"),
        ({"rescale": "half"}, "rescale 'half' is unknown"),
        ({"keep_units": 2.5}, "keep_units is 2.5"),
    ],
)
def test_what_cannot_be_asked_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        pruning_curves(model(), Parity((2, 3), length=20), **options)
