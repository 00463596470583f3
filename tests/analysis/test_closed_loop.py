"""The closed loop: a clone that is the expert, starts and disturbances of its own, states that are carried."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor

import tauscope as ts
from tauscope import InputError
from tauscope.errors import NotApplicableError
from tauscope.models import NoisyRateCell, build_model
from tauscope.models.cell import Cell, State
from tauscope.tasks import Cloning
from tauscope.tasks.experts import rollout
from tauscope.tasks.shifts import SHIFTS, ActionNoise, Blank, Delay, Hold, ObservationNoise, Shift

TASK = Cloning(n_demonstrations=6, n_steps=60)
SEEN = TASK.replace(shown=4)


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Affine(Cell):
    """Units that are an affine function of the input alone."""

    def __init__(self, weights: Tensor, offset: Tensor) -> None:
        super().__init__(weights.shape[1], weights.shape[0])
        self.matrix, self.offset = torch.nn.Parameter(weights), torch.nn.Parameter(offset)

    def step(self, x: Tensor, state: State, noise: Tensor | None = None) -> State:
        del state, noise
        return (x @ self.matrix.T + self.offset,)


def direct(cell: Cell) -> ts.Model:
    """Return a network whose outputs are its units."""
    heads = ts.Heads(cell.n_units, ["out"], cell.n_units, False, draws())
    model = ts.Model([cell], heads).double()
    with torch.no_grad():
        heads.linears[0].weight.copy_(torch.eye(cell.n_units))  # type: ignore[arg-type,union-attr,operator]
        heads.linears[0].bias.zero_()  # type: ignore[union-attr,operator]
    return model


def expert_as_network(task: Cloning) -> ts.Model:
    """Return the network that is the expert: its gain of observations that are standardised as the demonstrations."""
    policy, standard = task.policy(), task.standard()
    gain = policy.gain / policy.scale
    return direct(Affine(gain * standard.scale, gain @ (standard.mean - policy.mean)))


def small(seed: int = 0, task: Cloning = TASK) -> ts.Model:
    return build_model(
        "gru", 6, n_inputs=task.n_inputs, n_outputs=2, n_heads=1, shared_head=True, generator=draws(seed)
    )


ALL: dict[str, Shift] = {**SHIFTS, "blank": Blank(0.3), "delay": Delay(2), "action": ActionNoise(0.3)}


def test_a_clone_that_is_the_expert_scores_the_experts_return_under_every_shift() -> None:
    result = ts.closed_loop(expert_as_network(SEEN), SEEN, episodes=4, shifts=ALL)
    np.testing.assert_allclose(result["return_"], result["expert"], rtol=0, atol=1e-3)
    assert result["expert"].sel(shift="none").min() > 30
    assert (result["expert"].sel(shift="none") > result["expert"].sel(shift="delay")).all()
    assert (result["length"] == 60).all()


def test_the_experts_return_is_that_of_a_rollout_within_two_percent() -> None:
    result = ts.closed_loop(expert_as_network(SEEN), SEEN, episodes=200, shifts={})
    rewards = rollout(SEEN.acted_in(), SEEN.policy(), 200, 60, draws(99))[2]
    assert float(result["expert"].mean()) == pytest.approx(float(rewards.sum(dim=0).mean()), rel=0.02)


@pytest.mark.parametrize(
    ("mistake", "why"),
    [(0.9, "actions of another scale"), (-1.0, "actions of another sign")],
)
def test_a_clone_that_is_nearly_the_expert_does_not(mistake: float, why: str) -> None:
    model = expert_as_network(SEEN)
    with torch.no_grad():
        model.heads.linears[0].weight.mul_(mistake)  # type: ignore[union-attr,operator]
    result = ts.closed_loop(model, SEEN, episodes=20, shifts={})
    assert abs(float(result["return_"].mean() - result["expert"].mean())) > 0.01, why


def test_states_are_carried_as_by_a_loop_written_out() -> None:
    model, standard, plant = small(), TASK.standard(), TASK.acted_in()
    result = ts.closed_loop(model, TASK, episodes=3, shifts={}, generator=draws(5))
    world, _ = torch.randint(2**31, (2,), generator=draws(5)).tolist()
    generator = draws(world)
    turn, state, total = plant.reset(3, generator), model.initial_state(3), torch.zeros(3)
    for _ in range(60):
        seen = ((turn.observation - standard.mean) / standard.scale)[:, :2].float()
        state = model.step(seen, state)
        with torch.no_grad():
            action = model.readout(model.hidden(state), "out")
        turn = plant.step(turn, action, generator)
        total += turn.reward
    np.testing.assert_allclose(result["return_"].sel(shift="none"), total, rtol=1e-4, atol=1e-3)


def test_every_network_has_the_same_starts_and_disturbances() -> None:
    left, right = (ts.closed_loop(small(seed), TASK, shifts=ALL, generator=draws(3)) for seed in (0, 1))
    xr.testing.assert_identical(left["expert"], right["expert"])
    assert not np.allclose(left["return_"], right["return_"])
    other = ts.closed_loop(small(), TASK, shifts=ALL, generator=draws(4))
    assert not np.allclose(left["expert"], other["expert"])
    again = ts.closed_loop(small(), TASK, shifts=ALL, generator=draws(3))
    xr.testing.assert_identical(left, again)


def test_one_shift_more_changes_nothing_of_the_others() -> None:
    few, more = (ts.closed_loop(small(), TASK, shifts=shifts) for shifts in ({"hold": Hold(0.3)}, ALL))
    for name in ("return_", "expert", "length"):
        np.testing.assert_array_equal(few[name].sel(shift="hold"), more[name].sel(shift="hold"))
        np.testing.assert_array_equal(few[name].sel(shift="none"), more[name].sel(shift="none"))


def test_a_shift_of_size_0_is_none() -> None:
    result = ts.closed_loop(small(), TASK, shifts={"nothing": ObservationNoise(0.0), "hold": Hold(0.0)})
    for name in ("nothing", "hold"):
        np.testing.assert_array_equal(result["return_"].sel(shift=name), result["return_"].sel(shift="none"))


def test_the_result_says_what_it_is() -> None:
    result = ts.closed_loop(small(), TASK)
    assert dict(result.sizes) == {"shift": 6, "episode": 3}
    assert dict(zip(result["shift"].values, result["kind"].values, strict=True)) == {
        "none": "none", "noise": "sensors", "hold": "sensors", "mass": "body", "gear": "body", "bias": "sensors",
    }  # fmt: skip
    assert result.attrs["environment"] == "springs"


def test_private_noise_belongs_to_the_network_and_not_to_the_world() -> None:
    quiet, noisy = (
        ts.Model([NoisyRateCell(2, 6, draws(), sigma=sigma)], ts.Heads(6, ["out"], 2, False, draws()))
        for sigma in (0.0, 0.5)
    )
    left, right = (ts.closed_loop(model, TASK, shifts={}) for model in (quiet, noisy))
    xr.testing.assert_identical(left["expert"], right["expert"])
    assert not np.allclose(left["return_"], right["return_"])


def test_the_network_is_left_as_it_is() -> None:
    model = small()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    ts.closed_loop(model, TASK, shifts={})
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("task", "options", "said"),
    [
        (ts.Parity(), {}, "Parity is no task with a closed loop"),
        (TASK.replace(shown=3), {}, "the network has 2 inputs: expected 3"),
        (TASK, {"episodes": 0}, "episodes is 0"),
        (TASK, {"episodes": 1.5}, "episodes is 1.5"),
        (TASK, {"shifts": {"none": Hold(0.1)}}, "expected another name"),
        (TASK, {"shifts": {"hold": 0.1}}, "expected a shift"),
        (TASK, {"generator": 3}, "generator is of type int"),
    ],
)
def test_what_cannot_act_is_refused_in_a_line(task: ts.Task, options: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        ts.closed_loop(small(), task, **options)  # type: ignore[arg-type]


def test_a_network_with_other_outputs_is_refused() -> None:
    model = build_model("gru", 6, n_inputs=2, n_outputs=3, n_heads=1, shared_head=True, generator=draws())
    with pytest.raises(InputError, match="has 3 outputs: expected 2"):
        ts.closed_loop(model, TASK)


def test_returns_that_are_not_finite_are_no_crash() -> None:
    model = small()
    with torch.no_grad():
        model.heads.linears[0].bias.fill_(math.nan)  # type: ignore[union-attr,operator]
    assert ts.closed_loop(model, TASK, shifts={})["return_"].isnull().all()


def test_shifts_that_an_environment_cannot_have_are_left_out_unless_they_are_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def bodiless(*_: object) -> None:
        raise NotApplicableError("no body: expected one")

    monkeypatch.setattr("tauscope.tasks.plants.Springs.altered", bodiless)
    assert ts.closed_loop(small(), TASK)["shift"].values.tolist() == ["none", "noise", "hold", "bias"]
    with pytest.raises(NotApplicableError, match="no body"):
        ts.closed_loop(small(), TASK, shifts=SHIFTS)
