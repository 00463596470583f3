"""The page of a reproduction: every claim, figure and failure is on it, and nothing is loaded from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from tauscope.papers.reproduce.judging import MARKS
from tauscope.papers.reproduce.output import Reproduced, conclude
from tauscope.papers.reproduce.planning import make_plan
from tauscope.papers.reproduce.running import run_plan
from tauscope.papers.vocabulary import Results, Trained
from tauscope.report.claims_page import claims_page

HOSTILE = """x"><img src=//evil onerror='alert(1)'><script>alert(2)</script>&amp;"""


@pytest.fixture(scope="module")
def reproduced(tiny_reproduction: Path) -> Reproduced:
    plan = make_plan("tiny_paper:PAPER", "quick", tiny_reproduction)
    results = run_plan(plan, 1)
    assert results is not None
    return conclude(plan, results, "tauscope reproduce tiny", {"device": "cpu"})


def test_the_command_writes_this_page(
    reproduced: Reproduced, tiny_reproduction: Path, read: Callable[[str], Any]
) -> None:
    page = read(claims_page(reproduced))
    written = read((tiny_reproduction / "results" / "index.html").read_text())
    assert [image["src"] for image in page.all("img")] == [image["src"] for image in written.all("img")]
    assert written.rows[: len(page.rows) - 2] == page.rows[:-2]


def test_claims_have_their_marks_and_our_numbers_beside_the_papers(
    reproduced: Reproduced, read: Callable[[str], Any]
) -> None:
    page = read(claims_page(reproduced))
    assert ["", "radius > 0", "0.96"] in [row[:3] for row in page.rows]
    claims = [(row[0], row[-1]) for row in page.rows if re.fullmatch(r"C\d", row[0])]
    assert claims == [("C1", "✓ holds"), ("C2", "✗ does not hold"), ("C3", "? missing"), ("C4", "– not judged")]
    assert "needs a night" in page.text
    assert "1 holds, 1 does not hold, 1 not judged, 1 missing" in page.text
    for finding in (finding for one in reproduced.judged for finding in one.findings):
        assert f"{MARKS[finding.verdict]} {finding.verdict}" in page.text
        assert finding.effect in page.text


def test_figures_networks_environment_and_command(reproduced: Reproduced, read: Callable[[str], Any]) -> None:
    page = read(claims_page(reproduced))
    (image,) = page.all("img")
    assert image["src"].startswith("data:image/png;base64,")
    assert image["alt"] == "figure 1 progress: The newest N after every epoch"
    assert "The newest N after every epoch. 2 networks a condition." in page.text
    assert "figure_3_undrawable.png: cannot be drawn: no network to draw" in page.text
    assert ["multi-head", "2 networks", "4, 4", "3, 3"] in page.rows
    assert ["device", "cpu"] in page.rows
    assert "tauscope reproduce tiny" in page.text


def test_links_lead_to_the_files_beside_the_page(
    reproduced: Reproduced, tiny_reproduction: Path, read: Callable[[str], Any]
) -> None:
    page = read(claims_page(reproduced))
    links = [unquote(link["href"]) for link in page.all("a")]
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    assert {link[1:] for link in links if link.startswith("#")} == ids
    files = {link for link in links if not link.startswith("#")}
    assert files == {path.name for path in (tiny_reproduction / "results").iterdir()} - {"index.html"}
    assert not page.all("script")
    assert all(attributes.get("src", "data:").startswith("data:") for _, attributes in page.elements)


def test_what_failed_and_what_was_left_out_is_named(reproduced: Reproduced, read: Callable[[str], Any]) -> None:
    failed = Trained("single", 2, (), {}, f"training diverged {HOSTILE}")
    networks = {**reproduced.results.networks, "single": [reproduced.results.networks["single"][0], failed]}
    results = Results(networks, reproduced.results.labels)
    plan = replace(reproduced.plan, left_out={"gated": "about cell gru, not lstm"})
    page = read(claims_page(replace(reproduced, plan=plan, results=results, command=HOSTILE)))
    assert f"single-head, network 2: training diverged {HOSTILE}" in page.text
    assert ["single-head", "1 network of 2", "4", "3"] in page.rows
    assert ["GRU", "about cell gru, not lstm"] in page.rows
    assert not page.all("script")
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
