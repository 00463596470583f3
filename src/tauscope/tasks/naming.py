"""Names of the tasks of Orhan & Ma (2019), and integer codes of the published scripts."""

from __future__ import annotations

from tauscope.errors import InputError, nearest
from tauscope.tasks.comparison import ChangeDetection, ChangeDetection2, Comparison, TwoAlternativeChoice
from tauscope.tasks.delayed import DelayedResponseTask
from tauscope.tasks.estimation import DelayedEstimation, DelayedEstimation2, DelayedSine, GatedDelayedEstimation

POPULATION_TASKS: dict[str, type[DelayedResponseTask]] = {
    "de1": DelayedEstimation,
    "de2": DelayedEstimation2,
    "cd": ChangeDetection,
    "cd2": ChangeDetection2,
    "gde": GatedDelayedEstimation,
    "2afc": TwoAlternativeChoice,
    "sine": DelayedSine,
    "comp": Comparison,
}

# 5 is a delayed estimation with variable delays, which the published scripts cannot run; here it is an option of de1.
PUBLISHED_CODES: dict[int, str] = {0: "de1", 1: "de2", 2: "cd", 3: "cd2", 4: "gde", 6: "2afc", 7: "sine", 8: "comp"}


def population_task_name(given: str | int) -> str:
    """Return our name of a task of Orhan & Ma.

    Parameters
    ----------
    given : str or int
        Our name, the paper's name in any case and with or without hyphens, or the integer code of the published scripts.

    Returns
    -------
    str
        A key of `POPULATION_TASKS`.

    Raises
    ------
    InputError
        If the task is unknown.

    Examples
    --------
    >>> population_task_name(6), population_task_name("DE-1"), population_task_name("8")
    ('2afc', 'de1', 'comp')
    """
    text = str(given).strip().lower().replace("-", "")
    name = {str(code): known for code, known in PUBLISHED_CODES.items()}.get(text, text)
    if name not in POPULATION_TASKS:
        codes = ", ".join(f"{code} ({known})" for code, known in PUBLISHED_CODES.items())
        raise InputError(f"task {given!r} is unknown: {nearest(text, POPULATION_TASKS)}, or one of the codes {codes}")
    return name
