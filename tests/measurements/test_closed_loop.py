"""Which networks can act in a closed loop, and which numbers are told of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import tauscope as ts
from tauscope import LeakyRNN, Parity, build_model
from tauscope.measurements import MEASUREMENTS, Subject
from tauscope.tasks import Cloning, Series

LISTED = MEASUREMENTS["closed_loop"]
TASK = Cloning(n_demonstrations=4, n_steps=40)


def subject(task: ts.Task = TASK) -> Subject:
    generator = torch.Generator().manual_seed(0)
    model = build_model("gru", 6, n_inputs=task.n_inputs, n_outputs=2, n_heads=1, shared_head=True, generator=generator)
    return Subject(model, task, (1, 1), seed=3)


def test_a_clone_acts_from_the_seed_of_the_measurement() -> None:
    result = LISTED.measure(subject(), episodes=2)
    expected = ts.closed_loop(subject().model, TASK, episodes=2, generator=torch.Generator().manual_seed(3))
    xr.testing.assert_identical(result, expected)


def test_numbers_are_means_and_parts_of_the_experts() -> None:
    coords = {"shift": ["none", "hold", "mass"], "kind": ("shift", ["none", "sensors", "body"])}
    returns, expert = [[8.0, 6.0], [3.0, 1.0], [1.0, 1.0]], [[10.0, 10.0], [5.0, 3.0], [-1.0, -1.0]]
    result = xr.Dataset({"return_": (("shift", "episode"), returns), "expert": (("shift", "episode"), expert)}, coords)
    numbers = LISTED.numbers(result)
    assert numbers["return, none"] == 7
    assert numbers["return, hold (expert)"] == 4
    assert numbers["return, hold, in parts of the expert's"] == 0.5
    assert np.isnan(numbers["return, mass, in parts of the expert's"]), "no part of what is below 0"


def test_what_has_no_environment_says_so(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    assert LISTED.lacks(subject()) == ""
    assert "task cloning" in LISTED.lacks(Subject(LeakyRNN(4, generator=generator), Parity((2,)), (2, 3), seed=0))
    assert "task cloning" in LISTED.lacks(Subject(subject().model, Series(), (1, 1), seed=0))
    file = tmp_path / "own.npz"
    np.savez(
        file,
        observations=np.random.default_rng(0).normal(size=(4, 40, 2)),
        actions=np.random.default_rng(1).normal(size=(4, 40, 2)),
    )
    own = Subject(subject().model, Cloning(str(file)), (1, 1), seed=0)
    assert "recorded demonstrations" in LISTED.lacks(own)
    with pytest.raises(ts.InputError, match="is a recording"):
        LISTED.measure(own)
