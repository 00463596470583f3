"""What a network answers: the end of its states, whatever it was run in, and what training makes of it."""

import pytest
import torch

import tauscope as ts
from tauscope.learning.gradients import answer
from tauscope.learning.objectives import LAST_STEPS
from tauscope.tasks import Batch

BATCH, N_STEPS = 5, 12
HEADS = ["N2", "N3"]


def drawn(
    n_answers: int, hold: bool = False, noise: bool = False
) -> tuple[ts.Model, Batch, tuple, torch.Tensor | None]:
    generator = torch.Generator().manual_seed(0)
    model = ts.LeakyRNN(6, n_heads=4, generator=generator)
    inputs = torch.randn(N_STEPS, BATCH, 1, generator=generator)
    held = torch.rand(N_STEPS, BATCH, generator=generator) < 0.5 if hold else None
    private = 0.1 * torch.randn(N_STEPS, BATCH, 6, generator=generator) if noise else None
    batch = Batch(inputs, torch.zeros(n_answers, BATCH, 2), hold=held)
    return model, batch, model.initial_state(BATCH, generator), private


@pytest.mark.parametrize("hold", [False, True])
@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize("n_answers", [1, 3, 11])
@pytest.mark.parametrize("with_states", [False, True])
def test_an_answer_and_its_gradients_are_those_of_the_whole_sequence(hold, noise, n_answers, with_states):
    model, batch, initial, private = drawn(n_answers, hold, noise)
    every, _ = model(batch.inputs, initial, batch.hold, private)
    logits, states = answer(model, batch, HEADS, initial, private, with_states)
    torch.testing.assert_close(states, every[-max(n_answers, LAST_STEPS) :])
    torch.testing.assert_close(logits, model.readout(every[-n_answers:], HEADS))
    found, expected = (
        torch.autograd.grad(
            said.square().sum() + (end[-LAST_STEPS:].square().mean() if with_states else 0),
            list(model.parameters()),
            allow_unused=True,
        )
        for said, end in ((logits, states), (model.readout(every[-n_answers:], HEADS), every))
    )
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_a_head_that_is_not_there_is_named():
    model, batch, initial, _ = drawn(1)
    with pytest.raises(ts.InputError, match="no head 'N7'"):
        answer(model, batch, ["N7"], initial)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_training_repeats_bit_for_bit(n_threads):
    def weights() -> torch.Tensor:
        model = ts.LeakyRNN(512, n_heads=4, generator=torch.Generator().manual_seed(0))
        recipe = ts.Recipe(epochs=1, steps_per_epoch=3, batch_size=130, test_steps=1)
        ts.train(model, ts.Parity([2]), ts.cumulative(last=3), recipe)
        return torch.cat([one.detach().flatten() for one in model.parameters()])

    torch.set_num_threads(n_threads)
    try:
        assert torch.equal(weights(), weights())
    finally:
        torch.set_num_threads(1)
