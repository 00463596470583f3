"""Reactivation: Langevin dynamics have what theory says of them, and what is not reactivation is told from it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor

import tauscope as ts
from tauscope import Batch, Cell, Head, Heads, InputError, Model, Task
from tauscope.analysis import Decoder, reactivation
from tauscope.analysis.silence import Noise, start_states
from tauscope.models.cell import State
from tauscope.runs.setups.navigation import Noisy
from tauscope.tasks import HeadDirection, PathIntegration

EPSILON, SIZE = 0.1, 0.5
FEW: dict[str, Any] = {"n_steps": 40, "n_trajectories": 6, "n_samples": 100}


class Langevin(Cell):
    """x ← (1 - ε) x + ξ without input; with an input, x is what it says, so that a task can show any density."""

    def __init__(self, n_inputs: int = 3, n_units: int = 2) -> None:
        super().__init__(n_inputs, n_units)
        self.register_buffer("like", torch.zeros(1))

    def step(self, x: Tensor, state: State, noise: Tensor | None = None) -> State:
        shown = x[:, 2:] > 0
        after = (1 - EPSILON) * state[0] + (0 if noise is None else noise)
        return (torch.where(shown, x[:, :2], after),)

    def draw_noise(self, n_steps: int, batch_size: int, generator: torch.Generator) -> Tensor:
        return math.sqrt(EPSILON) * SIZE * torch.randn(n_steps, batch_size, 2, generator=generator)


class Still(Langevin):
    """Stays where it is without input."""

    def step(self, x: Tensor, state: State, noise: Tensor | None = None) -> State:
        del noise
        return (torch.where(x[:, 2:] > 0, x[:, :2], state[0]),)


@dataclass(frozen=True)
class Normal(Task):
    """See positions from N(0, s²)."""

    n_steps: int = 50

    source: ClassVar[str] = "none"
    n_inputs: ClassVar[int] = 3

    @property
    def heads(self) -> dict[str, Head]:
        return {"out": Head(2, 1.0, 0.0)}

    def sample(self, batch_size: int, generator: torch.Generator, split: str = "train") -> Batch:
        del split
        shown = SIZE * torch.randn(self.n_steps, batch_size, 2, generator=generator)
        return Batch(torch.cat([shown, torch.ones_like(shown[..., :1])], dim=-1), shown[:, :, None])

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        return (outputs - batch.targets).square().mean()[None]

    def tally(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        return self.loss(outputs, batch), torch.ones(1)


def sampler(kind: type[Langevin] = Langevin) -> Model:
    heads = Heads(2, ["out"], 2, False, torch.Generator().manual_seed(0), bias=False)
    with torch.no_grad():
        heads.linears[0].weight.copy_(torch.eye(2))  # type: ignore[operator, union-attr, arg-type]
    return Model([kind()], heads)


def measured(kind: type[Langevin] = Langevin, **options: Any) -> xr.Dataset:
    positions = Decoder(lambda _, outputs: outputs[..., 0, :], unit="m")
    size = {"n_steps": 400, "n_trajectories": 150} | options
    return reactivation(sampler(kind), Normal(), decoder=positions, **size)


LANGEVIN = measured()


@pytest.mark.parametrize(("run", "k"), [("narrow", 1.0), ("active", 2.0), ("wide", 4.0)])
def test_a_langevin_sampler_has_the_variance_of_its_noise(run: str, k: float) -> None:
    expected = 2 * k * SIZE**2 / (2 - EPSILON)
    # 150 runs of 200 late steps, which correlate over 1/ε.
    n_independent = 150 * 200 * EPSILON
    assert abs(float(LANGEVIN.pooled_variance.sel(run=run)) / expected - 1) < 5 * math.sqrt(1 / n_independent)
    # One run sees a little less of it: the mean of 200 correlated steps has a variance itself.
    keep = 1 - EPSILON
    lost = (1 + keep) / (1 - keep) / 200
    assert float(LANGEVIN.variance.sel(run=run)) == pytest.approx(expected * (1 - lost), rel=0.08)


def test_a_langevin_sampler_visits_what_it_samples_at_twice_the_noise() -> None:
    assert float(LANGEVIN.kl_late.sel(run="active")) < 0.03
    assert float(LANGEVIN.kl_late.sel(run="narrow")) > 0.15
    assert float(LANGEVIN.kl_late.sel(run="wide")) > 0.15
    for start in ("common", "rest", "shuffled"):
        assert float(LANGEVIN.kl_late.sel(run=start)) < 0.03
    assert (LANGEVIN.stationarity.sel(run=["active", "common", "rest"]) < 0.06).all()


def test_its_drift_points_up_the_log_density() -> None:
    assert (LANGEVIN.drift.sel(run=["active", "common", "narrow"]) > 0.9).all()


def test_it_moves_as_its_steps_say() -> None:
    # Successive positions of an AR(1) process differ by 2 v (1 - keep) in each coordinate.
    variance = 2 * SIZE**2 / (2 - EPSILON)
    assert float(LANGEVIN.msd.sel(run="active", lag=1)) == pytest.approx(2 * 2 * variance * EPSILON, rel=0.03)
    assert float(LANGEVIN.norm_ratio.sel(run="active")) == pytest.approx(1, abs=0.05)
    assert float(LANGEVIN.share.sel(run="active")) == pytest.approx(1)


def test_a_network_that_does_not_move_is_near_its_task_but_has_no_variance() -> None:
    found = measured(Still, n_steps=100).sel(run="active")
    # 150 places, each for all steps, are near the density that they were drawn from.
    assert float(found.kl_late) < 0.2
    assert float(found.variance) < 1e-12
    assert float(found.step) == 0
    assert math.isnan(float(found.drift))


def test_a_common_start_of_a_network_that_does_not_move_has_no_density() -> None:
    found = measured(Still, n_steps=40, n_trajectories=5)
    assert math.isnan(float(found.kl.sel(run="common")))
    assert found.positions.sel(run="common").dropna("sample").sizes["sample"] == 200


@pytest.mark.parametrize("task", [PathIntegration(n_cells=16, n_steps=10), HeadDirection(n_cells=16, n_steps=10)])
@pytest.mark.parametrize("cell", ["noisy_rate", "noisy_gru"])
def test_a_network_is_measured_with_its_untrained_self_and_repeats(task: Any, cell: str) -> None:
    generator = torch.Generator().manual_seed(0)
    model, before = (Noisy(cell=cell, num_neurons=8).build(task, task.heads, generator) for _ in range(2))
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    found = reactivation(model, task, untrained=before, **FEW)
    assert found["run"].values.tolist()[-1] == "untrained"
    assert found.attrs["unit"] == task.unit
    assert found.sizes["sample"] == 100
    assert np.isfinite(found["velocity"]).all() == task.periodic
    assert float(found.norm_ratio.sel(run="task")) == 1
    assert all(torch.equal(value, kept[name]) for name, value in model.state_dict().items())
    xr.testing.assert_identical(found, reactivation(model, task, untrained=before, **FEW))


def test_noise_of_another_size_takes_the_place_of_the_own() -> None:
    task = PathIntegration(n_cells=16, n_steps=10)
    model = Noisy(num_neurons=8, sigma=0.0).build(task, task.heads, torch.Generator().manual_seed(0))
    silent, noisy = (reactivation(model, task, sigma=sigma, **FEW) for sigma in (None, 0.05))
    assert silent.attrs["sigma"] == 0
    assert noisy.attrs["sigma"] == pytest.approx(0.05, rel=0.05)
    assert float(silent.score) == float(silent.score_noisy) == float(noisy.score) != float(noisy.score_noisy)
    np.testing.assert_allclose(silent.step.sel(run="active"), silent.step.sel(run="still"))
    tau = 5
    assert model.tau is not None
    expected = 0.05 / math.sqrt(1 - (1 - 1 / tau) ** 2)
    states, _ = ts.analysis.task_states(model, task, 400, torch.Generator().manual_seed(3))
    assert float(noisy.signal_to_noise) == pytest.approx(
        float(states.flatten(0, 1).std(dim=0).mean()) / expected, rel=0.2
    )


def test_noise_is_drawn_with_the_variance_that_is_asked_for() -> None:
    model = sampler()
    generator = torch.Generator().manual_seed(0)
    for sigma, size in ((None, math.sqrt(EPSILON) * SIZE), (0.2, 0.2)):
        for factor in (0.5, 2.0):
            drawn = Noise(model, sigma).draw(2000, 20, factor, generator)
            assert drawn is not None
            assert float(drawn.std()) == pytest.approx(math.sqrt(factor) * size, rel=0.02)
    assert Noise(model, None).draw(3, 2, 0.0, generator) is None
    assert Noise(model, 0.0).draw(3, 2, 1.0, generator) is None


def test_silent_runs_start_where_they_should() -> None:
    task = PathIntegration(n_cells=16, n_steps=10)
    generator = torch.Generator().manual_seed(0)
    model = Noisy(num_neurons=8).build(task, task.heads, generator)
    batch = task.sample(20, generator)
    final = ((torch.randn(20, 8, generator=generator),),)
    begun = {
        start: start_states(model, start, batch, final, 5, generator)[0][0]
        for start in ("active", "common", "rest", "shuffled")
    }
    assert model.start is not None
    assert batch.start is not None
    torch.testing.assert_close(begun["active"], model.start(batch.start[:5]))
    torch.testing.assert_close(begun["common"], begun["active"][:1].expand(5, 8))
    assert not begun["rest"].any()
    # Every unit is at one of the states that it has, and not all in the same trial.
    assert all(set(begun["shuffled"][:, i].tolist()) <= set(final[0][0][:, i].tolist()) for i in range(8))
    assert not any((begun["shuffled"][i] == final[0][0]).all(dim=1).any() for i in range(5))


def test_a_network_of_bits_is_read_in_the_components_of_its_task() -> None:
    cell = ts.LeakyCell(1, 10, torch.Generator().manual_seed(0), sigma=0.3)
    model = Model([cell], Heads(10, ["N2"], 2, False, torch.Generator().manual_seed(0)))
    found = reactivation(model, ts.Parity([2], length=20), **FEW)
    assert found.sizes["coordinate"] == 2
    assert found.attrs["unit"] == "1"
    assert found.sizes["component"] == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"k": 0.0}, "k is 0.0: expected a number above 0"),
        ({"k": -1.0}, "k is -1.0"),
        ({"k": math.nan}, "k is nan: expected a number above 0"),
        ({"k": math.inf}, "k is inf"),
        ({"sigma": -0.1}, "sigma is -0.1"),
        ({"n_steps": 5}, "n_steps is 5: expected at least 20"),
        ({"n_trajectories": 1}, "n_trajectories is 1"),
        ({"n_samples": 2.5}, "n_samples is 2.5"),
        ({"decoder": lambda states, _: states}, "decoder is of type function"),
        ({"decoder": Decoder(lambda states, _: states[-1])}, "positions have shape"),
        ({"decoder": Decoder(lambda states, _: states, periodic=True)}, "positions have shape"),
        ({"untrained": torch.nn.Linear(1, 1)}, "the network is of type Linear"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], said: str) -> None:
    task = HeadDirection(n_cells=16, n_steps=10)
    model = Noisy(num_neurons=8).build(task, task.heads, torch.Generator().manual_seed(0))
    with pytest.raises(InputError, match=said.replace("(", r"\(")):
        reactivation(model, task, **FEW | options)


def test_activity_that_grows_without_bound_is_refused() -> None:
    task = HeadDirection(n_cells=16, n_steps=5)
    model = Noisy(num_neurons=8).build(task, task.heads, torch.Generator().manual_seed(0))
    with torch.no_grad():
        model.layers[0].recurrent.weight.fill_(50.0)  # type: ignore[union-attr, operator]
    with pytest.raises(InputError, match="not finite after"):
        reactivation(model, task, **FEW | {"n_steps": 200})
