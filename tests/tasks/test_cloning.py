"""Cloning: windows of episodes, standardised by what is learnt from; demonstrations of one's own."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tauscope as ts
from rounding import tolerance
from tauscope import InputError
from tauscope.errors import NotApplicableError
from tauscope.tasks import Cloning
from tauscope.tasks.check import check_task

SMALL: dict[str, Any] = {"n_demonstrations": 8, "n_steps": 40, "window": 12}


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def recording(folder: Path, **arrays: Any) -> str:
    chance = np.random.default_rng(0)
    kept = {"observations": chance.normal(3.0, 2.0, (10, 30, 5)), "actions": chance.normal(size=(10, 30, 2))} | arrays
    file = folder / "mouse.npz"
    np.savez(file, **{name: value for name, value in kept.items() if value is not None})
    return str(file)


def test_a_trial_is_a_window_of_one_episode_of_its_split() -> None:
    task = Cloning(**SMALL)
    kept, standard = task.demonstrations(), task.standard()
    assert kept.observations.shape == (40, 10, 4)
    seen: dict[str, set[int]] = {}
    for split in ("train", "valid", "test"):
        batch = task.sample(300, draws(), split)
        seen[split] = set(batch.info["episode"].tolist())
        for trial, (episode, start) in enumerate(zip(batch.info["episode"], batch.info["start"], strict=True)):
            assert 0 <= start <= 40 - 12
            rows = slice(int(start), int(start) + 12)
            own = (kept.observations[rows, episode].double() - standard.mean) / standard.scale
            torch.testing.assert_close(batch.inputs[:, trial].double(), own[:, :2], rtol=0, atol=1e-5)
            assert torch.equal(batch.targets[:, trial, 0], kept.actions[rows, episode])
    assert seen == {"train": set(range(8)), "valid": {8, 9}, "test": {8, 9}}
    assert set(batch.info["start"].tolist()) == set(range(29))


def test_what_is_held_out_standardises_nothing(tmp_path: Path) -> None:
    chance = np.random.default_rng(1)
    seen = chance.normal(size=(10, 30, 5))
    seen[8:] += 100
    task = Cloning(recording(tmp_path, observations=seen), n_steps=30, window=6)
    train = torch.as_tensor(seen[:8]).flatten(0, 1)
    torch.testing.assert_close(task.standard().mean, train.mean(dim=0), rtol=0, atol=1e-5)
    torch.testing.assert_close(task.standard().scale, train.std(dim=0, correction=0), rtol=1e-5, atol=0)
    assert float(task.sample(50, draws(), "test").inputs.min()) > 50


def test_actions_are_those_of_the_expert_within_1() -> None:
    task = Cloning(**SMALL)
    kept = task.demonstrations()
    expected = task.policy()(kept.observations.flatten(0, 1)).clamp(-1, 1).view_as(kept.actions)
    torch.testing.assert_close(kept.actions, expected, rtol=0, atol=tolerance(torch.float32, 4))
    assert (kept.actions.abs() == 1).any()


def test_other_numbers_are_other_demonstrations_and_equal_ones_the_same() -> None:
    first, again, other = (Cloning(**SMALL, demonstrations_number=n).demonstrations().observations for n in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    task = Cloning(**SMALL)
    task.sample(2, draws())
    for twin in (copy.deepcopy(task), pickle.loads(pickle.dumps(task))):
        assert torch.equal(twin.sample(5, draws()).inputs, task.sample(5, draws()).inputs)
    assert task.replace(shown=4).sample(5, draws()).inputs.shape == (12, 5, 4)


def test_the_mean_action_scores_1_and_the_expert_0() -> None:
    task = Cloning(**SMALL)
    batch = task.sample(500, draws())
    mean = task.demonstrations().actions[:, :8].mean(dim=(0, 1))
    assert float(task.score(mean.expand_as(batch.targets), batch)) == pytest.approx(1.0, rel=1e-5)
    assert float(task.score(batch.targets, batch)) == 0
    errors = torch.randn(batch.targets.shape, generator=draws(1))
    assert float(task.loss(batch.targets + errors, batch)) == pytest.approx(float(errors.square().mean()), rel=1e-5)
    assert task.metric == "relative_error"
    check_task(task)


def test_the_expert_is_told_from_full_observations_and_not_from_positions() -> None:
    full, positions = (Cloning(n_demonstrations=20, shown=shown) for shown in (4, 0))
    scores = []
    for task in (full, positions):
        batch, test = task.sample(400, draws()), task.sample(400, draws(), "test")
        x = torch.cat([batch.inputs, torch.ones(32, 400, 1)], dim=-1).flatten(0, 1)
        weights = torch.linalg.lstsq(x, batch.targets.flatten(0, 2)).solution
        outputs = torch.cat([test.inputs, torch.ones(32, 400, 1)], dim=-1) @ weights
        scores.append(float(task.score(outputs.unsqueeze(2), test)))
    # Forces saturate now and then, which no linear answer follows.
    assert scores[0] < 0.05
    assert scores[1] > 0.3


def test_choices_of_a_recording_are_classes(tmp_path: Path) -> None:
    choices = np.random.default_rng(2).integers(0, 3, (10, 30))
    choices[0, 0] = 3
    task = Cloning(recording(tmp_path, actions=choices), n_steps=20, window=6)
    batch = task.sample(40, draws())
    assert task.heads["out"].n_outputs == 4
    assert batch.targets.shape == (6, 40, 1)
    right = torch.nn.functional.one_hot(batch.targets, 4).float()
    assert (task.metric, float(task.score(right, batch))) == ("accuracy", 1.0)
    assert float(task.loss(torch.zeros_like(right), batch)) == pytest.approx(np.log(4), rel=1e-5)
    assert int(batch.info["start"].max()) <= 14
    check_task(task)


@pytest.mark.parametrize("shape", [(10, 30), (10, 30, 1)])
def test_single_forces_of_a_recording_are_numbers(tmp_path: Path, shape: tuple[int, ...]) -> None:
    task = Cloning(recording(tmp_path, actions=np.random.default_rng(2).normal(size=shape)), n_steps=20, window=6)
    assert task.sample(4, draws()).targets.shape == (6, 4, 1, 1)
    assert task.continuous


def test_a_recording_has_its_hash_and_no_environment(tmp_path: Path) -> None:
    task = Cloning(recording(tmp_path), n_steps=30, window=6).settled()
    assert len(task.sha256) == 64
    with pytest.raises(NotApplicableError, match="is a recording"):
        task.acted_in()
    recording(tmp_path, actions=np.ones((10, 30, 2)).cumsum(1))
    with pytest.raises(InputError, match="has changed"):
        task.replace()
    assert Cloning(**SMALL).settled() == Cloning(**SMALL)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"actions": None}, "cannot be read"),
        ({"observations": np.zeros((10, 30))}, "expected \\[episode, time, channel\\]"),
        ({"actions": np.zeros((10, 29, 2))}, "with actions of shape"),
        ({"actions": np.zeros(10)}, "with actions of shape"),
        ({"observations": np.zeros((0, 30, 5)), "actions": np.zeros((0, 30, 2))}, "with actions of shape"),
        ({"observations": np.zeros((1, 30, 5)), "actions": np.zeros((1, 30, 2))}, "expected at least 2"),
        ({"observations": np.full((10, 30, 5), np.nan)}, "observations of .* are not finite"),
        ({"actions": np.full((10, 30, 2), np.inf)}, "actions of .* are not finite"),
        ({"actions": np.full((10, 30), -1)}, "expected choices from 0"),
        ({"actions": np.full((10, 30), 10**9)}, "expected choices from 0"),
        ({"actions": np.full((10, 30, 2), 0.5)}, "are the same at every step"),
        ({"actions": np.ones((10, 30), dtype=int)}, "are the same at every step"),
        ({"actions": np.full((10, 30, 2), "x")}, "expected real numbers"),
        ({"actions": np.full((10, 30, 2), 1j)}, "expected real numbers"),
        ({"actions": np.array([{"a": 1}])}, "cannot be read"),
        (
            {"observations": np.zeros((10, 3, 5)), "actions": np.arange(60.0).reshape(10, 3, 2)},
            "the longest train episode has 3 steps",
        ),
    ],
)
def test_recordings_that_are_none_are_refused_in_a_line(tmp_path: Path, arrays: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        Cloning(recording(tmp_path, **arrays), n_steps=30, window=6).sample(2, draws())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 broken"])
def test_files_that_are_none_are_refused_in_a_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"expected an \.npz"):
        Cloning(str(tmp_path / "a.npz")).sample(2, draws())
    with pytest.raises(InputError, match="is not there"):
        Cloning(str(tmp_path / "b.npz"))
    (tmp_path / "c.npz").mkdir()
    with pytest.raises(InputError, match="expected a file"):
        Cloning(str(tmp_path / "c.npz"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"environment": "spring"}, "did you mean 'springs'"),
        ({"environment": "my environment"}, "expected a name"),
        ({"environment": 3}, "environment is of type int"),
        ({"n_demonstrations": 0}, "n_demonstrations is 0"),
        ({"window": 251}, "window is 251 of episodes of 250 steps"),
        ({"window": 0}, "window is 0"),
        ({"shown": -1}, "shown is -1"),
        ({"shown": 5}, "shown is 5 of 4 channels"),
        ({"expert": "nobody.json"}, "is not there"),
        ({"sha256": 1}, "sha256 is of type int"),
        ({"sha256": "abc"}, "without a file"),
        ({"n_steps": 10**8}, "expected at most 10000000"),
        ({"n_demonstrations": 10**6}, "expected at most 10000000"),
        ({"demonstrations_number": 0.5}, "demonstrations_number is"),
    ],
)
def test_options_that_cannot_be_are_refused_in_a_line(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        Cloning(**options).sample(2, draws())
    assert "\n" not in str(caught.value)


def test_an_expert_of_ones_own_is_cloned_in_its_place(tmp_path: Path) -> None:
    known = Cloning(**SMALL)
    file = tmp_path / "expert.json"
    file.write_text(known.policy().to_json())
    own = Cloning(**SMALL, expert=str(file))
    assert torch.equal(own.demonstrations().observations, known.demonstrations().observations)
    assert own.settled().sha256
    result = ts.closed_loop(_still(), own, episodes=2)
    assert float(result["expert"].mean()) > float(result["return_"].mean())


def _still() -> ts.Model:
    from tauscope.models import build_model

    return build_model("gru", 3, n_inputs=2, n_outputs=2, n_heads=1, shared_head=True, generator=draws())


def test_a_recording_that_is_no_archive_or_damaged_or_too_large_for_single_precision_is_refused(tmp_path: Path) -> None:
    seen, done = np.random.default_rng(0).random((4, 40, 3)), np.random.default_rng(1).random((4, 40, 2))
    alone = tmp_path / "alone.npz"
    with alone.open("wb") as file:
        np.save(file, seen)
    damaged = tmp_path / "damaged.npz"
    np.savez_compressed(damaged, observations=seen, actions=done)
    content = bytearray(damaged.read_bytes())
    content[200:260] = bytes(60)
    damaged.write_bytes(content)
    for file_ in (alone, damaged):
        with pytest.raises(InputError, match=r"expected an \.npz"):
            Cloning(str(file_)).sample(2, draws())
    seen[0, 0, 0] = 1e300
    np.savez(tmp_path / "large.npz", observations=seen, actions=done)
    with pytest.raises(InputError, match=r"observations of .* are not finite in single precision"):
        Cloning(str(tmp_path / "large.npz")).sample(2, draws())
