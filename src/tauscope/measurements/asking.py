"""What can be asked for, of all networks and of one, and the measurements that it means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tauscope.measurements.registry import MEASUREMENTS

if TYPE_CHECKING:
    from tauscope.measurements.subject import Subject

_WORDS = {name: listed.asked_as or name for name, listed in MEASUREMENTS.items()}

WHAT: dict[str, tuple[str, ...]] = {
    **{word: tuple(name for name in MEASUREMENTS if _WORDS[name] == word) for word in _WORDS.values()},
    "all": tuple(name for name, listed in MEASUREMENTS.items() if listed.in_all),
}
"""What can be asked for, and the measurements that it means: "all" but pruning, closed loops of clones, and retraining, which takes
longer than all the others."""


def askable(subject: Subject) -> dict[str, tuple[str, ...]]:
    """Return what a network can be asked for, and the measurements that it means, but for "all".

    Examples
    --------
    >>> import tauscope as ts, torch
    >>> from tauscope.measurements import Subject
    >>> model = ts.LeakyRNN(8, generator=torch.Generator().manual_seed(0))
    >>> [what for what in WHAT if what not in askable(Subject(model, ts.Parity(), (2, 3), seed=0))]
    ['performance', 'closed_loop', 'resolution', 'reactivation', 'all']
    """
    kept = {
        what: tuple(name for name in names if not MEASUREMENTS[name].lacks(subject))
        for what, names in WHAT.items()
        if what != "all"
    }
    return {what: names for what, names in kept.items() if names}
