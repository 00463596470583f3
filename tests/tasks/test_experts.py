"""Experts: policies as text, searched ones, and who is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gyms import Walk
from tauscope import InputError
from tauscope.tasks import Springs
from tauscope.tasks.experts import SHIPPED, LinearPolicy, augmented_random_search, expert_of, rollout

FEW = {"n_steps": 60, "n_directions": 8, "n_best": 4, "step_size": 0.2, "noise": 0.1}


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def mean_return(policy: Callable[[torch.Tensor], torch.Tensor], n_steps: int = 60) -> float:
    return float(rollout(Springs(), policy, 100, n_steps, draws(1))[2].sum(dim=0).mean())


def test_random_search_finds_a_policy_that_is_worse_than_the_best_but_far_from_nothing() -> None:
    found = augmented_random_search(Springs(), draws(), n_updates=30, **FEW)  # type: ignore[arg-type]
    nothing = mean_return(lambda seen: torch.zeros(len(seen), 2))
    best = mean_return(expert_of(Springs()))
    assert nothing + 0.5 * (best - nothing) < mean_return(found) < best


def test_the_first_update_is_the_sum_written_out() -> None:
    found = augmented_random_search(Springs(), draws(), n_updates=1, **FEW)  # type: ignore[arg-type]
    generator = draws()
    directions = torch.randn(8, 2, 4, generator=generator).double()
    policy = LinearPolicy(
        torch.cat([0.1 * directions, -0.1 * directions]), torch.zeros(4), torch.ones(4), continuous=True
    )
    observations, _, rewards, _ = rollout(Springs(), policy, 16, 60, generator)
    returns = rewards.double().sum(dim=0).tolist()
    best = sorted(range(8), key=lambda d: -max(returns[d], returns[8 + d]))[:4]
    used = torch.tensor([returns[d] for d in best] + [returns[8 + d] for d in best])
    step = sum((returns[d] - returns[8 + d]) * directions[d] for d in best)
    torch.testing.assert_close(found.gain, 0.2 / (4 * used.std(correction=0).double()) * step, rtol=1e-5, atol=1e-7)
    seen = observations.flatten(0, 1).double()
    torch.testing.assert_close(found.mean, seen.mean(dim=0))
    torch.testing.assert_close(found.scale, seen.std(dim=0, correction=0))


def test_moments_are_those_of_all_that_was_seen() -> None:
    found = augmented_random_search(Springs(), draws(), n_updates=3, **FEW)  # type: ignore[arg-type]
    assert found.mean.shape == found.scale.shape == (4,)
    assert (found.scale > 0.05).all()
    torch.testing.assert_close(found.gain, augmented_random_search(Springs(), draws(), n_updates=3, **FEW).gain)  # type: ignore[arg-type]


def test_episodes_that_end_count_to_their_end_and_choices_are_searched_too() -> None:
    walk = Walk()
    found = augmented_random_search(walk, draws(), n_updates=3, **FEW)  # type: ignore[arg-type]
    observations, actions, rewards, going = rollout(walk, found, 40, 60, draws(2))
    assert actions.dtype == torch.int64
    assert observations.shape[:2] == rewards.shape == going.shape == actions.shape
    assert len(going) <= 9
    assert (going[1:] <= going[:-1]).all()
    assert (rewards[~going] == 0).all()


def test_a_policy_is_the_same_after_it_was_written(tmp_path: Path) -> None:
    policy = augmented_random_search(Springs(), draws(), n_updates=1, **FEW)  # type: ignore[arg-type]
    file = tmp_path / "policy.json"
    file.write_text(policy.to_json())
    again = expert_of(Springs(), str(file))
    seen = torch.randn(7, 4, generator=draws())
    assert torch.equal(again(seen), policy(seen))


@pytest.mark.parametrize("name", SHIPPED)
def test_policies_that_come_with_the_package_say_where_they_are_from(name: str) -> None:
    kept = json.loads(SHIPPED[name].read_text())
    policy = LinearPolicy.from_json(SHIPPED[name].read_text())
    assert 0 < kept["shown"] <= policy.gain.shape[1]
    assert "augmented_random_search" in kept["made_by"]
    assert kept["return"] > 0


GOOD = {"gain": [[1.0, 0.0, 0.0, 0.0]] * 2, "mean": [0.0] * 4, "scale": [1.0] * 4, "continuous": True}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no linear policy"),
        ("[]", "is no linear policy"),
        ("{}", "is no linear policy"),
        (json.dumps(GOOD | {"gain": "x"}), "is no linear policy"),
        (json.dumps(GOOD | {"gain": [[1.0], [1.0, 2.0]]}), "is no linear policy"),
        (json.dumps(GOOD | {"gain": [1.0]}), r"has a gain of shape \(1,\)"),
        (json.dumps(GOOD | {"mean": [0.0]}), "expected \\[action, channel\\]"),
        (json.dumps(GOOD | {"scale": [0.0] * 4}), "has a scale of 0"),
        (json.dumps(GOOD | {"mean": [float("nan")] * 4}), "is not finite"),
        (json.dumps(GOOD | {"continuous": 1}), "has a gain"),
        (json.dumps(GOOD | {"gain": [[1.0] * 4] * 3}), r"expected \(2, 4\)"),
        (json.dumps(GOOD | {"continuous": False}), "for actions that are real numbers"),
        ("[" * 100_000, "is no linear policy"),
        ("\udce9", "it is no text"),
    ],
)
def test_what_is_no_policy_is_refused_in_a_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "policy.json"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=said) as caught:
        expert_of(Springs(), str(file))
    assert "\n" not in str(caught.value)


def test_who_is_not_known_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no expert is known for Walk: expected one of springs"):
        expert_of(Walk())
    with pytest.raises(InputError, match="cannot be read"):
        expert_of(Springs(), str(tmp_path))
    with pytest.raises(InputError, match="n_directions is 2: expected at least 3"):
        augmented_random_search(Springs(), draws(), n_updates=1, n_steps=5, n_directions=2, n_best=3)
