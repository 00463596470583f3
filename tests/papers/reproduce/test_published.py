"""Networks of the published code, measured beside ours."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import xarray as xr

import tauscope as ts
import tiny_paper
from tauscope import InputError
from tauscope.analysis.connectivity import connectivity
from tauscope.cli import main
from tauscope.papers.reproduce.planning import Choice, Plan, make_plan
from tauscope.papers.reproduce.running import run_plan
from tauscope.runs.checkpoints import save_weights
from tauscope.runs.loading import load
from tauscope.runs.published import to_published

TINY = "tiny_paper:PAPER"


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """Folders as the published code writes them: two multi-head networks, one single-head, and others."""
    runs = {
        "cumulative_parity_network_1": ["rnn_init", "rnn_N2_N2", "rnn_N2_N3", "rnn_N2_N7"],
        "cumulative_parity_network_10": ["rnn_N2_N3"],
        "single_parity_network_2": ["rnn_N2_N2", "rnn_N5_N5"],
        "cumulative_parity_network_old": ["rnn_N2_N2"],
        "cumulative_dms_network_1": ["rnn_N2_N2"],
        "single_parity_network_3": [],
    }
    for i, (run, files) in enumerate(runs.items()):
        (tmp_path / "theirs" / run).mkdir(parents=True)
        for name in files:
            model = ts.LeakyRNN(9 + i, n_heads=10, generator=torch.Generator().manual_seed(i))
            save_weights(tmp_path / "theirs" / run / name, to_published(model))
    return tmp_path / "theirs"


def plan(base: Path, published: Path | None, paper: str = TINY) -> Plan:
    return make_plan(paper, "quick", base, Choice(published=published))


def test_networks_are_found_by_the_names_of_their_conditions(published: Path, tmp_path: Path) -> None:
    planned = plan(tmp_path / "base", published).published
    assert [network.name for network in planned] == ["published multi 1", "published multi 10", "published single 2"]
    # At the N of the scale, here 2, and at the largest N.
    assert [list(network.asked) for network in planned] == [
        [("connectivity", 2), ("connectivity", 7), ("size", 2), ("size", 7)],
        [("connectivity", 3), ("size", 3)],
        [("connectivity", 2), ("connectivity", 5)],
    ]
    assert len({asked.seed for network in planned for asked in network.asked.values()}) == 3
    assert plan(tmp_path / "base", None).published == ()


def test_they_are_measured_as_ours_and_no_claim_is_judged_by_them(
    tiny_reproduction: Path, published: Path, tmp_path: Path
) -> None:
    base = shutil.copytree(tiny_reproduction, tmp_path / "done")
    ours = run_plan(plan(base, None), 2)
    both = run_plan(plan(base, published), 2)
    assert ours is not None
    assert both is not None
    assert both.networks.keys() == ours.networks.keys()
    assert not ours.published
    assert {name: [network.network for network in several] for name, several in both.published.items()} == {
        "multi": [1, 10],
        "single": [2],
    }
    network = both.published["multi"][0]
    assert (network.condition, network.missing) == ("published multi", "")
    expected = connectivity(load(published / "cumulative_parity_network_1" / "rnn_N2_N7"))
    xr.testing.assert_allclose(network.measured["connectivity", 7], expected)
    # Scales set options for theirs as for ours: half the units.
    assert float(network.measured["size", 2]["size"]) == 4.5
    kept = {path: path.stat().st_mtime_ns for path in base.rglob("*.nc")}
    run_plan(plan(base, published), 2)
    assert {path: path.stat().st_mtime_ns for path in base.rglob("*.nc")} == kept, "what is current is not made again"


def test_a_damaged_network_costs_its_own_results(
    tiny_reproduction: Path, published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = shutil.copytree(tiny_reproduction, tmp_path / "done")
    (published / "single_parity_network_2" / "rnn_N5_N5").write_bytes(b"damaged")
    arguments = ["reproduce", TINY, "-b", str(base), "--jobs", "2", "--published", str(published)]
    assert main(arguments) == 3
    assert "published single 2 is missing: connectivity at N = 5" in " ".join(capsys.readouterr().err.split())
    claims = json.loads((base / "results" / "claims.json").read_text())
    assert list(claims["missing"]) == ["published single 2"]
    assert f"--published {published}" in claims["command"]
    with (base / "results" / "measurements.csv").open(newline="") as file:
        rows = {(row["condition"], row["network"], row["N"]) for row in csv.DictReader(file)}
    assert {("published multi", "1", "7"), ("published multi", "10", "3"), ("published single", "2", "2")} <= rows
    assert ("published single", "2", "5") not in rows


def test_a_folder_without_such_networks_is_refused_and_nothing_is_written(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in (tmp_path, tmp_path / "nowhere", published / "single_parity_network_2" / "rnn_N5_N5"):
        with pytest.raises(InputError, match=r"holds no network of the published code: .* cumulative_parity_network_1"):
            plan(tmp_path / "base", folder)
    assert main(["reproduce", TINY, "-b", str(tmp_path / "base"), "--published", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "base").exists()
    monkeypatch.setattr(tiny_paper, "PAPER", replace(tiny_paper.PAPER, published=()))
    with pytest.raises(InputError, match="tiny measures no networks of a published code"):
        plan(tmp_path / "base", published)
