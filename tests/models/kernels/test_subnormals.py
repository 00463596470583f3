"""Subnormal numbers taken for zero: in every thread, for as long as the context lasts, and without a change of weights."""

from __future__ import annotations

import copy
import subprocess
import sys

import pytest
import torch

import tauscope as ts
from tauscope.models.kernels.subnormals import can_flush, flushing, is_flushing

pytestmark = pytest.mark.skipif(not can_flush(), reason="this processor cannot take subnormal numbers for zero")
TINY = torch.finfo(torch.float32).tiny

# A pool of two threads that has worked before the mode is set, and is asked for what each of its threads computes.
POOL = """
import torch
from tauscope.models.kernels.subnormals import flushing, is_flushing
torch.set_num_threads(2)
numbers = torch.full((1 << 20,), 1e-39)
def flushed_halves():
    return [not bool((part * 1.0).any()) for part in ((numbers * 1.0)[: 1 << 19], (numbers * 1.0)[1 << 19 :])]
print(flushed_halves(), is_flushing())
with flushing() as flushed:
    print(flushed, (numbers * 1.0).count_nonzero().item(), is_flushing())
    with flushing(False) as flushed:
        print(flushed, (numbers * 1.0).count_nonzero().item() == len(numbers), is_flushing())
    print((numbers * 1.0).count_nonzero().item())
print((numbers * 1.0).count_nonzero().item() == len(numbers), is_flushing())
torch.set_flush_denormal(True)  # of this thread alone, by the caller
print(is_flushing())
with flushing() as flushed:
    print(flushed, (numbers * 1.0).count_nonzero().item())
"""


@pytest.mark.parametrize("first", ["", "import sklearn.cluster"], ids=["alone", "beside another OpenMP library"])
def test_the_mode_reaches_a_pool_that_exists_and_leaves_it_again(first: str) -> None:
    child = subprocess.run([sys.executable, "-c", first + POOL], capture_output=True, text=True, check=True)
    assert child.stdout.splitlines() == [
        "[False, False] False",
        "True 0 True",
        "False True False",
        "0",
        "True False",
        "False",
        "True 0",
    ]


def test_the_callers_mode_comes_back_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), flushing():
        raise ZeroDivisionError
    assert not is_flushing()
    with flushing():
        with pytest.raises(ZeroDivisionError), flushing(False):
            raise ZeroDivisionError
        assert is_flushing()


def fading(seed: int = 0) -> ts.Model:
    """Return a network through whose 60 steps gradients fade by a factor of 1e-60 and more."""
    model = ts.LeakyRNN(24, generator=torch.Generator().manual_seed(seed), afunc="tanh", tau=1.0)
    with torch.no_grad():
        for cell in model.layers:
            cell.recurrent.weight.mul_(0.1)
    return model


def gradients(model: ts.Model, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the gradient of the last state's sum with respect to the first inputs, and to the recurrent weights."""
    inputs = inputs.clone().requires_grad_()
    states, _ = model(inputs)
    wanted = torch.autograd.grad(states[-1].sum(), [inputs, model.layers[0].recurrent.weight])
    return wanted[0], wanted[1]


def subnormal(values: torch.Tensor) -> int:
    return int(((values != 0) & (values.abs() < TINY)).sum())


def test_no_subnormal_is_left_in_the_gradients_and_the_others_are_the_same() -> None:
    model, inputs = fading(), torch.randn(60, 8, 1, generator=torch.Generator().manual_seed(1))
    with flushing(False):
        kept = gradients(model, inputs)
    with flushing():
        flushed = gradients(model, inputs)
    assert subnormal(kept[0]) > 0, "the gradients of this network must fade for the test to mean anything"
    assert subnormal(flushed[0]) == subnormal(flushed[1]) == 0
    for with_them, without in zip(kept, flushed, strict=True):
        # What is lost is a sum of numbers below the smallest normal one, over 24 units and 60 steps.
        torch.testing.assert_close(without, with_them, rtol=1e-5, atol=24 * 60 * TINY)


def trained(flushes: bool) -> ts.Training:
    model = fading()
    recipe = ts.Recipe(epochs=1, steps_per_epoch=4, batch_size=8, test_steps=1)
    task, curriculum = ts.Parity((2,), length=60), ts.Curriculum(ts.cumulative(last=2))
    start = ts.Training(model, task, curriculum, recipe).state_dict() | {"flushes_subnormals": flushes}
    return ts.train(model, task, curriculum, recipe, state=copy.deepcopy(start))


def test_training_gives_the_same_weights_within_rounding_and_restores_the_mode() -> None:
    states = [trained(flushes).model.state_dict() for flushes in (True, False)]
    assert not is_flushing()
    for name, weight in states[0].items():
        torch.testing.assert_close(weight, states[1][name], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("flushes", [True, False])
def test_training_computes_in_the_mode_that_its_state_names(flushes: bool) -> None:
    modes = []
    model, recipe = fading(), ts.Recipe(epochs=1, steps_per_epoch=2, batch_size=4, test_steps=1)
    arguments = (model, ts.Parity(), ts.Curriculum(ts.cumulative(last=2)), recipe)
    state = copy.deepcopy(ts.Training(*arguments).state_dict())
    if flushes:
        assert state["flushes_subnormals"]
    else:
        del state["flushes_subnormals"]  # a state of version 0.1
    done = ts.train(*arguments, state=state, on_step=lambda *_: modes.append(is_flushing()))
    assert modes == [flushes] * 2
    assert done.state_dict()["flushes_subnormals"] == flushes
    assert not is_flushing()


def test_training_that_stops_by_an_error_restores_the_mode() -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ts.train(fading(), ts.Parity([2]), ts.cumulative(last=2), ts.Recipe(epochs=1, batch_size=4), on_step=fail)
    assert not is_flushing()


def test_analyses_that_differentiate_flush_and_restore() -> None:
    seen = []

    def step(x: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
        seen.append(is_flushing())
        return torch.tanh(0.5 * h + x)

    ts.analysis.lyapunov(ts.wrap(step, 1, 3), 2, n_steps=5, burn_in=1, n_trials=1)
    assert seen
    assert all(seen)
    assert not is_flushing()
