"""The options of a run: their names on disk, their defaults, and what is refused."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import tauscope as ts
from tauscope.models import LeakyCell
from tauscope.models.kernels.activations import ACTIVATIONS
from tauscope.runs.config import kind_of

TrainConfig = kind_of("parity")

CONTINUOUS: dict[str, Any] = {"model_type": "continuous", "duplicates": (7, 8, 9, 10)}


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "cumulative_parity_network_1"),
        ({"curriculum_type": "single", "task": "dms", "network_number": 4}, "single_dms_network_4"),
        ({"curriculum_type": "single_nocurr"}, "single_nocurr_parity_network_1"),
        ({"curriculum_type": "sliding"}, "sliding_1_1_parity_network_1"),
        ({"curriculum_type": "sliding", "init_heads": 10, "forget_heads": 5}, "sliding_10_5_parity_network_1"),
        # The window is at least as wide as what is forgotten at once.
        ({"curriculum_type": "sliding", "init_heads": 3, "forget_heads": 5}, "sliding_5_5_parity_network_1"),
        ({"init_heads": 5, "add_heads": 2, "forget_heads": 3}, "cumulative_parity_network_1"),
        ({"num_neurons": 100}, "cumulative_parity_size_100_network_1"),
        ({"tau": 1}, "cumulative_parity_T_1.0_network_1"),
        ({"tau": 2.0}, "cumulative_parity_T_2.0_network_1"),
        ({"tau": 2.5}, "cumulative_parity_T_2.5_network_1"),
        ({"num_neurons": 100, "tau": 3.0}, "cumulative_parity_size_100_T_3.0_network_1"),
        ({"model_type": "mod"}, "cumulative_parity_mod_leakyrelu_network_1"),
        ({"model_type": "mod", "afunc": "tanh", "tau": 2.0}, "cumulative_parity_mod_tanh_T_2.0_network_1"),
        (CONTINUOUS, "cumulative_parity_duplicates[7, 8, 9, 10]_mod_leakyrelu_network_1"),
        (
            {"model_type": "continuous", "duplicates": (10,), "afunc": "relu"},
            "cumulative_parity_duplicates[10]_mod_relu_network_1",
        ),
        ({"afunc": "tanh"}, "cumulative_parity_tanh_network_1"),
        ({"num_layers": 2}, "cumulative_parity_layers_2_network_1"),
        ({"cell": "gru"}, "cumulative_parity_gru_network_1"),
        ({"cell": "lstm", "num_neurons": 64}, "cumulative_parity_size_64_lstm_network_1"),
        ({"cell": "problems:LinearCell"}, "cumulative_parity_LinearCell_network_1"),
    ],
)
def test_folders_are_named_as_published(options: dict[str, Any], name: str) -> None:
    assert TrainConfig(**options).name == name


def test_the_defaults_are_the_published_ones() -> None:
    config = TrainConfig(seed=0)
    recipe = config.recipe()
    assert (recipe.epochs, recipe.steps_per_epoch, recipe.batch_size, recipe.test_steps) == (1000, 600, 256, 50)
    assert (recipe.optimizer, recipe.lr, recipe.momentum, recipe.clip) == ("sgd", 0.05, 0.1, 2.0)
    model = config.model()
    assert (model.n_units, model.heads.names) == (500, tuple(f"N{N}" for N in range(2, 102)))
    assert (config.curriculum().stages[0].name, config.curriculum().stages[-1].name) == ("N2_N2", "N2_N101")
    task = config.template()
    assert (task.p, task.plus_minus, task.length_range) == (None, False, (4, 9))


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_the_defaults_of_gated_cells_are_those_of_the_published_lstm(cell: str) -> None:
    config = TrainConfig(cell=cell)
    recipe = config.recipe()
    assert (recipe.epochs, recipe.steps_per_epoch, recipe.batch_size) == (100, 300, 64)
    assert (recipe.optimizer, recipe.lr) == ("adam", 0.001)
    assert (config.template().p, config.template().plus_minus) == (0.5, True)


def test_given_options_go_before_the_defaults_of_a_cell() -> None:
    config = TrainConfig(
        cell="gru", epochs=7, steps_per_epoch=5, batch_size=3, optimizer="sgd", plus_minus=False, p=0.25
    )
    recipe = config.recipe()
    assert (recipe.epochs, recipe.steps_per_epoch, recipe.batch_size) == (7, 5, 3)
    assert (recipe.optimizer, recipe.lr) == ("sgd", 0.05)
    assert (config.template().p, config.template().plus_minus) == (0.25, False)
    assert TrainConfig(optimizer="adam").recipe().lr == 0.001
    assert TrainConfig(optimizer="adam", lr=0.5).recipe().lr == 0.5


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"curriculum_type": "cumulative", "init_heads": 3, "add_heads": 2}, ["N2_N4", "N2_N6"]),
        ({"curriculum_type": "sliding", "init_heads": 4, "forget_heads": 2}, ["N2_N5", "N4_N7"]),
        ({"curriculum_type": "single", "ns_init": 5}, ["N5_N5", "N6_N6"]),
        ({"curriculum_type": "single_nocurr", "ns_init": 9}, ["N9_N9"]),
    ],
)
def test_the_options_of_a_curriculum_reach_it(options: dict[str, Any], expected: list[str]) -> None:
    assert [stage.name for stage in TrainConfig(**options).curriculum().stages[:2]] == expected


@pytest.mark.parametrize("afunc", ACTIVATIONS)
@pytest.mark.parametrize(
    "options",
    [
        {"model_type": "default"},
        {"model_type": "mod", "tau": 2.0},
        CONTINUOUS | {"num_layers": 2},
        {"precision": "bf16"},
    ],
)
def test_the_options_of_a_network_reach_it(options: dict[str, Any], afunc: str) -> None:
    model = TrainConfig(**options, afunc=afunc, num_neurons=6, max_N=4, curriculum_type="single").model()
    cells = [cell for cell in model.layers if isinstance(cell, LeakyCell)]
    assert len(cells) == options.get("num_layers", 1)
    for cell in cells:
        assert (cell.n_units, cell.afunc) == (6, afunc)
        assert (cell.form, cell.precision) == (options.get("model_type", "default"), options.get("precision", "fp32"))
        assert isinstance(cell.raw_tau, torch.nn.Parameter) == ("tau" not in options)
    assert model.heads.shared


def test_a_seed_gives_the_network() -> None:
    first, second, other = (TrainConfig(num_neurons=5, seed=seed).model().state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not any(torch.equal(first[key], other[key]) for key in first)


def test_there_is_a_head_for_every_N_that_is_asked() -> None:
    assert TrainConfig(max_N=10).n_heads == 100
    config = TrainConfig(num_neurons=3, max_N=150)
    assert config.model().heads.names[-1] == "N150"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "paritty"}, "task 'paritty' is unknown: .*did you mean 'parity'"),
        ({"curriculum_type": "cumulativ"}, "did you mean 'cumulative'"),
        ({"model_type": "modd"}, "did you mean 'mod'"),
        ({"afunc": "tahn"}, "did you mean 'tanh'"),
        ({"labels": "lasst"}, "did you mean 'last'"),
        ({"precision": "bf61"}, "did you mean 'bf16'"),
        ({"optimizer": "adem"}, "did you mean 'adam'"),
        ({"cell": "ltsm"}, "cell 'ltsm' is unknown: .*did you mean 'lstm'"),
        ({"num_neurons": 0}, "num_neurons is 0: expected at least 1"),
        ({"num_layers": -2}, "num_layers is -2: expected at least 1"),
        ({"network_number": -1}, "network_number is -1: expected at least 0"),
        ({"tau": 0.5}, r"tau is 0\.5: expected at least 1\.0"),
        ({"tau": math.inf}, "tau is inf: expected a finite number"),
        ({"lr": math.nan}, "lr is nan: expected a finite number"),
        ({"tau": 1e39}, "tau is 1e[+]39: expected a number that single precision holds, 1e-38 to 3.4e[+]38 in size"),
        ({"lr": 1e-320}, "lr is 1e-320: expected a number that single precision holds"),
        ({"lr": -0.1}, r"lr is -0\.1: expected a number above 0"),
        ({"clip": 0.0}, "clip is 0.0"),
        ({"momentum": 1.5}, "momentum is 1.5"),
        ({"epochs": 0}, "epochs is 0"),
        ({"steps_per_epoch": 0}, "steps per epoch is 0"),
        ({"batch_size": 0}, "batch size is 0"),
        ({"test_steps": 0}, "test steps is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"p": 1.5}, r"p is 1\.5: expected a probability \(nearest valid value: 1\.0\)"),
        ({"ns_init": 1}, "ns_init is 1: expected at least 2"),
        ({"max_N": 1}, "max N is 1: expected at least the first N, 2"),
        ({"init_heads": 0}, "init heads is 0"),
        ({"init_heads": 101}, "init heads is 101: expected at most 100"),
        ({"add_heads": 0}, "add heads is 0"),
        ({"curriculum_type": "sliding", "forget_heads": 0}, "forget heads is 0"),
        ({"duplicates": (7, 8)}, "expected model_type 'continuous' with duplicates"),
        ({"model_type": "continuous"}, "expected model_type 'continuous' with duplicates"),
        ({"model_type": "continuous", "duplicates": (0,)}, "duplicates is 0: expected at least 1"),
        ({"cell": "gru", "tau": 2.0}, r"tau is 2\.0, an option of the leaky cell: expected None with cell 'gru'"),
        ({"cell": "lstm", "model_type": "mod"}, "model_type is mod, an option of the leaky cell: expected default"),
        ({"cell": "lstm", "afunc": "tanh"}, "afunc is tanh, an option of the leaky cell: expected leakyrelu"),
        ({"cell": "gru", "precision": "bf16"}, "precision is bf16, an option of the leaky cell: expected fp32"),
        ({"cell": "mi", "rank": 4}, "rank is 4, an option of the cp cell: expected None with cell 'mi'"),
        ({"cell": "cp", "rank": -1}, "rank is -1: expected at least 0"),
    ],
)
@pytest.mark.parametrize("seed", [None, 0])
def test_options_that_cannot_be_are_refused(seed: int | None, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ts.InputError, match=message):
        TrainConfig(**({"seed": seed} | options))


def test_options_come_back_from_their_file() -> None:
    config = TrainConfig(**CONTINUOUS, seed=3, tau=2.0, p=0.3, plus_minus=True, lr=0.1)
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@given(st.sampled_from([option.name for option in fields(TrainConfig)]), st.integers(0, 30))
def test_an_unknown_option_is_refused_with_the_nearest_known_one(name: str, position: int) -> None:
    wrong = name[: position % len(name)] + "x" + name[position % len(name) :]
    with pytest.raises(ts.InputError, match=f"option '{wrong}' is unknown: expected one of task, .*") as error:
        TrainConfig.from_dict({wrong: 1})
    if len(name) > 2:
        assert f"did you mean '{name}'?" in str(error.value)


CHANGES: dict[str, Any] = {
    "curriculum_type": "single", "task": "dms", "network_number": 2, "seed": 1, "ns_init": 3, "init_heads": 2,
    "add_heads": 2, "forget_heads": 2, "p": 0.5, "plus_minus": True, "labels": "every", "afunc": "relu",
    "num_neurons": 5, "num_layers": 2, "tau": 2.0, "cell": "gru", "precision": "bf16", "steps_per_epoch": 5,
    "batch_size": 3, "test_steps": 2, "optimizer": "adam", "lr": 0.1, "momentum": 0.2, "clip": 1.0, "tau_map": "best",
    "engine": "adjoint",
    "gradient": "immediate", "every": 5, "recurrent_rank": 2, "sparsity": 0.5, "recurrent_start": "glorot", "recurrent_rescale": True,
}  # fmt: skip


def test_only_how_far_a_run_goes_is_not_part_of_what_it_is() -> None:
    base = TrainConfig(seed=0)
    others = {"model_type", "duplicates", "rank"}
    assert {option.name for option in fields(TrainConfig)} - set(CHANGES) - others == {"epochs", "max_N"}
    for name, value in CHANGES.items():
        assert replace(base, **{name: value}).identity() != base.identity(), name
    assert replace(base, **CONTINUOUS).identity() != replace(base, model_type="mod").identity()
    assert replace(base, cell="cp", rank=4).identity() != replace(base, cell="cp").identity()
    assert replace(base, epochs=5, max_N=50).identity() == base.identity()
    # A larger N may need a network with more heads, which is another network.
    assert replace(base, max_N=150).identity() != base.identity()
