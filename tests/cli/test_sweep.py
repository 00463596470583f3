"""``tauscope sweep`` as a user runs it: begun, killed, begun again, twice at once, and on a cluster that is not there."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.live import Live

from sweeping import SMALL, result, write
from tauscope.cli import main
from tauscope.cli import status as status_command
from tauscope.jobs.training import go_on
from tauscope.runs.config import config_of
from tauscope.runs.folder import METRICS, is_locked, read_metrics
from tauscope.runs.run import Run
from tauscope.runs.survey import Sight, read_plan

NAMES = [f"cumulative_parity_size_6_network_{i}" for i in (1, 2, 3, 4)]


def alone(folder: Path, **options: Any) -> dict[str, Any]:
    """Return what a run gives that nothing interrupts."""
    go_on(folder, config_of(SMALL | options), "cpu", lambda _: None, lambda: False)
    return result(folder)


def table(text: str) -> dict[str, list[str]]:
    """Return the cells of every row by the name of its run; of cells of several lines, the first."""
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in text.splitlines() if line.startswith("│")]
    return {row[0]: row[1:] for row in rows if row[0]}


def status(base: Path, capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[dict[str, list[str]], str]:
    """Return the table and the line below it."""
    capsys.readouterr()
    assert main(["status", str(base), *flags]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return table(captured.out), captured.out.splitlines()[-1]


def wait_for(condition: Callable[[], bool], seconds: float = 120.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def test_a_sweep_trains_what_is_left_and_says_what_failed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = tmp_path / "runs"
    runs = [{}, {"network_number": 2, "lr": 1e30}, {"network_number": 3}]
    file = write(tmp_path / "sweep.toml", base_path=str(base), options=SMALL | {"seed": 0}, runs=runs)
    assert main(["sweep", str(file), "--jobs", "2"]) == 3
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0] == "0 of 3 runs finished already"
    ends = sorted(re.sub(r"^\[\d/3\] | \(\d+:\d\d\)$", "", line) for line in lines[1:])
    assert [ends[0], ends[2]] == [f"{NAMES[0]}: finished", f"{NAMES[2]}: finished"]
    assert ends[1].startswith(f"{NAMES[1]}: failed: training diverged at epoch 1, step")
    (error,) = captured.err.splitlines()
    assert error.startswith(f"tauscope: error: {NAMES[1]} failed: training diverged at epoch 1, step")
    # Each run has a folder, and nothing else is there.
    assert {path.name for path in base.iterdir()} == {*NAMES[:3], "sweep.json", ".sweep"}
    rows, summary = status(base, capsys)
    assert {name: row[0] for name, row in rows.items()} == {
        NAMES[0]: "finished", NAMES[1]: "failed", NAMES[2]: "finished"
    }  # fmt: skip
    assert rows[NAMES[1]][3].startswith("training diverged at epoch 1")
    assert summary == "3 runs: 2 finished, 1 failed"
    # With another option, the failed run is another run.
    write(file, base_path=str(base), options=SMALL | {"seed": 0}, runs=[*runs[:1], *runs[2:]])
    assert main(["sweep", str(file)]) == 0
    assert capsys.readouterr().out == "2 of 2 runs finished already\n"


def test_more_epochs_take_finished_runs_further(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = tmp_path / "runs"
    for epochs in (1, 3):
        options = SMALL | {"seed": 0, "epochs": epochs}
        file = write(tmp_path / "sweep.toml", base_path=str(base), options=options)
        assert main(["sweep", str(file)]) == 0
        assert status(base, capsys)[0][NAMES[0]][:3] == ["finished", "-", f"{epochs}/{epochs}"]
    weights = [one["state"]["model"] for one in (result(base / NAMES[0]), alone(tmp_path / "alone", seed=0, epochs=3))]
    assert weights[0] == weights[1]


def begin(file: Path, *flags: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tauscope", "sweep", str(file), *flags]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_sweep_that_was_ended_goes_on_exactly(
    number: signal.Signals, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tmp_path / "runs"

    def ask(epochs: int) -> Path:
        options = SMALL | {"epochs": epochs}
        return write(tmp_path / "sweep.toml", base_path=str(base), options=options, networks={"seeds": [0, 1, 2]})

    file = ask(10**6)
    with begin(file, "--jobs", "2") as process:
        under_way = wait_for(lambda: all((base / name / METRICS).exists() for name in NAMES[:2]))
        rows, summary = status(base, capsys)
        process.send_signal(number)
        out, err = process.communicate()
    assert under_way
    assert [rows[name][0] for name in NAMES[:3]] == ["running", "running", "pending"]
    assert summary.startswith("3 runs: 1 pending, 2 running")
    assert err == ""
    again = ["sweep", str(file), "--jobs", "2"]
    if number == signal.SIGINT:
        assert process.returncode == 130
        stopped = re.fullmatch(r"stopped by SIGINT, all saved; go on: (.*)", out.splitlines()[-1])
        assert stopped
        assert shlex.split(stopped[1]) == ["tauscope", *again]
        assert [status(base, capsys)[0][name][0] for name in NAMES[:3]] == ["stopped", "stopped", "pending"]
    else:
        assert process.returncode == -signal.SIGKILL
        # What it had started ends by itself.
        assert wait_for(lambda: not any(is_locked(base / name) for name in NAMES[:2]))
    reached = max(len(read_metrics(base / name)) for name in NAMES[:2])
    ask(reached + 1)
    assert main(again) == 0
    assert status(base, capsys)[1] == "3 runs: 3 finished"
    for seed, name in enumerate(NAMES[:3]):
        expected = alone(tmp_path / name, epochs=reached + 1, network_number=seed + 1, seed=seed)
        assert result(base / name) == expected


def test_what_a_killed_sweep_leaves_running_is_waited_for(tmp_path: Path) -> None:
    base = tmp_path / "runs"
    file = write(tmp_path / "sweep.toml", base_path=str(base))
    # The process of a killed sweep, which is saving its state yet.
    program = (
        "import pathlib, sys, time\n"
        "from tauscope.runs.config import config_of\n"
        "from tauscope.runs.run import Run\n"
        f"with Run(pathlib.Path({str(base / NAMES[0])!r}), config_of({SMALL!r})) as run:\n"
        "    run.begin()\n"
        "    print('begun', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as orphan:
        assert orphan.stdout is not None
        assert orphan.stdin is not None
        assert orphan.stdout.readline() == b"begun\n"
        threading.Timer(1.0, orphan.stdin.close).start()
        assert main(["sweep", str(file)]) == 0
    assert (base / NAMES[0] / METRICS).exists()


def test_two_sweeps_at_once_share_the_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = tmp_path / "runs"
    file = write(tmp_path / "sweep.toml", base_path=str(base), networks={"seeds": [0, 1, 2, 3]})
    with begin(file, "--jobs", "1") as other:
        assert main(["sweep", str(file), "--jobs", "1"]) == 0
        _, err = other.communicate()
    assert (other.returncode, err) == (0, "")
    assert status(base, capsys)[1] == "4 runs: 4 finished"
    for seed, name in enumerate(NAMES):
        assert result(base / name) == alone(tmp_path / name, network_number=seed + 1, seed=seed)


def test_a_dry_run_prints_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = tmp_path / "runs"
    file = write(tmp_path / "sweep.toml", base_path=str(base), grid={"task": ["parity", "dms"], "lr": [0.5]})
    assert main(["sweep", str(file), "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert table(out) == {
        NAMES[0]: ["pending", "task parity"], NAMES[0].replace("parity", "dms"): ["pending", "task dms"]
    }  # fmt: skip
    assert "2 runs in " in out
    shared = ", ".join(f"{key} {value}" for key, value in (SMALL | {"lr": 0.5}).items())
    assert out.splitlines()[-1] == f"all: {shared}"
    assert not base.exists()
    config = config_of(SMALL | {"lr": 0.5})
    with Run(base / NAMES[0], config) as run:
        run.begin()
        main(["sweep", str(file), "--dry-run"])
    assert table(capsys.readouterr().out)[NAMES[0]] == ["running", "task parity"]


def test_a_dry_run_prints_the_script_where_there_is_no_slurm(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", str(tmp_path))
    base = tmp_path / "runs"
    file = write(tmp_path / "sweep.toml", base_path=str(base), networks={"seeds": [0, 1, 2]})
    flags = "--slurm --dry-run --partition gpu --time 90m --memory 2G --cpus 4 --gpus 1 --jobs 2 --sbatch account=me"
    assert main(["sweep", str(file), *flags.split(), "--sbatch", "exclusive"]) == 0
    out = capsys.readouterr().out
    for option in ("partition=gpu", "time=90", "mem=2G", "cpus-per-task=4", "gpus-per-node=1", "array=0-2%2",
                   "account=me", "exclusive", "requeue", "signal=USR2@90"):  # fmt: skip
        assert f"#SBATCH --{option}\n" in out
    assert not base.exists()
    assert main(["sweep", str(file), "--slurm", "--time", "61s", "--dry-run"]) == 0
    assert "#SBATCH --time=2\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--jobs", "0"], "jobs is 0: expected at least 1"),
        (["--partition", "gpu"], "--partition is for SLURM: expected --slurm too"),
        (["--time", "3h"], "--time is for SLURM: expected --slurm too"),
        (["--sbatch", "a=b"], "--sbatch is for SLURM: expected --slurm too"),
        (["--slurm", "--jobs", "0"], "at_a_time is 0|jobs is 0: expected at least 1"),
        (["--slurm", "--time", "soon"], "--time: invalid duration"),
        (["--slurm", "--time", "0"], "minutes is 0: expected at least 1"),
        (["--slurm", "--memory", "lots"], "memory is 'lots': expected"),
        (["--slurm", "--sbatch", "output=x"], "sbatch option output is set by tauscope: expected its own log"),
        (["--slurm"], "sbatch is not found: expected a login node of a SLURM cluster, or no --slurm"),
        (["--device", "tpu"], "device 'tpu' cannot be used here"),
        (["--partion", "gpu"], "unknown argument '--partion': did you mean '--partition'"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line_and_nothing_is_written(
    flags: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    base = tmp_path / "runs"
    file = write(tmp_path / "sweep.toml", base_path=str(base))
    assert main(["sweep", str(file), *flags]) == 2
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert re.search(message, line)
    assert captured.out == ""
    assert not base.exists()


def test_a_wrong_file_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "sweep.toml", grid={"taks": ["parity"]})
    assert main(["sweep", str(file), "-b", str(tmp_path / "runs")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"tauscope: error: {file}: option 'taks' is unknown: expected one of ")
    assert line.endswith("did you mean 'task'?")
    assert not (tmp_path / "runs").exists()


# --- watching ---------------------------------------------------------------------------------------------------------


def test_a_watch_ends_when_nothing_is_to_come(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    last = {"stage": "N2_N2", "Ns": [2], "accuracy": [0.5], "steps_per_second": 10.0, "seconds": 3.0}

    def seen(state: str, epoch: int, **about: Any) -> Sight:
        return Sight("a", state, epoch=epoch, epochs=9, record=last, changed=time.time(), planned=True, **about)

    looks = [
        [Sight("a", "pending", epochs=9, planned=True)],
        [seen("running", 4), Sight("b", "finished", epoch=5)],
        [seen("stopped", 4)],
        [seen("stopped", 4, problem="job 7_0 is not in the queue any more")],
    ]
    shown: list[Any] = []
    monkeypatch.setattr(status_command, "survey", lambda _: (looks[max(len(shown) - 1, 0)], []))
    monkeypatch.setattr(status_command, "_EVERY", 0.0)
    monkeypatch.setattr(status_command, "_LEISURE", 0)
    update = Live.update
    monkeypatch.setattr(Live, "update", lambda live, what, **how: (shown.append(what), update(live, what, **how)))
    shown.append("the look before it begins")
    rows, summary = status(tmp_path, capsys, "--watch")
    assert len(shown) == 1 + len(looks)
    assert rows["a"][:3] == ["stopped", "-", "4/9"]
    assert rows["a"][3].startswith("job 7_0 is not in the queue")
    assert summary == "1 run: 1 stopped"


def test_the_time_that_is_left_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    last = {"stage": "N2_N2", "Ns": [2], "accuracy": [0.5], "steps_per_second": 10.0, "seconds": 60.0}
    running = Sight("a", "running", epoch=4, epochs=9, solved="7", record=last, changed=time.time() - 65, planned=True)
    waiting = Sight("b", "pending", epochs=9, planned=True)
    monkeypatch.setattr(status_command, "survey", lambda _: ([running, waiting], ["a plan cannot be read"]))
    rows, summary = status(tmp_path, capsys)
    assert rows["a"] == ["running", "7", "4/9", "N 2: 50.0 %", "10.0", "1:05 ago", "about 5:00"]
    assert rows["b"] == ["pending", "-", "0/9", "", "", "", ""]
    assert re.fullmatch(r"2 runs: 1 pending, 1 running, about 14:00 left, until \w{3} \d\d:\d\d", summary)


def test_a_screen_shows_first_what_is_going_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sights = [Sight(f"run{i}", state) for i, state in enumerate(["finished", "damaged", "running", "failed"] * 5)]
    monkeypatch.setattr(status_command, "_FRAME", Console(width=160).height - 10)
    looks = iter([sights, sights, [replace(one, state="finished") for one in sights]])
    monkeypatch.setattr(status_command, "survey", lambda _: (next(looks), []))
    monkeypatch.setattr(status_command, "_EVERY", 0.0)
    monkeypatch.setattr(status_command, "_LEISURE", 0)
    shown: list[Any] = []
    monkeypatch.setattr(Live, "update", lambda _, what, **__: shown.append(what))
    main(["status", str(tmp_path), "--watch"])
    capsys.readouterr()
    (rows, _) = shown[0].renderables
    assert "\n".join(one.plain for one in rows.columns[0].cells).split("\n") == [
        *(f"run{i}" for i in range(2, 20, 4)),
        *(f"run{i}" for i in range(3, 20, 4)),
    ]


def test_a_watch_is_ended_by_a_signal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tmp_path / "runs"
    file = write(tmp_path / "sweep.toml", base_path=str(base))
    assert main(["sweep", str(file)]) == 0
    write(tmp_path / "sweep.toml", base_path=str(base), networks={"numbers": [1, 2]})
    looked = 0
    survey = status_command.survey

    def look(folder: Path) -> Any:
        nonlocal looked
        looked += 1
        if looked == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return survey(folder)

    monkeypatch.setattr(status_command, "survey", look)
    monkeypatch.setattr(status_command, "_EVERY", 0.01)
    monkeypatch.setattr(status_command, "_LEISURE", 0)
    (base / "sweep.json").write_text((base / "sweep.json").read_text().replace("network_1", "network_2"))
    assert list(read_plan(base)) == [NAMES[1]]
    rows, summary = status(base, capsys, "--watch")
    assert looked == 3
    assert {name: row[0] for name, row in rows.items()} == {NAMES[0]: "finished", NAMES[1]: "pending"}
    assert summary == "2 runs: 1 finished, 1 pending"
