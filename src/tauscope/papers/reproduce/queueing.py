"""A reproduction on SLURM: a job for every network, which trains it, measures it, and puts itself back into the queue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tauscope.jobs.slurm import QueuedRun
from tauscope.jobs.sweep import Sweep
from tauscope.jobs.training import Progress, note_failure
from tauscope.papers.reproduce.planning import Choice, Plan, make_plan
from tauscope.papers.reproduce.running import look, work
from tauscope.runs.environment import environment


class QueuedNetwork(QueuedRun):
    """A network of a reproduction as a job of submitit, which pickles it: plain values alone.

    Parameters
    ----------
    folder, options, device, threads
        As in `tauscope.jobs.slurm.QueuedRun`.
    paper, scale : str
        Names of the paper and its scale.
    choice : Choice
        Choice of the user.
    """

    def __init__(
        self, folder: str, options: dict[str, Any], device: str, threads: int, *, paper: str, scale: str, choice: Choice
    ) -> None:
        super().__init__(folder, options, device, threads)
        self.paper = paper
        self.scale = scale
        self.choice = choice

    def _go_on(self, folder: Path) -> str:
        end = super()._go_on(folder)
        if end != "finished":
            return end
        plan = make_plan(self.paper, self.scale, folder.parent, self.choice)
        network = next(network for network in plan.networks if network.folder.name == folder.name)
        problems = work(_tell, network, self.device)
        note_failure(folder, "; ".join(problems))
        return f"finished and measured, but for {'; '.join(problems)}" if problems else "finished and measured"


def _tell(told: Progress) -> None:
    print(told.doing, flush=True)


def as_sweep(plan: Plan) -> Sweep:
    """Return the networks of a plan as runs of a sweep, by the names of their folders."""
    return Sweep(plan.base, {network.folder.name: network.config for network in plan.networks})


def incomplete(plan: Plan) -> list[str]:
    """Return the names of the run folders of the networks that are not trained and measured to the end."""
    here = environment("cpu")
    return [network.folder.name for network in plan.networks if not look(network, here).complete]
