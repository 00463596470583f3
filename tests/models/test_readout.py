"""Heads: which one answers which N, and that the others stay as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from rounding import tolerance
from tauscope import Heads, InputError, LeakyRNN


def names(*Ns: int) -> list[str]:
    return [f"N{N}" for N in Ns]


def heads_for(Ns: range, shared: bool = False, n_outputs: int = 2) -> Heads:
    return Heads(6, names(*Ns), n_outputs, shared, torch.Generator().manual_seed(0))


def test_head_N_minus_2_answers_N(generator: torch.Generator) -> None:
    model = LeakyRNN(6, n_heads=100, generator=generator)
    states = torch.randn(3, 4, 6, generator=generator)
    assert len(model.heads.linears) == 100
    for N in (2, 3, 57, 101):
        head = model.heads.linears[N - 2]
        assert model.heads.index(f"N{N}") == N - 2
        torch.testing.assert_close(model.readout(states, f"N{N}"), head(states))


@pytest.mark.parametrize("n_outputs", [1, 2, 3])
def test_several_heads_are_read_in_the_asked_order(n_outputs: int, generator: torch.Generator) -> None:
    heads = heads_for(range(2, 12), n_outputs=n_outputs)
    states = torch.randn(3, 4, 6, generator=generator)
    asked = [9, 2, 4, 4]
    logits = heads(states, names(*asked))
    assert logits.shape == (3, 4, 4, n_outputs)
    for position, N in enumerate(asked):
        W, b = (parameter.detach().double().numpy() for parameter in heads.linears[N - 2].parameters())
        expected = states.double().numpy() @ W.T + b
        np.testing.assert_allclose(logits[:, :, position].detach(), expected, atol=tolerance(torch.float32, length=7))


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (2, 0, 1)])
def test_heads_and_their_gradients_do_not_depend_on_how_states_are_stored(
    order: tuple[int, int, int], generator: torch.Generator
) -> None:
    states = torch.randn(3, 4, 6, generator=generator)
    stored = states.permute(order).contiguous().permute(tuple(np.argsort(order))).requires_grad_()
    heads, weights = heads_for(range(2, 5)), torch.randn(3, 4, 3, 2, generator=generator)
    (heads(stored, names(2, 3, 4)) * weights).sum().backward()
    assert stored.grad is not None
    expected = sum(weights[:, :, i] @ head.weight.detach() for i, head in enumerate(heads.asked(names(2, 3, 4))))
    torch.testing.assert_close(stored.grad, expected)
    for i, head in enumerate(heads.asked(names(2, 3, 4))):
        torch.testing.assert_close(head.weight.grad, torch.einsum("tbo,tbu->ou", weights[:, :, i], states))
        torch.testing.assert_close(head.bias.grad, weights[:, :, i].sum(dim=(0, 1)))


def test_one_name_has_no_head_dimension_but_a_list_of_one_has(generator: torch.Generator) -> None:
    heads, states = heads_for(range(2, 12)), torch.randn(4, 6, generator=generator)
    assert heads(states, "N5").shape == (4, 2)
    assert heads(states, ["N5"]).shape == (4, 1, 2)
    assert heads(states[0], {"N5": 0, "N6": 1}).shape == (2, 2)


def test_a_shared_head_answers_every_N(generator: torch.Generator) -> None:
    heads, states = heads_for(range(2, 12), shared=True), torch.randn(4, 6, generator=generator)
    for name in ("N2", "N7", "N300", "out"):
        assert heads.index(name) == 0
        torch.testing.assert_close(heads(states, name), heads.linears[0](states))


@pytest.mark.parametrize("name", ["N1", "N12", "n2", "out", ""])
def test_an_unknown_name_is_refused_with_those_there_are(name: str) -> None:
    heads = heads_for(range(2, 12))
    line = rf"no head {name!r}: expected N2 … N11"
    with pytest.raises(InputError, match=line):
        heads.index(name)
    with pytest.raises(InputError, match=line):
        heads(torch.zeros(1, 6), ["N2", name])


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_heads_that_are_not_asked_get_no_gradient_and_do_not_move(optimizer: str, generator: torch.Generator) -> None:
    heads = heads_for(range(2, 12))
    # Decay and momentum would move every head that an optimiser sees.
    chosen: torch.optim.Optimizer = (
        torch.optim.SGD(heads.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1)
        if optimizer == "sgd"
        else torch.optim.AdamW(heads.parameters(), lr=0.1, weight_decay=0.1)
    )

    def step(asked: list[int]) -> set[int]:
        """Train these heads once and return the Ns of all heads that moved."""
        before = {name: parameter.detach().clone() for name, parameter in heads.named_parameters()}
        chosen.zero_grad()
        heads(torch.randn(4, 6, generator=generator), names(*asked)).square().sum().backward()
        chosen.step()
        with_gradient = {name for name, one in heads.named_parameters() if one.grad is not None}
        moved = {name for name, one in heads.named_parameters() if not torch.equal(one, before[name])}
        assert moved == with_gradient
        return {int(heads.names[int(name.split(".")[1])][1:]) for name in moved}

    assert step([2, 3]) == {2, 3}
    assert step([2, 3]) == {2, 3}
    # Heads 2 and 3 have momentum now, and keep still all the same.
    for _ in range(3):
        assert step([4, 11]) == {4, 11}


def test_training_a_shared_head_moves_the_first_one_alone(generator: torch.Generator) -> None:
    heads = heads_for(range(2, 12), shared=True)
    heads(torch.randn(4, 6, generator=generator), ["N7"]).sum().backward()
    assert [head.weight.grad is not None for head in heads.linears] == [True] + [False] * 9


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((6, "N2", 2), "names of heads are 'N2': expected a list of names"),
        ((6, [2, 3], 2), r"names of heads are \[2, 3\]: expected a list of names"),
        ((6, 2, 2), "names of heads are 2: expected a list of names"),
        ((6, [], 2), "number of heads is 0: expected at least 1"),
        ((6.0, ["N2"], 2), "number of units is 6.0: expected a whole number"),
        ((6, ["N2"], 0), "number of outputs is 0: expected at least 1"),
        ((6, ["N2"], "2"), "number of outputs is '2': expected a whole number"),
    ],
)
def test_heads_that_cannot_be_are_refused(arguments: Any, line: str) -> None:
    with pytest.raises(InputError, match=f"^{line}"):
        Heads(*arguments, False, torch.Generator())


@pytest.mark.parametrize("generator", [0, None, torch.Generator])
def test_heads_are_drawn_from_a_generator(generator: Any) -> None:
    with pytest.raises(InputError, match=r"^generator is .*: expected a torch.Generator"):
        Heads(6, ["N2"], 2, False, generator)


@pytest.mark.parametrize(
    ("states", "line"),
    [
        (np.zeros((2, 6)), r"states is of type ndarray: expected a tensor \[..., 6\]"),
        (torch.zeros(2, 5), r"states have shape \(2, 5\): expected \[..., 6\]"),
        (
            torch.zeros(2, 6, dtype=torch.float64),
            "states are torch.float64, heads torch.float32: expected one precision",
        ),
        (torch.zeros(2, 6, dtype=torch.complex64), "states are torch.complex64, heads torch.float32"),
    ],
)
def test_states_that_cannot_be_read_are_refused(states: Any, line: str) -> None:
    with pytest.raises(InputError, match=f"^{line}"):
        heads_for(range(2, 4))(states, "N2")
