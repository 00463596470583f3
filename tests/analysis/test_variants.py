from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tauscope import Model
from tauscope.analysis import variants as module
from tauscope.analysis.transforms import ablate, freeze_tau, perturb
from tauscope.analysis.variants import run_variants
from tauscope.models import State
from zoo import LEAKY, N_UNITS, ZOO

N_STEPS, N_TRIALS = 9, 3


def _variants(kind: str, model: Model, generator: torch.Generator) -> list[Model]:
    if kind == "ablated":
        return [ablate(model, units) for units in ([], [0], [3, 9], range(10))]
    if kind == "published":
        return [ablate(model, units, "published") for units in ([], [0], [3, 9])]
    return [perturb(model, kind, epsilon, generator) for epsilon in (0.0, 0.1, 0.1, 1.0)]


def _one_by_one(models: list[Model], inputs: Tensor, state: tuple[State, ...], head: str) -> Tensor:
    """The networks' own forward pass and read-out, each by itself."""
    logits = []
    for variant, model in enumerate(models):
        own = tuple(tuple(tensor[variant] for tensor in one) for one in state)
        # Where the forward pass is a kernel, an initial state of a silent unit is not silent by itself.
        own = tuple(
            tuple(tensor * getattr(cell, "mask", 1) for tensor in one)
            for cell, one in zip(model.layers, own, strict=True)
        )
        states, _ = model(inputs[:, variant], own)
        logits.append(model.readout(states, head))
    return torch.stack(logits, dim=1)


def _setting(model: Model, n_variants: int, generator: torch.Generator) -> tuple[Tensor, tuple[State, ...]]:
    inputs = torch.rand(N_STEPS, n_variants, N_TRIALS, 1, generator=generator)
    flat = model.initial_state(n_variants * N_TRIALS, generator)
    state = tuple(
        tuple(torch.rand(tensor.shape, generator=generator).unflatten(0, (n_variants, N_TRIALS)) for tensor in one)
        for one in flat
    )
    return inputs, state


CASES = [
    *((name, "ablated") for name in ZOO),
    *((name, "readout") for name in ZOO),
    *((name, which) for name in (*LEAKY, "gru", "lstm") for which in ("recurrent", "input")),
    *((name, "tau") for name in LEAKY),
    *((name, "published") for name in ("default", "mod", "continuous", "single head")),
]


@pytest.mark.parametrize(("name", "kind"), CASES)
@pytest.mark.parametrize("head", ["N2", "N5"])
def test_variants_run_together_as_they_would_alone(name: str, kind: str, head: str, generator: torch.Generator) -> None:
    model = ZOO[name](generator)
    models = _variants(kind, model, generator)
    inputs, state = _setting(model, len(models), generator)
    together = run_variants(models, inputs, state, head)
    assert together.shape == (N_STEPS, len(models), N_TRIALS, 2)
    torch.testing.assert_close(together, _one_by_one(models, inputs, state, head), atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize("name", LEAKY)
def test_the_fast_path_equals_the_mapped_step(name: str, noisy: bool, generator: torch.Generator) -> None:
    model = ZOO[name](generator)
    models = [perturb(ablate(model, unit), "recurrent", 0.2, generator) for unit in range(3)]
    inputs, state = _setting(model, 3, generator)
    noise = torch.randn(*inputs.shape[:-1], N_UNITS, generator=generator) if noisy else None
    fast = module._run_leaky(models, inputs, state, "N3", noise)
    torch.testing.assert_close(fast, module._run_mapped(models, inputs, state, "N3", noise), atol=1e-6, rtol=1e-5)
    if noisy:
        assert not torch.allclose(fast, module._run_leaky(models, inputs, state, "N3", None), atol=1e-2)


@pytest.mark.parametrize("name", ["default", "gru"])
@pytest.mark.parametrize("chunk_bytes", [1, 1500])
def test_chunks_do_not_change_the_answer(name: str, chunk_bytes: int, generator: torch.Generator) -> None:
    model = ZOO[name](generator)
    models = [perturb(model, "recurrent", 0.2, generator) for _ in range(5)]
    inputs, state = _setting(model, 5, generator)
    chunked = run_variants(models, inputs, state, "N2", chunk_bytes)
    torch.testing.assert_close(chunked, run_variants(models, inputs, state, "N2"), atol=1e-6, rtol=1e-5)


def test_only_what_differs_is_stacked(generator: torch.Generator) -> None:
    model = ZOO["default"](generator)
    assert module._differing([model, freeze_tau(model)], "N2") == {}
    assert list(module._differing([ablate(model, 1), ablate(model, 2)], "N2")) == ["cells.0.mask"]
    assert list(module._differing(_variants("readout", model, generator), "N4")) == ["heads.linears.2.weight"]


@pytest.mark.parametrize(("name", "fast"), [(name, name in LEAKY) for name in ZOO])
def test_leaky_networks_alone_take_the_fast_path(name: str, fast: bool, generator: torch.Generator) -> None:
    assert module._is_leaky(ablate(ZOO[name](generator), [])) == fast
