"""The files that a reproduction leaves."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from tauscope.errors import InputError
from tauscope.measurements import MEASUREMENTS
from tauscope.papers.reproduce.output import markdown, require_own
from tauscope.papers.reproduce.planning import Choice, make_plan
from tauscope.runs.folder import read_metrics
from tauscope.runs.results import load_result

TINY, MULTI = "tiny_paper:PAPER", "cumulative_parity_size_8_network_1"


@pytest.fixture(scope="module")
def results(tiny_reproduction: Path) -> Path:
    return tiny_reproduction / "results"


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_all_files_are_there_and_no_other(results: Path) -> None:
    assert {path.name for path in results.iterdir()} == {
        "claims.json", "claims.csv", "claims.md", "networks.csv", "measurements.csv", "training.csv", "index.html",
        "figure_1_progress.png",
    }  # fmt: skip


def test_claims(results: Path) -> None:
    claims = json.loads((results / "claims.json").read_text())
    assert (claims["paper"], claims["scale"], claims["cell"], claims["task"]) == ("tiny", "quick", None, None)
    assert claims["command"].startswith("tauscope reproduce tiny_paper:PAPER --scale quick --base_path ")
    assert claims["environment"]["networks_at_a_time"] == 2
    assert claims["conditions"]["late"] == {"label": "no curriculum, N = 3", "networks": 2}
    assert {claim["key"]: claim["verdict"] for claim in claims["claims"]} == {
        "C1": "holds", "C2": "does not hold", "C3": "missing", "C4": "not judged",
    }  # fmt: skip
    assert claims["claims"][3] == {
        "key": "C4", "statement": "Some things take longer.", "where": "section 4", "verdict": "not judged",
        "reason": "needs a night", "findings": [],
    }  # fmt: skip
    (finding,) = claims["claims"][0]["findings"]
    assert (finding["ours"], finding["n"]) == ("4 ± 0 against 4 ± 0", "2 + 2")
    assert claims["undrawn"] == {"figure_3_undrawable": "no network to draw: expected two"}
    assert claims["errors"] == {}
    rows = table(results / "claims.csv")
    assert [(row["claim"], row["verdict"]) for row in rows] == [
        ("C1", "holds"), ("C2", "holds"), ("C2", "does not hold"), ("C3", "missing"), ("C4", ""),
    ]  # fmt: skip
    assert rows[1]["published"] == "0.96"


def test_the_markdown_table(results: Path) -> None:
    lines = (results / "claims.md").read_text().splitlines()
    assert lines[0] == "| claim | inequality | paper | ours | n | effect | verdict |"
    assert lines[1] == "|---|---|---|---|---|---|---|"
    assert lines[2] == "| **C1** | Many heads reach as far as one. | section 1, \\| p. 1 |  |  |  | **✓ holds** |"
    assert len(lines) == 2 + 8
    assert markdown(("a", "b"), [("", ""), ("x\ny", "z")]) == "| a | b |\n|---|---|\n|  |  |\n| **x y** | **z** |\n"


def test_networks_and_training_are_those_of_the_runs(tiny_reproduction: Path, results: Path) -> None:
    rows = table(results / "networks.csv")
    assert len(rows) == 10
    records = read_metrics(tiny_reproduction / MULTI)
    assert rows[0] == {
        "condition": "multi", "network": "1", "run": MULTI, "seed": "0", "epochs": str(len(records)),
        "largest_N_solved": "4", "seconds": f"{sum(record['seconds'] for record in records):.1f}", "missing": "",
    }  # fmt: skip
    training = [row for row in table(results / "training.csv") if (row["condition"], row["network"]) == ("multi", "1")]
    assert [(int(row["epoch"]), int(row["N"]), float(row["loss"]), float(row["accuracy"])) for row in training] == [
        (record["epoch"], record["Ns"][-1], record["loss"], record["accuracy"][-1]) for record in records
    ]


def test_measurements_are_those_of_the_results(tiny_reproduction: Path, results: Path) -> None:
    rows = table(results / "measurements.csv")
    folder = tiny_reproduction / "measured" / "quick" / MULTI / "analysis"
    result, _ = load_result(folder / "rnn_N2_N4_connectivity.nc")
    ours = {row["quantity"]: float(row["value"]) for row in rows
            if (row["condition"], row["network"], row["N"], row["measurement"]) == ("multi", "1", "4", "connectivity")}  # fmt: skip
    assert ours == MEASUREMENTS["connectivity"].numbers(result)
    own = [row for row in rows if row["measurement"] == "size"]
    assert [(row["condition"], row["quantity"], row["value"]) for row in own] == [
        (condition, "half the units", "4.0") for condition in ("multi", "multi", "gated", "gated")
    ]


def test_figures_have_200_dots_an_inch(results: Path) -> None:
    height, width = imread(io.BytesIO((results / "figure_1_progress.png").read_bytes()), format="png").shape[:2]
    assert np.allclose((width, height), (3.4 * 200, 2.8 * 200))


def test_a_folder_of_another_reproduction_is_refused(results: Path, tmp_path: Path) -> None:
    plan = make_plan(TINY, "quick", tmp_path)
    require_own(results, plan)
    require_own(tmp_path / "new", plan)
    for other in (make_plan(TINY, "smoke", tmp_path), make_plan(TINY, "quick", tmp_path, Choice(task="dms"))):
        with pytest.raises(InputError, match="holds the results of another reproduction"):
            require_own(results, other)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("claims.json", "{", "holds the results of another reproduction"),
        ("claims.json", "[]", "holds the results of another reproduction"),
        ("index.html", "mine", r"holds index.html but no claims.json"),
        ("training.csv", "mine", r"holds training.csv but no claims.json"),
    ],
)
def test_foreign_files_are_refused(name: str, content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=said):
        require_own(tmp_path, make_plan(TINY, "quick", tmp_path))
    with pytest.raises(InputError, match="is a file: expected a folder"):
        require_own(tmp_path / name, make_plan(TINY, "quick", tmp_path))
