"""Environments of neurogym as tasks, with a small package that has its interface: whole trials, seeded, padded, refused."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tauscope as ts
import tiny_neurogym
from tauscope.learning.recipe import Recipe
from tauscope.runs.config import config_of
from tauscope.runs.config.own import is_own
from tauscope.runs.run import Run
from tauscope.tasks import Neurogym, neurogym
from tauscope.tasks.check import check_task

MEMORY = "neurogym:Memory-v0"


@pytest.fixture(autouse=True)
def package(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    tiny_neurogym.install(monkeypatch)
    neurogym._about.cache_clear()
    yield
    neurogym._about.cache_clear()


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 40), st.integers(0, 2**40))
def test_a_batch_holds_the_trials_that_the_environment_plays(batch_size: int, seed: int) -> None:
    batch = Neurogym("Memory-v0", '{"sigma": 0.3}').sample(batch_size, draws(seed))
    assert batch.weight is not None
    env = tiny_neurogym.Memory(sigma=0.3)
    env.seed(int(torch.randint(2**32, (), generator=draws(seed))))
    env.reset()
    longest = 0
    for trial in range(batch_size):
        env.new_trial()
        n_steps = len(env.gt)
        longest = max(longest, n_steps)
        assert np.array_equal(batch.inputs[:n_steps, trial].numpy(), env.ob)
        assert np.array_equal(batch.targets[:n_steps, trial, 0].numpy(), env.gt)
        assert batch.weight[:, trial, 0].tolist() == [float(t < n_steps) for t in range(len(batch.inputs))]
        assert batch.info["decision"][:, trial, 0].nonzero().flatten().tolist() == [n_steps - 1]
        assert (batch.inputs[n_steps:, trial] == 0).all()
        assert batch.info["length"][trial] == n_steps
    assert batch.inputs.shape == (longest, batch_size, 3)


def test_padding_counts_for_nothing() -> None:
    task = Neurogym("Memory-v0")
    batch = task.sample(30, draws())
    assert batch.weight is not None
    right = torch.nn.functional.one_hot(batch.targets, 3).float() * 20
    noise = torch.randn(right.shape, generator=draws(1)) * 50
    spoilt = torch.where(batch.weight[..., None] > 0, right, noise)
    assert torch.equal(task.loss(spoilt, batch), task.loss(right, batch))
    assert task.score(spoilt, batch).item() == 1.0


def test_the_score_is_that_of_the_last_step_of_the_decision() -> None:
    task = Neurogym("Memory-v0")
    batch = task.sample(200, draws())
    right = torch.nn.functional.one_hot(batch.targets, 3).float()
    always = torch.zeros_like(right)
    last = batch.info["decision"][..., None] > 0
    # Right at the last step alone, and wrong there alone.
    assert task.score(torch.where(last, right, right.roll(1, -1)), batch).item() == 1.0
    assert task.score(torch.where(last, right.roll(1, -1), right), batch).item() == 0.0
    always[..., 1] = 1.0
    assert task.score(always, batch).item() == pytest.approx(task.heads["out"].chance, abs=0.1)
    assert 0.5 <= task.heads["out"].chance < 0.6


def test_without_a_decision_every_step_is_scored_or_a_period_by_its_name() -> None:
    batch = Neurogym("NoDecision-v0").sample(5, draws())
    assert batch.weight is not None
    assert torch.equal(batch.info["decision"], batch.weight)
    named = Neurogym("NoDecision-v0", decision="answer").sample(5, draws())
    assert torch.equal(named.info["decision"].sum(dim=0), torch.ones(5, 1))
    cue = Neurogym("Memory-v0", decision="cue").sample(5, draws())
    assert (cue.info["decision"][0] == 1).all()
    assert cue.info["decision"].sum() == 5


def test_what_an_environment_carries_over_between_trials_is_kept() -> None:
    batch = Neurogym("Blocks-v0").sample(25, draws())
    assert batch.inputs[0, :, :2].argmax(dim=-1).tolist() == [0] * 9 + [1] * 10 + [0] * 6
    # The next batch is a session of its own.
    generator = draws()
    task = Neurogym("Blocks-v0")
    task.sample(7, generator)
    assert task.sample(9, generator).inputs[0, :, :2].argmax(dim=-1).tolist() == [0] * 9


def test_chance_of_its_own_is_seeded_too() -> None:
    task = Neurogym("OwnChance-v0")
    check_task(task)
    first, second = task.sample(8, draws()), task.sample(8, draws(1))
    assert not torch.equal(first.inputs[:4], second.inputs[:4])


def test_a_schedule_of_environments_is_played_by_its_wrapper() -> None:
    batch = Neurogym("Outer-v0").sample(6, draws())
    # The first trial of all is that of the reset of each.
    assert batch.info["length"].tolist() == [6, 4, 6, 4, 6, 4]


def test_options_that_an_environment_needs_are_given() -> None:
    assert Neurogym("Needy-v0", '{"cues": 2}').n_inputs == 3


def test_observations_of_several_dimensions_are_laid_out_in_channels() -> None:
    assert torch.equal(Neurogym("Images-v0").sample(4, draws()).inputs, Neurogym("Memory-v0").sample(4, draws()).inputs)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"env": "Memori-v0"}, "no environment 'Memori-v0': did you mean 'Memory-v0'"),
        ({"env": "memory"}, "did you mean 'Memory-v0'"),
        ({"env": ""}, "expected one of Blocks-v0, "),
        # gymnasium would import the module.
        ({"env": "os:Memory-v0"}, "no environment 'os:Memory-v0'"),
        ({"env_options": "sigma=1"}, "expected JSON"),
        ({"env_options": "[1]"}, "expected JSON"),
        ({"env_options": '{"sigma": 1'}, "expected JSON"),
        ({"env_options": "[" * 10_000}, "expected JSON"),
        ({"env_options": '{"sgma": 1}'}, "no option 'sgma': expected one of delays, sigma, decision; did you mean 'sigma'"),
        ({"env_options": '{"sigma": "loud"}'}, "cannot play a trial"),
        ({"env_options": '{"delays": []}'}, "cannot play a trial"),
        ({"env_options": '{"decision": 0}'}, "the period decision of Memory-v0 has no steps"),
        ({"decision": "decison"}, "no period 'decison': expected one of cue, delay, decision; did you mean 'decision'"),
        ({"decision": 3}, "decision is of type int: expected a text"),
        ({"env": "Unseeded-v0"}, "plays other trials from the same seed"),
        ({"env": "EarlyDraw-v0"}, "plays other trials from the same seed"),
        ({"env": "NoTruth-v0"}, "tells no right actions"),
        ({"env": "OldTruth-v0"}, "tells no right actions"),
        ({"env": "Unequal-v0"}, "expected one action for each"),
        ({"env": "Continuous-v0"}, "expected a Discrete space"),
        ({"env": "Shifted-v0"}, "answers with a Discrete(3, start=1): expected a Discrete space of actions from 0"),
        ({"env": "Symbols-v0"}, "observes a Discrete: expected a Box"),
        ({"env": "TooMany-v0"}, "holds the action 2 for right: expected 0 … 1"),
        ({"env": "Needy-v0"}, "Needy-v0 cannot be made with its defaults"),
        ({"env": "Needy-v0", "env_options": '{"cue": 2}'}, "has no option 'cue': expected one of cues; did you mean 'cues'"),
        ({"env": "Fails-v0"}, "Fails-v0 cannot play a trial: KeyError: 'stimulus'"),
    ],
)  # fmt: skip
def test_what_cannot_be_learnt_is_refused_in_a_line(options: dict[str, object], line: str) -> None:
    with pytest.raises(ts.InputError) as raised:
        Neurogym(**{"env": "Memory-v0", **options})  # type: ignore[arg-type]
    assert line in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "neurogym.envs", None)
    with pytest.raises(ts.InputError, match=r"expected pip install 'tauscope\[neurogym\]'"):
        config_of({"task": MEMORY})


def test_the_name_of_an_environment_is_a_task_and_no_code_of_a_users_own() -> None:
    assert not is_own(MEMORY)
    config = config_of({"task": MEMORY, "env_options": '{ "sigma": 0.5,\n"delays": [1, 2]}', "seed": 0})
    assert config.name == "neurogym-Memory-v0_delays-1-2-sigma-0.5_network_1"
    assert config_of(config.to_dict()) == config
    assert config_of({"task": MEMORY, "seed": 0}).name == "neurogym-Memory-v0_network_1"
    assert config.identity()["task"] == MEMORY
    assert config.model().n_inputs == 3
    with pytest.raises(ts.InputError, match=r"env_options is an option of task neurogym:"):
        config_of({"task": "copy", "env_options": ""})
    with pytest.raises(ts.InputError, match="did you mean 'neurogym:'"):
        config_of({"task": "neurogym"})


def test_a_network_learns_an_environment_and_goes_on_exactly(tmp_path: object) -> None:
    from pathlib import Path

    small = {"task": MEMORY, "seed": 3, "num_neurons": 12, "steps_per_epoch": 10, "batch_size": 16, "test_steps": 2}
    states, folder = [], Path(str(tmp_path))
    for name, lengths in (("whole", (3,)), ("parts", (1, 2, 3))):
        for epochs in lengths:
            config = config_of({**small, "epochs": epochs})
            with Run(folder / name, config, "cpu") as opened:
                model, state, _ = opened.begin()
                ts.train(model, config.template(), config.curriculum(), config.recipe(), state=state, store=opened)
        states.append(model.state_dict())
    assert all(torch.equal(states[0][name], value) for name, value in states[1].items())


def test_a_memory_is_learnt() -> None:
    task = Neurogym("Memory-v0")
    model = ts.Model([ts.GRUCell(3, 16, draws())], ts.Heads(16, ("out",), 3, False, draws()))
    recipe = Recipe(epochs=6, steps_per_epoch=30, batch_size=32, test_steps=5, optimizer="adam", lr=0.02, seed=0)
    training = ts.train(model, task, ts.Curriculum([ts.Stage("task")], ts.Criterion("accuracy", goes_on=True)), recipe)
    assert training.history[-1]["accuracy"][0] > 0.9
