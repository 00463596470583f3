"""Carry out a plan: train and measure each network in a job of its own, and collect the results from disk."""

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
from tauscope.papers.reproduce.published import PublishedNetwork
from tauscope.papers.reproduce.studying import make_study
from tauscope.papers.vocabulary import Results, Trained
from tauscope.runs.environment import environment


@dataclass(frozen=True)
class Found:
    """Records and results of a network on disk.

    Attributes
    ----------
    records : list of dict
        Records of the planned epochs.
    finished : bool
        Whether all planned epochs are trained.
    measured : dict
        Current results, by measurement and N.
    complete : bool
        Whether the training is finished and all planned measurements are current.
    """

    records: list[dict[str, Any]]
    finished: bool
    measured: dict[tuple[str, int], xr.Dataset]
    complete: bool


def look(network: Network, here: dict[str, Any]) -> Found:
    """Read a network's records and results; ``here`` is the `tauscope.runs.environment.environment`."""
    try:
        records, finished = network.records()
        asked = network.asked(records) if finished else {}
        measured = _measured(asked, here)
    except (LookupError, TypeError, ValueError):
        # The records are damaged: the network's job reads them too and reports the damage.
        return Found([], False, {}, False)
    return Found(records, finished, measured, finished and len(measured) == len(asked))


def _measured(wanted: Mapping[tuple[str, int], Asked], here: dict[str, Any]) -> dict[tuple[str, int], xr.Dataset]:
    """Return the results of measurements that are current."""
    return {key: kept for key, asked in wanted.items() if (kept := _current(asked, here)) is not None}


def _current(asked: Asked, here: dict[str, Any]) -> xr.Dataset | None:
    """Return the result of a measurement if it is current; ``None`` for a damaged file, so that it is measured again."""
    try:
        return asked.current(here)
    except DamagedFileError:
        return None


def work(send: Callable[[Progress], None], network: Network, device: str) -> list[str]:
    """Finish the training and the measurements of a network; a job of `tauscope.jobs.pool`.

    Parameters
    ----------
    send : callable
        Called with a `Progress`.
    network : Network
        Network to train and measure.
    device : str
        Device of the computation.

    Returns
    -------
    list of str
        Measurements that failed, with the reasons.

    Raises
    ------
    InputError
        If the network cannot be trained.
    DivergedError
        If the training diverged.
    """
    records, finished = network.records()
    if not finished:
        _train(send, network, device)
        records, _ = network.records()
    epochs, cell = network.config.recipe().epochs, network.config.cell if ":" in network.config.cell else None
    return _measure(
        network.asked(records),
        device,
        cell,
        lambda what, N: send(Progress(len(records), epochs, f"measuring {what.replace('_', ' ')} at N = {N}")),
    )


def measure_published(send: Callable[[Progress], None], network: PublishedNetwork, device: str) -> list[str]:
    """Measure a network of the published code; a job of `tauscope.jobs.pool`, as `work`."""
    del send
    return _measure(network.asked, device, None, lambda *_: None)


def _measure(
    wanted: Mapping[tuple[str, int], Asked], device: str, cell: str | None, tell: Callable[[str, int], None]
) -> list[str]:
    """Make the measurements that are not current, and return those that failed, with the reasons."""
    here, problems = environment(device), []
    for (what, N), asked in wanted.items():
        if _current(asked, here) is None:
            tell(what, N)
            try:
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
        raise InputError(f"{network.folder} is being written by another process: expected no other process")
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
    """Train and measure all networks of a plan that are not complete on disk, and make its studies.

    Parameters
    ----------
    plan : Plan
        From `tauscope.papers.reproduce.planning.make_plan`.
    n_processes : int
        Number of jobs at a time.
    device : str
        Device of the computation.
    on_plan : callable, optional
        Called with the number of networks that remain and the number of all networks.
    on_start, on_progress, on_end : callable, optional
        Called with a network when its job starts, with its progress, and with its outcome.
    stop : callable, optional
        Once it returns true, jobs save their states and no further job starts.

    Returns
    -------
    Results or None
        Results of the plan; ``None`` if the jobs were stopped before the end.
    """
    here = environment(device)
    found = {network.name: look(network, here) for network in plan.networks}
    remaining = {network.name: network for network in plan.networks if not found[network.name].complete}
    on_plan(len(remaining), len(plan.networks))
    jobs = [Job(study.job, make_study, (study, here)) for study in plan.studies if study.current(here) is None]
    jobs += [Job(name, work, (network, device)) for name, network in remaining.items()]
    jobs += [Job(network.name, measure_published, (network, device)) for network in plan.published
             if len(_measured(network.asked, here)) < len(network.asked)]  # fmt: skip

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
    studies = {study.name: result for study in plan.studies if (result := study.current(here)) is not None}
    failed = {study.name: outcomes[study.job].problem for study in plan.studies if study.name not in studies}
    return replace(
        collect(plan, found, outcomes),
        studies=studies,
        failed_studies=failed,
        published=_published(plan, outcomes, here),
    )


def _published(plan: Plan, outcomes: Mapping[str, Outcome], here: dict[str, Any]) -> dict[str, list[Trained]]:
    """Return the published networks with what was measured of them, by condition."""
    found: dict[str, list[Trained]] = {}
    for network in plan.published:
        measured, outcome = _measured(network.asked, here), outcomes.get(network.name)
        problems = [] if outcome is None else [outcome.problem] if outcome.problem else outcome.value
        found.setdefault(network.condition, []).append(
            Trained(f"published {network.condition}", network.number, (), measured, "; ".join(problems))
        )
    return found


def collect(plan: Plan, found: Mapping[str, Found], outcomes: Mapping[str, Outcome]) -> Results:
    """Sort the networks' records and results by the paper's conditions.

    Parameters
    ----------
    plan : Plan
        Plan of the reproduction.
    found : dict of Found
        Records and results on disk, by name of the network.
    outcomes : dict of Outcome
        Outcomes of jobs, by name of the network; a network whose training failed has neither history nor results.

    Returns
    -------
    Results
        Results with every planned network.
    """
    trained: dict[str, list[Trained]] = {
        condition.name: [] for condition in plan.paper.conditions if condition.name not in plan.left_out
    }
    for network in plan.networks:
        on_disk, outcome = found[network.name], outcomes.get(network.name)
        for condition, number in network.numbers:
            result = _trained(condition, number, on_disk, outcome, f"{plan.base}{os.sep}")
            trained[condition].append(replace(result, options=network.config.to_dict()))
    labels = {condition.name: condition.label for condition in plan.paper.conditions}
    return Results(
        {name: sorted(networks, key=lambda network: network.network) for name, networks in trained.items()}, labels
    )


def _trained(condition: str, number: int, found: Found, outcome: Outcome | None, base: str) -> Trained:
    if outcome is None:
        return Trained(condition, number, tuple(found.records), found.measured)
    problems = [outcome.problem] if outcome.problem else outcome.value
    records, measured = (found.records, found.measured) if found.finished else ([], {})
    # Reports are shared: leave this machine's paths out of them.
    return Trained(condition, number, tuple(records), measured, "; ".join(problems).replace(base, ""))
