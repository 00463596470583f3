"""The gradient of real-time recurrent learning, on the trials of truncated gradients."""

from __future__ import annotations

import torch
from torch import Tensor

from tauscope.analysis.credit import Answered
from tauscope.errors import InputError
from tauscope.learning.online import RTRL, as_start
from tauscope.models.model import own_precision


def online_gradient(answered: Answered) -> Tensor | None:
    """Return the gradient of `RTRL` with sensitivities that are carried from step to step, at weights that stay.

    Parameters
    ----------
    answered : Answered
        Trials that a network has answered.

    Returns
    -------
    Tensor [parameter], optional
        In the order of `Answered.full`; ``None`` where the network has no real-time recurrent learning, because a cell is not
        element-wise, or initial states or held steps do not allow it.

    Examples
    --------
    >>> import tauscope as ts
    >>> draws = torch.Generator().manual_seed(0)
    >>> answered = Answered.of(ts.LeakyRNN(4, n_heads=1, generator=draws), ts.Parity([2], length=9), 4, 1, draws)
    >>> online_gradient(answered) is None
    True
    """
    model, parameters = answered.model, answered.parameters
    by_step, state = dict(zip(answered.steps, answered.by_output, strict=True)), as_start(answered.initial)
    for parameter in model.parameters():
        parameter.grad = None
    try:
        engine = RTRL().credit(model)
        for t in range(answered.steps[-1] + 1):
            noise, hold = (None if series is None else series[t : t + 1] for series in (answered.noise, answered.hold))
            with torch.set_grad_enabled(t in by_step), own_precision():
                states, final, _ = model.solve(answered.inputs[t : t + 1], state, noise=noise, hold=hold, solver=engine)
                if t in by_step:
                    model.readout(states[0], answered.heads).backward(by_step[t])
                    engine.carry(state)
            state = as_start(final)
    except InputError:
        return None
    found = [torch.zeros_like(kept) if kept.grad is None else kept.grad for kept in parameters]
    return torch.cat([gradient.flatten() for gradient in found])
