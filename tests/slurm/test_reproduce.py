"""A reproduction whose networks are jobs of a real SLURM comes to what it comes to on one machine."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path
from typing import Any

import pytest

from slurm.cluster import Cluster, wait_for
from tauscope.cli import main

pytestmark = pytest.mark.slurm

# Seconds; jobs take several to import torch, minutes on a busy machine.
PATIENCE = 1200.0


def came_to(results: Path) -> dict[str, Any]:
    """Return the claims and the numbers of a reproduction, without what depends on the clock and the call."""
    claims = json.loads((results / "claims.json").read_text())
    with (results / "measurements.csv").open(newline="") as file:
        measured = list(csv.DictReader(file))
    return {"claims": claims["claims"], "missing": claims["missing"], "measured": measured}


def test_the_smoke_scale_of_a_paper_on_a_cluster(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paper = ["reproduce", "emergent-timescales", "--scale", "smoke", "--networks", "1"]
    queued, here = tmp_path / "queued", tmp_path / "here"
    command = [*paper, "-b", str(queued), "--slurm", "--memory", "400M", "--jobs", "2"]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "in the queue as job" in out
    assert "judge the claims when all networks are finished: the same command" in out
    n = len(cluster.queue())
    assert n > 10
    assert not (queued / "results").exists()
    # Asked again, nothing is put into the queue twice.
    assert main(command) == 0
    assert len(cluster.queue()) <= n

    def is_empty() -> bool:
        time.sleep(1)
        return not cluster.queue()

    assert wait_for(is_empty, PATIENCE), cluster.logs()
    assert main(command) == 0
    assert main([*paper, "-b", str(here), "--jobs", "2"]) == 0
    assert came_to(queued / "results") == came_to(here / "results")
    logs = "".join(path.read_text() for path in sorted((queued / ".sweep" / "slurm").glob("*/*_log.out")))
    assert "measuring timescales at N = 4" in logs
