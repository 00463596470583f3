"""README.md: its table of papers is what was reproduced, and what it points at is there."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


@pytest.fixture(scope="module")
def reproductions() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reproductions", ROOT / "docs" / "reproductions.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # A dataclass looks for its module.
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(__import__("sys").modules, "reproductions", module)
        spec.loader.exec_module(module)
    return module


def test_the_table_of_papers_is_made_from_the_results(reproductions: ModuleType) -> None:
    assert reproductions.with_tables(README) == README, "run: python docs/reproductions.py"
    found = {path.parent.name for path in (ROOT / "docs" / "results").glob("*/claims.json")}
    assert {entry.name for entry in reproductions.reproductions()} == found
    for entry in reproductions.reproductions():
        claims = (reproductions.results_of(entry.name) / "claims.md").read_text()
        assert sum(entry.verdicts.values()) == len(re.findall(r"^\| \*\*", claims, re.MULTILINE))
        assert entry.verdicts.get("holds", 0) == len(re.findall(r"\*\*✓ holds\*\*", claims))


def test_what_the_readme_points_at_is_there() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)|(?:href|src)='([^']+)'", README)
    files = {markdown or tag for markdown, tag in targets if "://" not in markdown + tag}
    assert len(files) > 10
    assert [name for name in sorted(files) if not (ROOT / name).exists()] == []


def test_the_first_commands_fit_a_narrow_page() -> None:
    first = re.findall(r"```\n(.*?)```", README, re.DOTALL)[0].splitlines()
    assert len(first) == 3
    assert max(map(len, first)) <= 60
