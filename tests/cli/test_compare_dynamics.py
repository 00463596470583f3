"""``tauscope compare --metric dsa``: groups from options or from the command line, results on disk, one line of refusal."""

from __future__ import annotations

import csv
import sys
import types
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch

from tauscope.cli import main
from tauscope.runs.results import load_result

SMALL = [
    "-nn",
    "6",
    "--max-N",
    "3",
    "--epochs",
    "1",
    "--steps-per-epoch",
    "1",
    "--batch-size",
    "2",
    "--test-steps",
    "1",
    "--threads",
    "1",
]


class StandIn:
    """Compares mean speeds."""

    def __init__(self, networks: list[torch.Tensor], other: None, **options: object) -> None:
        del other, options
        self.speeds = np.array([float(network.diff(dim=1).abs().mean()) for network in networks])

    def fit_score(self) -> np.ndarray:
        return np.abs(np.subtract.outer(self.speeds, self.speeds))


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("DSA")
    module.DSA = StandIn  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "DSA", module)
    known = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "2.0.stand-in" if name == "dsa-metric" else known(name))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Two networks of each curriculum."""
    base, found = tmp_path_factory.mktemp("runs"), dict[str, list[str]]()
    for curriculum in ("cumulative", "single"):
        for number in ("1", "2"):
            options = ["-c", curriculum, "-n", number, "-s", number, "-b", str(base), *SMALL]
            assert main(["train", *options]) == 0
            (run,) = base.glob(f"{curriculum}_*_network_{number}")
            (run / "rnn_N2_N2").write_bytes((run / "rnn_init").read_bytes())
            found.setdefault(curriculum, []).append(str(run))
    return found


def test_runs_are_grouped_by_their_options(runs: dict[str, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    folders = [folder for names in runs.values() for folder in names]
    target = tmp_path / "results" / "dsa"
    assert main(["compare", "--metric", "dsa", *folders, "-o", str(target)]) == 0
    assert "dsa-metric" in capsys.readouterr().out
    result, source = load_result(target.with_name("dsa.nc"))
    assert result.attrs["dsa_metric"] == "2.0.stand-in"
    assert len(set(result.group.values[:2])) == len(set(result.group.values[2:])) == 1
    assert result.group.values[0] != result.group.values[2]
    assert source["analysis"] == "dsa"
    rows = list(csv.reader(target.with_name("dsa.csv").read_text().splitlines()))
    assert rows[0][-1] == "distance (dsa-metric 2.0.stand-in)"
    assert len(rows) == 1 + 6
    assert [float(row[-1]) for row in rows[1:]] == result.distance.values[np.triu_indices(4, 1)].tolist()
    assert target.with_name("dsa.png").read_bytes().startswith(b"\x89PNG")
    # The same again is read, other trials are measured where it is said so.
    before = target.with_name("dsa.nc").stat().st_mtime_ns
    assert main(["compare", "--metric", "dsa", *folders, "-o", str(target)]) == 0
    assert target.with_name("dsa.nc").stat().st_mtime_ns == before
    other = ["compare", "--metric", "dsa", *folders, "-o", str(target), "--seed", "1"]
    assert main(other) == 2
    assert "expected --force" in capsys.readouterr().err
    assert main([*other, "--force"]) == 0
    assert load_result(target.with_name("dsa.nc"))[0].attrs["seed"] == "1"


def test_any_two_groups_are_compared(runs: dict[str, list[str]], tmp_path: Path) -> None:
    (a, b), (c, d) = runs.values()
    target = tmp_path / "mixed.csv"
    assert main(["compare", "--metric", "dsa", a, c, "--against", b, f"{d}/rnn_N2_N2", "-o", str(target)]) == 0
    result, _ = load_result(target.with_suffix(".nc"))
    assert result.group.values.tolist() == ["first group"] * 2 + ["second group"] * 2
    alike = tmp_path / "alike"
    assert main(["compare", "--metric", "dsa", c, d, "--against", a, b, "-o", str(alike)]) == 0
    assert len(set(load_result(alike.with_suffix(".nc"))[0].group.values.tolist())) == 2


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--metric", "dsb"], "did you mean 'dsa'"),
        (["--metric", "dsa"], "all runs are of one kind"),
        (["--metric", "dsa", "--against", "SAME"], "is named twice"),
        (["--metric", "dsa", "--against", "nowhere"], "no checkpoint nowhere in"),
        (["--metric", "dsa", "--against", "OTHER", "--rank", "0"], "rank is 0"),
        (["--metric", "dsa", "--against", "OTHER", "--rank", "99"], "rank is 99: expected at most 50"),
        (["--metric", "dsa", "--against", "OTHER", "--n-trials", "0"], "n_trials is 0"),
        (["--metric", "dsa", "--against", "OTHER", "--score", "angle"], "did you mean 'angular'"),
        (["--metric", "dsa", "--against", "OTHER", "-o", "page.html"], "expected a name for .nc, .csv and .png files"),
        (["--metric", "dsa", "--against", "OTHER", "--results", "x"], "--results x with --metric"),
        (["--against", "OTHER"], "--against without a metric: expected --metric dsa"),
        (["--rank", "3"], "--rank without a metric"),
        (["--force"], "--force without a metric"),
    ],
)
def test_what_cannot_be_compared_is_one_line(
    runs: dict[str, list[str]],
    arguments: list[str],
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    names = {"SAME": runs["single"][0], "OTHER": runs["cumulative"][0]}
    assert main(["compare", *runs["single"], *(names.get(word, word) for word in arguments)]) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert line in error
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_named_and_nothing_is_written(
    runs: dict[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "DSA", None)
    folders = [folder for names in runs.values() for folder in names]
    assert main(["compare", "--metric", "dsa", *folders, "-o", str(tmp_path / "x" / "dsa")]) == 2
    assert "pip install 'tauscope[dsa]'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
