"""The part of the page that says what a run is: its options, where it computed, and how it was taught."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from pathlib import Path
from typing import Any

from tauscope.config import TrainConfig
from tauscope.curricula import CURRICULUM_NAMES, SOLVED
from tauscope.errors import DamagedFileError, InputError
from tauscope.loading import checkpoints_of, load, trained_Ns, trained_task
from tauscope.plotting.style import count
from tauscope.plotting.training import plot_progress, plot_training
from tauscope.published import read_stats
from tauscope.report.parts import Picture, Problem, Table, drawn, problem
from tauscope.runs import CONFIG, ENVIRONMENT, METRICS, STATS, read_config, read_json, read_metrics
from tauscope.tasks import TASKS


@dataclass(frozen=True)
class About:
    """What a run is, as far as its folder tells.

    Attributes
    ----------
    curriculum : str or None
        Key of `tauscope.curricula.CURRICULUM_NAMES`.
    facts : list of (str, str)
        The run in a few lines.
    options, sessions : Table or None
        Every option of the run; where and with what each of its sessions computed.
    history : list of dict
        Records of its epochs; empty where there are none of ours.
    curves : list of Picture
        Training curves.
    problems : list of Problem
        Files that could not be read.
    """

    curriculum: str | None
    facts: list[tuple[str, str]]
    options: Table | None
    sessions: Table | None
    history: list[dict[str, Any]]
    curves: list[Picture]
    problems: list[Problem]


def describe(run: Path, *, with_curves: bool = True) -> About:
    """Read what a run is from its folder, of ours or of the published code; curves take a while to draw."""
    problems: list[Problem] = []
    config, sessions = None, None
    history, curves, taught = list[dict[str, Any]](), list[Picture](), list[tuple[str, str]]()
    try:
        config = read_config(run) if (run / CONFIG).exists() else None
    except DamagedFileError as error:
        problems.append(problem(run / CONFIG, error))
    try:
        sessions = _sessions(run) if (run / ENVIRONMENT).exists() else None
    except DamagedFileError as error:
        problems.append(problem(run / ENVIRONMENT, error))
    try:
        records, published = _history(run)
        taught = _taught(records, published)
        curves = _curves(records, published) if with_curves else []
        history = [] if published else records
    except DamagedFileError as error:
        problems.append(problem(run / STATS, error))
    except (OSError, LookupError, TypeError, ValueError) as error:
        problems.append(Problem(METRICS, f"does not hold the records of epochs: {error!r}"))
    return About(
        curriculum=config.curriculum_type if config else _curriculum_of(run.name),
        facts=[*(_configured(config) if config else _found(run)), ("Solved", _solved(run)), *taught],
        options=_options(config) if config else None,
        sessions=sessions,
        history=history,
        curves=curves,
        problems=problems,
    )


def _curriculum_of(name: str) -> str | None:
    """Return the curriculum that a folder's name begins with."""
    known = sorted(CURRICULUM_NAMES, key=len, reverse=True)
    return next((one for one in known if name.startswith(f"{one}_")), None)


def _configured(config: TrainConfig) -> list[tuple[str, str]]:
    layers = f" in each of {config.num_layers} layers" if config.num_layers > 1 else ""
    kind = f"leaky, form {config.model_type}, {config.afunc}" if config.cell == "leaky" else config.cell
    timescales = [("Timescales τ", "trained" if config.tau is None else f"fixed at {config.tau:g} steps")]
    return [
        ("Network", f"{count(config.num_neurons, 'unit')}{layers} ({kind})"),
        *(timescales if config.cell == "leaky" else []),
        ("Task", _what(TASKS[config.task])),
        ("Curriculum", CURRICULUM_NAMES[config.curriculum_type]),
        ("Seed", str(config.seed)),
    ]


def _found(run: Path) -> list[tuple[str, str]]:
    """Return what weights and names tell of a run without a configuration."""
    facts = []
    curriculum, checkpoints = _curriculum_of(run.name), checkpoints_of(run)
    if checkpoints:
        try:
            model = load(checkpoints[-1])
            facts.append(("Network", f"{count(model.n_units, 'unit')} ({type(model.layers[0]).__name__})"))
            facts.append(("Task", _what(type(trained_task(checkpoints[-1])))))
        except InputError:
            # What the weights do not tell, or not to this version, is left out.
            pass
    return facts + ([("Curriculum", CURRICULUM_NAMES[curriculum])] if curriculum else [])


def _what(task: type) -> str:
    """Return the question that a task asks."""
    return (inspect.getdoc(task) or task.__name__).splitlines()[0]


def _solved(run: Path) -> str:
    ranges = [Ns for path in checkpoints_of(run) if (Ns := trained_Ns(path))]
    largest = ", ".join(str(high) for _, high in ranges)
    return f"N = {largest} ({count(len(ranges), 'checkpoint')})" if ranges else "no N yet"


def _history(run: Path) -> tuple[list[dict[str, Any]], bool]:
    """Return our records of the epochs, or what the published ones tell, and which of them it is."""
    history = read_metrics(run)
    if history or not (run / STATS).is_file():
        return history, False
    stats = read_stats(run / STATS)
    both = zip(stats["loss"], stats["accuracy"], strict=True)
    return [
        {"epoch": i, "loss": loss, "accuracy": (percent / 100).tolist()} for i, (loss, percent) in enumerate(both, 1)
    ], True


def _taught(history: Sequence[dict[str, Any]], published: bool) -> list[tuple[str, str]]:
    """Return the training in a few lines."""
    if not history or published:
        return [("Trained", _trained(history))] if history else []
    last, time = history[-1], timedelta(seconds=round(sum(record["seconds"] for record in history)))
    accuracies = [f"N = {N}: {accuracy:.1%}" for N, accuracy in zip(last["Ns"], last["accuracy"], strict=True)]
    return [("Trained", f"{_trained(history)}; {time} (h:min:s)"), ("Last test", ", ".join(accuracies))]


def _curves(history: Sequence[dict[str, Any]], published: bool) -> list[Picture]:
    """Return the training curves."""
    if not history or published:
        return [_curve(history)] if history else []
    progress = drawn(
        plot_progress({"this run": history}),
        "Largest N solved after every epoch",
        f"Largest N that was solved (accuracy of the newest head, and mean, above {SOLVED:.0%}) after every epoch. "
        "1 network.",
    )
    return [_curve(history), progress]


def _trained(history: Sequence[dict[str, Any]]) -> str:
    return f"{count(history[-1]['epoch'], 'epoch')}; last loss {history[-1]['loss']:.4g} nats"


def _curve(history: Sequence[dict[str, Any]]) -> Picture:
    return drawn(
        plot_training(history),
        "Accuracy and loss after every epoch",
        f"Accuracy on fresh sequences, and loss, after every epoch. 1 network, {count(len(history), 'epoch')}.",
    )


def _options(config: TrainConfig) -> Table:
    """Return every option with its value; what follows from the cell is filled in."""
    recipe = config.recipe()
    rows = []
    for option in fields(config):
        value = getattr(config, option.name)
        if value is None:
            value = getattr(recipe, option.name, None)
        rows.append((option.name, "default" if value is None else str(value), str(option.metadata["help"])))
    return Table(("option", "value", "what it is"), rows)


def _sessions(run: Path) -> Table:
    """Return the environment of every session of a run, one a column."""
    sessions = read_json(run / ENVIRONMENT)
    if not isinstance(sessions, list) or not all(isinstance(one, dict) for one in sessions):
        raise DamagedFileError(f"{run / ENVIRONMENT} does not hold the sessions of a run: expected a list of objects")
    names = dict.fromkeys(name for session in sessions for name in session)
    rows = [(name.replace("_", " "), *(str(session.get(name, "")) for session in sessions)) for name in names]
    return Table(("", *(f"session {i}" for i in range(1, len(sessions) + 1))), rows)
