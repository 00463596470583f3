"""A real SLURM of one node on loopback: ``python cluster.py up FOLDER``, ``python cluster.py down FOLDER``.

Everything lies in one folder: configuration, keys, sockets, logs, state. Its processes are found again by their process
numbers there, so that they can be taken down by another process than the one that brought them up.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "squeue", "scancel", "sinfo")
N_CPUS = 2
# Where Debian puts programs that only root runs.
_PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"

# A job's time is up when it is up, a node that is gone is noticed soon, and a job that has to make room is told so some
# time before.
CONF = """\
ClusterName=tauscope
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0,bf_interval=1
ReturnToService=2
SlurmdParameters=config_overrides
SlurmdTimeout=10
KillWait=10
OverTimeLimit=0
JobRequeue=1
MaxArraySize=1001
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=1000 Gres=gpu:1 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=30
PartitionName=urgent Nodes={host} MaxTime=INFINITE State=UP PriorityTier=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
"""


def lacking() -> str:
    """Return why there can be no cluster here, or nothing."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=_PATH) is None]
    if missing:
        return f"{', '.join(missing)} not found: expected Debian's packages slurm-wlm and munge"
    return "" if os.geteuid() == 0 else "a cluster of one's own is run as root"


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Return whether a condition came true in time."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
    return condition()


class Cluster:
    """A controller and a node in a folder.

    Parameters
    ----------
    folder : Path
        Must exist; short, because it holds a socket.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.conf = folder / "slurm.conf"

    def up(self) -> None:
        """Write the configuration and start everything; return once the node takes jobs."""
        for name in ("munge", "state", "spool"):
            (self.folder / name).mkdir(mode=0o755)
        key = self.folder / "munge" / "key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o600)
        host = socket.gethostname().partition(".")[0]
        controller, node = _free_port(), _free_port()
        self.conf.write_text(CONF.format(folder=self.folder, host=host, controller=controller, node=node, cpus=N_CPUS))
        (self.folder / "gres.conf").write_text("Name=gpu File=/dev/null\n")
        munge = self.folder / "munge"
        # fmt: off
        self._run("munged", "--force", "--key-file", str(key), "--socket", str(munge / "socket"),
                  "--pid-file", str(munge / "pid"), "--log-file", str(munge / "log"), "--seed-file", str(munge / "seed"))
        # fmt: on
        self._run("slurmctld", "-f", str(self.conf))
        self.start_node()
        if not wait_for(lambda: "idle" in self.call("sinfo", "-h", "-o", "%T", check=False)):
            raise RuntimeError(f"the node takes no jobs: {self.logs()}")

    def down(self) -> None:
        """End everything that was started, jobs first."""
        with contextlib.suppress(OSError, RuntimeError, subprocess.SubprocessError):
            self.clear()
        for name in ("slurmd.pid", "slurmctld.pid", "munge/pid"):
            self._end(self.folder / name, signal.SIGTERM)

    def clear(self) -> None:
        """Cancel all jobs, and return once they are gone."""
        self.call("scancel", "--user", "root")
        wait_for(lambda: not self.queue(), 30)

    def start_node(self) -> None:
        """Start the node."""
        self._run("slurmd", "-f", str(self.conf))

    def kill_node(self, *, daemon_alone: bool) -> None:
        """Kill the node's daemon, and what it runs too, as a power cut would."""
        self._end(self.folder / "slurmd.pid", signal.SIGKILL)
        for pid in [] if daemon_alone else self.steps():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def queue(self) -> dict[str, str]:
        """Return the states of all jobs in the queue, each task of an array by itself."""
        return dict(line.split() for line in self.call("squeue", "-h", "-r", "-o", "%i %T").splitlines())

    def hurry(self) -> None:
        """Let requeued jobs begin at once; they would wait for two minutes."""
        for line in self.call("squeue", "-h", "-r", "-o", "%i %r").splitlines():
            job, why = line.split()
            if why == "BeginTime":
                self.call("scontrol", "update", f"JobId={job}", "StartTime=now", check=False)

    def steps(self) -> list[int]:
        """Return the processes of all jobs of this cluster, and what watches over them."""
        found = set()
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                environment = (path / "environ").read_bytes().split(b"\0")
                if f"SLURM_CONF={self.conf}".encode() in environment and any(
                    one.startswith(b"SLURM_JOB_ID=") for one in environment
                ):
                    parent = Path("/proc") / re.findall(r"PPid:\s*(\d+)", (path / "status").read_text())[0]
                    watched = (parent / "comm").read_text().startswith("slurmstepd")
                    found |= {int(path.name), int(parent.name)} if watched else {int(path.name)}
        return sorted(found)

    def call(self, *command: str, check: bool = True) -> str:
        """Run a command against this cluster and return what it printed."""
        environment = os.environ | {"SLURM_CONF": str(self.conf), "PATH": _PATH}
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        if check and ended.returncode:
            raise RuntimeError(f"{' '.join(command)}: {ended.stderr.strip()}")
        return ended.stdout.strip()

    def logs(self) -> str:
        """Return the ends of the daemons' logs."""
        logs = [self.folder / name for name in ("slurmctld.log", "slurmd.log", "munge/log")]
        return "\n".join(f"{log}:\n{log.read_text()[-2000:]}" for log in logs if log.exists())

    def _run(self, *command: str) -> None:
        """Start a daemon, which returns once it runs by itself."""
        environment = os.environ | {"SLURM_CONF": str(self.conf), "PATH": _PATH}
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        if ended.returncode:
            raise RuntimeError(f"{command[0]} did not start: {ended.stderr.strip()}\n{self.logs()}")

    def _end(self, pid_file: Path, number: signal.Signals) -> None:
        with contextlib.suppress(OSError, ValueError):
            pid = int(pid_file.read_text())
            os.kill(pid, number)
            wait_for(lambda: not _runs(pid), 20)


def _runs(pid: int) -> bool:
    try:
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


if __name__ == "__main__":
    what, where = sys.argv[1], Path(sys.argv[2]).absolute()
    if why := lacking():
        sys.exit(why)
    cluster = Cluster(where)
    if what == "up":
        where.mkdir(parents=True, exist_ok=True)
        cluster.up()
        print(f"export SLURM_CONF={cluster.conf}")
    else:
        cluster.down()
