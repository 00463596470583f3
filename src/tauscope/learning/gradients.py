"""What a network answers to a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from tauscope.learning.objectives import LAST_STEPS, ending
from tauscope.models.base import Model, State
from tauscope.tasks.base import Batch


def answer(
    model: Model,
    batch: Batch,
    heads: Sequence[str],
    initial: tuple[State, ...],
    noise: Tensor | None = None,
    with_states: bool = False,
) -> tuple[Tensor, Tensor]:
    """Run a batch and read the asked heads out at the steps for which it has targets, the last ones.

    Parameters
    ----------
    model : Model
        The network.
    batch : Batch
        What it is shown, and how many steps are asked.
    heads : sequence of str
        Names of the heads.
    initial : tuple of layer states
        State before the first step.
    noise : Tensor [time, batch, unit], optional
        Private noise.
    with_states : bool
        Whether the states at the end are differentiated too.

    Returns
    -------
    logits : Tensor [answer, batch, head, output]
        What is read out.
    states : Tensor [time, batch, unit]
        Units at the last steps: those that are read, at least five.

    Examples
    --------
    >>> import tauscope as ts, torch
    >>> generator = torch.Generator().manual_seed(0)
    >>> model, batch = ts.LeakyRNN(8, generator=generator), ts.Parity([2, 3]).sample(4, generator)
    >>> logits, states = answer(model, batch, ["N2", "N3"], model.initial_state(4))
    >>> logits.shape, states.shape
    (torch.Size([1, 4, 2, 2]), torch.Size([5, 4, 8]))
    """
    n_answers, inputs, hold = len(batch.targets), batch.inputs, batch.hold
    # Where several steps are asked, only the end of a trial is run with a gradient for each of its states; to begin anew
    # is worth it if the end is short.
    first = len(inputs) - max(n_answers, LAST_STEPS) if n_answers > 1 or with_states else 0
    if 2 * first >= len(inputs):
        (inputs, later), (hold, held), (noise, noise_later) = (_cut(one, first) for one in (inputs, hold, noise))
        _, initial = model(inputs, initial, hold, noise)
        inputs, hold, noise = later, held, noise_later
    states, last = model(inputs, initial, hold, noise)
    states = ending(states, max(n_answers, LAST_STEPS))
    seen = model.hidden(last).unsqueeze(0) if n_answers == 1 else ending(states, n_answers)
    return model.readout(seen, heads), states


def _cut(series: Tensor | None, step: int) -> tuple[Any, Any]:
    return (None, None) if series is None else (series[:step], series[step:])
