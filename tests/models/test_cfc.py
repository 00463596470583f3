"""Closed-form continuous-time cells: the equation written out, time as an input, and the same numbers by every way."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import tauscope as ts
from rounding import tolerance
from tauscope.errors import InputError
from tauscope.models import Adjoint, CfCCell, Fast, Loop, Parallel
from tauscope.models.cfc import GATES
from tauscope.tasks import Tracking

N_UNITS, N_INPUTS = 6, 3


def cell(timed: bool = False, seed: int = 0) -> CfCCell:
    made = CfCCell(N_INPUTS + timed, N_UNITS, torch.Generator().manual_seed(seed), timed=timed).double()
    with torch.no_grad():
        made.input.bias.copy_(torch.linspace(-1, 1, len(made.input.bias)))
    return made


def drawn(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def written_out(made: CfCCell, x: Tensor, h: Tensor, time: Tensor | float) -> Tensor:
    """The published step without a backbone: four linear maps of input and units side by side."""
    weight = torch.cat([made.input.weight, made.recurrent.weight], dim=1)
    f, g, a, b = (
        nn.functional.linear(torch.cat([x, h], dim=1), rows, bias)
        for rows, bias in zip(weight.chunk(4), made.input.bias.chunk(4), strict=True)
    )
    t = torch.sigmoid(a * time + b)
    return torch.tanh(f) * (1.0 - t) + t * torch.tanh(g)


def test_the_step_is_the_published_one() -> None:
    made, x, h = cell(), drawn(5, N_INPUTS), drawn(5, N_UNITS, seed=2)
    torch.testing.assert_close(made.step(x, (h,))[0], written_out(made, x, h, 1.0), rtol=0, atol=1e-14)


@pytest.mark.parametrize("time", [0.0, 0.3, 1.0, 7.0])
def test_the_last_channel_is_the_time_of_a_step(time: float) -> None:
    made, x, h = cell(timed=True), drawn(5, N_INPUTS), drawn(5, N_UNITS, seed=2)
    shown = torch.cat([x, torch.full((5, 1), time, dtype=x.dtype)], dim=1)
    torch.testing.assert_close(made.step(shown, (h,))[0], written_out(made, x, h, time), rtol=0, atol=1e-14)
    if time == 1.0:
        plain = cell()
        plain.load_state_dict(made.state_dict())
        torch.testing.assert_close(made.step(shown, (h,)), plain.step(x, (h,)), rtol=0, atol=1e-14)


@pytest.mark.parametrize("timed", [False, True])
def test_sequences_and_gradients_are_the_same_by_every_solver(timed: bool) -> None:
    inputs, hold = drawn(40, 3, N_INPUTS + timed).abs(), torch.rand(40, 3, generator=torch.Generator()) < 0.2
    noise = 0.1 * drawn(40, 3, N_UNITS, seed=4)
    found = []
    for solver in (Loop(), Fast(), Adjoint(), Parallel()):
        model = ts.Model([cell(timed)], ts.Heads(N_UNITS, ["out"], 2, False, torch.Generator()).double())
        states, _, _ = model.solve(inputs, model.initial_state(3), noise=noise, hold=hold, solver=solver)
        states[-1].square().sum().backward()
        found.append([states.detach(), *(weight.grad for weight in model.cells.parameters())])
    for others in found[1:]:
        for number, other in zip(found[0], others, strict=True):
            torch.testing.assert_close(other, number, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("timed", [False, True])
def test_the_jacobian_in_closed_form_is_that_of_finite_differences(timed: bool) -> None:
    made, x, h = cell(timed), drawn(2, N_INPUTS + timed), drawn(2, N_UNITS, seed=2)
    found, eps = made.jacobian(x, (h,)), 1e-6
    for unit in range(N_UNITS):
        moved = eps * torch.eye(N_UNITS, dtype=h.dtype)[unit]
        slope = (made.step(x, (h + moved,))[0] - made.step(x, (h - moved,))[0]) / (2 * eps)
        torch.testing.assert_close(found[:, :, unit], slope, rtol=0, atol=1e-8)


def test_weights_are_uniform_as_published_and_told_by_their_gates() -> None:
    made = CfCCell(10, 100, torch.Generator().manual_seed(0))
    bound = (6 / (10 + 2 * 100)) ** 0.5
    for weight in (made.input.weight, made.recurrent.weight):
        assert float(weight.detach().abs().max()) <= bound
        assert float(weight.detach().std()) == pytest.approx(bound / 3**0.5, rel=0.03)
    assert not bool(made.input.bias.any())
    blocks = made.weights()["recurrent.weight"].blocks()
    assert list(blocks) == list(GATES)
    assert torch.equal(blocks["rate"], made.recurrent.weight[200:300])
    assert made.tau is None
    assert made.retention(torch.ones(1, 10), made.initial_state(1)) is None


def test_a_network_is_built_by_name_and_kept_with_its_option(tmp_path: Path) -> None:
    built = ts.build_model("cfc", 5, generator=torch.Generator().manual_seed(0))
    assert isinstance(built.layers[0], CfCCell)
    assert not built.layers[0].timed
    layer, heads = CfCCell(2, 5, torch.Generator(), timed=True), ts.Heads(5, ["out"], 2, False, torch.Generator())
    path = ts.save(ts.Model([layer], heads), tmp_path, task=Tracking(n_signals=2))
    loaded = ts.load(path).layers[0]
    assert isinstance(loaded, CfCCell)
    assert loaded.timed


def test_float32_stays_near_float64() -> None:
    single, inputs = cell().float(), drawn(30, 4, N_INPUTS)
    exact = cell().sequence(inputs, cell().initial_state(4))[0]
    found = single.sequence(inputs.float(), single.initial_state(4))[0]
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=tolerance(torch.float32, N_UNITS, 30))


@pytest.mark.parametrize(
    ("n_inputs", "timed", "expected"),
    [(1, True, "expected one beside the time"), (2, 1, "timed"), (0, False, "expected one beside the time")],
)
def test_a_cell_that_cannot_be_is_refused(n_inputs: int, timed: object, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        CfCCell(n_inputs, 4, torch.Generator(), timed=timed)  # type: ignore[arg-type]
