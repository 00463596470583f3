"""MuJoCo itself: HalfCheetah, its body, the expert that comes with the package, and a clone of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import tauscope as ts
from tauscope.cli import main
from tauscope.errors import InputError, NotApplicableError
from tauscope.tasks import Cloning, Gymnasium
from tauscope.tasks.check import check_task
from tauscope.tasks.experts import SHIPPED, expert_of, rollout
from tauscope.tasks.shifts import SHIFTS

pytestmark = [pytest.mark.extras, pytest.mark.filterwarnings("ignore")]
gymnasium = pytest.importorskip("gymnasium")
pytest.importorskip("mujoco")

NAME = "HalfCheetah-v5"
if NAME not in gymnasium.envs.registry:
    pytest.skip(f"gymnasium {gymnasium.__version__} has no {NAME}: expected 1.0 or later", allow_module_level=True)


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def returns(task: Gymnasium, n: int = 10, seed: int = 2000) -> torch.Tensor:
    return rollout(task, expert_of(Gymnasium(NAME)), n, 250, draws(seed))[2].sum(dim=0)


def test_the_expert_runs_as_far_as_its_file_says() -> None:
    kept = json.loads(SHIPPED[NAME].read_text())
    found = returns(Gymnasium(NAME), 40)
    assert abs(float(found.mean()) - kept["return"]) < 4 * kept["return_sd"] / 40**0.5
    cart = Gymnasium("CartPole-v1")
    assert float(rollout(cart, expert_of(cart), 5, 500, draws())[2].sum(dim=0).min()) == 500


def test_another_body_is_another_model_and_its_expert_is_slower() -> None:
    plain = Gymnasium(NAME)
    heavy, weak = plain.altered("mass", 1.5), plain.altered("gear", 0.7)
    models = [task.make().unwrapped.model for task in (plain, heavy, weak)]
    for name, factors in {
        "body_mass": (1.5, 1),
        "body_inertia": (1.5, 1),
        "actuator_gear": (1, 0.7),
        "dof_damping": (1, 1),
    }.items():
        first, *others = (torch.as_tensor(getattr(model, name)) for model in models)
        for other, factor in zip(others, factors, strict=True):
            torch.testing.assert_close(other, factor * first)
    fast, *slow = (float(returns(task).mean()) for task in (plain, heavy, weak))
    assert all(0.2 * fast < each < 0.8 * fast for each in slow)
    same = plain.altered("mass", 1.0)
    assert torch.equal(returns(same, 2), returns(plain, 2))
    check_task(heavy)
    with pytest.raises(NotApplicableError, match="expected an environment of MuJoCo"):
        Gymnasium("CartPole-v1").altered("mass", 2.0)
    with pytest.raises(InputError, match="did you mean 'gear'"):
        plain.altered("gears", 2.0)


def test_a_clone_sees_positions_and_acts_under_every_shift(tmp_path: Path) -> None:
    options = [
        "--n_demonstrations",
        "2",
        "--n_steps",
        "60",
        "--cell",
        "gru",
        "-nn",
        "8",
        "--epochs",
        "1",
        "--test_steps",
        "1",
    ]
    assert main(["train", "--task", "cloning", "--environment", NAME, *options, "-s", "0", "-b", str(tmp_path)]) == 0
    (run,) = tmp_path.iterdir()
    assert ts.load(run).n_inputs == 8
    task = Cloning(NAME, n_demonstrations=2, n_steps=60)
    assert task.demonstrations().observations.shape == (60, 3, 17)
    check_task(task)
    result = ts.closed_loop(ts.load(run), task, episodes=2)
    assert result["shift"].values.tolist() == ["none", *SHIFTS]
    assert (result["length"] == 60).all()
    assert main(["analyze", "closed_loop", str(run), "--episodes", "1"]) == 0


def test_choices_are_cloned_where_episodes_end_by_themselves() -> None:
    cart = Cloning("CartPole-v1", n_demonstrations=4, n_steps=40, window=10)
    check_task(cart)
    assert (cart.metric, cart.n_inputs, cart.heads["out"].n_outputs) == ("accuracy", 4, 2)
    generator = draws()
    model = ts.build_model("gru", 6, n_inputs=4, n_outputs=2, n_heads=1, shared_head=True, generator=generator)
    result = ts.closed_loop(model, cart)
    assert result["shift"].values.tolist() == ["none", "noise", "hold", "bias"]
    assert (result["return_"] == result["length"]).all()
    assert (result["expert"] == 40).all()


def test_an_environment_without_an_expert_says_what_is_needed() -> None:
    with pytest.raises(InputError, match=r"no expert is known for Hopper-v5.*--expert FILE"):
        Cloning("Hopper-v5")
