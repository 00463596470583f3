"""Doing what was planned: each network is trained and measured by a job of its own, and found again on disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import xarray as xr

from tauscope.errors import DamagedFileError, InputError
from tauscope.jobs.pool import Job, Outcome, reason, run_jobs
from tauscope.jobs.signals import collect_signals
from tauscope.jobs.training import Progress, go_on
from tauscope.measurements.keeping import Asked, measure
from tauscope.papers.reproduce.planning import Network, Plan
from tauscope.papers.reproduce.studying import make_study
from tauscope.papers.vocabulary import Results, Trained
from tauscope.runs.environment import environment


@dataclass(frozen=True)
class Found:
    """What is on disk of a network.

    Attributes
    ----------
    records : list of dict
        Of the epochs that are asked for.
    finished : bool
        Whether those are all.
    measured : dict
        Current results, by measurement and N.
    complete : bool
        Whether all that is to be measured was.
    """

    records: list[dict[str, Any]]
    finished: bool
    measured: dict[tuple[str, int], xr.Dataset]
    complete: bool


def look(network: Network, here: dict[str, Any]) -> Found:
    """Return what is on disk of a network; ``here`` is the `tauscope.runs.environment.environment`."""
    try:
        records, finished = network.records()
        asked = network.asked(records) if finished else {}
        measured = {key: kept for key, one in asked.items() if (kept := _current(one, here)) is not None}
    except (LookupError, TypeError, ValueError):
        # Damaged records: the job, which needs them, says so.
        return Found([], False, {}, False)
    return Found(records, finished, measured, finished and len(measured) == len(asked))


def _current(asked: Asked, here: dict[str, Any]) -> xr.Dataset | None:
    """Return a current result; a damaged one is none, because these results are measured again at will."""
    try:
        return asked.current(here) if asked.checkpoint.exists() else None
    except DamagedFileError:
        return None


def work(send: Callable[[Progress], None], network: Network, device: str) -> list[str]:
    """Train a network and measure it, as far as that was not done yet; a job of `tauscope.jobs.pool`.

    Parameters
    ----------
    send : callable
        Takes a `Progress`.
    network : Network
        What to do.
    device : str
        Where to compute.

    Returns
    -------
    list of str
        Measurements that could not be made, with the reasons.

    Raises
    ------
    InputError
        If the run cannot be trained.
    DivergedError
        If its training diverged.
    """
    records, finished = network.records()
    if not finished:
        _train(send, network, device)
        records, _ = network.records()
    here, epochs, problems = environment(device), network.config.recipe().epochs, []
    for (what, N), asked in network.asked(records).items():
        if _current(asked, here) is None:
            send(Progress(len(records), epochs, f"measuring {what.replace('_', ' ')} at N = {N}"))
            try:
                cell = network.config.cell if ":" in network.config.cell else None
                measure(asked, here, device=device, cell=cell)
            except Exception as error:  # the other measurements still get their results
                problems.append(f"{what} at N = {N}: {reason(error)}")
    return problems


def _train(send: Callable[[Progress], None], network: Network, device: str) -> None:
    def tell(said: Progress | str) -> None:
        if isinstance(said, Progress):
            send(said)

    with collect_signals(patient=True) as caught:
        training = go_on(network.folder, network.config, device, tell, lambda: bool(caught))
    if training is None:
        raise InputError(f"{network.folder} is being written by another process: expected a run of one's own")
    if not training.finished:
        raise InputError(f"stopped by a signal in epoch {training.epoch + 1}, all saved: expected to be left alone")


def run_plan(
    plan: Plan,
    n_processes: int,
    *,
    device: str = "cpu",
    on_plan: Callable[[int, int], None] = lambda *_: None,
    on_start: Callable[[Network], None] = lambda _: None,
    on_progress: Callable[[Network, Progress], None] = lambda *_: None,
    on_end: Callable[[Network, Outcome], None] = lambda *_: None,
    stop: Callable[[], bool] = lambda: False,
) -> Results | None:
    """Do what was planned, as far as it was not done yet.

    Parameters
    ----------
    plan : Plan
        From `tauscope.papers.reproduce.planning.make_plan`.
    n_processes : int
        How many networks at a time.
    device : str
        Where to compute.
    on_plan : callable, optional
        Called with the numbers of networks that remain and of all.
    on_start, on_progress, on_end : callable, optional
        Called with a network that begins, with how far it is, and with how it ended.
    stop : callable, optional
        When true, states are saved and nothing more is begun.

    Returns
    -------
    Results or None
        All that was found; ``None`` if it was stopped before the end.
    """
    here = environment(device)
    found = {network.name: look(network, here) for network in plan.networks}
    remaining = {one.name: one for one in plan.networks if not found[one.name].complete}
    on_plan(len(remaining), len(plan.networks))
    jobs = [Job(one.job, make_study, (one, here)) for one in plan.studies if one.current(here) is None]
    jobs += [Job(name, work, (network, device)) for name, network in remaining.items()]

    def of_network(callback: Callable[..., None]) -> Callable[..., None]:
        def call(job: Job, *said: Any) -> None:
            if job.name in remaining:
                callback(remaining[job.name], *said)

        return call

    outcomes = run_jobs(
        jobs,
        n_processes,
        on_start=of_network(on_start),
        on_message=of_network(on_progress),
        on_end=of_network(on_end),
        stop=stop,
    )
    if len(outcomes) < len(jobs):
        return None
    found |= {name: look(network, here) for name, network in remaining.items()}
    studies = {one.name: result for one in plan.studies if (result := one.current(here)) is not None}
    failed = {one.name: outcomes[one.job].problem for one in plan.studies if one.name not in studies}
    return replace(collect(plan, found, outcomes), studies=studies, failed_studies=failed)


def collect(plan: Plan, found: Mapping[str, Found], outcomes: Mapping[str, Outcome]) -> Results:
    """Put what was found in the order of the paper's conditions.

    Parameters
    ----------
    plan : Plan
        What was to be done.
    found : dict of Found
        What is on disk, by the networks' names.
    outcomes : dict of Outcome
        How jobs ended, by the networks' names; of a network whose training failed, nothing is counted.

    Returns
    -------
    Results
        With a network for each that was planned.
    """
    trained: dict[str, list[Trained]] = {one.name: [] for one in plan.paper.conditions if one.name not in plan.left_out}
    for network in plan.networks:
        there, outcome = found[network.name], outcomes.get(network.name)
        for condition, number in network.numbers:
            one = _trained(condition, number, there, outcome, f"{plan.base}{os.sep}")
            trained[condition].append(replace(one, options=network.config.to_dict()))
    labels = {one.name: one.label for one in plan.paper.conditions}
    return Results({name: sorted(ones, key=lambda one: one.network) for name, ones in trained.items()}, labels)


def _trained(condition: str, number: int, there: Found, outcome: Outcome | None, base: str) -> Trained:
    if outcome is None:
        return Trained(condition, number, tuple(there.records), there.measured)
    problems = [outcome.problem] if outcome.problem else outcome.value
    records, measured = (there.records, there.measured) if there.finished else ([], {})
    # Where the runs lie on this machine is nobody's business.
    return Trained(condition, number, tuple(records), measured, "; ".join(problems).replace(base, ""))
