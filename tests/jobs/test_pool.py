"""Jobs in processes of their own: what comes back from them, whatever they do and however they end."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import chores
from tauscope.errors import InputError
from tauscope.jobs import pool as jobs
from tauscope.jobs.pool import Job, processors, run_jobs


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def is_alive(pid: int) -> bool:
    try:
        # A process that has ended waits there for whoever adopted it.
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_each_job_has_a_process_and_its_share_of_the_threads() -> None:
    told: dict[str, list[object]] = {"a": [], "b": [], "c": []}
    started, ended = list[str](), list[str]()
    outcomes = run_jobs(
        [Job(name, chores.tell, (n,)) for n, name in enumerate(told)],
        2,
        on_start=lambda job: started.append(job.name),
        on_message=lambda job, message: told[job.name].append(message),
        on_end=lambda job, _: ended.append(job.name),
    )
    assert told == {"a": [], "b": [0], "c": [0, 1]}
    assert started == ["a", "b", "c"]
    assert sorted(ended) == ["a", "b", "c"]
    values = [one.value for one in outcomes.values()]
    assert len({pid for pid, *_ in values} | {os.getpid()}) == 4
    assert {(threads, deaf) for _, threads, deaf in values} == {(jobs.share(2), True)}
    assert [one.problem for one in outcomes.values()] == ["", "", ""]


def test_what_harms_one_job_is_told_in_a_line_and_harms_no_other() -> None:
    outcomes = run_jobs(
        [
            Job("refused", chores.refuse),
            Job("stumbled", chores.stumble),
            Job("killed", chores.die, (signal.SIGKILL,)),
            Job("crashed", chores.die, (signal.SIGSEGV,)),
            Job("left", chores.leave),
            Job("fine", chores.tell, (0,)),
        ],
        2,
    )
    assert {name: one.problem for name, one in outcomes.items()} == {
        "refused": "tau is 0.5: expected at least 1",
        "stumbled": f"KeyError: 'head' (chores.py, line {chores.stumble.__code__.co_firstlineno + 1})",
        "killed": "killed by signal 9 (SIGKILL, out of memory?)",
        "crashed": "killed by signal 11 (SIGSEGV)",
        "left": "ended with exit code 5 before it was done",
        "fine": "",
    }


def test_as_many_jobs_at_a_time_as_asked_for(tmp_path: Path) -> None:
    files = [tmp_path / str(i) for i in range(4)]
    # Each waits for its partner, which begins beside it or never.
    partners = [files[i ^ 1] for i in range(4)]
    running, most = 0, 0

    def count(change: int) -> None:
        nonlocal running, most
        running += change
        most = max(most, running)

    outcomes = run_jobs(
        [Job(mine.name, chores.meet, (mine, other)) for mine, other in zip(files, partners, strict=True)],
        2,
        on_start=lambda _: count(1),
        on_end=lambda *_: count(-1),
    )
    assert [one.value for one in outcomes.values()] == [True] * 4
    assert most == 2


def test_a_stop_lets_jobs_save_and_begins_no_other(tmp_path: Path) -> None:
    told: list[str] = []
    outcomes = run_jobs(
        [Job(name, chores.save_when_told, (tmp_path,)) for name in "abc"],
        2,
        on_message=lambda job, _: told.append(job.name),
        stop=lambda: len(told) == 2,
    )
    assert outcomes == {}
    assert sorted(told) == ["a", "b"]
    ends = sorted(path.suffix for path in tmp_path.iterdir())
    assert ends == [".saved", ".saved", ".started", ".started"]


def test_a_job_that_does_not_stop_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "PATIENCE", 0.3)
    told: list[str] = []
    start = time.monotonic()
    outcomes = run_jobs(
        [Job("stubborn", chores.ignore_all)], 1, on_message=lambda *_: told.append(""), stop=lambda: bool(told)
    )
    assert outcomes == {}
    assert time.monotonic() - start < 30


def test_jobs_save_and_end_when_the_process_that_runs_them_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, chores.__file__, str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        begun = wait_for(lambda: len(list(tmp_path.glob("*.started"))) == 2)
        process.kill()
    assert begun
    assert wait_for(lambda: len(list(tmp_path.glob("*.saved"))) == 2)
    pids = [int(path.stem) for path in tmp_path.glob("*.started")]
    assert len(pids) == 2
    assert wait_for(lambda: not any(map(is_alive, pids)))


def test_the_processors_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "processors", lambda: 6)
    monkeypatch.setattr(jobs.torch, "get_num_threads", lambda: 4)
    assert [jobs.share(n) for n in (1, 2, 3, 4, 7)] == [4, 3, 2, 1, 1]


LIMITS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "SLURM_CPUS_PER_TASK")


@pytest.mark.skipif(processors() < 2, reason="a limit cannot be told on one processor")
@pytest.mark.parametrize(
    ("variables", "before", "threads"),
    [
        ({}, "pass", "2"),
        ({"OMP_NUM_THREADS": "1"}, "pass", "1"),
        ({"MKL_NUM_THREADS": "1"}, "pass", "1"),
        ({"SLURM_CPUS_PER_TASK": "1"}, "pass", "1"),
        ({"SLURM_CPUS_PER_TASK": "many"}, "pass", "2"),
        ({"LOKY_MAX_CPU_COUNT": "1"}, "pass", "1"),
        ({}, "os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1])", "1"),
        ({}, "torch.set_num_threads(1)", "1"),
    ],
)
def test_children_keep_to_the_limits_of_the_user(variables: dict[str, str], before: str, threads: str) -> None:
    program = f"import os, torch; {before}; from tauscope.jobs.pool import share; print(min(2, share(1)))"
    rest = {name: value for name, value in os.environ.items() if name not in LIMITS}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=rest | variables, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [threads]


def test_no_process_at_a_time_is_refused() -> None:
    with pytest.raises(InputError, match="number of jobs at a time is 0: expected at least 1"):
        run_jobs([], 0)


def test_messages_of_a_burst_arrive_in_their_order() -> None:
    told: list[int] = []
    run_jobs([Job("burst", chores.tell, (5000,))], 1, on_message=lambda _, message: told.append(message))
    assert told == list(itertools.islice(itertools.count(), 5000))


def test_a_script_without_a_main_guard_is_told_in_a_line(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import torch, tauscope as ts\n"
        "from tauscope.cli import main\n"
        "model = ts.LeakyRNN(4, n_heads=1, generator=torch.Generator().manual_seed(0))\n"
        "ts.save(model, 'network', task=ts.Parity(2))\n"
        "print(main(['analyze', 'connectivity', 'dimensionality', 'network', '--jobs', '2']))\n"
    )
    ended = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Traceback" not in ended.stderr
    assert ended.stderr.count("expected what starts processes under if __name__ == '__main__':") == 2
