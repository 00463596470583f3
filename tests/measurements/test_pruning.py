"""Which networks can be pruned, and what they are asked then."""

from __future__ import annotations

import pytest
import torch

from few import few
from tauscope import LeakyRNN, Parity, build_model
from tauscope.measurements import MEASUREMENTS, Subject
from tauscope.tasks import Series

LISTED = MEASUREMENTS["pruning"]


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize(("shared", "heads"), [(False, ["N2", "N3", "N4"]), (True, ["N4"])])
def test_a_network_of_bits_is_asked_every_N_that_it_solved(shared: bool, heads: list[str]) -> None:
    subject = Subject(LeakyRNN(8, n_heads=4, shared_head=shared, generator=generator()), Parity((4,)), (2, 4), seed=0)
    result = LISTED.measure(subject, **few("pruning", subject))
    assert result["head"].values.tolist() == heads
    numbers = LISTED.numbers(result)
    assert numbers["accuracy, not pruned"] == pytest.approx(float(result.score.sel(share=1.0)[0, 0].mean()))
    assert "accuracy, 50% of the synapses kept (lyapunov)" in numbers


def test_spiking_networks_are_asked_their_own_trials() -> None:
    task = Series(n_steps=30, burn_in=10)
    model = build_model("lif", 8, n_outputs=3, n_heads=1, shared_head=True, generator=generator())
    result = LISTED.measure(Subject(model, task, (1, 1), seed=0), n_trials=4, n_draws=1, shares=(0.5,))
    assert result.attrs["metric"] == "error"
    assert result.tau_kept.notnull().all()


def test_what_has_no_synapses_says_so() -> None:
    model = build_model("leaky_units", 4, n_heads=4, generator=generator())
    assert "has no recurrent weights" in LISTED.lacks(Subject(model, Parity((2,)), (2, 3), seed=0))
    assert LISTED.lacks(Subject(LeakyRNN(4, n_heads=4, generator=generator()), Parity((2,)), (2, 3), seed=0)) == ""
