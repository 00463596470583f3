"""Networks driven by random bits, block by block, so that memory does not grow with the number of steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from tauscope._draws import uniform
from tauscope.errors import InputError, require_at_least, require_choice
from tauscope.models.model import Model
from tauscope.models.trace import run

# Numbers in a block of activity: 16 MB in float32, long enough to feed a matrix product well.
_BLOCK_NUMBERS = 2**22
# The batch at which the recurrent product of a wide network nears its best speed.
_FAST_BATCH = 100
_WARM_UP = 100

DRAWS = ("quantiles", "uniform")
"""Ways to draw the probabilities of a 1 from U(0, 1)."""


def probabilities(p: float | Sequence[float] | str | None, n_trials: int, generator: torch.Generator) -> Tensor:
    """Return the probability of a 1 in every trial.

    Parameters
    ----------
    p : float, sequence of float, "quantiles" or "uniform", optional
        A probability for all trials, or for each; "quantiles", the default, takes the midpoints of as many equal parts
        of (0, 1) as there are trials, in random order; "uniform" draws each from U(0, 1).
    n_trials : int
        Number of trials.
    generator : torch.Generator
        Source of chance.

    Returns
    -------
    Tensor [trial]
        Probabilities.

    Raises
    ------
    InputError
        If they are no probabilities, or not one for each trial.

    Notes
    -----
    A mean over few trials depends much on which p happen to be drawn. The midpoints of equal parts are the midpoint
    rule for the integral over p, so that no spread comes from p.

    Examples
    --------
    >>> probabilities(0.5, 2, torch.Generator())
    tensor([0.5000, 0.5000])
    >>> probabilities("quantiles", 4, torch.Generator()).sort().values
    tensor([0.1250, 0.3750, 0.6250, 0.8750])
    """
    require_at_least("number of trials", n_trials, 1)
    p = "quantiles" if p is None else p
    if isinstance(p, str):
        require_choice("p", p, DRAWS)
        if p == "uniform":
            return uniform((n_trials,), generator)
        return (torch.randperm(n_trials, generator=generator, device=generator.device).float() + 0.5) / n_trials
    try:
        given = torch.as_tensor(p, dtype=torch.float32, device=generator.device)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"p is {p!r}: expected probabilities between 0 and 1, or one of {', '.join(DRAWS)}") from error
    if given.dim() and given.shape != (n_trials,):
        raise InputError(f"p has shape {tuple(given.shape)}: expected one number or {n_trials}, one for each trial")
    if not ((given >= 0) & (given <= 1)).all():
        raise InputError(
            f"p is {p}: expected probabilities between 0 and 1 (nearest valid: {given.clamp(0, 1).tolist()})"
        )
    return given.expand(n_trials).clone()


def warm_up_for(N: int) -> int:
    """Return the bits before the first one that is scored: the published 100, or as many as N asks for.

    Examples
    --------
    >>> warm_up_for(5), warm_up_for(150)
    (100, 149)
    """
    return max(_WARM_UP, N - 1)


def random_bits(
    p: Tensor, n_steps: int, n_channels: int, generator: torch.Generator, *, repeat: int = 1, plus_minus: bool = False
) -> Tensor:
    """Draw streams of bits.

    Parameters
    ----------
    p : Tensor [trial]
        Probability of a 1 in every trial.
    n_steps : int
        Length in steps; the last bit is cut where it does not fit.
    n_channels : int
        Independent streams of every trial.
    generator : torch.Generator
        Source of chance.
    repeat : int
        Number of steps for which each bit is shown.
    plus_minus : bool
        Code the bits as -1 and +1 instead of 0 and 1.

    Returns
    -------
    Tensor [time, trial, channel]
        The streams.

    Examples
    --------
    >>> random_bits(torch.tensor([0.0, 1.0]), 2, 1, torch.Generator(), plus_minus=True).squeeze(-1)
    tensor([[-1.,  1.],
            [-1.,  1.]])
    """
    require_at_least("repeat", repeat, 1)
    n_bits = -(-n_steps // repeat)
    draws = uniform((n_bits, len(p), n_channels), generator)
    bits = (draws < p[:, None]).float().repeat_interleave(repeat, dim=0)[:n_steps]
    return 2 * bits - 1 if plus_minus else bits


@torch.no_grad()
def simulate(
    model: Model,
    p: Tensor,
    n_steps: int,
    *,
    burn_in: int = 500,
    repeat: int = 1,
    plus_minus: bool = False,
    generator: torch.Generator,
) -> Iterator[Tensor]:
    """Run a network under random bits and yield its activity block by block.

    Parameters
    ----------
    model : Model
        The network, run with its private noise where it has any.
    p : Tensor [trial]
        Probability of a 1 in every trial.
    n_steps, burn_in : int
        Steps that are yielded, and steps before them that are not.
    repeat : int
        Number of steps for which each bit is shown.
    plus_minus : bool
        Code the bits as -1 and +1 instead of 0 and 1.
    generator : torch.Generator
        Source of initial states, bits and noise.

    Yields
    ------
    Tensor [time, trial, unit]
        The activity that follows on the block before.

    Raises
    ------
    InputError
        If an option is out of range, or the activity does not stay finite.

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.LeakyRNN(8, generator=torch.Generator().manual_seed(0))
    >>> [tuple(block.shape) for block in simulate(model, torch.tensor([0.5]), 100, generator=torch.Generator())]
    [(100, 1, 8)]
    """
    require_at_least("number of steps", n_steps, 1)
    require_at_least("burn-in", burn_in, 0)
    require_at_least("repeat", repeat, 1)
    state = model.initial_state(len(p), generator)
    # Blocks hold whole bits, so that a bit is not cut short where a block ends.
    block = repeat * max(_BLOCK_NUMBERS // (len(p) * model.n_units * repeat), 1)
    for start in range(0, burn_in + n_steps, block):
        length = min(block, burn_in + n_steps - start)
        bits = random_bits(p, length, model.n_inputs, generator, repeat=repeat, plus_minus=plus_minus)
        trace = run(model, bits, generator, state=state)
        states, state = trace.states, trace.final
        if not states.sum().isfinite():
            raise InputError(
                f"the network diverged within {start + length} steps: expected finite activity under random bits"
            )
        if start + length > burn_in:
            yield states[max(burn_in - start, 0) :]


def segments(n_trials: int, n_steps: int, burn_in: int) -> int:
    """Return into how many segments a trial is best cut, to be run side by side.

    Each segment has an initial state and a burn-in of its own, so none is made shorter than 20 times the burn-in.

    Examples
    --------
    >>> segments(10, 100_000, 500), segments(10, 1000, 500)
    (10, 1)
    """
    return max(1, min(_FAST_BATCH // n_trials, n_steps // max(20 * burn_in, 1)))
