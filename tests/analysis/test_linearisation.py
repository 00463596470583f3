"""Linearisation: exact for linear networks, the derivative of the others, and refused where there is no fixed point."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from problems import linear_model
from tauscope import InputError, build_model
from tauscope.analysis.linearisation import linearise
from tauscope.analysis.travelling_waves import travelling_waves
from tauscope.analysis.wave_basis import readout_basis
from tauscope.analysis.wave_operator import embedding, wave_operator
from tauscope.analysis.wave_spectrum import wave_spectrum
from tauscope.models import Heads, Model
from tauscope.tasks.history import History


def test_a_linear_network_is_its_own_linearisation() -> None:
    rng = np.random.default_rng(0)
    W = 0.3 * rng.standard_normal((5, 5))
    model = linear_model(W, rng.standard_normal((5, 1)))
    found = linearise(model, "N3")
    np.testing.assert_allclose(found.recurrent, W, atol=1e-12)
    np.testing.assert_allclose(found.readout, model.heads.linears[1].weight.detach(), atol=1e-12)


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_small_deviations_move_and_are_read_as_the_linearisation_says(kind: str, generator: torch.Generator) -> None:
    model = build_model(kind, 4, n_heads=3, generator=generator).double()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "bias" in name:
                parameter.zero_()
    found = linearise(model, "N2")
    rest = model.initial_state(1)
    n, size = sum(part.shape[1] for layer in rest for part in layer), 1e-6
    assert found.recurrent.shape == (n, n)
    deviation = size * np.random.default_rng(1).standard_normal(n)
    parts = iter(torch.from_numpy(deviation).split([part.shape[1] for layer in rest for part in layer]))
    state = tuple(tuple(next(parts)[None] for _ in layer) for layer in rest)
    after = model.step(torch.zeros(1, model.n_inputs, dtype=torch.float64), state)
    moved = torch.cat([part for layer in after for part in layer], dim=1)[0].detach().numpy()
    np.testing.assert_allclose(moved, found.recurrent @ deviation, atol=1e-3 * size)
    said = model.readout(model.hidden(state), "N2")[0] - model.readout(model.hidden(rest), "N2")[0]
    np.testing.assert_allclose(said.detach(), found.readout @ deviation, atol=1e-12)


def test_what_moves_is_no_fixed_point(generator: torch.Generator) -> None:
    model = build_model("gru", 4, generator=generator)
    with pytest.raises(InputError, match=r"the state moves by .* in a step without input: expected a fixed point"):
        linearise(model, "N2")


def test_the_analyses_of_waves_agree_on_a_network_that_holds_a_queue(generator: torch.Generator) -> None:
    """A network of the package whose weights embed a wave operator: every measure finds it."""
    task = History(dim=3, lags=4, map="cyclic", horizon=40)
    F = task.boundary.numpy()
    V, W, C = embedding(F, 20, amplitude=1.0)
    model = linear_model(W, V)
    model = Model(model.layers, Heads(20, ["out"], 3, False, generator)).double()
    with torch.no_grad():
        model.heads.linears[0].weight.copy_(torch.from_numpy(C))
    network = linearise(model)
    spectrum = wave_spectrum(network.recurrent, wave_operator(F))
    assert int(spectrum["count"]) == int(spectrum["rank"]) == 12
    assert float(spectrum.phase_error) < 1e-7
    basis = readout_basis(network.recurrent, network.readout, F)
    assert float(basis.intertwining_error) < 1e-7
    batch = task.sample(50, generator)
    states, _ = model(batch.inputs.double())
    asked = states[-task.horizon :].detach()
    # The embedding reads the newest place; what it will say is the rest of the queue, cyclic in time.
    assert task.score(model.readout(asked, list(task.heads)), batch).item() == 1
    waves = travelling_waves(basis.coordinates, asked, F)
    assert float(waves.wave_correlation) > 1 - 1e-6
    assert float(waves.boundary_correlation) > 1 - 1e-6
    assert float(waves.unit_correlation) < 0.9
