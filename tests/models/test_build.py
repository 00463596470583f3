"""Networks by name: the known ones, a user's own, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from problems import LinearCell
from tauscope import (
    Cell,
    GRUCell,
    InputError,
    LeakyCell,
    LeakyRNN,
    LSTMCell,
    Parity,
    Recipe,
    build_model,
    single,
    train,
)
from tauscope.models import BalancedRNN, ReluRNN
from tauscope.models.build import user_cell


class Abstract(Cell):
    """A cell whose author forgot the step."""


class NotACell(torch.nn.Module):
    """A module that knows nothing of steps."""


def build(cell: str, *args: Any, seed: int = 0, **options: Any) -> Any:
    return build_model(cell, *args, generator=torch.Generator().manual_seed(seed), **options)


@pytest.mark.parametrize(
    ("name", "kind"), [("leaky", LeakyCell), ("gru", GRUCell), ("lstm", LSTMCell), ("problems:LinearCell", LinearCell)]
)
@pytest.mark.parametrize("sizes", [7, [7], [7, 7], (7, 7, 7)])
def test_a_name_gives_a_stack_of_its_cells(name: str, kind: type[Cell], sizes: Any) -> None:
    model = build(name, sizes, n_heads=5, n_inputs=2, n_outputs=3)
    n_layers = 1 if isinstance(sizes, int) else len(sizes)
    assert [type(cell) for cell in model.layers] == [kind] * n_layers
    assert model.n_units == 7 * n_layers
    assert model.n_inputs == 2
    assert model.heads.names == ("N2", "N3", "N4", "N5", "N6")
    states, last = model(torch.ones(4, 3, 2))
    assert states.shape == (4, 3, 7 * n_layers)
    assert len(last) == n_layers
    assert model.readout(states, ["N2", "N6"]).shape == (4, 3, 2, 3)


@pytest.mark.parametrize("name", ["leaky", "gru", "lstm", "problems:LinearCell"])
def test_weights_come_from_the_generator_alone(name: str) -> None:
    one, same, other = (build(name, 5, seed=seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not all(torch.equal(one[key], other[key]) for key in one)


def test_layers_of_other_cells_may_differ_in_size() -> None:
    assert [cell.n_units for cell in build("gru", [4, 9]).layers] == [4, 9]


def test_options_of_the_leaky_network_arrive() -> None:
    (cell,) = build("leaky", 4, form="mod", afunc="tanh", tau=2.5, precision="bf16").layers
    assert (cell.form, cell.afunc, cell.precision, cell.tau.tolist()) == ("mod", "tanh", "bf16", [2.5] * 4)


def test_a_users_own_cell_trains() -> None:
    model = build("problems:LinearCell", 8, shared_head=True)
    before = model.layers[0].recurrent.detach().clone()
    recipe = Recipe(epochs=1, steps_per_epoch=2, batch_size=4, test_steps=1)
    train(model, Parity(), single(), recipe)
    assert not torch.equal(model.layers[0].recurrent, before)
    assert np.isfinite(model.layers[0].recurrent.detach().numpy()).all()


@pytest.mark.parametrize(
    ("name", "line"),
    [
        (
            "leeky",
            r"cell 'leeky' is unknown: expected one of leaky, gru, lstm, cfc, elman, cp, mi, second_order, bilinear, residual, ssm, elstm, egru, leaky_units, lif, module:Class; did you mean 'leaky'\?",
        ),
        (
            "LSTM",
            r"cell 'LSTM' is unknown: expected one of leaky, gru, lstm, cfc, elman, cp, mi, second_order, bilinear, residual, ssm, elstm, egru, leaky_units, lif, module:Class",
        ),
        ("nowhere.at_all:Net", r"cell 'nowhere.at_all:Net': module 'nowhere.at_all' cannot be imported \(No module"),
        ("problems:LinearCel", r"cell 'problems:LinearCel': 'problems' has no 'LinearCel', .*mean 'LinearCell'\?"),
        ("problems:", r"cell 'problems:': 'problems' has no ''"),
        (":LinearCell", r"cell ':LinearCell': expected module:Class"),
        (".problems:LinearCell", r"cell '.problems:LinearCell': expected module:Class"),
        ("problems:linear_model", r"cell 'problems:linear_model' is not a cell: expected a subclass of tauscope.Cell"),
        ("torch.nn:Linear", r"cell 'torch.nn:Linear' is not a cell: expected a subclass of tauscope.Cell"),
        ("tauscope:Cell", r"cell 'tauscope:Cell' has no step: expected a subclass of tauscope.Cell that defines it"),
    ],
)
def test_unusable_names_are_refused_in_one_line(name: str, line: str) -> None:
    with pytest.raises(InputError, match=f"^{line}") as caught:
        build(name, 4)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("cell", "options", "line"),
    [
        ("leaky", {"n_units": 4.0}, "number of units is 4.0: expected a whole number of at least 1"),
        ("gru", {"n_units": [4, 4.5]}, "number of units is 4.5: expected a whole number of at least 1"),
        ("gru", {"n_units": "4"}, "number of units is '4': expected a whole number of at least 1"),
        ("lstm", {"n_units": None}, "number of units is None: expected a whole number of at least 1"),
        ("leaky", {"n_units": -4}, "number of units is -4: expected at least 1"),
        ("leaky", {"n_inputs": 1.5}, "number of inputs is 1.5: expected a whole number of at least 1"),
        ("leaky", {"n_inputs": -1}, "number of inputs is -1: expected at least 1"),
        ("gru", {"n_inputs": -1}, "number of inputs is -1: expected at least 0"),
        ("gru", {"n_outputs": 0}, "number of outputs is 0: expected at least 1"),
        ("leaky", {"n_heads": 2.0}, "number of heads is 2.0: expected a whole number of at least 1"),
        ("leaky", {"tau": "2"}, "tau is '2': expected a number of at least 1.0"),
        ("leaky", {"tau": torch.ones(4)}, r"tau is of shape \(4,\): expected a number of at least 1.0"),
        ("leaky", {"afunc": torch.tanh}, "activation function .* is unknown: expected one of leakyrelu"),
        (GRUCell, {}, "cell is the class GRUCell itself: expected a name: leaky, gru, lstm"),
        (None, {}, "cell is of type NoneType: expected a name: leaky, gru, lstm"),
        ("leaky", {"n_units": 0}, "number of units is 0: expected at least 1"),
        ("gru", {"n_units": [3, 0]}, "number of units is 0: expected at least 1"),
        ("leaky", {"n_units": []}, "number of layers is 0: expected at least 1"),
        ("lstm", {"n_units": []}, "number of layers is 0: expected at least 1"),
        ("leaky", {"n_heads": 0}, "number of heads is 0: expected at least 1"),
        ("gru", {"n_heads": 0}, "number of heads is 0: expected at least 1"),
        ("leaky", {"n_units": [3, 4]}, r"layers have sizes \[3, 4\]: expected equal sizes, such as \[3, 3\]"),
        ("leaky", {"tau": 0.5}, r"tau is 0.5: expected at least 1.0 \(nearest valid value: 1.0\)"),
        ("leaky", {"form": "defualt"}, "model type 'defualt' is unknown: .*did you mean 'default'"),
        ("leaky", {"afunc": "reul"}, "activation function 'reul' is unknown: .*did you mean 'relu'"),
        ("leaky", {"precision": "fp16"}, "precision 'fp16' is unknown: expected one of fp32, bf16"),
        ("gru", {"precision": "bf16"}, "precision 'bf16' is for leaky networks: expected 'fp32' for cell 'gru'"),
        ("gru", {"tau": 2.0}, "tau 2.0 is for leaky networks: expected None for cell 'gru'"),
        ("lstm", {"form": "mod"}, "form 'mod' is for leaky networks: expected 'default' for cell 'lstm'"),
        ("lstm", {"afunc": "tanh"}, "afunc 'tanh' is for leaky networks: expected 'leakyrelu' for cell 'lstm'"),
    ],
)
def test_impossible_networks_are_refused(cell: str, options: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError, match=f"^{line}"):
        build(cell, **({"n_units": 4} | options))


def test_a_users_module_is_imported_by_its_name() -> None:
    assert user_cell("problems:LinearCell") is LinearCell


@pytest.mark.parametrize("generator", [0, None, np.random.default_rng(0), torch.Generator])
def test_weights_are_drawn_from_a_generator(generator: Any) -> None:
    makers: list[Callable[[], object]] = [
        lambda: build_model("gru", 4, generator=generator),
        lambda: LeakyRNN(4, generator=generator),
        lambda: ReluRNN(4, generator=generator),
        lambda: BalancedRNN(4, generator=generator),
        lambda: LSTMCell(1, 4, generator),
        lambda: LeakyCell(1, 4, generator),
    ]
    for make in makers:
        with pytest.raises(InputError, match=r"^generator is .*: expected a torch.Generator"):
            make()


def test_numbers_of_numpy_are_whole_ones() -> None:
    assert build("gru", np.int64(4)).n_units == 4
