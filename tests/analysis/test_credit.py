"""Truncated gradients: hand-computed, and by brute force with parameters of its own for every step."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import tauscope as ts
from cells import network
from rounding import tolerance
from tauscope import Heads, InputError, Model
from tauscope.analysis import credit
from tauscope.analysis.credit import Answered, compare
from tauscope.errors import NotApplicableError
from tauscope.measurements import MEASUREMENTS, Subject
from tauscope.models import Cell, State, build_model
from tauscope.tasks import CueGame

T, B = 9, 3


@dataclass(frozen=True)
class Targets(ts.Task):
    """Squared errors of random targets at the last steps, of which some do not count, with steps that hold the state."""

    n_answers: int = T
    held: float = 0.0
    head: str = "N2"
    n_outputs: int = 2
    n_inputs = 1
    metric = "fractional_loss"

    @property
    def heads(self) -> dict[str, ts.Head]:
        return {self.head: ts.Head(self.n_outputs, 1.0, 0.0)}

    def sample(self, batch_size: int, generator: torch.Generator, split: str = "train") -> ts.Batch:
        del split
        shown = torch.randn(T, batch_size, 1, generator=generator, dtype=torch.float64)
        shape = (self.n_answers, batch_size, 1, self.n_outputs)
        targets = torch.randn(shape, generator=generator, dtype=torch.float64)
        weight = (torch.arange(self.n_answers) != 1).double()[:, None].expand(-1, batch_size)
        hold = torch.rand(T, batch_size, generator=generator) < self.held if self.held else None
        return ts.Batch(shown, targets, weight=weight, hold=hold)

    def loss(self, outputs: Tensor, batch: ts.Batch) -> Tensor:
        assert batch.weight is not None
        return ((outputs - batch.targets).square() * batch.weight[..., None, None]).sum(dim=(0, 1, 3))

    def tally(self, outputs: Tensor, batch: ts.Batch) -> tuple[Tensor, Tensor]:
        return self.loss(outputs, batch), batch.targets.square().sum(dim=(0, 1, 3))


def generator(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def by_answer_and_step(model: Model, task: Targets) -> Tensor:
    """Return ∂L_t/∂θ_s ``[answer, step, parameter]`` by a loop of which every step has parameters of its own."""
    draws = generator()
    batch = task.sample(B, draws)
    state = model.initial_state(B, draws, batch.start)
    noise = model.draw_noise(T, B, draws)
    names = [name for name, kept in model.named_parameters() if name.startswith("cells.") and kept.requires_grad]
    own = [{name: model.get_parameter(name).detach().clone().requires_grad_() for name in names} for _ in range(T)]
    outputs = []
    for t in range(T):
        moved = torch.func.functional_call(
            _Step(model), {f"model.{name}": kept for name, kept in own[t].items()}, (batch.inputs[t], state,
                                                                                  None if noise is None else noise[t])
        )  # fmt: skip
        if batch.hold is not None:
            held = batch.hold[t][:, None]
            moved = tuple(
                tuple(torch.where(held, old, new) for old, new in zip(*layers, strict=True))
                for layers in zip(state, moved, strict=True)
            )
        state = moved
        outputs.append(model.readout(model.hidden(state), [task.head]))
    rows = []
    assert batch.weight is not None
    for i, t in enumerate(range(T - task.n_answers, T)):
        loss = ((outputs[t] - batch.targets[i]).square() * batch.weight[i][:, None, None]).sum()
        leaves = [own[s][name] for s in range(T) for name in names]
        found = torch.autograd.grad(loss, leaves, retain_graph=True, allow_unused=True, materialize_grads=True)
        rows.append(torch.cat([each.flatten() for each in found]).view(T, -1))
    return torch.stack(rows)


class _Step(nn.Module):
    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, state: tuple[State, ...], noise: Tensor | None) -> tuple[State, ...]:
        return self.model.step(x, state, noise)


def followed_back(parts: Tensor, window: int, n_answers: int) -> Tensor:
    """Return the sum of the parts of every answer that are less than so many steps old."""
    age = torch.arange(T - n_answers, T)[:, None] - torch.arange(T)
    return (parts * (age < window)[..., None]).sum(dim=(0, 1))


@pytest.mark.parametrize(("n_answers", "held"), [(T, 0.0), (T, 0.3), (4, 0.3), (1, 0.0)])
@pytest.mark.parametrize(
    "name", ["default", "layers", "single head", "gru", "lstm", "own cell", "noisy", "noisy gru", "relu"]
)
def test_every_answer_is_followed_back_for_k_steps(name: str, n_answers: int, held: float) -> None:
    model = network(name)
    task = Targets(n_answers, held, model.heads.names[0])
    parts = by_answer_and_step(model, task)
    whole = followed_back(parts, T, n_answers)
    answered = Answered.of(model, task, B, T, generator())
    result = credit(model, task, windows=[1, 2, 5, T - 1, T, 50], n_trials=B, generator=generator())
    assert result["window"].values.tolist() == [1, 2, 5, T - 1, T], "what is longer than a trial is its length"
    for k in result["window"].values:
        expected = followed_back(parts, k, n_answers)
        found = answered.full() if k >= T else answered.truncated(k)
        scale = float(parts.abs().sum())
        torch.testing.assert_close(found, expected, rtol=0, atol=scale * tolerance(torch.float64, parts.shape[-1], T))
        cosine = float(torch.nn.functional.cosine_similarity(expected, whole, dim=0))
        assert float(result["cosine"].sel(window=k)) == pytest.approx(cosine, abs=1e-9)
        assert float(result["norm_ratio"].sel(window=k)) == pytest.approx(
            float(expected.norm() / whole.norm()), abs=1e-9
        )


class Leak(Cell):
    """h ← w h + x."""

    def __init__(self, w: float) -> None:
        super().__init__(1, 1)
        self.w = nn.Parameter(torch.tensor([w], dtype=torch.float64))

    def step(self, x: Tensor, state: State, noise: Tensor | None = None) -> State:
        del noise
        return (self.w * state[0] + x,)


@dataclass(frozen=True)
class Ones(Targets):
    """The sum of the answers at the end of three steps, in each of which the input is 1."""

    n_answers: int = 1
    n_outputs: int = 1

    def sample(self, batch_size: int, generator: torch.Generator, split: str = "train") -> ts.Batch:
        del generator, split
        return ts.Batch(torch.ones(3, batch_size, 1, dtype=torch.float64), torch.zeros(1, batch_size, 1, 1))

    def loss(self, outputs: Tensor, batch: ts.Batch) -> Tensor:
        del batch
        return outputs.sum(dim=(0, 1, 3))


@dataclass(frozen=True)
class Silent(Targets):
    """No answer counts."""

    def loss(self, outputs: Tensor, batch: ts.Batch) -> Tensor:
        return 0 * super().loss(outputs, batch)


def scalar(w: float) -> Model:
    return Model([Leak(w)], Heads(1, ["N2"], 1, False, generator())).double()


def test_a_linear_unit_by_hand() -> None:
    # h = 1, 1 + w, 1 + w + w²; ∂h_3/∂w = h_2 + w h_1 + w² h_0, a summand for every step of credit.
    w = 0.5
    result = credit(scalar(w), Ones(), windows=(3, 1, 2))
    assert result["window"].values.tolist() == [1, 2, 3]
    np.testing.assert_allclose(result["norm_ratio"], [(1 + w) / (1 + 2 * w), 1.0, 1.0], rtol=1e-14)
    np.testing.assert_allclose(result["cosine"], [1.0, 1.0, 1.0], rtol=1e-14)
    against = credit(scalar(-0.75), Ones(), windows=(1, 2))
    np.testing.assert_allclose(against["cosine"], [-1.0, 1.0], rtol=1e-14)


def test_rtrl_has_the_full_gradient_where_a_cell_is_elementwise_and_is_left_out_elsewhere() -> None:
    for cell, there in (("elstm", True), ("leaky_units", True), ("leaky", False), ("gru", False)):
        model = build_model(cell, 6, n_heads=3, generator=generator()).double()
        result = MEASUREMENTS["credit"].measure(Subject(model, ts.Parity((1,)), (2, 3), seed=0), n_trials=4)
        assert ("rtrl_cosine" in result) == there, cell
        if there:
            assert float(result["rtrl_cosine"]) == pytest.approx(1, abs=1e-12)
            assert float(result["rtrl_norm_ratio"]) == pytest.approx(1, abs=1e-12)
            assert MEASUREMENTS["credit"].numbers(result)["cosine with the full gradient (RTRL)"] > 0.999


def test_rtrl_of_two_layers_is_not_exact() -> None:
    model = build_model("elstm", [6, 6], n_heads=3, generator=generator()).double()
    result = MEASUREMENTS["credit"].measure(Subject(model, ts.Parity((1,)), (2, 3), seed=0), n_trials=4)
    assert 0 < float(result["rtrl_cosine"]) < 1 - 1e-6


def test_windows_in_pieces_are_the_windows_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model, task = network("gru"), Targets()
    whole = Answered.of(model, task, B, T, generator()).truncated(4)
    monkeypatch.setattr(sys.modules[Answered.__module__], "_AT_ONCE", 2 * 4 * B * model.n_units)
    pieces = Answered.of(model, task, B, T, generator()).truncated(4)
    torch.testing.assert_close(pieces, whole, rtol=0, atol=float(whole.norm()) * tolerance(torch.float64, B * T, T))


def test_fewer_answers_are_spread_over_the_trial_and_count_for_all_gradients() -> None:
    answered = Answered.of(network("gru"), Targets(), B, 3, generator())
    assert answered.steps == [0, 5, 8], "step 1 does not count"
    result = credit(network("gru"), Targets(), n_trials=B, n_answers=3, generator=generator())
    assert result.attrs["n_answers"] == 3
    assert float(result["cosine"][-1]) == pytest.approx(1, abs=1e-12)


def test_what_is_not_trained_is_left_out_and_nothing_is_changed() -> None:
    model = ts.LeakyRNN(4, n_heads=3, generator=generator())
    model.requires_grad_(False)
    before = {name: kept.clone() for name, kept in model.named_parameters()}
    result = credit(model, ts.Parity([2], length=5), n_trials=4)
    assert result.attrs["n_parameters"] == sum(kept.numel() for kept in model.layers[0].parameters())
    assert all(torch.equal(before[name], kept) and kept.grad is None and not kept.requires_grad
               for name, kept in model.named_parameters())  # fmt: skip
    free = next(iter(model.layers[0].parameters())).requires_grad_()
    assert credit(model, ts.Parity([2], length=5), n_trials=4).attrs["n_parameters"] == free.numel()


def test_a_gradient_of_zero_has_no_angle() -> None:
    cosine, ratio = compare(torch.zeros(3), torch.zeros(3))
    assert math.isnan(cosine)
    assert math.isnan(ratio)
    tiny = torch.full((3,), 1e-30, dtype=torch.float32)
    assert compare(tiny, tiny) == pytest.approx((1.0, 1.0))


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"windows": [0, 2]}, "a window is 0: expected at least 1"),
        ({"windows": [-3]}, "a window is -3: expected at least 1"),
        ({"windows": []}, "windows are .*: expected one number of steps or more"),
        ({"windows": [1.5]}, "windows is .*: expected several whole numbers"),
        ({"windows": 4}, "windows is 4: expected several whole numbers"),
        ({"windows": [10**12]}, "a window is 1000000000000: expected at most"),
        ({"n_trials": 0}, "number of trials is 0: expected at least 1"),
        ({"n_answers": 0}, "number of answers is 0: expected at least 1"),
    ],
)
def test_bad_options_are_refused_in_one_line(options: dict[str, Sequence[int]], line: str) -> None:
    with pytest.raises(InputError, match=line) as refused:
        credit(ts.LeakyRNN(4, n_heads=1, generator=generator()), ts.Parity([2]), **options)  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)


def test_networks_and_tasks_without_a_gradient_are_refused_in_one_line() -> None:
    game = CueGame(2)
    n_outputs = game.heads["out"].n_outputs
    actor = build_model(
        "elstm", 4, n_inputs=game.n_inputs, n_outputs=n_outputs, n_heads=1, shared_head=True, generator=generator()
    )
    with pytest.raises(NotApplicableError, match="CueGame is acted in"):
        credit(actor, game)
    fixed = ts.wrap(
        lambda x, h: torch.tanh(h + x.sum(dim=1, keepdim=True)), 1, 4, heads=Heads(4, ["N2"], 2, False, generator())
    )
    with pytest.raises(NotApplicableError, match="the layers of the network have no parameter"):
        credit(fixed, ts.Parity([2]))
    with pytest.raises(InputError, match="no head 'N3'"):
        credit(ts.LeakyRNN(4, n_heads=1, generator=generator()), ts.Parity([3]))
    with pytest.raises(NotApplicableError, match="the loss of Silent has no gradient"):
        credit(network("gru"), Silent())
