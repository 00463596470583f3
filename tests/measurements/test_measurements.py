"""What can be measured of which network, and what a subject is measured on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from matplotlib.axes import Axes

import tauscope as ts
from few import applicable, few
from problems import Accumulator
from tauscope.analysis.performance import performance
from tauscope.analysis.sequentiality import peak_order, sequentiality, task_states, weights_by_peak_difference
from tauscope.analysis.trials import trial_dimensionality, trial_gate_timescales, trial_lyapunov, trial_timescales
from tauscope.errors import NotApplicableError
from tauscope.measurements import MEASUREMENTS, WHAT, Subject, askable
from tauscope.measurements.making import candidate_weights
from tauscope.models import ReluRNN, build_model
from tauscope.tasks import ChangeDetection2, DelayedSine, TwoAlternativeChoice

CHOICE = TwoAlternativeChoice(stim_steps=5, delay_steps=(8, 12), resp_steps=6)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def of_trials(task: Any = CHOICE, seed: int = 2, **options: Any) -> Subject:
    options = {"lambda_0": 0.9, "sigma_0": 0.2} | options
    model = ReluRNN(10, n_inputs=task.n_inputs, n_outputs=task.n_outputs, generator=generator(), **options)
    return Subject(model, task, (1, 1), seed)


def of_bits(model: ts.Model | None = None, **options: Any) -> Subject:
    model = model or ts.LeakyRNN(10, n_heads=4, generator=generator())
    return Subject(model, ts.Parity((1,), **options), (2, 3), seed=2)


def test_the_documentation_has_a_row_for_everything_that_can_be_asked_for() -> None:
    page = (Path(__file__).parents[2] / "docs" / "measuring.rst").read_text()
    assert [word for word in WHAT if f"\n``{word}`` " not in page] == []


def test_a_network_is_asked_for_what_it_can_answer() -> None:
    several_N = {"ablation", "perturbation", "retraining", "forgetting", "generalisation", "resolution"}
    assert set(WHAT) - set(askable(of_trials())) == {"all", "reactivation", "closed_loop"} | several_N
    assert set(WHAT) - set(askable(of_bits())) == {"all", "performance", "resolution", "reactivation", "closed_loop"}
    assert askable(of_bits())["perturbation"] == ("perturbation_recurrent", "perturbation_tau")
    gru = of_bits(build_model("gru", 6, n_heads=4, generator=generator()))
    assert askable(gru)["perturbation"] == ("perturbation_recurrent",)
    continuous = of_bits(ts.LeakyRNN(6, form="continuous", generator=generator()))
    assert "resolution" in askable(continuous)


@pytest.mark.parametrize(
    "name", sorted(set(MEASUREMENTS) - set(applicable(of_trials())) - {"reactivation", "closed_loop"})
)
def test_what_needs_several_N_is_refused_in_one_line(name: str) -> None:
    subject = of_trials()
    assert "trained on N-parity or N-DMS" in MEASUREMENTS[name].lacks(subject)
    with pytest.raises(NotApplicableError, match="answers trials and knows no N"):
        MEASUREMENTS[name].measure(subject)


def test_the_fractional_loss_of_a_stream_of_bits_is_refused_in_one_line() -> None:
    assert "trials with a delay" in MEASUREMENTS["performance"].lacks(of_bits())
    with pytest.raises(NotApplicableError, match="has no fractional loss"):
        MEASUREMENTS["performance"].measure(of_bits())


DIRECT: dict[str, Callable[..., xr.Dataset]] = {
    "performance": performance,
    "timescales": trial_timescales,
    "dimensionality": trial_dimensionality,
    "lyapunov": trial_lyapunov,
}


@pytest.mark.parametrize("name", DIRECT)
def test_networks_of_trials_are_measured_on_their_own_trials(name: str) -> None:
    subject = of_trials()
    result = MEASUREMENTS[name].measure(subject, n_trials=10)
    xr.testing.assert_identical(result, DIRECT[name](subject.model, CHOICE, n_trials=10, generator=generator(2)))


def test_balance_is_that_of_the_trials() -> None:
    subject = of_bits()
    states, batch = task_states(subject.model, subject.trials(), 7, generator(2))
    result = MEASUREMENTS["balance"].measure(subject, n_trials=7)
    xr.testing.assert_identical(result, ts.analysis.input_balance(subject.model, states, batch.inputs))
    assert MEASUREMENTS["balance"].numbers(result)["correlation of excitation and inhibition"] == pytest.approx(
        float(result.correlation.mean()), nan_ok=True
    )


def test_options_of_trials_reach_the_analysis() -> None:
    subject = of_trials()
    assert MEASUREMENTS["timescales"].measure(subject, n_trials=40, fit_lags=5).sizes["lag"] == 6
    assert MEASUREMENTS["lyapunov"].measure(subject, n_trials=4, n_exponents=2).sizes["exponent"] == 2
    assert MEASUREMENTS["lyapunov"].measure(subject, n_trials=4).sizes["exponent"] == 10
    assert MEASUREMENTS["sequentiality"].measure(subject, n_trials=4, mode="reference").attrs["mode"] == "reference"


@pytest.mark.parametrize("subject", [of_trials(), of_bits()], ids=["trials", "bits"])
def test_sequentiality_is_that_of_the_trials_with_what_its_figures_show(subject: Subject) -> None:
    result = MEASUREMENTS["sequentiality"].measure(subject, n_trials=6)
    states, _ = task_states(subject.model, subject.trials(), 6, generator(2))
    index = sequentiality(subject.model, subject.trials(), n_trials=6, generator=generator(2))
    xr.testing.assert_equal(result[list(index)], index)
    order = peak_order(states)
    xr.testing.assert_equal(result["activity"], order["activity"])
    weights = weights_by_peak_difference(subject.model.layers[0].recurrent_weights, states)
    for name in weights:
        np.testing.assert_array_equal(result[name], weights[name])
    assert result.attrs["n_trials"] == 6
    numbers = MEASUREMENTS["sequentiality"].numbers(result)
    assert numbers["sequentiality index (nats)"] == pytest.approx(float(index.sequentiality.mean()))
    assert numbers["sequentiality index with time shuffled (nats)"] == pytest.approx(float(index.baseline.mean()))
    assert numbers["mean weight to a later peak"] == pytest.approx(float(weights.forward))


@pytest.mark.parametrize(
    ("repeat", "last", "n_steps"), [(1, 3, 150), (7, 3, 154), (1, 200, 200)], ids=["bits", "continuous time", "large N"]
)
def test_streams_of_bits_are_cut_into_trials_of_one_length(repeat: int, last: int, n_steps: int) -> None:
    subject = Subject(ts.LeakyRNN(4, generator=generator()), ts.Parity((1,), p=0.3, repeat=repeat), (2, last), seed=0)
    task = subject.trials()
    assert task.Ns == (last,)
    assert task.p == 0.3
    assert task.sample(2, generator()).inputs.shape == (n_steps, 2, 1)


def test_gated_networks_have_the_gates_of_their_trials_in_the_place_of_tau() -> None:
    subject = of_trials(cell="relu_gru", sigma_0=0.0)
    own = subject.tau()
    assert own is not None
    np.testing.assert_array_equal(own, trial_gate_timescales(subject.model, CHOICE, generator=generator(2)))
    np.testing.assert_array_equal(MEASUREMENTS["timescales"].measure(subject, n_trials=20).tau, own)
    assert of_trials().tau() is None


def test_only_units_with_timescales_of_their_own_have_numbers_of_them() -> None:
    assert not any(name.startswith("mean tau (") for name in numbers_of("timescales", of_trials()))
    numbers = numbers_of("timescales", of_trials(cell="relu_gru", sigma_0=0.0))
    assert numbers["mean tau (steps)"] > 1
    assert numbers["units with tau_net at its bound of 100 steps"] >= 0


def numbers_of(name: str, subject: Subject) -> dict[str, float]:
    return MEASUREMENTS[name].numbers(MEASUREMENTS[name].measure(subject, n_trials=20))


def test_the_loss_is_told_by_delay_where_there_are_several() -> None:
    numbers = numbers_of("performance", of_trials())
    assert [name for name in numbers if "at a delay of" in name] == [
        "fractional loss at a delay of 8 steps",
        "fractional loss at a delay of 12 steps",
    ]
    assert numbers["fractional loss at chance"] == 1
    one = of_trials(TwoAlternativeChoice(stim_steps=5, delay_steps=8, resp_steps=6))
    assert not any("at a delay of" in name for name in numbers_of("performance", one))


@pytest.mark.parametrize("name", applicable(of_trials()))
@pytest.mark.parametrize("kind", ["choice", "two places", "sine", "hebbian", "gru", "lstm"])
def test_every_figure_of_every_network_of_trials_can_be_drawn(name: str, kind: str) -> None:
    subject = {
        "choice": of_trials,
        "two places": lambda: of_trials(ChangeDetection2(stim_steps=5, delay_steps=8, resp_steps=6)),
        "sine": lambda: of_trials(DelayedSine(stim_steps=5, delay_steps=8, resp_steps=6)),
        "hebbian": lambda: of_trials(cell="hebbian"),
        "gru": lambda: of_trials(cell="relu_gru", sigma_0=0.0),
        "lstm": lambda: Subject(lstm(), CHOICE, (1, 1), seed=0),
    }[kind]()
    how = MEASUREMENTS[name]
    if lacking := how.lacks(subject):
        assert name == "balance"
        assert "no weighted sum" in lacking
        return
    result = how.measure(subject, **few(name, subject))
    assert how.numbers(result)
    for draw in how.figures.values():
        assert isinstance(draw(result, subject), Axes)


def lstm() -> ts.Model:
    from tauscope.models import GATED

    return ts.Model([GATED["lstm"](50, 8, generator())], ts.Heads(8, ["out"], 1, True, generator()))


def test_weights_that_are_not_known_are_left_out_of_the_sequence() -> None:
    task = TwoAlternativeChoice(stim_steps=5, delay_steps=8, resp_steps=6)
    model = ts.Model([Accumulator(50, 50)], ts.Heads(50, ["out"], 1, True, generator()))
    subject = Subject(model, task, (1, 1), seed=0)
    assert candidate_weights(model) is None
    result = MEASUREMENTS["sequentiality"].measure(subject, n_trials=5)
    assert "mean weight to a later peak" not in MEASUREMENTS["sequentiality"].numbers(result)
    ax = MEASUREMENTS["sequentiality"].figures["weights"](result, subject)
    assert [text.get_text() for text in ax.texts] == ["the cell's recurrent weights are not known"]


def test_of_gated_cells_the_weights_of_the_candidate_are_shown() -> None:
    gru = build_model("gru", 6, generator=generator())
    expected = gru.layers[0].rnn.weight_hh_l0.detach().chunk(3)[2]
    np.testing.assert_allclose(candidate_weights(gru), expected)
    cell = build_model("lstm", 6, generator=generator())
    np.testing.assert_allclose(candidate_weights(cell), cell.layers[0].rnn.weight_hh_l0.detach().chunk(4)[2])


def test_of_stacked_layers_the_first_one_is_shown() -> None:
    model = ts.LeakyRNN([5, 5], n_heads=4, generator=generator())
    result = MEASUREMENTS["sequentiality"].measure(of_bits(model), n_trials=4)
    states, _ = task_states(model, of_bits(model).trials(), 4, generator(2))
    expected = weights_by_peak_difference(model.layers[0].recurrent_weights, states[..., :5])
    np.testing.assert_array_equal(result.weight, expected.weight)
