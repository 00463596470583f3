"""Parallel in time as it is written down: claims on results that nobody measured, studies of small networks, figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from matplotlib.figure import Figure

from tauscope.cli import main
from tauscope.errors import InputError
from tauscope.papers.parallel_in_time import PAPER, quantities, studies
from tauscope.papers.parallel_in_time.conditions import CONDITIONS, GPU, LEAKY, QUICK, SCALES
from tauscope.papers.parallel_in_time.studies import LIMIT, every_cell, tanh_network
from tauscope.papers.reproduce.judging import judge
from tauscope.papers.vocabulary import SCALES as NAMES
from tauscope.papers.vocabulary import Results, Trained
from tauscope.runs.config import config_of

CELLS = ["gru", "leaky"]


def made_studies(agrees: bool = True) -> dict[str, xr.Dataset]:
    """Return studies in which all claims hold, or none."""
    error = [[1e-10, 1e-6], [1e-12, 2e-6]] if agrees else [[1e-6, 1e-3], [1e-6, 1e-3]]
    agreement = xr.Dataset(
        {
            "state_error": (("cell", "dtype"), error),
            "converged": (("cell", "dtype"), np.ones((2, 2))),
            "gradient_error": (("cell", "dtype", "engine"), np.stack([error, error], axis=-1)),
            "diagonal_difference": 1e-15 if agrees else 1e-3,
        },
        coords={"cell": CELLS, "dtype": ["float64", "float32"], "engine": ["adjoint", "parallel"]},
    )
    exponent = np.array([[-0.8, -0.85], [-0.2, -0.25], [0.2, 0.25], [-0.4, -0.45]])
    newton = (
        np.array([[4, 4], [12, 10], [np.nan, np.nan], [3, 3]])
        if agrees
        else np.array([[20, 21], [3, 4], [5, 5], [3, 3]])
    )
    iterations = np.full((4, 2, 3), np.nan)
    iterations[..., 0], iterations[0, 0, 1], iterations[3, 0, 1] = newton, 30 if agrees else 2, 16
    gains = xr.Dataset(
        {
            "iterations": (("system", "network", "solver"), iterations),
            "residual": (("system", "network", "iteration"), np.logspace(0, -12, 13) * np.ones((4, 2, 13))),
            "exponent": (("system", "network"), exponent),
        },
        coords={
            "kind": ("system", ["tanh", "tanh", "tanh", "GRU"]),
            "gain": ("system", [0.5, 1.2, 2.0, 1.0]),
            "solver": ["newton", "quasi", "jacobi"],
        },
    )
    counts = np.full((2, 1, 2, 3), 3.0)
    counts[..., -1] = 5.0 if agrees else 30.0
    lengths = xr.Dataset(
        {"iterations": (("cell", "size", "network", "length"), counts)},
        coords={"cell": CELLS, "size": [4], "length": [100, 1000, 10_000]},
    )
    loss = np.linspace(0.69, 0.5, 20) + np.array([[0.0], [0.0 if agrees else 1e-3]])
    pair = xr.Dataset(
        {
            "loss": (("engine", "update"), loss),
            "iterations": ("epoch", [4.0, 5.0 if agrees else 9.0]),
            "fallback_share": ("epoch", [0.0, 0.0]),
        },
        coords={"engine": ["loop", "parallel"]},
    )
    seconds = np.ones((3, 1, 2, 2)) * np.array([1.0, 0.2, 0.05 if agrees else 0.9])[:, None, None, None]
    speed = xr.Dataset(
        {"seconds": (("engine", "batch", "size", "length"), seconds)},
        coords={"engine": ["loop", "adjoint", "parallel"], "batch": [1], "size": [1, 4], "length": [1000, 10_000]},
    )
    return {"agreement": agreement, "gains": gains, "lengths": lengths, "pair": pair, "speed": speed}


def measured(N: int, rises: bool, i: int) -> dict[tuple[str, int], xr.Dataset]:
    change = (N if rises else -N) + 0.1 * i
    parallel = xr.Dataset(
        {
            "iterations": (("solver", "length", "trial"), [[[20.0 + change]]]),
            "largest_exponent": ("trial", [-0.5 + 0.01 * change]),
        },
        coords={"solver": ["newton"], "length": [500]},
    )
    times = xr.Dataset({"tau_net": ("unit", [1.0 + 0.1 * N, np.nan]), "tau": ("unit", [1.0, 1.2])})
    return {("parallelizability", N): parallel, ("timescales", N): times}


def made(agrees: bool = True) -> Results:
    networks = {}
    for condition in CONDITIONS:
        trained = []
        for i in range(1, 4):
            found: dict[tuple[str, int], xr.Dataset] = {}
            for N in (2, 4, 6):
                found |= measured(N, agrees, i)
            if condition.name not in LEAKY:
                found = {key: value for key, value in found.items() if key[0] == "parallelizability"}
            records: tuple[dict[str, Any], ...] = ({"Ns": [6], "solved": [6], "stage": "N6_N6"},)
            trained.append(Trained(condition.name, i, records, found))
        networks[condition.name] = trained
    return Results(networks, {condition.name: condition.label for condition in CONDITIONS}, made_studies(agrees))


def test_claims_hold_where_the_numbers_say_so_and_not_otherwise() -> None:
    held = {judged.claim.key: judged.verdict for judged in judge(PAPER, QUICK, made())}
    failed = {judged.claim.key: judged.verdict for judged in judge(PAPER, QUICK, made(agrees=False))}
    assert set(held.values()) == {"holds"}, held
    assert set(failed.values()) == {"does not hold"}, failed


def test_claims_of_a_study_that_failed_are_missing() -> None:
    results = made()
    lacking = Results(results.networks, results.labels, {}, {"gains": "out of memory"})
    verdicts = {judged.claim.key: judged for judged in judge(PAPER, QUICK, lacking)}
    assert all(verdicts[f"C{i}"].verdict == "missing" for i in range(1, 9))
    assert "study gains failed: out of memory" in verdicts["C5"].reason
    assert verdicts["X1"].verdict == "holds"


def test_figures_are_drawn_of_what_is_there() -> None:
    results = made()
    for figure in PAPER.figures:
        assert isinstance(figure.draw(results), Figure)
        assert figure.draw(Results({}, {})) is None


def test_a_network_that_is_not_solved_counts_as_one_more_than_the_limit() -> None:
    found = xr.Dataset(
        {"iterations": (("solver", "length", "trial"), [[[np.nan]]])}, coords={"solver": ["newton"], "length": [500]}
    )
    assert quantities.iterations(found) == LIMIT + 1


def test_every_scale_can_be_planned_and_its_options_exist() -> None:
    for scale in SCALES.values():
        for condition in CONDITIONS:
            own = scale.by_condition.get(condition.name, {})
            if own is not None:
                config_of({**scale.options, **condition.options, **own})
    assert GPU.measurement_options["speed"]["device"] == "cuda"
    assert set(SCALES) <= set(NAMES)


def test_the_tanh_networks_are_those_of_the_paper() -> None:
    model = tanh_network(2.0, 400, torch.Generator().manual_seed(0)).requires_grad_(False)
    W = model.layers[0].weights()["recurrent.weight"].value
    assert W.diagonal().abs().max() == 0
    assert abs(float(W.std()) - 2.0 / 20) < 0.002
    x, h = torch.ones(1, 1, dtype=torch.float64), torch.full((1, 400), 0.1, dtype=torch.float64)
    w = model.layers[0].weights()["input.weight"].value
    torch.testing.assert_close(model.layers[0].step(x, (h,))[0], torch.tanh(h @ W.T + x @ w.T))


def test_every_cell_of_the_package_is_compared() -> None:
    from tauscope.models import CELLS as KNOWN
    from tauscope.models import RELU_CELLS

    assert set(every_cell(torch.Generator().manual_seed(0))) == {*KNOWN, *RELU_CELLS, "balanced"} - {"lif"}


def test_speed_on_a_machine_without_an_accelerator_is_refused() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(InputError, match="device 'cuda' is not there: expected a machine with an accelerator"):
        studies.speed(torch.Generator().manual_seed(0), device="cuda")


def test_updates_of_the_pair_come_in_tens() -> None:
    with pytest.raises(InputError, match="n_updates is 15: expected a multiple of 10"):
        studies.pair(torch.Generator().manual_seed(0), n_updates=15)


def test_small_studies_find_what_larger_ones_claim() -> None:
    generator = torch.Generator().manual_seed(3)
    found = studies.gains(generator, tanh=(0.5, 3.0), gru=(), n_networks=1, n_units=40, n_steps=150)
    few, lost = found.iterations.sel(solver="newton").isel(network=0).values
    assert few <= 6
    assert np.isnan(lost)
    assert found.exponent.values[0, 0] < -0.5 < 0.02 < found.exponent.values[1, 0]
    counts = studies.lengths(generator, cells=("gru",), sizes=(2,), steps=(30, 300), n_networks=1).iterations
    assert float(counts.max()) <= 6
    timed = studies.speed(generator, sizes=(1,), steps=(20,), batches=(1,), rounds=1, most=10)
    assert timed.seconds.isnull().all()


@pytest.mark.slow
def test_the_smallest_scale_is_reproduced(tmp_path: Path) -> None:
    assert main(["reproduce", "parallel-in-time", "--scale", "smoke", "--base_path", str(tmp_path)]) == 0
    claims = json.loads((tmp_path / "results" / "claims.json").read_text())
    assert claims
    assert {path.stem for path in (tmp_path / "results").glob("*.png")} == {figure.name for figure in PAPER.figures}
