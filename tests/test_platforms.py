"""Systems other than Linux, as far as they can be played here: without what Python offers on Unix alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# Takes away what Windows lacks, after Python's own modules were imported, and does what the rest says.
WINDOWS = """
import asyncio, multiprocessing, os, pathlib, platform, shutil, signal, subprocess, sys, tempfile, threading

for name in ("fcntl", "grp", "pwd", "resource", "termios"):
    sys.modules[name] = None
for name in ("fork", "getuid", "geteuid", "sched_getaffinity", "sync", "fchmod", "O_DIRECTORY", "O_NOFOLLOW", "setsid"):
    delattr(os, name)
for name in ("SIGALRM", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGUSR1", "SIGUSR2", "pthread_sigmask"):
    delattr(signal, name)
multiprocessing.get_all_start_methods = lambda: ["spawn"]
opened = os.open

def no_folders(path, *more, **options):
    if os.path.isdir(path):
        raise PermissionError(13, "Permission denied")
    return opened(path, *more, **options)

os.open = no_folders
os.environ["LOKY_MAX_CPU_COUNT"] = "1"
"""

EVERYTHING = """
import importlib, pkgutil
import tauscope
for name in dir(tauscope):
    getattr(tauscope, name)
for module in pkgutil.walk_packages(tauscope.__path__, "tauscope."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""

COMMANDS = """
from tauscope.cli import main
small = "-nn 4 -s 0 --max-N 3 --epochs 2 --steps-per-epoch 2 --batch-size 2 --test-steps 1 --threads 1"
assert main(["train", *small.split(), "-b", "runs"]) == 0
(run,) = pathlib.Path("runs").iterdir()
(run / "rnn_N2_N2").write_bytes((run / "rnn_init").read_bytes())
assert main(["train", "--resume", str(run), "--epochs", "3"]) == 0
assert main(["status", "runs"]) == 0
assert main(["analyze", "connectivity", str(run), "--last"]) == 0
"""


def do(program: str, folder: Path) -> str:
    command = [sys.executable, "-W", "error", "-c", WINDOWS + program]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_every_module_can_be_imported_on_any_system(tmp_path: Path) -> None:
    do(EVERYTHING, tmp_path)


def test_networks_are_trained_and_measured_on_any_system(tmp_path: Path) -> None:
    told = do(COMMANDS, tmp_path)
    assert "cannot be locked (fcntl is unavailable)" in told
    assert "results (netCDF, CSV, PNG) in" in told
