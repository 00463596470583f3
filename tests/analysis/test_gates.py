import copy

import numpy as np
import pytest
import torch

import tauscope as ts
from problems import LinearCell
from tauscope.analysis.gates import gate_timescales


def gated(kind: str, generator: torch.Generator, n_units: int | list[int] = 5) -> ts.Model:
    return ts.build_model(kind, n_units, generator=generator, n_heads=2)


def test_a_leaky_network_has_its_own_tau(generator: torch.Generator) -> None:
    model = ts.LeakyRNN([4, 4], generator=generator, n_heads=1)
    measured = gate_timescales(model, n_trials=2, n_steps=3, burn_in=1)
    np.testing.assert_allclose(measured, model.tau.detach(), rtol=1e-6)


@pytest.mark.parametrize(("kind", "gates", "gate"), [("gru", 3, 1), ("lstm", 4, 1)])
def test_a_gate_held_by_its_bias_has_a_timescale_in_closed_form(
    kind: str, gates: int, gate: int, generator: torch.Generator
) -> None:
    model = gated(kind, generator)
    rnn = model.layers[0].rnn
    share = torch.tensor([0.1, 0.5, 0.8, 0.9, 0.99])
    with torch.no_grad():
        for parameter in rnn.parameters():
            parameter.chunk(gates)[gate].zero_()
        rnn.bias_ih_l0.chunk(gates)[gate].copy_(share.logit())
    np.testing.assert_allclose(gate_timescales(model, n_trials=3, n_steps=20), 1 / (1 - share), rtol=1e-4)


def test_the_forget_gate_is_the_slope_of_the_next_cell_state(generator: torch.Generator) -> None:
    cell = gated("lstm", generator).double().layers[0]
    x, h, c = (torch.rand(2, n, generator=generator).double() for n in (1, 5, 5))
    slope = cell.step(x, (h, c + 1))[1] - cell.step(x, (h, c))[1]
    torch.testing.assert_close(cell.retention(x, (h, c)), slope)


def test_the_update_gate_divides_the_step_between_old_and_new(generator: torch.Generator) -> None:
    cell = gated("gru", generator).double().layers[0]
    x, h = torch.rand(2, 1, generator=generator).double(), torch.rand(2, 5, generator=generator).double()
    z = cell.retention(x, (h,))
    # With the update gate forced shut the step is the candidate state, which the gate does not enter.
    candidate_alone = copy.deepcopy(cell)
    with torch.no_grad():
        candidate_alone.rnn.bias_ih_l0.chunk(3)[1].fill_(-1e3)
    (candidate,) = candidate_alone.step(x, (h,))
    torch.testing.assert_close((1 - z) * candidate + z * h, cell.step(x, (h,))[0])


def test_layers_are_seen_through_the_one_below(generator: torch.Generator) -> None:
    model = gated("lstm", generator, [3, 4])
    x, state = torch.ones(2, 1), model.initial_state(2)
    below = model.layers[0].step(x, state[0])[0]
    expected = torch.cat([model.layers[0].retention(x, state[0]), model.layers[1].retention(below, state[1])], dim=1)
    torch.testing.assert_close(model.retention(x, state), expected)


def test_a_cell_without_a_gate_is_refused(generator: torch.Generator) -> None:
    model = ts.Model([LinearCell(1, 2, generator)], ts.Heads(2, ["N2"], 2, False, generator))
    with pytest.raises(ts.InputError, match="what a step keeps"):
        gate_timescales(model, n_steps=2)
