"""Studies: made once, kept, handed to claims, and missing with a reason where they fail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import tiny_paper
from tauscope.cli import main
from tauscope.papers.reproduce.planning import Choice, make_plan
from tauscope.papers.reproduce.running import run_plan
from tauscope.papers.reproduce.studying import PlannedStudy, make_study, planned_studies
from tauscope.runs.results import load_result
from tauscope.runs.run import environment

TINY, BROKEN = "tiny_paper:STUDIED", "tiny_paper:UNSTUDIED"
HERE = environment("cpu")


def planned(base: Path, seed: int = 0, **options: Any) -> PlannedStudy:
    (planned,) = planned_studies(TINY, tiny_paper.STUDIED.studies, base, seed, {"draws": options} if options else {})
    return planned


def test_a_study_is_kept_with_its_seed_and_options(tmp_path: Path) -> None:
    study = planned(tmp_path, n=3)
    assert study.current(HERE) is None
    make_study(lambda _: None, study, HERE)
    kept = study.current(HERE)
    assert kept is not None
    assert kept["value"].values.tolist() == torch.randn(3, generator=torch.Generator().manual_seed(0)).tolist()
    assert load_result(study.target)[1]["options"] == {"seed": 0, "n": 3}


def test_only_the_same_study_that_is_whole_is_not_made_again(tmp_path: Path) -> None:
    study = planned(tmp_path)
    make_study(lambda _: None, study, HERE)
    assert study.current(HERE) is not None
    assert planned(tmp_path, seed=1).current(HERE) is None
    assert planned(tmp_path, n=5).current(HERE) is None
    assert study.current(HERE | {"tauscope": "0.0.1"}) is None
    study.target.write_bytes(b"damaged")
    assert study.current(HERE) is None


def test_the_plan_knows_seed_and_options(tmp_path: Path) -> None:
    plan = make_plan(TINY, "quick", tmp_path, Choice(seed=4))
    (study,) = plan.studies
    assert (study.seed, dict(study.options)) == (4, {"n": 3})


def test_a_reproduction_makes_studies_once_and_says_why_one_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--scale", "quick", "-b", str(tmp_path), "--jobs", "1"]
    assert main(["reproduce", TINY, *options]) == 0
    assert "measured without a network: draws" in capsys.readouterr().out
    said = json.loads((tmp_path / "results" / "claims.json").read_text())
    assert [one["verdict"] for one in said["claims"]] == ["holds"]
    assert said["missing"] == {}

    (path,) = (tmp_path / "measured").rglob("draws.nc")
    before = path.stat().st_mtime_ns
    found = run_plan(make_plan(TINY, "quick", tmp_path), 1)
    assert found is not None
    assert found.studies["draws"].sizes["draw"] == 3
    assert path.stat().st_mtime_ns == before

    assert main(["reproduce", BROKEN, *options]) == 3
    said = json.loads((tmp_path / "results" / "claims.json").read_text())
    assert said["missing"] == {"study draws": "n is 0: expected at least 1 (nearest valid value: 1)"}
    assert [one["verdict"] for one in said["claims"]] == ["missing"]
    assert "study draws is missing: n is 0" in capsys.readouterr().err
    assert "study draws" in (tmp_path / "results" / "index.html").read_text()
