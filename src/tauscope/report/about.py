"""The page's description of a run: its options, its sessions and its training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from pathlib import Path
from typing import Any

from tauscope._words import count
from tauscope.errors import DamagedFileError, InputError
from tauscope.learning.curricula import CURRICULUM_NAMES, SOLVED, range_name
from tauscope.plotting.training import metric_of, plot_progress, plot_training, raises_N, words
from tauscope.report.parts import Picture, Problem, Table, drawn, problem
from tauscope.runs.asking import read_config
from tauscope.runs.config import Config
from tauscope.runs.folder import CONFIG, ENVIRONMENT, METRICS, STATS, read_json, read_records
from tauscope.runs.loading import checkpoints_of, load, trained_Ns, trained_task
from tauscope.runs.published import read_stats
from tauscope.tasks import POPULATION_TASKS, Task

_Tasks = Mapping[str, Task] | None


@dataclass(frozen=True)
class About:
    """The description of a run, from the files of its folder.

    Attributes
    ----------
    config : Config or None
        Configuration; ``None`` if missing or unreadable.
    curriculum : str or None
        Key of `tauscope.learning.curricula.CURRICULUM_NAMES`; ``None`` where the curriculum does not raise N.
    facts : list of (str, str)
        The run in a few lines.
    options, sessions : Table or None
        Every option of the run; machine and software of each session.
    history : list of dict
        Records of its epochs; empty for a run of the published code.
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
        """Whether checkpoints are named by the largest solved N, and not by their task."""
        return self.config is None or self.config.counts_N

    def stage(self, low: int, high: int) -> str:
        """Return the stage of a checkpoint, in words: its Ns, or the name of its task.

        Parameters
        ----------
        low, high : int
            Smallest and largest N in the checkpoint's name.
        """
        if self.counts_N or self.config is None:
            return f"N = {high}" if low == high else f"N = {low} … {high}"
        task = type(self.config.measured_task(range_name((low, high))))
        return next((name for name, kind in POPULATION_TASKS.items() if kind is task), task.__name__)

    def taught(self, checkpoint: str, trained: tuple[int, int]) -> str:
        """Return the stage of a checkpoint: the name that its curriculum gave it, or the words of `stage` for a published name."""
        stage = checkpoint.removeprefix("rnn_")
        return self.stage(*trained) if stage == range_name(trained) else stage


def describe(run: Path, *, with_curves: bool = True) -> About:
    """Describe a run from its folder, written by tauscope or by the published code; drawing curves takes a while."""
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
        tasks = None if config is None else config.tasks()
        records, published = _history(run, tasks)
        tasks = None if published else tasks
        taught = _taught(records, published, tasks)
        curves = _curves(records, published, tasks) if with_curves else []
        history = [] if published else records
    except DamagedFileError as error:
        problems.append(problem(run / (STATS if str(run / STATS) in str(error) else METRICS), error))
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
    """Return the curriculum at the beginning of a folder's name."""
    known = sorted(CURRICULUM_NAMES, key=len, reverse=True)
    return next((curriculum for curriculum in known if name.startswith(f"{curriculum}_")), None)


def _found(run: Path) -> list[tuple[str, str]]:
    """Return the facts that weights and names tell of a run without a configuration."""
    facts = []
    curriculum, checkpoints = _curriculum_of(run.name), checkpoints_of(run)
    if checkpoints:
        try:
            model = load(checkpoints[-1])
            facts.append(("Network", f"{count(model.n_units, 'unit')} ({type(model.layers[0]).__name__})"))
            facts.append(("Task", trained_task(checkpoints[-1]).question))
        except InputError:
            # The weights do not tell the facts, or this version cannot read them: leave the facts out.
            pass
    return facts + ([("Curriculum", CURRICULUM_NAMES[curriculum])] if curriculum else [])


def _solved(run: Path) -> str:
    ranges = [Ns for path in checkpoints_of(run) if (Ns := trained_Ns(path))]
    largest = ", ".join(str(high) for _, high in ranges)
    return f"N = {largest} ({count(len(ranges), 'checkpoint')})" if ranges else "no N yet"


def _history(run: Path, tasks: _Tasks) -> tuple[list[dict[str, Any]], bool]:
    """Return the records of the epochs, and whether they come from the statistics of the published code."""
    metric = metric_of(tasks)
    # Accuracies are drawn without the tasks of their stages.
    history = read_records(run, metric, None if metric == "accuracy" else tasks)
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
    last = history[-1]
    frames = f", {last['frames']} frames" if "frames" in last else ""
    return f"{count(last['epoch'], 'epoch')}{frames}; last loss {last['loss']:.4g}"


def _last_test(record: dict[str, Any], tasks: _Tasks) -> str:
    """Return the scores of an epoch, with the chance level of metrics other than accuracy."""
    metric, stage = metric_of(tasks), record["stage"]
    if "Ns" in record and metric == "accuracy":
        return ", ".join(f"N = {N}: {score:.1%}" for N, score in zip(record["Ns"], record["accuracy"], strict=True))
    names = list(tasks or ())
    head = list(tasks[stage].heads.values())[-1] if tasks else None
    which = f" on task {names.index(stage) + 1}" if stage in names[1:] else ""
    # Not known of every environment.
    known = {"chance": f"{head.chance:.3g}", "optimum": f"{head.optimum:g}"} if head else {}
    told = ", ".join(f"{name}: {level}" for name, level in known.items() if level != "nan")
    levels = f" ({told})" if told else ""
    unit = f" {tasks[stage].unit}" if tasks and tasks[stage].unit != "1" else ""
    return f"{words(metric)} {record[metric][-1]:.3g}{unit}{which}{levels}"


def _curves(history: Sequence[dict[str, Any]], published: bool, tasks: _Tasks) -> list[Picture]:
    """Return the training curves."""
    if not history or published or metric_of(tasks) != "accuracy" or not raises_N(history):
        return [_curve(history, tasks)] if history else []
    progress = drawn(
        lambda: plot_progress({"this run": history}),
        "Largest N solved after every epoch",
        f"Largest N that was solved (accuracy of the newest head, and mean, above {SOLVED:.0%}) after every epoch. "
        "1 network.",
    )
    return [_curve(history, tasks), progress]


def _curve(history: Sequence[dict[str, Any]], tasks: _Tasks) -> Picture:
    what = words(metric_of(tasks)).capitalize()
    fresh = "sequences" if what == "Accuracy" else "trials"
    return drawn(
        lambda: plot_training(history, tasks),
        f"{what} and loss after every epoch",
        f"{what} on fresh {fresh}, and loss, after every epoch. 1 network, {count(len(history), 'epoch')}.",
    )


def _options(config: Config) -> Table:
    """Return every option with its value; defaults that depend on the cell are filled in."""
    recipe = config.recipe()
    rows = []
    for option in fields(config):
        value = getattr(config, option.name)
        if value is None:
            value = getattr(recipe, option.name, None)
        rows.append((option.name, "default" if value is None else str(value), str(option.metadata["help"])))
    return Table(("option", "value", "what it is"), rows)


def _sessions(run: Path) -> Table:
    """Return the environment of every session of a run, a column for each session."""
    sessions = read_json(run / ENVIRONMENT)
    if not isinstance(sessions, list) or not all(isinstance(session, dict) for session in sessions):
        raise DamagedFileError(f"{run / ENVIRONMENT} does not hold the sessions of a run: expected a list of objects")
    names = dict.fromkeys(name for session in sessions for name in session)
    rows = [(name.replace("_", " "), *(str(session.get(name, "")) for session in sessions)) for name in names]
    return Table(("", *(f"session {i}" for i in range(1, len(sessions) + 1))), rows)
