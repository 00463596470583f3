"""Slices of a batch: together they are the batch, and only the number of threads decides how many there are."""

from collections.abc import Iterator

import pytest
import torch

import tauscope as ts
from tauscope.penalties import LAST_STEPS, activity_penalty
from tauscope.slices import Shown, Slices, Threads, answer, cuts
from tauscope.tasks import Batch

N_UNITS, BATCH = 512, 130


@pytest.fixture
def two_threads() -> Iterator[None]:
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


def network(n_units: int = N_UNITS, **options) -> ts.Model:
    return ts.LeakyRNN(n_units, n_heads=4, generator=torch.Generator().manual_seed(0), **options)


def parameters(model: ts.Model) -> list[torch.nn.Parameter]:
    return list(model.parameters())


def batch(model: ts.Model, hold: bool = False) -> tuple[Batch, tuple]:
    generator = torch.Generator().manual_seed(1)
    drawn = ts.Parity([2, 3]).sample(BATCH, generator)
    held = torch.rand(drawn.inputs.shape[:2], generator=generator) < 0.5 if hold else None
    return Batch(drawn.inputs, drawn.targets, hold=held), model.initial_state(BATCH, generator)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(("n_units", "batch_size"), [(8, BATCH), (N_UNITS, 64), (N_UNITS, 1)])
def test_small_batches_stay_whole(n_units, batch_size):
    assert Slices(network(n_units), batch_size).bounds == [(0, batch_size)]


def test_one_thread_takes_one_slice():
    assert Slices(network(), BATCH).bounds == [(0, BATCH)]


@pytest.mark.usefixtures("two_threads")
def test_slices_cover_the_batch():
    assert Slices(network(), BATCH).bounds == [(0, 65), (65, BATCH)]


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("hold", [False, True])
@pytest.mark.parametrize("with_noise", [False, True])
@pytest.mark.parametrize("penalty", [None, activity_penalty])
def test_slices_give_the_outputs_and_gradients_of_the_whole(hold, with_noise, penalty):
    model = network()
    drawn, initial = batch(model, hold)
    generator = torch.Generator().manual_seed(2)
    noise = 0.1 * torch.randn(len(drawn.inputs), BATCH, N_UNITS, generator=generator) if with_noise else None
    states, last = model(drawn.inputs, initial, drawn.hold, noise)
    whole = model.readout(model.hidden(last).unsqueeze(0), [2, 3])
    seeds = torch.randn(whole.shape, generator=generator)
    roots = [whole] if penalty is None else [whole, penalty(states)]
    expected = torch.autograd.grad(roots, parameters(model), [seeds, None][: len(roots)], allow_unused=True)
    slices = Slices(model, BATCH)
    outputs = slices.outputs(model, drawn, [2, 3], initial, noise, penalty)
    torch.testing.assert_close(torch.cat([one.logits for one in outputs], dim=1), whole)
    slices.backward(outputs, seeds, parameters(model))
    gradients = [one.grad for one in parameters(model)]
    assert [one is None for one in gradients] == [one is None for one in expected]
    assert any(one is None for one in gradients)
    for ours, theirs in zip(gradients, expected, strict=True):
        if theirs is not None:
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("two_threads")
def test_threads_have_their_share_of_the_processor():
    with Threads(2) as threads:
        assert threads.map(lambda _: torch.get_num_threads(), range(2)) == [1, 1]
    assert torch.get_num_threads() == 2


def test_cuts_cover_everything_once():
    assert [list(range(*one)) for one in cuts(7, 3)] == [[0, 1], [2, 3], [4, 5, 6]]


@pytest.mark.usefixtures("two_threads")
def test_no_graph_is_built_where_none_is_asked():
    model = network()
    with torch.no_grad():
        outputs = Slices(model, BATCH).outputs(model, batch(model)[0], [2], batch(model)[1])
    assert len(outputs) == 2
    assert not any(one.logits.requires_grad for one in outputs)


def test_the_states_of_an_answer_are_those_at_the_end():
    model = network(8)
    drawn, initial = batch(model)
    inputs = torch.cat([drawn.inputs, drawn.inputs])
    logits, states = answer(model, Shown(inputs), initial, [2], 3)
    every, _ = model(inputs, initial)
    assert len(states) == LAST_STEPS < len(every)
    _, most = answer(model, Shown(inputs), initial, [2], len(inputs) - 2)
    torch.testing.assert_close(most, every[2:])
    torch.testing.assert_close(states, every[-LAST_STEPS:])
    torch.testing.assert_close(logits, model.readout(every[-3:], [2]))


@pytest.mark.usefixtures("two_threads")
def test_the_callers_threads_come_back_also_after_an_error():
    def enter_and_fail() -> None:
        with Slices(network(), BATCH):
            assert torch.get_num_threads() == 1
            raise RuntimeError

    with pytest.raises(RuntimeError):
        enter_and_fail()
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_an_error_in_a_slice_reaches_the_caller():
    model = network()
    drawn, initial = batch(model)
    with pytest.raises(ts.InputError, match="no head for N = 7"):
        Slices(model, BATCH).outputs(model, drawn, [7], initial)


@pytest.mark.usefixtures("two_threads")
def test_training_in_slices_repeats_bit_for_bit():
    def weights() -> torch.Tensor:
        model = network()
        recipe = ts.Recipe(epochs=1, steps_per_epoch=3, batch_size=BATCH, test_steps=1)
        ts.train(model, ts.Parity([2]), ts.Cumulative(max_N=3), recipe)
        return torch.cat([one.detach().flatten() for one in parameters(model)])

    assert torch.equal(weights(), weights())
