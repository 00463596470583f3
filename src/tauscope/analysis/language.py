"""How well a network predicts a whole text, with the state carried over or set back."""

from __future__ import annotations

import torch

from tauscope.analysis.checked import checked
from tauscope.errors import require_at_least
from tauscope.models.model import Model
from tauscope.models.trace import generator_for, run
from tauscope.tasks.base import Batch
from tauscope.tasks.text import Text

ROWS = 64
"""Rows of consecutive text that are read side by side."""

_STEPS = 64
"""Steps whose outputs are held in memory at once."""


@checked
@torch.no_grad()
def bits_per_character(
    model: Model,
    task: Text,
    split: str = "test",
    *,
    n_rows: int = ROWS,
    reset: bool = False,
    generator: torch.Generator | None = None,
) -> float:
    """Measure the bits per character of a network on a whole part of a text.

    Parameters
    ----------
    model : Model
        The network.
    task : Text
        The text that it predicts.
    split : {"test", "valid", "train"}
        Part of the text.
    n_rows : int
        Rows of consecutive text that are read side by side, each from an initial state on.
    reset : bool
        Whether, as published, every window of the task's length is a row of its own, so that no prediction sees more than a
        window.
    generator : torch.Generator, optional
        Source of initial states and private noise; seeded with 0 if not given.

    Returns
    -------
    float
        The mean of -log₂ p over the characters of all rows. The few at the end that fill no row are left out.

    Raises
    ------
    InputError
        If there is no such part, or it has fewer characters than rows.

    Examples
    --------
    >>> import tauscope as ts
    >>> task = Text("hmm:2")
    >>> model = ts.build_model("elman", 4, n_inputs=8, n_outputs=8, n_heads=1, generator=torch.Generator().manual_seed(0))
    >>> model.heads.names, uniform = ("out",), {name: 0 * weight for name, weight in model.heads.state_dict().items()}
    >>> _ = model.heads.load_state_dict(uniform)
    >>> round(bits_per_character(model, task), 6)
    3.0
    """
    require_at_least("rows", n_rows, 1)
    generator = generator_for(model, generator)
    if reset:
        n_rows = (len(task.part(split)) - 1) // task.window
    batch = task.rows(split, n_rows, task.window if reset else None)
    state, bits, n = None, 0.0, 0.0
    for inputs, targets in zip(batch.inputs.split(_STEPS), batch.targets.split(_STEPS), strict=True):
        trace = run(model, inputs, generator, heads=list(task.heads), state=state)
        state = trace.final
        # A sum over a whole text in single precision loses what the sixth digit is compared in.
        part, whole = task.tally(trace.outputs.cpu().double(), Batch(inputs, targets))
        bits, n = bits + float(part), n + float(whole)
    return bits / n
