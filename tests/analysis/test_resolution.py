"""Accuracy at other time steps: against the equations in NumPy, and on a network that counts its time steps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor

from problems import leaky_states
from rounding import tolerance, undecided
from tauscope import Cell, DelayedMatchToSample, Heads, InputError, LeakyRNN, Model, Parity
from tauscope.analysis import resolution
from tauscope.analysis.accuracy import binomial_interval
from tauscope.models import State
from tauscope.tasks import BinaryMemoryTask


def continuous(seed: int = 0, **options: object) -> LeakyRNN:
    return LeakyRNN(6, form="continuous", n_heads=4, generator=torch.Generator().manual_seed(seed), **options)


class _Counter(Cell):
    """Counts the steps of a bit, takes the bit in at its last one, and tells whether it equals the one before.

    The units are the steps so far, the last bit, the one before, and whether they are equal.
    """

    def __init__(self, k: int = 1) -> None:
        super().__init__(1, 4)
        self.k = k

    def step(self, x: Tensor, state: State, noise: Tensor | None = None) -> State:
        assert noise is None
        counted, last, before, _ = state[0].split(1, dim=1)
        counted = counted + 1
        ends = counted == self.k
        before, last = torch.where(ends, last, before), torch.where(ends, x, last)
        return (torch.cat([torch.where(ends, 0, counted), last, before, (last == before).float()], dim=1),)

    def at_resolution(self, k: int) -> _Counter:
        return _Counter(k)


def counter() -> Model:
    heads = Heads(4, ["N2"], 2, False, torch.Generator().manual_seed(0))
    with torch.no_grad():
        heads.linears[0].weight.zero_()
        heads.linears[0].weight[1, 3] = 1.0
        heads.linears[0].bias.copy_(torch.tensor([0.5, 0.0]))
    return Model([_Counter()], heads)


@pytest.mark.parametrize("task", [Parity([2], length=7), DelayedMatchToSample([2], plus_minus=True, length=11)])
@pytest.mark.parametrize("options", [{}, {"afunc": "tanh", "shared_head": True}])
def test_accuracy_is_that_of_the_equations_at_every_resolution(task: BinaryMemoryTask, options: dict) -> None:
    """At k = 100 a sequence is longer than one of the blocks in which it is run."""
    model, ks, Ns, n = continuous(**options), (1, 3, 100), (2, 3), 24
    result = resolution(model, task, Ns, ks=ks, n_sequences=n, generator=torch.Generator().manual_seed(5))
    generator = torch.Generator().manual_seed(5)
    bits = replace(task, p=0.5, plus_minus=False).sample(n, generator).inputs[..., 0].numpy()
    (start,) = model.initial_state(n, generator)
    right, near = np.empty((2, len(ks), len(Ns)))
    for i, k in enumerate(ks):
        shown = np.repeat(2 * bits - 1 if task.plus_minus else bits, k, axis=0)[..., None]
        last = leaky_states(model.at_resolution(k), torch.from_numpy(shown), start[0])[-1]
        for j, N in enumerate(Ns):
            head = model.heads.linears[0 if model.heads.shared else N - 2]
            logits = last @ head.weight.detach().numpy().T + head.bias.detach().numpy()
            answer = bits[-N:].sum(axis=0) % 2 if isinstance(task, Parity) else bits[-1] == bits[-N]
            right[i, j] = (logits.argmax(axis=1) == answer).mean()
            # The states forget in some τ < 2 k steps what rounding has done to them.
            within = tolerance(torch.float32, length=6, steps=2 * k)
            near[i, j] = undecided(torch.from_numpy(logits), within).double().mean()
    assert near.max() < 0.1
    assert (np.abs(result["accuracy"].values - right) <= near + 1e-9).all()
    low, high = binomial_interval((result["accuracy"].values * n).round().astype(int), n)
    np.testing.assert_allclose(result["low"], low)
    np.testing.assert_allclose(result["high"], high)


def test_a_network_that_counts_its_steps_is_right_at_every_resolution() -> None:
    result = resolution(counter(), DelayedMatchToSample([2]), [2], ks=[1, 2, 7, 200], n_sequences=64)
    np.testing.assert_array_equal(result["accuracy"], 1)
    np.testing.assert_array_equal(result["dt"], [1, 1 / 2, 1 / 7, 1 / 200])
    assert result["dt"].attrs["units"] == "bits"
    assert result["chance"].item() == 0.5


def test_the_same_sequences_are_shown_at_every_resolution() -> None:
    model, task = continuous(), Parity([2])
    alone = resolution(model, task, [2, 3], ks=[3], n_sequences=50, batch_size=20)
    among = resolution(model, task, [2, 3], ks=[5, 3, 1, 3], n_sequences=50, batch_size=20)
    assert among["k"].values.tolist() == [1, 3, 5]
    xr.testing.assert_equal(alone, among.sel(k=[3]))


def test_the_network_may_be_at_any_resolution_and_stays_as_it_is() -> None:
    model = continuous()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    fine = model.at_resolution(9)
    xr.testing.assert_equal(resolution(model, Parity([2]), [2], ks=[2]), resolution(fine, Parity([2]), [2], ks=[2]))
    assert (model.layers[0].k, fine.layers[0].k) == (1, 9)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ks": []}, "steps a bit"),
        ({"ks": [0, 1]}, "k is 0"),
        ({"n_sequences": 0}, "sequences"),
        ({"batch_size": 0}, "batch size"),
        ({"Ns": [9]}, "9"),
    ],
)
def test_bad_input_is_named(options: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        resolution(continuous(), Parity([2]), **({"Ns": [2]} | options))


@pytest.mark.parametrize("form", ["default", "mod"])
def test_a_network_without_time_steps_is_refused(form: str) -> None:
    model = LeakyRNN(4, form=form, generator=torch.Generator().manual_seed(0))
    with pytest.raises(InputError, match="'continuous'"):
        resolution(model, Parity([2]), [2])
