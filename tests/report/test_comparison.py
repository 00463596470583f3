"""Several runs on one page: what differs, what was measured of each, and what was not."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tauscope.measurements import number_table
from tauscope.report import comparison
from tauscope.report.comparison import comparison_page, short_names
from tauscope.report.parts import Picture, drawn
from tauscope.runs.results import load_result, save_result

Read = Callable[[str], Any]
FIRST, SECOND, SINGLE = (
    "cumulative_parity_size_12_network_1",
    "cumulative_parity_size_12_network_2",
    "single_parity_size_12_network_1",
)


def alts(page: Any) -> list[str]:
    return [image["alt"] for image in page.all("img")]


@pytest.fixture(autouse=True)
def sketched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make no pixels, which take longest."""

    def sketch(draw: Any, alt: str, caption: str) -> Picture:
        draw()
        return Picture("data:,", 1, 1, alt, caption)

    monkeypatch.setattr(comparison, "drawn", sketch)


@pytest.fixture
def drawn_with(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What is given to the functions that draw several runs, by their names."""
    given: dict[str, Any] = {}
    for name in ("plot_against_N", "plot_perturbation_of_networks", "plot_progress"):
        plot = getattr(comparison, name)

        def spy(curves: Any, *rest: Any, plot: Any = plot, name: str = name, **options: Any) -> Any:
            given.setdefault(name, []).append((curves, *rest))
            return plot(curves, *rest, **options)

        monkeypatch.setattr(comparison, name, spy)
    return given


def test_facts_and_differences_have_a_column_for_each_run(several_runs: Sequence[Path], read: Read) -> None:
    page = read(comparison_page(several_runs))
    assert ["", FIRST, SECOND, SINGLE] in page.rows
    assert ["Curriculum", "multi-head", "multi-head", "single-head"] in page.rows
    assert ["Solved", *["N = 2, 3 (2 checkpoints)"] * 3] in page.rows
    options = page.rows[page.rows.index(["option", FIRST, SECOND, SINGLE]) + 1 :][:4]
    assert options == [
        ["network_number", "1", "2", "1"],
        ["seed", "7", "8", "7"],
        ["curriculum_type", "cumulative", "cumulative", "single"],
        ["p", "default", "default", "0.5"],
    ]


def test_training_of_all_in_one_figure(several_runs: Sequence[Path], read: Read, drawn_with: dict[str, Any]) -> None:
    page = read(comparison_page(several_runs))
    assert alts(page)[0] == "Largest N solved after every epoch"
    ((histories,),) = drawn_with["plot_progress"]
    assert [(name, len(records)) for name, records in histories.items()] == [(FIRST, 3), (SECOND, 3), (SINGLE, 3)]


def test_numbers_stand_beside_each_other(several_runs: Sequence[Path], read: Read) -> None:
    page = read(comparison_page(several_runs))
    assert ["quantity", *(f"{run.name}, N = 3" for run in several_runs)] in page.rows
    assert "At N = 3, the largest N at which all of them were measured:" in page.text
    radii = []
    for run, checkpoint in zip(several_runs, ("rnn_N2_N3", "rnn_N2_N3", "rnn_N3_N3"), strict=True):
        result, _ = load_result(run / "analysis" / f"{checkpoint}_connectivity.nc")
        radii.append(number_table({"": float(result["spectral_radius"][0])})[0][1])
    assert radii[0] == radii[2] != radii[1]
    assert ["spectral radius (layer 1, recurrent)", *radii] in page.rows


def test_runs_that_were_measured_at_no_common_N_are_shown_at_their_own(
    several_runs: Sequence[Path], read: Read
) -> None:
    page = read(comparison_page(several_runs))
    assert "Each at its own largest N; there is no N at which all of them were measured:" in page.text
    assert ["quantity", f"{SECOND}, N = 2", f"{SINGLE}, N = 3"] in page.rows
    assert "Each at its own largest N:" in page.text
    assert ["quantity", f"{FIRST}, N = 3"] in page.rows


def test_networks_that_were_trained_alike_are_one_group_in_a_figure(
    several_runs: Sequence[Path], read: Read, drawn_with: dict[str, Any]
) -> None:
    page = read(comparison_page(several_runs))
    assert [alt for alt in alts(page) if alt.endswith("against N")] == [
        "mean weight (layer 1, recurrent) against N",
        "spectral radius (layer 1, recurrent) against N",
        "largest Lyapunov exponent (nats/step) against N",
    ]
    curves, _ = drawn_with["plot_against_N"][0]
    assert {name: dict(curve.sizes) for name, curve in curves.items()} == {
        "multi-head": {"network": 2, "N": 2},
        "single-head": {"network": 1, "N": 2},
    }
    ((results,),) = drawn_with["plot_perturbation_of_networks"]
    assert {name: one.sizes["network"] for name, one in results.items()} == {"multi-head": 2, "single-head": 1}
    assert alts(page)[-1] == "Perturbation of τ of all runs", "errors after perturbations have no figure of all runs"
    assert "Error after perturbations" in page.text


def test_networks_that_were_trained_otherwise_under_one_curriculum_are_told_apart(
    several_runs: Sequence[Path], drawn_with: dict[str, Any]
) -> None:
    config = several_runs[1] / "config.json"
    options = json.loads(config.read_text()) | {"lr": 0.1}
    del options["checksum"]
    config.write_text(json.dumps(options))
    comparison_page(several_runs)
    curves, _ = drawn_with["plot_against_N"][0]
    assert list(curves) == ["multi-head, lr None", "multi-head, lr 0.1", "single-head"]


def test_what_is_not_measured_is_said_with_the_command(several_runs: Sequence[Path], read: Read) -> None:
    shutil.rmtree(several_runs[1] / "analysis")
    for path in several_runs[2].glob("rnn_N*"):
        path.unlink()
    page = read(comparison_page(several_runs))
    rows = page.rows[page.rows.index(["run", "not measured", "what measures it"]) + 1 :]
    assert rows[0][0] == FIRST
    assert rows[0][1].startswith("timescales, sequentiality, balance, lyapunov, fixed_points, ablation")
    assert rows[0][2] == f"tauscope analyze all {FIRST}"
    assert rows[1][1].split(", ")[:3] == ["timescales", "dimensionality", "sequentiality"]
    assert rows[2][2] == "nothing: no N is solved yet"


def test_results_measured_into_another_folder(several_runs: Sequence[Path], read: Read, tmp_path: Path) -> None:
    homes = [tmp_path / "results" / run.name for run in several_runs]
    for run, home in zip(several_runs, homes, strict=True):
        shutil.move(run / "analysis", home / "analysis")
    assert "connectivity" not in [section["id"] for section in read(comparison_page(several_runs)).all("section")]
    page = read(comparison_page(several_runs, homes))
    assert "connectivity" in [section["id"] for section in page.all("section")]
    assert f"tauscope analyze all {SECOND} --output results" in page.text


def test_perturbations_of_different_sizes_are_not_averaged(several_runs: Sequence[Path], read: Read) -> None:
    path = several_runs[0] / "analysis" / "rnn_N2_N3_perturbation_tau.nc"
    result, source = load_result(path)
    save_result(path, result.isel(epsilon=slice(0, 3)), source)
    assert "Perturbation of τ of all runs" not in alts(read(comparison_page(several_runs)))


def test_runs_of_the_published_code_and_damaged_files(several_runs: Sequence[Path], read: Read) -> None:
    (several_runs[0] / "config.json").unlink()
    (several_runs[1] / "config.json").write_text("{")
    (several_runs[2] / "metrics.jsonl").write_text("5\n")
    (several_runs[2] / "analysis" / "rnn_N2_N2_connectivity.nc").write_text("no netCDF")
    page = read(comparison_page(several_runs))
    assert re.search(rf"{SECOND}: config\.json: .{{20,}}", page.text)
    assert re.search(rf"{SINGLE}: rnn_N2_N2_connectivity\.nc: .{{20,}}", page.text)
    assert re.search(rf"{SINGLE}: metrics\.jsonl: .{{20,}}", page.text)
    assert ["curriculum_type", "unknown", "unknown", "single"] in page.rows
    assert str(several_runs[0].parent) not in page.text
    assert "spectral radius (layer 1, recurrent) against N" in alts(page)


def test_the_page_is_self_contained_and_its_links_hold(
    several_runs: Sequence[Path], read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "drawn", drawn)
    text = comparison_page(several_runs)
    page = read(text)
    assert not page.all("script")
    assert all(attributes.get("src", "data:").startswith("data:") for _, attributes in page.elements)
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    assert {link["href"] for link in page.all("a")} == {f"#{name}" for name in ids}
    assert len(page.all("img")) == 5
    assert str(several_runs[0].parent) not in text
    assert comparison_page(several_runs) == text


def test_runs_of_one_name_are_told_apart_by_their_folders() -> None:
    assert short_names([Path("/a/x/run"), Path("/a/y/run")]) == ["x/run", "y/run"]
    assert short_names([Path("/a/x/run"), Path("/a/x/other")]) == ["run", "other"]
    assert short_names([Path("/a/x/run"), Path("/b/x/run"), Path("/b/x/it")]) == ["a/x/run", "b/x/run", "b/x/it"]
