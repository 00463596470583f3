"""Untrained networks tell more, and sooner, the more tightly they are balanced."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tauscope import InputError
from tauscope.analysis import information_against_balance, linear_information_rate


def test_the_information_rate_grows_with_balance_as_published() -> None:
    """Spec, check (i): 2.48, 5.80, 12.7, 24.0 and 39.6 for b = 1 … 16, in one network."""
    result = information_against_balance()
    rates = result.information_rate.values[0]
    assert (np.diff(rates) > 0).all()
    ratios = rates[1:] / rates[:-1]
    assert ((ratios[:2] > 1.6) & (ratios[:2] < 2.6)).all()
    assert rates[:3] == pytest.approx([2.48, 5.80, 12.7], rel=0.12)
    # Rectification makes noise of its own, so that the linear theory is an upper bound here.
    share = rates / result.linear_rate.values
    assert ((share > 0.8) & (share < 1)).all()
    times = result.response_time.values[0]
    assert (np.diff(times) < 0).all()
    assert ((times > result.linear_time) & (times < 1.4 * result.linear_time)).all()


def test_every_network_is_another_one() -> None:
    result = information_against_balance((1.0, 3.0), n_units=20, n_steps=1000, n_networks=2)
    assert result.information_rate.dims == ("network", "balance")
    assert len(np.unique(result.information_rate)) == 4
    expected = linear_information_rate([0.2, 0.6], n_units=20, sigma=1.0, tau_signal=0.5, dt=0.05)
    np.testing.assert_allclose(result.linear_rate, expected)
    np.testing.assert_allclose(result.linear_time, [0.5, 0.25])
    again = information_against_balance(
        (1.0, 3.0), n_units=20, n_steps=1000, n_networks=2, generator=torch.Generator().manual_seed(0)
    )
    assert again.equals(result)


def test_a_balance_that_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match="a balance of 0: expected numbers above 0"):
        information_against_balance((1.0, 0))
    with pytest.raises(InputError, match="number of networks is 0"):
        information_against_balance(n_networks=0)
