"""Sweeps on a real SLURM: what its decisions and its faults leave of a run is what an uninterrupted one gives."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slurm.cluster import Cluster, wait_for
from sweeping import SMALL, result, write
from tauscope.cli import main
from tauscope.jobs.training import Progress, go_on
from tauscope.runs.config import config_of
from tauscope.runs.folder import METRICS, is_locked, read_metrics
from tauscope.runs.survey import Sight, survey

pytestmark = pytest.mark.slurm

NAME = "cumulative_parity_size_6_network_1"
# Ends by its epochs, however well it learns.
ENDLESS = SMALL | {"max_N": 101, "seed": 0}
# Seconds; jobs take several to import torch, minutes on a busy machine.
PATIENCE = 600.0


def alone(folder: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Return what a run gives that is never interrupted and of which SLURM knows nothing."""

    def ignore(_: Progress | str) -> None:
        pass

    go_on(folder, config_of(options), "cpu", ignore, lambda: False)
    return result(folder)


def sights(base: Path) -> dict[str, Sight]:
    found, notices = survey(base)
    assert notices == []
    return {one.name: one for one in found}


def log(base: Path) -> str:
    return "".join(path.read_text() for path in sorted((base / ".sweep" / "slurm").glob("*/*_log.out")))


def finish(cluster: Cluster, base: Path) -> None:
    """Wait until nothing is in the queue any more, and see that all runs are finished."""

    def is_empty() -> bool:
        cluster.hurry()
        time.sleep(1)
        return not cluster.queue()

    assert wait_for(is_empty, PATIENCE), f"{cluster.queue()} {cluster.logs()}"
    assert {one.state for one in sights(base).values()} == {"finished"}, log(base) + cluster.logs()


@pytest.fixture(scope="module")
def pace(tmp_path_factory: pytest.TempPathFactory) -> float:
    """Optimiser steps a second on this machine now."""
    folder = tmp_path_factory.mktemp("pace") / "run"
    alone(folder, ENDLESS | {"epochs": 3, "steps_per_epoch": 500})
    return float(read_metrics(folder)[-1]["steps_per_second"])


@pytest.fixture(scope="module")
def long(pace: float) -> dict[str, Any]:
    """The options of a run of about 12 seconds."""
    return ENDLESS | {"epochs": 12, "steps_per_epoch": round(pace)}


@pytest.fixture(scope="module")
def uninterrupted(long: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return alone(tmp_path_factory.mktemp("alone") / NAME, long)


@pytest.fixture
def under_way(cluster: Cluster, long: dict[str, Any], tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Return what submits the long run and waits until it has finished an epoch on the cluster."""

    def start(*flags: str) -> tuple[Path, Path]:
        base = tmp_path / "runs"
        file = write(tmp_path / "sweep.toml", base_path=str(base), options=long)
        assert main(["sweep", str(file), "--slurm", *flags]) == 0
        assert wait_for(lambda: (base / NAME / METRICS).exists() and bool(read_metrics(base / NAME)), PATIENCE)
        assert sights(base)[NAME].state == "running"
        assert len(cluster.queue()) == 1
        return file, base

    return start


def test_twelve_jobs_go_through_an_array_two_at_a_time(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tmp_path / "runs"
    grid = {"curriculum_type": ["cumulative", "single", "sliding"], "task": ["parity", "dms"]}
    file = write(tmp_path / "sweep.toml", base_path=str(base), grid=grid, networks={"seeds": [0, 1]})
    flags = ["--slurm", "--jobs", "2", "--memory", "100M", "--sbatch", "comment=twelve"]
    assert main(["sweep", str(file), "--dry-run", *flags]) == 0
    script = re.search(r"#!/bin/bash.*", capsys.readouterr().out, re.DOTALL)
    assert not base.exists()
    assert main(["sweep", str(file), *flags]) == 0
    assert script
    # What was printed is what was submitted.
    (submitted,) = (base / ".sweep" / "slurm" / "1").glob("*_submission.sh")
    assert script[0].split() == submitted.read_text().split()
    job = submitted.name.partition("_")[0]
    assert set(cluster.queue()) == {f"{job}_{i}" for i in range(12)}
    assert "Comment=twelve" in cluster.call("scontrol", "show", "job", f"{job}_11")
    assert sum(one.state == "pending" for one in sights(base).values()) >= 10
    most = 0

    def is_empty() -> bool:
        nonlocal most
        states = list(cluster.queue().values())
        most = max(most, states.count("RUNNING"))
        return not states

    assert wait_for(is_empty, PATIENCE)
    assert most == 2
    found = sights(base)
    assert len(found) == 12
    assert {one.state for one in found.values()} == {"finished"}, log(base) + cluster.logs()
    # Each job got a run folder, nothing else.
    assert {path.name for path in base.iterdir()} == {*found, "sweep.json", ".sweep"}
    name = "sliding_1_1_dms_size_6_network_2"
    options = SMALL | {"curriculum_type": "sliding", "task": "dms", "network_number": 2, "seed": 1}
    assert result(base / name) == alone(tmp_path / name, options)
    # Started again, there is nothing to do.
    assert main(["sweep", str(file), *flags]) == 0
    assert cluster.queue() == {}
    assert "12 finished, 0 running or in the queue before" in capsys.readouterr().out


def test_a_job_cut_by_its_time_limit_twice_ends_as_one_that_was_not(
    cluster: Cluster, pace: float, tmp_path: Path
) -> None:
    # SLURM's shortest limit is a minute, and every 30 s it looks which jobs are near theirs: a warning 60 s before comes
    # in the first 30 s, and a run of 75 s is cut twice. A busy machine spends them importing torch, so that it would be
    # cut many times more: then it is given time.
    options = ENDLESS | {"epochs": 25, "steps_per_epoch": round(3 * pace)}
    base = tmp_path / "runs"
    file = write(tmp_path / "sweep.toml", base_path=str(base), options=options)
    assert main(["sweep", str(file), "--slurm", "--time", "1m", "--sbatch", "signal=USR2@60"]) == 0
    (job,) = cluster.queue()
    expected = alone(tmp_path / NAME, options)

    def is_cut_twice() -> bool:
        cluster.hurry()
        time.sleep(1)
        return log(base).count("Requeued job") >= 2

    assert wait_for(is_cut_twice, PATIENCE), log(base)
    cluster.call("scontrol", "update", f"JobId={job}", "TimeLimit=60")
    finish(cluster, base)
    assert log(base).count("stopped by SIGUSR2 in epoch") >= 2
    assert result(base / NAME) == expected


def test_a_job_that_has_to_make_room_goes_on_after_the_other(
    cluster: Cluster, under_way: Callable[..., tuple[Path, Path]], uninterrupted: dict[str, Any]
) -> None:
    _, base = under_way("--cpus", "1")
    cluster.call(
        "sbatch", "--partition", "urgent", "--cpus-per-task", "2", "--output", "/dev/null", "--wrap", "sleep 3"
    )
    finish(cluster, base)
    # SLURM sent SIGTERM some time before it would have ended the job.
    assert "stopped by SIGTERM in epoch" in log(base)
    assert "Requeued job" in log(base)
    assert result(base / NAME) == uninterrupted


def test_a_job_that_is_requeued_by_others_goes_on(
    cluster: Cluster, under_way: Callable[..., tuple[Path, Path]], uninterrupted: dict[str, Any]
) -> None:
    _, base = under_way()
    (job,) = cluster.queue()
    cluster.call("scontrol", "requeue", job)
    finish(cluster, base)
    assert "stopped by SIGTERM in epoch" in log(base)
    assert "Requeued job" not in log(base)
    assert result(base / NAME) == uninterrupted


def test_a_cancelled_sweep_is_left_to_be_gone_on_with(
    cluster: Cluster,
    under_way: Callable[..., tuple[Path, Path]],
    uninterrupted: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    file, base = under_way()
    (job,) = cluster.queue()
    # What is in the queue or running is not put there twice.
    assert main(["sweep", str(file), "--slurm"]) == 0
    assert "0 finished, 1 running or in the queue before" in capsys.readouterr().out
    assert list(cluster.queue()) == [job]
    cluster.call("scancel", job)
    assert wait_for(lambda: not cluster.queue(), 60)
    assert "stopped by SIGTERM in epoch" in log(base)
    assert not is_locked(base / NAME)
    assert sights(base)[NAME].state == "stopped"
    assert f"job {job} is not in the queue any more" in sights(base)[NAME].problem
    # Two at a time, so that each has one thread, as the job had.
    assert main(["sweep", str(file), "--jobs", "2"]) == 0
    assert result(base / NAME) == uninterrupted


@pytest.mark.parametrize("daemon_alone", [True, False], ids=["slurmd", "all"])
def test_a_killed_node_leaves_a_sweep_that_goes_on(
    daemon_alone: bool,
    cluster: Cluster,
    under_way: Callable[..., tuple[Path, Path]],
    uninterrupted: dict[str, Any],
) -> None:
    _, base = under_way()
    cluster.kill_node(daemon_alone=daemon_alone)
    try:
        # Without its daemon a job goes on, and ends if it is short; SLURM gives the node up after a while, and puts into
        # the queue again what ran there.
        assert daemon_alone or wait_for(lambda: not is_locked(base / NAME), 10)
        assert wait_for(lambda: set(cluster.queue().values()) <= {"PENDING"}, 120), cluster.logs()
    finally:
        cluster.start_node()
    # A node that comes back is told to end what SLURM believed to run there; the wait that is cut short is there for that.
    time.sleep(20)
    finish(cluster, base)
    assert result(base / NAME) == uninterrupted


def test_a_run_that_fails_is_told_and_can_be_tried_again(cluster: Cluster, tmp_path: Path) -> None:
    base = tmp_path / "runs"
    runs = [{"task": "dms"}, {"lr": 1e30}]
    file = write(tmp_path / "sweep.toml", base_path=str(base), options=SMALL | {"seed": 0}, runs=runs)
    assert main(["sweep", str(file), "--slurm"]) == 0
    assert wait_for(lambda: not cluster.queue(), PATIENCE)
    found = sights(base)
    assert {name: one.state for name, one in found.items()} == {
        "cumulative_dms_size_6_network_1": "finished", NAME: "failed",
    }  # fmt: skip
    assert found[NAME].problem.startswith("training diverged at epoch 1, step")


def test_a_gpu_is_asked_for(cluster: Cluster, tmp_path: Path) -> None:
    base = tmp_path / "runs"
    file = write(tmp_path / "sweep.toml", base_path=str(base))
    # The cluster has one in its books alone.
    assert main(["sweep", str(file), "--slurm", "--gpus", "1", "--device", "cpu"]) == 0
    (job,) = cluster.queue()
    assert "TresPerNode=gres:gpu:1" in cluster.call("scontrol", "show", "job", job)
    finish(cluster, base)


def test_what_slurm_refuses_is_told_in_a_line_and_leaves_nothing(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tmp_path / "runs"
    file = write(tmp_path / "sweep.toml", base_path=str(base), networks={"seeds": [0, 1]})
    assert main(["sweep", str(file), "--slurm", "--partition", "nowhere"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("tauscope: error: SLURM refuses 2 jobs: ")
    assert "invalid partition specified: nowhere" in line
    assert cluster.queue() == {}
    assert [path for path in base.rglob("*") if path.is_file()] == []
