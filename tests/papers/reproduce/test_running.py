"""Networks trained, measured, and found again on disk."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import xarray as xr

from tauscope.analysis.connectivity import connectivity
from tauscope.jobs.pool import Outcome
from tauscope.jobs.training import Progress
from tauscope.measurements.keeping import subject_of
from tauscope.measurements.making import measure_forgetting
from tauscope.papers.reproduce.planning import Choice, Network, Plan, make_plan
from tauscope.papers.reproduce.running import look, run_plan, work
from tauscope.papers.vocabulary import Results
from tauscope.runs.environment import environment
from tauscope.runs.folder import read_metrics
from tauscope.runs.loading import load
from tauscope.runs.results import load_result

TINY, MULTI = "tiny_paper:PAPER", "cumulative_parity_size_8_network_1"
HERE = environment("cpu")


@pytest.fixture
def done(tiny_reproduction: Path, tmp_path: Path) -> Path:
    """A finished reproduction, to be changed at will."""
    return shutil.copytree(tiny_reproduction, tmp_path / "done")


def results_of(plan: Plan, **options: Any) -> Results:
    results = run_plan(plan, 2, **options)
    assert results is not None
    return results


def first(base: Path, **choice: Any) -> Network:
    return make_plan(TINY, "quick", base, Choice(**choice)).networks[0]


def test_a_network_is_an_ordinary_run_with_ordinary_results(tiny_reproduction: Path) -> None:
    run = tiny_reproduction / MULTI
    kept = {path.name for path in run.iterdir()}
    assert kept >= {"config.json", "environment.json", "metrics.jsonl", "state.pt", "rnn_init", "rnn_N2_N2"}
    result, source = load_result(
        tiny_reproduction / "measured" / "quick" / MULTI / "analysis/rnn_N2_N2_connectivity.nc"
    )
    xr.testing.assert_allclose(result, connectivity(load(run / "rnn_N2_N2")))
    seed = first(tiny_reproduction).measurement_seed
    assert (source["checkpoint"], source["options"]) == (f"{MULTI}/rnn_N2_N2", {"seed": seed})


def test_every_network_is_measured_on_streams_of_its_own_and_a_repeat_on_the_same(done: Path) -> None:
    plan = make_plan(TINY, "quick", done)
    streams = {}
    for network in plan.networks:
        seeds = {asked.seed for asked in network.asked(network.records()[0]).values()} or {network.measurement_seed}
        (seed,) = seeds
        streams[network.name] = tuple(torch.randint(2, (64,), generator=torch.Generator().manual_seed(seed)).tolist())
    assert len(set(streams.values())) == len(plan.networks) == 10
    again = make_plan(TINY, "quick", done / "elsewhere")
    assert [network.measurement_seed for network in again.networks] == [
        network.measurement_seed for network in plan.networks
    ]


def test_the_seed_that_is_written_down_gives_the_result_again(done: Path) -> None:
    accuracies = []
    for network in make_plan(TINY, "quick", done).networks:
        if network.name.startswith("multi"):
            found = look(network, HERE)
            result = found.measured["forgetting", max(N for _, N in found.measured)]
            asked = network.asked(found.records)["forgetting", 4]
            subject = subject_of(asked.checkpoint, seed=network.measurement_seed)
            xr.testing.assert_equal(measure_forgetting(subject, **asked.options)["accuracy"], result["accuracy"])
            accuracies.append(result["accuracy"])
    assert len(accuracies) == 2


def test_options_of_the_scale_reach_the_measurement_and_are_written_down(tiny_reproduction: Path) -> None:
    folder = tiny_reproduction / "measured" / "quick" / MULTI / "analysis"
    (path,) = folder.glob("*_forgetting.nc")
    result, source = load_result(path)
    assert source["options"] == {"seed": first(tiny_reproduction).measurement_seed, "n_sequences": 32, "beyond": 1}
    assert (result.attrs["n_sequences"], int(result["N"].max())) == (32, 5)
    (path,) = folder.glob("*_size.nc")
    assert float(load_result(path)[0]["size"]) == 4


def test_what_is_done_is_not_done_again(done: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in done.rglob("*")}
    plan, begun, told = make_plan(TINY, "quick", done), list[str](), list[tuple[int, int]]()
    results = results_of(plan, on_start=lambda network: begun.append(network.name), on_plan=lambda *n: told.append(n))
    assert (begun, told) == ([], [(0, 10)])
    assert {path: path.stat().st_mtime_ns for path in done.rglob("*")} == before
    assert [len(networks) for networks in results.networks.values()] == [2] * 5
    assert results.labels["fixed"] == "single-head, τ = 1"
    (first, second) = results.networks["multi"]
    assert (first.network, second.network, first.missing) == (1, 2, "")
    assert first.history == tuple(read_metrics(done / MULTI))
    assert set(first.measured) == {("connectivity", 2), ("connectivity", 4), ("forgetting", 4), ("size", 4)}


def test_only_what_is_missing_or_not_current_is_done(done: Path) -> None:
    measured = done / "measured" / "quick"
    (measured / MULTI / "analysis" / "rnn_N2_N2_connectivity.nc").unlink()
    shutil.rmtree(done / "single_parity_size_8_network_2")
    (measured / "single_parity_size_8_network_1" / "analysis" / "rnn_N2_N2_connectivity.nc").write_bytes(b"damaged")
    before = {path: path.stat().st_mtime_ns for path in done.rglob("*.nc")}
    begun, told = list[str](), list[tuple[str, Progress]]()
    results = results_of(
        make_plan(TINY, "quick", done),
        on_start=lambda network: begun.append(network.name),
        on_progress=lambda network, progress: told.append((network.name, progress)),
    )
    assert begun == ["multi 1", "single 1", "single 2"]
    assert not [network for networks in results.networks.values() for network in networks if network.missing]
    assert [progress for name, progress in told if name == "multi 1"] == [
        Progress(3, 8, "measuring connectivity at N = 2")
    ]
    assert ("single 2", Progress(1, 8, "learning N3_N3")) in told
    changed = {path.name for path, time in before.items() if path.stat().st_mtime_ns != time}
    # The network that was trained again is the same, so that its results are current.
    assert changed == {"rnn_N2_N2_connectivity.nc"}


def test_measured_networks_are_judged_without_their_checkpoints(done: Path, tmp_path: Path) -> None:
    """What is left is small enough to be carried to another machine, where another network goes on beside it."""
    whole = results_of(make_plan(TINY, "quick", done))
    carried = tmp_path / "carried"
    ignore = shutil.ignore_patterns("state*", "rnn_init", "rnn_N?_N?", "stats.npy")
    shutil.copytree(done, carried, ignore=ignore)
    assert not [path for path in carried.rglob("rnn_*") if not path.suffix]
    plan = make_plan(TINY, "quick", carried)
    remaining = []
    again = results_of(plan, on_plan=lambda left, _: remaining.append(left))
    assert remaining == [0]
    for condition, networks in whole.networks.items():
        for ours, theirs in zip(networks, again.networks[condition], strict=True):
            assert ours.history == theirs.history
            assert ours.measured.keys() == theirs.measured.keys()
            for key, measured in ours.measured.items():
                xr.testing.assert_identical(measured, theirs.measured[key])


def test_a_run_that_went_further_counts_as_far_as_is_asked(done: Path) -> None:
    plan = make_plan(TINY, "quick", done)
    shorter = replace(plan.networks[0], config=replace(plan.networks[0].config, epochs=2))
    found = look(shorter, HERE)
    assert ([one["epoch"] for one in found.records], found.finished) == ([1, 2], True)
    # Its largest N is another one now, and what is measured there with it.
    assert not found.complete
    assert set(shorter.asked(found.records)) >= {("connectivity", 3), ("forgetting", 3)}
    assert list(found.measured) == [("connectivity", 2)]
    smaller = replace(plan.networks[0], config=replace(plan.networks[0].config, max_N=3))
    assert [one["Ns"][-1] for one in look(smaller, HERE).records] == [2, 3]


def test_a_training_that_failed_is_missing_with_its_reason_and_the_rest_goes_on(tmp_path: Path) -> None:
    ended: dict[str, Outcome] = {}
    plan = make_plan("tiny_paper:BROKEN", "quick", tmp_path / "base")
    results = results_of(plan, on_end=lambda network, outcome: ended.update({network.name: outcome}))
    assert sorted(ended) == ["multi 1", "multi 2", "single 1", "single 2"]
    for network in results.networks["single"]:
        assert (network.history, dict(network.measured)) == ((), {})
        assert "training diverged at epoch 1, step" in network.missing
    for network in results.networks["multi"]:
        assert len(network.history) == 2
        assert (
            network.missing
            == "perturbation_tau at N = 3: number of trials is 0: expected at least 1 (nearest valid value: 1)"
        )
    assert results.solved("single") == []
    # The next call finds the same.
    again = results_of(plan)
    assert [one.missing for ones in again.networks.values() for one in ones] == [
        one.missing for ones in results.networks.values() for one in ones
    ]


def test_no_path_of_this_machine_is_in_a_reason(done: Path) -> None:
    (done / MULTI / "state.pt").write_bytes(b"")
    (done / MULTI / "state.previous.pt").unlink()
    (done / MULTI / "metrics.jsonl").unlink()
    results = results_of(make_plan(TINY, "quick", done))
    missing = results.networks["multi"][0].missing
    assert "no intact state is left" in missing
    assert str(done) + "/" not in missing
    assert results.networks["multi"][0].history == ()


def test_a_measurement_that_failed_leaves_the_others(done: Path) -> None:
    network = first(done)
    for name in ("forgetting", "connectivity"):
        for path in (network.results / MULTI).rglob(f"*_{name}.nc"):
            path.unlink()
    broken = replace(network, measurement_options={"forgetting": {"n_sequence": 32}})
    (problem,) = work(lambda _: None, broken, "cpu")
    assert problem.startswith("forgetting at N = 4: TypeError: ")
    assert "n_sequence" in problem
    assert set(look(broken, HERE).measured) == {("connectivity", 2), ("connectivity", 4), ("size", 4)}


def test_records_that_are_damaged_are_left_to_the_job(done: Path) -> None:
    (done / MULTI / "metrics.jsonl").write_text(json.dumps({"epoch": 1}) + "\n")
    found = look(first(done), HERE)
    assert (found.records, found.complete) == ([], False)


def test_a_stop_gives_no_results(tmp_path: Path) -> None:
    assert run_plan(make_plan(TINY, "quick", tmp_path / "base"), 2, stop=lambda: True) is None
    assert not (tmp_path / "base").exists()
