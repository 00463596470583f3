"""The pages of runs whose networks answer trials, alone and beside runs that count N up."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from few import applicable
from tauscope.measurements import MEASUREMENTS, Subject
from tauscope.measurements.keeping import subject_of
from tauscope.report import comparison, report_page
from tauscope.report.comparison import comparison_page
from tauscope.report.parts import Picture
from tauscope.runs.results import load_result
from tauscope.tasks import ChangeDetection
from trial_runs import TRIALS, learn_nothing, measure_trials

Read = Callable[[str], Any]


def alts(page: Any) -> list[str]:
    return [image["alt"] for image in page.all("img")]


def test_facts_are_those_of_the_configuration_and_no_N_is_solved(trials_page: str, read: Read) -> None:
    page = read(trials_page)
    for label, text in TRIALS.facts():
        assert label in page.text
        assert text in page.text
    assert "4 epochs; last loss 0.125; 2:00:00 (h:min:s)" in page.text
    assert "fractional loss 0.3 on task 2 (chance: 1, optimum: 0)" in page.text
    for wrong in ("Solved", "Curriculum", "nats, summed", "Accuracy", "tauscope evaluate", "N = 1", "N = 2"):
        assert wrong not in page.text
    assert "Files that could not be shown" not in page.text


def test_the_curve_is_that_of_the_metric(trials_page: str, read: Read) -> None:
    page = read(trials_page)
    assert alts(page)[0] == "Fractional loss and loss after every epoch"
    assert "Fractional loss on fresh trials, and loss, after every epoch. 1 network, 4 epochs." in page.text
    assert not any("solved" in alt or "against N" in alt for alt in alts(page))


def of_trials(run: Path) -> list[str]:
    """Return what can be measured of the first network of a run."""
    return applicable(subject_of(run / "rnn_N1_N1"))


def test_every_measurement_is_shown_by_task_and_said_as_it_was_made(
    trials_run: Path, trials_page: str, read: Read
) -> None:
    page = read(trials_page)
    ids = [section["id"] for section in page.all("section")]
    assert [name for name in ids if name in MEASUREMENTS] == of_trials(trials_run)
    for name in of_trials(trials_run):
        text = MEASUREMENTS[name]
        assert (text.about_trials or text.about) in page.text
        assert not text.about_trials or text.about not in page.text
        for figure in MEASUREMENTS[name].figures:
            assert f"{text.title} of rnn_N2_N2" + (f": {figure}" if figure else "") in alts(page)
    assert re.search(r"rnn_N1_N1\s+cd\b", page.text)
    assert re.search(r"rnn_N2_N2\s+2afc\b", page.text)
    assert "1 network, 12 trials of 19 steps." in page.text
    assert "1 network, 12 trials with delays of up to 8 steps." in page.text
    assert "Not measured yet" not in page.text


def test_main_numbers_name_numbers_of_their_measurement(trials_run: Path) -> None:
    for name in ("performance", "sequentiality"):
        result, _ = load_result(trials_run / "analysis" / f"rnn_N1_N1_{name}.nc")
        for pattern in MEASUREMENTS[name].main:
            matching = re.compile(re.escape(pattern).replace(r"\*", ".*"))
            assert any(matching.fullmatch(number) for number in MEASUREMENTS[name].numbers(result)), (name, pattern)


def test_pictures_are_drawn_anew_from_the_results_alone(trials_run: Path, trials_page: str, read: Read) -> None:
    """There are no pictures beside these results."""
    assert not list((trials_run / "analysis").glob("*.png"))
    n_figures = sum(len(MEASUREMENTS[name].figures) for name in of_trials(trials_run))
    assert len(alts(read(trials_page))) == 1 + 2 * n_figures


def test_only_what_can_be_measured_is_proposed(tmp_path: Path, read: Read) -> None:
    run = learn_nothing(tmp_path, replace(TRIALS, condition="basic", then=None))
    text = read(report_page(run)).text
    assert f"tauscope analyze all {run.name}" in text
    assert "tauscope evaluate" not in text
    measure_trials(run, ["connectivity", "dimensionality"])
    text = read(report_page(run)).text
    missing = [name for name in of_trials(run) if name not in ("connectivity", "dimensionality")]
    assert "performance" in missing
    assert re.findall(r"tauscope analyze (\w+)", text) == missing
    for checkpoint in run.glob("rnn_N*"):
        checkpoint.unlink()
    shutil.rmtree(run / "analysis")
    assert "nothing to measure before the first epoch is over" in read(report_page(run)).text


def test_without_its_configuration_a_run_is_still_a_page(trials_run: Path, tmp_path: Path, read: Read) -> None:
    run = shutil.copytree(trials_run, tmp_path / trials_run.name)
    (run / "config.json").write_text("{")
    page = read(report_page(run))
    assert re.search(r"\n\s*config\.json: .{20,}", page.text)
    assert "metrics.jsonl" in page.text
    assert ["fractional loss at chance", "1"] in page.rows


@pytest.fixture
def sketched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make no pixels, which take longest."""
    monkeypatch.setattr(comparison, "drawn", lambda _, alt, caption: Picture("data:,", 1, 1, alt, caption))


@pytest.mark.usefixtures("sketched")
def test_runs_of_both_kinds_stand_beside_each_other(
    several_runs: list[Path], trials_run: Path, tmp_path: Path, read: Read
) -> None:
    other = learn_nothing(tmp_path / "more", replace(TRIALS, condition="basic", then=None, seed=8))
    runs = [several_runs[0], several_runs[2], trials_run, other]
    page = read(comparison_page(runs))
    assert alts(page)[:2] == ["Largest N solved after every epoch", "Fractional loss after every epoch"]
    assert "Files that could not be shown" not in page.text
    first, single, trials, basic = (run.name for run in runs)
    assert ["quantity", f"{first}, N = 3", f"{single}, N = 3", f"{trials}, 2afc"] in page.rows
    assert "Each at its furthest checkpoint:" in page.text
    assert ["Solved", "N = 2, 3 (2 checkpoints)", "N = 2, 3 (2 checkpoints)", "", ""] in page.rows
    assert ["condition", "", "", "multitask", "basic"] in page.rows
    # Networks that count no N have no place in a figure against N.
    assert "mean weight (layer 1, recurrent) against N" in alts(page)
    missing = page.rows[page.rows.index(["run", "not measured", "what measures it"]) + 1 :]
    assert [row[0] for row in missing] == [first, single, basic]
    assert missing[2][1] == ", ".join(of_trials(other))
    assert MEASUREMENTS["dimensionality"].about in page.text
    assert MEASUREMENTS["dimensionality"].about_trials in page.text


@pytest.mark.usefixtures("sketched")
def test_runs_on_trials_alone_are_compared_at_their_furthest_checkpoints(
    trials_run: Path, tmp_path: Path, read: Read
) -> None:
    other = shutil.copytree(trials_run, tmp_path / "other")
    page = read(comparison_page([trials_run, other]))
    assert ["quantity", f"{trials_run.name}, 2afc", "other, 2afc"] in page.rows
    assert alts(page) == ["Fractional loss after every epoch"]
    assert MEASUREMENTS["timescales"].about not in page.text
    assert "N = " not in page.text


def test_the_page_of_a_run_without_epochs(tmp_path: Path, read: Read) -> None:
    run = learn_nothing(tmp_path)
    (run / "metrics.jsonl").unlink()
    for checkpoint in run.glob("rnn_N*"):
        checkpoint.unlink()
    page = read(report_page(run))
    assert "There are no records of epochs" in page.text
    assert json.loads((run / "config.json").read_text())["task"] == "cd"
    assert isinstance(Subject(TRIALS.model(), TRIALS.measured_task(1), (1, 1), 0).task, ChangeDetection)
