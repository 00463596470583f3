"""The part of the page that says what a run is: its options, where it computed, and how it was taught."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from pathlib import Path
from typing import Any

from tauscope._words import count
from tauscope.errors import DamagedFileError, InputError
from tauscope.learning.curricula import CURRICULUM_NAMES, SOLVED, range_name
from tauscope.plotting.training import metric_of, plot_progress, plot_training, words
from tauscope.report.parts import Picture, Problem, Table, drawn, problem
from tauscope.runs.config import Config
from tauscope.runs.folder import CONFIG, ENVIRONMENT, METRICS, STATS, read_json, read_metrics
from tauscope.runs.loading import checkpoints_of, load, trained_Ns, trained_task
from tauscope.runs.published import read_stats
from tauscope.runs.run import read_config
from tauscope.tasks import POPULATION_TASKS, Task

_Tasks = Mapping[str, Task] | None


@dataclass(frozen=True)
class About:
    """What a run is, as far as its folder tells.

    Attributes
    ----------
    config : Config or None
        Its configuration, where it has a readable one.
    curriculum : str or None
        Key of `tauscope.learning.curricula.CURRICULUM_NAMES`; ``None`` where no N is counted up.
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

    config: Config | None
    curriculum: str | None
    facts: list[tuple[str, str]]
    options: Table | None
    sessions: Table | None
    history: list[dict[str, Any]]
    curves: list[Picture]
    problems: list[Problem]

    @property
    def counts_N(self) -> bool:
        """Whether its checkpoints are told by the largest N that they solved, and not by their task."""
        return self.config is None or self.config.counts_N

    def stage(self, low: int, high: int) -> str:
        """Return what a checkpoint of these Ns was taught: the Ns, or the name of the task.

        Parameters
        ----------
        low, high : int
            Smallest and largest N of its name.
        """
        if self.counts_N or self.config is None:
            return f"N = {high}" if low == high else f"N = {low} … {high}"
        task = type(self.config.measured_task(range_name((low, high))))
        return next((name for name, kind in POPULATION_TASKS.items() if kind is task), task.__name__)

    def taught(self, checkpoint: str, trained: tuple[int, int]) -> str:
        """Return what a checkpoint was taught: its stage, or as `stage` says where its name is a published one."""
        stage = checkpoint.removeprefix("rnn_")
        return self.stage(*trained) if stage == range_name(trained) else stage


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
        tasks = None if config is None or published else config.tasks()
        taught = _taught(records, published, tasks)
        curves = _curves(records, published, tasks) if with_curves else []
        history = [] if published else records
    except DamagedFileError as error:
        problems.append(problem(run / STATS, error))
    except (ArithmeticError, OSError, LookupError, TypeError, ValueError) as error:
        problems.append(Problem(METRICS, f"does not hold the records of epochs: {error!r}"))
    solved = [("Solved", _solved(run))] if config is None or config.counts_N else []
    return About(
        config=config,
        curriculum=next(iter({config.curriculum_type} & set(CURRICULUM_NAMES)), None)
        if config
        else _curriculum_of(run.name),
        facts=[*(config.facts() if config else _found(run)), *solved, *taught],
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


def _found(run: Path) -> list[tuple[str, str]]:
    """Return what weights and names tell of a run without a configuration."""
    facts = []
    curriculum, checkpoints = _curriculum_of(run.name), checkpoints_of(run)
    if checkpoints:
        try:
            model = load(checkpoints[-1])
            facts.append(("Network", f"{count(model.n_units, 'unit')} ({type(model.layers[0]).__name__})"))
            facts.append(("Task", trained_task(checkpoints[-1]).question))
        except InputError:
            # What the weights do not tell, or not to this version, is left out.
            pass
    return facts + ([("Curriculum", CURRICULUM_NAMES[curriculum])] if curriculum else [])


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


def _taught(history: Sequence[dict[str, Any]], published: bool, tasks: _Tasks) -> list[tuple[str, str]]:
    """Return the training in a few lines."""
    trained = f"{_trained(history)}{' nats' if metric_of(tasks) == 'accuracy' else ''}" if history else ""
    if not history or published:
        return [("Trained", trained)] if history else []
    time = timedelta(seconds=round(sum(record["seconds"] for record in history)))
    return [("Trained", f"{trained}; {time} (h:min:s)"), ("Last test", _last_test(history[-1], tasks))]


def _trained(history: Sequence[dict[str, Any]]) -> str:
    return f"{count(history[-1]['epoch'], 'epoch')}; last loss {history[-1]['loss']:.4g}"


def _last_test(record: dict[str, Any], tasks: _Tasks) -> str:
    """Return the scores of an epoch, with the chance level where it is not one of accuracy."""
    metric, stage = metric_of(tasks), record["stage"]
    if "Ns" in record and metric == "accuracy":
        return ", ".join(f"N = {N}: {score:.1%}" for N, score in zip(record["Ns"], record["accuracy"], strict=True))
    names = list(tasks or ())
    head = list(tasks[stage].heads.values())[-1] if tasks else None
    which = f" on task {names.index(stage) + 1}" if stage in names[1:] else ""
    levels = f" (chance: {head.chance:.3g}, optimum: {head.optimum:g})" if head else ""
    return f"{words(metric)} {record[metric][-1]:.3g}{which}{levels}"


def _curves(history: Sequence[dict[str, Any]], published: bool, tasks: _Tasks) -> list[Picture]:
    """Return the training curves."""
    if not history or published or metric_of(tasks) != "accuracy":
        return [_curve(history, tasks)] if history else []
    progress = drawn(
        plot_progress({"this run": history}),
        "Largest N solved after every epoch",
        f"Largest N that was solved (accuracy of the newest head, and mean, above {SOLVED:.0%}) after every epoch. "
        "1 network.",
    )
    return [_curve(history, tasks), progress]


def _curve(history: Sequence[dict[str, Any]], tasks: _Tasks) -> Picture:
    what = words(metric_of(tasks)).capitalize()
    fresh = "sequences" if what == "Accuracy" else "trials"
    return drawn(
        plot_training(history, tasks),
        f"{what} and loss after every epoch",
        f"{what} on fresh {fresh}, and loss, after every epoch. 1 network, {count(len(history), 'epoch')}.",
    )


def _options(config: Config) -> Table:
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
