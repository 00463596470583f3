"""Papers to reproduce: a package for each, built of the parts in `tauscope.papers.vocabulary`."""

from __future__ import annotations

import importlib

from tauscope.errors import InputError, nearest
from tauscope.papers.vocabulary import Paper

PAPERS = {
    "emergent-timescales": "tauscope.papers.emergent_timescales:PAPER",
    "balanced-networks": "tauscope.papers.balanced_networks:PAPER",
    "recurrent-memory": "tauscope.papers.recurrent_memory:PAPER",
    "travelling-waves": "tauscope.papers.travelling_waves:PAPER",
    "second-order-rnns": "tauscope.papers.second_order_rnns:PAPER",
    "stable-reparameterisation": "tauscope.papers.stable_reparameterisation:PAPER",
    "offline-reactivation": "tauscope.papers.offline_reactivation:PAPER",
    "parallel-in-time": "tauscope.papers.parallel_in_time:PAPER",
    "real-time-recurrent-learning": "tauscope.papers.real_time_recurrent_learning:PAPER",
    "closed-loop-control": "tauscope.papers.closed_loop_control:PAPER",
    "lyapunov-noise-pruning": "tauscope.papers.lyapunov_noise_pruning:PAPER",
}
"""Object of each paper, as ``module:NAME``."""


def paper(name: str) -> Paper:
    """Return a paper.

    Parameters
    ----------
    name : str
        Key of `PAPERS`, or a user's paper as ``module:NAME``.

    Raises
    ------
    InputError
        If there is no paper of that name.

    Examples
    --------
    >>> paper("emergent-timescale")
    Traceback (most recent call last):
    tauscope.errors.InputError: paper 'emergent-timescale' is unknown: ...; did you mean 'emergent-timescales'?
    """
    if name not in PAPERS and ":" not in name:
        raise InputError(f"paper {name!r} is unknown: {nearest(name, [*PAPERS, 'module:NAME'])}")
    module_name, _, attribute = PAPERS.get(name, name).partition(":")
    try:
        module = importlib.import_module(module_name)
    except (ImportError, TypeError, ValueError) as error:
        raise InputError(f"paper {name!r}: {module_name!r} cannot be imported ({error})") from error
    found = getattr(module, attribute, None)
    if not isinstance(found, Paper):
        papers = [key for key, value in vars(module).items() if isinstance(value, Paper)]
        raise InputError(f"paper {name!r}: {module_name!r} has no paper {attribute!r}, {nearest(attribute, papers)}")
    return found
