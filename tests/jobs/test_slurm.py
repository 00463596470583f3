"""What is asked of SLURM, and what a job does with its signals; tests/slurm has a real one."""

from __future__ import annotations

import os
import pickle
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from sweeping import SMALL, result, write
from tauscope.errors import DivergedError, InputError
from tauscope.jobs import slurm
from tauscope.jobs.slurm import QueuedRun, Request, script, submit
from tauscope.jobs.sweep import read_sweep
from tauscope.jobs.training import LEFT_ALONE, go_on
from tauscope.runs.config import config_of
from tauscope.runs.run import Run
from tauscope.runs.survey import FAILED

pytest.importorskip("submitit")

NAME = "cumulative_parity_size_6_network_1"


def flags(text: str) -> dict[str, str]:
    """Return the options of a script for sbatch."""
    return dict(re.findall(r"^#SBATCH --([a-z-]+)=?(.*)$", text, re.MULTILINE))


def test_what_is_asked_for_is_in_the_script(tmp_path: Path) -> None:
    request = Request(
        minutes=90,
        partition="gpu",
        memory="4G",
        cpus=3,
        gpus=1,
        at_a_time=5,
        extra={"account": "x y", "exclusive": True},
    )
    text = script(request, tmp_path / "runs", 12)
    folder = tmp_path / "runs" / ".sweep" / "slurm" / "1"
    assert flags(text) == {
        "account": "'x y'", "array": "0-11%5", "cpus-per-task": "3", "error": f"{folder}/%A_%a_0_log.err", "exclusive": "",
        "gpus-per-node": "1", "job-name": "runs", "mem": "4G", "nodes": "1", "open-mode": "append",
        "output": f"{folder}/%A_%a_0_log.out", "partition": "gpu", "requeue": "", "signal": "USR2@90", "time": "90",
        "wckey": "submitit",
    }  # fmt: skip
    # As many processors for the step as for the job.
    assert re.search(r"^srun .* --cpus-per-task 3 .* -m submitit\.core\._submit ", text, re.MULTILINE)
    assert not (tmp_path / "runs").exists()


def test_what_is_not_asked_for_is_left_to_the_cluster(tmp_path: Path) -> None:
    found = flags(script(Request(), tmp_path, 1))
    assert not {"partition", "mem", "gpus-per-node", "array"} & set(found)
    assert (found["time"], found["cpus-per-task"]) == ("60", "1")
    assert flags(script(Request(extra={"signal": "USR2@300"}), tmp_path, 1))["signal"] == "USR2@300"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"minutes": 0}, "minutes is 0: expected at least 1"),
        ({"cpus": 0}, "cpus is 0: expected at least 1"),
        ({"gpus": -1}, "gpus is -1: expected at least 0"),
        ({"at_a_time": 0}, "at_a_time is 0: expected at least 1"),
        ({"array_size": 0}, "array_size is 0: expected at least 1"),
        ({"memory": "much"}, "memory is 'much': expected a number of megabytes, or such as 4G"),
        ({"partition": "a\nb"}, r"sbatch option partition is 'a\\nb': expected one line"),
        ({"extra": {"account": "a\n#SBATCH --wrap=x"}}, "sbatch option account is .*: expected one line"),
        ({"extra": {"a b": "c"}}, "sbatch option 'a b': expected a name such as account"),
        ({"extra": {"": True}}, "sbatch option '': expected a name such as account"),
        ({"extra": {"time": "3"}}, "sbatch option time is set by tauscope: expected --time"),
        ({"extra": {"array": "0-3"}}, "sbatch option array is set by tauscope: expected --array_size and --jobs"),
        ({"extra": {"signal": "TERM@90"}}, r"sbatch option signal is TERM@90: expected USR2@ and seconds"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Request(**options)


@pytest.mark.parametrize("name", ["100%j", "two\nlines"])
def test_a_folder_that_slurm_would_misread_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be the folder of jobs"):
        script(Request(), tmp_path / name, 2)


def test_without_slurm_nothing_is_submitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    sweep = read_sweep(write(tmp_path / "sweep.toml"), tmp_path / "runs")
    with pytest.raises(InputError, match="sbatch is not found: expected a login node of a SLURM cluster"):
        submit(Request(), sweep, list(sweep.runs), "cpu", pytest.fail)
    assert not (tmp_path / "runs").exists()


def test_without_submitit_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(InputError, match=r"submitit is not installed: expected pip install 'tauscope\[slurm\]'"):
        script(Request(), tmp_path, 2)


# A cluster that writes down what it is given, and refuses the partition "full".
SBATCH = """#!/bin/sh
env | sort > {folder}/environment
echo "$@" >> {folder}/submitted
if grep -q 'partition=full' "$@"; then echo "sbatch: error: no room" >&2; echo "sbatch: error: at all" >&2; exit 1; fi
echo "Submitted batch job $(wc -l < {folder}/submitted)"
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sbatch", "srun", "squeue", "scontrol"):
        (folder / name).write_text(SBATCH.format(folder=tmp_path) if name == "sbatch" else "#!/bin/sh\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


@pytest.mark.usefixtures("programs")
def test_more_runs_than_an_array_may_have_are_in_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = read_sweep(write(tmp_path / "sweep.toml", networks={"seeds": [0, 1, 2, 3, 4]}), tmp_path / "runs")
    arrays: list[dict[str, str]] = []
    # What a job would hand on to the jobs that it submits is hidden from them, and there again afterwards.
    monkeypatch.setenv("SLURM_MEM_PER_CPU", "3")
    monkeypatch.setenv("SLURM_CONF", "there")
    submit(Request(array_size=2), sweep, list(sweep.runs), "cpu", arrays.append)
    names = list(sweep.runs)
    assert arrays == [
        {names[0]: "1/1_0", names[1]: "1/1_1"}, {names[2]: "2/2_0", names[3]: "2/2_1"}, {names[4]: "3/3"}
    ]  # fmt: skip
    environment = (tmp_path / "environment").read_text()
    assert "SLURM_MEM_PER_CPU" not in environment
    assert "SLURM_CONF=there" in environment
    assert os.environ["SLURM_MEM_PER_CPU"] == "3"
    logs = sweep.base / ".sweep" / "slurm"
    # Whoever can write there can have code executed.
    assert [(logs / name).stat().st_mode & 0o777 for name in "123"] == [0o700] * 3


@pytest.mark.usefixtures("programs")
def test_what_slurm_refuses_leaves_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    sweep = read_sweep(write(tmp_path / "sweep.toml", networks={"seeds": [0, 1]}), tmp_path / "runs")
    with pytest.raises(InputError, match="SLURM refuses 2 jobs: sbatch: error: no room sbatch: error: at all"):
        submit(Request(partition="full"), sweep, list(sweep.runs), "cpu", pytest.fail)
    assert capfd.readouterr() == ("", "")
    assert [path for path in sweep.base.rglob("*") if path.is_file()] == []


# --- a job ------------------------------------------------------------------------------------------------------------


def queued(folder: Path, **options: Any) -> QueuedRun:
    return QueuedRun(str(folder), config_of(SMALL | {"seed": 0} | options).to_dict(), "cpu", torch.get_num_threads())


@pytest.fixture
def warn(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what lets a job get a signal after its first step."""

    def arrange(number: signal.Signals) -> None:
        def after_a_step(_: object, told: Any) -> None:
            if told.epoch == 0:
                signal.raise_signal(number)

        monkeypatch.setattr(slurm._Log, "__call__", after_a_step)

    return arrange


class Requeued(SystemExit):
    """How a handler leaves a job, as submitit's does."""


@pytest.fixture
def handled(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have a handler of the warning, as submitit has one, that sees what is saved when it is called."""

    def handle(*_: object) -> None:
        raise Requeued

    before = signal.signal(slurm.WARNING, handle)
    monkeypatch.setattr(slurm, "queued_jobs", lambda: {"3_1": "RUNNING", "4_1": "COMPLETING"})
    yield handle
    assert signal.signal(slurm.WARNING, before) is handle


@pytest.mark.usefixtures("handled")
def test_a_job_trains_its_run(tmp_path: Path) -> None:
    assert queued(tmp_path / "run")() == "finished"
    go_on(tmp_path / "alone", config_of(SMALL | {"seed": 0}), "cpu", lambda _: None, lambda: False)
    assert result(tmp_path / "run") == result(tmp_path / "alone")


@pytest.mark.usefixtures("handled")
def test_a_warning_finds_all_saved(tmp_path: Path, warn: Any, capsys: pytest.CaptureFixture[str]) -> None:
    warn(slurm.WARNING)
    with pytest.raises(Requeued):
        queued(tmp_path / "run")()
    # It is not a failure to be put into the queue again.
    assert not (tmp_path / FAILED).exists()
    assert capsys.readouterr().out == "stopped by SIGUSR2 in epoch 1 after step 1, all saved\n"
    with Run(tmp_path / "run", config_of(SMALL | {"seed": 0})) as run:
        _, state, _ = run.begin()
    assert state is not None
    assert (state["epoch"], state["step"]) == (0, 1)


@pytest.mark.usefixtures("handled")
@pytest.mark.parametrize(("job", "goes_on"), [("3", True), ("4", False), ("5", False)])
def test_a_sigterm_is_a_warning_only_where_slurm_means_the_job_to_go_on(
    job: str, goes_on: bool, tmp_path: Path, warn: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", job)
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "1")
    warn(signal.SIGTERM)
    if goes_on:
        with pytest.raises(Requeued):
            queued(tmp_path / "run")()
    else:
        assert queued(tmp_path / "run")() == "stopped by SIGTERM in epoch 1 after step 1, all saved"


@pytest.mark.usefixtures("handled")
def test_a_failure_is_kept_for_status(tmp_path: Path) -> None:
    with pytest.raises(DivergedError):
        queued(tmp_path / "run", lr=1e30)()
    assert (tmp_path / FAILED / "run").read_text().startswith("training diverged at epoch 1, step")
    # Tried again with success, it is forgotten.
    (tmp_path / "run").rename(tmp_path / "old")
    assert queued(tmp_path / "run")() == "finished"
    assert not (tmp_path / FAILED / "run").exists()


@pytest.mark.usefixtures("handled")
def test_a_run_that_another_process_is_training_is_left_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tauscope.jobs.training._POLL", 0.0)
    monkeypatch.setattr(go_on, "__defaults__", (0.0,))
    with Run(tmp_path / "run", config_of(SMALL | {"seed": 0})):
        assert queued(tmp_path / "run")() == LEFT_ALONE


def test_a_job_is_pickled_as_plain_values_and_asks_for_the_same_again(tmp_path: Path) -> None:
    job = queued(tmp_path / "run")
    again = pickle.loads(pickle.dumps(job)).checkpoint()
    assert vars(again.function) == vars(job)
    assert again.args == ()


def test_signals_wait_until_there_is_somebody_to_take_them() -> None:
    program = (
        "import os, signal, sys\n"
        "assert sys.argv[1:] == ['a b']\n"
        "os.kill(os.getpid(), signal.SIGUSR2)\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "from tauscope.jobs.slurm import _warnings\n"
        "with _warnings() as caught:\n"
        "    print(sorted(caught))\n"
    )
    command = [sys.executable, "-c", slurm._PYTHON, "-c", program, "a b"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr) == (f"{sorted([signal.SIGUSR2.value, signal.SIGTERM.value])}\n", "")
