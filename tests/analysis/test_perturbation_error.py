"""Errors after perturbations: against the closed form, monotone, block by block, for any network."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

import tauscope as ts
from cells import NETWORKS, network
from problems import LinearCell
from tauscope import Heads, InputError, Model
from tauscope.analysis import perturb, perturbation_error
from tauscope.analysis.linear_memory import linear_loss
from tauscope.analysis.perturbation_error import BETAS
from tauscope.models import GRUCell, ResidualCell, State
from tauscope.tasks import Functional

FEW = {"sizes": (0.01, 0.1), "n_draws": 2, "n_trials": 16}


def residual(tau_map: str, afunc: str = "identity") -> Model:
    generator = torch.Generator().manual_seed(0)
    cell = ResidualCell(1, 4, generator, afunc=afunc, tau_map=tau_map)
    return Model([cell], Heads(4, ["out"], 1, False, generator)).double()


def test_the_grid_is_the_published_one() -> None:
    assert len(BETAS) == 22
    assert BETAS[:2] == (0.0, 1e-3)
    assert BETAS[11] == pytest.approx(0.032)
    assert BETAS[-1] == pytest.approx(1.024)


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "balanced"])
def test_it_is_measured_of_every_network(name: str) -> None:
    model = network(name)
    result = perturbation_error(model, ts.Parity([2], length=6), **FEW)  # type: ignore[arg-type]
    assert result["part"].values[0] == "all"
    assert (result["error"].diff("beta") >= 0).all()
    assert ("tau_change" in result) == (model.tau is not None)


def test_without_perturbation_it_is_the_error_of_the_network_and_the_same_for_a_reparametrised_copy() -> None:
    task = Functional("pol", 40)
    batch = task.sample(50, torch.Generator().manual_seed(7))
    found = []
    for tau_map in ("direct", "softplus", "best"):
        model = residual(tau_map)
        result = perturbation_error(
            model, task, n_trials=50, n_draws=1, sizes=[0.1], generator=torch.Generator().manual_seed(7)
        )
        with torch.no_grad():
            outputs = ts.run(model, batch, torch.Generator(), heads=["out"]).outputs
        assert float(result["error"][0, 0]) == pytest.approx(float(task.score(outputs, batch)), rel=1e-9)
        found.append(float(result["error"][0, 0]))
    assert found == pytest.approx([found[0]] * 3, rel=1e-5)


def test_errors_of_linear_networks_are_those_of_the_closed_form() -> None:
    model, task = residual("softplus"), Functional("pol")
    options = {"sizes": [0.3], "parts": ["tau"], "n_draws": 3, "n_trials": 4000}
    result = perturbation_error(model, task, **options, generator=torch.Generator().manual_seed(1))  # type: ignore[arg-type]
    # The same draws: trials first, then directions.
    generator = torch.Generator().manual_seed(1)
    task.sample(4000, generator)
    exact = []
    for _ in range(3):
        moved = perturb(model, "tau", 0.3, generator, norm="largest", space="raw")
        cell, head = moved.cells[0], moved.heads.linears[0]
        of = (cell.rate, cell.input.weight[:, 0], cell.input.bias, head.weight[0], head.bias[0])
        exact.append(float(linear_loss(*of, "pol", 100).detach()) / task.power)
    assert float(result["error"][0, 1]) == pytest.approx(max(exact), rel=0.05)
    assert float(result["mean_error"][0, 1]) == pytest.approx(np.mean(exact), rel=0.05)


def test_what_is_borne_is_the_last_size_before_the_error_rises() -> None:
    result = perturbation_error(residual("direct"), Functional("pol"), n_draws=3, n_trials=20, tolerance=0.5)
    for part in result["part"].values:
        of = result.sel(part=part)
        borne = float(of["beta_star"])
        level = float(of["error"][0]) + 0.5
        assert float(of["error"].sel(beta=borne)) <= level
        beyond = of["error"].where(of["beta"] > borne, drop=True)
        assert beyond.size == 0 or float(beyond[0]) > level


def test_a_network_that_diverges_has_an_infinite_error() -> None:
    result = perturbation_error(
        residual("direct"), Functional("pol", 2000), parts=["tau"], sizes=[1.0], n_draws=4, n_trials=2
    )
    assert float(result["error"][0, 1]) == math.inf
    assert float(result["tau_change"][0, 1]) == math.inf


def test_the_worst_case_is_no_better_than_any_draw() -> None:
    model, task = residual("softplus", "tanh"), Functional("pol", 30)
    result = perturbation_error(model, task, parts=["all"], sizes=[0.05], n_draws=4, n_trials=50, worst_steps=8)
    assert float(result["worst_error"][0, 1]) > 1.05 * float(result["error"][0, 1])
    before = {name: kept.clone() for name, kept in model.named_parameters()}
    assert all(torch.equal(before[name], kept) for name, kept in model.named_parameters()), "nothing is changed"


# --- what is perturbed ----------------------------------------------------------------------------------------------------


def moved_parameters(model: Model, which: str) -> dict[str, float]:
    twin = perturb(model, which, 0.25, torch.Generator().manual_seed(3), norm="largest", space="raw")
    own = dict(model.named_parameters())
    changes = {name: float((kept - own[name]).abs().max().detach()) for name, kept in twin.named_parameters()}
    return {name: change for name, change in changes.items() if change}


def test_all_and_rest_are_every_parameter_once_named_or_not() -> None:
    for model in (residual("softplus"), residual("inverse", "hardtanh")):
        moved = moved_parameters(model, "all")
        assert set(moved) == {name for name, _ in model.named_parameters()}
        assert list(moved.values()) == pytest.approx([0.25] * len(moved), rel=1e-6)
        assert set(moved) - set(moved_parameters(model, "rest")) == {n for n in moved if n.endswith("raw_tau")}
        assert set(moved_parameters(model, "tau")) == {n for n in moved if n.endswith("raw_tau")}


def test_a_cell_that_names_no_weights_is_perturbed_as_a_whole() -> None:
    generator = torch.Generator().manual_seed(0)
    model = Model([LinearCell(1, 4, generator)], Heads(4, ["N2"], 2, False, generator)).double()
    assert {"cells.0.recurrent", "cells.0.input"} <= set(moved_parameters(model, "all"))
    result = perturbation_error(model, ts.Parity([2], length=6), **FEW)  # type: ignore[arg-type]
    assert result["part"].values.tolist() == ["all", "bias", "readout"]


def test_layers_that_share_their_input_move_it_once() -> None:
    model = ts.LeakyRNN([4, 4], n_heads=1, generator=torch.Generator().manual_seed(0)).double()
    moved = list(moved_parameters(model, "all").values())
    assert moved == pytest.approx([0.25] * len(moved))


def test_parametrised_and_pruned_weights_keep_what_they_are() -> None:
    model = ts.LeakyRNN(5, n_heads=1, generator=torch.Generator().manual_seed(0)).double()
    nn.utils.prune.l1_unstructured(model.cells[0].recurrent, "weight", amount=0.5)
    masked = model.cells[0].recurrent.weight == 0
    twin = perturb(model, "all", 0.25, torch.Generator().manual_seed(3), norm="largest")
    assert (twin.cells[0].recurrent_weights[masked] == 0).all()


def test_fixed_timescales_are_moved_to_the_worst_too() -> None:
    generator = torch.Generator().manual_seed(0)
    model = ts.LeakyRNN(6, tau=3.0, afunc="tanh", n_heads=1, generator=generator)
    task = ts.Parity([2], length=9)
    result = perturbation_error(model, task, parts=["tau"], sizes=[1.5], n_draws=3, n_trials=64, worst_steps=4)
    assert (result["worst_error"] >= result["error"]).all()
    assert (model.tau == 3).all()


class Overflowing(LinearCell):
    """Units that are no numbers as soon as a weight of the input is above 2."""

    def step(self, x: torch.Tensor, state: State, noise: torch.Tensor | None = None) -> State:
        (h,) = super().step(x, state, noise)
        return (h + torch.where(self.input.amax() > 2, torch.nan, 0.0),)


@pytest.mark.parametrize("diverged", [False, True])
def test_a_network_that_diverges_has_an_infinite_error_where_answers_are_counted_too(diverged: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    cell = Overflowing(1, 4, generator)
    model = Model([cell], Heads(4, ["N2"], 2, False, generator))
    if diverged:
        with torch.no_grad():
            cell.input.fill_(3.0)
    result = perturbation_error(
        model, ts.Parity([2], length=6), parts=["all"], sizes=[0.01, 9.0], n_draws=2, n_trials=8
    )
    assert np.isinf(result["error"].values[0]).tolist() == [diverged, diverged, True]
    assert np.isnan(result["beta_star"].item()) == diverged


@pytest.mark.parametrize("norm", ["relative", "largest"])
def test_where_nothing_can_be_moved_nothing_is(norm: str) -> None:
    generator = torch.Generator().manual_seed(0)
    alone = ts.LeakyRNN(1, n_heads=1, generator=generator)  # without a diagonal, one unit has no recurrent weight
    no_terms = ts.build_model("cp", 4, rank=0, n_heads=1, generator=generator)
    for model, which in ((alone, "recurrent"), (alone, "all"), (no_terms, "all")):
        moved = perturb(model, which, 0.1, generator, norm=norm)
        assert all(parameter.isfinite().all() for parameter in moved.parameters())


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"parts": ["everything"]}, "part 'everything' is unknown: expected one of recurrent, tau"),
        ({"parts": []}, "no parts are perturbed"),
        ({"parts": ["tau"]}, "GRUCell has no tau parameters that are known"),
        ({"space": "log"}, "space 'log' is unknown"),
        ({"n_draws": 0}, "number of draws is 0"),
        ({"n_trials": 0}, "number of trials is 0"),
        ({"sizes": [-0.1]}, "size of a perturbation is -0.1: expected at least 0"),
        ({"sizes": [0.1, math.nan]}, "size of a perturbation is nan: expected at least 0"),
        ({"sizes": [math.inf]}, "size of a perturbation is inf: expected a finite number"),
        ({"n_draws": 10**20}, "number of draws is 100000000000000000000: expected at most 1000000"),
        ({"n_trials": 10**20}, "number of trials is 100000000000000000000: expected at most"),
        ({"worst_steps": 10**9}, "worst_steps is 1000000000: expected at most"),
        ({"tolerance": math.nan}, "tolerance is nan"),
        ({"tolerance": -1}, "tolerance is -1"),
        ({"worst_steps": -1}, "worst_steps is -1"),
        ({"worst_steps": 2, "space": "tau"}, "worst_steps is 2 with space 'tau': expected space 'raw'"),
    ],
)
def test_bad_options_are_refused(options: dict[str, object], line: str) -> None:
    generator = torch.Generator().manual_seed(0)
    model = Model([GRUCell(1, 4, generator)], Heads(4, ["N2"], 2, False, generator))
    with pytest.raises(InputError, match=line):
        perturbation_error(model, ts.Parity([2], length=6), **options)  # type: ignore[arg-type]


def test_perturb_refuses_what_it_does_not_know() -> None:
    model = residual("softplus")
    for options, line in (
        ({"norm": "largets"}, "did you mean 'largest'"),
        ({"space": "rawtau"}, "space 'rawtau' is unknown"),
    ):
        with pytest.raises(InputError, match=line):
            perturb(model, "tau", 0.1, torch.Generator(), **options)
    with pytest.raises(InputError, match="what is perturbed 'taus' is unknown"):
        perturb(model, "taus", 0.1, torch.Generator())
