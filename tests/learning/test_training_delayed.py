"""Training on delayed-response tasks: penalties, tasks in succession, private noise, and exact resumption."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import tauscope as ts
from tauscope.learning.objectives import activity_penalty
from tauscope.learning.recipe import generators
from tauscope.models.cell import Cell, State
from tauscope.runs.config import kind_of

MemoryConfig = kind_of("de1")

SMALL: dict[str, Any] = {
    "num_neurons": 8, "stim_steps": 3, "delay_steps": (6,), "resp_steps": 10, "epochs": 2, "steps_per_epoch": 4,
    "batch_size": 5, "test_steps": 2, "seed": 3,
}  # fmt: skip


def configured(**options: Any) -> MemoryConfig:
    return MemoryConfig(**(SMALL | options))


def trained(config: MemoryConfig, **options: Any) -> ts.Training:
    return ts.train(config.model(), config.template(), config.curriculum(), config.recipe(), **options)


def weights(model: ts.Model) -> Tensor:
    return torch.cat([one.detach().flatten() for one in model.parameters()])


@pytest.mark.parametrize("rho", [0.0, 1e-2])
@pytest.mark.parametrize("condition", ["basic", "tethered", "vardelay"])
def test_the_steps_are_those_of_adam_on_the_loss_with_both_penalties(condition: str, rho: float) -> None:
    delays = {"delay_steps": (2, 6)} if condition == "vardelay" else {}
    config = configured(task="comp", condition=condition, rho_val=rho, epochs=1, sigma_val=0.1, **delays)
    cost = 0.1 if condition == "tethered" else 1e-4
    model, task = config.model(), config.template()
    drawn = generators(3)["data"]
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-4)
    for _ in range(4):
        batch = task.sample(5, drawn)
        states, _ = model(batch.inputs, model.initial_state(5), hold=batch.hold)
        loss = task.loss(model.readout(states[-10:], ["out"]), batch)
        squares = torch.stack([parameter.square().sum() for parameter in model.parameters()]).sum()
        loss = loss + cost * activity_penalty(states) + rho * squares
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.testing.assert_close(weights(trained(config).model), weights(model), rtol=1e-4, atol=1e-6)


class Keeper:
    """Keeps what the loop gives it."""

    def __init__(self) -> None:
        self.states: list[dict[str, Any]] = []
        self.kept: list[str | None] = []

    def save_state(self, training: ts.Training) -> None:
        self.states.append(_copied(training.state_dict()))

    def save_epoch(self, training: ts.Training, kept: str | None) -> None:
        self.save_state(training)
        self.kept.append(kept)


def _copied(state: Any) -> Any:
    if isinstance(state, dict):
        return {name: _copied(value) for name, value in state.items()}
    if isinstance(state, list):
        return [_copied(value) for value in state]
    return state.clone() if isinstance(state, Tensor) else state


@pytest.mark.parametrize(
    "options",
    [{"task": "de2"}, {"task": "comp", "condition": "vardelay", "delay_steps": (2, 6)}, {"condition": "hebbian"},
     {"task": "cd", "condition": "multitask", "then": "2afc"}, {"cell": "gru"}, {"cell": "leaky"}],
)  # fmt: skip
def test_from_every_state_training_ends_with_the_same_weights(options: dict[str, Any]) -> None:
    config, keeper = configured(**options), Keeper()
    whole = trained(config, store=keeper, save_every=0.0)
    assert len(keeper.states) > 8
    for state in keeper.states[::3]:
        again = trained(config, state=state)
        assert torch.equal(weights(again.model), weights(whole.model))
        assert again.history[-1]["loss"] == whole.history[-1]["loss"]


def test_the_second_task_goes_on_with_weights_and_optimiser_of_the_first() -> None:
    config, keeper = configured(task="cd", condition="multitask", then="2afc"), Keeper()
    whole = trained(config, store=keeper)
    assert keeper.kept == ["N1_N1", "N1_N1", "N2_N2", "N2_N2"]
    assert [record["stage"] for record in whole.history] == keeper.kept
    first = trained(configured(task="cd"))
    assert torch.equal(weights(first.model), torch.cat([keeper.states[1]["model"][name].flatten()
                       for name, _ in first.model.named_parameters()]))  # fmt: skip
    moments = whole.optimizer.state_dict()["state"][0]
    assert moments["step"] == 16


class NoisyCell(Cell):
    """Adds its noise to a trained weight, and counts how often it settles."""

    def __init__(self, n_inputs: int, n_units: int, generator: torch.Generator) -> None:
        super().__init__(n_inputs, n_units)
        del generator
        self.weight = torch.nn.Parameter(torch.full((n_units,), 0.5))
        self.register_buffer("settled", torch.zeros(1))

    def step(self, x: Tensor, state: State, noise: Tensor | None = None) -> State:
        h = self.weight * state[0] + x.mean(dim=-1, keepdim=True)
        return (h if noise is None else h + noise,)

    def draw_noise(self, n_steps: int, batch_size: int, generator: torch.Generator) -> Tensor:
        return torch.randn(n_steps, batch_size, self.n_units, generator=generator)

    def settle(self) -> None:
        self.settled += 1


def test_a_noisy_network_is_trained_with_its_noise_and_settles_before_every_epoch() -> None:
    def run(noisy: bool) -> ts.Training:
        cell = NoisyCell(50, 4, torch.Generator())
        if not noisy:
            cell.draw_noise = lambda *_: None  # type: ignore[method-assign, assignment, return-value]
        model = ts.Model([cell], ts.Heads(4, ["out"], 1, True, torch.Generator().manual_seed(0)))
        config = configured()
        return ts.train(model, config.template(), config.curriculum(), config.recipe())

    noisy = run(True)
    assert torch.equal(weights(noisy.model), weights(run(True).model))
    assert not torch.equal(weights(noisy.model), weights(run(False).model))
    assert noisy.model.state_dict()["cells.0.settled"].item() == 2


def test_nothing_clips_the_norm_of_the_gradient() -> None:
    assert math.isinf(configured().recipe().clip)
