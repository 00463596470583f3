"""The options of a run of Orhan & Ma (2019): names, codes, conditions, and what is refused."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch

import tauscope as ts
from tauscope.models import HebbianCell, LeakyCell, LSTMCell, ReluCell, ReluGRUCell
from tauscope.runs.config import SETUPS, config_of, kind_of
from tauscope.tasks import POPULATION_TASKS, DelayedResponseTask

MemoryConfig = kind_of("de1")
TrackingConfig = kind_of("tracking")
TrainConfig = kind_of("parity")


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "basic_de1_lambda_0.98_sigma_0_network_1"),
        ({"task": "6", "lambda_val": 0.9, "sigma_val": 0.018}, "basic_2afc_lambda_0.9_sigma_0.018_network_1"),
        ({"rho_val": 1e-4, "network_number": 3}, "basic_de1_lambda_0.98_sigma_0_rho_0.0001_network_3"),
        ({"num_neurons": 100, "delay_steps": (40,)}, "basic_de1_size_100_trial_25_40_25_lambda_0.98_sigma_0_network_1"),
        ({"condition": "vardelay", "task": "CD"}, "vardelay_cd_lambda_0.98_sigma_0_network_1"),
        ({"condition": "hebbian"}, "hebbian_de1_lambda_0.98_sigma_0_network_1"),
        ({"cell": "orthogonal"}, "basic_de1_orthogonal_lambda_0.98_network_1"),
        ({"cell": "leaky"}, "basic_de1_leaky_network_1"),
        ({"condition": "multitask", "task": "cd", "then": "6"}, "multitask_cd_then_2afc_lambda_0.98_sigma_0_network_1"),
    ],
)
def test_folders_tell_runs_apart(options: dict[str, Any], name: str) -> None:
    assert MemoryConfig(**options).name == name


def test_the_defaults_are_the_published_ones() -> None:
    config = MemoryConfig()
    task, recipe = config.measured_task(1), config.recipe()
    assert (task.stim_steps, task.delays, task.resp_steps, task.score_step) == (25, (100,), 25, -5)
    assert (recipe.batch_size, recipe.optimizer, recipe.lr, recipe.activity_cost) == (50, "adam", 5e-4, 1e-4)
    assert recipe.epochs * recipe.steps_per_epoch == 25_000
    assert (config.num_neurons, recipe.clip, recipe.weight_cost) == (500, math.inf, 0.0)


def test_sigma_val_is_the_standard_deviation_of_the_weights() -> None:
    model = MemoryConfig(num_neurons=200, sigma_val=0.018, lambda_val=0.9, seed=0).model()
    weights = model.layers[0].recurrent_weights.detach()
    assert torch.equal(weights.diagonal(), torch.full((200,), 0.9))
    assert weights[~torch.eye(200, dtype=bool)].std() == pytest.approx(0.018, rel=0.02)


@pytest.mark.parametrize(
    ("condition", "changed"),
    [
        ("tethered", {"score_step": -10}),
        ("dynamic", {"dynamic": True}),
        ("vardelay", {"delay_steps": (10, 40, 70, 100)}),
    ],
)
def test_conditions_change_what_the_paper_says_and_nothing_else(condition: str, changed: dict[str, Any]) -> None:
    basic, other = MemoryConfig(task="cd"), MemoryConfig(task="cd", condition=condition)
    task, theirs = basic.measured_task(1), other.measured_task(1)
    assert {name: value for name, value in vars(theirs).items() if value != vars(task)[name]} == changed
    costs = basic.recipe().activity_cost, other.recipe().activity_cost
    assert costs == (1e-4, 1e-1 if condition == "tethered" else 1e-4)


@pytest.mark.parametrize(
    ("options", "kind"),
    [({}, ReluCell), ({"condition": "hebbian"}, HebbianCell), ({"cell": "1"}, HebbianCell), ({"cell": "3"}, ReluGRUCell),
     ({"cell": "1", "condition": "tethered"}, ReluCell), ({"cell": "2", "condition": "dynamic"}, ReluGRUCell),
     ({"cell": "leaky"}, LeakyCell), ({"cell": "lstm"}, LSTMCell)],
)  # fmt: skip
def test_cells_have_names_and_the_codes_of_their_conditions_script(options: dict[str, Any], kind: type) -> None:
    assert type(MemoryConfig(num_neurons=6, **options).model().layers[0]) is kind


@pytest.mark.parametrize("task", POPULATION_TASKS)
def test_networks_fit_their_tasks(task: str) -> None:
    config = MemoryConfig(task=task, num_neurons=6, stim_steps=2, delay_steps=(3,), resp_steps=5)
    model, like = config.model(), config.template()
    batch = like.sample(4, torch.Generator().manual_seed(0))
    states, _ = model(batch.inputs)
    assert model.readout(states[-5:], like.heads).shape == batch.targets.shape
    assert like.loss(model.readout(states[-5:], like.heads), batch).isfinite()


def test_two_tasks_are_measured_one_by_one() -> None:
    config = MemoryConfig(condition="multitask", task="comp", then="2afc")
    kinds = [type(config.measured_task(stage)) for stage in ("N1_N1", "N2_N2")]
    assert kinds == [type(task) for task in config.tasks().values()]
    assert kinds == [POPULATION_TASKS["comp"], POPULATION_TASKS["2afc"]]
    assert config.recipe().epochs == 2 * config.epochs


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "2af"}, "did you mean '2afc'"),
        ({"task": "5"}, "0 (de1), 1 (de2)"),
        ({"condition": "tetherd"}, "did you mean 'tethered'"),
        ({"condition": "dynamic", "task": "sine"}, "expected another task"),
        ({"condition": "multitask"}, "with a second task"),
        ({"then": "2afc"}, "with a second task"),
        ({"condition": "multitask", "then": "de2"}, "cannot share a network"),
        ({"cell": "7"}, "0 (relu), 1 (hebbian), 2 (orthogonal), 3 (gru)"),
        ({"cell": "3", "condition": "dynamic"}, "0 (relu), 1 (orthogonal), 2 (gru)"),
        ({"cell": "gru", "condition": "hebbian"}, "expected 'hebbian'"),
        ({"cell": "rel"}, "did you mean 'relu'"),
        ({"cell": "orthogonal", "sigma_val": 0.1}, "which has no spread"),
        ({"cell": "leaky", "lambda_val": 0.9}, "0.98"),
        ({"sigma_val": -0.1}, "sigma_val"),
        ({"lambda_val": math.nan}, "lambda_val is nan: expected a finite number"),
        ({"rho_val": -1.0}, "weight cost"),
        ({"delay_steps": ()}, "no delay"),
        ({"score_step": -30}, "nearest valid value: -25"),
        ({"epochs": 0}, "epochs"),
        ({"ns_init": 3}, "is an option of the tasks parity, dms"),
        ({"curriculum_type": "single"}, "expected one of default, module:Name"),
    ],
)
def test_bad_options_are_refused_in_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ts.InputError) as error:
        config_of({"task": "de1"} | options)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("options", [{"task": "8"}, {"task": "dms"}, {"task": "cd", "condition": "vardelay"}])
def test_a_configuration_survives_json(options: dict[str, Any]) -> None:
    config = config_of(options)
    assert config_of(json.loads(json.dumps(config.to_dict()))) == config


def test_how_far_a_run_goes_may_change_but_not_when_its_second_task_begins() -> None:
    def identity(**options: Any) -> dict[str, Any]:
        return MemoryConfig(**options).identity()

    assert identity(epochs=3) == identity(epochs=4)
    two = {"condition": "multitask", "then": "2afc"}
    assert identity(epochs=3, **two) != identity(epochs=4, **two)


def test_every_kind_of_run_has_its_own_tasks() -> None:
    kinds = {type(config_of({"task": task})) for task in ("parity", "de1", "tracking")}
    assert kinds == {TrainConfig, MemoryConfig, TrackingConfig} < set(map(kind_of, SETUPS))


def test_facts_say_what_the_run_is() -> None:
    facts = dict(MemoryConfig(condition="vardelay", task="gde", num_neurons=100, sigma_val=0.01).facts())
    assert facts["Network"] == "100 units (relu)"
    assert facts["Start"] == "λ0 = 0.98, σ0 = 0.1 (sigma_val 0.01)"
    assert "10 or 40 or 70 or 100 of delay" in facts["Trial"]


def test_the_measured_task_is_the_trained_one() -> None:
    config = MemoryConfig(task="de2", condition="dynamic")
    measured = config.measured_task(1)
    assert isinstance(measured, DelayedResponseTask)
    assert measured == config.template()
