"""The same seed gives the same bits whatever torch's defaults are."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

import tauscope
from cells import NETWORKS
from defaults import DEFAULTS, default
from tauscope import InputError, Task, run
from tauscope._draws import normal, uniform
from tauscope.models import Loop
from tauscope.tasks import (
    ChangeDetection2,
    Comparison,
    DelayedMatchToSample,
    DelayedSine,
    Filter,
    Functional,
    GatedDelayedEstimation,
    History,
    Parity,
    Tracking,
    TwoAlternativeChoice,
)

TASKS: dict[str, Callable[[], Task]] = {
    "parity": lambda: Parity((2, 3), labels="every"),
    "biased parity": lambda: Parity(p=0.3, plus_minus=True),
    "dms": lambda: DelayedMatchToSample((2, 4)),
    "change": lambda: ChangeDetection2(dynamic=True),
    "published change": lambda: ChangeDetection2(reference=True),
    "functional": Functional,
    "filter": lambda: Filter(n_steps=9),
    "choice": TwoAlternativeChoice,
    "comparison": lambda: Comparison(delay_steps=(10, 40)),
    "gated estimation": GatedDelayedEstimation,
    "sine": DelayedSine,
    "history": History,
    "tracking": Tracking,
}

# Of these, torch's default dtype is that of the result.
REAL = {"zeros", "ones", "empty", "full", "rand", "randn", "eye", "linspace"}
MADE = REAL | {"arange", "tensor", "as_tensor", "randint", "randperm"}


def same(first: list[Tensor], second: list[Tensor]) -> bool:
    """Return whether tensors are equal bit for bit, of one dtype and on one device; NaN is equal to NaN."""
    return all(
        a.dtype == b.dtype and a.device == b.device and torch.equal(a.nan_to_num(7.0), b.nan_to_num(7.0))
        for a, b in zip(first, second, strict=True)
    )


def drawn(task: Task) -> list[Tensor]:
    """Return all that a batch of the task has, its loss and its score for answers of zeros."""
    batch = task.sample(4, torch.Generator().manual_seed(3))
    n_outputs = max(head.n_outputs for head in task.heads.values())
    outputs = torch.zeros(*batch.targets.shape[:2], len(task.heads), n_outputs, dtype=torch.float32, device="cpu")
    known = [value for value in (batch.weight, batch.hold, *batch.info.values()) if isinstance(value, Tensor)]
    return [batch.inputs, batch.targets, *known, task.loss(outputs, batch), *task.tally(outputs, batch)]


def computed(name: str) -> list[Tensor]:
    """Return the weights of a network, its states under both solvers, and a gradient."""
    model, found = NETWORKS[name](torch.Generator().manual_seed(0)), []
    inputs = uniform((12, 3, model.n_inputs), torch.Generator().manual_seed(1)).requires_grad_()
    for solver in (tauscope.models.Fast(), Loop()):
        trace = run(model, inputs, torch.Generator().manual_seed(2), heads=model.heads.names[:1], solver=solver)
        found += [trace.states.detach(), trace.outputs.detach()]
    trace.states.square().sum().backward()
    assert inputs.grad is not None
    return [*model.state_dict().values(), *found, inputs.grad]


@pytest.mark.parametrize("name", DEFAULTS)
@pytest.mark.parametrize("task", TASKS)
def test_trials_follow_from_the_seed_alone(task: str, name: str) -> None:
    expected = drawn(TASKS[task]())
    with default(name):
        assert same(drawn(TASKS[task]()), expected)


@pytest.mark.parametrize("name", DEFAULTS)
# The wrapped module draws its weights by itself.
@pytest.mark.parametrize("network", [one for one in NETWORKS if one != "wrapped"])
def test_networks_and_what_they_compute_follow_from_the_seed_alone(network: str, name: str) -> None:
    expected = computed(network)
    with default(name):
        found = computed(network)
    assert same(found, expected)


@pytest.mark.parametrize("draw", [uniform, normal])
@pytest.mark.parametrize("generator", [0, None, torch.Generator, "0"])
def test_chance_comes_from_a_generator_alone(draw: Callable[..., Tensor], generator: object) -> None:
    with pytest.raises(InputError, match=r"generator is .*: expected a torch.Generator"):
        draw((2,), generator)


def test_every_tensor_that_is_made_says_of_what_and_where() -> None:
    assert tauscope.__file__ is not None
    silent = []
    for path in sorted(Path(tauscope.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            if ast.unparse(node.func.value) == "torch" and node.func.attr in MADE:
                said = {keyword.arg for keyword in node.keywords}
                if {"device", *(["dtype"] if node.func.attr in REAL else [])} - said:
                    silent.append(f"{path.name}:{node.lineno}: {ast.unparse(node)}")
    assert not silent
