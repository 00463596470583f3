"""Real-time recurrent learning: the numbers of backpropagation through whole trials, by formulas, brute force and closed forms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import tauscope as ts
from rounding import tolerance
from tauscope.learning.learners import BPTT, Supervised
from tauscope.learning.online import RTRL, Immediate, gradient_of
from tauscope.learning.recipe import generators
from tauscope.learning.sensitivities import Layer
from tauscope.models import ELEMENTWISE, ElementwiseCell, LeakyUnitsCell
from tauscope.models.elementwise import ELSTMCell, recurrence_of

T, D, N, B = 21, 3, 5, 4


@dataclass(frozen=True)
class Random(ts.Task):
    """Sums of squared errors of random targets, so that the losses of segments add up to that of the trial."""

    held: float = 0.0
    n_answers: int = T
    n_inputs = D
    metric = "fractional_loss"

    @property
    def heads(self) -> dict[str, ts.Head]:
        return {"out": ts.Head(2, 1.0, 0.0)}

    def sample(self, batch_size: int, generator: torch.Generator, split: str = "train") -> ts.Batch:
        del split
        shown = torch.randn(T, batch_size, D, generator=generator, dtype=torch.float64)
        targets = torch.randn(self.n_answers, batch_size, 1, 2, generator=generator, dtype=torch.float64)
        hold = torch.rand(T, batch_size, generator=generator) < self.held if self.held else None
        return ts.Batch(shown, targets, hold=hold)

    def loss(self, outputs: Tensor, batch: ts.Batch) -> Tensor:
        return (outputs - batch.targets).square().sum(dim=(0, 1, 3))

    def tally(self, outputs: Tensor, batch: ts.Batch) -> tuple[Tensor, Tensor]:
        return self.loss(outputs, batch), batch.targets.square().sum(dim=(0, 1, 3))


class Adaptive(ElementwiseCell):
    """A cell of a user's own: two parts of a state that drive each other, parameters in two shapes, private noise."""

    gates = ("drive", "gain")
    n_states = 2

    def __init__(self, n_inputs: int, n_units: int, generator: torch.Generator) -> None:
        super().__init__(n_inputs, n_units, generator)
        self.paces = nn.Parameter(torch.rand(2, n_units, generator=generator))
        self.shift = nn.Parameter(torch.randn(n_units, generator=generator))
        self.unused = nn.Parameter(torch.ones(7))

    def pointwise(self, z: Tensor, state: Any, noise: Tensor | None) -> Any:
        h, a = state
        drive, gain = z.chunk(2, dim=-1)
        fast, slow = self.paces
        new = torch.tanh(drive + self.shift * h - a) * torch.sigmoid(gain)
        new = (1 - fast) * h + fast * new
        return (new if noise is None else new + noise), slow * a + 0.3 * new * h

    def draw_noise(self, n_steps: int, batch_size: int, generator: torch.Generator) -> Tensor:
        # One number after another, so that segments draw what the whole trial draws.
        return torch.rand(n_steps, batch_size, self.n_units, generator=generator, dtype=torch.float64) - 0.5


CELLS = {**ELEMENTWISE, "own": Adaptive}


def network(name: str, *sizes: int) -> ts.Model:
    generator, sizes = torch.Generator().manual_seed(0), sizes or (N,)
    cells = [CELLS[name](below, size, generator) for below, size in zip((D, *sizes), sizes, strict=False)]
    model = ts.Model(cells, ts.Heads(sizes[-1], ["out"], 2, True, generator)).double()
    with torch.no_grad():
        for parameter in model.cells.parameters():
            parameter.copy_(0.8 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
        for cell in model.layers:
            if isinstance(cell, LeakyUnitsCell):
                cell.raw_tau.abs_().add_(0.7)
    return model


def gradients(model: ts.Model, task: ts.Task, gradient: Any) -> dict[str, Tensor]:
    """Return the gradients of all segments of a trial, added up; the parameters stay as they are."""
    model.zero_grad()
    for piece in Supervised(model, task, gradient=gradient).pieces(B, generators(3)):
        piece.backward()
    return {
        name: torch.zeros_like(one) if one.grad is None else one.grad.clone() for name, one in model.named_parameters()
    }


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    for name, gradient in expected.items():
        scale = max(float(gradient.abs().max()), 1.0)
        torch.testing.assert_close(found[name] / scale, gradient / scale, rtol=0, atol=1e-12)


@pytest.mark.parametrize("every", [1, 4, 7, 20])
@pytest.mark.parametrize("name", CELLS)
def test_with_parameters_that_stay_it_is_backpropagation_through_the_whole_trial(name: str, every: int) -> None:
    model, task = network(name), Random()
    exact = gradients(model, task, BPTT())
    assert_same(gradients(model, task, RTRL(every)), exact)
    truncated = gradients(model, task, BPTT(every))
    apart = max(float((truncated[one] - exact[one]).abs().max() / exact[one].abs().max().clamp(min=1)) for one in exact)
    assert apart > 1e-4


@pytest.mark.parametrize("name", [name for name in CELLS if name != "elstm"])
def test_so_it_is_with_steps_that_hold_and_answers_at_the_end_alone(name: str) -> None:
    model, task = network(name), Random(held=0.4, n_answers=3)
    assert_same(gradients(model, task, RTRL(4)), gradients(model, task, BPTT()))


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_a_segment_as_long_as_the_trial_is_backpropagation_to_the_bit(name: str) -> None:
    model, task = network(name), Random()
    found, expected = gradients(model, task, RTRL(T)), gradients(model, task, BPTT())
    assert all(torch.equal(found[one], expected[one]) for one in expected)


def test_sensitivities_of_the_elstm_are_those_worked_out_by_hand() -> None:
    cell = ELSTMCell(1, 1, torch.Generator().manual_seed(0)).double()
    core = cell.core
    with torch.no_grad():
        core.input.weight.copy_(torch.tensor([[0.5], [1.0]]))
        core.input.bias.zero_()
        core.own.copy_(torch.tensor([0.2, 0.3]))
    layer, state = Layer(core), core.initial_state(1)
    found, memories = layer.zero(1), []
    for x in (1.0, -1.0, 0.5):
        shown = torch.full((1, 1, 1), x, dtype=torch.float64)
        found = layer.after(found, layer.segment(shown, state, None, None))
        state = core.step(shown[0], state)
        memories.append(state[0].item())
    assert memories == pytest.approx([0.2875327670, -0.3276860097, -0.0057516630], abs=1e-10)
    (F, b_f), (Z, b_z) = found.drive[0, 0, 0].tolist()
    w_f, w_z = found.own["own"][0, 0, 0].tolist()
    assert [F, Z, w_f, w_z, b_f, b_z] == pytest.approx(
        [-0.2979222530, 0.0640378897, 0.1009967352, -0.0747139572, -0.0839370506, 0.6226358625], abs=1e-10
    )


def test_the_sensitivity_to_a_timescale_follows_the_closed_form() -> None:
    """Constant drive u: ∂c_t/∂a = u t (1 - a)^(t - 1) with a = 1/τ, also where a = 1."""
    core = LeakyUnitsCell(1, 3, torch.Generator().manual_seed(0)).double()
    tau = torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)
    with torch.no_grad():
        core.input.weight.fill_(1.0)
        core.input.bias.zero_()
        core.raw_tau.copy_(tau)
    layer, n_steps, u = Layer(core), 6, 1.3
    inputs = torch.full((n_steps, 1, 1), u, dtype=torch.float64)
    segment = layer.segment(inputs, core.initial_state(1), None, None)
    found = layer.after(layer.zero(1), segment).own["raw_tau"].flatten()
    expected = -u * n_steps * (1 - 1 / tau) ** (n_steps - 1) / tau**2
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("every", [1, 5])
def test_of_two_layers_the_upper_one_is_exact_and_the_lower_one_is_not(every: int) -> None:
    model, task = network("elstm", 3, 4), Random()
    exact, found = (gradients(model, task, gradient) for gradient in (BPTT(), RTRL(every)))
    errors = {one: float((found[one] - exact[one]).abs().max() / exact[one].abs().max()) for one in exact}
    assert max(error for one, error in errors.items() if one.startswith("cells.0.core")) > 0.01
    assert max(error for one, error in errors.items() if not one.startswith("cells.0.")) < 1e-10


@pytest.mark.parametrize("name", ["elstm", "own"])
def test_memory_for_the_gradient_does_not_grow_with_the_trial(name: str) -> None:
    core = recurrence_of(network(name).layers[0])
    layer, sizes = Layer(core), []
    for n_steps in (3, 300):
        inputs = torch.zeros(n_steps, B, D, dtype=torch.float64)
        after = layer.after(layer.zero(B), layer.segment(inputs, core.initial_state(B), None, None))
        sizes.append(after.drive.numel() + sum(part.numel() for part in after.own.values()))
    assert sizes[0] == sizes[1]
    assert layer.zero(B).drive.shape == (B, N, layer.n_parts, 2, D + 1)


def test_immediate_derivatives_are_those_of_backpropagation_through_one_step_for_any_cell() -> None:
    for cell in ("gru", "elstm"):
        model = ts.build_model(cell, N, n_inputs=D, n_heads=1, generator=torch.Generator().manual_seed(0)).double()
        model.heads = ts.Heads(N, ["out"], 2, True, torch.Generator().manual_seed(1)).double()
        task = Random()
        truncated = gradients(model, task, BPTT(1))
        for every in (1, 6, T):
            assert_same(gradients(model, task, Immediate(every)), truncated)


def test_updates_within_a_trial_are_made_with_sensitivities_to_older_parameters() -> None:
    """Against the equations written out: Ŝ ← J Ŝ + ψ xᵀ with J and ψ of the weights that each segment ran with."""
    generator, task = torch.Generator().manual_seed(0), Random()
    model = ts.Model([LeakyUnitsCell(D, N, generator)], ts.Heads(N, ["out"], 2, True, generator)).double()
    (cell,) = model.layers
    assert isinstance(cell, LeakyUnitsCell)
    cell.raw_tau.requires_grad_(False).fill_(4.0)
    head = model.heads.linears[0]
    batch = task.sample(B, generators(3)["data"])
    S, c = torch.zeros(B, N, D, dtype=torch.float64), torch.zeros(B, N, dtype=torch.float64)
    pieces = Supervised(model, task, gradient=RTRL(1)).pieces(B, generators(3))
    for t, piece in enumerate(pieces):
        with torch.no_grad():
            drive = 0.75 * c + 0.25 * (batch.inputs[t] @ cell.input.weight.t() + cell.input.bias)
            slope = (drive > 0).double() * 0.99 + 0.01
            S = slope[..., None] * (0.75 * S + 0.25 * batch.inputs[t][:, None])
            c = slope * drive
            error = 2 * (c @ head.weight.t() + head.bias - batch.targets[t, :, 0]) @ head.weight
            expected = (error[..., None] * S).sum(dim=0)
        piece.backward()
        gradient = cell.input.weight.grad
        assert gradient is not None
        torch.testing.assert_close(gradient, expected, rtol=0, atol=tolerance(torch.float64, 100, T) * 100)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter.sub_(0.01 * parameter.grad)
        model.zero_grad()
    assert t == T - 1


def test_a_learner_refuses_in_a_line_what_it_cannot_train_exactly() -> None:
    generator = torch.Generator().manual_seed(0)
    dense = ts.build_model("gru", 4, n_heads=1, generator=generator)
    with pytest.raises(ts.InputError, match=r"GRUCell is not element-wise: expected .* 'immediate'"):
        Supervised(dense, ts.Parity(), gradient=RTRL(5))

    class Shared(Adaptive):
        def pointwise(self, z: Tensor, state: Any, noise: Tensor | None) -> Any:
            return super().pointwise(z * self.shift.mean(), state, noise)

    class Single(Adaptive):
        def pointwise(self, z: Tensor, state: Any, noise: Tensor | None) -> Any:
            return super().pointwise(z * self.unused.sum(), state, noise)

    for kind, message in (
        (Shared, "shift of Shared mixes units"),
        (Single, r"unused of Single has shape \[7\] for 5 units"),
    ):
        model = ts.Model([kind(1, 5, generator)], ts.Heads(5, ["N2"], 2, True, generator))
        with pytest.raises(ts.InputError, match=message):
            Supervised(model, ts.Parity(), gradient=RTRL(5))
    held = Supervised(network("elstm"), Random(held=0.4), gradient=RTRL(5)).pieces(2, generators(3))
    with pytest.raises(ts.InputError, match="steps that hold the state"):
        next(held)
    for wrong in (0, -1, 2.5):
        with pytest.raises(ts.InputError, match="every"):
            RTRL(wrong)  # type: ignore[arg-type]


def test_gradients_are_found_by_name() -> None:
    assert gradient_of("bptt", None) == BPTT()
    assert gradient_of("bptt", 4) == BPTT(4)
    assert gradient_of("rtrl", None) == RTRL(1)
    assert gradient_of("immediate", 3) == Immediate(3)
