"""``tauscope reproduce`` as a user runs it: listed, planned, killed, stopped, misspelt, and begun again."""

from __future__ import annotations

import csv
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import tiny_paper
from tauscope import papers
from tauscope.cli import main
from tauscope.papers.reproduce.planning import Choice, make_plan
from tauscope.papers.reproduce.queueing import QueuedNetwork, as_sweep, incomplete
from tauscope.runs.checkpoints import load_state
from tauscope.runs.folder import is_locked

TINY = "tiny_paper:PAPER"
TESTS = Path(tiny_paper.__file__).parent


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def came_to(results: Path) -> dict[str, Any]:
    """Return all that a reproduction came to, without what depends on the clock and the call."""
    claims = json.loads((results / "claims.json").read_text())
    del claims["environment"], claims["command"]
    with (results / "networks.csv").open(newline="") as file:
        networks = [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]
    names = ("claims.csv", "claims.md", "training.csv", "measurements.csv", "figure_1_progress.png")
    return {"claims": claims, "networks": networks} | {name: (results / name).read_bytes() for name in names}


def weights(base: Path) -> dict[str, bytes]:
    return {str(path.relative_to(base)): path.read_bytes() for path in base.glob("*_network_*/rnn_*")}


def command(*arguments: str) -> subprocess.Popen[str]:
    """Start ``tauscope reproduce`` in a process of its own."""
    script = "import sys; from tauscope.cli import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.Popen(
        [sys.executable, "-c", script, "reproduce", *arguments],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")]))},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_killed_anywhere_and_begun_again_it_comes_to_the_same(tiny_reproduction: Path, tmp_path: Path) -> None:
    base = tmp_path / "tiny"
    with command(TINY, "-b", str(base), "--jobs", "2") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("[3/10] "):
                process.kill()
    assert process.returncode == -signal.SIGKILL
    assert 3 <= len(list(base.glob("*_network_*"))) < 10
    assert not (base / "results").exists()
    assert main(["reproduce", TINY, "-b", str(base), "--jobs", "2"]) == 0
    assert came_to(base / "results") == came_to(tiny_reproduction / "results")
    assert weights(base) == weights(tiny_reproduction)


def test_told_to_stop_it_saves_and_says_how_to_go_on(tmp_path: Path) -> None:
    base = tmp_path / "long"
    runs = [base / f"{name}_parity_size_8_network_1" for name in ("cumulative", "single")]
    with command("tiny_paper:LONG", "-b", str(base), "--jobs", "2") as process:
        deadline = time.monotonic() + 120
        while not all((run / "rnn_init").exists() for run in runs) and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM
    again = f"tauscope reproduce tiny_paper:LONG --scale quick --base_path {base} --jobs 2"
    assert out.splitlines()[-1] == f"stopped by SIGTERM, all saved; go on: {again}"
    for run in runs:
        state, _ = load_state(run)
        assert state is not None
        assert state["step"] > 0
        assert not is_locked(run)
    assert not (base / "results").exists()
    assert len(list(base.glob("*_network_2"))) == 0


def test_what_is_printed_when_all_is_done(
    tiny_reproduction: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    assert main(["reproduce", TINY, "-b", str(tiny_reproduction), "-o", str(output), "--jobs", "2"]) == 0
    printed = capsys.readouterr()
    assert "10 of 10 networks are trained and measured already" in printed.out
    (row,) = [line for line in printed.out.splitlines() if "radius > 0" in line]
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert cells[:3] == ["", "radius > 0", "0.96"]
    assert cells[-1] == "✓ holds"
    assert "C4 cannot be judged at this scale: needs a night" in printed.out
    assert f"wrote {output / 'index.html'}" in printed.out
    assert printed.err.startswith("tauscope: error: figure_3_undrawable cannot be drawn")
    assert came_to(output) == came_to(tiny_reproduction / "results")


def test_failed_trainings_give_a_table_and_code_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "tiny_paper:BROKEN", "-b", str(tmp_path), "--jobs", "2"]) == 3
    printed = capsys.readouterr()
    lines = [line for line in printed.out.splitlines() if line.startswith("[")]
    assert len(lines) == 4
    assert sum("missing: training diverged at epoch 1" in line for line in lines) == 2
    errors = printed.err.splitlines()
    assert len(errors) == 4
    assert errors[2].startswith("tauscope: error: single 1 is missing: training diverged at epoch 1, step ")
    claims = json.loads((tmp_path / "results" / "claims.json").read_text())
    (claim,) = claims["claims"]
    assert (claim["verdict"], claim["findings"][0]["n"]) == ("missing", "2 + 0")
    assert set(claims["missing"]) == {"multi 1", "multi 2", "single 1", "single 2"}


def test_a_mistake_in_a_paper_is_named_and_the_rest_is_written(
    tiny_reproduction: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    line = ["reproduce", "tiny_paper:MISTAKEN", "-b", str(tiny_reproduction), "-o", str(output), "--jobs", "2"]
    assert main(line) == 3
    printed = capsys.readouterr()
    assert "10 of 10 networks are trained and measured already" in printed.out
    _, claim, figure = printed.err.splitlines()
    where = [function.__code__.co_firstlineno + 1 for function in (tiny_paper._misspelt, tiny_paper._misdrawn)]
    why = [
        f"cannot be judged: KeyError: 'mutli' (tiny_paper.py, line {where[0]})",
        f"cannot be drawn: ZeroDivisionError: mean of 5 conditions (tiny_paper.py, line {where[1]})",
    ]
    assert claim == f"tauscope: error: claim C0 {why[0]}"
    assert figure == f"tauscope: error: figure figure_0_misdrawn {why[1]}"
    written = json.loads((output / "claims.json").read_text())
    assert written["errors"] == {"claim C0": why[0], "figure figure_0_misdrawn": why[1]}
    assert (written["claims"][0]["verdict"], written["claims"][1]["verdict"]) == ("error", "holds")
    assert "claim C0" in (output / "index.html").read_text()
    rest = {path.name for path in output.iterdir()}
    assert rest == {path.name for path in (tiny_reproduction / "results").iterdir()}


def test_a_dry_run_says_what_would_be_done_and_does_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", TINY, "--dry-run", "--cell", "lstm", "--networks", "3", "--jobs", "2"]) == 0
    out = capsys.readouterr().out
    assert "cost: seconds" in out
    assert "9 networks, 2 at a time, in reproductions/tiny-quick-lstm; results in" in out
    assert "about cell gru, not lstm" in out
    assert "C4 cannot be judged at this scale: needs a night" in out
    assert list(tmp_path.iterdir()) == []


def test_without_a_paper_all_are_listed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(papers, "PAPERS", {"tiny": TINY})
    monkeypatch.setattr("tauscope.cli.reproduce.PAPERS", {"tiny": TINY})
    assert main(["reproduce"]) == 0
    out = capsys.readouterr().out
    assert "tiny: Tiny networks" in out
    (quick,) = [line for line in out.splitlines() if "quick" in line]
    assert [cell.strip() for cell in quick.strip("│").split("│")] == ["quick", "2", "seconds", "C4"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["emergent-timescale"], "did you mean 'emergent-timescales'"),
        ([TINY, "--scale", "quik"], "did you mean 'quick'"),
        ([TINY, "--cell", "grru"], "did you mean 'gru'"),
        ([TINY, "--task", "dsm"], "did you mean 'dms'"),
        ([TINY, "--networks", "0"], "networks is 0: expected at least 1"),
        ([TINY, "--jobs", "0"], "jobs is 0: expected at least 1"),
        ([TINY, "--seed", "-1"], "--seed"),
        ([TINY, "--device", "warp"], "device 'warp' cannot be used here"),
        ([TINY, "--scal", "quick"], "did you mean '--scale'"),
        ([TINY, "-o", "foreign"], "holds index.html but no claims.json"),
        ([TINY, "-o", "foreign/index.html"], "foreign/index.html is a file: expected a folder"),
        ([TINY, "-b", "foreign/index.html/base"], "foreign/index.html is a file: expected a folder"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "index.html").write_text("mine")
    assert main(["reproduce", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("tauscope: error: ")
    assert said in line
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["foreign", "index.html"]


def test_numbers_that_fail_on_a_result_cost_their_row_alone(tiny_reproduction: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    line = ["reproduce", "tiny_paper:RENAMED", "-b", str(tiny_reproduction), "-o", str(output), "--jobs", "2"]
    assert main(line) == 0
    rows = list(csv.DictReader((output / "measurements.csv").read_text().splitlines()))
    failed = [row for row in rows if row["measurement"] == "size"]
    assert {row["condition"] for row in failed} == {"multi", "gated"}
    assert all(row["quantity"].startswith("no numbers: KeyError") and row["value"] == "nan" for row in failed)
    assert all(row["value"] != "nan" for row in rows if row["measurement"] == "connectivity")


def test_a_paper_can_train_a_task_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = str(Path(__file__).parents[2] / "docs" / "examples")
    monkeypatch.syspath_prepend(examples)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([examples, os.environ.get("PYTHONPATH", "")]))
    assert main(["reproduce", "tiny_paper:OWN", "-b", str(tmp_path), "--jobs", "2"]) == 0
    assert "✓ holds" in capsys.readouterr().out
    claims = json.loads((tmp_path / "results" / "claims.json").read_text())
    assert claims["claims"][0]["findings"][0]["n"] == "2"
    assert main(["reproduce", "tiny_paper:OWN", "-b", str(tmp_path), "--jobs", "2"]) == 0
    assert "2 of 2 networks are trained and measured already" in capsys.readouterr().out


# --- SLURM ------------------------------------------------------------------------------------------------------------


def test_a_dry_run_prints_the_script_of_the_networks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", str(tmp_path))
    flags = ["--slurm", "--dry-run", "--time", "90m", "--jobs", "3", "--sbatch", "account=me"]
    assert main(["reproduce", TINY, "-b", str(tmp_path / "base"), *flags]) == 0
    out = capsys.readouterr().out
    for option in ("time=90", "array=0-9%3", "account=me", "job-name=base"):
        assert f"#SBATCH --{option}\n" in out
    assert not (tmp_path / "base").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--partition", "gpu"], "--partition is for SLURM: expected --slurm too"),
        (["--slurm", "--memory", "lots"], "memory is 'lots': expected"),
        (["--slurm"], "sbatch is not found: expected a login node of a SLURM cluster, or no --slurm"),
    ],
)
def test_what_slurm_cannot_do_is_refused_in_one_line_and_nothing_is_written(
    flags: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["reproduce", TINY, "-b", str(tmp_path / "base"), *flags]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "base").exists()


def test_a_queued_network_is_trained_and_measured_and_the_rest_is_judged_by_the_same_command(
    tiny_reproduction: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a job does, without a queue: it is pickled, as submitit does, and called."""
    base = shutil.copytree(tiny_reproduction, tmp_path / "tiny")
    shutil.rmtree(base / "results")
    name = "cumulative_parity_size_8_network_2"
    shutil.rmtree(base / name)
    shutil.rmtree(base / "measured" / "quick" / name)
    plan = make_plan(TINY, "quick", base)
    assert incomplete(plan) == [name]
    options = as_sweep(plan).runs[name].to_dict()
    job = QueuedNetwork(str(base / name), options, "cpu", 1, paper=TINY, scale="quick", choice=Choice())
    assert pickle.loads(pickle.dumps(job))() == "finished and measured"
    assert incomplete(plan) == []
    # Nothing is left to be queued: the claims are judged at once, whether there is a SLURM here or not.
    assert main(["reproduce", TINY, "-b", str(base), "--jobs", "2", "--slurm"]) == 0
    theirs, ours = came_to(tiny_reproduction / "results"), came_to(base / "results")
    assert ours["claims"] == theirs["claims"]
    assert ours["measurements.csv"] == theirs["measurements.csv"]
    capsys.readouterr()


def test_a_paper_whose_task_needs_a_package_that_is_missing_is_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    base = tmp_path / "runs"
    arguments = ["reproduce", "closed-loop-control", "--scale", "quick", "-b", str(base)]
    assert main([*arguments, "--dry-run"]) == 0
    assert main(arguments) == 2
    assert "gymnasium is not installed: expected pip install 'tauscope[control]'" in capsys.readouterr().err
    assert not base.exists()
