"""Whether a network can be parallelised: iterations, exponents and advice against what is known of simple networks."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch
import xarray as xr

import tauscope as ts
from cells import network
from problems import linear_model
from tauscope.analysis import lyapunov, parallelizability, trial_parallelizability
from tauscope.analysis.parallelizability import METHODS, advice
from tauscope.errors import InputError
from tauscope.models.wrapped import WrappedCell
from tauscope.tasks import TwoAlternativeChoice


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_linear_network_takes_one_iteration_and_its_exponent_is_that_of_its_eigenvalue() -> None:
    model = linear_model(0.5 * np.eye(3), np.ones((3, 1)))
    result = parallelizability(model, n_steps=100, p=0.5, timed=False)
    assert (result.iterations.sel(solver=["newton", "quasi"]).isel(length=-1) == 1).all()
    np.testing.assert_allclose(result.largest_exponent, np.log(0.5))
    # 0.5^k is below 1e-10 from k = 34 on.
    assert 25 <= float(result.iterations.sel(solver="jacobi").max()) <= 40
    assert result.attrs["advice"].startswith("Newton's method solves 100 steps in 1 iterations (λ1 = -0.69 nats/step)")


def test_a_chaotic_network_is_not_to_be_parallelised() -> None:
    def logistic(x: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
        return 4 * h * (1 - h) + 0 * x

    cell = WrappedCell(logistic, 1, 1, torch.tensor([0.3], dtype=torch.float64))
    model = ts.Model([cell], ts.Heads(1, ["out"], 1, True, generator())).double()
    result = parallelizability(model, n_steps=400, max_iter=15, timed=False)
    assert np.isnan(result.iterations.isel(length=-1)).all()
    np.testing.assert_allclose(result.largest_exponent, np.log(2), atol=0.1)
    assert "in 0 of 3 trials (λ1 = 0.69 nats/step): not to be parallelised" in result.attrs["advice"]


def test_the_exponent_is_the_one_that_lyapunov_measures() -> None:
    model = network("gru")
    options = {"n_trials": 4, "n_steps": 400, "p": 0.5}
    ours = parallelizability(model, timed=False, generator=generator(1), **options).largest_exponent  # type: ignore[arg-type]
    theirs = lyapunov(model, 1, generator=generator(2), **options).exponents  # type: ignore[arg-type]
    assert abs(float(ours.mean()) - float(theirs.mean())) < 0.03


def test_trials_with_held_steps_and_starts_are_run_as_the_task_has_them() -> None:
    model = ts.models.ReluRNN(8, n_inputs=50, generator=generator(), lambda_0=0.8)
    task = TwoAlternativeChoice(stim_steps=5, delay_steps=(8, 20), resp_steps=6)
    result = trial_parallelizability(model, task, n_trials=4, timed=False)
    assert result.attrs["task"] == "TwoAlternativeChoice"
    assert result.sizes["trial"] == 4
    assert result.length[-1] == 31
    assert result.iterations.sel(solver="newton").notnull().all()


def test_every_cell_is_measured_and_nothing_of_it_changed() -> None:
    for name in ("layers", "lstm", "noisy", "wrapped"):
        model = network(name).float()
        before = {key: value.clone() for key, value in model.state_dict().items()}
        result = parallelizability(model, n_steps=60, n_trials=2)
        assert list(result.solver.values) == list(METHODS)
        assert (result.seconds > 0).all()
        assert "on this machine" in result.attrs["advice"]
        assert model.state_dict().keys() == before.keys()
        assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
        assert all(parameter.grad is None for parameter in model.parameters())


def test_a_large_network_is_shown_a_shorter_sequence(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("tauscope.analysis.parallelizability")
    monkeypatch.setattr(module, "_NUMBERS", 30 * 2 * 10 * 10)
    result = parallelizability(network("lstm").to(torch.float32), n_steps=500, n_trials=2, timed=False)
    assert result.attrs["n_steps"] == 30 // 4


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"n_steps": 0}, "number of steps is 0"),
        ({"n_trials": 0}, "number of trials is 0"),
        ({"max_iter": 0}, "max_iter is 0"),
        ({"p": 1.5}, "p is 1.5: expected probabilities"),
    ],
)
def test_bad_options_are_refused(options: dict[str, float], said: str) -> None:
    with pytest.raises(InputError, match=said):
        parallelizability(network("gru"), **options)  # type: ignore[arg-type]


def found(newton: list[float], seconds: dict[str, float] | None = None) -> xr.Dataset:
    data = {
        "iterations": (("solver", "length", "trial"), [[newton]]),
        "largest_exponent": ("trial", [-0.2] * len(newton)),
    }
    coords: dict[str, list[object]] = {"solver": ["newton"], "length": [500]}
    if seconds is not None:
        data["seconds"] = (("engine", "length"), [[value] for value in seconds.values()])
        coords["engine"] = list(seconds)
    return xr.Dataset(data, coords=coords)


def test_advice_follows_from_iterations_and_times() -> None:
    fast = {"loop": 1.0, "adjoint": 0.5, "parallel": 0.1}
    assert advice(found([4.0, 4.0], fast)).endswith("--engine parallel is fastest, 10 times as fast as the loop.")
    assert "in 1 of 2 trials" in advice(found([4.0, np.nan], fast | {"parallel": 3.0}))
    assert "--engine adjoint is fastest, 2 times" in advice(found([4.0, np.nan], fast | {"parallel": 3.0}))
    slow = {"loop": 1.0, "adjoint": 0.95, "parallel": 3.0}
    assert advice(found([4.0], slow)).endswith("no engine is faster than the loop.")
