"""Bits per character against answers that are known: uniform ones, frequencies of one and two characters, the forward algorithm."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tauscope import Heads, InputError, Model, build_model
from tauscope.analysis.language import bits_per_character
from tauscope.models.wrapped import wrap
from tauscope.tasks.language import bigram_entropy, unigram_entropy
from tauscope.tasks.text import Text


class Answers(Heads):
    """Read-outs that say what a function makes of the state, for networks whose answers are known."""

    def __init__(self, says: object) -> None:
        nn.Module.__init__(self)
        self.says, self.names, self.shared, self.linears = says, ("out",), False, nn.ModuleList()

    def forward(self, hidden: Tensor, names: object) -> Tensor:
        del names
        return self.says(hidden).unsqueeze(-2)  # type: ignore[operator]


def network(task: Text, step: object, n_units: int, says: object, initial: Tensor | None = None) -> Model:
    return wrap(step, task.n_inputs, n_units, initial=initial, heads=Answers(says))  # type: ignore[arg-type]


def still(_: Tensor, h: Tensor) -> Tensor:
    return h


def counting(_: Tensor, h: Tensor) -> Tensor:
    return h + 1


def seen(task: Text) -> Model:
    """Return a network whose state is the character that it was shown last."""
    return network(task, lambda x, h: x.to(h), task.n_inputs, None, torch.zeros(task.n_inputs).double())


@pytest.fixture(params=["milton", "hmm:5"])
def task(request: pytest.FixtureRequest) -> Text:
    return Text(request.param, window=20)


@pytest.mark.parametrize("split", ["train", "valid", "test"])
@pytest.mark.parametrize("reset", [False, True])
def test_uniform_answers_have_the_bits_of_the_vocabulary(task: Text, split: str, reset: bool) -> None:
    model = network(task, still, 1, lambda h: h.new_zeros(*h.shape[:-1], task.n_inputs))
    assert bits_per_character(model, task, split, reset=reset) == pytest.approx(math.log2(task.n_inputs), abs=1e-6)


def asked(task: Text, split: str, n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the characters that are asked of the rows of a text and those before each, cut out one by one."""
    text = task.part(split).numpy()
    length = (len(text) - 1) // n_rows
    before = [text[row * length + t] for row in range(n_rows) for t in range(length)]
    after = [text[row * length + t + 1] for row in range(n_rows) for t in range(length)]
    return np.array(before), np.array(after)


@pytest.mark.parametrize("n_rows", [1, 64, 1000])
def test_frequencies_have_the_entropy_of_single_characters(task: Text, n_rows: int) -> None:
    _, after = asked(task, "valid", n_rows)
    logits = torch.from_numpy(np.log(np.bincount(after, minlength=task.n_inputs) + 1e-300))
    model = network(task, still, 1, lambda h: logits.expand(*h.shape[:-1], -1), torch.zeros(1).double())
    assert bits_per_character(model, task, "valid", n_rows=n_rows) == pytest.approx(unigram_entropy(after), abs=1e-6)


def test_frequencies_of_pairs_have_the_conditional_entropy(task: Text) -> None:
    text = task.part("test").numpy()
    table = np.zeros((task.n_inputs, task.n_inputs))
    np.add.at(table, (text[:-1], text[1:]), 1)
    logits = torch.from_numpy(np.log(table / np.maximum(table.sum(axis=1, keepdims=True), 1) + 1e-300))
    model = seen(task)
    model.heads = Answers(lambda h: h @ logits)
    # One row holds every pair of the text.
    found = bits_per_character(model, task, n_rows=1)
    assert found == pytest.approx(bigram_entropy(text), abs=1e-6)


def test_a_bilinear_network_of_a_hidden_markov_language_has_its_entropy() -> None:
    task = Text("hmm:4", window=20)
    language = task.corpus.language
    assert language is not None
    steps, start = torch.from_numpy(language.steps), torch.from_numpy(language.start)

    def step(x: Tensor, h: Tensor) -> Tensor:
        moved = torch.einsum("bi,bx,xij->bj", h, x.to(h), steps)
        return moved / moved.sum(dim=-1, keepdim=True)

    model = network(task, step, 4, lambda h: (h @ steps.sum(dim=2).t()).log(), start)
    text = task.part("test").numpy()
    found = bits_per_character(model, task, n_rows=1)
    # The network is asked all but the first character, with what that says of the state.
    assert found == pytest.approx(language.surprise(text)[1:].mean(), abs=1e-6)
    assert found == pytest.approx(task.heads["out"].optimum, abs=1e-3)
    # A state that is set back forgets, so that nothing beats the optimum but by the chance of the text.
    assert bits_per_character(model, task, reset=True) > found + 0.01


def test_a_state_that_is_set_back_sees_no_more_than_a_window() -> None:
    """The network answers right as long as it has counted fewer steps than a window, and else it knows nothing."""
    task = Text("hmm:2", window=20)
    known = network(task, counting, 1, lambda h: torch.where(h <= 20, 0.0, 50.0) * torch.eye(8)[0], None)
    late = network(task, counting, 1, lambda h: torch.where(h <= 19, 0.0, 50.0) * torch.eye(8)[0], None)
    assert bits_per_character(known, task, reset=True) == pytest.approx(3.0, abs=1e-6)
    assert bits_per_character(late, task, reset=True) > 3.5
    assert bits_per_character(known, task) > 10


def test_windows_that_do_not_fill_a_part_are_no_longer_for_that() -> None:
    """Of 20 000 characters, two windows of 8000 are asked, and what is left over is not seen."""
    task = Text("hmm:2", window=8000)
    known = network(task, counting, 1, lambda h: torch.where(h <= 8000, 0.0, 50.0) * torch.eye(8)[0], None)
    assert bits_per_character(known, task, reset=True) == pytest.approx(3.0, abs=1e-6)
    assert task.rows("test", 2, 8000).targets.shape == (8000, 2, 1)
    assert task.rows("test", 2).targets.shape == (9999, 2, 1)


def test_a_trained_network_is_asked_every_character_once_in_order() -> None:
    task = Text("hmm:3", window=20)
    model = build_model("cp", 5, n_inputs=8, n_outputs=8, n_heads=1, generator=torch.Generator().manual_seed(0))
    model.heads.names = ("out",)
    text = task.part("valid")
    rows, length = 7, (len(text) - 1) // 7
    bits = []
    with torch.no_grad():
        for row in range(rows):
            state = model.initial_state(1)
            for t in range(row * length, (row + 1) * length):
                state = model.step(torch.eye(8)[text[t]][None], state)
                logits = model.readout(model.hidden(state), "out")[0].double()
                bits.append(float(-torch.log_softmax(logits, 0)[text[t + 1]] / math.log(2)))
    assert bits_per_character(model, task, "valid", n_rows=rows) == pytest.approx(np.mean(bits), abs=1e-4)


def test_parts_that_are_not_there_are_refused() -> None:
    task = Text("hmm:2")
    model = seen(task)
    with pytest.raises(InputError, match="did you mean 'test'"):
        bits_per_character(model, task, "tests")
    with pytest.raises(InputError, match=r"rows are 20000: expected 1 \.\.\. 19999"):
        bits_per_character(model, task, n_rows=20_000)
    with pytest.raises(InputError, match="rows is 0"):
        bits_per_character(model, task, n_rows=0)
