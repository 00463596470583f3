"""What an update is: truncated gradients by brute force, penalties, and a learner of a user's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import tauscope as ts
from tauscope.learning.learners import BPTT, Piece, Supervised
from tauscope.learning.objectives import Term
from tauscope.learning.recipe import generators

N_STEPS = 11


@dataclass(frozen=True)
class Echo(ts.Task):
    """Say what was shown the step before, later answers counting more; states are held now and then."""

    n_answers: int = 6
    held: float = 0.2
    metric = "fractional_loss"

    @property
    def heads(self) -> dict[str, ts.Head]:
        return {"out": ts.Head(1, 1.0, 0.0)}

    def sample(self, batch_size: int, generator: torch.Generator, split: str = "train") -> ts.Batch:
        del split
        shown = torch.randn(N_STEPS, batch_size, 1, generator=generator)
        hold = torch.rand(N_STEPS, batch_size, generator=generator) < self.held
        targets = shown.roll(1, 0)[-self.n_answers :].unsqueeze(-1)
        return ts.Batch(shown, targets, weight=torch.arange(1.0, 1 + self.n_answers)[:, None, None, None], hold=hold)

    def loss(self, outputs: Tensor, batch: ts.Batch) -> Tensor:
        assert batch.weight is not None
        return (batch.weight * (outputs - batch.targets).square()).mean(dim=(0, 1, 3))

    def tally(self, outputs: Tensor, batch: ts.Batch) -> tuple[Tensor, Tensor]:
        errors = (outputs - batch.targets).square().sum(dim=(0, 1, 3))
        return errors, batch.targets.square().sum(dim=(0, 1, 3)).to(errors.dtype)


def network(kind: str = "leaky") -> ts.Model:
    generator = torch.Generator().manual_seed(0)
    cell = ts.GRUCell(1, 5, generator) if kind == "gru" else ts.LeakyCell(1, 5, generator)
    return ts.Model([cell], ts.Heads(5, ["out"], 1, True, generator)).double()


def descend(model: ts.Model, gradients: Any) -> None:
    with torch.no_grad():
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            parameter.sub_(0.05 * gradient)


@pytest.mark.parametrize("kind", ["leaky", "gru"])
@pytest.mark.parametrize(("window", "n_answers"), [(4, 11), (3, 7), (5, 2), (1, 3), (11, 11), (50, 6), (None, 6)])
def test_truncated_gradients_are_those_of_a_loop_that_forgets_at_every_window(
    kind: str, window: int | None, n_answers: int
) -> None:
    task, ours, plain = Echo(n_answers), network(kind), network(kind)
    draws, losses = generators(3), []
    for piece in Supervised(ours, task, gradient=BPTT(window)).pieces(6, draws):
        piece.backward()
        losses.append(piece.loss.item())
        descend(ours, [parameter.grad for parameter in ours.parameters()])
        ours.zero_grad()

    draws, expected = generators(3), []
    batch = task.sample(6, draws["data"])
    assert batch.weight is not None
    assert batch.hold is not None
    hidden = plain.hidden(plain.initial_state(6, draws["state"])).detach()
    for first in range(0, N_STEPS, window or N_STEPS):
        hidden, total, n_asked = hidden.detach(), torch.zeros((), dtype=torch.float64), 0
        for step in range(first, min(first + (window or N_STEPS), N_STEPS)):
            after = plain.hidden(plain.step(batch.inputs[step].double(), ((hidden,),)))
            hidden = torch.where(batch.hold[step][:, None], hidden, after)
            answer = step - N_STEPS + n_answers
            if answer >= 0:
                error = plain.readout(hidden, ["out"]) - batch.targets[answer]
                total, n_asked = total + batch.weight[answer, 0, 0, 0] * error.square().mean(), n_asked + 1
        if n_asked:
            expected.append((total / n_asked).item())
            descend(plain, torch.autograd.grad(total / n_asked, list(plain.parameters())))
    assert losses == pytest.approx(expected, rel=1e-10)
    for own, other in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(own, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("window", [1, 3, 5])
def test_a_head_that_a_window_does_not_ask_adds_nothing_to_its_loss(window: int) -> None:
    Ns = list(range(2, 9))
    task = ts.Parity(Ns, labels="every", length=12)
    model = ts.build_model(n_units=5, n_heads=len(Ns), generator=torch.Generator().manual_seed(0))
    learner = Supervised(model, task, gradient=BPTT(window), heads=tuple(task.heads))
    losses = [piece.loss.item() for piece in learner.pieces(4, generators(2))]

    draws = generators(2)
    batch = task.sample(4, draws["data"])
    states, _ = model(batch.inputs, model.initial_state(4, draws["state"]))
    errors = (
        -model.readout(states, tuple(task.heads)).log_softmax(-1).gather(-1, batch.targets[..., None]).mean(1)[..., 0]
    )
    expected = []
    for first in range(0, 12, window):
        asked = [[step for step in range(first, min(first + window, 12)) if step + 1 >= N] for N in Ns]
        if any(asked):
            means = [errors[steps, head].mean().item() for head, steps in enumerate(asked) if steps]
            expected.append(sum(means))
    assert losses == pytest.approx(expected, rel=1e-5)


@dataclass(frozen=True)
class Seldom(Echo):
    """Ask one trial in so many."""

    one_in: int = 10

    def sample(self, batch_size: int, generator: torch.Generator, split: str = "train") -> ts.Batch:
        batch = super().sample(batch_size, generator, split)
        asked = torch.rand(1, batch_size, 1, 1, generator=generator) < 1 / self.one_in
        return ts.Batch(batch.inputs, batch.targets, weight=asked.double(), hold=batch.hold)


@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize(
    ("task", "why"),
    [
        (Seldom(one_in=10**9), r"^Seldom asks nothing in 100 trials: every weight is 0, expected weights above 0"),
        (Seldom(), r"^Seldom asks nothing in the 1 trials of epoch 1, step \d+: .* try larger batches$"),
    ],
)
def test_a_task_that_asks_nothing_is_refused_by_name(task: Seldom, why: str, window: int | None) -> None:
    curriculum = ts.Curriculum([ts.Stage("only")], ts.Criterion("fractional_loss", epochs=1))
    model, recipe = network(), ts.Recipe(epochs=1, steps_per_epoch=50, batch_size=1, test_steps=1)
    with pytest.raises(ts.InputError, match=why):
        ts.train(model, task, curriculum, recipe, learner=Supervised(model, task, gradient=BPTT(window)))


def test_a_window_of_a_step_at_least() -> None:
    with pytest.raises(ts.InputError, match="window is 0: expected at least 1"):
        BPTT(0)


def test_terms_are_added_to_what_is_minimised_and_not_to_what_is_reported() -> None:
    terms = (
        Term(0.3, lambda trace, batch, _: trace.states.abs().mean() * len(batch.inputs)),
        Term(0.7, lambda *of: of[2].heads.linears[0].weight.square().sum(), n_steps=0),
    )
    model, task = network(), Echo(held=0.0)
    (piece,) = Supervised(model, task, terms).pieces(4, generators(1))
    piece.backward()

    draws = generators(1)
    batch = task.sample(4, draws["data"])
    states, _ = model(batch.inputs.double(), model.initial_state(4, draws["state"]))
    loss = task.loss(model.readout(states[-6:], ["out"]), batch).sum()
    head = model.heads.linears[0].weight
    total = loss + 0.3 * N_STEPS * states.abs().mean() + 0.7 * head.square().sum()
    assert piece.loss.item() == pytest.approx(loss.item(), rel=1e-12)
    for parameter, gradient in zip(
        model.parameters(), torch.autograd.grad(total, list(model.parameters())), strict=True
    ):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-9, atol=1e-12)


def test_a_recipe_hands_its_terms_on() -> None:
    weight = Term(1e3, lambda *of: of[2].heads.linears[0].weight.square().sum())
    curriculum = ts.Curriculum([ts.Stage("only")], ts.Criterion("fractional_loss", epochs=1))
    norms = []
    for terms in ((), (weight,)):
        model = network()
        recipe = ts.Recipe(
            epochs=1, steps_per_epoch=30, batch_size=4, test_steps=1, optimizer="adam", lr=0.01, terms=terms
        )
        ts.train(model, Echo(), ts.Curriculum(curriculum.stages, curriculum.criterion), recipe)
        norms.append(float(model.heads.linears[0].weight.detach().norm()))
    assert norms[1] < 0.5 * norms[0]


@dataclass(frozen=True)
class Shrinking:
    """Knows neither task nor run: brings the weights of a network to 0, and scores how large they are."""

    model: ts.Model

    def at(self, stage: ts.Stage) -> Shrinking:
        del stage
        return self

    def parameters(self) -> list[nn.Parameter]:
        return list(self.model.parameters())

    def settle(self) -> None:
        pass

    def _size(self) -> Tensor:
        return torch.stack([parameter.square().sum() for parameter in self.parameters()]).sum()

    def pieces(self, batch_size: int, generators: Any) -> Iterator[Piece]:
        del batch_size, generators
        for _ in range(2):
            loss = self._size()
            yield Piece(loss, loss.backward)

    def test(self, batch_size: int, n_batches: int, split: str, generators: Any) -> dict[str, list[float]]:
        del batch_size, n_batches, split, generators
        return {"fractional_loss": [float(self._size())]}


def test_the_loop_follows_a_learner_of_a_users_own() -> None:
    model = network()
    start = sum(float(parameter.detach().square().sum()) for parameter in model.parameters())
    curriculum = ts.Curriculum([ts.Stage("only")], ts.Criterion("fractional_loss", epochs=2))
    recipe = ts.Recipe(epochs=2, steps_per_epoch=3, lr=0.125, momentum=0.0, clip=1e9)
    history = ts.train(model, Echo(), curriculum, recipe, learner=Shrinking(model)).history
    # Each of two updates a step takes a quarter off every weight.
    sizes = [start * 0.75 ** (2 * 2 * 3 * epoch) for epoch in (1, 2)]
    assert [record["fractional_loss"][0] for record in history] == pytest.approx(sizes, rel=1e-9)
    first = start * sum(0.75 ** (2 * update) for update in range(6)) / 6
    assert history[0]["loss"] == pytest.approx(first, rel=1e-9)


def test_epochs_are_tested_on_the_split_that_the_recipe_names() -> None:
    class Noting(Echo):
        def sample(self, batch_size: int, generator: torch.Generator, split: str = "train") -> ts.Batch:
            splits.append(split)
            return super().sample(batch_size, generator, split)

    for split in ("test", "valid"):
        splits: list[str] = []  # the task is looked at twice before
        recipe = ts.Recipe(epochs=1, steps_per_epoch=2, batch_size=2, test_steps=3, split=split)
        ts.train(
            network(), Noting(), ts.Curriculum([ts.Stage("only")], ts.Criterion("fractional_loss", epochs=1)), recipe
        )
        assert splits[2:] == ["train"] * 2 + [split] * 3
