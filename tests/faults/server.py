"""Command lines in processes of their own, forked from one that has imported all they need; they can be killed and starved."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Command:
    """A command line, and what happens to its process.

    ``kill_after`` are seconds until ``kill -9``; ``start_after`` seconds until it begins; ``file_size`` the bytes to
    which files can grow; ``memory`` the bytes of address space that it can take beyond those of the server; with
    ``solved`` every epoch solves its stage; ``powerless`` takes from root what other users do not have.
    """

    arguments: tuple[str, ...]
    kill_after: float | None = None
    start_after: float = 0.0
    file_size: int | None = None
    memory: int | None = None
    solved: bool = False
    powerless: bool = False
    folder: str | None = None


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code, negative for a signal; what it printed; seconds; peak memory in kB."""

    code: int
    out: str
    err: str
    seconds: float
    peak: int

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL

    def refused(self, *parts: str) -> bool:
        """Return whether it ended with exit code 2 and one line, in which these parts stand."""
        one_line = self.err.startswith("tauscope: error: ") and self.err.count("\n") == 1
        return self.code == 2 and one_line and all(part in self.err for part in parts)


class Server:
    """Runs commands; those of one call begin together."""

    def __enter__(self) -> Server:
        path = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")]))
        environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from faults.server import serve; serve()"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def run(self, *commands: Command) -> list[Ended]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([asdict(one) for one in commands]) + "\n")
        self._process.stdin.flush()
        return [Ended(*one) for one in json.loads(self._process.stdout.readline())]

    def call(self, *arguments: str | Path, **options: Any) -> Ended:
        """Run one command."""
        (ended,) = self.run(Command(tuple(map(str, arguments)), **options))
        return ended


def serve() -> None:
    """Fork a process for every command of every line of the standard input."""
    import torch

    import tauscope.cli
    import tauscope.measurements.keeping  # noqa: F401

    torch.optim.SGD([torch.zeros(1, requires_grad=True)])  # which imports what takes longest
    for line in sys.stdin:
        commands = [Command(**{**one, "arguments": tuple(one["arguments"])}) for one in json.loads(line)]
        processes = [_Process(one) for one in commands]
        while not min([one.look() for one in processes]):
            time.sleep(0.0005)
        print(json.dumps([one.ended() for one in processes]), flush=True)


class _Process:
    """One command under way."""

    def __init__(self, command: Command) -> None:
        self.command = command
        # Pipes, because the limit on the size of files is also one on what is printed to a file.
        pipes = [os.pipe() for _ in range(2)]
        for _, end in pipes:
            fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, MEGABYTE)
        self.start = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            for target, (_, end) in enumerate(pipes, start=1):
                os.dup2(end, target)
            _work(command)
        for _, end in pipes:
            os.close(end)
        self.pipes = [read for read, _ in pipes]
        self.killed = False
        self.code: int | None = None

    def look(self) -> bool:
        """Kill it if its time has come, and return whether it has ended."""
        if self.code is not None:
            return True
        delay = self.command.kill_after
        if delay is not None and not self.killed and time.monotonic() - self.start >= delay:
            os.kill(self.pid, signal.SIGKILL)
            self.killed = True
        pid, status, usage = os.wait4(self.pid, os.WNOHANG)
        if pid == 0:
            return False
        self.code, self.peak = os.waitstatus_to_exitcode(status), usage.ru_maxrss
        self.seconds = time.monotonic() - self.start
        return True

    def ended(self) -> tuple[object, ...]:
        texts = []
        for pipe in self.pipes:
            with open(pipe, errors="replace") as file:
                texts.append(file.read())
        return self.code, *texts, self.seconds, self.peak


def _work(command: Command) -> None:
    """Run a command in this process and end it."""
    from tauscope.cli import main
    from tauscope.learning import curricula

    code = 1
    try:
        time.sleep(command.start_after)
        if command.solved:
            curricula.Criterion.is_solved = lambda *_: True
        if command.folder is not None:
            os.chdir(command.folder)
        if command.powerless:
            drop_capabilities()
        if command.memory is not None:
            taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (taken + command.memory,) * 2)
        if command.file_size is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (command.file_size,) * 2)
        code = main(list(command.arguments))
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def drop_capabilities() -> None:
    """Let permissions hold for root, too, as they do for its files' owner."""
    version_3 = (ctypes.c_uint32 * 2)(0x20080522, 0)
    nothing = (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None, use_errno=True).capset(version_3, nothing) != 0:
        raise OSError(ctypes.get_errno(), "capset")
